import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headEnd, unfinishedHeadProblem } from '../../src/protocol/http-head.ts';
import { Field } from '../../src/protocol/http-syntax.ts';
import { type Refusal, type RefusalReason, refusal } from '../../src/protocol/refusals.ts';
import { RequestHead } from '../../src/protocol/request-head.ts';
import { ResponseHead } from '../../src/protocol/response-head.ts';

const limits = { maxHeadBytes: 24_576, maxHeaderLines: 20 };

/** Each line with its CRLF; the empty line is not part of what `read` gets. */
function head(...lines: readonly string[]): string {
  return lines.map((line) => `${line}\r\n`).join('');
}

function get(...fields: readonly string[]): string {
  return head('GET / HTTP/1.1', 'Host: a.test', ...fields);
}

function post(...fields: readonly string[]): string {
  return head('POST / HTTP/1.1', 'Host: a.test', ...fields);
}

/** As it goes to the pod when the router adds nothing of its own. */
function rendered(request: RequestHead): string {
  return request.render(0, request.hostLine);
}

type SlowMessage = {
  readonly startLine: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
};

/** Reads what was rendered, by the letter of RFC 9112 and without thought for speed. Throws on anything doubtful. */
function readSlowly(text: string): SlowMessage {
  expect(text.endsWith('\r\n\r\n')).toBe(true);
  const lines = text.slice(0, -4).split('\r\n');
  const startLine = lines.shift() ?? '';
  const fields = lines.map((line): readonly [string, string] => {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
    if (match === null) throw new Error(`not a field line: ${JSON.stringify(line)}`);
    return [match[1]?.toLowerCase() ?? '', match[2] ?? ''];
  });
  return { startLine, fields };
}

function valuesOf(message: SlowMessage, name: string): string[] {
  return message.fields.filter(([field]) => field === name).map(([, value]) => value);
}

/** What must hold of everything that goes to a pod, whatever came. */
function checkRendered(request: RequestHead, text: string): SlowMessage {
  const message = readSlowly(text);
  expect(message.startLine).toMatch(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+ [\x21\x22\x24-\x7e]+ HTTP\/1\.1$/);
  expect(message.startLine).toBe(`${request.method} ${request.target} HTTP/1.1`);
  if (request.authority !== '') expect(valuesOf(message, 'host')).toEqual([request.authority]);
  const lengths = valuesOf(message, 'content-length');
  const codings = valuesOf(message, 'transfer-encoding');
  expect(lengths.length + codings.length).toBeLessThanOrEqual(1);
  expect(codings).toEqual(request.framing === 'chunked' ? ['chunked'] : []);
  if (request.framing === 'length') expect(lengths.map(Number)).toEqual([request.contentLength]);
  if (request.framing === 'none') expect(lengths.map(Number)).toEqual(lengths.map(() => 0));
  for (const name of ['keep-alive', 'proxy-connection', 'proxy', 'x-ssl', 'x-ssl-client-cn', 'x-ssl-issuer']) {
    expect(valuesOf(message, name)).toEqual([]);
  }
  const connection = valuesOf(message, 'connection');
  const upgrade = valuesOf(message, 'upgrade');
  const te = valuesOf(message, 'te');
  expect(upgrade).toEqual(request.upgrade === '' ? [] : [request.upgrade]);
  expect([[], ['trailers']]).toContainEqual(te);
  expect(connection).toEqual(upgrade.length > 0 ? ['Upgrade'] : te.length > 0 ? ['TE'] : []);
  return message;
}

type RequestCase = {
  readonly name: string;
  readonly text: string;
  readonly expected?: Partial<RequestHead>;
  /** Lines that go to the pod; absent: as they came. */
  readonly pod?: readonly string[];
};

