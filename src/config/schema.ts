// The table of settings: the one source of flags, environment names, defaults, the Config type, the help text and
// docs/configuration.md. To add a setting, add a row; nothing else needs to know.
import { availableParallelism } from 'node:os';
import type { ValueKind, ValueOf } from './values.ts';

/** One row of the table. */
export type Setting = {
  readonly group: Group;
  /** The flag, dashes included; absent where the value must not stand on a command line. */
  readonly flag?: `--${string}`;
  /** The OpenShift router's own name where it has one, else one of ours (`HEADGATE_`). An empty value is as good as none. */
  readonly environment: string;
  readonly value: ValueKind;
  /** As one would type it; the empty text stands for none, absence makes the setting required. */
  readonly default?: string;
  /** How help and docs name a default that is found out at start. */
  readonly defaultWords?: string;
  /** One paragraph; the first sentence is short, for the help text. White space is free. */
  readonly about: string;
  /** Why the default is what it is, in a sentence. */
  readonly reason: string;
};

/** The headings under which help and docs list the settings, in this order. */
export const groups = {
  source: 'Source of objects',
  listening: 'Listening',
  certificates: 'Certificates',
  routes: 'Routes and admission',
  requests: 'Requests',
  timeouts: 'Timeouts',
  limits: 'Limits',
  process: 'Processes and stopping',
  logging: 'Logging',
} as const;

/** A key of `groups`. */
export type Group = keyof typeof groups;

