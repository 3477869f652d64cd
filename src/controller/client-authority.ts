// By whom clients are verified: CA certificates and revocation lists as PEM text, read and checked before they become part of the
// table. Text in, an entry or a reason out. A list that cannot be read is never left out: clients it names would be let in.

import type { Certificate } from '../table/entries.ts';
import { certificateIdOf } from './certificates.ts';
import { certificatesIn, parseProblem, readPem } from './pem.ts';
import { readRevocationLists } from './revocation-lists.ts';

/** An authority for client certificates, or what is wrong with its texts. */
export type ClientAuthority =
  | { readonly kind: 'valid'; readonly authority: Certificate }
  | { readonly kind: 'invalid'; readonly field: 'ca' | 'crl'; readonly problem: string };

/**
 * The authority that CA certificates and revocation lists make (PEM each; no list at all where `crl` is empty). Lists in the
 * CA's own text count too.
 */
export function clientAuthority(ca: string, crl: string): ClientAuthority {
  const lists = readRevocationLists(`${ca}\n${crl}`);
  if (lists.kind === 'invalid') return { kind: 'invalid', field: 'crl', problem: lists.problem };
  if (crl.trim() !== '' && readRevocationLists(crl).pems.length === 0) {
    return { kind: 'invalid', field: 'crl', problem: 'data does not contain any revocation list' };
  }
  const field = readPem(ca);
  const problem = parseProblem(field);
  if (problem !== null) return { kind: 'invalid', field: 'ca', problem };
  const certificates = certificatesIn(field).map((certificate) => certificate.toString());
  const chain = [...certificates, ...lists.pems].join('');
  return { kind: 'valid', authority: { id: certificateIdOf(chain, null), chain, key: null } };
}