describe('requests that are taken', () => {
  const cases: readonly RequestCase[] = [
    {
      name: 'plain',
      text: head('GET /a/b?c=d HTTP/1.1', 'Host: a.test', 'X-A: 1'),
      expected: {
        method: 'GET',
        target: '/a/b?c=d',
        path: '/a/b',
        authority: 'a.test',
        hostName: 'a.test',
        minorVersion: 1,
        framing: 'none',
        contentLength: 0,
        keepAlive: true,
        upgrade: '',
      },
    },
    { name: 'a method of its own', text: head('PURGE / HTTP/1.1', 'Host: a.test'), expected: { method: 'PURGE' } },
    { name: 'a method in lower case', text: head('get / HTTP/1.1', 'Host: a.test'), expected: { method: 'get' } },
    { name: 'a long method', text: head(`${'M'.repeat(32)} / HTTP/1.1`, 'Host: a.test') },
    { name: 'TRACE', text: head('TRACE / HTTP/1.1', 'Host: a.test'), expected: { method: 'TRACE' } },

    // Targets (RFC 9112 3.2).
    {
      name: 'OPTIONS *',
      text: head('OPTIONS * HTTP/1.1', 'Host: a.test'),
      expected: { method: 'OPTIONS', target: '*', path: '' },
    },
    {
      name: 'a query without a path of its own',
      text: head('GET /?x=/y?z HTTP/1.1', 'Host: a.test'),
      expected: { path: '/', target: '/?x=/y?z' },
    },
    { name: 'an empty query', text: head('GET /a? HTTP/1.1', 'Host: a.test'), expected: { path: '/a', target: '/a?' } },
    {
      name: 'odd characters, untouched',
      text: head('GET //x/../.%2e/a"b<c>\\^`{|}%zz;p=1 HTTP/1.1', 'Host: a.test'),
      expected: { path: '//x/../.%2e/a"b<c>\\^`{|}%zz;p=1' },
    },
    {
      name: 'absolute form',
      text: head('GET http://a.test/sub?y=1 HTTP/1.1', 'Host: a.test'),
      expected: { target: '/sub?y=1', path: '/sub', authority: 'a.test' },
      pod: ['GET /sub?y=1 HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'absolute form, other case and port',
      text: head('GET HTTPS://A.Test:8443/ HTTP/1.1', 'Host: a.TEST:8443'),
      expected: { target: '/', authority: 'a.test:8443', hostName: 'a.test' },
      pod: ['GET / HTTP/1.1', 'Host: a.test:8443'],
    },
    {
      name: 'absolute form without a path',
      text: head('GET http://a.test HTTP/1.1', 'Host: a.test'),
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'absolute form with a query alone',
      text: head('GET http://a.test?q HTTP/1.1', 'Host: a.test'),
      expected: { path: '/', target: '/?q' },
      pod: ['GET /?q HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'OPTIONS in absolute form without a path',
      text: head('OPTIONS http://a.test HTTP/1.1', 'Host: a.test'),
      expected: { target: '*', path: '' },
      pod: ['OPTIONS * HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'absolute form of HTTP/1.0 without Host',
      text: head('GET http://A.test/x HTTP/1.0'),
      expected: { authority: 'a.test', hostName: 'a.test', minorVersion: 0, keepAlive: false },
      pod: ['GET /x HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'a target that names another scheme in its path',
      text: head('GET /http://b.test/ HTTP/1.1', 'Host: a.test'),
      expected: { authority: 'a.test', path: '/http://b.test/' },
    },

    // Host.
    {
      name: 'Host in upper case',
      text: head('GET / HTTP/1.1', 'X-A: 1', 'HOST: A.Test:80', 'X-B: 2'),
      expected: { authority: 'a.test:80', hostName: 'a.test' },
      pod: ['GET / HTTP/1.1', 'X-A: 1', 'X-B: 2', 'Host: a.test:80'],
    },
    {
      name: 'Host with blanks around it',
      text: head('GET / HTTP/1.1', 'Host: \t a.test \t'),
      expected: { authority: 'a.test' },
    },
    {
      name: 'Host with a trailing dot',
      text: head('GET / HTTP/1.1', 'Host: a.test.'),
      expected: { hostName: 'a.test.' },
    },
    {
      name: 'Host with an empty port',
      text: head('GET / HTTP/1.1', 'Host: a.test:'),
      expected: { hostName: 'a.test' },
    },
    {
      name: 'Host with the largest port',
      text: head('GET / HTTP/1.1', 'Host: a.test:65535'),
      expected: { hostName: 'a.test' },
    },
    {
      name: 'Host is an address',
      text: head('GET / HTTP/1.1', 'Host: 10.0.0.1:80'),
      expected: { hostName: '10.0.0.1' },
    },
    {
      name: 'Host is an IPv6 address',
      text: head('GET / HTTP/1.1', 'Host: [2001:db8::1]:8080'),
      expected: { hostName: '[2001:db8::1]', authority: '[2001:db8::1]:8080' },
    },
    {
      name: 'an empty Host',
      text: head('GET / HTTP/1.1', 'Host:'),
      expected: { authority: '', hostName: '' },
    },
    {
      name: 'HTTP/1.0 without Host',
      text: head('GET / HTTP/1.0'),
      expected: { authority: '', hostName: '', minorVersion: 0 },
      pod: ['GET / HTTP/1.1'],
    },

    // Framing (RFC 9112 6).
    {
      name: 'a length',
      text: post('Content-Length: 5'),
      expected: { framing: 'length', contentLength: 5 },
    },
    {
      name: 'a length with leading zeros and blanks',
      text: post('content-length:\t0005 '),
      expected: { framing: 'length', contentLength: 5 },
    },
    { name: 'a length of nothing', text: post('Content-Length: 0'), expected: { framing: 'none', contentLength: 0 } },
    {
      name: 'the largest length',
      text: post('Content-Length: 9007199254740991'),
      expected: { contentLength: Number.MAX_SAFE_INTEGER },
    },
    {
      name: 'a length twice',
      text: post('Content-Length: 3', 'X-A: 1', 'Content-Length: 3'),
      expected: { framing: 'length', contentLength: 3 },
      pod: ['POST / HTTP/1.1', 'Content-Length: 3', 'Host: a.test', 'X-A: 1'],
    },
    {
      name: 'a length as a list',
      text: post('Content-Length: 3, 3,\t3'),
      expected: { framing: 'length', contentLength: 3 },
      pod: ['POST / HTTP/1.1', 'Content-Length: 3', 'Host: a.test'],
    },
    {
      name: 'a length of nothing as a list',
      text: post('Content-Length: 0,0'),
      expected: { framing: 'none', contentLength: 0 },
      pod: ['POST / HTTP/1.1', 'Content-Length: 0', 'Host: a.test'],
    },
    {
      name: 'chunked',
      text: post('Transfer-Encoding: chunked'),
      expected: { framing: 'chunked', contentLength: 0 },
    },
    {
      name: 'chunked in another case, with blanks, before others',
      text: post('TRANSFER-encoding:  Chunked\t', 'X-A: 1'),
      expected: { framing: 'chunked' },
      pod: ['POST / HTTP/1.1', 'Host: a.test', 'X-A: 1', 'Transfer-Encoding: chunked'],
    },
    { name: 'Trailer and Expect pass', text: post('Trailer: X-T', 'Expect: 100-continue', 'Content-Length: 1') },
    {
      name: 'HTTP/1.0 expects nothing',
      text: head('POST / HTTP/1.0', 'Host: a.test', 'Expect: 100-continue', 'Content-Length: 1'),
      expected: { framing: 'length' },
      pod: ['POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1'],
    },

    // Connection and the hop-by-hop fields (RFC 9110 7.6.1, 7.8, 10.1.4).
    {
      name: 'close',
      text: get('Connection: close'),
      expected: { keepAlive: false },
      pod: get().split('\r\n').slice(0, -1),
    },
    {
      name: 'Close',
      text: get('connection: \tCLOSE '),
      expected: { keepAlive: false },
      pod: get().split('\r\n').slice(0, -1),
    },
    {
      name: 'keep-alive',
      text: get('Connection: Keep-Alive'),
      expected: { keepAlive: true },
      pod: get().split('\r\n').slice(0, -1),
    },
    ...['close, keep-alive', 'keep-alive, close', ',close,,Keep-Alive'].map((options) => ({
      name: `close outweighs keep-alive: ${options}`,
      text: get(`Connection: ${options}`),
      expected: { keepAlive: false },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    })),
    {
      name: 'close outweighs keep-alive on another line',
      text: get('Connection: close', 'Connection: keep-alive'),
      expected: { keepAlive: false },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'HTTP/1.0 closes',
      text: head('GET / HTTP/1.0', 'Host: a.test'),
      expected: { keepAlive: false },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'HTTP/1.0 with keep-alive',
      text: head('GET / HTTP/1.0', 'Host: a.test', 'Connection: keep-alive'),
      expected: { keepAlive: true },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'HTTP/1.0 with close and keep-alive',
      text: head('GET / HTTP/1.0', 'Host: a.test', 'Connection: close, keep-alive'),
      expected: { keepAlive: false },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'fields that Connection names',
      text: get('X-Drop: 1', 'X-Dropped: 2', 'Connection: x-drop, X-Also', 'x-also: 3', 'X-Also: 4', 'X-Stay: 5'),
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'X-Dropped: 2', 'X-Stay: 5'],
    },
    {
      name: 'fields that Connection names, with characters that case folding could mix up',
      text: get('x_drop: 1', 'X^Y: 2', 'x~y: 3', 'Connection: X_Drop, x^y'),
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'x~y: 3'],
    },
    {
      name: 'Connection names what the engine has its own rules for',
      text: post(
        'Content-Length: 1',
        'X-Forwarded-For: 1.2.3.4',
        'Connection: Host, Content-Length, X-Forwarded-For, Trailer',
      ),
      expected: { framing: 'length', keepAlive: true },
      pod: ['POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', 'X-Forwarded-For: 1.2.3.4'],
    },
    {
      name: 'Connection names what is no field name',
      text: get('Connection: a:b, a b, "a", \x80', 'a:b:c', 'A: 1'),
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'a:b:c', 'A: 1'],
    },
    {
      name: 'Keep-Alive and Proxy-Connection',
      text: get('Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'Proxy-Authorization: Basic x'),
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'Proxy-Authorization: Basic x'],
    },
    {
      name: 'TE is cut down to trailers',
      text: get('TE: gzip;q=0.5, Trailers', 'Connection: TE, close'),
      expected: { keepAlive: false },
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'Connection: TE', 'TE: trailers'],
    },
    { name: 'TE without trailers', text: get('TE: gzip', 'Connection: TE'), pod: ['GET / HTTP/1.1', 'Host: a.test'] },
    {
      name: 'a WebSocket',
      text: get('Upgrade: websocket', 'Sec-WebSocket-Key: x', 'Connection: keep-alive, Upgrade'),
      expected: { upgrade: 'websocket', keepAlive: true },
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'Sec-WebSocket-Key: x', 'Connection: Upgrade', 'Upgrade: websocket'],
    },
    {
      name: 'a WebSocket with TE: one Connection line',
      text: get('Upgrade: websocket', 'TE: trailers', 'Connection: Upgrade'),
      expected: { upgrade: 'websocket' },
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'Connection: Upgrade', 'Upgrade: websocket'],
    },
    {
      name: 'Upgrade that Connection does not name',
      text: get('Upgrade: websocket'),
      expected: { upgrade: '' },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'Connection: upgrade without Upgrade',
      text: get('Connection: upgrade'),
      expected: { upgrade: '' },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'Upgrade of HTTP/1.0',
      text: head('GET / HTTP/1.0', 'Host: a.test', 'Upgrade: websocket', 'Connection: upgrade'),
      expected: { upgrade: '' },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'Upgrade with a body',
      text: post('Upgrade: websocket', 'Connection: upgrade', 'Content-Length: 3'),
      expected: { upgrade: '', framing: 'length' },
      pod: ['POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 3'],
    },
    {
      name: 'Upgrade with a chunked body',
      text: post('Upgrade: websocket', 'Connection: upgrade', 'Transfer-Encoding: chunked'),
      expected: { upgrade: '', framing: 'chunked' },
      pod: ['POST / HTTP/1.1', 'Host: a.test', 'Transfer-Encoding: chunked'],
    },
    {
      name: 'h2c and what comes with it',
      text: get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
      expected: { upgrade: '' },
      pod: ['GET / HTTP/1.1', 'Host: a.test'],
    },
    {
      name: 'h2c beside others',
      text: get('Connection: Upgrade', 'Upgrade: H2C , websocket', 'Upgrade: foo/2, h2c'),
      expected: { upgrade: 'websocket, foo/2' },
      pod: ['GET / HTTP/1.1', 'Host: a.test', 'Connection: Upgrade', 'Upgrade: websocket, foo/2'],
    },

    // What only the router may say (Route semantics 5.4), and what is nobody's business.
    {
      name: 'forged fields in any case',
      text: get(
        'PROXY: x',
        'x-ssl: 1',
        'X-SSL-Client-CN: x',
        'x-ssl-client-DER: x',
        'X-Ssl-Client-Dn: x',
        'X-SSL-Client-NotAfter: x',
        'X-SSL-Client-NotBefore: x',
        'X-SSL-Client-SHA1: x',
        'X-SSL-Client-Serial: x',
        'X-SSL-Client-Subject: x',
        'X-SSL-Client-Verify: 0',
        'X-SSL-Client-Version: 3',
        'X-SSL-Issuer: x',
        'X-SSL-Other: stays',
        'x-ssl_client_cn: stays',
        'X-SSL-Client-Cert: stays',
      ),
      pod: [
        'GET / HTTP/1.1',
        'Host: a.test',
        'X-SSL-Other: stays',
        'x-ssl_client_cn: stays',
        'X-SSL-Client-Cert: stays',
      ],
    },
    {
      name: 'everything else, byte by byte',
      text: get(
        'x-MiXed:v',
        'X_Under_Score:  1',
        'X-Blanks: \t v \t w \t ',
        'X-Empty:',
        'X-Empty: ',
        "!#$%&'*+-.^_`|~09: token",
        'X-Obs: caf\xe9 \x80\xff',
        'Cookie: a=1',
        'X-A: 1',
        'Cookie: b=2',
        'X-A: "q\\"q", (c) <>@,;:\\[]?={}',
      ),
    },
    {
      name: 'forwarding fields are the policy’s matter',
      text: get('Forwarded: for=x', 'X-Forwarded-For: x', 'X-Forwarded-Proto: https', 'Via: 1.1 x'),
    },
  ];

  test.each(cases)('$name', ({ text, expected, pod }) => {
    const request = new RequestHead(limits);
    expect(request.read(text)).toBeNull();
    expect(request).toMatchObject(expected ?? {});
    const toPod = rendered(request);
    expect(toPod).toBe(`${pod === undefined ? text : head(...pod)}\r\n`);
    checkRendered(request, toPod);
  });

  test('one object reads them all, in any order, as a fresh one does', () => {
    const reused = new RequestHead(limits);
    const order = fc.shuffledSubarray([...cases, { name: 'refused', text: get('X: \0') }], {
      minLength: 3,
      maxLength: 8,
    });
    fc.assert(
      fc.property(order, (some) => {
        for (const { text } of some) {
          const fresh = new RequestHead(limits);
          const problem = fresh.read(text);
          expect(reused.read(text)).toEqual(problem);
          if (problem !== null) continue;
          expect({ ...reused }).toEqual({ ...fresh });
          expect(rendered(reused)).toBe(rendered(fresh));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('a mask takes fields out, extra lines go in', () => {
    const request = new RequestHead(limits);
    expect(request.read(get('X-Forwarded-For: 1', 'X-A: 1', 'x-forwarded-for: 2', 'Forwarded: x'))).toBeNull();
    expect(request.has(Field.xForwardedFor)).toBe(true);
    expect(request.has(Field.xForwardedHost)).toBe(false);
    expect(request.render(1 << Field.xForwardedFor, 'X-Own: 1\r\n')).toBe(
      `${head('GET / HTTP/1.1', 'Host: a.test', 'X-A: 1', 'Forwarded: x', 'X-Own: 1')}\r\n`,
    );
  });

  test('as many fields as allowed', () => {
    const request = new RequestHead({ ...limits, maxHeaderLines: 3 });
    expect(request.read(get('X-A: 1', 'X-B: 2'))).toBeNull();
    expect(request.read(get('X-A: 1', 'X-B: 2', 'X-C: 3'))).toEqual({ status: 431, reason: 'too-many-fields' });
    expect(request.read(get('X-A: 1', 'X-B: 2'))).toBeNull();
  });

  test('a Connection field of thousands of names costs no more than its size', () => {
    const request = new RequestHead({ ...limits, maxHeaderLines: 101 });
    const names = Array.from({ length: 6000 }, (_, i) => `n${i.toString(36)}`);
    const fields = Array.from({ length: 98 }, (_, i) => `N${i.toString(36)}: ${i}`);
    expect(request.read(get(...fields, `Connection: ${names.join(',')}`))).toBeNull();
    expect(rendered(request)).toBe(`${get()}\r\n`);
  });
});

describe('requests that are refused', () => {
  const cases: readonly { readonly reason: RefusalReason; readonly text: string; readonly name?: string }[] = [
    // The request line.
    { reason: 'bad-request-line', text: '' },
    { reason: 'bad-request-line', text: head('') },
    { reason: 'bad-request-line', text: head('GET') },
    { reason: 'bad-request-line', text: head('GET /') },
    { reason: 'bad-request-line', text: head('GET / '), name: 'HTTP/0.9 with a blank' },
    { reason: 'bad-request-line', text: head(' GET / HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET  / HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET /  HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET\t/ HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('G(T / HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET / HTTP/1.1 ', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET / HTTP/1.11', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET / HTTP/1.1\r', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET / x HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET / http/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET / XTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: 'GET / HTTP/1.1' },
    { reason: 'bad-request-line', text: head('\x16\x03\x01'), name: 'TLS' },
    { reason: 'bare-line-feed', text: 'GET / HTTP/1.1\nHost: a.test\r\n' },
    { reason: 'bad-version', text: head('GET / HTTP/2.0', 'Host: a.test') },
    { reason: 'bad-version', text: head('PRI * HTTP/2.0') },
    { reason: 'bad-version', text: head('GET / HTTP/1.2', 'Host: a.test') },
    { reason: 'bad-version', text: head('GET / HTTP/0.9', 'Host: a.test') },
    { reason: 'bad-version', text: head('GET / HTTP/1', 'Host: a.test') },
    { reason: 'bad-version', text: head('GET / HTTP/01.1', 'Host: a.test') },
    { reason: 'method-too-long', text: head(`${'M'.repeat(33)} / HTTP/1.1`, 'Host: a.test') },
    { reason: 'method-not-allowed', text: head('CONNECT a.test:443 HTTP/1.1', 'Host: a.test') },
    { reason: 'method-not-allowed', text: head('CONNECT / HTTP/1.1', 'Host: a.test') },

    // Targets.
    { reason: 'bad-target', text: head('GET * HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('OPTIONS ** HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET a.test:80 HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET sub HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET ?x HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET ftp://a.test/ HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET http:/a.test/ HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET http:///x HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET http:// HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET /a#b HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-request-line', text: head('GET #b HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET /caf\xe9 HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET /a\0 HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET /a\x7f HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: head('GET /a\tb HTTP/1.1', 'Host: a.test') },
    { reason: 'bad-target', text: 'GET /a\n HTTP/1.1\r\nHost: a.test\r\n' },
    { reason: 'bad-request-line', text: 'GET /a\r HTTP/1.1\r\nHost: a.test\r\n' },

    // Field lines (RFC 9112 5).
    { reason: 'folded-field', text: get('X-A: 1', ' 2') },
    { reason: 'folded-field', text: get('X-A: 1', '\t2: 3') },
    { reason: 'folded-field', text: head('GET / HTTP/1.1', ' Host: a.test', 'Host: a.test') },
    { reason: 'bad-field-name', text: get('X-A : 1') },
    { reason: 'bad-field-name', text: get('X-A\t: 1') },
    { reason: 'bad-field-name', text: head('GET / HTTP/1.1', 'Host : a.test') },
    { reason: 'bad-field-name', text: get('Content-Length : 3') },
    { reason: 'bad-field-name', text: get(': 1') },
    { reason: 'bad-field-name', text: get('X-A') },
    { reason: 'bad-field-name', text: get('X A: 1') },
    { reason: 'bad-field-name', text: get('X(A): 1') },
    { reason: 'bad-field-name', text: get('X-\xc4: 1') },
    { reason: 'bad-field-name', text: get('X-\0: 1') },
    { reason: 'bad-field-name', text: get('"X": 1') },
    { reason: 'bad-field-name', text: get('\rX: 1') },
    { reason: 'bad-field-name', text: get('X\r: 1') },
    { reason: 'bad-field-name', text: get('\nX: 1') },
    { reason: 'bad-field-value', text: get('X-A: a\0b') },
    { reason: 'bad-field-value', text: get('X-A: \0') },
    { reason: 'bad-field-value', text: get('X-A: a\rb') },
    { reason: 'bad-field-value', text: get('X-A: a\r\r') },
    { reason: 'bad-field-value', text: get('X-A: a\rTransfer-Encoding: chunked') },
    { reason: 'bad-field-value', text: get('X-A: \x0b') },
    { reason: 'bad-field-value', text: get('X-A: \x1b[0m') },
    { reason: 'bad-field-value', text: get('X-A: \x7f') },
    { reason: 'bad-field-value', text: `${get()}X-A: 1` },
    { reason: 'bare-line-feed', text: get('X-A: 1\nX-B: 2') },
    { reason: 'bare-line-feed', text: get('X-A:\n') },
    { reason: 'bad-field-name', text: get('X-A\n: 1') },
    { reason: 'too-many-fields', text: get(...Array.from({ length: 20 }, (_, i) => `X-${i}: 1`)) },

    // Host (RFC 9112 3.2).
    { reason: 'missing-host', text: head('GET / HTTP/1.1') },
    { reason: 'missing-host', text: head('GET http://a.test/ HTTP/1.1') },
    { reason: 'missing-host', text: head('GET / HTTP/1.1', 'Hosts: a.test', 'X-Host: a.test') },
    { reason: 'several-hosts', text: get('Host: a.test') },
    { reason: 'several-hosts', text: get('X-A: 1', 'hOST: b.test') },
    { reason: 'several-hosts', text: get('Host:') },
    { reason: 'several-hosts', text: head('GET / HTTP/1.0', 'Host: a.test', 'Host: a.test') },
    ...[
      'a@b.test',
      'user:pass@a.test',
      'a b',
      'a.test, b.test',
      'a.test/',
      'a.test/x',
      'a.test?x',
      'http://a.test',
      'a.test:http',
      'a.test:80:80',
      'a.test:-1',
      'a.test:+80',
      'a.test:80 ',
      'a.test: 80',
      'a.test:655360',
      'a%2etest',
      'a.test\\b',
      'caf\xe9.test',
      '"a.test"',
      "a.test'",
      '<a>',
      'a;b',
      ':80',
      '[::1',
      '[::1]x',
      '[::1]:x',
      '[::g]',
      '[fe80::1%25eth0]',
      '::1',
      '*.test',
    ]
      .filter((host) => host === host.trim())
      .map((host) => ({ reason: 'bad-host' as const, text: head('GET / HTTP/1.1', `Host: ${host}`) })),
    { reason: 'bad-host', text: head('GET http://u@a.test/ HTTP/1.1', 'Host: u@a.test') },
    { reason: 'bad-host', text: head('GET http://u@a.test/ HTTP/1.0') },
    { reason: 'bad-host', text: head('GET http://a.test\\@b.test/ HTTP/1.0') },
    { reason: 'host-differs-from-target', text: head('GET http://b.test/ HTTP/1.1', 'Host: a.test') },
    { reason: 'host-differs-from-target', text: head('GET http://a.test:80/ HTTP/1.1', 'Host: a.test') },
    { reason: 'host-differs-from-target', text: head('GET http://a.test@b.test/ HTTP/1.1', 'Host: a.test') },
    { reason: 'host-differs-from-target', text: head('GET http://a.test/ HTTP/1.1', 'Host:') },

    // Lengths (RFC 9112 6.2, 6.3).
    ...[
      '',
      ',',
      ', 3',
      '3,',
      '3,,3',
      '3, 4',
      '3 3',
      '+3',
      '-3',
      '-0',
      '0x3',
      '3.0',
      '1e1',
      '3;',
      '"3"',
      'three',
      '3\xa0',
      '3,\xa03',
      '3_0',
      '\xb2',
      '3, 03',
    ].map((length) => ({ reason: 'bad-content-length' as const, text: post(`Content-Length: ${length}`) })),
    { reason: 'bad-content-length', text: post('Content-Length: 3', 'Content-Length: 4') },
    { reason: 'bad-content-length', text: post('Content-Length: 3', 'Content-Length:') },
    { reason: 'bad-content-length', text: post('Content-Length:', 'Content-Length: 3') },
    { reason: 'bad-content-length', text: post('Content-Length: 3', 'Content-Length: 3, 4') },
    { reason: 'bad-content-length', text: post('Content-Length: 3', 'X-A: 1', 'content-length: 3x') },
    { reason: 'content-too-large', text: post('Content-Length: 9007199254740992') },
    { reason: 'content-too-large', text: post('Content-Length: 9007199254740993') },
    { reason: 'content-too-large', text: post(`Content-Length: ${'9'.repeat(400)}`) },
    { reason: 'content-too-large', text: post('Content-Length: 18446744073709551619, 18446744073709551619') },
    { reason: 'content-too-large', text: post('Content-Length: 18446744073709551619', 'Content-Length: 3') },
    { reason: 'length-and-transfer-encoding', text: post('Content-Length: 3', 'Transfer-Encoding: chunked') },
    { reason: 'length-and-transfer-encoding', text: post('Transfer-Encoding: chunked', 'Content-Length: 3') },
    { reason: 'length-and-transfer-encoding', text: post('Transfer-Encoding: x', 'Content-Length: x') },
    { reason: 'length-and-transfer-encoding', text: get('Transfer-Encoding: identity', 'Content-Length: 0') },

    // Transfer codings (RFC 9112 6.1).
    ...[
      'xchunked',
      'identity',
      'gzip, chunked',
      'gzip',
      'chunked;q=1',
      'chunked;',
      '"chunked"',
      'chunke',
      'chunked\xa0',
    ].map((coding) => ({ reason: 'unknown-transfer-encoding' as const, text: post(`Transfer-Encoding: ${coding}`) })),
    ...['chunked, chunked', 'chunked, gzip', 'chunked, identity', '', ',', ' , ,'].map((coding) => ({
      reason: 'bad-transfer-encoding' as const,
      text: post(`Transfer-Encoding: ${coding}`),
    })),
    { reason: 'unknown-transfer-encoding', text: post('Transfer-Encoding: ,chunked') },
    { reason: 'unknown-transfer-encoding', text: post('Transfer-Encoding: chunked,') },
    { reason: 'unknown-transfer-encoding', text: post('Transfer-Encoding: chunked chunked') },
    { reason: 'bad-transfer-encoding', text: post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') },
    { reason: 'bad-transfer-encoding', text: post('Transfer-Encoding: chunked', 'Transfer-Encoding: identity') },
    { reason: 'bad-transfer-encoding', text: post('Transfer-Encoding:', 'Transfer-Encoding: chunked') },
    { reason: 'bad-transfer-encoding', text: head('POST / HTTP/1.0', 'Host: a.test', 'Transfer-Encoding: chunked') },
    { reason: 'bad-field-value', text: post('Transfer-Encoding: \x0bchunked') },
    { reason: 'bad-field-value', text: post('Transfer-Encoding: chunked\x0c') },
    { reason: 'bad-field-name', text: post('Transfer-Encoding : chunked') },
    { reason: 'folded-field', text: post('Transfer-Encoding:', ' chunked') },
    { reason: 'bad-field-name', text: post('Transfer-Encoding\0: chunked') },
  ];

  test.each(cases.map((each) => ({ ...each, shown: JSON.stringify(each.text.slice(0, 120)) })))(
    '$reason: $shown',
    ({ text, reason }) => {
      expect(new RequestHead(limits).read(text)).toEqual(refusal(reason));
    },
  );

  test('an underscore is not Transfer-Encoding: it is passed on as a stranger, and there is no body', () => {
    const request = new RequestHead(limits);
    expect(request.read(post('Transfer_Encoding: chunked'))).toBeNull();
    expect(request.framing).toBe('none');
  });

  test('every reason that a request’s head can have is in the table', () => {
    const elsewhere: readonly RefusalReason[] = [
      'bad-chunk',
      'bad-trailer',
      'trailer-too-large',
      'target-too-long',
      'head-too-large',
      'head-timeout',
      'body-timeout',
      'bad-status-line',
      'bad-pseudo-header',
      'connection-specific-field',
      'unknown-protocol',
    ];
    const seen = new Set([...cases.map(({ reason }) => reason), ...elsewhere]);
    const statuses: Readonly<Record<RefusalReason, number>> = {
      'bad-request-line': 400,
      'bad-target': 400,
      'bad-version': 505,
      'bad-field-name': 400,
      'bad-field-value': 400,
      'bare-line-feed': 400,
      'folded-field': 400,
      'missing-host': 400,
      'several-hosts': 400,
      'bad-host': 400,
      'host-differs-from-target': 400,
      'bad-content-length': 400,
      'content-too-large': 413,
      'length-and-transfer-encoding': 400,
      'bad-transfer-encoding': 400,
      'unknown-transfer-encoding': 501,
      'bad-chunk': 400,
      'bad-trailer': 400,
      'trailer-too-large': 431,
      'method-not-allowed': 405,
      'method-too-long': 501,
      'target-too-long': 414,
      'head-too-large': 431,
      'too-many-fields': 431,
      'head-timeout': 408,
      'body-timeout': 408,
      'bad-status-line': 502,
      'bad-pseudo-header': 400,
      'connection-specific-field': 400,
      'unknown-protocol': 501,
    };
    for (const [reason, status] of Object.entries(statuses)) {
      expect(seen).toContain(reason);
      expect(refusal(reason as RefusalReason)).toEqual({ status, reason });
    }
  });
});

describe('a head in pieces', () => {
  test('ends behind the first empty line', () => {
    const bytes = Buffer.from('\r\n\r\nGET / HTTP/1.1\r\nX: \r\n\r\n\r\n\r\n');
    expect(headEnd(bytes, 0)).toBe(4);
    expect(headEnd(bytes, 4)).toBe(4 + 'GET / HTTP/1.1\r\nX: \r\n\r\n'.length);
    for (let length = 0; length < 26; length++) expect(headEnd(bytes.subarray(4, length), 0)).toBe(-1);
  });

  const unfinished: readonly { readonly text: string; readonly from?: number; readonly problem: Refusal | null }[] = [
    { text: '', problem: null },
    { text: 'G', problem: null },
    { text: 'GET / HTTP/1.1\r', problem: null },
    { text: 'GET / HTTP/1.1\r\nHost', problem: null },
    { text: '\r', problem: null },
    { text: '\r\nGET', problem: null },
    { text: 'xx\nG', from: 3, problem: null },
    { text: '\x16\x03\x01', problem: refusal('bad-request-line') },
    { text: ' GET', problem: refusal('bad-request-line') },
    { text: '\nGET', problem: refusal('bad-request-line') },
    { text: 'x\r\n\nGET', from: 3, problem: refusal('bad-request-line') },
    { text: '\0', problem: refusal('bad-request-line') },
    { text: 'GET / HTTP/1.1\n', problem: refusal('bare-line-feed') },
    { text: 'GET / HTTP/1.1\r\nX: 1\n\r', problem: refusal('bare-line-feed') },
    { text: 'GET / HTTP/1.1\r\n\n', problem: refusal('bare-line-feed') },
  ];

  test.each(unfinished.map((each) => ({ ...each, shown: JSON.stringify(each.text) })))(
    '$shown',
    ({ text, from, problem }) => {
      expect(unfinishedHeadProblem(Buffer.from(text, 'latin1'), from ?? 0, from ?? 0)).toEqual(problem);
    },
  );

  test('an unfinished head is given up only if the whole would be refused too', () => {
    const piece = fc.constantFrom('GET / HTTP/1.1', '\r\n', '\n', '\r', 'Host: a.test', 'X: 1', ' ', '\0', 'x');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = `${pieces.join('')}\r\nHost: a.test\r\n\r\n`;
        const bytes = Buffer.from(text, 'latin1');
        const end = headEnd(bytes, 0);
        for (let length = 0; length < end; length++) {
          if (unfinishedHeadProblem(bytes.subarray(0, length), 0, 0) === null) continue;
          expect(new RequestHead(limits).read(text.slice(0, end - 2))).not.toBeNull();
        }
      }),
    );
  });

  test('looked at piece by piece, it is found in the same piece as by looking at everything anew', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('GET / HTTP/1.1\r\n', 'a: b\r\n', 'x\r', '\n', '\n\n', 'c: d', '\r\n')),
        (pieces) => {
          const bytes = Buffer.from(pieces.join(''), 'latin1');
          let checked = 0;
          for (const piece of pieces) {
            const length = checked + piece.length;
            const seen = bytes.subarray(0, length);
            const anew = unfinishedHeadProblem(seen, 0, 0);
            expect(unfinishedHeadProblem(seen, 0, checked)).toEqual(anew);
            if (anew !== null) return;
            checked = length;
          }
        },
      ),
    );
  });
});

describe('whatever head comes', () => {
  const name = fc.constantFrom(
    ...[
      'Host',
      'host',
      'Connection',
      'Keep-Alive',
      'Proxy-Connection',
      'TE',
      'Upgrade',
      'Content-Length',
      'x_y',
      'x^y',
    ],
    ...[
      'Transfer-Encoding',
      'transfer-encoding',
      'Expect',
      'Proxy',
      'X-SSL-Client-CN',
      'X-Ssl',
      'Trailer',
      'X-A',
      'x-a',
    ],
    ...['X-SSL-Issuer', 'X-Forwarded-For', 'HTTP2-Settings', 'X-A ', '', 'Content_Length'],
  );
  const value = fc.oneof(
    fc.constantFrom(
      'a.test',
      'A.test:80',
      'b.test',
      '0',
      '3',
      '3, 3',
      '3,4',
      'chunked',
      'gzip, chunked',
      'close',
      'h2c',
    ),
    fc.constantFrom(
      'keep-alive, X-A',
      'upgrade',
      'Upgrade, x_y',
      'X^Y',
      'websocket',
      'trailers',
      'h2c, foo',
      '\tv ',
      '',
    ),
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 6 }),
  );
  const line = fc.tuple(name, fc.constantFrom(':', ': ', ':\t'), value).map((parts) => parts.join(''));
  const target = fc.oneof(
    fc.constantFrom('/', '/a?b', '*', 'http://a.test/x', 'HTTP://A.test:80', 'https://b.test?q', '//x', '/#', ''),
    fc.string({ maxLength: 8 }).map((text) => `/${text}`),
  );
  const requestLine = fc
    .tuple(
      fc.constantFrom('GET', 'POST', 'OPTIONS', 'x', 'G T'),
      target,
      fc.constantFrom('1.1', '1.1', '1.1', '1.0', '2'),
    )
    .map(([method, at, version]) => `${method} ${at} HTTP/${version}`);
  const host = fc.constantFrom(['Host: a.test'], ['host: A.Test:80'], []);
  const likelyHead = fc
    .tuple(requestLine, host, fc.array(line, { maxLength: 5 }))
    .map(([first, hosts, lines]) => head(first, ...hosts, ...lines));
  const noise = fc
    .tuple(likelyHead, fc.nat(), fc.constantFrom('\r', '\n', '\0', ' ', ':', '\r\n', 'x'))
    .map(([text, at, c]) => {
      const from = at % (text.length + 1);
      return text.slice(0, from) + c + text.slice(from);
    });

  test('what goes to the pod can be read in one way only', () => {
    const request = new RequestHead(limits);
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 4, arbitrary: likelyHead }, noise), (text) => {
        const problem = request.read(text);
        if (problem !== null) {
          expect(problem).toEqual(refusal(problem.reason));
          return;
        }
        taken++;
        const toPod = rendered(request);
        checkRendered(request, toPod);
        // Reading what was rendered changes nothing but the order of lines.
        if (request.authority === '') return;
        const again = new RequestHead(limits);
        expect(again.read(toPod.slice(0, -2))).toBeNull();
        const { method, target, path, authority, framing, contentLength, upgrade } = request;
        expect(again).toMatchObject({ method, target, path, authority, framing, contentLength, upgrade });
        expect(rendered(again).split('\r\n').sort()).toEqual(toPod.split('\r\n').sort());
      }),
      { numRuns: 4000 },
    );
    expect(taken).toBeGreaterThan(200);
  });

  test('a head says the same wherever its bytes lie, whatever stands around it', () => {
    const statusLine = fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.0 404 ', 'HTTP/1.1 204', 'HTTP/1.1 99 x');
    const around = fc.constantFrom('', 'x', ': y\r\n', '\r\n\r\n', 'GET / HTTP/1.1\r\nHost: b.test\r\n');
    const [request, requestOfText] = [new RequestHead(limits), new RequestHead(limits)];
    const [response, responseOfText] = [new ResponseHead(limits), new ResponseHead(limits)];
    fc.assert(
      fc.property(fc.oneof(likelyHead, noise), statusLine, around, around, (text, status, before, behind) => {
        const whole = `${text}\r\n`;
        const end = whole.indexOf('\r\n\r\n');
        fc.pre(end >= 0);
        const asRequest = whole.slice(0, end + 2);
        const asResponse = `${status}${asRequest.slice(asRequest.indexOf('\r\n'))}`;
        const bytesOf = (read: string): Buffer => Buffer.from(`${before}${read}\r\n${behind}`, 'latin1');
        const from = before.length;
        const problem = request.readBytes(bytesOf(asRequest), from, from + asRequest.length);
        expect(problem).toEqual(requestOfText.read(asRequest));
        if (problem === null) expect(rendered(request)).toBe(rendered(requestOfText));
        const fault = response.readBytes(bytesOf(asResponse), from, from + asResponse.length);
        expect(fault).toBe(responseOfText.read(asResponse));
        if (fault === null) expect(response.render('A: b\r\n')).toBe(responseOfText.render('A: b\r\n'));
      }),
    );
  });

  test('random bytes are read or refused, never thrown at', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        const text = Buffer.from(random).toString('latin1');
        const request = new RequestHead(limits);
        if (request.read(text) === null) checkRendered(request, rendered(request));
        new ResponseHead(limits).read(text);
      }),
    );
  });

  /** What node's own parser makes of a message, over a pair of streams in memory. */
  function readByNode(text: string): Promise<{ method: string; url: string; headers: IncomingHttpHeaders } | string> {
    return new Promise((settle) => {
      const [client, side] = duplexPair();
      const server = createServer();
      for (const event of ['request', 'upgrade', 'checkContinue', 'checkExpectation']) {
        server.on(event, (message: IncomingMessage) => {
          settle({ method: message.method ?? '', url: message.url ?? '', headers: message.headers });
          client.destroy();
        });
      }
      server.on('clientError', (error) => settle(error.message));
      side.on('error', () => undefined);
      client.on('error', () => undefined);
      server.emit('connection', side);
      client.write(text, 'latin1');
    });
  }

  test('node’s parser understands what goes to the pod in the same way', async () => {
    await fc.assert(
      fc.asyncProperty(likelyHead, async (text) => {
        const request = new RequestHead(limits);
        if (request.read(text) !== null || request.authority === '') return;
        // What llhttp refuses on its own account: methods that it does not know.
        if (request.method === 'x') return;
        const toPod = rendered(request);
        const slow = readSlowly(toPod);
        const seen = await readByNode(toPod);
        if (typeof seen === 'string') throw new Error(`${seen}: ${JSON.stringify(toPod)}`);
        expect(seen).toMatchObject({ method: request.method, url: request.target });
        expect(seen.headers.host).toBe(request.authority);
        expect(seen.headers['content-length']).toBe(valuesOf(slow, 'content-length')[0]);
        expect(seen.headers['transfer-encoding']).toBe(request.framing === 'chunked' ? 'chunked' : undefined);
        expect(seen.headers.upgrade).toBe(request.upgrade === '' ? undefined : request.upgrade);
      }),
      { numRuns: 300 },
    );
  });
});

