import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiClient } from '../../src/source/kube/api-client.ts';
import { Informer, type InformerOptions } from '../../src/source/kube/informer.ts';
import type { Manifest, ManifestEvent, ManifestKey } from '../../src/source/manifests.ts';
import {
  ApiServer,
  type ApiServerOptions,
  type KubeObject,
  type LoggedRequest,
} from '../support/api-server/api-server.ts';
import { makeAuthority } from '../support/certificates.ts';
import { untilSo } from '../support/until.ts';

const routes = {
  apiVersion: 'route.openshift.io/v1',
  kind: 'Route',
  path: '/apis/route.openshift.io/v1/routes',
};
const services = { apiVersion: 'v1', kind: 'Service', path: '/api/v1/services' };
/** What ends a wait that would go on for ever. */
const patienceMs = 10_000;

/** An Informer on an API server of its own, with all that it told and the view that this adds up to. */
class Observed implements AsyncDisposable {
  readonly server: ApiServer;
  readonly client: ApiClient;
  readonly informer: Informer;
  readonly directory: string;
  readonly batches: (readonly ManifestEvent[])[] = [];
  readonly problems: string[] = [];
  readonly view: Map<ManifestKey, Manifest> = new Map();
  synced = 0;
  missing = 0;
  /** Called with each batch, when it is told. */
  onBatch: ((batch: readonly ManifestEvent[]) => void) | null = null;
  onProblem: ((reason: string) => void) | null = null;
  readonly #looks: Set<() => void> = new Set();

  constructor(server: ApiServer, directory: string, options: Partial<InformerOptions>, kubeconfig: string) {
    this.server = server;
    this.directory = directory;
    this.client = new ApiClient({ kubeconfig, apiServer: '' });
    this.informer = new Informer({
      client: this.client,
      resource: routes,
      labelSelector: '',
      fieldSelector: '',
      inactivityMs: 60_000,
      pollMs: null,
      onMissing: null,
      onEvents: (events) => {
        this.batches.push(events);
        for (const { key, manifest } of events) {
          if (manifest === undefined) this.view.delete(key);
          else this.view.set(key, manifest);
        }
        this.onBatch?.(events);
        this.#look();
      },
      onSynced: () => {
        this.synced++;
        this.#look();
      },
      onProblem: (reason) => {
        this.problems.push(reason);
        this.onProblem?.(reason);
        this.#look();
      },
      ...options,
    });
  }

  static async open(
    prepare: (server: ApiServer) => void = () => {},
    options: Partial<InformerOptions> = {},
    serverOptions: ApiServerOptions = {},
  ): Promise<Observed> {
    const server = await ApiServer.start(serverOptions);
    const directory = await mkdtemp(join(tmpdir(), 'informer-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    prepare(server);
    return new Observed(server, directory, options, join(directory, 'kubeconfig'));
  }

  /** The same, started and with its first watch open. */
  static async started(...given: Parameters<typeof Observed.open>): Promise<Observed> {
    const observed = await Observed.open(...given);
    observed.informer.start();
    await observed.watching();
    return observed;
  }

  get events(): readonly ManifestEvent[] {
    return this.batches.flat();
  }

  /** What was told since `from`, as `+name` and `-name`. */
  toldSince(from: number): string[] {
    return this.events
      .slice(from)
      .map(({ key, manifest }) => `${manifest === undefined ? '-' : '+'}${key.slice(key.lastIndexOf('/') + 1)}`);
  }

  get hosts(): Readonly<Record<string, string>> {
    const found = [...this.view.values()].filter((manifest) => manifest.kind === 'Route');
    return Object.fromEntries(found.map(({ name, host }) => [name, host]));
  }

  requests(verb: 'list' | 'watch'): LoggedRequest[] {
    return this.server.requests.filter((request) => request.verb === verb);
  }

  /** Resolves when something is so, which is asked again with all that is told and all that the server sees. */
  until(isSo: () => boolean, ms: number = patienceMs): Promise<void> {
    return untilSo(this.server, this.#looks, isSo, ms);
  }

  /** So many watches have been opened in all, and the last one is open. */
  watching(watches = 1): Promise<void> {
    return this.until(() => {
      const opened = this.requests('watch').filter(({ status }) => status === 200);
      return opened.length >= watches && opened.at(-1)?.isOpen === true;
    });
  }

  /** All that the server holds is told, and nothing else. */
  agreed(): Promise<void> {
    return this.until(() => this.agrees());
  }

  agrees(): boolean {
    const held = this.server.list('Route');
    return (
      held.length === this.view.size &&
      held.every((object) => {
        const seen = this.view.get(`Route/${object.metadata.namespace}/${object.metadata.name}` as ManifestKey);
        return seen?.kind === 'Route' && seen.status.resourceVersion === object.metadata.resourceVersion;
      })
    );
  }

  #look(): void {
    for (const look of this.#looks) look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.informer.close();
    await this.server[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true });
  }
}

function addRoute(server: ApiServer, name: string, host = `${name}.test`, metadata: object = {}): KubeObject {
  return server.create({
    kind: 'Route',
    metadata: { name, namespace: 'shop', ...metadata },
    spec: { host, to: { kind: 'Service', name: 'svc' } },
  });
}

function addRoutes(server: ApiServer, count: number, from = 0): void {
  for (let i = from; i < from + count; i++) addRoute(server, `r${i}`);
}

function moveHost(server: ApiServer, name: string, host: string): void {
  server.update('Route', 'shop', name, { spec: { host } });
}

/** Makes sure that something has come over the watch: one that ends at once is held for a failure. */
async function live(observed: Observed): Promise<void> {
  const name = `live${observed.events.length}`;
  addRoute(observed.server, name);
  await observed.until(() => observed.view.has(`Route/shop/${name}` as ManifestKey));
}

/** Resolves when the Informer has heard something, if only a bookmark. */
async function heard({ informer }: Observed): Promise<void> {
  for (let silentMs = 0; silentMs <= informer.silentMs; await turn()) silentMs = informer.silentMs;
}

describe.concurrent('list, then watch', () => {
  test('what there is, what comes, changes and goes', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 2));
    const { server } = observed;
    expect(observed.hosts).toEqual({ r0: 'r0.test', r1: 'r1.test' });
    expect([observed.synced, observed.informer.synced, observed.batches.length]).toEqual([1, true, 1]);
    addRoute(server, 'new');
    moveHost(server, 'r0', 'moved.test');
    server.delete('Route', 'shop', 'r1');
    await observed.agreed();
    expect(observed.hosts).toEqual({ r0: 'moved.test', new: 'new.test' });
    expect(observed.toldSince(2)).toEqual(['+new', '+r0', '-r1']);
    expect([observed.requests('list').length, observed.requests('watch').length]).toEqual([1, 1]);
    expect(observed.problems).toEqual([]);
  });

