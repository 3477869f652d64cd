// Large bodies through the real command to readers that are slower than the writers: whichever protocols meet, a worker holds
// a little of a body at a time.

import { request } from 'node:http';
import { connect } from 'node:http2';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryOf } from '../bench/memory.ts';
import { makeCertificate } from '../support/certificates.ts';
import { routeYaml } from '../support/pods.ts';
import { BodyPod, pieces, readSlowly } from './body-pod.ts';
import { edgeYaml, PeerRouter, podsYaml, reencryptYaml } from './peer-router.ts';

/** HEADGATE_PEERS_BODY_BYTES: another size, where the time is no matter. */
const bodyBytes = Number(process.env['HEADGATE_PEERS_BODY_BYTES'] ?? 256_000_000);
/** How much larger a worker may become. */
const maxGrowthBytes = 48 * 1_048_576;
/** What the code and the buffers of any traffic take is no growth: so much goes before, each way. */
const warmUpBytes = 64_000_000;
const sampleMs = 20;
const timeoutMs = 60_000 + bodyBytes / 10_000;

let pods: BodyPod[];
let peer: PeerRouter;
let workerPid = 0;

beforeAll(async () => {
  const tls = makeCertificate({ names: ['pod.test'] });
  pods = [await BodyPod.start('h1', tls), await BodyPod.start('h2c', tls), await BodyPod.start('h2', tls)];
  const [h1 = 0, h2c = 0, h2 = 0] = pods.map(({ port }) => port);
  peer = await PeerRouter.start(
    [
      podsYaml('h1', [h1]),
      podsYaml('h2c', [h2c], 'h2c'),
      podsYaml('h2', [h2]),
      routeYaml('h1', 'h1.test', 'h1'),
      routeYaml('h2c', 'h2c.test', 'h2c'),
      edgeYaml('edge', 'edge.test', 'h1'),
      reencryptYaml('reencrypt', 'reencrypt.test', 'h2'),
    ].join(''),
  );
  for (const { hosts, transfer } of clients) await transfer(hosts[0] ?? '', warmUpBytes);
  workerPid = (await peer.router.processes()).workers[0]?.pid ?? 0;
});

afterAll(async () => {
  await peer[Symbol.asyncDispose]();
  for (const pod of pods) await pod[Symbol.asyncDispose]();
});

function residentBytes(): number {
  return memoryOf(workerPid).residentMb * 1e6;
}

/** How many bytes came, to whoever reads them slowly. */
type Transfer = (host: string, bytes: number) => Promise<number>;

const download1: Transfer = (host, bytes) =>
  new Promise((done, failed) => {
    const options = { port: peer.httpPort, host: '127.0.0.1', headers: { host }, agent: false };
    request({ ...options, path: `/download/${bytes}` }, (response) => done(readSlowly(response)))
      .on('error', failed)
      .end();
  });

const upload1: Transfer = (host, bytes) =>
  new Promise((done, failed) => {
    const options = { port: peer.httpPort, host: '127.0.0.1', method: 'POST', agent: false };
    const headers = { host, 'content-length': bytes };
    const sending = request({ ...options, path: '/slow-upload', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.on('end', () => done(Number(text)));
    });
    sending.on('error', failed);
    Readable.from(pieces(bytes)).pipe(sending);
  });

/** One exchange in HTTP/2, on the plain port or on the other one. */
function exchange2(way: 'plain' | 'tls', use: 'download' | 'upload'): Transfer {
  return async (host, bytes) => {
    const session =
      way === 'plain'
        ? connect(`http://127.0.0.1:${peer.httpPort}`)
        : connect(`https://127.0.0.1:${peer.httpsPort}`, { servername: host, rejectUnauthorized: false });
    session.on('error', () => {});
    const path = use === 'download' ? `/download/${bytes}` : '/slow-upload';
    const method = use === 'download' ? 'GET' : 'POST';
    const stream = session.request({ ':authority': host, ':path': path, ':method': method });
    let count: number;
    if (use === 'download') {
      count = await readSlowly(stream);
    } else {
      Readable.from(pieces(bytes)).pipe(stream);
      let text = '';
      for await (const piece of stream.setEncoding('utf8')) text += piece;
      count = Number(text);
    }
    session.close();
    return count;
  };
}

const clients: readonly { readonly name: string; readonly hosts: readonly string[]; readonly transfer: Transfer }[] = [
  { name: 'HTTP/1.1, down', hosts: ['h1.test', 'h2c.test'], transfer: download1 },
  { name: 'HTTP/1.1, up', hosts: ['h1.test', 'h2c.test'], transfer: upload1 },
  { name: 'HTTP/2, down', hosts: ['h1.test', 'h2c.test'], transfer: exchange2('plain', 'download') },
  { name: 'HTTP/2, up', hosts: ['h1.test', 'h2c.test'], transfer: exchange2('plain', 'upload') },
  { name: 'HTTP/2 over TLS, down', hosts: ['edge.test', 'reencrypt.test'], transfer: exchange2('tls', 'download') },
  { name: 'HTTP/2 over TLS, up', hosts: ['edge.test', 'reencrypt.test'], transfer: exchange2('tls', 'upload') },
];

describe.each(clients)('$name', ({ name, hosts, transfer }) => {
  test.each(hosts)(
    '%s',
    async (host) => {
      const before = residentBytes();
      let peak = before;
      const sampler = setInterval(() => {
        peak = Math.max(peak, residentBytes());
      }, sampleMs);
      const begin = performance.now();
      const came = await transfer(host, bodyBytes);
      clearInterval(sampler);
      const took = performance.now() - begin;
      if (process.env['HEADGATE_PEERS_BODY_BYTES'] !== undefined) {
        const grown = ((peak - before) / 1_048_576).toFixed(1);
        console.log(
          `${name}, ${host}: ${(took / 1_000).toFixed(1)} s, ${grown} MB more than ${(before / 1_048_576).toFixed(0)} MB`,
        );
      }
      expect(came).toBe(bodyBytes);
      expect(peak - before).toBeLessThan(maxGrowthBytes);
    },
    timeoutMs,
  );
});
