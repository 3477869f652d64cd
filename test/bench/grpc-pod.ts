// A pod that answers unary gRPC calls over HTTP/2 without TLS, always with the same message. It reads frames and no headers: the
// pod shares its core with the load generator and must not be what limits the load.

import { createServer, type Server } from 'node:net';

/** The path of the one call. */
export const GRPC_PATH = '/bench.Echo/Call';

/** The message of calls and answers: uncompressed, 64 bytes (gRPC over HTTP/2, "Length-Prefixed-Message"). */
export const GRPC_MESSAGE: Buffer = Buffer.concat([Buffer.from([0, 0, 0, 0, 64]), Buffer.alloc(64, 'message ')]);

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const STREAM_AT = 5;
const DATA = 0x0;
const HEADERS = 0x1;
const SETTINGS = 0x4;
const PING = 0x6;
const WINDOW_UPDATE = 0x8;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const ACK = 0x1;
const INITIAL_WINDOW = 65_535;
/** How much the peer may send before it is given more. */
const RECEIVE_WINDOW = 1 << 30;

// Field lines that need no dynamic table (RFC 7541 section 6): `:status: 200` has an index, the others are literals.
const RESPONSE_HEAD = Buffer.concat([Buffer.from([0x88, 0x0f, 0x10]), hpackText('application/grpc')]);
const TRAILERS = Buffer.concat([Buffer.from([0x00]), hpackText('grpc-status'), hpackText('0')]);

const ANSWER = Buffer.concat([
  frame(HEADERS, END_HEADERS, 0, RESPONSE_HEAD),
  frame(DATA, 0, 0, GRPC_MESSAGE),
  frame(HEADERS, END_HEADERS | END_STREAM, 0, TRAILERS),
]);
/** Where its frames begin. */
const ANSWER_FRAMES: readonly number[] = [
  0,
  FRAME_HEAD_BYTES + RESPONSE_HEAD.length,
  2 * FRAME_HEAD_BYTES + RESPONSE_HEAD.length + GRPC_MESSAGE.length,
];

export function createGrpcPod(): Server {
  return createServer({ noDelay: true }, (socket) => {
    const peer = new UnaryPeer();
    socket.on('error', () => socket.destroy());
    socket.write(peer.greeting);
    socket.on('data', (chunk: Buffer) => {
      const answers = peer.take(chunk);
      if (answers.length > 0) socket.write(answers);
    });
  });
}

/** The server's side of one HTTP/2 connection. */
export class UnaryPeer {
  /** What is sent first: empty SETTINGS and a large window for the connection. */
  readonly greeting: Buffer = Buffer.concat([frame(SETTINGS, 0, 0), windowUpdate(RECEIVE_WINDOW - INITIAL_WINDOW)]);
  #unread: Buffer = Buffer.alloc(0);
  #isGreeted = false;
  #received = 0;
  #sendWindow = INITIAL_WINDOW;
  /** Streams whose answer waits for a larger window. */
  #waiting: number[] = [];

  /** Reads what came and says what to write. */
  take(chunk: Buffer): Buffer {
    let bytes = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    const answers: Buffer[] = [];
    if (!this.#isGreeted && bytes.length >= PREFACE_BYTES) {
      this.#isGreeted = true;
      bytes = bytes.subarray(PREFACE_BYTES);
    }
    let at = 0;
    while (this.#isGreeted && bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (bytes.length < end) break;
      this.#takeFrame(bytes.subarray(at, end), answers);
      at = end;
    }
    this.#unread = bytes.subarray(at);
    while (this.#waiting.length > 0 && this.#sendWindow >= GRPC_MESSAGE.length) {
      this.#sendWindow -= GRPC_MESSAGE.length;
      answers.push(unaryAnswer(this.#waiting.shift() ?? 0));
    }
    return Buffer.concat(answers);
  }

  #takeFrame(bytes: Buffer, answers: Buffer[]): void {
    const [type, flags, stream] = [bytes.readUInt8(3), bytes.readUInt8(4), bytes.readUInt32BE(STREAM_AT) & 0x7fffffff];
    const payload = bytes.subarray(FRAME_HEAD_BYTES);
    switch (type) {
      case DATA:
        this.#received += payload.length;
        if (this.#received >= RECEIVE_WINDOW / 2) {
          answers.push(windowUpdate(this.#received));
          this.#received = 0;
        }
        if ((flags & END_STREAM) !== 0) this.#waiting.push(stream);
        break;
      case HEADERS:
        if ((flags & END_STREAM) !== 0) this.#waiting.push(stream);
        break;
      case SETTINGS:
        if ((flags & ACK) === 0) answers.push(frame(SETTINGS, ACK, 0));
        break;
      case PING:
        if ((flags & ACK) === 0) answers.push(frame(PING, ACK, 0, payload));
        break;
      case WINDOW_UPDATE:
        // That of a stream is never too small for one message.
        if (stream === 0) this.#sendWindow += payload.readUInt32BE(0) & 0x7fffffff;
        break;
    }
  }
}

/** Head, message and trailers on one stream. */
function unaryAnswer(stream: number): Buffer {
  const answer = Buffer.from(ANSWER);
  for (const at of ANSWER_FRAMES) answer.writeUInt32BE(stream, at + STREAM_AT);
  return answer;
}

function windowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(WINDOW_UPDATE, 0, 0, payload);
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, STREAM_AT);
  return Buffer.concat([head, payload]);
}

/** A string literal without Huffman coding, shorter than 127 bytes (RFC 7541 section 5.2). */
function hpackText(text: string): Buffer {
  return Buffer.from([text.length, ...Buffer.from(text, 'latin1')]);
}