  test('an empty cluster is synced, too', async () => {
    await using observed = await Observed.started();
    expect([observed.synced, observed.batches.length]).toEqual([1, 0]);
  });

  test('the watch asks for bookmarks, an end of its own, and all since the list', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    const [watch] = observed.requests('watch');
    expect(watch?.query).toMatchObject({
      allowWatchBookmarks: 'true',
      resourceVersion: observed.server.resourceVersion,
    });
    const seconds = Number(watch?.query['timeoutSeconds']);
    expect(seconds >= 300 && seconds <= 600).toBe(true);
    expect(observed.requests('list')[0]?.query).toEqual({ limit: '250' });
  });

  test('what changes between the list and the watch is not lost', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 3));
    observed.onBatch = () => {
      observed.onBatch = null;
      moveHost(observed.server, 'r0', 'moved.test');
      observed.server.delete('Route', 'shop', 'r1');
      addRoute(observed.server, 'new');
    };
    observed.informer.start();
    await observed.agreed();
    expect(observed.toldSince(3)).toEqual(['+r0', '-r1', '+new']);
  });

  test('pages: each is told when it comes, in parts, and the view is whole at the end', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 620));
    expect(observed.batches.map(({ length }) => length)).toEqual([...new Array(12).fill(50), 20]);
    expect(observed.requests('list').map(({ query }) => query['limit'])).toEqual(['250', '250', '250']);
    expect(observed.agrees()).toBe(true);
    expect(observed.synced).toBe(1);
  });

  test('items of built-in kinds come without kind and version', async () => {
    const prepare = (server: ApiServer): void => {
      server.create({ kind: 'Service', metadata: { name: 'a' }, spec: { ports: [{ port: 80 }] } });
    };
    await using observed = await Observed.started(prepare, { resource: services });
    observed.server.create({ kind: 'Service', metadata: { name: 'b' }, spec: { ports: [{ port: 81 }] } });
    await observed.until(() => observed.view.size === 2);
    expect([...observed.view.keys()]).toEqual(['Service/default/a', 'Service/default/b']);
  });

  test('selectors: an object that no longer matches goes', async () => {
    const prepare = (server: ApiServer): void => {
      addRoute(server, 'in', 'in.test', { labels: { tier: 'gold' } });
      addRoute(server, 'out');
    };
    await using observed = await Observed.started(prepare, { labelSelector: 'tier in (gold)' });
    const { server } = observed;
    expect(observed.hosts).toEqual({ in: 'in.test' });
    server.patchMeta('Route', 'shop', 'out', { labels: { tier: 'gold' } });
    await observed.until(() => observed.view.size === 2);
    server.patchMeta('Route', 'shop', 'in', { labels: { tier: null } });
    await observed.until(() => observed.view.size === 1);
    expect(observed.toldSince(1)).toEqual(['+out', '-in']);
    for (const verb of ['list', 'watch'] as const) {
      expect(observed.requests(verb)[0]?.query['labelSelector']).toBe('tier in (gold)');
    }
  });

  test('a field selector that the server refuses is left out', async () => {
    const options = { fieldSelector: 'spec.host=a.test' };
    await using observed = await Observed.started((server) => addRoutes(server, 2), options);
    expect(observed.requests('list').map(({ status }) => status)).toEqual([400, 200]);
    expect(observed.requests('watch')[0]?.query).not.toHaveProperty('fieldSelector');
    expect(observed.view.size).toBe(2);
    expect(observed.problems).toEqual([]);
  });

  test('a field selector that the server takes', async () => {
    const options = { fieldSelector: 'spec.host=r1.test' };
    await using observed = await Observed.started((server) => addRoutes(server, 3), options, {
      selectableRouteFields: true,
    });
    expect(observed.hosts).toEqual({ r1: 'r1.test' });
    moveHost(observed.server, 'r2', 'r1.test');
    await observed.until(() => observed.view.size === 2);
    expect(observed.requests('list')).toHaveLength(1);
  });

  test('a label selector that the server refuses is told of, even where the field selector was left out before', async () => {
    const options = { fieldSelector: 'spec.host=a.test', labelSelector: 'a==b==c' };
    await using observed = await Observed.open(() => {}, options);
    observed.informer.start();
    await observed.until(() => observed.requests('list').length >= 4);
    await turn();
    expect(observed.problems).toHaveLength(1);
    expect(observed.problems[0]).toContain('unable to parse requirement');
  });

  test('polled: listed again and again, and never watched', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 2), { pollMs: 20 });
    observed.informer.start();
    await observed.until(() => observed.synced === 1);
    moveHost(observed.server, 'r0', 'moved.test');
    observed.server.delete('Route', 'shop', 'r1');
    await observed.agreed();
    const listed = observed.requests('list').length;
    await observed.until(() => observed.requests('list').length > listed + 2);
    expect(observed.toldSince(2).sort()).toEqual(['+r0', '-r1']);
    expect(observed.requests('watch')).toEqual([]);
  });
});

