// The beginning of TLS connections: hellos that come in odd ways, and what is no hello or never becomes a handshake.

import { readFileSync } from 'node:fs';
import { BoundSocket } from 'node:net';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { makeCertificate } from '../support/certificates.ts';
import { connectTlsInPieces } from '../support/cut-stream.ts';
import { DataPlane, type DataPlaneOptions } from '../support/data-plane.ts';
import { answering, getRequest, ok, Peer, Pod } from '../support/peers.ts';
import { certificate, certificateId, route } from '../support/rules.ts';

const hello = readFileSync(join(import.meta.dirname, '../data/client-hello/openssl-tls13.bin'));
const made = makeCertificate({ names: ['ec.test'] });

const pod = (): Promise<Pod> => Pod.start(answering(ok('hello')));

/** A data plane with one edge Route that has a certificate of its own. */
function serve(backend: Pod, options: DataPlaneOptions = {}): Promise<DataPlane> {
  const own = certificateId('own');
  return DataPlane.start(
    [
      certificate('own', made.certificate, made.key),
      ...route({ host: 'ec.test', pods: [backend.port], termination: 'edge', certificate: own }),
    ],
    options,
  );
}

/** The status of one request. */
async function statusOf(client: Peer, host: string): Promise<number> {
  await client.write(getRequest(host));
  return (await client.message()).status;
}

/** A hello whose extensions are longer than itself. */
function withoutLastByte(record: Buffer): Buffer {
  const short = Buffer.from(record.subarray(0, -1));
  short.writeUInt16BE(record.readUInt16BE(3) - 1, 3);
  short.writeUIntBE(record.readUIntBE(6, 3) - 1, 6, 3);
  return short;
}

describe('hellos in pieces', () => {
  /** One record as several, each with so many bytes of the message. */
  function records(record: Buffer, size: number): Buffer[] {
    const cut: Buffer[] = [];
    for (let at = 5; at < record.length; at += size) {
      const part = record.subarray(at, at + size);
      const header = Buffer.from(record.subarray(0, 5));
      header.writeUInt16BE(part.length, 3);
      cut.push(Buffer.concat([header, part]));
    }
    return cut;
  }
  const chunksOf = (all: Buffer, size: number): Buffer[] =>
    Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.subarray(i * size, (i + 1) * size));
  const bytes = (all: Buffer): Buffer[] => chunksOf(all, 1);

  test.each<[string, (hello: Buffer) => Buffer[], ConnectionOptions]>([
    ['byte by byte', bytes, { ecdhCurve: 'X25519' }],
    ['a post-quantum one in segments of 500 bytes', (all) => chunksOf(all, 500), { ecdhCurve: 'X25519MLKEM768' }],
    ['over records of 100 bytes', (all) => records(all, 100), { ecdhCurve: 'X25519' }],
    ['over records in one segment', (all) => [Buffer.concat(records(all, 64))], { ecdhCurve: 'X25519' }],
    ['over records, byte by byte', (all) => bytes(Buffer.concat(records(all, 50))), { ecdhCurve: 'X25519' }],
    ['TLS 1.2, byte by byte', bytes, { maxVersion: 'TLSv1.2' }],
    // So many small reads are the last of their turn, and here the connection becomes a TLS one with it.
    ['in 256 segments', (all) => [...bytes(all.subarray(0, 255)), all.subarray(255)], { ecdhCurve: 'X25519' }],
  ])('%s', async (_name, cut, options) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using client = await connectTlsInPieces(plane.httpsPort, (all, nth) => (nth === 0 ? cut(all) : [all]), {
      ...options,
      servername: 'ec.test',
    });
    expect(client.tls.getPeerCertificate().subject.CN).toBe('ec.test');
    expect(await statusOf(client, 'ec.test')).toBe(200);
  });

  test('everything that the client sends, byte by byte', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using client = await connectTlsInPieces(plane.httpsPort, bytes, {
      servername: 'ec.test',
      ecdhCurve: 'X25519',
    });
    expect(await statusOf(client, 'ec.test')).toBe(200);
  });
});

