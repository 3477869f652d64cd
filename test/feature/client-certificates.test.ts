// Client certificates over real connections: who is let in, what pods are told, and every way around a demand that is known.

import { execFile } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { readClientIdentity } from '../../src/protocol/client-identity.ts';
import type { ClientAuth } from '../../src/table/entries.ts';
import { makeAuthority, makeCertificate, makeRevocationList, type TestCertificate } from '../support/certificates.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import type { Message } from '../support/messages.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { certificate, certificateId, defaultCertificate, hostWithRoutes, route } from '../support/rules.ts';

const root = makeAuthority({ name: 'client root' });
const between = makeAuthority({ name: 'client intermediate', issuer: root });
const otherRoot = makeAuthority({ name: 'other root' });
const dayMs = 86_400_000;

const client = (options: Partial<Parameters<typeof makeCertificate>[0]> = {}): TestCertificate =>
  makeCertificate({ names: ['ann'], clientAuth: true, issuer: root, ...options });
const good = client();
const revoked = client({ names: ['bob'] });
const beneath = client({ issuer: between });
const stranger = client({ issuer: otherRoot });
const expired = client({ notAfter: new Date(Date.now() - dayMs), notBefore: new Date(Date.now() - 2 * dayMs) });
const early = client({ notBefore: new Date(Date.now() + dayMs) });
const forServers = client({ clientAuth: false });
const selfSigned = makeCertificate({ names: ['ann'], clientAuth: true, issuer: 'self' });

const authority = certificate('ca', root.certificate, null);
const withList = (listed: readonly TestCertificate[], id = 'ca'): ReturnType<typeof certificate> =>
  certificate(id, root.certificate + makeRevocationList({ issuer: root, revoked: listed }), null);
const demand = (word: ClientAuth['demand'], id = 'ca'): ClientAuth => ({ demand: word, authority: certificateId(id) });

const offer = (made: TestCertificate, chain = ''): ConnectionOptions => ({
  cert: made.certificate + chain,
  key: made.key,
});
const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const only = (version: (typeof versions)[number]): ConnectionOptions => ({ minVersion: version, maxVersion: version });
/** A pod that answers everything, and the requests that it got. */
type SeeingPod = Pod & { readonly requests: readonly Message[] };

async function pod(): Promise<SeeingPod> {
  const requests: Message[] = [];
  return Object.assign(await Pod.start(answering(ok('hello'), requests)), { requests });
}

/** A data plane: `req.test` demands certificates, `opt.test` asks for them, `open.test` does neither. */
async function serve(backend: Pod, options: DataPlaneOptions = {}): Promise<DataPlane> {
  const edge = { pods: [backend.port], termination: 'edge', insecurePolicy: 'Allow' } as const;
  return await DataPlane.start(
    [
      authority,
      certificate('ca2', otherRoot.certificate, null),
      ...route({ ...edge, host: 'req.test', clientAuth: demand('required') }),
      ...route({ ...edge, host: 'opt.test', clientAuth: demand('optional') }),
      ...route({ ...edge, host: 'two.test', clientAuth: demand('required', 'ca2') }),
      ...route({ ...edge, host: 'open.test' }),
      ...hostWithRoutes('mixed.test', [
        { ...edge, host: 'mixed.test', path: '/in', name: 'in', clientAuth: demand('required') },
        { ...edge, host: 'mixed.test', path: '', name: 'out' },
      ]),
    ],
    options,
  );
}

/** What one request comes to: its status, or that the connection was refused. */
async function outcome(
  plane: DataPlane,
  servername: string | undefined,
  host: string,
  options: ConnectionOptions = {},
  target = '/',
): Promise<number | 'refused'> {
  try {
    using peer = await Peer.connectTls(plane.httpsPort, {
      ...options,
      ...(servername === undefined ? {} : { servername }),
    });
    await peer.write(getRequest(host, target));
    return (await peer.message()).status;
  } catch {
    return 'refused';
  }
}

