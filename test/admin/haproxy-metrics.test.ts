import { describe, expect, test } from 'vitest';
import { type HaproxySettings, haproxyMetrics } from '../../src/admin/haproxy-metrics.ts';
import { serverWeights } from '../../src/admin/haproxy-weights.ts';
import type { TalliedTable } from '../../src/admin/tallied-table.ts';
import { workerProcesses } from '../../src/admin/worker-processes.ts';
import { settings as settingRows } from '../../src/config/schema.ts';
import { readValue } from '../../src/config/values.ts';
import { Column } from '../../src/telemetry/tally-row.ts';
import type { Exposition } from '../support/exposition.ts';
import { endpoint, route } from '../support/rules.ts';
import { read, rowWith, tallied } from '../support/tallied.ts';

const noProcesses = await workerProcesses([]);
const everyColumn = Array.from({ length: 100 }, (_, i) => i);
const usual = readValue({ kind: 'columns' }, settingRows.metricsColumns.default, 'strict');
const settings: HaproxySettings = {
  metricsColumns: usual.kind === 'value' ? (usual.value as unknown as readonly number[]) : [],
  metricsServerThreshold: 500,
  metricsLimit: 100,
  maxConnections: 50_000,
};

function exported(table: TalliedTable, changed: Partial<HaproxySettings> = {}): Exposition {
  return read(haproxyMetrics(table, { ...settings, ...changed }, noProcesses, 3));
}

const podEndpoint = { ...endpoint(8443, '10.0.0.1'), id: 'pod:p:svc:port:10.0.0.1:8443' };
const secure = route({
  host: 'a.test',
  name: 'r',
  services: [{ service: 'svc', pods: [podEndpoint] }],
  termination: 'reencrypt',
});

/** As Route semantics 6.3 has them: name, whether it is there by default, and for what. */
const reference: readonly (readonly [string, number, boolean, string])[] = [
  ['current_queue', 2, true, 'BS'],
  ['max_queue', 3, false, 'BS'],
  ['current_sessions', 4, true, 'FBS'],
  ['max_sessions', 5, true, 'FBS'],
  ['limit_sessions', 6, false, 'FBS'],
  ['connections_total', 7, true, 'FBS'],
  ['bytes_in_total', 8, true, 'FBS'],
  ['bytes_out_total', 9, true, 'FBS'],
  ['requests_denied_total', 10, false, 'F'],
  ['request_errors_total', 12, false, 'F'],
  ['connection_errors_total', 13, true, 'BS'],
  ['response_errors_total', 14, true, 'BS'],
  ['retry_warnings_total', 15, false, 'BS'],
  ['redispatch_warnings_total', 16, false, 'BS'],
  ['up', 17, true, 'BS'],
  ['weight', 18, false, 'BS'],
  ['check_failures_total', 21, true, 'S'],
  ['downtime_seconds_total', 24, true, 'S'],
  ['current_session_rate', 33, true, 'FBS'],
  ['limit_session_rate', 34, false, 'F'],
  ['max_session_rate', 35, true, 'FBS'],
  ['check_duration_milliseconds', 38, false, 'S'],
  ['http_responses_total', 39, true, 'FBS'],
  ['http_requests_total', 48, false, 'F'],
  ['http_average_queue_latency_milliseconds', 58, true, 'BS'],
  ['http_average_connect_latency_milliseconds', 59, true, 'BS'],
  ['http_average_response_latency_milliseconds', 60, true, 'BS'],
  ['connections_reused_total', 85, true, 'BS'],
];

const kinds = { F: 'frontend', B: 'backend', S: 'server' } as const;
const labels = {
  F: ['frontend'],
  B: ['backend', 'namespace', 'route'],
  S: ['server', 'namespace', 'route', 'pod', 'service'],
} as const;

