import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileBackend } from '../../src/controller/compile-backend.ts';
import { checkKey, EndpointHealth } from '../../src/proxy/health/endpoint-health.ts';
import { Balancer, type Seeker } from '../../src/proxy/upstream/balancer.ts';
import { Peers } from '../../src/replication/peers.ts';
import { type BackendRef, type BalanceAlgorithm, backendId, type PathRule, routeKey } from '../../src/table/entries.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import { aSlice } from '../support/manifests.ts';
import { plainOptions } from '../support/rules.ts';

/** A Service: its pods' addresses, as `address:port` with the port's name after a `/`, and its weight. */
type Service = readonly [pods: readonly string[], weight: number];

const anybody = { source: '192.0.2.1', cookie: '' };

/** A table with one rule over Services s0, s1, ... at a port. */
function tableOf(services: readonly Service[], port = ''): { readonly table: RouteTable; readonly rule: PathRule } {
  const table = new RouteTable();
  const backends: BackendRef[] = services.map(([pods, weight], i) => {
    const service = `s${i}`;
    const id = backendId('n', service, port);
    const slices = pods.map((pod, j) => {
      const [authority = '', name = ''] = pod.split('/');
      const [address = '', number = ''] = authority.split(':');
      return aSlice(`n/${service}-${j}`).of(service).port(Number(number), name).endpoint(address).build();
    });
    const entry = compileBackend({ id, namespace: 'n', service, port }, slices, null, false);
    table.load([{ kind: 'backend', key: id, entry }]);
    return { backend: id, weight };
  });
  return { table, rule: ruleOver(backends) };
}

function ruleOver(backends: readonly BackendRef[]): PathRule {
  return {
    route: routeKey('n', 'r'),
    path: '',
    termination: 'none',
    insecurePolicy: 'None',
    backends,
    upstreamTls: null,
    ...plainOptions,
    balance: 'roundrobin',
    clientAuth: null,
  };
}

/** Whose turn it is, `count` times over: the indices of the Services, or null where nobody can be asked. */
function turns(
  { table, rule }: ReturnType<typeof tableOf>,
  count: number,
  balancer = new Balancer(0),
): (number | null)[] {
  return Array.from({ length: count }, () => {
    const picked = balancer.pick(rule, table, [], anybody);
    return picked === null ? null : rule.backends.findIndex(({ backend }) => backend === picked.backend.id);
  });
}

function counts(given: ReturnType<typeof tableOf>, count: number): Record<string, number> {
  const byPod: Record<string, number> = {};
  const balancer = new Balancer(0);
  for (let i = 0; i < count; i++) {
    const picked = balancer.pick(given.rule, given.table, [], anybody);
    const key = picked === null ? 'nobody' : picked.endpoint.authority;
    byPod[key] = (byPod[key] ?? 0) + 1;
  }
  return byPod;
}

const [ep1, ep2, ep3, ep4] = [
  '10.0.0.1:8080/port',
  '10.0.0.2:8080/port',
  '10.0.0.3:8080/port',
  '10.0.0.4:8081/port2',
] as const;
const [a1, a2, a3, a4] = ['10.0.0.1:8080', '10.0.0.2:8080', '10.0.0.3:8080', '10.0.0.4:8081'] as const;
const five = [1, 2, 3, 4, 5].map((i) => `10.0.1.${i}:80`);

