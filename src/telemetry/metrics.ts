// Counting. The table below is the only list of metrics there is; series are made once and then are a field that is added
// to, so that the path of a request pays an increment. Snapshots are plain data: workers send theirs to the supervisor.

export type MetricKind = 'counter' | 'gauge' | 'histogram';
export type MetricDefinition = { readonly kind: MetricKind; readonly help: string; readonly labels: readonly string[] };

/** Every metric: its kind, what it says, its labels. Base units (seconds, bytes), `_total` for counters. */
export const metricDefinitions = {
  headgate_connections_total: { kind: 'counter', help: 'Client connections accepted.', labels: ['listener'] },
  headgate_connections: { kind: 'gauge', help: 'Client connections open now.', labels: ['listener'] },
  headgate_connections_refused_total: {
    kind: 'counter',
    help: 'Client connections closed at once because a limit was reached.',
    labels: ['listener', 'limit'],
  },
  headgate_sessions_ended_total: {
    kind: 'counter',
    help: 'Client connections ended, by reason and by the side that the reason lies on.',
    labels: ['reason', 'side'],
  },
  headgate_http2_errors_total: {
    kind: 'counter',
    help: "HTTP/2 connections of clients that were ended for an error of the client's, by the error's name in RFC 9113.",
    labels: ['error'],
  },
  headgate_tls_handshakes_total: { kind: 'counter', help: 'TLS handshakes with clients.', labels: ['result'] },
  headgate_requests_total: {
    kind: 'counter',
    help: 'Requests answered, by scheme and class of the status.',
    labels: ['scheme', 'code'],
  },
  headgate_request_duration_seconds: {
    kind: 'histogram',
    help: 'From the whole request head to the last byte of the answer.',
    labels: ['scheme'],
  },
  headgate_answers_total: {
    kind: 'counter',
    help: 'Answers made by the router itself, by reason.',
    labels: ['reason', 'status'],
  },
  headgate_compressions_total: {
    kind: 'counter',
    help: 'Answers compressed, by coding; limit: not compressed, because too many were under way.',
    labels: ['result'],
  },
  headgate_compressions: {
    kind: 'gauge',
    help: 'Answers that are being compressed piece by piece.',
    labels: [],
  },
  headgate_passthrough_connections_total: {
    kind: 'counter',
    help: 'Connections handed through by SNI, by result.',
    labels: ['result'],
  },
  headgate_received_bytes_total: {
    kind: 'counter',
    help: 'Bytes received from clients and passed on (bodies and tunnels, without TLS).',
    labels: [],
  },
  headgate_sent_bytes_total: {
    kind: 'counter',
    help: 'Bytes of answers passed on to clients (heads, bodies and tunnels, without TLS).',
    labels: [],
  },
  headgate_upstream_connects_total: {
    kind: 'counter',
    help: 'Connections opened to Endpoints, by result.',
    labels: ['result'],
  },
  headgate_upstream_reuses_total: {
    kind: 'counter',
    help: 'Requests sent over a connection that was open already.',
    labels: [],
  },
  headgate_upstream_retries_total: {
    kind: 'counter',
    help: 'Requests given to another Endpoint or connection, by what failed before.',
    labels: ['reason'],
  },
  headgate_upstream_idle_connections: {
    kind: 'gauge',
    help: 'Connections to Endpoints that wait for a request.',
    labels: [],
  },
  headgate_upstream_shared_connections: {
    kind: 'gauge',
    help: 'HTTP/2 connections to Endpoints, with requests under way or without.',
    labels: [],
  },
  headgate_endpoint_checks_total: {
    kind: 'counter',
    help: 'Checks of Endpoints, by result; spared: traffic has shown that it is up.',
    labels: ['result'],
  },
  headgate_endpoints_down: {
    kind: 'gauge',
    help: 'Endpoints that get no new requests because their checks failed.',
    labels: [],
  },
  headgate_rate_limit_sources: {
    kind: 'gauge',
    help: 'Sources that are counted for the rate limits of Routes, once for each Route.',
    labels: [],
  },
  headgate_pod_queue_waiting: {
    kind: 'gauge',
    help: 'Requests and connections that wait for a pod that has as many as its Route lets it have.',
    labels: [],
  },
  headgate_tls_contexts: { kind: 'gauge', help: 'TLS contexts held by the workers.', labels: [] },
  headgate_crl_fetches_total: {
    kind: 'counter',
    help: 'Fetches of all revocation lists of the CAs for client certificates, by result.',
    labels: ['result'],
  },
  headgate_route_requests_total: {
    kind: 'counter',
    help: 'Requests for a Route that were answered, by class of the status, whoever answered.',
    labels: ['namespace', 'route', 'code'],
  },
  headgate_route_request_duration_seconds: {
    kind: 'histogram',
    help: 'From the whole head of a request for a Route to the last byte of the answer.',
    labels: ['namespace', 'route'],
  },
  headgate_route_passthrough_connections_total: {
    kind: 'counter',
    help: 'Connections for a passthrough Route.',
    labels: ['namespace', 'route'],
  },
  headgate_route_active: {
    kind: 'gauge',
    help: 'Requests, tunnels and passthrough connections of a Route that are under way.',
    labels: ['namespace', 'route'],
  },
  headgate_route_waiting: {
    kind: 'gauge',
    help: 'Those of a Route that wait for a place with one of its pods.',
    labels: ['namespace', 'route'],
  },
  headgate_route_received_bytes_total: {
    kind: 'counter',
    help: 'Bytes received from clients for a Route (heads, bodies and tunnels, without TLS).',
    labels: ['namespace', 'route'],
  },
  headgate_route_sent_bytes_total: {
    kind: 'counter',
    help: 'Bytes sent to clients of a Route (heads, bodies and tunnels, without TLS).',
    labels: ['namespace', 'route'],
  },
  headgate_route_failures_total: {
    kind: 'counter',
    help: 'What failed for a Route: each try to connect to a pod, answers of pods, and requests for which there was no pod.',
    labels: ['namespace', 'route', 'reason'],
  },
  headgate_route_retries_total: {
    kind: 'counter',
    help: 'Requests and connections for a Route that were tried once more, each time.',
    labels: ['namespace', 'route'],
  },
  headgate_route_reached_total: {
    kind: 'counter',
    help: 'Requests and connections for a Route that reached a pod: what the phases are of.',
    labels: ['namespace', 'route'],
  },
  headgate_route_phase_seconds_total: {
    kind: 'counter',
    help: 'Time that these waited for a place with a pod, for a connection to it, and for the first byte of its answer.',
    labels: ['namespace', 'route', 'phase'],
  },
  headgate_endpoint_requests_total: {
    kind: 'counter',
    help: 'Requests for a Route that one of its Endpoints answered, by class of the status.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint', 'code'],
  },
  headgate_endpoint_active: {
    kind: 'gauge',
    help: 'Requests, tunnels and passthrough connections of a Route that are with an Endpoint.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint'],
  },
  headgate_endpoint_received_bytes_total: {
    kind: 'counter',
    help: 'Bytes received from clients for an Endpoint of a Route.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint'],
  },
  headgate_endpoint_sent_bytes_total: {
    kind: 'counter',
    help: 'Bytes sent to clients for an Endpoint of a Route.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint'],
  },
  headgate_endpoint_failures_total: {
    kind: 'counter',
    help: 'Tries to connect to an Endpoint that failed, and answers of it that did.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint', 'reason'],
  },
  headgate_endpoint_reached_total: {
    kind: 'counter',
    help: 'Requests and connections for a Route that reached an Endpoint: what the phases are of.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint'],
  },
  headgate_endpoint_phase_seconds_total: {
    kind: 'counter',
    help: 'Time that these waited for a place, for a connection, and for the first byte of the answer.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint', 'phase'],
  },
  headgate_endpoint_up: {
    kind: 'gauge',
    help: 'Whether an Endpoint gets new requests of a Route, as far as checks go: 1 or 0.',
    labels: ['namespace', 'route', 'service', 'pod', 'endpoint'],
  },
  headgate_tallies: {
    kind: 'gauge',
    help: 'Routes, and Endpoints of Routes, that workers count one by one; each worker its own.',
    labels: ['kind'],
  },
  headgate_tallied_as_other_total: {
    kind: 'counter',
    help: 'Times that something was counted for the Route or Endpoint `other`, as there are too many.',
    labels: ['kind'],
  },
  headgate_certificate_expiry_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the certificate of a Route, or the default one, expires, in seconds since 1970.',
    labels: ['namespace', 'route'],
  },
  headgate_build_info: {
    kind: 'gauge',
    help: 'Version of the router and of Node; always 1.',
    labels: ['version', 'node'],
  },
  headgate_connections_limit: {
    kind: 'gauge',
    help: 'Client connections that the workers hold at the most.',
    labels: [],
  },
  headgate_log_lines_dropped_total: {
    kind: 'counter',
    help: 'Log lines not written, because of their rate or a slow reader.',
    labels: ['log'],
  },
  headgate_deltas_applied_total: {
    kind: 'counter',
    help: 'Deltas and snapshots that workers put in force.',
    labels: ['kind'],
  },
  headgate_routes: { kind: 'gauge', help: 'Routes known, by verdict.', labels: ['verdict'] },
  headgate_table_entries: { kind: 'gauge', help: 'Entries of the routing table.', labels: ['kind'] },
  headgate_table_revision: {
    kind: 'gauge',
    help: 'How many changes the table of this controller has seen.',
    labels: [],
  },
  headgate_propagation_seconds: {
    kind: 'histogram',
    help: 'From a change seen by the controller to the ack of the last worker.',
    labels: [],
  },
  headgate_source_synced: {
    kind: 'gauge',
    help: 'Whether a kind of object has been read as a whole: 1 or 0.',
    labels: ['kind'],
  },
  headgate_source_age_seconds: {
    kind: 'gauge',
    help: 'Time since the API server was last heard of a kind of object; it says something every minute.',
    labels: ['kind'],
  },
  headgate_source_problems_total: {
    kind: 'counter',
    help: 'Objects that could not be used, and failures of the source.',
    labels: [],
  },
  headgate_status_writes_total: {
    kind: 'counter',
    help: 'Writes of the status of Routes, by result; removed: our entry taken out of a Route that is not ours.',
    labels: ['result'],
  },
  headgate_status_pending: { kind: 'gauge', help: 'Routes whose status is still to be written.', labels: [] },
  headgate_route_events_total: {
    kind: 'counter',
    help: 'Events on Routes, by result; dropped: there were too many.',
    labels: ['result'],
  },
  headgate_workers: {
    kind: 'gauge',
    help: 'Workers that run, and workers that serve the newest table.',
    labels: ['state'],
  },
  headgate_process_starts_total: {
    kind: 'counter',
    help: 'Processes started since the supervisor is up.',
    labels: ['process'],
  },
  headgate_process_cpu_seconds_total: { kind: 'counter', help: 'User and system CPU time.', labels: ['process'] },
  headgate_process_resident_memory_bytes: { kind: 'gauge', help: 'Resident memory.', labels: ['process'] },
  headgate_eventloop_delay_max_seconds: {
    kind: 'gauge',
    help: 'Longest delay of an event loop since the process started.',
    labels: ['process'],
  },
  headgate_eventloop_delay_p99_seconds: {
    kind: 'gauge',
    help: '99th percentile of the delay of an event loop since the process started.',
    labels: ['process'],
  },
} as const;
metricDefinitions satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof metricDefinitions;

