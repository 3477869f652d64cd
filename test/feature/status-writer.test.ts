import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { desiredEntry, withEntry } from '../../src/controller/ingress-entry.ts';
import type { KnownVerdict } from '../../src/controller/reconciler.ts';
import { findStale } from '../../src/controller/status-sweep.ts';
import { type StatusSettings, StatusWriter } from '../../src/controller/status-writer.ts';
import { rejected, type Verdict } from '../../src/controller/verdict.ts';
import { ApiClient } from '../../src/source/kube/api-client.ts';
import { Informer } from '../../src/source/kube/informer.ts';
import { RouteApi } from '../../src/source/kube/route-api.ts';
import type { IngressEntry, ManifestEvent, RouteManifest, RouteStatus } from '../../src/source/manifests.ts';
import type { RouteKey } from '../../src/table/entries.ts';
import type { Log, LogFields } from '../../src/telemetry/log.ts';
import { type MetricName, Metrics } from '../../src/telemetry/metrics.ts';
import { ApiServer, type KubeObject, type LoggedRequest } from '../support/api-server/api-server.ts';
import { untilSo } from '../support/until.ts';

const admitted: Verdict = { kind: 'admitted', warnings: [] };
const claimed = rejected('HostAlreadyClaimed', 'route o already exposes a.test and is older');
const quick: StatusSettings = { routerName: 'ours', canonicalHostname: 'router.apps.test', statusRate: 1000 };
const before = '2024-01-01T00:00:00Z';

const keyOf = (name: string): RouteKey => `shop/${name}` as RouteKey;

class Recorder implements Log {
  readonly lines: { readonly level: string; readonly fields: LogFields; readonly message: string }[] = [];
  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }
  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }
  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }
  with(): Log {
    return this;
  }
  of(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }
}

/** A StatusWriter with what is around it in the controller: an Informer that tells it of Routes, and Verdicts. */
class Replica implements AsyncDisposable {
  readonly server: ApiServer;
  readonly log: Recorder = new Recorder();
  readonly metrics: Metrics = new Metrics();
  readonly api: RouteApi;
  readonly writer: StatusWriter;
  readonly settings: StatusSettings;
  readonly routes: Map<RouteKey, RouteManifest> = new Map();
  readonly #statuses: Map<RouteKey, RouteStatus> = new Map();
  readonly #verdicts: Map<RouteKey, KnownVerdict> = new Map();
  readonly #client: ApiClient;
  readonly #informer: Informer;
  readonly #directory: string;
  readonly #looks: Set<() => void> = new Set();
  #held: ManifestEvent[] | null = null;
  readonly #foreign: Set<RouteKey> = new Set();
  #markers = 0;
  #owned: AsyncDisposable | null = null;

  constructor(server: ApiServer, directory: string, settings: StatusSettings) {
    this.server = server;
    this.settings = settings;
    this.#directory = directory;
    this.#client = new ApiClient({ kubeconfig: join(directory, 'kubeconfig'), apiServer: '' });
    this.api = new RouteApi(this.#client, settings.routerName);
    const subject = {
      routeOf: (key: RouteKey) => this.routes.get(key),
      statusOf: (key: RouteKey) => this.#statuses.get(key),
      verdictOf: (key: RouteKey) => this.#verdicts.get(key),
    };
    this.writer = new StatusWriter(this.api, settings, subject, this.log, this.metrics);
    this.#informer = new Informer({
      client: this.#client,
      resource: { apiVersion: 'route.openshift.io/v1', kind: 'Route', path: '/apis/route.openshift.io/v1/routes' },
      labelSelector: '',
      fieldSelector: '',
      inactivityMs: 60_000,
      pollMs: null,
      onMissing: null,
      onEvents: (events) => (this.#held === null ? this.#take(events) : this.#held.push(...events)),
      onSynced: () => {},
      onProblem: () => {},
    });
  }

