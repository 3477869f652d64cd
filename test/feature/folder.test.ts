import { appendFile, mkdir, mkdtemp, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Folder, type FolderOptions, type FolderProblem } from '../../src/source/files/folder.ts';
import type { ManifestEvent } from '../../src/source/manifests.ts';

/** A Folder on a directory of its own, with all that it told and the state that this adds up to. */
class Watched implements AsyncDisposable {
  readonly directory: string;
  readonly base: string;
  readonly folder: Folder;
  readonly batches: (readonly ManifestEvent[])[] = [];
  readonly problems: FolderProblem[] = [];
  readonly state: Map<string, string> = new Map();
  #waiting: (() => void)[] = [];
  #markers = 0;

  constructor(base: string, options: Partial<FolderOptions> = {}) {
    this.base = base;
    this.directory = options.directory ?? join(base, 'routes');
    this.folder = new Folder({
      directory: this.directory,
      onEvents: (events) => {
        this.batches.push(events);
        for (const { key, manifest } of events) {
          if (manifest === undefined) this.state.delete(key);
          else this.state.set(key, manifest.kind === 'Route' ? manifest.host : manifest.kind);
        }
        this.#wake();
      },
      onProblem: (problem) => {
        this.problems.push(problem);
        this.#wake();
      },
      ...options,
    });
  }

  get events(): readonly ManifestEvent[] {
    return this.batches.flat();
  }

