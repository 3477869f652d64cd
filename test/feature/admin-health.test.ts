// The health paths and the router's request to itself, against ports that answer, lie, hang or are not there.

import { describe, expect, test } from 'vitest';
import { Health, type HealthSubject } from '../../src/admin/health.ts';
import { type SelfAnswer, SelfRequest, type SelfRequestSettings } from '../../src/admin/self-request.ts';
import type { Message } from '../support/messages.ts';
import { answering, holdOpen, ok, Pod, RefusingPort, type Script } from '../support/peers.ts';

const plain: SelfRequestSettings = {
  bindAddress: '127.0.0.1',
  httpPort: 0,
  readyUrl: '',
  proxyProtocol: false,
  proxyProtocolTrusted: [],
};

/** What asking a port comes to. */
async function asked(script: Script, settings: Partial<SelfRequestSettings> = {}): Promise<SelfAnswer> {
  await using pod = await Pod.start(script);
  return await new SelfRequest({ ...plain, httpPort: pod.port, ...settings }, () => 0).ask();
}

/** A port that takes what begins with a PROXY header, and keeps what came. */
function noting(texts: string[]): Script {
  return async (peer) => {
    await peer.until(() => peer.text.endsWith('\r\n\r\n'));
    texts.push(peer.text);
    await peer.write(ok('ok'));
    peer.socket.end();
  };
}

describe('the request to itself', () => {
  const answers: readonly (readonly [title: string, script: Script, expected: boolean])[] = [
    ['200', answering(ok('ok')), true],
    ['200 of HTTP/1.0', answering('HTTP/1.0 200 OK\r\n\r\n'), true],
    ['503', answering('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n'), false],
    ['something else', answering('SSH-2.0-OpenSSH_9.9\r\n'), false],
    ['more than is read, and no status', answering(`HTTP/1.1 ${'x'.repeat(10_000)}`), false],
    // As a worker does that has all the connections that it may have.
    ['the end at once', (peer) => void peer.socket.destroy(), true],
    [
      'half a status and the end',
      async (peer) => {
        await peer.write('HTTP/1.1 2');
        peer.socket.end();
      },
      false,
    ],
  ];

  test.each(answers)('%s', async (_title, script, expected) => {
    expect(await asked(script)).toMatchObject({ ok: expected });
  });

  test('nobody listens', async () => {
    await using port = await RefusingPort.find();
    const self = new SelfRequest({ ...plain, httpPort: port.port }, () => 0);
    expect(await self.ask()).toEqual({
      ok: false,
      detail: `127.0.0.1:${port.port} cannot be reached (ECONNREFUSED)`,
    });
  });

  test('one worker hangs: the next one answers; all hang: told in two seconds', async () => {
    const once: Script = (peer, nth) => (nth === 0 ? holdOpen(peer, nth) : answering(ok('ok'))(peer, nth));
    const [recovers, hangs] = await Promise.all([asked(once), asked(holdOpen)]);
    expect(recovers.ok).toBe(true);
    expect(hangs).toMatchObject({ ok: false, detail: expect.stringContaining('does not answer in time') });
  });

  test('asks for the health path, or for the URL that is set', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('ok'), seen));
    const ask = (settings: Partial<SelfRequestSettings>): Promise<SelfAnswer> =>
      new SelfRequest({ ...plain, httpPort: pod.port, ...settings }, () => 0).ask();
    await ask({});
    await ask({ bindAddress: '0.0.0.0' });
    await ask({ bindAddress: '192.0.2.1', readyUrl: `http://localhost:${pod.port}/ready?now` });
    expect(seen.map(({ startLine }) => startLine)).toEqual([
      'GET /_______internal_router_healthz HTTP/1.1',
      'GET /_______internal_router_healthz HTTP/1.1',
      'GET /ready?now HTTP/1.1',
    ]);
    expect(seen[2]?.fields).toContain(`Host: localhost:${pod.port}`);
  });

  const headers: readonly (readonly [trusted: string[], isSent: boolean])[] = [
    [[], true],
    [['10.0.0.0/8', '127.0.0.0/8'], true],
    [['fd00::/8'], false],
    [['10.0.0.0/8'], false],
  ];

  test.each(headers)('with the PROXY protocol, from %j: a header is sent: %s', async (proxyProtocolTrusted, isSent) => {
    const texts: string[] = [];
    expect(await asked(noting(texts), { proxyProtocol: true, proxyProtocolTrusted })).toMatchObject({ ok: true });
    expect(texts[0]?.startsWith('PROXY UNKNOWN\r\nGET ')).toBe(isSent);
    expect(texts[0]?.startsWith('GET ')).toBe(!isSent);
  });

  test('asks once for all who ask meanwhile, and keeps a good answer for a second and a bad one for less', async () => {
    let nowMs = 0;
    let isGood = true;
    const seen: Message[] = [];
    const script = answering(() => (isGood ? ok('ok') : 'HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n'), seen);
    await using pod = await Pod.start(script);
    const self = new SelfRequest({ ...plain, httpPort: pod.port }, () => nowMs);
    const all = await Promise.all([self.ask(), self.ask(), self.ask()]);
    expect([all.every((each) => each.ok), seen.length]).toEqual([true, 1]);
    isGood = false;
    nowMs = 999;
    expect([(await self.ask()).ok, seen.length]).toEqual([true, 1]);
    nowMs = 1_000;
    expect([(await self.ask()).ok, seen.length]).toEqual([false, 3]);
    nowMs = 1_199;
    isGood = true;
    expect([(await self.ask()).ok, seen.length]).toEqual([false, 3]);
    nowMs = 1_200;
    expect([(await self.ask()).ok, seen.length]).toEqual([true, 4]);
  });
});

