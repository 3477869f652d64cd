// `npm run bench:scale`: a cluster with ten thousand Routes, and what it costs to follow it. docs/performance.md tells what
// each figure means, and holds the latest ones.

import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { eventually, RunningRouter } from '../../support/router.ts';
import { parseEventLoopDelays } from '../headgate-admin.ts';
import { memoryOf } from '../memory.ts';
import { quantile } from '../statistics.ts';
import { BenchCluster } from './cluster.ts';
import type { ChangeTime } from './cluster-messages.ts';
import { between, parseBuckets, shareWithin } from './histogram.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { cpuShares, type Pids, pidsOf } from './processes.ts';
import { isMet, type Row, table, writePage } from './report.ts';
import { requestAll } from './requests.ts';

const firstSyncMs = 8_000;
const changeMs = 50;
const controllerMb = 400;
const workerMb = 200;
const idlePercent = 1;
const scrapeStallMs = 50;
const scrapes = 5;

/** What is scraped: as it is by default, and with all that may be asked for. */
const scrapedWith = [
  { words: 'scrape', args: [] },
  { words: 'scrape of endpoints and HAProxy', args: ['--metrics-detail', 'endpoint', '--metrics-compat', 'haproxy'] },
] as const;

/** Until what a start or a burst has left behind is gone. */
const settleMs = 5_000;
/** Load average above which another program disturbs the run. */
const quietLoad = 0.5;
const shownFailures = 5;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: Options | 'help';
  try {
    options = parseOptions(args);
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const load = loadavg()[0] ?? 0;
  if (load > quietLoad) say(`warning: the load average is ${load.toFixed(2)}: something else is running`);
  const rows = await measure(options);
  process.stdout.write(`\n${table(rows)}`);
  if (options.jsonFile !== null)
    writeFileSync(options.jsonFile, `${JSON.stringify({ load, options, rows }, null, 2)}\n`);
  if (options.write) writePage(rows, options);
  return rows.every(isMet) ? 0 : 1;
}

async function measure(options: Options): Promise<readonly Row[]> {
  const { only } = options;
  const emptyMb = only.includes('hosts') ? await emptyWorkersMb(options) : [];
  say('making the cluster');
  await using cluster = await BenchCluster.open(options);
  const rows: Row[] = [];
  const launch = async (): Promise<RunningRouter> => {
    const args = ['--workers', String(options.workers), '--status-rate', String(options.statusRate)];
    return await RunningRouter.start(cluster, args);
  };
  if (only.includes('start')) rows.push(...(await measureStarts(options, launch)));
  if (only.some((phase) => phase === 'statuses' || phase === 'idle' || phase === 'changes')) {
    rows.push(...(await measureRunning(options, cluster, launch)));
  }
  if (only.includes('hosts')) rows.push(...(await measureHosts(options, cluster, launch, emptyMb)));
  if (only.includes('scrapes')) {
    for (const of of scrapedWith) rows.push(...(await measureScrapes(options, cluster, of)));
  }
  return rows;
}

/** One router from its start on: statuses, then quiet, then changes. */
async function measureRunning(
  options: Options,
  cluster: BenchCluster,
  launch: () => Promise<RunningRouter>,
): Promise<readonly Row[]> {
  const { only } = options;
  say('starting the router that is watched from now on');
  await using router = await launch();
  const pids = await pidsOf(router);
  const rows: Row[] = [];
  if (only.includes('statuses')) rows.push(...(await measureStatuses(options, cluster, router, pids)));
  if (only.includes('idle')) rows.push(...(await measureIdle(options, pids)));
  if (only.includes('changes')) rows.push(...(await measureChanges(options, cluster, router)));
  rows.push(mb('controller, peak', [memoryOf(pids.get('controller') ?? 0).peakMb], controllerMb));
  rows.push(...(await stalls(router, 'in all')));
  return rows;
}

/** The size of each worker without any Route. The first has compiled what the others only load, and is larger for it. */
async function emptyWorkersMb(options: Options): Promise<readonly number[]> {
  say('starting a router without Routes');
  await using cluster = await BenchCluster.open({ routes: 0, services: 0, endpointsPerService: 0 });
  await using router = await RunningRouter.start(cluster, ['--workers', String(options.workers)]);
  await pause(settleMs);
  return workersOf(await pidsOf(router)).map((pid) => memoryOf(pid).residentMb);
}