/** Upper bounds of all histograms, in seconds. */
export const histogramBounds: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** One series that only grows, or a level that goes up and down. */
export class Series {
  value = 0;
}

/** Observations of one series, by bucket. */
export class Histogram {
  readonly counts: Float64Array = new Float64Array(histogramBounds.length + 1);
  sum = 0;

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < histogramBounds.length && seconds > (histogramBounds[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += seconds;
  }
}

/** One series as it travels between processes. `values` is [value], or the bucket counts followed by the sum. */
export type SeriesSnapshot = {
  readonly name: MetricName;
  readonly labels: readonly string[];
  readonly values: readonly number[];
};

/** All series of one process. */
export class Metrics {
  readonly #series: Map<
    string,
    { name: MetricName; labels: readonly string[]; cell: Series | Histogram | (() => number) }
  > = new Map();

  /** The counter or gauge with these label values, in the order of the definition. The same one for the same values. */
  series(name: MetricName, ...labels: readonly string[]): Series {
    return this.#cell(name, labels, () => new Series());
  }

  histogram(name: MetricName, ...labels: readonly string[]): Histogram {
    return this.#cell(name, labels, () => new Histogram());
  }

  /** A series whose value is asked for when a snapshot is taken. */
  observe(name: MetricName, read: () => number, ...labels: readonly string[]): void {
    this.#series.set(seriesKey(name, labels), { name, labels, cell: read });
  }

