// Clients that take and do not let go: windows that stay shut, answers that are not read, requests that do not end, bodies
// that come byte by byte. None of it may cost others an answer or the router its memory (RFC 9113 section 10.5).

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { descriptorLimit } from '../../src/proxy/listener/limits.ts';
import { edgeRouteYaml } from '../support/http2/attacked-router.ts';
import { BesiegedRouter, expectHeld, tellToll } from '../support/http2/besieged-router.ts';
import { flags, headers, maxWindow, settingIds, windowUpdate } from '../support/http2/frames.ts';
import { block } from '../support/http2/hpack.ts';
import { type ClientOptions, RawClient, requestFields } from '../support/http2/raw-client.ts';
import type { RawPeer } from '../support/http2/raw-peer.ts';
import { serviceYaml } from '../support/pods.ts';
import { FloodPod } from './flood-pod.ts';

const host = 'occupied.test';
const holdMs = 1_200;
const streamsEach = 100;
/** What is read at full speed is garbage that takes its time to be collected, in honest uploads too; it does not become more. */
const bulkGrowthMb = 160;
const bothEnds = flags.endHeaders | flags.endStream;

type Occupation = {
  readonly name: string;
  readonly rule: string;
  readonly connections: number;
  readonly options?: ClientOptions;
  /** What each connection does. It may go on until its end or that of the time (of performance.now). */
  readonly occupy: (client: RawClient, endMs: number) => Promise<void> | void;
  /** How much the worker may grow, in MB. Default 64. */
  readonly maxGrowthMb?: number;
};

const bigBlock = block(requestFields(host, '/big'));
const silentBlock = block(requestFields(host, '/silent'));
const postBlock = block(requestFields(host, '/', [], 'POST'));
const stuckBlock = block(requestFields(host, '/stuck', [], 'POST'));

/** Opens streams with this head, as many as the router allows and no more than `most`; their ids. */
async function open(client: RawClient, head: Buffer, flagBits: number, most: number = streamsEach): Promise<number[]> {
  await client.settled();
  const count = Math.min(most, client.theirSetting(settingIds.maxConcurrentStreams));
  const streams = Array.from({ length: count }, () => client.newStream());
  client.write(...streams.map((stream) => headers(stream, head, flagBits)));
  return streams;
}

/** Uploads in pieces of so many bytes, padded or not, as the windows allow and as fast as they come, until the time has come. */
async function upload(
  client: RawClient,
  streams: readonly number[],
  endMs: number,
  bytes: number,
  padding: number | null = null,
): Promise<void> {
  const piece = Buffer.alloc(bytes, 'x');
  const needs = bytes + (padding === null ? 0 : 1 + padding);
  const mayWrite = (): boolean => streams.some((stream) => client.window(stream) >= needs);
  while (client.end === null && performance.now() < endMs) {
    client.socket.cork();
    for (const stream of streams) {
      for (let i = 0; i < 20 && client.window(stream) >= needs; i++) client.writeData(stream, piece, 0, padding);
    }
    client.socket.uncork();
    if (client.socket.writableNeedDrain) await client.drained(endMs);
    else if (mayWrite()) await new Promise((turned) => setImmediate(turned));
    else await settle(client.until(mayWrite, Math.max(1, endMs - performance.now())));
  }
}

/** Waits for what may as well fail. */
async function settle(waited: Promise<unknown>): Promise<void> {
  await waited.catch(() => {});
}

