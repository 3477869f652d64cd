// A connection to an Endpoint for one request or tunnel: from the pool, or dialled as the Route says.

import { createSecureContext, type SecureContext } from 'node:tls';
import type { CertificateId, PathRule, UpstreamTls } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import type { Deadlines } from '../deadlines.ts';
import type { FieldReaders } from '../http2/link.ts';
import type { Pick } from './balancer.ts';
import type { UpstreamPool } from './pool.ts';
import { SharedPool } from './shared-pool.ts';
import { SharedUpstream, type UpstreamStream } from './shared-upstream.ts';
import type { ConnectFailure, UpstreamUser } from './upstream.ts';
import { type DialTls, UpstreamConnection } from './upstream-connection.ts';

/** TLS sessions and contexts towards Endpoints that are kept, each. The oldest goes first. */
const maxKept = 1_000;

/** The settings that dialling reads. */
export type DialSettings = {
  readonly connectTimeoutMs: number;
  readonly disableHttp2: boolean;
  readonly maxHeadBytes: number;
};

/** The client's connection, for PROXY headers that tell of it. */
export interface Sender {
  /** The header. */
  announce(version: 'v1' | 'v2'): Buffer;
  /** The same for connections of which the same header tells. */
  readonly key: string;
}

/** Is told how every dial ended. */
export type DialObserver = (connection: UpstreamConnection, failure: ConnectFailure | null) => void;

/** What a connection is wanted for. An upgrade takes one of its own, which has to be HTTP/1.1 where that can be chosen. */
export type DialUse = 'request' | 'upgrade';

const http1Alone: readonly string[] = ['http/1.1'];
const bothProtocols: readonly string[] = ['h2', 'http/1.1'];

export class Connector {
  readonly #pool: UpstreamPool;
  readonly #sharedPool: SharedPool;
  readonly #settings: DialSettings;
  readonly #deadlines: Deadlines;
  readonly #readers: FieldReaders;
  readonly #contexts: Map<CertificateId | 'unverified', SecureContext> = new Map();
  readonly #sessions: Map<string, Buffer> = new Map();
  /** Where a handshake ended in HTTP/2 last time. */
  readonly #speaksHttp2: Map<string, true> = new Map();
  readonly #metrics: Metrics;
  readonly #reuses: Series;
  readonly #connected: Series;
  readonly #onDialled: DialObserver | null;

  constructor(
    pool: UpstreamPool,
    settings: DialSettings,
    deadlines: Deadlines,
    readers: FieldReaders,
    metrics: Metrics,
    onDialled: DialObserver | null = null,
  ) {
    this.#pool = pool;
    this.#sharedPool = new SharedPool(
      deadlines,
      (failure) => this.countDial(failure),
      (key) => this.#speaksHttp2.delete(key),
    );
    this.#settings = settings;
    this.#deadlines = deadlines;
    this.#readers = readers;
    this.#metrics = metrics;
    this.#onDialled = onDialled;
    this.#reuses = metrics.series('headgate_upstream_reuses_total');
    this.#connected = metrics.series('headgate_upstream_connects_total', 'connected');
    metrics.observe('headgate_upstream_idle_connections', () => pool.size);
    metrics.observe('headgate_upstream_shared_connections', () => this.#sharedPool.size);
  }

  /**
   * A pooled connection to the picked Endpoint that may be used at once, or null. `repeatable`: the request may be sent
   * again if the connection turns out to be stale.
   */
  pooled(
    pick: Pick,
    rule: PathRule,
    hostName: string,
    sender: Sender,
    repeatable: boolean,
    user: UpstreamUser,
  ): UpstreamConnection | null {
    const connection = this.#pool.take(connectionKey(pick, rule, hostName, sender), repeatable);
    if (connection === null) return null;
    connection.use(user);
    this.#reuses.value++;
    return connection;
  }