describe.concurrent('the watch fails', () => {
  test('cut (RST): it goes on where it was', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 2));
    const { server } = observed;
    await live(observed);
    expect(server.dropWatches('Route')).toBe(1);
    moveHost(server, 'r0', 'moved.test');
    server.delete('Route', 'shop', 'r1');
    await observed.agreed();
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.toldSince(3)).toEqual(['+r0', '-r1']);
    expect(observed.problems).toEqual([]);
  });

  test('closed in order: it goes on at once, and nobody is told', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    for (let i = 0; i < 8; i++) {
      await live(observed);
      observed.server.closeWatches('Route');
      await observed.watching(2 + i);
    }
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.problems).toEqual([]);
    const watches = observed.requests('watch');
    // Eight failures one after the other would take 15 seconds at least.
    expect((watches.at(-1)?.atMs ?? 0) - (watches[0]?.atMs ?? 0)).toBeLessThan(5_000);
  });

  test('ended at once, again and again: that is a failure', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 1));
    observed.informer.start();
    for (let i = 1; i <= 3; i++) {
      await observed.watching(i);
      observed.server.closeWatches('Route');
    }
    await observed.watching(4);
    expect(observed.problems[0]).toBe('Route: the API server ends the watch at once');
    expect(observed.requests('list')).toHaveLength(1);
  });

  test('a bookmark moves the place from which it goes on', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1), {}, { bookmarkMs: 10 });
    const { server } = observed;
    // Another kind moves the version, and the Informer hears of it by bookmarks only.
    const first = observed.requests('watch')[0]?.query['resourceVersion'];
    server.create({ kind: 'Service', metadata: { name: 'a' } });
    const wanted = server.resourceVersion;
    // The first thing heard may be older.
    await heard(observed);
    await heard(observed);
    server.closeWatches('Route');
    await observed.watching(2);
    expect(observed.requests('watch')[1]?.query['resourceVersion']).toBe(wanted);
    expect(first).not.toBe(wanted);
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.events).toHaveLength(1);
  });

  test('half a line: the event is told once it is whole', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    observed.server.halfLine('Route');
    moveHost(observed.server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.toldSince(1)).toEqual(['+r0']);
    expect(observed.requests('list')).toHaveLength(1);
  });

  test('a garbage line: what came before it counts, what comes after it too', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 2));
    const { server } = observed;
    moveHost(server, 'r0', 'moved.test');
    expect(server.garbageLine('Route')).toBe(1);
    moveHost(server, 'r1', 'moved.test');
    await observed.agreed();
    expect(observed.toldSince(2)).toEqual(['+r0', '+r1']);
    expect(observed.problems).toEqual([expect.stringMatching(/^Route: .*a line of the watch is not JSON$/)]);
    expect(observed.requests('list')).toHaveLength(1);
  });

  test.each([
    ['a line that is no event', '7'],
    ['an event without an object', '{"type":"ADDED"}'],
    ['an event of null', '{"type":"ADDED","object":null}'],
  ])('%s', async (_name, line) => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    observed.server.garbageLine('Route', line);
    moveHost(observed.server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.problems).toEqual([expect.stringMatching(/^Route: .*a line of the watch is no event$/)]);
    expect(observed.requests('list')).toHaveLength(1);
  });

  test('garbage at the same place twice: only a list helps', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    observed.server.garbageLine('Route');
    await observed.watching(2);
    observed.server.garbageLine('Route');
    await observed.until(() => observed.requests('list').length === 2);
    moveHost(observed.server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.toldSince(1)).toEqual(['+r0']);
  });

  test('empty lines and kinds of events that nobody knows are passed over', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    observed.server.garbageLine('Route', '');
    observed.server.garbageLine('Route', '{"type":"SOMEDAY","object":{}}');
    moveHost(observed.server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.problems).toEqual([]);
    expect(observed.requests('watch')).toHaveLength(1);
  });

  test('silent: a new one is opened at once, without a list', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1), { inactivityMs: 100 });
    observed.server.stallWatches('Route');
    moveHost(observed.server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.problems).toEqual([]);
  });

  test('bookmarks are no silence', async () => {
    await using observed = await Observed.started(
      (server) => addRoutes(server, 1),
      { inactivityMs: 200 },
      { bookmarkMs: 20 },
    );
    for (let i = 0; i < 20; i++) await heard(observed);
    expect(observed.requests('watch')).toHaveLength(1);
    expect(observed.events).toHaveLength(1);
  });

  test('never answered: given up after as long', async () => {
    await using observed = await Observed.open(
      (server) => {
        addRoutes(server, 1);
        server.fault({ kind: 'hang', match: { verb: 'watch' }, times: 2 });
      },
      { inactivityMs: 100 },
    );
    observed.informer.start();
    await observed.watching(1);
    expect(observed.problems).toEqual(['Route: the watch is silent']);
  });

  test('nothing passes over the connection any more: another one is made', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 1), { inactivityMs: 200 });
    const { server, directory } = observed;
    const sockets: Socket[] = [];
    await using way = createServer((near) => {
      const far = connect(server.port, '127.0.0.1');
      sockets.push(near, far);
      near.on('error', () => {}).pipe(far);
      far.on('error', () => {}).pipe(near);
    });
    await new Promise<void>((listening) => way.listen(0, '127.0.0.1', listening));
    using _ = { [Symbol.dispose]: () => sockets.forEach((socket) => void socket.destroy()) };
    const { port } = way.address() as AddressInfo;
    const text = server.kubeconfig().replace(server.url, `https://127.0.0.1:${port}`);
    await writeFile(join(directory, 'kubeconfig'), text);
    observed.informer.start();
    await observed.watching();
    expect(sockets).toHaveLength(2);
    for (const socket of sockets) socket.unpipe().pause();
    moveHost(server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.requests('list')).toHaveLength(1);
  });

  test('cut seldom, but always in this way: each time it goes on soon', async () => {
    // A balancer in between that ends connections by RST must not make the view older from time to time.
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    for (let i = 1; i <= 5; i++) {
      await live(observed);
      observed.server.dropWatches('Route');
      await observed.watching(i + 1);
    }
    const watches = observed.requests('watch');
    expect((watches[5]?.atMs ?? 0) - (watches[4]?.atMs ?? 0)).toBeLessThan(1_000);
  });
});

