// What one source may hold, what may be under way before HTTP begins, and that whoever stalls there loses its place in time.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { renderProxyHeader } from '../../src/protocol/proxy-header.ts';
import type { EndReason } from '../../src/proxy/end-reason.ts';
import { connectTlsInPieces } from '../support/cut-stream.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));

function serve(pod: Pod, settings: DataPlaneOptions['settings'], proxyTrusted?: readonly string[]): Promise<DataPlane> {
  const pods = [pod.port];
  return DataPlane.start(
    [...route({ host: 'a.test', pods }), ...route({ host: 'edge.test', pods, termination: 'edge' })],
    { ...(settings === undefined ? {} : { settings }), ...(proxyTrusted === undefined ? {} : { proxyTrusted }) },
  );
}

/** A client whose request over the plain port has been answered, and that stays. */
async function answered(plane: DataPlane, before: Buffer = Buffer.alloc(0), localAddress = '127.0.0.1'): Promise<Peer> {
  const peer = await Peer.connect(plane.httpPort, { localAddress });
  await peer.write(Buffer.concat([before, Buffer.from(getRequest('a.test'))]));
  expect((await peer.message()).status).toBe(200);
  return peer;
}

/** The header of a balancer in front of this client. */
function from(address: string): Buffer {
  return renderProxyHeader('v2', { address, port: 1 }, { address: '198.51.100.9', port: 80 });
}

/** Waits for the next end beyond those there have been. */
const nextEnd = (plane: DataPlane): Promise<EndReason> => plane.ended(plane.endReasons.length + 1);

describe('connections of one source', () => {
  test('one too many is closed without a word; one that leaves makes room; others are not concerned', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { maxConnectionsPerSource: 2 });
    using first = await answered(plane);
    using second = await Peer.connectTls(plane.httpsPort, { servername: 'edge.test' });
    for (const port of [plane.httpPort, plane.httpsPort]) {
      using third = await Peer.connect(port);
      await third.ended;
      expect(third.receivedBytes).toBe(0);
    }
    expect(plane.endReasons).toEqual(['source-limit', 'source-limit']);
    expect(plane.sessions).toBe(2);
    for (const listener of ['http', 'https']) {
      expect(plane.metric('headgate_connections_refused_total', listener, 'connections-per-source')).toBe(1);
    }
    using _other = await answered(plane, Buffer.alloc(0), '127.0.0.2');
    const ended = nextEnd(plane);
    first.reset();
    await ended;
    using _fourth = await answered(plane);
    expect(second.end).toBeNull();
  });

  test('behind a balancer the clients are counted, not the balancer; of IPv6, their /64', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { maxConnectionsPerSource: 1 }, []);
    using _one = await answered(plane, from('203.0.113.7'));
    using _two = await answered(plane, from('203.0.113.8'));
    using _three = await answered(plane, from('2001:db8::1'));
    using _four = await answered(plane, from('2001:db8:0:1::1'));
    expect(plane.clientLimits.sources).toBe(4);
    for (const address of ['203.0.113.7', '2001:db8::ffff']) {
      for (const port of [plane.httpPort, plane.httpsPort]) {
        using peer = await Peer.connect(port);
        const ended = nextEnd(plane);
        await peer.write(Buffer.concat([from(address), Buffer.from(getRequest('a.test'))]));
        expect(await ended).toBe('source-limit');
        await peer.ended;
        expect(peer.receivedBytes).toBe(0);
      }
    }
  });
});

