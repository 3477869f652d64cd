// Alerts and dashboard: they ask for metrics that there are, by labels that those have, and each alert has its page.

import { describe, expect, test } from 'vitest';
import { histogramBounds, type MetricDefinition, metricDefinitions } from '../../src/telemetry/metrics.ts';
import { chartFile } from '../support/chart-docs.ts';
import { type KubeObject, noHelm, objects, valuesOf } from '../support/helm.ts';

type Alert = {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
};
type Rules = KubeObject & { readonly spec: { readonly groups: readonly [{ readonly rules: readonly Alert[] }] } };
type Dashboard = {
  readonly templating: { readonly list: readonly { readonly query: string | { readonly query: string } }[] };
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
};

const metrics: Readonly<Record<string, MetricDefinition>> = metricDefinitions;
/** Labels that every target has: the Prometheus Operator puts them there. */
const targetLabels = ['namespace', 'pod', 'job', 'service'];

/** What an expression asks for that there is not. */
function unknown(expression: string): string[] {
  const found: string[] = [];
  for (const [, name = '', matchers = ''] of expression.matchAll(/\b(headgate_\w+)(?:\{([^}]*)\})?/g)) {
    const base = name.replace(/_(bucket|count|sum)$/, '');
    const definition = metrics[base] ?? metrics[name];
    if (definition === undefined) {
      found.push(name);
      continue;
    }
    if ((definition.kind === 'histogram') !== (base !== name)) found.push(`${name} of a ${definition.kind}`);
    const labels = [...definition.labels, ...targetLabels, ...(name.endsWith('_bucket') ? ['le'] : [])];
    for (const [, label = ''] of matchers.matchAll(/(\w+)=/g))
      if (!labels.includes(label)) found.push(`${name}{${label}}`);
  }
  return found;
}

test('what is not there is found', () => {
  expect(unknown('rate(headgate_requests_total{code="5xx"}[5m])')).toEqual([]);
  expect(unknown('headgate_nothing + headgate_requests_total{colour="red"}')).toEqual([
    'headgate_nothing',
    'headgate_requests_total{colour}',
  ]);
  expect(unknown('headgate_request_duration_seconds')).toEqual(['headgate_request_duration_seconds of a histogram']);
});

