// The HTTP/1.1 exchanges of one Session, one after another, on a clear stream: read a head, match, take an upstream
// connection, pass the body on, pass the answer back. Events and plain calls only; the path of a request allocates no
// promise, no closure and no stream.

import type { Socket } from 'node:net';
import type { Framing, HeadLimits } from '../../protocol/field-lines.ts';
import { GatheredBytes } from '../../protocol/gathered-bytes.ts';
import { ChunkedBody } from '../../protocol/http-body.ts';
import { headEnd, unfinishedHeadProblem } from '../../protocol/http-head.ts';
import { type Refusal, refusal } from '../../protocol/refusals.ts';
import { RequestHead } from '../../protocol/request-head.ts';
import { ResponseHead } from '../../protocol/response-head.ts';
import type { PathRule, Scheme } from '../../table/entries.ts';
import { parseHost } from '../../table/host.ts';
import { type AnswerReason, renderAnswer, renderHealth, renderRedirect } from '../answers.ts';
import type { ProxyContext } from '../context.ts';
import type { DeadlineOwner, DeadlineSlot } from '../deadlines.ts';
import type { EndReason } from '../end-reason.ts';
import { Splice } from '../splice.ts';
import type { Pick } from '../upstream/balancer.ts';
import type { ConnectFailure, UpstreamConnection, UpstreamUser } from '../upstream/upstream-connection.ts';
import type { ForwardedHeaders } from './forwarded-headers.ts';

/** The router's own health path on the plain port; exactly this target (Route semantics 6.1). */
const healthTarget = '/_______internal_router_healthz';
/** Tries of one request on further Endpoints or connections (Route semantics 5.7). */
const maxRetries = 3;
/** Body bytes that wait for an upstream connection before the client is told to wait. */
const maxHeldBytes = 65_536;
/** Interim responses of one exchange; more is a pod gone wild. */
const maxInterims = 32;
/** What a client may still send after an answer that ends the connection, so that the answer is not lost in a reset. */
const maxLingerBytes = 1_048_576;

const Phase = { idle: 0, head: 1, connecting: 2, exchanging: 3, tunnel: 4, lingering: 5, over: 6 } as const;

const empty: Buffer = Buffer.alloc(0);

/** Methods that may be sent again when a connection breaks before an answer (RFC 9110 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** Readers that all Sessions of a worker share: they are used up within one call. */
export type HeadReaders = { readonly request: RequestHead; readonly response: ResponseHead };

export function createHeadReaders(limits: HeadLimits): HeadReaders {
  return { request: new RequestHead(limits), response: new ResponseHead(limits) };
}

export class HttpExchanges implements UpstreamUser, DeadlineOwner {
  readonly #context: ProxyContext;
  readonly #readers: HeadReaders;
  readonly #socket: Socket;
  readonly #scheme: Scheme;
  readonly #client: string;
  readonly #forwarded: ForwardedHeaders;
  readonly #onEnd: (reason: EndReason) => void;
  readonly #slot: DeadlineSlot;
  readonly #input: GatheredBytes = new GatheredBytes();
  /** How much of an unfinished head has been looked at. */
  #checkedBytes = 0;
  #phase: number = Phase.idle;
  #idleSinceMs: number;
  #advancing = false;
  #clientEnded = false;
  /** More was written to the client than it has taken. */
  #clientBlocked = false;
  #lingerBytes = 0;
  #lingerReason: EndReason = 'answered-and-closed';
  #splice: Splice | null = null;

  // The request of the exchange.
  #method = '';
  #target = '';
  #hostName = '';
  #minorVersion = 1;
  #keepAlive = true;
  #wantsUpgrade = false;
  #rule: PathRule | null = null;
  #headText = '';
  #requestFraming: Framing = 'none';
  #requestLeft = 0;
  #requestChunks: ChunkedBody | null = null;
  #requestDone = true;
  #held: Buffer[] = [];
  #heldBytes = 0;

