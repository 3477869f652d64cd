// Pods that speak HTTP/2 and break its rules: the router is their client. Whatever they do, the router's client gets an answer
// that is whole or is told that it is not, and the router takes no harm.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { edgeRouteYaml } from '../support/http2/attacked-router.ts';
import { BesiegedRouter, expectHeld, tellToll } from '../support/http2/besieged-router.ts';
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
  pushPromise,
  rstStream,
  settingIds,
  settings,
  windowUpdate,
} from '../support/http2/frames.ts';
import { block, type Field, indexed, keptLiteral, literal } from '../support/http2/hpack.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { statusOf, valuesIn } from '../support/http2/raw-peer.ts';
import { answeringHttp2, type PodPeer, type PodScript, RawPod } from '../support/http2/raw-pod.ts';
import { getRequest, Peer } from '../support/peers.ts';
import { serviceYaml } from '../support/pods.ts';

const host = 'pods.test';
const bothEnds = flags.endHeaders | flags.endStream;
const serverTimeoutMs = 1_000;

type Case = {
  readonly name: string;
  readonly rule: string;
  readonly script: PodScript;
  /** What the client gets, in the words of `RawPeer.outcome`; an HTTP/1.1 connection that is cut has no reason. */
  readonly expected: readonly string[];
  /** What the pod is told of its stream or connection, in the same words; absent: it does not matter. */
  readonly told?: readonly string[];
  /** A first request is answered before the one that counts. */
  readonly warm?: true;
  /** Absent: GET. */
  readonly method?: 'HEAD';
};

const okHead: readonly Field[] = [[':status', '200']];
/** RFC 9110 section 15.6.3: an invalid response. */
const badGateway = ['status 502'];
/** The pod did not answer; the router may have tried again (RFC 9113 section 8.7). */
const failed = ['status 502', 'status 503', 'status 504'];
/** A head has gone out, and the client is told that the answer is not whole. */
const cut = ['status 200 cut'];
/** A head may have gone out already or not. */
const cutOrBad = [...cut, ...badGateway];
const streamProtocolError = ['stream PROTOCOL_ERROR', 'connection PROTOCOL_ERROR'];

/** Greets, then does this for each request. */
function forEach(act: (peer: PodPeer, stream: number) => void | Promise<void>): PodScript {
  return async (peer) => {
    peer.write(settings());
    for (;;) await act(peer, await peer.request());
  };
}

/** Answers each request with these frames. */
function answer(...make: readonly ((stream: number) => Buffer)[]): PodScript {
  return forEach((peer, stream) => void peer.write(...make.map((each) => each(stream))));
}

const head =
  (fields: readonly Field[], flagBits: number = flags.endHeaders) =>
  (stream: number): Buffer =>
    headers(stream, block(fields), flagBits);
const body =
  (text: string, flagBits: number = flags.endStream) =>
  (stream: number): Buffer =>
    data(stream, text, flagBits);
/** A head with one more field, and a body. */
const withField = (name: string, value: string): PodScript => answer(head([...okHead, [name, value]]), body('ok'));

/** The first connection does one thing, the others another. */
function firstThen(first: PodScript, others: PodScript): PodScript {
  return (peer, nth) => (nth === 0 ? first(peer, nth) : others(peer, nth));
}

/** Each connection answers its first request and ends under the second. */
function keptThenEnded(): PodScript {
  return async (peer) => {
    peer.write(settings());
    peer.head(await peer.request(), okHead, bothEnds);
    await peer.request();
    peer.socket.end();
  };
}

const honestly: PodScript = (peer, nth) => {
  peer.write(settings());
  return answeringHttp2('ok')(peer, nth);
};

