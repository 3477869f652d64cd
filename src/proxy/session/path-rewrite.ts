// The path as the pod shall see it (Route semantics 5.9).

import type { PathRewrite } from '../../table/entries.ts';

/** The target of a request, whose path (up to, not including, `?`) the rule covers, with its path rewritten. The query stays. */
export function rewrittenTarget({ prefix, target, keepsRest }: PathRewrite, path: string, asked: string): string {
  if (!path.startsWith(prefix)) return asked;
  const query = asked.slice(path.length);
  if (!keepsRest) return target + query;
  // With `/` for a target, one slash of two is left out.
  const restAt = target === '/' && path.charCodeAt(prefix.length) === 0x2f ? prefix.length + 1 : prefix.length;
  return target + path.slice(restAt) + query;
}
