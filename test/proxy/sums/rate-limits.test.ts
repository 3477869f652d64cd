// Rate limits over several workers: what is let through in all, against what anybody could know at that time.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SourceKey } from '../../../src/proxy/listener/client-limits.ts';
import { partOf } from '../../../src/proxy/listener/limits.ts';
import { RouteLimits, type Visitor } from '../../../src/proxy/listener/route-limits.ts';
import { exchangeMs } from '../../../src/proxy/sums/count-exchange.ts';
import { type RateLimit, routeKey } from '../../../src/table/entries.ts';
import { WorkerMesh } from '../../support/worker-mesh.ts';

const route = routeKey('shop', 'web');
const none: RateLimit = { connections: null, connectionRate: null, requestRate: null };
const windowMs = 3_000;
/** By how much longer than its window an arrival may be remembered. */
const lateMs = windowMs / 10;

type Workers = { readonly mesh: WorkerMesh; readonly each: readonly RouteLimits[] };

function workersOf(count: number): Workers {
  return WorkerMesh.of(count, (peers, worker) => new RouteLimits(worker, count, peers));
}

function exchange({ mesh, each }: Workers, nowMs: number): void {
  for (const limits of each) limits.exchange.exchange(nowMs);
  mesh.deliver();
}

function arrive(
  { each }: Workers,
  worker: number,
  limit: Partial<RateLimit>,
  nowMs: number,
  source = 'a',
): Visitor | null {
  const visitor = each[worker]?.arrive(route, source as SourceKey, { ...none, ...limit }, nowMs) ?? 0;
  return typeof visitor === 'number' ? null : visitor;
}

/** Whether a connection is let in, which then ends at once. */
function visit(workers: Workers, worker: number, connectionRate: number, nowMs: number, source = 'a'): boolean {
  const visitor = arrive(workers, worker, { connectionRate }, nowMs, source);
  if (visitor !== null) workers.each[worker]?.leave(visitor, nowMs);
  return visitor !== null;
}

describe('a client of one worker alone', () => {
  test('has the whole limit, at once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(7), fc.nat(40), (count, at, limit) => {
        const workers = workersOf(count);
        const letIn = Array.from({ length: limit + 5 }, () => visit(workers, at % count, limit, 1_000));
        expect(letIn.filter((isIn) => isIn).length).toBe(limit);
      }),
    );
  });

  test('has it of connections and of requests, too', () => {
    const workers = workersOf(4);
    const held = Array.from({ length: 9 }, () => arrive(workers, 2, { connections: 7 }, 0));
    expect(held.filter((visitor) => visitor !== null).length).toBe(7);
    const [first] = held;
    if (first === null || first === undefined) throw new Error('not let in');
    const answers = Array.from({ length: 13 }, () => workers.each[2]?.request(first, 11, 0));
    expect(answers.filter((answer) => answer === 'counted').length).toBe(11);
  });
});

