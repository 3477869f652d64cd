// TLS termination: raw sockets in, clear streams out. One never-listening tls.Server per TLS policy. Sockets are handed to
// it rather than wrapped by hand: a hand-made server-side TLSSocket serves a client whose certificate is not trusted.

import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { parseHost } from '../../table/host.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import type { SecureContexts, TicketPolicy } from '../secure-contexts.ts';

/** Who waits for a handshake. Exactly one of the two is called, unless the raw socket closes first. */
export interface HandshakeUser {
  onSecure(socket: TLSSocket): void;
  onHandshakeFailed(code: string): void;
}

/** The policy of this router's own terminations: no client certificates. */
export function ticketPolicy(ticketKeys: Buffer): TicketPolicy {
  // OpenSSL takes at most 32 bytes; what the policy consists of is hashed into them.
  const sessionIdContext = createHash('sha256').update('client-auth: none').digest('hex').slice(0, 32);
  return { ticketKeys, sessionIdContext };
}

export class TlsTerminator {
  readonly #server: Server;
  readonly #contexts: SecureContexts;
  readonly #table: () => RouteTable;
  readonly #offersHttp2: boolean;
  /** Handshakes under way, by the peer's address and port and our address: what the server's events can be told apart by. */
  readonly #waiting: Map<string, HandshakeUser> = new Map();
  readonly #secured: Series;
  readonly #failed: Series;
  readonly #resumed: Series;
  #defaultId: string | null = null;

  constructor(
    table: () => RouteTable,
    contexts: SecureContexts,
    policy: TicketPolicy,
    settings: { readonly headTimeoutMs: number; readonly disableHttp2: boolean },
    metrics: Metrics,
  ) {
    this.#table = table;
    this.#offersHttp2 = !settings.disableHttp2;
    this.#contexts = contexts;
    this.#secured = metrics.series('headgate_tls_handshakes_total', 'full');
    this.#resumed = metrics.series('headgate_tls_handshakes_total', 'resumed');
    this.#failed = metrics.series('headgate_tls_handshakes_total', 'failed');
    metrics.observe('headgate_tls_contexts', () => contexts.size);
    this.#server = createServer({
      ...policy,
      ALPNCallback: ({ servername, protocols }) => this.#chooseProtocol(servername, protocols),
      handshakeTimeout: settings.headTimeoutMs,
      SNICallback: (name, done) => this.#chooseContext(name, done),
    });
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => this.#onFailed(error, socket));
  }

  /** Begins the handshake on a socket whose peeked bytes have been put back. */
  secure(socket: Socket, user: HandshakeUser): void {
    const peer = peerOf(socket);
    this.#waiting.set(peer, user);
    socket.once('close', () => {
      if (this.#waiting.get(peer) === user) this.#waiting.delete(peer);
    });
    // A client that closes before its handshake is over wants no answer; behind it, close_notify is half a close.
    socket.allowHalfOpen = false;
    this.#server.emit('connection', socket);
  }

  /** Without SNI no callback comes: the server's own context has to be the default certificate's. */
  followDefaultCertificate(): void {
    const match = this.#table().matchTls(undefined);
    const id = match.kind === 'unknown' ? match.certificate : null;
    const certificate = id === null ? undefined : this.#table().certificates.get(id);
    if (certificate === undefined || certificate.key === null || certificate.id === this.#defaultId) return;
    this.#defaultId = certificate.id;
    this.#server.setSecureContext({ cert: certificate.chain, key: certificate.key, ...this.#contexts.policy });
  }

  #chooseContext(name: string, done: (error: Error | null, context?: SecureContext) => void): void {
    const table = this.#table();
    const match = table.matchTls(parseHost(name));
    const id = match.kind === 'passthrough' ? null : match.certificate;
    const certificate = id === null ? undefined : table.certificates.get(id);
    const context = certificate === undefined ? null : this.#contexts.contextOf(certificate);
    // Undefined lets the server's own context serve: the default certificate.
    if (context === null) done(null);
    else done(null, context);
  }

  /**
   * HTTP/2 for clients that name a Host which is terminated here: those that name none, or another, mean to be answered by
   * their Host header alone, which a shared connection could not do.
   */
  #chooseProtocol(name: string, protocols: readonly string[]): string | undefined {
    if (this.#offersHttp2 && protocols.includes('h2') && this.#table().matchTls(parseHost(name)).kind === 'terminate') {
      return 'h2';
    }
    return protocols.includes('http/1.1') ? 'http/1.1' : undefined;
  }

  #onSecure(socket: TLSSocket): void {
    const user = this.#claim(socket);
    if (user === undefined) {
      socket.destroy();
      return;
    }
    socket.allowHalfOpen = true;
    if (socket.isSessionReused()) this.#resumed.value++;
    else this.#secured.value++;
    user.onSecure(socket);
  }

  #onFailed(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    this.#failed.value++;
    this.#claim(socket)?.onHandshakeFailed(error.code ?? error.message);
    socket.destroy();
  }

  #claim(socket: TLSSocket): HandshakeUser | undefined {
    const peer = peerOf(socket);
    const user = this.#waiting.get(peer);
    this.#waiting.delete(peer);
    return user;
  }
}

/** Both ends: one client may use one port of its towards two addresses of ours. */
function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0} ${socket.localAddress ?? ''}`;
}
