// What an idle connection holds: many kept TLS connections, each of which was answered once, on a router of their own.

import { setTimeout as pause } from 'node:timers/promises';
import type { Contender } from '../contenders/contender.ts';
import { startOn } from '../ground.ts';
import { whileIdle } from '../idle-connections.ts';
import { CHALLENGER } from '../lines.ts';
import { memoryOf, mostOpenFiles } from '../memory.ts';
import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import { IDLE_CONNECTION } from '../targets.ts';
import type { Figure, FigureBench, FigureScenario } from './figure-scenario.ts';

const STAGE = { ...SMALL_CLUSTER, name: 'idle' };
/** What a router holds as soon as it has been of use, and not for a connection. */
const WARM_UP_CONNECTIONS = 200;
/** Until what the opening left behind is gone. */
const SETTLE_MS = 3_000;
/** The rest is for what a router opens beside connections. */
const USABLE_SHARE = 0.9;

export const idle: FigureScenario = {
  name: 'idle',
  run: async (bench: FigureBench): Promise<readonly Figure[]> => {
    const figures: Figure[] = [];
    for (const contender of bench.contenders) figures.push(await measure(bench, contender));
    return figures;
  },
};

async function measure(bench: FigureBench, contender: Contender): Promise<Figure> {
  const most = Math.floor((mostOpenFiles() * USABLE_SHARE) / contender.filesPerConnection);
  const connections = Math.min(bench.options.idleConnections, most);
  bench.progress(`idle: ${connections} connections, ${contender.name}`);
  const running = await startOn(bench, STAGE, contender, bench.options.otherRoutes);
  const resident = (): number => running.pids().reduce((sum, pid) => sum + memoryOf(pid).residentMb, 0);
  const load = { host: HOSTS.edge, port: running.ports.https, path: '/', connections };
  await whileIdle(bench.workspace, { ...load, connections: WARM_UP_CONNECTIONS }, () => pause(SETTLE_MS));
  const before = resident();
  let after = 0;
  await whileIdle(bench.workspace, load, async () => {
    await pause(SETTLE_MS);
    after = resident();
  });
  await running.stop();
  return {
    name: `memory of each of ${connections} idle connections, ${contender.name}`,
    unit: 'KB',
    values: [((after - before) * 1_000) / connections],
    target: contender.name === CHALLENGER ? IDLE_CONNECTION : null,
  };
}
