// The parts of docs/performance.md that are written by the benches: between two markers each, the rest is written by people.

import { readFileSync, writeFileSync } from 'node:fs';

const PAGE = new URL('../../docs/performance.md', import.meta.url);

/** Puts `text` between the markers `<!-- name:begin -->` and `<!-- name:end -->` of the page. Throws when it has none. */
export function writeSection(name: string, text: string): void {
  writeFileSync(PAGE, withSection(readFileSync(PAGE, 'utf8'), name, text));
}

/** The page with `text` between these markers instead of what was there. */
export function withSection(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${begin} and ${end}`);
  return `${page.slice(0, from)}${begin}\n\n${text}\n${page.slice(to)}`;
}

/** A table in Markdown. `alignments` has an `l` or `r` for each column. */
export function markdownTable(
  heads: readonly string[],
  alignments: string,
  rows: readonly (readonly string[])[],
): string {
  const marks = [...alignments].map((alignment) => (alignment === 'r' ? '---:' : '---'));
  return [heads, marks, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}
