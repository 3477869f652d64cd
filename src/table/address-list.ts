// Addresses and networks, made searchable: who is believed in a PROXY header, who may come to a Route (Route semantics 5.10).

import { BlockList, isIP, isIPv4 } from 'node:net';

/** An address, and how many of its bits say which network is meant: all where nothing else was said. Host bits may be set. */
export type Network = { readonly address: string; readonly bits: number };

const addressBits = { ipv4: 32, ipv6: 128 } as const;

/** The network that a text such as `10.0.0.0/8` or `2001:db8::1` names; null where it names none, and for IPv6 zones. */
export function parseNetwork(text: string): Network | null {
  const [address = '', length, ...rest] = text.split('/');
  if (isIP(address) === 0 || address.includes('%') || rest.length > 0) return null;
  const most = addressBits[familyOf(address)];
  if (length === undefined) return { address, bits: most };
  return /^\d{1,3}$/.test(length) && Number(length) <= most ? { address, bits: Number(length) } : null;
}

export class AddressList {
  readonly #networks: BlockList = new BlockList();

  /** `networks`: texts that `parseNetwork` takes; another one has nobody in it. */
  constructor(networks: readonly string[]) {
    for (const text of networks) {
      const network = parseNetwork(text);
      if (network === null) continue;
      const { address, bits } = network;
      const family = familyOf(address);
      if (bits === addressBits[family]) this.#networks.addAddress(address, family);
      else this.#networks.addSubnet(address, bits, family);
    }
  }

  /** `address`: an IPv4 one in plain form; empty, and then not in it, if the peer has gone already. */
  has(address: string): boolean {
    return isIP(address) !== 0 && this.#networks.check(address, familyOf(address));
  }
}

const lists: WeakMap<readonly string[], AddressList> = new WeakMap();

/** Whether an address is in a list that a table entry holds. The list is made searchable once. */
export function isListed(networks: readonly string[], address: string): boolean {
  let list = lists.get(networks);
  if (list === undefined) {
    list = new AddressList(networks);
    lists.set(networks, list);
  }
  return list.has(address);
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}
