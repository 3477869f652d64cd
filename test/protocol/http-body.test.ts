import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ChunkedBody } from '../../src/protocol/http-body.ts';
import { type RefusalReason, refusal } from '../../src/protocol/refusals.ts';

const maxTrailerBytes = 200;

type Mode = 'decode' | 'pass';
type Outcome = {
  readonly output: string;
  readonly done: boolean;
  readonly reason: RefusalReason | null;
  /** Bytes that belong to the body. */
  readonly consumed: number;
};

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Takes a body that comes in these pieces, as an Exchange does. */
function takeAll(pieces: readonly Buffer[], mode: Mode, body: ChunkedBody = new ChunkedBody(maxTrailerBytes)): Outcome {
  let output = '';
  let consumed = 0;
  for (const piece of pieces) {
    output += body.take(piece, 0, mode === 'decode').toString('latin1');
    if (body.problem !== null) break;
    consumed += body.consumed;
    if (body.done) break;
  }
  return { output, done: body.done, reason: body.problem?.reason ?? null, consumed };
}

function cut(bytes: Buffer, ...at: readonly number[]): Buffer[] {
  const ends = [...at].sort((a, b) => a - b).concat(bytes.length);
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

function everyByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}

type Model = { readonly payload: string; readonly trailer: string; readonly length: number };

/** The chunked coding with regular expressions: what a plain body without extensions says. Null for anything else. */
function readSlowly(text: string): Model | null {
  let payload = '';
  for (let at = 0; ; ) {
    const size = /^([0-9A-Fa-f]{1,13})\r\n/.exec(text.slice(at));
    if (size === null) return null;
    at += size[0].length;
    const length = Number.parseInt(size[1] ?? '', 16);
    if (length === 0) {
      const trailer = /^((?:[^\r\n:]+:[^\r\n]*\r\n)*)\r\n/.exec(text.slice(at));
      if (trailer === null) return null;
      return { payload, trailer: trailer[1] ?? '', length: at + trailer[0].length };
    }
    if (text.slice(at + length, at + length + 2) !== '\r\n') return null;
    payload += text.slice(at, at + length);
    at += length + 2;
  }
}

type BodyCase = {
  readonly name: string;
  readonly wire: string;
  readonly payload: string;
  /** What goes on when all comes at once; absent: the same bytes. */
  readonly passed?: string;
  /** Whether sizes are spelt as the router spells them, so that the bytes that go on do not depend on the splits. */
  readonly plain?: boolean;
};

