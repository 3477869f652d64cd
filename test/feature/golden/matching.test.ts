// Golden cases of the reference (observed 2, 3, 23, 31; Route semantics 8.20 V1): which Route answers a request, from Route
// objects to sockets. A fourth column names the row of docs/compatibility.md where Headgate answers otherwise on purpose.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../support/certificates.ts';
import { cases, type GoldenCase, type Row } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import { type Ask, GoldenRouter } from '../../support/golden/router.ts';
import { aRoute, type RouteBuilder } from '../../support/manifests.ts';

/** A Route to the Service of its pod, named after the host and the pod. */
function on(host: string, pod: string, path = ''): RouteBuilder {
  return aRoute(`${namespace}/${host}-${pod}`).host(host).to(pod).path(path);
}

let golden: GoldenRouter;
const pair = makeCertificate({ names: ['*.we.test'] });

beforeAll(async () => {
  const paths = ['', '/sub', '/sub/deep', '/slash/', '/Case', '/a.b', '/foo/', '/foo/!x', '/e%20x', '/p+q(1)'];
  const terminations = (['edge', 'reencrypt', 'passthrough'] as const).flatMap((termination) =>
    ['', 'None', 'Allow', 'Redirect'].map((policy) => {
      const host = `${termination}-${(policy || 'unset').toLowerCase()}.i.test`;
      const pod = termination === 'edge' ? 's1' : 't0';
      return on(host, pod).tls({ termination, insecurePolicy: policy });
    }),
  );
  const routes = [
    ...paths.map((path, i) => on('match.d.test', `s${i}`, path)),
    ...[on('only.d.test', 's1', '/only'), on('rootslash.d.test', 's2', '/'), on('Upper.d.test', 's3')],
    // Observed 24: of an empty path and `/` the larger name answers.
    ...[on('both.d.test', 's1', '/'), on('both.d.test', 's0')],
    ...terminations,
    on('no-tls.i.test', 's1'),
    on('mix.i.test', 's1').edge().insecure('Redirect'),
    on('mix.i.test', 's2', '/none').edge(),
    on('mix.i.test', 's3', '/allow').edge().insecure('Allow'),
    on('mix.i.test', 's4', '/plain'),
    on('mix.i.test', 's5', '/none/redir').edge().insecure('Redirect'),
    on('odd.adm.test', 's0', '/a b'),
    on('odd.adm.test', 's1', '/a#b'),
    on('odd.adm.test', 's2', '/a?b'),
    on('www.wr.test', 's0').wildcard(),
    on('www.wr.test', 's2', '/wp').wildcard(),
    on('exact.wr.test', 's1'),
    on('fall.wr.test', 's3', '/only'),
    on('www.sub.wr.test', 's4').wildcard(),
    on('www.we.test', 's5').wildcard().edge(pair),
    on('own.we.test', 's6').edge(makeCertificate({ names: ['own.we.test'] })),
    on('www.wpt.test', 't0').wildcard().passthrough(),
    on('edge.wpt.test', 's7').edge(),
    on('www.wredir.test', 's8').wildcard().edge().insecure('Redirect'),
    on('plain.wredir.test', 's9'),
    on('www.wnocert.test', 's0').wildcard().edge().insecure('Allow'),
  ];
  const podPair = makeCertificate({ names: ['t0.diff-a.svc'] });
  const tls = { cert: podPair.certificate, key: podPair.key };
  golden = await GoldenRouter.start(
    [...numberedServices(10), { service: 't0', pods: ['t0'], tls }],
    routes.map((route) => route.build()),
    { env: { ROUTER_ALLOW_WILDCARD_ROUTES: 'true', HEADGATE_PUBLIC_HTTPS_PORT: '443' } },
  );
});
afterAll(() => golden[Symbol.asyncDispose]());

async function check({ input, expected }: Omit<GoldenCase<Ask>, 'name'>): Promise<void> {
  const { words, certificate } = await golden.ask(input);
  expect(expected.includes(' by ') ? `${words} by ${certificate}` : words).toBe(expected);
}

