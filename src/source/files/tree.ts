// The folder as a tree of directories: what is there, and word when something may have changed. It reads names and stamps,
// never the contents of a file.

import { type FSWatcher, watch } from 'node:fs';
import { access, constants, lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Identity and version of a file. Equal marks: not written to in between, unless within one tick of the kernel's clock. */
export type Stamp = { readonly mark: string; readonly sizeBytes: number; readonly changedMs: number };

/** What a look found: manifest files with their stamps, and paths that exist but cannot be read, with the error's code. */
export type Survey = { readonly files: Map<string, Stamp>; readonly unreadable: Map<string, string> };

/** What a notice is of: a name that has come, gone or been taken over, or bytes that were written (which may go on). */
export type Notice = 'renamed' | 'written';

/** A watch on a directory of this identity; null where there is none (any more), which the next look tries to mend. */
type Watch = { readonly id: string; watcher: FSWatcher | null };

type Directory = {
  readonly id: string;
  readonly own: Watch;
  /** Directories that links in this one point into, by their real path: a write there changes nothing here that could be seen. */
  readonly targets: Map<string, Watch>;
};

const statsAtOnce = 64;

/** The stamp that goes with what `stat` says. Change time is part of it: it moves even where a tool sets the old mtime again. */
export function stampOf(stats: {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}): Stamp {
  return {
    mark: `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`,
    sizeBytes: Number(stats.size),
    changedMs: Number(stats.ctimeNs / 1_000_000n),
  };
}

/** The code of a failed file operation: `ENOENT`, `EACCES`. */
export function codeOf(error: unknown): string {
  return (error as { code?: unknown }).code?.toString() ?? String(error);
}

/** Whether a failed file operation says that there is nothing of this name. */
export function isAbsent(code: string): boolean {
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** A folder and its sub-folders, each watched as soon as a look has passed through it. */
export class Tree {
  readonly root: string;
  readonly #onNotice: (path: string, how: Notice) => void;
  readonly #onUnwatched: (path: string, code: string) => void;
  readonly #directories: Map<string, Directory> = new Map();
  #parent: Watch | null = null;

  /** `onNotice` is called with the path that may have changed; `onUnwatched` with a directory that cannot be watched. */
  constructor(
    root: string,
    onNotice: (path: string, how: Notice) => void,
    onUnwatched: (path: string, code: string) => void,
  ) {
    this.root = root;
    this.#onNotice = onNotice;
    this.#onUnwatched = onUnwatched;
  }

  /** Null where the folder can be listed, otherwise the code of the error. */
  async rootFault(): Promise<string | null> {
    try {
      if (!(await stat(this.root)).isDirectory()) return 'ENOTDIR';
      await access(this.root, constants.R_OK | constants.X_OK);
      return null;
    } catch (error) {
      return codeOf(error);
    }
  }

  /**
   * Looks at a path and all below it. Answers the path that the survey covers: whatever was known at or below it and is
   * neither found nor unreadable is gone. A link stands for its directory, whose watches depend on where links point.
   */
  async look(path: string, survey: Survey): Promise<string> {
    if (path === this.root) {
      this.#watchParent();
      await this.#lookInto(path, survey);
      return path;
    }
    try {
      const stats = await lstat(path, { bigint: true });
      if (stats.isSymbolicLink()) return await this.look(dirname(path), survey);
      if (stats.isDirectory()) await this.#lookInto(path, survey);
      else if (stats.isFile() && isManifestName(path)) survey.files.set(path, stampOf(stats));
    } catch (error) {
      const code = codeOf(error);
      if (isAbsent(code)) this.#forget(path, new Set());
      else survey.unreadable.set(path, code);
    }
    return path;
  }

  /** Ends all watches. */
  close(): void {
    this.#parent?.watcher?.close();
    this.#forget(this.root, new Set());
  }

  async #lookInto(path: string, survey: Survey): Promise<void> {
    const ancestors = new Set<string>();
    for (let at = path; at !== this.root && at !== dirname(at); ) {
      at = dirname(at);
      const id = this.#directories.get(at)?.id;
      if (id !== undefined) ancestors.add(id);
    }
    const visited = new Set<string>();
    await this.#walk(path, ancestors, survey, visited);
    this.#forget(path, visited);
  }

  async #walk(path: string, ancestors: ReadonlySet<string>, survey: Survey, visited: Set<string>): Promise<void> {
    try {
      const id = idOf(await stat(path, { bigint: true }));
      if (ancestors.has(id)) return;
      // Watched before it is listed: what comes in between is noticed.
      const directory = this.#watched(path, id);
      visited.add(path);
      const links: string[] = [];
      const directories: string[] = [];
      const names = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('.'));
      const worthStat = names.filter(
        (entry) => entry.isSymbolicLink() || entry.isDirectory() || (entry.isFile() && isManifestName(entry.name)),
      );
      for (let i = 0; i < worthStat.length; i += statsAtOnce) {
        await Promise.all(
          worthStat.slice(i, i + statsAtOnce).map(async (entry) => {
            const entryPath = join(path, entry.name);
            if (entry.isDirectory()) {
              directories.push(entryPath);
              return;
            }
            try {
              const stats = await stat(entryPath, { bigint: true });
              if (stats.isDirectory()) directories.push(entryPath);
              else if (stats.isFile() && isManifestName(entryPath)) {
                survey.files.set(entryPath, stampOf(stats));
                if (entry.isSymbolicLink()) links.push(entryPath);
              }
            } catch (error) {
              const code = codeOf(error);
              if (!isAbsent(code) && isManifestName(entryPath)) survey.unreadable.set(entryPath, code);
            }
          }),
        );
      }
      await this.#watchTargets(path, directory, links);
      const below = new Set(ancestors).add(id);
      for (const entryPath of directories) await this.#walk(entryPath, below, survey, visited);
    } catch (error) {
      const code = codeOf(error);
      if (path === this.root || !isAbsent(code)) survey.unreadable.set(path, code);
    }
  }

  #watched(path: string, id: string): Directory {
    const known = this.#directories.get(path);
    if (known?.id === id && known.own.watcher !== null) return known;
    if (known !== undefined) closeDirectory(known);
    const name = basename(path);
    const own = this.#watch(path, id, (how, changed) => {
      // 1. No name, or kubelet's `..data`: links in this directory may lead elsewhere now.
      // 2. Its own name: the directory itself was moved or removed (or a child has the same name).
      // 3. Hidden: an editor's business.
      if (changed === null || changed.startsWith('..')) this.#onNotice(path, how);
      else if (!changed.startsWith('.')) {
        this.#onNotice(join(path, changed), how);
        if (changed === name) this.#onNotice(path, how);
      }
    });
    const directory: Directory = { id, own, targets: new Map() };
    this.#directories.set(path, directory);
    return directory;
  }

  async #watchTargets(path: string, directory: Directory, links: readonly string[]): Promise<void> {
    const targets = new Map<string, string>();
    for (const link of links) {
      try {
        const target = dirname(await realpath(link));
        if (!targets.has(target)) targets.set(target, idOf(await stat(target, { bigint: true })));
      } catch {
        // Gone since it was listed: the watch on this directory brings the next look.
      }
    }
    for (const [target, watched] of directory.targets) {
      if (targets.get(target) === watched.id && watched.watcher !== null) continue;
      watched.watcher?.close();
      directory.targets.delete(target);
    }
    for (const [target, id] of targets) {
      if (id === directory.id || directory.targets.has(target)) continue;
      directory.targets.set(
        target,
        this.#watch(target, id, (how) => this.#onNotice(path, how)),
      );
    }
  }

  // A folder that vanishes and comes back is seen from above only.
  #watchParent(): void {
    if (this.#parent !== null && this.#parent.watcher !== null) return;
    const name = basename(this.root);
    this.#parent = this.#watch(dirname(this.root), '', (how, changed) => {
      if (changed === null || changed === name) this.#onNotice(this.root, how);
    });
  }

  #watch(path: string, id: string, onChange: (how: Notice, name: string | null) => void): Watch {
    const own: Watch = { id, watcher: null };
    try {
      own.watcher = watch(path, (type, name) => onChange(type === 'rename' ? 'renamed' : 'written', name));
      own.watcher.on('error', () => {
        own.watcher?.close();
        own.watcher = null;
        onChange('written', null);
      });
    } catch (error) {
      const code = codeOf(error);
      if (!isAbsent(code)) this.#onUnwatched(path, code);
    }
    return own;
  }

  #forget(path: string, visited: ReadonlySet<string>): void {
    const below = path.endsWith('/') ? path : `${path}/`;
    for (const [known, directory] of this.#directories) {
      if (visited.has(known) || (known !== path && !known.startsWith(below))) continue;
      closeDirectory(directory);
      this.#directories.delete(known);
    }
  }
}

function closeDirectory(directory: Directory): void {
  directory.own.watcher?.close();
  for (const { watcher } of directory.targets.values()) watcher?.close();
}

function isManifestName(path: string): boolean {
  return /\.(?:ya?ml|json)$/.test(path);
}

function idOf(stats: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${stats.dev}:${stats.ino}`;
}
