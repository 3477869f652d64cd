// Error pages as files hold them: HTML, and whole responses.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readHtmlPage, readRawPage } from '../../src/controller/error-page.ts';

const head = 'HTTP/1.0 503 Service Unavailable';

describe('a whole response', () => {
  const sound: readonly (readonly [title: string, text: string, statusText: string, lines: string, body: string])[] = [
    [
      'as HAProxy has them, with bare line ends',
      `${head}\nPragma: no-cache\nConnection: close\nContent-Type: text/html\n\n<html>\n\n</html>\n`,
      '503 Service Unavailable',
      'Pragma: no-cache\r\nContent-Type: text/html\r\n',
      '<html>\n\n</html>\n',
    ],
    [
      'with the line ends of HTTP, which the body keeps',
      `${head}\r\nX-A: 1\r\n\r\nbody\r\n\r\n`,
      '503 Service Unavailable',
      'X-A: 1\r\n',
      'body\r\n\r\n',
    ],
    ['of another status', 'HTTP/1.1 200 Fine\n\nok', '200 Fine', '', 'ok'],
    ['without a phrase', 'HTTP/1.1 404\n\nno', '404 ', '', 'no'],
    ['without a body', `${head}\nX-A: 1\n\n`, '503 Service Unavailable', 'X-A: 1\r\n', ''],
    [
      'that frames itself',
      `${head}\ncontent-length: 7\nTransfer-Encoding: chunked\nKeep-Alive: x\nTrailer: y\nUpgrade: z\nX-B:  2  \n\nbody`,
      '503 Service Unavailable',
      'X-B: 2\r\n',
      'body',
    ],
    ['with places, which are text here', `${head}\n\n{{status}}`, '503 Service Unavailable', '', '{{status}}'],
  ];

  test.each(sound)('%s', (_title, text, statusText, lines, body) => {
    expect(readRawPage(text)).toEqual({ kind: 'page', page: { statusText, lines, body } });
  });

  const broken: readonly (readonly [text: string, problem: string])[] = [
    ['', 'no empty line'],
    ['<html></html>', 'no empty line'],
    [`${head}\nX-A: 1\n`, 'no empty line'],
    ['<html>\n\n</html>', 'status line'],
    ['HTTP/1.1 OK\n\n', 'status line'],
    ['HTTP/1.1 99 X\n\n', 'status line'],
    ['HTTP/1.1 100 Continue\n\n', 'status line'],
    ['HTTP/1.1 600 X\n\n', 'status line'],
    ['HTTP/1.1 503 a\rb\n\n', 'status line'],
    ['HTTP/1.1 204 No Content\n\n', 'no body'],
    ['HTTP/1.1 304 Not Modified\n\n', 'no body'],
    [`${head}\nno colon\n\n`, 'header line'],
    [`${head}\nX A: 1\n\n`, 'header line'],
    [`${head}\nX-A : 1\n\n`, 'header line'],
    [`${head}\n folded: 1\n\n`, 'header line'],
    [`${head}\nX-A: a\rX-B: b\n\n`, 'header line'],
    [`${head}\nX-A: \0\n\n`, 'header line'],
    [`${head}\n\n${'x'.repeat(262_144)}`, 'more than'],
  ];

  test.each(broken)('%j is none', (text, problem) => {
    expect(readRawPage(text)).toEqual({ kind: 'malformed', problem: expect.stringContaining(problem) });
  });

  test('whatever stands in a file, no line of the head holds a line end, or frames the body', () => {
    const parts = fc.constantFrom(head, '\n', '\r\n', '\r', 'X-A: 1', 'Content-Length: 3', ': ', ' ', 'é', '\0', 'x');
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (some) => {
        const reading = readRawPage(`${head}\n${some.join('')}`);
        if (reading.kind === 'malformed') return;
        expect(reading.page.lines).toMatch(/^([\w-]+: ?[^\r\n\0]*\r\n)*$/);
        expect(reading.page.lines).not.toMatch(/^content-length:/im);
      }),
    );
  });
});

test('HTML', () => {
  expect(readHtmlPage('<p>{{status}}</p>')).toMatchObject({
    kind: 'page',
    page: { body: '<p>{{status}}</p>', statusText: '' },
  });
  expect(readHtmlPage('')).toEqual({ kind: 'malformed', problem: 'is empty' });
  expect(readHtmlPage('x'.repeat(262_145)).kind).toBe('malformed');
});
