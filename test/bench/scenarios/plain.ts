// HTTP over kept-alive connections, no TLS.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const plain: LoadScenario = {
  name: 'plain',
  stage: SMALL_CLUSTER,
  entrance: 'http',
  host: HOSTS.plain,
  path: '/',
  load: { kind: 'keep-alive', connections: 64, paths: 'one' },
  unit: 'request',
};