describe.concurrent('the history is gone', () => {
  /** Vanishing, changing and staying objects, while the watch does not see it. */
  function change(server: ApiServer): void {
    moveHost(server, 'r0', 'moved.test');
    server.delete('Route', 'shop', 'r1');
    addRoute(server, 'new');
  }
  const difference = ['+new', '+r0', '-r1'];

  test('410 as an event on the open watch: a list, and only the difference is told', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 40));
    observed.server.stallWatches('Route');
    change(observed.server);
    observed.server.dropWatches('Route');
    observed.server.expireHistory();
    await observed.agreed();
    expect(observed.toldSince(40).sort()).toEqual(difference);
    expect(observed.requests('list')).toHaveLength(2);
    await observed.watching(3);
  });

  test('the watch that is open is told so', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 3));
    observed.server.expireHistory();
    await observed.until(() => observed.requests('list').length === 2);
    await observed.watching(2);
    expect(observed.events).toHaveLength(3);
  });

  test('410 as the status of the watch', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 40));
    observed.server.fault({ kind: 'status', code: 410, match: { verb: 'watch' } });
    observed.server.stallWatches('Route');
    change(observed.server);
    observed.server.dropWatches('Route');
    await observed.agreed();
    expect(observed.toldSince(40).sort()).toEqual(difference);
    expect(observed.requests('list')).toHaveLength(2);
  });

  test('an ERROR of another kind: it goes on where it was', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    const status = { kind: 'Status', code: 500, reason: 'InternalError', message: 'etcdserver: no leader' };
    observed.server.garbageLine('Route', JSON.stringify({ type: 'ERROR', object: status }));
    moveHost(observed.server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.problems).toEqual(['Route: etcdserver: no leader']);
  });

  test('410 between two pages: the list begins anew, what was told is not told again', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 300));
    observed.onBatch = () => {
      observed.onBatch = null;
      change(observed.server);
      observed.server.expireHistory();
    };
    observed.informer.start();
    await observed.agreed();
    expect(observed.requests('list').map(({ status }) => status)).toEqual([200, 410, 200, 200]);
    expect(new Set(observed.toldSince(250))).toContain('-r1');
    expect(observed.events.length).toBe(300 + 3);
    expect([observed.synced, observed.problems.length]).toEqual([1, 0]);
  });

  test('410 between the pages of every list: at last it is asked for in one piece', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 300));
    // Whenever the first page of several has come, the rest of its list is forgotten.
    observed.onBatch = () => {
      const { query } = observed.requests('list').at(-1) as LoggedRequest;
      if (query['limit'] === undefined || query['continue'] !== undefined) return;
      moveHost(observed.server, 'r0', `${observed.events.length}.test`);
      observed.server.expireHistory();
    };
    observed.informer.start();
    await observed.agreed();
    const asked = observed.requests('list').map(({ status, query }) => `${status} ${query['limit'] ?? 'all'}`);
    expect(asked).toEqual(['200 250', '410 250', '200 250', '410 250', '200 250', '410 250', '200 all']);
    expect([observed.synced, observed.problems.length]).toEqual([1, 0]);
  });

  test('down and up again with the history lost', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 40));
    await observed.server.stop();
    change(observed.server);
    await observed.until(() => observed.problems.length > 0);
    // What cannot be seen is left as it was.
    expect(observed.view.size).toBe(40);
    await observed.server.restart({ keepHistory: false });
    await observed.agreed();
    expect(observed.toldSince(40).sort()).toEqual(difference);
    expect(observed.requests('list')).toHaveLength(2);
  });

  test('down and up again with the history kept: no list', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 40));
    await observed.server.stop();
    change(observed.server);
    await observed.until(() => observed.problems.length > 0);
    await observed.server.start();
    await observed.agreed();
    expect(observed.toldSince(40).sort()).toEqual(difference);
    expect(observed.requests('list')).toHaveLength(1);
  });
});

