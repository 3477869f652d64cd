// The router's processes as the kernel sees them: who they are and their CPU time.

import type { RunningRouter } from '../../support/router.ts';
import { cpuTimeUs } from '../cpu-time.ts';

/** Process ids by name: `supervisor`, `controller`, `worker-0`, ... */
export type Pids = ReadonlyMap<string, number>;

export async function pidsOf(router: RunningRouter): Promise<Pids> {
  const { supervisor, controller, workers } = await router.processes();
  return new Map([
    ['supervisor', supervisor],
    ['controller', controller],
    ...workers.map(({ pid }, i): [string, number] => [`worker-${i}`, pid]),
  ]);
}

/** The share of one core that each process used while `during` ran. */
export async function cpuShares(pids: Pids, during: () => Promise<void>): Promise<ReadonlyMap<string, number>> {
  const before = new Map([...pids].map(([name, pid]) => [name, cpuTimeUs([pid])]));
  const startedMs = performance.now();
  await during();
  const elapsedUs = (performance.now() - startedMs) * 1000;
  return new Map([...pids].map(([name, pid]) => [name, (cpuTimeUs([pid]) - (before.get(name) ?? 0)) / elapsedUs]));
}
