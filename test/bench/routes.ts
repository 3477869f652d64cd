// The Routes that the contenders are compared on: one host for each way of termination, each with a second Route at /echo
// (passthrough has no paths).

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
  /** What the router presents; edge and reencrypt only. */
  readonly certificate: KeyPair | null;
  /** PEM of what the pod's certificate is verified against; reencrypt only. */
  readonly destinationAuthority: string | null;
};

export const NAMESPACE = 'bench';
/** The path that leads to the echo pod. */
export const ECHO_PATH = '/echo';

export const HOSTS: Readonly<Record<Termination, string>> = {
  none: 'plain.bench.test',
  edge: 'edge.bench.test',
  reencrypt: 'reencrypt.bench.test',
  passthrough: 'passthrough.bench.test',
};

/** The Routes of all load scenarios. `presented` is the routers' certificate, `pod` that of the pods. */
export function loadRoutes(
  pods: Pods,
  presented: Readonly<Record<'edge' | 'reencrypt', KeyPair>>,
  pod: KeyPair,
): readonly BenchRoute[] {
  const none = { host: HOSTS.none, termination: 'none', certificate: null, destinationAuthority: null } as const;
  const edge = {
    host: HOSTS.edge,
    termination: 'edge',
    certificate: presented.edge,
    destinationAuthority: null,
  } as const;
  const reencrypt = {
    host: HOSTS.reencrypt,
    termination: 'reencrypt',
    certificate: presented.reencrypt,
    destinationAuthority: pod.chain,
  } as const;
  return [
    { ...none, name: 'plain', path: '', podPort: pods.plainPort },
    { ...none, name: 'plain-echo', path: ECHO_PATH, podPort: pods.echoPort },
    { ...edge, name: 'edge', path: '', podPort: pods.plainPort },
    { ...edge, name: 'edge-echo', path: ECHO_PATH, podPort: pods.echoPort },
    { ...reencrypt, name: 'reencrypt', path: '', podPort: pods.tlsPort },
    { ...reencrypt, name: 'reencrypt-echo', path: ECHO_PATH, podPort: pods.echoTlsPort },
    {
      name: 'passthrough',
      host: HOSTS.passthrough,
      path: '',
      termination: 'passthrough',
      podPort: pods.tlsPort,
      certificate: null,
      destinationAuthority: null,
    },
  ];
}

/** Routes that nobody asks for, spread over the alphabet: what a router carries besides the one that is busy. */
export function otherRoutes(count: number, pods: Pods): readonly BenchRoute[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `other-${i}`,
    host: `${String.fromCharCode(97 + (i % 26))}${i}.bench.test`,
    path: '',
    termination: i % 2 === 0 ? 'none' : 'edge',
    podPort: pods.plainPort,
    certificate: null,
    destinationAuthority: null,
  }));
}
