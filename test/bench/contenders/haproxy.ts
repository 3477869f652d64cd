// What both HAProxy contenders share: starting it with a configuration.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processTree } from '../cpu-time.ts';
import { accepting } from '../ports.ts';
import { CONTENDER_CPU } from '../workspace.ts';
import type { ContenderSetup, RunningContender } from './contender.ts';

/** Starts HAProxy and waits until it listens. Throws with its own words when it refuses the configuration. */
export async function startHaproxy(
  setup: ContenderSetup,
  configuration: string,
  ports: RunningContender['ports'],
): Promise<RunningContender> {
  const file = join(setup.folder, 'haproxy.cfg');
  writeFileSync(file, configuration);
  const haproxy = setup.workspace.launch(CONTENDER_CPU, 'haproxy', ['-db', '-f', file]);
  await accepting(haproxy, Object.values(ports));
  return { ports, pids: () => processTree(haproxy.pid), stop: () => haproxy.stop() };
}
