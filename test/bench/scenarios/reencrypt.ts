// TLS 1.3 to the router and from it to the pod, whose certificate is verified; connections are kept alive.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const reencrypt: LoadScenario = {
  name: 'reencrypt',
  stage: SMALL_CLUSTER,
  entrance: 'https',
  host: HOSTS.reencrypt,
  path: '/',
  load: { kind: 'keep-alive', connections: 64, paths: 'one' },
  unit: 'request',
};
