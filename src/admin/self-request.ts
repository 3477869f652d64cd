// Whether the router answers on its own plain port: the readiness check that goes the way of the clients (Route semantics 6.1).

import { connect } from 'node:net';
import { AddressList } from '../table/address-list.ts';

/** Where and how the router is asked. */
export type SelfRequestSettings = {
  /** Address on which plain HTTP is accepted, and the port that was really bound. */
  readonly bindAddress: string;
  readonly httpPort: number;
  /** A URL in place of these; empty for none. */
  readonly readyUrl: string;
  /** Whether connections begin with a PROXY header, and from which networks (`address/bits`); none of them is all. */
  readonly proxyProtocol: boolean;
  readonly proxyProtocolTrusted: readonly string[];
};

/** What came of it. */
export type SelfAnswer = { readonly ok: boolean; readonly detail: string };

/** The router's own health path on the plain port. */
const healthTarget = '/_______internal_router_healthz';
const allowedMs = 2_000;
/** A worker that has taken a connection and hangs must not speak for the others: the second try goes to another. */
const firstTryMs = 1_000;
/** Probes may come as often as they like. */
const keepGoodMs = 1_000;
const keepBadMs = 200;
const maxAnswerBytes = 4_096;

export class SelfRequest {
  /** As the OpenShift router names the check. */
  readonly name: 'backend-http' | 'backend-proxy-http';
  readonly #host: string;
  readonly #port: number;
  readonly #request: string;
  readonly #announces: (address: string) => boolean;
  readonly #nowMs: () => number;
  #underWay: Promise<SelfAnswer> | null = null;
  #last: SelfAnswer | null = null;
  #lastUntilMs = 0;

  constructor(settings: SelfRequestSettings, nowMs: () => number) {
    const { bindAddress, httpPort, readyUrl, proxyProtocol, proxyProtocolTrusted } = settings;
    const address = { '0.0.0.0': '127.0.0.1', '::': '::1' }[bindAddress] ?? bindAddress;
    const host = address.includes(':') ? `[${address}]` : address;
    const url = new URL(readyUrl === '' ? `http://${host}:${httpPort}${healthTarget}` : readyUrl);
    this.name = proxyProtocol ? 'backend-proxy-http' : 'backend-http';
    this.#host = url.hostname.replace(/^\[|\]$/g, '');
    this.#port = url.port === '' ? 80 : Number(url.port);
    this.#request = `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nUser-Agent: headgate\r\nConnection: close\r\n\r\n`;
    const trusted = proxyProtocolTrusted.length === 0 ? null : new AddressList(proxyProtocolTrusted);
    // A connection from elsewhere than the balancers must not begin with a header.
    this.#announces = (address) => proxyProtocol && (trusted === null || trusted.has(address));
    this.#nowMs = nowMs;
  }

  /** Asks, or says what was answered a moment ago. Answers within two seconds and never rejects. */
  ask(): Promise<SelfAnswer> {
    if (this.#last !== null && this.#nowMs() < this.#lastUntilMs) return Promise.resolve(this.#last);
    this.#underWay ??= this.#askTwice().then((result) => {
      this.#last = result;
      this.#lastUntilMs = this.#nowMs() + (result.ok ? keepGoodMs : keepBadMs);
      this.#underWay = null;
      return result;
    });
    return this.#underWay;
  }

  async #askTwice(): Promise<SelfAnswer> {
    const sinceMs = performance.now();
    const first = await this.#askOnce(firstTryMs);
    return first.ok ? first : await this.#askOnce(allowedMs - (performance.now() - sinceMs));
  }

  #askOnce(timeoutMs: number): Promise<SelfAnswer> {
    return new Promise((resolve) => {
      const socket = connect({ host: this.#host, port: this.#port });
      const timer = setTimeout(() => {
        resolve({ ok: false, detail: `${where} does not answer in time` });
        socket.destroy();
      }, timeoutMs);
      const where = `${this.#host}:${this.#port}`;
      let text = '';
      let isConnected = false;
      let failure = '';
      socket.on('connect', () => {
        isConnected = true;
        const header = this.#announces((socket.localAddress ?? '').replace(/^::ffff:/, '')) ? 'PROXY UNKNOWN\r\n' : '';
        socket.write(header + this.#request);
      });
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
        if (status !== undefined) resolve({ ok: status === '200', detail: `${where} answers ${status}` });
        // The rest is read so that the other side sees an end in order.
        if (text.length > maxAnswerBytes || (status === undefined && text.length >= 'HTTP/1.1 200'.length)) {
          resolve({ ok: false, detail: `${where} answers, but not in HTTP/1` });
          socket.destroy();
        }
      });
      socket.on('error', (error: NodeJS.ErrnoException) => {
        failure = error.code ?? error.message;
      });
      socket.on('close', () => {
        clearTimeout(timer);
        const why = failure === '' ? '' : ` (${failure})`;
        if (!isConnected) resolve({ ok: false, detail: `${where} cannot be reached${why}` });
        else if (text !== '') resolve({ ok: false, detail: `${where} breaks off its answer${why}` });
        // A worker that has as many connections as it may have closes new ones at once. It serves; to take it out of the
        // load balancer would only send its share to others that are as full.
        else resolve({ ok: true, detail: `${where} takes connections and closes them: full` });
      });
    });
  }
}
