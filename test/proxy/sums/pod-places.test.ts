// Places with a pod over several workers, in a time of our own: how many are taken in all, and how long anybody waits.

import { describe, expect, test } from 'vitest';
import { exchangeMs } from '../../../src/proxy/sums/count-exchange.ts';
import { Balancer } from '../../../src/proxy/upstream/balancer.ts';
import { PodPlaces } from '../../../src/proxy/upstream/pod-places.ts';
import type { Place, PlaceSeeker, PlaceWish, RoutePlaces } from '../../../src/proxy/upstream/route-places.ts';
import type { PathRule } from '../../../src/table/entries.ts';
import { RouteTable } from '../../../src/table/route-table.ts';
import { route } from '../../support/rules.ts';
import { seeded } from '../../support/seeded.ts';
import { WorkerMesh } from '../../support/worker-mesh.ts';

/** Requests that come to a worker in a ms, on the average. */
type Demand = (ms: number, worker: number) => number;

type Case = { readonly workers: number; readonly limit: number; readonly serviceMs: number; readonly demand: Demand };

const forever = 1_000_000;

/** One pod with a limit, and workers that exchange at times of their own. */
class Crowd {
  readonly mesh: WorkerMesh;
  readonly each: readonly PodPlaces[];
  readonly table: RouteTable = new RouteTable();
  readonly rule: PathRule;
  readonly limit: number;
  /** Places that are held, over all workers: now, the most there ever were, and the sum over all ms. */
  held = 0;
  most = 0;
  sum = 0;
  nowMs = 0;
  /** How long those waited who were served, by worker. */
  readonly waitsMs: number[][];
  readonly #draw: () => number;
  readonly #phases: readonly number[];
  readonly #ends: Map<Place, number> = new Map();
  readonly #case: Case;

  constructor(given: Case, seed: number) {
    this.#case = given;
    this.limit = given.limit;
    this.#draw = seeded(seed);
    this.table.load(route({ host: 'a.test', pods: [80], podConnections: given.limit }));
    const rule = [...this.table.hosts.values()][0]?.paths[0];
    if (rule === undefined) throw new Error('no rule');
    this.rule = rule;
    const made = WorkerMesh.of(
      given.workers,
      (peers, worker) => new PodPlaces(new Balancer(worker, peers), worker, given.workers, peers),
    );
    this.mesh = made.mesh;
    this.each = made.each;
    this.#phases = this.each.map(() => Math.floor(this.#draw() * exchangeMs));
    this.waitsMs = this.each.map(() => []);
  }

  run(ms: number): this {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs++) {
      for (const [worker, places] of this.each.entries()) {
        if (this.nowMs % exchangeMs === this.#phases[worker]) {
          places.exchange.exchange(this.nowMs);
          this.mesh.deliver();
        }
        for (let count = this.#case.demand(this.nowMs, worker); count > 0; count--) {
          if (this.#draw() < count) this.#arrive(places, worker);
        }
      }
      for (const [place, endMs] of this.#ends) {
        if (endMs > this.nowMs) continue;
        this.#ends.delete(place);
        this.held--;
        place.release();
      }
      this.most = Math.max(this.most, this.held);
      this.sum += this.held;
    }
    return this;
  }

  get waiting(): readonly number[] {
    return this.each.map(({ waiting }) => waiting);
  }

  #arrive(podPlaces: PodPlaces, worker: number): void {
    const sinceMs = this.nowMs;
    const places = podPlaces.of(this.rule, this.limit);
    const go = (): void => {
      this.waitsMs[worker]?.push(this.nowMs - sinceMs);
      this.#take(places);
    };
    const look = (): PlaceWish | null => {
      const pick = podPlaces.pick(places, this.rule, this.table, [], seeker);
      return pick !== null && 'pod' in pick ? pick : null;
    };
    const seeker: PlaceSeeker = {
      source: '192.0.2.1',
      cookie: '',
      hostName: 'a.test',
      takePlace: () => {
        const wish = look();
        if (wish !== null) return wish;
        places.stopWaiting(seeker);
        go();
        return null;
      },
      ruleChanged: () => {},
      routeGone: () => places.stopWaiting(seeker),
    };
    const wish = look();
    if (wish === null) go();
    else places.wait(seeker, wish);
  }

  #take(places: RoutePlaces): void {
    const [endpoint] = [...this.table.backends.values()][0]?.endpoints ?? [];
    if (endpoint === undefined) throw new Error('no pod');
    this.held++;
    const lastsMs = 1 - Math.log(1 - this.#draw()) * this.#case.serviceMs;
    this.#ends.set(places.take(endpoint), this.nowMs + lastsMs);
  }
}

