// HAProxy as the OpenShift router configures it: the shape of images/router/haproxy/conf/haproxy-config.template in
// github.com/openshift/router with the defaults of every setting (so HTTP/2 is offered) and no access log. Cut are
// only parts that no request of the bench passes (stats page, error pages, captures, cipher lists for TLS 1.2).

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePem } from '../certificates.ts';
import { freePorts } from '../ports.ts';
import { type BenchRoute, NAMESPACE, type Termination } from '../routes.ts';
import type { Contender, ContenderSetup, RunningContender } from './contender.ts';
import { CIPHER_SUITES, startHaproxy } from './haproxy.ts';

export const haproxyOpenshift: Contender = {
  name: 'haproxy-openshift',
  fidelity: 'routed',
  lacks: [],
  // The connection goes through itself by a unix socket, and it counts two for each.
  filesPerConnection: 4,
  start: async (setup: ContenderSetup): Promise<RunningContender> => {
    const { http, https } = await freePorts('http', 'https');
    writeMaps(setup);
    return startHaproxy(setup, configuration(setup, http, https), { http, https, passthrough: https });
  },
};

const BACKEND_PREFIX: Readonly<Record<Termination, string>> = {
  none: 'be_http',
  edge: 'be_edge_http',
  reencrypt: 'be_secure',
  passthrough: 'be_tcp',
};

/** Removed from every request (Route semantics 5.4). */
const CLIENT_CERTIFICATE_HEADERS = [
  'X-SSL',
  ...['CN', 'DER', 'DN', 'NotAfter', 'NotBefore', 'SHA1', 'Serial', 'Subject', 'Verify', 'Version'].map(
    (field) => `X-SSL-Client-${field}`,
  ),
  'X-SSL-Issuer',
];

function configuration(setup: ContenderSetup, http: number, https: number): string {
  const { folder, routes, threads, defaultCertificate } = setup;
  const map = (name: string): string => join(folder, `${name}.map`);
  const cleanUp = `
  http-request deny if { hdr_len(content-length) 0 }
  http-request del-header Proxy
${CLIENT_CERTIFICATE_HEADERS.map((name) => `  http-request del-header ${name}`).join('\n')}
  http-request set-header Host %[req.hdr(Host),lower]`;
  const terminatingFrontend = (name: string, certificates: string): string => `
backend be_${name}
  server fe_${name} unix@${folder}/${name}.sock weight 1 send-proxy

frontend fe_${name}
  bind unix@${folder}/${name}.sock ssl ${certificates} accept-proxy
  mode http${cleanUp}
  use_backend %[base,map_reg(${map('edge_reencrypt_be')})]
  default_backend openshift_default
`;
  return `global
  nbthread ${threads}
  stats socket ${folder}/stats.sock mode 600 level admin expose-fd listeners
  stats timeout 2m
  tune.maxrewrite 8192
  tune.bufsize 32768
  ssl-default-bind-options ssl-min-ver TLSv1.2
  ssl-default-bind-ciphersuites ${CIPHER_SUITES}

defaults
  timeout connect 5s
  timeout client 30s
  timeout client-fin 1s
  timeout server 30s
  timeout server-fin 1s
  timeout http-request 10s
  timeout http-keep-alive 300s
  timeout tunnel 1h

frontend public
  bind 127.0.0.1:${http}
  mode http
  tcp-request inspect-delay 5s
  tcp-request content accept if HTTP
  monitor-uri /_______internal_router_healthz${cleanUp}
  acl secure_redirect base,map_reg_int(${map('route_http_redirect')}) -m bool
  redirect scheme https if secure_redirect
  use_backend %[base,map_reg(${map('http_be')})]
  default_backend openshift_default

frontend public_ssl
  bind 127.0.0.1:${https}
  mode tcp
  tcp-request inspect-delay 5s
  tcp-request content accept if { req_ssl_hello_type 1 }
  acl sni req.ssl_sni -m found
  acl sni_passthrough req.ssl_sni,lower,map_reg(${map('sni_passthrough')}) -m found
  use_backend %[req.ssl_sni,lower,map_reg(${map('tcp_be')})] if sni sni_passthrough
  use_backend be_sni if sni
  default_backend be_no_sni
${terminatingFrontend('sni', `crt ${defaultCertificate} crt-list ${map('cert_config')}`)}
${terminatingFrontend('no_sni', `crt ${defaultCertificate}`)}
backend openshift_default
  mode http
  option forwardfor
  option http-pretend-keepalive
${routes.map((route) => backend(route, folder)).join('')}`;
}

