// The objects of the cluster as the source last told them, with the indices that say what a change may concern.

import { isDeepStrictEqual } from 'node:util';
import type {
  EndpointSliceManifest,
  Manifest,
  RouteManifest,
  RouteStatus,
  SecretFault,
  SecretManifest,
  ServiceManifest,
  SlicePort,
} from '../source/manifests.ts';
import { type RouteKey, routeKey } from '../table/entries.ts';

/** `namespace/name` of a Service or a Secret. */
export type ObjectKey = string;

/** What a change of one object may concern. */
export type Concern =
  | { readonly kind: 'route'; readonly route: RouteKey }
  | { readonly kind: 'service'; readonly service: ObjectKey };

const nothing: readonly Concern[] = [];

/** The annotation of a Service whose pods have been taken away until somebody asks for them; empty as good as absent. */
const idledAnnotation = 'idling.alpha.openshift.io/idled-at';

/** How an idled Service is reached: where it listens for whoever wakes its pods (Route semantics 7.4). */
export type IdledService = {
  /** Empty for a headless Service, which nobody can wake. */
  readonly clusterIp: string;
  /** The ports of the Service itself. */
  readonly ports: readonly SlicePort[];
};

export class ClusterState {
  /** The Routes, each in the version that last changed more than its status: what is derived from it stays good. */
  readonly routes: Map<RouteKey, RouteManifest> = new Map();
  readonly #statuses: Map<RouteKey, RouteStatus> = new Map();
  /** All that there are; null for those that are not idled, of which nothing more is asked. */
  readonly #services: Map<ObjectKey, IdledService | null> = new Map();
  readonly #secrets: Map<ObjectKey, SecretManifest | SecretFault> = new Map();
  readonly #slices: Map<ObjectKey, EndpointSliceManifest> = new Map();
  readonly #slicesByService: Map<ObjectKey, Map<ObjectKey, EndpointSliceManifest>> = new Map();
  readonly #routesBySecret: Map<ObjectKey, Set<RouteKey>> = new Map();
  readonly #routesByService: Map<ObjectKey, Set<RouteKey>> = new Map();

