// What the balancing algorithms do, against what they are said to do (Route semantics 5.7, 5.8): exact models, and draws
// that are the same in each run.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Balancer, type Seeker } from '../../src/proxy/upstream/balancer.ts';
import { cookieOf } from '../../src/proxy/upstream/sticky-cookie.ts';
import { Peers } from '../../src/replication/peers.ts';
import type { BalanceAlgorithm, Endpoint, PathRule } from '../../src/table/entries.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import { chiSquare, chiSquareBound } from '../support/chi-square.ts';
import { backend, endpoint, route } from '../support/rules.ts';
import { seeded } from '../support/seeded.ts';
import { WorkerMesh } from '../support/worker-mesh.ts';

const anybody: Seeker = { source: '192.0.2.1', cookie: '' };

/** A rule over Services with so many pods, and their weights. */
class Shop {
  readonly table: RouteTable = new RouteTable();
  readonly rule: PathRule;
  readonly pods: readonly (readonly Endpoint[])[];

  constructor(balance: BalanceAlgorithm, services: readonly (readonly [pods: number, weight: number])[]) {
    this.pods = services.map(([count], s) => Array.from({ length: count }, (_, i) => endpoint(80, `10.0.${s}.${i}`)));
    const wishes = services.map(([, weight], s) => ({ service: `s${s}`, weight, pods: this.pods[s] ?? [] }));
    this.table.load(route({ host: 'a.test', balance, services: wishes }));
    const rule = [...this.table.hosts.values()][0]?.paths[0];
    if (rule === undefined) throw new Error('no rule');
    this.rule = rule;
  }

  get all(): Endpoint[] {
    return this.pods.flat();
  }

  /** These are the pods of a Service now. */
  put(service: number, pods: readonly Endpoint[]): void {
    this.table.load([backend(`s${service}`, pods)]);
  }

  pick(balancer: Balancer, seeker: Seeker = anybody): Endpoint {
    const picked = balancer.pick(this.rule, this.table, [], seeker);
    if (picked === null) throw new Error('nobody');
    return picked.endpoint;
  }
}

function balancerOf(seed: number, peers: Peers = new Peers(() => {}), worker = 0): Balancer {
  return new Balancer(worker, peers, undefined, seeded(seed));
}

function counted(pods: readonly Endpoint[], picks: readonly Endpoint[]): number[] {
  const counts = new Map<string, number>();
  for (const { authority } of picks) counts.set(authority, (counts.get(authority) ?? 0) + 1);
  return pods.map(({ authority }) => counts.get(authority) ?? 0);
}

