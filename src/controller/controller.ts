// The controller process's heart: source in, reconciler in the middle, publisher out, and what people may ask about it.

import { readFileSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import type { KeptCertificate } from '../replication/control.ts';
import { Publisher } from '../replication/publisher.ts';
import type { AccessReviews } from '../source/kube/access-reviews.ts';
import type { ViewAge } from '../source/kube/cluster.ts';
import type { RouteApi } from '../source/kube/route-api.ts';
import type { ManifestEvent, RouteManifest } from '../source/manifests.ts';
import { formatRevision, type Revision } from '../table/delta.ts';
import type { Certificate, RouteKey } from '../table/entries.ts';
import type { RouteTable } from '../table/route-table.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { authorityFromPem } from './certificates.ts';
import { ClientAuthorityFiles } from './client-authority-files.ts';
import { ClusterState, keyOfRoute } from './cluster-state.ts';
import { backendSubjectsOf } from './compile-host.ts';
import { DefaultCertificate } from './default-certificate.ts';
import { ErrorPageFiles } from './error-page-files.ts';
import { Feed } from './feed.ts';
import { type KnownVerdict, Reconciler, type VerdictChange } from './reconciler.ts';
import { findStale } from './status-sweep.ts';
import { StatusWriter } from './status-writer.ts';

/** Revisions whose acks are still waited for, at most; older ones count with the next. */
const maxAwaited = 10_000;
/** A worker that has not taken over a Revision for so long does not work; without it the table goes on. */
const ackTimeoutMs = 10_000;
const ackCheckMs = 1_000;
/** At start all verdicts come into force at once: telling of 10,000 in one turn held up everything else for 100 ms. */
const verdictsPerTurn = 250;
const sweepRetryMs = 30_000;
/** A replica with the settings of before may have been at work beside the first sweep: it ends with the rolling update. */
const secondSweepMs = 600_000;

/** What waits until every worker serves a Revision: how old its eldest change is, and since when workers could take it over. */
type Awaited = { readonly revision: Revision; readonly sinceMs: number; readonly publishedMs: number };
type AwaitedVerdict = { readonly known: KnownVerdict; readonly route: RouteKey; readonly isFirst: boolean };

export class Controller {
  readonly #log: Log;
  readonly #state: ClusterState = new ClusterState();
  readonly #reconciler: Reconciler;
  readonly #publisher: Publisher;
  readonly #feed: Feed;
  readonly #defaultCertificate: DefaultCertificate;
  readonly #clientAuthority: ClientAuthorityFiles;
  readonly #errorPages: ErrorPageFiles;
  readonly #metrics: Metrics;
  readonly #config: Config;
  readonly #onStuck: (worker: number) => void;
  readonly #awaited: Awaited[] = [];
  /** Verdicts that may be told when their Revision is served; in the order of Revisions. */
  #awaitedVerdicts: AwaitedVerdict[] = [];
  #status: StatusWriter | null = null;
  #ackTimer: NodeJS.Timeout | undefined;
  #acksCheckedMs = 0;
  #sweepTimer: NodeJS.Timeout | undefined;
  #synced = false;
  #defaultNotAfterMs: number | null = null;
  #scheduled = false;
  #dirtySinceMs = 0;
  /** The kinds in the metrics. */
  #observedKinds: readonly string[] = [];

  /**
   * `pageNames`: the reasons and statuses that workers answer with. `onStuck`: a worker has not taken over a Revision for ten
   * seconds.
   */
  constructor(
    config: Config,
    epoch: number,
    fallback: KeptCertificate,
    pageNames: readonly string[],
    log: Log,
    metrics: Metrics,
    onStuck: (worker: number) => void,
  ) {
    this.#config = config;
    this.#onStuck = onStuck;
    this.#log = log;
    this.#metrics = metrics;
    this.#reconciler = new Reconciler(this.#state, config, epoch);
    this.#publisher = new Publisher(this.#reconciler.table, log, () => this.#acked());
    this.#feed = new Feed(config, log, metrics, (events) => this.#take(events));
    this.#reconciler.setDefaultAuthority(defaultAuthority(config.defaultDestinationCaPath));
    if (config.shardCount > 1 && config.allowWildcardRoutes) {
      log.warn(
        { shardCount: config.shardCount },
        'with wildcard routes allowed, all hosts of a domain stay in one automatic shard',
      );
    }
    this.#defaultCertificate = new DefaultCertificate(config, fallback, log, (certificate, notAfterMs) => {
      this.#defaultNotAfterMs = notAfterMs;
      this.#reconciler.setDefaultCertificate(certificate);
      this.#schedule();
    });
    this.#clientAuthority = new ClientAuthorityFiles(config, log, metrics, (authority) => {
      this.#reconciler.setClientAuthority(authority);
      this.#schedule();
    });
    this.#errorPages = new ErrorPageFiles(config, pageNames, log, (pages) => {
      this.#reconciler.setErrorPages(pages);
      this.#schedule();
    });
    this.#observe();
  }

  /** Reads everything once and puts it in force; workers may join from the beginning and wait for it. */
  async start(channelPath: string): Promise<void> {
    await this.#publisher.listen(channelPath);
    await this.#defaultCertificate.start();
    await this.#clientAuthority.start();
    await this.#errorPages.start();
    await this.#feed.start();
    const { routeApi } = this.#feed;
    if (routeApi !== null && this.#config.updateStatus) this.#status = this.#statusWriter(routeApi);
    while (this.#reconciler.dirty) {
      this.#step();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#synced = true;
    this.#publisher.open();
    this.#schedule();
    this.#acksCheckedMs = performance.now();
    this.#ackTimer = setInterval(() => this.#killStuck(), ackCheckMs);
    if (routeApi !== null && this.#status !== null && !this.#feed.shard.isWhole) {
      void this.#sweep(routeApi, this.#status, secondSweepMs);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#ackTimer);
    this.endStatus();
    this.#defaultCertificate.close();
    this.#clientAuthority.close();
    this.#errorPages.close();
    await this.#feed.close();
    this.#publisher.close();
  }

  /** The router is ending: the replicas that stay say what is in the status of Routes. */
  endStatus(): void {
    clearTimeout(this.#sweepTimer);
    this.#status?.close();
  }

  /** How old the view of each kind of object is; empty where objects come from a folder. */
  views(): ViewAge[] {
    return this.#feed.views();
  }

  /** What the owner of a Route should look at although it is admitted. */
  warningsOf(route: RouteManifest): string[] {
    const { verdict } = this.#reconciler.verdicts.get(keyOfRoute(route)) ?? {};
    if (verdict?.kind !== 'admitted') return [];
    const missing = this.#state.missingServices(route).map((name) => `there is no Service ${route.namespace}/${name}`);
    return [...verdict.warnings, ...missing];
  }

  /** The names of a Route's Services that the table has as idled. */
  idledServices(route: RouteManifest): string[] {
    return backendSubjectsOf(route)
      .filter(({ id }) => this.table.backends.get(id)?.idled === true)
      .map(({ service }) => service);
  }

  /** Whether everything has been read once and is in the table. */
  get synced(): boolean {
    return this.#synced;
  }

  get table(): RouteTable {
    return this.#reconciler.table;
  }

  /** When certificates expire, in ms since 1970: the default one, with no namespace, and those of admitted Routes. */
  *expiries(): Generator<{ readonly namespace: string; readonly route: string; readonly notAfterMs: number }> {
    if (this.#defaultNotAfterMs !== null)
      yield { namespace: '', route: 'default', notAfterMs: this.#defaultNotAfterMs };
    for (const { route, notAfterMs } of this.#reconciler.expiries()) {
      yield { namespace: route.namespace, route: route.name, notAfterMs };
    }
  }

  get routes(): ReadonlyMap<RouteKey, RouteManifest> {
    return this.#state.routes;
  }

  get verdicts(): ReadonlyMap<RouteKey, KnownVerdict> {
    return this.#reconciler.verdicts;
  }

  /** Where is asked who may do what to this router; null where objects come from a folder, and until the way is known. */
  get accessReviews(): AccessReviews | null {
    return this.#feed.accessReviews;
  }

  /** Whether the table has no unpublished change and every worker on the channel serves it. */
  get acknowledged(): boolean {
    return this.#synced && !this.#reconciler.dirty && this.#publisher.acknowledged(this.#reconciler.revision);
  }

  /** Workers that serve a table of this controller's. */
  get servingWorkers(): number {
    const { epoch } = this.#reconciler.revision;
    return this.#publisher.workers().filter(({ revision }) => revision.epoch === epoch && revision.counter > 0).length;
  }

  #take(events: readonly ManifestEvent[]): void {
    for (const { key, manifest } of events) {
      const route = key.startsWith('Route/') ? (key.slice('Route/'.length) as RouteKey) : null;
      const before = route === null ? undefined : this.#state.statusOf(route);
      this.#reconciler.put(key, manifest);
      if (route === null || this.#status === null) continue;
      if (manifest === undefined) this.#status.left(route);
      else this.#status.seen(route, before);
    }
    this.#schedule();
  }

  #statusWriter(routeApi: RouteApi): StatusWriter {
    const subject = {
      routeOf: (key: RouteKey) => this.#state.routes.get(key),
      statusOf: (key: RouteKey) => this.#state.statusOf(key),
      verdictOf: (key: RouteKey) => this.#reconciler.verdicts.get(key),
    };
    return new StatusWriter(routeApi, this.#config, subject, this.#log, this.#metrics);
  }

  /** Takes out what an earlier life left behind; `againInMs`: when to look once more, 0 for never. */
  async #sweep(routeApi: RouteApi, status: StatusWriter, againInMs: number): Promise<void> {
    const { routerName } = this.#config;
    try {
      const sweep = await findStale(routeApi, (route) => this.#feed.shard.selects(route), this.#config);
      const { routes } = sweep;
      if (sweep.kind === 'refused') {
        this.#log.error(
          { routerName, stale: sweep.stale, routes },
          'more than half of all routes have a status entry of this router and are not selected by it; nothing is removed. If the selectors are right, start once with --force-sweep',
        );
        return;
      }
      for (const route of sweep.stale) if (!this.#state.routes.has(route)) status.left(route);
      this.#log.info({ routerName, stale: sweep.stale.length, routes }, 'status swept');
      if (againInMs > 0) this.#sweepTimer = setTimeout(() => void this.#sweep(routeApi, status, 0), againInMs);
    } catch (error) {
      this.#log.warn({ reason: String(error) }, 'status cannot be swept, trying again');
      this.#sweepTimer = setTimeout(() => void this.#sweep(routeApi, status, againInMs), sweepRetryMs);
    }
  }

  #killStuck(): void {
    const nowMs = performance.now();
    // Acks that came while this process itself was stopped are read behind this timer, and count at the next look.
    const isLate = nowMs - this.#acksCheckedMs > 2 * ackCheckMs;
    this.#acksCheckedMs = nowMs;
    const [oldest] = this.#awaited;
    const limitMs = nowMs - ackTimeoutMs;
    if (isLate || oldest === undefined || oldest.publishedMs > limitMs) return;
    for (const worker of this.#publisher.behind(oldest.revision, limitMs)) this.#onStuck(worker);
  }

  #schedule(): void {
    if (this.#dirtySinceMs === 0) this.#dirtySinceMs = performance.now();
    if (!this.#synced || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#step();
      if (this.#reconciler.dirty) this.#schedule();
    });
  }

  #step(): void {
    const sinceMs = this.#dirtySinceMs;
    const { delta, verdicts } = this.#reconciler.step();
    if (!this.#reconciler.dirty) this.#dirtySinceMs = 0;
    for (const change of verdicts) {
      if (change.isNew) this.#logVerdict(change);
      const route = keyOfRoute(change.route);
      const known = this.#reconciler.verdicts.get(route);
      if (this.#status !== null && known !== undefined) {
        this.#awaitedVerdicts.push({ known, route, isFirst: !this.#synced });
      }
    }
    if (delta !== null && this.#synced) {
      if (this.#awaited.length < maxAwaited) {
        this.#awaited.push({ revision: delta.to, sinceMs, publishedMs: performance.now() });
      }
      this.#publisher.publish(delta);
    }
    this.#tellVerdicts();
  }

  /** Tells the verdicts whose Revision every worker serves; many in parts, between which others have their turn. */
  #tellVerdicts(): void {
    let told = 0;
    for (const { known, route, isFirst } of this.#awaitedVerdicts) {
      if (told === verdictsPerTurn || !this.#publisher.acknowledged(known.revision)) break;
      told++;
      // One that has taken its place since may not be served yet: it is told with its own Revision.
      if (this.#reconciler.verdicts.get(route) === known) this.#status?.inForce(route, isFirst);
    }
    if (told === 0) return;
    this.#awaitedVerdicts = this.#awaitedVerdicts.slice(told);
    if (told === verdictsPerTurn) setImmediate(() => this.#tellVerdicts());
  }

  #acked(): void {
    this.#tellVerdicts();
    const nowMs = performance.now();
    for (let next = this.#awaited[0]; next !== undefined; next = this.#awaited[0]) {
      if (!this.#publisher.acknowledged(next.revision)) return;
      this.#awaited.shift();
      this.#metrics.histogram('headgate_propagation_seconds').observe((nowMs - next.sinceMs) / 1000);
    }
  }

  #logVerdict({ route, verdict }: VerdictChange): void {
    const fields = { route: `${route.namespace}/${route.name}`, host: route.host, path: route.path };
    const revision = formatRevision(this.#reconciler.revision);
    if (verdict.kind === 'rejected') {
      const { reason, message } = verdict;
      this.#log.warn({ ...fields, verdict: 'rejected', reason, message, revision }, 'route verdict');
    } else {
      const warnings = verdict.warnings.length > 0 ? { warnings: verdict.warnings } : {};
      this.#log.info({ ...fields, verdict: 'admitted', ...warnings, revision }, 'route verdict');
    }
  }

  #observe(): void {
    const { table, verdicts } = this.#reconciler;
    const metrics = this.#metrics;
    const count = (kind: 'admitted' | 'rejected'): number => {
      let routes = 0;
      for (const { verdict } of verdicts.values()) if (verdict.kind === kind) routes++;
      return routes;
    };
    metrics.observe('headgate_routes', () => count('admitted'), 'admitted');
    metrics.observe('headgate_routes', () => count('rejected'), 'rejected');
    metrics.observe('headgate_table_entries', () => table.hosts.size, 'host');
    metrics.observe('headgate_table_entries', () => table.backends.size, 'backend');
    metrics.observe('headgate_table_entries', () => table.certificates.size, 'certificate');
    metrics.observe('headgate_table_revision', () => table.revision.counter);
    metrics.observe('headgate_workers', () => this.servingWorkers, 'serving');
    metrics.histogram('headgate_propagation_seconds');
  }

  /** Takes the age of each view into the metrics; called before they are collected. */
  observeViews(): void {
    const views = this.views();
    for (const kind of this.#observedKinds) {
      if (views.some((view) => view.kind === kind)) continue;
      this.#metrics.remove('headgate_source_synced', kind);
      this.#metrics.remove('headgate_source_age_seconds', kind);
    }
    this.#observedKinds = views.map(({ kind }) => kind);
    for (const { kind, synced, ageMs } of views) {
      this.#metrics.series('headgate_source_synced', kind).value = synced ? 1 : 0;
      this.#metrics.series('headgate_source_age_seconds', kind).value = ageMs / 1000;
    }
  }
}

/** The authority in a file; null where none is configured. Throws where it holds none: unverified pods must be a choice. */
function defaultAuthority(path: string): Certificate | null {
  if (path === '') return null;
  const authority = authorityFromPem(readFileSync(path, 'utf8'));
  if (authority === null) throw new Error(`unable to load default destination CA certificate: none in ${path}`);
  return authority;
}
