// A whole router in the test's own process, from Routes to sockets: objects go through the controller's own compiler into the
// table of a data plane. Neither processes nor the channel between them are in between.

import { loadConfig } from '../../src/config/load.ts';
import { ClusterState } from '../../src/controller/cluster-state.ts';
import { Reconciler } from '../../src/controller/reconciler.ts';
import type { Manifest } from '../../src/source/manifests.ts';
import { routeKey } from '../../src/table/entries.ts';
import { DataPlane, type DataPlaneOptions } from './data-plane.ts';
import { putAll, removeAll } from './manifests.ts';

/** `env`: names and values as in the environment of the command. The rest is as for a data plane. */
export type LocalRouterOptions = Omit<DataPlaneOptions, 'settings' | 'compression' | 'proxyTrusted'> & {
  readonly env?: Readonly<Record<string, string>>;
};

export class LocalRouter implements AsyncDisposable {
  readonly plane: DataPlane;
  readonly #reconciler: Reconciler;

  private constructor(plane: DataPlane, reconciler: Reconciler) {
    this.plane = plane;
    this.#reconciler = reconciler;
  }

  /** Starts a router that knows these objects. Pods are on this machine; the public ports are those of the golden cases. */
  static async start(objects: readonly Manifest[] = [], options: LocalRouterOptions = {}): Promise<LocalRouter> {
    const { env = {}, ...rest } = options;
    const loaded = loadConfig([], {
      HEADGATE_SOURCE: 'files',
      HEADGATE_MANIFESTS: import.meta.dirname,
      HEADGATE_ALLOW_LOOPBACK_ENDPOINTS: 'true',
      HEADGATE_PUBLIC_HTTP_PORT: '28080',
      HEADGATE_PUBLIC_HTTPS_PORT: '28443',
      ...env,
    });
    if (loaded.kind === 'problems') throw new Error(loaded.problems.join('; '));
    const { config } = loaded;
    const plane = await DataPlane.start([], {
      ...rest,
      ...(config.compression ? { compression: config } : {}),
      ...(config.proxyProtocol ? { proxyTrusted: config.proxyProtocolTrusted } : {}),
      settings: config,
    });
    const router = new LocalRouter(plane, new Reconciler(new ClusterState(), config, 1));
    router.put(...objects);
    return router;
  }

  /** Tells of objects that are there now, and puts what comes of it in force. */
  put(...objects: readonly Manifest[]): void {
    putAll(this.#reconciler, ...objects);
    this.#settle();
  }

  /** Tells that objects are gone. */
  remove(...objects: readonly Manifest[]): void {
    removeAll(this.#reconciler, ...objects);
    this.#settle();
  }

  /** What is said of a Route: `Admitted`, or the reason and the message of its refusal. */
  verdictOf(namespace: string, name: string): string {
    const verdict = this.#reconciler.verdicts.get(routeKey(namespace, name))?.verdict;
    if (verdict === undefined) return 'none';
    return verdict.kind === 'admitted' ? 'Admitted' : `${verdict.reason}: ${verdict.message}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.plane[Symbol.asyncDispose]();
  }

  #settle(): void {
    while (this.#reconciler.dirty) {
      const { delta } = this.#reconciler.step();
      if (delta !== null) this.plane.put(...delta.changes);
    }
  }
}
