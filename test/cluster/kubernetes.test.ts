// The router in a cluster, with the rights of manifests/rbac.yaml. Nothing here depends on the server being ours: with
// HEADGATE_E2E_KUBECONFIG all of it runs against a real one.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, processAuthority } from '../support/certificates.ts';
import { type Anything, podAddress, type SeenEntry, TestCluster } from '../support/cluster.ts';
import { aRouteObject, aService, aSlice, aTlsSecret } from '../support/objects.ts';
import { NamedPod } from '../support/pods.ts';
import { type Answer, get, servedName } from '../support/requests.ts';
import { eventually, RunningRouter, runCommand } from '../support/router.ts';

let cluster: TestCluster;
let pod: NamedPod;

beforeAll(async () => {
  cluster = await TestCluster.start();
  pod = await NamedPod.start('pod', podAddress);
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await pod[Symbol.asyncDispose]();
});

/** A namespace with a Service `svc` in it that leads to the pod. */
async function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
  const full = await cluster.namespace(name, labels);
  await cluster.create(...aService(full, 'svc', podAddress, [pod.port]));
  return full;
}

/** A router with a name of its own, looking at what this test has made. */
function router(name: string, ...args: readonly string[]): Promise<RunningRouter> {
  return RunningRouter.start(cluster, ['--name', name, '--workers', '2', ...args]);
}

const verdict = (ns: string, route: string, name: string, wanted: RegExp): Promise<string> =>
  eventually(
    () => cluster.verdict(ns, route, name),
    (found) => wanted.test(found),
  );

const entryGone = (ns: string, route: string, name: string): Promise<SeenEntry | undefined> =>
  eventually(
    () => cluster.entry(ns, route, name),
    (entry) => entry === undefined,
  );

const answers = (port: number, host: string, status: number): Promise<Answer> =>
  eventually(
    () => get(port, host),
    (answer) => answer.status === status,
  );

