// The access log from a client's bytes to a syslog server: what is told of each way in which a request or a connection can
// end, in the words that HAProxy 2.6 was seen to have for it.

import { readFileSync } from 'node:fs';
import { constants } from 'node:http2';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AccessLine } from '../../src/proxy/access-log/access-line.ts';
import { jsonFields } from '../../src/proxy/access-log/access-line.ts';
import { Captures } from '../../src/proxy/access-log/captures.ts';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { Pair, promise } from '../support/http2-peers/pairings.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, holdOpen, ok, Peer, Pod, RefusingPort, type Script, turn } from '../support/peers.ts';
import { certificate, certificateId, endpoint, route } from '../support/rules.ts';
import { SyslogReceiver } from '../support/syslog-receiver.ts';

/** A real hello for `thirteen.example.test`. */
const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));

type Settings = NonNullable<DataPlaneOptions['settings']>;

/** The fields of a line in HAProxy's httplog, without what is different each time. */
type HttpLine = {
  readonly client: string;
  readonly frontend: string;
  readonly backend: string;
  readonly server: string;
  /** TR/Tw/Tc/Tr; `n` for any time, -1 as it is. */
  readonly times: string;
  readonly totalMs: number;
  readonly status: number;
  readonly bytes: number;
  readonly cookies: string;
  readonly state: string;
  readonly counts: string;
  readonly queues: string;
  readonly captured: string;
  readonly request: string;
};

const httpLine =
  /^([\d.]+):\d+ \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] (\S+) (\S+)\/(\S+) (\S+)\/(\d+) (-?\d+) (\d+) (\S+ \S+) (\S{4}) (\S+) (\S+)( \{.*\})? "(.*)"\n$/;

function readHttpLine(line: string): HttpLine {
  const [
    ,
    client,
    frontend,
    backend,
    server,
    times,
    total,
    status,
    bytes,
    cookies,
    state,
    counts,
    queues,
    captured,
    request,
  ] = httpLine.exec(line) ?? expect.fail(`not in the format: ${line}`);
  return {
    client: client ?? '',
    frontend: frontend ?? '',
    backend: backend ?? '',
    server: server ?? '',
    times: (times ?? '').replaceAll(/(?<!-)\b\d+/g, 'n'),
    totalMs: Number(total),
    status: Number(status),
    bytes: Number(bytes),
    cookies: cookies ?? '',
    state: state ?? '',
    counts: counts ?? '',
    queues: queues ?? '',
    captured: (captured ?? '').trim(),
    request: request ?? '',
  };
}

const tcpLine =
  /^([\d.]+):\d+ \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] (\S+) (\S+)\/(\S+) (-?\d+)\/(-?\d+)\/(\d+) (\d+) (\S\S) (\S+) (\S+)\n$/;

/** What the pod does for each path. */
const byPath: Script = async (peer) => {
  for (;;) {
    const head = await peer.untilText('\r\n\r\n');
    const path = head.split(' ')[1] ?? '';
    if (path === '/hang') await new Promise(() => {});
    if (path === '/close') return peer.socket.destroy() && undefined;
    if (path === '/bad') await peer.write('garbage\r\n\r\n');
    else if (path === '/truncated') {
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc');
      peer.finish();
      return;
    } else if (path === '/stall') await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc');
    else await peer.write(ok('hello'));
  }
};

const shortTimes: Settings = { serverTimeoutMs: 300, clientTimeoutMs: 5_000, headTimeoutMs: 300 };

type EndCase = {
  readonly name: string;
  readonly send: string;
  readonly settings?: Settings;
  /** What the client does once it has sent: waits for the end or the answer, goes away, or half-closes. */
  readonly client?: 'answer' | 'leave-when-begun' | 'leave-when-asked' | 'finish';
  readonly expected: Partial<HttpLine>;
};

