import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Change, NO_REVISION, type Revision } from '../../src/table/delta.ts';
import { backendId, type InsecurePolicy, routeKey, type Scheme, type Termination } from '../../src/table/entries.ts';
import { ANY_HOST, type Host, parseHost } from '../../src/table/host.ts';
import { pathPrefix } from '../../src/table/path.ts';
import { RevisionGap, RouteTable, serves } from '../../src/table/route-table.ts';
import {
  backend,
  certificate,
  certificateId,
  defaultCertificate,
  hostWithRoutes,
  type RouteWish,
} from '../support/rules.ts';

type Wish = Omit<RouteWish, 'host'> & { readonly name: string };

/** A Host with Routes named after their pods, in any order; each has an Endpoint unless its wish says otherwise. */
function hostOf(host: string, wishes: readonly Wish[], certificateName: string | null = null): Change[] {
  const held = wishes.map((wish) => ({ host, pods: [1], ...wish, path: pathPrefix(wish.path ?? '') }));
  held.sort((a, b) => b.path.length - a.path.length);
  return hostWithRoutes(host, held, certificateName === null ? null : certificateId(certificateName));
}

function tableOf(...changes: readonly (readonly Change[])[]): RouteTable {
  const table = new RouteTable();
  for (const each of changes) table.load(each);
  return table;
}

/** What becomes of a request, in words: `s1`, `redirect s1`, `unavailable s1` or `unknown`. */
function http(table: RouteTable, host: string, path: string, scheme: Scheme = 'http'): string {
  const match = table.matchHttp(parseHost(host), path, scheme);
  if (match.kind === 'unknown') return match.kind;
  const name = match.rule.route.replace('shop/', '');
  return match.kind === 'forward' ? name : `${match.kind} ${name}`;
}

/** What becomes of a TLS connection, in words: `passthrough t0`, `terminate a.test own` or `unknown default`. */
function tls(table: RouteTable, name: string | undefined): string {
  const match = table.matchTls(name === undefined ? undefined : parseHost(name));
  if (match.kind === 'passthrough') return `passthrough ${match.rule.route.replace('shop/', '')}`;
  return match.kind === 'terminate' ? `terminate ${match.host} ${match.certificate}` : `unknown ${match.certificate}`;
}

describe('hosts and paths (Route semantics 8.15, Q1 to Q7)', () => {
  const wildcard = { host: '*.example.com', wishes: [{ name: 's0', path: '/' }] };
  const exact = (path: string) => ({ host: 'example.com', wishes: [{ name: 's0', path }] });

  test.each([
    {
      id: 'Q1',
      ...exact(''),
      hits: ['example.com', 'example.com/', 'example.com/sub', 'example.com/sub/'],
      misses: ['other.com'],
    },
    {
      id: 'Q2',
      ...exact('/'),
      hits: ['example.com', 'example.com/', 'example.com/sub'],
      misses: ['other.com', 'xexample.com/'],
    },
    {
      id: 'Q3',
      ...exact('/sub/'),
      hits: ['example.com/sub/', 'example.com/sub/subsub'],
      misses: ['example.com', 'example.com/', 'example.com/sub', 'example.com/subpar'],
    },
    {
      id: 'Q4',
      ...exact('/sub'),
      hits: ['example.com/sub', 'example.com/sub/', 'example.com/sub/subsub'],
      misses: ['example.com', 'example.com/', 'example.com/subpar'],
    },
    {
      id: 'Q5',
      ...wildcard,
      hits: ['www.example.com', 'www.example.com/x', 'foo.example.com/'],
      misses: ['wwwexample.com', 'foo.bar.example.com', 'example.com', 'com'],
    },
    {
      id: 'Q6',
      host: 'www.example.com',
      wishes: [{ name: 's0', path: '/' }],
      hits: ['www.example.com/', 'WWW.Example.COM/x'],
      misses: ['foo.example.com', 'wwwexample.com', 'foo.bar.example.com'],
    },
    { id: 'Q7', ...exact(''), hits: ['example.com.', 'example.com./x'], misses: ['example.com..', '.example.com'] },
  ])('$id', ({ host, wishes, hits, misses }) => {
    const table = tableOf(hostOf(host, wishes));
    const ask = (url: string) => {
      const slash = url.indexOf('/');
      return slash < 0 ? http(table, url, '') : http(table, url.slice(0, slash), url.slice(slash));
    };
    expect(hits.filter((url) => ask(url) !== 's0')).toEqual([]);
    expect(misses.filter((url) => ask(url) !== 'unknown')).toEqual([]);
  });

  test('Q20: nothing answers for no host at all', () => {
    const table = tableOf(hostOf('example.com', [{ name: 's0' }]), [defaultCertificate('default')]);
    expect(table.matchHttp(undefined, '/', 'http')).toEqual({ kind: 'unknown' });
    expect(http(table, '', '/')).toBe('unknown');
    expect(http(table, '', '/', 'https')).toBe('unknown');
    expect(table.matchHttp(ANY_HOST, '/', 'http')).toEqual({ kind: 'unknown' });
  });
});

