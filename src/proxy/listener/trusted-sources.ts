// Which peers are believed when they say in a PROXY header who the client is.

import { AddressList } from '../../table/address-list.ts';

export class TrustedSources {
  readonly #networks: AddressList | null;

  /** `networks`: as `address/bits`; none of them means that everybody is believed. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.length === 0 ? null : new AddressList(networks);
  }

  /** `address`: of the peer, an IPv4 one in plain form; empty, and then not believed, if it has gone already. */
  has(address: string): boolean {
    return this.#networks === null || this.#networks.has(address);
  }
}