describe('names and labels (Route semantics 6.3)', () => {
  const usually = exported(tallied(secure, {}));
  const all = exported(tallied(secure, {}), { metricsColumns: everyColumn });

  test.each(reference)('%s', (name, column, isDefault, where) => {
    for (const letter of ['F', 'B', 'S'] as const) {
      const metric = `haproxy_${kinds[letter]}_${name}`;
      const isThere = where.includes(letter);
      expect(all.kinds.get(metric), metric).toBe(isThere ? 'gauge' : undefined);
      expect(usually.kinds.has(metric), metric).toBe(isThere && isDefault);
      if (!isThere) continue;
      const [series] = all.find(metric);
      const code = name === 'http_responses_total' ? ['code'] : [];
      expect(Object.keys(series?.labels ?? {}).sort()).toEqual([...labels[letter], ...code].sort());
      // Connections of frontends have a number of their own.
      const number = letter === 'F' && name === 'connections_total' ? 79 : column;
      const alone = exported(tallied(secure, {}), { metricsColumns: [number] });
      const named = [...alone.kinds.keys()].filter((key) => key.startsWith(`haproxy_${kinds[letter]}_`));
      expect(named).toEqual([metric]);
    }
  });

  test('there are no others of frontends, backends and servers', () => {
    const names = reference.flatMap(([name, , , where]) =>
      [...where].map((letter) => `haproxy_${kinds[letter as 'F' | 'B' | 'S']}_${name}`),
    );
    const there = [...all.kinds.keys()].filter((name) => /^haproxy_(frontend|backend|server)_/.test(name));
    expect(there.sort()).toEqual(names.sort());
  });

  test('of the router as a whole', () => {
    const others = [...usually.kinds].filter(([name]) => !/^haproxy_(frontend|backend|server)_/.test(name));
    expect(Object.fromEntries(others)).toEqual({
      haproxy_up: 'gauge',
      haproxy_max_connections: 'gauge',
      haproxy_exporter_total_scrapes: 'counter',
      haproxy_exporter_csv_parse_failures: 'counter',
      haproxy_exporter_scrape_interval: 'gauge',
      haproxy_exporter_server_threshold: 'gauge',
      template_router_reload_failure: 'gauge',
      template_router_reload_seconds: 'summary',
      template_router_write_config_seconds: 'summary',
      haproxy_process_cpu_seconds_total: 'counter',
      haproxy_process_resident_memory_bytes: 'gauge',
      haproxy_process_virtual_memory_bytes: 'gauge',
      haproxy_process_virtual_memory_max_bytes: 'gauge',
      haproxy_process_open_fds: 'gauge',
      haproxy_process_max_fds: 'gauge',
      haproxy_process_start_time_seconds: 'gauge',
      haproxy_process_network_receive_bytes_total: 'counter',
      haproxy_process_network_transmit_bytes_total: 'counter',
    });
    expect(usually.sum('haproxy_up')).toBe(1);
    expect(usually.sum('haproxy_max_connections')).toBe(50_000);
    expect(usually.sum('haproxy_exporter_total_scrapes')).toBe(3);
    expect(usually.sum('template_router_reload_failure')).toBe(0);
    expect(usually.sum('haproxy_exporter_server_threshold', { type: 'current' })).toBe(1);
    expect(usually.sum('haproxy_exporter_server_threshold', { type: 'limit' })).toBe(500);
  });

  test('frontends are those of the reference', () => {
    const names = usually.find('haproxy_frontend_current_sessions').map((series) => series.labels['frontend']);
    expect(names).toEqual(['public', 'public_ssl', 'fe_sni', 'fe_no_sni']);
    const codes = usually.find('haproxy_frontend_http_responses_total', { frontend: 'public' });
    expect(codes.map((series) => series.labels['code'])).toEqual(['1xx', '2xx', '3xx', '4xx', '5xx', 'other']);
    // It reads no requests.
    expect(usually.find('haproxy_frontend_http_responses_total', { frontend: 'public_ssl' })).toEqual([]);
  });

  test('U10: an Endpoint and its Route', () => {
    expect(usually.find('haproxy_server_up').map((series) => series.labels)).toEqual([
      { server: '10.0.0.1:8443', namespace: 'shop', route: 'r', pod: 'p', service: 'svc' },
    ]);
    expect(usually.find('haproxy_backend_up').map((series) => series.labels)).toEqual([
      { backend: 'https', namespace: 'shop', route: 'r' },
    ]);
  });

  test('U11: what belongs to no Route', () => {
    const metrics = exported(tallied(secure, { openshift_default: rowWith({ begun: 2, codes: 0 }) }));
    const other = { backend: 'other/openshift_default', namespace: '', route: '' };
    expect(metrics.find('haproxy_backend_connections_total', other).map(({ value }) => value)).toEqual([2]);
  });

  test.each([
    ['none', 'http'],
    ['edge', 'https-edge'],
    ['reencrypt', 'https'],
    ['passthrough', 'tcp'],
  ] as const)('the backend of a Route with termination %s is %s', (termination, backend) => {
    const metrics = exported(tallied(route({ host: 'a.test', name: 'r', pods: [80, 81], termination }), {}));
    expect(metrics.find('haproxy_backend_up').map((series) => series.labels['backend'])).toEqual([backend]);
    expect(metrics.find('haproxy_backend_http_responses_total')).toHaveLength(backend === 'tcp' ? 0 : 6);
    expect(metrics.find('haproxy_server_http_responses_total')).toHaveLength(backend === 'tcp' ? 0 : 12);
    expect(metrics.find('haproxy_backend_bytes_in_total')).toHaveLength(1);
  });
});