describe('random of two', () => {
  /** The chance of each pod: of two that are drawn by weight the second takes it if it has less under way. */
  function chances(services: readonly (readonly [number, number])[], loads: readonly number[]): number[] {
    const total = services.reduce((sum, [, weight]) => sum + weight, 0);
    const drawn = services.flatMap(([count, weight]) => new Array<number>(count).fill(weight / total / count));
    return drawn.map((chance, i) =>
      drawn.reduce((sum, other, j) => {
        const [own = 0, theirs = 0] = [loads[i], loads[j]];
        const takesFirst = own <= theirs ? 1 : 0;
        const takesSecond = own < theirs ? 1 : 0;
        return sum + chance * other * (takesFirst + takesSecond);
      }, 0),
    );
  }

  test.each<[string, [number, number][], number[]]>([
    [
      '90:10, nothing under way',
      [
        [1, 90],
        [1, 10],
      ],
      [0, 0],
    ],
    [
      '90:10, equally busy',
      [
        [1, 90],
        [1, 10],
      ],
      [7, 7],
    ],
    [
      '90:10, the large one busier',
      [
        [1, 90],
        [1, 10],
      ],
      [1, 0],
    ],
    [
      '90:10, the small one busier',
      [
        [1, 90],
        [1, 10],
      ],
      [3, 9],
    ],
    [
      '90:10 with 3 and 2 pods',
      [
        [3, 90],
        [2, 10],
      ],
      [4, 0, 2, 1, 1],
    ],
    ['one Service of 10', [[10, 1]], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [
      'three Services',
      [
        [2, 5],
        [2, 1],
        [1, 256],
      ],
      [1, 0, 0, 1, 2],
    ],
  ])('%s: each pod as often as the model says', (_name, services, loads) => {
    const shop = new Shop('random', services);
    const balancer = balancerOf(1);
    for (const [i, pod] of shop.all.entries()) balancer.loadOf(pod).active = loads[i] ?? 0;
    const picks = Array.from({ length: 20_000 }, () => shop.pick(balancer));
    const expected = chances(services, loads).map((chance) => chance * picks.length);
    expect(chiSquare(counted(shop.all, picks), expected)).toBeLessThan(
      chiSquareBound(expected.filter((mean) => mean > 0).length - 1),
    );
  });

  test('connections that stay pile up nowhere: 100 pods with 100 each are within 5 of it', () => {
    const shop = new Shop('random', [[100, 1]]);
    const balancer = balancerOf(2);
    for (let i = 0; i < 10_000; i++) balancer.loadOf(shop.pick(balancer)).active++;
    const active = shop.all.map((pod) => balancer.loadOf(pod).active);
    expect(Math.max(...active)).toBeLessThanOrEqual(105);
  });
});

/** Clients of several workers who ask again as soon as they are answered, in a time of our own. */
class Market {
  readonly shop: Shop;
  readonly mesh: WorkerMesh;
  readonly balancers: readonly Balancer[];
  readonly served: Map<string, number> = new Map();
  /** Of what is under way with the pods, the most less the least; its mean over all ms. */
  spread = 0;
  readonly #draw: () => number;
  readonly #timesMs: readonly number[];
  readonly #again: Balancer[] = [];
  #open: { readonly endMs: number; readonly end: () => void }[] = [];

  /** `timesMs`: how long each pod takes for an answer. */
  constructor(shop: Shop, workers: number, timesMs: readonly number[]) {
    this.shop = shop;
    this.#draw = seeded(workers);
    this.#timesMs = timesMs;
    const made = WorkerMesh.of(workers, (peers, worker) => balancerOf(worker, peers, worker));
    this.mesh = made.mesh;
    this.balancers = made.each;
  }

  /** Has `clients` of each worker ask over and over for so long. What is told reaches the others only if they are `together`. */
  run(clients: number, lengthMs: number, together: 'together' | 'apart'): this {
    if (together === 'apart') this.mesh.join([]);
    for (const balancer of this.balancers) this.#again.push(...new Array<Balancer>(clients).fill(balancer));
    for (let nowMs = 0; nowMs < lengthMs; nowMs++) {
      const ended = this.#open.filter(({ endMs }) => endMs <= nowMs);
      this.#open = this.#open.filter(({ endMs }) => endMs > nowMs);
      for (const { end } of ended) end();
      for (const [worker, { loads }] of this.balancers.entries()) {
        if (nowMs % 100 === (37 * worker) % 100) loads.exchange.exchange(nowMs);
        this.mesh.deliver();
      }
      for (const balancer of this.#again.splice(0)) this.#ask(balancer, nowMs);
      const active = this.active;
      this.spread += (Math.max(...active) - Math.min(...active)) / lengthMs;
    }
    return this;
  }

  get active(): number[] {
    return this.shop.all.map((pod) => this.balancers.reduce((sum, each) => sum + each.loadOf(pod).active, 0));
  }

  #ask(balancer: Balancer, nowMs: number): void {
    const pod = this.shop.pick(balancer);
    const load = balancer.loadOf(pod);
    load.active++;
    const timeMs = this.#timesMs[this.shop.all.indexOf(pod)] ?? 1;
    // Not all of one length: they would end together for ever.
    this.#open.push({
      endMs: nowMs + timeMs * (0.5 + this.#draw()),
      end: () => {
        load.active--;
        this.served.set(pod.authority, (this.served.get(pod.authority) ?? 0) + 1);
        this.#again.push(balancer);
      },
    });
  }
}

