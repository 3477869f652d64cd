// A WebSocket client for tests, byte by byte (RFC 6455), so that what it sends can be wrong on purpose.

import { connect, type Socket } from 'node:net';

export const opcodes = { text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

export type WebSocketClient = {
  readonly socket: Socket;
  /** The next bytes after the handshake; what there is where the connection ends before. */
  readonly read: (count: number) => Promise<Buffer>;
};

/** A connection to a port of this machine whose handshake has been accepted. Rejects where it has not. */
export async function webSocket(port: number, host: string): Promise<WebSocketClient> {
  const socket = connect({ port, host: '127.0.0.1' });
  let bytes = Buffer.alloc(0);
  let ended = false;
  let wake: (() => void) | null = null;
  const over = (): void => {
    ended = true;
    wake?.();
  };
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    wake?.();
  });
  for (const event of ['end', 'error', 'close']) socket.on(event, over);
  const until = async (fits: () => boolean): Promise<void> => {
    while (!fits() && !ended) {
      await new Promise<void>((woken) => {
        wake = woken;
      });
    }
  };
  const take = (count: number): Buffer => {
    const taken = bytes.subarray(0, count);
    bytes = bytes.subarray(count);
    return taken;
  };
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await until(() => bytes.includes('\r\n\r\n'));
  const head = take(bytes.indexOf('\r\n\r\n') + 4).toString('latin1');
  // The answer to the key of RFC 6455 section 1.3.
  if (!head.startsWith('HTTP/1.1 101 ') || !head.includes('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')) {
    throw new Error(`the handshake was not accepted: ${head}`);
  }
  const read = async (count: number): Promise<Buffer> => {
    await until(() => bytes.length >= count);
    return take(count);
  };
  return { socket, read };
}

/** A whole frame of a client, masked. */
export function clientFrame(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([
    clientFrameHead(opcode, payload.length),
    payload.map((byte, i) => byte ^ (clientMask[i % clientMask.length] ?? 0)),
  ]);
}

function clientFrameHead(opcode: number, length: number): Buffer {
  const head = frameHead(opcode, length);
  head[1] = (head[1] ?? 0) | 0x80;
  return Buffer.concat([head, clientMask]);
}

/** A whole frame of a server. */
export function serverFrame(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([frameHead(opcode, payload.length), payload]);
}

/** The payload of a close frame. */
export function closeCode(code: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return payload;
}

const clientMask: Buffer = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

function frameHead(opcode: number, length: number): Buffer {
  const start = 0x80 | opcode;
  if (length < 126) return Buffer.from([start, length]);
  if (length <= 0xffff) return Buffer.from([start, 126, length >> 8, length & 0xff]);
  const head = Buffer.alloc(10);
  head[0] = start;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}
