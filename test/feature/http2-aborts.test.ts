// Exchanges that do not come to their end, for every kind of client before every kind of pod: clients that go away, pods that
// die, refuse or say good-bye. Whoever is left hears of it at once, and nobody else is harmed.

import type { ServerHttp2Session } from 'node:http2';
import type { Server } from 'node:net';
import { describe, expect, test } from 'vitest';
import { DataPlane } from '../support/data-plane.ts';
import { flags, frame, frameTypes, goaway, rstStream, uint32 } from '../support/http2/frames.ts';
import { RawClient, requestFields } from '../support/http2/raw-client.ts';
import { answeringHttp2, type PodPeer, RawPod } from '../support/http2/raw-pod.ts';
import { content, host, Pair, type Pairing, pairings, promise, receive } from '../support/http2-peers/pairings.ts';
import { type ClientKind, clientKinds, WebClient } from '../support/http2-peers/web-client.ts';
import { type Handler, type PodKind, WebPod } from '../support/http2-peers/web-pod.ts';
import { Peer, turn } from '../support/peers.ts';
import { h2cEndpoint, route } from '../support/rules.ts';

/** A request or an answer has been cut off on the pod's side. */
type CutOff = { readonly end: Promise<unknown> };

function cutOff(request: Parameters<Handler>[0], response: Parameters<Handler>[1]): CutOff {
  const end = Promise.race([
    new Promise((done) => request.once('aborted', done)),
    new Promise((done) => response.once('close', done)),
  ]);
  return { end };
}

const both: readonly Pairing[] = pairings;

describe.each(both)('$client to $pod', (pairing) => {
  const isClientHttp2 = pairing.client === 'h2' || pairing.client === 'h2c';

  /** Answers `/quick` at once; what else comes is begun, handed to the test, and not ended. */
  function halves(begun: (request: Parameters<Handler>[0], response: Parameters<Handler>[1]) => void): Handler {
    return (request, response) => {
      if (request.url === '/quick') {
        response.end('quick');
        return;
      }
      begun(request, response);
    };
  }

  test.each(['RST_STREAM, or the end of the connection', 'the end of the connection'])(
    'a client that goes away in the middle of its upload, by %s: the pod hears of it',
    async (how) => {
      const came = promise<CutOff>();
      await using pair = await Pair.start(
        pairing,
        halves((request, response) => {
          const end = cutOff(request, response);
          request.once('data', () => came.keep(end));
        }),
      );
      await using other = await WebClient.connect(pairing.client, pair.plane, host);
      expect((await other.get({ path: '/quick' })).text).toBe('quick');
      const asked = pair.client.ask({ method: 'POST', body: 'open', fields: { 'content-length': '1000000' } });
      asked.out.write(content(1000));
      const { end } = await came.kept;
      if (how === 'the end of the connection') pair.client.close();
      else asked.abort();
      await end;
      if (isClientHttp2 && how !== 'the end of the connection') {
        expect((await pair.client.get({ path: '/quick' })).text).toBe('quick');
        expect(pair.plane.endReasons).toEqual([]);
      }
      expect((await other.get({ path: '/quick' })).text).toBe('quick');
    },
  );

  test('a client that goes away in the middle of its download: the pod hears of it', async () => {
    const came = promise<CutOff>();
    await using pair = await Pair.start(
      pairing,
      halves((request, response) => {
        response.writeHead(200);
        response.write('begun');
        came.keep(cutOff(request, response));
      }),
    );
    await using other = await WebClient.connect(pairing.client, pair.plane, host);
    const asked = pair.client.ask();
    const answer = await asked.answer;
    await new Promise((done) => answer.body.once('data', done));
    asked.abort();
    await (await came.kept).end;
    expect((await other.get({ path: '/quick' })).text).toBe('quick');
    if (isClientHttp2) expect((await pair.client.get({ path: '/quick' })).text).toBe('quick');
  });

  test('a client that goes away while the pod thinks', async () => {
    const came = promise<CutOff>();
    await using pair = await Pair.start(
      pairing,
      halves((request, response) => came.keep(cutOff(request, response))),
    );
    const asked = pair.client.ask();
    const { end } = await came.kept;
    asked.abort();
    await end;
    if (isClientHttp2) expect((await pair.client.get({ path: '/quick' })).text).toBe('quick');
  });

  test.each([
    ['with a length', { 'content-length': '1000000' }],
    ['without one', {}],
  ])('a pod that dies in the middle of an answer %s: no client takes it for a whole one', async (_name, fields) => {
    await using pair = await Pair.start(
      pairing,
      halves((_request, response) => {
        response.writeHead(200, fields);
        response.write('half');
      }),
    );
    const asked = pair.client.ask();
    const answer = await asked.answer;
    await new Promise((done) => answer.body.once('data', done));
    const whole = answer.whole();
    pair.pod.reset();
    expect((await whole).complete).toBe(false);
    // The next request goes to a new connection.
    expect((await pair.client.get({ path: '/quick' })).text).toBe('quick');
    if (isClientHttp2) expect(pair.plane.endReasons).toEqual([]);
  });

  test('a pod that resets before it has answered: 502', async () => {
    await using pair = await Pair.start(
      pairing,
      halves(() => pair.pod.reset()),
    );
    const answer = await pair.client.get({ method: 'POST', body: 'x' });
    expect(answer.status).toBe(502);
    expect(answer.text).toContain('upstream-closed');
    expect((await pair.client.get({ path: '/quick' })).text).toBe('quick');
  });

  test('a kept connection that turns out to be gone: what may be repeated is', async () => {
    let requests = 0;
    await using pair = await Pair.start(pairing, async (request, response) => {
      await receive(request);
      if (++requests === 2) pair.pod.reset();
      else response.end(`${requests}`);
    });
    expect((await pair.client.get()).text).toBe('1');
    expect(await pair.client.get()).toMatchObject({ status: 200, text: '3' });
    expect(pair.plane.metric('headgate_upstream_retries_total', 'stale')).toBe(1);
  });

  test('a kept connection that turns out to be gone: what may not be repeated is not', async () => {
    let requests = 0;
    await using pair = await Pair.start(pairing, async (request, response) => {
      await receive(request);
      if (++requests === 2) pair.pod.reset();
      else response.end(`${requests}`);
    });
    expect((await pair.client.get()).text).toBe('1');
    expect((await pair.client.get({ method: 'POST', body: 'x' })).status).toBe(502);
    expect(requests).toBe(2);
  });
});

