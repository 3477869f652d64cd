// What all processes count, in one sum: those that live by what they told last, and the dead, so that no counter goes backwards.

import { MergedMetrics, type Metrics, type SeriesSnapshot } from './telemetry/metrics.ts';
import { type RowsByKey, retireRows, summedRows, type TallyRows, takeRows } from './telemetry/tally-row.ts';

/** A scrape waits so long for the next word of a worker, then takes what it said last. */
const reportTimeoutMs = 500;

/** What one process has told. */
export class ToldCounts {
  series: readonly SeriesSnapshot[] = [];
  /** What it counts by Route, as it was when it was asked last. */
  rows: RowsByKey = new Map();
}

export class MetricsCollection {
  readonly #retired: MergedMetrics = new MergedMetrics();
  readonly #retiredRows: RowsByKey = new Map();
  /** What is done when a report has come, and until when it is waited for. */
  readonly #awaited: Map<number, { readonly done: () => void; readonly timer: NodeJS.Timeout }> = new Map();
  #requests = 0;

  /** Resolves when a process has reported, or has been silent for too long. `ask`: has it report under this number. */
  reported(ask: (request: number) => void): Promise<void> {
    const request = ++this.#requests;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#awaited.delete(request);
        resolve();
      };
      const timer = setTimeout(done, reportTimeoutMs);
      this.#awaited.set(request, { done, timer });
      ask(request);
    });
  }

  /** Takes some of the rows that go before a report. */
  rows(counts: ToldCounts, request: number, rows: TallyRows): void {
    takeRows(counts.rows, rows);
    this.#awaited.get(request)?.timer.refresh();
  }

  /** Takes a report. */
  report(counts: ToldCounts, request: number, series: readonly SeriesSnapshot[]): void {
    counts.series = series;
    this.#awaited.get(request)?.done();
  }

  /** The process is dead; what it told stays. */
  retire(counts: ToldCounts): void {
    this.#retired.addRetired(counts.series);
    counts.series = [];
    retireRows(this.#retiredRows, counts.rows);
    counts.rows = new Map();
  }

  /** What is not in the table any more is not kept here either, or it would pile up. */
  forget(all: readonly ToldCounts[], keys: readonly string[]): void {
    for (const rows of [this.#retiredRows, ...all.map((counts) => counts.rows)]) {
      for (const key of keys) rows.delete(key);
    }
  }

  /** The sum of all that was told, of the dead, and of this process's own metrics. */
  sumOf(all: readonly ToldCounts[], own: Metrics): SeriesSnapshot[] {
    const merged = new MergedMetrics();
    merged.add(this.#retired.snapshot());
    for (const { series } of all) merged.add(series);
    merged.add(own.snapshot());
    return merged.snapshot();
  }

  /** The same of the rows, a message at a time. */
  rowsOf(all: readonly ToldCounts[]): Iterable<TallyRows> {
    // A copy: the rows of a worker that dies meanwhile would be in both.
    return summedRows([new Map(this.#retiredRows), ...all.map(({ rows }) => rows)]);
  }
}
