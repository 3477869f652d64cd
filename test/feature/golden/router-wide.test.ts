// Golden cases of the reference (observed 15, 36, 37, 39; Route semantics 8.17, 8.20): header actions of Routes, and what the
// environment says for all Routes, from both to what pods and clients get.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeManifest } from '../../../src/source/decode-manifest.ts';
import type { Manifest } from '../../../src/source/manifests.ts';
import { cases, type GoldenCase } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import { type Ask, forwardingFields, GoldenRouter, seenLines, toldValues } from '../../support/golden/router.ts';
import { aRoute, type RouteBuilder } from '../../support/manifests.ts';
import { aRouteObject } from '../../support/objects.ts';
import { getRequest, Peer } from '../../support/peers.ts';

type Action = readonly [name: string, value: string | null];

/** A Route object as a user writes it, decoded. */
function acting(host: string, request: readonly Action[], response: readonly Action[], spec: object = {}): Manifest {
  const listed = (actions: readonly Action[]): object[] =>
    actions.map(([name, value]) => ({
      name,
      action: value === null ? { type: 'Delete' } : { type: 'Set', set: { value } },
    }));
  const httpHeaders = { actions: { request: listed(request), response: listed(response) } };
  const decoded = decodeManifest(aRouteObject(namespace, host, host, 's0', { httpHeaders, ...spec }));
  if (decoded.kind !== 'manifest') throw new Error(JSON.stringify(decoded));
  return decoded.manifest;
}

function on(host: string, pod = 's0'): RouteBuilder {
  return aRoute(`${namespace}/${host}`).host(host).to(pod);
}

/** What the pod got but Host and forwarding fields. */
function lines(golden: GoldenRouter): (row: GoldenCase<Ask>) => Promise<void> {
  return async ({ input, expected }) => {
    const told = await golden.ask(input);
    expect(seenLines(told, new RegExp(`${forwardingFields.source}|^host: [a-z]+\\.a\\.test$`)).join('; ')).toBe(
      expected,
    );
  };
}

/** Fields of the answer but those of the pod's own. */
function answerLines(golden: GoldenRouter): (row: GoldenCase<Ask>) => Promise<void> {
  return async ({ input, expected }) => {
    const told = await golden.ask(input);
    const own = /^(x-be|content-length|set-cookie|content-type|:status):/i;
    // The page of the router itself.
    const page = /^pragma: |^cache-control: private, max-age=0/i;
    const kept = told.fields.filter((line) => !own.test(line) && !page.test(line));
    expect(kept.map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase())).join('; ')).toBe(expected);
  };
}

