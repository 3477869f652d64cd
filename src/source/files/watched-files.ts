// A few files that are read whole and read again when they change: certificates that something else renews. Follows the
// symlink swaps of mounted Secrets, and looks again every few seconds where the file system sends no events.

import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const lookAgainMs = 2_000;
/** Writers that are not atomic are given this long. */
const settleMs = 20;
/** Revocation lists may have megabytes. */
const maxFileBytes = 1 << 24;

/** Text of each path in order; null where there is no such file. */
export type FileTexts = readonly (string | null)[];

/** `folder`: whose files are read too, behind the others; those whose names begin with a dot are not. Encoding: UTF-8 unless said. */
export type WatchOptions = { readonly folder?: string; readonly encoding?: 'utf8' | 'latin1' };

export class WatchedFiles {
  readonly #paths: readonly string[];
  readonly #folder: string;
  readonly #encoding: 'utf8' | 'latin1';
  readonly #onChange: (texts: FileTexts, paths: readonly string[]) => void;
  readonly #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | null = null;
  /** When to look at the latest: whoever goes on writing beside the files must not put it off for ever. */
  #lookByMs = 0;
  #texts: FileTexts = [];
  #textPaths: readonly string[] = [];
  #looking: Promise<void> | null = null;
  #closed = false;

  /** `onChange` hears of every new content, the first one too, with the paths that the texts are from. */
  constructor(
    paths: readonly string[],
    onChange: (texts: FileTexts, paths: readonly string[]) => void,
    { folder = '', encoding = 'utf8' }: WatchOptions = {},
  ) {
    this.#paths = paths;
    this.#folder = folder;
    this.#encoding = encoding;
    this.#onChange = onChange;
  }

  /** Resolves when the files have been read for the first time. */
  async start(): Promise<void> {
    await this.#look();
    const folders = this.#folder === '' ? [] : [this.#folder];
    for (const directory of new Set([...this.#paths.map(dirname), ...folders])) {
      try {
        const watcher = watch(directory, () => this.#lookIn(settleMs));
        watcher.on('error', () => {
          // The directory is gone; the timer goes on looking.
        });
        this.#watchers.push(watcher);
      } catch {
        // No events on this file system; the timer looks.
      }
    }
    this.#lookIn(lookAgainMs);
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
  }

  #lookIn(ms: number): void {
    if (this.#closed) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const waitMs = Math.min(ms, Math.max(0, this.#lookByMs - performance.now()));
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => this.#lookIn(lookAgainMs));
    }, waitMs);
    this.#timer.unref();
  }

  #look(): Promise<void> {
    this.#lookByMs = performance.now() + lookAgainMs;
    this.#looking ??= this.#read().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #read(): Promise<void> {
    const paths = await this.#listed();
    // A folder that cannot be listed says nothing of its files.
    if (paths === null) return;
    const texts = await Promise.all(paths.map((path) => readText(path, this.#encoding)));
    if (this.#closed || (sameItems(texts, this.#texts) && sameItems(paths, this.#textPaths))) return;
    this.#texts = texts;
    this.#textPaths = paths;
    this.#onChange(texts, paths);
  }

  async #listed(): Promise<readonly string[] | null> {
    if (this.#folder === '') return this.#paths;
    try {
      const names = (await readdir(this.#folder)).filter((name) => !name.startsWith('.'));
      return [...this.#paths, ...names.sort().map((name) => join(this.#folder, name))];
    } catch {
      return null;
    }
  }
}

function sameItems<T>(some: readonly T[], others: readonly T[]): boolean {
  return some.length === others.length && some.every((item, i) => item === others[i]);
}

async function readText(path: string, encoding: 'utf8' | 'latin1'): Promise<string | null> {
  try {
    const text = await readFile(path, encoding);
    return text.length > maxFileBytes ? null : text;
  } catch {
    return null;
  }
}
