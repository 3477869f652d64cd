// Pods made of Node's own servers, one program for all protocols: HTTP/1.1 and HTTP/2, each with TLS and without.

import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2, createSecureServer, type ServerOptions } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Change } from '../../../src/table/delta.ts';
import { makeCertificate, type TestCertificate } from '../certificates.ts';
import { endpoint, h2cEndpoint, type RouteWish, route } from '../rules.ts';

/** How a pod is spoken to: the last two in HTTP/2, `h2` over TLS by ALPN. */
export const podKinds = ['HTTP/1.1', 'HTTP/1.1 over TLS', 'h2c', 'h2'] as const;
export type PodKind = (typeof podKinds)[number];

/** Node's HTTP/2 servers offer requests and responses that are used like those of HTTP/1.1. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export class WebPod implements AsyncDisposable {
  readonly kind: PodKind;
  /** TCP connections that are open. */
  readonly sockets: Set<Socket> = new Set();
  /** TCP connections that there ever were. */
  connections = 0;
  readonly server: Server;

  private constructor(kind: PodKind, server: Server) {
    this.kind = kind;
    this.server = server;
    server.on('connection', (socket: Socket) => {
      // A TLS server tells of the connection inside of it, too.
      if ('encrypted' in socket) return;
      this.connections++;
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.sockets.delete(socket));
    });
    server.on('sessionError', () => {});
    server.on('clientError', (_error, socket: Socket) => socket.destroy());
  }

  /** Starts a pod that answers by `handler`; `options` are for those that speak HTTP/2. */
  static async start(kind: PodKind, handler: Handler, options: ServerOptions = {}): Promise<WebPod> {
    const pod = new WebPod(kind, serverOf(kind, options));
    const guarded: Handler = (request, response) => {
      // Connections are cut on purpose.
      request.on('error', () => {});
      response.on('error', () => {});
      handler(request, response);
    };
    pod.server.on('request', guarded);
    await new Promise<void>((listening) => {
      pod.server.listen(0, '127.0.0.1', listening);
    });
    return pod;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** A Route to it on a host, which is served on both ports. */
  changes(host: string, wish: Partial<RouteWish> = {}): Change[] {
    const pods = [this.kind === 'h2c' ? h2cEndpoint(this.port) : endpoint(this.port)];
    const termination = isTls(this.kind) ? 'reencrypt' : 'edge';
    return route({ host, pods, termination, insecurePolicy: 'Allow', ...wish });
  }

  /** Breaks all its connections: RST. */
  reset(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  /** Closes all its connections, whatever is under way: FIN. */
  close(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await new Promise<void>((closed) => {
      this.server.close(() => closed());
    });
  }
}

/** Whether a kind of pod speaks HTTP/2. */
export function isHttp2(kind: PodKind): boolean {
  return kind === 'h2c' || kind === 'h2';
}

function isTls(kind: PodKind): boolean {
  return kind === 'HTTP/1.1 over TLS' || kind === 'h2';
}

let made: TestCertificate | null = null;

function serverOf(kind: PodKind, options: ServerOptions): Server {
  made ??= makeCertificate({ names: ['pod.test'] });
  const tls = { cert: made.certificate, key: made.key };
  const limits = { maxHeaderSize: 1 << 20 };
  switch (kind) {
    case 'HTTP/1.1':
      return createHttp(limits);
    case 'HTTP/1.1 over TLS':
      return createHttps({ ...tls, ...limits });
    case 'h2c':
      return createHttp2({ maxSessionMemory: 1000, ...options });
    case 'h2':
      return createSecureServer({ ...tls, maxSessionMemory: 1000, ...options });
  }
}