describe.each(clientKinds)('pods of HTTP/2 before %s', (client: ClientKind) => {
  async function serve(script: (peer: PodPeer, nth: number) => Promise<void> | void) {
    const pod = await RawPod.start(script);
    const pods = [h2cEndpoint(pod.port)];
    const plane = await DataPlane.start(route({ host, pods, termination: 'edge', insecurePolicy: 'Allow' }));
    return { pod, plane, client: await WebClient.connect(client, plane, host) };
  }

  test('a refused stream is asked for again', async () => {
    let refusals = 0;
    const answer = answeringHttp2('hello');
    const {
      pod,
      plane,
      client: asking,
    } = await serve(async (peer, nth) => {
      if (nth === 0 && refusals === 0) {
        const stream = await peer.request();
        refusals++;
        peer.write(rstStream(stream, 'REFUSED_STREAM'));
      }
      await answer(peer, nth);
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = asking;
    // Nothing of it was looked at: a POST may be repeated too, as long as all of it is still here.
    expect((await asking.get({ method: 'POST' })).text).toBe('hello');
    expect(refusals).toBe(1);
  });

  test('a pod that refuses for ever: 503, and not for ever', async () => {
    let refusals = 0;
    const {
      pod,
      plane,
      client: asking,
    } = await serve(async (peer) => {
      for (;;) {
        const stream = await peer.request();
        refusals++;
        peer.write(rstStream(stream, 'REFUSED_STREAM'));
      }
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = asking;
    expect((await asking.get()).status).toBe(503);
    expect(refusals).toBeLessThan(6);
  });

  test('GOAWAY: what is under way comes to its end, what was not looked at goes elsewhere', async () => {
    const {
      pod,
      plane,
      client: asking,
    } = await serve(async (peer, nth) => {
      if (nth > 0) {
        await answeringHttp2(`by ${nth}`)(peer, nth);
        return;
      }
      const first = await peer.request();
      peer.head(first, [[':status', '200']]);
      peer.writeData(first, Buffer.from('first '));
      const second = await peer.request();
      // The second has crossed it.
      peer.write(goaway(first, 'NO_ERROR'));
      expect(second).toBeGreaterThan(first);
      await peer.until(
        () =>
          peer.streams.size > 2 ||
          plane.metric('headgate_requests_total', 'http', '2xx') +
            plane.metric('headgate_requests_total', 'https', '2xx') >
            0,
      );
      peer.writeData(first, Buffer.from('second'), flags.endStream);
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = asking;
    await using another = await WebClient.connect(client, plane, host);
    const first = asking.ask();
    const firstAnswer = await first.answer;
    const whole = firstAnswer.whole();
    expect((await another.get()).text).toBe('by 1');
    // To wake the pod's wait; it goes to the new connection, too.
    (await pod.connection(0)).write(frame(frameTypes.ping, 0, 0, Buffer.alloc(8)));
    expect(await whole).toMatchObject({ text: 'first second', complete: true });
    expect((await another.get()).text).toBe('by 1');
    expect(await (await pod.connection(0)).ended).toBeDefined();
  });

  test.each([
    ['RST_STREAM INTERNAL_ERROR', (stream: number) => rstStream(stream, 'INTERNAL_ERROR')],
    ['RST_STREAM CANCEL', (stream: number) => rstStream(stream, 'CANCEL')],
    ['RST_STREAM NO_ERROR', (stream: number) => rstStream(stream, 'NO_ERROR')],
    ['RST_STREAM REFUSED_STREAM', (stream: number) => rstStream(stream, 'REFUSED_STREAM')],
    ['GOAWAY', () => goaway(0, 'INTERNAL_ERROR')],
    ['a frame that no peer may send', () => frame(frameTypes.windowUpdate, 0, 0, uint32(0))],
  ])('an answer cut off by %s is not taken for a whole one', async (_name, cut) => {
    const {
      pod,
      plane,
      client: asking,
    } = await serve(async (peer, nth) => {
      if (nth > 0) return await answeringHttp2('next')(peer, nth);
      const stream = await peer.request();
      peer.head(stream, [[':status', '200']]);
      peer.writeData(stream, Buffer.from('half'));
      peer.write(cut(stream));
      if (_name.startsWith('RST_STREAM')) await answeringHttp2('next')(peer, nth);
    });
    await using _pod = pod;
    await using _plane = plane;
    await using _client = asking;
    const answer = await asking.ask().answer;
    expect((await answer.whole()).complete).toBe(false);
    expect((await asking.get()).text).toBe('next');
  });

  test('GOAWAY again and again, as Node’s server says it, and not one request fails', async () => {
    const sessions: ServerHttp2Session[] = [];
    await using pod = await WebPod.start('h2c', (_request, response) => {
      response.writeHead(200);
      response.write('be');
      setImmediate(() => response.end('gun'));
    });
    (pod.server as Server).on('session', (session: ServerHttp2Session) => sessions.push(session));
    await using plane = await DataPlane.start(pod.changes(host));
    await using asking = await WebClient.connect(client, plane, host);
    for (let i = 0; i < 20; i++) {
      const asked = Array.from({ length: asking.isHttp2 ? 10 : 1 }, () => asking.get());
      if (i % 2 === 1) for (const session of sessions.splice(0)) session.close();
      for (const answer of await Promise.all(asked)) {
        expect(answer).toMatchObject({ status: 200, text: 'begun', complete: true });
      }
    }
  });
});

test('a stream that was refused before its body came: none of it goes out with the next request', async () => {
  const bodies: string[] = [];
  let isOpen = false;
  await using pod = await RawPod.start(async (peer, nth) => {
    for (let i = 0; ; i++) {
      const stream = await peer.request();
      if (nth === 0 && i === 0) {
        peer.write(rstStream(stream, 'REFUSED_STREAM'));
        continue;
      }
      isOpen = true;
      await peer.until(() => peer.stream(stream).ended);
      bodies.push(peer.stream(stream).body);
      // The next request has to wait for a connection, and its body with it.
      peer.write(goaway(stream, 'NO_ERROR'));
      peer.head(stream, [
        [':status', '200'],
        ['content-length', '0'],
      ]);
      peer.writeData(stream, Buffer.alloc(0), flags.endStream);
    }
  });
  await using plane = await DataPlane.start(route({ host, pods: [h2cEndpoint(pod.port)] }));
  using client = await Peer.connect(plane.httpPort);
  await client.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 6\r\n\r\n`);
  while (!isOpen) await turn();
  await client.write('secret');
  await client.message();
  await client.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\n\r\nnext`);
  await client.message();
  expect(bodies).toEqual(['secret', 'next']);
});

describe('what a raw client of HTTP/2 sees', () => {
  async function serve(kind: PodKind, handler: Handler) {
    const pod = await WebPod.start(kind, handler);
    const plane = await DataPlane.start(pod.changes(host));
    return { pod, plane };
  }

  test.each(['HTTP/1.1', 'HTTP/1.1 over TLS', 'h2c', 'h2'] as const)(
    'of a pod (%s) that dies in the middle of an answer: RST_STREAM, never END_STREAM',
    async (kind) => {
      const { pod, plane } = await serve(kind, (_request, response) => {
        response.writeHead(200);
        response.write('half');
      });
      await using _pod = pod;
      await using _plane = plane;
      using client = await RawClient.connect(plane.httpPort);
      const stream = client.request(requestFields(host));
      await client.until(() => client.stream(stream).body === 'half');
      pod.reset();
      expect(await client.outcome(stream)).toBe('status 200 cut');
      expect(client.stream(stream).reset).toBe('INTERNAL_ERROR');
      expect(client.end).toBe(null);
    },
  );

  test.each([
    ['closes its half', 'fin'],
    ['closes', 'close'],
    ['resets', 'rst'],
  ] as const)('a client that %s in the middle of an upload: the pod hears of it at once', async (_name, how) => {
    const came = promise<CutOff>();
    const { pod, plane } = await serve('HTTP/1.1', (request, response) => {
      const end = cutOff(request, response);
      request.once('data', () => came.keep(end));
    });
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort);
    const stream = client.request(requestFields(host, '/', [], 'POST'), flags.endHeaders);
    client.writeData(stream, Buffer.from('begin'));
    const { end } = await came.kept;
    if (how === 'fin') client.socket.end();
    else if (how === 'close') client.socket.destroy();
    else client.socket.resetAndDestroy();
    await end;
    if (how === 'fin') client.socket.destroy();
    expect(await plane.ended()).toBe('client-aborted');
  });

  test('many streams taken back at once: the pod hears of each, and the connection goes on', async () => {
    const streams = 90;
    let cut = 0;
    let begun = 0;
    const all = promise();
    const allCut = promise();
    const { pod, plane } = await serve('h2c', (request, response) => {
      if (request.url === '/quick') {
        response.end('quick');
        return;
      }
      void cutOff(request, response).end.then(() => ++cut === streams && allCut.keep());
      if (++begun === streams) all.keep();
    });
    await using _pod = pod;
    await using _plane = plane;
    using client = await RawClient.connect(plane.httpPort);
    const ids = Array.from({ length: streams }, () => client.request(requestFields(host)));
    await all.kept;
    client.write(...ids.map((id) => rstStream(id, 'CANCEL')));
    await allCut.kept;
    const quick = client.request(requestFields(host, '/quick'));
    expect(await client.outcome(quick)).toBe('status 200');
    expect(pod.connections).toBe(1);
  });

  test('more than a pod stands on one connection: nobody else is harmed', async () => {
    const slow = promise<Parameters<Handler>[1]>();
    let begun = 0;
    let look = (): void => {};
    const handler: Handler = (request, response) => {
      if (request.url === '/slow') slow.keep(response);
      begun++;
      look();
    };
    // As Netty's server does it: 200 resets in 30 s, and the connection is ended with all that is on it.
    await using pod = await WebPod.start('h2c', handler, { streamResetBurst: 200, streamResetRate: 7 });
    await using plane = await DataPlane.start(pod.changes(host));
    await using honest = await WebClient.connect('HTTP/1.1', plane, host);
    const answer = honest.ask({ path: '/slow' }).answer;
    const response = await slow.kept;
    using client = await RawClient.connect(plane.httpPort);
    for (let round = 1; round <= 10; round++) {
      const ids = Array.from({ length: 50 }, () => client.request(requestFields(host)));
      await new Promise<void>((done) => {
        look = () => begun > 50 * round && done();
        look();
      });
      client.write(...ids.map((id) => rstStream(id, 'CANCEL')));
      await client.settled();
    }
    response.end('whole');
    expect(await (await answer).whole()).toMatchObject({ text: 'whole', complete: true });
    // A hundred to each.
    expect(pod.connections).toBe(5);
  });
});
