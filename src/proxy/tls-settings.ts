// What TLS towards clients looks like for every Host alike: versions, ciphers, groups (Route semantics 5.15). Settings in, options
// of node:tls out; the same options are tried at the start, where OpenSSL itself says what it takes.

import { constants } from 'node:crypto';
import { createSecureContext, getCiphers, type SecureContextOptions, type SecureVersion } from 'node:tls';
import type { Config, SettingKey } from '../config/schema.ts';

/** The settings behind the options. */
export type TlsSettings = Pick<
  Config,
  'tlsProfile' | 'tlsMinVersion' | 'tlsMaxVersion' | 'tlsCiphers' | 'tlsCipherSuites' | 'tlsCurves'
>;

/** What every context towards clients is made with. */
export type TlsOptions = Required<
  Pick<SecureContextOptions, 'minVersion' | 'maxVersion' | 'ciphers' | 'ecdhCurve' | 'secureOptions'>
>;

/** What OpenSSL does not take of the settings. */
export type TlsProblem = { readonly key: SettingKey; readonly because: string };

const versions: Readonly<Record<Exclude<Config['tlsMinVersion'], ''>, SecureVersion>> = {
  'TLSv1.0': 'TLSv1',
  'TLSv1.1': 'TLSv1.1',
  'TLSv1.2': 'TLSv1.2',
  'TLSv1.3': 'TLSv1.3',
};
const versionOrder: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

const strong = [
  ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ...['ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
];
/** CBC with SHA-2, for clients of the years before GCM. */
const dated = [
  ...['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-RSA-AES128-SHA256'],
  ...['ECDHE-ECDSA-AES256-SHA384', 'ECDHE-RSA-AES256-SHA384'],
];
const ancient = [
  ...['ECDHE-ECDSA-AES128-SHA', 'ECDHE-RSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA', 'ECDHE-RSA-AES256-SHA'],
  ...['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'AES128-SHA256', 'AES256-SHA256', 'AES128-SHA', 'AES256-SHA'],
];

/** The lists that have names, by Mozilla's guidelines but for finite-field Diffie-Hellman, which costs too much and serves nobody. */
const cipherLists: Readonly<Record<string, readonly string[]>> = {
  modern: strong,
  intermediate: strong,
  old: [...strong, ...dated, ...ancient],
};
const allSuites = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

const profiles: Readonly<
  Record<Config['tlsProfile'], { readonly minVersion: SecureVersion; readonly ciphers: string }>
> = {
  Modern: { minVersion: 'TLSv1.3', ciphers: 'modern' },
  Intermediate: { minVersion: 'TLSv1.2', ciphers: 'intermediate' },
  Old: { minVersion: 'TLSv1', ciphers: 'old' },
};

/** The options that the settings stand for: those that were given, the rest as the profile has it. */
export function tlsOptionsOf(settings: TlsSettings): TlsOptions {
  const profile = profiles[settings.tlsProfile];
  const minVersion = settings.tlsMinVersion === '' ? profile.minVersion : versions[settings.tlsMinVersion];
  const maxVersion = settings.tlsMaxVersion === '' ? 'TLSv1.3' : versions[settings.tlsMaxVersion];
  const named = settings.tlsCiphers === '' ? profile.ciphers : settings.tlsCiphers;
  const list = cipherLists[named]?.join(':') ?? named;
  // OpenSSL has put the hashes of TLS 1.0 and 1.1 below its lowest level of security.
  const level = versionOrder.indexOf(minVersion) < 2 && !list.includes('@SECLEVEL') ? ':@SECLEVEL=0' : '';
  const suites = settings.tlsCipherSuites === '' ? allSuites : settings.tlsCipherSuites;
  return {
    minVersion,
    maxVersion,
    ciphers: `${suites}:${list}${level}`,
    ecdhCurve: settings.tlsCurves,
    // Nothing of HTTP needs a second handshake, and who may ask for one may keep us busy with it.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** What is wrong with settings of TLS; those without a value have their problem already and are passed over. */
export function tlsProblems(values: Partial<TlsSettings>): TlsProblem[] {
  const { tlsProfile, tlsMinVersion, tlsMaxVersion, tlsCiphers, tlsCipherSuites, tlsCurves } = values;
  const problems: TlsProblem[] = [];
  const refuse = (key: SettingKey, because: string): void => {
    problems.push({ key, because });
  };
  if (tlsCiphers !== undefined && cipherLists[tlsCiphers] === undefined && tlsCiphers !== '') {
    if (!isTaken({ ciphers: tlsCiphers })) {
      refuse(
        'tlsCiphers',
        `${shown([tlsCiphers])}: neither modern, intermediate, old nor a list in which OpenSSL knows a cipher`,
      );
    }
  }
  if (tlsCipherSuites !== undefined && tlsCipherSuites !== '') {
    const known = new Set(getCiphers().map((name) => name.toUpperCase()));
    const unknown = tlsCipherSuites.split(':').filter((name) => !name.startsWith('TLS_') || !known.has(name));
    if (unknown.length > 0) refuse('tlsCipherSuites', `${shown(unknown)}: no cipher suite of TLS 1.3`);
  }
  if (tlsCurves !== undefined) {
    const unknown = tlsCurves.split(':').filter((name) => name === '' || !isTaken({ ecdhCurve: name }));
    if (unknown.length > 0) refuse('tlsCurves', `${shown(unknown)}: no group that OpenSSL knows`);
  }
  if (tlsProfile !== undefined && tlsMinVersion !== undefined && tlsMaxVersion !== undefined && tlsMaxVersion !== '') {
    const minVersion = tlsMinVersion === '' ? profiles[tlsProfile].minVersion : versions[tlsMinVersion];
    if (versionOrder.indexOf(minVersion) > versionOrder.indexOf(versions[tlsMaxVersion])) {
      refuse('tlsMaxVersion', `${tlsMaxVersion} is below the lowest version, ${minVersion}`);
    }
  }
  return problems;
}

function isTaken(options: SecureContextOptions): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}

/** What is typed into the wrong place may be a private key, and problems end up in logs. */
function shown(names: readonly string[]): string {
  const text = names.join(':');
  return /^[\w.:+!@=-]{0,80}$/.test(text) && !text.includes('-----')
    ? JSON.stringify(text)
    : `(a text of ${text.length} characters)`;
}
