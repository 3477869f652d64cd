// Reading from sockets past the stream machinery. Of many connections one is read at a time, so they read into one buffer,
// and what was read is copied out at once. A fresh 64 kB buffer, a push, an event and a tick for each read instead took
// the worker, for a plain request, from 23 to 25 us on the side of the pod and from 19 to 21 on that of the client.

import { type OnReadOpts, type Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { SpareBuffers } from '../protocol/spare-buffers.ts';
import { ViewedBuffer } from './viewed-buffer.ts';

const bufferBytes = 65_536;
/** From here on a read is one of many: copying it would cost more than a buffer of its own, which is given away uncopied. */
const bulkBytes = 16_384;

/**
 * After so much of a connection others have their turn: 256 small reads, or half a megabyte in large ones. The event loop would
 * read 64 kB 32 times in a row, and 64 kB of TLS hold thousands of records of a few bytes, each a read: four clients that sent
 * such records had others wait for 1.6 seconds.
 */
const maxWork = 256;
/** What a read counts for besides one: bytes, shifted to the right by so much. */
const workShift = 11;

const shared: ViewedBuffer = new ViewedBuffer(bufferBytes);

/** Buffers for large reads that nobody has use for just now. */
const spares: SpareBuffers = new SpareBuffers(bufferBytes, 64);

/** Takes what comes on a socket. True: it is done with the bytes, which may be overwritten. */
export type Taker = (chunk: Buffer) => boolean;

/** Looks at bytes that stay what they are during the call only; answers whether it has dealt with them, or the Taker shall. */
export type Glance = (view: Buffer) => boolean;

/** What a socket is told about reading, for as long as it lives. */
export class SharedRead {
  /** Whom the bytes are for. Set before the first turn of the event loop. */
  taker: Taker;
  glance: Glance;
  /** Of a connection on which much comes at a time, for the next read. */
  #own: Buffer | null = null;
  /** The taker kept what it got last: it gets no more room than there are bytes. A record of TLS fills a quarter of a buffer. */
  #keeps = false;
  #work = 0;
  #socket: Socket | null = null;

  constructor(taker: Taker, glance: Glance) {
    this.taker = taker;
    this.glance = glance;
  }

  /** For the options of a socket. */
  get onread(): OnReadOpts {
    return {
      buffer: () => this.#own ?? shared.bytes,
      callback: (length: number, buffer: Uint8Array) => this.#read(length, buffer as Buffer),
    };
  }

  /** Names the socket that reads so. */
  attach(socket: Socket): void {
    this.#socket = socket;
  }

  #read(length: number, buffer: Buffer): boolean {
    if (length < bulkBytes) this.#readSome(length, buffer);
    else this.#readMuch(length, buffer);
    this.#work += 1 + (length >>> workShift);
    return this.#work < maxWork || this.#goesOn();
  }

  /** Stops reading until the next turn; but whoever has paused the socket, or made it another's, reads on in his own time. */
  #goesOn(): boolean {
    this.#work = 0;
    const socket = this.#socket;
    if (socket === null || socket.destroyed || socket.isPaused()) return true;
    setImmediate(() => {
      if (!socket.destroyed && !socket.isPaused()) socket.resume();
    });
    return false;
  }

  #readSome(length: number, buffer: Buffer): void {
    const isOwn = buffer !== shared.bytes;
    if (!isOwn && this.glance(shared.view(length))) return;
    const chunk = copyOf(buffer, length);
    // The end of something large, copied out so that the buffer is free whatever becomes of it: garbage of 64 kB for each
    // answer kept the collector busy for a sixth of all CPU time.
    if (isOwn) {
      this.#own = null;
      spares.leave(buffer);
    }
    this.taker(chunk);
  }

  /** Buffers that the kernel took whole are read into again: 100 MB through a tunnel cost 70 ms of CPU in place of 150. */
  #readMuch(length: number, buffer: Buffer): void {
    if (this.#keeps && length <= bufferBytes / 2) {
      this.#keeps = !this.taker(copyOf(buffer, length));
      return;
    }
    let own = buffer;
    if (buffer === shared.bytes) {
      own = spares.take();
      shared.bytes.copy(own, 0, 0, length);
    }
    const isFree = this.taker(own.subarray(0, length));
    this.#own = isFree ? own : spares.take();
    this.#keeps = !isFree;
  }
}

