// Reads a page that takes the place of one of the router's own: HTML, or a whole HTTP response as HAProxy's error files are.

import type { ErrorPage } from '../table/entries.ts';

/** A page is held in memory by every worker, and a mounted ConfigMap has no more than four times as much. */
const maxBytes = 262_144;

/** A page, or a sentence without its subject that says why it is none. */
export type ErrorPageReading =
  | { readonly kind: 'page'; readonly page: ErrorPage }
  | { readonly kind: 'malformed'; readonly problem: string };

const htmlLines =
  'Pragma: no-cache\r\nCache-Control: private, max-age=0, no-cache, no-store\r\nContent-Type: text/html; charset=utf-8\r\n';

/** What belongs to one connection and one message: the router says that itself. */
const framingFields: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** HTML, in UTF-8, that is sent with the status of the answer. `text`: one character a byte, as below. */
export function readHtmlPage(text: string): ErrorPageReading {
  const problem = text === '' ? 'is empty' : sizeProblem(text);
  if (problem !== null) return { kind: 'malformed', problem };
  return { kind: 'page', page: { statusText: '', lines: htmlLines, body: text } };
}

/**
 * A whole response: status line, field lines, an empty line, the body. Lines may end with LF alone, as they do in most such
 * files. What delimits the body in there counts for nothing.
 */
export function readRawPage(text: string): ErrorPageReading {
  const problem = sizeProblem(text);
  if (problem !== null) return { kind: 'malformed', problem };
  const headEnd = /\r?\n\r?\n/.exec(text);
  if (headEnd === null) return { kind: 'malformed', problem: 'has no empty line behind its head' };
  const [statusLine = '', ...fields] = text.slice(0, headEnd.index).split(/\r?\n/);
  const statusText = /^HTTP\/\d(?:\.\d)? ([2-5]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?)$/.exec(statusLine)?.[1];
  if (statusText === undefined)
    return { kind: 'malformed', problem: 'does not begin with the status line of an answer' };
  const status = statusText.slice(0, 3);
  if (status === '204' || status === '205' || status === '304') {
    return { kind: 'malformed', problem: `has the status ${status}, which has no body` };
  }
  let lines = '';
  for (const field of fields) {
    const [, name = '', value = ''] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(field) ?? [];
    if (name === '')
      return { kind: 'malformed', problem: `has a header line that is none: ${JSON.stringify(field.slice(0, 80))}` };
    if (!framingFields.has(name.toLowerCase())) lines += `${name}: ${value.trimEnd()}\r\n`;
  }
  // The space stays where there is no phrase (RFC 9112 4).
  const page = {
    statusText: statusText.length === 3 ? `${statusText} ` : statusText,
    lines,
    body: text.slice(headEnd.index + headEnd[0].length),
  };
  return { kind: 'page', page };
}

function sizeProblem(text: string): string | null {
  return text.length > maxBytes ? `has more than ${maxBytes} bytes` : null;
}
