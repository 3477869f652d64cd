// Golden cases of the reference (observed 5, 6): what pods are told of the client, and what becomes of odd requests.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../../support/certificates.ts';
import { cases, type GoldenCase, type Row } from '../../support/golden/cases.ts';
import { namespace, numberedServices } from '../../support/golden/pods.ts';
import { type Ask, forwardingFields, GoldenRouter, seenLines } from '../../support/golden/router.ts';
import { aRoute, type RouteBuilder } from '../../support/manifests.ts';

const policies = {
  append: 'append',
  replace: 'replace',
  'if-none': 'if-none',
  never: 'never',
  cap: 'Append',
  bogus: 'bogus',
};

function on(host: string, pod = 's0'): RouteBuilder {
  return aRoute(`${namespace}/${host}`).host(host).to(pod);
}

let golden: GoldenRouter;

beforeAll(async () => {
  const podPair = makeCertificate({ names: ['t0.diff-a.svc'] });
  const routes = [
    ...[on('f-none.f.test'), on('f-edge.f.test').edge(), on('f-allow.f.test').edge().insecure('Allow')],
    on('f-reen.f.test', 't0').reencrypt(),
    ...Object.entries(policies).map(([word, value]) =>
      on(`f-${word}.f.test`).edge().annotation('haproxy.router.openshift.io/set-forwarded-headers', value),
    ),
    ...[on('cl.c.test'), on('cle.c.test').edge()],
  ];
  const tls = { cert: podPair.certificate, key: podPair.key };
  golden = await GoldenRouter.start(
    [...numberedServices(1), { service: 't0', pods: ['t0'], tls }],
    routes.map((route) => route.build()),
  );
});
afterAll(() => golden[Symbol.asyncDispose]());

