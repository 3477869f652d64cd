import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type Config, settingList } from '../../src/config/schema.ts';

type Environment = Readonly<Record<string, string>>;

let folder = '';
let manifests = '';
let certificate = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'headgate-config-'));
  manifests = join(folder, 'manifests');
  mkdirSync(manifests);
  certificate = join(folder, 'tls.pem');
  writeFileSync(certificate, 'not read here');
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function configOf(args: readonly string[], env: Environment = {}): Config {
  const result = loadConfig(['--source', 'files', '--manifests', manifests, ...args], env);
  if (result.kind === 'problems') throw new Error(result.problems.join('\n'));
  return result.config;
}

function problemsOf(args: readonly string[], env: Environment = {}): readonly string[] {
  const result = loadConfig(['--source', 'files', '--manifests', manifests, ...args], env);
  return result.kind === 'problems' ? result.problems : [];
}

test('the defaults', () => {
  expect(configOf([])).toEqual({
    source: 'files',
    manifests,
    kubeconfig: '',
    apiServer: '',
    namespace: '',
    serviceAccount: '',
    watchInactivityMs: 90_000,
    name: 'public',
    routerName: 'public',
    serviceNamespace: '',
    canonicalHostname: '',
    routeLabels: [],
    routeFields: [],
    namespaceLabels: [],
    projectLabels: null,
    shardCount: 1,
    shardIndex: 0,
    httpPort: 8080,
    httpsPort: 8443,
    publicHttpPort: 80,
    proxyProtocol: false,
    proxyProtocolTrusted: [],
    publicHttpsPort: 443,
    adminPort: 1936,
    bindAddress: '0.0.0.0',
    addressFamilies: 'v4',
    ipv6Only: false,
    adminBind: '0.0.0.0',
    adminListen: '',
    metricsType: '',
    metricsCompat: 'none',
    metricsDetail: 'route',
    metricsLimit: 25_000,
    metricsServerThreshold: 500,
    metricsColumns: [2, 4, 5, 7, 8, 9, 13, 14, 17, 21, 24, 33, 35, 39, 40, 41, 42, 43, 44, 58, 59, 60, 79, 85],
    metricsAuth: 'openshift',
    statsUsername: '',
    statsUsernameFile: '',
    statsPassword: '',
    statsPasswordFile: '',
    metricsTlsCertFile: '',
    metricsTlsKeyFile: '',
    metricsTlsMinVersion: 'VersionTLS12',
    metricsTlsCiphers: '',
    metricsTlsCurves: '',
    readyUrl: '',
    defaultCertificatePem: '',
    defaultCertificatePath: '',
    defaultCertificateDir: '',
    defaultDestinationCaPath: '',
    requireDestinationCa: false,
    tlsProfile: 'Intermediate',
    tlsMinVersion: '',
    tlsMaxVersion: '',
    tlsCiphers: '',
    tlsCipherSuites: '',
    tlsCurves: 'X25519MLKEM768:X25519:secp256r1:secp384r1:secp521r1',
    strictSni: false,
    refuseUnknownNames: false,
    ticketRotationMs: 86_400_000,
    clientCertificates: 'none',
    clientCaPath: '',
    clientCrlPath: '',
    httpProxy: '',
    noProxy: [],
    clientSubjectFilter: '',
    clientHeaderFilter: true,
    routerDomain: '',
    hostTemplate: '',
    overrideHosts: false,
    overrideDomains: [],
    deniedDomains: [],
    allowedDomains: [],
    extendedValidation: true,
    externalCertificates: true,
    updateStatus: true,
    statusRate: 50,
    forceSweep: false,
    allowWildcardRoutes: false,
    disableHttp2: false,
    errorPage503Path: '',
    errorPage404Path: '',
    errorPagesDirectory: '',
    compression: false,
    compressionTypes: ['text/html', 'text/plain', 'text/css'],
    compressionAlgorithms: ['gzip'],
    disableNamespaceOwnershipCheck: false,
    allowLoopbackEndpoints: false,
    forwardedHeaders: 'append',
    balanceAlgorithm: '',
    tcpBalanceScheme: '',
    endpointOrder: '',
    cookieName: '',
    requestHeaders: [],
    responseHeaders: [],
    headerSpellings: [],
    uniqueIdHeader: '',
    uniqueIdFormat: [],
    bufferBytes: 32_768,
    maxRewriteBytes: 8192,
    maxHeadBytes: 24_576,
    maxHeaderLines: 100,
    connectTimeoutMs: 5000,
    checkIntervalMs: 5000,
    clientTimeoutMs: 30_000,
    clientFinTimeoutMs: 1000,
    serverTimeoutMs: 30_000,
    serverFinTimeoutMs: 1000,
    headTimeoutMs: 10_000,
    keepAliveTimeoutMs: 300_000,
    tunnelTimeoutMs: 3_600_000,
    inspectDelayMs: 5000,
    maxConnections: 50_000,
    maxConnectionsPerSource: 0,
    maxHandshakes: 1000,
    maxHandshakesPerSource: 0,
    maxIdleUpstream: 256,
    abortOnClose: false,
    maxStreams: 100,
    maxCertificateContexts: 1200,
    workers: Math.min(availableParallelism(), 256),
    runDirectory: '',
    shutdownDelayMs: 45_000,
    shutdownTimeoutMs: 30_000,
    hardStopAfterMs: 2_147_483_647,
    idleCloseOnResponse: false,
    logLevel: 'info',
    accessLogSample: 0,
    syslogAddress: '',
    syslogFormat: '',
    syslogFacility: 'local1',
    syslogLevel: 'warning',
    syslogMaxLength: 1024,
    captureRequestHeaders: '',
    captureResponseHeaders: '',
    captureCookie: '',
    dontLogNull: false,
    ignoreProbes: false,
  });
});

