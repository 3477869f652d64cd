// What the checks of one Endpoint say together: it is up until several in a row fail, and then down until some succeed.

/** Successes in a row that bring an Endpoint back, and failures that take it out (Route semantics 5.16). */
export const rise = 2;
export const fall = 3;

export class CheckRecord {
  #down = false;
  /** Results in a row that speak against the present state. */
  #against = 0;

  get down(): boolean {
    return this.#down;
  }

  /** Whether it is down, or what was seen last speaks against its being up. */
  get doubtful(): boolean {
    return this.#down || this.#against > 0;
  }

  /** Takes a result. True if the Endpoint's state has changed by it. */
  add(result: 'reached' | 'failed'): boolean {
    if ((result === 'failed') === this.#down) {
      this.#against = 0;
      return false;
    }
    this.#against++;
    if (this.#against < (this.#down ? rise : fall)) return false;
    this.#down = !this.#down;
    this.#against = 0;
    return true;
  }
}
