import { describe, expect, test } from 'vitest';
import { type OptionSettings, routeOptions, unquotedTarget } from '../../src/controller/route-options.ts';
import type { HeaderActionLists, RouteManifest } from '../../src/source/manifests.ts';
import type { RouteOptions } from '../../src/table/entries.ts';
import { aRoute, type RouteBuilder } from '../support/manifests.ts';

const settings: OptionSettings = {
  forwardedHeaders: 'append',
  balanceAlgorithm: '',
  tcpBalanceScheme: '',
  cookieName: '',
  requestHeaders: [],
  responseHeaders: [],
};
const openshift = 'haproxy.router.openshift.io';
const plain = aRoute('n/r').host('a.test');
const edge = aRoute('n/r').host('a.test').edge();
const passthrough = aRoute('n/r').host('a.test').passthrough();

type Read = { readonly options: RouteOptions; readonly warnings: readonly string[] };

/** What a Route with these annotations asks for. */
function read(
  route: RouteBuilder,
  annotations: Readonly<Record<string, string>>,
  own: Partial<OptionSettings> = {},
): Read {
  const warnings: string[] = [];
  const built = { ...route.build(), annotations };
  return { options: routeOptions(built, { ...settings, ...own }, warnings), warnings };
}

test.each<[string, RouteBuilder, string, boolean, number]>([
  ['true', plain, 'true', true, 0],
  ['1', edge, '1', true, 0],
  ['false', plain, 'false', false, 0],
  ['empty', plain, '', false, 0],
  ['garbage', plain, 'yes', false, 1],
  ['passthrough', passthrough, 'true', false, 0],
])('h1-adjust-case: %s', (_title, route, value, expected, warned) => {
  const { options, warnings } = read(route, { [`${openshift}/h1-adjust-case`]: value });
  expect(options.adjustsCase).toBe(expected);
  expect(warnings).toHaveLength(warned);
});

describe('words', () => {
  test.each([
    ['append', 'append'],
    ['replace', 'replace'],
    ['if-none', 'if-none'],
    ['never', 'never'],
    ['Never', 'replace'],
    ['', 'replace'],
    ['constructor', 'replace'],
  ])('set-forwarded-headers: %o, where the router says replace', (value, expected) => {
    const { options } = read(plain, { [`${openshift}/set-forwarded-headers`]: value }, { forwardedHeaders: 'replace' });
    expect(options.forwarded).toBe(expected);
  });

  test.each([
    ['none', 'none', 0],
    ['v1', 'v1', 0],
    ['v2', 'v2', 0],
    ['', 'none', 0],
    ['V1', 'none', 1],
    ['v2 ', 'none', 1],
    ['true', 'none', 1],
  ])('proxy-protocol: %o', (value, expected, warned) => {
    for (const route of [plain, edge, passthrough]) {
      const { options, warnings } = read(route, { 'headgate.io/proxy-protocol': value });
      expect([options.proxyProtocol, warnings.length]).toEqual([expected, warned]);
    }
  });
});

describe('balance (5.7)', () => {
  const annotation = `${openshift}/balance`;
  test.each<[string, RouteBuilder, Record<string, string>, Partial<OptionSettings>, string]>([
    ['one Service', plain, {}, {}, 'random'],
    ['passthrough', passthrough, {}, {}, 'source'],
    ['several Services', aRoute('n/r').alternate('b', 1), {}, {}, 'roundrobin'],
    ['a second one of weight 0', aRoute('n/r').alternate('b', 0), {}, {}, 'random'],
    ['the router’s own', edge, {}, { balanceAlgorithm: 'leastconn' }, 'leastconn'],
    [
      'the router’s own, several Services',
      aRoute('n/r').alternate('b', 1),
      {},
      { balanceAlgorithm: 'source' },
      'roundrobin',
    ],
    ['the router’s own for passthrough', passthrough, {}, { balanceAlgorithm: 'leastconn' }, 'leastconn'],
    [
      'its scheme for TCP first',
      passthrough,
      {},
      { balanceAlgorithm: 'leastconn', tcpBalanceScheme: 'random' },
      'random',
    ],
    [
      'the annotation before all',
      passthrough,
      { [annotation]: 'leastconn' },
      { tcpBalanceScheme: 'random' },
      'leastconn',
    ],
    ['an unknown word', edge, { [annotation]: 'static-rr' }, {}, 'random'],
  ])('%s', (_name, route, annotations, own, expected) => {
    expect(read(route, annotations, own).options.balance).toBe(expected);
  });
});

