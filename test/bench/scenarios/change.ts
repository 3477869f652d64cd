// From a changed Route's file to the first request that is answered by it, under traffic and beside many other Routes. A
// change leads one Route from the blue Service to the green one or back.

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { tableRevision } from '../headgate-admin.ts';
import { routeManifest, serviceManifests } from '../manifests.ts';
import { probeUntil } from '../probe.ts';
import { SteadyLoad } from '../steady-load.ts';
import { CHANGE_IN_FORCE } from '../targets.ts';
import {
  type Figure,
  type FigureBench,
  type FigureScenario,
  LARGE_FILE,
  type LargeHeadgate,
  numberedManifests,
  numberedRoute,
  startLarge,
} from './figure-scenario.ts';

const SMALL_FILE = 'changing.yaml';
const POLL_EVERY_MS = 1;
const DEADLINE_MS = 60_000;

export const change: FigureScenario = {
  name: 'change',
  run: async (bench: FigureBench): Promise<readonly Figure[]> => {
    const { routes, changes, largeChanges } = bench.options;
    const { plainPort, bluePort, greenPort } = bench.pods;
    const others = numberedManifests(routes, plainPort);
    const colours = `${serviceManifests('blue', bluePort)}${serviceManifests('green', greenPort)}`;
    const changing = { ...numberedRoute(0, bluePort), name: 'changing', host: 'changing.bench.test' };
    const small = (colour: Colour): string => `${colours}${routeManifest(changing, colour)}`;
    const large = (colour: Colour): string => `${others}${small(colour)}`;
    const series = [
      {
        title: 'in a file of its own',
        file: SMALL_FILE,
        text: small,
        rest: { [LARGE_FILE]: others },
        count: changes,
        target: CHANGE_IN_FORCE,
      },
      {
        title: `in the file of ${routes} Routes`,
        file: LARGE_FILE,
        text: large,
        rest: {},
        count: largeChanges,
        target: null,
      },
    ];
    const figures: Figure[] = [];
    for (const { title, file, text, rest, count, target } of series) {
      const folder = `change-${file}`;
      const headgate = await startLarge(bench, folder, { ...rest, [file]: text('blue') });
      const steady = numberedRoute(0, plainPort);
      const load = new SteadyLoad({ port: headgate.lines.httpPort, host: steady.host, path: '/' });
      const served: number[] = [];
      const acknowledged: number[] = [];
      for (let round = 1; round <= count; round++) {
        if (round % 10 === 1) bench.progress(`change ${round} of ${count}, ${title}`);
        const colour = round % 2 === 1 ? 'green' : 'blue';
        const times = await timeChange(bench, headgate, changing.host, file, text(colour), colour);
        served.push(times.servedMs);
        if (times.acknowledgedMs !== null) acknowledged.push(times.acknowledgedMs);
      }
      const { requests, failures, latenciesMs } = await load.stop();
      await headgate.stop();
      figures.push(
        { name: `written to served, ${title}`, unit: 'ms', values: served, target },
        { name: `written to acknowledged by all workers, ${title}`, unit: 'ms', values: acknowledged, target: null },
        { name: `traffic meanwhile: latency, ${title}`, unit: 'ms', values: latenciesMs, target: null },
        {
          name: `traffic meanwhile: failed of ${requests} requests, ${title}`,
          unit: 'count',
          values: [sumOf(failures)],
          target: null,
        },
      );
    }
    return figures;
  },
};

type Colour = 'blue' | 'green';

type ChangeTimes = {
  readonly servedMs: number;
  /** Null when Headgate does not tell its revision. */
  readonly acknowledgedMs: number | null;
};

async function timeChange(
  bench: FigureBench,
  headgate: LargeHeadgate,
  host: string,
  file: string,
  text: string,
  colour: Colour,
): Promise<ChangeTimes> {
  const { httpPort, adminPort } = headgate.lines;
  const before = await tableRevision(adminPort);
  // Written elsewhere and moved: nobody shall read half a file.
  const draft = join(bench.workspace.directory, 'draft.yaml');
  writeFileSync(draft, text);
  renameSync(draft, join(headgate.manifests, file));
  const writtenAt = performance.now();
  const since = (): number => performance.now() - writtenAt;
  const target = { port: httpPort, host, path: '/' };
  const served = probeUntil(target, ({ body }) => body === colour, POLL_EVERY_MS, DEADLINE_MS).then(since);
  const acknowledged = before === null ? null : acknowledgedAfter(adminPort, before.revision).then(since);
  const [servedMs, acknowledgedMs] = await Promise.all([served, acknowledged]);
  return { servedMs, acknowledgedMs };
}

async function acknowledgedAfter(adminPort: number, revision: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const now = await tableRevision(adminPort);
    if (now !== null && now.revision !== revision && now.acknowledged) return;
    if (performance.now() > deadline)
      throw new Error(`no acknowledged revision after ${revision} in ${DEADLINE_MS} ms`);
    await pause(POLL_EVERY_MS);
  }
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
