// Load of requests with bodies. wrk is of no use for large ones: it says how many bytes came, not how many went.

import { fileURLToPath } from 'node:url';
import { type LoadReport, parseLoadReport } from './load-report.ts';
import { LOAD_CPU, type Workspace } from './workspace.ts';

const CLIENT = fileURLToPath(new URL('uploads-client.ts', import.meta.url));

export type UploadsLoad = {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly bodyBytes: number;
  readonly seconds: number;
};

/**
 * Bodies over kept TLS connections, each sending the next one as soon as it has its answer from the sink pod. Those that are under
 * way when the time is up are sent to their end, so that nothing is paid for and not counted. `bytes` are those of the bodies.
 */
export async function runUploads(workspace: Workspace, load: UploadsLoad): Promise<LoadReport> {
  return parseLoadReport(await workspace.run(LOAD_CPU, process.execPath, [CLIENT, JSON.stringify(load)]));
}
