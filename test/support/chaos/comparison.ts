// Whether a router has come to what the model expects: its table, its verdicts and the statuses that it wrote.

import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../api-server/api-server.ts';
import type { SeenEntry } from '../cluster.ts';
import type { Expected, ExpectedHost, ExpectedRoute } from './model.ts';

/** `/debug/table` of the admin port, sorted out. */
export type SeenTable = {
  readonly hosts: ReadonlyMap<string, SeenHost>;
  readonly backends: ReadonlyMap<string, readonly string[]>;
  readonly certificates: ReadonlyMap<string, string>;
};

type SeenHost = {
  readonly host: string;
  readonly tls: string;
  readonly certificate: string | null;
  readonly paths: readonly (Readonly<Record<string, unknown>> & {
    readonly upstreamTls: { readonly verify: string; readonly authority: string | null } | null;
  })[];
};

type TableEntry =
  | { readonly kind: 'revision' }
  | ({ readonly kind: 'host' } & SeenHost)
  | {
      readonly kind: 'backend';
      readonly id: string;
      readonly endpoints: readonly { readonly id: string }[];
      readonly idled: boolean;
    }
  | { readonly kind: 'certificate'; readonly id: string; readonly holds: string };

/** One Route of `/debug/routes`. */
export type SeenRoute = {
  readonly route: string;
  readonly host: string;
  readonly path: string;
  readonly verdict: string;
  readonly reason: string;
  readonly message: string;
  readonly warnings: readonly string[];
};

export function readTable(entries: readonly TableEntry[]): SeenTable {
  const hosts = new Map<string, SeenHost>();
  const backends = new Map<string, readonly string[]>();
  const certificates = new Map<string, string>();
  for (const entry of entries) {
    if (entry.kind === 'host') hosts.set(entry.host, entry);
    else if (entry.kind === 'backend') {
      const ids = entry.endpoints.map(({ id }) => id).sort();
      backends.set(entry.id, entry.idled ? ['idled', ...ids] : ids);
    } else if (entry.kind === 'certificate') certificates.set(entry.id, entry.holds);
  }
  return { hosts, backends, certificates };
}

/** Where the table is not what it should be, a line each. */
export function tableDifferences(expected: Expected, table: SeenTable): string[] {
  const differences: string[] = [];
  const names = new Names();
  const hosts = new Map([...table.hosts].filter(([host]) => host !== ''));
  compareMaps('host', expected.hosts, hosts, differences, (wanted, seen) => sameHost(wanted, seen, names));
  compareMaps('backend', expected.backends, table.backends, differences, isDeepStrictEqual);
  const fallback = table.hosts.get('')?.certificate;
  if (fallback === undefined || fallback === null) differences.push('there is no default certificate');
  const wanted = new Set([...names.ids, fallback]);
  for (const id of wanted) if (!table.certificates.has(String(id))) differences.push(`certificate ${id} is not there`);
  for (const id of table.certificates.keys()) if (!wanted.has(id)) differences.push(`nobody names certificate ${id}`);
  return differences;
}

/** Fingerprints mean nothing to the model: the same certificate must have the same one, and no other must have it. */
class Names {
  readonly #ids: Map<string, string> = new Map();

  get ids(): Iterable<string> {
    return this.#ids.values();
  }

