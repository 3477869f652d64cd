import { createSecureContext } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type TlsOptions, tlsOptionsOf, tlsProblems } from '../../src/proxy/tls-settings.ts';

const base = ['--source', 'files', '--manifests', import.meta.dirname];

function optionsOf(env: Readonly<Record<string, string>>): TlsOptions {
  const loaded = loadConfig(base, env, [tlsProblems]);
  if (loaded.kind === 'problems') throw new Error(loaded.problems.join('\n'));
  const options = tlsOptionsOf(loaded.config);
  createSecureContext(options);
  return options;
}

function problemsOf(env: Readonly<Record<string, string>>, args: readonly string[] = []): readonly string[] {
  const loaded = loadConfig([...base, ...args], env, [tlsProblems]);
  return loaded.kind === 'problems' ? loaded.problems : [];
}

describe('what OpenSSL is given', () => {
  test.each<[string, Record<string, string>, Partial<TlsOptions>, RegExp]>([
    ['nothing set', {}, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }, /:ECDHE-RSA-CHACHA20-POLY1305$/],
    ['Modern', { HEADGATE_TLS_PROFILE: 'Modern' }, { minVersion: 'TLSv1.3' }, /^TLS_AES_128_GCM_SHA256:/],
    ['Old', { HEADGATE_TLS_PROFILE: 'Old' }, { minVersion: 'TLSv1' }, /:AES256-SHA:@SECLEVEL=0$/],
    [
      'a setting goes before the profile',
      { HEADGATE_TLS_PROFILE: 'Modern', SSL_MIN_VERSION: 'TLSv1.2', ROUTER_CIPHERS: 'ECDHE-RSA-AES128-GCM-SHA256' },
      { minVersion: 'TLSv1.2' },
      /^TLS_[A-Z0-9_:]+:ECDHE-RSA-AES128-GCM-SHA256$/,
    ],
    ['one version', { SSL_MIN_VERSION: 'TLSv1.3', SSL_MAX_VERSION: 'TLSv1.3' }, { maxVersion: 'TLSv1.3' }, /./],
    ['an old version', { SSL_MIN_VERSION: 'TLSv1.1' }, { minVersion: 'TLSv1.1' }, /:@SECLEVEL=0$/],
    ['a list with an unknown name', { ROUTER_CIPHERS: 'DES-CBC3-SHA:AES128-SHA' }, {}, /:DES-CBC3-SHA:AES128-SHA$/],
    ['suites', { ROUTER_CIPHERSUITES: 'TLS_AES_256_GCM_SHA384' }, {}, /^TLS_AES_256_GCM_SHA384:ECDHE/],
    ['groups', { ROUTER_CURVES: 'P-256:X25519' }, { ecdhCurve: 'P-256:X25519' }, /./],
  ])('%s', (_name, env, expected, ciphers) => {
    const options = optionsOf(env);
    expect(options).toMatchObject(expected);
    expect(options.ciphers).toMatch(ciphers);
  });
});

test('everything that is wrong is told at once', () => {
  const env = {
    ROUTER_CIPHERS: 'strong',
    ROUTER_CIPHERSUITES: 'TLS_AES_128_GCM_SHA256:TLS_FOO',
    SSL_MIN_VERSION: 'SSLv3',
    ROUTER_MUTUAL_TLS_AUTH: 'required',
    ROUTER_MUTUAL_TLS_AUTH_FILTER: '(',
    HEADGATE_TICKET_ROTATION: '0',
  };
  expect(problemsOf(env, ['--curves', 'X25519:curve-9:'])).toEqual([
    'SSL_MIN_VERSION: "SSLv3" is not one of TLSv1.0, TLSv1.1, TLSv1.2, TLSv1.3',
    'HEADGATE_TICKET_ROTATION: "0" is not a time (a positive whole number, then us, ms, s, m, h or d; none is ms)',
    'ROUTER_MUTUAL_TLS_AUTH_FILTER: "(" is not a regular expression',
    '--mutual-tls-auth-ca: is required with ROUTER_MUTUAL_TLS_AUTH required',
    'ROUTER_CIPHERS: "strong": neither modern, intermediate, old nor a list in which OpenSSL knows a cipher',
    'ROUTER_CIPHERSUITES: "TLS_FOO": no cipher suite of TLS 1.3',
    '--curves: "curve-9:": no group that OpenSSL knows',
  ]);
});

test.each<[Record<string, string>, string]>([
  [{ SSL_MIN_VERSION: 'TLSv1.3', SSL_MAX_VERSION: 'TLSv1.2' }, 'TLSv1.2 is below the lowest version, TLSv1.3'],
  [{ HEADGATE_TLS_PROFILE: 'Modern', SSL_MAX_VERSION: 'TLSv1.2' }, 'TLSv1.2 is below the lowest version, TLSv1.3'],
  [{ SSL_MAX_VERSION: 'TLSv1.1' }, 'TLSv1.1 is below the lowest version, TLSv1.2'],
])('versions that leave none: %o', (env, problem) => {
  expect(problemsOf(env)).toEqual([`SSL_MAX_VERSION: ${problem}`]);
});

test('a private key in the wrong place stays out of the problems', () => {
  const line = 'MHcCAQEEIBsecretsecretsecretsecretsecretsecretsecretsecretsecret';
  const pem = `-----BEGIN EC PRIVATE KEY-----\n${line}\n${line}=\n-----END EC PRIVATE KEY-----\n`;
  const env = { ROUTER_CIPHERS: pem, ROUTER_CIPHERSUITES: pem, ROUTER_CURVES: pem };
  expect(problemsOf(env)).toHaveLength(3);
  expect(problemsOf(env).join()).not.toContain('secretsecret');
});
