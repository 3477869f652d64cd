// Whether a download goes through a proxy, as HTTP_PROXY and NO_PROXY have it (Route semantics 4.4, 5.13), in the reading of the
// OpenShift router.

import { isIP } from 'node:net';
import { AddressList } from '../table/address-list.ts';

/** The URL of the proxy for plain HTTP, empty for none; and who is asked without it: names, addresses, networks, `*`. */
export type ProxySettings = { readonly httpProxy: string; readonly noProxy: readonly string[] };

/** The proxy through which a plain HTTP address is asked; null for none. This machine is always asked itself. */
export function proxyFor(address: URL, { httpProxy, noProxy }: ProxySettings): string | null {
  const host = address.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = address.port === '' ? '80' : address.port;
  const isHere = host === 'localhost' || loopback.has(host);
  return httpProxy === '' || isHere || noProxy.some((item) => isExempt(item.toLowerCase(), host, port))
    ? null
    : httpProxy;
}

const loopback: AddressList = new AddressList(['127.0.0.0/8', '::1']);

/** A name stands for all below it too, with a dot before it only for those; behind a colon there may be a port. */
function isExempt(item: string, host: string, port: string): boolean {
  if (item === '*') return true;
  const [, name = item, itsPort = port] = /^\[?([^[\]]*?)\]?:(\d+)$/.exec(isIP(item) === 6 ? '' : item) ?? [];
  if (itsPort !== port) return false;
  const network = networkOf(name);
  if (network !== null) return network.has(host);
  if (name.startsWith('.') || name.startsWith('*.')) return host.endsWith(name.slice(name.indexOf('.')));
  return host === name || host.endsWith(`.${name}`);
}

function networkOf(text: string): AddressList | null {
  const [address = '', bits = '0'] = text.split('/');
  const most = isIP(address) === 4 ? 32 : 128;
  if (isIP(address) === 0 || address.includes('%') || !/^\d{1,3}$/.test(bits) || Number(bits) > most) return null;
  return new AddressList([text]);
}
