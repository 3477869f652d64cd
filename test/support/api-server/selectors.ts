// Label and field selectors as the API server reads them (apimachinery, pkg/labels and pkg/fields).

import { badRequest } from './status.ts';

type Labels = Readonly<Record<string, string>>;

/** One thing that a label selector asks for. */
type LabelRequirement = (labels: Labels) => boolean;

/** Whether a set of labels is selected. */
export type LabelSelector = (labels: Labels) => boolean;

/** An empty text selects everything; a wrong one is refused with 400. */
export function parseLabelSelector(text: string): LabelSelector {
  const requirements = new LabelParser(text).parse();
  return (labels) => requirements.every((holds) => holds(labels));
}

const qualifiedName = /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)?$/;

class LabelParser {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = text.match(/==|!=|[=!(),<>]|[^\s=!(),<>]+/g) ?? [];
  }

  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = [];
    if (this.#tokens.length === 0) return requirements;
    for (;;) {
      requirements.push(this.#requirement());
      const next = this.#take();
      if (next === null) return requirements;
      if (next !== ',') throw unparsable(`found '${next}', expected: ',' or 'end of string'`);
      if (this.#peek() === null) throw unparsable(`found '', expected: identifier after ','`);
    }
  }

  #requirement(): LabelRequirement {
    if (this.#peek() === '!') {
      this.#take();
      const key = this.#key();
      return (labels) => labels[key] === undefined;
    }
    const key = this.#key();
    const operator = this.#peek();
    if (operator === null || operator === ',') return (labels) => labels[key] !== undefined;
    this.#take();
    switch (operator) {
      case '=':
      case '==': {
        const value = this.#value();
        return (labels) => labels[key] === value;
      }
      case '!=': {
        const value = this.#value();
        return (labels) => labels[key] !== value;
      }
      case '<':
      case '>':
        return this.#comparison(key, operator);
      case 'in':
      case 'notin': {
        const values = this.#values();
        const isIn = operator === 'in';
        return (labels) => {
          const value = labels[key];
          return value === undefined ? !isIn : values.has(value) === isIn;
        };
      }
      default:
        throw unparsable(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
    }
  }

  #comparison(key: string, operator: '<' | '>'): LabelRequirement {
    const text = this.#value();
    if (!/^[+-]?\d+$/.test(text)) {
      throw unparsable(
        `values[0][${key}]: Invalid value: "${text}": for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    }
    const bound = Number(text);
    return (labels) => {
      const value = labels[key];
      if (value === undefined || !/^[+-]?\d+$/.test(value)) return false;
      return operator === '<' ? Number(value) < bound : Number(value) > bound;
    };
  }

  #key(): string {
    const key = this.#take();
    if (key === null || /^[=!(),<>]/.test(key)) {
      throw unparsable(`found '${key ?? ''}', expected: !, identifier, or 'end of string'`);
    }
    if (!qualifiedName.test(key)) {
      throw unparsable(
        `key: Invalid value: "${key}": name part must consist of alphanumeric characters, '-', '_' or '.'`,
      );
    }
    return key;
  }

  /** `a=` asks for the empty value. */
  #value(): string {
    const next = this.#peek();
    if (next === null || next === ',') return '';
    this.#take();
    if (/^[=!(),<>]/.test(next)) throw unparsable(`found '${next}', expected: identifier`);
    return checkedValue(next);
  }

  #values(): Set<string> {
    const open = this.#take();
    if (open !== '(') throw unparsable(`found '${open ?? ''}' expected: '('`);
    const values = new Set<string>();
    for (let last = ''; ; ) {
      const next = this.#take();
      if (next === ',' || next === ')') {
        values.add(last);
        last = '';
        if (next === ')') return values;
      } else if (next === null || last !== '' || /^[=!(<>]/.test(next)) {
        throw unparsable(`found '${next ?? ''}', expected: ',', ')' or identifier`);
      } else {
        last = checkedValue(next);
      }
    }
  }

  #peek(): string | null {
    return this.#tokens[this.#at] ?? null;
  }

  #take(): string | null {
    return this.#tokens[this.#at++] ?? null;
  }
}

function checkedValue(value: string): string {
  if (labelValue.test(value)) return value;
  throw unparsable(
    `values[0]: Invalid value: "${value}": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'`,
  );
}

function unparsable(why: string): Error {
  return badRequest(`unable to parse requirement: ${why}`);
}

/** What a field selector asks for: one field, equal or not. */
export type FieldRequirement = { readonly field: string; readonly value: string; readonly isEqual: boolean };

/** An empty text asks for nothing; a wrong one is refused with 400. Whether the fields can be selected by is not looked at. */
export function parseFieldSelector(text: string): FieldRequirement[] {
  return splitUnescaped(text, ',')
    .filter((term) => term !== '')
    .map((term) => {
      const match = /^((?:[^\\=!]|\\.)*?)(!=|==|=)(.*)$/s.exec(term);
      if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
      const [, field = '', operator, value = ''] = match;
      return { field, value: value.replace(/\\([\\,=])/g, '$1'), isEqual: operator !== '!=' };
    });
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts = [''];
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? '';
    if (char === separator) parts.push('');
    else parts[parts.length - 1] += char === '\\' ? char + (text[++i] ?? '') : char;
  }
  return parts;
}

/** The text at a path of an object, empty where there is none: what field selectors compare. */
export function fieldText(object: unknown, path: string): string {
  let value: unknown = object;
  for (const part of path.split('.')) {
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined;
  }
  return value === undefined || value === null ? '' : String(value);
}