  /** The hosts of the Routes in force, by name, without markers. */
  get hosts(): Readonly<Record<string, string>> {
    const routes = [...this.state].filter(([key]) => !key.includes('marker'));
    return Object.fromEntries(routes.map(([key, host]) => [key.slice(key.lastIndexOf('/') + 1), host]));
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async untilHosts(hosts: Readonly<Record<string, string>>): Promise<void> {
    await this.until(() => isDeepStrictEqual(this.hosts, { ...hosts }));
  }

  /** Resolves when all that was written before has been looked at once. */
  async looked(): Promise<void> {
    const name = `marker${this.#markers++}`;
    await writeFile(join(this.directory, `zz-${name}.yaml`), route(name, name));
    await this.until(() => [...this.state.values()].includes(name));
  }

  /** Resolves when all that was gone before has been looked at twice. */
  async lookedTwice(): Promise<void> {
    await this.looked();
    const name = `marker${this.#markers - 1}`;
    await unlink(join(this.directory, `zz-${name}.yaml`));
    await this.until(() => ![...this.state.values()].includes(name));
  }

  write(name: string, text: string): Promise<void> {
    return writeFile(join(this.directory, name), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder.close();
    await rm(this.base, { recursive: true });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

async function watched(
  files: Readonly<Record<string, string>>,
  options: Partial<FolderOptions> = {},
): Promise<Watched> {
  const base = await mkdtemp(join(tmpdir(), 'headgate-folder-'));
  await mkdir(join(base, 'routes'));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(base, 'routes', name)), { recursive: true });
    await writeFile(join(base, 'routes', name), text);
  }
  return new Watched(base, options);
}

async function started(
  files: Readonly<Record<string, string>>,
  options: Partial<FolderOptions> = {},
): Promise<Watched> {
  const folder = await watched(files, options);
  await folder.folder.start();
  return folder;
}

function route(name: string, host: string): string {
  return `---\napiVersion: route.openshift.io/v1\nkind: Route\nmetadata:\n  name: ${name}\nspec:\n  host: ${host}\n  to:\n    name: s\n`;
}

function jsonRoute(name: string, host: string): string {
  return JSON.stringify({
    apiVersion: 'route.openshift.io/v1',
    kind: 'Route',
    metadata: { name },
    spec: { host, to: { name: 's' } },
  });
}

describe('start', () => {
  test('tells all that is in the folder and below before it resolves', async () => {
    await using folder = await started({
      'a.yaml': route('a', 'a.test') + route('b', 'b.test'),
      'sub/c.yml': route('c', 'c.test'),
      'sub/deep/d.json': jsonRoute('d', 'd.test'),
      'stream.json': `${jsonRoute('e', 'e.test')}\n---\n${jsonRoute('f', 'f.test')}\n`,
      'list.yaml': `kind: List\napiVersion: v1\nitems:\n- ${jsonRoute('g', 'g.test')}\n- ${jsonRoute('h', 'h.test')}\n`,
      'empty.yaml': '---\n# nothing\n---\n',
      'other.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n',
      'notes.txt': route('txt', 'txt.test'),
      '.hidden.yaml': route('hidden', 'hidden.test'),
      '.git/x.yaml': route('git', 'git.test'),
      '..2024/x.yaml': route('kubelet', 'kubelet.test'),
    });
    expect(folder.hosts).toEqual(Object.fromEntries([...'abcdefgh'].map((name) => [name, `${name}.test`])));
    expect(folder.problems).toEqual([]);
  });

  test('tells a large file in batches, and lets others run in between', async () => {
    const documents = Array.from({ length: 5_000 }, (_, i) => route(`r${i}`, `h${i}.test`));
    await using folder = await watched({ 'all.yaml': documents.join('') });
    let turns = 0;
    const counting = setInterval(() => turns++, 1);
    await folder.folder.start();
    clearInterval(counting);
    expect(folder.state.size).toBe(5_000);
    expect(Math.max(...folder.batches.map((batch) => batch.length))).toBeLessThanOrEqual(500);
    expect(turns).toBeGreaterThan(5);
  });

  test('rejects where there is no folder', async () => {
    await using folder = await watched({ 'file.yaml': '' });
    for (const [name, code] of [
      ['none', 'ENOENT'],
      ['file.yaml', 'ENOTDIR'],
    ]) {
      const directory = join(folder.directory, name ?? '');
      const other = new Folder({ directory, onEvents: () => {}, onProblem: () => {} });
      await expect(other.start()).rejects.toThrow(`cannot read the folder ${directory} (${code})`);
      await other.close();
    }
  });
});

describe('changes', () => {
  test('in place, by rename, appended, and in new files', async () => {
    await using folder = await started({ 'a.yaml': route('a', '1.test') });
    await folder.write('a.yaml', route('a', '2.test'));
    await folder.untilHosts({ a: '2.test' });
    await writeFile(join(folder.base, 'new'), route('a', '3.test'));
    await rename(join(folder.base, 'new'), join(folder.directory, 'a.yaml'));
    await folder.untilHosts({ a: '3.test' });
    await appendFile(join(folder.directory, 'a.yaml'), route('b', 'b.test'));
    await folder.untilHosts({ a: '3.test', b: 'b.test' });
    await folder.write('c.json', jsonRoute('c', 'c.test'));
    await folder.untilHosts({ a: '3.test', b: 'b.test', c: 'c.test' });
    expect(folder.problems).toEqual([]);
  });

  test('a second write of the same length right after the first', async () => {
    await using folder = await started({ 'a.yaml': route('a', '0.test') });
    for (let i = 1; i < 9; i++) {
      await folder.write('a.yaml', route('a', `${i}.test`));
      if (i % 2 === 0) await folder.looked();
    }
    await folder.untilHosts({ a: '8.test' });
  });

  test('in directories that appear, move and vanish', async () => {
    await using folder = await started({});
    await mkdir(join(folder.directory, 'x', 'y'), { recursive: true });
    await folder.write('x/y/a.yaml', route('a', '1.test'));
    await folder.untilHosts({ a: '1.test' });
    await folder.write('x/y/a.yaml', route('a', '2.test'));
    await folder.untilHosts({ a: '2.test' });
    await rename(join(folder.directory, 'x'), join(folder.directory, 'z'));
    await folder.looked();
    await folder.write('z/y/a.yaml', route('a', '3.test'));
    await folder.untilHosts({ a: '3.test' });
    await rm(join(folder.directory, 'z'), { recursive: true });
    await folder.untilHosts({});
    await mkdir(join(folder.directory, 'z', 'y'), { recursive: true });
    await folder.write('z/y/a.yaml', route('a', '4.test'));
    await folder.untilHosts({ a: '4.test' });
  });

  test('that are none give no event', async () => {
    await using folder = await started({ 'a.yaml': route('a', 'a.test') + route('b', 'b.test') });
    const before = folder.events.length;
    await folder.write(
      'a.yaml',
      `# words\n${route('b', 'b.test')}${route('a', 'a.test').replace('host: ', 'host:   ')}`,
    );
    await folder.lookedTwice();
    await rename(join(folder.directory, 'a.yaml'), join(folder.directory, 'b.yaml'));
    await folder.lookedTwice();
    const told = folder.events.slice(before).filter(({ key }) => !key.includes('marker'));
    expect(told).toEqual([]);
    expect(folder.problems).toEqual([]);
  });
});

describe('links', () => {
  // As kubelet does it: a new directory, `..data_tmp` pointing there, renamed over `..data`, the old directory removed.
  async function publish(directory: string, version: string, files: Readonly<Record<string, string>>): Promise<void> {
    await mkdir(join(directory, `..${version}`));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(directory, `..${version}`, name)), { recursive: true });
      await writeFile(join(directory, `..${version}`, name), text);
    }
    await symlink(`..${version}`, join(directory, '..data_tmp'));
    await rename(join(directory, '..data_tmp'), join(directory, '..data'));
  }

  test('a mounted ConfigMap is followed from version to version', async () => {
    await using folder = await watched({});
    await publish(folder.directory, 'v1', { 'a.yaml': route('a', '1.test'), 'sub/b.yaml': route('b', '1.test') });
    await symlink(join('..data', 'a.yaml'), join(folder.directory, 'a.yaml'));
    await symlink(join('..data', 'sub'), join(folder.directory, 'sub'));
    await folder.folder.start();
    expect(folder.hosts).toEqual({ a: '1.test', b: '1.test' });
    for (const version of ['2', '3', '4']) {
      const a = route('a', `${version}.test`);
      await publish(folder.directory, `v${version}`, { 'a.yaml': a, 'sub/b.yaml': route('b', `${version}.test`) });
      await rm(join(folder.directory, `..v${Number(version) - 1}`), { recursive: true });
      await folder.untilHosts({ a: `${version}.test`, b: `${version}.test` });
    }
    await folder.write('..v4/a.yaml', route('a', 'in-place.test'));
    await folder.untilHosts({ a: 'in-place.test', b: '4.test' });
    await publish(folder.directory, 'v5', { 'a.yaml': route('a', '5.test') });
    await unlink(join(folder.directory, 'sub'));
    await folder.untilHosts({ a: '5.test' });
    expect(folder.problems).toEqual([]);
  });

  test('a linked directory is followed, and again when the link moves', async () => {
    await using folder = await watched({});
    for (const version of ['1', '2']) {
      await mkdir(join(folder.base, version));
      await writeFile(join(folder.base, version, 'a.yaml'), route('a', `${version}.test`));
    }
    await symlink(join(folder.base, '1'), join(folder.directory, 'link'));
    await folder.folder.start();
    expect(folder.hosts).toEqual({ a: '1.test' });
    await symlink(join(folder.base, '2'), join(folder.base, 'tmp'));
    await rename(join(folder.base, 'tmp'), join(folder.directory, 'link'));
    await folder.untilHosts({ a: '2.test' });
    await writeFile(join(folder.base, '2', 'a.yaml'), route('a', '3.test'));
    await folder.untilHosts({ a: '3.test' });
  });

  test('a loop is not followed', async () => {
    await using folder = await watched({ 'sub/a.yaml': route('a', 'a.test') });
    await symlink('..', join(folder.directory, 'sub', 'up'));
    await symlink('.', join(folder.directory, 'here'));
    await folder.folder.start();
    expect(folder.hosts).toEqual({ a: 'a.test' });
    expect(folder.problems).toEqual([]);
  });

  test('what gives no notice is found by looking from time to time', async () => {
    await using folder = await watched({}, { rescanMs: 20 });
    for (const version of ['1', '2']) {
      await mkdir(join(folder.base, version));
      await writeFile(join(folder.base, version, 'a.yaml'), route('a', `${version}.test`));
    }
    await mkdir(join(folder.base, 'far'));
    await symlink(join(folder.base, '1'), join(folder.base, 'far', 'current'));
    await symlink(join(folder.base, 'far', 'current', 'a.yaml'), join(folder.directory, 'a.yaml'));
    await folder.folder.start();
    expect(folder.hosts).toEqual({ a: '1.test' });
    await symlink(join(folder.base, '2'), join(folder.base, 'far', 'new'));
    await rename(join(folder.base, 'far', 'new'), join(folder.base, 'far', 'current'));
    await folder.untilHosts({ a: '2.test' });
  });
});

