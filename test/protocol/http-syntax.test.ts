import { describe, expect, test } from 'vitest';
import { FieldLines } from '../../src/protocol/field-lines.ts';
import { isTokenChar, sameName } from '../../src/protocol/http-syntax.ts';
import { lineValue, lineValues } from '../../src/protocol/http2-head.ts';

/** RFC 9110 5.6.2, written out. */
const tchars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const names = [...tchars].filter((c) => c === c.toLowerCase());

test('token characters', () => {
  const found = Array.from({ length: 256 }, (_, c) => c).filter(isTokenChar);
  expect(found).toEqual([...tchars].map((c) => c.charCodeAt(0)).sort((a, b) => a - b));
});

describe('a field by its name', () => {
  test.each(names)('%s is the same as itself and its capital, and as no other character', (wanted) => {
    const same = Array.from({ length: 256 }, (_, c) => String.fromCharCode(c)).filter((c) =>
      sameName(`x${c}y`, 1, wanted),
    );
    expect(same).toEqual([...new Set([wanted.toUpperCase(), wanted])]);
  });

  test('nor as what is missing', () => {
    for (const wanted of names) expect(sameName('x', 1, wanted)).toBe(false);
  });

  test.each(names)('lines whose name has a %s', (c) => {
    const others = names.filter((other) => other !== c).map((other) => `a${other}b: other\r\n`);
    const text = `a${c}b: one\r\n${others.join('')}A${c.toUpperCase()}B: two\r\n`;
    const name = `a${c}b`;
    const head = `GET / HTTP/1.1\r\n${text}\r\n`;
    expect([lineValue(head, name), lineValues(head, name)]).toEqual(['one', 'one, two']);
    const lines = new FieldLines(100);
    lines.takeText(text);
    expect(lines.scan(0)).toBeNull();
    expect(lines.fieldsNamed(name)).toEqual(['one', 'two']);
    expect(lines.valuesNamed(name)).toBe('one, two');
    lines.dropField(name);
    expect(lines.kept()).toBe(others.join(''));
  });
});
