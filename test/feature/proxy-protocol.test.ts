// The PROXY protocol on real sockets: what balancers in front say of the client, who is believed, and what pods are told.

import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { readProxyHeader, renderProxyHeader } from '../../src/protocol/proxy-header.ts';
import type { AccessLine } from '../../src/proxy/access-log/access-line.ts';
import type { EndReason } from '../../src/proxy/end-reason.ts';
import { makeCertificate } from '../support/certificates.ts';
import { connectTlsInPieces } from '../support/cut-stream.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod, RefusingPort } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const run = promisify(execFile);
const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
const helloName = 'thirteen.example.test';

const client = { address: '203.0.113.7', port: 4242 };
const entry = { address: '198.51.100.9', port: 4711 };
const client6 = { address: '2001:db8::7', port: 4242 };
const entry6 = { address: '2001:db8::1', port: 4711 };
const v1 = renderProxyHeader('v1', client, entry);
const v2 = renderProxyHeader('v2', client, entry);

/** A data plane with a plain, an edge and a passthrough Route, that believes everybody unless told otherwise. */
function serve(pod: Pod, options: DataPlaneOptions = {}): Promise<DataPlane> {
  const pods = [pod.port];
  return DataPlane.start(
    [
      ...route({ host: 'a.test', pods }),
      ...route({ host: 'edge.test', pods, termination: 'edge' }),
      ...route({ host: helloName, pods, termination: 'passthrough' }),
    ],
    { proxyTrusted: [], ...options },
  );
}

function forwardedLines(node: string, address: string, host: string, port: number, proto: string): string[] {
  return [
    `X-Forwarded-Host: ${host}`,
    `X-Forwarded-Port: ${port}`,
    `X-Forwarded-Proto: ${proto}`,
    `Forwarded: for=${node};host=${host};proto=${proto}`,
    `X-Forwarded-For: ${address}`,
  ];
}

/** What a pod is told of the client of one request that comes behind a header. */
async function toldOf(header: Buffer, port: 'http' | 'https'): Promise<readonly string[]> {
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(ok('hi'), seen));
  await using plane = await serve(pod);
  const host = port === 'http' ? 'a.test' : 'edge.test';
  using peer =
    port === 'http'
      ? await Peer.connect(plane.httpPort)
      : await connectTlsInPieces(plane.httpsPort, (all, nth) => (nth === 0 ? [Buffer.concat([header, all])] : [all]), {
          servername: host,
        });
  await peer.write(port === 'http' ? Buffer.concat([header, Buffer.from(getRequest(host))]) : getRequest(host));
  expect((await peer.message()).status).toBe(200);
  return seen[0]?.fields.filter((field) => /forwarded/i.test(field)) ?? [];
}

describe('what pods are told (observed 39)', () => {
  const ipv4 = ['203.0.113.7', '203.0.113.7', 4711] as const;
  const ipv6 = ['"[2001:db8::7]"', '2001:db8::7', 4711] as const;
  const own = ['127.0.0.1', '127.0.0.1', 0] as const;
  const tlvs = Buffer.concat([v2, Buffer.from('010002683204000000', 'hex').subarray(0, 8)]);
  tlvs.writeUInt16BE(tlvs.length - 16, 14);

  test.each<[string, Buffer, readonly [string, string, number]]>([
    ['v1 IPv4', v1, ipv4],
    ['v1 IPv6', renderProxyHeader('v1', client6, entry6), ipv6],
    ['v1 UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), own],
    ['v1 of both families', renderProxyHeader('v1', client, entry6), ipv4],
    ['v2 IPv4', v2, ipv4],
    ['v2 IPv6', renderProxyHeader('v2', client6, entry6), ipv6],
    ['v2 LOCAL', renderProxyHeader('v2', { address: '', port: 0 }, entry), own],
    ['v2 with TLVs', tlvs, ipv4],
  ])('%s', async (_name, header, [node, address, port]) => {
    const plain = forwardedLines(node, address, 'a.test', port || 28_080, 'http');
    expect(await toldOf(header, 'http')).toEqual(plain);
    const edge = forwardedLines(node, address, 'edge.test', port || 28_443, 'https');
    expect(await toldOf(header, 'https')).toEqual(edge);
  });

  test('every request of the connection, and none of the next', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await serve(pod);
    for (const address of ['203.0.113.7', '203.0.113.8']) {
      using peer = await Peer.connect(plane.httpPort);
      await peer.write(renderProxyHeader('v2', { address, port: 1 }, entry));
      for (let i = 0; i < 2; i++) {
        await peer.write(getRequest('a.test'));
        await peer.message();
      }
    }
    const told = seen.map((request) => request.fields.find((field) => field.startsWith('X-Forwarded-For')));
    expect(told).toEqual(['7', '7', '8', '8'].map((last) => `X-Forwarded-For: 203.0.113.${last}`));
  });

  test('the logs name the client', async () => {
    const accessLines: AccessLine[] = [];
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { accessLines });
    using peer = await Peer.connect(plane.httpPort);
    await peer.write(v1, getRequest('a.test'), getRequest('nobody.test'));
    await peer.message();
    await peer.message();
    expect(accessLines.map((line) => line.client)).toEqual([client.address, client.address]);
    expect(plane.lines).toEqual([expect.objectContaining({ reason: 'no-route', client: client.address })]);
  });
});