const forwardedTo = { backend: 'be_http:shop:a.test-0' };
const endCases: readonly EndCase[] = [
  {
    name: 'forwarded',
    send: getRequest('a.test', '/x?y=z'),
    expected: {
      ...forwardedTo,
      times: 'n/n/n/n',
      status: 200,
      bytes: 43,
      state: '----',
      counts: '1/1/0/0/0',
      queues: '0/0',
      request: 'GET /x?y=z HTTP/1.1',
    },
  },
  {
    name: 'no Route',
    send: getRequest('no.test'),
    expected: { backend: 'openshift_default', server: '<NOSRV>', times: 'n/-1/-1/-1', status: 503, state: 'SC--' },
  },
  {
    name: 'no Endpoint',
    send: getRequest('empty.test'),
    expected: {
      backend: 'be_http:shop:empty.test-0',
      server: '<NOSRV>',
      times: 'n/-1/-1/-1',
      status: 503,
      state: 'SC--',
    },
  },
  {
    name: 'redirect',
    send: getRequest('redirect.test', '/r'),
    expected: { backend: 'public', server: '<NOSRV>', times: 'n/-1/-1/-1', status: 302, state: 'LR--' },
  },
  {
    name: 'refused by every pod',
    send: getRequest('dead.test'),
    expected: {
      backend: 'be_http:shop:dead.test-0',
      times: 'n/n/-1/-1',
      status: 503,
      state: 'SC--',
      counts: expect.stringMatching(/^1\/1\/0\/0\/\+\d$/),
    },
  },
  {
    name: 'source not allowed',
    send: getRequest('guarded.test'),
    expected: { backend: 'be_http:shop:guarded.test-0', server: '<NOSRV>', status: 403, state: 'PR--' },
  },
  {
    name: 'a pod that is silent',
    send: getRequest('a.test', '/hang'),
    settings: shortTimes,
    expected: { ...forwardedTo, times: 'n/n/n/-1', status: 504, state: 'sH--' },
  },
  {
    name: 'a pod that closes',
    send: getRequest('a.test', '/close'),
    expected: { ...forwardedTo, times: 'n/n/n/-1', status: 502, state: 'SH--' },
  },
  {
    name: 'a pod that speaks no HTTP',
    send: getRequest('a.test', '/bad'),
    expected: { ...forwardedTo, status: 502, state: 'PH--' },
  },
  {
    name: 'an answer that breaks off',
    send: getRequest('a.test', '/truncated'),
    expected: { ...forwardedTo, times: 'n/n/n/n', status: 200, state: 'SD--' },
  },
  {
    name: 'an answer that stops',
    send: getRequest('a.test', '/stall'),
    settings: shortTimes,
    expected: { ...forwardedTo, times: 'n/n/n/n', status: 200, state: 'sD--' },
  },
  {
    name: 'a client that leaves before the answer',
    send: getRequest('a.test', '/hang'),
    client: 'leave-when-asked',
    expected: { ...forwardedTo, times: 'n/n/n/-1', status: -1, bytes: 0, state: 'CH--' },
  },
  {
    name: 'a client that leaves within the answer',
    send: getRequest('a.test', '/stall'),
    client: 'leave-when-begun',
    expected: { ...forwardedTo, times: 'n/n/n/n', status: 200, state: 'CD--' },
  },
  {
    name: 'a body that stops',
    send: 'POST /hang HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nabc',
    settings: { clientTimeoutMs: 300 },
    expected: { ...forwardedTo, times: 'n/n/n/-1', status: 408, state: 'cH--', request: 'POST /hang HTTP/1.1' },
  },
  {
    name: 'garbage',
    send: 'nonsense\r\n\r\n',
    expected: {
      backend: 'public',
      server: '<NOSRV>',
      times: '-1/-1/-1/-1',
      status: 400,
      state: 'PR--',
      request: '<BADREQ>',
    },
  },
  {
    name: 'a head that stops',
    send: 'GET / HTTP/1.1\r\nHo',
    settings: shortTimes,
    expected: { server: '<NOSRV>', times: '-1/-1/-1/-1', status: 408, state: 'cR--', request: '<BADREQ>' },
  },
  {
    name: 'a client that leaves within its head',
    send: 'GET / HTTP/1.1\r\nHo',
    client: 'finish',
    expected: { server: '<NOSRV>', times: '-1/-1/-1/-1', status: -1, bytes: 0, state: 'CR--', request: '<BADREQ>' },
  },
];

