// What becomes of idle connections when a worker takes no more of them (Route semantics 5.23).

import { expect, test } from 'vitest';
import { DataPlane } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const host = 'a.test';

/** A client that has had an answer and may ask again. */
async function idleClient(plane: DataPlane): Promise<Peer> {
  const client = await Peer.connect(plane.httpPort);
  await client.write(getRequest(host));
  expect((await client.message()).text).not.toMatch(/^connection:/im);
  return client;
}

test('a quiet connection is closed', async () => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await DataPlane.start(route({ host, pods: [pod.port] }));
  using client = await idleClient(plane);
  plane.drain();
  expect(await client.ended).toBe('fin');
  client.finish();
  expect(await plane.ended()).toBe('draining');
});

test('with ROUTER_IDLE_CLOSE_ON_RESPONSE it has one more answer, with which it ends', async () => {
  await using pod = await Pod.start(answering(ok('hello')));
  await using plane = await DataPlane.start(route({ host, pods: [pod.port] }), {
    settings: { idleCloseOnResponse: true },
  });
  using client = await idleClient(plane);
  using fresh = await Peer.connect(plane.httpPort);
  while (plane.sessions < 2) await new Promise((turn) => setImmediate(turn));
  plane.drain();
  for (const one of [client, fresh]) {
    await one.write(getRequest(host));
    expect((await one.message()).text).toMatch(/^connection: close$/im);
    expect(await one.ended).toBe('fin');
    one.finish();
  }
  expect([await plane.ended(1), await plane.ended(2)]).toEqual(['draining', 'draining']);
});