describe('headers in pieces', () => {
  const request = Buffer.from(getRequest('a.test'));

  test.each([
    ['v1', v1],
    ['v2', v2],
  ])('%s and a request, cut at every byte', async (_version, header) => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod);
    const all = Buffer.concat([header, request]);
    for (let at = 1; at < all.length; at++) {
      using peer = await Peer.connect(plane.httpPort);
      await peer.writeApart(all.subarray(0, at), all.subarray(at));
      expect((await peer.message()).status).toBe(200);
    }
  });

  test.each([
    ['v1', v1],
    ['v2', v2],
  ])('%s and a hello for a passthrough pod, cut at every byte', async (_version, header) => {
    await using pod = await Pod.start();
    await using plane = await serve(pod);
    const all = Buffer.concat([header, hello]);
    for (let at = 1; at < all.length; at++) {
      using peer = await Peer.connect(plane.httpsPort);
      await peer.writeApart(all.subarray(0, at), all.subarray(at));
      const upstream = await pod.connection(at - 1);
      await upstream.untilBytes(hello.length);
      expect(upstream.bytes.equals(hello)).toBe(true);
    }
  });

  test('byte by byte, on both ports', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod);
    const bytes = (all: Buffer): Buffer[] => [...all].map((byte) => Buffer.from([byte]));
    using plain = await Peer.connect(plane.httpPort);
    await plain.writeApart(...bytes(Buffer.concat([v1, request])));
    expect((await plain.message()).status).toBe(200);
    const cut = (all: Buffer, nth: number): Buffer[] => (nth === 0 ? bytes(Buffer.concat([v2, all])) : [all]);
    using tls = await connectTlsInPieces(plane.httpsPort, cut, { servername: 'edge.test' });
    await tls.write(getRequest('edge.test'));
    expect((await tls.message()).status).toBe(200);
  });

  test('several requests, and a body that is larger than a read, in one write', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await serve(pod);
    using peer = await Peer.connect(plane.httpPort);
    const body = 'x'.repeat(300_000);
    const post = `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    await peer.write(Buffer.concat([v2, Buffer.from(getRequest('a.test') + post + getRequest('a.test'))]));
    for (let i = 0; i < 3; i++) expect((await peer.message()).status).toBe(200);
    expect(seen.map((message) => message.body.length)).toEqual([0, body.length, 0]);
  });

  test('a header, a request and the client’s end in one segment', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod);
    using peer = await Peer.connect(plane.httpPort);
    void peer.write(Buffer.concat([v1, request]));
    peer.finish();
    expect((await peer.message()).status).toBe(200);
  });
});

describe('no header to go by', () => {
  const quick = { settings: { inspectDelayMs: 100 } };
  const tooLong = Buffer.concat([v2.subarray(0, 14), Buffer.from([0xff, 0xff])]);

  test.each<[string, Buffer, (peer: Peer) => void, EndReason]>([
    ['a request at once', Buffer.from(getRequest('a.test')), () => {}, 'proxy-header-missing'],
    ['a hello at once', hello, () => {}, 'proxy-header-missing'],
    [
      'the path of health checks',
      Buffer.from(getRequest('x', '/_______internal_router_healthz')),
      () => {},
      'proxy-header-missing',
    ],
    ['garbage', Buffer.from('PROXY garbage\r\n'), () => {}, 'proxy-header-malformed'],
    ['a line without end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`), () => {}, 'proxy-header-too-long'],
    ['65,535 bytes announced', tooLong, () => {}, 'proxy-header-too-long'],
    ['half a line and silence', v1.subarray(0, 20), () => {}, 'proxy-header-timeout'],
    ['half of version 2 and silence', v2.subarray(0, 20), () => {}, 'proxy-header-timeout'],
    ['silence', Buffer.alloc(0), () => {}, 'proxy-header-timeout'],
    ['half a line and the end', v1.subarray(0, 20), (peer) => peer.finish(), 'proxy-header-malformed'],
    ['the end at once', Buffer.alloc(0), (peer) => peer.finish(), 'client-closed'],
    ['a reset', Buffer.alloc(0), (peer) => peer.reset(), 'client-closed'],
  ])('%s: closed without an answer, on both ports', async (_name, sent, then, reason) => {
    await using pod = await Pod.start();
    await using plane = await serve(pod, reason === 'proxy-header-timeout' ? quick : {});
    for (const [i, port] of [plane.httpPort, plane.httpsPort].entries()) {
      using peer = await Peer.connect(port);
      await peer.writeApart(sent);
      then(peer);
      expect(await plane.ended(i + 1)).toBe(reason);
      await peer.ended;
      expect(peer.receivedBytes).toBe(0);
    }
    expect(pod.connections).toEqual([]);
    expect(plane.metric('headgate_sessions_ended_total', reason, 'downstream')).toBe(2);
  });

  test('a line that drips gets no more time than one that comes at once', async () => {
    await using pod = await Pod.start();
    await using plane = await serve(pod, quick);
    using peer = await Peer.connect(plane.httpPort);
    await peer.write('PROXY UNKNOWN ');
    const drip = setInterval(() => peer.socket.write('x'), 20);
    await peer.ended;
    clearInterval(drip);
    expect(await plane.ended()).toBe('proxy-header-timeout');
  });

  test('behind the header nothing comes: the times of the ports hold', async () => {
    await using pod = await Pod.start();
    await using plane = await serve(pod, { settings: { inspectDelayMs: 100, headTimeoutMs: 100 } });
    using plain = await Peer.connect(plane.httpPort);
    await plain.write(v1);
    await plain.ended;
    plain.finish();
    expect(await plane.ended(1)).toBe('client-idle');
    using tls = await Peer.connect(plane.httpsPort);
    await tls.write(v1);
    await tls.ended;
    expect(await plane.ended(2)).toBe('hello-timeout');
  });

  test('a second header is no request', async () => {
    await using pod = await Pod.start();
    await using plane = await serve(pod);
    using peer = await Peer.connect(plane.httpPort);
    await peer.write(Buffer.concat([v1, v1, Buffer.from(getRequest('a.test'))]));
    expect((await peer.message()).status).toBe(400);
  });

  test('the path of health checks answers behind a header', async () => {
    await using pod = await Pod.start();
    await using plane = await serve(pod);
    using peer = await Peer.connect(plane.httpPort);
    await peer.write(Buffer.concat([v1, Buffer.from(getRequest('x', '/_______internal_router_healthz'))]));
    expect((await peer.message()).status).toBe(200);
  });
});

