import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BrokenStream, encodeFrame, encodeTell, FrameReader, type Message } from '../../src/replication/frame.ts';
import type { Change, Revision } from '../../src/table/delta.ts';
import type { BackendId, CertificateId } from '../../src/table/entries.ts';
import type { Host } from '../../src/table/host.ts';

const revision: Revision = { epoch: 1_763_696_400_123, counter: 7 };
const changes: Change[] = [
  {
    kind: 'certificate',
    key: 'c1' as CertificateId,
    entry: { id: 'c1' as CertificateId, chain: '-----BEGIN\n\u{1f512} ü "\\', key: null },
  },
  { kind: 'backend', key: 'ns/svc:' as BackendId, entry: null },
  {
    kind: 'host',
    key: '*.a.test' as Host,
    entry: { host: '*.a.test' as Host, tls: 'none', certificate: null, clientAuth: null, paths: [] },
  },
];
const messages: Message[] = [
  { kind: 'hello', worker: 3, revision },
  { kind: 'snapshot-begin' },
  { kind: 'snapshot-part', changes },
  { kind: 'snapshot-part', changes: [] },
  { kind: 'snapshot-end', revision },
  { kind: 'delta', delta: { from: revision, to: { ...revision, counter: 8 }, changes } },
  { kind: 'ack', revision },
  { kind: 'gap', revision },
  { kind: 'peers', workers: [0, 2] },
  { kind: 'tell', topic: 'sums', value: { a: [1, null, 'x'] } },
  { kind: 'told', from: 2, topic: 'sums', value: { a: [1, null, 'x'] } },
];
const stream = Buffer.concat(messages.map(encodeFrame));

/** What a new reader makes of a stream that comes in these pieces. */
function read(pieces: readonly Buffer[]): Message[] {
  const reader = new FrameReader();
  return pieces.flatMap((piece) => [...reader.read(piece)]);
}

describe('frames', () => {
  test('every kind of message comes out as it went in', () => {
    for (const message of messages) expect(read([encodeFrame(message)])).toEqual([message]);
    expect(read([stream])).toEqual(messages);
  });

  test('what is told may be JSON already', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), (topic, told) => {
        // Through JSON once, as there -0 is 0.
        const value = JSON.parse(JSON.stringify(told));
        expect(read([encodeTell(topic, JSON.stringify(value))])).toEqual([{ kind: 'tell', topic, value }]);
      }),
    );
  });

  test('a stream may be cut in two anywhere', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      expect(read([stream.subarray(0, cut), stream.subarray(cut)]), `cut at ${cut}`).toEqual(messages);
    }
  });

  test('a stream may come byte by byte', () => {
    expect(read(Array.from(stream, (byte) => Buffer.from([byte])))).toEqual(messages);
  });

  test('a stream may be cut into any pieces', () => {
    const cuts = fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 30 });
    fc.assert(
      fc.property(cuts, (unsorted) => {
        const ends = [...unsorted.sort((a, b) => a - b), stream.length];
        expect(read(ends.map((end, i) => stream.subarray(ends[i - 1] ?? 0, end)))).toEqual(messages);
      }),
    );
  });

  test('no prefix of a frame is a message', () => {
    for (const message of messages) {
      const frame = encodeFrame(message);
      for (let end = 0; end < frame.length; end++) expect(read([frame.subarray(0, end)])).toEqual([]);
    }
  });

  test('a message of many pieces stays whole', () => {
    const chain = 'x'.repeat(3 << 20);
    const key = 'big' as CertificateId;
    const big: Message = {
      kind: 'snapshot-part',
      changes: [{ kind: 'certificate', key, entry: { id: key, chain, key: null } }],
    };
    const bytes = Buffer.concat([encodeFrame(big), encodeFrame({ kind: 'snapshot-begin' })]);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) =>
      bytes.subarray(i * 65_536, (i + 1) * 65_536),
    );
    expect(read(pieces)).toEqual([big, { kind: 'snapshot-begin' }]);
  });

  /** A frame whose parts are chosen one by one. */
  const frame = (length: number, type: number, body: string): Buffer => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length, 0);
    head.writeUInt8(type, 4);
    return Buffer.concat([head, Buffer.from(body)]);
  };

  test.each([
    ['a length beyond all sense', frame(0xff_ff_ff_ff, 0, '')],
    ['an unknown type', frame(25, 99, '{"kind":"snapshot-begin"}')],
    ['a type that is not the message’s', frame(25, 0, '{"kind":"snapshot-begin"}')],
    ['no JSON', frame(9, 1, 'not json!')],
    ['JSON of no message', frame(4, 1, 'null')],
    ['an empty body', frame(0, 1, '')],
  ])('a broken stream is told: %s', (_, bytes) => {
    expect(() => read([bytes])).toThrow(BrokenStream);
  });

  test('what breaks a stream is not told: it may be a key', () => {
    const secret = 'PRIVATE-KEY';
    expect.assertions(1);
    try {
      read([frame(secret.length, 1, secret)]);
    } catch (error) {
      expect(String(error)).not.toContain('PRIVATE');
    }
  });
});
