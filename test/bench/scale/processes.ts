// The router's processes as the kernel sees them: memory and CPU time.

import { readFileSync } from 'node:fs';
import type { RunningRouter } from '../../support/router.ts';
import { cpuTimeUs } from '../cpu-time.ts';

export type Memory = { readonly residentMb: number; readonly peakMb: number };

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

/** Resident memory now and at most since the start (proc(5)), in MB of 10^6 bytes. */
export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const megabytes = (field: string): number => {
    const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    if (kib === undefined) throw new Error(`/proc/${pid}/status does not tell ${field}`);
    return (Number(kib) * 1024) / 1e6;
  };
  return { residentMb: megabytes('VmRSS'), peakMb: megabytes('VmHWM') };
}

/** The share of one core that each process used while `during` ran. */
export async function cpuShares(pids: Pids, during: () => Promise<void>): Promise<ReadonlyMap<string, number>> {
  const before = new Map([...pids].map(([name, pid]) => [name, cpuTimeUs([pid])]));
  const startedMs = performance.now();
  await during();
  const elapsedUs = (performance.now() - startedMs) * 1000;
  return new Map([...pids].map(([name, pid]) => [name, (cpuTimeUs([pid]) - (before.get(name) ?? 0)) / elapsedUs]));
}
