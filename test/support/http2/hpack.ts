// Header compression as a foreign peer does it (RFC 7541): what it writes is literal or as wrong as a test wants it, what it
// reads is decoded whole, Huffman included. Written anew for the tests; nothing here is shared with the product.

/** A name and a value; latin1, one character a byte. */
export type Field = readonly [name: string, value: string];

/** RFC 7541 appendix A. */
const staticTable: readonly Field[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range content-type ' +
    'cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since ' +
    'last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after ' +
    'server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate'
  )
    .split(' ')
    .map((name): Field => [name, '']),
];

/** How many bits the code of each symbol has, base 36, from 0 to 256 (RFC 7541 appendix B). The codes follow: they are canonical. */
const huffmanLengths =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f565' +
  '65666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmp' +
  'qqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu';

/** What one entry of a table takes besides its text (RFC 7541 section 4.1). */
const entryOverhead = 32;

/** An integer behind a pattern of bits (RFC 7541 section 5.1). */
export function integer(value: number, prefixBits: number, pattern: number): Buffer {
  const limit = 2 ** prefixBits - 1;
  if (value < limit) return Buffer.from([pattern | value]);
  const bytes = [pattern | limit];
  let left = value - limit;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  bytes.push(left);
  return Buffer.from(bytes);
}

/** A text without Huffman coding. */
export function plainText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([integer(bytes.length, 7, 0), bytes]);
}

/** A literal that no table keeps. */
export function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), plainText(name), plainText(value)]);
}

/** A literal that goes into the table. */
export function keptLiteral(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40]), plainText(name), plainText(value)]);
}

/** An entry of a table: 1 to 61 are static, 62 is the newest of the kept ones. */
export function indexed(index: number): Buffer {
  return integer(index, 7, 0x80);
}

/** A change of the size of the table (RFC 7541 section 6.3). */
export function tableSize(bytes: number): Buffer {
  return integer(bytes, 5, 0x20);
}

/** A block of literals. */
export function block(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => literal(name, value)));
}

/** Reads the blocks of one side of a connection, in order. Throws on what RFC 7541 forbids. */
export class HpackDecoder {
  #limitBytes: number;
  #capacityBytes: number;
  #sizeBytes = 0;
  readonly #entries: Field[] = [];

  /** `limitBytes`: SETTINGS_HEADER_TABLE_SIZE of the side that reads. */
  constructor(limitBytes: number = 4096) {
    this.#limitBytes = limitBytes;
    this.#capacityBytes = limitBytes;
  }

  /** From now on the writer has to do with this much; it says so itself at the start of its next block. */
  limit(bytes: number): void {
    this.#limitBytes = bytes;
  }

  decode(bytes: Buffer): Field[] {
    const reader = new TextReader(bytes);
    const fields: Field[] = [];
    while (!reader.atEnd) {
      const first = reader.peek();
      const isSize = (first & 0xe0) === 0x20;
      if (!isSize && this.#capacityBytes > this.#limitBytes) throw new Error('the table was to shrink first');
      if ((first & 0x80) !== 0) {
        fields.push(this.#at(reader.integer(7)));
      } else if (isSize) {
        const size = reader.integer(5);
        if (fields.length > 0 || size > this.#limitBytes)
          throw new Error('a table size where or as large as none may be');
        this.#capacityBytes = size;
        this.#evict();
      } else {
        const keeps = (first & 0x40) !== 0;
        const index = reader.integer(keeps ? 6 : 4);
        const name = index === 0 ? reader.text() : this.#at(index)[0];
        const field: Field = [name, reader.text()];
        if (keeps) this.#keep(field);
        fields.push(field);
      }
    }
    return fields;
  }

  #at(index: number): Field {
    const field = index <= staticTable.length ? staticTable[index - 1] : this.#entries[index - staticTable.length - 1];
    if (field === undefined) throw new Error(`no entry ${index}`);
    return field;
  }

  #keep(field: Field): void {
    this.#entries.unshift(field);
    this.#sizeBytes += sizeOf(field);
    this.#evict();
  }

  #evict(): void {
    while (this.#sizeBytes > this.#capacityBytes) {
      const last = this.#entries.pop();
      if (last === undefined) throw new Error('a table without entries has a size');
      this.#sizeBytes -= sizeOf(last);
    }
  }
}

function sizeOf([name, value]: Field): number {
  return name.length + value.length + entryOverhead;
}

/** Integers and texts of a block, one after the other. */
class TextReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  peek(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new Error('the block ends in the middle of a field');
    return byte;
  }

  integer(prefixBits: number): number {
    const limit = 2 ** prefixBits - 1;
    let value = this.#next() & limit;
    if (value < limit) return value;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#next();
      value += (byte & 0x7f) * factor;
      if (value > 2 ** 32) throw new Error('an integer without end');
      if ((byte & 0x80) === 0) return value;
    }
  }

  text(): string {
    const isHuffman = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error('the block ends in the middle of a text');
    this.#at += length;
    return isHuffman ? huffmanText(bytes) : bytes.toString('latin1');
  }

  #next(): number {
    const byte = this.peek();
    this.#at++;
    return byte;
  }
}

const endOfText = 256;
const symbols: ReadonlyMap<string, number> = huffmanSymbols();

/** Each symbol by its code, written as bits. */
function huffmanSymbols(): Map<string, number> {
  const byLength = Array.from(huffmanLengths, (digit, symbol) => ({ symbol, length: Number.parseInt(digit, 36) }));
  byLength.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const codes = new Map<string, number>();
  let code = 0;
  let bits = 0;
  for (const { symbol, length } of byLength) {
    code *= 2 ** (length - bits);
    bits = length;
    codes.set(code.toString(2).padStart(length, '0'), symbol);
    code++;
  }
  return codes;
}

function huffmanText(bytes: Buffer): string {
  let text = '';
  let code = '';
  for (const byte of bytes) {
    for (const bit of byte.toString(2).padStart(8, '0')) {
      code += bit;
      const symbol = symbols.get(code);
      if (symbol === undefined) continue;
      if (symbol === endOfText) throw new Error('the end of text is written out');
      text += String.fromCharCode(symbol);
      code = '';
    }
  }
  // RFC 7541 section 5.2: what is left over is less than a byte, all ones.
  if (code.length > 7 || code.includes('0')) throw new Error('wrong padding');
  return text;
}
