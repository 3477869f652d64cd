// Exchanges that follow one another on a connection, and exchanges whose parts come in another order than usual.

import { describe, expect, test } from 'vitest';
import { DataPlane } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, holdOpen, ok, Peer, Pod, type Script } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const host = 'Host: a.test\r\n';

describe('several requests on one connection', () => {
  test('ten requests in one segment are answered in order', async () => {
    await using pod = await Pod.start(answering((request) => ok(request.startLine)));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    const targets = Array.from({ length: 10 }, (_, i) => `/${i}`);
    await client.write(targets.map((target) => getRequest('a.test', target)).join(''));
    const bodies: string[] = [];
    for (const _ of targets) bodies.push((await client.message()).body.toString());
    expect(bodies).toEqual(targets.map((target) => `GET ${target} HTTP/1.1`));
    expect(pod.connections).toHaveLength(1);
  });

  test('bodies, answers of the router’s own and pods in turn, all in one segment', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering((request) => ok(request.body.toString()), seen));
    await using plane = await DataPlane.start([
      ...route({ host: 'a.test', pods: [pod.port] }),
      ...route({ host: 'r.test', pods: [pod.port], termination: 'edge', insecurePolicy: 'Redirect' }),
      ...route({ host: 'empty.test', pods: [] }),
    ]);
    using client = await Peer.connect(plane.httpPort);
    await client.write(
      [
        `POST / HTTP/1.1\r\n${host}Content-Length: 3\r\n\r\nGET`,
        getRequest('no.test'),
        `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n4\r\n /2 \r\n0\r\n\r\n`,
        getRequest('r.test', '/x'),
        getRequest('any.test', '/_______internal_router_healthz'),
        getRequest('empty.test'),
        `HEAD / HTTP/1.1\r\nHost: no.test\r\n\r\n`,
        getRequest('a.test', '/last', 'Connection: close\r\n'),
        getRequest('a.test', '/never'),
      ].join(''),
    );
    const statuses: (number | string)[] = [];
    for (const head of [false, false, false, false, false, false, true, false]) {
      const message = await client.message({ head });
      statuses.push(message.status, message.body.toString().replaceAll('\n', '').slice(0, 4));
    }
    expect(statuses).toEqual([200, 'GET', 503, '<!do', 200, ' /2 ', 302, '', 200, 'ok', 503, '<!do', 503, '', 200, '']);
    expect(await client.ended).toBe('fin');
    expect(client.text).toBe('');
    expect(seen.map((request) => request.startLine)).toEqual([
      'POST / HTTP/1.1',
      'POST / HTTP/1.1',
      'GET /last HTTP/1.1',
    ]);
  });

  test('keep-alive over several hosts and pods', async () => {
    const pods = await Promise.all(['a', 'b'].map((name) => Pod.start(answering(ok(name)))));
    await using podA = pods[0] ?? null;
    await using podB = pods[1] ?? null;
    await using plane = await DataPlane.start([
      ...route({ host: 'a.test', pods: [podA?.port ?? 0] }),
      ...route({ host: 'b.test', pods: [podB?.port ?? 0] }),
    ]);
    using client = await Peer.connect(plane.httpPort);
    const bodies: string[] = [];
    for (const name of ['a', 'b', 'b', 'no', 'a']) {
      await client.write(getRequest(`${name}.test`));
      bodies.push((await client.message()).body.toString().slice(0, 4));
    }
    expect(bodies).toEqual(['a', 'b', 'b', '<!do', 'a']);
    expect(plane.sessions).toBe(1);
    expect(plane.idleUpstreams).toBe(2);
    expect(plane.metric('headgate_upstream_reuses_total')).toBe(2);
  });

  test.each([
    ['HTTP/1.1', '', 'stays'],
    ['HTTP/1.1', 'Connection: close\r\n', 'fin'],
    ['HTTP/1.0', '', 'fin'],
    ['HTTP/1.0', 'Connection: keep-alive\r\n', 'stays'],
  ])('after an answer to %s %j the connection: %s', async (version, fields, expected) => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`GET / ${version}\r\n${host}${fields}\r\n`);
    await client.message();
    if (expected === 'fin') {
      expect(await client.ended).toBe('fin');
      client.finish();
      expect(await plane.ended()).toBe('answered-and-closed');
    } else {
      await client.write(`GET / ${version}\r\n${host}${fields}\r\n`);
      expect((await client.message()).status).toBe(200);
      client.finish();
      expect(await client.ended).toBe('fin');
      expect(await plane.ended()).toBe('client-closed');
    }
  });

  test('a client that closes its half behind its requests gets all answers, then the end', async () => {
    await using pod = await Pod.start(answering((request) => ok(request.startLine)));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test', '/1') + getRequest('a.test', '/2'));
    client.finish();
    expect((await client.message()).body.toString()).toBe('GET /1 HTTP/1.1');
    expect((await client.message()).body.toString()).toBe('GET /2 HTTP/1.1');
    expect(await client.ended).toBe('fin');
    expect(await plane.ended()).toBe('client-closed');
  });

  test.each(['http', 'https'] as const)(
    'many requests and the end in one breath: every answer comes (%s)',
    async (scheme) => {
      await using plane = await DataPlane.start();
      using client = scheme === 'http' ? await Peer.connect(plane.httpPort) : await Peer.connectTls(plane.httpsPort);
      const requests = 1_000;
      void client.write(getRequest('no.test').repeat(requests));
      client.finish();
      for (let i = 0; i < requests; i++) expect((await client.message()).status).toBe(503);
      expect(await client.ended).toBe('fin');
      expect(await plane.ended()).toBe('client-closed');
    },
  );

  test('a client that closes in the middle of a pipelined head is let go at once', async () => {
    await using pod = await Pod.start(answering(ok('hi')));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`${getRequest('a.test')}GET /half HT`);
    client.finish();
    expect((await client.message()).status).toBe(200);
    expect(await client.ended).toBe('fin');
    expect(client.text).toBe('');
    expect(await plane.ended()).toBe('client-aborted');
  });
});

