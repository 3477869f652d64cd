// The pure parts of the bench: figures are only as good as what reads them.

import { describe, expect, test } from 'vitest';
import { parseProcessStat } from './bench/cpu-time.ts';
import { parseH2loadReport } from './bench/h2load.ts';
import { parseEventLoopDelays } from './bench/headgate-admin.ts';
import { failures, figureLines, loadLines, ownLines } from './bench/lines.ts';
import { parseLoadReport } from './bench/load-report.ts';
import { parseOptions } from './bench/options.ts';
import { LOAD_SCENARIOS } from './bench/programme.ts';
import { alignedTable } from './bench/report.ts';
import { edge } from './bench/scenarios/edge.ts';
import { inodesOfPort } from './bench/sockets.ts';
import { median, pairedRatios, quantile } from './bench/statistics.ts';
import { OWN_COMPARISONS, RATIO_TARGETS } from './bench/targets.ts';

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

describe('what h2load prints', () => {
  const output = `starting benchmark...
spawning thread #0: 4 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration for measurements.
progress: 100% of clients started
TLS Protocol: TLSv1.3
Application protocol: h2
Main benchmark duration is over for thread #0. Stopping all clients.

finished in 2.00s, 24967.50 req/s, 3.44MB/s
requests: 50384 total, 50400 started, 50384 done, 44897 succeeded, 5487 failed, 449 errored, 0 timeout
status codes: 44890 2xx, 7 3xx, 0 4xx, 5038 5xx
traffic: 6.88MB (7211208) total, 97.81KB (100162) headers (space savings 95.34%), 5.49MB (5756892) data
                     min         max         mean         sd        +/- sd
time for request:      142us     16.64ms       614us       842us    95.80%
req/s           :    6187.62     6321.70     6241.56       56.96    75.00%
`;
  const log = '1795257063122258\t200\t10\n1795257063122258\t503\t20\n1795257063122259\t-1\t40\n';

  test('is a load report; what is no 2xx is an error', () => {
    expect(parseH2loadReport(output, log, 2)).toEqual({
      requests: 50_384,
      bytes: 7_211_208,
      durationUs: 2_000_000,
      p50Us: 20,
      p99Us: 39.6,
      errors: 5_494,
    });
  });

  test.each([
    { name: 'nothing', text: '' },
    { name: 'a report cut short', text: output.slice(0, output.indexOf('status codes')) },
    { name: 'no request done', text: output.replace('50384 done', '0 done') },
    { name: 'another protocol', text: output.replace('protocol: h2', 'protocol: http/1.1') },
    { name: 'HTTP/2 without TLS', text: output.replace('protocol: h2', 'protocol: h2c') },
  ])('is refused: $name', ({ text }) => {
    expect(() => parseH2loadReport(text, log, 2)).toThrow(/h2load/);
  });
});

describe('the lines of the tables', () => {
  const sample = { cpuUsPerUnit: 1, requestsPerSecond: 1, bytesPerSecond: 1, p50Us: 1, p99Us: 1, errors: 0 };
  const costing = (...costs: readonly number[]) => costs.map((cpuUsPerUnit) => ({ ...sample, cpuUsPerUnit }));

  test('a contender with errors in any round failed', () => {
    const lines = loadLines([
      { scenario: edge, contender: 'good', samples: [sample, sample] },
      { scenario: edge, contender: 'bad', samples: [sample, { ...sample, errors: 2 }, { ...sample, errors: 1 }] },
    ]);
    expect(failures(lines)).toEqual(['edge: bad: 3 failed, so its figures say nothing']);
  });

  test.each([
    { name: 'met by the upper quartile', costs: [80, 80, 80, 84, 99], isMet: true },
    { name: 'missed by the upper quartile, though not by the median', costs: [80, 80, 80, 90, 99], isMet: false },
    { name: 'missed by what is just as much', costs: [85, 85, 85, 85, 85], isMet: false },
  ])('a target is $name', ({ costs, isMet }) => {
    const lines = loadLines([
      { scenario: edge, contender: 'haproxy-openshift', samples: costing(100, 100, 100, 100, 100) },
      { scenario: edge, contender: 'nginx', samples: costing(...costs) },
      { scenario: edge, contender: 'headgate', samples: costing(...costs) },
    ]);
    expect(lines.map(({ verdict }) => verdict)).toEqual([null, null, { below: 0.85, isMet }]);
    expect(lines.map(({ ratio }) => ratio?.lower ?? null)).toEqual([
      null,
      lines[2]?.ratio?.lower,
      lines[2]?.ratio?.lower,
    ]);
  });

  test('without the baseline nothing is compared', () => {
    const [line] = loadLines([{ scenario: edge, contender: 'headgate', samples: costing(1, 2) }]);
    expect(line).toMatchObject({ ratio: null, verdict: null });
  });

  test('a contender is compared with itself round by round', () => {
    const scenario = { ...edge, name: 'edge-two-threads' };
    const lines = ownLines([
      { scenario: edge, contender: 'headgate', samples: costing(100, 50, 100) },
      { scenario, contender: 'headgate', samples: costing(104, 52, 104) },
      { scenario, contender: 'haproxy-openshift', samples: costing(1, 1, 1) },
    ]);
    expect(lines).toEqual([
      {
        scenario: 'edge-two-threads',
        against: 'edge',
        contender: 'headgate',
        ratio: { median: 1.04, lower: 1.04, upper: 1.04 },
        verdict: { below: 1.05, isMet: true },
      },
    ]);
  });

  test.each([
    { name: 'met', values: [1, 2, 3], isMet: true },
    { name: 'missed by one of few', values: [1, 2, 30], isMet: false },
    { name: 'missed where nothing was measured', values: [], isMet: false },
  ])('the target of a figure is $name', ({ values, isMet }) => {
    const target = { quantile: 0.99, below: 20 };
    const lines = figureLines([{ scenario: 'change', figures: [{ name: '', unit: 'ms', values, target }] }]);
    expect(lines[0]?.verdict).toEqual({ ...target, isMet });
  });
});

test('scenarios with targets exist', () => {
  const names = LOAD_SCENARIOS.map(({ name }) => name);
  expect(names).toEqual([...new Set(names)]);
  const named = OWN_COMPARISONS.flatMap(({ scenario, against }) => [scenario, against]);
  expect(names).toEqual(expect.arrayContaining([...Object.keys(RATIO_TARGETS), ...named]));
});

test("connections to a port are found in the kernel's table", () => {
  const line = (local: string, state: string, inode: number): string =>
    `   0: 0100007F:${local} 0100007F:D431 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 20 4 30 10 -1\n`;
  const table = `  sl  local_address rem_address   st ...\n${line('01BB', '01', 7)}${line('01BB', '0A', 8)}${line('01BC', '01', 9)}`;
  expect([...inodesOfPort(table, 443)]).toEqual(['7']);
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
  expect([...parseEventLoopDelays(exposition, 'max')]).toEqual([
    ['process="controller"', 250],
    ['process="worker",worker="1"', 1],
  ]);
  expect(parseEventLoopDelays(exposition, 'p99').size).toBe(0);
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
