// From the Routes that own a Host to its HostRule.

import type { RouteManifest, WeightedService } from '../source/manifests.ts';
import {
  backendId,
  type CertificateId,
  type ClientAuth,
  type HostRule,
  type PathRule,
  routeKey,
  type TlsTreatment,
} from '../table/entries.ts';
import type { Host } from '../table/host.ts';
import { pathPrefix } from '../table/path.ts';
import type { RouteTreatment } from './admission.ts';
import type { BackendSubject } from './compile-backend.ts';

/** A Route that is served, and with what. */
export type ServedRoute = { readonly route: RouteManifest; readonly treatment: RouteTreatment & { kind: 'served' } };

/** The rule of a Host; null when nobody is served there. */
export function compileHost(host: Host, served: readonly ServedRoute[]): HostRule | null {
  if (served.length === 0) return null;
  const paths = served.map(pathRuleOf);
  return {
    host,
    tls: treatmentOfHost(paths),
    certificate: certificateOf(served),
    clientAuth: clientAuthOf(served),
    paths: paths.sort(compareRules),
  };
}

function pathRuleOf({ route, treatment }: ServedRoute): PathRule {
  return {
    route: routeKey(route.namespace, route.name),
    path: pathPrefix(route.path),
    termination: treatment.termination,
    insecurePolicy: treatment.insecurePolicy,
    backends: servicesOf(route).map((service) => ({
      backend: backendId(route.namespace, service.name, route.targetPort),
      weight: service.weight,
    })),
    upstreamTls: treatment.upstreamTls,
    ...treatment.options,
    clientAuth: treatment.clientAuth,
  };
}

/** The Backends of a Route: its Services at the port that it names. */
export function backendSubjectsOf(route: RouteManifest): BackendSubject[] {
  return servicesOf(route).map((service) => ({
    id: backendId(route.namespace, service.name, route.targetPort),
    namespace: route.namespace,
    service: service.name,
    port: route.targetPort,
  }));
}

function servicesOf(route: RouteManifest): readonly WeightedService[] {
  return [route.to, ...route.alternateBackends];
}

/**
 * Longest path first. An empty path and `/` on one Host are both admitted and mean the same; the larger namespace:name
 * answers, as with the reference (Route semantics 5.2).
 */
function compareRules(a: PathRule, b: PathRule): number {
  return b.path.length - a.path.length || (a.path < b.path ? 1 : a.path > b.path ? -1 : compareKeys(b.route, a.route));
}

/** As the reference sorts: by `namespace:name`. */
function compareKeys(a: string, b: string): number {
  const left = a.replace('/', ':');
  const right = b.replace('/', ':');
  return left < right ? -1 : left > right ? 1 : 0;
}

function treatmentOfHost(paths: readonly PathRule[]): TlsTreatment {
  if (paths.some((rule) => rule.termination === 'passthrough')) return 'passthrough';
  return paths.some((rule) => rule.termination !== 'none') ? 'terminate' : 'none';
}

/**
 * What a handshake for a Host asks of the client: what all its Routes demand, where they agree. Where they do not, it asks in
 * the name of one authority, and each request is held against the demand of its own Route.
 */
function clientAuthOf(served: readonly ServedRoute[]): ClientAuth | null {
  const asked = askedAuthority(served);
  if (asked === null) return null;
  const agreed = served.every(({ treatment }) => {
    const { clientAuth } = treatment;
    return (
      !isTerminated(treatment) || (clientAuth?.authority === asked.authority && clientAuth.demand === asked.demand)
    );
  });
  return agreed ? asked : { demand: 'optional', authority: asked.authority };
}

function isTerminated({ termination }: ServedRoute['treatment']): boolean {
  return termination === 'edge' || termination === 'reencrypt';
}

/** Of several authorities on one Host, clients are asked for that of the larger namespace:name, as with certificates. */
function askedAuthority(served: readonly ServedRoute[]): ClientAuth | null {
  return chosenOf(served, ({ treatment }) => treatment.clientAuth !== null)?.treatment.clientAuth ?? null;
}

/**
 * Whether the client certificates of a Route can never be asked for, as the handshake for its Host asks in the name of another
 * Route's authority: all its requests are answered with 421 then. `routerWide`: what the router
 * asks of every client.
 */
export function isOutvoted(
  { treatment }: ServedRoute,
  served: readonly ServedRoute[],
  routerWide: 'none' | 'optional' | 'required',
): boolean {
  const asked = askedAuthority(served);
  if (asked === null || !isTerminated(treatment)) return false;
  if (treatment.clientAuth === null) return routerWide !== 'none';
  return treatment.clientAuth.authority !== asked.authority;
}

/** Of several certificates on one Host, that of the larger namespace:name is served (Route semantics 5.15). */
function certificateOf(served: readonly ServedRoute[]): CertificateId | null {
  return chosenOf(served, ({ treatment }) => treatment.serving !== null)?.treatment.serving?.id ?? null;
}

/** Of the Routes that have something, that of the larger namespace:name. */
function chosenOf(served: readonly ServedRoute[], has: (each: ServedRoute) => boolean): ServedRoute | undefined {
  let chosen: ServedRoute | undefined;
  for (const each of served) {
    if (!has(each)) continue;
    const key = routeKey(each.route.namespace, each.route.name);
    if (chosen === undefined || compareKeys(key, routeKey(chosen.route.namespace, chosen.route.name)) > 0) {
      chosen = each;
    }
  }
  return chosen;
}
