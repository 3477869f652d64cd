// Reads and checks the PEM fields of one Route (Route semantics 2.3), the default certificate and CA bundles. Text in, a verdict
// and canonical PEM out: no file, no clock, no TLS context. Nothing that stood inside a PEM field ever gets into a message.

import { hash, type KeyObject, type X509Certificate } from 'node:crypto';
import type { RouteTls } from '../source/manifests.ts';
import type { Certificate, CertificateId } from '../table/entries.ts';
import {
  type Block,
  blockProblem,
  certificatesIn,
  isCertificate,
  isPrivateKey,
  noCertificate,
  type PemField,
  parseProblem,
  readPem,
  typesOf,
} from './pem.ts';
import { signedPartOf } from './x509-fields.ts';

/** The fields of `spec.tls` that are checked: those of a Secret stand in the place of the Route's own. */
export type TlsFields = Omit<RouteTls, 'externalCertificate'>;

/**
 * What the TLS part of a Route comes to.
 *
 * `valid`: `serving` is the leaf, its chain, then the caCertificate, with the key that fits the leaf (null: the Route has no
 * certificate of its own); `destination` holds the trust anchors towards the pods; `notAfterMs` is the leaf's expiry in
 * milliseconds since the epoch.
 * `invalid`: `message` is for the Route's status, several errors as `[a, b]`.
 */
export type CheckedTls =
  | {
      readonly kind: 'valid';
      readonly serving: Certificate | null;
      readonly destination: Certificate | null;
      readonly notAfterMs: number | null;
    }
  | { readonly kind: 'invalid'; readonly message: string };

/** A certificate that can be served, or why there is none. */
export type ServingCertificate =
  | { readonly kind: 'valid'; readonly certificate: Certificate; readonly notAfterMs: number | null }
  | { readonly kind: 'invalid'; readonly problem: string };

type KeyPair =
  | { readonly kind: 'fits'; readonly leaf: X509Certificate; readonly key: KeyObject }
  | { readonly kind: 'problem'; readonly problem: string };

// As in Go's crypto/x509.
const maxSignatureChecks = 100;
// OpenSSL loads no smaller one at Node's default security level; the owner should hear of it here, not the log later.
const minRsaBits = 2048;
const maxShownLength = 64;

const redacted = {
  certificate: 'redacted certificate data',
  key: 'redacted key data',
  caCertificate: 'redacted ca certificate data',
  destinationCACertificate: 'redacted destination ca certificate data',
} as const;

type PemFieldName = keyof typeof redacted;

const noPassthroughCertificates = 'passthrough termination does not support certificates';

/**
 * Checks the TLS part of a Route: the rules of Route semantics 2.3 in their order, with the reference router's messages.
 * Never throws. Work is bounded: 1 MiB and 512 blocks a field, 100 signature checks.
 */
export function checkTls(fields: TlsFields): CheckedTls {
  const errors: string[] = [];
  checkCombination(fields, errors);

  const authorities = fields.caCertificate === '' ? null : checkCaCertificate(fields.caCertificate, errors);
  const certificate = fields.certificate === '' ? null : readPem(fields.certificate);
  if (certificate !== null) {
    const problem = certificateProblem(certificate, authorities);
    if (problem !== null) errors.push(invalidPem('certificate', problem));
  }
  const key = readPem(fields.key);
  const keyProblem = blockProblem(key);
  if (keyProblem !== null) errors.push(invalidPem('key', keyProblem));

  const pair = certificate === null ? null : checkPair(certificate, key, errors);
  const destination =
    fields.destinationCaCertificate === '' ? null : checkDestinationCa(fields.destinationCaCertificate, errors);

  const chain = [...(certificate === null ? [] : certificatesIn(certificate)), ...(authorities ?? [])];
  if (pair !== null && errors.length === 0) {
    const problem = publicKeyProblem(chain);
    if (problem !== null) errors.push(invalidPem('certificate', problem));
  }
  if (errors.length > 0) return { kind: 'invalid', message: aggregate(errors) };
  return {
    kind: 'valid',
    serving: pair === null ? null : certificateOf(chain, pair.key),
    destination: destination === null ? null : certificateOf(destination, null),
    notAfterMs: pair === null ? null : expiryMsOf(pair.leaf),
  };
}

/** The certificates of a CA bundle, whatever else stands in it; null when it holds none (or is over 1 MiB or 512 blocks). */
export function authorityFromPem(pem: string): Certificate | null {
  const certificates = certificatesIn(readPem(pem));
  return certificates.length === 0 ? null : certificateOf(certificates, null);
}

