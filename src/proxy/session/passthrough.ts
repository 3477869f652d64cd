// A TLS connection that the router does not open: by its SNI to a pod, bytes untouched, the peeked ones first.

import type { Socket } from 'node:net';
import { isListed } from '../../table/address-list.ts';
import type { PathRule } from '../../table/entries.ts';
import type { AccessLog } from '../access-log/access-log.ts';
import type { ConnectionFacts } from '../access-log/connection-facts.ts';
import { connectionLine } from '../access-log/connection-line.ts';
import { terminationState } from '../access-log/termination-state.ts';
import type { AnswerReason } from '../answers.ts';
import type { ProxyContext } from '../context.ts';
import type { DeadlineOwner, DeadlineSlot } from '../deadlines.ts';
import { DirectWriter } from '../direct-write.ts';
import type { EndReason } from '../end-reason.ts';
import type { RouteVisits } from '../listener/route-limits.ts';
import { takeFrom } from '../shared-read.ts';
import { Splice } from '../splice.ts';
import { ExchangeTallies } from '../tallies/exchange-tallies.ts';
import type { Tally } from '../tallies/tally.ts';
import type { Pick } from '../upstream/balancer.ts';
import type { Load } from '../upstream/loads.ts';
import type { Place, PlaceSeeker, PlaceWish, RoutePlaces } from '../upstream/route-places.ts';
import type { ConnectFailure, UpstreamUser } from '../upstream/upstream.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import { pauseAfter, withoutIdled } from '../upstream/waking.ts';
import type { AnnouncedConnection } from './connection-ends.ts';

/** Further tries before the client is let down. */
const maxRetries = 3;

export class Passthrough implements UpstreamUser, PlaceSeeker, DeadlineOwner {
  /** The router reads none. */
  readonly cookie = '';
  readonly #context: ProxyContext;
  readonly #socket: Socket;
  readonly #rule: PathRule;
  readonly #client: string;
  readonly #facts: ConnectionFacts | null;
  readonly #tallies: ExchangeTallies | null;
  readonly #announced: AnnouncedConnection;
  readonly #serverName: string;
  readonly #hello: Buffer;
  readonly #onEnd: (reason: EndReason) => void;
  readonly #startedMs: number = performance.now();
  #connectedMs = 0;
  #tried: string[] = [];
  #retries = 0;
  #pick: Pick | null = null;
  #load: Load | null = null;
  #place: Place | null = null;
  /** Where it waits for a pod that has as many connections as its Route lets it have, and for how long. */
  #queue: RoutePlaces | null = null;
  #waitsSinceMs = 0;
  #queuedMs = 0;
  /** It lets the pods of an idled Service come before it tries again. */
  #pausing = false;
  #slot: DeadlineSlot | null = null;
  #upstream: UpstreamConnection | null = null;
  #splice: Splice | null = null;
  #failure: ConnectFailure | null = null;
  #clientEnded = false;
  #over = false;

