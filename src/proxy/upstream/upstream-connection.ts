// One connection to an Endpoint: dialled, used by one exchange or tunnel at a time, pooled in between.

import { connect as connectTcp, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, TLSSocket } from 'node:tls';
import type { Endpoint, Scheme } from '../../table/entries.ts';
import { DirectWriter, type Lent } from '../direct-write.ts';
import { SharedRead } from '../shared-read.ts';
import type { ConnectFailure, Upstream, UpstreamUser } from './upstream.ts';

/** How to speak TLS to an Endpoint; null name: whatever name the certificate carries. */
export type DialTls = {
  readonly context: SecureContext;
  readonly serverName: string;
  readonly verify: boolean;
  readonly verifyName: string | null;
  /** Session of an earlier connection under the same key. */
  readonly session: Buffer | null;
  readonly onSession: (session: Buffer) => void;
  /** Protocols to offer, in order (ALPN). */
  readonly protocols: readonly string[];
};

export class UpstreamConnection implements Upstream {
  readonly framed = true;
  readonly endpoint: Endpoint;
  /** Under which it may be shared: the authority, and for TLS everything that the handshake was decided by. */
  readonly key: string;
  readonly socket: Socket | TLSSocket;
  readonly writer: DirectWriter;
  /** When it became idle, in ms of `performance.now()`. */
  idleSinceMs = 0;
  /** Until when it may be used again. */
  idleUntilMs = 0;
  /** Is told how the dial ended, before the user is. */
  onDialled: ((connection: UpstreamConnection, failure: ConnectFailure | null) => void) | null = null;
  #user: UpstreamUser | null;
  #state: 'dialling' | 'open' | 'gone' = 'dialling';
  #dialTimer: NodeJS.Timeout | null;

  /** `greeting`: bytes that the connection begins with, before all TLS. */
  constructor(
    endpoint: Endpoint,
    key: string,
    tls: DialTls | null,
    greeting: Buffer | null,
    connectTimeoutMs: number,
    user: UpstreamUser,
  ) {
    this.endpoint = endpoint;
    this.key = key;
    this.#user = user;
    this.#dialTimer = setTimeout(() => this.#dialFailed('timeout'), connectTimeoutMs);
    const reading = new SharedRead(
      (chunk) => this.#received(chunk),
      (view) => this.#user?.onUpstreamGlance(view) === true,
    );
    const target = {
      host: endpoint.address,
      port: endpoint.port,
      noDelay: true,
      allowHalfOpen: true,
      onread: reading.onread,
    };
    if (tls === null) {
      this.socket = connectTcp(target);
      this.socket.once('connect', () => this.#opened(greeting));
    } else {
      const { context, serverName, verify, verifyName, session, onSession, protocols } = tls;
      const socket = connectTls({
        ...(greeting === null ? target : { socket: greeted({ ...target, onread: undefined }, greeting) }),
        secureContext: context,
        ALPNProtocols: [...protocols],
        rejectUnauthorized: verify,
        ...(isIP(serverName) === 0 && serverName !== '' ? { servername: serverName } : {}),
        ...(session === null ? {} : { session }),
        checkServerIdentity: (_host, certificate) => {
          if (verifyName === null) return undefined;
          const names = (certificate.subjectaltname ?? '').split(', ');
          if (names.some((name) => name.toLowerCase() === `dns:${verifyName}`)) return undefined;
          return new Error(`the pod's certificate does not name ${verifyName}`);
        },
      });
      socket.once('secureConnect', () => this.#opened(null));
      // Node reads past the streams only on connections that it opens for TLS itself.
      if (greeting !== null) socket.on('data', (chunk: Buffer) => this.#received(chunk));
      socket.on('session', onSession);
      this.socket = socket;
    }
    reading.attach(this.socket);
    this.writer = new DirectWriter(this.socket);
    this.socket.on('drain', () => this.#user?.onUpstreamDrain());
    this.socket.on('end', () => this.#ended());
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    this.socket.on('close', () => this.#closed(false));
  }

  get isTls(): boolean {
    return this.socket instanceof TLSSocket;
  }

  /** Whether the pod chose HTTP/2. */
  get speaksHttp2(): boolean {
    return this.socket instanceof TLSSocket && this.socket.alpnProtocol === 'h2';
  }

  sendHead(text: string, _scheme: Scheme, body: Buffer): boolean {
    return this.writer.writeMessage(text, body);
  }

  sendBody(bytes: Buffer): boolean {
    return bytes.length === 0 || this.writer.write(bytes);
  }

  lend(bytes: Buffer): Lent {
    return this.writer.lend(bytes);
  }

  lendCopy(bytes: Buffer): boolean {
    return this.writer.writeCopy(bytes);
  }

  /** Closes our half: a tunnel's end. */
  sendEnd(): void {
    this.socket.end();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Hands the connection to its next user. */
  use(user: UpstreamUser): void {
    this.#user = user;
  }

  /** Nobody uses it; whatever comes now ends it. */
  idle(): void {
    this.#user = null;
  }

  /** Ends it at once; its user hears no more of it. */
  destroy(): void {
    this.#user = null;
    this.#state = 'gone';
    this.#clearDialTimer();
    this.socket.destroy();
  }

  reject(): void {
    this.destroy();
  }

  /** Whether it can be written to. */
  get open(): boolean {
    return this.#state === 'open';
  }

  get gone(): boolean {
    return this.#state === 'gone';
  }

  #opened(greeting: Buffer | null): void {
    if (this.#state !== 'dialling') return;
    this.#clearDialTimer();
    this.#state = 'open';
    this.onDialled?.(this, null);
    if (greeting !== null) this.socket.write(greeting);
    this.#user?.onUpstreamConnected();
  }

  /** Answers whether the bytes may be overwritten. */
  #received(chunk: Buffer): boolean {
    if (this.#user !== null) return this.#user.onUpstreamData(chunk);
    // Bytes on an idle connection answer no request: taking the next request's answer from them would be a hijack.
    this.destroy();
    return true;
  }

  #ended(): void {
    if (this.#user === null) this.destroy();
    else if (this.#state === 'open') this.#user.onUpstreamEnd();
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#state === 'dialling') this.#dialFailed(failureOf(error));
    else this.#closed(true);
  }

  #dialFailed(failure: ConnectFailure): void {
    const user = this.#user;
    this.destroy();
    this.onDialled?.(this, failure);
    user?.onUpstreamConnectFailed(failure);
  }

  #closed(reset: boolean): void {
    if (this.#state === 'gone') return;
    if (this.#state === 'dialling') {
      this.#dialFailed('unreachable');
      return;
    }
    const user = this.#user;
    this.destroy();
    user?.onUpstreamClose(reset ? 'broken' : 'closed');
  }

  #clearDialTimer(): void {
    if (this.#dialTimer === null) return;
    clearTimeout(this.#dialTimer);
    this.#dialTimer = null;
  }
}

/** A connection that begins with these bytes. */
function greeted(target: NetConnectOpts, greeting: Buffer): Socket {
  const socket = connectTcp(target);
  socket.once('connect', () => socket.write(greeting));
  return socket;
}

/** What an error of a socket that is not open yet means. */
export function failureOf(error: NodeJS.ErrnoException): ConnectFailure {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'refused';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ECONNRESET':
    case 'EPIPE':
      return 'unreachable';
    case 'EMFILE':
    case 'ENFILE':
    case 'EADDRNOTAVAIL':
      return 'limit';
    default:
      return error.syscall === 'connect' ? 'unreachable' : 'tls-failed';
  }
}
