// The only decoder of Kubernetes objects: what comes from the API server or from a file passes here once and is a fact from
// then on. It supplies the API's defaults and refuses what the Route CRD refuses. It decides nothing about hosts,
// certificates or wildcards: that is admission.

import { z } from 'zod';
import { oneLine, reasonOf, shown, typeName } from './field-errors.ts';
import type {
  EndpointSliceManifest,
  HeaderActionLists,
  HeaderActionSpec,
  Manifest,
  ManifestKey,
  NamespaceManifest,
  RouteManifest,
  RouteTls,
  SecretManifest,
  ServiceManifest,
  SlicePort,
  WeightedService,
} from './manifests.ts';

/**
 * What an object turned out to be. `ignored`: a kind that the router does not read. `invalid`: one line with the field path
 * in Kubernetes style, never with the value of a key, certificate or Secret; the key is null where the name cannot be read.
 */
export type Decoded =
  | { readonly kind: 'manifest'; readonly manifest: Manifest }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'invalid'; readonly key: ManifestKey | null; readonly reason: string };

/**
 * Reads any value as a Kubernetes object. Never throws. Unknown fields are passed over and null counts as absent. A Route
 * is refused where the CRD would refuse it (Route semantics 1.1 to 1.4), except for the names of the termination and of the
 * wildcard policy, the form of the host, and the cross-checks of certificates: those are admission's, which tells the user in the Route's status.
 */
export function decodeManifest(value: unknown): Decoded {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { kind: 'invalid', key: null, reason: `must be an object, not ${typeName(value)}` };
  }
  const { apiVersion, kind } = value as { apiVersion?: unknown; kind?: unknown };
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    return { kind: 'invalid', key: null, reason: 'apiVersion: Required value' };
  }
  if (typeof kind !== 'string' || kind === '') return { kind: 'invalid', key: null, reason: 'kind: Required value' };
  const decode = decoders.get(`${apiVersion}/${kind}`);
  return decode === undefined ? { kind: 'ignored' } : decode(value);
}

const defaultWeight = 100;
const maxWeight = 256;
const maxAlternates = 3;
const maxPort = 65_535;
const maxActions = 20;
const maxHeaderNameLength = 255;
const maxHeaderValueLength = 16_384;

const text = z.string().nullish();
const flag = z.boolean().nullish();
const whole = z.int().nullish();
const textMap = z.record(z.string(), z.string().nullable()).nullish();
const intOrText = z.union([z.int(), z.string()]).nullish();
const port = z.int().min(1, `should be between 1 and ${maxPort}`).max(maxPort, `should be between 1 and ${maxPort}`);
const requiredName = z.string().min(1);

// A slash would let two objects share a key; the API refuses it in every name.
const objectName = requiredName.refine((name) => !name.includes('/'), "may not contain '/'");

const metadata = z.object({
  name: objectName,
  namespace: z
    .string()
    .refine((name) => !name.includes('/'), "may not contain '/'")
    .nullish(),
  uid: text,
  resourceVersion: text,
  creationTimestamp: z
    .string()
    .refine((time) => !Number.isNaN(Date.parse(time)), 'must be an RFC 3339 time')
    .nullish(),
  generation: whole,
  labels: textMap,
  annotations: textMap,
});

const weightedService = z.object({
  kind: z.enum(['Service', '']).nullish(),
  name: requiredName,
  weight: z
    .int()
    .min(0, 'should be greater than or equal to 0')
    .max(maxWeight, `should be less than or equal to ${maxWeight}`)
    .nullish(),
});

// Others write here too: what they get wrong must not cost the Route.
const routeStatus = z
  .object({ ingress: z.array(z.record(z.string(), z.unknown())).nullish() })
  .nullish()
  .catch(null);

// The messages are the CRD's; OpenShift's API server has others.
const forbiddenHeaders: readonly string[] = ['strict-transport-security', 'proxy', 'cookie', 'set-cookie'];

