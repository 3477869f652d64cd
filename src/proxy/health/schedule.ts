// Which check is next. Pure: whoever runs it brings the time. Each Endpoint has one prober among the workers and a phase of its
// own in its interval; where more is due than the rate allows, whoever has waited longest is next, so no Route's short
// interval takes another one's turn.

import { rendezvousHash, textHash } from '../upstream/rendezvous.ts';
import type { Check } from './check-list.ts';
import { CheckRecord } from './check-record.ts';
import type { CheckKey } from './endpoint-health.ts';

/** Checks that all workers of a router may make in a second. */
export const maxChecksPerSecond = 200;

/** One Endpoint that this worker checks. */
export class Watch {
  check: Check;
  dueMs: number;
  /** When a request last connected to it, in ms. */
  connectedMs: number = Number.NEGATIVE_INFINITY;
  /** Whether it is still this worker's to check. */
  current = true;
  readonly record: CheckRecord;

  constructor(check: Check, dueMs: number, record: CheckRecord) {
    this.check = check;
    this.dueMs = dueMs;
    this.record = record;
  }
}

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
  #checks: ReadonlyMap<CheckKey, Check> = new Map();
  /** A binary heap, the earliest first. Watches that are not current any more are dropped when they come up. */
  readonly #queue: Watch[] = [];
  #freeMs = 0;

  /** `self`: this worker's number. */
  constructor(self: number) {
    this.#self = self;
  }

  /** Other Endpoints are to be checked, or by other workers. Answers the watches that have ended. */
  follow(checks: ReadonlyMap<CheckKey, Check>, workers: readonly number[], nowMs: number): Watch[] {
    this.#checks = checks;
    this.#workers = workers;
    const ended: Watch[] = [];
    for (const [key, watch] of this.watches) {
      if (checks.has(key) && proberOf(key, workers) === this.#self) continue;
      watch.current = false;
      this.watches.delete(key);
      ended.push(watch);
    }
    for (const [key, check] of checks) {
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

  /** The same Endpoints are to be checked by other workers. */
  assign(workers: readonly number[], nowMs: number): Watch[] {
    return this.follow(this.#checks, workers, nowMs);
  }

  /** The check whose turn it is, taken out until it is put back; null if none is due, or the rate does not allow one yet. */
  take(nowMs: number): Watch | null {
    const next = this.#first();
    if (next === null || next.dueMs > nowMs || this.#freeMs > nowMs) return null;
    this.#pop();
    return next;
  }

  /** A check that was taken is being made: the next one may follow after its time. */
  spend(nowMs: number): void {
    const spacingMs = (1000 * Math.max(1, this.#workers.length)) / maxChecksPerSecond;
    this.#freeMs = Math.max(this.#freeMs + spacingMs, nowMs);
  }

  /** A check that was taken is over. */
  putBack(watch: Watch, nowMs: number): void {
    if (!watch.current) return;
    // Its phase is kept; one that came late does not come twice for that.
    watch.dueMs = Math.max(watch.dueMs + watch.check.intervalMs, nowMs);
    this.#push(watch);
  }

  /** Milliseconds until `take` may have something; null: not before something else changes. */
  waitMs(nowMs: number): number | null {
    const next = this.#first();
    return next === null ? null : Math.max(0, next.dueMs - nowMs, this.#freeMs - nowMs);
  }

  #start(check: Check, nowMs: number): void {
    // As the hash spreads them: a thousand that come at once are not all checked at once.
    const phase = rendezvousHash(textHash(check.key), 0x9e3779b9) / 0x100000000;
    const watch = new Watch(check, nowMs + phase * check.intervalMs, new CheckRecord());
    this.watches.set(check.key, watch);
    this.#push(watch);
  }

  /** A watch with a shorter interval than before does not wait for the end of the long one. */
  #hasten(watch: Watch, check: Check, nowMs: number): void {
    const hastened = new Watch(check, Math.min(watch.dueMs, nowMs + check.intervalMs), watch.record);
    watch.current = false;
    this.watches.set(check.key, hastened);
    this.#push(hastened);
  }

  #first(): Watch | null {
    for (;;) {
      const first = this.#queue[0];
      if (first === undefined) return null;
      if (first.current) return first;
      this.#pop();
    }
  }

  #push(watch: Watch): void {
    const queue = this.#queue;
    let at = queue.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = queue[above];
      if (parent === undefined || parent.dueMs <= watch.dueMs) break;
      queue[at] = parent;
      at = above;
    }
    queue[at] = watch;
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop();
    if (last === undefined || queue.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const right = queue[below + 1];
      let child = queue[below];
      if (child === undefined) break;
      if (right !== undefined && right.dueMs < child.dueMs) {
        below++;
        child = right;
      }
      if (child.dueMs >= last.dueMs) break;
      queue[at] = child;
      at = below;
    }
    queue[at] = last;
  }
}
