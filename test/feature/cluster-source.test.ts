import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ApiClient } from '../../src/source/kube/api-client.ts';
import { Cluster, type ClusterScope } from '../../src/source/kube/cluster.ts';
import type { ManifestEvent } from '../../src/source/manifests.ts';
import { ApiServer, type ApiServerOptions } from '../support/api-server/api-server.ts';

const everything: ClusterScope = {
  namespace: '',
  routeLabels: [],
  routeFields: [],
  namespaceLabels: [],
  projectLabels: null,
  serviceAccount: '',
  watchInactivityMs: 60_000,
};

/** A Cluster on an API server of its own, with all that it told. */
class Source implements AsyncDisposable {
  readonly server: ApiServer;
  readonly client: ApiClient;
  readonly cluster: Cluster;
  readonly events: ManifestEvent[] = [];
  readonly problems: string[] = [];
  readonly #directory: string;

  private constructor(server: ApiServer, directory: string, scope: Partial<ClusterScope>) {
    this.server = server;
    this.#directory = directory;
    this.client = new ApiClient({ kubeconfig: join(directory, 'kubeconfig'), apiServer: '' });
    this.cluster = new Cluster(
      this.client,
      { ...everything, ...scope },
      {
        onEvents: (events) => this.events.push(...events),
        onProblem: (reason) => this.problems.push(reason),
      },
    );
  }

