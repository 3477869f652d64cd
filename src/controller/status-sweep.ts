// Finds what an earlier life of this router left behind: entries of ours in the status of Routes that are not ours now
// (Route semantics 3.4). Once, at start.

import type { RouteApi } from '../source/kube/route-api.ts';
import type { RouteManifest } from '../source/manifests.ts';
import { type RouteKey, routeKey } from '../table/entries.ts';
import { entryOf } from './ingress-entry.ts';

/** What a sweep looks for. */
export type SweepSettings = {
  readonly routerName: string;
  /** The only namespace that the router may look into; empty: all. */
  readonly namespace: string;
  readonly forceSweep: boolean;
};

/** `refused`: the entries are on more than half of all Routes, which looks like a wrong selector. */
export type Sweep =
  | { readonly kind: 'found'; readonly stale: readonly RouteKey[]; readonly routes: number }
  | { readonly kind: 'refused'; readonly stale: number; readonly routes: number };

/** Looks through every Route that the router may see for entries of ours that should not be there. Throws ApiError. */
export async function findStale(
  api: RouteApi,
  isOurs: (route: RouteManifest) => boolean,
  { routerName, namespace, forceSweep }: SweepSettings,
): Promise<Sweep> {
  const stale: RouteKey[] = [];
  let routes = 0;
  for await (const page of api.everyRoute(namespace)) {
    for (const route of page) {
      routes++;
      if (entryOf(route.status.ingress, routerName) === undefined || isOurs(route)) continue;
      stale.push(routeKey(route.namespace, route.name));
    }
  }
  if (stale.length > routes / 2 && !forceSweep) return { kind: 'refused', stale: stale.length, routes };
  return { kind: 'found', stale, routes };
}
