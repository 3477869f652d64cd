import { describe, expect, test } from 'vitest';
import { Tallies, type TallyScope, type TallySettings, tallyScope } from '../../src/proxy/tallies/tallies.ts';
import { Tally } from '../../src/proxy/tallies/tally.ts';
import { routeKey } from '../../src/table/entries.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { Column, durationBounds, type RowsByKey, takeRows } from '../../src/telemetry/tally-row.ts';
import { endpoint } from '../support/rules.ts';

const wide: TallyScope = { routes: 10, endpoints: 10, frontends: 'ignored', checks: 'counted' };

function rowsOf(tallies: Tallies): RowsByKey {
  const rows: RowsByKey = new Map();
  for (const some of tallies.changedRows()) takeRows(rows, some);
  return rows;
}

describe('a tally', () => {
  const at = (tally: Tally, column: number): number => tally.row[column] ?? 0;

  test('counts answers by class, and those that are none', () => {
    const tally = new Tally('n/r');
    for (const status of [101, 200, 299, 302, 404, 500, 599, 600, 999]) tally.answered(status);
    expect(tally.row.slice(Column.codes, Column.codes + 6)).toEqual([1, 2, 1, 1, 2, 2]);
  });

  test('puts each duration in one bucket, bounds included', () => {
    const tally = new Tally('n/r');
    for (const ms of [0, 5, 5.1, 25, 10_000, 10_001]) tally.took(ms);
    expect(tally.row.slice(Column.durations, Column.active)).toEqual([2, 2, 0, 0, 0, 0, 0, 1, 1]);
    expect(Column.durations + durationBounds.length + 1).toBe(Column.active);
    expect(at(tally, Column.durationMicros)).toBe(20_036_100);
  });

  test('keeps the most that were under way', () => {
    const tally = new Tally('n/r');
    tally.begin(0);
    tally.begin(0);
    tally.end();
    tally.begin(0);
    tally.end();
    tally.end();
    expect([at(tally, Column.begun), at(tally, Column.active), at(tally, Column.mostActive)]).toEqual([3, 0, 2]);
  });

  test('says how many began in the last whole second', () => {
    const tally = new Tally('n/r');
    const rateAt = (ms: number): number => tally.tell(ms)[Column.rate] ?? 0;
    for (const ms of [5000, 5001, 5999]) tally.begin(ms);
    expect(rateAt(5999)).toBe(0);
    tally.begin(6000);
    expect(rateAt(6500)).toBe(3);
    expect(rateAt(7000)).toBe(1);
    expect(tally.changed).toBe(true);
    expect(rateAt(8000)).toBe(0);
    expect(tally.changed).toBe(false);
    expect(at(tally, Column.mostRate)).toBe(3);
    // A clock that is a little behind, as that of the deadlines may be.
    tally.begin(9000);
    tally.begin(8999);
    expect(rateAt(10_000)).toBe(2);
  });

  test('averages the latest 1024', () => {
    const tally = new Tally('n/r');
    const average = (): number => at(tally, Column.recentResponseMicros) / at(tally, Column.recent);
    tally.reached(1, 2, 10);
    tally.reached(1, 2, 20);
    expect(average()).toBe(15_000);
    for (let i = 0; i < 20_000; i++) tally.reached(1, 2, 100);
    expect(at(tally, Column.recent)).toBe(1024);
    expect(average()).toBeCloseTo(100_000, -2);
    expect(at(tally, Column.reached)).toBe(20_002);
    expect(at(tally, Column.queueMicros)).toBe(20_002_000);
  });

  test('counts the time for which it is down, also while it is', () => {
    const tally = new Tally('plain 10.0.0.1:80');
    tally.foundDown(1000);
    expect(tally.tell(3000)[Column.downMicros]).toBe(2e6);
    expect(tally.changed).toBe(true);
    tally.foundUp(3500);
    expect(tally.tell(9000)[Column.downMicros]).toBe(2.5e6);
    expect([at(tally, Column.down), tally.changed]).toEqual([0, false]);
  });
});

