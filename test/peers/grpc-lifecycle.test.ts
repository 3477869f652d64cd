// gRPC through the real command when something is not there, goes away, or stays for long: what clients are told, and what
// they need not notice.

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, processAuthority } from '../support/certificates.ts';
import { CallLoad } from '../support/grpc/call-load.ts';
import { GrpcClient, streamed } from '../support/grpc/grpc-client.ts';
import { GrpcPod, type Handlers, type PodTls } from '../support/grpc/grpc-pod.ts';
import { RefusingPort } from '../support/peers.ts';
import { NamedPod, routeYaml } from '../support/pods.ts';
import { edgeYaml, PeerRouter, podsYaml, reencryptYaml } from './peer-router.ts';

const authority = processAuthority().certificate;
const podTls: PodTls = makeCertificate({ names: ['pod.test'] });

/** Ways to a pod: with TLS of its own or in HTTP/2 from the first byte. */
const ways: readonly { readonly name: string; readonly tls: PodTls | null }[] = [
  { name: 'edge to an h2c pod', tls: null },
  { name: 're-encrypt to a TLS pod', tls: podTls },
];

/** One Route to these ports, in one of the ways. */
function wayYaml(tls: PodTls | null, ports: readonly number[]): string {
  return tls === null
    ? podsYaml('pods', ports, 'h2c') + edgeYaml('way', 'way.test', 'pods', certificate)
    : podsYaml('pods', ports) + reencryptYaml('way', 'way.test', 'pods', certificate);
}

const certificate = makeCertificate({ names: ['way.test'] });

describe('what the router says itself', () => {
  let peer: PeerRouter;
  let refusing: RefusingPort;
  let webPod: NamedPod;

  beforeAll(async () => {
    refusing = await RefusingPort.find();
    webPod = await NamedPod.start('web');
    peer = await PeerRouter.start(
      [
        podsYaml('none', [], 'h2c'),
        podsYaml('refusing', [refusing.port], 'h2c'),
        podsYaml('web', [webPod.port]),
        edgeYaml('empty', 'empty.test', 'none'),
        edgeYaml('refusing', 'refusing.test', 'refusing'),
        edgeYaml('web', 'web.test', 'web'),
        routeYaml('empty-plain', 'empty-plain.test', 'none'),
      ].join(''),
    );
  });

  afterAll(async () => {
    await peer[Symbol.asyncDispose]();
    await refusing[Symbol.asyncDispose]();
    await webPod[Symbol.asyncDispose]();
  });

  test.each([
    ['no pod', 'empty.test', status.UNAVAILABLE, 'no-endpoint'],
    ['no pod, in HTTP/2 from the first byte', 'empty-plain.test', status.UNAVAILABLE, 'no-endpoint'],
    ['no pod that accepts connections', 'refusing.test', status.UNAVAILABLE, 'connect-failed'],
  ])('%s', async (_title, host, code, reason) => {
    const isPlain = host.endsWith('-plain.test');
    using calls = new GrpcClient(isPlain ? peer.httpPort : peer.httpsPort, host, isPlain ? null : authority);
    for (const outcome of [await calls.unary(Buffer.from('x')), await calls.list(1, 1), await calls.collect([])]) {
      expect(outcome.code).toBe(code);
      expect(outcome.details).toContain(reason);
    }
  });

  test('a pod that speaks no gRPC: an error', async () => {
    using calls = new GrpcClient(peer.httpsPort, 'web.test', authority);
    expect((await calls.unary(Buffer.from('x'))).code).not.toBe(status.OK);
  });

  test('no Route of this name: UNAVAILABLE, with the reason', async () => {
    using calls = new GrpcClient(peer.httpPort, 'nobody.test', null);
    const outcome = await calls.unary(Buffer.from('x'));
    expect(outcome.code).toBe(status.UNAVAILABLE);
    expect(outcome.details).toContain('no-route');
  });
});

