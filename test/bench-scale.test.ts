// The parts of the scale bench without I/O.

import { describe, expect, test } from 'vitest';
import { between, parseBuckets, shareWithin } from './bench/scale/histogram.ts';
import { parseOptions } from './bench/scale/options.ts';
import { isMet, type Row } from './bench/scale/report.ts';

const name = 'headgate_propagation_seconds';

function exposition(within25: number, within50: number, all: number): string {
  return `# TYPE ${name} histogram
${name}_bucket{le="0.025"} ${within25}
${name}_bucket{le="0.05"} ${within50}
${name}_bucket{le="+Inf"} ${all}
${name}_sum 1.5
${name}_count ${all}
`;
}

describe('the histogram of the exposition', () => {
  test('counts what came between two looks', () => {
    const before = parseBuckets(exposition(10, 10, 20), name);
    const after = parseBuckets(exposition(100, 109, 120), name);
    expect(shareWithin(between(before, after), 0.05)).toBe(0.99);
  });

  test('says nothing of a bound that it does not have, or where nothing came', () => {
    const buckets = parseBuckets(exposition(1, 2, 3), name);
    expect(shareWithin(buckets, 0.03)).toBeNaN();
    expect(shareWithin(between(buckets, buckets), 0.05)).toBeNaN();
  });
});

describe('a figure meets its target', () => {
  const row = (values: readonly number[], target: Row['target']): Row => ({ name: '', values, unit: 'ms', target });

  test.each([
    { is: 'by its median', values: [1, 2, 90], target: { at: 'most', value: 2 }, met: true },
    { is: 'or not', values: [1, 3, 3], target: { at: 'most', value: 2 }, met: false },
    { is: 'from below', values: [98], target: { at: 'least', value: 99 }, met: false },
    { is: 'never where nothing was measured', values: [], target: { at: 'most', value: 2 }, met: false },
    { is: 'where it has none', values: [], target: null, met: true },
  ] as const)('$is', ({ values, target, met }) => {
    expect(isMet(row(values, target))).toBe(met);
  });
});

describe('the options', () => {
  test('choose what is measured', () => {
    expect(parseOptions(['--only', 'start,idle', '--services', '300'])).toMatchObject({
      only: ['start', 'idle'],
      services: 300,
    });
  });

  test.each([['--only', 'begin'], ['--services', '150'], ['--starts', '0'], ['--nothing']])(
    'refuse %s %s',
    (...args) => {
      expect(() => parseOptions(args.filter((arg) => arg !== undefined))).toThrow(TypeError);
    },
  );
});
