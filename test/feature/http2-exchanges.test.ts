// What a request and its answer are on both sides, for every kind of client before every kind of pod: bodies, lengths, fields,
// trailers, interim responses, and answers that come too early.

import type { OutgoingHttpHeaders } from 'node:http';
import { describe, expect, test } from 'vitest';
import { DataPlane } from '../support/data-plane.ts';
import {
  content,
  hashOf,
  host,
  Pair,
  type Pairing,
  pairings,
  promise,
  receive,
} from '../support/http2-peers/pairings.ts';
import { WebClient } from '../support/http2-peers/web-client.ts';
import { type Handler, isHttp2, type PodKind, podKinds, WebPod } from '../support/http2-peers/web-pod.ts';
import { Peer } from '../support/peers.ts';

const megabyte = 1 << 20;

/** Small ones, ones that just fill a frame, and ones that need windows. */
const sizes = [0, 1, 16_384, 16_385, megabyte] as const;
const bodies: ReadonlyMap<number, { readonly bytes: Buffer; readonly hash: string }> = new Map(
  [...sizes, 20 * megabyte].map((size) => {
    const bytes = content(size);
    return [size, { bytes, hash: hashOf(bytes) }];
  }),
);

function bodyOf(size: number): { readonly bytes: Buffer; readonly hash: string } {
  return bodies.get(size) ?? { bytes: content(size), hash: '' };
}

/** Tells what came, in a field, and sends as many bytes as the path says: `/size`, or `/size?chunked`. */
const bothWays: Handler = async (request, response) => {
  const { length, hash, ended } = await receive(request);
  const [path = '', query] = (request.url ?? '').slice(1).split('?');
  const fields: OutgoingHttpHeaders = { 'x-got': `${request.method} ${length} ${hash} ${ended}` };
  if (query !== 'chunked') fields['content-length'] = path;
  response.writeHead(200, fields);
  response.end(bodyOf(Number(path)).bytes);
};

