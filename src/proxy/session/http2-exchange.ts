// The client's side of one exchange that came as a stream of HTTP/2. Used again for later streams of its connection.

import { randomBytes } from 'node:crypto';
import { addPiece } from '../../protocol/gathered-bytes.ts';
import { ErrorCode } from '../../protocol/http2-frames.ts';
import type { RequestFields } from '../../protocol/http2-head.ts';
import { refusal } from '../../protocol/refusals.ts';
import type { RequestHead } from '../../protocol/request-head.ts';
import type { Scheme } from '../../table/entries.ts';
import type { ConnectionFacts } from '../access-log/connection-facts.ts';
import type { ProxyContext } from '../context.ts';
import type { DeadlineOwner, DeadlineSlot } from '../deadlines.ts';
import type { Lent } from '../direct-write.ts';
import { type EndReason, endReasons } from '../end-reason.ts';
import type { Http2Stream, StreamUser } from '../http2/stream.ts';
import type { RouteVisits } from '../listener/route-limits.ts';
import { Splice, type TunnelClient } from '../splice.ts';
import type { Tally } from '../tallies/tally.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Downstream } from './downstream.ts';
import { Exchange } from './exchange.ts';
import { ExchangeRecord } from './exchange-record.ts';
import type { ForwardedHeaders } from './forwarded-headers.ts';
import type { HeadReaders } from './http-connection.ts';

const empty: Buffer = Buffer.alloc(0);

/** Between an answer and the reset of the request that it came before the end of (RFC 9113 8.1): curl drops what it has not read. */
const resetDelayMs = 200;

/** Whose stream it is. */
export interface Http2ExchangeUser {
  /** Whether a request for this name belongs on another connection (RFC 9110 15.5.20). */
  isMisdirected(hostName: string): boolean;
  /** Lets the client know that it has to come again on another connection. */
  drain(): void;
  /** The exchange and its stream are over: the object may serve another. */
  onExchangeOver(exchange: Http2Exchange): void;
}

export class Http2Exchange implements Downstream, StreamUser, DeadlineOwner, TunnelClient {
  readonly framed = false;
  readonly #context: ProxyContext;
  readonly #requestHead: RequestHead;
  readonly #user: Http2ExchangeUser;
  readonly #record: ExchangeRecord;
  readonly #exchange: Exchange;
  #slot: DeadlineSlot | null = null;
  #stream: Http2Stream | null = null;
  #exchanging = false;
  /** The client wants a tunnel; what it sends before it has one waits here. */
  #wantsTunnel = false;
  #early: Buffer[] = [];
  #earlyEnd = false;
  #splice: Splice | null = null;

  constructor(
    context: ProxyContext,
    readers: HeadReaders,
    scheme: Scheme,
    client: string,
    facts: ConnectionFacts | null,
    frontend: Tally | null,
    forwarded: ForwardedHeaders,
    visits: RouteVisits,
    user: Http2ExchangeUser,
  ) {
    this.#context = context;
    this.#requestHead = readers.request;
    this.#user = user;
    this.#record = new ExchangeRecord(context, scheme, client, facts, 'HTTP/2', frontend);
    this.#exchange = new Exchange(context, this, readers.response, scheme, forwarded, visits, this.#record);
  }

