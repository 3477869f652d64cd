// Random changes to the objects of a cluster: few names, so that they meet. Every choice is the seed's; what it does to the
// objects does not depend on how far the router has come.

import type { ApiServer, Kind, KubeObject } from '../api-server/api-server.ts';
import type { Pems } from './pems.ts';
import type { Random } from './random.ts';

export type WorldOptions = {
  readonly random: Random;
  readonly server: ApiServer;
  readonly pems: Pems;
  /** The name under which the router writes its entries. */
  readonly routerName: string;
  /** Where endpoints that can be reached are. */
  readonly podPorts: readonly number[];
  /** Gives the router the right to read a Secret, or takes it back. */
  readonly grant: (namespace: string, secret: string, isGranted: boolean) => void;
};

type Spec = Record<string, unknown>;
type Entry = Readonly<Record<string, unknown>>;

/** What is in play. Everything else in the cluster is left alone. */
const namespaces = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'];
const routeNames = Array.from({ length: 10 }, (_, i) => `r${i}`);
const services = ['s0', 's1', 's2', 's3'];
const sliceNames = Array.from({ length: 6 }, (_, i) => `slice-${i}`);
const secrets = ['c0', 'c1', 'c2'];

const hosts = [
  'a.one.test',
  'b.one.test',
  'c.one.test',
  'a.two.test',
  'b.two.test',
  'a.three.test',
  'b.three.test',
  'one.test',
];
const oddHosts = ['', 'Upper.one.test', 'under_score.two.test'];
const paths = ['', '/', '/a', '/a/b', '/c'];
const ipv4Addresses = ['127.0.0.1', '127.0.0.1', '127.0.0.2', '169.254.1.1', '224.0.0.1', '0.0.0.0', 'pod.test'];
const ipv6Addresses = ['::1', 'fe80::1', '::'];
const forwardedPolicies = ['append', 'replace', 'if-none', 'never', 'of my own'];
const forwardedAnnotation = 'haproxy.router.openshift.io/set-forwarded-headers';
/** With which value of the other annotation each comes: a draw of its own would give the old seeds another course. */
const proxyProtocols: Readonly<Record<string, string>> = { replace: 'v1', 'if-none': 'v2', 'of my own': 'of my own' };
const proxyProtocolAnnotation = 'headgate.io/proxy-protocol';
const idledAnnotation = 'idling.alpha.openshift.io/idled-at';

const weights = {
  createRoute: 12,
  updateRoute: 24,
  deleteRoute: 5,
  recreateRoute: 3,
  relabelRoute: 8,
  annotateRoute: 3,
  foreignEntry: 9,
  clearEntry: 2,
  putSlice: 18,
  deleteSlice: 3,
  service: 3,
  putSecret: 12,
  deleteSecret: 3,
  namespace: 2,
};

type ChangeName = keyof typeof weights;