describe('the sticky cookie (5.8, observed 7)', () => {
  const named = (name: string, route: (builder: RouteBuilder) => RouteBuilder = (builder) => builder): RouteBuilder =>
    route(aRoute(`diff-a/${name}`).host('a.test'));
  const hash = '321442074514aa46605ccf00fa15c16b';
  test.each<[string, RouteBuilder, Record<string, string>, RouteOptions['cookie']]>([
    ['plain', named('k-none'), {}, { name: hash, attributes: 'path=/; HttpOnly' }],
    [
      'edge',
      named('k-none', (r) => r.edge()),
      {},
      { name: hash, attributes: 'path=/; HttpOnly; Secure; SameSite=None' },
    ],
    [
      'edge Allow',
      named('k-none', (r) => r.edge().insecure('Allow')),
      {},
      { name: hash, attributes: 'path=/; HttpOnly' },
    ],
    [
      'edge Allow with same-site',
      named('k-none', (r) => r.edge().insecure('Allow')),
      { 'router.openshift.io/cookie-same-site': 'Strict' },
      { name: hash, attributes: 'path=/; HttpOnly' },
    ],
    [
      'same-site',
      named('k-none', (r) => r.edge()),
      { 'router.openshift.io/cookie-same-site': 'Lax' },
      { name: hash, attributes: 'path=/; HttpOnly; Secure; SameSite=Lax' },
    ],
    [
      'same-site in lower case',
      named('k-none', (r) => r.edge()),
      { 'router.openshift.io/cookie-same-site': 'lax' },
      { name: hash, attributes: 'path=/; HttpOnly; Secure; SameSite=None' },
    ],
    [
      'a name',
      named('k-none'),
      { 'router.openshift.io/cookie_name': 'unsecure-cookie_1' },
      { name: 'unsecure-cookie_1', attributes: 'path=/; HttpOnly' },
    ],
    [
      'a name with a dot',
      named('k-none'),
      { 'router.openshift.io/cookie_name': 'a.b' },
      { name: hash, attributes: 'path=/; HttpOnly' },
    ],
    ['none: true', named('k-none'), { [`${openshift}/disable_cookies`]: 'true' }, null],
    ['none: 1', named('k-none'), { [`${openshift}/disable_cookies`]: '1' }, null],
    [
      'none: yes is no word',
      named('k-none'),
      { [`${openshift}/disable_cookies`]: 'yes' },
      { name: hash, attributes: 'path=/; HttpOnly' },
    ],
    ['passthrough', named('k-none', (r) => r.passthrough()), {}, null],
  ])('%s', (_name, route, annotations, expected) => {
    expect(read(route, annotations).options.cookie).toEqual(expected);
  });

  test('the router’s own name', () => {
    expect(read(plain, {}, { cookieName: 'stick' }).options.cookie?.name).toBe('stick');
    const annotations = { 'router.openshift.io/cookie_name': 'mine' };
    expect(read(plain, annotations, { cookieName: 'stick' }).options.cookie?.name).toBe('mine');
  });
});

