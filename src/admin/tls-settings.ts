// TLS of the admin port: settings as the OpenShift router names them, options of node:tls out. What cannot be taken is told
// at the start.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, getCiphers, type SecureContextOptions, type SecureVersion } from 'node:tls';
import type { Config, SettingKey, SettingValues } from '../config/schema.ts';

/** The settings behind the options. */
export type AdminTlsSettings = Pick<Config, 'metricsTlsMinVersion' | 'metricsTlsCiphers' | 'metricsTlsCurves'>;

/** What a context is made of. */
export type AdminTlsOptions = Required<
  Pick<SecureContextOptions, 'cert' | 'key' | 'minVersion' | 'ciphers' | 'ecdhCurve'>
>;

/** Options, or why the certificate or the key cannot be served. */
export type AdminTls =
  | { readonly kind: 'options'; readonly options: AdminTlsOptions }
  | { readonly kind: 'invalid'; readonly file: 'certificate' | 'key'; readonly because: string };

const versions: Readonly<Record<Config['metricsTlsMinVersion'], SecureVersion>> = {
  VersionTLS10: 'TLSv1',
  VersionTLS11: 'TLSv1.1',
  VersionTLS12: 'TLSv1.2',
  VersionTLS13: 'TLSv1.3',
};

const suites = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** Ciphers of TLS 1.2 and below that are offered unless others are named: their IANA names and OpenSSL's. */
const strong: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
};

/** What TLS 1.0 and 1.1 have. */
const dated = ['ECDHE-ECDSA-AES128-SHA', 'ECDHE-RSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA', 'ECDHE-RSA-AES256-SHA'];

/** All that Go has names for, whether OpenSSL has them or not: lists are written for the OpenShift router. */
const known: Readonly<Record<string, string>> = {
  ...strong,
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: 'ECDHE-ECDSA-AES128-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: 'ECDHE-RSA-AES128-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_RSA_WITH_AES_128_GCM_SHA256: 'AES128-GCM-SHA256',
  TLS_RSA_WITH_AES_256_GCM_SHA384: 'AES256-GCM-SHA384',
  TLS_RSA_WITH_AES_128_CBC_SHA256: 'AES128-SHA256',
  TLS_RSA_WITH_AES_128_CBC_SHA: 'AES128-SHA',
  TLS_RSA_WITH_AES_256_CBC_SHA: 'AES256-SHA',
  TLS_RSA_WITH_3DES_EDE_CBC_SHA: 'DES-CBC3-SHA',
  TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA: 'ECDHE-RSA-DES-CBC3-SHA',
  TLS_RSA_WITH_RC4_128_SHA: 'RC4-SHA',
  TLS_ECDHE_ECDSA_WITH_RC4_128_SHA: 'ECDHE-ECDSA-RC4-SHA',
  TLS_ECDHE_RSA_WITH_RC4_128_SHA: 'ECDHE-RSA-RC4-SHA',
};

/** Groups whose names differ between Go and OpenSSL. */
const groupNames: Readonly<Record<string, string>> = {
  CurveP256: 'P-256',
  CurveP384: 'P-384',
  CurveP521: 'P-521',
};

/** The options for a certificate with its chain and its key, both PEM. */
export function adminTls(settings: AdminTlsSettings, cert: string, key: string): AdminTls {
  const refuse = (file: 'certificate' | 'key', because: string): AdminTls => ({ kind: 'invalid', file, because });
  const certificate = certificateIn(cert);
  if (certificate === null) return refuse('certificate', 'holds no certificate (PEM)');
  const privateKey = privateKeyIn(key);
  if (privateKey === null) return refuse('key', 'holds no private key (PEM)');
  if (!certificate.checkPrivateKey(privateKey)) return refuse('key', 'holds the key of another certificate');
  const { minVersion, ciphers } = versionAndCiphers(settings);
  const groups = groupsOf(settings.metricsTlsCurves);
  const options = { cert, key, minVersion, ciphers, ecdhCurve: groups.length === 0 ? 'auto' : groups.join(':') };
  return isTaken(options)
    ? { kind: 'options', options }
    : refuse('certificate', 'and its key are not taken by OpenSSL');
}