async function measureStarts(options: Options, launch: () => Promise<RunningRouter>): Promise<Row[]> {
  const readyMs: number[] = [];
  const controller: number[] = [];
  const workers: number[] = [];
  const stallsMs: number[] = [];
  for (let i = 1; i <= options.starts; i++) {
    say(`start ${i} of ${options.starts}`);
    const launchedMs = performance.now();
    await using router = await launch();
    readyMs.push(performance.now() - launchedMs);
    const pids = await pidsOf(router);
    controller.push(memoryOf(pids.get('controller') ?? 0).residentMb);
    workers.push(Math.max(...workersOf(pids).map((pid) => memoryOf(pid).residentMb)));
    stallsMs.push(...(await stalls(router, '')).slice(0, 1).flatMap(({ values }) => values));
  }
  return [
    {
      name: 'first sync',
      values: readyMs.map((ms) => ms / 1000),
      unit: 's',
      target: { at: 'most', value: firstSyncMs / 1000 },
    },
    mb('controller when ready, resident', controller, controllerMb),
    mb('largest worker when ready, resident', workers),
    { name: 'longest stall of the controller during the first sync', values: stallsMs, unit: 'ms', target: null },
  ];
}

async function measureStatuses(
  { routes, statusRate }: Options,
  cluster: BenchCluster,
  router: RunningRouter,
  pids: Pids,
): Promise<Row[]> {
  say(`waiting for the statuses, ${statusRate} a second`);
  await eventually(
    async () => {
      await pause(1_000);
      return await cluster.statuses();
    },
    (statuses) => statuses === routes,
  );
  await pause(settleMs);
  const failed = await router.metric('headgate_status_writes_total', '"failed"');
  const conflicts = await router.metric('headgate_status_writes_total', '"conflict"');
  return [
    mb(
      'controller with all statuses written, resident',
      [memoryOf(pids.get('controller') ?? 0).residentMb],
      controllerMb,
    ),
    { name: 'status writes that failed or met a conflict', values: [failed + conflicts], unit: 'count', target: null },
  ];
}

async function measureIdle({ idleSeconds }: Options, pids: Pids): Promise<Row[]> {
  await pause(settleMs);
  say(`watching the idle cluster for ${idleSeconds} s`);
  const shares = await cpuShares(pids, () => pause(idleSeconds * 1000));
  const percent = (share: number): number[] => [share * 100];
  return [
    {
      name: 'idle, all processes',
      values: percent([...shares.values()].reduce((sum, share) => sum + share, 0)),
      unit: '%',
      target: { at: 'most', value: idlePercent },
    },
    ...[...shares].map(
      ([name, share]): Row => ({
        name: `idle, ${name}`,
        values: percent(share),
        unit: '%',
        target: null,
      }),
    ),
  ];
}

async function measureChanges(options: Options, cluster: BenchCluster, router: RunningRouter): Promise<Row[]> {
  const { changes, churn } = options;
  say(`changing ${changes} Routes`);
  const buckets = async () => parseBuckets((await router.admin('/metrics')).text, 'headgate_propagation_seconds');
  const before = await buckets();
  const { times, missing, churned } = await cluster.change({ changes, churn });
  const acknowledged = shareWithin(between(before, await buckets()), changeMs / 1000);
  const row = (name: string, of: readonly ChangeTime[], q: number, target: Row['target'] = null): Row => {
    const values = of.map(({ ms }) => ms);
    return {
      name: `changed Route, by the API server's clock, ${name}`,
      values: [quantile(values, q)],
      unit: 'ms',
      target,
    };
  };
  const renewals = times.filter(({ how }) => how === 'certificate');
  return [
    row('p50', times, 0.5),
    row('p99', times, 0.99, { at: 'most', value: changeMs }),
    row('longest', times, 1),
    row('p50 of new certificates', renewals, 0.5),
    row('longest of new certificates', renewals, 1),
    {
      name: `acknowledged within ${changeMs} ms`,
      values: [acknowledged * 100],
      unit: '%',
      target: { at: 'least', value: 99 },
    },
    {
      name: 'changed Routes whose status never came',
      values: [missing],
      unit: 'count',
      target: { at: 'most', value: 0 },
    },
    { name: 'changes of EndpointSlices a second', values: [churned], unit: 'count', target: null },
  ];
}

