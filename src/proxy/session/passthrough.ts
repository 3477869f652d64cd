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
import { type PodAbsence, PodSearch, type PodSearchUser } from '../upstream/pod-search.ts';
import type { ConnectFailure, UpstreamUser } from '../upstream/upstream.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import type { AnnouncedConnection } from './connection-ends.ts';

export class Passthrough implements UpstreamUser, PodSearchUser, DeadlineOwner {
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
  readonly #search: PodSearch;
  /** While the search waits. */
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
    this.#search = new PodSearch(context, client, this.#tallies);
    this.#search.begin(rule, serverName, this);
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
    else this.#search.seek();
  }

  /** Ends at once. */
  destroy(reason: EndReason): void {
    if (this.#splice === null) this.#end(reason);
    else this.#splice.destroy(reason);
  }

  onPod(pick: Pick): void {
    this.#releaseSlot();
    this.#upstream = this.#context.connector.dialRaw(pick, this);
  }

  onNoPod(reason: PodAbsence): void {
    this.#end(reason);
  }

  onRouteGone(): void {
    this.#end('no-endpoint');
  }

  onWait(ms: number): void {
    const { deadlines } = this.#context;
    this.#slot ??= deadlines.claim(this);
    deadlines.set(this.#slot, ms);
  }

  onDeadline(): void {
    this.#search.waited();
  }

  #releaseSlot(): void {
    if (this.#slot !== null) this.#context.deadlines.release(this.#slot);
    this.#slot = null;
  }

  onUpstreamConnected(): void {
    const upstream = this.#upstream;
    const socket = this.#socket;
    if (upstream === null) return;
    this.#context.connector.countDial(null);
    this.#connectedMs = performance.now();
    this.#tallies?.reached(this.#search.queuedMs, this.#connectMs, 0);
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
    this.#search.failed(failure);
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
    this.#search.stop();
    this.#search.leave();
    this.#releaseSlot();
    this.#upstream?.destroy();
    this.#socket.destroy();
    const { metrics, answers, accessLog } = this.#context;
    metrics.series('headgate_passthrough_connections_total', reason).value++;
    const endpoint = this.#search.pick?.endpoint.authority ?? null;
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

  get #connectMs(): number {
    return this.#connectedMs - this.#startedMs - this.#search.queuedMs;
  }

  #writeLine(accessLog: AccessLog, facts: ConnectionFacts, reason: EndReason): void {
    const splice = this.#splice;
    const { pick, queuedMs, retries } = this.#search;
    accessLog.write({
      ...connectionLine(facts, this.#client, reason, accessLog.serial),
      host: this.#serverName,
      route: this.#rule.route,
      termination: this.#rule.termination,
      pick,
      queueMs: pick === null && queuedMs === 0 ? null : queuedMs,
      connectMs: splice === null ? null : this.#connectMs,
      receivedBytes: splice === null ? 0 : splice.received,
      sentBytes: splice === null ? 0 : splice.sent,
      retries,
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
