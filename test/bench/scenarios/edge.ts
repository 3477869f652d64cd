// TLS 1.3 ends at the router; connections are kept alive.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const edge: LoadScenario = {
  name: 'edge',
  stage: SMALL_CLUSTER,
  entrance: 'https',
  host: HOSTS.edge,
  path: '/',
  load: { kind: 'keep-alive', connections: 64, paths: 'one' },
  unit: 'request',
};
