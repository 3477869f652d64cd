// Clients that begin and do not go on: whatever they have begun is ended in the time that the configuration gives it.

import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AttackedRouter, edgeRouteYaml } from '../support/http2/attacked-router.ts';
import { continuation, data, flags, headers, preface, settingIds, settings } from '../support/http2/frames.ts';
import { block, literal } from '../support/http2/hpack.ts';
import { type ClientOptions, RawClient, requestFields } from '../support/http2/raw-client.ts';
import { serviceYaml } from '../support/pods.ts';
import { FloodPod } from './flood-pod.ts';

const host = 'slow.test';
const bothEnds = flags.endHeaders | flags.endStream;
/** Every time limit of the router, in ms, and what may pass at most until it is seen to have been kept. */
const limitMs = 1_000;
const seenMs = 8_000;

type Slowness = {
  readonly name: string;
  readonly options?: ClientOptions;
  /** Begins; answers the stream whose end counts, or null where it is the connection's. */
  readonly begin: (client: RawClient) => number | null;
  /** Sent again and again meanwhile. */
  readonly drip?: (client: RawClient) => Buffer;
  readonly expected: readonly string[];
};

// RFC 9113 section 7 has no code for what does not come; SETTINGS_TIMEOUT is the nearest.
const ended = [
  'connection closed',
  'connection SETTINGS_TIMEOUT',
  'connection NO_ERROR',
  'connection ENHANCE_YOUR_CALM',
  'connection PROTOCOL_ERROR',
];
const timedOut = [
  'status 408',
  'stream CANCEL',
  'stream NO_ERROR',
  'stream PROTOCOL_ERROR',
  'stream INTERNAL_ERROR',
  ...ended,
];
const nothing = Buffer.alloc(0);

const slownesses: readonly Slowness[] = [
  { name: 'nothing at all', options: { greeting: nothing, settings: null }, begin: () => null, expected: ended },
  {
    name: 'half a preface',
    options: { greeting: preface.subarray(0, 12), settings: null },
    begin: () => null,
    // Bytes that could be the head of an HTTP/1.1 request may be answered as one, with 408.
    expected: ended,
  },
  {
    name: 'a preface in single bytes',
    options: { greeting: preface.subarray(0, 1), settings: null },
    begin: () => null,
    drip: drops(preface.subarray(1)),
    expected: ended,
  },
  { name: 'a preface and no SETTINGS', options: { settings: null }, begin: () => null, expected: ended },
  {
    name: 'a preface and half of SETTINGS',
    options: { settings: null },
    begin: (client) => {
      client.write(settings([settingIds.enablePush, 0]).subarray(0, 11));
      return null;
    },
    expected: ended,
  },
  { name: 'a connection without requests', begin: () => null, expected: ended },
  { name: 'SETTINGS, and nothing else, again and again', begin: () => null, drip: () => settings(), expected: ended },
  {
    name: 'half a frame',
    begin: (client) => {
      client.write(headers(1, block(requestFields(host)), bothEnds).subarray(0, 20));
      return null;
    },
    expected: ended,
  },
  {
    name: 'a head that does not end',
    begin: (client) => {
      client.write(headers(1, block(requestFields(host)), flags.endStream));
      return null;
    },
    expected: ended,
  },
  {
    name: 'a head that grows field by field',
    begin: (client) => {
      client.write(headers(1, block(requestFields(host)), flags.endStream));
      return null;
    },
    drip: () => continuation(1, literal('x-a', 'b'), 0),
    expected: ended,
  },
  {
    name: 'a body that does not come',
    begin: (client) => client.request(requestFields(host, '/', [], 'POST'), flags.endHeaders),
    expected: timedOut,
  },
  {
    name: 'a body that stops in the middle of a frame',
    begin: (client) => {
      const stream = client.request(requestFields(host, '/', [], 'POST'), flags.endHeaders);
      client.write(data(stream, 'x'.repeat(1_000)).subarray(0, 500));
      return stream;
    },
    expected: timedOut,
  },
  {
    name: 'an answer for which no window is opened',
    options: { settings: [[settingIds.initialWindowSize, 0]], windows: 'never' },
    begin: (client) => client.request(requestFields(host, '/big')),
    expected: ['status 200 cut', ...timedOut],
  },
];

/** Sends a piece byte by byte. */
function drops(bytes: Buffer): () => Buffer {
  let at = 0;
  return () => bytes.subarray(at, ++at);
}

describe('slow clients', () => {
  let pod: FloodPod;
  let router: AttackedRouter;

  beforeAll(async () => {
    pod = await FloodPod.start();
    const yaml = edgeRouteYaml('slow', host, 'slow') + serviceYaml('slow', [pod.port]);
    const limits = ['--head-timeout', '--client-timeout', '--keep-alive-timeout', '--inspect-delay'];
    const args = limits.flatMap((limit) => [limit, `${limitMs}ms`]);
    router = await AttackedRouter.start(yaml, args);
  });

  afterAll(async () => {
    await router[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  describe.each([
    ['plain', {}],
    ['TLS', { servername: host }],
  ] as const)('over %s', (_, transport) => {
    test.concurrent.for(slownesses)('$name', async ({ options, begin, drip, expected }) => {
      const isTls = 'servername' in transport;
      using client = await RawClient.connect(isTls ? router.httpsPort : router.httpPort, {
        // What is to be silent acknowledges nothing either.
        acks: 'never',
        ...options,
        ...transport,
      });
      const stream = begin(client);
      const dripping = setInterval(() => drip !== undefined && client.write(drip(client)), 100);
      const outcome = stream === null ? await connectionOutcome(client) : await client.outcome(stream, seenMs);
      clearInterval(dripping);
      expect(outcome, client.story).toBeOneOf([...expected]);
    });
  });
});

async function connectionOutcome(client: RawClient): Promise<string> {
  const end = await Promise.race([client.ended, delay(seenMs, null, { ref: false })]);
  return end === null ? 'nothing' : client.ending;
}
