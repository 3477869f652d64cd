// Who a client certificate names, in the spelling of HAProxy's X-SSL headers: just enough DER (RFC 5280 4.1) for the fields
// that Node does not expose as they stand in the certificate. The bytes come from a stranger, even where an authority signed.

import { isValueChar } from './http-syntax.ts';

/** What a certificate says of itself. Every text is fit for a header value: other characters have become `?`. */
export type ClientIdentity = {
  /** The X.509 version: 1 to 3. */
  readonly version: number;
  /** Hexadecimal, upper case, two digits a byte, without sign byte. */
  readonly serial: string;
  /** `/C=DE/CN=name`, in the order of the certificate, nothing escaped. */
  readonly issuer: string;
  readonly subject: string;
  /** The first common name of the subject; empty where it has none. */
  readonly commonName: string;
  /** `YYMMDDhhmmssZ`. */
  readonly notBefore: string;
  readonly notAfter: string;
};

/** `start` to `end` is the content. */
type Element = { readonly tag: number; readonly start: number; readonly end: number };

/** Larger ones would burst the heads that carry them; real ones have one or two kilobytes. */
const maxCertificateBytes = 8_192;

const INTEGER = 0x02;
const OBJECT_IDENTIFIER = 0x06;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;
const VERSION = 0xa0;

/** OpenSSL's short names of what subjects are made of; anything else is told by its number. */
const shortNames: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'street'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.12', 'title'],
  ['2.5.4.13', 'description'],
  ['2.5.4.17', 'postalCode'],
  ['2.5.4.41', 'name'],
  ['2.5.4.42', 'GN'],
  ['2.5.4.43', 'initials'],
  ['2.5.4.44', 'generationQualifier'],
  ['2.5.4.45', 'x500UniqueIdentifier'],
  ['2.5.4.46', 'dnQualifier'],
  ['2.5.4.65', 'pseudonym'],
  ['2.5.4.97', 'organizationIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
]);

/** Reads the DER of a certificate; null where it is malformed or larger than 8 kB. */
export function readClientIdentity(der: Buffer): ClientIdentity | null {
  if (der.length > maxCertificateBytes) return null;
  const certificate = elementAt(der, 0, der.length);
  const signed = certificate === null ? null : elementAt(der, certificate.start, certificate.end);
  if (signed?.tag !== SEQUENCE) return null;
  const parts = childrenOf(der, signed);
  const hasVersion = parts[0]?.tag === VERSION;
  const [serial, , issuer, validity, subject] = parts.slice(hasVersion ? 1 : 0);
  const version = hasVersion && parts[0] !== undefined ? versionOf(der, parts[0]) : 1;
  if (serial?.tag !== INTEGER || issuer?.tag !== SEQUENCE || validity?.tag !== SEQUENCE || subject?.tag !== SEQUENCE) {
    return null;
  }
  const [notBefore, notAfter] = childrenOf(der, validity);
  const subjectParts = nameParts(der, subject);
  const issuerParts = nameParts(der, issuer);
  if (version === null || notBefore === undefined || notAfter === undefined) return null;
  if (subjectParts === null || issuerParts === null) return null;
  return {
    version,
    serial: serialOf(der, serial),
    issuer: oneLine(issuerParts),
    subject: oneLine(subjectParts),
    commonName: subjectParts.find(({ name }) => name === 'CN')?.value ?? '',
    notBefore: timeOf(der, notBefore),
    notAfter: timeOf(der, notAfter),
  };
}

function versionOf(der: Buffer, wrapped: Element): number | null {
  const number = elementAt(der, wrapped.start, wrapped.end);
  return number?.tag === INTEGER && number.end - number.start === 1 ? der.readUInt8(number.start) + 1 : null;
}

function serialOf(der: Buffer, { start, end }: Element): string {
  const signByte = end - start > 1 && der[start] === 0 ? 1 : 0;
  return der.toString('hex', start + signByte, end).toUpperCase();
}

function timeOf(der: Buffer, { tag, start, end }: Element): string {
  const text = headerText(der.toString('latin1', start, end));
  if (tag === GENERALIZED_TIME) return text.slice(2);
  return tag === UTC_TIME ? text : '';
}

type NamePart = { readonly name: string; readonly value: string };

/** RFC 5280 4.1.2.4: a sequence of sets of pairs of an identifier and a string. */
function nameParts(der: Buffer, sequence: Element): NamePart[] | null {
  const parts: NamePart[] = [];
  for (const set of childrenOf(der, sequence)) {
    if (set.tag !== SET) return null;
    for (const pair of childrenOf(der, set)) {
      const [type, value] = childrenOf(der, pair);
      if (type?.tag !== OBJECT_IDENTIFIER || value === undefined) return null;
      const dotted = dottedOf(der, type);
      const text = headerText(der.toString('latin1', value.start, value.end));
      parts.push({ name: shortNames.get(dotted) ?? dotted, value: text });
    }
  }
  return parts;
}

function oneLine(parts: readonly NamePart[]): string {
  return parts.map(({ name, value }) => `/${name}=${value}`).join('');
}

/** X.690 8.19: base 128, the first two numbers in one. */
function dottedOf(der: Buffer, { start, end }: Element): string {
  const numbers: number[] = [];
  let number = 0;
  for (let at = start; at < end; at++) {
    const byte = der.readUInt8(at);
    number = number * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (numbers.length === 0) {
      const first = Math.min(2, Math.floor(number / 40));
      numbers.push(first, number - first * 40);
    } else {
      numbers.push(number);
    }
    number = 0;
  }
  return numbers.join('.');
}

/** What stands in a name goes into a header: a line break there would be a header of the certificate's own making. */
function headerText(text: string): string {
  let fit = '';
  for (let i = 0; i < text.length; i++) fit += isValueChar(text.charCodeAt(i)) ? text.charAt(i) : '?';
  return fit;
}

function childrenOf(der: Buffer, parent: Element): Element[] {
  const children: Element[] = [];
  for (let at = parent.start; at < parent.end; ) {
    const child = elementAt(der, at, parent.end);
    if (child === null) return [];
    children.push(child);
    at = child.end;
  }
  return children;
}

function elementAt(der: Buffer, at: number, limit: number): Element | null {
  if (at + 2 > limit) return null;
  const tag = der.readUInt8(at);
  let start = at + 2;
  let length = der.readUInt8(at + 1);
  if (length >= 0x80) {
    const lengthBytes = length & 0x7f;
    // 0: the indefinite form of BER, which DER does not know.
    if (lengthBytes === 0 || lengthBytes > 3 || start + lengthBytes > limit) return null;
    length = der.readUIntBE(start, lengthBytes);
    start += lengthBytes;
  }
  const end = start + length;
  return end > limit ? null : { tag, start, end };
}
