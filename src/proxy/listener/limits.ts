// How many client connections a worker may hold. Workers share no memory, so each has its share of what all may.

/** Descriptors that are none of the connections': standard streams, channel, listeners, files, the odd library. */
const reservedDescriptors = 64;

/**
 * Client connections that one of `workers` may hold, from the configured total (0: no total, the descriptors decide) and
 * the process's soft limit of descriptors. A proxied connection takes two descriptors, one on either side.
 */
export function connectionLimit(maxConnections: number, workers: number, descriptors: number): number {
  const byDescriptors = Math.max(1, Math.floor((descriptors - reservedDescriptors) / 2));
  if (maxConnections === 0) return byDescriptors;
  return Math.min(shareOf(maxConnections, workers), byDescriptors);
}

/** What one of `workers` may use of a limit that holds for all of them together; 0, which is no limit, stays 0. */
export function shareOf(limit: number, workers: number): number {
  return Math.ceil(limit / workers);
}

/**
 * What `worker` (from 0) of `workers` lets through of a limit that holds for all of them together. The parts add up to the limit
 * exactly, so no client gets more, however its connections are spread; but with fewer than workers each has 1, as nobody knows
 * which worker a client comes to. A limit of 0 stays 0, and lets nothing through.
 */
export function partOf(limit: number, worker: number, workers: number): number {
  if (limit === 0) return 0;
  return Math.max(1, Math.floor(limit / workers) + (worker < limit % workers ? 1 : 0));
}

/** The soft limit of open files from the text of /proc/self/limits, or what POSIX grants at least. */
export function descriptorLimit(procLimits: string): number {
  const line = procLimits.split('\n').find((text) => text.startsWith('Max open files'));
  const soft = Number(line?.trim().split(/\s{2,}/)[1]);
  return Number.isSafeInteger(soft) && soft > 0 ? soft : 1024;
}
