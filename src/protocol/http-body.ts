// Bodies in the chunked coding (RFC 9112 7.1): checked byte by byte and passed on as they came, but for what two programs
// could read differently: chunk extensions are taken out, and sizes and trailers that need it are written anew.

import { fieldLinesProblem, isKnownName } from './http-syntax.ts';
import { type Refusal, type RefusalReason, refusal } from './refusals.ts';

/** 13 hexadecimal digits count to 2^52; a longer size is an attack on someone's integer. */
const maxSizeDigits = 13;
/** Extensions of one body together. Nobody uses them but to keep a parser busy. */
const maxExtensionBytes = 4096;

const CR = 0x0d;
const LF = 0x0a;

const State = {
  size: 0,
  extension: 1,
  sizeEnd: 2,
  data: 3,
  dataEnd: 4,
  dataEndLf: 5,
  trailer: 6,
  done: 7,
  bad: 8,
} as const;

const nothing = Buffer.alloc(0);
const lastChunk = Buffer.from('0\r\n\r\n', 'latin1');

/**
 * What a trailer may not carry, because a pod that merges trailers into the head would believe it: framing, routing, and
 * what the router vouches for (RFC 9110 6.5.1).
 */
const forbiddenInTrailer = new Set([
  'authorization',
  'cookie',
  'set-cookie',
  'content-type',
  'content-encoding',
  'content-range',
]);

/** One body in the chunked coding, used again for the next one after `reset`. */
export class ChunkedBody {
  /** Index after the last byte that `take` used. */
  consumed = 0;
  /** Why the body is malformed, or null. Once set, nothing more is taken. */
  problem: Refusal | null = null;
  /** Of a body that is done: the trailers that may be passed on, as lines. */
  trailers = '';
  readonly #maxTrailerBytes: number;
  #state: number = State.size;
  #size = 0;
  #digits = 0;
  #extensionBytes = 0;
  #hasExtension = false;
  #trailer = '';
  #pieces: Buffer[] = [];
  #runAt = -1;
  #runEnd = 0;

  constructor(maxTrailerBytes: number) {
    this.#maxTrailerBytes = maxTrailerBytes;
  }

  reset(): void {
    this.consumed = 0;
    this.problem = null;
    this.trailers = '';
    this.#state = State.size;
    this.#size = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#hasExtension = false;
    this.#trailer = '';
  }

  /** Whether the whole body, trailer included, has been taken. */
  get done(): boolean {
    return this.#state === State.done;
  }

