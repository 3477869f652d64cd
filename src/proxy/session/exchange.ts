// One HTTP exchange: match the request, take a way to a pod, pass the body on, pass the answer back, or answer it here. Events
// and plain calls only; the path of a request allocates no promise, no closure and no stream. The object is used again for
// the next request of its connection.

import { createHash } from 'node:crypto';
import { respelt } from '../../protocol/field-spelling.ts';
import { Field } from '../../protocol/http-syntax.ts';
import { lineValue, lineValues, type ResponseFields } from '../../protocol/http2-head.ts';
import type { Refusal } from '../../protocol/refusals.ts';
import type { RequestHead } from '../../protocol/request-head.ts';
import type { ResponseHead } from '../../protocol/response-head.ts';
import { isListed } from '../../table/address-list.ts';
import type { PathRule, Scheme } from '../../table/entries.ts';
import { type Host, parseHost } from '../../table/host.ts';
import { type AnswerReason, renderAnswer, renderGrpcAnswer, renderHealth, renderRedirect } from '../answers.ts';
import type { ProxyContext } from '../context.ts';
import type { EndReason } from '../end-reason.ts';
import { pageFor, renderPage, statusOf } from '../error-pages.ts';
import { securityOf } from '../health/endpoint-health.ts';
import type { RouteVisits } from '../listener/route-limits.ts';
import type { Pick } from '../upstream/balancer.ts';
import type { PodAbsence, PodSearch, PodSearchUser } from '../upstream/pod-search.ts';
import { UpstreamStream } from '../upstream/shared-upstream.ts';
import { cookieLine, cookieOf } from '../upstream/sticky-cookie.ts';
import type { ConnectFailure, Upstream, UpstreamUser } from '../upstream/upstream.ts';
import { UpstreamConnection } from '../upstream/upstream-connection.ts';
import { clientDer, clientRefusal } from './client-certificate.ts';
import type { Downstream } from './downstream.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import type { ForwardedHeaders } from './forwarded-headers.ts';
import { editedHead } from './header-actions.ts';
import { rewrittenTarget } from './path-rewrite.ts';
import { RequestBody } from './request-body.ts';
import { type RelayUser, ResponseRelay } from './response-relay.ts';
import type { UniqueIds } from './unique-ids.ts';

/** The router's own health path on the plain port; exactly this target (Route semantics 6.1). */
const healthTarget = '/_______internal_router_healthz';

const empty: Buffer = Buffer.alloc(0);

