// What a router must have come to, from the objects of the cluster alone: slow and obvious, after the Route semantics
// (sections 2, 3 and 7) and docs/compatibility.md, sharing nothing with the controller.

import { createHash } from 'node:crypto';
import type { RouteOptions } from '../../../src/table/entries.ts';
import type { KubeObject } from '../api-server/api-server.ts';
import { plainOptions } from '../rules.ts';
import type { KnownCertificate, Pems } from './pems.ts';

export type ModelSettings = {
  readonly allowWildcardRoutes: boolean;
  readonly disableNamespaceOwnershipCheck: boolean;
  readonly shardCount: number;
  readonly shardIndex: number;
  /** The account that must be allowed to read Secrets. */
  readonly user: string;
};

/** Everything that there is. `granted` names the Secrets that may be read. */
export type Objects = {
  readonly routes: readonly KubeObject[];
  readonly namespaces: readonly KubeObject[];
  readonly services: readonly KubeObject[];
  readonly slices: readonly KubeObject[];
  readonly secrets: readonly KubeObject[];
  readonly granted: ReadonlySet<string>;
};

/** What is said of a Route. A message that depends on how things came about is null. */
export type ExpectedRoute = {
  readonly host: string;
  readonly path: string;
  readonly wildcardPolicy: string;
  readonly generation: number;
  readonly isAdmitted: boolean;
  readonly reason: string;
  readonly message: string | null;
  readonly warnings: readonly string[];
};

/** But for these three, which annotations of this world ask for, a path's options are those of a Route without annotations. */
export type ExpectedPath = Omit<RouteOptions, 'forwarded' | 'proxyProtocol' | 'balance'> & {
  readonly route: string;
  readonly path: string;
  readonly termination: string;
  readonly insecurePolicy: string;
  readonly backends: readonly { readonly backend: string; readonly weight: number }[];
  /** The name of the authority that checks the pods, empty for none; null where TLS ends at the router. */
  readonly authority: string | null;
  readonly forwarded: string;
  readonly proxyProtocol: string;
  readonly balance: string;
  /** No Route of this world demands client certificates. */
  readonly clientAuth: null;
};

export type ExpectedHost = {
  readonly tls: string;
  /** Made of the names of the certificate and of the chain behind it; null for the default one. */
  readonly certificate: string | null;
  /** In the order in which they are tried. */
  readonly paths: readonly ExpectedPath[];
};

export type Expected = {
  readonly routes: ReadonlyMap<string, ExpectedRoute>;
  readonly hosts: ReadonlyMap<string, ExpectedHost>;
  /** By Backend: the Endpoints, in the order of their names, behind `idled` where it is. */
  readonly backends: ReadonlyMap<string, readonly string[]>;
};

type Refusal = { readonly reason: string; readonly message: string | null };
type Served = {
  readonly route: Route;
  readonly certificate: string | null;
  readonly authority: string | null;
  readonly warnings: readonly string[];
};

export function expected(objects: Objects, settings: ModelSettings, pems: Pems): Expected {
  const ours = objects.routes.map(readRoute).filter((route) => isOurs(route, objects, settings));
  const losers = findLosers(
    ours.filter((route) => claimFault(route, settings) === null),
    settings,
  );
  const routes = new Map<string, ExpectedRoute>();
  const served: Served[] = [];
  for (const route of ours) {
    const outcome: Refusal | Served =
      claimFault(route, settings) ??
      (losers.has(route) ? { reason: 'HostAlreadyClaimed', message: null } : treat(route, objects, settings, pems));
    const isAdmitted = 'route' in outcome;
    if (isAdmitted) served.push(outcome);
    routes.set(route.key, {
      host: route.host,
      path: structuralFault(route) === '' ? route.path : '',
      wildcardPolicy: structuralFault(route) === '' ? route.wildcardPolicy : 'None',
      generation: route.generation,
      isAdmitted,
      reason: isAdmitted ? '' : outcome.reason,
      message: isAdmitted ? '' : outcome.message,
      warnings: isAdmitted
        ? [...outcome.warnings, ...unwakeableServices(route, objects), ...missingServices(route, objects)]
        : [],
    });
  }
  const hosts = new Map<string, ExpectedHost>();
  for (const host of new Set(served.map(({ route }) => claimedHost(route)))) {
    hosts.set(host, hostOf(served.filter(({ route }) => claimedHost(route) === host)));
  }
  const backends = new Map<string, readonly string[]>();
  for (const { route } of served) {
    for (const { backend, service } of backendsOf(route)) {
      backends.set(backend, endpointsOf(route.namespace, service, route.targetPort, objects));
    }
  }
  return { routes, hosts, backends };
}

