// Golden cases of the reference (observed 7, 9, 11, 40; Route semantics 8.13, 8.17): sticky cookies and rewritten paths, from the
// annotations of Routes to what pods and clients get, and what one bad Route does to the others.

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../support/certificates.ts';
import { cases, type GoldenCase, type Row } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import { type Ask, GoldenRouter, toldValues } from '../../support/golden/router.ts';
import { aRoute, aSlice, type RouteBuilder } from '../../support/manifests.ts';

const openshift = 'haproxy.router.openshift.io';
const sameSite = 'router.openshift.io/cookie-same-site';
const named = 'router.openshift.io/cookie_name';
const disabled = `${openshift}/disable_cookies`;
const rewrite = `${openshift}/rewrite-target`;

function on(name: string, host: string, pod = 's0'): RouteBuilder {
  return aRoute(`${namespace}/${name}`).host(host).to(pod);
}

const cookieRoutes: Readonly<Record<string, (plain: RouteBuilder) => RouteBuilder>> = {
  none: (plain) => plain,
  edge: (plain) => plain.edge(),
  allow: (plain) => plain.edge().insecure('Allow'),
  redirect: (plain) => plain.edge().insecure('Redirect'),
  reen: (plain) => plain.to('t0').reencrypt(),
  reenallow: (plain) => plain.to('t0').reencrypt().insecure('Allow'),
  name: (plain) => plain.annotation(named, 'unsecure-cookie_1'),
  badname: (plain) => plain.annotation(named, 'a b'),
  dotname: (plain) => plain.annotation(named, 'a.b'),
  'ss-lax': (plain) => plain.edge().annotation(sameSite, 'Lax'),
  'ss-strict': (plain) => plain.edge().annotation(sameSite, 'Strict'),
  'ss-none': (plain) => plain.edge().annotation(sameSite, 'None'),
  'ss-lower': (plain) => plain.edge().annotation(sameSite, 'lax'),
  'ss-blank': (plain) => plain.edge().annotation(sameSite, ' Lax'),
  ssallow: (plain) => plain.edge().insecure('Allow').annotation(sameSite, 'Lax'),
  ssnone: (plain) => plain.annotation(sameSite, 'Lax'),
  'dis-true': (plain) => plain.annotation(disabled, 'true'),
  'dis-true2': (plain) => plain.annotation(disabled, 'TRUE'),
  'dis-1': (plain) => plain.annotation(disabled, '1'),
  'dis-yes': (plain) => plain.annotation(disabled, 'yes'),
  'dis-false': (plain) => plain.annotation(disabled, 'false'),
  pod: (plain) => plain.to('podref'),
};

