// WebSockets between clients and pods of all protocols: by Upgrade (RFC 6455) and by extended CONNECT (RFC 8441), translated
// where the two sides differ.

import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { flags, headers, rstStream, settingIds } from '../support/http2/frames.ts';
import { block, type Field } from '../support/http2/hpack.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { answeringHttp2, RawPod } from '../support/http2/raw-pod.ts';
import { content, hashOf, host, promise } from '../support/http2-peers/pairings.ts';
import { openTunnel, type TunnelRequest, tunnelPod } from '../support/http2-peers/tunnels.ts';
import { type ClientKind, clientKinds, WebClient } from '../support/http2-peers/web-client.ts';
import type { PodKind } from '../support/http2-peers/web-pod.ts';
import { ok, Peer, Pod } from '../support/peers.ts';
import { h2cEndpoint, route } from '../support/rules.ts';

type Ends = { readonly client: ClientKind; readonly pod: PodKind };

const pods: readonly PodKind[] = ['HTTP/1.1', 'HTTP/1.1 over TLS', 'h2c'];
const all: readonly Ends[] = clientKinds.flatMap((client) => pods.map((pod) => ({ client, pod })));

/** Long enough that a test that waits for them fails. */
const patient = { clientFinTimeoutMs: 60_000, serverFinTimeoutMs: 60_000 };

async function serve(ends: Ends, onTunnel: (request: TunnelRequest) => void, options: DataPlaneOptions = {}) {
  const pod = await tunnelPod(ends.pod, onTunnel);
  const settings = { clientFinTimeoutMs: 200, serverFinTimeoutMs: 200, ...options.settings };
  const plane = await DataPlane.start(pod.changes(host), { settings });
  const client = await WebClient.connect(ends.client, plane, host);
  return { pod, plane, client };
}

function echo(request: TunnelRequest): void {
  const through = request.accept();
  through.on('data', (chunk: Buffer) => {
    if (!through.write(chunk)) {
      through.pause();
      through.once('drain', () => through.resume());
    }
  });
  through.on('end', () => through.end());
}

/** Collects what comes. */
function collect(from: Duplex): {
  readonly bytes: () => Buffer;
  readonly until: (count: number) => Promise<void>;
  readonly ended: Promise<string>;
} {
  const pieces: Buffer[] = [];
  let length = 0;
  let look = (): void => {};
  from.on('data', (piece: Buffer) => {
    pieces.push(piece);
    length += piece.length;
    look();
  });
  const ended = new Promise<string>((done) => {
    from.once('end', () => done('end'));
    from.once('error', () => done('broken'));
    from.once('close', () => done('broken'));
  });
  const until = (count: number): Promise<void> =>
    new Promise((done) => {
      look = () => length >= count && done();
      look();
    });
  return { bytes: () => Buffer.concat(pieces), until, ended };
}

function throughOf(tunnel: {
  readonly through: Duplex | null;
  readonly status: number;
  readonly text: string;
}): Duplex {
  if (tunnel.through === null) throw new Error(`refused: ${tunnel.status} ${tunnel.text}`);
  return tunnel.through;
}