/** What a plain request must be answered with: one of these, each a port of the pod that answers or 503. */
export type ExpectedAnswer = { readonly host: string; readonly path: string; readonly among: readonly number[] };

/** Requests whose answers are beyond doubt: on hosts that serve plain HTTP at every path. */
export function expectedAnswers({ hosts, backends }: Expected): ExpectedAnswer[] {
  const answers: ExpectedAnswer[] = [];
  for (const [host, { paths }] of hosts) {
    const name = host.replace(/^\*/, 'nobody-else');
    const isPlain = paths.every(
      ({ termination, insecurePolicy }) =>
        termination === 'none' || (termination === 'edge' && insecurePolicy === 'Allow'),
    );
    if (!isPlain) continue;
    for (const { path } of paths) {
      const asked = `${path}/deeper`;
      // They are in the order in which they are tried.
      const rule = paths.find((each) => `${asked}/`.startsWith(`${each.path}/`));
      const endpoints = (rule?.backends ?? [])
        .filter(({ weight }) => weight > 0)
        .flatMap(({ backend }) => backends.get(backend) ?? [])
        .filter((id) => id !== 'idled');
      const ports = endpoints.filter((id) => id.includes(':127.0.0.1:')).map((id) => Number(/\d+$/.exec(id)?.[0]));
      const isSure = ports.length > 0 && ports.length === endpoints.length;
      answers.push({ host: name, path: asked, among: isSure ? ports : [...ports, 503] });
    }
  }
  return answers;
}

// --- A Route as the API has it, with its defaults (1.1) ---

type Route = {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly created: string;
  readonly uid: string;
  readonly generation: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly forwarded: string;
  /** As they are annotated. */
  readonly policy: string;
  readonly proxyProtocol: string;
  readonly host: string;
  readonly path: string;
  readonly wildcardPolicy: string;
  readonly targetPort: string;
  readonly services: readonly { readonly name: string; readonly weight: number }[];
  readonly tls: Tls | null;
};

type Tls = {
  readonly termination: string;
  readonly insecure: string;
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
  readonly destinationCa: string;
  readonly secret: string;
};

type Wire = Readonly<Record<string, unknown>>;

function readRoute({ metadata, spec = {} }: KubeObject): Route {
  const text = (of: Wire | undefined, field: string): string => String(of?.[field] ?? '');
  const tls = spec['tls'] as Wire | undefined;
  const weights = new Map<string, number>();
  for (const reference of [spec['to'], ...((spec['alternateBackends'] ?? []) as unknown[])] as Wire[]) {
    // The same Service twice is one, with its last weight (7.5).
    weights.set(text(reference, 'name'), Number(reference['weight'] ?? 100));
  }
  const policy = metadata.annotations?.['haproxy.router.openshift.io/set-forwarded-headers'] ?? '';
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    created: metadata.creationTimestamp ?? '',
    uid: metadata.uid ?? '',
    generation: metadata.generation ?? 0,
    labels: metadata.labels ?? {},
    forwarded: ['append', 'replace', 'if-none', 'never'].includes(policy) ? policy : 'append',
    policy,
    proxyProtocol: metadata.annotations?.['headgate.io/proxy-protocol'] ?? 'none',
    host: text(spec, 'host'),
    path: text(spec, 'path'),
    wildcardPolicy: text(spec, 'wildcardPolicy') || 'None',
    targetPort: text(spec['port'] as Wire | undefined, 'targetPort'),
    services: [...weights].map(([name, weight]) => ({ name, weight })),
    tls:
      tls === undefined
        ? null
        : {
            termination: text(tls, 'termination').toLowerCase(),
            insecure: text(tls, 'insecureEdgeTerminationPolicy'),
            certificate: text(tls, 'certificate'),
            key: text(tls, 'key'),
            ca: text(tls, 'caCertificate'),
            destinationCa: text(tls, 'destinationCACertificate'),
            secret: text(tls['externalCertificate'] as Wire | undefined, 'name'),
          },
  };
}

