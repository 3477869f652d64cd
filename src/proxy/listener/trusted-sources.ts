// Which peers are believed when they say in a PROXY header who the client is.

import { BlockList, isIP, isIPv4 } from 'node:net';

export class TrustedSources {
  readonly #networks: BlockList | null;

  /** `networks`: as `address/bits`; none of them means that everybody is believed. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.length === 0 ? null : new BlockList();
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      this.#networks?.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  /** `address`: of the peer, an IPv4 one in plain form; empty, and then not believed, if it has gone already. */
  has(address: string): boolean {
    return this.#networks === null || (isIP(address) !== 0 && this.#networks.check(address, familyOf(address)));
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}
