// The manifests that install the router: they parse, fit together and give no more rights than are needed.

import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadAll } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { settingList } from '../../src/config/schema.ts';
import { decodeManifest } from '../../src/source/decode-manifest.ts';
import { admit, type Definition } from '../support/crd.ts';
import { type PodSpec, restrictedFaults } from '../support/pod-security.ts';

const folder = resolve(import.meta.dirname, '../../manifests');

type Labels = Readonly<Record<string, string>>;
type Selector = { readonly matchLabels: Labels };
type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels };
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
type Deployment = KubeObject & {
  readonly spec: {
    readonly replicas: number;
    readonly selector: Selector;
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
  };
};
type Service = KubeObject & {
  readonly spec: {
    readonly type: string;
    readonly selector: Labels;
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
  };
};
type Budget = KubeObject & { readonly spec: { readonly maxUnavailable: number; readonly selector: Selector } };

function objectsOf(file: string): readonly KubeObject[] {
  return loadAll(readFileSync(join(folder, file), 'utf8')) as KubeObject[];
}

const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.yaml'));
const objects = files.filter((file) => !file.includes('/')).flatMap(objectsOf);

/** The one object of a kind, or of a kind and a name. */
function the<T extends KubeObject>(kind: string, name?: string): T {
  const found = objects.filter(
    (object) => object.kind === kind && (name ?? object.metadata.name) === object.metadata.name,
  );
  expect(found).toHaveLength(1);
  return found[0] as T;
}

const deployment: Deployment = the('Deployment');
const pod = deployment.spec.template.spec;
const [router] = pod.containers;

test.each(files)('%s is YAML of whole objects', (file) => {
  for (const object of objectsOf(file)) {
    expect(object).toMatchObject({ apiVersion: /./, kind: /./, metadata: { name: /./ } });
  }
});

test('the Routes of the demo are Routes of the definition', () => {
  const schema = the<KubeObject & Definition>('CustomResourceDefinition').spec.versions[0]?.schema.openAPIV3Schema;
  const routes = files.flatMap(objectsOf).filter(({ kind }) => kind === 'Route');
  expect(routes.length).toBeGreaterThan(0);
  for (const route of routes) {
    expect({ [route.metadata.name]: admit(schema ?? {}, route).faults }).toEqual({ [route.metadata.name]: [] });
    expect(decodeManifest(route).kind).toBe('manifest');
  }
});

describe('rights', () => {
  const role: Role = the('ClusterRole', 'headgate');
  const rights = role.rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.map((resource) => `${resource}.${group}: ${[...verbs].sort().join(' ')}`)),
  );

  test('are these and no others', () => {
    expect(rights.sort()).toEqual([
      'endpointslices.discovery.k8s.io: list watch',
      'events.: create patch',
      'namespaces.: get list watch',
      'routes.route.openshift.io: get list watch',
      'routes/status.route.openshift.io: patch update',
      'services.: get list watch',
      'subjectaccessreviews.authorization.k8s.io: create',
      'tokenreviews.authentication.k8s.io: create',
    ]);
  });

  test('to read metrics are a role for whoever scrapes', () => {
    expect(the<Role>('ClusterRole', 'headgate-metrics').rules).toEqual([
      { apiGroups: ['route.openshift.io'], resources: ['routers/metrics'], verbs: ['get'] },
    ]);
  });

  test('know no wildcard and no Secret', () => {
    const words = objects.filter(({ kind }) => kind.endsWith('Role')).flatMap((object) => (object as Role).rules);
    expect(JSON.stringify(words)).not.toMatch(/\*|secret/i);
  });

  test('who may edit a namespace may edit its Routes, and who may look may look', () => {
    const verbsOf = (name: string): readonly (readonly string[])[] =>
      the<Role>('ClusterRole', name).rules.map(({ verbs }) => verbs);
    expect(the('ClusterRole', 'headgate-routes-edit').metadata.labels).toMatchObject({
      'rbac.authorization.k8s.io/aggregate-to-admin': 'true',
      'rbac.authorization.k8s.io/aggregate-to-edit': 'true',
    });
    expect(the('ClusterRole', 'headgate-routes-view').metadata.labels).toMatchObject({
      'rbac.authorization.k8s.io/aggregate-to-view': 'true',
    });
    expect(verbsOf('headgate-routes-view')).toEqual([['get', 'list', 'watch']]);
    expect(verbsOf('headgate-routes-edit')[0]).toEqual(expect.arrayContaining(['create', 'delete', 'update', 'patch']));
  });

  test('belong to the account of the router', () => {
    const { roleRef, subjects } = the<Binding>('ClusterRoleBinding');
    const account = the('ServiceAccount').metadata;
    expect(roleRef).toMatchObject({ kind: role.kind, name: role.metadata.name });
    expect(subjects).toEqual([{ kind: 'ServiceAccount', name: account.name, namespace: account.namespace }]);
    expect(pod.serviceAccountName).toBe(account.name);
    expect(router?.env).toContainEqual({
      name: 'HEADGATE_SERVICE_ACCOUNT',
      value: `${account.namespace}/${account.name}`,
    });
  });
});