test('a Config is frozen and survives JSON', () => {
  const config = configOf([]);
  expect(Object.isFrozen(config)).toBe(true);
  expect(JSON.parse(JSON.stringify(config))).toEqual(config);
});

test('the types of the Config follow the table', () => {
  expectTypeOf<Config['source']>().toEqualTypeOf<'kubernetes' | 'files'>();
  expectTypeOf<Config['httpPort']>().toEqualTypeOf<number>();
  expectTypeOf<Config['tunnelTimeoutMs']>().toEqualTypeOf<number>();
  expectTypeOf<Config['forwardedHeaders']>().toEqualTypeOf<'append' | 'replace' | 'if-none' | 'never'>();
  expectTypeOf<Config['bindAddress']>().toEqualTypeOf<string>();
  expectTypeOf<Config['maxHeadBytes']>().toEqualTypeOf<number>();
});

test('lists, selectors and names of shards', () => {
  const env = {
    ROUTE_LABELS: 'type=sharded,tier in (b, a),!old',
    ROUTE_FIELDS: 'metadata.namespace!=kube-system',
    ROUTER_DENIED_DOMAINS: ' a.test, ,b.test',
    ROUTER_H1_CASE_ADJUST: 'HOST, X-CaSe,',
    ROUTER_SUBDOMAIN: '${name}-${namespace}.apps.test',
    HEADGATE_SHARD_COUNT: '4',
    HOSTNAME: 'router-3',
  };
  expect(configOf(['--project-labels', '*'], env)).toMatchObject({
    routeLabels: [
      { key: 'type', operator: 'in', values: ['sharded'] },
      { key: 'tier', operator: 'in', values: ['a', 'b'] },
      { key: 'old', operator: 'absent', values: [] },
    ],
    routeFields: [{ field: 'metadata.namespace', equal: false, value: 'kube-system' }],
    projectLabels: [],
    deniedDomains: ['a.test', 'b.test'],
    headerSpellings: ['HOST', 'X-CaSe'],
    hostTemplate: '${name}-${namespace}.apps.test',
    shardIndex: 3,
    routerName: 'public-3',
  });
});