const sizes = [2, 4].flatMap((workers) => [1, 2, 3, 10, 50].map((limit) => ({ workers, limit })));
const seeds = [1, 2, 3, 4, 5];

/** What the documentation promises: each worker has 1 at least, and for some tenths of a second a quarter more may be taken. */
function most({ workers, limit }: Pick<Case, 'workers' | 'limit'>): number {
  return Math.max(workers, limit) + Math.ceil(limit / 4) + workers - 1;
}

function late(waitsMs: readonly number[]): number {
  return waitsMs.toSorted((a, b) => a - b)[Math.floor(waitsMs.length * 0.99)] ?? 0;
}

describe.each(sizes)('$workers workers, at most $limit', ({ workers, limit }) => {
  test('one worker alone: as many as the limit says within three exchanges, never more', () => {
    const demand: Demand = (ms, worker) => (ms === 5 && worker === 0 ? 2 * limit : 0);
    const crowd = new Crowd({ workers, limit, serviceMs: forever, demand }, 1).run(3 * exchangeMs);
    expect([crowd.held, crowd.most]).toEqual([limit, limit]);
  });

  test('all at once: as many as the limit says, or 1 each', () => {
    const demand: Demand = (ms) => (ms === 5 ? 2 * limit : 0);
    const crowd = new Crowd({ workers, limit, serviceMs: forever, demand }, 1).run(5 * exchangeMs);
    expect([crowd.held, crowd.most]).toEqual([Math.max(limit, workers), Math.max(limit, workers)]);
  });

  test.each<[string, Demand]>([
    ['a steady crowd', () => (1.5 * limit) / workers / 20],
    [
      'a crowd that goes from worker to worker',
      (ms, worker) => (Math.floor(ms / 150) % workers === worker ? limit / 8 : 0),
    ],
  ])('%s: the places are taken, and hardly more', (_name, demand) => {
    for (const seed of seeds) {
      const crowd = new Crowd({ workers, limit, serviceMs: 20, demand }, seed).run(2_000);
      expect(crowd.most).toBeLessThanOrEqual(most({ workers, limit }));
      expect(crowd.sum / 2_000 / limit).toBeGreaterThan(0.75);
    }
  });

  test('whoever comes late to a pod that one worker holds has its part soon', () => {
    const demand: Demand = (ms, worker) => {
      if (worker === 0) return (1.5 * limit) / 20;
      return ms < 1_000 ? 0 : (0.6 * limit) / workers / 20;
    };
    for (const seed of seeds) {
      const crowd = new Crowd({ workers, limit, serviceMs: 20, demand }, seed).run(4_000);
      expect(crowd.most).toBeLessThanOrEqual(most({ workers, limit }));
      for (const waitsMs of crowd.waitsMs.slice(1)) expect(late(waitsMs)).toBeLessThan(1_000);
    }
  });

  test('without anybody to be told each worker has its part; with them the limit holds again', () => {
    const demand: Demand = (ms) => (ms < 2_000 ? limit / 10 : 0);
    const crowd = new Crowd({ workers, limit, serviceMs: 20, demand }, 1);
    crowd.mesh.join([]);
    crowd.run(1_000);
    expect(crowd.most).toBeLessThanOrEqual(Math.max(limit, workers));
    crowd.mesh.join(crowd.each.map((_, worker) => worker));
    crowd.run(1_000);
    expect(crowd.most).toBeLessThanOrEqual(most({ workers, limit }));
  });
});

test('nothing is kept of a Route whose places are all free, and whose others have been told so', () => {
  const demand: Demand = (ms) => (ms < 300 ? 0.2 : 0);
  const crowd = new Crowd({ workers: 3, limit: 4, serviceMs: 5, demand }, 1).run(2_000);
  expect(crowd.held).toBe(0);
  expect(crowd.each.map(({ routes }) => routes)).toEqual([0, 0, 0]);
});
