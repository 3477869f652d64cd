// TLS clients whose bytes leave in pieces of the test's choosing.

import type { TcpSocketConnectOpts } from 'node:net';
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect } from 'node:tls';
import { connected, Peer } from './peers.ts';

/** Pieces that the nth write of a TLS client leaves in; the 0th is its ClientHello. */
export type Cut = (bytes: Buffer, nth: number) => readonly Buffer[] | Promise<readonly Buffer[]>;

/** A raw connection as a stream for a TLS client to write to, that leaves in pieces. */
class CutStream extends Duplex {
  readonly #peer: Peer;
  readonly #cut: Cut;
  #writes = 0;

  constructor(peer: Peer, cut: Cut) {
    super({ allowHalfOpen: true });
    this.#peer = peer;
    this.#cut = cut;
    peer.socket.on('data', (chunk: Buffer) => this.push(chunk));
    peer.socket.once('end', () => this.push(null));
    peer.socket.once('close', () => this.destroy());
  }

  override _read(): void {
    // Pushed as it comes: tests over this stream are small.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const nth = this.#writes++;
    const leave = async (): Promise<void> => await this.#peer.writeApart(...(await this.#cut(chunk, nth)));
    leave().then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#peer.finish();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#peer.socket.destroy();
    done(error);
  }
}

/** A TLS client; what leaves is cut first, and each piece goes in a segment of its own. Rejects where the handshake fails. */
export async function connectTlsInPieces(
  port: number,
  cut: Cut,
  options: ConnectionOptions = {},
  from: Partial<TcpSocketConnectOpts> = {},
): Promise<Peer> {
  const stream = new CutStream(await Peer.connect(port, from), cut);
  const socket = connect({ rejectUnauthorized: false, ...options, socket: stream });
  const peer = new Peer(socket);
  await connected(socket, 'secureConnect');
  return peer;
}
