// What one source may ask of one Route (Route semantics 5.11): connections at a time, new ones in 3 s, requests in 10 s. The
// workers count together; where they cannot, each lets its part of the limit through.

import type { Peers } from '../../replication/peers.ts';
import type { RateLimit, RouteKey } from '../../table/entries.ts';
import { SlidingWindow } from '../sliding-window.ts';
import { CountExchange, type Counter, type Tell } from '../sums/count-exchange.ts';
import { type SourceKey, sourceKey } from './client-limits.ts';
import { partOf } from './limits.ts';

const connectionWindowMs = 3_000;
const requestWindowMs = 10_000;
/** A source of which nothing was heard for so long is forgotten. */
const keptMs = 30_000;
/** When there are too many, already after this: no window knows of it any more, so forgetting it lets nobody begin anew. */
const tellingMs = 11_001;
/** Sources that are looked at for being forgotten, each time one comes. More than one, so that they cannot pile up. */
const looksAtOnce = 4;

/** Sources that are counted, for one Route and for all. */
export type SourceBounds = { readonly ofRoute: number; readonly ofWorker: number };

const defaultBounds: SourceBounds = { ofRoute: 100_000, ofWorker: 200_000 };

/** Where its counts stand in what the workers tell one another. */
const count = { connections: 0, arrivals: 1, requests: 2 } as const;

/** What this worker knows of one source on one Route by itself. */
export class Visitor {
  readonly key: string;
  readonly route: RouteKey;
  connections = 0;
  touchedMs = 0;
  arrivals: SlidingWindow | null = null;
  requests: SlidingWindow | null = null;
  /** Whether the other workers are told of it. */
  shared = false;

  constructor(key: string, route: RouteKey) {
    this.key = key;
    this.route = route;
  }
}

/**
 * The sources of all limited Routes. The other workers hear of those that have half of this worker's part, so all together are
 * below half of the limit before that; and whoever hears of one tells of it, too. Nobody is let in beyond the part of a worker
 * unless the others are told of it.
 *
 * What is kept is bounded, and nobody's count is ever given up while it says something: where there is no place, sources that
 * are not known yet are counted together, as one. So filling it up takes a source's own place from nobody, and gives nobody a
 * fresh one; at worst a source has its own limit and what it got of the shared one.
 */
export class RouteLimits implements Counter {
  readonly #worker: number;
  readonly #workers: number;
  readonly #bounds: SourceBounds;
  /** Those heard of longest ago first, but for some with open connections. */
  readonly #visitors: Map<string, Visitor> = new Map();
  readonly #ofRoute: Map<RouteKey, number> = new Map();
  /** With the other workers. */
  readonly exchange: CountExchange;
  readonly #shared: Set<Visitor> = new Set();

  /** `worker`: which of the `workers` this one is, from 0. */
  constructor(worker: number, workers: number, peers: Peers, bounds: SourceBounds = defaultBounds) {
    this.#worker = worker;
    this.#workers = workers;
    this.#bounds = bounds;
    this.exchange = new CountExchange('rates', 3, peers, this);
  }

  /** Sources that are counted now. */
  get size(): number {
    return this.#visitors.size;
  }

