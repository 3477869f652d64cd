// What must hold of the objects of the chart, whatever the values: they fit together, the router takes its settings, and
// nobody gets more rights than are needed.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { loadAll } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type Config, settingList } from '../../src/config/schema.ts';
import { type KubeObject, noHelm, objects, valuesOf, variants } from '../support/helm.ts';
import { unknownFields } from '../support/known-fields.ts';
import { type PodSpec, restrictedFaults } from '../support/pod-security.ts';

type Labels = Readonly<Record<string, string>>;
type Workload = KubeObject & {
  readonly spec: {
    readonly replicas?: number;
    readonly serviceName?: string;
    readonly selector: { readonly matchLabels: Labels };
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
  };
};
type Service = KubeObject & {
  readonly spec: {
    readonly clusterIP?: string;
    readonly selector: Labels;
    readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[];
  };
};
type Role = KubeObject & {
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
};
type Binding = KubeObject & {
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects: readonly { readonly kind: string; readonly name: string; readonly namespace: string }[];
};
type EnvironmentVariable = {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
};

const kinds = ['Deployment', 'StatefulSet', 'DaemonSet'];
/** Of the environment: not settings, but read all the same, or put there by the values of a variant. */
const noSettings = ['POD_NAME', 'TZ'];
const pathKinds: readonly string[] = ['file', 'directory', 'writable-directory'];

test('fields that Kubernetes does not know are found', () => {
  const container = { nam: 'router', env: [{ name: 'A', value: 1 }], ports: {} };
  const spec = { replicas: '2', template: { metadata: { labels: { a: true } }, spec: { containers: [container] } } };
  expect(unknownFields({ apiVersion: 'apps/v1', kind: 'Deployment', ...{ spec } })).toEqual([
    '.spec.replicas: is no number',
    '.spec.template.metadata.labels.a: is no string',
    '.spec.template.spec.containers[0].nam',
    '.spec.template.spec.containers[0].env[0].value: is no string',
    '.spec.template.spec.containers[0].ports: is no list',
  ]);
});

