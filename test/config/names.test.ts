// Every name by which a deployment speaks to the OpenShift router is known here: it has its effect, or stands in the list of
// those that have none. New names fail until somebody has decided, and so does a decision that has been overtaken.

import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { settingList } from '../../src/config/schema.ts';
import { unusedAnnotations, unusedEnvironment, unusedNamesIn } from '../../src/config/without-effect.ts';
import { optionAnnotations } from '../../src/controller/route-options.ts';
import { inDataPlaneOrLife, openshiftAnnotations, openshiftEnvironment } from './openshift-names.ts';

/** Names of settings that are neither the OpenShift router's nor ours. */
const others: readonly string[] = ['KUBECONFIG'];

const root = resolve(import.meta.dirname, '../..');
const compatibility = readFileSync(join(root, 'docs/compatibility.md'), 'utf8');
const environment = settingList.flatMap(({ environment: name, standIns = [] }) => [name, ...standIns]);
const own = environment.filter((name) => name.startsWith('HEADGATE_'));
const unused = unusedEnvironment.map(({ name }) => name);
const ignored = unusedAnnotations.map(({ name }) => name);

test("environment names are the OpenShift router's, each with its effect or without it", () => {
  const theirs = Object.values(openshiftEnvironment).flat();
  const known = environment.filter((name) => !own.includes(name) && !others.includes(name));
  expect([...known, ...unused].sort()).toEqual([...theirs].sort());
});

test('so are annotations', () => {
  const read = Object.values<string>(optionAnnotations).filter((name) => !name.startsWith('headgate.io/'));
  const elsewhere = openshiftAnnotations.filter((name) => !read.includes(name) && isInSource(name));
  expect([...read, ...elsewhere, ...ignored].sort()).toEqual([...openshiftAnnotations].sort());
});

test('annotations that are read are on the page about compatibility, and no others', () => {
  const [, section = ''] = compatibility.split('\n## Annotations of Routes\n');
  const rows = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| `'));
  const told = rows.flatMap((row) =>
    [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
  const ours = ['headgate.io/client-ca-secret', 'headgate.io/client-auth'].filter(isInSource);
  const theirs = openshiftAnnotations.filter((name) => !ignored.includes(name));
  expect(told.sort()).toEqual([...new Set([...Object.values(optionAnnotations), ...ours, ...theirs])].sort());
});

/** Whether a name stands in the source as a text of its own. */
function isInSource(name: string): boolean {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== 'config/without-effect.ts')
    .some((file) => readFileSync(join(root, 'src', file), 'utf8').includes(`'${name}'`));
}

describe('what concerns traffic or the life of the process and has no effect', () => {
  const concerned = [...openshiftEnvironment['4.4'], ...inDataPlaneOrLife, ...openshiftAnnotations];
  const exceptions = [...unused, ...ignored].filter((name) => concerned.includes(name));
  // A name in lower case is the same one.
  const counted = exceptions.filter((name) => name.includes('/') || name === name.toUpperCase());

  test('are ten names at most', () => {
    expect(counted.length).toBeLessThanOrEqual(10);
  });

  test.each(counted)('%s is told of on the page about compatibility', (name) => {
    expect(compatibility.includes(`\`${name}\``)).toBe(true);
  });
});

test('what sections 5 and 6 speak of is defined in section 4', () => {
  const defined = Object.values(openshiftEnvironment).flat();
  expect(inDataPlaneOrLife.filter((name) => !defined.includes(name))).toEqual([]);
});

test('every reason is a sentence', () => {
  for (const { because } of [...unusedEnvironment, ...unusedAnnotations]) expect(because).toMatch(/^[A-Z`].*\.$/);
});

test('of names without effect those are told that are set', () => {
  const env = { RELOAD_INTERVAL: '5s', TEMPLATE_FILE: '', ROUTER_THREADS: '2', UPGRADE_VALIDATION: 'false' };
  expect(unusedNamesIn(env)).toEqual(['RELOAD_INTERVAL', 'UPGRADE_VALIDATION']);
});
