// Error pages from files, through the real command: what is wrong with one ends the start, and changes are followed as
// ConfigMaps make them.

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { get } from '../support/requests.ts';
import { eventually, ManifestFolder, RunningRouter } from '../support/router.ts';

/** A folder as a mounted ConfigMap is: its files are links through a link that is swapped. */
class MountedPages implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'headgate-pages-'));
  #versions = 0;

  put(files: Readonly<Record<string, string>>): void {
    const version = `..version-${++this.#versions}`;
    mkdirSync(join(this.path, version));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.path, version, name), text);
    symlinkSync(version, join(this.path, '..next'));
    renameSync(join(this.path, '..next'), join(this.path, '..data'));
    for (const name of Object.keys(files)) {
      rmSync(join(this.path, name), { force: true });
      symlinkSync(join('..data', name), join(this.path, name));
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

test('pages are served by every worker, and followed as they change; a broken version changes nothing', async () => {
  using folder = new ManifestFolder();
  using pages = new MountedPages();
  const notFound = join(folder.path, 'error-page-404.http');
  writeFileSync(notFound, 'HTTP/1.0 404 Error\nX-Own: 404\nConnection: close\n\nnot here\n');
  pages.put({ '503.http': 'HTTP/1.0 503 Away\n\none', '400.html': '{{reason}}' });
  await using router = await RunningRouter.start(folder, ['--workers', '2'], {
    HEADGATE_ERROR_PAGES: pages.path,
    ROUTER_ERRORFILE_404: notFound,
  });
  const ask = (): ReturnType<typeof get> => get(router.httpPort, 'nobody.test');
  const bodies = new Set<string>();
  for (let i = 0; i < 10; i++) {
    const { status, headers, body } = await ask();
    expect([status, headers['x-own']]).toEqual([404, '404']);
    bodies.add(body);
  }
  expect([...bodies]).toEqual(['not here\n']);
  expect((await get(router.httpPort, 'a b')).body).toBe('bad-host');

  pages.put({ '503.http': 'HTTP/1.0 503 Away\n\none', '400.html': '{{status}} {{reason}}', 'no-route.html': 'a' });
  await eventually(ask, ({ body }) => body === 'a');
  expect((await get(router.httpPort, 'a b')).body).toBe('400 bad-host');

  const broken = router.nextLine(({ msg }) => msg === 'error page cannot be used, the last good one stays');
  pages.put({ '400.html': '', 'no-route.html': 'b' });
  expect(await broken).toMatchObject({ file: join(pages.path, '400.html'), reason: 'is empty' });
  await eventually(ask, ({ body }) => body === 'b');
  expect((await get(router.httpPort, 'a b')).body).toBe('400 bad-host');
});

test('a page for what no answer has is told of once, with what there is', async () => {
  using folder = new ManifestFolder();
  using pages = new MountedPages();
  const files = {
    '404.html': 'a',
    '500.html': 'b',
    'no-rout.html': 'c',
    '503.html': '{{reason}}',
    'bad-host.html': 'e',
  };
  pages.put(files);
  await using router = await RunningRouter.start(folder, ['--workers', '1', '--error-pages', pages.path]);
  expect((await get(router.httpPort, 'nobody.test')).body).toBe('no-route');
  expect((await get(router.httpPort, 'a b')).body).toBe('e');
  const changed = router.nextLine(({ msg }) => msg === 'error pages');
  pages.put({ ...files, '503.html': 'new' });
  expect(await changed).toMatchObject({ pages: expect.arrayContaining(['503', 'bad-host']) });
  const told = router.lines.filter(({ msg }) => msg === 'error page is for a status or reason that no answer has');
  expect(told.map(({ file }) => file).sort()).toEqual(
    ['404.html', '500.html', 'no-rout.html'].map((name) => join(pages.path, name)),
  );
  const possible = String(told[0]?.['possible']).split(' ');
  expect(possible).toEqual(expect.arrayContaining(['no-route', 'connect-failed', 'bad-host', '503', '400']));
  for (const name of ['404', '200', '302', 'redirect', 'health']) expect(possible).not.toContain(name);
});

test.each([
  ['503.html', '', 'is empty'],
  ['503.http', '<html></html>', 'has no empty line behind its head'],
  ['503.txt', 'x', 'is neither .html nor .http'],
  ['Oops.html', 'x', 'is named after no status and no reason'],
])('%s with %j ends the start', async (name, text, problem) => {
  using folder = new ManifestFolder();
  using pages = new MountedPages();
  pages.put({ [name]: text });
  const start = RunningRouter.start(folder, ['--error-pages', pages.path]);
  await expect(start).rejects.toThrow(`an error page cannot be used: ${join(pages.path, name)} ${problem}`);
});