describe('observed 2: paths', () => {
  const differs = '`/foo/` and `/foo/!x`';
  const rows: readonly (readonly [target: string, expected: string, differs?: string])[] = [
    ['/', '200 s0 GET /'],
    ['/sub', '200 s1 GET /sub'],
    ['/sub/', '200 s1 GET /sub/'],
    ['/sub/x', '200 s1 GET /sub/x'],
    ['/subpar', '200 s0 GET /subpar'],
    ['/sub?x=1', '200 s1 GET /sub?x=1'],
    ['/sub;p=1', '200 s0 GET /sub;p=1'],
    ['/sub/deep', '200 s2 GET /sub/deep'],
    ['/sub/deeper', '200 s1 GET /sub/deeper'],
    ['/sub/deep/z', '200 s2 GET /sub/deep/z'],
    ['/SUB', '200 s0 GET /SUB'],
    ['/slash', '200 s0 GET /slash'],
    ['/slash/', '200 s3 GET /slash/'],
    ['/slash/x', '200 s3 GET /slash/x'],
    ['/slash?q', '200 s0 GET /slash?q'],
    ['/Case', '200 s4 GET /Case'],
    ['/case', '200 s0 GET /case'],
    ['/%73ub', '200 s0 GET /%73ub'],
    ['/sub%2Fx', '200 s0 GET /sub%2Fx'],
    ['/sub%2fdeep', '200 s0 GET /sub%2fdeep'],
    ['//sub', '200 s0 GET //sub'],
    ['/x/../sub', '200 s0 GET /x/../sub'],
    ['/./sub', '200 s0 GET /./sub'],
    ['/sub/../x', '200 s1 GET /sub/../x'],
    ['/a.b', '200 s5 GET /a.b'],
    ['/axb', '200 s0 GET /axb'],
    ['/foo/!x', '200 s7 GET /foo/!x', differs],
    ['/foo/!x/y', '200 s7 GET /foo/!x/y', differs],
    ['/foo/a', '200 s6 GET /foo/a'],
    ['/foo', '200 s0 GET /foo'],
    ['/e%20x', '200 s8 GET /e%20x'],
    ['/e x', '400 bad-request-line'],
    ['/p+q(1)', '200 s9 GET /p+q(1)'],
    ['/ppq1', '200 s0 GET /ppq1'],
    ['/sub#frag', '400 bad-target'],
  ];
  const asked = rows.map(([target, ...rest]): Row<Ask> => [target, { host: 'match.d.test', target }, ...rest]);
  test.each(cases(asked))('$name', check);
});

describe('observed 2: hosts', () => {
  const host = 'match.d.test';
  const target = '/sub';
  const found = '200 s1 GET /sub';
  const absolute = 'absolute-form request targets';
  const head = (first: string, hosts: string): Ask => ({ text: `${first}\r\n${hosts}\r\n` });
  test.each(
    cases<Ask>([
      ['with port', { host: `${host}:28080`, target }, found],
      ['upper case', { host: 'MATCH.d.Test', target }, found],
      ['trailing dot', { host: `${host}.`, target }, found],
      ['trailing dot and port', { host: `${host}.:80`, target }, found],
      ['port not a number', { host: `${host}:8x`, target }, '400 bad-host', 'a port in Host that is no number'],
      ['empty port', { host: `${host}:`, target }, found, 'an empty port in Host'],
      ['absolute form', { host, target: `http://${host}/sub/x?y=1` }, '200 s1 GET /sub/x?y=1', absolute],
      [
        'absolute form, Host differs',
        { host: 'only.d.test', target: `http://${host}/` },
        '400 host-differs-from-target',
      ],
      ['OPTIONS *', { host, method: 'OPTIONS', target: '*' }, '200 s0 OPTIONS *'],
      ['absolute form without path', { host, target: `http://${host}` }, '200 s0 GET /', absolute],
      ['Route with path, request elsewhere', { host: 'only.d.test', target: '/else' }, '503 no-route'],
      ['Route with path, boundary', { host: 'only.d.test', target: '/onlyx' }, '503 no-route'],
      ['path / matches all', { host: 'rootslash.d.test', target: '/any/thing' }, '200 s2 GET /any/thing'],
      ['spec.host upper case', { host: 'upper.d.test' }, '503 no-route'],
      ['prefix host', { host: 'xmatch.d.test' }, '503 no-route'],
      ['suffix host', { host: `${host}.x` }, '503 no-route'],
      ['dot in host is literal', { host: 'matchxd.test' }, '503 no-route'],
      ['empty Host', { host: '' }, '503 no-route'],
      ['no Host, HTTP/1.0', head('GET / HTTP/1.0', ''), '503 no-route'],
      ['no Host, HTTP/1.1', head('GET / HTTP/1.1', ''), '400 missing-host', 'HTTP/1.1 without Host'],
      [
        'two Host lines, same',
        head('GET / HTTP/1.1', `Host: ${host}\r\n`.repeat(2)),
        '400 several-hosts',
        'several Host lines, equal',
      ],
      ['two Host lines, different', head('GET / HTTP/1.1', `Host: ${host}\r\nHost: b.test\r\n`), '400 several-hosts'],
      ['observed 24: / and the empty path', { host: 'both.d.test', target: '/zzz' }, '200 s1 GET /zzz'],
      ['observed 23: path with blank', { host: 'odd.adm.test', target: '/a%20b' }, '503 no-route'],
      ['observed 23: path with #', { host: 'odd.adm.test', target: '/a#b' }, '400 bad-target'],
      ['observed 23: path with ?', { host: 'odd.adm.test', target: '/a?b' }, '503 no-route'],
    ]),
  )('$name', check);

  test('spec.host upper case: status', () => {
    expect(golden.router.verdictOf(namespace, 'Upper.d.test-s3')).toContain(
      'InvalidHost: host name validation errors: ',
    );
  });
});