  static async on(server: ApiServer, settings: Partial<StatusSettings> = {}): Promise<Replica> {
    const directory = await mkdtemp(join(tmpdir(), 'status-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    const replica = new Replica(server, directory, { ...quick, ...settings });
    replica.#informer.start();
    await server.until((requests) => requests.some(({ verb, isOpen }) => verb === 'watch' && isOpen));
    await replica.knows(...server.list('Route').map(({ metadata }) => metadata.name));
    return replica;
  }

  /** One on a server of its own that has these Routes. */
  static async with(
    names: readonly string[],
    settings: Partial<StatusSettings> = {},
    ingress: readonly IngressEntry[] = [],
  ): Promise<Replica> {
    const server = await ApiServer.start();
    for (const name of names) addRoute(server, name, ingress);
    const replica = await Replica.on(server, settings);
    replica.#owned = server;
    return replica;
  }

  /** Resolves when these Routes have been told of. */
  async knows(...names: readonly string[]): Promise<void> {
    await this.until(() => names.every((name) => this.routes.has(keyOf(name))));
  }

  /** What comes over the watch waits from now on until `release`. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    this.#take(held);
  }

  /** Passes a Verdict that is in force everywhere. */
  decide(name: string, verdict: Verdict = admitted, isFirst = false): void {
    const key = keyOf(name);
    const { generation = 0, uid = '' } = this.routes.get(key) ?? {};
    this.#verdicts.set(key, { verdict, revision: { epoch: 1, counter: 1 }, generation, uid });
    this.writer.inForce(key, isFirst);
  }

  /** What this router's entry should be, in a list of others. */
  entryFor(name: string, verdict: Verdict = admitted, others: readonly IngressEntry[] = []): IngressEntry[] {
    const route = this.routes.get(keyOf(name));
    if (route === undefined) throw new Error(`no Route ${name}`);
    return withEntry(others, desiredEntry(route, verdict, route.generation, this.settings), before);
  }

  get patches(): LoggedRequest[] {
    return this.server.requests.filter(({ verb }) => verb === 'patch');
  }

  patchesOf(name: string): number[] {
    return this.patches.filter((request) => request.name === name).map(({ status }) => status);
  }

  /** Resolves when something is so, which is asked again with all that the server and this replica see. */
  until(isSo: () => boolean, ms: number = 10_000): Promise<void> {
    return untilSo(this.server, this.#looks, isSo, ms);
  }

  /** Resolves when the status of a Route is what it should be, here and on the server. */
  async told(name: string, verdict: Verdict = admitted): Promise<void> {
    await this.until(() => {
      const [entry] = ingressOf(this.server, name).filter(({ routerName }) => routerName === this.settings.routerName);
      const conditions = (entry?.['conditions'] ?? []) as { type: string; status: string; message?: string }[];
      const found = conditions.find(({ type }) => type === 'Admitted');
      if (found?.status !== (verdict.kind === 'admitted' ? 'True' : 'False')) return false;
      return verdict.kind === 'admitted' || found.message === verdict.message;
    });
  }

  /** Resolves when all that was to be done before has been done: a Route that comes now is written after it. */
  async settled(): Promise<void> {
    const name = `marker-${this.#markers++}`;
    addRoute(this.server, name);
    await this.knows(name);
    this.decide(name);
    await this.told(name);
    await turn();
  }

  setStatus(name: string, status: RouteStatus): void {
    this.#statuses.set(keyOf(name), status);
  }

  /** The Route is not ours any more, though it is still there. */
  leave(name: string): void {
    this.routes.delete(keyOf(name));
    this.#statuses.delete(keyOf(name));
    this.#verdicts.delete(keyOf(name));
    this.#foreign.add(keyOf(name));
    this.writer.left(keyOf(name));
  }

  /** Resolves when nothing is planned or under way. */
  async idle(): Promise<void> {
    while (this.pending > 0) await turn();
  }

  /** A status write of another client, which keeps all entries but its own. */
  write(name: string, ingress: readonly IngressEntry[]): void {
    writeIngress(this.server, name, ingress);
  }

  count(name: MetricName, ...labels: readonly string[]): number {
    return this.metrics.series(name, ...labels).value;
  }

  get pending(): number {
    return this.metrics.snapshot().find(({ name }) => name === 'headgate_status_pending')?.values[0] ?? -1;
  }

  #take(events: readonly ManifestEvent[]): void {
    for (const { key, manifest } of events) {
      const route = key.slice('Route/'.length) as RouteKey;
      if (this.#foreign.has(route)) continue;
      const known = this.#statuses.get(route);
      if (manifest?.kind === 'Route') {
        this.routes.set(route, manifest);
        this.#statuses.set(route, manifest.status);
        this.writer.seen(route, known);
      } else {
        this.routes.delete(route);
        this.#statuses.delete(route);
        this.#verdicts.delete(route);
        this.writer.left(route);
      }
    }
    for (const look of this.#looks) look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.writer.close();
    this.#client.close();
    await this.#informer.close();
    await this.#owned?.[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

function addRoute(
  server: ApiServer,
  name: string,
  ingress: readonly IngressEntry[] = [],
  host = `${name}.test`,
): KubeObject {
  return server.create({
    kind: 'Route',
    metadata: { name, namespace: 'shop' },
    spec: { host, to: { kind: 'Service', name: 'svc' } },
    ...(ingress.length === 0 ? {} : { status: { ingress } }),
  });
}

function ingressOf(server: ApiServer, name: string): IngressEntry[] {
  return (server.get('Route', 'shop', name)?.status?.['ingress'] ?? []) as IngressEntry[];
}

function writeIngress(server: ApiServer, name: string, ingress: readonly IngressEntry[]): void {
  server.update('Route', 'shop', name, (draft) => {
    draft.status = { ingress };
  });
}

/** What another router wrote, in its own way. */
const foreign: IngressEntry = {
  routerName: 'default',
  wildcardPolicy: 'None',
  host: 'other.test',
  conditions: [{ lastTransitionTime: before, type: 'Admitted', status: 'True', 'x-more': { a: [null, 1] } }],
  someday: true,
};
/** Our entry, as another router with our name would have it. */
const disputed: IngressEntry = { routerName: 'ours', host: 'disputed.test', conditions: [], wildcardPolicy: 'None' };

describe.concurrent('Verdicts in status (Route semantics 2.5, 8.10)', () => {
  test('L4 written once, and not again', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a', claimed);
    await replica.told('a', claimed);
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200]);
    const [entry] = ingressOf(replica.server, 'a');
    expect(entry).toEqual({
      host: 'a.test',
      routerName: 'ours',
      conditions: [
        {
          type: 'Admitted',
          status: 'False',
          reason: 'HostAlreadyClaimed',
          message: claimed.kind === 'rejected' ? claimed.message : '',
          lastTransitionTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        },
        { type: 'Ready', status: 'False', message: 'generation 1', lastTransitionTime: expect.any(String) },
      ],
      wildcardPolicy: 'None',
      routerCanonicalHostname: 'router.apps.test',
    });
    const [patch] = replica.patches;
    expect(patch).toMatchObject({ subresource: 'status', contentType: 'application/merge-patch+json' });
    await replica.idle();
    expect(replica.count('headgate_status_writes_total', 'written')).toBe(2);
    expect(replica.log.lines).toEqual([]);
  });

  test('L1, L5 what is right already is not written', async () => {
    await using replica = await Replica.with(['a', 'b']);
    replica.write('a', replica.entryFor('a', admitted, [foreign]));
    replica.write('b', replica.entryFor('b', claimed));
    await replica.until(() => replica.routes.get(keyOf('b'))?.status.ingress.length === 1);
    replica.decide('a', admitted, true);
    replica.decide('b', claimed);
    await replica.settled();
    expect([...replica.patchesOf('a'), ...replica.patchesOf('b')]).toEqual([]);
    // Whoever wrote it has told of it, too.
    expect(replica.server.list('Event')).toEqual([]);
  });

  test('L8 only our entry changes; the others stay as they are, in their order', async () => {
    const list = [foreign, disputed, { ...foreign, routerName: 'third' }];
    await using replica = await Replica.with(['a'], {}, list);
    replica.decide('a');
    await replica.told('a');
    const written = ingressOf(replica.server, 'a');
    expect(written.map(({ routerName }) => routerName)).toEqual(['default', 'ours', 'third']);
    expect([written[0], written[2]].map((entry) => JSON.stringify(entry))).toEqual(
      [list[0], list[2]].map((entry) => JSON.stringify(entry)),
    );
  });

  test('nothing is told before a Verdict is in force', async () => {
    await using replica = await Replica.with(['a']);
    replica.write('a', [foreign]);
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([]);
  });

  test('a newer generation waits for its own Verdict', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a', claimed);
    await replica.told('a', claimed);
    replica.server.update('Route', 'shop', 'a', { spec: { host: 'new.test' } });
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200]);
    replica.decide('a');
    await replica.told('a');
    expect(ingressOf(replica.server, 'a')[0]).toMatchObject({
      host: 'new.test',
      conditions: [{ status: 'True' }, { message: 'generation 2' }],
    });
  });

  test('another Route of the same name and generation waits for its own Verdict', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a');
    await replica.told('a');
    await replica.settled();
    // The watch was away: the end of the first is never told.
    replica.hold();
    replica.server.delete('Route', 'shop', 'a');
    const { uid = '' } = addRoute(replica.server, 'a', [], 'claimed.test').metadata;
    const route = replica.routes.get(keyOf('a')) as RouteManifest;
    const { resourceVersion = '' } = replica.server.get('Route', 'shop', 'a')?.metadata ?? {};
    const known = route.status;
    replica.routes.set(keyOf('a'), { ...route, uid, host: 'claimed.test', status: { resourceVersion, ingress: [] } });
    replica.setStatus('a', { resourceVersion, ingress: [] });
    replica.writer.seen(keyOf('a'), known);
    const name = 'marker';
    addRoute(replica.server, name);
    replica.routes.set(keyOf(name), {
      ...route,
      name,
      status: { resourceVersion: replica.server.resourceVersion, ingress: [] },
    });
    replica.setStatus(name, { resourceVersion: replica.server.resourceVersion, ingress: [] });
    replica.decide(name);
    await replica.told(name);
    expect(replica.patchesOf('a')).toEqual([200]);
  });

