// Label and field selectors as Kubernetes writes them, turned into plain requirements once, at start.

/** One requirement of a label selector. `not-in` holds where the label is absent, too; `greater` and `less` compare whole numbers. */
export type LabelRequirement = {
  readonly key: string;
  readonly operator: 'in' | 'not-in' | 'exists' | 'absent' | 'greater' | 'less';
  /** Empty for `exists` and `absent`; one number for `greater` and `less`. */
  readonly values: readonly string[];
};

/** The fields of a Route that a field selector may name (Route semantics 1.7). */
export const selectableFields = [
  'metadata.name',
  'metadata.namespace',
  'spec.host',
  'spec.path',
  'spec.to.name',
] as const;

/** One of `selectableFields`. */
export type SelectableField = (typeof selectableFields)[number];

/** One requirement of a field selector. */
export type FieldRequirement = { readonly field: SelectableField; readonly equal: boolean; readonly value: string };

/** What a selector demands, all of it together, or why it cannot be read: a phrase without its subject. */
export type Parsed<Requirement> =
  | { readonly kind: 'requirements'; readonly requirements: readonly Requirement[] }
  | { readonly kind: 'problem'; readonly because: string };

const maxWholeNumber = 2n ** 63n - 1n;
const maxNameLength = 63;
const maxPrefixLength = 253;
const namePattern = /^[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$/;
const prefixPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** Words and the signs between them; `==` and `!=` are one sign each. */
const tokenPattern = /\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)/y;

/** Reads a label selector in the grammar of the Kubernetes API (`a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, `a>1`). */
export function parseLabelSelector(text: string): Parsed<LabelRequirement> {
  const tokens = tokensOf(text);
  const requirements: LabelRequirement[] = [];
  let at = 0;
  const next = (): string => tokens[at++] ?? '';
  try {
    while (at < tokens.length) {
      requirements.push(labelRequirement(next, () => tokens[at] ?? ''));
      const separator = next();
      if (separator !== '' && separator !== ',') throw new SelectorError(`has ${separator} where a comma should be`);
      if (separator === ',' && at === tokens.length) throw new SelectorError('ends with a comma');
    }
  } catch (error) {
    if (error instanceof SelectorError) return { kind: 'problem', because: error.message };
    throw error;
  }
  return { kind: 'requirements', requirements };
}

/** Reads a field selector: `field=value`, `field==value` and `field!=value`, separated by commas. */
export function parseFieldSelector(text: string): Parsed<FieldRequirement> {
  const requirements: FieldRequirement[] = [];
  for (const part of text.split(',')) {
    const [, name = '', sign = '', value = ''] = /^\s*([^=!\s]+)\s*(==|!=|=)\s*([^=!]*?)\s*$/.exec(part) ?? [];
    const field = selectableFields.find((candidate) => candidate === name);
    if (sign === '') return { kind: 'problem', because: 'is not a list of field=value and field!=value' };
    if (field === undefined) {
      return { kind: 'problem', because: `names the field ${name}; known are ${selectableFields.join(', ')}` };
    }
    requirements.push({ field, equal: sign !== '!=', value });
  }
  return { kind: 'requirements', requirements };
}

class SelectorError extends Error {}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  for (let found = tokenPattern.exec(text); found !== null; found = tokenPattern.exec(text))
    tokens.push(found[1] ?? '');
  return tokens;
}

function labelRequirement(next: () => string, peek: () => string): LabelRequirement {
  const first = next();
  if (first === '!') return { key: labelKey(next()), operator: 'absent', values: [] };
  const key = labelKey(first);
  const sign = peek();
  switch (sign) {
    case '':
    case ',':
      return { key, operator: 'exists', values: [] };
    case '=':
    case '==':
    case '!=':
      next();
      return { key, operator: sign === '!=' ? 'not-in' : 'in', values: [singleValue(next, peek)] };
    case '>':
    case '<': {
      next();
      const number = next();
      if (!isWholeNumber(number))
        throw new SelectorError(`compares ${key} with ${number}, which is not a whole number`);
      return { key, operator: sign === '>' ? 'greater' : 'less', values: [number] };
    }
    case 'in':
    case 'notin':
      next();
      return { key, operator: sign === 'in' ? 'in' : 'not-in', values: valueSet(next, peek) };
    default:
      throw new SelectorError(`has ${sign} behind ${key}, where an operator should be`);
  }
}

/** An absent value stands for the empty one. */
function singleValue(next: () => string, peek: () => string): string {
  return peek() === '' || peek() === ',' ? '' : labelValue(next());
}

function valueSet(next: () => string, peek: () => string): string[] {
  if (next() !== '(') throw new SelectorError('has no ( behind in or notin');
  const values = new Set<string>();
  for (;;) {
    values.add(peek() === ',' || peek() === ')' ? '' : labelValue(next()));
    const end = next();
    if (end === ')') return [...values].sort();
    if (end !== ',') throw new SelectorError('has a ( without its )');
  }
}

/** As the API server reads them: 64 bits, and what cannot begin the value of a label cannot begin a number either. */
function isWholeNumber(text: string): boolean {
  return /^\d{1,63}$/.test(text) && BigInt(text) <= maxWholeNumber;
}

function labelKey(key: string): string {
  const slash = key.indexOf('/');
  const prefix = key.slice(0, Math.max(slash, 0));
  const name = key.slice(slash + 1);
  const prefixFits = slash < 0 || (prefix.length <= maxPrefixLength && prefixPattern.test(prefix));
  if (!prefixFits || name.length > maxNameLength || !namePattern.test(name)) {
    throw new SelectorError(
      key === '' ? 'lacks the name of a label' : `has ${key} where the name of a label should be`,
    );
  }
  return key;
}

function labelValue(value: string): string {
  if (value.length > maxNameLength || !namePattern.test(value)) {
    throw new SelectorError(value === '' ? 'ends too early' : `has ${value} where the value of a label should be`);
  }
  return value;
}