describe.each(versions)('%s: who is let in', (version) => {
  test.each<[string, ConnectionOptions, number | 'refused', number | 'refused']>([
    ['none', {}, 'refused', 200],
    ['a good one', offer(good), 200, 200],
    ['one of an intermediate, which is sent along', offer(beneath, between.certificate), 200, 200],
    ['one of an intermediate that is not sent', offer(beneath), 'refused', 'refused'],
    ['one of another authority', offer(stranger), 'refused', 'refused'],
    ['an expired one', offer(expired), 'refused', 'refused'],
    ['one that is not valid yet', offer(early), 'refused', 'refused'],
    ['one for servers', offer(forServers), 'refused', 'refused'],
    ['one signed by itself', offer(selfSigned), 'refused', 'refused'],
  ])('%s', async (_name, options, required, optional) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const given = { ...only(version), ...options };
    expect(await outcome(plane, 'req.test', 'req.test', given)).toBe(required);
    expect(await outcome(plane, 'opt.test', 'opt.test', given)).toBe(optional);
    expect(await outcome(plane, 'open.test', 'open.test', given)).toBe(200);
    const failures = [required, optional].filter((one) => one === 'refused').length;
    expect(plane.metric('headgate_tls_handshakes_total', 'failed')).toBe(failures);
    expect(plane.endReasons.filter((reason) => reason === 'handshake-failed')).toHaveLength(failures);
  });
});

describe('who may ask for what', () => {
  test.each<[string, string | undefined, string, ConnectionOptions, number | 'refused', string]>([
    ['Host with a demand, SNI without', 'open.test', 'req.test', offer(good), 421, 'other-client-policy'],
    ['Host that asks, SNI without', 'open.test', 'opt.test', offer(good), 421, 'other-client-policy'],
    ['Host with a demand, unknown SNI', 'no.test', 'req.test', offer(good), 421, 'other-client-policy'],
    ['Host with a demand, no SNI', undefined, 'req.test', offer(good), 421, 'other-client-policy'],
    ['Host of another authority', 'req.test', 'two.test', offer(good), 421, 'other-client-policy'],
    ['SNI that asks, Host with a demand, no certificate', 'opt.test', 'req.test', {}, 403, 'no-client-certificate'],
    ['SNI that asks, Host with a demand, certificate', 'opt.test', 'req.test', offer(good), 200, ''],
    ['SNI with a demand, Host without', 'req.test', 'open.test', offer(good), 200, ''],
    ['a Host that nobody has', 'req.test', 'no.test', offer(good), 503, 'no-route'],
  ])('%s', async (_name, servername, host, options, status, reason) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    expect(await outcome(plane, servername, host, options)).toBe(status);
    if (reason !== '') expect(plane.metric('headgate_answers_total', reason, String(status))).toBe(1);
  });

  test('421 ends the connection, 403 does not', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using wrong = await Peer.connectTls(plane.httpsPort, { servername: 'open.test' });
    await wrong.write(getRequest('req.test'));
    expect((await wrong.message()).text).toMatch(
      /^HTTP\/1\.1 421 Misdirected Request\r\n[\s\S]*\r\nConnection: close\r\n/,
    );
    expect(await wrong.ended).toBe('fin');
    using bare = await Peer.connectTls(plane.httpsPort, { servername: 'opt.test' });
    for (const [host, status] of [
      ['req.test', 403],
      ['opt.test', 200],
    ] as const) {
      await bare.write(getRequest(host));
      expect((await bare.message()).status).toBe(status);
    }
  });

  test('paths of one host with and without a demand', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    expect(await outcome(plane, 'mixed.test', 'mixed.test', {}, '/')).toBe(200);
    expect(await outcome(plane, 'mixed.test', 'mixed.test', {}, '/in')).toBe(403);
    expect(await outcome(plane, 'mixed.test', 'mixed.test', offer(good), '/in')).toBe(200);
    expect(await outcome(plane, 'mixed.test', 'mixed.test', offer(stranger), '/')).toBe('refused');
  });

  test('a wildcard’s demand reaches past an exact host that lacks the path, and not past one that has all', async () => {
    await using backend = await pod();
    const edge = { pods: [backend.port], termination: 'edge' } as const;
    await using plane = await DataPlane.start([
      authority,
      ...route({ ...edge, host: '*.w.test', clientAuth: demand('required') }),
      ...route({ ...edge, host: 'part.w.test', path: '/own' }),
      ...route({ ...edge, host: 'all.w.test' }),
    ]);
    expect(await outcome(plane, 'a.w.test', 'a.w.test')).toBe('refused');
    expect(await outcome(plane, 'part.w.test', 'part.w.test', {}, '/own')).toBe(200);
    expect(await outcome(plane, 'part.w.test', 'part.w.test', {}, '/other')).toBe(403);
    expect(await outcome(plane, 'part.w.test', 'part.w.test', offer(good), '/other')).toBe(200);
    expect(await outcome(plane, 'all.w.test', 'all.w.test', {}, '/')).toBe(200);
    expect(await outcome(plane, 'all.w.test', 'a.w.test', offer(good))).toBe(421);
  });

  test('the plain port is no way around a demand', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using peer = await Peer.connect(plane.httpPort);
    for (const [host, status] of [
      ['req.test', 403],
      ['opt.test', 200],
      ['open.test', 200],
    ] as const) {
      await peer.write(getRequest(host));
      expect((await peer.message()).status).toBe(status);
    }
    expect(backend.requests.some(({ text }) => text.includes('X-SSL'))).toBe(false);
  });
});

