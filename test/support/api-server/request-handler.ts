// Where a request goes: who asks, for what, whether they may, and who answers it.

import type { Call, Connections, Reply } from './connections.ts';
import { Exchange } from './exchange.ts';
import type { Faults } from './faults.ts';
import { listBody, listPage, parseSelection, type Selection } from './lists.ts';
import type { ObjectStore } from './object-store.ts';
import { projectBody, projectListBody } from './projects.ts';
import type { RequestLog } from './request-log.ts';
import {
  type Kind,
  openshiftRouteFields,
  parseTarget,
  type ResourceType,
  resourceTypes,
  type Target,
} from './resources.ts';
import { type Access, reviewed, reviewOf } from './reviews.ts';
import {
  badRequest,
  faultStatus,
  forbidden,
  methodNotAllowed,
  noSuchResource,
  notFound,
  pageNotFound,
  unauthorized,
} from './status.ts';
import { type OpenWatches, parseWatchOptions, tooOldToWatch, Watch } from './watches.ts';
import { createObject, deleteObject, patchObject, replaceObject, subjectOf, type Write } from './writes.ts';

/** Everything that requests work on. */
export type Cluster = {
  readonly store: ObjectStore;
  readonly watches: OpenWatches;
  readonly faults: Faults;
  readonly log: RequestLog;
  readonly settings: Settings;
};

export type Settings = {
  readonly bookmarkMs: number;
  readonly selectableRouteFields: boolean;
  /** Kinds that the cluster does not know: their paths are 404. */
  readonly absent: Set<Kind | 'Project'>;
  /** Null where the token is nobody's. */
  readonly userOf: (token: string) => string | null;
  allow: (request: Access & { readonly user: string }) => boolean;
  sarAllows: (user: string, access: Access, groups: readonly string[]) => boolean;
};

const version = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.0',
  gitCommit: '0000000000000000000000000000000000000000',
  gitTreeState: 'clean',
  buildDate: '2026-04-22T00:00:00Z',
  goVersion: 'go1.26.0',
  compiler: 'gc',
  platform: 'linux/amd64',
};

const ofCollections: Readonly<Record<string, Write>> = { create: createObject };
const ofObjects: Readonly<Record<string, Write>> = { update: replaceObject, patch: patchObject, delete: deleteObject };

export class RequestHandler {
  readonly #cluster: Cluster;
  readonly #connections: Connections;

  constructor(cluster: Cluster, connections: Connections) {
    this.#cluster = cluster;
    this.#connections = connections;
  }

  async handle(call: Call, reply: Reply): Promise<void> {
    const url = URL.parse(call.url ?? '', 'https://api') ?? new URL('https://api');
    const target = parseTarget(url.pathname);
    const exchange = new Exchange(call, reply, url, target, this.#connections, this.#cluster.log);
    try {
      if (!(await exchange.readBody())) return;
      exchange.entry.user = this.#authenticate(call, target === null);
      if (target === null) await servePage(exchange);
      else if (this.#faultSpares(exchange)) await this.#serveResource(exchange, target);
    } catch (error) {
      exchange.refuse(error);
    }
  }

  /** The pages that tell of the server's health and version are for everybody. */
  #authenticate(call: Call, isPage: boolean): string {
    const header = call.headers['authorization'];
    if (header === undefined && isPage) return 'system:anonymous';
    const token = /^Bearer +(\S+)$/i.exec(String(header ?? ''))?.[1];
    const user = token === undefined ? null : this.#cluster.settings.userOf(token);
    if (user === null) throw unauthorized();
    return user;
  }

  /** False where a fault has put an end to the request. */
  #faultSpares(exchange: Exchange): boolean {
    const { entry, group } = exchange;
    const type = resourceTypes.find((candidate) => candidate.group === group && candidate.plural === entry.resource);
    const effect = this.#cluster.faults.take({ ...entry, kind: type?.kind ?? null });
    exchange.effect = effect;
    if (effect?.kind === 'status') {
      if (effect.code === 403) throw forbidden({ ...entry, group });
      throw faultStatus(effect.code, effect.retryAfterSeconds ?? null, effect.isText ?? false);
    }
    if (effect?.kind === 'drop') exchange.cut('rst');
    if (effect?.kind === 'page') exchange.answerPage(effect.code);
    return effect === null || !['drop', 'hang', 'page'].includes(effect.kind);
  }

