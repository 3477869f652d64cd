// A worker process: a replica of the table, two listeners, their Sessions. It starts listening when its first snapshot is
// in force, and ends when told to drain or when the supervisor is gone.

import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import type { Config } from '../config/schema.ts';
import type { HeadLimits } from '../protocol/field-lines.ts';
import { spellingsOf } from '../protocol/field-spelling.ts';
import { notify, notifyInTurn, onOrders, startHeartbeat, type WorkerStart } from '../replication/control.ts';
import { Subscriber } from '../replication/subscriber.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { observeProcess } from '../telemetry/process-metrics.ts';
import { AccessLog } from './access-log/access-log.ts';
import { AnswerBook } from './answers.ts';
import { Compression } from './compression.ts';
import { type ProxyContext, ProxyCounters } from './context.ts';
import { Deadlines } from './deadlines.ts';
import type { EndReason } from './end-reason.ts';
import { EndpointHealth } from './health/endpoint-health.ts';
import { HealthChecks } from './health/health-checks.ts';
import { ClientLimits } from './listener/client-limits.ts';
import { connectionLimit, descriptorLimit } from './listener/limits.ts';
import { Listener } from './listener/listener.ts';
import { RouteLimits } from './listener/route-limits.ts';
import { TrustedSources } from './listener/trusted-sources.ts';
import { createHeadReaders } from './session/http-connection.ts';
import { Session } from './session/session.ts';
import { StrictSni } from './session/strict-sni.ts';
import { TlsTerminator } from './session/tls.ts';
import { uniqueIdsOf } from './session/unique-ids.ts';
import { Tallies, tallyScope } from './tallies/tallies.ts';
import { Balancer } from './upstream/balancer.ts';
import { Connector } from './upstream/connector.ts';
import { PodPlaces } from './upstream/pod-places.ts';
import { UpstreamPool } from './upstream/pool.ts';

/** How often a draining worker looks for connections that have become idle. */
const drainLookMs = 100;
/** An idle connection that has been quiet for so long is not about to send a request, as far as one can know. */
const quietMs = 2_000;

/** Runs this process as a worker until the supervisor ends it. */
export function runWorker(): void {
  let worker: Worker | null = null;
  // A terminal's Ctrl-C reaches every process of the group; the supervisor alone decides what it means.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  onOrders<Config>(
    (order) => {
      switch (order.kind) {
        case 'start':
          if ('worker' in order) worker = new Worker(order);
          break;
        case 'drain':
          if (worker === null) process.exit(0);
          void worker.drain(order.timeoutMs);
          break;
        case 'ticket-keys':
          worker?.rotateTicketKeys(order.ticketKeys);
          break;
        case 'report':
          if (worker === null) notify({ kind: 'report', request: order.request, series: [] });
          else void worker.report(order.request);
          break;
        case 'forget':
          worker?.forget(order.keys);
          break;
      }
    },
    () => {
      if (worker === null) process.exit(0);
      void worker.drain(worker.settings.shutdownTimeoutMs);
    },
  );
  flushCompileCache();
  notify({ kind: 'loaded' });
}

class Worker {
  readonly settings: Config;
  readonly metrics: Metrics = new Metrics();
  readonly #log: Log;
  readonly #context: ProxyContext;
  readonly #subscriber: Subscriber;
  readonly #checks: HealthChecks;
  readonly #terminator: TlsTerminator;
  readonly #listeners: readonly Listener[];
  readonly #start: WorkerStart<Config>;