/** A full handshake, and the session that it yielded. */
async function sessionOf(plane: DataPlane, host: string, options: ConnectionOptions): Promise<Buffer> {
  using peer = await Peer.connectTls(plane.httpsPort, { ...options, servername: host });
  const ticket = new Promise<Buffer>((came) => {
    peer.tls.once('session', came);
  });
  const soon = options.maxVersion === 'TLSv1.2' ? peer.tls.getSession() : undefined;
  await peer.write(getRequest(host));
  expect((await peer.message()).status).toBe(200);
  return soon ?? (await ticket);
}

describe.each(versions)('%s: sessions', (version) => {
  test.each(['open.test', 'opt.test'])('one of %s is worth nothing where a certificate is demanded', async (from) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const session = await sessionOf(plane, from, only(version));
    expect(await outcome(plane, 'req.test', 'req.test', { ...only(version), session })).toBe('refused');
    using peer = await Peer.connectTls(plane.httpsPort, {
      ...only(version),
      ...offer(good),
      session,
      servername: 'req.test',
    });
    await peer.write(getRequest('req.test'));
    expect((await peer.message()).status).toBe(200);
    expect(peer.tls.isSessionReused()).toBe(false);
    expect(plane.metric('headgate_tls_handshakes_total', 'resumed')).toBe(0);
  });

  test.each([
    ['with a certificate', 'req.test', offer(good)],
    ['without', 'opt.test', {}],
  ])('resume in another worker, and pods are told the same: %s', async (_name, host, options) => {
    await using backend = await pod();
    const ticketKeys = randomBytes(48);
    await using first = await serve(backend, { ticketKeys });
    await using second = await serve(backend, { ticketKeys });
    const session = await sessionOf(first, host, { ...only(version), ...options });
    for (const plane of [first, second]) {
      // Nothing but the session says who this is.
      using peer = await Peer.connectTls(plane.httpsPort, { ...only(version), session, servername: host });
      await peer.write(getRequest(host));
      expect((await peer.message()).status).toBe(200);
      expect(peer.tls.isSessionReused()).toBe(true);
      // Asked for the certificate of no one: a resumed session without one is nobody's.
      await peer.write(getRequest('req.test'));
      expect((await peer.message()).status).toBe(host === 'req.test' ? 200 : 403);
    }
    const told = backend.requests.filter(({ text }) => text.includes(`ost: ${host}`)).map(({ text }) => xSsl(text));
    expect(told.length).toBeGreaterThanOrEqual(3);
    expect(new Set(told).size).toBe(1);
    expect(told[0]).toContain(`X-SSL-Client-CN: ${host === 'req.test' ? 'ann' : ''}\r\n`);
  });

  test('one from before a certificate was revoked does not resume', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    plane.put(withList([], 'list1'));
    const edge = { pods: [backend.port], termination: 'edge', host: 'req.test' } as const;
    plane.put(...route({ ...edge, clientAuth: demand('required', 'list1') }));
    const options = { ...only(version), ...offer(revoked) };
    const session = await sessionOf(plane, 'req.test', options);
    plane.put(withList([revoked], 'list2'), ...route({ ...edge, clientAuth: demand('required', 'list2') }));
    plane.put({ kind: 'certificate', key: certificateId('list1'), entry: null });
    expect(await outcome(plane, 'req.test', 'req.test', { ...options, session })).toBe('refused');
    expect(await outcome(plane, 'req.test', 'req.test', { ...only(version), session })).toBe('refused');
    expect(await outcome(plane, 'req.test', 'req.test', options)).toBe('refused');
    expect(await outcome(plane, 'req.test', 'req.test', { ...only(version), ...offer(good) })).toBe(200);
  });

  test('none resumes once the ticket keys have been replaced; open connections go on', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    for (const [host, options] of [
      ['req.test', offer(good)],
      ['open.test', {}],
    ] as const) {
      const session = await sessionOf(plane, host, { ...only(version), ...options });
      using open = await Peer.connectTls(plane.httpsPort, { ...only(version), ...options, servername: host, session });
      expect(open.tls.isSessionReused()).toBe(true);
      plane.rotateTicketKeys();
      await open.write(getRequest(host));
      expect((await open.message()).status).toBe(200);
      using peer = await Peer.connectTls(plane.httpsPort, { ...only(version), ...options, servername: host, session });
      await peer.write(getRequest(host));
      expect((await peer.message()).status).toBe(200);
      expect(peer.tls.isSessionReused()).toBe(false);
    }
  });
});

