// gRPC through the real command, with grpc-js at both ends: calls of every kind, over every way that a call can take.

import { once } from 'node:events';
import { type ClientDuplexStream, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, processAuthority } from '../support/certificates.ts';
import { GrpcClient, streamed } from '../support/grpc/grpc-client.ts';
import { GrpcPod, type Handlers } from '../support/grpc/grpc-pod.ts';
import { turn } from '../support/peers.ts';
import { routeYaml } from '../support/pods.ts';
import { edgeYaml, PeerRouter, podsYaml, reencryptYaml } from './peer-router.ts';

const megabyte = 1_048_576;

/** What a test has the pod do, where echoing is not enough. */
let handlers: Partial<Handlers> = {};
const switched: Handlers = {
  unary: (call, done) => chosen('unary')(call, done),
  collect: (call, done) => chosen('collect')(call, done),
  list: (call) => chosen('list')(call),
  chat: (call) => chosen('chat')(call),
};

function chosen<K extends keyof Handlers>(kind: K): Handlers[K] {
  const handler = handlers[kind];
  if (handler === undefined) throw new Error(`no ${kind}`);
  return handler;
}

let pods: GrpcPod[] = [];
let peer: PeerRouter;

beforeAll(async () => {
  const tls = makeCertificate({ names: ['pod.test'] });
  pods = [
    await GrpcPod.start(),
    await GrpcPod.start({}, tls),
    await GrpcPod.start(switched),
    await GrpcPod.start(switched, tls),
  ];
  const [plain = 0, secure = 0, oddPlain = 0, oddSecure = 0] = pods.map(({ port }) => port);
  peer = await PeerRouter.start(
    [
      podsYaml('plain', [plain], 'h2c'),
      podsYaml('secure', [secure]),
      podsYaml('odd-plain', [oddPlain], 'h2c'),
      podsYaml('odd-secure', [oddSecure]),
      edgeYaml('edge', 'edge.test', 'plain'),
      reencryptYaml('reencrypt', 'reencrypt.test', 'secure'),
      routeYaml('none', 'none.test', 'plain'),
      edgeYaml('odd-edge', 'odd-edge.test', 'odd-plain'),
      reencryptYaml('odd-reencrypt', 'odd-reencrypt.test', 'odd-secure'),
      routeYaml('odd-none', 'odd-none.test', 'odd-plain'),
    ].join(''),
  );
});

afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  for (const pod of pods) pod.kill();
});

/** A client by one of the ways. `host`: of an echoing pod, or with `odd-` of one that does what the test says. */
function client(host: string): GrpcClient {
  return host.endsWith('none.test')
    ? new GrpcClient(peer.httpPort, host, null)
    : new GrpcClient(peer.httpsPort, host, processAuthority().certificate);
}

/** A client whose pod does what the handlers say. */
function oddClient(host: string, does: Partial<Handlers>): GrpcClient {
  handlers = does;
  return client(`odd-${host}`);
}

function metadata(fields: Readonly<Record<string, string | Buffer>>): Metadata {
  const made = new Metadata();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}

/** A promise, and what settles it. */
function told<T>(): { readonly promise: Promise<T>; readonly tell: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { promise, tell: resolve };
}