describe('timeouts (4.6, observed 10)', () => {
  test.each<[string, RouteBuilder, Record<string, string>, number | null, number | null]>([
    ['none', plain, {}, null, null],
    ['both', edge, { timeout: '500', 'timeout-tunnel': '2m' }, 500, 120_000],
    ['microseconds', plain, { timeout: '600000us' }, 600, null],
    ['too long', plain, { timeout: '9000d' }, 2_147_483_647, null],
    ['bad ones', plain, { timeout: '0.5s', 'timeout-tunnel': ' 1s' }, null, null],
    ['passthrough', passthrough, { timeout: '5s' }, null, 5_000],
    ['passthrough with both', passthrough, { timeout: '5s', 'timeout-tunnel': '7s' }, null, 7_000],
    ['passthrough, the tunnel’s is bad', passthrough, { timeout: '5s', 'timeout-tunnel': '7 s' }, null, 5_000],
  ])('%s', (_name, route, values, serverMs, tunnelMs) => {
    const annotations = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`${openshift}/${name}`, value]),
    );
    const { options } = read(route, annotations);
    expect([options.serverTimeoutMs, options.tunnelTimeoutMs]).toEqual([serverMs, tunnelMs]);
  });
});

describe('the interval of health checks (4.6)', () => {
  const name = 'router.openshift.io/haproxy.health.check.interval';

  test.each<[string, string, number | null]>([
    ['a time', '500ms', 500],
    ['too long', '9000d', 2_147_483_647],
    ['a bad one', '5 s', null],
    ['nothing', '0', null],
  ])('%s', (_name, value, expected) => {
    const { options, warnings } = read(passthrough, { [name]: value });
    expect(options.checkIntervalMs).toBe(expected);
    expect(warnings.length).toBe(expected === null ? 1 : 0);
  });
});