describe.skipIf(noHelm)('alerts', () => {
  const on = ['--set=metrics.prometheusRule.enabled=true', '--set=metrics.prometheusRule.latency.enabled=true'];
  const alertsOf = async (...args: string[]): Promise<readonly Alert[]> => {
    const found = (await objects(...on, ...args)).filter(({ kind }) => kind === 'PrometheusRule') as Rules[];
    return found.flatMap(({ spec }) => spec.groups.flatMap(({ rules }) => rules));
  };

  test('ask for what there is', async () => {
    const alerts = await alertsOf();
    expect(alerts.length).toBeGreaterThan(12);
    for (const { alert, expr } of alerts) {
      expect({ [alert]: unknown(expr) }).toEqual({ [alert]: [] });
      // The namespace of a certificate is its Route's.
      const own = alert === 'HeadgateCertificateExpires' ? '{job="headgate"}' : '{namespace="edge",job="headgate"';
      expect(expr).toContain(own);
    }
  });

  test('name the Route of a certificate whichever label has its namespace', async () => {
    for (const [honorLabels, label] of [
      [true, 'namespace'],
      [false, 'exported_namespace'],
    ] as const) {
      const alerts = await alertsOf(`--set=metrics.serviceMonitor.honorLabels=${honorLabels}`);
      const told = alerts.find(({ alert }) => alert === 'HeadgateCertificateExpires');
      expect(told?.expr).toBe(
        `min by (${label}, route) (headgate_certificate_expiry_timestamp_seconds{job="headgate"}) - time() < 86400 * 7`,
      );
      expect(told?.annotations['description']).toContain(`Route {{ $labels.${label} }}/{{ $labels.route }} `);
    }
  });

  test('say what is wrong, how bad it is and where to read on', async () => {
    const headings = [...chartFile('README.md').matchAll(/^### (Headgate\w+)$/gm)].map(([, name]) => name);
    const alerts = await alertsOf();
    expect(headings.sort()).toEqual(alerts.map(({ alert }) => alert).sort());
    for (const { alert, labels, annotations } of alerts) {
      expect(['critical', 'warning', 'info']).toContain(labels['severity']);
      expect(annotations).toEqual({
        summary: expect.stringMatching(/^[A-Z].*\.$/),
        description: expect.stringMatching(/^[A-Z{].*\.$/),
        runbook_url: expect.stringMatching(new RegExp(`/charts/headgate/README\\.md#${alert.toLowerCase()}$`)),
      });
      // A label that the expression has summed away would be empty.
      for (const [, label = ''] of Object.values(annotations)
        .join()
        .matchAll(/\$labels\.(\w+)/g)) {
        const { expr } = alerts.find((other) => other.alert === alert) ?? { expr: '' };
        const kept = [...expr.matchAll(/(?:sum|max|min) by \(([^)]*)\)/g)].map(([, names = '']) => names.split(', '));
        for (const names of kept.slice(0, 1)) expect(names, `${alert}: ${label}`).toContain(label);
      }
    }
  });

  test('count pods that checks have found down among those that fail', async () => {
    const told = (await alertsOf()).find(({ alert }) => alert === 'HeadgateUpstreamsFail');
    const [, reasons = ''] = /reason=~"([^"]*)"/.exec(told?.expr ?? '') ?? [];
    // A Route with several pods comes from the first of these to the second after three checks.
    expect(reasons.split('|')).toEqual(expect.arrayContaining(['connect-failed', 'endpoints-down']));
  });

  test('miss each shard, and each pod that is one', async () => {
    const missed = async (...args: string[]): Promise<string[]> =>
      (await alertsOf(...args)).filter(({ alert }) => alert === 'HeadgateDown').map(({ expr }) => expr);
    expect(await missed('--set=shards[0].name=a,shards[1].name=b')).toEqual([
      'absent(headgate_workers{namespace="edge",job="headgate",pod=~"headgate-a-[a-z0-9]+(-[a-z0-9]{5})?",state="running"})',
      'absent(headgate_workers{namespace="edge",job="headgate",pod=~"headgate-b-[a-z0-9]+(-[a-z0-9]{5})?",state="running"})',
    ]);
    // Pods of a shard whose name goes on must not stand in for those of the shorter one.
    const [, matcher = ''] =
      /pod=~"([^"]*)"/.exec((await missed('--set=shards[0].name=a,shards[1].name=a-b'))[0] ?? '') ?? [];
    const pods = ['headgate-a-59d5b8b6bd-x7k2p', 'headgate-a-x7k2p', 'headgate-a-0', 'headgate-a-b-59d5b8b6bd-x7k2p'];
    expect(pods.map((pod) => new RegExp(`^(?:${matcher})$`).test(pod))).toEqual([true, true, true, false]);
    expect(await missed('--set=kind=StatefulSet,shard.hash.count=2')).toEqual([
      'absent(headgate_workers{namespace="edge",job="headgate",pod="headgate-0",state="running"})',
      'absent(headgate_workers{namespace="edge",job="headgate",pod="headgate-1",state="running"})',
    ]);
  });

  test('can be left out, labelled and added to', async () => {
    const alerts = await alertsOf(...valuesOf('monitoring'));
    expect(alerts.map(({ alert }) => alert)).not.toContain('HeadgateRoutesRejected');
    for (const { alert, labels } of alerts) if (alert !== undefined) expect(labels['team']).toBe('edge');
    expect(alerts.at(-1)).toMatchObject({ record: 'headgate:requests:rate5m' });
  });

  test('of latency go by bounds that the histogram has', () => {
    const text = chartFile('values.schema.json');
    const { properties } = JSON.parse(text).properties.metrics.properties.prometheusRule.properties.latency;
    // As numbers and as texts, which `--set` makes of fractions.
    expect(properties.thresholdSeconds.enum).toEqual([...histogramBounds, ...histogramBounds.map(String)]);
  });
});

describe('the dashboard', () => {
  const dashboard = JSON.parse(chartFile('files/dashboard.json')) as Dashboard;

  test('asks for what there is', () => {
    for (const { title, targets = [] } of dashboard.panels) {
      for (const { expr } of targets) expect({ [title]: unknown(expr) }).toEqual({ [title]: [] });
    }
    for (const { query } of dashboard.templating.list) {
      if (typeof query !== 'string') expect(unknown(query.query)).toEqual([]);
    }
  });

  test.skipIf(noHelm)('is installed as it is', async () => {
    const all = await objects('--set=metrics.dashboards.enabled=true');
    const maps = all.filter(({ kind }) => kind === 'ConfigMap') as (KubeObject & { data: Record<string, string> })[];
    expect(maps.map(({ metadata }) => metadata.labels)).toEqual([expect.objectContaining({ grafana_dashboard: '1' })]);
    expect(JSON.parse(maps[0]?.data['headgate.json'] ?? '')).toEqual(dashboard);
  });
});
