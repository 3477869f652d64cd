// Which Endpoints are down, by the word of all workers: each speaks for those that it checks. What is not repeated in time is
// not believed any more, so a message that was lost, or a worker, leaves nobody out for long.

import type { PathRule } from '../../table/entries.ts';
import type { RouteTable } from '../../table/route-table.ts';

/** How an Endpoint is spoken to: one that takes no TLS handshake any more may still take connections. */
export type Security = 'plain' | 'tls';

declare const checkKeyBrand: unique symbol;

/** What is checked: an authority, and how it is spoken to. */
export type CheckKey = string & { readonly [checkKeyBrand]: true };

export function checkKey(authority: string, security: Security): CheckKey {
  return `${security} ${authority}` as CheckKey;
}

/** How the Endpoints of a rule are spoken to by the router itself. */
export function securityOf(rule: PathRule): Security {
  return rule.upstreamTls === null ? 'plain' : 'tls';
}

/** How many Endpoints a rule's requests are shared among: those of its Services with a weight. */
export function activeEndpoints(rule: PathRule, table: RouteTable): number {
  let count = 0;
  for (const { backend, weight } of rule.backends) {
    if (weight > 0) count += table.backends.get(backend)?.endpoints.length ?? 0;
  }
  return count;
}

/** Authorities that are down. */
export type DownEndpoints = { readonly size: number; has(authority: string): boolean };

const nobody: DownEndpoints = new Set();

export class EndpointHealth {
  /** Whether any Endpoint is down: all that a request asks as long as none is. */
  anyDown = false;
  /** Is told that Endpoints have gone down or come up. */
  onChange: () => void = () => {};
  /** When each worker last said so of each. */
  readonly #words: Map<number, Map<CheckKey, number>> = new Map();
  /** Authorities, and how many workers say that they are down. */
  readonly #down: Readonly<Record<Security, Map<string, number>>> = { plain: new Map(), tls: new Map() };

  /** Authorities that requests of a rule are to pass by. None for a rule that has one Endpoint only: it is not checked for it. */
  downFor(rule: PathRule, table: RouteTable): DownEndpoints {
    if (!this.anyDown) return nobody;
    const down = this.#down[securityOf(rule)];
    return down.size === 0 || activeEndpoints(rule, table) < 2 ? nobody : down;
  }

  isDown(key: CheckKey): boolean {
    const [security, authority] = parts(key);
    return this.#down[security].has(authority);
  }

  /** A worker says that these are down, or still are. */
  markDown(worker: number, keys: readonly CheckKey[], nowMs: number): void {
    let words = this.#words.get(worker);
    if (words === undefined) {
      words = new Map();
      this.#words.set(worker, words);
    }
    let changed = false;
    for (const key of keys) {
      if (!words.has(key) && this.#count(key, 1) === 1) changed = true;
      words.set(key, nowMs);
    }
    this.anyDown = this.size > 0;
    if (changed) this.onChange();
  }

  /** A worker says that these are not down any more, or not its to check. */
  markUp(worker: number, keys: readonly CheckKey[]): void {
    const words = this.#words.get(worker);
    if (words === undefined) return;
    let changed = false;
    for (const key of keys) if (words.delete(key) && this.#count(key, -1) === 0) changed = true;
    if (words.size === 0) this.#words.delete(worker);
    this.anyDown = this.size > 0;
    if (changed) this.onChange();
  }

  /** Forgets what was said by workers other than these. */
  keepOnly(workers: readonly number[]): void {
    for (const [worker, words] of this.#words) if (!workers.includes(worker)) this.markUp(worker, [...words.keys()]);
  }

  /** Forgets what others than `self` have not repeated since. */
  forgetBefore(self: number, sinceMs: number): void {
    for (const [worker, words] of this.#words) {
      if (worker === self) continue;
      const old: CheckKey[] = [];
      for (const [key, saidMs] of words) if (saidMs < sinceMs) old.push(key);
      this.markUp(worker, old);
    }
  }

  /** Answers how many workers say that it is down now. */
  #count(key: CheckKey, by: 1 | -1): number {
    const [security, authority] = parts(key);
    const counts = this.#down[security];
    const count = (counts.get(authority) ?? 0) + by;
    if (count > 0) counts.set(authority, count);
    else counts.delete(authority);
    return count;
  }

  /** How many are down. */
  get size(): number {
    return this.#down.plain.size + this.#down.tls.size;
  }
}

function parts(key: CheckKey): [Security, string] {
  return key.startsWith('tls ') ? ['tls', key.slice(4)] : ['plain', key.slice(6)];
}
