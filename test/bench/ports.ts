// Ports that nobody listens on, for programs that cannot bind port 0 and say which one they got.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Launched } from './workspace.ts';

/** Distinct free ports of 127.0.0.1. Another program may take one before it is used; the bench then fails at start. */
export async function freePorts<const Names extends readonly string[]>(
  ...names: Names
): Promise<Record<Names[number], number>> {
  const servers = names.map(() => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return Object.fromEntries(names.map((name, index) => [name, ports[index]])) as Record<Names[number], number>;
}

/** Waits until something accepts connections on each port. Throws with the program's output when it ends before. */
export async function accepting(program: Launched, ports: readonly number[]): Promise<void> {
  let over: number | string | null = null;
  void program.ended.then((outcome) => {
    over = outcome;
  });
  for (const port of ports) {
    while (!(await accepts(port))) {
      if (over !== null) throw new Error(`ended with ${over} before it listened: ${program.output().trim()}`);
      await pause(10);
    }
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
