// Accepting, where it leans on what Node does not document.

import { BoundSocket, connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Listener } from '../../src/proxy/listener/listener.ts';
import type { Session } from '../../src/proxy/session/session.ts';
import { SharedReadSocket, takeFrom } from '../../src/proxy/shared-read.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { turn } from '../support/peers.ts';

/** A listener closes the descriptor that it was given; a bound socket that is collected would close it a second time. */
const kept: BoundSocket[] = [];

test.each(['http', 'https'] as const)('sockets of the %s port read into the shared buffer', async (name) => {
  const bound = new BoundSocket({ host: '127.0.0.1', port: 0 });
  kept.push(bound);
  const accepted = Promise.withResolvers<Socket>();
  const listener = new Listener(
    name,
    (_name, socket) => {
      accepted.resolve(socket);
      return {} as Session;
    },
    () => true,
    new Metrics(),
  );
  await listener.listen(bound.fd());
  const client = connect(bound.address().port, '127.0.0.1');
  const socket = await accepted.promise;
  expect(socket instanceof SharedReadSocket).toBe(true);
  const taken = Promise.withResolvers<string>();
  takeFrom(
    socket,
    (chunk) => {
      taken.resolve(chunk.toString());
      return true;
    },
    () => false,
  );
  client.write('hello');
  expect(await taken.promise).toBe('hello');
  expect(socket.remoteAddress).toBe('127.0.0.1');
  const ended = new Promise((done) => socket.once('end', done));
  client.end();
  await ended;
  const closed = new Promise((done) => client.once('close', done));
  socket.end();
  client.resume();
  await closed;
  await listener.close();
});

test('closes under clients that come again and again: each has its answer or is refused, none is reset', async () => {
  const bound = new BoundSocket({ host: '127.0.0.1', port: 0 });
  kept.push(bound);
  const { port } = bound.address();
  const listener = new Listener('http', answerOnce, () => true, new Metrics());
  await listener.listen(bound.fd());
  const clients = Array.from({ length: 64 }, () => comeAgain(port));
  await turns(50);
  await listener.close();
  expect(await Promise.all(clients)).toEqual(new Array(64).fill('refused'));
});

/** A session of one answer, a few turns of the event loop behind the question. */
function answerOnce(_name: string, socket: Socket): Session {
  const taker = (): boolean => {
    void turns(3).then(() => socket.end('hello'));
    return true;
  };
  takeFrom(socket, taker, () => false);
  socket.on('end', () => socket.end());
  socket.on('error', () => {
    // A client that leaves is its own affair.
  });
  return { over: false } as Session;
}

/** Asks over one connection after the other; the outcome of the first that has no answer. */
async function comeAgain(port: number): Promise<string> {
  for (;;) {
    const outcome = await new Promise<string>((done) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () => socket.write('hello?'));
      socket.on('data', (bytes) => {
        text += bytes;
      });
      socket.on('error', (error: NodeJS.ErrnoException) => done(error.code === 'ECONNREFUSED' ? 'refused' : 'reset'));
      socket.on('close', () => done(text === 'hello' ? 'answered' : 'cut'));
    });
    if (outcome !== 'answered') return outcome;
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}
