// docs/operations.md and docs/upgrade.md: what they name in their tables is there, and no reason is missing from them.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { loadAll } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { settingList } from '../../src/config/schema.ts';
import { type MetricDefinition, metricDefinitions } from '../../src/telemetry/metrics.ts';
import { documentedValues } from '../support/chart-docs.ts';
import { type PodSpec, restrictedFaults } from '../support/pod-security.ts';

const root = resolve(import.meta.dirname, '../..');
const pages = ['docs/operations.md', 'docs/upgrade.md'] as const;
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const operations = read('docs/operations.md');
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => read(`src/${file}`))
  .join('\n');

/** Rows of the tables in a text, heads left out, as their cells. */
function rowsOf(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  const rules = new Set(lines.flatMap((line, i) => (/^[|-]+$/.test(line) ? [i - 1, i] : [])));
  return lines.filter((_, i) => !rules.has(i)).map((line) => line.slice(1, -1).split(' | '));
}

/** What stands in backticks. */
function named(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
}

/** A heading with all below it, up to the next of its kind. */
function section(heading: string): string {
  const [, text = ''] = operations.split(`\n### ${heading}\n`);
  return text.split(/\n##/)[0] ?? '';
}

const firstCells = (heading: string): string[] => rowsOf(section(heading)).flatMap(([first = '']) => named(first));

/** The words of a union type or the keys of a table, as the source has them. */
function wordsOf(file: string, from: string, to: string): string[] {
  const [, text = ''] = read(file).split(from);
  return [...(text.split(to)[0] ?? '').matchAll(/'([\w-]+)'/g)].map(([, word = '']) => word);
}

const rejections = wordsOf('src/controller/verdict.ts', 'export type RejectionReason =', ';');
const answers = [
  ...wordsOf('src/proxy/answers.ts', 'export type AnswerReason =', ';'),
  ...wordsOf('src/protocol/refusals.ts', 'const statusOfRefusal = {', '}'),
];
const sorted = (words: readonly string[]): string[] => [...new Set(words)].sort();

test('every reason of the code is explained, and no other', () => {
  expect(rejections.length).toBeGreaterThan(5);
  expect(answers.length).toBeGreaterThan(30);
  expect(sorted(firstCells('Status reasons'))).toEqual(sorted(rejections));
  expect(sorted(firstCells("The router's own answers"))).toEqual(sorted(answers));
});

test('answers are explained with their status', () => {
  const statuses = new Map(
    [...read('src/protocol/refusals.ts').matchAll(/'([\w-]+)': (\d{3}),/g)].map(([, reason = '', status = '']) => [
      reason,
      status,
    ]),
  );
  // A pod's fault, told as a detail only.
  statuses.delete('bad-status-line');
  for (const [reason = '', status = ''] of rowsOf(section("The router's own answers"))) {
    const known = statuses.get(named(reason)[0] ?? '');
    if (known !== undefined) expect(status, reason).toBe(known);
  }
});

test('every message is one that is logged', () => {
  const messages = firstCells('Log messages');
  expect(messages.length).toBeGreaterThan(20);
  expect(messages.filter((message) => !sources.includes(`'${message}'`))).toEqual([]);
});

test('every message that calls for somebody is explained', () => {
  const calls = sources.matchAll(/[lL]og\.(?:warn|error)\(\s*(?:\{[^}]*\},\s*)?'([^']+)'/g);
  const urgent = [...calls].map(([, message = '']) => message);
  expect(urgent.length).toBeGreaterThan(20);
  expect(urgent.filter((message) => !firstCells('Log messages').includes(message))).toEqual([]);
});

/** What an expression asks for that there is not. */
function unknownMetrics(expression: string): string[] {
  const metrics: Readonly<Record<string, MetricDefinition>> = metricDefinitions;
  const found: string[] = [];
  for (const [, name = '', matchers = ''] of expression.matchAll(/\b(headgate_\w+)(?:\{([^}]*)\})?/g)) {
    const definition = metrics[name.replace(/_(bucket|count|sum)$/, '')] ?? metrics[name];
    if (definition === undefined) found.push(name);
    for (const [, label = ''] of matchers.matchAll(/(\w+)=/g)) {
      if (definition?.labels.includes(label) === false && label !== 'job') found.push(`${name}{${label}}`);
    }
  }
  return found;
}