// --- Selection (3) ---

function isOurs(route: Route, { namespaces }: Objects, settings: ModelSettings): boolean {
  const namespace = namespaces.find(({ metadata }) => metadata.name === route.namespace);
  const isSelected = route.labels['shard'] === 'a' && namespace?.metadata.labels?.['tenant'] !== undefined;
  return isSelected && shardOf(route, settings) === settings.shardIndex;
}

function shardOf(route: Route, { shardCount, allowWildcardRoutes }: ModelSettings): number {
  return shardOfHost(route.host || route.key, shardCount, allowWildcardRoutes && route.host !== '');
}

/** Of the automatic shards the one whose number and the place together have the highest hash. */
export function shardOfHost(host: string, count: number, byDomain: boolean): number {
  const name = host.toLowerCase();
  const place = byDomain && name.includes('.') ? name.slice(name.indexOf('.') + 1) : name;
  const hashes = Array.from({ length: count }, (_, i) => createHash('sha256').update(`${i} ${place}`).digest('hex'));
  return hashes.indexOf([...hashes].sort().at(-1) ?? '');
}

// --- Who may have which host (2.2) ---

/** Why a Route cannot even ask for a host. */
function claimFault(route: Route, { allowWildcardRoutes }: ModelSettings): Refusal | null {
  const fault = structuralFault(route);
  if (fault !== '') return { reason: 'ExtendedValidationFailed', message: fault };
  if (route.host === '') return { reason: 'NoHostValue', message: 'no host value was defined for the route' };
  if (route.wildcardPolicy === 'Subdomain' && !allowWildcardRoutes) {
    return { reason: 'RouteNotAdmitted', message: 'wildcard routes are not allowed' };
  }
  if (route.wildcardPolicy !== 'Subdomain' && route.wildcardPolicy !== 'None') {
    return { reason: 'RouteNotAdmitted', message: `unknown wildcard policy ${route.wildcardPolicy}` };
  }
  const faultyLabels = route.host.split('.').filter((label) => !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(label));
  if (faultyLabels.length === 0) return null;
  const rules = ['host must conform to DNS 952 subdomain conventions', ...faultyLabels.map(() => labelRule)];
  const errors = rules.map((rule) => `spec.host: Invalid value: "${route.host}": ${rule}`);
  return { reason: 'InvalidHost', message: `host name validation errors: ${errors.join(', ')}` };
}

const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
  "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/** What the CRD would not have let in (1.1 to 1.3); empty for a sound Route. */
function structuralFault({ host, path, wildcardPolicy, tls }: Route): string {
  const isPassthrough = tls?.termination === 'passthrough';
  if (path !== '' && !path.startsWith('/')) {
    return `spec.path: Invalid value: "${path}": spec.path in body should match '^/'`;
  }
  if (path !== '' && isPassthrough) {
    return `spec.path: Invalid value: "${path}": passthrough termination does not support paths`;
  }
  if (wildcardPolicy === 'Subdomain' && host === '') {
    return 'spec.wildcardPolicy: Invalid value: "Subdomain": host name not specified for wildcard policy';
  }
  const both = 'spec.tls: Invalid value: "object": cannot have both';
  if (isPassthrough && tls.insecure === 'Allow') {
    return `${both} spec.tls.termination: passthrough and spec.tls.insecureEdgeTerminationPolicy: Allow`;
  }
  if (tls !== null && tls.certificate !== '' && tls.secret !== '') {
    return `${both} spec.tls.certificate and spec.tls.externalCertificate`;
  }
  return '';
}

function isWildcard({ wildcardPolicy }: Route): boolean {
  return wildcardPolicy === 'Subdomain';
}

function parentOf({ host }: Route): string {
  return host.includes('.') ? host.slice(host.indexOf('.') + 1) : '';
}

function claimedHost(route: Route): string {
  return isWildcard(route) ? `*.${parentOf(route)}` : route.host;
}

