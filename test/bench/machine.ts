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
  readonly nginx: string;
  /** Of the programs that do not bring their own, as Node does. */
  readonly openssl: string;
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
    node: process.version.slice(1),
    haproxy: versionOf('haproxy', ['-v']),
    nginx: versionOf('nginx', ['-v']),
    openssl: versionOf('openssl', ['version']),
    loadAverage: loadavg()[0] ?? 0,
  };
}

/** The machine and the versions as a sentence without its full stop, after the date. */
export function circumstances({ cpu, cores, kernel, node, haproxy, nginx, openssl }: Machine): string {
  const date = new Date().toISOString().slice(0, 10);
  const programs = `Node ${node} (OpenSSL ${process.versions.openssl}), HAProxy ${haproxy} and nginx ${nginx} (OpenSSL ${openssl})`;
  return `${date} on ${cores} cores of ${cpu.trim()}, Linux ${kernel}, ${programs}`;
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

/** The first version number that a program tells, on whichever stream. */
function versionOf(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return /\d+\.\d+[.\d]*/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown';
}
