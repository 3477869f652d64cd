// What the annotations of a Route do to its requests, over real sockets (Route semantics 5.7 to 5.10, 5.14; observed 7 to 14).

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Endpoint, RouteOptions } from '../../src/table/entries.ts';
import { DataPlane } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { endpoint, route } from '../support/rules.ts';

const cookie = { name: 'stick', attributes: 'path=/; HttpOnly' };

function cookieValue({ id }: Endpoint): string {
  return createHash('md5').update(id).digest('hex');
}

/** What a pod sees of one request over a Route with these options, and what comes back. */
async function exchange(
  options: Partial<RouteOptions>,
  request: string,
  answer = ok('hello'),
): Promise<{ readonly request: string; readonly answer: string; readonly value: string }> {
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(answer, seen));
  await using plane = await DataPlane.start(
    route({ host: 'a.test', pods: [pod.port], forwarded: 'never', ...options }),
  );
  using client = await Peer.connect(plane.httpPort);
  await client.write(request);
  const message = await client.message();
  return { request: seen[0]?.text ?? '', answer: message.text, value: cookieValue(endpoint(pod.port)) };
}

describe('sticky cookies', () => {
  test('a client without one gets one, beside those of the pod', async () => {
    const { answer, value, request } = await exchange(
      { cookie },
      getRequest('a.test'),
      ok('hello', 'Set-Cookie: a=b\r\n'),
    );
    const added = `Set-Cookie: stick=${value}; path=/; HttpOnly\r\n`;
    expect(answer).toBe(ok('hello', 'Set-Cookie: a=b\r\n').replace('\r\n\r\n', `\r\n${added}\r\n`));
    expect(request).toBe(getRequest('a.test'));
  });

  test('also with an answer in chunks', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
    const { answer, value } = await exchange({ cookie }, getRequest('a.test'), chunked);
    expect(answer).toContain(`\r\nSet-Cookie: stick=${value}; path=/; HttpOnly\r\n`);
    expect(answer.endsWith('\r\n\r\n5\r\nhello\r\n0\r\n\r\n')).toBe(true);
  });

  test.each([
    ['alone', 'Cookie: stick=VALUE\r\n', '', false],
    ['among others', 'Cookie: x=1; stick=VALUE; y=2\r\n', 'Cookie: x=1; y=2\r\n', false],
    ['first', 'Cookie: stick=VALUE; y=2\r\n', 'Cookie: y=2\r\n', false],
    ['last', 'Cookie: y=2; stick=VALUE\r\n', 'Cookie: y=2\r\n', false],
    ['in two lines', 'Cookie: stick=VALUE\r\nCookie: x=1\r\n', 'Cookie: x=1\r\n', false],
    ['of no pod', 'Cookie: stick=nobody; z=1\r\n', 'Cookie: z=1\r\n', true],
    ['in upper case', 'Cookie: STICK=VALUE\r\n', 'Cookie: STICK=VALUE\r\n', true],
    ['with a longer name', 'Cookie: xstick=VALUE; stick2=VALUE\r\n', 'Cookie: xstick=VALUE; stick2=VALUE\r\n', true],
    ['as a value', 'Cookie: a=stick=VALUE\r\n', 'Cookie: a=stick=VALUE\r\n', true],
  ])('%s', async (_name, sent, kept, isSet) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hello'), seen));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], forwarded: 'never', cookie }));
    using client = await Peer.connect(plane.httpPort);
    const value = cookieValue(endpoint(pod.port));
    await client.write(`GET / HTTP/1.1\r\nHost: a.test\r\n${sent.replaceAll('VALUE', value)}\r\n`);
    const { text } = await client.message();
    expect(seen[0]?.text).toBe(`GET / HTTP/1.1\r\nHost: a.test\r\n${kept.replaceAll('VALUE', value)}\r\n`);
    expect(text.includes('Set-Cookie: stick=')).toBe(isSet);
  });

  test('20 requests with a cookie stay on one pod', async () => {
    const seen: Message[][] = [[], [], []];
    await using one = await Pod.start(answering(ok('0'), seen[0] ?? []));
    await using two = await Pod.start(answering(ok('1'), seen[1] ?? []));
    await using three = await Pod.start(answering(ok('2'), seen[2] ?? []));
    const pods = [one.port, two.port, three.port];
    await using plane = await DataPlane.start(route({ host: 'a.test', pods, cookie, balance: 'random' }));
    using client = await Peer.connect(plane.httpPort);
    const value = cookieValue(endpoint(two.port));
    for (let i = 0; i < 20; i++) {
      await client.write(`GET / HTTP/1.1\r\nHost: a.test\r\nCookie: stick=${value}\r\n\r\n`);
      await client.message();
    }
    expect(seen.map((each) => each.length)).toEqual([0, 20, 0]);
  });

  test('answers of the router carry none', async () => {
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [], cookie, hsts: 'max-age=1' }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    const { text } = await client.message();
    expect(text).toMatch(/^HTTP\/1\.1 503 /);
    expect(text).not.toMatch(/set-cookie|strict-transport/i);
  });
});

