// The one value that both planes share: four maps, applied to by Deltas, asked by connections. No I/O, no clock.

import type { Change, Delta, Revision } from './delta.ts';
import { formatRevision, NO_REVISION, sameRevision } from './delta.ts';
import type {
  Backend,
  BackendId,
  Certificate,
  CertificateId,
  ClientAuth,
  ErrorPage,
  HostRule,
  PathRule,
  RouteKey,
  Scheme,
} from './entries.ts';
import { ANY_HOST, type Host, wildcardOf } from './host.ts';
import { pathCovers } from './path.ts';

/**
 * What becomes of a TLS connection. A null certificate means that not even a default one is known (yet).
 * `unknown`: no Route has this name; terminated with the default certificate, so that the client reads a reason.
 * `clientAuth`: what the handshake asks of the client; null for nothing.
 */
export type TlsMatch =
  | { readonly kind: 'passthrough'; readonly rule: PathRule }
  | {
      readonly kind: 'terminate';
      readonly host: Host;
      readonly certificate: CertificateId | null;
      readonly clientAuth: ClientAuth | null;
    }
  | {
      readonly kind: 'unknown';
      readonly certificate: CertificateId | null;
      readonly clientAuth: ClientAuth | null;
    };

/** What becomes of a request. `unavailable`: a Route fits but has no Endpoint that may be asked. */
export type HttpMatch =
  | { readonly kind: 'forward'; readonly rule: PathRule }
  | { readonly kind: 'redirect'; readonly rule: PathRule }
  | { readonly kind: 'unavailable'; readonly rule: PathRule }
  | { readonly kind: 'unknown' };

const unknownHttp: HttpMatch = { kind: 'unknown' };

/** Thrown by `apply` on a Delta that does not follow the table's Revision: the caller asks for a snapshot. */
export class RevisionGap extends Error {
  override name = 'RevisionGap';
}

/** The routing table: kept by the controller, replicated in every worker. */
export class RouteTable {
  readonly hosts: Map<Host, HostRule> = new Map();
  readonly backends: Map<BackendId, Backend> = new Map();
  readonly certificates: Map<CertificateId, Certificate> = new Map();
  /** In place of the router's own pages, by reason or status. */
  readonly pages: Map<string, ErrorPage> = new Map();
  #revision: Revision = NO_REVISION;

  get revision(): Revision {
    return this.#revision;
  }

  /** Takes the next Delta. Throws RevisionGap, changing nothing, if it does not start at this table's Revision. */
  apply(delta: Delta): void {
    if (!sameRevision(delta.from, this.#revision)) {
      throw new RevisionGap(
        `delta from ${formatRevision(delta.from)} does not follow ${formatRevision(this.#revision)}`,
      );
    }
    this.load(delta.changes);
    this.#revision = delta.to;
  }

  /** Puts entries in without moving the Revision: how a snapshot that comes in slices is built up beside the old table. */
  load(changes: readonly Change[]): void {
    for (const change of changes) {
      switch (change.kind) {
        case 'host':
          if (change.entry === null) this.hosts.delete(change.key);
          else this.hosts.set(change.key, change.entry);
          break;
        case 'backend':
          if (change.entry === null) this.backends.delete(change.key);
          else this.backends.set(change.key, change.entry);
          break;
        case 'certificate':
          if (change.entry === null) this.certificates.delete(change.key);
          else this.certificates.set(change.key, change.entry);
          break;
        case 'page':
          if (change.entry === null) this.pages.delete(change.key);
          else this.pages.set(change.key, change.entry);
          break;
        default:
          change satisfies never;
      }
    }
  }

  /** Ends a snapshot that was loaded in slices. */
  sealAt(revision: Revision): void {
    this.#revision = revision;
  }

  /** Every entry, one Change at a time, in an order in which nothing refers to what is not there yet. */
  *entries(): Generator<Change> {
    for (const [key, entry] of this.certificates) yield { kind: 'certificate', key, entry };
    for (const [key, entry] of this.backends) yield { kind: 'backend', key, entry };
    for (const [key, entry] of this.pages) yield { kind: 'page', key, entry };
    for (const [key, entry] of this.hosts) yield { kind: 'host', key, entry };
  }

  /**
   * How to treat a TLS connection with this SNI. The most specific Host that takes part in TLS decides, an exact one before
   * the wildcard above it (unlike the reference, whose passthrough wildcards beat exact terminated hosts; 5.1).
   */
  matchTls(host: Host | undefined): TlsMatch {
    const defaultCertificate = this.hosts.get(ANY_HOST)?.certificate ?? null;
    const { clientAuth } = this;
    if (host === undefined) return { kind: 'unknown', certificate: defaultCertificate, clientAuth };
    const wildcard = this.hosts.get(wildcardOf(host));
    const rule = this.#tlsRule(host, wildcard);
    if (rule === null) return { kind: 'unknown', certificate: defaultCertificate, clientAuth };
    if (rule.tls === 'passthrough') {
      for (const path of rule.paths) if (path.termination === 'passthrough') return { kind: 'passthrough', rule: path };
    }
    return {
      kind: 'terminate',
      host: rule.host,
      certificate: rule.certificate ?? wildcard?.certificate ?? defaultCertificate,
      clientAuth: rule.clientAuth ?? clientAuth ?? beneath(rule, wildcard),
    };
  }

  /** Whether a Route brings the certificate that TLS for a Host is terminated with; else it is the default one. */
  hasCertificate(host: Host): boolean {
    const wildcard = this.hosts.get(wildcardOf(host));
    const rule = this.#tlsRule(host, wildcard);
    return rule !== null && (rule.certificate ?? wildcard?.certificate ?? null) !== null;
  }

  #tlsRule(host: Host, wildcard: HostRule | undefined): HostRule | null {
    const exact = this.hosts.get(host);
    const rule = exact !== undefined && exact.tls !== 'none' ? exact : wildcard;
    return rule === undefined || rule.tls === 'none' ? null : rule;
  }

