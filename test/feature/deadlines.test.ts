// Peers that are too slow, or silent: who is cut off after which time, with which words, and that nothing stays behind.

import { describe, expect, test } from 'vitest';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod, untilStill } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const host = 'Host: a.test\r\n';
const post = `POST / HTTP/1.1\r\n${host}Content-Length: 100\r\n\r\n`;

function serve(pod: Pod, settings: DataPlaneOptions['settings'] = {}): Promise<DataPlane> {
  return DataPlane.start(
    [
      ...route({ host: 'a.test', pods: [pod.port] }),
      ...route({ host: 'edge.test', pods: [pod.port], termination: 'edge' }),
    ],
    { settings },
  );
}

/** How long something takes, in ms. */
async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await run();
  return performance.now() - from;
}

describe('request heads', () => {
  test.each([
    ['stops', 0],
    ['drips', 20],
  ])('a head that %s: 408 when its time is over', async (_name, everyMs) => {
    await using pod = await Pod.start();
    await using plane = await serve(pod, { headTimeoutMs: 200 });
    using client = await Peer.connect(plane.httpPort);
    await client.write(`GET / HTTP/1.1\r\n${host}X: `);
    const drip = everyMs === 0 ? null : setInterval(() => client.socket.write('x'), everyMs);
    const took = await timeOf(() => client.ended);
    if (drip !== null) clearInterval(drip);
    expect(took).toBeGreaterThan(190);
    expect(client.end).toBe('fin');
    const answer = await client.message();
    expect(answer.startLine).toBe('HTTP/1.1 408 Request Timeout');
    expect(answer.fields).toContain('Connection: close');
    expect(answer.body.toString()).toContain('head-timeout');
    client.finish();
    expect(await plane.ended()).toBe('request-refused');
    expect(pod.connections).toEqual([]);
  });

  test('the time of a second head begins with its first byte', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { headTimeoutMs: 200 });
    using client = await Peer.connect(plane.httpPort);
    await client.write(`${getRequest('a.test')}GET`);
    await client.message();
    expect((await client.message()).status).toBe(408);
  });

  test.each(['http', 'https'] as const)(
    'a new connection that never says a word (%s) is closed without one',
    async (scheme) => {
      await using pod = await Pod.start();
      await using plane = await serve(pod, { headTimeoutMs: 150 });
      using client = scheme === 'http' ? await Peer.connect(plane.httpPort) : await Peer.connectTls(plane.httpsPort);
      expect(await client.ended).toBe('fin');
      expect(client.receivedBytes).toBe(0);
      client.finish();
      expect(await plane.ended()).toBe('client-idle');
    },
  );
});

describe('between requests', () => {
  test.each(['http', 'https'] as const)('the keep-alive time: closed with FIN (%s)', async (scheme) => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { keepAliveTimeoutMs: 150, headTimeoutMs: 10_000 });
    using client = scheme === 'http' ? await Peer.connect(plane.httpPort) : await Peer.connectTls(plane.httpsPort);
    for (let i = 0; i < 2; i++) {
      await client.write(getRequest(scheme === 'http' ? 'a.test' : 'edge.test'));
      expect((await client.message()).status).toBe(200);
    }
    expect(await timeOf(() => client.ended)).toBeGreaterThan(140);
    expect(client.end).toBe('fin');
    expect(client.text).toBe('');
    client.finish();
    expect(await plane.ended()).toBe('client-idle');
  });

  test('a client that does not close its half in turn is cut after the fin time', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await serve(pod, { clientFinTimeoutMs: 100 });
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test', '/', 'Connection: close\r\n'));
    expect(await client.ended).toBe('fin');
    expect(await plane.ended()).toBe('answered-and-closed');
    expect(client.socket.writable).toBe(true);
  });
});

describe('bodies', () => {
  test('a body that stops: 408, and the pod’s connection is cut', async () => {
    await using pod = await Pod.start();
    await using plane = await serve(pod, { clientTimeoutMs: 150 });
    using client = await Peer.connect(plane.httpPort);
    await client.write(`${post}begin`);
    expect(await client.ended).toBe('fin');
    const answer = await client.message();
    expect(answer.status).toBe(408);
    expect(answer.fields).toContain('Connection: close');
    expect(answer.body.toString()).toContain('body-timeout');
    await (await pod.connection(0)).ended;
    client.finish();
    expect(await plane.ended()).toBe('request-refused');
  });

  test('a body that keeps coming, however slowly, is not cut; nor is an answer', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.until(() => peer.text.endsWith('x'.repeat(10)));
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
      for (let i = 0; i < 10; i++) {
        await later(50);
        await peer.write('y');
      }
    });
    await using plane = await serve(pod, { clientTimeoutMs: 250, serverTimeoutMs: 250 });
    using client = await Peer.connect(plane.httpPort);
    await client.write(`POST / HTTP/1.1\r\n${host}Content-Length: 10\r\n\r\n`);
    for (let i = 0; i < 10; i++) {
      await later(50);
      await client.write('x');
    }
    expect((await client.message()).body.toString()).toBe('y'.repeat(10));
  });

  test('a client that stops after the answer has begun: cut', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.untilText('begin');
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    });
    await using plane = await serve(pod, { clientTimeoutMs: 150 });
    using client = await Peer.connect(plane.httpPort);
    await client.write(`${post}begin`);
    await client.ended;
    expect(client.text).toMatch(/half$/);
    expect(await plane.ended()).toBe('client-timeout');
    await (await pod.connection(0)).ended;
  });

  test.each([
    ['with a length', 'Content-Length: 10\r\n\r\nhalf'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    ['until the end', '\r\nhalf'],
  ])('a pod that stops in the middle of a body %s: both connections are cut', async (_name, rest) => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(`HTTP/1.1 200 OK\r\n${rest}`);
      await peer.ended;
    });
    await using plane = await serve(pod, { serverTimeoutMs: 150 });
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await client.ended;
    expect(client.text).toMatch(/half(\r\n)?$/);
    expect(await plane.ended()).toBe('upstream-timeout');
    await (await pod.connection(0)).ended;
  });

  test('a pod that does not read is given the server’s time, not the client’s', async () => {
    await using pod = await Pod.start((peer) => peer.stopReading());
    await using plane = await serve(pod, { serverTimeoutMs: 200, clientTimeoutMs: 30_000 });
    using client = await Peer.connect(plane.httpPort);
    const total = 64 << 20;
    await client.write(`POST / HTTP/1.1\r\n${host}Content-Length: ${total}\r\n\r\n`);
    const chunk = Buffer.alloc(1 << 20);
    for (let sent = 0; sent < total; sent += chunk.length) client.socket.write(chunk);
    await client.untilText('upstream-timeout');
    expect(plane.answers(504, 'upstream-timeout')).toBe(1);
  });
});

