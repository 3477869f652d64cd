// TLS contexts towards clients, made at first use and kept by use: one costs about 42 kB and 0.4 ms, so ten thousand
// certificates must not cost ten thousand contexts in every worker at start.

import { createHash } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Certificate, CertificateId, ClientAuth } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';
import type { TlsOptions } from './tls-settings.ts';

/** What is asked of clients in a handshake, and what every context for it shares. */
export type HandshakePolicy = {
  /** Null: nothing. */
  readonly clientAuth: ClientAuth | null;
  /** One text for each policy; an authority with other content, another revocation list too, makes another policy. */
  readonly key: string;
  /**
   * Differs where the key differs: OpenSSL resumes no session from under another one. A ticket that was obtained without
   * client authentication, or before a certificate was revoked, is then worth a full handshake.
   */
  readonly sessionIdContext: string;
  readonly ca: string;
  readonly crl: readonly string[];
};

/** A context with a large authority counts for as many as there are such pieces in it: each holds the whole authority. */
const authorityUnitBytes = 16_384;
const crlBegin = '-----BEGIN X509 CRL-----';

/** The policy of a demand; null where the table does not have its authority. */
export function handshakePolicy(
  clientAuth: ClientAuth | null,
  certificates: ReadonlyMap<CertificateId, Certificate>,
): HandshakePolicy | null {
  const key = policyKey(clientAuth);
  // OpenSSL takes at most 32 bytes; what the policy consists of is hashed into them.
  const sessionIdContext = createHash('sha256').update(`client-auth: ${key}`).digest('hex').slice(0, 32);
  if (clientAuth === null) return { clientAuth, key, sessionIdContext, ca: '', crl: [] };
  const authority = certificates.get(clientAuth.authority);
  if (authority === undefined || authority.key !== null) return null;
  const { chain } = authority;
  const firstCrl = chain.indexOf(crlBegin);
  const ca = firstCrl < 0 ? chain : chain.slice(0, firstCrl);
  // Node reads one list of a text, and no more.
  const crl = firstCrl < 0 ? [] : chain.slice(firstCrl).split(/(?=-----BEGIN X509 CRL-----)/);
  return { clientAuth, key, sessionIdContext, ca, crl };
}

/** What tells a policy from every other. */
export function policyKey(clientAuth: ClientAuth | null): string {
  return clientAuth === null ? 'none' : `${clientAuth.demand} ${clientAuth.authority}`;
}

export class SecureContexts {
  readonly #contexts: Map<string, { readonly context: SecureContext | null; readonly weight: number }> = new Map();
  readonly #maxContexts: number;
  readonly #options: TlsOptions;
  readonly #log: Log;
  #ticketKeys: Buffer;
  #weight = 0;

  /** `ticketKeys`: 48 bytes, the same in all workers. */
  constructor(maxContexts: number, options: TlsOptions, ticketKeys: Buffer, log: Log) {
    this.#maxContexts = maxContexts;
    this.#options = options;
    this.#ticketKeys = ticketKeys;
    this.#log = log;
  }

  get size(): number {
    return this.#contexts.size;
  }

  /** Everything that a context under a policy is made with but the certificate. */
  optionsOf({ clientAuth, sessionIdContext, ca, crl }: HandshakePolicy): SecureContextOptions {
    const base = { ...this.#options, ticketKeys: this.#ticketKeys, sessionIdContext };
    if (clientAuth === null) return base;
    return crl.length === 0 ? { ...base, ca } : { ...base, ca, crl: [...crl] };
  }

  /** The context that serves a certificate under a policy; null if OpenSSL does not take it, which is logged once. */
  contextOf(certificate: Certificate, policy: HandshakePolicy): SecureContext | null {
    const key = `${certificate.id} ${policy.key}`;
    const known = this.#contexts.get(key);
    if (known !== undefined) {
      // Most recently used last: a Map keeps the order of insertion.
      this.#contexts.delete(key);
      this.#contexts.set(key, known);
      return known.context;
    }
    const context = this.#make(certificate, policy);
    const weight = 1 + Math.floor(authorityBytes(policy) / authorityUnitBytes);
    this.#contexts.set(key, { context, weight });
    this.#weight += weight;
    for (const eldest of this.#contexts.keys()) {
      if (this.#weight <= this.#maxContexts || eldest === key) break;
      this.#drop(eldest);
    }
    return context;
  }

  /** Nobody will ask for contexts under this policy any more. */
  forget(policy: HandshakePolicy): void {
    for (const key of [...this.#contexts.keys()]) if (key.endsWith(` ${policy.key}`)) this.#drop(key);
  }

  /** Sessions of before resume no more: every context is made anew with other keys. */
  rotate(ticketKeys: Buffer): void {
    this.#ticketKeys = ticketKeys;
    for (const key of [...this.#contexts.keys()]) this.#drop(key);
  }

  /**
   * The collector sees a few hundred bytes of a context's 42 kB and lets them pile up, so they are given back by hand. A
   * handshake that has chosen the context, and a connection behind it, hold on to what they need of it (SSL_set_SSL_CTX).
   */
  #drop(key: string): void {
    const dropped = this.#contexts.get(key);
    if (dropped === undefined) return;
    dropped.context?.context.close();
    this.#weight -= dropped.weight;
    this.#contexts.delete(key);
  }

  #make(certificate: Certificate, policy: HandshakePolicy): SecureContext | null {
    if (certificate.key === null) return null;
    try {
      return createSecureContext({ ...this.optionsOf(policy), cert: certificate.chain, key: certificate.key });
    } catch (error) {
      // The message of OpenSSL names the defect, never the key.
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.error({ certificate: certificate.id, reason }, 'certificate cannot be served');
      return null;
    }
  }
}

function authorityBytes({ ca, crl }: HandshakePolicy): number {
  return crl.reduce((sum, list) => sum + list.length, ca.length);
}
