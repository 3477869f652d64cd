// TLS termination: raw sockets in, clear streams out. One never-listening tls.Server per handshake policy. Sockets are handed
// to it rather than wrapped by hand: a hand-made server-side TLSSocket serves a client whose certificate is not trusted.

import type { Socket } from 'node:net';
import { createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import { readClientIdentity } from '../../protocol/client-identity.ts';
import type { Certificate, ClientAuth } from '../../table/entries.ts';
import { parseHost } from '../../table/host.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import { type HandshakePolicy, handshakePolicy, policyKey, SecureContexts } from '../secure-contexts.ts';
import { type TlsSettings, tlsOptionsOf } from '../tls-settings.ts';
import { type ClientFacts, clientFacts } from './client-certificate.ts';

/** Who waits for a handshake. Exactly one of the two is called, unless the raw socket closes first. */
export interface HandshakeUser {
  /** `client`: what is known of its certificate; null where none was asked for. */
  onSecure(socket: TLSSocket, client: ClientFacts | null): void;
  onHandshakeFailed(code: string): void;
}

/** The settings that termination reads. */
export type TerminatorSettings = TlsSettings & {
  readonly maxCertificateContexts: number;
  readonly headTimeoutMs: number;
  readonly disableHttp2: boolean;
  /** Regular expression; empty for none. */
  readonly clientSubjectFilter: string;
};

/** A tls.Server, the policy that it stands for, and the certificate that it serves where there is no SNI. */
type PolicyServer = {
  readonly server: Server;
  readonly policy: HandshakePolicy;
  defaultId: string | null;
};

/** One costs about as much as a context. Policies are few: each Route with an authority of its own may add one or two. */
const maxServers = 256;

export class TlsTerminator {
  readonly #servers: Map<string, PolicyServer> = new Map();
  readonly #contexts: SecureContexts;
  readonly #table: () => RouteTable;
  readonly #log: Log;
  readonly #handshakeTimeoutMs: number;
  readonly #offersHttp2: boolean;
  readonly #filter: RegExp | null;
  /** Handshakes under way, by the peer's address and port and our address: what the servers' events can be told apart by. */
  readonly #waiting: Map<string, HandshakeUser> = new Map();
  readonly #secured: Series;
  readonly #failed: Series;
  readonly #resumed: Series;

  /** `ticketKeys`: 48 bytes, the same in all workers. */
  constructor(table: () => RouteTable, settings: TerminatorSettings, ticketKeys: Buffer, log: Log, metrics: Metrics) {
    this.#table = table;
    this.#log = log;
    this.#handshakeTimeoutMs = settings.headTimeoutMs;
    this.#offersHttp2 = !settings.disableHttp2;
    this.#filter = settings.clientSubjectFilter === '' ? null : new RegExp(settings.clientSubjectFilter);
    const contexts = new SecureContexts(settings.maxCertificateContexts, tlsOptionsOf(settings), ticketKeys, log);
    this.#contexts = contexts;
    this.#secured = metrics.series('headgate_tls_handshakes_total', 'full');
    this.#resumed = metrics.series('headgate_tls_handshakes_total', 'resumed');
    this.#failed = metrics.series('headgate_tls_handshakes_total', 'failed');
    metrics.observe('headgate_tls_contexts', () => contexts.size);
  }

  /**
   * Begins the handshake on a socket whose peeked bytes have been put back. False where it cannot be: the authority that
   * would have to be asked for is not there, or OpenSSL does not take it. Nothing has been done to the socket then.
   */
  secure(socket: Socket, clientAuth: ClientAuth | null, user: HandshakeUser): boolean {
    const entry = this.#serverOf(clientAuth);
    if (entry === null) return false;
    const peer = peerOf(socket);
    this.#waiting.set(peer, user);
    socket.once('close', () => {
      if (this.#waiting.get(peer) === user) this.#waiting.delete(peer);
    });
    // A client that closes before its handshake is over wants no answer; behind it, close_notify is half a close.
    socket.allowHalfOpen = false;
    entry.server.emit('connection', socket);
    return true;
  }

  /** The table has changed: takes up another default certificate, and lets go of policies that nobody can name any more. */
  followTable(): void {
    const { certificates } = this.#table();
    for (const [key, entry] of this.#servers) {
      const authority = entry.policy.clientAuth?.authority;
      if (authority !== undefined && !certificates.has(authority)) {
        this.#servers.delete(key);
        this.#contexts.forget(entry.policy);
      } else {
        this.#followDefaultCertificate(entry);
      }
    }
  }

  /** Other keys for session tickets: what was issued under those of before is worth a full handshake. */
  rotateTicketKeys(ticketKeys: Buffer): void {
    this.#contexts.rotate(ticketKeys);
    for (const entry of this.#servers.values()) {
      entry.defaultId = null;
      this.#followDefaultCertificate(entry);
    }
  }

  #serverOf(clientAuth: ClientAuth | null): PolicyServer | null {
    const key = policyKey(clientAuth);
    const known = this.#servers.get(key);
    if (known !== undefined) {
      if (clientAuth !== null) {
        this.#servers.delete(key);
        this.#servers.set(key, known);
      }
      return known;
    }
    const policy = handshakePolicy(clientAuth, this.#table().certificates);
    const made = policy === null ? null : this.#makeServer(policy);
    if (made === null) return null;
    this.#servers.set(key, made);
    const [eldest] = this.#servers.keys();
    if (this.#servers.size > maxServers && eldest !== undefined) this.#servers.delete(eldest);
    return made;
  }

  #makeServer(policy: HandshakePolicy): PolicyServer | null {
    try {
      const server = createServer({
        ...this.#contexts.optionsOf(policy),
        requestCert: policy.clientAuth !== null,
        rejectUnauthorized: policy.clientAuth?.demand === 'required',
        ALPNCallback: ({ servername, protocols }) => this.#chooseProtocol(servername, protocols),
        handshakeTimeout: this.#handshakeTimeoutMs,
        SNICallback: (name, done) => this.#chooseContext(name, policy, done),
      });
      server.on('secureConnection', (socket) => this.#onSecure(socket, policy.clientAuth));
      server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => this.#onFailed(error, socket));
      const entry = { server, policy, defaultId: null };
      this.#followDefaultCertificate(entry);
      return entry;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.error({ authority: policy.clientAuth?.authority, reason }, 'client authority cannot be used');
      return null;
    }
  }

  /** Without SNI no callback comes: the server's own context has to be the default certificate's. */
  #followDefaultCertificate(entry: PolicyServer): void {
    const match = this.#table().matchTls(undefined);
    const id = match.kind === 'unknown' ? match.certificate : null;
    const certificate = id === null ? undefined : this.#table().certificates.get(id);
    if (certificate === undefined || certificate.key === null || certificate.id === entry.defaultId) return;
    entry.defaultId = certificate.id;
    const { chain: cert, key } = certificate;
    entry.server.setSecureContext({ ...this.#contexts.optionsOf(entry.policy), cert, key });
  }

  #chooseContext(
    name: string,
    policy: HandshakePolicy,
    done: (error: Error | null, context?: SecureContext) => void,
  ): void {
    const certificate = this.#certificateFor(name);
    const context = certificate === undefined ? null : this.#contexts.contextOf(certificate, policy);
    // Undefined lets the server's own context serve: the default certificate, under the same policy.
    if (context === null) done(null);
    else done(null, context);
  }

  #certificateFor(name: string): Certificate | undefined {
    const table = this.#table();
    const match = table.matchTls(parseHost(name));
    const id = match.kind === 'passthrough' ? null : match.certificate;
    return id === null ? undefined : table.certificates.get(id);
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

  #onSecure(socket: TLSSocket, clientAuth: ClientAuth | null): void {
    const user = this.#claim(socket);
    if (user === undefined) {
      socket.destroy();
      return;
    }
    const client = clientAuth === null ? null : this.#factsOf(socket, clientAuth);
    if (typeof client === 'string') {
      this.#failed.value++;
      // Node is inside OpenSSL here, and does not survive that the raw socket goes from under it.
      setImmediate(() => {
        user.onHandshakeFailed(client);
        socket.destroy();
      });
      return;
    }
    socket.allowHalfOpen = true;
    if (socket.isSessionReused()) this.#resumed.value++;
    else this.#secured.value++;
    user.onSecure(socket, client);
  }

  /**
   * The client's certificate, verified; or why the connection has to end. That a certificate is there is asked for itself:
   * Node calls a resumed session of TLS 1.3 authorized that never saw one.
   */
  #factsOf(socket: TLSSocket, clientAuth: ClientAuth): ClientFacts | string {
    const routerWide = this.#table().clientAuth;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) {
      return clientAuth.demand === 'required'
        ? 'no client certificate'
        : clientFacts(clientAuth, routerWide, null, this.#filter);
    }
    if (!socket.authorized) return String(socket.authorizationError);
    // A resumed session was verified when it began.
    if (certificate.validToDate.getTime() < Date.now()) return 'CERT_HAS_EXPIRED';
    const identity = readClientIdentity(certificate.raw);
    if (identity === null) return 'client certificate cannot be read';
    return clientFacts(clientAuth, routerWide, { certificate, identity }, this.#filter);
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
