// Golden cases of the reference (observed 4, 16, 17, 18; Route semantics 8.17, 8.20): which certificate is served to whom, what is
// agreed on, and which pods are trusted, from Route objects to handshakes.

import type { ConnectionOptions, TlsOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeAuthority, makeCertificate, type TestCertificate } from '../../support/certificates.ts';
import { cases, type GoldenCase } from '../../support/golden/cases.ts';
import { namespace, numberedServices, type ServiceWish } from '../../support/golden/pods.ts';
import { type Ask, GoldenRouter } from '../../support/golden/router.ts';
import { aRoute, type RouteBuilder } from '../../support/manifests.ts';
import { getRequest, Peer } from '../../support/peers.ts';

const ours = makeAuthority({ name: 'pods' });
const others = makeAuthority({ name: 'others' });
const dayMs = 86_400_000;
const podTls = (made: TestCertificate): TlsOptions => ({ cert: made.certificate, key: made.key });
const past = { notBefore: new Date(Date.now() - 2 * dayMs), notAfter: new Date(Date.now() - dayMs) };

/** TLS pods by Service: t1 as it should be, t2 of another CA, t3 expired, t4 for a foreign name. */
const tlsServices: readonly ServiceWish[] = [
  { service: 't1', pods: ['t1'], tls: podTls(makeCertificate({ names: ['t1.diff-a.svc'], issuer: ours })) },
  { service: 't2', pods: ['t2'], tls: podTls(makeCertificate({ names: ['t2.diff-a.svc'], issuer: others })) },
  { service: 't3', pods: ['t3'], tls: podTls(makeCertificate({ names: ['t3.diff-a.svc'], issuer: ours, ...past })) },
  { service: 't4', pods: ['t4'], tls: podTls(makeCertificate({ names: ['else.diff-a.svc'], issuer: ours })) },
];

const between = makeAuthority({ name: 'intermediate', issuer: ours });
const chain = makeCertificate({ names: ['chain.s.test'], issuer: between });
const shared = makeCertificate({ names: ['shared.s.test'] });
const own = (...names: readonly string[]): TestCertificate => makeCertificate({ names });
const later = { notBefore: new Date(Date.now() + dayMs), notAfter: new Date(Date.now() + 2 * dayMs) };
const expired = makeCertificate({ names: ['expired.v.test'], ...past });
const future = makeCertificate({ names: ['future.v.test'], ...later });
const stranger = makeCertificate({ names: ['stranger.v.test'] });
const good = (name: string): TestCertificate => makeCertificate({ names: [`${name}.v.test`] });
const bundled = good('bundled');
const crlf = good('crlf');
const wrongCa = makeCertificate({ names: ['wrongca.v.test'], issuer: ours });
const rightCa = makeCertificate({ names: ['rightca.v.test'], issuer: ours });
const twoKeys = good('twokeys');
const comment = good('comment');

function on(host: string, pod = 's0', path = ''): RouteBuilder {
  return aRoute(`${namespace}/${host}${path.replace('/', '-')}`)
    .host(host)
    .to(pod)
    .path(path);
}

