// Entries of the table, written by hand: what a controller would have compiled.

import type { Change } from '../../src/table/delta.ts';
import {
  type BackendId,
  backendId,
  type CertificateId,
  type ClientAuth,
  type Endpoint,
  type PathRule,
  type RouteOptions,
  routeKey,
  type TlsTreatment,
} from '../../src/table/entries.ts';
import { ANY_HOST, type Host } from '../../src/table/host.ts';

/** One Service of a Route: its pods as ports on 127.0.0.1, or as whole Endpoints. */
export type ServiceWish = {
  readonly service: string;
  readonly pods: readonly (number | Endpoint)[];
  readonly weight?: number;
  /** The pods are its own address. */
  readonly idled?: true;
};

/** A Route, in few words; what is left out is as in a Route that only names its host. */
export type RouteWish = {
  readonly host: string;
  readonly pods?: readonly (number | Endpoint)[];
  readonly services?: readonly ServiceWish[];
  readonly name?: string;
  readonly certificate?: CertificateId | null;
} & Partial<Pick<PathRule, 'path' | 'termination' | 'insecurePolicy' | 'upstreamTls' | 'clientAuth'> & RouteOptions>;

/** What a Route with one Service asks for by its annotations where it has none, and the cookie aside. */
export const plainOptions: RouteOptions = {
  forwarded: 'append',
  proxyProtocol: 'none',
  balance: 'random',
  cookie: null,
  serverTimeoutMs: null,
  tunnelTimeoutMs: null,
  allowedSources: null,
  rateLimit: null,
  podConnections: null,
  rewrite: null,
  hsts: null,
  checkIntervalMs: null,
  requestActions: null,
  responseActions: null,
  adjustsCase: false,
};

const namespace = 'shop';

/** The Changes that put a Route with one path on a Host of its own into a table. */
export function route(wish: RouteWish): Change[] {
  return hostWithRoutes(wish.host, [wish], wish.certificate ?? null);
}

/** The Changes that put several Routes on one Host into a table. Wishes with the longest path come first. */
export function hostWithRoutes(
  host: string,
  wishes: readonly RouteWish[],
  certificate: CertificateId | null = null,
): Change[] {
  const changes: Change[] = [];
  const paths: PathRule[] = [];
  for (const [i, wish] of wishes.entries()) {
    const name = wish.name ?? `${host.replace('*', 'any')}-${i}`;
    const services = wish.services ?? [{ service: name, pods: wish.pods ?? [] }];
    changes.push(...services.map(({ service, pods, idled }) => backend(service, pods, idled)));
    paths.push({
      route: routeKey(namespace, name),
      path: wish.path ?? '',
      termination: wish.termination ?? 'none',
      insecurePolicy: wish.insecurePolicy ?? 'None',
      backends: services.map(({ service, weight }) => ({ backend: backendOf(service), weight: weight ?? 1 })),
      upstreamTls: wish.upstreamTls ?? (wish.termination === 'reencrypt' ? { verify: 'none', authority: null } : null),
      forwarded: wish.forwarded ?? 'append',
      proxyProtocol: wish.proxyProtocol ?? 'none',
      balance: wish.balance ?? 'roundrobin',
      cookie: wish.cookie ?? null,
      serverTimeoutMs: wish.serverTimeoutMs ?? null,
      tunnelTimeoutMs: wish.tunnelTimeoutMs ?? null,
      allowedSources: wish.allowedSources ?? null,
      rateLimit: wish.rateLimit ?? null,
      podConnections: wish.podConnections ?? null,
      rewrite: wish.rewrite ?? null,
      hsts: wish.hsts ?? null,
      checkIntervalMs: wish.checkIntervalMs ?? null,
      requestActions: wish.requestActions ?? null,
      responseActions: wish.responseActions ?? null,
      adjustsCase: wish.adjustsCase ?? false,
      clientAuth: wish.clientAuth ?? null,
    });
  }
  const entry = { host: host as Host, tls: treatmentOf(paths), certificate, clientAuth: clientAuthOf(paths), paths };
  return [...changes, { kind: 'host', key: entry.host, entry }];
}

/** The Endpoints behind a Service; of one that is idled its own address. */
export function backend(service: string, pods: readonly (number | Endpoint)[], idled = false): Change {
  const id = backendOf(service);
  const endpoints = pods.map((pod) => (typeof pod === 'number' ? endpoint(pod) : pod));
  return { kind: 'backend', key: id, entry: { id, namespace, service, endpoints, leaving: [], idled } };
}

/** An Endpoint on this machine. */
export function endpoint(port: number, address = '127.0.0.1'): Endpoint {
  const authority = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return { id: `ept:svc::${address}:${port}`, address, port, authority, h2c: false };
}

/** An Endpoint that is spoken to in HTTP/2 without TLS. */
export function h2cEndpoint(port: number): Endpoint {
  return { ...endpoint(port), h2c: true };
}

/** A certificate with its key, or (no key) an authority. `id` stands for the hash of the content. */
export function certificate(id: string, chain: string, key: string | null): Change {
  return { kind: 'certificate', key: certificateId(id), entry: { id: certificateId(id), chain, key } };
}

export function certificateId(id: string): CertificateId {
  return id as CertificateId;
}

/** What makes a certificate the default one, and what the router asks of all clients. */
export function defaultCertificate(id: string, clientAuth: ClientAuth | null = null): Change {
  const entry = { host: ANY_HOST, tls: 'none', certificate: certificateId(id), clientAuth, paths: [] } as const;
  return { kind: 'host', key: ANY_HOST, entry };
}

function backendOf(service: string): BackendId {
  return backendId(namespace, service, 'http');
}

/** As a controller agrees it: what all terminated paths demand, or a question in the name of the first that demands. */
function clientAuthOf(paths: readonly PathRule[]): ClientAuth | null {
  const terminated = paths.filter(({ termination }) => termination === 'edge' || termination === 'reencrypt');
  const first = terminated.find(({ clientAuth }) => clientAuth !== null)?.clientAuth ?? null;
  if (first === null) return null;
  const agreed = terminated.every(
    ({ clientAuth }) => clientAuth?.authority === first.authority && clientAuth.demand === first.demand,
  );
  return agreed ? first : { demand: 'optional', authority: first.authority };
}

function treatmentOf(paths: readonly PathRule[]): TlsTreatment {
  if (paths.some((rule) => rule.termination === 'passthrough')) return 'passthrough';
  return paths.some((rule) => rule.termination !== 'none') ? 'terminate' : 'none';
}
