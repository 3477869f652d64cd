// Builders of cluster objects, as the decoder would have made them: `aRoute('ns/name').host('a.test').edge().build()`. A builder
// never changes: each call answers another one, so a case can be varied from a common start.

import {
  type EndpointSliceManifest,
  type HeaderActionLists,
  type Manifest,
  manifestKey,
  type RouteManifest,
  type RouteTls,
  type SecretManifest,
  type ServiceManifest,
  type ServicePort,
  type SliceEndpoint,
} from '../../src/source/manifests.ts';

/** PEM of a certificate and its key, as `makeCertificate` answers it. */
type PemPair = { readonly certificate: string; readonly key: string };

/** A Route of namespace/name: no host, no path, no TLS, all to the Service `svc`, created at second 0, its UID its name. */
export function aRoute(key: string): RouteBuilder {
  const [namespace, name] = parts(key);
  return new RouteBuilder({
    kind: 'Route',
    namespace,
    name,
    uid: key,
    createdMs: 0,
    generation: 1,
    labels: {},
    annotations: {},
    host: '',
    subdomain: '',
    path: '',
    to: { name: 'svc', weight: 100 },
    alternateBackends: [],
    targetPort: '',
    wildcardPolicy: 'None',
    tls: null,
    headerActions: { request: [], response: [] },
    fault: '',
    status: { resourceVersion: '', ingress: [] },
  });
}

const noTls: RouteTls = {
  termination: '',
  certificate: '',
  key: '',
  caCertificate: '',
  destinationCaCertificate: '',
  insecurePolicy: '',
  externalCertificate: '',
};

class RouteBuilder {
  readonly #route: RouteManifest;

  constructor(route: RouteManifest) {
    this.#route = route;
  }

  host(host: string): RouteBuilder {
    return this.#with({ host });
  }

  path(path: string): RouteBuilder {
    return this.#with({ path });
  }

  /** Policy `Subdomain`. */
  wildcard(): RouteBuilder {
    return this.#with({ wildcardPolicy: 'Subdomain' });
  }

  wildcardPolicy(wildcardPolicy: string): RouteBuilder {
    return this.#with({ wildcardPolicy });
  }

  /** Seconds since the epoch: the grain of creation. */
  createdAt(seconds: number): RouteBuilder {
    return this.#with({ createdMs: seconds * 1000 });
  }

  uid(uid: string): RouteBuilder {
    return this.#with({ uid });
  }

  to(name: string, weight = 100): RouteBuilder {
    return this.#with({ to: { name, weight } });
  }

  /** One more Service. */
  alternate(name: string, weight = 100): RouteBuilder {
    return this.#with({ alternateBackends: [...this.#route.alternateBackends, { name, weight }] });
  }

  targetPort(targetPort: string): RouteBuilder {
    return this.#with({ targetPort });
  }

  annotation(name: string, value: string): RouteBuilder {
    return this.#with({ annotations: { ...this.#route.annotations, [name]: value } });
  }

  /** Header actions, in order; a value of null deletes. */
  headers(lists: Partial<HeaderActionLists>): RouteBuilder {
    return this.#with({ headerActions: { ...this.#route.headerActions, ...lists } });
  }

  termination(termination: string): RouteBuilder {
    return this.tls({ termination });
  }

  edge(pair?: PemPair): RouteBuilder {
    return this.tls({ termination: 'edge', ...pemOf(pair) });
  }

  reencrypt(destinationCaCertificate = '', pair?: PemPair): RouteBuilder {
    return this.tls({ termination: 'reencrypt', destinationCaCertificate, ...pemOf(pair) });
  }

  passthrough(): RouteBuilder {
    return this.tls({ termination: 'passthrough' });
  }

  insecure(insecurePolicy: string): RouteBuilder {
    return this.tls({ insecurePolicy });
  }

  externalCertificate(secret: string): RouteBuilder {
    return this.tls({ externalCertificate: secret });
  }

  /** Changes some of the fields of `spec.tls`, whatever fits together. */
  tls(fields: Partial<RouteTls>): RouteBuilder {
    return this.#with({ tls: { ...(this.#route.tls ?? noTls), ...fields } });
  }

  withoutTls(): RouteBuilder {
    return this.#with({ tls: null });
  }

  build(): RouteManifest {
    return this.#route;
  }