describe.concurrent('a list that lacks much', () => {
  test('an empty list is not believed until a second one says the same', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 30));
    observed.server.emptyList();
    observed.server.expireHistory();
    await observed.until(() => observed.requests('list').length === 3);
    await observed.watching(2);
    expect(observed.view.size).toBe(30);
    expect(observed.events).toHaveLength(30);
    expect(observed.problems).toEqual(['Route: the list lacks 30 of 30 objects; asking again']);
  });

  test('twice empty is empty', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 30));
    observed.server.emptyList(2);
    observed.server.expireHistory();
    await observed.until(() => observed.view.size === 0);
    expect(observed.requests('list')).toHaveLength(3);
    // They are back with the next list.
    observed.server.expireHistory();
    await observed.agreed();
  });

  test('the second look fails: nothing is removed, and all is asked for again', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 30));
    observed.server.emptyList();
    observed.onProblem = (reason) => {
      if (reason.includes('asking again'))
        observed.server.fault({ kind: 'status', code: 503, match: { verb: 'list' } });
    };
    observed.server.expireHistory();
    await observed.until(() => observed.requests('list').length === 4);
    await observed.watching(2);
    expect(observed.view.size).toBe(30);
  });

  test.each([
    ['ten of twelve', 12, 10],
    ['half of many', 40, 20],
  ])('%s are believed at once', async (_name, count, gone) => {
    await using observed = await Observed.started((server) => addRoutes(server, count));
    await observed.server.stop();
    for (let i = 0; i < gone; i++) observed.server.delete('Route', 'shop', `r${i}`);
    await observed.server.restart({ keepHistory: false });
    await observed.agreed();
    expect(observed.requests('list')).toHaveLength(2);
  });

  test('what goes between the two looks is gone, too', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 30));
    await observed.server.stop();
    for (let i = 0; i < 20; i++) observed.server.delete('Route', 'shop', `r${i}`);
    observed.onProblem = (reason) => {
      if (reason.includes('asking again')) observed.server.delete('Route', 'shop', 'r29');
    };
    await observed.server.restart({ keepHistory: false });
    await observed.until(
      () => observed.requests('list').length === 3 && observed.requests('watch').at(-1)?.isOpen === true,
    );
    await live(observed);
    expect(observed.view.size).toBe(10);
  });
});

