// Bodies of three sizes in either direction; TLS 1.3 ends at the router, connections are kept alive.

import { BODY_BYTES, BODY_PATHS, type BodySize } from '../pods.ts';
import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

/** Fewer where there is more in each: it is not about how many buffers a router can fill. */
const CONNECTIONS: Readonly<Record<BodySize, number>> = { '1k': 64, '64k': 32, '1m': 16 };
const SIZES: readonly BodySize[] = ['1k', '64k', '1m'];

export const bodies: readonly LoadScenario[] = [...SIZES.map(download), ...SIZES.map(upload)];

function download(size: BodySize): LoadScenario {
  return {
    name: `edge-down-${size}`,
    stage: SMALL_CLUSTER,
    entrance: 'https',
    host: HOSTS.edge,
    path: BODY_PATHS[size],
    load: { kind: 'keep-alive', connections: CONNECTIONS[size], paths: 'one' },
    unit: 'request',
  };
}

function upload(size: BodySize): LoadScenario {
  return {
    name: `edge-up-${size}`,
    stage: SMALL_CLUSTER,
    entrance: 'https',
    host: HOSTS.edgeUpload,
    path: '/',
    load: { kind: 'uploads', connections: CONNECTIONS[size], bodyBytes: BODY_BYTES[size] },
    unit: 'request',
  };
}
