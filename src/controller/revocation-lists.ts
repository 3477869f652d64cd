// Certificate revocation lists as PEM text (RFC 5280 section 5): cut out, checked for their form, and asked for the date of the
// next one. Who is on them, and whether their signature is good, OpenSSL finds out in each handshake.

import { type DerElement, derElementAt, SEQUENCE } from './der.ts';

/** One list after the other, each as a PEM text; or why one cannot be used. */
export type RevocationLists =
  | { readonly kind: 'valid'; readonly pems: readonly string[]; readonly nextUpdateMs: number | null }
  | { readonly kind: 'invalid'; readonly pems: readonly string[]; readonly problem: string };

const beginMark = '-----BEGIN X509 CRL-----';
const endMark = '-----END X509 CRL-----';
/** Lists of public CAs have some megabytes at most; those of one's own CA a few kilobytes. */
const maxListsBytes = 16_777_216;
const maxLists = 64;

const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const BIT_STRING = 0x03;

/**
 * The lists in a PEM text; other blocks are left aside. `nextUpdateMs`: the earliest date by which one of them promises to be
 * replaced, milliseconds since the epoch; null where none does.
 */
export function readRevocationLists(text: string): RevocationLists {
  const pems: string[] = [];
  let earliestMs: number | null = null;
  if (text.length > maxListsBytes) return invalid(`revocation lists are longer than ${maxListsBytes} bytes`);
  for (let at = text.indexOf(beginMark); at >= 0; at = text.indexOf(beginMark, at)) {
    const end = text.indexOf(endMark, at);
    if (end < 0) return invalid('a revocation list has no end');
    if (pems.length === maxLists) return invalid(`more than ${maxLists} revocation lists`);
    const base64 = text.slice(at + beginMark.length, end).replace(/\s+/g, '');
    const list = /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? readList(Buffer.from(base64, 'base64')) : null;
    if (list === null) return invalid('malformed revocation list');
    pems.push(pemOfList(Buffer.from(base64, 'base64')));
    if (list.nextUpdateMs !== null) earliestMs = Math.min(earliestMs ?? list.nextUpdateMs, list.nextUpdateMs);
    at = end;
  }
  return { kind: 'valid', pems, nextUpdateMs: earliestMs };
}

/** The PEM text of a list's DER. */
export function pemOfList(der: Buffer): string {
  return `${beginMark}\n${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n${endMark}\n`;
}

/** Whether bytes are a list by their form, and by when it is to be replaced; null where they are none. */
export function readList(der: Buffer): { readonly nextUpdateMs: number | null } | null {
  const list = derElementAt(der, 0, der.length);
  if (list?.tag !== SEQUENCE || list.end !== der.length) return null;
  const signed = derElementAt(der, list.body, list.end);
  const algorithm = signed && derElementAt(der, signed.end, list.end);
  const signature = algorithm && derElementAt(der, algorithm.end, list.end);
  if (signed?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE || signature?.tag !== BIT_STRING) return null;
  // Version (there from version 2 on), signature algorithm, issuer, this update, next update (may be absent).
  const parts: DerElement[] = [];
  for (let at = signed.body; at < signed.end && parts.length < 5; ) {
    const part = derElementAt(der, at, signed.end);
    if (part === null) return null;
    parts.push(part);
    at = part.end;
  }
  if (parts[0]?.tag === INTEGER) parts.shift();
  const [, issuer, thisUpdate, nextUpdate] = parts;
  if (issuer?.tag !== SEQUENCE || thisUpdate === undefined || timeMs(der, thisUpdate) === null) return null;
  return { nextUpdateMs: nextUpdate === undefined ? null : timeMs(der, nextUpdate) };
}

/** RFC 5280 4.1.2.5: two digits of the year stand for 1950 to 2049. */
function timeMs(der: Buffer, { tag, body, end }: DerElement): number | null {
  if (tag !== UTC_TIME && tag !== GENERALIZED_TIME) return null;
  const text = der.toString('latin1', body, end);
  const full = tag === GENERALIZED_TIME ? text : `${text < '5' ? '20' : '19'}${text}`;
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full) ?? [];
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? null : ms;
}

function invalid(problem: string): RevocationLists {
  return { kind: 'invalid', pems: [], problem };
}
