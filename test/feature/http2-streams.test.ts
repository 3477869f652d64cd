// Many requests on one connection of HTTP/2: their order, their number, whose host they are for, how long each may take, what
// the router answers itself, and how a connection ends.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { continuation, data, flags, goaway, headers, preface, settingIds, settings } from '../support/http2/frames.ts';
import { block, literal } from '../support/http2/hpack.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { answeringHttp2, RawPod } from '../support/http2/raw-pod.ts';
import { SeenConnections } from '../support/http2-peers/connections.ts';
import { host, Pair, promise, receive } from '../support/http2-peers/pairings.ts';
import { type ClientKind, clientKinds, WebClient } from '../support/http2-peers/web-client.ts';
import { type Handler, podKinds, WebPod } from '../support/http2-peers/web-pod.ts';
import { answering, connected, ok, Peer, Pod } from '../support/peers.ts';
import { certificate, certificateId, h2cEndpoint, route } from '../support/rules.ts';

const both = flags.endHeaders | flags.endStream;

/** A pod that answers `/n` last in, first out, as soon as so many are there. */
function backwards(count: number): Handler {
  const waiting: [IncomingMessage, ServerResponse][] = [];
  return (request, response) => {
    waiting.push([request, response]);
    if (waiting.length < count) return;
    for (const [asked, answer] of waiting.splice(0).reverse()) answer.end(asked.url);
  };
}

describe.each(podKinds)('100 streams at once, before %s', (kind) => {
  test('are answered in any order', async () => {
    await using pair = await Pair.start({ client: 'h2', pod: kind }, backwards(100));
    const order: string[] = [];
    const answers = Array.from({ length: 100 }, async (_, i) => {
      const { text } = await pair.client.get({ path: `/${i}` });
      order.push(text);
      return text;
    });
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 100 }, (_, i) => `/${i}`));
    expect(order.length).toBe(100);
    expect(pair.plane.sessions).toBe(1);
  });

  test('a client that wants more waits for its turn', async () => {
    await using pair = await Pair.start({ client: 'h2c', pod: kind }, (request, response) => {
      setTimeout(() => response.end(request.url), 5);
    });
    const answers = Array.from({ length: 350 }, (_, i) => pair.client.get({ path: `/${i}` }));
    for (const [i, answer] of answers.entries()) expect((await answer).text).toBe(`/${i}`);
  });
});

test('streams beyond the announced number are refused, the others go on', async () => {
  const waiting: ServerResponse[] = [];
  const all = promise();
  await using pod = await WebPod.start('HTTP/1.1', (_request, response) => {
    waiting.push(response);
    if (waiting.length === 10) all.keep();
  });
  await using plane = await DataPlane.start(pod.changes(host), { settings: { maxStreams: 10 } });
  using client = await RawClient.connect(plane.httpPort);
  await client.settled();
  expect(client.theirSetting(settingIds.maxConcurrentStreams)).toBe(10);
  const taken = Array.from({ length: 10 }, () => client.request(requestFields(host)));
  await all.kept;
  const refused = client.request(requestFields(host));
  expect(await client.outcome(refused)).toBe('stream REFUSED_STREAM');
  for (const response of waiting.splice(0)) response.end('hello');
  for (const stream of taken) expect(await client.outcome(stream)).toBe('status 200');
  const next = client.request(requestFields(host));
  await client.settled();
  while (waiting.length === 0) await new Promise((later) => setTimeout(later, 5));
  waiting[0]?.end('hello');
  expect(await client.outcome(next)).toBe('status 200');
});

