// The authority by which the certificates of all clients are verified (Route semantics 5.13): a file of CA certificates, and one of
// revocation lists where the operator has one; else lists are fetched, if the CAs say from where. Files are followed as they change.

import type { Config } from '../config/schema.ts';
import { WatchedFiles } from '../source/files/watched-files.ts';
import type { Certificate } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { type ClientAuthority, clientAuthority } from './client-authority.ts';
import type { ProxySettings } from './download-proxy.ts';
import { listAddresses, noListYet, RevocationDownloads } from './revocation-downloads.ts';

export type ClientAuthoritySettings = Pick<
  Config,
  'clientCertificates' | 'clientCaPath' | 'clientCrlPath' | 'httpProxy' | 'noProxy'
>;

export class ClientAuthorityFiles {
  readonly #files: WatchedFiles | null;
  readonly #hasCrlFile: boolean;
  readonly #proxy: ProxySettings;
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #onChange: (authority: Certificate) => void;
  #downloads: RevocationDownloads | null = null;
  #fetched: string = noListYet;
  #isKnown = false;
  #problem = '';

  /** `onChange` hears of the first authority within `start`, and of every later one that can be used. */
  constructor(
    settings: ClientAuthoritySettings,
    log: Log,
    metrics: Metrics,
    onChange: (authority: Certificate) => void,
  ) {
    this.#proxy = settings;
    this.#log = log;
    this.#metrics = metrics;
    this.#onChange = onChange;
    const { clientCaPath, clientCrlPath } = settings;
    this.#hasCrlFile = clientCrlPath !== '';
    const paths = this.#hasCrlFile ? [clientCaPath, clientCrlPath] : [clientCaPath];
    this.#files =
      settings.clientCertificates === 'none'
        ? null
        : new WatchedFiles(paths, ([ca, crl]) => this.#filesChanged(ca ?? null, crl ?? null));
  }

  /** Throws where the files cannot be used: to ask no client for a certificate then would let everybody in. */
  async start(): Promise<void> {
    if (this.#files === null) return;
    await this.#files.start();
    if (!this.#isKnown) throw new Error(`client certificates cannot be verified: ${this.#problem}`);
  }

  close(): void {
    this.#files?.close();
    this.#downloads?.close();
  }

  #filesChanged(ca: string | null, crl: string | null): void {
    if (ca === null) {
      this.#take({ kind: 'invalid', field: 'ca', problem: 'the file cannot be read' });
    } else if (!this.#hasCrlFile) {
      this.#fetchFor(ca);
    } else if ((crl ?? '').trim() === '') {
      this.#take({ kind: 'invalid', field: 'crl', problem: 'the file is empty or cannot be read' });
    } else {
      this.#take(clientAuthority(ca, crl ?? ''));
    }
  }

  /** Takes up CA certificates, and begins to fetch their lists where that is another task than before. */
  #fetchFor(ca: string): void {
    const addresses = listAddresses(ca);
    const withLists = (): ClientAuthority => clientAuthority(ca, addresses.length === 0 ? '' : this.#fetched);
    const made = withLists();
    this.#take(made);
    if (made.kind === 'invalid') return;
    // Fetched anew for another text of the same addresses too: what is heard belongs to the CA that it was asked for.
    this.#downloads?.close();
    this.#downloads = null;
    if (addresses.length === 0) return;
    this.#downloads = new RevocationDownloads(addresses, this.#proxy, this.#log, this.#metrics, (lists) => {
      this.#fetched = lists;
      this.#take(withLists());
    });
    this.#downloads.start();
  }

  #take(made: ClientAuthority): void {
    if (made.kind === 'invalid') {
      this.#problem = `${made.field === 'ca' ? 'CA certificates' : 'revocation lists'}: ${made.problem}`;
      this.#log.error({ reason: this.#problem }, 'client authority cannot be used, the last good one stays');
      return;
    }
    this.#isKnown = true;
    this.#log.info({ authority: made.authority.id }, 'client authority');
    this.#onChange(made.authority);
  }
}
