// Log formats in HAProxy's language: read once at the start into a list of parts, then put together once a line.

import { ipv4Bytes, ipv6Bytes } from '../../protocol/ip-address.ts';
import type { AccessLine } from './access-line.ts';
import { captureVariable, encoded, logVariables, type OpenConnections, type Variable } from './log-variables.ts';

/** HAProxy's `option httplog` and `option tcplog`. */
export const httpFormat =
  '%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r';
export const tcpFormat = '%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq';

/** How a variable is written: in quotes, with the escapes of RFC 5424, in hexadecimal. */
type Manner = { readonly quoted: boolean; readonly escaped: boolean; readonly hexadecimal: boolean };

const plain: Manner = { quoted: false, escaped: false, hexadecimal: false };

/** How many headers are captured, which a format may ask for by number. */
export type CaptureCounts = { readonly request: number; readonly response: number };

/** What a format stands for, or what is wrong with it. */
export type LogFormatReading =
  | { readonly kind: 'format'; readonly format: LogFormat }
  | { readonly kind: 'problem'; readonly because: string };

/** `blank`: one space, however many there are, and none at the beginning. */
type Part = { readonly kind: 'literal'; readonly text: string } | { readonly kind: 'blank' } | WrittenVariable;
type WrittenVariable = { readonly kind: 'variable'; readonly variable: Variable; readonly manner: Manner };

export class LogFormat {
  readonly #parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /** The text of one line; printable ASCII, without an end of line. */
  render(line: AccessLine): string {
    let text = '';
    let blank = true;
    for (const part of this.#parts) {
      switch (part.kind) {
        case 'literal':
          text += part.text;
          blank = false;
          break;
        case 'blank':
          if (!blank) text += ' ';
          blank = true;
          break;
        case 'variable': {
          const value = written(part.variable, part.manner, line);
          text += value;
          // A block that is not there takes the space before it along.
          if (part.variable.kind !== 'block' || value !== '') blank = false;
        }
      }
    }
    return text;
  }
}

/**
 * Reads a format. It may stand in double quotes, as OpenShift's operator passes it; the escapes of HAProxy's configuration
 * files hold either way. `open`: for variables that count connections.
 */
export function readLogFormat(text: string, captures: CaptureCounts, open: OpenConnections): LogFormatReading {
  const parts: Part[] = [];
  const variables = logVariables(open);
  const format = unquoted(text);
  let general = plain;
  let literal = '';
  const endLiteral = (): void => {
    if (literal !== '') parts.push({ kind: 'literal', text: encoded(literal, 'control') });
    literal = '';
  };
  for (let i = 0; i < format.length; ) {
    const c = format[i];
    if (c === ' ' || c === '\n' || c === '\t' || c === '\r') {
      endLiteral();
      if (parts.at(-1)?.kind !== 'blank') parts.push({ kind: 'blank' });
      i++;
    } else if (c !== '%') {
      literal += c;
      i++;
    } else if (format[i + 1] === '%') {
      literal += '%';
      i += 2;
    } else {
      endLiteral();
      const read = readVariable(format, i + 1, general, variables, captures);
      if (read.kind === 'problem') return read;
      if (read.kind === 'general') general = read.manner;
      else parts.push(read.part);
      i = read.end;
    }
  }
  endLiteral();
  return { kind: 'format', format: new LogFormat(parts) };
}

type VariableReading =
  | { readonly kind: 'problem'; readonly because: string }
  /** `%{...}o`: how all that follows is written. */
  | { readonly kind: 'general'; readonly manner: Manner; readonly end: number }
  | { readonly kind: 'part'; readonly part: WrittenVariable; readonly end: number };

