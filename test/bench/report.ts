// What was measured, as tables for people and as values for machines.

import type { Figure } from './scenarios/headgate-scenario.ts';
import type { LoadScenario, Sample } from './scenarios/load-scenario.ts';
import { median, pairedRatios, quantile } from './statistics.ts';

/** The contender that the others are set against. */
export const BASELINE = 'haproxy-openshift';

const CPU_UNITS: Readonly<Record<LoadScenario['unit'], string>> = {
  request: 'us/req',
  message: 'us/msg',
  '100 MB': 'ms/100 MB',
};

/** All runs of one contender in one scenario, one a round. */
export type LoadResult = {
  readonly scenario: LoadScenario;
  readonly contender: string;
  readonly samples: readonly Sample[];
};

export type HeadgateResult = {
  readonly scenario: string;
  readonly figures: readonly Figure[];
};

/** One line per scenario and contender: medians over the rounds, and the CPU time against the baseline's, round by round. */
export function loadTable(results: readonly LoadResult[]): string {
  const heads = [
    'scenario',
    'contender',
    'CPU',
    '',
    'quartiles',
    `x ${BASELINE}`,
    'quartiles',
    'req/s',
    'MB/s',
    'p50 ms',
    'p99 ms',
    'errors',
  ];
  return alignedTable(
    heads,
    results.map((result) => {
      const baseline = results.find(
        ({ scenario, contender }) => scenario === result.scenario && contender === BASELINE,
      );
      const cpu = result.samples.map((sample) => sample.cpuUsPerUnit);
      const ratios = pairedRatios(cpu, baseline?.samples.map((sample) => sample.cpuUsPerUnit) ?? []);
      const isBulk = result.scenario.unit === '100 MB';
      const shown = isBulk ? cpu.map((us) => us / 1_000) : cpu;
      const of = (field: keyof Sample): number => median(result.samples.map((sample) => sample[field]));
      const isCompared = result.contender !== BASELINE && ratios.length > 0;
      return [
        result.scenario.name,
        result.contender,
        median(shown).toFixed(1),
        CPU_UNITS[result.scenario.unit],
        `${quantile(shown, 0.25).toFixed(1)}..${quantile(shown, 0.75).toFixed(1)}`,
        isCompared ? median(ratios).toFixed(3) : '',
        isCompared ? `${quantile(ratios, 0.25).toFixed(3)}..${quantile(ratios, 0.75).toFixed(3)}` : '',
        of('requestsPerSecond').toFixed(0),
        (of('bytesPerSecond') / 1_000_000).toFixed(1),
        (of('p50Us') / 1_000).toFixed(2),
        (of('p99Us') / 1_000).toFixed(2),
        String(sumOfErrors(result.samples)),
      ];
    }),
  );
}

/** One sentence for each contender and scenario with anything but good answers: its CPU time paid for something else. */
export function failures(results: readonly LoadResult[]): readonly string[] {
  return results.flatMap(({ scenario, contender, samples }) => {
    const errors = sumOfErrors(samples);
    return errors === 0 ? [] : [`${scenario.name}: ${contender}: ${errors} failed, so its figures say nothing`];
  });
}

function sumOfErrors(samples: readonly Sample[]): number {
  return samples.reduce((sum, sample) => sum + sample.errors, 0);
}

/** One line per figure of the scenarios that Headgate runs alone. */
export function headgateTable(results: readonly HeadgateResult[]): string {
  const heads = ['scenario', 'figure', 'p50', 'p99', 'max', 'unit', 'n'];
  return alignedTable(
    heads,
    results.flatMap(({ scenario, figures }) =>
      figures.map(({ name, unit, values }) => {
        const shown = [0.5, 0.99, 1].map((q) => quantile(values, q));
        const digits = unit === 'count' ? 0 : 1;
        return [
          scenario,
          name,
          ...shown.map((value) => (values.length === 0 ? '-' : value.toFixed(digits))),
          unit,
          String(values.length),
        ];
      }),
    ),
  );
}

/** Columns as wide as their widest cell; those that hold numbers only are set to the right. */
export function alignedTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = heads.map((head, index) => {
    const cells = rows.map((row) => row[index] ?? '');
    return {
      width: Math.max(...[head, ...cells].map((cell) => cell.length)),
      isNumeric: cells.every((cell) => /^[\d.-]*$/.test(cell)),
    };
  });
  return [heads, ...rows]
    .map((row) =>
      columns
        .map(({ width, isNumeric }, index) => {
          const cell = row[index] ?? '';
          return isNumeric ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
