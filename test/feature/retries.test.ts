// A request that did not get through the first time: when it goes to another connection or pod, and when it must not.

import { connect } from 'node:tls';
import { describe, expect, test } from 'vitest';
import type { AccessLine } from '../../src/proxy/access-log/access-line.ts';
import { DataPlane } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod, RefusingPort, type Script } from '../support/peers.ts';
import { endpoint, route } from '../support/rules.ts';

/** Answers one request a connection, and meets the second one with the end. */
function oneThen(end: 'fin' | 'rst', seen: Message[]): Script {
  return async (peer) => {
    seen.push(await peer.message());
    await peer.write(ok('hi'));
    seen.push(await peer.message());
    if (end === 'fin') peer.finish();
    else peer.reset();
  };
}

const requests: Readonly<Record<string, string>> = {
  GET: getRequest('a.test'),
  HEAD: 'HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n',
  DELETE: 'DELETE / HTTP/1.1\r\nHost: a.test\r\n\r\n',
  'PUT without a body': 'PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n',
  'PUT with a body': 'PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc',
  'POST without a body': 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n',
  'POST with a body': 'POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc',
  PATCH: 'PATCH / HTTP/1.1\r\nHost: a.test\r\n\r\n',
};

describe('a kept connection that the pod closes just when the request is written', () => {
  test.each([
    ['GET', 'fin', 200],
    ['GET', 'rst', 200],
    ['HEAD', 'fin', 200],
    ['DELETE', 'rst', 200],
    ['PUT without a body', 'fin', 200],
    ['PUT with a body', 'fin', 502],
    ['POST without a body', 'fin', 502],
    ['POST with a body', 'rst', 502],
    ['PATCH', 'fin', 502],
  ] as const)('%s, %s: %i', async (name, end, status) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(oneThen(end, seen));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await client.message();
    await client.write(requests[name] ?? '');
    expect((await client.message({ head: name === 'HEAD' })).status).toBe(status);
    expect(plane.metric('headgate_upstream_retries_total', 'stale')).toBe(status === 200 ? 1 : 0);
    expect(pod.connections).toHaveLength(status === 200 ? 2 : 1);
    expect(seen).toHaveLength(status === 200 ? 3 : 2);
  });

  test('not when the answer has begun, not even with an interim response', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(ok('hi'));
      await peer.message();
      await peer.write('HTTP/1.1 102 Processing\r\n\r\n');
      peer.finish();
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test').repeat(2));
    const statuses = [await client.message(), await client.message(), await client.message()].map((one) => one.status);
    expect(statuses).toEqual([200, 102, 502]);
    expect(pod.connections).toHaveLength(1);
  });

  test('not a fresh connection: the pod may have begun to act', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      peer.finish();
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect((await client.message()).status).toBe(502);
    expect(pod.connections).toHaveLength(1);
  });
});

describe('a pod that refuses connections', () => {
  test.each(Object.entries(requests))('%s goes to the other one, whole', async (name, request) => {
    const seen: Message[] = [];
    await using refusing = await RefusingPort.find();
    await using pod = await Pod.start(answering(ok(''), seen));
    await using plane = await DataPlane.start(
      route({ host: 'a.test', pods: [refusing.port, pod.port], forwarded: 'never' }),
    );
    using client = await Peer.connect(plane.httpPort);
    await client.write(request);
    expect((await client.message({ head: name === 'HEAD' })).status).toBe(200);
    expect(seen.map((message) => message.text)).toEqual([request]);
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(1);
  });

  test('a body that is still coming, and one larger than what is held back', async () => {
    const seen: Message[] = [];
    await using refusing = await RefusingPort.find();
    await using pod = await Pod.start(answering(ok(''), seen));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [refusing.port, pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    const body = 'x'.repeat(500_000);
    await client.write(
      `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 200_000)}`,
    );
    await pod.connection(0);
    await client.write(body.slice(200_000));
    expect((await client.message()).status).toBe(200);
    expect(seen[0]?.body.toString()).toBe(body);
  });

  test('at most three further pods are asked', async () => {
    await using refusing = await RefusingPort.find();
    await using pod = await Pod.start(answering(ok('')));
    // The same dead port under several names of this machine, then a living one.
    const dead = [2, 3, 4, 5].map((i) => endpoint(refusing.port, `127.0.0.${i}`));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [...dead, pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect((await client.message()).status).toBe(503);
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(4);
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(3);
    expect(plane.answers(503, 'connect-failed')).toBe(1);
    expect(pod.connections).toHaveLength(0);
  });

  test.each([1, 2, 3])('%i of them are asked once each, and as many tries but one are counted', async (count) => {
    await using refusing = await RefusingPort.find();
    const dead = Array.from({ length: count }, (_, i) => endpoint(refusing.port, `127.0.0.${i + 2}`));
    const accessLines: AccessLine[] = [];
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: dead }), { accessLines });
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect((await client.message()).status).toBe(503);
    expect(plane.metric('headgate_upstream_connects_total', 'refused')).toBe(count);
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(count - 1);
    expect(accessLines.map(({ retries }) => retries)).toEqual([count - 1]);
  });

  test.each([1, 2, 3])('%i of them behind a passthrough Route: counted alike', async (count) => {
    await using refusing = await RefusingPort.find();
    const dead = Array.from({ length: count }, (_, i) => endpoint(refusing.port, `127.0.0.${i + 2}`));
    const accessLines: AccessLine[] = [];
    const wish = { host: 'a.test', pods: dead, termination: 'passthrough' } as const;
    await using plane = await DataPlane.start(route(wish), { accessLines });
    const client = connect({ port: plane.httpsPort, host: '127.0.0.1', servername: 'a.test' }).on('error', () => {});
    expect(await plane.ended()).toBe('connect-failed');
    client.destroy();
    expect(plane.metric('headgate_upstream_retries_total', 'refused')).toBe(count - 1);
    expect(accessLines.map(({ retries }) => retries)).toEqual([count - 1]);
  });

  test('a Service that is all dead is passed over for the next one of the Route', async () => {
    await using refusing = await RefusingPort.find();
    await using pod = await Pod.start(answering(ok('alive')));
    await using plane = await DataPlane.start(
      route({
        host: 'a.test',
        services: [
          { service: 'dead', pods: [refusing.port], weight: 100 },
          { service: 'alive', pods: [pod.port], weight: 1 },
        ],
      }),
    );
    using client = await Peer.connect(plane.httpPort);
    for (let i = 0; i < 10; i++) {
      await client.write(getRequest('a.test'));
      expect((await client.message()).body.toString()).toBe('alive');
    }
  });
});

test('kept connections: used again, closed when the pod closes them, not more than allowed', async () => {
  await using pod = await Pod.start(answering(ok('hi')));
  await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
    settings: { maxIdleUpstream: 2 },
  });
  const clients = await Promise.all([1, 2, 3].map(() => Peer.connect(plane.httpPort)));
  // All three at once take three connections; one of them is not kept.
  await Promise.all(clients.map((client) => client.write(getRequest('a.test'))));
  await Promise.all(clients.map((client) => client.message()));
  expect(pod.connections).toHaveLength(3);
  expect(plane.idleUpstreams).toBe(2);
  for (const client of clients) client[Symbol.dispose]();
});
