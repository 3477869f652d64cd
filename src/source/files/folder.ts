// A folder of YAML and JSON files as a source of objects, kept true while the files change. This file holds the timing: when
// to look, what to read again, and when to believe that something is gone. It never decides what an object means.

import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { decodeManifest } from '../decode-manifest.ts';
import { type Manifest, type ManifestEvent, type ManifestKey, manifestKey } from '../manifests.ts';
import { contentOf, type DocumentText, documentsOf } from './documents.ts';
import { Inventory } from './inventory.ts';
import { codeOf, isAbsent, type Notice, type Stamp, type Survey, stampOf, Tree } from './tree.ts';

/** Something in the folder that cannot be taken. Line 1 is the file's first; 0 means the whole file or directory. */
export type FolderProblem = { readonly file: string; readonly line: number; readonly reason: string };

/** What a Folder reads and whom it tells. */
export type FolderOptions = {
  readonly directory: string;
  /** Differences, in batches of some hundreds. Called between two slices of work: what it does adds to the slice. */
  readonly onEvents: (events: readonly ManifestEvent[]) => void;
  /** Called once for a problem, not again while it stays the same. */
  readonly onProblem: (problem: FolderProblem) => void;
  /** How often everything is looked at without a notice, for file systems that give none. Default 10 s. */
  readonly rescanMs?: number;
};

/** One document as it was read: reused for as long as its text is in the file. */
type ReadDocument = {
  readonly objects: readonly { readonly key: ManifestKey; readonly manifest: Manifest }[];
  readonly faults: readonly { readonly line: number; readonly reason: string }[];
};

type FileState = {
  readonly path: string;
  stamp: Stamp | null;
  /** The stamp was taken so soon after a write that a second write in the same tick would not show in it. */
  isFresh: boolean;
  /** The documents of the newest reading; null: the file is gone. */
  version: readonly ReadDocument[] | null;
  documents: ReadonlyMap<string, ReadDocument>;
  /** When a loss may be believed if the file is still the same; 0: nothing is waiting. */
  secondLookMs: number;
};

const maxFileBytes = 256 * 1024 * 1024;
/** Without another notice. Who writes into a file may not be done; what is renamed is complete. */
const quietMs: Readonly<Record<Notice, number>> = { written: 4, renamed: 1 };
const maxNoticeWaitMs = 50;
const secondLookDelayMs = 60;
const defaultRescanMs = 10_000;
// The kernel stamps with its tick (4 ms where it is slow); file systems over the network may be coarser.
const freshMs = 50;
const sliceMs = 5;
const eventsPerBatch = 500;
const filesAtOnce = 16;
const bytesAtOnce = 8 * 1024 * 1024;

/**
 * Watches a folder and tells how the objects in it differ from what it told before. Additions and changes are told at once.
 * A loss is believed at a second look only, and not while the file holds anything broken; the folder itself vanishing
 * removes nothing.
 */
export class Folder {
  readonly #options: FolderOptions;
  readonly #tree: Tree;
  readonly #inventory: Inventory;
  readonly #files: Map<string, FileState> = new Map();
  /** What was told of paths that cannot be read, so that it is told once. */
  readonly #troubles: Map<string, string> = new Map();
  #noticed: Set<string> = new Set();
  #firstNoticeMs = 0;
  #noticeTimer: NodeJS.Timeout | undefined;
  #secondLookTimer: NodeJS.Timeout | undefined;
  #rescanTimer: NodeJS.Timeout | undefined;
  #isDue = false;
  #running: Promise<void> | null = null;
  #isClosed = false;
  #events: ManifestEvent[] = [];
  #sliceStartMs = 0;

