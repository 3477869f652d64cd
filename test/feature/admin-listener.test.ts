// The admin port's listener: HTTP and TLS on one port, peers that stall, certificates that change.

import { readFileSync } from 'node:fs';
import { BoundSocket } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AdminListener, type AdminTimes } from '../../src/admin/listener.ts';
import { answer } from '../../src/admin/replies.ts';
import { type AdminTlsOptions, type AdminTlsSettings, adminTls } from '../../src/admin/tls-settings.ts';
import { makeCertificate, type TestCertificate } from '../support/certificates.ts';
import { getRequest, Peer, turn } from '../support/peers.ts';
import { servedName } from '../support/requests.ts';

const first = makeCertificate({ names: ['first.test'] });
const second = makeCertificate({ names: ['second.test'] });

function tlsOf({ certificate, key }: TestCertificate, settings: Partial<AdminTlsSettings> = {}): AdminTlsOptions {
  const usual = { metricsTlsMinVersion: 'VersionTLS12', metricsTlsCiphers: '', metricsTlsCurves: '' } as const;
  const made = adminTls({ ...usual, ...settings }, certificate, key);
  if (made.kind === 'invalid') throw new Error(made.because);
  return made.options;
}

/** A listener whose every answer is what was asked for; `/hang` has none, and `/long` one that no socket holds. */
class Port implements AsyncDisposable {
  readonly listener: AdminListener;
  /** Whether the long answer was taken, once it is over. */
  readonly taken: Promise<boolean>;
  /** Requests that have come. */
  asked = 0;
  readonly #bound: BoundSocket = new BoundSocket({ host: '127.0.0.1', port: 0 });
  readonly #times: AdminTimes;