describe('how a request ended, over HTTP/1.1', () => {
  test.each(endCases)('$name: $expected.state', async ({ send, settings = {}, client: act = 'answer', expected }) => {
    await using receiver = await SyslogReceiver.start('udp');
    await using pod = await Pod.start(byPath);
    await using dead = await RefusingPort.find();
    await using otherDead = await RefusingPort.find();
    await using plane = await DataPlane.start(
      [
        ...route({ host: 'a.test', pods: [pod.port] }),
        ...route({ host: 'empty.test', pods: [] }),
        ...route({ host: 'redirect.test', pods: [pod.port], termination: 'edge', insecurePolicy: 'Redirect' }),
        ...route({ host: 'dead.test', pods: [dead.port, otherDead.port] }),
        ...route({ host: 'guarded.test', pods: [pod.port], allowedSources: [] }),
      ],
      { settings: { ...settings, syslogAddress: receiver.address } },
    );
    using client = await Peer.connect(plane.httpPort);
    await client.write(send);
    if (act === 'leave-when-asked') {
      await (await pod.connection(0)).until(() => true);
      client.socket.resetAndDestroy();
    } else if (act === 'leave-when-begun') {
      await client.untilText('abc');
      client.socket.resetAndDestroy();
    } else if (act === 'finish') client.finish();
    const [line = ''] = await receiver.messages(1);
    const server = expected.server ?? expect.stringMatching(/^ept:svc::127\.0\.0\.1:\d+$/);
    expect(readHttpLine(line)).toMatchObject({
      client: '127.0.0.1',
      frontend: 'public',
      server,
      cookies: '- -',
      ...expected,
    });
  });
});

test('a head that takes its time is told so, and the time between two requests', async () => {
  const waitMs = 60;
  // The router may have read the first of it late.
  const seenMs = waitMs / 2;
  await using receiver = await SyslogReceiver.start('udp');
  await using pod = await Pod.start(byPath);
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
    settings: { syslogAddress: receiver.address, syslogFormat: '"%TR %Ti %Th %Tr %Ta %Tt %rt %U %ID"' },
  });
  using client = await Peer.connect(plane.httpPort);
  await client.write('GET / HTTP/1.1\r\n');
  await new Promise((waited) => setTimeout(waited, waitMs));
  await client.write('Host: a.test\r\n\r\n');
  await client.message();
  await new Promise((waited) => setTimeout(waited, waitMs));
  await client.write(getRequest('a.test'));
  await client.message();
  const [first = [], second = []] = (await receiver.messages(2)).map((line) => line.trim().split(' ').map(Number));
  const [headMs = 0, , handshakeMs, , totalMs = 0] = first;
  expect(headMs).toBeGreaterThanOrEqual(seenMs);
  expect(totalMs).toBeGreaterThanOrEqual(headMs);
  expect(handshakeMs).toBe(0);
  expect(second.slice(0, 3)).toEqual([0, expect.any(Number), 0]);
  expect(second[1]).toBeGreaterThanOrEqual(seenMs);
  expect(first.slice(6, 8)).toEqual([1, 32]);
  expect(second.slice(6, 8)).toEqual([2, 32]);
});

