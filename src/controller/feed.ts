// Where the controller's objects come from: a folder or a cluster, narrowed to the shard. The Kubernetes client is loaded only
// where it is needed: it takes most of a second and many megabytes.

import type { Config } from '../config/schema.ts';
import { Folder } from '../source/files/folder.ts';
import type { AccessReviews } from '../source/kube/access-reviews.ts';
import type { Cluster, ViewAge } from '../source/kube/cluster.ts';
import type { RouteApi } from '../source/kube/route-api.ts';
import type { ManifestEvent } from '../source/manifests.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { SecretGate } from './secret-gate.ts';
import { Shard } from './shard.ts';

/** Routes whose Secrets have not been answered for by then are served when they are: nobody else shall wait for them. */
const secretWaitMs = 10_000;

/** A source that was chosen. */
type Source = { start(): Promise<void>; close(): Promise<void> };

export class Feed {
  readonly shard: Shard;
  readonly #config: Config;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #onEvents: (events: readonly ManifestEvent[]) => void;
  readonly #gate: SecretGate;
  #source: Source | null = null;
  #cluster: Cluster | null = null;
  #routeApi: RouteApi | null = null;
  #accessReviews: AccessReviews | null = null;
  #onGateOpen: (() => void) | null = null;

  /** `onEvents`: objects of the shard that came, changed or went. */
  constructor(config: Config, log: Log, metrics: Metrics, onEvents: (events: readonly ManifestEvent[]) => void) {
    this.#config = config;
    this.#log = log;
    this.#metrics = metrics;
    this.#onEvents = onEvents;
    this.shard = new Shard(config);
    this.#gate = new SecretGate((namespace, name, wanted) => this.#cluster?.want(namespace, name, wanted));
  }

  /** Resolves when everything has been told once; with a cluster, however long that takes. Rejects where it never can be. */
  async start(): Promise<void> {
    this.#source = this.#config.source === 'files' ? this.#openFolder() : await this.#openCluster();
    await this.#source.start();
    if (this.#gate.waiting === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, secretWaitMs);
      this.#onGateOpen = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async close(): Promise<void> {
    await this.#source?.close();
  }

  /** How old the view of each kind is; empty for a folder, which is looked at itself. */
  views(): ViewAge[] {
    return this.#cluster?.views() ?? [];
  }

  /** Where the status of Routes is written; null for a folder. */
  get routeApi(): RouteApi | null {
    return this.#routeApi;
  }

  /** Where is asked who may do what to this router; null for a folder, and until the way to the API server is known. */
  get accessReviews(): AccessReviews | null {
    return this.#accessReviews;
  }

  #openFolder(): Folder {
    return new Folder({
      directory: this.#config.manifests,
      // What is not there in a folder is not there: nobody has to be asked for it.
      onEvents: (events) => this.#pass(events.flatMap((event) => this.shard.put(event))),
      onProblem: ({ file, line, reason }) => {
        this.#countProblem();
        this.#log.error({ file, line, reason }, 'manifest cannot be used');
      },
    });
  }

  async #openCluster(): Promise<Cluster> {
    const { AccessReviews } = await import('../source/kube/access-reviews.ts');
    const { ApiClient } = await import('../source/kube/api-client.ts');
    const { Cluster } = await import('../source/kube/cluster.ts');
    const { RouteApi } = await import('../source/kube/route-api.ts');
    const client = new ApiClient(this.#config);
    client.open();
    const { externalCertificates } = this.#config;
    const cluster = new Cluster(client, this.#config, {
      onEvents: (events) => {
        const ours = events.flatMap((event) => this.shard.put(event));
        this.#pass(externalCertificates ? ours.flatMap((event) => this.#gate.put(event)) : ours);
      },
      onProblem: (reason) => {
        this.#countProblem();
        this.#log.error({ reason }, 'the cluster cannot be read');
      },
    });
    this.#cluster = cluster;
    this.#routeApi = new RouteApi(client, this.#config.routerName);
    this.#accessReviews = new AccessReviews(client, this.#config.routerName);
    return cluster;
  }

  #pass(events: readonly ManifestEvent[]): void {
    if (events.length > 0) this.#onEvents(events);
    if (this.#gate.waiting > 0) return;
    this.#onGateOpen?.();
    this.#onGateOpen = null;
  }

  #countProblem(): void {
    this.#metrics.series('headgate_source_problems_total').value++;
  }
}
