// Metrics of Routes and Endpoints as text, a piece at a time: with ten thousand Routes they are megabytes. Only what has had
// traffic is shown, and of it what is not nothing.

import { type MetricName, metricDefinitions } from '../telemetry/metrics.ts';
import { Column, durationBounds } from '../telemetry/tally-row.ts';
import { headText } from './exposition.ts';
import { endpointLabels, type TalliedEndpoint, type TalliedTable } from './tallied-table.ts';

/** Which metrics there are besides those of the router. */
export type MetricsDetail = 'router' | 'route' | 'endpoint';

/** A row with its labels. */
type Labelled = { readonly labels: string; readonly row: readonly number[] };

/** The value of a metric in a row, by the value of its last label where it has one more than the row. */
type Family = {
  readonly name: MetricName;
  readonly values: readonly { readonly label: string; readonly read: (row: readonly number[]) => number }[];
  /** `always`: also where it is 0. */
  readonly shown: 'always' | 'positive';
};

const codeNames: readonly string[] = ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'];
const ofColumn = (column: number) => (row: readonly number[]) => row[column] ?? 0;
const secondsOf = (column: number) => (row: readonly number[]) => (row[column] ?? 0) / 1e6;
const codes = codeNames.map((code, i) => ({ label: `code="${code}"`, read: ofColumn(Column.codes + i) }));
const phases = [
  { label: 'phase="queue"', read: secondsOf(Column.queueMicros) },
  { label: 'phase="connect"', read: secondsOf(Column.connectMicros) },
  { label: 'phase="response"', read: secondsOf(Column.responseMicros) },
];
const failures = [
  { label: 'reason="connect"', read: ofColumn(Column.connectFailures) },
  { label: 'reason="response"', read: ofColumn(Column.responseFailures) },
];
const single = (column: number): Family['values'] => [{ label: '', read: ofColumn(column) }];

const routeFamilies: readonly Family[] = [
  { name: 'headgate_route_requests_total', values: codes, shown: 'positive' },
  { name: 'headgate_route_passthrough_connections_total', values: single(Column.passthroughs), shown: 'positive' },
  { name: 'headgate_route_active', values: single(Column.active), shown: 'always' },
  { name: 'headgate_route_waiting', values: single(Column.waiting), shown: 'positive' },
  { name: 'headgate_route_received_bytes_total', values: single(Column.receivedBytes), shown: 'always' },
  { name: 'headgate_route_sent_bytes_total', values: single(Column.sentBytes), shown: 'always' },
  {
    name: 'headgate_route_failures_total',
    values: [...failures, { label: 'reason="no-pod"', read: ofColumn(Column.unserved) }],
    shown: 'positive',
  },
  { name: 'headgate_route_retries_total', values: single(Column.retries), shown: 'positive' },
  { name: 'headgate_route_reached_total', values: single(Column.reached), shown: 'always' },
  { name: 'headgate_route_phase_seconds_total', values: phases, shown: 'positive' },
];

const endpointFamilies: readonly Family[] = [
  { name: 'headgate_endpoint_requests_total', values: codes, shown: 'positive' },
  { name: 'headgate_endpoint_active', values: single(Column.active), shown: 'always' },
  { name: 'headgate_endpoint_received_bytes_total', values: single(Column.receivedBytes), shown: 'always' },
  { name: 'headgate_endpoint_sent_bytes_total', values: single(Column.sentBytes), shown: 'always' },
  { name: 'headgate_endpoint_failures_total', values: failures, shown: 'positive' },
  { name: 'headgate_endpoint_reached_total', values: single(Column.reached), shown: 'always' },
  { name: 'headgate_endpoint_phase_seconds_total', values: phases, shown: 'positive' },
];

/** The text, in pieces of a few lines. */
export function* routeMetrics(table: TalliedTable, detail: MetricsDetail): Generator<string> {
  if (detail === 'router') return;
  for (const family of routeFamilies) yield* familyText(family, countedRoutes(table));
  yield* durationText(countedRoutes(table));
  if (detail === 'route') return;
  for (const family of endpointFamilies) yield* familyText(family, countedEndpoints(table));
  yield* upText(table.endpoints);
}

function* countedRoutes({ routes, own }: TalliedTable): Generator<Labelled> {
  for (const { labels, row } of routes) if (row !== null) yield { labels, row };
  const row = own.get('other-routes');
  if (row !== undefined && isUsed(row)) yield { labels: 'namespace="",route="other"', row };
}

function* countedEndpoints({ endpoints, own }: TalliedTable): Generator<Labelled> {
  for (const each of endpoints) if (each.row !== null) yield { labels: labelsOf(each), row: each.row };
  const row = own.get('other-endpoints');
  const labels = 'namespace="",route="other",service="",pod="",endpoint="other"';
  if (row !== undefined && isUsed(row)) yield { labels, row };
}

function labelsOf(each: TalliedEndpoint): string {
  return `${endpointLabels(each)},endpoint="${each.endpoint.authority}"`;
}

function isUsed(row: readonly number[]): boolean {
  return (row[Column.begun] ?? 0) > 0;
}

function* familyText({ name, values, shown }: Family, all: Iterable<Labelled>): Generator<string> {
  let head = headOf(name);
  for (const { labels, row } of all) {
    let text = head;
    head = '';
    for (const { label, read } of values) {
      const value = read(row);
      if (value === 0 && shown === 'positive') continue;
      text += `${name}{${label === '' ? labels : `${labels},${label}`}} ${value}\n`;
    }
    yield text;
  }
}

function* durationText(all: Iterable<Labelled>): Generator<string> {
  const name = 'headgate_route_request_duration_seconds';
  let head = headOf(name);
  for (const { labels, row } of all) {
    let text = head;
    let count = 0;
    for (let i = 0; i <= durationBounds.length; i++) {
      count += row[Column.durations + i] ?? 0;
      text += `${name}_bucket{${labels},le="${durationBounds[i] ?? '+Inf'}"} ${count}\n`;
    }
    // What passes through has no duration that it could be asked for.
    if (count === 0) continue;
    head = '';
    yield `${text}${name}_sum{${labels}} ${(row[Column.durationMicros] ?? 0) / 1e6}\n${name}_count{${labels}} ${count}\n`;
  }
}

function* upText(all: readonly TalliedEndpoint[]): Generator<string> {
  const name = 'headgate_endpoint_up';
  let head = headOf(name);
  for (const each of all) {
    const { row, state } = each;
    if (state !== 'down' && (state !== 'up' || row === null)) continue;
    yield `${head}${name}{${labelsOf(each)}} ${state === 'up' ? 1 : 0}\n`;
    head = '';
  }
}

function headOf(name: MetricName): string {
  const { kind, help } = metricDefinitions[name];
  return headText(name, help, kind);
}
