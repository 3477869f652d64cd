// Peers that do not read, for every kind of client before every kind of pod: who sends to them is stopped, little is held in
// between, nobody else waits, and when they read on, everything arrives.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { DataPlane } from '../support/data-plane.ts';
import { data, flags, headers, maxWindow, ping, settingIds, windowUpdate } from '../support/http2/frames.ts';
import { type Field, indexed, keptLiteral } from '../support/http2/hpack.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import type { RawPeer } from '../support/http2/raw-peer.ts';
import { type PodPeer, RawPod } from '../support/http2/raw-pod.ts';
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
import { clientKinds, WebClient } from '../support/http2-peers/web-client.ts';
import { type Handler, podKinds, WebPod } from '../support/http2-peers/web-pod.ts';
import { holdOpen, Pod, turn, untilStill } from '../support/peers.ts';
import { h2cEndpoint, route } from '../support/rules.ts';

const megabyte = 1 << 20;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that live buffers hold, of the router and of the test's own peers. */
function bufferBytes(): number {
  return memory().arrayBuffers;
}

/** What is alive. */
function memory(): NodeJS.MemoryUsage {
  // The first one finds what is dead, the second one waits until it has been given back.
  collectGarbage();
  collectGarbage();
  return process.memoryUsage();
}

/** What a stalled transfer may hold: both peers of the test and the router, with the windows of each. */
const heldBytes = 4 * megabyte;
/** What fits into the kernel, besides. */
const onTheWay = 24 * megabyte;

type Out = {
  write(chunk: Buffer): boolean;
  once(event: 'drain' | 'close', on: () => void): unknown;
  readonly destroyed?: boolean;
};

/** Writes one chunk again and again as fast as it is taken. `sent` counts what has been handed over. */
async function pour(out: Out, chunk: Buffer, times: number, sent: { bytes: number }): Promise<void> {
  for (let i = 0; i < times && out.destroyed !== true; i++) {
    sent.bytes += chunk.length;
    if (!out.write(chunk)) {
      await new Promise<void>((on) => {
        out.once('drain', on);
        out.once('close', on);
      });
    }
  }
}

const chunk = content(65_536);

describe.each(pairings)('$client to $pod', (pairing) => {
  const total = 32 * megabyte;

  test('a client that does not read stops the pod; when it reads on, it gets everything', async () => {
    const sent = { bytes: 0 };
    await using pair = await Pair.start(pairing, async (_request, response) => {
      response.writeHead(200, { 'content-length': String(total) });
      await pour(response, chunk, total / chunk.length, sent);
      response.end();
    });
    const before = bufferBytes();
    const answer = await pair.client.ask().answer;
    answer.body.pause();
    await untilStill(() => sent.bytes);
    expect(sent.bytes).toBeGreaterThan(0);
    expect(sent.bytes).toBeLessThan(onTheWay);
    expect(bufferBytes() - before).toBeLessThan(heldBytes);
    expect(await answer.whole()).toMatchObject({ length: total, complete: true });
  });

  test('a pod that does not read stops the client; when it reads on, it gets everything', async () => {
    const sent = { bytes: 0 };
    const readOn = promise();
    const came = promise();
    await using pair = await Pair.start(pairing, async (request, response) => {
      came.keep();
      await readOn.kept;
      const { length } = await receive(request);
      response.end(`${length}`);
    });
    const before = bufferBytes();
    const asked = pair.client.ask({ method: 'POST', body: 'open', fields: { 'content-length': String(total) } });
    const poured = pour(asked.out, chunk, total / chunk.length, sent);
    await came.kept;
    await untilStill(() => sent.bytes);
    expect(sent.bytes).toBeLessThan(onTheWay);
    expect(bufferBytes() - before).toBeLessThan(heldBytes);
    readOn.keep();
    await poured;
    asked.out.end();
    expect((await (await asked.answer).whole()).text).toBe(String(total));
  });
});