describe('values', () => {
  const counted = rowWith({
    begun: 10,
    receivedBytes: 11,
    sentBytes: 12,
    connectFailures: 3,
    responseFailures: 4,
    unserved: 5,
    retries: 7,
    redispatches: 2,
    reuses: 6,
    active: 1,
    mostActive: 9,
    rate: 13,
    mostRate: 14,
    waiting: 15,
    mostWaiting: 16,
    recent: 4,
    recentQueueMicros: 2_000,
    recentConnectMicros: 6_000,
    recentResponseMicros: 10_000,
  });
  for (let i = 0; i < 6; i++) counted[Column.codes + i] = 100 + i;
  const check = rowWith({ checkFailures: 8, downMicros: 2_500_000, checkMicros: 1_250 });
  const metrics = exported(
    tallied(secure, { 'shop/r': counted, [`shop/r ${podEndpoint.id}`]: counted, 'tls 10.0.0.1:8443': check }),
    { metricsColumns: everyColumn },
  );

  test.each([
    ['current_queue', 15, 15],
    ['max_queue', 16, 16],
    ['current_sessions', 1, 1],
    ['max_sessions', 9, 9],
    ['limit_sessions', 0, 0],
    ['connections_total', 10, 10],
    ['bytes_in_total', 11, 11],
    ['bytes_out_total', 12, 12],
    // Of a backend, also those for which there was no pod.
    ['connection_errors_total', 8, 8],
    ['response_errors_total', 4, 4],
    ['retry_warnings_total', 5, 5],
    ['redispatch_warnings_total', 2, 2],
    ['up', 1, 1],
    ['weight', 1, 1],
    ['current_session_rate', 13, 13],
    ['max_session_rate', 14, 14],
    ['http_average_queue_latency_milliseconds', 0.5, 0.5],
    ['http_average_connect_latency_milliseconds', 1.5, 1.5],
    ['http_average_response_latency_milliseconds', 2.5, 2.5],
    ['connections_reused_total', 6, 6],
  ])('%s', (name, ofBackend, ofServer) => {
    expect(metrics.sum(`haproxy_backend_${name}`)).toBe(ofBackend);
    expect(metrics.sum(`haproxy_server_${name}`)).toBe(ofServer);
  });

  test('answers by class', () => {
    for (const [i, code] of ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'].entries()) {
      expect(metrics.sum('haproxy_backend_http_responses_total', { code })).toBe(100 + i);
    }
  });

  test('what checks have found', () => {
    expect(metrics.sum('haproxy_server_check_failures_total')).toBe(8);
    expect(metrics.sum('haproxy_server_downtime_seconds_total')).toBe(2.5);
    expect(metrics.sum('haproxy_server_check_duration_milliseconds')).toBe(1.25);
  });

  test('what comes in through TLS, sealed or not, is the TLS port’s', () => {
    const own = { fe_sni: rowWith({ receivedBytes: 3 }), fe_no_sni: rowWith({ receivedBytes: 4 }) };
    const frontends = exported(tallied([], { ...own, public_ssl: rowWith({ receivedBytes: 5, begun: 9 }) }));
    expect(frontends.sum('haproxy_frontend_bytes_in_total', { frontend: 'public_ssl' })).toBe(12);
    expect(frontends.sum('haproxy_frontend_connections_total', { frontend: 'public_ssl' })).toBe(9);
  });

  test('a limit for the pods of a Route is that of its servers', () => {
    const limited = route({ host: 'a.test', name: 'r', pods: [80], podConnections: 20 });
    const limits = exported(tallied(limited, {}), { metricsColumns: [6], maxConnections: 0 });
    expect(limits.sum('haproxy_server_limit_sessions')).toBe(20);
    expect(limits.sum('haproxy_frontend_limit_sessions', { frontend: 'public' })).toBe(0);
  });
});