describe('HTTP/2', () => {
  /** A connection on which requests for any host can be made. */
  async function http2(
    plane: DataPlane,
    servername: string,
    options: ConnectionOptions = {},
  ): Promise<ClientHttp2Session> {
    const base = { host: '127.0.0.1', port: plane.httpsPort, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
    const socket = connectTls({ ...base, ...options, servername });
    const session = connectHttp2(`https://${servername}`, { createConnection: () => socket });
    session.on('error', () => {});
    await new Promise<void>((done) => session.once('remoteSettings', () => done()));
    return session;
  }

  function ask(
    session: ClientHttp2Session,
    host: string,
    fields: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    return new Promise((done, failed) => {
      const stream = session.request({ ':authority': host, ':path': '/', ...fields });
      stream.on('response', (head) => done(Number(head[':status'])));
      stream.on('error', failed);
      stream.resume();
    });
  }

  test('the same demands, the same lines', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const certified = await http2(plane, 'opt.test', offer(good));
    const bare = await http2(plane, 'opt.test');
    for (const [session, host, status] of [
      [certified, 'req.test', 200],
      [certified, 'opt.test', 200],
      [certified, 'open.test', 200],
      [bare, 'req.test', 403],
      [bare, 'opt.test', 200],
    ] as const) {
      expect(await ask(session, host, { 'x-ssl-client-cn': 'forged', 'x-ssl': 'forged' })).toBe(status);
    }
    const told = backend.requests.map(({ text }) => /X-SSL-Client-CN: (.*)\r\n/.exec(text)?.[1] ?? 'nothing');
    expect(told).toEqual(['ann', 'ann', 'nothing', '']);
    expect(backend.requests.some(({ text }) => text.includes('forged'))).toBe(false);
    for (const session of [certified, bare]) session.destroy();
  });

  test.each([
    ['another authority', 'two.test'],
    ['none at the handshake', 'req.test'],
  ])('421 tells the client to come again on another connection: %s', async (_name, host) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const session = await http2(plane, host === 'two.test' ? 'req.test' : 'open.test', offer(good));
    const gone = new Promise((done) => session.once('goaway', done));
    expect(await ask(session, host)).toBe(421);
    await gone;
    session.destroy();
  });

  test('after a revocation, a connection from before is asked to come again', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const session = await http2(plane, 'req.test', offer(good));
    expect(await ask(session, 'req.test')).toBe(200);
    const gone = new Promise((done) => session.once('goaway', done));
    const wish = { host: 'req.test', pods: [backend.port], termination: 'edge' } as const;
    plane.put(withList([good], 'list'), ...route({ ...wish, clientAuth: demand('required', 'list') }));
    expect(await ask(session, 'req.test')).toBe(421);
    await gone;
    session.destroy();
  });
});

