// Who is at either end of a client's connection: what the operating system says, or a PROXY header in its place.

import type { Socket } from 'node:net';
import { unmapped } from '../../protocol/ip-address.ts';
import { renderProxyHeader, type TransportAddress } from '../../protocol/proxy-header.ts';

/** Both ends as a PROXY header named them; null each where the connection's own addresses stand. */
export type NamedEnds = {
  readonly source: TransportAddress | null;
  readonly destination: TransportAddress | null;
};

/** The peer's address, empty where it has gone; an IPv4 client of a dual-stack socket is an IPv4 client. */
export function peerAddress(socket: Socket): string {
  return unmapped(socket.remoteAddress ?? '');
}

/** The PROXY header that tells a pod of a client's connection. `named`: by the header that the connection itself began with. */
export function announce(version: 'v1' | 'v2', socket: Socket, named: NamedEnds | null): Buffer {
  const source = named?.source ?? { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
  const destination = named?.destination ?? { address: socket.localAddress ?? '', port: socket.localPort ?? 0 };
  return renderProxyHeader(version, source, destination);
}
