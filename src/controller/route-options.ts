// What the annotations and header actions of a Route ask of the workers (Route semantics 4.6, 1.4). A bad value never costs the
// Route: what is in force without it stays so, and a warning tells the owner. An allow-list alone is read the other way: what
// it cannot mean, it denies.

import { createHash } from 'node:crypto';
import type { HeaderActionSpec, RouteManifest } from '../source/manifests.ts';
import { parseNetwork } from '../table/address-list.ts';
import { isCookieName } from '../table/cookie-name.ts';
import type {
  BalanceAlgorithm,
  ForwardedPolicy,
  PathRewrite,
  ProxyProtocol,
  RateLimit,
  RouteOptions,
  StickyCookie,
} from '../table/entries.ts';
import {
  type HeaderAction,
  type HeaderDirection,
  headerActionProblem,
  parseHeaderValue,
} from '../table/header-actions.ts';
import { readSwitch } from '../table/switch.ts';
import { timeMs } from '../table/time.ts';

/** The settings that stand in for annotations. Empty texts: the default that depends on the Route. */
export type OptionSettings = {
  readonly forwardedHeaders: ForwardedPolicy;
  readonly balanceAlgorithm: BalanceAlgorithm | '';
  readonly tcpBalanceScheme: BalanceAlgorithm | '';
  readonly cookieName: string;
  readonly requestHeaders: readonly HeaderAction[];
  readonly responseHeaders: readonly HeaderAction[];
};

/** Names of the annotations that this module reads. */
export const optionAnnotations = {
  balance: 'haproxy.router.openshift.io/balance',
  timeout: 'haproxy.router.openshift.io/timeout',
  tunnelTimeout: 'haproxy.router.openshift.io/timeout-tunnel',
  allowList: 'haproxy.router.openshift.io/ip_allowlist',
  oldAllowList: 'haproxy.router.openshift.io/ip_whitelist',
  rateLimit: 'haproxy.router.openshift.io/rate-limit-connections',
  connectionLimit: 'haproxy.router.openshift.io/rate-limit-connections.concurrent-tcp',
  connectionRate: 'haproxy.router.openshift.io/rate-limit-connections.rate-tcp',
  requestRate: 'haproxy.router.openshift.io/rate-limit-connections.rate-http',
  podConnections: 'haproxy.router.openshift.io/pod-concurrent-connections',
  disableCookies: 'haproxy.router.openshift.io/disable_cookies',
  cookieName: 'router.openshift.io/cookie_name',
  cookieSameSite: 'router.openshift.io/cookie-same-site',
  hsts: 'haproxy.router.openshift.io/hsts_header',
  forwarded: 'haproxy.router.openshift.io/set-forwarded-headers',
  rewrite: 'haproxy.router.openshift.io/rewrite-target',
  checkInterval: 'router.openshift.io/haproxy.health.check.interval',
  adjustCase: 'haproxy.router.openshift.io/h1-adjust-case',
  proxyProtocol: 'headgate.io/proxy-protocol',
} as const;

const balanceAlgorithms: readonly BalanceAlgorithm[] = ['random', 'roundrobin', 'leastconn', 'source'];
const forwardedPolicies: readonly ForwardedPolicy[] = ['append', 'replace', 'if-none', 'never'];
const proxyProtocols: readonly ProxyProtocol[] = ['none', 'v1', 'v2'];
const sameSites: readonly string[] = ['Lax', 'Strict', 'None'];
/** Characters of a value that a warning shows. */
const shownLength = 40;

/** What a Route asks for; what is wrong with its annotations is added to `warnings`. */
export function routeOptions(route: RouteManifest, settings: OptionSettings, warnings: string[]): RouteOptions {
  const annotations = new Annotations(route.annotations, warnings);
  const isPassthrough = route.tls?.termination === 'passthrough';
  const { serverTimeoutMs, tunnelTimeoutMs } = timeouts(annotations, isPassthrough);
  const { headerActions } = route;
  const requestActions = [...settings.requestHeaders, ...actionsOf(headerActions.request, 'request', warnings)];
  const responseActions = [...actionsOf(headerActions.response, 'response', warnings), ...settings.responseHeaders];
  return {
    forwarded: annotations.choice(optionAnnotations.forwarded, forwardedPolicies) ?? settings.forwardedHeaders,
    proxyProtocol: annotations.choice(optionAnnotations.proxyProtocol, proxyProtocols) ?? 'none',
    balance: annotations.choice(optionAnnotations.balance, balanceAlgorithms) ?? balanceByDefault(route, settings),
    cookie: isPassthrough ? null : stickyCookie(route, annotations, settings),
    serverTimeoutMs,
    tunnelTimeoutMs,
    allowedSources: allowedSources(annotations),
    rateLimit: rateLimit(annotations, isPassthrough),
    podConnections: podConnections(annotations),
    rewrite: isPassthrough ? null : pathRewrite(route, annotations),
    hsts: isPassthrough || route.tls === null ? null : hstsValue(annotations),
    checkIntervalMs: annotations.time(optionAnnotations.checkInterval),
    requestActions: isPassthrough || requestActions.length === 0 ? null : requestActions,
    responseActions: isPassthrough || responseActions.length === 0 ? null : responseActions,
    adjustsCase: !isPassthrough && annotations.isTrue(optionAnnotations.adjustCase),
  };
}

