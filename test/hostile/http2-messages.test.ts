// Requests that no client may send, and requests that say two things at once. What is refused may not reach the pod, what is
// accepted may reach it as one request only, whatever bytes it holds: the pod behind is a real one that writes everything down.

import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AttackedRouter, edgeRouteYaml } from '../support/http2/attacked-router.ts';
import { continuation, data, flags, headers, rstStream, settingIds } from '../support/http2/frames.ts';
import { block, type Field } from '../support/http2/hpack.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { connected, getRequest, Peer } from '../support/peers.ts';
import { serviceYaml } from '../support/pods.ts';
import { type PodRecord, type RecordingPod, type SeenRequest, startHttp2Pod, startPlainPod } from './recording-pods.ts';

const host = 'messages.test';
const path = '/case';
const bothEnds = flags.endHeaders | flags.endStream;
/** A request inside a request: if the pod ever sees its target as one, something was smuggled. */
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: smuggled.test\r\n\r\n';

type Case = {
  readonly name: string;
  readonly rule: string;
  readonly fields: readonly Field[];
  /** Frames behind HEADERS; absent: HEADERS ends the stream. */
  readonly body?: (stream: number) => readonly Buffer[];
  /** What may become of the stream, in the words of `RawPeer.outcome`. */
  readonly expected: readonly string[];
  /** Where it is accepted: what must be so of the request that the pod sees. */
  readonly seen?: (request: SeenRequest, protocol: RecordingPod['protocol']) => void;
  /** The head was right, and was passed on before the wrong was seen: the pod sees a request that does not become whole. */
  readonly begins?: true;
};

/** RFC 9113 section 8.1.1: a stream error, and an answer may come before it. Other streams of the connection go on. */
const malformed = ['status 400', 'stream PROTOCOL_ERROR'];
const accepted = ['status 200'];
const either = [...accepted, ...malformed];

/** A right request but for what is added. */
function withFields(...more: readonly Field[]): Field[] {
  return requestFields(host, path, more);
}

/** A right request with one of its pseudo-fields changed, or left out. */
function withPseudo(name: string, ...values: readonly string[]): Field[] {
  return requestFields(host, path).flatMap((field) =>
    field[0] === name ? values.map((value): Field => [name, value]) : [field],
  );
}

function post(...more: readonly Field[]): Field[] {
  return requestFields(host, path, more, 'POST');
}

/** One DATA frame that ends the stream. */
function bodyOf(text: string): (stream: number) => Buffer[] {
  return (stream) => [data(stream, text, flags.endStream)];
}

function trailers(...fields: readonly Field[]): (stream: number) => Buffer[] {
  return (stream) => [data(stream, 'body'), headers(stream, block(fields), bothEnds)];
}

