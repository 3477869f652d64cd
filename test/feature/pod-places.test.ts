// Limits of each pod: who gets a place, who waits, in which order, and that every way of ending gives the place back (Route
// semantics 5.12; observed 13).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { cookieOf } from '../../src/proxy/upstream/sticky-cookie.ts';
import { DataPlane } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod, RefusingPort } from '../support/peers.ts';
import { backend, endpoint, type RouteWish, route } from '../support/rules.ts';

const host = 'a.test';
const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
const helloName = 'thirteen.example.test';
const upgrade = 'Connection: Upgrade\r\nUpgrade: x\r\n\r\n';

function limited(wish: Partial<RouteWish>): ReturnType<typeof route> {
  return route({ host, name: 'limited', podConnections: 1, ...wish });
}

/** A client that has asked for a path. */
async function ask(plane: DataPlane, path: string): Promise<Peer> {
  const client = await Peer.connect(plane.httpPort);
  await client.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return client;
}

/** Looks again each time the event loop has gone round. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setImmediate();
}

function waiting(plane: DataPlane, count: number): Promise<void> {
  return until(() => plane.podPlaces.waiting === count);
}

test('one at a time, in the order of coming', async () => {
  const seen: string[] = [];
  await using pod = await Pod.start(async (connection) => {
    for (;;) {
      const { text } = await connection.message();
      seen.push(text.split(' ')[1] ?? '');
      if (seen.length === 1) await waiting(plane, 3);
      await connection.write(ok('done'));
    }
  });
  await using plane = await DataPlane.start(limited({ pods: [pod.port] }));
  const clients: Peer[] = [];
  for (const [i, path] of ['/0', '/1', '/2', '/3'].entries()) {
    clients.push(await ask(plane, path));
    if (i === 0) await until(() => seen.length === 1);
    else if (i < 3) await waiting(plane, i);
  }
  for (const client of clients) {
    using _ = client;
    expect((await client.message()).text).toMatch(/^HTTP\/1\.1 200 /);
  }
  expect(seen).toEqual(['/0', '/1', '/2', '/3']);
});

test('who waits too long gets 503 pods-busy, and who goes away waits no longer', async () => {
  await using pod = await Pod.start(() => {});
  await using plane = await DataPlane.start(limited({ pods: [pod.port] }), { settings: { connectTimeoutMs: 300 } });
  using first = await ask(plane, '/');
  await (await pod.connection(0)).untilText('\r\n\r\n');
  const gone = await ask(plane, '/gone');
  await waiting(plane, 1);
  gone.socket.resetAndDestroy();
  await waiting(plane, 0);
  using late = await ask(plane, '/late');
  const answer = (await late.message()).text;
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(answer).toContain('<code>pods-busy</code>');
  expect(plane.answers(503, 'pods-busy')).toBe(1);
  expect(first.receivedBytes).toBe(0);
  first.socket.resetAndDestroy();
});

test.each([
  ['goes on waiting, and gets its answer', false],
  ['waits no longer where that is wanted', true],
])('who closes its half %s', async (_title, abortOnClose) => {
  const seen: string[] = [];
  const gate = Promise.withResolvers<void>();
  await using pod = await Pod.start(async (connection) => {
    for (;;) {
      seen.push((await connection.message()).text.split(' ')[1] ?? '');
      await gate.promise;
      await connection.write(ok('done'));
    }
  });
  await using plane = await DataPlane.start(limited({ pods: [pod.port] }), { settings: { abortOnClose } });
  using first = await ask(plane, '/first');
  await until(() => seen.length === 1);
  using half = await ask(plane, '/half');
  await waiting(plane, 1);
  half.finish();
  if (abortOnClose) {
    await waiting(plane, 0);
    expect(await half.ended).toBe('fin');
    expect(plane.endReasons).toEqual(['client-aborted']);
  } else {
    // Time in which the router reads of it.
    for (let turns = 0; turns < 20; turns++) await setImmediate();
    expect(plane.podPlaces.waiting).toBe(1);
  }
  gate.resolve();
  expect((await first.message()).status).toBe(200);
  if (!abortOnClose) expect((await half.message()).status).toBe(200);
  expect(seen).toEqual(abortOnClose ? ['/first'] : ['/first', '/half']);
});

test('a tunnel has its place until it ends', async () => {
  await using pod = await Pod.start(async (connection) => {
    const { text } = await connection.message();
    if (text.includes('Upgrade')) await connection.write(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}`);
    else await connection.write(ok('after'));
  });
  await using plane = await DataPlane.start(limited({ pods: [pod.port] }));
  const tunnel = await Peer.connect(plane.httpPort);
  await tunnel.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n${upgrade}`);
  await tunnel.untilText('\r\n\r\n');
  using next = await ask(plane, '/');
  await waiting(plane, 1);
  tunnel.socket.resetAndDestroy();
  expect((await next.message()).body.toString()).toBe('after');
});

test('a pod that is full is left out while another has a place; a pod that comes serves who waits', async () => {
  await using silent = await Pod.start(() => {});
  await using second = await Pod.start(() => {});
  await using fresh = await Pod.start(async (connection) => {
    for (;;) {
      await connection.message();
      await connection.write(ok('fresh'));
    }
  });
  await using plane = await DataPlane.start(limited({ pods: [silent.port, second.port], balance: 'source' }));
  using one = await ask(plane, '/');
  using two = await ask(plane, '/');
  await (await silent.connection(0)).untilText('\r\n\r\n');
  await (await second.connection(0)).untilText('\r\n\r\n');
  using waits = await ask(plane, '/');
  await waiting(plane, 1);
  plane.put(backend('limited', [silent.port, second.port, fresh.port]));
  using newcomer = await ask(plane, '/');
  for (const client of [waits, newcomer]) expect((await client.message()).body.toString()).toBe('fresh');
  for (const client of [one, two]) {
    expect(client.receivedBytes).toBe(0);
    client.socket.resetAndDestroy();
  }
});

test('when the last pod goes away, who waits for it hears of it', async () => {
  await using pod = await Pod.start(() => {});
  await using plane = await DataPlane.start(limited({ pods: [pod.port] }));
  using first = await ask(plane, '/');
  const upstream = await pod.connection(0);
  await upstream.untilText('\r\n\r\n');
  using second = await ask(plane, '/');
  await waiting(plane, 1);
  plane.put(backend('limited', []));
  upstream.socket.resetAndDestroy();
  expect((await first.message()).text).toContain('upstream-closed');
  expect((await second.message()).text).toContain('no-endpoint');
});

test('a failed connect gives the place back', async () => {
  await using refusing = await RefusingPort.find();
  await using plane = await DataPlane.start(limited({ pods: [refusing.port] }));
  for (let i = 0; i < 2; i++) {
    using client = await ask(plane, '/');
    expect((await client.message()).text).toContain('connect-failed');
  }
});

test('a client with a cookie waits for its own pod', async () => {
  await using own = await Pod.start(async (connection) => {
    await connection.message();
    await waiting(plane, 1);
    await connection.write(ok('own'));
    await connection.message();
    await connection.write(ok('own again'));
  });
  await using free = await Pod.start(() => {});
  const cookie = { name: 'stick', attributes: 'path=/' };
  await using plane = await DataPlane.start(limited({ pods: [own.port, free.port], cookie }));
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\nCookie: stick=${cookieOf(endpoint(own.port))}\r\n\r\n`;
  using first = await Peer.connect(plane.httpPort);
  await first.write(request);
  await own.connection(0);
  using second = await Peer.connect(plane.httpPort);
  await second.write(request);
  expect((await first.message()).body.toString()).toBe('own');
  expect((await second.message()).body.toString()).toBe('own again');
});

test('but not for one that is down', async () => {
  await using own = await Pod.start(() => {});
  await using free = await Pod.start(answering(ok('free')));
  const cookie = { name: 'stick', attributes: 'path=/' };
  await using plane = await DataPlane.start(limited({ pods: [own.port, free.port], cookie }));
  const request = getRequest(host, '/', `Cookie: stick=${cookieOf(endpoint(own.port))}\r\n`);
  using first = await Peer.connect(plane.httpPort);
  await first.write(request);
  await own.connection(0);
  plane.peers.became([0, 1]);
  plane.peers.heard(1, 'health', { down: [`plain ${endpoint(own.port).authority}`], up: [], failed: [] });
  using second = await Peer.connect(plane.httpPort);
  await second.write(request);
  expect((await second.message()).body.toString()).toBe('free');
  first.reset();
});

test('passthrough: waits, is cut when it waited too long, and a place that is free is taken', async () => {
  await using pod = await Pod.start(() => {});
  const wish = { host: helloName, termination: 'passthrough', pods: [pod.port] } as const;
  await using plane = await DataPlane.start(limited(wish), { settings: { connectTimeoutMs: 500 } });
  const first = await Peer.connect(plane.httpsPort);
  await first.write(hello);
  await (await pod.connection(0)).untilBytes(hello.length);
  using late = await Peer.connect(plane.httpsPort);
  await late.write(hello);
  await waiting(plane, 1);
  expect(await plane.ended()).toBe('pods-busy');
  using next = await Peer.connect(plane.httpsPort);
  await next.write(hello);
  await waiting(plane, 1);
  first.socket.resetAndDestroy();
  await (await pod.connection(1)).untilBytes(hello.length);
});

test('another Route to the same pod does not count', async () => {
  await using pod = await Pod.start(async (connection) => {
    const { text } = await connection.message();
    if (text.includes('other')) await connection.write(ok('other'));
  });
  await using plane = await DataPlane.start([
    ...limited({ pods: [pod.port] }),
    ...route({ host: 'other.test', pods: [pod.port] }),
  ]);
  using first = await ask(plane, '/');
  using other = await Peer.connect(plane.httpPort);
  await other.write(getRequest('other.test'));
  expect((await other.message()).body.toString()).toBe('other');
  expect(first.receivedBytes).toBe(0);
  first.socket.resetAndDestroy();
});
