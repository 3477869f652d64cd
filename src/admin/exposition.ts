// Metrics as Prometheus reads them (text format 0.0.4). Our own few lines rather than prom-client: the sums come from other
// processes, and its counters cannot be set.

import {
  histogramBounds,
  type MetricKind,
  type MetricName,
  metricDefinitions,
  type SeriesSnapshot,
} from '../telemetry/metrics.ts';

/** The text of these series, grouped by metric in the order of the definitions. */
export function exposition(series: readonly SeriesSnapshot[]): string {
  const byName = new Map<MetricName, SeriesSnapshot[]>();
  for (const each of series) {
    const same = byName.get(each.name);
    if (same === undefined) byName.set(each.name, [each]);
    else same.push(each);
  }
  let text = '';
  for (const name of Object.keys(metricDefinitions) as MetricName[]) {
    const all = byName.get(name);
    if (all === undefined) continue;
    const { kind, help } = metricDefinitions[name];
    text += headText(name, help, kind);
    for (const each of all)
      text += kind === 'histogram' ? histogramLines(each) : `${name}${labelText(each)} ${number(each.values[0])}\n`;
  }
  return text;
}

function histogramLines(series: SeriesSnapshot): string {
  let text = '';
  let count = 0;
  for (let i = 0; i <= histogramBounds.length; i++) {
    count += series.values[i] ?? 0;
    const bound = i < histogramBounds.length ? String(histogramBounds[i]) : '+Inf';
    text += `${series.name}_bucket${labelText(series, `le="${bound}"`)} ${count}\n`;
  }
  const sum = series.values[histogramBounds.length + 1];
  return `${text}${series.name}_sum${labelText(series)} ${number(sum)}\n${series.name}_count${labelText(series)} ${count}\n`;
}

function labelText(series: SeriesSnapshot, extra = ''): string {
  const { labels } = metricDefinitions[series.name];
  const pairs = labels.map((label, i) => `${label}="${escaped(series.labels[i] ?? '')}"`);
  if (extra !== '') pairs.push(extra);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** What stands before the first series of a metric. */
export function headText(name: string, help: string, kind: MetricKind | 'summary'): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
}

/** A label's value as it stands between quotes. */
export function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function number(value: number | undefined): string {
  return String(value ?? 0);
}
