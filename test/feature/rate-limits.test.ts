// Limits of what a source may ask of a Route, over real sockets (Route semantics 5.11; observed 13).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RateLimit } from '../../src/table/entries.ts';
import { DataPlane } from '../support/data-plane.ts';
import { WebClient } from '../support/http2-peers/web-client.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { type RouteWish, route } from '../support/rules.ts';

const host = 'a.test';
const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
const helloName = 'thirteen.example.test';

function limited(pod: Pod, rateLimit: Partial<RateLimit>, wish: Partial<RouteWish> = {}): ReturnType<typeof route> {
  const none = { connections: null, connectionRate: null, requestRate: null };
  return route({ host, pods: [pod.port], rateLimit: { ...none, ...rateLimit }, ...wish });
}

async function status(client: Peer, name = host): Promise<number> {
  await client.write(getRequest(name));
  return Number((await client.message()).text.split(' ')[1]);
}

test.each<[string, Partial<RateLimit>, number]>([
  ['requests', { requestRate: 5 }, 5],
  ['new connections', { connectionRate: 5 }, 5],
  ['none', { requestRate: 0 }, 0],
  ['the smaller of two', { connectionRate: 2, requestRate: 5 }, 2],
])('%s: 8 new connections, one request each', async (_name, rateLimit, letIn) => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await DataPlane.start(limited(pod, rateLimit));
  const answers: number[] = [];
  for (let i = 0; i < 8; i++) {
    using client = await Peer.connect(plane.httpPort);
    answers.push(await status(client));
  }
  expect(answers).toEqual(Array.from({ length: 8 }, (_, i) => (i < letIn ? 200 : 429)));
  expect(plane.answers(429, 'rate-limited')).toBe(8 - letIn);
});

test.each<[string, Partial<RateLimit>, number]>([
  ['requests', { requestRate: 3 }, 3],
  ['new connections', { connectionRate: 1 }, 8],
  ['connections', { connections: 1 }, 8],
])('%s: 8 requests of one connection', async (_name, rateLimit, letIn) => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await DataPlane.start([
    ...limited(pod, rateLimit),
    ...route({ host: 'b.test', pods: [pod.port] }),
  ]);
  using client = await Peer.connect(plane.httpPort);
  const answers: number[] = [];
  for (let i = 0; i < 8; i++) answers.push(await status(client));
  expect(answers).toEqual(Array.from({ length: 8 }, (_, i) => (i < letIn ? 200 : 429)));
  // The connection is good for other Routes.
  expect(await status(client, 'b.test')).toBe(200);
});

test('connections at a time: a place is free again when one ends', async () => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await DataPlane.start(limited(pod, { connections: 2 }));
  const first = await Peer.connect(plane.httpPort);
  using second = await Peer.connect(plane.httpPort);
  using third = await Peer.connect(plane.httpPort);
  expect([await status(first), await status(second), await status(third)]).toEqual([200, 200, 429]);
  first[Symbol.dispose]();
  await plane.ended();
  expect(await status(third)).toBe(200);
});

test('the answer says when to come again', async () => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await DataPlane.start(limited(pod, { requestRate: 1 }));
  using client = await Peer.connect(plane.httpPort);
  await status(client);
  await client.write(getRequest(host));
  const { text } = await client.message();
  expect(text).toMatch(/^HTTP\/1\.1 429 Too Many Requests\r\n/);
  const seconds = Number(/\r\nRetry-After: (\d+)\r\n/.exec(text)?.[1]);
  expect(seconds).toBeGreaterThanOrEqual(10);
  expect(seconds).toBeLessThanOrEqual(11);
});

test('a redirect is not counted', async () => {
  await using pod = await Pod.start(answering(ok('hello')));
  const redirects = { termination: 'edge', insecurePolicy: 'Redirect' } as const;
  await using plane = await DataPlane.start(limited(pod, { requestRate: 0 }, redirects));
  using client = await Peer.connect(plane.httpPort);
  expect(await status(client)).toBe(302);
  using secure = await Peer.connectTls(plane.httpsPort, { servername: host });
  expect(await status(secure)).toBe(429);
});

test('HTTP/2: streams of one connection are one connection, and each a request', async () => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await DataPlane.start(limited(pod, { connections: 1, requestRate: 2 }, { termination: 'edge' }));
  await using client = await WebClient.connect('h2', plane, host);
  const answers: number[] = [];
  for (let i = 0; i < 4; i++) {
    const answer = await client.ask({}).answer;
    answers.push(answer.status);
    await answer.whole();
  }
  expect(answers).toEqual([200, 200, 429, 429]);
});

test('passthrough: the connection is cut', async () => {
  await using pod = await Pod.start(() => {});
  await using plane = await DataPlane.start(
    limited(pod, { connections: 1 }, { host: helloName, termination: 'passthrough' }),
  );
  using first = await Peer.connect(plane.httpsPort);
  await first.write(hello);
  await (await pod.connection(0)).untilBytes(hello.length);
  using second = await Peer.connect(plane.httpsPort);
  await second.write(hello);
  expect(await plane.ended()).toBe('rate-limited');
  expect(plane.answers(0, 'rate-limited')).toBe(1);
});
