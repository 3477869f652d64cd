// Who waits for a pod, when what is waited for changes: by the table, by other workers, by a client that speaks HTTP/2.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { cookieOf } from '../../src/proxy/upstream/sticky-cookie.ts';
import type { Change } from '../../src/table/delta.ts';
import { backendId } from '../../src/table/entries.ts';
import type { Host } from '../../src/table/host.ts';
import { DataPlane } from '../support/data-plane.ts';
import { flags } from '../support/http2/frames.ts';
import { RawPod } from '../support/http2/raw-pod.ts';
import { WebClient } from '../support/http2-peers/web-client.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { backend, endpoint, h2cEndpoint, type RouteWish, route } from '../support/rules.ts';

const host = 'a.test';
const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
const helloName = 'thirteen.example.test';

function limited(wish: Partial<RouteWish>): Change[] {
  return route({ host, name: 'limited', podConnections: 1, ...wish });
}

function gone(name: string): Change {
  return { kind: 'host', key: name as Host, entry: null };
}

function withoutService(service: string): Change {
  return { kind: 'backend', key: backendId('shop', service, 'http'), entry: null };
}

async function waiting(plane: DataPlane, count: number): Promise<void> {
  while (plane.podPlaces.waiting !== count) await setImmediate();
}

async function ask(plane: DataPlane, fields = ''): Promise<Peer> {
  const client = await Peer.connect(plane.httpPort);
  await client.write(getRequest(host, '/', fields));
  return client;
}

describe('the table changes', () => {
  test.each<[string, (port: number, free: number) => Change[], string]>([
    ['the limit is raised', (port) => limited({ pods: [port], podConnections: 2 }), 'second'],
    ['the limit is taken away', (port) => limited({ pods: [port], podConnections: null }), 'second'],
    ['another pod comes', (port, free) => [backend('limited', [port, free])], 'free'],
    ['the pod goes and another comes', (_, free) => [backend('limited', [free])], 'free'],
    [
      'the Route goes to another Service',
      (_, free) => [...limited({ services: [{ service: 'green', pods: [free] }] }), withoutService('limited')],
      'free',
    ],
    ['the last pod goes', () => [backend('limited', [])], '<code>no-endpoint</code>'],
    ['the Route goes, its Service stays', () => [gone(host)], '<code>no-route</code>'],
    [
      'the Route moves to another Host',
      (port) => [gone(host), ...limited({ host: 'b.test', pods: [port] })],
      'no-route',
    ],
  ])('%s: who waits is served, or answered, at once', async (_name, changes, expected) => {
    await using pod = await Pod.start(async (connection, nth) => {
      await connection.message();
      if (nth > 0) await connection.write(ok('second'));
    });
    await using free = await Pod.start(answering(ok('free')));
    await using plane = await DataPlane.start(limited({ pods: [pod.port] }));
    using first = await ask(plane);
    await (await pod.connection(0)).until(() => true);
    using second = await ask(plane);
    await waiting(plane, 1);
    plane.put(...changes(pod.port, free.port));
    expect((await second.message()).text).toContain(expected);
    expect(first.receivedBytes).toBe(0);
    first.socket.resetAndDestroy();
  });

  test('what concerns other Routes wakes nobody', async () => {
    await using pod = await Pod.start(() => {});
    await using plane = await DataPlane.start(limited({ pods: [pod.port] }));
    using first = await ask(plane);
    await pod.connection(0);
    using second = await ask(plane);
    await waiting(plane, 1);
    plane.put(...route({ host: 'b.test', pods: [pod.port] }));
    plane.put(backend('limited', [pod.port]));
    expect(plane.podPlaces.waiting).toBe(1);
    for (const client of [first, second]) client.socket.resetAndDestroy();
  });

  test('a client whose own pod goes is served by another', async () => {
    await using own = await Pod.start(() => {});
    await using free = await Pod.start(answering(ok('free')));
    const cookie = { name: 'stick', attributes: 'path=/' };
    await using plane = await DataPlane.start(limited({ pods: [own.port, free.port], cookie }));
    const fields = `Cookie: stick=${cookieOf(endpoint(own.port))}\r\n`;
    using first = await ask(plane, fields);
    await own.connection(0);
    using second = await ask(plane, fields);
    await waiting(plane, 1);
    plane.put(backend('limited', [free.port]));
    expect((await second.message()).body.toString()).toBe('free');
    first.socket.resetAndDestroy();
  });

  test('the pods speak HTTP/2 by now: a body in chunks that waits reaches them without its chunks', async () => {
    const bodies: string[] = [];
    await using pod = await Pod.start(() => {});
    await using modern = await RawPod.start(async (peer) => {
      const stream = await peer.request();
      await peer.until(() => peer.stream(stream).ended);
      bodies.push(peer.stream(stream).body);
      peer.head(stream, [[':status', '204']], flags.endHeaders | flags.endStream);
    });
    await using plane = await DataPlane.start(limited({ pods: [pod.port] }));
    using first = await ask(plane);
    await pod.connection(0);
    using second = await Peer.connect(plane.httpPort);
    const chunks = '5\r\nhello\r\n0\r\n\r\n';
    await second.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
    await waiting(plane, 1);
    plane.put(backend('limited', [h2cEndpoint(modern.port)]));
    await second.untilText('\r\n\r\n');
    expect(bodies).toEqual(['hello']);
    first.reset();
  });

  test('passthrough: who waits for a Route that goes is cut', async () => {
    await using pod = await Pod.start(() => {});
    const wish = { host: helloName, termination: 'passthrough', pods: [pod.port] } as const;
    await using plane = await DataPlane.start(limited(wish));
    using first = await Peer.connect(plane.httpsPort);
    await first.write(hello);
    await (await pod.connection(0)).untilBytes(hello.length);
    using second = await Peer.connect(plane.httpsPort);
    await second.write(hello);
    await waiting(plane, 1);
    plane.put(gone(helloName));
    expect(await plane.ended()).toBe('no-endpoint');
  });
});

