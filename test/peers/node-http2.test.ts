// node:http2 at both ends of the real command: clients that go away, tunnels to pods of HTTP/2.

import { once } from 'node:events';
import { createServer as createHttp1, request as httpRequest, type ServerResponse } from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/router.ts';
import { openTunnel, tunnelSession } from './h2-tunnel.ts';
import { edgeYaml, PeerRouter, podsYaml } from './peer-router.ts';

/** Requests that were never answered, as pods see them. */
class Silence {
  #began: () => void = () => {};
  #ended: () => void = () => {};
  /** A request has come, and it has been cut. */
  readonly began: Promise<void> = new Promise((done) => {
    this.#began = done;
  });
  readonly ended: Promise<void> = new Promise((done) => {
    this.#ended = done;
  });

  take(response: Pick<ServerResponse, 'on'>): void {
    response.on('close', () => this.#ended());
    this.#began();
  }
}

let silence = new Silence();
const servers: Server[] = [];
let peer: PeerRouter;

async function listening(server: Http2Server | Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server as Server);
  return ((server as Server).address() as AddressInfo).port;
}

beforeAll(async () => {
  const first = createHttp1((request, response) => {
    request.resume();
    if (request.url === '/started') response.write('started');
    silence.take(response);
  });
  const second = createServer((request, response) => {
    request.resume();
    if (request.url === '/started') response.write('started');
    silence.take(response as unknown as ServerResponse);
  });
  const tunnels = createServer({ settings: { enableConnectProtocol: true } });
  tunnels.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {});
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 200 }, { endStream: true });
      return;
    }
    if (headers[':path'] === '/refused') {
      stream.respond({ ':status': 403 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200, 'sec-websocket-protocol': 'own' });
    stream.pipe(stream);
  });
  peer = await PeerRouter.start(
    [
      podsYaml('h1', [await listening(first)]),
      podsYaml('h2c', [await listening(second)], 'h2c'),
      podsYaml('tunnels', [await listening(tunnels)], 'h2c'),
      edgeYaml('h1', 'h1.test', 'h1'),
      edgeYaml('h2c', 'h2c.test', 'h2c'),
      edgeYaml('tunnels', 'tunnels.test', 'tunnels'),
    ].join(''),
  );
});

afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  for (const server of servers) server.close();
});

function openSession(host: string): ClientHttp2Session {
  const session = connect(`https://127.0.0.1:${peer.httpsPort}`, { servername: host, rejectUnauthorized: false });
  session.on('error', () => {});
  return session;
}

describe.each(['h1.test', 'h2c.test'])('a client that goes away, %s', (host) => {
  test.each([
    ['before it has an answer', '/silent'],
    ['in the middle of an answer', '/started'],
  ])('%s: the pod hears of it', async (_title, path) => {
    silence = new Silence();
    const session = openSession(host);
    const stream = session.request({ ':path': path, ':authority': host });
    stream.on('error', () => {});
    await silence.began;
    // What the kernel does for a client that is killed: nothing is said but that the connection ends.
    session.socket.destroy();
    session.destroy();
    await silence.ended;
  });

  test('a stream that is reset: the pod hears of it, and the others go on', async () => {
    silence = new Silence();
    const session = openSession(host);
    const stream = session.request({ ':path': '/started', ':authority': host });
    await once(stream, 'response');
    await silence.began;
    stream.close(8);
    await silence.ended;
    const other = session.request({ ':path': '/started', ':authority': host });
    expect((await once(other, 'data')).toString()).toBe('started');
    session.destroy();
  });
});

describe('tunnels to a pod that takes them in HTTP/2', () => {
  test('from HTTP/2', async () => {
    const session = await tunnelSession(peer.httpsPort, 'tunnels.test', 'tls');
    const { stream, status, protocol } = await openTunnel(session, 'tunnels.test');
    expect({ status, protocol }).toEqual({ status: 200, protocol: 'own' });
    stream.write('there and back');
    expect((await once(stream, 'data')).toString()).toBe('there and back');
    stream.end();
    await once(stream, 'end');
    session.destroy();
  });

  test('from HTTP/2, refused', async () => {
    const session = await tunnelSession(peer.httpsPort, 'tunnels.test', 'tls');
    const { status } = await openTunnel(session, 'tunnels.test', { ':path': '/refused' });
    expect(status).toBe(403);
    session.destroy();
  });

  test('from HTTP/1.1', async () => {
    const { status, socket } = await upgrade('tunnels.test');
    expect(status).toBe(101);
    socket?.write('there and back');
    expect(String((await once(socket as NodeJS.EventEmitter, 'data'))[0])).toBe('there and back');
    socket?.destroy();
  });

  test.each(['HTTP/1.1', 'HTTP/2'])('a pod that has offered none is not asked: %s', async (version) => {
    if (version === 'HTTP/1.1') {
      expect((await upgrade('h2c.test')).status).toBe(502);
    } else {
      const session = await tunnelSession(peer.httpsPort, 'h2c.test', 'tls');
      expect((await openTunnel(session, 'h2c.test')).status).toBe(502);
      session.destroy();
    }
    // The answer may be here before the line is.
    const told = await eventually(
      async () => peer.router.lines.findLast(({ reason }) => reason === 'bad-response' || reason === 'upstream-closed'),
      (line) => line?.['detail'] === 'no-tunnels',
    );
    expect(told).toMatchObject({ reason: 'bad-response', detail: 'no-tunnels' });
  });
});

/** Asks for a WebSocket in HTTP/1.1, on the plain port. */
async function upgrade(
  host: string,
): Promise<{ readonly status: number; readonly socket: import('node:net').Socket | null }> {
  const headers = {
    host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  return await new Promise((done, failed) => {
    const request = httpRequest({ port: peer.httpPort, host: '127.0.0.1', headers, agent: false });
    request.on('upgrade', ({ statusCode }, socket) => done({ status: statusCode ?? 0, socket }));
    request.on('response', (response) => {
      response.resume();
      done({ status: response.statusCode ?? 0, socket: null });
    });
    request.on('error', failed);
    request.end();
  });
}
