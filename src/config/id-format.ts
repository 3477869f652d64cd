// The format of the id that requests are given (Route semantics 4.4), of HAProxy's log variables those that make an id.

import { quoted } from './shown.ts';

const idVariables = ['ci', 'cp', 'fi', 'fp', 'Ts', 'rt', 'pid', 'H', 'ms'] as const;

/**
 * What stands in an id: `ci` and `cp` address and port of the client, `fi` and `fp` of the connection's other end, `Ts` seconds of
 * the time and `ms` its milliseconds, `rt` the count of requests, `pid` the process, `H` the name of the machine.
 */
export type IdVariable = (typeof idVariables)[number];

/** A literal, or a variable; `base`: how its numbers and addresses are written. */
export type IdPart = string | { readonly variable: IdVariable; readonly base: 'decimal' | 'hexadecimal' };

/** The parts of a format, or what is wrong with it. */
export type ReadFormat =
  | { readonly kind: 'parts'; readonly parts: readonly IdPart[] }
  | { readonly kind: 'problem'; readonly because: string };

/** Reads a format. `%{+X}o` writes all variables behind it in hexadecimal digits, `%%` is one percent sign. */
export function readIdFormat(text: string): ReadFormat {
  const parts: IdPart[] = [];
  let base: 'decimal' | 'hexadecimal' = 'decimal';
  for (const [piece] of text.matchAll(/%%|%\{\+X\}o|%(?:\{[^}]*\})?[A-Za-z]*|[^%]+/g)) {
    const variable = idVariables.find((name) => piece === `%${name}`);
    if (piece === '%{+X}o') base = 'hexadecimal';
    else if (variable !== undefined) parts.push({ variable, base });
    else if (piece === '%%') parts.push('%');
    else if (/^[\x20-\x7e]+$/.test(piece) && !piece.startsWith('%')) parts.push(piece);
    else return { kind: 'problem', because: `${quoted(piece)} is not one of %${idVariables.join(', %')}, %{+X}o` };
  }
  return { kind: 'parts', parts };
}
