// Log formats: every variable, flags, escapes, blanks, and what is refused at the start. What is expected was seen with
// HAProxy 2.6 unless a case says otherwise.

import { hostname } from 'node:os';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AccessLine } from '../../../src/proxy/access-log/access-line.ts';
import { localMoment, syslogDate, universalDate, zonedDate } from '../../../src/proxy/access-log/log-dates.ts';
import { httpFormat, readLogFormat, tcpFormat } from '../../../src/proxy/access-log/log-format.ts';
import { accessLine, plainFacts, tlsFacts } from './lines.ts';

const open = (listener: 'http' | 'https' | null): number => (listener === null ? 9 : listener === 'http' ? 4 : 5);

function rendered(format: string, line: AccessLine, captures = { request: 2, response: 1 }): string {
  const reading = readLogFormat(format, captures, open);
  return reading.kind === 'format' ? reading.format.render(line) : `problem: ${reading.because}`;
}

const forwarded = accessLine();
const secure = accessLine(
  {
    scheme: 'https',
    termination: 'reencrypt',
    handshakeMs: 4.2,
    httpVersion: '2.0',
    retries: 2,
    uniqueId: 'abc-1',
    cookieState: 'NI',
    request: { headers: ['www.example.test', null], cookie: 'sess=1' },
    response: { headers: ['text/html; x="1"'], cookie: 'sess=2' },
  },
  tlsFacts,
);
const unread = accessLine({
  method: '',
  target: '',
  host: '',
  status: 400,
  route: null,
  termination: null,
  pick: null,
  headMs: null,
  queueMs: null,
  connectMs: null,
  firstByteMs: null,
  end: 'bad-request-line',
  terminationState: 'PR',
});
const handedThrough = accessLine(
  {
    scheme: 'tls',
    method: '',
    target: '',
    status: 0,
    termination: 'passthrough',
    headMs: null,
    firstByteMs: null,
    terminationState: 'cD',
  },
  { ...tlsFacts, frontend: 'public_ssl', tlsVersion: '', tlsCipher: '' },
);

const variables: readonly (readonly [
  variable: string,
  plain: string,
  secure: string,
  unread: string,
  passthrough: string,
])[] = [
  ['%ci', '192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.1'],
  ['%cp', '51234', '51234', '51234', '51234'],
  ['%fi', '10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.1'],
  ['%fp', '80', '443', '80', '443'],
  ['%si', '10.1.0.7', '10.1.0.7', '-', '10.1.0.7'],
  ['%sp', '8080', '8080', '0', '8080'],
  ['%f', 'public', 'fe_sni', 'public', 'public_ssl'],
  ['%ft', 'public', 'fe_sni~', 'public', 'public_ssl'],
  ['%b', 'be_http:shop:front', 'be_secure:shop:front', 'public', 'be_tcp:shop:front'],
  [
    '%s',
    'pod:shop-1:shop:http:10.1.0.7:8080',
    'pod:shop-1:shop:http:10.1.0.7:8080',
    '<NOSRV>',
    'pod:shop-1:shop:http:10.1.0.7:8080',
  ],
  ['%Th', '0', '4', '0', '0'],
  ['%Ti', '10', '10', '10', '10'],
  ['%TR', '1', '1', '-1', '-1'],
  ['%Tq', '11', '16', '-1', '-1'],
  ['%Tw', '0', '0', '-1', '0'],
  ['%Tc', '2', '2', '-1', '2'],
  ['%Tr', '20', '20', '-1', '-1'],
  ['%Td', '6', '6', '-1', '-1'],
  ['%Ta', '30', '30', '30', '30'],
  ['%Tt', '41', '45', '41', '41'],
  ['%Tu', '30', '34', '30', '30'],
  ['%ST', '200', '200', '400', '0'],
  ['%B', '2750', '2750', '2750', '2750'],
  ['%U', '150', '150', '150', '150'],
  ['%ts', '--', '--', 'PR', 'cD'],
  ['%tsc', '----', '--NI', 'PR--', 'cD--'],
  ['%rc', '0', '+2', '0', '0'],
  ['%ac/%fc/%bc/%sc', '9/4/0/3', '9/5/0/3', '9/4/0/3', '9/5/0/3'],
  ['%sq/%bq', '0/0', '0/0', '0/0', '0/0'],
  ['%ID', '-', 'abc-1', '-', '-'],
  ['%rt', '17', '17', '17', '17'],
  ['%sslv %sslc', '- -', 'TLSv1.3 TLS_AES_256_GCM_SHA384', '- -', '- -'],
  ['%r', 'GET /a/b?c=d HTTP/1.1', 'GET https://www.example.test/a/b?c=d HTTP/2.0', '<BADREQ>', '<BADREQ>'],
  ['%HM', 'GET', 'GET', '<BADREQ>', '<BADREQ>'],
  ['%HU', '/a/b?c=d', 'https://www.example.test/a/b?c=d', '<BADREQ>', '<BADREQ>'],
  ['%HP', '/a/b', 'https://www.example.test/a/b', '<BADREQ>', '<BADREQ>'],
  ['%HPO', '/a/b', '/a/b', '<BADREQ>', '<BADREQ>'],
  ['%HQ', '?c=d', '?c=d', '<BADREQ>', '<BADREQ>'],
  ['%HV', 'HTTP/1.1', 'HTTP/2.0', '<BADREQ>', '<BADREQ>'],
  ['%CC %CS', '- -', 'sess=1 sess=2', '- -', '- -'],
  ['[%hr %hs]', '[ ]', '[{www.example.test|} {text/html; x=#221#22}]', '[ ]', '[ ]'],
  ['%hrl', '', 'www.example.test -', '', ''],
  ['%[capture.req.hdr(0)] %[capture.req.hdr(1)]', '- -', 'www.example.test -', '- -', '- -'],
  ['%[capture.res.hdr(0)]', '-', 'text/html; x="1"', '-', '-'],
];

