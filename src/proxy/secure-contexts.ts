// TLS contexts towards clients, made at first use and kept by use: one costs about 42 kB and 0.4 ms, so ten thousand
// certificates must not cost ten thousand contexts in every worker at start.

import { createSecureContext, type SecureContext } from 'node:tls';
import type { Certificate, CertificateId } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';

/** What every context of one TLS policy shares, so that sessions resume over workers and never over policies. */
export type TicketPolicy = {
  /** 48 bytes, the same in all workers. */
  readonly ticketKeys: Buffer;
  /** Differs where client authentication differs: a ticket obtained without it must not resume where it is demanded. */
  readonly sessionIdContext: string;
};

export class SecureContexts {
  readonly #contexts: Map<CertificateId, SecureContext | null> = new Map();
  readonly #maxContexts: number;
  readonly policy: TicketPolicy;
  readonly #log: Log;

  constructor(maxContexts: number, policy: TicketPolicy, log: Log) {
    this.#maxContexts = maxContexts;
    this.policy = policy;
    this.#log = log;
  }

  get size(): number {
    return this.#contexts.size;
  }

  /** The context that serves a certificate; null if OpenSSL does not take it, which is logged once. */
  contextOf(certificate: Certificate): SecureContext | null {
    const known = this.#contexts.get(certificate.id);
    if (known !== undefined) {
      // Most recently used last: a Map keeps the order of insertion.
      this.#contexts.delete(certificate.id);
      this.#contexts.set(certificate.id, known);
      return known;
    }
    const context = this.#make(certificate);
    this.#contexts.set(certificate.id, context);
    if (this.#contexts.size > this.#maxContexts) {
      const eldest = this.#contexts.keys().next();
      if (eldest.done !== true) this.#drop(eldest.value);
    }
    return context;
  }

  /**
   * The collector sees a few hundred bytes of a context's 42 kB and lets them pile up, so they are given back by hand. A
   * handshake that has chosen the context, and a connection behind it, hold on to what they need of it (SSL_set_SSL_CTX).
   */
  #drop(id: CertificateId): void {
    this.#contexts.get(id)?.context.close();
    this.#contexts.delete(id);
  }

  #make(certificate: Certificate): SecureContext | null {
    if (certificate.key === null) return null;
    try {
      return createSecureContext({ cert: certificate.chain, key: certificate.key, ...this.policy });
    } catch (error) {
      // The message of OpenSSL names the defect, never the key.
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.error({ certificate: certificate.id, reason }, 'certificate cannot be served');
      return null;
    }
  }
}
