// The pods of the demo: small servers on loopback that tell who they are and what reached them, and echo WebSocket
// messages. They exist so that the router has something to lead to; nothing of them is part of the router.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { MadeCertificate } from './make-certificate.ts';

/** A pod that answers on 127.0.0.1. `scheme` is also the name of its port. */
export type DemoPod = {
  readonly name: string;
  readonly service: string;
  readonly scheme: 'http' | 'https';
  readonly port: number;
};

const wantedPods: readonly Omit<DemoPod, 'port'>[] = [
  { name: 'hello-1', service: 'hello', scheme: 'http' },
  { name: 'hello-2', service: 'hello', scheme: 'http' },
  { name: 'api-1', service: 'api', scheme: 'http' },
  { name: 'stable-1', service: 'stable', scheme: 'http' },
  { name: 'canary-1', service: 'canary', scheme: 'http' },
  { name: 'secure-1', service: 'secure', scheme: 'https' },
];

/** Longer than a pause between two tries by hand, so that the router's pooled connections stay of use. */
const keepAliveTimeoutMs = 60_000;
const maxConnections = 1_000;
const maxPayloadBytes = 65_536;

export class DemoBackends {
  readonly pods: readonly DemoPod[];
  readonly #servers: readonly Server[];
  readonly #upgraded: ReadonlySet<Duplex>;

  private constructor(pods: readonly DemoPod[], servers: readonly Server[], upgraded: ReadonlySet<Duplex>) {
    this.pods = pods;
    this.#servers = servers;
    this.#upgraded = upgraded;
  }

  /** Starts all pods, each on a free port. `certificate` is that of the pods that speak TLS. */
  static async start(certificate: MadeCertificate): Promise<DemoBackends> {
    const pods: DemoPod[] = [];
    const servers: Server[] = [];
    const upgraded: Set<Duplex> = new Set();
    for (const pod of wantedPods) {
      const server = podServer(pod, certificate, upgraded);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      servers.push(server);
      pods.push({ ...pod, port: (server.address() as AddressInfo).port });
    }
    return new DemoBackends(pods, servers, upgraded);
  }

  /** Ends all pods and their connections at once. */
  close(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    // A server does not know the connections that it gave away.
    for (const socket of this.#upgraded) socket.destroy();
  }
}

function podServer(pod: Omit<DemoPod, 'port'>, certificate: MadeCertificate, upgraded: Set<Duplex>): Server {
  const options: ServerOptions = {
    keepAliveTimeout: keepAliveTimeoutMs,
    // Whatever else a client offers to switch to (h2c, say) is answered as if it had not.
    shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => answerAs(pod.name, request, response);
  const server =
    pod.scheme === 'http'
      ? createServer(options, answer)
      : createTlsServer({ ...options, cert: certificate.certificate, key: certificate.key }, answer);
  server.maxConnections = maxConnections;
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, first: Buffer) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    echo(request, socket, first);
  });
  return server;
}

function answerAs(pod: string, request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  const { method, url: path, headers } = request;
  const body = `${JSON.stringify({ pod, method, path, headers }, null, 2)}\n`;
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(request.method === 'HEAD' ? undefined : body);
}

// WebSocket (RFC 6455): every data frame goes back as it came.

const opcodes = { close: 0x8, ping: 0x9, pong: 0xa } as const;
const closeCodes = { normal: 1000, protocolError: 1002, tooBig: 1009 } as const;
const finalBit = 0x80;
const maxControlPayloadBytes = 125;

type Frame = { readonly opcode: number; readonly final: boolean; readonly payload: Buffer };
type FrameReading =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly sizeBytes: number }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'refused'; readonly code: number };

