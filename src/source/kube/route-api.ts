// What the router writes to the API server: its entry in the status of a Route, and events on it.

import type { IngressEntry, RouteManifest } from '../manifests.ts';
import { type ApiClient, ApiError } from './api-client.ts';
import { apiTime } from './api-time.ts';
import { decodeObject } from './decode-object.ts';
import { pageOf, pageSize } from './list-page.ts';

/** What became of a write. `gone`: there is no such Route any more. `conflict`: it has changed since it was read. */
export type WriteResult = 'written' | 'conflict' | 'gone';

/** An event as `kubectl describe route` shows it. */
export type RouteEvent = {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
};

const group = '/apis/route.openshift.io/v1';
const apiVersion = 'route.openshift.io/v1';
const maxMessageLength = 1024;
/** With what the API server adds it must stay within the 253 of a name. */
const maxEventNameLength = 200;

export class RouteApi {
  readonly #client: ApiClient;
  readonly #routerName: string;

  constructor(client: ApiClient, routerName: string) {
    this.#client = client;
    this.#routerName = routerName;
  }

  /** The Route as it is now, or null where there is none. Throws ApiError. */
  async read(namespace: string, name: string): Promise<RouteManifest | null> {
    try {
      return routeOf(await this.#client.get(pathOf(namespace, name)));
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }

  /**
   * Puts a list in place of `status.ingress`, if the Route is still at the version that it was read at: the list is one value
   * to the API server, and writing it blindly would erase what other routers have written. Throws ApiError.
   */
  async writeIngress(route: RouteManifest, ingress: readonly IngressEntry[]): Promise<WriteResult> {
    const { namespace, name, status } = route;
    try {
      await this.#client.mergePatch(`${pathOf(namespace, name)}/status`, {
        metadata: { resourceVersion: status.resourceVersion },
        status: { ingress },
      });
      return 'written';
    } catch (error) {
      if (isGone(error)) return 'gone';
      if (error instanceof ApiError && error.code === 409) return 'conflict';
      throw error;
    }
  }

  /** Every Route of the cluster, or of one namespace, selected or not, a page at a time. Throws ApiError. */
  async *everyRoute(namespace: string): AsyncGenerator<readonly RouteManifest[]> {
    const path = namespace === '' ? `${group}/routes` : `${group}/namespaces/${namespace}/routes`;
    let next = '';
    do {
      const page = pageOf(await this.#client.get(path, { limit: String(pageSize), continue: next }));
      yield page.items.map(routeOf).filter((route) => route !== null);
      next = page.next;
    } while (next !== '');
  }

  /** Tells the owner of a Route of something. Throws ApiError. */
  async tell(route: RouteManifest, event: RouteEvent): Promise<void> {
    const now = apiTime();
    const { namespace, name, uid, status } = route;
    await this.#client.post(`/api/v1/namespaces/${namespace}/events`, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${name.slice(0, maxEventNameLength).replace(/[-.]+$/, '')}.`, namespace },
      involvedObject: { apiVersion, kind: 'Route', namespace, name, uid, resourceVersion: status.resourceVersion },
      type: event.type,
      reason: event.reason,
      message: event.message.slice(0, maxMessageLength),
      source: { component: `headgate-${this.#routerName}` },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    });
  }
}

function pathOf(namespace: string, name: string): string {
  return `${group}/namespaces/${namespace}/routes/${name}`;
}

/** A server that does not know the API at the moment answers 404 as well, but without a Status: that says nothing of a Route. */
function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404 && error.reason === 'NotFound';
}

/** A Route as the API server answers it; null for what is none. */
function routeOf(value: unknown): RouteManifest | null {
  const decoded = decodeObject(value, apiVersion, 'Route');
  return decoded.kind === 'manifest' && decoded.manifest.kind === 'Route' ? decoded.manifest : null;
}