  constructor(options: FolderOptions) {
    this.#options = options;
    this.#tree = new Tree(
      resolve(options.directory),
      (path, how) => this.#notice(path, how),
      (path, code) =>
        this.#tell(`watch ${code}`, path, `cannot be watched (${code}); it is looked at from time to time`),
    );
    this.#inventory = new Inventory(
      (event) => this.#events.push(event),
      (duplicate) => options.onProblem(duplicate),
    );
  }

  /** Resolves when everything in the folder has been told. Rejects with one Error if the folder cannot be listed. */
  async start(): Promise<void> {
    const fault = await this.#tree.rootFault();
    if (fault !== null) throw new Error(`cannot read the folder ${this.#options.directory} (${fault})`);
    if (this.#isClosed) return;
    this.#rescanTimer = setInterval(() => this.#lookSoon(this.#tree.root), this.#options.rescanMs ?? defaultRescanMs);
    await this.#lookSoon(this.#tree.root);
  }

  /** Ends the watching. Nothing is told after it has resolved. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#noticeTimer);
    clearTimeout(this.#secondLookTimer);
    clearInterval(this.#rescanTimer);
    await this.#running;
    this.#tree.close();
  }

  #notice(path: string, how: Notice): void {
    if (this.#isClosed) return;
    const nowMs = performance.now();
    if (this.#noticed.size === 0) this.#firstNoticeMs = nowMs;
    this.#noticed.add(path);
    const waitMs = Math.min(quietMs[how], Math.max(0, this.#firstNoticeMs + maxNoticeWaitMs - nowMs));
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => void this.#lookSoon(), waitMs);
  }

  /** Looks at what was noticed, after the look that may be under way: never two at once. */
  #lookSoon(path?: string): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    if (path !== undefined) this.#noticed.add(path);
    this.#isDue = true;
    this.#running ??= this.#lookWhileDue();
    return this.#running;
  }

  async #lookWhileDue(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      const paths = this.#noticed;
      this.#noticed = new Set();
      this.#sliceStartMs = performance.now();
      await this.#look(paths);
      this.#flush();
    }
    this.#running = null;
    this.#armSecondLook();
  }

  async #look(paths: ReadonlySet<string>): Promise<void> {
    const survey: Survey = { files: new Map(), unreadable: new Map() };
    const covered = new Set<string>();
    for (const path of paths.has(this.#tree.root) ? [this.#tree.root] : paths) {
      if (!isUnder(covered, path)) covered.add(await this.#tree.look(path, survey));
    }
    const gone = await this.#filesGone(covered, survey);
    this.#reportUnreadable(covered, survey);
    const changed = [...survey.files].filter(([path, stamp]) => this.#mayHaveChanged(path, stamp));
    changed.sort(([a], [b]) => (a < b ? -1 : 1));
    for (let i = 0; i < changed.length && !this.#isClosed; ) {
      const batch: Promise<Reading>[] = [];
      for (let bytes = 0; i < changed.length && batch.length < filesAtOnce && bytes < bytesAtOnce; i++) {
        const [path, stamp] = changed[i] ?? [];
        if (path === undefined || stamp === undefined) break;
        bytes += stamp.sizeBytes;
        batch.push(readingOf(path));
      }
      for (const reading of await Promise.all(batch)) {
        if (this.#isClosed) return;
        if (reading.kind === 'absent') gone.push(reading.path);
        else if (reading.kind === 'unreadable') this.#fail(reading.path, reading.reason);
        else await this.#take(reading.path, reading.bytes, reading.stamp);
      }
    }
    // After what came: an object that moved to another file is then held there already.
    for (const path of gone) if (!this.#isClosed) await this.#takeAbsence(path);
    if (!this.#isClosed) this.#inventory.tellDuplicates();
  }

  /** The known files that a survey says are gone: none while the folder itself cannot be read. */
  async #filesGone(covered: ReadonlySet<string>, survey: Survey): Promise<string[]> {
    const gone: string[] = [];
    // The common case, one file written, must not cost a walk over all that are known.
    const unseen = new Set([...covered].filter((path) => !survey.files.has(path)));
    for (const path of unseen.size === 0 ? [] : this.#files.keys()) {
      if (isUnder(unseen, path) && !survey.files.has(path) && !isUnder(survey.unreadable, path)) gone.push(path);
    }
    if (gone.length > 0 || survey.unreadable.has(this.#tree.root)) {
      const fault = await this.#tree.rootFault();
      if (fault !== null) survey.unreadable.set(this.#tree.root, fault);
    }
    for (const file of survey.unreadable.size === 0 ? [] : this.#files.values()) {
      if (isUnder(survey.unreadable, file.path)) startAnew(file);
    }
    return survey.unreadable.has(this.#tree.root) ? [] : gone;
  }

  #reportUnreadable(covered: ReadonlySet<string>, survey: Survey): void {
    for (const path of this.#troubles.keys()) {
      const isSettled = isUnder(covered, path) && !survey.files.has(path) && !isUnder(survey.unreadable, path);
      if (isSettled) this.#troubles.delete(path);
    }
    for (const [path, code] of survey.unreadable) {
      const reason = path === this.#tree.root ? `the folder cannot be read (${code})` : `cannot be read (${code})`;
      this.#fail(path, `${reason}; what it provided stays in force`);
    }
  }

  #mayHaveChanged(path: string, stamp: Stamp): boolean {
    const file = this.#files.get(path);
    if (file === undefined || file.isFresh || file.stamp?.mark !== stamp.mark) return true;
    return file.secondLookMs > 0 && file.secondLookMs <= performance.now();
  }

  /** Takes a reading of a file: what is new or changed at once, what is lost at a second look with the same result. */
  async #take(path: string, bytes: Buffer, stamp: Stamp): Promise<void> {
    this.#troubles.delete(path);
    const file = this.#fileAt(path);
    file.stamp = stamp;
    file.isFresh = Date.now() - stamp.changedMs < freshMs;
    const documents = new Map<string, ReadDocument>();
    const version: ReadDocument[] = [];
    const reading = this.#inventory.reading(path);
    for (const document of documentsOf(bytes)) {
      const known = documents.get(document.text) ?? file.documents.get(document.text);
      const read = known ?? (await this.#read(path, document));
      documents.set(document.text, read);
      version.push(read);
      for (const { key, manifest } of read.objects) {
        reading.put(key, manifest, document.line + 1);
        await this.#restIfLate();
        if (this.#isClosed) return;
      }
      await this.#restIfLate();
      if (this.#isClosed) return;
    }
    const mayLose = reading.end() > 0 && !version.some(({ faults }) => faults.length > 0);
    const isSecondLook = file.secondLookMs > 0 && file.version !== null && isSameVersion(file.version, version);
    file.version = version;
    file.documents = documents;
    if (mayLose && isSecondLook) await this.#believeLoss(file);
    else this.#waitForSecondLook(file, mayLose);
  }

  async #takeAbsence(path: string): Promise<void> {
    const file = this.#files.get(path);
    if (file === undefined) return;
    if (file.version === null && file.secondLookMs > 0) {
      await this.#believeLoss(file);
      return;
    }
    file.stamp = null;
    file.version = null;
    this.#inventory.reading(path).end();
    this.#waitForSecondLook(file, true);
  }

  /** Releases what a file has lost, if the wait is over: the caller has seen the same again. */
  async #believeLoss(file: FileState): Promise<void> {
    if (file.secondLookMs > performance.now()) return;
    file.secondLookMs = 0;
    for (const _released of this.#inventory.release(file.path)) {
      await this.#restIfLate();
      if (this.#isClosed) return;
    }
    if (file.version === null) this.#files.delete(file.path);
  }

  #waitForSecondLook(file: FileState, isNeeded: boolean): void {
    file.secondLookMs = isNeeded ? performance.now() + secondLookDelayMs : 0;
  }

  /** One timer for all files that wait: it notices those that are due. */
  #armSecondLook(): void {
    clearTimeout(this.#secondLookTimer);
    if (this.#isClosed) return;
    const nowMs = performance.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { secondLookMs } of this.#files.values()) {
      if (secondLookMs > 0 && secondLookMs < nextMs) nextMs = secondLookMs;
    }
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#secondLookTimer = setTimeout(
      () => {
        for (const { path, secondLookMs } of this.#files.values()) {
          if (secondLookMs > 0 && secondLookMs <= performance.now()) this.#noticed.add(path);
        }
        void this.#lookSoon();
      },
      Math.max(1, Math.ceil(nextMs - nowMs)),
    );
  }

  async #read(path: string, { text, line }: DocumentText): Promise<ReadDocument> {
    const content = contentOf(text, path.endsWith('.json') ? 'json' : 'yaml');
    const objects: { key: ManifestKey; manifest: Manifest }[] = [];
    const faults: { line: number; reason: string }[] = [];
    if (content.kind === 'broken') faults.push({ line: line + content.line + 1, reason: content.reason });
    else {
      for (const object of content.objects) {
        const decoded = decodeManifest(object);
        if (decoded.kind === 'manifest') {
          objects.push({ key: manifestKey(decoded.manifest), manifest: decoded.manifest });
        } else if (decoded.kind === 'invalid') {
          const subject = decoded.key === null ? '' : `${decoded.key}: `;
          faults.push({ line: line + 1, reason: `${subject}${decoded.reason}` });
        }
        await this.#restIfLate();
      }
    }
    for (const fault of faults) this.#options.onProblem({ file: path, ...fault });
    return { objects, faults };
  }

  #fileAt(path: string): FileState {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = { path, stamp: null, isFresh: false, version: null, documents: new Map(), secondLookMs: 0 };
      this.#files.set(path, file);
    }
    return file;
  }

  #fail(path: string, reason: string): void {
    const file = this.#files.get(path);
    if (file !== undefined) startAnew(file);
    this.#tell(path, path, reason);
  }

  #tell(subject: string, file: string, reason: string): void {
    if (this.#troubles.get(subject) === reason) return;
    this.#troubles.set(subject, reason);
    this.#options.onProblem({ file, line: 0, reason });
  }

  async #restIfLate(): Promise<void> {
    const isFull = this.#events.length >= eventsPerBatch;
    if (isFull) this.#flush();
    if (!isFull && performance.now() - this.#sliceStartMs < sliceMs) return;
    await setImmediate();
    this.#sliceStartMs = performance.now();
  }

  #flush(): void {
    if (this.#events.length === 0 || this.#isClosed) return;
    const events = this.#events;
    this.#events = [];
    this.#options.onEvents(events);
  }
}

