// Where a router can be reached: the families of its ports, by listening on what the supervisor binds.

import { BoundSocket, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { BindError, BoundSockets } from '../../src/bound-sockets.ts';
import { loadConfig } from '../../src/config/load.ts';

const hasIpv6 = (() => {
  try {
    new BoundSocket({ host: '::1' }).close();
    return true;
  } catch {
    return false;
  }
})();

/** A server that closes the descriptor that it was given; the bound socket must not do so a second time when it is collected. */
const keptSockets: BoundSockets[] = [];

function listenOn(fd: number): Promise<Server> {
  return new Promise((listening, failed) => {
    const server = createServer((socket) => socket.destroy());
    server.on('error', failed);
    server.listen({ fd }, () => listening(server));
  });
}

/** Those of the two loopback addresses at which somebody takes connections on a port. */
async function reachedAt(port: number): Promise<string[]> {
  const reached: string[] = [];
  for (const host of ['127.0.0.1', '::1']) {
    const isThere = await new Promise<boolean>((done) => {
      const socket = connect({ host, port });
      socket.on('connect', () => done(true));
      socket.on('error', () => done(false));
      socket.on('data', () => {});
    });
    if (isThere) reached.push(host);
  }
  return reached;
}

test.skipIf(!hasIpv6).each([
  ['v4', [], ['127.0.0.1'], ['127.0.0.1']],
  ['v6', [], ['::1'], ['127.0.0.1', '::1']],
  ['v4v6', [], ['127.0.0.1', '::1'], ['127.0.0.1', '::1']],
  ['v6', ['--bind', '::'], ['127.0.0.1', '::1'], ['127.0.0.1', '::1']],
  ['v6', ['--bind', '127.0.0.1'], ['127.0.0.1'], ['127.0.0.1']],
] as const)('ROUTER_IP_V4_V6_MODE %s with %o', async (mode, args, traffic, admin) => {
  const ports = ['--http-port=0', '--https-port=0', '--admin-port=0'];
  const loaded = loadConfig(['--source=files', '--manifests', tmpdir(), ...ports, ...args], {
    ROUTER_IP_V4_V6_MODE: mode,
  });
  if (loaded.kind !== 'config') throw new Error(loaded.problems.join('\n'));
  const sockets = new BoundSockets(loaded.config);
  keptSockets.push(sockets);
  const { httpPort, httpsPort, adminPort } = sockets.ports;
  const servers = await Promise.all([...sockets.workerFds, ...sockets.controllerFds].map(listenOn));
  expect(await reachedAt(httpPort)).toEqual(traffic);
  expect(await reachedAt(httpsPort)).toEqual(traffic);
  expect(await reachedAt(adminPort)).toEqual(admin);
  for (const server of servers) server.close();
});

test('an address of another machine: said of each port', () => {
  const config = { bindAddress: '192.0.2.1', ipv6Only: false, adminBind: '127.0.0.1', httpPort: 0, httpsPort: 0 };
  const reason = 'cannot bind 192.0.2.1:0: this machine does not have the address';
  expect(() => new BoundSockets({ ...config, adminPort: 0 })).toThrow(
    new BindError(`--http-port: ${reason}\n--https-port: ${reason}`),
  );
});
