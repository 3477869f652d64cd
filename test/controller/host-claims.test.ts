import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Claim, compareAge, HostClaims, type Ownership } from '../../src/controller/host-claims.ts';
import type { RouteKey } from '../../src/table/entries.ts';
import { routeKey } from '../../src/table/entries.ts';
import { type Host, parentOf, wildcardOf } from '../../src/table/host.ts';

/**
 * A Claim as the tables write it: `namespace/name@age host/path`, then any of `W` (policy Subdomain), `edge`, `passthrough`
 * and `uid=...` (the name where it is not given).
 */
function claim(text: string): Claim {
  const [who = '', where = '', ...rest] = text.split(' ');
  const [, namespace = '', name = '', age = ''] = /^([^/]+)\/([^@]+)@(-?\d+)$/.exec(who) ?? [];
  const [, host = '', path = ''] = /^([^/]*)(.*)$/.exec(where) ?? [];
  const specHost = host as Host;
  return {
    route: routeKey(namespace, name),
    namespace,
    name,
    uid: rest.find((word) => word.startsWith('uid='))?.slice(4) ?? name,
    createdMs: Number(age) * 1000,
    host: rest.includes('W') ? wildcardOf(specHost) : specHost,
    specHost,
    path,
    tls: rest.includes('passthrough') ? 'passthrough' : rest.includes('edge') ? 'terminated' : 'none',
  };
}

/** Claims in a HostClaims, and the winners and losers among them. */
class Board {
  readonly claims: HostClaims;
  readonly #routes: Map<RouteKey, Claim> = new Map();

  constructor(ownership: Ownership) {
    this.claims = new HostClaims(ownership);
  }

  /** `+claim` or `-namespace/name`. */
  step(text: string): void {
    if (text.startsWith('+')) this.add(claim(text.slice(1)));
    else this.remove(text.slice(1));
  }

  add(added: Claim): void {
    this.claims.set(added.route, added);
    this.#routes.set(added.route, added);
  }

  remove(route: string): void {
    this.claims.set(route as RouteKey, null);
    this.#routes.delete(route as RouteKey);
  }

  winners(): string[] {
    return this.#decided(true);
  }

  losers(): string[] {
    return this.#decided(false);
  }

  /** Whom a Route lost to. */
  lostTo(route: string): string | undefined {
    const own = this.claims.claimOf(route as RouteKey);
    if (own === undefined) return undefined;
    return this.claims.decide(own.host).find((decision) => decision.claim === own)?.to?.route;
  }

