// When to try again: soon at first, seldom later, never all at once, and not before the other side wants it.

import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from './api-client.ts';

const firstMs = 250;
const lastMs = 30_000;

/** Waits; ends early with the signal. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {
    // The end is the caller's to see.
  });
}

/** Waits between tries at something that fails, doubled from try to try. */
export class Backoff {
  #nextMs = firstMs;

  /** Forgets past failures. */
  reset(): void {
    this.#nextMs = firstMs;
  }

  /** Waits for the next try; between half the step and the whole of it, and `Retry-After` at least. Ends with the signal. */
  async wait(error: unknown, signal: AbortSignal): Promise<void> {
    const stepMs = this.#nextMs * (0.5 + Math.random() / 2);
    this.#nextMs = Math.min(lastMs, this.#nextMs * 2);
    const askedMs = error instanceof ApiError ? error.retryAfterMs : 0;
    await pause(askedMs > 0 ? askedMs + Math.random() * firstMs : stepMs, signal);
  }
}
