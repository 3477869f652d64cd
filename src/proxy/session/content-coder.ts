// Compresses the content of one answer. What is there as a whole is done at once; else piece by piece, beside the event loop:
// while one piece is being compressed the next ones gather, and each leaves whole, so that a trickle reaches the client as it
// comes and a flood is compressed in large pieces.

import type { Transform } from 'node:stream';
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib';
import type { Coding } from '../../protocol/content-coding.ts';
import { inOneBuffer } from '../../protocol/gathered-bytes.ts';
import type { Series } from '../../telemetry/metrics.ts';

/** A whole content up to here holds the event loop up for half a millisecond; handing it to a thread and back costs as much. */
const maxAtOnceBytes = 65_536;
/** Content that waits for its turn before no more of it is wanted. */
const maxWaitingBytes = 65_536;
/** Compressed bytes that gather before they leave, while more is to come of the same piece. */
const maxGatheredBytes = 32_768;

/**
 * Where a further level costs more CPU than it saves bytes. Measured with 20 kB of prose: gzip 1 takes 116 us for 8.5 kB,
 * brotli 3 takes 186 for 8.1, zstd 3 takes 90 for 8.2. Windows are small, as each answer under way has one: half of
 * the usual memory makes the 8.5 kB a thousandth more.
 */
const gzipOptions = { level: 1, windowBits: 14, memLevel: 7, flush: constants.Z_SYNC_FLUSH };
const brotliOptions = {
  flush: constants.BROTLI_OPERATION_FLUSH,
  params: { [constants.BROTLI_PARAM_QUALITY]: 3, [constants.BROTLI_PARAM_LGWIN]: 17 },
};
const zstdOptions = {
  flush: constants.ZSTD_e_flush,
  params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_windowLog]: 17 },
};

/** Whose content it is. */
export interface CoderUser {
  /** Compressed content, in order. `last`: all of it has been said. */
  onCoded(bytes: Buffer, last: boolean): void;
  /** The coder was full, and is no more. */
  onCoderReady(): void;
  /** Nothing more will come. */
  onCoderFailed(): void;
}

export class ContentCoder {
  readonly #coding: Coding;
  readonly #open: Series;
  readonly #user: CoderUser;
  #stream: Transform | null = null;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lastCame = false;
  /** A piece is being compressed. */
  #busy = false;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #over = false;

  /** `open`: counts the coders that hold memory outside of JavaScript. */
  constructor(coding: Coding, open: Series, user: CoderUser) {
    this.#coding = coding;
    this.#open = open;
    this.#user = user;
  }

  /** Whether so much waits that no more should come. */
  get full(): boolean {
    return this.#waitingBytes > maxWaitingBytes;
  }

  /** Takes the next content; nothing comes behind the `last`. */
  take(content: Buffer, last: boolean): void {
    if (this.#over || (content.length === 0 && !last)) return;
    if (last && this.#stream === null && content.length <= maxAtOnceBytes) {
      this.#codeAtOnce(content);
      return;
    }
    this.#waiting.push(content);
    this.#waitingBytes += content.length;
    this.#lastCame = last;
    if (!this.#busy) this.#codeNext();
  }

  /** Stops and resumes what `onCoded` hears; soon after that, nothing is compressed either. */
  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  /** Ends it at once; its user hears no more. */
  destroy(): void {
    this.#over = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#gathered = [];
    this.#stream?.destroy();
  }

  #codeAtOnce(content: Buffer): void {
    let coded: Buffer;
    try {
      coded = codeWhole(this.#coding, content);
    } catch {
      this.#failed();
      return;
    }
    this.#over = true;
    this.#user.onCoded(coded, true);
  }

  /** Gives all that waits to the stream, as one piece. */
  #codeNext(): void {
    const piece = inOneBuffer(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#busy = true;
    try {
      this.#stream ??= this.#openStream();
      if (this.#lastCame) this.#stream.end(piece);
      else this.#stream.write(piece, () => this.#pieceDone());
    } catch {
      this.#failed();
    }
  }

  #openStream(): Transform {
    const stream = createStream(this.#coding);
    this.#open.value++;
    stream.on('close', () => {
      this.#open.value--;
    });
    stream.on('data', (bytes: Buffer) => this.#codedCame(bytes));
    stream.on('end', () => this.#ended());
    stream.on('error', () => this.#failed());
    return stream;
  }

  #codedCame(bytes: Buffer): void {
    if (this.#over) return;
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (!this.#busy || this.#gatheredBytes >= maxGatheredBytes) this.#pass(false);
  }

  #pieceDone(): void {
    if (this.#over) return;
    this.#busy = false;
    if (this.#gatheredBytes > 0) this.#pass(false);
    if (this.#over || (this.#waiting.length === 0 && !this.#lastCame)) return;
    const wasFull = this.full;
    this.#codeNext();
    if (wasFull && !this.#over) this.#user.onCoderReady();
  }

  #ended(): void {
    if (this.#over) return;
    this.#over = true;
    this.#pass(true);
  }

  #pass(last: boolean): void {
    const bytes = inOneBuffer(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#user.onCoded(bytes, last);
  }

  #failed(): void {
    if (this.#over) return;
    this.destroy();
    this.#user.onCoderFailed();
  }
}

function codeWhole(coding: Coding, content: Buffer): Buffer {
  switch (coding) {
    case 'gzip':
      return gzipSync(content, gzipOptions);
    case 'br':
      return brotliCompressSync(content, brotliOptions);
    case 'zstd':
      return zstdCompressSync(content, zstdOptions);
  }
}

function createStream(coding: Coding): Transform {
  switch (coding) {
    case 'gzip':
      return createGzip(gzipOptions);
    case 'br':
      return createBrotliCompress(brotliOptions);
    case 'zstd':
      return createZstdCompress(zstdOptions);
  }
}