describe('200 MB', () => {
  const total = 200 * megabyte;

  test.each<Pairing>([
    { client: 'h2', pod: 'h2c' },
    { client: 'h2', pod: 'HTTP/1.1' },
  ])('down, from $pod to $client, to a reader that stops now and then', async (pairing) => {
    const sent = { bytes: 0 };
    await using pair = await Pair.start(pairing, async (_request, response) => {
      response.writeHead(200);
      await pour(response, chunk, total / chunk.length, sent);
      response.end();
    });
    const before = bufferBytes();
    let highest = 0;
    const answer = await pair.client.ask().answer;
    const whole = answer.whole();
    for (let i = 0; i < 5; i++) {
      answer.body.pause();
      await untilStill(() => sent.bytes);
      highest = Math.max(highest, bufferBytes() - before);
      answer.body.resume();
      await new Promise((later) => setTimeout(later, 20));
    }
    expect(await whole).toMatchObject({ length: total, complete: true });
    expect(highest).toBeLessThan(heldBytes);
  });

  test.each<Pairing>([
    { client: 'h2', pod: 'h2c' },
    { client: 'HTTP/1.1', pod: 'h2c' },
  ])('up, from $client to $pod, to a reader that stops now and then', async (pairing) => {
    const sent = { bytes: 0 };
    await using pair = await Pair.start(pairing, async (request, response) => {
      let stops = 0;
      const stopper = setInterval(() => {
        request.pause();
        setTimeout(() => request.resume(), 100);
        if (++stops === 5) clearInterval(stopper);
      }, 150);
      response.end(`${(await receive(request)).length}`);
      clearInterval(stopper);
    });
    const before = process.memoryUsage().rss;
    let highest = 0;
    const watch = setInterval(() => {
      highest = Math.max(highest, process.memoryUsage().rss - before);
    }, 50);
    const asked = pair.client.ask({ method: 'PUT', body: 'open' });
    await pour(asked.out, chunk, total / chunk.length, sent);
    asked.out.end();
    expect((await (await asked.answer).whole()).text).toBe(String(total));
    clearInterval(watch);
    expect(highest).toBeLessThan(64 * megabyte);
  });
});

/** Sends `/slow` without end as long as it is taken, and answers everything else at once. */
function endless(sent: { bytes: number }): Handler {
  return (request, response) => {
    if (request.url !== '/slow') {
      void receive(request).then(({ length }) => response.end(`quick ${length}`));
      return;
    }
    response.writeHead(200);
    void pour(response, chunk, 1000, sent);
  };
}

describe.each(podKinds)('streams that nobody reads, before %s', (kind) => {
  /** More of them than fit into a window of a megabyte. */
  const slowStreams = 20;

  test('of one client: its other streams go on', async () => {
    const sent = { bytes: 0 };
    await using pair = await Pair.start({ client: 'h2', pod: kind }, endless(sent));
    // Of its own window a client has to take care itself.
    pair.client.session.setLocalWindowSize(64 * megabyte);
    const slow = await Promise.all(
      Array.from({ length: slowStreams }, () => pair.client.ask({ path: '/slow' }).answer),
    );
    for (const answer of slow) answer.body.pause();
    await untilStill(() => sent.bytes);
    for (let i = 0; i < 3; i++) {
      expect((await pair.client.get()).text).toBe('quick 0');
      expect((await pair.client.get({ method: 'POST', body: content(500_000) })).text).toBe('quick 500000');
    }
  });

  test('of many clients: others on the same connection to the pod go on', async () => {
    const sent = { bytes: 0 };
    await using pod = await WebPod.start(kind, endless(sent));
    await using plane = await DataPlane.start(pod.changes(host));
    await using quick = await WebClient.connect('h2', plane, host);
    // The first connection to the pod is open and shared before the others come.
    await quick.get();
    await using clients = new AsyncDisposableStack();
    for (let i = 0; i < slowStreams; i++) {
      const kindOfClient = clientKinds[i % clientKinds.length] ?? 'h2';
      const client = clients.use(await WebClient.connect(kindOfClient, plane, host));
      const answer = await client.ask({ path: '/slow' }).answer;
      answer.body.pause();
    }
    await untilStill(() => sent.bytes);
    if (kind === 'h2c' || kind === 'h2') expect(pod.connections).toBe(1);
    for (let i = 0; i < 3; i++) {
      expect((await quick.get()).text).toBe('quick 0');
      expect((await quick.get({ method: 'POST', body: content(500_000) })).text).toBe('quick 500000');
    }
  });
});

