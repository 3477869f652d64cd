// Content codings (RFC 9110 8.4): which of those on offer a client wants, which answers may be coded on their way, and what
// their heads say then. The coding itself is done elsewhere.

import { listElements } from './http-syntax.ts';
import type { ResponseHead } from './response-head.ts';

/** A coding that can be applied here, by its registered name. */
export type Coding = 'gzip' | 'br' | 'zstd';

/** What gzip adds to whatever it is given: a shorter answer cannot become shorter. */
const minBytes = 20;

/** Fields that say something of the very bytes of the content, which would no longer be true. */
const boundToBytes = ['content-range', 'content-digest', 'repr-digest', 'digest', 'content-md5'];

const qPattern = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;
const tagPattern = /(?:W\/)?"[^"]*"/g;
const strongTag = /^"[\x21\x23-\x7e\x80-\xff]*"$/;

/**
 * The coding that a client wants most by its Accept-Encoding (RFC 9110 12.5.3): of equal ones the first that is on offer,
 * and none where it would rather have the content as it is. An element that is malformed counts for nothing.
 */
export function wantedCoding(acceptEncoding: string, offered: readonly Coding[]): Coding | null {
  if (acceptEncoding === '') return null;
  const weights = new Map<string, number>();
  for (const element of listElements(acceptEncoding)) {
    const [named = '', ...parameters] = element.split(';').map((part) => part.trim());
    const name = named === 'x-gzip' ? 'gzip' : named;
    const weight = weightOf(parameters);
    if (weight >= 0 && !weights.has(name)) weights.set(name, weight);
  }
  const others = weights.get('*') ?? 0;
  let wanted: Coding | null = null;
  let most = weights.get('identity') ?? 0;
  for (const coding of offered) {
    const weight = weights.get(coding) ?? others;
    // What is wanted as much as no coding at all is coded.
    if (weight > 0 && (weight > most || (wanted === null && weight === most))) {
      wanted = coding;
      most = weight;
    }
  }
  return wanted;
}

/** 0 to 1, or -1 for nonsense. */
function weightOf(parameters: readonly string[]): number {
  const [parameter, ...more] = parameters;
  if (parameter === undefined) return 1;
  const [name = '', value = ''] = parameter.split('=').map((part) => part.trim());
  return more.length === 0 && name === 'q' && qPattern.test(value) ? Number(value) : -1;
}

/**
 * Whether an answer is one that is coded for clients who want that: of one of the types, and of nothing in its head that
 * speaks against it (RFC 9110 7.7, RFC 9111 5.2.2.6). `types`: as `isOfType` takes them.
 */
export function isCodable(head: ResponseHead, types: readonly string[]): boolean {
  const { status } = head;
  if (status < 200 || (status >= 204 && status <= 206) || status === 304) return false;
  if (head.contentLength >= 0 && head.contentLength < minBytes) return false;
  if (!isOfType(head.values('content-type').toLowerCase(), types)) return false;
  const codings = head.values('content-encoding').toLowerCase();
  if (codings !== '' && codings !== 'identity') return false;
  if (forbidsChange(head.values('cache-control'))) return false;
  return boundToBytes.every((name) => head.values(name) === '');
}

/** Whether the value of a Cache-Control says that nobody may change the content. */
export function forbidsChange(cacheControl: string): boolean {
  return cacheControl !== '' && listElements(cacheControl).includes('no-transform');
}

/**
 * Whether a Content-Type, in lower case, is meant by one of the types. A type means all values that begin with it, as
 * HAProxy reads them, but whole words only: `text`, `text/` and `text/*` mean all text, `text/html` with any parameters.
 * Events are sent to be seen at once, and calls of gRPC have a compression of their own.
 */
export function isOfType(contentType: string, types: readonly string[]): boolean {
  if (contentType === '' || contentType.startsWith('text/event-stream') || contentType.startsWith('application/grpc')) {
    return false;
  }
  for (const type of types) {
    const stem = type.endsWith('*') ? type.slice(0, -1) : type;
    if (!contentType.startsWith(stem)) continue;
    const next = contentType[stem.length];
    if (stem.endsWith('/') || next === undefined || next === ';' || next === '/' || next === ' ' || next === '\t') {
      return true;
    }
  }
  return false;
}

/** The line that has caches ask what a client accepts before they answer it; none where the answer has it. */
export function varyLine(head: ResponseHead): string {
  const varies = listElements(head.values('vary'));
  return varies.includes('*') || varies.includes('accept-encoding') ? '' : 'Vary: Accept-Encoding\r\n';
}

/**
 * Takes out of a head what is not true of the coded content, and answers the lines that are. The content is another than
 * that of the pod's strong validator, which so becomes a weak one (RFC 9110 8.8.3.3).
 */
export function codedLines(head: ResponseHead, coding: Coding): string {
  let lines = `Content-Encoding: ${coding}\r\n${varyLine(head)}`;
  const tag = head.values('etag');
  head.dropFraming();
  head.drop('content-encoding');
  // A part of the content as it is would not fit to one of the coded content.
  head.drop('accept-ranges');
  if (!tag.startsWith('W/')) {
    head.drop('etag');
    if (strongTag.test(tag)) lines += `ETag: W/${tag}\r\n`;
  }
  return lines;
}

/**
 * What a 304 says in place of its strong validator, which it loses, to a client that has the coded content: the weak one that
 * came with it. By the strong one caches would find nothing to renew (RFC 9110 15.4.5, RFC 9111 4.3.4). Empty where the client
 * has the content as it is, or something else. `ifNoneMatch`: by what the client has asked.
 */
export function notModifiedLines(head: ResponseHead, ifNoneMatch: string): string {
  const tag = head.values('etag');
  if (!strongTag.test(tag)) return '';
  const asked: readonly string[] = ifNoneMatch.match(tagPattern) ?? [];
  if (!asked.includes(`W/${tag}`) || asked.includes(tag)) return '';
  head.drop('etag');
  return `ETag: W/${tag}\r\n${varyLine(head)}`;
}
