import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { configurationPage, helpText } from '../../src/config/describe.ts';
import { settingList } from '../../src/config/schema.ts';

const page = new URL('../../docs/configuration.md', import.meta.url);

test('docs/configuration.md says what the table of settings says', () => {
  expect(readFileSync(page, 'utf8') === configurationPage(), 'docs/configuration.md is stale: npm run docs').toBe(true);
});

describe.each(settingList)('$key', (setting) => {
  test('has a row on the page and a line in the help', () => {
    for (const name of [setting.flag, setting.environment]) {
      if (name === undefined) continue;
      expect(configurationPage()).toContain(`| \`${name}\` |`);
      expect(helpText()).toMatch(new RegExp(`^  .*${name} .*$`, 'm'));
    }
  });

  test('is described in sentences', () => {
    for (const text of [setting.about, setting.reason]) expect(text).toMatch(/^[A-Z`].*\.$/s);
  });
});

test('no line of the help is wider than 120', () => {
  const widest = Math.max(
    ...helpText()
      .split('\n')
      .map((line) => line.length),
  );
  expect(widest).toBeLessThanOrEqual(120);
});

test('flags and environment names are given once', () => {
  const names = settingList.flatMap(({ flag, environment, standIns = [] }) =>
    flag === undefined ? [environment, ...standIns] : [flag, environment, ...standIns],
  );
  expect(new Set(names).size).toBe(names.length);
});

test('only secrets are kept off command lines', () => {
  expect(settingList.filter(({ flag }) => flag === undefined).map(({ key }) => key)).toEqual([
    'statsPassword',
    'defaultCertificatePem',
    'httpProxy',
  ]);
});
