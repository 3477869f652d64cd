// CPU time of a process tree, as the kernel accounts it in /proc.

import { readdirSync, readFileSync } from 'node:fs';

/** The kernel reports CPU time to user space in hundredths of a second, whatever its own tick. */
const US_PER_TICK = 10_000;

export type ProcessStat = {
  readonly parentPid: number;
  /** User and system time of all threads, those that ended included. */
  readonly cpuUs: number;
};

/** The fields of a line of `/proc/PID/stat` (proc(5)) from the state on. The name before it may hold blanks and brackets. */
export function statFields(line: string): string[] {
  return line.slice(line.lastIndexOf(')') + 2).split(' ');
}

/** Reads a line of `/proc/PID/stat`. Throws where it is none. */
export function parseProcessStat(line: string): ProcessStat {
  const fields = statFields(line);
  const [parentPid, userTicks, systemTicks] = [fields[1], fields[11], fields[12]].map(Number);
  if (parentPid === undefined || userTicks === undefined || systemTicks === undefined || fields.length < 13) {
    throw new Error(`not a line of /proc/PID/stat: ${line}`);
  }
  return { parentPid, cpuUs: (userTicks + systemTicks) * US_PER_TICK };
}

/** `root` and all its descendants, in ascending order. */
export function processTree(root: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? processStat(pid) : null;
    if (stat !== null) children.set(stat.parentPid, [...(children.get(stat.parentPid) ?? []), pid]);
  }
  const tree: number[] = [];
  const waiting = [root];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    tree.push(pid);
    waiting.push(...(children.get(pid) ?? []));
  }
  return tree.sort((a, b) => a - b);
}

/** The CPU time that these processes have used so far, in microseconds. Throws when one of them is gone. */
export function cpuTimeUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1')).cpuUs, 0);
}

function processStat(pid: number): ProcessStat | null {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch (error) {
    // It ended between the listing and the reading.
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}
