// Holds a Route back until the Secrets that it names are known, and says which Secrets are wanted. Without it a Route would be
// refused for the moment that reading takes, and one that changes its Secrets would be cut meanwhile.

import type { ManifestEvent, ManifestKey, RouteManifest } from '../source/manifests.ts';
import { secretKeysOf } from './cluster-state.ts';

/** Asks for a Secret, or says that it is not wanted any more. An answer follows for each that is wanted. */
export type Wanting = (namespace: string, name: string, wanted: boolean) => void;

type Held = { readonly event: ManifestEvent; readonly secrets: ReadonlySet<ManifestKey> };

const none: ReadonlySet<ManifestKey> = new Set();

export class SecretGate {
  readonly #want: Wanting;
  readonly #known: Set<ManifestKey> = new Set();
  /** The Routes that name a Secret, in the version that has passed or in the one that is held. */
  readonly #wanters: Map<ManifestKey, Set<ManifestKey>> = new Map();
  /** By Route: the Secrets of the version that has passed. */
  readonly #passed: Map<ManifestKey, ReadonlySet<ManifestKey>> = new Map();
  readonly #held: Map<ManifestKey, Held> = new Map();

  constructor(want: Wanting) {
    this.#want = want;
  }

  /** What may pass now: the event itself, nothing yet, or with a Secret's first answer the Routes that waited for it. */
  put(event: ManifestEvent): ManifestEvent[] {
    if (event.key.startsWith('Route/')) return this.#putRoute(event);
    if (!event.key.startsWith('Secret/')) return [event];
    // An answer that was under way when the last Route lost interest.
    const wanters = this.#wanters.get(event.key);
    if (wanters === undefined) return [];
    this.#known.add(event.key);
    const passing = [event];
    for (const route of [...wanters]) {
      const held = this.#held.get(route);
      if (held !== undefined && this.#areKnown(held.secrets)) passing.push(...this.#pass(held.event, held.secrets));
    }
    return passing;
  }

  /** Routes that wait for a Secret. */
  get waiting(): number {
    return this.#held.size;
  }

  #putRoute(event: ManifestEvent): ManifestEvent[] {
    const secrets = event.manifest?.kind === 'Route' ? secretEventKeysOf(event.manifest) : none;
    if (this.#areKnown(secrets)) return this.#pass(event, secrets);
    const before = this.#held.get(event.key)?.secrets ?? none;
    this.#held.set(event.key, { event, secrets });
    for (const secret of secrets) this.#take(event.key, secret);
    return [...before].flatMap((left) => this.#leave(event.key, left));
  }

  #areKnown(secrets: ReadonlySet<ManifestKey>): boolean {
    for (const secret of secrets) if (!this.#known.has(secret)) return false;
    return true;
  }

  #pass(event: ManifestEvent, secrets: ReadonlySet<ManifestKey>): ManifestEvent[] {
    const { key } = event;
    const before = new Set([...(this.#held.get(key)?.secrets ?? none), ...(this.#passed.get(key) ?? none)]);
    this.#held.delete(key);
    if (secrets.size === 0) this.#passed.delete(key);
    else this.#passed.set(key, secrets);
    for (const secret of secrets) this.#take(key, secret);
    // What is let go of follows the Route that does not name it any more.
    return [event, ...[...before].flatMap((left) => this.#leave(key, left))];
  }

  #take(route: ManifestKey, secret: ManifestKey): void {
    const wanters = this.#wanters.get(secret);
    if (wanters !== undefined) {
      wanters.add(route);
      return;
    }
    this.#wanters.set(secret, new Set([route]));
    this.#ask(secret, true);
  }

  /** Lets go of a Secret, unless the Route still names it in one of its two versions. */
  #leave(route: ManifestKey, secret: ManifestKey): ManifestEvent[] {
    if (this.#passed.get(route)?.has(secret) === true || this.#held.get(route)?.secrets.has(secret) === true) return [];
    const wanters = this.#wanters.get(secret);
    wanters?.delete(route);
    if (wanters === undefined || wanters.size > 0) return [];
    this.#wanters.delete(secret);
    this.#known.delete(secret);
    this.#ask(secret, false);
    return [{ key: secret, manifest: undefined }];
  }

  #ask(secret: ManifestKey, wanted: boolean): void {
    const [, namespace = '', name = ''] = secret.split('/');
    this.#want(namespace, name, wanted);
  }
}

function secretEventKeysOf(route: RouteManifest): ReadonlySet<ManifestKey> {
  return new Set([...secretKeysOf(route)].map((key) => `Secret/${key}` as ManifestKey));
}