  /**
   * Takes over a paused socket from which `hello` has been read. `onEnd` is called exactly once.
   */
  constructor(
    context: ProxyContext,
    socket: Socket,
    rule: PathRule,
    client: string,
    facts: ConnectionFacts | null,
    frontend: Tally | null,
    visits: RouteVisits,
    announced: AnnouncedConnection,
    serverName: string,
    hello: Buffer,
    onEnd: (reason: EndReason) => void,
  ) {
    this.#context = context;
    this.#socket = socket;
    this.#rule = rule;
    this.#client = client;
    this.#facts = facts;
    this.#tallies = context.tallies === null ? null : new ExchangeTallies(context.tallies, frontend);
    this.#tallies?.begin(rule, this.#startedMs);
    this.#announced = announced;
    this.#serverName = serverName;
    this.#hello = hello;
    this.#onEnd = onEnd;
    takeFrom(
      socket,
      (chunk) => this.#splice?.onClientData(chunk) === true,
      (view) => this.#splice?.onClientGlance(view) === true,
    );
    socket.on('drain', () => this.#splice?.onClientDrain());
    socket.on('end', () => {
      this.#clientEnded = true;
      this.#splice?.onClientEnd();
    });
    socket.on('error', () => {
      // 'close' follows and ends the Session.
    });
    socket.on('close', () => {
      if (this.#splice === null) this.#end('client-aborted');
      else this.#splice.onClientClose();
    });
    // Bound the peeked bytes: nothing more is read until there is somebody to read it for.
    socket.pause();
    if (rule.allowedSources !== null && !isListed(rule.allowedSources, client)) this.#end('source-not-allowed');
    else if (rule.rateLimit !== null && !visits.mayConnect(rule.route, rule.rateLimit, client))
      this.#end('rate-limited');
    else this.#dial();
  }

  /** Ends at once. */
  destroy(reason: EndReason): void {
    if (this.#splice === null) this.#end(reason);
    else this.#splice.destroy(reason);
  }

  #dial(): void {
    this.#leave();
    const rule = this.#rule;
    const { balancer, podPlaces } = this.#context;
    if (rule.podConnections === null) {
      this.#goTo(balancer.pick(rule, this.#context.table(), this.#tried, this), null);
      return;
    }
    const places = podPlaces.of(rule, rule.podConnections);
    const pick = podPlaces.pick(places, rule, this.#context.table(), this.#tried, this);
    if (pick === null || 'endpoint' in pick) {
      this.#goTo(pick, places);
    } else if (places.wait(this, pick)) {
      this.#queue = places;
      this.#waitsSinceMs = performance.now();
      this.#tallies?.waits();
      this.#setDeadline(this.#context.settings.connectTimeoutMs);
    } else {
      this.#end('pods-busy');
    }
  }

  /** Address of the client. */
  get source(): string {
    return this.#client;
  }

  get hostName(): string {
    return this.#serverName;
  }

  takePlace(): PlaceWish | null {
    const places = this.#queue;
    if (places === null) return null;
    const pick = this.#context.podPlaces.pick(places, this.#rule, this.#context.table(), this.#tried, this);
    if (pick !== null && 'pod' in pick) return pick;
    this.#stopWaiting();
    this.#goTo(pick, places);
    return null;
  }

  routeGone(): void {
    this.#end('no-endpoint');
  }

  onDeadline(): void {
    if (!this.#pausing) {
      this.#end('pods-busy');
      return;
    }
    this.#stopWaiting();
    this.#dial();
  }

  #setDeadline(ms: number): void {
    const { deadlines } = this.#context;
    this.#slot ??= deadlines.claim(this);
    deadlines.set(this.#slot, ms);
  }

  #stopWaiting(): void {
    this.#tallies?.waitsNoMore();
    if (this.#queue !== null) this.#queuedMs += performance.now() - this.#waitsSinceMs;
    this.#queue?.stopWaiting(this);
    this.#queue = null;
    this.#pausing = false;
    if (this.#slot !== null) this.#context.deadlines.release(this.#slot);
    this.#slot = null;
  }

  #goTo(pick: Pick | null, places: RoutePlaces | null): void {
    const failure = this.#failure;
    if (pick === null) {
      if (failure === null) this.#end(this.#context.balancer.absence(this.#rule, this.#context.table()));
      else if (!this.#awaitPods(failure)) this.#end('connect-failed');
      return;
    }
    const before = this.#pick === null ? null : this.#pick.endpoint;
    if (failure !== null) {
      this.#retries++;
      this.#tallies?.retried();
      this.#context.metrics.series('headgate_upstream_retries_total', failure).value++;
    }
    this.#tallies?.goesTo(pick.endpoint, before, this.#context.deadlines.nowMs);
    this.#pick = pick;
    this.#load = this.#context.balancer.loadOf(pick.endpoint);
    this.#load.active++;
    if (places !== null) this.#place = places.take(pick.endpoint);
    this.#upstream = this.#context.connector.dialRaw(pick, this);
  }

  onUpstreamConnected(): void {
    const upstream = this.#upstream;
    const socket = this.#socket;
    if (upstream === null) return;
    this.#context.connector.countDial(null);
    this.#connectedMs = performance.now();
    this.#tallies?.reached(this.#queuedMs, this.#connectedMs - this.#startedMs - this.#queuedMs, 0);
    const idleMs = this.#rule.tunnelTimeoutMs ?? this.#context.settings.tunnelTimeoutMs;
    const splice = new Splice(
      this.#context,
      socket,
      new DirectWriter(socket),
      upstream,
      this.#tallies,
      idleMs,
      (reason) => this.#end(reason),
    );
    this.#splice = splice;
    const { proxyProtocol } = this.#rule;
    if (proxyProtocol !== 'none') {
      // In one segment with the hello: a receiver may take a header that comes in pieces for a broken one.
      upstream.socket.cork();
      upstream.socket.write(this.#announced.announce(proxyProtocol));
    }
    splice.onClientData(this.#hello);
    upstream.socket.uncork();
    if (this.#clientEnded) splice.onClientEnd();
  }

  onUpstreamConnectFailed(failure: ConnectFailure): void {
    this.#context.connector.countDial(failure);
    this.#failure = failure;
    this.#upstream = null;
    this.#tallies?.connectFailed();
    if (this.#pick !== null) this.#tried.push(this.#pick.endpoint.authority);
    if (this.#retries === maxRetries) this.#end('connect-failed');
    else this.#dial();
  }

  /** Whether there is an idled Service whose pods may be coming: its address is tried again after a while. */
  #awaitPods(failure: ConnectFailure): boolean {
    const tried = withoutIdled(this.#tried, this.#rule, this.#context.table());
    if (tried.length === this.#tried.length) return false;
    this.#tried = tried;
    this.#leave();
    this.#pausing = true;
    this.#setDeadline(pauseAfter(failure, this.#context.settings.connectTimeoutMs));
    return true;
  }

  #leave(): void {
    this.#tallies?.leave();
    if (this.#load !== null) this.#load.active--;
    this.#load = null;
    this.#place?.release();
    this.#place = null;
  }

  onUpstreamRefused(): void {}

  onUpstreamMoved(): void {}

  onUpstreamData(): boolean {
    return false;
  }

  onUpstreamHead(): void {}

  onUpstreamContent(): void {}

  onUpstreamTrailers(): void {}

  onUpstreamGlance(): boolean {
    return false;
  }

  onUpstreamDrain(): void {}

  onUpstreamEnd(): void {}

  onUpstreamClose(): void {
    this.#end('connect-failed');
  }

  #end(reason: EndReason): void {
    if (this.#over) return;
    this.#over = true;
    this.#tallies?.ended(reason, this.#startedMs);
    this.#tallies?.over();
    this.#stopWaiting();
    this.#leave();
    this.#upstream?.destroy();
    this.#socket.destroy();
    const { metrics, answers, accessLog } = this.#context;
    metrics.series('headgate_passthrough_connections_total', reason).value++;
    const endpoint = this.#pick?.endpoint.authority ?? null;
    if (isAnswer(reason)) {
      // The client sees its handshake cut: only the log can say why.
      answers.record(0, reason, {
        route: this.#rule.route,
        host: this.#serverName,
        path: '',
        client: this.#client,
        endpoint,
        detail: 'passthrough',
      });
    }
    if (accessLog !== null && this.#facts !== null && accessLog.sampled())
      this.#writeLine(accessLog, this.#facts, reason);
    this.#onEnd(reason);
  }

  #writeLine(accessLog: AccessLog, facts: ConnectionFacts, reason: EndReason): void {
    const splice = this.#splice;
    accessLog.write({
      ...connectionLine(facts, this.#client, reason, accessLog.serial),
      host: this.#serverName,
      route: this.#rule.route,
      termination: this.#rule.termination,
      pick: this.#pick,
      queueMs: this.#pick === null && this.#queuedMs === 0 ? null : this.#queuedMs,
      connectMs: splice === null ? null : this.#connectedMs - this.#startedMs - this.#queuedMs,
      receivedBytes: splice === null ? 0 : splice.received,
      sentBytes: splice === null ? 0 : splice.sent,
      retries: this.#retries,
      terminationState: terminationState(reason, splice === null ? 'connect' : 'data', this.#failure),
    });
  }
}

/** Whether the router let the client down: what would have been an answer, had the connection been for the router to read. */
function isAnswer(reason: EndReason): reason is EndReason & AnswerReason {
  switch (reason) {
    case 'no-endpoint':
    case 'endpoints-down':
    case 'connect-failed':
    case 'source-not-allowed':
    case 'rate-limited':
    case 'pods-busy':
      return true;
    default:
      return false;
  }
}