describe('observed 3: terminations and policies', () => {
  const target = '/a?b=c';
  const terminated = { unset: '503 no-route', none: '503 no-route', allow: '', redirect: '' };
  test.each(
    (['edge', 'reencrypt'] as const).flatMap((termination) =>
      Object.entries(terminated).map(([policy, word]) => ({ termination, policy, word })),
    ),
  )('$termination $policy', async ({ termination, policy, word }) => {
    const host = `${termination}-${policy}.i.test`;
    const served = `200 ${termination === 'edge' ? 's1' : 't0'} GET ${target}`;
    const plain = word || (policy === 'allow' ? served : `302 https://${host}${target}`);
    expect((await golden.ask({ host, target })).words).toBe(plain);
    await check({ input: { host, target, over: 'https' }, expected: `${served} by *.apps.example.test` });
  });

  test.each(
    cases<Ask>([
      ['passthrough unset on http', { host: 'passthrough-unset.i.test' }, '503 no-route'],
      ['passthrough none on http', { host: 'passthrough-none.i.test' }, '503 no-route'],
      [
        'passthrough redirect on http',
        { host: 'passthrough-redirect.i.test', target },
        `302 https://passthrough-redirect.i.test${target}`,
      ],
      ...['unset', 'none', 'redirect'].map(
        (policy): Row<Ask> => [
          `passthrough ${policy} on https`,
          { host: `passthrough-${policy}.i.test`, target, over: 'https' },
          `200 t0 GET ${target} by t0.diff-a.svc`,
        ],
      ),
      ['no TLS on http', { host: 'no-tls.i.test' }, '200 s1 GET /'],
      ['no TLS on https', { host: 'no-tls.i.test', over: 'https' }, '503 no-route by *.apps.example.test'],
    ]),
  )('$name', check);

  const mixed = {
    '/': ['302 https://mix.i.test/', 's1'],
    '/none': ['503 no-route', 's2'],
    '/none/x': ['503 no-route', 's2'],
    '/nonex': ['302 https://mix.i.test/nonex', 's1'],
    '/allow': ['200 s3 GET /allow', 's3'],
    '/allow/x': ['200 s3 GET /allow/x', 's3'],
    '/plain': ['200 s4 GET /plain', 's1'],
    '/none/redir/z': ['302 https://mix.i.test/none/redir/z', 's5'],
  };
  test.each(Object.entries(mixed))('mixed paths %s', async (path, [plain = '', pod]) => {
    await check({ input: { host: 'mix.i.test', target: path }, expected: plain });
    await check({ input: { host: 'mix.i.test', target: path, over: 'https' }, expected: `200 ${pod} GET ${path}` });
  });
});