describe('revocation', () => {
  const edge = { termination: 'edge', host: 'req.test' } as const;

  async function listed(backend: Pod, ca: ReturnType<typeof certificate>): Promise<DataPlane> {
    return await DataPlane.start([ca, ...route({ ...edge, pods: [backend.port], clientAuth: demand('required') })]);
  }

  test.each<[string, string, TestCertificate, string, number | 'refused']>([
    [
      'a revoked one',
      root.certificate + makeRevocationList({ issuer: root, revoked: [revoked] }),
      revoked,
      '',
      'refused',
    ],
    [
      'another of that authority',
      root.certificate + makeRevocationList({ issuer: root, revoked: [revoked] }),
      good,
      '',
      200,
    ],
    [
      'a list that has run out',
      root.certificate + makeRevocationList({ issuer: root, revoked: [], nextUpdate: new Date(Date.now() - 1000) }),
      good,
      '',
      'refused',
    ],
    [
      'a list of another authority',
      root.certificate + makeRevocationList({ issuer: otherRoot, revoked: [] }),
      good,
      '',
      'refused',
    ],
    [
      'no list of the intermediate',
      root.certificate + makeRevocationList({ issuer: root, revoked: [] }),
      beneath,
      between.certificate,
      'refused',
    ],
    [
      'a list of each',
      root.certificate +
        makeRevocationList({ issuer: root, revoked: [] }) +
        makeRevocationList({ issuer: between, revoked: [] }),
      beneath,
      between.certificate,
      200,
    ],
  ])('%s', async (_name, chain, made, sentAlong, expected) => {
    await using backend = await pod();
    await using plane = await listed(backend, certificate('ca', chain, null));
    expect(await outcome(plane, 'req.test', 'req.test', offer(made, sentAlong))).toBe(expected);
  });

  test('a connection from before is asked to come again', async () => {
    await using backend = await pod();
    await using plane = await listed(backend, withList([]));
    using peer = await Peer.connectTls(plane.httpsPort, { ...offer(revoked), servername: 'req.test' });
    await peer.write(getRequest('req.test'));
    expect((await peer.message()).status).toBe(200);
    plane.put(withList([revoked], 'list2'));
    plane.put(...route({ ...edge, pods: [backend.port], clientAuth: demand('required', 'list2') }));
    await peer.write(getRequest('req.test'));
    expect((await peer.message()).status).toBe(421);
  });

  test.each([
    ['not there', null, 'no-client-authority'],
    ['not an authority', certificate('ca', 'no PEM', null), 'handshake-failed'],
    [
      'a broken list',
      certificate('ca', `${root.certificate}-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n`, null),
      'no-client-authority',
    ],
  ])('an authority that is %s: nobody is served, other hosts are', async (_name, broken, expected) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    plane.put(broken ?? { kind: 'certificate', key: certificateId('ca'), entry: null });
    for (const host of ['req.test', 'opt.test']) expect(await outcome(plane, host, host, offer(good))).toBe('refused');
    expect(await outcome(plane, 'open.test', 'open.test')).toBe(200);
    expect(plane.endReasons.filter((reason) => reason === expected)).toHaveLength(2);
  });
});

/** The X-SSL lines of a head, as they stand. */
function xSsl(text: string): string {
  return text
    .split('\r\n')
    .filter((line) => /^x-ssl/i.test(line))
    .map((line) => `${line}\r\n`)
    .join('');
}