async function measureHosts(
  { routes, passes }: Options,
  cluster: BenchCluster,
  launch: () => Promise<RunningRouter>,
  emptyMb: readonly number[],
): Promise<Row[]> {
  // A worker that was idle for minutes has been collected thoroughly, and would seem to need less.
  await using router = await launch();
  const pids = await pidsOf(router);
  const overEmpty = (of: 'residentMb' | 'peakMb'): number =>
    Math.max(...workersOf(pids).map((pid, worker) => memoryOf(pid)[of] - (emptyMb[worker] ?? 0)));
  const full = overEmpty('residentMb');
  let failures = 0;
  const pass = async (): Promise<void> => {
    const failed = await requestAll(router.httpsPort, routes, cluster.authority);
    failures += failed.size;
    for (const [host, failure] of [...failed].slice(0, shownFailures)) say(`${host}: ${failure}`);
  };
  say('requesting every host once');
  await pass();
  const once = overEmpty('residentMb');
  for (let i = 1; i <= passes; i++) {
    say(`requesting every host again, ${i} of ${passes}`);
    await pass();
  }
  const often = overEmpty('residentMb');
  const peak = overEmpty('peakMb');
  return [
    mb('worker without Routes, resident', emptyMb),
    mb('largest worker over its empty size, before the requests', [full]),
    mb('largest worker over its empty size, every host requested once', [once], workerMb),
    mb(`largest worker over its empty size, ${passes} times more`, [often]),
    mb('largest worker over its empty size, peak', [peak]),
    { name: 'requests that went wrong', values: [failures], unit: 'count', target: { at: 'most', value: 0 } },
  ];
}

/** Scrapes of a router all of whose Routes have had traffic. */
async function measureScrapes(
  { workers, routes }: Options,
  cluster: BenchCluster,
  { words, args }: (typeof scrapedWith)[number],
): Promise<Row[]> {
  say(`starting a router for the ${words}`);
  await using router = await RunningRouter.start(cluster, [
    '--workers',
    String(workers),
    '--status-rate',
    '1',
    ...args,
  ]);
  await requestAll(router.httpsPort, routes, cluster.authority);
  const seconds: number[] = [];
  let bytes = 0;
  for (let i = 0; i < scrapes; i++) {
    const startedMs = performance.now();
    bytes = (await router.admin('/metrics')).text.length;
    seconds.push((performance.now() - startedMs) / 1000);
  }
  const pids = await pidsOf(router);
  const [controller, worker] = await stalls(router, `${words} included`);
  return [
    { name: `${words}, text`, values: [bytes / 1e6], unit: 'MB', target: null },
    { name: `${words}, time`, values: seconds, unit: 's', target: null },
    ...(controller === undefined ? [] : [{ ...controller, target: { at: 'most', value: scrapeStallMs } as const }]),
    ...(worker === undefined ? [] : [worker]),
    mb(`controller, ${words} included, peak`, [memoryOf(pids.get('controller') ?? 0).peakMb]),
    mb(`supervisor, ${words} included, peak`, [memoryOf(pids.get('supervisor') ?? 0).peakMb]),
  ];
}

/** The longest stall of the controller, and of the worst worker. */
async function stalls(router: RunningRouter, when: string): Promise<Row[]> {
  const all = [...parseEventLoopDelays((await router.admin('/metrics')).text, 'max')];
  const longest = (process: string): number =>
    Math.max(...all.filter(([labels]) => labels.includes(process)).map(([, ms]) => ms));
  return [
    { name: `longest stall of the controller, ${when}`, values: [longest('"controller"')], unit: 'ms', target: null },
    { name: `longest stall of a worker, ${when}`, values: [longest('"worker-')], unit: 'ms', target: null },
  ];
}

function workersOf(pids: Pids): number[] {
  return [...pids].flatMap(([name, pid]) => (name.startsWith('worker-') ? [pid] : []));
}

function mb(name: string, values: readonly number[], most: number | null = null): Row {
  return { name, values, unit: 'MB', target: most === null ? null : { at: 'most', value: most } };
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
