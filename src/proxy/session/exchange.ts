// One HTTP/1.1 exchange: match the request, take an upstream connection, pass the body on, pass the answer back, or answer it
// here. Events and plain calls only; the path of a request allocates no promise, no closure and no stream. The object is used
// again for the next request of its connection.

import { GatheredBytes } from '../../protocol/gathered-bytes.ts';
import { headEnd } from '../../protocol/http-head.ts';
import type { Refusal } from '../../protocol/refusals.ts';
import type { RequestHead } from '../../protocol/request-head.ts';
import type { ResponseHead } from '../../protocol/response-head.ts';
import type { PathRule, Scheme } from '../../table/entries.ts';
import { parseHost } from '../../table/host.ts';
import { type AnswerReason, renderAnswer, renderHealth, renderRedirect } from '../answers.ts';
import type { ProxyContext } from '../context.ts';
import { type Lent, maxDirectBytes } from '../direct-write.ts';
import type { EndReason } from '../end-reason.ts';
import type { Pick } from '../upstream/balancer.ts';
import type { ConnectFailure, UpstreamConnection, UpstreamUser } from '../upstream/upstream-connection.ts';
import { clientRefusal } from './client-certificate.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import type { ForwardedHeaders } from './forwarded-headers.ts';
import { FramedBody } from './framed-body.ts';

/** The router's own health path on the plain port; exactly this target (Route semantics 6.1). */
const healthTarget = '/_______internal_router_healthz';
/** Tries of one request on further Endpoints or connections (Route semantics 5.7). */
const maxRetries = 3;
/** Body bytes that wait for an upstream connection before the client is told to wait. */
const maxHeldBytes = 65_536;
/** Interim responses of one exchange; more is a pod gone wild. */
const maxInterims = 32;

const empty: Buffer = Buffer.alloc(0);

/** From where answers that came as a whole are written, and views of it by their length. */
let outgoing: Buffer = Buffer.allocUnsafeSlow(maxDirectBytes);
const outgoingViews: (Buffer | undefined)[] = new Array(2048).fill(undefined);

/** Methods that may be sent again when a connection breaks before an answer (RFC 9110 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** The client's side of an exchange. */
export interface Downstream {
  /** Whether more was written than the client has taken. */
  readonly blocked: boolean;
  write(text: string): void;
  writeBytes(bytes: Buffer): void;
  /** Writes bytes that the caller would have back at once. */
  lend(bytes: Buffer): Lent;
  /** Stops and resumes reading from the client. */
  pause(): void;
  resume(): void;
  /** Moves the deadline of the exchange to `ms` from now. */
  setDeadline(ms: number): void;
  /** The exchange is over and answered; with a reason, so is the connection. */
  exchangeOver(closeFor: EndReason | null): void;
  /** The exchange cannot be brought to an end: the connection is cut. */
  destroy(reason: EndReason): void;
  /** The exchange became a tunnel; `rest` has been read from the upstream already. */
  startTunnel(upstream: UpstreamConnection, rest: Buffer): void;
}

export class Exchange implements UpstreamUser {
  readonly #context: ProxyContext;
  readonly #downstream: Downstream;
  readonly #scheme: Scheme;
  readonly #forwarded: ForwardedHeaders;
  readonly #record: ExchangeRecord;
  readonly #responseHead: ResponseHead;
  #state: 'none' | 'connecting' | 'exchanging' = 'none';

  // The request.
  readonly #requestBody: FramedBody;
  #minorVersion = 1;
  #keepAlive = true;
  #wantsUpgrade = false;
  #repeatable = false;
  #rule: PathRule | null = null;
  #headText = '';
  #held: Buffer[] = [];
  #heldBytes = 0;

  // Its upstream.
  #upstream: UpstreamConnection | null = null;
  #pick: Pick | null = null;
  #tried: string[] = [];
  #reused = false;
  /** More was written to the upstream than it has taken, so the client has been told to wait. */
  #upstreamBlocked = false;

