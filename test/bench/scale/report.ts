// What was measured against what was promised: as a table for people, and as a section of docs/performance.md.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
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

const begin = '<!-- scale:begin -->';
const end = '<!-- scale:end -->';
const page = new URL('../../../docs/performance.md', import.meta.url);

const digits: Readonly<Record<Row['unit'], number>> = { ms: 1, s: 2, MB: 0, '%': 2, count: 0 };

export function isMet({ values, target }: Row): boolean {
  if (target === null) return true;
  return target.at === 'most' ? median(values) <= target.value : median(values) >= target.value;
}

export function table(rows: readonly Row[]): string {
  return alignedTable(['figure', 'value', 'target', ''], rows.map(cellsOf));
}

/** Puts the figures into docs/performance.md, which is made if it is not there. */
export function writePage(rows: readonly Row[], options: Options): void {
  const text = existsSync(page) ? readFileSync(page, 'utf8') : introduction;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${begin} and ${end}`);
  writeFileSync(page, `${text.slice(0, from)}${begin}\n\n${section(rows, options)}\n${text.slice(to)}`);
}

function section(rows: readonly Row[], options: Options): string {
  const { routes, services, endpointsPerService, workers, churn, changes, starts } = options;
  const lines = rows.map((row) => `| ${cellsOf(row).join(' | ')} |\n`).join('');
  return `${count(routes)} Routes with a certificate each (P-256), ${count(services)} Services, ${count(services * endpointsPerService)} endpoints,
${workers} workers; ${starts} starts, ${count(changes)} changed Routes while ${churn} EndpointSlices change in a second. Measured on
${new Date().toISOString().slice(0, 10)} with Node ${process.version.slice(1)}, Linux ${release()}, ${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown CPU'},
which the API server, the pods and the clients share with the router.

| figure | value | target | |
|---|---:|---:|---|
${lines}`;
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

const introduction = `# Performance

What Headgate takes and gives with a large cluster, measured by the real command with its real processes.

## Scale

\`\`\`sh
npm run bench:scale              # about ten minutes; the exit code is 1 where a target is missed
npm run bench:scale -- --write   # puts the figures below into this page
npm run bench:scale -- --help    # smaller clusters, single figures
\`\`\`

The cluster is the API server of the tests, in a process of its own: real HTTPS, lists in pages, watches with bookmarks. Each endpoint has
an address of its own on loopback, behind which a pod answers.

| figure | what it is |
|---|---|
| first sync | from the launch of the process to its \`ready\` line: everything is read and checked, and all workers serve it |
| changed Route, by the API server's clock | from just before the API server stores the change to its storing of the status that says so. The router writes this status when the last worker has acknowledged the change, so the figure holds all of the way there and, on top, that of the status back. Nothing is polled. One change in ten is a new certificate, the others lead to another Service; they come 25 a second at random times |
| acknowledged within 50 ms | by the router's own \`headgate_propagation_seconds\`: from the event in the controller to the last ack. Changes of EndpointSlices are in it, too |
| resident, peak | \`VmRSS\` and \`VmHWM\` of \`/proc/PID/status\`: code that all processes share is counted in each; MB are 10^6 bytes |
| worker over its empty size | against a worker of a router without any Route; measured on a router that has just started. The target is for every host requested once. What more requests add is for information: a host may come to the worker that has not served it before, and it varies by 70 MB from run to run |
| idle | CPU time of all processes together as a share of one core, with nothing happening but bookmarks once a minute |
| longest stall | \`headgate_eventloop_delay_max_seconds\` since the start |

Not measured: a network between the router and the API server, RSA certificates (they take about twice the time to check), Secrets of
\`externalCertificate\`, more than one replica.

${begin}
${end}
`;
