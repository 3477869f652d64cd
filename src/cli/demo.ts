// `headgate demo`: the real router with Routes, pods and certificates of its own, on loopback, so that everything can be
// tried with one command. All that it writes is in one temporary folder, which goes when the process does.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { BoundSocket } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BoundPorts } from '../bound-sockets.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { DemoBackends, type DemoPod } from './demo-backends.ts';
import { type MadeCertificate, makeCertificate } from './make-certificate.ts';
import { runRouter, settingChecks } from './serve.ts';

const usage = `usage: headgate demo [--http-port PORT] [--https-port PORT] [--admin-port PORT] [--log-level LEVEL]

Serves demo Routes on 127.0.0.1 (ports 8080, 8443 and 1936; 0 takes any free port), with pods and certificates of its own,
and prints curl lines to paste. Ctrl-C ends everything. Other options of \`headgate serve\` are taken too.
`;

const manifestsFolder = join(import.meta.dirname, '../../manifests/demo');
const bindAddress = '127.0.0.1';
const certificateDays = 30;

/** What the arguments may change, by environment names. Nobody's load balancer has to learn of the end, so it comes at once. */
const defaults: Readonly<Record<string, string>> = {
  ROUTER_THREADS: String(Math.min(2, availableParallelism())),
  HEADGATE_LOG_LEVEL: 'warn',
  ROUTER_GRACEFUL_SHUTDOWN_DELAY: '0',
  ROUTER_MAX_SHUTDOWN_TIMEOUT: '500ms',
};

