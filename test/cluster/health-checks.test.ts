// Health checks by the real processes: what one worker finds all know, and a dead worker's share is taken over.

import { describe, expect, test } from 'vitest';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { eventually, ManifestFolder, RunningRouter } from '../support/router.ts';

describe('two workers', () => {
  test('share what they find, and go on when one is killed', async () => {
    await using kept = await NamedPod.start('kept');
    const stopped = await Promise.all(['a', 'b', 'c', 'd'].map((name) => NamedPod.start(name)));
    using folder = new ManifestFolder();
    const ports = [kept, ...stopped].map(({ port }) => port);
    folder.write('all.yaml', routeYaml('web', 'web.test', 'web') + serviceYaml('web', ports));
    const args = ['--workers', '2', '--backend-check-interval', '100ms'];
    await using router = await RunningRouter.start(folder, args);
    await eventually(
      () => router.metric('headgate_endpoint_checks_total', 'reached'),
      (count) => count > ports.length,
    );
    for (const pod of stopped) await pod[Symbol.asyncDispose]();
    await eventually(
      () => router.metric('headgate_endpoints_down'),
      (count) => count === stopped.length,
    );
    const victim = (await router.processes()).workers[0]?.pid ?? 0;
    process.kill(victim, 'SIGKILL');
    await eventually(
      () => router.processes(),
      ({ workers }) => workers.length === 2 && workers.every(({ pid, serving }) => serving && pid !== victim),
    );
    // Whoever has taken over begins with what is up, and finds out.
    await eventually(
      () => router.metric('headgate_endpoints_down'),
      (count) => count === stopped.length,
    );
    for (let i = 0; i < 8; i++) expect((await get(router.httpPort, 'web.test')).body).toBe('kept');
  });
});