test('HTTP/2 over TLS: its version, its cipher, its handshake once, its URI whole', async () => {
  await using receiver = await SyslogReceiver.start('udp');
  await using pair = await Pair.start(
    { client: 'h2', pod: 'HTTP/1.1' },
    (request, response) => void response.end(request.url),
    { settings: { syslogAddress: receiver.address, syslogFormat: '%ft %b %HV %r %sslv %sslc %Th %tsc' } },
  );
  await pair.client.get({ path: '/1' });
  await pair.client.get({ path: '/2' });
  const lines = (await receiver.messages(2)).map((line) => line.trim().split(' '));
  const [first = [], second = []] = lines;
  const [frontend, backend, version, method, uri, ...rest] = first;
  expect([frontend, backend, version, method, uri]).toEqual([
    'fe_sni~',
    'be_edge_http:shop:a.test-0',
    'HTTP/2.0',
    'GET',
    'https://a.test/1',
  ]);
  expect(rest).toEqual(['HTTP/2.0', 'TLSv1.3', expect.stringMatching(/^TLS_/), expect.any(String), '----']);
  expect(Number(rest[3])).toBeGreaterThan(0);
  expect(second[8]).toBe('0');
});

test.each(['HTTP/1.1', 'h2c'] as const)('HTTP/2: a stream that the client resets, before a pod of %s', async (pod) => {
  await using receiver = await SyslogReceiver.start('udp');
  const asked = promise();
  await using pair = await Pair.start({ client: 'h2c', pod }, () => asked.keep(), {
    settings: { syslogAddress: receiver.address },
  });
  const stream = pair.client.session.request({ ':path': '/hang', ':authority': 'a.test' });
  stream.on('error', () => {});
  await asked.kept;
  stream.close(constants.NGHTTP2_CANCEL);
  const [line = ''] = await receiver.messages(1);
  expect(readHttpLine(line)).toMatchObject({
    times: 'n/n/n/-1',
    status: -1,
    state: 'CH--',
    request: 'GET http://a.test/hang HTTP/2.0',
  });
});

test('a tunnel leaves one line, when it ends', async () => {
  const accepted = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  await using receiver = await SyslogReceiver.start('udp');
  await using pod = await Pod.start(async (peer) => {
    await peer.untilText('\r\n\r\n');
    await peer.write(`${accepted}hello`);
  });
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
    settings: { syslogAddress: receiver.address },
  });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test', '/ws', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'));
  await client.untilText('hello');
  expect(receiver.lines).toEqual([]);
  client.finish();
  const [line = ''] = await receiver.messages(1);
  expect(readHttpLine(line)).toMatchObject({
    status: 101,
    state: '----',
    bytes: accepted.length + 5,
    times: 'n/n/n/n',
  });
});

describe('connections that are handed through', () => {
  test('one line in tcplog', async () => {
    await using receiver = await SyslogReceiver.start('udp');
    await using pod = await Pod.start(async (peer) => {
      await peer.untilBytes(hello.length);
      await peer.write('0123456789');
      peer.finish();
    });
    await using plane = await DataPlane.start(
      route({ host: 'thirteen.example.test', pods: [pod.port], termination: 'passthrough' }),
      { settings: { syslogAddress: receiver.address } },
    );
    using client = await Peer.connect(plane.httpsPort);
    await client.write(hello);
    await client.untilText('0123456789');
    client.finish();
    const [line = ''] = await receiver.messages(1);
    const [, address, frontend, backend, server, queued, connected, total, bytes, state, counts, queues] =
      tcpLine.exec(line) ?? expect.fail(line);
    expect([address, frontend, backend, server, bytes, state, counts, queues]).toEqual([
      '127.0.0.1',
      'public_ssl',
      'be_tcp:shop:thirteen.example.test-0',
      `ept:svc::127.0.0.1:${pod.port}`,
      '10',
      '--',
      '1/1/0/0/0',
      '0/0',
    ]);
    expect([queued, Number(connected) >= 0, Number(total) >= 0]).toEqual(['0', true, true]);
  });

  test.each([
    ['no pod', [], '<NOSRV> -1/-1', 'SC'],
    ['a pod that refuses', ['dead'], 'ept 0/-1', 'SC'],
  ])('%s', async (_name, pods, expected, state) => {
    await using receiver = await SyslogReceiver.start('udp');
    await using dead = await RefusingPort.find();
    await using plane = await DataPlane.start(
      route({ host: 'thirteen.example.test', pods: pods.map(() => endpoint(dead.port)), termination: 'passthrough' }),
      { settings: { syslogAddress: receiver.address } },
    );
    using client = await Peer.connect(plane.httpsPort);
    await client.write(hello);
    const [line = ''] = await receiver.messages(1);
    const [, , , backend, server = '', queued, connected, , , seen] = tcpLine.exec(line) ?? expect.fail(line);
    expect(backend).toBe('be_tcp:shop:thirteen.example.test-0');
    expect(`${server.split(':')[0]} ${queued}/${connected}`).toBe(expected);
    expect(seen).toBe(state);
  });
});

