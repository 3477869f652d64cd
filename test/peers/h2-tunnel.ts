// A WebSocket over HTTP/2 (RFC 8441): node:http2 opens the tunnel, and the frames inside are those of ws.

import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import WebSocket from 'ws';

/** A session with a port of this machine; over TLS unless `plain`. Resolves when the router has said that it takes tunnels. */
export async function tunnelSession(port: number, host: string, way: 'tls' | 'plain'): Promise<ClientHttp2Session> {
  const session =
    way === 'plain'
      ? connect(`http://127.0.0.1:${port}`)
      : connect(`https://127.0.0.1:${port}`, { servername: host, rejectUnauthorized: false });
  await new Promise<void>((done, failed) => {
    session.once('error', failed);
    session.once('remoteSettings', ({ enableConnectProtocol }) => {
      if (enableConnectProtocol === true) done();
      else failed(new Error('extended CONNECT was not offered'));
    });
  });
  return session;
}

/** Asks for a tunnel; resolves with its stream and the status of the answer. */
export async function openTunnel(
  session: ClientHttp2Session,
  host: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<{ readonly stream: ClientHttp2Stream; readonly status: number; readonly protocol: string | undefined }> {
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/',
      ':authority': host,
      'sec-websocket-version': '13',
      ...fields,
    },
    { endStream: false },
  );
  return await new Promise((done, failed) => {
    stream.once('error', failed);
    stream.once('response', (headers) => {
      done({
        stream,
        status: Number(headers[':status']),
        protocol: headers['sec-websocket-protocol']?.toString(),
      });
    });
  });
}

/** What ws has inside, and its types leave out: a client's end of a tunnel that stands already. */
type TunnelSocket = { setSocket(socket: Duplex, head: Buffer, options: Readonly<Record<string, unknown>>): void };

/** A client of ws over a tunnel. */
export function socketOver(stream: ClientHttp2Stream): WebSocket {
  // Sockets have what streams of HTTP/2 lack, and ws calls.
  Object.assign(stream, { setNoDelay: () => stream });
  const socket = new WebSocket(null as unknown as string, undefined, { closeTimeout: 30_000 } as object);
  // Without an address it is a server's end, which does not mask.
  Object.assign(socket, { _isServer: false });
  (socket as unknown as TunnelSocket).setSocket(stream, Buffer.alloc(0), {
    allowSynchronousEvents: true,
    maxPayload: 0,
    skipUTF8Validation: false,
  });
  return socket;
}
