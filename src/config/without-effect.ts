// What a deployment for the OpenShift router may set and this router has no use for: with each name, why. The start names those
// that are set, and docs/configuration.md lists them all.

/** A name, and why it has no effect: a sentence. */
export type Unused = { readonly name: string; readonly because: string };

const noTemplate = 'No configuration is rendered.';
const noReload = 'Nothing is reloaded: a change is in force in milliseconds.';
const noHaproxy = 'There is no HAProxy process to be asked.';
const noManager = 'Servers are not configured one by one: every change is taken up while serving.';

/** Environment names. */
export const unusedEnvironment: readonly Unused[] = [
  { name: 'TEMPLATE_FILE', because: noTemplate },
  { name: 'RELOAD_SCRIPT', because: noReload },
  { name: 'RELOAD_INTERVAL', because: noReload },
  { name: 'COMMIT_INTERVAL', because: noReload },
  { name: 'ROUTER_HAPROXY_CONFIG_MANAGER', because: noManager },
  { name: 'ROUTER_BLUEPRINT_ROUTE_NAMESPACE', because: noManager },
  { name: 'ROUTER_BLUEPRINT_ROUTE_LABELS', because: noManager },
  { name: 'ROUTER_BLUEPRINT_ROUTE_POOL_SIZE', because: noManager },
  { name: 'ROUTER_MAX_DYNAMIC_SERVERS', because: noManager },
  { name: 'ROUTER_HAPROXY_ADMIN_UNIX_SOCKET', because: noHaproxy },
  { name: 'ROUTER_HAPROXY_CONTSTATS', because: 'Bytes are always counted as they pass.' },
  { name: 'ROUTER_METRICS_HAPROXY_SCRAPE_URI', because: noHaproxy },
  { name: 'ROUTER_METRICS_HAPROXY_TIMEOUT', because: noHaproxy },
  { name: 'ROUTER_METRICS_HAPROXY_BASE_SCRAPE_INTERVAL', because: noHaproxy },
  { name: 'ROUTER_METRICS_HAPROXY_PID_FILE', because: noHaproxy },
  {
    name: 'ROUTER_BIND_PORTS_AFTER_SYNC',
    because: 'Connections are taken when everything has been read once, always, as with `true`.',
  },
  {
    name: 'ROUTER_BIND_PORTS_BEFORE_SYNC',
    because: 'It switches off a check of a socket that is not there; that check never fails here.',
  },
  {
    name: 'ROUTER_WATCH_ENDPOINTS',
    because: 'EndpointSlices are read, which Kubernetes keeps for Endpoints that somebody else writes too.',
  },
  { name: 'UPGRADE_VALIDATION', because: 'No Route is known that a coming version could not serve.' },
  { name: 'DEBUG_UPGRADE_VALIDATION_FORCE_ADD_CONDITION', because: `It is for tests of the OpenShift router.` },
  { name: 'DEBUG_UPGRADE_VALIDATION_FORCE_REMOVE_CONDITION', because: `It is for tests of the OpenShift router.` },
  {
    name: 'HTTPS_PROXY',
    because: 'All that goes through a proxy are revocation lists, which are fetched over plain HTTP: see `HTTP_PROXY`.',
  },
  { name: 'https_proxy', because: 'As `HTTPS_PROXY`.' },
  { name: 'OPENSHIFT_ON_PANIC', because: 'It is for the Go runtime. A process that fails ends, and is started again.' },
  { name: 'OPENSHIFT_PROFILE', because: 'It is for the Go runtime.' },
];

/** Annotations of Routes. */
export const unusedAnnotations: readonly Unused[] = [
  { name: 'router.openshift.io/pool-size', because: noManager },
  {
    name: 'haproxy.router.openshift.io/log-send-hostname',
    because: 'The OpenShift router does not read it either.',
  },
];

/** The names of those environment names that are set. */
export function unusedNamesIn(env: Readonly<Record<string, string | undefined>>): string[] {
  return unusedEnvironment.map(({ name }) => name).filter((name) => (env[name] ?? '') !== '');
}
