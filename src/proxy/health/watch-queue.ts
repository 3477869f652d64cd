// A binary heap of what is to be checked, whatever is due first at its head.

import type { Check } from './check-list.ts';
import type { CheckRecord } from './check-record.ts';

/** One Endpoint that this worker checks. */
export class Watch {
  check: Check;
  dueMs: number;
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

  /** What is due first; null: nothing waits. Watches that are not current any more are dropped when they come up. */
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
      if (parent === undefined || parent.dueMs <= watch.dueMs) break;
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
      if (right !== undefined && right.dueMs < child.dueMs) {
        below++;
        child = right;
      }
      if (child.dueMs >= last.dueMs) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}
