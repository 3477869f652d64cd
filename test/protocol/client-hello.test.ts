import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ClientHello,
  maxHelloBytes,
  type NotTlsReason,
  readClientHello,
} from '../../src/protocol/client-hello.ts';

const folder = join(import.meta.dirname, '../data/client-hello');

/** Made by test/support/capture-client-hellos.ts. */
const captures: readonly { file: string; serverName: string | undefined; protocols: string[] }[] = [
  { file: 'curl-h2', serverName: 'curl.example.test', protocols: ['h2', 'http/1.1'] },
  { file: 'node-tls12-only', serverName: 'old.example.test', protocols: ['http/1.1'] },
  { file: 'node-tls12-only-no-sni', serverName: undefined, protocols: [] },
  { file: 'node-tls13-only-no-sni', serverName: undefined, protocols: [] },
  { file: 'node-tls13-post-quantum-h2', serverName: 'pq.example.test', protocols: ['h2', 'http/1.1'] },
  { file: 'node-upper-case-name', serverName: 'Mixed.Example.TEST', protocols: [] },
  { file: 'openssl-one-cipher', serverName: undefined, protocols: [] },
  { file: 'openssl-tls12', serverName: 'twelve.example.test', protocols: [] },
  { file: 'openssl-tls12-no-sni', serverName: undefined, protocols: [] },
  { file: 'openssl-tls13', serverName: 'thirteen.example.test', protocols: ['h2', 'http/1.1'] },
];

function capture(file: string): Buffer {
  return readFileSync(join(folder, `${file}.bin`));
}

function u8(n: number): Buffer {
  return Buffer.from([n]);
}

function u16(n: number): Buffer {
  return Buffer.from([n >> 8, n & 0xff]);
}

function u24(n: number): Buffer {
  return Buffer.from([n >> 16, (n >> 8) & 0xff, n & 0xff]);
}

/** A handshake message of type ClientHello with this body. */
function message(body: Buffer): Buffer {
  return Buffer.concat([u8(1), u24(body.length), body]);
}

/** The message in records of `size` bytes. */
function framed(handshake: Buffer, size: number = 16_384): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < handshake.length; at += size) {
    const fragment = handshake.subarray(at, at + size);
    records.push(u8(22), u16(0x0301), u16(fragment.length), fragment);
  }
  return Buffer.concat(records);
}

const fixedPart: Buffer = Buffer.concat([u16(0x0303), Buffer.alloc(32, 7), u8(0), u16(2), u16(0x1301), u8(1), u8(0)]);

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([u16(type), u16(body.length), body]);
}

function hello(...extensions: readonly Buffer[]): Buffer {
  const all = Buffer.concat(extensions);
  return framed(message(Buffer.concat([fixedPart, u16(all.length), all])));
}

function serverName(name: Buffer | string, type = 0): Buffer {
  const bytes = Buffer.from(name);
  return extension(0, Buffer.concat([u16(bytes.length + 3), u8(type), u16(bytes.length), bytes]));
}

function protocolNames(...names: readonly string[]): Buffer {
  const list = Buffer.concat(names.map((name) => Buffer.concat([u8(name.length), Buffer.from(name)])));
  return extension(16, Buffer.concat([u16(list.length), list]));
}

/** Reads as a Session does: looks again only when `needBytes` have come. Answers the outcome and how often it looked. */
function readInSteps(bytes: Buffer): { readonly outcome: ClientHello; readonly looks: number } {
  let needBytes = 1;
  for (let looks = 1; ; looks++) {
    const outcome = readClientHello(bytes.subarray(0, needBytes));
    if (outcome.kind !== 'incomplete' || outcome.needBytes > bytes.length) return { outcome, looks };
    needBytes = outcome.needBytes;
  }
}

