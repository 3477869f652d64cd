// Connections that the router does not open: bytes both ways untouched, each end as it is meant.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { answering, getRequest, holdOpen, ok, Peer, Pod, RefusingPort, untilStill } from '../support/peers.ts';
import { hostWithRoutes, route } from '../support/rules.ts';

/** A real hello with the name below; what follows it is not the router's to read, so it need not be TLS. */
const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
const host = 'thirteen.example.test';

/** A data plane with one passthrough Route to these ports. */
function serve(ports: readonly number[], options: DataPlaneOptions = {}): Promise<DataPlane> {
  return DataPlane.start(route({ host, pods: ports, termination: 'passthrough' }), options);
}

/** A client and the pod's end of its connection, the hello delivered. */
async function connectBoth(plane: DataPlane, pod: Pod): Promise<{ readonly client: Peer; readonly upstream: Peer }> {
  const client = await Peer.connect(plane.httpsPort);
  await client.write(hello);
  const upstream = await pod.connection(0);
  await upstream.untilBytes(hello.length);
  expect(upstream.take()).toEqual(hello);
  return { client, upstream };
}

describe('TLS from end to end', () => {
  test.each([
    ['TLSv1.2', 'pass.test'],
    ['TLSv1.3', 'pass.test'],
    ['TLSv1.3', 'PASS.test'],
    ['TLSv1.3', 'any.pass.test'],
  ] as const)(
    '%s, SNI %s: the pod’s certificate and protocol are what the client sees',
    async (version, servername) => {
      const made = makeCertificate({ names: ['the-pod'] });
      const tls = { cert: made.certificate, key: made.key, ALPNProtocols: ['h2'] };
      await using pod = await Pod.start(answering(ok('from the pod')), tls);
      const passthrough = { pods: [pod.port], termination: 'passthrough' } as const;
      await using plane = await DataPlane.start([
        ...route({ ...passthrough, host: 'pass.test' }),
        ...route({ ...passthrough, host: '*.pass.test' }),
      ]);
      const options = { minVersion: version, maxVersion: version, servername, ALPNProtocols: ['h2'] };
      using client = await Peer.connectTls(plane.httpsPort, options);
      expect(client.tls.getPeerCertificate().subject.CN).toBe('the-pod');
      expect(client.tls.alpnProtocol).toBe('h2');
      await client.write(getRequest('whatever.test'));
      expect((await client.message()).body.toString()).toBe('from the pod');
      expect((await pod.connection(0)).tls.servername).toBe(servername);
    },
  );

  test('an exact terminated host is not swallowed by a passthrough wildcard above it', async () => {
    await using pod = await Pod.start(answering(ok('terminated')));
    await using plane = await DataPlane.start([
      ...route({ host: '*.pass.test', pods: [pod.port], termination: 'passthrough' }),
      ...route({ host: 'own.pass.test', pods: [pod.port], termination: 'edge' }),
    ]);
    using client = await Peer.connectTls(plane.httpsPort, { servername: 'own.pass.test' });
    await client.write(getRequest('own.pass.test'));
    expect((await client.message()).body.toString()).toBe('terminated');
  });

  test('by Host over a terminated connection it is not reached', async () => {
    await using pod = await Pod.start();
    await using plane = await serve([pod.port]);
    using client = await Peer.connectTls(plane.httpsPort);
    await client.write(getRequest(host));
    expect((await client.message()).body.toString()).toContain('no-route');
  });

  test('a plain Route with a path beside it serves the plain port', async () => {
    await using pod = await Pod.start(answering(ok('plain')));
    await using plane = await DataPlane.start(
      hostWithRoutes(host, [
        { host, path: '/x', pods: [pod.port] },
        { host, pods: [pod.port], termination: 'passthrough', insecurePolicy: 'Redirect' },
      ]),
    );
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest(host, '/x/y') + getRequest(host, '/z?a=b'));
    expect((await client.message()).body.toString()).toBe('plain');
    expect((await client.message()).fields).toContain(`Location: https://${host}:28443/z?a=b`);
  });
});

test('20 MB both ways at once, byte for byte', async () => {
  const total = 20 << 20;
  const digests = Array.from({ length: 4 }, () => createHash('sha256'));
  const [up = createHash('sha256'), atPod = up, down = up, atClient = up] = digests;
  await using pod = await Pod.start();
  await using plane = await serve([pod.port]);
  const { client, upstream } = await connectBoth(plane, pod);
  using _client = client;
  upstream.hashInto(atPod);
  client.hashInto(atClient);
  await Promise.all([
    client.writeMany(total, up, 70_001),
    upstream.writeMany(total, down, 50_003),
    upstream.untilBytes(hello.length + total),
    client.untilBytes(total),
  ]);
  expect(atPod.digest('hex')).toBe(up.digest('hex'));
  expect(atClient.digest('hex')).toBe(down.digest('hex'));
  expect(plane.metric('headgate_received_bytes_total')).toBe(hello.length + total);
  expect(plane.metric('headgate_sent_bytes_total')).toBe(total);
});

describe('back-pressure', () => {
  test.each(['client', 'pod'] as const)('a %s that does not read stops the other side', async (slow) => {
    const total = 32 << 20;
    const sent = createHash('sha256');
    const received = createHash('sha256');
    await using pod = await Pod.start();
    await using plane = await serve([pod.port]);
    const { client, upstream } = await connectBoth(plane, pod);
    using _client = client;
    const [writer, reader] = slow === 'client' ? [upstream, client] : [client, upstream];
    reader.stopReading();
    const before = reader.receivedBytes;
    const writing = writer.writeMany(total, sent);
    await untilStill(() => writer.socket.bytesWritten);
    expect(writer.socket.bytesWritten).toBeLessThan(total / 2);
    reader.hashInto(received);
    reader.readOn();
    await writing;
    await reader.untilBytes(before + total);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
  });
});

