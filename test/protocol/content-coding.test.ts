// Content codings: which one a client wants, which answers may be coded, and what their heads say then.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Coding,
  codedLines,
  forbidsChange,
  isCodable,
  isOfType,
  notModifiedLines,
  varyLine,
  wantedCoding,
} from '../../src/protocol/content-coding.ts';
import { ResponseHead } from '../../src/protocol/response-head.ts';

const all: readonly Coding[] = ['gzip', 'br', 'zstd'];
const types = ['text/html', 'text/plain', 'text/css'];

function headOf(...lines: readonly string[]): ResponseHead {
  const head = new ResponseHead({ maxHeadBytes: 24_576, maxHeaderLines: 100 });
  const [first = '', ...fields] = lines[0]?.startsWith('HTTP/') === true ? lines : ['HTTP/1.1 200 OK', ...lines];
  expect(head.read([first, ...fields, ''].join('\r\n'))).toBeNull();
  return head;
}

const wanted: readonly (readonly [acceptEncoding: string, offered: readonly Coding[], coding: Coding | null])[] = [
  ['', all, null],
  ['gzip', all, 'gzip'],
  ['GZip', all, 'gzip'],
  ['x-gzip', all, 'gzip'],
  ['gzip, deflate, br, zstd', all, 'gzip'],
  ['gzip, deflate, br, zstd', ['zstd', 'br', 'gzip'], 'zstd'],
  ['gzip, deflate, br, zstd', ['br'], 'br'],
  ['deflate', all, null],
  ['deflate, gzip;q=1.0, *;q=0.5', all, 'gzip'],
  ['gzip;q=0.5, br', all, 'br'],
  ['gzip;q=0.5 , br ; q=0.8', all, 'br'],
  ['gzip;Q=0.5, br;q=0.501', all, 'br'],
  ['gzip;q=0', all, null],
  ['gzip;q=0.000', ['gzip'], null],
  ['gzip;q=0, *', all, 'br'],
  ['gzip;q=0, *', ['gzip'], null],
  ['*', all, 'gzip'],
  ['*', ['zstd'], 'zstd'],
  ['*;q=0', all, null],
  ['*;q=0, gzip', all, 'gzip'],
  ['br;q=0.1, *;q=0.9', all, 'gzip'],
  ['identity', all, null],
  ['identity, gzip', all, 'gzip'],
  ['identity;q=1, gzip;q=0.5', all, null],
  ['identity;q=0.5, gzip;q=1', all, 'gzip'],
  ['identity;q=0, gzip;q=0', all, null],
  ['gzip;q=2', all, null],
  ['gzip;q=', all, null],
  ['gzip;q=0.1234', all, null],
  ['gzip;q=1.001', all, null],
  ['gzip;q=-1', all, null],
  ['gzip;level=9', all, null],
  ['gzip;q=1;level=9', all, null],
  ['gzip;q=nonsense, br', all, 'br'],
  [', ,gzip,,', all, 'gzip'],
  ['gzip;q=0, gzip;q=1', all, null],
  ['gzipped, xgzip, g zip', all, null],
  ['gzip', [], null],
];

test.each(wanted)('Accept-Encoding %j with %j on offer: %s', (acceptEncoding, offered, coding) => {
  expect(wantedCoding(acceptEncoding, offered)).toBe(coding);
});

test('the first of those with the highest weight above 0, if not outweighed by no coding at all', () => {
  const weights = fc.constantFrom(0, 0.001, 0.25, 0.5, 0.999, 1);
  const names = fc.constantFrom('gzip', 'br', 'zstd', 'identity', '*', 'deflate');
  const lists = fc.uniqueArray(fc.tuple(names, weights), { selector: ([name]) => name });
  const offers = fc.shuffledSubarray([...all]);
  fc.assert(
    fc.property(lists, offers, (list, offered) => {
      const weightOf = (name: string): number | undefined => list.find(([listed]) => listed === name)?.[1];
      const usable = offered
        .map((coding) => ({ coding, weight: weightOf(coding) ?? weightOf('*') ?? 0 }))
        .filter(({ weight }) => weight > 0 && weight >= (weightOf('identity') ?? 0));
      const most = Math.max(...usable.map(({ weight }) => weight));
      const text = list.map(([name, weight]) => `${name};q=${weight}`).join(', ');
      expect(wantedCoding(text, offered)).toBe(usable.find(({ weight }) => weight === most)?.coding ?? null);
    }),
  );
});