  test('L2 another host on the same Route is put right', async () => {
    await using replica = await Replica.with(['a'], {}, [disputed]);
    replica.decide('a');
    await replica.until(() => ingressOf(replica.server, 'a')[0]?.['host'] === 'a.test');
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200]);
  });

  test('nothing is written after the end', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a');
    replica.writer.close();
    replica.decide('a', claimed);
    await turn();
    await turn();
    expect(replica.patches).toEqual([]);
  });
});

describe.concurrent('others write at the same time', () => {
  test('L3 a conflict is dropped; the newer Route brings the question anew', async () => {
    await using replica = await Replica.with(['a']);
    replica.hold();
    replica.write('a', [foreign]);
    replica.decide('a');
    await replica.until(() => replica.patchesOf('a')[0] === 409);
    expect(ingressOf(replica.server, 'a')).toEqual([foreign]);
    replica.release();
    await replica.told('a');
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([409, 200]);
    expect(ingressOf(replica.server, 'a')[0]).toEqual(foreign);
    expect(replica.count('headgate_status_writes_total', 'conflict')).toBe(1);
    expect(replica.log.lines).toEqual([]);
  });

  test('a Route that is gone', async () => {
    await using replica = await Replica.with(['a']);
    replica.hold();
    replica.server.delete('Route', 'shop', 'a');
    replica.decide('a');
    await replica.until(() => replica.patchesOf('a')[0] === 404);
    replica.release();
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([404]);
    expect(replica.count('headgate_status_writes_total', 'gone')).toBe(1);
    expect(replica.log.lines).toEqual([]);
  });

  test('L23 a sibling was faster: what was planned is dropped', async () => {
    await using replica = await Replica.with(['a', 'b'], { statusRate: 1 });
    replica.decide('a');
    replica.decide('b');
    await replica.told('a');
    // The second would be written a second later.
    replica.write('b', replica.entryFor('b', admitted, [foreign]));
    await replica.until(() => replica.routes.get(keyOf('b'))?.status.ingress.length === 2);
    expect(replica.pending).toBeLessThanOrEqual(1);
    await replica.settled();
    expect(replica.patchesOf('b')).toEqual([]);
    expect(replica.log.lines).toEqual([]);
  });

  test('the same twice, before its echo: one write', async () => {
    await using replica = await Replica.with(['a']);
    replica.hold();
    replica.decide('a', admitted, true);
    replica.decide('a');
    await replica.told('a');
    await replica.idle();
    replica.release();
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200]);
  });

  test('two replicas tell each Route once', async () => {
    const server = await ApiServer.start();
    await using _ = server;
    const names = Array.from({ length: 20 }, (_, i) => `r${i}`);
    for (const name of names) addRoute(server, name, [foreign]);
    await using one = await Replica.on(server);
    await using two = await Replica.on(server);
    for (const name of names) for (const replica of [one, two]) replica.decide(name, claimed, true);
    for (const name of names) await one.told(name, claimed);
    await one.settled();
    await two.knows('marker-0');
    const patches = one.patches.filter(({ name }) => !name.startsWith('marker'));
    expect(patches.filter(({ status }) => status === 200)).toHaveLength(names.length);
    expect(patches.filter(({ status }) => ![200, 409].includes(status))).toEqual([]);
    for (const name of names)
      expect(ingressOf(server, name).map(({ routerName }) => routerName)).toEqual(['default', 'ours']);
    expect([...one.log.lines, ...two.log.lines]).toEqual([]);
    expect(server.list('Event')).toHaveLength(names.length);
  });
});