test('HSTS takes the place of what the pod says', async () => {
  const pod = ok('hello', 'strict-transport-security: max-age=0\r\nX-Pod: 1\r\n');
  const { answer } = await exchange({ hsts: 'max-age=5;preload' }, getRequest('a.test'), pod);
  expect(answer).toBe(
    ok('hello', 'X-Pod: 1\r\n').replace('\r\n\r\n', '\r\nStrict-Transport-Security: max-age=5;preload\r\n\r\n'),
  );
});

test.each([
  ['/foo/bar?x=/foo', 'GET /bar?x=/foo HTTP/1.1'],
  ['http://a.test/foo/bar', 'GET /bar HTTP/1.1'],
])('rewrite: %s', async (target, line) => {
  const rewrite = { prefix: '/foo', target: '/', keepsRest: true };
  const { request } = await exchange({ rewrite }, `GET ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
  expect(request.split('\r\n')[0]).toBe(line);
});

describe('allow-lists', () => {
  test.each<[string, readonly string[] | null, boolean]>([
    ['none', null, true],
    ['the address', ['127.0.0.1'], true],
    ['its network, host bits set', ['127.9.9.9/8'], true],
    ['others', ['10.0.0.0/8', '::1'], false],
    ['nobody', [], false],
  ])('%s', async (_name, allowedSources, isLetIn) => {
    await using pod = await Pod.start(answering(ok('hello'), []));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], allowedSources }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    const { text } = await client.message();
    expect(text.split('\r\n')[0]).toBe(isLetIn ? 'HTTP/1.1 200 OK' : 'HTTP/1.1 403 Forbidden');
    expect(text.includes('source-not-allowed')).toBe(!isLetIn);
    // The connection is good for other Routes.
    await client.write(getRequest('other.test'));
    expect((await client.message()).text).toContain('no-route');
  });

  test('X-Forwarded-For is not asked', async () => {
    const request = 'GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n';
    expect((await exchange({ allowedSources: ['10.0.0.1'] }, request)).answer).toMatch(/^HTTP\/1\.1 403 /);
  });

  test('a redirect comes first', async () => {
    await using plane = await DataPlane.start(
      route({ host: 'a.test', pods: [], termination: 'edge', insecurePolicy: 'Redirect', allowedSources: [] }),
    );
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect((await client.message()).text).toMatch(/^HTTP\/1\.1 302 /);
  });
});

describe('timeouts', () => {
  test('the Route’s own for a pod that does not answer', async () => {
    await using pod = await Pod.start(() => {});
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], serverTimeoutMs: 200 }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect((await client.message()).text).toMatch(/^HTTP\/1\.1 504 /);
  });

  test('the Route’s own for a tunnel in which nothing moves', async () => {
    await using pod = await Pod.start(
      answering('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n', []),
    );
    await using plane = await DataPlane.start(
      route({ host: 'a.test', pods: [pod.port], serverTimeoutMs: 50, tunnelTimeoutMs: 300 }),
    );
    using client = await Peer.connect(plane.httpPort);
    const startedMs = performance.now();
    await client.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    expect(await client.untilText('\r\n\r\n')).toMatch(/^HTTP\/1\.1 101 /);
    await client.ended;
    expect(performance.now() - startedMs).toBeGreaterThan(250);
  });
});
