// Large bodies, slow peers and messages that come in pieces: what goes in comes out, and little of it is held in between.

import { createHash, type Hash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { DataPlane } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod, type Script, untilStill } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const megabyte = 1 << 20;
const host = 'Host: a.test\r\n';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that live buffers hold, of the router and of the test's own peers. */
function bufferBytes(): number {
  // The first one finds what is dead, the second one waits until it has been given back.
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

/** The most that buffers held, above what they held before, while something ran. */
async function bufferGrowth(run: () => Promise<void>): Promise<number> {
  const before = bufferBytes();
  let highest = 0;
  // Each look is two collections of everything: more of them, and on a busy machine nothing else gets done.
  const watch = setInterval(() => {
    highest = Math.max(highest, bufferBytes() - before);
  }, 200);
  await run();
  clearInterval(watch);
  return highest;
}

describe('64 MB', () => {
  const total = 64 * megabyte;

  test.each([
    ['a length', `Content-Length: ${total}\r\n`, 'none'],
    ['a length, over TLS', `Content-Length: ${total}\r\n`, 'edge'],
    ['the end of the connection', '', 'none'],
  ] as const)('down, delimited by %s', async (_name, field, termination) => {
    const sent = createHash('sha256');
    const received = createHash('sha256');
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(`HTTP/1.1 200 OK\r\n${field}\r\n`);
      await peer.writeMany(total, sent);
      if (field === '') peer.finish();
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], termination }));
    using client =
      termination === 'none'
        ? await Peer.connect(plane.httpPort)
        : await Peer.connectTls(plane.httpsPort, { servername: 'a.test' });
    const growth = await bufferGrowth(async () => {
      await client.write(getRequest('a.test'));
      const head = await client.untilText('\r\n\r\n');
      client.hashInto(received);
      await client.untilBytes(head.length + total);
    });
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    expect(client.receivedBytes - total).toBeLessThan(200);
    expect(growth).toBeLessThan(16 * megabyte);
  });

  test.each([
    ['over the plain port', 'none'],
    ['over TLS', 'edge'],
  ] as const)('up, %s', async (_name, termination) => {
    const sent = createHash('sha256');
    const received = createHash('sha256');
    await using pod = await Pod.start(async (peer) => {
      const head = await peer.untilText('\r\n\r\n');
      peer.hashInto(received);
      await peer.untilBytes(head.length + total);
      await peer.write(ok('done'));
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], termination }));
    using client =
      termination === 'none'
        ? await Peer.connect(plane.httpPort)
        : await Peer.connectTls(plane.httpsPort, { servername: 'a.test' });
    const growth = await bufferGrowth(async () => {
      await client.write(`PUT / HTTP/1.1\r\n${host}Content-Length: ${total}\r\n\r\n`);
      await client.writeMany(total, sent);
      expect((await client.message()).status).toBe(200);
    });
    expect(received.digest('hex')).toBe(sent.digest('hex'));
    expect(growth).toBeLessThan(16 * megabyte);
  });
});