  // Its response.
  readonly #responseInput: GatheredBytes = new GatheredBytes();
  readonly #responseBody: FramedBody;
  #responseStarted = false;
  /** Where the head ends that was read in a glance at the bytes that come next; 0: none was. */
  #glancedEnd = 0;
  #status = 0;
  #interims = 0;
  #closes = false;
  #upstreamKeeps = false;
  #keepAliveMs = 0;

  constructor(
    context: ProxyContext,
    downstream: Downstream,
    responseHead: ResponseHead,
    scheme: Scheme,
    forwarded: ForwardedHeaders,
    record: ExchangeRecord,
  ) {
    this.#context = context;
    this.#downstream = downstream;
    this.#responseHead = responseHead;
    this.#scheme = scheme;
    this.#forwarded = forwarded;
    this.#record = record;
    this.#requestBody = new FramedBody(context.limits.maxHeadBytes);
    this.#responseBody = new FramedBody(context.limits.maxHeadBytes);
  }

  /** Whether all of the request has come. */
  get requestDone(): boolean {
    return this.#requestBody.done;
  }

  // Requests.

  /** Begins with a request whose head has just been read and what came behind it. Answers what belongs to the next one. */
  begin(head: RequestHead, rest: Buffer): Buffer {
    this.#record.begin(head.method, head.target, head.hostName);
    this.#minorVersion = head.minorVersion;
    this.#keepAlive = head.keepAlive;
    this.#wantsUpgrade = head.upgrade !== '';
    this.#repeatable = head.framing === 'none' && !this.#wantsUpgrade && idempotent.has(head.method);
    this.#rule = null;
    this.#pick = null;
    this.#requestBody.begin(head.framing, head.contentLength, false);
    this.#responseStarted = false;
    this.#status = 0;
    this.#interims = 0;
    this.#reused = false;
    this.#upstreamBlocked = false;
    if (this.#tried.length > 0) this.#tried = [];
    this.#state = 'connecting';

    if (this.#scheme === 'http' && head.target === healthTarget) {
      this.#closes = !this.#mayStay();
      this.#downstream.write(renderHealth(head.method === 'HEAD', this.#closes));
      this.#finish(200, 'health');
      return rest;
    }
    const match = this.#context.table().matchHttp(parseHost(head.hostName), head.path, this.#scheme);
    if (match.kind === 'unknown') {
      this.#answer(503, 'no-route', null);
      return rest;
    }
    const rule = match.rule;
    this.#rule = rule;
    this.#record.route = rule.route;
    if ((rule.clientAuth !== null || this.#forwarded.client !== null) && match.kind !== 'redirect') {
      const refused = clientRefusal(rule, this.#scheme, this.#context.table(), this.#forwarded.client);
      if (refused !== null) {
        // With 421 the client comes again on another connection, which this one keeps it from.
        if (refused.status === 421) this.#keepAlive = false;
        this.#answer(refused.status, refused.reason, null);
        return rest;
      }
    }
    switch (match.kind) {
      case 'forward':
        return this.#forward(rule, head, rest);
      case 'redirect':
        this.#redirect(head);
        return rest;
      case 'unavailable':
        this.#answer(503, 'no-endpoint', null);
        return rest;
    }
  }

  /** A request of which not even the head could be read. */
  refuseUnread(problem: Refusal): void {
    this.#record.begin('', '', '');
    this.#keepAlive = false;
    this.#answer(problem.status, problem.reason, null);
  }

  /** Takes what belongs to the request's body; answers what comes after it. */
  takeBody(chunk: Buffer): Buffer {
    if (chunk.length === 0) return empty;
    const body = this.#requestBody;
    const content = body.take(chunk);
    if (body.problem !== null) {
      this.#refuse(body.problem);
      return empty;
    }
    this.#record.receivedBytes += content.length;
    if (content.length > 0) this.#passBody(content);
    if (this.#state === 'exchanging') this.#awaitTurn();
    return body.consumed === chunk.length ? empty : chunk.subarray(body.consumed);
  }

  #forward(rule: PathRule, head: RequestHead, rest: Buffer): Buffer {
    const ownLines = head.hostLine + this.#forwarded.lines(rule, head);
    this.#headText = head.render(this.#forwarded.dropMask(rule), ownLines);
    const behind = this.#requestBody.done ? rest : this.takeBody(rest);
    if (this.#state === 'connecting') this.#dispatch(null);
    return behind;
  }

  #redirect(head: RequestHead): void {
    this.#closes = !this.#mayStay();
    const { publicHttpsPort } = this.#context.settings;
    this.#downstream.write(renderRedirect(head.hostName, head.target, publicHttpsPort, this.#closes));
    this.#record.answered(302, 'redirect', null);
    this.#finish(302, 'redirect');
  }

  #passBody(content: Buffer): void {
    if (this.#state === 'exchanging' && this.#upstream !== null) {
      if (!this.#upstream.socket.write(content)) {
        this.#upstreamBlocked = true;
        this.#downstream.pause();
      }
      return;
    }
    this.#held.push(content);
    this.#heldBytes += content.length;
    if (this.#heldBytes > maxHeldBytes) this.#downstream.pause();
  }

  // The upstream.

  /** Gives the request to an Endpoint not yet tried. `failure`: what became of the last one. */
  #dispatch(failure: ConnectFailure | null): void {
    const rule = this.#rule;
    if (rule === null) return;
    const table = this.#context.table();
    const pick = this.#context.balancer.pick(rule, table, this.#tried);
    if (pick === null) {
      this.#answer(503, failure === null ? 'no-endpoint' : 'connect-failed', failure);
      return;
    }
    this.#pick = pick;
    this.#record.endpoint = pick.endpoint.authority;
    this.#state = 'connecting';
    const { connector } = this.#context;
    const { hostName, retries } = this.#record;
    const pooled = retries === 0 ? connector.pooled(pick, rule, hostName, this.#repeatable, this) : null;
    if (pooled !== null) {
      this.#upstream = pooled;
      this.#reused = true;
      this.#send(pooled);
      return;
    }
    this.#reused = false;
    this.#upstream = connector.dial(pick, rule, hostName, table, this);
    if (this.#upstream === null) this.#answer(503, 'connect-failed', "the Route's authority is not in the table");
  }

  #send(upstream: UpstreamConnection): void {
    this.#state = 'exchanging';
    let taken: boolean;
    if (this.#heldBytes === 0) {
      taken = upstream.writer.write(this.#headText);
    } else {
      taken = upstream.socket.write(joined(this.#headText, this.#held, this.#heldBytes));
      this.#held = [];
      this.#heldBytes = 0;
    }
    if (!this.#requestBody.done) {
      this.#upstreamBlocked = !taken;
      if (taken) this.#downstream.resume();
      else this.#downstream.pause();
    }
    this.#awaitTurn();
  }

  /** Whether it is the client that everybody waits for, and not the upstream. */
  #clientsTurn(): boolean {
    return this.#downstream.blocked || (!this.#requestBody.done && !this.#upstreamBlocked);
  }

  #awaitTurn(): void {
    const { clientTimeoutMs, serverTimeoutMs } = this.#context.settings;
    this.#downstream.setDeadline(this.#clientsTurn() ? clientTimeoutMs : serverTimeoutMs);
  }

  onUpstreamConnected(): void {
    this.#context.connector.countDial(null);
    this.#record.connected();
    if (this.#upstream !== null) this.#send(this.#upstream);
  }

  onUpstreamConnectFailed(failure: ConnectFailure): void {
    this.#context.connector.countDial(failure);
    this.#upstream = null;
    if (this.#pick !== null) this.#tried.push(this.#pick.endpoint.authority);
    if (this.#mayRetry(failure)) this.#dispatch(failure);
    else this.#answer(503, 'connect-failed', failure);
  }

  /** Counts one more try, if there may be one. */
  #mayRetry(reason: ConnectFailure | 'stale'): boolean {
    if (this.#record.retries === maxRetries) return false;
    this.#record.retries++;
    this.#context.metrics.series('headgate_upstream_retries_total', reason).value++;
    return true;
  }

  onUpstreamDrain(): void {
    this.#upstreamBlocked = false;
    this.#downstream.resume();
    this.#awaitTurn();
  }

  onUpstreamEnd(): void {
    this.#upstreamOver(false);
  }

  onUpstreamClose(reset: boolean): void {
    this.#upstreamOver(reset);
  }

  #upstreamOver(reset: boolean): void {
    if (this.#state !== 'exchanging') return;
    if (this.#responseStarted) {
      if (this.#responseBody.framing === 'until-close' && !reset) this.#finishResponse();
      else this.#downstream.destroy('upstream-truncated');
      return;
    }
    this.#dropUpstream();
    const silent = this.#responseInput.length === 0 && this.#interims === 0;
    if (silent && this.#reused && this.#repeatable && this.#mayRetry('stale')) this.#dispatch(null);
    else this.#answer(502, 'upstream-closed', reset ? 'reset' : null);
  }

  onUpstreamData(chunk: Buffer): void {
    if (this.#state !== 'exchanging') return;
    if (this.#responseStarted) this.#passResponse(chunk);
    else this.#readResponse(chunk);
  }

  /**
   * Passes an answer on that came as a whole and needs nothing added, as most do, without a buffer of its own: it is copied
   * to where it is written from, without the lines that stay here.
   */
  onUpstreamGlance(view: Buffer): boolean {
    if (this.#state !== 'exchanging' || this.#responseStarted || this.#responseInput.length > 0) return false;
    if (view.length > maxDirectBytes || this.#minorVersion === 0 || !this.#mayStay()) return false;
    const end = headEnd(view, 0);
    if (end < 0 || end > this.#context.limits.maxHeadBytes) return false;
    const head = this.#responseHead;
    if (head.read(view.toString('latin1', 0, end - 2)) !== null) return false;
    this.#glancedEnd = end;
    // Interim responses, and those whose framing has to go, take the longer way.
    if (head.status < 200 || head.status === 204 || !head.passable) return false;
    return this.#passWhole(head, view, end);
  }

  #passWhole(head: ResponseHead, view: Buffer, end: number): boolean {
    const framing = head.framingFor(this.#record.method);
    const bodyBytes = framing === 'length' ? head.contentLength : 0;
    if ((framing !== 'none' && framing !== 'length') || view.length - end !== bodyBytes) return false;
    const length = head.copyMessage(view, outgoing);
    const lent = this.#downstream.lend(outgoingView(length));
    if (lent === 'refused') return false;
    if (lent === 'kept') replaceOutgoing();
    this.#glancedEnd = 0;
    this.#record.firstByte();
    this.#record.sentBytes += length;
    this.#status = head.status;
    this.#upstreamKeeps = head.keepAlive;
    this.#keepAliveMs = head.keepAliveMs;
    this.#closes = false;
    this.#responseBody.begin('none', 0, false);
    this.#finishResponse();
    return true;
  }

  #dropUpstream(): void {
    this.#upstream?.destroy();
    this.#upstream = null;
  }

  // Responses.

  #readResponse(chunk: Buffer): void {
    this.#record.firstByte();
    const bytes = this.#responseInput.append(chunk);
    const head = this.#responseHead;
    const { maxHeadBytes } = this.#context.limits;
    const glancedEnd = this.#glancedEnd;
    this.#glancedEnd = 0;
    for (let at = 0; ; ) {
      const isRead = at === 0 && glancedEnd > 0;
      const end = isRead ? glancedEnd : headEnd(bytes, at);
      if (end < 0 || end - at > maxHeadBytes) {
        if (end >= 0 || bytes.length - at > maxHeadBytes) this.#badResponse('head-too-large');
        else if (at > 0) this.#keepResponse(bytes.subarray(at));
        return;
      }
      const problem = isRead ? null : head.read(bytes.toString('latin1', at, end - 2));
      if (problem !== null) {
        this.#badResponse(problem);
        return;
      }
      if (head.status >= 200) {
        this.#responseInput.take();
        this.#startResponse(head, bytes, at, end);
        return;
      }
      if (head.status === 101) {
        this.#responseInput.take();
        this.#switchProtocols(head, bytes.subarray(end));
        return;
      }
      if (++this.#interims > maxInterims) {
        this.#badResponse('too-many-interim-responses');
        return;
      }
      // RFC 9110 15.2: HTTP/1.0 knows no interim responses.
      if (this.#minorVersion === 1) {
        head.dropFraming();
        this.#write(head.render(''));
      }
      this.#awaitTurn();
      at = end;
    }
  }

  #keepResponse(rest: Buffer): void {
    this.#responseInput.take();
    if (rest.length > 0) this.#responseInput.append(rest);
  }

  #startResponse(head: ResponseHead, bytes: Buffer, at: number, end: number): void {
    this.#status = head.status;
    this.#upstreamKeeps = head.keepAlive;
    this.#keepAliveMs = head.keepAliveMs;
    const body = this.#responseBody;
    const decode = head.chunked && this.#minorVersion === 0;
    body.begin(head.framingFor(this.#record.method), head.contentLength, decode);
    if (decode || head.status === 204) head.dropFraming();
    this.#closes = !this.#mayStay() || decode || body.framing === 'until-close';
    let ownLines = '';
    if (this.#closes) ownLines = 'Connection: close\r\n';
    else if (this.#minorVersion === 0) ownLines = 'Connection: keep-alive\r\n';

    const rest = end === bytes.length ? empty : bytes.subarray(end);
    const content = body.take(rest);
    if (body.problem !== null) {
      this.#badResponse('bad-chunk');
      return;
    }
    this.#responseStarted = true;
    // What needs no change leaves as it came: head and body in one write, without a copy.
    if (ownLines === '' && head.passable && sameBytes(content, rest)) {
      const start = at + head.compact(bytes, at);
      this.#writeBytes(start === 0 ? bytes : bytes.subarray(start));
    } else {
      const text = head.render(ownLines);
      if (content.length === 0) this.#write(text);
      else this.#writeBytes(joined(text, [content], content.length));
    }
    this.#afterResponse(rest);
  }

  #passResponse(chunk: Buffer): void {
    const content = this.#responseBody.take(chunk);
    if (this.#responseBody.problem !== null) {
      this.#downstream.destroy('upstream-truncated');
      return;
    }
    if (content.length > 0) this.#writeBytes(content);
    this.#afterResponse(chunk);
  }

  #afterResponse(taken: Buffer): void {
    // More than was announced: the connection cannot be trusted with another request.
    if (this.#responseBody.consumed < taken.length) this.#upstreamKeeps = false;
    if (this.#responseBody.done) this.#finishResponse();
    else this.#awaitTurn();
  }

  #finishResponse(): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    if (upstream !== null) {
      if (this.#upstreamKeeps && this.#requestBody.done && this.#responseBody.framing !== 'until-close') {
        if (this.#downstream.blocked) upstream.socket.resume();
        this.#context.connector.release(upstream, this.#keepAliveMs);
      } else {
        upstream.destroy();
      }
    }
    this.#finish(this.#status, 'forwarded');
  }

  #switchProtocols(head: ResponseHead, rest: Buffer): void {
    const upstream = this.#upstream;
    if (!this.#wantsUpgrade || upstream === null) {
      this.#badResponse('unasked-switch');
      return;
    }
    const protocol = head.upgrade;
    head.dropFraming();
    this.#write(head.render(`Connection: Upgrade\r\n${protocol === '' ? '' : `Upgrade: ${protocol}\r\n`}`));
    this.#record.count(101);
    this.#upstream = null;
    this.#state = 'none';
    this.#downstream.startTunnel(upstream, rest);
  }

  #badResponse(detail: string): void {
    this.#dropUpstream();
    this.#answer(502, 'bad-response', detail);
  }

  // Answers of our own, and the end.

  /** Whether the connection may serve another request after this one. */
  #mayStay(): boolean {
    return this.#keepAlive && this.#requestBody.done && !this.#context.draining;
  }

  #answer(status: number, reason: AnswerReason, detail: string | null): void {
    this.#record.answered(status, reason, detail);
    this.#closes = !this.#mayStay();
    this.#write(renderAnswer(status, reason, this.#record.method === 'HEAD', this.#closes));
    this.#finish(status, reason);
  }

  /** Refuses a request in the middle of its body. */
  #refuse(problem: Refusal): void {
    this.#dropUpstream();
    if (this.#responseStarted) {
      this.#downstream.destroy('request-refused');
      return;
    }
    this.#keepAlive = false;
    this.#answer(problem.status, problem.reason, null);
  }

  /** The client takes no more for now. */
  clientFull(): void {
    if (this.#state === 'exchanging') this.#upstream?.socket.pause();
  }

  /** The client has taken everything. */
  clientDrained(): void {
    if (this.#state !== 'exchanging') return;
    this.#upstream?.socket.resume();
    this.#awaitTurn();
  }

  /** The deadline that was set last has passed. */
  timedOut(): void {
    if (this.#state !== 'exchanging') return;
    const clientsTurn = this.#clientsTurn();
    if (this.#responseStarted) {
      this.#downstream.destroy(clientsTurn ? 'client-timeout' : 'upstream-timeout');
      return;
    }
    this.#dropUpstream();
    if (clientsTurn) {
      this.#keepAlive = false;
      this.#answer(408, 'body-timeout', null);
    } else {
      this.#answer(504, 'upstream-timeout', null);
    }
  }

  /** The connection is being cut: lets go of the upstream and tells of what was under way. */
  abort(reason: EndReason): void {
    this.#dropUpstream();
    if (this.#state === 'none') return;
    this.#state = 'none';
    this.#forget();
    this.#record.end(this.#status, reason);
  }

  #finish(status: number, end: 'forwarded' | AnswerReason): void {
    this.#state = 'none';
    this.#record.end(status, end);
    this.#forget();
    this.#downstream.exchangeOver(this.#closes ? this.#closeReason(status, end) : null);
  }

  #forget(): void {
    if (this.#heldBytes > 0) {
      this.#held = [];
      this.#heldBytes = 0;
    }
    if (this.#responseInput.length > 0) this.#responseInput.take();
  }

  #closeReason(status: number, end: 'forwarded' | AnswerReason): EndReason {
    if (end !== 'forwarded' && faultsRequest(status)) return 'request-refused';
    return this.#context.draining ? 'draining' : 'answered-and-closed';
  }

  #write(text: string): void {
    this.#record.sentBytes += text.length;
    this.#downstream.write(text);
  }

  #writeBytes(bytes: Buffer): void {
    this.#record.sentBytes += bytes.length;
    this.#downstream.writeBytes(bytes);
  }
}

function outgoingView(length: number): Buffer {
  if (length >= outgoingViews.length) return outgoing.subarray(0, length);
  let view = outgoingViews[length];
  if (view === undefined) {
    view = outgoing.subarray(0, length);
    outgoingViews[length] = view;
  }
  return view;
}

/** The kernel will read the old one when it has room. */
function replaceOutgoing(): void {
  outgoing = Buffer.allocUnsafeSlow(maxDirectBytes);
  outgoingViews.fill(undefined);
}

/** Whether a status of the router's own says that the request is at fault: of the 5xx, what is not implemented here. */
function faultsRequest(status: number): boolean {
  return (status >= 400 && status < 500) || status === 501 || status === 505;
}

/** Whether two buffers are the same place in memory, not just alike. */
function sameBytes(a: Buffer, b: Buffer): boolean {
  return a === b || (a.length === b.length && a.buffer === b.buffer && a.byteOffset === b.byteOffset);
}

/** Head and body in one buffer, so that they leave in one write. */
function joined(text: string, pieces: readonly Buffer[], bytes: number): Buffer {
  const all = Buffer.allocUnsafe(text.length + bytes);
  all.write(text, 0, 'latin1');
  let at = text.length;
  for (const piece of pieces) {
    piece.copy(all, at);
    at += piece.length;
  }
  return all;
}
