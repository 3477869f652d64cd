// What a pod sees of a request, byte for byte, and what a client sees of the answer's head.

import { describe, expect, test } from 'vitest';
import type { ForwardedPolicy } from '../../src/table/entries.ts';
import { DataPlane } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { route } from '../support/rules.ts';

/** What `append` adds for a request over the plain port. */
function added(host: string, scheme: 'http' | 'https' = 'http'): string {
  const port = scheme === 'http' ? 28_080 : 28_443;
  return (
    `X-Forwarded-Host: ${host}\r\nX-Forwarded-Port: ${port}\r\nX-Forwarded-Proto: ${scheme}\r\n` +
    `Forwarded: for=127.0.0.1;host=${host};proto=${scheme}\r\nX-Forwarded-For: 127.0.0.1\r\n`
  );
}

type Seen = { readonly request: string; readonly answer: Message };

/** Sends one request to a Route with policy `never`, so that only its own bytes count, and answers what the pod got. */
async function forward(request: string, answer = ok('hello')): Promise<Seen> {
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(answer, seen));
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], forwarded: 'never' }));
  using client = await Peer.connect(plane.httpPort);
  await client.write(request);
  const message = await client.message({ head: request.startsWith('HEAD') });
  return { request: seen[0]?.text ?? '', answer: message };
}

test.each([
  ['none', 'http'],
  ['edge', 'https'],
] as const)('a request over a Route with termination %s, as the pod gets it', async (termination, scheme) => {
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(ok('hello', 'X-Pod: 1\r\n'), seen));
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], termination }));
  using client =
    scheme === 'http'
      ? await Peer.connect(plane.httpPort)
      : await Peer.connectTls(plane.httpsPort, { servername: 'a.test' });
  await client.write('POST /p/../x?q=%20 HTTP/1.1\r\nHost: a.test\r\nX-a:  b \r\nContent-Length: 3\r\n\r\nabc');
  expect((await client.message()).text).toBe(ok('hello', 'X-Pod: 1\r\n'));
  expect(seen.map((message) => message.text)).toEqual([
    `POST /p/../x?q=%20 HTTP/1.1\r\nHost: a.test\r\nX-a:  b \r\nContent-Length: 3\r\n${added('a.test', scheme)}\r\nabc`,
  ]);
});

describe('forwarding headers by policy (observed 5)', () => {
  const clientValues =
    'X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 10.2.2.2, 10.3.3.3\r\nX-Forwarded-Host: evil.test\r\n' +
    'X-Forwarded-Port: 1\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Proto-Version: h9\r\n' +
    'Forwarded: for=1.2.3.4;proto=gopher\r\n';
  const ours = added('f.test', 'https');

  test.each<[string, ForwardedPolicy, string, string]>([
    ['append, none sent', 'append', '', ours],
    ['append, client values', 'append', clientValues, clientValues + ours],
    ['replace, none sent', 'replace', '', ours],
    ['replace, client values', 'replace', clientValues, ours],
    ['if-none, none sent', 'if-none', '', ours],
    ['if-none, client values', 'if-none', clientValues, clientValues],
    [
      'if-none, one of them sent',
      'if-none',
      'X-Forwarded-Proto: gopher\r\n',
      `X-Forwarded-Proto: gopher\r\n${ours.replace('X-Forwarded-Proto: https\r\n', '')}`,
    ],
    ['never, none sent', 'never', '', ''],
    ['never, client values', 'never', clientValues, clientValues],
  ])('%s', async (_name, forwarded, sent, expected) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok(''), seen));
    await using plane = await DataPlane.start(
      route({ host: 'f.test', pods: [pod.port], termination: 'edge', forwarded }),
    );
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'f.test' });
    await client.write(getRequest('f.test', '/', sent));
    await client.message();
    expect(seen[0]?.text).toBe(`GET / HTTP/1.1\r\nHost: f.test\r\n${expected}\r\n`);
  });

  test('the address is that of the connection, the host as sent with its port', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok(''), seen));
    await using plane = await DataPlane.start(route({ host: 'f.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort, { localAddress: '127.0.0.77' });
    await client.write(getRequest('f.test:8080'));
    await client.message();
    expect(seen[0]?.fields).toEqual([
      'Host: f.test:8080',
      'X-Forwarded-Host: f.test:8080',
      'X-Forwarded-Port: 28080',
      'X-Forwarded-Proto: http',
      'Forwarded: for=127.0.0.77;host=f.test:8080;proto=http',
      'X-Forwarded-For: 127.0.0.77',
    ]);
  });
});

