// Pods that stop and come back, checked over real sockets.

import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import type { BalanceAlgorithm } from '../../src/table/entries.ts';
import { Column } from '../../src/telemetry/tally-row.ts';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane } from '../support/data-plane.ts';
import { get } from '../support/requests.ts';
import { eventually } from '../support/router.ts';
import { endpoint, route } from '../support/rules.ts';

/** A pod whose port can be closed and opened again. */
class StoppablePod implements AsyncDisposable {
  readonly name: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();
  port = 0;
  connections = 0;

  constructor(name: string) {
    this.name = name;
    this.#server = createServer((socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('data', () => {
        socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${name.length}\r\n\r\n${name}`);
      });
    });
  }

  static async start(name: string): Promise<StoppablePod> {
    const pod = new StoppablePod(name);
    await pod.open();
    return pod;
  }

  async open(): Promise<void> {
    await new Promise<void>((listening) => this.#server.listen(this.port, '127.0.0.1', listening));
    const address = this.#server.address();
    if (address !== null && typeof address === 'object') this.port = address.port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Long for a test, short for the checks. */
const checkIntervalMs = 30;

function down(plane: DataPlane): Promise<number> {
  return Promise.resolve(plane.metric('headgate_endpoints_down'));
}

describe('a pod that stops', () => {
  const algorithms: readonly BalanceAlgorithm[] = ['roundrobin', 'random', 'leastconn', 'source'];

  test.each(algorithms)('gets nothing until it is back, with %s', async (balance) => {
    await using stopping = await StoppablePod.start('stopping');
    await using staying = await StoppablePod.start('staying');
    const pods = [stopping.port, staying.port];
    await using plane = await DataPlane.start(route({ host: 'a.test', pods, balance, checkIntervalMs }));
    plane.peers.became([0]);
    await stopping.stop();
    await eventually(
      () => down(plane),
      (count) => count === 1,
    );
    const failures = plane.metric('headgate_upstream_connects_total', 'refused');
    for (let i = 0; i < 10; i++) expect((await get(plane.httpPort, 'a.test')).body).toBe('staying');
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(failures);
    await stopping.open();
    await eventually(
      () => down(plane),
      (count) => count === 0,
    );
    expect(plane.lines.filter(({ message }) => message.startsWith('endpoint is'))).toMatchObject([
      { message: 'endpoint is down', endpoint: `127.0.0.1:${stopping.port}`, security: 'plain', failure: 'refused' },
      { message: 'endpoint is up', endpoint: `127.0.0.1:${stopping.port}`, security: 'plain' },
    ]);
    if (balance === 'source') return;
    await eventually(
      () => get(plane.httpPort, 'a.test'),
      ({ body }) => body === 'stopping',
    );
  });

  test('all of them: 503 with a reason, and no connection is tried', async () => {
    await using one = await StoppablePod.start('one');
    await using two = await StoppablePod.start('two');
    const pods = [one.port, two.port];
    await using plane = await DataPlane.start(route({ host: 'a.test', pods, checkIntervalMs }));
    plane.peers.became([0]);
    await Promise.all([one.stop(), two.stop()]);
    await eventually(
      () => down(plane),
      (count) => count === 2,
    );
    const answer = await get(plane.httpPort, 'a.test');
    expect(answer.status).toBe(503);
    expect(answer.body).toContain('endpoints-down');
    expect(plane.answers(503, 'endpoints-down')).toBe(1);
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(0);
  });

  test('three failures of requests take it out without a check', async () => {
    await using one = await StoppablePod.start('one');
    await using two = await StoppablePod.start('two');
    const pods = [one.port, two.port];
    const wish = { host: 'a.test', pods, checkIntervalMs: 3_600_000 };
    await using plane = await DataPlane.start(route(wish));
    plane.peers.became([0]);
    await one.stop();
    // The first ones may come before it is known what is to be checked.
    await eventually(
      () => get(plane.httpPort, 'a.test'),
      ({ body }) => {
        expect(body).toBe('two');
        return plane.metric('headgate_endpoints_down') === 1;
      },
    );
    const failures = plane.metric('headgate_upstream_connects_total', 'refused');
    expect(failures).toBeGreaterThanOrEqual(3);
    for (let i = 0; i < 6; i++) expect((await get(plane.httpPort, 'a.test')).body).toBe('two');
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(failures);
    expect(plane.metric('headgate_endpoint_checks_total', 'refused')).toBe(0);
  });
});

describe('what is checked', () => {
  test('not the only pod of a Route', async () => {
    await using one = await StoppablePod.start('one');
    await using two = await StoppablePod.start('two');
    await using plane = await DataPlane.start([
      ...route({ host: 'a.test', pods: [one.port], checkIntervalMs: 1 }),
      ...route({ host: 'b.test', pods: [two.port, endpoint(two.port, '127.0.0.2')], checkIntervalMs }),
    ]);
    plane.peers.became([0]);
    await eventually(
      () => Promise.resolve(two.connections),
      (count) => count >= 3,
    );
    expect(one.connections).toBe(0);
  });

  test('not what another worker checks; what it says counts until it is gone', async () => {
    await using one = await StoppablePod.start('one');
    await using two = await StoppablePod.start('two');
    await using plane = await DataPlane.start(
      route({ host: 'a.test', pods: [one.port, two.port], checkIntervalMs: 3_600_000 }),
    );
    plane.peers.became([0, 1]);
    const key = `plain 127.0.0.1:${one.port}`;
    plane.peers.heard(1, 'health', { down: [key], up: [], failed: [] });
    for (let i = 0; i < 4; i++) expect((await get(plane.httpPort, 'a.test')).body).toBe('two');
    plane.peers.became([0]);
    const bodies = [await get(plane.httpPort, 'a.test'), await get(plane.httpPort, 'a.test')].map(({ body }) => body);
    expect(bodies.sort()).toEqual(['one', 'two']);
  });

  test('pods of a re-encrypt Route by a handshake, whoever issued the certificate', async () => {
    const { certificate: cert, key } = makeCertificate({ names: ['pod.test'] });
    const speaking = createTlsServer({ cert, key }, (socket) => socket.on('error', () => {}));
    // It takes connections, and answers every hello with something else.
    const deaf = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.end('no TLS here'));
    });
    const ports: number[] = [];
    for (const server of [speaking, deaf]) {
      await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
      const address = server.address();
      if (address !== null && typeof address === 'object') ports.push(address.port);
    }
    const [speakingPort = 0, deafPort = 0] = ports;
    await using plane = await DataPlane.start(
      route({ host: 'a.test', termination: 'reencrypt', pods: [speakingPort, deafPort], checkIntervalMs: 200 }),
    );
    plane.peers.became([0]);
    await eventually(
      () => Promise.resolve(plane.metric('headgate_endpoint_checks_total', 'tls-failed')),
      (count) => count >= 3,
    );
    await eventually(
      () => Promise.resolve(plane.metric('headgate_endpoint_checks_total', 'reached')),
      (count) => count >= 3,
    );
    expect(plane.lines.filter(({ message }) => message === 'endpoint is down')).toMatchObject([
      { endpoint: `127.0.0.1:${deafPort}`, security: 'tls', failure: 'tls-failed' },
    ]);
    for (const server of [speaking, deaf]) server.close();
  });

  test('not what answers requests', async () => {
    await using one = await StoppablePod.start('one');
    await using two = await StoppablePod.start('two');
    await using plane = await DataPlane.start(
      route({ host: 'a.test', pods: [one.port, two.port], checkIntervalMs: 500 }),
    );
    plane.peers.became([0]);
    await eventually(
      () => get(plane.httpPort, 'a.test'),
      () => plane.metric('headgate_endpoint_checks_total', 'spared') >= 2,
    );
  });
});

test('checks are counted for the pod: those that failed, how long it was down, how long the last one took', async () => {
  await using stopping = await StoppablePod.start('stopping');
  await using staying = await StoppablePod.start('staying');
  const pods = [stopping.port, staying.port];
  await using plane = await DataPlane.start(route({ host: 'a.test', pods }), { settings: { checkIntervalMs } });
  plane.peers.became([0]);
  const count = (pod: StoppablePod, column: number): number =>
    plane.rows().get(`plain ${endpoint(pod.port).authority}`)?.[column] ?? 0;
  const until = (fits: () => boolean): Promise<boolean> => eventually(() => Promise.resolve(fits()), Boolean);
  await until(() => count(stopping, Column.checkMicros) > 0);
  expect(count(stopping, Column.checkFailures)).toBe(0);
  await stopping.stop();
  await until(() => count(stopping, Column.down) === 1);
  expect(count(stopping, Column.checkFailures)).toBeGreaterThanOrEqual(3);
  await until(() => count(stopping, Column.downMicros) > 0);
  await stopping.open();
  await until(() => count(stopping, Column.down) === 0);
  const downMicros = count(stopping, Column.downMicros);
  const { connections } = stopping;
  await until(() => stopping.connections > connections);
  expect(count(stopping, Column.downMicros)).toBe(downMicros);
  expect(count(staying, Column.checkFailures)).toBe(0);
  expect(count(staying, Column.downMicros)).toBe(0);
});
