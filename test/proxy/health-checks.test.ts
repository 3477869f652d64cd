// Health checks without sockets or a clock: rise and fall, who checks what, and when.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Check, gatherChecks } from '../../src/proxy/health/check-list.ts';
import { CheckRecord } from '../../src/proxy/health/check-record.ts';
import { type CheckKey, checkKey, EndpointHealth } from '../../src/proxy/health/endpoint-health.ts';
import { bunchMs, maxChecksPerSecond, proberOf, Schedule } from '../../src/proxy/health/schedule.ts';
import type { Watch } from '../../src/proxy/health/watch-queue.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import { endpoint, type RouteWish, route } from '../support/rules.ts';

describe('rise and fall', () => {
  test.each([
    ['ff', 'uu'],
    ['fff', 'uud'],
    ['ffsff', 'uuuuu'],
    ['ffsfff', 'uuuuud'],
    ['fffs', 'uudd'],
    ['fffss', 'uuddu'],
    ['fffsfs', 'uudddd'],
    ['fffssff', 'uudduuu'],
    ['fffssfff', 'uudduuud'],
  ])('%s: %s', (results, states) => {
    const record = new CheckRecord();
    const seen = [...results].map((result) => {
      const before = record.down;
      const changed = record.add(result === 'f' ? 'failed' : 'reached');
      expect(changed).toBe(before !== record.down);
      return record.down ? 'd' : 'u';
    });
    expect(seen.join('')).toBe(states);
  });
});

function checksOf(count: number, intervalMs = 5_000): Map<CheckKey, Check> {
  const checks = new Map<CheckKey, Check>();
  for (let i = 0; i < count; i++) {
    const made = endpoint(1024 + i, `10.0.${i % 250}.1`);
    const key = checkKey(made.authority, 'plain');
    checks.set(key, { key, endpoint: made, security: 'plain', intervalMs, serverName: '' });
  }
  return checks;
}

