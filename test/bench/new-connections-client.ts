// The process behind new-connections.ts: connects, asks, is answered and disconnected, over and over until its time is up.

import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import type { NewConnectionsLoad } from './new-connections.ts';
import { quantile } from './statistics.ts';

const load: NewConnectionsLoad = JSON.parse(process.argv[2] ?? '');
const request = `GET ${load.path} HTTP/1.1\r\nHost: ${load.host}\r\nConnection: close\r\n\r\n`;
// One group for all: a router with a newer OpenSSL would else pick a post-quantum one, and do more work than its peer.
const secureContext = createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });

/** What the connections resume; null: they make full handshakes. */
const session = load.handshake === 'resumed' ? await newSession() : null;
const latenciesUs: number[] = [];
let bytes = 0;
let errors = 0;
const startedAt = performance.now();
const endAt = startedAt + load.seconds * 1_000;
await Promise.all(Array.from({ length: load.concurrency }, connectUntilEnd));

const report = {
  requests: latenciesUs.length,
  bytes,
  durationUs: Math.round((performance.now() - startedAt) * 1_000),
  p50Us: Math.round(quantile(latenciesUs, 0.5)),
  p99Us: Math.round(quantile(latenciesUs, 0.99)),
  errors,
};
process.stdout.write(`${JSON.stringify(report)}\n`);

async function connectUntilEnd(): Promise<void> {
  while (performance.now() < endAt) {
    const connectedAt = performance.now();
    if (await isAnswered()) latenciesUs.push((performance.now() - connectedAt) * 1_000);
    else errors++;
  }
}

/** The newest session of a connection that was answered and closed. Rejects when the router gives none. */
function newSession(): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let newest: Buffer | null = null;
    const socket = connectSecurely(null);
    socket.on('secureConnect', () => socket.write(request));
    socket.on('session', (ticket: Buffer) => {
      newest = ticket;
    });
    socket.resume();
    socket.on('error', reject);
    socket.on('close', () => (newest === null ? reject(new Error('no session to resume')) : resolve(newest)));
  });
}

/** Whether one connection was made with the handshake that was asked for and answered with 200. */
function isAnswered(): Promise<boolean> {
  return new Promise((resolve) => {
    let answered = false;
    const socket = connectSecurely(session);
    socket.on('secureConnect', () => {
      if (socket.isSessionReused() === (session !== null)) socket.write(request);
      else socket.destroy();
    });
    socket.on('data', (chunk: Buffer) => {
      answered ||= chunk.toString('latin1', 0, 12) === 'HTTP/1.1 200';
      bytes += chunk.length;
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(answered));
  });
}

function connectSecurely(resumed: Buffer | null): TLSSocket {
  return connect({
    host: '127.0.0.1',
    port: load.port,
    servername: load.host,
    secureContext,
    rejectUnauthorized: false,
    ...(resumed === null ? {} : { session: resumed }),
  });
}
