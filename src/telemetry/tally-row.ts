// What is counted of one Route, of one Endpoint of a Route, of one frontend or check: a row of whole numbers, of one shape for
// all of them, so that the rows of several workers add up column by column and travel as plain arrays.

/**
 * What stands where in a row. Up to `durations` it only grows, and stays when a worker dies; from `active` on it is a level,
 * which goes with its worker. Times are in microseconds.
 */
export const Column = {
  /** Requests and passthrough connections for a Route, tries with an Endpoint, connections to a frontend. */
  begun: 0,
  /** Heads, bodies and tunnels, without TLS. */
  receivedBytes: 1,
  sentBytes: 2,
  /** Answers by class of their status: 1xx to 5xx, and others. Six columns. */
  codes: 3,
  /** Tries to connect that failed. */
  connectFailures: 9,
  /** Answers of pods that did not come, broke off or could not be read. */
  responseFailures: 10,
  /** Requests and connections for which there was no pod, or none that was up or free. */
  unserved: 11,
  retries: 12,
  /** Of those, the ones that went to another Endpoint than before. */
  redispatches: 13,
  /** Requests over a connection to the pod that was open already. */
  reuses: 14,
  /** Turned away by a rule of the Route. */
  denied: 15,
  /** Not taken, because they could not be read. */
  refused: 16,
  /** Passthrough connections, among those begun. */
  passthroughs: 17,
  /** Phases of all that reached a pod, and how many those are. */
  queueMicros: 18,
  connectMicros: 19,
  responseMicros: 20,
  reached: 21,
  checkFailures: 22,
  downMicros: 23,
  durationMicros: 24,
  /** Answered requests by their duration; one column more than there are bounds. */
  durations: 25,

  /** Under way now, and at the most so far. */
  active: 34,
  mostActive: 35,
  /** Those among them that wait for a place with a pod. */
  waiting: 36,
  mostWaiting: 37,
  /** Begun in the last whole second, and at the most in one. */
  rate: 38,
  mostRate: 39,
  /** How many of the latest the three sums behind it are of. */
  recent: 40,
  recentQueueMicros: 41,
  recentConnectMicros: 42,
  recentResponseMicros: 43,
  /** 1 where checks say that it is down. */
  down: 44,
  checkMicros: 45,
} as const;

export const columnCount = 46;

/** Upper bounds of the durations of a row's requests, in seconds. Fewer than elsewhere, as there are many rows. */
export const durationBounds: readonly number[] = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Rows on their way: for each key in turn `columnCount` values. */
export type TallyRows = { readonly keys: readonly string[]; readonly values: readonly number[] };

/** Rows by their key. */
export type RowsByKey = Map<string, number[]>;

/** Rows in one message: a fraction of a millisecond to write and to read. */
export const rowsPerMessage = 100;

// Doubles from the start: an array that turns out to hold more than 31 bits is copied.
const zeros: readonly number[] = Array.from({ length: columnCount }, () => Number.NaN).fill(0);

/** A row of zeros. */
export function emptyRow(): number[] {
  return zeros.slice();
}

/** Adds a row to another: of one that lives all of it, of one that has ended what must not go backwards. */
export function addRow(sum: number[], row: readonly number[], of: 'living' | 'ended'): void {
  const end = of === 'living' ? columnCount : Column.active;
  for (let column = 0; column < end; column++) sum[column] = (sum[column] ?? 0) + (row[column] ?? 0);
}

/** Takes rows that have come, in the place of older ones with the same keys. */
export function takeRows(into: RowsByKey, { keys, values }: TallyRows): void {
  for (const [i, key] of keys.entries()) into.set(key, values.slice(i * columnCount, (i + 1) * columnCount));
}

/** Adds what an ended worker has counted to what those before it had. Rows are replaced: who reads the old ones goes on. */
export function retireRows(into: RowsByKey, rows: RowsByKey): void {
  for (const [key, row] of rows) {
    const sum = into.get(key)?.slice() ?? emptyRow();
    addRow(sum, row, 'ended');
    into.set(key, sum);
  }
}

/** The sums over several maps, a message at a time: each key once. No map may lose or gain what another one gains or loses meanwhile. */
export function* summedRows(maps: readonly RowsByKey[]): Generator<TallyRows> {
  let keys: string[] = [];
  let values: number[] = [];
  for (const [i, map] of maps.entries()) {
    const before = maps.slice(0, i);
    const after = maps.slice(i + 1);
    for (const [key, row] of map) {
      if (before.some((earlier) => earlier.has(key))) continue;
      const sum = row.slice();
      for (const later of after) {
        const same = later.get(key);
        if (same !== undefined) addRow(sum, same, 'living');
      }
      keys.push(key);
      values.push(...sum);
      if (keys.length < rowsPerMessage) continue;
      yield { keys, values };
      keys = [];
      values = [];
    }
  }
  if (keys.length > 0) yield { keys, values };
}
