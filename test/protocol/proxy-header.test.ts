import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalAddress, ipv4Bytes, ipv6Bytes, ipv6Text } from '../../src/protocol/ip-address.ts';
import {
  maxProxyHeaderBytes,
  type ProxyHeader,
  readProxyHeader,
  renderProxyHeader,
  type TransportAddress,
} from '../../src/protocol/proxy-header.ts';

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A header of version 2, by hex; `length` only where it lies. */
function binary(versionAndCommand: number, family: number, body: string, length = body.length / 2): Buffer {
  return Buffer.concat([
    signature,
    Buffer.from([versionAndCommand, family, length >> 8, length & 0xff]),
    Buffer.from(body, 'hex'),
  ]);
}

const text = (line: string): Buffer => Buffer.from(line, 'latin1');

const ipv4Body = 'cb007107c633640910921267';
const ipv6Body = `20010db8000000000000000000000007${'20010db8000000000000000000000001'}1092 1267`.replace(' ', '');
const source4 = { address: '203.0.113.7', port: 4242 };
const destination4 = { address: '198.51.100.9', port: 4711 };
const source6 = { address: '2001:db8::7', port: 4242 };
const destination6 = { address: '2001:db8::1', port: 4711 };

type Good = readonly [
  name: string,
  header: Buffer,
  source: TransportAddress | null,
  destination: TransportAddress | null,
];

/** With a checksum over all of it, the four bytes of the sum taken for zero. */
const summed = binary(0x21, 0x11, `${ipv4Body}030004${checksumOf(binary(0x21, 0x11, `${ipv4Body}03000400000000`))}`);

const good: readonly Good[] = [
  ['v1 TCP4', text('PROXY TCP4 203.0.113.7 198.51.100.9 4242 4711\r\n'), source4, destination4],
  ['v1 TCP6', text('PROXY TCP6 2001:db8::7 2001:db8::1 4242 4711\r\n'), source6, destination6],
  ['v1 TCP6, upper case', text('PROXY TCP6 2001:DB8:0::7 2001:DB8::0001 4242 4711\r\n'), source6, destination6],
  ['v1 TCP6, mapped', text('PROXY TCP6 ::ffff:203.0.113.7 ::ffff:c633:6409 4242 4711\r\n'), source4, destination4],
  [
    'v1 TCP6 of the greatest length',
    text(`PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`),
    { address: `${'ffff:'.repeat(7)}ffff`, port: 65535 },
    { address: `${'ffff:'.repeat(7)}ffff`, port: 65535 },
  ],
  ['v1 port 0', text('PROXY TCP4 203.0.113.7 198.51.100.9 0 4711\r\n'), { ...source4, port: 0 }, destination4],
  ['v1 UNKNOWN', text('PROXY UNKNOWN\r\n'), null, null],
  ['v1 UNKNOWN with something', text(`PROXY UNKNOWN ${'f'.repeat(91)}\r\n`), null, null],
  ['v2 TCP4', binary(0x21, 0x11, ipv4Body), source4, destination4],
  ['v2 UDP4', binary(0x21, 0x12, ipv4Body), source4, destination4],
  ['v2 TCP6', binary(0x21, 0x21, ipv6Body), source6, destination6],
  ['v2 UDP6', binary(0x21, 0x22, ipv6Body), source6, destination6],
  [
    'v2 TCP6, mapped',
    binary(0x21, 0x21, '00000000000000000000ffffcb00710700000000000000000000ffffc633640910921267'),
    source4,
    destination4,
  ],
  ['v2 UNIX', binary(0x21, 0x31, '41'.repeat(216)), null, null],
  ['v2 UNIX, datagrams', binary(0x21, 0x32, '41'.repeat(216)), null, null],
  ['v2 unspecified', binary(0x21, 0x00, ''), null, null],
  ['v2 unspecified, with bytes that are no TLVs', binary(0x21, 0x00, 'ffff'), null, null],
  ['v2 LOCAL', binary(0x20, 0x00, ''), null, null],
  ['v2 LOCAL with addresses', binary(0x20, 0x11, ipv4Body), null, null],
  ['v2 LOCAL of a family that is none', binary(0x20, 0xff, 'aabbcc'), null, null],
  ['v2 with TLVs', binary(0x21, 0x11, `${ipv4Body}0100026832040000ee0001aa`), source4, destination4],
  ['v2 of the greatest length', binary(0x21, 0x11, `${ipv4Body}040ff1${'00'.repeat(4081)}`), source4, destination4],
  ['v2 with a checksum', summed, source4, destination4],
];

type Bad = readonly [name: string, bytes: Buffer, kind: 'absent' | 'malformed' | 'too-long'];

