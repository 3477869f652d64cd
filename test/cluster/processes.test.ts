// Deaths and drains of the real processes under a real load.

import { describe, expect, test } from 'vitest';
import { memoryOf } from '../bench/memory.ts';
import { makeCertificate } from '../support/certificates.ts';
import { Load } from '../support/load.ts';
import { getRequest, Peer, Pod } from '../support/peers.ts';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { eventually, isAlive, ManifestFolder, RunningRouter } from '../support/router.ts';

function folderFor(pod: { readonly port: number }): ManifestFolder {
  const folder = new ManifestFolder();
  folder.write('all.yaml', routeYaml('web', 'web.test', 'web') + serviceYaml('web', [pod.port]));
  return folder;
}

describe('a worker is killed', () => {
  test.each([1, 2])('of %i under load: nobody is refused, only open requests are lost, it is back', async (workers) => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    await using router = await RunningRouter.start(folder, ['--workers', String(workers)]);
    const kept = new Load({ port: router.httpPort, host: 'web.test', connections: 8, keepAlive: true });
    const fresh = new Load({ port: router.httpPort, host: 'web.test', connections: 4, keepAlive: false });
    await Promise.all([kept.answered(100), fresh.answered(100)]);
    const before = await router.processes();
    const counted = await router.metric('headgate_requests_total');
    const victim = before.workers[0]?.pid ?? 0;
    const killedMs = performance.now();
    process.kill(victim, 'SIGKILL');
    await eventually(
      () => router.processes(),
      ({ workers: now }) => now.length === workers && now.every(({ pid, serving }) => serving && pid !== victim),
    );
    const backMs = performance.now() - killedMs;
    await Promise.all([kept.answered(100), fresh.answered(100)]);
    const counts = [await kept.stop(), await fresh.stop()];
    for (const count of counts) expect(count).toMatchObject({ odd: 0, refused: 0 });
    // What was open on the dead worker is lost, at most once a connection.
    expect(counts[0]?.broken).toBeLessThanOrEqual(8);
    expect(counts[1]?.broken).toBeLessThanOrEqual(4);
    // The promise is a second; the bench measures it. Here it may take longer on a busy machine, but not for ever.
    expect(backMs).toBeLessThan(10_000);
    expect(await router.metric('headgate_requests_total')).toBeGreaterThan(counted);
    expect(await router.metric('headgate_process_starts_total', 'worker-0')).toBe(2);
  });
});

test('workers load what the first one has compiled, and so does who comes after one that died', async () => {
  await using pod = await NamedPod.start('pod');
  using folder = folderFor(pod);
  await using router = await RunningRouter.start(folder, ['--workers', '3']);
  const resident = async (): Promise<number[]> =>
    (await router.processes()).workers.map(({ pid }) => memoryOf(pid).residentMb);
  const [first = 0, ...others] = await resident();
  // Who strips types has a parser of TypeScript in memory.
  for (const other of others) expect(other).toBeLessThan(0.85 * first);
  const { pid = 0 } = (await router.processes()).workers[0] ?? {};
  process.kill(pid, 'SIGKILL');
  await eventually(
    () => router.processes(),
    ({ workers }) => workers.length === 3 && workers.every((worker) => worker.serving && worker.pid !== pid),
  );
  expect((await resident())[0]).toBeLessThan(0.85 * first);
});

describe('the controller is killed', () => {
  test('no request fails, and a change is in force again', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    await using router = await RunningRouter.start(folder, ['--workers', '2']);
    const load = new Load({ port: router.httpPort, host: 'web.test', connections: 8, keepAlive: true });
    await load.answered(100);
    const before = await router.processes();
    process.kill(before.controller, 'SIGKILL');
    folder.write('more.yaml', routeYaml('more', 'more.test', 'web'));
    const answer = await eventually(
      () => get(router.httpPort, 'more.test'),
      ({ status }) => status === 200,
    );
    expect(answer.body).toBe('pod');
    await eventually(
      () => router.admin('/healthz/ready'),
      ({ status }) => status === 200,
    );
    expect((await router.processes()).workers.map(({ pid }) => pid)).toEqual(before.workers.map(({ pid }) => pid));
    expect(await load.stop()).toMatchObject({ odd: 0, broken: 0, refused: 0 });
    expect((await router.adminJson<{ revision: string }>('/debug/revision')).revision).toMatch(/^2\./);
  });
});

describe('the supervisor is killed', () => {
  test('its children end by themselves', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    const router = await RunningRouter.start(folder, ['--workers', '2', '--shutdown-timeout', '1']);
    const { controller, workers } = await router.processes();
    process.kill(router.pid, 'SIGKILL');
    await router.exited;
    await eventually(
      async () => [controller, ...workers.map(({ pid }) => pid)].filter(isAlive),
      (alive) => alive.length === 0,
    );
  });
});

/** Longer than who is silent, or behind, may live. */
const longMs = 11_500;

