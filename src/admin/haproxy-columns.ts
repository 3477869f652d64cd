// The statistics of HAProxy as the OpenShift router exports them (Route semantics 6.3): which column has which name, and what
// stands in it here. All are gauges, as they are there.

import { Column } from '../telemetry/tally-row.ts';

/** What a line is about, as far as its values depend on it. */
export type StatisticsRow = {
  /** Counts; null where nothing has been counted yet. */
  readonly row: readonly number[] | null;
  /** Of the checks of a server. */
  readonly check: readonly number[] | null;
  /** Whether requests are seen, or bytes only. */
  readonly mode: 'http' | 'tcp';
  readonly up: boolean;
  readonly weight: number;
  /** Connections at a time; 0: any number. */
  readonly limit: number;
};

/** Of what there are lines. */
export type StatisticsKind = 'frontend' | 'backend' | 'server';

type Reading = (of: StatisticsRow, kind: StatisticsKind) => number;

export type StatisticsColumn = {
  /** The number by which the column is chosen, where frontends have another one that too. */
  readonly number: number;
  readonly frontendNumber?: number;
  /** Behind `haproxy_frontend_` and so on. */
  readonly name: string;
  readonly help: string;
  readonly kinds: readonly StatisticsKind[];
  /** By the value of `code`; one without where there is no such label. */
  readonly values: readonly { readonly code: string | null; readonly read: Reading }[];
  /** Of rows that see requests only. */
  readonly httpOnly: boolean;
};

const everywhere: readonly StatisticsKind[] = ['frontend', 'backend', 'server'];
const behind: readonly StatisticsKind[] = ['backend', 'server'];

const sum = (row: readonly number[] | null, columns: readonly number[]): number =>
  row === null ? 0 : columns.reduce((total, column) => total + (row[column] ?? 0), 0);

const counted =
  (...columns: readonly number[]): Reading =>
  ({ row }) =>
    sum(row, columns);

const nothing: Reading = () => 0;

/** Milliseconds of the latest 1,024 requests that reached a pod, on average. */
const recentMs =
  (micros: number): Reading =>
  ({ row }) => {
    const count = sum(row, [Column.recent]);
    return count === 0 ? 0 : Math.round(sum(row, [micros]) / count) / 1000;
  };

const allCodes: readonly number[] = [0, 1, 2, 3, 4, 5].map((code) => Column.codes + code);

function column(
  number: number,
  name: string,
  help: string,
  kinds: readonly StatisticsKind[],
  read: Reading,
): StatisticsColumn {
  return { number, name, help, kinds, values: [{ code: null, read }], httpOnly: false };
}

function ofRequests(made: StatisticsColumn): StatisticsColumn {
  return { ...made, httpOnly: true };
}

const ofCode = (number: number, code: string): StatisticsColumn['values'][number] => ({
  code,
  read: counted(Column.codes + number - 39),
});

/** In the order of HAProxy's columns. Those of the responses are one metric with six numbers: see `statisticsColumns`. */
const columns: readonly StatisticsColumn[] = [
  column(2, 'current_queue', 'Requests that wait for a pod.', behind, counted(Column.waiting)),
  column(3, 'max_queue', 'The most that have waited at a time.', behind, counted(Column.mostWaiting)),
  column(4, 'current_sessions', 'Under way now.', everywhere, counted(Column.active)),
  column(5, 'max_sessions', 'The most that have been under way at a time.', everywhere, counted(Column.mostActive)),
  column(6, 'limit_sessions', 'The most that may be under way at a time.', everywhere, ({ limit }) => limit),
  {
    ...column(7, 'connections_total', 'Begun so far.', everywhere, counted(Column.begun)),
    frontendNumber: 79,
  },
  column(8, 'bytes_in_total', 'Bytes received from clients.', everywhere, counted(Column.receivedBytes)),
  column(9, 'bytes_out_total', 'Bytes sent to clients.', everywhere, counted(Column.sentBytes)),
  column(10, 'requests_denied_total', 'Requests turned away.', ['frontend'], counted(Column.denied)),
  column(12, 'request_errors_total', 'Requests that could not be read.', ['frontend'], counted(Column.refused)),
  column(13, 'connection_errors_total', 'Connections to pods that failed.', behind, (of) =>
    sum(of.row, [Column.connectFailures, Column.unserved]),
  ),
  column(14, 'response_errors_total', 'Answers of pods that failed.', behind, counted(Column.responseFailures)),
  column(
    15,
    'retry_warnings_total',
    'Tries repeated with the same pod.',
    behind,
    (of) => sum(of.row, [Column.retries]) - sum(of.row, [Column.redispatches]),
  ),
  column(16, 'redispatch_warnings_total', 'Tries repeated with another pod.', behind, counted(Column.redispatches)),
  column(17, 'up', 'Whether requests are taken: 1 or 0.', behind, ({ up }) => (up ? 1 : 0)),
  column(18, 'weight', 'Share of the requests.', behind, ({ weight }) => weight),
  column(21, 'check_failures_total', 'Checks that failed.', ['server'], ({ check }) =>
    sum(check, [Column.checkFailures]),
  ),
  column(
    24,
    'downtime_seconds_total',
    'Time for which checks have found it down.',
    ['server'],
    ({ check }) => sum(check, [Column.downMicros]) / 1e6,
  ),
  column(33, 'current_session_rate', 'Begun in the last second.', everywhere, counted(Column.rate)),
  column(34, 'limit_session_rate', 'Not limited: 0.', ['frontend'], nothing),
  column(35, 'max_session_rate', 'The most that have begun in a second.', everywhere, counted(Column.mostRate)),
  column(
    38,
    'check_duration_milliseconds',
    'How long the last check took.',
    ['server'],
    ({ check }) => sum(check, [Column.checkMicros]) / 1000,
  ),
  ofRequests(column(48, 'http_requests_total', 'Requests answered.', ['frontend'], ({ row }) => sum(row, allCodes))),
  ofRequests(
    column(
      58,
      'http_average_queue_latency_milliseconds',
      'Wait for a place with a pod, on average.',
      behind,
      recentMs(Column.recentQueueMicros),
    ),
  ),
  ofRequests(
    column(
      59,
      'http_average_connect_latency_milliseconds',
      'Wait for a connection to a pod, on average.',
      behind,
      recentMs(Column.recentConnectMicros),
    ),
  ),
  ofRequests(
    column(
      60,
      'http_average_response_latency_milliseconds',
      'Wait for the first byte of an answer, on average.',
      behind,
      recentMs(Column.recentResponseMicros),
    ),
  ),
  column(85, 'connections_reused_total', 'Requests over an open connection.', behind, counted(Column.reuses)),
];

const responses: readonly (readonly [number, string])[] = [
  [39, '1xx'],
  [40, '2xx'],
  [41, '3xx'],
  [42, '4xx'],
  [43, '5xx'],
  [44, 'other'],
];

/** The columns of one kind of line, among those whose numbers are exported. */
export function statisticsColumns(kind: StatisticsKind, exported: readonly number[]): StatisticsColumn[] {
  const chosen = columns.filter(({ number, frontendNumber, kinds }) =>
    kinds.includes(kind) ? exported.includes(kind === 'frontend' ? (frontendNumber ?? number) : number) : false,
  );
  const codes = responses.filter(([number]) => exported.includes(number));
  if (codes.length > 0) {
    chosen.push({
      number: 39,
      name: 'http_responses_total',
      help: 'Answers, by class of their status.',
      kinds: everywhere,
      values: codes.map(([number, code]) => ofCode(number, code)),
      httpOnly: true,
    });
  }
  return chosen;
}