const precedence: readonly (readonly [title: string, args: string[], env: Environment, httpPort: number])[] = [
  ['default', [], {}, 8080],
  ['environment over default', [], { ROUTER_SERVICE_HTTP_PORT: '8081' }, 8081],
  ['empty environment is not set', [], { ROUTER_SERVICE_HTTP_PORT: '' }, 8080],
  ['flag over environment', ['--http-port', '8082'], { ROUTER_SERVICE_HTTP_PORT: '8081' }, 8082],
  ['flag over broken environment', ['--http-port', '8082'], { ROUTER_SERVICE_HTTP_PORT: 'x' }, 8082],
  ['flag with equals sign', ['--http-port=8082'], {}, 8082],
  ['the last of two flags', ['--http-port=1', '--http-port', '2'], {}, 2],
];

test.each(precedence)('precedence: %s', (_title, args, env, httpPort) => {
  expect(configOf(args, env).httpPort).toBe(httpPort);
});

test('an empty flag takes back what the environment says', () => {
  expect(configOf(['--default-certificate='], { DEFAULT_CERTIFICATE_PATH: '/nowhere' }).defaultCertificatePath).toBe(
    '',
  );
});

const switches: readonly (readonly [args: string[], env: Environment, value: boolean])[] = [
  [['--allow-wildcard-routes'], {}, true],
  [['--allow-wildcard-routes=true'], {}, true],
  [['--allow-wildcard-routes=F'], { ROUTER_ALLOW_WILDCARD_ROUTES: 'true' }, false],
  [['--allow-wildcard-routes', '--http-port', '1'], {}, true],
  [[], { ROUTER_ALLOW_WILDCARD_ROUTES: 'True' }, true],
  [[], { ROUTER_ALLOW_WILDCARD_ROUTES: 'yes' }, false],
];

test.each(switches)('switch: %o %o', (args, env, value) => {
  expect(configOf(args, env).allowWildcardRoutes).toBe(value);
});

test.each<[Environment, string]>([
  [{}, 'none'],
  [{ ROUTER_METRICS_TYPE: 'haproxy' }, 'haproxy'],
  [{ HEADGATE_METRICS_COMPAT: 'haproxy' }, 'haproxy'],
  [{ ROUTER_METRICS_TYPE: 'haproxy', HEADGATE_METRICS_COMPAT: 'none' }, 'none'],
])('with %j metrics are compatible with %s', (env, compat) => expect(configOf([], env).metricsCompat).toBe(compat));

test('columns of metrics are numbers', () => {
  expect(configOf([], { ROUTER_METRICS_HAPROXY_EXPORTED: '2, 4,,85' }).metricsColumns).toEqual([2, 4, 85]);
});

test('derived values', () => {
  expect(configOf(['--bind', '::1']).adminBind).toBe('::1');
  expect(configOf(['--bind', '::1', '--admin-bind', '127.0.0.1']).adminBind).toBe('127.0.0.1');
  expect(configOf(['--buffer-size', '16384', '--max-rewrite-size', '4096']).maxHeadBytes).toBe(12_288);
  expect(configOf([], { ROUTER_MAX_CONNECTIONS: 'auto' }).maxConnections).toBe(0);
  expect(configOf([], { DEFAULT_CERTIFICATE: 'pem' }).defaultCertificatePem).toBe('pem');
  expect(configOf([], { ROUTER_GRACEFUL_SHUTDOWN_DELAY: '1m30s' }).shutdownDelayMs).toBe(90_000);
  expect(configOf([], { ROUTER_MAX_SHUTDOWN_TIMEOUT: '60' }).shutdownTimeoutMs).toBe(60_000);
  expect(configOf([], { ROUTER_BACKEND_PROCESS_ENDPOINTS: 'Shuffle' }).endpointOrder).toBe('shuffle');
  expect(configOf([], { HTTP_PROXY: 'proxy.test:3128', http_proxy: 'x' }).httpProxy).toBe('http://proxy.test:3128/');
  expect(configOf([], { no_proxy: '.svc, 10.0.0.0/8' }).noProxy).toEqual(['.svc', '10.0.0.0/8']);
});

