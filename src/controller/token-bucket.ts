// A rate with room for bursts. Pure: the clock is the caller's.

export class TokenBucket {
  readonly #perMs: number;
  readonly #size: number;
  #tokens: number;
  #atMs = 0;
  #pausedUntilMs = 0;

  /** `perSecond` tokens come in a second, and `size` are kept at most. */
  constructor(perSecond: number, size: number) {
    this.#perMs = perSecond / 1000;
    this.#size = size;
    this.#tokens = size;
  }

  /** Takes a token and answers 0, or takes none and answers in how many milliseconds there may be one. */
  take(nowMs: number): number {
    if (nowMs < this.#pausedUntilMs) return this.#pausedUntilMs - nowMs;
    this.#tokens = Math.min(this.#size, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return Math.ceil((1 - this.#tokens) / this.#perMs);
    this.#tokens--;
    return 0;
  }

  /** Gives out nothing before a time. */
  pause(untilMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs);
  }
}
