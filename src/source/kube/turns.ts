// So many requests at a time, the others in the order in which they came.

export class Turns {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Does what is asked when it is its turn. */
  async take<T>(request: () => Promise<T>): Promise<T> {
    if (this.#taken >= this.#most) {
      // Whoever ends hands its turn over.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#taken++;
    }
    try {
      return await request();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken--;
      else next();
    }
  }
}