const shutdownTimes: readonly (readonly [env: Environment, ms: number])[] = [
  [{ MAX_RELOAD_WAIT_TIME: '90' }, 90_000],
  [{ MAX_RELOAD_WAIT_TIME: '90', ROUTER_MAX_SHUTDOWN_TIMEOUT: '60' }, 60_000],
  [{ MAX_RELOAD_WAIT_TIME: '90', ROUTER_MAX_SHUTDOWN_TIMEOUT: '' }, 90_000],
  [{ ROUTER_HARD_STOP_AFTER: '10s' }, 10_000],
  [{ ROUTER_HARD_STOP_AFTER: '1d' }, 30_000],
  [{ ROUTER_HARD_STOP_AFTER: '1d', ROUTER_MAX_SHUTDOWN_TIMEOUT: '2d' }, 86_400_000],
  [{ ROUTER_HARD_STOP_AFTER: '999d', ROUTER_MAX_SHUTDOWN_TIMEOUT: '999d' }, 2_147_483_647],
];

test.each(shutdownTimes)('time to end with %o', (env, ms) => {
  expect(configOf([], env).shutdownTimeoutMs).toBe(ms);
});

const adminAddresses: readonly (readonly [args: string[], env: Environment, address: string, port: number])[] = [
  [[], { ROUTER_LISTEN_ADDR: '127.0.0.1:1937' }, '127.0.0.1', 1937],
  [[], { ROUTER_LISTEN_ADDR: '[::1]:1937' }, '::1', 1937],
  [[], { ROUTER_LISTEN_ADDR: ':1937' }, '0.0.0.0', 1937],
  [['--admin-bind', '::'], { ROUTER_LISTEN_ADDR: ':1937' }, '::', 1937],
  [['--bind', '::1'], { ROUTER_LISTEN_ADDR: '' }, '::1', 1936],
  [[], { ROUTER_LISTEN_ADDR: '10.0.0.1:0', STATS_PORT: '1938', HEADGATE_ADMIN_BIND: '10.0.0.2' }, '10.0.0.1', 0],
];

test.each(adminAddresses)('the admin port with %o %o', (args, env, adminBind, adminPort) => {
  expect(configOf(args, env)).toMatchObject({ adminBind, adminPort });
});

const trafficAddresses: readonly (readonly [args: string[], env: Environment, address: string, ipv6Only: boolean])[] = [
  [[], { ROUTER_IP_V4_V6_MODE: 'v4' }, '0.0.0.0', false],
  [[], { ROUTER_IP_V4_V6_MODE: 'v6' }, '::', true],
  [[], { ROUTER_IP_V4_V6_MODE: 'v4v6' }, '::', false],
  [['--bind', '::'], {}, '::', false],
  [['--bind', '::'], { ROUTER_IP_V4_V6_MODE: 'v6' }, '::', false],
  [['--bind', '127.0.0.1'], { ROUTER_IP_V4_V6_MODE: 'v6' }, '127.0.0.1', false],
];

test.each(trafficAddresses)('the HTTP and TLS ports with %o %o', (args, env, bindAddress, ipv6Only) => {
  expect(configOf(args, env)).toMatchObject({ bindAddress, ipv6Only, adminBind: bindAddress });
});

