// HPACK against nghttp2, as node:http2 has it: what it sends is read by our decoder as by its own other end, and what our
// encoder writes is read by it.

import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HpackDecoder } from '../../src/protocol/hpack-decoder.ts';
import { encodeField, encodeStatus, maxFieldBytes } from '../../src/protocol/hpack-encoder.ts';
import { Peer } from '../support/peers.ts';

type Pair = readonly [name: string, value: string];
type Message = readonly Pair[];
/** A header block as it went over the wire. */
type Sent = { readonly streamId: number; readonly block: Buffer };

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const frameHeadBytes = 9;
const maxFrameBytes = 16_384;
const HEADERS = 1;
const SETTINGS = 4;
const CONTINUATION = 9;
const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const PADDED = 0x8;
const PRIORITY = 0x20;

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** A header block in as many frames as it takes, and the end of its stream. */
function headerFrames(streamId: number, block: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < block.length; at += maxFrameBytes) {
    const end = at + maxFrameBytes < block.length ? 0 : END_HEADERS;
    const piece = block.subarray(at, at + maxFrameBytes);
    frames.push(
      at === 0 ? frame(HEADERS, end | END_STREAM, streamId, piece) : frame(CONTINUATION, end, streamId, piece),
    );
  }
  return Buffer.concat(frames);
}

/** Picks the header blocks out of one direction of a connection (RFC 9113 6.2, 6.10). */
class BlockReader {
  #bytes: Buffer = Buffer.alloc(0);
  #block: Buffer[] = [];
  #skip: number;

  /** `skip`: bytes before the first frame. */
  constructor(skip: number) {
    this.#skip = skip;
  }

  take(chunk: Buffer): Sent[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const found: Sent[] = [];
    if (this.#bytes.length < this.#skip) return found;
    this.#bytes = this.#bytes.subarray(this.#skip);
    this.#skip = 0;
    while (this.#bytes.length >= frameHeadBytes) {
      const end = frameHeadBytes + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < end) break;
      const type = this.#bytes.readUInt8(3);
      const flags = this.#bytes.readUInt8(4);
      const streamId = this.#bytes.readUInt32BE(5);
      let payload = this.#bytes.subarray(frameHeadBytes, end);
      this.#bytes = this.#bytes.subarray(end);
      if (type !== HEADERS && type !== CONTINUATION) continue;
      if (type === HEADERS && (flags & PADDED) !== 0) payload = payload.subarray(1, -payload.readUInt8(0));
      if (type === HEADERS && (flags & PRIORITY) !== 0) payload = payload.subarray(5);
      this.#block.push(payload);
      if ((flags & END_HEADERS) === 0) continue;
      found.push({ streamId, block: Buffer.concat(this.#block) });
      this.#block = [];
    }
    return found;
  }
}

/** What one direction of a connection says, decoded as it passes. */
class Wiretap {
  readonly messages: Map<number, Message> = new Map();
  /** Blocks that began with a table size, and such as can only be so short with entries of the dynamic table. */
  resized = 0;
  indexed = 0;
  bytes = 0;
  readonly #decoder: HpackDecoder;
  readonly #reader: BlockReader;

  constructor(skip: number, maxTableBytes: number) {
    this.#reader = new BlockReader(skip);
    this.#decoder = new HpackDecoder(maxTableBytes);
  }

  take(chunk: Buffer): void {
    for (const { streamId, block } of this.#reader.take(chunk)) {
      const fields: Pair[] = [];
      const whole = this.#decoder.decode(block, { field: (name, value) => void fields.push([name, value]) });
      if (!whole) fields.push(['refused', block.toString('hex')]);
      this.messages.set(streamId, fields);
      this.bytes += block.length;
      if (((block[0] ?? 0) & 0xe0) === 0x20) this.resized++;
      // No code is shorter than five bits.
      if (block.length < fields.reduce((sum, [, value]) => sum + value.length, 0) / 3) this.indexed++;
    }
  }

  /** All that comes out of one socket goes into the other. */
  join(from: Socket, to: Socket): void {
    from.on('data', (chunk: Buffer) => {
      this.take(chunk);
      to.write(chunk);
    });
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }
}

async function listening(server: Server | Http2Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function closed(server: Server | Http2Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

/** The fields of node's flat list. */
function pairs(flat: readonly string[]): Message {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? '']);
}

/** Whatever the fields, node's own ideas of what may occur twice are no subject here. */
const anything = { strictSingleValueFields: false, maxHeaderListPairs: 1000, maxSendHeaderBlockLength: 1 << 20 };

/** Tables that the two ends announce, in bytes. */
type Announced = { readonly client: number; readonly server: number };

/** A client and a server of node:http2 with a wiretap between them. */
class TappedConnection implements AsyncDisposable {
  readonly requests: Wiretap;
  readonly responses: Wiretap;
  /** What the server has got, by the stream's number. */
  readonly received: Map<number, Message> = new Map();
  readonly #answers: Message[] = [];
  readonly #server: Http2Server;
  readonly #relay: Server;
  readonly #client: ClientHttp2Session;
  readonly #serverSession: Promise<Http2Session>;

  private constructor(
    client: ClientHttp2Session,
    server: Http2Server,
    relay: Server,
    taps: readonly [Wiretap, Wiretap],
  ) {
    this.#client = client;
    this.#server = server;
    this.#relay = relay;
    [this.requests, this.responses] = taps;
    this.#serverSession = once(server, 'session').then(([session]) => session as Http2Session);
    server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
      this.received.set(stream.id ?? 0, pairs(raw));
      const answer = this.#answers[Number(headers[':path']?.slice(1))] ?? [];
      stream.respond(answer.flat(), { endStream: true });
    });
  }

  /** `largest`: the largest table that either will announce. */
  static async start(announced: Announced, largest: number): Promise<TappedConnection> {
    const options = { ...anything, maxDeflateDynamicTableSize: largest };
    const server = createHttp2Server({ ...options, settings: { headerTableSize: announced.server } });
    const port = await listening(server);
    const requests = new Wiretap(preface.length, largest);
    const responses = new Wiretap(0, largest);
    const relay = createServer({ noDelay: true }, (downstream) => {
      const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
      requests.join(downstream, upstream);
      responses.join(upstream, downstream);
    });
    const settings = { headerTableSize: announced.client };
    const client = connectHttp2(`http://127.0.0.1:${await listening(relay)}`, { ...options, settings });
    return new TappedConnection(client, server, relay, [requests, responses]);
  }

  /** One request and its answer: what the client has sent, and what it got. */
  async exchange(fields: Message, answer: Message): Promise<{ streamId: number; sent: Message; got: Message }> {
    const path = `/${this.#answers.push(answer) - 1}`;
    const pseudo: Message = [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'a.test'],
      [':path', path],
    ];
    const sent = [...pseudo, ...fields];
    const stream = this.#client.request(sent.flat(), { endStream: true });
    const [, , raw] = (await once(stream, 'response')) as [unknown, unknown, string[]];
    stream.resume();
    await once(stream, 'close');
    return { streamId: stream.id ?? 0, sent, got: pairs(raw) };
  }

