// Client certificates and TLS policy over the real processes: files and Secrets that change, keys that rotate, settings that are
// wrong.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate, makeRevocationList, type TestCertificate } from '../support/certificates.ts';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { eventually, ManifestFolder, RunningRouter, runCommand } from '../support/router.ts';

const ca = makeAuthority({ name: 'clients' });
const otherCa = makeAuthority({ name: 'other clients' });
const ann = makeCertificate({ names: ['ann'], clientAuth: true, issuer: ca });
const bob = makeCertificate({ names: ['bob'], clientAuth: true, issuer: ca });
const stranger = makeCertificate({ names: ['ann'], clientAuth: true, issuer: otherCa });
const own = makeCertificate({ names: ['own.test'] });

type Outcome = { readonly status: number; readonly reused: boolean; readonly session: Buffer | null };

const offer = ({ certificate, key }: TestCertificate): ConnectionOptions => ({ cert: certificate, key });

/** One request over TLS; status 0 where the connection is cut. */
function request(port: number, host: string, options: ConnectionOptions = {}): Promise<Outcome> {
  return new Promise((done) => {
    let session: Buffer | null = null;
    let text = '';
    const base = { port, host: '127.0.0.1', servername: host, rejectUnauthorized: false };
    const socket: TLSSocket = connect({ ...base, ...options }, () => {
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    });
    const finish = (): void => {
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
      done({ status, reused: socket.isSessionReused(), session });
      socket.destroy();
    };
    socket.on('session', (made) => {
      session = made;
      if (text !== '') finish();
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (session !== null || socket.isSessionReused()) finish();
    });
    socket.on('error', finish);
    socket.on('close', finish);
  });
}

const statusOf = async (port: number, host: string, options: ConnectionOptions = {}): Promise<number> =>
  (await request(port, host, options)).status;

const becomes = (port: number, host: string, options: ConnectionOptions, status: number): Promise<number> =>
  eventually(
    () => statusOf(port, host, options),
    (found) => found === status,
  );

/** A Route with annotations, as YAML. */
function annotatedYaml(name: string, annotations: string, tls: string): string {
  return routeYaml(name, `${name}.test`, 'web', tls).replace(
    `metadata: { name: ${name} }`,
    `metadata: { name: ${name}, annotations: { ${annotations} } }`,
  );
}

function secretYaml(name: string, data: Readonly<Record<string, string>>): string {
  return `---\n${JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, type: 'Opaque', stringData: data })}\n`;
}

const edge = 'tls: { termination: edge }';