describe('variables', () => {
  test.each(variables)('%s', (variable, ...texts) => {
    expect([forwarded, secure, unread, handedThrough].map((line) => rendered(variable, line))).toEqual(texts);
  });

  test('dates are of the connection, or of the request', () => {
    const { acceptedAtMs } = plainFacts;
    expect(rendered('%t|%T|%Tl|%Ts|%ms', forwarded)).toBe(
      `${localMoment(acceptedAtMs)}|01/Nov/2026:09:08:07 +0000|${zonedDate(acceptedAtMs)}|${Math.floor(acceptedAtMs / 1000)}|006`,
    );
    expect(rendered('%tr|%trg|%trl', forwarded)).toBe(
      `${localMoment(acceptedAtMs + 1500)}|01/Nov/2026:09:08:08 +0000|${zonedDate(acceptedAtMs + 1500)}`,
    );
  });

  test('the process and its host', () => {
    expect(rendered('%H %pid', forwarded)).toBe(`${hostname()} ${process.pid}`);
  });
});

test('dates in all their forms', () => {
  const atMs = Date.UTC(2026, 1, 3, 4, 5, 6, 78);
  expect(universalDate(atMs)).toBe('03/Feb/2026:04:05:06 +0000');
  expect(zonedDate(atMs)).toMatch(/^\d\d\/Feb\/2026:\d\d:\d\d:06 [+-]\d{4}$/);
  expect(localMoment(atMs)).toMatch(/^\d\d\/Feb\/2026:\d\d:\d\d:06\.078$/);
  expect(syslogDate(new Date(2026, 1, 3, 4, 5, 6).getTime())).toBe('Feb  3 04:05:06');
  expect(syslogDate(new Date(2026, 10, 21, 14, 5, 6).getTime())).toBe('Nov 21 14:05:06');
});

describe('whole formats', () => {
  test('httplog', () => {
    const at = localMoment(plainFacts.acceptedAtMs + 1500);
    expect(rendered(httpFormat, forwarded)).toBe(
      `192.0.2.1:51234 [${at}] public be_http:shop:front/pod:shop-1:shop:http:10.1.0.7:8080 1/0/2/20/30 200 2750 - - ---- ` +
        '9/4/0/3/0 0/0 "GET /a/b?c=d HTTP/1.1"',
    );
    expect(rendered(httpFormat, secure)).toBe(
      `192.0.2.1:51234 [${at}] fe_sni~ be_secure:shop:front/pod:shop-1:shop:http:10.1.0.7:8080 1/0/2/20/30 200 2750 ` +
        'sess=1 sess=2 --NI 9/5/0/3/+2 0/0 {www.example.test|} {text/html; x=#221#22} ' +
        '"GET https://www.example.test/a/b?c=d HTTP/2.0"',
    );
    expect(rendered(httpFormat, unread)).toBe(
      `192.0.2.1:51234 [${at}] public public/<NOSRV> -1/-1/-1/-1/30 400 2750 - - PR-- 9/4/0/3/0 0/0 "<BADREQ>"`,
    );
  });

  test('tcplog', () => {
    const at = localMoment(plainFacts.acceptedAtMs);
    expect(rendered(tcpFormat, handedThrough)).toBe(
      `192.0.2.1:51234 [${at}] public_ssl be_tcp:shop:front/pod:shop-1:shop:http:10.1.0.7:8080 0/2/41 2750 cD 9/5/0/3/0 0/0`,
    );
  });

  test.each([
    ['redirect', 'public'],
    ['health', 'public'],
    ['no-route', 'openshift_default'],
    ['no-endpoint', 'be_http:shop:front'],
    ['source-not-allowed', 'be_http:shop:front'],
  ] as const)('the backend of an answer %s: %s', (end, name) => {
    expect(rendered('%b', accessLine({ end, pick: null }))).toBe(name);
  });
});

