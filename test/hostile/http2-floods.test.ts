// Frames as fast as the socket takes them, of every kind that has brought servers down: the connection may be ended (RFC 9113
// section 10.5: ENHANCE_YOUR_CALM, or what the frames deserve), the router may not be hurt. Attackers whose connection is ended
// come back at once.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { edgeRouteYaml } from '../support/http2/attacked-router.ts';
import { BesiegedRouter, expectHeld, tellToll } from '../support/http2/besieged-router.ts';
import {
  continuation,
  data,
  type ErrorName,
  flags,
  frame,
  frameTypes,
  goaway,
  headers,
  maxWindow,
  ping,
  priority,
  rstStream,
  settingIds,
  settings,
  settingsAck,
  windowUpdate,
} from '../support/http2/frames.ts';
import { block, indexed, keptLiteral, literal, tableSize } from '../support/http2/hpack.ts';
import { type ClientOptions, RawClient, requestFields } from '../support/http2/raw-client.ts';
import { serviceYaml } from '../support/pods.ts';
import { FloodPod } from './flood-pod.ts';

const host = 'attacked.test';
const floodMs = 600;
/** Frames that are written at a time. */
const batch = 100;

/** What is written again and again over one connection. */
type Chunks = () => Buffer;

type Flood = {
  readonly name: string;
  /** The rule, or the vulnerability that this was elsewhere. */
  readonly rule: string;
  /** Codes with which the router may end the connection. It may always do so with ENHANCE_YOUR_CALM or without a word. */
  readonly mayEnd?: readonly ErrorName[];
  /** Whether it has to end the connection, because there is no other way to make it stop. */
  readonly mustEnd?: true;
  readonly options?: ClientOptions;
  /** Set up on a new connection. */
  readonly begin: (client: RawClient) => Chunks;
};

const getBlock = block(requestFields(host));
const bigBlock = block(requestFields(host, '/big'));
const postBlock = block(requestFields(host, '/', [], 'POST'));
const announcedBlock = block(requestFields(host, '/', [['content-length', '1']], 'POST'));
const bothEnds = flags.endHeaders | flags.endStream;

/** The same frames over and over. */
function same(...frames: readonly Buffer[]): () => Chunks {
  const chunk = Buffer.concat(Array.from({ length: batch }, () => frames).flat());
  return () => () => chunk;
}

/** The frames that `make` makes for each new stream. */
function perStream(make: (stream: number) => readonly Buffer[], count: number = batch): (client: RawClient) => Chunks {
  return (client) => () => Buffer.concat(Array.from({ length: count }, () => make(client.newStream())).flat());
}

/** An upload has begun; then the frames that `make` makes for its stream, over and over. */
function onOpenStream(make: (stream: number) => Buffer): (client: RawClient) => Chunks {
  return (client) => {
    const stream = client.newStream();
    client.write(headers(stream, postBlock));
    return same(make(stream))();
  };
}

/** A header block has begun; then CONTINUATION with this in it, without end. */
function endlessBlock(piece: Buffer): (client: RawClient) => Chunks {
  return (client) => {
    const stream = client.newStream();
    client.write(headers(stream, getBlock, flags.endStream));
    const chunk = Buffer.concat(
      Array.from({ length: piece.length > 1000 ? 4 : batch }, () => continuation(stream, piece, 0)),
    );
    return () => chunk;
  };
}

/** A whole block of many bytes: HEADERS and as many CONTINUATION frames as it takes. */
function longHeaders(stream: number, bytes: Buffer): Buffer[] {
  const size = 16_384;
  const pieces: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size);
    const ends = at + size >= bytes.length ? flags.endHeaders : 0;
    pieces.push(at === 0 ? headers(stream, piece, ends | flags.endStream) : continuation(stream, piece, ends));
  }
  return pieces;
}

/** Many streams whose big answers wait for a window that is 0. */
function manyWaiting(client: RawClient): void {
  for (let i = 0; i < 100; i++) client.write(headers(client.newStream(), bigBlock, bothEnds));
}

const manyFields = block([
  ...requestFields(host),
  ...Array.from({ length: 5_000 }, (_, i) => [`x${i % 100}`, ''] as const),
]);
const longFields = block([
  ...requestFields(host),
  ...Array.from({ length: 8 }, (_, i) => [`x-long-${i}`, 'a'.repeat(7_000)] as const),
]);
const crumbs = block([...requestFields(host), ...Array.from({ length: 2_000 }, () => ['cookie', 'a=b'] as const)]);

