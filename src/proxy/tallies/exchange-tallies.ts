// Adds what one exchange, or passthrough connection, comes to, to the tallies that it concerns: of its frontend, its Route and
// the Endpoint that it went to. Used again for the next exchange.

import type { Endpoint, PathRule } from '../../table/entries.ts';
import { Column } from '../../telemetry/tally-row.ts';
import type { End } from '../access-log/termination-state.ts';
import type { Tallies } from './tallies.ts';
import type { Countable, RouteTally, Tally } from './tally.ts';

export class ExchangeTallies {
  readonly #tallies: Tallies;
  readonly #frontend: Tally | null;
  #route: RouteTally | null = null;
  /** The Endpoint that was asked last, and whether it still is. */
  #endpoint: Tally | null = null;
  #isAsked = false;
  #isWaiting = false;

  /** `frontend`: null where those are not counted. */
  constructor(tallies: Tallies, frontend: Tally | null) {
    this.#tallies = tallies;
    this.#frontend = frontend;
  }

  /** It is for this Route. */
  begin(rule: PathRule, nowMs: number): void {
    this.#endpoint = null;
    this.#route = this.#tallies.route(rule.route);
    this.#route.begin(nowMs);
    if (rule.termination === 'passthrough') this.#route.count(Column.passthroughs);
  }

  /** After it has left the last one. `before`: the Endpoint that was asked before, if any. */
  goesTo(endpoint: Endpoint, before: Endpoint | null, nowMs: number): void {
    const route = this.#route;
    if (route === null) return;
    if (before !== null && before.id !== endpoint.id) this.#count(Column.redispatches);
    this.#endpoint = this.#tallies.endpoint(route, endpoint);
    if (this.#endpoint === null) return;
    this.#isAsked = true;
    this.#endpoint.begin(nowMs);
  }

  /** It is with no Endpoint any more. */
  leave(): void {
    if (!this.#isAsked) return;
    this.#isAsked = false;
    this.#endpoint?.end();
  }

  retried(): void {
    this.#count(Column.retries);
  }

  connectFailed(): void {
    this.#count(Column.connectFailures);
  }

  reused(): void {
    this.#count(Column.reuses);
  }

  waits(): void {
    this.#isWaiting = true;
    this.#route?.waits();
  }

  waitsNoMore(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#route?.waitsNoMore();
  }

  /** It had a connection to a pod; times in ms. */
  reached(queueMs: number, connectMs: number, responseMs: number): void {
    this.#route?.reached(queueMs, connectMs, responseMs);
    this.#endpoint?.reached(queueMs, connectMs, responseMs);
  }

  moved(receivedBytes: number, sentBytes: number): void {
    this.#frontend?.moved(receivedBytes, sentBytes);
    this.#route?.moved(receivedBytes, sentBytes);
    this.#endpoint?.moved(receivedBytes, sentBytes);
  }

  /** It was answered, by the pod or by the router itself, after so many ms. */
  answered(status: number, by: 'pod' | 'router', ms: number): void {
    this.#frontend?.answered(status);
    if (this.#route !== null) {
      this.#route.answered(status);
      this.#route.took(ms);
    }
    if (by === 'pod') this.#endpoint?.answered(status);
  }

  /** Why it ended; what it came to is told behind it. */
  ended(end: End, nowMs: number): void {
    switch (end) {
      case 'forwarded':
        break;
      case 'no-route':
        // Unless its Route has gone while it waited.
        if (this.#route !== null) break;
        this.#route = this.#tallies.unrouted;
        this.#route?.begin(nowMs);
        break;
      case 'upstream-closed':
      case 'upstream-timeout':
      case 'upstream-truncated':
      case 'bad-response':
        this.#count(Column.responseFailures);
        break;
      case 'no-endpoint':
      case 'endpoints-down':
      case 'pods-busy':
        this.#route?.count(Column.unserved);
        break;
      case 'source-not-allowed':
      case 'rate-limited':
      case 'no-client-certificate':
      case 'client-certificate-filtered':
        this.#frontend?.count(Column.denied);
        break;
      default:
        // Without a Route it is the request itself that was not taken.
        if (this.#route === null) this.#frontend?.count(Column.refused);
    }
  }

  /** All of it is over, the tunnel that it became, too. */
  over(): void {
    this.leave();
    this.waitsNoMore();
    this.#route?.end();
    this.#route = null;
    this.#endpoint = null;
  }

  #count(what: Countable): void {
    this.#route?.count(what);
    this.#endpoint?.count(what);
  }
}