describe('observed 15: header actions of Routes', () => {
  let golden: GoldenRouter;
  const edge = { tls: { termination: 'edge' } };
  const redirect = { tls: { termination: 'edge', insecureEdgeTerminationPolicy: 'Redirect' } };
  beforeAll(async () => {
    const frame: Action = ['X-R', '1'];
    golden = await GoldenRouter.start(numberedServices(1), [
      acting(
        'set.a.test',
        [
          ['X-One', 'a b'],
          ['X-Two', null],
          ['X-Dyn', '%[req.hdr(host),lower]'],
          ['X-Pct', '100%%'],
          ['X-If', 'v if foo'],
          ['X-Env', '${HOME}'],
          ['X-Quote', `it's "q" \\ #`],
          ['X-B64', '%[req.hdr(x-in),base64]'],
          ['X-Q', '%{+Q}[req.hdr(x-in)]'],
          ['X-QE', '%{+Q}[req.hdr(x-none)]'],
          ['X-Cert', '%{+Q}[ssl_c_der,base64]'],
          ['X-Two2', '%[req.hdr(X-In)]-%[req.hdr(X-In),lower]'],
          ['X-Empty', '%[req.hdr(x-none)]'],
        ],
        [],
      ),
      acting(
        'res.a.test',
        [],
        [
          ['X-Frame-Options', 'DENY'],
          ['X-Gone', null],
          ['X-Src', '%[res.hdr(x-up),lower]'],
          ['X-Hex', '%{+X}[res.hdr(x-up)]'],
          ['X-Esc', '%{+E}[res.hdr(x-up)]'],
          ['Server', 'mine'],
          ['Cache-Control', 'no-store'],
        ],
      ),
      acting('host.a.test', [['Host', 'inner.test']], []),
      acting('dynhost.a.test', [['Host', '%[req.hdr(x-new-host)]']], []),
      acting('xff.a.test', [['X-Forwarded-For', 'me']], []),
      acting(
        'case.a.test',
        [
          ['X-A', '1'],
          ['x-a', '2'],
        ],
        [],
      ),
      acting(
        'order.a.test',
        [
          ['X-A', '%[req.hdr(x-b)]'],
          ['X-B', 'new'],
        ],
        [],
      ),
      acting(
        'hop.a.test',
        [
          ['Connection', 'close'],
          ['Transfer-Encoding', 'chunked'],
        ],
        [],
      ),
      acting('length.a.test', [], [['Content-Length', null]]),
      acting('empty.a.test', [], [frame], { to: { kind: 'Service', name: 'nobody' } }),
      acting('redir.a.test', [], [frame], redirect),
      acting('edge.a.test', [['X-Cert', '%{+Q}[ssl_c_der,base64]']], [['X-Cert', '%[ssl_c_der,base64]'], frame], edge),
      acting(
        'quoted.a.test',
        [['x-quoted', `"shouldn't break"`]],
        [
          ['x-quoted', `"shouldn't break"\\`],
          ['x-foo', 'foo if bar'],
        ],
      ),
      acting(
        'braces.a.test',
        [],
        [
          ['X-First', 'text/}plain,text/html{'],
          ['X-Up', null],
        ],
      ),
    ]);
  });
  afterAll(() => golden[Symbol.asyncDispose]());

  const set = (value: string, last = value, base64 = ''): string =>
    `x-one: a b; x-dyn: set.a.test; x-pct: 100%; x-if: v if foo; x-env: \${HOME}; x-quote: it's "q" \\ #; x-b64: ${base64}; ` +
    `x-q: ${last}; x-qe:; x-cert:; x-two2: ${last}-${last.toLowerCase()}; x-empty:`;
  const framing = 'fields that delimit messages or rule connections';
  test.each(
    cases<Ask>([
      [
        'request set and delete',
        { host: 'set.a.test', lines: 'X-Two: 2\r\nX-In: AbC\r\nX-One: 1\r\nX-One: 2\r\n' },
        `x-in: AbC; ${set('AbC', 'AbC', 'QWJD')}`,
      ],
      [
        'dynamic value, header twice',
        { host: 'set.a.test', lines: 'X-In: first\r\nX-In: Second\r\n' },
        `x-in: first; x-in: Second; ${set('', 'Second', 'U2Vjb25k')}`,
      ],
      ['dynamic value, list', { host: 'set.a.test', lines: 'X-In: p, Q\r\n' }, `x-in: p, Q; ${set('', 'Q', 'UQ==')}`],
      ['Host set', { host: 'host.a.test' }, 'host: inner.test'],
      [
        'Host set dynamically',
        { host: 'dynhost.a.test', lines: 'X-New-Host: n.test\r\n' },
        'x-new-host: n.test; host: n.test',
      ],
      ['two spellings', { host: 'case.a.test' }, 'x-a: 2'],
      ['order', { host: 'order.a.test', lines: 'X-B: b\r\n' }, 'x-a: b; x-b: new'],
      ['Connection and Transfer-Encoding set', { host: 'hop.a.test' }, '', framing],
      ['ssl_c_der without client certificate', { host: 'edge.a.test', over: 'https' }, 'x-cert:'],
      ['Route semantics S7: quotes', { host: 'quoted.a.test' }, `x-quoted: "shouldn't break"`],
    ]),
  )('$name', (row) => lines(golden)(row));

  test('X-Forwarded-For set', async () => {
    const told = await golden.ask({ host: 'xff.a.test' });
    expect(seenLines(told).filter((line) => line.startsWith('x-forwarded-for:'))).toEqual(['x-forwarded-for: me']);
  });

  const said = (target: string): Ask => ({ host: 'res.a.test', target });
  test.each(
    cases<Ask>([
      [
        'response set and delete',
        said('/?_do=h=X-Gone:1&_do=h=X-Up:AbC&_do=h=Server:pod'),
        'x-up: AbC; x-frame-options: DENY; x-src: abc; x-hex: AbC; x-esc: AbC; server: mine; cache-control: no-store',
      ],
      [
        'response value missing',
        said('/'),
        'x-frame-options: DENY; x-src: ; x-hex: ; x-esc: ; server: mine; cache-control: no-store',
      ],
      [
        'error status of the pod',
        said('/?_do=status=500'),
        'x-frame-options: DENY; x-src: ; x-hex: ; x-esc: ; server: mine; cache-control: no-store',
      ],
      ['answer made by the router: 503', { host: 'empty.a.test' }, ''],
      [
        'answer made by the router: redirect',
        { host: 'redir.a.test' },
        'location: https://redir.a.test:28443/; cache-control: no-cache',
      ],
      ['ssl_c_der without client certificate', { host: 'edge.a.test', over: 'https' }, 'x-cert: ; x-r: 1'],
      ['backend closes: 502', { host: 'edge.a.test', over: 'https', target: '/?_do=close' }, ''],
      [
        'Route semantics S9, S10: literal text',
        { host: 'quoted.a.test' },
        `x-quoted: "shouldn't break"\\; x-foo: foo if bar`,
      ],
      [
        'Route semantics S21: braces',
        { host: 'braces.a.test', target: '/?_do=h=X-Up:1' },
        'x-first: text/}plain,text/html{',
      ],
    ]),
  )('$name', (row) => answerLines(golden)(row));

  test.each(cases<Ask>([['Content-Length deleted from the response', { host: 'length.a.test' }, '22', framing]]))(
    '$name',
    async ({ input, expected }) => {
      expect(toldValues(await golden.ask(input), 'content-length').join()).toBe(expected);
    },
  );
});

