// Compressed answers: what clients get when they ask for them, from every kind of pod; what is left alone; and that coders end
// with their answers, however these end.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import { brotliDecompressSync, createGunzip, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { CompressionSettings } from '../../src/proxy/compression.ts';
import { DataPlane } from '../support/data-plane.ts';
import { content, hashOf, host, Pair, type Pairing, pairings, promise } from '../support/http2-peers/pairings.ts';
import { WebClient } from '../support/http2-peers/web-client.ts';
import type { Handler } from '../support/http2-peers/web-pod.ts';
import { type Message, valuesOf } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod, untilStill } from '../support/peers.ts';
import { type RouteWish, route } from '../support/rules.ts';

const compression: CompressionSettings = {
  compressionTypes: ['text/html', 'text/plain'],
  compressionAlgorithms: ['gzip'],
};
const gzip: OutgoingHttpHeaders = { 'accept-encoding': 'gzip' };
const megabyte = 1 << 20;

/** Letters that a coder makes two thirds of. */
function letters(length: number): Buffer {
  const bytes = content(length);
  for (let i = 0; i < length; i++) bytes[i] = 0x60 | ((bytes[i] ?? 0) & 0x1f);
  return bytes;
}

/** All that comes, decompressed. */
async function gunzipped(body: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of body.pipe(createGunzip())) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Resolves when so much has come out of it. */
async function untilText(stream: Transform, wanted: string): Promise<void> {
  let text = '';
  while (text.length < wanted.length) text += (await once(stream, 'data')).toString();
  expect(text).toBe(wanted);
}

const quick: readonly Pairing[] = pairings.filter(
  ({ client, pod }) => !client.endsWith('TLS') && !pod.endsWith('TLS') && client !== 'h2' && pod !== 'h2',
);

describe.each(pairings)('$client to $pod', (pairing) => {
  test('bodies of all sizes, of known and unknown lengths', async () => {
    const sizes = [20, 1000, 16_385, 65_536, 65_537, 400_000];
    const bodies = new Map(sizes.map((size) => [size, letters(size)]));
    const handler: Handler = (request, response) => {
      const [size = '', query] = (request.url ?? '').slice(1).split('?');
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.setHeader('etag', '"abc"');
      if (query !== 'unknown') response.setHeader('content-length', size);
      response.end(bodies.get(Number(size)));
    };
    await using pair = await Pair.start(pairing, handler, { compression });
    for (const size of sizes) {
      for (const known of ['', '?unknown']) {
        const answer = await pair.client.ask({ path: `/${size}${known}`, fields: gzip }).answer;
        expect(answer.fields).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding', etag: 'W/"abc"' });
        expect(answer.fields['content-length']).toBeUndefined();
        expect(hashOf(await gunzipped(answer.body)), `${size}${known}`).toBe(hashOf(bodies.get(size) ?? Buffer.of()));
      }
    }
    // All of them over one connection, and both sides can be trusted with the next request.
    expect(pair.plane.sessions).toBe(1);
    expect(pair.pod.connections).toBe(1);
    expect(pair.plane.metric('headgate_compressions_total', 'gzip')).toBe(sizes.length * 2);
  });

  test('what a pod says piece by piece arrives piece by piece, and its trailers behind it', async () => {
    const heard = [promise(), promise(), promise()];
    const handler: Handler = async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-sum' });
      for (const [i, { kept }] of heard.entries()) {
        response.write(`piece ${i}`);
        await kept;
      }
      response.addTrailers({ 'x-sum': '42' });
      response.end();
    };
    await using pair = await Pair.start(pairing, handler, { compression });
    const answer = await pair.client.ask({ fields: gzip }).answer;
    const plain = answer.body.pipe(createGunzip());
    for (const [i, { keep }] of heard.entries()) {
      await untilText(plain, `piece ${i}`);
      keep();
    }
    plain.resume();
    const { complete, trailers } = await answer.whole();
    expect([complete, trailers['x-sum']]).toEqual([true, '42']);
  });
});

