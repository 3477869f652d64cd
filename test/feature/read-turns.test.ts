// A connection that cuts what it sends into small pieces has only so many of them taken between two turns of the event loop:
// others would wait for hundreds of thousands (RFC 9113 section 10.5; the same holds for records of TLS).

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { createFieldReaders, Http2Link, type LinkUser } from '../../src/proxy/http2/link.ts';
import { acceptSharedReads, takeFrom } from '../../src/proxy/shared-read.ts';
import { DataPlane } from '../support/data-plane.ts';
import { data, flags, headers, preface, settings } from '../support/http2/frames.ts';
import { block } from '../support/http2/hpack.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { getRequest, Peer } from '../support/peers.ts';
import { route } from '../support/rules.ts';
import { socketPair } from '../support/socket-pair.ts';

/** The window of a stream, all of which is used, so that everything may come at once. */
const streamBytes = 131_072;
const head = block(requestFields('turns.test', '/', [], 'POST'));

/** Counts the content of uploads. */
class Uploads implements LinkUser {
  bytes = 0;
  onRequest(stream: Parameters<LinkUser['onRequest']>[0]): void {
    stream.user = {
      onStreamContent: (content) => {
        this.bytes += content.length;
      },
      onStreamHead: ignore,
      onStreamTrailers: ignore,
      onStreamMoved: ignore,
      onStreamWritable: ignore,
      onStreamReset: ignore,
      onStreamOver: ignore,
    };
  }
  onPeerSettings(): void {}
  onStreamsOver(): void {}
  onGoAway(): void {}
  onPong(): void {}
  onTaken(): void {}
  onLinkFailed(code: number): void {
    throw new Error(`the connection failed: ${code}`);
  }
}

function ignore(): void {}

/** Reads from a socket until all has come; answers the most reads in one turn. */
async function mostReads(socket: Socket, take: (bytes: Buffer) => void, isWhole: () => boolean): Promise<number> {
  let most = 0;
  let inTurn = 0;
  const taker = (bytes: Buffer): boolean => {
    inTurn++;
    take(bytes);
    return true;
  };
  takeFrom(socket, taker, taker);
  socket.resume();
  while (!isWhole()) {
    await new Promise((turned) => setImmediate(turned));
    most = Math.max(most, inTurn);
    inTurn = 0;
  }
  return most;
}

test.each([
  { title: 'frames of one byte', frameBytes: 1, streams: 1, isOneByOne: true },
  // What makes the case above mean something: there was more to read.
  { title: 'frames as large as they may be', frameBytes: 16_384, streams: 7, isOneByOne: false },
])('reads of HTTP/2 in one turn: $title', async ({ frameBytes, streams, isOneByOne }) => {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<Socket>((came) => acceptSharedReads(server, came));
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
  const socket = await accepted;
  server.close();
  const uploads = new Uploads();
  const limits = { maxHeadBytes: 65_536, maxStreams: 100 };
  const link = new Http2Link('server', socket, uploads, createFieldReaders(65_536), limits, () => performance.now());
  const most = mostReads(
    socket,
    (bytes) => link.take(bytes),
    () => uploads.bytes === streams * streamBytes,
  );
  const ids = Array.from({ length: streams }, (_, i) => 2 * i + 1);
  const piece = Buffer.alloc(frameBytes, 'x');
  const frames = ids.flatMap((id) => Array.from({ length: streamBytes / frameBytes }, () => data(id, piece)));
  const heads = ids.map((id) => headers(id, head, flags.endHeaders));
  client.write(Buffer.concat([preface, settings(), ...heads, ...frames]));
  if (isOneByOne) expect(await most).toBe(1);
  else expect(await most).toBeGreaterThan(1);
  client.destroy();
  socket.destroy();
});

test.each([
  // 256 records, and the rest of the 64 kB that they came in.
  { title: 'small', recordBytes: 512, atLeast: 100, atMost: 400 },
  // Half a megabyte, likewise.
  { title: 'as large as they may be', recordBytes: 16_384, atLeast: 5, atMost: 36 },
])('records of TLS in one turn: $title', async ({ recordBytes, atLeast, atMost }) => {
  const [client, socket] = await socketPair(true);
  (client as TLSSocket).setMaxSendFragment(recordBytes);
  const sent = Buffer.alloc(4_194_304, 'x');
  let came = 0;
  const most = mostReads(
    socket,
    (bytes) => {
      came += bytes.length;
    },
    () => came === sent.length,
  );
  client.write(sent);
  expect(await most).toBeGreaterThan(atLeast);
  expect(await most).toBeLessThan(atMost);
  client.destroy();
  socket.destroy();
});

/** Turns of the event loop until something has come. */
async function turnsUntil(came: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  void came.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await new Promise((turned) => setImmediate(turned));
    turns++;
  }
  await came;
  return turns;
}

const requests = 1_000;
const redirected = route({ host: 'r.test', termination: 'edge', insecurePolicy: 'Redirect' });

test('pipelined requests that the router answers: all in order, 64 in one turn, also for a client that has ended its half', async () => {
  await using plane = await DataPlane.start(redirected);
  using client = await Peer.connect(plane.httpPort);
  client.socket.end(Array.from({ length: requests }, (_, i) => getRequest('r.test', `/${i}`)).join(''));
  expect(await turnsUntil(client.ended)).toBeGreaterThan(requests / 64);
  expect(client.end).toBe('fin');
  const paths = [...client.text.matchAll(/\r\nLocation: https:\/\/r\.test[^/]*\/(\d+)\r\n/g)].map(([, path]) => path);
  expect(paths).toEqual(Array.from({ length: requests }, (_, i) => String(i)));
});

test('requests over HTTP/2 that the router answers: all, a hundred in one turn', async () => {
  await using plane = await DataPlane.start(redirected);
  using client = await RawClient.connect(plane.httpPort);
  const streams = Array.from({ length: requests }, () => client.newStream());
  const fields = block(requestFields('r.test'));
  const bothEnds = flags.endHeaders | flags.endStream;
  client.write(...streams.map((stream) => headers(stream, fields, bothEnds)));
  const outcomes = Promise.all(streams.map((stream) => client.outcome(stream)));
  expect(await turnsUntil(outcomes)).toBeGreaterThan(requests / 103);
  expect(new Set(await outcomes)).toEqual(new Set(['status 302']));
});
