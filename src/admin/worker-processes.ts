// What the kernel says of the workers' processes, added up: figures that HAProxy's one process has in dashboards, and that no
// metric of ours tells.

import { readFile, stat } from 'node:fs/promises';

export type WorkerProcesses = {
  readonly virtualBytes: number;
  readonly openFiles: number;
  readonly openFilesLimit: number;
  /** Of the eldest, since 1970. */
  readonly startSeconds: number;
  /** Of the network namespace, that is the pod, but for loopback. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
};

/** The kernel's clock ticks in a second, as it tells programs on every architecture that Node runs on (`getconf CLK_TCK`). */
const ticksPerSecond = 100;

/** Reads it for the processes that are still there. Never rejects: what cannot be read is 0. */
export async function workerProcesses(pids: readonly number[]): Promise<WorkerProcesses> {
  const [bootSeconds, network, ...each] = await Promise.all([
    bootTime(),
    networkBytes(),
    ...pids.map((pid) => processFacts(pid)),
  ]);
  const sum = (read: (facts: ProcessFacts) => number): number => each.reduce((total, facts) => total + read(facts), 0);
  const starts = each.map(({ startTicks }) => startTicks).filter((ticks) => ticks > 0);
  return {
    virtualBytes: sum(({ virtualBytes }) => virtualBytes),
    openFiles: sum(({ openFiles }) => openFiles),
    openFilesLimit: sum(({ openFilesLimit }) => openFilesLimit),
    startSeconds: starts.length === 0 ? 0 : bootSeconds + Math.min(...starts) / ticksPerSecond,
    ...network,
  };
}

type ProcessFacts = {
  readonly virtualBytes: number;
  readonly startTicks: number;
  readonly openFiles: number;
  readonly openFilesLimit: number;
};

async function processFacts(pid: number): Promise<ProcessFacts> {
  const [statText, limits, openFiles] = await Promise.all([
    textOf(`/proc/${pid}/stat`),
    textOf(`/proc/${pid}/limits`),
    openFilesOf(pid),
  ]);
  // Behind the name, which is in parentheses and may hold anything: the third field (proc(5)) is the first.
  const fields = statText.slice(statText.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3] ?? 0) || 0;
  const softLimit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0);
  return {
    virtualBytes: field(23),
    startTicks: field(22),
    openFiles,
    openFilesLimit: softLimit,
  };
}

/** Linux from 6.2 on says how many there are as the size of the folder; listing fifty thousand would take too long. */
async function openFilesOf(pid: number): Promise<number> {
  try {
    return (await stat(`/proc/${pid}/fd`)).size;
  } catch {
    return 0;
  }
}

async function bootTime(): Promise<number> {
  return Number(/^btime (\d+)/m.exec(await textOf('/proc/stat'))?.[1] ?? 0);
}

async function networkBytes(): Promise<Pick<WorkerProcesses, 'receivedBytes' | 'sentBytes'>> {
  let receivedBytes = 0;
  let sentBytes = 0;
  for (const [, name = '', counts = ''] of (await textOf('/proc/self/net/dev')).matchAll(/^ *([^:\s]+):(.*)$/gm)) {
    if (name === 'lo') continue;
    const columns = counts.trim().split(/\s+/).map(Number);
    receivedBytes += columns[0] ?? 0;
    sentBytes += columns[8] ?? 0;
  }
  return { receivedBytes, sentBytes };
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return '';
  }
}
