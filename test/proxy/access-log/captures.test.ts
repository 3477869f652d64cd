// Captures: what their settings may say, and what is taken of a message.

import { describe, expect, test } from 'vitest';
import { RequestHead } from '../../../src/protocol/request-head.ts';
import { ResponseHead } from '../../../src/protocol/response-head.ts';
import { Captures, readCookieCapture, readHeaderCaptures } from '../../../src/proxy/access-log/captures.ts';

const limits = { maxHeadBytes: 8192, maxHeaderLines: 100 };

describe('settings', () => {
  test.each([
    ['', []],
    ['Host:15', [{ name: 'host', maxLength: 15 }]],
    [
      'Host:15,X-Forwarded-For:100',
      [
        { name: 'host', maxLength: 15 },
        { name: 'x-forwarded-for', maxLength: 100 },
      ],
    ],
  ])('headers %j', (text, captures) => {
    expect(readHeaderCaptures(text)).toEqual({ kind: 'captures', captures });
  });

  test.each([
    ['Host', 'invalid HTTP header capture specification: Host'],
    ['Host:', 'invalid HTTP header capture specification: Host:'],
    ['Host:x', 'invalid HTTP header capture specification: Host:x'],
    ['Host:-1', 'invalid HTTP header capture specification: Host:-1'],
    ['Host:0', 'invalid HTTP header capture specification: Host:0'],
    ['Host:65536', 'invalid HTTP header capture specification: Host:65536'],
    ['Host:1:2', 'invalid HTTP header capture specification: Host:1:2'],
    ['Host:15,', 'invalid HTTP header capture specification: '],
    ['Host:15,X', 'invalid HTTP header capture specification: X'],
    ['Ho st:15', 'invalid HTTP header name: Ho st'],
    [' Host:15', 'invalid HTTP header name:  Host'],
    [':15', 'invalid HTTP header name: '],
    ['X-Frame-Options**!=:9', 'invalid HTTP header name: X-Frame-Options**!='],
  ])('headers %j are refused', (text, because) => {
    expect(readHeaderCaptures(text)).toEqual({ kind: 'problem', because });
  });

  test.each([
    ['', null],
    ['sess:64', { start: 'sess', maxLength: 64 }],
    ['sess=:64', { start: 'sess=', maxLength: 64 }],
  ])('cookie %j', (text, captures) => {
    expect(readCookieCapture(text)).toEqual({ kind: 'captures', captures });
  });

  test.each([
    ['sess', 'invalid HTTP cookie capture specification: sess'],
    ['sess:', 'invalid HTTP cookie capture specification: sess:'],
    ['sess:64:1', 'invalid HTTP cookie capture specification: sess:64:1'],
    ['se ss:64', 'invalid HTTP cookie name: se ss'],
    ['=:64', 'invalid HTTP cookie name: '],
    ['a==:64', 'invalid HTTP cookie name: a='],
  ])('cookie %j is refused', (text, because) => {
    expect(readCookieCapture(text)).toEqual({ kind: 'problem', because });
  });
});

function captures(request: string, response: string, cookie: string): Captures | null {
  return Captures.of({ captureRequestHeaders: request, captureResponseHeaders: response, captureCookie: cookie });
}

function requestWith(...lines: readonly string[]): RequestHead {
  const head = new RequestHead(limits);
  expect(head.read(`GET / HTTP/1.1\r\nHost: a.test\r\n${lines.map((line) => `${line}\r\n`).join('')}`)).toBeNull();
  return head;
}

function responseWith(...lines: readonly string[]): ResponseHead {
  const head = new ResponseHead(limits);
  expect(head.read(`HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}`)).toBeNull();
  return head;
}

test('nothing asked for, nothing made', () => {
  expect(captures('', '', '')).toBeNull();
});

test('headers, in the order of the setting, cut, the last of several, whatever their case', () => {
  const made = captures('X-B:3,HOST:100,X-Missing:9,X-E:1', 'content-type:4', '');
  expect(made?.ofRequest(requestWith('x-b: first', 'X-B: second', 'X-Bb: no', 'X-E:')).headers).toEqual([
    'sec',
    'a.test',
    null,
    '',
  ]);
  expect(made?.ofResponse(responseWith('Content-Type: text/html')).headers).toEqual(['text']);
});

test('fields that are not passed on are there too', () => {
  const made = captures('connection:9,te:9', '', '');
  expect(made?.ofRequest(requestWith('Connection: close, te', 'TE: trailers')).headers).toEqual([
    'close, te',
    'trailers',
  ]);
});

const cookies: readonly (readonly [setting: string, lines: string[], captured: string | null])[] = [
  ['sess:64', [], null],
  ['sess:64', ['Cookie: a=1'], null],
  ['sess:64', ['Cookie: a=1; sessid=2; sess=3'], 'sessid=2'],
  ['sess=:64', ['Cookie: a=1; sessid=2; sess=3'], 'sess=3'],
  ['sess=:64', ['Cookie: a=1; sessid=2', 'Cookie: sess=4'], 'sess=4'],
  ['sess=:64', ['Cookie: asess=1;sess=;b=2'], 'sess='],
  ['a:64', ['Cookie: A=1'], null],
];

test.each(cookies)('cookie %j of %j: %j', (setting, lines, captured) => {
  expect(captures('', '', setting)?.ofRequest(requestWith(...lines)).cookie).toBe(captured);
});

test.each([63, 64, 128, 1024])('a longer cookie is cut to exactly %i', (maxLength) => {
  const cookie = `sess=${'x'.repeat(2000)}`;
  const made = captures('', '', `sess:${maxLength}`);
  expect(made?.ofRequest(requestWith(`Cookie: ${cookie}`)).cookie).toBe(cookie.slice(0, maxLength));
  expect(made?.ofResponse(responseWith(`Set-Cookie: ${cookie}; Path=/`)).cookie).toBe(cookie.slice(0, maxLength));
});

test('the cookie of an answer: the first that fits, without its attributes', () => {
  const made = captures('', '', 'sess:64');
  const head = responseWith('Set-Cookie: other=1', 'Set-Cookie: sessid=2; HttpOnly', 'Set-Cookie: sess=3');
  expect(made?.ofResponse(head).cookie).toBe('sessid=2');
});
