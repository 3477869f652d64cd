import { expect, test } from 'vitest';
import { rewrittenTarget } from '../../src/proxy/session/path-rewrite.ts';

test.each([
  ['/foo', '/', '/foo', '/'],
  ['/foo', '/', '/foo/', '/'],
  ['/foo', '/', '/foo/bar', '/bar'],
  ['/foo', '/', '/foo/bar/', '/bar/'],
  ['/foo', '/bar', '/foo', '/bar'],
  ['/foo', '/bar', '/foo/', '/bar/'],
  ['/foo', '/bar', '/foo/bar', '/bar/bar'],
  ['/foo', '/bar', '/foo/bar/', '/bar/bar/'],
  ['/foo/', '/', '/foo/bar', '/bar'],
  ['/foo/', '/bar', '/foo/', '/bar'],
  ['/foo/', '/bar', '/foo/bar', '/barbar'],
  ['/', '/bar', '/x', '/barx'],
  ['', '/bar', '/x', '/bar/x'],
  ['', '/', '/x', '/x'],
  ['/foo', '/', '/foo?a=/foo', '/?a=/foo'],
  ['/foo', '/bar', '/foo/x?', '/bar/x?'],
  ['/a.b', '/', '/a.b/c', '/c'],
  ['/a.b', '/', '/axb/c', '/axb/c'],
])('%s to %s: %s is %s (Route semantics 5.9)', (prefix, target, asked, expected) => {
  const path = asked.split('?')[0] ?? '';
  expect(rewrittenTarget({ prefix, target, keepsRest: true }, path, asked)).toBe(expected);
});

test('a target that was cut takes the place of the whole path', () => {
  expect(rewrittenTarget({ prefix: '/a', target: '/b', keepsRest: false }, '/a/c', '/a/c?d')).toBe('/b?d');
});