/** A copy of the first bytes. */
function copyOf(buffer: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafe(length);
  buffer.copy(copy, 0, 0, length);
  return copy;
}

/** An accepted socket that reads so. */
export class SharedReadSocket extends Socket {
  readonly reading: SharedRead;

  constructor(handle: Handle, reading: SharedRead) {
    // Node's own servers and processes hand sockets their connections by this option, which its documentation leaves out.
    const options = { handle, allowHalfOpen: true, onread: reading.onread };
    super(options as ConstructorParameters<typeof Socket>[0]);
    this.reading = reading;
    reading.attach(this);
  }
}

/** A connection of the operating system, as Node has it inside of a socket. */
type Handle = { setNoDelay?(on: boolean): void };
type AcceptingServer = { _handle?: { onconnection?: (error: number, handle: Handle) => void } | null };

/**
 * Has a listening server accept such sockets. Its own way, which offers no such reading, stays in place for a Node that
 * knows nothing of this: then the sockets that `onSocket` of the server gets are read from as streams.
 */
export function acceptSharedReads(server: Server, onSocket: (socket: Socket) => void): void {
  const { _handle: listening } = server as AcceptingServer;
  if (typeof listening?.onconnection !== 'function') return;
  listening.onconnection = (error, handle) => {
    // A failed accept (descriptors used up) concerns one connection; the next one is tried again.
    if (error !== 0) return;
    handle.setNoDelay?.(true);
    onSocket(new SharedReadSocket(handle, new SharedRead(ignore, noGlance)));
  };
}

/** Has a socket's bytes taken, by the shorter way where it has one. */
export function takeFrom(socket: Socket, taker: Taker, glance: Glance = noGlance): void {
  if (socket instanceof SharedReadSocket) {
    socket.reading.taker = taker;
    socket.reading.glance = glance;
    return;
  }
  if (socket instanceof TLSSocket) readShared(socket, new SharedRead(taker, glance));
  // What has been read already, and everything where there is no shorter way.
  socket.on('data', taker);
}

/** Under which a socket of Node's keeps the options of `onread`; null for a Node that does it otherwise. */
const onreadKeys = keysOfOnread();

function keysOfOnread(): { readonly buffer: symbol; readonly callback: symbol; readonly next: symbol } | null {
  const key = (description: string): symbol | undefined =>
    Object.getOwnPropertySymbols(new Socket()).find((symbol) => symbol.description === description);
  const [buffer, callback, next] = [key('kBuffer'), key('kBufferCb'), key('kBufferGen')];
  return buffer && callback && next ? { buffer, callback, next } : null;
}

/** What Node does for connections that it opens, done for one that its TLS server has accepted. */
function readShared(socket: TLSSocket, reading: SharedRead): void {
  const { _handle: handle } = socket as { _handle?: { useUserBuffer?: (buffer: Uint8Array) => void } };
  if (onreadKeys === null || typeof handle?.useUserBuffer !== 'function') return;
  const { buffer, callback } = reading.onread;
  const first = typeof buffer === 'function' ? buffer() : buffer;
  Object.assign(socket, { [onreadKeys.buffer]: first, [onreadKeys.callback]: callback, [onreadKeys.next]: buffer });
  handle.useUserBuffer(first);
  reading.attach(socket);
}

/** Gives the one who takes a socket's bytes some that were read before he came. */
export function handOn(socket: Socket, bytes: Buffer): void {
  if (bytes.length === 0) return;
  if (socket instanceof SharedReadSocket) socket.reading.taker(bytes);
  else socket.unshift(bytes);
}

/** Of who takes whatever comes. */
function noGlance(): boolean {
  return false;
}

/** Nobody has asked for the bytes of a connection that is refused. */
function ignore(): boolean {
  return true;
}
