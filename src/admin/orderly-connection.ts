// A connection to the admin port as HTTP sees it: one request at a time. Node's server takes all that a peer sends without waiting
// for answers from a read of 64 kB at once, and goes on to the next read: 20 peers with 4 MB of requests each had the event
// loop of the controller for half a minute and 500 MB, and liveness failed.

import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

const nothing: Buffer = Buffer.alloc(0);
const headEnd = '\r\n\r\n';

export class OrderlyConnection extends Duplex {
  readonly #socket: Socket;
  /** What has come behind the request that is being answered. */
  #held: Buffer = nothing;
  /** The last bytes that were passed on: the end of a head may come in pieces. */
  #tail: Buffer = nothing;
  #answering = false;
  #ended = false;

  /** Takes over a connection, or the TLS over one. */
  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
      this.#pass();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#pass();
    });
    socket.on('timeout', () => this.emit('timeout'));
    socket.on('error', () => {
      // It is gone, as `close` says.
    });
    socket.on('close', () => this.destroy());
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  /** The request that was passed on has been answered. What waits behind it comes in the next turn of the event loop. */
  answered(): void {
    setImmediate(() => {
      this.#answering = false;
      this.#pass();
    });
  }

  // What HTTP asks of a socket beside a stream.

  setTimeout(ms: number): this {
    this.#socket.setTimeout(ms);
    return this;
  }

  destroySoon(): void {
    this.end(() => this.destroy());
  }

  override _read(): void {
    this.#pass();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  /** Passes on what has come up to the end of a head, unless a request is being answered. */
  #pass(): void {
    if (this.destroyed) return;
    if (!this.#answering && this.#held.length > 0) {
      const seen = this.#tail.length === 0 ? this.#held : Buffer.concat([this.#tail, this.#held]);
      const at = seen.indexOf(headEnd, 0, 'latin1');
      const end = at < 0 ? seen.length : at + headEnd.length;
      const piece = seen.subarray(this.#tail.length, end);
      this.#answering = at >= 0;
      this.#held = seen.subarray(end);
      this.#tail = at < 0 ? seen.subarray(-headEnd.length + 1) : nothing;
      this.push(piece);
    }
    if (this.#held.length > 0) this.#socket.pause();
    else if (this.#ended && !this.#answering) this.push(null);
    else this.#socket.resume();
  }
}
