// TLS towards clients: which certificate, which versions, resumption, and clients that are not ours.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate, type TestCertificate } from '../support/certificates.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { certificate, certificateId, defaultCertificate, route } from '../support/rules.ts';

const authority = makeAuthority({ name: 'tls test' });
const certificates = {
  rsa: makeCertificate({ names: ['rsa.test'], issuer: authority, keyType: 'rsa' }),
  ec: makeCertificate({ names: ['ec.test'], issuer: authority }),
  wild: makeCertificate({ names: ['*.w.test'], issuer: authority }),
} as const satisfies Record<string, TestCertificate>;

/** A data plane with Routes under certificates of every kind, and one pod behind them all. */
async function serve(pod: Pod, options: DataPlaneOptions = {}): Promise<DataPlane> {
  const edge = { pods: [pod.port], termination: 'edge' } as const;
  return await DataPlane.start(
    [
      ...Object.entries(certificates).map(([id, made]) => certificate(id, made.certificate, made.key)),
      ...route({ ...edge, host: 'rsa.test', certificate: certificateId('rsa') }),
      ...route({ ...edge, host: 'ec.test', certificate: certificateId('ec') }),
      ...route({ ...edge, host: '*.w.test', certificate: certificateId('wild') }),
      ...route({ ...edge, host: 'own.w.test' }),
      ...route({ ...edge, host: 'default.test' }),
      ...route({ host: 'plain.test', pods: [pod.port] }),
    ],
    options,
  );
}

function nameOf(client: Peer): string | undefined {
  const name = client.tls.getPeerCertificate().subject.CN;
  return Array.isArray(name) ? name[0] : name;
}

/** The status of one request. */
async function statusOf(client: Peer, host: string): Promise<number> {
  await client.write(getRequest(host));
  return (await client.message()).status;
}

const pod = (): Promise<Pod> => Pod.start(answering(ok('hello')));

describe('the certificate by SNI (observed 16)', () => {
  const fallback = '*.apps.example.test';
  test.each<[string, string | undefined, string, string, number]>([
    ['RSA', 'rsa.test', 'rsa.test', 'rsa.test', 200],
    ['EC', 'ec.test', 'ec.test', 'ec.test', 200],
    ['upper case', 'EC.Test', 'ec.test', 'ec.test', 200],
    ['a host under a wildcard', 'any.w.test', 'any.w.test', '*.w.test', 200],
    ['an exact host under a wildcard that has a certificate', 'own.w.test', 'own.w.test', '*.w.test', 200],
    ['a host two labels under a wildcard', 'a.b.w.test', 'a.b.w.test', fallback, 503],
    ['a Route without certificate', 'default.test', 'default.test', fallback, 200],
    ['an unknown host', 'no.test', 'no.test', fallback, 503],
    ['a plain Route', 'plain.test', 'plain.test', fallback, 503],
    ['no SNI, Host known', undefined, 'ec.test', fallback, 200],
    ['no SNI, Host unknown', undefined, 'no.test', fallback, 503],
    ['SNI unknown, Host known', 'no.test', 'ec.test', fallback, 200],
    ['SNI of one Route, Host of another', 'rsa.test', 'ec.test', 'rsa.test', 200],
    ['a name that is none', 'under_score.test', 'ec.test', fallback, 200],
  ])('%s', async (_name, servername, host, expected, status) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using client = await Peer.connectTls(plane.httpsPort, servername === undefined ? {} : { servername });
    expect(nameOf(client)).toBe(expected);
    expect(await statusOf(client, host)).toBe(status);
  });

  test('a client that verifies accepts it', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const verify = { ca: authority.certificate, rejectUnauthorized: true };
    for (const servername of ['rsa.test', 'ec.test', 'any.w.test']) {
      using client = await Peer.connectTls(plane.httpsPort, { ...verify, servername });
      expect(client.tls.authorized).toBe(true);
    }
  });

  test('the default certificate is replaced while serving, old connections go on', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using before = await Peer.connectTls(plane.httpsPort);
    const made = makeCertificate({ names: ['replaced.test'] });
    plane.put(certificate('next', made.certificate, made.key), defaultCertificate('next'));
    for (const options of [{}, { servername: 'default.test' }, { servername: 'no.test' }]) {
      using after = await Peer.connectTls(plane.httpsPort, options);
      expect(nameOf(after)).toBe('replaced.test');
    }
    expect(await statusOf(before, 'ec.test')).toBe(200);
  });

  test('a certificate that OpenSSL does not take: that host alone falls back, and the log says why', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    plane.put(
      certificate('broken', certificates.ec.certificate, certificates.wild.key),
      ...route({ host: 'ec.test', termination: 'edge', pods: [backend.port], certificate: certificateId('broken') }),
    );
    for (let i = 0; i < 2; i++) {
      using client = await Peer.connectTls(plane.httpsPort, { servername: 'ec.test' });
      expect(nameOf(client)).toBe(fallback);
    }
    const errors = plane.lines.filter((line) => line.message === 'certificate cannot be served');
    expect(errors).toEqual([expect.objectContaining({ certificate: 'broken' })]);
  });
});

