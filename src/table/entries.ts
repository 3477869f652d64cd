// What the table holds. Entries are immutable: a change replaces one whole, so a Session may keep what it started with.

import type { HeaderAction } from './header-actions.ts';
import type { Host } from './host.ts';

declare const routeKeyBrand: unique symbol;
declare const backendIdBrand: unique symbol;
declare const certificateIdBrand: unique symbol;

/** `namespace/name` of a Route. */
export type RouteKey = string & { readonly [routeKeyBrand]: true };
/** `namespace/service:port` as the Route names the port; `namespace/service:` stands for all ports. */
export type BackendId = string & { readonly [backendIdBrand]: true };
/** Fingerprint of a Certificate's content. */
export type CertificateId = string & { readonly [certificateIdBrand]: true };

export function routeKey(namespace: string, name: string): RouteKey {
  return `${namespace}/${name}` as RouteKey;
}

export function backendId(namespace: string, service: string, port: string): BackendId {
  return `${namespace}/${service}:${port}` as BackendId;
}

export type Termination = 'none' | 'edge' | 'reencrypt' | 'passthrough';
export type InsecurePolicy = 'None' | 'Allow' | 'Redirect';
export type Scheme = 'http' | 'https';

/** What the pod gets to know of the client (Route semantics 5.5). */
export type ForwardedPolicy = 'append' | 'replace' | 'if-none' | 'never';

/** The version of the PROXY protocol in which pods are told of the client, if any. */
export type ProxyProtocol = 'none' | 'v1' | 'v2';

/** How the Endpoints of a Route are chosen among (Route semantics 5.7). */
export type BalanceAlgorithm = 'random' | 'roundrobin' | 'leastconn' | 'source';

/** The cookie by which a client comes back to its Endpoint (5.8). `attributes`: all that stands behind the value. */
export type StickyCookie = { readonly name: string; readonly attributes: string };

/** How a path is changed on its way to the pod (5.9): `target` takes the place of `prefix`; without `keepsRest`, of everything. */
export type PathRewrite = { readonly prefix: string; readonly target: string; readonly keepsRest: boolean };

/**
 * What each source may ask of a Route (5.11): connections at a time, new connections in 3 s, requests in 10 s. Null: as much
 * as it likes; 0: nothing.
 */
export type RateLimit = {
  readonly connections: number | null;
  readonly connectionRate: number | null;
  readonly requestRate: number | null;
};

/** What a Route's annotations ask of the workers; null where the router's own setting, or nothing, is in force. */
export type RouteOptions = {
  readonly forwarded: ForwardedPolicy;
  readonly proxyProtocol: ProxyProtocol;
  readonly balance: BalanceAlgorithm;
  readonly cookie: StickyCookie | null;
  readonly serverTimeoutMs: number | null;
  readonly tunnelTimeoutMs: number | null;
  /** Addresses and networks that may come; null: all may. */
  readonly allowedSources: readonly string[] | null;
  /** Null: sources are not counted. */
  readonly rateLimit: RateLimit | null;
  /** Requests, tunnels and connections that each pod may have at a time from this Route, at least 1; null: any number. */
  readonly podConnections: number | null;
  readonly rewrite: PathRewrite | null;
  /** Value of Strict-Transport-Security in every answer of the pods. */
  readonly hsts: string | null;
  /** Time between two checks of an Endpoint, where the Route has several (5.16). */
  readonly checkIntervalMs: number | null;
  /** What is done to the heads of requests, and of the pods' answers, in this order: the router's own actions are among them. */
  readonly requestActions: readonly HeaderAction[] | null;
  readonly responseActions: readonly HeaderAction[] | null;
  /** Whether requests to pods of HTTP/1 have the names of their fields in the router's spellings (5.21). */
  readonly adjustsCase: boolean;
};

/** How TLS connections for a Host are treated. `none`: no Route of this Host takes part in TLS. */
export type TlsTreatment = 'terminate' | 'passthrough' | 'none';

/** One Service of a Route with its share of the requests, 0 to 256. */
export type BackendRef = {
  readonly backend: BackendId;
  readonly weight: number;
};

/**
 * How the pods of a re-encrypt Route are checked (Route semantics 5.15). `chain`: against the Route's own CA, whatever the
 * name. `service`: against the default CA, and the certificate must name `<service>.<namespace>.svc`. `none`: not at all.
 */
export type UpstreamTls =
  | { readonly verify: 'chain' | 'service'; readonly authority: CertificateId }
  | { readonly verify: 'none'; readonly authority: null };

/**
 * What is asked of a client's certificate (Route semantics 5.13). `optional`: one is asked for, and one that is given must be
 * issued by the authority. `required`: one must be given.
 */
export type ClientAuth = {
  readonly demand: 'optional' | 'required';
  /** CA certificates, and revocation lists where there are any. */
  readonly authority: CertificateId;
};

/** What one admitted Route asks for. */
export type PathRule = RouteOptions & {
  readonly route: RouteKey;
  /** Prefix; empty covers the whole Host. */
  readonly path: string;
  readonly termination: Termination;
  readonly insecurePolicy: InsecurePolicy;
  readonly backends: readonly BackendRef[];
  /** Not null exactly when the termination is `reencrypt`. */
  readonly upstreamTls: UpstreamTls | null;
  /** What this Route demands of clients itself; null: what the router demands of all. */
  readonly clientAuth: ClientAuth | null;
};

/** All that the table knows of one Host. */
export type HostRule = {
  readonly host: Host;
  readonly tls: TlsTreatment;
  /** Certificate to terminate with; null: that of the wildcard above this Host, or the default one. */
  readonly certificate: CertificateId | null;
  /**
   * What a handshake for this Host asks of the client; null: what the router asks of all, which the rule of ANY_HOST holds.
   * Each request is held against the demand of its own Route besides.
   */
  readonly clientAuth: ClientAuth | null;
  /** Longest path first. */
  readonly paths: readonly PathRule[];
};

/** Address and port that can be dialled. */
export type Endpoint = {
  /** `pod:<pod>:<service>:<port name>:<address>:<port>` or `ept:...` without pod: the input of the sticky cookie (5.8). */
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** `address:port`, IPv6 in brackets: for people, and the key of pooled connections. */
  readonly authority: string;
  /** Whether it is spoken to in HTTP/2 without TLS (`appProtocol` of its Service's port; Route semantics 5.15). */
  readonly h2c: boolean;
};

/** The Endpoints behind one Service port. */
export type Backend = {
  readonly id: BackendId;
  readonly namespace: string;
  readonly service: string;
  readonly endpoints: readonly Endpoint[];
  /** Pods that still serve while they terminate, beside others that are ready: for the clients that they have. */
  readonly leaving: readonly Endpoint[];
  /**
   * The Service has no pods until somebody asks for them: its Endpoints are its own address, where connections are held until
   * they come (Route semantics 7.4).
   */
  readonly idled: boolean;
};

/**
 * A page that takes the place of one of the router's own: by the reason that it is for, or by the status. One character a
 * byte, so that any encoding passes.
 */
export type ErrorPage = {
  /** Status and phrase that are sent with it; empty for HTML with places for those of the answer. */
  readonly statusText: string;
  /** Field lines, each with its CRLF, but for what frames the message. */
  readonly lines: string;
  readonly body: string;
};

/** A chain and its key, or (key null) the certificates of an authority, with its revocation lists behind them. PEM. */
export type Certificate = {
  readonly id: CertificateId;
  readonly chain: string;
  readonly key: string | null;
};
