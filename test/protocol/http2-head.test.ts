import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lineValue, RequestFields, ResponseFields, TrailerFields, writeLines } from '../../src/protocol/http2-head.ts';
import { RequestHead } from '../../src/protocol/request-head.ts';

type Field = readonly [name: string, value: string];

const limits = { maxHeadBytes: 8_192, maxHeaderLines: 100 };
const key = (): string => 'a-key';

const get: readonly Field[] = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'a.test'],
  [':path', '/x?y=1'],
];
const post = replaced(':method', 'POST');
const connect: readonly Field[] = [...replaced(':method', 'CONNECT'), [':protocol', 'websocket']];

function replaced(name: string, value: string): readonly Field[] {
  return get.map((field) => (field[0] === name ? [name, value] : field));
}

function without(name: string): readonly Field[] {
  return get.filter((field) => field[0] !== name);
}

/** The head as text, or the reason that it is none; also of what the reader of heads says of it. */
function requestOf(fields: readonly Field[], content: 'content' | 'none' = 'none'): string {
  const request = new RequestFields(limits.maxHeadBytes);
  request.begin();
  for (const [name, value] of fields) request.field(name, value);
  const head = request.head(content === 'content', key);
  if (typeof head === 'string') return head;
  const problem = new RequestHead(limits).read(head.text);
  return problem === null ? head.text : problem.reason;
}