test.each<readonly [accepted: string, coding: string, decompress: (coded: Buffer) => Buffer]>([
  ['gzip, br, zstd', 'br', brotliDecompressSync],
  ['gzip, zstd;q=1', 'zstd', zstdDecompressSync],
  ['gzip, br;q=0.9', 'gzip', gunzipSync],
])('Accept-Encoding %j is answered in %s, at once and piece by piece', async (accepted, coding, decompress) => {
  const body = letters(50_000);
  const handler: Handler = (request, response) => {
    response.setHeader('content-type', 'text/html');
    if (request.url === '/whole') response.setHeader('content-length', body.length);
    response.write(body.subarray(0, 20_000));
    if (request.url === '/whole') response.end(body.subarray(20_000));
    else setImmediate(() => response.end(body.subarray(20_000)));
  };
  const settings: CompressionSettings = { ...compression, compressionAlgorithms: ['br', 'zstd', 'gzip'] };
  for (const pairing of quick) {
    await using pair = await Pair.start(pairing, handler, { compression: settings });
    for (const path of ['/whole', '/pieces']) {
      const answer = await pair.client.ask({ path, fields: { 'accept-encoding': accepted } }).answer;
      expect(answer.fields['content-encoding']).toBe(coding);
      const pieces: Buffer[] = [];
      for await (const piece of answer.body) pieces.push(piece);
      expect(decompress(Buffer.concat(pieces)).equals(body)).toBe(true);
    }
  }
});