describe('allow-lists (5.10, 8.14)', () => {
  const p1 =
    '192.168.1.0 2001:0db8:85a3:0000:0000:8a2e:0370:7334 172.16.14.10/24 2001:0db8:85a3::8a2e:370:10/64 64:ff9b::192.168.0.1 2600:14a0::/40';
  test.each<[string, string | undefined, readonly string[] | null]>([
    ['none', undefined, null],
    ['empty, as templates leave it', '', null],
    ['P4 blanks alone', '   ', null],
    ['P1', p1, p1.split(' ')],
    ['P2 IPv6 alone', '::1 ::ffff:192.168.0.1 2001:db8::/32', ['::1', '::ffff:192.168.0.1', '2001:db8::/32']],
    ['P2 a single address', '192.168.1.0', ['192.168.1.0']],
    ['P3 outer blanks', ' 192.168.10.10  ', ['192.168.10.10']],
    ['P5 nothing valid: nobody', '192.168. 2001:0db8: 192.168.10.5/64 2600:14a0::/256', []],
    ['P6', `${p1} 10.`, p1.split(' ')],
    ['P7', '192.168.1.0 2001:0db8:85a3:0000:0000:8a2e:0370 172.16.14.10/24 10.', ['192.168.1.0', '172.16.14.10/24']],
    ['P8', '192.168.1.0 10.10.0.1 192.168. 10.', ['192.168.1.0', '10.10.0.1']],
    ['P9', '10.0.0.1 :/40 192.168.1 192.168.1./16', ['10.0.0.1']],
    ['P11 double blanks', '10.0.0.1  10.0.0.2', ['10.0.0.1', '10.0.0.2']],
    ['commas', '10.0.0.1, 10.0.0.2/31,10.0.0.9', ['10.0.0.1', '10.0.0.2/31', '10.0.0.9']],
    ['commas alone: nobody', ',,', []],
    ['a zone', 'fe80::1%eth0', []],
  ])('%s', (_name, value, expected) => {
    const annotations: Record<string, string> = value === undefined ? {} : { [`${openshift}/ip_allowlist`]: value };
    const { options, warnings } = read(plain, annotations);
    expect(options.allowedSources).toEqual(expected);
    const entries = (value ?? '').split(/[\s,]+/).filter((entry) => entry !== '');
    expect(warnings.length > 0).toBe(expected !== null && (expected.length < entries.length || expected.length === 0));
  });

  test('P10: no entry of a long list is lost', () => {
    const entries = Array.from({ length: 1024 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const { options } = read(passthrough, { [`${openshift}/ip_allowlist`]: entries.join(' ') });
    expect(options.allowedSources).toEqual(entries);
  });

  test('the old name counts where the new one says nothing', () => {
    const old = { [`${openshift}/ip_whitelist`]: '10.0.0.1' };
    expect(read(plain, old).options.allowedSources).toEqual(['10.0.0.1']);
    expect(read(plain, { ...old, [`${openshift}/ip_allowlist`]: '' }).options.allowedSources).toEqual(['10.0.0.1']);
    expect(read(plain, { ...old, [`${openshift}/ip_allowlist`]: '10.0.0.2' }).options.allowedSources).toEqual([
      '10.0.0.2',
    ]);
  });
});

describe('HSTS (5.14)', () => {
  test.each<[string, RouteBuilder, string, string | null]>([
    ['an age', edge, 'max-age=31536000', 'max-age=31536000'],
    [
      'all, in any case and order',
      edge,
      'PRELOAD;max-age = "99" ; includeSubDomains',
      'PRELOAD;max-age = "99" ; includeSubDomains',
    ],
    ['no age', edge, 'includeSubDomains', null],
    ['an unknown directive', edge, 'max-age=1;foo', null],
    ['a typo', edge, 'max-ages=1', null],
    ['a line break', edge, 'max-age=1\r\nX-Evil: 1', null],
    ['without TLS', plain, 'max-age=1', null],
    ['passthrough', passthrough, 'max-age=1', null],
  ])('%s', (_name, route, value, expected) => {
    expect(read(route, { [`${openshift}/hsts_header`]: value }).options.hsts).toBe(expected);
  });
});

describe('rewrite-target (5.9)', () => {
  test.each([
    ['O1', '%foo', '%foo', true],
    ['O2', '%%foo', '%foo', true],
    ['O3', '%%%foo', '%%%foo', true],
    ['O4', '%%%%foo', '%%foo', true],
    ['O5', "'foo'foo\\'", "foofoo'", true],
    ['O6', '\\foo\\', 'foo', true],
    ['O7', '\\\\foo\\\\', '\\foo\\', true],
    ['O8', '\\\\\\foo\\\\\\', '\\foo\\', true],
    ['O9', '\\\\\\\\foo\\\\\\\\', '\\\\foo\\\\', true],
    ['O10', '# foo # foo', '', false],
    ['O11', '\\# foo # foo', '# foo ', false],
    ['O12', 'foo # foo', 'foo ', false],
    ['O13', '"foo"foo\\"', 'foofoo"', true],
    ['O14', `\\\\foo\\"foo"\\#foo\\foo'foo\\'#foo`, `\\foo"foo#foofoofoo'`, false],
  ])('%s', (_id, text, target, keepsRest) => {
    expect(unquotedTarget(text)).toEqual({ target, keepsRest });
  });

  test('what no request may ask for is not asked for', () => {
    const annotation = `${openshift}/rewrite-target`;
    expect(read(plain.path('/a'), { [annotation]: '/b' }).options.rewrite).toEqual({
      prefix: '/a',
      target: '/b',
      keepsRest: true,
    });
    for (const bad of ['b', '/b c', '/b\r\nX: 1', '/\\#x']) {
      const { options, warnings } = read(plain, { [annotation]: bad });
      expect([bad, options.rewrite, warnings.length]).toEqual([bad, null, 1]);
    }
  });
});

test('a bad value is told of, what stands in its place too, and it is cut short', () => {
  const { options, warnings } = read(plain, {
    [`${openshift}/set-forwarded-headers`]: 'x'.repeat(100),
    [`${openshift}/ip_allowlist`]: '10.0.0.1 nonsense',
  });
  expect(options.forwarded).toBe('append');
  expect(warnings).toEqual([
    `annotation ${openshift}/set-forwarded-headers: "${'x'.repeat(40)}..." is not one of append, replace, if-none, never: it is ignored`,
    `annotation ${openshift}/ip_allowlist: "nonsense" is not an address or a network: it lets nobody in, the others do`,
  ]);
});

describe('header actions (1.4)', () => {
  const route = (request: HeaderActionLists['request'], response: HeaderActionLists['response'] = []) =>
    ({ ...plain.build(), headerActions: { request, response } }) as const;
  const of = (built: RouteManifest, own: Partial<OptionSettings> = {}): Read => {
    const warnings: string[] = [];
    return { options: routeOptions(built, { ...settings, ...own }, warnings), warnings };
  };

  test('none are null', () => {
    expect(of(plain.build()).options).toMatchObject({ requestActions: null, responseActions: null });
  });

  test("the router's come first on requests, and last on answers", () => {
    const mine = [{ name: 'X-Mine', value: 'a%%' }];
    const routers = [{ name: 'X-Router', parts: null }];
    const { options, warnings } = of(route(mine, mine), { requestHeaders: routers, responseHeaders: routers });
    expect(options.requestActions).toEqual([...routers, { name: 'X-Mine', parts: ['a%'] }]);
    expect(options.responseActions).toEqual([{ name: 'X-Mine', parts: ['a%'] }, ...routers]);
    expect(warnings).toEqual([]);
  });

  test('passthrough has none', () => {
    const { options } = of(passthrough.build(), { requestHeaders: [{ name: 'X', parts: null }] });
    expect(options.requestActions).toBeNull();
  });

  test('what would break messages is left out', () => {
    const { options, warnings } = of(
      route([{ name: 'Transfer-Encoding', value: 'chunked' }], [{ name: 'Host', value: null }]),
    );
    expect(options).toMatchObject({ requestActions: null, responseActions: null });
    expect(warnings).toEqual([
      'request header action for "Transfer-Encoding": the router itself decides on this field: it is ignored',
      'response header action for "Host": no request goes without Host: it is ignored',
    ]);
  });
});

describe('rate limits (5.11)', () => {
  const name = `${openshift}/rate-limit-connections`;
  test.each<[string, RouteBuilder, Record<string, string>, unknown, number]>([
    ['no switch', plain, { '.rate-http': '5' }, null, 0],
    ['only the switch', plain, { '': 'true' }, null, 0],
    ['a bad switch', plain, { '': 'yes', '.rate-http': '5' }, null, 1],
    ['all', edge, { '': 'true', '.rate-http': '5', '.rate-tcp': '+4', '.concurrent-tcp': '3' }, [3, 4, 5], 0],
    ['no number', plain, { '': 'true', '.rate-http': 'x', '.rate-tcp': '1.5' }, null, 2],
    ['one of two', plain, { '': 'true', '.rate-http': 'x', '.rate-tcp': '2' }, [null, 2, null], 1],
    ['0 and less', plain, { '': 'true', '.rate-http': '-1', '.concurrent-tcp': '0' }, [0, null, 0], 2],
    ['huge', plain, { '': 'true', '.rate-tcp': '9'.repeat(400) }, [null, Number.MAX_SAFE_INTEGER, null], 0],
    ['passthrough', passthrough, { '': 'true', '.rate-http': '5', '.rate-tcp': '2' }, [null, 2, null], 1],
  ])('%s', (_name, route, values, expected, warned) => {
    const annotations = Object.fromEntries(Object.entries(values).map(([end, value]) => [name + end, value]));
    const { options, warnings } = read(route, annotations);
    const limit = options.rateLimit;
    expect(limit && [limit.connections, limit.connectionRate, limit.requestRate]).toEqual(expected);
    expect(warnings).toHaveLength(warned);
  });

  test.each([
    ['5', 5, 0],
    ['', null, 0],
    ['0', null, 1],
    ['-3', null, 1],
    ['many', null, 1],
  ])('pod-concurrent-connections: %o', (value, expected, warned) => {
    const { options, warnings } = read(plain, { [`${openshift}/pod-concurrent-connections`]: value });
    expect([options.podConnections, warnings.length]).toEqual([expected, warned]);
  });
});
