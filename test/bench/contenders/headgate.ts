// Headgate with a worker for each thread. All its processes count: supervisor, controller and worker.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchHeadgate } from '../headgate-process.ts';
import { manifestsOf } from '../manifests.ts';
import { freePorts } from '../ports.ts';
import { contenderCpus } from '../workspace.ts';
import type { Contender, ContenderSetup, RunningContender } from './contender.ts';

export const headgate: Contender = {
  name: 'headgate',
  fidelity: 'routed',
  lacks: [],
  // One is left for the connection to the pod.
  filesPerConnection: 2,
  start: async ({
    workspace,
    folder,
    routes,
    threads,
    defaultCertificate,
  }: ContenderSetup): Promise<RunningContender> => {
    const manifests = join(folder, 'manifests');
    mkdirSync(manifests);
    writeFileSync(join(manifests, 'routes.yaml'), routes.map(manifestsOf).join(''));
    const { http, https } = await freePorts('http', 'https');
    const headgate = launchHeadgate(workspace, {
      manifests,
      defaultCertificate,
      httpPort: http,
      httpsPort: https,
      workers: threads,
      cpus: contenderCpus(threads),
    });
    const { httpPort, httpsPort } = await headgate.ready;
    return {
      ports: { http: httpPort, https: httpsPort, passthrough: httpsPort },
      pids: headgate.pids,
      stop: headgate.stop,
    };
  },
};
