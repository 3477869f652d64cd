// HTTP/2 frames as a foreign peer writes and reads them (RFC 9113 section 4): any type, flags, stream and payload, wrong
// lengths too. Written anew for the tests, so that a mistake of the product's reader does not hide itself.

/** RFC 9113 section 6. */
export const frameTypes = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const flags = { ack: 0x1, endStream: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** RFC 9113 section 6.5.2, and RFC 8441 section 3. */
export const settingIds = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  enableConnectProtocol: 0x8,
} as const;

/** RFC 9113 section 7, in the order of the codes. */
const errorNames = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const;

export type ErrorName = (typeof errorNames)[number];

/** The code of an error. */
export function errorCode(name: ErrorName): number {
  return errorNames.indexOf(name);
}

/** The name of an error code, or the number where it has none. */
export function errorName(code: number): string {
  return errorNames[code] ?? `error ${code}`;
}

/** The 24 bytes that a client begins with (RFC 9113 section 3.4). */
export const preface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const frameHeaderBytes = 9;

/** The largest window (RFC 9113 section 6.9.1), and the largest increment of one. */
export const maxWindow = 0x7fff_ffff;

/** One frame as it came. */
export type Frame = {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
};

const empty = Buffer.alloc(0);

/** A frame; `wireLength` goes into its length field whatever the payload is. */
export function frame(
  type: number,
  flagBits: number,
  stream: number,
  payload: Buffer = empty,
  wireLength: number = payload.length,
): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  bytes.writeUIntBE(wireLength, 0, 3);
  bytes[3] = type;
  bytes[4] = flagBits;
  bytes.writeUInt32BE(stream >>> 0, 5);
  payload.copy(bytes, frameHeaderBytes);
  return bytes;
}

export function data(stream: number, body: string | Buffer, flagBits: number = 0): Buffer {
  return frame(frameTypes.data, flagBits, stream, typeof body === 'string' ? Buffer.from(body, 'latin1') : body);
}

/** HEADERS with a whole block, unless the flags say otherwise. */
export function headers(stream: number, block: Buffer, flagBits: number = flags.endHeaders): Buffer {
  return frame(frameTypes.headers, flagBits, stream, block);
}

export function continuation(stream: number, block: Buffer, flagBits: number = flags.endHeaders): Buffer {
  return frame(frameTypes.continuation, flagBits, stream, block);
}

export type SettingPair = readonly [id: number, value: number];

export function settings(...pairs: readonly SettingPair[]): Buffer {
  const payload = Buffer.alloc(pairs.length * 6);
  pairs.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  });
  return frame(frameTypes.settings, 0, 0, payload);
}

export const settingsAck: Buffer = frame(frameTypes.settings, flags.ack, 0);

/** PING with eight bytes. */
export function ping(opaque: string, flagBits: number = 0): Buffer {
  return frame(frameTypes.ping, flagBits, 0, Buffer.from(opaque.padEnd(8).slice(0, 8), 'latin1'));
}

export function rstStream(stream: number, error: ErrorName): Buffer {
  return frame(frameTypes.rstStream, 0, stream, uint32(errorCode(error)));
}

export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(frameTypes.windowUpdate, 0, stream, uint32(increment));
}

export function goaway(lastStream: number, error: ErrorName): Buffer {
  return frame(frameTypes.goaway, 0, 0, Buffer.concat([uint32(lastStream), uint32(errorCode(error))]));
}

/** PRIORITY (RFC 9113 section 6.3, deprecated), not exclusive. */
export function priority(stream: number, dependsOn: number): Buffer {
  return frame(frameTypes.priority, 0, stream, Buffer.concat([uint32(dependsOn), Buffer.from([15])]));
}

export function pushPromise(stream: number, promised: number, block: Buffer): Buffer {
  return frame(frameTypes.pushPromise, flags.endHeaders, stream, Buffer.concat([uint32(promised), block]));
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Cuts a stream of bytes into frames. What is not whole yet is kept. */
export class FrameCutter {
  #rest: Buffer = empty;

  /** Calls `take` for each frame that is whole with these bytes. */
  push(chunk: Buffer, take: (frame: Frame) => void): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= frameHeaderBytes) {
      const end = at + frameHeaderBytes + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      take({
        type: bytes[at + 3] ?? 0,
        flags: bytes[at + 4] ?? 0,
        stream: bytes.readUInt32BE(at + 5) & 0x7fff_ffff,
        payload: bytes.subarray(at + frameHeaderBytes, end),
      });
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }
}
