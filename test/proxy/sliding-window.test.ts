import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SlidingWindow } from '../../src/proxy/sliding-window.ts';

const lengthMs = 3_000;
/** By how much longer than the window an event may be remembered. */
const errorMs = lengthMs / 10;

test('counts all of the window, and nothing older than a window and a tenth', () => {
  const steps = fc.array(
    fc.oneof(fc.constant(0), fc.double({ min: 0, max: 400, noNaN: true }), fc.integer({ max: 9_000, min: 0 })),
  );
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), steps, (startMs, gaps) => {
      const window = new SlidingWindow(lengthMs);
      const events: number[] = [];
      let nowMs = startMs;
      for (const gap of gaps) {
        nowMs += gap;
        const count = window.count(nowMs);
        expect(count).toBeGreaterThanOrEqual(events.filter((at) => at > nowMs - lengthMs).length);
        expect(count).toBeLessThanOrEqual(events.filter((at) => at > nowMs - lengthMs - errorMs - 1e-6).length);
        const waitMs = window.forgetsInMs(nowMs);
        expect(waitMs > 0).toBe(count > 0);
        if (count > 0) {
          expect(waitMs).toBeLessThanOrEqual(lengthMs + errorMs + 1e-6);
          // Not before the eldest that counts has left the window.
          const eldest = events.at(-count) ?? 0;
          expect(waitMs).toBeGreaterThanOrEqual(eldest + lengthMs - nowMs - 1e-6);
        }
        window.add(nowMs);
        events.push(nowMs);
      }
    }),
  );
});

test.each([1, 2, 7])(
  'with a limit of %i: never more in any window, and never fewer than a longer one would let in',
  (limit) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_500 }), { maxLength: 200 }), (gaps) => {
        const window = new SlidingWindow(lengthMs);
        const letIn: number[] = [];
        let nowMs = 12_345.6;
        for (const gap of gaps) {
          nowMs += gap;
          const inWindow = letIn.filter((at) => at > nowMs - lengthMs).length;
          const inLonger = letIn.filter((at) => at > nowMs - lengthMs - errorMs).length;
          const isLetIn = window.count(nowMs) < limit;
          if (inWindow >= limit) expect(isLetIn).toBe(false);
          if (inLonger < limit) expect(isLetIn).toBe(true);
          if (!isLetIn) continue;
          window.add(nowMs);
          letIn.push(nowMs);
        }
      }),
    );
  },
);
