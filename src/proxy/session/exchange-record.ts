// What is told of one exchange when it is over: metrics, the access line, and for answers of our own the log.

import type { Endpoint, RouteKey, Scheme } from '../../table/entries.ts';
import type { AnswerReason } from '../answers.ts';
import type { ProxyContext } from '../context.ts';
import type { EndReason } from '../end-reason.ts';
import type { Security } from '../health/endpoint-health.ts';
import type { Load } from '../upstream/balancer.ts';
import type { Place } from '../upstream/pod-places.ts';

export class ExchangeRecord {
  method = '';
  target = '';
  hostName = '';
  route: RouteKey | null = null;
  /** The Endpoint that was asked last. */
  endpoint: string | null = null;
  retries = 0;
  receivedBytes = 0;
  sentBytes = 0;
  readonly #context: ProxyContext;
  readonly #scheme: Scheme;
  readonly #client: string;
  #startedMs = 0;
  #connectedMs = 0;
  #firstByteMs = 0;
  /** Of the Endpoint that has the request or tunnel now. */
  #load: Load | null = null;
  /** With it, where the Route limits those. */
  #place: Place | null = null;

  constructor(context: ProxyContext, scheme: Scheme, client: string) {
    this.#context = context;
    this.#scheme = scheme;
    this.#client = client;
  }

  /** A new exchange; empty texts where not even its head could be read. */
  begin(method: string, target: string, hostName: string): void {
    this.method = method;
    this.target = target;
    this.hostName = hostName;
    this.route = null;
    this.endpoint = null;
    this.retries = 0;
    this.receivedBytes = 0;
    this.sentBytes = 0;
    this.#startedMs = performance.now();
    this.#connectedMs = 0;
    this.#firstByteMs = 0;
  }

  /** The request goes to this Endpoint, and to none that it went to before. */
  goesTo(endpoint: Endpoint): void {
    this.leave();
    this.endpoint = endpoint.authority;
    this.#load = this.#context.balancer.loadOf(endpoint);
    this.#load.active++;
  }

  /** The Endpoint has answered as a whole. */
  podAnswered(security: Security): void {
    if (this.#load !== null) this.#load.answeredMs[security] = this.#context.deadlines.nowMs;
  }

  /** Of a Route that limits them: the place with the Endpoint, given back when the request leaves it. */
  takes(place: Place): void {
    this.#place = place;
  }

  connected(): void {
    this.#connectedMs = performance.now();
  }

  firstByte(): void {
    if (this.#firstByteMs === 0 && this.#context.accessLog !== null) this.#firstByteMs = performance.now();
  }

  /** Tells of an answer of the router's own. */
  answered(status: number, reason: AnswerReason, detail: string | null): void {
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
  end(status: number, end: 'forwarded' | AnswerReason | EndReason): void {
    // The health path is asked all the time, by the router itself too: as with HAProxy's monitor-uri it is nobody's request.
    if (end === 'health') return;
    this.count(status);
    this.writeLine(status, end);
  }

  /** The request or tunnel is with no Endpoint any more. */
  leave(): void {
    if (this.#load === null) return;
    this.#load.active--;
    this.#load = null;
    const place = this.#place;
    if (place === null) return;
    this.#place = null;
    place.release();
  }

  count(status: number): void {
    const counters = this.#context.counters;
    counters.request(this.#scheme, status, performance.now() - this.#startedMs);
    counters.received.value += this.receivedBytes;
    counters.sent.value += this.sentBytes;
  }

  writeLine(status: number, end: 'forwarded' | AnswerReason | EndReason): void {
    this.leave();
    const accessLog = this.#context.accessLog;
    if (accessLog === null || !accessLog.sampled()) return;
    accessLog.write({
      client: this.#client,
      scheme: this.#scheme,
      method: this.method === '' ? null : this.method,
      host: this.hostName,
      target: this.target === '' ? null : this.target,
      status: status === 0 ? null : status,
      route: this.route,
      endpoint: this.endpoint,
      connectMs: this.#connectedMs === 0 ? null : this.#connectedMs - this.#startedMs,
      firstByteMs: this.#firstByteMs === 0 ? null : this.#firstByteMs - this.#startedMs,
      totalMs: performance.now() - this.#startedMs,
      receivedBytes: this.receivedBytes,
      sentBytes: this.sentBytes,
      retries: this.retries,
      end,
    });
  }
}