test('the sticky cookie: none and then inserted, valid, and of a pod that is not there', async () => {
  const lines: AccessLine[] = [];
  await using pod = await Pod.start(byPath);
  const cookie = { name: 'stick', attributes: 'path=/' };
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], cookie }), {
    accessLines: lines,
  });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test'));
  const [given = ''] = /stick=\w+/.exec((await client.message()).fields.join('\n')) ?? [];
  for (const sent of [given, 'stick=other']) {
    await client.write(getRequest('a.test', '/', `Cookie: ${sent}\r\n`));
    await client.message();
  }
  expect(lines.map((line) => line.terminationState + line.cookieState)).toEqual(['--NI', '--VN', '--II']);
});

test('the id that the pod gets is the one that is told', async () => {
  const lines: AccessLine[] = [];
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(ok('hi'), seen));
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
    settings: { uniqueIdHeader: 'X-Id', uniqueIdFormat: ['id-', { variable: 'rt', base: 'decimal' }] },
    accessLines: lines,
  });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test') + getRequest('no.test') + getRequest('a.test'));
  for (let i = 0; i < 3; i++) await client.message();
  expect(seen.map(({ fields }) => fields.find((field) => field.startsWith('X-Id')))).toEqual([
    'X-Id: id-1',
    'X-Id: id-2',
  ]);
  expect(lines.map(({ uniqueId }) => uniqueId)).toEqual(['id-1', '', 'id-2']);
});

describe('a request that waits for its turn with the pod', () => {
  test.each([
    ['has its turn', 'free', { times: 'n/n/n/n', status: 200, state: '----' }],
    ['has none in time', 'time', { times: 'n/n/-1/-1', status: 503, state: 'sQ--', server: '<NOSRV>' }],
    ['is taken back', 'leave', { times: 'n/n/-1/-1', status: -1, state: 'CQ--', server: '<NOSRV>' }],
  ] as const)('%s', async (_name, then, expected) => {
    await using receiver = await SyslogReceiver.start('udp');
    await using pod = await Pod.start(holdOpen);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], podConnections: 1 }), {
      settings: { syslogAddress: receiver.address, connectTimeoutMs: then === 'time' ? 200 : 5_000 },
    });
    using first = await Peer.connect(plane.httpPort);
    await first.write(getRequest('a.test', '/first'));
    const upstream = await pod.connection(0);
    await upstream.untilText('\r\n\r\n');
    using second = await Peer.connect(plane.httpPort);
    await second.write(getRequest('a.test', '/second'));
    while (plane.podPlaces.waiting === 0) await turn();
    await new Promise((waited) => setTimeout(waited, 60));
    if (then === 'leave') second.socket.resetAndDestroy();
    if (then === 'free') {
      await upstream.write(ok('one'));
      await (await pod.connection(0)).untilText('\r\n\r\n');
      await upstream.write(ok('two'));
    }
    const count = then === 'free' ? 2 : 1;
    const line = (await receiver.messages(count)).at(-1) ?? '';
    expect(readHttpLine(line)).toMatchObject({ ...expected, request: 'GET /second HTTP/1.1' });
    expect(Number(line.split(' ')[4]?.split('/')[1])).toBeGreaterThanOrEqual(40);
    first.socket.resetAndDestroy();
  });
});

