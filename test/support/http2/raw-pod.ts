// A raw HTTP/2 pod: a server, plain with prior knowledge or over TLS, whose connections follow a script. What it answers need
// not make sense.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { PeerGone } from '../peers.ts';
import { flags, headers } from './frames.ts';
import { block, type Field } from './hpack.ts';
import { firstSettings, type PeerOptions, RawPeer } from './raw-peer.ts';

export type PodOptions = PeerOptions & {
  /** Speaks TLS, and chooses `h2` if it is offered. Absent: plain TCP. */
  readonly tls?: TlsOptions;
};

/** One connection to a pod. */
export class PodPeer extends RawPeer {
  #answered = 0;

  /** The next request on this connection whose head is whole: its stream. */
  async request(): Promise<number> {
    const heads = (): number[] =>
      [...this.streams].filter(([id, { heads: blocks }]) => id > this.#answered && blocks.length > 0).map(([id]) => id);
    await this.until(() => heads().length > 0, 3_600_000);
    this.#answered = Math.min(...heads());
    return this.#answered;
  }

  /** Sends a head. */
  head(stream: number, fields: readonly Field[], flagBits: number = flags.endHeaders): void {
    this.write(headers(stream, block(fields), flagBits));
  }
}

/** What a pod does with its nth connection. */
export type PodScript = (peer: PodPeer, nth: number) => Promise<void> | void;

export class RawPod implements AsyncDisposable {
  /** Every connection there ever was. */
  readonly connections: PodPeer[] = [];
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();
  readonly #problems: unknown[] = [];
  #script: PodScript;
  #onConnection: (() => void)[] = [];

  private constructor(server: Server, script: PodScript, options: PodOptions) {
    this.#server = server;
    this.#script = script;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
    });
    server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) =>
      this.#accept(socket, options),
    );
  }

  static async start(script: PodScript, options: PodOptions = {}): Promise<RawPod> {
    const base = { allowHalfOpen: true, noDelay: true };
    const server =
      options.tls === undefined
        ? createServer(base)
        : createTlsServer({ ...base, ALPNProtocols: ['h2'], ...options.tls });
    const pod = new RawPod(server, script, options);
    await new Promise<void>((listening) => {
      server.listen(0, '127.0.0.1', listening);
    });
    return pod;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Closes every connection; the coming ones follow another script. */
  follow(script: PodScript): void {
    this.#script = script;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.connections.length = 0;
  }

  /** The nth connection, from 0, past or future. */
  async connection(nth: number): Promise<PodPeer> {
    for (;;) {
      const peer = this.connections[nth];
      if (peer !== undefined) return peer;
      await new Promise<void>((came) => this.#onConnection.push(came));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((closed) => {
      this.#server.close(() => closed());
    });
    if (this.#problems.length > 0) throw this.#problems[0];
  }

  #accept(socket: Socket, options: PodOptions): void {
    const peer = new PodPeer(socket, 'server', options);
    this.connections.push(peer);
    peer.write(firstSettings(options));
    for (const came of this.#onConnection.splice(0)) came();
    const live = async (): Promise<void> => {
      try {
        await this.#script(peer, this.connections.length - 1);
      } catch (problem) {
        if (!(problem instanceof PeerGone)) this.#problems.push(problem);
      }
      await peer.ended;
      socket.end();
    };
    void live();
  }
}

/** Answers every request of a connection, one after the other. Requests are kept in `seen`, if given. */
export function answeringHttp2(body: string, seen: Field[][] = []): PodScript {
  return async (peer) => {
    for (;;) {
      const stream = await peer.request();
      seen.push(peer.stream(stream).heads[0] ?? []);
      peer.head(stream, [
        [':status', '200'],
        ['content-length', String(body.length)],
      ]);
      peer.writeData(stream, Buffer.from(body, 'latin1'), flags.endStream);
    }
  };
}