describe('leastconn', () => {
  test.each<[number, number[]]>([
    [1, [10, 20, 40, 80]],
    [4, [10, 20, 40, 80]],
    [4, [300, 300, 600, 900]],
    [8, [100, 100, 100, 400]],
  ])('%i workers: pods that take %j ms are equally busy, so they serve by their speed', (workers, timesMs) => {
    const shop = new Shop('leastconn', [[4, 1]]);
    const market = new Market(shop, workers, timesMs).run(40, 5_000, 'together');
    const served = shop.all.map(({ authority }) => market.served.get(authority) ?? 0);
    const speed = timesMs.reduce((sum, timeMs) => sum + 1 / timeMs, 0);
    const total = served.reduce((sum, count) => sum + count, 0);
    for (const [i, count] of served.entries()) {
      const share = 1 / (timesMs[i] ?? 1) / speed;
      expect(Math.abs(count / total - share)).toBeLessThan(0.03 * Math.max(share, 0.2));
    }
  });

  test('weights: three times as much under way with a Service of three times the weight', () => {
    const shop = new Shop('leastconn', [
      [2, 3],
      [2, 1],
    ]);
    const { active } = new Market(shop, 1, [50, 90, 20, 70]).run(80, 2_000, 'together');
    expect(active).toEqual([30, 30, 10, 10].map((count) => expect.closeTo(count, -0.5)));
  });

  // How far apart the busiest and the least busy pod are on the average. Workers that took what the others tell at its word
  // would all fill the same gap at once, and be ten times as far off where answers take less time than an exchange.
  test.each<[number, number, number[], number]>([
    [2, 30, [5_000, 5_000, 5_000, 5_000], 1.5],
    [4, 30, [5_000, 5_000, 5_000, 5_000], 1],
    [4, 10, [300, 300, 600, 900], 1.5],
    [4, 10, [10, 20, 40, 80], 3],
    [8, 10, [300, 300, 600, 900], 5],
    [8, 40, [100, 100, 100, 400], 5],
    [8, 3, [20, 20, 20, 20], 4],
  ])('%i workers with %i clients each, pods that take %j ms: at most %i apart', (workers, clients, timesMs, apart) => {
    const market = new Market(new Shop('leastconn', [[4, 1]]), workers, timesMs).run(clients, 5_000, 'together');
    expect(market.spread).toBeLessThan(apart);
  });

  test('what the workers tell one another makes it better', () => {
    const spread = (how: 'together' | 'apart'): number =>
      new Market(new Shop('leastconn', [[4, 1]]), 4, [300, 300, 600, 900]).run(10, 5_000, how).spread;
    expect(spread('together')).toBeLessThan(spread('apart') / 2);
  });
});

/** 10,000 addresses of a kind. */
const addresses: readonly (readonly [string, readonly Seeker[]])[] = (
  [
    ['neighbours', (i) => `10.20.${i >> 8}.${i & 255}`],
    ['one of each network', (i) => `${11 + (i >> 8)}.${i & 255}.7.9`],
    ['IPv6 neighbours', (i) => `2001:db8::${i.toString(16)}`],
    ['IPv6 networks', (i) => `2001:db8:${i.toString(16)}::1`],
  ] satisfies [string, (i: number) => string][]
).map(([name, address]) => [name, Array.from({ length: 10_000 }, (_, i) => ({ source: address(i), cookie: '' }))]);

