// The address of an idled Service refuses, or says nothing, until its pods are there: who asked first is held until then.

import { createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type TlsOptions } from 'node:tls';
import { describe, expect, test } from 'vitest';
import type { Change } from '../../src/table/delta.ts';
import type { Endpoint } from '../../src/table/entries.ts';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane } from '../support/data-plane.ts';
import { flags } from '../support/http2/frames.ts';
import { RawPod } from '../support/http2/raw-pod.ts';
import { answering, connected, getRequest, ok, Peer, Pod, RefusingPort } from '../support/peers.ts';
import { eventually } from '../support/router.ts';
import { backend, endpoint, h2cEndpoint, type RouteWish, route } from '../support/rules.ts';

/** As long as a pause may be with this: the tests would take seconds otherwise. */
const settings = { connectTimeoutMs: 300 };

/** A Service's own address: one of this machine's at which nobody listens as long as nothing has been woken. */
class ClusterAddress implements AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly #reserved: RefusingPort;
  #server: Server | null = null;
  readonly #sockets: Set<Socket> = new Set();

  private constructor(reserved: RefusingPort) {
    this.#reserved = reserved;
    // The port is ours at another address already.
    this.endpoint = endpoint(reserved.port, '127.7.4.1');
  }

  static async find(): Promise<ClusterAddress> {
    return new ClusterAddress(await RefusingPort.find());
  }

  /** From now on whoever connects is answered `text`. */
  async wake(text: string): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('data', () => socket.write(text));
    });
    this.#server = server;
    await new Promise<void>((listening) => {
      server.listen(this.endpoint.port, this.endpoint.address, listening);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((closed) => {
      if (this.#server === null) closed();
      else this.#server.close(() => closed());
    });
    await this.#reserved[Symbol.asyncDispose]();
  }
}

function idled(address: ClusterAddress, wish: Partial<RouteWish> = {}): Change[] {
  const services = [{ service: 'asleep', pods: [address.endpoint], idled: true }] as const;
  return route({ host: 'a.test', services, ...wish });
}

/** Waits until so many connections have been refused. */
function failed(plane: DataPlane, count: number): Promise<number> {
  return eventually(
    async () => plane.metric('headgate_upstream_connects_total', 'refused'),
    (failures) => failures >= count,
  );
}

describe('the first request', () => {
  test('is held until its address answers', async () => {
    await using address = await ClusterAddress.find();
    await using plane = await DataPlane.start(idled(address), { settings });
    using client = await Peer.connect(plane.httpPort);
    await client.write('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc');
    await failed(plane, 1);
    await address.wake(ok('awake'));
    expect((await client.message()).body.toString()).toBe('awake');
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBeGreaterThan(0);
  });

  test('goes to the pods where they are known first', async () => {
    await using address = await ClusterAddress.find();
    await using pod = await Pod.start(answering(ok('pod')));
    await using plane = await DataPlane.start(idled(address), { settings });
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await failed(plane, 1);
    plane.put(backend('asleep', [pod.port]));
    expect((await client.message()).body.toString()).toBe('pod');
  });

  test('goes to pods of HTTP/2, a body in chunks without them', async () => {
    await using address = await ClusterAddress.find();
    const bodies: string[] = [];
    await using pod = await RawPod.start(async (peer) => {
      const stream = await peer.request();
      await peer.until(() => peer.stream(stream).body.length > 0);
      await client.write('llo\r\n6\r\n there\r\n0\r\nx-checked: yes\r\n\r\n');
      await peer.until(() => peer.stream(stream).ended);
      const { body, heads } = peer.stream(stream);
      bodies.push(body, JSON.stringify(heads[1]));
      peer.head(stream, [[':status', '204']], flags.endHeaders | flags.endStream);
    });
    await using plane = await DataPlane.start(idled(address), { settings });
    using client = await Peer.connect(plane.httpPort);
    await client.write('POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe');
    await failed(plane, 1);
    plane.put(backend('asleep', [h2cEndpoint(pod.port)]));
    expect((await client.message()).status).toBe(204);
    expect(bodies).toEqual(['hello there', '[["x-checked","yes"]]']);
  });

  test('is answered 503 after three further tries, with pauses', async () => {
    await using address = await ClusterAddress.find();
    await using plane = await DataPlane.start(idled(address), { settings });
    using client = await Peer.connect(plane.httpPort);
    const startedMs = performance.now();
    await client.write(getRequest('a.test'));
    expect((await client.message()).status).toBe(503);
    expect(performance.now() - startedMs).toBeGreaterThan(3 * settings.connectTimeoutMs);
    expect(plane.answers(503, 'connect-failed')).toBe(1);
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(4);
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(3);
    // The connection goes on.
    plane.put(backend('asleep', []));
    await client.write(getRequest('a.test'));
    expect((await client.message()).status).toBe(503);
    expect(plane.answers(503, 'no-endpoint')).toBe(1);
  });

  test('is answered without a further try when the Service is awake and has no pods after all', async () => {
    await using address = await ClusterAddress.find();
    await using plane = await DataPlane.start(idled(address), { settings });
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await failed(plane, 1);
    plane.put(backend('asleep', []));
    expect((await client.message()).status).toBe(503);
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(0);
  });

  test('where the address says nothing, it is dialled again and again', async () => {
    const made = makeCertificate({ names: ['pod'] });
    const context = createSecureContext({ cert: made.certificate, key: made.key });
    let hellos = 0;
    // A handshake is part of connecting: whoever takes the connection and no more lets it time out.
    const SNICallback: TlsOptions['SNICallback'] = (_name, found) => {
      hellos += 1;
      if (hellos > 2) found(null, context);
    };
    await using pod = await Pod.start(answering(ok('awake')), { SNICallback });
    const services = [{ service: 'asleep', pods: [pod.port], idled: true }] as const;
    await using plane = await DataPlane.start(
      route({ host: 'a.test', termination: 'reencrypt', insecurePolicy: 'Allow', services }),
      { settings },
    );
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect((await client.message()).body.toString()).toBe('awake');
    expect(plane.metric('headgate_upstream_connects_total', 'timeout')).toBe(hellos - 1);
  });

  test('leaves nothing behind when its client goes during the pause', async () => {
    await using address = await ClusterAddress.find();
    await using plane = await DataPlane.start(idled(address, { podConnections: 1 }), { settings });
    const client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await failed(plane, 1);
    client.reset();
    expect(await plane.ended()).toBe('client-aborted');
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(1);
  });
});

test('pods of another Service of the Route are asked before there is a pause', async () => {
  await using address = await ClusterAddress.find();
  await using pod = await Pod.start(answering(ok('pod')));
  const services = [
    { service: 'asleep', pods: [address.endpoint], idled: true, weight: 256 },
    { service: 'awake', pods: [pod.port], weight: 1 },
  ] as const;
  await using plane = await DataPlane.start(route({ host: 'a.test', services }), {
    settings: { connectTimeoutMs: 60_000 },
  });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test'));
  expect((await client.message()).body.toString()).toBe('pod');
});

test('a dead pod of another Service is not asked again with the address', async () => {
  await using address = await ClusterAddress.find();
  await using dead = await RefusingPort.find();
  const services = [
    { service: 'asleep', pods: [address.endpoint], idled: true },
    { service: 'dead', pods: [dead.port] },
  ] as const;
  await using plane = await DataPlane.start(route({ host: 'a.test', services }), { settings });
  using client = await Peer.connect(plane.httpPort);
  await client.write(getRequest('a.test'));
  await failed(plane, 2);
  await address.wake(ok('awake'));
  expect((await client.message()).body.toString()).toBe('awake');
  expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(2);
});

describe('a connection that passes through', () => {
  const passing = { termination: 'passthrough' } as const;

  /** A client whose hello is for the Route. */
  function helloFrom(plane: DataPlane): Socket {
    const { httpsPort: port } = plane;
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'a.test', rejectUnauthorized: false });
    return socket.on('error', () => {});
  }

  test('is held until the pods come', async () => {
    const made = makeCertificate({ names: ['pod'] });
    await using address = await ClusterAddress.find();
    await using pod = await Pod.start(answering(ok('pod')), { cert: made.certificate, key: made.key });
    await using plane = await DataPlane.start(idled(address, { ...passing, podConnections: 1 }), {
      settings: { ...settings, clientFinTimeoutMs: 50, serverFinTimeoutMs: 50 },
    });
    const client = helloFrom(plane);
    await failed(plane, 1);
    plane.put(backend('asleep', [pod.port]));
    await connected(client, 'secureConnect');
    client.destroy();
  });

  test('ends after three further tries', async () => {
    await using address = await ClusterAddress.find();
    await using plane = await DataPlane.start(idled(address, passing), { settings });
    const client = helloFrom(plane);
    expect(await plane.ended()).toBe('connect-failed');
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(4);
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(3);
    client.destroy();
  });
});
