// Deadlines of all Sessions of a worker on one timer. Setting one is a store into an array, 4 ns in place of the 330 of a timer
// made and cleared, and a request moves its deadline several times. Precision is one sweep, always late, never early.

const sweepMs = 100;
const never = Number.POSITIVE_INFINITY;

/** Who is told that its time is up. */
export interface DeadlineOwner {
  onDeadline(): void;
}

/** A slot of one owner; `release` gives it back. */
export type DeadlineSlot = number & { readonly __deadlineSlot: true };

export class Deadlines {
  #times: Float64Array = new Float64Array(256).fill(never);
  #owners: (DeadlineOwner | null)[] = new Array(256).fill(null);
  #free: number[] = [];
  #used = 0;
  #claimed = 0;
  #nowMs: number = performance.now();
  /** Runs only while somebody has a slot: ten times a second for nothing is half of what an idle worker would use. */
  #timer: NodeJS.Timeout | null = null;

  /** Time of the last sweep in ms, for whom 100 ms are exact enough. */
  get nowMs(): number {
    return this.#timer === null ? performance.now() : this.#nowMs;
  }

  /** A slot for this owner, with no deadline yet. */
  claim(owner: DeadlineOwner): DeadlineSlot {
    if (this.#claimed++ === 0) this.#start();
    const slot = this.#free.pop() ?? this.#used++;
    if (slot >= this.#times.length) this.#grow();
    this.#times[slot] = never;
    this.#owners[slot] = owner;
    return slot as DeadlineSlot;
  }

  /** Moves the deadline to `ms` from now. */
  set(slot: DeadlineSlot, ms: number): void {
    this.#times[slot] = this.#nowMs + ms + sweepMs;
  }

  clear(slot: DeadlineSlot): void {
    this.#times[slot] = never;
  }

  release(slot: DeadlineSlot): void {
    this.#times[slot] = never;
    this.#owners[slot] = null;
    this.#free.push(slot);
    if (--this.#claimed === 0) this.close();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #start(): void {
    this.#nowMs = performance.now();
    this.#timer = setInterval(() => this.#sweep(), sweepMs);
    this.#timer.unref();
  }

  #sweep(): void {
    this.#nowMs = performance.now();
    const now = this.#nowMs;
    for (let slot = 0; slot < this.#used; slot++) {
      if ((this.#times[slot] ?? never) <= now) {
        this.#times[slot] = never;
        this.#owners[slot]?.onDeadline();
      }
    }
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2).fill(never);
    times.set(this.#times);
    this.#times = times;
  }
}
