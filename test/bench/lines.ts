// What was measured, as the lines of the tables: medians and quartiles over the rounds, ratios round by round, targets.

import type { Figure } from './scenarios/figure-scenario.ts';
import type { LoadScenario, Sample } from './scenarios/load-scenario.ts';
import { median, pairedRatios, quantile } from './statistics.ts';
import { OWN_COMPARISONS, RATIO_TARGETS } from './targets.ts';

/** The contender that the others are set against. */
export const BASELINE = 'haproxy-openshift';
/** The one that has targets. */
export const CHALLENGER = 'headgate';

/** All runs of one contender in one scenario, one a round. */
export type LoadResult = {
  readonly scenario: LoadScenario;
  readonly contender: string;
  readonly samples: readonly Sample[];
};

export type FigureResult = { readonly scenario: string; readonly figures: readonly Figure[] };

/** Half of the values lie between the quartiles. */
export type Spread = { readonly median: number; readonly lower: number; readonly upper: number };

/** What is to be reached and whether it was. */
export type Verdict = { readonly below: number; readonly isMet: boolean };

export type LoadLine = {
  readonly scenario: string;
  readonly contender: string;
  readonly unit: string;
  /** What is compared, in the unit. */
  readonly value: Spread;
  /** Divided by the baseline's of the same round. Null for the baseline itself, and where it was not measured. */
  readonly ratio: Spread | null;
  readonly verdict: Verdict | null;
  readonly perSecond: number;
  readonly megabytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
};

/** A contender in one scenario against itself in another. */
export type OwnLine = {
  readonly scenario: string;
  readonly against: string;
  readonly contender: string;
  readonly ratio: Spread;
  readonly verdict: Verdict | null;
};

export type FigureLine = {
  readonly scenario: string;
  readonly name: string;
  readonly unit: Figure['unit'];
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  readonly values: number;
  /** The quantile that the target is about, and whether it was reached. */
  readonly verdict: (Verdict & { readonly quantile: number }) | null;
};

/** One line for each contender in each scenario. */
export function loadLines(results: readonly LoadResult[]): readonly LoadLine[] {
  return results.map(({ scenario, contender, samples }) => {
    const { unit, of } = comparedOf(scenario);
    const baseline = samplesOf(results, scenario.name, BASELINE);
    const ratios = contender === BASELINE ? [] : pairedRatios(samples.map(of), baseline.map(of));
    const middle = (field: keyof Sample): number => median(samples.map((sample) => sample[field]));
    return {
      scenario: scenario.name,
      contender,
      unit,
      value: spreadOf(samples.map(of)),
      ratio: ratios.length === 0 ? null : spreadOf(ratios),
      verdict: contender === CHALLENGER ? verdictOn(ratios, RATIO_TARGETS[scenario.name]) : null,
      perSecond: middle('requestsPerSecond'),
      megabytesPerSecond: middle('bytesPerSecond') / 1_000_000,
      p50Ms: middle('p50Us') / 1_000,
      p99Ms: middle('p99Us') / 1_000,
      errors: sumOfErrors(samples),
    };
  });
}

/** One line for each contender that was measured in both scenarios of a comparison. */
export function ownLines(results: readonly LoadResult[]): readonly OwnLine[] {
  return OWN_COMPARISONS.flatMap(({ scenario, against, below }) =>
    results
      .filter((result) => result.scenario.name === scenario)
      .flatMap(({ contender, samples }) => {
        const costs = (of: readonly Sample[]): readonly number[] => of.map(({ cpuUsPerUnit }) => cpuUsPerUnit);
        const ratios = pairedRatios(costs(samples), costs(samplesOf(results, against, contender)));
        if (ratios.length === 0) return [];
        const verdict = contender === CHALLENGER ? verdictOn(ratios, below) : null;
        return [{ scenario, against, contender, ratio: spreadOf(ratios), verdict }];
      }),
  );
}

export function figureLines(results: readonly FigureResult[]): readonly FigureLine[] {
  return results.flatMap(({ scenario, figures }) =>
    figures.map(({ name, unit, values, target }) => ({
      scenario,
      name,
      unit,
      p50: median(values),
      p99: quantile(values, 0.99),
      longest: quantile(values, 1),
      values: values.length,
      // NaN is below nothing: what has no value did not reach its target.
      verdict: target === null ? null : { ...target, isMet: quantile(values, target.quantile) < target.below },
    })),
  );
}

/** One sentence for each contender and scenario with anything but good answers: its CPU time paid for something else. */
export function failures(lines: readonly LoadLine[]): readonly string[] {
  return lines.flatMap(({ scenario, contender, errors }) =>
    errors === 0 ? [] : [`${scenario}: ${contender}: ${errors} failed, so its figures say nothing`],
  );
}

/** Null where there is nothing to reach or nothing to compare. */
export function verdictOn(ratios: readonly number[], below: number | undefined): Verdict | null {
  if (below === undefined || ratios.length === 0) return null;
  return { below, isMet: quantile(ratios, 0.75) < below };
}

/** The figure of a run that contenders are compared by. */
function comparedOf({ load, unit }: LoadScenario): { readonly unit: string; of(sample: Sample): number } {
  if (load.kind === 'fixed-rate') return { unit: 'ms p99', of: ({ p99Us }) => p99Us / 1_000 };
  switch (unit) {
    case 'request':
      return { unit: 'us/req', of: ({ cpuUsPerUnit }) => cpuUsPerUnit };
    case 'message':
      return { unit: 'us/msg', of: ({ cpuUsPerUnit }) => cpuUsPerUnit };
    case '100 MB':
      return { unit: 'ms/100 MB', of: ({ cpuUsPerUnit }) => cpuUsPerUnit / 1_000 };
  }
}

function samplesOf(results: readonly LoadResult[], scenario: string, contender: string): readonly Sample[] {
  const found = results.find((result) => result.scenario.name === scenario && result.contender === contender);
  return found?.samples ?? [];
}

function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), lower: quantile(values, 0.25), upper: quantile(values, 0.75) };
}

function sumOfErrors(samples: readonly Sample[]): number {
  return samples.reduce((sum, sample) => sum + sample.errors, 0);
}