  fits(name: string | null, id: string | null): boolean {
    if (name === null || id === null) return name === id;
    const known = this.#ids.get(name);
    if (known !== undefined) return known === id;
    const isFree = ![...this.#ids.values()].includes(id);
    if (isFree) this.#ids.set(name, id);
    return isFree;
  }
}

function sameHost(expected: ExpectedHost, seen: SeenHost, names: Names): boolean {
  const paths = seen.paths.map(({ upstreamTls, ...path }) => path);
  const wanted = expected.paths.map(({ authority, ...path }) => path);
  return (
    expected.tls === seen.tls &&
    names.fits(expected.certificate === null ? null : `served ${expected.certificate}`, seen.certificate) &&
    isDeepStrictEqual(paths, wanted) &&
    expected.paths.every(({ authority }, i) => {
      const upstreamTls = seen.paths[i]?.upstreamTls ?? null;
      if (authority === null || upstreamTls === null) return authority === upstreamTls;
      const verify = authority === '' ? 'none' : 'chain';
      const name = authority === '' ? null : `authority ${authority}`;
      return upstreamTls.verify === verify && names.fits(name, upstreamTls.authority);
    })
  );
}

/** Where `/debug/routes` says something else, a line each. */
export function verdictDifferences(expected: Expected, seen: readonly SeenRoute[]): string[] {
  const differences: string[] = [];
  compareMaps(
    'verdict',
    expected.routes,
    new Map(seen.map((each) => [each.route, each])),
    differences,
    (wanted, told) => {
      const { host, path, verdict, reason, warnings } = told;
      return (
        host === wanted.host &&
        path === wanted.path &&
        verdict === (wanted.isAdmitted ? 'admitted' : 'rejected') &&
        reason === wanted.reason &&
        sameMessage(wanted, told.message) &&
        isDeepStrictEqual(warnings, wanted.warnings)
      );
    },
  );
  return differences;
}

/** Where the status of a Route is not what it should be, a line each. `foreignOf`: what other routers have written. */
export function statusDifferences(
  expected: Expected,
  routes: readonly KubeObject[],
  routerName: string,
  foreignOf: (route: KubeObject) => readonly unknown[],
): string[] {
  const differences: string[] = [];
  for (const route of routes) {
    const key = `${route.metadata.namespace}/${route.metadata.name}`;
    const ingress = (route.status?.['ingress'] ?? []) as readonly SeenEntry[];
    const ours = ingress.filter((entry) => entry.routerName === routerName);
    const others = ingress.filter((entry) => entry.routerName !== routerName);
    const wanted = expected.routes.get(key);
    const isRight = wanted === undefined ? ours.length === 0 : ours.length === 1 && says(ours[0], wanted);
    if (!isRight) {
      differences.push(`status of ${key}: expected ${shown(wanted)}, there is ${shown(ours)}`);
    }
    const foreign = foreignOf(route);
    if (!isDeepStrictEqual(others, foreign)) {
      differences.push(`others' entries in ${key}: expected ${shown(foreign)}, there is ${shown(others)}`);
    }
  }
  return differences;
}

function says(entry: SeenEntry | undefined, wanted: ExpectedRoute): boolean {
  if (entry === undefined) return false;
  const admitted = entry.conditions.find(({ type }) => type === 'Admitted');
  const ready = entry.conditions.find(({ type }) => type === 'Ready');
  const status = wanted.isAdmitted ? 'True' : 'False';
  return (
    entry.host === wanted.host &&
    entry.wildcardPolicy === wanted.wildcardPolicy &&
    entry.routerCanonicalHostname === undefined &&
    entry.conditions.length === 2 &&
    entry.conditions.every(({ lastTransitionTime }) => /^[-\d]{10}T[\d:]{8}Z$/.test(lastTransitionTime ?? '')) &&
    admitted?.status === status &&
    (admitted.reason ?? '') === wanted.reason &&
    sameMessage(wanted, admitted.message ?? '') &&
    ready?.status === status &&
    ready.message === `generation ${wanted.generation}`
  );
}

function sameMessage(wanted: ExpectedRoute, message: string): boolean {
  return wanted.message === null ? message !== '' : message === wanted.message;
}

function compareMaps<Wanted, Seen>(
  what: string,
  wanted: ReadonlyMap<string, Wanted>,
  seen: ReadonlyMap<string, Seen>,
  differences: string[],
  isSame: (wanted: Wanted, seen: Seen) => boolean,
): void {
  for (const key of new Set([...wanted.keys(), ...seen.keys()])) {
    const [want, see] = [wanted.get(key), seen.get(key)];
    if (want !== undefined && see !== undefined && isSame(want, see)) continue;
    differences.push(`${what} ${key}: expected ${shown(want)}, there is ${shown(see)}`);
  }
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? 'nothing';
}
