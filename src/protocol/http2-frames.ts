// The framing layer of HTTP/2 (RFC 9113 4, 6): bytes that come as they like become frames, whole ones; and the small frames
// that an endpoint writes. What frames mean for a connection or a stream is not decided here.

import { SpareBuffers } from './spare-buffers.ts';

/** Begins every connection of a client (3.4). */
export const clientPreface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** Why a stream or a connection ends (7). */
export const ErrorCode = {
  none: 0x0,
  protocol: 0x1,
  internal: 0x2,
  flowControl: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSize: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compression: 0x9,
  connect: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

/** The RFC's name of an error, for people. */
export function errorName(code: number): string {
  const [name] = Object.entries(ErrorCode).find(([, value]) => value === code) ?? ['unknown'];
  return name.replaceAll(/(?=[A-Z0-9])(?<![0-9])/g, '_').toUpperCase();
}

export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

/** What a window is before anybody says otherwise (6.9.2), and the most that it may become (6.9.1). */
export const defaultWindow = 65_535;
export const maxWindow = 2_147_483_647;

/** The largest payload before a peer allows more (4.2), and the most that it may allow. */
export const defaultFrameBytes = 16_384;
export const maxFrameBytes = 16_777_215;

export const frameHeadBytes = 9;

/** Writes the nine bytes before a payload. */
export function writeFrameHead(
  to: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): void {
  to[at] = length >>> 16;
  to[at + 1] = length >>> 8;
  to[at + 2] = length;
  to[at + 3] = type;
  to[at + 4] = flags;
  writeUint32(to, at + 5, stream);
}

/** Most significant byte first. */
export function writeUint32(to: Buffer, at: number, value: number): void {
  to[at] = value >>> 24;
  to[at + 1] = value >>> 16;
  to[at + 2] = value >>> 8;
  to[at + 3] = value;
}

export function readUint32(from: Buffer, at: number): number {
  return (
    (from[at] ?? 0) * 0x1_00_00_00 + (((from[at + 1] ?? 0) << 16) | ((from[at + 2] ?? 0) << 8) | (from[at + 3] ?? 0))
  );
}

/** A SETTINGS frame with these identifiers and values. */
export function settingsFrame(values: ReadonlyArray<readonly [id: number, value: number]>): Buffer {
  const frame = Buffer.alloc(frameHeadBytes + values.length * 6);
  writeFrameHead(frame, 0, values.length * 6, FrameType.settings, 0, 0);
  let at = frameHeadBytes;
  for (const [id, value] of values) {
    frame[at] = id >>> 8;
    frame[at + 1] = id;
    writeUint32(frame, at + 2, value);
    at += 6;
  }
  return frame;
}

const none: Buffer = Buffer.alloc(0);

/** Buffers in which large payloads are put together, of connections that are done with them. */
const spares: SpareBuffers = new SpareBuffers(defaultFrameBytes, 32);
/** A payload below this gets a buffer of its own where it has to be put together. */
export const lastingBytes = 4_096;

/**
 * Splits a connection's bytes into frames. After `push`, `next` answers whether one more frame is whole; it is in the
 * fields until the next call, and its payload what it is for as long; one of less than `lastingBytes` for as long as the
 * pushed bytes are. A frame that lies whole in them is a view of them; one that does not is copied, once.
 */
export class FrameReader {
  type = 0;
  flags = 0;
  /** Without the reserved bit. */
  stream = 0;
  payload: Buffer = none;
  /** A frame was announced that is larger than allowed (FRAME_SIZE_ERROR). Nothing more is read then. */
  oversized = false;
  readonly #maxPayload: number;
  #chunk: Buffer = none;
  #at = 0;
  readonly #head: Buffer = Buffer.alloc(frameHeadBytes);
  #headBytes = 0;
  /** Where the payload of a frame that is split over chunks is put together, and how long it is. */
  #split: Buffer | null = null;
  #splitLength = 0;
  #splitBytes = 0;

  constructor(maxPayload: number) {
    this.#maxPayload = maxPayload;
  }

  /** Takes the next bytes. All frames of the earlier ones must have been taken out. */
  push(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** What of the pushed bytes has not been taken out. */
  get rest(): Buffer {
    return this.#chunk.subarray(this.#at);
  }

  next(): boolean {
    if (this.oversized) return false;
    if (this.#split !== null) {
      if (this.#splitBytes < this.#splitLength) return this.#fill(this.#split);
      // Its payload was the last one.
      if (this.#split.length === defaultFrameBytes) spares.leave(this.#split);
      this.#split = null;
    }
    const chunk = this.#chunk;
    let at = this.#at;
    let head = chunk;
    let headAt = at;
    if (this.#headBytes > 0 || chunk.length - at < frameHeadBytes) {
      const copied = chunk.copy(this.#head, this.#headBytes, at, at + frameHeadBytes - this.#headBytes);
      this.#headBytes += copied;
      this.#at = at + copied;
      if (this.#headBytes < frameHeadBytes) return this.#await();
      this.#headBytes = 0;
      head = this.#head;
      headAt = 0;
      at = this.#at;
    } else {
      at += frameHeadBytes;
    }
    const length = ((head[headAt] ?? 0) << 16) | ((head[headAt + 1] ?? 0) << 8) | (head[headAt + 2] ?? 0);
    this.type = head[headAt + 3] ?? 0;
    this.flags = head[headAt + 4] ?? 0;
    this.stream = readUint32(head, headAt + 5) & 0x7f_ff_ff_ff;
    this.#at = at;
    if (length > this.#maxPayload) {
      this.oversized = true;
      return false;
    }
    if (length === 0) {
      this.payload = none;
      return true;
    }
    if (chunk.length - at >= length) {
      this.payload = at === 0 && length === chunk.length ? chunk : chunk.subarray(at, at + length);
      this.#at = at + length;
      return true;
    }
    const isLarge = length >= lastingBytes && length <= defaultFrameBytes;
    this.#split = isLarge ? spares.take() : Buffer.allocUnsafe(length);
    this.#splitLength = length;
    this.#splitBytes = 0;
    return this.#fill(this.#split);
  }

  #fill(split: Buffer): boolean {
    const copied = this.#chunk.copy(split, this.#splitBytes, this.#at, this.#at + this.#splitLength - this.#splitBytes);
    this.#at += copied;
    this.#splitBytes += copied;
    if (this.#splitBytes < this.#splitLength) return this.#await();
    this.payload = this.#splitLength === split.length ? split : split.subarray(0, this.#splitLength);
    return true;
  }

  /** Holds on to nothing of what has been taken out: a connection may be silent for long. */
  #await(): false {
    this.#chunk = none;
    this.#at = 0;
    this.payload = none;
    return false;
  }
}
