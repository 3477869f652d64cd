// The table of settings as text for people: the help of the command and the page in docs/.
import { type Group, groups, type Setting, settingList } from './schema.ts';
import type { ValueKind } from './values.ts';
import { type Unused, unusedAnnotations, unusedEnvironment } from './without-effect.ts';

/** The settings part of `headgate serve --help`: by group, each with its environment name, default and first sentence. */
export function helpText(): string {
  const usages = settingList.map((setting) => usage(setting).length);
  const environments = settingList.map(({ environment }) => environment.length);
  const usageWidth = Math.max(...usages) + 2;
  const environmentWidth = Math.max(...environments) + 2;
  const lines: string[] = [];
  for (const [group, title] of Object.entries(groups)) {
    lines.push(`${title}:`);
    for (const setting of settingsOf(group as Group)) {
      const columns = [usage(setting).padEnd(usageWidth), setting.environment.padEnd(environmentWidth)];
      lines.push(`  ${columns.join('')}${defaultWords(setting)}`);
      lines.push(`      ${[firstSentence(setting.about), ...options(setting)].join(' ').replaceAll('`', '')}`);
    }
    lines.push('');
  }
  lines.push('A flag goes before the environment, which goes before the default. Empty in the environment is not set.');
  return `${lines.join('\n')}\n`;
}

/** The whole of docs/configuration.md. */
export function configurationPage(): string {
  const sections = Object.entries(groups).map(([group, title]) => {
    const rows = settingsOf(group as Group).map((setting) => {
      const cells = [
        setting.flag === undefined ? '' : code(setting.flag),
        code(setting.environment),
        setting.default === undefined || setting.default === '' || setting.defaultWords !== undefined
          ? defaultWords(setting)
          : code(setting.default),
        `${[oneLine(setting.about), ...options(setting), ...standIns(setting)].join(' ')} *Default:* ${oneLine(setting.reason)}`,
      ];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    });
    return [`## ${title}`, '', '| Flag | Environment | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n');
  });
  return `${[intro, ...sections, unusedSection()].join('\n\n')}\n`;
}

function unusedSection(): string {
  const table = (kind: string, rows: readonly Unused[]): string =>
    [`| ${kind} | Why |`, '|---|---|', ...rows.map(({ name, because }) => `| ${code(name)} | ${because} |`)].join('\n');
  const tables = [table('Environment', unusedEnvironment), table('Annotation', unusedAnnotations)];
  return [unusedIntro, ...tables].join('\n\n');
}

const unusedIntro = `## Without effect

A deployment for the OpenShift router may keep these. The start says in one line which of the environment names are set.`;

const intro = `# Configuration

<!-- Written by \`npm run docs\` from src/config. Change it there. -->

Every setting has an environment name, and all but secrets have a flag. A flag goes before the environment, and the environment
before the default. An empty environment value counts as not set; a flag given twice counts as given last.

Names that the OpenShift router has are its own, so that a deployment written for it works here. \`HEADGATE_*\` are
settings that it has no word for.

When something is wrong with the settings, all of it is told at once, each problem on a line that names the setting as it
was typed, and the command ends with exit code 2 before it opens a port. That includes unknown flags and
files and folders that are missing or cannot be read.

How values are written:

* **Flags**: \`--flag value\` or \`--flag=value\`. A flag that is true or false may stand alone, which is true; its value is
  written with \`=\`, as in \`--allow-wildcard-routes=false\`.
* **True and false**: \`1\`, \`t\`, \`T\`, \`TRUE\`, \`true\`, \`True\` are true; \`0\`, \`f\`, \`F\`, \`FALSE\`, \`false\`, \`False\` are
  false. Anything else is an error, but in the environment names that are the OpenShift router's own it is false, as it is there.
* **Lists**: items separated by commas; blanks around them and empty items count for nothing.
* **Networks**: a list of addresses and CIDRs (\`10.0.0.0/8,2001:db8::/32,192.0.2.1\`).
* **Selectors**: as \`kubectl get -l\` and \`--field-selector\` take them (\`type=sharded,tier in (a, b),!old\`).
* **Times**: a positive whole number, then \`us\`, \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`; without one, milliseconds. Longer than
  2147483647 ms (about 24.8 days) is cut to that. The two times of stopping also take sums and fractions (\`1m30s\`, \`1.5h\`) and 0.`;

function settingsOf(group: Group): readonly Setting[] {
  return settingList.filter((setting) => setting.group === group);
}

function usage(setting: Setting): string {
  if (setting.flag === undefined) return '(environment only)';
  const placeholder = placeholders[setting.value.kind];
  return placeholder === '' ? setting.flag : `${setting.flag} ${placeholder}`;
}

const placeholders: Readonly<Record<ValueKind['kind'], string>> = {
  switch: '',
  integer: '<number>',
  limit: '<number>',
  share: '<number>',
  time: '<time>',
  delay: '<time>',
  seconds: '<time>',
  choice: '<word>',
  choices: '<words>',
  'media-types': '<types>',
  columns: '<numbers>',
  'tls-version': '<version>',
  pattern: '<pattern>',
  'cookie-name': '<name>',
  text: '<text>',
  domain: '<domain>',
  domains: '<domains>',
  'host-template': '<template>',
  'label-selector': '<selector>',
  'project-selector': '<selector>',
  'field-selector': '<selector>',
  ordinal: '<number>',
  namespace: '<namespace>',
  'service-account': '<namespace/name>',
  url: '<url>',
  proxy: '<url>',
  address: '<address>',
  'listen-address': '<address:port>',
  networks: '<networks>',
  'header-actions': '<actions>',
  'header-name': '<name>',
  'header-names': '<names>',
  'id-format': '<format>',
  file: '<file>',
  directory: '<folder>',
  'writable-directory': '<folder>',
};

function options({ value }: Setting): string[] {
  if (value.kind === 'choices') return [`Of ${value.options.map(code).join(', ')}, with commas between them.`];
  if (value.kind !== 'choice') return [];
  const words = value.options.filter((option) => option !== '').map(code);
  return [`${words.length === 1 ? 'Only' : 'One of'} ${words.join(', ')}.`];
}

function standIns(setting: Setting): string[] {
  const names = (setting.standIns ?? []).map(code).join(', then ');
  return names === '' ? [] : [`Where it is not set, ${names} counts.`];
}

function defaultWords(setting: Setting): string {
  if (setting.default === undefined) return 'required';
  return setting.defaultWords ?? (setting.default === '' ? 'none' : setting.default);
}

function firstSentence(about: string): string {
  return oneLine(about).split(/(?<=\.) /)[0] ?? '';
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

function code(text: string): string {
  return `\`${text}\``;
}