  /** Takes a new version of an object, or its end. Answers what has to be looked at anew. */
  put(key: string, manifest: Manifest | undefined): readonly Concern[] {
    const slash = key.indexOf('/');
    const kind = key.slice(0, slash);
    const name = key.slice(slash + 1);
    switch (kind) {
      case 'Route':
        return this.#putRoute(name as RouteKey, manifest?.kind === 'Route' ? manifest : undefined);
      case 'EndpointSlice':
        return this.#putSlice(name, manifest?.kind === 'EndpointSlice' ? manifest : undefined);
      case 'Secret': {
        const isSecret = manifest?.kind === 'Secret' || manifest?.kind === 'SecretFault';
        replace(this.#secrets, name, isSecret ? manifest : undefined);
        return [...(this.#routesBySecret.get(name) ?? [])].map((route) => ({ kind: 'route', route }));
      }
      case 'Service':
        return this.#putService(name, manifest?.kind === 'Service' ? manifest : undefined);
      default:
        return nothing;
    }
  }

  slicesOf(service: ObjectKey): EndpointSliceManifest[] {
    return [...(this.#slicesByService.get(service)?.values() ?? [])];
  }

  /** The names of Services that a Route refers to and that do not exist. */
  missingServices(route: RouteManifest): string[] {
    return serviceNamesOf(route).filter((name) => !this.#services.has(`${route.namespace}/${name}`));
  }

  /** The names of Services that a Route refers to and that are marked as idled although nothing can wake them. */
  unwakeableServices(route: RouteManifest): string[] {
    return serviceNamesOf(route).filter((name) => isUnwakeable(this.idledService(`${route.namespace}/${name}`)));
  }

  /** A Service that is marked as idled; null for any other. */
  idledService(service: ObjectKey): IdledService | null {
    return this.#services.get(service) ?? null;
  }

  /** The status of a Route in its newest version; undefined for an unknown Route. */
  statusOf(key: RouteKey): RouteStatus | undefined {
    return this.#statuses.get(key);
  }

  /** The Secret that a Route's `externalCertificate` names, or why it cannot be had; undefined where there is none. */
  secretOf(route: RouteManifest): SecretManifest | SecretFault | undefined {
    const key = secretKeyOf(route);
    return key === null ? undefined : this.#secrets.get(key);
  }

  /** The same for the Secret with the CA for client certificates. */
  clientSecretOf(route: RouteManifest): SecretManifest | SecretFault | undefined {
    const key = clientSecretKeyOf(route);
    return key === null ? undefined : this.#secrets.get(key);
  }

  #putRoute(key: RouteKey, route: RouteManifest | undefined): Concern[] {
    const before = this.routes.get(key);
    replace(this.#statuses, key, route?.status);
    if (before !== undefined && route !== undefined && isSameButStatus(before, route)) return [];
    if (before !== undefined) {
      for (const secret of secretKeysOf(before)) removeFrom(this.#routesBySecret, secret, key);
      for (const service of serviceKeysOf(before)) removeFrom(this.#routesByService, service, key);
    }
    if (route !== undefined) {
      for (const secret of secretKeysOf(route)) addTo(this.#routesBySecret, secret, key);
      for (const service of serviceKeysOf(route)) addTo(this.#routesByService, service, key);
    }
    replace(this.routes, key, route);
    return [{ kind: 'route', route: key }];
  }

  /** The ports and pods of a backend are all in its slices: a Service alone compiles nothing unless it is idled. */
  #putService(key: ObjectKey, service: ServiceManifest | undefined): readonly Concern[] {
    const before = this.idledService(key);
    const after = service === undefined ? null : idledFormOf(service);
    replace(this.#services, key, service === undefined ? undefined : after);
    if (isDeepStrictEqual(before, after)) return nothing;
    const concerns: Concern[] = [{ kind: 'service', service: key }];
    // Of what cannot be woken the owners of Routes are told.
    if (isUnwakeable(before) !== isUnwakeable(after)) {
      for (const route of this.#routesByService.get(key) ?? []) concerns.push({ kind: 'route', route });
    }
    return concerns;
  }

  #putSlice(key: ObjectKey, slice: EndpointSliceManifest | undefined): Concern[] {
    const concerned = new Set<ObjectKey>();
    for (const version of [this.#slices.get(key), slice]) {
      if (version !== undefined && version.service !== '') concerned.add(`${version.namespace}/${version.service}`);
    }
    for (const service of concerned) {
      const slices = this.#slicesByService.get(service) ?? new Map<ObjectKey, EndpointSliceManifest>();
      const stays = slice !== undefined && `${slice.namespace}/${slice.service}` === service;
      replace(slices, key, stays ? slice : undefined);
      replace(this.#slicesByService, service, slices.size > 0 ? slices : undefined);
    }
    replace(this.#slices, key, slice);
    return [...concerned].map((service) => ({ kind: 'service', service }));
  }
}

/** The key under which the source tells of a Route. */
export function keyOfRoute(route: RouteManifest): RouteKey {
  return routeKey(route.namespace, route.name);
}

/** Whether two versions of a Route differ in nothing but their status. */
export function isSameButStatus(a: RouteManifest, b: RouteManifest): boolean {
  return isDeepStrictEqual({ ...a, status: null }, { ...b, status: null });
}

/** The Services that a Route refers to, each once. */
function serviceNamesOf({ to, alternateBackends }: RouteManifest): string[] {
  return [to.name, ...alternateBackends.map(({ name }) => name)].filter((name) => name !== '');
}

function serviceKeysOf(route: RouteManifest): ObjectKey[] {
  return serviceNamesOf(route).map((name) => `${route.namespace}/${name}`);
}

function idledFormOf({ annotations, clusterIp, ports }: ServiceManifest): IdledService | null {
  if ((annotations[idledAnnotation] ?? '') === '') return null;
  return {
    clusterIp: clusterIp === 'None' ? '' : clusterIp,
    ports: ports.map(({ name, port, protocol, appProtocol }) => ({ name, port, protocol, appProtocol })),
  };
}

function isUnwakeable(idled: IdledService | null): boolean {
  return idled?.clusterIp === '';
}

/** The annotation of a Route that names the Secret with the CA for client certificates. */
export const clientCaAnnotation = 'headgate.io/client-ca-secret';

/** The Secrets that a Route names, each once. */
export function secretKeysOf(route: RouteManifest): ReadonlySet<ObjectKey> {
  const keys = new Set<ObjectKey>();
  for (const key of [secretKeyOf(route), clientSecretKeyOf(route)]) if (key !== null) keys.add(key);
  return keys;
}

/**
 * The Secret with the CA for client certificates; null where the Route names none, or by no name that a Secret can have, or
 * where TLS does not end at the router.
 */
export function clientSecretKeyOf(route: RouteManifest): ObjectKey | null {
  if (route.tls === null || route.tls.termination === 'passthrough') return null;
  const name = route.annotations[clientCaAnnotation] ?? '';
  return secretNamePattern.test(name) && name.length <= 253 ? `${route.namespace}/${name}` : null;
}

/** What goes into requests to the API server is a name and nothing else. */
const secretNamePattern = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

/** The Secret of a Route's certificate; null where it names none. */
export function secretKeyOf(route: RouteManifest): ObjectKey | null {
  const name = route.tls?.externalCertificate ?? '';
  return name === '' ? null : `${route.namespace}/${name}`;
}

function replace<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set?.delete(value) === true && set.size === 0) map.delete(key);
}