describe('status', () => {
  test('Admitted=True is told once the Route is served by every worker, and Ready names the generation', async () => {
    const ns = await namespace('status');
    await using running = await router(
      `${cluster.prefix}-status`,
      '--namespace',
      ns,
      '--router-canonical-hostname',
      'r.test',
    );
    const name = `${cluster.prefix}-status`;
    for (let i = 0; i < 5; i++) {
      await cluster.create(aRouteObject(ns, `web${i}`, `web${i}.test`, 'svc'));
      expect(await verdict(ns, `web${i}`, name, /./)).toBe('True');
      // Whoever sees it may connect at once, to any worker.
      for (let n = 0; n < 8; n++) expect((await get(running.httpPort, `web${i}.test`)).body).toBe('pod');
    }
    await cluster.patch('Route', ns, 'web0', { spec: { host: 'moved.test' } });
    const entry = await eventually(
      () => cluster.entry(ns, 'web0', name),
      (found) => found?.conditions.some(({ message }) => message === 'generation 2') === true,
    );
    expect(entry).toMatchObject({ host: 'moved.test', wildcardPolicy: 'None', routerCanonicalHostname: 'r.test' });
    expect(
      entry?.conditions.map(({ type, status, reason = '', message = '' }) => [type, status, reason, message]),
    ).toEqual([
      ['Admitted', 'True', '', ''],
      ['Ready', 'True', '', 'generation 2'],
    ]);
    expect((await get(running.httpPort, 'moved.test')).status).toBe(200);
    expect((await get(running.httpPort, 'web0.test')).status).toBe(503);
  });

  test('the younger of two on a host is refused, with an event, and admitted when the elder goes', async () => {
    const ns = await namespace('claims');
    const name = `${cluster.prefix}-claims`;
    await using running = await router(name, '--namespace', ns);
    await cluster.create(aRouteObject(ns, 'a', 'same.test', 'svc'), aRouteObject(ns, 'b', 'same.test', 'svc'));
    const routes = [await cluster.get('Route', ns, 'a'), await cluster.get('Route', ns, 'b')];
    // Creation has the grain of a second; within one the UID decides.
    const ageOf = (route: Anything | null): string =>
      `${route?.metadata['creationTimestamp']} ${route?.metadata['uid']}`;
    const [elder, younger] = ageOf(routes[0] ?? null) < ageOf(routes[1] ?? null) ? ['a', 'b'] : ['b', 'a'];
    await verdict(ns, elder, name, /^True$/);
    await verdict(ns, younger, name, /^False HostAlreadyClaimed: /);
    const events = await eventually(
      () => cluster.list('Event', ns),
      (found) => found.some((event) => event['reason'] === 'HostAlreadyClaimed'),
    );
    expect(events.find((event) => event['reason'] === 'HostAlreadyClaimed')).toMatchObject({
      type: 'Warning',
      involvedObject: { kind: 'Route', namespace: ns, name: younger },
    });
    await cluster.delete('Route', ns, elder);
    await verdict(ns, younger, name, /^True$/);
    expect((await get(running.httpPort, 'same.test')).status).toBe(200);
  });

  const refused: readonly (readonly [
    name: string,
    route: (ns: string) => Anything,
    args: readonly string[],
    verdict: RegExp,
  ])[] = [
    [
      'nohost',
      (ns) => aRouteObject(ns, 'r', '', 'svc'),
      [],
      /^False NoHostValue: no host value was defined for the route$/,
    ],
    [
      'upper',
      (ns) => aRouteObject(ns, 'r', 'Upper.test', 'svc'),
      [],
      /^False InvalidHost: host name validation errors: spec.host/,
    ],
    [
      'denied',
      (ns) => aRouteObject(ns, 'r', 'a.bad.test', 'svc'),
      ['--denied-domains', 'bad.test'],
      /^False RouteNotAdmitted: host in list of denied domains$/,
    ],
    [
      'allowed',
      (ns) => aRouteObject(ns, 'r', 'a.bad.test', 'svc'),
      ['--allowed-domains', 'good.test'],
      /^False RouteNotAdmitted: host not in the allowed list of domains$/,
    ],
    [
      'wildcard',
      (ns) => aRouteObject(ns, 'r', 'a.wild.test', 'svc', { wildcardPolicy: 'Subdomain' }),
      [],
      /^False RouteNotAdmitted: wildcard routes are not allowed$/,
    ],
    [
      'certificate',
      (ns) =>
        aRouteObject(ns, 'r', 'cert.test', 'svc', {
          tls: { termination: 'edge', certificate: 'nonsense', key: 'nonsense' },
        }),
      [],
      /^False ExtendedValidationFailed: .*spec\.tls\.certificate/,
    ],
  ];

  test.each(refused)('says why a Route is refused: %s', async (kind, route, args, wanted) => {
    const ns = await namespace(kind);
    const name = `${cluster.prefix}-${kind}`;
    await cluster.create(route(ns));
    await using _running = await router(name, '--namespace', ns, ...args);
    await verdict(ns, 'r', name, wanted);
  });

  test('two replicas of one router write it once, and another router keeps its own entry', async () => {
    const ns = await namespace('replicas');
    const name = `${cluster.prefix}-replicas`;
    await using _first = await router(name, '--namespace', ns);
    await using _second = await router(name, '--namespace', ns);
    await using _other = await router(`${name}-other`, '--namespace', ns);
    await cluster.create(aRouteObject(ns, 'web', 'replicas.test', 'svc'));
    await verdict(ns, 'web', name, /^True$/);
    await verdict(ns, 'web', `${name}-other`, /^True$/);
    const route = await cluster.get('Route', ns, 'web');
    const { ingress = [] } = (route?.['status'] ?? {}) as { ingress?: readonly SeenEntry[] };
    expect(ingress.map(({ routerName }) => routerName).sort()).toEqual([name, `${name}-other`]);
  });
});