describe('uploads that the pod does not read', () => {
  test.each(podKinds)('of one client: its other uploads go on (%s)', async (kind) => {
    await using pair = await Pair.start({ client: 'h2c', pod: kind }, (request, response) => {
      // A pod that looks at nothing of it.
      if (request.url === '/slow') return;
      void receive(request).then(({ length }) => response.end(`${length}`));
    });
    // Enough for the kernel's buffers and all windows on the way.
    const body = content(4 * megabyte);
    const stalled = Array.from({ length: 20 }, () => pair.client.ask({ method: 'POST', path: '/slow', body }));
    await untilStill(() => pair.client.session.state.outboundQueueSize ?? 0);
    for (let i = 0; i < 3; i++) {
      const answer = await pair.client.get({ method: 'POST', body: content(500_000) });
      expect(answer.text).toBe('500000');
    }
    for (const asked of stalled) asked.abort();
  });
});

describe('clients that open their windows by and by', () => {
  const body = content(300_000);
  const answering: Handler = (request, response) => {
    response.end(request.url === '/quick' ? 'quick' : body);
  };

  test.each(podKinds)('a byte at first, then a few kB at a time (%s)', async (kind) => {
    await using pod = await WebPod.start(kind, answering);
    await using plane = await DataPlane.start(pod.changes(host));
    using client = await RawClient.connect(plane.httpPort, {
      settings: [[settingIds.initialWindowSize, 1]],
      windows: 'never',
    });
    client.write(windowUpdate(0, 1 << 20));
    const stream = client.request(requestFields(host));
    await client.until(() => client.stream(stream).bodyBytes === 1);
    for (let received = 1; received < body.length; ) {
      client.write(windowUpdate(stream, 5_000));
      received = Math.min(body.length, received + 5_000);
      await client.until(() => client.stream(stream).bodyBytes >= received);
    }
    expect(await client.outcome(stream)).toBe('status 200');
    expect(hashOf(Buffer.from(client.stream(stream).body, 'latin1'))).toBe(hashOf(body));
  });

  test.each(['HTTP/1.1', 'h2c'] as const)('a reader that is slow, but reads, is not cut off (%s)', async (kind) => {
    await using pod = await WebPod.start(kind, answering);
    await using plane = await DataPlane.start(pod.changes(host), { settings: { clientTimeoutMs: 400 } });
    using client = await RawClient.connect(plane.httpPort, {
      settings: [[settingIds.initialWindowSize, 0]],
      windows: 'never',
    });
    client.write(windowUpdate(0, 1 << 20));
    const stream = client.request(requestFields(host));
    // Something every 100 ms, for five times as long as a client may be silent.
    for (let i = 0; i < 20 && client.stream(stream).reset === null; i++) {
      client.write(windowUpdate(stream, 1_000));
      await new Promise((later) => setTimeout(later, 100));
    }
    expect(client.stream(stream).reset).toBe(null);
    client.write(windowUpdate(stream, 1 << 20));
    expect(await client.outcome(stream)).toBe('status 200');
    expect(client.stream(stream).bodyBytes).toBe(body.length);
  });

  test.each(podKinds)('a reader with a shut window: its stream is cut, the others live on (%s)', async (kind) => {
    await using pod = await WebPod.start(kind, answering);
    await using plane = await DataPlane.start(pod.changes(host), { settings: { clientTimeoutMs: 200 } });
    using client = await RawClient.connect(plane.httpPort, {
      settings: [[settingIds.initialWindowSize, 0]],
      windows: 'never',
    });
    const stream = client.request(requestFields(host));
    const small = client.request(requestFields(host, '/quick'));
    await client.until(() => client.stream(small).heads.length > 0);
    client.write(windowUpdate(small, 100));
    expect(await client.outcome(small)).toBe('status 200');
    await client.until(() => client.stream(stream).reset !== null);
    expect(client.stream(stream)).toMatchObject({ reset: 'CANCEL', bodyBytes: 0 });
    const next = client.request(requestFields(host, '/quick'));
    client.write(windowUpdate(next, 100));
    expect(await client.outcome(next)).toBe('status 200');
    expect(plane.endReasons).toEqual([]);
  });

  test('many answers to one slow client: a further request is taken', async () => {
    await using pod = await WebPod.start('HTTP/1.1', answering);
    await using plane = await DataPlane.start(pod.changes(host));
    using client = await RawClient.connect(plane.httpPort, {
      settings: [[settingIds.initialWindowSize, 0]],
      windows: 'never',
    });
    const streams = Array.from({ length: 60 }, () => client.request(requestFields(host)));
    await client.until(() => streams.every((stream) => client.stream(stream).heads.length > 0));
    const next = client.request(requestFields(host, '/quick'), flags.endHeaders | flags.endStream);
    client.write(windowUpdate(next, 100));
    expect(await client.outcome(next)).toBe('status 200');
  });
});

