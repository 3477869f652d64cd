// What the admin port makes metrics of, by hand: a table of Routes and what workers have counted of them.

import { type EndpointsShown, type TalliedTable, tallyTable } from '../../src/admin/tallied-table.ts';
import type { Change } from '../../src/table/delta.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import type { SeriesSnapshot } from '../../src/telemetry/metrics.ts';
import { Column, emptyRow } from '../../src/telemetry/tally-row.ts';
import { Exposition } from './exposition.ts';

/** A row with these columns. */
export function rowWith(columns: Partial<Record<keyof typeof Column, number>>): number[] {
  const row = emptyRow();
  for (const [name, value] of Object.entries(columns)) row[Column[name as keyof typeof Column]] = value;
  return row;
}

/** The table with what has been counted. All Endpoints are shown unless it is said otherwise. */
export function tallied(
  changes: readonly Change[],
  rows: Readonly<Record<string, number[]>>,
  {
    series = [],
    shows = () => 'all',
  }: { series?: readonly SeriesSnapshot[]; shows?: ((endpoints: number) => EndpointsShown) | null } = {},
): TalliedTable {
  const table = new RouteTable();
  table.load(changes);
  const work = tallyTable({ series, rows: new Map(Object.entries(rows)) }, table, shows);
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** The text that these pieces make, as a strict scraper reads it. */
export function read(pieces: Iterable<string>): Exposition {
  return new Exposition([...pieces].join(''));
}
