// The end of a client's connection in order: our half is closed behind what was said last, and what the client still sends is
// read for a moment. Closing with unread bytes would make the kernel send a reset, which may overtake the answer (RFC 9112 9.6).

import type { Socket } from 'node:net';
import type { ProxyContext } from '../context.ts';
import type { DeadlineSlot } from '../deadlines.ts';
import type { EndReason } from '../end-reason.ts';

/** What a client may still send. */
const maxBytes = 1_048_576;

export class Lingering {
  readonly reason: EndReason;
  readonly #context: ProxyContext;
  readonly #socket: Socket;
  readonly #slot: DeadlineSlot;
  readonly #onOver: (reason: EndReason) => void;
  #clientEnded: boolean;
  #bytes = 0;
  #over = false;

  /** `client`: whether it has closed its half. `onOver` is called at most once, and not after `forget`. */
  constructor(
    context: ProxyContext,
    socket: Socket,
    slot: DeadlineSlot,
    reason: EndReason,
    client: 'open' | 'ended',
    onOver: (reason: EndReason) => void,
  ) {
    this.reason = reason;
    this.#context = context;
    this.#socket = socket;
    this.#slot = slot;
    this.#onOver = onOver;
    this.#clientEnded = client === 'ended';
    socket.end(() => this.#allSent());
    if (client === 'open') socket.resume();
    context.deadlines.set(slot, context.settings.clientTimeoutMs);
  }

  take(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > maxBytes) this.cut();
  }

  /** The client has closed its half. */
  clientEnd(): void {
    this.#clientEnded = true;
    if (this.#socket.writableFinished) this.cut();
  }

  /** Nobody waits any longer: the deadline has passed, or the socket is gone. */
  cut(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver(this.reason);
  }

  /** The connection has ended otherwise. */
  forget(): void {
    this.#over = true;
  }

  /** The last byte of ours, and our FIN, have left. */
  #allSent(): void {
    if (this.#over) return;
    if (this.#clientEnded) this.cut();
    else this.#context.deadlines.set(this.#slot, this.#context.settings.clientFinTimeoutMs);
  }
}