function backend(route: BenchRoute, folder: string): string {
  const server = `ept:${route.name}:http:127.0.0.1:${route.podPort}`;
  const serverLine = `  server ${server} 127.0.0.1:${route.podPort}`;
  if (route.termination === 'passthrough') {
    return `
backend ${backendName(route)}
  balance source
  hash-type consistent
  timeout check 5000ms
${serverLine} weight 1
`;
  }
  const authority = join(folder, `${route.name}.ca.pem`);
  const tls = route.termination === 'reencrypt' ? ` ssl alpn h2,http/1.1 verify required ca-file ${authority}` : '';
  const protocol = route.appProtocol === '' ? '' : ' proto h2';
  const secure = route.termination === 'none' ? '' : ' secure attr SameSite=None';
  return `
backend ${backendName(route)}
  mode http
  option redispatch
  option forwardfor
  balance random
  timeout check 5000ms
  http-request add-header X-Forwarded-Host %[req.hdr(host)]
  http-request add-header X-Forwarded-Port %[dst_port]
  http-request add-header X-Forwarded-Proto http if !{ ssl_fc }
  http-request add-header X-Forwarded-Proto https if { ssl_fc }
  http-request add-header X-Forwarded-Proto-Version h2 if { ssl_fc_alpn -i h2 }
  acl ipv6_addr src -m sub :
  http-request add-header Forwarded for=\\"[%[src]]\\";host=%[req.hdr(host)];proto=%[req.hdr(X-Forwarded-Proto)] if ipv6_addr
  http-request add-header Forwarded for=%[src];host=%[req.hdr(host)];proto=%[req.hdr(X-Forwarded-Proto)] if !ipv6_addr
  cookie ${md5(` ${NAMESPACE}:${route.name}`)} insert indirect nocache httponly${secure}
${serverLine} cookie ${md5(server)} weight 1${tls}${protocol}
`;
}

/** Names and values of sticky cookies (Route semantics 5.8). */
function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

function writeMaps({ folder, routes }: ContenderSetup): void {
  // Reverse order of the whole line: a longer path comes before its prefix (Route semantics 5.2).
  const write = (name: string, lines: readonly string[]): void =>
    writeFileSync(join(folder, `${name}.map`), `${lines.toSorted().reverse().join('\n')}\n`);
  const of = (...terminations: readonly Termination[]): readonly BenchRoute[] =>
    routes.filter((route) => terminations.includes(route.termination));
  const terminated = of('edge', 'reencrypt');
  const bySni = of('passthrough', 'reencrypt').filter((route) => route.path === '');
  write(
    'http_be',
    of('none').map((route) => `${basePattern(route)} ${backendName(route)}`),
  );
  write(
    'route_http_redirect',
    routes.map((route) => `${basePattern(route)} 0`),
  );
  write(
    'edge_reencrypt_be',
    terminated.map((route) => `${basePattern(route)} ${backendName(route)}`),
  );
  write(
    'tcp_be',
    bySni.map((route) => `${sniPattern(route)} ${backendName(route)}`),
  );
  write(
    'sni_passthrough',
    of('passthrough').map((route) => `${sniPattern(route)} 1`),
  );

  mkdirSync(join(folder, 'certs'));
  const certificateLines = terminated.flatMap((route) => {
    if (route.destinationAuthority !== null) {
      writeFileSync(join(folder, `${route.name}.ca.pem`), route.destinationAuthority);
    }
    if (route.certificate === null) return [];
    const file = writePem(join(folder, 'certs', `${NAMESPACE}:${route.name}.pem`), route.certificate);
    const carriers = terminated.filter(({ certificate }) => certificate?.chain === route.certificate?.chain);
    // A certificate of several Routes would let browsers use one connection for all of them (Route semantics 5.15).
    return [`${file} ${carriers.length === 1 ? '[alpn h2,http/1.1] ' : ''}${route.host}`];
  });
  write('cert_config', certificateLines);
}

function backendName(route: BenchRoute): string {
  return `${BACKEND_PREFIX[route.termination]}:${NAMESPACE}:${route.name}`;
}

function basePattern(route: BenchRoute): string {
  return `^${route.host.replaceAll('.', '\\.')}\\.?(:[0-9]+)?${route.path}(/.*)?$`;
}

function sniPattern(route: BenchRoute): string {
  return `^${route.host.replaceAll('.', '\\.')}$`;
}