describe.each(all)('$client to $pod', (ends) => {
  test('1 MB there and back, and the end of both halves', async () => {
    const { pod, plane, client } = await serve(ends, echo, { settings: patient });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    const through = throughOf(await openTunnel(client));
    const body = content(1 << 20);
    const came = collect(through);
    through.write(body);
    await came.until(body.length);
    through.end();
    expect(await came.ended).toBe('end');
    expect(hashOf(came.bytes())).toBe(hashOf(body));
    if (!client.isHttp2) expect(await plane.ended()).toBe('tunnel-closed');
    else expect(plane.endReasons).toEqual([]);
    expect(
      plane.metric(
        'headgate_requests_total',
        ends.client.endsWith('TLS') || ends.client === 'h2' ? 'https' : 'http',
        '1xx',
      ),
    ).toBe(1);
  });

  test('half a close goes through, both ways', async () => {
    const { pod, plane, client } = await serve(ends, (request) => {
      const through = request.accept();
      let text = '';
      through.on('data', (piece: Buffer) => {
        text += piece.toString();
      });
      through.on('end', () => through.end(`got ${text}`));
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    const through = throughOf(await openTunnel(client));
    const came = collect(through);
    through.end('bye');
    expect(await came.ended).toBe('end');
    expect(came.bytes().toString()).toBe('got bye');
  });

  test('what the client sends before it has its tunnel, and the pod right behind its word', async () => {
    const { pod, plane, client } = await serve(ends, (request) => {
      setTimeout(() => {
        const through = request.accept();
        through.write('early from the pod ');
        through.on('data', (piece: Buffer) => through.write(piece));
      }, 20);
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    const through = throughOf(await openTunnel(client, '/chat', 'early from the client'));
    const came = collect(through);
    await came.until('early from the pod early from the client'.length);
    expect(came.bytes().toString()).toBe('early from the pod early from the client');
  });

  test('the pod gets the path, the Host and what the client says of its sockets', async () => {
    const seen: string[] = [];
    const { pod, plane, client } = await serve(ends, (request) => {
      const { host: name, ':authority': authority, 'sec-websocket-version': version } = request.fields;
      seen.push(`${request.path} ${authority ?? name} ${version}`);
      request.accept();
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    throughOf(await openTunnel(client, '/chat?room=1'));
    expect(seen).toEqual([`/chat?room=1 ${host} 13`]);
  });

  test('a pod that refuses: its answer goes to the client, and the connection lives', async () => {
    const { pod, plane, client } = await serve(ends, (request) => request.answer(403, 'no'));
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    expect(await openTunnel(client)).toEqual({ status: 403, text: 'no', through: null });
    expect((await client.get()).text).toBe('no tunnel');
  });

  test.each(['the client', 'the pod'])('%s breaks off: the other side hears of it', async (who) => {
    const opened = promise<{ readonly through: Duplex }>();
    const { pod, plane, client } = await serve(ends, (request) => opened.keep({ through: request.accept() }));
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    const mine = throughOf(await openTunnel(client));
    const { through: theirs } = await opened.kept;
    const [leaver, other] = who === 'the client' ? [mine, theirs] : [theirs, mine];
    // What was broken may arrive as an end: HTTP/1.1 has no other word for it.
    const gone = new Promise<void>((done) => {
      other.once('close', done);
      other.once('end', done);
    });
    other.resume();
    leaver.destroy();
    await gone;
    if (client.isHttp2) expect((await client.get()).text).toBe('no tunnel');
  });

  test('a tunnel in which nothing moves is closed after its own time, and has no other deadline', async () => {
    const settings = {
      tunnelTimeoutMs: 350,
      clientTimeoutMs: 300,
      serverTimeoutMs: 300,
      keepAliveTimeoutMs: 50,
      clientFinTimeoutMs: 50,
    };
    const { pod, plane, client } = await serve(ends, echo, { settings });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    const from = performance.now();
    const through = throughOf(await openTunnel(client));
    through.resume();
    await new Promise<void>((done) => through.once('close', done));
    expect(performance.now() - from).toBeGreaterThan(340);
  });

  test('a reader that stops, stops the writer at the other end', async () => {
    const total = 32 << 20;
    const chunk = content(65_536);
    let sent = 0;
    const { pod, plane, client } = await serve(ends, (request) => {
      const through = request.accept();
      // Node resets what it has not been asked to read, and drops what waits.
      through.resume();
      const pour = (): void => {
        while (sent < total && !through.destroyed) {
          sent += chunk.length;
          if (!through.write(chunk)) {
            through.once('drain', pour);
            return;
          }
        }
        through.end();
      };
      pour();
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    const through = throughOf(await openTunnel(client));
    for (let last = -1; last !== sent; ) {
      last = sent;
      await new Promise((later) => setTimeout(later, 100));
    }
    expect(sent).toBeLessThan(total);
    const came = collect(through);
    await came.until(total);
    expect(await came.ended).toBe('end');
  });
});

test.each(clientKinds)('a pod of HTTP/2 that says all and wants to hear nothing more, to %s', async (kind) => {
  const body = content(60_000);
  await using pod = await RawPod.start(
    async (peer) => {
      const stream = await peer.request();
      peer.head(stream, [[':status', '200']]);
      peer.writeData(stream, body.subarray(0, 16_384));
      peer.writeData(stream, body.subarray(16_384, 32_768));
      peer.writeData(stream, body.subarray(32_768, 49_152));
      peer.writeData(stream, body.subarray(49_152), flags.endStream);
      peer.write(rstStream(stream, 'NO_ERROR'));
    },
    { settings: [[settingIds.enableConnectProtocol, 1]] },
  );
  const pods = [h2cEndpoint(pod.port)];
  await using plane = await DataPlane.start(route({ host, pods, termination: 'edge', insecurePolicy: 'Allow' }));
  // So small a window that not all can be on its way at once.
  await using client = await WebClient.connect(kind, plane, host, { settings: { initialWindowSize: 1_000 } });
  const came = collect(throughOf(await openTunnel(client)));
  expect(await came.ended).toBe('end');
  expect(hashOf(came.bytes())).toBe(hashOf(body));
});

describe('what is not switched', () => {
  test.each(['h2', 'h2c'] as const)('200 in place of 101 from an HTTP/1.1 pod, to %s: 502', async (kind) => {
    const { pod, plane, client } = await serve({ client: kind, pod: 'HTTP/1.1' }, (request) =>
      request.answer(200, 'hi'),
    );
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    const { status, text } = await openTunnel(client);
    expect([status, text.includes('bad-response')]).toEqual([502, true]);
    expect(plane.lines.at(-1)).toMatchObject({ detail: 'no-switch' });
    expect((await client.get()).text).toBe('no tunnel');
  });

  test('200 in place of 101 from an HTTP/1.1 pod, to HTTP/1.1: passed on', async () => {
    const { pod, plane, client } = await serve({ client: 'HTTP/1.1', pod: 'HTTP/1.1' }, (request) =>
      request.answer(200, 'hi'),
    );
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    expect(await openTunnel(client)).toEqual({ status: 200, text: 'hi', through: null });
  });

  test.each(clientKinds)('a pod of HTTP/2 that does not announce extended CONNECT gets none (%s)', async (kind) => {
    const seen: Field[][] = [];
    await using pod = await RawPod.start(answeringHttp2('no tunnel', seen));
    const pods = [h2cEndpoint(pod.port)];
    await using plane = await DataPlane.start(route({ host, pods, termination: 'edge', insecurePolicy: 'Allow' }));
    // Before anything is known of the pod, and after.
    for (let i = 0; i < 2; i++) {
      await using client = await WebClient.connect(kind, plane, host);
      const refused = await openTunnel(client);
      expect(refused.through).toBe(null);
      if (client.isHttp2) expect(refused.status).toBe(502);
      // The connection to the pod is not harmed.
      await using another = await WebClient.connect(kind, plane, host);
      expect((await another.get()).text).toBe('no tunnel');
    }
    expect(pod.connections).toHaveLength(1);
    expect(seen.flat().filter(([name, value]) => name === ':protocol' || value === 'CONNECT')).toEqual([]);
  });

  test.each(clientKinds)('a pod that speaks h2 alone over TLS has none: 503 (%s)', async (kind) => {
    const { pod, plane, client } = await serve({ client: kind, pod: 'h2' }, (request) => void request.accept());
    await using _pod = pod;
    await using _plane = plane;
    await using _client = client;
    expect((await openTunnel(client)).status).toBe(503);
    expect((await client.get()).text).toBe('no tunnel');
  });

  test('another protocol than WebSocket before a pod of HTTP/2: an ordinary request', async () => {
    const { pod, plane } = await serve({ client: 'HTTP/1.1', pod: 'h2c' }, (request) => void request.accept());
    await using _pod = pod;
    await using _plane = plane;
    using client = await Peer.connect(plane.httpPort);
    for (let i = 0; i < 2; i++) {
      await client.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: other/1\r\n\r\n`);
      const answer = await client.message();
      expect([answer.status, answer.body.toString()]).toEqual([200, 'no tunnel']);
    }
    client.finish();
  });

  test.each([
    ['an unknown protocol', [[':protocol', 'other']], 501],
    [
      'no path',
      [
        [':protocol', 'websocket'],
        ['drop', ':path'],
      ],
      400,
    ],
    [
      'a length',
      [
        [':protocol', 'websocket'],
        ['content-length', '3'],
      ],
      400,
    ],
    [
      'CONNECT of HTTP/1.1',
      [
        ['drop', ':path'],
        ['drop', ':scheme'],
      ],
      405,
    ],
  ] as const)('extended CONNECT with %s', async (_name, changes, status) => {
    const { pod, plane, client: unused } = await serve({ client: 'h2c', pod: 'HTTP/1.1' }, echo);
    await using _pod = pod;
    await using _plane = plane;
    await using _unused = unused;
    using client = await RawClient.connect(plane.httpPort);
    const dropped = changes.filter(([name]) => name === 'drop').map(([, name]) => name as string);
    const added = changes.filter(([name]) => name !== 'drop');
    const fields = requestFields(host, '/', [], 'CONNECT').filter(([name]) => !dropped.includes(name));
    const pseudo = added.filter(([name]) => name.startsWith(':'));
    const rest = added.filter(([name]) => !name.startsWith(':'));
    const stream = client.request([...pseudo, ...fields, ...rest], flags.endHeaders);
    expect(await client.outcome(stream)).toBe(`status ${status}`);
  });

  test.each(['HTTP/1.1', 'h2c'] as const)('trailers before the tunnel stands end its half (%s)', async (kind) => {
    const asked = promise<TunnelRequest>();
    const { pod, plane, client: unused } = await serve({ client: 'h2c', pod: kind }, asked.keep, { settings: patient });
    await using _pod = pod;
    await using _plane = plane;
    await using _unused = unused;
    using client = await RawClient.connect(plane.httpPort);
    const fields: Field[] = [[':protocol', 'websocket'], ...requestFields(host, '/', [], 'CONNECT')];
    const stream = client.request(fields, flags.endHeaders);
    client.write(headers(stream, block([['x-checked', 'yes']]), flags.endHeaders | flags.endStream));
    const request = await asked.kept;
    await client.settled();
    const through = request.accept();
    expect(await collect(through).ended).toBe('end');
    through.end('bye');
    expect(await client.outcome(stream)).toBe('status 200');
    expect(client.stream(stream).body).toBe('bye');
  });

  test('frames that come without a tunnel reach nobody', async () => {
    const seen: string[] = [];
    await using pod = await Pod.start(async (peer) => {
      seen.push(await peer.untilText('\r\n\r\n'));
      await peer.write(ok('no'));
    });
    await using plane = await DataPlane.start(route({ host, pods: [pod.port] }));
    using client = await RawClient.connect(plane.httpPort);
    const fields = requestFields(host, '/', [], 'CONNECT');
    const stream = client.request([[':protocol', 'websocket'], ...fields], flags.endHeaders);
    client.writeData(stream, Buffer.from('GET /smuggled HTTP/1.1\r\n\r\n'));
    expect(await client.outcome(stream)).toBe('status 502');
    expect(pod.text).toBe('');
    expect(seen).toHaveLength(1);
  });
});