  /** Announces other tables, and waits until both ends have taken note. */
  async announce({ client, server }: Announced): Promise<void> {
    const session = await this.#serverSession;
    await Promise.all([
      new Promise<void>((done) => this.#client.settings({ headerTableSize: client }, () => done())),
      new Promise<void>((done) => session.settings({ headerTableSize: server }, () => done())),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
    await Promise.all([closed(this.#relay), closed(this.#server)]);
  }
}

const names = [
  ...['accept', 'accept-encoding', 'authorization', 'cookie', 'set-cookie', 'etag', 'location', 'user-agent', 'via'],
  ...['x-a', 'x-b', 'x-request-id', 'x-forwarded-for', 'traceparent', `x-${'long-'.repeat(20)}name`],
];
/** No blank at either end, which nobody may send. */
const visible = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0x21, max: 0x7e }) },
  fc.integer({ min: 0x80, max: 0xff }),
);
const anyValue = fc.oneof(
  fc.constantFrom('gzip, deflate', 'a', 'text/html; charset=utf-8', ''),
  fc.string({ unit: visible.map((c) => String.fromCharCode(c)), maxLength: 60 }),
  fc.nat({ max: 30 }).map((tens) => `${'lorem ipsum '.repeat(tens * 10)}.`),
);
/** What comes with most messages of a connection. */
const usual: readonly Pair[] = ['accept', 'user-agent', 'x-request-id', 'x-a', 'traceparent'].flatMap(
  (name): Pair[] => [
    [name, `${name}, first `.repeat(5).trimEnd()],
    [name, `${name}; second `.repeat(20).trimEnd()],
  ],
);
const anyFields: fc.Arbitrary<Message> = fc.array(
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...usual) }, fc.tuple(fc.constantFrom(...names), anyValue)),
  { maxLength: 12 },
);
const tableSizes = [0, 64, 500, 4096, 16_384];
const anyAnnounced: fc.Arbitrary<Announced> = fc.record({
  client: fc.constantFrom(...tableSizes),
  server: fc.constantFrom(...tableSizes),
});
const anyStatus = fc.constantFrom(200, 204, 206, 304, 400, 404, 500, 201, 302, 418, 503, 599);
/** Some requests and their answers at a time, and the tables that are announced after them. */
const anyRounds = fc.array(
  fc.record({
    exchanges: fc.array(fc.record({ request: anyFields, status: anyStatus, answer: anyFields }), { maxLength: 8 }),
    afterwards: anyAnnounced,
  }),
  { minLength: 1, maxLength: 6 },
);

