// Which Routes are ours (Route semantics 3), and under which host. Routes and Namespaces go in as the source tells them;
// Routes of the shard come out, and their end when they leave it, for whatever reason.

import { createHash } from 'node:crypto';
import type { FieldRequirement, LabelRequirement } from '../config/selectors.ts';
import type { ManifestEvent, ManifestKey, RouteManifest } from '../source/manifests.ts';
import { type Host, parentOf } from '../table/host.ts';
import { isSameButStatus } from './cluster-state.ts';
import { type HostNaming, named } from './host-naming.ts';

/** The settings that select. */
export type ShardSettings = HostNaming & {
  readonly namespace: string;
  readonly routeLabels: readonly LabelRequirement[];
  readonly routeFields: readonly FieldRequirement[];
  readonly namespaceLabels: readonly LabelRequirement[];
  readonly projectLabels: readonly LabelRequirement[] | null;
  readonly allowWildcardRoutes: boolean;
  readonly shardCount: number;
  readonly shardIndex: number;
};

export class Shard {
  readonly #settings: ShardSettings;
  /** What a Namespace must have to be ours; null where all are. */
  readonly #namespaceLabels: readonly LabelRequirement[] | null;
  readonly #namespaces: Set<string> = new Set();
  /** Every Route that was told, ours or not: a Namespace may join. */
  readonly #offered: Map<string, Map<ManifestKey, RouteManifest>> = new Map();
  readonly #ours: Set<ManifestKey> = new Set();

  constructor(settings: ShardSettings) {
    this.#settings = settings;
    const { namespaceLabels, projectLabels } = settings;
    this.#namespaceLabels = namespaceLabels.length > 0 ? namespaceLabels : projectLabels;
  }

  /** What an event means for the shard: Routes that come, change or go. Other objects pass as they are. */
  put(event: ManifestEvent): ManifestEvent[] {
    const [kind = '', namespace = ''] = event.key.split('/', 2);
    if (kind === 'Route') return this.#putRoute(event.key, namespace, event.manifest);
    return kind === 'Namespace' ? this.#putNamespace(namespace, event.manifest) : [event];
  }

  /** Whether everything that can be seen is ours, so that nothing can be left over in the status of others' Routes. */
  get isWhole(): boolean {
    const { routeLabels, routeFields, shardCount } = this.#settings;
    const bySelector = routeLabels.length > 0 || routeFields.length > 0 || this.#namespaceLabels !== null;
    return !bySelector && shardCount === 1;
  }

  /** Whether a Route, as the API server has it, is ours. */
  selects(route: RouteManifest): boolean {
    const { namespace, routeLabels, routeFields, shardCount, shardIndex } = this.#settings;
    return (
      (namespace === '' || route.namespace === namespace) &&
      (this.#namespaceLabels === null || this.#namespaces.has(route.namespace)) &&
      matchesLabels(routeLabels, route.labels) &&
      matchesFields(routeFields, route) &&
      (shardCount === 1 || shardOf(this.#placeOf(route), shardCount) === shardIndex)
    );
  }

  #putRoute(key: ManifestKey, namespace: string, manifest: ManifestEvent['manifest']): ManifestEvent[] {
    const offered = this.#offered.get(namespace) ?? new Map<ManifestKey, RouteManifest>();
    const route = manifest?.kind === 'Route' ? sharing(offered.get(key), manifest) : undefined;
    if (route === undefined) offered.delete(key);
    else offered.set(key, route);
    if (offered.size === 0) this.#offered.delete(namespace);
    else this.#offered.set(namespace, offered);
    return this.#decide(key, route);
  }

  #putNamespace(name: string, manifest: ManifestEvent['manifest']): ManifestEvent[] {
    if (this.#namespaceLabels === null) return [];
    const isOurs = manifest?.kind === 'Namespace' && matchesLabels(this.#namespaceLabels, manifest.labels);
    if (isOurs === this.#namespaces.has(name)) return [];
    if (isOurs) this.#namespaces.add(name);
    else this.#namespaces.delete(name);
    return [...(this.#offered.get(name) ?? [])].flatMap(([key, route]) => this.#decide(key, route));
  }

  #decide(key: ManifestKey, route: RouteManifest | undefined): ManifestEvent[] {
    if (route !== undefined && this.selects(route)) {
      this.#ours.add(key);
      return [{ key, manifest: named(route, this.#settings) }];
    }
    return this.#ours.delete(key) ? [{ key, manifest: undefined }] : [];
  }

  /** What all Routes that must stay together have in common: their host, or its domain where a wildcard may concern it. */
  #placeOf(route: RouteManifest): string {
    const host = named(route, this.#settings).host.toLowerCase();
    if (host === '') return `${route.namespace}/${route.name}`;
    return this.#settings.allowWildcardRoutes ? parentOf(host as Host) : host;
  }
}

/** A Route's newest version, with the texts of the last one where only its status differs: certificates are not kept twice. */
function sharing(before: RouteManifest | undefined, route: RouteManifest): RouteManifest {
  return before !== undefined && isSameButStatus(before, route) ? { ...before, status: route.status } : route;
}

/** Whether labels meet all requirements, as the API server decides it. */
export function matchesLabels(
  requirements: readonly LabelRequirement[],
  labels: Readonly<Record<string, string>>,
): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'exists':
        return value !== undefined;
      case 'absent':
        return value === undefined;
      case 'in':
        return value !== undefined && values.includes(value);
      case 'not-in':
        return value === undefined || !values.includes(value);
      case 'greater':
        return isWhole(value) && BigInt(value) > BigInt(values[0] ?? '');
      case 'less':
        return isWhole(value) && BigInt(value) < BigInt(values[0] ?? '');
      default:
        return operator satisfies never;
    }
  });
}

/** Whether the value of a label is a whole number of 64 bits; another is neither greater nor less than anything. */
function isWhole(value: string | undefined): value is string {
  return value !== undefined && /^\d+$/.test(value) && BigInt(value) < 2n ** 63n;
}

function matchesFields(requirements: readonly FieldRequirement[], route: RouteManifest): boolean {
  return requirements.every(({ field, equal, value }) => (fieldOf(route, field) === value) === equal);
}

function fieldOf(route: RouteManifest, field: FieldRequirement['field']): string {
  switch (field) {
    case 'metadata.name':
      return route.name;
    case 'metadata.namespace':
      return route.namespace;
    case 'spec.host':
      return route.host;
    case 'spec.path':
      return route.path;
    case 'spec.to.name':
      return route.to.name;
  }
}

/**
 * The shard with the highest hash of shard and place (rendezvous hashing): with one shard more, a place either stays where it
 * is or moves to the new one, and 1/N of them do.
 */
export function shardOf(place: string, count: number): number {
  let best = 0;
  let highest = '';
  for (let index = 0; index < count; index++) {
    const weight = createHash('sha256').update(`${index} ${place}`).digest('hex');
    if (weight > highest) [best, highest] = [index, weight];
  }
  return best;
}