test('answers without content that nobody reads: no more is asked for than can be kept', async () => {
  await using plane = await DataPlane.start(
    route({ host, pods: [], termination: 'edge', insecurePolicy: 'Redirect' }),
    { settings: { clientTimeoutMs: 200 } },
  );
  using client = await RawClient.connect(plane.httpPort, { keep: 'counts' });
  await client.settled();
  client.stopReading();
  // 13 bytes ask for 3 kB from now on: the table of the connection knows the target, and the answer repeats it.
  const bothEnds = flags.endHeaders | flags.endStream;
  const first = [keptLiteral(':authority', host), keptLiteral(':path', `/${'x'.repeat(3_000)}`)];
  client.write(headers(client.newStream(), Buffer.concat([indexed(2), indexed(6), ...first]), bothEnds));
  const again = Buffer.from([2, 6, 62, 63].flatMap((index) => [...indexed(index)]));
  const requests = (): Buffer =>
    Buffer.concat(Array.from({ length: 1_000 }, () => headers(client.newStream(), again, bothEnds)));
  await client.flood(performance.now() + 5_000, requests);
  expect(client.end).toBe('rst');
  expect(await plane.ended()).toBe('request-refused');
});

describe('who asks for signs of life and does not read them', () => {
  /** Within the account of what a peer may have done, so that it is not that which ends the connection. */
  const pings = 2_000;

  async function pingAndWait(peer: RawPeer): Promise<void> {
    // Each a write of its own, as far as the other side is quick.
    for (let i = 0; i < pings && peer.end === null; i++) {
      peer.write(ping('are you?'));
      await turn();
    }
  }

  test('a client: its connection is ended', async () => {
    const sent = { bytes: 0 };
    await using pod = await WebPod.start('h2c', (_request, response) => void pour(response, chunk, 512, sent));
    await using plane = await DataPlane.start(pod.changes(host));
    using client = await RawClient.connect(plane.httpPort, {
      settings: [[settingIds.initialWindowSize, maxWindow]],
      windows: 'never',
      keep: 'counts',
    });
    client.write(windowUpdate(0, maxWindow - 65_535));
    const stream = client.request(requestFields(host));
    await client.until(() => client.stream(stream).bodyBytes > 0);
    client.stopReading();
    await untilStill(() => sent.bytes);
    await pingAndWait(client);
    client.readOn();
    await client.until(() => client.goaways.length > 0);
    expect(client.ending).toBe('connection ENHANCE_YOUR_CALM');
  });

  test('a pod: its connection is ended', async () => {
    const came = promise<PodPeer>();
    await using pod = await RawPod.start(
      async (peer) => {
        await peer.request();
        peer.write(windowUpdate(0, maxWindow - 65_535));
        came.keep(peer);
      },
      { settings: [[settingIds.initialWindowSize, maxWindow]], windows: 'never', keep: 'counts' },
    );
    await using plane = await DataPlane.start(route({ host, pods: [h2cEndpoint(pod.port)] }));
    await using client = await WebClient.connect('HTTP/1.1', plane, host);
    const sent = { bytes: 0 };
    const asked = client.ask({ method: 'POST', body: 'open', fields: { 'content-length': '64000000' } });
    const poured = pour(asked.out, chunk, 512, sent);
    const peer = await came.kept;
    peer.stopReading();
    await untilStill(() => sent.bytes);
    await pingAndWait(peer);
    expect((await asked.answer).status).toBe(502);
    asked.abort();
    await poured;
  });
});