/** Reads what stands behind a `%` that ends at `at`. */
function readVariable(
  format: string,
  at: number,
  general: Manner,
  variables: ReadonlyMap<string, Variable>,
  captures: CaptureCounts,
): VariableReading {
  let manner = general;
  let i = at;
  if (format[i] === '{') {
    const close = format.indexOf('}', i);
    if (close < 0) return { kind: 'problem', because: `%${format.slice(at)}: } is missing` };
    const flags = format.slice(i + 1, close);
    const read = readFlags(flags, general);
    if (read === null) return { kind: 'problem', because: `%{${flags}}: none of the flags +Q, +E and +X` };
    manner = read;
    i = close + 1;
  }
  if (format[i] === '[') {
    const close = format.indexOf(']', i);
    if (close < 0) return { kind: 'problem', because: `%${format.slice(at)}: ] is missing` };
    const expression = format.slice(i + 1, close);
    const variable = readExpression(expression, captures);
    if (typeof variable === 'string') return { kind: 'problem', because: variable };
    return { kind: 'part', part: { kind: 'variable', variable, manner }, end: close + 1 };
  }
  const name = /^[A-Za-z]*/.exec(format.slice(i))?.[0] ?? '';
  if (name === 'o') return { kind: 'general', manner, end: i + 1 };
  const variable = variables.get(name);
  if (variable === undefined) {
    return { kind: 'problem', because: `%${name}: no variable of this router; a percent sign is written %%` };
  }
  return { kind: 'part', part: { kind: 'variable', variable, manner }, end: i + name.length };
}

function readFlags(flags: string, general: Manner): Manner | null {
  let manner = general;
  for (const flag of flags.split(',')) {
    const on = flag.startsWith('+');
    if (!on && !flag.startsWith('-')) return null;
    switch (flag.slice(1)) {
      case 'Q':
        manner = { ...manner, quoted: on };
        break;
      case 'E':
        manner = { ...manner, escaped: on };
        break;
      case 'X':
        manner = { ...manner, hexadecimal: on };
        break;
      default:
        return null;
    }
  }
  return manner;
}

/** Of all expressions of HAProxy, those that name a captured header. Else what is wrong. */
function readExpression(expression: string, captures: CaptureCounts): Variable | string {
  const [, letters, digits] = /^capture\.(req|res)\.hdr\((\d{1,4})\)$/.exec(expression) ?? [];
  if (letters === undefined) return `%[${expression}]: only capture.req.hdr(n) and capture.res.hdr(n) are known`;
  const side = letters === 'req' ? 'request' : 'response';
  const index = Number(digits);
  if (index >= captures[side]) return `%[${expression}]: ${captures[side]} ${side} headers are captured`;
  return captureVariable(side, index);
}

/** Without the quotes around it, and with what its backslashes stand for. */
function unquoted(text: string): string {
  const isQuoted = text.length >= 2 && text.startsWith('"') && text.endsWith('"');
  const inner = isQuoted ? text.slice(1, -1) : text;
  const named: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };
  return inner.replace(/\\(.)/gs, (_, c: string) => named[c] ?? c);
}

function written(variable: Variable, manner: Manner, line: AccessLine): string {
  switch (variable.kind) {
    case 'date':
      return variable.of(line);
    case 'block':
      return variable.of(line, manner.quoted);
    case 'number':
    case 'word': {
      const value = Math.floor(variable.of(line));
      if (!manner.hexadecimal) return String(value);
      const digits = (value < 0 ? value >>> 0 : value).toString(16).toUpperCase();
      return variable.kind === 'word' ? digits.padStart(4, '0') : digits;
    }
    case 'address': {
      const address = variable.of(line);
      return textOf(manner.hexadecimal ? hexadecimalAddress(address) : address, 'text', manner);
    }
    default:
      return textOf(encoded(variable.of(line), variable.escapes), variable.kind, manner);
  }
}

function textOf(text: string, kind: 'text' | 'part', manner: Manner): string {
  const escaped = manner.escaped ? backslashed(text) : text;
  if (manner.quoted) return `"${escaped}"`;
  return escaped === '' && kind === 'text' ? '-' : escaped;
}

/** RFC 5424 6.3.3. */
function backslashed(text: string): string {
  let result = '';
  for (const c of text) result += c === '"' || c === '\\' || c === ']' ? `\\${c}` : c;
  return result;
}

/** Two digits a byte; empty where the connection has gone. */
function hexadecimalAddress(address: string): string {
  if (address === '') return '';
  const bytes = address.includes(':') ? ipv6Bytes(address) : ipv4Bytes(address);
  return Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('');
}
