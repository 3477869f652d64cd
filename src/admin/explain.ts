// What a request would get, and why: the table's own decisions (`matchTls`, `matchHttp`), put into words, with what became
// of every other candidate.

import { isIP } from 'node:net';
import { isListed } from '../table/address-list.ts';
import { formatRevision } from '../table/delta.ts';
import type { ClientAuth, PathRule, RouteKey, Scheme } from '../table/entries.ts';
import { parseHost, wildcardOf } from '../table/host.ts';
import { pathCovers } from '../table/path.ts';
import { type HttpMatch, type RouteTable, serves, type TlsMatch } from '../table/route-table.ts';
import { type ExplainedRule, explainedRule } from './explained-rule.ts';

export type ExplainQuery = {
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** Client address; part of the answer where something depends on it. */
  readonly from: string | null;
};

export type ExplainedService = {
  readonly service: string;
  readonly weight: number;
  /** Share of the requests that go there, 0 to 1. */
  readonly share: number;
  readonly endpoints: readonly string[];
  /** It has no pods before somebody asks for them: the Endpoints are its own address. */
  readonly idled: boolean;
};

export type Candidate = {
  readonly host: string;
  readonly route: string;
  readonly path: string;
  readonly outcome: string;
};

export type Explanation = {
  readonly request: {
    readonly scheme: Scheme;
    readonly host: string;
    readonly path: string;
    readonly from: string | null;
  };
  readonly revision: string;
  readonly tls: {
    readonly treatment: 'plain' | 'terminate' | 'passthrough' | 'unknown';
    readonly certificate: string | null;
    readonly route: string | null;
    /** What the handshake asks of the client. */
    readonly clientAuth: ClientAuth | null;
  };
  readonly match: HttpMatch['kind'] | 'passthrough';
  readonly route: string | null;
  readonly rule: ExplainedRule | null;
  readonly services: readonly ExplainedService[];
  readonly answer: string;
  readonly candidates: readonly Candidate[];
  /** What the owner of the Route should look at. */
  readonly warnings: readonly string[];
};

/** The settings that an answer depends on. */
export type ExplainSettings = {
  /** Where redirects lead to. */
  readonly publicHttpsPort: number;
  /** What a request is answered with that no Route is for. */
  readonly noRouteStatus: 404 | 503;
};

/** Explains a request, or says what is wrong with the question. `warningsOf`: what the owner of a Route has been told. */
export function explain(
  table: RouteTable,
  query: ExplainQuery,
  { publicHttpsPort, noRouteStatus }: ExplainSettings,
  warningsOf: (route: RouteKey) => readonly string[],
): Explanation | { readonly problem: string } {
  const url = parseUrl(query.url);
  if (url === null) return { problem: `not a URL with http or https: ${query.url}` };
  if (query.from !== null && isIP(query.from) === 0) return { problem: `not an IP address: ${query.from}` };
  const scheme: Scheme = url.protocol === 'https:' ? 'https' : 'http';
  const hostHeader = query.headers.find(({ name }) => name.toLowerCase() === 'host')?.value;
  const name = (hostHeader ?? url.hostname).replace(/:\d*$/, '');
  const sni = parseHost(url.hostname);
  const host = parseHost(name);
  const path = rawPath(query.url);
  const tlsMatch = scheme === 'https' ? table.matchTls(sni) : null;
  const base = {
    request: { scheme, host: name, path, from: query.from },
    revision: formatRevision(table.revision),
  };
  if (tlsMatch?.kind === 'passthrough') {
    const rule = tlsMatch.rule;
    const services = servicesOf(table, rule);
    return {
      ...base,
      tls: { treatment: 'passthrough', certificate: null, route: rule.route, clientAuth: null },
      match: 'passthrough',
      route: rule.route,
      rule: explainedRule(rule, sni ?? name, null),
      services,
      answer: passthroughAnswer(table, rule, query.from),
      candidates: [],
      warnings: warningsOf(rule.route),
    };
  }
  const match = table.matchHttp(host, path, scheme);
  const rule = match.kind === 'unknown' ? null : match.rule;
  const demanded = rule === null ? null : (rule.clientAuth ?? (scheme === 'https' ? table.clientAuth : null));
  const refusal =
    match.kind === 'redirect' ? null : (sourceRefusalOf(rule, query.from) ?? clientRefusalOf(demanded, tlsMatch));
  return {
    ...base,
    tls:
      tlsMatch === null
        ? { treatment: 'plain', certificate: null, route: null, clientAuth: null }
        : {
            treatment: tlsMatch.kind,
            certificate: tlsMatch.certificate,
            route: null,
            clientAuth: tlsMatch.clientAuth,
          },
    match: match.kind,
    route: rule?.route ?? null,
    rule: rule === null ? null : explainedRule(rule, hostOfRule(table, rule, name), demanded),
    services: rule === null ? [] : servicesOf(table, rule),
    answer:
      refusal ?? answerOf(match, publicHttpsPort === 443 ? name : `${name}:${publicHttpsPort}`, path, noRouteStatus),
    candidates: candidatesOf(table, name, path, scheme, match),
    warnings: rule === null ? [] : warningsOf(rule.route),
  };
}

function parseUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : null;
}

/** The path as the client would send it: WHATWG URLs resolve dot segments, the router does not. */
function rawPath(text: string): string {
  // The host may end with the query too, and slashes in that are no path.
  const path = /^[^/?#]*\/\/[^/?#]*([^?#]*)/.exec(text)?.[1] ?? '';
  return path === '' ? '/' : path;
}

function passthroughAnswer(table: RouteTable, rule: PathRule, from: string | null): string {
  if (sourceRefusalOf(rule, from) !== null) return 'connection closed during the TLS handshake (source-not-allowed)';
  return table.hasEndpoint(rule)
    ? 'the bytes go to a pod untouched: the pod answers'
    : 'connection closed during the TLS handshake (no-endpoint)';
}

/** What the allow-list of a Route says to a client; null for nothing, also where it is not known who asks. */
function sourceRefusalOf(rule: PathRule | null, from: string | null): string | null {
  if (rule === null || rule.allowedSources === null) return null;
  if (from === null) return rule.allowedSources.length === 0 ? '403 (source-not-allowed), whoever asks' : null;
  return isListed(rule.allowedSources, from) ? null : '403 (source-not-allowed)';
}

/** What stands between a client without a certificate and the pods; null for nothing. */
function clientRefusalOf(demanded: ClientAuth | null, tlsMatch: TlsMatch | null): string | null {
  if (demanded === null) return null;
  const isRequired = demanded.demand === 'required';
  if (tlsMatch === null) return isRequired ? '403 (no-client-certificate): not over plain HTTP' : null;
  const asked = tlsMatch.kind === 'passthrough' ? null : tlsMatch.clientAuth;
  if (asked?.authority !== demanded.authority) {
    return '421 (other-client-policy): the handshake for this name does not ask for the certificate that the Route demands';
  }
  if (!isRequired) return null;
  return asked.demand === 'required'
    ? 'with a client certificate what the pod answers; without one the handshake fails'
    : 'with a client certificate what the pod answers; without one 403 (no-client-certificate)';
}

function hostOfRule(table: RouteTable, rule: PathRule, name: string): string {
  const host = parseHost(name);
  if (host === undefined) return name;
  return table.hosts.get(host)?.paths.includes(rule) === true ? host : wildcardOf(host);
}

function servicesOf(table: RouteTable, rule: PathRule): ExplainedService[] {
  const used = rule.backends.map((ref) => ({ ref, backend: table.backends.get(ref.backend) }));
  const total = used.reduce(
    (sum, { ref, backend }) => sum + ((backend?.endpoints.length ?? 0) > 0 ? ref.weight : 0),
    0,
  );
  return used.map(({ ref, backend }) => {
    const endpoints = backend?.endpoints ?? [];
    return {
      service: ref.backend,
      weight: ref.weight,
      share: endpoints.length > 0 && total > 0 ? ref.weight / total : 0,
      endpoints: endpoints.map(({ authority }) => authority),
      idled: backend?.idled ?? false,
    };
  });
}

function answerOf(match: HttpMatch, authority: string, path: string, noRouteStatus: number): string {
  switch (match.kind) {
    case 'forward':
      return 'what the pod answers';
    case 'redirect':
      return `302 to https://${authority}${path}`;
    case 'unavailable':
      return '503 (no-endpoint)';
    case 'unknown':
      return `${noRouteStatus} (no-route)`;
  }
}

function candidatesOf(
  table: RouteTable,
  name: string,
  path: string,
  scheme: Scheme,
  match: HttpMatch,
): readonly Candidate[] {
  const host = parseHost(name);
  if (host === undefined) return [];
  const winner = match.kind === 'unknown' ? null : match.rule;
  const candidates: Candidate[] = [];
  for (const key of [host, wildcardOf(host)]) {
    for (const rule of table.hosts.get(key)?.paths ?? []) {
      const outcome = rule === winner ? 'chosen' : reasonAgainst(rule, path, scheme);
      candidates.push({ host: key, route: rule.route, path: rule.path === '' ? '/' : rule.path, outcome });
    }
  }
  return candidates;
}

function reasonAgainst(rule: PathRule, path: string, scheme: Scheme): string {
  if (!pathCovers(rule.path, path)) return 'its path does not cover the request';
  if (!serves(rule, scheme)) {
    if (scheme === 'https') return 'a Route without TLS is not served on the TLS port';
    return `insecureEdgeTerminationPolicy ${rule.insecurePolicy}: not served on the plain port`;
  }
  return 'another Route is more specific';
}