const bodies: readonly BodyCase[] = [
  { name: 'nothing', wire: '0\r\n\r\n', payload: '', plain: true },
  { name: 'one chunk', wire: '5\r\nhello\r\n0\r\n\r\n', payload: 'hello', plain: true },
  {
    name: 'several chunks',
    wire: '1\r\na\r\n2\r\nbc\r\nb\r\n0123456789a\r\n0\r\n\r\n',
    payload: 'abc0123456789a',
    plain: true,
  },
  {
    name: 'content that looks like framing',
    wire: 'c\r\n0\r\n\r\n5\r\n\r\n\r\n\r\n0\r\n\r\n',
    payload: '0\r\n\r\n5\r\n\r\n\r\n',
    plain: true,
  },
  { name: 'bytes of every kind', wire: '4\r\n\0\x80\xff\n\r\n0\r\n\r\n', payload: '\0\x80\xff\n', plain: true },
  { name: 'sizes in upper case', wire: 'A\r\n0123456789\r\n0\r\n\r\n', payload: '0123456789' },
  { name: 'sizes with leading zeros', wire: '000000000000a\r\n0123456789\r\n000\r\n\r\n', payload: '0123456789' },
  {
    name: 'an extension',
    wire: '5;a=b\r\nhello\r\n0\r\n\r\n',
    payload: 'hello',
    passed: '5\r\nhello\r\n0\r\n\r\n',
    plain: true,
  },
  {
    name: 'extensions of every kind',
    wire: '1;\r\na\r\n1;x="\\";\t q"\r\nb\r\n1;x;y= \x80\xff\r\nc\r\n0;last\r\n\r\n',
    payload: 'abc',
    passed: '1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n',
    plain: true,
  },
  {
    name: 'a quote that its line leaves open',
    wire: '5;a="\r\nhello\r\n0\r\n\r\n',
    payload: 'hello',
    passed: '5\r\nhello\r\n0\r\n\r\n',
    plain: true,
  },
  {
    name: 'an extension in the second chunk only',
    wire: '1\r\na\r\n1;x\r\nb\r\n1\r\nc\r\n0\r\n\r\n',
    payload: 'abc',
    passed: '1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n',
    plain: true,
  },
  {
    name: 'the longest extension',
    wire: `1;${'x'.repeat(4096)}\r\na\r\n0\r\n\r\n`,
    payload: 'a',
    passed: '1\r\na\r\n0\r\n\r\n',
    plain: true,
  },
  { name: 'a trailer', wire: '1\r\na\r\n0\r\nX-Sum: 1\r\nx-other:\t2 \r\n\r\n', payload: 'a', plain: true },
  { name: 'a trailer of obs-text', wire: '0\r\nX: caf\xe9\r\nX:\r\n\r\n', payload: '', plain: true },
  {
    name: 'a trailer with what it may not carry',
    wire:
      '0\r\nX-A: 1\r\nContent-Length: 5\r\ntransfer-encoding: chunked\r\nHOST: b.test\r\nX-B: 2\r\nAuthorization: x\r\n' +
      'cookie: x\r\nSet-Cookie: x\r\nX-C: 3\r\n\r\n',
    payload: '',
    passed: '0\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n\r\n',
    plain: true,
  },
  {
    name: 'a trailer of nothing else',
    wire: '0\r\nConnection: close\r\nKeep-Alive: x\r\nTE: x\r\nTrailer: x\r\nUpgrade: x\r\nExpect: x\r\nProxy: x\r\n\r\n',
    payload: '',
    passed: '0\r\n\r\n',
    plain: true,
  },
  {
    name: 'a trailer that speaks for the router',
    wire:
      '0\r\nForwarded: x\r\nX-Forwarded-For: x\r\nX-Forwarded-Host: x\r\nX-Forwarded-Proto: x\r\nX-SSL: 1\r\n' +
      'X-SSL-Client-CN: x\r\nX-SSL-Issuer: x\r\n\r\n',
    payload: '',
    passed: '0\r\n\r\n',
    plain: true,
  },
  {
    name: 'a trailer about the content',
    wire: '0\r\nContent-Type: x\r\nContent-Encoding: gzip\r\nContent-Range: x\r\nContent-MD5: stays\r\n\r\n',
    payload: '',
    passed: '0\r\nContent-MD5: stays\r\n\r\n',
    plain: true,
  },
  {
    name: 'the longest trailer',
    wire: `0\r\nX: ${'y'.repeat(maxTrailerBytes - 5)}\r\n\r\n`,
    payload: '',
    plain: true,
  },
];

