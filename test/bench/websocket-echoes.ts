// Load of WebSocket messages, each of which comes back.

import { fileURLToPath } from 'node:url';
import { type LoadReport, parseLoadReport } from './load-report.ts';
import { LOAD_CPU, type Workspace } from './workspace.ts';

const CLIENT = fileURLToPath(new URL('websocket-echoes-client.ts', import.meta.url));

export type WebSocketLoad = {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly seconds: number;
};

/** Messages over `connections` kept connections, each sending the next one as soon as the last is back. */
export async function runWebSocketEchoes(workspace: Workspace, load: WebSocketLoad): Promise<LoadReport> {
  return parseLoadReport(await workspace.run(LOAD_CPU, process.execPath, [CLIENT, JSON.stringify(load)]));
}