describe('which of several answers (Q10 to Q12)', () => {
  const hosts: readonly (readonly [host: string, wishes: readonly Wish[]])[] = [
    ['api-prod.127.0.0.1.nip.io', [{ name: 'api-prod' }, { name: 'api-prod-xyz', path: '/x/y/z' }]],
    ['api-stg.127.0.0.1.nip.io', [{ name: 'api-stg' }]],
    ['3dev.127.0.0.1.nip.io', [{ name: '3dev' }]],
    ['zed.127.0.0.1.nip.io', [{ name: 'zed' }]],
    ['*.127.0.0.1.nip.io', [{ name: 'any' }]],
    ['*.foo.127.0.0.1.nip.io', [{ name: 'any-foo' }]],
    ['*.foo.wildcard.test', [{ name: 'any-foo-wildcard' }]],
  ];
  const answers = {
    'api-prod.127.0.0.1.nip.io /': 'api-prod',
    'api-prod.127.0.0.1.nip.io /x/y/z': 'api-prod-xyz',
    'api-prod.127.0.0.1.nip.io /x/y/z/1': 'api-prod-xyz',
    'api-prod.127.0.0.1.nip.io /x/y': 'api-prod',
    'api-stg.127.0.0.1.nip.io /x/y/z': 'api-stg',
    '3dev.127.0.0.1.nip.io /': '3dev',
    'zed.127.0.0.1.nip.io /': 'zed',
    'other.127.0.0.1.nip.io /': 'any',
    'foo.127.0.0.1.nip.io /': 'any',
    'x.foo.127.0.0.1.nip.io /': 'any-foo',
    'x.foo.wildcard.test /': 'any-foo-wildcard',
    'x.y.foo.wildcard.test /': 'unknown',
    'x.bar.127.0.0.1.nip.io /': 'unknown',
  };

  test('it does not depend on the order in which entries came', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...hosts], { minLength: hosts.length }), (shuffled) => {
        const table = tableOf(...shuffled.map(([host, wishes]) => hostOf(host, wishes)));
        for (const [question, answer] of Object.entries(answers)) {
          const [host = '', path = ''] = question.split(' ');
          expect(`${question}: ${http(table, host, path)}`).toBe(`${question}: ${answer}`);
        }
      }),
      { numRuns: 25 },
    );
  });
});

