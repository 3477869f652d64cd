// Reads the PEM text of a certificate field: cut into blocks, each parsed and judged. The grammar is that of Go's encoding/pem, so
// that a field is cut into the same blocks. Nothing that stood inside a block ever gets into a message.

import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';

/** One PEM block, parsed once. `problem` says why the block may not stay; a key of a refused kind has both. */
export type Block = {
  readonly type: string;
  readonly certificate: X509Certificate | null;
  readonly key: KeyObject | null;
  readonly problem: string | null;
};

/** The blocks of one field; `excess` says which limit the field goes beyond (then there are no blocks). */
export type PemField = { readonly blocks: readonly Block[]; readonly excess: string | null };

// An object in the Kubernetes API is at most about 1.5 MB, and the largest public CA bundles hold some 150 certificates.
const maxPemLength = 1_048_576;
const maxPemBlocks = 512;
const maxShownLength = 64;

/** What the reference says of a field without a certificate that it can use. */
export const noCertificate = 'data does not contain any valid RSA or ECDSA certificates';

const beginMark = '-----BEGIN ';
const endMark = '-----END ';
const lineMark = '-----';

/**
 * The blocks of a text, everything outside them left aside, as the reference sanitises it (Route semantics 2.3). Linear in
 * the text, and bounded in its length and in the number of blocks.
 */
export function readPem(text: string): PemField {
  if (text.length > maxPemLength) return { blocks: [], excess: `PEM data is longer than ${maxPemLength} bytes` };
  const blocks: Block[] = [];
  let at = 0;
  let end = -1;
  let endLine = lineAt(text, text.length);
  for (;;) {
    if (!text.startsWith(beginMark, at)) {
      const newline = text.indexOf(`\n${beginMark}`, at);
      if (newline < 0) return { blocks, excess: null };
      at = newline + 1;
    }
    const typeLine = lineAt(text, at + beginMark.length);
    at = typeLine.next;
    if (!typeLine.text.endsWith(lineMark)) continue;
    const type = typeLine.text.slice(0, -lineMark.length);

    let header = lineAt(text, at);
    const hasHeaders = header.text.includes(':');
    while (header.text.includes(':')) {
      at = header.next;
      header = lineAt(text, at);
    }

    // The next end mark is looked for once, not again for each of the blocks that are opened before it.
    if (end < at) {
      end = text.indexOf(`\n${endMark}`, at - 1) + 1;
      if (end === 0) return { blocks, excess: null };
      endLine = lineAt(text, end + endMark.length);
    }
    if (endLine.text !== type + lineMark) continue;
    const bytes = base64Bytes(text.slice(at, end));
    if (bytes === null) continue;
    at = endLine.next;
    // As Go's readers of certificates, which pass over those with headers; parameters of curves say nothing that a key does not.
    if (type === 'EC PARAMETERS' || (type === 'CERTIFICATE' && hasHeaders)) continue;
    if (blocks.length === maxPemBlocks) return { blocks: [], excess: `more than ${maxPemBlocks} PEM blocks` };
    blocks.push(parseBlock(type, bytes));
  }
}

function lineAt(text: string, at: number): { readonly text: string; readonly next: number } {
  const newline = text.indexOf('\n', at);
  if (newline < 0) return { text: text.slice(at).trimEnd(), next: text.length };
  return { text: text.slice(at, newline).trimEnd(), next: newline + 1 };
}

// Two plain scans: one expression for all of it would go back and forth over long runs of blanks.
function base64Bytes(body: string): Buffer | null {
  if (/[^A-Za-z0-9+/=\s]/.test(body)) return null;
  const base64 = body.replace(/\s+/g, '');
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return null;
  return Buffer.from(base64, 'base64');
}