describe('HTTP/1.1, byte for byte', () => {
  const page = 'x'.repeat(100);
  const html = 'Content-Type: text/html\r\n';
  const accepts = 'Accept-Encoding: gzip\r\n';
  const plainLength = 'Content-Length: 100';
  const coded = 'Content-Encoding: gzip\nVary: Accept-Encoding\nTransfer-Encoding: chunked';

  /** What one request with these fields gets from a pod with this answer, and what the pod got. */
  async function exchange(
    answer: string,
    request: string,
    options: { readonly head?: boolean } = {},
    wish: Partial<RouteWish> = {},
  ): Promise<{ readonly message: Message; readonly seen: readonly Message[] }> {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(answer, seen));
    const given = { host: 'a.test', pods: [pod.port], forwarded: 'never', ...wish } as const;
    await using plane = await DataPlane.start(route(given), { compression });
    using client = await Peer.connect(plane.httpPort);
    await client.write(request);
    return { message: await client.message(options), seen };
  }

  const untouched: readonly (readonly [title: string, answer: string, request: string])[] = [
    ['another type', ok(page, 'Content-Type: image/png\r\n'), getRequest('a.test', '/', accepts)],
    ['no type', ok(page), getRequest('a.test', '/', accepts)],
    ['a few bytes', ok('x'.repeat(19), html), getRequest('a.test', '/', accepts)],
    ['coded by the pod', ok(page, `${html}Content-Encoding: br\r\n`), getRequest('a.test', '/', accepts)],
    ['no-transform', ok(page, `${html}Cache-Control: no-transform\r\n`), getRequest('a.test', '/', accepts)],
    ['events', ok(page, 'Content-Type: text/event-stream\r\n'), getRequest('a.test', '/', accepts)],
    [
      'a part',
      ok(page, `${html}Content-Range: bytes 0-99/1000\r\n`).replace('200 OK', '206 Partial Content'),
      getRequest('a.test', '/', `${accepts}Range: bytes=0-99\r\n`),
    ],
    ['304', `HTTP/1.1 304 Not Modified\r\n${html}ETag: "1"\r\n\r\n`, getRequest('a.test', '/', accepts)],
    ['varied already', ok(page, `${html}Vary: accept-encoding\r\n`), getRequest('a.test')],
  ];

  test.each(untouched)('%s goes on as it is', async (_title, answer, request) => {
    const { message, seen } = await exchange(answer, request);
    expect(message.text).toBe(answer);
    expect(seen[0]?.text).toBe(request);
  });

  const merelyVaried: readonly (readonly [title: string, request: string, method: 'GET' | 'HEAD'])[] = [
    ['who does not ask', getRequest('a.test'), 'GET'],
    ['who refuses', getRequest('a.test', '/', 'Accept-Encoding: gzip;q=0, br\r\n'), 'GET'],
    ['who wants nothing changed', getRequest('a.test', '/', `${accepts}Cache-Control: no-transform\r\n`), 'GET'],
    ['of HTTP/1.0', `GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n${accepts}\r\n`, 'GET'],
    ['who wants the head alone', getRequest('a.test', '/', accepts).replace('GET', 'HEAD'), 'HEAD'],
  ];

  test.each(merelyVaried)('a client %s learns that the answer varies', async (_title, request, method) => {
    const head = method === 'HEAD';
    const answer = ok(page, `${html}ETag: "1"\r\n`);
    const sent = head ? answer.slice(0, -page.length) : answer;
    const { message } = await exchange(sent, request, { head });
    expect(message.fields.filter((line) => line !== 'Connection: keep-alive')).toEqual([
      'Content-Type: text/html',
      'ETag: "1"',
      'Content-Length: 100',
      'Vary: Accept-Encoding',
    ]);
    expect(message.body.toString()).toBe(head ? '' : page);
  });

  test.each([
    ['W/"1"', ['ETag: W/"1"', 'Vary: Accept-Encoding']],
    ['"1"', ['ETag: "1"']],
  ])('a 304 for who has asked by %s names the content as the 200 did', async (tag, expected) => {
    const request = getRequest('a.test', '/', `${accepts}If-None-Match: ${tag}\r\n`);
    const { message } = await exchange('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n', request);
    expect(message.fields).toEqual(expected);
  });

  // As with HAProxy, whose filters come after its rules (observed 37).
  const acted: readonly (readonly [
    title: string,
    wish: readonly (readonly [name: string, value: string | null])[],
    lines: string,
    expected: readonly string[],
  ])[] = [
    [
      'a type that is compressed',
      [['Content-Type', 'text/html']],
      'Content-Type: a/b\r\n',
      ['Content-Type: text/html', coded],
    ],
    ['one that is not', [['Content-Type', 'a/b']], html, [plainLength, 'Content-Type: a/b']],
    ['no type', [['Content-Type', null]], html, [plainLength]],
    ['a coding', [['Content-Encoding', 'br']], html, ['Content-Type: text/html', plainLength, 'Content-Encoding: br']],
    ['no coding', [['Content-Encoding', null]], `${html}Content-Encoding: br\r\n`, ['Content-Type: text/html', coded]],
    [
      'that it shall not be changed',
      [['Cache-Control', 'no-transform']],
      html,
      ['Content-Type: text/html', plainLength, 'Cache-Control: no-transform'],
    ],
    [
      'a strong validator, and what it varies by',
      [
        ['ETag', '"2"'],
        ['Vary', 'Origin'],
      ],
      `${html}ETag: "1"\r\n`,
      ['Content-Type: text/html', 'Vary: Origin', coded.replace('\nT', '\nETag: W/"2"\nT')],
    ],
  ];

  test.each(acted)('an action that says %s is heard before the decision', async (_title, wish, lines, expected) => {
    const responseActions = wish.map(([name, value]) => ({ name, parts: value === null ? null : [value] }));
    const options = { responseActions, cookie: { name: 'c', attributes: 'path=/' } };
    const { message } = await exchange(ok(page, lines), getRequest('a.test', '/', accepts), {}, options);
    expect(message.fields.filter((line) => !line.startsWith('Set-Cookie: c=')).join('\n')).toBe(expected.join('\n'));
    const body = valuesOf(message, 'content-encoding').includes('gzip') ? gunzipSync(message.body) : message.body;
    expect(body.toString()).toBe(page);
    expect(valuesOf(message, 'set-cookie')).toHaveLength(1);
  });

  test('an answer that is compressed, and what the pod was asked', async () => {
    const request = getRequest('a.test', '/', 'Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n');
    const { message, seen } = await exchange(ok(page, `${html}X-A: 1\r\n`), request);
    expect(message.startLine).toBe('HTTP/1.1 200 OK');
    expect(message.fields).toEqual([
      'Content-Type: text/html',
      'X-A: 1',
      'Content-Encoding: gzip',
      'Vary: Accept-Encoding',
      'Transfer-Encoding: chunked',
    ]);
    expect(gunzipSync(message.body).toString()).toBe(page);
    expect(seen[0]?.text).toBe(request);
  });

  test('a body until the end of the connection: the client keeps its own', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(`HTTP/1.1 200 OK\r\n${html}\r\n`, page);
      await peer.write(page);
      peer.finish();
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), { compression });
    using client = await Peer.connect(plane.httpPort);
    for (let i = 0; i < 3; i++) {
      await client.write(getRequest('a.test', '/', accepts));
      expect(gunzipSync((await client.message()).body).toString()).toBe(page + page);
    }
    expect([plane.sessions, pod.connections.length]).toEqual([1, 3]);
  });

  test('a chunked body split at every byte', async () => {
    const answer = `HTTP/1.1 200 OK\r\n${html}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nX-T: v\r\n\r\n`;
    await using pod = await Pod.start(async (peer) => {
      for (;;) {
        const [, at = ''] = (await peer.message()).startLine.split(/[/ ]+/);
        await peer.writeApart(answer.slice(0, Number(at)), answer.slice(Number(at)));
      }
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), { compression });
    using client = await Peer.connect(plane.httpPort);
    for (let at = 1; at < answer.length; at++) {
      await client.write(getRequest('a.test', `/${at}`, accepts));
      const message = await client.message();
      expect(gunzipSync(message.body).toString(), `split at ${at}`).toBe('abc0123456789abcdef');
      expect(message.trailers, `split at ${at}`).toEqual(['X-T: v']);
    }
    expect(pod.connections).toHaveLength(1);
  });

  test('requests behind one another are answered in order', async () => {
    await using pod = await Pod.start(
      answering(({ startLine }) => ok(startLine.padEnd(startLine.includes('large') ? 100_000 : 30), html)),
    );
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), { compression });
    using client = await Peer.connect(plane.httpPort);
    const paths = ['/large', '/small', '/large', '/small', '/small'];
    await client.write(...paths.map((path) => getRequest('a.test', path, accepts)));
    for (const path of paths) {
      const message = await client.message();
      expect(valuesOf(message, 'content-encoding')).toEqual(['gzip']);
      expect(gunzipSync(message.body).toString()).toMatch(`GET ${path} `);
    }
    expect(pod.connections).toHaveLength(1);
  });

  test('a pod that says more than it announced is not asked again', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(ok(page, html), 'more');
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), { compression });
    using client = await Peer.connect(plane.httpPort);
    for (let i = 0; i < 2; i++) {
      await client.write(getRequest('a.test', '/', accepts));
      expect(gunzipSync((await client.message()).body).toString()).toBe(page);
    }
    expect(pod.connections).toHaveLength(2);
  });
});

