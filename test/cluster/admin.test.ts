// The admin port of the real command: TLS and HTTP on one port, who may read what, credentials and certificates that change.

import { request } from 'node:https';
import { describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { isRealCluster, TestCluster } from '../support/cluster.ts';
import { servedName } from '../support/requests.ts';
import { eventually, ManifestFolder, RunningRouter, runCommand } from '../support/router.ts';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

/** The status and the challenges of an answer over HTTP. */
async function plain(port: number, path: string, authorization = '', method = 'GET'): Promise<string> {
  const headers: Record<string, string> = authorization === '' ? {} : { authorization };
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers });
  await response.text();
  return [response.status, response.headers.get('www-authenticate')].filter((part) => part !== null).join(' ');
}

/** The status of an answer over TLS. */
function secure(port: number, path: string, authorization: string): Promise<number> {
  return new Promise((done, failed) => {
    const options = { host: '127.0.0.1', port, path, headers: { authorization }, rejectUnauthorized: false };
    request({ ...options, agent: false }, (response) => {
      response.resume().on('end', () => done(response.statusCode ?? 0));
    })
      .on('error', failed)
      .end();
  });
}

test('with a certificate and credentials in files: both protocols, and what changes is followed', async () => {
  using folder = new ManifestFolder();
  using files = new ManifestFolder();
  const first = makeCertificate({ names: ['first.test'] });
  const second = makeCertificate({ names: ['second.test'] });
  files.write('tls.crt', first.certificate);
  files.write('tls.key', first.key);
  files.write('user', 'admin\n');
  files.write('password', 'one');
  await using router = await RunningRouter.start(folder, ['--workers', '1'], {
    ROUTER_METRICS_TYPE: 'haproxy',
    ROUTER_LISTEN_ADDR: '127.0.0.1:0',
    ROUTER_METRICS_TLS_CERT_FILE: `${files.path}/tls.crt`,
    ROUTER_METRICS_TLS_KEY_FILE: `${files.path}/tls.key`,
    STATS_USERNAME_FILE: `${files.path}/user`,
    STATS_PASSWORD_FILE: `${files.path}/password`,
    STATS_PASSWORD: 'not this',
  });
  const port = router.adminPort;
  const challenge = '401 Basic realm="headgate", charset="UTF-8"';
  expect(await plain(port, '/metrics')).toBe(challenge);
  expect(await plain(port, '/metrics', basic('admin:not this'))).toBe(challenge);
  expect(await plain(port, '/metrics', basic('admin:one'))).toBe('200');
  expect(await plain(port, '/metrics', basic('admin:one'), 'HEAD')).toBe('200');
  expect(await plain(port, '/metrics', basic('admin:one'), 'POST')).toBe('405');
  expect(await secure(port, '/metrics', basic('admin:one'))).toBe(200);
  expect(await secure(port, '/metrics', basic('admin:two'))).toBe(401);
  expect(await plain(port, '/healthz/ready/backend-http')).toBe('200');
  expect(await plain(port, '/healthz/backend-http')).toBe('404');
  expect(await plain(port, '/nothing')).toBe('404');
  const explained = await runCommand(['explain', 'http://a.test/'], { ROUTER_LISTEN_ADDR: `127.0.0.1:${port}` });
  expect(explained).toMatchObject({ code: 0, stdout: expect.stringContaining('503 (no-route)') });

  files.write('password', 'two\n');
  await eventually(
    () => plain(port, '/metrics', basic('admin:two')),
    (answer) => answer === '200',
  );
  expect(await plain(port, '/metrics', basic('admin:one'))).toBe(challenge);
  expect(await servedName(port, 'any.test')).toBe('first.test');
  const half = router.line(({ msg }) => msg?.startsWith('certificate of the admin port cannot be served') === true);
  files.write('tls.crt', second.certificate);
  expect(await half).toMatchObject({ reason: 'it holds the key of another certificate' });
  expect(await servedName(port, 'any.test')).toBe('first.test');
  files.write('tls.key', second.key);
  await eventually(
    () => servedName(port, 'any.test'),
    (name) => name === 'second.test',
  );
  expect(router.output).not.toMatch(/PRIVATE KEY|not this/);
});

test('what cannot be served ends the start, by the name that was typed', async () => {
  using files = new ManifestFolder();
  files.write('tls.crt', 'nonsense');
  files.write('tls.key', makeCertificate({ names: ['a.test'] }).key);
  files.write('empty', '');
  const { code, stderr } = await runCommand(['serve', '--source', 'files', '--manifests', files.path], {
    ROUTER_METRICS_TLS_CERT_FILE: `${files.path}/tls.crt`,
    ROUTER_METRICS_TLS_KEY_FILE: `${files.path}/tls.key`,
    STATS_USERNAME: 'admin',
    STATS_PASSWORD_FILE: `${files.path}/empty`,
  });
  expect(code).toBe(2);
  expect(stderr).toContain(`ROUTER_METRICS_TLS_CERT_FILE: "${files.path}/tls.crt" holds no certificate (PEM)`);
  expect(stderr).toContain(`STATS_PASSWORD_FILE: "${files.path}/empty" is empty`);
  const curves = await runCommand(['serve', '--source', 'files', '--manifests', files.path], {
    ROUTER_METRICS_TLS_CURVES: 'X25519:InvalidCurve',
    ROUTER_METRICS_TLS_CIPHERS: 'SOMETHING',
  });
  expect(curves.stderr).toContain('ROUTER_METRICS_TLS_CURVES: curves are not supported: [InvalidCurve]');
  expect(curves.stderr).toContain('ROUTER_METRICS_TLS_CIPHERS: no such ciphers: [SOMETHING]');
});

describe.skipIf(isRealCluster)('in a cluster', () => {
  test('the API server says who may read metrics, with the rights of the manifests', async () => {
    await using cluster = await TestCluster.start();
    const { server } = cluster;
    if (server === null) throw new Error('it is ours');
    server.tokens.add('of-prometheus');
    server.users.set('of-prometheus', 'system:serviceaccount:monitoring:prometheus');
    server.sarAllows((user, { resource, subresource, verb, name }) => {
      const isScrape = resource === 'routers' && subresource === 'metrics' && verb === 'get' && name === 'edge';
      return isScrape && user.endsWith(':prometheus');
    });
    const args = ['--workers', '1', '--metrics-auth', 'openshift', '--name', 'edge'];
    await using router = await RunningRouter.start(cluster, args, {
      STATS_USERNAME: 'admin',
      STATS_PASSWORD: 'secret',
    });
    const port = router.adminPort;
    const answers = await Promise.all([
      plain(port, '/metrics'),
      plain(port, '/metrics', 'Bearer of-prometheus'),
      plain(port, '/metrics', basic('admin:secret')),
      plain(port, '/debug/routes', 'Bearer of-prometheus'),
      plain(port, '/debug/routes'),
      plain(port, '/readyz'),
    ]);
    expect(answers).toEqual(['403', '200', '200', '403', '200', '200']);
    const challenges = 'Basic realm="headgate", charset="UTF-8", Bearer realm="headgate"';
    expect(await plain(port, '/metrics', 'Bearer bad')).toBe(`401 ${challenges}`);
    expect(await plain(port, '/metrics', basic('admin:wrong'))).toBe(`401 ${challenges}`);
  });
});
