// An HTTP/2 connection to an Endpoint, shared by as many exchanges as the pod takes at once: each has a stream of it.

import { ErrorCode } from '../../protocol/http2-frames.ts';
import type { ResponseFields } from '../../protocol/http2-head.ts';
import type { Scheme } from '../../table/entries.ts';
import type { Deadlines } from '../deadlines.ts';
import type { Lent } from '../direct-write.ts';
import { type FieldReaders, Http2Link, type LinkLimits, type LinkUser } from '../http2/link.ts';
import { connectionLost, type Http2Stream, type StreamUser } from '../http2/stream.ts';
import type { ConnectFailure, Upstream, UpstreamUser } from './upstream.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** Streams of one connection, however many the pod would take: with more, its losing one packet stops them all. */
const maxStreams = 100;

/**
 * Streams that we have taken back, as their clients have. With more, a connection gets no new ones: pods end those on which
 * many are taken back (CVE-2023-44487), the streams of others included; Netty's server does so after 200 in 30 s. Those that are
 * left may be taken back, too.
 */
const maxResets = 100;

/** Of a connection on which nothing came for so long while an answer was due, it may be gone without a word. */
const silentMs = 5_000;

/** Who keeps shared connections. */
export interface SharedUpstreamOwner {
  /** The pod has said how many streams it takes. */
  onSharedOpen(shared: SharedUpstream, maxStreams: number): void;
  /** The dial has come to its end, and how. */
  onSharedDialled(failure: ConnectFailure | null): void;
  /** The pod speaks HTTP/2 no more. */
  onUnlearnt(shared: SharedUpstream): void;
  /** It takes no more streams. */
  onSharedOver(shared: SharedUpstream): void;
}

export class SharedUpstream implements UpstreamUser, LinkUser {
  readonly key: string;
  /** Since when it has had no stream, in ms of the deadlines' clock. */
  idleSinceMs: number;
  readonly #connection: UpstreamConnection;
  readonly #link: Http2Link;
  readonly #owner: SharedUpstreamOwner;
  readonly #nowMs: () => number;
  readonly #expectedStreams: number;
  readonly #settingsTimeoutMs: number;
  /** Until the pod's settings are known, its streams wait. */
  #state: 'opening' | 'open' | 'leaving' | 'gone' = 'opening';
  readonly #waiting: Set<UpstreamStream> = new Set();
  #heardMs: number;
  #openTimer: NodeJS.Timeout | null = null;

  /**
   * Makes a connection shared: one that is being dialled for it, or has been. `make` gets the user that the connection is
   * for, and answers it. `expectedStreams`: that the pod is likely to take. `settingsTimeoutMs`: for the pod to say its settings once it is connected.
   */
  constructor(
    key: string,
    make: (user: UpstreamUser) => UpstreamConnection,
    owner: SharedUpstreamOwner,
    readers: FieldReaders,
    limits: LinkLimits,
    expectedStreams: number,
    settingsTimeoutMs: number,
    deadlines: Pick<Deadlines, 'nowMs'>,
  ) {
    this.key = key;
    this.#expectedStreams = Math.min(maxStreams, expectedStreams);
    this.#settingsTimeoutMs = settingsTimeoutMs;
    this.#owner = owner;
    this.#nowMs = () => deadlines.nowMs;
    this.idleSinceMs = deadlines.nowMs;
    this.#connection = make(this);
    this.#link = new Http2Link('client', this.#connection.socket, this, readers, limits, this.#nowMs);
    this.#link.output.held = true;
    this.#heardMs = deadlines.nowMs;
  }