/** Has a schedule follow, to the end. */
function follow(schedule: Schedule, ...changes: Parameters<Schedule['follow']>): Watch[] {
  const steps = schedule.follow(...changes);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

describe('who checks', () => {
  const anyWorkers = fc.uniqueArray(fc.nat(63), { minLength: 1, maxLength: 16 });

  test('each Endpoint has exactly one prober, and only those of a dead worker move', () => {
    fc.assert(
      fc.property(anyWorkers, fc.integer({ min: 1, max: 200 }), fc.nat(), (workers, count, victimAt) => {
        const checks = checksOf(count);
        const schedules = workers.map((worker) => [worker, new Schedule(worker)] as const);
        for (const [, schedule] of schedules) follow(schedule, checks, workers, 0);
        const owner = new Map<CheckKey, number>();
        for (const [worker, schedule] of schedules) {
          for (const key of schedule.watches.keys()) {
            expect(owner.has(key)).toBe(false);
            owner.set(key, worker);
          }
        }
        expect(owner.size).toBe(checks.size);
        if (workers.length === 1) return;
        const victim = workers[victimAt % workers.length] ?? 0;
        const left = workers.filter((worker) => worker !== victim);
        const now = new Map<CheckKey, number>();
        for (const [worker, schedule] of schedules) {
          if (worker === victim) continue;
          expect(follow(schedule, checks, left, 1)).toEqual([]);
          for (const key of schedule.watches.keys()) {
            expect(now.has(key)).toBe(false);
            now.set(key, worker);
          }
        }
        expect(now.size).toBe(checks.size);
        for (const [key, worker] of owner) if (worker !== victim) expect(now.get(key)).toBe(worker);
      }),
    );
  });

  test('the shares are about equal', () => {
    const counts = [0, 0, 0, 0];
    for (const key of checksOf(4_000).keys()) {
      const prober = proberOf(key, [0, 1, 2, 3]);
      counts[prober] = (counts[prober] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(200);
  });

  test('nobody, where no worker is known', () => {
    expect(proberOf(checkKey('10.0.0.1:80', 'plain'), [])).toBe(-1);
  });
});

/** Times at which each check begins, with checks that take no time, up to `untilMs`. */
function run(
  schedule: Schedule,
  fromMs: number,
  untilMs: number,
  onCheck: (watch: Watch, nowMs: number) => void = () => {},
): Map<CheckKey, number[]> {
  const times = new Map<CheckKey, number[]>();
  let nowMs = fromMs;
  for (;;) {
    const waitMs = schedule.waitMs(nowMs);
    if (waitMs === null || nowMs + waitMs > untilMs) return times;
    nowMs += waitMs;
    const watch = schedule.take(nowMs);
    expect(watch).not.toBeNull();
    if (watch === null) return times;
    times.set(watch.check.key, [...(times.get(watch.check.key) ?? []), nowMs]);
    schedule.spend();
    onCheck(watch, nowMs);
    schedule.putBack(watch, nowMs);
  }
}

describe('when', () => {
  test('each once in its interval, spread over it', () => {
    const schedule = new Schedule(0);
    follow(schedule, checksOf(100), [0], 0);
    const times = run(schedule, 0, 15_000);
    expect(times.size).toBe(100);
    const perSecond = new Array<number>(15).fill(0);
    for (const each of times.values()) {
      expect(each.length).toBeGreaterThanOrEqual(2);
      for (const [i, at] of each.slice(1).entries())
        expect(Math.abs(at - (each[i] ?? 0) - 5_000)).toBeLessThan(bunchMs);
      for (const at of each) perSecond[Math.floor(at / 1000)] = (perSecond[Math.floor(at / 1000)] ?? 0) + 1;
    }
    for (const count of perSecond) expect(count).toBeLessThan(40);
  });

  test.each([1, 4])('never more than the rate, with %i workers, and everybody gets a turn', (workers) => {
    const schedule = new Schedule(0);
    const others = Array.from({ length: workers }, (_, i) => i);
    follow(schedule, checksOf(6_000), others, 0);
    const mine = schedule.watches.size;
    const times = run(schedule, 0, 60_000);
    const all = [...times.values()].flat().sort((a, b) => a - b);
    const allowed = maxChecksPerSecond / workers;
    expect(all.length).toBeLessThanOrEqual(60 * allowed + 1);
    all.forEach((at, i) => {
      const secondLater = all[i + Math.ceil(allowed * (1 + bunchMs / 1000)) + 1];
      if (secondLater !== undefined) expect(secondLater - at).toBeGreaterThanOrEqual(999);
    });
    // In bunches: it is the waking that is dear.
    expect(new Set(all).size).toBeLessThanOrEqual((1.5 * 60_000) / bunchMs);
    expect(times.size).toBe(mine);
  });

  test('a short interval takes no turn of the others', () => {
    const schedule = new Schedule(0);
    const checks = checksOf(400);
    const [first] = checks.keys();
    for (const [key, check] of checksOf(20, 1)) checks.set(key, check);
    follow(schedule, checks, [0], 0);
    const times = run(schedule, 0, 30_000);
    for (const [key, check] of checks) {
      if (check.intervalMs > 1) expect(times.get(key)?.length).toBeGreaterThanOrEqual(5);
    }
    expect(first === undefined ? 0 : times.get(first)?.length).toBeGreaterThan(100);
  });

  test('a short interval does not wait as long for others as a long one may', () => {
    const schedule = new Schedule(0);
    const checks = checksOf(200);
    const often = checksOf(1, 100);
    for (const [key, check] of often) checks.set(key, check);
    follow(schedule, checks, [0], 0);
    const times = run(schedule, 0, 60_000);
    for (const key of often.keys()) expect(times.get(key)?.length).toBeGreaterThanOrEqual(590);
    for (const [key, each] of times) if (!often.has(key)) expect(each.length).toBeGreaterThanOrEqual(11);
  });

  test('a shorter interval is in force at once, and what is gone is not checked', () => {
    const schedule = new Schedule(0);
    follow(schedule, checksOf(2, 3_600_000), [0], 0);
    follow(schedule, checksOf(1, 100), [0], 0);
    const times = run(schedule, 0, 1_000);
    expect([...times.keys()]).toEqual([...checksOf(1).keys()]);
    expect([...times.values()][0]?.length).toBeGreaterThanOrEqual(9);
  });

  test('with 64 workers, of which each may make three checks in a second', () => {
    const schedule = new Schedule(0);
    const workers = Array.from({ length: 64 }, (_, i) => i);
    follow(schedule, checksOf(6_000), workers, 0);
    const all = [...run(schedule, 0, 60_000).values()].flat();
    expect(all.length).toBeGreaterThan(175);
    expect(all.length).toBeLessThanOrEqual((60 * maxChecksPerSecond) / 64 + 1);
  });

  describe('among 20,000 that are up', () => {
    /** When the first so many are checked, of which every check fails, and when all others are, in five minutes. */
    function runFailing(failing: number): { doubtful: number[][]; settled: number[] } {
      const schedule = new Schedule(0);
      const checks = checksOf(20_000);
      const fails = new Set([...checks.keys()].slice(0, failing));
      follow(schedule, checks, [0], 0);
      const times = run(schedule, 0, 300_000, ({ check, record }) => {
        record.add(fails.has(check.key) ? 'failed' : 'reached');
      });
      const isDoubtful = ([key]: readonly [CheckKey, number[]]): boolean => fails.has(key);
      const entries = [...times];
      return {
        doubtful: entries.filter(isDoubtful).map(([, each]) => each),
        settled: entries.filter((entry) => !isDoubtful(entry)).flatMap(([, each]) => each),
      };
    }

    test('those that fail are checked in their interval; the others keep their turns', () => {
      const { doubtful, settled } = runFailing(300);
      expect(doubtful).toHaveLength(300);
      for (const each of doubtful) {
        for (const [i, at] of each.slice(1).entries()) expect(at - (each[i] ?? 0)).toBeLessThan(5_000 + 2 * bunchMs);
      }
      expect(settled.length).toBeGreaterThan(19_700 * 2);
    });

    test('more of them than can be checked in their interval take half of the turns', () => {
      const { doubtful, settled } = runFailing(4_000);
      expect(doubtful.flat().length).toBeGreaterThan(0.4 * 300 * maxChecksPerSecond);
      expect(settled.length).toBeGreaterThan(0.4 * 300 * maxChecksPerSecond);
    });

    test('one that a request could not reach does not wait for its turn', () => {
      const schedule = new Schedule(0);
      follow(schedule, checksOf(20_000), [0], 0);
      run(schedule, 0, 200_000);
      const watch = [...schedule.watches.values()][0];
      if (watch === undefined) throw new Error('nothing is watched');
      for (let i = 0; i < 1_000; i++) {
        watch.record.add('failed');
        schedule.doubt(schedule.watches.get(watch.check.key) ?? watch, 200_000);
      }
      const [first] = run(schedule, 200_000, 206_000).get(watch.check.key) ?? [];
      expect(first).toBeLessThan(205_000 + 2 * bunchMs);
    });
  });

  test('what ended while it was being checked is not put back', () => {
    const schedule = new Schedule(0);
    follow(schedule, checksOf(1), [0], 0);
    const watch = schedule.take(5_000);
    expect(follow(schedule, new Map(), [0], 5_000)).toEqual([watch]);
    if (watch !== null) schedule.putBack(watch, 5_000);
    expect(schedule.waitMs(5_000)).toBeNull();
  });
});

describe('what', () => {
  function gathered(...wishes: RouteWish[]): Record<string, number> {
    const table = new RouteTable();
    table.load(wishes.flatMap(route));
    const checks = new Map<CheckKey, Check>();
    for (const _ of gatherChecks(table, 5_000, checks));
    return Object.fromEntries([...checks.values()].map(({ key, intervalMs }) => [key, intervalMs]));
  }

  test.each<[string, RouteWish[], Record<string, number>]>([
    ['one Endpoint', [{ host: 'a.test', pods: [1] }], {}],
    ['two', [{ host: 'a.test', pods: [1, 2] }], { 'plain 127.0.0.1:1': 5_000, 'plain 127.0.0.1:2': 5_000 }],
    [
      'weight 0 does not count, and is not checked',
      [
        {
          host: 'a.test',
          services: [
            { service: 'a', pods: [1] },
            { service: 'b', pods: [2, 3], weight: 0 },
          ],
        },
      ],
      {},
    ],
    [
      'the address of an idled Service counts, and is not checked',
      [
        {
          host: 'a.test',
          services: [
            { service: 'a', pods: [1] },
            { service: 'b', pods: [2, 3], idled: true },
          ],
        },
      ],
      { 'plain 127.0.0.1:1': 5_000 },
    ],
    [
      'the shortest interval of all Routes',
      [
        { host: 'a.test', pods: [1, 2], checkIntervalMs: 700 },
        { host: 'b.test', pods: [1, 3], checkIntervalMs: 9_000 },
      ],
      { 'plain 127.0.0.1:1': 700, 'plain 127.0.0.1:2': 700, 'plain 127.0.0.1:3': 9_000 },
    ],
    [
      'with TLS and without',
      [
        { host: 'a.test', pods: [1, 2], termination: 'reencrypt' },
        { host: 'b.test', pods: [1, 3], termination: 'passthrough' },
      ],
      {
        'tls 127.0.0.1:1': 5_000,
        'tls 127.0.0.1:2': 5_000,
        'plain 127.0.0.1:1': 5_000,
        'plain 127.0.0.1:3': 5_000,
      },
    ],
  ])('%s', (_, wishes, expected) => {
    expect(gathered(...wishes)).toEqual(expected);
  });
});

describe('what workers say', () => {
  const keys = ['10.0.0.1:80', '10.0.0.2:80'].map((authority) => checkKey(authority, 'plain'));

  test('an Endpoint is down as long as one worker says so', () => {
    type Word = readonly [worker: number, key: number, down: boolean];
    const words = fc.array(fc.tuple(fc.nat(2), fc.nat(1), fc.boolean()), { maxLength: 40 });
    fc.assert(
      fc.property(words, fc.subarray([0, 1, 2]), (said: Word[], kept) => {
        const health = new EndpointHealth();
        const model = new Set<string>();
        for (const [worker, at, down] of said) {
          const key = keys[at] ?? keys[0];
          if (key === undefined) return;
          if (down) health.markDown(worker, [key], 0);
          else health.markUp(worker, [key]);
          if (down) model.add(`${worker} ${key}`);
          else model.delete(`${worker} ${key}`);
        }
        const agrees = (): void => {
          for (const key of keys) expect(health.isDown(key)).toBe([...model].some((word) => word.endsWith(key)));
          expect(health.anyDown).toBe(model.size > 0);
        };
        agrees();
        health.keepOnly(kept);
        for (const word of model) if (!kept.includes(Number(word[0]))) model.delete(word);
        agrees();
      }),
    );
  });

  test('what is not repeated is forgotten, but not the own word', () => {
    const health = new EndpointHealth();
    health.markDown(0, keys.slice(0, 1), 100);
    health.markDown(1, keys, 200);
    health.markDown(1, keys.slice(0, 1), 300);
    health.forgetBefore(0, 250);
    expect(keys.map((key) => health.isDown(key))).toEqual([true, false]);
    health.forgetBefore(0, 1_000);
    expect(keys.map((key) => health.isDown(key))).toEqual([true, false]);
    health.markUp(0, keys);
    expect(health.anyDown).toBe(false);
  });
});
