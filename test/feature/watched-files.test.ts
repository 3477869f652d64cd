import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WatchedFiles } from '../../src/source/files/watched-files.ts';
import { eventually } from '../support/router.ts';

test('a neighbour that is written to all the time does not keep a change from being seen', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'watched-files-'));
  const path = join(directory, 'tls.pem');
  writeFileSync(path, 'first');
  const seen: (string | null)[] = [];
  const files = new WatchedFiles([path], ([text]) => seen.push(text ?? null));
  await files.start();
  const neighbour = setInterval(() => writeFileSync(join(directory, 'busy.log'), 'x'), 2);
  try {
    writeFileSync(path, 'second');
    await eventually(
      async () => seen.at(-1),
      (last) => last === 'second',
    );
    expect(seen).toEqual(['first', 'second']);
  } finally {
    clearInterval(neighbour);
    files.close();
    rmSync(directory, { recursive: true });
  }
});
