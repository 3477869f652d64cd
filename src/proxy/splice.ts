// Bytes both ways between a client and a pod, untouched: back-pressure, half-close, one idle deadline for both directions.

import type { ProxyContext, ProxyCounters, ProxySettings } from './context.ts';
import type { DeadlineOwner, DeadlineSlot, Deadlines } from './deadlines.ts';
import type { EndReason } from './end-reason.ts';
import type { Upstream, UpstreamUser } from './upstream/upstream.ts';

/** The client's end of a tunnel: a socket, or what is like one. */
export interface TunnelClient {
  write(chunk: Buffer): boolean;
  end(): void;
  pause(): void;
  resume(): void;
  destroy(): void;
  readonly destroyed: boolean;
}

/**
 * Joins a client and an upstream until both directions have ended. Whoever owns the client's socket hands its events in;
 * those of the upstream come by themselves.
 */
export class Splice implements DeadlineOwner, UpstreamUser {
  /** Bytes from the client, and to it. */
  received = 0;
  sent = 0;
  readonly #client: TunnelClient;
  readonly #upstream: Upstream;
  readonly #settings: ProxySettings;
  readonly #deadlines: Deadlines;
  readonly #slot: DeadlineSlot;
  readonly #counters: ProxyCounters;
  readonly #onEnd: (reason: EndReason) => void;
  /** Nothing moved in either direction for so long; shorter once one side has closed (Route semantics 4.4). */
  #idleMs: number;
  #over = false;
  #clientEnded = false;
  #upstreamEnded = false;
  #upstreamGone = false;

  /** `idleMs`: how long nothing may move in either direction. */
  constructor(
    context: ProxyContext,
    client: TunnelClient,
    upstream: Upstream,
    idleMs: number,
    onEnd: (reason: EndReason) => void,
  ) {
    const { deadlines, settings } = context;
    this.#client = client;
    this.#upstream = upstream;
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#slot = deadlines.claim(this);
    this.#counters = context.counters;
    this.#onEnd = onEnd;
    this.#idleMs = idleMs;
    upstream.use(this);
    deadlines.set(this.#slot, this.#idleMs);
    client.resume();
    upstream.resume();
  }

  onDeadline(): void {
    this.destroy('tunnel-idle');
  }

  onClientData(chunk: Buffer): void {
    // Of a pod that has said all and gone away, the client may still hear; it cannot tell it anything.
    if (this.#upstreamGone) return;
    this.received += chunk.length;
    this.#counters.received.value += chunk.length;
    this.#deadlines.set(this.#slot, this.#idleMs);
    if (!this.#upstream.sendBody(chunk, false)) this.#client.pause();
  }

  /** Some of what waited for the client has been sent. */
  onClientMoved(): void {
    this.#deadlines.set(this.#slot, this.#idleMs);
  }

  onClientDrain(): void {
    this.#deadlines.set(this.#slot, this.#idleMs);
    this.#upstream.resume();
  }

  onClientEnd(): void {
    this.#clientEnded = true;
    this.#upstream.sendEnd('');
    this.#shorten(this.#settings.clientFinTimeoutMs);
  }

  /** The client's socket is gone, in order or not. */
  onClientClose(): void {
    this.#closed('client-aborted');
  }

  onUpstreamConnected(): void {}

  onUpstreamConnectFailed(): void {}

  onUpstreamRefused(): void {}

  onUpstreamMoved(): void {
    this.#deadlines.set(this.#slot, this.#idleMs);
  }

  onUpstreamHead(): void {}

  onUpstreamContent(content: Buffer, last: boolean): void {
    if (content.length > 0) this.onUpstreamData(content);
    if (last) this.onUpstreamEnd();
  }

  onUpstreamTrailers(): void {
    this.onUpstreamEnd();
  }

  onUpstreamGlance(): boolean {
    return false;
  }

  onUpstreamData(chunk: Buffer): void {
    this.sent += chunk.length;
    this.#counters.sent.value += chunk.length;
    this.#deadlines.set(this.#slot, this.#idleMs);
    if (!this.#client.write(chunk)) this.#upstream.pause();
  }

  onUpstreamDrain(): void {
    this.#deadlines.set(this.#slot, this.#idleMs);
    this.#client.resume();
  }

  onUpstreamEnd(): void {
    this.#upstreamEnded = true;
    this.#client.end();
    this.#shorten(this.#settings.serverFinTimeoutMs);
  }

  onUpstreamClose(): void {
    this.#upstreamGone = true;
    // What it said last may still be on its way to the client.
    if (this.#upstreamEnded && !this.#client.destroyed) this.#client.resume();
    else this.#closed('upstream-truncated');
  }

  /** Cuts both sides. Only the first reason counts. */
  destroy(reason: EndReason): void {
    if (this.#over) return;
    this.#over = true;
    this.#deadlines.release(this.#slot);
    this.#upstream.destroy();
    this.#client.destroy();
    this.#onEnd(reason);
  }

  #shorten(finMs: number): void {
    if (this.#over) return;
    this.#idleMs = Math.min(this.#idleMs, finMs);
    this.#deadlines.set(this.#slot, this.#idleMs);
  }

  #closed(reason: EndReason): void {
    const inOrder = this.#clientEnded && this.#upstreamEnded;
    // Both directions have ended, but the last bytes may still be on their way out of the other socket.
    if (inOrder && !(this.#client.destroyed && this.#upstreamGone)) return;
    this.destroy(inOrder ? 'tunnel-closed' : reason);
  }
}
