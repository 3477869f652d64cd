import fc from 'fast-check';
import { expect, test } from 'vitest';
import { respelt, spellingsOf } from '../../src/protocol/field-spelling.ts';

const spellings = spellingsOf(['X-CaSe', 'HOST', 'etag', 'x-twice', 'X-Twice']) ?? new Map();

test.each([
  ['listed names, however they came', 'x-case: 1\r\nHost: a\r\nETag: x\r\n', 'X-CaSe: 1\r\nHOST: a\r\netag: x\r\n'],
  ['a name several times', 'x-case: 1\r\nX-CASE: 2\r\n', 'X-CaSe: 1\r\nX-CaSe: 2\r\n'],
  ['a name that is listed twice', 'X-TWICE: 1\r\n', 'X-Twice: 1\r\n'],
  ['others stay', 'X-Cases: 1\r\nx: host\r\nA: x-case: 2\r\n', 'X-Cases: 1\r\nx: host\r\nA: x-case: 2\r\n'],
  ['names in values', 'vary: x-case, host\r\n', 'vary: x-case, host\r\n'],
  ['no lines', '', ''],
])('%s', (_title, lines, expected) => {
  for (const start of ['GET /x-case:1 HTTP/1.1\r\n', 'HTTP/1.1 200 host: OK\r\n']) {
    expect(respelt(`${start}${lines}\r\n`, spellings)).toBe(`${start}${expected}\r\n`);
  }
});

test('a body is none of it', () => {
  const message = 'HTTP/1.1 200 OK\r\nhost: a\r\n\r\nhost: b\r\nx-case: 1\r\n\r\n';
  expect(respelt(message, spellings)).toBe('HTTP/1.1 200 OK\r\nHOST: a\r\n\r\nhost: b\r\nx-case: 1\r\n\r\n');
});

test('an empty list asks for nothing', () => {
  expect(spellingsOf([])).toBe(null);
});

test('what is spelt as it is wanted is the same, and lengths stay (a slow model agrees)', () => {
  const name = fc.stringMatching(/^[A-Za-z-]{1,4}$/);
  const line = fc.tuple(name, fc.stringMatching(/^[A-Za-z:, -]{0,8}$/)).map(([key, value]) => `${key}:${value}`);
  fc.assert(
    fc.property(fc.array(name), fc.array(line), fc.string(), (names, lines, body) => {
      const wanted = spellingsOf(names) ?? new Map<string, string>();
      const modelled = lines.map((text) => {
        const key = text.slice(0, text.indexOf(':'));
        const spelt = names.findLast((one) => one.toLowerCase() === key.toLowerCase()) ?? key;
        return spelt + text.slice(key.length);
      });
      const start = 'HTTP/1.1 200 OK';
      const tail = `\r\n${body}`;
      const expected = `${[start, ...modelled].join('\r\n')}\r\n${tail}`;
      expect(respelt(`${[start, ...lines].join('\r\n')}\r\n${tail}`, wanted)).toBe(expected);
      expect(respelt(expected, wanted)).toBe(expected);
    }),
  );
});