describe('losses', () => {
  test('are believed at a second look', async () => {
    await using folder = await started({ 'a.yaml': route('a', 'a.test') + route('b', 'b.test') });
    const startMs = performance.now();
    await folder.write('a.yaml', route('a', '2.test'));
    await folder.until(() => folder.hosts['a'] === '2.test');
    expect(folder.hosts).toEqual({ a: '2.test', b: 'b.test' });
    await folder.untilHosts({ a: '2.test' });
    expect(performance.now() - startMs).toBeGreaterThan(60);
    await unlink(join(folder.directory, 'a.yaml'));
    await folder.untilHosts({});
    expect(folder.events.filter(({ manifest }) => manifest === undefined)).toHaveLength(2);
  });

  test('a file that is emptied and then written loses nothing', async () => {
    await using folder = await started({ 'a.yaml': route('a', 'a.test') });
    await truncate(join(folder.directory, 'a.yaml'));
    await folder.looked();
    await folder.write('a.yaml', route('a', 'a.test'));
    await folder.lookedTwice();
    await unlink(join(folder.directory, 'a.yaml'));
    await folder.looked();
    await folder.write('a.yaml', route('a', '2.test'));
    await folder.untilHosts({ a: '2.test' });
    await folder.lookedTwice();
    expect(folder.events.filter(({ key }) => key.endsWith('/a')).map(({ manifest }) => manifest !== undefined)).toEqual(
      [true, true],
    );
  });

  test('the whole folder: told once, nothing removed, compared when it is back', async () => {
    await using folder = await started({ 'a.yaml': route('a', 'a.test'), 'sub/b.yaml': route('b', 'b.test') });
    const away = join(folder.base, 'away');
    for (let i = 1; i <= 2; i++) {
      await rename(folder.directory, away);
      await folder.until(() => folder.problems.length === i);
      expect(folder.problems[i - 1]).toEqual({
        file: folder.directory,
        line: 0,
        reason: 'the folder cannot be read (ENOENT); what it provided stays in force',
      });
      await writeFile(join(away, 'a.yaml'), route('a', `${i}.test`));
      await rename(away, folder.directory);
      await folder.until(() => folder.hosts['a'] === `${i}.test`);
      await folder.lookedTwice();
      expect(folder.hosts).toEqual({ a: `${i}.test`, b: 'b.test' });
    }
    await rm(folder.directory, { recursive: true });
    await folder.until(() => folder.problems.length === 3);
    await mkdir(folder.directory);
    await folder.untilHosts({});
    expect(folder.problems).toHaveLength(3);
  });

  test('a loss seen once does not count when the folder has been away since', async () => {
    await using folder = await started({ 'a.yaml': route('a', 'a.test'), 'b.yaml': route('b', 'b.test') });
    await unlink(join(folder.directory, 'a.yaml'));
    await truncate(join(folder.directory, 'b.yaml'));
    await folder.looked();
    await rename(folder.directory, join(folder.base, 'away'));
    await folder.until(() => folder.problems.length === 1);
    expect(folder.hosts).toEqual({ a: 'a.test', b: 'b.test' });
    await rename(join(folder.base, 'away'), folder.directory);
    await folder.untilHosts({});
  });
});

