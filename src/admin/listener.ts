// HTTP and TLS on one port (Route semantics 6.1): the first byte of a connection says which it is.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { OrderlyConnection } from './orderly-connection.ts';
import type { AdminTlsOptions } from './tls-settings.ts';

/** How long a peer may take, in milliseconds. */
export type AdminTimes = {
  /** For its first byte. */
  readonly firstByteMs: number;
  readonly handshakeMs: number;
  /** For the head of a request; looked at several times in that time. */
  readonly headMs: number;
  /** To take something of an answer. */
  readonly unreadMs: number;
};

const usualTimes: AdminTimes = { firstByteMs: 10_000, handshakeMs: 10_000, headMs: 10_000, unreadMs: 30_000 };
const maxRequestMs = 30_000;
/** With one more the connection is closed that has waited longest for a request of its peer. */
const maxConnections = 256;
/** First byte of a TLS record with a handshake message (RFC 8446 5.1). */
const handshakeRecord = 0x16;

export class AdminListener {
  readonly #server: Server;
  readonly #serve: (socket: Socket) => void;
  readonly #times: AdminTimes;
  readonly #sockets: Set<Socket> = new Set();
  /** Those without a request that is being answered, by their ends; who has been so longest comes first. */
  readonly #waiting: Map<string, Socket> = new Map();
  #tls: TlsServer | null = null;

  constructor(onRequest: (request: IncomingMessage, response: ServerResponse) => void, times: AdminTimes = usualTimes) {
    this.#times = times;
    this.#server = createServer(
      {
        requestTimeout: maxRequestMs,
        headersTimeout: times.headMs,
        connectionsCheckingInterval: Math.ceil(times.headMs / 4),
      },
      (request, response) => {
        this.#busy(request.socket, response);
        const connection: unknown = request.socket;
        if (connection instanceof OrderlyConnection) response.once('close', () => connection.answered());
        onRequest(request, response);
      },
    );
    // Who asks and does not read is being answered for good, and would keep the place for as long.
    this.#server.timeout = times.unreadMs;
    // A server that listens keeps the times of its connections; one that is only handed sockets does not. So this one does
    // listen, and what it would do with a connection is done once it is known to speak HTTP.
    const [serve] = this.#server.listeners('connection');
    // HTTP is served on any Duplex, which the type does not say.
    this.#serve = (socket) => serve?.call(this.#server, new OrderlyConnection(socket) as Duplex as Socket);
    this.#server.removeAllListeners('connection');
    this.#server.on('connection', (socket) => this.#accept(socket));
  }

  /** Serves on an inherited descriptor. */
  listen(fd: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ fd }, resolve);
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Speaks TLS too from now on, with these options; handshakes to come take another certificate. */
  secure(options: AdminTlsOptions): void {
    if (this.#tls !== null) {
      this.#tls.setSecureContext(options);
      return;
    }
    const { handshakeMs: handshakeTimeout } = this.#times;
    this.#tls = createTlsServer({ ...options, handshakeTimeout, ALPNProtocols: ['http/1.1'] }, this.#serve);
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  #accept(socket: Socket): void {
    if (this.#sockets.size >= maxConnections && !this.#dropLongestWaiting()) {
      socket.destroy();
      return;
    }
    const ends = endsOf(socket);
    this.#sockets.add(socket);
    this.#waiting.set(ends, socket);
    const deadline = setTimeout(() => socket.destroy(), this.#times.firstByteMs);
    socket.on('error', () => {
      // It is gone, as `close` says.
    });
    socket.once('close', () => {
      clearTimeout(deadline);
      this.#sockets.delete(socket);
      if (this.#waiting.get(ends) === socket) this.#waiting.delete(ends);
    });
    const onEnd = (): void => {
      socket.destroy();
    };
    socket.once('end', onEnd);
    socket.once('data', (chunk: Buffer) => {
      clearTimeout(deadline);
      socket.removeListener('end', onEnd);
      socket.pause();
      socket.unshift(chunk);
      if (chunk[0] !== handshakeRecord) {
        this.#serve(socket);
        socket.resume();
      } else if (this.#tls === null) {
        socket.destroy();
      } else {
        this.#tls.emit('connection', socket);
      }
    });
  }

  /** Peers that say nothing must not keep out those who ask whether the router lives. False: all are being answered. */
  #dropLongestWaiting(): boolean {
    for (const [ends, socket] of this.#waiting) {
      this.#waiting.delete(ends);
      this.#sockets.delete(socket);
      socket.destroy();
      return true;
    }
    return false;
  }

  /** A whole head has come over this connection, which waits again when it is answered. */
  #busy(socket: Socket, response: ServerResponse): void {
    const ends = endsOf(socket);
    const waiting = this.#waiting.get(ends);
    if (waiting === undefined) return;
    this.#waiting.delete(ends);
    response.once('close', () => {
      if (this.#sockets.has(waiting)) this.#waiting.set(ends, waiting);
    });
  }
}

/** What a connection and the TLS over it have in common. */
function endsOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
