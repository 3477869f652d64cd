// A binary heap of what is to be checked, whatever may wait least for others at its head.

import type { Check } from './check-list.ts';
import type { CheckRecord } from './check-record.ts';

/** One Endpoint that this worker checks. */
export class Watch {
  check: Check;
  dueMs: number;
  /** By when it is to be checked: until then it may wait for others. Set before it is put into a queue. */
  latestMs = 0;
  /** When a request last connected to it, in ms. */
  connectedMs: number = Number.NEGATIVE_INFINITY;
  /** Whether it is still this worker's to check. */
  current = true;
  /** Where it waits for its turn; null while it is being checked. */
  queue: WatchQueue | null = null;
  readonly record: CheckRecord;

  constructor(check: Check, dueMs: number, record: CheckRecord) {
    this.check = check;
    this.dueMs = dueMs;
    this.record = record;
  }
}

export class WatchQueue {
  readonly #heap: Watch[] = [];

  /** What is to be checked first; null: nothing waits. Watches that are not current any more are dropped when they come up. */
  get first(): Watch | null {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return null;
      if (first.current) return first;
      this.#pop();
    }
  }

  put(watch: Watch): void {
    watch.queue = this;
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || parent.latestMs <= watch.latestMs) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = watch;
  }

  /** Takes the first out; null: nothing waits. */
  take(): Watch | null {
    const { first } = this;
    if (first === null) return null;
    this.#pop();
    first.queue = null;
    return first;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const right = heap[below + 1];
      let child = heap[below];
      if (child === undefined) break;
      if (right !== undefined && right.latestMs < child.latestMs) {
        below++;
        child = right;
      }
      if (child.latestMs >= last.latestMs) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}