const headerName = requiredName
  .refine((name) => name.length <= maxHeaderNameLength, `may not be more than ${maxHeaderNameLength} bytes`)
  .refine((name) => /^[-!#$%&'*+.0-9A-Z^_`a-z|~]+$/.test(name), 'must be a valid HTTP header name')
  .refine((name) => !forbiddenHeaders.includes(name.toLowerCase()), {
    error: ({ input }) => `${String(input).toLowerCase()} header may not be modified via header actions`,
  });

/** Actions of one direction; `fetch`: what a value may read of the message. */
const headerActions = (fetch: 'req' | 'res') => {
  const pattern = new RegExp(
    `^(%%|%(\\{[-+]?[QXE](,[-+]?[QXE])*\\})?\\[(${fetch}\\.hdr\\([-0-9A-Za-z]+\\)|ssl_c_der)(,(lower|base64))*\\]|[^%\\x00-\\x1f\\x7f])+$`,
  );
  const value = requiredName
    .refine((text) => text.length <= maxHeaderValueLength, `may not be more than ${maxHeaderValueLength} bytes`)
    .refine(
      (text) => text.length > maxHeaderValueLength || pattern.test(text),
      `Either the header value provided is not in correct format or the sample fetcher/converter specified is not allowed. Sample fetchers allowed are ${fetch}.hdr, ssl_c_der. Converters allowed are lower, base64.`,
    );
  const action = z
    .object({ type: z.enum(['Set', 'Delete']), set: z.object({ value }).nullish() })
    .refine(
      ({ type, set }) => (type === 'Set') === (set != null),
      'set is required when type is Set, and forbidden otherwise',
    );
  return z
    .array(z.object({ name: headerName, action }))
    .max(maxActions)
    .nullish();
};

const routeWire = z.object({
  metadata,
  status: routeStatus,
  spec: z.object({
    host: text,
    subdomain: text,
    path: text,
    to: weightedService,
    alternateBackends: z.array(weightedService.nullable()).max(maxAlternates).nullish(),
    port: z.object({ targetPort: intOrText }).nullish(),
    wildcardPolicy: text,
    httpHeaders: z
      .object({
        actions: z.object({ request: headerActions('req'), response: headerActions('res') }).nullish(),
      })
      .nullish(),
    tls: z
      .object({
        termination: text,
        certificate: text,
        key: text,
        caCertificate: text,
        destinationCACertificate: text,
        insecureEdgeTerminationPolicy: z.enum(['None', 'Allow', 'Redirect', '']).nullish(),
        externalCertificate: z.object({ name: text }).nullish(),
      })
      .nullish(),
  }),
});

const faultyRouteWire = z.object({
  metadata,
  status: routeStatus,
  spec: z.object({ host: text }).nullish().catch(null),
});

const serviceWire = z.object({
  metadata,
  spec: z
    .object({
      type: text,
      clusterIP: text,
      ports: z
        .array(z.object({ name: text, port, targetPort: intOrText, protocol: text, appProtocol: text }).nullable())
        .nullish(),
    })
    .nullish(),
});

const sliceWire = z.object({
  metadata,
  addressType: text,
  endpoints: z
    .array(
      z
        .object({
          addresses: z.array(z.string().nullable()).nullish(),
          conditions: z.object({ ready: flag, serving: flag, terminating: flag }).nullish(),
          targetRef: z.object({ kind: text, name: text }).nullish(),
        })
        .nullable(),
    )
    .nullish(),
  ports: z.array(z.object({ name: text, port: whole, protocol: text, appProtocol: text }).nullable()).nullish(),
});

const secretWire = z.object({
  metadata,
  type: text,
  data: z.record(z.string(), z.string().refine(isBase64, 'illegal base64 data').nullable()).nullish(),
  stringData: textMap,
});

const namespaceWire = z.object({ metadata });

type Wire<Schema extends z.ZodType> = z.output<Schema>;

function routeOf({ metadata, spec, status }: Wire<typeof routeWire>): RouteManifest {
  let to = weightedServiceOf(spec.to);
  const alternates = new Map<string, WeightedService>();
  for (const alternate of present(spec.alternateBackends)) {
    if (alternate.name === to.name) to = weightedServiceOf(alternate);
    else alternates.set(alternate.name, weightedServiceOf(alternate));
  }
  return {
    ...routeIdentity(metadata, status),
    host: spec.host ?? '',
    subdomain: spec.subdomain ?? '',
    path: spec.path ?? '',
    to,
    alternateBackends: [...alternates.values()],
    targetPort: String(spec.port?.targetPort ?? ''),
    wildcardPolicy: spec.wildcardPolicy || 'None',
    tls: spec.tls == null ? null : tlsOf(spec.tls),
    headerActions: headerActionsOf(spec.httpHeaders),
    fault: '',
  };
}

function routeIdentity(
  metadata: Wire<typeof routeWire>['metadata'],
  status: Wire<typeof routeStatus>,
): Pick<
  RouteManifest,
  'kind' | 'namespace' | 'name' | 'uid' | 'createdMs' | 'generation' | 'labels' | 'annotations' | 'status'
> {
  return {
    kind: 'Route',
    namespace: metadata.namespace || 'default',
    name: metadata.name,
    uid: metadata.uid ?? '',
    createdMs: metadata.creationTimestamp == null ? 0 : Date.parse(metadata.creationTimestamp),
    generation: metadata.generation ?? 0,
    labels: withoutNulls(metadata.labels),
    annotations: withoutNulls(metadata.annotations),
    status: { resourceVersion: metadata.resourceVersion ?? '', ingress: status?.ingress ?? [] },
  };
}

/**
 * A Route that cannot be read, with what can: its identity and host, so that its owner can be told of the fault in its status
 * .Null where it is not even known which Route it is.
 */
export function decodeFaultyRoute(value: unknown, fault: string): RouteManifest | null {
  const parsed = faultyRouteWire.safeParse(value);
  if (!parsed.success) return null;
  const { metadata, spec, status } = parsed.data;
  return {
    ...routeIdentity(metadata, status),
    host: spec?.host ?? '',
    subdomain: '',
    path: '',
    to: { name: '', weight: 0 },
    alternateBackends: [],
    targetPort: '',
    wildcardPolicy: 'None',
    tls: null,
    headerActions: noHeaderActions,
    fault,
  };
}

function weightedServiceOf({ name, weight }: Wire<typeof weightedService>): WeightedService {
  return { name, weight: weight ?? defaultWeight };
}

function tlsOf(tls: NonNullable<Wire<typeof routeWire>['spec']['tls']>): RouteTls {
  return {
    termination: terminationOf(tls),
    certificate: tls.certificate ?? '',
    key: tls.key ?? '',
    caCertificate: tls.caCertificate ?? '',
    destinationCaCertificate: tls.destinationCACertificate ?? '',
    insecurePolicy: tls.insecureEdgeTerminationPolicy ?? '',
    externalCertificate: tls.externalCertificate?.name ?? '',
  };
}

const noHeaderActions: HeaderActionLists = { request: [], response: [] };

type HeadersWire = Wire<typeof routeWire>['spec']['httpHeaders'];

function headerActionsOf(headers: HeadersWire): HeaderActionLists {
  if (headers?.actions == null) return noHeaderActions;
  const specs = (list: NonNullable<typeof headers.actions>['request']): readonly HeaderActionSpec[] =>
    (list ?? []).map(({ name, action }) => ({ name, value: action.set?.value ?? null }));
  return { request: specs(headers.actions.request), response: specs(headers.actions.response) };
}

/** The lists are maps by name to the API, which tells spellings apart. */
function repeatedHeader(headers: HeadersWire): string | null {
  for (const direction of ['request', 'response'] as const) {
    const names = (headers?.actions?.[direction] ?? []).map(({ name }) => name);
    const at = names.findIndex((name, i) => names.indexOf(name) < i);
    if (at < 0) continue;
    return `spec.httpHeaders.actions.${direction}[${at}]: Duplicate value: ${shown({ name: names[at] })}`;
  }
  return null;
}

function terminationOf(tls: { readonly termination?: string | null | undefined }): string {
  return (tls.termination ?? '').toLowerCase();
}

/** What the CRD says of fields that do not fit together, null where they do (Route semantics 1.1 to 1.4). */
function routeFault({ spec }: Wire<typeof routeWire>): string | null {
  const { host, path, tls } = spec;
  const passthrough = tls != null && terminationOf(tls) === 'passthrough';
  if (path && !path.startsWith('/')) {
    return `spec.path: Invalid value: ${shown(path)}: spec.path in body should match '^/'`;
  }
  if (passthrough && spec.httpHeaders != null) {
    return 'spec: Invalid value: "object": header actions are not permitted when tls termination is passthrough.';
  }
  if (path && passthrough) {
    return `spec.path: Invalid value: ${shown(path)}: passthrough termination does not support paths`;
  }
  if (spec.wildcardPolicy === 'Subdomain' && !host) {
    return 'spec.wildcardPolicy: Invalid value: "Subdomain": host name not specified for wildcard policy';
  }
  if (spec.port != null && [undefined, null, 0, ''].includes(spec.port.targetPort)) {
    return 'spec.port.targetPort: Required value';
  }
  if (passthrough && tls.insecureEdgeTerminationPolicy === 'Allow') {
    return 'spec.tls: Invalid value: "object": cannot have both spec.tls.termination: passthrough and spec.tls.insecureEdgeTerminationPolicy: Allow';
  }
  if (tls?.certificate && tls.externalCertificate?.name) {
    return 'spec.tls: Invalid value: "object": cannot have both spec.tls.certificate and spec.tls.externalCertificate';
  }
  return repeatedHeader(spec.httpHeaders);
}

function serviceOf({ metadata, spec }: Wire<typeof serviceWire>): ServiceManifest {
  return {
    kind: 'Service',
    namespace: metadata.namespace || 'default',
    name: metadata.name,
    annotations: withoutNulls(metadata.annotations),
    type: spec?.type || 'ClusterIP',
    clusterIp: spec?.clusterIP ?? '',
    ports: present(spec?.ports).map((entry) => ({
      name: entry.name ?? '',
      port: entry.port,
      targetPort: String(entry.targetPort || entry.port),
      protocol: entry.protocol || 'TCP',
      appProtocol: entry.appProtocol ?? '',
    })),
  };
}

function sliceOf(slice: Wire<typeof sliceWire>): EndpointSliceManifest {
  const ports: SlicePort[] = [];
  for (const entry of present(slice.ports)) {
    if (entry.port == null || entry.port < 1 || entry.port > maxPort) continue;
    ports.push({
      name: entry.name ?? '',
      port: entry.port,
      protocol: entry.protocol || 'TCP',
      appProtocol: entry.appProtocol ?? '',
    });
  }
  return {
    kind: 'EndpointSlice',
    namespace: slice.metadata.namespace || 'default',
    name: slice.metadata.name,
    service: slice.metadata.labels?.['kubernetes.io/service-name'] ?? '',
    addressType: slice.addressType ?? '',
    endpoints: present(slice.endpoints).map(({ addresses, conditions, targetRef }) => {
      const ready = conditions?.ready ?? true;
      return {
        addresses: present(addresses),
        ready,
        serving: conditions?.serving ?? ready,
        terminating: conditions?.terminating ?? false,
        pod: targetRef?.kind === 'Pod' ? (targetRef.name ?? '') : '',
      };
    }),
    ports,
  };
}

function secretOf(secret: Wire<typeof secretWire>): SecretManifest {
  const data: Record<string, string> = {};
  for (const [name, base64] of Object.entries(withoutNulls(secret.data))) {
    data[name] = Buffer.from(base64, 'base64').toString('utf8');
  }
  return {
    kind: 'Secret',
    namespace: secret.metadata.namespace || 'default',
    name: secret.metadata.name,
    type: secret.type || 'Opaque',
    data: Object.assign(data, withoutNulls(secret.stringData)),
  };
}

function namespaceOf({ metadata }: Wire<typeof namespaceWire>): NamespaceManifest {
  return { kind: 'Namespace', name: metadata.name, labels: withoutNulls(metadata.labels) };
}

const decoders: ReadonlyMap<string, (value: object) => Decoded> = new Map([
  ['route.openshift.io/v1/Route', decoder('Route', routeWire, routeOf, routeFault)],
  ['v1/Service', decoder('Service', serviceWire, serviceOf)],
  ['discovery.k8s.io/v1/EndpointSlice', decoder('EndpointSlice', sliceWire, sliceOf)],
  ['v1/Secret', decoder('Secret', secretWire, secretOf)],
  ['v1/Namespace', decoder('Namespace', namespaceWire, namespaceOf)],
  // OpenShift's view of the namespaces that one may see.
  ['project.openshift.io/v1/Project', decoder('Namespace', namespaceWire, namespaceOf)],
]);

function decoder<Schema extends z.ZodType>(
  kind: Manifest['kind'],
  schema: Schema,
  manifestOf: (wire: Wire<Schema>) => Manifest,
  faultOf: (wire: Wire<Schema>) => string | null = () => null,
): (value: object) => Decoded {
  return (value) => {
    const parsed = schema.safeParse(value, { reportInput: true });
    if (!parsed.success) return invalid(kind, value, reasonOf(parsed.error.issues[0]));
    const fault = faultOf(parsed.data);
    return fault === null ? { kind: 'manifest', manifest: manifestOf(parsed.data) } : invalid(kind, value, fault);
  };
}

function invalid(kind: Manifest['kind'], value: object, reason: string): Decoded {
  return { kind: 'invalid', key: keyOf(kind, value), reason: oneLine(reason) };
}

/** The key of an object that could not be decoded, so that its last good version can be kept; null where it has no name. */
function keyOf(kind: Manifest['kind'], value: object): ManifestKey | null {
  const named = z.object({ metadata: metadata.pick({ name: true, namespace: true }) }).safeParse(value);
  if (!named.success) return null;
  const { name, namespace } = named.data.metadata;
  return (kind === 'Namespace' ? `Namespace/${name}` : `${kind}/${namespace || 'default'}/${name}`) as ManifestKey;
}

function isBase64(value: string): boolean {
  const digits = value.replace(/[\r\n]/g, '');
  return digits.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(digits);
}

function present<Item>(items: readonly (Item | null)[] | null | undefined): readonly Item[] {
  return (items ?? []).filter((item) => item !== null);
}

function withoutNulls(entries: Readonly<Record<string, string | null>> | null | undefined): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name in entries) {
    const value = entries[name];
    if (typeof value === 'string') kept[name] = value;
  }
  return kept;
}
