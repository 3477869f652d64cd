// Addresses and networks as texts, and who is in them.

import { describe, expect, test } from 'vitest';
import { AddressList, parseNetwork } from '../../src/table/address-list.ts';
import { isCookieName } from '../../src/table/cookie-name.ts';

test.each<readonly [text: string, address: string, bits: number]>([
  ['192.0.2.1', '192.0.2.1', 32],
  ['192.0.2.1/32', '192.0.2.1', 32],
  ['10.1.2.3/8', '10.1.2.3', 8],
  ['10.0.0.0/08', '10.0.0.0', 8],
  ['0.0.0.0/0', '0.0.0.0', 0],
  ['2001:DB8::1', '2001:DB8::1', 128],
  ['2001:db8::/32', '2001:db8::', 32],
  ['::/0', '::', 0],
  ['::ffff:10.0.0.1/128', '::ffff:10.0.0.1', 128],
])('%s is a network', (text, address, bits) => {
  expect(parseNetwork(text)).toEqual({ address, bits });
});

test.each([
  ...['', '/', '/8', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/-1', '10.0.0.0/+8', '10.0.0.0/8.0', '10/8'],
  ...[
    '::/129',
    '::/1e2',
    '::/0008',
    'fe80::1%eth0',
    '::%lo/64',
    '[::1]',
    'a.test',
    '010.0.0.1',
    ' 10.0.0.1',
    '10.0.0.1 ',
  ],
])('"%s" is none', (text) => {
  expect(parseNetwork(text)).toBeNull();
});

describe('a list', () => {
  const list = new AddressList(['192.0.2.1', '10.1.2.3/8', '2001:db8::1/32', '::1', 'nonsense', '10.0.0.0/99']);

  test.each([
    ['192.0.2.1', true],
    ['192.0.2.2', false],
    ['10.255.0.1', true],
    ['11.0.0.1', false],
    ['2001:db8:ffff::1', true],
    ['2001:db9::1', false],
    ['::1', true],
    ['::2', false],
    ['', false],
    ['nonsense', false],
  ])('%s in it: %s', (address, expected) => {
    expect(list.has(address)).toBe(expected);
  });
});

test('names of cookies', () => {
  const texts = ['a', 'A-b_9', '', 'a b', 'a=b', 'a;b', 'a\n', 'é', 'a.b'];
  expect(texts.filter(isCookieName)).toEqual(['a', 'A-b_9']);
});
