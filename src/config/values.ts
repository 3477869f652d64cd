// What the text of a setting may look like and which value it stands for. Pure: no file is opened here.
import { parseNetwork } from '../table/address-list.ts';
import { isCookieName } from '../table/cookie-name.ts';
import { type HeaderAction, type HeaderDirection, headerActionProblem } from '../table/header-actions.ts';
import { parseHost } from '../table/host.ts';
import { readSwitch } from '../table/switch.ts';
import { MAX_TIME_MS, timeMs } from '../table/time.ts';
import { readHeaderActions } from './header-settings.ts';
import { type IdPart, readIdFormat } from './id-format.ts';
import {
  type FieldRequirement,
  type LabelRequirement,
  type Parsed,
  parseFieldSelector,
  parseLabelSelector,
} from './selectors.ts';
import { quoted } from './shown.ts';

/** The kinds of value that a setting can have; what each accepts is said at `readValue`. */
export type ValueKind =
  | { readonly kind: 'switch' }
  | { readonly kind: 'integer'; readonly noun: string; readonly min: number; readonly max: number }
  | { readonly kind: 'limit'; readonly noun: string; readonly max: number }
  | { readonly kind: 'share' }
  | { readonly kind: 'time' }
  | { readonly kind: 'delay' }
  | { readonly kind: 'seconds' }
  | { readonly kind: 'choice'; readonly options: readonly string[]; readonly spelling?: 'any-case' }
  | { readonly kind: 'choices'; readonly options: readonly string[] }
  | { readonly kind: 'media-types' }
  | { readonly kind: 'columns' }
  | { readonly kind: 'tls-version' }
  | { readonly kind: 'pattern' }
  | { readonly kind: 'text' }
  | { readonly kind: 'cookie-name' }
  | { readonly kind: 'domain' }
  | { readonly kind: 'domains' }
  | { readonly kind: 'host-template' }
  | { readonly kind: 'label-selector' }
  | { readonly kind: 'project-selector' }
  | { readonly kind: 'field-selector' }
  | { readonly kind: 'ordinal' }
  | { readonly kind: 'namespace' }
  | { readonly kind: 'service-account' }
  | { readonly kind: 'url' }
  | { readonly kind: 'proxy' }
  | { readonly kind: 'address' }
  | { readonly kind: 'listen-address' }
  | { readonly kind: 'networks' }
  | { readonly kind: 'header-name' }
  | { readonly kind: 'header-names' }
  | { readonly kind: 'id-format' }
  | { readonly kind: 'header-actions'; readonly direction: HeaderDirection }
  | { readonly kind: 'file' }
  | { readonly kind: 'directory' }
  | { readonly kind: 'writable-directory' };

/** The type of the value that a kind of setting has in the Config. */
export type ValueOf<K extends ValueKind> = K extends { kind: 'switch' }
  ? boolean
  : K extends { kind: 'integer' | 'limit' | 'share' | 'time' | 'delay' | 'seconds' }
    ? number
    : K extends { kind: 'choice'; options: readonly (infer Option)[] }
      ? Option
      : K extends { kind: 'tls-version' }
        ? TlsVersion | ''
        : K extends { kind: 'choices'; options: readonly (infer Option)[] }
          ? readonly Option[]
          : K extends { kind: 'domains' | 'networks' | 'media-types' | 'header-names' }
            ? readonly string[]
            : K extends { kind: 'columns' }
              ? readonly number[]
              : K extends { kind: 'label-selector' }
                ? readonly LabelRequirement[]
                : K extends { kind: 'project-selector' }
                  ? readonly LabelRequirement[] | null
                  : K extends { kind: 'field-selector' }
                    ? readonly FieldRequirement[]
                    : K extends { kind: 'header-actions' }
                      ? readonly HeaderAction[]
                      : K extends { kind: 'id-format' }
                        ? readonly IdPart[]
                        : string;

/** As OpenSSL names the versions of TLS. */
export type TlsVersion = (typeof tlsVersions)[number];

const tlsVersions = ['TLSv1.0', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;

/** Any value that a setting can have. */
export type Value = ValueOf<ValueKind> | string;

/** How garbage is met: `lenient` only where the OpenShift router's own environment names define what it means. */
export type Manner = 'strict' | 'lenient';

/** A value, or why the text stands for none: a sentence without its subject, such as `"x" is not a port (0 to 65535)`. */
export type Reading =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'problem'; readonly because: string };

