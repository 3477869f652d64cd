// Heads of HTTP/1.1 messages: strict reading (RFC 9110, RFC 9112) and rendering with as few changed lines as possible.
// A head object is used again for every message: what outlives the message is copied out of it by the caller. Measured on
// one core, reading and rendering a request with 10 fields takes about 1 us; allocating a fresh object each time, 0.4 more.

import { Field, fieldOf, isTargetChar, isTokenChar, isValueChar, listElements, sameName } from './http-syntax.ts';

/** Why a message is not taken, and the status of the answer to a request like that. */
export type Refusal = { readonly status: number; readonly reason: RefusalReason };

export type RefusalReason = keyof typeof statusOfRefusal;

/** One entry a reason; a reason never changes its meaning, people grep for them. */
const statusOfRefusal = {
  'bad-request-line': 400,
  'bad-target': 400,
  'bad-version': 505,
  'bad-field-name': 400,
  'bad-field-value': 400,
  'bare-line-feed': 400,
  'folded-field': 400,
  'missing-host': 400,
  'several-hosts': 400,
  'bad-host': 400,
  'host-differs-from-target': 400,
  'bad-content-length': 400,
  'content-too-large': 413,
  'length-and-transfer-encoding': 400,
  'bad-transfer-encoding': 400,
  'unknown-transfer-encoding': 501,
  'bad-chunk': 400,
  'bad-trailer': 400,
  'trailer-too-large': 431,
  'method-not-allowed': 405,
  'method-too-long': 501,
  'target-too-long': 414,
  'head-too-large': 431,
  'too-many-fields': 431,
  'head-timeout': 408,
  'body-timeout': 408,
  'bad-status-line': 502,
} as const;

export function refusal(reason: RefusalReason): Refusal {
  return { status: statusOfRefusal[reason], reason };
}

/** `maxHeaderLines`: field lines of one message. */
export type HeadLimits = { readonly maxHeadBytes: number; readonly maxHeaderLines: number };

/** How a message's body is delimited (RFC 9112 6.3). `until-close` occurs in responses only. */
export type Framing = 'none' | 'length' | 'chunked' | 'until-close';

/** RFC 9112 3: no method is longer in practice, and an endless one is an attack. */
const maxMethodLength = 32;

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HTAB = 0x09;
const COLON = 0x3a;

/**
 * Where the head that starts at `from` ends (after the empty line), or -1 if its end has not come yet.
 */
export function headEnd(bytes: Buffer, from: number): number {
  const at = bytes.indexOf('\r\n\r\n', from, 'latin1');
  return at < 0 ? -1 : at + 4;
}

/**
 * Whether an unfinished head that starts at `start` is already beyond repair, so that nobody waits for its end: a first byte
 * that begins no message, or a line feed without its carriage return (RFC 9112 2.2). `from`: what is before it has been
 * looked at; a head that comes byte by byte must not cost its square.
 */
export function unfinishedHeadProblem(bytes: Buffer, start: number, from: number): Refusal | null {
  const first = bytes[start];
  if (first !== undefined && first !== CR && !isTokenChar(first)) return refusal('bad-request-line');
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (at === start || bytes[at - 1] !== CR) return refusal('bare-line-feed');
  }
  return null;
}

/** The field lines of one head: where each begins, what it is, where its value stands. */
class FieldLines {
  text = '';
  count = 0;
  /** Bit n is set when a field of kind n is there. */
  present = 0;
  /** Stands in for Content-Length lines that said one length several times. */
  lengthLine = '';
  readonly #lineAt: Int32Array;
  readonly #valueAt: Int32Array;
  readonly #valueEnd: Int32Array;
  readonly #kind: Uint8Array;
  readonly #dropped: Uint8Array;

  constructor(maxHeaderLines: number) {
    this.#lineAt = new Int32Array(maxHeaderLines + 1);
    this.#valueAt = new Int32Array(maxHeaderLines);
    this.#valueEnd = new Int32Array(maxHeaderLines);
    this.#kind = new Uint8Array(maxHeaderLines);
    this.#dropped = new Uint8Array(maxHeaderLines);
  }

