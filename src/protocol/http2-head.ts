// The fields of an HTTP/2 message as the HTTP/1.1 head that says the same (RFC 9113 8): what is strict about a head is then
// read by the one reader of heads there is (request-head.ts, response-head.ts), whichever protocol it came by. Checked here is
// what would not survive the translation, or what HTTP/2 alone forbids.

import { isBlank, isTokenChar, isValueChar, sameName } from './http-syntax.ts';
import type { RefusalReason } from './refusals.ts';

/** Counted for each field beside its name and value (RFC 9113 6.5.2). */
const fieldOverhead = 32;

/** Connection-specific fields, which no HTTP/2 message may carry (8.2.2). `te` is one too, but for `trailers`. */
const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

const COLON = 0x3a;

/** What fields of all kinds of messages have in common: a limit, and names and values that can stand in a line. */
abstract class Fields {
  /** Why the fields are malformed, or null. */
  problem: RefusalReason | null = null;
  /** Each with its CRLF. */
  protected lines = '';
  protected hasRegular = false;
  #bytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes the next field (a FieldSink). Of a list that is too long the rest is overlooked, so that nothing of it is kept. */
  field(name: string, value: string): void {
    if (this.problem !== null) return;
    this.#bytes += name.length + value.length + fieldOverhead;
    if (this.#bytes > this.#maxBytes) {
      this.problem = 'head-too-large';
    } else if (name.charCodeAt(0) === COLON) {
      // A pseudo-header behind a regular field is malformed (8.3).
      this.problem = this.hasRegular ? 'bad-pseudo-header' : this.pseudo(name, value);
    } else {
      this.hasRegular = true;
      this.problem = nameProblem(name) ?? valueProblem(value) ?? this.regular(name, value);
    }
  }

  protected abstract pseudo(name: string, value: string): RefusalReason | null;

  protected regular(name: string, value: string): RefusalReason | null {
    if (connectionSpecific.has(name)) return 'connection-specific-field';
    this.lines += `${name}: ${value}\r\n`;
    return null;
  }

  protected restart(): void {
    this.problem = null;
    this.lines = '';
    this.hasRegular = false;
    this.#bytes = 0;
  }
}

/** The fields of a request. Used again for the next one after `begin`. */
export class RequestFields extends Fields {
  #method = '';
  #scheme = '';
  #path = '';
  #authority = '';
  #protocol = '';
  #host = '';
  #cookie = '';
  /** Bytes that the request says its content has; -1 where it does not say, or nonsense. */
  #length = '';

  begin(): void {
    this.restart();
    this.#method = '';
    this.#scheme = '';
    this.#path = '';
    this.#authority = '';
    this.#protocol = '';
    this.#host = '';
    this.#cookie = '';
    this.#length = '';
  }

  /** As it came; empty where it has not. */
  get method(): string {
    return this.#method;
  }

  /** Whether it asks for a tunnel by extended CONNECT (RFC 8441). */
  get isTunnel(): boolean {
    return this.#protocol !== '';
  }

