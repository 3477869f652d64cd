// Metrics of the real processes: what several workers have counted together, also when they die, and what is shown of it.

import { describe, expect, test } from 'vitest';
import { Exposition } from '../support/exposition.ts';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { eventually, ManifestFolder, RunningRouter } from '../support/router.ts';

const name = 'headgate_route_requests_total';

async function scrape(router: RunningRouter): Promise<Exposition> {
  const { status, text } = await router.admin('/metrics');
  expect(status).toBe(200);
  return new Exposition(text);
}

/** So many requests, each on a connection of its own: they are spread over the workers. */
async function ask(router: RunningRouter, host: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await get(router.httpPort, host);
}

function folderOf(pod: NamedPod, names: readonly string[]): ManifestFolder {
  const folder = new ManifestFolder();
  folder.write('service.yaml', serviceYaml('web', [pod.port]));
  for (const one of names) folder.write(`${one}.yaml`, routeYaml(one, `${one}.test`, 'web'));
  return folder;
}

describe('two workers', () => {
  test('count together; a worker that is killed takes nothing back; a Route that goes takes all', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderOf(pod, ['a', 'b']);
    folder.write('empty.yaml', routeYaml('empty', 'empty.test', 'nothing'));
    await using router = await RunningRouter.start(folder, ['--workers', '2', '--metrics-detail', 'endpoint']);
    await ask(router, 'a.test', 40);
    await ask(router, 'b.test', 3);
    await ask(router, 'empty.test', 2);
    const before = await scrape(router);
    expect(before.sum(name, { route: 'a', code: '2xx' })).toBe(40);
    expect(before.sum(name, { route: 'b' })).toBe(3);
    expect(before.sum(name, { route: 'empty', code: '5xx' })).toBe(2);
    expect(before.sum('headgate_route_failures_total', { route: 'empty', reason: 'no-pod' })).toBe(2);
    expect(before.sum('headgate_endpoint_requests_total', { route: 'a', service: 'web', code: '2xx' })).toBe(40);
    expect(before.find('headgate_endpoint_up').map(({ value }) => value)).toEqual([1, 1]);
    expect(before.sum('headgate_route_request_duration_seconds_count', { route: 'a' })).toBe(40);
    expect(before.sum('headgate_certificate_expiry_timestamp_seconds', { route: 'default' })).toBeGreaterThan(
      Date.now() / 1000,
    );

    const { workers } = await router.processes();
    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    await eventually(
      () => router.processes(),
      ({ workers: now }) =>
        now.length === 2 && now.every(({ pid, serving }) => serving && !workers.some((old) => old.pid === pid)),
    );
    const after = await scrape(router);
    for (const { name: counter, labels, value } of before.series) {
      const kind = before.kinds.get(counter.replace(/_(bucket|sum|count)$/, '')) ?? before.kinds.get(counter);
      if (kind === 'gauge' || labels['process'] !== undefined) continue;
      expect(after.sum(counter, labels), `${counter} ${JSON.stringify(labels)}`).toBeGreaterThanOrEqual(value);
    }
    await ask(router, 'a.test', 2);
    expect((await scrape(router)).sum(name, { route: 'a' })).toBe(42);

    folder.write('b.yaml', '');
    await eventually(
      () => get(router.httpPort, 'b.test'),
      ({ status }) => status === 503,
    );
    expect((await scrape(router)).series.filter(({ labels }) => labels['route'] === 'b')).toEqual([]);
    // It comes back as another one: what the first had was forgotten, in the workers and with those that died.
    folder.write('b.yaml', routeYaml('b', 'b.test', 'web'));
    await eventually(
      () => get(router.httpPort, 'b.test'),
      ({ status }) => status === 200,
    );
    await ask(router, 'b.test', 1);
    const back = (await scrape(router)).sum(name, { route: 'b', code: '2xx' });
    expect(back).toBe(2);
  });

  test('what is beyond the limit is counted together', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderOf(pod, ['a', 'b', 'c', 'd']);
    await using router = await RunningRouter.start(folder, ['--workers', '1', '--metrics-limit', '2']);
    for (const host of ['a', 'b', 'c', 'd', 'a', 'd']) await ask(router, `${host}.test`, 1);
    const metrics = await scrape(router);
    const counted = metrics.find(name).map(({ labels, value }) => [labels['namespace'], labels['route'], value]);
    expect(counted.map(([, route, value]) => [route, value])).toEqual([
      ['a', 2],
      ['b', 1],
      ['other', 3],
    ]);
    expect(counted.at(-1)?.[0]).toBe('');
    expect(metrics.sum('headgate_tallied_as_other_total', { kind: 'route' })).toBe(3);
    expect(metrics.sum('headgate_tallies', { kind: 'route' })).toBe(2);
  });
});

describe('the names of the OpenShift router', () => {
  test('are there for who sets its type of metrics, with the same counts', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderOf(pod, ['a']);
    const env = { ROUTER_METRICS_TYPE: 'haproxy' };
    await using router = await RunningRouter.start(folder, ['--workers', '2'], env);
    await ask(router, 'a.test', 20);
    await get(router.httpPort, 'unknown.test');
    const metrics = await scrape(router);
    const labels = { route: 'a', backend: 'http' };
    expect(metrics.sum('haproxy_backend_http_responses_total', { ...labels, code: '2xx' })).toBe(20);
    expect(metrics.sum('haproxy_backend_connections_total', labels)).toBe(20);
    expect(metrics.sum('haproxy_server_http_responses_total', { service: 'web', code: '2xx' })).toBe(20);
    expect(metrics.sum('haproxy_server_up')).toBe(1);
    expect(metrics.sum('haproxy_frontend_connections_total', { frontend: 'public' })).toBe(21);
    expect(metrics.sum('haproxy_backend_http_responses_total', { backend: 'other/openshift_default' })).toBe(1);
    expect(metrics.sum('haproxy_process_open_fds')).toBeGreaterThan(10);
    expect(metrics.sum('haproxy_exporter_total_scrapes')).toBe(1);
    const scrapes = await Promise.all(Array.from({ length: 4 }, () => scrape(router)));
    expect(scrapes.map((one) => one.sum('haproxy_backend_connections_total', labels))).toEqual([20, 20, 20, 20]);
  });

  test('are not there without, or where it is said otherwise', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = folderOf(pod, ['a']);
    const env = { ROUTER_METRICS_TYPE: 'haproxy', HEADGATE_METRICS_COMPAT: 'none', HEADGATE_METRICS_DETAIL: 'router' };
    await using router = await RunningRouter.start(folder, ['--workers', '1'], env);
    await ask(router, 'a.test', 1);
    const names = [...(await scrape(router)).kinds.keys()];
    expect(names.filter((one) => /^(haproxy|template_router|headgate_route|headgate_endpoint_req)_/.test(one))).toEqual(
      [],
    );
    expect((await scrape(router)).sum('headgate_requests_total')).toBe(1);
  });
});