const odd = accessLine({
  target: '/a"b#c]\\d{|}é',
  request: { headers: ['a"b\\c]d#{|}\x7fé', ''], cookie: 'se"ss' },
  response: { headers: [null], cookie: null },
});

describe('escapes and flags', () => {
  test.each([
    ['%HU', '/a#22b#23c]\\d{|}#E9'],
    ['%{+E}HU', '/a#22b#23c\\]\\\\d{|}#E9'],
    ['%{+Q}HU', '"/a#22b#23c]\\d{|}#E9"'],
    ['%{+Q,+E}HM', '"GET"'],
    ['%hr', '{a#22b\\c]d#23#7B#7C#7D#7F#E9|}'],
    ['%{+Q}hr', '"{a#22b\\c]d#23#7B#7C#7D#7F#E9|}"'],
    ['%{+Q}hrl', '"a#22b\\c]d#23#7B#7C#7D#7F#E9" ""'],
    ['%{+Q}hsl', '""'],
    ['%hsl', '-'],
    ['%{+Q}CC %{+Q}CS', '"se"ss" ""'],
    ['%{+E}CC', 'se\\"ss'],
    ['%{+Q}ID', '""'],
    ['%{+Q}HQ', '""'],
    ['%HM %HQ %HV', 'GET  HTTP/1.1'],
    ['%{+Q}b %{+Q}ST %{+Q}ci', '"be_http:shop:front" 200 "192.0.2.1"'],
    ['%{+X}ci:%{+X}cp', 'C0000201:C822'],
    ['%{+X}o %ci:%cp_%{-X}ST_%rt', 'C0000201:C822_200_0011'],
    ['%{+Q}o %s %{-Q}s', '"pod:shop-1:shop:http:10.1.0.7:8080" pod:shop-1:shop:http:10.1.0.7:8080'],
    ['100%% %ST', '100% 200'],
    ['  a  %ST   b ', 'a 200 b '],
    ['"%ST \\"x\\" \\\\"', '200 "x" \\'],
    ['%ST\\ x', '200 x'],
    ['%ST"', '200"'],
    ['é%ST', '#E9200'],
  ])('%s', (format, text) => {
    expect(rendered(format, odd)).toBe(text);
  });

  test('IPv6 addresses in hexadecimal', () => {
    const at = (client: string): string => rendered('%{+X}ci', accessLine({ client }));
    expect(at('2001:db8::1')).toBe('20010DB8000000000000000000000001');
    expect(at('::')).toBe('0'.repeat(32));
    expect(at('1:2:3:4:5:6:7:8')).toBe('00010002000300040005000600070008');
  });
});

describe('what is refused', () => {
  test.each([
    ['%zz', '%zz: no variable'],
    ['%ciX', '%ciX: no variable'],
    ['%bi', '%bi: no variable'],
    ['% ', '%: no variable'],
    ['100%', '%: no variable'],
    ['%{+Q', '%{+Q: } is missing'],
    ['%{+Z}ci', '%{+Z}: none of the flags'],
    ['%{Q}ci', '%{Q}: none of the flags'],
    ['%[src]', '%[src]: only capture.req.hdr(n)'],
    ['%[capture.req.hdr(0),lower]', '%[capture.req.hdr(0),lower]: only'],
    ['%[capture.req.hdr(2)]', '%[capture.req.hdr(2)]: 2 request headers are captured'],
    ['%[capture.res.hdr(1)]', '%[capture.res.hdr(1)]: 1 response headers are captured'],
    ['%[capture.req.hdr(0)', '%[capture.req.hdr(0): ] is missing'],
  ])('%s', (format, because) => {
    const reading = readLogFormat(format, { request: 2, response: 1 }, open);
    expect(reading.kind === 'problem' ? reading.because : '').toContain(because);
  });
});

test('whatever a client sends, a line is printable ASCII on one line', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(httpFormat, '%{+E}o %hrl %[capture.req.hdr(0)] %CC %r'),
      (text, format) => {
        const line = accessLine({ target: `/${text}`, request: { headers: [text, text], cookie: text } });
        expect(rendered(format, line)).toMatch(/^[ -~]*$/);
      },
    ),
  );
});

test('whatever a format says, it is read or refused', () => {
  const piece = fc.constantFrom(
    '%',
    '{',
    '}',
    '[',
    ']',
    '+',
    'Q',
    ',',
    'ci',
    'o',
    ' ',
    '"',
    '\\',
    'capture.req.hdr(0)',
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      expect(rendered(pieces.join(''), forwarded)).toMatch(/^[ -~]*$/);
    }),
  );
});