describe.each(addresses)('source: %s', (_name, clients) => {
  test.each<[string, [number, number][]]>([
    ['2 pods', [[2, 1]]],
    ['3 pods', [[3, 1]]],
    ['10 pods', [[10, 1]]],
    ['50 pods', [[50, 1]]],
    [
      '90:10',
      [
        [1, 90],
        [1, 10],
      ],
    ],
    [
      '3:2:1 with 1, 2 and 4 pods',
      [
        [1, 3],
        [2, 2],
        [4, 1],
      ],
    ],
  ])('%s have their shares', (_pods, services) => {
    const shop = new Shop('source', services);
    const balancer = balancerOf(1);
    const picks = clients.map((client) => shop.pick(balancer, client));
    const total = services.reduce((sum, [, weight]) => sum + weight, 0);
    const expected = services.flatMap(([count, weight]) =>
      new Array<number>(count).fill((weight / total / count) * 10_000),
    );
    expect(chiSquare(counted(shop.all, picks), expected)).toBeLessThan(chiSquareBound(expected.length - 1));
  });

  test.each([2, 5, 20])(
    'one of %i pods goes: its clients move, evenly, and nobody else; they come back with it',
    (count) => {
      const shop = new Shop('source', [[count, 1]]);
      const balancer = balancerOf(1);
      const before = clients.map((client) => shop.pick(balancer, client));
      const [gone, ...left] = shop.all;
      shop.put(0, left);
      const after = clients.map((client) => shop.pick(balancer, client));
      const moved = after.filter((_, i) => before[i] === gone);
      expect(clients.filter((_, i) => before[i] !== gone && after[i] !== before[i])).toEqual([]);
      if (left.length > 1) {
        const expected = left.map(() => moved.length / left.length);
        expect(chiSquare(counted(left, moved), expected)).toBeLessThan(chiSquareBound(left.length - 1));
      }
      shop.put(0, shop.all);
      expect(clients.map((client) => shop.pick(balancer, client))).toEqual(before);
    },
  );

  test.each([1, 4, 19])('one comes to %i pods: its share of the clients moves, to it alone', (count) => {
    const shop = new Shop('source', [[count, 1]]);
    const balancer = balancerOf(1);
    const before = clients.map((client) => shop.pick(balancer, client));
    const fresh = endpoint(80, '10.0.9.9');
    shop.put(0, [...shop.all, fresh]);
    const after = clients.map((client) => shop.pick(balancer, client));
    const moved = after.filter((pod, i) => pod !== before[i]);
    expect(new Set(moved)).toEqual(new Set([fresh]));
    const share = clients.length / (count + 1);
    expect(chiSquare([moved.length, clients.length - moved.length], [share, clients.length - share])).toBeLessThan(
      chiSquareBound(1),
    );
  });

  test('a Service of several goes: only its clients move', () => {
    const shop = new Shop('source', [
      [2, 3],
      [2, 2],
      [1, 1],
    ]);
    const balancer = balancerOf(1);
    const before = clients.map((client) => shop.pick(balancer, client));
    shop.put(1, []);
    const gone = new Set(shop.pods[1]);
    const after = clients.map((client) => shop.pick(balancer, client));
    for (const [i, pod] of before.entries()) if (!gone.has(pod)) expect(after[i]).toBe(pod);
  });
});

describe('the cookie', () => {
  test.each<BalanceAlgorithm>(['random', 'roundrobin', 'leastconn', 'source'])(
    '%s: every client comes back to its pod, from every worker, whatever else comes, goes or is busy',
    (balance) => {
      fc.assert(
        fc.property(fc.nat(), fc.nat({ max: 9 }), fc.subarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (seed, at, left) => {
          const shop = new Shop(balance, [
            [10, 100],
            [2, 20],
          ]);
          const pods = shop.pods[0] ?? [];
          const own = pods[at];
          if (own === undefined) throw new Error('no pod');
          const client = { source: '198.51.100.7', cookie: cookieOf(own) };
          shop.put(0, pods.filter((pod, i) => pod === own || left.includes(i)).toReversed());
          for (const worker of [0, 1, 2]) {
            const balancer = balancerOf(seed, undefined, worker);
            balancer.loadOf(own).active = 1_000;
            for (let i = 0; i < 5; i++) expect(shop.pick(balancer, client)).toBe(own);
          }
        }),
      );
    },
  );
});
