// WebSockets through the real command, with ws at both ends, in HTTP/1.1 and in HTTP/2.

import { EventEmitter, once } from 'node:events';
import { createServer as createPlain } from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import { createServer as createSecure } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import { makeCertificate } from '../support/certificates.ts';
import { NamedPod, routeYaml } from '../support/pods.ts';
import { openTunnel, socketOver, tunnelSession } from './h2-tunnel.ts';
import { edgeYaml, PeerRouter, podsYaml, reencryptYaml } from './peer-router.ts';

const megabyte = 1_048_576;

/** A pod that echoes messages, and says goodbye with the code and reason that it is asked for. */
class EchoPod {
  readonly port: number;
  /** Protocols that TLS agreed on, by connection. */
  readonly alpn: (string | false | null)[] = [];
  readonly closes: { readonly code: number; readonly reason: string }[] = [];
  readonly #closed: EventEmitter = new EventEmitter();
  readonly pings: string[] = [];
  readonly #close: () => void;

  private constructor(port: number, sockets: WebSocketServer, close: () => void) {
    this.port = port;
    this.#close = close;
    sockets.on('connection', (socket, request) => {
      this.alpn.push('alpnProtocol' in request.socket ? (request.socket as TLSSocket).alpnProtocol : null);
      socket.on('message', (message, isBinary) => {
        const bye = /^bye (\d+) (.*)$/.exec(isBinary ? '' : message.toString());
        if (bye === null) socket.send(message, { binary: isBinary });
        else socket.close(Number(bye[1]), bye[2]);
      });
      socket.on('ping', (payload) => this.pings.push(payload.toString()));
      socket.on('close', (code, reason) => {
        this.closes.push({ code, reason: reason.toString() });
        this.#closed.emit('close');
      });
      socket.on('error', () => {});
    });
  }

  static async start(tls: { readonly certificate: string; readonly key: string } | null): Promise<EchoPod> {
    const server =
      tls === null ? createPlain() : createSecure({ cert: tls.certificate, key: tls.key, ALPNProtocols: ['http/1.1'] });
    const sockets = new WebSocketServer({
      server,
      handleProtocols: (protocols) => (protocols.has('echo.v2') ? 'echo.v2' : false),
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new EchoPod((server.address() as AddressInfo).port, sockets, () => {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      server.close();
    });
  }

  /** Resolves when a connection has ended so, in the past or the future. */
  async closedWith(code: number, reason: string): Promise<void> {
    while (!this.closes.some((close) => close.code === code && close.reason === reason)) {
      await once(this.#closed, 'close');
    }
  }

  /** How the next connection that ends does so. */
  async nextClose(): Promise<{ readonly code: number }> {
    await once(this.#closed, 'close');
    return this.closes.at(-1) ?? { code: 0 };
  }

  close(): void {
    this.#close();
  }
}

let plain: EchoPod;
let secure: EchoPod;
let web: NamedPod;
let peer: PeerRouter;

beforeAll(async () => {
  plain = await EchoPod.start(null);
  secure = await EchoPod.start(makeCertificate({ names: ['pod.test'] }));
  web = await NamedPod.start('web');
  peer = await PeerRouter.start(
    [
      podsYaml('plain', [plain.port]),
      podsYaml('secure', [secure.port]),
      podsYaml('web', [web.port]),
      podsYaml('none', []),
      routeYaml('none', 'none.test', 'plain'),
      edgeYaml('edge', 'edge.test', 'plain'),
      reencryptYaml('reencrypt', 'reencrypt.test', 'secure'),
      edgeYaml('web', 'web.test', 'web'),
      edgeYaml('empty', 'empty.test', 'none'),
    ].join(''),
  );
});

afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  plain.close();
  secure.close();
  await web[Symbol.asyncDispose]();
});

/** A socket that is open, in HTTP/1.1. */
async function openSocket(host: string, protocols: string[] = []): Promise<WebSocket> {
  const isPlain = host === 'none.test';
  const address = isPlain ? `ws://127.0.0.1:${peer.httpPort}/` : `wss://127.0.0.1:${peer.httpsPort}/`;
  const options = { headers: { host }, servername: host, rejectUnauthorized: false };
  const socket = new WebSocket(address, protocols, options);
  await once(socket, 'open');
  return socket;
}

/** A session that is open and a way to make sockets in it. */
async function openSession(host: string): Promise<ClientHttp2Session> {
  return host === 'none.test'
    ? await tunnelSession(peer.httpPort, host, 'plain')
    : await tunnelSession(peer.httpsPort, host, 'tls');
}

async function openIn(session: ClientHttp2Session, host: string): Promise<WebSocket> {
  const { stream, status } = await openTunnel(session, host);
  expect(status).toBe(200);
  return socketOver(stream);
}

async function echoes(socket: WebSocket, message: string | Buffer): Promise<boolean> {
  const answer = once(socket, 'message');
  socket.send(message);
  const [came, isBinary] = (await answer) as [Buffer, boolean];
  return isBinary === Buffer.isBuffer(message) && came.equals(Buffer.from(message));
}

type Open = { readonly socket: WebSocket; readonly end: () => void };

const clients: readonly { readonly name: string; readonly open: (host: string) => Promise<Open> }[] = [
  {
    name: 'HTTP/1.1',
    open: async (host) => {
      const socket = await openSocket(host);
      return { socket, end: () => socket.terminate() };
    },
  },
  {
    name: 'HTTP/2',
    open: async (host) => {
      const session = await openSession(host);
      return { socket: await openIn(session, host), end: () => session.destroy() };
    },
  },
];

describe.each(clients)('$name', ({ name, open }) => {
  describe.each(['none.test', 'edge.test', 'reencrypt.test'])('%s', (host) => {
    const pod = (): EchoPod => (host === 'reencrypt.test' ? secure : plain);

    test('text, binary, 1 MB and nothing at all come back as they were', async () => {
      const { socket, end } = await open(host);
      for (const message of ['hello', 'é–𝕏', '', Buffer.from([0, 0xff]), Buffer.alloc(0), Buffer.alloc(megabyte, 7)]) {
        expect(await echoes(socket, message)).toBe(true);
      }
      for (const length of [125, 126, 127, 65_535, 65_536, 131_073]) {
        expect(await echoes(socket, Buffer.alloc(length, length))).toBe(true);
      }
      end();
    });

    test('pings and pongs', async () => {
      const { socket, end } = await open(host);
      const pong = once(socket, 'pong');
      socket.ping('are you there?');
      expect(String((await pong)[0])).toBe('are you there?');
      expect(pod().pings).toContain('are you there?');
      end();
    });

    test('the pod closes with a code and a reason', async () => {
      const { socket, end } = await open(host);
      const closed = once(socket, 'close');
      socket.send('bye 4001 enough of this');
      const [code, reason] = (await closed) as [number, Buffer];
      expect([code, reason.toString()]).toEqual([4001, 'enough of this']);
      end();
    });

    test('the client closes with a code and a reason', async () => {
      const { socket, end } = await open(host);
      const reason = `enough of ${host} in ${name}`;
      const closed = once(socket, 'close');
      socket.close(4002, reason);
      expect((await closed)[0]).toBe(4002);
      await pod().closedWith(4002, reason);
      end();
    });

    test('20 MB in small messages, in order, while both sides send', async () => {
      const count = 5_000;
      const { socket, end } = await open(host);
      const message = Buffer.alloc(4_096);
      let next = 0;
      const all = new Promise<void>((done) => {
        socket.on('message', (came: Buffer) => {
          if (came.length === message.length && came.readUInt32BE() === next && ++next === count) done();
        });
      });
      for (let i = 0; i < count; i++) {
        const numbered = Buffer.from(message);
        numbered.writeUInt32BE(i);
        socket.send(numbered);
      }
      await all;
      end();
    });
  });
});

describe('HTTP/1.1', () => {
  test.each(['none.test', 'edge.test', 'reencrypt.test'])('100 at once: %s', async (host) => {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => openSocket(host)));
    const results = await Promise.all(sockets.map((socket, i) => echoes(socket, Buffer.alloc(1_000 + i, i))));
    expect(results.filter((isRight) => !isRight)).toEqual([]);
    for (const socket of sockets) socket.terminate();
  });

  test('a subprotocol is agreed on with the pod', async () => {
    const socket = await openSocket('edge.test', ['echo.v1', 'echo.v2']);
    expect(socket.protocol).toBe('echo.v2');
    socket.terminate();
  });

  test('a pod that offers HTTP/2, too, is asked in HTTP/1.1', () => {
    expect(secure.alpn.length).toBeGreaterThan(0);
    expect(secure.alpn.every((protocol) => protocol === 'http/1.1')).toBe(true);
  });
});

