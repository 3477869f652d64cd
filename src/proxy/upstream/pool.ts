// Connections to Endpoints that wait for their next request, newest first: the busiest stay warm, the rest age and close.

import type { Deadlines } from '../deadlines.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** Idle longer than this is closed, unless the Endpoint named a shorter time: many servers close after 5 s. */
const maxIdleMs = 4_500;
/** Left of the time that an Endpoint promises, because its clock and the way to it are not ours. */
const marginMs = 1_000;
/** A request that may not be repeated takes no connection that was idle longer: it may be closing just now. */
const freshMs = 1_000;
const sweepMs = 1_000;

export class UpstreamPool {
  readonly #idle: Map<string, UpstreamConnection[]> = new Map();
  readonly #maxIdlePerEndpoint: number;
  readonly #timer: NodeJS.Timeout;
  readonly #deadlines: Pick<Deadlines, 'nowMs'>;
  #count = 0;

  constructor(maxIdlePerEndpoint: number, deadlines: Pick<Deadlines, 'nowMs'>) {
    this.#maxIdlePerEndpoint = maxIdlePerEndpoint;
    this.#deadlines = deadlines;
    this.#timer = setInterval(() => this.#sweep(), sweepMs);
    this.#timer.unref();
  }

  /** Idle connections now. */
  get size(): number {
    return this.#count;
  }

  /** A connection that may be used at once, or null. `repeatable`: the request may be sent again if it turns out stale. */
  take(key: string, repeatable: boolean): UpstreamConnection | null {
    const nowMs = this.#deadlines.nowMs;
    const idle = this.#idle.get(key);
    if (idle === undefined) return null;
    for (let connection = idle.pop(); connection !== undefined; connection = idle.pop()) {
      this.#count--;
      if (connection.gone) continue;
      if (nowMs < connection.idleUntilMs && (repeatable || nowMs - connection.idleSinceMs < freshMs)) return connection;
      connection.destroy();
    }
    return null;
  }

  /** Takes a connection back. `keepAliveMs`: how long the Endpoint said that it keeps it; 0: it did not say. */
  release(connection: UpstreamConnection, keepAliveMs: number): void {
    const nowMs = this.#deadlines.nowMs;
    let idle = this.#idle.get(connection.key);
    if (idle === undefined) {
      idle = [];
      this.#idle.set(connection.key, idle);
    }
    const idleMs = keepAliveMs === 0 ? maxIdleMs : Math.min(maxIdleMs, keepAliveMs - marginMs);
    if (idle.length >= this.#maxIdlePerEndpoint || idleMs <= 0) {
      connection.destroy();
      return;
    }
    connection.idle();
    connection.idleSinceMs = nowMs;
    connection.idleUntilMs = nowMs + idleMs;
    idle.push(connection);
    this.#count++;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const idle of this.#idle.values()) for (const connection of idle) connection.destroy();
    this.#idle.clear();
    this.#count = 0;
  }

  #sweep(): void {
    const nowMs = this.#deadlines.nowMs;
    for (const [key, idle] of this.#idle) {
      let kept = 0;
      for (const connection of idle) {
        if (!connection.gone && nowMs < connection.idleUntilMs) idle[kept++] = connection;
        else connection.destroy();
      }
      this.#count -= idle.length - kept;
      idle.length = kept;
      if (kept === 0) this.#idle.delete(key);
    }
  }
}
