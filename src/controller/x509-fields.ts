// The parts of a certificate that Node does not expose: just enough DER for names and key identifiers (RFC 5280 section 4.1).

import { type DerElement, derChildren, derElementAt, SEQUENCE } from './der.ts';

/** The parts of a certificate that Node does not expose. */
export type SignedPart = {
  /** Version 1 has no extensions, hence no way to say that it is an authority. */
  readonly version1: boolean;
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly authorityKeyId: Buffer | null;
  readonly subjectKeyId: Buffer | null;
};

const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const OCTET_STRING = 0x04;
const KEY_IDENTIFIER = 0x80;
const FULL_NAME = 0xa0;
const URI = 0x86;
const authorityKeyIdOid: Buffer = Buffer.from('0603551d23', 'hex');
const subjectKeyIdOid: Buffer = Buffer.from('0603551d0e', 'hex');
const crlPointsOid: Buffer = Buffer.from('0603551d1f', 'hex');

/** Reads a certificate's DER; null where it is not what RFC 5280 4.1 says. */
export function signedPartOf(der: Buffer): SignedPart | null {
  const certificate = derElementAt(der, 0, der.length);
  const signed = certificate && derElementAt(der, certificate.body, certificate.end);
  if (signed?.tag !== SEQUENCE) return null;
  const parts = derChildren(der, signed);
  const version1 = parts[0]?.tag !== VERSION;
  // After the version: serial number, signature algorithm, issuer, validity, subject.
  const issuer = parts[version1 ? 2 : 3];
  const subject = parts[version1 ? 4 : 5];
  if (issuer === undefined || subject === undefined) return null;
  const extensions = parts.find((part) => part.tag === EXTENSIONS);
  const list = extensions && derElementAt(der, extensions.body, extensions.end);
  const authorityKey = list && extensionValue(der, list, authorityKeyIdOid);
  const subjectKey = list && extensionValue(der, list, subjectKeyIdOid);
  const keyIdentifier = authorityKey && derChildren(der, authorityKey).find((part) => part.tag === KEY_IDENTIFIER);
  return {
    version1,
    issuer: der.subarray(issuer.start, issuer.end),
    subject: der.subarray(subject.start, subject.end),
    authorityKeyId: keyIdentifier ? der.subarray(keyIdentifier.body, keyIdentifier.end) : null,
    subjectKeyId: subjectKey ? der.subarray(subjectKey.body, subjectKey.end) : null,
  };
}

/** The addresses at which a certificate says that revocation lists of its issuer are (RFC 5280 4.2.1.13), whatever their scheme. */
export function crlAddressesOf(der: Buffer): string[] {
  const certificate = derElementAt(der, 0, der.length);
  const signed = certificate && derElementAt(der, certificate.body, certificate.end);
  const extensions = signed && derChildren(der, signed).find((part) => part.tag === EXTENSIONS);
  const list = extensions && derElementAt(der, extensions.body, extensions.end);
  const points = list && extensionValue(der, list, crlPointsOid);
  if (!points) return [];
  // DistributionPoint: [0] name: [0] full name: names, of which those are of use that are [6] URIs.
  return derChildren(der, points)
    .flatMap((point) => derChildren(der, point).filter(({ tag }) => tag === FULL_NAME))
    .flatMap((name) => derChildren(der, name).filter(({ tag }) => tag === FULL_NAME))
    .flatMap((fullName) => derChildren(der, fullName).filter(({ tag }) => tag === URI))
    .map((uri) => der.toString('latin1', uri.body, uri.end));
}

// The element inside the octet string that ends an extension.
function extensionValue(der: Buffer, list: DerElement, oid: Buffer): DerElement | null {
  for (const extension of derChildren(der, list)) {
    if (!der.subarray(extension.body, extension.body + oid.length).equals(oid)) continue;
    const value = derChildren(der, extension).at(-1);
    return value?.tag === OCTET_STRING ? derElementAt(der, value.body, value.end) : null;
  }
  return null;
}