describe('responses that are taken', () => {
  type ResponseCase = {
    readonly name: string;
    readonly text: string;
    readonly expected?: Partial<ResponseHead>;
    /** Lines that go to the client; absent: as they came. */
    readonly client?: readonly string[];
  };

  const cases: readonly ResponseCase[] = [
    {
      name: 'plain',
      text: head('HTTP/1.1 200 OK', 'Content-Length: 5', 'X-A: 1'),
      expected: {
        status: 200,
        minorVersion: 1,
        chunked: false,
        contentLength: 5,
        keepAlive: true,
        keepAliveMs: 0,
        passable: true,
      },
    },
    {
      name: 'no fields',
      text: head('HTTP/1.1 200 OK'),
      expected: { contentLength: -1, chunked: false, passable: true },
    },
    { name: 'an empty reason', text: head('HTTP/1.1 200 '), expected: { status: 200 } },
    { name: 'no reason and no blank', text: head('HTTP/1.1 200'), expected: { status: 200 } },
    { name: 'a long reason', text: head('HTTP/1.1 404 Not \t caf\xe9 "x" Found'), expected: { status: 404 } },
    { name: 'a blank more', text: head('HTTP/1.1 200  OK'), expected: { status: 200 } },
    { name: 'a status of nobody', text: head('HTTP/1.1 299 x'), expected: { status: 299 } },
    { name: 'the last status', text: head('HTTP/1.1 599 x'), expected: { status: 599 } },
    { name: '100', text: head('HTTP/1.1 100 Continue'), expected: { status: 100, contentLength: -1 } },
    { name: '103', text: head('HTTP/1.1 103 Early Hints', 'Link: </a>'), expected: { status: 103 } },
    { name: '204', text: head('HTTP/1.1 204 No Content'), expected: { status: 204 } },
    {
      name: '304 with the length that there would be',
      text: head('HTTP/1.1 304 Not Modified', 'Content-Length: 7'),
      expected: { status: 304, contentLength: 7, passable: true },
    },
    {
      name: 'chunked goes on as it came',
      text: head('HTTP/1.1 200 OK', 'transfer-encoding: Chunked', 'Trailer: X-T'),
      expected: { chunked: true, contentLength: -1, passable: true },
    },
    {
      name: 'a length of nothing',
      text: head('HTTP/1.1 200 OK', 'Content-Length: 0'),
      expected: { contentLength: 0 },
    },
    {
      name: 'a length twice',
      text: head('HTTP/1.1 200 OK', 'Content-Length: 5', 'X-A: 1', 'Content-Length: 5'),
      expected: { contentLength: 5, passable: false },
      client: ['HTTP/1.1 200 OK', 'Content-Length: 5', 'X-A: 1'],
    },
    {
      name: 'HTTP/1.0',
      text: head('HTTP/1.0 200 OK', 'Content-Length: 5'),
      expected: { minorVersion: 0, keepAlive: false, passable: false },
      client: ['HTTP/1.1 200 OK', 'Content-Length: 5'],
    },
    {
      name: 'HTTP/1.0 with keep-alive',
      text: head('HTTP/1.0 200 OK', 'Connection: Keep-Alive'),
      expected: { keepAlive: true, passable: false },
      client: ['HTTP/1.1 200 OK'],
    },
    {
      name: 'close',
      text: head('HTTP/1.1 200 OK', 'Connection: close', 'X-A: 1'),
      expected: { keepAlive: false, passable: true },
      client: ['HTTP/1.1 200 OK', 'X-A: 1'],
    },
    ...['close, keep-alive', 'keep-alive, close'].map((options) => ({
      name: `close outweighs keep-alive: ${options}`,
      text: head('HTTP/1.1 200 OK', `Connection: ${options}`),
      expected: { keepAlive: false },
      client: ['HTTP/1.1 200 OK'],
    })),
    {
      name: 'HTTP/1.0 with close and keep-alive',
      text: head('HTTP/1.0 200 OK', 'Connection: close, keep-alive'),
      expected: { keepAlive: false },
      client: ['HTTP/1.1 200 OK'],
    },
    {
      name: 'fields that Connection names',
      text: head('HTTP/1.1 200 OK', 'X_Hop: 1', 'X-Stay: 2', 'Connection: x_hop, x-b', 'x-b: 3', 'Set-Cookie: a=b'),
      client: ['HTTP/1.1 200 OK', 'X-Stay: 2', 'Set-Cookie: a=b'],
    },
    {
      name: 'Connection names what delimits the body',
      text: head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Connection: content-length'),
      expected: { contentLength: 5 },
      client: ['HTTP/1.1 200 OK', 'Content-Length: 5'],
    },
    {
      name: 'Keep-Alive with a time',
      text: head('HTTP/1.1 200 OK', 'Keep-Alive: timeout=5, max=100', 'Connection: keep-alive'),
      expected: { keepAlive: true, keepAliveMs: 5000 },
      client: ['HTTP/1.1 200 OK'],
    },
    ...[
      ['max=100, TIMEOUT=7', 7000],
      ['timeout=0', 0],
      ['timeout=', 0],
      ['timeout=x', 0],
      ['timeout=-5', 0],
      ['timeout=5.5', 0],
      ['timeout=99999999999999999999', 0],
      ['timeout=86399', 86_399_000],
      ['timeout=86400', 0],
      ['', 0],
    ].map(([hint, keepAliveMs]) => ({
      name: `Keep-Alive: ${hint}`,
      text: head('HTTP/1.1 200 OK', `Keep-Alive: ${hint}`),
      expected: { keepAliveMs: Number(keepAliveMs) },
      client: ['HTTP/1.1 200 OK'],
    })),
    {
      name: '101',
      text: head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', 'X-A: 1'),
      expected: { status: 101, upgrade: 'websocket' },
      client: ['HTTP/1.1 101 Switching Protocols', 'X-A: 1'],
    },
    {
      name: 'Proxy-Connection and TE',
      text: head('HTTP/1.1 200 OK', 'Proxy-Connection: close', 'X-A: 1', 'TE: x'),
      expected: { keepAlive: true },
      client: ['HTTP/1.1 200 OK', 'X-A: 1'],
    },
    {
      name: 'everything else, byte by byte',
      text: head('HTTP/1.1 200 OK', 'x-a:  1\t', 'X-A: 2', 'Set-Cookie: a', 'set-cookie: b', 'Proxy: x', 'X-SSL: 1'),
      expected: { passable: true },
    },
  ];

  test.each(cases)('$name', ({ text, expected, client }) => {
    const response = new ResponseHead(limits);
    expect(response.read(text)).toBeNull();
    expect(response).toMatchObject(expected ?? {});
    const toClient = `${client === undefined ? text : head(...client)}\r\n`;
    expect(response.render('')).toBe(toClient);
    expect(response.render('X-Own: 1\r\n')).toBe(`${toClient.slice(0, -2)}X-Own: 1\r\n\r\n`);
    if (response.passable) {
      // The head inside a larger buffer, between an interim response and its body.
      const before = 'HTTP/1.1 100 Continue\r\n\r\n';
      const bytes = Buffer.from(`${before}${text}\r\nbody`, 'latin1');
      const start = before.length + response.compact(bytes, before.length);
      expect(bytes.toString('latin1', start)).toBe(`${toClient}body`);
    }
  });

  test('every set of dropped lines is compacted to what is rendered', () => {
    const line = fc.constantFrom(
      'X-A: 1',
      'X-Hop: 2',
      'Keep-Alive: timeout=3',
      'Content-Type: text/plain',
      'Upgrade: x',
    );
    const response = new ResponseHead(limits);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (lines, named) => {
        const text = head('HTTP/1.1 200 OK', ...lines, ...(named ? ['Connection: x-hop'] : []));
        expect(response.read(text)).toBeNull();
        const bytes = Buffer.from(`${text}\r\nbody`);
        const start = response.compact(bytes, 0);
        expect(bytes.toString('latin1', start)).toBe(`${response.render('')}body`);
        expect(response.render('')).not.toMatch(/keep-alive|upgrade|connection/i);
        if (named) expect(response.render('')).not.toContain('X-Hop');
      }),
    );
  });

  test.each([
    { name: 'a length', fields: ['Content-Length: 5', 'X-A: 1'] },
    { name: 'a length said twice', fields: ['Content-Length: 5', 'X-A: 1', 'Content-Length: 5'] },
    { name: 'chunked with a trailer', fields: ['Trailer: X-T', 'Transfer-Encoding: chunked', 'X-A: 1'] },
    { name: 'nothing', fields: ['X-A: 1'] },
  ])('what delimits a body is taken out: $name', ({ fields }) => {
    const response = new ResponseHead(limits);
    expect(response.read(head('HTTP/1.1 200 OK', ...fields))).toBeNull();
    response.dropFraming();
    expect(response.passable).toBe(true);
    expect(response.render('')).toBe(`${head('HTTP/1.1 200 OK', 'X-A: 1')}\r\n`);
  });

  test('nothing of one response is left in the next', () => {
    const reused = new ResponseHead(limits);
    fc.assert(
      fc.property(fc.shuffledSubarray([...cases], { minLength: 2, maxLength: 6 }), (some) => {
        for (const { text } of some) {
          const fresh = new ResponseHead(limits);
          expect(reused.read(text)).toBe(fresh.read(text));
          expect({ ...reused }).toEqual({ ...fresh });
          expect(reused.passable).toBe(fresh.passable);
          expect(reused.upgrade).toBe(fresh.upgrade);
          expect(reused.render('')).toBe(fresh.render(''));
        }
      }),
    );
  });
});

