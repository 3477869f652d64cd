// Which downloads go through the proxy: the cases of golang.org/x/net/http/httpproxy's own documentation, and some beyond.

import { expect, test } from 'vitest';
import { proxyFor } from '../../src/controller/download-proxy.ts';

const httpProxy = 'http://proxy.test:3128/';

test.each<[address: string, noProxy: readonly string[], isProxied: boolean]>([
  ['http://a.test/', [], true],
  ['http://a.test/', ['*'], false],
  ['http://a.test/', ['a.test'], false],
  ['http://A.test/', ['a.TEST'], false],
  ['http://b.a.test/', ['a.test'], false],
  ['http://ba.test/', ['a.test'], true],
  ['http://a.test/', ['.a.test'], true],
  ['http://b.a.test/', ['.a.test'], false],
  ['http://b.a.test/', ['*.a.test'], false],
  ['http://lists.shop.svc/', ['.cluster.local', '.svc'], false],
  ['http://a.test/', ['a.test:80'], false],
  ['http://a.test/', ['a.test:81'], true],
  ['http://a.test:81/', ['a.test:81'], false],
  ['http://10.1.2.3/', ['10.0.0.0/8'], false],
  ['http://10.1.2.3/', ['10.1.2.3'], false],
  ['http://10.1.2.3:81/', ['10.1.2.3:81'], false],
  ['http://10.1.2.3/', ['10.1.2.3:81'], true],
  ['http://11.1.2.3/', ['10.0.0.0/8'], true],
  ['http://a.test/', ['10.0.0.0/8'], true],
  ['http://[2001:db8::1]/', ['2001:db8::/32'], false],
  ['http://[2001:db8::1]/', ['2001:db8::1'], false],
  ['http://[2001:db8::1]/', ['[2001:db8::1]:80'], false],
  ['http://[2001:db8::1]/', ['[2001:db8::1]:81'], true],
  ['http://a.test/', ['10.0.0.0/99', 'x/y', '', ':', '[', '.'], true],
  ['http://localhost/', [], false],
  ['http://127.0.0.2:81/', [], false],
  ['http://[::1]/', [], false],
])('%s with NO_PROXY %o: %o', (address, noProxy, isProxied) => {
  expect(proxyFor(new URL(address), { httpProxy, noProxy })).toBe(isProxied ? httpProxy : null);
});

test('without a proxy nothing is proxied', () => {
  expect(proxyFor(new URL('http://a.test/'), { httpProxy: '', noProxy: [] })).toBe(null);
});