describe.concurrent('objects that cannot be read', () => {
  test('one on the watch costs itself alone', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    expect(observed.server.malformedObject('Route')).toBe(1);
    moveHost(observed.server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.toldSince(1)).toEqual(['+r0']);
    expect(observed.problems).toHaveLength(1);
    expect(observed.problems[0]).toMatch(/^Route\/default\/malformed: metadata\.labels: /);
    expect(observed.requests('watch')).toHaveLength(1);
  });

  test('those without metadata, whatever is said of them', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    const { server } = observed;
    for (const type of ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']) {
      server.garbageLine('Route', JSON.stringify({ type, object: { spec: { host: 'a.test' } } }));
      server.garbageLine('Route', JSON.stringify({ type, object: { metadata: null } }));
    }
    moveHost(server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.toldSince(1)).toEqual(['+r0']);
    expect(new Set(observed.problems)).toEqual(new Set(['Route: metadata: Required value']));
    expect(observed.requests('watch')).toHaveLength(1);
  });

  test('one in a list, too; its last sound version stays', async () => {
    const prepare = (server: ApiServer): void => {
      for (const name of ['a', 'b']) server.create({ kind: 'Service', metadata: { name }, spec: { clusterIP: '1' } });
    };
    await using observed = await Observed.started(prepare, { resource: services });
    const { server } = observed;
    server.update('Service', 'default', 'a', { spec: { clusterIP: 7 } });
    server.update('Service', 'default', 'b', { spec: { clusterIP: '2' } });
    await observed.until(() => observed.toldSince(2).length === 1);
    server.expireHistory();
    await observed.until(() => observed.requests('list').length === 2);
    await observed.watching(2);
    const ips = [...observed.view.values()].map((manifest) => manifest.kind === 'Service' && manifest.clusterIp);
    expect(ips).toEqual(['1', '2']);
    server.update('Service', 'default', 'a', { spec: { clusterIP: '3' } });
    await observed.until(() => observed.toldSince(2).length === 2);
    server.update('Service', 'default', 'a', { spec: { clusterIP: 7 } });
    server.delete('Service', 'default', 'a');
    await observed.until(() => observed.view.size === 1);
  });

  test('a Route of which only the name can be read is told with its fault', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    observed.server.update('Route', 'shop', 'r0', { spec: { path: 'x' } });
    await observed.agreed();
    expect(observed.view.get('Route/shop/r0' as ManifestKey)).toMatchObject({
      host: 'r0.test',
      path: '',
      fault: `spec.path: Invalid value: "x": spec.path in body should match '^/'`,
    });
    observed.server.update('Route', 'shop', 'r0', { spec: { path: '/x' } });
    await observed.agreed();
    expect(observed.view.get('Route/shop/r0' as ManifestKey)).toMatchObject({ path: '/x', fault: '' });
    expect(observed.problems).toEqual([]);
  });
});

describe.concurrent('the API server refuses', () => {
  test('429: not before Retry-After', async () => {
    await using observed = await Observed.open((server) => {
      addRoutes(server, 1);
      server.fault({ kind: 'status', code: 429, retryAfterSeconds: 1, match: { verb: 'list' } });
    });
    observed.informer.start();
    await observed.watching();
    const [refused, taken] = observed.requests('list');
    expect((taken?.atMs ?? 0) - (refused?.atMs ?? 0)).toBeGreaterThanOrEqual(995);
    expect(observed.problems).toHaveLength(1);
  });

  test('429 for the watch', async () => {
    await using observed = await Observed.open((server) => {
      addRoutes(server, 1);
      server.fault({ kind: 'status', code: 429, retryAfterSeconds: 1, isText: true, match: { verb: 'watch' } });
    });
    observed.informer.start();
    await observed.watching();
    const [refused, taken] = observed.requests('watch');
    expect((taken?.atMs ?? 0) - (refused?.atMs ?? 0)).toBeGreaterThanOrEqual(995);
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.problems).toEqual(['Route: HTTP 429']);
  });

  test.each([
    ['500', { kind: 'status', code: 500 }, 'Route: Internal error occurred: etcdserver: leader changed'],
    ['503 in plain text', { kind: 'status', code: 503, isText: true }, 'Route: HTTP 503'],
    ['403', { kind: 'status', code: 403 }, 'Route: routes.route.openshift.io is forbidden: '],
    ['502 with a web page', { kind: 'page', code: 502 }, 'Route: HTTP 502'],
    ['200 with a web page', { kind: 'page', code: 200 }, 'Route: the answer cannot be read: '],
    ['no answer', { kind: 'drop' }, 'Route: the API server cannot be reached: '],
    ['half an answer', { kind: 'halfAnswer' }, 'Route: the answer cannot be read: '],
  ] as const)('%s: told once, and tried again', async (_name, fault, problem) => {
    await using observed = await Observed.open((server) => {
      addRoutes(server, 1);
      server.fault({ ...fault, times: 2, match: { verb: 'list' } });
    });
    observed.informer.start();
    await observed.watching();
    expect(observed.problems).toHaveLength(1);
    expect(observed.problems[0]?.startsWith(problem), observed.problems[0]).toBe(true);
    expect([observed.synced, observed.view.size]).toEqual([1, 1]);
  });

  test('what stops and comes back is told each time', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    for (let i = 1; i <= 2; i++) {
      observed.server.fault({ kind: 'status', code: 500, match: { verb: 'watch' } });
      observed.server.dropWatches('Route');
      await observed.watching(i + 1);
    }
    expect(observed.problems.filter((problem) => problem.includes('leader changed'))).toHaveLength(2);
  });

  test('404 before the first list: the kind is not there, and the Informer ends', async () => {
    let missing = 0;
    await using observed = await Observed.open((server) => server.absent.add('Route'), { onMissing: () => missing++ });
    observed.informer.start();
    // It ends by itself: closing finds nothing to wait for.
    while (missing === 0) await turn();
    await observed.informer.close();
    expect([missing, observed.requests('list').length, observed.problems.length]).toEqual([1, 1, 0]);
  });

  test('404 where it may come yet: help is told, and it comes', async () => {
    await using observed = await Observed.open((server) => server.absent.add('Route'));
    observed.informer.start();
    await observed.until(() => observed.problems.length === 1);
    expect(observed.problems[0]).toContain('is the Route CRD installed? see manifests/crd.yaml');
    observed.server.absent.delete('Route');
    addRoute(observed.server, 'a');
    await observed.agreed();
    expect(observed.synced).toBe(1);
  });

  test('404 after the first list removes nothing', async () => {
    let missing = 0;
    await using observed = await Observed.started((server) => addRoutes(server, 30), { onMissing: () => missing++ });
    observed.server.absent.add('Route');
    observed.server.expireHistory();
    await observed.until(() => observed.requests('list').filter(({ status }) => status === 404).length === 2);
    expect([missing, observed.view.size]).toEqual([0, 30]);
    observed.server.absent.delete('Route');
    await observed.watching(2);
    expect(observed.events).toHaveLength(30);
  });

  test('an answer that is no list removes nothing', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 1), {
      resource: { ...routes, path: '/apis/route.openshift.io/v1/namespaces/shop/routes/r0' },
    });
    observed.informer.start();
    await observed.until(() => observed.problems.length === 1);
    expect(observed.problems).toEqual(['Route: the answer is no list']);
    expect([observed.synced, observed.events.length]).toEqual([0, 0]);
  });
});