/** Routes that differ in their path and in what it becomes, each on a host of its own. */
const rewrites: readonly Row<readonly [path: string, target: string, asked: string]>[] = [
  ...(
    [
      ['/foo', '/', '/foo', '/'],
      ['/foo', '/', '/foo/', '/'],
      ['/foo', '/', '/foo/bar', '/bar'],
      ['/foo', '/', '/foo/bar/', '/bar/'],
      ['/foo', '/', '/foo?x=1', '/?x=1'],
      ['/foo', '/', '/foo/bar?x=1', '/bar?x=1'],
      ['/foo', '/', '/foo//bar', '//bar'],
      ['/foo', '/', '/foo/b%20c', '/b%20c'],
      ['/foo', '/bar', '/foo', '/bar'],
      ['/foo', '/bar', '/foo/', '/bar/'],
      ['/foo', '/bar', '/foo/bar', '/bar/bar'],
      ['/foo', '/bar', '/foo/bar/', '/bar/bar/'],
      ['/foo', '/bar', '/foo/bar?q=/foo', '/bar/bar?q=/foo'],
      ['/foo/', '/', '/foo', '503 no-route'],
      ['/foo/', '/', '/foo/bar', '/bar'],
      ['/foo/', '/', '/foo/', '/'],
      ['/foo/', '/bar', '/foo/', '/bar'],
      ['/foo/', '/bar', '/foo/bar', '/barbar'],
      ['/', '/bar', '/x', '/barx'],
      ['/', '/bar', '/', '/bar'],
      ['/', '/bar', '/x?y', '/barx?y'],
      ['', '/bar', '/x', '/bar/x'],
      ['', '/bar', '/', '/bar/'],
      ['', '/', '/x', '/x'],
      ['', '/', '//x', '//x'],
      ['', '/', '/', '/'],
      ['/a.b', '/', '/a.b/x', '/x'],
      ['/a+b', '/z', '/a+b/x', '/z/x', '`rewrite-target`'],
      ['/foo', 'bar', '/foo/x', '/foo/x'],
      ['/foo', '/%bar', '/foo/x', '/%bar/x'],
      ['/foo', '/a#b', '/foo/x', '/a'],
      ['/foo', '/a"b', '/foo/x', '/ab/x'],
      ['/foo', "/a'b", '/foo/x', '/ab/x'],
      ['/foo', '/a\\b', '/foo/x', '/ab/x'],
      ['/foo', '/%[src]', '/foo/x', '/%[src]/x'],
      ['/foo', '/a?b=1', '/foo/x', '/a?b=1/x'],
      ['/foo', '/a?b=1', '/foo/x?c=2', '/a?b=1/x?c=2'],
      ['/foo', '/a b', '/foo/x', '/foo/x', '`rewrite-target` with blanks or control characters'],
      ["/fo'o", '/', "/fo'o/x", '/x'],
      // Route semantics 8.13, the rendered rules.
      ['/app', '/', '/app', '/'],
      ['/app', '/', '/apple', '503 no-route'],
      ['/api/v1', '/v2', '/api/v1/x', '/v2/x'],
      ["/foo'", '/', "/foo'/y", '/y'],
    ] as const
  ).map(
    ([path, target, asked, expected, ...differs]): Row<readonly [string, string, string]> => [
      `path '${path}' target '${target}' request '${asked}'`,
      [path, target, asked],
      expected.startsWith('/') ? `200 s0 GET ${expected}` : expected,
      ...differs,
    ],
  ),
];

let golden: GoldenRouter;

beforeAll(async () => {
  const podPair = makeCertificate({ names: ['t0.diff-a.svc'] });
  const tls = { cert: podPair.certificate, key: podPair.key };
  const routes = [
    ...Object.entries(cookieRoutes).map(([name, of]) => of(on(`k-${name}`, `${name}.k.test`))),
    aRoute('diff-b/k-none').host('other.k.test').to('s0'),
    ...rewrites.map(([, [path, target]], i) => on(`r-${i}`, `r${i}.r.test`).path(path).annotation(rewrite, target)),
  ];
  golden = await GoldenRouter.start(
    [...numberedServices(2), { service: 't0', pods: ['t0'], tls }],
    routes.map((route) => route.build()),
  );
  const port = golden.pods.portOf('s0');
  golden.router.put(
    aSlice(`${namespace}/podref`).of('podref').port(port, 'http').endpoint('127.0.0.1', { pod: 'web-1' }).build(),
    aSlice('diff-b/s0').of('s0').port(port, 'http').endpoint('127.0.0.1').build(),
  );
});
afterAll(() => golden[Symbol.asyncDispose]());

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