  /**
   * A stream of a connection to the picked Endpoint that is shared, or that is being opened to be shared; null where the
   * Endpoint is not known to speak HTTP/2.
   */
  shared(
    pick: Pick,
    rule: PathRule,
    hostName: string,
    sender: Sender,
    table: RouteTable,
    use: DialUse,
    user: UpstreamUser,
  ): UpstreamStream | null {
    const key = connectionKey(pick, rule, hostName, sender);
    const isKnown = rule.upstreamTls === null ? pick.endpoint.h2c : use === 'request' && this.#speaksHttp2.has(key);
    if (!isKnown) return null;
    const open = this.#sharedPool.take(key);
    if (open !== null) {
      this.#reuses.value++;
      return open.stream(user);
    }
    const tls = rule.upstreamTls === null ? null : this.#dialTls(pick, rule, hostName, table, key, bothProtocols);
    if (tls === undefined) return null;
    const greeting = greetingOf(rule, sender);
    const { connectTimeoutMs } = this.#settings;
    const made = this.#makeShared(key, (next) =>
      this.connect(pick.endpoint, key, tls, greeting, connectTimeoutMs, next),
    );
    return made.stream(user);
  }

  /** Shares a connection that has just been opened and turned out to speak HTTP/2; its user gets a stream of it. */
  share(connection: UpstreamConnection, user: UpstreamUser): UpstreamStream {
    keepNewest(this.#speaksHttp2, connection.key, true);
    // Of several that were dialled at once, before anybody knew, one is enough.
    const open = this.#sharedPool.take(connection.key);
    if (open !== null) {
      connection.destroy();
      return open.stream(user);
    }
    const shared = this.#makeShared(connection.key, (next) => {
      connection.use(next);
      return connection;
    });
    shared.start();
    return shared.stream(user);
  }

  #makeShared(key: string, make: (user: UpstreamUser) => UpstreamConnection): SharedUpstream {
    const { connectTimeoutMs, maxHeadBytes } = this.#settings;
    const limits = { maxHeadBytes, maxStreams: 0 };
    const shared = new SharedUpstream(
      key,
      make,
      this.#sharedPool,
      this.#readers,
      limits,
      this.#sharedPool.expectedStreams(key),
      connectTimeoutMs,
      this.#deadlines,
    );
    this.#sharedPool.add(shared);
    return shared;
  }

  /** Dials the picked Endpoint; the user hears how it went. Null if the Route's CA is not in the table (never at rest). */
  dial(
    pick: Pick,
    rule: PathRule,
    hostName: string,
    sender: Sender,
    table: RouteTable,
    use: DialUse,
    user: UpstreamUser,
  ): UpstreamConnection | null {
    const key = connectionKey(pick, rule, hostName, sender);
    const protocols = use === 'upgrade' || this.#settings.disableHttp2 ? http1Alone : bothProtocols;
    const tls = rule.upstreamTls === null ? null : this.#dialTls(pick, rule, hostName, table, key, protocols);
    if (tls === undefined) return null;
    const greeting = greetingOf(rule, sender);
    return this.connect(pick.endpoint, key, tls, greeting, this.#settings.connectTimeoutMs, user);
  }

  /** Dials for a tunnel of bytes that are not ours to read: no TLS of our own, whatever the Route says. */
  dialRaw(pick: Pick, user: UpstreamUser): UpstreamConnection {
    return this.connect(pick.endpoint, pick.endpoint.authority, null, null, this.#settings.connectTimeoutMs, user);
  }

  /** Opens a connection: the one place that does. */
  protected connect(...parts: ConstructorParameters<typeof UpstreamConnection>): UpstreamConnection {
    const connection = new UpstreamConnection(...parts);
    connection.onDialled = this.#onDialled;
    return connection;
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
    this.#sharedPool.close();
    this.#pool.close();
  }

  #dialTls(
    pick: Pick,
    rule: PathRule,
    hostName: string,
    table: RouteTable,
    key: string,
    protocols: readonly string[],
  ): DialTls | undefined {
    const upstreamTls = rule.upstreamTls;
    if (upstreamTls === null) return undefined;
    const context = this.#context(upstreamTls.authority, table);
    if (context === undefined) return undefined;
    return {
      context,
      serverName: hostName,
      protocols,
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
function connectionKey(pick: Pick, rule: PathRule, hostName: string, sender: Sender): string {
  const tls = rule.upstreamTls;
  const key = tls === null ? pick.endpoint.authority : tlsKey(pick, tls, hostName);
  // What a PROXY header says of one client is not true of another.
  return rule.proxyProtocol === 'none' ? key : `${key} ${rule.proxyProtocol} ${sender.key}`;
}

function tlsKey(pick: Pick, tls: UpstreamTls, hostName: string): string {
  const service = tls.verify === 'service' ? pick.backend.id : '';
  return `${pick.endpoint.authority} ${tls.verify} ${tls.authority ?? ''} ${service} ${hostName}`;
}

/** What a connection begins with, before all TLS; null: with nothing. */
function greetingOf(rule: PathRule, sender: Sender): Buffer | null {
  return rule.proxyProtocol === 'none' ? null : sender.announce(rule.proxyProtocol);
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