const problems: readonly (readonly [title: string, args: string[], env: Environment, problems: string[]])[] = [
  ...['1936', 'localhost:1936', '::1:1936', '[127.0.0.1]:1936', '127.0.0.1:65536', '127.0.0.1:'].map(
    (text): [string, string[], Environment, string[]] => [
      'a listen address',
      [],
      { ROUTER_LISTEN_ADDR: text },
      [`ROUTER_LISTEN_ADDR: "${text}" is not an IP address and a port (address:port)`],
    ],
  ),
  [
    'the listen address',
    [],
    { ROUTER_LISTEN_ADDR: '127.0.0.1:8443' },
    ['ROUTER_LISTEN_ADDR: 8443 is the port of --https-port too'],
  ],
  [
    'columns that are no numbers',
    [],
    { ROUTER_METRICS_HAPROXY_EXPORTED: '2,x' },
    ['ROUTER_METRICS_HAPROXY_EXPORTED: "2,x" is not a list of numbers of columns (such as 2,4,5)'],
  ],
  ['the type of metrics', [], { ROUTER_METRICS_TYPE: 'x' }, ['ROUTER_METRICS_TYPE: "x" is not one of haproxy']],
  ['a password without user', [], { STATS_PASSWORD: 'secret' }, ['--stats-user: is required with STATS_PASSWORD']],
  ['a user without password', ['--stats-user=x'], {}, ['STATS_PASSWORD: is required with --stats-user']],
  [
    'a key without certificate',
    [],
    { ROUTER_METRICS_TLS_KEY_FILE: import.meta.filename },
    ['--metrics-tls-cert-file: is required with ROUTER_METRICS_TLS_KEY_FILE'],
  ],
  [
    'a self-request with TLS',
    [],
    { ROUTER_METRICS_READY_HTTP_URL: 'https://localhost/' },
    ['ROUTER_METRICS_READY_HTTP_URL: must begin with http:'],
  ],
  ['a flag', ['--http-port', 'abc'], {}, ['--http-port: "abc" is not a port (0 to 65535)']],
  [
    'an environment name',
    [],
    { ROUTER_SERVICE_HTTP_PORT: 'abc' },
    ['ROUTER_SERVICE_HTTP_PORT: "abc" is not a port (0 to 65535)'],
  ],
  ['a negative value', ['--workers', '-1'], {}, ['--workers: "-1" is not a number of workers (1 to 256)']],
  ['no value at the end', ['--http-port'], {}, ['--http-port: needs a value']],
  ['no value before a flag', ['--http-port', '--allow-wildcard-routes'], {}, ['--http-port: needs a value']],
  [
    'a switch of ours in the environment',
    [],
    { HEADGATE_ALLOW_LOOPBACK_ENDPOINTS: 'yes' },
    ['HEADGATE_ALLOW_LOOPBACK_ENDPOINTS: "yes" is not true or false'],
  ],
  ['a switch as a flag', ['--allow-wildcard-routes=no'], {}, ['--allow-wildcard-routes: "no" is not true or false']],
  [
    'a limit as a flag',
    ['--max-connections=-1'],
    {},
    ['--max-connections: "-1" is not a number of connections (1 to 10000000, or auto)'],
  ],
  [
    'a policy that the OpenShift router would take for append',
    [],
    { ROUTER_SET_FORWARDED_HEADERS: 'Append' },
    ['ROUTER_SET_FORWARDED_HEADERS: "Append" is not one of append, replace, if-none, never'],
  ],
  [
    'a time that the OpenShift router would ignore',
    [],
    { ROUTER_DEFAULT_CLIENT_TIMEOUT: '1.5s' },
    [
      'ROUTER_DEFAULT_CLIENT_TIMEOUT: "1.5s" is not a time (a positive whole number, then us, ms, s, m, h or d; none is ms)',
    ],
  ],
  [
    'a header that has no name',
    [],
    { ROUTER_H1_CASE_ADJUST: 'X-Ok, Host name' },
    ['ROUTER_H1_CASE_ADJUST: "Host name" is not the name of a header'],
  ],
  [
    'a proxy of another kind, without its password',
    [],
    { https_proxy: 'x:y', http_proxy: 'socks5://user:sesame@proxy.test' },
    ['http_proxy: is not the URL of a proxy (such as http://proxy.example.com:3128)'],
  ],
  [
    'a stand-in, by its own name',
    [],
    { MAX_RELOAD_WAIT_TIME: 'soon' },
    ['MAX_RELOAD_WAIT_TIME: "soon" is not a time (a whole number of seconds, or such as 90s or 1m30s)'],
  ],
  [
    'an end of HAProxy',
    [],
    { ROUTER_HARD_STOP_AFTER: 'mañana' },
    ['ROUTER_HARD_STOP_AFTER: "mañana" is not a time (a positive whole number, then us, ms, s, m, h or d; none is ms)'],
  ],
  [
    'an order that there is not',
    [],
    { ROUTER_BACKEND_PROCESS_ENDPOINTS: 'sort' },
    ['ROUTER_BACKEND_PROCESS_ENDPOINTS: "sort" is not one of shuffle'],
  ],
  [
    'a name without its namespace',
    [],
    { ROUTER_SERVICE_NAME: 'router' },
    ['ROUTER_SERVICE_NAMESPACE: is required when ROUTER_SERVICE_NAME is specified'],
  ],
  ['a name with its namespace', [], { ROUTER_SERVICE_NAME: 'router', ROUTER_SERVICE_NAMESPACE: 'ingress' }, []],
  ['a name as a flag', ['--name=router'], {}, []],
  ['a stray value', ['serve'], {}, ['argument 5 is not a flag']],
  ['two dashes', ['--'], {}, ['argument 5 is not a flag']],
  [
    'a mistyped flag, its value passed over',
    ['--http-prot', '80'],
    {},
    ['--http-prot: unknown flag, did you mean --http-port?'],
  ],
  ['camel case', ['--adminPort=1'], {}, ['--adminPort: unknown flag, did you mean --admin-port?']],
  ['underscores', ['--run_dir=x'], {}, ['--run_dir: unknown flag, did you mean --run-dir?']],
  [
    'the beginning of a flag',
    ['--allow-wild'],
    {},
    ['--allow-wild: unknown flag, did you mean --allow-wildcard-routes?'],
  ],
  ['nothing like a flag', ['--frobnicate'], {}, ['--frobnicate: unknown flag']],
  ['equal ports', ['--http-port', '8443'], {}, ['--https-port: 8443 is the port of --http-port too']],
  [
    'equal ports from two places',
    ['--http-port', '9000'],
    { ROUTER_SERVICE_HTTPS_PORT: '9000' },
    ['ROUTER_SERVICE_HTTPS_PORT: 9000 is the port of --http-port too'],
  ],
  ['any free port, thrice', ['--http-port=0', '--https-port=0', '--admin-port=0'], {}, []],
  ['the admin port', ['--admin-port=8443'], {}, ['--admin-port: 8443 is the port of --https-port too']],
  [
    'the admin port below the wildcard',
    ['--admin-port=8080', '--admin-bind=127.0.0.1'],
    {},
    ['--admin-port: 8080 is the port of --http-port too'],
  ],
  [
    'the admin port below both wildcards',
    ['--admin-port=8080', '--bind=::', '--admin-bind=127.0.0.1'],
    {},
    ['--admin-port: 8080 is the port of --http-port too'],
  ],
  ['the same port elsewhere', ['--admin-port=8080', '--bind=127.0.0.1', '--admin-bind=127.0.0.2'], {}, []],
  [
    'the admin port below both families',
    ['--admin-port=8080', '--admin-bind=127.0.0.1'],
    { ROUTER_IP_V4_V6_MODE: 'v4v6' },
    ['--admin-port: 8080 is the port of --http-port too'],
  ],
  [
    'families that the OpenShift router would take for v4',
    [],
    { ROUTER_IP_V4_V6_MODE: 'ipv6' },
    ['ROUTER_IP_V4_V6_MODE: "ipv6" is not one of v4, v6, v4v6'],
  ],
  [
    'no more than the one problem of an address',
    ['--admin-port=8080', '--bind=x'],
    {},
    ['--bind: "x" is not an IP address'],
  ],
  ['the same port in another family', ['--admin-port=8080', '--admin-bind=::1'], {}, []],
  [
    'too little for a head',
    ['--max-rewrite-size', '30000'],
    {},
    ['--buffer-size less --max-rewrite-size: 32768 - 30000 leaves less than 4096 bytes for a head'],
  ],
  ['just enough for a head', ['--max-rewrite-size', '28672'], {}, []],
  [
    'two ways to choose namespaces',
    ['--namespace=a', '--namespace-labels=b'],
    { PROJECT_LABELS: '*' },
    [
      'PROJECT_LABELS and --namespace: only one of them may be used',
      '--namespace-labels and PROJECT_LABELS: only one of them may be used',
      '--namespace-labels and --namespace: only one of them may be used',
    ],
  ],
  [
    'overrides without a template',
    ['--override-hostname'],
    { ROUTER_OVERRIDE_DOMAINS: 'a.test' },
    ['--override-hostname: requires --hostname-template', 'ROUTER_OVERRIDE_DOMAINS: requires --hostname-template'],
  ],
  [
    'an unknown variable in the template',
    ['--hostname-template=${host}.test'],
    {},
    ['--hostname-template: "${host}.test" is not a host in which name and namespace are the only variables'],
  ],
  [
    'an address as canonical name',
    [],
    { ROUTER_CANONICAL_HOSTNAME: '10.0.0.1' },
    ['ROUTER_CANONICAL_HOSTNAME: "10.0.0.1" is an IP address, not a host name'],
  ],
  [
    'a broken label selector',
    ['--labels=a in b'],
    { ROUTE_FIELDS: 'spec.tls=x' },
    [
      '--labels: "a in b" has no ( behind in or notin',
      'ROUTE_FIELDS: "spec.tls=x" names the field spec.tls; known are metadata.name, metadata.namespace, spec.host, spec.path, spec.to.name',
    ],
  ],
  [
    'a shard that nobody numbers',
    ['--shard-count=2'],
    {},
    ['--shard-index: is required with --shard-count 2, as neither POD_NAME nor HOSTNAME ends with a number'],
  ],
  [
    'a shard beyond the last',
    ['--shard-count=2'],
    { POD_NAME: 'router-2' },
    ['--shard-index: 2 is not below --shard-count (2)'],
  ],
  [
    'a service account without namespace',
    ['--service-account=router'],
    {},
    ['--service-account: "router" is not a service account (namespace/name)'],
  ],
];