let golden: GoldenRouter;
beforeAll(async () => {
  const ca = (authority: typeof ours): string => authority.certificate;
  const routes = [
    on('own.s.test').edge(makeCertificate({ names: ['own.s.test'], keyType: 'rsa' })),
    on('own2.s.test', 's2').edge(own('own2.s.test')),
    on('ec.s.test').edge(own('ec.s.test')),
    on('chain.s.test').edge(chain).tls({ caCertificate: between.certificate }),
    on('dflt.s.test').edge(),
    on('x.apps.example.test').edge(),
    ...[on('shared1.s.test').edge(shared), on('shared2.s.test').edge(shared)],
    ...[on('a.wc.s.test').edge(own('*.wc.s.test')), on('b.wc.s.test', 's3').edge()],
    ...[on('mis.s.test', 's4').edge(own('else.s.test')), on('else.s.test', 's4').edge()],
    on('path.s.test', 's5', '/a').edge(own('not-path.s.test')),
    on('path.s.test', 's6', '/b').edge(own('path.s.test', 'second.s.test')),
    on('second.s.test', 's6').edge(),
    ...[on('pass.d.test', 't1').passthrough(), on('pass.d.test', 's8', '/x')],
    on('pass-r.d.test', 't1').passthrough().insecure('Redirect'),
    on('plain.s.test'),
    on('re-ok.e.test', 't1').reencrypt(ca(ours)),
    on('re-wrong.e.test', 't1').reencrypt(ca(others)),
    on('re-other.e.test', 't2').reencrypt(ca(others)),
    on('re-old.e.test', 't3').reencrypt(ca(ours)),
    on('re-name.e.test', 't4').reencrypt(ca(ours)),
    on('re-none.e.test', 't2').reencrypt(),
    on('re-plain.e.test', 's0').reencrypt(ca(ours)),
    on('re-path.e.test', 't1', '/p').reencrypt(ca(ours)),
    on('edge-tls.e.test', 't1').edge(),
    ...[on('expired.v.test', 's1').edge(expired), on('future.v.test', 's1').edge(future)],
    on('mismatch.v.test', 's1').edge({ certificate: good('mismatch').certificate, key: stranger.key }),
    on('nokey.v.test', 's1').edge({ certificate: stranger.certificate, key: '' }),
    on('nocert.v.test', 's1').edge({ certificate: '', key: stranger.key }),
    on('garbage.v.test', 's1').edge({ certificate: 'garbage', key: '' }),
    on('hostname.v.test', 's1').edge(good('another')),
    on('bundled.v.test', 's1').edge({ certificate: bundled.certificate + bundled.key, key: '' }),
    on('wrongca.v.test', 's1')
      .edge(wrongCa)
      .tls({ caCertificate: ca(others) }),
    on('rightca.v.test', 's1')
      .edge(rightCa)
      .tls({ caCertificate: ca(ours) }),
    on('badca.v.test', 's1').edge(good('badca')).tls({ caCertificate: 'garbage' }),
    on('baddest.v.test', 't1').reencrypt('garbage'),
    on('crlf.v.test', 's1').edge({ certificate: crlf.certificate.replaceAll('\n', '\r\n'), key: crlf.key }),
    on('comment.v.test', 's1').edge({
      certificate: `mine
${comment.certificate}`,
      key: comment.key,
    }),
    on('caonly.v.test', 's1')
      .edge()
      .tls({ caCertificate: ca(ours) }),
    on('swapped.v.test', 's1').edge({ certificate: stranger.key, key: stranger.certificate }),
    on('twokeys.v.test', 's1').edge({ certificate: twoKeys.certificate, key: twoKeys.key + stranger.key }),
    on('purpose.v.test', 's1').edge(makeCertificate({ names: ['purpose.v.test'], clientAuth: true })),
  ];
  golden = await GoldenRouter.start(
    [...numberedServices(10), ...tlsServices],
    routes.map((route) => route.build()),
    { env: { HEADGATE_PUBLIC_HTTPS_PORT: '443' } },
  );
});
afterAll(() => golden[Symbol.asyncDispose]());

const fallback = '*.apps.example.test';

