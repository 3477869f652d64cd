// Header actions of Routes over real sockets (Route semantics 1.4, 5.6; observed 15), for every pairing of protocols.

import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { IdPart, IdVariable } from '../../src/config/id-format.ts';
import { type HeaderAction, type HeaderDirection, parseHeaderValue } from '../../src/table/header-actions.ts';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { DataPlane } from '../support/data-plane.ts';
import { type NamedAction, observedActions } from '../support/golden/actions.ts';
import { Pair, pairings } from '../support/http2-peers/pairings.ts';
import { type Message, valuesOf } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { certificate, certificateId, route } from '../support/rules.ts';

function actions(direction: HeaderDirection, wish: readonly NamedAction[]): readonly HeaderAction[] {
  return wish.map(([name, value]) => ({ name, parts: value === null ? null : parseHeaderValue(value, direction) }));
}

const goldenLines = (last: string, base64: string): string =>
  'X-One: a b\r\nX-Dyn: a.test\r\nX-Pct: 100%\r\nX-If: v if foo\r\n' +
  'X-Env: ${HOME}\r\nX-Quote: it\'s "q" \\ #\r\n' +
  `X-B64: ${base64}\r\nX-Q: ${last}\r\nX-QE: \r\nX-Cert: \r\nX-Two2: ${last}-${last.toLowerCase()}\r\nX-Empty: \r\n`;

/** What a pod gets of these lines over a Route with these actions. */
async function seenByPod(wish: readonly NamedAction[], lines: string, host = 'a.test'): Promise<Message> {
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(ok('hello'), seen));
  await using plane = await DataPlane.start(
    route({ host, pods: [pod.port], forwarded: 'never', requestActions: actions('request', wish) }),
  );
  using client = await Peer.connect(plane.httpPort);
  await client.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
  await client.message();
  const [message] = seen;
  if (message === undefined) throw new Error('nothing came');
  return message;
}

describe('requests (observed 15)', () => {
  test.each([
    ['set and delete', 'X-Two: 2\r\nX-In: AbC\r\nX-One: 1\r\nx-one: 2\r\n', 'X-In: AbC\r\n', 'AbC', 'QWJD'],
    ['twice', 'X-In: first\r\nX-In: Second\r\n', 'X-In: first\r\nX-In: Second\r\n', 'Second', 'U2Vjb25k'],
    ['a list', 'X-In: p, Q\r\n', 'X-In: p, Q\r\n', 'Q', 'UQ=='],
    ['a comma in quotes', 'X-In: p, "Q,R"\r\n', 'X-In: p, "Q,R"\r\n', '"Q,R"', 'IlEsUiI='],
  ])('%s', async (_name, sent, kept, last, base64) => {
    const { text } = await seenByPod(observedActions, sent);
    expect(text).toBe(`GET / HTTP/1.1\r\nHost: a.test\r\n${kept}${goldenLines(last, base64)}\r\n`);
  });

  test.each<[string, readonly NamedAction[], string, string]>([
    ['Host', [['Host', 'inner.test']], '', 'Host: inner.test\r\n'],
    ['Host by a field', [['Host', '%[req.hdr(x-new)]']], 'X-New: n.test\r\n', 'X-New: n.test\r\nHost: n.test\r\n'],
    [
      'two spellings',
      [
        ['X-A', '1'],
        ['x-a', '2'],
      ],
      '',
      'Host: a.test\r\nx-a: 2\r\n',
    ],
    [
      'each sees what those before it did',
      [
        ['X-A', 'new'],
        ['X-B', '%[req.hdr(X-A)]'],
        ['X-A', null],
      ],
      'X-A: old\r\n',
      'Host: a.test\r\nX-B: new\r\n',
    ],
    ['no characters that a field may not have', [['X-C', '%[ssl_c_der]']], '', 'Host: a.test\r\nX-C: \r\n'],
    ['bytes beyond ASCII', [['X-C', 'Ā%[req.hdr(x),lower]']], 'X: ÃÉ\r\n', 'Host: a.test\r\nX: ÃÉ\r\nX-C: Ä\x80ÃÉ\r\n'],
  ])('%s', async (_name, wish, sent, expected) => {
    expect((await seenByPod(wish, sent)).text).toBe(`GET / HTTP/1.1\r\n${expected}\r\n`);
  });

  test('values that grow beyond all bounds are left empty', async () => {
    const wish: readonly NamedAction[] = [['X-Much', '%[req.hdr(x-in)]'.repeat(1000)]];
    const message = await seenByPod(wish, `X-In: ${'x'.repeat(1000)}\r\n`);
    expect(valuesOf(message, 'x-much')).toEqual(['']);
  });

  test('what the router says of the client is replaced, too', async () => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hello'), seen));
    const requestActions = actions('request', [
      ['X-Forwarded-For', 'me'],
      ['X-Seen', '%[req.hdr(x-forwarded-proto)]'],
    ]);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], requestActions }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    await client.message();
    expect(seen.map((message) => [valuesOf(message, 'x-forwarded-for'), valuesOf(message, 'x-seen')])).toEqual([
      [['me'], ['http']],
    ]);
  });
});