  #decided(won: boolean): string[] {
    const hosts = new Set([...this.#routes.values()].map(({ host }) => host));
    const decisions = [...hosts].flatMap((host) => this.claims.decide(host));
    return decisions
      .filter(({ to }) => (to === null) === won)
      .map((decision) => decision.claim.route)
      .sort();
  }
}

const both: readonly Ownership[] = ['strict', 'shared'];

function expectSteps(ownership: Ownership, steps: readonly string[], winners: string, losers: string): void {
  const board = new Board(ownership);
  for (const step of steps) board.step(step);
  const list = (text: string): string[] => (text === '' ? [] : text.split(' ').sort());
  expect(board.winners(), ownership).toEqual(list(winners));
  expect(board.losers(), ownership).toEqual(list(losers));
}

describe('claims on one host after steps (Route semantics 8.5)', () => {
  type Row = [id: string, steps: string[], winners: string, losers: string, ownership?: Ownership];
  test.each<Row>([
    ['G1', ['+t/a@0 a.com'], 't/a', ''],
    ['G2', ['+t/a@0 a.com', '+t/a@0 a.com'], 't/a', ''],
    ['G3 recreated, later', ['+t/a@1 a.com uid=1', '+t/a@5 a.com uid=2'], 't/a', ''],
    ['G4 recreated, earlier', ['+t/a@5 a.com uid=2', '+t/a@1 a.com uid=1'], 't/a', ''],
    ['G5', ['+t/a@0 a.com', '+t/b@1 a.com'], 't/a', 't/b'],
    ['G6', ['+t/b@1 a.com', '+t/a@0 a.com'], 't/a', 't/b'],
    ['G7', ['+t/a@0 a.com', '+t/b@1 b.com'], 't/a t/b', ''],
    ['G8', ['+t/a@1 a.com', '+t/a@1 a.com'], 't/a', ''],
    ['G9', ['+t/b@11 a.com', '+t/a@1 a.com', '-t/b'], 't/a', ''],
    ['G10', ['+t/b@11 a.com', '+t/a@1 b.com', '+t/a@1 a.com'], 't/a', 't/b'],
    ['G11', ['-t/a'], '', ''],
    ['G12', ['+t/a@1 a.com', '+t/b@11 a.com', '-t/a'], 't/b', ''],
    ['G13', ['+t/c@111 a.com', '+t/b@11 a.com', '+t/a@1 a.com', '-t/a'], 't/b', 't/c'],
    ['G14', ['+t/c@111 a.com', '+t/b@11 a.com', '+t/a@1 a.com', '-t/a', '-t/b'], 't/c', ''],
    ['G15', ['+t/a@1 a.com', '+t/b@11 a.com', '-t/b'], 't/a', ''],
    [
      'G16 one route, path to and fro',
      ['+t/a@1 a.com/foo', '+t/a@1 a.com/bar', '+t/a@1 a.com/foo', '+t/a@1 a.com/bar', '+t/a@1 a.com/foo'],
      't/a',
      '',
    ],
    ['G17', ['+t/a@1 a.com/foo', '-t/a'], '', ''],
    ['G18', ['+t/a@1 a.com/1', '+t/a@1 a.com/2', '+t/a@1 a.com/3', '+t/a@1 a.com/4', '-t/a'], '', ''],
    ['G19', ['+t/a@2 a.com/foo', '+t/b@1 a.com/foo'], 't/b', 't/a'],
    ['G20', ['+t/a@1 a.com/x/y/z', '+t/b@2 a.com/foo', '+t/b@2 a.com/bar', '+t/b@2 a.com/x/y/z'], 't/a', 't/b'],
    ['G21', ['+t/a@1 a.com passthrough', '+t/b@2 a.com/bar', '+t/c@3 a.com/foo edge'], 't/a t/b', 't/c'],
    ['G22', ['+t/a@1 a.com/foo edge', '+t/b@2 a.com passthrough'], 't/a', 't/b'],
    [
      'G23 some are filtered out',
      ['+t/a@1 a.com', '+t/b@11 a.com', '+t/c@111 a.com', '+t/d@12 b.com', '+t/e@13 c.com', '-t/a', '-t/c', '-t/d'],
      't/b t/e',
      '',
    ],
    ['G24 all but the winner are filtered out', ['+t/a@1 a.com', '+t/b@11 a.com', '-t/b'], 't/a', ''],
    ['G30', ['+t/2@11 a.com', '+t/1@1 a.com'], 't/1', 't/2'],
    ['G31', ['+t/1@1 a.com', '+t/2@11 a.com'], 't/1', 't/2'],
    ['G32', ['+t/1@1 a.com', '+t/3@12 a.com/a'], 't/1 t/3', ''],
    ['G33', ['+t/3@12 a.com/a', '+t/1@1 a.com'], 't/1 t/3', ''],
    ['G34 shared', ['+t/2@11 a.com', '+t/3@12 a.com/a', '+o/1@1 a.com'], 'o/1 t/3', 't/2', 'shared'],
    ['G34 strict', ['+t/2@11 a.com', '+t/3@12 a.com/a', '+o/1@1 a.com'], 'o/1', 't/2 t/3', 'strict'],
    ['G35', ['+o/2@11 a.com', '+t/1@1 a.com', '+t/3@12 a.com/a'], 't/1 t/3', 'o/2'],
    ['G36 in the wrong order', ['+o/2@11 a.com', '+t/3@12 a.com/a', '+t/1@1 a.com'], 't/1 t/3', 'o/2'],
    ['G37', ['+t/1@1 a.com'], 't/1', ''],
    // Each of what follows keeps its outcome in the reference until something else happens (quirks Q3 and Q4).
    [
      'Q3: the oldest wins though a younger one came first',
      ['+t/a@1 a.com', '+t/c@9 a.com/p', '+t/b@5 a.com/p'],
      't/a t/b',
      't/c',
    ],
    [
      'Q4: a change of termination is checked again',
      ['+t/a@1 a.com/a edge', '+t/b@2 a.com', '+t/b@2 a.com passthrough'],
      't/a',
      't/b',
    ],
    ['Q4 the other way round', ['+t/a@1 a.com passthrough', '+t/b@2 a.com/b edge', '+t/a@1 a.com'], 't/a t/b', ''],
  ])('%s', (_, steps, winners, losers, ownership) => {
    for (const each of ownership === undefined ? both : [ownership]) expectSteps(each, steps, winners, losers);
  });

  test('G16 leaves one claim in the index', () => {
    const board = new Board('strict');
    for (const path of ['/foo', '/bar', '/foo', '/bar', '/foo']) board.step(`+t/a@1 a.com${path}`);
    expect(board.claims.decide('a.com' as Host)).toHaveLength(1);
  });

  test.each([
    ['equal ages: the smaller UID', ['+t/a@1 a.com uid=beta', '+t/b@1 a.com uid=alpha'], 't/b', 't/a'],
    ['equal ages and UIDs: the smaller name', ['+t/b@1 a.com uid=', '+t/a@1 a.com uid='], 't/a', 't/b'],
  ])('%s', (_, steps, winners, losers) => {
    for (const ownership of both) expectSteps(ownership, steps, winners, losers);
  });

  test('H7-H10: paths of one host, and who comes up when others go', () => {
    const board = new Board('strict');
    const steps = [
      [
        '+n/a@1 example.com',
        '+n/b@2 example.com/foo',
        '+n/c@3 example.com/foo',
        '+n/d@4 example.com/foo',
        '+n/e@5 example.com/bar',
      ],
      ['-n/b'],
      ['-n/c'],
      ['-n/e'],
    ];
    const outcomes = steps.map((group) => {
      for (const step of group) board.step(step);
      return [board.winners(), board.losers()];
    });
    expect(outcomes).toEqual([
      [
        ['n/a', 'n/b', 'n/e'],
        ['n/c', 'n/d'],
      ],
      [['n/a', 'n/c', 'n/e'], ['n/d']],
      [['n/a', 'n/d', 'n/e'], []],
      [['n/a', 'n/d'], []],
    ]);
  });
});

describe('claims with wildcards, after steps (Route semantics 8.7)', () => {
  test.each([
    ['I2', ['+n/a@1 www.host.admission.test'], 'n/a', ''],
    [
      'I4, but a Route is known by its name: without UIDs too the second wildcard loses',
      ['+n/a@1 www1.aces.wild.test W uid=', '+n/b@1 www2.aces.wild.test W uid='],
      'n/a',
      'n/b',
    ],
    [
      'I5 names right under the root',
      ['+n/a@1 wild1.test', '+n/b@1 test.org', '+n/c@2 wild.test W', '+n/d@2 test.org W', '+n/e@2 a.b.c.d.e.f.test W'],
      'n/a n/b n/c n/d n/e',
      '',
    ],
    [
      'I6 hosts change hands',
      ['+n/1@1 host1.local', '+n/2@2 host2.local', '+n/1@1 host3.local', '+n/2@2 host1.local'],
      'n/1 n/2',
      '',
    ],
    [
      'I7 wildcards change hands',
      ['+n/1@1 a.host1.local W', '+n/2@2 a.host2.local W', '+n/1@1 a.host3.local W', '+n/2@2 a.host1.local W'],
      'n/1 n/2',
      '',
    ],
    ['I8', ['+n/1@1 host1.local', '+n/2@2 host2.local', '+n/2@2 host1.local'], 'n/1', 'n/2'],
    ['I9', ['+n/1@1 host1.local1 W', '+n/2@2 host1.local2 W', '+n/2@2 host1.local1 W'], 'n/1', 'n/2'],
    [
      'one route turns from wildcard to exact',
      ['+n/1@1 a.x.test W', '+n/1@1 a.x.test', '+o/2@2 b.x.test'],
      'n/1 o/2',
      '',
    ],
    [
      'one route turns from exact to wildcard',
      ['+n/1@1 a.x.test', '+n/1@1 a.x.test W', '+o/2@2 b.x.test'],
      'n/1',
      'o/2',
    ],
  ])('%s', (_, steps, winners, losers) => expectSteps('strict', steps, winners, losers));

  test.each(both)('I6, I7: when all are gone a host can be claimed again (%s)', (ownership) => {
    for (const kind of ['', ' W']) {
      const board = new Board(ownership);
      for (const step of [`+n/1@1 h.a.test${kind}`, `+n/1@1 h.b.test${kind}`, '-n/1', `+o/2@9 h.a.test${kind}`]) {
        board.step(step);
      }
      expect(board.winners()).toEqual(['o/2']);
    }
  });

  const owner = '+owner/first@0 owner.namespace.test W';
  test.each([
    ['I20', [owner, '+notowner/a@2 www.namespace.test'], 'owner/first', 'notowner/a'],
    ['I21', [owner, '+notowner/a@2 www.namespace.test W'], 'owner/first', 'notowner/a'],
    [
      'I22',
      [owner, '+fortytwo/a@3 api.namespace.test', '+fortytwo/b@3 api.namespace.test W'],
      'owner/first',
      'fortytwo/a fortytwo/b',
    ],
    ['I23', [owner, '+owner/api@4 api.namespace.test'], 'owner/first owner/api', ''],
    ['I24', [owner, '+owner/wild@4 wild.namespace.test W'], 'owner/first', 'owner/wild'],
    ['I25', [owner, '+ns1/a@4 ns1.org', '+ns2/a@4 ns2.org'], 'owner/first ns1/a ns2/a', ''],
    [
      'I26',
      [owner, '+wild/a@4 wild.play W', '+wild/b@4 oscarwilde.com W', '+wild/c@4 test.me W'],
      'owner/first wild/a wild/b wild/c',
      '',
    ],
    ['I27', ['+wild/a@4 wild.play W', '+yap/a@5 vinyl.play'], 'wild/a', 'yap/a'],
    ['I28', ['+l2s/a@4 test.co.us', '+l2s/b@4 unit.co.us', '+l2s/c@5 qe.co.us W'], 'l2s/a l2s/b l2s/c', ''],
    [
      'I29 an older exact host takes the domain',
      [owner, '+owner/api@4 api.namespace.test', '+bouncer/a@-1 api.namespace.test'],
      'bouncer/a',
      'owner/first owner/api',
    ],
    [
      'Q2: and gives it back',
      [owner, '+owner/api@4 api.namespace.test', '+bouncer/a@-1 api.namespace.test', '-bouncer/a'],
      'owner/first owner/api',
      '',
    ],
    [
      'who frees a host below may thereby block the wildcard',
      ['+a/older@1 h.x.test', '+b/next@2 h.x.test', '+a/wild@3 w.x.test W', '-a/older'],
      'b/next',
      'a/wild',
    ],
    [
      'and the other way round',
      ['+b/next@2 h.x.test', '+a/wild@3 w.x.test W', '+a/older@1 h.x.test'],
      'a/older a/wild',
      'b/next',
    ],
    [
      'a chain: exact over wildcard over exact',
      ['+a/1@1 p.x.test', '+b/2@2 w.x.test W', '+c/3@3 q.x.test'],
      'a/1 c/3',
      'b/2',
    ],
    ['the chain with its head gone', ['+a/1@1 p.x.test', '+b/2@2 w.x.test W', '+c/3@3 q.x.test', '-a/1'], 'b/2', 'c/3'],
    [
      'observed 32: a wildcard and an exact host of one spelling live together',
      ['+a/1@1 www.x.test W', '+a/2@2 www.x.test'],
      'a/1 a/2',
      '',
    ],
  ])('%s', (_, steps, winners, losers) => expectSteps('strict', steps, winners, losers));
});

/** A Claim, and the Routes of which each refuses it when it is among the winners. */
type Refusals = readonly (readonly [claim: string, refusedBy: string])[];

describe('many claims in any order (Route semantics 8.7)', () => {
  const strict: Refusals = [
    ['ns1/r1@0 net', ''], // I40
    ['ns1/r2@1 net W', ''],
    ['ns1/r3@2 www.same.net', ''], // I41
    ['ns1/r4@3 www.same.net W', ''],
    ['ns1/r5@4 foo.same.net W', 'ns1/r4'], // I42
    ['ns2/r1@10 com', 'ns1/r2'], // I43
    ['ns2/r2@11 com W', 'ns1/r1 ns1/r2'], // I44
    ['ns2/r4@13 www.same.com W', ''], // I45
    ['ns2/r5@13 www.same.com/abc W', ''],
    ['ns2/r6@14 foo.same.com W', 'ns2/r4'], // I46
    ['ns2/r7@14 foo.same.com/abc W', 'ns2/r5'],
    ['ns3/r1@20 net', 'ns1/r1 ns1/r2 ns2/r2'], // I47
    ['ns3/r3@22 net/p1 W', 'ns1/r1 ns1/r2 ns2/r1 ns2/r2'], // I48
    ['ns4/r1@30 domain1.com', ''], // I49
    ['ns5/r1@31 domain1.com', 'ns4/r1'],
    ['ns4/r2@32 domain1.com', 'ns4/r1 ns5/r1'],
    ['ns5/r2@33 domain1.com', 'ns4/r1 ns5/r1 ns4/r2'],
    ['ns6/r1@40 foo.domain1.com W', ''], // I50
    ['ns7/r1@50 bar.domain1.com W', 'ns6/r1'], // I51
    ['ns7/r2@51 bar.domain1.com', 'ns6/r1'],
    ['ns7/r3@51 bar.domain1.com/foo', 'ns6/r1'],
    ['ns8/r2@61 baz.domain1.com', 'ns6/r1 ns7/r1'], // I52
    ['ns9/r1@40 foo.domain2.com', ''], // I53
    ['ns10/r1@50 bar.domain2.com W', 'ns9/r1'],
    ['ns10/r2@51 bar.domain2.com', ''], // I54
    ['ns10/r3@52 foo.domain2.com', 'ns9/r1'], // I55
    ['ns10/r4@52 foo.domain2.com/p1', 'ns9/r1'],
    ['ns10/r5@52 foo.domain2.com/p2', 'ns9/r1'],
    ['ns10/r6@52 foo.domain2.com/p1/p2/other', 'ns9/r1'],
    ['ns10/r7@52 foo.domain2.com/someother', 'ns9/r1'],
    ['ns11/r1@60 baz.domain2.com W', 'ns9/r1 ns10/r1 ns10/r2 ns10/r3 ns10/r4 ns10/r5 ns10/r6 ns10/r7'], // I56
    ['ns11/r2@61 baz.domain2.com', 'ns10/r1'], // I57
    ['ns12/r1@70 foo.domain3.com', ''], // I58
    ['ns12/r2@71 bar.domain3.com/abc', ''],
    ['ns13/r1@80 foo.domain3.com W', 'ns12/r1 ns12/r2'],
    ['ns13/r2@81 bar.domain3.com', 'ns12/r2'], // I59
    ['ns13/r3@82 bar.domain3.com/abc', 'ns12/r2'],
    ['ns13/r4@83 bar.domain3.com/def', 'ns12/r2'],
    ['ns13/r5@84 wild.domain3.com/aces W', 'ns12/r1 ns12/r2'], // I60
    ['ns13/r6@85 wild.domain3.com W', 'ns12/r1 ns12/r2 ns13/r1'],
    ['ns14/r1@90 foo.domain3.com', 'ns12/r1 ns13/r1 ns13/r5 ns13/r6'], // I61
    ['ns15/r1@100 foo.domain4.com', ''], // I62
    ['ns15/r2@101 foo.domain4.com', 'ns15/r1'],
    ['ns15/r3@102 foo.domain4.com/abc', ''],
    ['ns15/r4@103 foo.domain4.com/abc', 'ns15/r3'],
    ['ns15/r5@104 www.domain4.com W', ''],
    ['ns15/r6@105 www.domain4.com W', 'ns15/r5'],
    ['ns15/r7@106 www.domain4.com/abc W', ''],
    ['ns15/r8@107 www.domain4.com/abc W', 'ns15/r7'],
    ['ns15/r9@108 www.domain4.com/def W', ''],
    ['ns15/s1@109 www.domain4.com/def W', 'ns15/r9'],
  ];

  const shared: Refusals = [
    ['ns1/r1@0 org W', ''], // I70
    ['ns1/r2@1 org/p1', ''],
    ['ns1/r3@2 www.w3.org', ''],
    ['ns1/r4@3 www.w3.org/p1 W', ''],
    ['ns1/r5@4 info', ''],
    ['ns2/r1@10 info/p1', ''],
    ['ns2/r2@11 www.server.info', ''],
    ['ns2/r3@12 www.server.info/p1', ''],
    ['ns2/r4@13 wild.server.info W', ''],
    ['ns2/r5@14 wilder.server.info/p1 W', ''],
    ['ns2/r6@15 org/other', ''],
    ['ns3/r1@20 org W', 'ns1/r1'], // I71
    ['ns3/r2@21 org/p1', 'ns1/r2'], // I72
    // I73: in the reference also by ns1/r5, an exact host of the same spelling.
    ['ns3/r4@23 info W', 'ns1/r1 ns3/r1'],
    ['ns4/r1@30 www.server.info', 'ns2/r2'], // I74
    ['ns4/r2@31 www.server.info/p1', 'ns2/r3'],
    ['ns4/r3@32 wild.server.info W', 'ns2/r4'],
    ['ns4/r4@33 wild.server.info W', 'ns2/r4 ns4/r3'],
    ['ns4/r5@34 wilder.server.info/p1 W', 'ns2/r5'],
    ['ns5/r1@40 org/abc W', ''], // I75
    ['ns5/r2@41 www.server.info/xyz', ''],
    ['ns5/r3@42 www.server.info/abc/xyz W', ''],
    ['ns8/r1@50 star.somedomain.org W', ''],
    ['ns9/r3@60 bar.somedomain.org', ''], // I76
    ['ns10/r4@70 bar.somedomain.org/path2', ''], // I77
  ];

  test.each([
    ['I40-I62', 'strict', strict],
    ['I70-I77', 'shared', shared],
  ] as const)('%s: a claim is refused exactly when one of its list has won', (_, ownership, rows) => {
    const indices = fc.shuffledSubarray(rows.map((_, i) => i));
    fc.assert(
      fc.property(indices, (order) => {
        const board = new Board(ownership);
        const added = order.map((i) => rows[i]).filter((row) => row !== undefined);
        for (const [text] of added) board.add(claim(text));
        const winners = board.winners();
        for (const [text, refusedBy] of added) {
          const { route } = claim(text);
          const refused = refusedBy.split(' ').some((each) => winners.includes(each));
          expect(winners.includes(route), `${text} of ${added.map(([each]) => each).join(', ')}`).toBe(!refused);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('telling of the same claims again and again, in any order, changes nothing', () => {
    const accepted = [
      'a/w1@1 star.wildcard.test/wildflowers W',
      'a/w2@2 star.wildcard.test W',
      'a/w3@3 star.wildcard.test/mobile W',
      'a/w4@4 star.wildcard.test/auth W',
      'a/p1@5 plain.wildcard.test',
      'a/p2@6 plain.wildcard.test/plain/rain',
      'b/w5@7 star.wildcard.test/status W',
      'b/w6@8 star.wildcard.test/explain/ed W',
      'a/p3@9 plain.wildcard.test/re/explain/ed',
    ];
    const refused = [
      'a/w7@10 star.wildcard.test W',
      'a/p4@11 plain.wildcard.test',
      'b/p5@12 plain.wildcard.test',
      'b/w8@13 star.wildcard.test W',
      'b/w9@14 star.wildcard.test/auth W',
      'b/p6@15 plain.wildcard.test/plain/rain',
    ];
    const keys = (texts: readonly string[]): string[] => texts.map((text) => claim(text).route).sort();
    const all = [...accepted, ...refused];
    const anyOrder = fc.array(fc.shuffledSubarray(all, { minLength: all.length }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(anyOrder, (rounds) => {
        const board = new Board('shared');
        for (const text of rounds.flat()) board.add(claim(text));
        expect(board.winners()).toEqual(keys(accepted));
        expect(board.losers()).toEqual(keys(refused));
      }),
    );
  });
});

/**
 * The rules of Route semantics 2.2 as they read, over all Claims at once: the oldest first; a Claim is refused when an older
 * winner stands against it. Answers the winners.
 */
function modelWinners(claims: readonly Claim[], ownership: Ownership): Claim[] {
  const winners: Claim[] = [];
  for (const claim of [...claims].sort(compareAge)) {
    if (!winners.some((winner) => standsAgainst(winner, claim, ownership))) winners.push(claim);
  }
  return winners;
}

function standsAgainst(winner: Claim, claim: Claim, ownership: Ownership): boolean {
  const foreign = winner.namespace !== claim.namespace;
  if (winner.host === claim.host) {
    if (ownership === 'strict' && foreign) return true;
    const bothTls = winner.tls !== 'none' && claim.tls !== 'none';
    const passthrough = winner.tls === 'passthrough' || claim.tls === 'passthrough';
    return winner.path === claim.path || (bothTls && passthrough);
  }
  if (ownership === 'shared' || !foreign) return false;
  return covers(winner.host, claim.host) || covers(claim.host, winner.host);
}

/** Whether one is the wildcard over the other, an exact host. */
function covers(wildcard: Host, host: Host): boolean {
  return wildcard.startsWith('*.') && !host.startsWith('*.') && wildcard.slice(2) === parentOf(host);
}

describe('any sequence of claims', () => {
  const hosts = ['a.x.test', 'b.x.test', 'c.x.test', 'x.test', 'y.test', 'test'];
  const namespaces = ['n', 'o', 'p'];
  const route = fc.record({ namespace: fc.constantFrom(...namespaces), name: fc.constantFrom('1', '2', '3', '4') });
  const step = fc.record({
    route,
    claim: fc.option(
      fc.record({
        host: fc.constantFrom(...hosts),
        // Weighted to one domain, where wildcards and hosts meet.
        wildcard: fc.boolean(),
        path: fc.constantFrom('', '', '/p'),
        tls: fc.constantFrom('none' as const, 'none' as const, 'terminated' as const, 'passthrough' as const),
        createdMs: fc.constantFrom(0, 1000, 2000, 3000, 4000),
        uid: fc.constantFrom('', 'u', 'v'),
      }),
      { freq: 4 },
    ),
  });

  test.each(both)('%s: every decision is the model’s, and whatever changed was told', (ownership) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: 'max' }), (steps) => {
        const index = new HostClaims(ownership);
        const claims = new Map<RouteKey, Claim>();
        let before = new Map<Host, string>();
        for (const { route: who, claim: wish } of steps) {
          const key = routeKey(who.namespace, who.name);
          const made: Claim | null =
            wish === null
              ? null
              : {
                  route: key,
                  namespace: who.namespace,
                  name: who.name,
                  uid: wish.uid,
                  createdMs: wish.createdMs,
                  host: wish.wildcard ? wildcardOf(wish.host as Host) : (wish.host as Host),
                  specHost: wish.host,
                  path: wish.path,
                  tls: wish.tls,
                };
          if (made === null) claims.delete(key);
          else claims.set(key, made);
          const dirty = new Set(index.set(key, made));

          const winners = modelWinners([...claims.values()], ownership);
          const after = new Map<Host, string>();
          for (const host of new Set([...before.keys(), ...[...claims.values()].map((each) => each.host)])) {
            const decisions = index.decide(host);
            const expected = [...claims.values()].filter((each) => each.host === host).sort(compareAge);
            expect(decisions.map((decision) => decision.claim)).toEqual(expected);
            for (const { claim: decided, to } of decisions) {
              expect(to === null, `${decided.route} on ${host}`).toBe(winners.includes(decided));
              if (to === null) continue;
              // The one that is named has won, and was there before.
              expect(winners).toContain(to);
              expect(compareAge(to, decided)).toBeLessThan(0);
            }
            if (decisions.length > 0) after.set(host, JSON.stringify(decisions));
          }
          for (const host of new Set([...before.keys(), ...after.keys()])) {
            if (before.get(host) !== after.get(host)) expect([...dirty], `decisions on ${host}`).toContain(host);
          }
          before = after;
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('nothing is left behind when all are gone', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const index = new HostClaims('strict');
        for (const { route: who, claim: wish } of steps) {
          const key = routeKey(who.namespace, who.name);
          index.set(
            key,
            wish === null
              ? null
              : claim(`${key}@${wish.createdMs} ${wish.host}${wish.path}${wish.wildcard ? ' W' : ''}`),
          );
        }
        for (const { route: who } of steps) index.set(routeKey(who.namespace, who.name), null);
        for (const host of hosts) {
          expect(index.decide(host as Host)).toEqual([]);
          expect(index.decide(wildcardOf(host as Host))).toEqual([]);
          // Whoever comes next meets nobody.
          expect(index.set(routeKey('z', 'z'), claim(`z/z@9 ${host}`))).toEqual([host]);
          expect(index.decide(host as Host).map(({ to }) => to)).toEqual([null]);
          index.set(routeKey('z', 'z'), null);
        }
      }),
    );
  });

  test('a claim below a foreign wildcard that has lost concerns its own host and the wildcard', () => {
    const index = new HostClaims('strict');
    index.set(routeKey('o', 'wild'), claim('o/wild@50 w.x.test W'));
    for (let i = 0; i < 100; i++) index.set(routeKey('n', `r${i}`), claim(`n/r${i}@${i} h${i}.x.test`));
    expect(index.set(routeKey('n', 'older'), claim('n/older@-1 new.x.test')).sort()).toEqual([
      '*.x.test',
      'new.x.test',
    ]);
    expect(index.decide('*.x.test' as Host)[0]?.to?.route).toBe('n/older');
    expect(index.set(routeKey('n', 'younger'), claim('n/younger@99 newer.x.test'))).toEqual(['newer.x.test']);
  });

  test('a claim below a wildcard of its own namespace concerns its own host alone', () => {
    const index = new HostClaims('strict');
    index.set(routeKey('n', 'wild'), claim('n/wild@50 w.x.test W'));
    for (let i = 0; i < 100; i++) index.set(routeKey('n', `r${i}`), claim(`n/r${i}@${i} h${i}.x.test`));
    expect(index.set(routeKey('n', 'older'), claim('n/older@1 new.x.test'))).toEqual(['new.x.test']);
    expect(index.set(routeKey('n', 'younger'), claim('n/younger@99 newer.x.test'))).toEqual(['newer.x.test']);
  });
});