describe('what nghttp2 sends is decoded to what its own other end gets', () => {
  test('over many messages of a connection, with tables that change', async () => {
    const seen = { messages: 0, resized: 0, indexed: 0 };
    await fc.assert(
      fc.asyncProperty(anyAnnounced, anyRounds, async (announced, rounds) => {
        await using tapped = await TappedConnection.start(announced, Math.max(...tableSizes));
        for (const { exchanges, afterwards } of rounds) {
          const done = exchanges.map(async ({ request, status, answer }) => {
            const response: Message = [[':status', `${status}`], ...answer];
            const { streamId, sent, got } = await tapped.exchange(request, response);
            expect(tapped.requests.messages.get(streamId)).toEqual(sent);
            expect(tapped.received.get(streamId)).toEqual(sent);
            expect(tapped.responses.messages.get(streamId)).toEqual(got);
            // Node puts a date to it.
            expect(got.filter(([name]) => name !== 'date')).toEqual(response);
            seen.messages += 2;
          });
          await Promise.all(done);
          await tapped.announce(afterwards);
        }
        for (const { resized, indexed } of [tapped.requests, tapped.responses]) {
          seen.resized += resized;
          seen.indexed += indexed;
        }
      }),
      { numRuns: 40 },
    );
    expect(seen.messages).toBeGreaterThan(300);
    expect(seen.resized).toBeGreaterThan(20);
    expect(seen.indexed).toBeGreaterThan(50);
  });

  test('every octet in Huffman code', async () => {
    await using tapped = await TappedConnection.start({ client: 4096, server: 4096 }, 4096);
    const octets = [0x09, ...Array.from({ length: 256 - 0x20 }, (_, i) => 0x20 + i)].filter((octet) => octet !== 0x7f);
    // Among many short codes the longest one pays, so that nghttp2 does use the code.
    const values = octets.map((octet) => `${'0'.repeat(30)}${String.fromCharCode(octet)}${'0'.repeat(30)}`);
    for (const value of values) {
      const { streamId, sent } = await tapped.exchange([['x-a', value]], [[':status', '200']]);
      expect(tapped.requests.messages.get(streamId)).toEqual(sent);
      expect(tapped.received.get(streamId)).toEqual(sent);
    }
    expect(tapped.requests.bytes / values.length).toBeLessThan(61);
  });
});

describe('what our encoder writes is read by nghttp2', () => {
  function encoded(fields: Message, status?: number): Buffer {
    const room = fields.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), 16);
    const to = Buffer.alloc(room);
    let end = status === undefined ? 0 : encodeStatus(to, 0, status);
    for (const [name, value] of fields) end = encodeField(to, end, name, value);
    return to.subarray(0, end);
  }

  const pseudo = fc.constantFrom<Message>(
    [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'a.test'],
      [':path', '/'],
    ],
    [
      [':method', 'POST'],
      [':scheme', 'https'],
      [':authority', 'a'],
      [':path', '/index.html'],
    ],
    [
      [':method', 'PURGE'],
      [':scheme', 'https'],
      [':authority', 'a.test:8443'],
      [':path', `/${'x'.repeat(20_000)}`],
    ],
  );
  const anyRequests = fc.array(fc.tuple(pseudo, anyFields), { minLength: 1, maxLength: 20 });

  test('requests', async () => {
    const server = createHttp2Server(anything);
    const port = await listening(server);
    await fc.assert(
      fc.asyncProperty(anyRequests, async (requests) => {
        const received: Message[] = [];
        const all = new Promise<void>((done) => {
          server.removeAllListeners('stream');
          server.on('stream', (stream: ServerHttp2Stream, _headers, _flags, raw: string[]) => {
            // The client goes without a word when all has come.
            stream.on('error', () => undefined);
            if (received.push(pairs(raw)) === requests.length) done();
          });
        });
        using client = await Peer.connect(port);
        const blocks = requests.map(([first, fields]) => encoded([...first, ...fields]));
        const frames = blocks.map((block, i) => headerFrames(2 * i + 1, block));
        await client.write(Buffer.concat([preface, frame(SETTINGS, 0, 0, Buffer.alloc(0)), ...frames]));
        await Promise.race([all, client.ended]);
        expect(received).toEqual(requests.map(([first, fields]) => [...first, ...fields]));
      }),
      { numRuns: 60 },
    );
    await closed(server);
  });

  test('answers', async () => {
    const anyAnswers = fc.array(fc.tuple(anyStatus, anyFields), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(anyAnswers, async (answers) => {
        const server = createServer({ noDelay: true }, (socket) => {
          const reader = new BlockReader(preface.length);
          socket.on('error', () => socket.destroy());
          socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)));
          socket.on('data', (chunk: Buffer) => {
            for (const { streamId } of reader.take(chunk)) {
              const [status, fields] = answers[(streamId - 1) / 2] ?? [500, []];
              socket.write(headerFrames(streamId, encoded(fields, status)));
            }
          });
        });
        const client = connectHttp2(`http://127.0.0.1:${await listening(server)}`, anything);
        const got = await Promise.all(
          answers.map(async () => {
            const stream = client.request({ ':path': '/' });
            const [, , raw] = (await once(stream, 'response')) as [unknown, unknown, string[]];
            stream.resume();
            return pairs(raw);
          }),
        );
        client.destroy();
        await closed(server);
        expect(got).toEqual(answers.map(([status, fields]) => [[':status', `${status}`], ...fields]));
      }),
      { numRuns: 60 },
    );
  });
});