test('no text makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'gzip br*;q=01.,"\t\u00e9') }), (text) => {
      expect([...all, null]).toContain(wantedCoding(text, all));
    }),
  );
});

const typed: readonly (readonly [contentType: string, types: readonly string[], fits: boolean])[] = [
  ['text/html', types, true],
  ['text/html; charset=utf-8', types, true],
  ['text/html;charset=utf-8', types, true],
  ['text/html ; charset=utf-8', types, true],
  ['text/htmlx', types, false],
  ['text/html+xml', types, false],
  ['text/xml', types, false],
  ['application/json', types, false],
  ['', types, false],
  ['text/plain; charset=utf-8', ['text/plain; charset=utf-8'], true],
  ['text/plain', ['text/plain; charset=utf-8'], false],
  ['text/plain; charset=latin1', ['text/plain; charset=utf-8'], false],
  ['image/svg+xml', ['image'], true],
  ['image/svg+xml', ['image/'], true],
  ['image/svg+xml', ['image/*'], true],
  ['imagery/x', ['image'], false],
  ['text/event-stream', ['text/*'], false],
  ['text/event-stream; charset=utf-8', ['text/event-stream'], false],
  ['application/grpc', ['application/*'], false],
  ['application/grpc+proto', ['application/grpc+proto'], false],
  ['application/grpc-web', ['application/*'], false],
];

test.each(typed)('type %j among %j: %s', (contentType, meant, fits) => {
  expect(isOfType(contentType, meant)).toBe(fits);
});

const html = 'Content-Type: text/html';
const codable: readonly (readonly [title: string, lines: readonly string[], codable: boolean])[] = [
  ['a page', [html, 'Content-Length: 1000'], true],
  ['a page in chunks', [html, 'Transfer-Encoding: chunked'], true],
  ['a page until the end', [html], true],
  ['a type in capitals', ['content-type: Text/HTML'], true],
  ['no type', ['Content-Length: 1000'], false],
  ['another type', ['Content-Type: image/png'], false],
  ['19 bytes', [html, 'Content-Length: 19'], false],
  ['20 bytes', [html, 'Content-Length: 20'], true],
  ['no bytes', [html, 'Content-Length: 0'], false],
  ['an error page', ['HTTP/1.1 404 Not Found', html], true],
  ['204', ['HTTP/1.1 204 No Content', html], false],
  ['205', ['HTTP/1.1 205 Reset Content', html], false],
  ['206', ['HTTP/1.1 206 Partial Content', html, 'Content-Range: bytes 0-9/100'], false],
  ['304', ['HTTP/1.1 304 Not Modified', html], false],
  ['103', ['HTTP/1.1 103 Early Hints', html], false],
  ['Content-Range with another status', [html, 'Content-Range: bytes 0-9/100'], false],
  ['coded by the pod', [html, 'Content-Encoding: gzip'], false],
  ['coded by the pod in a way nobody knows', [html, 'content-encoding: foo'], false],
  ['coded twice by the pod', [html, 'Content-Encoding: identity', 'Content-Encoding: br'], false],
  ['identity', [html, 'Content-Encoding: Identity'], true],
  ['no-transform', [html, 'Cache-Control: public, No-Transform'], false],
  ['no-transform in a second line', [html, 'Cache-Control: public', 'Cache-Control: no-transform'], false],
  ['other directives', [html, 'Cache-Control: no-cache, no-transformers'], true],
  ['a digest of the bytes', [html, 'Content-Digest: sha-256=:AAAA:'], false],
  ['a digest of old', [html, 'Content-MD5: AAAA'], false],
];

test.each(codable)('%s', (_title, lines, expected) => {
  expect(isCodable(headOf(...lines), types)).toBe(expected);
});

test('no-transform among the directives of a request', () => {
  expect(forbidsChange('')).toBe(false);
  expect(forbidsChange('max-age=0')).toBe(false);
  expect(forbidsChange('max-age=0, NO-TRANSFORM')).toBe(true);
});

