// One WebSocket over TLS and one message on it.

import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { clientFrame, opcodes, serverFrame } from '../support/web-socket.ts';
import { type Answer, ASK_TIMEOUT_MS, headerLines, type Question, TLS_CLIENT, tlsLines } from './answer.ts';
import { HANDSHAKE_HEADERS, MESSAGE } from './websocket-pod.ts';

/** The head with status 101, and the pod's first message as the body. Or what came instead, also of the echo. */
export function askWebSocket({ port, servername, host, path, headers }: Question): Promise<Answer | string> {
  return new Promise((resolve) => {
    const request = httpsRequest({
      host: '127.0.0.1',
      port,
      path,
      servername,
      agent: false,
      timeout: ASK_TIMEOUT_MS,
      headers: { ...headers, ...HANDSHAKE_HEADERS, host },
      ...TLS_CLIENT,
    });
    request.on('upgrade', (response: IncomingMessage, socket: TLSSocket, first: Buffer) => {
      const head = { headers: headerLines(response.rawHeaders), trailers: [], tls: tlsLines(socket) };
      if (first.length > 0) socket.unshift(first);
      firstMessage(socket).then(
        (body) => resolve({ ...head, body }),
        (error: Error) => resolve(error.message),
      );
    });
    request.on('response', (response) => {
      resolve(`status ${response.statusCode} instead of 101`);
      request.destroy();
    });
    request.on('timeout', () => request.destroy(new Error('no answer for 30 s')));
    request.on('error', (error) => resolve(error.message));
    request.end();
  });
}

/** Sends a message and gives the payload of the first that comes, which may be another. Rejects when the echo does not come. */
function firstMessage(socket: Duplex): Promise<Buffer> {
  const echo = serverFrame(opcodes.text, MESSAGE);
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (!received.subarray(-echo.length).equals(echo)) return;
      resolve(payloadOf(received));
      socket.destroy();
    });
    for (const event of ['error', 'close', 'timeout']) {
      socket.on(event, () => reject(new Error(`no echo but "${received.toString('latin1')}"`)));
    }
    socket.write(clientFrame(opcodes.text, MESSAGE));
  });
}

/** Of the first frame, which has less than 64 kB (RFC 6455 section 5.2). */
function payloadOf(frames: Buffer): Buffer {
  const short = frames.readUInt8(1);
  return short < 126 ? frames.subarray(2, 2 + short) : frames.subarray(4, 4 + frames.readUInt16BE(2));
}
