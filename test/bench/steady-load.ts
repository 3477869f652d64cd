// A small, even load over kept-alive connections from within the bench: not to measure speed, but to see whether any request
// suffers while something else happens.

import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { ProbeTarget } from './probe.ts';

const CONNECTIONS = 16;
/** Together about 500 requests a second with a pod that answers at once. */
const PAUSE_MS = 32;
const REQUEST_TIMEOUT_MS = 10_000;

export type SteadyLoadReport = {
  readonly requests: number;
  /** How many had no answer with 200, by the reason: an errno name, or the status. */
  readonly failures: Readonly<Record<string, number>>;
  readonly latenciesMs: readonly number[];
};

export class SteadyLoad {
  readonly #target: ProbeTarget;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  readonly #latenciesMs: number[] = [];
  readonly #failures = new Map<string, number>();
  readonly #clients: readonly Promise<void>[];
  #inFlight = 0;
  #stopped = false;

  constructor(target: ProbeTarget) {
    this.#target = target;
    this.#clients = Array.from({ length: CONNECTIONS }, () => this.#ask());
  }

  /** How many requests were answered with 200 so far. */
  get answered(): number {
    return this.#latenciesMs.length;
  }

  /** How many requests failed so far. */
  get failed(): number {
    return this.#failures.values().reduce((sum, count) => sum + count, 0);
  }

  /** How many requests are waiting for their answer. */
  get inFlight(): number {
    return this.#inFlight;
  }

  async stop(): Promise<SteadyLoadReport> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    this.#agent.destroy();
    return {
      requests: this.#latenciesMs.length + this.failed,
      failures: Object.fromEntries(this.#failures),
      latenciesMs: this.#latenciesMs,
    };
  }

  async #ask(): Promise<void> {
    while (!this.#stopped) {
      const sentAt = performance.now();
      this.#inFlight++;
      const outcome = await this.#outcome();
      this.#inFlight--;
      if (outcome === '200') this.#latenciesMs.push(performance.now() - sentAt);
      else this.#failures.set(outcome, (this.#failures.get(outcome) ?? 0) + 1);
      await pause(PAUSE_MS);
    }
  }

  #outcome(): Promise<string> {
    const { port, host, path } = this.#target;
    return new Promise((resolve) => {
      const sent = request(
        { host: '127.0.0.1', port, path, headers: { host }, agent: this.#agent, timeout: REQUEST_TIMEOUT_MS },
        (response) => {
          response.resume();
          response.on('end', () => resolve(String(response.statusCode)));
          response.on('error', () => resolve('cut'));
        },
      );
      sent.on('timeout', () => sent.destroy(new Error('timeout')));
      sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      sent.end();
    });
  }
}