const varied: readonly (readonly [lines: readonly string[], line: string])[] = [
  [[], 'Vary: Accept-Encoding\r\n'],
  [['Vary: Origin'], 'Vary: Accept-Encoding\r\n'],
  [['Vary: Accept'], 'Vary: Accept-Encoding\r\n'],
  [['Vary: Origin, accept-ENCODING'], ''],
  [['Vary: Origin', 'vary: Accept-Encoding'], ''],
  [['Vary: *'], ''],
];

test.each(varied)('Vary of %j gets %j', (lines, line) => {
  expect(varyLine(headOf(...lines))).toBe(line);
});

describe('the head of a coded answer', () => {
  const heads: readonly (readonly [title: string, lines: readonly string[], expected: readonly string[]])[] = [
    ['loses its length', ['Content-Length: 100', html], [html, 'Content-Encoding: gzip', 'Vary: Accept-Encoding']],
    [
      'loses chunks and the announcement of trailers',
      [html, 'Trailer: X-Sum', 'Transfer-Encoding: chunked', 'X-A: 1'],
      [html, 'X-A: 1', 'Content-Encoding: gzip', 'Vary: Accept-Encoding'],
    ],
    [
      'keeps its Vary',
      [html, 'Vary: Origin'],
      [html, 'Vary: Origin', 'Content-Encoding: gzip', 'Vary: Accept-Encoding'],
    ],
    ['has no Vary twice', [html, 'Vary: *'], [html, 'Vary: *', 'Content-Encoding: gzip']],
    [
      'says no other coding, and offers no ranges',
      [html, 'Content-Encoding: identity', 'Accept-Ranges: bytes', 'Content-Type-Options: x'],
      [html, 'Content-Type-Options: x', 'Content-Encoding: gzip', 'Vary: Accept-Encoding'],
    ],
    [
      'makes a strong validator weak',
      ['ETag: "abc"', html],
      [html, 'Content-Encoding: gzip', 'Vary: Accept-Encoding', 'ETag: W/"abc"'],
    ],
    [
      'keeps a weak validator',
      ['ETag: W/"abc"', html],
      ['ETag: W/"abc"', html, 'Content-Encoding: gzip', 'Vary: Accept-Encoding'],
    ],
    ['loses nonsense', ['ETag: abc', html], [html, 'Content-Encoding: gzip', 'Vary: Accept-Encoding']],
  ];

  test.each(heads)('%s', (_title, lines, expected) => {
    const head = headOf(...lines);
    const own = codedLines(head, 'gzip');
    expect(head.render(own).split('\r\n').slice(1, -2)).toEqual(expected);
  });
});

describe('the validator of a 304', () => {
  const strong = 'ETag: "a,b"';
  const weakened = ['ETag: W/"a,b"', 'Vary: Accept-Encoding'];
  const cases: readonly (readonly [
    title: string,
    lines: readonly string[],
    asked: string,
    expected: readonly string[],
  ])[] = [
    ['who has the coded content', [strong], 'W/"a,b"', weakened],
    ['among others', [strong], '"x", W/"y",W/"a,b" , "z"', weakened],
    ['that varies already', [strong, 'Vary: accept-encoding'], 'W/"a,b"', ['Vary: accept-encoding', weakened[0] ?? '']],
    ['who has the content as it is', [strong], '"a,b"', [strong]],
    ['who has both', [strong], '"a,b", W/"a,b"', [strong]],
    ['who has another', [strong], 'W/"a", "b"', [strong]],
    ['who has one with this in it', ['ETag: ","'], 'W/"a","b"', ['ETag: ","']],
    ['who has any', [strong], '*', [strong]],
    ['who did not ask', [strong], '', [strong]],
    ['of a weak one', ['ETag: W/"a,b"'], 'W/"a,b"', ['ETag: W/"a,b"']],
    ['without any', ['X-A: 1'], 'W/"a,b"', ['X-A: 1']],
    ['that is none', ['ETag: a'], 'W/"a"', ['ETag: a']],
    ['that is there twice', [strong, strong], 'W/"a,b"', [strong, strong]],
  ];
  test.each(cases)('%s', (_title, lines, asked, expected) => {
    const head = headOf('HTTP/1.1 304 Not Modified', ...lines);
    const own = notModifiedLines(head, asked);
    expect(head.render(own).split('\r\n').slice(1, -2)).toEqual(expected);
  });
});
