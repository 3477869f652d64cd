// HTTP/2 over TLS 1.3 to the router, HTTP/1.1 from it to the pod.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const edgeHttp2: LoadScenario = {
  name: 'edge-h2',
  stage: SMALL_CLUSTER,
  entrance: 'https',
  host: HOSTS.edgeHttp2,
  path: '/',
  load: { kind: 'http2', connections: 32, streams: 4, call: 'get' },
  unit: 'request',
};
