// What is known of the client of a TLS connection by its certificate, what pods are told of it (Route semantics 5.13), and
// which requests it may make with it. Decided for HTTP/1.1 and HTTP/2 alike.

import { hash, type X509Certificate } from 'node:crypto';
import type { ClientIdentity } from '../../protocol/client-identity.ts';
import type { CertificateId, ClientAuth, PathRule, Scheme } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { AnswerReason } from '../answers.ts';

/** What a handshake that asked for a certificate has found out. Connections whose handshake asked for none have null in its place. */
export type ClientFacts = {
  /** Who had to have issued the certificate. */
  readonly authority: CertificateId;
  /** Whether that was what the router asks of all. */
  readonly isRouterWide: boolean;
  /** Whether a certificate was given; it is verified then. */
  readonly isVerified: boolean;
  /** Whether the subject has what the router-wide filter looks for; true without a filter. */
  readonly fitsFilter: boolean;
  /** Header lines for the pod, each with CRLF. */
  readonly lines: string;
  /** The certificate, DER in base64; empty where none was given. */
  readonly der: string;
};

/** Why a request may not be answered by the pods of its Route, with the status to say it with. */
export type ClientRefusal = { readonly status: 403 | 421; readonly reason: AnswerReason };

const otherPolicy: ClientRefusal = { status: 421, reason: 'other-client-policy' };
const noCertificate: ClientRefusal = { status: 403, reason: 'no-client-certificate' };
const filtered: ClientRefusal = { status: 403, reason: 'client-certificate-filtered' };

/** The facts of a handshake under a policy. `given`: the certificate that was verified, null for none. */
export function clientFacts(
  clientAuth: ClientAuth,
  routerWide: ClientAuth | null,
  given: { readonly certificate: X509Certificate; readonly identity: ClientIdentity } | null,
  filter: RegExp | null,
): ClientFacts {
  return {
    authority: clientAuth.authority,
    isRouterWide: clientAuth.authority === routerWide?.authority,
    isVerified: given !== null,
    fitsFilter: filter === null || (given !== null && filter.test(given.identity.subject)),
    lines: given === null ? emptyLines : linesOf(given.certificate.raw, given.identity),
    der: given === null ? '' : given.certificate.raw.toString('base64'),
  };
}

/**
 * Whether a request for a rule is refused because of its client's certificate; null where it is not. `client`: null where
 * the handshake asked for no certificate, and on the plain port. A rule without a demand of its own on such a connection
 * needs no asking: where the router demands something of all, no handshake goes without the question.
 */
export function clientRefusal(
  rule: PathRule,
  scheme: Scheme,
  table: RouteTable,
  client: ClientFacts | null,
): ClientRefusal | null {
  // The plain port has no certificates. The router-wide demand is none of its business, as with the reference; a Route's own is.
  if (scheme === 'http') return rule.clientAuth?.demand === 'required' ? noCertificate : null;
  const demanded = rule.clientAuth ?? table.clientAuth;
  if (demanded === null) return null;
  // Another name in the handshake than in the request, or an authority that has changed since.
  if (client === null || client.authority !== demanded.authority) return otherPolicy;
  if (demanded.demand === 'required' && !client.isVerified) return noCertificate;
  return rule.clientAuth === null && !client.fitsFilter ? filtered : null;
}

/** The lines that tell the pods of a rule of the client; none where it was another Route's authority that vouched for it. */
export function clientLines(rule: PathRule, client: ClientFacts): string {
  return rule.clientAuth !== null || client.isRouterWide ? client.lines : '';
}

/** The certificate itself for what a rule says of it (`ssl_c_der`), under the same condition; DER in base64. */
export function clientDer(rule: PathRule, client: ClientFacts | null): string {
  return client !== null && (rule.clientAuth !== null || client.isRouterWide) ? client.der : '';
}

const emptyLines: string = renderLines([]);

function linesOf(der: Buffer, identity: ClientIdentity): string {
  return renderLines([
    identity.serial,
    String(identity.version),
    hash('sha1', der).toUpperCase(),
    identity.subject,
    identity.commonName,
    identity.issuer,
    identity.notBefore,
    identity.notAfter,
    der.toString('base64'),
  ]);
}

/** A certificate that is not valid never comes so far, so the result of its verification is always 0. */
function renderLines(values: readonly string[]): string {
  const names = [
    ...['X-SSL-Client-Serial', 'X-SSL-Client-Version', 'X-SSL-Client-SHA1', 'X-SSL-Client-DN', 'X-SSL-Client-CN'],
    ...['X-SSL-Issuer', 'X-SSL-Client-NotBefore', 'X-SSL-Client-NotAfter', 'X-SSL-Client-DER'],
  ];
  const lines = names.map((name, i) => `${name}: ${values[i] ?? ''}\r\n`).join('');
  return `X-SSL: 1\r\nX-SSL-Client-Verify: 0\r\n${lines}`;
}