describe('captures of real clients', () => {
  test('every file is in the table', () => {
    expect(captures.map(({ file }) => `${file}.bin`).sort()).toEqual(readdirSync(folder).sort());
  });

  test('one is of post-quantum size', () => {
    expect(capture('node-tls13-post-quantum-h2').length).toBeGreaterThan(1500);
  });

  test.each(captures)('$file', ({ file, serverName, protocols }) => {
    expect(readClientHello(capture(file))).toEqual({ kind: 'hello', serverName, protocols });
  });

  test.each(captures)('$file: every prefix is incomplete, and every continuation changes nothing', ({ file }) => {
    const bytes = capture(file);
    const whole = readClientHello(bytes);
    let needBytes = 0;
    for (let length = 0; length < bytes.length; length++) {
      const outcome = readClientHello(bytes.subarray(0, length));
      if (outcome.kind !== 'incomplete') throw new Error(`${outcome.kind} at ${length} bytes`);
      expect(outcome.needBytes).toBeGreaterThan(length);
      expect(outcome.needBytes).toBeLessThanOrEqual(bytes.length);
      expect(outcome.needBytes).toBeGreaterThanOrEqual(needBytes);
      needBytes = outcome.needBytes;
    }
    for (const trailing of [Buffer.from([0]), Buffer.alloc(5, 0xff), bytes, Buffer.alloc(40_000, 22)]) {
      expect(readClientHello(Buffer.concat([bytes, trailing]))).toEqual(whole);
    }
  });

  const sizes = [1, 2, 3, 7, 16, 50, 100, 1000];
  test.each(captures.flatMap(({ file }) => sizes.map((size) => ({ file, size }))))(
    '$file in records of $size bytes',
    ({ file, size }) => {
      const handshake = capture(file).subarray(5);
      const bytes = framed(handshake, size);
      const whole = readClientHello(bytes);
      const expected =
        Math.ceil(handshake.length / size) <= 32
          ? readClientHello(capture(file))
          : { kind: 'not-tls', reason: 'too-fragmented' };
      expect(whole).toEqual(expected);
      const { outcome, looks } = readInSteps(bytes);
      expect(outcome).toEqual(whole);
      expect(looks).toBeLessThanOrEqual(2 * 32 + 2);

      let settled: ClientHello | undefined;
      for (let length = 0; length <= bytes.length; length++) {
        const now = readClientHello(bytes.subarray(0, length));
        if (settled !== undefined) expect(now).toEqual(settled);
        else if (now.kind !== 'incomplete') settled = now;
        else expect(now.needBytes).toBeGreaterThan(length);
      }
      expect(settled).toEqual(whole);
    },
  );
});

