// Whether counts are what chances would make of them.

/** Pearson's statistic of what was counted against what was to be expected. */
export function chiSquare(counted: readonly number[], expected: readonly number[]): number {
  return counted.reduce((sum, count, i) => {
    const mean = expected[i] ?? 0;
    return mean === 0 ? sum + (count === 0 ? 0 : Number.POSITIVE_INFINITY) : sum + (count - mean) ** 2 / mean;
  }, 0);
}

/** What the statistic stays below 999 times of 1,000 with so many degrees of freedom (Wilson and Hilferty's approximation). */
export function chiSquareBound(freedom: number): number {
  const spread = 2 / (9 * freedom);
  return freedom * (1 - spread + 3.09 * Math.sqrt(spread)) ** 3;
}
