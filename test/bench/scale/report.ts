// What was measured against what was promised: as a table for people, and as a section of docs/performance.md.

import { availableParallelism, cpus, release } from 'node:os';
import { markdownTable, writeSection } from '../page.ts';
import { alignedTable } from '../report.ts';
import { median } from '../statistics.ts';
import type { Options } from './options.ts';

/** One line of the result. */
export type Row = {
  readonly name: string;
  /** One for each time that it was measured. The median counts. */
  readonly values: readonly number[];
  readonly unit: 'ms' | 's' | 'MB' | '%' | 'count';
  /** Null: for information. */
  readonly target: { readonly at: 'most' | 'least'; readonly value: number } | null;
};

const digits: Readonly<Record<Row['unit'], number>> = { ms: 1, s: 2, MB: 0, '%': 2, count: 0 };

export function isMet({ values, target }: Row): boolean {
  if (target === null) return true;
  return target.at === 'most' ? median(values) <= target.value : median(values) >= target.value;
}

export function table(rows: readonly Row[]): string {
  return alignedTable(['figure', 'value', 'target', ''], rows.map(cellsOf));
}

/** Puts the figures into docs/performance.md. */
export function writePage(rows: readonly Row[], options: Options): void {
  writeSection('scale', section(rows, options));
}

function section(rows: readonly Row[], options: Options): string {
  const { routes, services, endpointsPerService, workers, churn, changes, starts } = options;
  return `${count(routes)} Routes with a certificate each (P-256), ${count(services)} Services, ${count(services * endpointsPerService)} endpoints,
${workers} workers; ${starts} starts, ${count(changes)} changed Routes while ${churn} EndpointSlices change in a second. Measured on
${new Date().toISOString().slice(0, 10)} with Node ${process.version.slice(1)}, Linux ${release()}, ${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown CPU'},
which the API server, the pods and the clients share with the router.

${markdownTable(['figure', 'value', 'target', ''], 'lrrl', rows.map(cellsOf))}`;
}

function cellsOf(row: Row): string[] {
  const { name, values, unit, target } = row;
  const shown = (value: number): string => {
    const text = count(value, digits[unit]);
    return unit === 'count' ? text : `${text} ${unit}`;
  };
  const spread = values.length > 1 ? ` (${shown(Math.min(...values))} to ${shown(Math.max(...values))})` : '';
  if (target === null) return [name, `${shown(median(values))}${spread}`, '', ''];
  const bound = `at ${target.at} ${shown(target.value)}`;
  return [name, `${shown(median(values))}${spread}`, bound, isMet(row) ? 'met' : 'not met'];
}

function count(value: number, places: number = 0): string {
  return value.toLocaleString('en', { minimumFractionDigits: places, maximumFractionDigits: places });
}