const cases: readonly Case[] = [
  // Names and values (RFC 9113 section 8.2.1).
  ...[
    ['in upper case', 'X-Upper'],
    ['with a space', 'x a'],
    ['with a colon', 'x:a'],
    ['with CR LF', 'x: y\r\nx-injected'],
    ['with LF', 'x\nx-injected'],
    ['with NUL', 'x\0a'],
    ['with DEL', 'x\x7fa'],
    ['beyond ASCII', 'x\xe4'],
    ['that is empty', ''],
    ['that is no token (RFC 9110 section 5.1)', 'x(a)'],
    ['of a whole request', `x\r\n\r\n${smuggled}x`],
  ].map(
    ([what = '', name = '']): Case => ({
      name: `a name ${what}`,
      rule: 'RFC 9113 section 8.2.1',
      fields: withFields([name, 'value']),
      expected: malformed,
    }),
  ),
  ...[
    ['with CR LF', 'a\r\nx-injected: b'],
    ['with LF', 'a\nx-injected: b'],
    ['with CR', 'a\rx-injected: b'],
    ['with NUL', 'a\0b'],
    ['that begins with a space', ' a'],
    ['that ends with a tab', 'a\t'],
    ['of a whole request', `a\r\n\r\n${smuggled}`],
  ].map(
    ([what = '', value = '']): Case => ({
      name: `a value ${what}`,
      rule: 'RFC 9113 section 8.2.1',
      fields: withFields(['x-case', value]),
      expected: malformed,
    }),
  ),
  {
    name: 'a value with other control characters',
    rule: 'RFC 9113 section 8.2.1, RFC 9110 section 5.5',
    fields: withFields(['x-case', 'a\x01b\x7fc']),
    expected: either,
  },
  {
    name: 'a value beyond ASCII',
    rule: 'RFC 9110 section 5.5',
    fields: withFields(['x-case', 'gr\xfc\xdf']),
    expected: accepted,
    seen: ({ fields }) => expect(fields).toContain('x-case: gr\xfc\xdf'),
  },
  {
    name: 'a value of nothing',
    rule: 'RFC 9110 section 5.5',
    fields: withFields(['x-case', '']),
    expected: accepted,
    seen: ({ fields }) => expect(fields.map((line) => line.trim())).toContain('x-case:'),
  },

  // Fields of a connection (RFC 9113 section 8.2.2).
  ...(
    [
      ['connection', 'close'],
      ['connection', 'x-forwarded-for'],
      ['keep-alive', 'timeout=5'],
      ['proxy-connection', 'keep-alive'],
      ['transfer-encoding', 'chunked'],
      ['transfer-encoding', 'identity'],
      ['upgrade', 'h2c'],
      ['te', 'gzip'],
      ['te', 'trailers, chunked'],
    ] as const
  ).map(
    ([name, value]): Case => ({
      name: `${name}: ${value}`,
      rule: 'RFC 9113 section 8.2.2',
      fields: withFields([name, value]),
      expected: malformed,
    }),
  ),
  {
    name: 'transfer-encoding: chunked with a body in chunks and a request behind it',
    rule: 'RFC 9113 section 8.2.2',
    fields: post(['transfer-encoding', 'chunked']),
    body: bodyOf(`0\r\n\r\n${smuggled}`),
    expected: malformed,
  },
  {
    name: 'te: trailers',
    rule: 'RFC 9113 section 8.2.2',
    fields: withFields(['te', 'trailers']),
    expected: accepted,
  },

  // Pseudo-fields (RFC 9113 section 8.3).
  {
    name: 'a pseudo-field behind the others',
    rule: 'RFC 9113 section 8.3',
    fields: [...requestFields(host, path).slice(0, 3), ['x-case', 'a'], [':path', path]],
    expected: malformed,
  },
  {
    name: 'a pseudo-field that nobody knows',
    rule: 'RFC 9113 section 8.3',
    fields: [[':case', 'a'], ...requestFields(host, path)],
    expected: malformed,
  },
  {
    name: ':status in a request',
    rule: 'RFC 9113 section 8.3',
    fields: [[':status', '200'], ...requestFields(host, path)],
    expected: malformed,
  },
  {
    name: ':protocol without CONNECT',
    rule: 'RFC 8441 section 4',
    fields: [[':protocol', 'websocket'], ...requestFields(host, path)],
    expected: malformed,
  },
  ...[':method', ':scheme', ':path', ':authority'].map((name): Case => {
    const value = requestFields(host, path).find(([each]) => each === name)?.[1] ?? '';
    return {
      name: `${name} twice`,
      rule: 'RFC 9113 section 8.3',
      fields: withPseudo(name, value, value),
      expected: malformed,
    };
  }),
  ...[':method', ':scheme', ':path'].map(
    (name): Case => ({
      name: `no ${name}`,
      rule: 'RFC 9113 section 8.3.1',
      fields: withPseudo(name),
      expected: malformed,
    }),
  ),
  {
    name: 'two different :path',
    rule: 'RFC 9113 section 8.3',
    fields: withPseudo(':path', path, '/smuggled'),
    expected: malformed,
  },
  ...[
    ['of nothing', ''],
    ['without a slash', 'case'],
    ['of a star', '*'],
    ['with a space', `${path} HTTP/1.1`],
    ['with CR LF', `${path} HTTP/1.1\r\nx-injected: a`],
    ['with NUL', `${path}\0`],
    ['with a whole request', `${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n${smuggled}`],
    ['with a tab', `${path}\tHTTP/1.1`],
    ['of a whole URL', 'http://smuggled.test/smuggled'],
  ].map(
    ([what = '', value = '']): Case => ({
      name: `a :path ${what}`,
      rule: 'RFC 9113 section 8.3.1',
      fields: withPseudo(':path', value),
      expected: malformed,
    }),
  ),
  ...[
    ['beyond ASCII', `${path}/\xe4`],
    ['with a fragment', `${path}#a`],
    ['with two slashes', `//smuggled.test${path}`],
    ['with dots', `/a/..${path}`],
  ].map(
    ([what = '', value = '']): Case => ({
      name: `a :path ${what}`,
      rule: 'RFC 3986 section 3.3',
      fields: withPseudo(':path', value),
      expected: either,
    }),
  ),
  ...[
    ['with a space', 'GET /smuggled'],
    ['with CR LF', 'GET / HTTP/1.1\r\nx-injected:'],
    ['of nothing', ''],
    ['of a whole request', `${smuggled}GET`],
    ['beyond ASCII', 'G\xc4T'],
    ['with a colon', 'GET:'],
  ].map(
    ([what = '', value = '']): Case => ({
      name: `a :method ${what}`,
      rule: 'RFC 9113 section 8.3.1, RFC 9110 section 9.1',
      fields: withPseudo(':method', value),
      expected: [...malformed, 'status 501', 'status 405'],
    }),
  ),
  {
    name: 'a :method that nobody knows',
    rule: 'RFC 9110 section 9.1',
    fields: withPseudo(':method', 'get'),
    expected: [...accepted, 'status 501', 'status 405'],
    seen: ({ method }) => expect(method).toBe('get'),
  },
  ...[
    ['with CR LF', 'http\r\nx-injected: a'],
    ['with a URL', `http://smuggled.test/smuggled?`],
    ['of nothing', ''],
  ].map(
    ([what = '', value = '']): Case => ({
      name: `a :scheme ${what}`,
      rule: 'RFC 9113 section 8.3.1, RFC 3986 section 3.1',
      fields: withPseudo(':scheme', value),
      expected: malformed,
    }),
  ),
  {
    name: 'a :scheme of another protocol',
    rule: 'RFC 9113 section 8.3.1',
    fields: withPseudo(':scheme', 'ftp'),
    expected: [...either, 'status 421'],
  },
  {
    name: 'a :scheme other than that of the connection',
    rule: 'RFC 9110 section 7.4',
    fields: withPseudo(':scheme', 'https'),
    expected: [...either, 'status 421'],
    // What the router vouches for is the connection, not what the client says of it.
    seen: ({ fields }) => expect(fields).toContain('x-forwarded-proto: http'),
  },

  // :authority and Host (RFC 9113 section 8.3.1).
  {
    name: ':authority and host that differ',
    rule: 'RFC 9113 section 8.3.1',
    fields: withFields(['host', 'smuggled.test']),
    expected: malformed,
  },
  {
    name: ':authority and host that agree',
    rule: 'RFC 9113 section 8.3.1',
    fields: withFields(['host', host]),
    expected: accepted,
    seen: oneHost,
  },
  {
    name: 'host without :authority',
    rule: 'RFC 9113 section 8.3.1',
    fields: [...withPseudo(':authority'), ['host', host]],
    expected: accepted,
    seen: oneHost,
  },
  {
    name: 'neither :authority nor host',
    rule: 'RFC 9110 section 7.2',
    fields: withPseudo(':authority'),
    expected: malformed,
  },
  {
    name: 'two equal hosts',
    rule: 'RFC 9110 section 7.2',
    fields: withFields(['host', host], ['host', host]),
    expected: malformed,
  },
  {
    name: 'an empty :authority beside a host',
    rule: 'RFC 9113 section 8.3.1',
    fields: [...withPseudo(':authority', ''), ['host', host]],
    expected: either,
    seen: oneHost,
  },
  ...[
    ['with a user', `user@${host}`],
    ['with CR LF', `${host}\r\nx-injected: a`],
    ['with a space', `${host} smuggled.test`],
    ['with a path', `${host}/smuggled`],
    ['with NUL', `${host}\0.smuggled.test`],
    ['with a port that is none', `${host}:80:80`],
  ].map(
    ([what = '', value = '']): Case => ({
      name: `an :authority ${what}`,
      rule: 'RFC 9113 section 8.3.1, RFC 3986 section 3.2',
      fields: withPseudo(':authority', value),
      expected: malformed,
    }),
  ),
  {
    name: 'an :authority of two hosts',
    rule: 'RFC 3986 section 3.2.2: a comma may be in a name',
    fields: withPseudo(':authority', `${host},smuggled.test`),
    expected: [...malformed, 'status 503'],
  },

  // CONNECT (RFC 9113 section 8.5, RFC 8441).
  {
    name: 'CONNECT',
    rule: 'RFC 9113 section 8.5',
    fields: [
      [':method', 'CONNECT'],
      [':authority', `${host}:80`],
    ],
    body: bodyOf(smuggled),
    expected: [...malformed, 'status 405', 'status 501', 'stream CONNECT_ERROR', 'stream REFUSED_STREAM'],
  },
  {
    name: 'CONNECT with a path and a scheme but no :protocol',
    rule: 'RFC 9113 section 8.5',
    fields: requestFields(host, path, [], 'CONNECT'),
    body: bodyOf(smuggled),
    expected: [...malformed, 'status 405', 'status 501'],
  },
  {
    name: 'extended CONNECT for a protocol that nobody knows',
    rule: 'RFC 8441 section 4, RFC 9220 section 3',
    fields: [[':protocol', 'smuggling'], ...requestFields(host, path, [], 'CONNECT')],
    body: bodyOf(smuggled),
    expected: [...malformed, 'status 405', 'status 501'],
  },
  {
    name: 'extended CONNECT with CR LF in :protocol',
    rule: 'RFC 8441 section 4',
    fields: [[':protocol', 'websocket\r\nx-injected: a'], ...requestFields(host, path, [], 'CONNECT')],
    body: bodyOf(smuggled),
    expected: [...malformed, 'status 405', 'status 501'],
  },

  // Lengths (RFC 9113 section 8.1.1).
  {
    name: 'a content-length of 5 and no body',
    rule: 'RFC 9113 section 8.1.1',
    fields: post(['content-length', '5']),
    expected: malformed,
  },
  {
    name: 'less DATA than content-length says',
    rule: 'RFC 9113 section 8.1.1',
    fields: post(['content-length', '10']),
    body: bodyOf('short'),
    expected: malformed,
    begins: true,
  },
  {
    name: 'more DATA than content-length says: a request behind it',
    rule: 'RFC 9113 section 8.1.1',
    fields: post(['content-length', '4']),
    body: bodyOf(`body${smuggled}`),
    expected: malformed,
    begins: true,
  },
  {
    name: 'a second DATA frame more than content-length says',
    rule: 'RFC 9113 section 8.1.1',
    fields: post(['content-length', '4']),
    body: (stream) => [data(stream, 'body'), data(stream, smuggled, flags.endStream)],
    expected: malformed,
    begins: true,
  },
  {
    name: 'a content-length of 0 and a request as DATA',
    rule: 'RFC 9113 section 8.1.1',
    fields: post(['content-length', '0']),
    body: bodyOf(smuggled),
    expected: malformed,
    begins: true,
  },
  ...['+4', '-1', '0x4', '4,4', '4 4', '4;', '', '99999999999999999999', '4\r\nx-injected: a'].map(
    (value): Case => ({
      name: `content-length: ${JSON.stringify(value)}`,
      rule: 'RFC 9110 section 8.6',
      fields: post(['content-length', value]),
      body: bodyOf('body'),
      // RFC 9110 section 8.6 allows to take equal members for one.
      expected: value === '4,4' ? either : [...malformed, 'status 413'],
    }),
  ),
  {
    name: 'two different content-lengths',
    rule: 'RFC 9110 section 8.6',
    fields: post(['content-length', '4'], ['content-length', '0']),
    body: bodyOf('body'),
    expected: malformed,
  },
  {
    name: 'a body without content-length that holds a request',
    rule: 'RFC 9113 section 8.1',
    fields: post(),
    body: bodyOf(smuggled),
    expected: accepted,
    seen: ({ body }) => expect(body).toBe(smuggled),
  },
  {
    name: 'a body without content-length that holds an end of chunks and a request',
    rule: 'RFC 9113 section 8.1',
    fields: post(),
    body: (stream) => [data(stream, '0\r\n\r\n'), data(stream, smuggled), data(stream, '', flags.endStream)],
    expected: accepted,
    seen: ({ body }) => expect(body).toBe(`0\r\n\r\n${smuggled}`),
  },
  {
    name: 'a GET with a body that holds a request',
    rule: 'RFC 9110 section 9.3.1',
    fields: withFields(),
    body: bodyOf(smuggled),
    expected: either,
    seen: ({ body }) => expect(body).toBe(smuggled),
  },
  {
    name: 'a body that is taken back in its middle',
    rule: 'RFC 9113 section 8.1',
    fields: post(),
    body: (stream) => [data(stream, smuggled), rstStream(stream, 'CANCEL')],
    // Nobody tells the client what became of a stream that it has reset itself.
    expected: ['nothing', ...accepted, ...malformed],
    begins: true,
  },
  {
    name: 'a body in padding',
    rule: 'RFC 9113 section 6.1',
    fields: post(['content-length', '4']),
    body: (stream) => [
      data(
        stream,
        Buffer.concat([Buffer.from([60]), Buffer.from('body'), Buffer.alloc(60, 'p')]),
        flags.endStream | flags.padded,
      ),
    ],
    expected: accepted,
    seen: ({ body }) => expect(body).toBe('body'),
  },

  // Trailers (RFC 9113 section 8.1).
  {
    name: 'trailers with a pseudo-field',
    rule: 'RFC 9113 section 8.1',
    fields: post(),
    body: trailers([':path', '/smuggled']),
    expected: malformed,
    begins: true,
  },
  {
    name: 'trailers with CR LF',
    rule: 'RFC 9113 section 8.2.1',
    fields: post(),
    body: trailers(['x-trailer', `a\r\n\r\n${smuggled}`]),
    expected: malformed,
    begins: true,
  },
  {
    name: 'trailers with a name in upper case',
    rule: 'RFC 9113 section 8.2.1',
    fields: post(),
    body: trailers(['X-Trailer', 'a']),
    expected: malformed,
    begins: true,
  },
  {
    name: 'trailers with transfer-encoding',
    rule: 'RFC 9113 section 8.2.2',
    fields: post(),
    body: trailers(['transfer-encoding', 'chunked']),
    expected: malformed,
    begins: true,
  },
  {
    name: 'trailers that do not end the stream',
    rule: 'RFC 9113 section 8.1',
    fields: post(),
    body: (stream) => [
      data(stream, 'body'),
      headers(stream, block([['x-trailer', 'a']])),
      data(stream, smuggled, flags.endStream),
    ],
    expected: malformed,
    begins: true,
  },
  {
    name: 'trailers with what decides over message and Route',
    rule: 'RFC 9110 section 6.5.1',
    fields: post(),
    body: trailers(['content-length', '0'], ['host', 'smuggled.test'], ['x-forwarded-for', '6.6.6.6']),
    expected: either,
    begins: true,
    seen: ({ fields }) => {
      expect(fields.filter((line) => line.includes('smuggled.test') || line.includes('6.6.6.6'))).toEqual([]);
    },
  },

  // Sizes.
  {
    name: 'more fields than a head may have',
    rule: 'RFC 6585 section 5',
    fields: withFields(...Array.from({ length: 150 }, (_, i): Field => [`x-${i}`, 'a'])),
    expected: ['status 431', ...malformed, 'stream REFUSED_STREAM', 'stream ENHANCE_YOUR_CALM'],
  },
  {
    name: 'cookies in crumbs',
    rule: 'RFC 9113 section 8.2.3',
    fields: withFields(['cookie', 'a=1'], ['x-between', '-'], ['cookie', 'b=2'], ['cookie', 'c=3']),
    expected: accepted,
    seen: ({ fields }, protocol) => {
      const cookies = fields.filter((line) => line.startsWith('cookie: ')).map((line) => line.slice(8));
      expect(protocol === 'h2c' ? cookies.join('; ') : cookies).toEqual(
        protocol === 'h2c' ? 'a=1; b=2; c=3' : ['a=1; b=2; c=3'],
      );
    },
  },
];