describe('requests that are written anew', () => {
  const host = 'Host: a.test\r\n';
  test.each<[string, string, string]>([
    ['Host in upper case', 'GET / HTTP/1.1\r\nHost: A.Test:80\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a.test:80\r\n\r\n'],
    ['trailing dot', 'GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a.test.\r\n\r\n'],
    ['absolute form', `GET http://a.test/p?q HTTP/1.1\r\n${host}\r\n`, `GET /p?q HTTP/1.1\r\n${host}\r\n`],
    ['absolute form without path', `GET HTTP://a.test HTTP/1.1\r\n${host}\r\n`, `GET / HTTP/1.1\r\n${host}\r\n`],
    ['absolute form, query only', `GET http://a.test?q HTTP/1.1\r\n${host}\r\n`, `GET /?q HTTP/1.1\r\n${host}\r\n`],
    ['OPTIONS absolute form', `OPTIONS http://a.test HTTP/1.1\r\n${host}\r\n`, `OPTIONS * HTTP/1.1\r\n${host}\r\n`],
    ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${host}\r\n`, `OPTIONS * HTTP/1.1\r\n${host}\r\n`],
    ['HTTP/1.0', `GET / HTTP/1.0\r\n${host}\r\n`, `GET / HTTP/1.1\r\n${host}\r\n`],
    ['one empty line in front', `\r\nGET / HTTP/1.1\r\n${host}\r\n`, `GET / HTTP/1.1\r\n${host}\r\n`],
    [
      'hop-by-hop fields',
      `GET / HTTP/1.1\r\n${host}Keep-Alive: timeout=5\r\nConnection: X-Drop, close\r\nX-Drop: 1\r\nX-Stay: 1\r\n` +
        'Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n\r\n',
      `GET / HTTP/1.1\r\n${host}X-Stay: 1\r\n\r\n`,
    ],
    [
      'TE: trailers',
      `GET / HTTP/1.1\r\n${host}TE: gzip, trailers\r\nConnection: TE\r\n\r\n`,
      `GET / HTTP/1.1\r\n${host}Connection: TE\r\nTE: trailers\r\n\r\n`,
    ],
    [
      'what only the router may say',
      `GET / HTTP/1.1\r\nProxy: x\r\n${host}X-SSL: 1\r\nX-SSL-Client-CN: root\r\nX-SSL-Client-Cert: kept\r\n\r\n`,
      `GET / HTTP/1.1\r\n${host}X-SSL-Client-Cert: kept\r\n\r\n`,
    ],
    [
      'what is nobody’s business',
      `TRACE / HTTP/1.1\r\n${host}Via: 1.1 x\r\nX_under: 1\r\nX-E:\r\nX-L: caf\xe9\r\nCookie: a\r\nCookie: b\r\n\r\n`,
      `TRACE / HTTP/1.1\r\n${host}Via: 1.1 x\r\nX_under: 1\r\nX-E:\r\nX-L: caf\xe9\r\nCookie: a\r\nCookie: b\r\n\r\n`,
    ],
    [
      'one length said twice',
      `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
      `POST / HTTP/1.1\r\nContent-Length: 3\r\n${host}\r\nabc`,
    ],
    [
      'a length as a list',
      `POST / HTTP/1.1\r\n${host}Content-Length: 3, 3\r\n\r\nabc`,
      `POST / HTTP/1.1\r\nContent-Length: 3\r\n${host}\r\nabc`,
    ],
    [
      'chunks with extensions, leading zeros and a trailer',
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: Chunked\r\n\r\n003;a=b\r\nabc\r\n0;x\r\nX-T: v\r\nContent-Length: 9\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: v\r\n\r\n`,
    ],
  ])('%s', async (_name, sent, expected) => {
    const { request, answer } = await forward(sent);
    expect(request).toBe(expected);
    expect(answer.status).toBe(200);
  });

  test.each([9_000, 24_576])('a head of %i bytes', async (bytes) => {
    const start = `GET /${'p'.repeat(bytes - 60)} HTTP/1.1\r\nHost: a.test\r\n`;
    const request = `${start}X:${'v'.repeat(bytes - start.length - 6)}\r\n\r\n`;
    expect(request).toHaveLength(bytes);
    expect((await forward(request)).request).toBe(request);
  });

  test('a hundred field lines', async () => {
    const lines = Array.from({ length: 99 }, (_, i) => `X-${i}: ${i}\r\n`).join('');
    const { request } = await forward(getRequest('a.test', '/', lines));
    expect(request).toBe(getRequest('a.test', '/', lines));
  });
});

describe('answers', () => {
  const get = getRequest('a.test');
  const old = 'GET / HTTP/1.0\r\nHost: a.test\r\n';
  const close = 'Connection: close\r\n';
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n';
  test.each<[string, string, string, string]>([
    ['as it came', get, ok('hi', 'Server: x\r\nVia: 1.1 pod\r\n'), ok('hi', 'Server: x\r\nVia: 1.1 pod\r\n')],
    [
      'without reason phrase',
      get,
      'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n',
    ],
    ['the pod closes, the client stays', get, ok('hi', close), ok('hi')],
    ['the client closes', getRequest('a.test', '/', close), ok('hi'), ok('hi').replace('\r\n\r\n', `\r\n${close}\r\n`)],
    [
      'hop-by-hop fields of the pod',
      get,
      ok('hi', 'Connection: X-Drop\r\nX-Drop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n'),
      ok('hi'),
    ],
    [
      'to HEAD',
      'HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 271\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 271\r\n\r\n',
    ],
    [
      '304 with a length',
      get,
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
    ],
    [
      '204 with a length',
      get,
      'HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n',
      'HTTP/1.1 204 No Content\r\n\r\n',
    ],
    ['chunked', get, `${chunked}\r\n2\r\nhi\r\n0\r\n\r\n`, `${chunked}\r\n2\r\nhi\r\n0\r\n\r\n`],
    [
      'chunked, with extension and trailers',
      get,
      `${chunked}Trailer: X-Sum\r\n\r\n2;x\r\nhi\r\n0\r\nX-Sum: abc\r\nSet-Cookie: no\r\n\r\n`,
      `${chunked}Trailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: abc\r\n\r\n`,
    ],
    [
      'chunked, to HTTP/1.0',
      `${old}\r\n`,
      `${chunked}Trailer: X-Sum\r\n\r\n2;x\r\nhi\r\n1\r\n!\r\n0\r\nX-Sum: abc\r\n\r\n`,
      `HTTP/1.1 200 OK\r\n${close}\r\nhi!`,
    ],
    ['to HTTP/1.0', `${old}\r\n`, ok('hi'), ok('hi').replace('\r\n\r\n', `\r\n${close}\r\n`)],
    [
      'to HTTP/1.0 that stays',
      `${old}Connection: keep-alive\r\n\r\n`,
      ok('hi'),
      ok('hi').replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n'),
    ],
    ['from an HTTP/1.0 pod', get, 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi', ok('hi')],
  ])('%s', async (_name, request, sent, expected) => {
    expect((await forward(request, sent)).answer.text).toBe(expected);
  });
});
