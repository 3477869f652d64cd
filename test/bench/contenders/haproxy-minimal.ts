// HAProxy with as little configuration as proxies these requests: no clean-up, no forwarding headers, no cookies, a map of
// plain strings, TLS in the public listener itself. The price of a proxy without a router in it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePem } from '../certificates.ts';
import { freePorts } from '../ports.ts';
import type { BenchRoute } from '../routes.ts';
import type { Contender, ContenderSetup, RunningContender } from './contender.ts';
import { CIPHER_SUITES, startHaproxy } from './haproxy.ts';

export const haproxyMinimal: Contender = {
  name: 'haproxy-minimal',
  fidelity: 'answer',
  lacks: [],
  // One is left for the connection to the pod.
  filesPerConnection: 2,
  start: async (setup: ContenderSetup): Promise<RunningContender> => {
    const ports = await freePorts('http', 'https', 'passthrough');
    return startHaproxy(setup, configuration(setup, ports), ports);
  },
};

function configuration(setup: ContenderSetup, ports: RunningContender['ports']): string {
  const routes = setup.routes.filter((route) => route.path === '');
  const certificates = join(setup.folder, 'certs');
  mkdirSync(certificates);
  for (const { name, certificate } of routes) {
    if (certificate !== null) writePem(join(certificates, `${name}.pem`), certificate);
  }
  const of = (termination: BenchRoute['termination']): readonly BenchRoute[] =>
    routes.filter((route) => route.termination === termination);
  const use = (name: string, routes: readonly BenchRoute[]): string => {
    const file = join(setup.folder, `${name}.map`);
    writeFileSync(file, routes.map((route) => `${route.host} ${route.name}\n`).join(''));
    return `  use_backend %[req.hdr(host),map_str(${file})]`;
  };
  return `global
  nbthread ${setup.threads}
  ssl-default-bind-ciphersuites ${CIPHER_SUITES}

defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout http-keep-alive 300s
  timeout server 30s

frontend http
  bind 127.0.0.1:${ports.http}
${use('http', of('none'))}

frontend https
  bind 127.0.0.1:${ports.https} ssl crt ${certificates} alpn h2,http/1.1
${use('https', [...of('edge'), ...of('reencrypt')])}

frontend passthrough
  mode tcp
  bind 127.0.0.1:${ports.passthrough}
  tcp-request inspect-delay 5s
  tcp-request content accept if { req_ssl_hello_type 1 }
${of('passthrough')
  .map(({ name, host }) => `  use_backend ${name} if { req.ssl_sni ${host} }`)
  .join('\n')}
${routes.map((route) => backend(route, setup.folder)).join('')}`;
}

function backend(route: BenchRoute, folder: string): string {
  const authority = join(folder, `${route.name}.ca.pem`);
  if (route.destinationAuthority !== null) writeFileSync(authority, route.destinationAuthority);
  const tls = route.destinationAuthority === null ? '' : ` ssl verify required ca-file ${authority} alpn h2,http/1.1`;
  const protocol = route.appProtocol === '' ? '' : ' proto h2';
  return `
backend ${route.name}
  mode ${route.termination === 'passthrough' ? 'tcp' : 'http'}
  server pod 127.0.0.1:${route.podPort}${tls}${protocol}
`;
}
