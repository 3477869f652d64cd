// SIGKILL of the only worker under a small load: how long until it is served again, and what was lost.

import { setTimeout as pause } from 'node:timers/promises';
import { workerPids } from '../headgate-admin.ts';
import { manifestsOf } from '../manifests.ts';
import { probeUntil } from '../probe.ts';
import { SteadyLoad } from '../steady-load.ts';
import {
  type Figure,
  type FigureBench,
  type FigureScenario,
  LARGE_FILE,
  numberedManifests,
  numberedRoute,
  startLarge,
} from './figure-scenario.ts';

const POLL_EVERY_MS = 1;
const ANSWERS_BETWEEN_KILLS = 100;
const DEADLINE_MS = 60_000;
/** A worker that dies sooner than after ten seconds is given a longer pause each time. */
const STEADY_MS = 10_500;

export const kill: FigureScenario = {
  name: 'kill',
  run: async (bench: FigureBench): Promise<readonly Figure[]> => {
    const { routes, kills } = bench.options;
    const { plainPort, slowPort } = bench.pods;
    const slow = { ...numberedRoute(0, slowPort), name: 'slow', host: 'slow.bench.test' };
    const headgate = await startLarge(bench, 'kill', {
      [LARGE_FILE]: `${numberedManifests(routes, plainPort)}${manifestsOf(slow)}`,
    });
    const { httpPort, adminPort } = headgate.lines;
    const target = { port: httpPort, host: numberedRoute(0, plainPort).host, path: '/' };
    const load = new SteadyLoad({ port: httpPort, host: slow.host, path: '/' });
    const outageMs: number[] = [];
    const failed: number[] = [];
    const inFlight: number[] = [];
    let worker = await newWorker(adminPort, null);
    for (let round = 1; round <= kills; round++) {
      bench.progress(`kill ${round} of ${kills}`);
      await pause(STEADY_MS);
      await moreAnswers(load);
      const failedBefore = load.failed;
      inFlight.push(load.inFlight);
      const killedAt = performance.now();
      process.kill(worker, 'SIGKILL');
      await probeUntil(target, ({ status }) => status === 200, POLL_EVERY_MS, DEADLINE_MS);
      outageMs.push(performance.now() - killedAt);
      worker = await newWorker(adminPort, worker);
      failed.push(load.failed - failedBefore);
    }
    const { requests, latenciesMs } = await load.stop();
    await headgate.stop();
    return [
      { name: `killed to served again, ${routes} Routes`, unit: 'ms', values: outageMs, target: null },
      { name: 'requests under way at the kill', unit: 'count', values: inFlight, target: null },
      { name: 'failed requests', unit: 'count', values: failed, target: null },
      {
        name: `latency of ${requests} requests meanwhile, to a pod that takes 50 ms`,
        unit: 'ms',
        values: latenciesMs,
        target: null,
      },
    ];
  },
};

/** Waits until the traffic flows again. */
async function moreAnswers(load: SteadyLoad): Promise<void> {
  const enough = load.answered + ANSWERS_BETWEEN_KILLS;
  const deadline = performance.now() + DEADLINE_MS;
  while (load.answered < enough) {
    if (performance.now() > deadline) throw new Error(`the traffic is not answered, ${load.failed} requests failed`);
    await pause(POLL_EVERY_MS);
  }
}

/** The worker that is not `old`, once Headgate names it. */
async function newWorker(adminPort: number, old: number | null): Promise<number> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const worker = (await workerPids(adminPort))?.find((pid) => pid !== old);
    if (worker !== undefined) return worker;
    if (performance.now() > deadline) throw new Error('/debug/processes on the admin port names no new worker');
    await pause(POLL_EVERY_MS);
  }
}
