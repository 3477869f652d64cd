// Certificates for tests: X.509 written byte by byte (RFC 5280 section 4.1) and signed by node:crypto, so that every date, hash
// and extension can be wrong on purpose. Keys are elliptic by default, which are made in less than a millisecond.

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

export type KeyType = 'ec' | 'rsa' | 'ed25519';
export type SignatureHash = 'sha256' | 'sha1' | 'md5';

/** Who can issue certificates. PEM, the key as PKCS #8. */
export type TestAuthority = {
  readonly name: string;
  readonly certificate: string;
  readonly key: string;
  readonly privateKey: KeyObject;
  readonly subjectKeyId: Buffer;
};

export type AuthorityOptions = {
  readonly name: string;
  /** Default `ec`. */
  readonly keyType?: KeyType;
  /** Default 2048. */
  readonly rsaBits?: number;
  /** Absent: a root that signs itself. */
  readonly issuer?: TestAuthority;
  readonly signatureHash?: SignatureHash;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** False: the certificate does not say that it is an authority. */
  readonly marked?: boolean;
  /** Where revocation lists of its issuer are said to be. */
  readonly crlUrl?: string;
};

/** A leaf with its key, PEM (the key as PKCS #8), and who signed it. */
export type TestCertificate = {
  readonly certificate: string;
  readonly key: string;
  readonly privateKey: KeyObject;
  readonly authority: TestAuthority;
};

export type CertificateOptions = {
  /** DNS names (wildcards too) and IP addresses; the first is also the common name. */
  readonly names: readonly string[];
  /** Default: one authority for the whole process; `self`: signed with its own key. */
  readonly issuer?: TestAuthority | 'self';
  /** Default `ec`. */
  readonly keyType?: KeyType;
  /** Default 2048. */
  readonly rsaBits?: number;
  /** Default: a day ago. */
  readonly notBefore?: Date;
  /** Default: in a year. */
  readonly notAfter?: Date;
  /** Default `sha256`. MD5 needs an issuer with an RSA key. */
  readonly signatureHash?: SignatureHash;
  /** True: for TLS clients only. Default: for TLS servers only. */
  readonly clientAuth?: boolean;
  /** Identifier and value of each part of the subject, in place of the first name as common name. */
  readonly subject?: readonly (readonly [string, string])[];
};

export type RevocationListOptions = {
  readonly issuer: TestAuthority;
  readonly revoked: readonly TestCertificate[];
  /** Default: a day ago. */
  readonly thisUpdate?: Date;
  /** Default: in a month. */
  readonly nextUpdate?: Date;
};

const dayMs = 86_400_000;

/** An authority: a root, or with an issuer one below it. */
export function makeAuthority(options: AuthorityOptions): TestAuthority {
  const { privateKey, publicKey } = makeKeys(options.keyType ?? 'ec', options.rsaBits ?? 2048);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const subjectKeyId = keyIdOf(spki);
  const issuer = options.issuer ?? { name: options.name, privateKey, subjectKeyId };
  const extensions = [
    ...(options.marked === false
      ? []
      : [extension('2.5.29.19', true, der(SEQUENCE, Buffer.from([0x01, 0x01, 0xff]))), keyUsage(0x06, 1)]),
    extension('2.5.29.14', false, der(OCTET_STRING, subjectKeyId)),
    extension('2.5.29.35', false, der(SEQUENCE, der(0x80, issuer.subjectKeyId))),
    ...(options.crlUrl === undefined ? [] : [distributionPoint(options.crlUrl)]),
  ];
  const subject = commonName(options.name);
  const certificate = signedCertificate({ ...options, subject, issuer, spki, extensions });
  return { name: options.name, certificate, key: pkcs8Of(privateKey), privateKey, subjectKeyId };
}