  #with(fields: Partial<RouteManifest>): RouteBuilder {
    return new RouteBuilder({ ...this.#route, ...fields });
  }
}

export type { RouteBuilder };

function pemOf(pair: PemPair | undefined): Partial<RouteTls> {
  return pair === undefined ? {} : { certificate: pair.certificate, key: pair.key };
}

/** An IPv4 slice of namespace/name, of no Service, without endpoints and ports. */
export function aSlice(key: string): SliceBuilder {
  const [namespace, name] = parts(key);
  return new SliceBuilder({
    kind: 'EndpointSlice',
    namespace,
    name,
    service: '',
    addressType: 'IPv4',
    endpoints: [],
    ports: [],
  });
}

class SliceBuilder {
  readonly #slice: EndpointSliceManifest;

  constructor(slice: EndpointSliceManifest) {
    this.#slice = slice;
  }

  of(service: string): SliceBuilder {
    return new SliceBuilder({ ...this.#slice, service });
  }

  addressType(addressType: string): SliceBuilder {
    return new SliceBuilder({ ...this.#slice, addressType });
  }

  /** One endpoint more, ready unless the conditions say otherwise. Several addresses: separated by blanks. */
  endpoint(addresses: string, conditions: Partial<Omit<SliceEndpoint, 'addresses'>> = {}): SliceBuilder {
    const ready = conditions.ready ?? true;
    const endpoint: SliceEndpoint = {
      addresses: addresses.split(' '),
      ready,
      serving: conditions.serving ?? ready,
      terminating: conditions.terminating ?? false,
      pod: conditions.pod ?? '',
    };
    return new SliceBuilder({ ...this.#slice, endpoints: [...this.#slice.endpoints, endpoint] });
  }

  port(port: number, name = '', protocol = 'TCP', appProtocol = ''): SliceBuilder {
    const ports = [...this.#slice.ports, { name, port, protocol, appProtocol }];
    return new SliceBuilder({ ...this.#slice, ports });
  }

  build(): EndpointSliceManifest {
    return this.#slice;
  }
}

export type { SliceBuilder };

/** A ClusterIP Service of namespace/name. */
export function aService(key: string, ports: readonly ServicePort[] = []): ServiceManifest {
  const [namespace, name] = parts(key);
  return { kind: 'Service', namespace, name, annotations: {}, type: 'ClusterIP', clusterIp: '10.96.0.1', ports };
}

/** A Service that is idled; its ports as `name:number`, TCP unless `/UDP` stands behind. */
export function anIdledService(key: string, ports: readonly string[] = [], clusterIp = '10.96.0.1'): ServiceManifest {
  const made = ports.map((text): ServicePort => {
    const [, name = '', number = '', protocol = 'TCP'] = /^(.*):(\d+)(?:\/(.*))?$/.exec(text) ?? [];
    // What it leads to is nobody's question: there are no pods.
    return {
      name,
      port: Number(number),
      targetPort: '1',
      protocol,
      appProtocol: name === 'grpc' ? 'kubernetes.io/h2c' : '',
    };
  });
  const annotations = { 'idling.alpha.openshift.io/idled-at': '2026-01-01T00:00:00Z' };
  return { ...aService(key, made), annotations, clusterIp };
}

/** A Secret of namespace/name, of the type that TLS takes. */
export function aSecret(key: string, pair: PemPair, type = 'kubernetes.io/tls'): SecretManifest {
  const [namespace, name] = parts(key);
  return { kind: 'Secret', namespace, name, type, data: { 'tls.crt': pair.certificate, 'tls.key': pair.key } };
}

/** What takes objects as a source tells of them. */
type ObjectSink = { put(key: string, manifest: Manifest | undefined): void };

/** Tells of objects that are there now. */
export function putAll(sink: ObjectSink, ...manifests: readonly Manifest[]): void {
  for (const manifest of manifests) sink.put(manifestKey(manifest), manifest);
}

/** Tells that objects are gone. */
export function removeAll(sink: ObjectSink, ...manifests: readonly Manifest[]): void {
  for (const manifest of manifests) sink.put(manifestKey(manifest), undefined);
}

function parts(key: string): [namespace: string, name: string] {
  const [namespace = '', name = ''] = key.split('/');
  return [namespace, name];
}
