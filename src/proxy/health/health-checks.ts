// Checks Endpoints and tells the other workers (Route semantics 5.16). Each worker checks its share; what it finds goes to all
// as a message beside the table. A worker that hears nothing takes everybody for up.

import type { JsonValue, Peers } from '../../replication/peers.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import { Column } from '../../telemetry/tally-row.ts';
import type { Tallies } from '../tallies/tallies.ts';
import type { Balancer } from '../upstream/balancer.ts';
import type { ConnectFailure } from '../upstream/upstream.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import { type Check, gatherChecks } from './check-list.ts';
import { type CheckKey, checkKey, type EndpointHealth } from './endpoint-health.ts';
import { probe } from './probe.ts';
import { Schedule } from './schedule.ts';
import type { Watch } from './watch-queue.ts';

/** What workers tell one another: who is down and who is up again by their checks, and to whom a request could not connect. */
type HealthNews = {
  readonly down: readonly CheckKey[];
  readonly up: readonly CheckKey[];
  readonly failed: readonly CheckKey[];
};

const topic = 'health';
/** The table is gone through at most so often, and for so long in one turn of the event loop: 20,000 Endpoints take 50 ms. */
const followMs = 1_000;
const turnMs = 1;
/** Failures of requests are told together. */
const newsMs = 100;
/** Keys in one message; failures beyond that are not told. */
const keysPerMessage = 500;
/** Who is down is told again after this time, and believed for three times as long. */
const repeatMs = 5_000;
/** Checks that traffic has made needless, passed over in one turn. */
const sparedPerTurn = 100;
/** Checks that are begun in one turn: each takes about 40 us, in which nobody is served. */
const checksPerTurn = 8;
const maxLinesPerSecond = 10;

export type HealthCheckSettings = { readonly checkIntervalMs: number; readonly disableHttp2: boolean };

export class HealthChecks {
  readonly #self: number;
  readonly #settings: HealthCheckSettings;
  readonly #table: () => RouteTable;
  readonly #health: EndpointHealth;
  readonly #balancer: Balancer;
  readonly #peers: Peers;
  readonly #log: Log;
  readonly #metrics: Metrics;
  /** Null where Endpoints are not counted. */
  readonly #tallies: Tallies | null;
  readonly #spared: Series;
  readonly #schedule: Schedule;
  readonly #running: Set<() => void> = new Set();
  readonly #ownDown: Set<CheckKey> = new Set();
  readonly #failed: Set<CheckKey> = new Set();
  /** The workers that the controller, or the last one, has named. */
  #knownPeers: readonly number[] = [];
  #dirty = false;
  /** Who checks what has changed: that does not wait for its time. */
  #peersDirty = false;
  #gathering = false;
  #followTimer: NodeJS.Timeout | null = null;
  #newsTimer: NodeJS.Timeout | null = null;
  #checkTimer: NodeJS.Timeout | null = null;
  readonly #repeatTimer: NodeJS.Timeout;
  #lineSecond = 0;
  #lines = 0;
  #closed = false;

