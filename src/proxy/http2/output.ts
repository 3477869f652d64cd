// What an HTTP/2 connection has to write. Frames of one turn of the event loop, of all its streams, leave in one write at the
// turn's end: a TLS record and a system call for each of them would cost more than all the rest of a request.

import type { Socket } from 'node:net';
import { Flag, FrameType, frameHeadBytes, writeFrameHead } from '../../protocol/http2-frames.ts';
import { DirectWriter } from '../direct-write.ts';

/** From here on content is written from where it lies; below, copying it beside its frame head is cheaper. */
const inPlaceBytes = 2_048;
/** Room for the first frames of a turn; Node hands so little out of its pool. */
const firstRoom = 2_000;
const furtherRoom = 16_384;
/** Frames that wait for their turn's end; with more, content has to wait for the write. */
const maxQueuedBytes = 262_144;

/** Connections that have something to write when this turn of the event loop ends. */
let waiting: Output[] = [];

function flushAll(): void {
  const outputs = waiting;
  waiting = [];
  for (const output of outputs) output.flush();
}

export class Output {
  /** The socket has not taken all that was written. */
  blocked = false;
  /** Nothing may be written yet: the connection is being opened. */
  held = false;
  /** Frames besides heads and content that have been written behind what the peer has not taken yet. */
  unread = 0;
  readonly #socket: Socket;
  readonly #writer: DirectWriter;
  readonly #onFlushed: () => void;
  #pieces: Buffer[] = [];
  #room: Buffer | null = null;
  #roomStart = 0;
  #roomEnd = 0;
  #queuedBytes = 0;
  /** Such frames of this turn. */
  #queuedSmall = 0;
  #scheduled = false;

  /** `onFlushed`: the queue is empty again, and the socket not blocked. */
  constructor(socket: Socket, onFlushed: () => void) {
    this.#socket = socket;
    this.#writer = new DirectWriter(socket);
    this.#onFlushed = onFlushed;
  }

  /** Whether content should wait. Other frames need not: they are few, or their number is limited. */
  get full(): boolean {
    return this.blocked || this.#queuedBytes > maxQueuedBytes;
  }

  /** Adds bytes[start, end), which are one or more whole frames or the rest of one; they are copied. */
  copy(bytes: Buffer, start: number, end: number): void {
    const room = this.#roomFor(end - start);
    bytes.copy(room, this.#roomEnd, start, end);
    this.#roomEnd += end - start;
  }

  /** Adds a frame without a payload, or with one of four bytes. */
  small(type: number, flags: number, stream: number, payload: number | null): void {
    this.#queuedSmall++;
    const length = payload === null ? 0 : 4;
    const room = this.#roomFor(frameHeadBytes + length);
    writeFrameHead(room, this.#roomEnd, length, type, flags, stream);
    this.#roomEnd += frameHeadBytes;
    if (payload === null) return;
    room.writeUInt32BE(payload, this.#roomEnd);
    this.#roomEnd += 4;
  }

  /** Adds an answer to PING. */
  pong(payload: Buffer): void {
    this.#queuedSmall++;
    this.head(payload.length, FrameType.ping, Flag.ack, 0);
    this.copy(payload, 0, payload.length);
  }

  /** Adds a head of a frame whose payload follows by `copy`. */
  head(length: number, type: number, flags: number, stream: number): void {
    const room = this.#roomFor(frameHeadBytes);
    writeFrameHead(room, this.#roomEnd, length, type, flags, stream);
    this.#roomEnd += frameHeadBytes;
  }

  /** Adds a DATA frame. The content must stay as it is until it is written. */
  data(stream: number, content: Buffer, flags: number): void {
    this.head(content.length, FrameType.data, flags & Flag.endStream, stream);
    if (content.length < inPlaceBytes) {
      this.copy(content, 0, content.length);
    } else {
      this.#endPiece();
      this.#pieces.push(content);
      this.#queuedBytes += content.length;
    }
  }

  /** Writes everything now. */
  flush(): void {
    this.#scheduled = false;
    if (this.held) return;
    this.#endPiece();
    this.#room = null;
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    const bytes = this.#queuedBytes;
    this.#pieces = [];
    this.#queuedBytes = 0;
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    this.unread = socket.writableLength === 0 ? 0 : this.unread + this.#queuedSmall;
    this.#queuedSmall = 0;
    const [first] = pieces;
    if (pieces.length === 1 && first !== undefined) {
      this.blocked = !this.#writer.write(first);
    } else if (this.#writer.writeTogether(pieces, bytes)) {
      this.blocked = false;
    } else {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
      this.blocked = socket.writableNeedDrain;
    }
    if (!this.blocked) this.#onFlushed();
  }

  #roomFor(bytes: number): Buffer {
    if (!this.#scheduled) {
      this.#scheduled = true;
      if (waiting.push(this) === 1) setImmediate(flushAll);
    }
    this.#queuedBytes += bytes;
    const room = this.#room;
    if (room !== null && room.length - this.#roomEnd >= bytes) return room;
    this.#endPiece();
    const fresh = Buffer.allocUnsafe(Math.max(bytes, room === null ? firstRoom : furtherRoom));
    this.#room = fresh;
    this.#roomStart = 0;
    this.#roomEnd = 0;
    return fresh;
  }

  #endPiece(): void {
    if (this.#room === null || this.#roomEnd === this.#roomStart) return;
    this.#pieces.push(this.#room.subarray(this.#roomStart, this.#roomEnd));
    this.#roomStart = this.#roomEnd;
  }
}