describe('answers', () => {
  const wish: readonly NamedAction[] = [
    ['X-Frame-Options', 'DENY'],
    ['X-Gone', null],
    ['X-Src', '%[res.hdr(x-up),lower]'],
    ['X-Hex', '%{+X}[res.hdr(x-up)]'],
    ['Server', 'mine'],
  ];
  const chunked = '5\r\nhello\r\n0\r\n\r\n';
  test.each([
    ['a length', 'X-Gone: 1\r\nX-Up: AbC\r\nContent-Length: 5\r\nSERVER: pod\r\n', 'hello', 'AbC'],
    ['chunks', 'X-Up: AbC\r\nTransfer-Encoding: chunked\r\nServer: a\r\nServer: b\r\n', chunked, 'AbC'],
    ['the field missing', 'Content-Length: 0\r\n', '', ''],
  ])('with %s', async (_name, lines, body, up) => {
    await using pod = await Pod.start(answering(`HTTP/1.1 200 OK\r\n${lines}\r\n${body}`, []));
    await using plane = await DataPlane.start(
      route({ host: 'a.test', pods: [pod.port], responseActions: actions('response', wish) }),
    );
    using client = await Peer.connect(plane.httpPort);
    // Twice, as the second one comes over a connection that is open.
    for (let i = 0; i < 2; i++) {
      await client.write(getRequest('a.test'));
      const kept = lines.replace(/X-Gone: 1\r\n|server: .*\r\n/gi, '');
      const added = `X-Frame-Options: DENY\r\nX-Src: ${up.toLowerCase()}\r\nX-Hex: ${up}\r\nServer: mine\r\n`;
      expect((await client.message()).text).toBe(`HTTP/1.1 200 OK\r\n${kept}${added}\r\n${body}`);
    }
  });

  test.each([
    [
      'of a pod of HTTP/1.0 until the end of its connection',
      'HTTP/1.0 200 OK\r\n\r\nhello',
      ['X-R: 1', 'Connection: close'],
    ],
    [
      'of a pod that closes',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello',
      ['Content-Length: 5', 'X-R: 1'],
    ],
  ])('%s', async (_name, answer, expected) => {
    await using pod = await Pod.start(async (peer) => {
      await peer.message();
      await peer.write(answer);
      peer.finish();
    });
    const responseActions = actions('response', [['X-R', '1']]);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], responseActions }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    const message = await client.message();
    expect([message.fields, message.body.toString()]).toEqual([expected, 'hello']);
    expect(plane.idleUpstreams).toBe(0);
  });

  test('with as many lines as a pod may send, and those of actions besides', async () => {
    const lines = Array.from({ length: 99 }, (_, i) => `X-${i}: ${i}\r\n`).join('');
    await using pod = await Pod.start(answering(ok('hello', lines)));
    const wish = Array.from({ length: 100 }, (_, i): NamedAction => [`Y-${i}`, '1']);
    const responseActions = actions('response', wish);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], responseActions }));
    using client = await Peer.connect(plane.httpPort);
    await client.write(getRequest('a.test'));
    expect((await client.message()).fields).toHaveLength(200);
  });

  test('of the router itself are not touched', async () => {
    const responseActions = actions('response', [['X-R', '1']]);
    await using plane = await DataPlane.start([
      ...route({ host: 'none.test', pods: [], responseActions }),
      ...route({ host: 'redir.test', pods: [], termination: 'edge', insecurePolicy: 'Redirect', responseActions }),
    ]);
    using client = await Peer.connect(plane.httpPort);
    for (const host of ['none.test', 'redir.test', 'unknown.test']) {
      await client.write(getRequest(host));
      expect(valuesOf(await client.message(), 'x-r')).toEqual([]);
    }
  });

  test('a switch of protocols has them', async () => {
    const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n';
    await using pod = await Pod.start(answering(`${head}\r\n`, []));
    const responseActions = actions('response', [['X-R', '1']]);
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], responseActions }));
    using client = await Peer.connect(plane.httpPort);
    await client.write('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    expect(await client.untilText('\r\n\r\n')).toBe(`${head}X-R: 1\r\n\r\n`);
  });
});

