import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  credentialProblems,
  credentialText,
  type Shown,
  sameCredentials,
  shownBy,
} from '../../src/admin/credentials.ts';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const shown = (username: string, password: string): Shown => ({ kind: 'basic', credentials: { username, password } });

const headers: readonly (readonly [header: string | undefined, shown: Shown])[] = [
  [undefined, { kind: 'nothing' }],
  ['', { kind: 'nothing' }],
  ['Bearer', { kind: 'nothing' }],
  ['Bearer ', { kind: 'nothing' }],
  ['Bearer a b', { kind: 'nothing' }],
  ['Digest abc', { kind: 'nothing' }],
  ['Bearer abc', { kind: 'bearer', token: 'abc' }],
  ['bEARER  abc ', { kind: 'bearer', token: 'abc' }],
  [basic('admin:secret'), shown('admin', 'secret')],
  [basic('admin:se:cr:et').replace('Basic', 'basic'), shown('admin', 'se:cr:et')],
  [basic('ädmin:ßecret'), shown('ädmin', 'ßecret')],
  [basic('admin'), shown('admin', '')],
  [basic(':'), shown('', '')],
  ['Basic ::::', shown('', '')],
];

test.each(headers)('%j shows %j', (header, expected) => {
  expect(shownBy(header)).toEqual(expected);
});

test('credentials are the same only where both parts are', () => {
  const part = fc.constantFrom('', 'a', 'b', 'aa', 'é', 'a\u0000');
  const credentials = fc.record({ username: part, password: part });
  fc.assert(
    fc.property(credentials, credentials, (one, other) => {
      expect(sameCredentials(one, other)).toBe(JSON.stringify(one) === JSON.stringify(other));
    }),
  );
});

describe('files', () => {
  test.each([
    ['admin', 'admin'],
    ['admin\n', 'admin'],
    ['admin\r\n', 'admin'],
    ['admin \n\n', 'admin \n'],
    ['\n', ''],
  ])('%j holds %j', (content, text) => {
    expect(credentialText(content)).toBe(text);
  });

  test('that hold nothing are problems; what cannot be read is told elsewhere', () => {
    const folder = mkdtempSync(join(tmpdir(), 'credentials-'));
    const path = join(folder, 'password');
    const problems = (): readonly unknown[] => credentialProblems({ statsUsernameFile: '', statsPasswordFile: path });
    expect(problems()).toEqual([]);
    writeFileSync(path, '\n');
    expect(problems()).toEqual([{ key: 'statsPasswordFile', because: `${JSON.stringify(path)} is empty` }]);
    writeFileSync(path, 'secret');
    expect(problems()).toEqual([]);
    rmSync(folder, { recursive: true });
  });
});
