// What the lines of one client connection have in common. Made only where lines are written.

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { unmapped } from '../../protocol/ip-address.ts';
import type { NamedEnds } from '../session/connection-ends.ts';

export class ConnectionFacts {
  /** The port that it came to. */
  readonly listener: 'http' | 'https';
  /** When it was accepted: since the epoch, and by the clock of `performance.now()`, in ms. */
  readonly acceptedAtMs: number = Date.now();
  readonly acceptedMs: number = performance.now();
  /** The other end's port, and our end, as the PROXY header says where there is one. */
  clientPort: number;
  address: string;
  port: number;
  /** How HAProxy's configuration of the OpenShift router calls where it is served. */
  frontend: 'public' | 'public_ssl' | 'fe_sni' | 'fe_no_sni';
  /** How long the PROXY header and the TLS handshake took; 0 without. */
  handshakeMs = 0;
  tlsVersion = '';
  tlsCipher = '';
  /** Requests begun so far, and when the last of them ended (by `performance.now()`). */
  requests = 0;
  idleSinceMs: number;

  constructor(listener: 'http' | 'https', socket: Socket) {
    this.listener = listener;
    this.frontend = listener === 'http' ? 'public' : 'public_ssl';
    this.clientPort = socket.remotePort ?? 0;
    this.address = unmapped(socket.localAddress ?? '');
    this.port = socket.localPort ?? 0;
    this.idleSinceMs = this.acceptedMs;
  }

  /** Both ends as a PROXY header named them. */
  name({ source, destination }: NamedEnds): void {
    this.handshakeMs = performance.now() - this.acceptedMs;
    if (source !== null) this.clientPort = source.port;
    if (destination !== null) {
      this.address = destination.address;
      this.port = destination.port;
    }
  }

  /** Its requests can come: on a clear stream, or behind a handshake. `named`: whether the client said for which host. */
  ready(tls: TLSSocket | null, named: boolean): void {
    this.idleSinceMs = performance.now();
    if (tls === null) return;
    this.handshakeMs = this.idleSinceMs - this.acceptedMs;
    this.frontend = named ? 'fe_sni' : 'fe_no_sni';
    this.tlsVersion = tls.getProtocol() ?? '';
    this.tlsCipher = tls.getCipher().standardName;
  }
}
