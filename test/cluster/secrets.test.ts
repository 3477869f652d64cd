// Keys stay where they belong: in the channel, the table and TLS contexts. A marker in every key, then every output is
// searched for it.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { expect, test } from 'vitest';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { NamedPod, routeYaml, serviceYaml } from '../support/pods.ts';
import { get } from '../support/requests.ts';
import { eventually, ManifestFolder, RunningRouter, runCommand } from '../support/router.ts';

/** Pieces of a PEM key's base64: any of them in an output is a leak. */
function piecesOf(key: string): string[] {
  return key.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
}

test('no key shows up in logs, errors, /debug, metrics, argv or environment', async () => {
  const authority = makeAuthority({ name: 'test authority' });
  const own = makeCertificate({ names: ['own.test'], issuer: authority, keyType: 'rsa', rsaBits: 2048 });
  const external = makeCertificate({ names: ['external.test'], issuer: authority });
  const mismatched = makeCertificate({ names: ['bad.test'], issuer: authority });
  const fallback = makeCertificate({ names: ['default.test'], issuer: authority });
  const keys = [own, external, mismatched, fallback].flatMap(({ key }) => piecesOf(key));
  expect(keys.length).toBeGreaterThan(30);

  await using pod = await NamedPod.start('pod');
  using folder = new ManifestFolder();
  const tls = (certificate: string, key: string): string =>
    `tls: { termination: edge, certificate: ${JSON.stringify(certificate)}, key: ${JSON.stringify(key)} }`;
  folder.write(
    'all.yaml',
    [
      serviceYaml('web', [pod.port]),
      routeYaml('own', 'own.test', 'web', tls(own.certificate, own.key)),
      routeYaml('bad', 'bad.test', 'web', tls(own.certificate, mismatched.key)),
      routeYaml('worse', 'worse.test', 'web', tls(mismatched.key, mismatched.certificate)),
      routeYaml('external', 'external.test', 'web', 'tls: { termination: edge, externalCertificate: { name: cert } }'),
      `---
apiVersion: v1
kind: Secret
metadata: { name: cert }
type: kubernetes.io/tls
data:
  tls.crt: ${Buffer.from(external.certificate).toString('base64')}
  tls.key: ${Buffer.from(external.key).toString('base64')}
`,
    ].join(''),
  );
  folder.write('broken.yaml', `kind: Secret\ndata:\n  tls.key: ${keys[0]}\n : [\n`);
  folder.write('default.pem', fallback.certificate + fallback.key);
  await using router = await RunningRouter.start(folder, [
    ...['--workers', '1', '--log-level', 'trace', '--access-log-sample', '1'],
    ...['--default-certificate', `${folder.path}/default.pem`],
  ]);
  expect(await certificateOf(router.httpsPort, 'own.test')).toBe('own.test');
  expect(await certificateOf(router.httpsPort, 'external.test')).toBe('external.test');
  expect(await certificateOf(router.httpsPort, 'other.test')).toBe('default.test');
  await get(router.httpPort, 'own.test');

  const outputs: string[] = [];
  for (const path of ['/metrics', '/debug/routes', '/debug/table', '/debug/processes', '/readyz?verbose']) {
    outputs.push((await router.admin(path)).text);
  }
  outputs.push((await router.admin('/debug/explain?url=https://own.test/')).text);
  outputs.push((await runCommand(['explain', 'https://bad.test/', '--admin-port', String(router.adminPort)])).stdout);
  const { supervisor, controller, workers } = await router.processes();
  for (const pid of [supervisor, controller, ...workers.map((worker) => worker.pid)]) {
    outputs.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), readFileSync(`/proc/${pid}/environ`, 'utf8'));
  }
  // A worker that dies and comes back, and the end of everything, write more.
  process.kill(workers[0]?.pid ?? 0, 'SIGKILL');
  await eventually(
    () => router.processes(),
    ({ workers: now }) => now[0]?.serving === true && now[0].pid !== workers[0]?.pid,
  );
  router.kill('SIGTERM');
  await router.exited;
  outputs.push(router.output);

  const all = outputs.join('\n');
  expect(all).toContain('ExtendedValidationFailed');
  expect(keys.filter((piece) => all.includes(piece))).toEqual([]);
  expect(all).not.toMatch(/-----BEGIN [A-Z ]*PRIVATE KEY/);
});

/** The common name of the certificate that a port serves for a name. */
function certificateOf(port: number, servername: string): Promise<string> {
  return new Promise((done, failed) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      done(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once('error', failed);
  });
}

test('the run directory lets nobody else in', async () => {
  using folder = new ManifestFolder();
  using run = new ManifestFolder();
  await using router = await RunningRouter.start(folder, ['--workers', '1', '--run-dir', run.path]);
  expect(router.httpPort).toBeGreaterThan(0);
  const [entry] = readdirSync(run.path);
  const mode = execFileSync('stat', ['-c', '%a', `${run.path}/${entry}`], { encoding: 'utf8' });
  expect(mode.trim()).toBe('700');
});