test.each(problems)('problems: %s', (_title, args, env, expected) => {
  expect(problemsOf(args, env)).toEqual(expected);
});

describe('the source', () => {
  test('is the cluster that the router runs in', () => {
    expect(loadConfig([], { KUBERNETES_SERVICE_HOST: '10.0.0.1' })).toMatchObject({ config: { source: 'kubernetes' } });
    expect(loadConfig([], {})).toEqual({
      kind: 'problems',
      problems: [
        '--source kubernetes: there is no cluster here, as this is no pod; name a kubeconfig with --config (or KUBECONFIG), ' +
          'or serve a folder of manifests with --source files --manifests DIR',
      ],
    });
  });

  test('may be a cluster that a kubeconfig names', () => {
    expect(loadConfig(['--config', certificate], {})).toMatchObject({ config: { kubeconfig: certificate } });
  });

  test('files needs manifests', () => {
    expect(loadConfig([], { HEADGATE_SOURCE: 'files' })).toEqual({
      kind: 'problems',
      problems: ['--manifests: is required with HEADGATE_SOURCE files'],
    });
  });

  test('may come from the environment', () => {
    expect(loadConfig([], { HEADGATE_SOURCE: 'files', HEADGATE_MANIFESTS: manifests }).kind).toBe('config');
  });
});

