// What is told of one exchange when it is over: metrics, the access line, and for answers of our own the log.

// The global one is a getter, for which each look at the clock takes 7 ns more than 43.
import { performance } from 'node:perf_hooks';
import type { RequestHead } from '../../protocol/request-head.ts';
import type { ResponseHead } from '../../protocol/response-head.ts';
import type { PathRule, RouteKey, Scheme, Termination } from '../../table/entries.ts';
import type { Captured } from '../access-log/captures.ts';
import type { ConnectionFacts } from '../access-log/connection-facts.ts';
import { type End, type Stage, terminationState } from '../access-log/termination-state.ts';
import type { AnswerReason } from '../answers.ts';
import type { ProxyContext } from '../context.ts';
import type { EndReason } from '../end-reason.ts';
import { ExchangeTallies } from '../tallies/exchange-tallies.ts';
import type { Tally } from '../tallies/tally.ts';
import { PodSearch } from '../upstream/pod-search.ts';

export class ExchangeRecord {
  method = '';
  target = '';
  hostName = '';
  route: RouteKey | null = null;
  termination: Termination | null = null;
  receivedBytes = 0;
  sentBytes = 0;
  /** What the request is called, where it has a name. */
  uniqueId = '';
  /** What became of a sticky cookie, in HAProxy's two letters. */
  cookieState = '--';
  /** Null where nothing is counted by Route. */
  readonly tallies: ExchangeTallies | null;
  /** For the Endpoint that it goes to. */
  readonly search: PodSearch;
  readonly #context: ProxyContext;
  readonly #scheme: Scheme;
  readonly #client: string;
  /** Null where no access log is written. */
  readonly #connection: ConnectionFacts | null;
  readonly #protocol: 'HTTP/1' | 'HTTP/2';
  #minorVersion = 1;
  #headBytes = 0;
  #detail: string | null = null;
  #isFirst = false;
  #idleSinceMs = 0;
  /** When the head began that is not whole yet; 0 where it came at once. */
  #headBeganMs = 0;
  #beganMs = 0;
  #startedMs = 0;
  #sentMs = 0;
  #firstByteMs = 0;
  #hasResponse = false;
  #request: Captured | null = null;
  #response: Captured | null = null;

  constructor(
    context: ProxyContext,
    scheme: Scheme,
    client: string,
    connection: ConnectionFacts | null,
    protocol: 'HTTP/1' | 'HTTP/2',
    frontend: Tally | null,
  ) {
    this.#context = context;
    this.#scheme = scheme;
    this.#client = client;
    this.#connection = connection;
    this.#protocol = protocol;
    this.tallies = context.tallies === null ? null : new ExchangeTallies(context.tallies, frontend);
    this.search = new PodSearch(context, client, this.tallies);
  }

  /** Of the Endpoint that was asked last: its address and port. */
  get endpoint(): string | null {
    const { pick } = this.search;
    return pick === null ? null : pick.endpoint.authority;
  }