describe('observed 16: certificates and ALPN', () => {
  type Hello = { readonly sni?: string; readonly offers?: readonly string[]; readonly options?: ConnectionOptions };
  const both = ['h2', 'http/1.1'];
  const offered = 'where it is offered over TLS';
  test.each(
    cases<Hello>([
      ['default certificate, offers h2', { sni: 'dflt.s.test', offers: both }, `${fallback} h2`, offered],
      [
        'host covered by the default certificate',
        { sni: 'x.apps.example.test', offers: both },
        `${fallback} h2`,
        offered,
      ],
      ['own certificate, h2, S12', { sni: 'own.s.test', offers: both }, 'own.s.test h2'],
      ['own certificate, offers http/1.1 only', { sni: 'own.s.test', offers: ['http/1.1'] }, 'own.s.test http/1.1'],
      ['own certificate, no ALPN offered', { sni: 'own.s.test' }, 'own.s.test'],
      ['own certificate, unknown ALPN only', { sni: 'own.s.test', offers: ['other'] }, 'refused', 'ALPN'],
      ['shared certificate, S13', { sni: 'shared1.s.test', offers: both }, 'shared.s.test h2', offered],
      ['shared certificate, second host', { sni: 'shared2.s.test', offers: both }, 'shared.s.test h2', offered],
      ['wildcard certificate, own host', { sni: 'a.wc.s.test', offers: both }, '*.wc.s.test h2'],
      ['wildcard certificate of another Route', { sni: 'b.wc.s.test' }, fallback],
      ['wildcard certificate, host without Route', { sni: 'c.wc.s.test' }, fallback],
      ['certificate names another host: by Route host', { sni: 'mis.s.test', offers: both }, 'else.s.test h2'],
      ['certificate names another host: by certificate name', { sni: 'else.s.test' }, fallback],
      ['EC certificate', { sni: 'ec.s.test' }, 'ec.s.test'],
      ['SNI upper case', { sni: 'OWN.S.Test' }, 'own.s.test'],
      ['two certificates on one host', { sni: 'path.s.test' }, 'path.s.test'],
      ['two certificates, second name', { sni: 'second.s.test' }, fallback],
      ['no SNI', {}, fallback],
      ['unknown host, offers h2', { sni: 'nobody.test', offers: both }, `${fallback} http/1.1`, 'ALPN'],
      ['SNI of passthrough, by its pod', { sni: 'pass.d.test' }, 't1.diff-a.svc'],
      [
        'TLS 1.1',
        {
          sni: 'own.s.test',
          options: { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
        },
        'refused',
      ],
      ['TLS 1.2', { sni: 'own.s.test', options: { maxVersion: 'TLSv1.2' } }, 'own.s.test'],
      ['TLS 1.3', { sni: 'own.s.test', options: { minVersion: 'TLSv1.3' } }, 'own.s.test'],
      [
        'TLS 1.2 CBC SHA1',
        { sni: 'own.s.test', options: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-SHA' } },
        'refused',
        '`modern`, `intermediate`, `old`',
      ],
      [
        'TLS 1.2 static RSA',
        { sni: 'own.s.test', options: { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } },
        'refused',
        '`modern`, `intermediate`, `old`',
      ],
    ]),
  )('$name', async ({ input: { sni, offers, options }, expected }) => {
    const wish: ConnectionOptions = { ...options };
    if (sni !== undefined) wish.servername = sni;
    if (offers !== undefined) wish.ALPNProtocols = [...offers];
    const told = await Peer.connectTls(golden.router.plane.httpsPort, wish).then(
      (client) => {
        using _closing = client;
        return `${client.tls.getPeerCertificate().subject.CN} ${client.tls.alpnProtocol || ''}`.trimEnd();
      },
      () => 'refused',
    );
    expect(told).toBe(expected);
  });

  test('chain served', async () => {
    using client = await Peer.connectTls(golden.router.plane.httpsPort, { servername: 'chain.s.test' });
    const { subject, issuerCertificate } = client.tls.getPeerCertificate(true);
    expect([subject.CN, issuerCertificate.subject.CN]).toEqual(['chain.s.test', 'intermediate']);
  });
});

async function check({ input, expected }: GoldenCase<Ask>): Promise<void> {
  const { words, certificate } = await golden.ask(input);
  expect(expected.includes(' by ') ? `${words} by ${certificate}` : words).toBe(expected);
}

describe('observed 16: SNI and Host', () => {
  const secure = (sni: string | null, host: string, target = '/'): Ask => ({ over: 'https', sni, host, target });
  const pass = 'pass.d.test';
  test.each(
    cases<Ask>([
      ['SNI a, Host b (h1)', secure('own.s.test', 'own2.s.test'), '200 s2 GET / by own.s.test'],
      [
        'SNI a, Host b (h2)',
        { over: 'h2', sni: 'own.s.test', host: 'own2.s.test' },
        '421 misdirected',
        "a request for a Host with another certificate than the connection's",
      ],
      ['SNI a, Host unknown (h2)', { over: 'h2', sni: 'own.s.test', host: 'nobody.s.test' }, '503 no-route'],
      ['SNI a, Host of a passthrough Route', secure('own.s.test', pass), '503 no-route by own.s.test'],
      ['SNI unknown, Host known', secure('nobody.test', 'own.s.test'), `200 s0 GET / by ${fallback}`],
      ['no SNI, Host known', secure(null, 'own.s.test'), `200 s0 GET / by ${fallback}`],
      ['no SNI, unknown host', secure(null, 'nobody.test'), `503 no-route by ${fallback}`],
      ['unknown host https', secure('nobody.test', 'nobody.test'), `503 no-route by ${fallback}`],
      ['no SNI, Host of a passthrough Route', secure(null, pass), `503 no-route by ${fallback}`],
      ['SNI of passthrough, Host of an edge Route', secure(pass, 'own.s.test'), '200 t1 GET / by t1.diff-a.svc'],
      ['SNI of passthrough upper case', secure('PASS.d.test', pass), '200 t1 GET / by t1.diff-a.svc'],
      ['plain Route with path beside passthrough', { host: pass, target: '/x/y' }, '200 s8 GET /x/y'],
      ['passthrough host on http, other path', { host: pass, target: '/z' }, '503 no-route'],
      ['passthrough Redirect', { host: 'pass-r.d.test', target: '/q?a=b' }, '302 https://pass-r.d.test/q?a=b'],
      ['plain Route over TLS', secure('plain.s.test', 'plain.s.test'), `503 no-route by ${fallback}`],
      [
        'two certificates on one host, path a',
        secure('path.s.test', 'path.s.test', '/a'),
        '200 s5 GET /a by path.s.test',
      ],
      [
        'two certificates on one host, path b',
        secure('path.s.test', 'path.s.test', '/b'),
        '200 s6 GET /b by path.s.test',
      ],
      ['two certificates on one host, no path', secure('path.s.test', 'path.s.test'), '503 no-route by path.s.test'],
    ]),
  )('$name', check);
});

describe('observed 17: re-encrypt', () => {
  const ask = (name: string, target = '/'): Ask => ({ over: 'https', host: `${name}.e.test`, target });
  test.each(
    cases<Ask>([
      ['own CA', ask('re-ok'), '200 t1 GET /'],
      ['wrong CA on the Route', ask('re-wrong'), '503 connect-failed'],
      ['right other CA', ask('re-other'), '200 t2 GET /'],
      ['pod certificate expired', ask('re-old'), '503 connect-failed'],
      ['pod certificate for another name, own CA', ask('re-name'), '200 t4 GET /'],
      ['no CA anywhere', ask('re-none'), '200 t2 GET /'],
      ['pod speaks no TLS', ask('re-plain'), '503 connect-failed'],
      ['edge to a TLS pod', ask('edge-tls'), '502 upstream-closed'],
      ['h2 client', { over: 'h2', host: 're-ok.e.test' }, '200 t1 GET /'],
      ['Route with path', ask('re-path', '/p/x'), '200 t1 GET /p/x'],
      ['POST body', { ...ask('re-ok'), method: 'POST', body: 'hello' }, '200 t1 POST /'],
    ]),
  )('$name', check);
});

describe('observed 18: what is served where certificates are odd', () => {
  const served = (name: string, certificate = `${name}.v.test`): string => `Admitted; 200 s1 GET / by ${certificate}`;
  // The words are cases of test/controller/certificates.test.ts.
  const refused = `ExtendedValidationFailed; 503 no-route by ${fallback}`;
  test.each(
    cases<string>([
      ['expired', 'expired', served('expired')],
      ['future', 'future', served('future')],
      ['mismatch', 'mismatch', refused],
      ['nokey', 'nokey', refused],
      ['nocert', 'nocert', served('nocert', fallback)],
      ['garbage', 'garbage', refused],
      ['hostname', 'hostname', served('hostname', 'another.v.test')],
      ['bundled', 'bundled', served('bundled')],
      ['wrongca', 'wrongca', refused],
      ['rightca', 'rightca', served('rightca')],
      ['badca', 'badca', refused],
      ['baddest', 'baddest', refused],
      ['crlf', 'crlf', served('crlf')],
      ['comment', 'comment', served('comment')],
      ['caonly', 'caonly', served('caonly', fallback)],
      ['swapped', 'swapped', refused],
      ['twokeys', 'twokeys', served('twokeys')],
      ['purpose', 'purpose', served('purpose')],
    ]),
  )('$name', async ({ input, expected }) => {
    const host = `${input}.v.test`;
    const told = await golden.ask({ host, over: 'https' });
    const [verdict] = golden.router.verdictOf(namespace, host).split(':');
    expect(`${verdict}; ${told.words} by ${told.certificate}`).toBe(expected);
  });
});

describe('observed 4: bytes that are of the other port', () => {
  test('plain bytes to the https port: closed without answer', async () => {
    using client = await Peer.connect(golden.router.plane.httpsPort);
    await client.write(getRequest('own.s.test'));
    await client.ended;
    expect(client.text).toBe('');
  });

  test('TLS to the http port: a plain answer', async () => {
    using client = await Peer.connect(golden.router.plane.httpPort);
    await client.write(Buffer.from('160301002f0100002b0303', 'hex'));
    expect((await client.message()).status).toBe(400);
  });
});
