// One kind of object, listed once and watched from then on. It tells differences only; what it cannot see it leaves as it
// was: nothing is ever removed because the API server failed to answer.

import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises';
import type { Decoded } from '../decode-manifest.ts';
import { type ManifestEvent, type ManifestKey, manifestKey } from '../manifests.ts';
import { type ApiClient, ApiError, asApiError, type Query } from './api-client.ts';
import { decodeObject } from './decode-object.ts';
import { pageOf, pageSize } from './list-page.ts';
import { Backoff } from './retry.ts';
import { BrokenWatch, type WatchEvent, WatchLines } from './watch-lines.ts';

/** A kind of the API and where its objects are. */
export type Resource = {
  readonly apiVersion: string;
  readonly kind: string;
  /** Such as `/apis/route.openshift.io/v1/routes`. */
  readonly path: string;
};

/** What an Informer reads and whom it tells. */
export type InformerOptions = {
  readonly client: ApiClient;
  readonly resource: Resource;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  /** A watch on which nothing comes for so long, not even a bookmark, is opened anew. The API server sends one a minute. */
  readonly inactivityMs: number;
  /** For what cannot be watched: how often it is listed. Null for the rest. */
  readonly pollMs: number | null;
  readonly onEvents: (events: readonly ManifestEvent[]) => void;
  /** The first list is complete, and everything in it has been told. */
  readonly onSynced: () => void;
  /** Something cannot be read; the same is not told twice in a row. The key is that of the object, if it is but one. */
  readonly onProblem: (reason: string, key: ManifestKey | null) => void;
  /** The API server has no such kind: the Informer has ended. Null: it may come yet. */
  readonly onMissing: (() => void) | null;
};

/** Objects of a page that are read in one turn of the event loop. */
const objectsPerTurn = 50;
/** A list that lacks more than half of what is known, and more than this, is asked for again; so is an empty one. */
const suspiciousLoss = 10;
const secondLookMs = 1_000;
/** The API server ends a watch by itself after so long; chosen at random, so that not all end at once. */
const watchSeconds = { least: 300, most: 600 };
/** A watch that ends sooner, and without an event, counts as a failure. */
const shortWatchMs = 1_000;
/** A list that expires between its pages as often as this is asked for in one piece. */
const maxPagedTries = 3;

export class Informer {
  readonly #options: InformerOptions;
  readonly #ended: AbortController = new AbortController();
  readonly #backoff: Backoff = new Backoff();
  /** Every object that was told, with the version that was told. */
  readonly #told: Map<ManifestKey, string> = new Map();
  /** Objects that could not be read and have never been: their end is told, as their coming was. */
  readonly #refused: Set<ManifestKey> = new Set();
  /** From which version the next watch goes on; null: a list is needed. */
  #version: string | null = null;
  /** Where a watch broke last: if it breaks there again, only a list helps. */
  #brokenAt: string | null = null;
  #synced = false;
  #heardMs: number = performance.now();
  #problem = '';
  /** Failures in a row. */
  #failures = 0;
  #running: Promise<void> | null = null;
  #fieldSelector: string;