describe('files and folders', () => {
  test('that are missing, or of the wrong kind, are told', () => {
    const missing = join(folder, 'missing');
    const env = { HEADGATE_SOURCE: 'files', DEFAULT_DESTINATION_CA_PATH: folder, DEFAULT_CERTIFICATE_PATH: missing };
    expect(loadConfig(['--manifests', missing, `--run-dir=${certificate}`], env)).toEqual({
      kind: 'problems',
      problems: [
        `--manifests: "${missing}" does not exist`,
        `DEFAULT_CERTIFICATE_PATH: "${missing}" does not exist`,
        `DEFAULT_DESTINATION_CA_PATH: "${folder}" is a folder, not a file`,
        `--run-dir: "${certificate}" is not a folder`,
      ],
    });
  });

  test('that are there are taken as typed', () => {
    const config = configOf(['--default-certificate', certificate, '--run-dir', folder]);
    expect(config.defaultCertificatePath).toBe(certificate);
    expect(config.runDirectory).toBe(folder);
  });

  test('that will be made need not be there', () => {
    expect(configOf(['--run-dir', join(folder, 'new')]).runDirectory).toBe(join(folder, 'new'));
  });

  test('that another setting overrules are not looked for', () => {
    const args = ['--default-certificate-dir', '/nowhere'];
    expect(problemsOf([...args, '--default-certificate', certificate])).toEqual([]);
    expect(problemsOf(args, { DEFAULT_CERTIFICATE: 'pem' })).toEqual([]);
    expect(problemsOf(args)).toEqual(['--default-certificate-dir: "/nowhere" does not exist']);
  });

  test('that cannot be a path are a problem, not an exception', () => {
    expect(problemsOf(['--default-certificate', 'a\0b'])).toEqual([
      '--default-certificate: "a\\u0000b" cannot be used (ERR_INVALID_ARG_VALUE)',
    ]);
  });
});