describe('content in single bytes, each a read of its own, that has to wait', () => {
  const bytes = 20_000;
  const post = requestFields(host, '/', [], 'POST', 'https');
  const tunnel: Field[] = [[':protocol', 'websocket'], ...requestFields(host, '/', [], 'CONNECT', 'https')];

  /** Bytes that are held when so many of them have come. */
  async function heldOf(plane: DataPlane, fields: readonly Field[]): Promise<number> {
    using client = await RawClient.connect(plane.httpsPort, { servername: host, keep: 'counts' });
    const stream = client.request(fields, flags.endHeaders);
    const frame = data(stream, 'x');
    const send = async (count: number): Promise<void> => {
      // What is written while something else is would share a record of TLS with others.
      for (let i = 0; i < count; i++) await new Promise((written) => client.socket.write(frame, written));
      await client.settled();
    };
    const used = (): number => {
      const { heapUsed, arrayBuffers } = memory();
      return heapUsed + arrayBuffers;
    };
    await send(1_000);
    const before = used();
    await send(bytes);
    return used() - before;
  }

  test('for a tunnel', async () => {
    await using pod = await Pod.start(holdOpen);
    await using plane = await DataPlane.start(route({ host, pods: [pod.port], termination: 'edge' }));
    expect(await heldOf(plane, tunnel)).toBeLessThan(50 * bytes);
  });

  test('for a window', async () => {
    const shut = { windows: 'never', settings: [[settingIds.initialWindowSize, 0]] } as const;
    await using pod = await RawPod.start(() => {}, { ...shut, keep: 'counts' });
    const wish = { host, pods: [h2cEndpoint(pod.port)], termination: 'edge' } as const;
    await using plane = await DataPlane.start(route(wish));
    expect(await heldOf(plane, post)).toBeLessThan(50 * bytes);
  });

  test('for another pod, should this one refuse the request', async () => {
    await using pod = await WebPod.start('h2c', (request) => void request.resume());
    await using plane = await DataPlane.start(pod.changes(host));
    expect(await heldOf(plane, post)).toBeLessThan(50 * bytes);
  });
});

test('long names that nobody has sent before leave nothing behind', async () => {
  await using pod = await WebPod.start('h2c', (_request, response) => response.end());
  await using plane = await DataPlane.start(pod.changes(host));
  using client = await RawClient.connect(plane.httpPort, { keep: 'counts' });
  const ask = async (count: number, prefix: string): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const named: Field = [`${'x'.repeat(15_000)}-${prefix}${i}`, ''];
      expect(await client.outcome(client.request(requestFields(host, '/', [named])))).toBe('status 200');
    }
  };
  await ask(100, 'a');
  const before = memory().heapUsed;
  await ask(1_000, 'b');
  expect(memory().heapUsed - before).toBeLessThan(4 * megabyte);
});
