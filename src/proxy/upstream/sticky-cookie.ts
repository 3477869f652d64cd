// The cookie by which a client comes back to its pod (Route semantics 5.8), byte for byte that of the OpenShift router: sessions
// survive a change from one to the other.

import { createHash } from 'node:crypto';
import type { Backend, Endpoint, PathRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { Pick } from './balancer.ts';

const values: WeakMap<Endpoint, string> = new WeakMap();
const endpointsByValue: WeakMap<Backend, ReadonlyMap<string, Endpoint>> = new WeakMap();

/** The value that stands for an Endpoint. */
export function cookieOf(endpoint: Endpoint): string {
  let value = values.get(endpoint);
  if (value === undefined) {
    value = createHash('md5').update(endpoint.id).digest('hex');
    values.set(endpoint, value);
  }
  return value;
}

/**
 * The Endpoint of a rule that a value stands for, or null. A Service of weight 0 keeps the clients that it has, and so does a
 * pod that terminates as long as it serves.
 */
export function endpointOfCookie(rule: PathRule, table: RouteTable, value: string): Pick | null {
  for (const ref of rule.backends) {
    const backend = table.backends.get(ref.backend);
    if (backend === undefined) continue;
    const endpoint = byValue(backend).get(value);
    if (endpoint !== undefined) return { endpoint, backend };
  }
  return null;
}

function byValue(backend: Backend): ReadonlyMap<string, Endpoint> {
  const known = endpointsByValue.get(backend);
  if (known !== undefined) return known;
  const made = new Map<string, Endpoint>();
  for (const endpoint of backend.leaving) made.set(cookieOf(endpoint), endpoint);
  for (const endpoint of backend.endpoints) made.set(cookieOf(endpoint), endpoint);
  endpointsByValue.set(backend, made);
  return made;
}
