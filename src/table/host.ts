// Names of hosts, as the table keys them. Parsing happens once, at the edge; whoever holds a Host holds a checked name.

declare const hostBrand: unique symbol;

/** A lower-case DNS name that passed `parseHost`; `*.example.com` is the wildcard form. */
export type Host = string & { readonly [hostBrand]: true };

/** The Host whose rule holds what is in force where no other Host fits: the default certificate. */
export const ANY_HOST = '' as Host;

const maxHostLength = 253;
const maxLabelLength = 63;

const HYPHEN = 0x2d;
const DOT = 0x2e;

/**
 * The Host that a name in a request or in an SNI extension stands for, or undefined where no Route can have that name.
 * Upper case is folded and one trailing dot is dropped (Route semantics 5.2). Ports are the caller's to remove.
 */
export function parseHost(name: string): Host | undefined {
  let length = name.length;
  if (length > 1 && name.charCodeAt(length - 1) === DOT) length--;
  if (length === 0 || length > maxHostLength) return undefined;
  let labelStart = 0;
  let folded = false;
  let previous = DOT;
  for (let i = 0; i < length; i++) {
    const c = name.charCodeAt(i);
    if ((c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39)) {
      // a-z, 0-9: nothing to check
    } else if (c >= 0x41 && c <= 0x5a) {
      folded = true;
    } else if (c === HYPHEN) {
      if (previous === DOT) return undefined;
    } else if (c === DOT) {
      if (previous === DOT || previous === HYPHEN || i - labelStart > maxLabelLength) return undefined;
      labelStart = i + 1;
    } else {
      return undefined;
    }
    previous = c;
  }
  if (previous === HYPHEN || previous === DOT || length - labelStart > maxLabelLength) return undefined;
  const host = length === name.length ? name : name.slice(0, length);
  return (folded ? host.toLowerCase() : host) as Host;
}

/** What follows the first label: `example.com` for `www.example.com`, the empty string for a single label. */
export function parentOf(host: Host): string {
  const dot = host.indexOf('.');
  return dot < 0 ? '' : host.slice(dot + 1);
}

/** The wildcard form that covers a Host: `*.example.com` for `www.example.com` (exactly one label, Route semantics 5.2). */
export function wildcardOf(host: Host): Host {
  return `*.${parentOf(host)}` as Host;
}

/** Whether a Host is the wildcard form. */
export function isWildcard(host: Host): boolean {
  return host.startsWith('*.');
}
