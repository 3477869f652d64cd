// What the benches put into docs/: it is written without being looked at, so it has to be right.

import { describe, expect, test } from 'vitest';
import { type Bar, chart } from './bench/chart.ts';
import type { LoadLine, Spread } from './bench/lines.ts';
import { markdownTable, withSection } from './bench/page.ts';
import { barsOf, performanceSection } from './bench/performance-page.ts';
import { mergeRecords, type PerformanceRecord } from './bench/record.ts';

const measured = '2026-01-01 on a machine; 5 rounds of 2 s';

describe('a section of the page', () => {
  const page = 'before\n<!-- a:begin -->\nold\n<!-- a:end -->\nbetween\n<!-- b:begin -->\nkept\n<!-- b:end -->\n';

  test('is replaced between its own markers, and again', () => {
    const once = withSection(page, 'a', 'new\n');
    expect(once).toBe(page.replace('\nold\n', '\n\nnew\n\n'));
    expect(withSection(once, 'a', 'new\n')).toBe(once);
  });

  test.each(['c', 'b:begin --><!-- a'])('has to be there: %s', (name) => {
    expect(() => withSection(page, name, '')).toThrow('has no');
  });

  test('has tables', () => {
    expect(markdownTable(['a', 'b'], 'lr', [['x', '1']])).toBe('| a | b |\n| --- | ---: |\n| x | 1 |\n');
  });
});

function even(median: number): Spread {
  return { median, lower: median - 0.01, upper: median + 0.01 };
}

function line(
  scenario: string,
  contender: string,
  value: number,
  ratio: number | null,
): LoadLine & { measured: string } {
  return {
    scenario,
    contender,
    unit: scenario.endsWith('latency') ? 'ms p99' : 'us/req',
    value: even(value),
    ratio: ratio === null ? null : even(ratio),
    verdict: contender === 'headgate' ? { below: 0.9, isMet: ratio !== null && ratio < 0.88 } : null,
    perSecond: 12_345,
    megabytesPerSecond: 1,
    p50Ms: 0.5,
    p99Ms: 1.5,
    errors: 0,
    measured,
  };
}

const record: PerformanceRecord = {
  load: [
    line('plain', 'haproxy-openshift', 50, null),
    line('plain', 'nginx', 25, 0.5),
    line('plain', 'headgate', 40, 0.8),
    line('edge-latency', 'haproxy-openshift', 1.5, null),
    line('edge-latency', 'headgate', 3, 2),
  ],
  own: [],
  figures: [],
};

describe('what was measured', () => {
  test('is a row for each scenario, with targets', () => {
    const section = performanceSection(record);
    expect(section).toContain(`Measured on ${measured}.`);
    expect(section).toContain(
      '| `plain` | us/req | 50.0 | 40.0 | 0.80 | 0.79..0.81 | < 0.9 | met |  | 25.0 (0.50) | 12,345 | 12,345 |',
    );
    expect(section).toContain(
      '| `edge-latency` | headgate | 12,345 | 0.50 | 1.50 | 2.00 | 1.99..2.01 | < 0.9 | **missed** |',
    );
  });

  test('tells apart what was measured at different times', () => {
    const other = { ...line('edge', 'headgate', 1, 1), measured: 'another day' };
    const section = performanceSection({ ...record, load: [...record.load, other] });
    expect(section).toContain(
      `- Measured on ${measured}: \`plain\`, \`edge-latency\`\n- Measured on another day: \`edge\``,
    );
  });

  test('is replaced scenario by scenario', () => {
    const newer = {
      load: [line('edge-latency', 'headgate', 9, 3), line('edge', 'headgate', 1, 1)],
      own: [],
      figures: [],
    };
    const merged = mergeRecords(record, newer, ['edge', 'edge-latency']);
    // The scenario plain is no more; of edge-latency only what is newer is left.
    expect(merged.load).toEqual([newer.load[1], newer.load[0]]);
    expect(mergeRecords(record, { load: [], own: [], figures: [] }, ['plain', 'edge-latency'])).toEqual(record);
  });
});

describe('the chart', () => {
  test('has a bar for what is compared, and dots for the others', () => {
    expect(barsOf(record)).toEqual([
      {
        label: 'plain',
        ratio: even(0.8),
        verdict: { below: 0.9, isMet: true },
        others: [{ name: 'nginx', ratio: 0.5 }],
      },
      { label: 'edge-latency', ratio: even(2), verdict: { below: 0.9, isMet: false }, others: [] },
    ]);
  });

  test.each([
    { ratio: 0.5, width: 130 },
    { ratio: 1, width: 260 },
    { ratio: 7, width: 520 },
  ])('a bar of $ratio is $width wide', ({ ratio, width }) => {
    const bar: Bar = { label: 'plain', ratio: even(ratio), verdict: { below: 0.9, isMet: false }, others: [] };
    const svg = chart([bar]);
    expect(svg).toContain(`<rect class="missed" x="170" y="69" width="${width}" height="12"/>`);
    expect(svg).toContain('<line class="target" x1="404"');
    expect(svg).toContain(`>${ratio.toFixed(2)}</text>`);
    expect(svg).toContain('prefers-color-scheme: dark');
  });
});
