// A pod that speaks WebSocket (RFC 6455) and sends every message back.

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { opcodes, serverFrame } from '../support/web-socket.ts';
import { ECHO_PATH } from './routes.ts';

/** What the clients of the bench ask to be switched with. */
export const HANDSHAKE_HEADERS: Readonly<Record<string, string>> = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

/** What they send. */
export const MESSAGE: Buffer = Buffer.alloc(64, 'message ');

/** Answers with a frame for each, and what is left of the last one. */
export type Echoes = { readonly answers: Buffer; readonly rest: Buffer };

const MASK_BYTES = 4;
/** Above it the length stands elsewhere (section 5.2); the bench sends no such frame. */
const LONGEST_PAYLOAD = 125;

/**
 * A server that sends messages back. To those who come to ECHO_PATH it first tells, in a message of its own, the head that it saw:
 * method, url and header lines.
 */
export function createWebSocketPod(): Server {
  return createServer().on('upgrade', (request: IncomingMessage, socket: Socket, first: Buffer) => {
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Accept: ${acceptance(String(request.headers['sec-websocket-key']))}\r\n\r\n`,
    );
    const { method, url, rawHeaders } = request;
    if (url?.startsWith(ECHO_PATH) === true) {
      socket.write(serverFrame(opcodes.text, Buffer.from(JSON.stringify({ method, url, rawHeaders, body: '' }))));
    }
    let rest: Buffer = first;
    socket.on('data', (chunk: Buffer) => {
      const echoes = echoesOf(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
      if (echoes === null) {
        socket.destroy();
        return;
      }
      rest = echoes.rest;
      if (echoes.answers.length > 0) socket.write(echoes.answers);
    });
  });
}

/** The frames of a client as a server sends them: the same, without their mask. Null when one is longer than 125 bytes. */
export function echoesOf(frames: Buffer): Echoes | null {
  const answers = Buffer.allocUnsafe(frames.length);
  let read = 0;
  let written = 0;
  while (frames.length - read >= 2 + MASK_BYTES) {
    const length = frames.readUInt8(read + 1) & 0x7f;
    if (length > LONGEST_PAYLOAD) return null;
    const mask = read + 2;
    const payload = mask + MASK_BYTES;
    if (frames.length < payload + length) break;
    answers[written++] = frames.readUInt8(read);
    answers[written++] = length;
    for (let i = 0; i < length; i++) {
      answers[written++] = frames.readUInt8(payload + i) ^ frames.readUInt8(mask + (i % MASK_BYTES));
    }
    read = payload + length;
  }
  return { answers: answers.subarray(0, written), rest: frames.subarray(read) };
}

function acceptance(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
