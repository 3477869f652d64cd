// The other ends of the data plane, as tests need them: clients and pods that write exactly the bytes they are told to,
// record exactly the bytes that come, and may stall, half-close, reset or lie.

import type { Hash } from 'node:crypto';
import { type AddressInfo, connect, createServer, type Server, type Socket, type TcpSocketConnectOpts } from 'node:net';
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { type Message, readMessage } from './messages.ts';

/** How the other side ended its half: in order, or by breaking the connection. */
export type PeerEnd = 'fin' | 'rst';

/** A wait was in vain: the other side had ended. Scripts of pods may end with it. */
export class PeerGone extends Error {
  override name = 'PeerGone';
}

/** One end of a connection. */
export class Peer implements Disposable {
  readonly socket: Socket;
  /** Bytes that came, in all. */
  receivedBytes = 0;
  /** How the other side ended, null while it has not. A peer that does not read does not hear of it. */
  end: PeerEnd | null = null;
  /** The same, to wait for. */
  readonly ended: Promise<PeerEnd>;
  #pieces: Buffer[] = [];
  #digest: Hash | null = null;
  #watchers: Set<() => void> = new Set();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      if (this.#digest === null) this.#pieces.push(chunk);
      else this.#digest.update(chunk);
      this.#look();
    });
    this.ended = new Promise((done) => {
      const end = (how: PeerEnd): void => {
        this.end ??= how;
        done(this.end);
        this.#look();
      };
      socket.once('end', () => end('fin'));
      socket.on('error', () => end('rst'));
      socket.once('close', () => end('rst'));
    });
  }

  /** A client of a port on this machine. */
  static async connect(port: number, options: Partial<TcpSocketConnectOpts> = {}): Promise<Peer> {
    const socket = connect({ host: '127.0.0.1', noDelay: true, allowHalfOpen: true, ...options, port });
    const peer = new Peer(socket);
    await connected(socket, 'connect');
    return peer;
  }

  /** A TLS client; rejects where the handshake fails. Any certificate will do unless `rejectUnauthorized` says otherwise. */
  static async connectTls(port: number, options: ConnectionOptions = {}): Promise<Peer> {
    const base = { host: '127.0.0.1', rejectUnauthorized: false, allowHalfOpen: true };
    const socket = connectTls({ ...base, ...options, port });
    const peer = new Peer(socket);
    await connected(socket, 'secureConnect');
    return peer;
  }

  /** The socket of a TLS client or server. */
  get tls(): TLSSocket {
    return this.socket as TLSSocket;
  }

  /** What came and has not been taken. */
  get bytes(): Buffer {
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0] ?? Buffer.alloc(0);
  }

  get text(): string {
    return this.bytes.toString('latin1');
  }

  /** Forgets and answers the first `length` bytes of what came. */
  take(length: number = this.bytes.length): Buffer {
    const { bytes } = this;
    this.#pieces = length < bytes.length ? [bytes.subarray(length)] : [];
    return bytes.subarray(0, length);
  }

  /** Waits until something is so, which is asked again whenever bytes come or the other side ends. */
  until(fits: () => boolean): Promise<void> {
    if (fits()) return Promise.resolve();
    return new Promise((done, failed) => {
      const watcher = (): void => {
        if (fits()) {
          this.#watchers.delete(watcher);
          done();
        } else if (this.end !== null) {
          this.#watchers.delete(watcher);
          failed(new PeerGone(`the other side ended (${this.end}) after ${JSON.stringify(this.text.slice(0, 2000))}`));
        }
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }

  /** Waits until this text has come, takes everything up to its end and answers it. */
  async untilText(text: string): Promise<string> {
    await this.until(() => this.bytes.includes(text, 0, 'latin1'));
    return this.take(this.bytes.indexOf(text, 0, 'latin1') + text.length).toString('latin1');
  }

  /** Waits for so many bytes in all, kept or not. */
  untilBytes(receivedBytes: number): Promise<void> {
    return this.until(() => this.receivedBytes >= receivedBytes);
  }

  /** The next whole message. `head`: it answers a HEAD. */
  async message(options: { readonly head?: boolean } = {}): Promise<Message> {
    const read = (): Message | null =>
      readMessage(this.bytes, { head: options.head === true, ended: this.end === 'fin' });
    await this.until(() => read() !== null);
    const message = read();
    if (message === null) throw new Error('a message that was there is gone');
    this.take(message.text.length);
    return message;
  }

  /** Sends pieces as they are. Resolves when the last has been handed to the kernel. */
  async write(...pieces: readonly (string | Buffer)[]): Promise<void> {
    let last: Promise<void> = Promise.resolve();
    for (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
      last = new Promise((done) => {
        this.socket.write(bytes, () => done());
      });
    }
    await last;
  }

  /** Sends pieces one by one, each in a segment of its own that is read before the next one leaves. */
  async writeApart(...pieces: readonly (string | Buffer)[]): Promise<void> {
    for (const piece of pieces) {
      await this.write(piece);
      await turn();
    }
  }

  /** Sends so many bytes, as fast as the other side takes them, into `digest`. Resolves when all have left. */
  async writeMany(totalBytes: number, digest: Hash, chunkBytes: number = 65_536): Promise<void> {
    const chunk = Buffer.allocUnsafe(chunkBytes);
    for (let i = 0; i < chunkBytes; i++) chunk[i] = (i * 31 + (i >> 8)) & 0xff;
    for (let sent = 0; sent < totalBytes; ) {
      const piece = chunk.subarray(0, Math.min(chunkBytes, totalBytes - sent));
      digest.update(piece);
      sent += piece.length;
      if (!this.socket.write(piece)) {
        await drained(this.socket);
        if (this.socket.destroyed) throw new PeerGone('the other side ended while bytes were sent');
      }
    }
  }

  /** From now on what comes is counted and hashed, and not kept. What is there already goes into the hash. */
  hashInto(digest: Hash): void {
    digest.update(this.take());
    this.#digest = digest;
  }

  /** Ends the writing half, keeps reading. */
  finish(): void {
    this.socket.end();
  }

  /** Breaks the connection: RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  stopReading(): void {
    this.socket.pause();
  }

  readOn(): void {
    this.socket.resume();
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #look(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** What a pod does with its nth connection. When it is through, the pod closes as soon as the other side has. */
export type Script = (peer: Peer, nth: number) => Promise<void> | void;

/** A pod: a server whose connections follow a script. */
export class Pod implements AsyncDisposable {
  /** Every connection there ever was. */
  readonly connections: Peer[] = [];
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();
  readonly #problems: unknown[] = [];
  readonly #onConnection: Set<() => void> = new Set();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Starts a pod; with `tls` one that speaks TLS. Without a script it says nothing. */
  static async start(script: Script = () => {}, tls: TlsOptions | null = null): Promise<Pod> {
    const options = { allowHalfOpen: true, noDelay: true };
    const server = tls === null ? createServer(options) : createTlsServer({ ...options, ...tls });
    const pod = new Pod(server);
    server.on('connection', (socket: Socket) => pod.#sockets.add(socket));
    server.on(tls === null ? 'connection' : 'secureConnection', (socket: Socket) => pod.#accept(socket, script));
    await new Promise<void>((listening) => {
      server.listen(0, '127.0.0.1', listening);
    });
    return pod;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The nth connection, from 0, past or future. */
  async connection(nth: number): Promise<Peer> {
    for (;;) {
      const peer = this.connections[nth];
      if (peer !== undefined) return peer;
      await new Promise<void>((came) => this.#onConnection.add(came));
    }
  }

  /** Everything that came over all connections and was not taken by a script. */
  get text(): string {
    return this.connections.map((peer) => peer.text).join('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((closed) => {
      this.#server.close(() => closed());
    });
    if (this.#problems.length > 0) throw this.#problems[0];
  }

  #accept(socket: Socket, script: Script): void {
    const peer = new Peer(socket);
    this.connections.push(peer);
    for (const came of this.#onConnection) came();
    this.#onConnection.clear();
    const live = async (): Promise<void> => {
      try {
        await script(peer, this.connections.length - 1);
      } catch (problem) {
        if (!(problem instanceof PeerGone)) this.#problems.push(problem);
      }
      await peer.ended;
      peer.finish();
    };
    void live();
  }
}

/** Leaves everything to the test, the end too. */
export const holdOpen: Script = () => new Promise(() => {});

/** Answers every request of a connection, one after the other. Requests are kept in `seen`, if given. */
export function answering(answer: string | ((request: Message) => string | Buffer), seen: Message[] = []): Script {
  return async (peer) => {
    for (;;) {
      const request = await peer.message();
      seen.push(request);
      await peer.write(typeof answer === 'string' ? answer : answer(request));
    }
  };
}

/** A response with a length. */
export function ok(body: string, extraFields = ''): string {
  return `HTTP/1.1 200 OK\r\n${extraFields}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** A GET. */
export function getRequest(host: string, target = '/', extraFields = ''): string {
  return `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${extraFields}\r\n`;
}

/** A port of this machine on which nobody listens: held by a client's end, so that nobody else gets it. */
export class RefusingPort implements AsyncDisposable {
  readonly port: number;
  readonly #holder: Socket;
  readonly #server: Server;

  private constructor(holder: Socket, server: Server) {
    this.#holder = holder;
    this.#server = server;
    this.port = holder.localPort ?? 0;
  }

  static async find(): Promise<RefusingPort> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
    });
    await new Promise<void>((listening) => {
      server.listen(0, '127.0.0.1', listening);
    });
    const holder = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
    await connected(holder, 'connect');
    return new RefusingPort(holder, server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.resetAndDestroy();
    await new Promise<void>((closed) => {
      this.#server.close(() => closed());
    });
  }
}

/** Waits until a count has stood still for a while: nothing moves any more. */
export async function untilStill(count: () => number): Promise<void> {
  for (let last = -1, same = 0; same < 10; ) {
    await turn();
    await new Promise((later) => setTimeout(later, 5));
    same = count() === last ? same + 1 : 0;
    last = count();
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((done) => {
    const over = (): void => {
      socket.removeListener('drain', over);
      socket.removeListener('close', over);
      done();
    };
    socket.on('drain', over);
    socket.on('close', over);
  });
}

/** A whole turn of the event loop: what the kernel has for anybody in this process is read. */
export function turn(): Promise<void> {
  // The first one may still belong to the turn that is under way.
  return new Promise((done) => setImmediate(() => setImmediate(done)));
}

/** Waits until a connection stands; rejects where it comes to nothing. */
export function connected(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((done, failed) => {
    socket.once('error', failed);
    // A TLS handshake that is cut without an alert ends with 'close' alone on some paths.
    socket.once('close', () => failed(new PeerGone('the connection was closed before it stood')));
    socket.once(event, () => {
      socket.removeListener('error', failed);
      done();
    });
  });
}