/** What cannot be read is read again as soon as it can, and a first look before does not count. */
function startAnew(file: FileState): void {
  file.stamp = null;
  file.secondLookMs = 0;
}

type Reading =
  | { readonly kind: 'read'; readonly path: string; readonly bytes: Buffer; readonly stamp: Stamp }
  | { readonly kind: 'absent'; readonly path: string }
  | { readonly kind: 'unreadable'; readonly path: string; readonly reason: string };

/** Reads a file. The stamp is older than the bytes: a write in between shows as a difference at the next look. */
async function readingOf(path: string): Promise<Reading> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path);
    const stats = await handle.stat({ bigint: true });
    const stamp = stampOf(stats);
    if (stamp.sizeBytes > maxFileBytes) {
      return { kind: 'unreadable', path, reason: `larger than ${maxFileBytes} bytes; it is not read` };
    }
    const bytes = Buffer.allocUnsafe(stamp.sizeBytes);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return { kind: 'read', path, bytes: bytes.subarray(0, length), stamp };
  } catch (error) {
    const code = codeOf(error);
    return isAbsent(code) ? { kind: 'absent', path } : { kind: 'unreadable', path, reason: `cannot be read (${code})` };
  } finally {
    await handle?.close();
  }
}

/** Whether a path or one of the directories above it is among these. */
function isUnder(paths: { has(path: string): boolean; readonly size: number }, path: string): boolean {
  if (paths.size === 0) return false;
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('/'))) {
    if (paths.has(at)) return true;
    if (!at.includes('/')) return false;
  }
}

function isSameVersion(a: readonly ReadDocument[], b: readonly ReadDocument[]): boolean {
  return a.length === b.length && a.every((document, index) => document === b[index]);
}