const floods: readonly Flood[] = [
  {
    name: 'rapid reset: requests taken back at once',
    rule: 'CVE-2023-44487',
    begin: perStream((stream) => [headers(stream, getBlock, bothEnds), rstStream(stream, 'CANCEL')]),
  },
  {
    name: 'rapid reset over TLS',
    rule: 'CVE-2023-44487',
    options: { servername: host },
    begin: perStream((stream) => [headers(stream, getBlock, bothEnds), rstStream(stream, 'CANCEL')]),
  },
  {
    name: 'rapid reset of big answers',
    rule: 'CVE-2023-44487',
    begin: perStream((stream) => [headers(stream, bigBlock, bothEnds), rstStream(stream, 'NO_ERROR')]),
  },
  {
    name: 'the router is made to reset: a window opened by 0',
    rule: 'CVE-2025-8671; RFC 9113 section 6.9: stream error PROTOCOL_ERROR',
    mayEnd: ['PROTOCOL_ERROR'],
    begin: perStream((stream) => [headers(stream, getBlock, bothEnds), windowUpdate(stream, 0)]),
  },
  {
    name: 'the router is made to reset: a window opened too far',
    rule: 'CVE-2025-8671; RFC 9113 section 6.9.1: stream error FLOW_CONTROL_ERROR',
    mayEnd: ['FLOW_CONTROL_ERROR', 'PROTOCOL_ERROR'],
    begin: perStream((stream) => [headers(stream, getBlock, bothEnds), windowUpdate(stream, maxWindow)]),
  },
  {
    name: 'the router is made to reset: DATA behind the end of the stream',
    rule: 'CVE-2025-8671; RFC 9113 section 5.1: stream error STREAM_CLOSED',
    mayEnd: ['STREAM_CLOSED', 'PROTOCOL_ERROR'],
    begin: perStream((stream) => [headers(stream, getBlock, bothEnds), data(stream, '')]),
  },
  {
    name: 'the router is made to reset: HEADERS behind the end of the stream',
    rule: 'CVE-2025-8671; RFC 9113 section 5.1: STREAM_CLOSED',
    mayEnd: ['STREAM_CLOSED', 'PROTOCOL_ERROR'],
    begin: perStream((stream) => [headers(stream, getBlock, bothEnds), headers(stream, getBlock, bothEnds)]),
  },
  {
    name: 'the router is made to reset: PRIORITY of a wrong length',
    rule: 'CVE-2025-8671; RFC 9113 section 6.3: stream error FRAME_SIZE_ERROR',
    mayEnd: ['FRAME_SIZE_ERROR', 'PROTOCOL_ERROR'],
    begin: perStream((stream) => [
      headers(stream, getBlock, bothEnds),
      frame(frameTypes.priority, 0, stream, Buffer.alloc(4)),
    ]),
  },
  {
    name: 'the router is made to reset: malformed requests',
    rule: 'RFC 9113 section 8.1.1: stream error PROTOCOL_ERROR, or 400',
    mayEnd: ['PROTOCOL_ERROR'],
    begin: perStream((stream) => [headers(stream, block([[':method', 'GET']]), bothEnds)]),
  },
  {
    name: 'the router is made to reset: more content than announced',
    rule: 'CVE-2025-8671; RFC 9113 section 8.1.1: stream error PROTOCOL_ERROR',
    mayEnd: ['PROTOCOL_ERROR'],
    mustEnd: true,
    begin: perStream((stream) => [headers(stream, announcedBlock), data(stream, 'xx')]),
  },
  {
    name: 'the router is made to reset: less content than announced',
    rule: 'CVE-2025-8671; RFC 9113 section 8.1.1: stream error PROTOCOL_ERROR',
    mayEnd: ['PROTOCOL_ERROR'],
    mustEnd: true,
    begin: perStream((stream) => [headers(stream, announcedBlock), data(stream, '', flags.endStream)]),
  },
  {
    name: 'the router is made to reset: trailers in place of the announced content',
    rule: 'CVE-2025-8671; RFC 9113 section 8.1.1: stream error PROTOCOL_ERROR',
    mayEnd: ['PROTOCOL_ERROR'],
    mustEnd: true,
    begin: perStream((stream) => [
      headers(stream, announcedBlock),
      headers(stream, block([['x-trailer', 'a']]), bothEnds),
    ]),
  },
  {
    name: 'CONTINUATION without end, empty',
    rule: 'CVE-2024-27316 and others; RFC 9113 section 10.5',
    mayEnd: ['PROTOCOL_ERROR'],
    mustEnd: true,
    options: { acks: 'never' },
    begin: endlessBlock(Buffer.alloc(0)),
  },
  {
    name: 'CONTINUATION without end, tiny',
    rule: 'CVE-2024-27316 and others; RFC 9113 section 10.5',
    mayEnd: ['PROTOCOL_ERROR', 'COMPRESSION_ERROR'],
    mustEnd: true,
    options: { acks: 'never' },
    begin: endlessBlock(literal('a', '')),
  },
  {
    name: 'CONTINUATION without end, large',
    rule: 'CVE-2024-27316 and others; RFC 9113 section 10.5',
    mayEnd: ['PROTOCOL_ERROR', 'COMPRESSION_ERROR'],
    mustEnd: true,
    options: { acks: 'never' },
    begin: endlessBlock(Buffer.concat(Array.from({ length: 16 }, () => literal('x-a', 'b'.repeat(1_000))))),
  },
  {
    name: 'a large entry of the header table, named thousands of times',
    rule: 'HPACK bomb, CVE-2016-6581; RFC 9113 section 10.5.1',
    mayEnd: ['COMPRESSION_ERROR', 'PROTOCOL_ERROR'],
    begin: (client) => {
      const bomb = Buffer.concat([
        getBlock,
        keptLiteral('x-bomb', 'b'.repeat(3_900)),
        ...Array.from({ length: 15_000 }, () => indexed(62)),
      ]);
      return perStream((stream) => longHeaders(stream, bomb), 4)(client);
    },
  },
  {
    name: 'thousands of fields',
    rule: 'RFC 9113 section 10.5.1, RFC 6585 section 5: 431',
    mayEnd: ['COMPRESSION_ERROR', 'PROTOCOL_ERROR'],
    begin: perStream((stream) => longHeaders(stream, manyFields), 1),
  },
  {
    name: 'header lists over the limit',
    rule: 'RFC 9113 section 10.5.1, RFC 6585 section 5: 431',
    mayEnd: ['COMPRESSION_ERROR', 'PROTOCOL_ERROR'],
    begin: perStream((stream) => longHeaders(stream, longFields), 1),
  },
  {
    name: 'cookies in thousands of crumbs',
    rule: 'RFC 9113 section 8.2.3',
    mayEnd: ['COMPRESSION_ERROR', 'PROTOCOL_ERROR'],
    begin: perStream((stream) => longHeaders(stream, crumbs), 1),
  },
  {
    name: 'a header table that is filled and emptied',
    rule: 'RFC 7541 section 7.3',
    mayEnd: ['COMPRESSION_ERROR', 'PROTOCOL_ERROR'],
    begin: (client) => {
      const churn = Buffer.concat([
        ...Array.from({ length: 1_000 }, () => [tableSize(0), tableSize(4_096)]).flat(),
        getBlock,
        ...Array.from({ length: 60 }, (_, i) => keptLiteral(`x-${i}`, '')),
      ]);
      return perStream((stream) => longHeaders(stream, churn), 4)(client);
    },
  },
  {
    name: 'empty HEADERS',
    rule: 'RFC 9113 section 8.3.1: malformed',
    mayEnd: ['PROTOCOL_ERROR'],
    begin: perStream((stream) => [headers(stream, Buffer.alloc(0), bothEnds)]),
  },
  {
    name: 'SETTINGS',
    rule: 'CVE-2019-9515; RFC 9113 section 10.5',
    begin: same(settings([settingIds.maxHeaderListSize, 65_536])),
  },
  {
    name: 'SETTINGS whose acknowledgements are not read',
    rule: 'CVE-2019-9515; RFC 9113 section 10.5',
    begin: (client) => {
      client.stopReading();
      return same(settings([settingIds.maxHeaderListSize, 65_536]))();
    },
  },
  {
    name: 'SETTINGS that move the header table',
    rule: 'RFC 7541 section 4.2',
    begin: same(settings([settingIds.headerTableSize, 0]), settings([settingIds.headerTableSize, 65_536])),
  },
  {
    name: 'SETTINGS with the same setting thousands of times',
    rule: 'RFC 9113 section 6.5.3',
    begin: same(settings(...Array.from({ length: 2_000 }, () => [settingIds.initialWindowSize, 65_535] as const))),
  },
  {
    name: 'windows of many waiting streams moved thousands of times by one SETTINGS',
    rule: 'RFC 9113 sections 6.5.3 and 6.9.2',
    mayEnd: ['FLOW_CONTROL_ERROR'],
    options: { settings: [[settingIds.initialWindowSize, 0]], windows: 'never' },
    begin: (client) => {
      manyWaiting(client);
      const chunk = settings(
        ...Array.from({ length: 2_700 }, (_, i) => [settingIds.initialWindowSize, i % 2] as const),
      );
      return () => chunk;
    },
  },
  {
    name: 'acknowledgements of SETTINGS that were never sent',
    rule: 'RFC 9113 section 10.5',
    mayEnd: ['PROTOCOL_ERROR'],
    begin: same(settingsAck),
  },
  {
    name: 'windows of many waiting streams moved up and down by SETTINGS',
    rule: 'RFC 9113 section 6.9.2',
    mayEnd: ['FLOW_CONTROL_ERROR'],
    options: { settings: [[settingIds.initialWindowSize, 0]], windows: 'never' },
    begin: (client) => {
      manyWaiting(client);
      return same(settings([settingIds.initialWindowSize, 1]), settings([settingIds.initialWindowSize, 0]))();
    },
  },
  {
    name: 'PING',
    rule: 'CVE-2019-9512; RFC 9113 section 10.5',
    begin: same(ping('flood')),
  },
  {
    name: 'PING whose acknowledgements are not read',
    rule: 'CVE-2019-9512; RFC 9113 section 10.5',
    begin: (client) => {
      client.stopReading();
      return same(ping('flood'))();
    },
  },
  {
    name: 'empty DATA',
    rule: 'CVE-2019-9518; RFC 9113 section 10.5',
    begin: onOpenStream((stream) => data(stream, '')),
  },
  {
    name: 'empty DATA with nothing but padding',
    rule: 'CVE-2019-9518; RFC 9113 section 10.5',
    mayEnd: ['FLOW_CONTROL_ERROR'],
    begin: onOpenStream((stream) => frame(frameTypes.data, flags.padded, stream, Buffer.from([0]))),
  },
  {
    name: 'PRIORITY of streams that are not there',
    rule: 'CVE-2019-9513; RFC 9113 section 10.5',
    begin: perStream((stream) => [priority(stream, 0)]),
  },
  {
    name: 'WINDOW_UPDATE of one byte for the connection',
    rule: 'RFC 9113 section 10.5',
    mayEnd: ['FLOW_CONTROL_ERROR'],
    begin: same(windowUpdate(0, 1)),
  },
  {
    name: 'WINDOW_UPDATE of one byte for a stream whose answer waits',
    rule: 'CVE-2019-9511; RFC 9113 section 10.5',
    options: { settings: [[settingIds.initialWindowSize, 0]] },
    begin: (client) => {
      const stream = client.newStream();
      client.write(headers(stream, bigBlock, bothEnds));
      return same(windowUpdate(stream, 1))();
    },
  },
  {
    name: 'frames of unknown types',
    rule: 'RFC 9113 sections 5.5 and 10.5',
    begin: same(frame(0xbe, 0xff, 0, Buffer.alloc(8)), frame(0xef, 0xff, 7, Buffer.alloc(0))),
  },
  {
    name: 'large frames of an unknown type',
    rule: 'RFC 9113 sections 5.5 and 10.5',
    begin: () => {
      const chunk = frame(0xbe, 0, 0, Buffer.alloc(16_384));
      return () => chunk;
    },
  },
  {
    name: 'RST_STREAM of a stream that has ended',
    rule: 'RFC 9113 sections 5.1 and 10.5',
    mayEnd: ['STREAM_CLOSED', 'PROTOCOL_ERROR'],
    begin: (client) => {
      const stream = client.newStream();
      client.write(headers(stream, getBlock, bothEnds));
      return same(rstStream(stream, 'CANCEL'))();
    },
  },
  {
    name: 'DATA on a stream that has been reset',
    rule: 'RFC 9113 sections 5.1 and 6.9: counted, or STREAM_CLOSED',
    mayEnd: ['STREAM_CLOSED', 'PROTOCOL_ERROR', 'FLOW_CONTROL_ERROR'],
    begin: (client) => {
      const stream = client.newStream();
      client.write(headers(stream, postBlock), rstStream(stream, 'CANCEL'));
      return same(data(stream, 'x'))();
    },
  },
  {
    name: 'GOAWAY, and requests all the same',
    rule: 'RFC 9113 section 6.8',
    mayEnd: ['NO_ERROR', 'PROTOCOL_ERROR', 'REFUSED_STREAM'],
    begin: perStream((stream) => [goaway(0, 'NO_ERROR'), headers(stream, getBlock, bothEnds)]),
  },
  {
    name: 'streams beyond SETTINGS_MAX_CONCURRENT_STREAMS',
    rule: 'RFC 9113 section 5.1.2: REFUSED_STREAM or PROTOCOL_ERROR',
    mayEnd: ['PROTOCOL_ERROR', 'REFUSED_STREAM'],
    begin: perStream((stream) => [headers(stream, block(requestFields(host, '/silent')), bothEnds)]),
  },
  {
    name: 'requests beyond SETTINGS_MAX_CONCURRENT_STREAMS that are taken back',
    rule: 'RFC 9113 section 5.1.2',
    mayEnd: ['PROTOCOL_ERROR', 'REFUSED_STREAM', 'STREAM_CLOSED'],
    begin: (client) => {
      for (let i = 0; i < 100; i++) client.write(headers(client.newStream(), bigBlock, bothEnds));
      return perStream((stream) => [headers(stream, getBlock, bothEnds), rstStream(stream, 'CANCEL')])(client);
    },
  },
  {
    name: 'trailers over and over',
    rule: 'RFC 9113 section 8.1: malformed',
    mayEnd: ['PROTOCOL_ERROR', 'STREAM_CLOSED'],
    begin: onOpenStream((stream) => headers(stream, block([['x-trailer', 'a']]))),
  },
  {
    name: 'large header blocks on a stream that the router has reset',
    rule: 'RFC 9113 sections 4.3 and 10.5.1: each has to be read',
    mayEnd: ['PROTOCOL_ERROR', 'STREAM_CLOSED'],
    begin: (client) => {
      const stream = client.newStream();
      client.write(headers(stream, postBlock), windowUpdate(stream, 0));
      const chunk = headers(stream, Buffer.alloc(16_000, indexed(2)));
      return () => chunk;
    },
  },
  {
    name: 'garbage',
    rule: 'RFC 9113 section 4.1',
    mayEnd: ['FRAME_SIZE_ERROR', 'PROTOCOL_ERROR'],
    mustEnd: true,
    begin: () => {
      const chunk = Buffer.alloc(16_384, 0xfe);
      return () => chunk;
    },
  },
  {
    name: 'connections that come, ask and break',
    rule: 'RFC 9113 section 10.5',
    begin: (client) => () => {
      setImmediate(() => client.socket.resetAndDestroy());
      return headers(client.newStream(), getBlock, bothEnds);
    },
  },
];

