// What the router says when a pod cannot, and how one learns of it afterwards.

import { describe, expect, test } from 'vitest';
import type { AnswerReason } from '../../src/proxy/answers.ts';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { DataPlane } from '../support/data-plane.ts';
import { answering, getRequest, holdOpen, ok, Peer, Pod, RefusingPort, type Script } from '../support/peers.ts';
import { certificate, certificateId, hostWithRoutes, route } from '../support/rules.ts';

const read = async (peer: Peer): Promise<void> => {
  await peer.message();
};

describe('pods that do not answer as they should', () => {
  test.each<[string, number, AnswerReason, Script]>([
    [
      'closes without a word',
      502,
      'upstream-closed',
      async (peer) => {
        await read(peer);
        peer.finish();
      },
    ],
    [
      'resets',
      502,
      'upstream-closed',
      async (peer) => {
        await read(peer);
        peer.reset();
      },
    ],
    ['closes at once', 502, 'upstream-closed', (peer) => peer.finish()],
    [
      'closes in the middle of its head',
      502,
      'upstream-closed',
      async (peer) => {
        await read(peer);
        await peer.write('HTTP/1.1 200 OK\r\nContent-Le');
        peer.finish();
      },
    ],
    [
      'closes after an interim response',
      502,
      'upstream-closed',
      async (peer) => {
        await read(peer);
        await peer.write('HTTP/1.1 102 Processing\r\n\r\n');
        peer.finish();
      },
    ],
    ...[
      ['garbage', 'garbage\r\n\r\n'],
      ['HTTP/2 frames', '\x00\x00\x00\x04\x00\x00\x00\x00\x00\r\n\r\n'],
      ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'],
      ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
      ['a status of 999', 'HTTP/1.1 999 OK\r\n\r\n'],
      ['lines that end with a line feed alone', 'HTTP/1.1 200 OK\nX: y\r\n\r\n'],
      ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n'],
      ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!'],
      ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
      ['an unknown coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
      ['a chunk that is none', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'],
      ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'v'.repeat(25_000)}`],
      ['a head beyond the limit', `HTTP/1.1 200 OK\r\nX: ${'v'.repeat(25_000)}\r\n\r\n`],
      ['101 field lines', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(101)}\r\n`],
      ['an upgrade that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
    ].map(([name = '', answer = '']): [string, number, AnswerReason, Script] => [
      `says ${name}`,
      502,
      'bad-response',
      answering(answer),
    ]),
    ['says nothing', 504, 'upstream-timeout', read],
    [
      'stops in the middle of its head',
      504,
      'upstream-timeout',
      async (peer) => {
        await read(peer);
        await peer.write('HTTP/1.1 200 OK\r\nContent-Le');
      },
    ],
  ])('a pod %s: %i', async (_name, status, reason, script) => {
    await using pod = await Pod.start(script);
    await using plane = await DataPlane.start(route({ host: 'a.test', name: 'r', pods: [pod.port] }), {
      settings: { serverTimeoutMs: 100 },
    });
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test', '/p?secret=1'));
    let answer = await client.message();
    if (answer.status === 102) answer = await client.message();
    expect(answer.status).toBe(status);
    expect(answer.body.toString()).toContain(`<code>${reason}</code>`);
    expect(plane.answers(status, reason)).toBe(1);
    expect(plane.lines).toHaveLength(1);
    expect(plane.lines[0]).toMatchObject({
      ...{ status, reason, route: 'shop/r', host: 'a.test', path: '/p', client: '127.0.0.1' },
      endpoint: `127.0.0.1:${pod.port}`,
    });
    await (await pod.connection(0)).ended;
    expect(plane.idleUpstreams).toBe(0);
    // The client's connection serves on.
    await client.write(getRequest('no.test'));
    expect((await client.message()).status).toBe(503);
  });

  test.each([
    ['with a length', 'Content-Length: 10\r\n\r\nhalf', 'fin'],
    ['with a length, resets', 'Content-Length: 10\r\n\r\nhalf', 'rst'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'fin'],
    ['until the end, resets', '\r\nhalf', 'rst'],
  ])(
    'a pod that breaks off in the middle of a body %s: the client’s connection breaks off',
    async (_name, rest, how) => {
      await using pod = await Pod.start(async (peer) => {
        await read(peer);
        await peer.write(`HTTP/1.1 200 OK\r\n${rest}`);
        await goOn;
        if (how === 'fin') peer.finish();
        else peer.reset();
      });
      let release = (): void => {};
      const goOn = new Promise<void>((now) => {
        release = now;
      });
      await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
      using client = await Peer.connect(plane.httpPort);
      await client.write(getRequest('a.test'));
      await client.until(() => client.text.includes('half'));
      release();
      await client.ended;
      expect(await plane.ended()).toBe('upstream-truncated');
      expect(client.text).not.toContain('<code>');
    },
  );

  test.each([
    ['until the end', '1.1', '\r\nhalf', 'rst'],
    ['in chunks, which the client does not know', '1.0', 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'fin'],
  ])(
    'a pod that breaks off in the middle of a body %s: it is not taken for a whole one',
    async (_name, version, rest, how) => {
      await using pod = await Pod.start(holdOpen);
      await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
      using client = await Peer.connect(plane.httpPort);
      await client.write(`GET / HTTP/${version}\r\nHost: a.test\r\n\r\n`);
      const connection = await pod.connection(0);
      await read(connection);
      await connection.write(`HTTP/1.1 200 OK\r\n${rest}`);
      await client.untilText('half');
      if (how === 'fin') connection.finish();
      else connection.reset();
      expect(await client.ended).toBe('rst');
      expect(await plane.ended()).toBe('upstream-truncated');
    },
  );

  test('a chunk that is none, after good ones: the client’s connection breaks off', async () => {
    await using pod = await Pod.start(async (peer) => {
      await read(peer);
      await peer.writeApart('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', 'xyz');
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await client.ended;
    expect(client.text).toMatch(/3\r\nabc\r\n$/);
    expect(await plane.ended()).toBe('upstream-truncated');
  });
});

describe('nobody to ask', () => {
  test.each<[string, 'http' | 'https', string, AnswerReason]>([
    ['a host without Route', 'http', 'no.test', 'no-route'],
    ['a host without Route', 'https', 'no.test', 'no-route'],
    ['a plain Route over TLS', 'https', 'refused.test', 'no-route'],
    ['an edge Route without insecure policy, over the plain port', 'http', 'edge.test', 'no-route'],
    ['another path', 'http', 'path.test', 'no-route'],
    ['a name that no Route can have', 'http', 'a_b.test', 'no-route'],
    ['a Service without pods', 'http', 'empty.test', 'no-endpoint'],
    ['all weights 0', 'http', 'zero.test', 'no-endpoint'],
    ['a Service without pods', 'https', 'edge.test', 'no-endpoint'],
    ['pods that refuse', 'http', 'refused.test', 'connect-failed'],
    ['a pod whose certificate is not trusted', 'https', 'untrusted.test', 'connect-failed'],
    ['an authority that is not in the table', 'https', 'missing.test', 'connect-failed'],
  ])('%s (%s): 503', async (_name, scheme, host, reason) => {
    const made = makeCertificate({ names: ['pod'] });
    await using refusing = await RefusingPort.find();
    await using pod = await Pod.start(answering(ok('hi')), { cert: made.certificate, key: made.key });
    const missing = { verify: 'chain', authority: certificateId('missing') } as const;
    const other = { verify: 'chain', authority: certificateId('other') } as const;
    await using plane = await DataPlane.start([
      certificate('other', makeAuthority({ name: 'other' }).certificate, null),
      ...route({ host: 'refused.test', pods: [refusing.port] }),
      ...route({ host: 'empty.test', pods: [] }),
      ...route({ host: 'edge.test', pods: [], termination: 'edge' }),
      ...hostWithRoutes('path.test', [{ host: 'path.test', path: '/p', pods: [pod.port] }]),
      ...route({ host: 'zero.test', services: [{ service: 'z', pods: [pod.port], weight: 0 }] }),
      ...route({ host: 'untrusted.test', pods: [pod.port], termination: 'reencrypt', upstreamTls: other }),
      ...route({ host: 'missing.test', pods: [pod.port], termination: 'reencrypt', upstreamTls: missing }),
    ]);
    using client = scheme === 'http' ? await Peer.connect(plane.httpPort) : await Peer.connectTls(plane.httpsPort);
    await client.write(getRequest(host) + getRequest(host));
    const answer = await client.message();
    expect(answer.startLine).toBe('HTTP/1.1 503 Service Unavailable');
    expect(answer.fields.slice(0, 3)).toEqual([
      'Pragma: no-cache',
      'Cache-Control: private, max-age=0, no-cache, no-store',
      'Content-Type: text/html',
    ]);
    expect(answer.body.toString()).toContain(`<code>${reason}</code>`);
    expect((await client.message()).text).toBe(answer.text);
    expect(plane.answers(503, reason)).toBe(2);
    expect(plane.metric('headgate_requests_total', scheme, '5xx')).toBe(2);
  });

  test('with a body on its way: the answer, then an end in order', async () => {
    await using plane = await DataPlane.start();
    using client = await Peer.connect(plane.httpPort);
    await client.write('POST / HTTP/1.1\r\nHost: no.test\r\nContent-Length: 300000\r\n\r\n');
    await client.untilText('no-route');
    await client.write('x'.repeat(300_000));
    expect(await client.ended).toBe('fin');
  });
});

test('at most ten lines a second for one reason and Route, and none is lost uncounted', async () => {
  await using plane = await DataPlane.start([
    ...route({ host: 'a.test', name: 'a', pods: [] }),
    ...route({ host: 'b.test', name: 'b', pods: [] }),
  ]);
  using client = await Peer.connect(plane.httpPort);
  const from = Math.floor(performance.now() / 1000);
  const requests = 100;
  await client.write((getRequest('a.test') + getRequest('b.test') + getRequest('no.test')).repeat(requests));
  for (let i = 0; i < 3 * requests; i++) await client.message();
  const seconds = Math.floor(performance.now() / 1000) - from + 1;
  for (const name of ['shop/a', 'shop/b', null]) {
    const count = plane.lines.filter((line) => line['route'] === name).length;
    expect(count).toBeGreaterThanOrEqual(10);
    expect(count).toBeLessThanOrEqual(10 * seconds);
  }
  expect(plane.lines.length + plane.metric('headgate_log_lines_dropped_total', 'answers')).toBe(3 * requests);
  expect(plane.answers(503, 'no-endpoint')).toBe(2 * requests);
});