describe('a request', () => {
  const sound: readonly (readonly [
    what: string,
    fields: readonly Field[],
    content: 'content' | 'none',
    text: string,
  ])[] = [
    ['a GET', get, 'none', 'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n'],
    [
      'fields',
      [...get, ['accept', '*/*'], ['x-a', '']],
      'none',
      'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\nx-a: \r\n',
    ],
    [
      'Host in place of :authority',
      [...without(':authority'), ['host', 'a.test']],
      'none',
      'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n',
    ],
    ['both, alike but for case', [...get, ['host', 'A.test']], 'none', 'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n'],
    [
      'crumbs of a cookie',
      [...get, ['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2']],
      'none',
      'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nx: y\r\ncookie: a=1; b=2\r\n',
    ],
    [
      'content of unknown length',
      post,
      'content',
      'POST /x?y=1 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n',
    ],
    [
      'content of known length',
      [...post, ['content-length', '5']],
      'content',
      'POST /x?y=1 HTTP/1.1\r\nHost: a.test\r\ncontent-length: 5\r\n',
    ],
    ['a POST without content', post, 'none', 'POST /x?y=1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n'],
    [
      'trailers wanted',
      [...get, ['te', 'trailers']],
      'none',
      'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nConnection: TE\r\nTE: trailers\r\n',
    ],
    [
      'OPTIONS *',
      [
        [':method', 'OPTIONS'],
        [':scheme', 'http'],
        [':authority', 'a.test'],
        [':path', '*'],
      ],
      'none',
      'OPTIONS * HTTP/1.1\r\nHost: a.test\r\n',
    ],
    [
      'a WebSocket',
      [...connect, ['sec-websocket-key', 'theirs'], ['sec-websocket-version', '13']],
      'content',
      'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nsec-websocket-version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a-key\r\n',
    ],
    [
      'obs-text in a value',
      [...get, ['x', 'caf\xe9']],
      'none',
      'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\nx: caf\xe9\r\n',
    ],
  ];
  test.each(sound)('%s', (_what, fields, content, text) => {
    expect(requestOf(fields, content)).toBe(text);
  });

  const refused: readonly {
    readonly what: string;
    readonly reason: string;
    readonly fields: readonly Field[];
    readonly content?: 'content' | 'none';
  }[] = (
    [
      ['no method', 'bad-pseudo-header', without(':method')],
      ['no scheme', 'bad-pseudo-header', without(':scheme')],
      ['no path', 'bad-target', without(':path')],
      ['no authority and no Host', 'missing-host', without(':authority')],
      ['an empty path', 'bad-pseudo-header', replaced(':path', '')],
      ['two paths', 'bad-pseudo-header', [...get, [':path', '/']]],
      ['two methods', 'bad-pseudo-header', [...get, [':method', 'GET']]],
      ['a pseudo-header behind a field', 'bad-pseudo-header', [['a', 'b'], ...get]],
      ['an unknown pseudo-header', 'bad-pseudo-header', [...get, [':version', '2']]],
      ["a response's pseudo-header", 'bad-pseudo-header', [...get, [':status', '200']]],
      ['a path that ends the line', 'bad-pseudo-header', replaced(':path', '/ HTTP/1.1\r\nX: y')],
      ['a blank in the path', 'bad-pseudo-header', replaced(':path', '/a b')],
      ['a path that is a URL', 'bad-target', replaced(':path', 'http://b.test/')],
      ['a fragment', 'bad-target', replaced(':path', '/a#b')],
      ['a path without its slash', 'bad-target', replaced(':path', 'a')],
      ['GET *', 'bad-target', replaced(':path', '*')],
      ['a method that ends the line', 'bad-pseudo-header', replaced(':method', 'GET /\r\n')],
      ['a method that is no token', 'bad-request-line', replaced(':method', 'GE(T')],
      ['another scheme', 'bad-pseudo-header', replaced(':scheme', 'ftp')],
      ['user information', 'bad-host', replaced(':authority', 'me@a.test')],
      ['Host and :authority that differ', 'host-differs-from-target', [...get, ['host', 'b.test']]],
      ['two Hosts', 'several-hosts', [...without(':authority'), ['host', 'a.test'], ['host', 'a.test']]],
      [
        'CONNECT',
        'method-not-allowed',
        [
          [':method', 'CONNECT'],
          [':authority', 'a.test:80'],
        ],
      ],
      [
        'a tunnel that is no WebSocket',
        'unknown-protocol',
        [...replaced(':method', 'CONNECT'), [':protocol', 'connect-udp']],
        'content',
      ],
      [':protocol of another method', 'bad-pseudo-header', [...get, [':protocol', 'websocket']], 'content'],
      ['a tunnel that has ended', 'bad-content-length', connect, 'none'],
      ['a tunnel of a known length', 'bad-content-length', [...connect, ['content-length', '3']], 'content'],
      ['an upper-case name', 'bad-field-name', [...get, ['Accept', '*/*']]],
      ['an empty name', 'bad-field-name', [...get, ['', 'x']]],
      ['a colon in a name', 'bad-field-name', [...get, ['a:b', 'x']]],
      ['a line end in a name', 'bad-field-name', [...get, ['a\r\nb', 'x']]],
      ['a line end in a value', 'bad-field-value', [...get, ['a', 'x\r\nb: y']]],
      ['a line feed in a value', 'bad-field-value', [...get, ['a', 'x\ny']]],
      ['NUL in a value', 'bad-field-value', [...get, ['a', 'x\0']]],
      ['a blank before a value', 'bad-field-value', [...get, ['a', ' x']]],
      ['a blank behind a value', 'bad-field-value', [...get, ['a', 'x\t']]],
      ['Connection', 'connection-specific-field', [...get, ['connection', 'close']]],
      ['Transfer-Encoding', 'connection-specific-field', [...post, ['transfer-encoding', 'chunked']], 'content'],
      ['Upgrade', 'connection-specific-field', [...get, ['upgrade', 'websocket']]],
      ['Keep-Alive', 'connection-specific-field', [...get, ['keep-alive', '5']]],
      ['Proxy-Connection', 'connection-specific-field', [...get, ['proxy-connection', 'x']]],
      ['TE but trailers', 'connection-specific-field', [...get, ['te', 'gzip']]],
      ['a length without content', 'bad-content-length', [...post, ['content-length', '5']]],
      [
        'lengths that differ',
        'bad-content-length',
        [...post, ['content-length', '5'], ['content-length', '6']],
        'content',
      ],
      ['a length that is no number', 'bad-content-length', [...post, ['content-length', '-5']], 'content'],
      ['more than the limit', 'head-too-large', [...get, ['a', 'x'.repeat(8_192)]]],
    ] as readonly (readonly [string, string, readonly Field[], ('content' | 'none')?])[]
  ).map(([what, reason, fields, content]) => ({ what, reason, fields, ...(content === undefined ? {} : { content }) }));
  test.each(refused)('$what: $reason', ({ reason, fields, content }) => {
    expect(requestOf(fields, content)).toBe(reason);
  });

  test('is one request, whatever stands in its fields', () => {
    const text = fc.string({ unit: 'binary-ascii', maxLength: 20 });
    const name = fc.oneof(
      text,
      fc.constantFrom(':method', ':path', ':authority', 'host', 'cookie', 'te', 'content-length'),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { maxLength: 8 }), (fields) => {
        const request = new RequestFields(limits.maxHeadBytes);
        request.begin();
        for (const [field, value] of [...get, ...fields]) request.field(field, value);
        const head = request.head(true, key);
        if (typeof head === 'string') return;
        // Every line is one that was meant: no field makes two of them, none ends the head.
        const lines = head.text.split('\r\n').slice(1, -1);
        expect(lines.every((line) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\r\n\0]*$/.test(line))).toBe(true);
        expect(lines.length).toBeLessThanOrEqual(fields.length * 2 + 2);
      }),
      { numRuns: 2_000 },
    );
  });

  test('leaves nothing behind for the next one', () => {
    const request = new RequestFields(limits.maxHeadBytes);
    request.begin();
    for (const [name, value] of [...connect, ['a', 'x\n'], ['cookie', 'c']] as const) request.field(name, value);
    request.begin();
    for (const [name, value] of get) request.field(name, value);
    expect(request.head(false, key)).toEqual({ text: 'GET /x?y=1 HTTP/1.1\r\nHost: a.test\r\n' });
    expect(request.isTunnel).toBe(false);
  });
});

