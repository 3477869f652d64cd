// A cluster for tests: the API server of test/support/api-server, or a real one where HEADGATE_E2E_KUBECONFIG names it. What is
// done here a real kube-apiserver does too; tests that need faults use the ApiServer itself.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { loadAll } from 'js-yaml';
import { type Dispatcher, request } from 'undici';
import { ApiServer, type ApiServerOptions } from './api-server/api-server.ts';
import { allows, type ClusterRole } from './rbac.ts';
import { eventually, type RouterSource } from './router.ts';

/** Any object of the API. */
export type Anything = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
};

type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
};

/** One entry of `status.ingress`, as tests look at it. */
export type SeenEntry = {
  readonly host?: string;
  readonly routerName?: string;
  readonly wildcardPolicy?: string;
  readonly routerCanonicalHostname?: string;
  readonly conditions: readonly (Condition & { readonly lastTransitionTime?: string })[];
};

const plurals: Readonly<Record<string, string>> = {
  Route: 'apis/route.openshift.io/v1/routes',
  Service: 'api/v1/services',
  EndpointSlice: 'apis/discovery.k8s.io/v1/endpointslices',
  Secret: 'api/v1/secrets',
  Namespace: 'api/v1/namespaces',
  Event: 'api/v1/events',
  Role: 'apis/rbac.authorization.k8s.io/v1/roles',
  RoleBinding: 'apis/rbac.authorization.k8s.io/v1/rolebindings',
  ClusterRole: 'apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: 'apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
  ServiceAccount: 'api/v1/serviceaccounts',
  CustomResourceDefinition: 'apis/apiextensions.k8s.io/v1/customresourcedefinitions',
};
const clusterScoped = new Set(['Namespace', 'ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition']);
const manifests = resolve(import.meta.dirname, '../../manifests');

/** The service account that manifests/rbac.yaml sets up for the router. */
export const routerAccount = 'headgate/headgate';

const realKubeconfig = process.env['HEADGATE_E2E_KUBECONFIG'] ?? '';

/** Whether the suite runs against a real cluster. */
export const isRealCluster: boolean = realKubeconfig !== '';

/** Where pods of tests are reached from the router, and from where they are bound. A real API refuses loopback addresses. */
export const podAddress: string = process.env['HEADGATE_E2E_ADDRESS'] ?? '127.0.0.1';

let runs = 0;

