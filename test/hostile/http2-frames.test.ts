// Frames that break a rule of RFC 9113 or RFC 7541, one rule each: what the RFC says must become of the connection or the
// stream, and where nothing must, that the connection goes on.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AttackedRouter, edgeRouteYaml } from '../support/http2/attacked-router.ts';
import {
  continuation,
  data,
  flags,
  frame,
  frameTypes,
  goaway,
  headers,
  maxWindow,
  ping,
  preface,
  priority,
  pushPromise,
  rstStream,
  settingIds,
  settings,
  settingsAck,
  uint32,
  windowUpdate,
} from '../support/http2/frames.ts';
import { block, indexed, integer, literal, plainText, tableSize } from '../support/http2/hpack.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { turn } from '../support/peers.ts';
import { serviceYaml } from '../support/pods.ts';
import { FloodPod } from './flood-pod.ts';

const host = 'frames.test';
const bothEnds = flags.endHeaders | flags.endStream;
const getBlock = block(requestFields(host));
const silentBlock = block(requestFields(host, '/silent'));
const postBlock = block(requestFields(host, '/', [], 'POST'));

/** A request that has ended and is not answered: the stream is half-closed. */
const asked = headers(1, silentBlock, bothEnds);
/** A request whose body is to come: the stream is open. */
const begun = headers(1, postBlock);
/** A request that was taken back: the stream is closed. */
const takenBack = [headers(1, silentBlock, bothEnds), rstStream(1, 'CANCEL')];

type Case = {
  readonly name: string;
  readonly rule: string;
  /** Sent as one piece on a connection that stands. */
  readonly frames: readonly Buffer[];
  /** The stream whose outcome counts; absent: the connection's. */
  readonly stream?: number;
  /** What may become of it, in the words of `RawPeer.outcome`; `ignored`: the connection goes on. */
  readonly expected: readonly string[];
};

const protocolError = ['connection PROTOCOL_ERROR'];
const frameSizeError = ['connection FRAME_SIZE_ERROR'];
const compressionError = ['connection COMPRESSION_ERROR'];

/** A stream error, which may be treated as a connection error (RFC 9113 section 5.4.1). */
function streamError(...codes: readonly string[]): string[] {
  return codes.flatMap((code) => [`stream ${code}`, `connection ${code}`]);
}