describe('observed 3, Route semantics V1: redirects', () => {
  const host = 'edge-redirect.i.test';
  const to = (target: string): string => `302 https://${host}${target}`;
  test.each(
    cases<Ask>([
      ['plain', { host }, to('/')],
      ['path', { host, target: '/testpath' }, to('/testpath')],
      ['query', { host, target: '/testpath?bar=baz&x=%20y' }, to('/testpath?bar=baz&x=%20y')],
      ['port 8080', { host: `${host}:8080` }, to('/')],
      ['upper case host', { host: 'EDGE-Redirect.i.test' }, to('/')],
      ['trailing dot', { host: `${host}.` }, `302 https://${host}./`],
      ['POST', { host, method: 'POST', target: '/p', body: 'abc' }, to('/p')],
      ['HEAD', { host, method: 'HEAD' }, to('/')],
      ['HTTP/1.0', { host, version: '1.0' }, to('/')],
      ['absolute form', { host, target: `http://${host}/abs?q=1` }, to('/abs?q=1'), 'absolute-form request targets'],
      ['double slash', { host, target: '//evil.test/x' }, to('//evil.test/x')],
      ['odd bytes', { host, target: '/a"b<c>?d=%0d%0ae' }, to('/a"b<c>?d=%0d%0ae')],
      ['h2c prior knowledge', { host, over: 'h2c', target: '/h2?x' }, to('/h2?x'), 'redirects of cleartext HTTP/2'],
    ]),
  )('$name', check);

  test('the connection is kept', async () => {
    using client = await golden.connect();
    for (const target of ['/1', '/2']) {
      await client.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect((await client.message()).status).toBe(302);
    }
  });
});

describe('observed 31: wildcards', () => {
  const secure = (host: string): Ask => ({ host, over: 'https' });
  test.each(
    cases<Ask>([
      ['www', { host: 'www.wr.test' }, '200 s0 GET /'],
      ['foo', { host: 'foo.wr.test' }, '200 s0 GET /'],
      ['path of a wildcard', { host: 'foo.wr.test', target: '/wp/x' }, '200 s2 GET /wp/x'],
      ['exact', { host: 'exact.wr.test' }, '200 s1 GET /'],
      ['exact, path of the wildcard', { host: 'exact.wr.test', target: '/wp' }, '200 s1 GET /wp'],
      ['exact with path', { host: 'fall.wr.test', target: '/only' }, '200 s3 GET /only'],
      ['exact with path, request elsewhere', { host: 'fall.wr.test', target: '/else' }, '200 s0 GET /else'],
      ['parent', { host: 'wr.test' }, '503 no-route'],
      ['two levels', { host: 'a.b.wr.test' }, '503 no-route'],
      ['deeper wildcard', { host: 'x.sub.wr.test' }, '200 s4 GET /'],
      ['empty label', { host: '.wr.test' }, '503 no-route', 'Host names like `.example.com`, `a_b.example.com`'],
      ['trailing dot', { host: 'foo.wr.test.' }, '200 s0 GET /'],
      ['underscore', { host: 'a-b_c.wr.test' }, '503 no-route', 'Host names like `.example.com`, `a_b.example.com`'],
      ['plain beside a redirect', { host: 'plain.wredir.test' }, '200 s9 GET /'],
      ['redirect', { host: 'zz.wredir.test', target: '/a?b' }, '302 https://zz.wredir.test/a?b'],
      ['edge Allow', { host: 'q.wnocert.test' }, '200 s0 GET /'],
      ['wildcard edge', secure('foo.we.test'), '200 s5 GET / by *.we.test'],
      ['exact edge beside wildcard', secure('own.we.test'), '200 s6 GET / by own.we.test'],
      ['wildcard edge, parent', secure('we.test'), '503 no-route by *.apps.example.test'],
      ['wildcard passthrough', secure('x.wpt.test'), '200 t0 GET / by t0.diff-a.svc'],
      [
        'exact edge under a passthrough wildcard',
        secure('edge.wpt.test'),
        '200 s7 GET / by *.apps.example.test',
        'passthrough wildcard and an exact terminated host',
      ],
      ['wildcard without certificate', secure('q.wnocert.test'), '200 s0 GET / by *.apps.example.test'],
    ]),
  )('$name', check);
});
