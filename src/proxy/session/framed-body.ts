// The body of one message on its way through: what of the bytes at hand belongs to it, and when it is over (RFC 9112 6.3).

import type { Framing } from '../../protocol/field-lines.ts';
import { ChunkedBody } from '../../protocol/http-body.ts';
import type { Refusal } from '../../protocol/refusals.ts';

const nothing: Buffer = Buffer.alloc(0);

/** One body, used again for the next one after `begin`. */
export class FramedBody {
  /** Whether all of it has been taken. `until-close` is never done by itself. */
  done = true;
  /** Bytes of the last `take` that belonged to the body; what is behind them does not. */
  consumed = 0;
  framing: Framing = 'none';
  readonly #maxTrailerBytes: number;
  #left = 0;
  #chunks: ChunkedBody | null = null;
  #decode = false;

  constructor(maxTrailerBytes: number) {
    this.#maxTrailerBytes = maxTrailerBytes;
  }

  /** `length`: of a body so framed. `decode`: pass the content on without its chunks. */
  begin(framing: Framing, length: number, decode: boolean): void {
    this.framing = framing;
    this.#left = framing === 'length' ? length : 0;
    this.#decode = decode;
    this.done = framing === 'none';
    if (framing === 'chunked') {
      this.#chunks ??= new ChunkedBody(this.#maxTrailerBytes);
      this.#chunks.reset();
    }
  }

  /** Why the body is malformed, or null. */
  get problem(): Refusal | null {
    return this.framing === 'chunked' && this.#chunks !== null ? this.#chunks.problem : null;
  }

  /** Of a body that is done: its trailers, as lines. */
  get trailers(): string {
    return this.framing === 'chunked' && this.#chunks !== null ? this.#chunks.trailers : '';
  }

  /**
   * Takes content that came without HTTP/1.1's framing. `end`: it is over. False: there is more of it, or less, than was
   * announced.
   */
  takeBare(content: Buffer, end: boolean): boolean {
    this.done = end;
    if (this.framing === 'chunked' || this.framing === 'until-close') return true;
    this.#left -= content.length;
    return this.#left >= 0 && (!end || this.#left === 0);
  }

  /** What of a chunk is to be passed on: the chunk itself where all of it belongs to the body and needs no change. */
  take(chunk: Buffer): Buffer {
    switch (this.framing) {
      case 'none':
        this.consumed = 0;
        return nothing;
      case 'until-close':
        this.consumed = chunk.length;
        return chunk;
      case 'length': {
        const taken = Math.min(chunk.length, this.#left);
        this.consumed = taken;
        this.#left -= taken;
        this.done = this.#left === 0;
        return taken === chunk.length ? chunk : chunk.subarray(0, taken);
      }
      case 'chunked': {
        const chunks = this.#chunks;
        if (chunks === null || this.done) {
          this.consumed = 0;
          return nothing;
        }
        const content = chunks.take(chunk, 0, this.#decode);
        this.consumed = chunks.consumed;
        this.done = chunks.done;
        return content;
      }
    }
  }
}