describe.concurrent('another router under the same name', () => {
  const contested = /disagrees; leaving this route alone/;

  test('L9, L10 put right once, then left alone, and said aloud', async () => {
    await using replica = await Replica.with(['a']);
    replica.write('a', replica.entryFor('a'));
    await replica.until(() => replica.routes.get(keyOf('a'))?.status.ingress.length === 1);
    replica.decide('a');
    replica.write('a', [disputed]);
    await replica.told('a');
    await replica.settled();
    expect(replica.log.lines).toEqual([]);
    replica.write('a', [disputed]);
    await replica.until(() => replica.log.lines.length > 0);
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200]);
    expect(replica.log.of('warn')).toEqual([expect.stringMatching(contested)]);
    expect(replica.log.lines[0]?.fields).toEqual({ route: 'shop/a', routerName: 'ours' });
    // Not again and again for the same Route as it stays.
    replica.server.patchMeta('Route', 'shop', 'a', { labels: { a: '1' } });
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200]);
    expect(replica.log.lines).toHaveLength(1);
  });

  test('L7 two with different settings: both come to rest', async () => {
    const server = await ApiServer.start();
    await using _ = server;
    addRoute(server, 'a');
    await using one = await Replica.on(server);
    await using two = await Replica.on(server, { canonicalHostname: 'two.apps.test' });
    one.decide('a');
    await one.told('a');
    await two.until(() => two.routes.get(keyOf('a'))?.status.ingress.length === 1);
    two.decide('a');
    await one.until(() => one.log.lines.length > 0);
    await one.settled();
    expect(one.patchesOf('a')).toEqual([200, 200]);
    expect(ingressOf(server, 'a')).toMatchObject([{ routerCanonicalHostname: 'two.apps.test' }]);
    expect([one.log.of('warn').length, two.log.lines.length]).toEqual([1, 0]);
  });

  test('L11 changes of the Route itself are no dispute', async () => {
    await using replica = await Replica.with(['a']);
    for (let i = 0; i < 6; i++) {
      replica.decide('a', i % 2 === 0 ? admitted : claimed);
      await replica.told('a', i % 2 === 0 ? admitted : claimed);
      await replica.until(() =>
        JSON.stringify(replica.routes.get(keyOf('a'))?.status.ingress).includes(`generation ${i + 1}`),
      );
      replica.server.update('Route', 'shop', 'a', { spec: { host: `h${i}.test` } });
      await replica.until(() => replica.routes.get(keyOf('a'))?.host === `h${i}.test`);
    }
    expect(replica.log.lines).toEqual([]);
    expect(replica.patchesOf('a')).toEqual([200, 200, 200, 200, 200, 200]);
  });

  test('L12 times and the order of conditions are no dispute, nor are entries of others', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a');
    await replica.told('a');
    await replica.settled();
    const [entry = {}] = ingressOf(replica.server, 'a');
    const conditions = (entry['conditions'] as object[]).map((condition) => ({
      ...condition,
      lastTransitionTime: before,
    }));
    replica.write('a', [foreign, { ...entry, conditions: conditions.reverse() }]);
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200]);
    expect(replica.log.lines).toEqual([]);
  });

  test('an entry that is taken out is put back, whatever was before', async () => {
    await using replica = await Replica.with(['a']);
    for (let i = 1; i <= 3; i++) {
      if (i === 1) replica.decide('a');
      else replica.write('a', [foreign]);
      await replica.until(() => replica.patchesOf('a').filter((status) => status === 200).length === i);
      await replica.until(
        () => replica.routes.get(keyOf('a'))?.status.ingress.some(({ routerName }) => routerName === 'ours') === true,
      );
    }
    expect(replica.log.lines).toEqual([]);
  });

  test('an entry in dispute that is taken out is put back', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a');
    await replica.told('a');
    await replica.settled();
    replica.write('a', [disputed]);
    await replica.until(() => replica.log.lines.length > 0);
    // The other router was removed, and somebody cleaned up behind it.
    replica.write('a', [foreign]);
    await replica.until(() => replica.patchesOf('a').length === 2, 3_000);
    await replica.told('a');
  });

  test('a Route that went while it was written says nothing of the next one of its name', async () => {
    await using replica = await Replica.with(['a']);
    const { server } = replica;
    replica.decide('a');
    await replica.told('a');
    await replica.settled();
    replica.hold();
    server.delete('Route', 'shop', 'a');
    replica.decide('a', claimed);
    await replica.until(() => replica.patchesOf('a').length === 2);
    replica.release();
    await replica.until(() => !replica.routes.has(keyOf('a')));
    await replica.settled();
    expect(replica.patchesOf('a')).toEqual([200, 404]);
    // Another replica is faster this time.
    addRoute(server, 'a');
    await replica.knows('a');
    replica.write('a', replica.entryFor('a'));
    await replica.until(() => replica.routes.get(keyOf('a'))?.status.ingress.length === 1);
    replica.decide('a');
    await replica.settled();
    replica.write('a', [disputed]);
    await replica.told('a');
    expect(replica.log.lines).toEqual([]);
  });

  test('the echo of our own write is no dispute, though the Verdict is another one by now', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a');
    await replica.told('a');
    await replica.settled();
    // An older Route comes and goes, faster than the watch brings back what was written.
    replica.hold();
    replica.decide('a', claimed);
    await replica.told('a', claimed);
    replica.decide('a');
    replica.release();
    await replica.until(() => replica.log.lines.length > 0 || replica.patchesOf('a').length === 3, 5_000);
    expect(replica.log.lines).toEqual([]);
    await replica.told('a');
  });

  test('many Routes in dispute: nothing is changed for a while, but new entries are written', async () => {
    const names = Array.from({ length: 7 }, (_, i) => `r${i}`);
    await using replica = await Replica.with(names);
    for (const name of names) replica.decide(name);
    for (const name of names) await replica.told(name);
    await replica.settled();
    for (const name of names.slice(0, 5)) replica.write(name, [disputed]);
    await replica.until(() => replica.log.of('warn').length === 5);
    expect(replica.log.of('error')).toEqual([]);
    replica.write('r5', [disputed]);
    await replica.until(() => replica.log.of('error').length === 1);
    expect(replica.log.of('error')[0]).toContain('give each its own ROUTER_SERVICE_NAME');
    replica.decide('r6', claimed);
    await replica.settled();
    for (const name of names) expect(replica.patchesOf(name), name).toEqual([200]);
  });
});

