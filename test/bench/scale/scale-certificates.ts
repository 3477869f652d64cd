// Ten thousand certificates take some seconds to make, so they are kept between runs, in a file that only this user can read.
// Their keys are worth nothing: nobody trusts the authority.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { makeAuthority, makeCertificate } from '../../support/certificates.ts';

/** PEM texts; the key as PKCS #8. */
export type Pair = { readonly certificate: string; readonly key: string };

export type ScaleCertificates = {
  readonly authority: string;
  /** One for each Route, by its number. */
  readonly pairs: readonly Pair[];
  /** Others for the same hosts, for the first Routes: what they renew their certificate to. */
  readonly renewed: readonly Pair[];
};

type Kept = ScaleCertificates & { readonly madeMs: number };

/** They are good for a year. */
const keptMs = 90 * 86_400_000;

/** The host of a Route. */
export function hostOf(route: number): string {
  return `r-${route}.scale.test`;
}

/** Certificates for so many Routes, elliptic (P-256), and so many to renew the first ones to. */
export function scaleCertificates(routes: number, renewed: number): ScaleCertificates {
  const path = join(tmpdir(), `headgate-scale-${userInfo().username}-${routes}-${renewed}.json`);
  const kept = keptIn(path);
  if (kept !== null) return kept;
  const authority = makeAuthority({ name: 'Headgate scale bench' });
  const pairOf = (route: number): Pair => {
    const { certificate, key } = makeCertificate({ names: [hostOf(route)], issuer: authority });
    return { certificate, key };
  };
  const made: Kept = {
    madeMs: Date.now(),
    authority: authority.certificate,
    pairs: Array.from({ length: routes }, (_, route) => pairOf(route)),
    renewed: Array.from({ length: renewed }, (_, route) => pairOf(route)),
  };
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(made), { mode: 0o600, flag: 'wx' });
  renameSync(`${path}.${process.pid}`, path);
  return made;
}

function keptIn(path: string): Kept | null {
  try {
    const kept: Kept = JSON.parse(readFileSync(path, 'utf8'));
    return Date.now() - kept.madeMs < keptMs ? kept : null;
  } catch {
    // None, or half of one.
    return null;
  }
}
