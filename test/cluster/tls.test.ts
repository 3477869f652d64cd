// TLS over the real processes: sessions that resume in another worker, default certificates that change on disk.

import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { eventually, ManifestFolder, RunningRouter, runCommand } from '../support/router.ts';

const authority = makeAuthority({ name: 'test authority' });

type Handshake = { readonly name: string; readonly reused: boolean; readonly session: Buffer };

/** One connection with one request: the name on the certificate, whether it resumed, and a session for the next. */
function handshake(
  port: number,
  servername: string,
  maxVersion: 'TLSv1.2' | 'TLSv1.3',
  session?: Buffer,
): Promise<Handshake> {
  return new Promise((done, failed) => {
    let ticket: Buffer | null = null;
    let answered = false;
    const options = { port, host: '127.0.0.1', servername, maxVersion, rejectUnauthorized: false };
    const socket: TLSSocket = connect(session === undefined ? options : { ...options, session }, () => {
      socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\n\r\n`);
    });
    const finish = (): void => {
      if (ticket === null || !answered) return;
      const name = String(socket.getPeerCertificate().subject?.CN ?? '');
      done({ name, reused: socket.isSessionReused(), session: ticket });
      socket.destroy();
    };
    socket.on('session', (made) => {
      ticket = made;
      finish();
    });
    socket.on('data', () => {
      answered = true;
      // A resumed TLS 1.2 session brings no new ticket.
      if (socket.isSessionReused()) ticket ??= session ?? null;
      finish();
    });
    socket.on('error', failed);
  });
}

describe('sessions resume over workers', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s', async (version) => {
    await using pod = await NamedPod.start('pod');
    using folder = new ManifestFolder();
    const own = makeCertificate({ names: ['own.test'], issuer: authority });
    const tls = `tls: { termination: edge, certificate: ${JSON.stringify(own.certificate)}, key: ${JSON.stringify(own.key)} }`;
    folder.write('all.yaml', routeYaml('own', 'own.test', 'web', tls) + serviceYaml('web', [pod.port]));
    await using router = await RunningRouter.start(folder, ['--workers', '2']);
    let { session } = await handshake(router.httpsPort, 'own.test', version);
    // Enough connections at once that both workers have had some.
    for (let round = 0; round < 5; round++) {
      const results = await Promise.all(
        Array.from({ length: 8 }, () => handshake(router.httpsPort, 'own.test', version, session)),
      );
      expect(results.every(({ reused }) => reused)).toBe(true);
      session = results[0]?.session ?? session;
    }
    expect(await router.metric('headgate_tls_handshakes_total', 'result="resumed"')).toBe(40);
  });

  test('and in a worker that was started later', async () => {
    using folder = new ManifestFolder();
    await using router = await RunningRouter.start(folder, ['--workers', '1']);
    const { session } = await handshake(router.httpsPort, 'any.test', 'TLSv1.3');
    const [worker] = (await router.processes()).workers;
    process.kill(worker?.pid ?? 0, 'SIGKILL');
    await eventually(
      () => router.processes(),
      ({ workers }) => workers[0]?.serving === true && workers[0].pid !== worker?.pid,
    );
    expect((await handshake(router.httpsPort, 'any.test', 'TLSv1.3', session)).reused).toBe(true);
  });
});

describe('the default certificate', () => {
  const first = makeCertificate({ names: ['first.test'], issuer: authority });
  const second = makeCertificate({ names: ['second.test'], issuer: authority });
  const nameServed = async (router: RunningRouter): Promise<string> =>
    (await handshake(router.httpsPort, 'nobody.test', 'TLSv1.3')).name;

  test('in a directory is followed through the symlink swaps of mounted Secrets; a bad one changes nothing', async () => {
    using folder = new ManifestFolder();
    using secret = new ManifestFolder();
    const swap = (version: string, certificate: string, key: string): void => {
      mkdirSync(join(secret.path, version));
      writeFileSync(join(secret.path, version, 'tls.crt'), certificate);
      writeFileSync(join(secret.path, version, 'tls.key'), key);
      symlinkSync(version, join(secret.path, '..data_tmp'));
      renameSync(join(secret.path, '..data_tmp'), join(secret.path, '..data'));
    };
    swap('..1', first.certificate, first.key);
    symlinkSync('..data/tls.crt', join(secret.path, 'tls.crt'));
    symlinkSync('..data/tls.key', join(secret.path, 'tls.key'));
    await using router = await RunningRouter.start(folder, [
      '--workers',
      '2',
      '--default-certificate-dir',
      secret.path,
    ]);
    expect(await nameServed(router)).toBe('first.test');

    const told = router.nextLine((line) => String(line.msg).startsWith('default certificate cannot be served'));
    swap('..2', second.certificate, first.key);
    expect(String((await told)['reason'])).toContain('private key does not match');
    expect(await nameServed(router)).toBe('first.test');

    swap('..3', second.certificate, second.key);
    await eventually(
      () => nameServed(router),
      (name) => name === 'second.test',
    );
  });

  test('in a file is followed too', async () => {
    using folder = new ManifestFolder();
    using secret = new ManifestFolder();
    secret.write('default.pem', first.certificate + first.key);
    const path = join(secret.path, 'default.pem');
    await using router = await RunningRouter.start(folder, ['--workers', '1'], { DEFAULT_CERTIFICATE_PATH: path });
    expect(await nameServed(router)).toBe('first.test');
    secret.write('default.pem', second.certificate + second.key);
    await eventually(
      () => nameServed(router),
      (name) => name === 'second.test',
    );
  });

  test('as text in the environment; self-signed where there is none', async () => {
    using folder = new ManifestFolder();
    {
      const env = { DEFAULT_CERTIFICATE: first.certificate + first.key };
      await using router = await RunningRouter.start(folder, ['--workers', '1'], env);
      expect(await nameServed(router)).toBe('first.test');
    }
    await using router = await RunningRouter.start(folder, ['--workers', '1', '--router-domain', 'apps.test']);
    expect(await nameServed(router)).toBe('headgate');
  });

  test('that cannot be served ends the start with a reason and exit code 1', async () => {
    using folder = new ManifestFolder();
    folder.write('default.pem', first.certificate + second.key);
    const ports = ['--http-port', '0', '--https-port', '0', '--admin-port', '0', '--bind', '127.0.0.1'];
    const { code, stderr } = await runCommand([
      ...['serve', '--source', 'files', '--manifests', folder.path, ...ports],
      ...['--default-certificate', join(folder.path, 'default.pem')],
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain('the default certificate cannot be served');
    expect(stderr).toContain('private key does not match');
  });
});

test('a default destination CA that holds no certificate ends the start', async () => {
  using folder = new ManifestFolder();
  folder.write('ca.pem', 'nothing in here\n');
  const ports = ['--http-port', '0', '--https-port', '0', '--admin-port', '0', '--bind', '127.0.0.1'];
  const { code, stderr } = await runCommand(['serve', '--source', 'files', '--manifests', folder.path, ...ports], {
    DEFAULT_DESTINATION_CA_PATH: join(folder.path, 'ca.pem'),
  });
  expect(code).toBe(1);
  expect(stderr).toContain('unable to load default destination CA certificate');
});
