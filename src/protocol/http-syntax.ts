// Characters and names of HTTP/1.1 fields (RFC 9110 5, RFC 9112), shared by request heads, response heads and trailers.

const TOKEN = 1;
const VALUE = 2;
const TARGET = 4;

const classes: Uint8Array = (() => {
  const table = new Uint8Array(256);
  for (let c = 0x21; c <= 0x7e; c++) table[c] = VALUE | TARGET;
  for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
    table[c.charCodeAt(0)] = TOKEN | VALUE | TARGET;
  }
  table[0x23] = TOKEN | VALUE; // `#` begins a fragment, which no request target may carry
  for (let c = 0x80; c <= 0xff; c++) table[c] = VALUE;
  table[0x20] = VALUE;
  table[0x09] = VALUE;
  return table;
})();

/** RFC 9110 5.6.2 `tchar`. */
export function isTokenChar(c: number): boolean {
  return ((classes[c] ?? 0) & TOKEN) !== 0;
}

/** What a field value may hold: visible ASCII, blanks, tab and obs-text; so no CR, LF, NUL or other control (5.5). */
export function isValueChar(c: number): boolean {
  return ((classes[c] ?? 0) & VALUE) !== 0;
}

/** What a request target may hold: visible ASCII but `#` (RFC 9112 3.2). */
export function isTargetChar(c: number): boolean {
  return ((classes[c] ?? 0) & TARGET) !== 0;
}

/** OWS: a blank or a tab (RFC 9110 5.6.3). */
export function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09;
}

/** Unlike `trim`, which takes a no-break space for a blank too, and with it a byte of UTF-8. */
export function withoutBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** Fields that the engine does something about. The rest is passed on untouched. */
export const Field = {
  other: 0,
  host: 1,
  connection: 2,
  keepAlive: 3,
  proxyConnection: 4,
  te: 5,
  upgrade: 6,
  contentLength: 7,
  transferEncoding: 8,
  expect: 9,
  /** What only the router may say of a client certificate (5.4): removed unless the operator has it otherwise. */
  forged: 10,
  forwarded: 11,
  xForwardedFor: 12,
  xForwardedHost: 13,
  xForwardedPort: 14,
  xForwardedProto: 15,
  xForwardedProtoVersion: 16,
  trailer: 17,
  /** Removed from every request (HTTPoxy, 5.4). */
  proxy: 18,
  contentType: 19,
  cookie: 20,
  strictTransportSecurity: 21,
} as const;

const known: ReadonlyArray<readonly [string, number]> = [
  ['host', Field.host],
  ['connection', Field.connection],
  ['keep-alive', Field.keepAlive],
  ['proxy-connection', Field.proxyConnection],
  ['te', Field.te],
  ['upgrade', Field.upgrade],
  ['content-length', Field.contentLength],
  ['transfer-encoding', Field.transferEncoding],
  ['expect', Field.expect],
  ['trailer', Field.trailer],
  ['content-type', Field.contentType],
  ['cookie', Field.cookie],
  ['strict-transport-security', Field.strictTransportSecurity],
  ['forwarded', Field.forwarded],
  ['x-forwarded-for', Field.xForwardedFor],
  ['x-forwarded-host', Field.xForwardedHost],
  ['x-forwarded-port', Field.xForwardedPort],
  ['x-forwarded-proto', Field.xForwardedProto],
  ['x-forwarded-proto-version', Field.xForwardedProtoVersion],
  ['proxy', Field.proxy],
  ['x-ssl', Field.forged],
  ['x-ssl-issuer', Field.forged],
  ...['cn', 'der', 'dn', 'notafter', 'notbefore', 'sha1', 'serial', 'subject', 'verify', 'version'].map(
    (part): readonly [string, number] => [`x-ssl-client-${part}`, Field.forged],
  ),
];

/** Known names by length, so that most fields are told apart by their length alone. */
const knownByLength: ReadonlyArray<ReadonlyArray<readonly [string, number]>> = Array.from({ length: 32 }, (_, length) =>
  known.filter(([name]) => name.length === length),
);

const knownNames: ReadonlySet<string> = new Set(known.map(([name]) => name));

/** Whether the engine does something about the field of this name, given in lower case. */
export function isKnownName(lower: string): boolean {
  return knownNames.has(lower);
}

/** Which field the token bytes[start, end) names, whatever its case. */
export function fieldOf(bytes: Buffer, start: number, end: number): number {
  const candidates = knownByLength[end - start];
  if (candidates === undefined) return Field.other;
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i];
    if (candidate !== undefined && isName(bytes, start, candidate[0])) return candidate[1];
  }
  return Field.other;
}

/**
 * Whether the bytes at `start` are this name, given in lower case, whatever the case of its letters (RFC 9110 5.1). The caller
 * knows that the length fits.
 */
export function isName(bytes: Buffer, start: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    if (!isLetter(bytes[start + i] ?? 0, lower.charCodeAt(i))) return false;
  }
  return true;
}

/** Whether the bytes at `start` are this text, letter by letter. */
export function begins(bytes: Buffer, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Whether bytes[start, end) are this text, and no more. */
export function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  return end - start === text.length && begins(bytes, start, text);
}

/** `isName` of a text. */
export function sameName(text: string, start: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    if (!isLetter(text.charCodeAt(start + i), lower.charCodeAt(i))) return false;
  }
  return true;
}

/** Bit 5 is the case of letters alone: it also lies between other characters of names, such as `^` and `~`. */
function isLetter(c: number, lower: number): boolean {
  return c === lower || (c >= 0x41 && c <= 0x5a && (c | 0x20) === lower);
}

/** The elements of a comma-separated list, lower-cased and without outer blanks; empty ones are left out (5.6.1). */
export function listElements(value: string): string[] {
  const elements: string[] = [];
  for (const part of value.split(',')) {
    const element = part.trim().toLowerCase();
    if (element !== '') elements.push(element);
  }
  return elements;
}

/** What is wrong with a block of `name: value CRLF` lines, or null. Used for trailers; heads check as they scan. */
export function fieldLinesProblem(text: string): string | null {
  let at = 0;
  while (at < text.length) {
    const nameStart = at;
    while (isTokenChar(text.charCodeAt(at))) at++;
    if (at === nameStart || text.charCodeAt(at) !== 0x3a) return 'bad-field-name';
    at++;
    while (isValueChar(text.charCodeAt(at))) at++;
    if (text.charCodeAt(at) !== 0x0d || text.charCodeAt(at + 1) !== 0x0a) return 'bad-field-value';
    at += 2;
  }
  return null;
}