  /** What the router asks of every client whose Host does not ask for something else; null for nothing. */
  get clientAuth(): ClientAuth | null {
    return this.hosts.get(ANY_HOST)?.clientAuth ?? null;
  }

  /**
   * What to do with a request for a Host and a path (up to, not including, `?`). Longest path first; an exact Host first,
   * but it only hides the wildcard above it where one of its own paths fits (Route semantics 5.2).
   */
  matchHttp(host: Host | undefined, path: string, scheme: Scheme): HttpMatch {
    if (host === undefined) return unknownHttp;
    const exact = this.hosts.get(host);
    // Every Route of the Host takes part in the first decision, whatever its termination: a more specific Route without
    // redirect is not redirected by a less specific one, and the other way round (5.3).
    const nearest = coveringRule(exact, path) ?? coveringRule(this.hosts.get(wildcardOf(host)), path);
    if (nearest === undefined) return unknownHttp;
    if (scheme === 'http' && nearest.termination !== 'none' && nearest.insecurePolicy === 'Redirect') {
      return { kind: 'redirect', rule: nearest };
    }
    const rule = serves(nearest, scheme)
      ? nearest
      : (servingRule(exact, path, scheme) ?? servingRule(this.hosts.get(wildcardOf(host)), path, scheme));
    if (rule === undefined) return unknownHttp;
    return { kind: this.hasEndpoint(rule) ? 'forward' : 'unavailable', rule };
  }

  /** The rule of a Route that serves a Host, as it is now; undefined where the Route is gone, or serves this Host no more. */
  ruleOf(host: Host, route: RouteKey): PathRule | undefined {
    const own = (rule: PathRule): boolean => rule.route === route;
    return this.hosts.get(host)?.paths.find(own) ?? this.hosts.get(wildcardOf(host))?.paths.find(own);
  }

  /** Whether any Endpoint may be asked for this rule: it takes a Service with a weight above 0 that has one (5.7). */
  hasEndpoint(rule: PathRule): boolean {
    for (const ref of rule.backends) {
      if (ref.weight > 0 && (this.backends.get(ref.backend)?.endpoints.length ?? 0) > 0) return true;
    }
    return false;
  }
}

/**
 * What the handshake for an exact Host asks of the client for the sake of the wildcard above it: paths that the exact Host
 * does not have are the wildcard's, and without a question they could never be asked for.
 */
function beneath(rule: HostRule, wildcard: HostRule | undefined): ClientAuth | null {
  if (wildcard === undefined || wildcard === rule || wildcard.clientAuth === null) return null;
  for (const path of rule.paths) if (path.path === '' && serves(path, 'https')) return null;
  return { demand: 'optional', authority: wildcard.clientAuth.authority };
}

/** Whether a rule answers requests of a scheme itself: which of the reference's maps its Route stands in (5.2). */
export function serves(rule: PathRule, scheme: Scheme): boolean {
  switch (rule.termination) {
    case 'none':
      return scheme === 'http';
    case 'edge':
    case 'reencrypt':
      return scheme === 'https' || rule.insecurePolicy === 'Allow';
    case 'passthrough':
      return false;
  }
}

function coveringRule(hostRule: HostRule | undefined, path: string): PathRule | undefined {
  if (hostRule === undefined) return undefined;
  for (const rule of hostRule.paths) if (pathCovers(rule.path, path)) return rule;
  return undefined;
}

function servingRule(hostRule: HostRule | undefined, path: string, scheme: Scheme): PathRule | undefined {
  if (hostRule === undefined) return undefined;
  for (const rule of hostRule.paths) if (pathCovers(rule.path, path) && serves(rule, scheme)) return rule;
  return undefined;
}