/** The certificate in a PEM text that holds the leaf, its chain and the key, the key anywhere in it. */
export function servingFromPem(pem: string): ServingCertificate {
  const field = readPem(pem);
  return servingFrom(field, field);
}

/** The certificate whose chain and key come apart, as in a `kubernetes.io/tls` Secret or a `tls.crt` and `tls.key` file. */
export function servingFromPair(certificatePem: string, keyPem: string): ServingCertificate {
  return servingFrom(readPem(certificatePem), readPem(keyPem));
}

/** The fingerprint of a chain and its key: SHA-256 of both, in hex. */
export function certificateIdOf(chain: string, key: string | null): CertificateId {
  return hash('sha256', `${chain}\0${key ?? ''}`) as CertificateId;
}

function servingFrom(certificate: PemField, key: PemField): ServingCertificate {
  const problem = blockProblem(certificate) ?? blockProblem(key);
  if (problem !== null) return { kind: 'invalid', problem };
  const pair = keyPairOf(certificate.blocks.filter(isCertificate), key.blocks.filter(isPrivateKey));
  if (pair.kind === 'problem') return { kind: 'invalid', problem: pair.problem };
  const chain = certificatesIn(certificate);
  const unusable = publicKeyProblem(chain);
  if (unusable !== null) return { kind: 'invalid', problem: unusable };
  return { kind: 'valid', certificate: certificateOf(chain, pair.key), notAfterMs: expiryMsOf(pair.leaf) };
}

// Rules 1 to 4: what goes together with the termination.
function checkCombination(fields: TlsFields, errors: string[]): void {
  const { termination, insecurePolicy } = fields;
  let policies: readonly string[] = ['None', 'Allow', 'Redirect'];
  if (termination === 'passthrough') {
    policies = ['None', 'Redirect'];
    if (fields.certificate !== '') errors.push(invalidPem('certificate', noPassthroughCertificates));
    if (fields.key !== '') errors.push(invalidPem('key', noPassthroughCertificates));
    if (fields.caCertificate !== '') errors.push(invalidPem('caCertificate', noPassthroughCertificates));
    if (fields.destinationCaCertificate !== '') {
      errors.push(invalidPem('destinationCACertificate', noPassthroughCertificates));
    }
  } else if (termination === 'edge') {
    if (fields.destinationCaCertificate !== '') {
      errors.push(invalidPem('destinationCACertificate', 'edge termination does not support destination certificates'));
    }
  } else if (termination !== 'reencrypt') {
    errors.push(
      `spec.tls.termination: Unsupported value: ${quoted(termination)}: supported values: "edge", "passthrough", "reencrypt"`,
    );
    return;
  }
  if (insecurePolicy !== '' && !policies.includes(insecurePolicy)) {
    errors.push(
      `spec.tls.insecureEdgeTerminationPolicy: Invalid value: ${quoted(insecurePolicy)}: invalid value for ` +
        `InsecureEdgeTerminationPolicy option, acceptable values are ${policies.join(', ')}, or empty`,
    );
  }
}

// Rules 5, 6 and 9. A field that cannot be read leaves an empty pool, which then verifies nothing.
function checkCaCertificate(pem: string, errors: string[]): readonly X509Certificate[] {
  const field = readPem(pem);
  const unreadable = parseProblem(field);
  if (unreadable !== null) {
    errors.push(invalidPem('caCertificate', `failed to parse CA certificate: ${unreadable}`));
    return [];
  }
  const authorities = certificatesIn(field);
  for (const problem of [blockProblem(field), signatureProblem(authorities)]) {
    if (problem !== null) errors.push(invalidPem('caCertificate', problem));
  }
  return authorities;
}

// Rule 13.
function checkDestinationCa(pem: string, errors: string[]): readonly X509Certificate[] {
  const field = readPem(pem);
  const unreadable = parseProblem(field);
  if (unreadable !== null) {
    errors.push(invalidPem('destinationCACertificate', `failed to parse destination CA certificate: ${unreadable}`));
    return [];
  }
  const anchors = certificatesIn(field);
  for (const problem of [blockProblem(field), signatureProblem(anchors)]) {
    if (problem !== null) errors.push(invalidPem('destinationCACertificate', problem));
  }
  return anchors;
}

