import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ANY_HOST, type Host, isWildcard, parentOf, parseHost, wildcardOf } from '../../src/table/host.ts';

const label63 = 'a'.repeat(63);
const name253 = `${label63}.${label63}.${label63}.${'a'.repeat(61)}`;

/** A name that has to be a Host. */
function host(name: string): Host {
  const parsed = parseHost(name);
  if (parsed === undefined) throw new TypeError(name);
  return parsed;
}

describe('names that a Route can have', () => {
  test.each([
    { name: 'example.com', parsed: 'example.com' },
    { name: 'localhost', parsed: 'localhost' },
    { name: 'a', parsed: 'a' },
    { name: '3dev.example.com', parsed: '3dev.example.com' },
    { name: 'a-b--c.x', parsed: 'a-b--c.x' },
    { name: 'xn--bcher-kva.example', parsed: 'xn--bcher-kva.example' },
    { name: '10.0.0.1', parsed: '10.0.0.1' },
    { name: 'WWW.Example.COM', parsed: 'www.example.com' },
    { name: 'a.TEST.', parsed: 'a.test' },
    { name: 'match.d.test.', parsed: 'match.d.test' },
    { name: label63, parsed: label63 },
    { name: name253, parsed: name253 },
    { name: `${name253}.`, parsed: name253 },
  ])('$name', ({ name, parsed }) => {
    expect(parseHost(name)).toBe(parsed);
  });
});

describe('names that no Route can have', () => {
  test.each([
    '',
    '.',
    '..',
    '.example.com',
    'example..com',
    'example.com..',
    '-a.test',
    'a-.test',
    'a.-test',
    'a.test-',
    'a.test-.',
    '-',
    '*',
    '*.example.com',
    'a_b.example.com',
    'a b',
    ' a',
    'a ',
    'a\t',
    'a\0',
    'a\0.test',
    'a.test:80',
    'a.test/',
    'a%2etest',
    'a@b',
    'café.test',
    'ſ.test',
    '\u212a.test',
    '[::1]',
    '::1',
    'a'.repeat(64),
    `x.${'a'.repeat(64)}`,
    `${'a'.repeat(64)}.x`,
    `${name253}a`,
    `${name253}a.`,
    'a.'.repeat(200),
    'a'.repeat(100_000),
  ])('%j', (name) => {
    expect(parseHost(name)).toBeUndefined();
  });
});

test('any string is a name by the letter of RFC 1123, or it is none', () => {
  const character = fc.constantFrom(...'abzAZ09-._* \0é');
  const letter = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: character, maxLength: 12 }), fc.domain(), fc.string()), (name) => {
      const undotted = name.endsWith('.') ? name.slice(0, -1) : name;
      const lower = undotted.replace(/[A-Z]/g, (c) => c.toLowerCase());
      const parsed = parseHost(name);
      expect(parsed).toBe(letter.test(lower) ? lower : undefined);
      if (parsed !== undefined) expect(parseHost(parsed)).toBe(parsed);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  { name: 'www.example.com', parent: 'example.com', wildcard: '*.example.com' },
  { name: 'example.com', parent: 'com', wildcard: '*.com' },
  { name: 'a.b.c.d', parent: 'b.c.d', wildcard: '*.b.c.d' },
  { name: 'localhost', parent: '', wildcard: '*.' },
])('$wildcard covers $name', ({ name, parent, wildcard }) => {
  expect(parentOf(host(name))).toBe(parent);
  expect(wildcardOf(host(name))).toBe(wildcard);
  expect(isWildcard(wildcardOf(host(name)))).toBe(true);
  expect(isWildcard(host(name))).toBe(false);
});

test('no name in a request stands for every Host or for a wildcard', () => {
  expect(parseHost(ANY_HOST)).toBeUndefined();
  expect(isWildcard(ANY_HOST)).toBe(false);
  fc.assert(
    fc.property(fc.domain(), (name) => {
      expect(parseHost(wildcardOf(host(name)))).toBeUndefined();
    }),
  );
});