const cases: readonly Case[] = [
  { name: 'a right answer', rule: 'RFC 9113 section 8.1', script: honestly, expected: ['status 200'] },

  // Malformed answers (RFC 9113 section 8.1.1).
  ...(
    [
      ['in upper case', 'X-Upper', 'a'],
      ['with CR LF', 'x: y\r\nx-injected', 'a'],
      ['with a space', 'x a', 'a'],
      ['with NUL', 'x\0', 'a'],
      ['of nothing', '', 'a'],
      ['of a connection', 'connection', 'x-a'],
      ['of another coding', 'transfer-encoding', 'chunked'],
      ['of an upgrade', 'upgrade', 'websocket'],
    ] as const
  ).map(
    ([what, name, value]): Case => ({
      name: `a field name ${what}`,
      rule: 'RFC 9113 sections 8.2.1 and 8.2.2',
      script: withField(name, value),
      expected: badGateway,
      told: streamProtocolError,
    }),
  ),
  ...['a\r\nx-injected: b', 'a\nx-injected: b', 'a\0b', `a\r\n\r\nHTTP/1.1 200 OK\r\nx-injected: b`].map(
    (value): Case => ({
      name: `a field value ${JSON.stringify(value)}`,
      rule: 'RFC 9113 section 8.2.1',
      script: withField('x-case', value),
      expected: badGateway,
      told: streamProtocolError,
    }),
  ),
  ...(
    [
      ['no :status', [['x-case', 'a']]],
      [
        'two :status',
        [
          [':status', '200'],
          [':status', '204'],
        ],
      ],
      ['a :status of letters', [[':status', 'two']]],
      ['a :status of two digits', [[':status', '20']]],
      ['a :status with CR LF', [[':status', '200 OK\r\nx-injected: a']]],
      ['a :status of nothing', [[':status', '']]],
      [
        'a pseudo-field of a request',
        [
          [':status', '200'],
          [':path', '/'],
        ],
      ],
      [
        'a pseudo-field behind the others',
        [
          ['x-case', 'a'],
          [':status', '200'],
        ],
      ],
      ['101', [[':status', '101']]],
    ] as const
  ).map(
    ([what, fields]): Case => ({
      name: what,
      rule: 'RFC 9113 sections 8.3, 8.3.2 and 8.6',
      script: answer(head(fields), body('ok')),
      expected: badGateway,
      told: streamProtocolError,
    }),
  ),
  ...['5', '+2', '2,2', '-2', 'two', '99999999999999999999'].map(
    (length): Case => ({
      name: `content-length: ${length} with two bytes`,
      rule: 'RFC 9113 section 8.1.1, RFC 9110 section 8.6',
      script: withField('content-length', length),
      expected: length === '2,2' ? [...badGateway, 'status 200'] : cutOrBad,
      ...(length === '2,2' ? {} : { told: [...streamProtocolError, 'stream CANCEL', 'ended'] }),
    }),
  ),
  {
    name: 'more DATA than content-length says: an answer behind it',
    rule: 'RFC 9113 section 8.1.1',
    script: answer(
      head([...okHead, ['content-length', '2']]),
      body('okHTTP/1.1 200 OK\r\nx-injected: a\r\ncontent-length: 0\r\n\r\n'),
    ),
    expected: cutOrBad,
  },
  {
    name: 'a second DATA frame more than content-length says',
    rule: 'RFC 9113 section 8.1.1',
    script: answer(head([...okHead, ['content-length', '2']]), body('ok', 0), body('more')),
    // What the router has learned when the answer is whole may come too late for the client.
    expected: [...cutOrBad, 'status 200'],
  },
  {
    name: 'two different content-lengths',
    rule: 'RFC 9110 section 8.6',
    script: answer(head([...okHead, ['content-length', '2'], ['content-length', '0']]), body('ok')),
    expected: badGateway,
    told: streamProtocolError,
  },
  {
    name: 'a content-length of 5 and no DATA',
    rule: 'RFC 9113 section 8.1.1',
    script: answer(head([...okHead, ['content-length', '5']], bothEnds)),
    expected: cutOrBad,
  },
  {
    name: 'a content-length of 5 in the answer to HEAD',
    rule: 'RFC 9110 section 9.3.2: no mistake',
    script: answer(head([...okHead, ['content-length', '5']], bothEnds)),
    expected: ['status 200'],
    method: 'HEAD',
  },
  {
    name: 'DATA in the answer to HEAD',
    rule: 'RFC 9110 section 9.3.2',
    script: answer(head(okHead), body('HTTP/1.1 200 OK\r\nx-injected: a\r\n\r\n')),
    expected: [...cutOrBad, 'status 200'],
    method: 'HEAD',
  },
  {
    name: 'DATA behind 204',
    rule: 'RFC 9110 section 15.3.5',
    script: answer(head([[':status', '204']]), body('HTTP/1.1 200 OK\r\nx-injected: a\r\n\r\n')),
    expected: ['status 204', 'status 204 cut', ...badGateway],
  },
  {
    name: 'DATA before HEADERS',
    rule: 'RFC 9113 section 8.1',
    script: answer(body('ok', 0), head(okHead, bothEnds)),
    expected: badGateway,
    told: streamProtocolError,
  },
  {
    name: 'trailers with a pseudo-field',
    rule: 'RFC 9113 section 8.1',
    script: answer(head(okHead), body('ok', 0), head([[':status', '200']], bothEnds)),
    expected: cutOrBad,
  },
  {
    name: 'trailers with CR LF',
    rule: 'RFC 9113 section 8.2.1',
    script: answer(head(okHead), body('ok', 0), head([['x-trailer', 'a\r\nx-injected: b']], bothEnds)),
    expected: cutOrBad,
  },
  {
    name: 'trailers that do not end the stream',
    rule: 'RFC 9113 section 8.1',
    script: answer(head(okHead), body('ok', 0), head([['x-trailer', 'a']]), body('more')),
    expected: cutOrBad,
  },
  {
    name: 'right trailers',
    rule: 'RFC 9113 section 8.1',
    script: answer(head(okHead), body('ok', 0), head([['x-trailer', 'a']], bothEnds)),
    expected: ['status 200'],
  },
  {
    name: 'an informational head that ends the stream',
    rule: 'RFC 9113 section 8.1',
    script: answer(head([[':status', '103']], bothEnds)),
    expected: badGateway,
    told: [...streamProtocolError, 'ended'],
  },
  {
    name: 'a hundred thousand informational heads',
    rule: 'RFC 9113 section 10.5',
    script: forEach(async (peer, stream) => {
      const chunk = Buffer.concat(Array.from({ length: 1_000 }, () => head([[':status', '103']])(stream)));
      let left = 100;
      await peer.flood(performance.now() + 1_000, () => (left-- > 0 ? chunk : Buffer.alloc(0)));
      peer.write(head(okHead)(stream), body('ok')(stream));
    }),
    expected: ['status 200', ...failed],
  },
  {
    name: 'HEADERS and DATA behind the end of the answer',
    rule: 'RFC 9113 section 5.1',
    script: answer(head(okHead, bothEnds), head(okHead), body('HTTP/1.1 200 OK\r\nx-injected: a\r\n\r\n')),
    expected: ['status 200', ...cutOrBad],
  },

  // Frames that no server may send.
  {
    name: 'PUSH_PROMISE, which was switched off',
    rule: 'RFC 9113 sections 6.6 and 8.4',
    script: answer((stream) => pushPromise(stream, 2, block(requestFields(host))), head(okHead), body('ok')),
    expected: failed,
    told: ['connection PROTOCOL_ERROR'],
  },
  {
    name: 'a stream of its own',
    rule: 'RFC 9113 section 5.1.1',
    script: answer(() => headers(2, block(okHead), bothEnds)),
    expected: failed,
    told: ['connection PROTOCOL_ERROR'],
  },
  {
    name: 'an answer on a stream that nobody has opened',
    rule: 'RFC 9113 section 5.1',
    script: answer((stream) => headers(stream + 100, block(okHead), bothEnds)),
    expected: failed,
    told: ['connection PROTOCOL_ERROR'],
  },
  {
    name: 'DATA on stream 0',
    rule: 'RFC 9113 section 6.1',
    script: answer(head(okHead), () => data(0, 'ok')),
    expected: [...failed, ...cut],
    told: ['connection PROTOCOL_ERROR'],
  },
  {
    name: 'a frame over the maximum size',
    rule: 'RFC 9113 section 4.2',
    script: answer(head(okHead), (stream) => data(stream, Buffer.alloc(16_777_215 / 3))),
    expected: [...failed, ...cut],
    told: ['connection FRAME_SIZE_ERROR', 'stream FRAME_SIZE_ERROR', 'connection closed'],
  },
  {
    name: 'header compression that cannot be read',
    rule: 'RFC 7541 section 2.3.3',
    script: answer((stream) => headers(stream, Buffer.concat([block(okHead), indexed(100)]), bothEnds)),
    expected: failed,
    told: ['connection COMPRESSION_ERROR'],
  },
  {
    name: 'SETTINGS of a wrong length',
    rule: 'RFC 9113 section 6.5',
    script: answer(() => frame(frameTypes.settings, 0, 0, Buffer.alloc(5)), head(okHead, bothEnds)),
    expected: failed,
    told: ['connection FRAME_SIZE_ERROR'],
  },
  {
    name: 'MAX_FRAME_SIZE below 16,384',
    rule: 'RFC 9113 section 6.5.2',
    script: answer(() => settings([settingIds.maxFrameSize, 100]), head(okHead, bothEnds)),
    expected: failed,
    told: ['connection PROTOCOL_ERROR'],
  },
  {
    name: 'a window opened too far',
    rule: 'RFC 9113 section 6.9.1',
    script: answer(() => windowUpdate(0, maxWindow), head(okHead, bothEnds)),
    expected: failed,
    told: ['connection FLOW_CONTROL_ERROR'],
  },
  {
    name: 'an HTTP/1.1 pod',
    rule: 'RFC 9113 section 3.4',
    script: (peer) => void peer.write('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
    expected: failed,
  },
  {
    name: 'a pod that begins with anything but SETTINGS',
    rule: 'RFC 9113 section 3.4',
    script: (peer) => void peer.write(ping('early')),
    expected: failed,
    told: ['connection PROTOCOL_ERROR'],
  },

  // Ends.
  {
    name: 'GOAWAY before the request was looked at',
    rule: 'RFC 9113 section 6.8: it may be sent again',
    script: firstThen(
      forEach((peer) => {
        peer.write(goaway(0, 'NO_ERROR'));
        peer.socket.end();
      }),
      honestly,
    ),
    expected: ['status 200'],
  },
  {
    name: 'GOAWAY right behind SETTINGS',
    rule: 'RFC 9113 section 6.8',
    script: firstThen((peer) => {
      peer.write(settings(), goaway(0, 'NO_ERROR'));
      peer.socket.end();
    }, honestly),
    expected: ['status 200'],
  },
  {
    name: 'GOAWAY that lets the request be answered',
    rule: 'RFC 9113 section 6.8',
    script: answer((stream) => goaway(stream, 'NO_ERROR'), head(okHead), body('ok')),
    expected: ['status 200'],
  },
  {
    name: 'GOAWAY in the middle of the answer',
    rule: 'RFC 9113 section 6.8',
    script: answer(
      head([...okHead, ['content-length', '4']]),
      body('ok', 0),
      (stream) => goaway(stream, 'NO_ERROR'),
      body('ok'),
    ),
    expected: ['status 200'],
  },
  {
    name: 'GOAWAY with an error, and the end of the connection in the middle of the answer',
    rule: 'RFC 9113 section 5.4.1',
    script: forEach((peer, stream) => {
      peer.write(head(okHead)(stream), body('ok', 0)(stream), goaway(stream, 'INTERNAL_ERROR'));
      peer.socket.end();
    }),
    expected: cutOrBad,
  },
  {
    name: 'the end of a kept connection under the next request',
    rule: 'RFC 9110 section 9.2.2: what is idempotent may be sent again',
    script: keptThenEnded(),
    expected: ['status 200'],
    warm: true,
  },
  {
    name: 'the end of the connection before the answer',
    rule: 'RFC 9113 section 5.4',
    script: forEach((peer) => void peer.socket.end()),
    expected: failed,
  },
  {
    name: 'a break of the connection in the middle of the answer',
    rule: 'RFC 9113 section 5.4',
    script: forEach(async (peer, stream) => {
      peer.write(head(okHead)(stream), body('ok', 0)(stream), ping('before'));
      await peer.until(() => peer.count(frameTypes.ping) > 0);
      peer.socket.resetAndDestroy();
    }),
    expected: cutOrBad,
  },
  {
    name: 'a refused stream',
    rule: 'RFC 9113 section 8.7: it may be sent again',
    script: firstThen(
      answer((stream) => rstStream(stream, 'REFUSED_STREAM')),
      honestly,
    ),
    expected: ['status 200', ...failed],
  },
  {
    name: 'streams refused for ever',
    rule: 'RFC 9113 section 8.7',
    script: answer((stream) => rstStream(stream, 'REFUSED_STREAM')),
    expected: failed,
  },
  ...(['CANCEL', 'INTERNAL_ERROR', 'NO_ERROR', 'HTTP_1_1_REQUIRED'] as const).map(
    (error): Case => ({
      name: `a reset with ${error} before the answer`,
      rule: 'RFC 9113 section 5.4.2',
      script: answer((stream) => rstStream(stream, error)),
      expected: failed,
    }),
  ),
  {
    name: 'a reset in the middle of the answer',
    rule: 'RFC 9113 section 5.4.2',
    script: answer(head(okHead), body('ok', 0), (stream) => rstStream(stream, 'INTERNAL_ERROR')),
    expected: cutOrBad,
  },
  {
    name: 'a reset with NO_ERROR in the middle of the answer',
    rule: 'RFC 9113 section 8.1: only behind a whole answer',
    script: answer(head(okHead), body('ok', 0), (stream) => rstStream(stream, 'NO_ERROR')),
    expected: cutOrBad,
  },
  {
    name: 'a reset behind the whole answer',
    rule: 'RFC 9113 section 8.1',
    script: answer(head(okHead), body('ok'), (stream) => rstStream(stream, 'NO_ERROR')),
    expected: ['status 200'],
  },

  // Silence and small steps.
  { name: 'silence', rule: 'RFC 9113 section 3.4', script: () => {}, expected: failed },
  {
    name: 'silence behind SETTINGS',
    rule: 'RFC 9110 section 15.6.5',
    script: (peer) => void peer.write(settings()),
    expected: ['status 504'],
  },
  {
    name: 'silence behind a head',
    rule: 'RFC 9113 section 8.1',
    script: answer(head(okHead)),
    expected: cut,
  },
  {
    name: 'PINGs in the place of an answer',
    rule: 'RFC 9110 section 15.6.5',
    script: forEach(async (peer) => {
      while (peer.end === null) {
        peer.write(ping('busy'));
        await new Promise((later) => setTimeout(later, 100));
      }
    }),
    expected: ['status 504'],
  },
  {
    name: 'no streams allowed',
    rule: 'RFC 9113 section 5.1.2',
    script: (peer) => void peer.write(settings([settingIds.maxConcurrentStreams, 0])),
    expected: failed,
  },
  {
    name: 'no streams allowed at first',
    rule: 'RFC 9113 section 5.1.2',
    script: async (peer, nth) => {
      peer.write(settings([settingIds.maxConcurrentStreams, 0]));
      await new Promise((later) => setTimeout(later, 200));
      peer.write(settings([settingIds.maxConcurrentStreams, 10]));
      return answeringHttp2('ok')(peer, nth);
    },
    expected: ['status 200', ...failed],
  },
  {
    name: 'a header table of no bytes',
    rule: 'RFC 7541 section 4.2',
    script: (peer, nth) => {
      peer.limitTable(0);
      return answeringHttp2('ok')(peer, nth);
    },
    expected: ['status 200'],
  },
  {
    name: 'settings that nobody knows',
    rule: 'RFC 9113 section 6.5.2',
    script: (peer, nth) => {
      peer.write(settings([0xbabe, 1]), frame(0xbe, 0xff, 0, Buffer.alloc(100)));
      return answeringHttp2('ok')(peer, nth);
    },
    expected: ['status 200'],
  },
];

type PodFlood = {
  readonly name: string;
  readonly rule: string;
  readonly script: PodScript;
  /** How much the worker may grow, in MB. Default 64. */
  readonly maxGrowthMb?: number;
};

const floodMs = 600;

/** Floods with this from the first request on. */
function floodWith(
  make: (stream: number) => Buffer,
  before: (stream: number) => readonly Buffer[] = () => [],
): PodScript {
  return forEach(async (peer, stream) => {
    peer.write(...before(stream), Buffer.alloc(0));
    const each = make(stream);
    const chunk = Buffer.concat(Array.from({ length: each.length > 1_000 ? 2 : 200 }, () => each));
    await peer.flood(performance.now() + floodMs, () => chunk);
  });
}

const floods: readonly PodFlood[] = [
  { name: 'PING', rule: 'CVE-2019-9512', script: floodWith(() => ping('flood')) },
  {
    name: 'SETTINGS',
    rule: 'CVE-2019-9515',
    script: floodWith(() => settings([settingIds.maxHeaderListSize, 100_000])),
  },
  { name: 'WINDOW_UPDATE', rule: 'RFC 9113 section 10.5', script: floodWith(() => windowUpdate(0, 1)) },
  {
    name: 'unknown frames',
    rule: 'RFC 9113 section 5.5',
    script: floodWith(() => frame(0xbe, 0, 0, Buffer.alloc(20))),
  },
  {
    name: 'CONTINUATION, empty',
    rule: 'CVE-2024-27316',
    script: floodWith(
      (stream) => continuation(stream, Buffer.alloc(0), 0),
      (stream) => [head(okHead, 0)(stream)],
    ),
  },
  {
    name: 'CONTINUATION, large',
    rule: 'CVE-2024-27316',
    script: floodWith(
      (stream) => continuation(stream, block(Array.from({ length: 15 }, () => ['x-a', 'b'.repeat(1_000)] as const)), 0),
      (stream) => [head(okHead, 0)(stream)],
    ),
  },
  {
    name: 'a header bomb',
    rule: 'CVE-2016-6581',
    script: floodWith((stream) =>
      headers(
        stream,
        Buffer.concat([
          block(okHead),
          keptLiteral('x-bomb', 'b'.repeat(3_900)),
          ...Array.from({ length: 8_000 }, () => indexed(62)),
          literal('x-end', ''),
        ]),
      ),
    ),
  },
  {
    name: 'empty DATA',
    rule: 'CVE-2019-9518',
    script: floodWith(
      (stream) => data(stream, ''),
      (stream) => [head(okHead)(stream)],
    ),
  },
  {
    name: 'informational heads',
    rule: 'RFC 9113 section 10.5',
    script: floodWith((stream) =>
      head([
        [':status', '103'],
        ['link', '</a.css>'],
      ])(stream),
    ),
  },
  {
    name: 'DATA over the window',
    rule: 'RFC 9113 section 6.9.1',
    script: floodWith(
      (stream) => data(stream, Buffer.alloc(16_384)),
      (stream) => [head(okHead)(stream)],
    ),
    // What is read at full speed is garbage that takes its time to be collected; it does not become more.
    maxGrowthMb: 128,
  },
  {
    name: 'streams reset at once',
    rule: 'RFC 9113 section 10.5',
    script: answer((stream) => rstStream(stream, 'REFUSED_STREAM')),
  },
  {
    name: 'connections ended at once',
    rule: 'RFC 9113 section 6.8',
    script: (peer) => {
      peer.write(settings(), goaway(0, 'ENHANCE_YOUR_CALM'));
      peer.socket.end();
    },
  },
];

describe('pods', () => {
  let pod: RawPod;
  let besieged: BesiegedRouter;

  beforeAll(async () => {
    pod = await RawPod.start(honestly, { settings: null });
    const service = serviceYaml('pods', [pod.port]).replaceAll('name: http,', 'name: http, appProtocol: h2c,');
    const args = ['--server-timeout', `${serverTimeoutMs}ms`, '--connect-timeout', `${serverTimeoutMs}ms`];
    besieged = await BesiegedRouter.start(edgeRouteYaml('pods', host, 'pods') + service, args);
  });

  afterAll(async () => {
    await besieged[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  describe.each(['HTTP/2', 'HTTP/1.1'] as const)('before a client that speaks %s', (protocol) => {
    test.for(cases)('$name ($rule)', async ({ script, expected, told, method, warm }) => {
      pod.follow(script);
      const ask = protocol === 'HTTP/2' ? askHttp2 : askHttp1;
      if (warm === true) expect(await ask(besieged.httpPort, 'GET')).toBe('status 200');
      const outcome = await ask(besieged.httpPort, method ?? 'GET');
      expect(outcome).toBeOneOf([...expected]);
      if (told !== undefined)
        expect(await toldTo(await pod.connection(0)), pod.connections[0]?.story).toBeOneOf([...told]);
      pod.follow(honestly);
      expect(await askHttp2(besieged.httpPort, 'GET')).toBe('status 200');
    });
  });

  test('no server push is asked for, and the window is known (RFC 9113 section 6.5.2)', async () => {
    pod.follow(honestly);
    expect(await askHttp2(besieged.httpPort, 'GET')).toBe('status 200');
    const peer = await pod.connection(0);
    expect(peer.theirSetting(settingIds.enablePush)).toBe(0);
    expect(peer.problem).toBeNull();
  });

  test('one stream at a time: more requests wait or get connections of their own (RFC 9113 section 5.1.2)', async () => {
    let most = 0;
    pod.follow(async (peer) => {
      peer.write(settings([settingIds.maxConcurrentStreams, 1]));
      let under = 0;
      for (;;) {
        const stream = await peer.request();
        most = Math.max(most, ++under);
        await new Promise((later) => setTimeout(later, 20));
        under--;
        peer.head(stream, [...okHead], bothEnds);
      }
    });
    using client = await RawClient.connect(besieged.httpPort);
    await client.settled();
    // The first request lets the router learn the limit.
    expect(await client.outcome(client.request(requestFields(host)))).toBe('status 200');
    const streams = Array.from({ length: 10 }, () => client.request(requestFields(host)));
    expect(await Promise.all(streams.map((stream) => client.outcome(stream)))).toEqual(streams.map(() => 'status 200'));
    expect(most).toBe(1);
  });

  test('a body is sent as the pod opens its windows, byte by byte if need be (RFC 9113 section 6.9)', async () => {
    let came = '';
    pod.follow(async (peer) => {
      peer.write(settings([settingIds.initialWindowSize, 0]));
      const stream = await peer.request();
      const seen = peer.stream(stream);
      for (let granted = 1; granted <= 20; granted++) {
        peer.write(windowUpdate(stream, 1));
        await peer.until(() => seen.bodyBytes >= granted);
      }
      peer.write(windowUpdate(stream, 1_000));
      await peer.until(() => seen.ended);
      came = seen.body;
      peer.head(stream, [...okHead], bothEnds);
    });
    using client = await RawClient.connect(besieged.httpPort);
    const text = 'abcdefghijklmnopqrstuvwxyz0123456789';
    const stream = client.newStream();
    client.write(headers(stream, block(requestFields(host, '/', [], 'POST'))), data(stream, text, flags.endStream));
    expect(await client.outcome(stream), client.story).toBe('status 200');
    expect(came).toBe(text);
  });

  test('an early answer with a reset goes to the client while the body still comes (RFC 9113 section 8.1)', async () => {
    pod.follow(answer(head([[':status', '413']], bothEnds), (stream) => rstStream(stream, 'NO_ERROR')));
    using client = await RawClient.connect(besieged.httpPort);
    const stream = client.newStream();
    client.write(headers(stream, block(requestFields(host, '/', [], 'POST'))), data(stream, 'more is to come'));
    await client.until(() => statusOf(client.stream(stream)) > 0);
    expect(statusOf(client.stream(stream))).toBe(413);
    expect(client.end).toBeNull();
  });

  test.each(['HTTP/2', 'HTTP/1.1'])(
    'a WebSocket from %s to a pod that takes them (RFC 8441 sections 4 and 5)',
    { timeout: 5_000 },
    async (protocol) => {
      pod.follow(async (peer) => {
        peer.write(settings([settingIds.enableConnectProtocol, 1]));
        const stream = await peer.request();
        const seen = peer.stream(stream);
        expect(valuesIn(seen.heads[0], ':method')).toEqual(['CONNECT']);
        expect(valuesIn(seen.heads[0], ':protocol')).toEqual(['websocket']);
        peer.head(stream, okHead);
        peer.writeData(stream, Buffer.from('from the pod'));
        await peer.until(() => seen.body === 'from the client');
        peer.writeData(stream, Buffer.from(', heard'), flags.endStream);
      });
      if (protocol === 'HTTP/2') {
        using client = await RawClient.connect(besieged.httpPort);
        await client.settled();
        const stream = client.newStream();
        client.write(headers(stream, block(tunnelFields)));
        const seen = client.stream(stream);
        await client.until(() => seen.body === 'from the pod');
        client.writeData(stream, Buffer.from('from the client'));
        await client.until(() => seen.body === 'from the pod, heard' && seen.ended);
      } else {
        using peer = await Peer.connect(besieged.httpPort);
        await peer.write(getRequest(host, '/', upgradeFields));
        expect((await peer.message()).status).toBe(101);
        await peer.until(() => peer.text === 'from the pod');
        await peer.write('from the client');
        await peer.until(() => peer.text === 'from the pod, heard');
      }
    },
  );

  test.each(['HTTP/2', 'HTTP/1.1'])(
    'no WebSocket from %s to a pod that does not take them (RFC 8441 section 3)',
    { timeout: 5_000 },
    async (protocol) => {
      const methods: string[] = [];
      pod.follow(
        forEach((peer, stream) => {
          methods.push(...valuesIn(peer.stream(stream).heads[0], ':method'));
          peer.head(stream, okHead, bothEnds);
        }),
      );
      if (protocol === 'HTTP/2') {
        using client = await RawClient.connect(besieged.httpPort);
        await client.settled();
        const stream = client.newStream();
        client.write(headers(stream, block(tunnelFields)));
        expect(await client.outcome(stream)).toBeOneOf(['status 501', ...failed]);
      } else {
        using peer = await Peer.connect(besieged.httpPort);
        await peer.write(getRequest(host, '/', upgradeFields));
        // A server may take an upgrade for none (RFC 9110 section 7.8).
        expect((await peer.message()).status).toBeOneOf([200, 501, 502, 503]);
      }
      expect(methods).not.toContain('CONNECT');
    },
  );

  test('what is taken back by the client is taken back from the pod (RFC 9113 section 5.4.2)', async () => {
    const reset = Promise.withResolvers<string | null>();
    pod.follow(
      forEach(async (peer, stream) => {
        const seen = peer.stream(stream);
        await peer.until(() => seen.reset !== null);
        reset.resolve(seen.reset);
      }),
    );
    using client = await RawClient.connect(besieged.httpPort);
    const stream = client.request(requestFields(host));
    const peer = await pod.connection(0);
    await peer.until(() => peer.streams.size > 0);
    client.write(rstStream(stream, 'CANCEL'));
    expect(await reset.promise).toBe('CANCEL');
  });

  test.for(floods)('a flood from the pod: $name', async ({ rule, script, maxGrowthMb }, { annotate }) => {
    const outcomes = new Map<string, number>();
    const toll = await besieged.withstand(async () => {
      pod.follow(script);
      using client = await RawClient.connect(besieged.httpPort);
      const endMs = performance.now() + floodMs;
      while (performance.now() < endMs) {
        const outcome = await client.outcome(client.request(requestFields(host)), 5_000);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        if (outcome === 'nothing' || client.end !== null) break;
      }
      pod.follow(honestly);
    });
    expect(outcomes.size).toBeGreaterThan(0);
    await annotate(`${rule}. ${tellToll(toll)}; ${JSON.stringify([...outcomes])}`);
    expectHeld(toll, maxGrowthMb);
    expect([...outcomes.keys()].filter((outcome) => outcome === 'nothing' || outcome.startsWith('connection'))).toEqual(
      [],
    );
    expect(await askHttp2(besieged.httpPort, 'GET')).toBe('status 200');
  });
});

const tunnelFields: readonly Field[] = [
  [':protocol', 'websocket'],
  ...requestFields(host, '/', [['sec-websocket-version', '13']], 'CONNECT'),
];
const upgradeFields =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** What one request over HTTP/2 comes to. */
async function askHttp2(port: number, method: 'GET' | 'HEAD'): Promise<string> {
  using client = await RawClient.connect(port);
  const stream = client.request(requestFields(host, '/', [], method));
  const outcome = await client.outcome(stream);
  const fields = client.stream(stream).heads.flat();
  if (valuesIn(fields, 'x-injected').length > 0) return 'injected';
  return outcome;
}

/** What one request over HTTP/1.1 comes to, in the same words. */
async function askHttp1(port: number, method: 'GET' | 'HEAD'): Promise<string> {
  using peer = await Peer.connect(port);
  await peer.write(getRequest(host).replace('GET', method));
  try {
    for (;;) {
      const { status, text } = await peer.message({ head: method === 'HEAD' });
      if (/^x-injected:/im.test(text)) return 'injected';
      if (status >= 200) return peer.bytes.length === 0 ? `status ${status}` : `status ${status} and ${peer.text}`;
    }
  } catch {
    const status = /^HTTP\/1\.1 (\d+)/.exec(peer.text)?.[1];
    return status === undefined ? 'connection closed' : `status ${status} cut`;
  }
}

/** What the router told a pod of its first stream, or `ended` where it took the answer for whole. */
async function toldTo(peer: PodPeer): Promise<string> {
  const stream = Math.min(...[...peer.streams.keys()].filter((id) => id > 0), 1_000);
  const seen = peer.stream(stream);
  const wait = peer.until(() => seen.reset !== null || peer.goaways.length > 0, 1_000);
  await wait.catch(() => {});
  if (seen.reset !== null) return `stream ${seen.reset}`;
  if (peer.goaways.length === 0 && peer.end === null) return 'ended';
  return peer.ending;
}
