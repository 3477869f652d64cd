// Metrics under the names and labels of the OpenShift router (Route semantics 6.3), for the dashboards and alerts that are there
// already: as text, a piece at a time. What each means here stands in docs/operations.md.

import type { Termination } from '../table/entries.ts';
import type { MetricName, SeriesSnapshot } from '../telemetry/metrics.ts';
import { Column, emptyRow } from '../telemetry/tally-row.ts';
import { headText } from './exposition.ts';
import { type StatisticsKind, type StatisticsRow, statisticsColumns } from './haproxy-columns.ts';
import { endpointLabels, type TalliedEndpoint, type TalliedService, type TalliedTable } from './tallied-table.ts';
import type { WorkerProcesses } from './worker-processes.ts';

/** What is exported, and how much of it. */
export type HaproxySettings = {
  /** Numbers of columns. */
  readonly metricsColumns: readonly number[];
  readonly metricsServerThreshold: number;
  /** Routes without any traffic yet that are listed all the same, at most. */
  readonly metricsLimit: number;
  readonly maxConnections: number;
};

type Line = { readonly labels: string; readonly of: StatisticsRow };

/** How the reference names the backends of each kind of Route. */
const backendNames: Readonly<Record<Termination, string>> = {
  none: 'http',
  edge: 'https-edge',
  reencrypt: 'https',
  passthrough: 'tcp',
};

const frontends = ['public', 'public_ssl', 'fe_sni', 'fe_no_sni'] as const;

/** The text, in pieces of a few lines. `scrapes`: how often there has been one, this one included. */
export function* haproxyMetrics(
  table: TalliedTable,
  settings: HaproxySettings,
  processes: WorkerProcesses,
  scrapes: number,
): Generator<string> {
  const limit =
    settings.maxConnections === 0 ? levelOf(table.series, 'headgate_connections_limit') : settings.maxConnections;
  yield* routerText(table, settings, limit, scrapes);
  yield* processText(table.series, processes);
  const { metricsColumns } = settings;
  const ofFrontends = frontendLines(table, limit);
  yield* linesText('frontend', metricsColumns, () => ofFrontends);
  yield* linesText('backend', metricsColumns, () => backendLines(table, settings.metricsLimit));
  if (table.endpointCount <= settings.metricsServerThreshold) {
    yield* linesText('server', metricsColumns, () => serverLines(table.endpoints));
  }
}

function* linesText(kind: StatisticsKind, exported: readonly number[], lines: () => Iterable<Line>): Generator<string> {
  for (const { name, help, values, httpOnly } of statisticsColumns(kind, exported)) {
    const metric = `haproxy_${kind}_${name}`;
    let head = headText(metric, help, 'gauge');
    for (const { labels, of } of lines()) {
      if (httpOnly && of.mode === 'tcp') continue;
      let text = head;
      head = '';
      for (const { code, read } of values) {
        text += `${metric}{${code === null ? labels : `${labels},code="${code}"`}} ${read(of, kind)}\n`;
      }
      yield text;
    }
  }
}

function frontendLines({ own }: TalliedTable, limit: number): Line[] {
  const tls = emptyRow();
  // What is decrypted comes in through the TLS port, too.
  const through = ['public_ssl', 'fe_sni', 'fe_no_sni'].map((name) => own.get(name));
  for (const column of [Column.receivedBytes, Column.sentBytes]) {
    for (const row of through) tls[column] = (tls[column] ?? 0) + (row?.[column] ?? 0);
  }
  return frontends.map((name): Line => {
    const row = own.get(name)?.slice() ?? emptyRow();
    if (name === 'public_ssl') {
      row[Column.receivedBytes] = tls[Column.receivedBytes] ?? 0;
      row[Column.sentBytes] = tls[Column.sentBytes] ?? 0;
    }
    const mode = name === 'public_ssl' ? 'tcp' : 'http';
    return { labels: `frontend="${name}"`, of: { row, check: null, mode, up: true, weight: 0, limit } };
  });
}

function* backendLines({ routes, own }: TalliedTable, limit: number): Generator<Line> {
  let listed = 0;
  for (const { rule, labels, row, services, weights } of routes) {
    if (row === null && listed >= limit) continue;
    listed++;
    yield {
      labels: `backend="${backendNames[rule.termination]}",${labels}`,
      of: {
        row,
        check: null,
        mode: modeOf(rule.termination),
        up: isUp(services),
        weight: services.reduce((sum, { up }, i) => sum + up * (weights[i] ?? 0), 0),
        limit: 0,
      },
    };
  }
  const internal = [
    ['other/openshift_default', own.get('openshift_default')],
    ['other/beyond_limit', beyond(own.get('other-routes'))],
  ] as const;
  for (const [backend, row] of internal) {
    if (row === undefined) continue;
    const of = { row, check: null, mode: 'http', up: true, weight: 0, limit: 0 } as const;
    yield { labels: `backend="${backend}",namespace="",route=""`, of };
  }
}

