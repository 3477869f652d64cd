// The lines of what was measured as tables for people.

import { BASELINE, type FigureLine, type LoadLine, type OwnLine, type Spread, type Verdict } from './lines.ts';

/** One line per scenario and contender: medians over the rounds, and against the baseline, round by round. */
export function loadTable(lines: readonly LoadLine[]): string {
  const heads = [
    ...['scenario', 'contender', 'measured', '', 'quartiles', `x ${BASELINE}`, 'quartiles', 'target', ''],
    ...['req/s', 'MB/s', 'p50 ms', 'p99 ms', 'errors'],
  ];
  return alignedTable(
    heads,
    lines.map((line) => [
      line.scenario,
      line.contender,
      line.value.median.toFixed(decimals(line)),
      line.unit,
      quartiles(line.value, decimals(line)),
      line.ratio?.median.toFixed(3) ?? '',
      line.ratio === null ? '' : quartiles(line.ratio, 3),
      ...verdictCells(line.verdict),
      line.perSecond.toFixed(0),
      line.megabytesPerSecond.toFixed(1),
      line.p50Ms.toFixed(2),
      line.p99Ms.toFixed(2),
      String(line.errors),
    ]),
  );
}

/** One line per contender and pair of scenarios that it is compared with itself in. */
export function ownTable(lines: readonly OwnLine[]): string {
  return alignedTable(
    ['CPU in', 'over that in', 'contender', 'ratio', 'quartiles', 'target', ''],
    lines.map(({ scenario, against, contender, ratio, verdict }) => [
      ...[scenario, against, contender, ratio.median.toFixed(3), quartiles(ratio, 3)],
      ...verdictCells(verdict),
    ]),
  );
}

/** One line per figure. */
export function figureTable(lines: readonly FigureLine[]): string {
  return alignedTable(
    ['scenario', 'figure', 'p50', 'p99', 'max', 'unit', 'n', 'target', ''],
    lines.map((line) => [
      ...[line.scenario, line.name],
      ...[line.p50, line.p99, line.longest].map((value) => figureText(value, line.unit)),
      ...[line.unit, String(line.values)],
      ...verdictCells(line.verdict),
    ]),
  );
}

/** How exact a measured value is shown. */
export function decimals({ unit }: LoadLine): number {
  return unit === 'ms p99' ? 2 : 1;
}

/** A dash where nothing was measured. */
export function figureText(value: number, unit: FigureLine['unit']): string {
  return Number.isNaN(value) ? '-' : value.toFixed(unit === 'count' ? 0 : 1);
}

export function quartiles({ lower, upper }: Spread, digits: number): string {
  return `${lower.toFixed(digits)}..${upper.toFixed(digits)}`;
}

/** The target, and whether it was met. Empty where there is none. */
export function verdictCells(verdict: Verdict | null): readonly [string, string] {
  return verdict === null ? ['', ''] : [`< ${verdict.below}`, verdict.isMet ? 'met' : 'missed'];
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
