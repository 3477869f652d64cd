// Addresses that no Route may lead to: a Service with hand-made endpoints must not open the router's own host, a cloud's
// metadata or the link to strangers (Route semantics 2.4).

import { BlockList, isIP } from 'node:net';

const forbidden: BlockList = new BlockList();
const loopback: BlockList = new BlockList();

loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');
// IPv4-compatible forms (`::a.b.c.d`); the mapped ones (`::ffff:a.b.c.d`) are checked as IPv4 by BlockList itself.
loopback.addSubnet('::7f00:0', 104, 'ipv6');

forbidden.addAddress('0.0.0.0', 'ipv4');
forbidden.addAddress('::', 'ipv6');
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('::a9fe:0', 112, 'ipv6');
forbidden.addSubnet('fe80::', 10, 'ipv6');
forbidden.addSubnet('224.0.0.0', 4, 'ipv4');
forbidden.addSubnet('::e000:0', 100, 'ipv6');
forbidden.addSubnet('ff00::', 8, 'ipv6');
forbidden.addAddress('168.63.129.16', 'ipv4');
forbidden.addAddress('::a83f:8110', 'ipv6');
forbidden.addAddress('fd00:ec2::254', 'ipv6');

/**
 * Whether an address may be dialled: an IP literal without a zone. `allowLoopback`: for a router and its backends on one
 * machine.
 */
export function isDialable(address: string, allowLoopback: boolean): boolean {
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return false;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  return !forbidden.check(address, family) && (allowLoopback || !loopback.check(address, family));
}