describe('handshakes', () => {
  /** A client that sends a hello, hears the answer, and says no more. */
  async function stalled(plane: DataPlane, localAddress = '127.0.0.1'): Promise<Peer> {
    const peer = await Peer.connect(plane.httpsPort, { localAddress });
    await peer.write(hello);
    await peer.untilBytes(1);
    return peer;
  }

  test('one too many is closed; those that are over count no more', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { maxHandshakes: 2 });
    // Established connections are not handshakes.
    using done = new DisposableStack();
    for (let i = 0; i < 3; i++) done.use(await Peer.connectTls(plane.httpsPort, { servername: 'edge.test' }));
    using first = await stalled(plane);
    using _second = await stalled(plane);
    const refused = nextEnd(plane);
    await expect(Peer.connectTls(plane.httpsPort, { servername: 'edge.test' })).rejects.toThrow();
    expect(await refused).toBe('handshake-limit');
    expect(plane.metric('headgate_connections_refused_total', 'https', 'handshakes')).toBe(1);
    const ended = nextEnd(plane);
    first.reset();
    expect(await ended).toBe('handshake-failed');
    done.use(await Peer.connectTls(plane.httpsPort, { servername: 'edge.test' }));
  });

  test('clients that never finish do not keep out those that would', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { maxHandshakes: 1, headTimeoutMs: 60_000 });
    using slow = await stalled(plane);
    let served: Peer | null = null;
    while (served === null) {
      served = await Peer.connectTls(plane.httpsPort, { servername: 'edge.test' }).catch(() => null);
    }
    using peer = served;
    await peer.write(getRequest('edge.test'));
    expect((await peer.message()).status).toBe(200);
    await slow.ended;
    expect(new Set(plane.endReasons)).toEqual(new Set(['handshake-limit']));
  });

  test('of one source', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { maxHandshakesPerSource: 1 });
    using _stalled = await stalled(plane);
    using _other = await stalled(plane, '127.0.0.2');
    const refused = nextEnd(plane);
    await expect(Peer.connectTls(plane.httpsPort, { servername: 'edge.test' })).rejects.toThrow();
    expect(await refused).toBe('source-limit');
    expect(plane.metric('headgate_connections_refused_total', 'https', 'handshakes-per-source')).toBe(1);
  });

  test('passthrough is no handshake of the router’s', async () => {
    await using pod = await Pod.start();
    await using plane = await DataPlane.start(
      route({ host: 'thirteen.example.test', pods: [pod.port], termination: 'passthrough' }),
      { settings: { maxHandshakes: 1, maxHandshakesPerSource: 1 } },
    );
    const peers = await Promise.all([1, 2, 3].map(() => Peer.connect(plane.httpsPort)));
    for (const peer of peers) await peer.write(hello);
    for (let nth = 0; nth < 3; nth++) await (await pod.connection(nth)).untilBytes(hello.length);
    for (const peer of peers) peer.reset();
  });
});

describe('clients that stall before HTTP begins lose their place by their deadline', () => {
  const quick = { inspectDelayMs: 150, headTimeoutMs: 150 };
  const one = { ...quick, maxConnectionsPerSource: 1, maxHandshakes: 1, maxHandshakesPerSource: 1 };
  const header = from('203.0.113.7');

  type Stall = readonly [
    name: string,
    port: 'http' | 'https',
    behindBalancer: boolean,
    sent: Buffer,
    reason: EndReason,
  ];
  const stalls: readonly Stall[] = [
    ['no byte', 'http', false, Buffer.alloc(0), 'client-idle'],
    ['half a head', 'http', false, Buffer.from('GET / HT'), 'request-refused'],
    ['no byte', 'https', false, Buffer.alloc(0), 'hello-timeout'],
    ['a byte', 'https', false, hello.subarray(0, 1), 'hello-timeout'],
    ['half a hello', 'https', false, hello.subarray(0, 100), 'hello-timeout'],
    ['a hello', 'https', false, hello, 'handshake-timeout'],
    ['no byte of a PROXY header', 'http', true, Buffer.alloc(0), 'proxy-header-timeout'],
    ['half a PROXY header', 'http', true, header.subarray(0, 9), 'proxy-header-timeout'],
    ['no byte of a PROXY header', 'https', true, Buffer.alloc(0), 'proxy-header-timeout'],
    ['half a PROXY header', 'https', true, header.subarray(0, 20), 'proxy-header-timeout'],
    ['a PROXY header', 'http', true, header, 'client-idle'],
    ['a PROXY header', 'https', true, header, 'hello-timeout'],
    ['a PROXY header and half a hello', 'https', true, Buffer.concat([header, hello.subarray(0, 9)]), 'hello-timeout'],
    ['a PROXY header and a hello', 'https', true, Buffer.concat([header, hello]), 'handshake-timeout'],
  ];

  test.each(stalls)('%s (%s, behind a balancer: %s)', async (_name, port, behindBalancer, sent, reason) => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, one, behindBalancer ? [] : undefined);
    const before = behindBalancer ? header : Buffer.alloc(0);
    using stalling = await Peer.connect(port === 'http' ? plane.httpPort : plane.httpsPort);
    await stalling.write(sent);
    await stalling.ended;
    stalling.finish();
    expect(await plane.ended()).toBe(reason);
    expect(plane.clientLimits.sources).toBe(0);
    expect(plane.clientLimits.handshakes).toBe(0);
    // Its place is free: with a limit of one, another client of the same source is served.
    using plain = await answered(plane, before);
    const left = nextEnd(plane);
    plain.reset();
    await left;
    const cut = (all: Buffer, nth: number): Buffer[] => [nth === 0 ? Buffer.concat([before, all]) : all];
    using tls = await connectTlsInPieces(plane.httpsPort, cut, { servername: 'edge.test' });
    await tls.write(getRequest('edge.test'));
    expect((await tls.message()).status).toBe(200);
  });
});
