// What is to be checked, drawn from the table (Route semantics 5.16): the active Endpoints of every Route that has more than one.

import type { Endpoint, HostRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import { activeEndpoints, type CheckKey, checkKey, type Security, securityOf } from './endpoint-health.ts';

/** One Endpoint that is to be checked, once, however many Routes have it. */
export type Check = {
  readonly key: CheckKey;
  readonly endpoint: Endpoint;
  readonly security: Security;
  /** The shortest that any of the Routes asks for. */
  readonly intervalMs: number;
  /** Host of one of the Routes, sent as SNI: pods may refuse handshakes without. Empty where it is none. */
  readonly serverName: string;
};

/**
 * Adds the checks of one Host at a time to `checks`, so that whoever runs it can take a rest between two. Hosts that change
 * meanwhile may be seen as they were or as they are.
 */
export function* gatherChecks(
  table: RouteTable,
  defaultIntervalMs: number,
  checks: Map<CheckKey, Check>,
): Generator<undefined> {
  for (const rule of table.hosts.values()) {
    addChecks(rule, table, defaultIntervalMs, checks);
    yield;
  }
}

function addChecks(
  { host, paths }: HostRule,
  table: RouteTable,
  defaultIntervalMs: number,
  checks: Map<CheckKey, Check>,
): void {
  for (const rule of paths) {
    if (activeEndpoints(rule, table) < 2) continue;
    const security = securityOf(rule);
    const intervalMs = rule.checkIntervalMs ?? defaultIntervalMs;
    for (const { backend, weight } of rule.backends) {
      if (weight === 0) continue;
      const { endpoints = [], idled = false } = table.backends.get(backend) ?? {};
      // A check would wake its pods.
      if (idled) continue;
      for (const endpoint of endpoints) {
        const key = checkKey(endpoint.authority, security);
        const known = checks.get(key);
        if (known !== undefined && known.intervalMs <= intervalMs) continue;
        const serverName = known?.serverName || (host.startsWith('*') ? '' : host);
        checks.set(key, { key, endpoint, security, intervalMs, serverName });
      }
    }
  }
}
