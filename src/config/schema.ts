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
  /** Environment names that count where that one is not set, the first of them first. */
  readonly standIns?: readonly string[];
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
  shard: 'Which Routes are served, and under which name',
  listening: 'Listening',
  admin: 'The admin port',
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
    value: { kind: 'choice', options: ['kubernetes', 'files'] },
    default: 'kubernetes',
    about: `Where objects come from: the API server of a cluster, or a folder of manifests.`,
    reason: `A router in a pod serves the cluster that it runs in.`,
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
  kubeconfig: {
    group: 'source',
    flag: '--config',
    environment: 'KUBECONFIG',
    value: { kind: 'file' },
    default: '',
    defaultWords: 'in a pod',
    about: `The kubeconfig file by which the API server is reached. Without one the router must run in a pod: it then uses
      the pod's service account, whose token and CA are read anew when they rotate.`,
    reason: `In a cluster nothing has to be set.`,
  },
  apiServer: {
    group: 'source',
    flag: '--master',
    environment: 'KUBERNETES_MASTER',
    value: { kind: 'url' },
    default: '',
    defaultWords: 'as found',
    about: `URL of the API server, in place of the one that the kubeconfig or the pod's environment names.`,
    reason: `Only clusters with a special way to their API server need it.`,
  },
  namespace: {
    group: 'source',
    flag: '--namespace',
    environment: 'HEADGATE_NAMESPACE',
    value: { kind: 'namespace' },
    default: '',
    defaultWords: 'all',
    about: `The only namespace whose objects are read. Not together with namespace or project labels.`,
    reason: `A router serves the whole cluster unless it is narrowed.`,
  },
  serviceAccount: {
    group: 'source',
    flag: '--service-account',
    environment: 'HEADGATE_SERVICE_ACCOUNT',
    value: { kind: 'service-account' },
    default: '',
    defaultWords: 'its own',
    about: `The service account, as \`namespace/name\`, that a Route's owner must let read the Secret of an
      \`externalCertificate\`. It is asked for with SubjectAccessReviews; unset, the router asks for itself.`,
    reason: `The OpenShift router has one account written into its code; installations differ.`,
  },
  watchInactivityMs: {
    group: 'source',
    flag: '--watch-timeout',
    environment: 'HEADGATE_WATCH_TIMEOUT',
    value: { kind: 'time' },
    default: '90s',
    about: `Time after which a watch on which nothing comes, not even a bookmark, is opened anew where it was.`,
    reason: `The API server sends a bookmark every minute.`,
  },

  name: {
    group: 'shard',
    flag: '--name',
    environment: 'ROUTER_SERVICE_NAME',
    value: { kind: 'domain' },
    default: 'public',
    about: `Name under which this router writes into the status of Routes. Each shard needs its own; the replicas of one
      shard share it. With automatic sharding, \`-\` and the index are added.`,
    reason: `As the OpenShift router.`,
  },
  serviceNamespace: {
    group: 'shard',
    flag: '--service-namespace',
    environment: 'ROUTER_SERVICE_NAMESPACE',
    value: { kind: 'namespace' },
    default: '',
    about: `Namespace of the router's Service. It is read for nothing, but must be set together with
      \`ROUTER_SERVICE_NAME\`.`,
    reason: `As the OpenShift router.`,
  },
  canonicalHostname: {
    group: 'shard',
    flag: '--router-canonical-hostname',
    environment: 'ROUTER_CANONICAL_HOSTNAME',
    value: { kind: 'domain' },
    default: '',
    about: `Name that the hosts of Routes may point at with a CNAME record; it is told in the status of every Route.`,
    reason: `Only the owner of the DNS zone knows it.`,
  },
  routeLabels: {
    group: 'shard',
    flag: '--labels',
    environment: 'ROUTE_LABELS',
    value: { kind: 'label-selector' },
    default: '',
    about: `Label selector: only Routes that match are served.`,
    reason: `Without a selector all Routes are.`,
  },
  routeFields: {
    group: 'shard',
    flag: '--fields',
    environment: 'ROUTE_FIELDS',
    value: { kind: 'field-selector' },
    default: '',
    about: `Field selector on Routes: \`metadata.name\`, \`metadata.namespace\`, \`spec.host\`, \`spec.path\` and
      \`spec.to.name\`. What the API server does not select by, the router does.`,
    reason: `Without a selector all Routes are served.`,
  },
  namespaceLabels: {
    group: 'shard',
    flag: '--namespace-labels',
    environment: 'NAMESPACE_LABELS',
    value: { kind: 'label-selector' },
    default: '',
    about: `Label selector: only Routes in namespaces that match are served.`,
    reason: `Without a selector all namespaces are.`,
  },
  projectLabels: {
    group: 'shard',
    flag: '--project-labels',
    environment: 'PROJECT_LABELS',
    value: { kind: 'project-selector' },
    default: '',
    about: `Label selector on OpenShift projects that the router's account may see; \`*\` is all of them. They are asked for
      again every 30 seconds, as they cannot be watched. On a cluster without projects it selects namespaces.`,
    reason: `Namespace labels, which are followed at once, serve better where the account may list namespaces.`,
  },
  shardCount: {
    group: 'shard',
    flag: '--shard-count',
    environment: 'HEADGATE_SHARD_COUNT',
    value: { kind: 'integer', noun: 'a number of shards', min: 1, max: 1000 },
    default: '1',
    about: `Number of shards among which the hosts of all selected Routes are spread automatically, by a hash. A change of it
      moves as few hosts as can be.`,
    reason: `One router serves all that it selects.`,
  },
  shardIndex: {
    group: 'shard',
    flag: '--shard-index',
    environment: 'HEADGATE_SHARD_INDEX',
    value: { kind: 'ordinal' },
    default: '',
    defaultWords: 'of the pod',
    about: `Which of the automatic shards this router is: 0 to the number of shards less one. Unset, it is the number at the
      end of the pod's name.`,
    reason: `The pods of a StatefulSet are numbered; \`POD_NAME\` is read for it, else \`HOSTNAME\`.`,
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
    default: '',
    defaultWords: 'all addresses',
    about: `IP address on which the HTTP and TLS ports are bound. \`::\` takes IPv6 and IPv4. It goes before
      \`ROUTER_IP_V4_V6_MODE\`.`,
    reason: `All addresses of the families below.`,
  },
  addressFamilies: {
    group: 'listening',
    flag: '--ip-mode',
    environment: 'ROUTER_IP_V4_V6_MODE',
    value: { kind: 'choice', options: ['v4', 'v6', 'v4v6'] },
    default: 'v4',
    about: `Whether the HTTP and TLS ports take IPv4, IPv6 or both, where no address is named for them. The admin port takes
      both with \`v6\` too.`,
    reason: `As the OpenShift router.`,
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
  proxyProtocol: {
    group: 'listening',
    flag: '--proxy-protocol',
    environment: 'ROUTER_USE_PROXY_PROTOCOL',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether load balancers in front say in a PROXY header, version 1 or 2, who the client is. Connections to the HTTP
      and the TLS port must then begin with one, or are closed.`,
    reason: `As the OpenShift router.`,
  },
  proxyProtocolTrusted: {
    group: 'listening',
    flag: '--proxy-protocol-trusted',
    environment: 'HEADGATE_PROXY_PROTOCOL_TRUSTED',
    value: { kind: 'networks' },
    default: '',
    defaultWords: 'everyone',
    about: `Addresses and networks of the load balancers whose PROXY headers are believed. A connection from anywhere else is
      served under its own address, and may not begin with a header.`,
    reason: `As the OpenShift router. Name your load balancers wherever anybody else can reach the ports.`,
  },

  adminListen: {
    group: 'admin',
    flag: '--listen-addr',
    environment: 'ROUTER_LISTEN_ADDR',
    value: { kind: 'listen-address' },
    default: '',
    defaultWords: 'of the two above',
    about: `IP address and port of the admin port in one, such as \`127.0.0.1:1936\` or \`[::1]:1936\`. It goes before
      \`STATS_PORT\` and \`HEADGATE_ADMIN_BIND\`; without an address (\`:1936\`) only before the port.`,
    reason: `As the OpenShift router.`,
  },
  metricsType: {
    group: 'admin',
    flag: '--metrics-type',
    environment: 'ROUTER_METRICS_TYPE',
    value: { kind: 'choice', options: ['', 'haproxy'] },
    default: '',
    about: `Type of the metrics, as the OpenShift router has it. With \`haproxy\` they have its names besides our own, unless
      \`HEADGATE_METRICS_COMPAT\` says otherwise. The admin port is always there.`,
    reason: `As the OpenShift router.`,
  },
  metricsCompat: {
    group: 'admin',
    flag: '--metrics-compat',
    environment: 'HEADGATE_METRICS_COMPAT',
    value: { kind: 'choice', options: ['', 'none', 'haproxy'] },
    default: '',
    defaultWords: 'the metrics type, or none',
    about: `Whether \`/metrics\` has the OpenShift router's names besides its own. They are \`haproxy_*\` and
      \`template_router_*\`, with the labels that they have there.`,
    reason: `Whoever comes with a deployment for the OpenShift router finds dashboards and alerts working; nobody else pays for it.`,
  },
  metricsDetail: {
    group: 'admin',
    flag: '--metrics-detail',
    environment: 'HEADGATE_METRICS_DETAIL',
    value: { kind: 'choice', options: ['router', 'route', 'endpoint'] },
    default: 'route',
    about: `What has metrics of its own. The router alone, each Route that has had traffic, or each endpoint of those Routes
      too.`,
    reason: `Whose requests fail is the first question; series of endpoints come and go with their pods.`,
  },
  metricsLimit: {
    group: 'admin',
    flag: '--metrics-limit',
    environment: 'HEADGATE_METRICS_LIMIT',
    value: { kind: 'integer', noun: 'a number of Routes', min: 1, max: 1_000_000 },
    default: '25000',
    about: `Routes that each worker counts one by one, and as many endpoints of Routes. What comes beyond is counted together,
      under the name \`other\`.`,
    reason: `More than most clusters have: it is there for memory's sake.`,
  },
  metricsServerThreshold: {
    group: 'admin',
    flag: '--metrics-haproxy-server-threshold',
    environment: 'ROUTER_METRICS_HAPROXY_SERVER_THRESHOLD',
    value: { kind: 'integer', noun: 'a number of endpoints', min: 0, max: 1_000_000 },
    default: '500',
    about: `With more endpoints than this there are no \`haproxy_server_*\` metrics.`,
    reason: `As the OpenShift router.`,
  },
  metricsColumns: {
    group: 'admin',
    flag: '--metrics-haproxy-exported',
    environment: 'ROUTER_METRICS_HAPROXY_EXPORTED',
    value: { kind: 'columns' },
    default: '2,4,5,7,8,9,13,14,17,21,24,33,35,39,40,41,42,43,44,58,59,60,79,85',
    defaultWords: 'those below',
    about: `Which \`haproxy_*\` metrics there are, by the numbers of HAProxy's statistics columns. Unset, they are
      2,4,5,7,8,9,13,14,17,21,24,33,35,39,40,41,42,43,44,58,59,60,79,85.`,
    reason: `As the OpenShift router.`,
  },
  metricsAuth: {
    group: 'admin',
    flag: '--metrics-auth',
    environment: 'HEADGATE_METRICS_AUTH',
    value: { kind: 'choice', options: ['openshift', 'none'] },
    default: 'openshift',
    about: `Who may read \`/metrics\` and \`/debug\`. With \`openshift\` the API server decides, by TokenReview and
      SubjectAccessReview on \`routers/metrics\` and \`routers/debug\` of the group \`route.openshift.io\`. With \`none\` it is
      not asked: metrics are for everybody and \`/debug\` for this machine alone, unless a user name and a password are set. With
      \`--source files\` there is nobody to ask, and it is always \`none\`.`,
    reason: `As the OpenShift router; metrics tell the names of all Routes.`,
  },
  statsUsername: {
    group: 'admin',
    flag: '--stats-user',
    environment: 'STATS_USERNAME',
    value: { kind: 'text' },
    default: '',
    about: `User name that opens \`/metrics\` and \`/debug\` by basic authentication, together with a password.`,
    reason: `As the OpenShift router.`,
  },
  statsUsernameFile: {
    group: 'admin',
    flag: '--stats-user-file',
    environment: 'STATS_USERNAME_FILE',
    value: { kind: 'file' },
    default: '',
    about: `File with the user name, followed as it changes. It goes before \`STATS_USERNAME\`.`,
    reason: `As the OpenShift router.`,
  },
  statsPassword: {
    group: 'admin',
    environment: 'STATS_PASSWORD',
    value: { kind: 'text' },
    default: '',
    about: `Password of that user. Environment only, as command lines can be read by every process on the machine.`,
    reason: `A known password is none.`,
  },
  statsPasswordFile: {
    group: 'admin',
    flag: '--stats-password-file',
    environment: 'STATS_PASSWORD_FILE',
    value: { kind: 'file' },
    default: '',
    about: `File with the password, followed as it changes. It goes before \`STATS_PASSWORD\`.`,
    reason: `As the OpenShift router.`,
  },
  metricsTlsCertFile: {
    group: 'admin',
    flag: '--metrics-tls-cert-file',
    environment: 'ROUTER_METRICS_TLS_CERT_FILE',
    value: { kind: 'file' },
    default: '',
    about: `Certificate (PEM, with its chain) for TLS on the admin port, which then speaks both HTTP and TLS. It is followed as
      it changes. Without one, TLS connections are closed.`,
    reason: `As the OpenShift router; probes come without TLS.`,
  },
  metricsTlsKeyFile: {
    group: 'admin',
    flag: '--metrics-tls-key-file',
    environment: 'ROUTER_METRICS_TLS_KEY_FILE',
    value: { kind: 'file' },
    default: '',
    about: `Private key (PEM) of that certificate. It is followed as it changes.`,
    reason: `As the OpenShift router.`,
  },
  metricsTlsMinVersion: {
    group: 'admin',
    flag: '--metrics-tls-min-version',
    environment: 'ROUTER_METRICS_TLS_MIN_VERSION',
    value: { kind: 'choice', options: ['VersionTLS10', 'VersionTLS11', 'VersionTLS12', 'VersionTLS13'] },
    default: 'VersionTLS12',
    about: `Lowest version of TLS on the admin port.`,
    reason: `As the OpenShift router.`,
  },
  metricsTlsCiphers: {
    group: 'admin',
    flag: '--metrics-tls-ciphers',
    environment: 'ROUTER_METRICS_TLS_CIPHERS',
    value: { kind: 'text' },
    default: '',
    defaultWords: 'with forward secrecy',
    about: `Ciphers of TLS on the admin port, with colons between them. Their names are IANA's, such as
      \`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\`. Those of TLS 1.3 are always on. Known ciphers that OpenSSL no longer has are
      passed over.`,
    reason: `ECDHE with AES-GCM or ChaCha20: what every scraper speaks.`,
  },
  metricsTlsCurves: {
    group: 'admin',
    flag: '--metrics-tls-curves',
    environment: 'ROUTER_METRICS_TLS_CURVES',
    value: { kind: 'text' },
    default: '',
    defaultWords: "OpenSSL's",
    about: `Groups for the key exchange on the admin port, with commas or colons between them.`,
    reason: `OpenSSL's own begin with post-quantum key exchange.`,
  },
  readyUrl: {
    group: 'admin',
    flag: '--metrics-ready-http-url',
    environment: 'ROUTER_METRICS_READY_HTTP_URL',
    value: { kind: 'url' },
    default: '',
    defaultWords: 'its own HTTP port',
    about: `URL (http) that readiness asks, and that must answer 200 within two seconds. Unset, it is the health path on the
      address and port on which plain HTTP is accepted.`,
    reason: `Ready is what serves.`,
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
  tlsProfile: {
    group: 'certificates',
    flag: '--tls-profile',
    environment: 'HEADGATE_TLS_PROFILE',
    value: { kind: 'choice', options: ['Modern', 'Intermediate', 'Old'] },
    default: 'Intermediate',
    about: `Mozilla's guideline for versions and ciphers towards clients. Each of the settings below goes before it.`,
    reason: `TLS 1.2 and 1.3 with forward secrecy: every client of the last ten years.`,
  },
  tlsMinVersion: {
    group: 'certificates',
    flag: '--tls-min-version',
    environment: 'SSL_MIN_VERSION',
    value: { kind: 'tls-version' },
    default: '',
    defaultWords: 'of the profile',
    about: `Lowest version of TLS towards clients: \`TLSv1.0\`, \`TLSv1.1\`, \`TLSv1.2\` or \`TLSv1.3\`. The two old ones lower
      OpenSSL's level of security to 0, for everybody.`,
    reason: `TLS 1.2 with the default profile, as the OpenShift router.`,
  },
  tlsMaxVersion: {
    group: 'certificates',
    flag: '--tls-max-version',
    environment: 'SSL_MAX_VERSION',
    value: { kind: 'tls-version' },
    default: '',
    defaultWords: 'TLSv1.3',
    about: `Highest version of TLS towards clients.`,
    reason: `As the OpenShift router.`,
  },
  tlsCiphers: {
    group: 'certificates',
    flag: '--ciphers',
    environment: 'ROUTER_CIPHERS',
    value: { kind: 'text' },
    default: '',
    defaultWords: 'of the profile',
    about: `Ciphers of TLS 1.2 and below towards clients: \`modern\`, \`intermediate\`, \`old\`, or an OpenSSL cipher list.`,
    reason: `As the OpenShift router; \`intermediate\` with the default profile.`,
  },
  tlsCipherSuites: {
    group: 'certificates',
    flag: '--ciphersuites',
    environment: 'ROUTER_CIPHERSUITES',
    value: { kind: 'text' },
    default: '',
    defaultWords: 'all three',
    about: `Cipher suites of TLS 1.3 towards clients, with colons between them.`,
    reason: `AES-GCM with 128 and 256 bits and ChaCha20: all that browsers speak, and all are good.`,
  },
  tlsCurves: {
    group: 'certificates',
    flag: '--curves',
    environment: 'ROUTER_CURVES',
    value: { kind: 'text' },
    default: 'X25519MLKEM768:X25519:secp256r1:secp384r1:secp521r1',
    defaultWords: 'five groups',
    about: `Groups for the key exchange with clients, with colons between them. By default
      \`X25519MLKEM768:X25519:secp256r1:secp384r1:secp521r1\`.`,
    reason: `As OpenShift's operator sets it: post-quantum where the client knows it.`,
  },
  strictSni: {
    group: 'certificates',
    flag: '--strict-sni',
    environment: 'ROUTER_STRICT_SNI',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether TLS connections for names without a certificate of their own are refused with the alert
      \`unrecognized_name\`. A name has one if its Route does, or if the default certificate is for it. Those without a name
      are served.`,
    reason: `As the OpenShift router.`,
  },
  refuseUnknownNames: {
    group: 'certificates',
    flag: '--refuse-unknown-names',
    environment: 'HEADGATE_REFUSE_UNKNOWN_NAMES',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether TLS connections for names of no Route are refused. Those without a name are too; all get the alert
      \`unrecognized_name\`.`,
    reason: `A page that says its reason helps more than an alert.`,
  },
  ticketRotationMs: {
    group: 'certificates',
    flag: '--ticket-rotation',
    environment: 'HEADGATE_TICKET_ROTATION',
    value: { kind: 'time' },
    default: '24h',
    about: `Time after which the keys of session tickets are replaced, in all workers at once.`,
    reason: `Long enough that returning clients resume, short enough that a stolen key opens little.`,
  },
  clientCertificates: {
    group: 'certificates',
    flag: '--mutual-tls-auth',
    environment: 'ROUTER_MUTUAL_TLS_AUTH',
    value: { kind: 'choice', options: ['none', 'optional', 'required'] },
    default: 'none',
    about: `Whether clients are asked for a certificate where TLS ends here. \`optional\` serves those without one too.
      Annotations of a Route go before it.`,
    reason: `As the OpenShift router.`,
  },
  clientCaPath: {
    group: 'certificates',
    flag: '--mutual-tls-auth-ca',
    environment: 'ROUTER_MUTUAL_TLS_AUTH_CA',
    value: { kind: 'file' },
    default: '',
    about: `CA bundle (PEM) that client certificates must be issued by. It is followed as it changes.`,
    reason: `Required unless \`ROUTER_MUTUAL_TLS_AUTH\` is \`none\`: nobody means all public CAs.`,
  },
  clientCrlPath: {
    group: 'certificates',
    flag: '--mutual-tls-auth-crl',
    environment: 'ROUTER_MUTUAL_TLS_AUTH_CRL',
    value: { kind: 'file' },
    default: '',
    about: `Revocation lists (PEM) of the CAs for client certificates, one for each of them. It is followed as it changes.
      Without it, lists are fetched from the addresses that the CAs name, if they name any.`,
    reason: `As the OpenShift router.`,
  },
  httpProxy: {
    group: 'certificates',
    environment: 'HTTP_PROXY',
    standIns: ['http_proxy'],
    value: { kind: 'proxy' },
    default: '',
    about: `Proxy through which revocation lists are fetched: a URL (http or https), or \`host:port\`. Environment only, as
      there may be a password in it.`,
    reason: `Most clusters need none.`,
  },
  noProxy: {
    group: 'certificates',
    flag: '--no-proxy',
    environment: 'NO_PROXY',
    standIns: ['no_proxy'],
    value: { kind: 'domains' },
    default: '',
    about: `What is asked without the proxy. Names with all below them, with a dot before them only what is below;
      addresses and networks; each with \`:port\` behind it or not; \`*\` is everything.`,
    reason: `As the OpenShift router. This machine is asked without it always.`,
  },
  clientSubjectFilter: {
    group: 'certificates',
    flag: '--mutual-tls-auth-filter',
    environment: 'ROUTER_MUTUAL_TLS_AUTH_FILTER',
    value: { kind: 'pattern' },
    default: '',
    about: `Regular expression that is looked for in the subject of client certificates, written as \`/C=DE/CN=name\`. Requests
      of others get 403, those without a certificate too. Routes with a CA of their own are not asked.`,
    reason: `As the OpenShift router.`,
  },
  clientHeaderFilter: {
    group: 'certificates',
    flag: '--mutual-tls-header-filter',
    environment: 'ROUTER_MUTUAL_TLS_HEADER_FILTER',
    value: { kind: 'switch' },
    default: 'true',
    about: `Whether \`X-SSL\` headers that a client sent are taken out of its requests. Where a certificate was asked for they
      always are.`,
    reason: `Pods take them for the router's own word.`,
  },
  routerDomain: {
    group: 'certificates',
    flag: '--router-domain',
    environment: 'ROUTER_DOMAIN',
    value: { kind: 'domain' },
    default: '',
    about: `Domain of the router. A Route with a \`subdomain\` and no host gets its host in it, and the self-signed default
      certificate is for all names in it.`,
    reason: `Without a domain the self-signed certificate is for \`localhost\`.`,
  },

  hostTemplate: {
    group: 'routes',
    flag: '--hostname-template',
    environment: 'ROUTER_SUBDOMAIN',
    value: { kind: 'host-template' },
    default: '',
    about: `Host for Routes that have none, such as \`\${name}-\${namespace}.apps.example.com\`.`,
    reason: `On OpenShift the API server gives such Routes a host.`,
  },
  overrideHosts: {
    group: 'routes',
    flag: '--override-hostname',
    environment: 'ROUTER_OVERRIDE_HOSTNAME',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether the template is used for all Routes, whatever host they ask for.`,
    reason: `As the OpenShift router.`,
  },
  overrideDomains: {
    group: 'routes',
    flag: '--override-domains',
    environment: 'ROUTER_OVERRIDE_DOMAINS',
    value: { kind: 'domains' },
    default: '',
    about: `Domains for whose hosts, and all below them, the template is used instead.`,
    reason: `As the OpenShift router.`,
  },
  deniedDomains: {
    group: 'routes',
    flag: '--denied-domains',
    environment: 'ROUTER_DENIED_DOMAINS',
    value: { kind: 'domains' },
    default: '',
    about: `Domains whose hosts, and all below them, are not admitted.`,
    reason: `As the OpenShift router.`,
  },
  allowedDomains: {
    group: 'routes',
    flag: '--allowed-domains',
    environment: 'ROUTER_ALLOWED_DOMAINS',
    value: { kind: 'domains' },
    default: '',
    defaultWords: 'all',
    about: `The only domains whose hosts, and all below them, are admitted. Denied domains go before them.`,
    reason: `As the OpenShift router.`,
  },
  extendedValidation: {
    group: 'routes',
    flag: '--extended-validation',
    environment: 'EXTENDED_VALIDATION',
    value: { kind: 'switch' },
    default: 'true',
    about: `Whether a Route with a broken certificate, key or TLS setting is refused. Switched off, it is served without what
      is broken, and warned of.`,
    reason: `As the OpenShift router: the owner learns of it before users do.`,
  },
  externalCertificates: {
    group: 'routes',
    flag: '--allow-external-certificates',
    environment: 'ROUTER_ENABLE_EXTERNAL_CERTIFICATE',
    value: { kind: 'switch' },
    default: 'true',
    about: `Whether \`externalCertificate\` of a Route is read. Switched off, such a Route is served with the default
      certificate.`,
    reason: `As the OpenShift router.`,
  },
  updateStatus: {
    group: 'routes',
    flag: '--update-status',
    environment: 'ROUTER_UPDATE_STATUS',
    value: { kind: 'switch' },
    default: 'true',
    about: `Whether verdicts are written into the status of Routes, with events for what was refused.`,
    reason: `As the OpenShift router.`,
  },
  statusRate: {
    group: 'routes',
    flag: '--status-rate',
    environment: 'HEADGATE_STATUS_RATE',
    value: { kind: 'integer', noun: 'a number of writes', min: 1, max: 10_000 },
    default: '50',
    about: `How many statuses of Routes are written in a second, at most.`,
    reason: `With it 10,000 Routes have theirs after some three minutes, and the API server hardly notices.`,
  },
  forceSweep: {
    group: 'routes',
    flag: '--force-sweep',
    environment: 'HEADGATE_FORCE_SWEEP',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether the sweep at start may touch more than half of all Routes. It takes this router's entries out of the
      status of Routes that are not its own.`,
    reason: `A wrong selector must not wipe the status of a whole cluster.`,
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
  balanceAlgorithm: {
    group: 'requests',
    flag: '--load-balance-algorithm',
    environment: 'ROUTER_LOAD_BALANCE_ALGORITHM',
    value: { kind: 'choice', options: ['', 'random', 'roundrobin', 'leastconn', 'source'] },
    default: '',
    defaultWords: 'by termination',
    about: `How the pods of Routes with one Service are chosen among. Unset, it is \`random\`, and \`source\` for passthrough
      Routes. Several Services with a weight share by \`roundrobin\`. An annotation of a Route goes before all of this.`,
    reason: `As the OpenShift router.`,
  },
  tcpBalanceScheme: {
    group: 'requests',
    flag: '--tcp-balance-scheme',
    environment: 'ROUTER_TCP_BALANCE_SCHEME',
    value: { kind: 'choice', options: ['', 'random', 'roundrobin', 'leastconn', 'source'] },
    default: '',
    defaultWords: 'source',
    about: `The same for passthrough Routes, before the setting above.`,
    reason: `As the OpenShift router.`,
  },
  endpointOrder: {
    group: 'requests',
    flag: '--process-endpoints',
    environment: 'ROUTER_BACKEND_PROCESS_ENDPOINTS',
    value: { kind: 'choice', options: ['', 'shuffle'], spelling: 'any-case' },
    default: '',
    defaultWords: 'as they come',
    about: `In which order the pods of a Service take their turns. With \`shuffle\` it is drawn by lot at each start.`,
    reason: `As the OpenShift router: replicas that are started together need not begin with the same pods.`,
  },
  cookieName: {
    group: 'requests',
    flag: '--cookie-name',
    environment: 'ROUTER_COOKIE_NAME',
    value: { kind: 'cookie-name' },
    default: '',
    defaultWords: 'a hash of the Route',
    about: `Name of the cookie by which clients come back to their pod: letters, digits, \`_\` and \`-\`. An annotation of a
      Route goes before it.`,
    reason: `As the OpenShift router: two Routes of one host need two cookies.`,
  },
  requestHeaders: {
    group: 'requests',
    flag: '--request-headers',
    environment: 'ROUTER_HTTP_REQUEST_HEADERS',
    value: { kind: 'header-actions', direction: 'request' },
    default: '',
    about: `Changes to the headers of all requests. Before the actions of their Route: \`name:value:Set\` or \`name:Delete\`,
      comma-separated, each part percent-encoded. Values may have \`%[req.hdr(name)]\` and
      \`%[ssl_c_der]\` in them, as those in Routes.`,
    reason: `Requests go on as they came.`,
  },
  responseHeaders: {
    group: 'requests',
    flag: '--response-headers',
    environment: 'ROUTER_HTTP_RESPONSE_HEADERS',
    value: { kind: 'header-actions', direction: 'response' },
    default: '',
    about: `The same for the answers of pods. After the actions of their Route, with \`%[res.hdr(name)]\` in values. Answers of the
      router itself are left alone.`,
    reason: `Answers go on as they came.`,
  },
  headerSpellings: {
    group: 'requests',
    flag: '--h1-case-adjust',
    environment: 'ROUTER_H1_CASE_ADJUST',
    value: { kind: 'header-names' },
    default: '',
    about: `Headers that go to clients of HTTP/1 in just this spelling, with commas between their names. To pods they do so
      where their Route has the annotation \`haproxy.router.openshift.io/h1-adjust-case\`. In trailers names stay as they are.`,
    reason: `Names go on as they came: any spelling means the same, but to some old programs.`,
  },
  uniqueIdHeader: {
    group: 'requests',
    flag: '--unique-id-header',
    environment: 'ROUTER_UNIQUE_ID_HEADER_NAME',
    value: { kind: 'header-name' },
    default: '',
    about: `Name of a header that gives each request an id. Only together with a format; it takes the place of what the client
      sends under that name.`,
    reason: `As the OpenShift router.`,
  },
  uniqueIdFormat: {
    group: 'requests',
    flag: '--unique-id-format',
    environment: 'ROUTER_UNIQUE_ID_FORMAT',
    value: { kind: 'id-format' },
    default: '',
    about: `What the id is made of. Variables are \`%ci\` and \`%cp\` (address and port of the client), \`%fi\` and \`%fp\` (of
      the router), \`%Ts\` and \`%ms\` (the time), \`%rt\` (a count of requests), \`%pid\` and \`%H\` (the machine); \`%{+X}o\` in
      front writes them in hexadecimal. OpenShift's operator sets \`%{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid\`.`,
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
  disableHttp2: {
    group: 'requests',
    flag: '--disable-http2',
    environment: 'ROUTER_DISABLE_HTTP2',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether HTTP/2 is not offered over TLS (ALPN), neither to clients nor to pods. HTTP/2 without TLS, to pods whose
      Service asks for it and from clients that begin with it, is not touched.`,
    reason: `As the OpenShift router.`,
  },
  errorPage503Path: {
    group: 'requests',
    flag: '--errorfile-503',
    environment: 'ROUTER_ERRORFILE_503',
    value: { kind: 'file' },
    default: '',
    defaultWords: 'built in',
    about: `Page for answers of the router with 503, as a whole HTTP response. It is followed as it changes.`,
    reason: `The built-in page says its reason.`,
  },
  errorPage404Path: {
    group: 'requests',
    flag: '--errorfile-404',
    environment: 'ROUTER_ERRORFILE_404',
    value: { kind: 'file' },
    default: '',
    about: `Page for requests that no Route is for, as a whole HTTP response. With it they are answered with 404 in place
      of 503. It is followed as it changes.`,
    reason: `As the OpenShift router.`,
  },
  errorPagesDirectory: {
    group: 'requests',
    flag: '--error-pages',
    environment: 'HEADGATE_ERROR_PAGES',
    value: { kind: 'directory' },
    default: '',
    about: `Folder with pages for answers of the router, by reason or by status: \`no-route.html\`, \`503.html\`,
      \`503.http\`. A \`.http\` file is a whole HTTP response. In an \`.html\` file \`{{status}}\`, \`{{reason}}\` and
      \`{{explanation}}\` are filled in. The folder is followed as it changes.`,
    reason: `The built-in pages say their reason.`,
  },
  compression: {
    group: 'requests',
    flag: '--enable-compression',
    environment: 'ROUTER_ENABLE_COMPRESSION',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether answers of pods are compressed for clients that ask for it.`,
    reason: `As the OpenShift router.`,
  },
  compressionTypes: {
    group: 'requests',
    flag: '--compression-mime',
    environment: 'ROUTER_COMPRESSION_MIME',
    value: { kind: 'media-types' },
    default: 'text/html text/plain text/css',
    about: `Media types of answers that are compressed, with blanks between them. One that has a blank itself stands in
      double quotes. A type means all content types that begin with it: \`text/\` and \`text/*\` all of text, \`text/html\`
      those with parameters too.`,
    reason: `As the OpenShift router.`,
  },
  compressionAlgorithms: {
    group: 'requests',
    flag: '--compression-algorithms',
    environment: 'HEADGATE_COMPRESSION_ALGORITHMS',
    value: { kind: 'choices', options: ['gzip', 'br', 'zstd'] },
    default: 'gzip',
    about: `Codings on offer. Of those that a client likes equally well, the first in the list is taken.`,
    reason: `As the OpenShift router, which knows no other.`,
  },
  abortOnClose: {
    group: 'requests',
    flag: '--abort-on-close',
    environment: 'ROUTER_ABORT_ON_CLOSE',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether a request that waits for its pod still is dropped when its client closes the connection. Its half of it
      is enough, over HTTP/1. A client of HTTP/2 that closes drops its requests always, as does one that breaks the connection.`,
    reason: `As the OpenShift router: some clients close their half and wait for the answer.`,
  },
  maxStreams: {
    group: 'requests',
    flag: '--max-concurrent-streams',
    environment: 'HEADGATE_MAX_CONCURRENT_STREAMS',
    value: { kind: 'integer', noun: 'a number of streams', min: 1, max: 10_000 },
    default: '100',
    about: `Requests that a client may have under way at once on one HTTP/2 connection.`,
    reason: `As HAProxy, and as browsers expect; each may hold up to 128 kB of a body that nobody takes.`,
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
  checkIntervalMs: {
    group: 'timeouts',
    flag: '--backend-check-interval',
    environment: 'ROUTER_BACKEND_CHECK_INTERVAL',
    value: { kind: 'time' },
    default: '5s',
    about: `Time between two checks of a pod of a Route that has several. An annotation of a Route goes before it.`,
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
  maxConnectionsPerSource: {
    group: 'limits',
    flag: '--max-connections-per-source',
    environment: 'HEADGATE_MAX_CONNECTIONS_PER_SOURCE',
    value: { kind: 'integer', noun: 'a number of connections', min: 0, max: 10_000_000 },
    default: '0',
    about: `Client connections that one source may have at a time, by all workers together. A source is an IPv4 address, or
      the IPv6 addresses of one /64; behind a PROXY header, that of the client. 0 is no limit.`,
    reason: `Whole offices, and load balancers without the PROXY protocol, come from one address.`,
  },
  maxHandshakes: {
    group: 'limits',
    flag: '--max-handshakes',
    environment: 'HEADGATE_MAX_HANDSHAKES',
    value: { kind: 'integer', noun: 'a number of handshakes', min: 0, max: 1_000_000 },
    default: '1000',
    about: `TLS handshakes that each worker has under way at a time. One more, and the eldest is cut if it has taken longer
      than a second, else the new one. 0 is no limit.`,
    reason: `About as many as a worker can do in a second: what waits behind them would wait for longer than it is worth.`,
  },
  maxHandshakesPerSource: {
    group: 'limits',
    flag: '--max-handshakes-per-source',
    environment: 'HEADGATE_MAX_HANDSHAKES_PER_SOURCE',
    value: { kind: 'integer', noun: 'a number of handshakes', min: 0, max: 1_000_000 },
    default: '0',
    about: `TLS handshakes that each worker has under way at a time for one source, counted as connections are. 0 is no
      limit.`,
    reason: `As for connections of one source.`,
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
    default: '1200',
    about: `Certificates that each worker keeps ready for handshakes. The least recently used goes first; it is made ready
      again when it is next asked for.`,
    reason: `One takes about 42 KB. With 10,000 certificates asked for over and over, a worker grows by 140 to 250 MB; with 2,000 kept, by more.`,
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
    standIns: ['MAX_RELOAD_WAIT_TIME'],
    value: { kind: 'seconds' },
    default: '30',
    about: `Time that connections have to end by themselves once listening has ended. A number without unit is seconds. May
      be 0.`,
    reason: `As the OpenShift router.`,
  },
  hardStopAfterMs: {
    group: 'process',
    flag: '--hard-stop-after',
    environment: 'ROUTER_HARD_STOP_AFTER',
    value: { kind: 'time' },
    default: '2147483647',
    defaultWords: 'none',
    about: `The same time once more: the shorter of the two counts.`,
    reason: `As the OpenShift router, which also ends the processes of before a reload by it; here nothing is reloaded.`,
  },
  idleCloseOnResponse: {
    group: 'process',
    flag: '--idle-close-on-response',
    environment: 'ROUTER_IDLE_CLOSE_ON_RESPONSE',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether idle HTTP/1 connections stay open for one more answer once listening has ended, as long as there is
      time. Else they are closed after two quiet seconds.`,
    reason: `As the OpenShift router, which closes them at once; clients that were just about to ask are spared here.`,
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
    about: `Share of requests that are written to the access log, on standard output as JSON. 0 is none, 1 is all. A syslog
      server gets the same lines; with 0 it gets all.`,
    reason: `The OpenShift router has no access log either unless it is asked for.`,
  },
  syslogAddress: {
    group: 'logging',
    flag: '--syslog-address',
    environment: 'ROUTER_SYSLOG_ADDRESS',
    value: { kind: 'text' },
    default: '',
    about: `Where the access log is sent to in HAProxy's words. \`host:port\` (UDP; IPv6 in brackets), \`tcp://host:port\`, or the
      path of a UNIX socket, datagrams or stream. It needs \`ROUTER_LOG_LEVEL\` \`info\` or \`debug\`.`,
    reason: `As the OpenShift router.`,
  },
  syslogFormat: {
    group: 'logging',
    flag: '--syslog-format',
    environment: 'ROUTER_SYSLOG_FORMAT',
    value: { kind: 'text' },
    default: '',
    defaultWords: 'httplog, tcplog',
    about: `Format of the lines for the syslog server, in HAProxy's language. It may stand in double quotes.`,
    reason: `As the OpenShift router: what HAProxy's \`option httplog\` and, for passthrough, \`option tcplog\` write.`,
  },
  syslogFacility: {
    group: 'logging',
    flag: '--syslog-facility',
    environment: 'ROUTER_LOG_FACILITY',
    value: { kind: 'text' },
    default: 'local1',
    about: `Facility of syslog under which the lines are sent. By HAProxy's names: \`local0\` to \`local7\`, \`daemon\`, \`user\`
      and so on.`,
    reason: `As the OpenShift router.`,
  },
  syslogLevel: {
    group: 'logging',
    flag: '--syslog-level',
    environment: 'ROUTER_LOG_LEVEL',
    value: { kind: 'choice', options: ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'] },
    default: 'warning',
    about: `The least level that is sent to the syslog server. Lines of the access log are \`info\`, and nothing else
      is sent.`,
    reason: `As the OpenShift router; its operator sets \`info\`.`,
  },
  syslogMaxLength: {
    group: 'logging',
    flag: '--syslog-max-length',
    environment: 'ROUTER_LOG_MAX_LENGTH',
    value: { kind: 'integer', noun: 'a number of bytes', min: 80, max: 65_535 },
    default: '1024',
    about: `Bytes that a line to the syslog server may have, its header included. What is longer is cut off.`,
    reason: `As the OpenShift router.`,
  },
  captureRequestHeaders: {
    group: 'logging',
    flag: '--capture-request-headers',
    environment: 'ROUTER_CAPTURE_HTTP_REQUEST_HEADERS',
    value: { kind: 'text' },
    default: '',
    about: `Fields of requests that the access log tells, as \`name:maxlen,...\`. They are taken from the request as it came.`,
    reason: `Fields may carry secrets.`,
  },
  captureResponseHeaders: {
    group: 'logging',
    flag: '--capture-response-headers',
    environment: 'ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS',
    value: { kind: 'text' },
    default: '',
    about: `Fields of pods' responses that the access log tells, as \`name:maxlen,...\`.`,
    reason: `Fields may carry secrets.`,
  },
  captureCookie: {
    group: 'logging',
    flag: '--capture-cookie',
    environment: 'ROUTER_CAPTURE_HTTP_COOKIE',
    value: { kind: 'text' },
    default: '',
    about: `The cookie that the access log tells, of requests and of responses. \`name:maxlen\` for the first whose name begins
      so, \`name=:maxlen\` for that name alone.`,
    reason: `Cookies carry secrets.`,
  },
  dontLogNull: {
    group: 'logging',
    flag: '--dont-log-null',
    environment: 'ROUTER_DONT_LOG_NULL',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether connections on which nothing was received leave no line in the access log: probes, mostly.`,
    reason: `As the OpenShift router.`,
  },
  ignoreProbes: {
    group: 'logging',
    flag: '--http-ignore-probes',
    environment: 'ROUTER_HTTP_IGNORE_PROBES',
    value: { kind: 'switch' },
    default: 'false',
    about: `Whether connections that bring no request, where HTTP is spoken, leave no line in the access log. They never get
      an answer.`,
    reason: `As the OpenShift router.`,
  },
} as const;

/** The key of a setting in the Config. */
export type SettingKey = keyof typeof settings;

/** The value of each setting, by its key. */
export type SettingValues = { readonly [Key in SettingKey]: ValueOf<(typeof settings)[Key]['value']> };

/**
 * What the process was told at its start: frozen, and plain JSON data, so that child processes can be sent it. Names carry
 * the units. Texts that were not given are empty; `maxConnections` 0 means that the limit of open files alone decides;
 * `shutdownTimeoutMs` is the shorter of the two settings.
 * It may hold a private key (`defaultCertificatePem`) and passwords (`statsPassword`, in `httpProxy`): never log it whole, never put it on a
 * command line.
 */
export type Config = Omit<SettingValues, 'shardIndex'> & {
  /** Which of the automatic shards this is: 0 to `shardCount` - 1. */
  readonly shardIndex: number;
  /** The name of this router in the status of Routes: `name`, with the index behind it where there are several shards. */
  readonly routerName: string;
  /** Whether the HTTP and TLS ports take IPv6 alone. */
  readonly ipv6Only: boolean;
  /** Bytes that the head of a message may have, first line included: `bufferBytes` less `maxRewriteBytes`. */
  readonly maxHeadBytes: number;
};

/** The rows of the table with their keys, in the order of the table. */
export const settingList: readonly (Setting & { readonly key: SettingKey })[] = Object.entries<Setting>(settings).map(
  ([key, setting]) => ({ ...setting, key: key as SettingKey }),
);
