// The router and an API server that fails it. Only our own server fails on demand.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiServer } from '../support/api-server/api-server.ts';
import { isRealCluster, TestCluster } from '../support/cluster.ts';
import { Load } from '../support/load.ts';
import { aRouteObject, aService, aTlsSecret } from '../support/objects.ts';
import { NamedPod } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { eventually, isAlive, RunningRouter } from '../support/router.ts';

describe.skipIf(isRealCluster)('a failing API server', () => {
  let cluster: TestCluster;
  let server: ApiServer;
  let pod: NamedPod;
  let ns: string;

  beforeAll(async () => {
    cluster = await TestCluster.start({ bookmarkMs: 200 });
    if (cluster.server === null) throw new Error('not our own server');
    server = cluster.server;
    pod = await NamedPod.start('pod');
    ns = await cluster.namespace('a');
    await cluster.create(...aService(ns, 'svc', '127.0.0.1', [pod.port]), aRouteObject(ns, 'web', 'web.test', 'svc'));
  });

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  const verdict = (route: string, name: string, wanted: RegExp): Promise<string> =>
    eventually(
      () => cluster.verdict(ns, route, name),
      (found) => wanted.test(found),
    );

  test('it goes away and comes back: what is served is served on, and the view’s age is told', async () => {
    await using router = await RunningRouter.start(cluster, ['--name', 'outage', '--workers', '1']);
    const load = new Load({ port: router.httpPort, host: 'web.test', connections: 4, keepAlive: false });
    await load.answered(50);
    await server.stop();
    await router.line((line) => String(line['reason']).includes('cannot be reached'));
    await load.answered(200);
    expect((await router.admin('/healthz/ready')).status).toBe(200);
    await eventually(
      () => router.metric('headgate_source_age_seconds', 'kind="Route"'),
      (seconds) => seconds > 0.3,
    );
    server.create(aRouteObject(ns, 'later', 'later.test', 'svc'));
    await server.restart({ keepHistory: false });
    await eventually(
      () => get(router.httpPort, 'later.test'),
      ({ status }) => status === 200,
    );
    await verdict('later', 'outage', /^True$/);
    expect(await load.stop()).toMatchObject({ odd: 0, broken: 0, refused: 0 });
    server.delete('Route', ns, 'later');
  });

  test('it is not there at the start: the router waits, unready, and then serves', async () => {
    await server.stop();
    const started = RunningRouter.start(cluster, ['--name', 'late', '--workers', '1']);
    await server.start();
    await using router = await started;
    expect((await get(router.httpPort, 'web.test')).status).toBe(200);
  });

  test('the token is replaced: the new one is read', async () => {
    await using router = await RunningRouter.start(cluster, [
      '--name',
      'token',
      '--workers',
      '1',
      '--watch-timeout',
      '500ms',
    ]);
    const user = server.users.get('router-token') ?? '';
    server.users.set('second-token', user);
    server.tokens.add('second-token');
    cluster.writeRouterToken('second-token');
    server.tokens.delete('router-token');
    server.dropWatches();
    server.create(aRouteObject(ns, 'rotated', 'rotated.test', 'svc'));
    await eventually(
      () => get(router.httpPort, 'rotated.test'),
      ({ status }) => status === 200,
    );
    await verdict('rotated', 'token', /^True$/);
    server.tokens.add('router-token');
    cluster.writeRouterToken('router-token');
    server.delete('Route', ns, 'rotated');
  });

  test('everything seems to be gone: nothing is removed before a second list says so', async () => {
    const many = Array.from({ length: 30 }, (_, i) => `many${i}`);
    for (const name of many) server.create(aRouteObject(ns, name, `${name}.test`, 'svc'));
    await using router = await RunningRouter.start(cluster, ['--name', 'empty', '--workers', '1']);
    const load = new Load({ port: router.httpPort, host: 'many7.test', connections: 2, keepAlive: true });
    await load.answered(20);
    const lists = (requests: ApiServer['requests']): number =>
      requests.filter(({ resource, verb, status }) => resource === 'routes' && verb === 'list' && status === 200)
        .length;
    const before = lists(server.requests);
    server.emptyList(1, 'Route');
    server.expireHistory();
    await router.line((line) => String(line['reason']).includes('asking again'));
    await server.until((requests) => lists(requests) >= before + 2);
    await load.answered(200);
    expect(await load.stop()).toMatchObject({ odd: 0, broken: 0, refused: 0 });
    expect((await get(router.httpPort, 'many29.test')).status).toBe(200);
    for (const name of many) server.delete('Route', ns, name);
  });

  test('the controller is killed: nothing is lost, and no status is written again', async () => {
    await using router = await RunningRouter.start(cluster, ['--name', 'killed', '--workers', '2']);
    await verdict('web', 'killed', /^True$/);
    const before = await cluster.get('Route', ns, 'web');
    const { controller } = await router.processes();
    process.kill(controller, 'SIGKILL');
    server.create(aRouteObject(ns, 'after', 'after.test', 'svc'));
    await verdict('after', 'killed', /^True$/);
    expect((await get(router.httpPort, 'after.test')).status).toBe(200);
    expect((await cluster.get('Route', ns, 'web'))?.metadata['resourceVersion']).toBe(
      before?.metadata['resourceVersion'],
    );
    server.delete('Route', ns, 'after');
  });

  test('a worker that does not follow is killed, and only then is the Route told to be admitted', async () => {
    await using router = await RunningRouter.start(cluster, ['--name', 'stuck', '--workers', '2']);
    await verdict('web', 'stuck', /^True$/);
    const { workers } = await router.processes();
    const victim = workers[0]?.pid ?? 0;
    process.kill(victim, 'SIGSTOP');
    server.create(aRouteObject(ns, 'held', 'held.test', 'svc'));
    await verdict('held', 'stuck', /^True$/);
    expect(isAlive(victim)).toBe(false);
    for (let i = 0; i < 8; i++) expect((await get(router.httpPort, 'held.test')).status).toBe(200);
    server.delete('Route', ns, 'held');
  });

  test('keys of Secrets get into no status, event or log', async () => {
    const marker = 'c2VjcmV0bWFya2VyMTIzNDU2Nzg5MA';
    const key = `-----BEGIN PRIVATE KEY-----\n${marker}\n-----END PRIVATE KEY-----\n`;
    await cluster.create(aTlsSecret(ns, 'marked', key, key));
    await cluster.grantSecret(ns, 'marked');
    const inline = { termination: 'edge', certificate: key, key };
    const external = { termination: 'edge', externalCertificate: { name: 'marked' } };
    await cluster.create(
      aRouteObject(ns, 'inline', 'inline.test', 'svc', { tls: inline }),
      aRouteObject(ns, 'external', 'external.test', 'svc', { tls: external }),
    );
    await using router = await RunningRouter.start(cluster, ['--name', 'marker', '--log-level', 'debug']);
    const told = [await verdict('inline', 'marker', /^False /), await verdict('external', 'marker', /^False /)];
    const events = await eventually(
      () => cluster.list('Event', ns),
      (found) => found.filter((event) => event['reason'] === 'ExtendedValidationFailed').length >= 2,
    );
    const pages = await Promise.all(['/debug/routes', '/debug/table', '/metrics'].map((path) => router.admin(path)));
    const everything = [...told, JSON.stringify(events), router.output, ...pages.map(({ text }) => text)].join('\n');
    expect(everything).not.toContain(marker);
    expect(everything).not.toContain(Buffer.from(marker).toString('base64'));
    for (const name of ['inline', 'external']) server.delete('Route', ns, name);
  });
});