/** Oldest first; whoever cannot live beside an older winner loses, whatever has happened before. */
function findLosers(claims: readonly Route[], settings: ModelSettings): Set<Route> {
  const isOlder = (a: Route, b: Route): boolean => (a.created === b.created ? a.uid < b.uid : a.created < b.created);
  const oldestFirst = [...claims].sort((a, b) => (isOlder(a, b) ? -1 : 1));
  const winners: Route[] = [];
  const losers = new Set<Route>();
  for (const route of oldestFirst) {
    if (winners.some((winner) => excludes(winner, route, settings))) losers.add(route);
    else winners.push(route);
  }
  return losers;
}

function excludes(winner: Route, route: Route, { disableNamespaceOwnershipCheck }: ModelSettings): boolean {
  const isOtherNamespace = winner.namespace !== route.namespace && !disableNamespaceOwnershipCheck;
  if (isWildcard(winner) !== isWildcard(route)) {
    return isOtherNamespace && parentOf(winner) === parentOf(route);
  }
  if (claimedHost(winner) !== claimedHost(route)) return false;
  const bothTls = winner.tls !== null && route.tls !== null;
  const onePassesThrough = [winner, route].some(({ tls }) => tls?.termination === 'passthrough');
  return isOtherNamespace || winner.path === route.path || (bothTls && onePassesThrough);
}

// --- Certificates (2.3, 7.1) ---

const redactedCertificate = 'spec.tls.certificate: Invalid value: "redacted certificate data"';
const redactedKey = 'spec.tls.key: Invalid value: "redacted key data"';
const redactedCa = 'spec.tls.caCertificate: Invalid value: "redacted ca certificate data"';
const redactedDestination =
  'spec.tls.destinationCACertificate: Invalid value: "redacted destination ca certificate data"';
const unreadable = 'data does not contain any valid RSA or ECDSA certificates';

function treat(route: Route, objects: Objects, settings: ModelSettings, pems: Pems): Served | Refusal {
  const { tls } = route;
  const warnings: string[] = [];
  const choices = [
    ['haproxy.router.openshift.io/set-forwarded-headers', route.policy, ['append', 'replace', 'if-none', 'never']],
    ['headgate.io/proxy-protocol', route.proxyProtocol, ['none', 'v1', 'v2']],
  ] as const;
  for (const [name, value, options] of choices) {
    if (value === '' || options.some((option) => option === value)) continue;
    warnings.push(`annotation ${name}: "${value}" is not one of ${options.join(', ')}: it is ignored`);
  }
  if (tls === null) return { route, certificate: null, authority: null, warnings };
  let { certificate, key } = tls;
  if (tls.secret !== '') {
    const read = readSecret(route.namespace, tls.secret, objects, settings);
    if (typeof read === 'string') return { reason: 'ExternalCertificateValidationFailed', message: read };
    ({ certificate, key } = read);
    if (certificate === '') warnings.push(`secret "${tls.secret}" has no tls.crt: the default certificate is served`);
  }
  const errors = tlsErrors({ ...tls, certificate, key }, pems);
  if (errors.length > 0) return { reason: 'ExtendedValidationFailed', message: listed(errors) };
  const authority = pems.authority(tls.destinationCa)?.name ?? '';
  if (tls.termination === 'reencrypt' && authority === '') {
    warnings.push('no destination CA on the Route or by default: the certificates of its pods are not verified');
  }
  const chain = [pems.certificate(certificate)?.name, pems.authority(tls.ca)?.name].filter(
    (name) => name !== undefined,
  );
  return {
    route,
    certificate: certificate === '' ? null : chain.join(' by '),
    authority: tls.termination === 'reencrypt' ? authority : null,
    warnings,
  };
}

