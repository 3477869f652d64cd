// Golden cases of the reference (observed 4, 8, 19, 22, 29; Route semantics 8.16, 8.17, 8.21): which pod gets a request, what
// clients hear where none can, and which protocol is spoken to it, from Services and Routes to sockets.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeManifest } from '../../../src/source/decode-manifest.ts';
import type { Manifest } from '../../../src/source/manifests.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { cases, type GoldenCase } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import { type Ask, GoldenRouter, toldValues } from '../../support/golden/router.ts';
import { type Handler, WebPod } from '../../support/http2-peers/web-pod.ts';
import { aRoute, aSlice, type RouteBuilder } from '../../support/manifests.ts';
import { aRouteObject } from '../../support/objects.ts';
import { getRequest, RefusingPort } from '../../support/peers.ts';

const balance = 'haproxy.router.openshift.io/balance';
const timeout = 'haproxy.router.openshift.io/timeout';

function on(host: string, service = 's0', weight = 100): RouteBuilder {
  return aRoute(`${namespace}/${host}`).host(host).to(service, weight);
}

let golden: GoldenRouter;
let refusing: RefusingPort;
let h2cPod: WebPod;
let httpPod: WebPod;

beforeAll(async () => {
  const tls = makeCertificate({ names: ['t0.diff-a.svc'] });
  refusing = await RefusingPort.find();
  const versioned: Handler = (request, response) => {
    response.setHeader('x-version', request.httpVersion);
    response.end('hello');
  };
  h2cPod = await WebPod.start('h2c', versioned);
  httpPod = await WebPod.start('HTTP/1.1', versioned);
  const dead = aSlice(`${namespace}/dead`).of('dead').port(refusing.port, 'http').endpoint('127.0.0.1');
  const routes = [
    ...[
      on('ok.n.test'),
      on('slow.n.test').annotation(timeout, '200ms'),
      on('none.n.test', 'empty'),
      on('missing.n.test', 'missing'),
    ],
    ...[on('refused.n.test', 'dead'), on('zero.n.test', 's0', 0), on('zeros.n.test', 's0', 0).alternate('s1', 0)],
    on('pass-none.n.test', 'empty').passthrough(),
    on('pass-zero.n.test', 't0', 0).passthrough(),
    on('pass-dead.n.test', 'dead').passthrough(),
    aRoute(`${namespace}/pr`).host('pr.p.test').to('s0'),
    aRoute(`${namespace}/pre`).host('pre.p.test').to('s0').edge(),
    aRoute(`${namespace}/prr`).host('prr.p.test').to('t0').reencrypt(),
  ];
  golden = await GoldenRouter.start(
    [
      ...numberedServices(2),
      { service: 'w1', pods: ['w0'] },
      { service: 'w2', pods: ['w1', 'w2'] },
      { service: 'w3', pods: ['w3', 'w4', 'w5'] },
      { service: 't0', pods: ['t0'], tls: { cert: tls.certificate, key: tls.key } },
    ],
    [dead.build(), aSlice(`${namespace}/empty`).of('empty').port(80).build(), ...routes.map((route) => route.build())],
  );
});
afterAll(async () => {
  await golden[Symbol.asyncDispose]();
  for (const pod of [refusing, h2cPod, httpPod]) await pod[Symbol.asyncDispose]();
});

async function check({ input, expected }: GoldenCase<Ask>): Promise<void> {
  expect((await golden.ask(input)).words).toBe(expected);
}