  // Its upstream.
  #upstream: UpstreamConnection | null = null;
  #pick: Pick | null = null;
  #tried: string[] = [];
  #retries = 0;
  #reused = false;
  /** More was written to the upstream than it has taken, so the client has been told to wait. */
  #upstreamBlocked = false;

  // Its response.
  readonly #responseInput: GatheredBytes = new GatheredBytes();
  #responseStarted = false;
  #responseFraming: Framing = 'none';
  #responseLeft = 0;
  #responseChunks: ChunkedBody | null = null;
  #decode = false;
  #status = 0;
  #interims = 0;
  #closes = false;
  #upstreamKeeps = false;
  #keepAliveMs = 0;

  // What the log and the metrics say of it.
  #startedMs = 0;
  #connectedMs = 0;
  #firstByteMs = 0;
  #receivedBytes = 0;
  #sentBytes = 0;

  /** Takes over a clear stream. `onEnd` is called exactly once. */
  constructor(
    context: ProxyContext,
    readers: HeadReaders,
    socket: Socket,
    scheme: Scheme,
    client: string,
    forwarded: ForwardedHeaders,
    onEnd: (reason: EndReason) => void,
  ) {
    this.#context = context;
    this.#readers = readers;
    this.#socket = socket;
    this.#scheme = scheme;
    this.#client = client;
    this.#forwarded = forwarded;
    this.#onEnd = onEnd;
    this.#slot = context.deadlines.claim(this);
    this.#idleSinceMs = context.deadlines.nowMs;
    context.deadlines.set(this.#slot, context.settings.headTimeoutMs);
    socket.on('data', (chunk: Buffer) => this.#clientData(chunk));
    socket.on('drain', () => this.#clientDrain());
    socket.on('end', () => this.#clientEnd());
    socket.on('error', () => {
      // 'close' follows and ends the exchange.
    });
    socket.on('close', () => this.#clientClose());
  }

  /** Ends at once, whatever is under way. */
  destroy(reason: EndReason): void {
    if (this.#phase === Phase.over) return;
    if (this.#splice !== null) {
      this.#splice.destroy(reason);
      return;
    }
    if (this.#phase === Phase.connecting || this.#phase === Phase.exchanging) this.#logLine(this.#status, reason);
    this.#over(reason);
  }

  /** For how long nothing has been under way, in ms; 0 if something is. */
  idleForMs(): number {
    return this.#phase === Phase.idle ? this.#context.deadlines.nowMs - this.#idleSinceMs : 0;
  }

  /** Ends an idle connection in order: FIN, and a moment for what the client may be sending just now. */
  closeIdle(): void {
    if (this.#phase === Phase.idle) this.#linger('draining');
  }

  // Downstream events.

  #clientData(chunk: Buffer): void {
    switch (this.#phase) {
      case Phase.idle:
      case Phase.head:
        this.#input.append(chunk);
        if (this.#clientBlocked) this.#socket.pause();
        else this.#advance();
        break;
      case Phase.connecting:
      case Phase.exchanging:
        if (!this.#requestDone) this.#keepRest(this.#takeBody(chunk));
        else this.#keepRest(chunk);
        break;
      case Phase.tunnel:
        this.#splice?.onClientData(chunk);
        break;
      case Phase.lingering:
        this.#lingerBytes += chunk.length;
        if (this.#lingerBytes > maxLingerBytes) this.#over(this.#lingerReason);
        break;
    }
  }

  #clientDrain(): void {
    if (this.#splice !== null) {
      this.#splice.onClientDrain();
      return;
    }
    if (!this.#clientBlocked) return;
    this.#clientBlocked = false;
    if (this.#phase === Phase.exchanging) {
      this.#upstream?.socket.resume();
      this.#awaitUpstream();
    } else if (this.#phase === Phase.idle) {
      this.#context.deadlines.set(this.#slot, this.#context.settings.keepAliveTimeoutMs);
      this.#proceed();
    }
  }

  #clientEnd(): void {
    this.#clientEnded = true;
    switch (this.#phase) {
      case Phase.idle:
        // Earlier answers are still on their way, and requests may be waiting behind them: the drain comes back here.
        if (!this.#clientBlocked) this.#linger('client-closed');
        break;
      case Phase.head:
        this.#linger('client-aborted');
        break;
      case Phase.connecting:
      case Phase.exchanging:
        // A client may close its half and still wait for the answer, but not in the middle of its own body.
        if (!this.#requestDone) this.destroy('client-aborted');
        break;
      case Phase.tunnel:
        this.#splice?.onClientEnd();
        break;
      case Phase.lingering:
        if (this.#socket.writableFinished) this.#over(this.#lingerReason);
        break;
    }
  }

  #clientClose(): void {
    if (this.#splice !== null) this.#splice.onClientClose();
    else if (this.#phase === Phase.lingering) this.#over(this.#lingerReason);
    else if (this.#phase === Phase.idle) this.#over('client-closed');
    else this.destroy('client-aborted');
  }

  // Requests.

  /** Answers one request after the other from what has come, until something has to be waited for. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (
      (this.#phase === Phase.idle || this.#phase === Phase.head) &&
      this.#input.length > 0 &&
      !this.#clientBlocked &&
      this.#readHead()
    ) {
      // readHead did the work.
    }
    this.#advancing = false;
    if (this.#clientEnded) this.#clientEnd();
  }

  /** Whether a whole head was there (and has been dealt with). */
  #readHead(): boolean {
    const bytes = this.#input.bytes;
    // RFC 9112 2.2: one empty line before a request is overlooked.
    const start = bytes[0] === 0x0d && (bytes.length === 1 || bytes[1] === 0x0a) ? 2 : 0;
    const end = headEnd(bytes, Math.max(start, this.#checkedBytes - 3));
    const maxHeadBytes = this.#context.limits.maxHeadBytes;
    if (end < 0 || end - start > maxHeadBytes) {
      const problem =
        this.#oversizedProblem(bytes, start, end) ??
        unfinishedHeadProblem(bytes, start, Math.max(start, this.#checkedBytes));
      if (problem !== null) {
        this.#refuseUnread(problem);
        return false;
      }
      this.#checkedBytes = bytes.length;
      if (this.#phase === Phase.idle) {
        this.#phase = Phase.head;
        this.#context.deadlines.set(this.#slot, this.#context.settings.headTimeoutMs);
      }
      return false;
    }
    this.#input.take();
    this.#checkedBytes = 0;
    const head = this.#readers.request;
    const problem = head.read(bytes.toString('latin1', start, end - 2));
    if (problem !== null) {
      this.#refuseUnread(problem);
      return false;
    }
    this.#startExchange(head, end === bytes.length ? empty : bytes.subarray(end));
    return true;
  }

  #oversizedProblem(bytes: Buffer, start: number, end: number): Refusal | null {
    const maxHeadBytes = this.#context.limits.maxHeadBytes;
    if (end < 0 && bytes.length - start <= maxHeadBytes) return null;
    const lineEnd = bytes.indexOf('\r\n', start, 'latin1');
    return refusal(lineEnd < 0 || lineEnd - start > maxHeadBytes ? 'target-too-long' : 'head-too-large');
  }

  #startExchange(head: RequestHead, rest: Buffer): void {
    this.#startedMs = performance.now();
    this.#connectedMs = 0;
    this.#firstByteMs = 0;
    this.#receivedBytes = 0;
    this.#sentBytes = 0;
    this.#method = head.method;
    this.#target = head.target;
    this.#hostName = head.hostName;
    this.#minorVersion = head.minorVersion;
    this.#keepAlive = head.keepAlive;
    this.#wantsUpgrade = head.upgrade !== '';
    this.#rule = null;
    this.#requestFraming = head.framing;
    this.#requestLeft = head.contentLength;
    this.#requestDone = head.framing === 'none';
    this.#responseStarted = false;
    this.#status = 0;
    this.#interims = 0;
    this.#retries = 0;
    this.#reused = false;
    this.#upstreamBlocked = false;
    if (this.#tried.length > 0) this.#tried = [];
    if (head.framing === 'chunked') {
      this.#requestChunks ??= new ChunkedBody(this.#context.limits.maxHeadBytes);
      this.#requestChunks.reset();
    }
    this.#phase = Phase.connecting;
    this.#context.deadlines.clear(this.#slot);

    if (this.#scheme === 'http' && head.target === healthTarget) {
      this.#closes = !this.#mayStay();
      this.#write(renderHealth(head.method === 'HEAD', this.#closes));
      this.#finish(200, 'health');
      this.#keepRest(rest);
      return;
    }
    const match = this.#context.table().matchHttp(parseHost(head.hostName), head.path, this.#scheme);
    switch (match.kind) {
      case 'forward': {
        const rule = match.rule;
        const policy = rule.forwarded;
        this.#rule = rule;
        this.#headText = head.render(
          this.#forwarded.dropMask(policy),
          head.hostLine + this.#forwarded.lines(policy, head),
        );
        this.#keepRest(this.#requestDone ? rest : this.#takeBody(rest));
        if (this.#phase === Phase.connecting) this.#dispatch(null);
        break;
      }
      case 'redirect':
        this.#rule = match.rule;
        this.#closes = !this.#mayStay();
        this.#write(renderRedirect(head.hostName, head.target, this.#context.settings.publicHttpsPort, this.#closes));
        this.#recordAnswer(302, 'redirect', null);
        this.#finish(302, 'redirect');
        this.#keepRest(rest);
        break;
      case 'unavailable':
        this.#rule = match.rule;
        this.#answer(503, 'no-endpoint', null);
        this.#keepRest(rest);
        break;
      case 'unknown':
        this.#answer(503, 'no-route', null);
        this.#keepRest(rest);
        break;
      default:
        match satisfies never;
    }
  }

  /** Bytes after the request at hand: the next one's, which has to wait for its turn. */
  #keepRest(rest: Buffer): void {
    if (rest.length === 0) return;
    if (this.#phase === Phase.lingering || this.#phase === Phase.over) return;
    if (this.#phase === Phase.tunnel) {
      this.#splice?.onClientData(rest);
      return;
    }
    this.#input.append(rest);
    if (this.#phase !== Phase.idle) this.#socket.pause();
  }

  /** Takes what belongs to the request's body; answers what comes after it. */
  #takeBody(chunk: Buffer): Buffer {
    if (chunk.length === 0) return empty;
    let body: Buffer;
    let rest: Buffer = empty;
    if (this.#requestFraming === 'chunked' && this.#requestChunks !== null) {
      const chunks = this.#requestChunks;
      body = chunks.take(chunk, 0, false);
      if (chunks.problem !== null) {
        this.#refuse(chunks.problem);
        return empty;
      }
      if (chunks.done) {
        this.#requestDone = true;
        if (chunks.consumed < chunk.length) rest = chunk.subarray(chunks.consumed);
      }
    } else {
      body = chunk;
      if (chunk.length > this.#requestLeft) {
        body = chunk.subarray(0, this.#requestLeft);
        rest = chunk.subarray(this.#requestLeft);
      }
      this.#requestLeft -= body.length;
      this.#requestDone = this.#requestLeft === 0;
    }
    this.#receivedBytes += body.length;
    if (body.length > 0) this.#passBody(body);
    if (this.#phase === Phase.exchanging) this.#awaitUpstream();
    return rest;
  }

  #passBody(body: Buffer): void {
    if (this.#phase === Phase.exchanging && this.#upstream !== null) {
      if (!this.#upstream.socket.write(body)) {
        this.#upstreamBlocked = true;
        this.#socket.pause();
      }
      return;
    }
    this.#held.push(body);
    this.#heldBytes += body.length;
    if (this.#heldBytes > maxHeldBytes) this.#socket.pause();
  }

  // The upstream.

  /** Whether the request may be sent again after a connection broke before its answer. */
  #repeatable(): boolean {
    return this.#requestFraming === 'none' && !this.#wantsUpgrade && idempotent.has(this.#method);
  }

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
    this.#phase = Phase.connecting;
    const connector = this.#context.connector;
    const pooled = this.#retries === 0 ? connector.pooled(pick, rule, this.#hostName, this.#repeatable(), this) : null;
    if (pooled !== null) {
      this.#upstream = pooled;
      this.#reused = true;
      this.#send(pooled);
      return;
    }
    this.#reused = false;
    this.#upstream = connector.dial(pick, rule, this.#hostName, table, this);
    if (this.#upstream === null) this.#answer(503, 'connect-failed', "the Route's authority is not in the table");
  }

  #send(upstream: UpstreamConnection): void {
    this.#phase = Phase.exchanging;
    upstream.uses++;
    let taken: boolean;
    if (this.#heldBytes === 0) {
      taken = upstream.socket.write(this.#headText, 'latin1');
    } else {
      taken = upstream.socket.write(joined(this.#headText, this.#held, this.#heldBytes));
      this.#held = [];
      this.#heldBytes = 0;
    }
    if (!taken && !this.#requestDone) {
      this.#upstreamBlocked = true;
      this.#socket.pause();
    } else if (!this.#requestDone) {
      this.#socket.resume();
    }
    this.#awaitUpstream();
  }

  /** Sets the deadline of whoever's turn it is while an exchange runs. */
  #awaitUpstream(): void {
    const { deadlines, settings } = this.#context;
    const clientsTurn = this.#clientBlocked || (!this.#requestDone && !this.#upstreamBlocked);
    deadlines.set(this.#slot, clientsTurn ? settings.clientTimeoutMs : settings.serverTimeoutMs);
  }

  onUpstreamConnected(): void {
    this.#context.connector.countDial(null);
    this.#connectedMs = performance.now();
    if (this.#upstream !== null) this.#send(this.#upstream);
  }

  onUpstreamConnectFailed(failure: ConnectFailure): void {
    this.#context.connector.countDial(failure);
    this.#upstream = null;
    if (this.#pick !== null) this.#tried.push(this.#pick.endpoint.authority);
    if (this.#retries < maxRetries) {
      this.#countRetry(failure);
      this.#dispatch(failure);
      return;
    }
    this.#answer(503, 'connect-failed', failure);
  }

  #countRetry(reason: ConnectFailure | 'stale'): void {
    this.#retries++;
    this.#context.metrics.series('headgate_upstream_retries_total', reason).value++;
  }

  onUpstreamDrain(): void {
    this.#upstreamBlocked = false;
    this.#socket.resume();
    this.#awaitUpstream();
  }

  onUpstreamEnd(): void {
    this.#upstreamOver(false);
  }

  onUpstreamClose(reset: boolean): void {
    this.#upstreamOver(reset);
  }

  #upstreamOver(reset: boolean): void {
    if (this.#phase !== Phase.exchanging) return;
    if (this.#responseStarted) {
      if (this.#responseFraming === 'until-close' && !reset) this.#finishResponse();
      else this.destroy('upstream-truncated');
      return;
    }
    this.#dropUpstream();
    const silent = this.#responseInput.length === 0 && this.#interims === 0;
    if (silent && this.#reused && this.#repeatable() && this.#retries < maxRetries) {
      this.#countRetry('stale');
      this.#dispatch(null);
      return;
    }
    this.#answer(502, 'upstream-closed', reset ? 'reset' : null);
  }

  onUpstreamData(chunk: Buffer): void {
    if (this.#phase !== Phase.exchanging) return;
    if (this.#responseStarted) this.#passResponse(chunk);
    else this.#readResponse(chunk);
  }

  // Responses.

  #readResponse(chunk: Buffer): void {
    if (this.#firstByteMs === 0 && this.#context.accessLog !== null) this.#firstByteMs = performance.now();
    const bytes = this.#responseInput.append(chunk);
    const head = this.#readers.response;
    for (let at = 0; ; ) {
      const end = headEnd(bytes, at);
      if (end < 0 || end - at > this.#context.limits.maxHeadBytes) {
        if (end >= 0 || bytes.length - at > this.#context.limits.maxHeadBytes) {
          this.#badResponse('head-too-large');
        } else if (at > 0) {
          this.#responseInput.take();
          if (at < bytes.length) this.#responseInput.append(bytes.subarray(at));
        }
        return;
      }
      const problem = head.read(bytes.toString('latin1', at, end - 2));
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
      this.#awaitUpstream();
      at = end;
    }
  }

  #startResponse(head: ResponseHead, bytes: Buffer, at: number, end: number): void {
    const status = head.status;
    this.#responseStarted = true;
    this.#status = status;
    this.#upstreamKeeps = head.keepAlive;
    this.#keepAliveMs = head.keepAliveMs;
    this.#decode = false;
    // RFC 9112 6.3: what has no body whatever the head says; else chunked, else a length, else until the end.
    if (this.#method === 'HEAD' || status === 304) {
      this.#responseFraming = 'none';
    } else if (status === 204) {
      this.#responseFraming = 'none';
      head.dropFraming();
    } else if (head.chunked) {
      this.#responseFraming = 'chunked';
      this.#responseChunks ??= new ChunkedBody(this.#context.limits.maxHeadBytes);
      this.#responseChunks.reset();
      if (this.#minorVersion === 0) {
        this.#decode = true;
        head.dropFraming();
      }
    } else if (head.contentLength >= 0) {
      this.#responseFraming = head.contentLength === 0 ? 'none' : 'length';
      this.#responseLeft = head.contentLength;
    } else {
      this.#responseFraming = 'until-close';
      this.#upstreamKeeps = false;
    }
    this.#closes = !this.#mayStay() || this.#decode || this.#responseFraming === 'until-close';
    let extra = '';
    if (this.#closes) extra = 'Connection: close\r\n';
    else if (this.#minorVersion === 0) extra = 'Connection: keep-alive\r\n';

    const rest = end === bytes.length ? empty : bytes.subarray(end);
    const body = this.#takeResponse(rest);
    if (body === null) {
      this.#responseStarted = false;
      this.#badResponse('bad-chunk');
      return;
    }
    // What needs no change leaves as it came: head and body in one write, without a copy.
    if (extra === '' && head.passable && sameBytes(body, rest)) {
      const start = at + head.compact(bytes, at);
      this.#writeBytes(start === 0 ? bytes : bytes.subarray(start));
    } else {
      const text = head.render(extra);
      if (body.length === 0) this.#write(text);
      else this.#writeBytes(joined(text, [body], body.length));
    }
    if (this.#responseFraming === 'none') this.#finishResponse();
    else this.#awaitUpstream();
  }

  #passResponse(chunk: Buffer): void {
    const body = this.#takeResponse(chunk);
    if (body === null) {
      this.destroy('upstream-truncated');
      return;
    }
    if (body.length > 0) this.#writeBytes(body);
    if (this.#responseFraming === 'none') this.#finishResponse();
    else this.#awaitUpstream();
  }

  /** What of these bytes goes to the client, or null if they are malformed. At the body's end the framing is `none`. */
  #takeResponse(chunk: Buffer): Buffer | null {
    switch (this.#responseFraming) {
      case 'none':
        // More than was announced: the connection cannot be trusted with another request.
        if (chunk.length > 0) this.#upstreamKeeps = false;
        return empty;
      case 'until-close':
        return chunk;
      case 'length': {
        if (chunk.length < this.#responseLeft) {
          this.#responseLeft -= chunk.length;
          return chunk;
        }
        this.#responseFraming = 'none';
        if (chunk.length === this.#responseLeft) return chunk;
        this.#upstreamKeeps = false;
        return chunk.subarray(0, this.#responseLeft);
      }
      case 'chunked': {
        const chunks = this.#responseChunks;
        if (chunks === null) return empty;
        const body = chunks.take(chunk, 0, this.#decode);
        if (chunks.problem !== null) return null;
        if (chunks.done) {
          this.#responseFraming = 'none';
          if (chunks.consumed < chunk.length) this.#upstreamKeeps = false;
        }
        return body;
      }
    }
  }

  #finishResponse(): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    if (upstream !== null) {
      if (this.#upstreamKeeps && this.#requestDone) {
        if (this.#clientBlocked) upstream.socket.resume();
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
    this.#status = 101;
    this.#countExchange(101);
    this.#upstream = null;
    this.#phase = Phase.tunnel;
    const { settings, deadlines, counters } = this.#context;
    deadlines.clear(this.#slot);
    const splice = new Splice(
      this.#socket,
      upstream,
      {
        idleMs: settings.tunnelTimeoutMs,
        clientFinMs: settings.clientFinTimeoutMs,
        upstreamFinMs: settings.serverFinTimeoutMs,
      },
      deadlines,
      counters,
      (reason) => {
        this.#receivedBytes += splice.received;
        this.#sentBytes += splice.sent;
        this.#accessLine(101, reason);
        this.#over(reason);
      },
    );
    this.#splice = splice;
    if (rest.length > 0) splice.onUpstreamData(rest);
    if (this.#input.length > 0) splice.onClientData(this.#input.take());
    if (this.#clientEnded) splice.onClientEnd();
  }

  #badResponse(detail: string): void {
    this.#dropUpstream();
    this.#answer(502, 'bad-response', detail);
  }

  #dropUpstream(): void {
    this.#upstream?.destroy();
    this.#upstream = null;
  }

  // Answers of our own.

  /** Whether the connection may serve another request after this exchange. */
  #mayStay(): boolean {
    return this.#keepAlive && this.#requestDone && !this.#context.draining;
  }

  #answer(status: number, reason: AnswerReason, detail: string | null): void {
    this.#recordAnswer(status, reason, detail);
    this.#closes = !this.#mayStay();
    this.#write(renderAnswer(status, reason, this.#method === 'HEAD', this.#closes));
    this.#finish(status, reason);
  }

  /** Refuses a request in the middle of its body. */
  #refuse(problem: Refusal): void {
    this.#dropUpstream();
    if (this.#responseStarted) {
      this.destroy('request-refused');
      return;
    }
    this.#keepAlive = false;
    this.#answer(problem.status, problem.reason, null);
  }

  /** Refuses a request of which not even the head could be read. */
  #refuseUnread(problem: Refusal): void {
    this.#startedMs = performance.now();
    this.#connectedMs = 0;
    this.#firstByteMs = 0;
    this.#method = '';
    this.#target = '';
    this.#hostName = '';
    this.#rule = null;
    this.#pick = null;
    this.#keepAlive = false;
    this.#answer(problem.status, problem.reason, null);
  }

  #recordAnswer(status: number, reason: AnswerReason, detail: string | null): void {
    const query = this.#target.indexOf('?');
    this.#context.answers.record(status, reason, {
      route: this.#rule?.route ?? null,
      host: this.#hostName,
      // A query may carry secrets, and is of no use for finding the Route.
      path: query < 0 ? this.#target : this.#target.slice(0, query),
      client: this.#client,
      endpoint: this.#pick?.endpoint.authority ?? null,
      detail,
    });
  }

  // The end of exchanges and of the Session.

  #finish(status: number, end: 'forwarded' | AnswerReason): void {
    this.#logLine(status, end);
    this.#pick = null;
    if (this.#heldBytes > 0) {
      this.#held = [];
      this.#heldBytes = 0;
    }
    if (this.#responseInput.length > 0) this.#responseInput.take();
    if (this.#closes) {
      this.#linger(
        end !== 'forwarded' && faultsRequest(status)
          ? 'request-refused'
          : this.#context.draining
            ? 'draining'
            : 'answered-and-closed',
      );
      return;
    }
    this.#phase = Phase.idle;
    this.#idleSinceMs = this.#context.deadlines.nowMs;
    const { deadlines, settings } = this.#context;
    deadlines.set(this.#slot, this.#clientBlocked ? settings.clientTimeoutMs : settings.keepAliveTimeoutMs);
    if (!this.#clientBlocked) this.#proceed();
  }

  /** Goes on with what came meanwhile, or with waiting for the next request. */
  #proceed(): void {
    if (this.#socket.isPaused()) this.#socket.resume();
    if (this.#input.length > 0 || this.#clientEnded) this.#advance();
  }

  /**
   * Closes our half after the answer and reads on for a moment: closing with unread bytes would make the kernel send a
   * reset, which may overtake the answer (RFC 9112 9.6).
   */
  #linger(reason: EndReason): void {
    this.#phase = Phase.lingering;
    this.#lingerReason = reason;
    this.#input.take();
    this.#socket.end(() => this.#allSent());
    if (!this.#clientEnded) this.#socket.resume();
    this.#context.deadlines.set(this.#slot, this.#context.settings.clientTimeoutMs);
  }

  /** The last byte of ours, and our FIN, have left. */
  #allSent(): void {
    if (this.#phase !== Phase.lingering) return;
    if (this.#clientEnded) this.#over(this.#lingerReason);
    else this.#context.deadlines.set(this.#slot, this.#context.settings.clientFinTimeoutMs);
  }

  onDeadline(): void {
    switch (this.#phase) {
      case Phase.idle:
        // A new connection that never said a word ends without an answer, as an old one does between requests.
        if (this.#clientBlocked) this.#over('client-timeout');
        else this.#linger('client-idle');
        break;
      case Phase.head:
        this.#refuseUnread(refusal('head-timeout'));
        break;
      case Phase.exchanging:
        this.#exchangeTimedOut();
        break;
      case Phase.lingering:
        this.#over(this.#lingerReason);
        break;
    }
  }

  #exchangeTimedOut(): void {
    const clientsTurn = this.#clientBlocked || (!this.#requestDone && !this.#upstreamBlocked);
    if (this.#responseStarted) {
      this.destroy(clientsTurn ? 'client-timeout' : 'upstream-timeout');
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

  #over(reason: EndReason): void {
    if (this.#phase === Phase.over) return;
    this.#phase = Phase.over;
    this.#context.deadlines.release(this.#slot);
    this.#dropUpstream();
    this.#input.take();
    this.#held = [];
    // After an orderly end of both sides the socket closes by itself.
    if (!this.#socket.writableFinished || !this.#clientEnded) this.#socket.destroy();
    this.#onEnd(reason);
  }

  #logLine(status: number, end: 'forwarded' | AnswerReason | EndReason): void {
    this.#countExchange(status);
    this.#accessLine(status, end);
  }

  #countExchange(status: number): void {
    const counters = this.#context.counters;
    counters.request(this.#scheme, status, performance.now() - this.#startedMs);
    counters.received.value += this.#receivedBytes;
    counters.sent.value += this.#sentBytes;
  }

  #accessLine(status: number, end: 'forwarded' | AnswerReason | EndReason): void {
    const accessLog = this.#context.accessLog;
    if (accessLog === null || !accessLog.sampled()) return;
    const totalMs = performance.now() - this.#startedMs;
    accessLog.write({
      client: this.#client,
      scheme: this.#scheme,
      method: this.#method === '' ? null : this.#method,
      host: this.#hostName,
      target: this.#target === '' ? null : this.#target,
      status: status === 0 ? null : status,
      route: this.#rule?.route ?? null,
      endpoint: this.#pick?.endpoint.authority ?? null,
      connectMs: this.#connectedMs === 0 ? null : this.#connectedMs - this.#startedMs,
      firstByteMs: this.#firstByteMs === 0 ? null : this.#firstByteMs - this.#startedMs,
      totalMs,
      receivedBytes: this.#receivedBytes,
      sentBytes: this.#sentBytes,
      retries: this.#retries,
      end,
    });
  }

  #write(text: string): void {
    this.#sentBytes += text.length;
    if (!this.#socket.write(text, 'latin1')) this.#clientFull();
  }

  #writeBytes(bytes: Buffer): void {
    this.#sentBytes += bytes.length;
    if (!this.#socket.write(bytes)) this.#clientFull();
  }

  #clientFull(): void {
    this.#clientBlocked = true;
    if (this.#phase === Phase.exchanging) this.#upstream?.socket.pause();
  }
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