/** Every setting, by its key in the Config. */
export const settings = {
  source: {
    group: 'source',
    flag: '--source',
    environment: 'HEADGATE_SOURCE',
    value: { kind: 'choice', options: ['files'] },
    about: `Where Routes, Services, EndpointSlices, Secrets and Namespaces come from. \`files\` is a folder of manifests.`,
    reason: `There is no default: what a router serves should be said.`,
  },
  manifests: {
    group: 'source',
    flag: '--manifests',
    environment: 'HEADGATE_MANIFESTS',
    value: { kind: 'directory' },
    default: '',
    about: `The folder of manifests that \`--source files\` reads and watches.`,
    reason: `Required with \`--source files\`.`,
  },

  httpPort: {
    group: 'listening',
    flag: '--http-port',
    environment: 'ROUTER_SERVICE_HTTP_PORT',
    value: { kind: 'integer', noun: 'a port', min: 0, max: 65535 },
    default: '8080',
    about: `Port on which plain HTTP is accepted. 0 takes any free port.`,
    reason: `The OpenShift router listens on 80; 8080 needs no privilege, and a Service or a host port maps 80 to it.`,
  },
  httpsPort: {
    group: 'listening',
    flag: '--https-port',
    environment: 'ROUTER_SERVICE_HTTPS_PORT',
    value: { kind: 'integer', noun: 'a port', min: 0, max: 65535 },
    default: '8443',
    about: `Port on which TLS is accepted. 0 takes any free port.`,
    reason: `The OpenShift router listens on 443; 8443 needs no privilege, and a Service or a host port maps 443 to it.`,
  },
  publicHttpPort: {
    group: 'listening',
    flag: '--public-http-port',
    environment: 'HEADGATE_PUBLIC_HTTP_PORT',
    value: { kind: 'integer', noun: 'a port', min: 1, max: 65535 },
    default: '80',
    about: `Port at which clients reach plain HTTP. Forwarding headers carry it, whatever port is listened on.`,
    reason: `Clients see what a Service or a load balancer publishes, not the port in the pod.`,
  },
  publicHttpsPort: {
    group: 'listening',
    flag: '--public-https-port',
    environment: 'HEADGATE_PUBLIC_HTTPS_PORT',
    value: { kind: 'integer', noun: 'a port', min: 1, max: 65535 },
    default: '443',
    about: `Port at which clients reach TLS. Forwarding headers and redirects carry it, whatever port is listened on.`,
    reason: `Clients see what a Service or a load balancer publishes, not the port in the pod.`,
  },
  adminPort: {
    group: 'listening',
    flag: '--admin-port',
    environment: 'STATS_PORT',
    value: { kind: 'integer', noun: 'a port', min: 0, max: 65535 },
    default: '1936',
    about: `Port of health and metrics. 0 takes any free port.`,
    reason: `The port that the OpenShift router's probes and monitors are set up for.`,
  },
  bindAddress: {
    group: 'listening',
    flag: '--bind',
    environment: 'HEADGATE_BIND',
    value: { kind: 'address' },
    default: '0.0.0.0',
    about: `IP address on which the HTTP and TLS ports are bound. \`::\` takes IPv6 and IPv4.`,
    reason: `All IPv4 addresses, as the OpenShift router.`,
  },
  adminBind: {
    group: 'listening',
    flag: '--admin-bind',
    environment: 'HEADGATE_ADMIN_BIND',
    value: { kind: 'address' },
    default: '',
    defaultWords: 'as --bind',
    about: `IP address on which the admin port is bound.`,
    reason: `Probes come to the address of the pod; narrow it where only the machine itself should ask.`,
  },

  defaultCertificatePem: {
    group: 'certificates',
    environment: 'DEFAULT_CERTIFICATE',
    value: { kind: 'text' },
    default: '',
    about: `Default certificate as PEM text: chain and private key. Environment only, as command lines can be read by
      every process on the machine. It goes before the two settings below; with none of the three, a self-signed
      certificate is made at start.`,
    reason: `No certificate can be right for every cluster.`,
  },
  defaultCertificatePath: {
    group: 'certificates',
    flag: '--default-certificate',
    environment: 'DEFAULT_CERTIFICATE_PATH',
    value: { kind: 'file' },
    default: '',
    about: `Default certificate as a PEM file: chain and private key. It answers names that no Route has a certificate for.`,
    reason: `No certificate can be right for every cluster.`,
  },
  defaultCertificateDir: {
    group: 'certificates',
    flag: '--default-certificate-dir',
    environment: 'DEFAULT_CERTIFICATE_DIR',
    value: { kind: 'directory' },
    default: '',
    about: `Folder with the default certificate: \`tls.crt\`, and \`tls.key\` where the key is not in it. It is a mounted
      Secret as a rule. Used only if neither \`DEFAULT_CERTIFICATE\` nor \`--default-certificate\` is set.`,
    reason: `No certificate can be right for every cluster.`,
  },
  defaultDestinationCaPath: {
    group: 'certificates',
    flag: '--default-destination-ca-path',
    environment: 'DEFAULT_DESTINATION_CA_PATH',
    value: { kind: 'file' },
    default: '',
    about: `CA bundle that verifies pods of re-encrypt Routes without a CA of their own. OpenShift's service CA as a rule.`,
    reason: `Only OpenShift has a CA that signs for every Service.`,
  },
  requireDestinationCa: {
    group: 'certificates',
    flag: '--require-destination-ca',
    environment: 'HEADGATE_REQUIRE_DESTINATION_CA',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether re-encrypt Routes are refused when there is no CA to verify their pods by.`,
    reason: `The OpenShift router serves such Routes without verifying the pod, and Routes that work there work here.`,
  },
  routerDomain: {
    group: 'certificates',
    flag: '--router-domain',
    environment: 'ROUTER_DOMAIN',
    value: { kind: 'domain' },
    default: '',
    about: `Domain of the router: the self-signed default certificate is for all names in it. In this release it
      serves for nothing else.`,
    reason: `Without a domain the self-signed certificate is for \`localhost\`.`,
  },

  allowWildcardRoutes: {
    group: 'routes',
    flag: '--allow-wildcard-routes',
    environment: 'ROUTER_ALLOW_WILDCARD_ROUTES',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether Routes with wildcard policy \`Subdomain\` are admitted.`,
    reason: `As the OpenShift router: a wildcard takes every name of a domain.`,
  },
  disableNamespaceOwnershipCheck: {
    group: 'routes',
    flag: '--disable-namespace-ownership-check',
    environment: 'ROUTER_DISABLE_NAMESPACE_OWNERSHIP_CHECK',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether Routes of several namespaces may share a host, each with paths of its own.`,
    reason: `As the OpenShift router: on a shared cluster, another's host must not be taken over path by path.`,
  },
  allowLoopbackEndpoints: {
    group: 'routes',
    flag: '--allow-loopback-endpoints',
    environment: 'HEADGATE_ALLOW_LOOPBACK_ENDPOINTS',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether endpoints with a loopback address are served. For trials on one machine; in a cluster they would
      let a Route reach into the router's own pod.`,
    reason: `The OpenShift router refuses them, always.`,
  },

  forwardedHeaders: {
    group: 'requests',
    flag: '--set-forwarded-headers',
    environment: 'ROUTER_SET_FORWARDED_HEADERS',
    value: { kind: 'choice', options: ['append', 'replace', 'if-none', 'never'] },
    default: 'append',
    about: `What becomes of \`Forwarded\` and \`X-Forwarded-*\` headers that a client sent. An annotation of a Route goes
      before it.`,
    reason: `As the OpenShift router.`,
  },
  bufferBytes: {
    group: 'requests',
    flag: '--buffer-size',
    environment: 'ROUTER_BUF_SIZE',
    value: { kind: 'integer', noun: 'a number of bytes', min: 4096, max: 16_777_216 },
    default: '32768',
    about: `Bytes that may be held for the head of a message, the reserve below included.`,
    reason: `As the OpenShift router.`,
  },
  maxRewriteBytes: {
    group: 'requests',
    flag: '--max-rewrite-size',
    environment: 'ROUTER_MAX_REWRITE_SIZE',
    value: { kind: 'integer', noun: 'a number of bytes', min: 0, max: 16_777_216 },
    default: '8192',
    about: `Bytes of the buffer that are kept free for added headers. A head, first line included, may have as many
      bytes as the buffer less this reserve; that must be 4096 at least.`,
    reason: `As the OpenShift router.`,
  },
  maxHeaderLines: {
    group: 'requests',
    flag: '--max-header-lines',
    environment: 'HEADGATE_MAX_HEADER_LINES',
    value: { kind: 'integer', noun: 'a number of header lines', min: 1, max: 32_767 },
    default: '100',
    about: `Header lines that a head may have.`,
    reason: `HAProxy takes about as many.`,
  },

  connectTimeoutMs: {
    group: 'timeouts',
    flag: '--connect-timeout',
    environment: 'ROUTER_DEFAULT_CONNECT_TIMEOUT',
    value: { kind: 'time' },
    default: '5s',
    about: `Time in which a connection to a pod must stand.`,
    reason: `As the OpenShift router.`,
  },
  clientTimeoutMs: {
    group: 'timeouts',
    flag: '--client-timeout',
    environment: 'ROUTER_DEFAULT_CLIENT_TIMEOUT',
    value: { kind: 'time' },
    default: '30s',
    about: `Time that a client may be silent while it is its turn.`,
    reason: `As the OpenShift router.`,
  },
  clientFinTimeoutMs: {
    group: 'timeouts',
    flag: '--client-fin-timeout',
    environment: 'ROUTER_CLIENT_FIN_TIMEOUT',
    value: { kind: 'time' },
    default: '1s',
    about: `Time that a half-closed connection of a client may be silent.`,
    reason: `As the OpenShift router.`,
  },
  serverTimeoutMs: {
    group: 'timeouts',
    flag: '--server-timeout',
    environment: 'ROUTER_DEFAULT_SERVER_TIMEOUT',
    value: { kind: 'time' },
    default: '30s',
    about: `Time that a pod may be silent while it is its turn. An annotation of a Route goes before it.`,
    reason: `As the OpenShift router.`,
  },
  serverFinTimeoutMs: {
    group: 'timeouts',
    flag: '--server-fin-timeout',
    environment: 'ROUTER_DEFAULT_SERVER_FIN_TIMEOUT',
    value: { kind: 'time' },
    default: '1s',
    about: `Time that a half-closed connection to a pod may be silent.`,
    reason: `As the OpenShift router.`,
  },
  headTimeoutMs: {
    group: 'timeouts',
    flag: '--head-timeout',
    environment: 'ROUTER_SLOWLORIS_TIMEOUT',
    value: { kind: 'time' },
    default: '10s',
    about: `Time in which the head of a request must be whole.`,
    reason: `As the OpenShift router.`,
  },
  keepAliveTimeoutMs: {
    group: 'timeouts',
    flag: '--keep-alive-timeout',
    environment: 'ROUTER_SLOWLORIS_HTTP_KEEPALIVE',
    value: { kind: 'time' },
    default: '300s',
    about: `Time that a client's connection may stay open between two requests.`,
    reason: `As the OpenShift router.`,
  },
  tunnelTimeoutMs: {
    group: 'timeouts',
    flag: '--tunnel-timeout',
    environment: 'ROUTER_DEFAULT_TUNNEL_TIMEOUT',
    value: { kind: 'time' },
    default: '1h',
    about: `Time that a passthrough or an upgraded connection (WebSocket) may be silent. An annotation of a Route goes
      before it.`,
    reason: `As the OpenShift router.`,
  },
  inspectDelayMs: {
    group: 'timeouts',
    flag: '--inspect-delay',
    environment: 'ROUTER_INSPECT_DELAY',
    value: { kind: 'time' },
    default: '5s',
    about: `Time that is waited for the first bytes of a connection. On the TLS port it is the time for the whole ClientHello.`,
    reason: `As the OpenShift router.`,
  },

  maxConnections: {
    group: 'limits',
    flag: '--max-connections',
    environment: 'ROUTER_MAX_CONNECTIONS',
    value: { kind: 'limit', noun: 'a number of connections', max: 10_000_000 },
    default: '50000',
    about: `Client connections that are served at a time, by all workers together. \`auto\` takes what the limit of open
      files allows.`,
    reason: `As the OpenShift router.`,
  },
  maxIdleUpstream: {
    group: 'limits',
    flag: '--max-idle-upstream-connections',
    environment: 'HEADGATE_MAX_IDLE_UPSTREAM_CONNECTIONS',
    value: { kind: 'integer', noun: 'a number of connections', min: 0, max: 65535 },
    default: '256',
    about: `Idle connections that each worker keeps to each endpoint for the next request.`,
    reason: `Enough for bursts, few enough that a pod is not held busy by silent connections.`,
  },
  maxCertificateContexts: {
    group: 'limits',
    flag: '--max-certificate-contexts',
    environment: 'HEADGATE_MAX_CERTIFICATE_CONTEXTS',
    value: { kind: 'integer', noun: 'a number of certificates', min: 1, max: 1_000_000 },
    default: '2000',
    about: `Certificates that each worker keeps ready for handshakes. The least recently used goes first; it is made ready
      again when it is next asked for.`,
    reason: `One takes about 33 KB, so this is 66 MB in each worker at most.`,
  },

  workers: {
    group: 'process',
    flag: '--workers',
    environment: 'ROUTER_THREADS',
    value: { kind: 'integer', noun: 'a number of workers', min: 1, max: 256 },
    default: String(Math.min(availableParallelism(), 256)) as string,
    defaultWords: 'number of cores',
    about: `Processes that serve connections.`,
    reason: `A worker keeps one core busy.`,
  },
  runDirectory: {
    group: 'process',
    flag: '--run-dir',
    environment: 'HEADGATE_RUN_DIR',
    value: { kind: 'writable-directory' },
    default: '',
    defaultWords: 'temporary files',
    about: `Folder below which a private folder is made for the socket by which the processes talk. It is made if it is
      missing.`,
    reason: `The system's folder for temporary files is there on every machine.`,
  },
  shutdownDelayMs: {
    group: 'process',
    flag: '--shutdown-delay',
    environment: 'ROUTER_GRACEFUL_SHUTDOWN_DELAY',
    value: { kind: 'delay' },
    default: '45s',
    about: `Time between SIGTERM and the end of listening. Readiness is off meanwhile, so that load balancers turn away
      first. May be 0.`,
    reason: `As the OpenShift router.`,
  },
  shutdownTimeoutMs: {
    group: 'process',
    flag: '--shutdown-timeout',
    environment: 'ROUTER_MAX_SHUTDOWN_TIMEOUT',
    value: { kind: 'seconds' },
    default: '30',
    about: `Time that connections have to end by themselves once listening has ended. A number without unit is seconds. May
      be 0.`,
    reason: `As the OpenShift router.`,
  },

  logLevel: {
    group: 'logging',
    flag: '--log-level',
    environment: 'HEADGATE_LOG_LEVEL',
    value: { kind: 'choice', options: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] },
    default: 'info',
    about: `The least level that is logged.`,
    reason: `What an operator wants to know, and nothing for each connection.`,
  },
  accessLogSample: {
    group: 'logging',
    flag: '--access-log-sample',
    environment: 'HEADGATE_ACCESS_LOG_SAMPLE',
    value: { kind: 'share' },
    default: '0',
    about: `Share of requests that are written to the access log. 0 is none, 1 is all.`,
    reason: `The OpenShift router has no access log either unless it is asked for.`,
  },
} as const;

/** The key of a setting in the Config. */
export type SettingKey = keyof typeof settings;

/** The value of each setting, by its key. */
export type SettingValues = { readonly [Key in SettingKey]: ValueOf<(typeof settings)[Key]['value']> };

/**
 * What the process was told at its start: frozen, and plain JSON data, so that child processes can be sent it. Names carry
 * the units. Texts that were not given are empty; `maxConnections` 0 means that the limit of open files alone decides.
 * It may hold a private key (`defaultCertificatePem`): never log it whole, never put it on a command line.
 */
export type Config = SettingValues & {
  /** Bytes that the head of a message may have, first line included: `bufferBytes` less `maxRewriteBytes`. */
  readonly maxHeadBytes: number;
};

/** The rows of the table with their keys, in the order of the table. */
export const settingList: readonly (Setting & { readonly key: SettingKey })[] = Object.entries<Setting>(settings).map(
  ([key, setting]) => ({ ...setting, key: key as SettingKey }),
);