export class TestCluster implements AsyncDisposable, RouterSource {
  /** The server, where it is ours. */
  readonly server: ApiServer | null;
  /** Starts every name that this run makes, so that runs do not meet. */
  readonly prefix: string;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'headgate-cluster-'));
  readonly #admin: KubeConfig = new KubeConfig();
  readonly #namespaces: string[] = [];
  /** Secrets that the router may read, where the server is ours. */
  readonly #granted: Set<string> = new Set();
  #dispatcher: Dispatcher | null = null;
  #routerKubeconfig = '';

  private constructor(server: ApiServer | null) {
    this.server = server;
    this.prefix = `hg${process.pid.toString(36)}${(Date.now() % 1_000_000).toString(36)}${runs++}`;
  }

  /** A cluster in which the router has the rights of manifests/rbac.yaml and no others. */
  static async start(options: ApiServerOptions = {}): Promise<TestCluster> {
    const server = isRealCluster ? null : await ApiServer.start({ token: 'admin-token', user: 'admin', ...options });
    const cluster = new TestCluster(server);
    if (server === null) cluster.#admin.loadFromFile(realKubeconfig);
    else cluster.#admin.loadFromString(server.kubeconfig());
    await cluster.#setUpRouterAccount();
    return cluster;
  }

  get sourceArgs(): readonly string[] {
    // Tests read metrics all the time; who may is a test of its own.
    return ['--config', this.#routerKubeconfig, '--service-account', routerAccount, '--metrics-auth', 'none'];
  }

  /** A new namespace, gone with the test. */
  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
    const full = `${this.prefix}-${name}`;
    await this.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: full, labels } });
    this.#namespaces.push(full);
    return full;
  }

  /** Makes objects. */
  async create(...objects: readonly Anything[]): Promise<void> {
    for (const object of objects) await this.#call('POST', collection(object), object);
  }

  /** Changes an object by a merge patch. */
  async patch(kind: string, namespace: string, name: string, change: unknown, subresource = ''): Promise<void> {
    await this.#call('PATCH', `${pathOf(kind, namespace, name)}${subresource}`, change);
  }

  async delete(kind: string, namespace: string, name: string): Promise<void> {
    await this.#call('DELETE', pathOf(kind, namespace, name));
  }

  /** The object, or null where there is none. */
  async get(kind: string, namespace: string, name: string): Promise<Anything | null> {
    return (await this.#call('GET', pathOf(kind, namespace, name), undefined, [404])) as Anything | null;
  }

  async list(kind: string, namespace: string): Promise<readonly Anything[]> {
    const answer = (await this.#call('GET', pathOf(kind, namespace, ''))) as { items?: readonly Anything[] };
    return answer.items ?? [];
  }

  /** A router's entry in the status of a Route; undefined where it has none. */
  async entry(namespace: string, name: string, routerName: string): Promise<SeenEntry | undefined> {
    const route = await this.get('Route', namespace, name);
    const { ingress } = (route?.['status'] ?? {}) as { ingress?: readonly SeenEntry[] };
    return ingress?.find((entry) => entry.routerName === routerName);
  }

  /** `Admitted` of a router's entry as one line, such as `False HostAlreadyClaimed: ...`; empty where there is none. */
  async verdict(namespace: string, name: string, routerName: string): Promise<string> {
    const entry = await this.entry(namespace, name, routerName);
    const admitted = entry?.conditions.find(({ type }) => type === 'Admitted');
    if (admitted === undefined) return '';
    const { status, reason = '', message = '' } = admitted;
    return reason === '' ? status : `${status} ${reason}: ${message}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.server === null) for (const name of this.#namespaces) await this.delete('Namespace', '', name);
    await this.#dispatcher?.destroy();
    await this.server?.[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }

  async #setUpRouterAccount(): Promise<void> {
    const rbac = loadAll(readFileSync(join(manifests, 'rbac.yaml'), 'utf8')) as Anything[];
    let token = 'router-token';
    if (this.server === null) {
      const crd = loadAll(readFileSync(join(manifests, 'crd.yaml'), 'utf8')) as Anything[];
      for (const object of [...crd, ...rbac]) await this.#call('POST', collection(object), object, [409]);
      await this.#established('routes.route.openshift.io');
      const [namespace = '', name = ''] = routerAccount.split('/');
      const path = `${pathOf('ServiceAccount', namespace, name)}/token`;
      const spec = { expirationSeconds: 3600 };
      const kind = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' };
      token = ((await this.#call('POST', path, { ...kind, spec })) as { status: { token: string } }).status.token;
    } else {
      const user = `system:serviceaccount:${routerAccount.replace('/', ':')}`;
      const role = rbac.find(({ kind }) => kind === 'ClusterRole') as ClusterRole | undefined;
      const granted = this.#granted;
      this.server.tokens.add(token);
      this.server.users.set(token, user);
      this.server.allow((access) => {
        if (access.user !== user) return true;
        if (access.resource === 'secrets') return granted.has(`${access.namespace}/${access.name}`);
        return role !== undefined && allows(role, access);
      });
    }
    this.#routerKubeconfig = join(this.#folder, 'kubeconfig');
    this.writeRouterToken(token);
  }

  /** Waits until a new kind can be used. */
  async #established(crd: string): Promise<void> {
    await eventually(
      () => this.get('CustomResourceDefinition', '', crd),
      (found) => {
        const { conditions = [] } = (found?.['status'] ?? {}) as { conditions?: readonly Condition[] };
        return conditions.some(({ type, status }) => type === 'Established' && status === 'True');
      },
    );
  }

  /** Gives the router's account the right to read one Secret, as its owner would, or takes it back. */
  async grantSecret(namespace: string, secret: string, isGranted: boolean = true): Promise<void> {
    if (this.server !== null) {
      if (isGranted) this.#granted.add(`${namespace}/${secret}`);
      else this.#granted.delete(`${namespace}/${secret}`);
      return;
    }
    const name = `router-reads-${secret}`;
    const apiGroup = 'rbac.authorization.k8s.io';
    const [accountNamespace = '', account = ''] = routerAccount.split('/');
    const rules = [
      { apiGroups: [''], resources: ['secrets'], resourceNames: [secret], verbs: ['get', 'list', 'watch'] },
    ];
    const objects: Anything[] = [
      { apiVersion: `${apiGroup}/v1`, kind: 'Role', metadata: { name, namespace }, rules },
      {
        apiVersion: `${apiGroup}/v1`,
        kind: 'RoleBinding',
        metadata: { name, namespace },
        roleRef: { apiGroup, kind: 'Role', name },
        subjects: [{ kind: 'ServiceAccount', namespace: accountNamespace, name: account }],
      },
    ];
    for (const object of objects) {
      if (isGranted) await this.create(object);
      else await this.delete(object.kind, namespace, name);
    }
  }

  /** Writes the router's kubeconfig, with another token if there is one. */
  writeRouterToken(token: string): void {
    const cluster = this.#admin.getCurrentCluster();
    if (cluster === null) throw new Error('the kubeconfig names no cluster');
    const config = new KubeConfig();
    config.loadFromClusterAndUser(cluster, { name: 'router', token });
    writeFileSync(this.#routerKubeconfig, config.exportConfig());
  }

  async #call(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    accepted: readonly number[] = [],
  ): Promise<unknown> {
    const headers: Record<string, string> = {};
    let offered: Dispatcher | null = null;
    await this.#admin.applySecurityAuthentication({
      setHeaderParam: (name: string, value: string) => {
        headers[name] = value;
      },
      setDispatcher: (dispatcher: Dispatcher) => {
        offered = dispatcher;
      },
    } as unknown as Parameters<KubeConfig['applySecurityAuthentication']>[0]);
    this.#dispatcher ??= offered;
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const response = await request(`${this.#admin.getCurrentCluster()?.server}/${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': type }) },
      body: body === undefined ? null : JSON.stringify(body),
      ...(this.#dispatcher === null ? {} : { dispatcher: this.#dispatcher }),
    });
    const text = await response.body.text();
    if (accepted.includes(response.statusCode)) return null;
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: HTTP ${response.statusCode}: ${text}`);
    return JSON.parse(text);
  }
}

function collection({ kind, metadata }: Anything): string {
  return pathOf(kind, metadata.namespace ?? '', '');
}

function pathOf(kind: string, namespace: string, name: string): string {
  const plural = plurals[kind];
  if (plural === undefined) throw new Error(`where are objects of kind ${kind}?`);
  const slash = plural.lastIndexOf('/');
  const within = clusterScoped.has(kind) || namespace === '' ? '' : `/namespaces/${namespace}`;
  return `${plural.slice(0, slash)}${within}${plural.slice(slash)}${name === '' ? '' : `/${name}`}`;
}