describe('responses that are refused', () => {
  const cases: readonly { readonly reason: RefusalReason; readonly text: string }[] = [
    { reason: 'bad-status-line', text: '' },
    { reason: 'bad-status-line', text: 'HTTP/1.1 200 OK' },
    { reason: 'bad-status-line', text: head('') },
    { reason: 'bad-status-line', text: head('<html>') },
    { reason: 'bad-status-line', text: head('200 OK') },
    { reason: 'bad-status-line', text: head('HTTP/2 200 OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.2 200 OK') },
    { reason: 'bad-status-line', text: head('HTTP/0.9 200 OK') },
    { reason: 'bad-status-line', text: head('http/1.1 200 OK') },
    { reason: 'bad-status-line', text: head('ICY 200 OK') },
    { reason: 'bad-status-line', text: head(' HTTP/1.1 200 OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1  200 OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1\t200 OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 ') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 20') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 20x OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 -20 OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 2000 OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 200OK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 200\tOK') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 000 x') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 099 x') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 600 x') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 999 x') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 200 O\0K') },
    { reason: 'bad-status-line', text: head('HTTP/1.1 200 O\rK') },
    { reason: 'bad-status-line', text: 'HTTP/1.1 200 OK\nX: 1\r\n' },
    { reason: 'folded-field', text: head('HTTP/1.1 200 OK', 'X-A: 1', ' 2') },
    { reason: 'bad-field-name', text: head('HTTP/1.1 200 OK', 'Content-Length : 5') },
    { reason: 'bad-field-name', text: head('HTTP/1.1 200 OK', 'No colon') },
    { reason: 'bad-field-value', text: head('HTTP/1.1 200 OK', 'X-A: \0') },
    { reason: 'bad-field-value', text: head('HTTP/1.1 200 OK', 'X-A: a\rSet-Cookie: b') },
    { reason: 'bare-line-feed', text: head('HTTP/1.1 200 OK', 'X-A: a\nSet-Cookie: b') },
    { reason: 'too-many-fields', text: head('HTTP/1.1 200 OK', ...Array.from({ length: 21 }, () => 'X: 1')) },
    { reason: 'bad-content-length', text: head('HTTP/1.1 200 OK', 'Content-Length: ') },
    { reason: 'bad-content-length', text: head('HTTP/1.1 200 OK', 'Content-Length: -1') },
    { reason: 'bad-content-length', text: head('HTTP/1.1 200 OK', 'Content-Length: 5, 6') },
    { reason: 'bad-content-length', text: head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Length: 6') },
    { reason: 'bad-content-length', text: head('HTTP/1.1 200 OK', 'Content-Length: 9007199254740992') },
    {
      reason: 'length-and-transfer-encoding',
      text: head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    },
    { reason: 'bad-transfer-encoding', text: head('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked') },
    { reason: 'bad-transfer-encoding', text: head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked, gzip') },
    {
      reason: 'bad-transfer-encoding',
      text: head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    },
    { reason: 'unknown-transfer-encoding', text: head('HTTP/1.1 200 OK', 'Transfer-Encoding: identity') },
    { reason: 'unknown-transfer-encoding', text: head('HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked') },
  ];

  test.each(cases.map((each) => ({ ...each, shown: JSON.stringify(each.text.slice(0, 100)) })))(
    '$reason: $shown',
    ({ text, reason }) => {
      expect(new ResponseHead(limits).read(text)).toBe(reason);
    },
  );
});
