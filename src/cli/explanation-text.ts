// What `headgate explain` prints: a line for each thing that a request meets, in the order in which it meets them.

import type { ExplainedService, Explanation } from '../admin/explain.ts';
import type { ExplainedRule } from '../admin/explained-rule.ts';

/** Characters of a header action that are shown. */
const maxShown = 160;

/** The explanation for people, with a line end behind each line. */
export function explanationText(answer: Explanation): string {
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
    lines.push(...describeOptions(rule));
  }
  for (const service of answer.services) lines.push(`service    ${describeService(service)}`);
  lines.push(`answer     ${answer.answer}`);
  for (const warning of answer.warnings) lines.push(`warning    ${warning}`);
  for (const { host, route, path, outcome } of answer.candidates) {
    lines.push(`candidate  ${route} (${host}${path}): ${outcome}`);
  }
  return `${lines.join('\n')}\n`;
}

/** What a Route asks for that not every Route does; how it is balanced in any case. */
function describeOptions(rule: ExplainedRule): string[] {
  const { allowedSources, cookie, rewrite, podVerification, hsts } = rule;
  const lines: string[] = [];
  if (allowedSources !== null) lines.push(`sources    ${allowedSources.join(' ') || 'nobody'}`);
  const limits = [...rateLimits(rule), ...named('with each pod at a time', rule.podConnections, '')];
  if (limits.length > 0) lines.push(`limits     ${limits.join(', ')}`);
  lines.push(`balance    ${rule.balance}, ${cookie === null ? 'no cookie' : `cookie ${cookie}`}`);
  const timeouts = [
    ...named('pod', rule.serverTimeoutMs, ' ms'),
    ...named('tunnel', rule.tunnelTimeoutMs, ' ms'),
    ...named('between checks', rule.checkIntervalMs, ' ms'),
  ];
  if (timeouts.length > 0) lines.push(`times      ${timeouts.join(', ')}`);
  if (rewrite !== null) lines.push(`rewrite    ${rewrite.prefix || '/'} to ${rewrite.target}`);
  if (rule.forwardedHeaders !== 'append') lines.push(`forwarded  ${rule.forwardedHeaders}`);
  if (rule.proxyProtocol !== 'none') lines.push(`proxy      header ${rule.proxyProtocol} to the pods`);
  if (rule.adjustsCase) lines.push('to pods    names of fields in the spellings of the router');
  for (const action of rule.requestActions) lines.push(`to pods    ${shortened(action)}`);
  for (const action of rule.responseActions) lines.push(`to client  ${shortened(action)}`);
  if (hsts !== null) lines.push(`to client  Strict-Transport-Security: ${hsts}`);
  if (podVerification !== null) lines.push(`pods       verified by: ${podVerification}`);
  return lines;
}

function rateLimits({ rateLimit }: ExplainedRule): string[] {
  if (rateLimit === null) return [];
  const limits = [
    ...named('connections', rateLimit.connections, ''),
    ...named('new connections in 3 s', rateLimit.connectionRate, ''),
    ...named('requests in 10 s', rateLimit.requestRate, ''),
  ];
  return limits.map((limit) => `${limit} of each source`);
}

/** One text, or none where there is no value. */
function named(name: string, value: number | null, unit: string): string[] {
  return value === null ? [] : [`${name} ${value}${unit}`];
}

/** Values of header actions may have thousands of characters. */
function shortened(text: string): string {
  return text.length > maxShown ? `${text.slice(0, maxShown)}...` : text;
}

function describeService({ service, weight, share, endpoints, idled }: ExplainedService): string {
  const who = endpoints.length === 0 ? 'no ready endpoint' : endpoints.join(', ');
  const state = !idled ? '' : endpoints.length === 0 ? ' (idled)' : ' (idled: a connection wakes its pods)';
  return `${service}  weight ${weight}, ${(share * 100).toFixed(1)} % of the requests: ${who}${state}`;
}