describe('the pod', () => {
  test('meets the restricted profile, which its namespace asks for', () => {
    expect(restrictedFaults(pod)).toEqual([]);
    expect(the('Namespace').metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
    expect(router?.securityContext?.readOnlyRootFilesystem).toBe(true);
  });

  test('leaves the choice of its user to the cluster', () => {
    expect(JSON.stringify(pod)).not.toMatch(/runAsUser|runAsGroup|fsGroup/);
  });

  test('sets nothing that is no setting', () => {
    const known = [...settingList.map(({ environment }) => environment), 'POD_NAME'];
    expect(router?.env?.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([]);
  });

  test('may write where the router writes, and nowhere else', () => {
    const writable = pod.volumes?.filter((volume) => 'emptyDir' in volume).map((volume) => volume['name']);
    const mounts = router?.volumeMounts?.filter(({ name }) => writable?.includes(name));
    expect(mounts?.map(({ mountPath }) => mountPath)).toEqual([
      router?.env?.find(({ name }) => name === 'HEADGATE_RUN_DIR')?.value,
    ]);
  });

  test('has a token that expires', () => {
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.volumes).toContainEqual(
      expect.objectContaining({
        projected: {
          sources: expect.arrayContaining([
            { serviceAccountToken: { path: 'token', expirationSeconds: expect.any(Number) } },
          ]),
        },
      }),
    );
    expect(router?.volumeMounts).toContainEqual(
      expect.objectContaining({ mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }),
    );
  });

  test('is asked for health at the admin port, by its name', () => {
    expect(router).toMatchObject({
      startupProbe: { httpGet: { path: '/healthz', port: 'admin' } },
      livenessProbe: { httpGet: { path: '/healthz', port: 'admin' } },
      readinessProbe: { httpGet: { path: '/healthz/ready', port: 'admin' } },
    });
  });

  test('listens where the router listens, and has the time that the router takes to end', () => {
    const given = Object.fromEntries(
      (router?.env ?? []).flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
    );
    const ofField = { ROUTER_SERVICE_NAMESPACE: 'headgate' };
    const inPod = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443', ...ofField };
    const loaded = loadConfig([], { ...given, ...inPod, HEADGATE_RUN_DIR: '' });
    if (loaded.kind === 'problems') throw new Error(loaded.problems.join('\n'));
    const { httpPort, httpsPort, adminPort, shutdownDelayMs, shutdownTimeoutMs } = loaded.config;
    expect(router?.ports).toEqual([
      { name: 'http', containerPort: httpPort },
      { name: 'https', containerPort: httpsPort },
      { name: 'admin', containerPort: adminPort },
    ]);
    const marginMs = 10_000;
    expect((pod.terminationGracePeriodSeconds ?? 0) * 1_000).toBeGreaterThanOrEqual(
      shutdownDelayMs + shutdownTimeoutMs + marginMs,
    );
  });
});

test('everything selects the pods of the Deployment', () => {
  const { labels } = deployment.spec.template.metadata;
  const budget: Budget = the('PodDisruptionBudget');
  const services: readonly Service[] = [the('Service', 'headgate'), the('Service', 'headgate-metrics')];
  for (const selector of [
    deployment.spec.selector.matchLabels,
    budget.spec.selector.matchLabels,
    ...services.map(({ spec }) => spec.selector),
  ]) {
    expect(Object.keys(selector).length).toBeGreaterThan(0);
    expect(labels).toMatchObject(selector);
  }
  expect(budget.spec.maxUnavailable).toBeLessThan(deployment.spec.replicas);
});

test('Services lead to ports that the pod has; health and metrics stay inside the cluster', () => {
  const ports = router?.ports?.map(({ name }) => name);
  const open: Service = the('Service', 'headgate');
  const inner: Service = the('Service', 'headgate-metrics');
  expect(open.spec.ports.map(({ port, targetPort }) => [port, targetPort])).toEqual([
    [80, 'http'],
    [443, 'https'],
  ]);
  expect(inner.spec).toMatchObject({ type: 'ClusterIP', ports: [{ port: 1936, targetPort: 'admin' }] });
  for (const { targetPort } of [...open.spec.ports, ...inner.spec.ports]) expect(ports).toContain(targetPort);
});

test('all of it lives in one namespace', () => {
  const namespaced = objects.filter(({ metadata }) => metadata.namespace !== undefined);
  expect(new Set(namespaced.map(({ metadata }) => metadata.namespace))).toEqual(
    new Set([the('Namespace').metadata.name]),
  );
});

test('the image is the version of the package', () => {
  const { version } = JSON.parse(readFileSync(join(folder, '../package.json'), 'utf8')) as { version: string };
  expect(router?.image).toBe(`ghcr.io/headgate/headgate:${version}`);
});
