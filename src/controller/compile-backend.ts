// From EndpointSlices to the Endpoints of one Backend (Route semantics 5.8, 7.2 to 7.4).

import type { EndpointSliceManifest, SliceEndpoint, SlicePort } from '../source/manifests.ts';
import type { Backend, BackendId, Endpoint } from '../table/entries.ts';
import type { IdledService } from './cluster-state.ts';
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
 * since an answer from a leaving pod is better than none. `idled`: the Service, where it is marked so. If it has no pods, its
 * own address is the Endpoint: who connects there wakes them, and is held until they come.
 */
export function compileBackend(
  subject: BackendSubject,
  slices: readonly EndpointSliceManifest[],
  idled: IdledService | null,
  allowLoopback: boolean,
): Backend {
  const { id, namespace, service } = subject;
  if (idled !== null && slices.length > 0 && !slices.some(hasPods)) {
    const placeholders = placeholdersOf(subject, idled, allowLoopback);
    return { id, namespace, service, endpoints: placeholders, leaving: [], idled: true };
  }
  const sorted = [...slices].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const ready = endpointsOf(subject, sorted, allowLoopback, isReady);
  const leaving = endpointsOf(subject, sorted, allowLoopback, isLeaving);
  return ready.length > 0
    ? { id, namespace, service, endpoints: ready, leaving, idled: false }
    : { id, namespace, service, endpoints: leaving, leaving: [], idled: false };
}

function isReady({ ready }: SliceEndpoint): boolean {
  return ready;
}

function isLeaving({ ready, serving, terminating }: SliceEndpoint): boolean {
  return !ready && serving && terminating;
}

/**
 * Whether traffic for the Service's own address would reach an endpoint of this slice. One that may not be dialled counts
 * too: the cluster would lead us to it.
 */
function hasPods(slice: EndpointSliceManifest): boolean {
  return isOfAddresses(slice) && slice.endpoints.some((endpoint) => isReady(endpoint) || isLeaving(endpoint));
}

function isOfAddresses({ addressType }: EndpointSliceManifest): boolean {
  return addressType === 'IPv4' || addressType === 'IPv6';
}

/** One for each port of the Service that the Route's name for it fits: its own name or number, not those of its pods. */
function placeholdersOf({ service, port }: BackendSubject, idled: IdledService, allowLoopback: boolean): Endpoint[] {
  if (!isDialable(idled.clusterIp, allowLoopback)) return [];
  const ports = idled.ports.filter((each) => portFits(each, port)).sort(comparePorts);
  return ports.map((each) => endpointOf(service, '', idled.clusterIp, each));
}

function endpointsOf(
  subject: BackendSubject,
  slices: readonly EndpointSliceManifest[],
  allowLoopback: boolean,
  usable: (endpoint: SliceEndpoint) => boolean,
): Endpoint[] {
  const byId = new Map<string, Endpoint>();
  for (const slice of slices) {
    if (!isOfAddresses(slice)) continue;
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

/** A Route names a port by the pod's number or by the Service port's name, never by the number of a Service port that has pods (7.3). */
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
