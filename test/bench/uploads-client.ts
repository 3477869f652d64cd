// The process behind uploads.ts: sends body after body on each of its connections until its time is up.

import { connect, createSecureContext } from 'node:tls';
import { sinkAnswer } from './sink-pod.ts';
import { quantile } from './statistics.ts';
import type { UploadsLoad } from './uploads.ts';

/** Large enough that it is not what costs, small enough that it waits in no buffer. */
const PIECE_BYTES = 256 * 1024;

const load: UploadsLoad = JSON.parse(process.argv[2] ?? '');
const head = Buffer.from(
  `POST ${load.path} HTTP/1.1\r\nHost: ${load.host}\r\nContent-Type: application/octet-stream\r\nContent-Length: ${load.bodyBytes}\r\n\r\n`,
);
const piece = Buffer.alloc(Math.min(PIECE_BYTES, load.bodyBytes), 'x');
/** A small body goes with its head. */
const first = Buffer.concat([head, piece]);
const answerBody = Buffer.from(`\r\n\r\n${sinkAnswer(load.bodyBytes)}`);
// As in new-connections-client.ts.
const secureContext = createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });

const latenciesUs: number[] = [];
let errors = 0;
const startedAt = performance.now();
const endAt = startedAt + load.seconds * 1_000;
await Promise.all(Array.from({ length: load.connections }, sendUntilEnd));

const report = {
  requests: latenciesUs.length,
  bytes: latenciesUs.length * load.bodyBytes,
  durationUs: Math.round((performance.now() - startedAt) * 1_000),
  p50Us: Math.round(quantile(latenciesUs, 0.5)),
  p99Us: Math.round(quantile(latenciesUs, 0.99)),
  errors,
};
process.stdout.write(`${JSON.stringify(report)}\n`);

/** One connection. It ends with the time, or with the first answer that is not the right one. */
function sendUntilEnd(): Promise<void> {
  return new Promise((resolve) => {
    let received: Buffer = Buffer.alloc(0);
    let isDone = false;
    let sentAt = 0;
    let missing = 0;
    const socket = connect({
      host: '127.0.0.1',
      port: load.port,
      servername: load.host,
      secureContext,
      rejectUnauthorized: false,
    });
    socket.setNoDelay(true);
    const sendMore = (): void => {
      while (missing > 0) {
        const bytes = Math.min(missing, piece.length);
        missing -= bytes;
        if (!socket.write(bytes === piece.length ? piece : piece.subarray(0, bytes))) return;
      }
    };
    const send = (): void => {
      sentAt = performance.now();
      isDone = sentAt >= endAt;
      if (isDone) {
        socket.destroy();
        return;
      }
      missing = load.bodyBytes - piece.length;
      if (socket.write(first)) sendMore();
    };
    // An answer that never comes shall not hold the bench.
    const deadline = setTimeout(() => socket.destroy(), load.seconds * 1_000 + 30_000);
    socket.on('secureConnect', send);
    socket.on('drain', sendMore);
    socket.on('data', (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      if (!received.subarray(-answerBody.length).equals(answerBody)) return;
      const isRight = received.toString('latin1', 0, 13) === 'HTTP/1.1 200 ' && missing === 0;
      received = Buffer.alloc(0);
      if (!isRight) {
        socket.destroy();
        return;
      }
      latenciesUs.push((performance.now() - sentAt) * 1_000);
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