// Rules 7 and 9, then the sanitising of the field: the first problem counts.
function certificateProblem(field: PemField, authorities: readonly X509Certificate[] | null): string | null {
  const unreadable = parseProblem(field);
  if (unreadable !== null) return unreadable;
  const certificates = certificatesIn(field);
  const weak = signatureProblem(certificates);
  if (weak !== null) return weak;
  const leaf = certificates[0];
  if (authorities !== null && leaf !== undefined) {
    const problem = issuerProblem(leaf, authorities);
    if (problem !== null) return `error verifying certificate: ${problem}`;
  }
  return blockProblem(field);
}

// Rules 10 to 12. Fields that failed before are looked at as they are: the reference reports both faults.
function checkPair(
  certificate: PemField,
  key: PemField,
  errors: string[],
): Extract<KeyPair, { readonly kind: 'fits' }> | null {
  const keys = [...certificate.blocks.filter(isPrivateKey), ...key.blocks];
  if (keys.length === 0) {
    errors.push('spec.tls.key: Invalid value: "": no key specified');
    return null;
  }
  const foreignKeys = keys.filter((block) => !block.type.includes('PRIVATE KEY'));
  if (foreignKeys.length > 0)
    errors.push(invalidPem('key', `${invalidTypes(foreignKeys)}, expecting only PRIVATE KEY`));

  const chain = certificate.blocks.filter((block) => block.type === 'CERTIFICATE' || block.type === 'PUBLIC KEY');
  const foreign = chain.filter((block) => block.type !== 'CERTIFICATE');
  if (chain.length === 0) {
    errors.push(invalidPem('certificate', 'the PEM content cannot be null'));
  } else if (foreign.length > 0) {
    errors.push(invalidPem('certificate', `${invalidTypes(foreign)}, expecting only CERTIFICATE`));
  }

  const pair = keyPairOf(chain, keys);
  if (pair.kind === 'fits') return pair;
  errors.push(invalidPem('key', pair.problem));
  return null;
}

// The first certificate and the first key, in the words of Go's tls.X509KeyPair.
function keyPairOf(chain: readonly Block[], keys: readonly Block[]): KeyPair {
  const leafBlock = chain.find(isCertificate);
  if (leafBlock === undefined) {
    const problem =
      chain.length === 0
        ? 'tls: failed to find any PEM data in certificate input'
        : `tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [${typesOf(chain).join(' ')}]`;
    return { kind: 'problem', problem };
  }
  const keyBlock = keys.find(isPrivateKey);
  if (keyBlock === undefined) {
    if (keys.length === 0) return { kind: 'problem', problem: 'tls: failed to find any PEM data in key input' };
    const problem =
      keys.length === 1 && keys[0]?.type === 'CERTIFICATE'
        ? 'tls: found a certificate rather than a key in the PEM for the private key'
        : `tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [${typesOf(keys).join(' ')}]`;
    return { kind: 'problem', problem };
  }
  const leaf = leafBlock.certificate;
  if (leaf === null) return { kind: 'problem', problem: leafBlock.problem ?? noCertificate };
  const { key } = keyBlock;
  if (key === null) return { kind: 'problem', problem: 'tls: failed to parse private key' };
  if (leaf.checkPrivateKey(key)) return { kind: 'fits', leaf, key };
  const publicKey = publicKeyOf(leaf);
  if (publicKey === null) return { kind: 'problem', problem: 'tls: unknown public key algorithm' };
  return {
    kind: 'problem',
    problem:
      publicKey.asymmetricKeyType === key.asymmetricKeyType
        ? 'tls: private key does not match public key'
        : 'tls: private key type does not match public key type',
  };
}

// Every certificate of the pool is a root by itself, so a chain is never longer than the leaf and its issuer. Dates play no part.
function issuerProblem(leaf: X509Certificate, pool: readonly X509Certificate[]): string | null {
  const unknown = 'x509: certificate signed by unknown authority';
  const wrongUsage = 'x509: certificate specifies an incompatible key usage';
  if (pool.some((candidate) => candidate.raw.equals(leaf.raw))) return mayServe(leaf) ? null : wrongUsage;

  const leafPart = signedPartOf(leaf.raw);
  if (leafPart === null) return unknown;
  let problem = unknown;
  let checks = 0;
  for (const candidate of pool) {
    const part = signedPartOf(candidate.raw);
    if (part === null || !part.subject.equals(leafPart.issuer)) continue;
    if (!part.version1 && !candidate.ca) continue;
    if (++checks > maxSignatureChecks) break;
    const publicKey = publicKeyOf(candidate);
    if (publicKey === null || !isSignedBy(leaf, publicKey)) continue;
    if (mayServe(leaf) && mayServe(candidate)) return null;
    problem = wrongUsage;
  }
  return problem;
}