describe.skipIf(noHelm).each(variants)('%s', async (variant) => {
  const all = noHelm === false ? await objects(...valuesOf(variant)) : [];
  const workloads = workloadsOf(all);
  const services = all.filter(({ kind }) => kind === 'Service') as Service[];

  test('has labels, a namespace and a name of its own everywhere', () => {
    for (const { kind, metadata } of all) {
      // Objects of the values are the user's business.
      if (metadata.name.endsWith('-more')) continue;
      expect(metadata.labels, `${kind} ${metadata.name}`).toMatchObject({
        'app.kubernetes.io/name': expect.any(String),
        'app.kubernetes.io/instance': 'headgate',
        'app.kubernetes.io/version': '0.1.0',
        'app.kubernetes.io/part-of': 'headgate',
        'app.kubernetes.io/managed-by': 'Helm',
        'helm.sh/chart': 'headgate-0.1.0',
      });
      expect(metadata.namespace === undefined, `${kind} ${metadata.name}`).toBe(kind.startsWith('Cluster'));
    }
    const names = all.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
  });

  test('has the fields that Kubernetes knows', () => {
    for (const object of all) {
      // The Prometheus Operator's types are not among the models.
      const expected = object.apiVersion.startsWith('monitoring.coreos.com/') ? null : [];
      expect(unknownFields(object), `${object.kind} ${object.metadata.name}`).toEqual(expected);
    }
  });

  test('selects each pod once', () => {
    const selections = workloads.map(({ spec }) => JSON.stringify(spec.selector.matchLabels));
    expect(new Set(selections).size).toBe(workloads.length);
    for (const { spec } of workloads) {
      expect(matching(workloads, spec.selector.matchLabels)).toHaveLength(1);
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    }
    for (const { kind, spec } of all as readonly Workload[]) {
      if (kind === 'PodDisruptionBudget') expect(matching(workloads, spec.selector.matchLabels)).toHaveLength(1);
    }
  });

  test('has Services for ports that are there, of one shard each', () => {
    for (const { metadata, spec } of services) {
      const { 'apps.kubernetes.io/pod-index': index, ...labels } = spec.selector;
      const [workload, ...others] = matching(workloads, labels);
      expect(others, metadata.name).toEqual([]);
      const ports = routerOf(workload).ports?.map(({ name }) => name) ?? [];
      expect(ports).toEqual(expect.arrayContaining(spec.ports.map(({ targetPort }) => targetPort)));
      // Set by the StatefulSet controller on each of its pods.
      if (index !== undefined) expect(Number(index)).toBeLessThan(workload?.spec.replicas ?? 0);
    }
    for (const { kind, spec } of workloads) {
      if (kind !== 'StatefulSet') continue;
      expect(services.find(({ metadata }) => metadata.name === spec.serviceName)?.spec.clusterIP).toBe('None');
    }
  });

  test('gives the router settings that it takes', () => {
    const known = [...settingList.map(({ environment }) => environment), ...noSettings];
    for (const workload of workloads) {
      const names = variablesOf(workload).map(({ name }) => name);
      expect(names.filter((name) => !known.includes(name))).toEqual([]);
      expect(new Set(names).size).toBe(names.length);
      expect(routerOf(workload).args?.[0]).toBe('serve');
      expect(() => configOf(workload)).not.toThrow();
    }
  });

  test('listens where it says, and has the time that the router takes to end', () => {
    for (const workload of workloads) {
      const { httpPort, httpsPort, adminPort } = configOf(workload);
      const ports = routerOf(workload).ports?.map(({ containerPort }) => containerPort);
      expect(ports).toEqual([httpPort, httpsPort, adminPort]);
      expect(spareSeconds(workload)).toBeGreaterThanOrEqual(10);
    }
  });

  test('meets the restricted profile, host ports excepted', () => {
    const pods = all.filter(({ kind }) => kind === 'Pod') as (KubeObject & { readonly spec: PodSpec })[];
    for (const spec of [...workloads.map((workload) => workload.spec.template.spec), ...pods.map((pod) => pod.spec)]) {
      const own = { ...spec, containers: spec.containers.filter(isOurs), initContainers: [] };
      const faults = restrictedFaults(own);
      expect(faults).toEqual(variant === 'daemonset' && faults.length > 0 ? ['router: hostPort'] : []);
      expect(own.automountServiceAccountToken).toBe(false);
      for (const { securityContext } of own.containers) expect(securityContext?.readOnlyRootFilesystem).toBe(true);
    }
  });

  test('mounts what is there, and writes in memory only', () => {
    for (const { spec } of workloads) {
      const { volumes = [], containers } = spec.template.spec;
      const names = volumes.map((volume) => volume['name']);
      const mounts = containers.flatMap(({ volumeMounts = [] }) => volumeMounts);
      for (const { name } of mounts) expect(names).toContain(name);
      for (const { name, mountPath, readOnly } of mounts) {
        if (name !== 'more') expect(readOnly === true, mountPath).toBe(mountPath !== '/run/headgate');
      }
      expect(volumes).toContainEqual({ name: 'run', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } });
    }
  });

  test('gives its account these rights and no others', () => {
    const roles = all.filter(({ kind }) => kind.endsWith('Role')) as Role[];
    for (const { kind, rules } of roles.filter((role) => !isForReaders(role.metadata.name))) {
      expect(JSON.stringify(rules)).not.toMatch(/\*|secret/i);
      const rights = rules.flatMap(({ apiGroups, resources, verbs }) =>
        apiGroups.flatMap((group) => resources.map((resource) => `${resource}.${group}: ${verbs.join(' ')}`)),
      );
      expect(rights).toEqual([
        'routes.route.openshift.io: get list watch',
        'services.: list watch',
        'endpointslices.discovery.k8s.io: list watch',
        'routes/status.route.openshift.io: patch update',
        'events.: create patch',
        ...(kind === 'ClusterRole' ? ['namespaces.: get list watch'] : []),
        ...(variant === 'openshift' ? ['projects.project.openshift.io: list'] : []),
        ...(kind === 'ClusterRole' ? ['subjectaccessreviews.authorization.k8s.io: create'] : []),
        ...(kind === 'ClusterRole' ? ['tokenreviews.authentication.k8s.io: create'] : []),
      ]);
    }
    const accounts = all.filter(({ kind }) => kind === 'ServiceAccount').map(({ metadata }) => metadata);
    for (const { roleRef, subjects } of all.filter(({ kind }) => kind.endsWith('Binding')) as Binding[]) {
      if (!roleRef.name.startsWith('system:openshift:scc:')) {
        expect(roles.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toContain(
          `${roleRef.kind} ${roleRef.name}`,
        );
      }
      if (isForReaders(roleRef.name)) continue;
      expect(subjects).toEqual(accounts.map(({ name, namespace }) => ({ kind: 'ServiceAccount', name, namespace })));
    }
    for (const workload of workloads) {
      expect(accounts.map(({ name }) => name)).toEqual([workload.spec.template.spec.serviceAccountName]);
      const own = accounts.map(({ namespace, name }) => `${namespace}/${name}`);
      expect(['', ...own]).toContain(configOf(workload).serviceAccount);
    }
  });
});