describe('observed 37: header actions, ids, compression and HTTP/2 for all Routes', () => {
  let golden: GoldenRouter;
  beforeAll(async () => {
    golden = await GoldenRouter.start(
      numberedServices(1),
      [
        acting(
          'ic.a.test',
          [
            ['X-Both', 'route'],
            ['X-Ic', null],
          ],
          [
            ['X-Both-Res', 'route'],
            ['X-Ic-Res', null],
          ],
        ),
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
  const html = '/?_do=h=Content-Type:text/html';
  test.each(
    cases<Ask>([
      ['Route and router actions', { host: 'ic.a.test', target: '/?_do=h=X-Gone-Res:1' }, both],
      ['router actions only', { host: 'only.a.test', target: '/?_do=h=X-Gone-Res:1' }, both],
      ['answer made by the router', { host: 'nobody.a.test' }, ''],
      [
        'gzip wanted, text/html',
        { host: 'only.a.test', target: html, lines: gzip },
        `content-encoding: gzip; vary: Accept-Encoding; transfer-encoding: chunked; ${both}`,
      ],
      [
        'gzip wanted, json',
        { host: 'only.a.test', target: '/?_do=h=Content-Type:application/json', lines: gzip },
        both,
      ],
      [
        'V13: gzip not wanted',
        { host: 'only.a.test', target: html },
        `vary: Accept-Encoding; ${both}`,
        '`Vary: Accept-Encoding`',
      ],
      ['h2c while HTTP/2 is disabled', { host: 'only.a.test', over: 'h2c' }, both],
    ]),
  )('answer: $name', (row) => answerLines(golden)(row));

  test('HTTP/2 disabled', async () => {
    using client = await Peer.connectTls(golden.router.plane.httpsPort, {
      servername: 'edge.a.test',
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    expect(client.tls.alpnProtocol).toBe('http/1.1');
    await client.write(getRequest('edge.a.test'));
    expect((await client.message()).status).toBe(200);
  });
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

describe('observed 39: PROXY protocol and an allow-list', () => {
  let golden: GoldenRouter;
  const header = 'PROXY TCP4 203.0.113.7 198.51.100.9 4242 4711\r\n';
  beforeAll(async () => {
    const route = on('pxa.q.test').annotation('haproxy.router.openshift.io/ip_allowlist', '203.0.113.7');
    golden = await GoldenRouter.start(numberedServices(1), [route.build()], { proxyTrusted: [] });
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