describe.concurrent('rate and failures', () => {
  test('no faster than the rate; what is urgent goes before what was found at start', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `r${i}`);
    await using replica = await Replica.with([...names, 'urgent'], { statusRate: 5 });
    for (const name of names) replica.decide(name, admitted, true);
    replica.decide('urgent');
    expect(replica.pending).toBe(13);
    await replica.until(() => replica.patches.filter(({ status }) => status === 200).length === 13);
    expect(replica.patches.map(({ name }) => name)).toEqual(['urgent', ...names]);
    const atMs = replica.patches.map((patch) => patch.atMs);
    // A burst of five, and from then on five a second.
    expect((atMs.at(-1) ?? 0) - (atMs[0] ?? 0)).toBeGreaterThanOrEqual(1_500);
  });

  test('what becomes urgent overtakes what waits', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `r${i}`);
    await using replica = await Replica.with(names, { statusRate: 4 });
    for (const name of names) replica.decide(name, admitted, true);
    await replica.until(() => replica.patches.length === 4);
    addRoute(replica.server, 'new');
    await replica.knows('new');
    replica.decide('new');
    await replica.until(() => replica.patches.length >= 6);
    expect(replica.patches.slice(4, 6).map(({ name }) => name)).toContain('new');
  });

  test('L3 refused: told once, and tried again', async () => {
    await using replica = await Replica.with(['a', 'b']);
    replica.server.fault({ kind: 'status', code: 403, times: 2, match: { verb: 'patch', name: 'a' } });
    replica.decide('a');
    replica.decide('b');
    await replica.told('b');
    await replica.told('a');
    expect(replica.patchesOf('a')).toEqual([403, 403, 200]);
    expect(replica.log.of('warn')).toEqual(['status cannot be written, trying again']);
    expect(replica.log.lines[0]?.fields['route']).toBe('shop/a');
    expect(replica.count('headgate_status_writes_total', 'failed')).toBe(2);
    await replica.idle();
  });

  test('an API server that knows no Routes at the moment: tried again', async () => {
    await using replica = await Replica.with(['a']);
    replica.server.absent.add('Route');
    replica.decide('a');
    await replica.until(() => replica.patchesOf('a')[0] === 404);
    replica.server.absent.delete('Route');
    await replica.told('a');
    expect(replica.count('headgate_status_writes_total', 'gone')).toBe(0);
  });

  test('429: nothing is written for as long as it asks', async () => {
    await using replica = await Replica.with(['a', 'b']);
    replica.server.fault({ kind: 'status', code: 429, retryAfterSeconds: 1, match: { verb: 'patch' } });
    replica.decide('a');
    await replica.until(() => replica.patchesOf('a')[0] === 429);
    const [refused] = replica.patches;
    // The answer has to arrive before it can be heeded.
    while (replica.log.lines.length === 0) await turn();
    replica.decide('b');
    await replica.told('a');
    await replica.told('b');
    for (const { atMs, status } of replica.patches) {
      if (status === 200) expect(atMs - (refused?.atMs ?? 0)).toBeGreaterThanOrEqual(995);
    }
  });

  test('the answer is lost: what was written is not written again', async () => {
    await using replica = await Replica.with(['a']);
    replica.server.fault({ kind: 'dropAnswer', match: { verb: 'patch' } });
    replica.decide('a');
    await replica.told('a');
    await replica.until(() => replica.routes.get(keyOf('a'))?.status.ingress.length === 1);
    await replica.idle();
    await replica.settled();
    expect(replica.patchesOf('a')).toHaveLength(1);
  });
});

