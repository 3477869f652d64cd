// How many events there were in the last seconds, for limits of a rate. Cheap and of fixed size: counts by tenths of the window,
// and never the times of single events.

/** Parts that a window is cut into. */
const parts = 10;
/** One more than fit in: the part that the window's beginning lies in counts as a whole. */
const slots = parts + 1;

/**
 * Never forgets an event within the window, and forgets it at most a tenth of the window later. So what it lets through is never
 * more than the limit in any window's length, and it refuses nothing that a window longer by a tenth would not refuse.
 */
export class SlidingWindow {
  readonly #partMs: number;
  readonly #counts: number[] = new Array<number>(slots).fill(0);
  #part = 0;
  #sum = 0;

  constructor(lengthMs: number) {
    this.#partMs = lengthMs / parts;
  }

  /** Events up to `nowMs`, which never goes back. */
  count(nowMs: number): number {
    const part = Math.floor(nowMs / this.#partMs);
    if (part - this.#part >= slots) {
      if (this.#sum > 0) this.#counts.fill(0);
      this.#sum = 0;
      this.#part = part;
    }
    while (this.#part < part) {
      this.#part++;
      const slot = this.#part % slots;
      this.#sum -= this.#counts[slot] ?? 0;
      this.#counts[slot] = 0;
    }
    return this.#sum;
  }

  /** Counts an event. */
  add(nowMs: number): void {
    this.count(nowMs);
    const slot = this.#part % slots;
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
    this.#sum++;
  }

  /** In how many ms the eldest events are forgotten; 0 if there are none. */
  forgetsInMs(nowMs: number): number {
    if (this.count(nowMs) === 0) return 0;
    for (let part = this.#part - parts; part <= this.#part; part++) {
      if ((this.#counts[(part + slots) % slots] ?? 0) > 0) return (part + slots) * this.#partMs - nowMs;
    }
    return 0;
  }
}
