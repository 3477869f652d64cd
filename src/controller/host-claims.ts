// Who owns a Host. A pure index of Claims and the rules of precedence (Route semantics 2.2): decided from the whole set of
// Claims, oldest first, so that the outcome never depends on the order in which they arrived. Whoever loses is decided anew
// whenever the set changes, so nobody has to be told that a winner has gone.

import type { RouteKey } from '../table/entries.ts';
import { type Host, isWildcard, parentOf } from '../table/host.ts';

/** A Route's wish for a Host and a path. */
export type Claim = {
  readonly route: RouteKey;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly createdMs: number;
  /** What it claims: the wildcard form for a `Subdomain` policy. */
  readonly host: Host;
  /** As the Route has it, for messages. */
  readonly specHost: string;
  readonly path: string;
  readonly tls: 'none' | 'terminated' | 'passthrough';
};

/** `strict`: the namespace of the oldest Claim owns a Host. `shared`: namespaces do not matter. */
export type Ownership = 'strict' | 'shared';

/** What becomes of one Claim; `to` is null for a winner, else the Claim that it lost to. */
export type Decision = { readonly claim: Claim; readonly to: Claim | null };

/** Oldest first; creation has the grain of a second, so the UID and then the name break ties (Route semantics 2.2). */
export function compareAge(a: Claim, b: Claim): number {
  if (a.createdMs !== b.createdMs) return a.createdMs - b.createdMs;
  if (a.uid !== b.uid) return a.uid < b.uid ? -1 : 1;
  return a.route < b.route ? -1 : a.route > b.route ? 1 : 0;
}

/** Hosts below one parent domain, which a wildcard over it concerns. */
type Domain = {
  readonly hosts: Set<Host>;
  /** The wildcard Claims over this domain, oldest first, and which of them won. */
  wildcards: Claim[];
  winners: Claim[];
};

export class HostClaims {
  readonly #ownership: Ownership;
  readonly #claims: Map<RouteKey, Claim> = new Map();
  readonly #byHost: Map<Host, Claim[]> = new Map();
  readonly #domains: Map<string, Domain> = new Map();

  constructor(ownership: Ownership) {
    this.#ownership = ownership;
  }

  /** Puts a Route's Claim in place of its last one; null takes it back. Answers the Hosts to decide anew. */
  set(route: RouteKey, claim: Claim | null): Host[] {
    const before = this.#claims.get(route);
    const dirty = new Set<Host>();
    if (before !== undefined) this.#remove(before);
    if (claim !== null) this.#insert(claim);
    for (const changed of [before, claim]) {
      if (changed === undefined || changed === null) continue;
      dirty.add(changed.host);
      this.#followWildcards(changed, dirty);
    }
    return [...dirty];
  }

  claimOf(route: RouteKey): Claim | undefined {
    return this.#claims.get(route);
  }

  /** Every Claim on a Host with what becomes of it, oldest first. */
  decide(host: Host): Decision[] {
    const claims = this.#byHost.get(host) ?? [];
    if (isWildcard(host)) return this.#decideAmong(claims, (claim) => this.#elderUnder(claim));
    const winners = this.#domains.get(parentOf(host))?.winners ?? [];
    return this.#decideAmong(claims, (claim) => elderOf(winners, claim));
  }

