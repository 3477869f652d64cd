// The authority of a request, as Host or an absolute target has it: where its name ends and whether it may be one at all.
// Which Route a name belongs to is not decided here.

const COLON = 0x3a;

/**
 * Where the name in an authority (lower-case) ends, -1 if it is none: a registered name or an address, then an optional
 * port of digits (RFC 3986 3.2.2). No user information, no percent-encoding: no Route can have such a name.
 */
export function authorityNameEnd(authority: string): number {
  let i = 0;
  if (authority.charCodeAt(0) === 0x5b) {
    i = authority.indexOf(']') + 1;
    if (i === 0) return -1;
    for (let j = 1; j < i - 1; j++) if (!isAddressChar(authority.charCodeAt(j))) return -1;
  } else {
    while (i < authority.length && isNameChar(authority.charCodeAt(i))) i++;
    if (i === 0) return -1;
  }
  const nameEnd = i;
  if (i === authority.length) return nameEnd;
  if (authority.charCodeAt(i) !== COLON) return -1;
  for (i++; i < authority.length; i++) {
    const c = authority.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return -1;
  }
  return authority.length - nameEnd > 6 ? -1 : nameEnd;
}

function isNameChar(c: number): boolean {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c === 0x2d || c === 0x2e || c === 0x5f || c === 0x7e;
}

function isAddressChar(c: number): boolean {
  return (c >= 0x61 && c <= 0x66) || (c >= 0x30 && c <= 0x39) || c === COLON || c === 0x2e;
}
