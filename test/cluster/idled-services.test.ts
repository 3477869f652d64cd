// A Service whose pods have been taken away, in a cluster: the first request to its address brings them back and is answered by
// them. An API server of ours, as a real one gives no Service an address on loopback.

import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { expect, test } from 'vitest';
import { isRealCluster, TestCluster } from '../support/cluster.ts';
import { aRouteObject, aSlice, type KnownObject } from '../support/objects.ts';
import { NamedPod } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { eventually, RunningRouter, runCommand } from '../support/router.ts';

const idledAt = 'idling.alpha.openshift.io/idled-at';
const clusterIp = '127.7.5.1';

/** What a cluster does for an idled Service: takes its connections, wakes its pods, and lets them answer. */
class Unidler implements AsyncDisposable {
  connections = 0;
  readonly #server: Server;

  private constructor(wake: () => Promise<number>) {
    this.#server = createServer((socket) => {
      this.connections++;
      socket.on('error', () => {}).pause();
      void wake().then((port) => {
        const pod = connect(port, '127.0.0.1').on('error', () => {});
        socket.pipe(pod).pipe(socket);
      });
    });
  }

  /** `wake` answers the port of a pod. */
  static async start(wake: () => Promise<number>): Promise<Unidler> {
    const unidler = new Unidler(wake);
    await new Promise<void>((listening) => {
      unidler.#server.listen(0, clusterIp, listening);
    });
    return unidler;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((closed) => this.#server.close(closed));
  }
}

/** An idled Service, and the slice that is left of it. */
function anIdledService(namespace: string, name: string, address: string, port: number): KnownObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace, annotations: { [idledAt]: '2026-01-01T00:00:00Z' } },
      spec: { clusterIP: address, ports: [{ name: 'http', port, protocol: 'TCP', targetPort: 8080 }] },
    },
    aSlice(namespace, `${name}-0`, name, [], 8080),
  ];
}

type SeenRoute = { readonly route: string; readonly idled: readonly string[]; readonly warnings: readonly string[] };

test.skipIf(isRealCluster)('the first request wakes it, and those that follow go to its pods', async () => {
  await using cluster = await TestCluster.start();
  const ns = await cluster.namespace('idled');
  await using pod = await NamedPod.start('awake');
  await using unidler = await Unidler.start(async () => {
    await cluster.patch('EndpointSlice', ns, 'web-0', {
      endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
      ports: [{ name: 'http', port: pod.port, protocol: 'TCP' }],
    });
    await cluster.patch('Service', ns, 'web', { metadata: { annotations: { [idledAt]: null } } });
    return pod.port;
  });
  const wakeable = anIdledService(ns, 'web', clusterIp, unidler.port);
  const headless = anIdledService(ns, 'headless', 'None', 80);
  await cluster.create(...wakeable, aRouteObject(ns, 'web', 'web.test', 'web'));
  await cluster.create(...headless, aRouteObject(ns, 'headless', 'headless.test', 'headless'));
  await using router = await RunningRouter.start(cluster, ['--namespace', ns, '--workers', '1', '--name', 'idling']);
  const routes = async (): Promise<Record<string, SeenRoute | undefined>> => {
    const seen = await router.adminJson<readonly SeenRoute[]>('/debug/routes');
    return Object.fromEntries(seen.map((each) => [each.route, each]));
  };
  const before = await routes();
  expect(before[`${ns}/web`]).toMatchObject({ idled: ['web'], warnings: [] });
  expect(before[`${ns}/headless`]).toMatchObject({
    idled: ['headless'],
    warnings: [`Service ${ns}/headless is idled and has no cluster IP: no request can wake it`],
  });
  const explained = await runCommand(['explain', 'http://web.test/', '--admin-port', String(router.adminPort)]);
  expect(explained.stdout).toContain(`${clusterIp}:${unidler.port} (idled: a connection wakes its pods)`);
  expect((await get(router.httpPort, 'headless.test')).status).toBe(503);
  expect(unidler.connections, 'nobody has asked yet').toBe(0);

  expect(await get(router.httpPort, 'web.test')).toMatchObject({ status: 200, body: 'awake' });
  expect(unidler.connections).toBe(1);
  await eventually(routes, (seen) => seen[`${ns}/web`]?.idled.length === 0);
  await eventually(
    () => router.adminJson<{ acknowledged: boolean }>('/debug/revision'),
    ({ acknowledged }) => acknowledged,
  );
  for (let i = 0; i < 4; i++) expect((await get(router.httpPort, 'web.test')).body).toBe('awake');
  expect(unidler.connections).toBe(1);

  // And to sleep again.
  await cluster.patch('Service', ns, 'web', { metadata: { annotations: { [idledAt]: '2026-01-02T00:00:00Z' } } });
  await cluster.patch('EndpointSlice', ns, 'web-0', { endpoints: [] });
  await eventually(routes, (seen) => seen[`${ns}/web`]?.idled.length === 1);
  expect((await get(router.httpPort, 'web.test')).body).toBe('awake');
});