describe('observed: host and path matching', () => {
  const table = tableOf(
    hostOf('match.d.test', [
      { name: 's0' },
      { name: 's1', path: '/sub' },
      { name: 's2', path: '/sub/deep' },
      { name: 's3', path: '/slash/' },
      { name: 's4', path: '/Case' },
      { name: 's5', path: '/a.b' },
      { name: 's6', path: '/foo/' },
      { name: 's7', path: '/foo/!x' },
      { name: 's8', path: '/e%20x' },
      { name: 's9', path: '/p+q(1)' },
    ]),
    hostOf('only.d.test', [{ name: 's1', path: '/only' }]),
    hostOf('rootslash.d.test', [{ name: 's2', path: '/' }]),
  );

  test.each([
    ['/', 's0'],
    ['/sub', 's1'],
    ['/sub/', 's1'],
    ['/sub/x', 's1'],
    ['/subpar', 's0'],
    ['/sub;p=1', 's0'],
    ['/sub/deep', 's2'],
    ['/sub/deeper', 's1'],
    ['/sub/deep/z', 's2'],
    ['/SUB', 's0'],
    ['/slash', 's0'],
    ['/slash/', 's3'],
    ['/slash/x', 's3'],
    ['/Case', 's4'],
    ['/case', 's0'],
    ['/%73ub', 's0'],
    ['/sub%2Fx', 's0'],
    ['/sub%2fdeep', 's0'],
    ['//sub', 's0'],
    ['/x/../sub', 's0'],
    ['/./sub', 's0'],
    ['/sub/../x', 's1'],
    ['/a.b', 's5'],
    ['/axb', 's0'],
    // Better than the reference, whose `/foo/` hides `/foo/!x` (Route semantics 5.2).
    ['/foo/!x', 's7'],
    ['/foo/!x/y', 's7'],
    ['/foo/a', 's6'],
    ['/foo', 's0'],
    ['/e%20x', 's8'],
    ['/p+q(1)', 's9'],
    ['/ppq1', 's0'],
    // OPTIONS *
    ['', 's0'],
  ])('path %s is for %s', (path, answer) => {
    expect(http(table, 'match.d.test', path)).toBe(answer);
  });

  test.each([
    ['MATCH.d.Test', '/sub', 's1'],
    ['match.d.test.', '/sub', 's1'],
    ['only.d.test', '/only/x', 's1'],
    ['only.d.test', '/else', 'unknown'],
    ['only.d.test', '/onlyx', 'unknown'],
    ['only.d.test', '', 'unknown'],
    ['rootslash.d.test', '/any/thing', 's2'],
    ['upper.d.test', '/', 'unknown'],
    ['xmatch.d.test', '/', 'unknown'],
    ['match.d.test.x', '/', 'unknown'],
    ['matchxd.test', '/', 'unknown'],
    ['d.test', '/', 'unknown'],
  ])('%s%s: %s', (host, path, answer) => {
    expect(http(table, host, path)).toBe(answer);
  });
});