function oneHost({ fields }: SeenRequest): void {
  const hosts = fields.filter((line) => line.startsWith('host:') || line.startsWith(':authority:'));
  expect(hosts.map((line) => line.slice(line.indexOf(': ') + 2))).toEqual([host]);
}

describe.each([
  ['HTTP/1.1', startPlainPod],
  ['h2c', startHttp2Pod],
] as const)('messages for a pod that speaks %s', (protocol, startPod) => {
  let pod: RecordingPod;
  let router: AttackedRouter;

  beforeAll(async () => {
    pod = await startPod();
    const service = serviceYaml('messages', [pod.port]);
    const yaml = protocol === 'h2c' ? service.replaceAll('name: http,', 'name: http, appProtocol: h2c,') : service;
    router = await AttackedRouter.start(edgeRouteYaml('messages', host, 'messages') + yaml);
  });

  afterAll(async () => {
    await router[Symbol.asyncDispose]();
    await pod.stop();
  });

  test.for(cases)('$name ($rule)', async ({ fields, body, expected, seen, begins }) => {
    using client = await RawClient.connect(router.httpPort);
    await client.settled();
    pod.take();
    const stream = client.newStream();
    const head = headers(stream, block(fields), body === undefined ? bothEnds : flags.endHeaders);
    client.write(head, ...(body?.(stream) ?? []));
    const outcome = await client.outcome(stream, expected.includes('nothing') ? 500 : undefined);
    expect(outcome, client.story).toBeOneOf([...expected]);
    const isAccepted = outcome === 'status 200';
    const next = client.request(requestFields(host, '/next'));
    expect(await client.outcome(next)).toBe('status 200');
    const record = pod.take();
    expectNothingElse(record, isAccepted ? 2 : begins === true ? [1, 2] : 1);
    const request = record.requests.at(0);
    if (isAccepted && request !== undefined) seen?.(request, protocol);
  });

  test('a header that is longer than a head may be (RFC 6585 section 5)', async () => {
    using client = await RawClient.connect(router.httpPort);
    await client.settled();
    pod.take();
    const long = block(requestFields(host, path, [['x-long', 'a'.repeat(40_000)]]));
    const first = headers(1, long.subarray(0, 16_384), flags.endStream);
    const rest = [long.subarray(16_384, 32_768), long.subarray(32_768)];
    client.write(first, ...rest.map((piece, i) => continuation(1, piece, i === 1 ? flags.endHeaders : 0)));
    expect(await client.outcome(1), client.story).toMatch(
      /^(status 431|(stream|connection) (PROTOCOL_ERROR|ENHANCE_YOUR_CALM|REFUSED_STREAM|COMPRESSION_ERROR))$/,
    );
    expect(pod.take()).toMatchObject({ heads: 0, text: '' });
  });

  test('extended CONNECT for a pod that does not upgrade: no byte of the tunnel reaches it (RFC 8441 section 5)', async () => {
    using client = await RawClient.connect(router.httpPort);
    await client.settled();
    pod.take();
    const fields: Field[] = [
      [':protocol', 'websocket'],
      ...requestFields(host, path, [['sec-websocket-version', '13']], 'CONNECT'),
    ];
    const stream = client.newStream();
    client.write(headers(stream, block(fields)), data(stream, smuggled));
    const outcome = await client.outcome(stream);
    const isOffered = client.theirSetting(settingIds.enableConnectProtocol) === 1;
    // Of CONNECT a 200 would say that there is a tunnel.
    expect(outcome).not.toMatch(/^status 2/);
    if (!isOffered) expect(outcome, client.story).toBeOneOf([...malformed, 'status 405', 'status 501']);
    const next = client.request(requestFields(host, '/next'));
    expect(await client.outcome(next)).toBe('status 200');
    expectNothingElse(pod.take(), [1, 2]);
  });
});