describe.concurrent('Routes that are not ours any more (Route semantics 3.4)', () => {
  const gets = (replica: Replica): LoggedRequest[] => replica.server.requests.filter(({ verb }) => verb === 'get');

  test('our entry goes, and no other', async () => {
    await using replica = await Replica.with(['a'], {}, [foreign, disputed, { ...foreign, routerName: 'third' }]);
    replica.leave('a');
    await replica.until(() => ingressOf(replica.server, 'a').length === 2);
    expect(ingressOf(replica.server, 'a')).toEqual([foreign, { ...foreign, routerName: 'third' }]);
    await replica.idle();
    expect(replica.count('headgate_status_writes_total', 'removed')).toBe(1);
  });

  test('the last entry of all', async () => {
    await using replica = await Replica.with(['a'], {}, [disputed]);
    replica.leave('a');
    await replica.until(() => replica.patchesOf('a')[0] === 200);
    expect(ingressOf(replica.server, 'a')).toEqual([]);
  });

  test('a Route that was deleted, and one without an entry of ours: nothing is written', async () => {
    await using replica = await Replica.with(['a', 'b'], {}, [foreign]);
    replica.server.delete('Route', 'shop', 'a');
    await replica.until(() => gets(replica).some(({ name, status }) => name === 'a' && status === 404));
    replica.leave('b');
    await replica.until(() => gets(replica).some(({ name, status }) => name === 'b' && status === 200));
    await replica.settled();
    expect([...replica.patchesOf('a'), ...replica.patchesOf('b')]).toEqual([]);
    expect(replica.log.lines).toEqual([]);
  });

  test('one that has come back keeps its entry', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a');
    await replica.told('a');
    await replica.settled();
    const route = replica.routes.get(keyOf('a')) as RouteManifest;
    replica.leave('a');
    replica.routes.set(keyOf('a'), route);
    replica.setStatus('a', route.status);
    replica.decide('a');
    await replica.until(() => gets(replica).length === 1);
    await replica.idle();
    expect(replica.patchesOf('a')).toEqual([200]);
    expect(ingressOf(replica.server, 'a')).toHaveLength(1);
  });

  test('one that leaves while it is written', async () => {
    await using replica = await Replica.with(['a']);
    replica.server.fault({ kind: 'slow', delayMs: 50, match: { verb: 'patch' } });
    replica.decide('a');
    await replica.told('a');
    replica.leave('a');
    await replica.until(() => ingressOf(replica.server, 'a').length === 0);
    expect(replica.patchesOf('a')).toEqual([200, 200]);
  });

  test('one that changes while it is looked at is looked at again', async () => {
    await using replica = await Replica.with(['a'], {}, [disputed]);
    replica.server.fault({ kind: 'slow', delayMs: 50, match: { verb: 'get' } });
    replica.leave('a');
    await replica.until(() => gets(replica).length === 1);
    await turn();
    replica.write('a', [disputed, foreign]);
    await replica.until(() => ingressOf(replica.server, 'a').length === 1);
    expect(ingressOf(replica.server, 'a')).toEqual([foreign]);
    expect(replica.patchesOf('a')).toEqual([409, 200]);
  });

  test('an API server that knows no Routes at the moment says nothing about one', async () => {
    await using replica = await Replica.with(['a'], {}, [disputed]);
    replica.server.absent.add('Route');
    replica.leave('a');
    await replica.until(() => gets(replica)[0]?.status === 404);
    replica.server.absent.delete('Route');
    await replica.until(() => ingressOf(replica.server, 'a').length === 0);
  });

  test('what fails is tried again', async () => {
    await using replica = await Replica.with(['a'], {}, [disputed]);
    replica.server.fault({ kind: 'status', code: 500, match: { verb: 'get' } });
    replica.leave('a');
    await replica.until(() => ingressOf(replica.server, 'a').length === 0);
    expect(gets(replica)).toHaveLength(2);
  });
});

