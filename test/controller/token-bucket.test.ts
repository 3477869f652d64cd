import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenBucket } from '../../src/controller/token-bucket.ts';

describe('a rate with room for bursts', () => {
  /** Steps: at which millisecond, and what is answered. */
  type Step = readonly [atMs: number, answer: number];
  const cases: readonly (readonly [name: string, perSecond: number, size: number, steps: readonly Step[]])[] = [
    [
      'it is full at the beginning',
      1,
      3,
      [
        [0, 0],
        [0, 0],
        [0, 0],
        [0, 1000],
      ],
    ],
    [
      'whenever the beginning is',
      1,
      2,
      [
        [1e9, 0],
        [1e9, 0],
        [1e9, 1000],
      ],
    ],
    [
      'a token comes in its time',
      2,
      1,
      [
        [0, 0],
        [250, 250],
        [500, 0],
        [500, 500],
      ],
    ],
    [
      'no more are kept than there is room for',
      10,
      2,
      [
        [0, 0],
        [0, 0],
        [60_000, 0],
        [60_000, 0],
        [60_000, 100],
      ],
    ],
    [
      'asking costs nothing',
      1,
      1,
      [
        [0, 0],
        [100, 900],
        [200, 800],
        [300, 700],
        [1000, 0],
      ],
    ],
    [
      'parts of tokens add up',
      4,
      2,
      [
        [0, 0],
        [0, 0],
        [125, 125],
        [250, 0],
        [375, 125],
        [500, 0],
      ],
    ],
    [
      'more than one in a millisecond',
      2000,
      1,
      [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ],
    ],
    [
      'a time that is no whole number',
      3,
      1,
      [
        [0.5, 0],
        [0.5, 334],
        [334.5, 0],
      ],
    ],
  ];
  test.each(cases)('%s', (_name, perSecond, size, steps) => {
    const bucket = new TokenBucket(perSecond, size);
    expect(steps.map(([atMs]) => bucket.take(atMs))).toEqual(steps.map(([, answer]) => answer));
  });

  test('nothing is given out in a pause', () => {
    const bucket = new TokenBucket(1, 2);
    expect(bucket.take(0)).toBe(0);
    bucket.pause(500);
    expect([bucket.take(0), bucket.take(100), bucket.take(499)]).toEqual([500, 400, 1]);
    // A shorter one does not end a longer one; what came meanwhile is there.
    bucket.pause(300);
    expect(bucket.take(400)).toBe(100);
    expect([bucket.take(500), bucket.take(500), bucket.take(1000)]).toEqual([0, 500, 0]);
    bucket.pause(5000);
    bucket.pause(6000);
    expect(bucket.take(5500)).toBe(500);
    expect([bucket.take(6000), bucket.take(6000)]).toEqual([0, 0]);
  });

  test('however it is asked, no window gets more than its rate and the burst, and who waits as told is served', () => {
    const gaps = fc.array(fc.oneof(fc.nat(3), fc.nat(3000)), { minLength: 1, maxLength: 120 });
    const rate = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(3, 7, 0.1));
    fc.assert(
      fc.property(rate, fc.integer({ min: 1, max: 20 }), gaps, (perSecond, size, given) => {
        const bucket = new TokenBucket(perSecond, size);
        const taken: number[] = [];
        let nowMs = 12_345;
        for (const gap of given) {
          nowMs += gap;
          let waitMs = bucket.take(nowMs);
          expect(Number.isFinite(waitMs) && waitMs >= 0).toBe(true);
          // Rounding may cost a millisecond more, and never a third question.
          for (let tries = 0; waitMs > 0 && gap % 2 === 0; tries++) {
            expect(tries).toBeLessThan(2);
            nowMs += waitMs;
            waitMs = bucket.take(nowMs);
          }
          if (waitMs === 0) taken.push(nowMs);
        }
        for (let first = 0; first < taken.length; first++) {
          for (let last = first; last < taken.length; last++) {
            const windowMs = (taken[last] ?? 0) - (taken[first] ?? 0);
            expect(last - first + 1).toBeLessThanOrEqual(size + (windowMs * perSecond) / 1000 + 1e-6);
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