describe('captures', () => {
  const captures: Settings = {
    captureRequestHeaders: 'Host:5,X-A:20',
    captureResponseHeaders: 'Content-Type:9,X-None:5',
    captureCookie: 'sess:12',
  };
  const request = getRequest('a.test', '/', 'X-A: one\r\nX-a: two|"{\r\nCookie: a=1; sessionid=23456\r\n');
  const answer = ok('hello', 'Content-Type: text/html; charset=x\r\nSet-Cookie: sess=1; path=/\r\n');

  test('as blocks in httplog, from the messages as they came', async () => {
    await using receiver = await SyslogReceiver.start('udp');
    await using pod = await Pod.start(answering(answer));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
      settings: { ...captures, syslogAddress: receiver.address },
    });
    using client = await Peer.connect(plane.httpPort);
    await client.write(request + getRequest('no.test', '/2'));
    const [first = '', second = ''] = await receiver.messages(2);
    expect(readHttpLine(first)).toMatchObject({
      cookies: 'sessionid=23 sess=1',
      captured: '{a.tes|two#7C#22#7B} {text/html|}',
    });
    // Nothing came from a pod.
    expect(readHttpLine(second)).toMatchObject({ cookies: '- -', captured: '{no.te|} {|}' });
  });

  test('as objects in JSON', async () => {
    const lines: AccessLine[] = [];
    await using pod = await Pod.start(answering(answer));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
      settings: captures,
      accessLines: lines,
    });
    using client = await Peer.connect(plane.httpPort);
    await client.write(request);
    await client.message();
    const [line] = lines;
    const made = Captures.of({ ...captures } as Parameters<typeof Captures.of>[0]);
    expect(line === undefined ? null : jsonFields(line, made)).toEqual({
      client: '127.0.0.1',
      clientPort: client.socket.localPort,
      scheme: 'http',
      httpVersion: '1.1',
      tlsVersion: null,
      tlsCipher: null,
      method: 'GET',
      host: 'a.test',
      target: '/',
      status: 200,
      route: 'shop/a.test-0',
      namespace: 'shop',
      service: 'a.test-0',
      pod: null,
      endpoint: `127.0.0.1:${pod.port}`,
      handshakeMs: null,
      headMs: 0,
      queueMs: 0,
      connectMs: expect.any(Number),
      firstByteMs: expect.any(Number),
      totalMs: expect.any(Number),
      receivedBytes: request.length,
      sentBytes: answer.length,
      retries: 0,
      end: 'forwarded',
      terminationState: '----',
      requestHeaders: { host: 'a.tes', 'x-a': 'two|"{' },
      responseHeaders: { 'content-type': 'text/html', 'x-none': null },
      requestCookie: 'sessionid=23',
      responseCookie: 'sess=1',
    });
  });

  test.each([
    ['h2c', 'HTTP/1.1'],
    ['h2', 'h2c'],
    ['HTTP/1.1', 'h2c'],
  ] as const)('%s before %s', async (client, pod) => {
    const lines: AccessLine[] = [];
    await using pair = await Pair.start(
      { client, pod },
      (_request, response) => {
        response.setHeader('content-type', 'text/plain');
        response.end('hi');
      },
      { settings: captures, accessLines: lines },
    );
    await pair.client.get({ path: '/' });
    expect(lines.map((line) => [line.request?.headers, line.response?.headers])).toEqual([
      [
        ['a.tes', null],
        ['text/plai', null],
      ],
    ]);
  });
});

