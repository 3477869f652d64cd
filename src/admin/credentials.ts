// The user name and password that open the protected paths, and what an Authorization header says (RFC 7617, RFC 6750).

import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SettingKey, SettingValues } from '../config/schema.ts';

/** A user name and its password. */
export type Credentials = { readonly username: string; readonly password: string };

/** What somebody shows. */
export type Shown =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'basic'; readonly credentials: Credentials }
  | { readonly kind: 'bearer'; readonly token: string };

/** What a header shows. Schemes that nobody asked for, and what is malformed, are as good as nothing. */
export function shownBy(authorization: string | undefined): Shown {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+) *$/.exec(authorization ?? '') ?? [];
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return { kind: 'bearer', token: value };
    case 'basic': {
      const text = Buffer.from(value, 'base64').toString('utf8');
      const colon = text.indexOf(':');
      if (colon < 0) return { kind: 'basic', credentials: { username: text, password: '' } };
      return { kind: 'basic', credentials: { username: text.slice(0, colon), password: text.slice(colon + 1) } };
    }
    default:
      return { kind: 'nothing' };
  }
}

/** Whether two are the same, in a time that tells nothing of where they differ. */
export function sameCredentials(one: Credentials, other: Credentials): boolean {
  const usernames = timingSafeEqual(digest(one.username), digest(other.username));
  const passwords = timingSafeEqual(digest(one.password), digest(other.password));
  return usernames && passwords;
}

/** The text of a file with a user name or a password: editors put a line feed behind it. */
export function credentialText(content: string): string {
  return content.replace(/\r?\n$/, '');
}

/** Files that are named for user name or password and hold none. */
export function credentialProblems(
  values: Partial<SettingValues>,
): { readonly key: SettingKey; readonly because: string }[] {
  const files = ['statsUsernameFile', 'statsPasswordFile'] as const;
  return files.flatMap((key) => {
    const path = values[key] ?? '';
    return path !== '' && contentOf(path) === '' ? [{ key, because: `${JSON.stringify(path)} is empty` }] : [];
  });
}

/** Null where the file cannot be read, which is told elsewhere. */
function contentOf(path: string): string | null {
  try {
    return credentialText(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
