// Addresses and networks, made searchable: who is believed in a PROXY header, who may come to a Route (Route semantics 5.10).

import { BlockList, isIP, isIPv4 } from 'node:net';

export class AddressList {
  readonly #networks: BlockList = new BlockList();

  /** `networks`: valid addresses, with or without `/bits` behind them; host bits may be set. */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      if (bits === undefined) this.#networks.addAddress(address, familyOf(address));
      else this.#networks.addSubnet(address, Number(bits), familyOf(address));
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
