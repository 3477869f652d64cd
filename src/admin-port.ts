// The admin port of the controller process with what it needs from elsewhere: files that are followed, the API server that
// decides on access, the plain port that readiness asks.

import { randomUUID } from 'node:crypto';
import type { AccessReviewer } from './admin/access.ts';
import { type Credentials, credentialText } from './admin/credentials.ts';
import { SelfRequest } from './admin/self-request.ts';
import { AdminServer, type AdminSubject } from './admin/server.ts';
import { adminTls } from './admin/tls-settings.ts';
import type { Config } from './config/schema.ts';
import type { ControllerStart } from './replication/control.ts';
import { WatchedFiles } from './source/files/watched-files.ts';
import type { Log } from './telemetry/log.ts';

export class AdminPort {
  readonly #config: Config;
  readonly #fd: number;
  readonly #log: Log;
  readonly #server: AdminServer;
  readonly #files: WatchedFiles[] = [];
  #credentials: Credentials | null;

  /** `reviewer`: null until the way to the API server is known. */
  constructor(
    { config, adminFd, httpPort }: ControllerStart<Config>,
    subject: Omit<AdminSubject, 'selfRequest'>,
    reviewer: () => AccessReviewer | null,
    log: Log,
  ) {
    this.#config = config;
    this.#fd = adminFd;
    this.#log = log;
    this.#credentials = initialCredentials(config);
    const nowMs = (): number => performance.now();
    const selfRequest = new SelfRequest({ ...config, httpPort }, nowMs);
    this.#server = new AdminServer({ ...subject, selfRequest }, config, {
      credentials: () => this.#credentials,
      isReviewed: config.source === 'kubernetes' && config.metricsAuth === 'openshift',
      reviewer,
      onFailure: (reason) => log.error({ reason }, 'access to metrics cannot be reviewed'),
      nowMs,
    });
    this.#followCredentials(config.statsUsernameFile, 'username');
    this.#followCredentials(config.statsPasswordFile, 'password');
    this.#followCertificate();
  }

  /** Serves when the files have been read. */
  async start(): Promise<void> {
    await Promise.all(this.#files.map((files) => files.start()));
    await this.#server.listen(this.#fd);
  }

  #followCredentials(path: string, part: keyof Credentials): void {
    if (path === '') return;
    this.#files.push(
      new WatchedFiles([path], ([content]) => {
        const text = credentialText(content ?? '');
        if (text === '') this.#log.error({ file: path }, 'credentials cannot be read, the last good ones stay');
        else if (this.#credentials !== null) this.#credentials = { ...this.#credentials, [part]: text };
      }),
    );
  }

  #followCertificate(): void {
    const { metricsTlsCertFile, metricsTlsKeyFile } = this.#config;
    if (metricsTlsCertFile === '') return;
    this.#files.push(
      new WatchedFiles([metricsTlsCertFile, metricsTlsKeyFile], ([cert, key]) => {
        const made = adminTls(this.#config, cert ?? '', key ?? '');
        if (made.kind === 'options') {
          this.#server.secure(made.options);
          return;
        }
        const file = made.file === 'key' ? metricsTlsKeyFile : metricsTlsCertFile;
        const reason = `it ${made.because}`;
        this.#log.error({ file, reason }, 'certificate of the admin port cannot be served, the last good one stays');
      }),
    );
  }
}

/** Null where none are set. What a file will say is something that nobody knows, until the file has been read. */
function initialCredentials(config: Config): Credentials | null {
  const { statsUsername, statsUsernameFile, statsPassword, statsPasswordFile } = config;
  if (statsPassword === '' && statsPasswordFile === '') return null;
  return {
    username: statsUsernameFile === '' ? statsUsername : randomUUID(),
    password: statsPasswordFile === '' ? statsPassword : randomUUID(),
  };
}
