// What stands behind the Routes: an nginx with small answers and a large file, and in the bench's own process echo servers that
// tell what a router passed on, and the pods for gRPC and WebSocket. All on loopback, on the load's core.

import { once } from 'node:events';
import { truncateSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import {
  createServer as createH2cServer,
  createSecureServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createCleartextServer, type Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createRawTlsServer } from 'node:tls';
import { type KeyPair, writePem } from './certificates.ts';
import { createGrpcPod } from './grpc-pod.ts';
import { accepting, freePorts } from './ports.ts';
import { serveSink } from './sink-pod.ts';
import { createWebSocketPod } from './websocket-pod.ts';
import { type Launched, LOAD_CPU, type Workspace } from './workspace.ts';

export const BULK_BYTES = 100_000_000;
/** The path of the large file. */
export const BULK_PATH = '/bulk';

export type BodySize = '1k' | '64k' | '1m';
export const BODY_BYTES: Readonly<Record<BodySize, number>> = { '1k': 1_024, '64k': 65_536, '1m': 1_048_576 };
/** The paths of files of these sizes on the plain pod. */
export const BODY_PATHS: Readonly<Record<BodySize, string>> = {
  '1k': '/body-1k',
  '64k': '/body-64k',
  '1m': '/body-1m',
};

/** What their certificate is for. */
export const POD_NAME = 'pod.bench.test';

/** How long the slow pod takes: long enough that requests are under way at any moment. */
const SLOW_POD_MS = 50;

const SMALL_BODY = 'x'.repeat(128);

export type Pods = {
  /** 128 bytes over cleartext, on every path but those of the larger bodies. */
  readonly plainPort: number;
  /** The same over TLS, and the large file. */
  readonly tlsPort: number;
  /** The small answers over HTTP/2 and TLS. */
  readonly http2Port: number;
  /** Answers `blue` and `green`, to see which of two a Route leads to. */
  readonly bluePort: number;
  readonly greenPort: number;
  /** Answer the request as JSON: method, url, header lines and body. */
  readonly echoPort: number;
  readonly echoTlsPort: number;
  /** The same over HTTP/2, with TLS and without; `grpc-status: 0` is its trailer. */
  readonly echoHttp2Port: number;
  readonly echoH2cPort: number;
  /** Answers gRPC calls over HTTP/2 without TLS. */
  readonly grpcPort: number;
  /** Sends WebSocket messages back. */
  readonly webSocketPort: number;
  /** Take bodies and answer how many bytes came, over cleartext and over TLS. */
  readonly sinkPort: number;
  readonly sinkTlsPort: number;
  /** Answers after 50 ms. */
  readonly slowPort: number;
};

export async function startPods(workspace: Workspace, certificate: KeyPair): Promise<Pods> {
  const ports = await freePorts('plainPort', 'tlsPort', 'http2Port', 'bluePort', 'greenPort');
  const nginx = launchNginx(workspace, certificate, ports);
  await accepting(nginx, Object.values(ports));
  const secured = { cert: certificate.chain, key: certificate.key };
  return {
    ...ports,
    echoPort: await listening(createServer(echo)),
    echoTlsPort: await listening(createTlsServer(secured, echo)),
    echoHttp2Port: await listening(createHttp2Server(secured, echoOverHttp2)),
    echoH2cPort: await listening(createH2cServer(echoOverHttp2)),
    grpcPort: await listening(createGrpcPod()),
    sinkPort: await listening(createCleartextServer(serveSink)),
    sinkTlsPort: await listening(createRawTlsServer(secured, serveSink)),
    webSocketPort: await listening(createWebSocketPod()),
    slowPort: await listening(createServer(answerSlowly)),
  };
}

/** Path and size of what nginx serves from files. */
const FILES: readonly (readonly [string, number])[] = [
  [BULK_PATH, BULK_BYTES],
  [BODY_PATHS['1k'], BODY_BYTES['1k']],
  [BODY_PATHS['64k'], BODY_BYTES['64k']],
  [BODY_PATHS['1m'], BODY_BYTES['1m']],
];

type NginxPorts = Pick<Pods, 'plainPort' | 'tlsPort' | 'http2Port' | 'bluePort' | 'greenPort'>;

function launchNginx(workspace: Workspace, certificate: KeyPair, ports: NginxPorts): Launched {
  const folder = workspace.folder('pods');
  const pem = writePem(join(folder, 'pod.pem'), certificate);
  for (const [path, bytes] of FILES) {
    const file = join(folder, path);
    writeFileSync(file, '');
    // Sparse: it costs no disk and is read from memory.
    truncateSync(file, bytes);
  }
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
  open_file_cache max=16;
  # HAProxy adds to what could be cached.
  etag off;
  add_header Last-Modified '';
  server {
    listen 127.0.0.1:${ports.plainPort};
    location /body- { root ${folder}; output_buffers 2 512k; }
    ${answer(SMALL_BODY)}
  }
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
  server {
    listen 127.0.0.1:${ports.http2Port} ssl http2;
    ssl_certificate ${pem};
    ssl_certificate_key ${pem};
    ssl_protocols TLSv1.2 TLSv1.3;
    ${answer(SMALL_BODY)}
  }
}
`,
  );
  return workspace.launch(LOAD_CPU, 'nginx', ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]);
}

const echo: RequestListener = async (request, response) => {
  const { method, url, rawHeaders } = request;
  const body = echoed({ method, url, rawHeaders, body: Buffer.concat(await request.toArray()) });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
};

async function echoOverHttp2(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
  const { method, url, rawHeaders } = request;
  const body = echoed({ method, url, rawHeaders, body: Buffer.concat(await request.toArray()) });
  response.addTrailers({ 'grpc-status': '0' });
  response.writeHead(200, { 'content-type': 'application/json' }).end(body);
}

type Seen = {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
};

function echoed(seen: Seen): Buffer {
  return Buffer.from(JSON.stringify({ ...seen, body: seen.body.toString('base64') }));
}

const answerSlowly: RequestListener = (_, response) => {
  setTimeout(() => response.end('slow'), SLOW_POD_MS);
};

async function listening(server: Server): Promise<number> {
  // It ends with the bench.
  server.unref().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