describe('ends', () => {
  test('the client closes its half: the pod hears it and may go on', async () => {
    await using pod = await Pod.start(holdOpen);
    await using plane = await serve([pod.port]);
    const { client, upstream } = await connectBoth(plane, pod);
    using _client = client;
    await client.write('last words');
    client.finish();
    expect(await upstream.ended).toBe('fin');
    expect(upstream.text).toBe('last words');
    await upstream.writeApart('still', ' here');
    upstream.finish();
    expect(await client.ended).toBe('fin');
    expect(client.text).toBe('still here');
    expect(await plane.ended()).toBe('tunnel-closed');
  });

  test('the pod closes its half: the client hears it and may go on', async () => {
    await using pod = await Pod.start(holdOpen);
    await using plane = await serve([pod.port]);
    const { client, upstream } = await connectBoth(plane, pod);
    using _client = client;
    await upstream.write('last words');
    upstream.finish();
    expect(await client.ended).toBe('fin');
    expect(client.text).toBe('last words');
    await client.writeApart('still', ' here');
    client.finish();
    expect(await upstream.ended).toBe('fin');
    expect(upstream.text).toBe('still here');
    expect(await plane.ended()).toBe('tunnel-closed');
  });

  test('both close at once behind a megabyte each: nothing is lost', async () => {
    const body = Buffer.alloc(1 << 20, 'x');
    await using pod = await Pod.start(holdOpen);
    await using plane = await serve([pod.port]);
    const { client, upstream } = await connectBoth(plane, pod);
    using _client = client;
    void client.write(body);
    void upstream.write(body);
    client.finish();
    upstream.finish();
    expect(await Promise.all([client.ended, upstream.ended])).toEqual(['fin', 'fin']);
    expect(client.receivedBytes).toBe(body.length);
    expect(upstream.receivedBytes).toBe(hello.length + body.length);
    expect(await plane.ended()).toBe('tunnel-closed');
  });

  test('the hello and the client’s end in one segment: the pod gets both', async () => {
    await using pod = await Pod.start(holdOpen);
    await using plane = await serve([pod.port]);
    using client = await Peer.connect(plane.httpsPort);
    void client.write(hello);
    client.finish();
    const upstream = await pod.connection(0);
    expect(await upstream.ended).toBe('fin');
    expect(upstream.bytes).toEqual(hello);
    upstream.finish();
    expect(await client.ended).toBe('fin');
    expect(await plane.ended()).toBe('tunnel-closed');
  });

  test.each([
    ['the client', 'client-aborted'],
    ['the pod', 'upstream-truncated'],
  ])('%s resets: the other side hears it', async (who, reason) => {
    await using pod = await Pod.start();
    await using plane = await serve([pod.port]);
    const { client, upstream } = await connectBoth(plane, pod);
    using _client = client;
    const [resetter, other] = who === 'the client' ? [client, upstream] : [upstream, client];
    resetter.reset();
    expect(await other.ended).toMatch(/fin|rst/);
    expect(await plane.ended()).toBe(reason);
    expect(plane.metric('headgate_passthrough_connections_total', reason)).toBe(1);
  });

  test('nothing moves for the tunnel’s time: both sides are closed', async () => {
    await using pod = await Pod.start();
    await using plane = await serve([pod.port], { settings: { tunnelTimeoutMs: 150 } });
    const { client, upstream } = await connectBoth(plane, pod);
    using _client = client;
    await Promise.all([client.ended, upstream.ended]);
    expect(await plane.ended()).toBe('tunnel-idle');
  });

  test.each([
    ['client', { clientFinTimeoutMs: 100 }],
    ['pod', { serverFinTimeoutMs: 100 }],
  ] as const)('half-closed by the %s and then silent: closed after the short time', async (who, settings) => {
    await using pod = await Pod.start(holdOpen);
    await using plane = await serve([pod.port], { settings });
    const { client, upstream } = await connectBoth(plane, pod);
    using _client = client;
    (who === 'client' ? client : upstream).finish();
    await Promise.all([client.ended, upstream.ended]);
    expect(await plane.ended()).toBe('tunnel-idle');
  });
});

describe('nobody to hand it to', () => {
  test('a pod that refuses is passed over; the other one gets the whole hello', async () => {
    await using refusing = await RefusingPort.find();
    await using pod = await Pod.start();
    await using plane = await serve([refusing.port, pod.port]);
    const { client } = await connectBoth(plane, pod);
    using _client = client;
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(1);
  });

  test.each([
    ['no pod', 'no-endpoint'],
    ['weight 0', 'no-endpoint'],
    ['all refuse', 'connect-failed'],
  ] as const)('%s: closed during the handshake, and the log says why', async (name, reason) => {
    await using refusing = await RefusingPort.find();
    const pods = name === 'no pod' ? [] : [refusing.port];
    const services = [{ service: 's', pods, weight: name === 'weight 0' ? 0 : 1 }];
    await using plane = await DataPlane.start(route({ host, name: 'r', services, termination: 'passthrough' }));
    using client = await Peer.connect(plane.httpsPort);
    await client.write(hello);
    await client.ended;
    expect(client.receivedBytes).toBe(0);
    expect(await plane.ended()).toBe(reason);
    expect(plane.lines).toEqual([expect.objectContaining({ reason, route: 'shop/r', host })]);
    expect(plane.metric('headgate_passthrough_connections_total', reason)).toBe(1);
  });
});