describe('what is counted', () => {
  const settings: TallySettings = {
    metricsDetail: 'route',
    metricsCompat: 'none',
    metricsLimit: 700,
    metricsServerThreshold: 500,
    metricsColumns: [2],
  };

  test.each<[string, Partial<TallySettings>, TallyScope | null]>([
    ['nothing', { metricsDetail: 'router' }, null],
    ['Routes', {}, { routes: 700, endpoints: 0, frontends: 'ignored', checks: 'counted' }],
    [
      'Endpoints too',
      { metricsDetail: 'endpoint' },
      { routes: 700, endpoints: 700, frontends: 'ignored', checks: 'counted' },
    ],
    [
      'what HAProxy has, for itself',
      { metricsDetail: 'router', metricsCompat: 'haproxy', metricsServerThreshold: 5, metricsColumns: [4, 38] },
      { routes: 700, endpoints: 10, frontends: 'counted', checks: 'timed' },
    ],
  ])('%s', (_name, given, expected) => expect(tallyScope({ ...settings, ...given })).toEqual(expected));
});

describe('the tallies of a worker', () => {
  test('what comes beyond the limit is counted together, and how often', () => {
    const metrics = new Metrics();
    const tallies = new Tallies({ ...wide, routes: 2, endpoints: 1 }, metrics);
    const names = ['a', 'b', 'c', 'd', 'c'];
    for (const name of names) {
      const route = tallies.route(routeKey('n', name));
      route.begin(0);
      tallies.endpoint(route, endpoint(8080))?.begin(0);
    }
    const rows = rowsOf(tallies);
    expect(rows.get('n/a')?.[Column.begun]).toBe(1);
    expect(rows.get('n/b')?.[Column.begun]).toBe(1);
    expect(rows.get('other-routes')?.[Column.begun]).toBe(3);
    expect(rows.get(`n/a ${endpoint(8080).id}`)?.[Column.begun]).toBe(1);
    expect(rows.get('other-endpoints')?.[Column.begun]).toBe(4);
    expect(rows.size).toBe(5);
    const counts = metrics.snapshot().map(({ name, labels, values }) => [name, ...labels, ...values]);
    expect(counts).toContainEqual(['headgate_tallied_as_other_total', 'route', 3]);
    expect(counts).toContainEqual(['headgate_tallied_as_other_total', 'endpoint', 4]);
    expect(counts).toContainEqual(['headgate_tallies', 'route', 2]);
  });

  test('what is forgotten makes room, and begins at nothing', () => {
    const tallies = new Tallies({ ...wide, routes: 1, endpoints: 1 }, new Metrics());
    const before = tallies.route(routeKey('n', 'a'));
    before.begin(0);
    tallies.endpoint(before, endpoint(1))?.begin(0);
    tallies.forget(['n/a', 'n/unknown', 'n/unknown ept:x', 'plain 10.0.0.1:80']);
    // A request that is still under way adds to what nobody sees any more.
    before.end();
    expect(tallies.endpoint(before, endpoint(2))).toBeNull();
    expect(tallies.route(routeKey('n', 'b')).key).toBe('n/b');
    tallies.forget(['n/b']);
    const after = tallies.route(routeKey('n', 'a'));
    expect(after.row[Column.begun]).toBe(0);
    expect(tallies.endpoint(after, endpoint(1))?.key).toBe(`n/a ${endpoint(1).id}`);
    tallies.forget([`n/a ${endpoint(1).id}`]);
    expect(tallies.endpoint(after, endpoint(2))?.key).toBe(`n/a ${endpoint(2).id}`);
  });

  test('only what has changed is told again', () => {
    const tallies = new Tallies(wide, new Metrics());
    tallies.route(routeKey('n', 'a')).answered(200);
    tallies.route(routeKey('n', 'b')).answered(200);
    expect([...rowsOf(tallies).keys()].sort()).toEqual(['n/a', 'n/b', 'other-endpoints', 'other-routes']);
    expect(rowsOf(tallies).size).toBe(0);
    tallies.route(routeKey('n', 'b')).answered(200);
    expect([...rowsOf(tallies).keys()]).toEqual(['n/b']);
  });
});
