// Which Routes have places with their pods, who gets the next one, and what the workers leave one another of them.

import type { Peers } from '../../replication/peers.ts';
import type { PathRule, RouteKey } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import { partOf } from '../listener/limits.ts';
import { CountExchange, type Counter, type Tell } from '../sums/count-exchange.ts';
import type { Balancer, Pick, Seeker } from './balancer.ts';
import { placeAllowance } from './place-allowance.ts';
import { type PlaceBook, type PlaceWish, type PodCount, RoutePlaces } from './route-places.ts';

const anyPod: PlaceWish = { pod: null };

/** Who waits is asked about the health of pods at most so often: many may go down at a time, and many may wait. */
const healthMs = 100;

export class PodPlaces implements PlaceBook, Counter {
  readonly #balancer: Balancer;
  readonly #worker: number;
  readonly #workers: number;
  /** With the other workers. */
  readonly exchange: CountExchange;
  readonly #routes: Map<RouteKey, RoutePlaces> = new Map();
  #healthTimer: NodeJS.Timeout | null = null;

  /** `worker`: which of the `workers` this one is, from 0. */
  constructor(balancer: Balancer, worker: number, workers: number, peers: Peers) {
    this.#balancer = balancer;
    this.#worker = worker;
    this.#workers = workers;
    this.exchange = new CountExchange('places', 3, peers, this);
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
    const places = this.#routes.get(route) ?? new RoutePlaces(route, this);
    places.limitTo(perPod);
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
    const own = this.#balancer.own(rule, table, tried, seeker)?.endpoint.authority;
    if (own !== undefined && full.includes(own)) return { pod: own };
    const free = this.#balancer.pick(rule, table, [...tried, ...full], seeker);
    if (free !== null) return free;
    return this.#balancer.pick(rule, table, tried, seeker) === null ? null : anyPod;
  }

  /** The table is another one: who waits for what it has changed is served, or answered. */
  followTable(table: RouteTable): void {
    for (const places of this.#routes.values()) places.followTable(table);
  }

  /** Endpoints have gone down or come up: soon, who waits for one that is down goes elsewhere, and who waits for any to one that is up. */
  followHealth(): void {
    if (this.waiting === 0) return;
    this.#healthTimer ??= setTimeout(() => {
      this.#healthTimer = null;
      for (const places of this.#routes.values()) places.askWaiting();
    }, healthMs);
  }

  open(places: RoutePlaces): void {
    this.#routes.set(places.route, places);
    this.exchange.wake();
  }

  close(places: RoutePlaces): void {
    this.#routes.delete(places.route);
  }

  allowance({ key, held, told, waits, short }: PodCount, limit: number): number {
    const [theirs = 0, waiting = 0, shorts = 0] = this.exchange.of(key) ?? [];
    return placeAllowance(
      { limit, held, told, waits, short, others: { held: theirs, waiting, short: shorts } },
      this.#worker,
      this.#workers,
      this.exchange.together,
    );
  }

  isShort(held: number, limit: number): boolean {
    return held < partOf(limit, this.#worker, this.#workers);
  }

  tellCounts(tell: Tell): void {
    for (const places of this.#routes.values()) places.tellCounts(tell);
  }

  onHeard(): void {
    // What is free is shared anew once in each exchange, so that nobody takes the same share twice.
  }

  onSums(): void {
    const { together } = this.exchange;
    for (const places of this.#routes.values()) {
      if (!together) places.forgetTold();
      places.shareAnew();
    }
  }
}