describe('a response', () => {
  const cases: readonly (readonly [what: string, fields: readonly Field[], head: string])[] = [
    ['a status', [[':status', '200']], 'HTTP/1.1 200 \r\n'],
    [
      'fields',
      [
        [':status', '404'],
        ['set-cookie', 'a'],
        ['set-cookie', 'b'],
      ],
      'HTTP/1.1 404 \r\nset-cookie: a\r\nset-cookie: b\r\n',
    ],
    ['no status', [['a', 'b']], 'bad-status-line'],
    [
      'two statuses',
      [
        [':status', '200'],
        [':status', '200'],
      ],
      'bad-status-line',
    ],
    ['a status that ends the line', [[':status', '2\r\n']], 'bad-status-line'],
    [
      "a request's pseudo-header",
      [
        [':status', '200'],
        [':path', '/'],
      ],
      'bad-status-line',
    ],
    [
      'a status behind a field',
      [
        ['a', 'b'],
        [':status', '200'],
      ],
      'bad-pseudo-header',
    ],
    [
      'Connection',
      [
        [':status', '200'],
        ['connection', 'close'],
      ],
      'connection-specific-field',
    ],
    [
      'a line end in a value',
      [
        [':status', '200'],
        ['a', 'b\r\nc: d'],
      ],
      'bad-field-value',
    ],
  ];
  test.each(cases)('%s', (_what, fields, expected) => {
    const response = new ResponseFields(limits.maxHeadBytes);
    response.begin();
    for (const [name, value] of fields) response.field(name, value);
    const head = response.head();
    expect(typeof head === 'string' ? head : head.text).toBe(expected);
  });
});

test('trailers are lines; pseudo-headers are none', () => {
  const trailer = new TrailerFields(limits.maxHeadBytes);
  trailer.begin();
  trailer.field('grpc-status', '0');
  expect([trailer.text, trailer.problem]).toEqual(['grpc-status: 0\r\n', null]);
  trailer.field(':status', '200');
  expect(trailer.problem).toBe('bad-pseudo-header');
  trailer.begin();
  expect([trailer.text, trailer.problem]).toEqual(['', null]);
});

describe('lines as fields', () => {
  function fieldsOf(lines: string): Field[] {
    const fields: Field[] = [];
    writeLines(lines, 0, lines.length, { field: (name, value) => fields.push([name, value]) });
    return fields;
  }

  test('are in lower case, without blanks, and without what belongs to a connection', () => {
    const lines =
      'Host: a\r\nX-Yz:  a  b \t\r\nConnection: TE\r\nTE: trailers\r\nKeep-Alive: x\r\nTransfer-Encoding: chunked\r\n' +
      'Upgrade: h2c\r\nProxy-Connection: x\r\nempty:\r\nx-yz:c\r\n';
    expect(fieldsOf(lines)).toEqual([
      ['x-yz', 'a  b'],
      ['te', 'trailers'],
      ['empty', ''],
      ['x-yz', 'c'],
    ]);
  });

  test('say of TE that trailers are taken, or nothing', () => {
    expect(fieldsOf('te: gzip\r\n')).toEqual([]);
  });

  test('are the same on the way back', () => {
    const name = fc.stringMatching(/^x-[a-z0-9]{1,12}$/);
    const value = fc.stringMatching(/^[!-~]{0,8}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 10 }), (fields) => {
        expect(fieldsOf(fields.map(([field, text]) => `${field}: ${text}\r\n`).join(''))).toEqual(fields);
      }),
    );
  });
});

test('a line is found by its name, whatever its case, and not within others', () => {
  const head = 'GET /host: HTTP/1.1\r\nx-host: no\r\na: host: no\r\nHOST: a.test\r\nhost: second\r\n\r\n';
  expect(lineValue(head, 'host')).toBe('a.test');
  expect(lineValue(head, 'upgrade')).toBe('');
  expect(lineValue('GET / HTTP/1.1\r\n\r\n', 'host')).toBe('');
});
