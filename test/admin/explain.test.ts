import { describe, expect, test } from 'vitest';
import { type Explanation, explain } from '../../src/admin/explain.ts';
import { explanationText } from '../../src/cli/explanation-text.ts';
import type { CertificateId, ClientAuth } from '../../src/table/entries.ts';
import { parseHeaderValue } from '../../src/table/header-actions.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import { endpoint, hostWithRoutes, route } from '../support/rules.ts';

const required: ClientAuth = { demand: 'required', authority: 'ca' as CertificateId };
const certified = { termination: 'edge', insecurePolicy: 'Allow', pods: [89] } as const;
const table = new RouteTable();
table.load([
  ...hostWithRoutes('mix.test', [
    { host: 'mix.test', name: 'plain', path: '/plain', pods: [81] },
    { host: 'mix.test', name: 'none', path: '/none', termination: 'edge', pods: [82] },
    { host: 'mix.test', name: 'redirect', termination: 'edge', insecurePolicy: 'Redirect', pods: [83] },
  ]),
  ...route({ host: 'pass.test', name: 'pass', termination: 'passthrough', pods: [84] }),
  ...route({ host: 'empty.test', name: 'empty', pods: [] }),
  ...route({
    host: 'split.test',
    name: 'split',
    services: [
      { service: 'a', pods: [85], weight: 30 },
      { service: 'b', pods: [86, 87], weight: 10 },
      { service: 'c', pods: [], weight: 60 },
    ],
  }),
  ...route({ host: '*.wild.test', name: 'wild', pods: [88] }),
  ...route({ ...certified, host: 'req.test', name: 'req', clientAuth: required }),
  ...route({ ...certified, host: 'opt.test', name: 'opt', clientAuth: { ...required, demand: 'optional' } }),
  ...route({ host: 'some.test', name: 'some', pods: [90], allowedSources: ['10.0.0.0/8'] }),
  ...route({
    host: 'all.test',
    name: 'all',
    services: [{ service: 'all', pods: [endpoint(80, '10.96.0.1')], idled: true }],
    forwarded: 'replace',
    proxyProtocol: 'v2',
    balance: 'leastconn',
    cookie: { name: 'c', attributes: 'path=/' },
    serverTimeoutMs: 2_000,
    tunnelTimeoutMs: 3_600_000,
    allowedSources: ['10.0.0.0/8', '::1'],
    rateLimit: { connections: 3, connectionRate: null, requestRate: 0 },
    podConnections: 5,
    rewrite: { prefix: '', target: '/new', keepsRest: true },
    hsts: 'max-age=1',
    checkIntervalMs: 700,
    adjustsCase: true,
    requestActions: [
      { name: 'X-A', parts: parseHeaderValue('é 100%% %[req.hdr(Host),lower]%{+Q}[ssl_c_der,base64]', 'request') },
      { name: 'X-B', parts: null },
    ],
    responseActions: [{ name: 'X-C', parts: parseHeaderValue('%[res.hdr(Server)]', 'response') }],
  }),
  ...route({ host: 'nobody-in.test', name: 'nobody-in', pods: [91], allowedSources: [] }),
  ...route({
    host: 'pass-some.test',
    name: 'pass-some',
    pods: [92],
    termination: 'passthrough',
    allowedSources: ['10.0.0.0/8'],
  }),
  ...hostWithRoutes('mixed.test', [
    { ...certified, host: 'mixed.test', name: 'in', path: '/in', clientAuth: required },
    { ...certified, host: 'mixed.test', name: 'out' },
  ]),
]);

const settings = { publicHttpsPort: 8443, noRouteStatus: 503 } as const;

function explained(
  url: string,
  headers: readonly { name: string; value: string }[] = [],
  from: string | null = null,
): Explanation {
  const explanation = explain(table, { url, headers, from }, settings, (route) => [`look at ${route}`]);
  if ('problem' in explanation) throw new Error(explanation.problem);
  return explanation;
}