describe('how much there is', () => {
  test('more endpoints than the threshold: backends only (W9)', () => {
    const pods = [1, 2, 3].map((i) => endpoint(80, `10.0.0.${i}`));
    const table = tallied(route({ host: 'a.test', name: 'r', pods }), {});
    const kindsOf = (metricsServerThreshold: number): boolean =>
      [...exported(table, { metricsServerThreshold }).kinds.keys()].some((name) => name.startsWith('haproxy_server_'));
    expect([kindsOf(3), kindsOf(2)]).toEqual([true, false]);
    expect(exported(table, { metricsServerThreshold: 2 }).find('haproxy_backend_up')).toHaveLength(1);
  });

  test('every Route is listed, up to the limit; those with traffic always', () => {
    const routes = ['a', 'b', 'c'].flatMap((name) => route({ host: `${name}.test`, name, pods: [80] }));
    const listed = (metricsLimit: number): unknown[] =>
      exported(tallied(routes, { 'shop/c': rowWith({ begun: 1 }) }), { metricsLimit })
        .find('haproxy_backend_up')
        .map((series) => series.labels['route']);
    expect(listed(3)).toEqual(['a', 'b', 'c']);
    expect(listed(1)).toEqual(['a', 'c']);
  });

  test('what is counted together has a name', () => {
    const metrics = exported(tallied(secure, { 'other-routes': rowWith({ begun: 4 }) }));
    expect(metrics.sum('haproxy_backend_connections_total', { backend: 'other/beyond_limit' })).toBe(4);
  });
});

describe('whether a backend is up', () => {
  const two = [endpoint(80, '10.0.0.1'), endpoint(80, '10.0.0.2')];
  const down = (...authorities: readonly string[]): Record<string, number[]> =>
    Object.fromEntries(authorities.map((authority) => [`plain ${authority}`, rowWith({ down: 1 })]));

  test.each([
    ['with pods', [{ service: 's', pods: two }], {}, 1, 2],
    ['without any, as with HAProxy', [{ service: 's', pods: [] }], {}, 1, 0],
    ['with one down', [{ service: 's', pods: two }], down('10.0.0.1:80'), 1, 1],
    ['with both down', [{ service: 's', pods: two }], down('10.0.0.1:80', '10.0.0.2:80'), 0, 0],
    ['with no weight', [{ service: 's', pods: two, weight: 0 }], {}, 0, 2],
  ])('%s', (_name, services, rows, backendUp, serversUp) => {
    const metrics = exported(tallied(route({ host: 'a.test', name: 'r', services }), rows));
    expect(metrics.sum('haproxy_backend_up')).toBe(backendUp);
    expect(metrics.sum('haproxy_server_up')).toBe(serversUp);
  });
});

describe('weights (Route semantics 8.16)', () => {
  // Each Service as its Endpoints and its weight; one without Endpoints has no servers to weigh.
  test.each([
    [
      'R1',
      [
        [1, 50],
        [1, 50],
      ],
      [256, 256],
    ],
    [
      'R2',
      [
        [1, 25],
        [1, 75],
      ],
      [85, 256],
    ],
    [
      'R3',
      [
        [2, 50],
        [1, 50],
      ],
      [128, 256],
    ],
    [
      'R4',
      [
        [2, 20],
        [1, 60],
      ],
      [42, 256],
    ],
    ['R6', [[1, 50]], [1]],
    ['R7', [[2, 50]], [1]],
    [
      'R12',
      [
        [5, 3],
        [1, 256],
      ],
      [1, 256],
    ],
    ['R13', [], []],
    ['R14', [[0, 100]], [0]],
    ['R15', [[2, 0]], [0]],
    [
      'R16',
      [
        [2, 50],
        [1, 0],
      ],
      [1, 0],
    ],
    [
      'R17',
      [
        [2, 0],
        [1, 0],
      ],
      [0, 0],
    ],
    [
      'R18',
      [
        [2, 0],
        [1, 100],
        [1, 0],
      ],
      [0, 1, 0],
    ],
    [
      'R19',
      [
        [0, 100],
        [1, 100],
      ],
      [0, 1],
    ],
    [
      'R20',
      [
        [0, 0],
        [1, 100],
        [0, 75],
      ],
      [0, 1, 0],
    ],
  ])('%s', (_id, given, expected) => {
    const services = given.map(([endpoints = 0, weight = 0]) => ({ weight, endpoints }));
    expect(serverWeights(services)).toEqual(expected);
  });
});

test('the processes of the workers are looked at', async () => {
  const processes = await workerProcesses([process.pid, 2 ** 30]);
  expect(processes.virtualBytes).toBeGreaterThan(1e6);
  expect(processes.openFilesLimit).toBeGreaterThan(10);
  expect(Math.abs(processes.startSeconds - (Date.now() / 1000 - process.uptime()))).toBeLessThan(60);
  const metrics = read(haproxyMetrics(tallied([], {}), settings, processes, 1));
  expect(metrics.sum('haproxy_process_virtual_memory_bytes')).toBe(processes.virtualBytes);
});