  /**
   * Counts a new connection of a source. Answers its visitor, to be given back when the connection ends; or in how many ms it
   * may be worth coming again.
   */
  arrive(route: RouteKey, source: SourceKey, limit: RateLimit, nowMs: number): Visitor | number {
    const visitor = this.#visitor(route, source, nowMs);
    const { connections, connectionRate } = limit;
    if (connections !== null && this.#isAtLimit(visitor, connections, visitor.connections, count.connections))
      return 1_000;
    if (connectionRate !== null) {
      visitor.arrivals ??= new SlidingWindow(connectionWindowMs);
      if (this.#isAtLimit(visitor, connectionRate, visitor.arrivals.count(nowMs), count.arrivals)) {
        return visitor.arrivals.forgetsInMs(nowMs) || connectionWindowMs;
      }
      visitor.arrivals.add(nowMs);
    }
    visitor.connections++;
    return visitor;
  }

  /** Counts a request of a visitor; or answers in how many ms one may be let in again, which is never 0. */
  request(visitor: Visitor, requestRate: number, nowMs: number): 'counted' | number {
    visitor.requests ??= new SlidingWindow(requestWindowMs);
    if (this.#isAtLimit(visitor, requestRate, visitor.requests.count(nowMs), count.requests)) {
      return visitor.requests.forgetsInMs(nowMs) || requestWindowMs;
    }
    visitor.requests.add(nowMs);
    return 'counted';
  }

  /** A connection of a visitor has ended. */
  leave(visitor: Visitor, nowMs: number): void {
    visitor.connections--;
    this.#touch(visitor, nowMs);
  }

  tellCounts(tell: Tell, nowMs: number): void {
    for (const visitor of this.#shared) {
      const { connections, arrivals, requests } = visitor;
      const counts = [connections, arrivals?.count(nowMs) ?? 0, requests?.count(nowMs) ?? 0];
      const says = counts.some((each) => each > 0);
      if (says && tell(visitor.key, counts)) continue;
      visitor.shared = false;
      this.#shared.delete(visitor);
    }
  }

  onHeard(key: string): void {
    const visitor = this.#visitors.get(key);
    if (visitor !== undefined) this.#share(visitor);
  }

  onSums(): void {
    // They are looked up as they are needed.
  }

  /** Whether the count of a visitor, or that of all workers, has come to the limit. One more is counted if not. */
  #isAtLimit(visitor: Visitor, limit: number, own: number, which: number): boolean {
    const others = this.exchange.of(visitor.key);
    if (own + (others?.[which] ?? 0) >= limit) return true;
    if (this.#workers === 1) return false;
    if (others !== null || 2 * (own + 1) * this.#workers >= limit) this.#share(visitor);
    const isTold = visitor.shared && this.exchange.together;
    return !isTold && own >= partOf(limit, this.#worker, this.#workers);
  }

  #share(visitor: Visitor): void {
    if (visitor.shared || this.#shared.size >= this.exchange.maxKeys) return;
    visitor.shared = true;
    this.#shared.add(visitor);
    this.exchange.wake();
  }

  #visitor(route: RouteKey, source: SourceKey, nowMs: number): Visitor {
    const key = `${route} ${source}`;
    const known = this.#visitors.get(key);
    if (known !== undefined) {
      this.#touch(known, nowMs);
      return known;
    }
    this.#forget(keptMs, nowMs);
    if (this.#isFull(route)) this.#forget(tellingMs, nowMs);
    if (this.#isFull(route) && source !== together) return this.#visitor(route, together, nowMs);
    const visitor = new Visitor(key, route);
    this.#ofRoute.set(route, (this.#ofRoute.get(route) ?? 0) + 1);
    this.#touch(visitor, nowMs);
    return visitor;
  }

  #isFull(route: RouteKey): boolean {
    const { ofRoute, ofWorker } = this.#bounds;
    return this.#visitors.size >= ofWorker || (this.#ofRoute.get(route) ?? 0) >= ofRoute;
  }

  #touch(visitor: Visitor, nowMs: number): void {
    visitor.touchedMs = nowMs;
    this.#visitors.delete(visitor.key);
    this.#visitors.set(visitor.key, visitor);
  }

  #forget(idleMs: number, nowMs: number): void {
    let looks = looksAtOnce;
    for (const visitor of this.#visitors.values()) {
      if (looks-- === 0 || nowMs - visitor.touchedMs < idleMs) return;
      if (visitor.connections > 0) {
        this.#touch(visitor, nowMs);
        continue;
      }
      this.#visitors.delete(visitor.key);
      const left = (this.#ofRoute.get(visitor.route) ?? 1) - 1;
      if (left === 0) this.#ofRoute.delete(visitor.route);
      else this.#ofRoute.set(visitor.route, left);
    }
  }
}

/** Stands for all sources that there is no place for; no address looks like this. */
const together = '*' as SourceKey;

/** The Routes that one client connection has touched: it counts for each once, from then on until it ends. */
export class RouteVisits {
  readonly #limits: RouteLimits;
  #visitors: Map<RouteKey, Visitor> | null = null;

  constructor(limits: RouteLimits) {
    this.#limits = limits;
  }

  /** Counts a connection, of this client's address, that is a tunnel to the pod. False: it is one too many. */
  mayConnect(route: RouteKey, limit: RateLimit, client: string): boolean {
    return typeof this.#arrive(route, limit, client, performance.now()) !== 'number';
  }

  /** Counts a request, and the connection where it is its first one for the Route. Over the limit: how many s to wait, at least 1. */
  request(route: RouteKey, limit: RateLimit, client: string): 'counted' | number {
    const nowMs = performance.now();
    const visitor = this.#arrive(route, limit, client, nowMs);
    if (typeof visitor === 'number') return Math.ceil(visitor / 1_000);
    if (limit.requestRate === null) return 'counted';
    const counted = this.#limits.request(visitor, limit.requestRate, nowMs);
    return counted === 'counted' ? counted : Math.ceil(counted / 1_000);
  }

  /** The connection has ended. */
  leave(): void {
    if (this.#visitors === null) return;
    const nowMs = performance.now();
    for (const visitor of this.#visitors.values()) this.#limits.leave(visitor, nowMs);
    this.#visitors = null;
  }

  #arrive(route: RouteKey, limit: RateLimit, client: string, nowMs: number): Visitor | number {
    const known = this.#visitors?.get(route);
    if (known !== undefined) return known;
    const visitor = this.#limits.arrive(route, sourceKey(client), limit, nowMs);
    if (typeof visitor === 'number') return visitor;
    this.#visitors ??= new Map();
    this.#visitors.set(route, visitor);
    return visitor;
  }
}