  constructor(start: WorkerStart<Config>) {
    const { config, worker } = start;
    this.#start = start;
    this.settings = config;
    this.#log = createLog(config.logLevel, { process: `worker-${worker}` }, () => {
      this.metrics.series('headgate_log_lines_dropped_total', 'process').value++;
    });
    observeProcess(this.metrics, `worker-${worker}`);
    startHeartbeat(() => this.metrics.snapshot());

    this.#subscriber = new Subscriber(start.channelPath, worker, this.#log, this.metrics, (first) =>
      this.#tableChanged(first),
    );
    const table = () => this.#subscriber.table;
    const deadlines = new Deadlines();
    const pool = new UpstreamPool(config.maxIdleUpstream, deadlines);
    const limits: HeadLimits = {
      maxHeadBytes: config.maxHeadBytes,
      maxHeaderLines: config.maxHeaderLines,
      clientHeaders: config.clientHeaderFilter ? 'dropped' : 'kept',
    };
    const readers = createHeadReaders(limits);
    const health = new EndpointHealth();
    const { peers } = this.#subscriber;
    const balancer = new Balancer(worker, peers, health);
    const scope = tallyScope(config);
    const tallies = scope === null ? null : new Tallies(scope, this.metrics);
    const checks = new HealthChecks(worker, config, table, health, balancer, peers, this.#log, this.metrics, tallies);
    this.#checks = checks;
    const routeLimits = new RouteLimits(worker, start.workers, peers);
    const podPlaces = new PodPlaces(balancer, worker, start.workers, peers);
    health.onChange = () => podPlaces.followHealth();
    this.metrics.observe('headgate_rate_limit_sources', () => routeLimits.size);
    this.metrics.observe('headgate_pod_queue_waiting', () => podPlaces.waiting);
    this.#context = {
      settings: config,
      limits,
      clientLimits: new ClientLimits(config, start.workers, this.metrics),
      routeLimits,
      proxySources: config.proxyProtocol ? new TrustedSources(config.proxyProtocolTrusted) : null,
      strictSni: config.strictSni ? new StrictSni() : null,
      table,
      balancer,
      podPlaces,
      connector: new Connector(pool, config, deadlines, readers.fields, this.metrics, (connection, failure) =>
        checks.dialled(connection, failure),
      ),
      deadlines,
      answers: new AnswerBook(this.metrics, this.#log),
      compression: config.compression ? new Compression(config, this.metrics) : null,
      accessLog: AccessLog.of(config, this.metrics, this.#log, worker, (listener) => this.#openConnections(listener)),
      fieldSpellings: spellingsOf(config.headerSpellings),
      uniqueIds: uniqueIdsOf(config),
      counters: new ProxyCounters(this.metrics),
      tallies,
      metrics: this.metrics,
      log: this.#log,
      draining: false,
    };
    const ticketKeys = Buffer.from(start.ticketKeys, 'base64');
    const terminator = new TlsTerminator(table, config, ticketKeys, this.#log, this.metrics);
    this.#terminator = terminator;
    const limit = connectionLimit(
      config.maxConnections,
      start.workers,
      descriptorLimit(readFileSync('/proc/self/limits', 'utf8')),
    );
    this.metrics.observe('headgate_connections_limit', () => limit);
    const newSession = (
      listener: 'http' | 'https',
      socket: ConstructorParameters<typeof Session>[4],
      onEnd: (session: Session, reason: EndReason) => void,
    ): Session => new Session(this.#context, readers, terminator, listener, socket, onEnd);
    const mayAccept = (): boolean => this.#sessionCount() < limit;
    this.#listeners = [
      new Listener('http', newSession, mayAccept, this.metrics),
      new Listener('https', newSession, mayAccept, this.metrics),
    ];
  }

  /** Takes no more connections, lets the open ones end, and ends the process at the latest after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#context.draining) return;
    this.#context.draining = true;
    const deadline = performance.now() + timeoutMs;
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    for (const session of this.#sessions()) session.drain();
    while (this.#sessionCount() > 0 && performance.now() < deadline) {
      for (const session of this.#sessions()) if (session.idleForMs() >= quietMs) session.closeIdle();
      await new Promise((resolve) => setTimeout(resolve, drainLookMs));
    }
    for (const session of [...this.#sessions()]) session.destroy('draining');
    this.#checks.close();
    this.#subscriber.close();
    this.#context.connector.close();
    await this.#context.accessLog?.close();
    notify({ kind: 'heartbeat', series: this.metrics.snapshot() });
    if (process.connected) process.disconnect?.();
    process.exit(0);
  }

  /** Tells what has been counted: what there is a lot of in parts, between which connections are served. */
  async report(request: number): Promise<void> {
    for (const rows of this.#context.tallies?.changedRows() ?? []) await notifyInTurn({ kind: 'rows', request, rows });
    notify({ kind: 'report', request, series: this.metrics.snapshot() });
  }

  /** What these counted is of no interest any more. */
  forget(keys: readonly string[]): void {
    this.#context.tallies?.forget(keys);
  }

  /** `ticketKeys`: base64. */
  rotateTicketKeys(ticketKeys: string): void {
    this.#terminator.rotateTicketKeys(Buffer.from(ticketKeys, 'base64'));
  }

  #tableChanged(first: boolean): void {
    this.#terminator.followTable();
    this.#checks.followTable();
    this.#context.podPlaces.followTable(this.#subscriber.table);
    if (first) void this.#listen();
  }

  async #listen(): Promise<void> {
    const fds = [this.#start.httpFd, this.#start.httpsFd];
    try {
      await Promise.all(this.#listeners.map((listener, i) => listener.listen(fds[i] ?? -1)));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      notify({ kind: 'failed', reason });
      process.exit(1);
    }
    notify({ kind: 'serving' });
  }

  #sessionCount(): number {
    return this.#openConnections(null);
  }

  #openConnections(name: 'http' | 'https' | null): number {
    let count = 0;
    for (const listener of this.#listeners)
      if (name === null || listener.name === name) count += listener.sessions.size;
    return count;
  }

  *#sessions(): Generator<Session> {
    for (const listener of this.#listeners) yield* listener.sessions;
  }
}