describe('interim responses', () => {
  test('100-continue goes round: the body is sent when the pod asks for it', async () => {
    const bodyCame: string[] = [];
    const script: Script = async (peer) => {
      await peer.untilText('Expect: 100-continue\r\n');
      await peer.untilText('\r\n\r\n');
      expect(peer.text).toBe('');
      await peer.write('HTTP/1.1 100 Continue\r\n\r\n');
      bodyCame.push(await peer.untilText('abc'));
      await peer.write(ok('thanks'));
    };
    await using pod = await Pod.start(script);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`POST / HTTP/1.1\r\n${host}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`);
    expect((await client.message()).text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    await client.write('abc');
    expect((await client.message()).text).toBe(ok('thanks'));
    expect(bodyCame).toEqual(['abc']);
  });

  const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
  const processing = 'HTTP/1.1 102 Processing\r\n\r\n';
  test.each([
    ['103 and the answer in one segment', [early + ok('hi')]],
    ['102, 103 and the answer', [processing, early, ok('hi')]],
    ['split inside', [`${processing}HTTP/1.1 103 Ea`, 'rly Hints\r\nLink: </a>\r\n\r', `\n${ok('hi')}`]],
  ])('%s', async (_name, pieces) => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.writeApart(...pieces);
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await client.until(() => client.text.endsWith('hi'));
    expect(client.text).toBe(pieces.join(''));
  });

  test('HTTP/1.0 clients get none (RFC 9110 15.2)', async () => {
    await using pod = await Pod.start(answering(early + ok('hi')));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`GET / HTTP/1.0\r\n${host}Expect: 100-continue\r\n\r\n`);
    await client.ended;
    expect(client.text).toBe(
      ok('hi', 'X: \r\n').replace('X: \r\nContent-Length: 2', 'Content-Length: 2\r\nConnection: close'),
    );
  });

  test('each one gives the pod its time again', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      for (let i = 0; i < 5; i++) {
        await new Promise((later) => setTimeout(later, 150));
        await peer.write(processing);
      }
      await peer.write(ok('done'));
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }), {
      settings: { serverTimeoutMs: 300 },
    });
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await client.until(() => client.text.endsWith('done'));
    expect(client.text).toBe(processing.repeat(5) + ok('done'));
  });

  test('a pod that sends them without end is cut off', async () => {
    await using pod = await Pod.start(answering(processing.repeat(100)));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await client.until(() => client.text.includes('bad-response'));
    expect(plane.answers(502, 'bad-response')).toBe(1);
  });
});