const cases: readonly Case[] = [
  // Sizes and streams of frames.
  {
    name: 'a frame over the maximum size, of a type that alters the state of the connection',
    rule: 'RFC 9113 section 4.2',
    frames: [headers(1, Buffer.concat([getBlock, literal('a', 'b'.repeat(17_000))]), bothEnds)],
    expected: frameSizeError,
  },
  {
    name: 'DATA over the maximum size',
    rule: 'RFC 9113 section 4.2',
    frames: [begun, data(1, Buffer.alloc(16_385))],
    stream: 1,
    expected: streamError('FRAME_SIZE_ERROR'),
  },
  {
    name: 'DATA of the largest length that can be written, and nothing of it',
    rule: 'RFC 9113 section 4.2',
    frames: [begun, frame(frameTypes.data, 0, 1, Buffer.alloc(0), 0xff_ffff)],
    stream: 1,
    expected: streamError('FRAME_SIZE_ERROR'),
  },
  {
    name: 'DATA on stream 0',
    rule: 'RFC 9113 section 6.1',
    frames: [data(0, 'x')],
    expected: protocolError,
  },
  {
    name: 'HEADERS on stream 0',
    rule: 'RFC 9113 section 6.2',
    frames: [headers(0, getBlock, bothEnds)],
    expected: protocolError,
  },
  {
    name: 'PRIORITY on stream 0',
    rule: 'RFC 9113 section 6.3',
    frames: [priority(0, 1)],
    expected: protocolError,
  },
  {
    name: 'RST_STREAM on stream 0',
    rule: 'RFC 9113 section 6.4',
    frames: [rstStream(0, 'CANCEL')],
    expected: protocolError,
  },
  {
    name: 'CONTINUATION on stream 0',
    rule: 'RFC 9113 section 6.10',
    frames: [continuation(0, getBlock)],
    expected: protocolError,
  },
  {
    name: 'SETTINGS on a stream',
    rule: 'RFC 9113 section 6.5',
    frames: [frame(frameTypes.settings, 0, 1)],
    expected: protocolError,
  },
  {
    name: 'PING on a stream',
    rule: 'RFC 9113 section 6.7',
    frames: [frame(frameTypes.ping, 0, 1, Buffer.alloc(8))],
    expected: protocolError,
  },
  {
    name: 'GOAWAY on a stream',
    rule: 'RFC 9113 section 6.8',
    frames: [frame(frameTypes.goaway, 0, 1, Buffer.alloc(8))],
    expected: protocolError,
  },
  {
    name: 'PING of seven bytes',
    rule: 'RFC 9113 section 6.7',
    frames: [frame(frameTypes.ping, 0, 0, Buffer.alloc(7))],
    expected: frameSizeError,
  },
  {
    name: 'PING of nine bytes',
    rule: 'RFC 9113 section 6.7',
    frames: [frame(frameTypes.ping, 0, 0, Buffer.alloc(9))],
    expected: frameSizeError,
  },
  {
    name: 'GOAWAY of seven bytes',
    rule: 'RFC 9113 section 4.2',
    frames: [frame(frameTypes.goaway, 0, 0, Buffer.alloc(7))],
    expected: frameSizeError,
  },
  {
    name: 'SETTINGS of five bytes',
    rule: 'RFC 9113 section 6.5',
    frames: [frame(frameTypes.settings, 0, 0, Buffer.alloc(5))],
    expected: frameSizeError,
  },
  {
    name: 'an acknowledgement of SETTINGS with something in it',
    rule: 'RFC 9113 section 6.5',
    frames: [frame(frameTypes.settings, flags.ack, 0, Buffer.alloc(6))],
    expected: frameSizeError,
  },
  {
    name: 'WINDOW_UPDATE of three bytes',
    rule: 'RFC 9113 section 6.9',
    frames: [frame(frameTypes.windowUpdate, 0, 0, Buffer.alloc(3))],
    expected: frameSizeError,
  },
  {
    name: 'RST_STREAM of three bytes',
    rule: 'RFC 9113 section 6.4',
    frames: [asked, frame(frameTypes.rstStream, 0, 1, Buffer.alloc(3))],
    expected: frameSizeError,
  },
  {
    name: 'PRIORITY of four bytes',
    rule: 'RFC 9113 section 6.3',
    frames: [asked, frame(frameTypes.priority, 0, 1, Buffer.alloc(4))],
    stream: 1,
    expected: streamError('FRAME_SIZE_ERROR'),
  },
  {
    name: 'HEADERS with a priority that is cut off',
    rule: 'RFC 9113 sections 4.2 and 6.2',
    frames: [headers(1, Buffer.alloc(3), bothEnds | flags.priority)],
    expected: ['connection FRAME_SIZE_ERROR', 'connection PROTOCOL_ERROR'],
  },
  {
    name: 'DATA with more padding than payload',
    rule: 'RFC 9113 section 6.1',
    frames: [begun, frame(frameTypes.data, flags.padded, 1, Buffer.from([5, 1, 2, 3]))],
    expected: protocolError,
  },
  {
    name: 'padded DATA of no bytes',
    rule: 'RFC 9113 sections 4.2 and 6.1',
    frames: [begun, frame(frameTypes.data, flags.padded, 1)],
    expected: ['connection FRAME_SIZE_ERROR', 'connection PROTOCOL_ERROR'],
  },
  {
    name: 'HEADERS with more padding than payload',
    rule: 'RFC 9113 section 6.2',
    frames: [headers(1, Buffer.concat([Buffer.from([255]), getBlock]), bothEnds | flags.padded)],
    expected: protocolError,
  },

  // SETTINGS.
  {
    name: 'ENABLE_PUSH of 2',
    rule: 'RFC 9113 section 6.5.2',
    frames: [settings([settingIds.enablePush, 2])],
    expected: protocolError,
  },
  {
    name: 'INITIAL_WINDOW_SIZE over 2^31-1',
    rule: 'RFC 9113 section 6.5.2',
    frames: [settings([settingIds.initialWindowSize, 0x8000_0000])],
    expected: ['connection FLOW_CONTROL_ERROR'],
  },
  {
    name: 'MAX_FRAME_SIZE below 16,384',
    rule: 'RFC 9113 section 6.5.2',
    frames: [settings([settingIds.maxFrameSize, 16_383])],
    expected: protocolError,
  },
  {
    name: 'MAX_FRAME_SIZE over 2^24-1',
    rule: 'RFC 9113 section 6.5.2',
    frames: [settings([settingIds.maxFrameSize, 0x100_0000])],
    expected: protocolError,
  },
  {
    name: 'INITIAL_WINDOW_SIZE that makes the window of a stream too large',
    rule: 'RFC 9113 section 6.9.2',
    frames: [asked, windowUpdate(1, maxWindow - 65_535), settings([settingIds.initialWindowSize, 65_536])],
    expected: ['connection FLOW_CONTROL_ERROR'],
  },
  {
    name: 'settings that nobody knows',
    rule: 'RFC 9113 section 6.5.2',
    frames: [settings([0xbabe, 1], [0xffff, 0xffff_ffff])],
    expected: ['ignored'],
  },
  {
    name: 'an acknowledgement of SETTINGS that were not sent',
    rule: 'RFC 9113 section 6.5.3',
    frames: [settingsAck, settingsAck],
    expected: ['ignored', 'connection PROTOCOL_ERROR'],
  },

  // Streams and their states.
  {
    name: 'a request on an even stream',
    rule: 'RFC 9113 section 5.1.1',
    frames: [headers(2, getBlock, bothEnds)],
    expected: protocolError,
  },
  {
    name: 'a request on a stream below the last one',
    rule: 'RFC 9113 section 5.1.1',
    frames: [headers(5, silentBlock, bothEnds), headers(3, getBlock, bothEnds)],
    expected: ['connection PROTOCOL_ERROR', 'connection STREAM_CLOSED'],
  },
  {
    name: 'DATA on an idle stream',
    rule: 'RFC 9113 section 5.1',
    frames: [data(1, 'x', flags.endStream)],
    expected: protocolError,
  },
  {
    name: 'RST_STREAM on an idle stream',
    rule: 'RFC 9113 section 6.4',
    frames: [rstStream(1, 'CANCEL')],
    expected: protocolError,
  },
  {
    name: 'WINDOW_UPDATE on an idle stream',
    rule: 'RFC 9113 section 5.1',
    frames: [windowUpdate(1, 1)],
    expected: protocolError,
  },
  {
    name: 'DATA on a stream of the server that is idle',
    rule: 'RFC 9113 section 5.1',
    frames: [data(2, 'x', flags.endStream)],
    expected: protocolError,
  },
  {
    name: 'DATA behind the end of the request',
    rule: 'RFC 9113 section 5.1',
    frames: [asked, data(1, 'x', flags.endStream)],
    stream: 1,
    expected: streamError('STREAM_CLOSED'),
  },
  {
    name: 'HEADERS behind the end of the request',
    rule: 'RFC 9113 section 5.1',
    frames: [asked, headers(1, getBlock, bothEnds)],
    stream: 1,
    expected: streamError('STREAM_CLOSED'),
  },
  {
    name: 'DATA on a stream that the client has reset',
    rule: 'RFC 9113 section 5.1',
    frames: [...takenBack, data(1, 'x', flags.endStream)],
    stream: 1,
    expected: [...streamError('STREAM_CLOSED'), 'ignored'],
  },
  {
    name: 'HEADERS on a stream that the client has reset',
    rule: 'RFC 9113 section 5.1',
    frames: [...takenBack, headers(1, getBlock, bothEnds)],
    stream: 1,
    expected: [...streamError('STREAM_CLOSED'), 'connection PROTOCOL_ERROR', 'ignored'],
  },
  {
    name: 'PRIORITY on closed and idle streams',
    rule: 'RFC 9113 sections 5.1 and 6.3',
    frames: [...takenBack, priority(1, 0), priority(7, 0)],
    expected: ['ignored'],
  },
  {
    name: 'a stream that depends on itself',
    rule: 'RFC 9113 section 5.3.2: deprecated; RFC 7540 section 5.3.1: stream error PROTOCOL_ERROR',
    frames: [priority(9, 9)],
    expected: ['ignored', ...streamError('PROTOCOL_ERROR')],
  },
  {
    name: 'WINDOW_UPDATE and RST_STREAM on a stream that has been reset',
    rule: 'RFC 9113 section 5.1',
    frames: [...takenBack, windowUpdate(1, 1), rstStream(1, 'CANCEL')],
    stream: 1,
    expected: ['ignored', ...streamError('STREAM_CLOSED')],
  },
  {
    name: 'PUSH_PROMISE from a client',
    rule: 'RFC 9113 section 8.4',
    frames: [asked, pushPromise(1, 2, getBlock)],
    expected: protocolError,
  },
  {
    name: 'GOAWAY with a request behind it',
    rule: 'RFC 9113 section 6.8',
    frames: [goaway(0, 'NO_ERROR')],
    expected: ['ignored', 'connection NO_ERROR', 'connection closed'],
  },

  // Windows.
  {
    name: 'the window of the connection opened by 0',
    rule: 'RFC 9113 section 6.9',
    frames: [windowUpdate(0, 0)],
    expected: protocolError,
  },
  {
    name: 'the window of a stream opened by 0',
    rule: 'RFC 9113 section 6.9',
    frames: [asked, windowUpdate(1, 0)],
    stream: 1,
    expected: streamError('PROTOCOL_ERROR'),
  },
  {
    name: 'the window of the connection opened too far',
    rule: 'RFC 9113 section 6.9.1',
    frames: [windowUpdate(0, maxWindow), windowUpdate(0, maxWindow)],
    expected: ['connection FLOW_CONTROL_ERROR'],
  },
  {
    name: 'the window of a stream opened too far',
    rule: 'RFC 9113 section 6.9.1',
    frames: [asked, windowUpdate(1, maxWindow)],
    stream: 1,
    expected: streamError('FLOW_CONTROL_ERROR'),
  },
  {
    name: 'the reserved bit of a stream and of an increment',
    rule: 'RFC 9113 sections 4.1 and 6.9',
    frames: [frame(frameTypes.windowUpdate, 0, 0x8000_0000, uint32(0x8000_0001))],
    expected: ['ignored'],
  },
  {
    name: 'DATA over the window',
    rule: 'RFC 9113 section 6.9.1',
    // More than windows and all sockets on the way to the pod can hold.
    frames: [
      headers(1, block(requestFields(host, '/stuck', [], 'POST'))),
      ...Array.from({ length: 2_048 }, () => data(1, Buffer.alloc(16_384))),
    ],
    stream: 1,
    expected: [...streamError('FLOW_CONTROL_ERROR'), 'connection closed'],
  },

  // Header blocks.
  {
    name: 'CONTINUATION without HEADERS',
    rule: 'RFC 9113 section 6.10',
    frames: [continuation(1, getBlock)],
    expected: protocolError,
  },
  {
    name: 'CONTINUATION behind the end of a block',
    rule: 'RFC 9113 section 6.10',
    frames: [asked, continuation(1, getBlock)],
    expected: protocolError,
  },
  {
    name: 'CONTINUATION of another stream',
    rule: 'RFC 9113 section 6.10',
    frames: [headers(1, getBlock, flags.endStream), continuation(3, Buffer.alloc(0))],
    expected: protocolError,
  },
  {
    name: 'a PING in the middle of a block',
    rule: 'RFC 9113 section 6.10',
    frames: [headers(1, getBlock, flags.endStream), ping('inside')],
    expected: protocolError,
  },
  {
    name: 'a frame of an unknown type in the middle of a block',
    rule: 'RFC 9113 section 5.5',
    frames: [headers(1, getBlock, flags.endStream), frame(0xbe, 0, 1)],
    expected: protocolError,
  },
  {
    name: 'another request in the middle of a block',
    rule: 'RFC 9113 section 6.10',
    frames: [headers(1, getBlock, flags.endStream), headers(3, getBlock, bothEnds)],
    expected: protocolError,
  },
  {
    name: 'a block in many pieces',
    rule: 'RFC 9113 section 4.3',
    frames: [
      headers(1, getBlock.subarray(0, 1), flags.endStream),
      ...Array.from(getBlock.subarray(1, 5), (byte) => continuation(1, Buffer.from([byte]), 0)),
      continuation(1, getBlock.subarray(5)),
    ],
    stream: 1,
    expected: ['status 200'],
  },
  {
    name: 'an unknown type of frame, and flags that mean nothing',
    rule: 'RFC 9113 sections 4.1 and 5.5',
    frames: [frame(0xbe, 0xff, 3, Buffer.alloc(20)), frame(frameTypes.ping, 0xf0, 0, Buffer.alloc(8))],
    expected: ['ignored'],
  },
  {
    name: 'index 0',
    rule: 'RFC 7541 section 6.1',
    frames: [headers(1, Buffer.concat([getBlock, Buffer.from([0x80])]), bothEnds)],
    expected: compressionError,
  },
  {
    name: 'an index that no table has',
    rule: 'RFC 7541 section 2.3.3',
    frames: [headers(1, Buffer.concat([getBlock, indexed(62)]), bothEnds)],
    expected: compressionError,
  },
  {
    name: 'an integer without end',
    rule: 'RFC 7541 section 5.1',
    frames: [headers(1, Buffer.concat([getBlock, Buffer.from([0xff]), Buffer.alloc(20, 0xff)]), bothEnds)],
    expected: compressionError,
  },
  {
    name: 'an integer that is large in many empty bytes',
    rule: 'RFC 7541 section 5.1',
    frames: [
      headers(1, Buffer.concat([getBlock, Buffer.from([0xff]), Buffer.alloc(20, 0x80), Buffer.from([0])]), bothEnds),
    ],
    expected: compressionError,
  },
  {
    name: 'a text that is longer than its block',
    rule: 'RFC 7541 section 5.2',
    frames: [headers(1, Buffer.concat([getBlock, Buffer.from([0]), integer(100, 7, 0), Buffer.from('abc')]), bothEnds)],
    expected: compressionError,
  },
  {
    name: 'a block that ends behind a name',
    rule: 'RFC 7541 section 5.2',
    frames: [headers(1, Buffer.concat([getBlock, Buffer.from([0]), plainText('x-a')]), bothEnds)],
    expected: compressionError,
  },
  {
    name: 'Huffman text with the end written out',
    rule: 'RFC 7541 section 5.2',
    frames: [
      headers(
        1,
        Buffer.concat([getBlock, Buffer.from([0]), plainText('x-a'), Buffer.from([0x84, 0xff, 0xff, 0xff, 0xff])]),
        bothEnds,
      ),
    ],
    expected: compressionError,
  },
  {
    name: 'Huffman text padded with zeros',
    rule: 'RFC 7541 section 5.2',
    frames: [
      headers(1, Buffer.concat([getBlock, Buffer.from([0]), plainText('x-a'), Buffer.from([0x81, 0x18])]), bothEnds),
    ],
    expected: compressionError,
  },
  {
    name: 'Huffman text with a byte of padding',
    rule: 'RFC 7541 section 5.2',
    frames: [
      headers(
        1,
        Buffer.concat([getBlock, Buffer.from([0]), plainText('x-a'), Buffer.from([0x82, 0x1f, 0xff])]),
        bothEnds,
      ),
    ],
    expected: compressionError,
  },
  {
    name: 'a table larger than allowed',
    rule: 'RFC 7541 section 6.3',
    frames: [headers(1, Buffer.concat([tableSize(1_000_000), getBlock]), bothEnds)],
    expected: compressionError,
  },
  {
    name: 'a size of the table behind a field',
    rule: 'RFC 7541 section 4.2',
    frames: [headers(1, Buffer.concat([getBlock, tableSize(0)]), bothEnds)],
    expected: compressionError,
  },
  {
    name: 'a block that cannot be read on a stream that has been reset',
    rule: 'RFC 9113 section 4.3: every block is read, or the connection ends',
    frames: [...takenBack, headers(1, Buffer.from([0x80]), bothEnds)],
    expected: [...compressionError, 'connection STREAM_CLOSED', 'connection PROTOCOL_ERROR'],
  },
];