  #decideAmong(claims: readonly Claim[], elderAcross: (claim: Claim) => Claim | undefined): Decision[] {
    const decisions: Decision[] = [];
    const active: Claim[] = [];
    let owner: string | undefined;
    for (const claim of claims) {
      const across = this.#ownership === 'strict' ? elderAcross(claim) : undefined;
      if (across !== undefined) {
        decisions.push({ claim, to: across });
        continue;
      }
      owner ??= claim.namespace;
      const foreign = this.#ownership === 'strict' && claim.namespace !== owner;
      const rival = active.find((other) => collide(other, claim));
      if (foreign || rival !== undefined) {
        decisions.push({ claim, to: namedOwner(active, claim) });
      } else {
        active.push(claim);
        decisions.push({ claim, to: null });
      }
    }
    return decisions;
  }

  /** A winner of another namespace on an exact Host below a wildcard Claim that is older than the Claim. */
  #elderUnder(wildcard: Claim): Claim | undefined {
    const domain = this.#domains.get(wildcard.host.slice(2));
    if (domain === undefined) return undefined;
    let eldest: Claim | undefined;
    for (const host of domain.hosts) {
      const first = this.#byHost.get(host)?.[0];
      if (first === undefined || compareAge(first, wildcard) > 0) continue;
      for (const { claim, to } of this.decide(host)) {
        if (compareAge(claim, wildcard) > 0) break;
        if (to !== null || claim.namespace === wildcard.namespace) continue;
        if (eldest === undefined || compareAge(claim, eldest) < 0) eldest = claim;
        break;
      }
    }
    return eldest;
  }

  /**
   * After a change below or of a wildcard: decides the wildcards of the domain anew, oldest first, since each depends on
   * elders only, and marks what hangs on them. A Host leaves a wildcard alone when the changed Claim is younger, or when all
   * Claims on it are of the wildcard's namespace: that is the common case, and keeps a new Route from costing as much as its
   * domain has Hosts. (Of the same namespace alone is not enough: who goes may make room for a stranger.)
   */
  #followWildcards(changed: Claim, dirty: Set<Host>): void {
    if (this.#ownership !== 'strict') return;
    const name = isWildcard(changed.host) ? changed.host.slice(2) : parentOf(changed.host);
    const domain = this.#domains.get(name);
    if (domain === undefined) return;
    const wildcardHost = domain.wildcards[0]?.host;
    const onHost = this.#byHost.get(changed.host) ?? [];
    const concerns = (wildcard: Claim): boolean =>
      compareAge(changed, wildcard) < 0 &&
      (changed.namespace !== wildcard.namespace || onHost.some((claim) => claim.namespace !== wildcard.namespace));
    if (!isWildcard(changed.host)) {
      if (wildcardHost === undefined || !domain.wildcards.some(concerns)) return;
      // The first Claim on a Host can only make wildcards lose. Those that have lost may have to be told of an elder one.
      if (onHost.length === 1 && onHost[0] === changed && !domain.winners.some(concerns)) {
        dirty.add(wildcardHost);
        return;
      }
    }
    const before = domain.winners;
    domain.winners = [];
    if (wildcardHost !== undefined) {
      dirty.add(wildcardHost);
      this.#decideWildcards(domain);
    }
    if (before.length !== domain.winners.length || before.some((claim, i) => claim !== domain.winners[i])) {
      for (const host of domain.hosts) dirty.add(host);
    }
    if (domain.hosts.size === 0 && domain.wildcards.length === 0) this.#domains.delete(name);
  }

  #decideWildcards(domain: Domain): void {
    let owner: string | undefined;
    for (const claim of domain.wildcards) {
      // Younger wildcards are not among the winners yet, so what is decided below sees elders only.
      if (this.#elderUnder(claim) !== undefined) continue;
      owner ??= claim.namespace;
      if (claim.namespace !== owner || domain.winners.some((other) => collide(other, claim))) continue;
      domain.winners.push(claim);
    }
  }

  #insert(claim: Claim): void {
    this.#claims.set(claim.route, claim);
    insertByAge(
      orInsert(this.#byHost, claim.host, () => []),
      claim,
    );
    if (isWildcard(claim.host)) insertByAge(this.#domain(claim.host.slice(2)).wildcards, claim);
    else this.#domain(parentOf(claim.host)).hosts.add(claim.host);
  }

  #remove(claim: Claim): void {
    this.#claims.delete(claim.route);
    const claims = (this.#byHost.get(claim.host) ?? []).filter((other) => other !== claim);
    if (claims.length > 0) this.#byHost.set(claim.host, claims);
    else this.#byHost.delete(claim.host);
    const wildcard = isWildcard(claim.host);
    const name = wildcard ? claim.host.slice(2) : parentOf(claim.host);
    const domain = this.#domain(name);
    if (wildcard) {
      domain.wildcards = domain.wildcards.filter((other) => other !== claim);
    } else if (claims.length === 0) {
      domain.hosts.delete(claim.host);
    }
    // A domain with winners still on record is cleaned up when they have been decided anew.
    if (domain.hosts.size === 0 && domain.wildcards.length === 0 && domain.winners.length === 0) {
      this.#domains.delete(name);
    }
  }

  #domain(name: string): Domain {
    return orInsert(this.#domains, name, () => ({ hosts: new Set(), wildcards: [], winners: [] }));
  }
}

/** Two Claims on one Host that cannot both be served (Route semantics 2.2, stage 2). */
function collide(a: Claim, b: Claim): boolean {
  if (a.path === b.path) return true;
  return a.tls !== 'none' && b.tls !== 'none' && (a.tls === 'passthrough' || b.tls === 'passthrough');
}

/** Whom the message names: the newest winner with the same path, else the newest. */
function namedOwner(active: readonly Claim[], loser: Claim): Claim | null {
  return active.findLast((claim) => claim.path === loser.path) ?? active.at(-1) ?? null;
}

/** The eldest of other namespaces' winners that is older than a Claim. */
function elderOf(winners: readonly Claim[], claim: Claim): Claim | undefined {
  return winners.find((winner) => winner.namespace !== claim.namespace && compareAge(winner, claim) < 0);
}

function insertByAge(claims: Claim[], claim: Claim): void {
  const at = claims.findIndex((other) => compareAge(claim, other) < 0);
  if (at < 0) claims.push(claim);
  else claims.splice(at, 0, claim);
}

function orInsert<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = make();
  map.set(key, value);
  return value;
}
