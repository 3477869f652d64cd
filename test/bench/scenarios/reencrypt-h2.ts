// HTTP/2 over TLS 1.3 to the router and from it to the pod, whose certificate is verified.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const reencryptHttp2: LoadScenario = {
  name: 'reencrypt-h2',
  stage: SMALL_CLUSTER,
  entrance: 'https',
  host: HOSTS.reencryptHttp2,
  path: '/',
  load: { kind: 'http2', connections: 32, streams: 4, call: 'get' },
  unit: 'request',
};