  /** The head of the next exchange has begun to come. */
  headBegan(): void {
    if (this.#connection !== null) this.#headBeganMs = performance.now();
  }

  /** A new exchange; empty texts where not even its head could be read. */
  begin(method: string, target: string, hostName: string): void {
    this.method = method;
    this.target = target;
    this.hostName = hostName;
    this.route = null;
    this.termination = null;
    this.search.reset();
    this.receivedBytes = 0;
    this.sentBytes = 0;
    this.#startedMs = performance.now();
    this.#headBytes = 0;
    this.#sentMs = 0;
    this.#firstByteMs = 0;
    this.#hasResponse = false;
    if (this.#connection !== null) this.#beginLine(this.#connection);
  }

  /** The request is for this Route. */
  belongsTo(rule: PathRule): void {
    this.route = rule.route;
    this.termination = rule.termination;
    this.tallies?.begin(rule, this.#startedMs);
  }

  /** A new exchange whose head has just been read. */
  beginRead(head: RequestHead): void {
    this.begin(head.method, head.target, head.hostName);
    this.#headBytes = head.bytes;
    if (this.#connection === null) return;
    this.#minorVersion = head.minorVersion;
    const captures = this.#context.accessLog?.captures ?? null;
    if (captures === null) return;
    this.#request = captures.ofRequest(head);
    this.#response = captures.noResponse;
  }

  /** The client has gone without having asked for anything whole: there is nothing to count, but a line to write. */
  unasked(end: EndReason): void {
    const isNull = this.#headBeganMs === 0;
    this.begin('', '', '');
    // What was spent is the wait for it.
    if (isNull) this.#beganMs = this.#idleSinceMs;
    this.writeLine(0, end);
  }

  /** It goes to a pod, on a connection that stands: a new one, or one that others have used. */
  sent(over: 'new' | 'reused'): void {
    if (this.#connection === null && this.tallies === null) return;
    const isAtOnce = over === 'reused' && this.#connection === null && this.search.queuedMs === 0;
    // Reading the clock takes 47 ns: without a log, what nobody waited for took no time.
    this.#sentMs = isAtOnce ? this.#startedMs : performance.now();
    if (over === 'reused') this.tallies?.reused();
  }

  firstByte(): void {
    if (this.#firstByteMs > 0 || (this.#connection === null && this.tallies === null)) return;
    this.#firstByteMs = performance.now();
  }

  /** All of the answer came at once: its first byte with its last. */
  cameWhole(): void {
    if (this.#connection !== null) this.firstByte();
  }

  /** The head of the pod's final response, before anything is changed. */
  responded(head: ResponseHead): void {
    this.#hasResponse = true;
    if (this.#connection === null) return;
    const captures = this.#context.accessLog?.captures ?? null;
    if (captures !== null) this.#response = captures.ofResponse(head);
  }

  /** Tells of an answer of the router's own. */
  answered(status: number, reason: AnswerReason, detail: string | null): void {
    this.#detail = detail;
    const query = this.target.indexOf('?');
    this.#context.answers.record(status, reason, {
      route: this.route,
      host: this.hostName,
      // A query may carry secrets, and is of no use for finding the Route.
      path: query < 0 ? this.target : this.target.slice(0, query),
      client: this.#client,
      endpoint: this.endpoint,
      detail,
    });
  }

  /** The exchange is over; status 0 where none was sent. */
  end(status: number, end: End): void {
    // The health path is asked all the time, by the router itself too: as with HAProxy's monitor-uri it is nobody's request.
    if (end === 'health') return;
    this.tallies?.ended(end, this.#startedMs);
    this.count(status);
    this.writeLine(status, end);
  }

  count(status: number): void {
    const counters = this.#context.counters;
    const nowMs = performance.now();
    const durationMs = nowMs - this.#startedMs;
    if (this.#firstByteMs === 0 && this.#hasResponse) this.#firstByteMs = nowMs;
    counters.request(this.#scheme, status, durationMs);
    counters.received.value += this.receivedBytes;
    counters.sent.value += this.sentBytes;
    if (this.tallies !== null) this.#tally(this.tallies, status, durationMs);
  }

  writeLine(status: number, end: End): void {
    this.search.leave();
    this.tallies?.over();
    if (this.#connection !== null) this.#writeLine(this.#connection, status, end);
  }

  #tally(tallies: ExchangeTallies, status: number, durationMs: number): void {
    const receivedBytes = this.#headBytes + this.receivedBytes;
    tallies.moved(receivedBytes, this.sentBytes);
    // Of the tunnels that pods grant in HTTP/2 there is no response.
    const isThePods = this.#hasResponse || status === 101;
    if (status > 0) tallies.answered(status, isThePods ? 'pod' : 'router', durationMs);
    if (this.#sentMs === 0) return;
    const responseMs = this.#firstByteMs === 0 ? 0 : Math.max(0, this.#firstByteMs - this.#sentMs);
    tallies.reached(this.search.queuedMs, this.#connectMs, responseMs);
  }

  get #connectMs(): number {
    return Math.max(0, this.#sentMs - this.#startedMs - this.search.queuedMs);
  }

  #beginLine(connection: ConnectionFacts): void {
    this.#isFirst = connection.requests++ === 0;
    this.#beganMs = this.#headBeganMs === 0 ? this.#startedMs : this.#headBeganMs;
    // Streams do not wait for one another.
    this.#idleSinceMs = this.#protocol === 'HTTP/1' ? connection.idleSinceMs : this.#beganMs;
    this.#headBeganMs = 0;
    this.#minorVersion = 1;
    this.#detail = null;
    this.#request = null;
    this.#response = null;
    this.uniqueId = '';
    this.cookieState = '--';
  }

  #writeLine(connection: ConnectionFacts, status: number, end: End): void {
    const nowMs = performance.now();
    connection.idleSinceMs = nowMs;
    const { accessLog } = this.#context;
    if (accessLog === null || !accessLog.sampled()) return;
    const isSent = this.#sentMs > 0;
    const { pick, queuedMs, retries } = this.search;
    accessLog.write({
      connection,
      client: this.#client,
      scheme: this.#scheme,
      method: this.method,
      target: this.target,
      host: this.hostName,
      httpVersion: this.#protocol === 'HTTP/2' ? '2.0' : this.#minorVersion === 1 ? '1.1' : '1.0',
      status,
      route: this.route,
      termination: this.termination,
      pick,
      beganAtMs: connection.acceptedAtMs + this.#beganMs - connection.acceptedMs,
      handshakeMs: this.#isFirst ? connection.handshakeMs : 0,
      idleMs: Math.max(0, this.#beganMs - this.#idleSinceMs),
      headMs: this.target === '' ? null : this.#startedMs - this.#beganMs,
      queueMs: pick === null && queuedMs === 0 ? null : queuedMs,
      connectMs: isSent ? this.#connectMs : null,
      firstByteMs: isSent && this.#firstByteMs > 0 ? Math.max(0, this.#firstByteMs - this.#sentMs) : null,
      totalMs: nowMs - this.#beganMs,
      receivedBytes: this.#headBytes + this.receivedBytes,
      sentBytes: this.sentBytes,
      retries,
      endpointRequests: pick === null ? 0 : this.#context.balancer.loadOf(pick.endpoint).active,
      uniqueId: this.uniqueId,
      serial: accessLog.serial,
      end,
      terminationState: terminationState(end, this.#stage(status), this.#detail),
      cookieState: this.cookieState,
      request: this.#request,
      response: this.#response,
    });
  }

  #stage(status: number): Stage {
    if (this.target === '') return 'request';
    // A tunnel has no final response, but a status that says that it stands.
    if (this.#hasResponse || (status > 0 && status < 300)) return 'data';
    if (this.#sentMs > 0) return 'headers';
    if (this.search.pick !== null) return 'connect';
    return this.search.queuedMs > 0 ? 'queue' : 'request';
  }
}