const v1 = (rest: string): Buffer => text(`PROXY ${rest}\r\n`);

const bad: readonly Bad[] = [
  ['a request', text('GET / HTTP/1.1\r\n'), 'absent'],
  ['a request that begins alike', text('PROPFIND / HTTP/1.1\r\n'), 'absent'],
  ['lower case', text('proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n'), 'absent'],
  ['a tab behind the word', text('PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n'), 'absent'],
  ['a blank before', text(' PROXY UNKNOWN\r\n'), 'absent'],
  ['a ClientHello', Buffer.from('16030100', 'hex'), 'absent'],
  ['empty lines', text('\r\n\r\nGET / HTTP/1.1\r\n'), 'absent'],
  ['a signature with a wrong end', Buffer.from('0d0a0d0a000d0a515549540b', 'hex'), 'absent'],
  ['no family', v1(''), 'malformed'],
  ['an unknown family', v1('UDP4 1.2.3.4 1.2.3.4 1 2'), 'malformed'],
  ['a family in lower case', v1('tcp4 1.2.3.4 1.2.3.4 1 2'), 'malformed'],
  ['a word that only begins with UNKNOWN', v1('UNKNOWNS'), 'malformed'],
  ['two blanks', v1('TCP4  1.2.3.4 1.2.3.4 1 2'), 'malformed'],
  ['a blank at the end', v1('TCP4 1.2.3.4 1.2.3.4 1 2 '), 'malformed'],
  ['too few fields', v1('TCP4 1.2.3.4 1.2.3.4 1'), 'malformed'],
  ['too many fields', v1('TCP4 1.2.3.4 1.2.3.4 1 2 3'), 'malformed'],
  ['an IPv6 address in TCP4', v1('TCP4 ::1 ::1 1 2'), 'malformed'],
  ['an IPv4 address in TCP6', v1('TCP6 1.2.3.4 1.2.3.4 1 2'), 'malformed'],
  ['one address of each', v1('TCP6 ::1 1.2.3.4 1 2'), 'malformed'],
  ['a leading zero in an address', v1('TCP4 01.2.3.4 1.2.3.4 1 2'), 'malformed'],
  ['an address of three parts', v1('TCP4 1.2.3 1.2.3.4 1 2'), 'malformed'],
  ['a part beyond 255', v1('TCP4 256.2.3.4 1.2.3.4 1 2'), 'malformed'],
  ['a name', v1('TCP4 localhost 1.2.3.4 1 2'), 'malformed'],
  ['two double colons', v1('TCP6 1::2::3 ::1 1 2'), 'malformed'],
  ['brackets', v1('TCP6 [::1] ::1 1 2'), 'malformed'],
  ['a zone', v1('TCP6 fe80::1%lo ::1 1 2'), 'malformed'],
  ['a leading zero in a port', v1('TCP4 1.2.3.4 1.2.3.4 01 2'), 'malformed'],
  ['a sign', v1('TCP4 1.2.3.4 1.2.3.4 +1 2'), 'malformed'],
  ['a port that is no number', v1('TCP4 1.2.3.4 1.2.3.4 1 http'), 'malformed'],
  ['a port beyond 65535', v1('TCP4 1.2.3.4 1.2.3.4 1 65536'), 'malformed'],
  ['an empty port', v1('TCP4 1.2.3.4 1.2.3.4  2'), 'malformed'],
  ['a line feed alone', text('PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n'), 'malformed'],
  ['a carriage return inside', v1('TCP4 1.2.3.4 1.2.3.4 1\r 2'), 'malformed'],
  ['a NUL at the end', v1('TCP4 1.2.3.4 1.2.3.4 1 2\0'), 'malformed'],
  ['108 bytes', v1(`UNKNOWN ${'f'.repeat(92)}`), 'too-long'],
  ['no end', text(`PROXY TCP4 ${'1'.repeat(200)}`), 'too-long'],
  ['a request in place of a header', text('PROXY / HTTP/1.1\r\n'), 'malformed'],
  ['version 1 in the form of 2', binary(0x11, 0x11, ipv4Body), 'malformed'],
  ['version 3', binary(0x31, 0x11, ipv4Body), 'malformed'],
  ['an unknown command', binary(0x22, 0x11, ipv4Body), 'malformed'],
  ['an unknown family of version 2', binary(0x21, 0x41, ipv4Body), 'malformed'],
  ['a transport without family', binary(0x21, 0x01, ipv4Body), 'malformed'],
  ['a family without transport', binary(0x21, 0x10, ipv4Body), 'malformed'],
  ['an unknown transport', binary(0x21, 0x13, ipv4Body), 'malformed'],
  ['too short for IPv4', binary(0x21, 0x11, ipv4Body.slice(2)), 'malformed'],
  ['too short for IPv6', binary(0x21, 0x21, ipv4Body), 'malformed'],
  ['too short for UNIX', binary(0x21, 0x31, '41'.repeat(215)), 'malformed'],
  ['more than 4096 bytes', binary(0x21, 0x11, '', 4097), 'too-long'],
  ['LOCAL with more than 4096 bytes', binary(0x20, 0x00, '', 0xffff), 'too-long'],
  ['half a TLV', binary(0x21, 0x11, `${ipv4Body}0100`), 'malformed'],
  ['a TLV that is longer than the header', binary(0x21, 0x11, `${ipv4Body}01000368`), 'malformed'],
  ['a wrong checksum', binary(0x21, 0x11, `${ipv4Body}03000412345678`), 'malformed'],
  ['a checksum of three bytes', binary(0x21, 0x11, `${ipv4Body}030003123456`), 'malformed'],
  ['two checksums', binary(0x21, 0x11, `${ipv4Body}0300041234567803000412345678`), 'malformed'],
];

