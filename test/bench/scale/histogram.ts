// `headgate_propagation_seconds` of the exposition: what came into it between two looks.

/** Observations up to each bound, cumulative, the bound in seconds (Infinity for all). */
export type Buckets = ReadonlyMap<number, number>;

export function parseBuckets(exposition: string, name: string): Buckets {
  const buckets = new Map<number, number>();
  for (const [, bound = '', count] of exposition.matchAll(
    new RegExp(`^${name}_bucket\\{.*?le="([^"]+)".*?\\} (\\S+)`, 'gm'),
  )) {
    buckets.set(bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), Number(count));
  }
  return buckets;
}

export function between(before: Buckets, after: Buckets): Buckets {
  return new Map([...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/** The share of observations that took at most so long; NaN where there are none. The bound must be one of the histogram. */
export function shareWithin(buckets: Buckets, seconds: number): number {
  return (buckets.get(seconds) ?? Number.NaN) / (buckets.get(Number.POSITIVE_INFINITY) ?? 0);
}
