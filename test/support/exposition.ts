// Reads Prometheus' text format (0.0.4) as strictly as nobody else: what this takes, every scraper does.

/** One series of an exposition. */
export type ReadSeries = { readonly name: string; readonly labels: Readonly<Record<string, string>>; value: number };

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|\+Inf|NaN)$/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;

/** All series; throws with the line that is wrong. */
export class Exposition {
  readonly series: readonly ReadSeries[];
  readonly kinds: ReadonlyMap<string, string>;

  constructor(text: string) {
    const series: ReadSeries[] = [];
    const kinds = new Map<string, string>();
    const seen = new Set<string>();
    if (!text.endsWith('\n')) throw new Error('the last line has no end');
    let family = '';
    let helped = '';
    for (const one of text.slice(0, -1).split('\n')) {
      const [, what, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(one) ?? [];
      if (what === 'HELP') {
        if (kinds.has(name)) throw new Error(`described twice: ${one}`);
        helped = name;
      } else if (what === 'TYPE') {
        if (helped !== name || kinds.has(name)) throw new Error(`TYPE without HELP, or twice: ${one}`);
        if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw new Error(`no such type: ${one}`);
        kinds.set(name, rest);
        family = name;
      } else {
        const read = readLine(one);
        const kind = kinds.get(family);
        const suffix = read.name.slice(family.length);
        const allowed =
          kind === 'histogram' ? ['_bucket', '_sum', '_count'] : kind === 'summary' ? ['_sum', '_count'] : [''];
        if (!read.name.startsWith(family) || !allowed.includes(suffix)) throw new Error(`not of ${family}: ${one}`);
        const key = one.slice(0, one.lastIndexOf(' '));
        if (seen.has(key)) throw new Error(`twice: ${one}`);
        seen.add(key);
        series.push(read);
      }
    }
    this.series = series;
    this.kinds = kinds;
  }

  /** Series of a name that have these labels, and perhaps others. */
  find(name: string, labels: Readonly<Record<string, string>> = {}): ReadSeries[] {
    return this.series.filter(
      (one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    );
  }

  /** The sum of those. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.find(name, labels).reduce((sum, { value }) => sum + value, 0);
  }
}

function readLine(text: string): ReadSeries {
  const [, name = '', inBraces = '', value = ''] = line.exec(text) ?? [];
  if (name === '') throw new Error(`no series: ${text}`);
  const labels: Record<string, string> = {};
  label.lastIndex = 0;
  while (label.lastIndex < inBraces.length) {
    const [, key = '', quoted = ''] = label.exec(inBraces) ?? [];
    if (key === '' || key in labels) throw new Error(`labels: ${text}`);
    labels[key] = quoted.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  }
  return { name, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) };
}