describe('answers that do not wait, or do not end', () => {
  test('until the pod closes: the end is passed on', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.writeApart('HTTP/1.1 200 OK\r\n\r\nfirst', 'second');
      peer.finish();
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect(await client.ended).toBe('fin');
    expect(client.text).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirstsecond');
    expect(plane.idleUpstreams).toBe(0);
  });

  test.each([
    ['with a length', 'Content-Length: 100000\r\n', 'x'.repeat(50_000)],
    ['chunked', 'Transfer-Encoding: chunked\r\n', '186a0\r\nabc'],
  ])(
    'an answer while the body %s is still coming is passed on, then the connection ends',
    async (_name, field, part) => {
      await using pod = await Pod.start(async (peer) => {
        await peer.untilText('\r\n\r\n');
        await peer.write(ok('too much', 'X-Status: enough\r\n'));
      });
      await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
      using client = await Peer.connect(plane.httpPort);
      await client.write(`POST / HTTP/1.1\r\n${host}${field}\r\n${part}`);
      expect(await client.ended).toBe('fin');
      expect(client.text).toContain('Connection: close\r\n');
      expect(client.text).toMatch(/too much$/);
      expect(await (await pod.connection(0)).ended).toMatch(/fin|rst/);
      expect(plane.idleUpstreams).toBe(0);
    },
  );

  test('an answer that begins while the body is coming: both go on to their ends', async () => {
    const uploaded: string[] = [];
    await using pod = await Pod.start(async (peer) => {
      await peer.untilText('first');
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf');
      uploaded.push(await peer.untilText('second'));
      await peer.write('full');
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`POST / HTTP/1.1\r\n${host}Content-Length: 11\r\n\r\nfirst`);
    await client.untilText('half');
    await client.write('second');
    await client.untilText('full');
    expect(uploaded).toEqual(['second']);
    expect(await client.ended).toBe('fin');
  });

  test('an answer to a body that is still coming, and a reset behind it: the client has the answer', async () => {
    await using pod = await Pod.start(holdOpen);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`POST / HTTP/1.1\r\n${host}Content-Length: 1000\r\n\r\nfirst`);
    const connection = await pod.connection(0);
    await connection.untilText('first');
    // The router reads the first of these and writes to a pod that has gone, before it reads the second.
    client.socket.write('second');
    connection.socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno');
    connection.reset();
    expect((await client.message()).status).toBe(413);
  });

  test.each([
    ['length', 'Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhijack'],
    [
      'chunks',
      'Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhijack',
    ],
    ['nothing', 'Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhijack'],
  ])('bytes behind the announced %s answer no other request', async (_name, rest) => {
    await using pod = await Pod.start(async (peer, nth) => {
      for (;;) {
        await peer.message();
        await peer.write(nth === 0 ? `HTTP/1.1 200 OK\r\n${rest}` : ok('own'));
      }
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test') + getRequest('a.test'));
    await client.message();
    expect((await client.message()).text).toBe(ok('own'));
    expect(pod.connections).toHaveLength(2);
  });

  test('bytes on an idle connection answer no request', async () => {
    await using pod = await Pod.start(async (peer, nth) => {
      for (;;) {
        await peer.message();
        await peer.write(ok(`${nth}`));
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhijack');
      }
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    for (const nth of ['0', '1', '2']) {
      await client.write(getRequest('a.test'));
      expect((await client.message()).body.toString()).toBe(nth);
      await (await pod.connection(Number(nth))).ended;
    }
  });
});