describe.each(bodies)('a body: $name', ({ wire, payload, passed, plain }) => {
  const bytes = bytesOf(wire);
  const expected = passed ?? wire;
  const passedModel = readSlowly(expected);

  /** What goes on says the same content and trailer, without extensions; to the byte where the spelling allows. */
  function checkPassed(outcome: Outcome): void {
    expect(outcome).toMatchObject({ done: true, reason: null, consumed: bytes.length });
    if (plain === true) expect(outcome.output).toBe(expected);
    const model = readSlowly(outcome.output);
    expect(model).toMatchObject({ payload, trailer: passedModel?.trailer, length: outcome.output.length });
  }

  test('at once', () => {
    expect(takeAll([bytes], 'decode')).toEqual({ output: payload, done: true, reason: null, consumed: bytes.length });
    expect(takeAll([bytes], 'pass')).toEqual({ output: expected, done: true, reason: null, consumed: bytes.length });
  });

  test('every prefix is unfinished, and its content a prefix', () => {
    for (let length = 0; length < bytes.length; length++) {
      const prefix = bytes.subarray(0, length);
      const decoded = takeAll([prefix], 'decode');
      expect(decoded).toMatchObject({ done: false, reason: null, consumed: length });
      expect(payload.startsWith(decoded.output)).toBe(true);
      const outcome = takeAll([prefix], 'pass');
      expect(outcome).toMatchObject({ done: false, reason: null, consumed: length });
      expect(expected.startsWith(outcome.output)).toBe(true);
    }
  });

  test('every split in two', () => {
    for (let at = 0; at <= bytes.length; at++) {
      expect(takeAll(cut(bytes, at), 'decode').output).toBe(payload);
      checkPassed(takeAll(cut(bytes, at), 'pass'));
    }
  });

  test('byte by byte', () => {
    expect(takeAll(everyByte(bytes), 'decode').output).toBe(payload);
    checkPassed(takeAll(everyByte(bytes), 'pass'));
  });

  test('what follows is left alone', () => {
    for (const rest of ['G', '\r\n', '0\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n']) {
      const both = Buffer.concat([bytes, bytesOf(rest)]);
      for (let at = 0; at <= both.length; at++) {
        const body = new ChunkedBody(maxTrailerBytes);
        const outcome = takeAll(cut(both, at), 'pass', body);
        checkPassed(outcome);
        expect(body.take(bytesOf(rest), 1, false).length).toBe(0);
        expect(body.consumed).toBe(1);
        if (at > 200) break;
      }
    }
  });

  test('behind a head in the same bytes', () => {
    const body = new ChunkedBody(maxTrailerBytes);
    const both = Buffer.concat([bytesOf('a\r\n\r\n'), bytes]);
    expect(body.take(both, 5, false).toString('latin1')).toBe(expected);
    expect(body.consumed).toBe(both.length);
    expect(body.done).toBe(true);
  });
});

