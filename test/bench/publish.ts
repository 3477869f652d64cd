// Puts what was measured into docs/: the record, the section of the page, and the chart.

import { writeFileSync } from 'node:fs';
import { chart } from './chart.ts';
import type { FigureLine, LoadLine, OwnLine } from './lines.ts';
import { writeSection } from './page.ts';
import { barsOf, performanceSection } from './performance-page.ts';
import { type Circumstances, mergeRecords, readRecord, writeRecord } from './record.ts';

const CHART = new URL('../../docs/performance.svg', import.meta.url);

/** What one run measured. */
export type Lines = {
  readonly load: readonly LoadLine[];
  readonly own: readonly OwnLine[];
  readonly figures: readonly FigureLine[];
};

/**
 * What was measured earlier stays where this run says nothing of its scenario, or nothing that can be believed. `measured` is as in
 * Circumstances; `scenarios` are all, in the order of the tables.
 */
export function publish({ load, own, figures }: Lines, measured: string, scenarios: readonly string[]): void {
  const failed = new Set(load.filter(({ errors }) => errors > 0).map(({ scenario }) => scenario));
  const under = <Line extends { readonly scenario: string }>(
    lines: readonly Line[],
  ): readonly (Line & Circumstances)[] =>
    lines.filter(({ scenario }) => !failed.has(scenario)).map((line) => ({ ...line, measured }));
  const newer = {
    load: under(load),
    own: under(own.filter(({ against }) => !failed.has(against))),
    figures: under(figures.filter(({ values }) => values > 0)),
  };
  const record = mergeRecords(readRecord(), newer, scenarios);
  writeRecord(record);
  writeSection('bench', performanceSection(record));
  writeFileSync(CHART, chart(barsOf(record)));
}