describe('the share of each pod (Route semantics 8.16)', () => {
  // Expected: how often each pod is picked in a cycle of as many picks as all shares together.
  test.each<[string, Service[], string, Record<string, number>]>([
    [
      'R1',
      [
        [[ep1], 50],
        [[ep2], 50],
      ],
      '8080',
      { [a1]: 1, [a2]: 1 },
    ],
    [
      'R2',
      [
        [[ep1], 25],
        [[ep2], 75],
      ],
      '',
      { [a1]: 1, [a2]: 3 },
    ],
    [
      'R3',
      [
        [[ep1, ep2], 50],
        [[ep3], 50],
      ],
      '',
      { [a1]: 1, [a2]: 1, [a3]: 2 },
    ],
    [
      'R4',
      [
        [[ep1, ep2], 20],
        [[ep3], 60],
      ],
      '',
      { [a1]: 1, [a2]: 1, [a3]: 6 },
    ],
    [
      'R5 one pod in both',
      [
        [[ep1, ep2], 50],
        [[ep2], 50],
      ],
      '',
      { [a1]: 1, [a2]: 3 },
    ],
    ['R6', [[[ep1], 50]], '', { [a1]: 1 }],
    ['R7', [[[ep1, ep2], 50]], '', { [a1]: 1, [a2]: 1 }],
    ['R8', [[[ep1, ep2], 50]], '9090', { nobody: 1 }],
    [
      'R9',
      [
        [[ep1, ep4], 50],
        [[ep3], 50],
      ],
      '8080',
      { [a1]: 1, [a3]: 1 },
    ],
    [
      'R9 by name',
      [
        [[ep1, ep4], 50],
        [[ep3], 50],
      ],
      'port',
      { [a1]: 1, [a3]: 1 },
    ],
    [
      'R10',
      [
        [[ep1, ep4], 50],
        [[ep3], 50],
      ],
      '',
      { [a1]: 1, [a3]: 2, [a4]: 1 },
    ],
    [
      'R11',
      [
        [[ep1, ep2], 50],
        [[ep3], 50],
      ],
      '',
      { [a1]: 1, [a2]: 1, [a3]: 2 },
    ],
    // Five pods together get 3 of 259; in the reference no pod can have less than 1 of 256, so they get 5 of 261.
    [
      'R12',
      [
        [five, 3],
        [[ep1], 256],
      ],
      '',
      { ...Object.fromEntries(five.map((pod) => [pod, 3])), [a1]: 5 * 256 },
    ],
    ['R13 no Services', [], '', { nobody: 1 }],
    ['R14 no pods', [[[], 100]], '', { nobody: 1 }],
    ['R15 weight 0 alone', [[[ep1, ep2], 0]], '', { nobody: 1 }],
    [
      'R16',
      [
        [[ep1, ep2], 50],
        [[ep3], 0],
      ],
      '',
      { [a1]: 1, [a2]: 1 },
    ],
    [
      'R17 all zero',
      [
        [[ep1, ep2], 0],
        [[ep3], 0],
      ],
      '',
      { nobody: 1 },
    ],
    [
      'R18',
      [
        [[ep1, ep2], 0],
        [[ep3], 100],
        [[ep4], 0],
      ],
      '',
      { [a3]: 1 },
    ],
    [
      'R19',
      [
        [[], 100],
        [[ep2], 100],
      ],
      '',
      { [a2]: 1 },
    ],
    [
      'R20',
      [
        [[], 0],
        [[ep2], 100],
        [[], 75],
      ],
      '',
      { [a2]: 1 },
    ],
    [
      'observed 8: 256, 128, 64 with 1, 2, 3 pods',
      [
        [[ep1], 256],
        [[ep2, ep3], 128],
        [five.slice(0, 3), 64],
      ],
      '',
      { [a1]: 12, [a2]: 3, [a3]: 3, [five[0] ?? '']: 1, [five[1] ?? '']: 1, [five[2] ?? '']: 1 },
    ],
  ])('%s', (_, services, port, expected) => {
    const given = tableOf(services, port);
    const cycle = Object.values(expected).reduce((sum, each) => sum + each, 0);
    expect(counts(given, cycle)).toEqual(expected);
    expect(counts(given, 3 * cycle)).toEqual(
      Object.fromEntries(Object.entries(expected).map(([pod, n]) => [pod, 3 * n])),
    );
    expect(given.table.hasEndpoint(given.rule)).toBe(expected['nobody'] === undefined);
  });

  test('three pods of one Service take turns (observed 8)', () => {
    const given = tableOf([[[ep1, ep2, ep3], 100]]);
    const balancer = new Balancer(0);
    const sequence = Array.from(
      { length: 6 },
      () => balancer.pick(given.rule, given.table, [], anybody)?.endpoint.authority,
    );
    expect(sequence).toEqual([a1, a2, a3, a1, a2, a3]);
  });
});