describe.each(['h2c', 'h2'] as const)('pods (%s) that take few streams at once', (kind) => {
  test.each([
    [1, 'h2', 1],
    [5, 'h2', 1],
    [1, 'HTTP/1.1', 50],
    [5, 'HTTP/1.1', 50],
  ] as const)('%i: 50 requests at once from %s are all answered', async (limit, clientKind, clientCount) => {
    let most = 0;
    const open = new Map<object, number>();
    await using pod = await WebPod.start(
      kind,
      (request, response) => {
        const session = request.socket;
        const count = (open.get(session) ?? 0) + 1;
        open.set(session, count);
        most = Math.max(most, count);
        setTimeout(() => {
          open.set(session, (open.get(session) ?? 0) - 1);
          response.end(request.url);
        }, 10);
      },
      { settings: { maxConcurrentStreams: limit } },
    );
    await using plane = await DataPlane.start(pod.changes(host));
    await using clients = new AsyncDisposableStack();
    const asking: WebClient[] = [];
    for (let i = 0; i < clientCount; i++) {
      asking.push(clients.use(await WebClient.connect(clientKind as ClientKind, plane, host)));
    }
    // Twice: before and after it is known what the pod takes.
    for (let round = 0; round < 2; round++) {
      const answers = Array.from({ length: 50 }, (_, i) => asking[i % clientCount]?.get({ path: `/${i}` }));
      const statuses = (await Promise.all(answers)).map((answer) => answer?.status);
      expect(statuses).toEqual(new Array(50).fill(200));
    }
    expect(most).toBeLessThanOrEqual(limit);
  });
});

describe('what a pod speaks may change', () => {
  const made = makeCertificate({ names: ['pod.test'] });
  const tls = { cert: made.certificate, key: made.key };

  test.each(clientKinds)('h2 by ALPN, then HTTP/1.1 on the same port, then h2 again (%s)', async (kind) => {
    const protocols = ['h2', 'http/1.1'];
    let offered = ['h2'];
    // Speaks what the handshake says: Node's own server with both.
    await using pod = await WebPod.start('h2', (request, response) => response.end(request.httpVersion), {
      allowHTTP1: true,
      ALPNCallback: ({ protocols: asked }: { protocols: string[] }) => asked.find((each) => offered.includes(each)),
      ALPNProtocols: undefined,
      ...tls,
    } as object);
    await using plane = await DataPlane.start(pod.changes(host));
    await using client = await WebClient.connect(kind, plane, host);
    expect((await client.get()).text).toBe('2.0');
    offered = ['http/1.1'];
    pod.close();
    expect(await client.get()).toMatchObject({ status: 200, text: '1.1' });
    expect((await client.get()).text).toBe('1.1');
    offered = protocols;
    pod.close();
    await new Promise((later) => setTimeout(later, 20));
    expect((await client.get()).status).toBe(200);
  });
});