/** A leaf certificate and its key. */
export function makeCertificate(options: CertificateOptions): TestCertificate {
  const { privateKey, publicKey } = makeKeys(options.keyType ?? 'ec', options.rsaBits ?? 2048);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const subjectKeyId = keyIdOf(spki);
  const subject = options.names[0] ?? '';
  const issuer =
    options.issuer === 'self' ? { name: subject, privateKey, subjectKeyId } : (options.issuer ?? processAuthority());
  const usage = oid(options.clientAuth === true ? '1.3.6.1.5.5.7.3.2' : '1.3.6.1.5.5.7.3.1');
  const extensions = [
    extension('2.5.29.19', true, der(SEQUENCE)),
    keyUsage(0xa0, 5),
    extension('2.5.29.37', false, der(SEQUENCE, usage)),
    extension('2.5.29.17', false, der(SEQUENCE, ...options.names.map(alternativeName))),
    extension('2.5.29.14', false, der(OCTET_STRING, subjectKeyId)),
    extension('2.5.29.35', false, der(SEQUENCE, der(0x80, issuer.subjectKeyId))),
  ];
  const name = options.subject === undefined ? commonName(subject) : nameOf(options.subject);
  const certificate = signedCertificate({ ...options, subject: name, issuer, spki, extensions });
  const key = pkcs8Of(privateKey);
  const authority = 'certificate' in issuer ? issuer : { ...issuer, certificate, key };
  return { certificate, key, privateKey, authority };
}