describe('any weights', () => {
  const weights = fc.array(fc.integer({ min: 0, max: 256 }), { minLength: 1, maxLength: 4 });
  const podsOf = (i: number, count: number): string[] =>
    Array.from({ length: count }, (_, j) => `10.1.${i}.${j + 1}:80`);

  test('shares are exact over a cycle, from wherever it is counted, and the same in each run', () => {
    fc.assert(
      fc.property(weights, fc.nat({ max: 50 }), (all, skipped) => {
        const total = all.reduce((sum, each) => sum + each, 0);
        fc.pre(total > 0);
        const given = tableOf(all.map((weight, i) => [podsOf(i, 1), weight]));
        const sequence = turns(given, skipped + total);
        const cycle = sequence.slice(skipped);
        expect(all.map((_, i) => cycle.filter((turn) => turn === i).length)).toEqual(all);
        expect(turns(given, skipped + total)).toEqual(sequence);
      }),
    );
  });

  test('no Service is ever a whole turn ahead of its share', () => {
    fc.assert(
      fc.property(weights, (all) => {
        const total = all.reduce((sum, each) => sum + each, 0);
        fc.pre(total > 0);
        const taken = all.map(() => 0);
        turns(tableOf(all.map((weight, i) => [podsOf(i, 1), weight])), 2 * total).forEach((turn, t) => {
          if (turn === null) throw new Error('nobody');
          taken[turn] = (taken[turn] ?? 0) + 1;
          expect((taken[turn] ?? 0) - ((t + 1) * (all[turn] ?? 0)) / total).toBeLessThan(1);
        });
      }),
    );
  });

  test('of two Services neither has more turns in a row than it must', () => {
    const weight = fc.integer({ min: 1, max: 256 });
    fc.assert(
      fc.property(weight, weight, (a, b) => {
        const sequence = turns(
          tableOf([
            [podsOf(0, 1), a],
            [podsOf(1, 1), b],
          ]),
          2 * (a + b),
        );
        const allowed = [Math.ceil(a / b), Math.ceil(b / a)];
        let run = 0;
        sequence.forEach((turn, t) => {
          run = turn === sequence[t - 1] ? run + 1 : 1;
          expect(run).toBeLessThanOrEqual(allowed[turn ?? 0] ?? 0);
        });
      }),
    );
  });

  test('pods of one Service differ by one pick at most', () => {
    fc.assert(
      fc.property(
        weights,
        fc.integer({ min: 1, max: 7 }),
        fc.nat(),
        fc.nat({ max: 600 }),
        (all, pods, first, picks) => {
          fc.pre(all.some((each) => each > 0));
          const given = tableOf(all.map((each, i) => [podsOf(i, pods), each]));
          const balancer = new Balancer(first);
          const byPod = new Map<string, number>();
          for (let i = 0; i < picks; i++) {
            const authority = balancer.pick(given.rule, given.table, [], anybody)?.endpoint.authority ?? 'nobody';
            byPod.set(authority, (byPod.get(authority) ?? 0) + 1);
          }
          expect(byPod.has('nobody')).toBe(false);
          all.forEach((_, i) => {
            const taken = podsOf(i, pods).map((pod) => byPod.get(pod) ?? 0);
            expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(1);
          });
        },
      ),
    );
  });

  test('whoever was tried is not picked again; everybody is tried before nobody is left', () => {
    const services = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.integer({ min: 0, max: 3 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(services, fc.nat({ max: 9 }), (shapes, first) => {
        const given = tableOf(shapes.map(([pods, weight], i) => [podsOf(i, pods), weight]));
        const balancer = new Balancer(first);
        const tried: string[] = [];
        for (let picked = balancer.pick(given.rule, given.table, tried, anybody); picked !== null; ) {
          expect(tried).not.toContain(picked.endpoint.authority);
          tried.push(picked.endpoint.authority);
          picked = balancer.pick(given.rule, given.table, tried, anybody);
        }
        const expected = shapes.flatMap(([pods, weight], i) => (weight > 0 ? podsOf(i, pods) : []));
        expect(tried.sort()).toEqual(expected.sort());
      }),
    );
  });

  test('shares are right again after one Service was gone for a while', () => {
    const small = fc.integer({ min: 1, max: 20 });
    fc.assert(
      fc.property(
        fc.array(small, { minLength: 2, maxLength: 4 }),
        fc.nat({ max: 40 }),
        fc.nat({ max: 40 }),
        (all, before, without) => {
          const given = tableOf(all.map((weight, i) => [podsOf(i, 1), weight]));
          const balancer = new Balancer(0);
          turns(given, before, balancer);
          const [key] = given.table.backends.keys();
          const entry = [...given.table.backends.values()][0];
          if (key === undefined || entry === undefined) throw new Error('no backend');
          given.table.load([{ kind: 'backend', key, entry: { ...entry, endpoints: [] } }]);
          expect(turns(given, without, balancer)).not.toContain(0);
          given.table.load([{ kind: 'backend', key, entry }]);
          const total = all.reduce((sum, each) => sum + each, 0);
          const cycles = turns(given, 5 * total, balancer);
          all.forEach((weight, i) => {
            const taken = cycles.filter((turn) => turn === i).length;
            // What stands on account from before is less than two turns.
            expect(Math.abs(taken - 5 * weight)).toBeLessThanOrEqual(2);
          });
        },
      ),
    );
  });
});

/** How often each pod is picked by as many different clients. */
function picksOf(given: ReturnType<typeof tableOf>, seekers: readonly Seeker[], balancer = new Balancer(0)): string[] {
  return seekers.map((seeker) => balancer.pick(given.rule, given.table, [], seeker)?.endpoint.authority ?? 'nobody');
}

function withBalance(given: ReturnType<typeof tableOf>, balance: BalanceAlgorithm): ReturnType<typeof tableOf> {
  return { ...given, rule: { ...given.rule, balance } };
}

const clients: readonly Seeker[] = Array.from({ length: 20_000 }, (_, i) => ({
  source: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
  cookie: '',
}));

function shareOf(picked: readonly string[], pods: readonly string[]): number {
  return picked.filter((pod) => pods.includes(pod)).length / picked.length;
}

describe('random', () => {
  test('shares by weight, and evenly within a Service', () => {
    const given = withBalance(
      tableOf([
        [[ep1], 90],
        [[ep2, ep3], 10],
      ]),
      'random',
    );
    const picked = picksOf(given, clients);
    expect(shareOf(picked, [a1])).toBeCloseTo(0.9, 1);
    expect(shareOf(picked, [a2]) / shareOf(picked, [a3])).toBeGreaterThan(0.8);
    expect(shareOf(picked, [a2]) / shareOf(picked, [a3])).toBeLessThan(1.25);
  });

  test('of two that are drawn the less busy one is taken', () => {
    const given = withBalance(tableOf([[[ep1, ep2], 1]]), 'random');
    const balancer = new Balancer(0);
    const first = balancer.pick(given.rule, given.table, [], anybody);
    if (first === null) throw new Error('nobody');
    balancer.loadOf(first.endpoint).active = 5;
    // Both draws fall on the busy one with a quarter.
    const share = shareOf(picksOf(given, clients, balancer), [first.endpoint.authority]);
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.3);
  });
});

