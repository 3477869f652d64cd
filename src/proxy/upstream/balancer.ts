// Which Endpoint the next request or connection goes to. Two levels: a Service by smooth weighted round robin over the
// weights of the Route, then its Endpoints in turn. So a Service's share is exactly weight / sum of weights, however many
// Endpoints it has: the reference reaches for the same with whole-numbered weights per Endpoint (Route semantics 5.7).

import type { Backend, Endpoint, PathRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';

/** An Endpoint and the Backend that it belongs to. */
export type Pick = { readonly endpoint: Endpoint; readonly backend: Backend };

type Turn = { readonly current: Float64Array; readonly next: Uint32Array };

export class Balancer {
  readonly #firstTurn: number;
  readonly #turns: WeakMap<PathRule, Turn> = new WeakMap();

  /** `firstTurn`: where the turn begins, different in each worker, so that they do not all begin with the same pod. */
  constructor(firstTurn: number) {
    this.#firstTurn = firstTurn;
  }

  /** The Endpoint whose turn it is; null if there is none besides those already `tried` (authorities). */
  pick(rule: PathRule, table: RouteTable, tried: readonly string[]): Pick | null {
    const turn = this.#turnOf(rule);
    let chosen = -1;
    let total = 0;
    let usable = 0;
    let chosenBackend: Backend | undefined;
    const { current } = turn;
    for (let i = 0; i < rule.backends.length; i++) {
      const ref = rule.backends[i];
      if (ref === undefined || ref.weight === 0) continue;
      const backend = table.backends.get(ref.backend);
      if (backend === undefined || !hasUntried(backend, tried)) continue;
      usable++;
      total += ref.weight;
      const weight = (current[i] ?? 0) + ref.weight;
      current[i] = weight;
      if (chosen < 0 || weight > (current[chosen] ?? 0)) {
        chosen = i;
        chosenBackend = backend;
      }
    }
    if (chosenBackend === undefined) return null;
    current[chosen] = usable === 1 ? 0 : (current[chosen] ?? 0) - total;
    const endpoints = chosenBackend.endpoints;
    for (let step = 0; step < endpoints.length; step++) {
      const next = (turn.next[chosen] ?? 0) % endpoints.length;
      turn.next[chosen] = next + 1;
      const endpoint = endpoints[next];
      if (endpoint !== undefined && !tried.includes(endpoint.authority)) return { endpoint, backend: chosenBackend };
    }
    return null;
  }

  #turnOf(rule: PathRule): Turn {
    const known = this.#turns.get(rule);
    if (known !== undefined) return known;
    const count = rule.backends.length;
    const turn = { current: new Float64Array(count), next: new Uint32Array(count).fill(this.#firstTurn) };
    this.#turns.set(rule, turn);
    return turn;
  }
}

function hasUntried(backend: Backend, tried: readonly string[]): boolean {
  if (tried.length === 0) return backend.endpoints.length > 0;
  return backend.endpoints.some((endpoint) => !tried.includes(endpoint.authority));
}