describe('what pods are told', () => {
  test('of a certificate with everything in its subject', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    const made = client({
      names: ['san.test'],
      subject: [
        ['2.5.4.6', 'DE'],
        ['2.5.4.8', 'Zürich, "x"'],
        ['2.5.4.10', 'O/CN=admin'],
        ['2.5.4.3', 'evil\r\nX-Forwarded-For: 1.2.3.4'],
        ['1.3.6.1.4.1.99999.1', 'mine'],
      ],
    });
    expect(await outcome(plane, 'req.test', 'req.test', offer(made))).toBe(200);
    const x509 = new X509Certificate(made.certificate);
    const time = (date: Date): string =>
      date
        .toISOString()
        .replace(/\.\d+|[-:T]/g, '')
        .slice(2);
    const [request] = backend.requests;
    expect(xSsl(request?.text ?? '')).toBe(
      [
        'X-SSL: 1',
        'X-SSL-Client-Verify: 0',
        `X-SSL-Client-Serial: ${x509.serialNumber}`,
        'X-SSL-Client-Version: 3',
        `X-SSL-Client-SHA1: ${x509.fingerprint.replaceAll(':', '')}`,
        `X-SSL-Client-DN: /C=DE/ST=${Buffer.from('Zürich').toString('latin1')}, "x"/O=O/CN=admin/CN=evil??X-Forwarded-For: 1.2.3.4/1.3.6.1.4.1.99999.1=mine`,
        'X-SSL-Client-CN: evil??X-Forwarded-For: 1.2.3.4',
        'X-SSL-Issuer: /CN=client root',
        `X-SSL-Client-NotBefore: ${time(x509.validFromDate)}`,
        `X-SSL-Client-NotAfter: ${time(x509.validToDate)}`,
        `X-SSL-Client-DER: ${x509.raw.toString('base64')}`,
        '',
      ].join('\r\n'),
    );
  });

  const names = ['X-SSL', 'X-SSL-Client-CN', 'x-ssl-client-verify', 'X-Ssl-Issuer', 'X-SSL-Client-DER'];
  const forged = names.map((name) => `${name}: forged\r\n`).join('');

  test.each<[string, string, string, ConnectionOptions, boolean]>([
    ['with a certificate', 'req.test', 'req.test', offer(good), true],
    ['without one', 'opt.test', 'opt.test', {}, true],
    ['where nobody asked', 'open.test', 'open.test', {}, false],
    ['where another Route’s authority vouches', 'req.test', 'open.test', offer(good), false],
    ['on a path that demands nothing', 'mixed.test', 'mixed.test', offer(good), false],
  ])('forged lines never arrive: %s', async (_name, servername, host, options, vouched) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using peer = await Peer.connectTls(plane.httpsPort, { ...options, servername });
    for (let i = 0; i < 2; i++) {
      await peer.write(getRequest(host, '/', forged));
      expect((await peer.message()).status).toBe(200);
    }
    for (const { text } of backend.requests) {
      expect(text).not.toContain('forged');
      expect(xSsl(text) !== '').toBe(vouched);
    }
  });

  test.each([
    ['kept where the operator says so', 'open.test', true],
    ['but not where a certificate was asked for', 'opt.test', false],
  ])('X-SSL lines of clients are %s', async (_name, host, kept) => {
    await using backend = await pod();
    await using plane = await serve(backend, { settings: { clientHeaderFilter: false } });
    using peer = await Peer.connectTls(plane.httpsPort, { servername: host });
    await peer.write(getRequest(host, '/', `Proxy: x\r\n${forged}`));
    expect((await peer.message()).status).toBe(200);
    const [request] = backend.requests;
    expect(request?.text.includes('forged')).toBe(kept);
    expect(request?.text).not.toMatch(/^Proxy:/m);
  });
});

