// Load at a rate that does not depend on how fast the answers come: the only kind under which latencies mean something.

import { fileURLToPath } from 'node:url';
import { type LoadReport, parseLoadReport } from './load-report.ts';
import { LOAD_CPU, type Workspace } from './workspace.ts';

const CLIENT = fileURLToPath(new URL('fixed-rate-client.ts', import.meta.url));

export type FixedRateLoad = {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly perSecond: number;
  readonly seconds: number;
};

/**
 * Requests over kept connections, due one after the other at even distances. A request that is due while all connections are busy
 * waits for the next free one, and its time runs from when it was due.
 */
export async function runFixedRate(workspace: Workspace, load: FixedRateLoad): Promise<LoadReport> {
  return parseLoadReport(await workspace.run(LOAD_CPU, process.execPath, [CLIENT, JSON.stringify(load)]));
}
