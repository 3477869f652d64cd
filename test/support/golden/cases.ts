// Golden cases as data: what the reference was seen to do, or where Headgate differs on purpose, what Headgate does and the row
// of docs/compatibility.md that says so.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/compatibility.md'), 'utf8');

/** What the rows of its tables are about. */
const matters: readonly string[] = page
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.slice(2).split(' |')[0] ?? '');

/** One case, as a line of a table. `differs`: a row of docs/compatibility.md, or how only one of them begins. */
export type Row<Input> = readonly [name: string, input: Input, expected: string, differs?: string];

export type GoldenCase<Input> = {
  readonly name: string;
  readonly input: Input;
  /** What the reference does; with a difference, what Headgate does. */
  readonly expected: string;
};

/** Reads a table. Throws where a difference is one that docs/compatibility.md does not tell of. */
export function cases<Input>(rows: readonly Row<Input>[]): GoldenCase<Input>[] {
  return rows.map(([name, input, expected, differs]) => {
    if (differs !== undefined && !matters.includes(differs)) {
      const begun = matters.filter((matter) => matter.startsWith(differs)).length;
      if (begun !== 1) throw new Error(`docs/compatibility.md has ${begun} rows about ${JSON.stringify(differs)}`);
    }
    return { name, input, expected };
  });
}
