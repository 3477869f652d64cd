// Routes that let only so many requests, tunnels and connections be with each of their pods at a time (Route semantics 5.12):
// who has a place, and who waits for one. Each worker counts alone, by its part of the limit.

import type { Endpoint, PathRule, RouteKey } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import { partOf } from '../listener/limits.ts';
import type { Balancer, Pick, Seeker } from './balancer.ts';
import { endpointOfCookie } from './sticky-cookie.ts';

/** Who may wait for the pods of one Route. */
export const maxWaiting = 1_000;

/** Who is asked in vain, at most, before a place that has become free stays so: some may have been to that pod already. */
const maxAsked = 8;

/** What is waited for: a place with this pod (its authority), or with any (null). */
export type PlaceWish = { readonly pod: string | null };

const anyPod: PlaceWish = { pod: null };

/** Who waits for a place. */
export interface PlaceSeeker extends Seeker {
  /** A place may be free: stops waiting, takes it and answers true, or goes on waiting. */
  takePlace(): boolean;
}

/** A place with a pod. */
export class Place {
  readonly #of: RoutePlaces;
  readonly #authority: string;
  #held = true;

  constructor(of: RoutePlaces, authority: string) {
    this.#of = of;
    this.#authority = authority;
  }

  /** Gives it back; at once to whoever has waited longest for this pod or for any. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#of.released(this.#authority);
  }
}

/** The places of one Route. */
export class RoutePlaces {
  readonly #route: RouteKey;
  readonly #all: Map<RouteKey, RoutePlaces>;
  readonly #held: Map<string, number> = new Map();
  readonly #waiting: Map<PlaceSeeker, PlaceWish> = new Map();
  /** For each pod; as the newest rule of the Route has it. */
  limit = 1;

  constructor(route: RouteKey, all: Map<RouteKey, RoutePlaces>) {
    this.#route = route;
    this.#all = all;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Pods without a free place. */
  full(): string[] {
    const full: string[] = [];
    for (const [authority, held] of this.#held) if (held >= this.limit) full.push(authority);
    return full;
  }

  take({ authority }: Endpoint): Place {
    this.#all.set(this.#route, this);
    this.#held.set(authority, (this.#held.get(authority) ?? 0) + 1);
    return new Place(this, authority);
  }

  /** Waits behind those who do already. False: they are too many. */
  wait(seeker: PlaceSeeker, wish: PlaceWish): boolean {
    if (this.#waiting.size >= maxWaiting) return false;
    this.#all.set(this.#route, this);
    this.#waiting.set(seeker, wish);
    return true;
  }

  /** Waits no longer, if it did. */
  stopWaiting(seeker: PlaceSeeker): void {
    this.#waiting.delete(seeker);
    this.#forgetIfIdle();
  }

  released(authority: string): void {
    const held = (this.#held.get(authority) ?? 1) - 1;
    if (held > 0) this.#held.set(authority, held);
    else this.#held.delete(authority);
    let asked = 0;
    for (const [seeker, { pod }] of this.#waiting) {
      if (asked === maxAsked || !this.#hasFree(authority)) break;
      if ((pod !== null && pod !== authority) || seeker.takePlace()) continue;
      asked++;
      // Its own pod has a place and is none of the Route's any more.
      if (pod !== null) this.#waiting.set(seeker, anyPod);
    }
    this.#forgetIfIdle();
  }

  /** Lets those go first who wait, where there are more pods, or places, than when they came. */
  serveWaiting(): void {
    for (const seeker of this.#waiting.keys()) if (!seeker.takePlace()) return;
  }

  #hasFree(authority: string): boolean {
    return (this.#held.get(authority) ?? 0) < this.limit;
  }

  #forgetIfIdle(): void {
    if (this.#held.size === 0 && this.#waiting.size === 0) this.#all.delete(this.#route);
  }
}

export class PodPlaces {
  readonly #balancer: Balancer;
  readonly #worker: number;
  readonly #workers: number;
  readonly #routes: Map<RouteKey, RoutePlaces> = new Map();

  /** `worker`: which of the `workers` this one is, from 0. */
  constructor(balancer: Balancer, worker: number, workers: number) {
    this.#balancer = balancer;
    this.#worker = worker;
    this.#workers = workers;
  }

  /** Who waits now, of all Routes. */
  get waiting(): number {
    let waiting = 0;
    for (const places of this.#routes.values()) waiting += places.waiting;
    return waiting;
  }

  /** Routes of which somebody has, or waits for, a place. */
  get routes(): number {
    return this.#routes.size;
  }

  /**
   * The places of a Route that has a limit, `perPod`, for a newcomer: who waits is served first. Nothing is kept of them until
   * one is taken or waited for.
   */
  of({ route }: PathRule, perPod: number): RoutePlaces {
    const places = this.#routes.get(route) ?? new RoutePlaces(route, this.#routes);
    places.limit = partOf(perPod, this.#worker, this.#workers);
    if (places.waiting > 0) places.serveWaiting();
    return places;
  }

  /**
   * As the Balancer picks, among the pods with a free place. A client with a cookie waits for its own pod, as with the
   * reference: elsewhere it would lose what it has there. Null: there is no pod to wait for.
   */
  pick(
    places: RoutePlaces,
    rule: PathRule,
    table: RouteTable,
    tried: readonly string[],
    seeker: Seeker,
  ): Pick | PlaceWish | null {
    const full = places.full();
    if (full.length === 0) return this.#balancer.pick(rule, table, tried, seeker);
    if (seeker.cookie !== '') {
      const own = endpointOfCookie(rule, table, seeker.cookie)?.endpoint.authority;
      if (own !== undefined && full.includes(own) && !tried.includes(own)) return { pod: own };
    }
    const free = this.#balancer.pick(rule, table, [...tried, ...full], seeker);
    if (free !== null) return free;
    return this.#balancer.pick(rule, table, tried, seeker) === null ? null : anyPod;
  }
}
