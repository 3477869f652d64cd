// What both HAProxy contenders share: starting it with a configuration.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processTree } from '../cpu-time.ts';
import { accepting } from '../ports.ts';
import { contenderCpus } from '../workspace.ts';
import type { ContenderSetup, RunningContender } from './contender.ts';

/** TLS 1.3 suites in the order in which the ingress operator sets them for the router (ROUTER_CIPHERSUITES), as does Headgate. */
export const CIPHER_SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/** Starts HAProxy and waits until it listens. Throws with its own words when it refuses the configuration. */
export async function startHaproxy(
  setup: ContenderSetup,
  configuration: string,
  ports: RunningContender['ports'],
): Promise<RunningContender> {
  const file = join(setup.folder, 'haproxy.cfg');
  writeFileSync(file, configuration);
  const haproxy = setup.workspace.launch(contenderCpus(setup.threads), 'haproxy', ['-db', '-f', file]);
  await accepting(haproxy, Object.values(ports));
  return { ports, pids: () => processTree(haproxy.pid), stop: () => haproxy.stop() };
}
