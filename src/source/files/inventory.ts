// Which file provides which object, and which version of it is in force. Pure: readings of files go in, differences come
// out. It never forgets an object by itself: what a reading no longer holds is kept until the caller releases it.

import { isDeepStrictEqual } from 'node:util';
import type { Manifest, ManifestEvent, ManifestKey } from '../manifests.ts';

/** An object that another place already defines. Line 1 is the file's first. */
export type Duplicate = { readonly file: string; readonly line: number; readonly reason: string };

type Placed = { readonly manifest: Manifest; readonly line: number };

type FileHoldings = {
  readonly path: string;
  /** What the newest reading holds. */
  live: Map<ManifestKey, Placed>;
  /** What it no longer holds but has not been released. */
  readonly kept: Map<ManifestKey, Manifest>;
  /** Live objects that are known to be duplicates: told once. */
  readonly duplicates: Set<ManifestKey>;
  /** Objects that the newest reading holds twice: told once. */
  repeated: Set<ManifestKey>;
};

/** What all files together provide. Of several files with the same object the one that sorts first is in force. */
export class Inventory {
  readonly #onEvent: (event: ManifestEvent) => void;
  readonly #onDuplicate: (duplicate: Duplicate) => void;
  readonly #files: Map<string, FileHoldings> = new Map();
  readonly #holders: Map<ManifestKey, FileHoldings[]> = new Map();
  /** Objects with several holders that something has happened to since duplicates were told. */
  readonly #contested: Set<ManifestKey> = new Set();
  readonly #inForce: Map<ManifestKey, Manifest> = new Map();

  constructor(onEvent: (event: ManifestEvent) => void, onDuplicate: (duplicate: Duplicate) => void) {
    this.#onEvent = onEvent;
    this.#onDuplicate = onDuplicate;
  }

  /** Starts a new reading of a file: its objects are put one by one and are in force at once. */
  reading(path: string): Reading {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = { path, live: new Map(), kept: new Map(), duplicates: new Set(), repeated: new Set() };
      this.#files.set(path, file);
    }
    const holdings = file;
    const placed = new Map<ManifestKey, Placed>();
    const repeated = new Set<ManifestKey>();
    return {
      put: (key, manifest, line) => {
        const first = placed.get(key);
        if (first !== undefined) {
          repeated.add(key);
          if (!holdings.repeated.has(key)) {
            this.#onDuplicate({ file: path, line, reason: `${key} is already defined in line ${first.line}` });
          }
          return;
        }
        const held = { manifest, line };
        const before = holdings.live.get(key);
        placed.set(key, held);
        holdings.live.set(key, held);
        if (before?.manifest === manifest) return;
        this.#hold(key, holdings);
        holdings.kept.delete(key);
        this.#settle(key);
      },
      end: () => {
        const before = holdings.live;
        holdings.live = placed;
        holdings.repeated = repeated;
        for (const [key, { manifest }] of before) {
          if (placed.has(key)) continue;
          holdings.kept.set(key, manifest);
          holdings.duplicates.delete(key);
          this.#settle(key);
        }
        return holdings.kept.size;
      },
    };
  }

  /** Releases what a file keeps but no longer holds, lazily: one object a step. */
  *release(path: string): Generator<ManifestKey> {
    const file = this.#files.get(path);
    if (file === undefined) return;
    for (const key of [...file.kept.keys()]) {
      file.kept.delete(key);
      this.#letGo(key, file);
      this.#settle(key);
      yield key;
    }
    if (file.live.size === 0) this.#files.delete(path);
  }

  /**
   * Tells of the objects that several files hold, each once. Called when all files that changed together have been read:
   * before that, an object on its way from one to another would pass for two.
   */
  tellDuplicates(): void {
    for (const key of this.#contested) {
      const holders = this.#holders.get(key) ?? [];
      const winner = winnerOf(key, holders);
      for (const loser of holders) {
        const placed = loser.live.get(key);
        if (loser === winner || placed === undefined || loser.duplicates.has(key)) continue;
        loser.duplicates.add(key);
        const reason = `${key} is already defined in ${winner?.path}`;
        this.#onDuplicate({ file: loser.path, line: placed.line, reason });
      }
    }
    this.#contested.clear();
  }

  #hold(key: ManifestKey, file: FileHoldings): void {
    const holders = this.#holders.get(key);
    if (holders === undefined) this.#holders.set(key, [file]);
    else if (!holders.includes(file)) holders.push(file);
  }

  #letGo(key: ManifestKey, file: FileHoldings): void {
    const left = (this.#holders.get(key) ?? []).filter((holder) => holder !== file);
    if (left.length === 0) this.#holders.delete(key);
    else this.#holders.set(key, left);
  }

  #settle(key: ManifestKey): void {
    const holders = this.#holders.get(key) ?? [];
    const winner = winnerOf(key, holders);
    winner?.duplicates.delete(key);
    if (holders.length > 1) this.#contested.add(key);
    const manifest = winner?.live.get(key)?.manifest ?? winner?.kept.get(key);
    const before = this.#inForce.get(key);
    if (manifest === before || (before !== undefined && isDeepStrictEqual(manifest, before))) return;
    if (manifest === undefined) this.#inForce.delete(key);
    else this.#inForce.set(key, manifest);
    this.#onEvent({ key, manifest });
  }
}

function winnerOf(key: ManifestKey, holders: readonly FileHoldings[]): FileHoldings | undefined {
  let winner: FileHoldings | undefined;
  for (const holder of holders) if (winner === undefined || isBefore(key, holder, winner)) winner = holder;
  return winner;
}

/** One reading of one file on its way into the inventory. */
export type Reading = {
  /** An object in the order of the file; of two with the same key the first counts. */
  readonly put: (key: ManifestKey, manifest: Manifest, line: number) => void;
  /** Ends the reading. Answers how many objects the file has lost and keeps. */
  readonly end: () => number;
};

/** A file that holds the object goes before one that only keeps it: so an object can move between files without a gap. */
function isBefore(key: ManifestKey, a: FileHoldings, b: FileHoldings): boolean {
  const aLive = a.live.has(key);
  return aLive === b.live.has(key) ? a.path < b.path : aLive;
}