  /**
   * Takes what belongs to the body from bytes[from..] and answers what to pass on: the same bytes where they are beyond
   * doubt (no copy), still in the chunked coding; or with `decode`, the content alone. Then see `consumed`, `done`,
   * `problem`.
   */
  take(bytes: Buffer, from: number, decode: boolean): Buffer {
    this.#pieces = [];
    this.#runAt = -1;
    const end = bytes.length;
    let at = from;
    // A size line that began in an earlier buffer was held back and is written anew when its end is here.
    let lineAt = this.#state === State.size && this.#digits === 0 ? from : -1;
    while (at < end && this.#state < State.done) {
      switch (this.#state) {
        case State.size: {
          const c = bytes[at] ?? 0;
          const digit = hexDigit(c);
          if (digit >= 0) {
            if (++this.#digits > maxSizeDigits) return this.#fail('bad-chunk');
            this.#size = this.#size * 16 + digit;
          } else if (this.#digits === 0) {
            return this.#fail('bad-chunk');
          } else if (c === CR) {
            this.#state = State.sizeEnd;
          } else if (c === 0x3b) {
            this.#hasExtension = true;
            this.#state = State.extension;
          } else {
            return this.#fail('bad-chunk');
          }
          at++;
          break;
        }
        case State.extension: {
          const c = bytes[at] ?? 0;
          if (c === CR) this.#state = State.sizeEnd;
          else if ((c < 0x20 && c !== 0x09) || c === 0x7f) return this.#fail('bad-chunk');
          else if (++this.#extensionBytes > maxExtensionBytes) return this.#fail('bad-chunk');
          at++;
          break;
        }
        case State.sizeEnd: {
          if (bytes[at] !== LF) return this.#fail('bad-chunk');
          at++;
          if (this.#size === 0) {
            this.#state = State.trailer;
            // The common end of a body, whole and plain: its bytes go on as they are.
            if (lineAt >= 0 && !this.#hasExtension && bytes[at] === CR && bytes[at + 1] === LF) {
              if (!decode) this.#keep(bytes, lineAt, at + 2);
              this.#state = State.done;
              at += 2;
            }
            break;
          }
          if (!decode) {
            if (lineAt >= 0 && !this.#hasExtension) {
              this.#keep(bytes, lineAt, at);
            } else {
              this.#endRun(bytes);
              this.#pieces.push(Buffer.from(`${this.#size.toString(16)}\r\n`, 'latin1'));
            }
          }
          this.#digits = 0;
          this.#hasExtension = false;
          this.#state = State.data;
          break;
        }
        case State.data: {
          const take = Math.min(this.#size, end - at);
          this.#keep(bytes, at, at + take);
          this.#size -= take;
          at += take;
          if (this.#size === 0) this.#state = State.dataEnd;
          break;
        }
        case State.dataEnd: {
          if (bytes[at] !== CR) return this.#fail('bad-chunk');
          if (!decode) this.#keep(bytes, at, at + 1);
          this.#state = State.dataEndLf;
          at++;
          break;
        }
        case State.dataEndLf: {
          if (bytes[at] !== LF) return this.#fail('bad-chunk');
          if (!decode) this.#keep(bytes, at, at + 1);
          this.#state = State.size;
          at++;
          lineAt = at;
          break;
        }
        case State.trailer: {
          const before = this.#trailer.length;
          // Its lines and the empty one: the same limit however the bytes were split.
          const limit = this.#maxTrailerBytes + 2;
          this.#trailer += bytes.toString('latin1', at, Math.min(end, at + limit - before));
          const whole = trailerEnd(this.#trailer);
          if (whole < 0) {
            if (this.#trailer.length >= limit) return this.#fail('trailer-too-large');
            at = end;
            break;
          }
          at += whole - before;
          const lines = this.#trailer.slice(0, whole - 2);
          if (fieldLinesProblem(lines) !== null) return this.#fail('bad-trailer');
          const kept = keptTrailer(lines);
          this.trailers = kept;
          if (!decode) {
            this.#endRun(bytes);
            this.#pieces.push(kept === '' ? lastChunk : Buffer.from(`0\r\n${kept}\r\n`, 'latin1'));
          }
          this.#state = State.done;
          break;
        }
        default:
          return nothing;
      }
    }
    this.consumed = at;
    this.#endRun(bytes);
    return this.#result();
  }

  /** Adds bytes[start, end) to what goes on, joining it to the run before where they touch. */
  #keep(bytes: Buffer, start: number, end: number): void {
    if (this.#runAt >= 0 && this.#runEnd !== start) this.#endRun(bytes);
    if (this.#runAt < 0) this.#runAt = start;
    this.#runEnd = end;
  }

  #endRun(bytes: Buffer): void {
    if (this.#runAt >= 0) this.#pieces.push(bytes.subarray(this.#runAt, this.#runEnd));
    this.#runAt = -1;
  }

  #result(): Buffer {
    const pieces = this.#pieces;
    this.#pieces = [];
    if (pieces.length === 1) return pieces[0] ?? nothing;
    return pieces.length === 0 ? nothing : Buffer.concat(pieces);
  }

  #fail(reason: RefusalReason): Buffer {
    this.problem = refusal(reason);
    this.#state = State.bad;
    this.#pieces = [];
    return nothing;
  }
}

/** Content as a chunk, and with `end` as the last one before the end of the body. Empty content alone is no chunk. */
export function inChunk(content: Buffer, end: 'last' | 'more'): Buffer {
  const head = content.length === 0 ? '' : `${content.length.toString(16)}\r\n`;
  let tail = content.length === 0 ? '' : '\r\n';
  if (end === 'last') tail += '0\r\n\r\n';
  const chunk = Buffer.allocUnsafe(head.length + content.length + tail.length);
  chunk.write(head, 0, 'latin1');
  content.copy(chunk, head.length);
  chunk.write(tail, head.length + content.length, 'latin1');
  return chunk;
}

/** The end of a chunked body, with trailers as lines. */
export function chunkedEnd(trailers: string): Buffer {
  return trailers === '' ? lastChunk : Buffer.from(`0\r\n${trailers}\r\n`, 'latin1');
}

/** Index after the empty line that ends a trailer section, or -1. */
function trailerEnd(text: string): number {
  if (text.startsWith('\r\n')) return 2;
  const at = text.indexOf('\r\n\r\n');
  return at < 0 ? -1 : at + 4;
}

/** Of sound trailer lines those that may be passed on. */
export function keptTrailer(lines: string): string {
  let kept = '';
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf('\r\n', at) + 2;
    const colon = lines.indexOf(':', at);
    const name = lines.slice(at, colon).toLowerCase();
    if (!isKnownName(name) && !forbiddenInTrailer.has(name)) kept += lines.slice(at, end);
    at = end;
  }
  return kept;
}

function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