describe('a malformed body', () => {
  const chunk = (name: string, wire: string): { name: string; wire: string; reason: RefusalReason } => {
    return { name, wire, reason: 'bad-chunk' };
  };
  const cases: readonly { readonly name: string; readonly wire: string; readonly reason: RefusalReason }[] = [
    chunk('no size', '\r\n'),
    chunk('an empty size with an extension', ';x\r\na\r\n'),
    chunk('no hexadecimal', 'g\r\n'),
    chunk('a sign', '+5\r\nhello\r\n'),
    chunk('a minus', '-1\r\n'),
    chunk('a prefix', '0x5\r\nhello\r\n'),
    chunk('an underscore', '1_0\r\n'),
    chunk('a digit of another script', '\xb2\r\n'),
    chunk('a blank before the size', ' 5\r\nhello\r\n'),
    chunk('a blank after the size', '5 \r\nhello\r\n'),
    chunk('a tab after the size', '5\t\r\nhello\r\n'),
    chunk('a blank before the extension', '5 ;x\r\nhello\r\n'),
    chunk('a vertical tab after the size', '5\x0b\r\nhello\r\n'),
    chunk('NUL after the size', '5\0\r\nhello\r\n'),
    chunk('a line feed after the size', '5\nhello\r\n'),
    chunk('a line feed after the last size', '0\n\n'),
    chunk('a carriage return alone', '5\rhello\r\n'),
    chunk('two carriage returns', '5\r\r\nhello\r\n'),
    chunk('14 digits', '00000000000005\r\nhello\r\n'),
    chunk('14 zeros', '00000000000000\r\n\r\n'),
    chunk('more than 64 bits', 'ffffffffffffffff1\r\n'),
    chunk('a size that would wrap to 5', '100000000000005\r\nhello\r\n'),
    chunk('more content than the size says', '5\r\nhello!\r\n'),
    chunk('less content than the size says', '6\r\nhello\r\n0\r\n\r\n'),
    chunk('no line end after the content', '5\r\nhello0\r\n\r\n'),
    chunk('a line feed after the content', '5\r\nhello\n0\r\n\r\n'),
    chunk('a carriage return after the content', '5\r\nhello\r0\r\n\r\n'),
    chunk('an empty line too many', '5\r\nhello\r\n\r\n0\r\n\r\n'),
    chunk('a malformed second chunk', '1\r\na\r\nx\r\n'),
    chunk('an extension with a line feed', '5;a\nb\r\nhello\r\n'),
    chunk('an extension with a carriage return', '5;a\rb\r\nhello\r\n'),
    chunk('an extension with NUL', '5;a\0\r\nhello\r\n'),
    chunk('an extension with DEL', '5;a\x7f\r\nhello\r\n'),
    chunk('an extension over the limit', `5;${'x'.repeat(4097)}\r\nhello\r\n`),
    chunk('extensions over the limit together', `1;${'x'.repeat(2048)}\r\na\r\n`.repeat(2).concat('1;x\r\na\r\n')),
    { name: 'a trailer without colon', wire: '0\r\nX\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a trailer without name', wire: '0\r\n: 1\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a blank before the colon', wire: '0\r\nX : 1\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a folded trailer', wire: '0\r\nX: 1\r\n 2\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a trailer that begins with a blank', wire: '0\r\n X: 1\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a trailer with NUL', wire: '0\r\nX: \0\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a trailer with a carriage return', wire: '0\r\nX: a\rb\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a trailer with a line feed', wire: '0\r\nX: a\nHost: b\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a line feed before a trailer', wire: '0\r\n\nX: 1\r\n\r\n', reason: 'bad-trailer' },
    { name: 'a message instead of a trailer', wire: '0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', reason: 'bad-trailer' },
    {
      name: 'a trailer over the limit',
      wire: `0\r\nX: ${'y'.repeat(maxTrailerBytes - 4)}\r\n\r\n`,
      reason: 'trailer-too-large',
    },
    { name: 'a trailer far over the limit', wire: `0\r\nX: ${'y'.repeat(5000)}`, reason: 'trailer-too-large' },
    { name: 'an endless trailer', wire: `0\r\n${'X: y\r\n'.repeat(100)}`, reason: 'trailer-too-large' },
    { name: 'a trailer of line feeds', wire: `0\r\n${'X: y\n'.repeat(100)}`, reason: 'trailer-too-large' },
  ];

  test.each(cases)('$name', ({ wire, reason }) => {
    const bytes = bytesOf(wire);
    const body = new ChunkedBody(maxTrailerBytes);
    expect(takeAll([bytes], 'pass', body)).toMatchObject({ done: false, reason });
    expect(body.problem).toEqual(refusal(reason));
    // Once malformed, nothing more is taken.
    expect(body.take(bytesOf('5\r\nhello\r\n0\r\n\r\n'), 0, false).length).toBe(0);
    expect(body).toMatchObject({ consumed: 0, done: false });
    for (const mode of ['decode', 'pass'] as const) {
      expect(takeAll(everyByte(bytes), mode)).toMatchObject({ done: false, reason });
      for (let at = 0; at <= Math.min(bytes.length, 300); at++) {
        expect(takeAll(cut(bytes, at), mode)).toMatchObject({ done: false, reason });
      }
    }
    body.reset();
    expect(takeAll([bytesOf('5\r\nhello\r\n0\r\n\r\n')], 'decode', body)).toMatchObject({
      output: 'hello',
      done: true,
    });
  });

  test('the largest size is waited for, not counted wrong', () => {
    const body = new ChunkedBody(maxTrailerBytes);
    expect(body.take(bytesOf('fffffffffffff\r\nhello'), 0, true).toString()).toBe('hello');
    expect(body).toMatchObject({ problem: null, done: false });
  });
});