describe('a hello by hand', () => {
  const bareHello = message(fixedPart);
  const twoNames = Buffer.concat([u8(0), u16(1), Buffer.from('a'), u8(0), u16(1), Buffer.from('b')]);
  const otherType = Buffer.concat([u8(0), u16(1), Buffer.from('a'), u8(1), u16(1), Buffer.from('b')]);

  test.each<{ name: string; bytes: Buffer; serverName: string | undefined; protocols: string[] }>([
    { name: 'no extensions at all', bytes: framed(bareHello), serverName: undefined, protocols: [] },
    { name: 'an empty list of extensions', bytes: hello(), serverName: undefined, protocols: [] },
    { name: 'a name', bytes: hello(serverName('a.test')), serverName: 'a.test', protocols: [] },
    {
      name: 'the longest name',
      bytes: hello(serverName('x'.repeat(4000))),
      serverName: 'x'.repeat(4000),
      protocols: [],
    },
    {
      name: 'a name after other extensions',
      bytes: hello(extension(10, Buffer.alloc(4)), extension(0xfafa, Buffer.alloc(0)), serverName('a.test')),
      serverName: 'a.test',
      protocols: [],
    },
    {
      name: 'a name with NUL: for parseHost to refuse',
      bytes: hello(serverName('a\0b')),
      serverName: 'a\0b',
      protocols: [],
    },
    { name: 'a name with bytes above ASCII', bytes: hello(serverName(u8(0xe9))), serverName: 'é', protocols: [] },
    { name: 'an address as a name', bytes: hello(serverName('10.0.0.1')), serverName: '10.0.0.1', protocols: [] },
    {
      name: 'protocols of odd names',
      bytes: hello(protocolNames('h2', 'x'.repeat(255), '\x0a\x0a')),
      serverName: undefined,
      protocols: ['h2', 'x'.repeat(255), '\x0a\x0a'],
    },
    {
      name: 'an extension of no bytes at the very end',
      bytes: hello(serverName('a.test'), extension(23, Buffer.alloc(0))),
      serverName: 'a.test',
      protocols: [],
    },
    {
      name: 'the message ends inside a record',
      bytes: framed(Buffer.concat([bareHello, Buffer.from('more')])),
      serverName: undefined,
      protocols: [],
    },
    {
      name: 'record version 3.4',
      bytes: Buffer.concat([Buffer.from([22, 3, 4]), framed(bareHello).subarray(3)]),
      serverName: undefined,
      protocols: [],
    },
  ])('is read: $name', ({ bytes, serverName, protocols }) => {
    expect(readClientHello(bytes)).toEqual({ kind: 'hello', serverName, protocols });
  });

  const lying = (field: number): Buffer => {
    const bytes = hello(serverName('a.test'));
    // From the end: name (6), its length (2), its type (1), the list's length (2), the extension's (2), type (2), all (2).
    const at = bytes.length - field;
    bytes.writeUInt16BE(bytes.readUInt16BE(at) + 1, at);
    return bytes;
  };
  const shorter = (field: number): Buffer => {
    const bytes = hello(serverName('a.test'));
    const at = bytes.length - field;
    bytes.writeUInt16BE(bytes.readUInt16BE(at) - 1, at);
    return bytes;
  };

  test.each<{ name: string; bytes: Buffer; reason: NotTlsReason }>([
    {
      name: 'two server name extensions',
      bytes: hello(serverName('a.test'), serverName('a.test')),
      reason: 'malformed',
    },
    { name: 'an empty name', bytes: hello(serverName('')), reason: 'malformed' },
    { name: 'an empty server name extension', bytes: hello(extension(0, Buffer.alloc(0))), reason: 'malformed' },
    { name: 'an empty list of names', bytes: hello(extension(0, u16(0))), reason: 'malformed' },
    {
      name: 'two names in one list',
      bytes: hello(extension(0, Buffer.concat([u16(8), twoNames]))),
      reason: 'malformed',
    },
    { name: 'a name of another type', bytes: hello(serverName('a.test', 1)), reason: 'malformed' },
    {
      name: 'another type behind',
      bytes: hello(extension(0, Buffer.concat([u16(8), otherType]))),
      reason: 'malformed',
    },
    { name: 'the name is longer than its list', bytes: lying(8), reason: 'malformed' },
    { name: 'the list is longer than its extension', bytes: lying(11), reason: 'malformed' },
    { name: 'the extension is longer than all', bytes: lying(13), reason: 'malformed' },
    { name: 'all is longer than the message', bytes: lying(17), reason: 'malformed' },
    { name: 'the name is shorter than its list', bytes: shorter(8), reason: 'malformed' },
    { name: 'the list is shorter than its extension', bytes: shorter(11), reason: 'malformed' },
    { name: 'the extension is shorter than its list', bytes: shorter(13), reason: 'malformed' },
    { name: 'all is shorter than the message', bytes: shorter(17), reason: 'malformed' },
    { name: 'a head of an extension is cut', bytes: hello(Buffer.from([0, 16, 0])), reason: 'malformed' },
    { name: 'an extension of 65535 bytes', bytes: hello(Buffer.from([0, 16, 255, 255])), reason: 'malformed' },
    { name: 'protocols: an empty name', bytes: hello(protocolNames('h2', '')), reason: 'malformed' },
    {
      name: 'protocols: a name too long',
      bytes: hello(extension(16, Buffer.from([0, 2, 2, 104]))),
      reason: 'malformed',
    },
    {
      name: 'protocols: the list too long',
      bytes: hello(extension(16, Buffer.from([0, 9, 1, 104]))),
      reason: 'malformed',
    },
    { name: 'protocols: no list', bytes: hello(extension(16, Buffer.alloc(0))), reason: 'malformed' },
    { name: 'an empty message', bytes: framed(message(Buffer.alloc(0))), reason: 'malformed' },
    { name: 'the random cut', bytes: framed(message(fixedPart.subarray(0, 20))), reason: 'malformed' },
    { name: 'no session id', bytes: framed(message(fixedPart.subarray(0, 34))), reason: 'malformed' },
    { name: 'no cipher suites', bytes: framed(message(fixedPart.subarray(0, 35))), reason: 'malformed' },
    {
      name: 'the session id is longer than all',
      bytes: framed(message(Buffer.concat([fixedPart.subarray(0, 34), u8(255)]))),
      reason: 'malformed',
    },
    {
      name: 'the cipher suites are longer than all',
      bytes: framed(message(Buffer.concat([fixedPart.subarray(0, 35), u16(65_535), u16(0)]))),
      reason: 'malformed',
    },
    { name: 'one byte of extensions', bytes: framed(message(Buffer.concat([fixedPart, u8(0)]))), reason: 'malformed' },
    { name: 'an empty record', bytes: Buffer.from([22, 3, 1, 0, 0]), reason: 'malformed' },
    { name: 'an empty second record', bytes: Buffer.from([22, 3, 1, 0, 1, 1, 22, 3, 1, 0, 0]), reason: 'malformed' },
    { name: 'a record over the limit', bytes: Buffer.from([22, 3, 1, 0x40, 1]), reason: 'malformed' },
    {
      name: 'a message over the limit',
      bytes: Buffer.concat([Buffer.from([22, 3, 1, 0, 4, 1]), u24(maxHelloBytes - 3)]),
      reason: 'too-large',
    },
    { name: 'the largest length', bytes: Buffer.from([22, 3, 1, 0, 4, 1, 255, 255, 255]), reason: 'too-large' },
    { name: 'a ServerHello', bytes: Buffer.from([22, 3, 3, 0, 4, 2, 0, 0, 70]), reason: 'not-a-handshake' },
    { name: 'an alert', bytes: Buffer.from([21, 3, 1, 0, 2, 2, 40]), reason: 'not-a-handshake' },
    {
      name: 'application data behind a fragment',
      bytes: Buffer.from([22, 3, 1, 0, 1, 1, 23]),
      reason: 'not-a-handshake',
    },
    { name: 'record version 2', bytes: Buffer.from([22, 2]), reason: 'not-a-handshake' },
    { name: 'HTTP', bytes: Buffer.from('GET / HTTP/1.1\r\n'), reason: 'not-a-handshake' },
    { name: 'one byte of HTTP', bytes: Buffer.from('G'), reason: 'not-a-handshake' },
    { name: 'SSH', bytes: Buffer.from('SSH-2.0-x\r\n'), reason: 'not-a-handshake' },
    { name: 'the PROXY protocol', bytes: Buffer.from('PROXY TCP4 1.1.1.1'), reason: 'not-a-handshake' },
    { name: 'SSL 2', bytes: Buffer.from([0x80, 0x2e, 1, 0, 2]), reason: 'not-a-handshake' },
  ])('is refused: $name', ({ bytes, reason }) => {
    expect(readClientHello(bytes)).toEqual({ kind: 'not-tls', reason });
    expect(readClientHello(Buffer.concat([bytes, Buffer.alloc(3)])).kind).toBe('not-tls');
  });

  test.each([
    { name: 'in one record', size: 16_384 },
    { name: 'in 32 records', size: 512 },
  ])('the largest is read $name', ({ size }) => {
    const padding = extension(21, Buffer.alloc(maxHelloBytes - 4 - fixedPart.length - 2 - 4));
    const handshake = message(Buffer.concat([fixedPart, u16(padding.length), padding]));
    expect(handshake.length).toBe(maxHelloBytes);
    expect(readClientHello(framed(handshake, size)).kind).toBe('hello');
    expect(readClientHello(framed(handshake, size - 1))).toEqual(
      size === 512
        ? { kind: 'not-tls', reason: 'too-fragmented' }
        : { kind: 'hello', serverName: undefined, protocols: [] },
    );
  });

  test('nothing at all asks for a record header', () => {
    expect(readClientHello(Buffer.alloc(0))).toEqual({ kind: 'incomplete', needBytes: 5 });
  });
});

