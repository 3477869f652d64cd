// The places of one Route that lets only so many requests, tunnels and connections be with each of its pods at a time (Route
// semantics 5.12): who has a place, and who waits for one.

import type { Backend, Endpoint, PathRule, RouteKey } from '../../table/entries.ts';
import { parseHost } from '../../table/host.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { Tell } from '../sums/count-exchange.ts';
import type { Seeker } from './balancer.ts';

/** Who may wait for the pods of one Route. */
export const maxWaiting = 1_000;

/** Who is asked in vain, at most, before a place that has become free stays so: some may have been to that pod already. */
const maxAsked = 8;

/** The limit of a Route that has none any more, for those who still wait. */
const unlimited = Number.MAX_SAFE_INTEGER;

/** What is waited for: a place with this pod (its authority), or with any (null). */
export type PlaceWish = { readonly pod: string | null };

/** Who waits for a place. */
export interface PlaceSeeker extends Seeker {
  /** The name by which its client asked for the Route. */
  readonly hostName: string;
  /** A place may be free, or none be left to wait for: stops waiting and answers null, or says what it goes on waiting for. */
  takePlace(): PlaceWish | null;
  /** Its Route asks for something else than when it came. */
  ruleChanged(rule: PathRule): void;
  /** Its Route is gone: stops waiting. */
  routeGone(): void;
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

/** What this worker has of one pod. */
export class PodCount {
  /** What the workers call it when they tell one another of it. */
  readonly key: string;
  held = 0;
  /** Places that it may hold. */
  allowed = 1;
  /** What the other workers have been told: that it holds some, that it waits for more, that it holds less than its part then. */
  told = false;
  waits = false;
  short = false;

  constructor(key: string) {
    this.key = key;
  }
}

/** All Routes that have places, and what their pods have left for this worker. */
export interface PlaceBook {
  /** Somebody has a place of a Route, or waits for one. */
  open(places: RoutePlaces): void;
  /** Nobody does any more. */
  close(places: RoutePlaces): void;
  /** Places with a pod that this worker may hold, of `limit` for all workers. */
  allowance(count: PodCount, limit: number): number;
  /** Whether this worker holds less than its part of `limit`. */
  isShort(held: number, limit: number): boolean;
}

export class RoutePlaces {
  readonly route: RouteKey;
  readonly #book: PlaceBook;
  readonly #counts: Map<string, PodCount> = new Map();
  readonly #waiting: Map<PlaceSeeker, PlaceWish> = new Map();
  /** For each pod, over all workers. */
  #limit = 1;
  /** What those who wait have been asked by last. */
  #rule: PathRule | null = null;
  #backends: readonly (Backend | undefined)[] = [];

