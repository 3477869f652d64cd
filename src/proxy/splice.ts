// Bytes both ways between a client and a pod, untouched: back-pressure, half-close, one idle deadline for both directions.

import type { ProxyContext, ProxyCounters, ProxySettings } from './context.ts';
import type { DeadlineOwner, DeadlineSlot, Deadlines } from './deadlines.ts';
import type { DirectWriter } from './direct-write.ts';
import type { EndReason } from './end-reason.ts';
import type { ExchangeTallies } from './tallies/exchange-tallies.ts';
import type { Upstream, UpstreamUser } from './upstream/upstream.ts';
import { UpstreamConnection } from './upstream/upstream-connection.ts';

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
  /** The shorter ways of writing to the two, where they have one. */
  readonly #toClient: DirectWriter | null;
  readonly #toUpstream: DirectWriter | null;
  readonly #settings: ProxySettings;
  readonly #deadlines: Deadlines;
  readonly #slot: DeadlineSlot;
  readonly #counters: ProxyCounters;
  readonly #tallies: ExchangeTallies | null;
  readonly #onEnd: (reason: EndReason) => void;
  /** Nothing moved in either direction for so long; shorter once one side has closed (Route semantics 4.4). */
  #idleMs: number;
  #over = false;
  #clientEnded = false;
  #upstreamEnded = false;
  #upstreamGone = false;

  /**
   * `toClient`: writes to the client, where that is a socket. `tallies`: of the exchange or connection that it is of. `idleMs`: how
   * long nothing may move in either direction.
   */
  constructor(
    context: ProxyContext,
    client: TunnelClient,
    toClient: DirectWriter | null,
    upstream: Upstream,
    tallies: ExchangeTallies | null,
    idleMs: number,
    onEnd: (reason: EndReason) => void,
  ) {
    const { deadlines, settings } = context;
    this.#client = client;
    this.#toClient = toClient;
    this.#upstream = upstream;
    this.#toUpstream = upstream instanceof UpstreamConnection ? upstream.writer : null;
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#slot = deadlines.claim(this);
    this.#counters = context.counters;
    this.#tallies = tallies;
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

  /** Answers whether it is done with the bytes. */
  onClientData(chunk: Buffer): boolean {
    // Of a pod that has said all and gone away, the client may still hear; it cannot tell it anything.
    if (this.#upstreamGone) return true;
    this.#countReceived(chunk.length);
    const lent = this.#toUpstream === null ? 'refused' : this.#toUpstream.lend(chunk);
    if (lent === 'refused' && !this.#upstream.sendBody(chunk, false)) this.#client.pause();
    return lent === 'returned';
  }

  /** Looks at bytes that stay what they are during the call only; answers whether that was all. */
  onClientGlance(view: Buffer): boolean {
    if (this.#upstreamGone || this.#toUpstream === null || !this.#toUpstream.writeCopy(view)) return false;
    this.#countReceived(view.length);
    return true;
  }

  /** Takes bytes that stay what they are during the call only, for good. */
  onClientContent(content: Buffer): void {
    if (!this.onClientGlance(content)) this.onClientData(Buffer.from(content));
  }

  #countReceived(bytes: number): void {
    this.received += bytes;
    this.#counters.received.value += bytes;
    this.#tallies?.moved(bytes, 0);
    this.#deadlines.set(this.#slot, this.#idleMs);
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
    if (content.length > 0 && !this.onUpstreamGlance(content)) this.onUpstreamData(Buffer.from(content));
    if (last) this.onUpstreamEnd();
  }

  onUpstreamTrailers(): void {
    this.onUpstreamEnd();
  }

  onUpstreamGlance(view: Buffer): boolean {
    if (this.#toClient === null || !this.#toClient.writeCopy(view)) return false;
    this.#countSent(view.length);
    return true;
  }

  onUpstreamData(chunk: Buffer): boolean {
    this.#countSent(chunk.length);
    const lent = this.#toClient === null ? 'refused' : this.#toClient.lend(chunk);
    if (lent === 'refused' && !this.#client.write(chunk)) this.#upstream.pause();
    return lent === 'returned';
  }

  #countSent(bytes: number): void {
    this.sent += bytes;
    this.#counters.sent.value += bytes;
    this.#tallies?.moved(0, bytes);
    this.#deadlines.set(this.#slot, this.#idleMs);
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