describe('who is believed', () => {
  const balancer = { localAddress: '127.0.0.2' };
  const trusted = { proxyTrusted: ['127.0.0.2/31', '2001:db8::/32'] };

  test('a peer that is not: served under its own address', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await serve(pod, trusted);
    using plain = await Peer.connect(plane.httpPort);
    await plain.write(getRequest('a.test'));
    await plain.message();
    using tls = await Peer.connectTls(plane.httpsPort, { servername: 'edge.test' });
    await tls.write(getRequest('edge.test'));
    await tls.message();
    expect(seen.map((request) => request.fields.at(-1))).toEqual(Array(2).fill('X-Forwarded-For: 127.0.0.1'));
  });

  test.each([
    ['v1', v1],
    ['v2', v2],
  ])('its header (%s) is a bad request, or no TLS', async (_version, header) => {
    await using pod = await Pod.start();
    await using plane = await serve(pod, trusted);
    using plain = await Peer.connect(plane.httpPort);
    await plain.write(Buffer.concat([header, Buffer.from(getRequest('a.test'))]));
    expect((await plain.message()).status).toBe(400);
    plain.finish();
    await plane.ended(1);
    using tls = await Peer.connect(plane.httpsPort);
    await tls.write(Buffer.concat([header, hello]));
    expect(await plane.ended(2)).toBe('not-tls');
    expect(pod.connections).toEqual([]);
  });

  test('a peer that is: only with a header', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await serve(pod, trusted);
    using without = await Peer.connect(plane.httpPort, balancer);
    await without.write(getRequest('a.test'));
    expect(await plane.ended()).toBe('proxy-header-missing');
    using peer = await Peer.connect(plane.httpPort, balancer);
    await peer.write(v1, getRequest('a.test'));
    await peer.message();
    expect(seen.map((request) => request.fields.at(-1))).toEqual(['X-Forwarded-For: 203.0.113.7']);
  });

  test('an IPv4 balancer of a dual-stack socket is an IPv4 balancer', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await serve(pod, { proxyTrusted: ['127.0.0.2/32'], address: '::' });
    for (const [from, header] of [
      [{ host: '127.0.0.1', ...balancer }, v1],
      [{ host: '127.0.0.1' }, Buffer.alloc(0)],
      [{ host: '::1' }, Buffer.alloc(0)],
    ] as const) {
      using peer = await Peer.connect(plane.httpPort, from);
      await peer.write(Buffer.concat([header, Buffer.from(getRequest('a.test'))]));
      expect((await peer.message()).status).toBe(200);
    }
    const told = seen.map((request) => request.fields.at(-1)?.replace('X-Forwarded-For: ', ''));
    expect(told).toEqual([client.address, '127.0.0.1', '::1']);
  });

  test('nobody, where the protocol is off', async () => {
    await using pod = await Pod.start();
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using peer = await Peer.connect(plane.httpPort);
    await peer.write(v1, getRequest('a.test'));
    expect((await peer.message()).status).toBe(400);
  });
});

