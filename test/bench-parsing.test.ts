// The pure parts of the bench: figures are only as good as what reads them.

import { describe, expect, test } from 'vitest';
import { parseProcessStat } from './bench/cpu-time.ts';
import { parseEventLoopStalls } from './bench/headgate-admin.ts';
import { parseLoadReport } from './bench/load-report.ts';
import { parseOptions } from './bench/options.ts';
import { alignedTable } from './bench/report.ts';
import { median, pairedRatios, quantile } from './bench/statistics.ts';

describe('quantile', () => {
  test.each([
    { samples: [7], q: 0.99, expected: 7 },
    { samples: [3, 1, 2], q: 0.5, expected: 2 },
    { samples: [4, 1, 3, 2], q: 0.5, expected: 2.5 },
    { samples: [1, 2, 3, 4, 5], q: 0.25, expected: 2 },
    { samples: [10, 20], q: 0, expected: 10 },
    { samples: [10, 20], q: 1, expected: 20 },
    { samples: [], q: 0.5, expected: Number.NaN },
  ])('$q of $samples is $expected', ({ samples, q, expected }) => {
    expect(quantile(samples, q)).toBe(expected);
  });

  test('sorts numbers by value and leaves the samples as they are', () => {
    const samples = [100, 9, 20];
    expect(median(samples)).toBe(20);
    expect(samples).toEqual([100, 9, 20]);
  });
});

test('ratios pair the samples of the same round', () => {
  expect(pairedRatios([2, 9, 4], [1, 3, 8])).toEqual([2, 3, 0.5]);
  expect(pairedRatios([2, 9], [])).toEqual([]);
});

describe('a load report', () => {
  const line = '{"requests":10,"bytes":2000,"durationUs":1000000,"p50Us":5,"p99Us":9,"errors":0}';
  const report = { requests: 10, bytes: 2000, durationUs: 1_000_000, p50Us: 5, p99Us: 9, errors: 0 };

  test.each([
    { name: 'alone', output: line },
    { name: 'after what wrk prints', output: `Running 1s test @ http://x/\n  1 threads and 64 connections\n${line}\n` },
  ])('is read $name', ({ output }) => {
    expect(parseLoadReport(output)).toEqual(report);
  });

  test.each([
    { name: 'nothing', output: '' },
    { name: 'no report', output: 'unable to connect to x' },
    { name: 'a report cut short', output: line.slice(0, 30) },
    { name: 'a missing field', output: line.replace('"errors"', '"error"') },
    { name: 'a division by zero', output: line.replace('"p99Us":9', '"p99Us":nan') },
  ])('is refused: $name', ({ output }) => {
    expect(() => parseLoadReport(output)).toThrow();
  });
});

describe('/proc/PID/stat', () => {
  const rest = '4194560 1 2 3 4 150 25 7 8 20 0 11 0 100 200 300';

  test.each([
    { name: 'plain', line: `42 (node) S 7 42 42 0 -1 ${rest}` },
    { name: 'a name with blanks and brackets', line: `42 (a) R 1 (b) S 7 42 42 0 -1 ${rest}` },
  ])('gives parent and CPU time: $name', ({ line }) => {
    expect(parseProcessStat(line)).toEqual({ parentPid: 7, cpuUs: 1_750_000 });
  });

  test('is refused when it is something else', () => {
    expect(() => parseProcessStat('42 (node) S 7')).toThrow();
  });
});

test('event loop stalls are found by their labels', () => {
  const exposition = [
    '# TYPE headgate_eventloop_delay_max_seconds gauge',
    'headgate_eventloop_delay_max_seconds{process="controller"} 0.25',
    'headgate_eventloop_delay_max_seconds{process="worker",worker="1"} 1e-3',
    'headgate_eventloop_delay_max_seconds_other 9',
    '',
  ].join('\n');
  expect([...parseEventLoopStalls(exposition)]).toEqual([
    ['process="controller"', 250],
    ['process="worker",worker="1"', 1],
  ]);
  expect(parseEventLoopStalls('# nothing\n').size).toBe(0);
});

describe('options', () => {
  test('have defaults and are overridden', () => {
    expect(parseOptions([])).toMatchObject({ rounds: 5, seconds: 4, only: null, contenders: null, jsonFile: null });
    expect(parseOptions(['--only', 'plain,edge', '--rounds', '2', '--json', 'out.json'])).toMatchObject({
      rounds: 2,
      only: ['plain', 'edge'],
      jsonFile: 'out.json',
    });
    expect(parseOptions(['--help'])).toBe('help');
  });

  test.each([['--rounds', '0'], ['--seconds', 'long'], ['--round', '1'], ['plain']])(
    'are refused: %s %s',
    (...args) => {
      expect(() => parseOptions(args.filter((arg) => arg !== undefined))).toThrow(TypeError);
    },
  );
});

test('a table sets numbers to the right', () => {
  const table = alignedTable(
    ['name', 'n'],
    [
      ['a', '9'],
      ['long', '10.5'],
    ],
  );
  expect(table).toBe('name     n\na        9\nlong  10.5\n');
});