describe('observed: terminations and insecure policies (Q22 to Q24, Q28)', () => {
  const answers: Readonly<
    Record<Termination, Readonly<Record<InsecurePolicy, readonly [plain: string, secure: string]>>>
  > = {
    none: { None: ['s1', 'unknown'], Allow: ['s1', 'unknown'], Redirect: ['s1', 'unknown'] },
    edge: { None: ['unknown', 's1'], Allow: ['s1', 's1'], Redirect: ['redirect s1', 's1'] },
    reencrypt: { None: ['unknown', 's1'], Allow: ['s1', 's1'], Redirect: ['redirect s1', 's1'] },
    passthrough: { None: ['unknown', 'unknown'], Allow: ['unknown', 'unknown'], Redirect: ['redirect s1', 'unknown'] },
  };
  const cases = Object.entries(answers).flatMap(([termination, policies]) =>
    Object.entries(policies).map(([insecurePolicy, [plain, secure]]) => ({
      termination: termination as Termination,
      insecurePolicy: insecurePolicy as InsecurePolicy,
      plain,
      secure,
    })),
  );

  test.each(cases)('$termination, $insecurePolicy', ({ termination, insecurePolicy, plain, secure }) => {
    const wish = { name: 's1', termination, insecurePolicy };
    for (const [host, asked] of [
      ['a.i.test', 'a.i.test'],
      ['*.i.test', 'b.i.test'],
    ] as const) {
      const table = tableOf(hostOf(host, [wish]));
      expect(http(table, asked, '/a', 'http')).toBe(plain);
      expect(http(table, asked, '/a', 'https')).toBe(secure);
      for (const rule of table.hosts.get(host as Host)?.paths ?? []) {
        expect(serves(rule, 'http')).toBe(plain === 's1');
        expect(serves(rule, 'https')).toBe(secure === 's1');
      }
    }
  });

  const mix = tableOf(
    hostOf('mix.i.test', [
      { name: 's1', termination: 'edge', insecurePolicy: 'Redirect' },
      { name: 's2', path: '/none', termination: 'edge' },
      { name: 's3', path: '/allow', termination: 'edge', insecurePolicy: 'Allow' },
      { name: 's4', path: '/plain' },
      { name: 's5', path: '/none/redir', termination: 'edge', insecurePolicy: 'Redirect' },
    ]),
  );

  test.each([
    ['/', 'redirect s1', 's1'],
    ['/none', 'unknown', 's2'],
    ['/none/x', 'unknown', 's2'],
    ['/nonex', 'redirect s1', 's1'],
    ['/allow', 's3', 's3'],
    ['/allow/x', 's3', 's3'],
    ['/plain', 's4', 's1'],
    ['/none/redir/z', 'redirect s5', 's5'],
  ])('mixed paths: %s', (path, plain, secure) => {
    expect(http(mix, 'mix.i.test', path, 'http')).toBe(plain);
    expect(http(mix, 'mix.i.test', path, 'https')).toBe(secure);
  });

  test('a path without redirect is served by a shorter one that allows it, as the reference’s maps have it', () => {
    const table = tableOf(
      hostOf('a.test', [
        { name: 's0', termination: 'edge', insecurePolicy: 'Allow' },
        { name: 's1', path: '/none', termination: 'edge' },
        { name: 's2', path: '/none/redir', termination: 'passthrough', insecurePolicy: 'Redirect' },
      ]),
    );
    expect(http(table, 'a.test', '/none')).toBe('s0');
    expect(http(table, 'a.test', '/none/redir')).toBe('redirect s2');
    expect(http(table, 'a.test', '/none/redir', 'https')).toBe('s1');
  });
});