/** The annotations of a Route, each read as the values that it may have. */
class Annotations {
  readonly #values: Readonly<Record<string, string>>;
  readonly #warnings: string[];

  constructor(values: Readonly<Record<string, string>>, warnings: string[]) {
    this.#values = values;
    this.#warnings = warnings;
  }

  /** The text; undefined where there is none, or an empty one, as templates leave behind. */
  text(name: string): string | undefined {
    const value = this.#values[name];
    return value === '' ? undefined : value;
  }

  choice<T extends string>(name: string, options: readonly T[]): T | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const chosen = options.find((option) => option === value);
    if (chosen === undefined) this.bad(name, value, `is not one of ${options.join(', ')}`);
    return chosen;
  }

  time(name: string): number | null {
    const value = this.text(name);
    if (value === undefined) return null;
    const ms = timeMs(value);
    if (ms === undefined) {
      this.bad(name, value, 'is not a time (a positive whole number, then us, ms, s, m, h or d; none is ms)');
    }
    return ms ?? null;
  }

  isTrue(name: string): boolean {
    const value = this.text(name);
    if (value === undefined) return false;
    const read = readSwitch(value);
    if (read === undefined) this.bad(name, value, 'is not true or false');
    return read === true;
  }

  /** A signed whole number, as large as can be counted at most. */
  integer(name: string): number | null {
    const value = this.text(name);
    if (value === undefined) return null;
    if (/^[+-]?\d+$/.test(value)) {
      return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number(value), Number.MAX_SAFE_INTEGER));
    }
    this.bad(name, value, 'is not a whole number', 'this limit is not in force');
    return null;
  }

  /** Warns of a value that is none: without a word about what is in force, that is the default. */
  bad(name: string, value: string, because: string, inForce = 'it is ignored'): void {
    const shown = value.length <= shownLength ? value : `${value.slice(0, shownLength)}...`;
    this.#warnings.push(`annotation ${name}: ${JSON.stringify(shown)} ${because}: ${inForce}`);
  }
}

/** Route semantics 5.7: several Services with a weight share in turn, whether they have Endpoints or not. */
function balanceByDefault(route: RouteManifest, settings: OptionSettings): BalanceAlgorithm {
  const weighted = [route.to, ...route.alternateBackends].filter(({ weight }) => weight > 0);
  if (weighted.length > 1) return 'roundrobin';
  const isPassthrough = route.tls?.termination === 'passthrough';
  if (isPassthrough && settings.tcpBalanceScheme !== '') return settings.tcpBalanceScheme;
  if (settings.balanceAlgorithm !== '') return settings.balanceAlgorithm;
  return isPassthrough ? 'source' : 'random';
}

