import { describe, expect, test } from 'vitest';
import { histogramBounds, MergedMetrics, Metrics, metricDefinitions } from '../../src/telemetry/metrics.ts';

describe('Metrics', () => {
  test('the same labels are the same series', () => {
    const metrics = new Metrics();
    metrics.series('headgate_answers_total', 'no-route', '503').value++;
    metrics.series('headgate_answers_total', 'no-route', '503').value++;
    metrics.series('headgate_answers_total', 'no-endpoint', '503').value++;
    expect(metrics.snapshot()).toEqual([
      { name: 'headgate_answers_total', labels: ['no-route', '503'], values: [2] },
      { name: 'headgate_answers_total', labels: ['no-endpoint', '503'], values: [1] },
    ]);
  });

  test('a histogram counts each observation in one bucket, bounds included, and sums', () => {
    const metrics = new Metrics();
    const histogram = metrics.histogram('headgate_propagation_seconds');
    for (const seconds of [0, 0.0005, 0.0006, 30, 31]) histogram.observe(seconds);
    const values = metrics.snapshot()[0]?.values ?? [];
    expect(values).toHaveLength(histogramBounds.length + 2);
    expect(values[0]).toBe(2);
    expect(values[1]).toBe(1);
    expect(values[histogramBounds.length - 1]).toBe(1);
    expect(values[histogramBounds.length]).toBe(1);
    expect(values.at(-1)).toBeCloseTo(61.0011);
  });

  test('what is observed is asked for at each snapshot', () => {
    const metrics = new Metrics();
    let level = 1;
    metrics.observe('headgate_connections', () => level, 'http');
    level = 7;
    expect(metrics.snapshot()[0]?.values).toEqual([7]);
  });
});

describe('MergedMetrics', () => {
  test('sums processes; of the dead the counters stay and the levels go', () => {
    const process = (requests: number, connections: number) => {
      const metrics = new Metrics();
      metrics.series('headgate_requests_total', 'http', '2xx').value = requests;
      metrics.series('headgate_connections', 'http').value = connections;
      metrics.histogram('headgate_request_duration_seconds', 'http').observe(0.002);
      return metrics.snapshot();
    };
    const merged = new MergedMetrics();
    merged.add(process(3, 10));
    merged.add(process(4, 20));
    merged.addRetired(process(100, 1000));
    const values = new Map(merged.snapshot().map((series) => [series.name, series.values]));
    expect(values.get('headgate_requests_total')).toEqual([107]);
    expect(values.get('headgate_connections')).toEqual([30]);
    expect(values.get('headgate_request_duration_seconds')?.[2]).toBe(3);
  });
});

test('names are in base units, counters end in _total, and every metric says what it is', () => {
  for (const [name, { kind, help }] of Object.entries(metricDefinitions)) {
    expect(name).toMatch(/^headgate_[a-z0-9_]+$/);
    expect(name.endsWith('_total')).toBe(kind === 'counter');
    expect(name).not.toMatch(/_(ms|milliseconds|kb|percent)\b/);
    expect(help).toMatch(/^[A-Z0-9].*\.$/);
  }
});
