// Pages of an operator's own in place of the router's (Route semantics 5.17): which one an answer gets, and how it is written.

import type { ErrorPage } from '../table/entries.ts';
import { type AnswerReason, explanationOf, phraseOf } from './answers.ts';

/** The page for a reason, else for the status; null where there is none. */
export function pageFor(pages: ReadonlyMap<string, ErrorPage>, status: number, reason: AnswerReason): ErrorPage | null {
  if (pages.size === 0) return null;
  return pages.get(reason) ?? pages.get(String(status)) ?? null;
}

/** The status that is sent with a page: its own, if it says one. `status`: what it would be without the page. */
export function statusOf(page: ErrorPage, status: number): number {
  return page.statusText === '' ? status : Number(page.statusText.slice(0, 3));
}

/** One answer with such a page, ready to be written. `closes` and `lines` as with the router's own. */
export function renderPage(
  page: ErrorPage,
  status: number,
  reason: AnswerReason,
  head: boolean,
  closes: boolean,
  lines: string,
): string {
  const isTemplate = page.statusText === '';
  const body = isTemplate ? filledIn(page.body, status, reason) : page.body;
  return (
    `HTTP/1.1 ${isTemplate ? `${status} ${phraseOf(status)}` : page.statusText}\r\n${page.lines}` +
    `Content-Length: ${body.length}\r\n${lines}${closes ? 'Connection: close\r\n' : ''}\r\n${head ? '' : body}`
  );
}

function filledIn(body: string, status: number, reason: AnswerReason): string {
  const values: Readonly<Record<string, string>> = {
    status: String(status),
    reason,
    explanation: explanationOf(reason),
  };
  return body.replaceAll(/\{\{(status|reason|explanation)\}\}/g, (_place, name: string) => escaped(values[name] ?? ''));
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
