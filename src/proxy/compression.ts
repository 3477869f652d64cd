// Which answers a worker compresses, and with what (Route semantics 5.22). Exists only where compression is switched on.

import { type Coding, isCodable, wantedCoding } from '../protocol/content-coding.ts';
import type { ResponseHead } from '../protocol/response-head.ts';
import type { Metrics, Series } from '../telemetry/metrics.ts';

/**
 * Answers that are compressed piece by piece at a time: each takes some 200 kB, for as long as its client is slow. With
 * more, answers go on as they are.
 */
const maxOpen = 256;

export type CompressionSettings = {
  readonly compressionTypes: readonly string[];
  /** In order of preference. */
  readonly compressionAlgorithms: readonly Coding[];
};

export class Compression {
  /** Answers that are being compressed piece by piece. */
  readonly open: Series;
  readonly #types: readonly string[];
  readonly #offered: readonly Coding[];
  readonly #counts: Readonly<Record<Coding | 'limit', Series>>;

  constructor(settings: CompressionSettings, metrics: Metrics) {
    this.#types = settings.compressionTypes;
    this.#offered = settings.compressionAlgorithms;
    this.open = metrics.series('headgate_compressions');
    const count = (result: string): Series => metrics.series('headgate_compressions_total', result);
    this.#counts = { gzip: count('gzip'), br: count('br'), zstd: count('zstd'), limit: count('limit') };
  }

  /**
   * Whether an answer with this head is compressed for clients who want that, and so has to say that it varies; or speaks of
   * one that was (304).
   */
  concerns(head: ResponseHead): boolean {
    return head.status === 304 || isCodable(head, this.#types);
  }

  /** The coding of such an answer to a client with this Accept-Encoding, counted; null for none. */
  choose(acceptEncoding: string): Coding | null {
    const coding = wantedCoding(acceptEncoding, this.#offered);
    if (coding === null) return null;
    const isOver = this.open.value >= maxOpen;
    this.#counts[isOver ? 'limit' : coding].value++;
    return isOver ? null : coding;
  }
}