  async #serveResource(exchange: Exchange, target: Target): Promise<void> {
    const { absent, allow, sarAllows, userOf } = this.#cluster.settings;
    const { entry, group } = exchange;
    if (!isServed(target, absent)) throw pageNotFound();
    const access = { ...entry, group };
    if (!allow(access)) throw forbidden(access);
    const type = resourceTypes.find((candidate) => candidate.group === group && candidate.plural === target.resource);
    if (type !== undefined) return this.#serveObjects(exchange, target, type);
    const review = reviewOf(group, target.resource);
    if (review !== null) {
      if (entry.verb !== 'create') throw methodNotAllowed();
      const oracle = { user: entry.user, sarAllows, userOf };
      return exchange.answer(201, reviewed(group, review, exchange.body, oracle));
    }
    if (group === 'project.openshift.io' && target.resource === 'projects')
      return this.#serveProjects(exchange, target);
    throw noSuchResource();
  }

  async #serveObjects(exchange: Exchange, target: Target, type: ResourceType): Promise<void> {
    const { verb } = exchange.entry;
    if (target.subresource !== '' && !(type.statusSubresource && target.subresource === 'status')) {
      throw noSuchResource();
    }
    if (verb === 'list') return this.#list(exchange, target, type);
    if (verb === 'watch') return this.#watch(exchange, target, type);
    if (verb !== 'get') return this.#write(exchange, target, type);
    const object = this.#cluster.store.get(type.kind, type.namespaced ? target.namespace : '', target.name);
    if (object === null) throw notFound(subjectOf(type), target.name);
    return exchange.answer(200, `${object.json}\n`);
  }

  async #write(exchange: Exchange, target: Target, type: ResourceType): Promise<void> {
    const write = (target.name === '' ? ofCollections : ofObjects)[exchange.entry.verb];
    if (write === undefined || (type.namespaced && target.namespace === '')) throw methodNotAllowed();
    // Where a client asks only to be told what would happen, storing it would be the wrong answer in silence.
    if (exchange.query.has('dryRun')) throw badRequest('dryRun is not served by the API server for tests');
    const { contentType } = exchange.entry;
    const { code, body } = write(this.#cluster.store, { type, target, contentType, body: exchange.body });
    return exchange.answer(code, body);
  }

  async #list(exchange: Exchange, target: Target, type: ResourceType): Promise<void> {
    const { store } = this.#cluster;
    const selection = this.#selection(exchange, target, type);
    const asked = exchange.effect?.kind === 'emptyList' ? nothing : selection;
    const page = listPage(store.collection(type.kind), store.resourceVersion, asked, exchange.query);
    return exchange.answer(200, listBody(type, page));
  }

  #selection({ query }: Exchange, target: Target, type: ResourceType): Selection {
    const more = type.kind === 'Route' && this.#cluster.settings.selectableRouteFields ? openshiftRouteFields : [];
    return parseSelection(type, type.namespaced ? target.namespace : '', query, [...type.fields, ...more]);
  }

  async #watch(exchange: Exchange, target: Target, type: ResourceType): Promise<void> {
    const { store, watches, log, settings } = this.#cluster;
    const { reply, entry } = exchange;
    const options = parseWatchOptions(exchange.query, store.resourceVersion);
    const selection = this.#selection(exchange, target, type);
    await exchange.slowDown();
    if (exchange.isOver) return;
    const watch = new Watch(type, selection, options, store, {
      write: (text, written) => void reply.write(text, written),
      end: () => void reply.end(),
      destroy: (how) => exchange.cut(how),
    });
    watches.add(watch);
    entry.isOpen = true;
    reply.on('close', () => {
      watch.over();
      watches.remove(watch);
      entry.isOpen = false;
      log.changed();
    });
    exchange.open(200);
    const collection = store.collection(type.kind);
    const tooOld = tooOldToWatch(collection, options);
    // Past the checks of who and what, a watch is refused by an event: the answer to it is 200 all the same.
    if (tooOld === null) watch.begin(collection, settings.bookmarkMs);
    else watch.fail(tooOld);
    log.changed();
  }

  async #serveProjects(exchange: Exchange, target: Target): Promise<void> {
    const { store, settings } = this.#cluster;
    const { entry, query } = exchange;
    const getting = { user: entry.user, verb: 'get', group: '', resource: 'namespaces', subresource: '' };
    const isVisible = (name: string): boolean => settings.allow({ ...getting, namespace: name, name });
    const namespaces = store.collection('Namespace');
    if (entry.verb === 'get') return exchange.answer(200, projectBody(namespaces, target.name, isVisible));
    if (entry.verb !== 'list') throw methodNotAllowed();
    return exchange.answer(200, projectListBody(namespaces, store.resourceVersion, query, isVisible));
  }
}

const nothing: Selection = { isInScope: () => false, matches: () => false, isPartial: false };

async function servePage(exchange: Exchange): Promise<void> {
  const { path } = exchange.entry;
  if (path === '/version') return exchange.answer(200, `${JSON.stringify(version, null, 2)}\n`);
  if (!['/readyz', '/livez', '/healthz'].includes(path)) throw pageNotFound();
  return exchange.answer(200, 'ok', 'text/plain; charset=utf-8');
}

/** A group is served as long as one of its kinds is there. */
function isServed({ group, version: asked, resource }: Target, absent: ReadonlySet<Kind | 'Project'>): boolean {
  if (asked !== 'v1') return false;
  if (group === 'project.openshift.io') return !absent.has('Project');
  if (reviewOf(group, resource) !== null) return true;
  const types = resourceTypes.filter((type) => type.group === group && !absent.has(type.kind));
  return types.some((type) => type.plural === resource || !resourceTypes.some(({ plural }) => plural === resource));
}
