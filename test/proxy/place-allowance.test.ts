import { expect, test } from 'vitest';
import { type PlaceClaims, placeAllowance } from '../../src/proxy/upstream/place-allowance.ts';

const claims: PlaceClaims = {
  limit: 10,
  held: 0,
  told: false,
  waits: false,
  short: false,
  others: { held: 0, waiting: 0, short: 0 },
};
const known = { told: true } as const;
const waits = { told: true, waits: true } as const;
const short = { told: true, waits: true, short: true } as const;

function others(held: number, waiting = 0, shorts = 0): Pick<PlaceClaims, 'others'> {
  return { others: { held, waiting, short: shorts } };
}

// Of two workers, so that the part of each is 5.
test.each<[string, Partial<PlaceClaims>, number]>([
  ['nobody has any: half', {}, 5],
  ['the other has some: half of what is left', others(6), 2],
  ['the other has all: 1', others(10), 1],
  ['more than all: 1', others(13), 1],
  ['the other lacks some: 1', others(4, 1, 1), 1],
  ['it has some of which nobody was told: no more', { held: 5 }, 5],
  ['it was told, nobody waits: half of what is left', { ...known, held: 5 }, 7],
  ['half of 1 is none', { ...known, held: 5, ...others(4) }, 5],
  ['it waits alone: all that is left', { ...waits, held: 6, ...others(1) }, 9],
  ['both wait: half of what is left, rounded up', { ...waits, held: 6, ...others(3, 1) }, 7],
  ['the other waits: nothing of what is left', { ...known, held: 2, ...others(6, 1) }, 2],
  ['it has less than its part, the other waits with more', { ...short, held: 2, ...others(6, 1) }, 4],
  ['both have less than their part', { ...short, held: 2, ...others(3, 1, 1) }, 5],
  ['it has more than its part, the other less', { ...waits, held: 8, ...others(2, 1, 1) }, 5],
  ['and more than that is free', { ...waits, held: 6, ...others(2, 1, 1) }, 5],
  ['it has more than its part, and they are too many', { ...waits, held: 8, ...others(3) }, 7],
  ['far too many', { ...waits, held: 8, ...others(9) }, 5],
  ['it has its part, and they are too many', { ...waits, held: 5, ...others(8, 1) }, 5],
  ['a limit of 1 that the other has', { ...short, limit: 1, ...others(1) }, 1],
])('%s', (_name, given, allowed) => {
  expect(placeAllowance({ ...claims, ...given }, 0, 2, true)).toBe(allowed);
});

test.each([
  [10, 4, [3, 3, 2, 2]],
  [2, 3, [1, 1, 1]],
  [7, 1, [7]],
])('alone: the parts of %i for %i workers', (limit, workers, parts) => {
  const given = { ...claims, ...short, limit, held: 1, ...others(99, 9, 9) };
  expect(parts.map((_, worker) => placeAllowance(given, worker, workers, false))).toEqual(parts);
});
