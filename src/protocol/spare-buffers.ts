// Buffers of one size that nobody has use for just now. A fresh one each time is garbage outside of the heap, for which the
// collector marks all of it.

export class SpareBuffers {
  readonly #size: number;
  readonly #most: number;
  readonly #spares: Buffer[] = [];

  /** `size`: of each, in bytes. `most`: how many are kept. */
  constructor(size: number, most: number) {
    this.#size = size;
    this.#most = most;
  }

  /** One of them, or a fresh one; whatever is in it. */
  take(): Buffer {
    return this.#spares.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  /** Takes one back of which nobody holds a view. */
  leave(buffer: Buffer): void {
    if (this.#spares.length < this.#most) this.#spares.push(buffer);
  }
}
