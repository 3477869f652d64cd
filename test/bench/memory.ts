// Memory of processes and how many files they may open, as the kernel tells it in /proc.

import { readFileSync } from 'node:fs';

export type Memory = { readonly residentMb: number; readonly peakMb: number };

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

/** The hard limit of this process, which those that it starts inherit. */
export function mostOpenFiles(): number {
  const limit = /^Max open files +\S+ +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  if (limit === undefined) throw new Error('/proc/self/limits does not tell how many files may be open');
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}
