// Load of one TLS connection per request. wrk is of no use here: it resumes its sessions when it likes, and what shall be measured
// is either one kind of handshake or the other.

import { fileURLToPath } from 'node:url';
import { type LoadReport, parseLoadReport } from './load-report.ts';
import { LOAD_CPU, type Workspace } from './workspace.ts';

const CLIENT = fileURLToPath(new URL('new-connections-client.ts', import.meta.url));

export type NewConnectionsLoad = {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** How many connections are open at a time. */
  readonly concurrency: number;
  /** Whether each connection resumes a session of one before. A handshake of the other kind is an error. */
  readonly handshake: 'full' | 'resumed';
  readonly seconds: number;
};

/** Requests each on a connection of its own, with a TLS 1.3 handshake. */
export async function runNewConnections(workspace: Workspace, load: NewConnectionsLoad): Promise<LoadReport> {
  return parseLoadReport(await workspace.run(LOAD_CPU, process.execPath, [CLIENT, JSON.stringify(load)]));
}