describe('a client of several workers', () => {
  // Worker, and time since the last arrival.
  const arrivals = (gapMs: number) =>
    fc.array(fc.tuple(fc.nat(7), fc.integer({ min: 0, max: gapMs })), { minLength: 20, maxLength: 250 });

  test.each([10, 60, 400])(
    'up to %i ms apart: never more than the limit besides what came within two exchanges, and nobody is refused for nothing',
    (gapMs) => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 6 }),
          fc.integer({ min: 1, max: 30 }),
          arrivals(gapMs),
          (count, limit, sequence) => {
            const workers = workersOf(count);
            const letIn: number[] = [];
            let nowMs = 10_000;
            let nextMs = nowMs + exchangeMs;
            const within = (lengthMs: number, untilMs: number): number =>
              letIn.filter((at) => at > nowMs - lengthMs && at <= untilMs).length;
            for (const [worker, gap] of sequence) {
              nowMs += gap;
              for (; nextMs <= nowMs; nextMs += exchangeMs) exchange(workers, nextMs);
              const isLetIn = visit(workers, worker % count, limit, nowMs);
              // What is known everywhere: the one exchange may have told that there is something, the next one how much.
              if (isLetIn) expect(within(windowMs, nowMs - 2 * exchangeMs)).toBeLessThan(limit);
              else expect(within(windowMs + lateMs + exchangeMs, nowMs)).toBeGreaterThanOrEqual(limit);
              if (isLetIn) letIn.push(nowMs);
            }
          },
        ),
      );
    },
  );

  test('connections that are open count everywhere until they end', () => {
    const workers = workersOf(3);
    const held = [0, 1, 2, 0, 1, 2].map((worker, i) => {
      exchange(workers, i * exchangeMs);
      exchange(workers, i * exchangeMs);
      return arrive(workers, worker, { connections: 4 }, 0);
    });
    expect(held.map((visitor) => visitor !== null)).toEqual([true, true, true, true, false, false]);
    // Nothing happens for a minute: they are told again and again.
    for (let i = 0; i < 600; i++) exchange(workers, i * exchangeMs);
    expect(arrive(workers, 2, { connections: 4 }, 0)).toBeNull();
    const [first] = held;
    if (first) workers.each[0]?.leave(first, 0);
    exchange(workers, 0);
    expect(arrive(workers, 2, { connections: 4 }, 0)).not.toBeNull();
  });

  test('other sources and other Routes do not count', () => {
    const workers = workersOf(2);
    for (let i = 0; i < 3; i++) visit(workers, 0, 3, 1_000);
    exchange(workers, 1_000);
    expect(visit(workers, 1, 3, 1_000)).toBe(false);
    expect(visit(workers, 1, 3, 1_000, 'b')).toBe(true);
    const other = workers.each[1]?.arrive(
      routeKey('shop', 'other'),
      'a' as SourceKey,
      { ...none, connectionRate: 3 },
      1_000,
    );
    expect(typeof other).toBe('object');
  });
});

describe('workers that come and go', () => {
  test('without anybody to be told, each lets its part through; nobody is forgotten meanwhile', () => {
    const limit = 10;
    const workers = workersOf(4);
    for (let i = 0; i < 6; i++) visit(workers, 0, limit, 1_000);
    exchange(workers, 1_000);
    workers.mesh.join([]);
    const letIn = [0, 1, 2, 3].map(
      (worker) => Array.from({ length: 12 }, () => visit(workers, worker, limit, 1_100)).filter((isIn) => isIn).length,
    );
    expect(letIn).toEqual([0, ...[1, 2, 3].map((worker) => partOf(limit, worker, 4))]);
    workers.mesh.join([0, 1, 2, 3]);
    exchange(workers, 1_200);
    expect([0, 1, 2, 3].map((worker) => visit(workers, worker, limit, 1_250))).toEqual([false, false, false, false]);
  });

  test('what a dead worker has counted is nothing any more', () => {
    const workers = workersOf(3);
    for (let i = 0; i < 5; i++) visit(workers, 0, 5, 1_000);
    exchange(workers, 1_000);
    expect(visit(workers, 1, 5, 1_000)).toBe(false);
    workers.mesh.join([1, 2]);
    const letIn = Array.from({ length: 9 }, () => visit(workers, 1, 5, 1_000));
    expect(letIn.filter((isIn) => isIn).length).toBe(5);
  });

  test('a worker that comes learns at once what the others have counted', () => {
    const workers = workersOf(2);
    workers.mesh.join([0]);
    for (let i = 0; i < 3; i++) visit(workers, 0, 6, 1_000);
    workers.mesh.join([0, 1]);
    for (let i = 0; i < 3; i++) visit(workers, 0, 6, 1_000);
    exchange(workers, 1_000);
    expect(visit(workers, 1, 6, 1_000)).toBe(false);
  });
});

test('more sources than can be told of: the rest has the part of its worker', () => {
  const workers = workersOf(2);
  const [limits] = workers.each;
  for (let i = 0; i < 2_100; i++) visit(workers, 0, 4, 1_000, `${i}`);
  const letIn = (source: string): number =>
    Array.from({ length: 9 }, () => visit(workers, 0, 4, 1_000, source)).filter((isIn) => isIn).length;
  expect(letIn('0')).toBe(3);
  expect(letIn('2099')).toBe(1);
  expect(limits?.size).toBe(2_100);
  exchange(workers, 1_000);
  // When the others have said all that they had to say, there is room again.
  exchange(workers, 20_000);
  expect(letIn('new')).toBe(4);
});
