// From EndpointSlices to the Endpoints of one Backend (Route semantics 5.8, 7.2, 7.3).

import type { EndpointSliceManifest, SliceEndpoint, SlicePort } from '../source/manifests.ts';
import type { Backend, BackendId, Endpoint } from '../table/entries.ts';
import { isDialable } from './endpoint-address.ts';

/** What a Backend is of: the Service and the port as the Route names it, empty for all ports. */
export type BackendSubject = {
  readonly id: BackendId;
  readonly namespace: string;
  readonly service: string;
  readonly port: string;
};

/**
 * The Backend as its slices make it: endpoints that are ready; where none is, those that still serve while they terminate,
 * since an answer from a leaving pod is better than none.
 */
export function compileBackend(
  subject: BackendSubject,
  slices: readonly EndpointSliceManifest[],
  allowLoopback: boolean,
): Backend {
  const { id, namespace, service } = subject;
  const sorted = [...slices].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const ready = endpointsOf(subject, sorted, allowLoopback, (endpoint) => endpoint.ready);
  const leaving = endpointsOf(
    subject,
    sorted,
    allowLoopback,
    (endpoint) => !endpoint.ready && endpoint.serving && endpoint.terminating,
  );
  return ready.length > 0
    ? { id, namespace, service, endpoints: ready, leaving }
    : { id, namespace, service, endpoints: leaving, leaving: [] };
}

function endpointsOf(
  subject: BackendSubject,
  slices: readonly EndpointSliceManifest[],
  allowLoopback: boolean,
  usable: (endpoint: SliceEndpoint) => boolean,
): Endpoint[] {
  const byId = new Map<string, Endpoint>();
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4' && slice.addressType !== 'IPv6') continue;
    const ports = slice.ports.filter((port) => portFits(port, subject.port)).sort(comparePorts);
    if (ports.length === 0) continue;
    for (const endpoint of slice.endpoints) {
      if (!usable(endpoint)) continue;
      for (const address of endpoint.addresses) {
        if (!isDialable(address, allowLoopback)) continue;
        for (const port of ports) {
          const made = endpointOf(subject.service, endpoint.pod, address, port);
          if (!byId.has(made.id)) byId.set(made.id, made);
        }
      }
    }
  }
  return [...byId.values()];
}

/** A Route names a port by the pod's number or by the Service port's name, never by the Service port's number (7.3). */
function portFits(port: SlicePort, wanted: string): boolean {
  return port.protocol === 'TCP' && (wanted === '' || wanted === port.name || wanted === String(port.port));
}

function comparePorts(a: SlicePort, b: SlicePort): number {
  return a.port - b.port || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

function endpointOf(service: string, pod: string, address: string, port: SlicePort): Endpoint {
  const subject = pod === '' ? 'ept' : `pod:${pod}`;
  return {
    id: `${subject}:${service}:${port.name}:${address}:${port.port}`,
    address,
    port: port.port,
    authority: address.includes(':') ? `[${address}]:${port.port}` : `${address}:${port.port}`,
    h2c: port.appProtocol === 'kubernetes.io/h2c' || port.appProtocol === 'h2c',
  };
}