/** Answers the handshake (section 4.2) and echoes. `?say=TEXT` gets TEXT and a close at once: an echo for curl. */
function echo(request: IncomingMessage, socket: Duplex, first: Buffer): void {
  socket.on('error', () => socket.destroy());
  const key = request.headers['sec-websocket-key'] ?? '';
  if (request.headers['sec-websocket-version'] !== '13' || !/^[+/\w]{22}==$/.test(key)) {
    socket.end(
      'HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    );
    return;
  }
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  const say = new URLSearchParams(/\?(.*)/.exec(request.url ?? '')?.[1]).get('say');
  if (say !== null) {
    const text = Buffer.from(say).subarray(0, maxControlPayloadBytes);
    socket.write(frameBytes({ opcode: 0x1, final: true, payload: text }));
    socket.end(closeFrame(closeCodes.normal));
    socket.resume();
    return;
  }
  let pending = first;
  const read = (): void => {
    for (let reading = readFrame(pending); reading.kind !== 'incomplete'; reading = readFrame(pending)) {
      if (reading.kind === 'refused') {
        socket.end(closeFrame(reading.code));
        socket.removeAllListeners('data').resume();
        return;
      }
      pending = pending.subarray(reading.sizeBytes);
      const { opcode, payload } = reading.frame;
      if (opcode === opcodes.pong) continue;
      const reply = opcode === opcodes.ping ? { opcode: opcodes.pong, final: true, payload } : reading.frame;
      if (!socket.write(frameBytes(reply))) socket.pause();
      if (opcode !== opcodes.close) continue;
      socket.end();
      socket.removeAllListeners('data').resume();
      return;
    }
  };
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    read();
  });
  socket.on('drain', () => socket.resume());
  socket.on('end', () => socket.end());
  read();
}

/** The first frame of what a client sent (section 5.2). Refused: a frame that is wrong, or larger than 64 KiB. */
function readFrame(bytes: Buffer): FrameReading {
  if (bytes.length < 2) return { kind: 'incomplete' };
  const start = bytes.readUInt8(0);
  const second = bytes.readUInt8(1);
  const opcode = start & 0x0f;
  const final = (start & finalBit) !== 0;
  const isControl = opcode >= opcodes.close;
  const shortLength = second & 0x7f;
  const isKnown = opcode <= 0x2 || (isControl && opcode <= opcodes.pong);
  const isMasked = (second & 0x80) !== 0;
  const hasExtensionBits = (start & 0x70) !== 0;
  const isLongControl = isControl && (!final || shortLength > maxControlPayloadBytes);
  if (!isKnown || !isMasked || hasExtensionBits || isLongControl) {
    return { kind: 'refused', code: closeCodes.protocolError };
  }
  const lengthBytes = shortLength === 127 ? 8 : shortLength === 126 ? 2 : 0;
  const headBytes = 2 + lengthBytes + 4;
  if (bytes.length < headBytes) return { kind: 'incomplete' };
  const length =
    lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : lengthBytes === 2 ? bytes.readUInt16BE(2) : shortLength;
  if (length > maxPayloadBytes) return { kind: 'refused', code: closeCodes.tooBig };
  const sizeBytes = headBytes + length;
  if (bytes.length < sizeBytes) return { kind: 'incomplete' };
  const mask = bytes.subarray(headBytes - 4, headBytes);
  const payload = Buffer.from(bytes.subarray(headBytes, sizeBytes));
  for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0);
  return { kind: 'frame', frame: { opcode, final, payload }, sizeBytes };
}

/** A frame as a server sends it: without a mask. */
function frameBytes({ opcode, final, payload }: Frame): Buffer {
  const start = (final ? finalBit : 0) | opcode;
  const { length } = payload;
  if (length < 126) return Buffer.concat([Buffer.from([start, length]), payload]);
  if (length <= 0xffff) return Buffer.concat([Buffer.from([start, 126, length >> 8, length & 0xff]), payload]);
  const head = Buffer.alloc(10);
  head[0] = start;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

function closeFrame(code: number): Buffer {
  return frameBytes({ opcode: opcodes.close, final: true, payload: Buffer.from([code >> 8, code & 0xff]) });
}