describe('connections that bring nothing', () => {
  const cases: readonly (readonly [name: string, port: 'http' | 'https', how: 'close' | 'wait', line: RegExp])[] = [
    ['closed', 'http', 'close', /public public\/<NOSRV> -1\/-1\/-1\/-1\/\d+ -1 0 - - CR-- \S+ \S+ "<BADREQ>"$/],
    ['silent', 'http', 'wait', /public public\/<NOSRV> -1\/-1\/-1\/-1\/\d+ -1 0 - - cR-- \S+ \S+ "<BADREQ>"$/],
    ['closed', 'https', 'close', /public_ssl public_ssl\/<NOSRV> -1\/-1\/\d+ 0 CR \S+ \S+$/],
    ['silent', 'https', 'wait', /public_ssl public_ssl\/<NOSRV> -1\/-1\/\d+ 0 cR \S+ \S+$/],
  ];

  test.each(cases)('%s, on the port of %s', async (_name, port, how, expected) => {
    await using receiver = await SyslogReceiver.start('udp');
    const settings: Settings = { headTimeoutMs: 200, inspectDelayMs: 200, syslogAddress: receiver.address };
    await using plane = await DataPlane.start([], { settings });
    using client = await Peer.connect(port === 'http' ? plane.httpPort : plane.httpsPort);
    if (how === 'close') client.finish();
    const [line = ''] = await receiver.messages(1);
    expect(line.trim()).toMatch(expected);
    const totalMs = Number(/(?:-1\/){2,4}(\d+) /.exec(line)?.[1]);
    if (how === 'wait') expect(totalMs).toBeGreaterThanOrEqual(100);
    client.finish();
    await client.ended;
    expect(client.text).toBe('');
  });

  test.each([
    ['dontLogNull', 'http', 0],
    ['dontLogNull', 'https', 0],
    ['ignoreProbes', 'http', 0],
    ['ignoreProbes', 'https', 1],
  ] as const)('%s, on the port of %s: %i lines', async (setting, port, count) => {
    const lines: AccessLine[] = [];
    await using plane = await DataPlane.start([], { settings: { [setting]: true }, accessLines: lines });
    using client = await Peer.connect(port === 'http' ? plane.httpPort : plane.httpsPort);
    client.finish();
    await plane.ended();
    expect(lines).toHaveLength(count);
    // What brings something is told of.
    using other = await Peer.connect(port === 'http' ? plane.httpPort : plane.httpsPort);
    await other.write('GET');
    other.finish();
    await plane.ended(2);
    expect(lines).toHaveLength(count + 1);
  });

  test('a handshake, and then nothing', async () => {
    const lines: AccessLine[] = [];
    const made = makeCertificate({ names: ['a.test'] });
    const id = certificateId('one');
    await using plane = await DataPlane.start(
      [
        certificate('one', made.certificate, made.key),
        ...route({ host: 'a.test', pods: [], termination: 'edge', certificate: id }),
      ],
      { accessLines: lines },
    );
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'a.test' });
    client.finish();
    await plane.ended();
    expect(lines.map((line) => [line.scheme, line.connection.frontend, line.terminationState])).toEqual([
      ['https', 'fe_sni', 'CR'],
    ]);
  });
});

test('a share of the lines', async () => {
  await using receiver = await SyslogReceiver.start('udp');
  await using pod = await Pod.start(byPath);
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
    settings: { syslogAddress: receiver.address, accessLogSample: 0.25, syslogFormat: '%rt' },
  });
  using client = await Peer.connect(plane.httpPort);
  for (let i = 0; i < 8; i++) {
    await client.write(getRequest('a.test'));
    await client.message();
  }
  expect(await receiver.messages(2)).toEqual(['4\n', '8\n']);
});

test('a level below info sends nothing', async () => {
  await using receiver = await SyslogReceiver.start('udp');
  await using plane = await DataPlane.start([], {
    settings: { syslogAddress: receiver.address, syslogLevel: 'warning' },
  });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('no.test'));
  expect((await client.message()).status).toBe(503);
  await new Promise((turned) => setTimeout(turned, 50));
  expect(receiver.lines).toEqual([]);
});
