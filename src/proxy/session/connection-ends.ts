// Who is at either end of a client's connection: what the operating system says, or a PROXY header in its place.

import type { Socket } from 'node:net';
import { unmapped } from '../../protocol/ip-address.ts';
import { renderProxyHeader, type TransportAddress } from '../../protocol/proxy-header.ts';
import type { Sender } from '../upstream/connector.ts';

/** Both ends as a PROXY header named them; null each where the connection's own addresses stand. */
export type NamedEnds = {
  readonly source: TransportAddress | null;
  readonly destination: TransportAddress | null;
};

/** The peer's address, empty where it has gone; an IPv4 client of a dual-stack socket is an IPv4 client. */
export function peerAddress(socket: Socket): string {
  return unmapped(socket.remoteAddress ?? '');
}

/** A client's connection, as pods are told of it by a PROXY header. */
export class AnnouncedConnection implements Sender {
  readonly #socket: Socket;
  readonly #named: NamedEnds | null;

  /** `named`: by the header that the connection itself began with. */
  constructor(socket: Socket, named: NamedEnds | null) {
    this.#socket = socket;
    this.#named = named;
  }

  /** The header. */
  announce(version: 'v1' | 'v2'): Buffer {
    return renderProxyHeader(version, this.source, this.destination);
  }

  /** The same for connections of which the same header tells. */
  get key(): string {
    const source = this.source;
    const destination = this.destination;
    return `${source.address} ${source.port} ${destination.address} ${destination.port}`;
  }

  /** The client's end. */
  get source(): TransportAddress {
    const socket = this.#socket;
    return this.#named?.source ?? { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
  }

  /** The end that the client has connected to. */
  get destination(): TransportAddress {
    const socket = this.#socket;
    return this.#named?.destination ?? { address: socket.localAddress ?? '', port: socket.localPort ?? 0 };
  }
}
