// The tools of these attacks against a third side that is right: what they read and write is HTTP/2 as nghttp2 (node:http2)
// understands it, so that what they find is not their own mistake.

import { connect, createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { flags, settingIds } from '../support/http2/frames.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { valuesIn } from '../support/http2/raw-peer.ts';
import { answeringHttp2, RawPod } from '../support/http2/raw-pod.ts';

/** A server that answers with what `x-say` says, as a field and as the body. */
async function echoServer(): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream: ServerHttp2Stream, head) => {
    const said = String(head['x-say']);
    stream.respond({ ':status': 200, 'x-said': said });
    stream.end(said);
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const stop = async (): Promise<void> => {
    for (const session of sessions) session.destroy();
    await new Promise<void>((closed) => {
      server.close(() => closed());
    });
  };
  return { port: (server.address() as AddressInfo).port, stop };
}

test('the raw client reads whatever nghttp2 writes: Huffman, kept entries, a table that shrinks', async () => {
  const server = await echoServer();
  using client = await RawClient.connect(server.port);
  await client.settled();
  const visible = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)) });
  const sizes = fc.option(fc.constantFrom(0, 100, 4_096), { freq: 5 });
  await fc.assert(
    fc.asyncProperty(visible, sizes, async (text, size) => {
      if (size !== null) client.limitTable(size);
      const stream = client.request(requestFields('echo.test', '/', [['x-say', text]]));
      expect(await client.outcome(stream)).toBe('status 200');
      const { heads, body } = client.stream(stream);
      expect(valuesIn(heads[0], 'x-said')).toEqual([text]);
      expect(body).toBe(text);
    }),
    { numRuns: 300 },
  );
  expect(client.problem).toBeNull();
  await server.stop();
});

test('the raw client knows the windows of the other side, and keeps to them with padding', async () => {
  const server = createServer({ settings: { initialWindowSize: 1_000 } });
  let came = 0;
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200 });
    stream.on('data', (piece: Buffer) => {
      came += piece.length;
    });
    stream.on('end', () => stream.end());
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const client = await RawClient.connect((server.address() as AddressInfo).port);
  await client.settled();
  expect(client.theirSetting(settingIds.initialWindowSize)).toBe(1_000);
  const stream = client.request(requestFields('upload.test', '/', [], 'POST'), flags.endHeaders);
  for (let sent = 0; sent < 20_000; sent += 100) {
    await client.until(() => client.window(stream) >= 150);
    client.writeData(stream, Buffer.alloc(100), 0, 49);
  }
  client.writeData(stream, Buffer.alloc(0), flags.endStream);
  expect(await client.outcome(stream), client.story).toBe('status 200');
  expect(came).toBe(20_000);
  client[Symbol.dispose]();
  await new Promise<void>((closed) => {
    server.close(() => closed());
  });
});

test('nghttp2 is answered by the raw pod', async () => {
  const seen: (readonly [string, string])[][] = [];
  await using pod = await RawPod.start(answeringHttp2('from the pod', seen));
  const session = connect(`http://127.0.0.1:${pod.port}`);
  const text = await new Promise<string>((done, failed) => {
    session.on('error', failed);
    const stream = session.request({ ':path': '/here', 'x-long': 'a'.repeat(20_000) });
    let body = '';
    stream.setEncoding('latin1').on('data', (piece: string) => {
      body += piece;
    });
    stream.on('end', () => done(body));
  });
  expect(text).toBe('from the pod');
  expect(valuesIn(seen[0], ':path')).toEqual(['/here']);
  expect(valuesIn(seen[0], 'x-long')).toEqual(['a'.repeat(20_000)]);
  session.close();
});