describe('observed 4, Route semantics W1: nobody to ask, or nothing to hear', () => {
  const nobody = 'nobody.n.test';
  const ok = (order: string): Ask => ({ host: 'ok.n.test', target: `/?_do=${order}` });
  test.each(
    cases<Ask>([
      ['unknown host http', { host: nobody }, '503 no-route'],
      ['unknown host HEAD', { host: nobody, method: 'HEAD' }, '503'],
      ['unknown host HTTP/1.0', { host: nobody, version: '1.0' }, '503 no-route'],
      ['unknown host h2c', { host: nobody, over: 'h2c' }, '503 no-route'],
      ['unknown host POST with body', { host: nobody, method: 'POST', body: 'abc' }, '503 no-route'],
      ['unknown host https', { host: nobody, over: 'https' }, '503 no-route'],
      ['no endpoints', { host: 'none.n.test' }, '503 no-endpoint'],
      ['Service missing', { host: 'missing.n.test' }, '503 no-endpoint'],
      ['connect refused', { host: 'refused.n.test' }, '503 connect-failed'],
      ['weight 0 alone', { host: 'zero.n.test' }, '503 no-endpoint'],
      ['all weights 0, W10', { host: 'zeros.n.test' }, '503 no-endpoint'],
      ['backend closes without answer', ok('close'), '502 upstream-closed'],
      ['backend talks garbage', ok('garbage'), '502 bad-response'],
      ['backend slower than timeout', { host: 'slow.n.test', target: '/?_do=delay=400' }, '504 upstream-timeout'],
      ['backend answers 503 itself', ok('status=503'), '503 s0 GET /?_do=status=503'],
      ['backend 204', ok('status=204'), '204 s0 GET /?_do=status=204'],
      ['backend 304', ok('status=304'), '304 s0 GET /?_do=status=304'],
      ['POST backend closes', { ...ok('close'), method: 'POST', body: 'abc' }, '502 upstream-closed'],
      ['passthrough without endpoints', { host: 'pass-none.n.test', over: 'https' }, 'cut'],
      ['passthrough weight 0', { host: 'pass-zero.n.test', over: 'https' }, 'cut'],
      ['passthrough refused', { host: 'pass-dead.n.test', over: 'https' }, 'cut'],
    ]),
  )('$name', check);

  test.each(['missing.n.test', 'none.n.test'])('status of %s', (name) => {
    expect(golden.router.verdictOf(namespace, name)).toBe('Admitted');
  });

  const several = cases<readonly string[]>([
    ['unknown host, a second request', [nobody, nobody], '503 503', 'no route, no endpoint, connect failed'],
    [
      'keep-alive over several hosts',
      ['pr.p.test', nobody, 'pr.p.test'],
      '200 503 200',
      'no route, no endpoint, connect failed',
    ],
  ]);
  test.each(several)('one connection: $name', async ({ input, expected }) => {
    using client = await golden.connect();
    const statuses: number[] = [];
    for (const host of input) {
      await client.write(getRequest(host));
      statuses.push((await client.message()).status);
    }
    expect(statuses.join(' ')).toBe(expected);
  });
});

