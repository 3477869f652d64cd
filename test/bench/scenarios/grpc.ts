// Unary calls in the shape of gRPC: HTTP/2 over TLS 1.3 to the router, HTTP/2 without TLS from it to the pod, trailers.

import { GRPC_PATH } from '../grpc-pod.ts';
import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const grpc: LoadScenario = {
  name: 'grpc',
  stage: SMALL_CLUSTER,
  entrance: 'https',
  host: HOSTS.edgeGrpc,
  path: GRPC_PATH,
  load: { kind: 'http2', connections: 32, streams: 4, call: 'grpc' },
  unit: 'request',
};
