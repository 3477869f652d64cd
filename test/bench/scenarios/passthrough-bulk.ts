// Large answers through passthrough: what copying bytes costs.

import { BULK_PATH } from '../pods.ts';
import { HOSTS } from '../routes.ts';
import type { LoadScenario } from './load-scenario.ts';

export const passthroughBulk: LoadScenario = {
  name: 'passthrough-bulk',
  entrance: 'passthrough',
  host: HOSTS.passthrough,
  path: BULK_PATH,
  load: { kind: 'keep-alive', connections: 4 },
  unit: '100 MB',
};
