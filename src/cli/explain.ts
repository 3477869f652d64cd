// `headgate explain`: asks the running router what a request would get, and why.

import { parseArgs } from 'node:util';
import type { ExplainedService, Explanation } from '../admin/explain.ts';

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
  process.stdout.write(output === 'json' ? text : describe(answer));
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

function describe(answer: Explanation): string {
  const { request, tls, rule } = answer;
  const lines = [
    `request    ${request.scheme}://${request.host}${request.path}   (table revision ${answer.revision})`,
    `tls        ${tls.treatment}${tls.certificate === null ? '' : `, certificate ${tls.certificate.slice(0, 16)}`}`,
    `match      ${answer.match}${answer.route === null ? '' : ` by Route ${answer.route}`}`,
  ];
  if (rule !== null) {
    lines.push(
      `rule       host ${rule.host}, path ${rule.path}, termination ${rule.termination}, insecure ${rule.insecurePolicy}`,
    );
    if (rule.clientAuth !== null) {
      const { demand, authority } = rule.clientAuth;
      lines.push(`clients    certificate ${demand}, authority ${authority.slice(0, 16)}`);
    }
    if (rule.allowedSources !== null) lines.push(`sources    ${rule.allowedSources.join(' ') || 'nobody'}`);
    const cookie = rule.cookie === null ? 'no cookie' : `cookie ${rule.cookie}`;
    lines.push(`balance    ${rule.balance}, ${cookie}`);
    if (rule.rewrite !== null) lines.push(`rewrite    ${rule.rewrite.prefix || '/'} to ${rule.rewrite.target}`);
    if (rule.podVerification !== null) lines.push(`pods       verified by: ${rule.podVerification}`);
  }
  for (const service of answer.services) lines.push(`service    ${describeService(service)}`);
  lines.push(`answer     ${answer.answer}`);
  for (const warning of answer.warnings) lines.push(`warning    ${warning}`);
  for (const { host, route, path, outcome } of answer.candidates) {
    lines.push(`candidate  ${route} (${host}${path}): ${outcome}`);
  }
  return `${lines.join('\n')}\n`;
}

function describeService({ service, weight, share, endpoints, idled }: ExplainedService): string {
  const who = endpoints.length === 0 ? 'no ready endpoint' : endpoints.join(', ');
  const state = !idled ? '' : endpoints.length === 0 ? ' (idled)' : ' (idled: a connection wakes its pods)';
  return `${service}  weight ${weight}, ${(share * 100).toFixed(1)} % of the requests: ${who}${state}`;
}
