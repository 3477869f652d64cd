// The files of error pages (Route semantics 4.4, 5.17): one each for 503 and 404, and a folder of them by reason or status.
// Followed as they change; of a file whose new version is broken, the last good one stays.

import { basename, extname } from 'node:path';
import type { Config } from '../config/schema.ts';
import { type FileTexts, WatchedFiles } from '../source/files/watched-files.ts';
import type { ErrorPage } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';
import { type ErrorPageReading, readHtmlPage, readRawPage } from './error-page.ts';

export type ErrorPageSettings = Pick<Config, 'errorPage503Path' | 'errorPage404Path' | 'errorPagesDirectory'>;

/** A status, or a reason. */
const namePattern = /^(?:[45]\d\d|[a-z][a-z0-9]*(?:-[a-z0-9]+)*)$/;

export class ErrorPageFiles {
  readonly #files: WatchedFiles | null;
  /** The names of the first files; those of the folder say theirs. */
  readonly #names: readonly string[];
  readonly #possible: ReadonlySet<string>;
  /** Paths of the folder that have been told of as being for nothing. */
  readonly #told: Set<string> = new Set();
  readonly #log: Log;
  readonly #onChange: (pages: ReadonlyMap<string, ErrorPage>) => void;
  /** By path. */
  #good: Map<string, ErrorPage> = new Map();
  #problem = '';

  /**
   * `pageNames`: the reasons and statuses that there are answers with. `onChange` hears of all pages by name whenever one of them
   * has changed, for the first time within `start`.
   */
  constructor(
    settings: ErrorPageSettings,
    pageNames: readonly string[],
    log: Log,
    onChange: (pages: ReadonlyMap<string, ErrorPage>) => void,
  ) {
    const { errorPage503Path, errorPage404Path, errorPagesDirectory } = settings;
    this.#log = log;
    this.#onChange = onChange;
    const named = [
      { path: errorPage503Path, name: '503' },
      { path: errorPage404Path, name: '404' },
    ].filter(({ path }) => path !== '');
    this.#names = named.map(({ name }) => name);
    // What no Route is for is answered with 404 only where that has a page of its own.
    this.#possible = new Set(pageNames.filter((name) => name !== '404' || errorPage404Path !== ''));
    const paths = named.map(({ path }) => path);
    const onFiles = (texts: FileTexts, found: readonly string[]): void => this.#changed(texts, found);
    this.#files =
      paths.length === 0 && errorPagesDirectory === ''
        ? null
        : new WatchedFiles(paths, onFiles, { folder: errorPagesDirectory, encoding: 'latin1' });
  }

  /** Throws where a file cannot be used: who set a page up does not want another one. */
  async start(): Promise<void> {
    if (this.#files === null) return;
    await this.#files.start();
    if (this.#problem !== '') throw new Error(`an error page cannot be used: ${this.#problem}`);
  }

  close(): void {
    this.#files?.close();
  }

  #changed(texts: FileTexts, paths: readonly string[]): void {
    const good = new Map<string, ErrorPage>();
    const pages = new Map<string, ErrorPage>();
    const inFolder = new Map<string, string>();
    for (const [i, path] of paths.entries()) {
      const given = this.#names[i];
      const name = given ?? basename(path, extname(path));
      const other = inFolder.get(name);
      if (other !== undefined) {
        this.#complain(path, `is for the same page as ${other}`);
        continue;
      }
      const text = texts[i] ?? null;
      const reading = given === undefined ? readFromFolder(path, text) : readWhole(text);
      if (reading.kind === 'malformed') this.#complain(path, reading.problem);
      const page = reading.kind === 'page' ? reading.page : this.#good.get(path);
      if (page === undefined) continue;
      if (!this.#possible.has(name)) {
        this.#warn(path);
        continue;
      }
      good.set(path, page);
      // The folder goes before the two files: what it has is meant for this router.
      pages.set(name, page);
      if (given === undefined) inFolder.set(name, path);
    }
    this.#good = good;
    this.#log.info({ pages: [...pages.keys()] }, 'error pages');
    this.#onChange(pages);
  }

  #warn(path: string): void {
    if (this.#told.has(path)) return;
    this.#told.add(path);
    const possible = [...this.#possible].join(' ');
    this.#log.warn({ file: path, possible }, 'error page is for a status or reason that no answer has');
  }

  #complain(path: string, problem: string): void {
    this.#problem = `${path} ${problem}`;
    this.#log.error({ file: path, reason: problem }, 'error page cannot be used, the last good one stays');
  }
}

function readWhole(text: string | null): ErrorPageReading {
  return text === null ? malformed('cannot be read') : readRawPage(text);
}

function readFromFolder(path: string, text: string | null): ErrorPageReading {
  const extension = extname(path);
  if (!namePattern.test(basename(path, extension))) return malformed('is named after no status and no reason');
  if (extension === '.http') return readWhole(text);
  if (extension !== '.html') return malformed('is neither .html nor .http');
  return text === null ? malformed('cannot be read') : readHtmlPage(text);
}

function malformed(problem: string): ErrorPageReading {
  return { kind: 'malformed', problem };
}
