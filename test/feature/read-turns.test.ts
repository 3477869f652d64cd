// A connection that cuts what it sends into small pieces has only so many of them taken between two turns of the event loop:
// others would wait for hundreds of thousands (RFC 9113 section 10.5; the same holds for records of TLS).

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { expect, test } from 'vitest';
import { createFieldReaders, Http2Link, type LinkUser } from '../../src/proxy/http2/link.ts';
import { acceptSharedReads, takeFrom } from '../../src/proxy/shared-read.ts';
import { makeCertificate } from '../support/certificates.ts';
import { data, flags, headers, preface, settings } from '../support/http2/frames.ts';
import { block } from '../support/http2/hpack.ts';
import { requestFields } from '../support/http2/raw-client.ts';

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
  onLinkFailed(code: number): void {
    throw new Error(`the connection failed: ${code}`);
  }
}

function ignore(): void {}

/** Reads from a socket until all has come; answers the most reads in one turn. `take` answers whether all has come. */
function mostReads(socket: Socket, take: (bytes: Buffer) => boolean): Promise<number> {
  return new Promise((done) => {
    let most = 0;
    let inTurn = 0;
    let isWhole = false;
    const taker = (bytes: Buffer): boolean => {
      if (inTurn++ === 0) {
        setImmediate(() => {
          most = Math.max(most, inTurn);
          inTurn = 0;
          if (isWhole) done(most);
        });
      }
      isWhole = take(bytes);
      return true;
    };
    takeFrom(socket, taker, taker);
    socket.resume();
  });
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
  const most = mostReads(socket, (bytes) => {
    link.take(bytes);
    return uploads.bytes === streams * streamBytes;
  });
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
  { title: 'as large as they may be', recordBytes: 16_384, atLeast: 5, atMost: 1_000 },
])('records of TLS in one turn: $title', async ({ recordBytes, atLeast, atMost }) => {
  const { certificate, key } = makeCertificate({ names: ['localhost'] });
  const server = createTlsServer({ cert: certificate, key });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  const [[socket]] = (await Promise.all([once(server, 'secureConnection'), once(client, 'secureConnect')])) as [
    [Socket],
    unknown,
  ];
  server.close();
  client.setMaxSendFragment(recordBytes);
  const sent = Buffer.alloc(4_194_304, 'x');
  let came = 0;
  const most = mostReads(socket, (bytes) => {
    came += bytes.length;
    return came === sent.length;
  });
  client.write(sent);
  expect(await most).toBeGreaterThan(atLeast);
  expect(await most).toBeLessThan(atMost);
  client.destroy();
  socket.destroy();
});