/** Flags of external-dns and helm. */
const foreignFlags = ['--openshift-router-name', '--txt-owner-id', '--reuse-values', '--reset-then-reuse-values'];
const flags = [...settingList.flatMap(({ flag }) => flag ?? []), ...foreignFlags];
const environment = settingList.map((setting) => setting.environment);
const values = documentedValues().map(({ path }) => path.join('.'));
const valueRoots = new Set(values.filter((path) => path.includes('.')).map((path) => path.split('.')[0]));
const commands = [...read('src/main.ts').matchAll(/case '([\w-]+)':/g)].map(([, command]) => command);

/** What a word in backticks claims to be, and is not. Most words claim nothing. */
function falseClaim(word: string): string[] {
  const claims: string[] = unknownMetrics(word);
  const refuse = (wrong: boolean): void => {
    if (wrong) claims.push(word);
  };
  if (/^headgate [a-z]/.test(word)) refuse(!commands.includes(word.split(' ')[1] ?? ''));
  for (const [flag] of word.matchAll(/(?<![\w-])--[a-z][\w-]*/g)) {
    if (!/^(kubectl|curl) /.test(word)) refuse(!flags.includes(flag));
  }
  const [name = ''] = word.split('=');
  if (/^[A-Z][A-Z0-9]*_[A-Z0-9_]+$/.test(name)) refuse(!environment.includes(name));
  if (/^[a-z]\w*(\.\w+)+$/.test(name) && valueRoots.has(name.split('.')[0])) refuse(!values.includes(name));
  return claims;
}

test('a false claim is found', () => {
  expect(falseClaim('--no-such-flag')).toEqual(['--no-such-flag']);
  expect(falseClaim('ROUTER_NO_SUCH_SETTING=1')).toEqual(['ROUTER_NO_SUCH_SETTING=1']);
  expect(falseClaim('headgate conquer')).toEqual(['headgate conquer']);
  expect(falseClaim('rate(headgate_requests_total{colour="red"}[5m]) + headgate_nothing')).toEqual([
    'headgate_requests_total{colour}',
    'headgate_nothing',
  ]);
  expect(falseClaim('shard.nothing')).toEqual(['shard.nothing']);
});

describe.each(pages)('%s', (page) => {
  const text = read(page);
  const prose = text.replace(/^ *```.*?^ *```$/gms, '');

  test('names nothing in backticks that is not there', () => {
    expect(named(prose).flatMap(falseClaim)).toEqual([]);
  });

  test('asks in its examples for metrics that are there', () => {
    expect(unknownMetrics(text)).toEqual([]);
  });

  test('links to what is there', () => {
    const anchorsOf = (target: string): string[] =>
      [...target.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replace(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      );
    for (const [, target = ''] of prose.matchAll(/\]\(([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      expect(existsSync(join(root, file)), target).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(read(file)), target).toContain(anchor);
    }
  });
});

test('the Job that clears the status may run anywhere, with arguments that the command takes', () => {
  type Job = { readonly kind: string; readonly spec: { readonly template: { readonly spec: PodSpec } } };
  const blocks = [...read('docs/upgrade.md').matchAll(/^```yaml\n(.*?)^```$/gms)];
  const job = blocks.flatMap(([, yaml = '']) => loadAll(yaml) as Job[]).find(({ kind }) => kind === 'Job');
  const pod = job?.spec.template.spec;
  expect(pod === undefined ? ['no Job'] : restrictedFaults(pod)).toEqual([]);
  const [command, ...args] = pod?.containers[0]?.args ?? [];
  expect(command).toBe('clear-status');
  expect(loadConfig(args, { KUBERNETES_SERVICE_HOST: '10.0.0.1' }).kind).toBe('config');
});