describe('the router’s own demand', () => {
  async function routerWide(word: ClientAuth['demand'], backend: Pod, filter = ''): Promise<DataPlane> {
    const plane = await serve(backend, { settings: { clientSubjectFilter: filter } });
    plane.put(certificate('all', root.certificate, null), defaultCertificate('default', demand(word, 'all')));
    return plane;
  }

  test.each<[string | undefined, string, number]>([
    ['open.test', 'open.test', 200],
    ['no.test', 'open.test', 200],
    [undefined, 'open.test', 200],
    ['no.test', 'no.test', 503],
    [undefined, 'no.test', 503],
  ])('required: SNI %s, Host %s', async (servername, host, status) => {
    await using backend = await pod();
    await using plane = await routerWide('required', backend);
    expect(await outcome(plane, servername, host)).toBe('refused');
    expect(await outcome(plane, servername, host, offer(stranger))).toBe('refused');
    expect(await outcome(plane, servername, host, offer(good))).toBe(status);
    // A session of a Host with another authority, and a connection of one, is no way around.
    expect(await outcome(plane, 'two.test', 'open.test', offer(stranger))).toBe(421);
  });

  test('optional, and the plain port is not asked', async () => {
    await using backend = await pod();
    await using plane = await routerWide('optional', backend);
    expect(await outcome(plane, 'open.test', 'open.test')).toBe(200);
    expect(await outcome(plane, 'open.test', 'open.test', offer(stranger))).toBe('refused');
    expect(xSsl(backend.requests[0]?.text ?? '')).toMatch(
      /^X-SSL: 1\r\nX-SSL-Client-Verify: 0\r\nX-SSL-Client-Serial: \r\n/,
    );
    using peer = await Peer.connect(plane.httpPort);
    await peer.write(getRequest('open.test'));
    expect((await peer.message()).status).toBe(200);
  });

  test.each<[string, string, ConnectionOptions, number, string]>([
    ['fits', 'CN=an', offer(good), 200, ''],
    ['does not fit', '^/CN=bob$', offer(good), 403, 'client-certificate-filtered'],
    ['no certificate', 'CN=', {}, 403, 'client-certificate-filtered'],
  ])('the filter: %s', async (_name, filter, options, status, reason) => {
    await using backend = await pod();
    await using plane = await routerWide('optional', backend, filter);
    expect(await outcome(plane, 'open.test', 'open.test', options)).toBe(status);
    if (reason !== '') expect(plane.metric('headgate_answers_total', reason, '403')).toBe(1);
    expect(await outcome(plane, 'opt.test', 'opt.test', options)).toBe(200);
  });
});

describe('the handshake', () => {
  test('a client may not begin another one', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    for (const host of ['open.test', 'req.test']) {
      const socket: TLSSocket = connectTls({
        ...{ host: '127.0.0.1', port: plane.httpsPort, servername: host, rejectUnauthorized: false },
        ...only('TLSv1.2'),
        ...offer(good),
      });
      await new Promise((done) => socket.once('secureConnect', done));
      const failure = await new Promise<unknown>((done) => {
        socket.once('error', done);
        socket.once('close', () => done('closed'));
        socket.renegotiate({}, (error) => done(error));
      });
      expect(failure).not.toBeNull();
      socket.destroy();
    }
  });

  test('unknown names refused: names of no Route, and no name, end with an alert', async () => {
    await using backend = await pod();
    await using plane = await serve(backend, { settings: { refuseUnknownNames: true } });
    for (const options of [{ servername: 'no.test' }, {}]) {
      await expect(Peer.connectTls(plane.httpsPort, options)).rejects.toMatchObject({
        code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME',
      });
    }
    expect(plane.endReasons).toEqual(['unrecognized-name', 'unrecognized-name']);
    expect(await outcome(plane, 'open.test', 'open.test')).toBe(200);
  });

  test('contexts go with their authority, and count by the size of it', async () => {
    await using backend = await pod();
    await using plane = await serve(backend, { settings: { maxCertificateContexts: 8 } });
    const contexts = (): number => plane.metric('headgate_tls_contexts');
    const large = root.certificate + otherRoot.certificate.repeat(100);
    for (const [id, chain, kept] of [
      ['small', root.certificate, 5],
      ['large', large, 2],
    ] as const) {
      plane.put(certificate(id, chain, null));
      for (let i = 0; i < 5; i++) {
        const made = makeCertificate({ names: [`${id}-${i}.test`] });
        const wish = { host: `${id}-${i}.test`, pods: [backend.port], termination: 'edge' } as const;
        plane.put(certificate(wish.host, made.certificate, made.key));
        plane.put(...route({ ...wish, certificate: certificateId(wish.host), clientAuth: demand('required', id) }));
        expect(await outcome(plane, wish.host, wish.host, offer(good))).toBe(200);
      }
      expect(contexts()).toBe(kept);
      plane.put({ kind: 'certificate', key: certificateId(id), entry: null });
      expect(contexts()).toBe(0);
    }
  });

  test('many policies, one after the other', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    for (let i = 0; i < 20; i++) {
      plane.put(certificate(`ca-${i}`, root.certificate, null));
      const wish = { host: `h${i}.test`, pods: [backend.port], termination: 'edge' } as const;
      plane.put(...route({ ...wish, clientAuth: demand('required', `ca-${i}`) }));
      expect(await outcome(plane, wish.host, wish.host, offer(good))).toBe(200);
      expect(await outcome(plane, wish.host, wish.host)).toBe('refused');
    }
  });
});

