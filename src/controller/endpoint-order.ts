// The order in which a Service's pods take their turns, drawn by lot: once for each start, so that a Backend that has not
// changed compiles to the same entry.

import { createHash, randomUUID } from 'node:crypto';
import type { Backend, Endpoint } from '../table/entries.ts';

export class EndpointLottery {
  readonly #lot: string;

  /** `lot`: what the order is drawn by. */
  constructor(lot: string = randomUUID()) {
    this.#lot = lot;
  }

  /** The Backend with its Endpoints in their drawn order. */
  shuffled(backend: Backend): Backend {
    const drawn = backend.endpoints.map((endpoint) => ({ endpoint, place: this.#placeOf(endpoint) }));
    drawn.sort((a, b) => (a.place < b.place ? -1 : 1));
    return { ...backend, endpoints: drawn.map(({ endpoint }) => endpoint) };
  }

  #placeOf({ id }: Endpoint): string {
    return createHash('sha256').update(`${this.#lot} ${id}`).digest('hex');
  }
}
