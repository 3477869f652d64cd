import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pathCovers, pathPrefix } from '../../src/table/path.ts';

describe('what a Route’s path covers', () => {
  const cases: readonly {
    readonly prefix: string;
    readonly covers: readonly string[];
    readonly not: readonly string[];
  }[] = [
    // Route semantics 8.15, Q1 to Q4.
    { prefix: '', covers: ['', '/', '/sub', '/sub/', '//'], not: [] },
    { prefix: '/', covers: ['', '/', '/sub', '/sub/', '//'], not: [] },
    { prefix: '///', covers: ['', '/', '/sub'], not: [] },
    { prefix: '/sub/', covers: ['/sub/', '/sub/subsub', '/sub//'], not: ['', '/', '/sub', '/subpar'] },
    { prefix: '/sub', covers: ['/sub', '/sub/', '/sub/subsub'], not: ['', '/', '/subpar', '/su', '/sub;p=1'] },
    // Observed: letter by letter, nothing decoded, no dot segments.
    { prefix: '/sub', covers: ['/sub/../x'], not: ['/SUB', '/%73ub', '/sub%2Fx', '//sub', '/x/../sub', '/./sub'] },
    { prefix: '/Case', covers: ['/Case'], not: ['/case'] },
    { prefix: '/a.b', covers: ['/a.b'], not: ['/axb'] },
    { prefix: '/e%20x', covers: ['/e%20x', '/e%20x/'], not: ['/e x', '/e%20', '/e%2520x'] },
    { prefix: '/p+q(1)', covers: ['/p+q(1)', '/p+q(1)/x'], not: ['/ppq1', '/p+q(1'] },
    { prefix: '/foo/', covers: ['/foo/', '/foo/!x', '/foo/a'], not: ['/foo'] },
    { prefix: '/foo/!x', covers: ['/foo/!x', '/foo/!x/y'], not: ['/foo/!', '/foo/!xy'] },
    { prefix: '//x', covers: ['//x', '//x/y'], not: ['/x', '///x'] },
    // The request target `*` has an empty path.
    { prefix: '/x', covers: ['/x'], not: [''] },
  ];

  test.each(cases)('$prefix', ({ prefix, covers, not }) => {
    const held = pathPrefix(prefix);
    expect(covers.filter((path) => !pathCovers(held, path))).toEqual([]);
    expect(not.filter((path) => pathCovers(held, path))).toEqual([]);
  });

  test('is what the reference’s expression says', () => {
    const path = fc.string({ unit: fc.constantFrom('/', 'a', 'b', '.', '%'), maxLength: 6 });
    fc.assert(
      fc.property(path, path, (a, b) => {
        const prefix = `/${a}`;
        const literal = prefix.replace(/[.]/g, '\\.');
        const expression = /^\/+$/.test(prefix)
          ? /^(\/.*)?$/
          : new RegExp(`^${literal}${a.endsWith('/') ? '' : '(/.*)?$'}`);
        expect(pathCovers(pathPrefix(prefix), `/${b}`)).toBe(expression.test(`/${b}`));
      }),
      { numRuns: 2000 },
    );
  });

  test('a longer prefix covers no more than a shorter one that covers it', () => {
    const path = fc.string({ unit: fc.constantFrom('/', 'a', 'b'), maxLength: 6 }).map((text) => `/${text}`);
    fc.assert(
      fc.property(path, path, path, (outer, inner, asked) => {
        if (!pathCovers(pathPrefix(outer), inner)) return;
        if (pathCovers(pathPrefix(inner), asked) && pathPrefix(inner) !== '') {
          expect(pathCovers(pathPrefix(outer), asked)).toBe(true);
        }
      }),
    );
  });
});

test.each([
  ['', ''],
  ['/', ''],
  ['////', ''],
  ['/sub', '/sub'],
  ['/sub/', '/sub/'],
  ['//sub', '//sub'],
  ['/a?b', '/a?b'],
])('%j is held as %j', (specPath, held) => {
  expect(pathPrefix(specPath)).toBe(held);
});
