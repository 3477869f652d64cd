// What stands behind the Routes: an nginx with small answers and a large file, and an echo server in the bench's own process
// that tells what a router passed on. All on loopback, on the load's core.

import { once } from 'node:events';
import { truncateSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { type KeyPair, writePem } from './certificates.ts';
import { accepting, freePorts } from './ports.ts';
import { type Launched, LOAD_CPU, type Workspace } from './workspace.ts';

export const BULK_BYTES = 100_000_000;
/** The path of the large file. */
export const BULK_PATH = '/bulk';

/** How long the slow pod takes: long enough that requests are under way at any moment. */
const SLOW_POD_MS = 50;

const SMALL_BODY = 'x'.repeat(128);

export type Pods = {
  /** 128 bytes on every path, over cleartext. */
  readonly plainPort: number;
  /** The same over TLS, and the large file. */
  readonly tlsPort: number;
  /** Answers `blue` and `green`, to see which of two a Route leads to. */
  readonly bluePort: number;
  readonly greenPort: number;
  /** Answer the request's head as JSON: method, url and header lines. */
  readonly echoPort: number;
  readonly echoTlsPort: number;
  /** Answers after 50 ms. */
  readonly slowPort: number;
};

export async function startPods(workspace: Workspace, certificate: KeyPair): Promise<Pods> {
  const ports = await freePorts('plainPort', 'tlsPort', 'bluePort', 'greenPort');
  const nginx = launchNginx(workspace, certificate, ports);
  await accepting(nginx, Object.values(ports));
  return {
    ...ports,
    echoPort: await listening(createServer(echo)),
    echoTlsPort: await listening(createTlsServer({ cert: certificate.chain, key: certificate.key }, echo)),
    slowPort: await listening(createServer(answerSlowly)),
  };
}

type NginxPorts = Pick<Pods, 'plainPort' | 'tlsPort' | 'bluePort' | 'greenPort'>;

function launchNginx(workspace: Workspace, certificate: KeyPair, ports: NginxPorts): Launched {
  const folder = workspace.folder('nginx');
  const pem = writePem(join(folder, 'pod.pem'), certificate);
  const bulkFile = join(folder, BULK_PATH);
  writeFileSync(bulkFile, '');
  // Sparse: it costs no disk and is read from memory.
  truncateSync(bulkFile, BULK_BYTES);
  const answer = (body: string): string => `location / { return 200 "${body}"; }`;
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  default_type text/plain;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server { listen 127.0.0.1:${ports.plainPort}; ${answer(SMALL_BODY)} }
  server { listen 127.0.0.1:${ports.bluePort}; ${answer('blue')} }
  server { listen 127.0.0.1:${ports.greenPort}; ${answer('green')} }
  server {
    listen 127.0.0.1:${ports.tlsPort} ssl;
    ssl_certificate ${pem};
    ssl_certificate_key ${pem};
    ssl_protocols TLSv1.2 TLSv1.3;
    location = ${BULK_PATH} { root ${folder}; output_buffers 2 512k; }
    ${answer(SMALL_BODY)}
  }
}
`,
  );
  return workspace.launch(LOAD_CPU, 'nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]);
}

const echo: RequestListener = (request, response) => {
  const body = JSON.stringify({ method: request.method, url: request.url, rawHeaders: request.rawHeaders });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
};

const answerSlowly: RequestListener = (_, response) => {
  setTimeout(() => response.end('slow'), SLOW_POD_MS);
};

async function listening(server: Server): Promise<number> {
  // It ends with the bench.
  server.unref().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