describe('openssl s_client', () => {
  const present = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'openssl')));

  function run(args: readonly string[], input: string): Promise<string> {
    return new Promise((done) => {
      const options = { encoding: 'latin1', timeout: 10_000 } as const;
      const child = execFile('openssl', args, options, (_error, stdout, stderr) => done(stdout + stderr));
      child.stdin?.end(input);
    });
  }

  test.for(['-tls1_2', '-tls1_3'])(
    '%s: named authorities, alerts, and a session in another’s place',
    async (version, { skip, onTestFinished }) => {
      if (!present) skip('openssl is not installed');
      const folder = mkdtempSync(join(tmpdir(), 'headgate-test-'));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const file = (name: string, text: string): string => {
        writeFileSync(join(folder, name), text);
        return join(folder, name);
      };
      await using backend = await pod();
      await using plane = await serve(backend);
      const to = (host: string): string[] => [
        ...['s_client', '-connect', `127.0.0.1:${plane.httpsPort}`, '-servername', host, version, '-ign_eof'],
      ];
      const ask = (host: string): string => getRequest(host, '/', 'Connection: close\r\n');
      const pair = ['-cert', file('c.pem', good.certificate), '-key', file('k.pem', good.key)];
      const admitted = await run([...to('req.test'), ...pair], ask('req.test'));
      expect(admitted).toMatch(/Acceptable client certificate CA names\nCN ?= ?client root\n/);
      expect(admitted).toContain('HTTP/1.1 200 OK\r\n');
      expect(await run(to('req.test'), ask('req.test'))).toMatch(/alert (handshake failure|certificate required)/);
      const session = join(folder, 'session');
      expect(await run([...to('open.test'), '-sess_out', session], ask('open.test'))).toContain('HTTP/1.1 200 OK');
      const moved = await run([...to('req.test'), '-sess_in', session], ask('req.test'));
      expect(moved).not.toContain('HTTP/1.1');
    },
  );
});

describe('what a certificate says of itself', () => {
  const der = new X509Certificate(good.certificate).raw;

  test('every prefix of one is none', () => {
    for (let length = 0; length < der.length; length++) expect(readClientIdentity(der.subarray(0, length))).toBeNull();
    expect(readClientIdentity(der)).toMatchObject({ subject: '/CN=ann', issuer: '/CN=client root', version: 3 });
  });

  test('any byte of it changed: an identity that fits into a header, or none', () => {
    for (let at = 0; at < der.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(der);
        changed[at] = (changed[at] ?? 0) ^ mask;
        const identity = readClientIdentity(changed);
        for (const value of Object.values(identity ?? {}))
          expect(String(value)).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f]/);
      }
    }
  });
});
