// Golden cases of the reference (observed 36, 37, 39; Route semantics 5.20, 8.20): what the environment says for all Routes, to what
// pods and clients get.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AccessLine } from '../../../src/proxy/access-log/access-line.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { cases, type GoldenCase } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import {
  type Ask,
  forwardingFields,
  GoldenRouter,
  seenLines,
  toldLines,
  toldValues,
} from '../../support/golden/router.ts';
import { aRoute, type RouteBuilder } from '../../support/manifests.ts';
import { getRequest, Peer } from '../../support/peers.ts';

function on(host: string, pod = 's0'): RouteBuilder {
  return aRoute(`${namespace}/${host}`).host(host).to(pod);
}

describe('observed 37: header actions, ids, compression and HTTP/2 for all Routes', () => {
  let golden: GoldenRouter;
  beforeAll(async () => {
    golden = await GoldenRouter.start(
      numberedServices(1),
      [
        on('ic.a.test')
          .headers({
            request: [
              { name: 'X-Both', value: 'route' },
              { name: 'X-Ic', value: null },
            ],
            response: [
              { name: 'X-Both-Res', value: 'route' },
              { name: 'X-Ic-Res', value: null },
            ],
          })
          .build(),
        on('only.a.test').build(),
        on('edge.a.test').edge().build(),
      ],
      {
        env: {
          ROUTER_HTTP_REQUEST_HEADERS: 'X-Ic:ic:Set,X-Both:ic:Set,X-Gone:Delete',
          ROUTER_HTTP_RESPONSE_HEADERS: 'X-Ic-Res:ic:Set,X-Both-Res:ic:Set,X-Gone-Res:Delete',
          ROUTER_UNIQUE_ID_HEADER_NAME: 'X-Request-Id',
          ROUTER_UNIQUE_ID_FORMAT: '%{+X}o %ci:%cp',
          ROUTER_ENABLE_COMPRESSION: 'true',
          ROUTER_DISABLE_HTTP2: 'true',
        },
      },
    );
  });
  afterAll(() => golden[Symbol.asyncDispose]());
  const id = 'x-request-id: 7F000001:PORT';
  const sent = 'X-Gone: 1\r\nX-Case: 1\r\n';

  test.each(
    cases<Ask>([
      ['Route and router actions', { host: 'ic.a.test', lines: sent }, `x-case: 1; ${id}; x-both: route`],
      ['router actions only', { host: 'only.a.test', lines: sent }, `x-case: 1; ${id}; x-ic: ic; x-both: ic`],
      [
        'client sends the id header',
        { host: 'only.a.test', lines: 'X-Request-Id: mine\r\n' },
        `${id}; x-ic: ic; x-both: ic`,
        'the unique id: a client',
      ],
    ]),
  )('$name', async ({ input, expected }) => {
    const told = await golden.ask(input);
    const got = seenLines(told, new RegExp(`${forwardingFields.source}|^host:`)).join('; ');
    expect(got.replace(/(7F000001):[0-9A-F]{4}\b/, '$1:PORT')).toBe(expected);
  });

  const both = 'x-ic-res: ic; x-both-res: ic';
  const gzip = 'Accept-Encoding: gzip\r\n';
  const html = '/?_do=h=Content-Type:text/html;%20charset%3Dutf-8';
  test.each(
    cases<Ask>([
      ['Route and router actions', { host: 'ic.a.test', target: '/?_do=h=X-Gone-Res:1' }, both],
      ['router actions only', { host: 'only.a.test', target: '/?_do=h=X-Gone-Res:1' }, both],
      ['answer made by the router', { host: 'nobody.a.test' }, ''],
      [
        'gzip wanted, text/html',
        { host: 'only.a.test', target: html, lines: gzip },
        `${both}; content-encoding: gzip; vary: Accept-Encoding; transfer-encoding: chunked`,
      ],
      [
        'gzip wanted, json',
        { host: 'only.a.test', target: '/?_do=h=Content-Type:application/json', lines: gzip },
        both,
      ],
      [
        'V13: gzip not wanted',
        { host: 'only.a.test', target: html },
        `${both}; vary: Accept-Encoding`,
        '`Vary: Accept-Encoding`',
      ],
      ['h2c while HTTP/2 is disabled', { host: 'only.a.test', over: 'h2c' }, both],
    ]),
  )('answer: $name', async ({ input, expected }: GoldenCase<Ask>) => {
    expect(toldLines(await golden.ask(input)).join('; ')).toBe(expected);
  });

  test.each(cases<Ask>([['HTTP/2 disabled', { host: 'edge.a.test' }, 'http/1.1', 'ALPN']]))(
    '$name',
    async ({ input: { host = '' }, expected }) => {
      const offers = { servername: host, ALPNProtocols: ['h2', 'http/1.1'] };
      using client = await Peer.connectTls(golden.router.plane.httpsPort, offers);
      expect(client.tls.alpnProtocol).toBe(expected);
      await client.write(getRequest(host));
      expect((await client.message()).status).toBe(200);
    },
  );
});

