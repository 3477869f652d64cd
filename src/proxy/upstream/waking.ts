// An idled Service (Route semantics 7.4): the first connection to its address wakes its pods and is held until they come, or is
// refused until then. So this address is tried again, where that of a pod would not be.

import type { PathRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { ConnectFailure } from './upstream.ts';

/** Time in which pods may come, after a connection that failed at once: as long as HAProxy waits. */
const refusedPauseMs = 1_000;

/** Those of the `tried` authorities that stay out of the question: all but the addresses of Services that are idled still. */
export function withoutIdled(tried: readonly string[], rule: PathRule, table: RouteTable): string[] {
  const placeholders = new Set<string>();
  for (const ref of rule.backends) {
    const backend = table.backends.get(ref.backend);
    if (backend?.idled !== true || ref.weight === 0) continue;
    for (const { authority } of backend.endpoints) placeholders.add(authority);
  }
  return tried.filter((authority) => !placeholders.has(authority));
}

/** How long to wait, in ms, before an address is tried again that failed like this. One that timed out has waited already. */
export function pauseAfter(failure: ConnectFailure, connectTimeoutMs: number): number {
  return failure === 'timeout' ? 0 : Math.min(refusedPauseMs, connectTimeoutMs);
}