describe('HTTP/2', () => {
  test.each(['none.test', 'edge.test', 'reencrypt.test'])('100 in one connection: %s', async (host) => {
    const session = await openSession(host);
    const sockets = await Promise.all(Array.from({ length: 100 }, () => openIn(session, host)));
    const results = await Promise.all(sockets.map((socket, i) => echoes(socket, Buffer.alloc(1_000 + i, i))));
    expect(results.filter((isRight) => !isRight)).toEqual([]);
    session.destroy();
  });

  test('a subprotocol is agreed on with the pod', async () => {
    const session = await openSession('edge.test');
    const { status, protocol } = await openTunnel(session, 'edge.test', {
      'sec-websocket-protocol': 'echo.v1, echo.v2',
    });
    expect({ status, protocol }).toEqual({ status: 200, protocol: 'echo.v2' });
    session.destroy();
  });

  test.each([
    ['a pod that takes no WebSockets', 'web.test', 502],
    ['no pod', 'empty.test', 503],
    // ws wants a version that it knows.
    ['a handshake that the pod refuses', 'edge.test', 400],
  ])('%s', async (_title, host, expected) => {
    const session = await openSession(host);
    const { status } = await openTunnel(session, host, expected === 400 ? { 'sec-websocket-version': '7' } : {});
    expect(status).toBe(expected);
    session.destroy();
  });

  test('a session that breaks ends its tunnels at the pod, and only those', async () => {
    const [first, second] = [await openSession('edge.test'), await openSession('edge.test')];
    const [doomed, other] = [await openIn(first, 'edge.test'), await openIn(second, 'edge.test')];
    doomed.on('error', () => {});
    expect(await echoes(doomed, 'x')).toBe(true);
    const gone = plain.nextClose();
    first.destroy();
    expect((await gone).code).toBe(1006);
    expect(await echoes(other, 'y')).toBe(true);
    second.destroy();
  });
});
