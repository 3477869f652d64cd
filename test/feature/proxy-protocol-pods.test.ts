// The PROXY header that HTTP pods are told of a client by: before everything else on each connection, and true of whoever
// uses the connection.

import { createServer as createHttp, type RequestListener } from 'node:http';
import {
  createServer as createHttp2,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { renderProxyHeader, type TransportAddress } from '../../src/protocol/proxy-header.ts';
import type { Termination } from '../../src/table/entries.ts';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane } from '../support/data-plane.ts';
import { getRequest, Peer } from '../support/peers.ts';
import { readHeaderOf } from '../support/proxy-header-reader.ts';
import { endpoint, route } from '../support/rules.ts';

type Kind = 'HTTP/1.1' | 'h2c' | 'HTTP/1.1 over TLS' | 'HTTP/2 over TLS';

const pair = makeCertificate({ names: ['pod.test'] });
const tls = { cert: pair.certificate, key: pair.key };

/** A pod that wants a PROXY header first, and answers whose it was: `<connection> <address>:<port>`. */
class AnnouncedPod implements AsyncDisposable {
  readonly headers: (TransportAddress | null)[] = [];
  readonly #sockets: Set<Socket> = new Set();
  readonly #server = createServer((socket) => this.#accept(socket));
  readonly #kind: Kind;
  readonly #behind: { emit(event: 'connection', socket: Socket): boolean };

  private constructor(kind: Kind) {
    this.#kind = kind;
    const answer = (
      request: Parameters<RequestListener>[0] | Http2ServerRequest,
      response: Parameters<RequestListener>[1] | Http2ServerResponse,
    ): void => {
      // Both kinds of responses end so; only their types do not agree on it.
      (response as Http2ServerResponse).end(`${request.httpVersion} ${this.headers.length}`);
    };
    switch (kind) {
      case 'HTTP/1.1':
        this.#behind = createHttp(answer).on('upgrade', (_request, socket) =>
          socket.end('HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n'),
        );
        break;
      case 'h2c':
        this.#behind = createHttp2(answer);
        break;
      case 'HTTP/1.1 over TLS':
        this.#behind = createHttps(tls, answer);
        break;
      case 'HTTP/2 over TLS':
        this.#behind = createSecureServer({ ...tls, allowHTTP1: true }, answer);
        break;
    }
  }

  static async start(kind: Kind): Promise<AnnouncedPod> {
    const pod = new AnnouncedPod(kind);
    await new Promise<void>((listening) => pod.#server.listen(0, '127.0.0.1', listening));
    return pod;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    readHeaderOf(socket, (header) => {
      if (header.kind !== 'header') {
        socket.destroy();
        return;
      }
      this.headers.push(header.source);
      this.#behind.emit('connection', socket);
      // The plain HTTP server reads on from where the socket stands; the others take it over.
      if (this.#kind === 'HTTP/1.1') socket.resume();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }
}

const kinds: readonly (readonly [kind: Kind, termination: Termination, version: string])[] = [
  ['HTTP/1.1', 'none', '1.1'],
  ['h2c', 'none', '2.0'],
  ['HTTP/1.1 over TLS', 'reencrypt', '1.1'],
  ['HTTP/2 over TLS', 'reencrypt', '2.0'],
];

describe.each(kinds)('a pod that speaks %s', (kind, termination, httpVersion) => {
  async function serve(pod: AnnouncedPod, proxyProtocol: 'v1' | 'v2', trusts = false): Promise<DataPlane> {
    const pods = [{ ...endpoint(pod.port), h2c: kind === 'h2c' }];
    const wish = { host: 'a.test', pods, termination, insecurePolicy: 'Allow', proxyProtocol } as const;
    return await DataPlane.start(route(wish), trusts ? { proxyTrusted: [] } : {});
  }

  test.each(['v1', 'v2'] as const)(
    'is told of each client by %s, and of none on the connection of another',
    async (version) => {
      await using pod = await AnnouncedPod.start(kind);
      await using plane = await serve(pod, version);
      using first = await Peer.connect(plane.httpPort);
      using second = await Peer.connect(plane.httpPort);
      const bodies: string[] = [];
      for (const peer of [first, second, first, second]) {
        await peer.write(getRequest('a.test'));
        bodies.push((await peer.message()).body.toString());
      }
      // One connection for each client, used again.
      expect(bodies).toEqual([`${httpVersion} 1`, `${httpVersion} 2`, `${httpVersion} 2`, `${httpVersion} 2`]);
      expect(pod.headers).toEqual(
        [first, second].map(({ socket }) => ({ address: '127.0.0.1', port: socket.localPort })),
      );
    },
  );

  test('is told of the client that a balancer named', async () => {
    await using pod = await AnnouncedPod.start(kind);
    await using plane = await serve(pod, 'v2', true);
    const source = { address: '203.0.113.7', port: 4242 };
    using peer = await Peer.connect(plane.httpPort);
    await peer.write(renderProxyHeader('v1', source, { address: '198.51.100.9', port: 80 }), getRequest('a.test'));
    expect((await peer.message()).status).toBe(200);
    expect(pod.headers).toEqual([source]);
  });
});

test('an upgrade begins with the header, too', async () => {
  await using pod = await AnnouncedPod.start('HTTP/1.1');
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], proxyProtocol: 'v1' }));
  using peer = await Peer.connect(plane.httpPort);
  await peer.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  expect((await peer.message()).status).toBe(101);
  expect(pod.headers).toEqual([{ address: '127.0.0.1', port: peer.socket.localPort }]);
});
