// What is under way with each Endpoint: in this worker, and for those who balance by it in the others.

import type { Peers } from '../../replication/peers.ts';
import type { Security } from '../health/endpoint-health.ts';
import { CountExchange, type Counter, type Tell } from '../sums/count-exchange.ts';

/** Loads that are kept before those without anything under way are let go. */
const manyLoads = 4_096;

/** What is under way with one Endpoint, for whatever Routes. */
export class Load {
  readonly authority: string;
  /** Requests, tunnels and connections of this worker. */
  active = 0;
  /** Those of the others together, smoothed, as far as anybody has asked for them. */
  smoothed = 0;
  /** The same in whole numbers. */
  elsewhere = 0;
  /** Whether the other workers are told of it. */
  shared = false;
  /** When it last answered a request, in ms of the deadlines' clock. */
  readonly answeredMs: Record<Security, number> = {
    plain: Number.NEGATIVE_INFINITY,
    tls: Number.NEGATIVE_INFINITY,
  };

  constructor(authority: string) {
    this.authority = authority;
  }
}

export class Loads implements Counter {
  readonly #loads: Map<string, Load> = new Map();
  /** With the other workers. */
  readonly exchange: CountExchange;
  readonly #shared: Set<Load> = new Set();
  #kept = manyLoads;

  constructor(peers: Peers) {
    this.exchange = new CountExchange('loads', 1, peers, this);
  }

  /** What is under way with an authority. */
  of(authority: string): Load {
    const known = this.#loads.get(authority);
    if (known !== undefined) return known;
    if (this.#loads.size >= this.#kept) {
      for (const [each, { active, shared }] of this.#loads) if (active === 0 && !shared) this.#loads.delete(each);
      this.#kept = Math.max(manyLoads, 2 * this.#loads.size);
    }
    const load = new Load(authority);
    this.#loads.set(authority, load);
    return load;
  }

  /** How much all workers have under way with an authority. From the first question on they tell one another. */
  everywhere(authority: string): number {
    const load = this.of(authority);
    if (!load.shared) this.#share(load);
    return load.active + load.elsewhere;
  }

  /** When an authority last answered a request of this worker, in ms of the deadlines' clock. */
  answeredMs(authority: string, security: Security): number {
    return this.#loads.get(authority)?.answeredMs[security] ?? Number.NEGATIVE_INFINITY;
  }

  tellCounts(tell: Tell): void {
    for (const { authority, active } of this.#shared) if (active > 0) tell(authority, [active]);
  }

  onHeard(): void {
    // What others have under way is taken over bit by bit.
  }

  /**
   * Moves what is known of the others towards what they told. With the whole of it at once every worker would fill the same
   * gap, and make a larger one elsewhere: of `n` workers each moves by 1/n, so together they move as one would that sees all.
   */
  onSums(): void {
    const { workers, together } = this.exchange;
    for (const load of this.#shared) {
      const told = this.exchange.of(load.authority)?.[0] ?? 0;
      load.smoothed += (told - load.smoothed) / Math.max(1, workers);
      load.elsewhere = together ? Math.round(load.smoothed) : 0;
      if (together && load.active + told + load.elsewhere > 0) continue;
      load.smoothed = 0;
      load.shared = false;
      this.#shared.delete(load);
    }
  }

  #share(load: Load): void {
    if (!this.exchange.together || this.#shared.size >= this.exchange.maxKeys) return;
    load.shared = true;
    this.#shared.add(load);
    this.exchange.wake();
  }
}
