import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReviewCache } from '../../src/admin/review-cache.ts';

test('asks again exactly when an answer is too old, was forgotten or failed', async () => {
  const step = fc.record({ waitMs: fc.nat(4), key: fc.constantFrom('a', 'b', 'c', 'd'), fails: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      let nowMs = 0;
      let asked = 0;
      const cache = new ReviewCache<number>(3, () => nowMs);
      // The slow obvious way: a list, eldest first.
      let model: { key: string; answer: number; untilMs: number }[] = [];
      for (const { waitMs, key, fails } of steps) {
        nowMs += waitMs;
        const known = model.find((each) => each.key === key && nowMs < each.untilMs);
        const before = asked;
        const answer = await cache
          .get(
            key,
            () => {
              asked++;
              return fails ? Promise.reject(new Error('no')) : Promise.resolve(asked);
            },
            (given) => (given % 2 === 0 ? 5 : 2),
          )
          .catch(() => null);
        expect(asked - before).toBe(known === undefined ? 1 : 0);
        expect(answer).toBe(known?.answer ?? (fails ? null : asked));
        if (known !== undefined) continue;
        model = [...model.filter((each) => each.key !== key), { key, answer: asked, untilMs: 0 }].slice(-3);
        const last = model.at(-1);
        if (fails || last === undefined) model.pop();
        else last.untilMs = nowMs + (asked % 2 === 0 ? 5 : 2);
      }
    }),
  );
});

test('a question under way is asked once', async () => {
  const cache = new ReviewCache<string>(10, () => 0);
  let answer: (text: string) => void = () => {};
  let asked = 0;
  const ask = (): Promise<string> => {
    asked++;
    return new Promise((resolve) => {
      answer = resolve;
    });
  };
  const all = Promise.all([1, 2, 3].map(() => cache.get('key', ask, () => 1)));
  answer('yes');
  expect(await all).toEqual(['yes', 'yes', 'yes']);
  expect(asked).toBe(1);
});
