// The counts of one Route, Endpoint, frontend or check in this worker. What a request adds to is found once and then is a
// number in an array that is added to.

import type { Endpoint } from '../../table/entries.ts';
import { Column, durationBounds, emptyRow } from '../../telemetry/tally-row.ts';

/** Of how many requests the latest averages are, as with HAProxy. */
const recentRequests = 1024;

const boundsMs: readonly number[] = durationBounds.map((seconds) => seconds * 1000);

/** Where the columns are that can be counted one by one. */
export type Countable =
  | typeof Column.connectFailures
  | typeof Column.responseFailures
  | typeof Column.unserved
  | typeof Column.retries
  | typeof Column.redispatches
  | typeof Column.reuses
  | typeof Column.denied
  | typeof Column.refused
  | typeof Column.passthroughs
  | typeof Column.checkFailures;

export class Tally {
  readonly key: string;
  readonly row: number[] = emptyRow();
  /** Whether it says something that has not been told yet. */
  changed = true;
  /** Since when it has been down without that time being counted, in ms; 0: it is up. */
  downSinceMs = 0;
  /** The second in which something began last, and how much. */
  #second = 0;
  #inSecond = 0;

  constructor(key: string) {
    this.key = key;
  }

  /** One more begins. */
  begin(nowMs: number): void {
    this.#add(Column.begun, 1);
    this.#level(Column.active, 1, Column.mostActive);
    const second = Math.floor(nowMs / 1000);
    if (second > this.#second) this.#turn(second);
    this.#inSecond++;
  }

  /** One that began is over. */
  end(): void {
    this.#add(Column.active, -1);
  }

  count(what: Countable): void {
    this.#add(what, 1);
  }

  waits(): void {
    this.#level(Column.waiting, 1, Column.mostWaiting);
  }

  waitsNoMore(): void {
    this.#add(Column.waiting, -1);
  }

  moved(receivedBytes: number, sentBytes: number): void {
    this.#add(Column.receivedBytes, receivedBytes);
    this.#add(Column.sentBytes, sentBytes);
  }

  answered(status: number): void {
    const code = status >= 100 && status < 600 ? Math.floor(status / 100) - 1 : 5;
    this.#add(Column.codes + code, 1);
  }

  /** How long an answered request took, from its head to the last byte of the answer. */
  took(ms: number): void {
    this.#add(Column.durationMicros, Math.round(ms * 1000));
    let bucket = 0;
    while (bucket < boundsMs.length && ms > (boundsMs[bucket] ?? 0)) bucket++;
    this.#add(Column.durations + bucket, 1);
  }

  /** How long it waited for a place with a pod, for a connection, and for the first byte of the answer, each in ms. */
  reached(queueMs: number, connectMs: number, responseMs: number): void {
    const { row } = this;
    this.#add(Column.reached, 1);
    const recent = row[Column.recent] ?? 0;
    if (recent < recentRequests) row[Column.recent] = recent + 1;
    const kept = recent < recentRequests ? 1 : 1 - 1 / recentRequests;
    this.#phase(Column.queueMicros, Column.recentQueueMicros, queueMs, kept);
    this.#phase(Column.connectMicros, Column.recentConnectMicros, connectMs, kept);
    this.#phase(Column.responseMicros, Column.recentResponseMicros, responseMs, kept);
  }

  /** A check says so; not whether it has been said before. */
  foundDown(nowMs: number): void {
    this.row[Column.down] = 1;
    this.downSinceMs = nowMs;
    this.changed = true;
  }

  foundUp(nowMs: number): void {
    this.#countDown(nowMs);
    this.row[Column.down] = 0;
    this.downSinceMs = 0;
    this.changed = true;
  }

  checkTook(ms: number): void {
    this.row[Column.checkMicros] = Math.round(ms * 1000);
    this.changed = true;
  }

  /** The row as it is to be told, for the last time until something changes. */
  tell(nowMs: number): readonly number[] {
    this.#countDown(nowMs);
    const second = Math.floor(nowMs / 1000);
    if (second > this.#second) this.#turn(second);
    this.row[Column.mostRate] = Math.max(this.row[Column.mostRate] ?? 0, this.#inSecond);
    // A rate sinks by itself, and so grows the time for which it is down.
    this.changed = this.#inSecond > 0 || this.row[Column.rate] !== 0 || this.downSinceMs > 0;
    return this.row;
  }

  #turn(second: number): void {
    const rate = second === this.#second + 1 ? this.#inSecond : 0;
    this.row[Column.rate] = rate;
    this.row[Column.mostRate] = Math.max(this.row[Column.mostRate] ?? 0, this.#inSecond);
    this.#second = second;
    this.#inSecond = 0;
  }

  #countDown(nowMs: number): void {
    if (this.downSinceMs === 0) return;
    this.#add(Column.downMicros, Math.round((nowMs - this.downSinceMs) * 1000));
    this.downSinceMs = nowMs;
  }

  #phase(sum: number, recentSum: number, ms: number, kept: number): void {
    const micros = Math.round(ms * 1000);
    this.#add(sum, micros);
    this.row[recentSum] = Math.round((this.row[recentSum] ?? 0) * kept) + micros;
  }

  #level(column: number, by: number, most: number): void {
    this.#add(column, by);
    const level = this.row[column] ?? 0;
    if (level > (this.row[most] ?? 0)) this.row[most] = level;
  }

  #add(column: number, by: number): void {
    this.row[column] = (this.row[column] ?? 0) + by;
    this.changed = true;
  }
}

/** That of a Route, with those of its Endpoints by their ids. */
export class RouteTally extends Tally {
  /** Whether it is none of this worker's tallies any more, as its Route has left the table. */
  forgotten = false;
  readonly endpoints: Map<Endpoint['id'], Tally> = new Map();
}