describe.each(ways)('$name', ({ tls }) => {
  test('a pod that is killed in the middle of calls: an error for each of them, and the next calls go elsewhere', async () => {
    const first = await GrpcPod.start({}, tls);
    await using second = await GrpcPod.start({}, tls);
    await using peer = await PeerRouter.start(wayYaml(tls, [first.port]));
    using calls = new GrpcClient(peer.httpsPort, 'way.test', authority, { 'grpc.enable_retries': 0 });
    const chats = Array.from({ length: 5 }, () => calls.chatting());
    const outcomes = chats.map((chat) => streamed(chat));
    await Promise.all(
      chats.map(async (chat) => {
        chat.write(Buffer.from('x'));
        await new Promise((came) => chat.once('data', came));
      }),
    );
    await peer.change(wayYaml(tls, [first.port, second.port]));
    first.kill();
    for (const { code, messages } of await Promise.all(outcomes)) {
      expect([status.INTERNAL, status.UNAVAILABLE, status.CANCELLED]).toContain(code);
      expect(messages.map(String)).toEqual(['x']);
    }
    for (let i = 0; i < 10; i++) expect((await calls.unary(Buffer.from('y'))).code).toBe(status.OK);
  });

  test('a pod that is killed before it has answered: UNAVAILABLE', async () => {
    let asked: () => void = () => {};
    const pod = await GrpcPod.start({ unary: () => asked() }, tls);
    await using peer = await PeerRouter.start(wayYaml(tls, [pod.port]));
    using calls = new GrpcClient(peer.httpsPort, 'way.test', authority, { 'grpc.enable_retries': 0 });
    const came = new Promise<void>((done) => {
      asked = done;
    });
    const outcome = calls.unary(Buffer.from('x'));
    await came;
    pod.kill();
    expect(await outcome).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('upstream-closed'),
    });
  });

  // Without retries of the client's a call that is lost is seen.
  const unforgiving = { 'grpc.enable_retries': 0 };

  test('pods that come and go under load: no call fails', async () => {
    const slowly: Partial<Handlers> = {
      unary: (call, done) => void setTimeout(() => done(null, call.request), 5),
    };
    let pods = [await GrpcPod.start(slowly, tls), await GrpcPod.start(slowly, tls)];
    await using peer = await PeerRouter.start(wayYaml(tls, portsOf(pods)), ['--workers', '2']);
    const clients = Array.from({ length: 4 }, () => new GrpcClient(peer.httpsPort, 'way.test', authority, unforgiving));
    const load = new CallLoad(clients, 8, Buffer.from('x'));
    await load.more(100);
    for (let round = 0; round < 4; round++) {
      const fresh = await GrpcPod.start(slowly, tls);
      const [oldest, ...others] = pods;
      pods = [...others, fresh];
      await peer.change(wayYaml(tls, portsOf(pods)));
      await load.more(50);
      // What was under way is answered; GOAWAY says that no more is taken.
      await oldest?.shutDown();
      await load.more(50);
    }
    expect(await load.stop()).toEqual([]);
    for (const calls of clients) calls[Symbol.dispose]();
    for (const pod of pods) pod.kill();
  });

  test('a pod that shuts down while it is still an Endpoint: calls that it does not take go elsewhere', async () => {
    let pods = [await GrpcPod.start({}, tls), await GrpcPod.start({}, tls)];
    await using peer = await PeerRouter.start(wayYaml(tls, portsOf(pods)));
    using calls = new GrpcClient(peer.httpsPort, 'way.test', authority, unforgiving);
    const load = new CallLoad([calls], 20, Buffer.alloc(1_000));
    for (let round = 0; round < 3; round++) {
      await load.more(200);
      const [oldest, ...others] = pods;
      await oldest?.shutDown();
      await load.more(200);
      pods = [...others, await GrpcPod.start({}, tls)];
      await peer.change(wayYaml(tls, portsOf(pods)));
    }
    expect(await load.stop()).toEqual([]);
    for (const pod of pods) pod.kill();
  });

  test('a pod that lets connections live for 50 ms: no call fails', async () => {
    await using pod = await GrpcPod.start({}, tls, { 'grpc.max_connection_age_ms': 50 });
    await using peer = await PeerRouter.start(wayYaml(tls, [pod.port]));
    using calls = new GrpcClient(peer.httpsPort, 'way.test', authority, unforgiving);
    const load = new CallLoad([calls], 20, Buffer.alloc(1_000));
    await load.more(1_500);
    expect(await load.stop()).toEqual([]);
    expect(await peer.router.metric('headgate_upstream_connects_total', 'connected')).toBeGreaterThan(5);
  });

  test('calls that begin at once come to share a connection', async () => {
    await using pod = await GrpcPod.start({}, tls);
    await using peer = await PeerRouter.start(wayYaml(tls, [pod.port]));
    using calls = new GrpcClient(peer.httpsPort, 'way.test', authority);
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => calls.unary(Buffer.from('x'))));
    expect(outcomes.every(({ code }) => code === status.OK)).toBe(true);
    expect(await peer.router.metric('headgate_upstream_shared_connections')).toBe(1);
  });

  test('keepalive pings of clients and pods end no connection', async () => {
    const pings = { 'grpc.keepalive_time_ms': 10, 'grpc.keepalive_timeout_ms': 5_000 };
    await using pod = await GrpcPod.start({}, tls, pings);
    await using peer = await PeerRouter.start(wayYaml(tls, [pod.port]));
    using calls = new GrpcClient(peer.httpsPort, 'way.test', authority, {
      ...pings,
      'grpc.keepalive_permit_without_calls': 1,
    });
    const chat = calls.chatting();
    const outcome = streamed(chat);
    // 100 pings each way, for most of which nothing else is sent.
    for (let i = 0; i < 4; i++) {
      await new Promise((later) => setTimeout(later, 250));
      chat.write(Buffer.from('x'));
    }
    chat.end();
    expect(await outcome).toMatchObject({ code: status.OK, messages: { length: 4 } });
    expect(await peer.router.metric('headgate_connections_total')).toBe(1);
    expect(await peer.router.metric('headgate_upstream_connects_total')).toBe(1);
  });
});

function portsOf(pods: readonly GrpcPod[]): readonly number[] {
  return pods.map(({ port }) => port);
}
