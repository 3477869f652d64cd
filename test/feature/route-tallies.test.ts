// What is counted by Route, Endpoint and frontend, over real sockets: whatever becomes of a request, it is counted once where it
// belongs, and nothing stays under way.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Column } from '../../src/telemetry/tally-row.ts';
import { DataPlane } from '../support/data-plane.ts';
import { answering, getRequest, holdOpen, ok, Peer, Pod, RefusingPort } from '../support/peers.ts';
import { endpoint, route } from '../support/rules.ts';

const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
const helloHost = 'thirteen.example.test';

/** Columns of a row by name, without those that are 0. */
function countsOf(plane: DataPlane, key: string): Record<string, number> {
  const row = plane.rows().get(key) ?? [];
  const counts: Record<string, number> = {};
  for (const name of [
    'begun',
    'connectFailures',
    'responseFailures',
    'unserved',
    'retries',
    'redispatches',
    'reuses',
    'denied',
    'refused',
    'passthroughs',
    'reached',
    'active',
  ] as const) {
    const value = row[Column[name]] ?? 0;
    if (value !== 0) counts[name] = value;
  }
  for (const [i, code] of ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'].entries()) {
    const value = row[Column.codes + i] ?? 0;
    if (value !== 0) counts[code] = value;
  }
  return counts;
}

async function ask(plane: DataPlane, host: string, count = 1): Promise<number[]> {
  using client = await Peer.connect(plane.httpPort);
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) {
    await client.write(getRequest(host));
    statuses.push((await client.message()).status);
  }
  return statuses;
}