test('Route semantics 5.4: a Host that the router sets does not choose the Route', async () => {
  const routes = [on('asked.a.test').build(), on('other.a.test', 's1').build()];
  const env = { ROUTER_HTTP_REQUEST_HEADERS: 'Host:other.a.test:Set' };
  await using golden = await GoldenRouter.start(numberedServices(2), routes, { env });
  const told = await golden.ask({ host: 'asked.a.test' });
  expect(told.words).toBe('200 s0 GET /');
  expect(seenLines(told, /^(?!host|x-forwarded-host)/)).toEqual([
    'x-forwarded-host: asked.a.test',
    'host: other.a.test',
  ]);
});

describe('observed 36: policies for all Routes', () => {
  let golden: GoldenRouter;
  beforeAll(async () => {
    const forwarded = 'haproxy.router.openshift.io/set-forwarded-headers';
    const named = 'router.openshift.io/cookie_name';
    const routes = [
      on('edge.q.test').edge(),
      on('named.q.test').annotation(forwarded, 'append').annotation(named, 'mine'),
      on('three.q.test', 'w'),
    ];
    golden = await GoldenRouter.start(
      [...numberedServices(1), { service: 'w', pods: ['w3', 'w4', 'w5'] }],
      routes.map((route) => route.build()),
      {
        env: {
          ROUTER_SET_FORWARDED_HEADERS: 'if-none',
          ROUTER_COOKIE_NAME: 'allcookie',
          ROUTER_LOAD_BALANCE_ALGORITHM: 'roundrobin',
          ROUTER_MUTUAL_TLS_HEADER_FILTER: 'false',
        },
      },
    );
  });
  afterAll(() => golden[Symbol.asyncDispose]());

  const edge = { host: 'edge.q.test', over: 'https' } as const;
  const mine = { host: 'named.q.test', lines: 'X-Forwarded-For: 10.1.1.1\r\n' };
  const forwardedFor = (ask: Ask): Promise<string> =>
    golden.ask(ask).then((told) => seenLines(told, /^(?!x-forwarded-for)/).join('; '));
  const cookieOf = (ask: Ask): Promise<string> =>
    golden.ask(ask).then((told) => toldValues(told, 'set-cookie')[0]?.split('=')[0] ?? '');
  const spoofed = 'X-SSL: 1\r\nX-SSL-Client-CN: a\r\n';
  const ssl = (ask: Ask): Promise<string> => golden.ask(ask).then((told) => seenLines(told, /^(?!x-ssl)/).join('; '));

  test.each([
    ['env if-none, client values', () => forwardedFor({ ...edge, lines: mine.lines }), 'x-forwarded-for: 10.1.1.1'],
    ['env if-none, nothing sent', () => forwardedFor(edge), 'x-forwarded-for: 127.0.0.1'],
    ['annotation over env, V3', () => forwardedFor(mine), 'x-forwarded-for: 10.1.1.1; x-forwarded-for: 127.0.0.1'],
    ['env cookie name', () => cookieOf({ host: 'three.q.test' }), 'allcookie'],
    ['cookie name, annotation over env', () => cookieOf(mine), 'mine'],
    [
      'X-SSL kept when the filter is off',
      () => ssl({ host: 'three.q.test', lines: spoofed }),
      'x-ssl: 1; x-ssl-client-cn: a',
    ],
  ] as const)('%s', async (_name, ask, expected) => {
    expect(await ask()).toBe(expected);
  });

  test('env roundrobin', async () => {
    const pods: string[] = [];
    for (let i = 0; i < 9; i++) pods.push((await golden.ask({ host: 'three.q.test' })).seen?.pod ?? '');
    expect([...pods].sort().join(' ')).toBe('w3 w3 w3 w4 w4 w4 w5 w5 w5');
  });
});