describe('sharding', () => {
  test('a Route that is relabelled leaves with its status entry, and joins again', async () => {
    const ns = await namespace('labels');
    const name = `${cluster.prefix}-labels`;
    await cluster.create(aRouteObject(ns, 'web', 'labels.test', 'svc', {}, { labels: { shard: 'a' } }));
    await using other = await router(`${name}-other`, '--namespace', ns);
    await using running = await router(name, '--namespace', ns, '--labels', 'shard in (a, b)');
    await verdict(ns, 'web', name, /^True$/);
    await verdict(ns, 'web', `${name}-other`, /^True$/);
    await cluster.patch('Route', ns, 'web', { metadata: { labels: { shard: 'c' } } });
    await answers(running.httpPort, 'labels.test', 503);
    await entryGone(ns, 'web', name);
    expect(await cluster.verdict(ns, 'web', `${name}-other`)).toBe('True');
    expect((await get(other.httpPort, 'labels.test')).status).toBe(200);
    await cluster.patch('Route', ns, 'web', { metadata: { labels: { shard: 'b' } } });
    await verdict(ns, 'web', name, /^True$/);
    expect((await get(running.httpPort, 'labels.test')).status).toBe(200);
  });

  test('a Namespace that is relabelled takes its Routes with it', async () => {
    const label = `${cluster.prefix}/tenant`;
    const ns = await namespace('tenant', { [label]: 'a' });
    const name = `${cluster.prefix}-tenant`;
    await cluster.create(aRouteObject(ns, 'web', 'tenant.test', 'svc'));
    await using running = await router(name, '--namespace-labels', `${label}=a`);
    await verdict(ns, 'web', name, /^True$/);
    await cluster.patch('Namespace', '', ns, { metadata: { labels: { [label]: 'b' } } });
    await answers(running.httpPort, 'tenant.test', 503);
    await entryGone(ns, 'web', name);
    await cluster.patch('Namespace', '', ns, { metadata: { labels: { [label]: 'a' } } });
    await verdict(ns, 'web', name, /^True$/);
    expect((await get(running.httpPort, 'tenant.test')).status).toBe(200);
  });

  test('fields that the API server does not select by, the router does', async () => {
    const ns = await namespace('fields');
    const name = `${cluster.prefix}-fields`;
    await cluster.create(aRouteObject(ns, 'in', 'in.test', 'svc'), aRouteObject(ns, 'out', 'out.test', 'svc'));
    await using running = await router(name, '--namespace', ns, '--fields', 'spec.host=in.test');
    await verdict(ns, 'in', name, /^True$/);
    expect((await get(running.httpPort, 'out.test')).status).toBe(503);
    expect(await cluster.entry(ns, 'out', name)).toBeUndefined();
  });

  test('automatic shards share the hosts among them, each Route in one', async () => {
    const ns = await namespace('hash');
    const name = `${cluster.prefix}-hash`;
    const hosts = Array.from({ length: 12 }, (_, i) => `h${i}.hash.test`);
    await cluster.create(...hosts.map((host, i) => aRouteObject(ns, `r${i}`, host, 'svc')));
    const args = ['--namespace', ns, '--shard-count', '2'];
    await using zero = await router(name, ...args, '--shard-index', '0');
    await using one = await router(name, ...args, '--shard-index', '1');
    const served = new Set<number>();
    for (const [i, host] of hosts.entries()) {
      const entries = await eventually(
        async () => [await cluster.verdict(ns, `r${i}`, `${name}-0`), await cluster.verdict(ns, `r${i}`, `${name}-1`)],
        (found) => found.includes('True'),
      );
      const owner = entries.indexOf('True');
      served.add(owner);
      expect(entries[1 - owner]).toBe('');
      const statuses = [(await get(zero.httpPort, host)).status, (await get(one.httpPort, host)).status];
      expect(statuses).toEqual(owner === 0 ? [200, 503] : [503, 200]);
    }
    expect(served).toEqual(new Set([0, 1]));
  });

  test('what an earlier life left in the status of others’ Routes is swept, unless that is most of them', async () => {
    const ns = await namespace('sweep');
    const name = `${cluster.prefix}-sweep`;
    const stale = {
      status: { ingress: [{ host: 'x.test', routerName: name, conditions: [{ type: 'Admitted', status: 'True' }] }] },
    };
    const others = ['a', 'b', 'c', 'd'];
    await cluster.create(...others.map((route) => aRouteObject(ns, route, `${route}.sweep.test`, 'svc')));
    await cluster.create(aRouteObject(ns, 'ours', 'ours.sweep.test', 'svc', {}, { labels: { shard: 'a' } }));
    await cluster.patch('Route', ns, 'a', stale, '/status');
    {
      await using _running = await router(name, '--namespace', ns, '--labels', 'shard=a');
      await entryGone(ns, 'a', name);
      await verdict(ns, 'ours', name, /^True$/);
    }
    for (const route of others) await cluster.patch('Route', ns, route, stale, '/status');
    {
      await using running = await router(name, '--namespace', ns, '--labels', 'shard=a');
      await running.line((line) => line['stale'] === 4 && String(line.msg).includes('--force-sweep'));
      expect(await cluster.verdict(ns, 'd', name)).toBe('True');
    }
    await using _running = await router(name, '--namespace', ns, '--labels', 'shard=a', '--force-sweep');
    for (const route of others) await entryGone(ns, route, name);
    expect(await cluster.verdict(ns, 'ours', name)).toBe('True');
  });

  test('what a router wrote is cleared when it has gone for good', async () => {
    const ns = await namespace('clear');
    const name = `${cluster.prefix}-clear`;
    await cluster.create(aRouteObject(ns, 'web', 'clear.test', 'svc'));
    {
      await using _running = await router(name, '--namespace', ns);
      await using _other = await router(`${name}-other`, '--namespace', ns);
      await verdict(ns, 'web', name, /^True$/);
      await verdict(ns, 'web', `${name}-other`, /^True$/);
    }
    const args = ['clear-status', '--name', name, '--namespace', ns, ...cluster.sourceArgs];
    expect(await runCommand(args)).toMatchObject({
      code: 0,
      stdout: `cleared the status of 1 routes of the router ${name}\n`,
    });
    expect(await cluster.entry(ns, 'web', name)).toBeUndefined();
    expect(await cluster.verdict(ns, 'web', `${name}-other`)).toBe('True');
    expect(await runCommand(args)).toMatchObject({ code: 0, stdout: expect.stringContaining(' 0 routes ') });
  });
});

