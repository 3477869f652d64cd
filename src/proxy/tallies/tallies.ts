// All that this worker counts by Route and Endpoint. Names come from the table alone, never from what clients send, and there
// are only so many: what comes beyond is counted together.

import type { Endpoint, RouteKey } from '../../table/entries.ts';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import { rowsPerMessage, type TallyRows } from '../../telemetry/tally-row.ts';
import type { CheckKey } from '../health/endpoint-health.ts';
import { RouteTally, Tally } from './tally.ts';

/** What is counted. */
export type TallyScope = {
  /** Routes with counts of their own, at most. */
  readonly routes: number;
  /** Endpoints of Routes with counts of their own, at most; 0: they are not counted. */
  readonly endpoints: number;
  /** Whether connections and requests are counted by frontends, as HAProxy has them. */
  readonly frontends: 'counted' | 'ignored';
  /** Whether it is known how long each check took. */
  readonly checks: 'timed' | 'counted';
};

/** The settings that say what is counted. */
export type TallySettings = {
  readonly metricsDetail: 'router' | 'route' | 'endpoint';
  readonly metricsCompat: string;
  readonly metricsLimit: number;
  readonly metricsServerThreshold: number;
  readonly metricsColumns: readonly number[];
};

/** HAProxy's column of the duration of a check. */
const checkDurationColumn = 38;

/** Null where nothing is counted by Route. */
export function tallyScope(settings: TallySettings): TallyScope | null {
  const { metricsDetail, metricsLimit, metricsServerThreshold } = settings;
  const isCompatible = settings.metricsCompat === 'haproxy';
  if (metricsDetail === 'router' && !isCompatible) return null;
  // Above the threshold no server is shown. Twice as many, as pods come and go between two scrapes.
  const servers = isCompatible ? Math.min(metricsLimit, 2 * metricsServerThreshold) : 0;
  return {
    routes: metricsLimit,
    endpoints: metricsDetail === 'endpoint' ? metricsLimit : servers,
    frontends: isCompatible ? 'counted' : 'ignored',
    checks: isCompatible && settings.metricsColumns.includes(checkDurationColumn) ? 'timed' : 'counted',
  };
}

/** Where HAProxy's configuration of the OpenShift router would serve a connection. */
export type FrontendName = 'public' | 'public_ssl' | 'fe_sni' | 'fe_no_sni';

export class Tallies {
  readonly scope: TallyScope;
  readonly #routes: Map<RouteKey, RouteTally> = new Map();
  readonly #checks: Map<CheckKey, Tally> = new Map();
  readonly #frontends: Readonly<Record<FrontendName, Tally>> = {
    public: new Tally('public'),
    public_ssl: new Tally('public_ssl'),
    fe_sni: new Tally('fe_sni'),
    fe_no_sni: new Tally('fe_no_sni'),
  };
  readonly #unrouted: RouteTally = new RouteTally('openshift_default');
  readonly #otherRoutes: RouteTally = new RouteTally('other-routes');
  readonly #otherEndpoints: Tally = new Tally('other-endpoints');
  readonly #otherRouteUses: Series;
  readonly #otherEndpointUses: Series;
  #endpoints = 0;

  constructor(scope: TallyScope, metrics: Metrics) {
    this.scope = scope;
    this.#otherRouteUses = metrics.series('headgate_tallied_as_other_total', 'route');
    this.#otherEndpointUses = metrics.series('headgate_tallied_as_other_total', 'endpoint');
    metrics.observe('headgate_tallies', () => this.#routes.size, 'route');
    metrics.observe('headgate_tallies', () => this.#endpoints, 'endpoint');
  }

  /** The tally of a Route of the table, or that of all for which there is no room. */
  route(key: RouteKey): RouteTally {
    const known = this.#routes.get(key);
    if (known !== undefined) return known;
    if (this.#routes.size >= this.scope.routes) {
      this.#otherRouteUses.value++;
      return this.#otherRoutes;
    }
    const made = new RouteTally(key);
    this.#routes.set(key, made);
    return made;
  }

  /** The tally of an Endpoint as that of a Route; null where Endpoints are not counted. */
  endpoint(route: RouteTally, { id }: Endpoint): Tally | null {
    const known = route.endpoints.get(id);
    if (known !== undefined) return known;
    if (this.scope.endpoints === 0 || route.forgotten) return null;
    if (this.#endpoints >= this.scope.endpoints || route === this.#otherRoutes) {
      this.#otherEndpointUses.value++;
      return this.#otherEndpoints;
    }
    const made = new Tally(`${route.key} ${id}`);
    route.endpoints.set(id, made);
    this.#endpoints++;
    return made;
  }

  /** Null where frontends are not counted. */
  frontend(name: FrontendName): Tally | null {
    return this.scope.frontends === 'counted' ? this.#frontends[name] : null;
  }

  /** That of requests for which there is no Route; null where frontends are not counted. */
  get unrouted(): RouteTally | null {
    return this.scope.frontends === 'counted' ? this.#unrouted : null;
  }

  /** What checks of this worker's have found; null where Endpoints are not counted. */
  check(key: CheckKey): Tally | null {
    const known = this.#checks.get(key);
    if (known !== undefined) return known;
    if (this.#checks.size >= this.scope.endpoints) return null;
    const made = new Tally(key);
    this.#checks.set(key, made);
    return made;
  }

  /** What is not in the table any more counts from nothing if it comes back. */
  forget(keys: readonly string[]): void {
    for (const key of keys) {
      const blank = key.indexOf(' ');
      // Which kind of key it is, the maps know.
      this.#checks.delete(key as CheckKey);
      const route = (blank < 0 ? key : key.slice(0, blank)) as RouteKey;
      const tally = this.#routes.get(route);
      if (tally === undefined) continue;
      if (blank >= 0) {
        if (tally.endpoints.delete(key.slice(blank + 1))) this.#endpoints--;
      } else {
        tally.forgotten = true;
        this.#routes.delete(route);
        this.#endpoints -= tally.endpoints.size;
      }
    }
  }

  /** The rows that have changed since they were told last, a message at a time. */
  *changedRows(): Generator<TallyRows> {
    let keys: string[] = [];
    let values: number[] = [];
    for (const tally of this.#all()) {
      if (!tally.changed) continue;
      keys.push(tally.key);
      values.push(...tally.tell(performance.now()));
      if (keys.length < rowsPerMessage) continue;
      yield { keys, values };
      keys = [];
      values = [];
    }
    if (keys.length > 0) yield { keys, values };
  }

  *#all(): Generator<Tally> {
    for (const route of this.#routes.values()) {
      yield route;
      yield* route.endpoints.values();
    }
    yield* this.#checks.values();
    yield this.#otherRoutes;
    if (this.scope.endpoints > 0) yield this.#otherEndpoints;
    if (this.scope.frontends === 'ignored') return;
    yield* Object.values(this.#frontends);
    yield this.#unrouted;
  }
}
