// The real command between foreign programs: its Routes of every termination, to pods of every protocol.

import { makeCertificate, processAuthority, type TestCertificate } from '../support/certificates.ts';
import { routeYaml } from '../support/pods.ts';
import { eventually, ManifestFolder, RunningRouter } from '../support/router.ts';

/** How the first byte to a pod is spoken, where no TLS says it. */
export type PodProtocol = 'http/1.1' | 'h2c';

/** A Service with one EndpointSlice for each port. */
export function podsYaml(name: string, ports: readonly number[], protocol: PodProtocol = 'http/1.1'): string {
  const appProtocol = protocol === 'h2c' ? ', appProtocol: kubernetes.io/h2c' : '';
  const slices = ports.map(
    (port, i) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-${i}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
endpoints: [{ addresses: [127.0.0.1] }]
ports: [{ name: http, port: ${port}${appProtocol} }]
`,
  );
  return `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { ports: [{ name: http, port: 80${appProtocol} }] }
${slices.join('')}`;
}

/** A Route that is terminated here. Served plainly, too. */
export function edgeYaml(
  name: string,
  host: string,
  service: string,
  { certificate, key }: Pick<TestCertificate, 'certificate' | 'key'> = makeCertificate({ names: [host] }),
): string {
  const pair = `certificate: ${JSON.stringify(certificate)}, key: ${JSON.stringify(key)}`;
  return routeYaml(name, host, service, `tls: { termination: edge, insecureEdgeTerminationPolicy: Allow, ${pair} }`);
}

/** A Route that is terminated here and goes on over TLS, to a pod with a certificate of the process's authority. */
export function reencryptYaml(
  name: string,
  host: string,
  service: string,
  { certificate, key }: Pick<TestCertificate, 'certificate' | 'key'> = makeCertificate({ names: [host] }),
): string {
  const pair = `certificate: ${JSON.stringify(certificate)}, key: ${JSON.stringify(key)}`;
  const destination = `destinationCACertificate: ${JSON.stringify(processAuthority().certificate)}`;
  const policy = 'insecureEdgeTerminationPolicy: Allow';
  return routeYaml(name, host, service, `tls: { termination: reencrypt, ${policy}, ${pair}, ${destination} }`);
}

export class PeerRouter implements AsyncDisposable {
  readonly router: RunningRouter;
  readonly #folder: ManifestFolder;

  private constructor(router: RunningRouter, folder: ManifestFolder) {
    this.router = router;
    this.#folder = folder;
  }

  /** `yaml`: Routes and Services. */
  static async start(yaml: string, args: readonly string[] = ['--workers', '1']): Promise<PeerRouter> {
    const folder = new ManifestFolder();
    folder.write('all.yaml', yaml);
    return new PeerRouter(await RunningRouter.start(folder, args), folder);
  }

  get httpPort(): number {
    return this.router.httpPort;
  }

  get httpsPort(): number {
    return this.router.httpsPort;
  }

  /** Puts other manifests in force; resolves when every worker serves by them. */
  async change(yaml: string): Promise<void> {
    const before = (await this.#revision()).revision;
    this.#folder.write('all.yaml', yaml);
    await eventually(
      () => this.#revision(),
      ({ revision, acknowledged }) => revision !== before && acknowledged,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.router[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }

  #revision(): Promise<{ readonly revision: string; readonly acknowledged: boolean }> {
    return this.router.adminJson('/debug/revision');
  }
}