describe('observed 7: the sticky cookie', () => {
  const plain = '; path=/; HttpOnly';
  const secure = (word = 'None'): string => `; path=/; HttpOnly; Secure; SameSite=${word}`;
  const k = (name: string, ask: Ask = {}): Ask => ({ host: `${name}.k.test`, ...ask });
  const tls = { over: 'https' } as const;

  /** What is set, with `*` for the value that the Endpoint's identity makes. */
  const check = async ({ input, expected }: GoldenCase<Ask>): Promise<void> => {
    const told = await golden.ask(input);
    const pod = told.seen?.pod ?? '';
    const ids = [`ept:${pod}:http`, 'pod:web-1:podref:http'].map((id) =>
      md5(`${id}:127.0.0.1:${golden.pods.portOf(pod)}`),
    );
    const set = toldValues(told, 'set-cookie').map((cookie) =>
      cookie.replace(new RegExp(`=(${ids.join('|')});`), '=*;'),
    );
    expect(set.join(' | ')).toBe(expected);
  };

  test.each(
    cases<Ask>([
      ['plain', k('none'), `321442074514aa46605ccf00fa15c16b=*${plain}`],
      ['same name, other namespace', k('other'), `9fa21036655a5616ec36eca239e552b2=*${plain}`],
      ['edge', k('edge', tls), `73f5ecd43d945e0ec6cbafc6a7935f6c=*${secure()}`],
      ['edge Allow, https', k('allow', tls), `dd62bf8a287646dad814b6eca84debd4=*${plain}`],
      ['edge Allow, http', k('allow'), `dd62bf8a287646dad814b6eca84debd4=*${plain}`],
      ['edge Redirect', k('redirect', tls), `64628adfa1e1282ef2b2b9a9b8cd1fd2=*${secure()}`],
      ['re-encrypt', k('reen', tls), `0322849404cf971bcd3a54f9b1fba2d0=*${secure()}`],
      ['re-encrypt Allow', k('reenallow'), `329ed5d8b3ef8b8f7feb6d8b76c7640c=*${plain}`],
      ['cookie_name', k('name'), `unsecure-cookie_1=*${plain}`],
      ['cookie_name with blank', k('badname'), `c78ff0f5d407326793845a6ac68e8662=*${plain}`],
      ['cookie_name with dot', k('dotname'), `8ae6edce642a31ab37fb0b635a6d6a90=*${plain}`],
      ['same-site lax', k('ss-lax', tls), `b2cdb66d2f82f8b3b94ea208c2deb873=*${secure('Lax')}`],
      ['same-site strict', k('ss-strict', tls), `8ccacef142900f23d5d8711dba106a1b=*${secure('Strict')}`],
      ['same-site none', k('ss-none', tls), `78d761bbb86abece503082459f8da2c2=*${secure('None')}`],
      ['same-site lower', k('ss-lower', tls), `4070d1423da5e4a0f13b4b0cca63ee13=*${secure()}`],
      ['same-site blank', k('ss-blank', tls), `45409fcbb346360f69dc533716259b3b=*${secure()}`],
      ['same-site on Allow', k('ssallow', tls), `d5fc1c251041e6adc42f48a1998fb123=*${plain}`],
      ['same-site on plain', k('ssnone'), `a830d12f0524ae771fbee2b0e1989daf=*${plain}`],
      ['disable_cookies true', k('dis-true'), ''],
      ['disable_cookies TRUE', k('dis-true2'), ''],
      ['disable_cookies 1', k('dis-1'), ''],
      ['disable_cookies yes', k('dis-yes'), `61dbc86a36c6f341a3b6aaba3ec7098a=*${plain}`],
      ['disable_cookies false', k('dis-false'), `66c04d5eb763adb46904a91965a994aa=*${plain}`],
      ['pod endpoint', k('pod'), `6491813cfeeaf363c8979d41690cf315=*${plain}`],
      [
        'backend sets its own cookie',
        k('name', { target: '/?_do=h=Set-Cookie:a%3Db' }),
        `a=b | unsecure-cookie_1=*${plain}`,
      ],
      ['error from backend too', k('name', { target: '/?_do=status=500' }), `unsecure-cookie_1=*${plain}`],
      ['HEAD', k('name', { method: 'HEAD' }), `unsecure-cookie_1=*${plain}`],
      ['backend closes: 502', k('name', { target: '/?_do=close' }), ''],
    ]),
  )('$name', check);

  test('backend sets Cache-Control public: nothing is added to it', async () => {
    const told = await golden.ask(k('none', { target: '/?_do=h=Cache-Control:public' }));
    expect(toldValues(told, 'cache-control')).toEqual(['public']);
  });
});

