// Answers scrapes of the metrics: collects from all processes, once for all who ask at the same time, and sends the text in
// pieces that hold up neither this process nor, by their size, its memory.

import type { ServerResponse } from 'node:http';
import type { RouteTable } from '../table/route-table.ts';
import { type CertificateExpiry, certificateMetrics } from './certificate-metrics.ts';
import { exposition } from './exposition.ts';
import { type HaproxySettings, haproxyMetrics } from './haproxy-metrics.ts';
import { answer, streamText } from './replies.ts';
import { type MetricsDetail, routeMetrics } from './route-metrics.ts';
import { type Collected, type EndpointsShown, type TalliedTable, tallyTable } from './tallied-table.ts';
import { inTurns } from './turns.ts';
import { workerProcesses } from './worker-processes.ts';

/** Scrapes under way, at most; each holds what it has collected until it is read. */
const maxScrapes = 8;
/** Prometheus gives up after 10 s, unless it is told otherwise. */
const scrapeTimeoutMs = 60_000;
/** Keys in one message. */
const keysPerMessage = 500;

/** What a scrape asks of the rest. */
export type ScrapeSubject = {
  readonly table: () => RouteTable;
  /** What all processes have counted. */
  readonly collect: () => Promise<Collected>;
  /** When certificates expire. */
  readonly expiries: () => Iterable<CertificateExpiry>;
  /** Whether the table is whole: what is not in it is nowhere. */
  readonly synced: () => boolean;
  readonly workerPids: () => readonly number[];
  /** What is not counted any more. */
  readonly forget: (keys: readonly string[]) => void;
};

export type ScrapeSettings = HaproxySettings & {
  readonly metricsDetail: MetricsDetail;
  readonly metricsCompat: string;
};

export class Scrapes {
  readonly #subject: ScrapeSubject;
  readonly #settings: ScrapeSettings;
  #underWay = 0;
  #scrapes = 0;
  #collecting: Promise<TalliedTable> | null = null;

  constructor(subject: ScrapeSubject, settings: ScrapeSettings) {
    this.#subject = subject;
    this.#settings = settings;
  }

  /** Answers with the metrics; 503 where too many are being scraped already. */
  async answer(response: ServerResponse): Promise<void> {
    if (this.#underWay === maxScrapes) {
      answer(response, 503, 'too many scrapes at a time\n');
      return;
    }
    this.#underWay++;
    const deadline = setTimeout(() => response.destroy(), scrapeTimeoutMs);
    try {
      this.#collecting ??= this.#collect();
      const table = await this.#collecting;
      const pids = this.#isCompatible ? this.#subject.workerPids() : [];
      const processes = await workerProcesses(pids);
      this.#scrapes++;
      const haproxy = this.#isCompatible ? haproxyMetrics(table, this.#settings, processes, this.#scrapes) : [];
      await streamText(response, 'text/plain; version=0.0.4; charset=utf-8', this.#pieces(table, haproxy));
    } finally {
      clearTimeout(deadline);
      this.#underWay--;
    }
  }

  get #isCompatible(): boolean {
    return this.#settings.metricsCompat === 'haproxy';
  }

  async #collect(): Promise<TalliedTable> {
    try {
      const collected = await this.#subject.collect();
      const table = await inTurns(tallyTable(collected, this.#subject.table(), this.#showsEndpoints()));
      if (this.#subject.synced()) this.#forget(table.gone);
      return table;
    } finally {
      this.#collecting = null;
    }
  }

  #forget(gone: readonly string[]): void {
    for (let at = 0; at < gone.length; at += keysPerMessage) {
      this.#subject.forget(gone.slice(at, at + keysPerMessage));
    }
  }

  /** Which Endpoints are shown where there are so many; null where they are not counted. */
  #showsEndpoints(): ((endpoints: number) => EndpointsShown) | null {
    const { metricsDetail, metricsServerThreshold } = this.#settings;
    if (metricsDetail !== 'endpoint' && !this.#isCompatible) return null;
    const beyond = metricsDetail === 'endpoint' ? 'counted' : 'none';
    return (endpoints) => (this.#isCompatible && endpoints <= metricsServerThreshold ? 'all' : beyond);
  }

  *#pieces(table: TalliedTable, haproxy: Iterable<string>): Generator<string> {
    yield exposition(table.series);
    yield* routeMetrics(table, this.#settings.metricsDetail);
    yield* certificateMetrics(this.#subject.expiries(), this.#settings.metricsLimit);
    yield* haproxy;
  }
}