describe.each(pairings)('$client to $pod', (pairing) => {
  const isClientHttp2 = pairing.client === 'h2' || pairing.client === 'h2c';

  test('bodies of all sizes, of known and unknown lengths, both ways', async () => {
    await using pair = await Pair.start(pairing, bothWays);
    for (const size of sizes) {
      for (const known of ['', '?chunked']) {
        const { bytes, hash } = bodyOf(size);
        const fields: OutgoingHttpHeaders = known === '' ? { 'content-length': size } : {};
        const asked = pair.client.ask({ method: 'POST', path: `/${size}${known}`, body: 'open', fields });
        asked.out.end(bytes);
        const answer = await asked.answer;
        expect(answer.fields['x-got']).toBe(`POST ${size} ${hash} true`);
        expect(answer.fields['content-length']).toBe(known === '' ? String(size) : undefined);
        expect(await answer.whole()).toMatchObject({ length: size, hash, complete: true });
      }
    }
    // All of them over one connection.
    expect(pair.plane.sessions).toBe(1);
  });

  test('20 MB each way at once', async () => {
    const size = 20 * megabyte;
    const { bytes, hash } = bodyOf(size);
    await using pair = await Pair.start(pairing, (request, response) => {
      response.writeHead(200, { trailer: 'x-got' });
      const received = receive(request);
      response.write(bytes);
      void received.then((got) => {
        response.addTrailers({ 'x-got': got.hash });
        response.end();
      });
    });
    const asked = pair.client.ask({ method: 'PUT', body: bytes });
    const answer = await asked.answer;
    const { complete, hash: received, trailers } = await answer.whole();
    expect([received, complete, trailers['x-got']]).toEqual([hash, true, hash]);
  });

  test('requests without a body, and answers that have none', async () => {
    const seen: string[] = [];
    await using pair = await Pair.start(pairing, async (request, response) => {
      const { length } = await receive(request);
      seen.push(
        `${request.method} ${length} ${request.headers['content-length'] ?? request.headers['transfer-encoding'] ?? '-'}`,
      );
      const status = Number(request.url?.slice(1));
      response.writeHead(status, status === 200 || status === 304 ? { 'content-length': '5', etag: '"x"' } : {});
      if (status === 200 && request.method !== 'HEAD') response.write('12345');
      response.end();
    });
    const answers: string[] = [];
    for (const asked of ['GET /200', 'HEAD /200', 'GET /204', 'GET /304', 'HEAD /304', 'DELETE /204', 'POST /404']) {
      const [method = '', path = ''] = asked.split(' ');
      const answer = await pair.client.get({ method, path });
      // Of an answer without content, a length of nothing says as much as none.
      const length = answer.status === 404 ? '' : (answer.fields['content-length'] ?? '');
      answers.push(`${asked}: ${answer.status} ${length} ${answer.text} ${answer.complete}`);
    }
    expect(answers).toEqual([
      'GET /200: 200 5 12345 true',
      'HEAD /200: 200 5  true',
      'GET /204: 204   true',
      'GET /304: 304 5  true',
      'HEAD /304: 304 5  true',
      'DELETE /204: 204   true',
      'POST /404: 404   true',
    ]);
    for (const request of seen.filter((each) => !each.startsWith('POST'))) expect(request).toMatch(/ 0 -$/);
    expect(pair.plane.sessions).toBe(1);
  });

  test('many small writes, empty ones among them, arrive as they are sent', async () => {
    await using pair = await Pair.start(pairing, (request, response) => {
      response.writeHead(200);
      request.on('data', (piece: Buffer) => response.write(piece));
      request.on('end', () => response.end());
    });
    const asked = pair.client.ask({ method: 'POST', body: 'open' });
    asked.out.write('begin ');
    const answer = await asked.answer;
    let echoed = '';
    let wake = (): void => {};
    answer.body.on('data', (piece: Buffer) => {
      echoed += piece.toString('latin1');
      wake();
    });
    let sent = 'begin ';
    for (let i = 0; i < 200; i++) {
      const piece = i % 10 === 3 ? '' : `${i} `;
      asked.out.write(piece);
      sent += piece;
      // A round trip now and then: nothing may wait for more to come.
      if (i % 20 === 0) {
        while (echoed !== sent) {
          await new Promise<void>((woken) => {
            wake = woken;
          });
        }
      }
    }
    asked.out.end();
    const { complete } = await answer.whole();
    expect([echoed, complete]).toEqual([sent, true]);
  });

  test('trailers of the request and of the answer', async () => {
    await using pair = await Pair.start(pairing, async (request, response) => {
      const { text } = await receive(request);
      const { te } = request.headers;
      response.writeHead(200, { trailer: 'x-sum, x-other' });
      response.write(`${text} ${te ?? '-'} ${JSON.stringify(request.trailers)}`);
      response.addTrailers({ 'x-sum': 'abc', 'x-other': '1', authorization: 'never' });
      response.end();
    });
    const fields = { te: 'trailers', ...(isClientHttp2 ? {} : { connection: 'te' }) };
    const trailers = { 'x-check': 'q', 'set-cookie': 'never' };
    const answer = await pair.client.get({ method: 'POST', body: 'hello', fields, trailers });
    expect(answer.text).toBe('hello trailers {"x-check":"q"}');
    expect(Object.entries(answer.trailers)).toEqual(Object.entries({ 'x-sum': 'abc', 'x-other': '1' }));
    expect(answer.complete).toBe(true);
  });

  test('trailers behind no content', async () => {
    await using pair = await Pair.start(pairing, async (request, response) => {
      const { length } = await receive(request);
      response.writeHead(200, { 'x-got': `${length} ${JSON.stringify(request.trailers)}` });
      response.flushHeaders();
      response.addTrailers({ 'x-sum': 'abc' });
      response.end();
    });
    const answer = await pair.client.get({ method: 'POST', trailers: { 'x-check': 'q' } });
    expect(answer.fields['x-got']).toBe('0 {"x-check":"q"}');
    expect(answer).toMatchObject({ length: 0, complete: true });
    expect(answer.trailers['x-sum']).toBe('abc');
  });

  test('Expect: 100-continue goes round before the body is sent', async () => {
    await using pod = await WebPod.start(pairing.pod, () => {});
    let isAsked = false;
    pod.server.on('checkContinue', (request, response) => {
      isAsked = true;
      response.writeContinue();
      void receive(request).then(({ text }) => response.end(`got ${text}`));
    });
    await using plane = await DataPlane.start(pod.changes(host));
    await using client = await WebClient.connect(pairing.client, plane, host);
    const asked = client.ask({
      method: 'POST',
      body: 'open',
      fields: { expect: '100-continue', 'content-length': '4' },
    });
    const continued = new Promise<void>((done) => asked.out.once('continue', done));
    if ('flushHeaders' in asked.out && typeof asked.out.flushHeaders === 'function') asked.out.flushHeaders();
    await continued;
    expect(isAsked).toBe(true);
    asked.out.end('body');
    expect((await (await asked.answer).whole()).text).toBe('got body');
  });

  test('early hints come before the answer, each with its fields', async () => {
    const hinted = promise();
    await using pair = await Pair.start(pairing, (_request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' });
      void hinted.kept.then(() => response.end('hello'));
    });
    const asked = pair.client.ask();
    await new Promise<void>((done) => asked.out.once(pair.client.isHttp2 ? 'headers' : 'information', () => done()));
    hinted.keep();
    expect((await (await asked.answer).whole()).text).toBe('hello');
    expect(asked.interims).toHaveLength(1);
    expect(asked.interims[0]).toMatchObject({ status: 103, fields: { link: '</a.css>; rel=preload' } });
  });

  test('cookies are one line, set-cookies are many, and Host is what was asked for', async () => {
    await using pair = await Pair.start(pairing, (request, response) => {
      const { host: name, ':authority': authority, cookie, 'x-forwarded-host': forwarded } = request.headers;
      const lines = request.rawHeaders.filter((each, i) => i % 2 === 0 && each.toLowerCase() === 'cookie').length;
      response.setHeader('set-cookie', ['a=1; Path=/', 'b=2', 'c=3']);
      response.end(JSON.stringify([authority ?? name, cookie, forwarded, isHttp2(pairing.pod) ? 1 : lines]));
    });
    // Node's HTTP/2 client sends an array as crumbs, a line each.
    const crumbs = ['a=1', 'b=2; c=3', 'd=4'];
    const cookie = isClientHttp2 ? crumbs : crumbs.join('; ');
    const answer = await pair.client.get({ fields: { cookie, host: 'A.Test:8080' } });
    expect(JSON.parse(answer.text)).toEqual([
      expect.stringMatching(/^a\.test:8080$/),
      'a=1; b=2; c=3; d=4',
      expect.anything(),
      1,
    ]);
    expect(answer.fields['set-cookie']).toEqual(['a=1; Path=/', 'b=2', 'c=3']);
  });

  test('no field of one connection goes to the other', async () => {
    await using pair = await Pair.start(pairing, (request, response) => {
      response.setHeader(
        'x-names',
        request.rawHeaders
          .filter((_, i) => i % 2 === 0)
          .join(' ')
          .toLowerCase(),
      );
      if (!isHttp2(pairing.pod)) {
        response.setHeader('connection', 'x-hop');
        response.setHeader('x-hop', 'never');
        response.setHeader('keep-alive', 'timeout=60');
      }
      response.end('hello');
    });
    const fields: OutgoingHttpHeaders = isClientHttp2
      ? {}
      : { connection: 'x-hop, keep-alive', 'x-hop': 'never', 'proxy-connection': 'x' };
    const answer = await pair.client.get({ fields });
    expect(answer.text).toBe('hello');
    expect(answer.fields['x-names']).not.toMatch(/x-hop|proxy-connection|keep-alive|http2-settings/);
    expect(Object.keys(answer.fields)).not.toContain('x-hop');
    if (isClientHttp2) expect(Object.keys(answer.fields)).not.toContain('connection');
  });

  test('heads as large and as long as may be, both ways', async () => {
    // More than a frame, and less than 24,576 bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts.
    const large = 'v'.repeat(20_000);
    const many = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`x-${i}`, `${i}`]));
    await using pair = await Pair.start(
      pairing,
      (request, response) => {
        if (request.url === '/many') {
          for (const [name, value] of Object.entries(many)) response.setHeader(name, value);
          const names = Object.keys(request.headers).filter((name) => /^x-\d+$/.test(name));
          response.end(`${names.length}`);
        } else {
          response.setHeader('x-large', `${request.headers['x-large']}`);
          response.end();
        }
      },
      { pod: { maxHeaderListPairs: 200 }, client: { maxHeaderListPairs: 200 } },
    );
    const largest = await pair.client.get({ fields: { 'x-large': large } });
    expect(largest.fields['x-large']).toBe(large);
    const most = await pair.client.get({ path: '/many', fields: many });
    expect(most.text).toBe('80');
    expect(Object.keys(most.fields).filter((name) => name in many)).toHaveLength(80);
  });

  test.each([
    ['too large', { 'x-large': 'v'.repeat(30_000) }],
    ['too many', Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-${i}`, `${i}`]))],
  ])('heads that are %s: 431 to the client, 502 for the pod', async (_name, fields) => {
    let requests = 0;
    await using pair = await Pair.start(pairing, (request, response) => {
      requests++;
      if (request.url === '/bad') response.writeHead(200, fields);
      response.end('hello');
    });
    expect((await pair.client.get({ fields })).status).toBe(431);
    expect(requests).toBe(0);
    const bad = await pair.client.get({ path: '/bad' });
    expect([bad.status, bad.text.includes('bad-response')]).toEqual([502, true]);
    // One bad message harms no other.
    expect((await pair.client.get()).text).toBe('hello');
  });

  test('an answer before the upload has come, and what becomes of the connection', async () => {
    const letGo = promise();
    await using pair = await Pair.start(pairing, (request, response) => {
      if (request.method === 'GET') {
        response.end('next');
        return;
      }
      void receive(request);
      // Node tells a pod of HTTP/1.1 nothing of a request that it has answered.
      if (isHttp2(pairing.pod)) request.on('close', () => letGo.keep());
      else request.socket.on('close', () => letGo.keep());
      response.writeHead(413);
      response.end('too much');
    });
    const asked = pair.client.ask({ method: 'POST', body: 'open', fields: { 'content-length': `${20 * megabyte}` } });
    asked.out.write(content(200_000));
    const answer = await asked.answer;
    expect(answer.status).toBe(413);
    const whole = await Promise.race([
      answer.whole(),
      new Promise((done) => answer.body.once('end', () => done('ended'))),
    ]);
    expect(whole).toBeDefined();
    if (!isClientHttp2) expect(answer.fields.connection).toBe('close');
    asked.abort();
    await letGo.kept;
    const next = isClientHttp2 ? pair.client : await WebClient.connect(pairing.client, pair.plane, host);
    expect((await next.get()).text).toBe('next');
    await next[Symbol.asyncDispose]();
    // HTTP/2 closes a stream where HTTP/1.1 has to close the connection.
    if (!isClientHttp2) expect(await pair.plane.ended()).toBe('answered-and-closed');
  });

  test('an answer that has begun goes on while the upload does', async () => {
    await using pair = await Pair.start(pairing, (request, response) => {
      response.writeHead(200);
      response.write('begun ');
      void receive(request).then(({ length }) => response.end(`${length}`));
    });
    const asked = pair.client.ask({ method: 'POST', body: 'open' });
    asked.out.write('x');
    const answer = await asked.answer;
    const whole = answer.whole();
    asked.out.end(content(300_000));
    expect(await whole).toMatchObject({ text: 'begun 300001', complete: true });
  });
});

describe.each(podKinds)('HTTP/1.0 clients before %s', (pod: PodKind) => {
  const pairing: Pairing = { client: 'HTTP/1.1', pod };

  test.each(['', 'Connection: keep-alive\r\n'])(
    'get no chunks, no interim responses, no trailers (%j)',
    async (field) => {
      const { bytes } = bodyOf(megabyte);
      await using pair = await Pair.start(pairing, (_request, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' });
        response.writeHead(200, { trailer: 'x-sum' });
        response.write(bytes);
        response.addTrailers({ 'x-sum': 'abc' });
        response.end();
      });
      using client = await Peer.connect(pair.plane.httpPort);
      await client.write(`GET / HTTP/1.0\r\nHost: ${host}\r\n${field}\r\n`);
      expect(await client.ended).toBe('fin');
      const answer = await client.message();
      expect(answer.status).toBe(200);
      expect(answer.fields.filter((each) => /^(transfer-encoding|content-length|x-sum)/i.test(each))).toEqual([]);
      expect(answer.body.equals(bytes)).toBe(true);
    },
  );

  test('keep their connection where the length is known', async () => {
    await using pair = await Pair.start(pairing, async (request, response) => {
      const { text } = await receive(request);
      response.writeHead(200, { 'content-length': '3' });
      response.end(request.method === 'POST' ? text : 'abc');
    });
    using client = await Peer.connect(pair.plane.httpPort);
    const head = `HTTP/1.0\r\nHost: ${host}\r\nConnection: keep-alive\r\n`;
    await client.write(`GET / ${head}\r\n`);
    expect((await client.message()).body.toString()).toBe('abc');
    await client.write(`POST / ${head}Content-Length: 3\r\n\r\nx`, 'yz');
    const second = await client.message();
    expect(second.body.toString()).toBe('xyz');
    expect(second.fields).toContain('Connection: keep-alive');
  });
});

describe.each(podKinds)('answers without an end of their own from %s', (pod: PodKind) => {
  test.each(pairings.filter((each) => each.pod === pod).map((each) => each.client))(
    'to %s: end where the pod ends',
    async (client) => {
      await using pair = await Pair.start({ client, pod }, (_request, response) => {
        if (!isHttp2(pod)) {
          // Until the end of the connection.
          response.setHeader('connection', 'close');
          response.removeHeader('transfer-encoding');
          response.useChunkedEncodingByDefault = false;
        }
        response.writeHead(200);
        response.write('first ');
        setImmediate(() => response.end('second'));
      });
      const answer = await pair.client.get();
      expect([answer.text, answer.complete]).toEqual(['first second', true]);
      expect(answer.fields['content-length']).toBeUndefined();
      expect((await pair.client.get()).text).toBe('first second');
    },
  );
});
