// What of a message's fields is kept for the access log (Route semantics 4.4, 5.20): fields and a cookie, cut to a length,
// taken from the message as it came, before anything changes it.

/** A field to keep, by its name in lower case, cut to `maxLength` characters. */
type HeaderCapture = { readonly name: string; readonly maxLength: number };

/** A cookie to keep as `name=value`; `start` is what it has to begin with: a prefix of the name, or the name and `=`. */
type CookieCapture = { readonly start: string; readonly maxLength: number };

/** What was kept of one message; null where a field, or the cookie, is not there. */
export type Captured = { readonly headers: readonly (string | null)[]; readonly cookie: string | null };

/** A head that fields can be asked of. */
export type FieldSource = { fieldsNamed(name: string): readonly string[] };

/** The settings that captures are made of, as they are typed. */
export type CaptureSettings = {
  readonly captureRequestHeaders: string;
  readonly captureResponseHeaders: string;
  readonly captureCookie: string;
};

/** Captures, or what is wrong with their text, in the reference's words. */
export type CaptureReading<T> =
  | { readonly kind: 'captures'; readonly captures: T }
  | { readonly kind: 'problem'; readonly because: string };

/** No more than a head may hold. */
const maxCaptureLength = 65_535;

export class Captures {
  readonly requestHeaders: readonly HeaderCapture[];
  readonly responseHeaders: readonly HeaderCapture[];
  readonly cookie: CookieCapture | null;
  /** What is kept of a response that there is none of. */
  readonly noResponse: Captured;

  private constructor(
    requestHeaders: readonly HeaderCapture[],
    responseHeaders: readonly HeaderCapture[],
    cookie: CookieCapture | null,
  ) {
    this.requestHeaders = requestHeaders;
    this.responseHeaders = responseHeaders;
    this.cookie = cookie;
    this.noResponse = { headers: responseHeaders.map(() => null), cookie: null };
  }

  /** Those that the settings ask for, null where they ask for none. The settings have been checked. */
  static of(settings: CaptureSettings): Captures | null {
    const request = readHeaderCaptures(settings.captureRequestHeaders);
    const response = readHeaderCaptures(settings.captureResponseHeaders);
    const cookie = readCookieCapture(settings.captureCookie);
    if (request.kind === 'problem' || response.kind === 'problem' || cookie.kind === 'problem') return null;
    if (request.captures.length === 0 && response.captures.length === 0 && cookie.captures === null) return null;
    return new Captures(request.captures, response.captures, cookie.captures);
  }

  /** What is kept of a request. */
  ofRequest(head: FieldSource): Captured {
    return { headers: headersOf(this.requestHeaders, head), cookie: this.#requestCookie(head) };
  }

  /** What is kept of a response. */
  ofResponse(head: FieldSource): Captured {
    return { headers: headersOf(this.responseHeaders, head), cookie: this.#responseCookie(head) };
  }

  #requestCookie(head: FieldSource): string | null {
    const capture = this.cookie;
    if (capture === null) return null;
    for (const value of head.fieldsNamed('cookie')) {
      for (const pair of value.split(';')) {
        const cookie = pair.trim();
        if (cookie.startsWith(capture.start)) return cookie.slice(0, capture.maxLength);
      }
    }
    return null;
  }

  #responseCookie(head: FieldSource): string | null {
    const capture = this.cookie;
    if (capture === null) return null;
    for (const value of head.fieldsNamed('set-cookie')) {
      const end = value.indexOf(';');
      const cookie = (end < 0 ? value : value.slice(0, end)).trim();
      if (cookie.startsWith(capture.start)) return cookie.slice(0, capture.maxLength);
    }
    return null;
  }
}

/** Of several lines with one name the last counts, as with HAProxy. */
function headersOf(captures: readonly HeaderCapture[], head: FieldSource): (string | null)[] {
  return captures.map(({ name, maxLength }) => head.fieldsNamed(name).at(-1)?.slice(0, maxLength) ?? null);
}

/** `name:maxlen,...`; no text stands for none. */
export function readHeaderCaptures(text: string): CaptureReading<readonly HeaderCapture[]> {
  const captures: HeaderCapture[] = [];
  if (text === '') return { kind: 'captures', captures };
  for (const item of text.split(',')) {
    const [name = '', length, ...rest] = item.split(':');
    const maxLength = lengthOf(length);
    if (maxLength === null || rest.length > 0) {
      return { kind: 'problem', because: `invalid HTTP header capture specification: ${item}` };
    }
    if (!isToken(name)) return { kind: 'problem', because: `invalid HTTP header name: ${name}` };
    captures.push({ name: name.toLowerCase(), maxLength });
  }
  return { kind: 'captures', captures };
}

/** `name:maxlen`, the name a prefix, or `name=:maxlen`, the whole name; no text stands for none. */
export function readCookieCapture(text: string): CaptureReading<CookieCapture | null> {
  if (text === '') return { kind: 'captures', captures: null };
  const [start = '', length, ...rest] = text.split(':');
  const maxLength = lengthOf(length);
  if (maxLength === null || rest.length > 0) {
    return { kind: 'problem', because: `invalid HTTP cookie capture specification: ${text}` };
  }
  const name = start.endsWith('=') ? start.slice(0, -1) : start;
  if (!isToken(name)) return { kind: 'problem', because: `invalid HTTP cookie name: ${name}` };
  return { kind: 'captures', captures: { start, maxLength } };
}

function lengthOf(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return null;
  const length = Number(text);
  return length > 0 && length <= maxCaptureLength ? length : null;
}

function isToken(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~\w]+$/.test(name);
}