function isSignedBy(certificate: X509Certificate, publicKey: KeyObject): boolean {
  try {
    return certificate.verify(publicKey);
  } catch {
    // Signature and key of different kinds.
    return false;
  }
}

// RFC 5280 section 4.2.1.12: no extended key usage means any.
function mayServe(certificate: X509Certificate): boolean {
  const usages: readonly string[] | undefined = certificate.keyUsage;
  return usages === undefined || usages.includes('1.3.6.1.5.5.7.3.1') || usages.includes('2.5.29.37.0');
}

const weakSignatures: ReadonlyMap<string, { readonly digest: string; readonly keyType: string }> = new Map([
  ['1.2.840.113549.1.1.2', { digest: 'MD2', keyType: 'rsa' }],
  ['1.2.840.113549.1.1.4', { digest: 'MD5', keyType: 'rsa' }],
  ['1.2.840.113549.1.1.5', { digest: 'SHA1', keyType: 'rsa' }],
  ['1.3.14.3.2.29', { digest: 'SHA1', keyType: 'rsa' }],
  ['1.2.840.10045.4.1', { digest: 'SHA1', keyType: 'ec' }],
  ['1.2.840.10040.4.3', { digest: 'SHA1', keyType: 'dsa' }],
]);

// Rule 9: clients distrust such signatures; nobody checks that of a self-signed certificate.
function signatureProblem(certificates: readonly X509Certificate[]): string | null {
  const problems: string[] = [];
  for (const certificate of certificates) {
    const weak = weakSignatures.get(certificate.signatureAlgorithmOid ?? '');
    if (weak === undefined || isSelfSigned(certificate, weak.keyType)) continue;
    problems.push(`router does not support CA-signed certs using ${weak.digest}`);
  }
  return problems.length === 0 ? null : aggregate(problems);
}

function isSelfSigned(certificate: X509Certificate, signerKeyType: string): boolean {
  const part = signedPartOf(certificate.raw);
  if (part === null || !part.issuer.equals(part.subject)) return false;
  const { authorityKeyId, subjectKeyId } = part;
  if (authorityKeyId !== null && (subjectKeyId === null || !authorityKeyId.equals(subjectKeyId))) return false;
  return publicKeyOf(certificate)?.asymmetricKeyType === signerKeyType;
}

// What no TLS library of ours would load, found here so that the Route's status says it.
function publicKeyProblem(chain: readonly X509Certificate[]): string | null {
  for (const certificate of chain) {
    const publicKey = publicKeyOf(certificate);
    if (publicKey === null) return 'router does not support the public key of a certificate';
    const bits = publicKey.asymmetricKeyDetails?.modulusLength;
    if (bits !== undefined && bits < minRsaBits) {
      return `router does not support certificates with RSA keys of less than ${minRsaBits} bits`;
    }
  }
  return null;
}

function publicKeyOf(certificate: X509Certificate): KeyObject | null {
  try {
    return certificate.publicKey;
  } catch {
    return null;
  }
}

function expiryMsOf(leaf: X509Certificate): number | null {
  const ms = leaf.validToDate.getTime();
  return Number.isNaN(ms) ? null : ms;
}

function certificateOf(certificates: readonly X509Certificate[], key: KeyObject | null): Certificate {
  const chain = certificates.map((certificate) => certificate.toString()).join('');
  // PKCS #8 is one spelling for every kind of key, and the one that OpenSSL reads three times faster than the traditional ones.
  const keyPem = key === null ? null : key.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { id: certificateIdOf(chain, keyPem), chain, key: keyPem };
}

// --- Messages, as Kubernetes' field errors print them ---

function invalidPem(field: PemFieldName, detail: string): string {
  return `spec.tls.${field}: Invalid value: "${redacted[field]}": ${detail}`;
}

function aggregate(messages: readonly string[]): string {
  const distinct = [...new Set(messages)];
  return distinct.length === 1 ? distinct.join('') : `[${distinct.join(', ')}]`;
}

function invalidTypes(blocks: readonly Block[]): string {
  return `field contains invalid types ${typesOf(blocks).join(', ')}`;
}

function quoted(value: string): string {
  return JSON.stringify(value.slice(0, maxShownLength));
}
