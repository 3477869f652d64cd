// A TLS connection for every request: with a full handshake under either kind of certificate, or resumed by a ticket.

import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

const newConnections = { stage: SMALL_CLUSTER, entrance: 'https', path: '/', unit: 'request' } as const;

/** RSA-2048, what most Routes carry. */
export const edgeNewRsa: LoadScenario = {
  ...newConnections,
  name: 'edge-new-rsa',
  host: HOSTS.edge,
  load: { kind: 'new-connections', concurrency: 16, handshake: 'full' },
};

/** P-256. */
export const edgeNewEcdsa: LoadScenario = {
  ...newConnections,
  name: 'edge-new-ecdsa',
  host: HOSTS.edgeEcdsa,
  load: { kind: 'new-connections', concurrency: 16, handshake: 'full' },
};

export const edgeNewResumed: LoadScenario = {
  ...newConnections,
  name: 'edge-new-resumed',
  host: HOSTS.edge,
  load: { kind: 'new-connections', concurrency: 16, handshake: 'resumed' },
};
