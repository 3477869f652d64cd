// WebSocket and other upgrades: the handshake, the tunnel behind it, and upgrades that are not wanted (RFC 9110 7.8).

import { describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod, type Script } from '../support/peers.ts';
import { route } from '../support/rules.ts';

const asked =
  'GET /chat HTTP/1.1\r\nHost: w.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';
const forwarded =
  'GET /chat HTTP/1.1\r\nHost: w.test\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
  'Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const accepted =
  'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n' +
  'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** Accepts the upgrade, and then echoes. */
const echo: Script = async (peer) => {
  expect(await peer.untilText('\r\n\r\n')).toBe(forwarded);
  await peer.write(accepted);
  peer.socket.on('data', (chunk: Buffer) => {
    peer.socket.write(chunk);
  });
  await peer.write(peer.take());
};

const made = makeCertificate({ names: ['w.test'] });

async function serve(pod: Pod, termination: 'none' | 'edge' | 'reencrypt', options: DataPlaneOptions = {}) {
  const plane = await DataPlane.start(
    route({ host: 'w.test', pods: [pod.port], termination, forwarded: 'never' }),
    options,
  );
  const client =
    termination === 'none'
      ? await Peer.connect(plane.httpPort)
      : await Peer.connectTls(plane.httpsPort, { servername: 'w.test' });
  return { plane, client };
}

describe.each(['none', 'edge', 'reencrypt'] as const)('termination %s', (termination) => {
  const tls = termination === 'reencrypt' ? { cert: made.certificate, key: made.key } : null;

  test('the handshake, then bytes both ways', async () => {
    await using pod = await Pod.start(echo, tls);
    const { plane, client } = await serve(pod, termination);
    await using _plane = plane;
    using _client = client;
    await client.write(asked);
    expect(await client.untilText('\r\n\r\n')).toBe(accepted);
    for (const size of [1, 10, 100_000, 1_000_000]) {
      const frame = `${'f'.repeat(size - 1)}.`;
      await client.write(frame);
      expect(await client.untilText('.')).toBe(frame);
    }
    client.finish();
    expect(await client.ended).toBe('fin');
    expect(await plane.ended()).toBe('tunnel-closed');
    expect(plane.metric('headgate_requests_total', termination === 'none' ? 'http' : 'https', '1xx')).toBe(1);
  });

  test('bytes right behind the handshake, of either side, arrive', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.untilText('\r\n\r\n');
      await peer.write(`${accepted}early from the pod`);
      await peer.untilText('early from the client');
      await peer.write('!');
    }, tls);
    const { plane, client } = await serve(pod, termination);
    await using _plane = plane;
    using _client = client;
    await client.write(`${asked}early from the client`);
    await client.untilText(accepted);
    expect(await client.untilText('!')).toBe('early from the pod!');
  });
});

test('half a close goes through, both ways', async () => {
  await using pod = await Pod.start(async (peer) => {
    await peer.untilText('\r\n\r\n');
    await peer.write(accepted);
    expect(await peer.ended).toBe('fin');
    await peer.write(`got ${peer.text}`);
    peer.finish();
  });
  const { plane, client } = await serve(pod, 'none');
  await using _plane = plane;
  using _client = client;
  await client.write(asked);
  await client.untilText(accepted);
  await client.write('bye');
  client.finish();
  expect(await client.ended).toBe('fin');
  expect(client.text).toBe('got bye');
  expect(await plane.ended()).toBe('tunnel-closed');
});

test('a client that closes its half right behind the handshake', async () => {
  await using pod = await Pod.start(echo);
  const { plane, client } = await serve(pod, 'none');
  await using _plane = plane;
  using _client = client;
  await client.write(`${asked}bye`);
  client.finish();
  expect(await client.ended).toBe('fin');
  expect(client.text).toBe(`${accepted}bye`);
  expect(await plane.ended()).toBe('tunnel-closed');
});

test.each([
  ['the client', 'client-aborted'],
  ['the pod', 'upstream-truncated'],
])('%s resets: the other side is closed', async (who, reason) => {
  await using pod = await Pod.start(async (peer) => {
    await peer.untilText('\r\n\r\n');
    await peer.write(accepted);
    if (who === 'the pod') {
      await peer.untilBytes(forwarded.length + 1);
      peer.reset();
    }
  });
  const { plane, client } = await serve(pod, 'none');
  await using _plane = plane;
  using _client = client;
  await client.write(asked);
  await client.untilText(accepted);
  if (who === 'the pod') await client.write('x');
  else client.reset();
  await Promise.all([client.ended, (await pod.connection(0)).ended]);
  expect(await plane.ended()).toBe(reason);
});

test('a tunnel in which nothing moves is closed, and has no other deadline', async () => {
  await using pod = await Pod.start(echo);
  const settings = { tunnelTimeoutMs: 400, clientTimeoutMs: 50, serverTimeoutMs: 50, keepAliveTimeoutMs: 50 };
  const { plane, client } = await serve(pod, 'none', { settings });
  await using _plane = plane;
  using _client = client;
  await client.write(asked);
  await client.untilText(accepted);
  const from = performance.now();
  await client.ended;
  expect(performance.now() - from).toBeGreaterThan(390);
  expect(await plane.ended()).toBe('tunnel-idle');
});

describe('upgrades that do not happen', () => {
  test('a pod that answers otherwise: the connection goes on as HTTP', async () => {
    await using pod = await Pod.start(answering(ok('no thanks')));
    const { plane, client } = await serve(pod, 'none');
    await using _plane = plane;
    using _client = client;
    for (let i = 0; i < 2; i++) {
      await client.write(asked);
      expect((await client.message()).text).toBe(ok('no thanks'));
    }
    await client.write(getRequest('w.test'));
    expect((await client.message()).status).toBe(200);
    expect(pod.connections).toHaveLength(1);
  });

  test.each<[string, string, string]>([
    ['Upgrade without Connection', 'Upgrade: websocket\r\n', ''],
    ['Connection without Upgrade', 'Connection: Upgrade\r\n', ''],
    ['h2c', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n', ''],
    ['with a body', 'Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n', 'hi'],
  ])('%s is not passed on, and a 101 is not believed', async (_name, fields, body) => {
    await using pod = await Pod.start(async (peer) => {
      const head = await peer.untilText('\r\n\r\n');
      expect(head).not.toMatch(/upgrade|http2-settings/i);
      await peer.write(accepted);
    });
    const { plane, client } = await serve(pod, 'none');
    await using _plane = plane;
    using _client = client;
    await client.write(getRequest('w.test', '/', fields) + body);
    const answer = await client.message();
    expect(answer.status).toBe(502);
    expect(answer.body.toString()).toContain('bad-response');
    await (await pod.connection(0)).ended;
  });

  test('a request that only looks like frames does not reach the pod before its 101', async () => {
    await using pod = await Pod.start(async (peer) => {
      await peer.untilText('\r\n\r\n');
      await peer.write(ok('no'));
    });
    const { plane, client } = await serve(pod, 'none');
    await using _plane = plane;
    using _client = client;
    await client.write(`${asked}\x81\x05hello`);
    expect((await client.message()).text).toBe(ok('no'));
    // What would have been a frame is no request.
    expect((await client.message()).status).toBe(400);
    expect(pod.text).toBe('');
  });
});