describe('clients that do not read', () => {
  test('in the middle of a large answer', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write('HTTP/1.1 200 OK\r\n\r\n');
      const chunk = Buffer.alloc(1 << 20);
      while (peer.end === null) {
        if (!peer.socket.write(chunk))
          await Promise.race([peer.ended, new Promise((on) => peer.socket.once('drain', on))]);
      }
    });
    await using plane = await serve(pod, { clientTimeoutMs: 200, serverTimeoutMs: 30_000 });
    using client = await Peer.connect(plane.httpPort);
    client.stopReading();
    await client.write(getRequest('a.test'));
    expect(await plane.ended()).toBe('client-timeout');
    await (await pod.connection(0)).ended;
  });

  /** One request of many, and the router's own page for each: small and at once, so that many can be on their way. */
  const small = 'GET / HTTP/1.1\r\nHost: n\r\n\r\n';

  test('answers that are whole, but have not left: not kept for the keep-alive time', async () => {
    await using plane = await DataPlane.start([], { settings: { clientTimeoutMs: 200 } });
    using client = await Peer.connect(plane.httpPort);
    client.stopReading();
    client.socket.write(small.repeat(40_000));
    expect(await plane.ended()).toBe('client-timeout');
  });

  test.each([
    ['answers that are on their way when the time to say good-bye is over', -60, 'Connection: close\r\n'],
    ['answers that are on their way when it has closed its half', -60, ''],
    ['answers that have yet to be made when it has closed its half', 100, ''],
    // On a busy machine the kernel may take more of one connection than of the other.
  ])('%s still arrive', { retry: 2 }, async (_name, more, fields) => {
    await using plane = await DataPlane.start([], { settings: { clientFinTimeoutMs: 100 } });
    const answered = (): number => plane.metric('headgate_requests_total', 'http', '5xx');
    // How many answers fit into everything between the router and a client that does not read.
    using probe = await Peer.connect(plane.httpPort);
    probe.stopReading();
    probe.socket.write(small.repeat(40_000));
    await untilStill(answered);
    // With a few less, the last ones wait in the router, which has nothing more to do for them than to wait.
    const requests = answered() + more;
    using client = await Peer.connect(plane.httpPort);
    client.stopReading();
    await client.write(small.repeat(requests - 1) + getRequest('n', '/', fields));
    if (fields === '') client.finish();
    await untilStill(answered);
    await later(300);
    expect(plane.sessions).toBe(2);
    client.readOn();
    expect(await client.ended).toBe('fin');
    expect(client.text.split('HTTP/1.1 503')).toHaveLength(requests + 1);
  });
});

describe('clients that go away', () => {
  test.each<[string, string, (client: Peer) => void]>([
    ['while the pod thinks', getRequest('a.test'), (client) => client.reset()],
    ['in the middle of a body, with RST', `${post}begin`, (client) => client.reset()],
    ['in the middle of a body, with FIN', `${post}begin`, (client) => client.finish()],
  ])('%s: the pod’s connection is cut', async (_name, request, leave) => {
    await using pod = await Pod.start();
    await using plane = await serve(pod);
    using client = await Peer.connect(plane.httpPort);
    await client.write(request);
    const upstream = await pod.connection(0);
    await upstream.untilText('\r\n\r\n');
    leave(client);
    await upstream.ended;
    expect(await plane.ended()).toBe('client-aborted');
    expect(plane.idleUpstreams).toBe(0);
  });

  test.each(['fin', 'rst'] as const)('in the middle of a head (%s)', async (how) => {
    await using pod = await Pod.start();
    await using plane = await serve(pod);
    using client = await Peer.connect(plane.httpPort);
    await client.writeApart('GET / HT');
    if (how === 'fin') client.finish();
    else client.reset();
    expect(await plane.ended()).toBe('client-aborted');
  });

  test('while a pod is being dialled', async () => {
    await using pod = await Pod.start();
    // A pod that accepts and never says a word of TLS is dialled for as long as the router lets it.
    await using plane = await DataPlane.start(
      route({ host: 'a.test', pods: [pod.port], termination: 'reencrypt', insecurePolicy: 'Allow' }),
    );
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    const upstream = await pod.connection(0);
    client.reset();
    await upstream.ended;
    expect(await plane.ended()).toBe('client-aborted');
  });
});

/** For peers that take their time. */
function later(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
