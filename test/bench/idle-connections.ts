// Connections that were of use once and are kept.

import { fileURLToPath } from 'node:url';
import { LOAD_CPU, type Workspace } from './workspace.ts';

const CLIENT = fileURLToPath(new URL('idle-connections-client.ts', import.meta.url));

export type IdleLoad = {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
};

/** Opens TLS connections with one answered request each, and runs `during` while they are idle. Throws when one was lost. */
export async function whileIdle(workspace: Workspace, load: IdleLoad, during: () => Promise<void>): Promise<void> {
  const client = workspace.launch(LOAD_CPU, process.execPath, [CLIENT, JSON.stringify(load)]);
  const ended = client.ended.then((outcome) => {
    if (outcome !== 0) throw new Error(`the idle connections ended with ${outcome}: ${client.output().trim()}`);
  });
  const open = new Promise<void>((resolve) => {
    client.onLine(() => resolve());
  });
  await Promise.race([open, ended]);
  await during();
  await client.stop();
  await ended;
}
