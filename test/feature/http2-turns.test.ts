// A connection that cuts its frames small gets no more than one read of them between two turns of the event loop: others
// would wait for a hundred thousand frames (RFC 9113 section 10.5).

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createFieldReaders, Http2Link, type LinkUser } from '../../src/proxy/http2/link.ts';
import { acceptSharedReads, takeFrom } from '../../src/proxy/shared-read.ts';
import { data, flags, headers, preface, settings } from '../support/http2/frames.ts';
import { block } from '../support/http2/hpack.ts';
import { requestFields } from '../support/http2/raw-client.ts';

/** How much of a window is used, so that everything may come at once. */
const streamBytes = 131_072;
const head = block(requestFields('turns.test', '/', [], 'POST'));

/** Takes the content of uploads, and counts it. */
class Taking implements LinkUser {
  bytes = 0;
  onRequest(stream: Parameters<LinkUser['onRequest']>[0]): void {
    stream.user = {
      onStreamContent: (content) => {
        this.bytes += content.length;
      },
      onStreamHead: nothing,
      onStreamTrailers: nothing,
      onStreamMoved: nothing,
      onStreamWritable: nothing,
      onStreamReset: nothing,
      onStreamOver: nothing,
    };
  }
  onPeerSettings(): void {}
  onStreamsOver(): void {}
  onGoAway(): void {}
  onPong(): void {}
  onLinkFailed(code: number): void {
    throw new Error(`the connection failed: ${code}`);
  }
}

function nothing(): void {}

test.each([
  { title: 'frames of one byte', frameBytes: 1, streams: 1, isOneByOne: true },
  // What makes the case above mean something: there was more to read.
  { title: 'frames as large as they may be', frameBytes: 16_384, streams: 7, isOneByOne: false },
])('reads in one turn: $title', async ({ frameBytes, streams, isOneByOne }) => {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<Socket>((came) => acceptSharedReads(server, came));
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', noDelay: true });
  const socket = await accepted;
  server.close();
  const user = new Taking();
  const limits = { maxHeadBytes: 65_536, maxStreams: 100 };
  const link = new Http2Link('server', socket, user, createFieldReaders(65_536), limits, () => performance.now());
  let readsInTurn = 0;
  let mostReads = 0;
  const ids = Array.from({ length: streams }, (_, i) => 2 * i + 1);
  const whole = new Promise<void>((came) => {
    const take = (bytes: Buffer): boolean => {
      if (readsInTurn++ === 0) {
        setImmediate(() => {
          mostReads = Math.max(mostReads, readsInTurn);
          readsInTurn = 0;
          if (user.bytes === streams * streamBytes) came();
        });
      }
      link.take(bytes);
      return true;
    };
    takeFrom(socket, take, take);
  });
  socket.resume();
  const piece = Buffer.alloc(frameBytes, 'x');
  const frames = ids.flatMap((id) => Array.from({ length: streamBytes / frameBytes }, () => data(id, piece)));
  client.write(
    Buffer.concat([preface, settings(), ...ids.map((id) => headers(id, head, flags.endHeaders)), ...frames]),
  );
  await whole;
  client.destroy();
  socket.destroy();
  if (isOneByOne) expect(mostReads).toBe(1);
  else expect(mostReads).toBeGreaterThan(1);
});