test('hosts come from a template, or from the subdomain and the router’s domain', async () => {
  const ns = await namespace('names');
  const name = `${cluster.prefix}-names`;
  await cluster.create(
    aRouteObject(ns, 'plain', '', 'svc'),
    aRouteObject(ns, 'sub', '', 'svc', { subdomain: 'shop' }),
    aRouteObject(ns, 'moved', 'x.old.test', 'svc'),
  );
  const template = '${name}-${namespace}.apps.test';
  const args = ['--hostname-template', template, '--router-domain', 'apps.test', '--override-domains', 'old.test'];
  await using running = await router(name, '--namespace', ns, ...args);
  const hosts = { plain: `plain-${ns}.apps.test`, sub: 'shop.apps.test', moved: `moved-${ns}.apps.test` };
  for (const [route, host] of Object.entries(hosts)) {
    await verdict(ns, route, name, /^True$/);
    expect((await cluster.entry(ns, route, name))?.host).toBe(host);
    expect((await get(running.httpPort, host)).status).toBe(200);
  }
});

test('endpoints are followed', async () => {
  const ns = await cluster.namespace('endpoints');
  const name = `${cluster.prefix}-endpoints`;
  await cluster.create(...aService(ns, 'svc', podAddress, []), aRouteObject(ns, 'web', 'endpoints.test', 'svc'));
  await using running = await router(name, '--namespace', ns);
  await verdict(ns, 'web', name, /^True$/);
  expect((await get(running.httpPort, 'endpoints.test')).status).toBe(503);
  await cluster.create(aSlice(ns, 'svc-1', 'svc', [podAddress], pod.port));
  await answers(running.httpPort, 'endpoints.test', 200);
  await cluster.delete('EndpointSlice', ns, 'svc-1');
  await answers(running.httpPort, 'endpoints.test', 503);
});