describe.skipIf(noHelm)('names', () => {
  const longest = 'a-release-with-a-name-as-long-as-helm-takes-53-letter';

  test('are texts where they look like numbers', async () => {
    for (const object of await objects('--name-template=123', '--namespace=456')) {
      if (!object.apiVersion.startsWith('monitoring.')) expect(unknownFields(object)).toEqual([]);
    }
  });

  test('fit, however long the release and its shards are called', async () => {
    const shards =
      '--set-json=shards=[{"name":"a-shard-of-thirty-letters-long","hash":{"count":2}},{"name":"b","kind":"StatefulSet"}]';
    const all = await objects(`--name-template=${longest}`, shards);
    expect(workloadsOf(all)).toHaveLength(3);
    for (const { kind, metadata } of all) {
      const most = kinds.includes(kind) ? 52 : kind.startsWith('Cluster') ? 253 : 63;
      expect(metadata.name.length, metadata.name).toBeLessThanOrEqual(most);
      expect(metadata.name).toMatch(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
    }
    const names = all.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe.skipIf(noHelm)('stopping', () => {
  test.each([
    { delay: 0, timeout: 0, preStop: 0, margin: 5, grace: 5, waits: 0 },
    { delay: 45, timeout: 30, preStop: 0, margin: 15, grace: 90, waits: 45 },
    { delay: 45, timeout: 30, preStop: 20, margin: 15, grace: 90, waits: 25 },
    { delay: 10, timeout: 3600, preStop: 60, margin: 15, grace: 3675, waits: 0 },
  ])('delay $delay, timeout $timeout, preStop $preStop, margin $margin', async (times) => {
    const [workload] = workloadsOf(
      await objects(
        `--set=shutdown.delaySeconds=${times.delay},shutdown.timeoutSeconds=${times.timeout}`,
        `--set=shutdown.preStopSleepSeconds=${times.preStop},shutdown.marginSeconds=${times.margin}`,
      ),
    );
    if (workload === undefined) throw new Error('no workload');
    expect(workload.spec.template.spec.terminationGracePeriodSeconds).toBe(times.grace);
    expect(configOf(workload).shutdownDelayMs).toBe(times.waits * 1000);
    expect(spareSeconds(workload)).toBe(times.margin);
  });

  test('a preStop sleep among the hooks counts as one', async () => {
    const [workload] = workloadsOf(await objects('--set=lifecycle.preStop.sleep.seconds=15'));
    if (workload === undefined) throw new Error('no workload');
    expect(configOf(workload).shutdownDelayMs).toBe(30_000);
    expect(spareSeconds(workload)).toBe(15);
  });
});

describe.skipIf(noHelm)('the node port of health checks', () => {
  test.each([
    ['LoadBalancer', '', 30081],
    ['LoadBalancer', 'Cluster', undefined],
    ['NodePort', 'Local', undefined],
  ])('of a %s with the policy %j is %j, as the API server takes it', async (type, policy, port) => {
    const values = `service.type=${type},service.externalTrafficPolicy=${policy},service.healthCheckNodePort=30081`;
    const service = (await objects(`--set=${values}`)).find(
      ({ kind, metadata }) => kind === 'Service' && metadata.name === 'headgate',
    ) as (KubeObject & { readonly spec: { readonly healthCheckNodePort?: number } }) | undefined;
    expect(service?.spec.healthCheckNodePort).toBe(port);
  });
});

describe.skipIf(noHelm)('metrics', () => {
  const prometheus = '--set=metrics.readers[0].namespace=monitoring,metrics.readers[0].name=prometheus';

  /** What the router is told, and who is bound to the role for readers; null where there is no such role. */
  async function auth(...args: string[]): Promise<readonly [told: string | undefined, readers: unknown]> {
    const all = await objects(...args);
    const [workload] = workloadsOf(all);
    const told = workload === undefined ? [] : variablesOf(workload);
    const role = all.find(({ kind, metadata }) => kind === 'ClusterRole' && isForReaders(metadata.name)) as
      | Role
      | undefined;
    if (role !== undefined) {
      expect(role.rules).toEqual([
        { apiGroups: ['route.openshift.io'], resources: ['routers/metrics'], verbs: ['get'] },
      ]);
    }
    const binding = (all as Binding[]).find(
      ({ kind, metadata }) => kind === 'ClusterRoleBinding' && isForReaders(metadata.name),
    );
    if (binding !== undefined)
      expect(binding.roleRef).toMatchObject({ kind: 'ClusterRole', name: role?.metadata.name });
    const readers = binding?.subjects.map(({ namespace, name }) => `${namespace}/${name}`) ?? [];
    return [told.find(({ name }) => name === 'HEADGATE_METRICS_AUTH')?.value, role === undefined ? null : readers];
  }

  test('are read by whom the values name, on OpenShift by its own Prometheus', async () => {
    expect(await auth()).toEqual(['openshift', []]);
    expect(await auth(prometheus)).toEqual(['openshift', ['monitoring/prometheus']]);
    expect(await auth('--set=openshift.enabled=true')).toEqual(['openshift', ['openshift-monitoring/prometheus-k8s']]);
    expect(await auth('--set=openshift.enabled=true', prometheus)).toEqual(['openshift', ['monitoring/prometheus']]);
    expect(await auth('--set=metrics.auth=none', prometheus)).toEqual(['none', null]);
    expect(await auth('--set=rbac.scope=namespace')).toEqual(['none', null]);
  });

  test('are scraped with a token where one is asked for, and with TLS where there is a certificate', async () => {
    const endpoint = async (...args: string[]): Promise<unknown> => {
      const monitor = (await objects('--set=metrics.serviceMonitor.enabled=true', ...args)).find(
        ({ kind }) => kind === 'ServiceMonitor',
      ) as unknown as { spec: { endpoints: readonly unknown[] } };
      return monitor.spec.endpoints[0];
    };
    const bare = { port: 'admin', path: '/metrics', honorLabels: true };
    const bearerTokenFile = '/var/run/secrets/kubernetes.io/serviceaccount/token';
    expect(await endpoint()).toEqual({ ...bare, bearerTokenFile });
    expect(await endpoint('--set=metrics.auth=none')).toEqual(bare);
    const credentials = { name: 'a', key: 'b' };
    expect(
      await endpoint(`--set-json=metrics.serviceMonitor.authorization=${JSON.stringify({ credentials })}`),
    ).toEqual({ ...bare, authorization: { credentials } });
    expect(await endpoint('--set=metrics.tls.existingSecret=c')).toEqual({ ...bare, scheme: 'https', bearerTokenFile });
  });
});

describe.skipIf(noHelm)('OpenShift', () => {
  const told = '--api-versions=security.openshift.io/v1';

  test('is known by its API, and chooses users and groups itself', async () => {
    const all = await objects(told);
    expect(JSON.stringify(all)).not.toMatch(/runAsUser|runAsGroup|fsGroup/);
    for (const { spec } of workloadsOf(all)) expect(restrictedFaults(spec.template.spec)).toEqual([]);
  });

  test('elsewhere the chart names a user', async () => {
    const [workload] = workloadsOf(await objects());
    expect(workload?.spec.template.spec.securityContext?.runAsUser).toBeGreaterThan(0);
  });

  test('binds the account to other constraints only where it must', async () => {
    const boundTo = async (...args: string[]) =>
      ((await objects(told, ...args)).filter(({ kind }) => kind === 'RoleBinding') as Binding[]).map(
        ({ roleRef }) => roleRef.name,
      );
    expect(await boundTo()).toEqual([]);
    expect(await boundTo('--set=hostNetwork=true')).toEqual(['system:openshift:scc:hostnetwork-v2']);
    expect(await boundTo('--set=openshift.scc=own')).toEqual(['system:openshift:scc:own']);
  });

  test('has its service CA verify pods, unless another is named', async () => {
    const authorities = async (...args: string[]) =>
      (await objects(...args)).filter(({ metadata }) => metadata.name === 'headgate-service-ca');
    expect(await authorities()).toEqual([]);
    expect(await authorities(told, '--set=destinationCA.existingConfigMap=own')).toEqual([]);
    expect(await authorities(told, '--set=destinationCA.openshiftServiceCA=false')).toEqual([]);
    expect((await authorities(told))[0]?.metadata.annotations).toEqual({
      'service.beta.openshift.io/inject-cabundle': 'true',
    });
  });
});

describe.skipIf(noHelm)('the Route type', () => {
  const definitions = async (...args: string[]) =>
    (await objects(...args)).filter(({ kind }) => kind === 'CustomResourceDefinition');

  test('is installed only where it is asked for, and stays', async () => {
    expect(await definitions()).toEqual([]);
    const [definition, ...others] = await definitions('--set=crds.install=true');
    expect(others).toEqual([]);
    expect(definition?.metadata).toMatchObject({
      name: 'routes.route.openshift.io',
      annotations: { 'helm.sh/resource-policy': 'keep' },
    });
  });

  test('comes with the rights to use it, as the manifests have them', async () => {
    const rendered = await objects('--set=crds.install=true');
    const [edit, view] = loadAll(
      readFileSync(resolve(import.meta.dirname, '../../manifests/user-roles.yaml'), 'utf8'),
    ) as KubeObject[];
    for (const role of [edit, view]) {
      // Two releases of one name in two namespaces, both told to install the type, would fight over a shared role.
      const found = rendered.find(({ metadata }) => metadata.name === `edge-${role?.metadata.name}`);
      expect(found).toMatchObject({ rules: (role as { rules?: unknown })?.rules });
      const aggregates = Object.entries(role?.metadata.labels ?? {}).filter(([name]) => name.includes('aggregate'));
      expect(found?.metadata.labels).toMatchObject(Object.fromEntries(aggregates));
    }
    expect((await objects()).filter(({ metadata }) => /-routes-/.test(metadata.name))).toEqual([]);
  });

  test("is not put over another's", async () => {
    expect(await definitions('--set=crds.install=true', '--api-versions=route.openshift.io/v1')).toEqual([]);
  });
});

describe.skipIf(noHelm)('helm test', () => {
  /** Runs the script of the test pod against a server that answers so. */
  async function ask(status: number, body: string): Promise<string> {
    const pods = (await objects()).filter(({ kind }) => kind === 'Pod') as (KubeObject & { readonly spec: PodSpec })[];
    const [script = '', ...urls] = pods[0]?.spec.containers[0]?.args ?? [];
    expect(urls).toEqual([
      'http://headgate-metrics.edge.svc:1936/healthz/ready',
      'http://headgate.edge.svc:80/_______internal_router_healthz',
    ]);
    const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    // Ten more tries two seconds apart are for clusters.
    const hasty = script.replace('left = 10', 'left = 0');
    return new Promise<string>((done) => {
      execFile(process.execPath, ['-e', hasty, url], (error, stdout, stderr) => {
        server.close();
        done(error === null ? stdout.trim() : stderr);
      });
    });
  }

  test('is content with a router that is ready and answers', async () => {
    expect(await ask(200, 'ok')).toMatch(/^ok {6}http:.*: 200$/);
  });

  test('is not with anything else', async () => {
    expect(await ask(503, 'something else')).toMatch(/failed {2}http:/);
  });

  test('asks no port that takes nobody without a PROXY header', async () => {
    const rendered = await objects('--set-string=shards[0].name=a,shards[0].settings.ROUTER_USE_PROXY_PROTOCOL=true');
    const pods = rendered.filter(({ kind }) => kind === 'Pod') as (KubeObject & { readonly spec: PodSpec })[];
    expect(pods[0]?.spec.containers[0]?.args?.slice(1)).toEqual([
      'http://headgate-a-metrics.edge.svc:1936/healthz/ready',
    ]);
  });

  test('is let in wherever the network policy narrows who is', async () => {
    const lists = ['from', 'adminFrom'].map((key) => `--set-json=networkPolicy.${key}=[{"podSelector":{}}]`);
    const peers = async (...args: string[]): Promise<readonly (readonly object[] | undefined)[]> => {
      const rendered = await objects('--set=networkPolicy.enabled=true', ...args);
      const policy = rendered.find(({ kind }) => kind === 'NetworkPolicy') as unknown as {
        spec: { ingress: readonly { from?: readonly object[] }[] };
      };
      return policy.spec.ingress.map(({ from }) => from);
    };
    const [pod] = (await objects()).filter(({ kind }) => kind === 'Pod');
    const [[, clients] = [], [, admins] = []] = await peers(...lists);
    expect(clients).toEqual(admins);
    const { podSelector } = clients as unknown as { podSelector: { matchLabels: Labels } };
    expect(pod?.metadata.labels).toMatchObject(podSelector.matchLabels);
    // By a label that the routers do not have.
    expect(podSelector.matchLabels['app.kubernetes.io/component']).toBe('test');
    expect(await peers()).toEqual([undefined, [{ namespaceSelector: {} }]]);
    expect(await peers('--set=tests.enabled=false', ...lists)).toEqual([[{ podSelector: {} }], [{ podSelector: {} }]]);
  });

  test('has no pod where there is no Service to ask', async () => {
    const rendered = await objects('--set=metrics.enabled=false,service.enabled=false');
    expect(rendered.filter(({ kind }) => kind === 'Pod')).toEqual([]);
  });
});

function workloadsOf(all: readonly KubeObject[]): Workload[] {
  return all.filter(({ kind }) => kinds.includes(kind)) as Workload[];
}

function matching(workloads: readonly Workload[], labels: Labels): readonly Workload[] {
  return workloads.filter(({ spec }) =>
    Object.entries(labels).every(([key, value]) => spec.template.metadata.labels[key] === value),
  );
}

/** A role for whoever scrapes, not for the router. */
function isForReaders(role: string): boolean {
  return role.endsWith('-metrics');
}

/** Not of the values of a variant. */
function isOurs({ name }: { readonly name: string }): boolean {
  return name === 'router' || name === 'test';
}

function routerOf(workload: Workload | undefined): PodSpec['containers'][number] {
  const router = workload?.spec.template.spec.containers.find(({ name }) => name === 'router');
  if (router === undefined) throw new Error('no router');
  return router;
}

function variablesOf(workload: Workload): readonly EnvironmentVariable[] {
  return routerOf(workload).env ?? [];
}

/** What the router of the first pod makes of its settings, as the kubelet would hand them over. Throws what it says against them. */
function configOf(workload: Workload): Config {
  const { name } = workload.metadata;
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': `${name}-0`,
    'metadata.namespace': 'edge',
    "metadata.labels['apps.kubernetes.io/pod-index']": '0',
  };
  const env: Record<string, string> = { KUBERNETES_SERVICE_HOST: '192.0.2.1' };
  for (const { name, value, valueFrom } of variablesOf(workload)) {
    const text = value ?? fields[valueFrom?.fieldRef.fieldPath ?? ''];
    if (text === undefined) throw new Error(`${name} has no value`);
    env[name] = text.replaceAll(/\$\(([A-Z_]+)\)/g, (whole, known: string) => env[known] ?? whole);
  }
  // What is mounted there is not here.
  for (const { environment, value } of settingList) if (pathKinds.includes(value.kind)) delete env[environment];
  const loaded = loadConfig(routerOf(workload).args?.slice(1) ?? [], env);
  if (loaded.kind === 'problems') throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

/** Seconds of the grace period that are left when the process has ended by itself at the latest. */
function spareSeconds(workload: Workload): number {
  const { terminationGracePeriodSeconds = 30 } = workload.spec.template.spec;
  const { shutdownDelayMs, shutdownTimeoutMs } = configOf(workload);
  const hooks = routerOf(workload).lifecycle as { preStop?: { sleep?: { seconds: number } } } | undefined;
  const preStopSeconds = hooks?.preStop?.sleep?.seconds ?? 0;
  return terminationGracePeriodSeconds - preStopSeconds - (shutdownDelayMs + shutdownTimeoutMs) / 1000;
}
