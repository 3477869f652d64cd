// A buffer that is used again and again, and views of its beginning.

/** Longer views are made anew each time. */
const keptViews = 2048;

export class ViewedBuffer {
  bytes: Buffer;
  /** By their length: what comes most has few lengths, and making a view costs more than looking at it. */
  readonly #views: (Buffer | undefined)[] = new Array(keptViews).fill(undefined);

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  /** The first bytes. */
  view(length: number): Buffer {
    if (length >= keptViews) return this.bytes.subarray(0, length);
    let view = this.#views[length];
    if (view === undefined) {
      view = this.bytes.subarray(0, length);
      this.#views[length] = view;
    }
    return view;
  }

  /** Leaves the bytes to somebody else, and goes on with others. */
  replace(): void {
    this.bytes = Buffer.allocUnsafeSlow(this.bytes.length);
    this.#views.fill(undefined);
  }
}
