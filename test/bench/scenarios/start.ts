// From the start of the process until the last of many Routes in one file is served.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventLoopDelaysMs } from '../headgate-admin.ts';
import { launchHeadgate } from '../headgate-process.ts';
import { freePorts } from '../ports.ts';
import { probeUntil } from '../probe.ts';
import { ALL_CPUS } from '../workspace.ts';
import {
  type Figure,
  type FigureBench,
  type FigureScenario,
  LARGE_FILE,
  numberedManifests,
  numberedRoute,
} from './figure-scenario.ts';

const POLL_EVERY_MS = 5;
const DEADLINE_MS = 120_000;

export const start: FigureScenario = {
  name: 'start',
  run: async (bench: FigureBench): Promise<readonly Figure[]> => {
    const { routes, starts } = bench.options;
    const { plainPort } = bench.pods;
    const manifests = bench.workspace.folder('start');
    writeFileSync(join(manifests, LARGE_FILE), numberedManifests(routes, plainPort));
    const last = numberedRoute(routes - 1, plainPort);
    const readyMs: number[] = [];
    const servedMs: number[] = [];
    const stallsMs = new Map<string, number[]>();
    for (let round = 1; round <= starts; round++) {
      bench.progress(`start ${round} of ${starts}`);
      // Known before it listens: the requests shall not wait for its ready line.
      const { httpPort } = await freePorts('httpPort');
      const launchedAt = performance.now();
      const headgate = launchHeadgate(bench.workspace, {
        manifests,
        defaultCertificate: bench.defaultCertificate,
        httpPort,
        httpsPort: 0,
        workers: 1,
        cpus: ALL_CPUS,
      });
      const ready = headgate.ready.then((line) => {
        readyMs.push(performance.now() - launchedAt);
        return line;
      });
      const target = { port: httpPort, host: last.host, path: '/' };
      const served = probeUntil(target, ({ status }) => status === 200, POLL_EVERY_MS, DEADLINE_MS).then(() => {
        servedMs.push(performance.now() - launchedAt);
      });
      const [{ adminPort }] = await Promise.all([ready, served]);
      for (const [labels, stallMs] of await eventLoopDelaysMs(adminPort, 'max')) {
        stallsMs.set(labels, [...(stallsMs.get(labels) ?? []), stallMs]);
      }
      await headgate.stop();
    }
    return [
      { name: `launch to first 200 of the last of ${routes} Routes`, unit: 'ms', values: servedMs, target: null },
      { name: 'launch to the ready line', unit: 'ms', values: readyMs, target: null },
      ...Array.from(
        stallsMs,
        ([labels, values]): Figure => ({
          name: `longest event loop stall {${labels}}`,
          unit: 'ms',
          values,
          target: null,
        }),
      ),
    ];
  },
};
