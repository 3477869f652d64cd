// One line a request or tunnel, for the sampled share of them. Off unless asked for.

import type { RouteKey } from '../table/entries.ts';
import { createBulkLog, type Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AnswerReason } from './answers.ts';
import type { EndReason } from './end-reason.ts';

export type AccessLine = {
  readonly client: string;
  readonly scheme: 'http' | 'https' | 'tls';
  readonly method: string | null;
  readonly host: string;
  readonly target: string | null;
  readonly status: number | null;
  readonly route: RouteKey | null;
  readonly endpoint: string | null;
  /** From the whole head to: the connection to the pod, its first byte, the end. Null where it did not come to that. */
  readonly connectMs: number | null;
  readonly firstByteMs: number | null;
  readonly totalMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly retries: number;
  /** How it ended: `forwarded`, why the router answered itself, or why the connection broke off. */
  readonly end: 'forwarded' | AnswerReason | EndReason;
};

export class AccessLog {
  readonly #sample: number;
  readonly #log: Log;
  #credit = 0;

  /** `sample`: share of the lines to write, 0 to 1. */
  constructor(sample: number, metrics: Metrics, worker: number) {
    this.#sample = sample;
    const dropped = metrics.series('headgate_log_lines_dropped_total', 'access');
    this.#log = createBulkLog({ log: 'access', worker }, () => {
      dropped.value++;
    });
  }

  /** Whether the next line is among those to be written: exact over time, and cheap. */
  sampled(): boolean {
    this.#credit += this.#sample;
    if (this.#credit < 1) return false;
    this.#credit -= 1;
    return true;
  }

  write(line: AccessLine): void {
    this.#log.info(line, 'access');
  }
}
