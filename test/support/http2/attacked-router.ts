// One worker of the real command with the Routes that a test attacks.

import { makeCertificate } from '../certificates.ts';
import { routeYaml } from '../pods.ts';
import { ManifestFolder, RunningRouter } from '../router.ts';

export class AttackedRouter implements AsyncDisposable {
  readonly router: RunningRouter;
  readonly #folder: ManifestFolder;

  private constructor(router: RunningRouter, folder: ManifestFolder) {
    this.router = router;
    this.#folder = folder;
  }

  /** `yaml`: Routes and Services. */
  static async start(yaml: string, args: readonly string[] = []): Promise<AttackedRouter> {
    const folder = new ManifestFolder();
    folder.write('all.yaml', yaml);
    return new AttackedRouter(await RunningRouter.start(folder, ['--workers', '1', ...args]), folder);
  }

  get httpPort(): number {
    return this.router.httpPort;
  }

  get httpsPort(): number {
    return this.router.httpsPort;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.router[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** A Route that is served over TLS with a certificate of its own, and plainly too. */
export function edgeRouteYaml(name: string, host: string, service: string): string {
  const { certificate, key } = makeCertificate({ names: [host] });
  const tls = `termination: edge, insecureEdgeTerminationPolicy: Allow, certificate: ${JSON.stringify(certificate)}, key: ${JSON.stringify(key)}`;
  return routeYaml(name, host, service, `tls: { ${tls} }`);
}
