// A raw HTTP/2 client: over TCP with prior knowledge, or over TLS by ALPN. Nothing that it sends has to make sense.

import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { connected } from '../peers.ts';
import { flags, headers, ping, preface } from './frames.ts';
import { block, type Field } from './hpack.ts';
import { firstSettings, type PeerOptions, RawPeer } from './raw-peer.ts';

export type ClientOptions = PeerOptions & {
  /** Speaks TLS and asks for this name. Absent: plain TCP. */
  readonly servername?: string;
  /** What goes before SETTINGS. Default: the preface of RFC 9113 section 3.4. */
  readonly greeting?: Buffer;
};

export class RawClient extends RawPeer {
  #nextStream = 1;
  #pings = 0;

  /** A client of a port on this machine. Rejects where TLS or `h2` is refused. */
  static async connect(port: number, options: ClientOptions = {}): Promise<RawClient> {
    const { servername } = options;
    const address = { host: '127.0.0.1', port, allowHalfOpen: true };
    const socket =
      servername === undefined
        ? connect({ ...address, noDelay: true })
        : connectTls({ ...address, servername, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    socket.setNoDelay(true);
    const client = new RawClient(socket, 'client', options);
    await connected(socket, servername === undefined ? 'connect' : 'secureConnect');
    if ('alpnProtocol' in socket && socket.alpnProtocol !== 'h2') {
      socket.destroy();
      throw new Error(`the server chose ${JSON.stringify(socket.alpnProtocol)}, not h2`);
    }
    client.write(options.greeting ?? preface, firstSettings(options));
    return client;
  }

  /** The id of the next stream. */
  newStream(): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    return stream;
  }

  /** Sends a request without body and answers its stream; `flagBits` go over the ends of headers and stream. */
  request(fields: readonly Field[], flagBits: number = flags.endHeaders | flags.endStream): number {
    const stream = this.newStream();
    this.write(headers(stream, block(fields), flagBits));
    return stream;
  }

  /** Resolves when the other side has read everything that was sent so far: it answers PINGs in order. */
  async settled(): Promise<void> {
    const sent = ++this.#pings;
    this.write(ping('settled'));
    await this.until(() => this.pongs >= sent);
  }
}

/** The fields of a request; `more` go behind those that it must have. */
export function requestFields(
  authority: string,
  path: string = '/',
  more: readonly Field[] = [],
  method: string = 'GET',
  scheme: string = 'http',
): Field[] {
  return [[':method', method], [':scheme', scheme], [':authority', authority], [':path', path], ...more];
}