describe('for all Routes', () => {
  test('the CA and its revocation list are followed as they change; what cannot be used changes nothing', async () => {
    await using pod = await NamedPod.start('pod');
    using folder = new ManifestFolder();
    using files = new ManifestFolder();
    folder.write('all.yaml', routeYaml('own', 'own.test', 'web', edge) + serviceYaml('web', [pod.port]));
    files.write('ca.pem', ca.certificate);
    files.write('crl.pem', makeRevocationList({ issuer: ca, revoked: [] }));
    await using router = await RunningRouter.start(folder, ['--workers', '2'], {
      ROUTER_MUTUAL_TLS_AUTH: 'required',
      ROUTER_MUTUAL_TLS_AUTH_CA: `${files.path}/ca.pem`,
      ROUTER_MUTUAL_TLS_AUTH_CRL: `${files.path}/crl.pem`,
      ROUTER_MUTUAL_TLS_AUTH_FILTER: '^/CN=(ann|bob)$',
    });
    const { httpsPort } = router;
    const first = await request(httpsPort, 'own.test', offer(bob));
    expect(first.status).toBe(200);
    expect(await statusOf(httpsPort, 'own.test')).toBe(0);
    expect(await statusOf(httpsPort, 'own.test', offer(stranger))).toBe(0);
    expect(await statusOf(httpsPort, 'own.test', offer(ann))).toBe(200);

    files.write('crl.pem', makeRevocationList({ issuer: ca, revoked: [bob] }));
    await becomes(httpsPort, 'own.test', offer(bob), 0);
    const session = first.session ?? undefined;
    expect(session).toBeDefined();
    if (session !== undefined) expect(await statusOf(httpsPort, 'own.test', { session })).toBe(0);
    expect(await statusOf(httpsPort, 'own.test', offer(ann))).toBe(200);

    const told = router.nextLine((line) => line.msg === 'client authority cannot be used, the last good one stays');
    files.write('crl.pem', 'nothing\n');
    expect(String((await told)['reason'])).toContain('revocation lists');
    expect(await statusOf(httpsPort, 'own.test', offer(bob))).toBe(0);
    expect(await statusOf(httpsPort, 'own.test', offer(ann))).toBe(200);

    files.write('crl.pem', makeRevocationList({ issuer: otherCa, revoked: [] }));
    files.write('ca.pem', otherCa.certificate);
    await becomes(httpsPort, 'own.test', offer(stranger), 200);
    await becomes(httpsPort, 'own.test', offer(ann), 0);
  });

  test('revocation lists are fetched from where the CA says; until then every certificate is refused', async () => {
    let list: string | null = null;
    const asked: ServerResponse[] = [];
    const lists = createServer((_request, response) => {
      if (list === null) asked.push(response);
      else response.end(list);
    });
    await new Promise<void>((listening) => lists.listen(0, '127.0.0.1', listening));
    const crlUrl = `http://127.0.0.1:${(lists.address() as AddressInfo).port}/ca.crl`;
    const listed = makeAuthority({ name: 'listed', crlUrl });
    const [good, bad] = ['good', 'bad'].map((name) =>
      makeCertificate({ names: [name], clientAuth: true, issuer: listed }),
    ) as [TestCertificate, TestCertificate];
    await using pod = await NamedPod.start('pod');
    using folder = new ManifestFolder();
    using files = new ManifestFolder();
    folder.write('all.yaml', routeYaml('own', 'own.test', 'web', edge) + serviceYaml('web', [pod.port]));
    files.write('ca.pem', listed.certificate);
    await using router = await RunningRouter.start(folder, ['--workers', '1'], {
      ROUTER_MUTUAL_TLS_AUTH: 'optional',
      ROUTER_MUTUAL_TLS_AUTH_CA: `${files.path}/ca.pem`,
    });
    const { httpsPort } = router;
    expect(await statusOf(httpsPort, 'own.test', offer(good))).toBe(0);
    expect(await statusOf(httpsPort, 'own.test')).toBe(200);
    list = makeRevocationList({ issuer: listed, revoked: [bad] });
    for (const response of asked) response.end(list);
    await becomes(httpsPort, 'own.test', offer(good), 200);
    expect(await statusOf(httpsPort, 'own.test', offer(bad))).toBe(0);
    expect(await router.metric('headgate_crl_fetches_total', 'result="fetched"')).toBe(1);
    lists.closeAllConnections();
    lists.close();
  });

  test.each([
    ['that is no CA', 'nothing\n', 'CA certificates: data does not contain any'],
    ['that is empty', '', 'CA certificates: data does not contain any'],
  ])('a CA file %s ends the start', async (_name, text, reason) => {
    using folder = new ManifestFolder();
    folder.write('ca.pem', text);
    const ports = ['--http-port', '0', '--https-port', '0', '--admin-port', '0', '--bind', '127.0.0.1'];
    const { code, stderr } = await runCommand(['serve', ...folder.sourceArgs, ...ports], {
      ROUTER_MUTUAL_TLS_AUTH: 'optional',
      ROUTER_MUTUAL_TLS_AUTH_CA: `${folder.path}/ca.pem`,
    });
    expect(code).toBe(1);
    expect(stderr).toContain(reason);
  });
});

