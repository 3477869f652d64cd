// What the bench asks Headgate's admin port.

import { probe } from './probe.ts';

/** The newest revision of the table, and whether every worker serves it. Null when Headgate does not say. */
export async function tableRevision(adminPort: number): Promise<{ revision: string; acknowledged: boolean } | null> {
  const value: { revision?: unknown; acknowledged?: unknown } | null = await adminJson(adminPort, '/debug/revision');
  if (value === null) return null;
  return { revision: JSON.stringify(value.revision), acknowledged: value.acknowledged === true };
}

/** The workers' process ids. Null when Headgate does not say. */
export async function workerPids(adminPort: number): Promise<readonly number[] | null> {
  const value: { workers?: readonly { pid: number }[] } | null = await adminJson(adminPort, '/debug/processes');
  return value?.workers?.map(({ pid }) => pid) ?? null;
}

/** How late each process's event loop was since its start, in milliseconds by the metric's labels. Empty when it is not exposed. */
export async function eventLoopDelaysMs(adminPort: number, what: 'p99' | 'max'): Promise<ReadonlyMap<string, number>> {
  const answer = await probe({ port: adminPort, host: 'localhost', path: '/metrics' });
  return answer?.status === 200 ? parseEventLoopDelays(answer.body, what) : new Map();
}

/** Finds `headgate_eventloop_delay_..._seconds{...} n` in a Prometheus exposition. */
export function parseEventLoopDelays(exposition: string, what: 'p99' | 'max'): ReadonlyMap<string, number> {
  const metric = new RegExp(`^headgate_eventloop_delay_${what}_seconds(?:\\{(.*)\\})? (\\S+)`, 'gm');
  const lines = exposition.matchAll(metric);
  return new Map(Array.from(lines, ([, labels = '', seconds]) => [labels, Number(seconds) * 1_000]));
}

async function adminJson(adminPort: number, path: string): Promise<object | null> {
  const answer = await probe({ port: adminPort, host: 'localhost', path });
  return answer?.status === 200 ? JSON.parse(answer.body) : null;
}