describe('observed: wildcards', () => {
  const table = tableOf(
    [defaultCertificate('default')],
    hostOf('*.wr.test', [{ name: 's0' }, { name: 's2', path: '/wp' }]),
    hostOf('exact.wr.test', [{ name: 's1' }]),
    hostOf('fall.wr.test', [{ name: 's3', path: '/only' }]),
    hostOf('*.sub.wr.test', [{ name: 's4' }]),
    hostOf('*.we.test', [{ name: 's5', termination: 'edge' }], 'any-we'),
    hostOf('own.we.test', [{ name: 's6', termination: 'edge' }], 'own-we'),
    hostOf('bare.we.test', [{ name: 's8', termination: 'edge' }]),
    hostOf('*.wpt.test', [{ name: 't0', termination: 'passthrough' }]),
    hostOf('edge.wpt.test', [{ name: 's7', termination: 'edge' }]),
    hostOf('reencrypt.wpt.test', [{ name: 't1', termination: 'reencrypt' }], 'reencrypt-wpt'),
    hostOf('plain.wpt.test', [{ name: 's1' }]),
    hostOf('*.wredir.test', [{ name: 's8', termination: 'edge', insecurePolicy: 'Redirect' }]),
    hostOf('plain.wredir.test', [{ name: 's9' }]),
    hostOf('part.wredir.test', [{ name: 's9', path: '/only' }]),
    hostOf('*.wnocert.test', [{ name: 's0', termination: 'edge', insecurePolicy: 'Allow' }]),
    hostOf('*.mixed.test', [{ name: 's0' }]),
    hostOf('pass.mixed.test', [{ name: 't0', termination: 'passthrough' }]),
    hostOf('gone.mixed.test', [{ name: 's-gone', pods: [] }]),
  );

  test.each([
    ['www.wr.test', '/', 's0'],
    ['foo.wr.test', '/', 's0'],
    ['foo.wr.test', '/wp/x', 's2'],
    ['exact.wr.test', '/', 's1'],
    ['exact.wr.test', '/wp', 's1'],
    ['fall.wr.test', '/only', 's3'],
    ['fall.wr.test', '/else', 's0'],
    ['fall.wr.test', '/wp', 's2'],
    ['wr.test', '/', 'unknown'],
    ['a.b.wr.test', '/', 'unknown'],
    ['x.sub.wr.test', '/', 's4'],
    ['sub.wr.test', '/', 's0'],
    ['foo.wr.test.', '/', 's0'],
    ['plain.wredir.test', '/', 's9'],
    ['part.wredir.test', '/only', 's9'],
    ['part.wredir.test', '/else', 'redirect s8'],
    ['zz.wredir.test', '/a', 'redirect s8'],
    ['q.wnocert.test', '/', 's0'],
    ['pass.mixed.test', '/', 's0'],
    ['gone.mixed.test', '/', 'unavailable s-gone'],
  ])('%s%s over plain HTTP: %s', (host, path, answer) => {
    expect(http(table, host, path)).toBe(answer);
  });

  test.each([
    ['x.we.test', '/', 's5'],
    ['own.we.test', '/', 's6'],
    ['we.test', '/', 'unknown'],
    ['foo.wr.test', '/', 'unknown'],
    ['x.wpt.test', '/', 'unknown'],
    ['edge.wpt.test', '/', 's7'],
    ['plain.wredir.test', '/', 's8'],
  ])('%s%s over TLS: %s', (host, path, answer) => {
    expect(http(table, host, path, 'https')).toBe(answer);
  });

  test.each([
    ['x.we.test', 'terminate *.we.test any-we'],
    ['own.we.test', 'terminate own.we.test own-we'],
    // A Host without a certificate of its own takes that of the wildcard above it.
    ['bare.we.test', 'terminate bare.we.test any-we'],
    ['we.test', 'unknown default'],
    ['a.b.we.test', 'unknown default'],
    ['x.wpt.test', 'passthrough t0'],
    // Better than the reference, whose passthrough wildcard takes exact terminated Hosts too (Route semantics 5.1).
    ['edge.wpt.test', 'terminate edge.wpt.test default'],
    ['reencrypt.wpt.test', 'terminate reencrypt.wpt.test reencrypt-wpt'],
    ['plain.wpt.test', 'passthrough t0'],
    ['x.wnocert.test', 'terminate *.wnocert.test default'],
    ['plain.wredir.test', 'terminate *.wredir.test default'],
    ['pass.mixed.test', 'passthrough t0'],
    ['x.mixed.test', 'unknown default'],
    ['foo.wr.test', 'unknown default'],
  ])('SNI %s: %s', (name, answer) => {
    expect(tls(table, name)).toBe(answer);
  });
});

