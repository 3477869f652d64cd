// The authority by which the certificates of all clients are verified (Route semantics 5.13): a file of CA certificates, and one of
// revocation lists where the operator has one. Both are followed as they change.

import type { Config } from '../config/schema.ts';
import { WatchedFiles } from '../source/files/watched-files.ts';
import type { Certificate } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';
import { clientAuthority } from './client-authority.ts';

export type ClientAuthoritySettings = Pick<Config, 'clientCertificates' | 'clientCaPath' | 'clientCrlPath'>;

export class ClientAuthorityFiles {
  readonly #files: WatchedFiles | null;
  readonly #log: Log;
  readonly #onChange: (authority: Certificate) => void;
  #isKnown = false;
  #problem = '';

  /** `onChange` hears of the first authority within `start`, and of every later one that can be used. */
  constructor(settings: ClientAuthoritySettings, log: Log, onChange: (authority: Certificate) => void) {
    this.#log = log;
    this.#onChange = onChange;
    const { clientCaPath, clientCrlPath } = settings;
    const paths = clientCrlPath === '' ? [clientCaPath] : [clientCaPath, clientCrlPath];
    this.#files =
      settings.clientCertificates === 'none'
        ? null
        : new WatchedFiles(paths, ([ca, crl]) => this.#take(ca ?? null, crl ?? null, clientCrlPath !== ''));
  }

  /** Throws where the files cannot be used: to ask no client for a certificate then would let everybody in. */
  async start(): Promise<void> {
    if (this.#files === null) return;
    await this.#files.start();
    if (!this.#isKnown) throw new Error(`client certificates cannot be verified: ${this.#problem}`);
  }

  close(): void {
    this.#files?.close();
  }

  #take(ca: string | null, crl: string | null, wantsCrl: boolean): void {
    const made =
      ca === null
        ? ({ kind: 'invalid', field: 'ca', problem: 'it cannot be read' } as const)
        : wantsCrl && (crl ?? '').trim() === ''
          ? ({ kind: 'invalid', field: 'crl', problem: 'it is empty or cannot be read' } as const)
          : clientAuthority(ca, crl ?? '');
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
