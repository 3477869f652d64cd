// What the chart renders to, for each file of values in charts/headgate/ci: a new variant is one such file, and
// `vitest run --update` writes what it comes to. Reviewed as the difference of test/golden/charts.

import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { chart, helm, noHelm, template, valuesOf, variants } from '../support/helm.ts';

const golden = resolve(import.meta.dirname, '../golden/charts');

describe.skipIf(noHelm)('helm', () => {
  test.each(variants)('renders %s', async (variant) => {
    const text = await template(...valuesOf(variant));
    await expect(text).toMatchFileSnapshot(resolve(golden, `${variant}.yaml`));
  });

  test.each(variants)('tells of %s what to do next', async (variant) => {
    const { output } = await helm([
      'install',
      'headgate',
      chart,
      '--dry-run=client',
      '--namespace=edge',
      ...valuesOf(variant),
    ]);
    // What stands before has the time in it.
    const [, notes = ''] = output.split('\nNOTES:\n');
    expect(notes).toContain('Headgate 0.1.0 is installed');
    await expect(notes).toMatchFileSnapshot(resolve(golden, `${variant}.notes.txt`));
  });

  test('tells of a first Route in lines that a shell takes', async () => {
    const args = ['install', 'headgate', chart, '--dry-run=client', '--set=shard.namespace=shop'];
    const { output } = await helm(args);
    const [, lines = ''] = output.split('A first Route, for a Service `shop`\n');
    const pasted = lines.slice(0, lines.indexOf('\n\n'));
    const script = `kubectl() { echo "# $*"; if [ "$3" = apply ]; then cat; fi; }\n${pasted}\n`;
    const said = execFileSync('sh', { input: script, encoding: 'utf8' });
    expect(said).toMatch(/^# -n shop apply -f -\n.*\n# -n shop get route shop /s);
    expect(load(said)).toMatchObject({ kind: 'Route', metadata: { name: 'shop' }, spec: { host: 'shop.example.com' } });
  });

  test.each(variants)('finds nothing against %s', async (variant) => {
    expect(await helm(['lint', '--strict', chart, ...valuesOf(variant)])).toEqual({
      ok: true,
      output: expect.not.stringMatching(/\[(ERROR|WARNING|INFO)\]/),
    });
  });

  test('renders the same twice', async () => {
    const [one, other] = await Promise.all([template(...valuesOf('shards')), template(...valuesOf('shards'))]);
    expect(one).toBe(other);
  });

  test('leaves no golden file over', () => {
    const files = variants.flatMap((variant) => [`${variant}.yaml`, `${variant}.notes.txt`]);
    expect(readdirSync(golden).sort()).toEqual(files.sort());
  });
});
