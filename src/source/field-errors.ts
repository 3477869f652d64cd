// What is wrong with an object, in the words of Kubernetes' field errors, which people know from kubectl.

import type { z } from 'zod';

const maxShownLength = 64;
const maxReasonLength = 400;

/**
 * What is wrong with a field, with its path, in Kubernetes' words. Values are shown only where they are numbers or come from a
 * closed set of words: a type error names the type, and our own checks show nothing, so that no key and no Secret can get into a log.
 */
export function reasonOf(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return 'cannot be read';
  const path = pathOf(issue.path);
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined || issue.input === null) return `${path}: Required value`;
      return typeFault(path, kubernetesTypes[issue.expected] ?? issue.expected, issue.input);
    case 'invalid_union':
      return typeFault(path, 'integer or string', issue.input);
    case 'invalid_value':
      if (typeof issue.input !== 'string') return typeFault(path, 'string', issue.input);
      return `${path}: Unsupported value: ${shown(issue.input)}: supported values: ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    case 'too_small':
    case 'too_big':
      if (issue.origin === 'string') return `${path}: Required value`;
      if (issue.code === 'too_big' && issue.origin === 'array') {
        return `${path}: Too many: must have at most ${issue.maximum} items`;
      }
      return `${path}: Invalid value: ${shown(issue.input)}: ${path} in body ${issue.message}`;
    default:
      return `${path}: Invalid value: ${issue.message}`;
  }
}

const kubernetesTypes: Readonly<Record<string, string>> = { int: 'integer', number: 'integer', record: 'object' };

function typeFault(path: string, expected: string, input: unknown): string {
  const found = typeName(input);
  return `${path}: Invalid value: "${found}": ${path} in body must be of type ${expected}: "${found}"`;
}

function pathOf(path: readonly PropertyKey[]): string {
  let written = '';
  for (const step of path) {
    if (typeof step === 'string' && /^\w+$/.test(step)) written += written === '' ? step : `.${step}`;
    else written += `[${String(step)}]`;
  }
  return written;
}

/** What a value is, in the words of Kubernetes' type errors. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** A value as a message shows it: JSON, cut to 64 characters. Not for anything that may be secret. */
export function shown(value: unknown): string {
  const written = JSON.stringify(value) ?? '';
  return written.length > maxShownLength ? `${written.slice(0, maxShownLength)}..."` : written;
}

/** A reason fit for one line of a log: control characters as blanks, 400 characters at most. */
export function oneLine(reason: string): string {
  return reason.slice(0, maxReasonLength).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}