describe('observed: certificates and SNI (Q25 to Q27)', () => {
  const table = tableOf(
    [defaultCertificate('default')],
    hostOf('own.s.test', [{ name: 's0', termination: 'edge' }], 'own'),
    hostOf('own2.s.test', [{ name: 's2', termination: 'edge' }], 'own2'),
    hostOf('dflt.s.test', [{ name: 's0', termination: 'edge' }]),
    hostOf('a.wc.s.test', [{ name: 's0', termination: 'edge' }], 'wildcard-wc'),
    hostOf('b.wc.s.test', [{ name: 's3', termination: 'edge' }]),
    hostOf('plain.s.test', [{ name: 's0' }]),
    hostOf('pass.d.test', [
      { name: 't0', termination: 'passthrough' },
      { name: 's8', path: '/x' },
    ]),
    hostOf('pass-r.d.test', [{ name: 't0', termination: 'passthrough', insecurePolicy: 'Redirect' }]),
    hostOf('re.s.test', [{ name: 't0', path: '/a', termination: 'reencrypt' }], 're'),
    hostOf('localhost', [{ name: 's0', termination: 'edge' }], 'local'),
  );

  test.each([
    ['own.s.test', 'terminate own.s.test own'],
    ['OWN.S.Test', 'terminate own.s.test own'],
    ['own.s.test.', 'terminate own.s.test own'],
    ['dflt.s.test', 'terminate dflt.s.test default'],
    ['a.wc.s.test', 'terminate a.wc.s.test wildcard-wc'],
    // The names inside the certificates of other Routes do not count.
    ['b.wc.s.test', 'terminate b.wc.s.test default'],
    ['c.wc.s.test', 'unknown default'],
    ['plain.s.test', 'unknown default'],
    ['pass.d.test', 'passthrough t0'],
    ['PASS.d.test', 'passthrough t0'],
    ['re.s.test', 'terminate re.s.test re'],
    ['localhost', 'terminate localhost local'],
    ['unknown.test', 'unknown default'],
    ['a_b.test', 'unknown default'],
    ['', 'unknown default'],
    [undefined, 'unknown default'],
  ])('SNI %s: %s', (name, answer) => {
    expect(tls(table, name)).toBe(answer);
  });

  test.each([
    ['own2.s.test', '/', 's2'],
    ['pass.d.test', '/', 'unknown'],
    ['pass.d.test', '/x', 'unknown'],
    ['plain.s.test', '/', 'unknown'],
    ['re.s.test', '/b', 'unknown'],
  ])('Host alone decides over TLS: %s%s: %s', (host, path, answer) => {
    expect(http(table, host, path, 'https')).toBe(answer);
  });

  test.each([
    ['pass.d.test', '/x/y', 's8'],
    ['pass.d.test', '/', 'unknown'],
    ['pass-r.d.test', '/q', 'redirect t0'],
  ])('a passthrough Host over plain HTTP: %s%s: %s', (host, path, answer) => {
    expect(http(table, host, path)).toBe(answer);
  });

  test('without a default certificate there is none', () => {
    const bare = tableOf(hostOf('a.test', [{ name: 's0', termination: 'edge' }]));
    const nothing = { certificate: null, clientAuth: null };
    expect(bare.matchTls(parseHost('a.test'))).toEqual({ kind: 'terminate', host: 'a.test', ...nothing });
    expect(bare.matchTls(parseHost('b.test'))).toEqual({ kind: 'unknown', ...nothing });
    expect(bare.matchTls(undefined)).toEqual({ kind: 'unknown', ...nothing });
  });
});

describe('a Route without an Endpoint', () => {
  test.each<{ name: string; services: Wish['services']; answer: string }>([
    { name: 'one Service with a pod', services: [{ service: 'a', pods: [1] }], answer: 's1' },
    { name: 'one Service without a pod', services: [{ service: 'a', pods: [] }], answer: 'unavailable s1' },
    { name: 'a pod of weight 0', services: [{ service: 'a', pods: [1], weight: 0 }], answer: 'unavailable s1' },
    {
      name: 'the pod has weight 0, the other Service no pod',
      services: [
        { service: 'a', pods: [1], weight: 0 },
        { service: 'b', pods: [], weight: 5 },
      ],
      answer: 'unavailable s1',
    },
    {
      name: 'the second Service has a pod',
      services: [
        { service: 'a', pods: [], weight: 256 },
        { service: 'b', pods: [2], weight: 1 },
      ],
      answer: 's1',
    },
    { name: 'no Service', services: [], answer: 'unavailable s1' },
  ])('$name: $answer', ({ services = [], answer }) => {
    // A shorter path and a wildcard with pods do not step in.
    const table = tableOf(
      hostOf('a.test', [{ name: 's0' }, { name: 's1', path: '/sub', services }]),
      hostOf('*.test', [{ name: 's2' }]),
    );
    expect(http(table, 'a.test', '/sub/x')).toBe(answer);
    expect(http(table, 'a.test', '/')).toBe('s0');
  });

  test('follows its Backend', () => {
    const table = tableOf(hostOf('a.test', [{ name: 's1' }]));
    expect(http(table, 'a.test', '/')).toBe('s1');
    table.load([backend('s1', [])]);
    expect(http(table, 'a.test', '/')).toBe('unavailable s1');
    table.load([{ kind: 'backend', key: backendId('shop', 's1', 'http'), entry: null }]);
    expect(http(table, 'a.test', '/')).toBe('unavailable s1');
    table.load([backend('s1', [7])]);
    expect(http(table, 'a.test', '/')).toBe('s1');
  });

  test('is redirected all the same', () => {
    const table = tableOf(
      hostOf('a.test', [{ name: 's1', pods: [], termination: 'edge', insecurePolicy: 'Redirect' }]),
    );
    expect(http(table, 'a.test', '/')).toBe('redirect s1');
    expect(http(table, 'a.test', '/', 'https')).toBe('unavailable s1');
  });
});