test('client-ca-secret: the Route is refused until its owner lets the Secret be read', async () => {
  const ns = await namespace('clients');
  const name = `${cluster.prefix}-clients`;
  const { certificate: ca } = processAuthority();
  const secret = { ...aTlsSecret(ns, 'clients', '', ''), type: 'Opaque' };
  await cluster.create({ ...secret, data: { 'ca.crt': Buffer.from(ca).toString('base64') } });
  const route = aRouteObject(ns, 'web', 'clients.test', 'svc', { tls: { termination: 'edge' } });
  const annotations = { 'headgate.io/client-ca-secret': 'clients' };
  await cluster.create({ ...route, metadata: { ...route.metadata, annotations } });
  await using running = await router(name, '--namespace', ns);
  const denied = await verdict(ns, 'web', name, /^False /);
  expect(denied).toContain(
    'metadata.annotations[headgate.io/client-ca-secret]: Forbidden: router serviceaccount does not have permission to get',
  );
  await cluster.grantSecret(ns, 'clients');
  await verdict(ns, 'web', name, /^True$/);
  const explained = await running.admin(`/debug/explain?url=${encodeURIComponent('https://clients.test/')}`);
  expect(JSON.parse(explained.text)).toMatchObject({ tls: { clientAuth: { demand: 'required' } } });
});

test('externalCertificate: asked for, granted, replaced, deleted, made again', async () => {
  const ns = await namespace('external');
  const name = `${cluster.prefix}-external`;
  const pairOf = (commonName: string): { certificate: string; key: string } =>
    makeCertificate({ names: [commonName, 'external.test'], issuer: processAuthority() });
  const [first, second] = [pairOf('first'), pairOf('second')];
  await cluster.create(aTlsSecret(ns, 'tls', first.certificate, first.key));
  const tls = { termination: 'edge', externalCertificate: { name: 'tls' } };
  await cluster.create(aRouteObject(ns, 'web', 'external.test', 'svc', { tls }));
  await using running = await router(name, '--namespace', ns);
  const denied = await verdict(ns, 'web', name, /^False /);
  for (const verb of ['get', 'watch', 'list']) {
    expect(denied).toContain(`router serviceaccount does not have permission to ${verb} this secret`);
  }
  await cluster.grantSecret(ns, 'tls');
  await verdict(ns, 'web', name, /^True$/);
  expect(await servedName(running.httpsPort, 'external.test')).toBe('first');
  const { data } = aTlsSecret(ns, 'tls', second.certificate, second.key);
  await cluster.patch('Secret', ns, 'tls', { data });
  await eventually(
    () => servedName(running.httpsPort, 'external.test'),
    (served) => served === 'second',
  );
  expect(await cluster.verdict(ns, 'web', name)).toBe('True');
  await cluster.delete('Secret', ns, 'tls');
  const gone = await verdict(ns, 'web', name, /^False /);
  expect(gone).toBe(
    'False ExternalCertificateValidationFailed: spec.tls.externalCertificate: Not found: "secrets \\"tls\\" not found"',
  );
  await cluster.create(aTlsSecret(ns, 'tls', first.certificate, first.key));
  await verdict(ns, 'web', name, /^True$/);
  expect(await servedName(running.httpsPort, 'external.test')).toBe('first');
});
