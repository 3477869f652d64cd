// How much of a worker one source may hold, and how many TLS handshakes may be under way in it. A source is an IPv4 address
// or an IPv6 /64: whoever has one IPv6 address has a /64 of them.

import { ipv6Bytes } from '../../protocol/ip-address.ts';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import type { ProxySettings } from '../context.ts';
import { shareOf } from './limits.ts';

/** A handshake that took so long has a client that is far away, or does not mean to end it. */
const slowHandshakeMs = 1_000;

/** Who has a handshake under way. */
export interface HandshakeHolder {
  /** Another one needs the place. */
  cutHandshake(): void;
}

/** What a source is counted under. */
export type SourceKey = string & { readonly __sourceKey: true };

export class ClientLimits {
  readonly #connections: SourceCounter;
  readonly #handshakesBySource: SourceCounter;
  readonly #maxHandshakes: number;
  /** Since when, in ms; the eldest first. */
  readonly #handshakes: Map<HandshakeHolder, number> = new Map();
  readonly #refused: Readonly<Record<'http' | 'https', Series>>;
  readonly #refusedHandshakes: Series;
  readonly #refusedHandshakesOfSource: Series;

  constructor(
    settings: Pick<ProxySettings, 'maxConnectionsPerSource' | 'maxHandshakes' | 'maxHandshakesPerSource'>,
    workers: number,
    metrics: Metrics,
  ) {
    this.#connections = new SourceCounter(shareOf(settings.maxConnectionsPerSource, workers));
    this.#handshakesBySource = new SourceCounter(settings.maxHandshakesPerSource);
    this.#maxHandshakes = settings.maxHandshakes;
    const refused = (listener: 'http' | 'https', limit: string): Series =>
      metrics.series('headgate_connections_refused_total', listener, limit);
    this.#refused = {
      http: refused('http', 'connections-per-source'),
      https: refused('https', 'connections-per-source'),
    };
    this.#refusedHandshakes = refused('https', 'handshakes');
    this.#refusedHandshakesOfSource = refused('https', 'handshakes-per-source');
  }

  /** The source of a client's address, an IPv4 one in plain form; null where nothing is counted by source. */
  sourceOf(address: string): SourceKey | null {
    return this.#connections.limit === 0 && this.#handshakesBySource.limit === 0 ? null : sourceKey(address);
  }

  /** Counts a connection of a source; false: it has as many as it may. */
  mayConnect(source: SourceKey | null, listener: 'http' | 'https'): boolean {
    if (this.#connections.take(source)) return true;
    this.#refused[listener].value++;
    return false;
  }

  /** A connection that was counted is over. */
  disconnected(source: SourceKey | null): void {
    this.#connections.give(source);
  }

  /**
   * Counts a handshake, or says which limit forbids it. Where all places are taken, a slow one loses its own to the newcomer:
   * clients that never finish must not keep out those that would.
   */
  beginHandshake(
    holder: HandshakeHolder,
    source: SourceKey | null,
    nowMs: number,
  ): 'begun' | 'source-limit' | 'handshake-limit' {
    if (!this.#handshakesBySource.take(source)) {
      this.#refusedHandshakesOfSource.value++;
      return 'source-limit';
    }
    if (this.#maxHandshakes === 0) return 'begun';
    if (this.#handshakes.size >= this.#maxHandshakes) {
      this.#refusedHandshakes.value++;
      const eldest = this.#handshakes.entries().next().value;
      if (eldest === undefined || nowMs - eldest[1] < slowHandshakeMs) {
        this.#handshakesBySource.give(source);
        return 'handshake-limit';
      }
      eldest[0].cutHandshake();
    }
    this.#handshakes.set(holder, nowMs);
    return 'begun';
  }

  /** A handshake that had begun is over, one way or the other. */
  endHandshake(holder: HandshakeHolder, source: SourceKey | null): void {
    this.#handshakes.delete(holder);
    this.#handshakesBySource.give(source);
  }

  /** Sources of which something is held. */
  get sources(): number {
    return this.#connections.size + this.#handshakesBySource.size;
  }

  /** Handshakes under way, where they are limited. */
  get handshakes(): number {
    return this.#handshakes.size;
  }
}

/** How much each source holds. A source that holds nothing takes no memory, so connections bound the whole. */
class SourceCounter {
  readonly limit: number;
  readonly #held: Map<SourceKey, number> = new Map();

  /** `limit`: 0 is none, and nothing is counted. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#held.size;
  }

  take(source: SourceKey | null): boolean {
    if (this.limit === 0 || source === null) return true;
    const held = this.#held.get(source) ?? 0;
    if (held >= this.limit) return false;
    this.#held.set(source, held + 1);
    return true;
  }

  give(source: SourceKey | null): void {
    if (this.limit === 0 || source === null) return;
    const held = this.#held.get(source) ?? 0;
    if (held > 1) this.#held.set(source, held - 1);
    else this.#held.delete(source);
  }
}

/** The source of a client's address, an IPv4 one in plain form. */
export function sourceKey(address: string): SourceKey {
  if (!address.includes(':')) return address as SourceKey;
  return ipv6Bytes(address).toString('hex', 0, 8) as SourceKey;
}
