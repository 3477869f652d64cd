// The process behind websocket-echoes.ts: opens its connections and sends message after message until its time is up.

import { connect, createSecureContext } from 'node:tls';
import { clientFrame, opcodes, serverFrame } from '../support/web-socket.ts';
import { quantile } from './statistics.ts';
import type { WebSocketLoad } from './websocket-echoes.ts';
import { HANDSHAKE_HEADERS, MESSAGE } from './websocket-pod.ts';

const load: WebSocketLoad = JSON.parse(process.argv[2] ?? '');
const handshake = [
  `GET ${load.path} HTTP/1.1`,
  `Host: ${load.host}`,
  ...Object.entries(HANDSHAKE_HEADERS).map(([name, value]) => `${name}: ${value}`),
  '\r\n',
].join('\r\n');
const message = clientFrame(opcodes.text, MESSAGE);
const echo = serverFrame(opcodes.text, MESSAGE);
// As in new-connections-client.ts.
const secureContext = createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });

const latenciesUs: number[] = [];
let bytes = 0;
let errors = 0;
const startedAt = performance.now();
const endAt = startedAt + load.seconds * 1_000;
await Promise.all(Array.from({ length: load.connections }, sendUntilEnd));

const report = {
  requests: latenciesUs.length,
  bytes,
  durationUs: Math.round((performance.now() - startedAt) * 1_000),
  p50Us: Math.round(quantile(latenciesUs, 0.5)),
  p99Us: Math.round(quantile(latenciesUs, 0.99)),
  errors,
};
process.stdout.write(`${JSON.stringify(report)}\n`);

/** One connection. It ends with the time, or with the first thing that is not the echo of what was sent. */
function sendUntilEnd(): Promise<void> {
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0);
    let isOpen = false;
    let isDone = false;
    let sentAt = 0;
    const socket = connect({
      host: '127.0.0.1',
      port: load.port,
      servername: load.host,
      secureContext,
      rejectUnauthorized: false,
    });
    socket.setNoDelay(true);
    const send = (): void => {
      sentAt = performance.now();
      isDone = sentAt >= endAt;
      if (isDone) socket.destroy();
      else socket.write(message);
    };
    // A message that never comes back shall not hold the bench.
    const deadline = setTimeout(() => socket.destroy(), load.seconds * 1_000 + 10_000);
    socket.on('secureConnect', () => socket.write(handshake));
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      if (!isOpen) {
        if (!received.includes('\r\n\r\n')) return;
        // The pod says nothing before it is spoken to, so this is the head and no more.
        isOpen = received.toString('latin1', 0, 13) === 'HTTP/1.1 101 ';
        if (!isOpen) {
          socket.destroy();
          return;
        }
      } else {
        if (received.length < echo.length) return;
        if (!received.equals(echo)) {
          socket.destroy();
          return;
        }
        latenciesUs.push((performance.now() - sentAt) * 1_000);
      }
      received = Buffer.alloc(0);
      send();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(deadline);
      if (!isDone) errors++;
      resolve();
    });
  });
}