describe('the health paths', () => {
  type State = { synced: boolean; draining: boolean; serving: number; answers: boolean; views: boolean[] };
  const ready: State = { synced: true, draining: false, serving: 2, answers: true, views: [true] };

  function subjectOf(state: State, name = 'backend-http'): HealthSubject {
    return {
      processes: () => ({ supervisor: 1, controller: 2, workers: [], wanted: 2, draining: state.draining }),
      synced: () => state.synced,
      servingWorkers: () => state.serving,
      views: () => state.views.map((synced, i) => ({ kind: `Kind${i}`, synced, ageMs: 1_000 })),
      selfRequest: { name, ask: async () => ({ ok: state.answers, detail: 'asked' }) },
    };
  }

  const unready: readonly (readonly [Partial<State>, failing: readonly string[]])[] = [
    [{}, []],
    [{ synced: false, serving: 0, views: [false] }, ['has-synced', 'workers-serving', 'view-Kind0']],
    [{ views: [false] }, []],
    [{ draining: true }, ['process-running']],
    [{ serving: 1 }, ['workers-serving']],
    [{ answers: false }, ['backend-http']],
  ];

  test.each(unready)('with %j these fail: %j', async (change, failing) => {
    const health = new Health(subjectOf({ ...ready, ...change }));
    for (const path of ['/healthz/ready', '/readyz']) {
      const answer = await health.ask(path, 'brief');
      expect(answer?.ok).toBe(failing.length === 0);
      const named = [...(answer?.text ?? '').matchAll(/^\[-\](\S+) failed: /gm)].map(([, name]) => name);
      expect(named).toEqual(failing);
    }
    // Each alone says the same.
    for (const name of ['backend-http', 'has-synced', 'process-running', 'workers-serving', 'view-Kind0']) {
      expect([name, (await health.ask(`/healthz/ready/${name}`, 'brief'))?.ok]).toEqual([
        name,
        !failing.includes(name),
      ]);
    }
    for (const path of ['/healthz', '/livez', '/healthz/controller', '/healthz/admin-socket', '/livez/controller']) {
      expect(await health.ask(path, 'brief')).toEqual({ ok: true, text: 'ok\n' });
    }
  });

  test('once all workers have served, one is enough', async () => {
    const state = { ...ready };
    const health = new Health(subjectOf(state));
    const isReady = async (): Promise<boolean | undefined> => (await health.ask('/readyz', 'brief'))?.ok;
    state.serving = 1;
    expect(await isReady()).toBe(false);
    state.serving = 2;
    expect(await isReady()).toBe(true);
    state.serving = 1;
    expect(await isReady()).toBe(true);
    state.serving = 0;
    expect(await isReady()).toBe(false);
  });

  test('name every check where that is asked for', async () => {
    const health = new Health(subjectOf(ready));
    expect((await health.ask('/healthz', 'verbose'))?.text).toBe(
      '[+]controller ok: it answers\n[+]admin-socket ok: part of the controller\n',
    );
    expect((await health.ask('/healthz/ready/backend-http', 'verbose'))?.text).toBe('[+]backend-http ok: asked\n');
  });

  test.each([
    ...['/', '/health', '/healthz/', '/healthz/nothing', '/healthz/ready/', '/healthz/ready/controller', '/healthzx'],
    ...['/healthz/backend-http', '/healthz/has-synced', '/healthz/process-running', '/healthz/backend-proxy-http'],
    ...['/healthz/ready/backend-proxy-http', '/healthz/ready/has-synced/more', '/healthz/controller/more'],
  ])('%s is none of them', async (path) => {
    expect(await new Health(subjectOf(ready)).ask(path, 'brief')).toBeNull();
  });

  test('with the PROXY protocol the check has the name that it has there', async () => {
    const health = new Health(subjectOf(ready, 'backend-proxy-http'));
    expect(await health.ask('/healthz/ready/backend-proxy-http', 'brief')).toMatchObject({ ok: true });
    expect(await health.ask('/healthz/ready/backend-http', 'brief')).toBeNull();
  });
});
