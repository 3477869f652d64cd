// Which certificate is served where no Route has one (Route semantics 4.2): given as text, as a file, as a directory with
// tls.crt and tls.key, or the self-signed one that the supervisor made. Files are followed as they change.

import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import type { KeptCertificate } from '../replication/control.ts';
import { WatchedFiles } from '../source/files/watched-files.ts';
import type { Certificate } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';
import { type ServingCertificate, servingFromPair, servingFromPem } from './certificates.ts';

export type DefaultCertificateSettings = Pick<
  Config,
  'defaultCertificatePem' | 'defaultCertificatePath' | 'defaultCertificateDir'
>;

export class DefaultCertificate {
  readonly #files: WatchedFiles | null;
  readonly #fallback: KeptCertificate;
  readonly #fixed: string;
  readonly #log: Log;
  readonly #onChange: (certificate: Certificate, notAfterMs: number | null) => void;
  readonly #mustServe: boolean;
  #served = false;
  #problem = '';

  /** `onChange` hears of the first certificate within `start`, and of every later one that can be served; and when it expires. */
  constructor(
    settings: DefaultCertificateSettings,
    fallback: KeptCertificate,
    log: Log,
    onChange: (certificate: Certificate, notAfterMs: number | null) => void,
  ) {
    this.#fallback = fallback;
    this.#fixed = settings.defaultCertificatePem;
    this.#log = log;
    this.#onChange = onChange;
    this.#files = this.#filesOf(settings);
    this.#mustServe = settings.defaultCertificatePem !== '' || settings.defaultCertificatePath !== '';
  }

  /**
   * Throws where a text or a file was given that cannot be served. A directory may still be empty, since something else
   * fills it; until then the self-signed certificate is served.
   */
  async start(): Promise<void> {
    if (this.#fixed !== '') this.#take(servingFromPem(this.#fixed), 'DEFAULT_CERTIFICATE');
    else if (this.#files !== null) await this.#files.start();
    if (this.#served) return;
    if (this.#mustServe) throw new Error(`the default certificate cannot be served: ${this.#problem}`);
    this.#take(servingFromPair(this.#fallback.chain, this.#fallback.key), 'self-signed');
  }

  close(): void {
    this.#files?.close();
  }

  #filesOf(settings: DefaultCertificateSettings): WatchedFiles | null {
    if (this.#fixed !== '') return null;
    const path = settings.defaultCertificatePath;
    if (path !== '') {
      return new WatchedFiles([path], ([pem]) => this.#take(servingFromPem(pem ?? ''), path));
    }
    const directory = settings.defaultCertificateDir;
    if (directory === '') return null;
    return new WatchedFiles([join(directory, 'tls.crt'), join(directory, 'tls.key')], ([chain, key]) => {
      // A tls.crt that brings its own key needs no tls.key.
      const serving = chain?.includes('PRIVATE KEY-----')
        ? servingFromPem(chain)
        : servingFromPair(chain ?? '', key ?? '');
      this.#take(serving, directory);
    });
  }

  #take(serving: ServingCertificate, from: string): void {
    if (serving.kind === 'invalid') {
      this.#problem = `${from}: ${serving.problem}`;
      this.#log.error(
        { from, reason: serving.problem },
        'default certificate cannot be served, the last good one stays',
      );
      return;
    }
    this.#served = true;
    this.#log.info({ from, certificate: serving.certificate.id }, 'default certificate');
    this.#onChange(serving.certificate, serving.notAfterMs);
  }
}