  constructor(times: Partial<AdminTimes> = {}) {
    this.#times = { firstByteMs: 30_000, handshakeMs: 30_000, headMs: 30_000, unreadMs: 30_000, ...times };
    const { promise, resolve: over } = Promise.withResolvers<boolean>();
    this.taken = promise;
    this.listener = new AdminListener((request, response) => {
      this.asked++;
      if (request.url === '/long') {
        response.once('close', () => over(response.writableFinished));
        answer(response, 200, 'x'.repeat(64 << 20));
      } else if (request.url !== '/hang') answer(response, 200, `${request.url}`);
    }, this.#times);
  }

  get port(): number {
    return this.#bound.address().port;
  }

  async open(): Promise<this> {
    await this.listener.listen(this.#bound.fd());
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    this.#bound.close();
    await turn();
  }
}

describe('a port with a certificate', () => {
  const served = new Port();
  beforeAll(async () => {
    await served.open();
    served.listener.secure(tlsOf(first));
  });
  afterAll(() => served[Symbol.asyncDispose]());

  test('serves HTTP, however the request is cut into pieces, and keeps the connection', async () => {
    const request = getRequest('x', '/asked');
    for (let cut = 1; cut < request.length; cut += 3) {
      using peer = await Peer.connect(served.port);
      await peer.write(request.slice(0, cut));
      await turn();
      await peer.write(request.slice(cut));
      expect((await peer.message()).body.toString()).toBe('/asked');
      await peer.write(request);
      expect((await peer.message()).body.toString()).toBe('/asked');
    }
  });

  test('serves two requests that come in one piece', async () => {
    using peer = await Peer.connect(served.port);
    await peer.write(getRequest('x', '/one') + getRequest('x', '/two'));
    expect((await peer.message()).body.toString()).toBe('/one');
    expect((await peer.message()).body.toString()).toBe('/two');
  });

  test('serves what comes behind a body, and who ends his half behind several requests', async () => {
    using peer = await Peer.connect(served.port);
    const body = 'x'.repeat(100_000);
    await peer.write(`POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await peer.write(getRequest('x', '/two') + getRequest('x', '/three'));
    peer.socket.end();
    for (const path of ['/one', '/two', '/three']) expect((await peer.message()).body.toString()).toBe(path);
    await peer.ended;
  });

  test.each(['plain', 'TLS'])('has a turn for others before who sends requests without end (%s)', async (protocol) => {
    const peers = await Promise.all(
      Array.from({ length: 8 }, () => (protocol === 'TLS' ? Peer.connectTls(served.port) : Peer.connect(served.port))),
    );
    using probe = await Peer.connect(served.port);
    const before = served.asked;
    for (const peer of peers) void peer.write(getRequest('x', '/much').repeat(2_000));
    while (served.asked === before) await turn();
    await probe.write(getRequest('x', '/healthz'));
    expect((await probe.message()).body.toString()).toBe('/healthz');
    // One of each for every turn of the event loop that the probe took.
    expect(served.asked - before).toBeLessThan(500);
    for (const peer of peers) peer[Symbol.dispose]();
  });

  test('serves TLS of every version that it should', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      using peer = await Peer.connectTls(served.port, { minVersion: version, maxVersion: version });
      expect(peer.tls.getProtocol()).toBe(version);
      await peer.write(getRequest('x', '/secret'));
      expect((await peer.message()).body.toString()).toBe('/secret');
      await peer.write(getRequest('x', '/again'));
      expect((await peer.message()).body.toString()).toBe('/again');
    }
    await expect(Peer.connectTls(served.port, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).rejects.toThrow();
  });

  test('serves TLS to whom whose ClientHello comes byte by byte', async () => {
    const hello = readFileSync(resolve(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
    using peer = await Peer.connect(served.port);
    for (const byte of hello) await peer.write(Buffer.from([byte]));
    await peer.untilBytes(1);
    expect(peer.bytes[0]).toBe(0x16);
  });

  test('offers HTTP/1.1 to clients that would rather have HTTP/2', async () => {
    using peer = await Peer.connectTls(served.port, { ALPNProtocols: ['h2', 'http/1.1'] });
    expect(peer.tls.alpnProtocol).toBe('http/1.1');
  });

  test('answers an HTTP client that ends its half first, and closes on one that says nothing', async () => {
    using peer = await Peer.connect(served.port);
    await peer.write(getRequest('x', '/last'));
    peer.socket.end();
    expect((await peer.message()).body.toString()).toBe('/last');
    using silent = await Peer.connect(served.port);
    silent.socket.end();
    await silent.ended;
  });

  test('ends what is neither', async () => {
    using peer = await Peer.connect(served.port);
    await peer.write('\x00\x01\x02 nonsense\r\n\r\n');
    await peer.ended;
    using broken = await Peer.connect(served.port);
    await broken.write(Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff, 0x00, 0x00]));
    await broken.write(Buffer.alloc(70_000));
    await broken.ended;
  });
});

test('another certificate serves the handshakes to come', async () => {
  await using served = await new Port().open();
  served.listener.secure(tlsOf(first));
  expect(await servedName(served.port, 'any.test')).toBe('first.test');
  using open = await Peer.connectTls(served.port);
  served.listener.secure(tlsOf(second, { metricsTlsMinVersion: 'VersionTLS13' }));
  expect(await servedName(served.port, 'any.test')).toBe('second.test');
  await open.write(getRequest('x', '/still'));
  expect((await open.message()).body.toString()).toBe('/still');
});

test('settings decide on version, cipher and group', async () => {
  await using served = await new Port().open();
  const metricsTlsCiphers = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384';
  served.listener.secure(tlsOf(first, { metricsTlsCiphers, metricsTlsCurves: 'secp384r1' }));
  using peer = await Peer.connectTls(served.port, { maxVersion: 'TLSv1.2' });
  expect(peer.tls.getCipher().standardName).toBe(metricsTlsCiphers);
  expect(peer.tls.getEphemeralKeyInfo()).toMatchObject({ name: 'secp384r1' });
  served.listener.secure(tlsOf(first, { metricsTlsMinVersion: 'VersionTLS13' }));
  await expect(Peer.connectTls(served.port, { maxVersion: 'TLSv1.2' })).rejects.toThrow();
});

test('without a certificate a TLS client is closed on, and HTTP is served', async () => {
  await using served = await new Port().open();
  await expect(Peer.connectTls(served.port)).rejects.toThrow();
  using peer = await Peer.connect(served.port);
  await peer.write(getRequest('x', '/plain'));
  expect((await peer.message()).body.toString()).toBe('/plain');
});

const stalls: readonly (readonly [title: string, sent: Buffer, times: Partial<AdminTimes>])[] = [
  ['nothing', Buffer.alloc(0), { firstByteMs: 50 }],
  ['one byte of HTTP', Buffer.from('G'), { headMs: 50 }],
  ['one byte of TLS', Buffer.from([0x16]), { handshakeMs: 50 }],
  ['half a head', Buffer.from('GET / HTTP/1.1\r\nHost:'), { headMs: 50 }],
];

test.each(stalls)('a peer that sends %s is cut', async (_title, sent, times) => {
  await using served = await new Port(times).open();
  served.listener.secure(tlsOf(first));
  using peer = await Peer.connect(served.port);
  await peer.write(sent);
  await peer.ended;
});

test('a client of TLS that sends no request is cut', async () => {
  await using served = await new Port({ headMs: 50 }).open();
  served.listener.secure(tlsOf(first));
  using peer = await Peer.connectTls(served.port);
  await peer.ended;
});

test.each(['plain', 'TLS'])('a client that does not read its answer is cut (%s)', async (protocol) => {
  await using served = await new Port({ unreadMs: 50 }).open();
  served.listener.secure(tlsOf(first));
  using peer = protocol === 'TLS' ? await Peer.connectTls(served.port) : await Peer.connect(served.port);
  peer.stopReading();
  await peer.write(getRequest('x', '/long'));
  expect(await served.taken).toBe(false);
});

test('a client that breaks off while it is answered harms nobody else', async () => {
  await using served = await new Port().open();
  using peer = await Peer.connect(served.port);
  await peer.write(getRequest('x', '/hang') + getRequest('x', '/never'));
  while (served.asked === 0) await turn();
  peer.reset();
  using other = await Peer.connect(served.port);
  await other.write(getRequest('x', '/healthz'));
  expect((await other.message()).body.toString()).toBe('/healthz');
  expect(served.asked).toBe(2);
});

describe('when as many are connected as may be', () => {
  const room = 256;

  /** The connections of peers, each having sent this, the first one first. */
  async function besiege(port: number, count: number, sent: string | Buffer = ''): Promise<Peer[]> {
    const peers: Peer[] = [];
    for (let i = 0; i < count; i++) {
      const peer = await Peer.connect(port);
      peers.push(peer);
      if (sent.length > 0) await peer.write(sent);
    }
    return peers;
  }

  /** A probe that must be answered at once: the connection of this peer makes place for it. */
  async function probe(port: number, victim: Peer | undefined): Promise<void> {
    using peer = await Peer.connect(port);
    await peer.write(getRequest('x', '/healthz'));
    expect((await peer.message()).body.toString()).toBe('/healthz');
    await victim?.ended;
  }

  test.each([
    ['nothing', ''],
    ['half a head', 'GET /healthz HTTP/1.1\r\nHost: x\r\n'],
    ['one byte of TLS', Buffer.from([0x16])],
  ])('and all have sent %s, the one that was first makes place for a probe', async (_title, sent) => {
    await using served = await new Port().open();
    served.listener.secure(tlsOf(first));
    const peers = await besiege(served.port, room, sent);
    // Each probe leaves its place.
    await probe(served.port, peers[0]);
    using second = await Peer.connect(served.port);
    await probe(served.port, peers[1]);
    await second.write(getRequest('x', '/late'));
    expect((await second.message()).body.toString()).toBe('/late');
    for (const peer of peers) peer[Symbol.dispose]();
  });

  test('who is being answered stays, and who was answered waits anew', async () => {
    await using served = await new Port().open();
    served.listener.secure(tlsOf(first));
    using asking = await Peer.connectTls(served.port);
    await asking.write(getRequest('x', '/hang'));
    using answered = await Peer.connectTls(served.port);
    const silent = await besiege(served.port, room - 2);
    const ask = async (): Promise<void> => {
      await answered.write(getRequest('x', '/again'));
      expect((await answered.message()).body.toString()).toBe('/again');
    };
    await ask();
    await probe(served.port, silent[0]);
    await ask();
    const more = await besiege(served.port, room - 2);
    for (const peer of silent) await peer.ended;
    await ask();
    expect(asking.end).toBeNull();
    for (const peer of [...silent, ...more]) peer[Symbol.dispose]();
  });

  test('and all are being answered, a newcomer is closed on', async () => {
    await using served = await new Port().open();
    const peers = await besiege(served.port, room, getRequest('x', '/hang', 'Expect: 100-continue\r\n'));
    // Each is known to be read before the next one comes.
    for (const peer of peers) await peer.untilText('100 Continue');
    using late = await Peer.connect(served.port);
    await late.ended;
    for (const peer of peers) peer[Symbol.dispose]();
  });
});

test('closing ends every connection, whatever it is at', async () => {
  await using served = await new Port().open();
  served.listener.secure(tlsOf(first));
  const silent = await Peer.connect(served.port);
  const shaking = await Peer.connect(served.port);
  await shaking.write(Buffer.from([0x16]));
  const idle = await Peer.connectTls(served.port);
  await idle.write(getRequest('x'));
  await idle.message();
  served.listener.close();
  for (const peer of [silent, shaking, idle]) {
    await peer.ended;
    peer[Symbol.dispose]();
  }
});