  /** Whether one more exchange may have a stream of it, or wait for one. */
  get hasRoom(): boolean {
    if (this.#state === 'opening') return this.#waiting.size < this.#expectedStreams;
    const limit = Math.min(maxStreams, this.#link.peerMaxStreams);
    return this.#state === 'open' && this.#link.mayOpen && this.#link.streams.size < limit;
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Whether it takes WebSockets (RFC 8441); not known before it is open. */
  get takesTunnels(): boolean {
    return this.#link.peerConnectProtocol;
  }

  get streams(): number {
    return this.#link.streams.size + this.#waiting.size;
  }

  /** A stream of it; there must be room. Where it is not open yet, `onUpstreamConnected` follows. */
  stream(user: UpstreamUser): UpstreamStream {
    const stream = new UpstreamStream(this, user);
    if (this.#state === 'open') stream.begin(this.#link.open(stream));
    else this.#waiting.add(stream);
    return stream;
  }

  /** Begins to speak: the connection is open. */
  start(): void {
    this.#link.output.held = false;
    this.#link.output.flush();
    this.#openTimer = setTimeout(() => this.#neverOpened(), this.#settingsTimeoutMs);
  }

  #neverOpened(): void {
    if (this.#state === 'opening') this.#fail('timeout');
  }

  /** Ends a connection that nobody uses. */
  close(): void {
    this.#link.goAway('now');
    this.#link.output.flush();
    this.destroy();
  }

  destroy(): void {
    this.#fail('unreachable');
  }

  #fail(failure: ConnectFailure): void {
    if (this.#state === 'gone') return;
    this.#leave('gone');
    this.#connection.destroy();
    this.#link.lost(connectionLost);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const stream of waiting) stream.failed(failure);
  }

  /** One of its streams got no answer in time: if nothing else came either, it gets no new ones. */
  distrust(): void {
    if (this.#nowMs() - this.#heardMs < silentMs) return;
    this.#leave('leaving');
    if (this.streams === 0) this.destroy();
  }

  /** One of its streams has been taken back. */
  wasReset(): void {
    if (this.#link.resetsSent < maxResets || this.#state !== 'open') return;
    this.#leave('leaving');
    if (this.streams === 0) this.close();
  }

  /** A stream that was never begun is not wanted any more. */
  forget(stream: UpstreamStream): void {
    this.#waiting.delete(stream);
  }

  // What the connection tells.

  onUpstreamConnected(): void {
    if (this.#connection.isTls && !this.#connection.speaksHttp2) {
      // The pod has unlearnt HTTP/2 since it was last asked: everybody asks anew.
      this.#owner.onSharedDialled(null);
      this.#owner.onUnlearnt(this);
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      this.destroy();
      for (const stream of waiting) stream.refused('refused');
      return;
    }
    this.#owner.onSharedDialled(null);
    this.start();
  }

  onUpstreamConnectFailed(failure: ConnectFailure): void {
    this.#owner.onSharedDialled(failure);
    this.#fail(failure);
  }

  onUpstreamRefused(): void {}

  onUpstreamMoved(): void {}

  onUpstreamData(chunk: Buffer): boolean {
    this.#heardMs = this.#nowMs();
    this.#link.take(chunk);
    return true;
  }

  onUpstreamGlance(view: Buffer): boolean {
    return this.onUpstreamData(view);
  }

  onUpstreamHead(): void {}

  onUpstreamContent(): void {}

  onUpstreamTrailers(): void {}

  onUpstreamDrain(): void {
    this.#link.drained();
  }

  onUpstreamEnd(): void {
    this.destroy();
  }

  onUpstreamClose(): void {
    this.destroy();
  }

  // What the link tells.

  onRequest(): void {
    // Pods push nothing: they have been told not to.
  }

  onPeerSettings(): void {
    if (this.#state !== 'opening') return;
    if (this.#openTimer !== null) clearTimeout(this.#openTimer);
    this.#state = 'open';
    this.#owner.onSharedOpen(this, this.#link.peerMaxStreams);
    for (const stream of [...this.#waiting]) {
      this.#waiting.delete(stream);
      if (this.hasRoom) {
        stream.begin(this.#link.open(stream));
        stream.begun();
      } else {
        // More than the pod takes: the rest asks for another connection.
        stream.refused(this.#link.streams.size > 0 ? 'full' : 'refused');
      }
    }
  }

  onStreamsOver(): void {
    this.idleSinceMs = this.#nowMs();
    if (this.#state === 'leaving') this.close();
  }

  onGoAway(): void {
    this.#leave('leaving');
    if (this.streams === 0) this.close();
  }

  onPong(): void {}

  onTaken(): void {}

  onLinkFailed(): void {
    this.destroy();
  }

  #leave(state: 'leaving' | 'gone'): void {
    if (this.#openTimer !== null) clearTimeout(this.#openTimer);
    if (this.#state === 'gone' || this.#state === state) return;
    const wasLeaving = this.#state === 'leaving';
    this.#state = state;
    if (!wasLeaving) this.#owner.onSharedOver(this);
  }
}

/** One exchange's stream of a shared connection. */
export class UpstreamStream implements Upstream, StreamUser {
  readonly framed = false;
  readonly #shared: SharedUpstream;
  #user: UpstreamUser | null;
  #stream: Http2Stream | null = null;

  constructor(shared: SharedUpstream, user: UpstreamUser) {
    this.#shared = shared;
    this.#user = user;
  }

  /** Whether it may be sent on; else `onUpstreamConnected` follows. */
  get open(): boolean {
    return this.#stream !== null;
  }

  get takesTunnels(): boolean {
    return this.#shared.takesTunnels;
  }

  sendHead(text: string, scheme: Scheme, body: Buffer, last: boolean): boolean {
    this.#stream?.sendRequest(text, scheme, last && body.length === 0);
    return body.length === 0 || this.sendBody(body, last);
  }

  lend(): Lent {
    return 'refused';
  }

  lendCopy(): boolean {
    return false;
  }

  sendBody(bytes: Buffer, last: boolean): boolean {
    return this.#stream?.sendContent(bytes, last) !== false;
  }

  sendEnd(trailers: string): void {
    this.#stream?.sendEnd(trailers);
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  use(user: UpstreamUser): void {
    this.#user = user;
  }

  destroy(): void {
    this.#end(ErrorCode.cancel);
  }

  reject(): void {
    this.#end(ErrorCode.protocol);
  }

  #end(code: number): void {
    this.#user = null;
    this.#shared.forget(this);
    if (this.#stream === null) return;
    this.#stream.reset(code);
    this.#shared.wasReset();
  }

  /** The pod has not answered in time. */
  distrust(): void {
    this.#shared.distrust();
  }

  // What the shared connection tells.

  /** Has its stream from now on. */
  begin(stream: Http2Stream): void {
    this.#stream = stream;
  }

  begun(): void {
    this.#user?.onUpstreamConnected();
  }

  failed(failure: ConnectFailure): void {
    this.#take()?.onUpstreamConnectFailed(failure);
  }

  refused(why: 'refused' | 'full'): void {
    this.#take()?.onUpstreamRefused(why);
  }

  onStreamHead(fields: ResponseFields, end: boolean): void {
    if (this.#stream !== null && !fields.isInterim) this.#stream.headCame = true;
    this.#user?.onUpstreamHead(fields, end);
  }

  onStreamContent(content: Buffer, end: boolean): void {
    this.#user?.onUpstreamContent(content, end);
  }

  onStreamTrailers(lines: string): void {
    this.#user?.onUpstreamTrailers(lines);
  }

  onStreamMoved(): void {
    this.#user?.onUpstreamMoved();
  }

  onStreamWritable(): void {
    this.#user?.onUpstreamDrain();
  }

  onStreamReset(code: number): void {
    const user = this.#take();
    if (code === ErrorCode.refusedStream) user?.onUpstreamRefused('refused');
    else user?.onUpstreamClose(code === connectionLost ? 'broken' : 'cut');
  }

  onStreamOver(): void {
    this.#stream = null;
    this.#take()?.onUpstreamClose('closed');
  }

  #take(): UpstreamUser | null {
    const user = this.#user;
    this.#user = null;
    return user;
  }
}
