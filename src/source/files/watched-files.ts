// A few files that are read whole and read again when they change: certificates that something else renews. Follows the
// symlink swaps of mounted Secrets, and looks again every few seconds where the file system sends no events.

import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

const lookAgainMs = 2_000;
/** Writers that are not atomic are given this long. */
const settleMs = 20;
/** Revocation lists may have megabytes. */
const maxFileBytes = 1 << 24;

/** Text of each path in order; null where there is no such file. */
export type FileTexts = readonly (string | null)[];

export class WatchedFiles {
  readonly #paths: readonly string[];
  readonly #onChange: (texts: FileTexts) => void;
  readonly #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | null = null;
  #texts: FileTexts = [];
  #looking: Promise<void> | null = null;
  #closed = false;

  /** `onChange` hears of every new content, the first one too. */
  constructor(paths: readonly string[], onChange: (texts: FileTexts) => void) {
    this.#paths = paths;
    this.#onChange = onChange;
  }

  /** Resolves when the files have been read for the first time. */
  async start(): Promise<void> {
    await this.#look();
    for (const directory of new Set(this.#paths.map(dirname))) {
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
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => this.#lookIn(lookAgainMs));
    }, ms);
    this.#timer.unref();
  }

  #look(): Promise<void> {
    this.#looking ??= this.#read().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #read(): Promise<void> {
    const texts = await Promise.all(this.#paths.map(readText));
    if (this.#closed || (texts.length === this.#texts.length && texts.every((text, i) => text === this.#texts[i])))
      return;
    this.#texts = texts;
    this.#onChange(texts);
  }
}

async function readText(path: string): Promise<string | null> {
  try {
    const text = await readFile(path, 'utf8');
    return text.length > maxFileBytes ? null : text;
  } catch {
    return null;
  }
}
