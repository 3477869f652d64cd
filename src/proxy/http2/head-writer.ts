// Heads and trailers as HTTP/2 has them: an HTTP/1.1 head becomes fields, the fields a block, the block HEADERS and CONTINUATION
// frames.

import { encodeField, encodeStatus, maxFieldBytes } from '../../protocol/hpack-encoder.ts';
import { defaultFrameBytes, Flag, FrameType } from '../../protocol/http2-frames.ts';
import { lineValue, writeLines } from '../../protocol/http2-head.ts';
import type { Scheme } from '../../table/entries.ts';
import type { Output } from './output.ts';

/** A dynamic table size update to 0 (RFC 7541 6.3). */
const emptyTable = 0x20;
const scratchBytes = 65_536;
/** What a block may leave behind for the next ones. */
const maxScratchBytes = 262_144;

/** Where blocks are put together before they become frames. All connections of a worker share it. */
let scratch: Buffer = Buffer.allocUnsafeSlow(scratchBytes);
let scratchEnd = 0;
const scratchWriter = {
  field(name: string, value: string): void {
    const needed = scratchEnd + maxFieldBytes(name, value);
    if (needed > scratch.length) {
      const larger = Buffer.allocUnsafeSlow(needed * 2);
      scratch.copy(larger, 0, 0, scratchEnd);
      scratch = larger;
    }
    scratchEnd = encodeField(scratch, scratchEnd, name, value);
  },
};

export class HeadWriter {
  readonly #output: Output;
  #tableChanged = false;

  constructor(output: Output) {
    this.#output = output;
  }

  /** The peer has changed what its table of fields may hold: it waits to be told how much of it we use (RFC 7541 4.2). */
  tableChanged(): void {
    this.#tableChanged = true;
  }

  /** Sends the head of a response, an HTTP/1.1 one with its empty line. `end`: nothing follows. */
  response(stream: number, text: string, end: boolean): void {
    const status = (text.charCodeAt(9) - 48) * 100 + (text.charCodeAt(10) - 48) * 10 + text.charCodeAt(11) - 48;
    this.#begin();
    scratchEnd = encodeStatus(scratch, scratchEnd, status);
    writeLines(text, text.indexOf('\r\n') + 2, text.length - 2, scratchWriter);
    this.#send(stream, end);
  }

  /**
   * Sends the head of a request, an HTTP/1.1 one with its empty line: its first line and Host become pseudo-headers, the wish
   * for a WebSocket an extended CONNECT (RFC 8441). `scheme`: of the target, as the client has it.
   */
  request(stream: number, text: string, scheme: Scheme, end: boolean): void {
    this.#begin();
    const lineEnd = text.indexOf('\r\n');
    const methodEnd = text.indexOf(' ');
    // Other protocols than WebSocket have no extended CONNECT: the request goes without its wish to switch.
    const tunnels = lineValue(text, 'upgrade').toLowerCase() === 'websocket';
    scratchWriter.field(':method', tunnels ? 'CONNECT' : text.slice(0, methodEnd));
    if (tunnels) scratchWriter.field(':protocol', 'websocket');
    scratchWriter.field(':scheme', scheme);
    const authority = lineValue(text, 'host');
    if (authority !== '') scratchWriter.field(':authority', authority);
    scratchWriter.field(':path', text.slice(methodEnd + 1, lineEnd - ' HTTP/1.1'.length));
    writeLines(text, lineEnd + 2, text.length - 2, scratchWriter);
    this.#send(stream, end);
  }

  /** Sends trailers: lines, each with its CRLF. Nothing follows. */
  trailers(stream: number, lines: string): void {
    this.#begin();
    writeLines(lines, 0, lines.length, scratchWriter);
    this.#send(stream, true);
  }

  #begin(): void {
    scratchEnd = 0;
    if (!this.#tableChanged) return;
    this.#tableChanged = false;
    // We use none of it.
    scratch[scratchEnd++] = emptyTable;
  }

  #send(stream: number, end: boolean): void {
    const output = this.#output;
    const endStream = end ? Flag.endStream : 0;
    const first = Math.min(scratchEnd, defaultFrameBytes);
    const whole = first === scratchEnd ? Flag.endHeaders : 0;
    output.head(first, FrameType.headers, whole | endStream, stream);
    output.copy(scratch, 0, first);
    for (let at = first; at < scratchEnd; ) {
      const next = Math.min(scratchEnd, at + defaultFrameBytes);
      output.head(next - at, FrameType.continuation, next === scratchEnd ? Flag.endHeaders : 0, stream);
      output.copy(scratch, at, next);
      at = next;
    }
    if (scratch.length > maxScratchBytes) scratch = Buffer.allocUnsafeSlow(scratchBytes);
  }
}