describe('told to passthrough pods', () => {
  /** What the pod gets in front of the hello of a client that begins so, and the ports of the client and of the router. */
  async function announced(
    proxyProtocol: 'v1' | 'v2',
    before: Buffer | null,
  ): Promise<{ got: Buffer; clientPort: number; routerPort: number }> {
    await using pod = await Pod.start();
    await using refusing = await RefusingPort.find();
    await using plane = await DataPlane.start(
      route({ host: helloName, pods: [refusing.port, pod.port], termination: 'passthrough', proxyProtocol }),
      before === null ? {} : { proxyTrusted: [] },
    );
    using peer = await Peer.connect(plane.httpsPort);
    await peer.write(Buffer.concat([before ?? Buffer.alloc(0), hello]));
    const upstream = await pod.connection(0);
    await upstream.until(() => upstream.bytes.subarray(-hello.length).equals(hello));
    const got = upstream.bytes.subarray(0, -hello.length);
    return { got, clientPort: peer.socket.localPort ?? 0, routerPort: plane.httpsPort };
  }

  test.each(['v1', 'v2'] as const)('%s: the client, as the router sees it', async (version) => {
    const { got, clientPort, routerPort } = await announced(version, null);
    const source = { address: '127.0.0.1', port: clientPort };
    expect(got).toEqual(renderProxyHeader(version, source, { address: '127.0.0.1', port: routerPort }));
    expect(readProxyHeader(got).kind).toBe('header');
  });

  test.each([
    ['v1', v1, v1],
    ['v1', v2, v1],
    ['v2', v1, v2],
    ['v2', renderProxyHeader('v1', client, entry6), renderProxyHeader('v2', client, entry6)],
  ] as const)('%s: the client, as a balancer named it', async (version, before, expected) => {
    expect((await announced(version, before)).got).toEqual(expected);
  });

  test.each([
    ['127.0.0.1', 'PROXY TCP4 127.0.0.1 127.0.0.1 '],
    ['::1', 'PROXY TCP6 ::1 ::1 '],
  ])('a client of a dual-stack socket: %s', async (clientHost, expected) => {
    await using pod = await Pod.start();
    await using plane = await DataPlane.start(
      route({ host: helloName, pods: [pod.port], termination: 'passthrough', proxyProtocol: 'v1' }),
      { address: '::' },
    );
    using peer = await Peer.connect(plane.httpsPort, { host: clientHost });
    await peer.write(hello);
    expect(await (await pod.connection(0)).untilText('\r\n')).toBe(
      `${expected}${peer.socket.localPort} ${plane.httpsPort}\r\n`,
    );
  });

  test('nothing, unless the Route asks for it', async () => {
    await using pod = await Pod.start();
    await using plane = await serve(pod);
    using peer = await Peer.connect(plane.httpsPort);
    await peer.write(Buffer.concat([v1, hello]));
    const upstream = await pod.connection(0);
    await upstream.untilBytes(hello.length);
    expect(upstream.bytes).toEqual(hello);
  });

  test('both directions go on behind it', async () => {
    const made = makeCertificate({ names: [helloName] });
    const got = Promise.withResolvers<string>();
    // A pod that takes the header off and serves TLS behind it.
    await using inner = await Pod.start(answering(ok('from the pod')), { cert: made.certificate, key: made.key });
    await using pod = await Pod.start(async (peer) => {
      got.resolve(await peer.untilText('\r\n'));
      const behind = await Peer.connect(inner.port);
      peer.socket.pipe(behind.socket);
      behind.socket.pipe(peer.socket);
      behind.socket.write(peer.take());
      await peer.ended;
    });
    await using plane = await DataPlane.start(
      route({ host: helloName, pods: [pod.port], termination: 'passthrough', proxyProtocol: 'v1' }),
    );
    using peer = await Peer.connectTls(plane.httpsPort, { servername: helloName });
    await peer.write(getRequest(helloName));
    expect((await peer.message()).body.toString()).toBe('from the pod');
    expect(await got.promise).toMatch(/^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n$/);
  });
});