describe.concurrent('events', () => {
  test('a rejection is told as an event, too', async () => {
    await using replica = await Replica.with(['a', 'b', 'c']);
    replica.decide('a', claimed);
    replica.decide('b');
    replica.decide('c', { kind: 'admitted', warnings: ['no CA', 'no Service'] });
    await replica.until(() => replica.server.list('Event').length === 2);
    await replica.settled();
    const events = replica.server.list('Event');
    const brief = events.map(({ metadata, ...event }) => ({
      ...event,
      name: metadata.name,
      where: metadata.namespace,
    }));
    const { uid } = replica.server.get('Route', 'shop', 'a')?.metadata ?? {};
    expect(brief).toContainEqual(
      expect.objectContaining({
        name: expect.stringMatching(/^a\./),
        where: 'shop',
        type: 'Warning',
        reason: 'HostAlreadyClaimed',
        message: 'route o already exposes a.test and is older',
        involvedObject: expect.objectContaining({ apiVersion: 'route.openshift.io/v1', kind: 'Route', name: 'a', uid }),
        source: { component: 'headgate-ours' },
        count: 1,
      }),
    );
    expect(brief).toContainEqual(expect.objectContaining({ reason: 'RouteWarning', message: 'no CA; no Service' }));
    expect(brief).toHaveLength(2);
    expect(replica.count('headgate_route_events_total', 'written')).toBe(2);
  });

  test('warnings of an annotation are told, although status stays as it is', async () => {
    await using replica = await Replica.with(['a']);
    replica.decide('a');
    await replica.settled();
    replica.decide('a', { kind: 'admitted', warnings: ['annotation x: "y" is not one of z: it is ignored'] });
    while (replica.count('headgate_route_events_total', 'written') === 0) await turn();
    replica.decide('a', { kind: 'admitted', warnings: ['annotation x: "y" is not one of z: it is ignored'] });
    replica.decide('a');
    await replica.settled();
    expect(replica.server.list('Event').map(({ reason }) => reason)).toEqual(['RouteWarning']);
  });

  test('a Verdict that comes while another is being written is told once, and so is the other', async () => {
    await using replica = await Replica.with(['a']);
    replica.server.fault({ kind: 'slow', delayMs: 50, match: { verb: 'patch' } });
    replica.decide('a', claimed);
    await replica.until(() => ingressOf(replica.server, 'a').length === 1);
    const later = rejected('InvalidHost', 'no such name');
    replica.decide('a', later);
    await replica.told('a', later);
    await replica.settled();
    while (replica.count('headgate_route_events_total', 'written') < 2) await turn();
    const reasons = replica.server.list('Event').map(({ reason }) => reason);
    expect(reasons.sort()).toEqual(['HostAlreadyClaimed', 'InvalidHost']);
  });

  test('too many are dropped; status says the same', async () => {
    const names = Array.from({ length: 70 }, (_, i) => `r${i}`);
    await using replica = await Replica.with(names);
    for (const name of names) replica.decide(name, claimed, true);
    for (const name of names) await replica.told(name, claimed);
    await replica.settled();
    const count = (result: string): number => replica.count('headgate_route_events_total', result);
    while (count('written') + count('dropped') < names.length) await turn();
    expect(count('written')).toBe(replica.server.list('Event').length);
    expect(count('dropped')).toBeGreaterThan(0);
    expect(count('written')).toBeGreaterThanOrEqual(50);
  });

  test('one that is refused costs nothing', async () => {
    await using replica = await Replica.with(['a']);
    replica.server.allow(({ resource }) => resource !== 'events');
    replica.decide('a', claimed);
    await replica.told('a', claimed);
    await replica.settled();
    while (replica.count('headgate_route_events_total', 'failed') === 0) await turn();
    expect(replica.patchesOf('a')).toEqual([200]);
    expect(replica.count('headgate_status_writes_total', 'failed')).toBe(0);
  });

  test('a long message is cut, and a long name leaves room for what the server adds', async () => {
    const name = `r${'-x.y'.repeat(62)}`;
    await using replica = await Replica.with([name]);
    replica.decide(name, rejected('InvalidHost', 'm'.repeat(5000)));
    while (replica.count('headgate_route_events_total', 'written') === 0) await turn();
    const [event] = replica.server.list('Event');
    expect(String(event?.['message'])).toHaveLength(1024);
    expect(event?.metadata.name.length).toBeLessThanOrEqual(253);
  });
});