describe('leastconn', () => {
  test('the Endpoint with least under way relative to its weight', () => {
    const given = withBalance(
      tableOf([
        [[ep1], 3],
        [[ep2], 1],
      ]),
      'leastconn',
    );
    const balancer = new Balancer(0);
    const held: string[] = [];
    for (let i = 0; i < 400; i++) {
      const picked = balancer.pick(given.rule, given.table, [], anybody);
      if (picked === null) throw new Error('nobody');
      balancer.loadOf(picked.endpoint).active++;
      held.push(picked.endpoint.authority);
    }
    expect(shareOf(held, [a1])).toBeCloseTo(0.75, 1);
  });

  test('with nothing under way they take turns', () => {
    const given = withBalance(tableOf([[[ep1, ep2, ep3], 1]]), 'leastconn');
    expect(picksOf(given, clients.slice(0, 6))).toEqual([a1, a2, a3, a1, a2, a3]);
  });
});

describe('source', () => {
  const ten = Array.from({ length: 10 }, (_, i) => `10.9.0.${i}:80`);

  test('the same Endpoint from every worker and replica, in whatever order it knows them', () => {
    const one = withBalance(tableOf([[ten, 1]]), 'source');
    const other = withBalance(tableOf([[[...ten].reverse(), 1]]), 'source');
    expect(picksOf(one, clients)).toEqual(picksOf(other, clients, new Balancer(7)));
  });

  test('even shares, and shares by weight between Services', () => {
    const picked = picksOf(withBalance(tableOf([[ten, 1]]), 'source'), clients);
    for (const pod of ten) {
      expect(shareOf(picked, [pod])).toBeGreaterThan(0.085);
      expect(shareOf(picked, [pod])).toBeLessThan(0.115);
    }
    const weighted = withBalance(
      tableOf([
        [[ep1], 1],
        [[ep2], 3],
      ]),
      'source',
    );
    expect(shareOf(picksOf(weighted, clients), [a2])).toBeCloseTo(0.75, 1);
  });

  test('when one leaves, only its own clients move', () => {
    const before = picksOf(withBalance(tableOf([[ten, 1]]), 'source'), clients);
    const after = picksOf(withBalance(tableOf([[ten.slice(1), 1]]), 'source'), clients);
    before.forEach((pod, i) => {
      if (pod !== ten[0]) expect(after[i]).toBe(pod);
    });
    expect(after).not.toContain(ten[0]);
  });
});