describe('observed 8, Route semantics W10: shares', () => {
  /** How many of so many requests each pod gets, all on one connection and without a cookie. */
  async function shares(route: Manifest & { readonly host?: string }, count: number): Promise<Record<string, number>> {
    golden.router.put(route);
    using client = await golden.connect();
    golden.pods.take();
    for (let i = 0; i < count; i++) {
      await client.write(getRequest(route.host ?? ''));
      await client.message();
    }
    const counts: Record<string, number> = {};
    for (const { pod } of golden.pods.seen) counts[pod] = (counts[pod] ?? 0) + 1;
    golden.router.remove(route);
    return counts;
  }
  const balanced = (algorithm: string, route = on('b.b.test', 'w3')): RouteBuilder =>
    route.annotation(balance, algorithm);
  const two = (first: number, second: number): RouteBuilder => on('b.b.test', 'w1', first).alternate('w2', second);
  /** The reference, and an API server, take an alternate of the name of `to`. */
  const sameName = decodeManifest(
    aRouteObject(namespace, 'b', 'b.b.test', 'w1', {
      to: { kind: 'Service', name: 'w1', weight: 10 },
      alternateBackends: [
        { kind: 'Service', name: 'w1', weight: 90 },
        { kind: 'Service', name: 'w2', weight: 10 },
      ],
    }),
  );
  if (sameName.kind !== 'manifest' || sameName.manifest.kind !== 'Route') throw new Error('no Route');

  test.each(
    cases<readonly [route: Manifest & { readonly host?: string }, count: number]>([
      ['roundrobin annotation', [balanced('roundrobin').build(), 30], 'w3 10, w4 10, w5 10'],
      ['leastconn annotation', [balanced('leastconn').build(), 30], 'w3 10, w4 10, w5 10'],
      ['90 (1 pod) : 10 (2 pods)', [two(90, 10).build(), 200], 'w0 180, w1 10, w2 10'],
      ['20 (2 pods) : 60 (1 pod)', [on('b.b.test', 'w2', 20).alternate('w1', 60).build(), 80], 'w0 60, w1 10, w2 10'],
      ['no weights: 1 pod and 2 pods', [on('b.b.test', 'w1').alternate('w2').build(), 40], 'w0 20, w1 10, w2 10'],
      ['alternate 0', [two(100, 0).build(), 20], 'w0 20'],
      ['alternate Service missing', [on('b.b.test', 'w1').alternate('missing').build(), 20], 'w0 20'],
      [
        '256 : 128 : 64 with 1, 2, 3 pods',
        [two(256, 128).alternate('w3', 64).build(), 84],
        'w0 48, w1 12, w2 12, w3 4, w4 4, w5 4',
      ],
      [
        '1 (3 pods) : 256 (1 pod)',
        [on('b.b.test', 'w3', 1).alternate('w1', 256).build(), 771],
        'w0 768, w3 1, w4 1, w5 1',
        'weights',
      ],
      ['alternate with the same name as to (10, then 90) : 10', [sameName.manifest, 100], 'w0 90, w1 5, w2 5'],
    ]),
  )('$name', async ({ input: [route, count], expected }) => {
    const counts = await shares(route, count);
    const words = Object.keys(counts)
      .sort()
      .map((pod) => `${pod} ${counts[pod]}`);
    expect(words.join(', ')).toBe(expected);
  });

  // The bounds are more than six standard deviations away from each pod's share.
  test.each<[string, RouteBuilder, readonly string[]]>([
    ['one Service, 3 pods', on('b.b.test', 'w3'), ['w3', 'w4', 'w5']],
    ['unknown algorithm', balanced('static-rr'), ['w3', 'w4', 'w5']],
    ['to 0, alternate 5', two(0, 5), ['w1', 'w2']],
  ])('by chance: %s', async (_name, route, pods) => {
    const counts = await shares(route.build(), 60 * pods.length);
    expect(Object.keys(counts).sort()).toEqual(pods);
    for (const pod of pods) expect(counts[pod]).toBeGreaterThan(15);
  });

  test('90 : 10 with random', async () => {
    const { w0 = 0, w1 = 0, w2 = 0 } = await shares(balanced('random', two(90, 10)).build(), 200);
    expect(w0 + w1 + w2).toBe(200);
    expect(w0).toBeGreaterThan(140);
    expect(w1 + w2).toBeGreaterThan(0);
  });

  test('source annotation', async () => {
    expect(Object.values(await shares(balanced('source').build(), 20))).toEqual([20]);
  });
});