/** The CRC-32C of some bytes in hex, bit by bit. */
function checksumOf(bytes: Buffer): string {
  let sum = 0xffff_ffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f6_3b78 : sum >>> 1;
  }
  return ((sum ^ 0xffff_ffff) >>> 0).toString(16).padStart(8, '0');
}

/** Reads as a Session does: looks again only when `needBytes` have come. Answers the outcome and how often it looked. */
function readInSteps(bytes: Buffer): { outcome: ProxyHeader; looks: number } {
  let outcome: ProxyHeader = { kind: 'incomplete', needBytes: 1 };
  let looks = 0;
  while (outcome.kind === 'incomplete' && outcome.needBytes <= bytes.length) {
    const before: number = outcome.needBytes;
    outcome = readProxyHeader(bytes.subarray(0, before));
    looks++;
    if (outcome.kind === 'incomplete') expect(outcome.needBytes).toBeGreaterThan(before);
  }
  return { outcome, looks };
}

describe('good headers', () => {
  test.each(good)('%s', (_, header, source, destination) => {
    expect(readProxyHeader(header)).toEqual({ kind: 'header', bytes: header.length, source, destination });
  });

  test.each(good)('%s: every prefix wants more, and no more than there is', (_, header) => {
    for (let length = 0; length < header.length; length++) {
      const outcome = readProxyHeader(header.subarray(0, length));
      expect(outcome.kind).toBe('incomplete');
      if (outcome.kind !== 'incomplete') continue;
      expect(outcome.needBytes).toBeGreaterThan(length);
      expect(outcome.needBytes).toBeLessThanOrEqual(header.length);
    }
  });

  test.each(good)('%s: what follows is left alone', (_, header, source, destination) => {
    for (const rest of ['x', '\r\n', 'PROXY UNKNOWN\r\n', 'GET / HTTP/1.1\r\n\r\n'.repeat(1000)]) {
      const outcome = readProxyHeader(Buffer.concat([header, text(rest)]));
      expect(outcome).toEqual({ kind: 'header', bytes: header.length, source, destination });
    }
  });

  test('the known value of CRC-32C', () => expect(checksumOf(text('123456789'))).toBe('e3069283'));

  test('one bit of the addresses or the checksum changed: the checksum tells', () => {
    for (const at of [...Array(12).keys()].map((i) => 16 + i).concat([31, 32, 33, 34])) {
      const changed = Buffer.from(summed);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(readProxyHeader(changed).kind).toBe('malformed');
    }
  });
});

describe('bad headers', () => {
  test.each(bad)('%s', (_, bytes, kind) => {
    expect(readProxyHeader(bytes)).toEqual({ kind });
    expect(readProxyHeader(Buffer.concat([bytes, Buffer.alloc(5000, 'x')])).kind).toBe(kind);
  });

  test.each(bad)('%s: no prefix is a header, and the verdict stays', (_, bytes, kind) => {
    let decided = false;
    for (let length = 0; length <= bytes.length; length++) {
      const outcome = readProxyHeader(bytes.subarray(0, length)).kind;
      expect(decided ? [kind] : ['incomplete', kind]).toContain(outcome);
      decided = outcome !== 'incomplete';
    }
    expect(decided).toBe(true);
  });

  test('no header needs more than the greatest', () => {
    for (const [, header] of good) expect(header.length).toBeLessThanOrEqual(maxProxyHeaderBytes);
  });
});

const port = fc.nat(65_535);
const ipv4 = fc.ipV4();
const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => ipv6Text(Buffer.from(bytes)));
const address = fc.oneof(ipv4, ipv6);
const end = fc.record({ address, port });

