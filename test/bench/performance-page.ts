// What the bench writes into docs/performance.md, and the bars of the chart beside it.

import type { Bar } from './chart.ts';
import { BASELINE, CHALLENGER, type LoadLine, type Verdict } from './lines.ts';
import { markdownTable } from './page.ts';
import type { Circumstances, PerformanceRecord } from './record.ts';
import { decimals, figureText, quartiles, verdictCells } from './report.ts';

const OTHERS = ['haproxy-minimal', 'nginx'] as const;

/** The section between the markers. */
export function performanceSection(record: PerformanceRecord): string {
  const parts = [circumstances(record)];
  if (barsOf(record).length > 0)
    parts.push(`![Headgate's CPU time divided by HAProxy's, by scenario](performance.svg)\n`);
  const [costs, latencies] = [record.load.filter(isCost), record.load.filter((line) => !isCost(line))];
  if (costs.length > 0) parts.push(costTable(costs));
  if (record.own.length > 0) parts.push(ownTable(record.own));
  if (latencies.length > 0) parts.push(latencyTable(latencies));
  if (record.figures.length > 0) parts.push(figureTable(record.figures));
  return parts.join('\n');
}

/** One bar for each scenario that Headgate is compared in. */
export function barsOf({ load }: PerformanceRecord): readonly Bar[] {
  return load.flatMap(({ scenario, contender, ratio, verdict }) => {
    if (contender !== CHALLENGER || ratio === null) return [];
    const others = OTHERS.flatMap((name) => {
      const other = lineOf(load, scenario, name)?.ratio;
      return other === undefined || other === null ? [] : [{ name, ratio: other.median }];
    });
    return [{ label: scenario, ratio, verdict, others }];
  });
}

/** Which scenarios were measured under the same circumstances; all of them, if a single run measured all. */
function circumstances({ load, own, figures }: PerformanceRecord): string {
  const scenarios = new Map<string, Set<string>>();
  for (const { scenario, measured } of [...load, ...own, ...figures] as readonly ({
    scenario: string;
  } & Circumstances)[]) {
    scenarios.set(measured, (scenarios.get(measured) ?? new Set()).add(scenario));
  }
  if (scenarios.size === 1) return `Measured on ${[...scenarios.keys()].join()}.\n`;
  return [...scenarios]
    .map(([measured, names]) => `- Measured on ${measured}: ${[...names].map((name) => `\`${name}\``).join(', ')}\n`)
    .join('');
}

function costTable(lines: readonly LoadLine[]): string {
  const rows = lines
    .filter(({ contender }) => contender === CHALLENGER)
    .map((line) => {
      const baseline = lineOf(lines, line.scenario, BASELINE);
      return [
        `\`${line.scenario}\``,
        line.unit,
        valueText(baseline),
        valueText(line),
        ...ratioCells(line),
        ...OTHERS.map((name) => valueAndRatio(lineOf(lines, line.scenario, name))),
        ...[baseline, line].map((one) => (one === undefined ? '' : rateText(one))),
      ];
    });
  return markdownTable(
    [
      ...['scenario', 'CPU per', 'HAProxy', 'Headgate', 'ratio', 'quartiles', 'target', ''],
      ...['HAProxy minimal', 'nginx', 'HAProxy a second', 'Headgate a second'],
    ],
    'llrrrrrlrrrr',
    rows,
  );
}

function latencyTable(lines: readonly LoadLine[]): string {
  const rows = lines.map((line) => [
    ...[`\`${line.scenario}\``, line.contender, rateText(line), line.p50Ms.toFixed(2), line.p99Ms.toFixed(2)],
    ...ratioCells(line),
  ]);
  return markdownTable(
    ['latency', 'contender', 'requests a second', 'p50 ms', 'p99 ms', 'ratio of p99', 'quartiles', 'target', ''],
    'llrrrrrrl',
    rows,
  );
}

function ownTable(lines: PerformanceRecord['own']): string {
  const rows = lines.map(({ scenario, against, contender, ratio, verdict }) => [
    ...[`\`${scenario}\``, `\`${against}\``, contender, ratio.median.toFixed(3), quartiles(ratio, 3)],
    ...verdictText(verdict),
  ]);
  return markdownTable(
    ['CPU per request in', 'over that in', 'contender', 'ratio', 'quartiles', 'target', ''],
    'lllrrrl',
    rows,
  );
}

function figureTable(lines: PerformanceRecord['figures']): string {
  const rows = lines.map((line) => [
    ...[`\`${line.scenario}\``, line.name],
    ...[line.p50, line.p99, line.longest].map((value) => figureText(value, line.unit)),
    ...[line.unit === 'count' ? '' : line.unit, String(line.values)],
    ...verdictText(line.verdict),
  ]);
  return markdownTable(['scenario', 'figure', 'p50', 'p99', 'most', 'unit', 'values', 'target', ''], 'llrrrlrrl', rows);
}

function ratioCells({ ratio, verdict }: LoadLine): readonly string[] {
  const cells = ratio === null ? ['', ''] : [ratio.median.toFixed(2), quartiles(ratio, 2)];
  return [...cells, ...verdictText(verdict)];
}

function verdictText(verdict: Verdict | null): readonly string[] {
  const [below, outcome] = verdictCells(verdict);
  return [below, outcome === 'missed' ? '**missed**' : outcome];
}

function valueText(line: LoadLine | undefined): string {
  return line === undefined ? '' : line.value.median.toFixed(decimals(line));
}

function valueAndRatio(line: LoadLine | undefined): string {
  const ratio = line?.ratio;
  return ratio === undefined || ratio === null ? valueText(line) : `${valueText(line)} (${ratio.median.toFixed(2)})`;
}

/** Large bodies are told in MB, the others by their number. */
function rateText({ unit, perSecond, megabytesPerSecond }: LoadLine): string {
  if (unit === 'ms/100 MB') return `${megabytesPerSecond.toFixed(0)} MB`;
  return Math.round(perSecond).toLocaleString('en');
}

function isCost({ unit }: LoadLine): boolean {
  return unit !== 'ms p99';
}

function lineOf(lines: readonly LoadLine[], scenario: string, contender: string): LoadLine | undefined {
  return lines.find((line) => line.scenario === scenario && line.contender === contender);
}