describe('observed 36: strict SNI', () => {
  let golden: GoldenRouter;
  beforeAll(async () => {
    const own = makeCertificate({ names: ['edge.q.test'] });
    golden = await GoldenRouter.start(
      numberedServices(1),
      [on('edge.q.test').edge(own).build(), on('dflt.q.test').edge().build()],
      { env: { ROUTER_STRICT_SNI: 'true' } },
    );
  });
  afterAll(() => golden[Symbol.asyncDispose]());
  const secure = (sni: string | null, host = 'edge.q.test'): Ask => ({ over: 'https', sni, host });
  test.each(
    cases<Ask>([
      ['unknown name', secure('nobody.test'), 'cut'],
      ['Route on the default certificate', secure('dflt.q.test', 'dflt.q.test'), 'cut'],
      ['own certificate', secure('edge.q.test'), '200 s0 GET /'],
      ['name of the default certificate', secure('x.apps.example.test'), '200 s0 GET /'],
      ['no SNI', secure(null), '200 s0 GET /'],
      ['unknown Host over a good SNI', secure('edge.q.test', 'nobody.test'), '503 no-route'],
    ]),
  )('$name', async ({ input, expected }) => {
    expect((await golden.ask(input)).words).toBe(expected);
  });
});

describe('observed 39: PROXY protocol and an allow-list', () => {
  let golden: GoldenRouter;
  const header = 'PROXY TCP4 203.0.113.7 198.51.100.9 4242 4711\r\n';
  beforeAll(async () => {
    const route = on('pxa.q.test').annotation('haproxy.router.openshift.io/ip_allowlist', '203.0.113.7');
    golden = await GoldenRouter.start(numberedServices(1), [route.build()], {
      env: { ROUTER_USE_PROXY_PROTOCOL: 'true' },
    });
  });
  afterAll(() => golden[Symbol.asyncDispose]());
  test.each(
    cases<Ask>([
      ['allow-list by header', { text: header + getRequest('pxa.q.test') }, '200 s0 GET /'],
      [
        'another client',
        { text: header.replace('.7 ', '.8 ') + getRequest('pxa.q.test') },
        '403 source-not-allowed',
        '`ip_allowlist`: a client',
      ],
      ['no header', { text: getRequest('pxa.q.test') }, 'cut'],
      ['garbage header', { text: `PROXY x\r\n${getRequest('pxa.q.test')}` }, 'cut'],
    ]),
  )('$name', async ({ input, expected }) => {
    expect((await golden.ask(input)).words).toBe(expected);
  });
});

test('Route semantics 5.20: what is captured is what came, whatever actions make of it', async () => {
  const accessLines: AccessLine[] = [];
  const env = {
    ROUTER_HTTP_REQUEST_HEADERS: 'X-In:router:Set',
    ROUTER_HTTP_RESPONSE_HEADERS: 'X-Out:router:Set',
    ROUTER_CAPTURE_HTTP_REQUEST_HEADERS: 'X-In:3,X-None:9',
    ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS: 'X-Out:9',
    ROUTER_CAPTURE_HTTP_COOKIE: 'sess:6',
  };
  await using golden = await GoldenRouter.start(numberedServices(1), [on('log.a.test').build()], { env, accessLines });
  const lines = 'X-In: client\r\nCookie: a=1; session=2\r\n';
  await golden.ask({ host: 'log.a.test', target: '/?_do=h=X-Out:pod', lines });
  expect(accessLines.map(({ request, response }) => [request, response])).toEqual([
    [
      { headers: ['cli', null], cookie: 'sessio' },
      { headers: ['pod'], cookie: null },
    ],
  ]);
});

describe('Route semantics 8.20: how large heads may be', () => {
  test.each(
    cases<readonly [bufferBytes: number, maxRewriteBytes: number]>([
      ['V9', [32_768, 16_384], '200 s0 GET /'],
      ['V10', [16_384, 4_096], '431 head-too-large'],
    ]),
  )('$name', async ({ input: [bufferBytes, maxRewriteBytes], expected }) => {
    const env = { ROUTER_BUF_SIZE: String(bufferBytes), ROUTER_MAX_REWRITE_SIZE: String(maxRewriteBytes) };
    await using golden = await GoldenRouter.start(numberedServices(1), [on('large.v.test').build()], { env });
    const lines = `X-Large: ${'x'.repeat(32_768 - 16_384 - 1024)}\r\n`;
    expect((await golden.ask({ host: 'large.v.test', lines })).words).toBe(expected);
  });
});
