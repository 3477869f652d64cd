// One request and its answer on the wire: what was asked, and the answers and refusals that go back.

import { randomUUID } from 'node:crypto';
import { gzip } from 'node:zlib';
import type { Call, Connections, Reply } from './connections.ts';
import type { FaultEffect } from './faults.ts';
import type { LoggedRequest, RequestLog } from './request-log.ts';
import type { Target } from './resources.ts';
import { ApiError, tooLargeBody } from './status.ts';
import { isTrue } from './watches.ts';

const maxBodyBytes = 3 * 1024 * 1024;
// Larger answers are compressed for clients that take it (APIResponseCompression).
const minGzipBytes = 128 * 1024;

export class Exchange {
  readonly call: Call;
  readonly reply: Reply;
  readonly query: URLSearchParams;
  readonly entry: LoggedRequest;
  /** The group of the resource, empty for the core and for what is no resource. */
  readonly group: string;
  body = '';
  /** Nobody is there any more to be answered. */
  isOver = false;
  /** What a fault does to this request. */
  effect: FaultEffect | null = null;
  readonly #connections: Connections;
  readonly #log: RequestLog;

  constructor(call: Call, reply: Reply, url: URL, target: Target | null, connections: Connections, log: RequestLog) {
    this.call = call;
    this.reply = reply;
    this.query = url.searchParams;
    this.group = target?.group ?? '';
    this.entry = logged(call, url, target);
    this.#connections = connections;
    this.#log = log;
    reply.on('error', () => {});
    reply.on('close', () => {
      this.isOver = true;
    });
    log.add(this.entry);
  }

  /** False where the client went away before it had said everything. */
  async readBody(): Promise<boolean> {
    const body = await bodyOf(this.call);
    this.body = body ?? '';
    return body !== null;
  }

  /** The head of an answer whose body comes bit by bit. */
  open(code: number): void {
    this.entry.status = code;
    this.reply.writeHead(code, headers('application/json'));
    this.reply.flushHeaders();
  }

  async answer(code: number, text: string, contentType = 'application/json'): Promise<void> {
    await this.slowDown();
    if (this.effect?.kind === 'dropAnswer') return this.cut('rst');
    if (this.effect?.kind === 'halfAnswer') {
      this.open(code);
      this.reply.write(text.slice(0, text.length / 2), () => this.cut('rst'));
      return;
    }
    const plain = Buffer.from(text);
    const takesGzip = /\bgzip\b/.test(String(this.call.headers['accept-encoding'] ?? ''));
    const isGzip = this.call.method === 'GET' && plain.length > minGzipBytes && takesGzip;
    this.#end(code, isGzip ? await gzipped(plain) : plain, {
      ...headers(contentType),
      ...(isGzip ? { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } : {}),
    });
  }

  answerPage(code: number): void {
    this.#end(code, Buffer.from('<html><body>\n<h1>Sorry</h1>\n</body></html>\n'), headers('text/html'));
  }

  refuse(error: unknown): void {
    // Anything but a refusal is a mistake in this server, and has to show.
    const refusal = error instanceof ApiError ? error : new ApiError(500, 'InternalError', `${(error as Error).stack}`);
    if (this.reply.headersSent) {
      this.cut('fin');
      throw error;
    }
    const { code, status, text } = refusal;
    const retryAfter = status.details?.retryAfterSeconds;
    this.#end(code, Buffer.from(text ?? `${JSON.stringify(status)}\n`), {
      ...headers(text === null ? 'application/json' : 'text/plain; charset=utf-8'),
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
    });
  }

  /** The end of the connection below. */
  cut(how: 'rst' | 'fin'): void {
    this.#connections.cut(this.call, how);
  }

  /** Waits where a fault says so. */
  async slowDown(): Promise<void> {
    const { effect } = this;
    if (effect?.kind === 'slow') await new Promise((done) => setTimeout(done, effect.delayMs).unref());
  }

  #end(code: number, body: Buffer, heads: Readonly<Record<string, string>>): void {
    this.entry.status = code;
    this.reply.writeHead(code, { ...heads, 'content-length': body.length });
    this.reply.end(body);
    this.#log.changed();
  }
}

function headers(contentType: string): Readonly<Record<string, string>> {
  return { 'content-type': contentType, 'cache-control': 'no-cache, private', 'audit-id': randomUUID() };
}

const verbs: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

function logged(call: Call, url: URL, target: Target | null): LoggedRequest {
  const { searchParams } = url;
  const method = call.method ?? 'GET';
  const isCollection = target !== null && target.name === '';
  const read = isCollection ? (isTrue(searchParams.get('watch')) ? 'watch' : 'list') : 'get';
  const verb = verbs[method] ?? read;
  // A list of one object by name is, for who may make it, about that object.
  const named = /(?:^|,)metadata\.name==?([^,]+)/.exec(searchParams.get('fieldSelector') ?? '');
  const selected = verb === 'list' || verb === 'watch' ? named?.[1] : undefined;
  return {
    method,
    path: url.pathname,
    query: Object.fromEntries(searchParams),
    verb: verb === 'delete' && isCollection ? 'deletecollection' : verb,
    resource: target?.resource ?? '',
    subresource: target?.subresource ?? '',
    namespace: target?.namespace ?? '',
    name: selected ?? target?.name ?? '',
    contentType:
      String(call.headers['content-type'] ?? '')
        .split(';')[0]
        ?.trim() ?? '',
    atMs: Date.now(),
    status: 0,
    user: '',
    isOpen: false,
  };
}

function bodyOf(call: Call): Promise<string | null> {
  return new Promise((done, failed) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    call.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) failed(tooLargeBody(maxBodyBytes));
      else pieces.push(chunk);
    });
    call.on('end', () => done(Buffer.concat(pieces).toString()));
    call.on('error', () => done(null));
    call.on('close', () => done(null));
  });
}

function gzipped(plain: Buffer): Promise<Buffer> {
  return new Promise((done, failed) => {
    gzip(plain, { level: 1 }, (error, bytes) => (error === null ? done(bytes) : failed(error)));
  });
}
