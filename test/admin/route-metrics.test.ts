import { describe, expect, test } from 'vitest';
import { certificateMetrics } from '../../src/admin/certificate-metrics.ts';
import { routeMetrics } from '../../src/admin/route-metrics.ts';
import type { Change } from '../../src/table/delta.ts';
import type { Endpoint } from '../../src/table/entries.ts';
import { type MetricDefinition, metricDefinitions } from '../../src/telemetry/metrics.ts';
import { Column, columnCount } from '../../src/telemetry/tally-row.ts';
import type { Exposition } from '../support/exposition.ts';
import { backend, endpoint, hostWithRoutes, route } from '../support/rules.ts';
import { read, rowWith, tallied } from '../support/tallied.ts';

const podEndpoint = { ...endpoint(8080, '10.0.0.1'), id: 'pod:web-1:web:http:10.0.0.1:8080' };
const bareEndpoint = endpoint(8080, '10.0.0.2');
const changes = [
  ...route({ host: 'a.test', name: 'a', services: [{ service: 'web', pods: [podEndpoint, bareEndpoint] }] }),
  ...route({ host: 'b.test', name: 'b', pods: [] }),
];
/** The Service with one pod that terminates, and another one. */
function leavingPod(service: string, pod: Endpoint): Change {
  const change = backend(service, [bareEndpoint]);
  return change.kind === 'backend' && change.entry !== null
    ? { ...change, entry: { ...change.entry, leaving: [pod] } }
    : change;
}

const busy = rowWith({
  begun: 7,
  receivedBytes: 100,
  sentBytes: 200,
  codes: 1,
  connectFailures: 2,
  unserved: 3,
  retries: 4,
  reached: 6,
  queueMicros: 1_500_000,
  responseMicros: 250_000,
  durationMicros: 3_000_000,
  durations: 5,
  active: 1,
});

const aRoute = { namespace: 'shop', route: 'a' };

/** Every label that a metric has is one that is promised, and none is missing. */
function expectPromisedLabels({ series }: Exposition): void {
  const definitions: Readonly<Record<string, MetricDefinition>> = metricDefinitions;
  for (const { name, labels } of series) {
    const promised = definitions[name] ?? definitions[name.replace(/_(bucket|sum|count)$/, '')];
    const wanted = [...(promised?.labels ?? []), ...(name.endsWith('_bucket') ? ['le'] : [])];
    expect(Object.keys(labels), name).toEqual(wanted);
  }
}

describe('metrics of Routes', () => {
  test('are what has been counted', () => {
    const metrics = read(routeMetrics(tallied(changes, { 'shop/a': busy }), 'route'));
    expectPromisedLabels(metrics);
    expect(metrics.sum('headgate_route_requests_total', { ...aRoute, code: '1xx' })).toBe(1);
    expect(metrics.sum('headgate_route_active', aRoute)).toBe(1);
    expect(metrics.sum('headgate_route_received_bytes_total', aRoute)).toBe(100);
    expect(metrics.sum('headgate_route_sent_bytes_total', aRoute)).toBe(200);
    expect(metrics.sum('headgate_route_failures_total', { ...aRoute, reason: 'connect' })).toBe(2);
    expect(metrics.sum('headgate_route_failures_total', { ...aRoute, reason: 'no-pod' })).toBe(3);
    expect(metrics.sum('headgate_route_retries_total', aRoute)).toBe(4);
    expect(metrics.sum('headgate_route_reached_total', aRoute)).toBe(6);
    expect(metrics.sum('headgate_route_phase_seconds_total', { ...aRoute, phase: 'queue' })).toBe(1.5);
    expect(metrics.sum('headgate_route_phase_seconds_total', { ...aRoute, phase: 'response' })).toBe(0.25);
  });

  test('have a histogram that adds up', () => {
    const row = rowWith({ durationMicros: 2_600_000 });
    for (let i = 0; i < 9; i++) row[Column.durations + i] = i + 1;
    const metrics = read(routeMetrics(tallied(changes, { 'shop/a': row }), 'route'));
    const name = 'headgate_route_request_duration_seconds';
    const buckets = metrics.find(`${name}_bucket`, aRoute).map(({ labels, value }) => [labels['le'], value]);
    expect(buckets).toEqual([
      ['0.005', 1],
      ['0.025', 3],
      ['0.1', 6],
      ['0.25', 10],
      ['0.5', 15],
      ['1', 21],
      ['2.5', 28],
      ['10', 36],
      ['+Inf', 45],
    ]);
    expect(metrics.sum(`${name}_sum`, aRoute)).toBe(2.6);
    expect(metrics.sum(`${name}_count`, aRoute)).toBe(45);
  });

  test('are of those that are in the table and have had traffic', () => {
    const table = tallied(changes, { 'shop/a': busy, 'shop/gone': busy, 'shop/gone ept:x': busy });
    expect(table.gone).toEqual(['shop/gone', 'shop/gone ept:x']);
    const routes = new Set(read(routeMetrics(table, 'route')).series.map(({ labels }) => labels['route']));
    expect(routes).toEqual(new Set(['a']));
  });

  test('say what is counted together', () => {
    const metrics = read(routeMetrics(tallied(changes, { 'other-routes': busy }), 'route'));
    expect(metrics.sum('headgate_route_received_bytes_total', { namespace: '', route: 'other' })).toBe(100);
    expect(
      read(routeMetrics(tallied(changes, { 'other-routes': rowWith({}), 'shop/a': busy }), 'route')).find(
        'headgate_route_active',
        { route: 'other' },
      ),
    ).toEqual([]);
  });

  test('there are none of, where the router alone has metrics', () => {
    expect([...routeMetrics(tallied(changes, { 'shop/a': busy }), 'router')]).toEqual([]);
  });
});