/**
 * What is wrong with the settings of TLS on the admin port, its files included; values that are missing have their problem
 * already, or are told of elsewhere, and are passed over.
 */
export function adminTlsProblems(
  values: Partial<SettingValues>,
): { readonly key: SettingKey; readonly because: string }[] {
  const { metricsTlsMinVersion, metricsTlsCiphers, metricsTlsCurves } = values;
  const problems: { readonly key: SettingKey; readonly because: string }[] = [];
  if (metricsTlsCiphers !== undefined) {
    const unknown = cipherNames(metricsTlsCiphers).filter(
      (name) => known[name] === undefined && !suites.includes(name),
    );
    if (unknown.length > 0) {
      problems.push({ key: 'metricsTlsCiphers', because: `no such ciphers: ${shown(unknown)}` });
    } else if (metricsTlsCiphers !== '' && offered(metricsTlsCiphers).length === 0) {
      problems.push({ key: 'metricsTlsCiphers', because: 'names no cipher that there still is' });
    }
  }
  if (metricsTlsCurves !== undefined && metricsTlsCurves !== '') {
    const unknown = groupsOf(metricsTlsCurves).filter((name) => !isTaken({ ecdhCurve: name }));
    if (groupsOf(metricsTlsCurves).length === 0) {
      problems.push({ key: 'metricsTlsCurves', because: 'no valid curves found' });
    } else if (unknown.length > 0) {
      problems.push({ key: 'metricsTlsCurves', because: `curves are not supported: ${shown(unknown)}` });
    }
  }
  if (problems.length > 0 || metricsTlsMinVersion === undefined) return problems;
  const settings = { metricsTlsMinVersion, metricsTlsCiphers: metricsTlsCiphers ?? '', metricsTlsCurves: '' };
  const certificate = contentOf(values.metricsTlsCertFile ?? '');
  const key = contentOf(values.metricsTlsKeyFile ?? '');
  if (certificate === null || key === null) return problems;
  const made = adminTls(settings, certificate, key);
  if (made.kind === 'invalid') {
    const file = made.file === 'key' ? 'metricsTlsKeyFile' : 'metricsTlsCertFile';
    problems.push({ key: file, because: `${JSON.stringify(values[file])} ${made.because}` });
  }
  return problems;
}

function versionAndCiphers({ metricsTlsMinVersion, metricsTlsCiphers }: AdminTlsSettings): {
  readonly minVersion: SecureVersion;
  readonly ciphers: string;
} {
  const version = versions[metricsTlsMinVersion];
  const isOld = version === 'TLSv1' || version === 'TLSv1.1';
  const usual = [...Object.values(strong), ...(isOld ? dated : [])];
  const older = (metricsTlsCiphers === '' ? usual : offered(metricsTlsCiphers)).filter(
    (name) => !suites.includes(name),
  );
  // Who names ciphers of TLS 1.3 alone wants nothing older.
  const minVersion = older.length === 0 ? 'TLSv1.3' : version;
  // OpenSSL has put the hashes of TLS 1.0 and 1.1 below its lowest level of security.
  const level = isOld && older.length > 0 ? ['@SECLEVEL=0'] : [];
  return { minVersion, ciphers: [...suites, ...older, ...level].join(':') };
}

function cipherNames(list: string): string[] {
  return list
    .split(':')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** OpenSSL's names of those in a list that it has. */
function offered(list: string): string[] {
  const there = new Set(getCiphers());
  return cipherNames(list)
    .map((name) => known[name] ?? name)
    .filter((name) => there.has(name.toLowerCase()));
}

function groupsOf(list: string): string[] {
  return list
    .split(/[,:]/)
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map((name) => groupNames[name] ?? name);
}

function isTaken(options: SecureContextOptions): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}

function certificateIn(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function privateKeyIn(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}

/** Null where there is nothing to read. */
function contentOf(path: string): string | null {
  try {
    return path === '' ? null : readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** What is typed into the wrong place may be a private key, and problems end up in logs. */
function shown(names: readonly string[]): string {
  const text = names.join(' ');
  return /^[\w.-]+( [\w.-]+)*$/.test(text) && text.length <= 120 && !text.includes('-----')
    ? `[${text}]`
    : `(a text of ${text.length} characters)`;
}
