// Under which host this router serves a Route (Route semantics 2.1), and which domains a host is in.

import type { RouteManifest } from '../source/manifests.ts';

/** The settings that give hosts. */
export type HostNaming = {
  readonly routerDomain: string;
  readonly hostTemplate: string;
  readonly overrideHosts: boolean;
  readonly overrideDomains: readonly string[];
};

/** The Route with the host that this router gives it: the same Route where that is its own. */
export function named(route: RouteManifest, naming: HostNaming): RouteManifest {
  const host = hostFor(route, naming);
  return host === route.host ? route : { ...route, host };
}

/** Whether a host or one of the domains above it is in a list, letter for letter. */
export function isInDomains(host: string, domains: readonly string[]): boolean {
  if (domains.length === 0) return false;
  let domain = host;
  for (;;) {
    if (domains.includes(domain)) return true;
    const dot = domain.indexOf('.');
    if (dot <= 0) return false;
    domain = domain.slice(dot + 1);
  }
}

function hostFor(route: RouteManifest, naming: HostNaming): string {
  const { routerDomain, hostTemplate, overrideHosts, overrideDomains } = naming;
  let { host } = route;
  if (host === '' && route.subdomain !== '' && routerDomain !== '') host = `${route.subdomain}.${routerDomain}`;
  if (hostTemplate === '' || !(overrideHosts || host === '' || isInDomains(host, overrideDomains))) return host;
  const variables: Readonly<Record<string, string>> = { name: route.name, namespace: route.namespace };
  return hostTemplate
    .replaceAll(/\$\{(name|namespace)\}/g, (_, variable: string) => variables[variable] ?? '')
    .replace(/^['"]+|['"]+$/g, '');
}
