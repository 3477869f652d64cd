// Pods of every protocol that hash what they get, and send as much as they are asked for.

import { createHash } from 'node:crypto';
import { createServer as createPlain, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createH2c, createSecureServer } from 'node:http2';
import { createServer as createTls } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Readable } from 'node:stream';

export type BodyPodKind = 'h1' | 'h2c' | 'tls' | 'h2';

/** `upload` answers the digest of the body, `slow-upload` its length when it has read it slowly, `download/N` sends N bytes; anything else `ok`. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const [, what, count] = (request.url ?? '').split('/');
  if (what === 'upload') {
    const digest = createHash('sha256');
    request.on('data', (piece: Buffer) => digest.update(piece));
    request.on('end', () => response.end(digest.digest('hex')));
    return;
  }
  if (what === 'slow-upload') {
    void readSlowly(request).then((bytes) => response.end(String(bytes)));
    return;
  }
  request.resume();
  if (what === 'download') sendBytes(response, Number(count));
  else response.end('ok');
}

const block: Buffer = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 31 + (i >> 8)) & 0xff));

/** The bytes that a download consists of. */
export function* pieces(count: number): Generator<Buffer> {
  for (let sent = 0; sent < count; sent += block.length) yield block.subarray(0, Math.min(block.length, count - sent));
}

/** Bytes that a slow reader takes at once, and for how long it rests behind them. */
const gulpBytes = 1_048_576;
const restMs = 4;

/** Reads to the end with rests, so that whoever sends is always ahead; answers how many bytes there were. */
export function readSlowly(from: Readable): Promise<number> {
  return new Promise((done, failed) => {
    let bytes = 0;
    let sinceRest = 0;
    from.on('data', (piece: Buffer) => {
      bytes += piece.length;
      sinceRest += piece.length;
      if (sinceRest < gulpBytes) return;
      sinceRest = 0;
      from.pause();
      setTimeout(() => from.resume(), restMs);
    });
    from.once('end', () => done(bytes));
    from.once('error', failed);
    from.once('close', () => failed(new Error(`closed after ${bytes} bytes`)));
  });
}

/** The digest of a download. */
export function digestOf(count: number): string {
  const digest = createHash('sha256');
  for (const piece of pieces(count)) digest.update(piece);
  return digest.digest('hex');
}

function sendBytes(response: ServerResponse, count: number): void {
  const rest = pieces(count);
  response.setHeader('content-length', count);
  const more = (): void => {
    for (;;) {
      const { value, done } = rest.next();
      if (done === true) {
        response.end();
        return;
      }
      if (!response.write(value)) {
        response.once('drain', more);
        return;
      }
    }
  };
  more();
}

export class BodyPod implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket> = new Set();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(
    kind: BodyPodKind,
    { certificate, key }: { readonly certificate: string; readonly key: string },
  ): Promise<BodyPod> {
    const tls = { cert: certificate, key };
    // The compatible interface of node:http2 is that of node:http as far as it is used here.
    const compatible = answer as unknown as Parameters<typeof createH2c>[1];
    const server: Server =
      kind === 'h1'
        ? createPlain(answer)
        : kind === 'tls'
          ? createTls(tls, answer)
          : kind === 'h2c'
            ? (createH2c({}, compatible) as Server)
            : (createSecureServer(tls, compatible) as Server);
    await new Promise<void>((listening) => {
      server.listen(0, '127.0.0.1', listening);
    });
    return new BodyPod(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }
}