/** Route semantics 5.8, byte for byte: sessions survive a change of router. */
function stickyCookie(route: RouteManifest, annotations: Annotations, settings: OptionSettings): StickyCookie | null {
  const named = annotations.text(optionAnnotations.cookieName);
  const isName = named !== undefined && isCookieName(named);
  if (named !== undefined && !isName) {
    annotations.bad(optionAnnotations.cookieName, named, 'is not a name of letters, digits, _ and -');
  }
  const { tls } = route;
  const isSecure = tls !== null && tls.insecurePolicy !== 'Allow';
  const sameSite = isSecure ? (annotations.choice(optionAnnotations.cookieSameSite, sameSites) ?? 'None') : '';
  if (annotations.isTrue(optionAnnotations.disableCookies)) return null;
  const name = isName ? named : settings.cookieName || md5(` ${route.namespace}:${route.name}`);
  return { name, attributes: `path=/; HttpOnly${isSecure ? `; Secure; SameSite=${sameSite}` : ''}` };
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

/** On a passthrough Route, where a pod's silence is the tunnel's, `timeout` stands in for a missing `timeout-tunnel` (4.6). */
function timeouts(
  annotations: Annotations,
  isPassthrough: boolean,
): Pick<RouteOptions, 'serverTimeoutMs' | 'tunnelTimeoutMs'> {
  const serverTimeoutMs = annotations.time(optionAnnotations.timeout);
  const tunnelTimeoutMs = annotations.time(optionAnnotations.tunnelTimeout);
  if (!isPassthrough) return { serverTimeoutMs, tunnelTimeoutMs };
  return { serverTimeoutMs: null, tunnelTimeoutMs: tunnelTimeoutMs ?? serverTimeoutMs };
}

/**
 * Route semantics 5.10, but closed where the reference is open: commas and outer blanks are accepted, valid entries apply, and
 * a list without any lets nobody in.
 */
function allowedSources(annotations: Annotations): readonly string[] | null {
  const names = [optionAnnotations.allowList, optionAnnotations.oldAllowList];
  const name = names.find((each) => (annotations.text(each) ?? '').trim() !== '');
  if (name === undefined) return null;
  const entries = (annotations.text(name) ?? '').split(/[\s,]+/).filter((entry) => entry !== '');
  const isNetwork = (entry: string): boolean => parseNetwork(entry) !== null;
  const valid = entries.filter(isNetwork);
  const inForce = valid.length === 0 ? 'nobody is let in' : 'it lets nobody in, the others do';
  for (const entry of entries) {
    if (!isNetwork(entry)) annotations.bad(name, entry, 'is not an address or a network', inForce);
  }
  if (entries.length === 0) annotations.bad(name, annotations.text(name) ?? '', 'names no address', inForce);
  return valid;
}

/** Route semantics 5.11. Limits count where the switch is on only; what lets nobody in is in force, as with the reference. */
function rateLimit(annotations: Annotations, isPassthrough: boolean): RateLimit | null {
  if (!annotations.isTrue(optionAnnotations.rateLimit)) return null;
  const limit = {
    connections: sourceLimit(annotations, optionAnnotations.connectionLimit),
    connectionRate: sourceLimit(annotations, optionAnnotations.connectionRate),
    requestRate: isPassthrough ? null : sourceLimit(annotations, optionAnnotations.requestRate),
  };
  const requestRate = annotations.text(optionAnnotations.requestRate);
  if (isPassthrough && requestRate !== undefined) {
    annotations.bad(optionAnnotations.requestRate, requestRate, 'means nothing on a passthrough Route');
  }
  return Object.values(limit).every((each) => each === null) ? null : limit;
}

function sourceLimit(annotations: Annotations, name: string): number | null {
  const limit = annotations.integer(name);
  if (limit === null || limit > 0) return limit;
  annotations.bad(name, annotations.text(name) ?? '', 'leaves nothing', 'nobody is let in');
  return 0;
}

function podConnections(annotations: Annotations): number | null {
  const name = optionAnnotations.podConnections;
  const limit = annotations.integer(name);
  if (limit === null || limit > 0) return limit;
  annotations.bad(name, annotations.text(name) ?? '', 'is not positive', 'this limit is not in force');
  return null;
}

/** Route semantics 5.14: the grammar of the annotation; what does not follow it is no header at all. */
function hstsValue(annotations: Annotations): string | null {
  const value = annotations.text(optionAnnotations.hsts);
  if (value === undefined) return null;
  const pattern =
    /^\s*(?:(?:includeSubDomains|preload)\s*;\s*)*max-age\s*=\s*(?:\d+|"\d+")\s*(?:;\s*(?:includeSubDomains|preload)\s*)*$/i;
  if (pattern.test(value) && !/[\r\n]/.test(value)) return value.trim();
  annotations.bad(optionAnnotations.hsts, value, 'is not a valid Strict-Transport-Security');
  return null;
}

/** Route semantics 1.4. What would break messages is left out, with a warning; the grammar has been checked by the decoder. */
function actionsOf(
  specs: readonly HeaderActionSpec[],
  direction: HeaderDirection,
  warnings: string[],
): readonly HeaderAction[] {
  const actions: HeaderAction[] = [];
  for (const { name, value } of specs) {
    const action = { name, parts: value === null ? null : parseHeaderValue(value, direction) };
    const because = headerActionProblem(action);
    if (because === null) actions.push(action);
    else warnings.push(`${direction} header action for ${JSON.stringify(name)}: ${because}: it is ignored`);
  }
  return actions;
}

/** Route semantics 5.9. The prefix is what it says, and no regular expression. */
function pathRewrite(route: RouteManifest, annotations: Annotations): PathRewrite | null {
  const value = annotations.text(optionAnnotations.rewrite);
  if (value === undefined) return null;
  const { target, keepsRest } = unquotedTarget(value);
  if (/^\/[\x21\x22\x24-\x7e]*$/.test(target)) return { prefix: route.path, target, keepsRest };
  annotations.bad(optionAnnotations.rewrite, value, 'is not a path that a request may have');
  return null;
}

/** The target without the quoting that HAProxy would have taken away (cases O1 to O14 in 8.13). */
export function unquotedTarget(text: string): { readonly target: string; readonly keepsRest: boolean } {
  let target = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (character === '#') return { target, keepsRest: false };
    if (character === '"' || character === "'") continue;
    if (character === '\\') {
      const next = text[at + 1] ?? '';
      if (next !== '' && '\\"\'#'.includes(next)) {
        target += next;
        at++;
      }
      continue;
    }
    if (character !== '%') {
      target += character;
      continue;
    }
    let run = 1;
    while (text[at + run] === '%') run++;
    at += run - 1;
    // A run of odd length is doubled before HAProxy halves every run.
    target += '%'.repeat(run % 2 === 1 ? run : run / 2);
  }
  return { target, keepsRest: true };
}