const curlVersion = await run('curl', ['--version']).then(
  ({ stdout }) => Number(/^curl (\d+\.\d+)/.exec(stdout)?.[1] ?? 0),
  () => 0,
);

describe.skipIf(curlVersion < 7.6)('curl --haproxy-protocol (skipped without curl 7.60)', () => {
  test.each(['http', 'https'] as const)('%s', async (scheme) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await serve(pod);
    const [host, port] = scheme === 'http' ? ['a.test', plane.httpPort] : ['edge.test', plane.httpsPort];
    const { stdout } = await run('curl', [
      ...['-sk', '--noproxy', '*', '--http1.1', '--haproxy-protocol', '--max-time', '10'],
      ...['--connect-to', `::127.0.0.1:${port}`, `${scheme}://${host}/`],
    ]);
    expect(stdout).toBe('hi');
    expect(seen[0]?.fields).toContain(`X-Forwarded-Port: ${port}`);
  });
});

const haproxy = '/usr/sbin/haproxy';

describe.skipIf(!existsSync(haproxy))(`HAProxy in front (skipped without ${haproxy})`, () => {
  test.each(['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl,authority'])(
    '%s',
    async (how) => {
      const seen: Message[] = [];
      await using pod = await Pod.start(answering(ok('hi'), seen));
      await using plane = await serve(pod);
      const folder = mkdtempSync(join(tmpdir(), 'headgate-haproxy-'));
      const entrance = join(folder, 'in.sock');
      writeFileSync(
        join(folder, 'haproxy.cfg'),
        `defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend in
  bind unix@${entrance} accept-proxy
  unique-id-format %[uuid()]
  default_backend out
backend out
  server router 127.0.0.1:${plane.httpPort} ${how}
`,
      );
      const running = spawn(haproxy, ['-db', '-f', join(folder, 'haproxy.cfg')], { stdio: 'ignore' });
      try {
        const socket = await connectWhenThere(entrance);
        using peer = socket;
        await peer.write(renderProxyHeader('v1', client, entry), getRequest('a.test'));
        expect((await peer.message()).status).toBe(200);
        const told = seen[0]?.fields.filter((field) => /forwarded/i.test(field));
        expect(told).toEqual(forwardedLines(client.address, client.address, 'a.test', entry.port, 'http'));
      } finally {
        const gone = new Promise((done) => running.once('exit', done));
        running.kill('SIGKILL');
        await gone;
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

/** A connection to a socket that is about to be listened on. */
async function connectWhenThere(path: string): Promise<Peer> {
  for (;;) {
    try {
      return await Peer.connect(0, { path } as object);
    } catch {
      await new Promise((later) => setTimeout(later, 20));
    }
  }
}
