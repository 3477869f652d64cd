// Accepting, where it leans on what Node does not document.

import { BoundSocket, connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Listener } from '../../src/proxy/listener/listener.ts';
import type { Session } from '../../src/proxy/session/session.ts';
import { SharedReadSocket, takeFrom } from '../../src/proxy/shared-read.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

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
