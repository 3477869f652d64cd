// The thread of HonestSide: a pod, and clients that ask for it over HTTP/1.1 and HTTP/2, plain and over TLS. A thread of its
// own, so that what the attackers do to the test's event loop is not laid to the router's charge.

import { createServer, get } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { parentPort } from 'node:worker_threads';
import type { HonestOrder, HonestReport, HonestWord } from './honest-side.ts';

/** One request of each kind in this time. */
const everyMs = 50;
/** After this a request counts as lost. */
const lostMs = 5_000;
const body = 'honest';

const port = parentPort;
if (port === null) throw new Error('to be run as a thread');
const say = (word: HonestWord): void => port.postMessage(word);

let answered = 0;
let slowestMs = 0;
let slowest = '';
let failures: string[] = [];
let lateMs = 0;
const underWay: Set<Promise<void>> = new Set();

/** Counts what becomes of one request. */
function watch(kind: string, send: (done: (problem: string | null) => void) => void): void {
  const sentMs = performance.now();
  const request = new Promise<void>((over) => {
    let settled = false;
    const done = (problem: string | null): void => {
      if (settled) return;
      settled = true;
      clearTimeout(lost);
      const tookMs = performance.now() - sentMs;
      if (problem === null) answered++;
      else if (failures.length < 20) failures.push(`${kind}: ${problem} after ${tookMs.toFixed(0)} ms`);
      if (tookMs > slowestMs) {
        slowestMs = tookMs;
        slowest = kind;
      }
      over();
    };
    const lost = setTimeout(() => done('no answer'), lostMs);
    send(done);
  });
  underWay.add(request);
  void request.then(() => underWay.delete(request));
}

function judge(status: number, text: string): string | null {
  return status === 200 && text === body ? null : `status ${status}, ${text.slice(0, 200)}`;
}

/** A request over a connection of its own. */
function askHttp1(httpPort: number, host: string): void {
  watch('HTTP/1.1', (done) => {
    get({ host: '127.0.0.1', port: httpPort, headers: { host }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => done(judge(response.statusCode ?? 0, text)));
      response.on('error', (error) => done(error.message));
    }).on('error', (error) => done(error.message));
  });
}

/** Requests over one connection that is meant to last. */
class KeptSession {
  readonly #origin: string;
  readonly #host: string;
  #session: ClientHttp2Session | null = null;

  constructor(origin: string, host: string) {
    this.#origin = origin;
    this.#host = host;
  }

  ask(): void {
    watch(`HTTP/2 ${this.#origin}`, (done) => {
      const stream = this.#open().request({ ':path': '/', ':authority': this.#host });
      let status = 0;
      let text = '';
      stream.on('response', (head) => {
        status = Number(head[':status']);
      });
      stream.setEncoding('latin1').on('data', (piece: string) => {
        text += piece;
      });
      stream.on('end', () => done(judge(status, text)));
      stream.on('error', (error) => done(error.message));
      stream.on('close', () => done(`closed with code ${stream.rstCode}`));
    });
  }

  close(): void {
    this.#session?.destroy();
  }

  #open(): ClientHttp2Session {
    if (this.#session !== null && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = connect(this.#origin, { servername: this.#host, rejectUnauthorized: false });
    session.on('error', (error) => failures.push(`HTTP/2 ${this.#origin}: connection: ${error.message}`));
    session.on('goaway', (code) => failures.push(`HTTP/2 ${this.#origin}: GOAWAY ${code}`));
    this.#session = session;
    return session;
  }
}

const pod = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  request.resume();
  response.setHeader('content-length', body.length);
  response.end(body);
});
pod.listen(0, '127.0.0.1', () => say({ kind: 'pod', port: (pod.address() as AddressInfo).port }));

async function report(): Promise<void> {
  await Promise.all(underWay);
  const told: HonestReport = { answered, slowestMs, slowest, failures, lateMs };
  answered = 0;
  slowestMs = 0;
  slowest = '';
  failures = [];
  lateMs = 0;
  say({ kind: 'report', report: told });
}

function begin(host: string, httpPort: number, httpsPort: number): void {
  const sessions = [
    new KeptSession(`http://127.0.0.1:${httpPort}`, host),
    new KeptSession(`https://127.0.0.1:${httpsPort}`, host),
  ];
  let dueMs = performance.now() + everyMs;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    lateMs = Math.max(lateMs, nowMs - dueMs);
    dueMs = nowMs + everyMs;
    askHttp1(httpPort, host);
    for (const session of sessions) session.ask();
  }, everyMs);
  port?.on('message', (order: HonestOrder) => {
    if (order.kind === 'report') void report();
    if (order.kind !== 'end') return;
    clearInterval(timer);
    for (const session of sessions) session.close();
    pod.closeAllConnections();
    pod.close();
    port.close();
  });
}

port.once('message', (order: HonestOrder) => {
  if (order.kind === 'begin') begin(order.host, order.httpPort, order.httpsPort);
});