describe('a request is counted', () => {
  test('for its Route and the Endpoint that answered, with its bytes and phases', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await DataPlane.start([
      ...route({ host: 'a.test', name: 'a', pods: [pod.port] }),
      ...route({ host: 'b.test', name: 'b', pods: [pod.port] }),
    ]);
    await ask(plane, 'a.test', 3);
    await ask(plane, 'b.test');
    expect(countsOf(plane, 'shop/a')).toEqual({ begun: 3, reached: 3, reuses: 2, '2xx': 3 });
    expect(countsOf(plane, `shop/a ${endpoint(pod.port).id}`)).toEqual({ begun: 3, reached: 3, reuses: 2, '2xx': 3 });
    await plane.ended(2);
    // One connection of the pod's serves both Routes.
    expect(countsOf(plane, 'shop/b')).toEqual({ begun: 1, reached: 1, reuses: 1, '2xx': 1 });
    expect(countsOf(plane, 'public')).toEqual({ begun: 2, '2xx': 4 });
    const row = plane.rows().get('shop/a') ?? [];
    expect(row[Column.receivedBytes]).toBe(3 * getRequest('a.test').length);
    expect(row[Column.sentBytes]).toBe(3 * ok('hi').length);
    expect(row[Column.responseMicros]).toBeGreaterThan(0);
    const durations = row.slice(Column.durations, Column.active);
    expect(durations.reduce((sum, count) => sum + count)).toBe(3);
    expect(row[Column.durationMicros]).toBeGreaterThanOrEqual(row[Column.responseMicros] ?? 0);
  });

  test('by the status of the pod, or of the router', async () => {
    await using pod = await Pod.start(answering('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'));
    await using plane = await DataPlane.start([
      ...route({ host: 'a.test', name: 'a', pods: [pod.port] }),
      ...route({ host: 'none.test', name: 'none', pods: [] }),
      ...route({ host: 'over.test', name: 'over', pods: [pod.port], termination: 'edge', insecurePolicy: 'Redirect' }),
      ...route({ host: 'not.test', name: 'not', pods: [pod.port], allowedSources: ['192.0.2.1'] }),
    ]);
    expect(await ask(plane, 'a.test')).toEqual([404]);
    expect(await ask(plane, 'none.test')).toEqual([503]);
    expect(await ask(plane, 'over.test')).toEqual([302]);
    expect(await ask(plane, 'not.test')).toEqual([403]);
    expect(await ask(plane, 'unknown.test')).toEqual([503]);
    await plane.ended(5);
    expect(countsOf(plane, `shop/a ${endpoint(pod.port).id}`)).toEqual({ begun: 1, reached: 1, '4xx': 1 });
    expect(countsOf(plane, 'shop/none')).toEqual({ begun: 1, unserved: 1, '5xx': 1 });
    expect(countsOf(plane, 'shop/over')).toEqual({ begun: 1, '3xx': 1 });
    expect(countsOf(plane, 'shop/not')).toEqual({ begun: 1, '4xx': 1 });
    expect(countsOf(plane, 'openshift_default')).toEqual({ begun: 1, '5xx': 1 });
    expect(countsOf(plane, 'public')).toEqual({ begun: 5, denied: 1, '3xx': 1, '4xx': 2, '5xx': 2 });
  });

  test('once, and its tries each for their pod', async () => {
    await using refusing = await RefusingPort.find();
    await using pod = await Pod.start(answering(ok('')));
    const dead = endpoint(refusing.port, '127.0.0.2');
    await using plane = await DataPlane.start(route({ host: 'a.test', name: 'a', pods: [dead, pod.port] }));
    expect(await ask(plane, 'a.test')).toEqual([200]);
    const failed = { begun: 1, connectFailures: 1, retries: 1, redispatches: 1 };
    expect(countsOf(plane, 'shop/a')).toEqual({ ...failed, reached: 1, '2xx': 1 });
    expect(countsOf(plane, `shop/a ${dead.id}`)).toEqual(failed);
    expect(countsOf(plane, `shop/a ${endpoint(pod.port).id}`)).toEqual({ begun: 1, reached: 1, '2xx': 1 });
  });

  test.each([
    ['that breaks off', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal', '2xx'],
    ['that is none', 'nonsense\r\n\r\n', '5xx'],
    ['that does not come', '', '5xx'],
  ])('with the failure of an answer %s', async (_name, bytes, code) => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(bytes);
      peer.finish();
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', name: 'a', pods: [pod.port] }));
    {
      using client = await Peer.connect(plane.httpPort);
      await client.write(getRequest('a.test', '/', 'Connection: close\r\n'));
      await plane.ended();
    }
    expect(countsOf(plane, 'shop/a')).toEqual({ begun: 1, reached: 1, responseFailures: 1, [code]: 1 });
    const ofPod = code === '2xx' ? { '2xx': 1 } : {};
    expect(countsOf(plane, `shop/a ${endpoint(pod.port).id}`)).toEqual({
      begun: 1,
      reached: 1,
      responseFailures: 1,
      ...ofPod,
    });
  });

  test('for the frontend alone where it cannot be read', async () => {
    await using plane = await DataPlane.start();
    using client = await Peer.connect(plane.httpPort);
    await client.write('GET /\r\n\r\n');
    expect((await client.message()).status).toBe(400);
    await plane.ended();
    expect(countsOf(plane, 'public')).toEqual({ begun: 1, refused: 1, '4xx': 1 });
    expect([...plane.rows().keys()].filter((key) => key.includes('/'))).toEqual([]);
  });

  test('under way as long as it is, and gone with a client that leaves', async () => {
    await using pod = await Pod.start(holdOpen);
    await using plane = await DataPlane.start(route({ host: 'a.test', name: 'a', pods: [pod.port] }));
    {
      using client = await Peer.connect(plane.httpPort);
      await client.write(getRequest('a.test'));
      await pod.connection(0);
      expect(countsOf(plane, 'shop/a')).toMatchObject({ begun: 1, active: 1 });
      expect(countsOf(plane, 'public')).toMatchObject({ active: 1 });
      client.reset();
    }
    await plane.ended();
    expect(countsOf(plane, 'shop/a')).toEqual({ begun: 1, reached: 1 });
  });

  test('behind TLS in the frontend that the name leads to', async () => {
    await using pod = await Pod.start(answering(ok('')));
    await using plane = await DataPlane.start(
      route({ host: 'a.test', name: 'a', pods: [pod.port], termination: 'edge' }),
    );
    for (const options of [{ servername: 'a.test' }, {}, { servername: 'a.test', ALPNProtocols: ['http/1.1'] }]) {
      using client = await Peer.connectTls(plane.httpsPort, options);
      await client.write(getRequest('a.test'));
      expect((await client.message()).status).toBe(200);
    }
    await plane.ended(3);
    expect(countsOf(plane, 'fe_sni')).toEqual({ begun: 2, '2xx': 2 });
    expect(countsOf(plane, 'fe_no_sni')).toEqual({ begun: 1, '2xx': 1 });
    expect(countsOf(plane, 'public_ssl')).toEqual({ begun: 3 });
    expect(countsOf(plane, 'shop/a')).toMatchObject({ begun: 3, '2xx': 3 });
  });
});