  constructor(options: InformerOptions) {
    this.#options = options;
    this.#fieldSelector = options.fieldSelector;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  /** Whether there was a full list. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Milliseconds since the API server was last heard of this kind. */
  get silentMs(): number {
    return performance.now() - this.#heardMs;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        if (this.#version === null) await this.#list();
        if (this.#options.pollMs === null) await this.#watch();
        else await this.#pause(this.#options.pollMs);
        this.#backoff.reset();
        this.#failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (this.#options.onMissing !== null && !this.#synced && error instanceof ApiError && error.code === 404) {
          this.#options.onMissing();
          return;
        }
        this.#failed(error);
        await this.#backoff.wait(error, signal);
      }
    }
  }

  async #pause(pollMs: number): Promise<void> {
    await delay(pollMs, undefined, { signal: this.#ended.signal });
    this.#version = null;
  }

  #failed(error: unknown): void {
    const { resource } = this.#options;
    if (error instanceof ApiError && error.code === 410) {
      this.#version = null;
      return;
    }
    if (error instanceof BrokenWatch) {
      if (this.#brokenAt === this.#version) this.#version = null;
      this.#brokenAt = this.#version;
    }
    const { code, message } = asApiError(error, 'cannot go on');
    // Connections are cut now and then, and the next one stands at once: that alone is nothing to look at.
    if (++this.#failures === 1 && code === 0 && !(error instanceof BrokenWatch)) return;
    const help =
      code === 404 && resource.kind === 'Route' ? ' (is the Route CRD installed? see manifests/crd.yaml)' : '';
    this.#tell(`${resource.kind}: ${message}${help}`);
  }

  #tell(problem: string): void {
    if (problem !== '' && problem !== this.#problem) this.#options.onProblem(problem, null);
    this.#problem = problem;
  }

  /** Reads everything, tells what differs, and believes a great loss only when a second list says the same. */
  async #list(): Promise<void> {
    let suspected: ReadonlySet<ManifestKey> = new Set();
    for (;;) {
      const { found, version } = await this.#pages();
      const known = [...this.#told.keys(), ...this.#refused];
      const lost = known.filter((key) => !found.has(key));
      const unexpected = lost.filter((key) => !suspected.has(key)).length;
      const isEmptied = found.size === 0 && unexpected > 0;
      const isGreat = unexpected > suspiciousLoss && unexpected > known.length / 2;
      if (!isEmptied && !isGreat) {
        this.#version = version;
        this.#forget(lost);
        break;
      }
      this.#options.onProblem(
        `${this.#options.resource.kind}: the list lacks ${lost.length} of ${known.length} objects; asking again`,
        null,
      );
      suspected = new Set(lost);
      await delay(secondLookMs * (0.5 + Math.random() / 2), undefined, { signal: this.#ended.signal });
    }
    this.#failures = 0;
    this.#tell('');
    if (this.#synced) return;
    this.#synced = true;
    this.#options.onSynced();
  }

  #forget(lost: readonly ManifestKey[]): void {
    for (const key of lost) {
      this.#told.delete(key);
      this.#refused.delete(key);
    }
    if (lost.length > 0) this.#options.onEvents(lost.map((key) => ({ key, manifest: undefined })));
  }

  /** All pages of one list. What is new or changed is told page by page. */
  async #pages(): Promise<{ found: Set<ManifestKey>; version: string }> {
    for (let tries = 1; ; tries++) {
      const found = new Set<ManifestKey>();
      let next = '';
      try {
        for (;;) {
          const page = pageOf(
            await this.#get({ limit: tries > maxPagedTries ? '' : String(pageSize), continue: next }),
          );
          this.#ended.signal.throwIfAborted();
          this.#heardMs = performance.now();
          await this.#takeAll(page.items, found);
          next = page.next;
          if (next === '') return { found, version: page.version };
        }
      } catch (error) {
        // The pages took so long that the list they belong to is forgotten.
        if (next !== '' && error instanceof ApiError && error.code === 410 && tries <= maxPagedTries) continue;
        throw error;
      }
    }
  }

  /** Takes the objects of a page in parts, between which others have their turn. */
  async #takeAll(items: readonly unknown[], found: Set<ManifestKey>): Promise<void> {
    for (let at = 0; at < items.length; at += objectsPerTurn) {
      if (at > 0) {
        await immediate();
        this.#ended.signal.throwIfAborted();
      }
      const events: ManifestEvent[] = [];
      for (const item of items.slice(at, at + objectsPerTurn)) this.#take(item, events, found);
      if (events.length > 0) this.#options.onEvents(events);
    }
  }

  async #get(query: Query): Promise<unknown> {
    const { client, resource, labelSelector } = this.#options;
    const { signal } = this.#ended;
    try {
      return await client.get(resource.path, { ...query, labelSelector, fieldSelector: this.#fieldSelector }, signal);
    } catch (error) {
      // Not every server selects Routes by these fields; the shard looks at them again in any case.
      const mayWiden = resource.kind === 'Route' && this.#fieldSelector !== '';
      if (!mayWiden || !(error instanceof ApiError) || error.code !== 400) throw error;
      const answer = await client.get(resource.path, { ...query, labelSelector }, signal);
      this.#fieldSelector = '';
      return answer;
    }
  }

  async #watch(): Promise<void> {
    const { client, resource, labelSelector, inactivityMs } = this.#options;
    const { least, most } = watchSeconds;
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new ApiError(0, '', 'the watch is silent')), inactivityMs);
    const startedMs = performance.now();
    let isOpen = false;
    let events = 0;
    try {
      const body = await client.watch(
        resource.path,
        {
          watch: '1',
          allowWatchBookmarks: 'true',
          resourceVersion: this.#version ?? '',
          timeoutSeconds: String(Math.round(least + Math.random() * (most - least))),
          labelSelector,
          fieldSelector: this.#fieldSelector,
        },
        AbortSignal.any([this.#ended.signal, silence.signal]),
      );
      isOpen = true;
      this.#heardMs = performance.now();
      this.#tell('');
      const lines = new WatchLines();
      for await (const chunk of body) {
        timer.refresh();
        this.#heardMs = performance.now();
        const batch: ManifestEvent[] = [];
        try {
          for (const event of lines.read(chunk)) {
            this.#hear(event, batch);
            events++;
            // It works: what fails from now on is another failure.
            this.#backoff.reset();
            this.#failures = 0;
          }
        } finally {
          // What came before a broken line is sound.
          if (batch.length > 0) this.#options.onEvents(batch);
        }
      }
    } catch (error) {
      // Silence on an open watch is met by a new one at once: there may be nothing to tell.
      if (silence.signal.aborted && isOpen) return;
      throw asWatchError(error);
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
    if (events === 0 && performance.now() - startedMs < shortWatchMs) {
      throw new ApiError(0, '', 'the API server ends the watch at once');
    }
  }

  #hear({ type, object }: WatchEvent, batch: ManifestEvent[]): void {
    if (type === 'ERROR') {
      const { code, reason, message } = object;
      throw new ApiError(Number(code ?? 0), String(reason ?? ''), String(message ?? 'the watch failed'));
    }
    const { resourceVersion: version } = (object['metadata'] ?? {}) as { resourceVersion?: unknown };
    if (type === 'ADDED' || type === 'MODIFIED') this.#take(object, batch);
    else if (type === 'DELETED') this.#drop(object, batch);
    if (typeof version === 'string' && version !== '') this.#version = version;
  }

  /** Takes an object as it is now. One that cannot be read costs itself alone. */
  #take(object: unknown, batch: ManifestEvent[], found?: Set<ManifestKey>): void {
    const decoded = this.#decode(object);
    if (decoded.kind === 'invalid') {
      this.#options.onProblem(`${decoded.key ?? this.#options.resource.kind}: ${decoded.reason}`, decoded.key);
      if (decoded.key !== null) {
        // Its last sound version stays in force, if there was one.
        found?.add(decoded.key);
        if (!this.#told.has(decoded.key)) this.#refused.add(decoded.key);
      }
    }
    if (decoded.kind !== 'manifest') return;
    const { manifest } = decoded;
    const key = manifestKey(manifest);
    const version = versionOf(object);
    found?.add(key);
    if (version !== '' && this.#told.get(key) === version) return;
    this.#told.set(key, version);
    this.#refused.delete(key);
    batch.push({ key, manifest });
  }

  #drop(object: Readonly<Record<string, unknown>>, batch: ManifestEvent[]): void {
    const decoded = this.#decode(object);
    const key =
      decoded.kind === 'manifest' ? manifestKey(decoded.manifest) : decoded.kind === 'invalid' ? decoded.key : null;
    if (key === null) return;
    const wasRefused = this.#refused.delete(key);
    if (this.#told.delete(key) || wasRefused) batch.push({ key, manifest: undefined });
  }

  #decode(object: unknown): Decoded {
    const { apiVersion, kind } = this.#options.resource;
    return decodeObject(object, apiVersion, kind);
  }
}

function versionOf(object: unknown): string {
  const { metadata } = object as { metadata?: { resourceVersion?: unknown } };
  const version = metadata?.resourceVersion;
  return typeof version === 'string' ? version : '';
}

function asWatchError(error: unknown): unknown {
  return error instanceof BrokenWatch ? error : asApiError(error, 'the watch broke off');
}
