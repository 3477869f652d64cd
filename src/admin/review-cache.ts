// What somebody else was asked and answered, kept for a while: bounded, and each question under way only once.

type Kept<T> = { readonly answer: Promise<T>; untilMs: number };

export class ReviewCache<T> {
  readonly #kept: Map<string, Kept<T>> = new Map();
  readonly #maxEntries: number;
  readonly #nowMs: () => number;

  /** Of more than `maxEntries` answers the one that was asked for first is forgotten. */
  constructor(maxEntries: number, nowMs: () => number) {
    this.#maxEntries = maxEntries;
    this.#nowMs = nowMs;
  }

  /** The kept answer, or a new one, which is kept for `keepMs` from when it comes. A question that fails is not kept. */
  get(key: string, ask: () => Promise<T>, keepMs: (answer: T) => number): Promise<T> {
    const known = this.#kept.get(key);
    if (known !== undefined && this.#nowMs() < known.untilMs) return known.answer;
    const kept: Kept<T> = { answer: ask(), untilMs: Number.POSITIVE_INFINITY };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    this.#forgetEldest();
    kept.answer.then(
      (answer) => {
        kept.untilMs = this.#nowMs() + keepMs(answer);
      },
      () => {
        if (this.#kept.get(key) === kept) this.#kept.delete(key);
      },
    );
    return kept.answer;
  }

  #forgetEldest(): void {
    if (this.#kept.size <= this.#maxEntries) return;
    const [eldest] = this.#kept.keys();
    if (eldest !== undefined) this.#kept.delete(eldest);
  }
}
