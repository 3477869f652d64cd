import { expect, test } from 'vitest';
import { exposition } from '../../src/admin/exposition.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

test('series of one metric stand together under one HELP and TYPE, label values are escaped', () => {
  const metrics = new Metrics();
  metrics.series('headgate_answers_total', 'no-route', '503').value = 2;
  metrics.series('headgate_connections', 'http').value = 5;
  metrics.series('headgate_answers_total', 'a"b\\c\nd', '400').value = 1;
  expect(exposition(metrics.snapshot())).toBe(
    [
      '# HELP headgate_connections Client connections open now.',
      '# TYPE headgate_connections gauge',
      'headgate_connections{listener="http"} 5',
      '# HELP headgate_answers_total Answers made by the router itself, by reason.',
      '# TYPE headgate_answers_total counter',
      'headgate_answers_total{reason="no-route",status="503"} 2',
      'headgate_answers_total{reason="a\\"b\\\\c\\nd",status="400"} 1',
      '',
    ].join('\n'),
  );
});

test('a histogram is cumulative and ends in +Inf, sum and count', () => {
  const metrics = new Metrics();
  const histogram = metrics.histogram('headgate_propagation_seconds');
  for (const seconds of [0.0004, 0.002, 0.002, 100]) histogram.observe(seconds);
  const lines = exposition(metrics.snapshot()).trim().split('\n');
  expect(lines).toContain('headgate_propagation_seconds_bucket{le="0.0005"} 1');
  expect(lines).toContain('headgate_propagation_seconds_bucket{le="0.0025"} 3');
  expect(lines).toContain('headgate_propagation_seconds_bucket{le="30"} 3');
  expect(lines).toContain('headgate_propagation_seconds_bucket{le="+Inf"} 4');
  expect(lines.at(-2)).toMatch(/^headgate_propagation_seconds_sum 100\.0044/);
  expect(lines.at(-1)).toBe('headgate_propagation_seconds_count 4');
});