  constructor(route: RouteKey, book: PlaceBook) {
    this.route = route;
    this.#book = book;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Limits each pod, as the newest rule of the Route has it. */
  limitTo(perPod: number): void {
    if (this.#limit === perPod) return;
    this.#limit = perPod;
    this.#allow();
  }

  /** Pods without a free place. */
  full(): string[] {
    const full: string[] = [];
    for (const [authority, { held, allowed }] of this.#counts) if (held >= allowed) full.push(authority);
    return full;
  }

  take({ authority }: Endpoint): Place {
    let count = this.#counts.get(authority);
    if (count === undefined) {
      count = new PodCount(`${this.route} ${authority}`);
      count.allowed = this.#book.allowance(count, this.#limit);
      this.#counts.set(authority, count);
    }
    count.held++;
    this.#book.open(this);
    return new Place(this, authority);
  }

  /** Waits behind those who do already. False: they are too many. */
  wait(seeker: PlaceSeeker, wish: PlaceWish): boolean {
    if (this.#waiting.size >= maxWaiting) return false;
    this.#waiting.set(seeker, wish);
    this.#book.open(this);
    return true;
  }

  /** Waits no longer, if it did. */
  stopWaiting(seeker: PlaceSeeker): void {
    this.#waiting.delete(seeker);
    this.#closeIfIdle();
  }

  released(authority: string): void {
    const count = this.#counts.get(authority);
    if (count === undefined) return;
    count.held--;
    this.#offer(authority);
    this.#dropIfIdle(authority, count);
    this.#closeIfIdle();
  }

  /** Lets those go first who wait, where there are more pods, or places, than when they came. */
  serveWaiting(): void {
    for (const seeker of this.#waiting.keys()) if (this.#isLeftWaiting(seeker)) return;
  }

  /** Asks everybody who waits what the table leaves to wait for, if it is another one in what concerns the Route. */
  followTable(table: RouteTable): void {
    const first = this.#waiting.keys().next().value;
    if (first === undefined) return;
    const host = parseHost(first.hostName);
    const rule = host === undefined ? undefined : table.ruleOf(host, this.route);
    if (rule === undefined) {
      for (const seeker of [...this.#waiting.keys()]) seeker.routeGone();
      return;
    }
    const backends = rule.backends.map(({ backend }) => table.backends.get(backend));
    if (rule === this.#rule && backends.every((backend, i) => backend === this.#backends[i])) return;
    this.#rule = rule;
    this.#backends = backends;
    this.limitTo(rule.podConnections ?? unlimited);
    for (const seeker of this.#waiting.keys()) seeker.ruleChanged(rule);
    this.askWaiting();
  }

  /** Asks everybody who waits what there is to wait for now. */
  askWaiting(): void {
    for (const seeker of [...this.#waiting.keys()]) this.#isLeftWaiting(seeker);
  }

  /** The workers share the places anew. */
  shareAnew(): void {
    this.#allow();
    if (this.#waiting.size === 0) return;
    for (const authority of [...this.#counts.keys()]) this.#offer(authority);
  }

  /** Tells the other workers what this one holds of each pod, and where it waits for more. */
  tellCounts(tell: Tell): void {
    const wishes = new Set<string | null>();
    for (const { pod } of this.#waiting.values()) wishes.add(pod);
    for (const [authority, count] of this.#counts) {
      if (count.held === 0) {
        this.#counts.delete(authority);
        continue;
      }
      count.waits = wishes.has(null) || wishes.has(authority);
      count.short = count.waits && this.#book.isShort(count.held, this.#limit);
      count.told = tell(count.key, [count.held, count.waits ? 1 : 0, count.short ? 1 : 0]);
    }
    this.#closeIfIdle();
  }

  /** Nobody is there who knows what was told. */
  forgetTold(): void {
    for (const [authority, count] of this.#counts) {
      count.told = false;
      count.waits = false;
      count.short = false;
      this.#dropIfIdle(authority, count);
    }
    this.#closeIfIdle();
  }

  #allow(): void {
    for (const count of this.#counts.values()) count.allowed = this.#book.allowance(count, this.#limit);
  }

  /** Offers what is free with a pod to those who wait for it. */
  #offer(authority: string): void {
    let asked = 0;
    for (const [seeker, { pod }] of this.#waiting) {
      if (asked === maxAsked || !this.#hasFree(authority)) return;
      if (pod !== null && pod !== authority) continue;
      if (this.#isLeftWaiting(seeker)) asked++;
    }
  }

  #isLeftWaiting(seeker: PlaceSeeker): boolean {
    const wish = seeker.takePlace();
    if (wish === null) return false;
    this.#waiting.set(seeker, wish);
    return true;
  }

  #hasFree(authority: string): boolean {
    const count = this.#counts.get(authority);
    return count === undefined || count.held < count.allowed;
  }

  /** Where others know of it, it stays until they have been told: its allowance is what they leave to it. */
  #dropIfIdle(authority: string, { held, told }: PodCount): void {
    if (held === 0 && !told) this.#counts.delete(authority);
  }

  #closeIfIdle(): void {
    if (this.#counts.size === 0 && this.#waiting.size === 0) this.#book.close(this);
  }
}