/** Runs the demo until a signal ends it. Answers the exit code; 2 for wrong arguments, 1 for a start that failed. */
export async function demo(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage);
    return 0;
  }
  let interrupted = false;
  const onSignal = (): void => {
    interrupted = true;
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', () => process.kill(process.pid, 'SIGTERM'));
  const folder = mkdtempSync(join(tmpdir(), 'headgate-demo-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

  const served = join(folder, 'manifests');
  mkdirSync(served);
  const fixed = ['--source', 'files', '--manifests', served, '--bind', bindAddress, '--run-dir', folder];
  const allowed = ['--allow-loopback-endpoints', '--allow-wildcard-routes'];
  // The environment is set for some other router, if it is: the demo is the same everywhere.
  const loaded = loadConfig([...args, ...fixed, ...allowed], defaults, settingChecks);
  if (loaded.kind === 'problems') {
    for (const problem of loaded.problems) process.stderr.write(`headgate demo: ${problem}\n`);
    process.stderr.write(usage);
    return 2;
  }

  const certificates = makeCertificates();
  const backends = await DemoBackends.start(certificates.pod);
  try {
    const defaultCertificatePath = join(folder, 'default.pem');
    writeFileSync(defaultCertificatePath, certificates.router.certificate + certificates.router.key, { mode: 0o600 });
    writeFileSync(join(folder, 'ca.pem'), certificates.authority.certificate);
    const routes = writeManifests(served, backends.pods, certificates);
    const config: Config = { ...withPublicPorts(loaded.config), defaultCertificatePath };
    if (interrupted) return 0;
    const code = await runRouter(config, [], (ports) => {
      const summary = `${routes} Routes, ${backends.pods.length} pods, ${config.workers} workers`;
      process.stdout.write(page(summary, folder, ports));
    });
    // A terminal's Ctrl-C comes twice under npm, which passes on what the terminal has sent already. To the router the
    // second signal means that the end could not be waited for; here it is as good an end as any.
    return interrupted ? 0 : code;
  } finally {
    backends.close();
  }
}

type Certificates = {
  readonly authority: MadeCertificate;
  readonly router: MadeCertificate;
  readonly edge: MadeCertificate;
  readonly pod: MadeCertificate;
};

function makeCertificates(): Certificates {
  const days = certificateDays;
  const authority = makeCertificate({ commonName: 'Headgate demo CA', names: [], days, authority: true });
  const signed = (...names: string[]): MadeCertificate =>
    makeCertificate({ commonName: names[0] ?? '', names, days, issuer: authority });
  return {
    authority,
    router: signed('*.demo.test', '*.wild.demo.test'),
    edge: signed('edge.demo.test'),
    // What a client sees behind passthrough, and the name of the Service.
    pod: signed('passthrough.demo.test', 'secure.demo.svc'),
  };
}

/**
 * The Config with public ports that are the real ones, so that redirects lead back here. They are settings, known before
 * anything is bound, so free ports are chosen here; whoever takes one in between makes the start fail with a clear error.
 */
function withPublicPorts(config: Config): Config {
  const http = new BoundSocket({ host: bindAddress });
  const https = new BoundSocket({ host: bindAddress });
  const httpPort = config.httpPort === 0 ? http.address().port : config.httpPort;
  const httpsPort = config.httpsPort === 0 ? https.address().port : config.httpsPort;
  http.close();
  https.close();
  return { ...config, httpPort, httpsPort, publicHttpPort: httpPort, publicHttpsPort: httpsPort };
}

/** Fills the served folder; answers how many Routes are in it. */
function writeManifests(folder: string, pods: readonly DemoPod[], certificates: Certificates): number {
  let routes = 0;
  for (const file of readdirSync(manifestsFolder)) {
    const text = readFileSync(join(manifestsFolder, file), 'utf8');
    routes += text.match(/^kind: Route$/gm)?.length ?? 0;
    const authority = certificates.authority.certificate.trim().split(/\r?\n/);
    const filled = text.replace(/^( *)\$\{DEMO_CA\}$/gm, (_, indent: string) =>
      authority.map((line) => indent + line).join('\n'),
    );
    writeFileSync(join(folder, file), filled);
  }
  writeFileSync(join(folder, 'pods.yaml'), pods.map(sliceYaml).join('---\n'));
  writeFileSync(join(folder, 'edge-tls.yaml'), secretYaml('edge-tls', certificates.edge), { mode: 0o600 });
  return routes;
}

function sliceYaml({ name, service, scheme, port }: DemoPod): string {
  return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: ${name}
  namespace: demo
  labels: { kubernetes.io/service-name: ${service} }
addressType: IPv4
ports:
  - { name: ${scheme}, port: ${port} }
endpoints:
  - addresses: [127.0.0.1]
    targetRef: { kind: Pod, name: ${name}, namespace: demo }
`;
}

function secretYaml(name: string, { certificate, key }: MadeCertificate): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return `apiVersion: v1
kind: Secret
metadata:
  name: ${name}
  namespace: demo
type: kubernetes.io/tls
data:
  tls.crt: ${base64(certificate)}
  tls.key: ${base64(key)}
`;
}

/** The page that is printed when everything is served. Its commands are for a shell, with nothing to fill in. */
function page(summary: string, folder: string, { httpPort, httpsPort, adminPort }: BoundPorts): string {
  const authority = shellWord(join(folder, 'ca.pem'));
  const plainAt = (host: string): string => `--resolve ${host}:${httpPort}:${bindAddress}`;
  const tlsAt = (host: string): string => `--resolve ${host}:${httpsPort}:${bindAddress} --cacert ${authority}`;
  const http = (host: string, path = '/'): string => `${plainAt(host)} 'http://${host}:${httpPort}${path}'`;
  const https = (host: string, path = '/'): string => `${tlsAt(host)} 'https://${host}:${httpsPort}${path}'`;
  const upgrade = [
    ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ].map((line) => `-H '${line}'`);
  const command = `${shellWord(process.execPath)} ${shellWord(process.argv[1] ?? 'headgate')}`;
  const weighted = shellWord(join(folder, 'manifests/weighted.yaml'));
  return `Headgate demo: ${summary}, all on ${bindAddress}.

  HTTP       http://${bindAddress}:${httpPort}
  TLS        https://${bindAddress}:${httpsPort}, every certificate signed by ${join(folder, 'ca.pem')}
  admin      http://${bindAddress}:${adminPort}/healthz/ready, /metrics, /debug/routes
  manifests  ${join(folder, 'manifests')}

Paste into another terminal:

# plain: no TLS; one of two pods answers
curl -sS ${http('plain.demo.test')}
# edge: TLS ends at the router, with the certificate of a Secret (externalCertificate)
curl -sS ${https('edge.demo.test')}
# redirect: edge on the default certificate; plain requests are sent to https
curl -sSiL ${tlsAt('redirect.demo.test')} ${http('redirect.demo.test')}
# re-encrypt: TLS to the pod too, verified against the Route's destinationCACertificate
curl -sS ${https('reencrypt.demo.test')}
# passthrough: TLS ends at the pod; the router adds no headers
curl -sS ${https('passthrough.demo.test')}
# paths: /api has a Route of its own
curl -sS ${http('paths.demo.test')}
curl -sS ${http('paths.demo.test', '/api/items')}
# weighted: of 100 requests 90 go to one Service and 10 to the other
curl -sS ${http('weighted.demo.test', '/?n=[1-100]')} | grep '"pod"' | sort | uniq -c
# wildcard: every name one label below wild.demo.test
curl -sS ${https('tigers.wild.demo.test')}
# WebSocket: the upgrade, and one message echoed
curl -sSi ${upgrade.join(' ')} ${http('websocket.demo.test', '/?say=hello')} | tr -cd '[:print:]\\n'
# metrics
curl -sS http://${bindAddress}:${adminPort}/metrics | grep headgate_requests_total
# why a request gets what it gets
${command} explain 'https://edge.demo.test/' --admin-port ${adminPort}
# a change while it is served: edit any file of the manifests folder; this makes the weighted pair 50:50
sed -i 's/weight: 90/weight: 50/; s/weight: 10/weight: 50/' ${weighted}

Ctrl-C ends everything.
`;
}

function shellWord(text: string): string {
  return /^[\w./+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
