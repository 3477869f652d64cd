// `headgate explain`: asks the running router what a request would get, and why.

import { parseArgs } from 'node:util';
import type { Explanation } from '../admin/explain.ts';
import { quoted } from '../config/shown.ts';
import { readValue } from '../config/values.ts';
import { explanationText } from './explanation-text.ts';

const usage = `usage: headgate explain URL [--header NAME:VALUE ...] [--from ADDRESS] [--admin-port PORT] [-o json]

Asks the admin port of the router on this machine (default 1936, STATS_PORT) which TLS treatment, Route, services,
endpoints and answer a request for URL would get, and why the other candidates lost.
`;

/** Answers the exit code: 0 explained, 2 wrong usage, 3 no router to ask. */
export async function explainCommand(args: readonly string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    process.stderr.write(`headgate explain: ${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return 2;
  }
  const { values, positionals } = parsed;
  if (values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const output = values.output ?? 'text';
  const listening = /:(\d+)$/.exec(process.env['ROUTER_LISTEN_ADDR'] ?? '')?.[1];
  const port = values['admin-port'] ?? listening ?? (process.env['STATS_PORT'] || '1936');
  const portName = values['admin-port'] === undefined ? 'STATS_PORT' : '--admin-port';
  const [target] = positionals;
  const reading = readValue({ kind: 'integer', noun: 'a port', min: 1, max: 65535 }, port, 'strict');
  const problems: string[] = [];
  if (positionals.length !== 1) problems.push(`one URL is asked for, not ${positionals.length}`);
  if (reading.kind === 'problem') problems.push(`${portName}: ${reading.because}`);
  if (output !== 'text' && output !== 'json') problems.push(`--output: ${quoted(output)} is not text or json`);
  for (const header of values.header ?? []) {
    if (!header.includes(':')) problems.push(`--header: ${quoted(header)} is not NAME:VALUE`);
  }
  if (target === undefined || problems.length > 0) {
    for (const problem of problems) process.stderr.write(`headgate explain: ${problem}\n`);
    process.stderr.write(usage);
    return 2;
  }
  const query = new URLSearchParams({ url: target });
  for (const header of values.header ?? []) query.append('header', header);
  if (values.from !== undefined) query.set('from', values.from);
  let response: Response;
  try {
    response = await fetch(`http://127.0.0.1:${port}/debug/explain?${query}`);
  } catch {
    process.stderr.write(
      `headgate explain: no router answers on 127.0.0.1:${port}. Start one (headgate serve), or name its admin port with --admin-port.\n`,
    );
    return 3;
  }
  const text = await response.text();
  if (!response.headers.get('content-type')?.startsWith('application/json')) {
    process.stderr.write(`headgate explain: the admin port answered ${response.status}: ${text}`);
    return 3;
  }
  const answer: Explanation | { readonly problem: string } = JSON.parse(text);
  if ('problem' in answer) {
    process.stderr.write(`headgate explain: ${answer.problem}\n`);
    return 2;
  }
  process.stdout.write(output === 'json' ? text : explanationText(answer));
  return 0;
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      header: { type: 'string', multiple: true, short: 'H' },
      from: { type: 'string' },
      'admin-port': { type: 'string' },
      output: { type: 'string', short: 'o' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