describe.concurrent('credentials and addresses', () => {
  test('a token that is no longer good is read again from the kubeconfig', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    const { server, directory } = observed;
    server.tokens.add('second');
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig({ token: 'second' }));
    server.tokens.delete('token');
    server.dropWatches();
    moveHost(server, 'r0', 'moved.test');
    await observed.agreed();
    const watches = observed.requests('watch').map(({ status }) => status);
    expect(watches).toEqual([200, 401, 200]);
    expect(observed.requests('list')).toHaveLength(1);
  });

  test('the new token comes late', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    const { server, directory } = observed;
    server.tokens.delete('token');
    server.dropWatches();
    await observed.until(() => observed.requests('watch').filter(({ status }) => status === 401).length === 2);
    server.tokens.add('second');
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig({ token: 'second' }));
    moveHost(server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.problems.filter((problem) => problem.includes('Unauthorized'))).toHaveLength(1);
  });

  /** A kubeconfig whose token is in a file of its own. */
  async function withTokenFile(user: (path: string) => string): Promise<{ observed: Observed; path: string }> {
    const observed = await Observed.open((server) => addRoutes(server, 1));
    const path = join(observed.directory, 'token');
    await writeFile(path, 'token');
    const text = observed.server.kubeconfig().replace(/ {6}token: .*/, user(path));
    await writeFile(join(observed.directory, 'kubeconfig'), text);
    return { observed, path };
  }

  test('a tokenFile, as kubectl knows it', async () => {
    const { observed } = await withTokenFile((path) => `      tokenFile: ${path}`);
    await using _ = observed;
    observed.informer.start();
    await observed.until(() => observed.requests('list').length > 0 && observed.requests('list')[0]?.status !== 0);
    expect(observed.requests('list')[0]?.status).toBe(200);
  });

  test('the token file of the client: rotated while the old token is refused', async () => {
    const { observed, path } = await withTokenFile(
      (file) => `      auth-provider: { name: tokenFile, config: { tokenFile: ${file} } }`,
    );
    await using _ = observed;
    const { server } = observed;
    observed.informer.start();
    await observed.watching();
    server.tokens.add('second');
    await writeFile(path, 'second');
    server.tokens.delete('token');
    server.dropWatches();
    moveHost(server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.requests('watch').map(({ status }) => status)).toEqual([200, 401, 200]);
  });

  /** Reads its authority from a file, as a pod does. */
  async function withAuthorityFile(): Promise<{ observed: Observed; path: string }> {
    const observed = await Observed.open((server) => addRoutes(server, 1));
    const path = join(observed.directory, 'ca.crt');
    await writeFile(path, observed.server.ca);
    const text = observed.server
      .kubeconfig()
      .replace(/certificate-authority-data: .*/, `certificate-authority: ${path}`);
    await writeFile(join(observed.directory, 'kubeconfig'), text);
    observed.informer.start();
    await observed.watching();
    return { observed, path };
  }

  test('another authority, which the file knew first: trusted with the next try', async () => {
    const { observed, path } = await withAuthorityFile();
    await using _ = observed;
    const { server } = observed;
    const next = makeAuthority({ name: 'next' });
    await writeFile(path, server.ca + next.certificate);
    server.replaceAuthority(next);
    moveHost(server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.problems.length).toBeLessThanOrEqual(1);
  });

  test('another authority, which the file learns late: told once, and trusted then', async () => {
    const { observed, path } = await withAuthorityFile();
    await using _ = observed;
    const { server } = observed;
    const next = makeAuthority({ name: 'next' });
    server.replaceAuthority(next);
    await observed.until(() => observed.problems.length === 1);
    expect(observed.problems[0]).toMatch(/^Route: the API server cannot be reached: UNABLE_TO_VERIFY_LEAF_SIGNATURE$/);
    await writeFile(path, next.certificate);
    moveHost(server, 'r0', 'moved.test');
    await observed.agreed();
    expect(observed.requests('list')).toHaveLength(1);
    expect(observed.problems).toHaveLength(1);
  });

  test('a server behind a path keeps its path', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 1));
    const { server, directory } = observed;
    await writeFile(
      join(directory, 'kubeconfig'),
      server.kubeconfig().replace(server.url, `${server.url}/k8s/clusters/c-1`),
    );
    observed.informer.start();
    await observed.until(() => server.requests.length > 0);
    expect(server.requests[0]?.path).toBe('/k8s/clusters/c-1/apis/route.openshift.io/v1/routes');
  });

  test('a kubeconfig that is not there yet is told of', async () => {
    await using observed = await Observed.open((server) => addRoutes(server, 1));
    const { server, directory } = observed;
    await rm(join(directory, 'kubeconfig'));
    observed.informer.start();
    await observed.until(() => observed.problems.length === 1);
    expect(observed.problems[0]).toContain('ENOENT');
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    await observed.agreed();
  });
});