describe('who is asked for over a shared connection', () => {
  const wide = makeCertificate({ names: ['a.test', 'b.test'] });
  const other = makeCertificate({ names: ['c.test'] });

  async function serve(): Promise<{ readonly pod: Pod; readonly plane: DataPlane }> {
    const pod = await Pod.start(answering(ok('hello')));
    const edge = { pods: [pod.port], termination: 'edge' } as const;
    const plane = await DataPlane.start([
      certificate('wide', wide.certificate, wide.key),
      certificate('other', other.certificate, other.key),
      ...route({ host: 'a.test', certificate: certificateId('wide'), ...edge }),
      ...route({ host: 'b.test', certificate: certificateId('wide'), ...edge }),
      ...route({ host: 'c.test', certificate: certificateId('other'), ...edge }),
      ...route({ host: 'd.test', ...edge }),
      ...route({ host: 'p.test', pods: [pod.port], termination: 'passthrough' }),
      ...route({ host: 'plain.test', pods: [pod.port] }),
    ]);
    return { pod, plane };
  }

  test.each([
    ['a.test', 'a.test', 200],
    ['a.test', 'A.TEST:8443', 200],
    ['a.test', 'b.test', 200],
    ['a.test', 'c.test', 421],
    ['a.test', 'd.test', 421],
    ['d.test', 'a.test', 421],
    ['a.test', 'p.test', 421],
    ['a.test', 'plain.test', 503],
    ['a.test', 'nobody.test', 503],
    ['c.test', 'c.test', 200],
  ])('SNI %s, Host %s: %i', async (servername, authority, status) => {
    const { pod, plane } = await serve();
    await using _pod = pod;
    await using _plane = plane;
    await using client = await WebClient.connect('h2', plane, servername);
    const answer = await client.get({ fields: { host: authority } });
    expect(answer.status).toBe(status);
    if (status === 421) expect(answer.text).toContain('misdirected');
    if (status === 503) expect(answer.text).toContain('no-route');
    // The connection is good for its own host.
    expect((await client.get()).status).toBe(200);
  });

  test('over the plain port, any host', async () => {
    const { pod, plane } = await serve();
    await using _pod = pod;
    await using _plane = plane;
    await using client = await WebClient.connect('h2c', plane, 'plain.test');
    const statuses: number[] = [];
    for (const name of ['plain.test', 'a.test', 'plain.test'])
      statuses.push((await client.get({ fields: { host: name } })).status);
    expect(statuses).toEqual([200, 503, 200]);
  });

  test('a host whose certificate changes is served on', async () => {
    const { pod, plane } = await serve();
    await using _pod = pod;
    await using _plane = plane;
    await using client = await WebClient.connect('h2', plane, 'a.test');
    expect((await client.get()).status).toBe(200);
    plane.put(...route({ host: 'a.test', pods: [pod.port], termination: 'edge', certificate: certificateId('other') }));
    expect((await client.get()).status).toBe(200);
    expect((await client.get({ fields: { host: 'b.test' } })).status).toBe(421);
  });

  /** What ALPN comes to. */
  async function chosen(plane: DataPlane, servername: string, protocols: readonly string[]): Promise<string> {
    const socket: TLSSocket = connectTls({
      port: plane.httpsPort,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: [...protocols],
      ...(servername === '' ? {} : { servername }),
    });
    socket.on('error', () => {});
    try {
      await connected(socket, 'secureConnect');
      return String(socket.alpnProtocol);
    } catch {
      return 'refused';
    } finally {
      socket.destroy();
    }
  }

  test.each([
    ['a.test', ['h2', 'http/1.1'], 'h2', 'http/1.1'],
    ['a.test', ['http/1.1', 'h2'], 'h2', 'http/1.1'],
    ['a.test', ['http/1.1'], 'http/1.1', 'http/1.1'],
    ['a.test', ['h2'], 'h2', 'refused'],
    ['a.test', ['other', 'http/1.1'], 'http/1.1', 'http/1.1'],
    ['', ['h2', 'http/1.1'], 'http/1.1', 'http/1.1'],
    ['nobody.test', ['h2', 'http/1.1'], 'http/1.1', 'http/1.1'],
    ['plain.test', ['h2', 'http/1.1'], 'http/1.1', 'http/1.1'],
  ] as const)('ALPN with SNI %j and %j: %s', async (servername, protocols, expected, disabled) => {
    const edge = { pods: [1], termination: 'edge' } as const;
    const changes = [...route({ host: 'a.test', ...edge }), ...route({ host: 'plain.test', pods: [1] })];
    await using plane = await DataPlane.start(changes);
    expect(await chosen(plane, servername, protocols)).toBe(expected);
    await using without = await DataPlane.start(changes, { settings: { disableHttp2: true } });
    expect(await chosen(without, servername, protocols)).toBe(disabled);
  });

  test('disabled: pods are spoken to in HTTP/1.1 over TLS, and in h2c where their Service says so', async () => {
    const seen: string[] = [];
    const handler: Handler = (request, response) => {
      seen.push(request.httpVersion);
      response.end('hello');
    };
    const made = makeCertificate({ names: ['pod.test'] });
    await using tls = await WebPod.start('h2', handler, {
      allowHTTP1: true,
      cert: made.certificate,
      key: made.key,
    } as object);
    await using h2c = await WebPod.start('h2c', handler);
    await using plane = await DataPlane.start([...tls.changes('a.test'), ...h2c.changes('b.test')], {
      settings: { disableHttp2: true },
    });
    await using client = await WebClient.connect('h2c', plane, 'a.test');
    expect((await client.get()).text).toBe('hello');
    expect((await client.get({ fields: { host: 'b.test' } })).text).toBe('hello');
    expect(seen).toEqual(['1.1', '2.0']);
  });
});