describe('whatever body comes', () => {
  const content = fc
    .uint8Array({ minLength: 1, maxLength: 40 })
    .map((random) => Buffer.from(random).toString('latin1'));
  const spelling = fc.constantFrom<(size: number) => string>(
    (size) => size.toString(16),
    (size) => size.toString(16),
    (size) => size.toString(16).toUpperCase(),
    (size) => size.toString(16).padStart(4, '0'),
  );
  const extension = fc.constantFrom('', '', '', ';', ';a=b', ';"x";y');
  const chunk = fc.record({ content, spelling, extension });
  const trailer = fc.subarray(['X-A: 1\r\n', 'Content-Length: 9\r\n', 'x-b:\r\n', 'Cookie: x\r\n', 'X-C: \xff\r\n']);
  const lastSize = fc.constantFrom('0', '0', '00', '0;x');

  test('it is the same however it is split, and one body after the other', () => {
    const body = new ChunkedBody(maxTrailerBytes);
    fc.assert(
      fc.property(
        fc.array(chunk, { maxLength: 5 }),
        lastSize,
        trailer,
        fc.array(fc.nat(), { maxLength: 3 }),
        (chunks, last, lines, at) => {
          const payload = chunks.map((each) => each.content).join('');
          const spelt = chunks.map(
            (each) => `${each.spelling(each.content.length)}${each.extension}\r\n${each.content}\r\n`,
          );
          const bytes = bytesOf(`${spelt.join('')}${last}\r\n${lines.join('')}\r\n`);
          const pieces = cut(bytes, ...at.map((n) => n % (bytes.length + 1)));
          body.reset();
          expect(takeAll(pieces, 'decode', body)).toEqual({
            output: payload,
            done: true,
            reason: null,
            consumed: bytes.length,
          });
          body.reset();
          const outcome = takeAll(pieces, 'pass', body);
          expect(outcome).toMatchObject({ done: true, reason: null, consumed: bytes.length });
          expect(readSlowly(outcome.output)).toEqual({
            payload,
            trailer: lines.filter((line) => line.toLowerCase().startsWith('x-')).join(''),
            length: outcome.output.length,
          });
        },
      ),
      { numRuns: 1500 },
    );
  });

  test('noise ends in the same way however it is split, and what is passed on can be read in one way only', () => {
    const piece = fc.constantFrom(
      '0',
      '1',
      'a',
      '\r\n',
      '\r',
      '\n',
      ';',
      ' ',
      'X: 1',
      '\r\n\r\n',
      '5\r\nhello\r\n',
      '1;x\r\na',
    );
    const noise = fc.oneof(
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
      fc.tuple(fc.constantFrom(...bodies), fc.nat(), piece).map(([{ wire }, at, put]) => {
        const from = at % (wire.length + 1);
        return wire.slice(0, from) + put + wire.slice(from + put.length);
      }),
    );
    fc.assert(
      fc.property(noise, fc.array(fc.nat(), { maxLength: 2 }), (text, at) => {
        const bytes = bytesOf(text);
        const whole = takeAll([bytes], 'pass');
        const pieces = cut(bytes, ...at.map((n) => n % (bytes.length + 1)));
        const split = takeAll(pieces, 'pass');
        expect({ done: split.done, reason: split.reason }).toEqual({ done: whole.done, reason: whole.reason });
        if (whole.reason === null) expect(split.consumed).toBe(whole.consumed);
        if (!whole.done) return;
        const model = readSlowly(whole.output);
        expect(model?.length).toBe(whole.output.length);
        expect(readSlowly(split.output)?.payload).toBe(model?.payload);
        expect(takeAll(pieces, 'decode').output).toBe(model?.payload);
      }),
      { numRuns: 2000 },
    );
  });

  test('plain bytes are not copied', () => {
    const bytes = Buffer.from('x5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\nrest');
    const passed = new ChunkedBody(maxTrailerBytes).take(bytes, 1, false);
    expect(passed.buffer).toBe(bytes.buffer);
    expect(passed.byteOffset).toBe(bytes.byteOffset + 1);
    expect(passed.length).toBe(bytes.length - 'xrest'.length);
  });
});