describe('what is no handshake, or never becomes one', () => {
  const quick = { settings: { inspectDelayMs: 100, headTimeoutMs: 150 } };

  test.each<[string, Buffer]>([
    ['a plain request', Buffer.from(getRequest('ec.test'))],
    ['zeros', Buffer.alloc(100)],
    ['SSL 2', Buffer.from('802e0100020015000000', 'hex')],
    ['an alert', Buffer.from('15030300020100', 'hex')],
    ['a record without content', Buffer.from('1603010000', 'hex')],
    ['a server hello', Buffer.from('160303000402000000', 'hex')],
    ['a hello that claims 16 MB', Buffer.from('160301400001ffffff', 'hex')],
    [
      'a hello cut into records without end',
      Buffer.from('160301000101160301000100'.padEnd(1_200, '160301000100'), 'hex'),
    ],
    ['a hello without its last byte', withoutLastByte(hello)],
  ])('%s: closed without an answer', async (_name, sent) => {
    await using backend = await pod();
    await using plane = await serve(backend, { settings: { inspectDelayMs: 60_000 } });
    using client = await Peer.connect(plane.httpsPort);
    await client.write(sent);
    expect(await client.ended).toMatch(/fin|rst/);
    expect(client.receivedBytes).toBe(0);
    expect(await plane.ended()).toBe('not-tls');
  });

  test.each<[string, Buffer, string]>([
    ['nothing', Buffer.alloc(0), 'hello-timeout'],
    ['half a hello', hello.subarray(0, 100), 'hello-timeout'],
    ['a hello and nothing more', hello, 'handshake-timeout'],
  ])('%s: cut when its time is over', async (_name, sent, reason) => {
    await using backend = await pod();
    await using plane = await serve(backend, quick);
    using client = await Peer.connect(plane.httpsPort);
    await client.write(sent);
    await client.ended;
    expect(await plane.ended()).toBe(reason);
  });

  test('a hello that drips gets no more time than one that comes at once', async () => {
    await using backend = await pod();
    await using plane = await serve(backend, quick);
    using client = await Peer.connect(plane.httpsPort);
    const drip = setInterval(() => client.socket.write(hello.subarray(0, 1)), 20);
    await client.write(hello.subarray(0, 5));
    await client.ended;
    clearInterval(drip);
    expect(await plane.ended()).toMatch(/hello-timeout|not-tls/);
  });

  test.each<[string, Buffer, (client: Peer) => void, string]>([
    ['closes without a word', Buffer.alloc(0), (client) => client.finish(), 'client-closed'],
    ['closes in its hello', hello.subarray(0, 100), (client) => client.finish(), 'not-tls'],
    ['closes behind its hello', hello, (client) => client.finish(), 'handshake-failed'],
    ['resets in its hello', hello.subarray(0, 100), (client) => client.reset(), 'client-closed'],
    ['resets behind its hello', hello, (client) => client.reset(), 'handshake-failed'],
  ])('a client that %s', async (_name, sent, end, reason) => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using client = await Peer.connect(plane.httpsPort);
    await client.write(sent);
    if (sent === hello) await client.untilBytes(1);
    else await client.writeApart('');
    end(client);
    expect(await plane.ended()).toBe(reason);
  });

  test('garbage behind the hello', async () => {
    await using backend = await pod();
    await using plane = await serve(backend);
    using client = await Peer.connect(plane.httpsPort);
    await client.write(hello);
    await client.untilBytes(1);
    await client.write(Buffer.alloc(50, 0x16));
    await client.ended;
    expect(await plane.ended()).toBe('handshake-failed');
  });

  test('two clients that use one port of theirs towards two addresses of ours stay apart', async () => {
    await using backend = await pod();
    await using plane = await serve(backend, { address: '0.0.0.0', settings: { headTimeoutMs: 150 } });
    const bound = new BoundSocket({ host: '127.0.0.1' });
    const from = { localAddress: '127.0.0.1', localPort: bound.address().port };
    bound.close();
    let stalled: Peer | null = null;
    const cut = async (all: Buffer, nth: number): Promise<Buffer[]> => {
      if (nth === 1) {
        stalled = await Peer.connect(plane.httpsPort, { ...from, host: '127.0.0.2' });
        await stalled.write(hello);
        await stalled.untilBytes(1);
      }
      return [all];
    };
    using client = await connectTlsInPieces(plane.httpsPort, cut, { servername: 'ec.test' }, from);
    expect(await statusOf(client, 'ec.test')).toBe(200);
    // The one that stalled is cut, the other one is not.
    expect(await plane.ended()).toBe('handshake-timeout');
    expect(await statusOf(client, 'ec.test')).toBe(200);
  });
});
