// Many Routes for a worker that serves already: how late its event loop is while it takes them in.

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventLoopDelaysMs } from '../headgate-admin.ts';
import { probeUntil } from '../probe.ts';
import { SteadyLoad } from '../steady-load.ts';
import { LOADING_DELAY } from '../targets.ts';
import {
  type Figure,
  type FigureBench,
  type FigureScenario,
  LARGE_FILE,
  numberedManifests,
  numberedRoute,
  startLarge,
} from './figure-scenario.ts';

const POLL_EVERY_MS = 5;
const DEADLINE_MS = 60_000;

export const loading: FigureScenario = {
  name: 'loading',
  run: async (bench: FigureBench): Promise<readonly Figure[]> => {
    const { routes, starts } = bench.options;
    const { plainPort } = bench.pods;
    const many = numberedManifests(routes, plainPort);
    const draft = join(bench.workspace.directory, 'draft.yaml');
    const servedMs: number[] = [];
    const p99Ms: number[] = [];
    const longestMs: number[] = [];
    const requestMs: number[] = [];
    let failed = 0;
    for (let round = 1; round <= starts; round++) {
      bench.progress(`loading ${round} of ${starts}`);
      const files = { [LARGE_FILE]: numberedManifests(1, plainPort) };
      const headgate = await startLarge(bench, `loading-${round}`, files);
      const { httpPort, adminPort } = headgate.lines;
      const load = new SteadyLoad({ port: httpPort, host: numberedRoute(0, plainPort).host, path: '/' });
      // Written elsewhere and moved: nobody shall read half a file.
      writeFileSync(draft, many);
      renameSync(draft, join(headgate.manifests, LARGE_FILE));
      const movedAt = performance.now();
      const last = { port: httpPort, host: numberedRoute(routes - 1, plainPort).host, path: '/' };
      await probeUntil(last, ({ status }) => status === 200, POLL_EVERY_MS, DEADLINE_MS);
      servedMs.push(performance.now() - movedAt);
      p99Ms.push(await delayOfWorker(adminPort, 'p99'));
      longestMs.push(await delayOfWorker(adminPort, 'max'));
      const report = await load.stop();
      requestMs.push(...report.latenciesMs);
      failed += load.failed;
      await headgate.stop();
    }
    return [
      {
        name: `event loop delay of the worker, p99 of all, ${routes} Routes`,
        unit: 'ms',
        values: p99Ms,
        target: LOADING_DELAY,
      },
      { name: 'event loop delay of the worker, longest', unit: 'ms', values: longestMs, target: null },
      { name: 'from the file in place to the first 200 of its last Route', unit: 'ms', values: servedMs, target: null },
      { name: 'latency of the traffic meanwhile', unit: 'ms', values: requestMs, target: null },
      { name: 'requests that failed', unit: 'count', values: [failed], target: null },
    ];
  },
};

/** Since its start, in milliseconds. */
async function delayOfWorker(adminPort: number, what: 'p99' | 'max'): Promise<number> {
  const delays = await eventLoopDelaysMs(adminPort, what);
  const [worker] = [...delays].filter(([labels]) => labels.includes('"worker-'));
  if (worker === undefined) throw new Error('the metrics do not tell the delay of a worker');
  return worker[1];
}
