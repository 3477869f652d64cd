// What other workers have told of their counts, and what that makes in all. What is not repeated in time is not believed any
// more, so a message that was lost, or a worker, counts for nobody for long.

/** Whole numbers, 0 or more, of one meaning each; how many there are depends on what is counted. */
export type Counts = readonly number[];

/** Keys that are kept of one worker: above what any tells of. */
const maxKeysOfWorker = 8_000;

type Word = { readonly counts: Counts; readonly heardAt: number };

export class HeardCounts {
  readonly #words: Map<number, Map<string, Word>> = new Map();
  readonly #sums: Map<string, number[]> = new Map();

  /** Keys of which anything was told. */
  get size(): number {
    return this.#sums.size;
  }

  /** All that the others count under a key together; null if they count nothing. */
  of(key: string): Counts | null {
    return this.#sums.get(key) ?? null;
  }

  /** A worker counts so much under a key, said in this turn: takes the place of what it told before. */
  hear(worker: number, key: string, counts: Counts, turn: number): void {
    let words = this.#words.get(worker);
    if (words === undefined) {
      words = new Map();
      this.#words.set(worker, words);
    }
    const before = words.get(key);
    if (before === undefined && words.size >= maxKeysOfWorker) return;
    if (before !== undefined) this.#add(key, before.counts, -1);
    this.#add(key, counts, 1);
    if (counts.some((count) => count > 0)) words.set(key, { counts, heardAt: turn });
    else words.delete(key);
  }

  /** Forgets what was told by workers other than these. */
  keepOnly(workers: readonly number[]): void {
    for (const [worker, words] of this.#words) {
      if (workers.includes(worker)) continue;
      for (const [key, { counts }] of words) this.#add(key, counts, -1);
      this.#words.delete(worker);
    }
  }

  /** Forgets what was last told before a turn. */
  forgetBefore(turn: number): void {
    for (const words of this.#words.values()) {
      for (const [key, { counts, heardAt }] of words) {
        if (heardAt >= turn) continue;
        this.#add(key, counts, -1);
        words.delete(key);
      }
    }
  }

  #add(key: string, counts: Counts, sign: 1 | -1): void {
    const sums = this.#sums.get(key) ?? new Array<number>(counts.length).fill(0);
    let left = 0;
    for (let i = 0; i < counts.length; i++) {
      const sum = (sums[i] ?? 0) + sign * (counts[i] ?? 0);
      sums[i] = sum;
      left += sum;
    }
    if (left > 0) this.#sums.set(key, sums);
    else this.#sums.delete(key);
  }
}
