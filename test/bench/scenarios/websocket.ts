// Small WebSocket messages there and back over kept connections; TLS 1.3 ends at the router.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

export const webSocket: LoadScenario = {
  name: 'websocket',
  stage: SMALL_CLUSTER,
  entrance: 'https',
  host: HOSTS.edgeWebSocket,
  path: '/',
  load: { kind: 'websocket', connections: 64 },
  unit: 'message',
};