describe('HTTP/1.1 on the way to HTTP/2', () => {
  let pod: RecordingPod;
  let router: AttackedRouter;

  beforeAll(async () => {
    pod = await startPlainPod();
    const yaml = edgeRouteYaml('messages', host, 'messages') + edgeRouteYaml('other', 'other.test', 'messages');
    router = await AttackedRouter.start(yaml + serviceYaml('messages', [pod.port]));
  });

  afterAll(async () => {
    await router[Symbol.asyncDispose]();
    await pod.stop();
  });

  test.each([
    ['h2c', 'Upgrade, HTTP2-Settings'],
    ['h2c', 'Upgrade'],
    ['H2C', 'upgrade'],
    ['h2c, websocket', 'Upgrade, HTTP2-Settings'],
    ['websocket, h2c', 'Upgrade'],
  ])(
    'Upgrade: %s with Connection: %s starts nothing at the pod (RFC 9113 section 3.1)',
    async (upgrade, connection) => {
      for (const isTls of [false, true]) {
        using peer = isTls
          ? await Peer.connectTls(router.httpsPort, { servername: host })
          : await Peer.connect(router.httpPort);
        pod.take();
        const fields = `Connection: ${connection}\r\nUpgrade: ${upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`;
        await peer.write(getRequest(host, path, fields));
        const { status } = await peer.message();
        expect(status).toBeOneOf([200, 400, 501]);
        const { text } = pod.take();
        expect(text).not.toMatch(/upgrade:.*h2c/i);
        if (connection.includes('HTTP2-Settings')) expect(text).not.toMatch(/^http2-settings:/im);
      }
    },
  );

  test('the preface behind a request (RFC 9113 section 3.4)', async () => {
    using peer = await Peer.connect(router.httpPort);
    pod.take();
    await peer.write(getRequest(host, '/next'), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    expect((await peer.message()).status).toBe(200);
    expect((await peer.message()).status).toBeOneOf([400, 405, 505]);
    await peer.ended;
    expectNothingElse(pod.take(), 1);
  });

  test('the preface on a TLS connection that chose HTTP/1.1 (RFC 9113 section 3.2)', async () => {
    using peer = await Peer.connectTls(router.httpsPort, { servername: host, ALPNProtocols: ['http/1.1'] });
    pod.take();
    await peer.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    expect((await peer.message()).status).toBeOneOf([400, 405, 505]);
    await peer.ended;
    expectNothingElse(pod.take(), 0);
  });

  test('HTTP/1.1 on a TLS connection that chose h2 (RFC 9113 section 3.4)', async () => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: router.httpsPort,
      servername: host,
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    using peer = new Peer(socket);
    await connected(socket, 'secureConnect');
    expect(socket.alpnProtocol).toBe('h2');
    pod.take();
    await peer.write(getRequest(host, path));
    await peer.ended;
    expect(peer.text).not.toContain('HTTP/1.1 200');
    expectNothingElse(pod.take(), 0);
  });

  test('a host of another certificate is not served over this connection (RFC 9110 section 15.5.20)', async () => {
    using client = await RawClient.connect(router.httpsPort, { servername: host });
    pod.take();
    const stream = client.request(requestFields('other.test', path, [], 'GET', 'https'));
    expect(await client.outcome(stream)).toBe('status 421');
    expectNothingElse(pod.take(), 0);
  });
});

/** That so many requests have begun at the pod and none of them was one that nobody has sent. */
function expectNothingElse({ requests, heads, text }: PodRecord, begun: number | readonly number[]): void {
  expect(heads, text).toBeOneOf(typeof begun === 'number' ? [begun] : [...begun]);
  expect(requests.filter(({ target }) => target.includes('smuggled') && !target.endsWith(path))).toEqual([]);
  expect(requests.flatMap(({ fields }) => fields).filter((line) => line.startsWith('x-injected'))).toEqual([]);
}
