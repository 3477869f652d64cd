// What a hundred changed Routes a second do to the requests that pass meanwhile: times at a fixed rate, now with changes and now
// without. Controller and worker of Headgate share one core.

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runFixedRate } from '../fixed-rate.ts';
import { routeManifest, serviceManifests } from '../manifests.ts';
import { probeUntil } from '../probe.ts';
import type { BenchRoute } from '../routes.ts';
import { contenderCpus } from '../workspace.ts';
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

const CHANGES_PER_SECOND = 100;
/** Routes that change, each in a file of its own. */
const CHANGING = 100;
const REQUESTS_PER_SECOND = 2_000;
const CONNECTIONS = 64;
const DEADLINE_MS = 10_000;

type Colour = 'blue' | 'green';

export const churn: FigureScenario = {
  name: 'churn',
  run: async (bench: FigureBench): Promise<readonly Figure[]> => {
    const { routes, rounds, seconds } = bench.options;
    const { plainPort, bluePort, greenPort } = bench.pods;
    const colours = `${serviceManifests('blue', bluePort)}${serviceManifests('green', greenPort)}`;
    const large = `${numberedManifests(routes, plainPort)}${colours}`;
    const headgate = await startLarge(bench, 'churn', { [LARGE_FILE]: large }, contenderCpus(1));
    const load = {
      scheme: 'http',
      host: numberedRoute(0, plainPort).host,
      port: headgate.lines.httpPort,
      path: '/',
      connections: CONNECTIONS,
      perSecond: REQUESTS_PER_SECOND,
      seconds,
    } as const;
    const changes = new Changes(bench, headgate);
    const quiet: number[] = [];
    const changed: number[] = [];
    let errors = 0;
    for (let round = 0; round <= rounds; round++) {
      bench.progress(`churn: round ${round} of ${rounds}`);
      const without = await runFixedRate(bench.workspace, load);
      const running = changes.run();
      const during = await runFixedRate(bench.workspace, load);
      changes.stop();
      await running;
      await changes.areInForce();
      errors += without.errors + during.errors;
      if (round === 0) continue;
      quiet.push(without.p99Us / 1_000);
      changed.push(during.p99Us / 1_000);
    }
    await headgate.stop();
    const p99 = `p99 of ${REQUESTS_PER_SECOND} requests a second beside ${routes} Routes`;
    return [
      { name: `${p99}, nothing changes`, unit: 'ms', values: quiet, target: null },
      { name: `${p99}, ${CHANGES_PER_SECOND} Routes change a second`, unit: 'ms', values: changed, target: null },
      { name: 'Routes changed a second', unit: 'count', values: [changes.perSecond], target: null },
      { name: 'requests that failed', unit: 'count', values: [errors], target: null },
    ];
  },
};

/** Leads one Route after the other from one Service to another and back. */
class Changes {
  readonly #bench: FigureBench;
  readonly #headgate: LargeHeadgate;
  #made = 0;
  #tookMs = 0;
  #isOver = false;

  constructor(bench: FigureBench, headgate: LargeHeadgate) {
    this.#bench = bench;
    this.#headgate = headgate;
  }

  get perSecond(): number {
    return (this.#made * 1_000) / this.#tookMs;
  }

  /** Until `stop`. */
  async run(): Promise<void> {
    this.#isOver = false;
    const startedMs = performance.now();
    const before = this.#made;
    while (!this.#isOver) {
      const due = before + ((performance.now() - startedMs) * CHANGES_PER_SECOND) / 1_000;
      for (; this.#made < due; this.#made++) this.#change(this.#made);
      await pause(1);
    }
    this.#tookMs += performance.now() - startedMs;
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Waits until the last change of every Route is answered by. Throws when one is not. */
  async areInForce(): Promise<void> {
    const { httpPort: port } = this.#headgate.lines;
    for (let change = Math.max(0, this.#made - CHANGING); change < this.#made; change++) {
      const target = { port, host: changingRoute(change).host, path: '/' };
      await probeUntil(target, ({ body }) => body === colourOf(change), 1, DEADLINE_MS);
    }
  }

  #change(change: number): void {
    const route = changingRoute(change);
    // Written elsewhere and moved: nobody shall read half a file.
    const draft = join(this.#bench.workspace.directory, 'draft.yaml');
    writeFileSync(draft, routeManifest(route, colourOf(change)));
    renameSync(draft, join(this.#headgate.manifests, `${route.name}.yaml`));
  }
}

function changingRoute(change: number): BenchRoute {
  const name = `changing-${change % CHANGING}`;
  return { ...numberedRoute(0, 0), name, host: `${name}.bench.test` };
}

function colourOf(change: number): Colour {
  return Math.floor(change / CHANGING) % 2 === 0 ? 'blue' : 'green';
}
