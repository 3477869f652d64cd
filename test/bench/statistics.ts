// The few figures that the bench prints about a list of samples.

/** The value below which the share `q` (0 to 1) of the samples lies, between neighbours linearly. NaN without samples. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** Each sample divided by the other contender's sample of the same round. */
export function pairedRatios(samples: readonly number[], baseline: readonly number[]): readonly number[] {
  return samples.flatMap((sample, round) => {
    const other = baseline[round];
    return other === undefined ? [] : [sample / other];
  });
}
