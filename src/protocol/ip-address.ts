// IP addresses as texts and as bytes. One address has one text here, so that texts may be compared.

import { isIPv4, isIPv6, SocketAddress } from 'node:net';

const mappedPrefix = '::ffff:';

/**
 * The one text of an address: IPv6 as RFC 5952 writes it, and as plain IPv4 where it is an IPv4 address mapped into IPv6
 * (RFC 4291 2.5.5.2). Null for everything else, zones included: they mean something on one machine only.
 */
export function canonicalAddress(text: string): string | null {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return null;
  return unmapped(new SocketAddress({ address: text, family: 'ipv6' }).address);
}

/** As plain IPv4 what is an IPv4 address mapped into IPv6. Takes texts as the operating system gives them. */
export function unmapped(address: string): string {
  return address.startsWith(mappedPrefix) && address.includes('.') ? address.slice(mappedPrefix.length) : address;
}

/** The 4 bytes of an IPv4 address. */
export function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

/** The 16 bytes of an IPv6 address, or of the IPv6 form of an IPv4 address. */
export function ipv6Bytes(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  if (isIPv4(address)) {
    bytes.writeUInt16BE(0xffff, 10);
    ipv4Bytes(address).copy(bytes, 12);
    return bytes;
  }
  const [front = '', back] = address.split('::');
  putGroups(bytes, 0, groupsOf(front));
  const behind = groupsOf(back ?? '');
  putGroups(bytes, 16 - 2 * behind.length, behind);
  return bytes;
}

/** The text of 16 bytes; plain IPv4 where they map an IPv4 address. */
export function ipv6Text(bytes: Buffer): string {
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(bytes.readUInt16BE(at).toString(16));
  return unmapped(new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address);
}

/** Groups of 16 bits; an IPv4 address at the end is two of them. */
function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const ipv4 = ipv4Bytes(group);
    return [ipv4.readUInt16BE(0), ipv4.readUInt16BE(2)];
  });
}

function putGroups(bytes: Buffer, at: number, groups: readonly number[]): void {
  for (const [i, group] of groups.entries()) bytes.writeUInt16BE(group, at + 2 * i);
}
