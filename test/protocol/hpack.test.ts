import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HpackDecoder } from '../../src/protocol/hpack-decoder.ts';
import { encodeField, encodeStatus, maxFieldBytes } from '../../src/protocol/hpack-encoder.ts';
import { decodeHuffman, staticNames, staticValues } from '../../src/protocol/hpack-tables.ts';

type Pair = readonly [name: string, value: string];
/** What a decoder made of one block. */
type Outcome = { readonly whole: boolean; readonly fields: readonly Pair[] };

const tableBytes = 4096;

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

function decode(decoder: HpackDecoder, block: Buffer): Outcome {
  const fields: Pair[] = [];
  const whole = decoder.decode(block, { field: (name, value) => void fields.push([name, value]) });
  return { whole, fields };
}

/** An integer behind the upper bits of its first byte, with more octets than it needs if so wished (RFC 7541 5.1). */
function integer(upper: number, prefix: number, value: number, octets = 0): number[] {
  if (value < prefix) return [upper | value];
  const bytes = [upper | prefix];
  let rest = value - prefix;
  while (rest >= 0x80 || bytes.length < octets) {
    bytes.push(0x80 | (rest % 0x80));
    rest = Math.floor(rest / 0x80);
  }
  return [...bytes, rest];
}

/** Appendix B by length of code: the first code, and the octets in the order of their codes, which count up from it. */
const huffmanRows: ReadonlyArray<readonly [bits: number, first: number, octets: string | readonly number[]]> = [
  [5, 0x0, '012aceiost'],
  [6, 0x14, ' %-./3456789=A_bdfghlmnpru'],
  [7, 0x5c, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, 0xf8, '&*,;XZ'],
  [10, 0x3f8, '!"()?'],
  [11, 0x7fa, "'+|"],
  [12, 0xffa, '#>'],
  [13, 0x1ff8, '\0$@[]~'],
  [14, 0x3ffc, '^}'],
  [15, 0x7ffc, '<`{'],
  [19, 0x7fff0, [92, 195, 208]],
  [20, 0xfffe6, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, 0x1fffdc, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [
    22,
    0x3fffd2,
    [
      129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198,
      228, 232, 233,
    ],
  ],
  [
    23,
    0x7fffd8,
    [
      1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182,
      183, 188, 191, 197, 231, 239,
    ],
  ],
  [24, 0xffffea, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, 0x1ffffec, [199, 207, 234, 235]],
  [26, 0x3ffffe0, [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [27, 0x7ffffde, [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254]],
  [
    28,
    0xfffffe2,
    [2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249],
  ],
  [30, 0x3ffffffc, [10, 13, 22]],
];
const codes: ReadonlyMap<number, string> = new Map(
  huffmanRows.flatMap(([bits, first, octets]) =>
    [...(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets)].map((octet, i): [number, string] => [
      octet,
      (first + i).toString(2).padStart(bits, '0'),
    ]),
  ),
);
const octetOf: ReadonlyMap<string, number> = new Map([...codes].map(([octet, code]) => [code, octet]));
const endOfString = '1'.repeat(30);

/** Bits as bytes; what is missing at the end is filled with ones. */
function bitsToBytes(bits: string): Buffer {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

function huffman(text: string): Buffer {
  return bitsToBytes([...Buffer.from(text, 'latin1')].map((octet) => codes.get(octet)).join(''));
}

/** Appendix B bit by bit. Null where 5.2 demands an error. */
function decodeHuffmanSlowly(bytes: Buffer): string | null {
  let text = '';
  let pending = '';
  for (const bit of [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')) {
    pending += bit;
    if (pending === endOfString) return null;
    const octet = octetOf.get(pending);
    if (octet === undefined) continue;
    text += String.fromCharCode(octet);
    pending = '';
  }
  return pending.length < 8 && !pending.includes('0') ? text : null;
}

/** The two tables as RFC 7541 2.3 describes them, with an array. Both ends of the slow peer use it. */
class SlowTable {
  entries: Pair[] = [];
  limit = 4096;

  at(index: number): Pair | undefined {
    if (index === 0) return undefined;
    return index < 62 ? [staticNames[index] ?? '', staticValues[index] ?? ''] : this.entries[index - 62];
  }

  get size(): number {
    return this.entries.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  }

  add(name: string, value: string): void {
    this.entries.unshift([name, value]);
    this.resize(this.limit);
  }

  resize(limit: number): void {
    this.limit = limit;
    while (this.size > limit) this.entries.pop();
  }
}

/** A decoder that is obvious: RFC 7541 6 and 5 from top to bottom. */
class SlowDecoder {
  readonly table: SlowTable = new SlowTable();
  readonly #maxTableBytes: number;
  #rest: number[] = [];

  constructor(maxTableBytes: number) {
    this.#maxTableBytes = maxTableBytes;
  }

  decode(block: Buffer): Outcome {
    this.#rest = [...block];
    const fields: Pair[] = [];
    try {
      while (this.#rest.length > 0) this.#representation(fields);
      return { whole: true, fields };
    } catch (error) {
      if (error !== malformed) throw error;
      return { whole: false, fields };
    }
  }

  #representation(fields: Pair[]): void {
    const bits = (this.#rest[0] ?? 0).toString(2).padStart(8, '0');
    if (bits.startsWith('1')) {
      fields.push(this.#known(this.#integer(7)));
    } else if (bits.startsWith('001')) {
      const limit = this.#integer(5);
      if (fields.length > 0 || limit > this.#maxTableBytes) throw malformed;
      this.table.resize(limit);
    } else {
      const index = this.#integer(bits.startsWith('01') ? 6 : 4);
      const name = index === 0 ? this.#string() : this.#known(index)[0];
      const value = this.#string();
      if (bits.startsWith('01')) this.table.add(name, value);
      fields.push([name, value]);
    }
  }

  #known(index: number): Pair {
    const field = this.table.at(index);
    if (field === undefined) throw malformed;
    return field;
  }

  #byte(): number {
    const byte = this.#rest.shift();
    if (byte === undefined) throw malformed;
    return byte;
  }

  #integer(bits: number): number {
    const most = 2 ** bits - 1;
    let value = this.#byte() % (most + 1);
    if (value < most) return value;
    for (let octets = 0; octets < 4; octets++) {
      const byte = this.#byte();
      value += (byte % 128) * 128 ** octets;
      if (value > 2 ** 28) throw malformed;
      if (byte < 128) return value;
    }
    throw malformed;
  }

  #string(): string {
    const isHuffman = (this.#rest[0] ?? 0) >= 128;
    const length = this.#integer(7);
    if (length > this.#rest.length) throw malformed;
    const bytes = Buffer.from(this.#rest.splice(0, length));
    const text = isHuffman ? decodeHuffmanSlowly(bytes) : bytes.toString('latin1');
    if (text === null) throw malformed;
    return text;
  }
}
const malformed = Symbol('malformed');

/** One step of an encoder that may do all that RFC 7541 allows. Numbers are taken modulo what there is to choose from. */
type Step =
  | { readonly kind: 'indexed'; readonly index: number }
  | {
      readonly kind: 'literal';
      readonly form: Form;
      readonly index: number | null;
      readonly name: string;
      readonly value: string;
      readonly huffman: boolean;
      readonly octets: number;
    };
type Form = 'incremental' | 'without' | 'never';
type Block = { readonly limits: readonly number[]; readonly steps: readonly Step[] };

const forms: Readonly<Record<Form, readonly [upper: number, prefix: number]>> = {
  incremental: [0x40, 0x3f],
  without: [0x00, 0x0f],
  never: [0x10, 0x0f],
};

function literal(text: string, isHuffman: boolean, octets: number): number[] {
  const bytes = isHuffman ? huffman(text) : Buffer.from(text, 'latin1');
  return [...integer(isHuffman ? 0x80 : 0, 0x7f, bytes.length, octets), ...bytes];
}

/** One block as a peer with this table would send it, and its fields. */
function encodeSlowly(table: SlowTable, { limits, steps }: Block): { readonly block: Buffer; readonly fields: Pair[] } {
  const bytes: number[] = [];
  const fields: Pair[] = [];
  for (const limit of limits) {
    bytes.push(...integer(0x20, 0x1f, limit));
    table.resize(limit);
  }
  for (const step of steps) {
    const index = step.index === null ? 0 : 1 + (step.index % (61 + table.entries.length));
    const known = table.at(index);
    if (step.kind === 'indexed') {
      if (known === undefined) throw new Error(`no entry ${index}`);
      bytes.push(...integer(0x80, 0x7f, index));
      fields.push(known);
      continue;
    }
    const [upper, prefix] = forms[step.form];
    const name = known?.[0] ?? step.name;
    bytes.push(...integer(upper, prefix, index));
    if (known === undefined) bytes.push(...literal(name, step.huffman, step.octets));
    bytes.push(...literal(step.value, step.huffman, step.octets));
    fields.push([name, step.value]);
    if (step.form === 'incremental') table.add(name, step.value);
  }
  return { block: Buffer.from(bytes), fields };
}

const latin1 = fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c));
const anyText = fc.oneof(
  fc.string({ unit: latin1, maxLength: 40 }),
  fc.constantFrom('', 'GET', 'gzip, deflate', 'www.example.com', 'a'.repeat(126), 'b'.repeat(127), 'c'.repeat(128)),
  fc.nat({ max: 3000 }).map((length) => 'lorem ipsum '.repeat(250).slice(0, length)),
);
const anyName = fc.oneof(
  fc.constantFrom(...staticNames.slice(1)),
  fc.constantFrom('', 'x', 'x-request-id', 'content-typo'),
  fc.string({ unit: latin1, maxLength: 30 }),
);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('indexed' as const), index: fc.nat({ max: 300 }) }),
  fc.record({
    kind: fc.constant('literal' as const),
    form: fc.constantFrom<Form>('incremental', 'incremental', 'without', 'never'),
    index: fc.option(fc.nat({ max: 300 })),
    name: anyName,
    value: anyText,
    huffman: fc.boolean(),
    octets: fc.constantFrom(0, 0, 0, 4),
  }),
);
/** Blocks of one connection to a decoder that announced `tableBytes`. */
const anyBlocks: fc.Arbitrary<readonly Block[]> = fc.array(
  fc.record({
    limits: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      fc.array(fc.constantFrom(0, 33, 100, 500, 4095, 4096), { maxLength: 2 }),
    ),
    steps: fc.array(anyStep, { maxLength: 12 }),
  }),
  { maxLength: 12 },
);

describe('examples of RFC 7541, appendix C', () => {
  type Example = { readonly block: string; readonly fields: readonly Pair[]; readonly table: readonly Pair[] };
  const authority: Pair = [':authority', 'www.example.com'];
  const noCache: Pair = ['cache-control', 'no-cache'];
  const custom: Pair = ['custom-key', 'custom-value'];
  const requests: readonly Example[] = [
    {
      block: '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      fields: [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], authority],
      table: [authority],
    },
    {
      block: '8286 84be 5808 6e6f 2d63 6163 6865',
      fields: [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], authority, noCache],
      table: [noCache, authority],
    },
    {
      block: '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      fields: [[':method', 'GET'], [':scheme', 'https'], [':path', '/index.html'], authority, custom],
      table: [custom, noCache, authority],
    },
  ];
  const huffmanRequests = [
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    '8286 84be 5886 a8eb 1064 9cbf',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
  ];
  const redirect: Pair = [':status', '302'];
  const otherRedirect: Pair = [':status', '307'];
  const cacheControl: Pair = ['cache-control', 'private'];
  const date: Pair = ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'];
  const later: Pair = ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'];
  const location: Pair = ['location', 'https://www.example.com'];
  const encoding: Pair = ['content-encoding', 'gzip'];
  const cookie: Pair = ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'];
  const responses: readonly Example[] = [
    {
      block: `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
        474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`.replaceAll(/\s/g, ''),
      fields: [redirect, cacheControl, date, location],
      table: [location, date, cacheControl, redirect],
    },
    {
      block: '4803 3330 37c1 c0bf',
      fields: [otherRedirect, cacheControl, date, location],
      table: [otherRedirect, location, date, cacheControl],
    },
    {
      block: `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
        666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630
        303b 2076 6572 7369 6f6e 3d31`.replaceAll(/\s/g, ''),
      fields: [[':status', '200'], cacheControl, later, location, encoding, cookie],
      table: [cookie, encoding, later],
    },
  ];
  const huffmanResponses = [
    `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b
      97c8 e9ae 82ae 43d3`,
    '4883 640e ffc1 c0bf',
    `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf
      cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
  ].map((block) => block.replaceAll(/\s/g, ''));
  /** The appendix takes it that both ends have agreed on 256 bytes; on a connection the encoder says so. */
  const smallTable = '3fe1 01';

  function inHuffman(examples: readonly Example[], blocks: readonly string[]): Example[] {
    return examples.map((example, i) => ({ ...example, block: blocks[i] ?? '' }));
  }

  test.each<{ readonly name: string; readonly first?: string; readonly examples: readonly Example[] }>([
    {
      name: 'C.2.1: literal with indexing',
      examples: [
        {
          block: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
          fields: [['custom-key', 'custom-header']],
          table: [['custom-key', 'custom-header']],
        },
      ],
    },
    {
      name: 'C.2.2: literal without indexing',
      examples: [{ block: '040c 2f73 616d 706c 652f 7061 7468', fields: [[':path', '/sample/path']], table: [] }],
    },
    {
      name: 'C.2.3: literal never indexed',
      examples: [{ block: '1008 7061 7373 776f 7264 0673 6563 7265 74', fields: [['password', 'secret']], table: [] }],
    },
    { name: 'C.2.4: indexed', examples: [{ block: '82', fields: [[':method', 'GET']], table: [] }] },
    { name: 'C.3: requests', examples: requests },
    { name: 'C.4: requests in Huffman code', examples: inHuffman(requests, huffmanRequests) },
    { name: 'C.5: responses, with evictions', first: smallTable, examples: responses },
    {
      name: 'C.6: responses in Huffman code, with evictions',
      first: smallTable,
      examples: inHuffman(responses, huffmanResponses),
    },
  ])('$name', ({ first = '', examples }) => {
    const blocks = examples.map(({ block }, i) => hex(i === 0 ? first + block : block));
    examples.forEach(({ fields, table }, i) => {
      const decoder = new HpackDecoder(tableBytes);
      for (const block of blocks.slice(0, i)) expect(decode(decoder, block).whole).toBe(true);
      expect(decode(decoder, blocks[i] ?? Buffer.alloc(0))).toEqual({ whole: true, fields });
      // The table has these entries, newest first, and no other.
      const all = Buffer.from(table.map((_, entry) => 0x80 | (62 + entry)));
      expect(decode(decoder, all)).toEqual({ whole: true, fields: table });
      expect(decode(decoder, Buffer.from([0x80 | (62 + table.length)]))).toEqual({ whole: false, fields: [] });
    });
  });
});

describe('the Huffman code', () => {
  test('the rows above are complete: every bit string is a code, begins with one or begins one', () => {
    expect(codes.size).toBe(256);
    const share = [...codes.values(), endOfString].reduce((sum, code) => sum + 2 ** -code.length, 0);
    expect(share).toBe(1);
    expect(octetOf.size).toBe(256);
  });

  test('every octet behind every other', () => {
    for (let first = 0; first < 256; first++) {
      let text = '';
      for (let second = 0; second < 256; second++) text += String.fromCharCode(first, second);
      const bytes = huffman(text);
      expect(decodeHuffman(bytes, 0, bytes.length)).toBe(text);
    }
  });

  test.each([0, 1, 4095, 4096, 4097, 50_000])('%i octets', (length) => {
    for (const text of ['0', '\n', 'x1'].map((unit) => unit.repeat(length).slice(0, length))) {
      const bytes = Buffer.concat([Buffer.from([0xa5]), huffman(text), Buffer.from([0x5a])]);
      expect(decodeHuffman(bytes, 1, bytes.length - 1)).toBe(text);
    }
  });

  test.each<{ readonly name: string; readonly bits: string; readonly text: string | null }>([
    { name: 'no padding', bits: '11111000', text: '&' },
    { name: 'one bit of padding', bits: '1011100 1', text: ':' },
    { name: 'one bit of padding, a zero', bits: '1011100 0', text: null },
    { name: 'three bits of padding', bits: '00011 111', text: 'a' },
    { name: 'three bits of padding, the first a zero', bits: '00011 011', text: null },
    { name: 'three bits of padding, the last a zero', bits: '00011 110', text: null },
    { name: 'seven bits of padding', bits: '00000 010100 010100 1111111', text: '0  ' },
    { name: 'seven bits of padding, the last a zero', bits: '00000 010100 010100 1111110', text: null },
    { name: 'eight bits of padding', bits: '11111000 11111111', text: null },
    { name: 'eight bits of padding alone', bits: '11111111', text: null },
    { name: 'eleven bits of padding', bits: '00011 11111111111', text: null },
    { name: 'a code cut off', bits: '11111111 11000000', text: null },
    { name: 'EOS, with padding', bits: `${'1'.repeat(30)} 11`, text: null },
    { name: 'EOS behind an octet', bits: `00011 ${'1'.repeat(30)} 11111`, text: null },
    { name: 'EOS before octets', bits: `${'1'.repeat(30)} 00011 00011`, text: null },
    { name: 'EOS, then as many ones again', bits: '1'.repeat(64), text: null },
  ])('$name', ({ bits, text }) => {
    const bytes = bitsToBytes(bits.replaceAll(' ', ''));
    expect(decodeHuffman(bytes, 0, bytes.length)).toBe(text);
    expect(decodeHuffmanSlowly(bytes)).toBe(text);
  });

  test('whatever bytes: as bit by bit', () => {
    const anyBits = fc.array(fc.constantFrom(...codes.values(), '1', '11111', '1'.repeat(29)), { maxLength: 30 });
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((random) => Buffer.from(random)),
      anyBits.map((bits) => bitsToBytes(bits.join(''))),
    );
    let taken = 0;
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const text = decodeHuffman(bytes, 0, bytes.length);
        expect(text).toBe(decodeHuffmanSlowly(bytes));
        if (text !== null) taken++;
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(100);
  });
});

describe('decoding', () => {
  /** A literal without indexing, `a: b`. */
  const ab = [0x00, 0x01, 0x61, 0x01, 0x62];
  const abField: Pair = ['a', 'b'];
  const method: Pair = [':method', 'GET'];

  type Case = {
    readonly name: string;
    readonly bytes: readonly number[];
    /** Absent: malformed. */
    readonly fields?: readonly Pair[];
    /** What came before the malformed part. */
    readonly before?: readonly Pair[];
    readonly maxTableBytes?: number;
  };

  test.each<Case>([
    { name: 'nothing', bytes: [], fields: [] },

    { name: 'index 1', bytes: [0x81], fields: [[':authority', '']] },
    { name: 'index 61', bytes: [0x80 | 61], fields: [['www-authenticate', '']] },
    { name: 'index 0', bytes: [0x82, 0x80], before: [method] },
    { name: 'an index behind an empty table', bytes: [0x82, 0x80 | 62], before: [method] },
    { name: 'an index behind the last entry', bytes: [0x40, ...ab.slice(1), 0x80 | 63], before: [abField] },
    { name: 'the last entry', bytes: [0x40, ...ab.slice(1), 0x80 | 62], fields: [abField, abField] },
    { name: 'a large index', bytes: integer(0x80, 0x7f, 1_000_000) },
    { name: 'the largest index', bytes: integer(0x80, 0x7f, 2 ** 28) },
    { name: 'a name by an index behind an empty table: incremental', bytes: [0x40 | 62, 0x01, 0x62] },
    { name: 'a name by an index behind an empty table: without', bytes: [0x0f, 62 - 15, 0x01, 0x62] },
    { name: 'a name by an index behind an empty table: never', bytes: [0x1f, 62 - 15, 0x01, 0x62] },
    { name: 'a name by the last index', bytes: [0x1f, 61 - 15, 0x01, 0x62], fields: [['www-authenticate', 'b']] },

    { name: 'a table size', bytes: [...integer(0x20, 0x1f, 100), 0x82], fields: [method] },
    { name: 'two table sizes', bytes: [0x20, ...integer(0x20, 0x1f, 4096), 0x82], fields: [method] },
    { name: 'a table size alone', bytes: [0x20], fields: [] },
    { name: 'the largest table size', bytes: integer(0x20, 0x1f, 4096), fields: [] },
    { name: 'a larger table size', bytes: integer(0x20, 0x1f, 4097) },
    { name: 'a larger table size behind a good one', bytes: [0x20, ...integer(0x20, 0x1f, 4097)] },
    { name: 'as announced', bytes: integer(0x20, 0x1f, 65_536), maxTableBytes: 65_536, fields: [] },
    { name: 'more than announced', bytes: integer(0x20, 0x1f, 65_537), maxTableBytes: 65_536 },
    { name: 'less than the default is announced', bytes: integer(0x20, 0x1f, 101), maxTableBytes: 100 },
    { name: 'no table is announced', bytes: [0x20, 0x82], maxTableBytes: 0, fields: [method] },
    { name: 'a table size behind a field', bytes: [0x82, 0x20], before: [method] },
    { name: 'a table size behind a literal', bytes: [...ab, 0x3f, 0x00], before: [abField] },
    { name: 'a table size cut off', bytes: [0x3f] },

    {
      name: 'four octets of a length',
      bytes: [0x00, 1, 0x61, ...integer(0, 0x7f, 127, 4), ...Buffer.alloc(127, 'b')],
      fields: [['a', 'b'.repeat(127)]],
    },
    { name: 'five octets of a length', bytes: [0x00, 1, 0x61, ...integer(0, 0x7f, 127, 5), ...Buffer.alloc(127, 'b')] },
    { name: 'four octets of a table size', bytes: [...integer(0x20, 0x1f, 31, 4), 0x82], fields: [method] },
    { name: 'five octets of a table size', bytes: [...integer(0x20, 0x1f, 31, 5), 0x82] },
    {
      name: 'four octets of an index',
      bytes: integer(0x0f, 0x0f, 15, 4).concat(1, 0x62),
      fields: [['accept-charset', 'b']],
    },
    { name: 'five octets of an index', bytes: integer(0x0f, 0x0f, 15, 5).concat(1, 0x62) },
    { name: 'an index over 2^28', bytes: [0xff, 0xff, 0xff, 0xff, 0x7f] },
    { name: 'an index that would overflow to 2', bytes: [0xff, 0x83, 0xff, 0xff, 0xff, 0x0f] },
    { name: 'a length that would overflow to 1', bytes: [0x00, 0x7f, 0x82, 0xff, 0xff, 0xff, 0x0f, 0x61, 1, 0x62] },
    { name: 'an index cut off', bytes: [0x82, 0xff], before: [method] },
    { name: 'an index cut off further on', bytes: [0x82, 0xff, 0x80], before: [method] },

    { name: 'a name cut off', bytes: [0x82, 0x00, 0x02, 0x61], before: [method] },
    { name: 'a name that is not there', bytes: [0x82, 0x00], before: [method] },
    { name: 'a value cut off', bytes: [0x82, 0x00, 0x01, 0x61, 0x02, 0x62], before: [method] },
    { name: 'a value that is not there', bytes: [0x82, 0x00, 0x01, 0x61], before: [method] },
    { name: 'a value that is not there, with an index', bytes: [0x82, 0x44], before: [method] },
    { name: 'a Huffman string longer than the block', bytes: [0x82, 0x44, 0x82, 0x1f], before: [method] },
    { name: 'a length of 2^28', bytes: [0x00, ...integer(0, 0x7f, 2 ** 28), 0x61] },
    { name: 'an empty name and value', bytes: [0x00, 0x00, 0x00], fields: [['', '']] },
    { name: 'an empty name and value in Huffman code', bytes: [0x00, 0x80, 0x80], fields: [['', '']] },
    { name: 'EOS in a name', bytes: [0x82, 0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, 0x62], before: [method] },
    { name: 'padding of eight bits in a value', bytes: [0x82, 0x44, 0x82, 0xf8, 0xff], before: [method] },
    { name: 'padding that is not all ones in a value', bytes: [0x82, 0x44, 0x81, 0x18], before: [method] },
    { name: 'octets above 127', bytes: [0x00, 0x01, 0xe9, 0x01, 0xff], fields: [['\xe9', '\xff']] },
  ])('$name', ({ bytes, fields, before = [], maxTableBytes = tableBytes }) => {
    const expected = fields === undefined ? { whole: false, fields: before } : { whole: true, fields };
    const block = Buffer.from(bytes);
    expect(decode(new HpackDecoder(maxTableBytes), block)).toEqual(expected);
    expect(new SlowDecoder(maxTableBytes).decode(block)).toEqual(expected);
  });

  describe('the dynamic table', () => {
    /** A literal that counts so many bytes in the table. */
    function entry(name: string, size: number): number[] {
      return [0x40, ...literal(name, false, 0), ...literal('v'.repeat(size - 32 - name.length), false, 0)];
    }
    /** Names of the entries, newest first. */
    function names(decoder: HpackDecoder, count: number): string {
      const all = decode(
        decoder,
        Buffer.from(Array.from({ length: count }, (_, i) => integer(0x80, 0x7f, 62 + i)).flat()),
      );
      return all.fields.map(([name]) => name).join('');
    }
    const whole = { whole: true };

    test('is filled to the last byte', () => {
      const decoder = new HpackDecoder(tableBytes);
      expect(decode(decoder, Buffer.from([...entry('a', 2048), ...entry('b', 2048)]))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('ba');
    });

    test('evicts as many as it must for one that is a byte too large', () => {
      const decoder = new HpackDecoder(tableBytes);
      const entries = [...entry('a', 1000), ...entry('b', 1000), ...entry('c', 1000), ...entry('d', 2097)];
      expect(decode(decoder, Buffer.from(entries))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('dc');
      expect(decode(decoder, Buffer.from(entry('e', 999)))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('edc');
    });

    test('is emptied by an entry that is larger than it, and goes on', () => {
      const decoder = new HpackDecoder(tableBytes);
      expect(decode(decoder, Buffer.from([...entry('a', 100), ...entry('b', 4096)]))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('b');
      expect(decode(decoder, Buffer.from(entry('c', 4097)))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('');
    });

    test('gives a name to the field that evicts it', () => {
      const decoder = new HpackDecoder(tableBytes);
      expect(decode(decoder, Buffer.from(entry('a', 4096)))).toMatchObject(whole);
      expect(decode(decoder, Buffer.from([0x40 | 62, 0x01, 0x62, 0x80 | 62]))).toEqual({
        whole: true,
        fields: [abField, abField],
      });
    });

    test('shrinks and grows as the peer says, and stays as it was said', () => {
      const decoder = new HpackDecoder(tableBytes);
      const entries = ['a', 'b', 'c', 'd'].flatMap((name) => entry(name, 50));
      expect(decode(decoder, Buffer.from(entries))).toMatchObject(whole);
      expect(decode(decoder, Buffer.from(integer(0x20, 0x1f, 149)))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('dc');
      expect(decode(decoder, Buffer.from([...entry('e', 50)]))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('ed');
      expect(decode(decoder, Buffer.from([...integer(0x20, 0x1f, 4096), ...entry('f', 50)]))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('fed');
      // To nothing and back: what was there is gone.
      expect(decode(decoder, Buffer.from([0x20, ...integer(0x20, 0x1f, 4096)]))).toMatchObject(whole);
      expect(names(decoder, 9)).toBe('');
    });

    test.each([0, 100])(
      'begins with the default, where %i is announced: the peer may not know yet',
      (maxTableBytes) => {
        const decoder = new HpackDecoder(maxTableBytes);
        expect(decode(decoder, Buffer.from([...entry('a', 2048), ...entry('b', 2048)]))).toMatchObject(whole);
        expect(names(decoder, 9)).toBe('ba');
      },
    );

    test('of another size than a power of two is filled with the smallest entries, many times over', () => {
      const decoder = new HpackDecoder(10_000);
      const slow = new SlowDecoder(10_000);
      const smallest = [0x40, 0, 0];
      const blocks = [
        integer(0x20, 0x1f, 10_000),
        ...Array.from({ length: 5 }, () => [...Array.from({ length: 250 }, () => smallest).flat(), ...entry('a', 33)]),
        Array.from({ length: 312 }, (_, i) => integer(0x80, 0x7f, 62 + i)).flat(),
        integer(0x80, 0x7f, 62 + 312),
      ];
      const outcomes = blocks.map((bytes) => decode(decoder, Buffer.from(bytes)));
      expect(outcomes).toEqual(blocks.map((bytes) => slow.decode(Buffer.from(bytes))));
      expect(outcomes.map(({ whole: each }) => each)).toEqual([true, true, true, true, true, true, true, false]);
    });
  });

  test('all that an encoder may do, over many blocks', () => {
    const seen = { evictions: 0, dynamic: 0 };
    fc.assert(
      fc.property(anyBlocks, (blocks) => {
        const decoder = new HpackDecoder(tableBytes);
        const table = new SlowTable();
        for (const each of blocks) {
          const before = table.entries.length;
          const { block, fields } = encodeSlowly(table, each);
          expect(decode(decoder, block)).toEqual({ whole: true, fields });
          if (table.entries.length < before) seen.evictions++;
          if (table.entries.length > 0) seen.dynamic++;
        }
        const all = table.entries.flatMap((_, i) => integer(0x80, 0x7f, 62 + i));
        expect(decode(decoder, Buffer.from(all))).toEqual({ whole: true, fields: table.entries });
        expect(decode(decoder, Buffer.from(integer(0x80, 0x7f, 62 + table.entries.length))).whole).toBe(false);
      }),
      { numRuns: 1000 },
    );
    expect(Math.min(seen.evictions, seen.dynamic)).toBeGreaterThan(100);
  });

  test('every prefix of a block is refused, or is a prefix of its fields', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 5 }), fc.constantFrom([], [100], [0, 4096]), (steps, limits) => {
        const { block, fields } = encodeSlowly(new SlowTable(), { steps, limits });
        const lengths = Array.from({ length: Math.min(block.length, 300) }, (_, length) => length);
        for (const length of lengths) {
          const outcome = decode(new HpackDecoder(tableBytes), block.subarray(0, length));
          expect(outcome.fields).toEqual(fields.slice(0, outcome.fields.length));
          if (outcome.fields.length === fields.length) expect(outcome.whole || fields.length === 0).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('whatever bytes: as the obvious decoder has it, and no more fields than bytes', () => {
    const random = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.constantFrom(0, 1, 1, 2),
      insert: fc.oneof(fc.uint8Array({ maxLength: 2 }), fc.constant(Uint8Array.from([0x80 | 62]))),
    });
    const edited = fc.tuple(anyBlocks, fc.array(edit, { minLength: 1, maxLength: 3 })).map(([blocks, edits]) => {
      const table = new SlowTable();
      return blocks.map((each, i) => {
        let { block } = encodeSlowly(table, each);
        if (i % 2 === 0) return block;
        for (const { at, remove, insert } of edits) {
          const from = at % (block.length + 1);
          block = Buffer.concat([block.subarray(0, from), insert, block.subarray(from + remove)]);
        }
        return block;
      });
    });
    const seen = { whole: 0, malformed: 0 };
    fc.assert(
      fc.property(fc.oneof(fc.array(random, { maxLength: 5 }), edited), (blocks) => {
        const decoder = new HpackDecoder(tableBytes);
        const slow = new SlowDecoder(tableBytes);
        for (const block of blocks) {
          const outcome = decode(decoder, block);
          expect(outcome).toEqual(slow.decode(block));
          expect(outcome.fields.length).toBeLessThanOrEqual(block.length);
          seen[outcome.whole ? 'whole' : 'malformed']++;
          if (!outcome.whole) return;
        }
      }),
      { numRuns: 1500 },
    );
    expect(Math.min(seen.whole, seen.malformed)).toBeGreaterThan(200);
  });
});

describe('encoding', () => {
  const room = 8192;

  /** The bytes of one field, written in the middle of a buffer. */
  function encoded(name: string, value: string): Buffer {
    const to = Buffer.alloc(room, 0xee);
    const end = encodeField(to, 7, name, value);
    expect(end - 7).toBeLessThanOrEqual(maxFieldBytes(name, value));
    expect(to.subarray(0, 7).every((byte) => byte === 0xee)).toBe(true);
    expect(to.subarray(end).every((byte) => byte === 0xee)).toBe(true);
    return to.subarray(7, end);
  }

  const secrets = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'];

  test('every field of the static table is its index; secrets never are', () => {
    for (let index = 1; index < 62; index++) {
      const name = staticNames[index] ?? '';
      const bytes = encoded(name, staticValues[index] ?? '');
      if (secrets.includes(name)) expect(bytes).toEqual(Buffer.from([0x1f, index - 15, 0]));
      else expect(bytes).toEqual(Buffer.from([0x80 | index]));
    }
  });

  test('every name of the static table is the first index that has it', () => {
    for (const name of staticNames.slice(1)) {
      const upper = secrets.includes(name) ? 0x10 : 0x00;
      expect(encoded(name, 'v')).toEqual(Buffer.from([...integer(upper, 0x0f, staticNames.indexOf(name)), 1, 0x76]));
    }
  });

  test.each<[name: string, value: string, bytes: string]>([
    ['x-a', 'b', '00 03 782d61 01 62'],
    ['', '', '00 00 00'],
    ['content-typo', '', `00 0c ${Buffer.from('content-typo').toString('hex')} 00`],
    ['authorizatiom', '', `00 0d ${Buffer.from('authorizatiom').toString('hex')} 00`],
    ['cookie', 'a=b', '1f 11 03 613d62'],
    ['accept-encoding', 'gzip', '0f 01 04 677a6970'],
    [':method', 'PUT', '02 03 505554'],
    [':path', '/a', '04 02 2f61'],
    ['x', 'v'.repeat(126), `00 01 78 7e ${'76'.repeat(126)}`],
    ['x', 'v'.repeat(127), `00 01 78 7f00 ${'76'.repeat(127)}`],
    ['x', 'v'.repeat(254), `00 01 78 7f7f ${'76'.repeat(254)}`],
    ['x', 'v'.repeat(255), `00 01 78 7f8001 ${'76'.repeat(255)}`],
  ])('%s: %s', (name, value, bytes) => {
    expect(encoded(name, value)).toEqual(hex(bytes));
  });

  test('every status', () => {
    const indexed = new Map([200, 204, 206, 304, 400, 404, 500].map((status, i) => [status, Buffer.from([0x88 + i])]));
    for (let status = 100; status < 1000; status++) {
      const to = Buffer.alloc(16, 0xee);
      const bytes = to.subarray(2, encodeStatus(to, 2, status));
      expect(bytes).toEqual(indexed.get(status) ?? Buffer.from(`\x08\x03${status}`, 'latin1'));
      expect(to.subarray(2 + bytes.length).every((byte) => byte === 0xee)).toBe(true);
    }
  });

  test('what is encoded is decoded, and leaves nothing in the table', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyName, anyText), { maxLength: 20 }), (fields) => {
        const to = Buffer.alloc(fields.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), 0));
        let end = 0;
        for (const [name, value] of fields) end = encodeField(to, end, name, value);
        const decoder = new HpackDecoder(tableBytes);
        expect(decode(decoder, to.subarray(0, end))).toEqual({ whole: true, fields });
        expect(decode(decoder, Buffer.from([0x80 | 62])).whole).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  test('names and values that were cut out of a text, at any length', () => {
    const text = Buffer.from('0123456789 abcdefghijklmnopqrstuvwxyz \xe4\xf6\xfc\xff', 'latin1').toString('latin1');
    for (let from = 0; from < text.length; from++) {
      for (let to = from; to <= text.length; to++) {
        const cut = text.slice(from, to);
        const block = encoded(cut, cut);
        expect(decode(new HpackDecoder(tableBytes), block)).toEqual({ whole: true, fields: [[cut, cut]] });
      }
    }
  });
});