  /** `self`: this worker's number. Nothing is checked before the peers are known. */
  constructor(
    self: number,
    settings: HealthCheckSettings,
    table: () => RouteTable,
    health: EndpointHealth,
    balancer: Balancer,
    peers: Peers,
    log: Log,
    metrics: Metrics,
    tallies: Tallies | null = null,
  ) {
    this.#self = self;
    this.#settings = settings;
    this.#table = table;
    this.#health = health;
    this.#balancer = balancer;
    this.#tallies = tallies;
    this.#peers = peers;
    this.#log = log;
    this.#metrics = metrics;
    this.#spared = metrics.series('headgate_endpoint_checks_total', 'spared');
    this.#schedule = new Schedule(self);
    // Each worker counts its own: together they are all, and none twice.
    metrics.observe('headgate_endpoints_down', () => this.#ownDown.size);
    peers.listen(topic, (from, value) => this.#heard(from, value as HealthNews));
    peers.onChange(() => this.#peersChanged());
    this.#repeatTimer = setInterval(() => this.#repeat(), repeatMs);
  }

  /** The table is another one: what is to be checked follows within a second or two. */
  followTable(): void {
    this.#dirty = true;
    if (this.#followTimer === null && !this.#gathering && !this.#closed) this.#gather();
  }

  /** How a dial of a request ended: as good as a check. Not where the router itself was the obstacle, or may have been. */
  dialled({ endpoint, isTls }: UpstreamConnection, failure: ConnectFailure | null): void {
    if (this.#closed) return;
    // A handshake may fail because a Route does not trust the certificate, which is no fault of the pod's for other Routes.
    if (failure === 'limit' || failure === 'tls-failed') return;
    const key = checkKey(endpoint.authority, isTls ? 'tls' : 'plain');
    const watch = this.#schedule.watches.get(key);
    if (watch !== undefined) {
      if (failure === null) watch.connectedMs = performance.now();
      this.#result(watch, failure);
    } else if (failure !== null && this.#failed.size < keysPerMessage) {
      this.#failed.add(key);
      this.#newsTimer ??= setTimeout(() => this.#tellFailures(), newsMs);
    }
  }

  close(): void {
    this.#closed = true;
    for (const timer of [this.#followTimer, this.#newsTimer, this.#checkTimer]) if (timer !== null) clearTimeout(timer);
    clearInterval(this.#repeatTimer);
    for (const stop of this.#running) stop();
    this.#running.clear();
  }

  // What is to be checked.

  #gather(): void {
    this.#dirty = false;
    this.#peersDirty = false;
    this.#gathering = true;
    const steps = this.#following();
    const turn = (): void => {
      if (this.#closed) return;
      const endMs = performance.now() + turnMs;
      do {
        if (steps.next().done !== true) continue;
        this.#gathering = false;
        this.#followTimer = setTimeout(
          () => {
            this.#followTimer = null;
            if (this.#dirty) this.#gather();
          },
          this.#peersDirty ? 0 : followMs,
        );
        return;
      } while (performance.now() < endMs);
      setImmediate(turn);
    };
    turn();
  }

  /** From the table to the schedule. */
  *#following(): Generator<undefined> {
    const checks: Map<CheckKey, Check> = new Map();
    yield* gatherChecks(this.#table(), this.#settings.checkIntervalMs, checks);
    this.#ended(yield* this.#schedule.follow(checks, this.#knownPeers, performance.now()));
  }

  #peersChanged(): void {
    const { workers } = this.#peers;
    // Without a controller nobody hears from anybody: each goes on with its share, and knows of no other's.
    this.#health.keepOnly(workers.length === 0 ? [this.#self] : workers);
    if (workers.length === 0) return;
    this.#knownPeers = workers;
    this.#dirty = true;
    this.#peersDirty = true;
    if (!this.#gathering) {
      if (this.#followTimer !== null) clearTimeout(this.#followTimer);
      this.#followTimer = null;
      this.#gather();
    }
    // Whoever has just come knows nothing yet.
    this.#tellDown();
  }

  #ended(watches: readonly Watch[]): void {
    const up: CheckKey[] = [];
    for (const { check } of watches) if (this.#ownDown.delete(check.key)) up.push(check.key);
    for (const key of up) this.#tallies?.check(key)?.foundUp(performance.now());
    if (up.length > 0) {
      this.#health.markUp(this.#self, up);
      this.#tell('up', up);
    }
    this.#wait();
  }

  // Checking.

  #wait(): void {
    if (this.#checkTimer !== null) clearTimeout(this.#checkTimer);
    const waitMs = this.#schedule.waitMs(performance.now());
    this.#checkTimer = waitMs === null || this.#closed ? null : setTimeout(() => this.#turn(), Math.ceil(waitMs));
  }

  #turn(): void {
    const nowMs = performance.now();
    let made = 0;
    for (let i = 0; i < sparedPerTurn && made < checksPerTurn; i++) {
      const watch = this.#schedule.take(nowMs);
      if (watch === null) break;
      if (this.#isSpared(watch, nowMs)) {
        this.#spared.value++;
        this.#result(watch, null);
        this.#schedule.putBack(watch, nowMs);
      } else {
        this.#schedule.spend();
        made++;
        this.#probe(watch);
      }
    }
    this.#wait();
  }

  #isSpared(watch: Watch, nowMs: number): boolean {
    const { endpoint, security, intervalMs } = watch.check;
    if (watch.record.doubtful) return false;
    const answeredMs = this.#balancer.answeredMs(endpoint.authority, security);
    return nowMs - Math.max(answeredMs, watch.connectedMs) < intervalMs;
  }

  #probe(watch: Watch): void {
    const protocols = this.#settings.disableHttp2 ? ['http/1.1'] : ['h2', 'http/1.1'];
    const beganMs = performance.now();
    const stop = probe(watch.check, protocols, (failure) => {
      this.#running.delete(stop);
      this.#metrics.series('headgate_endpoint_checks_total', failure ?? 'reached').value++;
      if (this.#tallies !== null) tallyCheck(this.#tallies, watch.check.key, failure, performance.now() - beganMs);
      // Descriptors or ports of our own have run out: that says nothing of the pod.
      if (failure !== 'limit' && watch.current) this.#result(watch, failure);
      this.#schedule.putBack(watch, performance.now());
      this.#wait();
    });
    this.#running.add(stop);
  }

  #result(watch: Watch, failure: ConnectFailure | null): void {
    const { check, record } = watch;
    const hasChanged = record.add(failure === null ? 'reached' : 'failed');
    if (record.doubtful) {
      this.#schedule.doubt(watch, performance.now());
      this.#wait();
    }
    if (!hasChanged) return;
    const { key, endpoint, security } = check;
    const { down } = record;
    const tally = this.#tallies?.check(key) ?? null;
    if (down) {
      tally?.foundDown(performance.now());
      this.#ownDown.add(key);
      this.#health.markDown(this.#self, [key], performance.now());
    } else {
      tally?.foundUp(performance.now());
      this.#ownDown.delete(key);
      this.#health.markUp(this.#self, [key]);
    }
    this.#tell(down ? 'down' : 'up', [key]);
    if (!this.#mayLog()) this.#metrics.series('headgate_log_lines_dropped_total', 'checks').value++;
    else if (down) this.#log.warn({ endpoint: endpoint.authority, security, failure }, 'endpoint is down');
    else this.#log.info({ endpoint: endpoint.authority, security }, 'endpoint is up');
  }

  #mayLog(): boolean {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#lineSecond) {
      this.#lineSecond = second;
      this.#lines = 0;
    }
    return ++this.#lines <= maxLinesPerSecond;
  }

  // Other workers.

  #heard(from: number, news: HealthNews): void {
    this.#health.markDown(from, news.down, performance.now());
    this.#health.markUp(from, news.up);
    for (const key of news.failed) {
      const watch = this.#schedule.watches.get(key);
      if (watch !== undefined) this.#result(watch, 'unreachable');
    }
  }

  #tell(what: keyof HealthNews, keys: readonly CheckKey[]): void {
    const nothing = { down: [], up: [], failed: [] };
    for (let at = 0; at < keys.length; at += keysPerMessage) {
      const news: HealthNews = { ...nothing, [what]: keys.slice(at, at + keysPerMessage) };
      this.#peers.tell(topic, news satisfies JsonValue);
    }
  }

  #tellFailures(): void {
    this.#newsTimer = null;
    this.#tell('failed', [...this.#failed]);
    this.#failed.clear();
  }

  #tellDown(): void {
    if (this.#ownDown.size > 0) this.#tell('down', [...this.#ownDown]);
  }

  #repeat(): void {
    this.#tellDown();
    this.#health.forgetBefore(this.#self, performance.now() - 3 * repeatMs);
  }
}

function tallyCheck(tallies: Tallies, key: CheckKey, failure: ConnectFailure | null, ms: number): void {
  if (failure !== null) tallies.check(key)?.count(Column.checkFailures);
  if (tallies.scope.checks === 'timed') tallies.check(key)?.checkTook(ms);
}
