import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type AdminTlsSettings, adminTls, adminTlsProblems } from '../../src/admin/tls-settings.ts';
import type { SettingValues } from '../../src/config/schema.ts';
import { makeCertificate } from '../support/certificates.ts';

const own = makeCertificate({ names: ['router.test'] });
const other = makeCertificate({ names: ['other.test'] });
const folder = mkdtempSync(join(tmpdir(), 'admin-tls-'));
afterAll(() => rmSync(folder, { recursive: true }));

const defaults: AdminTlsSettings = {
  metricsTlsMinVersion: 'VersionTLS12',
  metricsTlsCiphers: '',
  metricsTlsCurves: '',
};

function optionsOf(settings: Partial<AdminTlsSettings>): object {
  const made = adminTls({ ...defaults, ...settings }, own.certificate, own.key);
  return made.kind === 'options' ? made.options : made;
}

const suites = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

const settings: readonly (readonly [Partial<AdminTlsSettings>, object])[] = [
  [{}, { minVersion: 'TLSv1.2', ecdhCurve: 'auto', ciphers: expect.stringMatching(/^TLS_AES.*:ECDHE-RSA-AES128-GCM/) }],
  [{ metricsTlsMinVersion: 'VersionTLS13' }, { minVersion: 'TLSv1.3' }],
  [
    { metricsTlsMinVersion: 'VersionTLS10' },
    { minVersion: 'TLSv1', ciphers: expect.stringMatching(/:ECDHE-RSA-AES128-SHA:.*:@SECLEVEL=0$/) },
  ],
  [
    { metricsTlsCiphers: 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:TLS_RSA_WITH_AES_128_CBC_SHA' },
    { minVersion: 'TLSv1.2', ciphers: `${suites}:ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA` },
  ],
  [
    { metricsTlsCiphers: 'TLS_RSA_WITH_RC4_128_SHA:TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305' },
    { ciphers: `${suites}:ECDHE-ECDSA-CHACHA20-POLY1305` },
  ],
  [{ metricsTlsCiphers: 'TLS_AES_128_GCM_SHA256' }, { minVersion: 'TLSv1.3', ciphers: suites }],
  [{ metricsTlsCurves: 'X25519,secp256r1' }, { ecdhCurve: 'X25519:secp256r1' }],
  [{ metricsTlsCurves: 'secp384r1:secp521r1' }, { ecdhCurve: 'secp384r1:secp521r1' }],
  [{ metricsTlsCurves: ' X25519MLKEM768 , X25519 : CurveP256' }, { ecdhCurve: 'X25519MLKEM768:X25519:P-256' }],
];

test.each(settings)('%j', (given, expected) => {
  expect(optionsOf(given)).toMatchObject(expected);
  expect(adminTlsProblems({ ...defaults, ...given })).toEqual([]);
});

const problems: readonly (readonly [Partial<SettingValues>, object[]])[] = [
  [
    { metricsTlsCurves: 'X25519,InvalidCurve' },
    [{ key: 'metricsTlsCurves', because: 'curves are not supported: [InvalidCurve]' }],
  ],
  [{ metricsTlsCurves: '  ,  :  ' }, [{ key: 'metricsTlsCurves', because: 'no valid curves found' }]],
  [
    { metricsTlsCiphers: 'TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256:x' },
    [{ key: 'metricsTlsCiphers', because: 'no such ciphers: [ECDHE-RSA-AES128-GCM-SHA256 x]' }],
  ],
  [
    { metricsTlsCiphers: 'TLS_RSA_WITH_RC4_128_SHA' },
    [{ key: 'metricsTlsCiphers', because: 'names no cipher that there still is' }],
  ],
  [
    { metricsTlsCiphers: own.key },
    [{ key: 'metricsTlsCiphers', because: expect.stringMatching(/^no such ciphers: \(a text of \d+ characters\)$/) }],
  ],
];

test.each(problems)('%j is told', (given, expected) => {
  expect(adminTlsProblems({ ...defaults, ...given })).toEqual(expected);
});

describe('certificate and key', () => {
  const files: readonly (readonly [
    cert: string,
    key: string,
    file: 'metricsTlsCertFile' | 'metricsTlsKeyFile',
    string,
  ])[] = [
    ['', own.key, 'metricsTlsCertFile', 'holds no certificate (PEM)'],
    [own.key, own.key, 'metricsTlsCertFile', 'holds no certificate (PEM)'],
    [own.certificate, '', 'metricsTlsKeyFile', 'holds no private key (PEM)'],
    [own.certificate, own.certificate, 'metricsTlsKeyFile', 'holds no private key (PEM)'],
    [own.certificate, other.key, 'metricsTlsKeyFile', 'holds the key of another certificate'],
  ];

  test.each(files)('that cannot be served are told by file (%#)', (cert, key, file, because) => {
    const metricsTlsCertFile = join(folder, 'tls.crt');
    const metricsTlsKeyFile = join(folder, 'tls.key');
    writeFileSync(metricsTlsCertFile, cert);
    writeFileSync(metricsTlsKeyFile, key);
    const paths = { metricsTlsCertFile, metricsTlsKeyFile };
    expect(adminTlsProblems({ ...defaults, ...paths })).toEqual([
      { key: file, because: `${JSON.stringify(paths[file])} ${because}` },
    ]);
  });
});
