// What a Route asks of the workers, as `explain` shows it.

import type { ClientAuth, PathRule, RouteOptions } from '../table/entries.ts';
import { headerActionText } from '../table/header-actions.ts';

/** A rule with its options; null where nothing, or the router's own setting, is in force. */
export type ExplainedRule = Pick<
  RouteOptions,
  | 'proxyProtocol'
  | 'balance'
  | 'serverTimeoutMs'
  | 'tunnelTimeoutMs'
  | 'allowedSources'
  | 'rateLimit'
  | 'podConnections'
  | 'rewrite'
  | 'hsts'
  | 'checkIntervalMs'
  | 'adjustsCase'
> & {
  readonly host: string;
  readonly path: string;
  readonly termination: string;
  readonly insecurePolicy: string;
  readonly podVerification: string | null;
  readonly forwardedHeaders: string;
  /** Name of the sticky cookie. */
  readonly cookie: string | null;
  /** What is done to heads, an action each: `Set X-A: value` or `Delete X-A`. */
  readonly requestActions: readonly string[];
  readonly responseActions: readonly string[];
  /** What is demanded of the client, by the Route or by the router. */
  readonly clientAuth: ClientAuth | null;
};

/** `host`: under which it was found. `clientAuth`: what is demanded of the client. */
export function explainedRule(rule: PathRule, host: string, clientAuth: ClientAuth | null): ExplainedRule {
  return {
    host,
    path: rule.path === '' ? '/' : rule.path,
    termination: rule.termination,
    insecurePolicy: rule.insecurePolicy,
    podVerification: rule.upstreamTls === null ? null : rule.upstreamTls.verify,
    forwardedHeaders: rule.forwarded,
    proxyProtocol: rule.proxyProtocol,
    balance: rule.balance,
    cookie: rule.cookie?.name ?? null,
    allowedSources: rule.allowedSources,
    rateLimit: rule.rateLimit,
    podConnections: rule.podConnections,
    rewrite: rule.rewrite,
    serverTimeoutMs: rule.serverTimeoutMs,
    tunnelTimeoutMs: rule.tunnelTimeoutMs,
    hsts: rule.hsts,
    checkIntervalMs: rule.checkIntervalMs,
    adjustsCase: rule.adjustsCase,
    requestActions: (rule.requestActions ?? []).map((action) => headerActionText(action, 'request')),
    responseActions: (rule.responseActions ?? []).map((action) => headerActionText(action, 'response')),
    clientAuth,
  };
}
