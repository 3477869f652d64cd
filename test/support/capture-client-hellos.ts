// Makes test/data/client-hello/*.bin: the first bytes that real TLS clients send, one file a client.
// Run as `node test/support/capture-client-hellos.ts`; needs openssl and curl (with HTTP/2) on the PATH.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect } from 'node:tls';

type Client = { readonly name: string; readonly start: (port: number) => void };

const folder = join(import.meta.dirname, '../data/client-hello');

const clients: readonly Client[] = [
  node('node-tls13-post-quantum-h2', {
    servername: 'pq.example.test',
    ALPNProtocols: ['h2', 'http/1.1'],
    ecdhCurve: 'X25519MLKEM768:X25519',
  }),
  node('node-tls13-only-no-sni', { minVersion: 'TLSv1.3', ecdhCurve: 'X25519' }),
  node('node-tls12-only', {
    maxVersion: 'TLSv1.2',
    servername: 'old.example.test',
    ALPNProtocols: ['http/1.1'],
  }),
  node('node-tls12-only-no-sni', { maxVersion: 'TLSv1.2' }),
  node('node-upper-case-name', { servername: 'Mixed.Example.TEST', ecdhCurve: 'X25519' }),
  openssl('openssl-tls13', ['-tls1_3', '-servername', 'thirteen.example.test', '-alpn', 'h2,http/1.1']),
  openssl('openssl-tls12', ['-tls1_2', '-servername', 'twelve.example.test']),
  openssl('openssl-tls12-no-sni', ['-tls1_2', '-noservername']),
  openssl('openssl-one-cipher', ['-tls1_2', '-noservername', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256']),
  {
    name: 'curl-h2',
    start: (port) =>
      run('curl', ['--http2', '--connect-to', `curl.example.test:443:127.0.0.1:${port}`, 'https://curl.example.test/']),
  },
];

function node(name: string, options: ConnectionOptions): Client {
  return {
    name,
    start: (port) => {
      connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }).on('error', () => undefined);
    },
  };
}

function openssl(name: string, options: readonly string[]): Client {
  return { name, start: (port) => run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...options]) };
}

/** The client is cut off after its hello, so that it fails is as it should be; a missing program is not. */
function run(program: string, options: readonly string[]): void {
  execFile(program, options, (error) => {
    if (error !== null && error.code === 'ENOENT') throw error;
  }).stdin?.end();
}

/** What the peer sends until its first TLS record is whole. */
async function firstRecord(socket: Socket): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) {
    const [chunk]: Buffer[] = await once(socket, 'data');
    if (chunk !== undefined) bytes = Buffer.concat([bytes, chunk]);
  }
  return bytes;
}

mkdirSync(folder, { recursive: true });
for (const { name, start } of clients) {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('no port');
  start(address.port);
  const [socket]: Socket[] = await once(server, 'connection');
  if (socket === undefined) throw new TypeError('no connection');
  const bytes = await firstRecord(socket.on('error', () => undefined));
  socket.destroy();
  server.close();
  writeFileSync(join(folder, `${name}.bin`), bytes);
  process.stdout.write(`${name}: ${bytes.length} bytes\n`);
}