test.each(pairings)('$client to $pod', async (pairing) => {
  const wish = {
    requestActions: actions('request', [
      ['Host', 'inner.test'],
      ['X-In', '%[req.hdr(x-in),base64]'],
      ['X-Gone', null],
    ]),
    responseActions: actions('response', [
      ['X-Got', '<%[res.hdr(x-got)]>'],
      ['X-Out', null],
    ]),
  };
  await using pair = await Pair.start(
    pairing,
    ({ headers }, response) => {
      const host = headers[':authority'] ?? headers.host;
      response.setHeader('x-got', `${host} ${headers['x-in']} ${headers['x-gone']}`);
      response.setHeader('x-out', '1');
      response.end('hello');
    },
    { wish },
  );
  const answer = await pair.client.ask({ fields: { 'x-in': 'AbC', 'x-gone': '1' } }).answer;
  expect(answer.fields['x-got']).toBe('<inner.test QWJD undefined>');
  expect(answer.fields['x-out']).toBeUndefined();
  expect((await answer.whole()).text).toBe('hello');
});

test('the certificate of a client', async () => {
  const authority = makeAuthority({ name: 'client root' });
  const made = makeCertificate({ names: ['ann'], clientAuth: true, issuer: authority });
  const seen: Message[] = [];
  await using pod = await Pod.start(answering(ok('hello'), seen));
  await using plane = await DataPlane.start([
    certificate('ca', authority.certificate, null),
    ...route({
      host: 'a.test',
      pods: [pod.port],
      termination: 'edge',
      clientAuth: { demand: 'required', authority: certificateId('ca') },
      requestActions: actions('request', [
        ['X-Cert', '%{+Q}[ssl_c_der,base64]'],
        ['X-Raw', '%[ssl_c_der]'],
      ]),
    }),
  ]);
  const options = { cert: made.certificate, key: made.key, servername: 'a.test', rejectUnauthorized: false };
  using client = await Peer.connectTls(plane.httpsPort, options);
  await client.write(getRequest('a.test'));
  await client.message();
  const der = new X509Certificate(made.certificate).raw.toString('base64');
  expect(seen.map((message) => [valuesOf(message, 'x-cert'), valuesOf(message, 'x-raw')])).toEqual([[[der], ['']]]);
});

describe('ids of requests (observed 37)', () => {
  const hex = (variable: IdVariable): IdPart => ({ variable, base: 'hexadecimal' });
  test.each<[string, readonly IdPart[], RegExp]>([
    ['in hexadecimal', [' ', hex('ci'), ':', hex('cp')], /^7F000001:[0-9A-F]{4}$/],
    [
      'all variables',
      (['ci', 'cp', 'fi', 'fp', 'Ts', 'rt', 'pid', 'ms'] as const).flatMap((variable) => [
        { variable, base: 'decimal' as const },
        '_',
      ]),
      new RegExp(`^127\\.0\\.0\\.1_\\d+_127\\.0\\.0\\.1_\\d+_\\d{10}_[12]_${process.pid}_\\d{3}_$`),
    ],
  ])('%s', async (_name, uniqueIdFormat, shape) => {
    const seen: Message[] = [];
    await using pod = await Pod.start(answering(ok('hello'), seen));
    const requestActions = actions('request', [['X-Copy', '%[req.hdr(x-request-id)]']]);
    const settings = { uniqueIdHeader: 'X-Request-Id', uniqueIdFormat };
    await using plane = await DataPlane.start(route({ host: 'a.test', pods: [pod.port], requestActions }), {
      settings,
    });
    using client = await Peer.connect(plane.httpPort);
    for (const sent of ['', 'x-request-id: mine\r\n']) {
      await client.write(`GET / HTTP/1.1\r\nHost: a.test\r\n${sent}\r\n`);
      await client.message();
    }
    expect(seen.length).toBe(2);
    for (const message of seen) {
      const ids = valuesOf(message, 'x-request-id');
      expect(ids).toEqual([expect.stringMatching(shape)]);
      expect(valuesOf(message, 'x-copy')).toEqual(ids);
    }
  });
});
