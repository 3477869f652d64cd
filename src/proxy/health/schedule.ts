// Which check is next. Pure: whoever runs it brings the time. Each Endpoint has one prober among the workers and a phase of its
// own in its interval; where more is due than the rate allows, whoever has waited longest is next, so no Route's short
// interval takes another one's turn. Endpoints that are down, or have just failed, do not wait behind the thousands that are up.

import { rendezvousHash, textHash } from '../upstream/rendezvous.ts';
import type { Check } from './check-list.ts';
import { CheckRecord } from './check-record.ts';
import type { CheckKey } from './endpoint-health.ts';
import { Watch, WatchQueue } from './watch-queue.ts';

/** Checks that all workers of a router may make in a second, averaged over `bunchMs`. */
export const maxChecksPerSecond = 200;
/**
 * Checks are made in bunches: at most so long one that is due waits for others. A process that wakes for each of a hundred
 * checks in a second needs 420 us of CPU for one; for ten at a time, 100.
 */
export const bunchMs = 250;
/** But it waits no longer than this share of its interval. */
const bunchShare = 1 / 20;

/** The worker that checks an Endpoint: every worker that knows the same `workers` answers the same. -1 if there are none. */
export function proberOf(key: CheckKey, workers: readonly number[]): number {
  const asker = textHash(key);
  let prober = -1;
  let highest = -1;
  for (const worker of workers) {
    const hash = rendezvousHash(asker, worker);
    if (hash <= highest) continue;
    highest = hash;
    prober = worker;
  }
  return prober;
}

export class Schedule {
  readonly #self: number;
  readonly watches: Map<CheckKey, Watch> = new Map();
  #workers: readonly number[] = [];
  /** Endpoints that are up, by all that is known. */
  readonly #settled: WatchQueue = new WatchQueue();
  readonly #doubtful: WatchQueue = new WatchQueue();
  #doubtfulHadTurn = false;
  /** Checks that may be made, as of `#allowedMs`. */
  #allowance = 0;
  #allowedMs = 0;

  /** `self`: this worker's number. */
  constructor(self: number) {
    this.#self = self;
  }

  /**
   * Other Endpoints are to be checked, or by other workers: one after the other, so that whoever runs it can take a rest between
   * two. Those that it has not come to are checked as before. Answers the watches that have ended.
   */
  *follow(
    checks: ReadonlyMap<CheckKey, Check>,
    workers: readonly number[],
    nowMs: number,
  ): Generator<undefined, Watch[]> {
    this.#workers = workers;
    const ended: Watch[] = [];
    for (const [key, watch] of this.watches) {
      yield;
      if (checks.has(key) && proberOf(key, workers) === this.#self) continue;
      watch.current = false;
      this.watches.delete(key);
      ended.push(watch);
    }
    for (const [key, check] of checks) {
      yield;
      const known = this.watches.get(key);
      if (known !== undefined) {
        if (known.check.intervalMs > check.intervalMs) this.#hasten(known, check, nowMs);
        else known.check = check;
      } else if (proberOf(key, workers) === this.#self) {
        this.#start(check, nowMs);
      }
    }
    return ended;
  }

  /** The check whose turn it is, taken out until it is put back; null if none is due, or the rate does not allow one yet. */
  take(nowMs: number): Watch | null {
    this.#allow(nowMs);
    if (this.#allowance < 1) return null;
    const [one, other] = this.#doubtfulHadTurn ? [this.#settled, this.#doubtful] : [this.#doubtful, this.#settled];
    const queue = isDue(one, nowMs) ? one : isDue(other, nowMs) ? other : null;
    if (queue === null) return null;
    this.#doubtfulHadTurn = queue === this.#doubtful;
    return queue.take();
  }

  /** A check that was taken is being made. */
  spend(): void {
    this.#allowance--;
  }

  /** A check that was taken is over. */
  putBack(watch: Watch, nowMs: number): void {
    if (!watch.current) return;
    // Its phase is kept; one that came late does not come twice for that.
    watch.dueMs = Math.max(watch.dueMs + watch.check.intervalMs, nowMs);
    this.#put(watch);
  }

  /** An Endpoint that waits for its turn among those that are up may not be. */
  doubt(watch: Watch, nowMs: number): void {
    if (watch.current && watch.queue === this.#settled) this.#hasten(watch, watch.check, nowMs);
  }

  /** Milliseconds until `take` may have something; null: not before something else changes. */
  waitMs(nowMs: number): number | null {
    const latestMs = Math.min(latestOf(this.#settled), latestOf(this.#doubtful));
    if (latestMs === Number.POSITIVE_INFINITY) return null;
    this.#allow(nowMs);
    const freeMs = this.#allowance >= 1 ? 0 : (this.#most - this.#allowance) / this.#perMs;
    return Math.max(0, latestMs - nowMs, freeMs);
  }

  /** Checks that this worker may make in a millisecond. */
  get #perMs(): number {
    return maxChecksPerSecond / 1000 / Math.max(1, this.#workers.length);
  }

  /** Checks that it may make in one bunch. */
  get #most(): number {
    return Math.max(1, bunchMs * this.#perMs);
  }

  #allow(nowMs: number): void {
    this.#allowance = Math.min(this.#most, this.#allowance + (nowMs - this.#allowedMs) * this.#perMs);
    this.#allowedMs = nowMs;
  }

  #start(check: Check, nowMs: number): void {
    // As the hash spreads them: a thousand that come at once are not all checked at once.
    const phase = rendezvousHash(textHash(check.key), 0x9e3779b9) / 0x100000000;
    const watch = new Watch(check, nowMs + phase * check.intervalMs, new CheckRecord());
    this.watches.set(check.key, watch);
    this.#put(watch);
  }

  /** Puts a new watch in the place of one: with a shorter interval than before, or a doubt, it does not wait for its turn. */
  #hasten(watch: Watch, check: Check, nowMs: number): void {
    const hastened = new Watch(check, Math.min(watch.dueMs, nowMs + check.intervalMs), watch.record);
    watch.current = false;
    this.watches.set(check.key, hastened);
    hastened.connectedMs = watch.connectedMs;
    this.#put(hastened);
  }

  #put(watch: Watch): void {
    watch.latestMs = watch.dueMs + Math.min(bunchMs, watch.check.intervalMs * bunchShare);
    (watch.record.doubtful ? this.#doubtful : this.#settled).put(watch);
  }
}

function isDue({ first }: WatchQueue, nowMs: number): boolean {
  return first !== null && first.dueMs <= nowMs;
}

/** When the first of a queue has waited for others as long as it may. */
function latestOf({ first }: WatchQueue): number {
  return first === null ? Number.POSITIVE_INFINITY : first.latestMs;
}