describe('against the reference’s maps (Route semantics 5.2)', () => {
  type ModelRoute = {
    readonly host: string;
    readonly path: string;
    readonly termination: Termination;
    readonly insecurePolicy: InsecurePolicy;
  };

  const routes = fc.uniqueArray(
    fc.record<ModelRoute>({
      host: fc.constantFrom('a.x.test', 'b.x.test', '*.x.test', 'x.test', '*.test'),
      path: fc.constantFrom('', '/a', '/a/', '/a/b', '/ab'),
      termination: fc.constantFrom<Termination>('none', 'edge', 'reencrypt', 'passthrough'),
      insecurePolicy: fc.constantFrom<InsecurePolicy>('None', 'Allow', 'Redirect'),
    }),
    { selector: ({ host, path }) => `${host} ${path}`, maxLength: 12 },
  );

  function expressionOf({ host, path }: ModelRoute): RegExp {
    const name = host.replaceAll('.', '\\.').replace('*', '[^.]*');
    const below = path === '' ? '(/.*)?' : path.endsWith('/') ? `${path}.*` : `${path}(/.*)?`;
    return new RegExp(`^${name}\\.?(:[0-9]+)?${below}$`);
  }

  /** The first entry that fits: exact hosts before wildcards, then the longer path. */
  function first(entries: readonly ModelRoute[], input: string): ModelRoute | undefined {
    const sorted = [...entries].sort(
      (a, b) => Number(a.host.startsWith('*')) - Number(b.host.startsWith('*')) || b.path.length - a.path.length,
    );
    return sorted.find((each) => expressionOf(each).test(input));
  }

  function nameOf({ host, path }: ModelRoute): string {
    return `${host}${path}`;
  }

  test('every request finds what it finds there', () => {
    const host = fc.constantFrom(
      'a.x.test',
      'b.x.test',
      'c.x.test',
      'x.test',
      'y.test',
      'd.a.x.test',
      'test',
      'a.x.test.',
    );
    const path = fc.constantFrom('/', '/a', '/a/', '/a/b', '/a/bc', '/a/b/c', '/ab', '/abc', '/b');
    fc.assert(
      fc.property(routes, host, path, (all, asked, askedPath) => {
        const table = new RouteTable();
        for (const name of new Set(all.map((each) => each.host))) {
          const wishes = all.filter((each) => each.host === name);
          table.load(
            hostOf(
              name,
              wishes.map(({ host: _, ...each }) => ({ ...each, name: `${name}${each.path}` })),
            ),
          );
        }
        const input = `${asked}${askedPath}`;
        const isSecure = ({ termination }: ModelRoute) => termination === 'edge' || termination === 'reencrypt';
        const secureMap = all.filter(isSecure);
        const plainMap = all.filter(
          (each) => each.termination === 'none' || (isSecure(each) && each.insecurePolicy === 'Allow'),
        );
        const redirect = first(all, input);
        const plain = first(plainMap, input);
        const secure = first(secureMap, input);
        const expected =
          redirect !== undefined && redirect.termination !== 'none' && redirect.insecurePolicy === 'Redirect'
            ? `redirect ${nameOf(redirect)}`
            : plain === undefined
              ? 'unknown'
              : nameOf(plain);
        expect(http(table, asked, askedPath, 'http')).toBe(expected);
        expect(http(table, asked, askedPath, 'https')).toBe(secure === undefined ? 'unknown' : nameOf(secure));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('Revisions', () => {
  const one: Revision = { epoch: 7, counter: 1 };
  const two: Revision = { epoch: 7, counter: 2 };

  test('a table begins empty and at no Revision', () => {
    const table = new RouteTable();
    expect(table.revision).toEqual(NO_REVISION);
    expect([...table.entries()]).toEqual([]);
    expect(http(table, 'a.test', '/')).toBe('unknown');
    expect(tls(table, 'a.test')).toBe('unknown null');
  });

  test('Deltas follow one another', () => {
    const table = new RouteTable();
    table.apply({ from: NO_REVISION, to: one, changes: hostOf('a.test', [{ name: 's0' }]) });
    expect(table.revision).toEqual(one);
    table.apply({ from: one, to: two, changes: hostOf('a.test', [{ name: 's1' }]) });
    expect(table.revision).toEqual(two);
    expect(http(table, 'a.test', '/')).toBe('s1');
    table.apply({
      from: two,
      to: { epoch: 7, counter: 3 },
      changes: [{ kind: 'host', key: 'a.test' as Host, entry: null }],
    });
    expect(http(table, 'a.test', '/')).toBe('unknown');
    expect(table.hosts.size).toBe(0);
  });

  test.each([
    { name: 'a step left out', from: two },
    { name: 'the same step again', from: NO_REVISION },
    { name: 'another controller', from: { epoch: 8, counter: 1 } },
  ])('a Delta that does not follow changes nothing: $name', ({ from }) => {
    const table = new RouteTable();
    table.apply({ from: NO_REVISION, to: one, changes: hostOf('a.test', [{ name: 's0' }]) });
    const before = [...table.entries()];
    const changes = hostOf('a.test', [{ name: 's1' }]);
    expect(() => table.apply({ from, to: { epoch: 9, counter: 9 }, changes })).toThrow(RevisionGap);
    expect(table.revision).toEqual(one);
    expect([...table.entries()]).toEqual(before);
  });

  test('a snapshot in slices is the same table', () => {
    const table = tableOf(
      [certificate('own', 'chain', 'key'), defaultCertificate('own')],
      hostOf('a.test', [{ name: 's0', termination: 'edge' }], 'own'),
      hostOf('*.test', [{ name: 's1' }]),
    );
    table.sealAt(two);
    const copy = new RouteTable();
    for (const change of table.entries()) copy.load([change]);
    expect(copy.revision).toEqual(NO_REVISION);
    copy.sealAt(table.revision);
    expect(copy).toEqual(table);
    expect(copy.revision).toEqual(two);
  });

  test('entries come before what names them', () => {
    const table = tableOf(hostOf('a.test', [{ name: 's0' }], 'own'), [certificate('own', 'chain', 'key')]);
    expect([...table.entries()].map(({ kind }) => kind)).toEqual(['certificate', 'backend', 'host']);
  });

  test('removing what is not there is no matter', () => {
    const table = new RouteTable();
    table.load([
      { kind: 'host', key: 'a.test' as Host, entry: null },
      { kind: 'certificate', key: certificateId('x'), entry: null },
    ]);
    expect([...table.entries()]).toEqual([]);
  });
});

describe('the rule of a Route', () => {
  const table = tableOf(
    hostOf('a.test', [{ name: 's0', path: '/x' }, { name: 's1' }]),
    hostOf('*.test', [{ name: 's2' }]),
    hostOf('c.other', [{ name: 's3' }]),
  );

  test.each([
    ['a.test', 's0', '/x'],
    ['a.test', 's1', ''],
    ['a.test', 's2', ''],
    ['b.test', 's2', ''],
    ['b.test', 's1', undefined],
    ['a.test', 's3', undefined],
    ['c.other', 's3', ''],
    ['none', 's3', undefined],
  ])('under %s of %s', (host, name, path) => {
    expect(table.ruleOf(host as Host, routeKey('shop', name))?.path).toBe(path);
  });
});
