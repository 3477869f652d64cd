// The router reads the SNI and copies bytes; small answers over kept-alive connections.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const passthrough: LoadScenario = {
  name: 'passthrough',
  stage: SMALL_CLUSTER,
  entrance: 'passthrough',
  host: HOSTS.passthrough,
  path: '/',
  load: { kind: 'keep-alive', connections: 64, paths: 'one' },
  unit: 'request',
};