describe.concurrent('what an earlier life left behind (Route semantics 3.4)', () => {
  const sweep = { routerName: 'ours', namespace: '', forceSweep: false };
  const isOurs = (route: RouteManifest): boolean => route.name.startsWith('ours');

  test('entries of ours on Routes that are not', async () => {
    await using replica = await Replica.with(['ours-a', 'b', 'c', 'd'], {}, [foreign]);
    for (const name of ['ours-a', 'b']) replica.write(name, [foreign, disputed]);
    expect(await findStale(replica.api, isOurs, sweep)).toEqual({ kind: 'found', stale: ['shop/b'], routes: 4 });
  });

  test('in all pages', async () => {
    const server = await ApiServer.start();
    await using _ = server;
    for (let i = 0; i < 600; i++) addRoute(server, `r${i}`, i % 100 === 99 ? [disputed] : []);
    await using replica = await Replica.on(server);
    const found = await findStale(replica.api, isOurs, sweep);
    expect(found).toMatchObject({ kind: 'found', routes: 600 });
    expect(found.kind === 'found' && [...found.stale].sort()).toEqual(
      [99, 199, 299, 399, 499, 599].map((i) => `shop/r${i}`).sort(),
    );
  });

  test.each([
    ['more than half', 3, false, 'refused'],
    ['more than half, forced', 3, true, 'found'],
    ['half', 2, false, 'found'],
  ])('%s of all Routes', async (_name, count, forceSweep, expected) => {
    const names = ['a', 'b', 'c', 'd'];
    await using replica = await Replica.with(names);
    for (const name of names.slice(0, count)) replica.write(name, [disputed]);
    const result = await findStale(replica.api, isOurs, { ...sweep, forceSweep });
    expect(result).toMatchObject({ kind: expected, routes: 4 });
  });

  test('no Routes, none of ours, and a server that fails', async () => {
    await using replica = await Replica.with([]);
    expect(await findStale(replica.api, isOurs, sweep)).toEqual({ kind: 'found', stale: [], routes: 0 });
    replica.server.fault({ kind: 'status', code: 500, match: { verb: 'list' } });
    await expect(findStale(replica.api, isOurs, sweep)).rejects.toThrow('leader changed');
  });

  test('one namespace only', async () => {
    await using replica = await Replica.with(['a'], {}, [disputed]);
    const there = { metadata: { name: 'b', namespace: 'bank' }, spec: { host: 'b.test', to: { name: 's' } } };
    replica.server.create({ kind: 'Route', ...there, status: { ingress: [disputed] } });
    replica.server.allow(({ namespace, resource }) => resource !== 'routes' || namespace === 'bank');
    const found = await findStale(replica.api, isOurs, { ...sweep, namespace: 'bank', forceSweep: true });
    expect(found).toEqual({ kind: 'found', stale: ['bank/b'], routes: 1 });
  });
});
