// Brings together what workers have counted and what the table knows: names come from the table, and only what is in it is
// shown.

import type { Backend, Endpoint, PathRule } from '../table/entries.ts';
import type { RouteTable } from '../table/route-table.ts';
import type { SeriesSnapshot } from '../telemetry/metrics.ts';
import { Column, type RowsByKey } from '../telemetry/tally-row.ts';
import { escaped } from './exposition.ts';
import { serverWeights } from './haproxy-weights.ts';

/** What a scrape has collected from all processes. */
export type Collected = { readonly series: readonly SeriesSnapshot[]; readonly rows: RowsByKey };

/** A row, if there is one yet. */
type Row = readonly number[] | null;

/** A Route of the table. */
export type TalliedRoute = {
  readonly rule: PathRule;
  /** `namespace="..",route=".."`. */
  readonly labels: string;
  readonly row: Row;
  /** Of its Services, in order. */
  readonly services: readonly TalliedService[];
  /** And what each of their Endpoints weighs, in the reference's numbers. */
  readonly weights: readonly number[];
};

/** A Service of a Route: its weight, how many Endpoints it has, and how many of them checks have not found down. */
export type TalliedService = { readonly weight: number; readonly endpoints: number; readonly up: number };

/** An Endpoint as one of a Route. */
export type TalliedEndpoint = {
  readonly route: TalliedRoute;
  /** Which of the Route's Services it is of. */
  readonly service: number;
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly row: Row;
  /** Of its checks. */
  readonly check: Row;
  readonly state: 'up' | 'down' | 'leaving';
};

export type TalliedTable = {
  readonly series: readonly SeriesSnapshot[];
  readonly routes: readonly TalliedRoute[];
  /** Endpoints of all Routes, shown or not. */
  readonly endpointCount: number;
  /** Those that are shown. */
  readonly endpoints: readonly TalliedEndpoint[];
  /** Rows that belong to no Route: frontends, and what is counted together. */
  readonly own: ReadonlyMap<string, readonly number[]>;
  /** Keys of rows that nothing in the table goes with. */
  readonly gone: readonly string[];
};

/** Rows that are about nothing in the table. */
const ownKeys: readonly string[] = [
  'public',
  'public_ssl',
  'fe_sni',
  'fe_no_sni',
  'openshift_default',
  'other-routes',
  'other-endpoints',
];

/** Which Endpoints are shown: all, those that have been counted or are down, or none. */
export type EndpointsShown = 'all' | 'counted' | 'none';

/**
 * Puts names to rows, which are taken out of their map; yields often. `shows`: which Endpoints are shown where there are so
 * many; null where they are not counted.
 */
export function* tallyTable(
  { series, rows }: Collected,
  table: RouteTable,
  shows: ((endpoints: number) => EndpointsShown) | null,
): Generator<undefined, TalliedTable> {
  const own = new Map<string, readonly number[]>();
  for (const key of ownKeys) {
    const row = take(rows, key);
    if (row !== null) own.set(key, row);
  }
  let endpointCount = 0;
  for (const { paths } of table.hosts.values()) {
    for (const rule of paths) endpointCount += countEndpoints(rule, table, 'all');
    yield;
  }
  const routes: TalliedRoute[] = [];
  const endpoints: TalliedEndpoint[] = [];
  const shown = shows?.(endpointCount) ?? 'none';
  const checks = new Set<string>();
  for (const { paths } of table.hosts.values()) {
    for (const rule of paths) {
      const services = servicesOf(rule, table, rows, checks);
      const weights = serverWeights(services);
      const route = { rule, labels: routeLabels(rule), row: take(rows, rule.route), services, weights };
      routes.push(route);
      if (shown === 'none') continue;
      for (const endpoint of endpointsOf(route, table, rows)) {
        if (shown === 'all' || endpoint.row !== null || endpoint.state === 'down') endpoints.push(endpoint);
      }
    }
    yield;
  }
  for (const key of checks) rows.delete(key);
  return { series, routes, endpointCount, endpoints, own, gone: [...rows.keys()] };
}

function take(rows: RowsByKey, key: string): Row {
  const row = rows.get(key);
  rows.delete(key);
  return row ?? null;
}

/** Endpoints of a rule's Services: of all, or of those that take a share of the requests. */
function countEndpoints(rule: PathRule, table: RouteTable, of: 'all' | 'active'): number {
  let count = 0;
  for (const { backend, weight } of rule.backends) {
    if (of === 'all' || weight > 0) count += table.backends.get(backend)?.endpoints.length ?? 0;
  }
  return count;
}

/** Adds the keys of the checks that it comes by. */
function servicesOf(rule: PathRule, table: RouteTable, rows: RowsByKey, checks: Set<string>): TalliedService[] {
  // Where a Route has one Endpoint only, it does not heed the checks of other Routes.
  const heedsChecks = countEndpoints(rule, table, 'active') > 1;
  return rule.backends.map(({ backend, weight }) => {
    const endpoints = table.backends.get(backend)?.endpoints ?? [];
    let down = 0;
    for (const { authority } of endpoints) {
      const key = checkKey(rule, authority);
      const check = rows.get(key);
      if (check === undefined) continue;
      checks.add(key);
      if (heedsChecks && isDown(check)) down++;
    }
    return { weight, endpoints: endpoints.length, up: endpoints.length - down };
  });
}

function* endpointsOf(route: TalliedRoute, table: RouteTable, rows: RowsByKey): Generator<TalliedEndpoint> {
  const { rule } = route;
  const heedsChecks = countEndpoints(rule, table, 'active') > 1;
  for (const [service, { backend: id }] of rule.backends.entries()) {
    const backend = table.backends.get(id);
    if (backend === undefined) continue;
    for (const [list, isLeaving] of [
      [backend.endpoints, false],
      [backend.leaving, true],
    ] as const) {
      for (const endpoint of list) {
        const check = rows.get(checkKey(rule, endpoint.authority)) ?? null;
        const down = heedsChecks && check !== null && isDown(check);
        yield {
          route,
          service,
          backend,
          endpoint,
          row: take(rows, `${rule.route} ${endpoint.id}`),
          check,
          state: isLeaving ? 'leaving' : down ? 'down' : 'up',
        };
      }
    }
  }
}

/** The labels of its Route, `service` and `pod`. Made anew each time: kept for all, they would be most of what a scrape holds. */
export function endpointLabels({ route, backend, endpoint }: TalliedEndpoint): string {
  return `${route.labels},service="${escaped(backend.service)}",pod="${escaped(podOf(endpoint))}"`;
}

function isDown(check: readonly number[]): boolean {
  return (check[Column.down] ?? 0) > 0;
}

/** As workers name what they check: by how it is spoken to. */
function checkKey(rule: PathRule, authority: string): string {
  return `${rule.upstreamTls === null ? 'plain' : 'tls'} ${authority}`;
}

function routeLabels({ route }: PathRule): string {
  const slash = route.indexOf('/');
  return `namespace="${escaped(route.slice(0, slash))}",route="${escaped(route.slice(slash + 1))}"`;
}

/** Of the id: `pod:<pod>:...`, or `ept:...` where no pod is known. */
function podOf({ id }: Endpoint): string {
  return id.startsWith('pod:') ? id.slice('pod:'.length, id.indexOf(':', 'pod:'.length)) : '';
}
