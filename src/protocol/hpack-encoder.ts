// Writing HTTP/2's header blocks (RFC 7541) with the static table alone: no dynamic table and no Huffman code. So there is
// no state per connection and no order to keep, nothing that one client could learn of another's secrets from the length of
// what is compressed, and less to compute than shorter blocks would save between a router and its neighbours.

import { staticNames, staticValues } from './hpack-tables.ts';

/** Literal without indexing, and the same with the wish that nobody behind us indexes it either (6.2.2, 6.2.3). */
const WITHOUT_INDEXING = 0x00;
const NEVER_INDEXED = 0x10;
const INDEXED = 0x80;
/** The prefix of a name's index in both literals. */
const namePrefix = 0x0f;
const lengthPrefix = 0x7f;

/** From so many characters on the call into native code is cheaper than a loop (of slices: from some 20 on). */
const loopBelow = 16;

/** Index of each name (the first one) at its `slotOf`, where no two names meet. */
const indexes = new Uint8Array(256);
/** 1 where the name is of something that is worth guessing (7.1.3). */
const secret = new Uint8Array(staticNames.length);
/** Index of the field `:status` by its value. */
const statusIndexes = new Uint8Array(600);

for (let index = staticNames.length - 1; index > 0; index--) {
  const name = staticNames[index] ?? '';
  indexes[slotOf(name)] = index;
  if (name === ':status') statusIndexes[Number(staticValues[index])] = index;
  if (['authorization', 'proxy-authorization', 'cookie', 'set-cookie'].includes(name)) secret[index] = 1;
}
const statusName = indexes[slotOf(':status')] ?? 0;

/**
 * Length and outer characters tell the static table's names apart; the factors were searched for. A Map is slower by far
 * for names that have just been cut out of a text, as it has to hash them first.
 */
function slotOf(name: string): number {
  const { length } = name;
  return (length + 10 * name.charCodeAt(0) + 4 * name.charCodeAt(length - 1)) & 255;
}

/** Upper bound of the bytes that `encodeField` writes: two strings with lengths of up to five bytes, and the first byte. */
export function maxFieldBytes(name: string, value: string): number {
  return name.length + value.length + 11;
}

/**
 * Writes one field at `at` and answers the index after it. The name is lower-case; both are one character a byte, and far
 * below 2^28 bytes. The buffer must have room for `maxFieldBytes`.
 */
export function encodeField(to: Buffer, at: number, name: string, value: string): number {
  const index = indexes[slotOf(name)] ?? 0;
  let end = at;
  if (index === 0 || staticNames[index] !== name) {
    to[end++] = WITHOUT_INDEXING;
    end = writeText(to, end, name);
  } else if (secret[index] === 1) {
    end = writeInteger(to, end, NEVER_INDEXED, namePrefix, index);
  } else {
    for (let same = index; staticNames[same] === name; same++) {
      if (staticValues[same] === value) {
        to[end] = INDEXED | same;
        return end + 1;
      }
    }
    end = writeInteger(to, end, WITHOUT_INDEXING, namePrefix, index);
  }
  return writeText(to, end, value);
}

/** Writes the pseudo-header `:status`, three digits, at `at` and answers the index after it: five bytes at most. */
export function encodeStatus(to: Buffer, at: number, status: number): number {
  const index = statusIndexes[status] ?? 0;
  if (index !== 0) {
    to[at] = INDEXED | index;
    return at + 1;
  }
  to[at] = WITHOUT_INDEXING | statusName;
  to[at + 1] = 3;
  to[at + 2] = 0x30 + Math.trunc(status / 100);
  to[at + 3] = 0x30 + (Math.trunc(status / 10) % 10);
  to[at + 4] = 0x30 + (status % 10);
  return at + 5;
}

/** A string literal without Huffman coding (5.2). */
function writeText(to: Buffer, at: number, text: string): number {
  const { length } = text;
  let end = writeInteger(to, at, 0, lengthPrefix, length);
  if (length >= loopBelow) return end + to.write(text, end, 'latin1');
  for (let i = 0; i < length; i++) to[end++] = text.charCodeAt(i);
  return end;
}

/** An integer behind the upper bits of its first byte (5.1). */
function writeInteger(to: Buffer, at: number, upper: number, prefix: number, value: number): number {
  let end = at;
  if (value < prefix) {
    to[end++] = upper | value;
    return end;
  }
  to[end++] = upper | prefix;
  let rest = value - prefix;
  for (; rest >= 0x80; rest >>= 7) to[end++] = (rest & 0x7f) | 0x80;
  to[end++] = rest;
  return end;
}
