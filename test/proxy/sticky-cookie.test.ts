import { describe, expect, test } from 'vitest';
import { cookieLine, cookieOf } from '../../src/proxy/upstream/sticky-cookie.ts';
import { endpoint } from '../support/rules.ts';

describe('the line of the sticky cookie', () => {
  test('is that of the rule which asks, though rules share the Endpoint', () => {
    const shared = endpoint(8080);
    const one = { name: 'one', attributes: 'path=/; HttpOnly' };
    const other = { name: 'other', attributes: 'path=/; HttpOnly; Secure' };
    const value = cookieOf(shared);
    for (const cookie of [one, one, other, one, { ...one, name: 'new' }]) {
      expect(cookieLine(cookie, shared)).toBe(`Set-Cookie: ${cookie.name}=${value}; ${cookie.attributes}\r\n`);
    }
  });

  test('tells Endpoints apart', () => {
    const cookie = { name: 'one', attributes: 'path=/' };
    expect(cookieLine(cookie, endpoint(8080))).not.toBe(cookieLine(cookie, endpoint(8081)));
  });
});
