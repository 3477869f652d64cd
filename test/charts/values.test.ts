// The values of the chart: each is documented, those that are misspelt or contradict each other are refused, and what is drawn
// from elsewhere is as it is there.

import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import packageFile from '../../package.json' with { type: 'json' };
import { chartFile, chartPages, documentedValues } from '../support/chart-docs.ts';
import { noHelm, template, templateResult } from '../support/helm.ts';

type Schema = {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
};

const schema = JSON.parse(chartFile('values.schema.json')) as Schema;

test.each(Object.entries(chartPages()))('%s is as written', (name, text) => {
  expect(chartFile(name) === text, `charts/headgate/${name} is stale: node test/support/write-chart-docs.ts`).toBe(
    true,
  );
});

test('the chart is of the version of the code', () => {
  const chart = load(chartFile('Chart.yaml')) as { appVersion: string; annotations: Record<string, string> };
  expect(chart.appVersion).toBe(packageFile.version);
  expect(chart.annotations['artifacthub.io/images']).toContain(`:${packageFile.version}\n`);
});

test('every value is documented, in a sentence', () => {
  const all = documentedValues();
  const parents = new Set(all.map(({ path }) => path.slice(0, -1).join('.')));
  for (const { path, about } of all) {
    const key = path.join('.');
    if (!parents.has(key)) expect(about, key).toMatch(/^[A-Z`].*\.$/);
  }
});

test('the schema stands alone', () => {
  const references = chartFile('values.schema.json').match(/"\$ref": "[^"]*"/g) ?? [];
  expect(references.length).toBeGreaterThan(0);
  for (const reference of references) expect(reference).toMatch(/^"\$ref": "#\//);
});

test('the schema knows the documented values, and no others', () => {
  const paths = documentedValues().map(({ path }) => path.join('.'));
  const known: string[] = [];
  const walk = (part: Schema, path: readonly string[]): void => {
    if (path.length > 0) known.push(path.join('.'));
    if (part.properties === undefined) return;
    expect(part.additionalProperties, path.join('.')).toBe(false);
    // The value itself is free below: hooks, and kinds of behaviour and affinity, which are Kubernetes' own.
    if (path.length > 0 && !paths.some((other) => other.startsWith(`${path.join('.')}.`))) return;
    for (const [key, value] of Object.entries(part.properties)) walk(value, [...path, key]);
  };
  walk(schema, []);
  expect(known.sort()).toEqual(paths.sort());
});

describe.skipIf(noHelm)('is refused by the schema:', () => {
  test.each([
    ['a misspelt key', ['--set=replicas=3'], "additional properties 'replicas' not allowed"],
    ['a misspelt key below', ['--set=service.tpye=NodePort'], "additional properties 'tpye' not allowed"],
    ['a misspelt key of a shard', ['--set=shards[0].name=a,shards[0].labels=b'], "additional properties 'labels' not"],
    ['a shard without a name', ['--set=shards[0].domain=example.com'], "missing property 'name'"],
    ['a shard with a name that is none', ['--set=shards[0].name=A_b'], "'/shards/0/name'"],
    ['a kind that is none', ['--set=kind=ReplicaSet'], "'/kind'"],
    ['a text for a number', ['--set-string=replicaCount=two'], "'/replicaCount'"],
    ['a port out of range', ['--set=ports.http=70000'], "'/ports/http'"],
    [
      'a misspelt setting',
      ['--set=settings.ROUTER_BUFFER_SIZE=1'],
      "'/settings': additional properties 'ROUTER_BUFFER_SIZE'",
    ],
    [
      'a setting that has a value of its own',
      ['--set=settings.ROUTER_THREADS=1'],
      "additional properties 'ROUTER_THREADS'",
    ],
    ['a key in plain sight', ['--set=settings.DEFAULT_CERTIFICATE=x'], "additional properties 'DEFAULT_CERTIFICATE'"],
    ['a setting of a shard', ['--set=shards[0].name=a,shards[0].settings.NOPE=1'], "'/shards/0/settings'"],
    [
      'an operator that is none',
      ['--set-json=shard.routeLabels={"matchExpressions":[{"key":"a","operator":"Has"}]}'],
      "'/shard/routeLabels'",
    ],
    [
      'In without values',
      ['--set-json=shard.routeLabels={"matchExpressions":[{"key":"a","operator":"In"}]}'],
      "missing property 'values'",
    ],
    ['an annotation that is no text', ['--set=podAnnotations.a=true'], "'/podAnnotations/a'"],
    ['a share above 1', ['--set=log.accessSample=2'], "'/log/accessSample'"],
    ['a fraction above 1', ['--set=log.accessSample=1.5'], "'/log/accessSample'"],
    ['a negative fraction', ['--set=log.accessSample=-0.5'], "'/log/accessSample'"],
    ['a share that is no number', ['--set=log.accessSample=some'], "'/log/accessSample'"],
    ['a share of a shard', ['--set=shards[0].name=a,shards[0].log.accessSample=1.5'], "'/shards/0/log/accessSample'"],
    [
      'a threshold that is no number',
      ['--set=metrics.prometheusRule.thresholds.propagationSeconds=5s'],
      "thresholds/propagationSeconds'",
    ],
    ['an objective of nothing', ['--set=metrics.prometheusRule.latency.objective=0.0'], "latency/objective'"],
    ['a negative quantity', ['--set-json=resources.requests.cpu=-0.5'], "'/resources/requests/cpu'"],
    ['a name that Kubernetes refuses', ['--set=fullnameOverride=My_Name'], "'/fullnameOverride'"],
    ['a name with a blank', ['--set=nameOverride=my name'], "'/nameOverride'"],
    ['a digest that is none', ['--set=image.digest=latest'], "'/image/digest'"],
    [
      'a bound that the histogram lacks',
      ['--set=metrics.prometheusRule.latency.thresholdSeconds=0.3'],
      'thresholdSeconds',
    ],
    ['no margin', ['--set=shutdown.marginSeconds=0'], "'/shutdown/marginSeconds'"],
  ])('%s', async (_, args, message) => {
    expect(await templateResult(...args)).toEqual({ ok: false, output: expect.stringContaining(message) });
  });
});

/** `--set` hands fractions on as text. */
describe.skipIf(noHelm)('a fraction is taken as number and as text:', () => {
  const alerts = 'metrics.prometheusRule.enabled=true,metrics.prometheusRule';

  test.each([
    ['0.01', 'log.accessSample=0.01', 'name: HEADGATE_ACCESS_LOG_SAMPLE\n              value: "0.01"'],
    // The router takes no exponent.
    ['0.00005', 'log.accessSample=0.00005', 'name: HEADGATE_ACCESS_LOG_SAMPLE\n              value: "0.00005"'],
    ['0.125', `${alerts}.thresholds.errorRatio=0.125`, '> 0.125"'],
    ['1.5', `${alerts}.thresholds.eventLoopDelaySeconds=1.5`, '> 1.5"'],
    ['0.999', `${alerts}.latency.enabled=true,metrics.prometheusRule.latency.objective=0.999`, '14.4 * (1 - 0.999)'],
    ['0.25', `${alerts}.latency.enabled=true,metrics.prometheusRule.latency.thresholdSeconds=0.25`, 'le=\\"0.25\\"'],
  ])('%s in %s', async (number, values, rendered) => {
    expect(await template(`--set=${values}`)).toContain(rendered);
    const key = values.slice(values.lastIndexOf(',') + 1).split('=')[0];
    expect(await template(`--set=${values}`, `--set-json=${key}=${number}`)).toContain(rendered);
  });

  test('a quantity', async () => {
    expect(await template('--set=resources.requests.cpu=0.5')).toContain('cpu: "0.5"');
    expect(await template('--set-json=resources.requests.cpu=0.5')).toContain('cpu: 0.5');
  });
});

describe.skipIf(noHelm)('is refused as it does not go together:', () => {
  test.each([
    [
      'too short a grace period',
      ['--set=terminationGracePeriodSeconds=60'],
      '60 is less than the 90 seconds that stopping takes',
    ],
    [
      'a preStop sleep twice',
      ['--set=shutdown.preStopSleepSeconds=5,lifecycle.preStop.sleep.seconds=5'],
      'lifecycle and shutdown.preStopSleepSeconds',
    ],
    [
      'a preStop sleep on an old cluster',
      ['--set=shutdown.preStopSleepSeconds=5', '--kube-version=1.29.4'],
      'needs Kubernetes 1.30',
    ],
    ['one port twice', ['--set=ports.http=8443'], 'ports: each port must be another'],
    ['low ports of the node', ['--set=ports.http=80,hostNetwork=true'], 'must be 1024 or above'],
    ['host ports and the host network', ['--set=hostPort.enabled=true,hostNetwork=true'], 'hostPort and hostNetwork'],
    [
      'a label that is selected by',
      ['--set-json=podLabels={"app.kubernetes.io/component":"a"}'],
      'pods are selected by app.kubernetes.io/component',
    ],
    ['two monitors', ['--set=metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true'], 'counted twice'],
    [
      'a monitor of nothing',
      ['--set=metrics.serviceMonitor.enabled=true,metrics.enabled=false'],
      'needs metrics.enabled',
    ],
    [
      'a PodMonitor without a token',
      ['--set=metrics.podMonitor.enabled=true'],
      'needs a token in metrics.serviceMonitor.authorization',
    ],
    [
      'questions that no Role allows',
      ['--set=metrics.auth=openshift,rbac.scope=namespace'],
      'metrics.auth: openshift needs rights beyond namespaces',
    ],
    [
      'two ways to select namespaces',
      ['--set=shard.namespace=a,shard.namespaceLabels=b'],
      'namespace and namespaceLabels: only one',
    ],
    ['an override without a template', ['--set=shard.overrideHostname=true'], 'need hostnameTemplate'],
    [
      'two shards of one name',
      ['--set=shards[0].name=a,shards[1].name=a'],
      'shard a: another shard has objects of the name headgate-a',
    ],
    [
      'two shards with one identity',
      ['--set=shards[0].name=a,shards[1].name=b,shards[1].routerName=a'],
      'shard b: another shard writes into the status of Routes as a',
    ],
    [
      'an index that is too great',
      ['--set=shard.hash.count=2,shard.hash.index=2'],
      'hash.index: 2 is not below hash.count (2)',
    ],
    [
      'automatic shards of a DaemonSet',
      ['--set=kind=DaemonSet,shard.hash.count=2'],
      'the pods of a DaemonSet have no numbers',
    ],
    [
      'a number of shards that scales',
      ['--set=kind=StatefulSet,shard.hash.count=2,autoscaling.enabled=true'],
      'their number is hash.count',
    ],
    ['a DaemonSet that scales', ['--set=kind=DaemonSet,autoscaling.enabled=true'], 'the nodes decide'],
    [
      'a scale upside down',
      ['--set=autoscaling.enabled=true,autoscaling.minReplicas=11'],
      'minReplicas is above maxReplicas',
    ],
    [
      'a scale that nothing is aimed at',
      ['--set=autoscaling.enabled=true,autoscaling.targetCPUUtilizationPercentage=null'],
      'autoscaling: one of targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage and metrics must be there',
    ],
    [
      'a Service without ports',
      ['--set=service.ports.http=null,service.ports.https=null'],
      'one of http and https must be there',
    ],
    [
      'readers of metrics that everybody may read',
      ['--set=rbac.scope=namespace,metrics.readers[0].namespace=a,metrics.readers[0].name=b'],
      'metrics.readers: the router may not ask who they are',
    ],
    [
      'a node port of two Services',
      ['--set=service.type=NodePort,service.nodePorts.http=30080,shard.hash.count=2'],
      'only one Service can have the node port 30080',
    ],
    [
      'a node port of the Services of all pods',
      ['--set=service.type=NodePort,service.nodePorts.http=30080,shard.hash.count=2,kind=StatefulSet'],
      'only one Service can have the node port 30080',
    ],
    [
      'an address of two Services',
      ['--set=service.clusterIP=10.0.0.9,shards[0].name=a,shards[1].name=b'],
      'shard b: service: only one Service can have the clusterIP 10.0.0.9',
    ],
    [
      'a budget without a number',
      ['--set=podDisruptionBudget.maxUnavailable=null'],
      'one of maxUnavailable and minAvailable',
    ],
    [
      'a variable twice',
      ['--set-string=extraEnvs[0].name=ROUTER_THREADS,extraEnvs[0].value=1'],
      'extraEnvs: ROUTER_THREADS is set by the chart',
    ],
  ])('%s', async (_, args, message) => {
    expect(await templateResult(...args)).toEqual({ ok: false, output: expect.stringContaining(message) });
  });

  test('all at once', async () => {
    const { output } = await templateResult('--set=ports.http=8443,terminationGracePeriodSeconds=1');
    expect(output).toContain('ports: each port must be another');
    expect(output).toContain('terminationGracePeriodSeconds: 1 is less');
  });
});
