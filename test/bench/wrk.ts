// Keep-alive load by wrk.

import { fileURLToPath } from 'node:url';
import { type LoadReport, parseLoadReport } from './load-report.ts';
import { LOAD_CPU, type Workspace } from './workspace.ts';

const SCRIPT = fileURLToPath(new URL('wrk.lua', import.meta.url));

export type KeepAliveLoad = {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** `many`: each request asks for a path of its own below `path`. */
  readonly paths: 'one' | 'many';
  readonly connections: number;
  readonly seconds: number;
};

/** Requests over `connections` kept-alive connections, each sending the next one as soon as it has its answer. */
export async function runWrk(workspace: Workspace, load: KeepAliveLoad): Promise<LoadReport> {
  const output = await workspace.run(LOAD_CPU, 'wrk', [
    ...['--threads', '1', '--connections', String(load.connections), '--duration', `${load.seconds}s`],
    ...['--timeout', '10s', '--script', SCRIPT],
    // Without the port, as on 80 and 443.
    ...['--header', `Host: ${load.host}`],
    `${load.scheme}://${load.host}:${load.port}${load.path}`,
    ...['--', load.paths],
  ]);
  return parseLoadReport(output);
}
