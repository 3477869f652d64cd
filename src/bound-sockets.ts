// The router's sockets, bound before anything else happens and held by the supervisor: as long as it lives the ports do, and
// what waits in the accept queue of a worker that died is served by the next one.

import { BoundSocket } from 'node:net';
import type { Config } from './config/schema.ts';

/** The ports that were really bound. */
export type BoundPorts = { readonly httpPort: number; readonly httpsPort: number; readonly adminPort: number };

/** Thrown when a socket cannot be bound: the start ends before anything else has happened. */
export class BindError extends Error {
  override name = 'BindError';
}

/** What the usual errors of bind(2) mean. */
const bindFailures: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EACCES: 'not permitted',
  EADDRNOTAVAIL: 'this machine does not have the address',
};

/** The three sockets of a router, bound but not listening: children listen on them through inherited descriptors. */
export class BoundSockets {
  readonly #http: BoundSocket;
  readonly #https: BoundSocket;
  readonly #admin: BoundSocket;

  /** Binds all three or throws one BindError that names each that failed. */
  constructor(config: Pick<Config, 'bindAddress' | 'ipv6Only' | 'adminBind' | 'httpPort' | 'httpsPort' | 'adminPort'>) {
    const problems: string[] = [];
    const bind = (setting: string, host: string, port: number, ipv6Only: boolean): BoundSocket | null => {
      try {
        return new BoundSocket({ host, port, ipv6Only });
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        problems.push(`${setting}: cannot bind ${host}:${port}: ${bindFailures[code ?? ''] ?? message}`);
        return null;
      }
    };
    const http = bind('--http-port', config.bindAddress, config.httpPort, config.ipv6Only);
    const https = bind('--https-port', config.bindAddress, config.httpsPort, config.ipv6Only);
    const admin = bind('--admin-port', config.adminBind, config.adminPort, false);
    if (http === null || https === null || admin === null) {
      for (const socket of [http, https, admin]) socket?.close();
      throw new BindError(problems.join('\n'));
    }
    this.#http = http;
    this.#https = https;
    this.#admin = admin;
  }

  get ports(): BoundPorts {
    return {
      httpPort: this.#http.address().port,
      httpsPort: this.#https.address().port,
      adminPort: this.#admin.address().port,
    };
  }

  get workerFds(): readonly number[] {
    return [this.#http.fd(), this.#https.fd()];
  }

  get controllerFds(): readonly number[] {
    return [this.#admin.fd()];
  }

  /** Lets go of the ports that clients use; the admin port stays until the end. */
  closeTraffic(): void {
    this.#http.close();
    this.#https.close();
  }

  closeAdmin(): void {
    this.#admin.close();
  }
}
