import { expect, test } from 'vitest';
import { readHeaderActions } from '../../src/config/header-settings.ts';
import { readIdFormat } from '../../src/config/id-format.ts';
import { readValue } from '../../src/config/values.ts';
import type { HeaderAction } from '../../src/table/header-actions.ts';

const der = { clientCertificate: 'der', converters: ['base64'] } as const;

/** Route semantics 8.11. */
const taken: readonly (readonly [id: string, text: string, actions: readonly HeaderAction[]])[] = [
  ['M1', 'Accept:text%2Fplain%2C+text%2Fhtml:Set', [{ name: 'Accept', parts: ['text/plain, text/html'] }]],
  [
    'M3',
    'X-Frame-Options:DENY:Set,X-XSS-Protection:1%3Bmode%3Dblock:Set,x-forwarded-client-cert:%25%7B%2BQ%7D%5Bssl_c_der%2Cbase64%5D:Set',
    [
      { name: 'X-Frame-Options', parts: ['DENY'] },
      { name: 'X-XSS-Protection', parts: ['1;mode=block'] },
      { name: 'x-forwarded-client-cert', parts: [der] },
    ],
  ],
  [
    'M4',
    'Accept:text%2Fplain%2C+text%2Fhtml:Set,Accept-Encoding:Delete',
    [
      { name: 'Accept', parts: ['text/plain, text/html'] },
      { name: 'Accept-Encoding', parts: null },
    ],
  ],
];
test.each(taken)('%s', (_id, text, actions) => {
  expect(readHeaderActions(text, 'request')).toEqual({ kind: 'actions', actions });
});

const refused: readonly (readonly [id: string, text: string, because: string])[] = [
  [
    'M2',
    'Content-Location%3A%252Fmy-first-blog-post%3ASet',
    'invalid HTTP header input specification: Content-Location%3A%252Fmy-first-blog-post%3ASet',
  ],
  ['M5, value', 'X-Frame-Options:%zz:Set', 'failed to decode percent encoding: %zz'],
  ['M5, action of three', 'X-Frame-Options:DENY:Set%', 'failed to decode percent encoding: Set%'],
  ['M5, action of two', 'X-Frame-Options:%Delete%', 'failed to decode percent encoding: %Delete%'],
  ['M6', 'X-Frame-Options:DENY:Bad', 'invalid action: Bad'],
  ['M6', 'X-Frame-Options:Bad', 'invalid action: Bad'],
  ['M7', 'X-Frame-Options', 'invalid HTTP header input specification: X-Frame-Options'],
  ['M9', 'X-Frame-Options**!=:DENY:Set', 'invalid HTTP header name: X-Frame-Options**!='],
  ['M9', 'X-Frame-Options**!=:Delete', 'invalid HTTP header name: X-Frame-Options**!='],
  ['M10', 'X:a:b:Set', 'invalid HTTP header input specification: X:a:b:Set'],
  ['nothing between commas', 'A:Delete,,B:Delete', 'invalid HTTP header input specification: '],
  ['a value with a line feed', 'X:a%0D%0AY:Set', 'invalid HTTP header value: (a text of 4 characters)'],
  ['a value that reads answers', 'X:%25%5Bres.hdr(a)%5D:Set', 'invalid HTTP header value: %[res.hdr(a)]'],
  ['framing', 'Content-Length:0:Set', 'Content-Length: the router itself decides on this field'],
];
test.each(refused)('%s: %s', (_id, text, because) => {
  expect(readHeaderActions(text, 'request')).toEqual({ kind: 'problem', because });
});

test('M8: no text at all is no action', () => {
  const kind = { kind: 'header-actions', direction: 'request' } as const;
  expect(readValue(kind, '', 'strict')).toEqual({ kind: 'value', value: [] });
});

test('the format of ids that OpenShift sets', () => {
  const hex = (variable: string): object => ({ variable, base: 'hexadecimal' });
  expect(readIdFormat('%{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid')).toEqual({
    kind: 'parts',
    parts: [
      ...[' ', hex('ci'), ':', hex('cp'), '_', hex('fi'), ':', hex('fp'), '_', hex('Ts'), '_', hex('rt'), ':'],
      hex('pid'),
    ],
  });
});

test.each(['%T', '%', '%{+Q}o', '%{+X}ci', '%cix', '%ci %[src]', 'a\nb', 'é'])('no format of ids: %o', (text) => {
  expect(readIdFormat(text).kind).toBe('problem');
});

test.each([
  ['X-Request-Id', true],
  ['', true],
  ['a b', false],
  ['Content-Length', false],
  ['Host', false],
])('the header of ids: %o', (name, expected) => {
  expect(readValue({ kind: 'header-name' }, name, 'strict').kind === 'value').toBe(expected);
});