describe('answers of the router’s own', () => {
  async function serve(options: DataPlaneOptions = {}) {
    const pod = await Pod.start(answering(ok('hello')));
    const plane = await DataPlane.start(
      [
        ...route({ host: 'a.test', pods: [pod.port] }),
        ...route({ host: 'r.test', pods: [pod.port], termination: 'edge', insecurePolicy: 'Redirect' }),
        ...route({ host: 'empty.test', pods: [] }),
      ],
      options,
    );
    return { pod, plane };
  }

  test.each([
    ['no route', 'GET', 'nobody.test', '/', {}, 503],
    ['no endpoint', 'GET', 'empty.test', '/', {}, 503],
    ['a redirect', 'GET', 'r.test', '/x?y', {}, 302],
    ['health', 'GET', 'any.test', '/_______internal_router_healthz', {}, 200],
    ['a head too large', 'GET', 'a.test', '/', { 'x-large': 'v'.repeat(30_000) }, 431],
    [
      'too many fields',
      'GET',
      'a.test',
      '/',
      Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-${i}`, '1'])),
      431,
    ],
    ['a bad host', 'GET', 'a b', '/', {}, 400],
    ['no such method', 'TRACK/1', 'a.test', '/', {}, 400],
  ])('%s: whole, and of the shape that it says', async (_name, method, name, path, fields, status) => {
    const { pod, plane } = await serve();
    await using _pod = pod;
    await using _plane = plane;
    await using client = await WebClient.connect('h2c', plane, 'a.test', { maxHeaderListPairs: 300 });
    for (const asked of method === 'GET' ? ['GET', 'HEAD'] : [method]) {
      const answer = await client.get({ method: asked, path, fields: { ...fields, host: name } });
      expect([answer.status, answer.complete]).toEqual([status, true]);
      if (asked !== 'HEAD') expect(answer.fields['content-length']).toBe(String(answer.length));
      else expect(answer.length).toBe(0);
      expect(Object.keys(answer.fields)).not.toContain('connection');
      if (status === 302) expect(answer.fields.location).toBe('https://r.test:28443/x?y');
    }
    expect((await client.get()).text).toBe('hello');
    expect(plane.endReasons).toEqual([]);
  });

  test.each([
    ['nobody.test', '14', 'no-route'],
    ['empty.test', '14', 'no-endpoint'],
  ])('gRPC requests for %s: trailers alone, status %s', async (name, status, reason) => {
    const { pod, plane } = await serve();
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort);
    const fields = requestFields(
      name,
      '/pkg.Service/Method',
      [
        ['content-type', 'application/grpc'],
        ['te', 'trailers'],
      ],
      'POST',
    );
    const stream = client.request(fields, flags.endHeaders);
    client.write(data(stream, '\0\0\0\0\0', flags.endStream));
    await client.outcome(stream);
    const { heads, bodyBytes } = client.stream(stream);
    expect([heads.length, bodyBytes]).toEqual([1, 0]);
    const answer = new Map(heads[0]);
    expect(answer.get(':status')).toBe('200');
    expect(answer.get('content-type')).toBe('application/grpc');
    expect(answer.get('grpc-status')).toBe(status);
    expect(answer.get('grpc-message')).toContain(reason);
  });
});

/** How long something takes, in ms. */
async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await run();
  return performance.now() - from;
}

describe('deadlines', () => {
  const quick: Handler = (request, response) => {
    if (request.url === '/never') return;
    void receive(request).then(() => response.end('hello'));
  };

  async function serve(options: DataPlaneOptions['settings'], handler: Handler = quick) {
    const pod = await WebPod.start('h2c', handler);
    const plane = await DataPlane.start(pod.changes(host), { settings: options ?? {} });
    return { pod, plane };
  }

  test('half a preface: as half a head', async () => {
    const { pod, plane } = await serve({ headTimeoutMs: 150 });
    await using _pod = pod;
    await using _plane = plane;
    using client = await Peer.connect(plane.httpPort);
    await client.write(preface.subarray(0, 10));
    expect(await client.ended).toBe('fin');
    expect((await client.message()).status).toBe(408);
  });

  test.each([
    ['the head of a preface', preface.subarray(0, 18)],
    ['a preface', preface],
    ['a preface and half of SETTINGS', Buffer.concat([preface, settings().subarray(0, 5)])],
  ])('%s, then silence: GOAWAY and the end', async (_name, greeting) => {
    const { pod, plane } = await serve({ headTimeoutMs: 150 });
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort, { greeting, settings: null, acks: 'never' });
    expect(await timeOf(() => client.ended)).toBeGreaterThan(140);
    expect(client.goaways.map(({ error }) => error)).toEqual(['SETTINGS_TIMEOUT']);
    client.socket.destroy();
    expect(await plane.ended()).toBe('client-timeout');
  });

  test('a preface and SETTINGS, then silence: GOAWAY without an error', async () => {
    const { pod, plane } = await serve({ headTimeoutMs: 150 });
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort);
    expect(await timeOf(() => client.ended)).toBeGreaterThan(140);
    expect(client.goaways.map(({ error }) => error)).toEqual(['NO_ERROR']);
    client.socket.destroy();
    expect(await plane.ended()).toBe('client-idle');
  });

  test('HEADERS without END_HEADERS, while another stream is under way', async () => {
    const { pod, plane } = await serve({ headTimeoutMs: 200 });
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort);
    client.request(requestFields(host, '/never'));
    await client.settled();
    const stream = client.newStream();
    client.write(headers(stream, block(requestFields(host)), flags.endStream));
    // A drip of it does not help.
    const drip = setInterval(() => client.write(continuation(stream, literal('x', 'y'), 0)), 50);
    expect(await timeOf(() => client.ended)).toBeGreaterThan(190);
    clearInterval(drip);
    expect(client.goaways).toHaveLength(1);
  });

  test('an idle connection: GOAWAY and the end', async () => {
    const { pod, plane } = await serve({ keepAliveTimeoutMs: 200, headTimeoutMs: 60_000 });
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort);
    for (let i = 0; i < 2; i++) expect(await client.outcome(client.request(requestFields(host)))).toBe('status 200');
    expect(await timeOf(() => client.ended)).toBeGreaterThan(190);
    expect(client.goaways).toEqual([{ lastStream: 3, error: 'NO_ERROR' }]);
    client.socket.destroy();
    expect(await plane.ended()).toBe('client-idle');
  });

  test('a body that stops: 408 on its stream, and the others go on', async () => {
    const { pod, plane } = await serve({ clientTimeoutMs: 200 });
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort);
    const stream = client.request(requestFields(host, '/', [], 'POST'), flags.endHeaders);
    client.write(data(stream, 'begin'));
    expect(await client.outcome(stream)).toBe('status 408');
    expect(await client.outcome(client.request(requestFields(host)))).toBe('status 200');
  });

  test.each(podKinds)('a pod (%s) that never answers: 504 on that stream alone', async (kind) => {
    await using pod = await WebPod.start(kind, quick);
    await using plane = await DataPlane.start(pod.changes(host), { settings: { serverTimeoutMs: 300 } });
    await using client = await WebClient.connect('h2', plane, host);
    expect((await client.get()).status).toBe(200);
    const never = client.get({ path: '/never' });
    for (let i = 0; i < 5; i++) expect((await client.get({ method: 'POST', body: 'x' })).text).toBe('hello');
    const answer = await never;
    expect([answer.status, answer.text.includes('upstream-timeout')]).toEqual([504, true]);
    expect((await client.get()).text).toBe('hello');
  });

  test.each(podKinds)('a pod (%s) that stops in the middle: its stream alone is cut', async (kind) => {
    await using pod = await WebPod.start(kind, (request, response) => {
      response.writeHead(200);
      if (request.url === '/half') response.write('half');
      else response.end('hello');
    });
    await using plane = await DataPlane.start(pod.changes(host), { settings: { serverTimeoutMs: 300 } });
    using client = await RawClient.connect(plane.httpPort);
    const half = client.request(requestFields(host, '/half'));
    expect(await client.outcome(half)).toBe('status 200 cut');
    expect(await client.outcome(client.request(requestFields(host)))).toBe('status 200');
  });
});

test('a connection on which nothing comes any more gets no new streams', async () => {
  await using pod = await RawPod.start(async (peer, nth) => {
    if (nth === 0) await peer.request();
    else await answeringHttp2('hello')(peer, nth);
  });
  await using plane = await DataPlane.start(route({ host, pods: [h2cEndpoint(pod.port)] }), {
    settings: { serverTimeoutMs: 5_500 },
  });
  await using client = await WebClient.connect('h2c', plane, host);
  expect((await client.get()).status).toBe(504);
  expect((await client.get()).text).toBe('hello');
  expect(pod.connections).toHaveLength(2);
});

describe('pods that were to speak h2c, and do not', () => {
  test.each([
    ['accepts and says nothing', async () => {}],
    [
      'speaks HTTP/1.1',
      async (peer: Peer) => {
        await peer.untilBytes(1);
        await peer.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        peer.finish();
      },
    ],
    ['closes at once', (peer: Peer) => peer.finish()],
    ['resets at once', (peer: Peer) => peer.reset()],
  ])('a pod that %s: 503 with a reason', async (_name, script) => {
    await using pod = await Pod.start(script);
    await using plane = await DataPlane.start(route({ host, pods: [h2cEndpoint(pod.port)] }), {
      settings: { connectTimeoutMs: 200 },
    });
    using client = await Peer.connect(plane.httpPort);
    for (let i = 0; i < 2; i++) {
      await client.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const answer = await client.message();
      expect(answer.status).toBe(503);
      expect(answer.body.toString()).toContain('connect-failed');
    }
    client.finish();
  });

  test('the next pod is asked', async () => {
    await using silent = await Pod.start();
    await using good = await RawPod.start(answeringHttp2('hello'));
    await using plane = await DataPlane.start(
      route({ host, pods: [h2cEndpoint(silent.port), h2cEndpoint(good.port)] }),
      { settings: { connectTimeoutMs: 200 } },
    );
    await using client = await WebClient.connect('h2c', plane, host);
    for (let i = 0; i < 4; i++) expect((await client.get()).text).toBe('hello');
  });
});

describe('draining', () => {
  test('GOAWAY, streams under way are answered, new ones are refused, and then the end', async () => {
    using seen = new SeenConnections();
    const asked = promise<ServerResponse>();
    await using pod = await WebPod.start('h2c', (_request, response) => asked.keep(response));
    await using plane = await DataPlane.start(pod.changes(host));
    using client = await RawClient.connect(plane.httpPort);
    const stream = client.request(requestFields(host));
    const response = await asked.kept;
    seen.all[0]?.drain();
    await client.until(() => client.goaways.length === 2);
    expect(client.goaways).toEqual([
      { lastStream: 2 ** 31 - 1, error: 'NO_ERROR' },
      { lastStream: stream, error: 'NO_ERROR' },
    ]);
    const late = client.request(requestFields(host));
    expect(await client.outcome(late)).toBe('stream REFUSED_STREAM');
    response.end('hello');
    expect(await client.outcome(stream)).toBe('status 200');
    expect(await client.ended).toBe('fin');
    client.socket.destroy();
    expect(await plane.ended()).toBe('draining');
  });

  test('a client that asks on and on all the same: ENHANCE_YOUR_CALM', async () => {
    using seen = new SeenConnections();
    const asked = promise();
    await using pod = await WebPod.start('h2c', () => asked.keep());
    await using plane = await DataPlane.start(pod.changes(host));
    using client = await RawClient.connect(plane.httpPort, { keep: 'counts' });
    client.request(requestFields(host));
    await asked.kept;
    seen.all[0]?.drain();
    await client.until(() => client.goaways.length === 2);
    const fields = block(requestFields(host));
    const requests = (): Buffer =>
      Buffer.concat(Array.from({ length: 1_000 }, () => headers(client.newStream(), fields, both)));
    await client.flood(performance.now() + 2_000, requests);
    expect(client.ending).toBe('connection ENHANCE_YOUR_CALM');
  });

  test('a request that crosses the first GOAWAY is answered', async () => {
    using seen = new SeenConnections();
    await using pod = await WebPod.start('h2c', (_request, response) => response.end('hello'));
    await using plane = await DataPlane.start(pod.changes(host));
    // It answers no ping: the second GOAWAY does not come.
    using client = await RawClient.connect(plane.httpPort, { acks: 'never' });
    expect(await client.outcome(client.request(requestFields(host)))).toBe('status 200');
    seen.all[0]?.drain();
    await client.until(() => client.goaways.length === 1);
    expect(await client.outcome(client.request(requestFields(host)))).toBe('status 200');
    expect(client.goaways).toHaveLength(1);
  });

  test('an idle connection ends when the client has heard of it', async () => {
    using seen = new SeenConnections();
    await using plane = await DataPlane.start();
    using client = await RawClient.connect(plane.httpPort);
    await client.settled();
    seen.all[0]?.drain();
    expect(await client.ended).toBe('fin');
    client.socket.destroy();
    expect(await plane.ended()).toBe('draining');
  });

  test('clients of Node’s own go on elsewhere, and not one request fails', async () => {
    using seen = new SeenConnections();
    await using pod = await WebPod.start('HTTP/1.1', (_request, response) => {
      setTimeout(() => response.end('hello'), 5);
    });
    await using plane = await DataPlane.start(pod.changes(host));
    for (let i = 0; i < 5; i++) {
      await using client = await WebClient.connect('h2', plane, host);
      const answers = Array.from({ length: 20 }, () => client.get());
      await new Promise((later) => setTimeout(later, i));
      for (const connection of seen.all) connection.drain();
      for (const answer of await Promise.all(answers)) expect(answer.text).toBe('hello');
    }
  });

  test('a client that says GOAWAY itself gets what it has asked for', async () => {
    await using pod = await WebPod.start('HTTP/1.1', (_request, response) => {
      setTimeout(() => response.end('hello'), 20);
    });
    await using plane = await DataPlane.start(pod.changes(host));
    using client = await RawClient.connect(plane.httpPort);
    const stream = client.request(requestFields(host));
    client.write(goaway(0, 'NO_ERROR'));
    expect(await client.outcome(stream)).toBe('status 200');
  });
});

test('a POST with nothing is told its length', async () => {
  await using pod = await WebPod.start('HTTP/1.1', (request, response) => {
    response.end(String(request.headers['content-length']));
  });
  await using plane = await DataPlane.start(pod.changes(host));
  using client = await RawClient.connect(plane.httpPort);
  const stream = client.request(requestFields(host, '/', [], 'POST'), both);
  expect(await client.outcome(stream)).toBe('status 200');
  expect(client.stream(stream).body).toBe('0');
});