describe('health checks find', () => {
  const cookie = { name: 'stick', attributes: 'path=/' };

  function say(plane: DataPlane, what: 'down' | 'up', port: number): void {
    plane.peers.heard(1, 'health', { down: [], up: [], failed: [], [what]: [`plain ${endpoint(port).authority}`] });
  }

  /** Places that have been given back stay until the other worker has been told. */
  async function given(plane: DataPlane): Promise<void> {
    while (plane.podPlaces.routes > 0) await setImmediate();
  }

  test('the own pod of a client down: it is served by another', async () => {
    await using own = await Pod.start(() => {});
    await using free = await Pod.start(answering(ok('free')));
    await using plane = await DataPlane.start(limited({ pods: [own.port, free.port], cookie }));
    plane.peers.became([0, 1]);
    const fields = `Cookie: stick=${cookieOf(endpoint(own.port))}\r\n`;
    using first = await ask(plane, fields);
    await own.connection(0);
    using second = await ask(plane, fields);
    await waiting(plane, 1);
    say(plane, 'down', own.port);
    expect((await second.message()).body.toString()).toBe('free');
    expect(first.receivedBytes).toBe(0);
    for (const client of [first, second]) client.reset();
    await given(plane);
  });

  test('all pods down: who waits is answered', async () => {
    await using pod = await Pod.start(() => {});
    await using other = await Pod.start(() => {});
    await using plane = await DataPlane.start(limited({ pods: [pod.port, other.port] }));
    plane.peers.became([0, 1]);
    using first = await ask(plane);
    using second = await ask(plane);
    await Promise.all([pod.connection(0), other.connection(0)]);
    using third = await ask(plane);
    await waiting(plane, 1);
    for (const { port } of [pod, other]) say(plane, 'down', port);
    expect((await third.message()).text).toContain('<code>endpoints-down</code>');
    for (const client of [first, second, third]) client.reset();
    await given(plane);
  });

  test('a pod up again: who waits goes there', async () => {
    await using pod = await Pod.start(() => {});
    await using back = await Pod.start(answering(ok('back')));
    await using plane = await DataPlane.start(limited({ pods: [pod.port, back.port] }));
    plane.peers.became([0, 1]);
    say(plane, 'down', back.port);
    using first = await ask(plane);
    await pod.connection(0);
    using second = await ask(plane);
    await waiting(plane, 1);
    say(plane, 'up', back.port);
    expect((await second.message()).body.toString()).toBe('back');
    for (const client of [first, second]) client.reset();
    await given(plane);
  });
});

