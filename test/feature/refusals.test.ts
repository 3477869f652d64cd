// Requests that are refused: the exact status and reason, nothing of them at a pod, and an end that the client can read.

import { describe, expect, test } from 'vitest';
import type { RefusalReason } from '../../src/protocol/refusals.ts';
import { DataPlane } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, ok, Peer, Pod } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const host = 'Host: a.test\r\n';
const get = `GET / HTTP/1.1\r\n${host}`;
const post = `POST / HTTP/1.1\r\n${host}`;
/** What an attacker would have a pod take for a request of its own. */
const smuggled = `GET /smuggled HTTP/1.1\r\n${host}\r\n`;

type Case = readonly [name: string, status: number, reason: RefusalReason, request: string];

const lines: readonly Case[] = [
  ['HTTP/0.9', 400, 'bad-request-line', 'GET /\r\n\r\n'],
  ['HTTP/1.2', 505, 'bad-version', `GET / HTTP/1.2\r\n${host}\r\n`],
  ['HTTP/2.0', 505, 'bad-version', `GET / HTTP/2.0\r\n${host}\r\n`],
  ['another preface than that of HTTP/2', 505, 'bad-version', `PRI * HTTP/2.0\r\n${host}\r\n`],
  ['a version in lower case', 400, 'bad-request-line', `GET / http/1.1\r\n${host}\r\n`],
  ['no version number', 505, 'bad-version', `GET / HTTP/x\r\n${host}\r\n`],
  ['two blanks', 400, 'bad-request-line', `GET  / HTTP/1.1\r\n${host}\r\n`],
  ['a blank in the target', 400, 'bad-request-line', `GET /a b HTTP/1.1\r\n${host}\r\n`],
  ['a tab for a blank', 400, 'bad-request-line', `GET\t/ HTTP/1.1\r\n${host}\r\n`],
  ['a blank behind the version', 400, 'bad-request-line', `GET / HTTP/1.1 \r\n${host}\r\n`],
  ['a control character in the target', 400, 'bad-target', `GET /\x01 HTTP/1.1\r\n${host}\r\n`],
  ['obs-text in the target', 400, 'bad-target', `GET /caf\xe9 HTTP/1.1\r\n${host}\r\n`],
  ['a fragment', 400, 'bad-target', `GET /#x HTTP/1.1\r\n${host}\r\n`],
  ['a target without slash', 400, 'bad-target', `GET x HTTP/1.1\r\n${host}\r\n`],
  ['another scheme', 400, 'bad-target', `GET ftp://a.test/ HTTP/1.1\r\n${host}\r\n`],
  ['GET *', 400, 'bad-target', `GET * HTTP/1.1\r\n${host}\r\n`],
  ['CONNECT', 405, 'method-not-allowed', `CONNECT a.test:443 HTTP/1.1\r\n${host}\r\n`],
  ['a method of 33 letters', 501, 'method-too-long', `${'M'.repeat(33)} / HTTP/1.1\r\n${host}\r\n`],
  ['a TLS hello on the plain port', 400, 'bad-request-line', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['a NUL in front', 400, 'bad-request-line', `\0${get}\r\n`],
  ['two empty lines in front', 400, 'bad-request-line', `\r\n\r\n${get}\r\n`],
  ['a target beyond the limit', 414, 'target-too-long', `GET /${'p'.repeat(25_000)}`],
  ['a head beyond the limit', 431, 'head-too-large', `${get}X: ${'v'.repeat(25_000)}`],
  ['a whole head one byte too long', 431, 'head-too-large', `${get}X: ${'v'.repeat(24_577 - get.length - 7)}\r\n\r\n`],
  ['101 field lines', 431, 'too-many-fields', `${get}${'X: y\r\n'.repeat(100)}\r\n`],
];

const fields: readonly Case[] = [
  ['no Host', 400, 'missing-host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', 400, 'several-hosts', `${get}Host: b.test\r\n\r\n`],
  ['the same Host twice', 400, 'several-hosts', `${get}${host}\r\n`],
  ['a Host with user information', 400, 'bad-host', 'GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n'],
  ['a Host with a path', 400, 'bad-host', 'GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n'],
  ['two Hosts in one', 400, 'bad-host', 'GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n'],
  ['a port that is none', 400, 'bad-host', 'GET / HTTP/1.1\r\nHost: a.test:8x\r\n\r\n'],
  ['a target with another host', 400, 'host-differs-from-target', `GET http://b.test/ HTTP/1.1\r\n${host}\r\n`],
  ['a blank before the colon', 400, 'bad-field-name', `${get}X : y\r\n\r\n`],
  ['an empty name', 400, 'bad-field-name', `${get}: y\r\n\r\n`],
  ['no colon', 400, 'bad-field-name', `${get}X\r\n\r\n`],
  ['a control character in a name', 400, 'bad-field-name', `${get}X\x0b: y\r\n\r\n`],
  ['a folded line', 400, 'folded-field', `${get}X: a\r\n b\r\n\r\n`],
  ['a folded first line', 400, 'folded-field', `GET / HTTP/1.1\r\n ${host}\r\n`],
  ['a NUL in a value', 400, 'bad-field-value', `${get}X: a\0b\r\n\r\n`],
  ['a lone carriage return in a value', 400, 'bad-field-value', `${get}X: a\rY: b\r\n\r\n`],
  ['a lone line feed in a value', 400, 'bare-line-feed', `${get}X: a\nY: b\r\n\r\n`],
  ['lines that end with a line feed alone', 400, 'bare-line-feed', `GET / HTTP/1.1\nHost: a.test\n\n`],
  ['a head that ends with two line feeds', 400, 'bare-line-feed', `${get}X: y\n\n`],
];

const framings: readonly Case[] = [
  [
    'CL.TE',
    400,
    'length-and-transfer-encoding',
    `${post}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG`,
  ],
  [
    'TE.CL',
    400,
    'length-and-transfer-encoding',
    `${post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
  ],
  [
    'TE.TE, the second unknown',
    400,
    'bad-transfer-encoding',
    `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'TE.TE, twice chunked',
    400,
    'bad-transfer-encoding',
    `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'chunked twice in a list',
    400,
    'bad-transfer-encoding',
    `${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['chunked not last', 400, 'bad-transfer-encoding', `${post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ['gzip, chunked', 501, 'unknown-transfer-encoding', `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['xchunked', 501, 'unknown-transfer-encoding', `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
  ['identity', 501, 'unknown-transfer-encoding', `${post}Transfer-Encoding: identity\r\n\r\n${smuggled}`],
  ['chunked with a vertical tab', 400, 'bad-field-value', `${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`],
  ['quoted', 501, 'unknown-transfer-encoding', `${post}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`],
  ['an empty coding', 400, 'bad-transfer-encoding', `${post}Transfer-Encoding:\r\n\r\n0\r\n\r\n`],
  ['a blank before the colon', 400, 'bad-field-name', `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`],
  ['in a folded line', 400, 'folded-field', `${post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${smuggled}`],
  [
    'chunked on HTTP/1.0',
    400,
    'bad-transfer-encoding',
    `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'CL.CL',
    400,
    'bad-content-length',
    `${post}Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  ],
  ['CL.CL in a list', 400, 'bad-content-length', `${post}Content-Length: 0, ${smuggled.length}\r\n\r\n${smuggled}`],
  ...['', '+3', '-1', '0x3', '3;', '3 4', '1e1', '\u00b2', '"3"'].map(
    (value): Case => [
      `Content-Length ${JSON.stringify(value)}`,
      400,
      'bad-content-length',
      `${post}Content-Length: ${value}\r\n\r\n${smuggled}`,
    ],
  ),
  [
    'a length beyond counting',
    413,
    'content-too-large',
    `${post}Content-Length: 18446744073709551616\r\n\r\n${smuggled}`,
  ],
];

const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`;
const chunks: readonly Case[] = [
  ['a sign', 400, 'bad-chunk', `${chunked}+3\r\nabc\r\n0\r\n\r\n`],
  ['a blank in front of the size', 400, 'bad-chunk', `${chunked} 3\r\nabc\r\n0\r\n\r\n`],
  ['a blank behind the size', 400, 'bad-chunk', `${chunked}3 \r\nabc\r\n0\r\n\r\n`],
  ['0x', 400, 'bad-chunk', `${chunked}0x3\r\nabc\r\n0\r\n\r\n`],
  ['an underscore', 400, 'bad-chunk', `${chunked}1_0\r\n${'x'.repeat(16)}\r\n0\r\n\r\n`],
  ['no size', 400, 'bad-chunk', `${chunked}\r\nabc\r\n0\r\n\r\n`],
  ['a size beyond counting', 400, 'bad-chunk', `${chunked}ffffffffffffffff3\r\nabc\r\n0\r\n\r\n`],
  ['a line feed alone behind the size', 400, 'bad-chunk', `${chunked}3\nabc\r\n0\r\n\r\n`],
  ['a carriage return alone behind the size', 400, 'bad-chunk', `${chunked}3\rabc\r\n0\r\n\r\n`],
  ['a line feed in an extension', 400, 'bad-chunk', `${chunked}3;a\nb\r\nabc\r\n0\r\n\r\n`],
  ['a control character in an extension', 400, 'bad-chunk', `${chunked}3;\x01\r\nabc\r\n0\r\n\r\n`],
  ['extensions without end', 400, 'bad-chunk', `${chunked}3;${'e'.repeat(5_000)}`],
  ['data longer than its size', 400, 'bad-chunk', `${chunked}3\r\nabcd\r\n0\r\n\r\n`],
  ['a line feed alone behind the data', 400, 'bad-chunk', `${chunked}3\r\nabc\n0\r\n\r\n`],
  ['a folded trailer', 400, 'bad-trailer', `${chunked}0\r\nX: a\r\n b\r\n\r\n`],
  ['a trailer that is none', 400, 'bad-trailer', `${chunked}0\r\nX\r\n\r\n`],
  ['a trailer that is a request', 400, 'bad-trailer', `${chunked}0\r\n${smuggled}`],
  ['trailers without end', 431, 'trailer-too-large', `${chunked}0\r\nX: ${'v'.repeat(25_000)}`],
];

test.each([
  ...lines.map((one) => ['line', ...one] as const),
  ...fields.map((one) => ['field', ...one] as const),
  ...framings.map((one) => ['framing', ...one] as const),
  ...chunks.map((one) => ['chunk', ...one] as const),
])('%s: %s: %i %s', async (_subject, _name, status, reason, request) => {
  await using pod = await Pod.start();
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
  using client = await Peer.connect(plane.httpPort);
  // What follows is never read as a request, and does not turn the end into a reset.
  await client.writeApart(request, smuggled, smuggled);
  expect(await client.ended).toBe('fin');
  const answer = await client.message();
  expect(answer.status).toBe(status);
  expect(answer.fields).toContain('Connection: close');
  expect(answer.body.toString()).toContain(`<code>${reason}</code>`);
  expect(client.text).toBe('');
  await client.writeApart(smuggled);
  expect(client.end).toBe('fin');
  client.finish();
  expect(await plane.ended()).toBe('request-refused');
  expect(pod.connections).toEqual([]);
  expect(plane.answers(status, reason)).toBe(1);
});

describe('a body that goes wrong after its beginning has gone to the pod', () => {
  test.each([
    ['a bad chunk', 'Zz', 'bad-chunk'],
    ['a bad trailer', '0\r\nX\r\n\r\n', 'bad-trailer'],
  ] as const)('%s', async (_name, rest, reason) => {
    await using pod = await Pod.start();
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], forwarded: 'never' }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`${chunked}3\r\nabc\r\n`);
    const upstream = await pod.connection(0);
    await upstream.until(() => upstream.text.endsWith('abc\r\n'));
    await client.write(rest + smuggled);
    expect(await client.ended).toBe('fin');
    expect((await client.message()).body.toString()).toContain(reason);
    expect(client.text).toBe('');
    await upstream.ended;
    // The pod never sees the end of the body, so it takes nothing for a second request.
    expect(upstream.text).toBe(`${chunked}3\r\nabc\r\n`);
  });

  test('the answer has begun: both connections are cut', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.untilText('abc');
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`${chunked}3\r\nabc\r\n`);
    await client.untilText('half');
    await client.write('Zz');
    await client.ended;
    expect(await plane.ended()).toBe('request-refused');
    await (await pod.connection(0)).ended;
  });
});

describe('requests that are two at a second look only', () => {
  // A lenient pod splits what it gets; every part has to be a request that the router saw, in the same order.
  test.each<[string, string, readonly string[]]>([
    [
      'a request in a body',
      `${post}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}${get}\r\n`,
      ['POST / HTTP/1.1', 'GET / HTTP/1.1'],
    ],
    [
      'a request in a chunk',
      `${chunked}${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n${get}\r\n`,
      ['POST / HTTP/1.1', 'GET / HTTP/1.1'],
    ],
    [
      'a chunk extension that looks like an end',
      `${chunked}5;a="\\\r\nhello\r\n0;\r\n\r\n${get}\r\n`,
      ['POST / HTTP/1.1', 'GET / HTTP/1.1'],
    ],
    [
      'a trailer that would be a length',
      `${chunked}0\r\nContent-Length: 9\r\n\r\n${get}\r\n`,
      ['POST / HTTP/1.1', 'GET / HTTP/1.1'],
    ],
    ['GET with a body', `${get}Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`, ['GET / HTTP/1.1']],
    [
      'Transfer-Encoding under another name',
      `${post}Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
      ['POST / HTTP/1.1'],
    ],
    [
      'Connection that names the framing',
      `${post}Connection: Content-Length, Transfer-Encoding, Host\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
      ['POST / HTTP/1.1'],
    ],
  ])('%s', async (_name, sent, expected) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(sent);
    for (const _ of expected) expect((await client.message()).status).toBe(200);
    expect(seen.map((request) => request.startLine)).toEqual(expected);
    expect(pod.text).toBe('');
  });
});