/** A certificate revocation list (RFC 5280 5.1), PEM. */
export function makeRevocationList(options: RevocationListOptions): string {
  const { privateKey, name } = options.issuer;
  const algorithm = signatureAlgorithm(privateKey, 'sha256');
  const now = Date.now();
  const revoked = options.revoked.map(({ certificate }) => {
    const serial = Buffer.from(new X509Certificate(certificate).serialNumber, 'hex');
    return der(SEQUENCE, der(INTEGER, serial), time(new Date(now - dayMs)));
  });
  const toBeSigned = der(
    SEQUENCE,
    der(INTEGER, Buffer.from([1])),
    algorithm,
    commonName(name),
    time(options.thisUpdate ?? new Date(now - dayMs)),
    time(options.nextUpdate ?? new Date(now + 30 * dayMs)),
    ...(revoked.length === 0 ? [] : [der(SEQUENCE, ...revoked)]),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  return pemBlock('X509 CRL', der(SEQUENCE, toBeSigned, algorithm, der(BIT_STRING, Buffer.from([0]), signature)));
}

/** The authority that signs where a test names none. */
export function processAuthority(): TestAuthority {
  sharedAuthority ??= makeAuthority({ name: 'Headgate test authority' });
  return sharedAuthority;
}

let sharedAuthority: TestAuthority | null = null;

/** The PEM block that a text of DER bytes makes under a label. */
export function pemBlock(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines === '' ? '' : `${lines}\n`}-----END ${label}-----\n`;
}

/** The DER bytes of the first block of a PEM text. */
export function pemBytes(pem: string): Buffer {
  const body = /-----BEGIN [^-]+-----([^-]+)-----END /.exec(pem)?.[1] ?? '';
  return Buffer.from(body, 'base64');
}

type Signer = Pick<TestAuthority, 'name' | 'privateKey' | 'subjectKeyId'>;

type Draft = {
  readonly subject: Buffer;
  readonly issuer: Signer;
  readonly spki: Buffer;
  readonly extensions: readonly Buffer[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly signatureHash?: SignatureHash;
};

function signedCertificate(draft: Draft): string {
  const { privateKey } = draft.issuer;
  const digest = draft.signatureHash ?? 'sha256';
  const algorithm = signatureAlgorithm(privateKey, digest);
  const now = Date.now();
  const toBeSigned = der(
    SEQUENCE,
    der(0xa0, der(INTEGER, Buffer.from([2]))),
    // A leading 0x40 keeps the number positive and of one length.
    der(INTEGER, Buffer.concat([Buffer.from([0x40]), randomBytes(8)])),
    algorithm,
    commonName(draft.issuer.name),
    der(SEQUENCE, time(draft.notBefore ?? new Date(now - dayMs)), time(draft.notAfter ?? new Date(now + 365 * dayMs))),
    draft.subject,
    draft.spki,
    der(0xa3, der(SEQUENCE, ...draft.extensions)),
  );
  const signature = sign(privateKey.asymmetricKeyType === 'ed25519' ? null : digest, toBeSigned, privateKey);
  return pemBlock('CERTIFICATE', der(SEQUENCE, toBeSigned, algorithm, der(BIT_STRING, Buffer.from([0]), signature)));
}

function makeKeys(
  keyType: KeyType,
  rsaBits: number,
): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  if (keyType === 'rsa') return generateKeyPairSync('rsa', { modulusLength: rsaBits });
  if (keyType === 'ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

function pkcs8Of(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function keyIdOf(spki: Buffer): Buffer {
  return createHash('sha1').update(spki).digest();
}

const signatureOids: Readonly<Record<SignatureHash, { readonly rsa: string; readonly ec: string | null }>> = {
  sha256: { rsa: '1.2.840.113549.1.1.11', ec: '1.2.840.10045.4.3.2' },
  sha1: { rsa: '1.2.840.113549.1.1.5', ec: '1.2.840.10045.4.1' },
  md5: { rsa: '1.2.840.113549.1.1.4', ec: null },
};

function signatureAlgorithm(key: KeyObject, digest: SignatureHash): Buffer {
  if (key.asymmetricKeyType === 'ed25519') return der(SEQUENCE, oid('1.3.101.112'));
  const { rsa, ec } = signatureOids[digest];
  if (key.asymmetricKeyType === 'rsa') return der(SEQUENCE, oid(rsa), der(NULL));
  if (ec === null) throw new Error(`no ${digest} signature with an elliptic key`);
  return der(SEQUENCE, oid(ec));
}

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const NULL = 0x05;
const OID = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const length = body.length;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), body]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), body]);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(OID, Buffer.from(bytes));
}

function commonName(name: string): Buffer {
  return nameOf([['2.5.4.3', name]]);
}

function nameOf(parts: readonly (readonly [string, string])[]): Buffer {
  const sets = parts.map(([id, value]) => der(SET, der(SEQUENCE, oid(id), der(UTF8_STRING, Buffer.from(value)))));
  return der(SEQUENCE, ...sets);
}

/** RFC 5280 4.2.1.13: one point, its full name a URI. */
function distributionPoint(url: string): Buffer {
  const fullName = der(0xa0, der(0x86, Buffer.from(url)));
  return extension('2.5.29.31', false, der(SEQUENCE, der(SEQUENCE, der(0xa0, fullName))));
}

// RFC 5280 section 4.1.2.5: two digits of the year through 2049.
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\.\d+|[-:T]/g, '');
  return date.getUTCFullYear() < 2050
    ? der(UTC_TIME, Buffer.from(digits.slice(2)))
    : der(GENERALIZED_TIME, Buffer.from(digits));
}

function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  const critical = isCritical ? [Buffer.from([0x01, 0x01, 0xff])] : [];
  return der(SEQUENCE, oid(id), ...critical, der(OCTET_STRING, value));
}

function keyUsage(bits: number, unusedBits: number): Buffer {
  return extension('2.5.29.15', true, der(BIT_STRING, Buffer.from([unusedBits, bits])));
}

function alternativeName(name: string): Buffer {
  const family = isIP(name);
  if (family === 0) return der(0x82, Buffer.from(name));
  if (family === 4) return der(0x87, Buffer.from(name.split('.').map(Number)));
  return der(0x87, ipv6Bytes(name));
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...front, ...new Array<string>(8 - front.length - back.length).fill('0'), ...back];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
