// docs/performance.json: the newest lines of every scenario. A scenario can be measured again without the others, and each line
// says under which circumstances it was measured.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { FigureLine, LoadLine, OwnLine } from './lines.ts';

const FILE = new URL('../../docs/performance.json', import.meta.url);

/** When, on what machine, with which versions and how long, as a sentence without its full stop. */
export type Circumstances = { readonly measured: string };

export type PerformanceRecord = {
  readonly load: readonly (LoadLine & Circumstances)[];
  readonly own: readonly (OwnLine & Circumstances)[];
  readonly figures: readonly (FigureLine & Circumstances)[];
};

/** What is kept. Nothing where there is no file yet. */
export function readRecord(): PerformanceRecord {
  return existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : { load: [], own: [], figures: [] };
}

/** One line of text for each line of a table, so that differences can be read. */
export function writeRecord({ load, own, figures }: PerformanceRecord): void {
  const list = (lines: readonly unknown[]): string =>
    lines.map((line) => `\n    ${JSON.stringify(line, exactEnough)}`).join();
  const parts = Object.entries({ load, own, figures }).map(([name, lines]) => `  "${name}": [${list(lines)}\n  ]`);
  writeFileSync(FILE, `{\n${parts.join(',\n')}\n}\n`);
}

/** `newer` and what it says nothing of, in the order of `scenarios`. Scenarios that are not among them are dropped. */
export function mergeRecords(
  older: PerformanceRecord,
  newer: PerformanceRecord,
  scenarios: readonly string[],
): PerformanceRecord {
  return {
    load: mergeLines(older.load, newer.load, scenarios),
    own: mergeLines(older.own, newer.own, scenarios),
    figures: mergeLines(older.figures, newer.figures, scenarios),
  };
}

function mergeLines<Line extends { readonly scenario: string }>(
  older: readonly Line[],
  newer: readonly Line[],
  scenarios: readonly string[],
): readonly Line[] {
  return scenarios.flatMap((name) => {
    const found = newer.filter(({ scenario }) => scenario === name);
    return found.length > 0 ? found : older.filter(({ scenario }) => scenario === name);
  });
}

/** Five digits say more than any measurement does. */
function exactEnough(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(5)) : value;
}
