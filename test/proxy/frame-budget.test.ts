import { describe, expect, test } from 'vitest';
import { Cost, dataEarning, FrameBudget } from '../../src/proxy/http2/frame-budget.ts';

/** How many things of this cost go on at this rate until the account is overdrawn; infinity: for an hour. */
function lasting(cost: number, perSecond: number, earningPerSecond = 0): number {
  const budget = new FrameBudget(0);
  for (let count = 0; count < perSecond * 3600; count++) {
    const nowMs = Math.floor((count / perSecond) * 10) * 100;
    if (count % perSecond === 0) for (let i = 0; i < earningPerSecond; i++) budget.earn(dataEarning);
    if (!budget.spend(cost, nowMs)) return count;
  }
  return Number.POSITIVE_INFINITY;
}

describe('an account', () => {
  const honest: readonly (readonly [what: string, cost: number, perSecond: number, framesSent: number])[] = [
    ['a browser that cancels 30 requests a second', Cost.reset, 30, 0],
    ['a ping ten times a second', Cost.frame, 10, 0],
    ['two windows opened for each of 1,000 frames of content', Cost.frame, 2_000, 1_000],
    ['a ping for each of 500 small messages', Cost.frame, 500, 500],
  ];
  test.each(honest)('%s is never overdrawn', (_what, cost, perSecond, framesSent) => {
    expect(lasting(cost, perSecond, framesSent)).toBe(Number.POSITIVE_INFINITY);
  });

  const floods: readonly (readonly [what: string, cost: number, perSecond: number])[] = [
    ['rapid reset', Cost.reset, 10_000],
    ['resets that we are made to send', Cost.streamError, 1_000],
    ['pings', Cost.frame, 20_000],
    ['settings', Cost.settings, 5_000],
  ];
  test.each(floods)('%s is stopped within a second', (_what, cost, perSecond) => {
    expect(lasting(cost, perSecond)).toBeLessThan(perSecond);
  });

  test('is never fuller than full, however long nothing happened', () => {
    const budget = new FrameBudget(0);
    for (let i = 0; i < 100_000; i++) budget.earn(dataEarning);
    let count = 0;
    while (budget.spend(Cost.frame, 1_000_000_000)) count++;
    expect(count).toBeLessThan(4_010);
  });
});