describe('the cookie', () => {
  const sticky = (endpoint: string): Seeker => ({
    source: '192.0.2.1',
    cookie: createHash('md5').update(endpoint).digest('hex'),
  });
  const given = tableOf([
    [[ep1, ep2], 100],
    [[ep3], 0],
  ]);

  test.each([
    ['a pod', sticky(`ept:s0:port:${a2}`), a2],
    ['a pod of a Service with weight 0', sticky(`ept:s1:port:${a3}`), a3],
  ])('%s keeps its clients', (_name, seeker, pod) => {
    expect(picksOf(given, [seeker, seeker, seeker])).toEqual([pod, pod, pod]);
  });

  test('a value of no Endpoint is as good as none', () => {
    expect(picksOf(given, [sticky('ept:nothing'), sticky('ept:nothing')])).toEqual([a1, a2]);
  });

  test('an Endpoint that was tried is not tried again for the cookie', () => {
    const seeker = sticky(`ept:s0:port:${a2}`);
    expect(new Balancer(0).pick(given.rule, given.table, [a2], seeker)?.endpoint.authority).toBe(a1);
  });

  test('a pod that terminates keeps its clients while it serves, and gets no others', () => {
    const id = backendId('n', 's0', '');
    const slice = aSlice('n/s0').of('s0').port(80, '').endpoint('10.0.0.1').build();
    const ending = { addresses: ['10.0.0.2'], ready: false, serving: true, terminating: true, pod: 'web-1' };
    const slices = [{ ...slice, endpoints: [...slice.endpoints, ending] }];
    const table = new RouteTable();
    const entry = compileBackend({ id, namespace: 'n', service: 's0', port: '' }, slices, null, false);
    table.load([{ kind: 'backend', key: id, entry }]);
    const rule = ruleOver([{ backend: id, weight: 1 }]);
    expect(picksOf({ table, rule }, [sticky('pod:web-1:s0::10.0.0.2:80'), anybody, anybody])).toEqual([
      '10.0.0.2:80',
      '10.0.0.1:80',
      '10.0.0.1:80',
    ]);
  });
});

describe('with Endpoints that are down', () => {
  const algorithms: readonly BalanceAlgorithm[] = ['random', 'roundrobin', 'leastconn', 'source'];
  const services: Service[] = [
    [[ep1, ep2], 10],
    [[ep3, ep4], 20],
  ];
  const all: readonly string[] = [a1, a2, a3, a4];

  test.each(algorithms)('%s picks exactly the others, whatever the cookie says', (balance) => {
    fc.assert(
      fc.property(fc.subarray([...all]), fc.nat(), (down, cookieAt) => {
        const { table, rule: any } = tableOf(services);
        const rule: PathRule = { ...any, balance };
        const health = new EndpointHealth();
        health.markDown(
          0,
          down.map((authority) => checkKey(authority, 'plain')),
          0,
        );
        const balancer = new Balancer(0, new Peers(() => {}), health);
        const endpoints = [...table.backends.values()].flatMap((backend) => backend.endpoints);
        const wanted = endpoints[cookieAt % endpoints.length];
        const cookie = wanted === undefined ? '' : createHash('md5').update(wanted.id).digest('hex');
        const kept = balancer.pick(rule, table, [], { source: '192.0.2.1', cookie });
        if (wanted !== undefined && !down.includes(wanted.authority)) expect(kept?.endpoint).toBe(wanted);
        const seen = new Set<string>();
        for (let i = 0; i < 200; i++) {
          const picked = balancer.pick(rule, table, [], { source: `192.0.2.${i}`, cookie: '' });
          if (picked === null) break;
          seen.add(picked.endpoint.authority);
        }
        expect([...seen].sort()).toEqual(all.filter((authority) => !down.includes(authority)).sort());
        if (down.length === all.length) expect(balancer.absence(rule, table)).toBe('endpoints-down');
      }),
    );
  });

  test('a rule with one Endpoint goes there all the same', () => {
    const { table, rule } = tableOf([[[ep1], 1]]);
    const health = new EndpointHealth();
    health.markDown(0, [checkKey(a1, 'plain')], 0);
    expect(new Balancer(0, new Peers(() => {}), health).pick(rule, table, [], anybody)?.endpoint.authority).toBe(a1);
  });
});