type Greeting = {
  readonly name: string;
  readonly rule: string;
  readonly bytes: Buffer;
  readonly expected: RegExp;
};

// Bytes that do not begin as the preface does are HTTP/1.1 on the plain port; whatever is made of them, it is no HTTP/2.
const greetings: readonly Greeting[] = [
  {
    name: 'a preface with another end',
    rule: 'RFC 9113 section 3.4',
    bytes: Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'),
    expected: /^(connection (PROTOCOL_ERROR|closed)|HTTP\/1\.1 (400|405|505))/,
  },
  {
    name: 'a preface without its second half, then a request of HTTP/1.1',
    rule: 'RFC 9113 section 3.4',
    bytes: Buffer.from(`PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
    expected: /^(connection (PROTOCOL_ERROR|closed)|HTTP\/1\.1 (400|405|505))/,
  },
  {
    name: 'a preface of HTTP/2.1',
    rule: 'RFC 9113 section 3.4',
    bytes: Buffer.from('PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n'),
    expected: /^(connection (PROTOCOL_ERROR|closed)|HTTP\/1\.1 (400|405|505))/,
  },
  {
    name: 'a request before SETTINGS',
    rule: 'RFC 9113 section 3.4',
    bytes: Buffer.concat([preface, headers(1, getBlock, bothEnds)]),
    expected: /^connection PROTOCOL_ERROR/,
  },
  {
    name: 'an acknowledgement in the place of SETTINGS',
    rule: 'RFC 9113 section 3.4',
    bytes: Buffer.concat([preface, settingsAck]),
    expected: /^connection PROTOCOL_ERROR/,
  },
  {
    name: 'a PING before SETTINGS',
    rule: 'RFC 9113 section 3.4',
    bytes: Buffer.concat([preface, ping('early')]),
    expected: /^connection PROTOCOL_ERROR/,
  },
  {
    name: 'the preface twice',
    rule: 'RFC 9113 section 3.4',
    bytes: Buffer.concat([preface, preface]),
    expected: /^connection (FRAME_SIZE_ERROR|PROTOCOL_ERROR)/,
  },
];

describe('frames', () => {
  let pod: FloodPod;
  let router: AttackedRouter;

  beforeAll(async () => {
    pod = await FloodPod.start();
    const yaml = edgeRouteYaml('frames', host, 'frames') + serviceYaml('frames', [pod.port]);
    router = await AttackedRouter.start(yaml);
  });

  afterAll(async () => {
    await router[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  describe.each([
    ['plain', {}],
    ['TLS', { servername: host }],
  ] as const)('over %s', (_, transport) => {
    test.for(cases)('$name ($rule)', async ({ frames, stream, expected }) => {
      const isTls = 'servername' in transport;
      using client = await RawClient.connect(isTls ? router.httpsPort : router.httpPort, transport);
      await client.settled();
      client.write(...frames, ping('go on'));
      const isAnswered = expected.some((outcome) => outcome.startsWith('status'));
      const outcome = isAnswered ? client.outcome(stream ?? 0) : outcomeOf(client, stream);
      expect(await outcome, client.story).toBeOneOf([...expected]);
    });

    test('bytes in segments of their own (RFC 9113 section 4.1)', async () => {
      const isTls = 'servername' in transport;
      using client = await RawClient.connect(isTls ? router.httpsPort : router.httpPort, transport);
      await client.settled();
      const split = Math.floor(getBlock.length / 2);
      const pieces = [
        headers(1, getBlock.subarray(0, split), flags.endStream),
        continuation(1, getBlock.subarray(split)),
      ];
      for (const byte of Buffer.concat(pieces)) {
        client.write(Buffer.from([byte]));
        await turn();
      }
      expect(await client.outcome(1), client.story).toBe('status 200');
    });

    test('a header table of no bytes (RFC 7541 section 4.2: the answer says so first)', async () => {
      const isTls = 'servername' in transport;
      const port = isTls ? router.httpsPort : router.httpPort;
      using client = await RawClient.connect(port, { ...transport, settings: [[settingIds.headerTableSize, 0]] });
      await client.settled();
      const outcome = await client.outcome(client.request(requestFields(host)));
      expect(String(client.problem)).toBe('null');
      expect(outcome).toBe('status 200');
    });

    test.for(greetings)('$name ($rule)', async ({ bytes, expected }) => {
      const isTls = 'servername' in transport;
      const options = { ...transport, greeting: bytes, settings: null };
      using client = await RawClient.connect(isTls ? router.httpsPort : router.httpPort, options);
      let text = '';
      client.socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      await client.ended;
      expect(text.startsWith('HTTP/1.1 ') ? text : client.ending).toMatch(expected);
    });
  });
});

/** What became of a stream or the connection; where both go on, whether another request is answered. */
async function outcomeOf(client: RawClient, stream: number | undefined): Promise<string> {
  const answered = (): boolean => client.frames.some(({ payload }) => payload.toString('latin1').startsWith('go on'));
  await client.until(() => answered() || client.end !== null);
  if (!answered()) return client.ending;
  if (stream !== undefined) {
    const { reset, heads } = client.stream(stream);
    if (reset !== null || heads.length > 0) return await client.outcome(stream);
  }
  client.write(headers(101, getBlock, bothEnds));
  const next = await client.outcome(101);
  return next === 'status 200' ? 'ignored' : next;
}
