// A TLS connection with a full RSA-2048 handshake for every request.

import { HOSTS } from '../routes.ts';
import type { LoadScenario } from './load-scenario.ts';

export const edgeNew: LoadScenario = {
  name: 'edge-new',
  entrance: 'https',
  host: HOSTS.edge,
  path: '/',
  load: { kind: 'new-connections', concurrency: 16 },
  unit: 'request',
};