/** As HAProxy's: also without any servers at all. */
function isUp(services: readonly TalliedService[]): boolean {
  if (services.every(({ endpoints }) => endpoints === 0)) return true;
  return services.some(({ weight, up }) => weight > 0 && up > 0);
}

function modeOf(termination: Termination): StatisticsRow['mode'] {
  return termination === 'passthrough' ? 'tcp' : 'http';
}

/** That of the Routes which are counted together, if there are any. */
function beyond(row: readonly number[] | undefined): readonly number[] | undefined {
  return row === undefined || (row[Column.begun] ?? 0) === 0 ? undefined : row;
}

function* serverLines(endpoints: readonly TalliedEndpoint[]): Generator<Line> {
  for (const each of endpoints) {
    const { route, service, endpoint, row, check, state } = each;
    if (state === 'leaving') continue;
    const { termination, podConnections } = route.rule;
    yield {
      labels: `server="${endpoint.authority}",${endpointLabels(each)}`,
      of: {
        row,
        check,
        mode: modeOf(termination),
        up: state === 'up',
        weight: route.weights[service] ?? 0,
        limit: podConnections ?? 0,
      },
    };
  }
}

/** What has no counterpart in HAProxy's statistics; of reloads there are none. */
function* routerText(
  table: TalliedTable,
  { metricsServerThreshold }: HaproxySettings,
  limit: number,
  scrapes: number,
): Generator<string> {
  yield text('haproxy_up', 'Whether the statistics could be read.', 'gauge', 1);
  yield text('haproxy_max_connections', 'Connections that there may be at a time.', 'gauge', limit);
  yield text('haproxy_exporter_total_scrapes', 'Scrapes so far.', 'counter', scrapes);
  yield text('haproxy_exporter_csv_parse_failures', 'There is nothing to parse: 0.', 'counter', 0);
  yield text('haproxy_exporter_scrape_interval', 'Seconds until the next real scrape; each is: 0.', 'gauge', 0);
  const threshold = 'haproxy_exporter_server_threshold';
  yield headText(threshold, 'Servers, and how many of them have metrics at the most.', 'gauge');
  yield `${threshold}{type="current"} ${table.endpointCount}\n${threshold}{type="limit"} ${metricsServerThreshold}\n`;
  yield text('template_router_reload_failure', 'Nothing is ever reloaded: 0.', 'gauge', 0);
  for (const name of ['template_router_reload_seconds', 'template_router_write_config_seconds']) {
    yield `${headText(name, 'Nothing is ever written or reloaded.', 'summary')}${name}_sum 0\n${name}_count 0\n`;
  }
}

function* processText(series: readonly SeriesSnapshot[], processes: WorkerProcesses): Generator<string> {
  const name = (rest: string): string => `haproxy_process_${rest}`;
  const cpuSeconds = ofWorkers(series, 'headgate_process_cpu_seconds_total');
  const residentBytes = ofWorkers(series, 'headgate_process_resident_memory_bytes');
  const { virtualBytes, openFiles, openFilesLimit, startSeconds } = processes;
  yield text(name('cpu_seconds_total'), 'CPU time of the workers.', 'counter', cpuSeconds);
  yield text(name('resident_memory_bytes'), 'Resident memory of the workers.', 'gauge', residentBytes);
  yield text(name('virtual_memory_bytes'), 'Virtual memory of the workers.', 'gauge', virtualBytes);
  yield text(name('virtual_memory_max_bytes'), 'Not limited: -1.', 'gauge', -1);
  yield text(name('open_fds'), 'Open files of the workers.', 'gauge', openFiles);
  yield text(name('max_fds'), 'Files that the workers may have open.', 'gauge', openFilesLimit);
  yield text(name('start_time_seconds'), 'When the eldest worker was started, since 1970.', 'gauge', startSeconds);
  const { receivedBytes, sentBytes } = processes;
  yield text(name('network_receive_bytes_total'), 'Bytes that the pod has received.', 'counter', receivedBytes);
  yield text(name('network_transmit_bytes_total'), 'Bytes that the pod has sent.', 'counter', sentBytes);
}

/** Those that have died included, as far as the metric is. */
function ofWorkers(series: readonly SeriesSnapshot[], name: MetricName): number {
  let sum = 0;
  for (const one of series) if (one.name === name && one.labels[0]?.startsWith('worker-')) sum += one.values[0] ?? 0;
  return sum;
}

function text(name: string, help: string, kind: 'counter' | 'gauge', value: number): string {
  return `${headText(name, help, kind)}${name} ${value}\n`;
}

function levelOf(series: readonly SeriesSnapshot[], name: MetricName): number {
  return series.find((one) => one.name === name)?.values[0] ?? 0;
}
