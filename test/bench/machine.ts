// What the figures depend on beside the code: the machine and the other programs.

import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, release } from 'node:os';

/** The programs, and Debian's packages of those that are named otherwise. */
const TOOLS: Readonly<Record<string, string | null>> = {
  taskset: 'util-linux',
  openssl: null,
  nginx: null,
  wrk: null,
  h2load: 'nghttp2-client',
  haproxy: null,
};

/** Load average above which another program disturbs the run. */
const QUIET_LOAD = 0.5;

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly haproxy: string;
  /** Of the last minute, when the bench started. */
  readonly loadAverage: number;
};

/** The programs the bench needs that are not installed, with the package where its name is another. */
export function missingTools(): readonly string[] {
  return Object.entries(TOOLS)
    .filter(([tool]) => spawnSync('which', [tool]).status !== 0)
    .map(([tool, packageName]) => (packageName === null ? tool : `${tool} (package ${packageName})`));
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    node: process.version,
    haproxy: spawnSync('haproxy', ['-v'], { encoding: 'utf8' }).stdout.split('\n')[0] ?? 'unknown',
    loadAverage: loadavg()[0] ?? 0,
  };
}

/** Why the figures may not be trusted on this machine, one sentence each. */
export function warnings(machine: Machine): readonly string[] {
  const found: string[] = [];
  if (availableParallelism() < 2) found.push('the machine has one core: router and load generator share it');
  if (machine.loadAverage > QUIET_LOAD) {
    found.push(
      `the load average is ${machine.loadAverage.toFixed(2)}: something else is running, wait until it is quiet`,
    );
  }
  return found;
}
