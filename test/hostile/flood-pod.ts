// The pod behind the attacked Route: answers, does not answer, answers with much, takes bodies or does not; by the path.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Bytes of the answer to `/big`: far more than sockets hold on the way. */
export const bigBytes = 33_554_432;
const piece: Buffer = Buffer.alloc(65_536, 'x');

export class FloodPod implements AsyncDisposable {
  readonly #server: Server;

  private constructor() {
    this.#server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
      request.on('error', () => {});
      if (request.url === '/stuck') return;
      request.resume();
      if (request.url === '/silent') return;
      if (request.url === '/big') {
        response.setHeader('content-length', bigBytes);
        let left = bigBytes;
        const pour = (): void => {
          while (left > 0) {
            left -= piece.length;
            if (!response.write(piece)) return void response.once('drain', pour);
          }
          response.end();
        };
        pour();
        return;
      }
      response.setHeader('content-length', 2);
      if (request.method === 'GET') response.end('ok');
      else request.on('end', () => response.end('ok'));
    });
  }

  static async start(): Promise<FloodPod> {
    const pod = new FloodPod();
    await new Promise<void>((listening) => {
      pod.#server.listen(0, '127.0.0.1', 4096, listening);
    });
    return pod;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}
