import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  FrameReader,
  FrameType,
  frameHeadBytes,
  readUint32,
  Setting,
  settingsFrame,
  writeFrameHead,
  writeUint32,
} from '../../src/protocol/http2-frames.ts';

type Frame = { readonly type: number; readonly flags: number; readonly stream: number; readonly payload: string };

function bytesOf({ type, flags, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  const body = Buffer.from(payload, 'latin1');
  writeFrameHead(head, 0, body.length, type, flags, stream);
  return Buffer.concat([head, body]);
}

/** What a reader makes of bytes that come in these pieces. */
function framesIn(pieces: readonly Buffer[], maxPayload = 16_384): { frames: Frame[]; oversized: boolean } {
  const reader = new FrameReader(maxPayload);
  const frames: Frame[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    while (reader.next()) {
      const { type, flags, stream, payload } = reader;
      frames.push({ type, flags, stream, payload: payload.toString('latin1') });
    }
  }
  return { frames, oversized: reader.oversized };
}

const someFrames: readonly Frame[] = [
  { type: FrameType.settings, flags: 0, stream: 0, payload: '' },
  { type: FrameType.headers, flags: 5, stream: 1, payload: 'abcdef' },
  { type: FrameType.data, flags: 0, stream: 2_147_483_647, payload: 'x'.repeat(40) },
  { type: 0xfa, flags: 0xff, stream: 3, payload: '\x00' },
  { type: FrameType.ping, flags: 1, stream: 0, payload: '12345678' },
];
const allBytes = Buffer.concat(someFrames.map(bytesOf));

describe('frames', () => {
  test('come out as they went in, whichever way the bytes are split in two', () => {
    for (let split = 0; split <= allBytes.length; split++) {
      const pieces = [allBytes.subarray(0, split), allBytes.subarray(split)];
      expect(framesIn(pieces)).toEqual({ frames: someFrames, oversized: false });
    }
  });

  test('come out byte by byte', () => {
    const pieces = Array.from(allBytes, (_, at) => allBytes.subarray(at, at + 1));
    expect(framesIn(pieces).frames).toEqual(someFrames);
  });

  test('of a prefix are those that are whole', () => {
    let whole = 0;
    const ends = someFrames.map((frame) => {
      whole += bytesOf(frame).length;
      return whole;
    });
    for (let length = 0; length < allBytes.length; length++) {
      const count = ends.filter((end) => end <= length).length;
      expect(framesIn([allBytes.subarray(0, length)]).frames).toEqual(someFrames.slice(0, count));
    }
  });

  test('come out the same however they are cut', () => {
    const frame = fc.record({
      type: fc.nat(255),
      flags: fc.nat(255),
      stream: fc.nat(2_147_483_647),
      payload: fc.string({ unit: 'binary-ascii', maxLength: 60 }),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(50), { maxLength: 60 }), (frames, lengths) => {
        const bytes = Buffer.concat(frames.map(bytesOf));
        const pieces: Buffer[] = [];
        let at = 0;
        for (const length of lengths) {
          pieces.push(bytes.subarray(at, at + length));
          at += length;
        }
        pieces.push(bytes.subarray(at));
        expect(framesIn(pieces).frames).toEqual(frames);
      }),
    );
  });

  test('larger than allowed are not waited for, and nothing behind them is read', () => {
    const large = bytesOf({ type: 0, flags: 0, stream: 1, payload: 'x'.repeat(17) });
    const bytes = Buffer.concat([bytesOf({ type: 6, flags: 0, stream: 0, payload: '' }), large, allBytes]);
    for (let split = 0; split <= bytes.length; split++) {
      const read = framesIn([bytes.subarray(0, split), bytes.subarray(split)], 16);
      expect(read).toEqual({ frames: [{ type: 6, flags: 0, stream: 0, payload: '' }], oversized: true });
    }
  });

  test('never show the reserved bit of a stream', () => {
    const bytes = bytesOf({ type: 0, flags: 0, stream: 5, payload: '' });
    bytes[5] = (bytes[5] ?? 0) | 0x80;
    expect(framesIn([bytes]).frames[0]?.stream).toBe(5);
  });
});

test('numbers of 32 bits are read as they were written', () => {
  const bytes = Buffer.alloc(6);
  for (const value of [0, 1, 255, 65_536, 0x7f_ff_ff_ff, 0x80_00_00_00, 0xff_ff_ff_ff]) {
    writeUint32(bytes, 1, value);
    expect(readUint32(bytes, 1)).toBe(value);
    expect(bytes.readUInt32BE(1)).toBe(value);
  }
});

test('settings are written as RFC 9113 6.5.1 has them', () => {
  const frame = settingsFrame([
    [Setting.initialWindowSize, 131_072],
    [Setting.enableConnectProtocol, 1],
  ]);
  expect(frame.toString('hex')).toBe('00000c0400000000000004000200000008' + '00000001');
});