describe.each(['edge.test', 'reencrypt.test', 'none.test'])('%s', (host) => {
  const binary = Buffer.from([0, 1, 2, 0xff, 0xfe, 0x0d, 0x0a, 0]);
  const sent = { 'echo-text': 'a b, c', 'echo-raw-bin': binary };

  test('calls of every kind, with metadata and trailers', async () => {
    using calls = client(host);
    const message = Buffer.from('hello');
    const by = { metadata: metadata(sent) };
    const chat = calls.chatting(by);
    const chatted = streamed(chat);
    for (const word of ['one', 'two', 'three']) chat.write(Buffer.from(word));
    chat.end();
    const outcomes = {
      unary: await calls.unary(message, by),
      collect: await calls.collect([message, Buffer.alloc(0), message], by),
      list: await calls.list(3, 4, by),
      chat: await chatted,
    };
    for (const { code, metadata: first, trailers } of Object.values(outcomes)) {
      expect(code).toBe(status.OK);
      for (const back of [first, trailers]) {
        expect(back.get('echo-text')).toEqual(['a b, c']);
        expect(back.get('echo-raw-bin')).toEqual([binary]);
      }
    }
    const texts = (messages: readonly Buffer[]): string[] => messages.map((bytes) => bytes.toString('latin1'));
    expect(texts(outcomes.unary.messages)).toEqual(['hello']);
    expect(texts(outcomes.collect.messages)).toEqual(['3 10']);
    expect(texts(outcomes.list.messages)).toEqual(['\0\0\0\0', '\0\0\0\x01', '\0\0\0\x02']);
    expect(texts(outcomes.chat.messages)).toEqual(['one', 'two', 'three']);
  });

  test('a method that there is not: UNIMPLEMENTED, by trailers alone', async () => {
    using calls = client(host);
    const outcome = await calls.unary(Buffer.from('x'), { path: '/headgate.test.Peer/Nothing' });
    expect(outcome).toMatchObject({ code: status.UNIMPLEMENTED, messages: [] });
    expect(outcome.details).toContain('/headgate.test.Peer/Nothing');
  });

  test('an error of the pod: its code, a message of any characters, and details', async () => {
    const details = 'not here: 100 % – été\n"quoted"';
    using calls = oddClient(host, {
      unary: (_call, done) => {
        const trailers = metadata({ 'grpc-status-details-bin': binary, 'why-text': 'because' });
        done({ code: status.NOT_FOUND, details, metadata: trailers });
      },
      list: (call) => {
        call.write(Buffer.from('first'));
        call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: 'enough' });
      },
    });
    const outcome = await calls.unary(Buffer.from('x'));
    expect(outcome).toMatchObject({ code: status.NOT_FOUND, details });
    expect(outcome.trailers.get('grpc-status-details-bin')).toEqual([binary]);
    expect(outcome.trailers.get('why-text')).toEqual(['because']);
    const listed = await calls.list(1, 1);
    expect(listed).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: 'enough' });
    expect(listed.messages.map(String)).toEqual(['first']);
  });

  test('a deadline: the pod knows of it, and hears when it has passed', async () => {
    const deadline = told<unknown>();
    const cancelled = told<true>();
    using calls = oddClient(host, {
      list: (call) => {
        deadline.tell(call.metadata.getMap()['x-probe'] === 'deadline' ? call.getDeadline() : null);
        call.on('cancelled', () => cancelled.tell(true));
        call.write(Buffer.from('first'));
      },
    });
    const by = { metadata: metadata({ 'x-probe': 'deadline' }), options: { deadline: Date.now() + 500 } };
    const outcome = await calls.list(1, 1, by);
    expect(outcome.code).toBe(status.DEADLINE_EXCEEDED);
    expect(Number(await deadline.promise)).toBeLessThan(Date.now() + 500);
    await cancelled.promise;
  });

  test.each(['list', 'chat'] as const)(
    'a client that cancels in the middle of %s: the pod hears of it',
    async (kind) => {
      const cancelled = told<true>();
      using calls = oddClient(host, {
        list: (call) => {
          call.on('cancelled', () => cancelled.tell(true));
          call.write(Buffer.from('first'));
        },
        chat: (call) => {
          call.on('cancelled', () => cancelled.tell(true));
          call.on('error', () => {});
          call.on('data', (message) => call.write(message));
        },
      });
      const call = kind === 'list' ? calls.listing(1, 1) : calls.chatting();
      const outcome = streamed(call);
      if (kind === 'chat') (call as ClientDuplexStream<Buffer, Buffer>).write(Buffer.from('first'));
      await once(call, 'data');
      call.cancel();
      expect((await outcome).code).toBe(status.CANCELLED);
      await cancelled.promise;
    },
  );

  test('a pod that ends a call while the client still sends', async () => {
    using calls = oddClient(host, {
      chat: (call) => {
        call.on('error', () => {});
        call.once('data', () => call.emit('error', { code: status.ABORTED, details: 'heard enough' }));
      },
      collect: (call, done) => {
        call.on('error', () => {});
        call.once('data', () => done({ code: status.ABORTED, details: 'heard enough' }));
      },
    });
    const chat = calls.chatting();
    const outcome = streamed(chat);
    chat.write(Buffer.from('first'));
    expect(await outcome).toMatchObject({ code: status.ABORTED, details: 'heard enough' });
    const collected = await calls.collect([Buffer.from('first'), Buffer.alloc(megabyte), Buffer.alloc(megabyte)]);
    expect(collected).toMatchObject({ code: status.ABORTED, details: 'heard enough' });
  });

  test('messages of 8 MB, both ways', async () => {
    using calls = client(host);
    const message = Buffer.alloc(8 * megabyte, 'headgate ');
    const { code, messages } = await calls.unary(message);
    expect(code).toBe(status.OK);
    expect(messages[0]?.equals(message)).toBe(true);
  });

  test('10,000 small messages each way in one call, in order', async () => {
    const count = 10_000;
    using calls = client(host);
    const chat = calls.chatting();
    const outcome = streamed(chat);
    for (let next = 0; next < count; next++) {
      const message = Buffer.alloc(64);
      message.writeUInt32BE(next);
      if (!chat.write(message)) await once(chat, 'drain');
    }
    chat.end();
    const { code, messages } = await outcome;
    expect(code).toBe(status.OK);
    expect(messages.length).toBe(count);
    expect(messages.every((message, i) => message.length === 64 && message.readUInt32BE() === i)).toBe(true);
  });

  test('25 MB in one answer, to a client that takes its time', async () => {
    const count = 400;
    using calls = client(host);
    const call = calls.listing(count, 65_536);
    let next = 0;
    for await (const message of call) {
      if (message.length !== 65_536 || message.readUInt32BE() !== next) break;
      next++;
      if (next % 20 === 0) await turn();
    }
    expect(next).toBe(count);
  });

  test('50 calls at once on one channel, of every kind', async () => {
    using calls = client(host);
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const message = Buffer.alloc(1 + i * 2_000, i);
        if (i % 3 === 0) return (await calls.list(20, 1_000 + i)).messages.length === 20;
        if (i % 3 === 1)
          return String((await calls.collect([message, message])).messages[0]) === `2 ${message.length * 2}`;
        return (await calls.unary(message)).messages[0]?.equals(message) === true;
      }),
    );
    expect(outcomes.filter((isRight) => !isRight)).toEqual([]);
  });
});