/** The value that a text stands for under a kind of setting (Route semantics 4, conventions). */
export function readValue(kind: ValueKind, text: string, manner: Manner): Reading {
  switch (kind.kind) {
    case 'switch': {
      const value = readSwitch(text) ?? (manner === 'lenient' ? false : undefined);
      return value === undefined ? refused(text, 'true or false') : { kind: 'value', value };
    }
    case 'integer':
      return valueOr(integer(text, kind.min, kind.max), text, `${kind.noun} (${kind.min} to ${kind.max})`);
    case 'limit':
      if (text === 'auto' || (manner === 'lenient' && !digits.test(text))) return { kind: 'value', value: 0 };
      return valueOr(integer(text, 0, kind.max), text, `${kind.noun} (1 to ${kind.max}, or auto)`);
    case 'share': {
      const share = /^(\d+(\.\d+)?|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
      return valueOr(share <= 1 ? share : undefined, text, 'a share (0 to 1)');
    }
    case 'time':
      return valueOr(timeMs(text), text, 'a time (a positive whole number, then us, ms, s, m, h or d; none is ms)');
    case 'delay':
      return valueOr(delayMs(text), text, 'a time (such as 45s, 1m30s or 0)');
    case 'seconds':
      return valueOr(secondsMs(text), text, 'a time (a whole number of seconds, or such as 90s or 1m30s)');
    case 'choice': {
      const word = kind.spelling === 'any-case' ? text.toLowerCase() : text;
      return kind.options.includes(word)
        ? { kind: 'value', value: word }
        : refused(text, `one of ${kind.options.filter((option) => option !== '').join(', ')}`);
    }
    case 'choices': {
      const chosen = [...new Set(listed(text))];
      const fits = chosen.length > 0 && chosen.every((option) => kind.options.includes(option));
      return fits ? { kind: 'value', value: chosen } : refused(text, `a list of ${kind.options.join(', ')}`);
    }
    case 'media-types': {
      const types = mediaTypes(text);
      const fits = types.length > 0 && types.every((type) => mediaTypePattern.test(type));
      return fits
        ? { kind: 'value', value: types }
        : refused(text, 'a list of media types (such as text/html text/css)');
    }
    case 'columns': {
      const columns = listed(text).map((item) => integer(item, 0, 999));
      const fits = columns.filter((column) => column !== undefined);
      return fits.length === columns.length
        ? { kind: 'value', value: fits }
        : refused(text, 'a list of numbers of columns (such as 2,4,5)');
    }
    case 'tls-version':
      return text === '' || tlsVersions.some((version) => version === text)
        ? { kind: 'value', value: text }
        : refused(text, `one of ${tlsVersions.join(', ')}`);
    case 'pattern':
      return valueOr(isPattern(text) ? text : undefined, text, 'a regular expression');
    case 'cookie-name':
      return valueOr(text === '' || isCookieName(text) ? text : undefined, text, 'a name of letters, digits, _ and -');
    case 'domain':
      return valueOr(text === '' ? text : parseHost(text), text, 'a domain name');
    case 'domains':
      return { kind: 'value', value: listed(text) };
    case 'host-template':
      return /^[^$]*(\$\{(name|namespace)\}[^$]*)*$/.test(text)
        ? { kind: 'value', value: text }
        : refused(text, 'a host in which name and namespace are the only variables');
    case 'label-selector':
      return selection(parseLabelSelector(text), text);
    case 'project-selector':
      // The empty selector means every project; null is none asked for.
      if (text === '') return { kind: 'value', value: null };
      return selection(parseLabelSelector(text === '*' ? '' : text), text);
    case 'field-selector':
      return selection(text === '' ? { kind: 'requirements', requirements: [] } : parseFieldSelector(text), text);
    case 'ordinal':
      return valueOr(text === '' || digits.test(text) ? text : undefined, text, 'a number of a shard (from 0)');
    case 'namespace':
      return valueOr(text === '' || namespacePattern.test(text) ? text : undefined, text, 'the name of a namespace');
    case 'service-account': {
      const [namespace = '', name = '', ...rest] = text.split('/');
      const fits = rest.length === 0 && namespacePattern.test(namespace) && parseHost(name) !== undefined;
      return valueOr(text === '' || fits ? text : undefined, text, 'a service account (namespace/name)');
    }
    case 'url':
      return valueOr(
        text === '' || /^https?:$/.test(URL.parse(text)?.protocol ?? '') ? text : undefined,
        text,
        'a URL',
      );
    case 'proxy': {
      if (text === '') return { kind: 'value', value: text };
      const url = URL.parse(text.includes('://') ? text : `http://${text}`);
      // It is not shown: there may be a password in it.
      return url !== null && /^https?:$/.test(url.protocol)
        ? { kind: 'value', value: url.href }
        : { kind: 'problem', because: 'is not the URL of a proxy (such as http://proxy.example.com:3128)' };
    }
    case 'address':
      return valueOr(address(text), text, 'an IP address');
    case 'listen-address':
      return valueOr(text === '' ? text : listenAddress(text), text, 'an IP address and a port (address:port)');
    case 'networks': {
      const networks = listed(text).map((item) => ({ item, network: network(item) }));
      const wrong = networks.find((one) => one.network === undefined);
      if (wrong !== undefined) return refused(wrong.item, 'an IP address or a network (such as 10.0.0.0/8)');
      return { kind: 'value', value: networks.map((one) => one.network ?? '') };
    }
    case 'header-actions': {
      if (text === '') return { kind: 'value', value: [] };
      const read = readHeaderActions(text, kind.direction);
      return read.kind === 'actions' ? { kind: 'value', value: read.actions } : read;
    }
    case 'id-format': {
      const read = readIdFormat(text);
      return read.kind === 'parts' ? { kind: 'value', value: read.parts } : read;
    }
    case 'header-name': {
      const isName = /^[-!#$%&'*+.0-9A-Z^_`a-z|~]{0,255}$/.test(text) && text.toLowerCase() !== 'host';
      const mayBeSet = isName && headerActionProblem({ name: text, parts: [] }) === null;
      return valueOr(mayBeSet ? text : undefined, text, 'the name of a header that may be set');
    }
    case 'header-names': {
      const names = listed(text);
      const wrong = names.find((name) => !/^[-!#$%&'*+.0-9A-Z^_`a-z|~]{1,255}$/.test(name));
      return wrong === undefined ? { kind: 'value', value: names } : refused(wrong, 'the name of a header');
    }
    case 'text':
    case 'file':
    case 'directory':
    case 'writable-directory':
      return { kind: 'value', value: text };
  }
}

/**
 * Milliseconds of a Go duration such as `45s`, `1m30s`, `1.5h` or `0`, or of HAProxy's time pattern; undefined where the text
 * is neither. Signs are not taken: no delay is negative.
 */
export function delayMs(text: string): number | undefined {
  if (text === '0') return 0;
  const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;
  let totalNs = 0;
  let end = 0;
  for (let found = part.exec(text); found !== null; found = part.exec(text)) {
    const [, count = '', unit = ''] = found;
    totalNs += Math.round(Number(count) * (unitNs[unit] ?? Number.NaN));
    end = part.lastIndex;
  }
  return end > 0 && end === text.length ? clippedMs(totalNs) : timeMs(text);
}

/** As `delayMs`, but a whole number without unit counts seconds. */
export function secondsMs(text: string): number | undefined {
  return digits.test(text) ? clippedMs(Number(text) * 1e9) : delayMs(text);
}

function isPattern(text: string): boolean {
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
}

const digits = /^\d+$/;
/** Also the beginning of one (`image`), as HAProxy takes them. */
const mediaTypePattern = /^[\w!#$%&'+.^`|~-]+(\/([\w!#$%&'+.^`|~-]+([ \t]*;.*)?|\*)?)?$/;
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

const unitNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

function clippedMs(ns: number): number {
  return Math.min(Math.ceil(ns / 1e6), MAX_TIME_MS);
}

function integer(text: string, min: number, max: number): number | undefined {
  const value = digits.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

/** The canonical text of an IP literal, so that equal addresses are equal texts. */
function address(text: string): string | undefined {
  if (/^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/.test(text)) return text;
  // The URL parser knows IPv6 literals and shortens them; node:net is not for this room.
  const url = /^[\da-f:.]*:[\da-f:.]*$/i.test(text) ? URL.parse(`http://[${text}]/`) : null;
  return url?.hostname.slice(1, -1);
}

/** `address:port` in canonical form, an IPv6 address in brackets, no address where none was named. */
function listenAddress(text: string): string | undefined {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, Math.max(colon, 0));
  const port = integer(text.slice(colon + 1), 0, 65_535);
  if (colon < 0 || port === undefined) return undefined;
  if (host === '') return `:${port}`;
  const named = address(/^\[(.*)\]$/.exec(host)?.[1] ?? host);
  // Without brackets nobody can tell where an IPv6 address ends.
  if (named === undefined || host.startsWith('[') !== named.includes(':')) return undefined;
  return named.includes(':') ? `[${named}]:${port}` : `${named}:${port}`;
}

/** The canonical text of a network, its length always said; a single address is one of the greatest length. */
function network(text: string): string | undefined {
  const read = parseNetwork(text);
  const base = read === null ? undefined : address(read.address);
  return read === null || base === undefined ? undefined : `${base}/${read.bits}`;
}

/** The items of a comma-separated list, without blanks around them and without empty ones (Route semantics 4). */
function listed(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The items of a list with blanks between them, in lower case; what stands in double quotes is one, blanks and all. */
function mediaTypes(text: string): string[] {
  const items = text.matchAll(/"((?:[^"\\]|\\.)*)"|[^\s"]+/g);
  return Array.from(items, ([bare, inQuotes]) => (inQuotes?.replaceAll(/\\(.)/g, '$1') ?? bare).toLowerCase());
}

function selection<R extends LabelRequirement | FieldRequirement>(parsed: Parsed<R>, text: string): Reading {
  if (parsed.kind === 'problem') return { kind: 'problem', because: `${quoted(text)} ${parsed.because}` };
  // Of one kind, as the parser gave them; only the union of the two array types is too wide for TypeScript.
  return { kind: 'value', value: parsed.requirements as readonly LabelRequirement[] };
}

function valueOr(value: string | number | undefined, text: string, wanted: string): Reading {
  return value === undefined ? refused(text, wanted) : { kind: 'value', value };
}

function refused(text: string, wanted: string): Reading {
  return { kind: 'problem', because: `${quoted(text)} is not ${wanted}` };
}
