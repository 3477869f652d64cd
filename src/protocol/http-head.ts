// Finding the heads of HTTP/1.1 messages in bytes that come as they like: where a head ends, and whether an unfinished one is
// worth waiting for. What a whole head says is read by request-head.ts and response-head.ts.

import { isTokenChar } from './http-syntax.ts';
import { type Refusal, refusal } from './refusals.ts';

const CR = 0x0d;
const LF = 0x0a;

/**
 * Where the head that starts at `from` ends (after the empty line), or -1 if its end has not come yet.
 */
export function headEnd(bytes: Buffer, from: number): number {
  // Every fourth byte is enough to look at until one belongs to a line end (Boyer and Moore); crossing into the native search
  // costs more than this does for a head of up to some kilobytes.
  const length = bytes.length;
  for (let at = from + 3; at < length; ) {
    const c = bytes[at] ?? 0;
    if (c === LF) {
      if (bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) return at + 1;
      at += 2;
    } else {
      at += c === CR ? 1 : 4;
    }
  }
  return -1;
}

/**
 * Whether an unfinished head that starts at `start` is already beyond repair, so that nobody waits for its end: a first byte
 * that begins no message, or a line feed without its carriage return (RFC 9112 2.2). `from`: what is before it has been
 * looked at; a head that comes byte by byte must not cost its square.
 */
export function unfinishedHeadProblem(bytes: Buffer, start: number, from: number): Refusal | null {
  const first = bytes[start];
  if (first !== undefined && first !== CR && !isTokenChar(first)) return refusal('bad-request-line');
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (at === start || bytes[at - 1] !== CR) return refusal('bare-line-feed');
  }
  return null;
}