describe.each(quick)('the end of an answer that is under way, $client to $pod', (pairing) => {
  /** Says something, and then tells that it has. */
  const talking =
    (started: () => void): Handler =>
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' });
      response.write(letters(200_000), started);
    };

  test('the client goes away', async () => {
    const started = promise();
    await using pair = await Pair.start(pairing, talking(started.keep), { compression });
    const asked = pair.client.ask({ fields: gzip });
    const answer = await asked.answer;
    await once(answer.body, 'readable');
    await started.kept;
    expect(pair.plane.metric('headgate_compressions')).toBe(1);
    asked.abort();
    if (pairing.client === 'HTTP/1.1') expect(await pair.plane.ended()).toBe('client-aborted');
    await untilStill(() => pair.plane.metric('headgate_compressions'));
    expect(pair.plane.metric('headgate_compressions')).toBe(0);
  });

  test.each(['reset', 'close'] as const)('the pod goes away (%s)', async (how) => {
    const started = promise();
    await using pair = await Pair.start(pairing, talking(started.keep), { compression });
    const answer = await pair.client.ask({ fields: gzip }).answer;
    await once(answer.body, 'readable');
    await started.kept;
    pair.pod[how]();
    expect((await answer.whole()).complete).toBe(false);
    await untilStill(() => pair.plane.metric('headgate_compressions'));
    expect(pair.plane.metric('headgate_compressions')).toBe(0);
  });
});

const alike = quick.filter(({ client, pod }) => (client === 'h2c') === (pod === 'h2c'));

test.each(alike)('50 MB for a client that reads slowly, $client to $pod: the pod waits', async (pairing) => {
  // Bytes that no coder makes less of.
  const total = 50 * megabyte;
  const piece = content(megabyte);
  let written = 0;
  const sent = createHash('sha1');
  const handler: Handler = async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    for (; written < total; written += piece.length) {
      sent.update(piece);
      if (!response.write(piece)) await once(response, 'drain');
    }
    response.end();
  };
  await using pair = await Pair.start(pairing, handler, { compression });
  const before = process.memoryUsage();
  const answer = await pair.client.ask({ fields: gzip }).answer;
  await untilStill(() => written);
  // Kernels and the peers' own streams hold some megabytes, the router a few buffers.
  expect(written).toBeLessThan(total / 2);
  expect(process.memoryUsage().external - before.external).toBeLessThan(24 * megabyte);
  const received = createHash('sha1');
  for await (const bytes of answer.body.pipe(createGunzip())) received.update(bytes);
  expect(received.digest('hex')).toBe(sent.digest('hex'));
});

test('with too many under way, answers go on as they are', async () => {
  const waiting: (() => void)[] = [];
  const handler: Handler = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.write('half of it');
    waiting.push(() => response.end(', all of it'));
  };
  const pairing: Pairing = { client: 'h2c', pod: 'HTTP/1.1' };
  await using pair = await Pair.start(pairing, handler, { compression, settings: { maxStreams: 300 } });
  await using other = await WebClient.connect('h2c', pair.plane, host);
  const asked = Array.from({ length: 256 }, () => pair.client.ask({ fields: gzip }));
  await Promise.all(asked.map(({ answer }) => answer));
  const late = await other.ask({ fields: gzip }).answer;
  expect([late.fields['content-encoding'], late.fields['vary']]).toEqual([undefined, 'Accept-Encoding']);
  expect(pair.plane.metric('headgate_compressions')).toBe(256);
  expect(pair.plane.metric('headgate_compressions_total', 'limit')).toBe(1);
  for (const end of waiting) end();
  expect((await late.whole()).text).toBe('half of it, all of it');
  for (const { answer } of asked) {
    expect((await gunzipped((await answer).body)).toString()).toBe('half of it, all of it');
  }
});
