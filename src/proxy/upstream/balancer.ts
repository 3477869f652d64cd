// Which Endpoint the next request or connection goes to (Route semantics 5.7, 5.8). Always two levels: a Service by the weights
// of the Route, then one of its Endpoints. So a Service's share is exactly weight / sum of weights, however many Endpoints it
// has: the reference reaches for the same with whole-numbered weights per Endpoint.

import { Peers } from '../../replication/peers.ts';
import type { Backend, BackendRef, Endpoint, PathRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';
import { type DownEndpoints, EndpointHealth, type Security } from '../health/endpoint-health.ts';
import { type Load, Loads } from './loads.ts';
import { rendezvousHash, textHash } from './rendezvous.ts';
import { endpointOfCookie } from './sticky-cookie.ts';

/** An Endpoint and the Backend that it belongs to. */
export type Pick = { readonly endpoint: Endpoint; readonly backend: Backend };

/** Who asks. `source`: address of the client. `cookie`: what it says of the Endpoint it had before; empty for nothing. */
export type Seeker = { readonly source: string; readonly cookie: string };

type Turn = { readonly current: Float64Array; readonly next: Uint32Array };

const nobodyTried: readonly string[] = [];

export class Balancer {
  readonly #firstTurn: number;
  readonly #health: EndpointHealth;
  readonly #turns: WeakMap<PathRule, Turn> = new WeakMap();
  /** What all Routes have under way. */
  readonly loads: Loads;
  readonly #draw: () => number;

  /**
   * `firstTurn`: where the turn begins, different in each worker, so that they do not all begin with the same pod. `draw`: a
   * number from 0 up to, not including, 1; each with the same chance.
   */
  constructor(
    firstTurn: number,
    peers: Peers = new Peers(() => {}),
    health: EndpointHealth = new EndpointHealth(),
    draw: () => number = Math.random,
  ) {
    this.#firstTurn = firstTurn;
    this.#health = health;
    this.#draw = draw;
    this.loads = new Loads(peers);
  }

  /** The Endpoint that is to be asked; null if none is up besides those already `tried` (authorities). */
  pick(rule: PathRule, table: RouteTable, tried: readonly string[], seeker: Seeker): Pick | null {
    const own = this.own(rule, table, tried, seeker);
    if (own !== null) return own;
    const down = this.#health.downFor(rule, table);
    switch (rule.balance) {
      case 'roundrobin':
        return this.#inTurn(rule, table, tried, down);
      case 'random':
        // Whoever comes again has had bad luck already: every Endpoint once, in turn.
        return tried.length > 0 ? this.#inTurn(rule, table, tried, down) : this.#lessBusyOfTwo(rule, table, down);
      case 'leastconn':
        return this.#leastBusy(rule, table, tried, down);
      case 'source':
        return bySource(rule, table, tried, down, seeker.source);
    }
  }

  /** The Endpoint that it had before, by its cookie; null if there is none, or it is down or among those already `tried`. */
  own(rule: PathRule, table: RouteTable, tried: readonly string[], { cookie }: Seeker): Pick | null {
    if (cookie === '') return null;
    const own = endpointOfCookie(rule, table, cookie);
    return own !== null && mayTry(own.endpoint, tried, this.#health.downFor(rule, table)) ? own : null;
  }

  /** When an Endpoint last answered a request of this worker, in ms of the deadlines' clock. */
  answeredMs(authority: string, security: Security): number {
    return this.loads.answeredMs(authority, security);
  }

  /** Why nobody was picked: there is no Endpoint, or all are down. */
  absence(rule: PathRule, table: RouteTable): 'no-endpoint' | 'endpoints-down' {
    return this.#health.downFor(rule, table).size > 0 ? 'endpoints-down' : 'no-endpoint';
  }

  /** What is under way with an Endpoint: whoever sends something there adds to it, and takes it away at the end. */
  loadOf(endpoint: Endpoint): Load {
    return this.loads.of(endpoint.authority);
  }

  /** Smooth weighted round robin among the Services, and in turn among the Endpoints of each. */
  #inTurn(rule: PathRule, table: RouteTable, tried: readonly string[], down: DownEndpoints): Pick | null {
    const turn = this.#turnOf(rule);
    let chosen = -1;
    let total = 0;
    let usable = 0;
    let chosenBackend: Backend | null = null;
    const { current } = turn;
    for (let i = 0; i < rule.backends.length; i++) {
      const ref = rule.backends[i];
      const backend = ref === undefined ? null : usableBackend(ref, table, tried, down);
      if (ref === undefined || backend === null) continue;
      usable++;
      total += ref.weight;
      const weight = (current[i] ?? 0) + ref.weight;
      current[i] = weight;
      if (chosen < 0 || weight > (current[chosen] ?? 0)) {
        chosen = i;
        chosenBackend = backend;
      }
    }
    if (chosenBackend === null) return null;
    current[chosen] = usable === 1 ? 0 : (current[chosen] ?? 0) - total;
    const endpoints = chosenBackend.endpoints;
    for (let step = 0; step < endpoints.length; step++) {
      const next = (turn.next[chosen] ?? 0) % endpoints.length;
      turn.next[chosen] = next + 1;
      const endpoint = endpoints[next];
      if (endpoint !== undefined && mayTry(endpoint, tried, down)) return { endpoint, backend: chosenBackend };
    }
    return null;
  }

  /** Two draws by weight, and the one with less under way (the power of two choices). */
  #lessBusyOfTwo(rule: PathRule, table: RouteTable, down: DownEndpoints): Pick | null {
    const total = totalWeight(rule, table, down);
    if (total === 0) return null;
    const one = this.#drawn(rule, table, total, down);
    if (one === null || (rule.backends.length === 1 && one.backend.endpoints.length === 1)) return one;
    const other = this.#drawn(rule, table, total, down);
    if (other === null || other.endpoint === one.endpoint) return one;
    // Both were drawn by their weights: what is under way counts as it is.
    return this.loadOf(other.endpoint).active < this.loadOf(one.endpoint).active ? other : one;
  }

  #drawn(rule: PathRule, table: RouteTable, total: number, down: DownEndpoints): Pick | null {
    let at = this.#draw() * total;
    for (const ref of rule.backends) {
      const backend = usableBackend(ref, table, nobodyTried, down);
      if (backend === null) continue;
      at -= ref.weight;
      if (at >= 0) continue;
      const endpoint = anyOf(backend.endpoints, down, this.#draw);
      return endpoint === undefined ? null : { endpoint, backend };
    }
    return null;
  }

  /** Least under way relative to the weight, in all workers; of equals any, and with nothing under way anywhere they take turns. */
  #leastBusy(rule: PathRule, table: RouteTable, tried: readonly string[], down: DownEndpoints): Pick | null {
    let least = Number.POSITIVE_INFINITY;
    let chosen: Pick | null = null;
    let isBusy = false;
    let equals = 0;
    for (const ref of rule.backends) {
      const backend = usableBackend(ref, table, tried, down);
      if (backend === null) continue;
      const weight = ref.weight / countUp(backend, down);
      for (const endpoint of backend.endpoints) {
        if (!mayTry(endpoint, tried, down)) continue;
        const active = this.loads.everywhere(endpoint.authority);
        if (active > 0) isBusy = true;
        const busyness = active / weight;
        if (busyness > least) continue;
        equals = busyness < least ? 1 : equals + 1;
        least = busyness;
        // The n-th of equals takes the place with 1/n: in the end each has had the same chance.
        if (equals === 1 || this.#draw() * equals < 1) chosen = { endpoint, backend };
      }
    }
    return isBusy ? chosen : this.#inTurn(rule, table, tried, down);
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

/**
 * The Endpoint of a client's address: the same from every worker and replica, whatever order they know the Endpoints in, and
 * when one leaves only its own clients move (weighted rendezvous hashing).
 */
function bySource(
  rule: PathRule,
  table: RouteTable,
  tried: readonly string[],
  down: DownEndpoints,
  source: string,
): Pick | null {
  const sourceHash = textHash(source);
  let backend: Backend | null = null;
  let best = -1;
  for (const ref of rule.backends) {
    const usable = usableBackend(ref, table, tried, down);
    if (usable === null) continue;
    const share = (rendezvousHash(sourceHash, textHash(ref.backend)) + 0.5) / 0x100000000;
    const score = ref.weight / -Math.log(share);
    if (score <= best) continue;
    best = score;
    backend = usable;
  }
  if (backend === null) return null;
  let endpoint: Endpoint | null = null;
  let highest = -1;
  for (const each of backend.endpoints) {
    if (!mayTry(each, tried, down)) continue;
    const hash = rendezvousHash(sourceHash, endpointHash(each));
    if (hash <= highest) continue;
    highest = hash;
    endpoint = each;
  }
  return endpoint === null ? null : { endpoint, backend };
}

const endpointHashes: WeakMap<Endpoint, number> = new WeakMap();

function endpointHash(endpoint: Endpoint): number {
  let hash = endpointHashes.get(endpoint);
  if (hash === undefined) {
    hash = textHash(endpoint.authority);
    endpointHashes.set(endpoint, hash);
  }
  return hash;
}

function totalWeight(rule: PathRule, table: RouteTable, down: DownEndpoints): number {
  let total = 0;
  for (const ref of rule.backends) if (usableBackend(ref, table, nobodyTried, down) !== null) total += ref.weight;
  return total;
}

/** The Backend if it takes a share of the requests and has an Endpoint that may be tried. */
function usableBackend(
  ref: BackendRef,
  table: RouteTable,
  tried: readonly string[],
  down: DownEndpoints,
): Backend | null {
  if (ref.weight === 0) return null;
  const backend = table.backends.get(ref.backend);
  return backend !== undefined && hasUntried(backend, tried, down) ? backend : null;
}

function mayTry({ authority }: Endpoint, tried: readonly string[], down: DownEndpoints): boolean {
  return !tried.includes(authority) && (down.size === 0 || !down.has(authority));
}

function hasUntried(backend: Backend, tried: readonly string[], down: DownEndpoints): boolean {
  if (tried.length === 0 && down.size === 0) return backend.endpoints.length > 0;
  return backend.endpoints.some((endpoint) => mayTry(endpoint, tried, down));
}

function countUp({ endpoints }: Backend, down: DownEndpoints): number {
  if (down.size === 0) return endpoints.length;
  return endpoints.reduce((count, { authority }) => (down.has(authority) ? count : count + 1), 0);
}

/** One of the Endpoints that are up, each with the same chance; undefined where none is. */
function anyOf(endpoints: readonly Endpoint[], down: DownEndpoints, draw: () => number): Endpoint | undefined {
  const drawn = endpoints[Math.floor(draw() * endpoints.length)];
  if (drawn === undefined || down.size === 0 || !down.has(drawn.authority)) return drawn;
  const up = endpoints.filter(({ authority }) => !down.has(authority));
  return up[Math.floor(draw() * up.length)];
}