describe('floods', () => {
  let pod: FloodPod;
  let besieged: BesiegedRouter;

  beforeAll(async () => {
    pod = await FloodPod.start();
    besieged = await BesiegedRouter.start(
      edgeRouteYaml('attacked', host, 'attacked') + serviceYaml('attacked', [pod.port]),
    );
  });

  afterAll(async () => {
    await besieged[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  test.for(floods)('$name', async ({ rule, options = {}, begin, mayEnd = [], mustEnd }, { annotate }) => {
    const port = options.servername === undefined ? besieged.httpPort : besieged.httpsPort;
    const endings = new Map<string, number>();
    const toll = await besieged.withstand(async () => {
      const endMs = performance.now() + floodMs;
      while (performance.now() < endMs) {
        const ending = await floodOnce(port, { keep: 'counts', ...options }, begin, endMs);
        endings.set(ending, (endings.get(ending) ?? 0) + 1);
      }
    });
    await annotate(`${rule}. ${tellToll(toll)}; ${JSON.stringify([...endings])}`);
    expectHeld(toll);
    const allowed = [
      'connection closed',
      'connection ENHANCE_YOUR_CALM',
      ...mayEnd.map((code) => `connection ${code}`),
    ];
    expect([...endings.keys()].filter((ending) => ending !== 'open' && !allowed.includes(ending))).toEqual([]);
    if (mustEnd === true) expect(endings.size).toBeGreaterThan(endings.has('open') ? 1 : 0);
  });

  test('and all of them together have not made the worker large', () => {
    // What the last flood may cost while it lasts, and as much again that the allocator keeps of those before it.
    expect(besieged.grownMb).toBeLessThan(128);
  });
});

/** One connection of an attacker, until it is ended or the time has come: how it ended, or `open`. */
async function floodOnce(port: number, options: ClientOptions, begin: Flood['begin'], endMs: number): Promise<string> {
  using client = await RawClient.connect(port, options);
  const chunks = begin(client);
  await client.flood(endMs, chunks);
  return client.end === null ? 'open' : client.ending;
}
