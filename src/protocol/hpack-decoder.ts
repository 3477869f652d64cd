// Reading HTTP/2's header blocks (RFC 7541), and the dynamic table that they build on a connection. Every byte comes from
// a stranger; nothing here throws, and the table holds no more than was announced.

import { decodeHuffman, firstDynamicIndex, staticNames, staticValues } from './hpack-tables.ts';

/**
 * Takes the fields of a header block, in order. Name and value are one character a byte (latin1). One byte of a block may
 * stand for a field as long as the table: who keeps fields has to bound them.
 */
export interface FieldSink {
  field(name: string, value: string): void;
}

/** What the table may hold as long as a peer does not know better (RFC 9113 6.5.2). */
const defaultTableBytes = 4096;
/** What an entry counts beyond its name and value (4.1). */
const entryBytes = 32;
/** Octets behind the prefix of an integer: 28 bits. More is an attack on someone's integer. */
const maxContinuations = 4;

/** One direction of one connection. */
export class HpackDecoder {
  readonly #maxTableBytes: number;
  /** A ring: entries are written upwards and leave at the other end. */
  readonly #names: string[];
  readonly #values: string[];
  readonly #mask: number;
  /** Where the newest entry stands. */
  #newest = 0;
  #count = 0;
  /** What the entries count, and what the peer has set as their limit. */
  #tableBytes = 0;
  #limit: number = defaultTableBytes;
  /** The next byte of the block. */
  #at = 0;

  /**
   * `maxTableBytes`: what is announced as SETTINGS_HEADER_TABLE_SIZE. The table begins with 4,096 all the same: a peer fills
   * it before it has read the settings, and one that may use less says so itself (RFC 9113 4.3.1).
   */
  constructor(maxTableBytes: number) {
    this.#maxTableBytes = maxTableBytes;
    let capacity = 1;
    while (capacity * entryBytes < Math.max(maxTableBytes, defaultTableBytes)) capacity *= 2;
    this.#names = new Array<string>(capacity).fill('');
    this.#values = new Array<string>(capacity).fill('');
    this.#mask = capacity - 1;
  }

  /**
   * Decodes one whole header block, all fragments joined. False: malformed (COMPRESSION_ERROR). The sink may have got fields
   * by then, and the decoder is of no use any more.
   */
  decode(block: Buffer, sink: FieldSink): boolean {
    this.#at = 0;
    // Only here: behind a field the table keeps its size (4.2).
    while (this.#at < block.length && ((block[this.#at] ?? 0) & 0xe0) === 0x20) {
      const limit = this.#integer(block, 0x1f);
      if (limit < 0 || limit > this.#maxTableBytes) return false;
      this.#limit = limit;
      this.#shrink(limit);
    }
    while (this.#at < block.length) {
      const first = block[this.#at] ?? 0;
      if (first >= 0x80) {
        const index = this.#integer(block, 0x7f);
        if (index <= 0) return false;
        if (index < firstDynamicIndex) {
          sink.field(staticNames[index] ?? '', staticValues[index] ?? '');
        } else {
          const slot = this.#slotOf(index);
          if (slot < 0) return false;
          sink.field(this.#names[slot] ?? '', this.#values[slot] ?? '');
        }
      } else {
        if ((first & 0xe0) === 0x20) return false;
        const kept = first >= 0x40;
        const index = this.#integer(block, kept ? 0x3f : 0x0f);
        if (index < 0) return false;
        const name = index === 0 ? this.#text(block) : this.#nameAt(index);
        if (name === null) return false;
        const value = this.#text(block);
        if (value === null) return false;
        if (kept) this.#insert(name, value);
        sink.field(name, value);
      }
    }
    return true;
  }

  #nameAt(index: number): string | null {
    if (index < firstDynamicIndex) return staticNames[index] ?? null;
    const slot = this.#slotOf(index);
    return slot < 0 ? null : (this.#names[slot] ?? null);
  }

  /** Where an index of the dynamic table stands, or -1. */
  #slotOf(index: number): number {
    const age = index - firstDynamicIndex;
    return age < this.#count ? (this.#newest - age) & this.#mask : -1;
  }

  /** RFC 7541 4.4: an entry that is larger than the table empties it, which is no error. */
  #insert(name: string, value: string): void {
    const size = name.length + value.length + entryBytes;
    this.#shrink(this.#limit - size);
    if (size > this.#limit) return;
    const slot = (this.#newest + 1) & this.#mask;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#newest = slot;
    this.#count++;
    this.#tableBytes += size;
  }

  /** Evicts the oldest until the rest counts so many bytes at most. */
  #shrink(bytes: number): void {
    while (this.#tableBytes > bytes && this.#count > 0) {
      const oldest = (this.#newest - this.#count + 1) & this.#mask;
      this.#tableBytes -= (this.#names[oldest] ?? '').length + (this.#values[oldest] ?? '').length + entryBytes;
      // The ring would keep the strings alive for many times the table's size.
      this.#names[oldest] = '';
      this.#values[oldest] = '';
      this.#count--;
    }
  }

  /** An integer whose prefix is these low bits of the next byte (5.1), or -1: cut off, or too long. */
  #integer(block: Buffer, prefix: number): number {
    let at = this.#at;
    let value = (block[at++] ?? 0) & prefix;
    if (value === prefix) {
      for (let octets = 0; ; octets++) {
        if (octets === maxContinuations || at === block.length) return -1;
        const octet = block[at++] ?? 0;
        value += (octet & 0x7f) << (7 * octets);
        if (octet < 0x80) break;
      }
    }
    this.#at = at;
    return value;
  }

  /** A string literal (5.2), or null. */
  #text(block: Buffer): string | null {
    if (this.#at === block.length) return null;
    const isHuffman = (block[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(block, 0x7f);
    const from = this.#at;
    const to = from + length;
    if (length < 0 || to > block.length) return null;
    this.#at = to;
    return isHuffman ? decodeHuffman(block, from, to) : block.toString('latin1', from, to);
  }
}
