import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { authorityOf, KnownAuthorities } from '../../src/protocol/known-authorities.ts';

describe('what an authority says', () => {
  test.each<[string, string, string | null]>([
    ['a.test', 'a.test', 'a.test'],
    ['A.Test:8080', 'a.test:8080', 'a.test'],
    ['[::1]:80', '[::1]:80', '[::1]'],
    ['a.test:', 'a.test:', 'a.test'],
    ['user@a.test', 'user@a.test', null],
    ['a.test:x', 'a.test:x', null],
    ['', '', null],
    ['\xfc.test', '\xfc.test', null],
  ])('%j', (sent, text, name) => {
    expect(authorityOf(sent)).toEqual({ sent, text, name });
  });
});

describe('authorities that were asked for before', () => {
  const some = fc.string({ unit: fc.constantFrom('a', 'B', '.', '-', ':', '1', ']', '\xfc'), maxLength: 6 });
  const long = fc.constantFrom(256, 257, 1000).map((length) => 'a'.repeat(length));

  test('say the same as the first time, wherever their bytes lie', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.oneof(some, long), fc.string({ maxLength: 3 })), { maxLength: 200 }),
        (asked) => {
          const known = new KnownAuthorities();
          for (const [sent, before] of [...asked, ...asked]) {
            const bytes = Buffer.from(`${before}${sent}\r\n`, 'latin1');
            const from = Buffer.byteLength(before, 'latin1');
            expect(known.of(bytes, from, from + sent.length)).toEqual(authorityOf(sent));
          }
        },
      ),
    );
  });

  test('may be more than there are places', () => {
    const known = new KnownAuthorities();
    for (let turn = 0; turn < 2; turn++) {
      for (let i = 0; i < 5_000; i++) {
        const sent = `Host-${i}.test`;
        expect(known.of(Buffer.from(sent), 0, sent.length)).toEqual(authorityOf(sent));
      }
    }
  });

  test('are the same object, but for endless ones', () => {
    const known = new KnownAuthorities();
    const ask = (sent: string): object => known.of(Buffer.from(sent), 0, sent.length);
    for (const sent of ['a.test', 'a'.repeat(256)]) expect(ask(sent)).toBe(ask(sent));
    expect(ask('a'.repeat(257))).not.toBe(ask('a'.repeat(257)));
  });
});