  /**
   * The request as an HTTP/1.1 head, up to, not including, the empty line; or why it is malformed. `hasContent`: END_STREAM
   * was not set. `webSocketKey`: for the handshake that an extended CONNECT becomes (RFC 8441 5).
   */
  head(hasContent: boolean, webSocketKey: () => string): { readonly text: string } | RefusalReason {
    const problem = this.problem ?? this.#missing(hasContent);
    if (problem !== null) return problem;
    let { lines } = this;
    const authority = this.#authority === '' ? this.#host : this.#authority;
    if (authority !== '') lines = `Host: ${authority}\r\n${lines}`;
    if (this.#cookie !== '') lines += `cookie: ${this.#cookie}\r\n`;
    if (this.#protocol !== '') {
      const key = `Sec-WebSocket-Key: ${webSocketKey()}\r\n`;
      const text = `GET ${this.#path} HTTP/1.1\r\n${lines}Connection: Upgrade\r\nUpgrade: ${this.#protocol}\r\n${key}`;
      return { text };
    }
    if (this.#length === '') {
      if (hasContent) lines += 'Transfer-Encoding: chunked\r\n';
      // A pod that waits for a length would answer 411.
      else if (this.#method === 'POST' || this.#method === 'PUT' || this.#method === 'PATCH')
        lines += 'Content-Length: 0\r\n';
    }
    return { text: `${this.#method} ${this.#path} HTTP/1.1\r\n${lines}` };
  }

  protected pseudo(name: string, value: string): RefusalReason | null {
    if (value === '') return name === ':authority' ? null : 'bad-pseudo-header';
    let seen: string;
    switch (name) {
      case ':method':
        seen = this.#method;
        this.#method = value;
        break;
      case ':scheme':
        seen = this.#scheme;
        this.#scheme = value;
        break;
      case ':path':
        seen = this.#path;
        this.#path = value;
        break;
      case ':authority':
        seen = this.#authority;
        this.#authority = value;
        break;
      case ':protocol':
        seen = this.#protocol;
        this.#protocol = value;
        break;
      default:
        return 'bad-pseudo-header';
    }
    if (seen !== '' || !isVisible(value)) return 'bad-pseudo-header';
    return null;
  }

  protected override regular(name: string, value: string): RefusalReason | null {
    switch (name) {
      case 'cookie':
        // Split into crumbs for better compression; a pod wants one line (8.2.3).
        this.#cookie = this.#cookie === '' ? value : `${this.#cookie}; ${value}`;
        return null;
      case 'host':
        if (this.#host !== '') return 'several-hosts';
        this.#host = value;
        return this.#authority !== '' && this.#authority.toLowerCase() !== value.toLowerCase()
          ? 'host-differs-from-target'
          : null;
      case 'te':
        if (value.toLowerCase() !== 'trailers') return 'connection-specific-field';
        this.lines += 'Connection: TE\r\nTE: trailers\r\n';
        return null;
      case 'content-length':
        this.#length = value;
        break;
      case 'sec-websocket-key':
        // Of no use in HTTP/2 (RFC 8441 5): the handshake with the pod has its own.
        if (this.#protocol !== '') return null;
        break;
    }
    return super.regular(name, value);
  }

  #missing(hasContent: boolean): RefusalReason | null {
    if (this.#method === '') return 'bad-pseudo-header';
    if (this.#protocol !== '') {
      if (this.#method !== 'CONNECT' || this.#scheme === '' || this.#path === '') return 'bad-pseudo-header';
      if (this.#protocol !== 'websocket') return 'unknown-protocol';
      if (!hasContent || this.#length !== '') return 'bad-content-length';
    } else if (this.#method === 'CONNECT') {
      // Says an authority alone (8.5): no reverse proxy's business.
      return 'method-not-allowed';
    }
    if (this.#scheme !== 'http' && this.#scheme !== 'https') return 'bad-pseudo-header';
    // An absolute target is HTTP/1.1's alone; `*` is OPTIONS's, which the reader of heads sees to.
    if (this.#path.charCodeAt(0) !== 0x2f && this.#path !== '*') return 'bad-target';
    if (!hasContent && this.#length !== '' && this.#length !== '0') return 'bad-content-length';
    return null;
  }
}

/** The fields of a response. Used again for the next one after `begin`. */
export class ResponseFields extends Fields {
  #status = '';

  begin(): void {
    this.restart();
    this.#status = '';
  }

  /** Whether the status is one of success. */
  get isSuccess(): boolean {
    return this.problem === null && this.#status.charCodeAt(0) === 0x32;
  }

  /** Whether a further head is to follow (RFC 9110 15.2). */
  get isInterim(): boolean {
    return this.#status.charCodeAt(0) === 0x31;
  }

  /** The fields as lines, each with its CRLF. */
  get text(): string {
    return this.lines;
  }

  /** The response as an HTTP/1.1 head, up to, not including, the empty line; or why it is malformed. */
  head(): { readonly text: string } | RefusalReason {
    if (this.problem !== null) return this.problem;
    return this.#status === '' ? 'bad-status-line' : { text: `HTTP/1.1 ${this.#status} \r\n${this.lines}` };
  }

  protected pseudo(name: string, value: string): RefusalReason | null {
    if (name !== ':status' || this.#status !== '' || value.length !== 3 || !isVisible(value)) return 'bad-status-line';
    this.#status = value;
    return null;
  }
}

/** The fields of a trailer section. Used again for the next one after `begin`. */
export class TrailerFields extends Fields {
  begin(): void {
    this.restart();
  }

  /** The trailers as lines, each with its CRLF. */
  get text(): string {
    return this.lines;
  }

  protected pseudo(): RefusalReason {
    return 'bad-pseudo-header';
  }
}

/** Where the lines of a head go as HTTP/2 fields: names in lower case. */
export interface FieldWriter {
  field(name: string, value: string): void;
}

/**
 * Hands the lines text[at, end) to the writer as HTTP/2 fields, without what belongs to one HTTP/1.1 connection. The lines
 * are sound: they have been read, or rendered, by this program. `Host` is left out: it has become `:authority`.
 */
export function writeLines(text: string, at: number, end: number, to: FieldWriter): void {
  while (at < end) {
    const colon = text.indexOf(':', at);
    const lineEnd = text.indexOf('\r\n', colon);
    const name = fieldName(text.slice(at, colon));
    at = lineEnd + 2;
    if (name === '') continue;
    let valueAt = colon + 1;
    let valueEnd = lineEnd;
    while (valueAt < valueEnd && isBlank(text.charCodeAt(valueAt))) valueAt++;
    while (valueEnd > valueAt && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
    const value = text.slice(valueAt, valueEnd);
    if (name !== 'te' || value === 'trailers') to.field(name, value);
  }
}

/** The value of the first line of a sound head that has this name (in lower case), or empty. */
export function lineValue(text: string, name: string): string {
  const at = lineAt(text, name, 0);
  return at < 0 ? '' : valueAt(text, name, at);
}

/** The values of all lines of a sound head that have this name (in lower case), comma-joined; empty where there is none. */
export function lineValues(text: string, name: string): string {
  let joined = '';
  for (let at = lineAt(text, name, 0); at >= 0; at = lineAt(text, name, at)) {
    const value = valueAt(text, name, at);
    joined = joined === '' ? value : `${joined}, ${value}`;
  }
  return joined;
}

/** Where the next line with this name begins, behind the line that `from` is in; -1 where there is none. */
function lineAt(text: string, name: string, from: number): number {
  for (let at = text.indexOf('\r\n', from) + 2; at > 1 && at < text.length - 2; at = text.indexOf('\r\n', at) + 2) {
    if (text.charCodeAt(at + name.length) === COLON && sameName(text, at, name)) return at;
  }
  return -1;
}

function valueAt(text: string, name: string, at: number): string {
  return text.slice(at + name.length + 1, text.indexOf('\r\n', at)).trim();
}

/** Names as they come, and as HTTP/2 writes them; empty for those that it does not. Most messages use few. */
const names: Map<string, string> = new Map();
const maxNames = 2_000;
/** What is kept is kept for ever: a name may be as long as a head, and nobody needs such a one again. */
const maxKeptNameBytes = 64;

function fieldName(sent: string): string {
  const known = names.get(sent);
  if (known !== undefined) return known;
  const lower = sent.toLowerCase();
  const name = connectionSpecific.has(lower) || lower === 'host' ? '' : lower;
  // A slice keeps all of the head alive that it was cut from: what is kept is a copy.
  if (names.size < maxNames && sent.length <= maxKeptNameBytes) {
    names.set(Buffer.from(sent, 'latin1').toString('latin1'), name);
  }
  return name;
}

/** Lower-case token (8.2.1). */
function nameProblem(name: string): RefusalReason | null {
  if (name.length === 0) return 'bad-field-name';
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (!isTokenChar(c) || (c >= 0x41 && c <= 0x5a)) return 'bad-field-name';
  }
  return null;
}

/** Nothing that ends a line or hides one, and no blanks around it (8.2.1). */
function valueProblem(value: string): RefusalReason | null {
  for (let i = 0; i < value.length; i++) if (!isValueChar(value.charCodeAt(i))) return 'bad-field-value';
  const length = value.length;
  return length > 0 && (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(length - 1)))
    ? 'bad-field-value'
    : null;
}

/** Visible ASCII alone: what stands in a request line must not be able to end it. */
function isVisible(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c < 0x21 || c > 0x7e) return false;
  }
  return true;
}