describe('bytes of a tunnel are counted as they pass', () => {
  test('of a passthrough connection', async () => {
    await using pod = await Pod.start();
    await using plane = await DataPlane.start(
      route({ host: helloHost, name: 'raw', pods: [pod.port], termination: 'passthrough' }),
    );
    {
      using client = await Peer.connect(plane.httpsPort);
      await client.write(hello);
      const upstream = await pod.connection(0);
      await upstream.untilBytes(hello.length);
      await upstream.write('12345');
      await client.untilBytes(5);
      for (const key of ['shop/raw', `shop/raw ${endpoint(pod.port).id}`, 'public_ssl']) {
        const row = plane.rows().get(key) ?? [];
        expect([row[Column.receivedBytes], row[Column.sentBytes]], key).toEqual([hello.length, 5]);
      }
      expect(countsOf(plane, 'shop/raw')).toEqual({ begun: 1, passthroughs: 1, reached: 1, active: 1 });
      client.finish();
      upstream.finish();
      await plane.ended();
    }
    expect(countsOf(plane, 'shop/raw')).toEqual({ begun: 1, passthroughs: 1, reached: 1 });
    expect(countsOf(plane, `shop/raw ${endpoint(pod.port).id}`)).toEqual({ begun: 1, reached: 1 });
  });

  test('of an upgraded one', async () => {
    const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(switched);
      await peer.until(() => peer.bytes.length === 4);
      await peer.write('pong');
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', name: 'a', pods: [pod.port] }));
    const request = getRequest('a.test', '/', 'Connection: Upgrade\r\nUpgrade: echo\r\n');
    {
      using client = await Peer.connect(plane.httpPort);
      await client.write(request);
      expect((await client.message()).status).toBe(101);
      await client.write('ping');
      await client.until(() => client.bytes.length === 4);
      const row = plane.rows().get('shop/a') ?? [];
      expect(row[Column.receivedBytes]).toBe(request.length + 4);
      expect(row[Column.sentBytes]).toBe(switched.length + 4);
      expect(countsOf(plane, 'shop/a')).toEqual({ begun: 1, reached: 1, active: 1, '1xx': 1 });
    }
    await plane.ended();
    expect(countsOf(plane, 'shop/a')).toEqual({ begun: 1, reached: 1, '1xx': 1 });
    expect(countsOf(plane, `shop/a ${endpoint(pod.port).id}`)).toEqual({ begun: 1, reached: 1, '1xx': 1 });
  });
});

test('who waits for a pod is counted as waiting, and no longer than that', async () => {
  let answer = (): void => {};
  const mayAnswer = new Promise<void>((done) => {
    answer = done;
  });
  await using pod = await Pod.start(async (peer) => {
    for (;;) {
      await peer.message();
      await mayAnswer;
      await peer.write(ok(''));
    }
  });
  await using plane = await DataPlane.start(route({ host: 'a.test', name: 'a', pods: [pod.port], podConnections: 1 }));
  using first = await Peer.connect(plane.httpPort);
  await first.write(getRequest('a.test'));
  await pod.connection(0);
  using second = await Peer.connect(plane.httpPort);
  await second.write(getRequest('a.test'));
  const waiting = (): number => plane.rows().get('shop/a')?.[Column.waiting] ?? 0;
  while (waiting() === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(waiting()).toBe(1);
  answer();
  await Promise.all([first.message(), second.message()]);
  const row = plane.rows().get('shop/a') ?? [];
  expect([row[Column.waiting], row[Column.mostWaiting]]).toEqual([0, 1]);
  expect(row[Column.queueMicros]).toBeGreaterThan(0);
});

test('nothing is counted where nothing shall be', async () => {
  await using pod = await Pod.start(answering(ok('')));
  await using plane = await DataPlane.start(route({ host: 'a.test', name: 'a', pods: [pod.port] }), { tallies: null });
  expect(await ask(plane, 'a.test')).toEqual([200]);
  expect(plane.rows().size).toBe(0);
});