describe('any bytes', () => {
  test('never throw, and steps come to what the whole comes to', () => {
    const begin = fc.constantFrom(Buffer.alloc(0), text('PROXY '), text('PROXY TCP4 1.2.3.4 '), signature);
    fc.assert(
      fc.property(begin, fc.uint8Array({ maxLength: 300 }), (first, random) => {
        const bytes = Buffer.concat([first, random]);
        const { outcome, looks } = readInSteps(bytes);
        expect(looks).toBeLessThanOrEqual(110);
        const whole = readProxyHeader(bytes);
        // A strange byte may be seen a little earlier by who looks at everything; a header may not.
        if (outcome.kind === 'incomplete') expect(['header', 'absent']).not.toContain(whole.kind);
        else expect(outcome).toEqual(whole);
      }),
      { numRuns: 3000 },
    );
  });

  test('headers with bytes changed, taken out and put in', () => {
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.constantFrom(0, 1, 1, 2, 30),
      insert: fc.uint8Array({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...good.map(([, header]) => header)),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (header, edits) => {
          let bytes = header;
          for (const { at, remove, insert } of edits) {
            const from = at % (bytes.length + 1);
            bytes = Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + remove)]);
          }
          const outcome = readProxyHeader(bytes);
          if (outcome.kind !== 'header') return;
          expect(outcome.bytes).toBeLessThanOrEqual(bytes.length);
          for (const one of [outcome.source, outcome.destination]) {
            if (one === null) continue;
            expect(canonicalAddress(one.address)).toBe(one.address);
            expect(one.port >= 0 && one.port <= 65_535).toBe(true);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('written and read back', () => {
  test.each(['v1', 'v2'] as const)('%s', (version) => {
    fc.assert(
      fc.property(end, end, (source, destination) => {
        const header = renderProxyHeader(version, source, destination);
        expect(readProxyHeader(header)).toEqual({ kind: 'header', bytes: header.length, source, destination });
      }),
      { numRuns: 1000 },
    );
  });

  test.each<[string, 'v1' | 'v2', TransportAddress, TransportAddress, Buffer]>([
    ['IPv4', 'v1', source4, destination4, v1('TCP4 203.0.113.7 198.51.100.9 4242 4711')],
    ['IPv6', 'v1', source6, destination6, v1('TCP6 2001:db8::7 2001:db8::1 4242 4711')],
    [
      'an IPv4 client of an IPv6 address',
      'v1',
      source4,
      destination6,
      v1('TCP6 ::ffff:203.0.113.7 2001:db8::1 4242 4711'),
    ],
    ['a client that has gone', 'v1', { address: '', port: 0 }, destination4, v1('UNKNOWN')],
    ['a zone', 'v1', { address: 'fe80::1%lo', port: 1 }, destination6, v1('UNKNOWN')],
    ['IPv4', 'v2', source4, destination4, binary(0x21, 0x11, ipv4Body)],
    ['IPv6', 'v2', source6, destination6, binary(0x21, 0x21, ipv6Body)],
    [
      'an IPv6 client of an IPv4 address',
      'v2',
      source6,
      destination4,
      binary(0x21, 0x21, '20010db800000000000000000000000700000000000000000000ffffc633640910921267'),
    ],
    ['a client that has gone', 'v2', { address: '', port: 0 }, destination4, binary(0x20, 0x00, '')],
  ])('%s, %s', (_, version, source, destination, expected) => {
    expect(renderProxyHeader(version, source, destination)).toEqual(expected);
  });
});

describe('addresses', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['::ffff', '::ffff'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['fe80::1%eth0', null],
    ['192.0.2', null],
    ['192.0.2.01', null],
    ['', null],
    ['a.test', null],
    ['[::1]', null],
  ])('%o is %o', (given, expected) => expect(canonicalAddress(given)).toBe(expected));

  test('texts and bytes', () => {
    expect(ipv6Bytes('2001:db8::7').toString('hex')).toBe('20010db8000000000000000000000007');
    expect(ipv6Bytes('::').toString('hex')).toBe('0'.repeat(32));
    expect(ipv6Bytes('1::').toString('hex')).toBe(`0001${'0'.repeat(28)}`);
    expect(ipv6Bytes('::ffff:1.2.3.4').toString('hex')).toBe('00000000000000000000ffff01020304');
    expect(ipv6Bytes('1.2.3.4').toString('hex')).toBe('00000000000000000000ffff01020304');
    expect(ipv4Bytes('1.2.3.255').toString('hex')).toBe('010203ff');
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (random) => {
        const bytes = Buffer.from(random);
        expect(ipv6Bytes(ipv6Text(bytes))).toEqual(bytes);
      }),
    );
  });
});