describe('back-pressure', () => {
  test('a client that does not read stops the pod; when it reads on, it gets everything', async () => {
    const total = 32 * megabyte;
    const sent = createHash('sha256');
    const received = createHash('sha256');
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      await peer.writeMany(total, sent);
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    const before = bufferBytes();
    client.stopReading();
    await client.write(getRequest('a.test'));
    const upstream = await pod.connection(0);
    await untilStill(() => upstream.socket.bytesWritten);
    // Both kernels hold some megabytes; the router holds a few buffers.
    expect(upstream.socket.bytesWritten).toBeLessThan(total / 2);
    expect(bufferBytes() - before).toBeLessThan(4 * megabyte);
    client.readOn();
    const head = await client.untilText('\r\n\r\n');
    client.hashInto(received);
    await client.untilBytes(head.length + total);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
  });

  test.each([
    ['before it takes the connection', null],
    ['in the middle of the body', 'one'],
  ])('a pod that does not read %s stops the client', async (_name, firstRead) => {
    const total = 32 * megabyte;
    const sent = createHash('sha256');
    const received = createHash('sha256');
    let readOn = (): void => {};
    await using pod = await Pod.start(async (peer) => {
      if (firstRead !== null) await peer.untilBytes(megabyte);
      peer.stopReading();
      await new Promise<void>((now) => {
        readOn = now;
      });
      peer.readOn();
      const head = await peer.untilText('\r\n\r\n');
      peer.hashInto(received);
      await peer.untilBytes(head.length + total);
      await peer.write(ok('done'));
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(`PUT / HTTP/1.1\r\n${host}Content-Length: ${total}\r\n\r\n`);
    const upload = client.writeMany(total, sent);
    await pod.connection(0);
    await untilStill(() => client.socket.bytesWritten);
    expect(client.socket.bytesWritten).toBeLessThan(total / 2);
    readOn();
    await upload;
    expect((await client.message()).status).toBe(200);
    expect(received.digest('hex')).toBe(sent.digest('hex'));
  });

  test('a client that sends request after request and reads none of the answers is not read from for ever', async () => {
    const answer = ok('x'.repeat(64 * 1024));
    await using pod = await Pod.start(answering(answer));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    client.stopReading();
    const requests = 600;
    for (let i = 0; i < requests; i++) client.socket.write(getRequest('a.test'));
    const answered = (): number => plane.metric('headgate_requests_total', 'http', '2xx');
    await pod.connection(0);
    await untilStill(answered);
    expect(answered()).toBeGreaterThan(0);
    expect(answered()).toBeLessThan(requests / 2);
    client.readOn();
    const digest: Hash = createHash('sha256');
    client.hashInto(digest);
    await client.untilBytes(requests * answer.length);
    expect(digest.digest('hex')).toBe(createHash('sha256').update(answer.repeat(requests)).digest('hex'));
  });
});

describe('split at every byte', () => {
  const requests = [
    ['without a body', `GET /p?q HTTP/1.1\r\n${host}X-A: 1\r\n\r\n`],
    ['with a length', `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`],
    [
      'in chunks with a trailer',
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-T: v\r\n\r\n`,
    ],
  ] as const;

  test.each(requests)('requests %s', async (_name, request) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hi'), seen));
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], forwarded: 'never' }));
    using client = await Peer.connect(plane.httpPort);
    for (let at = 1; at < request.length; at++) {
      await client.writeApart(request.slice(0, at), request.slice(at));
      expect((await client.message()).text, `split at ${at}`).toBe(ok('hi'));
      expect(seen.at(-1)?.text, `split at ${at}`).toBe(request);
    }
    await client.writeApart(...request);
    expect((await client.message()).text).toBe(ok('hi'));
    expect(seen.at(-1)?.text).toBe(request);
    expect(plane.sessions).toBe(1);
    expect(pod.connections).toHaveLength(1);
  });

  const answers = [
    ['with a length', ok('hello', 'X-A: 1\r\n')],
    ['without a body', 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'],
    [
      'in chunks with a trailer',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-T: v\r\n\r\n',
    ],
    ['after an interim one', `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok('hello')}`],
  ] as const;

  test.each(answers)('answers %s', async (_name, answer) => {
    const script: Script = async (peer) => {
      for (;;) {
        const [, at = ''] = (await peer.message()).startLine.split(/[/ ]+/);
        if (at === 'all') await peer.writeApart(...answer);
        else await peer.writeApart(answer.slice(0, Number(at)), answer.slice(Number(at)));
      }
    };
    await using pod = await Pod.start(script);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    using client = await Peer.connect(plane.httpPort);
    for (const at of [...Array.from(answer, (_, i) => String(i)).slice(1), 'all']) {
      await client.write(getRequest('a.test', `/${at}`));
      const wanted = client.receivedBytes + answer.length;
      await client.untilBytes(wanted);
      expect(client.take().toString('latin1'), `split at ${at}`).toBe(answer);
    }
    expect(pod.connections).toHaveLength(1);
  });

  test('a chunked answer to an HTTP/1.0 client loses its chunks wherever it is split', async () => {
    const answer =
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nX: 1\r\n\r\n';
    await using pod = await Pod.start(async (peer) => {
      for (;;) {
        const [, at = ''] = (await peer.message()).startLine.split(/[/ ]+/);
        await peer.writeApart(answer.slice(0, Number(at)), answer.slice(Number(at)));
      }
    });
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port] }));
    for (let at = 1; at < answer.length; at++) {
      using client = await Peer.connect(plane.httpPort);
      await client.write(`GET /${at} HTTP/1.0\r\n${host}\r\n`);
      expect(await client.ended, `split at ${at}`).toBe('fin');
      expect(client.text, `split at ${at}`).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc0123456789abcdef');
    }
  });
});
