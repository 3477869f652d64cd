// What of the Helm chart is drawn from elsewhere: the table of values in its README from values.yaml, the settings that its
// schema lets pass from the table of settings, and the Route type from manifests/. Used by the script that writes them and by
// the test that compares them.
import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { settingList } from '../../src/config/schema.ts';

const folder = new URL('../../charts/headgate/', import.meta.url);

/** The files that are written wholly or in part, by their names in the chart. */
export type ChartPages = Readonly<Record<'README.md' | 'values.schema.json' | 'files/crd.yaml', string>>;

/** One key of values.yaml: where it is, what is said of it, and what it is by default. */
export type DocumentedValue = {
  readonly path: readonly string[];
  /** The text behind `# --`, lines joined; undefined where nothing is said. */
  readonly about: string | undefined;
  readonly value: unknown;
};

/**
 * Settings that the chart's `settings` refuses although the chart does not set them: they have no place in a pod's manifest, or
 * are none of its business.
 */
const refusedSettings: readonly string[] = [
  'DEFAULT_CERTIFICATE', // A private key. It belongs into a Secret.
  'DEFAULT_CERTIFICATE_PATH', // Mounted Secrets are folders.
  'HEADGATE_MANIFESTS', // Only with another source of objects.
  'HEADGATE_ALLOW_LOOPBACK_ENDPOINTS', // It would let a Route reach into the router's own pod.
];

/** Text of a file of the chart. */
export function chartFile(name: string): string {
  return readFileSync(new URL(name, folder), 'utf8');
}

/** The files as they should be. */
export function chartPages(): ChartPages {
  return {
    'README.md': chartFile('README.md').replace(
      /(<!-- values: .*? -->\n).*(<!-- \/values -->)/s,
      (_, begin: string, end: string) => `${begin}\n${valuesTable()}\n${end}`,
    ),
    'values.schema.json': schemaText(),
    'files/crd.yaml': readFileSync(new URL('../../manifests/crd.yaml', folder), 'utf8'),
  };
}

/** Every key of values.yaml down to those whose values are free: a key is, if nothing is said of the keys in it. */
export function documentedValues(): DocumentedValue[] {
  const text = chartFile('values.yaml');
  const said = comments(text);
  const all: DocumentedValue[] = [];
  const walk = (value: unknown, path: readonly string[]): void => {
    if (path.length > 0) all.push({ path, about: said.get(path.join('.')), value });
    if (!isMap(value)) return;
    const keys = Object.keys(value).map((key) => [...path, key]);
    const isFree = path.length > 0 && ![...said.keys()].some((key) => key.startsWith(`${path.join('.')}.`));
    if (!isFree) for (const each of keys) walk(value[each.at(-1) ?? ''], each);
  };
  walk(load(text), []);
  return all;
}

/** Environment names that the chart's `settings` may have. */
export function allowedSettings(): string[] {
  const own = [...chartFile('templates/_pod.tpl').matchAll(/^- name: ([A-Z_]+)$/gm)].map(([, name]) => name);
  return settingList
    .flatMap(({ environment, standIns = [] }) => [environment, ...standIns])
    .filter((name) => !own.includes(name) && !refusedSettings.includes(name))
    .sort();
}

function schemaText(): string {
  const schema = JSON.parse(chartFile('values.schema.json')) as { properties: { settings: { properties: object } } };
  const value = { $ref: '#/definitions/setting' };
  schema.properties.settings.properties = Object.fromEntries(allowedSettings().map((name) => [name, value]));
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function valuesTable(): string {
  const rows = documentedValues()
    .filter(({ about }) => about !== undefined)
    .map(({ path, about, value }) => `| \`${path.join('.')}\` | ${shown(value)} | ${about?.replaceAll('|', '\\|')} |`);
  return ['| Key | Default | Meaning |', '|---|---|---|', ...rows, ''].join('\n');
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? 'see values.yaml' : `\`${text}\``;
}

/** What `# --` says of each key, by its dotted path: such a comment, with the lines that go on with it, stands before the key. */
function comments(text: string): Map<string, string> {
  const said = new Map<string, string>();
  const path: { indent: number; key: string }[] = [];
  let about: string | undefined;
  for (const line of text.split('\n')) {
    const [, comment] = /^ *# (.*)$/.exec(line) ?? [];
    if (comment !== undefined) {
      if (comment.startsWith('-- ')) about = comment.slice(3);
      else if (about !== undefined) about += ` ${comment}`;
      continue;
    }
    const [, blanks = '', key] = /^( *)([A-Za-z0-9]+):/.exec(line) ?? [];
    if (key !== undefined) {
      while ((path.at(-1)?.indent ?? -1) >= blanks.length) path.pop();
      path.push({ indent: blanks.length, key });
      if (about !== undefined) said.set(path.map((each) => each.key).join('.'), about);
    }
    about = undefined;
  }
  return said;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