describe('explain', () => {
  test.each([
    ['http://some.test/', null, 'what the pod answers'],
    ['http://some.test/', '10.1.2.3', 'what the pod answers'],
    ['http://some.test/', '192.0.2.1', '403 (source-not-allowed)'],
    ['http://nobody-in.test/', null, '403 (source-not-allowed), whoever asks'],
    ['https://pass-some.test/', '10.1.2.3', 'the bytes go to a pod untouched: the pod answers'],
    ['https://pass-some.test/', '192.0.2.1', 'connection closed during the TLS handshake (source-not-allowed)'],
  ])('%s from %s', (url, from, answer) => {
    const explanation = explained(url, [], from);
    expect(explanation.answer).toBe(answer);
    expect(explanation.warnings).toEqual([`look at ${explanation.route}`]);
  });

  test('where no Route is not found', () => {
    const query = { url: 'http://nobody.test/', headers: [], from: null };
    const other = { publicHttpsPort: 443, noRouteStatus: 404 } as const;
    expect(explain(table, query, other, () => [])).toMatchObject({ answer: '404 (no-route)' });
  });

  test('shows every option of a Route', () => {
    expect(explained('http://all.test/').rule).toEqual({
      host: 'all.test',
      path: '/',
      termination: 'none',
      insecurePolicy: 'None',
      podVerification: null,
      forwardedHeaders: 'replace',
      proxyProtocol: 'v2',
      balance: 'leastconn',
      cookie: 'c',
      allowedSources: ['10.0.0.0/8', '::1'],
      rateLimit: { connections: 3, connectionRate: null, requestRate: 0 },
      podConnections: 5,
      rewrite: { prefix: '', target: '/new', keepsRest: true },
      serverTimeoutMs: 2_000,
      tunnelTimeoutMs: 3_600_000,
      hsts: 'max-age=1',
      checkIntervalMs: 700,
      adjustsCase: true,
      requestActions: ['Set X-A: é 100%% %[req.hdr(host),lower]%[ssl_c_der,base64]', 'Delete X-B'],
      responseActions: ['Set X-C: %[res.hdr(server)]'],
      clientAuth: null,
    });
  });

  test('and prints them, where not every Route has them', () => {
    const text = explanationText(explained('http://all.test/')).split('\n');
    expect(text.filter((line) => !/^(request|tls|match|answer|warning|candidate) /.test(line))).toEqual([
      'rule       host all.test, path /, termination none, insecure None',
      'sources    10.0.0.0/8 ::1',
      'limits     connections 3 of each source, requests in 10 s 0 of each source, with each pod at a time 5',
      'balance    leastconn, cookie c',
      'times      pod 2000 ms, tunnel 3600000 ms, between checks 700 ms',
      'rewrite    / to /new',
      'forwarded  replace',
      'proxy      header v2 to the pods',
      'to pods    names of fields in the spellings of the router',
      'to pods    Set X-A: é 100%% %[req.hdr(host),lower]%[ssl_c_der,base64]',
      'to pods    Delete X-B',
      'to client  Set X-C: %[res.hdr(server)]',
      'to client  Strict-Transport-Security: max-age=1',
      'service    shop/all:http  weight 1, 100.0 % of the requests: 10.96.0.1:80 (idled: a connection wakes its pods)',
      '',
    ]);
    const plain = explanationText(explained('http://empty.test/'));
    expect(plain).toBe(
      'request    http://empty.test/   (table revision 0.0)\ntls        plain\nmatch      unavailable by Route shop/empty\n' +
        'rule       host empty.test, path /, termination none, insecure None\nbalance    roundrobin, no cookie\n' +
        'service    shop/empty:http  weight 1, 0.0 % of the requests: no ready endpoint\nanswer     503 (no-endpoint)\n' +
        'warning    look at shop/empty\ncandidate  shop/empty (empty.test/): chosen\n',
    );
  });

  test('from what is no address', () => {
    const query = { url: 'http://some.test/', headers: [], from: 'here' };
    expect(explain(table, query, settings, () => [])).toEqual({ problem: 'not an IP address: here' });
  });

  test.each([
    ['http://mix.test/plain/x', 'forward', 'shop/plain', 'what the pod answers'],
    ['https://mix.test/plain', 'forward', 'shop/redirect', 'what the pod answers'],
    ['http://mix.test/none', 'unknown', null, '503 (no-route)'],
    ['http://mix.test/a?b=c', 'redirect', 'shop/redirect', '302 to https://mix.test:8443/a'],
    ['http://empty.test/', 'unavailable', 'shop/empty', '503 (no-endpoint)'],
    ['http://nobody.test/', 'unknown', null, '503 (no-route)'],
    ['http://a.wild.test/', 'forward', 'shop/wild', 'what the pod answers'],
    ['http://a.b.wild.test/', 'unknown', null, '503 (no-route)'],
    ['https://pass.test/', 'passthrough', 'shop/pass', 'the bytes go to a pod untouched: the pod answers'],
  ])('%s', (url, match, routeKey, answer) => {
    expect(explained(url)).toMatchObject({ match, route: routeKey, answer });
  });

  test.each([
    ['https://req.test/', undefined, 'with a client certificate what the pod answers; without one the handshake fails'],
    ['https://mixed.test/in', undefined, 'with a client certificate what the pod answers; without one 403'],
    ['https://mixed.test/out', undefined, 'what the pod answers'],
    ['https://opt.test/', undefined, 'what the pod answers'],
    ['https://mix.test/', 'req.test', '421 (other-client-policy)'],
    ['http://req.test/', undefined, '403 (no-client-certificate)'],
    ['http://opt.test/', undefined, 'what the pod answers'],
  ])('client certificates: %s, Host %s', (url, host, answer) => {
    const explanation = explained(url, host === undefined ? [] : [{ name: 'Host', value: host }]);
    expect(explanation.answer.startsWith(answer)).toBe(true);
  });

  test('says what is demanded', () => {
    const demanded = { demand: 'required', authority: 'ca' };
    expect(explained('https://req.test/')).toMatchObject({
      tls: { clientAuth: demanded },
      rule: { clientAuth: demanded },
    });
    expect(explained('https://mix.test/')).toMatchObject({ tls: { clientAuth: null }, rule: { clientAuth: null } });
  });

  test('says why the other candidates lost', () => {
    expect(explained('http://mix.test/none').candidates).toEqual([
      { host: 'mix.test', route: 'shop/plain', path: '/plain', outcome: 'its path does not cover the request' },
      {
        host: 'mix.test',
        route: 'shop/none',
        path: '/none',
        outcome: 'insecureEdgeTerminationPolicy None: not served on the plain port',
      },
      {
        host: 'mix.test',
        route: 'shop/redirect',
        path: '/',
        outcome: 'insecureEdgeTerminationPolicy Redirect: not served on the plain port',
      },
    ]);
  });

  test('tells exact shares of Services that have endpoints', () => {
    expect(explained('http://split.test/').services.map(({ share, endpoints }) => [share, endpoints.length])).toEqual([
      [0.75, 1],
      [0.25, 2],
      [0, 0],
    ]);
  });

  test('a Host header counts for the match, the URL for the SNI; dot segments are not resolved', () => {
    expect(explained('https://pass.test/', [{ name: 'Host', value: 'mix.test' }]).match).toBe('passthrough');
    expect(explained('http://nobody.test/', [{ name: 'host', value: 'a.wild.test:80' }]).route).toBe('shop/wild');
    expect(explained('http://mix.test/plain/../x').request.path).toBe('/plain/../x');
  });

  test.each([
    ['http://mix.test?next=/plain', '/'],
    ['http://mix.test#/plain', '/'],
    ['http://mix.test', '/'],
    ['http://mix.test/plain?next=/x', '/plain'],
    ['http://mix.test//plain', '//plain'],
  ])('%s asks for %s', (url, path) => {
    expect(explained(url).request.path).toBe(path);
  });

  test.each(['nonsense', 'ftp://a.test/', ''])('%j is no question', (url) => {
    expect(explain(table, { url, headers: [], from: null }, settings, () => [])).toHaveProperty('problem');
  });
});