/** Methods that may be sent again when a connection breaks before an answer (RFC 9110 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

export class Exchange implements UpstreamUser, RelayUser, PodSearchUser {
  readonly #context: ProxyContext;
  readonly #downstream: Downstream;
  readonly #scheme: Scheme;
  readonly #forwarded: ForwardedHeaders;
  readonly #visits: RouteVisits;
  readonly #record: ExchangeRecord;
  readonly #search: PodSearch;
  readonly #relay: ResponseRelay;
  #state: 'none' | 'connecting' | 'exchanging' = 'none';

  // The request.
  readonly #body: RequestBody;
  #keepAlive = true;
  #wantsUpgrade = false;
  #repeatable = false;
  #isGrpc = false;
  #rule: PathRule | null = null;
  #headText = '';
  /** The name that was asked for last, and what Routes may call it. */
  #askedName = '';
  #askedHost: Host | undefined = undefined;

  // Its upstream.
  #upstream: Upstream | null = null;
  #reused = false;
  /** The pod is asked for a tunnel as HTTP/2 has them. */
  #tunnels = false;

  // Its answer.
  #closes = false;

  constructor(
    context: ProxyContext,
    downstream: Downstream,
    responseHead: ResponseHead,
    scheme: Scheme,
    forwarded: ForwardedHeaders,
    visits: RouteVisits,
    record: ExchangeRecord,
  ) {
    this.#context = context;
    this.#downstream = downstream;
    this.#scheme = scheme;
    this.#forwarded = forwarded;
    this.#visits = visits;
    this.#record = record;
    this.#search = record.search;
    this.#relay = new ResponseRelay(downstream, this, record, responseHead, context.limits, context.compression);
    this.#body = new RequestBody(downstream, record, context.limits.maxHeadBytes);
  }

  /** Whether all of the request has come. */
  get requestDone(): boolean {
    return this.#body.done;
  }

  /** Whether the bytes that `takeBody` took last may be overwritten, but for what it answered. */
  get bodyReturned(): boolean {
    return this.#body.returned;
  }

  /** Whether the request has been sent to a pod. */
  get sent(): boolean {
    return this.#state === 'exchanging';
  }

  /** Whether the client would take what it has of an answer for all of it, if its connection ended in order now. */
  get looksWhole(): boolean {
    return this.#state === 'exchanging' && this.#relay.untilClose;
  }

  // Requests.

  /** Begins with a request whose head has just been read and what came behind it. Answers what belongs to the next one. */
  begin(head: RequestHead, rest: Buffer): Buffer {
    this.#record.beginRead(head);
    this.#keepAlive = head.keepAlive;
    this.#wantsUpgrade = head.upgrade !== '';
    this.#repeatable = head.framing === 'none' && !this.#wantsUpgrade && idempotent.has(head.method);
    this.#rule = null;
    this.#relay.begin(head.minorVersion);
    this.#reused = false;
    this.#state = 'connecting';
    this.#body.begin(head.framing, head.contentLength);
    this.#isGrpc = this.#body.bare && head.isGrpc;

    if (this.#scheme === 'http' && head.target === healthTarget) {
      this.#closes = !this.mayStay();
      this.#downstream.sendAnswer(renderHealth(head.method === 'HEAD', this.#closes));
      this.#finish(200, 'health');
      return rest;
    }
    const match = this.#context.table().matchHttp(this.#hostOf(head), head.path, this.#scheme);
    if (match.kind === 'unknown') {
      this.#answerNoRoute();
      return rest;
    }
    const rule = match.rule;
    this.#rule = rule;
    this.#record.belongsTo(rule);
    // Before all that a Route asks of its clients: over TLS they will be asked again.
    if (match.kind === 'redirect') {
      this.#redirect(head);
      return rest;
    }
    if (rule.allowedSources !== null && !isListed(rule.allowedSources, this.#search.source)) {
      this.#answer(403, 'source-not-allowed', null);
      return rest;
    }
    if (rule.clientAuth !== null || this.#forwarded.client !== null) {
      const refused = clientRefusal(rule, this.#scheme, this.#context.table(), this.#forwarded.client);
      if (refused !== null) {
        // With 421 the client comes again on another connection, which this one keeps it from.
        if (refused.status === 421) this.#keepAlive = false;
        this.#answer(refused.status, refused.reason, null);
        return rest;
      }
    }
    if (rule.rateLimit !== null) {
      const counted = this.#visits.request(rule.route, rule.rateLimit, this.#search.source);
      if (counted !== 'counted') {
        this.#answer(429, 'rate-limited', null, `Retry-After: ${counted}\r\n`);
        return rest;
      }
    }
    if (match.kind === 'forward') return this.#forward(rule, head, rest);
    this.#answer(503, 'no-endpoint', null);
    return rest;
  }

  /** Most connections ask for one host all their life. */
  #hostOf(head: RequestHead): Host | undefined {
    if (head.hostName !== this.#askedName) {
      this.#askedName = head.hostName;
      this.#askedHost = parseHost(head.hostName);
    }
    return this.#askedHost;
  }

  /** A request of which not even the head could be read, but for its method perhaps. */
  refuseUnread(problem: Refusal, method = ''): void {
    this.#record.begin(method, '', '');
    this.#keepAlive = false;
    this.#isGrpc = false;
    this.#answer(problem.status, problem.reason, null);
  }

  /** A request that has been read and shall not be looked at further. */
  refuseRead(head: RequestHead, status: number, reason: AnswerReason): void {
    this.#record.beginRead(head);
    this.#keepAlive = head.keepAlive;
    this.#isGrpc = head.isGrpc;
    this.#answer(status, reason, null);
  }

  /** Takes what belongs to the request's body; answers what comes after it. */
  takeBody(chunk: Buffer): Buffer {
    if (chunk.length === 0) return empty;
    const body = this.#body;
    const rest = body.take(chunk, this.#way);
    if (body.problem !== null) {
      this.#refuse(body.problem);
      return empty;
    }
    if (this.#state === 'exchanging') this.#awaitTurn();
    return rest;
  }

  /** Takes content that came bare. False: there is more of it, or less, than the head announced. */
  takeContent(content: Buffer, last: boolean): boolean {
    if (this.#state === 'none') return true;
    if (!this.#body.takeContent(content, last, this.#way)) return false;
    if (this.#state === 'exchanging') this.#awaitTurn();
    return true;
  }

  /** Takes the trailers that end bare content. False: there is less of it than the head announced. */
  takeTrailers(lines: string): boolean {
    if (this.#state === 'none') return true;
    if (!this.#body.takeTrailers(lines, this.#way)) return false;
    if (this.#state === 'exchanging') this.#awaitTurn();
    return true;
  }

  /** Where the body goes to, once the head has gone there. */
  get #way(): Upstream | null {
    return this.#state === 'exchanging' ? this.#upstream : null;
  }

  #forward(rule: PathRule, head: RequestHead, rest: Buffer): Buffer {
    if (rule.cookie !== null) {
      const cookie = head.has(Field.cookie) ? head.takeCookie(rule.cookie.name) : '';
      this.#search.cookie = cookie;
      this.#record.cookieState = cookie === '' ? 'NN' : 'VN';
    }
    if (rule.rewrite !== null) head.target = rewrittenTarget(rule.rewrite, head.path, head.target);
    const ownLines = head.hostLine + this.#forwarded.lines(rule, head);
    const text = head.render(this.#forwarded.dropMask(rule), ownLines);
    const { uniqueIds, fieldSpellings } = this.#context;
    const isEdited = rule.requestActions !== null || uniqueIds !== null;
    const edited = isEdited ? this.#edited(text, rule, uniqueIds) : text;
    this.#headText = fieldSpellings !== null && rule.adjustsCase ? respelt(edited, fieldSpellings) : edited;
    const behind = this.#body.done ? rest : this.takeBody(rest);
    this.#search.begin(rule, this.#record.hostName, this);
    if (this.#state === 'connecting') this.#search.seek();
    return behind;
  }

  /** The id comes first, so that actions may make use of it. */
  #edited(head: string, rule: PathRule, uniqueIds: UniqueIds | null): string {
    const actions = rule.requestActions ?? [];
    const certificate = clientDer(rule, this.#forwarded.client);
    if (uniqueIds === null) return editedHead(head, actions, certificate);
    const id = uniqueIds.next(this.#forwarded.sender);
    this.#record.uniqueId = id;
    return editedHead(head, [uniqueIds.action(id), ...actions], certificate);
  }

  #redirect(head: RequestHead): void {
    this.#closes = !this.mayStay();
    const { publicHttpsPort } = this.#context.settings;
    this.#downstream.sendAnswer(renderRedirect(head.hostName, head.target, publicHttpsPort, this.#closes));
    this.#record.answered(302, 'redirect', null);
    this.#finish(302, 'redirect');
  }

  // The upstream.

  #answerNoRoute(): void {
    // Route semantics 5.17: who has a page for 404 gets it.
    this.#answer(this.#context.settings.errorPage404Path === '' ? 503 : 404, 'no-route', null);
  }

  onPod(pick: Pick): void {
    const rule = this.#rule;
    if (rule === null) return;
    this.#state = 'connecting';
    const table = this.#context.table();
    const { connector } = this.#context;
    const { hostName, retries } = this.#search;
    const { sender } = this.#forwarded;
    const pooled = retries === 0 ? connector.pooled(pick, rule, hostName, sender, this.#repeatable, this) : null;
    if (pooled !== null) {
      this.#upstream = pooled;
      this.#reused = true;
      this.#send(pooled);
      return;
    }
    this.#reused = false;
    const use = this.#wantsUpgrade ? 'upgrade' : 'request';
    const shared = connector.shared(pick, rule, hostName, sender, table, use, this);
    if (shared !== null) {
      this.#upstream = shared;
      this.#reused = shared.open;
      if (shared.open) this.#send(shared);
      return;
    }
    this.#upstream = connector.dial(pick, rule, hostName, sender, table, use, this);
    if (this.#upstream === null) this.#answer(503, 'connect-failed', "the Route's authority is not in the table");
  }

  onNoPod(reason: PodAbsence, detail: string | null): void {
    this.#answer(503, reason, detail);
  }

  onRouteGone(): void {
    this.#answerNoRoute();
  }

  onWait(ms: number): void {
    this.#state = 'connecting';
    this.#downstream.setDeadline(ms);
  }

  #send(upstream: Upstream): void {
    this.#tunnels = this.#wantsUpgrade && !upstream.framed && wantsWebSocket(this.#headText);
    if (this.#tunnels && upstream instanceof UpstreamStream && !upstream.takesTunnels) {
      this.onBadResponse('no-tunnels');
      return;
    }
    this.#state = 'exchanging';
    this.#record.sent(this.#reused ? 'reused' : 'new');
    this.#body.send(upstream, this.#headText, this.#scheme, this.#tunnels);
    this.#awaitTurn();
  }

  /** Whether it is the client that everybody waits for, and not the upstream. */
  #clientsTurn(): boolean {
    return this.#downstream.blocked || (!this.#body.done && !this.#body.blocked);
  }

  #awaitTurn(): void {
    const { clientTimeoutMs, serverTimeoutMs } = this.#context.settings;
    const podTimeoutMs = this.#rule?.serverTimeoutMs ?? serverTimeoutMs;
    this.#downstream.setDeadline(this.#clientsTurn() ? clientTimeoutMs : podTimeoutMs);
  }

  onUpstreamConnected(): void {
    const { connector } = this.#context;
    const upstream = this.#upstream;
    if (upstream instanceof UpstreamConnection) {
      connector.countDial(null);
      if (upstream.speaksHttp2) {
        const shared = connector.share(upstream, this);
        this.#upstream = shared;
        // Else its settings are still to come.
        if (shared.open) this.#send(shared);
        return;
      }
    }
    if (upstream !== null) this.#send(upstream);
  }

  onUpstreamConnectFailed(failure: ConnectFailure): void {
    // Whoever shares a connection does not count its dial.
    if (this.#upstream instanceof UpstreamConnection) this.#context.connector.countDial(failure);
    this.#upstream = null;
    this.#search.failed(failure);
  }

  onUpstreamRefused(why: 'refused' | 'full'): void {
    this.#upstream = null;
    if (why === 'full') {
      this.#search.seek();
      return;
    }
    const isWhole = this.#state === 'connecting' || this.#body.whole;
    if (this.#relay.silent && isWhole && this.#search.mayRetry('stale')) {
      if (this.#state === 'exchanging') this.#body.rewind();
      this.#search.seek();
    } else if (this.#relay.started) this.onTruncated();
    else this.#answer(503, 'connect-failed', 'the pod refused the request');
  }

  onUpstreamMoved(): void {
    this.#awaitTurn();
  }

  onUpstreamDrain(): void {
    this.#body.drained();
    this.#awaitTurn();
  }

  onUpstreamEnd(): void {
    this.onUpstreamClose('closed');
  }

  onUpstreamClose(how: 'closed' | 'broken' | 'cut'): void {
    if (this.#state !== 'exchanging') return;
    const relay = this.#relay;
    if (relay.started) {
      if (!relay.closed(how)) this.onTruncated();
      return;
    }
    this.#dropUpstream();
    const isStale = how !== 'cut' && relay.silent && this.#reused && this.#repeatable;
    if (isStale && this.#search.mayRetry('stale')) this.#search.seek();
    else this.#answer(502, 'upstream-closed', how === 'closed' ? null : 'reset');
  }

  onUpstreamData(chunk: Buffer): boolean {
    return this.#state === 'exchanging' && this.#relay.take(chunk);
  }

  onUpstreamGlance(view: Buffer): boolean {
    return this.#state === 'exchanging' && this.#relay.glance(view);
  }

  onUpstreamHead(fields: ResponseFields, last: boolean): void {
    if (this.#state !== 'exchanging') return;
    this.#body.answered();
    if (this.#tunnels && fields.isSuccess && !last) this.#tunnel(switched(fields.text, this.#headText), empty);
    else this.#relay.takeHead(fields, last);
  }

  onUpstreamContent(content: Buffer, last: boolean): void {
    if (this.#state === 'exchanging') this.#relay.takeContent(content, last);
  }

  onUpstreamTrailers(lines: string): void {
    if (this.#state === 'exchanging') this.#relay.takeTrailers(lines);
  }

  #dropUpstream(): void {
    this.#upstream?.destroy();
    this.#upstream = null;
  }

  #rejectUpstream(): void {
    this.#upstream?.reject();
    this.#upstream = null;
  }

  // What the relay tells of the answer.

  /** Whether the connection may serve another request after this one. */
  mayStay(): boolean {
    return this.#keepAlive && this.#body.done && !this.#context.draining;
  }

  /** To a client that asked for a tunnel in HTTP/2, a status of success says that it has one (RFC 9110 9.3.6). */
  mayPass(status: number): boolean {
    return !this.#wantsUpgrade || this.#downstream.framed || status >= 300;
  }

  addedLines(): string {
    const rule = this.#rule;
    const { pick, cookie: askedBy } = this.#search;
    if (rule === null || pick === null) return '';
    const { cookie, hsts } = rule;
    let lines = hsts === null ? '' : `Strict-Transport-Security: ${hsts}\r\n`;
    if (cookie !== null) {
      if (askedBy === '' || askedBy !== cookieOf(pick.endpoint)) {
        this.#record.cookieState = askedBy === '' ? 'NI' : 'II';
        lines += cookieLine(cookie, pick.endpoint);
      }
    }
    return lines;
  }

  replacedFields(): number {
    return this.#rule?.hsts == null ? 0 : 1 << Field.strictTransportSecurity;
  }

  requestValues(name: string): string {
    return lineValues(this.#headText, name);
  }

  keepsBytes(): boolean {
    return !this.editsHead() && (this.#context.fieldSpellings === null || !this.#downstream.framed);
  }

  editsHead(): boolean {
    return this.#rule !== null && this.#rule.responseActions !== null;
  }

  editedHead(text: string): string {
    const actions = this.#rule?.responseActions;
    if (this.#rule === null || actions == null) return text;
    return editedHead(text, actions, clientDer(this.#rule, this.#forwarded.client));
  }

  onRelayed(): void {
    this.#awaitTurn();
  }

  onRelayFull(): void {
    this.#upstream?.pause();
  }

  onRelayReady(): void {
    this.#upstream?.resume();
  }

  onRelayOver(): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    const relay = this.#relay;
    if (this.#rule !== null) this.#search.answered(securityOf(this.#rule));
    const isReusable = relay.upstreamKeeps && this.#body.done && relay.framing !== 'until-close';
    if (upstream instanceof UpstreamConnection && isReusable) {
      if (this.#downstream.blocked) upstream.resume();
      this.#context.connector.release(upstream, relay.keepAliveMs);
    } else {
      upstream?.destroy();
    }
    this.#closes = relay.closes;
    this.#finish(relay.status, 'forwarded');
  }

  onSwitch(head: ResponseHead, rest: Buffer): void {
    if (!this.#wantsUpgrade || this.#upstream === null) {
      this.onBadResponse('unasked-switch');
      return;
    }
    this.#record.responded(head);
    const protocol = head.upgrade;
    head.dropFraming();
    const upgrade = protocol === '' ? '' : `Upgrade: ${protocol}\r\n`;
    head.dropFields(this.replacedFields());
    this.#tunnel(head.render(`Connection: Upgrade\r\n${upgrade}${this.addedLines()}`), rest);
  }

  #tunnel(asSent: string, rest: Buffer): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    const head = this.editedHead(asSent);
    this.#record.sentBytes += head.length;
    this.#record.count(101);
    this.#upstream = null;
    this.#state = 'none';
    const idleMs = this.#rule?.tunnelTimeoutMs ?? this.#context.settings.tunnelTimeoutMs;
    this.#downstream.startTunnel(head, upstream, rest, idleMs);
  }

  onBadResponse(detail: string): void {
    this.#rejectUpstream();
    this.#answer(502, 'bad-response', detail);
  }

  onTruncated(): void {
    this.#rejectUpstream();
    this.#downstream.destroy('upstream-truncated');
  }

  // Answers of our own, and the end.

  /** `lines`: what the head says besides. */
  #answer(status: number, reason: AnswerReason, detail: string | null, lines = ''): void {
    const page = this.#isGrpc ? null : pageFor(this.#context.table().pages, status, reason);
    const sent = page === null ? status : statusOf(page, status);
    this.#record.answered(sent, reason, detail);
    this.#closes = !this.mayStay();
    const isHead = this.#record.method === 'HEAD';
    let text: string;
    if (this.#isGrpc) text = renderGrpcAnswer(status, reason);
    else if (page === null) text = renderAnswer(status, reason, isHead, this.#closes, lines);
    else text = renderPage(page, status, reason, isHead, this.#closes, lines);
    this.#record.sentBytes += text.length;
    this.#downstream.sendAnswer(text);
    this.#finish(sent, reason);
  }

  /** Refuses a request in the middle of its body. */
  #refuse(problem: Refusal): void {
    this.#dropUpstream();
    if (this.#relay.started) {
      this.#downstream.destroy('request-refused');
      return;
    }
    this.#keepAlive = false;
    this.#answer(problem.status, problem.reason, null);
  }

  /** The client takes no more for now. */
  clientFull(): void {
    if (this.#state === 'exchanging') this.#upstream?.pause();
  }

  /** The client has taken some of what waits. */
  clientMoved(): void {
    if (this.#state === 'exchanging') this.#awaitTurn();
  }

  /** The client has taken everything. */
  clientDrained(): void {
    if (this.#state !== 'exchanging') return;
    this.#relay.drained();
    if (!this.#relay.full) this.#upstream?.resume();
    this.#awaitTurn();
  }

  /** The deadline that was set last has passed. */
  timedOut(): void {
    if (this.#search.waited() || this.#state !== 'exchanging') return;
    const clientsTurn = this.#clientsTurn();
    if (!clientsTurn && this.#upstream instanceof UpstreamStream) this.#upstream.distrust();
    if (this.#relay.started) {
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

  /** The exchange is being cut: lets go of the upstream and tells of what was under way. */
  abort(reason: EndReason): void {
    this.#dropUpstream();
    if (this.#state === 'none') return;
    this.#state = 'none';
    this.#forget();
    this.#record.end(this.#relay.status, reason);
  }

  #finish(status: number, end: 'forwarded' | AnswerReason): void {
    this.#state = 'none';
    this.#record.end(status, end);
    this.#forget();
    this.#downstream.exchangeOver(this.#closes ? this.#closeReason(status, end) : null);
  }

  #forget(): void {
    this.#search.stop();
    this.#body.forget();
    this.#relay.forget();
  }

  #closeReason(status: number, end: 'forwarded' | AnswerReason): EndReason {
    if (end === 'other-client-policy') return end;
    if (end !== 'forwarded' && faultsRequest(status)) return 'request-refused';
    return this.#context.draining ? 'draining' : 'answered-and-closed';
  }
}

/** Whether a status of the router's own says that the request is at fault: of the 5xx, what is not implemented here. */
function faultsRequest(status: number): boolean {
  return (status >= 400 && status < 500) || status === 501 || status === 505;
}

/** Of all protocols that HTTP/1.1 can switch to, the one that HTTP/2 has a tunnel for here. */
function wantsWebSocket(head: string): boolean {
  return lineValue(head, 'upgrade').toLowerCase() === 'websocket';
}

/** The HTTP/1.1 answer that an accepted extended CONNECT stands for (RFC 8441 5, RFC 6455 4.2.2). */
function switched(lines: string, requestHead: string): string {
  const key = lineValue(requestHead, 'sec-websocket-key');
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  return (
    `HTTP/1.1 101 Switching Protocols\r\n${lines}Connection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
  );
}
