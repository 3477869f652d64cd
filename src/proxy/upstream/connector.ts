// A connection to an Endpoint for one request or tunnel: from the pool, or dialled as the Route says.

import { createSecureContext, type SecureContext } from 'node:tls';
import type { CertificateId, PathRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import type { Pick } from './balancer.ts';
import type { UpstreamPool } from './pool.ts';
import { type ConnectFailure, type DialTls, UpstreamConnection, type UpstreamUser } from './upstream-connection.ts';

/** TLS sessions and contexts towards Endpoints that are kept, each. The oldest goes first. */
const maxKept = 1_000;

export class Connector {
  readonly #pool: UpstreamPool;
  readonly #connectTimeoutMs: number;
  readonly #contexts: Map<CertificateId | 'unverified', SecureContext> = new Map();
  readonly #sessions: Map<string, Buffer> = new Map();
  readonly #metrics: Metrics;
  readonly #reuses: Series;
  readonly #connected: Series;

  constructor(pool: UpstreamPool, connectTimeoutMs: number, metrics: Metrics) {
    this.#pool = pool;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#metrics = metrics;
    this.#reuses = metrics.series('headgate_upstream_reuses_total');
    this.#connected = metrics.series('headgate_upstream_connects_total', 'connected');
    metrics.observe('headgate_upstream_idle_connections', () => pool.size);
  }

  /**
   * A pooled connection to the picked Endpoint that may be used at once, or null. `repeatable`: the request may be sent
   * again if the connection turns out to be stale.
   */
  pooled(
    pick: Pick,
    rule: PathRule,
    hostName: string,
    repeatable: boolean,
    user: UpstreamUser,
  ): UpstreamConnection | null {
    const connection = this.#pool.take(connectionKey(pick, rule, hostName), repeatable);
    if (connection === null) return null;
    connection.use(user);
    this.#reuses.value++;
    return connection;
  }

  /** Dials the picked Endpoint; the user hears how it went. Null if the Route's CA is not in the table (never at rest). */
  dial(pick: Pick, rule: PathRule, hostName: string, table: RouteTable, user: UpstreamUser): UpstreamConnection | null {
    const key = connectionKey(pick, rule, hostName);
    const tls = rule.upstreamTls === null ? null : this.#dialTls(pick, rule, hostName, table, key);
    if (tls === undefined) return null;
    return new UpstreamConnection(pick.endpoint, key, tls, this.#connectTimeoutMs, user);
  }

  /** Dials for a tunnel of bytes that are not ours to read: no TLS of our own, whatever the Route says. */
  dialRaw(pick: Pick, user: UpstreamUser): UpstreamConnection {
    return new UpstreamConnection(pick.endpoint, pick.endpoint.authority, null, this.#connectTimeoutMs, user);
  }

  /** Counts how a dial went. */
  countDial(failure: ConnectFailure | null): void {
    if (failure === null) this.#connected.value++;
    else this.#metrics.series('headgate_upstream_connects_total', failure).value++;
  }

  /** Gives a connection back after a complete exchange. */
  release(connection: UpstreamConnection, keepAliveMs: number): void {
    this.#pool.release(connection, keepAliveMs);
  }

  close(): void {
    this.#pool.close();
  }

  #dialTls(pick: Pick, rule: PathRule, hostName: string, table: RouteTable, key: string): DialTls | undefined {
    const upstreamTls = rule.upstreamTls;
    if (upstreamTls === null) return undefined;
    const context = this.#context(upstreamTls.authority, table);
    if (context === undefined) return undefined;
    return {
      context,
      serverName: hostName,
      verify: upstreamTls.verify !== 'none',
      verifyName: upstreamTls.verify === 'service' ? `${pick.backend.service}.${pick.backend.namespace}.svc` : null,
      session: this.#sessions.get(key) ?? null,
      onSession: (session) => keepNewest(this.#sessions, key, session),
    };
  }

  #context(authority: CertificateId | null, table: RouteTable): SecureContext | undefined {
    const key = authority ?? 'unverified';
    const known = this.#contexts.get(key);
    if (known !== undefined) return known;
    const certificate = authority === null ? undefined : table.certificates.get(authority);
    if (authority !== null && certificate === undefined) return undefined;
    // Only the Route's or the configured authority counts, never the system's.
    const context = createSecureContext({ ca: certificate === undefined ? [] : certificate.chain });
    keepNewest(this.#contexts, key, context);
    return context;
  }
}

/**
 * What a pooled connection may be shared by. For TLS also the name sent as SNI (pods choose certificates and sites by it)
 * and how the pod was checked: a connection that one Route accepted proves nothing to another.
 */
function connectionKey(pick: Pick, rule: PathRule, hostName: string): string {
  const tls = rule.upstreamTls;
  if (tls === null) return pick.endpoint.authority;
  const service = tls.verify === 'service' ? pick.backend.id : '';
  return `${pick.endpoint.authority} ${tls.verify} ${tls.authority ?? ''} ${service} ${hostName}`;
}

function keepNewest<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > maxKept) {
    for (const oldest of map.keys()) {
      map.delete(oldest);
      return;
    }
  }
}