export class World {
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #server: ApiServer;
  readonly #changes: Readonly<Record<ChangeName, () => boolean>>;
  /** By `namespace/name`: what other routers said last of a Route, and must go on saying. */
  readonly #foreign: Map<string, readonly Entry[]> = new Map();
  readonly granted: Set<string> = new Set();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = options.random;
    this.#server = options.server;
    this.#changes = {
      createRoute: () => this.#createRoute(),
      updateRoute: () => this.#updateRoute(),
      deleteRoute: () => this.#deleteRoute() !== null,
      recreateRoute: () => this.#recreateRoute(),
      relabelRoute: () => this.#relabelRoute(),
      annotateRoute: () => this.#annotateRoute(),
      foreignEntry: () => this.#writeForeignEntry(),
      clearEntry: () => this.#clearEntry(),
      putSlice: () => this.#putSlice(),
      deleteSlice: () => this.#deleteOne('EndpointSlice', sliceNames),
      service: () => this.#changeService(),
      putSecret: () => this.#putSecret(),
      deleteSecret: () => this.#deleteOne('Secret', secrets),
      namespace: () => this.#relabelNamespace(),
    };
    for (const [i, name] of namespaces.entries()) {
      this.#server.create({ kind: 'Namespace', metadata: { name, labels: i < 4 ? { tenant: 'yes' } : {} } });
      for (const service of services.slice(1)) this.#createService(name, service);
      for (const secret of secrets) this.#grant(name, secret, this.#random.chance(0.8));
    }
  }

  /** One change. */
  change(): void {
    // Some need an object that is not there; another takes their place.
    while (!this.#changes[this.#random.weighed(weights)]());
  }

  /** Gives or takes away the right to read a Secret, which only a new process is sure to notice in time. */
  changeAccess(): void {
    const namespace = this.#random.pick(namespaces);
    const secret = this.#random.pick(secrets);
    this.#grant(namespace, secret, !this.granted.has(`${namespace}/${secret}`));
  }

  /** What the status of a Route must hold besides the entry of the router. */
  foreignEntries(route: KubeObject): readonly Entry[] {
    return this.#foreign.get(keyOf(route)) ?? [];
  }

  #grant(namespace: string, secret: string, isGranted: boolean): void {
    if (isGranted) this.granted.add(`${namespace}/${secret}`);
    else this.granted.delete(`${namespace}/${secret}`);
    this.#options.grant(namespace, secret, isGranted);
  }

  #createRoute(): boolean {
    const random = this.#random;
    const namespace = random.pick(namespaces);
    const name = random.pick(routeNames);
    if (this.#server.get('Route', namespace, name) !== null) return false;
    this.#putRoute(namespace, name);
    return true;
  }

  #putRoute(namespace: string, name: string): void {
    const random = this.#random;
    const foreign = random.chance(0.1) ? [this.#entryOfAnother('other')] : [];
    this.#server.create({
      kind: 'Route',
      metadata: {
        name,
        namespace,
        uid: random.uuid(),
        // Few seconds for many Routes: the UID has to decide, and who comes late may be the elder.
        creationTimestamp: `2026-01-01T00:00:${String(10 + random.below(30))}Z`,
        labels: this.#labels(),
      },
      spec: this.#spec(),
      ...(foreign.length === 0 ? {} : { status: { ingress: foreign } }),
    });
    this.#foreign.set(`${namespace}/${name}`, foreign);
  }

  #labels(): Record<string, string> {
    return this.#random.weighed({ ours: 8, theirs: 1, none: 1 }) === 'ours'
      ? { shard: 'a' }
      : this.#random.chance(0.5)
        ? { shard: 'b' }
        : {};
  }

  #spec(): Spec {
    const random = this.#random;
    const spec: Spec = { ...this.#to(), ...this.#place() };
    this.#putTls(spec);
    if (random.chance(0.3)) spec['port'] = { targetPort: this.#targetPort() };
    return spec;
  }

  #putTls(spec: Spec): void {
    const tls = this.#tls();
    if (tls === null) {
      delete spec['tls'];
      return;
    }
    spec['tls'] = tls;
    // Those who pass through have no path, with few exceptions.
    if (tls['termination'] === 'passthrough' && this.#random.chance(0.9)) delete spec['path'];
  }

  #place(): Spec {
    const random = this.#random;
    const host = random.chance(0.95) ? random.pick(hosts) : random.pick(oddHosts);
    const path = random.chance(0.02) ? 'no-slash' : random.pick(paths);
    return {
      ...(host === '' ? {} : { host }),
      ...(path === '' ? {} : { path }),
      wildcardPolicy: random.weighed({ None: 80, Subdomain: 15, '': 4, Odd: 1 }),
    };
  }

  #to(): Spec {
    const random = this.#random;
    const reference = (): Spec => ({
      kind: 'Service',
      name: random.pick(services),
      ...(random.chance(0.8) ? { weight: random.pick([0, 1, 50, 100, 256]) } : {}),
    });
    const alternates = random.chance(0.3) ? Array.from({ length: 1 + random.below(3) }, reference) : [];
    return { to: reference(), ...(alternates.length === 0 ? {} : { alternateBackends: alternates }) };
  }

  #targetPort(): string | number {
    return this.#random.pick(['http', 'metrics', 'nowhere', this.#options.podPorts[0] ?? 80]);
  }

  #tls(): Spec | null {
    const random = this.#random;
    const { pems } = this.#options;
    const certificate = random.pick(pems.certificates);
    const pair = { certificate: certificate.certificate, key: certificate.key };
    const authority = random.pick(pems.authorities).certificate;
    const insecure = random.weighed({ absent: 4, None: 1, Allow: 3, Redirect: 2 });
    const policy = insecure === 'absent' ? {} : { insecureEdgeTerminationPolicy: insecure };
    const external = { externalCertificate: { name: random.pick(secrets) } };
    switch (
      random.weighed({
        none: 20,
        edge: 8,
        pair: 16,
        chain: 4,
        passthrough: 12,
        reencrypt: 8,
        external: 24,
        keyless: 1,
        mismatched: 2,
        destined: 1,
        stuffed: 1,
        unverified: 3,
        unreadable: 2,
        unknown: 1,
        capital: 2,
        doubled: 1,
      })
    ) {
      case 'none':
        return null;
      case 'edge':
        return { termination: 'edge', ...policy };
      case 'pair':
        return { termination: random.pick(['edge', 'reencrypt']), ...policy, ...pair };
      case 'chain':
        return { termination: 'edge', ...policy, ...pair, caCertificate: authority };
      case 'passthrough':
        return { termination: 'passthrough', ...(insecure === 'Allow' && random.chance(0.8) ? {} : policy) };
      case 'reencrypt':
        return { termination: 'reencrypt', ...policy, destinationCACertificate: authority };
      case 'external':
        return { termination: random.pick(['edge', 'edge', 'reencrypt']), ...policy, ...external };
      case 'keyless':
        return { termination: 'edge', certificate: pair.certificate };
      case 'mismatched':
        return { termination: 'edge', ...pair, key: random.pick(pems.certificates).key };
      case 'destined':
        return { termination: 'edge', ...pair, destinationCACertificate: authority };
      case 'stuffed':
        return { termination: 'passthrough', ...pair };
      case 'unverified':
        return { termination: 'reencrypt', ...policy };
      case 'unreadable':
        return random.chance(0.5)
          ? { termination: 'reencrypt', destinationCACertificate: pems.garbage }
          : { termination: 'edge', caCertificate: pems.garbage };
      case 'unknown':
        return { termination: 'sideways' };
      case 'capital':
        return { termination: random.pick(['Edge', 'Passthrough']) };
      case 'doubled':
        return { termination: 'edge', ...pair, ...external };
    }
  }

  #updateRoute(): boolean {
    const random = this.#random;
    const route = this.#anyRoute();
    if (route === null) return false;
    const part = random.weighed({ place: 3, to: 3, tls: 3, all: 1 });
    const parts: Spec = {
      ...(part === 'place' || part === 'all' ? this.#place() : {}),
      ...(part === 'to' || part === 'all' ? this.#to() : {}),
    };
    this.#change(route, (draft) => {
      const spec = draft.spec ?? {};
      if ('wildcardPolicy' in parts) {
        delete spec['host'];
        delete spec['path'];
      }
      if ('to' in parts) delete spec['alternateBackends'];
      Object.assign(spec, parts);
      if (part === 'tls' || part === 'all') this.#putTls(spec);
    });
    return true;
  }

  #deleteRoute(): KubeObject | null {
    const route = this.#anyRoute();
    if (route === null) return null;
    this.#server.delete('Route', route.metadata.namespace ?? '', route.metadata.name);
    this.#foreign.delete(keyOf(route));
    return route;
  }

  #recreateRoute(): boolean {
    const route = this.#deleteRoute();
    if (route === null) return false;
    this.#putRoute(route.metadata.namespace ?? '', route.metadata.name);
    return true;
  }

  #relabelRoute(): boolean {
    const route = this.#anyRoute();
    if (route === null) return false;
    const labels = route.metadata.labels?.['shard'] === 'a' ? this.#labels() : { shard: 'a' };
    this.#change(route, (draft) => {
      draft.metadata.labels = labels;
    });
    return true;
  }

  #annotateRoute(): boolean {
    const route = this.#anyRoute();
    if (route === null) return false;
    const policy = this.#random.pick(forwardedPolicies);
    this.#change(route, (draft) => {
      draft.metadata.annotations = {
        [forwardedAnnotation]: policy,
        [proxyProtocolAnnotation]: proxyProtocols[policy] ?? 'none',
      };
    });
    return true;
  }

  /** Another router writes its entry, takes it back, or a third one comes. */
  #writeForeignEntry(): boolean {
    const random = this.#random;
    const route = this.#anyRoute();
    if (route === null) return false;
    const routerName = random.pick(['other', 'third', `${this.#options.routerName}-public`]);
    const entry = random.chance(0.8) ? this.#entryOfAnother(routerName) : null;
    const ours = this.#options.routerName;
    this.#change(route, (draft) => {
      const ingress = ((draft.status?.['ingress'] ?? []) as Entry[]).filter((one) => one['routerName'] !== routerName);
      if (entry !== null) {
        // Before ours or behind it.
        if (entry['host'] === 'first') ingress.unshift(entry);
        else ingress.push(entry);
      }
      draft.status = { ...draft.status, ingress };
      this.#foreign.set(
        keyOf(route),
        ingress.filter((one) => one['routerName'] !== ours),
      );
    });
    return true;
  }

  #entryOfAnother(routerName: string): Entry {
    const random = this.#random;
    return {
      host: random.pick(['first', 'last', 'elsewhere.test']),
      routerName,
      conditions: [
        {
          type: 'Admitted',
          status: random.pick(['True', 'False', 'Unknown']),
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
      wildcardPolicy: 'None',
      // A field that only its writer knows.
      ...(random.chance(0.3) ? { weather: { is: 'fine', for: random.below(10) } } : {}),
    };
  }

  /** Somebody empties the router's own entry. */
  #clearEntry(): boolean {
    const route = this.#anyRoute();
    if (route === null) return false;
    this.#change(route, (draft) => {
      const ingress = (draft.status?.['ingress'] ?? []) as Entry[];
      draft.status = {
        ...draft.status,
        ingress: ingress.filter((one) => one['routerName'] !== this.#options.routerName),
      };
    });
    return true;
  }

  #putSlice(): boolean {
    const random = this.#random;
    const namespace = random.pick(namespaces);
    const name = random.pick(sliceNames);
    const service = random.pick(services);
    const addressType = random.weighed({ IPv4: 85, IPv6: 10, FQDN: 5 });
    const addresses = addressType === 'IPv6' ? ipv6Addresses : ipv4Addresses;
    const slice = {
      metadata: { labels: random.chance(0.95) ? { 'kubernetes.io/service-name': service } : {} },
      addressType,
      endpoints: Array.from({ length: random.below(4) }, (_, i) => ({
        addresses: [random.pick(addresses)],
        ...this.#conditions(),
        ...(random.chance(0.5) ? { targetRef: { kind: 'Pod', name: `pod-${i}` } } : {}),
      })),
      ports: [
        { name: 'http', port: random.pick(this.#options.podPorts), protocol: 'TCP' },
        ...(random.chance(0.3) ? [{ name: 'metrics', port: random.pick(this.#options.podPorts) }] : []),
        ...(random.chance(0.1) ? [{ name: 'dns', port: 53, protocol: 'UDP' }] : []),
      ],
    };
    if (this.#server.get('EndpointSlice', namespace, name) === null) {
      this.#server.create({ ...slice, kind: 'EndpointSlice', metadata: { ...slice.metadata, namespace, name } });
    } else {
      this.#server.update('EndpointSlice', namespace, name, (draft) => {
        Object.assign(draft, { ...slice, metadata: { ...draft.metadata, ...slice.metadata } });
      });
    }
    return true;
  }

  #conditions(): Spec {
    switch (this.#random.weighed({ absent: 2, ready: 4, unready: 2, leaving: 2, gone: 1 })) {
      case 'absent':
        return {};
      case 'ready':
        return { conditions: { ready: true, serving: true, terminating: false } };
      case 'unready':
        return { conditions: { ready: false } };
      case 'leaving':
        return { conditions: { ready: false, serving: true, terminating: true } };
      case 'gone':
        return { conditions: { ready: false, serving: false, terminating: true } };
    }
  }

  /** Made, idled, woken, deleted, in this order: a draw for it would give the old seeds another course. */
  #changeService(): boolean {
    const namespace = this.#random.pick(namespaces);
    const service = this.#random.pick(services);
    const known = this.#server.get('Service', namespace, service);
    const mark = known?.metadata.annotations?.[idledAnnotation];
    if (known === null) this.#createService(namespace, service);
    else if (mark === '') this.#server.delete('Service', namespace, service);
    else {
      this.#server.update('Service', namespace, service, (draft) => {
        draft.metadata.annotations = { [idledAnnotation]: mark === undefined ? '2026-01-01T00:00:00Z' : '' };
      });
    }
    return true;
  }

  /** One Service is headless, one has a second port. */
  #createService(namespace: string, name: string): void {
    const [port = 80, metrics = 81] = this.#options.podPorts;
    const ports = [{ name: 'http', port }, ...(name === 's2' ? [{ name: 'metrics', port: metrics }] : [])];
    const spec = { clusterIP: name === 's3' ? 'None' : '127.0.0.1', ports };
    this.#server.create({ kind: 'Service', metadata: { name, namespace }, spec });
  }

  #putSecret(): boolean {
    const random = this.#random;
    const namespace = random.pick(namespaces);
    const name = random.pick(secrets);
    const certificate = random.pick(this.#options.pems.certificates);
    const key = random.chance(0.85) ? certificate.key : random.pick(this.#options.pems.certificates).key;
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const hasCertificate = random.chance(0.9);
    const type = random.chance(0.85) ? 'kubernetes.io/tls' : 'Opaque';
    const data = { ...(hasCertificate ? { 'tls.crt': base64(certificate.certificate) } : {}), 'tls.key': base64(key) };
    if (this.#server.get('Secret', namespace, name) !== null) {
      if (random.chance(0.7)) {
        this.#server.update('Secret', namespace, name, (draft) => {
          Object.assign(draft, { type, data });
        });
        return true;
      }
      this.#server.delete('Secret', namespace, name);
    }
    this.#server.create({ kind: 'Secret', metadata: { namespace, name }, type, data });
    return true;
  }

  #relabelNamespace(): boolean {
    const name = this.#random.pick(namespaces);
    const isIn = this.#server.get('Namespace', '', name)?.metadata.labels?.['tenant'] !== undefined;
    this.#server.update('Namespace', '', name, (draft) => {
      draft.metadata.labels = isIn ? {} : { tenant: 'yes' };
    });
    return true;
  }

  #deleteOne(kind: Kind, names: readonly string[]): boolean {
    const namespace = this.#random.pick(namespaces);
    const name = this.#random.pick(names);
    if (this.#server.get(kind, namespace, name) === null) return false;
    this.#server.delete(kind, namespace, name);
    return true;
  }

  #anyRoute(): KubeObject | null {
    return this.#server.get('Route', this.#random.pick(namespaces), this.#random.pick(routeNames));
  }

  #change(route: KubeObject, how: (draft: KubeObject) => void): void {
    this.#server.update('Route', route.metadata.namespace ?? '', route.metadata.name, how);
  }
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}