test('observed 22: Endpoints come and go', async () => {
  const slices = golden.pods.slices
    .filter(({ service }) => service === 'w3')
    .map((slice) => ({ ...slice, service: 'late' }));
  const [first, second, third] = slices;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three pods');
  golden.router.put(on('late.c.test', 'late').annotation(balance, 'roundrobin').build());
  const pods = async (): Promise<string> => {
    const words: string[] = [];
    for (let i = 0; i < 6; i++) words.push((await golden.ask({ host: 'late.c.test' })).words);
    return [...new Set(words)].sort().join(', ');
  };
  const says = (...names: readonly string[]): string => names.map((name) => `200 ${name} GET /`).join(', ');
  expect(await pods()).toBe('503 no-endpoint');
  golden.router.put({ ...first, name: 'late-1' });
  expect(await pods()).toBe(says('w3'));
  golden.router.put({ ...second, name: 'late-2' }, { ...third, name: 'late-3' });
  expect(await pods()).toBe(says('w3', 'w4', 'w5'));
  // One dead pod beside a live one.
  golden.router.remove({ ...third, name: 'late-3' });
  golden.router.put({
    ...second,
    name: 'late-2',
    ports: second.ports.map((port) => ({ ...port, port: refusing.port })),
  });
  expect(await pods()).toBe(says('w3'));
  golden.router.remove({ ...first, name: 'late-1' }, { ...second, name: 'late-2' });
  expect(await pods()).toBe('503 no-endpoint');
});

// The reference needs a reload, and by its idle policy a new connection or a request more.
test('Route semantics V12: a Route moves to another Service while a client keeps its connection', async () => {
  using client = await golden.connect();
  const pods: string[] = [];
  for (const service of ['s0', 's1']) {
    golden.router.put(on('moved.c.test', service).build());
    await client.write(getRequest('moved.c.test'));
    await client.message();
    pods.push(golden.pods.take()?.pod ?? '');
  }
  expect(pods).toEqual(['s0', 's1']);
});

describe('observed 19: WebSockets through each termination', () => {
  const upgrade =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  test.each<[name: string, ask: Ask, cookie: string]>([
    ['plain', { host: 'pr.p.test' }, '3d5ab703eed0a057cffceba96575f33a'],
    ['edge', { host: 'pre.p.test', over: 'https' }, '1bd5656087ccbbf417476b64e1abe1c8'],
    ['re-encrypt', { host: 'prr.p.test', over: 'https' }, 'f926eddc311dcea6cae142f5089695ee'],
  ])('%s', async (_name, ask, cookie) => {
    using client = await golden.connect(ask);
    await client.write(getRequest(ask.host ?? '', '/', upgrade));
    const head = await client.untilText('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(head).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n');
    // The cookie comes with a 101 too.
    expect(head).toContain(`\r\nSet-Cookie: ${cookie}=`);
  });
});

describe('observed 19, Route semantics S15: the protocol of a pod by appProtocol', () => {
  test.each([
    ['kubernetes.io/h2c', '2.0'],
    ['h2c', '2.0'],
    ['http', '1.1'],
    ['', '1.1'],
  ])('%o: HTTP/%s', async (appProtocol, expected) => {
    const { port } = expected === '2.0' ? h2cPod : httpPod;
    const slice = aSlice(`${namespace}/app`).of('app').port(port, 'http', 'TCP', appProtocol).endpoint('127.0.0.1');
    golden.router.put(slice.build(), on('app.p.test', 'app').build());
    for (const over of ['http', 'h2c'] as const) {
      const told = await golden.ask({ host: 'app.p.test', over });
      expect([told.words, toldValues(told, 'x-version')]).toEqual(['200', [expected]]);
    }
  });
});

describe('observed 29: the health path of the plain port', () => {
  const target = '/_______internal_router_healthz';
  test.each(
    cases<Ask>([
      ['any host', { host: 'x', target }, '200'],
      ['host of a Route', { host: 'pr.p.test', target }, '200'],
      ['with query', { host: 'x', target: `${target}?x` }, '503 no-route'],
      ['HEAD', { host: 'x', target, method: 'HEAD' }, '200'],
      ['POST', { host: 'x', target, method: 'POST', body: 'abc' }, '200'],
      ['h2c', { host: 'x', target, over: 'h2c' }, '200'],
      ['on https', { host: 'x', target, over: 'https' }, '503 no-route'],
      ['absolute form', { host: 'x', target: `http://x${target}` }, '200'],
    ]),
  )('$name', check);
});