describe('whatever comes', () => {
  /** Nobody is told to wait for more than this, so that a Session's own cap is never the one that decides. */
  const mostBytes = maxHelloBytes + 32 * 5;

  /** Holds for any bytes: no throw, an honest `needBytes`, and an answer that stays once it is given. */
  function checkEveryPrefix(bytes: Buffer, lengths: readonly number[]): void {
    let settled: ClientHello | undefined;
    let needBytes = 0;
    for (const length of lengths) {
      const now = readClientHello(bytes.subarray(0, length));
      if (settled !== undefined) {
        expect(now).toEqual(settled);
      } else if (now.kind === 'incomplete') {
        expect(now.needBytes).toBeGreaterThan(length);
        expect(now.needBytes).toBeLessThanOrEqual(mostBytes);
        needBytes = Math.max(needBytes, now.needBytes);
      } else {
        if (now.kind === 'hello') expect(length).toBeGreaterThanOrEqual(needBytes);
        settled = now;
      }
    }
  }

  function lengthsOf(bytes: Buffer): number[] {
    return Array.from({ length: bytes.length + 1 }, (_, length) => length);
  }

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (random) => {
        const bytes = Buffer.from(random);
        checkEveryPrefix(bytes, lengthsOf(bytes));
      }),
      { numRuns: 300 },
    );
  });

  test('random bytes behind the head of a record', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 250 }), (random, size) => {
        const bytes = framed(message(Buffer.from(random)), size);
        checkEveryPrefix(bytes, lengthsOf(bytes));
      }),
      { numRuns: 300 },
    );
  });

  test('random extensions', () => {
    const body = fc.uint8Array({ maxLength: 20 }).map((random) => Buffer.from(random));
    const anyExtension = fc
      .tuple(fc.constantFrom(0, 0, 16, 16, 10, 0xffff), body)
      .map(([type, b]) => extension(type, b));
    fc.assert(
      fc.property(fc.array(anyExtension, { maxLength: 4 }), (extensions) => {
        const outcome = readClientHello(hello(...extensions));
        expect(['hello', 'not-tls']).toContain(outcome.kind);
      }),
      { numRuns: 1000 },
    );
  });

  test('captures with bytes changed, taken out, put in and framed anew', () => {
    const files = captures.map(({ file }) => capture(file));
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.constantFrom(0, 1, 1, 1, 2, 30),
      insert: fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.constant(Uint8Array.from([22, 3, 1, 0, 1]))),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...files),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        fc.option(fc.integer({ min: 8, max: 600 })),
        fc.infiniteStream(fc.nat()),
        (file, edits, size, picks) => {
          let bytes = size === null ? file : framed(file.subarray(5), size);
          for (const { at, remove, insert } of edits) {
            const from = at % (bytes.length + 1);
            bytes = Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + remove)]);
          }
          const some = Array.from({ length: 40 }, () => (picks.next().value ?? 0) % (bytes.length + 1));
          checkEveryPrefix(
            bytes,
            [...some, bytes.length].sort((a, b) => a - b),
          );
          const { outcome, looks } = readInSteps(bytes);
          // A strange byte may be seen a little earlier by who looks at everything; a hello may not.
          const whole = readClientHello(bytes);
          if (outcome.kind === 'incomplete') expect(whole.kind).not.toBe('hello');
          else expect(outcome).toEqual(whole);
          expect(looks).toBeLessThanOrEqual(2 * 32 + 2);
        },
      ),
      { numRuns: 400 },
    );
  });

  test('endless records of one byte', () => {
    const { outcome, looks } = readInSteps(framed(Buffer.concat([u8(1), u24(16_000), Buffer.alloc(1000)]), 1));
    expect(outcome).toEqual({ kind: 'not-tls', reason: 'too-fragmented' });
    expect(looks).toBeLessThanOrEqual(2 * 32 + 2);
  });
});