  /** Begins with a stream whose fields have just come. */
  begin(stream: Http2Stream, fields: RequestFields, end: boolean): void {
    this.#stream = stream;
    stream.user = this;
    this.#slot = this.#context.deadlines.claim(this);
    this.#exchanging = true;
    this.#wantsTunnel = fields.isTunnel;
    const translated = fields.head(!end, webSocketKey);
    const head = this.#requestHead;
    const problem = typeof translated === 'string' ? refusal(translated) : head.read(translated.text);
    if (problem !== null) this.#exchange.refuseUnread(problem, fields.method);
    else if (this.#user.isMisdirected(head.hostName)) this.#exchange.refuseRead(head, 421, 'misdirected');
    else this.#exchange.begin(head, empty);
  }

  /** Ends at once. */
  destroy(reason: EndReason = 'client-aborted'): void {
    if (this.#splice !== null) this.#splice.destroy(reason);
    else this.#abort(reason);
  }

  // What the exchange asks for.

  get blocked(): boolean {
    return this.#stream?.blocked === true;
  }

  sendAnswer(text: string): void {
    const bodyAt = text.indexOf('\r\n\r\n') + 4;
    const body = bodyAt === text.length ? empty : Buffer.from(text.slice(bodyAt), 'latin1');
    this.sendHead(text.slice(0, bodyAt), body, true);
  }

  sendInterim(text: string): void {
    this.#stream?.sendResponse(text, false);
  }

  sendHead(text: string, body: Buffer, last: boolean): void {
    this.#stream?.sendResponse(text, last && body.length === 0);
    if (body.length > 0) this.sendBody(body, last);
  }

  sendBody(bytes: Buffer, last: boolean): void {
    if (this.#stream?.sendContent(bytes, last) === false) this.#exchange.clientFull();
  }

  sendEnd(trailers: string): void {
    this.#stream?.sendEnd(trailers);
  }

  /** Frames are put together elsewhere. */
  lend(): Lent {
    return 'refused';
  }

  lendCopy(): boolean {
    return false;
  }

  lendOutgoing(): boolean {
    return false;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  setDeadline(ms: number): void {
    if (this.#slot !== null) this.#context.deadlines.set(this.#slot, ms);
  }

  exchangeOver(closeFor: EndReason | null): void {
    this.#exchanging = false;
    if (closeFor === 'other-client-policy') this.#user.drain();
    // What is left of the request is of no use any more.
    this.#stream?.pause();
    this.#awaitEnd();
    this.#forgetIfOver();
  }

  startTunnel(head: string, upstream: Upstream, rest: Buffer, idleMs: number): void {
    this.#stream?.sendResponse(accepted(head), false);
    if (this.#slot !== null) this.#context.deadlines.clear(this.#slot);
    const splice = new Splice(this.#context, this, null, upstream, this.#record.tallies, idleMs, (reason) => {
      this.#record.receivedBytes += splice.received;
      this.#record.sentBytes += splice.sent;
      this.#record.writeLine(200, reason);
      this.#splice = null;
      this.#abort(reason);
    });
    this.#splice = splice;
    if (rest.length > 0) splice.onUpstreamData(rest);
    for (const early of this.#early) splice.onClientData(early);
    this.#early = [];
    if (this.#earlyEnd) splice.onClientEnd();
  }

  // What a tunnel asks for.

  write(chunk: Buffer): boolean {
    return this.#stream?.sendContent(chunk, false) !== false;
  }

  end(): void {
    this.#stream?.sendEnd('');
  }

  get destroyed(): boolean {
    return this.#stream === null || this.#stream.closed;
  }

  // What the stream tells.

  onStreamHead(): void {
    // A client sends no responses.
  }

  onStreamContent(content: Buffer, end: boolean): void {
    if (this.#splice !== null) {
      if (content.length > 0) this.#splice.onClientContent(content);
      if (end) this.#splice?.onClientEnd();
    } else if (this.#wantsTunnel) {
      // As much as its window: more of it is asked for when there is somebody to take it.
      addPiece(this.#early, Buffer.from(content));
      this.#earlyEnd = end;
      this.#stream?.pause();
    } else if (this.#exchanging && !this.#exchange.takeContent(content, end)) {
      this.#stream?.malformed();
    }
  }

  onStreamTrailers(lines: string): void {
    if (this.#splice !== null) this.#splice.onClientEnd();
    else if (this.#wantsTunnel) this.#earlyEnd = true;
    else if (this.#exchanging && !this.#exchange.takeTrailers(lines)) this.#stream?.malformed();
  }

  onStreamMoved(): void {
    if (this.#splice !== null) this.#splice.onClientMoved();
    else if (this.#exchanging) this.#exchange.clientMoved();
    else this.#awaitEnd();
  }

  onStreamWritable(): void {
    if (this.#splice !== null) this.#splice.onClientDrain();
    else if (this.#exchanging) this.#exchange.clientDrained();
  }

  onStreamReset(code: number): void {
    const reason = code === ErrorCode.flowControl || code === ErrorCode.protocol ? 'request-refused' : 'client-aborted';
    if (this.#splice !== null) this.#splice.onClientClose();
    else this.#abort(reason);
  }

  onStreamOver(): void {
    const splice = this.#splice;
    this.#stream = null;
    if (splice !== null) splice.onClientClose();
    this.#forgetIfOver();
  }

  onDeadline(): void {
    if (this.#exchanging) this.#exchange.timedOut();
    else this.#stream?.reset(this.#stream.localDone ? ErrorCode.none : ErrorCode.cancel);
  }

  /** Waits until the client has taken the end of the answer, and then a moment for the end of its request. */
  #awaitEnd(): void {
    const isSent = this.#stream?.localDone === true;
    this.setDeadline(isSent ? resetDelayMs : this.#context.settings.clientTimeoutMs);
  }

  #abort(reason: EndReason): void {
    this.#exchange.abort(reason);
    this.#exchanging = false;
    this.#stream?.reset(codeOf(reason));
    this.#forgetIfOver();
  }

  #forgetIfOver(): void {
    if (this.#exchanging || this.#stream !== null || this.#splice !== null || this.#slot === null) return;
    this.#context.deadlines.release(this.#slot);
    this.#slot = null;
    this.#early = [];
    this.#earlyEnd = false;
    this.#user.onExchangeOver(this);
  }
}

/** For the handshake with the pod (RFC 6455 4.1). */
function webSocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** The answer to an extended CONNECT that a pod's 101 stands for (RFC 8441 5). */
function accepted(head: string): string {
  const lines = head
    .slice(head.indexOf('\r\n') + 2)
    .split('\r\n')
    .filter((line) => !line.toLowerCase().startsWith('sec-websocket-accept:'));
  return `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}`;
}

/** How a reset says why (RFC 9113 7). */
function codeOf(reason: EndReason): number {
  switch (reason) {
    case 'request-refused':
      return ErrorCode.protocol;
    case 'upstream-truncated':
    case 'upstream-timeout':
      return ErrorCode.internal;
    case 'tunnel-closed':
      return ErrorCode.none;
    default:
      return endReasons[reason] === 'router' ? ErrorCode.none : ErrorCode.cancel;
  }
}
