// Clients made of Node's own, used alike whatever they speak: one connection each, over HTTP/1.1 or HTTP/2, with TLS or without.

import { createHash } from 'node:crypto';
import { Agent, type ClientRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type SecureClientSessionOptions,
} from 'node:http2';
import { Agent as TlsAgent } from 'node:https';
import { connect, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { connect as connectTls } from 'node:tls';

/** What a client speaks: `h2c` with prior knowledge on the plain port, `h2` by ALPN. */
export const clientKinds = ['HTTP/1.1', 'HTTP/1.1 over TLS', 'h2c', 'h2'] as const;
export type ClientKind = (typeof clientKinds)[number];

/** The ports that a client may go to. */
export type Ports = { readonly httpPort: number; readonly httpsPort: number };

export type Wish = {
  readonly method?: string;
  readonly path?: string;
  readonly fields?: OutgoingHttpHeaders;
  /** `open`: the test writes it, and ends it. Default: none. */
  readonly body?: Buffer | string | 'open';
  readonly trailers?: Readonly<Record<string, string>>;
};

export type Interim = { readonly status: number; readonly fields: IncomingHttpHeaders };

/** A body that has come to its end, or has been cut. */
export type Whole = {
  readonly text: string;
  readonly length: number;
  readonly hash: string;
  /** Whether it came to its end as its protocol has it. */
  readonly complete: boolean;
  readonly trailers: NodeJS.Dict<string | string[]>;
};

export type Answer = {
  readonly status: number;
  readonly fields: IncomingHttpHeaders;
  /** Names and values as they came. */
  readonly raw: readonly string[];
  readonly body: Readable;
  /** Reads the body to its end. */
  whole(): Promise<Whole>;
};

/** One request that is under way. */
export type Asked = {
  readonly out: Writable;
  readonly interims: readonly Interim[];
  /** Rejects where none comes. */
  readonly answer: Promise<Answer>;
  /** Takes the request back: RST_STREAM, or where there is none, RST. */
  abort(): void;
};

export class WebClient implements AsyncDisposable {
  readonly kind: ClientKind;
  readonly #host: string;
  readonly #port: number;
  readonly #agent: Agent | TlsAgent | null;
  readonly #session: ClientHttp2Session | null;
  /** Of HTTP/1.1: its TCP connection. */
  #socket: Socket | null = null;

  private constructor(
    kind: ClientKind,
    host: string,
    port: number,
    agent: Agent | null,
    to: ClientHttp2Session | null,
  ) {
    this.kind = kind;
    this.#host = host;
    this.#port = port;
    this.#agent = agent;
    this.#session = to;
  }

  /** A client for requests to one host. `options` are for those that speak HTTP/2. */
  static async connect(
    kind: ClientKind,
    ports: Ports,
    host: string,
    options: SecureClientSessionOptions = {},
  ): Promise<WebClient> {
    const port = kind === 'HTTP/1.1' || kind === 'h2c' ? ports.httpPort : ports.httpsPort;
    const base = { keepAlive: true, maxSockets: 1 };
    switch (kind) {
      case 'HTTP/1.1':
        return new WebClient(kind, host, port, new Agent(base), null);
      case 'HTTP/1.1 over TLS':
        return new WebClient(kind, host, port, new TlsAgent(base), null);
      default: {
        const scheme = kind === 'h2' ? 'https' : 'http';
        const session = connectHttp2(`${scheme}://127.0.0.1:${port}`, {
          rejectUnauthorized: false,
          servername: host,
          maxSessionMemory: 1000,
          ...options,
        });
        session.on('error', () => {});
        await new Promise<void>((ready, failed) => {
          session.once('error', failed);
          session.once('remoteSettings', () => ready());
        });
        return new WebClient(kind, host, port, null, session);
      }
    }
  }

  get isHttp2(): boolean {
    return this.#session !== null;
  }

  /** The connection of a client that speaks HTTP/2. */
  get session(): ClientHttp2Session {
    if (this.#session === null) throw new Error(`${this.kind} has no session`);
    return this.#session;
  }

  ask(wish: Wish = {}): Asked {
    return this.#session === null ? this.#askHttp1(wish) : this.#askHttp2(this.#session, wish);
  }

  /** Asks and waits for all of the answer. */
  async get(wish: Wish = {}): Promise<Answer & Whole & { readonly interims: readonly Interim[] }> {
    const asked = this.ask(wish);
    const answer = await asked.answer;
    return { ...answer, ...(await answer.whole()), interims: asked.interims };
  }

  /** Closes its connection, whatever is under way. */
  close(): void {
    this.#session?.destroy();
    this.#agent?.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const session = this.#session;
    if (session !== null && !session.destroyed) {
      const closed = new Promise<void>((done) => session.once('close', () => done()));
      session.destroy();
      await closed;
    }
    this.#agent?.destroy();
    // The agent knows nothing of a connection that has become a tunnel.
    this.#socket?.destroy();
  }

  #askHttp1(wish: Wish): Asked {
    const { method = 'GET', path = '/', fields = {}, body = '', trailers } = wish;
    const headers: OutgoingHttpHeaders = { host: this.#host, ...fields };
    const isSized = 'content-length' in fields || trailers !== undefined || body === 'open';
    if (!isSized && body.length > 0) headers['content-length'] = Buffer.byteLength(body);
    if (trailers !== undefined || (body === 'open' && !('content-length' in fields) && !('upgrade' in fields)))
      headers['transfer-encoding'] = 'chunked';
    const agent = this.#agent ?? false;
    const isTls = this.kind === 'HTTP/1.1 over TLS';
    if (agent !== false) agent.createConnection = () => this.#dial(isTls);
    const out = request({
      agent,
      method,
      path,
      headers,
      protocol: isTls ? 'https:' : 'http:',
      maxHeaderSize: 1 << 20,
    });
    out.on('error', () => {});
    const interims: Interim[] = [];
    out.on('information', (came) => interims.push({ status: came.statusCode, fields: came.headers }));
    if (trailers !== undefined) out.addTrailers(trailers);
    if (body !== 'open') out.end(body);
    const abort = (): void => {
      this.#socket?.resetAndDestroy();
      out.destroy();
    };
    return { out, interims, answer: http1Answer(out), abort };
  }

  #dial(isTls: boolean): Socket {
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    socket.on('error', () => {});
    this.#socket = socket;
    return isTls ? connectTls({ socket, servername: this.#host, rejectUnauthorized: false }) : socket;
  }

  #askHttp2(session: ClientHttp2Session, wish: Wish): Asked {
    const { method = 'GET', path = '/', fields = {}, body = '', trailers } = wish;
    const { host, ...others } = fields;
    const isEmpty = body === '' && trailers === undefined;
    const headers: OutgoingHttpHeaders = { ':method': method, ':path': path, ':authority': host ?? this.#host };
    Object.assign(headers, others);
    if (!isEmpty && body !== 'open' && trailers === undefined && !('content-length' in fields))
      headers['content-length'] = Buffer.byteLength(body);
    const out = session.request(headers, { endStream: isEmpty, waitForTrailers: trailers !== undefined });
    out.on('error', () => {});
    const interims: Interim[] = [];
    out.on('headers', (came) => interims.push({ status: Number(came[':status']), fields: came }));
    if (trailers !== undefined) out.on('wantTrailers', () => out.sendTrailers(trailers));
    if (!isEmpty && body !== 'open') out.end(body);
    return { out, interims, answer: http2Answer(out), abort: () => out.close(constants.NGHTTP2_CANCEL) };
  }
}

function http1Answer(out: ClientRequest): Promise<Answer> {
  return handled(
    new Promise((done, failed) => {
      out.once('error', failed);
      out.once('response', (response) => {
        response.on('error', () => {});
        done({
          status: response.statusCode ?? 0,
          fields: response.headers,
          raw: response.rawHeaders,
          body: response,
          whole: () => whole(response, () => ({ complete: response.complete, trailers: response.trailers })),
        });
      });
    }),
  );
}

function http2Answer(out: ClientHttp2Stream): Promise<Answer> {
  let trailers: NodeJS.Dict<string | string[]> = {};
  let isAborted = false;
  out.on('trailers', (came) => {
    trailers = came;
  });
  out.on('aborted', () => {
    isAborted = true;
  });
  return handled(
    new Promise((done, failed) => {
      out.once('error', failed);
      out.once('close', () => failed(new Error(`no answer: the stream was closed with ${out.rstCode}`)));
      out.once('response', (fields, _flags, raw: readonly string[] = []) => {
        done({
          status: Number(fields[':status']),
          fields,
          raw,
          body: out,
          whole: () =>
            whole(out, () => ({ complete: out.rstCode === constants.NGHTTP2_NO_ERROR && !isAborted, trailers })),
        });
      });
    }),
  );
}

/** Reads to the end, or to where it was cut. */
function whole(body: Readable, ending: () => Pick<Whole, 'complete' | 'trailers'>): Promise<Whole> {
  return new Promise((done) => {
    const hash = createHash('sha1');
    const pieces: Buffer[] = [];
    let length = 0;
    let isEnded = false;
    body.on('data', (piece: Buffer) => {
      hash.update(piece);
      length += piece.length;
      if (length <= 65_536) pieces.push(piece);
    });
    body.on('end', () => {
      isEnded = true;
    });
    const over = (): void => {
      const { complete, trailers } = ending();
      const text = Buffer.concat(pieces).toString('latin1');
      done({ text, length, hash: hash.digest('hex'), complete: complete && isEnded, trailers });
    };
    if (body.closed) over();
    else body.once('close', over);
    // It may have been paused.
    body.resume();
  });
}

/** Answers that nobody waits for may fail. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