describe('metrics of Endpoints', () => {
  const web = { ...aRoute, service: 'web', pod: 'web-1', endpoint: '10.0.0.1:8080' };

  test('are what has been counted', () => {
    const rows = { 'shop/a': busy, [`shop/a ${podEndpoint.id}`]: busy, [`shop/a ${bareEndpoint.id}`]: busy };
    const table = tallied(changes, rows);
    expect(table.gone).toEqual([]);
    const metrics = read(routeMetrics(table, 'endpoint'));
    expectPromisedLabels(metrics);
    expect(metrics.sum('headgate_endpoint_requests_total', { ...web, code: '1xx' })).toBe(1);
    expect(metrics.sum('headgate_endpoint_active', web)).toBe(1);
    expect(metrics.sum('headgate_endpoint_failures_total', { ...web, reason: 'connect' })).toBe(2);
    expect(metrics.sum('headgate_endpoint_phase_seconds_total', { ...web, phase: 'queue' })).toBe(1.5);
    expect(metrics.find('headgate_endpoint_up').map(({ labels }) => labels['pod'])).toEqual(['web-1', '']);
  });

  test.each([
    ['down', [podEndpoint, bareEndpoint], [0]],
    ['up, where there is no other', [podEndpoint], [1]],
  ])('say that it is %s', (_name, pods, up) => {
    const alone = route({ host: 'a.test', name: 'a', services: [{ service: 'web', pods }] });
    const rows = { 'plain 10.0.0.1:8080': rowWith({ down: 1 }), [`shop/a ${podEndpoint.id}`]: busy };
    const table = tallied(alone, rows);
    expect(table.gone).toEqual([]);
    const values = read(routeMetrics(table, 'endpoint')).find('headgate_endpoint_up', web);
    expect(values.map(({ value }) => value)).toEqual(up);
  });

  test('of pods that leave are there while they are, but for whether they are up', () => {
    const leaving = [...changes, leavingPod('web', podEndpoint)];
    const metrics = read(routeMetrics(tallied(leaving, { [`shop/a ${podEndpoint.id}`]: busy }), 'endpoint'));
    expect(metrics.sum('headgate_endpoint_active', web)).toBe(1);
    expect(metrics.find('headgate_endpoint_up', web)).toEqual([]);
  });

  test('are not shown where they are too many', () => {
    const rows = { 'shop/a': busy, [`shop/a ${podEndpoint.id}`]: busy };
    const table = tallied(changes, rows, { shows: (endpoints) => (endpoints < 2 ? 'all' : 'none') });
    expect([table.endpointCount, table.endpoints.length]).toEqual([2, 0]);
    const counted = tallied(changes, rows, { shows: () => 'counted' });
    expect(counted.endpoints.map(({ endpoint: { authority } }) => authority)).toEqual(['10.0.0.1:8080']);
  });
});

test('names are escaped, whatever an object is called', () => {
  const [change] = hostWithRoutes('a.test', [{ host: 'a.test', name: 'q"\\x' }]).slice(-1);
  const metrics = read(routeMetrics(tallied(change === undefined ? [] : [change], { 'shop/q"\\x': busy }), 'route'));
  expect(metrics.sum('headgate_route_active', { route: 'q"\\x' })).toBe(1);
});

test('every column that is counted is shown somewhere', () => {
  // Each column alone changes the text, but for those that only HAProxy's names have.
  const haproxyOnly = ['redispatches', 'reuses', 'denied', 'refused', 'mostActive', 'mostWaiting', 'rate', 'mostRate'];
  const ofOthers = ['begun', 'recent', 'recentQueueMicros', 'recentConnectMicros', 'recentResponseMicros'];
  const ofChecks = ['checkFailures', 'downMicros', 'down', 'checkMicros', 'durationMicros'];
  const hidden = new Set([...haproxyOnly, ...ofOthers, ...ofChecks]);
  const textOf = (row: number[]): string => [...routeMetrics(tallied(changes, { 'shop/a': row }), 'route')].join('');
  const nothing = textOf(rowWith({}));
  for (const name of Object.keys(Column) as (keyof typeof Column)[]) {
    if (!hidden.has(name)) expect(textOf(rowWith({ [name]: 1 })), name).not.toBe(nothing);
  }
  expect(Object.keys(Column).length).toBeLessThan(columnCount);
});

test('certificates say when they expire, as many as may', () => {
  const expiries = [
    { namespace: '', route: 'default', notAfterMs: 1_700_000_000_999 },
    { namespace: 'shop', route: 'a', notAfterMs: 1_800_000_000_000 },
    { namespace: 'shop', route: 'b', notAfterMs: 1_900_000_000_000 },
  ];
  const metrics = read(certificateMetrics(expiries, 2));
  expect(metrics.series.map(({ labels, value }) => [labels['namespace'], labels['route'], value])).toEqual([
    ['', 'default', 1_700_000_000],
    ['shop', 'a', 1_800_000_000],
  ]);
  expect([...certificateMetrics([], 2)]).toEqual([]);
});
