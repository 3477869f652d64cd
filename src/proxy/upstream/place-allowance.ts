// How many places with a pod one worker may take until the workers have told one another again what they hold.

import { partOf } from '../listener/limits.ts';

/** What is known of one pod of a Route that limits its places. `others`: of all other workers, as they told it last. */
export type PlaceClaims = {
  /** Of the Route, for all workers together; at least 1. */
  readonly limit: number;
  readonly held: number;
  /** What the others have heard of this worker: that it holds places there, ... */
  readonly told: boolean;
  /** ... that somebody waits for one, and that it holds less than its part then. */
  readonly waits: boolean;
  readonly short: boolean;
  readonly others: { readonly held: number; readonly waiting: number; readonly short: number };
};

/**
 * Places that `worker` (from 0) of `workers` may hold, at least 1. Alone it may have its part of the limit. Together with others
 * each takes a share of what is free, which goes to those first who hold less than their part and wait, then to others who
 * wait; and whoever holds more than its part takes none anew while somebody who holds less waits. So a pod has what its limit
 * says, and for two or three exchanges more if several workers are in need at the same time, or have nothing but the 1.
 */
export function placeAllowance(claims: PlaceClaims, worker: number, workers: number, together: boolean): number {
  const { limit, held, told, others } = claims;
  const part = partOf(limit, worker, workers);
  if (!together) return part;
  const free = limit - held - others.held;
  if (held > part && others.short > 0) return part;
  if (held > part && free < 0) return Math.max(part, held + free);
  if (free <= 0 || (held > 0 && !told)) return Math.max(1, held);
  return Math.max(1, held + shareOf(free, claims, workers));
}

/** What one worker may take of the free places. Rounded up only where it is waited for: what is left is for somebody, too. */
function shareOf(free: number, { waits, short, others }: PlaceClaims, workers: number): number {
  if (short || others.short > 0) return short ? Math.ceil(free / (1 + others.short)) : 0;
  if (waits || others.waiting > 0) return waits ? Math.ceil(free / (1 + others.waiting)) : 0;
  return Math.floor(free / workers);
}
