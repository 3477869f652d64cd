// What the API server serves: its kinds with what is peculiar to each, and how a path names them.

/** The kinds that can be stored. */
export type Kind = 'Route' | 'Namespace' | 'Service' | 'Secret' | 'Event' | 'EndpointSlice';

export type ResourceType = {
  readonly kind: Kind;
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Served from a CRD: items of a list carry kind and apiVersion, and a PUT must name the resourceVersion it replaces. */
  readonly custom: boolean;
  /** Status is a subresource, out of reach of writes to the object. */
  readonly statusSubresource: boolean;
  /** The server counts `metadata.generation`. */
  readonly counted: boolean;
  /** What field selectors may name, as paths into the object. */
  readonly fields: readonly string[];
  /** What the zero value of the type says on the wire besides its metadata: a bookmark carries it. */
  readonly blank: Readonly<Record<string, unknown>>;
};

const inNamespace = ['metadata.name', 'metadata.namespace'];
const builtIn = { group: '', version: 'v1', custom: false, statusSubresource: false, counted: false };

export const resourceTypes: readonly ResourceType[] = [
  {
    kind: 'Route',
    group: 'route.openshift.io',
    version: 'v1',
    plural: 'routes',
    namespaced: true,
    custom: true,
    statusSubresource: true,
    counted: true,
    fields: inNamespace,
    blank: {},
  },
  {
    ...builtIn,
    kind: 'Namespace',
    plural: 'namespaces',
    namespaced: false,
    fields: ['metadata.name', 'status.phase'],
    blank: { spec: {}, status: {} },
  },
  {
    ...builtIn,
    kind: 'Service',
    plural: 'services',
    namespaced: true,
    fields: [...inNamespace, 'spec.clusterIP', 'spec.type'],
    blank: { spec: {}, status: { loadBalancer: {} } },
  },
  {
    ...builtIn,
    kind: 'Secret',
    plural: 'secrets',
    namespaced: true,
    fields: [...inNamespace, 'type'],
    blank: {},
  },
  {
    ...builtIn,
    kind: 'Event',
    plural: 'events',
    namespaced: true,
    fields: [
      ...inNamespace,
      ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
        (field) => `involvedObject.${field}`,
      ),
      'reason',
      'reportingComponent',
      'type',
    ],
    blank: {
      involvedObject: {},
      source: {},
      firstTimestamp: null,
      lastTimestamp: null,
      eventTime: null,
      reportingComponent: '',
      reportingInstance: '',
    },
  },
  {
    ...builtIn,
    kind: 'EndpointSlice',
    group: 'discovery.k8s.io',
    plural: 'endpointslices',
    namespaced: true,
    counted: true,
    fields: inNamespace,
    blank: { addressType: '', endpoints: null, ports: null },
  },
];

/** The fields of a Route that OpenShift's own API server selects by, besides those of every object. */
export const openshiftRouteFields: readonly string[] = ['spec.host', 'spec.path', 'spec.to.name'];

export function typeOf(kind: string): ResourceType {
  const type = resourceTypes.find((candidate) => candidate.kind === kind);
  if (type === undefined) throw new Error(`the API server does not know the kind ${kind}`);
  return type;
}

export function apiVersionOf(type: ResourceType): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** `routes.route.openshift.io`, or `services`: how messages name a resource. */
export function qualifiedResource(group: string, plural: string): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** What a path of the API names. Absent parts are empty. */
export type Target = {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
};

/** Null where the path is none of a resource. */
export function parseTarget(path: string): Target | null {
  const parts = partsOf(path);
  const root = parts.shift();
  if (root !== 'api' && root !== 'apis') return null;
  const group = root === 'api' ? '' : (parts.shift() ?? '');
  const version = parts.shift() ?? '';
  if (parts.length === 0 || parts.includes('')) return null;
  const base = { group, version };
  if (parts[0] === 'namespaces' && parts.length >= 3) {
    const [, namespace = '', resource = '', name = '', subresource = '', ...rest] = parts;
    return rest.length > 0 ? null : { ...base, resource, subresource, namespace, name };
  }
  const [resource = '', name = '', subresource = '', ...rest] = parts;
  if (rest.length > 0) return null;
  // A Namespace counts as being in itself, also for who may touch it.
  return { ...base, resource, subresource, namespace: resource === 'namespaces' ? name : '', name };
}

function partsOf(path: string): string[] {
  try {
    return path.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return [];
  }
}
