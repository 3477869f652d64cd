// A client's HTTP/2 connection on a clear stream: it has an exchange answer each of its streams, and ends in order. What a
// request comes to is the exchange's business, what frames mean the link's.

import type { Socket } from 'node:net';
import { ErrorCode, errorName } from '../../protocol/http2-frames.ts';
import type { RequestFields } from '../../protocol/http2-head.ts';
import type { Scheme } from '../../table/entries.ts';
import { type Host, parseHost } from '../../table/host.ts';
import type { ConnectionFacts } from '../access-log/connection-facts.ts';
import type { ProxyContext } from '../context.ts';
import type { DeadlineOwner, DeadlineSlot } from '../deadlines.ts';
import type { EndReason } from '../end-reason.ts';
import { Http2Link, type LinkUser } from '../http2/link.ts';
import type { Http2Stream } from '../http2/stream.ts';
import type { RouteVisits } from '../listener/route-limits.ts';
import { takeFrom } from '../shared-read.ts';
import type { Tally } from '../tallies/tally.ts';
import type { ForwardedHeaders } from './forwarded-headers.ts';
import type { HeadReaders } from './http-connection.ts';
import { Http2Exchange, type Http2ExchangeUser } from './http2-exchange.ts';
import { Lingering } from './lingering.ts';

/** Exchanges that wait to be used again; a client that opens many streams once need not keep them for ever. */
const maxSpare = 16;

export class Http2Connection implements LinkUser, Http2ExchangeUser, DeadlineOwner {
  readonly #context: ProxyContext;
  readonly #readers: HeadReaders;
  readonly #socket: Socket;
  readonly #scheme: Scheme;
  readonly #client: string;
  readonly #facts: ConnectionFacts | null;
  readonly #frontend: Tally | null;
  readonly #forwarded: ForwardedHeaders;
  readonly #visits: RouteVisits;
  /** The name that the TLS connection was opened for. */
  readonly #serverName: Host | undefined;
  readonly #onEnd: (reason: EndReason) => void;
  readonly #link: Http2Link;
  readonly #slot: DeadlineSlot;
  readonly #exchanges: Set<Http2Exchange> = new Set();
  readonly #spare: Http2Exchange[] = [];
  /** `leaving`: the client knows that no more requests are taken. */
  #phase: 'open' | 'draining' | 'leaving' | 'lingering' | 'over' = 'open';
  #idleSinceMs: number;
  #asked = false;
  /** Whether no head was under way when bytes were dealt with last. */
  #wasBetween = false;
  #clientEnded = false;
  #lingering: Lingering | null = null;