describe('observed 5: forwarding headers', () => {
  const clientValues =
    'X-Forwarded-For: 10.1.1.1\r\nX-Forwarded-For: 10.2.2.2, 10.3.3.3\r\nX-Forwarded-Host: evil.test\r\n' +
    'X-Forwarded-Port: 1\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Proto-Version: h9\r\n' +
    'Forwarded: for=1.2.3.4;proto=gopher\r\n';
  const sent = clientValues
    .trimEnd()
    .replace(/^[^:]*/gm, (name) => name.toLowerCase())
    .split('\r\n');
  const ours = (host: string, proto: 'http' | 'https', version: '' | 'h2' = '', client = '127.0.0.1'): string[] => [
    `x-forwarded-host: ${host}`,
    `x-forwarded-port: ${proto === 'http' ? 28_080 : 28_443}`,
    `x-forwarded-proto: ${proto}`,
    ...(version === '' ? [] : [`x-forwarded-proto-version: ${version}`]),
    `forwarded: for=${client};host=${host};proto=${proto}`,
    `x-forwarded-for: ${client}`,
  ];
  /** Lines of different names may change places. */
  const together = (lines: readonly string[]): string =>
    [...lines].sort((a, b) => nameOf(a).localeCompare(nameOf(b))).join('; ');
  const nameOf = (line: string): string => line.slice(0, line.indexOf(':'));
  const check = async ({ input, expected }: GoldenCase<Ask>): Promise<void> => {
    expect(together(seenLines(await golden.ask(input), /^(?!x-forwarded-|forwarded:)/))).toBe(expected);
  };

  const edge = 'f-edge.f.test';
  test.each(
    cases<Ask>([
      ['plain', { host: 'f-none.f.test' }, together(ours('f-none.f.test', 'http'))],
      ['Host with port', { host: 'f-none.f.test:8080' }, together(ours('f-none.f.test:8080', 'http'))],
      [
        'client values',
        { host: 'f-none.f.test', lines: clientValues },
        together([...sent, ...ours('f-none.f.test', 'http')]),
      ],
      ['HTTP/1.0', { host: 'f-none.f.test', version: '1.0' }, together(ours('f-none.f.test', 'http'))],
      ['h2c prior knowledge', { host: 'f-none.f.test', over: 'h2c' }, together(ours('f-none.f.test', 'http'))],
      ['edge h1', { host: edge, over: 'https' }, together(ours(edge, 'https'))],
      ['edge h2', { host: edge, over: 'h2' }, together(ours(edge, 'https', 'h2'))],
      [
        'edge h1, client values',
        { host: edge, over: 'https', lines: clientValues },
        together([...sent, ...ours(edge, 'https')]),
      ],
      [
        'edge h2, client values',
        { host: edge, over: 'h2', lines: clientValues },
        together([...sent, ...ours(edge, 'https', 'h2')]),
      ],
      ['edge, no SNI', { host: edge, over: 'https', sni: null }, together(ours(edge, 'https'))],
      ['re-encrypt h1', { host: 'f-reen.f.test', over: 'https' }, together(ours('f-reen.f.test', 'https'))],
      ['re-encrypt h2', { host: 'f-reen.f.test', over: 'h2' }, together(ours('f-reen.f.test', 'https', 'h2'))],
      ['edge Allow on http', { host: 'f-allow.f.test' }, together(ours('f-allow.f.test', 'http'))],
      [
        'other source address',
        { host: 'f-none.f.test', from: '127.0.0.77' },
        together(ours('f-none.f.test', 'http', '', '127.0.0.77')),
      ],
    ]),
  )('$name', check);

  /** What is left of what the client sent, and whether the router adds what it knows. Route semantics V2 to V6. */
  const outcomes: Record<
    keyof typeof policies,
    readonly [kept: readonly string[], isAdded: boolean, isAddedBeside: boolean]
  > = {
    append: [sent, true, true],
    replace: [[], true, true],
    'if-none': [sent, true, false],
    never: [sent, false, false],
    cap: [sent, true, true],
    bogus: [sent, true, true],
  };
  const byPolicy: readonly Row<Ask>[] = Object.entries(outcomes).flatMap(([word, [kept, isAdded, isAddedBeside]]) => {
    const host = `f-${word}.f.test`;
    return (['https', 'h2'] as const).flatMap((over): Row<Ask>[] => {
      const added = ours(host, 'https', over === 'h2' ? 'h2' : '');
      // In the reference a client's X-Forwarded-Proto-Version survives on HTTP/1.1.
      const differs: [string] | [] = word === 'replace' && over === 'https' ? ['`set-forwarded-headers: replace`'] : [];
      const beside = together([...kept, ...(isAddedBeside ? added : [])]);
      return [
        [`${word}, ${over}, none sent`, { host, over }, together(isAdded ? added : [])],
        [`${word}, ${over}, client values`, { host, over, lines: clientValues }, beside, ...differs],
      ];
    });
  });
  test.each(cases<Ask>(byPolicy))('policy $name', check);
});