function tlsErrors(tls: Tls, pems: Pems): string[] {
  const errors: string[] = [];
  const known = (text: string): KnownCertificate | undefined => pems.certificate(text);
  if (!['edge', 'reencrypt', 'passthrough'].includes(tls.termination)) {
    const supported = '"edge", "passthrough", "reencrypt"';
    errors.push(`spec.tls.termination: Unsupported value: "${tls.termination}": supported values: ${supported}`);
  }
  if (tls.termination === 'passthrough') {
    const not = 'passthrough termination does not support certificates';
    if (tls.certificate !== '') errors.push(`${redactedCertificate}: ${not}`);
    if (tls.key !== '') errors.push(`${redactedKey}: ${not}`);
  }
  if (tls.termination === 'edge' && tls.destinationCa !== '') {
    errors.push(`${redactedDestination}: edge termination does not support destination certificates`);
  }
  if (tls.ca === pems.garbage) errors.push(`${redactedCa}: failed to parse CA certificate: ${unreadable}`);
  if (tls.certificate !== '') {
    const certificate = known(tls.certificate);
    const issuer = pems.authority(tls.ca)?.name;
    if (certificate?.weak !== '') {
      errors.push(`${redactedCertificate}: router does not support CA-signed certs using ${certificate?.weak}`);
    } else if (issuer !== undefined && issuer !== certificate.issuer) {
      const why = 'x509: certificate signed by unknown authority';
      errors.push(`${redactedCertificate}: error verifying certificate: ${why}`);
    }
    if (tls.key === '') errors.push('spec.tls.key: Invalid value: "": no key specified');
    else if (pems.key(tls.key) !== certificate) {
      errors.push(`${redactedKey}: tls: private key does not match public key`);
    }
  }
  if (tls.destinationCa === pems.garbage) {
    errors.push(`${redactedDestination}: failed to parse destination CA certificate: ${unreadable}`);
  }
  return errors;
}

function readSecret(
  namespace: string,
  name: string,
  { secrets, granted }: Objects,
  { user }: ModelSettings,
): { readonly certificate: string; readonly key: string } | string {
  const field = 'spec.tls.externalCertificate';
  if (!granted.has(`${namespace}/${name}`)) {
    const denied = ['get', 'watch', 'list'].map(
      (verb) => `${field}: Forbidden: router serviceaccount does not have permission to ${verb} this secret`,
    );
    const why = `User "${user}" cannot get resource "secrets" in API group "" in the namespace "${namespace}"`;
    return listed([...denied, `${field}: Internal error: secrets "${name}" is forbidden: ${why}`]);
  }
  const secret = secrets.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  if (secret === undefined) return `${field}: Not found: "secrets \\"${name}\\" not found"`;
  if (secret['type'] !== 'kubernetes.io/tls') {
    return `${field}: Invalid value: "${name}": secret of type "kubernetes.io/tls" required`;
  }
  const data = secret['data'] as Readonly<Record<string, string>>;
  const text = (part: string): string => Buffer.from(data[part] ?? '', 'base64').toString();
  return { certificate: text('tls.crt'), key: text('tls.key') };
}

function listed(errors: readonly string[]): string {
  return errors.length === 1 ? (errors[0] ?? '') : `[${errors.join(', ')}]`;
}

// --- What is served (5.1, 5.2, 5.15, 7.2 to 7.5) ---

/** Annotations aside: how a Route is balanced (5.7), and by which cookie its clients come back (5.8). */
function balanceOf({ namespace, name, services, tls }: Route): Pick<ExpectedPath, 'balance' | 'cookie'> {
  const isPassthrough = tls?.termination === 'passthrough';
  const sharing = services.filter(({ weight }) => weight > 0).length;
  const hash = createHash('md5').update(` ${namespace}:${name}`).digest('hex');
  const secure = tls === null || tls.insecure === 'Allow' ? '' : '; Secure; SameSite=None';
  return {
    balance: sharing > 1 ? 'roundrobin' : isPassthrough ? 'source' : 'random',
    cookie: isPassthrough ? null : { name: hash, attributes: `path=/; HttpOnly${secure}` },
  };
}

function hostOf(served: readonly Served[]): ExpectedHost {
  // As the reference sorts: by `namespace:name`, the largest first.
  const byName = [...served].sort((a, b) => (nameOf(a) > nameOf(b) ? -1 : 1));
  const paths = byName.map(({ route, authority }): ExpectedPath => {
    const { tls } = route;
    return {
      route: route.key,
      path: route.path === '/' ? '' : route.path,
      termination: tls?.termination ?? 'none',
      insecurePolicy: tls?.insecure || 'None',
      backends: backendsOf(route).map(({ backend, weight }) => ({ backend, weight })),
      authority,
      ...plainOptions,
      forwarded: route.forwarded,
      proxyProtocol: ['v1', 'v2'].includes(route.proxyProtocol) ? route.proxyProtocol : 'none',
      ...balanceOf(route),
      clientAuth: null,
    };
  });
  const has = (...terminations: string[]): boolean =>
    paths.some(({ termination }) => terminations.includes(termination));
  return {
    tls: has('passthrough') ? 'passthrough' : has('edge', 'reencrypt') ? 'terminate' : 'none',
    certificate: byName.find(({ certificate }) => certificate !== null)?.certificate ?? null,
    // Longest first; those of one length exclude each other, but for the empty one and `/`, where the larger name answers.
    paths: paths.sort((a, b) => b.path.length - a.path.length || (a.path > b.path ? -1 : a.path < b.path ? 1 : 0)),
  };
}