  /** Reads the lines from `at` to the end of the text (each with its CRLF). Null when all is well. */
  scan(text: string, at: number): RefusalReason | null {
    this.text = text;
    this.count = 0;
    this.present = 0;
    this.lengthLine = '';
    const end = text.length;
    const lineAt = this.#lineAt;
    const kinds = this.#kind;
    let line = 0;
    let present = 0;
    let i = at;
    while (i < end) {
      if (line === kinds.length) return 'too-many-fields';
      const nameAt = i;
      while (isTokenChar(text.charCodeAt(i))) i++;
      if (i === nameAt) {
        const c = text.charCodeAt(i);
        return c === SP || c === HTAB ? 'folded-field' : 'bad-field-name';
      }
      // No blank before the colon: RFC 9112 5.1 demands the refusal, peers disagree on the name otherwise.
      if (text.charCodeAt(i) !== COLON) return 'bad-field-name';
      const kind = fieldOf(text, nameAt, i);
      i++;
      let c = text.charCodeAt(i);
      while (c === SP || c === HTAB) c = text.charCodeAt(++i);
      const valueAt = i;
      while (isValueChar(c)) c = text.charCodeAt(++i);
      if (c !== CR || text.charCodeAt(i + 1) !== LF) return c === LF ? 'bare-line-feed' : 'bad-field-value';
      let valueEnd = i;
      while (valueEnd > valueAt && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
      lineAt[line] = nameAt;
      this.#valueAt[line] = valueAt;
      this.#valueEnd[line] = valueEnd;
      kinds[line] = kind;
      this.#dropped[line] = 0;
      line++;
      present |= 1 << kind;
      i += 2;
    }
    lineAt[line] = end;
    this.count = line;
    this.present = present;
    return null;
  }

  has(kind: number): boolean {
    return (this.present & (1 << kind)) !== 0;
  }

  /** The line of this kind at or after `from`, or -1. */
  find(kind: number, from: number): number {
    for (let line = from; line < this.count; line++) if (this.#kind[line] === kind) return line;
    return -1;
  }

  value(line: number): string {
    return this.text.slice(this.#valueAt[line], this.#valueEnd[line]);
  }

  /** All values of one kind, comma-joined as RFC 9110 5.3 has it. */
  values(kind: number): string {
    let joined = '';
    for (let line = this.find(kind, 0); line >= 0; line = this.find(kind, line + 1)) {
      joined = joined === '' ? this.value(line) : `${joined}, ${this.value(line)}`;
    }
    return joined;
  }

  /** The options of Connection, lower-case. The two that nearly every message has are told apart without a list. */
  connectionOptions(): ReadonlySet<string> {
    const line = this.find(Field.connection, 0);
    if (line < 0) return noOptions;
    const at = this.#valueAt[line] ?? 0;
    const length = (this.#valueEnd[line] ?? 0) - at;
    if (this.find(Field.connection, line + 1) < 0) {
      if (length === 10 && sameName(this.text, at, 'keep-alive')) return keepAliveOption;
      if (length === 5 && sameName(this.text, at, 'close')) return closeOption;
    }
    return new Set(listElements(this.values(Field.connection)));
  }

  drop(line: number): void {
    this.#dropped[line] = 1;
  }

  dropKinds(mask: number): void {
    if ((this.present & mask) === 0) return;
    for (let line = 0; line < this.count; line++) {
      if (((1 << (this.#kind[line] ?? 0)) & mask) !== 0) this.#dropped[line] = 1;
    }
  }

  /** Drops the fields that Connection names (RFC 9110 7.6.1); those that the engine itself knows keep their own rules. */
  dropNamed(names: ReadonlySet<string>): void {
    for (let line = 0; line < this.count; line++) {
      if (this.#kind[line] !== Field.other) continue;
      const at = this.#lineAt[line] ?? 0;
      if (names.has(this.text.slice(at, this.text.indexOf(':', at)).toLowerCase())) this.#dropped[line] = 1;
    }
  }

  /** Passes one length on in place of several equal ones, which a lenient pod may read otherwise. */
  collapseLength(length: number): void {
    this.dropKinds(1 << Field.contentLength);
    this.lengthLine = `Content-Length: ${length}\r\n`;
  }

  /** The lines that are kept, as they came, in as few pieces as possible. */
  kept(): string {
    let text = this.lengthLine;
    let runAt = -1;
    for (let line = 0; line < this.count; line++) {
      if (this.#dropped[line] === 0) {
        if (runAt < 0) runAt = this.#lineAt[line] ?? 0;
      } else if (runAt >= 0) {
        text += this.text.slice(runAt, this.#lineAt[line]);
        runAt = -1;
      }
    }
    return runAt < 0 ? text : text + this.text.slice(runAt, this.#lineAt[this.count]);
  }

  /**
   * Closes the gaps of dropped lines in the bytes that the text was made of, moving what is before a gap up to what is
   * behind it. Answers the bytes that the head has lost.
   */
  compact(bytes: Buffer, at: number): number {
    let gap = 0;
    let runEnd = at + this.text.length;
    for (let line = this.count - 1; line >= 0; line--) {
      if (this.#dropped[line] === 0) continue;
      const lineAt = at + (this.#lineAt[line] ?? 0);
      const lineEnd = at + (this.#lineAt[line + 1] ?? 0);
      if (gap > 0) bytes.copyWithin(lineEnd + gap, lineEnd, runEnd);
      gap += lineEnd - lineAt;
      runEnd = lineAt;
    }
    if (gap > 0) bytes.copyWithin(at + gap, at, runEnd);
    return gap;
  }
}

/** Hop-by-hop fields that are never passed on as they came (RFC 9110 7.6.1). */
const hopByHop =
  (1 << Field.connection) |
  (1 << Field.keepAlive) |
  (1 << Field.proxyConnection) |
  (1 << Field.te) |
  (1 << Field.upgrade) |
  (1 << Field.transferEncoding);

const noOptions: ReadonlySet<string> = new Set();
const keepAliveOption: ReadonlySet<string> = new Set(['keep-alive']);
const closeOption: ReadonlySet<string> = new Set(['close']);

/** A request's head. After `read` answered null its fields are true, until the next `read`. */
export class RequestHead {
  method = '';
  /** As the pod gets it: origin form, or `*`. */
  target = '';
  /** The target up to, not including, `?`; empty for `*`. */
  path = '';
  /** Host with port as the client sent it, lower-case; empty when HTTP/1.0 sends none. */
  authority = '';
  /** The authority without its port. */
  hostName = '';
  minorVersion = 1;
  framing: Framing = 'none';
  /** Bytes of the body when the framing is `length`. */
  contentLength = 0;
  /** Whether the client wants the connection to stay. */
  keepAlive = true;
  /** The protocols that the client would switch to, or empty. */
  upgrade = '';
  readonly #lines: FieldLines;
  #acceptsTrailers = false;

  constructor(limits: HeadLimits) {
    this.#lines = new FieldLines(limits.maxHeaderLines);
  }

  /** Reads a head: everything up to, not including, the empty line. */
  read(text: string): Refusal | null {
    const reason = this.#readRequestLine(text) ?? this.#readHost() ?? this.#readFraming();
    if (reason !== null) return refusal(reason);
    this.#readConnection();
    return null;
  }

  /** Whether fields of this kind are in the request. */
  has(kind: number): boolean {
    return this.#lines.has(kind);
  }

  /** All values of a kind, comma-joined. */
  values(kind: number): string {
    return this.#lines.values(kind);
  }

  /** The last line of a kind, or the empty string. */
  lastValue(kind: number): string {
    let last = '';
    for (let line = this.#lines.find(kind, 0); line >= 0; line = this.#lines.find(kind, line + 1)) {
      last = this.#lines.value(line);
    }
    return last;
  }

  /**
   * The head as it goes to the pod: the client's own lines but for the hop-by-hop ones, those of `dropMask` (bits of
   * Field) and what the router says itself (`extraLines`, each with CRLF). Ends with the empty line.
   */
  render(dropMask: number, extraLines: string): string {
    const lines = this.#lines;
    if (dropMask !== 0) lines.dropKinds(dropMask);
    let connection = '';
    if (this.upgrade !== '') connection = `Connection: Upgrade\r\nUpgrade: ${this.upgrade}\r\n`;
    else if (this.#acceptsTrailers) connection = 'Connection: TE\r\nTE: trailers\r\n';
    const framing = this.framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
    return `${this.method} ${this.target} HTTP/1.1\r\n${lines.kept()}${connection}${framing}${extraLines}\r\n`;
  }

  #readRequestLine(text: string): RefusalReason | null {
    let i = 0;
    while (isTokenChar(text.charCodeAt(i))) i++;
    if (i === 0 || text.charCodeAt(i) !== SP) return 'bad-request-line';
    if (i > maxMethodLength) return 'method-too-long';
    const method = text.slice(0, i);
    const targetAt = i + 1;
    i = targetAt;
    while (isTargetChar(text.charCodeAt(i))) i++;
    if (i === targetAt) return 'bad-request-line';
    const c = text.charCodeAt(i);
    if (c !== SP) return c === CR ? 'bad-request-line' : 'bad-target';
    const target = text.slice(targetAt, i);
    const version = readVersion(text, i + 1);
    if (version < 0) return text.startsWith('HTTP/', i + 1) ? 'bad-version' : 'bad-request-line';
    i += 9;
    if (text.charCodeAt(i) !== CR || text.charCodeAt(i + 1) !== LF) {
      return text.charCodeAt(i) === LF ? 'bare-line-feed' : 'bad-request-line';
    }
    const problem = this.#lines.scan(text, i + 2);
    if (problem !== null) return problem;
    this.minorVersion = version;
    this.method = method;
    return this.#readTarget(target);
  }

  /** RFC 9112 3.2: origin, absolute or asterisk form; CONNECT is not for a reverse proxy. */
  #readTarget(target: string): RefusalReason | null {
    this.authority = '';
    if (this.method === 'CONNECT') return 'method-not-allowed';
    if (target.charCodeAt(0) === 0x2f) {
      this.#setTarget(target);
      return null;
    }
    if (target === '*') {
      if (this.method !== 'OPTIONS') return 'bad-target';
      this.target = '*';
      this.path = '';
      return null;
    }
    const scheme = target.slice(0, 8).toLowerCase();
    const authorityAt = scheme.startsWith('http://') ? 7 : scheme === 'https://' ? 8 : -1;
    if (authorityAt < 0) return 'bad-target';
    let authorityEnd = authorityAt;
    while (authorityEnd < target.length && target[authorityEnd] !== '/' && target[authorityEnd] !== '?') authorityEnd++;
    if (authorityEnd === authorityAt) return 'bad-target';
    this.authority = target.slice(authorityAt, authorityEnd).toLowerCase();
    const rest = target.slice(authorityEnd);
    if (rest === '' && this.method === 'OPTIONS') {
      this.target = '*';
      this.path = '';
    } else {
      this.#setTarget(rest.startsWith('/') ? rest : `/${rest}`);
    }
    return null;
  }

  #setTarget(target: string): void {
    const query = target.indexOf('?');
    this.target = target;
    this.path = query < 0 ? target : target.slice(0, query);
  }

  /** Exactly one Host (RFC 9112 3.2); HTTP/1.0 may leave it out. */
  #readHost(): RefusalReason | null {
    const lines = this.#lines;
    const line = lines.find(Field.host, 0);
    if (line < 0) {
      if (this.minorVersion === 1) return 'missing-host';
    } else {
      if (lines.find(Field.host, line + 1) >= 0) return 'several-hosts';
      const sent = lines.value(line);
      const host = sent.toLowerCase();
      if (this.authority !== '' && this.authority !== host) return 'host-differs-from-target';
      this.authority = host;
      // The pod gets the Host in lower case (Route semantics 5.4); render writes it anew where that changes it.
      if (host !== sent) lines.drop(line);
    }
    const authority = this.authority;
    if (authority === '') {
      this.hostName = '';
      return null;
    }
    const nameEnd = authorityNameEnd(authority);
    if (nameEnd < 0) return 'bad-host';
    this.hostName = nameEnd === authority.length ? authority : authority.slice(0, nameEnd);
    return null;
  }

  /** Whether the Host line has to be written anew, because it was folded or came in the target alone. */
  get hostLine(): string {
    const line = this.#lines.find(Field.host, 0);
    if (line >= 0 && this.#lines.value(line) === this.authority) return '';
    return this.authority === '' ? '' : `Host: ${this.authority}\r\n`;
  }

  /** RFC 9112 6.1-6.3, with no room for two readings. */
  #readFraming(): RefusalReason | null {
    const lines = this.#lines;
    this.framing = 'none';
    this.contentLength = 0;
    if (lines.has(Field.transferEncoding)) {
      if (lines.has(Field.contentLength)) return 'length-and-transfer-encoding';
      if (this.minorVersion === 0) return 'bad-transfer-encoding';
      const problem = transferEncodingProblem(lines);
      if (problem !== null) return problem;
      this.framing = 'chunked';
    } else if (lines.has(Field.contentLength)) {
      const length = readContentLength(lines);
      if (length === -1) return 'bad-content-length';
      if (length === -2) return 'content-too-large';
      this.framing = length === 0 ? 'none' : 'length';
      this.contentLength = length;
    }
    return null;
  }

  #readConnection(): void {
    const lines = this.#lines;
    this.keepAlive = this.minorVersion === 1;
    this.upgrade = '';
    this.#acceptsTrailers = false;
    const special = hopByHop | (1 << Field.forged) | (this.minorVersion === 0 ? 1 << Field.expect : 0);
    if ((lines.present & special) === 0) return;
    const options = lines.connectionOptions();
    this.keepAlive = staysOpen(options, this.minorVersion);
    if (namesFields(options)) lines.dropNamed(options);
    if (options.has('upgrade') && this.minorVersion === 1 && this.framing === 'none' && lines.has(Field.upgrade)) {
      // h2c by Upgrade is not offered (RFC 9113 3.1 took it out); a request with a body is answered, not switched.
      this.upgrade = lines
        .values(Field.upgrade)
        .split(',')
        .map((protocol) => protocol.trim())
        .filter((protocol) => protocol !== '' && protocol.toLowerCase() !== 'h2c')
        .join(', ');
    }
    if (lines.has(Field.te)) this.#acceptsTrailers = listElements(lines.values(Field.te)).includes('trailers');
    lines.dropKinds(special);
  }
}

/** A response's head, as an upstream sent it. */
export class ResponseHead {
  status = 0;
  minorVersion = 1;
  chunked = false;
  /** Bytes of the body, or -1 where the head does not say. */
  contentLength = -1;
  /** Whether the upstream keeps its connection for another request. */
  keepAlive = true;
  /** How long the upstream says that it keeps an idle connection, in ms; 0 where it does not say. */
  keepAliveMs = 0;
  #statusText = '';
  #reasonAt = 0;
  readonly #lines: FieldLines;

  constructor(limits: HeadLimits) {
    this.#lines = new FieldLines(limits.maxHeaderLines);
  }

  /** Reads a head: everything up to, not including, the empty line. */
  read(text: string): RefusalReason | null {
    const version = readVersion(text, 0);
    if (version < 0 || text.charCodeAt(8) !== SP) return 'bad-status-line';
    let status = 0;
    for (let i = 9; i < 12; i++) {
      const digit = text.charCodeAt(i) - 0x30;
      if (!(digit >= 0 && digit <= 9)) return 'bad-status-line';
      status = status * 10 + digit;
    }
    if (status < 100 || status > 599) return 'bad-status-line';
    let i = 12;
    // The blank before an empty reason phrase is often left out.
    if (text.charCodeAt(i) === SP) i++;
    else if (text.charCodeAt(i) !== CR) return 'bad-status-line';
    this.#reasonAt = 9;
    while (isValueChar(text.charCodeAt(i))) i++;
    if (text.charCodeAt(i) !== CR || text.charCodeAt(i + 1) !== LF) return 'bad-status-line';
    const problem = this.#lines.scan(text, i + 2);
    if (problem !== null) return problem;
    this.status = status;
    this.minorVersion = version;
    this.#statusText = text.slice(this.#reasonAt, i + 2);
    return this.#readFraming() ?? this.#readConnection();
  }

  /** Whether the head can go on as its own bytes, if nothing is to be added: see `compact`. */
  get passable(): boolean {
    return this.minorVersion === 1 && this.#lines.lengthLine === '';
  }

  /**
   * Takes the lines that are not passed on out of the bytes that this head was read from, by moving what is before them
   * towards the body. Answers by how much the head, which began at `at`, is shorter now. Rendering a head anew and copying
   * the body behind it was measured at 0.9 us more.
   */
  compact(bytes: Buffer, at: number): number {
    return this.#lines.compact(bytes, at);
  }

  /** The head as it goes to the client, with lines of the router's own (each with CRLF). Ends with the empty line. */
  render(extraLines: string): string {
    return `HTTP/1.1 ${this.#statusText}${this.#lines.kept()}${extraLines}\r\n`;
  }

  /** Takes out what would delimit a body: for answers that have none, and for bodies that are delimited anew. */
  dropFraming(): void {
    const framing = (1 << Field.transferEncoding) | (1 << Field.contentLength) | (1 << Field.trailer);
    if ((this.#lines.present & framing) === 0) return;
    this.#lines.dropKinds(framing);
    this.#lines.lengthLine = '';
  }

  /** The protocol of a 101, or empty. */
  get upgrade(): string {
    return this.#lines.values(Field.upgrade);
  }

  #readFraming(): RefusalReason | null {
    const lines = this.#lines;
    this.chunked = false;
    this.contentLength = -1;
    if (lines.has(Field.transferEncoding)) {
      if (lines.has(Field.contentLength)) return 'length-and-transfer-encoding';
      if (this.minorVersion === 0) return 'bad-transfer-encoding';
      const problem = transferEncodingProblem(lines);
      if (problem !== null) return problem;
      this.chunked = true;
    } else if (lines.has(Field.contentLength)) {
      const length = readContentLength(lines);
      if (length < 0) return 'bad-content-length';
      this.contentLength = length;
    }
    return null;
  }

  #readConnection(): null {
    const lines = this.#lines;
    this.keepAlive = this.minorVersion === 1;
    this.keepAliveMs = 0;
    // Transfer-Encoding: chunked is the one hop-by-hop field that goes on as it came, because the body does too.
    const hops = hopByHop & ~(1 << Field.transferEncoding);
    if ((lines.present & hops) === 0) return null;
    const options = lines.connectionOptions();
    this.keepAlive = staysOpen(options, this.minorVersion);
    if (namesFields(options)) lines.dropNamed(options);
    if (lines.has(Field.keepAlive)) this.keepAliveMs = keepAliveHintMs(lines.values(Field.keepAlive));
    lines.dropKinds(hops);
    return null;
  }
}

/** RFC 9112 9.3: `close` outweighs everything, and HTTP/1.0 closes unless told to stay. */
function staysOpen(options: ReadonlySet<string>, minorVersion: number): boolean {
  return !options.has('close') && (minorVersion === 1 || options.has('keep-alive'));
}

/** The usual single option names no field that is still to be dropped. */
function namesFields(options: ReadonlySet<string>): boolean {
  return options !== noOptions && options !== keepAliveOption && options !== closeOption;
}

/** 0 or 1 for HTTP/1.0 and HTTP/1.1 (eight characters), -1 for everything else. */
function readVersion(text: string, at: number): number {
  if (!text.startsWith('HTTP/1.', at)) return -1;
  const minor = text.charCodeAt(at + 7) - 0x30;
  return minor === 0 || minor === 1 ? minor : -1;
}

/** `chunked` and nothing else: other codings may be legal, but no two programs agree on what they do to the framing. */
function transferEncodingProblem(lines: FieldLines): RefusalReason | null {
  const line = lines.find(Field.transferEncoding, 0);
  if (lines.find(Field.transferEncoding, line + 1) >= 0) return 'bad-transfer-encoding';
  const value = lines.value(line).toLowerCase();
  if (value === 'chunked') return null;
  const codings = listElements(value);
  const early = codings.slice(0, -1).includes('chunked');
  return codings.length === 0 || early ? 'bad-transfer-encoding' : 'unknown-transfer-encoding';
}

/**
 * The length, -1 for nonsense, -2 for more than can be counted. The same length said several times counts as said once
 * (RFC 9112 6.3), and is passed on once.
 */
function readContentLength(lines: FieldLines): number {
  const line = lines.find(Field.contentLength, 0);
  const value = lines.value(line);
  const length = decimal(value);
  if (length === -1 && !value.includes(',')) return -1;
  if (length >= 0 && lines.find(Field.contentLength, line + 1) < 0) return length;
  if (length === -2) return -2;
  const elements = lines.values(Field.contentLength).split(',');
  const first = withoutBlanks(elements[0] ?? '');
  for (const element of elements) if (withoutBlanks(element) !== first) return -1;
  const agreed = decimal(first);
  if (agreed >= 0) lines.collapseLength(agreed);
  return agreed;
}

function decimal(value: string): number {
  if (value.length === 0) return -1;
  let number = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return -1;
    number = number * 10 + digit;
  }
  return number <= Number.MAX_SAFE_INTEGER ? number : -2;
}

/** `timeout=5, max=100` says 5,000 ms. */
function keepAliveHintMs(value: string): number {
  for (const element of listElements(value)) {
    if (element.startsWith('timeout=')) {
      const seconds = decimal(element.slice('timeout='.length));
      return seconds > 0 && seconds < 86_400 ? seconds * 1000 : 0;
    }
  }
  return 0;
}

/**
 * Where the name in an authority (lower-case) ends, -1 if it is none: a registered name or an address, then an optional
 * port of digits (RFC 3986 3.2.2). No user information, no percent-encoding: no Route can have such a name.
 */
function authorityNameEnd(authority: string): number {
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

/** Unlike `trim`, which takes a no-break space for a blank too. */
function withoutBlanks(element: string): string {
  let start = 0;
  let end = element.length;
  while (start < end && isBlank(element.charCodeAt(start))) start++;
  while (end > start && isBlank(element.charCodeAt(end - 1))) end--;
  return element.slice(start, end);
}

function isBlank(c: number): boolean {
  return c === SP || c === HTAB;
}
