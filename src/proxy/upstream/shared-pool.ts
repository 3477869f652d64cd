// The connections to Endpoints that speak HTTP/2, and which Endpoints do.

import type { Deadlines } from '../deadlines.ts';
import type { SharedUpstream, SharedUpstreamOwner } from './shared-upstream.ts';
import type { ConnectFailure } from './upstream.ts';

/** Without a stream for so long, a connection is closed. */
const maxIdleMs = 60_000;
const sweepMs = 5_000;
/** What servers take as a rule, and at the least ought to (RFC 9113 6.5.2). */
const usualStreams = 100;
const maxKnown = 1_000;

export class SharedPool implements SharedUpstreamOwner {
  readonly #shared: Map<string, SharedUpstream[]> = new Map();
  /** How many streams an Endpoint took when it was last asked, where that is less than usual. */
  readonly #fewStreams: Map<string, number> = new Map();
  readonly #deadlines: Pick<Deadlines, 'nowMs'>;
  readonly #onDialled: (failure: ConnectFailure | null) => void;
  readonly #onUnlearnt: (key: string) => void;
  readonly #timer: NodeJS.Timeout;

  /**
   * `onDialled`: a dial of a connection that was made to be shared has come to its end. `onUnlearnt`: under this key HTTP/2
   * is spoken no more.
   */
  constructor(
    deadlines: Pick<Deadlines, 'nowMs'>,
    onDialled: (failure: ConnectFailure | null) => void,
    onUnlearnt: (key: string) => void,
  ) {
    this.#deadlines = deadlines;
    this.#onDialled = onDialled;
    this.#onUnlearnt = onUnlearnt;
    this.#timer = setInterval(() => this.#sweep(), sweepMs);
    this.#timer.unref();
  }

  /** Connections now. */
  get size(): number {
    let count = 0;
    for (const shared of this.#shared.values()) count += shared.length;
    return count;
  }

  /** A connection under this key with room for one more stream, or null. */
  take(key: string): SharedUpstream | null {
    return this.#shared.get(key)?.find((shared) => shared.hasRoom) ?? null;
  }

  /** How many streams a connection under this key is likely to take: as many as wait for it while it is being opened. */
  expectedStreams(key: string): number {
    return this.#fewStreams.get(key) ?? usualStreams;
  }

  onSharedOpen({ key }: SharedUpstream, maxStreams: number): void {
    this.#fewStreams.delete(key);
    if (maxStreams >= usualStreams) return;
    if (this.#fewStreams.size >= maxKnown) this.#fewStreams.clear();
    this.#fewStreams.set(key, Math.max(1, maxStreams));
  }

  add(shared: SharedUpstream): void {
    const known = this.#shared.get(shared.key);
    if (known === undefined) this.#shared.set(shared.key, [shared]);
    else known.push(shared);
  }

  onSharedDialled(failure: ConnectFailure | null): void {
    this.#onDialled(failure);
  }

  onUnlearnt({ key }: SharedUpstream): void {
    this.#onUnlearnt(key);
  }

  onSharedOver(over: SharedUpstream): void {
    const left = this.#shared.get(over.key)?.filter((shared) => shared !== over) ?? [];
    if (left.length === 0) this.#shared.delete(over.key);
    else this.#shared.set(over.key, left);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const shared of [...this.#shared.values()].flat()) shared.destroy();
  }

  #sweep(): void {
    const idleSinceMs = this.#deadlines.nowMs - maxIdleMs;
    for (const shared of [...this.#shared.values()].flat()) {
      if (shared.streams === 0 && shared.open && shared.idleSinceMs < idleSinceMs) shared.close();
    }
  }
}