  /** Takes over a clear stream; `first` has been read from it already. `onEnd` is called exactly once. */
  constructor(
    context: ProxyContext,
    readers: HeadReaders,
    socket: Socket,
    scheme: Scheme,
    client: string,
    facts: ConnectionFacts | null,
    frontend: Tally | null,
    forwarded: ForwardedHeaders,
    visits: RouteVisits,
    serverName: Host | undefined,
    first: Buffer | null,
    onEnd: (reason: EndReason) => void,
  ) {
    this.#context = context;
    this.#readers = readers;
    this.#socket = socket;
    this.#scheme = scheme;
    this.#client = client;
    this.#facts = facts;
    this.#frontend = frontend;
    this.#forwarded = forwarded;
    this.#visits = visits;
    this.#serverName = serverName;
    this.#onEnd = onEnd;
    const { deadlines, settings } = context;
    this.#slot = deadlines.claim(this);
    this.#idleSinceMs = deadlines.nowMs;
    deadlines.set(this.#slot, settings.headTimeoutMs);
    const limits = { maxHeadBytes: settings.maxHeadBytes, maxStreams: settings.maxStreams };
    this.#link = new Http2Link('server', socket, this, readers.fields, limits, () => deadlines.nowMs);
    const take = (bytes: Buffer): boolean => {
      this.#take(bytes);
      return true;
    };
    takeFrom(socket, take, take);
    socket.on('drain', () => this.#link.drained());
    socket.on('end', () => this.#ended());
    socket.on('error', () => {
      // 'close' follows.
    });
    socket.on('close', () => this.#closed());
    if (first !== null) this.#take(first);
    if (context.draining) this.drain();
  }

  /** Ends at once, whatever is under way. */
  destroy(reason: EndReason): void {
    if (this.#phase === 'over') return;
    for (const exchange of [...this.#exchanges]) exchange.destroy(reason);
    this.#over(reason);
  }

  /** For how long nothing has been under way, in ms; 0 if something is. */
  idleForMs(): number {
    if (this.#phase === 'lingering' || this.#phase === 'over') return 0;
    return this.#link.streams.size === 0 ? this.#context.deadlines.nowMs - this.#idleSinceMs : 0;
  }

  /** Ends an idle connection in order. */
  closeIdle(): void {
    if (this.#link.streams.size === 0) this.#end('draining');
  }

  /**
   * Takes no more requests, as soon as the client can know of it: first it is told that the end is near, and when its answer
   * to a ping shows that it has heard, that no stream from here on is taken (RFC 9113 6.8).
   */
  drain(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'draining';
    this.#link.goAway('soon');
    this.#link.ping();
  }

  // What the link tells.

  onRequest(stream: Http2Stream, fields: RequestFields, end: boolean): void {
    const exchange =
      this.#spare.pop() ??
      new Http2Exchange(
        this.#context,
        this.#readers,
        this.#scheme,
        this.#client,
        this.#facts,
        this.#frontend,
        this.#forwarded,
        this.#visits,
        this,
      );
    this.#exchanges.add(exchange);
    this.#asked = true;
    this.#context.deadlines.clear(this.#slot);
    exchange.begin(stream, fields, end);
  }

  onPeerSettings(): void {
    // They ask for nothing: the time for a request runs on.
  }

  onStreamsOver(): void {
    this.#idleSinceMs = this.#context.deadlines.nowMs;
    if (this.#phase === 'leaving') this.#end('draining');
    else this.#setDeadline();
  }

  onGoAway(): void {
    // The client wants no pushes, of which there are none, and will close when it has its answers.
  }

  onPong(): void {
    if (this.#phase !== 'draining') return;
    this.#phase = 'leaving';
    this.#link.goAway('now');
    if (this.#link.streams.size === 0) this.#end('draining');
  }

  onTaken(): void {
    const wasBetween = this.#wasBetween;
    this.#wasBetween = this.#link.betweenFrames;
    // A head that has begun has to come to its end, as in HTTP/1.1.
    if (wasBetween && !this.#wasBetween && !this.#link.over) this.#setDeadline();
  }

  onLinkFailed(code: number): void {
    const name = errorName(code);
    this.#context.metrics.series('headgate_http2_errors_total', name).value++;
    this.#context.log.debug({ client: this.#client, error: name }, 'HTTP/2 connection ended for an error');
    this.#linger(code === ErrorCode.settingsTimeout ? 'client-timeout' : 'request-refused');
  }

  // What the exchanges ask for.

  /**
   * Whether a name is served with another certificate than this connection's, or not by this router's TLS at all: clients
   * share connections among names that a certificate covers.
   */
  isMisdirected(hostName: string): boolean {
    if (this.#scheme === 'http') return false;
    const host = parseHost(hostName);
    if (host === this.#serverName || host === undefined) return false;
    const table = this.#context.table();
    const asked = table.matchTls(host);
    if (asked.kind === 'unknown') return false;
    const opened = table.matchTls(this.#serverName);
    return asked.kind === 'passthrough' || opened.kind === 'passthrough' || asked.certificate !== opened.certificate;
  }

  onExchangeOver(exchange: Http2Exchange): void {
    this.#exchanges.delete(exchange);
    if (this.#spare.length < maxSpare) this.#spare.push(exchange);
  }

  // The socket's events.

  #take(chunk: Buffer): void {
    if (this.#phase === 'lingering') {
      this.#lingering?.take(chunk);
      return;
    }
    this.#link.take(chunk);
  }

  #ended(): void {
    this.#clientEnded = true;
    if (this.#phase === 'lingering') {
      this.#lingering?.clientEnd();
    } else if (this.#link.streams.size === 0) {
      this.#end('client-closed');
    } else {
      // Without its half nothing can be brought to an end: no body, no window, no answer to a ping.
      this.destroy('client-aborted');
    }
  }

  #closed(): void {
    if (this.#phase === 'over') return;
    const wasBusy = this.#exchanges.size > 0;
    this.#link.lost(ErrorCode.cancel);
    this.#over(this.#lingering?.reason ?? (wasBusy ? 'client-aborted' : 'client-closed'));
  }

  onDeadline(): void {
    if (this.#phase === 'lingering') this.#lingering?.cut();
    else if (!this.#link.betweenFrames) this.#link.fail(ErrorCode.settingsTimeout);
    else if (this.#link.streams.size === 0) this.#end('client-idle');
  }

  #setDeadline(): void {
    if (this.#phase === 'lingering' || this.#phase === 'over') return;
    const { deadlines, settings } = this.#context;
    // Until the first request has come, and while the head of another is on its way, as HTTP/1.1.
    const begins = !this.#asked || !this.#link.betweenFrames;
    deadlines.set(this.#slot, begins ? settings.headTimeoutMs : settings.keepAliveTimeoutMs);
  }

  /** Ends a connection without streams in order. */
  #end(reason: EndReason): void {
    if (this.#phase === 'lingering' || this.#phase === 'over') return;
    this.#link.goAway('now');
    this.#linger(reason);
  }

  /** Ends in order, behind what was said last. */
  #linger(reason: EndReason): void {
    if (this.#phase === 'lingering' || this.#phase === 'over') return;
    this.#phase = 'lingering';
    this.#link.output.flush();
    this.#link.lost(ErrorCode.cancel);
    const client = this.#clientEnded ? 'ended' : 'open';
    this.#lingering = new Lingering(this.#context, this.#socket, this.#slot, reason, client, (why) => this.#over(why));
  }

  #over(reason: EndReason): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#lingering?.forget();
    this.#context.deadlines.release(this.#slot);
    this.#link.lost(ErrorCode.cancel);
    if (!this.#socket.writableFinished || !this.#clientEnded) this.#socket.destroy();
    this.#onEnd(reason);
  }
}
