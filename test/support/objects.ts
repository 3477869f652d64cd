// Objects of the API for tests.

import type { Kind } from './api-server/api-server.ts';
import type { Anything } from './cluster.ts';

/** An object of a kind that the API server of the tests stores. */
export type KnownObject = Anything & { readonly kind: Kind };

/** A Route; `spec` goes over host and to, `metadata` over name and namespace. */
export function aRouteObject(
  namespace: string,
  name: string,
  host: string,
  service: string,
  spec: Readonly<Record<string, unknown>> = {},
  metadata: Readonly<Record<string, unknown>> = {},
): KnownObject {
  return {
    apiVersion: 'route.openshift.io/v1',
    kind: 'Route',
    metadata: { name, namespace, ...metadata },
    spec: {
      ...(host === '' ? {} : { host }),
      to: { kind: 'Service', name: service, weight: 100 },
      wildcardPolicy: 'None',
      ...spec,
    },
  };
}

/** A Service without selector, and one EndpointSlice for it with one endpoint for each port. */
export function aService(namespace: string, name: string, address: string, ports: readonly number[]): KnownObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 80 }] },
    },
    ...ports.map((port, i) => aSlice(namespace, `${name}-${i}`, name, [address], port)),
  ];
}

/** An EndpointSlice with one port and some addresses, all ready. */
export function aSlice(
  namespace: string,
  name: string,
  service: string,
  addresses: readonly string[],
  port: number,
): KnownObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: 'http', port, protocol: 'TCP' }],
  };
}

/** A Secret of type `kubernetes.io/tls`. */
export function aTlsSecret(namespace: string, name: string, certificate: string, key: string): KnownObject {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(certificate), 'tls.key': base64(key) },
  };
}