  /** Takes a level out whose subject is no more: it would be told for ever as it was last. */
  remove(name: MetricName, ...labels: readonly string[]): void {
    this.#series.delete(seriesKey(name, labels));
  }

  snapshot(): SeriesSnapshot[] {
    const all: SeriesSnapshot[] = [];
    for (const { name, labels, cell } of this.#series.values()) {
      const values =
        typeof cell === 'function' ? [cell()] : cell instanceof Series ? [cell.value] : [...cell.counts, cell.sum];
      all.push({ name, labels, values });
    }
    return all;
  }

  #cell<T extends Series | Histogram>(name: MetricName, labels: readonly string[], make: () => T): T {
    const key = seriesKey(name, labels);
    const known = this.#series.get(key);
    if (known !== undefined) return known.cell as T;
    const cell = make();
    this.#series.set(key, { name, labels, cell });
    return cell;
  }
}

/** Sums of the snapshots of several processes; what a dead process counted stays in, its levels do not. */
export class MergedMetrics {
  readonly #sums: Map<string, { name: MetricName; labels: readonly string[]; values: number[] }> = new Map();

  add(snapshot: readonly SeriesSnapshot[]): void {
    for (const { name, labels, values } of snapshot) this.#add(name, labels, values);
  }

  /** Adds what must never go backwards of a process that has ended. */
  addRetired(snapshot: readonly SeriesSnapshot[]): void {
    for (const { name, labels, values } of snapshot) {
      if (metricDefinitions[name].kind !== 'gauge') this.#add(name, labels, values);
    }
  }

  snapshot(): SeriesSnapshot[] {
    return [...this.#sums.values()];
  }

  #add(name: MetricName, labels: readonly string[], values: readonly number[]): void {
    const key = seriesKey(name, labels);
    const sum = this.#sums.get(key);
    if (sum === undefined) this.#sums.set(key, { name, labels, values: [...values] });
    else for (let i = 0; i < values.length; i++) sum.values[i] = (sum.values[i] ?? 0) + (values[i] ?? 0);
  }
}

function seriesKey(name: string, labels: readonly string[]): string {
  return labels.length === 0 ? name : `${name} ${labels.join('\u0000')}`;
}