test('for one Route: its Secret comes, changes and goes, and explain says what is demanded', async () => {
  await using pod = await NamedPod.start('pod');
  using folder = new ManifestFolder();
  const inline = `tls: { termination: edge, insecureEdgeTerminationPolicy: Allow, certificate: ${JSON.stringify(own.certificate)}, key: ${JSON.stringify(own.key)} }`;
  folder.write(
    'all.yaml',
    annotatedYaml('own', 'headgate.io/client-ca-secret: clients', inline) +
      routeYaml('open', 'open.test', 'web', edge) +
      serviceYaml('web', [pod.port]),
  );
  await using router = await RunningRouter.start(folder, ['--workers', '1']);
  const { httpsPort } = router;
  expect(await statusOf(httpsPort, 'own.test')).toBe(503);
  folder.write('secret.yaml', secretYaml('clients', { 'ca.crt': ca.certificate }));
  await becomes(httpsPort, 'own.test', offer(ann), 200);
  expect(await statusOf(httpsPort, 'own.test')).toBe(0);
  expect(await statusOf(httpsPort, 'open.test')).toBe(200);

  const explained = await runCommand(['explain', 'https://own.test/', '--admin-port', String(router.adminPort)]);
  expect(explained.stdout).toMatch(/^clients {4}certificate required, authority [0-9a-f]{16}$/m);
  expect(explained.stdout).toContain('without one the handshake fails');
  const plain = await runCommand(['explain', 'http://own.test/', '--admin-port', String(router.adminPort)]);
  expect(plain.stdout).toContain('403 (no-client-certificate)');

  const crl = makeRevocationList({ issuer: ca, revoked: [ann] });
  folder.write('secret.yaml', secretYaml('clients', { 'ca.crt': ca.certificate, 'ca.crl': crl }));
  await becomes(httpsPort, 'own.test', offer(ann), 0);
  expect(await statusOf(httpsPort, 'own.test', offer(bob))).toBe(200);
  folder.write('secret.yaml', secretYaml('clients', {}));
  await becomes(httpsPort, 'own.test', offer(bob), 503);
  const { text } = await router.admin('/debug/routes');
  expect(text).toContain('secret has no ca.crt');
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: ticket keys are replaced in all workers', async (maxVersion) => {
  using folder = new ManifestFolder();
  await using router = await RunningRouter.start(folder, ['--workers', '2', '--ticket-rotation', '2s']);
  const { httpsPort } = router;
  await router.nextLine((line) => line.msg === 'ticket keys rotated');
  // A worker may hear of it a moment later: what was issued under the new keys resumes.
  const fresh = await eventually(
    async () => {
      const { session } = await request(httpsPort, 'any.test', { maxVersion });
      if (session === null) return null;
      const again = await Promise.all(
        Array.from({ length: 4 }, () => request(httpsPort, 'any.test', { maxVersion, session })),
      );
      return again.every(({ reused, status }) => reused && status === 503) ? session : null;
    },
    (session) => session !== null,
  );
  await router.nextLine((line) => line.msg === 'ticket keys rotated');
  const session = fresh ?? Buffer.alloc(0);
  await eventually(
    () => Promise.all(Array.from({ length: 8 }, () => request(httpsPort, 'any.test', { maxVersion, session }))),
    (outcomes) => outcomes.every(({ reused, status }) => !reused && status === 503),
  );
});

test('settings that OpenSSL does not take end the start, all told at once', async () => {
  using folder = new ManifestFolder();
  const { code, stderr } = await runCommand(
    ['serve', ...folder.sourceArgs, '--ciphers', 'strong', '--http-port', 'x', '--tls-max-version', 'TLSv1.1'],
    { ROUTER_CURVES: 'flat', ROUTER_MUTUAL_TLS_AUTH: 'required' },
  );
  expect(code).toBe(2);
  for (const name of ['--ciphers', '--http-port', '--tls-max-version', 'ROUTER_CURVES', '--mutual-tls-auth-ca']) {
    expect(stderr).toContain(`headgate serve: ${name}: `);
  }
});

test('versions, ciphers and groups are those of the settings', async () => {
  using folder = new ManifestFolder();
  await using router = await RunningRouter.start(folder, ['--workers', '1', '--strict-sni=false'], {
    SSL_MIN_VERSION: 'TLSv1.1',
    SSL_MAX_VERSION: 'TLSv1.2',
    ROUTER_CIPHERS: 'ECDHE-RSA-AES256-SHA:ECDHE-ECDSA-AES256-SHA',
    ROUTER_CURVES: 'secp384r1',
  });
  const { httpsPort } = router;
  const old = { ciphers: 'DEFAULT:@SECLEVEL=0' };
  expect(await statusOf(httpsPort, 'a.test', { ...old, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' })).toBe(503);
  expect(await statusOf(httpsPort, 'a.test', { minVersion: 'TLSv1.3' })).toBe(0);
  expect(await statusOf(httpsPort, 'a.test', { ciphers: 'ECDHE+AESGCM' })).toBe(0);
  expect(await statusOf(httpsPort, 'a.test', { ecdhCurve: 'P-256' })).toBe(0);
  expect(await statusOf(httpsPort, 'a.test', { ecdhCurve: 'P-384' })).toBe(503);
});