describe('HTTP/2', () => {
  test('streams of one connection wait in order; one that is reset, or whose connection ends, waits no longer', async () => {
    const seen: string[] = [];
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>();
    await using pod = await Pod.start(async (connection) => {
      for (;;) {
        seen.push((await connection.message()).text.split(' ')[1] ?? '');
        await mayAnswer;
        await connection.write(ok('done'));
      }
    });
    await using plane = await DataPlane.start(limited({ pods: [pod.port], termination: 'edge' }));
    await using client = await WebClient.connect('h2', plane, host);
    const asked = ['/0', '/1', '/2', '/3'].map((path) => client.ask({ path }));
    await waiting(plane, 3);
    await using other = await WebClient.connect('h2', plane, host);
    void other.ask({ path: '/other' }).answer.catch(() => {});
    await waiting(plane, 4);
    other.close();
    await waiting(plane, 3);
    const [, , third] = asked;
    void third?.answer.catch(() => {});
    third?.abort();
    await waiting(plane, 2);
    answer();
    for (const each of asked) {
      if (each !== third) expect((await (await each.answer).whole()).text).toBe('done');
    }
    expect(seen).toEqual(['/0', '/1', '/3']);
  });

  test('a stream that waits too long gets 503 pods-busy; the others go on', async () => {
    await using pod = await Pod.start(async (connection) => {
      await connection.message();
      await waiting(plane, 1);
      await waiting(plane, 0);
      await connection.write(ok('late'));
    });
    const settings = { connectTimeoutMs: 200 };
    await using plane = await DataPlane.start(limited({ pods: [pod.port], termination: 'edge' }), { settings });
    await using client = await WebClient.connect('h2', plane, host);
    const first = client.ask();
    await pod.connection(0);
    const second = await client.get();
    expect([second.status, second.text]).toEqual([503, expect.stringContaining('pods-busy')]);
    expect((await (await first.answer).whole()).text).toBe('late');
  });

  test('the limit is raised: a stream that waits is served', async () => {
    await using pod = await Pod.start(async (connection, nth) => {
      await connection.message();
      if (nth > 0) await connection.write(ok('second'));
    });
    await using plane = await DataPlane.start(limited({ pods: [pod.port], termination: 'edge' }));
    await using client = await WebClient.connect('h2', plane, host);
    void client.ask().answer.catch(() => {});
    await pod.connection(0);
    const second = client.ask();
    await waiting(plane, 1);
    plane.put(...limited({ pods: [pod.port], termination: 'edge', podConnections: 2 }));
    expect((await (await second.answer).whole()).text).toBe('second');
  });
});

describe('another worker', () => {
  test('holds all places: one is left, and the next when it has given one back', async () => {
    await using pod = await Pod.start(async (connection, nth) => {
      await connection.message();
      if (nth > 0) await connection.write(ok('second'));
    });
    await using plane = await DataPlane.start(limited({ pods: [pod.port], podConnections: 3 }), { workers: 2 });
    plane.peers.became([0, 1]);
    const key = `shop/limited 127.0.0.1:${pod.port}`;
    plane.peers.heard(1, 'places', [[key, 3, 0, 0]]);
    using first = await ask(plane);
    await pod.connection(0);
    using second = await ask(plane);
    await waiting(plane, 1);
    expect(plane.told).toEqual([]);
    plane.peers.heard(1, 'places', [[key, 2, 0, 0]]);
    expect((await second.message()).body.toString()).toBe('second');
    // It was told that somebody waits here who has no place besides.
    expect(plane.told).toContainEqual({ topic: 'places', value: [[key, 1, 1, 1]] });
    first.socket.resetAndDestroy();
    await plane.ended();
    second[Symbol.dispose]();
    while (plane.podPlaces.routes > 0) await setImmediate();
    expect(plane.told.at(-1)).toEqual({ topic: 'places', value: [[key, 0, 0, 0]] });
  });

  test('has let a source do all that it may', async () => {
    await using pod = await Pod.start(answering(ok('hello')));
    const rateLimit = { connections: null, connectionRate: null, requestRate: 5 };
    await using plane = await DataPlane.start(route({ host, name: 'web', pods: [pod.port], rateLimit }), {
      workers: 2,
    });
    plane.peers.became([0, 1]);
    plane.peers.heard(1, 'rates', [['shop/web 127.0.0.1', 1, 1, 4]]);
    using client = await ask(plane);
    expect((await client.message()).text).toMatch(/^HTTP\/1\.1 200 /);
    await client.write(getRequest(host));
    expect((await client.message()).text).toMatch(/^HTTP\/1\.1 429 /);
    while (plane.told.length === 0) await setImmediate();
    expect(plane.told).toEqual([{ topic: 'rates', value: [['shop/web 127.0.0.1', 1, 0, 1]] }]);
  });

  test('has the pod that is least busy here busy: leastconn goes elsewhere', async () => {
    await using one = await Pod.start(answering(ok('one')));
    await using other = await Pod.start(answering(ok('other')));
    const wish = { host, pods: [one.port, other.port], balance: 'leastconn' } as const;
    await using plane = await DataPlane.start(route(wish), { workers: 2 });
    plane.peers.became([0, 1]);
    plane.peers.heard(1, 'loads', [[`127.0.0.1:${one.port}`, 40]]);
    using client = await ask(plane);
    await client.message();
    const next = async (): Promise<string> => {
      await client.write(getRequest(host));
      return (await client.message()).body.toString();
    };
    // From the next exchange on, for as long as the other one is believed.
    let row = 0;
    while (row < 10) row = (await next()) === 'other' ? row + 1 : 0;
    plane.peers.became([0]);
    expect(new Set([await next(), await next()])).toEqual(new Set(['one', 'other']));
  });
});
