// Bytes of one message that come in pieces. Grows by doubling, so that a peer who sends one byte at a time costs what it
// sends, not its square.

const firstCapacity = 2048;
const nothing = Buffer.alloc(0);
/** Pieces from here on are kept as they are. Node hands smaller ones out of a pool, which each of them keeps alive. */
const largePiece = 4096;

/** What has come so far of something that is not whole yet. The owner bounds it. */
export class GatheredBytes {
  #bytes: Buffer | null = null;
  #length = 0;
  #owned = false;

  get length(): number {
    return this.#length;
  }

  /** All that has come so far. */
  get bytes(): Buffer {
    const bytes = this.#bytes ?? nothing;
    return bytes.length === this.#length ? bytes : bytes.subarray(0, this.#length);
  }

  /** Adds a piece and answers all that has come so far; a first piece is answered as it is, without a copy. */
  append(piece: Buffer): Buffer {
    const held = this.#bytes;
    if (held === null) {
      this.#bytes = piece;
      this.#length = piece.length;
      this.#owned = false;
      return piece;
    }
    const length = this.#length + piece.length;
    let target = held;
    if (!this.#owned || length > held.length) {
      let capacity = firstCapacity;
      while (capacity < length) capacity *= 2;
      target = Buffer.allocUnsafeSlow(capacity);
      held.copy(target, 0, 0, this.#length);
      this.#bytes = target;
      this.#owned = true;
    }
    piece.copy(target, this.#length);
    this.#length = length;
    return target.subarray(0, length);
  }

  /** Forgets everything and answers what was there. */
  take(): Buffer {
    const bytes = this.bytes;
    this.#bytes = null;
    this.#length = 0;
    return bytes;
  }
}

/**
 * Adds a piece to those that wait. A small one is joined with those before it that are no larger: a Buffer takes a hundred
 * bytes besides its own, and so would each byte of a peer who sends one at a time. A byte is copied twelve times at most.
 */
export function addPiece(pieces: Buffer[], piece: Buffer): void {
  let joined = piece;
  while (joined.length < largePiece) {
    const last = pieces.at(-1);
    if (last === undefined || last.length > joined.length) break;
    pieces.pop();
    joined = Buffer.concat([last, joined]);
  }
  pieces.push(joined);
}

/** Pieces as one; a single piece is that one, without a copy. */
export function inOneBuffer(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return first !== undefined && pieces.length === 1 ? first : Buffer.concat(pieces);
}