describe('observed 6: hygiene', () => {
  const host = 'cl.c.test';
  const post = (lines: string, body = '3\r\nabc\r\n0\r\n\r\n', version = '1.1'): Ask => ({
    text: `POST / HTTP/${version}\r\nHost: ${host}\r\n${lines}\r\n${body}`,
  });
  const get = (lines: string): Ask => ({ host, lines });
  const hop = 'fields that `Connection` names';
  const unread = 'bare line feeds, folded fields';
  const codings = 'other transfer codings';
  const many = (count: number): Ask => get('X-N: 1\r\n'.repeat(count));
  const large = (length: number): Ask => get(`X-Large: ${'x'.repeat(length)}\r\n`);

  /** The outcome, and the lines that the pod got besides Host and what says who the client is. */
  const check = async ({ input, expected }: GoldenCase<Ask>): Promise<void> => {
    const told = await golden.ask(input);
    const lines = seenLines(told, new RegExp(`${forwardingFields.source}|^host: cle?\\.c\\.test$|^x-(n|large):`));
    const body = told.seen?.request.body.toString() ?? '';
    expect([told.words, ...lines, ...(body === '' ? [] : [`body ${body}`])].join('; ')).toBe(expected);
  };

  test.each(
    cases<Ask>([
      [
        'Proxy and X-SSL',
        get(
          'Proxy: x\r\nX-SSL: 1\r\nX-SSL-Client-CN: root\r\nX-SSL-Client-Cert: kept?\r\nX-SSL-Other: kept?\r\nX-SSL_Client_CN: underscore\r\nX-Keep: yes\r\n',
        ),
        '200 s0 GET /; x-ssl-client-cert: kept?; x-ssl-other: kept?; x-ssl_client_cn: underscore; x-keep: yes',
      ],
      ['Proxy-Authorization', get('Proxy-Authorization: Basic x\r\n'), '200 s0 GET /; proxy-authorization: Basic x'],
      ['Proxy-Connection', get('Proxy-Connection: keep-alive\r\n'), '200 s0 GET /', hop],
      ['empty Content-Length', post('Content-Length:\r\n', ''), '400 bad-content-length'],
      [
        'Content-Length twice equal',
        post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'),
        '200 s0 POST /; content-length: 3; body abc',
      ],
      [
        'Content-Length twice different',
        post('Content-Length: 3\r\nContent-Length: 4\r\n', 'abc'),
        '400 bad-content-length',
        'conflicting Content-Length',
      ],
      ['Content-Length list', post('Content-Length: 3, 3\r\n', 'abc'), '200 s0 POST /; content-length: 3; body abc'],
      [
        'Content-Length and chunked',
        post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'),
        '400 length-and-transfer-encoding',
        'Content-Length and Transfer-Encoding',
      ],
      ['Transfer-Encoding xchunked', post('Transfer-Encoding: xchunked\r\n'), '501 unknown-transfer-encoding', codings],
      ['Transfer-Encoding identity', post('Transfer-Encoding: identity\r\n'), '501 unknown-transfer-encoding', codings],
      [
        'Transfer-Encoding gzip, chunked',
        post('Transfer-Encoding: gzip, chunked\r\n'),
        '501 unknown-transfer-encoding',
        codings,
      ],
      [
        'chunked on HTTP/1.0',
        post('Transfer-Encoding: chunked\r\n', undefined, '1.0'),
        '400 bad-transfer-encoding',
        'chunked bodies of HTTP/1.0',
      ],
      [
        'Connection lists a header',
        get('Connection: X-Drop\r\nX-Drop: 1\r\nX-Stay: 1\r\n'),
        '200 s0 GET /; x-stay: 1',
        hop,
      ],
      ['Keep-Alive', get('Keep-Alive: timeout=5\r\n'), '200 s0 GET /', hop],
      ['Connection close', get('Connection: close\r\n'), '200 s0 GET /'],
      [
        'hop headers',
        get('TE: gzip, trailers\r\nTrailer: X-T\r\n'),
        '200 s0 GET /; trailer: X-T; connection: TE; te: trailers',
        '`TE: trailers` towards pods',
      ],
      [
        'Upgrade h2c',
        get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
        '200 s0 GET /',
        hop,
      ],
      [
        'mixed-case names',
        get('X-MiXeD-Case: v\r\nACCEPT: */*\r\nX_Under_Score: 1\r\n'),
        '200 s0 GET /; x-mixed-case: v; accept: */*; x_under_score: 1',
      ],
      [
        'duplicate headers kept apart',
        get('X-A: 1\r\nX-B: 2\r\nX-A: 3\r\nCookie: a=1\r\nCookie: b=2\r\n'),
        '200 s0 GET /; x-a: 1; x-b: 2; x-a: 3; cookie: a=1; cookie: b=2',
      ],
      ['outer blanks and obs-text', get('X-A:   v  w  \r\nX-L: caf\xe9\r\n'), '200 s0 GET /; x-a: v  w; x-l: caf\xe9'],
      ['empty header value', get('X-E:\r\n'), '200 s0 GET /; x-e:'],
      ['blank before colon', get('X-A : 1\r\n'), '400 bad-field-name'],
      ['obs-fold', get('X-F: a\r\n   b\r\n'), '400 folded-field', unread],
      ['NUL in a value', get('X-A: a\0b\r\n'), '400 bad-field-value'],
      ['bare LF line ends', { text: `GET /lf HTTP/1.1\nHost: ${host}\n\n` }, '400 bare-line-feed', unread],
      ['leading blank line', { text: `\r\nGET /lead HTTP/1.1\r\nHost: ${host}\r\n\r\n` }, '200 s0 GET /lead'],
      ['control char in path', { host, target: '/\x01' }, '400 bad-target'],
      ['non-ASCII path', { host, target: '/caf\xe9' }, '400 bad-target'],
      ['invalid version', { host, version: '1.2' }, '505 bad-version', 'unknown HTTP/1 minor versions'],
      ['HTTP/0.9', { text: 'GET /\r\n\r\n' }, '400 bad-request-line'],
      ['method lower case', { host, method: 'get' }, '200 s0 get /'],
      ['odd method', { host, method: 'M-SEARCH' }, '200 s0 M-SEARCH /'],
      ['CONNECT', { host, method: 'CONNECT', target: `${host}:80` }, '405 method-not-allowed', 'CONNECT'],
      ['TRACE', { host, method: 'TRACE' }, '200 s0 TRACE /'],
      [
        'Max-Forwards 0',
        { host, method: 'OPTIONS', lines: 'Max-Forwards: 0\r\n' },
        '200 s0 OPTIONS /; max-forwards: 0',
      ],
      ['Range', get('Range: bytes=0-1\r\n'), '200 s0 GET /; range: bytes=0-1'],
      ['Accept-Encoding gzip', get('Accept-Encoding: gzip\r\n'), '200 s0 GET /; accept-encoding: gzip'],
      ['Via', get('Via: 1.1 x\r\n'), '200 s0 GET /; via: 1.1 x'],
      [
        'X-Real-IP',
        get('X-Real-IP: 1.2.3.4\r\nX-Client-IP: 1.2.3.4\r\n'),
        '200 s0 GET /; x-real-ip: 1.2.3.4; x-client-ip: 1.2.3.4',
      ],
      [
        'h2: names and cookies',
        {
          host: 'cle.c.test',
          over: 'h2',
          target: '/p?q',
          lines: 'X-A: 1\r\nX-A: 2\r\nTE: trailers\r\nCookie: a=1\r\nCookie: b=2\r\n',
        },
        '200 s0 GET /p?q; x-a: 1; x-a: 2; cookie: a=1; b=2; connection: TE; te: trailers',
        '`TE: trailers` towards pods',
      ],
      [
        'h2: upper case authority with port',
        { host: 'CLE.C.test:28443', sni: 'cle.c.test', over: 'h2' },
        '200 s0 GET /; host: cle.c.test:28443',
      ],
      ['request head of 10000 bytes', large(10_000), '200 s0 GET /'],
      ['request head of 20000 bytes', large(20_000), '200 s0 GET /'],
      ['request head of 24000 bytes', large(24_000), '200 s0 GET /'],
      ['request head of 26000 bytes', large(26_000), '431 head-too-large'],
      ['request head of 40000 bytes', large(40_000), '431 head-too-large'],
      ['long path 20000', { host, target: `/${'p'.repeat(20_000)}` }, `200 s0 GET /${'p'.repeat(20_000)}`],
      ['90 header lines and Host', many(90), '200 s0 GET /'],
      ['99 header lines and Host', many(99), '200 s0 GET /'],
      ['100 header lines and Host', many(100), '431 too-many-fields', 'more than 100 header lines'],
      ['110 header lines and Host', many(110), '431 too-many-fields', 'more than 100 header lines'],
      ['response header of 10000 bytes', { host, target: '/?_do=big=10000' }, '200 s0 GET /?_do=big=10000'],
      ['response header of 23000 bytes', { host, target: '/?_do=big=23000' }, '200 s0 GET /?_do=big=23000'],
      ['response header of 25000 bytes', { host, target: '/?_do=big=25000' }, '502 bad-response'],
      ['response header of 33000 bytes', { host, target: '/?_do=big=33000' }, '502 bad-response'],
    ]),
  )('$name', check);
});