function parseBlock(type: string, bytes: Buffer): Block {
  switch (type) {
    case 'CERTIFICATE':
      return certificateBlock(bytes);
    case 'PRIVATE KEY':
    case 'RSA PRIVATE KEY':
    case 'EC PRIVATE KEY':
    case 'ECDSA PRIVATE KEY':
      return privateKeyBlock(type, bytes);
    case 'PUBLIC KEY':
    case 'RSA PUBLIC KEY':
    case 'DSA PUBLIC KEY':
    case 'ECDSA PUBLIC KEY':
      return publicKeyBlock(type, bytes);
    default:
      return { type, certificate: null, key: null, problem: `unrecognized PEM block ${shown(type)}` };
  }
}

function certificateBlock(bytes: Buffer): Block {
  const type = 'CERTIFICATE';
  try {
    const certificate = new X509Certificate(bytes);
    // Bytes behind the certificate would be dropped, and PEM text hidden in the DER would be read in its place.
    if (certificate.raw.equals(bytes)) return { type, certificate, key: null, problem: null };
  } catch {
    // Said below.
  }
  return { type, certificate: null, key: null, problem: 'x509: malformed certificate' };
}

const curves: ReadonlySet<string> = new Set(['secp224r1', 'prime256v1', 'secp384r1', 'secp521r1']);

function privateKeyBlock(type: string, bytes: Buffer): Block {
  const key = privateKeyOf(type, bytes);
  if (key === null) return { type, certificate: null, key, problem: `block ${type} is not valid` };
  if (key.asymmetricKeyType === 'ed25519') {
    return { type, certificate: null, key, problem: 'block private key ed25519.PrivateKey is not valid' };
  }
  const isKnown =
    key.asymmetricKeyType === 'rsa' ||
    (key.asymmetricKeyType === 'ec' && curves.has(key.asymmetricKeyDetails?.namedCurve ?? ''));
  if (!isKnown) return { type, certificate: null, key: null, problem: `block ${type} is not valid` };
  return { type, certificate: null, key, problem: null };
}

// The label need not tell what is inside: people rename blocks. The form that it names is tried first.
function privateKeyOf(type: string, bytes: Buffer): KeyObject | null {
  const forms = type === 'PRIVATE KEY' ? (['pkcs8', 'pkcs1'] as const) : (['pkcs1', 'pkcs8'] as const);
  for (const form of forms) {
    try {
      return createPrivateKey({ key: bytes, format: 'der', type: form });
    } catch {
      // Another form, encrypted, or no key at all.
    }
  }
  return null;
}

function publicKeyBlock(label: string, bytes: Buffer): Block {
  try {
    createPublicKey({ key: bytes, format: 'der', type: 'spki' });
    return { type: 'PUBLIC KEY', certificate: null, key: null, problem: null };
  } catch {
    return { type: 'PUBLIC KEY', certificate: null, key: null, problem: `block ${label} is not valid` };
  }
}

/** Whether a block is labelled a certificate. */
export function isCertificate(block: Block): boolean {
  return block.type === 'CERTIFICATE';
}

/** Whether a block holds a private key, of a kind that is served or not. */
export function isPrivateKey(block: Block): boolean {
  return block.type === 'PRIVATE KEY' || block.type.endsWith(' PRIVATE KEY');
}

/** The certificates of a field that could be read. */
export function certificatesIn(field: PemField): X509Certificate[] {
  return field.blocks.flatMap((block) => block.certificate ?? []);
}

/** Why the certificates of a field cannot be read, other blocks left aside; or null. */
export function parseProblem(field: PemField): string | null {
  if (field.excess !== null) return field.excess;
  const certificates = field.blocks.filter(isCertificate);
  if (certificates.length === 0) return noCertificate;
  return certificates.find((block) => block.problem !== null)?.problem ?? null;
}

/** Why some block of a field may not stay, or null. */
export function blockProblem(field: PemField): string | null {
  return field.excess ?? field.blocks.find((block) => block.problem !== null)?.problem ?? null;
}

/** The labels of blocks, each once, made fit to be shown. */
export function typesOf(blocks: readonly Block[]): string[] {
  return [...new Set(blocks.map((block) => shown(block.type)))].slice(0, 8);
}

function shown(label: string): string {
  return label.slice(0, maxShownLength).replace(/[^ -~]/g, '?');
}
