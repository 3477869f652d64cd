// The controller process's heart: source in, reconciler in the middle, publisher out, and what people may ask about it.

import { readFileSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import type { KeptCertificate } from '../replication/control.ts';
import { Publisher } from '../replication/publisher.ts';
import { Folder } from '../source/files/folder.ts';
import type { RouteManifest } from '../source/manifests.ts';
import { formatRevision, type Revision } from '../table/delta.ts';
import type { Certificate, RouteKey } from '../table/entries.ts';
import type { RouteTable } from '../table/route-table.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { authorityFromPem } from './certificates.ts';
import { ClusterState } from './cluster-state.ts';
import { DefaultCertificate } from './default-certificate.ts';
import { type KnownVerdict, Reconciler, type VerdictChange } from './reconciler.ts';

/** Revisions whose acks are still waited for, at most; older ones count with the next. */
const maxAwaited = 10_000;

export class Controller {
  readonly #log: Log;
  readonly #state: ClusterState = new ClusterState();
  readonly #reconciler: Reconciler;
  readonly #publisher: Publisher;
  readonly #folder: Folder;
  readonly #defaultCertificate: DefaultCertificate;
  readonly #metrics: Metrics;
  readonly #awaited: { readonly revision: Revision; readonly sinceMs: number }[] = [];
  #synced = false;
  #scheduled = false;
  #dirtySinceMs = 0;

  constructor(config: Config, epoch: number, fallback: KeptCertificate, log: Log, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
    this.#reconciler = new Reconciler(this.#state, config, epoch);
    this.#publisher = new Publisher(this.#reconciler.table, log, () => this.#acked());
    this.#folder = new Folder({
      directory: config.manifests,
      onEvents: (events) => {
        for (const { key, manifest } of events) this.#reconciler.put(key, manifest);
        this.#schedule();
      },
      onProblem: ({ file, line, reason }) => log.error({ file, line, reason }, 'manifest cannot be used'),
    });
    this.#reconciler.setDefaultAuthority(defaultAuthority(config.defaultDestinationCaPath));
    this.#defaultCertificate = new DefaultCertificate(config, fallback, log, (certificate) => {
      this.#reconciler.setDefaultCertificate(certificate);
      this.#schedule();
    });
    this.#observe();
  }

  /** Reads everything once and puts it in force; workers may join from the beginning and wait for it. */
  async start(channelPath: string): Promise<void> {
    await this.#publisher.listen(channelPath);
    await this.#defaultCertificate.start();
    await this.#folder.start();
    while (this.#reconciler.dirty) {
      this.#step();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#synced = true;
    this.#publisher.open();
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#defaultCertificate.close();
    await this.#folder.close();
    this.#publisher.close();
  }

  /** Whether everything has been read once and is in the table. */
  get synced(): boolean {
    return this.#synced;
  }

  get table(): RouteTable {
    return this.#reconciler.table;
  }

  get routes(): ReadonlyMap<RouteKey, RouteManifest> {
    return this.#state.routes;
  }

  get verdicts(): ReadonlyMap<RouteKey, KnownVerdict> {
    return this.#reconciler.verdicts;
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
    for (const change of verdicts) this.#logVerdict(change);
    if (delta === null || !this.#synced) return;
    if (this.#awaited.length < maxAwaited) this.#awaited.push({ revision: delta.to, sinceMs });
    this.#publisher.publish(delta);
  }

  #acked(): void {
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
}

/** The authority in a file; null where none is configured. Throws where it holds none: unverified pods must be a choice. */
function defaultAuthority(path: string): Certificate | null {
  if (path === '') return null;
  const authority = authorityFromPem(readFileSync(path, 'utf8'));
  if (authority === null) throw new Error(`unable to load default destination CA certificate: none in ${path}`);
  return authority;
}
