// What every Session of a worker works with. One object a worker, made by worker.ts, handed down.

import type { Config } from '../config/schema.ts';
import type { HeadLimits } from '../protocol/field-lines.ts';
import type { FieldSpellings } from '../protocol/field-spelling.ts';
import type { RouteTable } from '../table/route-table.ts';
import type { Log } from '../telemetry/log.ts';
import type { Histogram, Metrics, Series } from '../telemetry/metrics.ts';
import type { AccessLog } from './access-log/access-log.ts';
import type { AnswerBook } from './answers.ts';
import type { Compression } from './compression.ts';
import type { Deadlines } from './deadlines.ts';
import { type EndReason, endReasons } from './end-reason.ts';
import type { ClientLimits } from './listener/client-limits.ts';
import type { RouteLimits } from './listener/route-limits.ts';
import type { TrustedSources } from './listener/trusted-sources.ts';
import type { StrictSni } from './session/strict-sni.ts';
import type { UniqueIds } from './session/unique-ids.ts';
import type { Tallies } from './tallies/tallies.ts';
import type { Balancer } from './upstream/balancer.ts';
import type { Connector } from './upstream/connector.ts';
import type { PodPlaces } from './upstream/pod-places.ts';

/** The settings that the data plane reads. */
export type ProxySettings = Pick<
  Config,
  | 'publicHttpPort'
  | 'publicHttpsPort'
  | 'forwardedHeaders'
  | 'uniqueIdHeader'
  | 'uniqueIdFormat'
  | 'connectTimeoutMs'
  | 'checkIntervalMs'
  | 'clientTimeoutMs'
  | 'clientFinTimeoutMs'
  | 'serverTimeoutMs'
  | 'serverFinTimeoutMs'
  | 'headTimeoutMs'
  | 'keepAliveTimeoutMs'
  | 'tunnelTimeoutMs'
  | 'inspectDelayMs'
  | 'maxHeadBytes'
  | 'maxHeaderLines'
  | 'maxStreams'
  | 'errorPage404Path'
  | 'disableHttp2'
  | 'maxConnections'
  | 'maxConnectionsPerSource'
  | 'maxHandshakes'
  | 'maxHandshakesPerSource'
  | 'maxIdleUpstream'
  | 'maxCertificateContexts'
  | 'dontLogNull'
  | 'ignoreProbes'
  | 'refuseUnknownNames'
  | 'abortOnClose'
  | 'idleCloseOnResponse'
>;

export type ProxyContext = {
  readonly settings: ProxySettings;
  readonly limits: HeadLimits;
  readonly clientLimits: ClientLimits;
  readonly routeLimits: RouteLimits;
  /** Whose connections begin with a PROXY header; null: nobody's. */
  readonly proxySources: TrustedSources | null;
  /** Null: who has no certificate for a name is served the default one. */
  readonly strictSni: StrictSni | null;
  /** The table in force now; a Session asks for it anew for each decision. */
  readonly table: () => RouteTable;
  readonly balancer: Balancer;
  readonly podPlaces: PodPlaces;
  readonly connector: Connector;
  readonly deadlines: Deadlines;
  readonly answers: AnswerBook;
  /** Null where answers are not compressed. */
  readonly compression: Compression | null;
  readonly accessLog: AccessLog | null;
  /** Null: names of fields go on as they came. */
  readonly fieldSpellings: FieldSpellings | null;
  /** Null: requests are given no ids. */
  readonly uniqueIds: UniqueIds | null;
  readonly counters: ProxyCounters;
  /** Counts by Route and Endpoint; null where there are none. */
  readonly tallies: Tallies | null;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Whether this worker is on its way out: every answer then says `Connection: close`. */
  draining: boolean;
};

/** Series that the path of a request adds to, looked up once. */
export class ProxyCounters {
  readonly received: Series;
  readonly sent: Series;
  readonly #metrics: Metrics;
  readonly #codes: Readonly<Record<'http' | 'https', readonly Series[]>>;
  readonly #durations: Readonly<Record<'http' | 'https', Histogram>>;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
    this.received = metrics.series('headgate_received_bytes_total');
    this.sent = metrics.series('headgate_sent_bytes_total');
    const classes = ['1xx', '2xx', '3xx', '4xx', '5xx'];
    this.#codes = {
      http: classes.map((code) => metrics.series('headgate_requests_total', 'http', code)),
      https: classes.map((code) => metrics.series('headgate_requests_total', 'https', code)),
    };
    this.#durations = {
      http: metrics.histogram('headgate_request_duration_seconds', 'http'),
      https: metrics.histogram('headgate_request_duration_seconds', 'https'),
    };
  }

  request(scheme: 'http' | 'https', status: number, durationMs: number): void {
    const series = this.#codes[scheme][Math.floor(status / 100) - 1];
    if (series !== undefined) series.value++;
    this.#durations[scheme].observe(durationMs / 1000);
  }

  ended(reason: EndReason): void {
    this.#metrics.series('headgate_sessions_ended_total', reason, endReasons[reason]).value++;
  }
}