test('observed 9: a Service that is set to weight 0 keeps the clients that have its cookie', async () => {
  const route = on('w0', 'w0.k.test').alternate('s1');
  golden.router.put(route.build());
  const answers: string[] = [];
  const cookies: string[] = [];
  for (let i = 0; i < 2; i++) {
    const told = await golden.ask({ host: 'w0.k.test' });
    answers.push(told.seen?.pod ?? '');
    cookies.push(toldValues(told, 'set-cookie')[0]?.split(';')[0] ?? '');
  }
  expect([...answers].sort()).toEqual(['s0', 's1']);
  const cookie = cookies[answers.indexOf('s1')];
  golden.router.put(on('w0', 'w0.k.test').alternate('s1', 0).build());
  for (const [lines, pod] of [
    [`Cookie: ${cookie}\r\n`, 's1'],
    ['', 's0'],
    [`Cookie: ${cookie}\r\n`, 's1'],
    ['', 's0'],
  ] as const) {
    expect((await golden.ask({ host: 'w0.k.test', lines })).words).toBe(`200 ${pod} GET /`);
  }
});

test('Route semantics W12: with disable_cookies the cookie of before binds nobody', async () => {
  const route = on('w12', 'w12.k.test').alternate('s1');
  golden.router.put(route.build());
  const [set = ''] = toldValues(await golden.ask({ host: 'w12.k.test' }), 'set-cookie');
  const asked = async (): Promise<string[]> => {
    const pods: string[] = [];
    for (let i = 0; i < 10; i++) {
      const told = await golden.ask({ host: 'w12.k.test', lines: `Cookie: ${set.split(';')[0]}\r\n` });
      pods.push(told.seen?.pod ?? '');
    }
    return pods;
  };
  expect(new Set(await asked()).size).toBe(1);
  golden.router.put(route.annotation(disabled, 'true').build());
  expect([...(await asked())].sort().join(' ')).toBe('s0 s0 s0 s0 s0 s1 s1 s1 s1 s1');
});

describe('observed 11: rewrite-target', () => {
  test.each(cases(rewrites).map((each, i) => ({ ...each, host: `r${i}.r.test` })))(
    '$name',
    async ({ host, input, expected }) => {
      expect((await golden.ask({ host, target: input[2] })).words).toBe(expected);
    },
  );
});

describe('observed 40: one bad Route and everybody else', () => {
  const poison = on('poison', 'poison.p.test');
  const pods = `${openshift}/pod-concurrent-connections`;
  const odd: readonly Row<RouteBuilder>[] = [
    [
      'open parenthesis in path with rewrite-target',
      poison.path('/a(b').annotation(rewrite, '/'),
      '503 no-route',
      'a bad object',
    ],
    ['header value with odd quotes', poison.headers({ request: [{ name: 'X-A', value: `"it's` }] }), '200 s0 GET /'],
    ['rewrite-target ending in a backslash', poison.annotation(rewrite, '/b\\'), '200 s0 GET /b/', 'a bad object'],
    ['huge pod-concurrent-connections', poison.annotation(pods, '99999999999999999999'), '200 s0 GET /'],
    ['negative pod-concurrent-connections', poison.annotation(pods, '-1'), '200 s0 GET /'],
    [
      'rate-http 99999999999',
      poison
        .annotation(`${openshift}/rate-limit-connections`, 'true')
        .annotation(`${openshift}/rate-limit-connections.rate-http`, '99999999999'),
      '200 s0 GET /',
    ],
    [
      'CA file that is a key',
      poison.edge().tls({ caCertificate: makeCertificate({ names: ['a.test'] }).key }),
      '503 no-route',
    ],
  ];
  test.each(cases(odd))('$name', async ({ input: route, expected }) => {
    const innocent = on('innocent', 'innocent.p.test');
    golden.router.put(route.build(), innocent.build());
    expect((await golden.ask({ host: 'poison.p.test' })).words).toBe(expected);
    expect((await golden.ask({ host: 'innocent.p.test' })).words).toBe('200 s0 GET /');
    expect(golden.router.verdictOf(namespace, 'innocent')).toBe('Admitted');
    golden.router.remove(route.build(), innocent.build());
    expect((await golden.ask({ host: 'poison.p.test' })).words).toBe('503 no-route');
  });
});