  static async open(
    scope: Partial<ClusterScope>,
    prepare: (server: ApiServer) => void = fill,
    options: ApiServerOptions = {},
  ): Promise<Source> {
    const server = await ApiServer.start(options);
    const directory = await mkdtemp(join(tmpdir(), 'cluster-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    prepare(server);
    return new Source(server, directory, scope);
  }

  get keys(): string[] {
    return this.events.map(({ key, manifest }) => `${manifest === undefined ? '-' : ''}${key}`).sort();
  }

  /** Lists and watches, with their selectors. */
  asked(): string[] {
    const asked = this.server.requests.map(({ verb, path, query }) => {
      const { labelSelector = '', fieldSelector = '' } = query;
      return [verb, path, labelSelector, fieldSelector].filter((part) => part !== '').join(' ');
    });
    return [...new Set(asked)].sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.cluster.close();
    await this.server[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

/** One of each kind in two namespaces. */
function fill(server: ApiServer): void {
  for (const namespace of ['shop', 'bank']) {
    server.create({ kind: 'Namespace', metadata: { name: namespace, labels: { env: namespace } } });
    const labels = { tier: namespace };
    const spec = { host: `${namespace}.test`, to: { kind: 'Service', name: 'svc' } };
    server.create({ kind: 'Route', metadata: { name: 'r', namespace, labels }, spec });
    server.create({ kind: 'Service', metadata: { name: 'svc', namespace } });
    server.create({
      kind: 'EndpointSlice',
      metadata: { name: 'svc-1', namespace },
      addressType: 'IPv4',
      endpoints: [],
    });
    server.create({ kind: 'Secret', metadata: { name: 's', namespace }, type: 'Opaque' });
  }
}

const slices = '/apis/discovery.k8s.io/v1';
const routes = '/apis/route.openshift.io/v1';

function both(...paths: readonly string[]): string[] {
  return ['list', 'watch'].flatMap((verb) => paths.map((path) => `${verb} ${path}`)).sort();
}

describe.concurrent('a cluster as a source', () => {
  test('every kind once, and no Secret', async () => {
    await using source = await Source.open({});
    await source.cluster.start();
    const keys = ['EndpointSlice/bank/svc-1', 'EndpointSlice/shop/svc-1', 'Route/bank/r', 'Route/shop/r'];
    expect(source.keys).toEqual([...keys, 'Service/bank/svc', 'Service/shop/svc']);
    await source.server.until(() => source.server.watchers() === 3);
    expect(source.asked()).toEqual(both('/api/v1/services', `${slices}/endpointslices`, `${routes}/routes`));
    expect(source.cluster.views().map(({ kind, synced }) => `${kind} ${synced}`)).toEqual([
      'Service true',
      'EndpointSlice true',
      'Route true',
    ]);
    expect(source.problems).toEqual([]);
  });

  test('one namespace: nothing outside it is asked for', async () => {
    const prepare = (server: ApiServer): void => {
      fill(server);
      server.allow(({ namespace }) => namespace === 'shop');
    };
    await using source = await Source.open({ namespace: 'shop' }, prepare);
    await source.cluster.start();
    expect(source.keys).toEqual(['EndpointSlice/shop/svc-1', 'Route/shop/r', 'Service/shop/svc']);
    await source.server.until(() => source.server.watchers() === 3);
    const within = '/namespaces/shop';
    expect(source.asked()).toEqual(
      both(`/api/v1${within}/services`, `${slices}${within}/endpointslices`, `${routes}${within}/routes`),
    );
  });

  test('selectors go to the API server, each to its kind', async () => {
    const scope: Partial<ClusterScope> = {
      routeLabels: [{ key: 'tier', operator: 'in', values: ['gold', 'shop'] }],
      routeFields: [{ field: 'spec.host', equal: false, value: 'x.test' }],
      namespaceLabels: [{ key: 'env', operator: 'not-in', values: ['bank'] }],
    };
    await using source = await Source.open(scope, fill, { selectableRouteFields: true });
    await source.cluster.start();
    expect(source.keys).toEqual([
      'EndpointSlice/bank/svc-1',
      'EndpointSlice/shop/svc-1',
      'Namespace/shop',
      'Route/shop/r',
      'Service/bank/svc',
      'Service/shop/svc',
    ]);
    await source.server.until(() => source.server.watchers() === 4);
    expect(source.asked()).toEqual(
      both(
        '/api/v1/namespaces env notin (bank)',
        '/api/v1/services',
        `${slices}/endpointslices`,
        `${routes}/routes tier in (gold,shop) spec.host!=x.test`,
      ),
    );
  });

  test('Namespaces that come and go', async () => {
    await using source = await Source.open({ namespaceLabels: [{ key: 'env', operator: 'in', values: ['shop'] }] });
    await source.cluster.start();
    await source.server.until(() => source.server.watchers('Namespace') === 1);
    source.events.length = 0;
    source.server.patchMeta('Namespace', '', 'bank', { labels: { env: 'shop' } });
    source.server.patchMeta('Namespace', '', 'shop', { labels: { env: null } });
    while (source.events.length < 2) await turn();
    expect(source.keys).toEqual(['-Namespace/shop', 'Namespace/bank']);
  });

  test('projects: those that one may see, polled and not watched', async () => {
    const prepare = (server: ApiServer): void => {
      fill(server);
      server.allow(({ resource, verb, namespace }) => {
        return resource !== 'namespaces' || (verb === 'get' && namespace === 'shop');
      });
    };
    await using source = await Source.open({ projectLabels: [] }, prepare, { projects: true });
    await source.cluster.start();
    expect(source.keys.filter((key) => key.startsWith('Namespace'))).toEqual(['Namespace/shop']);
    await source.server.until(() => source.server.watchers() === 3);
    expect(source.asked()).toContain('list /apis/project.openshift.io/v1/projects');
    expect(
      source.asked().filter((request) => request.includes('namespaces') || request.startsWith('watch /apis/project')),
    ).toEqual([]);
    expect(source.problems).toEqual([]);
  });

  test('no projects in the cluster: Namespaces in their place', async () => {
    const projectLabels = [{ key: 'env', operator: 'in' as const, values: ['shop'] }];
    await using source = await Source.open({ projectLabels });
    await source.cluster.start();
    expect(source.keys.filter((key) => key.startsWith('Namespace'))).toEqual(['Namespace/shop']);
    await source.server.until(() => source.server.watchers('Namespace') === 1);
    expect(
      source.cluster
        .views()
        .map(({ kind }) => kind)
        .sort(),
    ).toEqual(['EndpointSlice', 'Namespace', 'Route', 'Service']);
    expect(source.problems).toEqual([]);
  });

  test('it has started when the last kind is there, however long that takes', async () => {
    await using source = await Source.open({}, (server) => {
      fill(server);
      server.fault({ kind: 'status', code: 503, times: 2, match: { kind: 'EndpointSlice' } });
    });
    let hasStarted = false;
    const started = source.cluster.start().then(() => {
      hasStarted = true;
    });
    await source.server.until(() => source.server.watchers() === 2);
    await turn();
    expect([hasStarted, source.cluster.synced]).toEqual([false, false]);
    await started;
    expect(source.cluster.synced).toBe(true);
    expect(source.keys).toHaveLength(6);
    expect(source.problems).toHaveLength(1);
  });

  test('closing ends all watches', async () => {
    await using source = await Source.open({});
    await source.cluster.start();
    await source.server.until(() => source.server.watchers() === 3);
    await source.cluster.close();
    await source.server.until(() => source.server.watchers() === 0);
  });
});
