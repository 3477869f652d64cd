import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SourceKey } from '../../src/proxy/listener/client-limits.ts';
import { partOf } from '../../src/proxy/listener/limits.ts';
import { RouteLimits, type Visitor } from '../../src/proxy/listener/route-limits.ts';
import { Peers } from '../../src/replication/peers.ts';
import { type RateLimit, routeKey } from '../../src/table/entries.ts';

const one = routeKey('shop', 'one');
const other = routeKey('shop', 'other');
const nobody = new Peers(() => {});
const none: RateLimit = { connections: null, connectionRate: null, requestRate: null };

/** Whether a connection is let in, which then ends at once. */
function visit(limits: RouteLimits, route: typeof one, source: string, limit: RateLimit, nowMs: number): boolean {
  const visitor = limits.arrive(route, source as SourceKey, limit, nowMs);
  if (typeof visitor === 'number') return false;
  limits.leave(visitor, nowMs);
  return true;
}

function requests(limits: RouteLimits, visitor: Visitor | number, count: number, rate: number): (number | string)[] {
  if (typeof visitor === 'number') throw new Error('not let in');
  return Array.from({ length: count }, () => limits.request(visitor, rate, 1_000));
}

test('the parts of the workers add up to the limit, or are 1 each', () => {
  fc.assert(
    fc.property(fc.nat(1_000), fc.integer({ min: 1, max: 64 }), (limit, workers) => {
      const parts = Array.from({ length: workers }, (_, worker) => partOf(limit, worker, workers));
      const sum = parts.reduce((total, part) => total + part, 0);
      expect(sum).toBe(limit === 0 ? 0 : Math.max(limit, workers));
      expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1);
    }),
  );
});

describe('one worker', () => {
  test('counts sources and Routes apart', () => {
    const limits = new RouteLimits(0, 1, nobody);
    const limit = { ...none, connectionRate: 2 };
    const tries = [one, one, one, other].map((route) => visit(limits, route, 'a', limit, 1_000));
    expect(tries).toEqual([true, true, false, true]);
    expect(visit(limits, one, 'b', limit, 1_000)).toBe(true);
    expect(visit(limits, one, 'a', limit, 4_500)).toBe(true);
  });

  test('counts connections as long as they are open', () => {
    const limits = new RouteLimits(0, 1, nobody);
    const limit = { ...none, connections: 1 };
    const first = limits.arrive(one, 'a' as SourceKey, limit, 0);
    if (typeof first === 'number') throw new Error('not let in');
    expect(visit(limits, one, 'a', limit, 3_600_000)).toBe(false);
    limits.leave(first, 3_600_000);
    expect(visit(limits, one, 'a', limit, 3_600_000)).toBe(true);
  });

  test('lets exactly so many requests in, over all connections of a source', () => {
    const limits = new RouteLimits(0, 1, nobody);
    const first = limits.arrive(one, 'a' as SourceKey, none, 1_000);
    const second = limits.arrive(one, 'a' as SourceKey, none, 1_000);
    expect(requests(limits, first, 3, 5)).toEqual(['counted', 'counted', 'counted']);
    expect(requests(limits, second, 3, 5)).toEqual(['counted', 'counted', expect.any(Number)]);
  });

  test('nothing comes in by a limit of 0', () => {
    const limits = new RouteLimits(0, 4, nobody);
    for (const limit of [
      { ...none, connections: 0 },
      { ...none, connectionRate: 0 },
    ]) {
      expect(limits.arrive(one, 'a' as SourceKey, limit, 0)).toBeGreaterThan(0);
    }
    expect(requests(limits, limits.arrive(one, 'a' as SourceKey, none, 0), 1, 0)).toEqual([10_000]);
  });
});

describe('bounds', () => {
  const limit = { ...none, connectionRate: 1 };
  const bounds = { ofRoute: 10, ofWorker: 15 };

  test('whoever finds no place shares one; nobody’s count is lost by it', () => {
    const limits = new RouteLimits(0, 1, nobody, bounds);
    expect(visit(limits, one, 'attacker', limit, 1_000)).toBe(true);
    for (let i = 0; i < 1_000; i++) visit(limits, one, `source ${i}`, limit, 1_000);
    expect(visit(limits, one, 'attacker', limit, 1_000)).toBe(false);
    expect(visit(limits, one, 'newcomer', limit, 1_000)).toBe(false);
    expect(visit(limits, other, 'newcomer', limit, 1_000)).toBe(true);
    expect(limits.size).toBeLessThanOrEqual(bounds.ofRoute + 2);
  });

  test('all Routes together have a bound of their own', () => {
    const limits = new RouteLimits(0, 1, nobody, bounds);
    for (const route of [one, other]) for (let i = 0; i < 100; i++) visit(limits, route, `${i}`, limit, 1_000);
    expect(limits.size).toBeLessThanOrEqual(bounds.ofWorker + 2);
  });

  test('sources are forgotten after 30 s, and earlier where places are wanted', () => {
    const limits = new RouteLimits(0, 1, nobody, bounds);
    for (let i = 0; i < 10; i++) visit(limits, one, `${i}`, limit, 0);
    const held = limits.arrive(one, '0' as SourceKey, { ...none, connections: 2 }, 0);
    expect(visit(limits, one, 'newcomer', limit, 12_000)).toBe(true);
    for (let i = 0; i < 10; i++) visit(limits, other, `${i}`, limit, 45_000 + i);
    // The newcomer's, and those that were looked for now.
    expect(limits.size).toBe(11);
    expect(typeof held).toBe('object');
  });

  test('no source has more than the limit by its own place, and as much again by the shared one', () => {
    const visits = fc.array(fc.tuple(fc.nat(30), fc.nat(900)), { maxLength: 300 });
    fc.assert(
      fc.property(visits, (sequence) => {
        const limits = new RouteLimits(0, 1, nobody, { ofRoute: 5, ofWorker: 5 });
        const letIn = new Map<number, number[]>();
        let nowMs = 1;
        for (const [source, gap] of sequence) {
          nowMs += gap;
          const before = (letIn.get(source) ?? []).filter((at) => at > nowMs - 3_000);
          const isLetIn = visit(limits, one, `${source}`, { ...none, connectionRate: 2 }, nowMs);
          if (isLetIn) letIn.set(source, [...before, nowMs]);
          if (before.length >= 4) expect(isLetIn).toBe(false);
          expect(limits.size).toBeLessThanOrEqual(6);
        }
      }),
    );
  });
});
