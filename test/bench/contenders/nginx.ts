// nginx with as little configuration as proxies these requests: a server for each host, and kept connections to the pods. Like the
// minimal HAProxy it cleans, adds and remembers nothing.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { writePem } from '../certificates.ts';
import { processTree } from '../cpu-time.ts';
import { POD_NAME } from '../pods.ts';
import { accepting, freePorts } from '../ports.ts';
import type { BenchRoute } from '../routes.ts';
import { contenderCpus } from '../workspace.ts';
import type { Contender, ContenderSetup, RunningContender } from './contender.ts';
import { CIPHER_SUITES } from './haproxy.ts';

/** Debian packs it apart (libnginx-mod-stream); without it nginx has no passthrough. */
const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

const hasStreams = existsSync(STREAM_MODULE);

export const nginx: Contender = {
  name: 'nginx',
  fidelity: 'answer',
  // It speaks HTTP/2 to pods for gRPC alone.
  lacks: ['reencrypt-h2', ...(hasStreams ? [] : ['passthrough', 'passthrough-bulk', 'passthrough-bulk-up'])],
  filesPerConnection: 1,
  start: async (setup: ContenderSetup): Promise<RunningContender> => {
    const ports = await freePorts('http', 'https', 'passthrough');
    const file = join(setup.folder, 'nginx.conf');
    writeFileSync(file, configuration(setup, ports));
    const nginx = setup.workspace.launch(contenderCpus(setup.threads), 'nginx', [
      ...['-p', setup.folder, '-e', 'stderr', '-c', file],
    ]);
    await accepting(nginx, [ports.http, ports.https, ...(hasStreams ? [ports.passthrough] : [])]);
    return { ports, pids: () => processTree(nginx.pid), stop: () => nginx.stop() };
  },
};

function configuration(setup: ContenderSetup, ports: RunningContender['ports']): string {
  const routes = setup.routes.filter((route) => route.path === '');
  mkdirSync(join(setup.folder, 'certs'));
  const proxied = routes.filter(({ termination }) => termination !== 'passthrough');
  return `daemon off;
worker_processes ${setup.threads};
# The workers write into a folder that is this user's alone.
user ${userInfo().username};
pid nginx.pid;
error_log stderr error;
${hasStreams ? `load_module ${STREAM_MODULE};` : ''}
events { worker_connections 40000; }
http {
  access_log off;
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 0;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_set_header Host $host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $asked_connection;
  proxy_ssl_protocols TLSv1.3;
  proxy_ssl_verify on;
  proxy_ssl_name ${POD_NAME};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_prefer_server_ciphers on;
  ssl_conf_command Ciphersuites ${CIPHER_SUITES};
  map $http_upgrade $asked_connection { default upgrade; '' ''; }
${proxied.map((route) => server(route, setup, ports)).join('')}}
${hasStreams ? streams(routes, ports.passthrough) : ''}`;
}

function server(
  route: BenchRoute,
  { folder, defaultCertificate }: ContenderSetup,
  ports: RunningContender['ports'],
): string {
  const isGrpc = route.appProtocol !== '';
  const [protocol, directive] = isGrpc ? ['grpc', 'grpc_pass'] : ['http', 'proxy_pass'];
  const pass = `${directive} ${protocol}${route.destinationAuthority === null ? '' : 's'}://${route.name};`;
  return `
  upstream ${route.name} { server 127.0.0.1:${route.podPort}; keepalive 256; keepalive_requests 1000000000; }
  server {
    server_name ${route.host};
    ${listening(route, folder, defaultCertificate, ports)}
    location / { ${pass}${trusting(route, folder)} }
  }
`;
}

function listening(
  { termination, name, certificate }: BenchRoute,
  folder: string,
  defaultCertificate: string,
  ports: RunningContender['ports'],
): string {
  if (termination === 'none') return `listen 127.0.0.1:${ports.http};`;
  const pem = certificate === null ? defaultCertificate : writePem(join(folder, 'certs', `${name}.pem`), certificate);
  return `listen 127.0.0.1:${ports.https} ssl http2; ssl_certificate ${pem}; ssl_certificate_key ${pem};`;
}

function trusting({ name, destinationAuthority }: BenchRoute, folder: string): string {
  if (destinationAuthority === null) return '';
  const file = join(folder, 'certs', `${name}.ca.pem`);
  writeFileSync(file, destinationAuthority);
  return ` proxy_ssl_trusted_certificate ${file};`;
}

function streams(routes: readonly BenchRoute[], port: number): string {
  const pods = routes
    .filter(({ termination }) => termination === 'passthrough')
    .map(({ host, podPort }) => `    ${host} 127.0.0.1:${podPort};`);
  return `stream {
  map $ssl_preread_server_name $pod {
${pods.join('\n')}
  }
  server { listen 127.0.0.1:${port}; ssl_preread on; proxy_pass $pod; }
}
`;
}