test('everything that is wrong is told at once, in the order of the table, stray arguments first', () => {
  const result = loadConfig(['--http-port', 'abc', '--frobnicate', '--workers=0', 'stray', '--client-timeout'], {
    HEADGATE_SOURCE: 'kube',
    STATS_PORT: 'x',
    ROUTER_SERVICE_HTTPS_PORT: '70000',
    HEADGATE_LOG_LEVEL: 'loud',
  });
  expect(result).toEqual({
    kind: 'problems',
    problems: [
      '--frobnicate: unknown flag',
      'argument 5 is not a flag',
      'HEADGATE_SOURCE: "kube" is not one of kubernetes, files',
      '--http-port: "abc" is not a port (0 to 65535)',
      'ROUTER_SERVICE_HTTPS_PORT: "70000" is not a port (0 to 65535)',
      'STATS_PORT: "x" is not a port (0 to 65535)',
      '--client-timeout: needs a value',
      '--workers: "0" is not a number of workers (1 to 256)',
      'HEADGATE_LOG_LEVEL: "loud" is not one of trace, debug, info, warn, error, fatal, silent',
    ],
  });
});

describe('a private key in the wrong place stays out of the problems', () => {
  const line = 'MHcCAQEEIBsecretsecretsecretsecretsecretsecretsecretsecretsecret';
  const pem = `-----BEGIN EC PRIVATE KEY-----\n${line}\n${line}=\n-----END EC PRIVATE KEY-----\n`;
  const places: readonly (readonly [title: string, args: string[], env: Environment])[] = [
    ['in every setting of the environment', [], Object.fromEntries(settingList.map((s) => [s.environment, pem]))],
    ['after every flag', settingList.flatMap(({ flag }) => (flag === undefined ? [] : [flag, pem])), {}],
    ['joined to every flag', settingList.flatMap(({ flag }) => (flag === undefined ? [] : [`${flag}=${pem}`])), {}],
    ['joined to an unknown flag', [`--default-cert=${pem}`], {}],
    ['split by the shell', ['--default-certificate', ...pem.split(/\s/)], {}],
  ];

  test.each(places)('%s', (_title, args, env) => {
    const result = loadConfig(args, env);
    expect(result.kind).toBe('problems');
    expect(JSON.stringify(result)).not.toContain('secretsecret');
  });
});

test('whatever is typed, the answer is a Config or problems', () => {
  const flags = settingList.flatMap(({ flag }) => (flag === undefined ? [] : [flag]));
  const text = fc.oneof(fc.string(), fc.constantFrom('1', '0', 'true', 'auto', '30s', '::', '--', '--x', '='));
  const arg = fc.oneof(
    fc.constantFrom(...flags),
    text,
    fc.tuple(fc.constantFrom(...flags), text).map((p) => p.join('=')),
  );
  const env = fc.dictionary(fc.constantFrom(...settingList.map(({ environment }) => environment)), text);
  fc.assert(
    fc.property(fc.array(arg), env, (args, environment) => {
      const result = loadConfig(args, environment);
      if (result.kind === 'problems') {
        expect(result.problems.length).toBeGreaterThan(0);
      } else {
        expect(Object.values(result.config)).not.toContain(undefined);
      }
    }),
  );
});