function nameOf({ route }: Served): string {
  return `${route.namespace}:${route.name}`;
}

type BackendUse = { readonly backend: string; readonly service: string; readonly weight: number };

function backendsOf({ namespace, services, targetPort }: Route): BackendUse[] {
  return services.map(({ name, weight }) => ({
    backend: `${namespace}/${name}:${targetPort}`,
    service: name,
    weight,
  }));
}

type SlicePort = { readonly name?: string; readonly port: number; readonly protocol?: string };
type SliceEndpoint = {
  readonly addresses: readonly string[];
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
  readonly targetRef?: { readonly kind: string; readonly name: string };
};

function endpointsOf(namespace: string, service: string, targetPort: string, objects: Objects): string[] {
  const slices = objects.slices
    .filter(({ metadata }) => metadata.namespace === namespace)
    .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service);
  const all = slices
    .filter((slice) => slice['addressType'] === 'IPv4' || slice['addressType'] === 'IPv6')
    .flatMap((slice) =>
      (slice['endpoints'] as SliceEndpoint[]).map((endpoint) => ({
        ...endpoint,
        ports: slice['ports'] as SlicePort[],
      })),
    );
  const ready = all.filter(({ conditions }) => conditions?.ready ?? true);
  const leaving = all.filter(({ conditions }) => conditions?.serving === true && conditions.terminating === true);
  const idled = idledService(namespace, service, objects);
  if (idled !== null && slices.length > 0 && ready.length === 0 && leaving.length === 0) {
    const ids = idled.ports
      .filter(({ name, port }) => idled.clusterIP !== 'None' && ['', name, String(port)].includes(targetPort))
      .map(({ name, port }) => `ept:${service}:${name}:${idled.clusterIP}:${port}`);
    return ['idled', ...ids.sort()];
  }
  const idsOf = (endpoints: typeof all): string[] =>
    endpoints.flatMap(({ addresses, ports, targetRef }) =>
      ports
        .filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
        .filter(({ name, port }) => targetPort === '' || targetPort === name || targetPort === String(port))
        .flatMap(({ name, port }) => {
          const pod = targetRef === undefined ? 'ept' : `pod:${targetRef.name}`;
          return addresses.filter(isDialable).map((address) => `${pod}:${service}:${name}:${address}:${port}`);
        }),
    );
  // Those that leave are better than none.
  const chosen = idsOf(ready);
  return [...new Set(chosen.length > 0 ? chosen : idsOf(leaving))].sort();
}

type IdledSpec = { readonly clusterIP: string; readonly ports: readonly SlicePort[] };

/** The spec of a Service that is marked as idled (7.4); null for others. */
function idledService(namespace: string, name: string, { services }: Objects): IdledSpec | null {
  const service = services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  const mark = service?.metadata.annotations?.['idling.alpha.openshift.io/idled-at'] ?? '';
  return mark === '' ? null : (service?.spec as IdledSpec);
}

function unwakeableServices({ namespace, services: named }: Route, objects: Objects): string[] {
  return named
    .filter(({ name }) => idledService(namespace, name, objects)?.clusterIP === 'None')
    .map(({ name }) => `Service ${namespace}/${name} is idled and has no cluster IP: no request can wake it`);
}

/** Of the addresses that the world uses (2.4); loopback is allowed in tests. */
function isDialable(address: string): boolean {
  return ['127.0.0.1', '127.0.0.2', '::1'].includes(address);
}

function missingServices({ namespace, services: named }: Route, { services }: Objects): string[] {
  const exists = (name: string): boolean =>
    services.some(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  return named.filter(({ name }) => !exists(name)).map(({ name }) => `there is no Service ${namespace}/${name}`);
}
