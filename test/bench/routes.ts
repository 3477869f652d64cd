// The Routes that the contenders are compared on: one host for each kind of traffic, most with a second Route at /echo (passthrough
// has no paths, and the WebSocket pod tells by itself what it saw).

import type { KeyPair } from './certificates.ts';
import type { Pods } from './pods.ts';

export type Termination = 'none' | 'edge' | 'reencrypt' | 'passthrough';

/** One Route with one Service of the same name and one pod. */
export type BenchRoute = {
  readonly name: string;
  readonly host: string;
  /** Empty covers the whole host. */
  readonly path: string;
  readonly termination: Termination;
  /** The pod's port on 127.0.0.1. */
  readonly podPort: number;
  /** Of the pod's port, as in its EndpointSlice. Empty: none is given, which means HTTP/1.1. */
  readonly appProtocol: '' | 'kubernetes.io/h2c';
  /** What the router presents; edge and reencrypt only. */
  readonly certificate: KeyPair | null;
  /** PEM of what the pod's certificate is verified against; reencrypt only. */
  readonly destinationAuthority: string | null;
};

export const NAMESPACE = 'bench';
/** The path that leads to the echo pod. */
export const ECHO_PATH = '/echo';

export const HOSTS = {
  plain: 'plain.bench.test',
  edge: 'edge.bench.test',
  edgeEcdsa: 'edge-ecdsa.bench.test',
  edgeHttp2: 'edge-h2.bench.test',
  edgeHttp2Upload: 'edge-h2-upload.bench.test',
  edgeGrpc: 'edge-grpc.bench.test',
  edgeUpload: 'edge-upload.bench.test',
  edgeWebSocket: 'edge-websocket.bench.test',
  reencrypt: 'reencrypt.bench.test',
  reencryptHttp2: 'reencrypt-h2.bench.test',
  passthrough: 'passthrough.bench.test',
  passthroughUpload: 'passthrough-upload.bench.test',
} as const;

/** The hosts whose TLS ends at the router. */
export type TerminatedHost = Exclude<keyof typeof HOSTS, 'plain' | 'passthrough' | 'passthroughUpload'>;

/** The Routes of all load scenarios. `presented` are the routers' certificates, `pod` is that of the pods. */
export function loadRoutes(
  pods: Pods,
  presented: Readonly<Record<TerminatedHost, KeyPair>>,
  pod: KeyPair,
): readonly BenchRoute[] {
  const none = { path: '', appProtocol: '', certificate: null, destinationAuthority: null } as const;
  const plain = { ...none, host: HOSTS.plain, termination: 'none' } as const;
  const edge = (host: Exclude<TerminatedHost, 'reencrypt' | 'reencryptHttp2'>) =>
    ({ ...none, host: HOSTS[host], termination: 'edge', certificate: presented[host] }) as const;
  const reencrypt = (host: 'reencrypt' | 'reencryptHttp2') =>
    ({
      ...none,
      host: HOSTS[host],
      termination: 'reencrypt',
      certificate: presented[host],
      destinationAuthority: pod.chain,
    }) as const;
  const passthrough = { ...none, termination: 'passthrough' } as const;
  const h2c = { appProtocol: 'kubernetes.io/h2c' } as const;
  // OpenShift offers HTTP/2 only where one Route alone carries the certificate (Route semantics 5.15).
  const echo = { path: ECHO_PATH, certificate: null } as const;
  return [
    { ...plain, name: 'plain', podPort: pods.plainPort },
    { ...plain, name: 'plain-echo', path: ECHO_PATH, podPort: pods.echoPort },
    { ...edge('edge'), name: 'edge', podPort: pods.plainPort },
    { ...edge('edge'), name: 'edge-echo', path: ECHO_PATH, podPort: pods.echoPort },
    { ...edge('edgeEcdsa'), name: 'edge-ecdsa', podPort: pods.plainPort },
    { ...edge('edgeEcdsa'), name: 'edge-ecdsa-echo', path: ECHO_PATH, podPort: pods.echoPort },
    { ...edge('edgeHttp2'), name: 'edge-h2', podPort: pods.plainPort },
    { ...edge('edgeHttp2'), ...echo, name: 'edge-h2-echo', podPort: pods.echoPort },
    { ...edge('edgeHttp2Upload'), name: 'edge-h2-upload', podPort: pods.sinkPort },
    { ...edge('edgeHttp2Upload'), ...echo, name: 'edge-h2-upload-echo', podPort: pods.echoPort },
    { ...edge('edgeGrpc'), ...h2c, name: 'edge-grpc', podPort: pods.grpcPort },
    { ...edge('edgeGrpc'), ...h2c, ...echo, name: 'edge-grpc-echo', podPort: pods.echoH2cPort },
    { ...edge('edgeUpload'), name: 'edge-upload', podPort: pods.sinkPort },
    { ...edge('edgeUpload'), name: 'edge-upload-echo', path: ECHO_PATH, podPort: pods.echoPort },
    { ...edge('edgeWebSocket'), name: 'edge-websocket', podPort: pods.webSocketPort },
    { ...reencrypt('reencrypt'), name: 'reencrypt', podPort: pods.tlsPort },
    { ...reencrypt('reencrypt'), name: 'reencrypt-echo', path: ECHO_PATH, podPort: pods.echoTlsPort },
    { ...reencrypt('reencryptHttp2'), name: 'reencrypt-h2', podPort: pods.http2Port },
    { ...reencrypt('reencryptHttp2'), ...echo, name: 'reencrypt-h2-echo', podPort: pods.echoHttp2Port },
    { ...passthrough, name: 'passthrough', host: HOSTS.passthrough, podPort: pods.tlsPort },
    { ...passthrough, name: 'passthrough-upload', host: HOSTS.passthroughUpload, podPort: pods.sinkTlsPort },
  ];
}

/** Routes that nobody asks for, spread over the alphabet: what a router carries besides the one that is busy. */
export function otherRoutes(count: number, podPort: number): readonly BenchRoute[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `other-${i}`,
    host: `${String.fromCharCode(97 + (i % 26))}${i}.bench.test`,
    path: '',
    termination: i % 2 === 0 ? 'none' : 'edge',
    podPort,
    appProtocol: '',
    certificate: null,
    destinationAuthority: null,
  }));
}
