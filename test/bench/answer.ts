// What a client asks and sees, in whatever protocol, as lines of text that can be compared.

import type { TLSSocket } from 'node:tls';

export type Question = {
  readonly isTls: boolean;
  readonly port: number;
  readonly servername: string;
  readonly host: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** With one it is a POST, else a GET. */
  readonly body: Buffer | null;
};

export type Answer = {
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly trailers: readonly string[];
  readonly tls: readonly string[];
};

export const ASK_TIMEOUT_MS = 30_000;

/** Whoever answers has the certificate that was made a moment ago; which it is, is compared. */
export const TLS_CLIENT = { rejectUnauthorized: false, ecdhCurve: 'X25519' } as const;

/** They say nothing of the router's work: the clock, and the connection's own. */
const UNCOMPARED_HEADERS = new Set(['date', 'connection', 'keep-alive']);

/** Names and values in turn as lines, sorted by name. */
export function headerLines(rawHeaders: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = String(rawHeaders[at]).toLowerCase();
    if (!UNCOMPARED_HEADERS.has(name)) lines.push(`${name}: ${rawHeaders[at + 1]}`);
  }
  // The order of lines with different names means nothing; a stable sort keeps that of lines with the same name.
  return lines.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)));
}

/** The same of trailers. */
export function trailerLines(rawTrailers: readonly string[]): readonly string[] {
  return headerLines(rawTrailers).map((line) => `trailer ${line}`);
}

/** What was agreed on in the handshake. */
export function tlsLines(socket: TLSSocket): readonly string[] {
  return [
    `TLS ${socket.getProtocol()} ${socket.getCipher().standardName}`,
    `certificate ${socket.getPeerCertificate().subject.CN} ${socket.getPeerCertificate().fingerprint256}`,
  ];
}

function nameOf(line: string): string {
  // The first character: pseudo-headers begin with a colon.
  return line.slice(0, line.indexOf(':', 1));
}
