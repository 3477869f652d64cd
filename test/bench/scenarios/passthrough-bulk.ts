// Large bodies through passthrough, in either direction: what copying bytes costs.

import { BULK_BYTES, BULK_PATH } from '../pods.ts';
import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const passthroughBulk: LoadScenario = {
  name: 'passthrough-bulk',
  stage: SMALL_CLUSTER,
  entrance: 'passthrough',
  host: HOSTS.passthrough,
  path: BULK_PATH,
  load: { kind: 'keep-alive', connections: 4, paths: 'one' },
  unit: '100 MB',
};

export const passthroughBulkUp: LoadScenario = {
  name: 'passthrough-bulk-up',
  stage: SMALL_CLUSTER,
  entrance: 'passthrough',
  host: HOSTS.passthroughUpload,
  path: '/',
  load: { kind: 'uploads', connections: 4, bodyBytes: BULK_BYTES },
  unit: '100 MB',
};