describe.concurrent('the end', () => {
  test('closing ends the watch, and nothing is told any more', async () => {
    await using observed = await Observed.started((server) => addRoutes(server, 1));
    await observed.informer.close();
    await observed.until(() => observed.server.watchers('Route') === 0);
    addRoute(observed.server, 'late');
    await turn();
    expect([observed.events.length, observed.problems.length]).toEqual([1, 0]);
    await observed.informer.close();
  });

  test('closing does not wait for a list that never comes', async () => {
    await using observed = await Observed.open((server) => {
      server.fault({ kind: 'hang', match: { verb: 'list' } });
    });
    observed.informer.start();
    await observed.until(() => observed.requests('list').length === 1);
    let isClosed = false;
    const closed = observed.informer.close().then(() => {
      isClosed = true;
    });
    // What needs no answer is through long before another request has been there and back.
    for (let i = 0; i < 3; i++) await observed.client.get('/api/v1/services');
    const wasClosed = isClosed;
    observed.client.close();
    await closed;
    expect(wasClosed).toBe(true);
  });

  test('a list that comes after the end is not told', async () => {
    await using observed = await Observed.open((server) => {
      addRoutes(server, 3);
      server.slowList(50);
    });
    observed.informer.start();
    await observed.until(() => observed.requests('list').length === 1);
    await observed.informer.close();
    await observed.until(() => observed.requests('list')[0]?.status === 200);
    await turn();
    expect([observed.events.length, observed.synced]).toEqual([0, 0]);
  });
});

describe.concurrent('whatever happens', () => {
  const names = Array.from({ length: 6 }, (_, i) => `r${i}`);
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant('put'), fc.constantFrom(...names)) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('delete'), fc.constantFrom(...names)) },
    {
      weight: 4,
      arbitrary: fc.tuple(
        fc.constantFrom(
          'drop',
          'close',
          'half',
          'garbage',
          'malformed',
          'stall',
          'expire',
          'list500',
          'watch410',
          'empty',
        ),
        fc.constant(''),
      ),
    },
    { weight: 4, arbitrary: fc.tuple(fc.constant('agree'), fc.constant('')) },
  );

  test('at the end the view is what the server has, and each difference was told once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        await using observed = await Observed.open((server) => addRoutes(server, 3), { inactivityMs: 300 });
        const { server } = observed;
        observed.informer.start();
        await observed.watching();
        let version = 0;
        let isStalled = false;
        for (const [kind, name] of steps) {
          const there = name !== '' && server.get('Route', 'shop', name) !== null;
          if (kind === 'put' && there) moveHost(server, name, `${name}-${version++}.test`);
          else if (kind === 'put') addRoute(server, name);
          else if (kind === 'delete' && there) server.delete('Route', 'shop', name);
          else if (kind === 'drop') server.dropWatches();
          else if (kind === 'close') server.closeWatches();
          else if (kind === 'half') server.halfLine();
          else if (kind === 'garbage') server.garbageLine();
          else if (kind === 'malformed') server.malformedObject('Route');
          else if (kind === 'stall') isStalled = server.stallWatches() > 0;
          else if (kind === 'expire') server.expireHistory();
          else if (kind === 'list500') server.fault({ kind: 'status', code: 500, match: { verb: 'list' } });
          else if (kind === 'watch410') server.fault({ kind: 'status', code: 410, match: { verb: 'watch' } });
          else if (kind === 'agree' && !isStalled) await observed.agreed();
        }
        await observed.agreed();
        const seen = new Map<ManifestKey, string>();
        for (const { key, manifest } of observed.events) {
          if (manifest === undefined) {
            // Of what could never be read the end alone is told.
            expect(seen.delete(key) || key === 'Route/default/malformed').toBe(true);
          } else if (manifest.kind === 'Route') {
            const { resourceVersion } = manifest.status;
            expect(seen.get(key)).not.toBe(resourceVersion);
            seen.set(key, resourceVersion);
          }
        }
      }),
      { numRuns: 25, interruptAfterTimeLimit: 6_000 },
    );
  });
});
