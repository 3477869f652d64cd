// The cookie by which a client comes back to its pod (Route semantics 5.8), byte for byte that of the OpenShift router: sessions
// survive a change from one to the other.

import { createHash } from 'node:crypto';
import type { Backend, Endpoint, PathRule, StickyCookie } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import { inOnePiece } from '../one-piece.ts';
import type { Pick } from './balancer.ts';

/** What is known of an Endpoint: its value, and the line that gives it to clients of the rule that said so last. */
type Known = { readonly value: string; cookie: StickyCookie | null; line: string };

const knownEndpoints: WeakMap<Endpoint, Known> = new WeakMap();
const endpointsByValue: WeakMap<Backend, ReadonlyMap<string, Endpoint>> = new WeakMap();

/** The value that stands for an Endpoint. */
export function cookieOf(endpoint: Endpoint): string {
  return knownOf(endpoint).value;
}

/** The line of a response, with its CRLF, that gives a client the cookie. */
export function cookieLine(cookie: StickyCookie, endpoint: Endpoint): string {
  const known = knownOf(endpoint);
  if (known.cookie !== cookie) {
    known.cookie = cookie;
    known.line = inOnePiece(`Set-Cookie: ${cookie.name}=${known.value}; ${cookie.attributes}\r\n`);
  }
  return known.line;
}

function knownOf(endpoint: Endpoint): Known {
  let known = knownEndpoints.get(endpoint);
  if (known === undefined) {
    known = { value: createHash('md5').update(endpoint.id).digest('hex'), cookie: null, line: '' };
    knownEndpoints.set(endpoint, known);
  }
  return known;
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
