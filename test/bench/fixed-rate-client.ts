// The process behind fixed-rate.ts: sends what is due every millisecond until its time is up, then waits for the last answers.

import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, createSecureContext } from 'node:tls';
import type { FixedRateLoad } from './fixed-rate.ts';
import { quantile } from './statistics.ts';

const TICK_MS = 1;
/** The timers of this process are no finer; what comes later than that counts from when it was due. */
const TICK_SLACK_MS = 2;
const LAST_ANSWERS_MS = 10_000;
/** Until its own code is compiled this process is late by up to 20 ms at a time, which would be laid to the router's charge. */
const WARM_UP_SECONDS = 1.5;
/** In place of the time that a request is due. */
const NOT_COUNTED = -1;
const SUCCESS = Buffer.from('HTTP/1.1 200 ');
const HEAD_END = '\r\n\r\n';

const load: FixedRateLoad = JSON.parse(process.argv[2] ?? '');
const request = `GET ${load.path} HTTP/1.1\r\nHost: ${load.host}\r\n\r\n`;
// As in new-connections-client.ts.
const secureContext = createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });

type Client = { readonly socket: Socket; dueMs: number; isBusy: boolean; received: Buffer };

const clients = await Promise.all(Array.from({ length: load.connections }, openClient));
const free: Client[] = [...clients];
/** When the requests were due for which no connection was free yet. */
const waiting: number[] = [];
const latenciesUs: number[] = [];
let bytes = 0;
let errors = 0;
/** Of the last whole answer. */
let usualBytes = 0;

const startedAt = performance.now();
const uncounted = Math.round(load.perSecond * WARM_UP_SECONDS);
const counted = load.perSecond * load.seconds;
const total = uncounted + counted;
for (let sent = 0; sent < total; ) {
  const now = performance.now();
  const due = Math.min(total, Math.floor(((now - startedAt) * load.perSecond) / 1_000));
  for (; sent < due; sent++) {
    const dueMs = startedAt + (sent * 1_000) / load.perSecond;
    if (sent < uncounted) ask(NOT_COUNTED);
    else ask(now - dueMs <= TICK_SLACK_MS ? now : dueMs);
  }
  await pause(TICK_MS);
}
const durationUs = Math.round((performance.now() - startedAt - WARM_UP_SECONDS * 1_000) * 1_000);
const deadline = performance.now() + LAST_ANSWERS_MS;
while (latenciesUs.length + errors < counted && performance.now() < deadline) await pause(TICK_MS);

const report = {
  requests: latenciesUs.length,
  bytes,
  durationUs,
  p50Us: Math.round(quantile(latenciesUs, 0.5)),
  p99Us: Math.round(quantile(latenciesUs, 0.99)),
  errors: counted - latenciesUs.length,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit();

function ask(dueMs: number): void {
  const client = free.pop();
  if (client === undefined) waiting.push(dueMs);
  else send(client, dueMs);
}

function send(client: Client, dueMs: number): void {
  client.dueMs = dueMs;
  client.isBusy = true;
  client.socket.write(request);
}

async function openClient(): Promise<Client> {
  const tcp = connectTcp({ host: '127.0.0.1', port: load.port, noDelay: true });
  const socket =
    load.scheme === 'http'
      ? tcp
      : connect({ socket: tcp, servername: load.host, secureContext, rejectUnauthorized: false });
  await once(socket, load.scheme === 'http' ? 'connect' : 'secureConnect');
  const client: Client = { socket, dueMs: 0, isBusy: false, received: Buffer.alloc(0) };
  socket.on('data', (chunk: Buffer) => take(client, chunk));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    if (client.isBusy) errors++;
    const index = free.indexOf(client);
    if (index >= 0) free.splice(index, 1);
  });
  return client;
}

/** Reads an answer, which has a Content-Length. */
function take(client: Client, chunk: Buffer): void {
  // Most answers are like the one before, and reading them must not be what limits the rate.
  const isUsual =
    chunk.length === usualBytes && client.received.length === 0 && chunk.subarray(0, SUCCESS.length).equals(SUCCESS);
  if (isUsual && client.isBusy) {
    done(client, usualBytes);
    return;
  }
  client.received = client.received.length === 0 ? chunk : Buffer.concat([client.received, chunk]);
  const end = client.received.indexOf(HEAD_END);
  if (end < 0) return;
  const head = client.received.toString('latin1', 0, end + 2);
  const length = Number(/\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]);
  const whole = end + HEAD_END.length + length;
  if (client.received.length < whole) return;
  if (!client.isBusy || client.received.length > whole || !head.startsWith('HTTP/1.1 200 ')) {
    client.socket.destroy();
    return;
  }
  usualBytes = whole;
  done(client, whole);
}

function done(client: Client, answerBytes: number): void {
  if (client.dueMs !== NOT_COUNTED) {
    latenciesUs.push((performance.now() - client.dueMs) * 1_000);
    bytes += answerBytes;
  }
  client.received = Buffer.alloc(0);
  client.isBusy = false;
  const next = waiting.shift();
  if (next === undefined) free.push(client);
  else send(client, next);
}
