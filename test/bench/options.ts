// The bench's command line.

import { parseArgs } from 'node:util';

export type Options = {
  readonly rounds: number;
  /** Of each run. */
  readonly seconds: number;
  /** Names of scenarios; null: all. */
  readonly only: readonly string[] | null;
  /** Names of contenders; null: all. */
  readonly contenders: readonly string[] | null;
  readonly jsonFile: string | null;
  /** Whether docs/performance.* get what was measured. */
  readonly write: boolean;
  /** Time contenders although they answer differently. */
  readonly allowDifferences: boolean;
  /** Routes beside the measured ones in the load scenarios. */
  readonly otherRoutes: number;
  /** How many Routes `start`, `change` and `kill` work with. */
  readonly routes: number;
  readonly starts: number;
  readonly changes: number;
  readonly largeChanges: number;
  readonly kills: number;
  /** How many connections `idle` opens, at most. */
  readonly idleConnections: number;
};

export const USAGE = `usage: npm run bench -- [flags]
  --only NAMES          scenarios, separated by commas; load and figures name all of either kind (default: all)
  --contenders NAMES    contenders, separated by commas (default: all)
  --rounds N            rounds of the load scenarios (default 5)
  --seconds S           length of each run (default 4)
  --allow-differences   time contenders although they answer differently
  --other-routes N      Routes beside the measured ones under load (default 86: 100 in all, a small cluster)
  --routes N            Routes in start, change and kill (default 10000)
  --starts N            starts (default 3)
  --changes N           changes of a small file (default 1000)
  --large-changes N     changes of the file with all Routes (default 50)
  --kills N             workers killed (default 5)
  --idle-connections N  connections in idle (default 10000; fewer where a router may not open as many files)
  --json FILE           write everything measured to FILE
  --write               put what was measured into docs/performance.md, .json and .svg
  --help                this text
`;

/** Reads the arguments. `help` when they ask for it; throws a TypeError that says what is wrong with them. */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      contenders: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      'allow-differences': { type: 'boolean', default: false },
      'other-routes': { type: 'string', default: '86' },
      routes: { type: 'string', default: '10000' },
      starts: { type: 'string', default: '3' },
      changes: { type: 'string', default: '1000' },
      'large-changes': { type: 'string', default: '50' },
      kills: { type: 'string', default: '5' },
      'idle-connections': { type: 'string', default: '10000' },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    rounds: positive('rounds', values.rounds),
    seconds: positive('seconds', values.seconds),
    only: values.only?.split(',') ?? null,
    contenders: values.contenders?.split(',') ?? null,
    jsonFile: values.json ?? null,
    write: values.write,
    allowDifferences: values['allow-differences'],
    otherRoutes: positive('other-routes', values['other-routes']),
    routes: positive('routes', values.routes),
    starts: positive('starts', values.starts),
    changes: positive('changes', values.changes),
    largeChanges: positive('large-changes', values['large-changes']),
    kills: positive('kills', values.kills),
    idleConnections: positive('idle-connections', values['idle-connections']),
  };
}

/** Those of `all` that `names` lists; all of them for null. */
export function selected<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[] | null,
): readonly T[] {
  return names === null ? all : all.filter(({ name }) => names.includes(name));
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new TypeError(`--${flag} ${text}: a whole number from 1 is expected`);
  return value;
}
