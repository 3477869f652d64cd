// The TLS port: HTTP/1.1 and HTTP/2 behind one handler, and every connection at hand so that it can be cut.

import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { makeCertificate, type TestAuthority } from '../certificates.ts';

/** A request as both versions of HTTP tell it. */
export type Call = {
  readonly method?: string;
  readonly url?: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly socket: { readonly remotePort?: number };
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  on(event: 'end' | 'error' | 'close', listener: () => void): unknown;
};

/** Its answer, likewise. */
export type Reply = {
  readonly headersSent: boolean;
  writeHead(code: number, headers: Readonly<Record<string, string | number>>): unknown;
  flushHeaders(): void;
  write(text: string, written?: () => void): boolean;
  end(body?: string | Buffer): unknown;
  on(event: 'close' | 'error', listener: () => void): unknown;
};

const names: readonly string[] = ['127.0.0.1', 'localhost', 'kubernetes.default.svc'];

export class Connections {
  readonly #server: Http2SecureServer;
  readonly #sockets: Map<number, Socket> = new Map();
  readonly #streams: Set<Duplex> = new Set();
  #ca: string;
  #port = 0;

  constructor(handle: (call: Call, reply: Reply) => void) {
    const { certificate, key, authority } = makeCertificate({ names });
    this.#ca = authority.certificate;
    // A connection that idles for the five seconds that are Node's default would close under the client's next request.
    const http1Options = { keepAliveTimeout: 90_000 };
    this.#server = createSecureServer({ cert: certificate, key, allowHTTP1: true, http1Options });
    this.#server.on('connection', (socket: Socket) => {
      const port = socket.remotePort ?? 0;
      // Or the first event waits forty milliseconds for the head of the answer to be acknowledged.
      socket.setNoDelay(true);
      this.#sockets.set(port, socket);
      socket.on('close', () => this.#sockets.delete(port));
    });
    this.#server.on('secureConnection', (stream) => {
      this.#streams.add(stream);
      stream.on('error', () => {});
      stream.on('close', () => this.#streams.delete(stream));
    });
    this.#server.on('sessionError', () => {});
    this.#server.on('request', (call, reply) => handle(call as Call, reply as unknown as Reply));
  }

  get port(): number {
    return this.#port;
  }

  /** Who signed the certificate, PEM. */
  get ca(): string {
    return this.#ca;
  }

  /** A certificate of another authority, for connections to come. */
  replaceAuthority(issuer: TestAuthority): void {
    const { certificate, key } = makeCertificate({ names, issuer });
    this.#server.setSecureContext({ cert: certificate, key });
    this.#ca = issuer.certificate;
  }

  /** Listens on a port of its own, the same one every time. */
  async listen(): Promise<void> {
    await new Promise<void>((listening, failed) => {
      this.#server.once('error', failed);
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#server.off('error', failed);
        listening();
      });
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Refuses new connections and cuts those that there are. */
  async close(): Promise<void> {
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    this.cutAll();
    await closed;
  }

  cutAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
    for (const stream of this.#streams) stream.destroy();
  }

  /** The end of the connection that a request came over. */
  cut(call: Call, how: 'rst' | 'fin'): void {
    const socket = this.#sockets.get(call.socket.remotePort ?? 0);
    if (how === 'rst') socket?.resetAndDestroy();
    else socket?.destroy();
  }
}
