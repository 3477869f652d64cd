// Bodies of three sizes in either direction, one of them over HTTP/2 too; TLS 1.3 ends at the router, connections are kept
// alive.

import { BODY_BYTES, BODY_PATHS, type BodySize } from '../pods.ts';
import { HOSTS } from '../routes.ts';
import { SMALL_CLUSTER } from '../stages.ts';
import type { LoadScenario } from './load-scenario.ts';

/** Fewer where there is more in each: it is not about how many buffers a router can fill. */
const CONNECTIONS: Readonly<Record<BodySize, number>> = { '1k': 64, '64k': 32, '1m': 16 };
const SIZES: readonly BodySize[] = ['1k', '64k', '1m'];

const http2 = { stage: SMALL_CLUSTER, entrance: 'https', unit: 'request' } as const;

export const bodies: readonly LoadScenario[] = [
  ...SIZES.map(download),
  ...SIZES.map(upload),
  {
    ...http2,
    name: 'edge-h2-down-64k',
    host: HOSTS.edgeHttp2,
    path: BODY_PATHS['64k'],
    load: { kind: 'http2', connections: 8, streams: 4, call: 'get' },
  },
  {
    ...http2,
    name: 'edge-h2-up-64k',
    host: HOSTS.edgeHttp2Upload,
    path: '/',
    load: { kind: 'http2', connections: 8, streams: 4, call: 'upload' },
  },
];

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