const occupations: readonly Occupation[] = [
  {
    name: 'big answers for windows of 0 bytes',
    rule: 'CVE-2019-9517, CVE-2019-9511; RFC 9113 section 10.5',
    connections: 4,
    options: { settings: [[settingIds.initialWindowSize, 0]] },
    occupy: async (client) => void (await open(client, bigBlock, bothEnds)),
  },
  {
    name: 'big answers for windows of 1 byte',
    rule: 'CVE-2019-9511; RFC 9113 section 10.5',
    connections: 4,
    options: { settings: [[settingIds.initialWindowSize, 1]], windows: 'never' },
    occupy: async (client) => void (await open(client, bigBlock, bothEnds)),
  },
  {
    name: 'big answers taken byte by byte',
    rule: 'CVE-2019-9511; RFC 9113 section 10.5',
    connections: 4,
    options: { settings: [[settingIds.initialWindowSize, 0]], windows: 'never' },
    occupy: async (client, endMs) => {
      const streams = await open(client, bigBlock, bothEnds);
      while (performance.now() < endMs && client.end === null) {
        client.write(...streams.map((stream) => windowUpdate(stream, 1)));
        await delay(10);
      }
    },
  },
  {
    name: 'big answers for open windows that nobody reads',
    rule: 'CVE-2019-9517; RFC 9113 section 10.5',
    connections: 4,
    options: { settings: [[settingIds.initialWindowSize, maxWindow]] },
    occupy: async (client) => {
      client.write(windowUpdate(0, maxWindow - 65_535));
      await open(client, bigBlock, bothEnds);
      client.stopReading();
    },
  },
  {
    name: 'big answers over TLS that nobody reads',
    rule: 'CVE-2019-9517; RFC 9113 section 10.5',
    connections: 4,
    options: { settings: [[settingIds.initialWindowSize, maxWindow]], servername: host },
    occupy: async (client) => {
      client.write(windowUpdate(0, maxWindow - 65_535));
      await open(client, bigBlock, bothEnds);
      client.stopReading();
    },
  },
  {
    name: 'requests that do not end',
    rule: 'RFC 9113 section 10.5',
    connections: 4,
    occupy: async (client) => void (await open(client, postBlock, flags.endHeaders)),
  },
  {
    name: 'heads that do not end',
    rule: 'RFC 9113 section 10.5',
    connections: 100,
    occupy: async (client) => void (await open(client, postBlock, 0, 1)),
  },
  {
    name: 'bodies that come byte by byte',
    rule: 'RFC 9113 section 10.5',
    connections: 4,
    occupy: async (client, endMs) => {
      const streams = await open(client, postBlock, flags.endHeaders);
      while (performance.now() < endMs && client.end === null) {
        for (const stream of streams) if (client.window(stream) > 0) client.writeData(stream, Buffer.from('x'));
        await delay(10);
      }
    },
  },
  {
    name: 'bodies of single bytes in the largest padding',
    rule: 'RFC 9113 sections 6.9.1 and 10.5: padding counts',
    connections: 4,
    maxGrowthMb: bulkGrowthMb,
    occupy: async (client, endMs) => {
      const streams = await open(client, postBlock, flags.endHeaders);
      await upload(client, streams, endMs, 1, 255);
    },
  },
  {
    name: 'bodies in frames of one byte, as fast as they are taken',
    rule: 'RFC 9113 section 10.5',
    connections: 4,
    maxGrowthMb: bulkGrowthMb,
    occupy: async (client, endMs) => {
      const streams = await open(client, postBlock, flags.endHeaders);
      await upload(client, streams, endMs, 1);
    },
  },
  {
    name: 'bodies that the pod does not read',
    rule: 'RFC 9113 section 5.2.2',
    connections: 4,
    maxGrowthMb: bulkGrowthMb,
    occupy: async (client, endMs) => {
      const streams = await open(client, stuckBlock, flags.endHeaders);
      await upload(client, streams, endMs, 8_192);
    },
  },
  {
    name: 'a thousand connections that say nothing behind their SETTINGS',
    rule: 'RFC 9113 section 10.5',
    connections: 1_000,
    occupy: () => {},
  },
  {
    name: 'a thousand connections with requests that the pod does not answer',
    rule: 'RFC 9113 section 10.5',
    connections: 1_000,
    occupy: async (client) => void (await open(client, silentBlock, bothEnds, 5)),
    // Each request that waits holds a connection to its pod.
    maxGrowthMb: 256,
  },
];

describe('occupations', () => {
  let pod: FloodPod;
  let besieged: BesiegedRouter;
  // A connection takes two descriptors of this process and up to six more at the pod, which is in it too.
  const mostConnections = Math.floor(descriptorLimit(readFileSync('/proc/self/limits', 'latin1')) / 10);

  beforeAll(async () => {
    pod = await FloodPod.start();
    besieged = await BesiegedRouter.start(
      edgeRouteYaml('occupied', host, 'occupied') + serviceYaml('occupied', [pod.port]),
    );
  });

  afterAll(async () => {
    await besieged[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  test.for(occupations)('$name', async ({ rule, connections, options = {}, occupy, maxGrowthMb }, { annotate }) => {
    const port = options.servername === undefined ? besieged.httpPort : besieged.httpsPort;
    const endings = new Map<string, number>();
    const toll = await besieged.withstand(async () => {
      using clients = new DisposableStack();
      const occupied: Promise<void>[] = [];
      const all: RawPeer[] = [];
      const endMs = performance.now() + holdMs;
      for (let i = 0; i < Math.min(connections, mostConnections); i++) {
        const client = clients.use(await RawClient.connect(port, { keep: 'frames', ...options }));
        all.push(client);
        occupied.push(settle(Promise.resolve(occupy(client, endMs))));
      }
      await Promise.all(occupied);
      await delay(Math.max(0, endMs - performance.now()));
      for (const client of all) {
        const ending = client.end === null ? 'open' : client.ending;
        endings.set(ending, (endings.get(ending) ?? 0) + 1);
      }
    });
    await annotate(`${rule}. ${tellToll(toll)}; ${JSON.stringify([...endings])}`);
    expectHeld(toll, maxGrowthMb);
    const allowed = ['open', 'connection closed', 'connection ENHANCE_YOUR_CALM'];
    expect([...endings.keys()].filter((ending) => !allowed.includes(ending))).toEqual([]);
  });

  test('and all of them together have not made the worker large', () => {
    expect(besieged.grownMb).toBeLessThan(256);
  });
});