describe('versions and key exchange', () => {
  test.each<[string, ConnectionOptions, string]>([
    ['TLS 1.2', { maxVersion: 'TLSv1.2' }, 'TLSv1.2'],
    ['TLS 1.3', { minVersion: 'TLSv1.3' }, 'TLSv1.3'],
    ['TLS 1.2 and P-384', { maxVersion: 'TLSv1.2', ecdhCurve: 'P-384:P-256' }, 'TLSv1.2'],
    ['post-quantum', { minVersion: 'TLSv1.3', ecdhCurve: 'X25519MLKEM768' }, 'TLSv1.3'],
    ['a hello without key share for what the server prefers', { ecdhCurve: 'P-521:X25519' }, 'TLSv1.3'],
    ['ALPN http/1.1', { ALPNProtocols: ['http/1.1'] }, 'TLSv1.3'],
  ])('%s', async (_name, options, version) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    for (const servername of ['rsa.test', 'ec.test']) {
      using client = await Peer.connectTls(plane.httpsPort, { ...options, servername });
      expect(client.tls.getProtocol()).toBe(version);
      expect(client.tls.alpnProtocol).toBe(options.ALPNProtocols === undefined ? false : 'http/1.1');
      expect(await statusOf(client, servername)).toBe(200);
    }
  });

  test('TLS 1.1 is refused with the alert that says so', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
    await expect(Peer.connectTls(plane.httpsPort, { ...old, servername: 'rsa.test' })).rejects.toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    });
    expect(await plane.ended()).toBe('handshake-failed');
    expect(plane.metric('headgate_tls_handshakes_total', 'failed')).toBe(1);
  });
});

describe('resumption', () => {
  const keys = randomBytes(48);

  /** A full handshake, and the ticket that it yielded. */
  async function ticketOf(plane: DataPlane, options: ConnectionOptions): Promise<Buffer> {
    using client = await Peer.connectTls(plane.httpsPort, options);
    const ticket = new Promise<Buffer>((came) => {
      client.tls.once('session', came);
    });
    // TLS 1.2 has it within the handshake, TLS 1.3 sends it behind.
    const early = options.maxVersion === 'TLSv1.2' ? client.tls.getSession() : undefined;
    expect(await statusOf(client, 'ec.test')).toBe(200);
    return early ?? (await ticket);
  }

  test.each(
    (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
      ['ec.test', 'no.test', undefined].map((name) => [version, name] as const),
    ),
  )('%s, SNI %s: in another worker with the same keys, not in one with others', async (version, servername) => {
    await using backend = await pod();
    await using first = await serve(backend, { ticketKeys: keys });
    await using second = await serve(backend, { ticketKeys: keys });
    await using stranger = await serve(backend);
    const options = {
      ...{ minVersion: version, maxVersion: version },
      ...(servername === undefined ? {} : { servername }),
    };
    const session = await ticketOf(first, options);
    for (const [plane, resumed] of [
      [first, true],
      [second, true],
      [stranger, false],
    ] as const) {
      using client = await Peer.connectTls(plane.httpsPort, { ...options, session });
      expect(client.tls.isSessionReused()).toBe(resumed);
      expect(await statusOf(client, 'ec.test')).toBe(200);
      expect(plane.metric('headgate_tls_handshakes_total', 'resumed')).toBe(resumed ? 1 : 0);
    }
  });
});

test('close_notify is half a close: the answer still comes', async () => {
  await using backend = await pod();
  await using plane = await serve(backend);
  using client = await Peer.connectTls(plane.httpsPort, { servername: 'ec.test' });
  await client.write(getRequest('ec.test'));
  client.finish();
  expect((await client.message()).status).toBe(200);
  expect(await client.ended).toBe('fin');
  expect(await plane.ended()).toBe('client-closed');
});

describe('foreign clients', () => {
  const present = (program: string): boolean =>
    (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, program)));

  function run(program: string, args: readonly string[], input: string): Promise<string> {
    return new Promise((done) => {
      const child = execFile(program, args, { encoding: 'latin1' }, (_error, stdout, stderr) => done(stdout + stderr));
      child.stdin?.end(input);
    });
  }

  test.for(['-tls1_2', '-tls1_3'])('openssl s_client %s', async (version, { skip }) => {
    if (!present('openssl')) skip('openssl is not installed');
    await using backend = await pod();
    await using plane = await serve(backend);
    const address = `127.0.0.1:${plane.httpsPort}`;
    const args = ['s_client', '-connect', address, '-servername', 'rsa.test', version, '-ign_eof'];
    const output = await run('openssl', args, getRequest('rsa.test', '/', 'Connection: close\r\n'));
    expect(output).toMatch(/subject=CN ?= ?rsa\.test/);
    expect(output).toContain('HTTP/1.1 200 OK\r\n');
    expect(output).toContain('hello');
  });

  test('curl, two requests on one connection, certificate verified', async ({ skip, onTestFinished }) => {
    if (!present('curl')) skip('curl is not installed');
    await using backend = await pod();
    await using plane = await serve(backend);
    const folder = mkdtempSync(join(tmpdir(), 'headgate-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const ca = join(folder, 'ca.pem');
    writeFileSync(ca, authority.certificate);
    const to = `ec.test:443:127.0.0.1:${plane.httpsPort}`;
    const args = ['-sS', '-v', '--cacert', ca, '--connect-to', to, 'https://ec.test/1', 'https://ec.test/2'];
    const output = await run('curl', args, '');
    expect(output).toContain('hellohello');
    expect(plane.metric('headgate_connections_total', 'https')).toBe(1);
  });
});
