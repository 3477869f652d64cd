// Strict SNI as the OpenShift router has it (Route semantics 4.2): who opens TLS for a name is served a certificate for that
// name, or an alert.

import { X509Certificate } from 'node:crypto';
import type { CertificateId } from '../../table/entries.ts';
import { parseHost } from '../../table/host.ts';
import type { RouteTable } from '../../table/route-table.ts';

export class StrictSni {
  #defaultId: CertificateId | null = null;
  #default: X509Certificate | null = null;

  /**
   * Whether a connection that is to be terminated is refused instead: it names a server for which no Route brings a
   * certificate and the default one is not. `serverName`: as the hello has it; undefined where it has none.
   */
  refuses(serverName: string | undefined, table: RouteTable): boolean {
    if (serverName === undefined) return false;
    const host = parseHost(serverName);
    if (host === undefined) return true;
    return !table.hasCertificate(host) && !this.#isOfDefault(host, table);
  }

  /** As HAProxy looks names up: the common name counts too, and `*` stands for one whole label. */
  #isOfDefault(name: string, table: RouteTable): boolean {
    const match = table.matchTls(undefined);
    const id = match.kind === 'unknown' ? match.certificate : null;
    if (id !== this.#defaultId) {
      const certificate = id === null ? undefined : table.certificates.get(id);
      this.#default = certificate === undefined ? null : new X509Certificate(certificate.chain);
      this.#defaultId = id;
    }
    return this.#default?.checkHost(name, { subject: 'always', partialWildcards: false }) !== undefined;
  }
}
