// `headgate explain`: asks the running router what a request would get, and why.

import { parseArgs } from 'node:util';
import type { Explanation } from '../admin/explain.ts';
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
  const target = positionals[0];
  const output = values.output ?? 'text';
  if (target === undefined || positionals.length > 1 || (output !== 'text' && output !== 'json')) {
    process.stderr.write(usage);
    return 2;
  }
  const listening = /:(\d+)$/.exec(process.env['ROUTER_LISTEN_ADDR'] ?? '')?.[1];
  const port = values['admin-port'] ?? listening ?? (process.env['STATS_PORT'] || '1936');
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