describe('what is broken', () => {
  test('is told once with its line, and keeps the last good versions of its file', async () => {
    const broken = '---\nkind: Route\nbad: a: b\n';
    await using folder = await started({ 'a.yaml': route('a', 'a.test') + route('b', 'b.test') });
    await folder.write('a.yaml', route('a', '2.test') + broken);
    await folder.untilHosts({ a: '2.test', b: 'b.test' });
    const problem = {
      file: join(folder.directory, 'a.yaml'),
      line: 12,
      reason: 'not valid YAML: bad indentation of a mapping entry',
    };
    expect(folder.problems).toEqual([problem]);
    await folder.write('a.yaml', route('c', 'c.test') + broken);
    await folder.untilHosts({ a: '2.test', b: 'b.test', c: 'c.test' });
    await folder.lookedTwice();
    expect(folder.hosts).toEqual({ a: '2.test', b: 'b.test', c: 'c.test' });
    expect(folder.problems).toEqual([problem]);
    await folder.write('a.yaml', route('c', 'c.test'));
    await folder.untilHosts({ c: 'c.test' });
    await folder.write('a.yaml', route('c', 'c.test') + broken);
    await folder.until(() => folder.problems.length === 2);
  });

  test('an object that is refused keeps its last good version', async () => {
    await using folder = await started({ 'a.yaml': route('a', 'a.test') + route('b', 'b.test') });
    await folder.write('a.yaml', route('a', '2.test').replace('spec:', 'spec:\n  path: x') + route('b', '2.test'));
    await folder.until(() => folder.hosts['b'] === '2.test');
    await folder.lookedTwice();
    expect(folder.hosts).toEqual({ a: 'a.test', b: '2.test' });
    expect(folder.problems).toEqual([
      {
        file: join(folder.directory, 'a.yaml'),
        line: 2,
        reason: `Route/default/a: spec.path: Invalid value: "x": spec.path in body should match '^/'`,
      },
    ]);
  });

  test('a removed file loses its objects though it was broken', async () => {
    await using folder = await started({ 'a.yaml': `${route('a', 'a.test')}---\n{` });
    expect(folder.problems).toHaveLength(1);
    await unlink(join(folder.directory, 'a.yaml'));
    await folder.untilHosts({});
  });

  test('a file that cannot be read, or is too large, loses nothing and is told once', async () => {
    await using folder = await started({ 'a.yaml': route('a', 'a.test'), 'b.yaml': route('b', 'b.test') });
    const [a, b] = [join(folder.directory, 'a.yaml'), join(folder.directory, 'b.yaml')];
    await symlink('loop', join(folder.base, 'loop'));
    await rename(join(folder.base, 'loop'), a);
    await symlink('a.yaml', join(folder.directory, 'loop'));
    await unlink(a);
    await symlink('loop', a);
    await truncate(b, 257 * 1024 * 1024);
    await folder.until(() => folder.problems.some(({ file }) => file === b));
    await folder.lookedTwice();
    expect(folder.hosts).toEqual({ a: 'a.test', b: 'b.test' });
    expect(folder.problems.toSorted((x, y) => (x.file < y.file ? -1 : 1))).toEqual([
      { file: a, line: 0, reason: 'cannot be read (ELOOP); what it provided stays in force' },
      { file: b, line: 0, reason: 'larger than 268435456 bytes; it is not read' },
    ]);
    await unlink(a);
    await folder.write('a.yaml', route('a', '2.test'));
    await folder.write('b.yaml', route('b', '2.test'));
    await folder.untilHosts({ a: '2.test', b: '2.test' });
  });

  test('a device with the name of a manifest is passed over', async () => {
    await using folder = await watched({ 'a.yaml': route('a', 'a.test') });
    await symlink('/dev/zero', join(folder.directory, 'b.yaml'));
    await folder.folder.start();
    expect(folder.hosts).toEqual({ a: 'a.test' });
  });

  test('a document that multiplies itself by aliases is refused', async () => {
    const levels = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(10)}]\n`);
    await using folder = await started({ 'bomb.yaml': `a0: &a0 [x]\n${levels.join('')}` });
    expect(folder.problems.map(({ reason }) => reason)).toEqual(['not valid YAML: aliases exceeded maxAliases (100)']);
  });
});

test('the same object in two files: the first counts, the other takes over', async () => {
  await using folder = await started({
    'a.yaml': route('x', 'a.test'),
    'b.yaml': route('y', 'y.test') + route('x', 'b.test'),
  });
  const told = {
    file: join(folder.directory, 'b.yaml'),
    line: 11,
    reason: `Route/default/x is already defined in ${join(folder.directory, 'a.yaml')}`,
  };
  expect(folder.hosts).toEqual({ x: 'a.test', y: 'y.test' });
  await folder.write('b.yaml', route('y', '2.test') + route('x', 'c.test'));
  await folder.untilHosts({ x: 'a.test', y: '2.test' });
  await unlink(join(folder.directory, 'a.yaml'));
  await folder.untilHosts({ x: 'c.test', y: '2.test' });
  expect(folder.problems).toEqual([told]);
});

test('nothing is told after close', async () => {
  await using folder = await started({ 'a.yaml': route('a', 'a.test') });
  await folder.write('a.yaml', route('a', '2.test'));
  await folder.folder.close();
  const before = folder.events.length;
  await folder.write('b.yaml', route('b', 'b.test'));
  await using other = new Watched(await mkdtemp(join(tmpdir(), 'headgate-folder-')), { directory: folder.directory });
  await other.folder.start();
  await other.lookedTwice();
  expect(folder.events).toHaveLength(before);
});

test('any sequence of writes and removals ends as a fresh reading of the end', async () => {
  const file = fc.constantFrom('a.yaml', 'b.yaml', 'd/c.yaml', 'd/e/f.json');
  const contents = fc.uniqueArray(fc.constantFrom('p', 'q', 'r', 's'), { maxLength: 4 });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), file, contents, host: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ kind: fc.constant('replace' as const), file, contents, host: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ kind: fc.constant('remove' as const), file }),
    fc.record({ kind: fc.constant('rename' as const), file, to: file }),
    fc.constant({ kind: 'remove directory' as const }),
    fc.constant({ kind: 'turn' as const }),
    fc.constant({ kind: 'looked' as const }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      await using folder = await started({ 'a.yaml': route('p', 'start.test') });
      const at = (name: string) => join(folder.directory, name);
      for (const step of steps) {
        switch (step.kind) {
          case 'write':
          case 'replace': {
            const write = step.file.endsWith('.json') ? jsonRoute : route;
            const text = step.contents
              .map((name) => write(name, `${step.host}-${step.file.length}.test`))
              .join('\n---\n');
            await mkdir(dirname(at(step.file)), { recursive: true });
            if (step.kind === 'write') await writeFile(at(step.file), text);
            else {
              await writeFile(join(folder.base, 'new'), text);
              await rename(join(folder.base, 'new'), at(step.file));
            }
            break;
          }
          case 'remove':
            await rm(at(step.file), { force: true });
            break;
          case 'rename':
            await mkdir(dirname(at(step.to)), { recursive: true });
            if (step.file.endsWith('.yaml') && step.to.endsWith('.yaml'))
              await rename(at(step.file), at(step.to)).catch(() => {});
            break;
          case 'remove directory':
            await rm(at('d'), { recursive: true, force: true });
            break;
          case 'turn':
            await turn();
            break;
          case 'looked':
            await folder.looked();
            break;
          default:
            step satisfies never;
        }
      }
      await using fresh = new Watched(await mkdtemp(join(tmpdir(), 'headgate-folder-')), {
        directory: folder.directory,
      });
      await fresh.folder.start();
      await folder.untilHosts(fresh.hosts);
      await folder.lookedTwice();
      expect(folder.hosts).toEqual(fresh.hosts);
    }),
    { numRuns: 25 },
  );
});
