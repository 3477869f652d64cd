// Path prefixes of Routes: which request paths they cover and which of two is the more specific.

/**
 * Whether a Route's path covers a request path (which begins with `/` or is empty, and carries no query).
 * Element by element: `/sub` covers `/sub` and `/sub/x`, not `/subpar`; `/sub/` covers `/sub/x`, not `/sub`; nothing but
 * slashes covers everything. No decoding, no dot segments, case counts (Route semantics 5.2).
 */
export function pathCovers(prefix: string, path: string): boolean {
  const length = prefix.length;
  if (length === 0) return true;
  if (!path.startsWith(prefix)) return false;
  return path.length === length || prefix.charCodeAt(length - 1) === 0x2f || path.charCodeAt(length) === 0x2f;
}

/** The prefix as the table holds it: a path of slashes alone covers the whole Host, and so is the empty prefix. */
export function pathPrefix(specPath: string): string {
  for (let i = 0; i < specPath.length; i++) if (specPath.charCodeAt(i) !== 0x2f) return specPath;
  return '';
}
