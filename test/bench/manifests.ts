// The bench's Routes as Kubernetes manifests, in the block style that people write and kubectl prints.

import { type BenchRoute, NAMESPACE } from './routes.ts';

/** The documents of one Route, its Service and its EndpointSlice, each ended by a separator line. */
export function manifestsOf(route: BenchRoute): string {
  return `${routeManifest(route)}${serviceManifests(route.name, route.podPort, route.appProtocol)}`;
}

export function routeManifest(route: BenchRoute, service: string = route.name): string {
  return `apiVersion: route.openshift.io/v1
kind: Route
metadata:
  name: ${route.name}
  namespace: ${NAMESPACE}
  creationTimestamp: "2026-01-01T00:00:00Z"
spec:
  host: ${route.host}
${route.path === '' ? '' : `  path: ${route.path}\n`}  to:
    kind: Service
    name: ${service}
    weight: 100
  port:
    targetPort: http
${tlsOf(route)}  wildcardPolicy: None
---
`;
}

/** A Service with one port named http, and the EndpointSlice with its pod. */
export function serviceManifests(
  service: string,
  podPort: number,
  appProtocol: BenchRoute['appProtocol'] = '',
): string {
  const protocol = appProtocol === '' ? '' : `    appProtocol: ${appProtocol}\n`;
  return `apiVersion: v1
kind: Service
metadata:
  name: ${service}
  namespace: ${NAMESPACE}
spec:
  ports:
    - name: http
      port: 80
      protocol: TCP
      targetPort: ${podPort}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: ${service}-1
  namespace: ${NAMESPACE}
  labels:
    kubernetes.io/service-name: ${service}
addressType: IPv4
ports:
  - name: http
    port: ${podPort}
    protocol: TCP
${protocol}endpoints:
  - addresses:
      - 127.0.0.1
    conditions:
      ready: true
---
`;
}

function tlsOf(route: BenchRoute): string {
  if (route.termination === 'none') return '';
  const pem = (field: string, text: string | undefined): string =>
    text === undefined ? '' : `    ${field}: |\n${text.trim().replace(/^/gm, '      ')}\n`;
  return `  tls:
    termination: ${route.termination}
${pem('certificate', route.certificate?.chain)}${pem('key', route.certificate?.key)}${pem('destinationCACertificate', route.destinationAuthority ?? undefined)}`;
}