describe.concurrent('processes that stand still for long', () => {
  test('a worker that needs long to load its code gets the time', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    await using router = await RunningRouter.start(folder, ['--workers', '1']);
    const before = await router.processes();
    const workerOf = ({ workers }: typeof before): number => workers[0]?.pid ?? 0;
    process.kill(workerOf(before), 'SIGKILL');
    const started = await eventually(
      () => router.processes(),
      ({ workers: [worker] }) => worker !== undefined && worker.pid !== workerOf(before),
    );
    process.kill(workerOf(started), 'SIGSTOP');
    await new Promise((done) => setTimeout(done, longMs));
    process.kill(workerOf(started), 'SIGCONT');
    expect((await get(router.httpPort, 'web.test')).body).toBe('pod');
    expect(workerOf(await router.processes())).toBe(workerOf(started));
  });

  test('supervisor and controller are stopped in a burst: nobody is killed for it, what is open stays open', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    await using router = await RunningRouter.start(folder, ['--workers', '2']);
    const load = new Load({ port: router.httpPort, host: 'web.test', connections: 2, keepAlive: true, pauseMs: 20 });
    await load.answered(10);
    const before = await router.processes();
    const { certificate, key } = makeCertificate({ names: ['many.test'] });
    const tls = `tls: ${JSON.stringify({ termination: 'edge', certificate, key })}`;
    const many = Array.from({ length: 4_000 }, (_, i) => routeYaml(`many-${i}`, `many-${i}.test`, 'web', tls));
    folder.write('many.yaml', many.join(''));
    await router.nextLine(({ msg }) => msg === 'route verdict');
    // On a slower machine, or with more Routes, the burst would take as long by itself.
    for (const pid of [before.supervisor, before.controller]) process.kill(pid, 'SIGSTOP');
    await new Promise((done) => setTimeout(done, longMs));
    for (const pid of [before.controller, before.supervisor]) process.kill(pid, 'SIGCONT');
    await eventually(
      () => router.adminJson<{ acknowledged: boolean }>('/debug/revision'),
      ({ acknowledged }) => acknowledged,
    );
    // The supervisor takes part in a scrape: by then it has looked for who is silent.
    expect(await router.metric('headgate_process_starts_total')).toBe(3);
    expect(await router.processes()).toEqual(before);
    expect(await load.stop()).toMatchObject({ odd: 0, broken: 0, refused: 0 });
  });
});

describe('SIGTERM', () => {
  test('drains: zero resets under keep-alive and new-connection load, exit code 0', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    const router = await RunningRouter.start(folder, ['--workers', '2', '--shutdown-delay', '300ms']);
    const kept = new Load({ port: router.httpPort, host: 'web.test', connections: 8, keepAlive: true });
    const fresh = new Load({ port: router.httpPort, host: 'web.test', connections: 4, keepAlive: false });
    await Promise.all([kept.answered(200), fresh.answered(200)]);
    const { controller, workers } = await router.processes();
    router.kill('SIGTERM');
    await eventually(
      () => router.admin('/healthz/ready'),
      ({ status }) => status !== 200,
    );
    expect((await router.admin('/healthz')).status).toBe(200);
    const counts = [await kept.ended(), await fresh.ended()];
    for (const count of counts) expect(count).toMatchObject({ odd: 0, broken: 0 });
    expect(await router.exited).toEqual({ code: 0, signal: null });
    expect([controller, ...workers.map(({ pid }) => pid)].filter(isAlive)).toEqual([]);
  });

  test('what does not end by itself is cut after ROUTER_HARD_STOP_AFTER, long before the other deadline', async () => {
    await using pod = await Pod.start();
    using folder = folderFor(pod);
    const router = await RunningRouter.start(folder, ['--workers', '1', '--shutdown-timeout', '1h'], {
      ROUTER_HARD_STOP_AFTER: '200ms',
    });
    using client = await Peer.connect(router.httpPort);
    await client.write(getRequest('web.test'));
    await (await pod.connection(0)).untilText('\r\n\r\n');
    router.kill('SIGTERM');
    await client.ended;
    expect(client.receivedBytes).toBe(0);
    expect(await router.exited).toEqual({ code: 0, signal: null });
  });

  test('during the delay who dies comes back, and everything is served on', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    const router = await RunningRouter.start(folder, ['--workers', '1', '--shutdown-delay', '1h']);
    const { controller, workers } = await router.processes();
    router.kill('SIGTERM');
    await router.line((line) => line.msg === 'shutting down');
    process.kill(workers[0]?.pid ?? 0, 'SIGKILL');
    expect((await get(router.httpPort, 'web.test')).status).toBe(200);
    process.kill(controller, 'SIGKILL');
    folder.write('more.yaml', routeYaml('more', 'more.test', 'web'));
    await eventually(
      () => get(router.httpPort, 'more.test'),
      ({ status }) => status === 200,
    );
    expect(await router.admin('/healthz/ready/process-running')).toMatchObject({ status: 500 });
    const again = setInterval(() => router.kill('SIGTERM'), 100);
    expect(await router.exited).toEqual({ code: 1, signal: null });
    clearInterval(again);
  });

  test('during the delay everything is served; a second signal ends at once', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderFor(pod);
    const router = await RunningRouter.start(folder, ['--workers', '1', '--shutdown-delay', '1h']);
    router.kill('SIGTERM');
    await router.line((line) => line.msg === 'shutting down');
    expect((await get(router.httpPort, 'web.test')).status).toBe(200);
    // A signal right behind the first counts as the same one (npm passes a Ctrl-C on), so it is said again.
    const again = setInterval(() => router.kill('SIGTERM'), 100);
    expect(await router.exited).toEqual({ code: 1, signal: null });
    clearInterval(again);
  });
});
