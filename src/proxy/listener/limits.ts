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

/** The soft limit of open files from the text of /proc/self/limits, or what POSIX grants at least. */
export function descriptorLimit(procLimits: string): number {
  const line = procLimits.split('\n').find((text) => text.startsWith('Max open files'));
  const soft = Number(line?.trim().split(/\s{2,}/)[1]);
  return Number.isSafeInteger(soft) && soft > 0 ? soft : 1024;
}
