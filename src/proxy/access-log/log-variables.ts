// What the variables of HAProxy's log formats stand for here. One table: a name that is not in it is an error at the start.

import { hostname } from 'node:os';
import type { AccessLine } from './access-line.ts';
import type { Captured } from './captures.ts';
import { localMoment, universalDate, zonedDate } from './log-dates.ts';
import type { End } from './termination-state.ts';

/** Client connections open now: those of one port, or all. */
export type OpenConnections = (listener: 'http' | 'https' | null) => number;

/**
 * `text`: empty is told as `-`, and quoted where that is asked for; `escapes` names the characters that it may not hold.
 * `part`: as text, but empty is empty. `number`: in ms, bytes or a count, whole; a
 * `word` has four hexadecimal digits at least, where it is told so. `date`: neither quoted nor empty. `block`:
 * as it is, or nothing.
 */
export type Variable =
  | {
      readonly kind: 'text' | 'part';
      readonly escapes: 'control' | 'uri';
      readonly of: (line: AccessLine) => string;
    }
  | { readonly kind: 'number' | 'word'; readonly of: (line: AccessLine) => number }
  | { readonly kind: 'address'; readonly of: (line: AccessLine) => string }
  | { readonly kind: 'date'; readonly of: (line: AccessLine) => string }
  | { readonly kind: 'block'; readonly of: (line: AccessLine, quoted: boolean) => string };

/** What stands for a request that could not be read. */
const badRequest = '<BADREQ>';

/** Answers that the reference gives before it has looked for a Route's backend. */
const frontendAnswers: ReadonlySet<End> = new Set<End>([
  'redirect',
  'health',
  'misdirected',
  'no-client-certificate',
  'client-certificate-filtered',
  'other-client-policy',
]);

const backendPrefixes = {
  none: 'be_http',
  edge: 'be_edge_http',
  reencrypt: 'be_secure',
  passthrough: 'be_tcp',
} as const;

const ownHost = hostname();

/** The variables by name, without their `%`. `open`: for those that tell of other connections. */
export function logVariables(open: OpenConnections): ReadonlyMap<string, Variable> {
  const text = (of: (line: AccessLine) => string): Variable => ({ kind: 'text', escapes: 'control', of });
  const uri = (of: (line: AccessLine) => string): Variable => ({ kind: 'text', escapes: 'uri', of });
  const part = (of: (line: AccessLine) => string): Variable => ({ kind: 'part', escapes: 'uri', of });
  const number = (of: (line: AccessLine) => number): Variable => ({ kind: 'number', of });
  const word = (of: (line: AccessLine) => number): Variable => ({ kind: 'word', of });
  const address = (of: (line: AccessLine) => string): Variable => ({ kind: 'address', of });
  const date = (of: (line: AccessLine) => string): Variable => ({ kind: 'date', of });
  const block = (of: (line: AccessLine, quoted: boolean) => string): Variable => ({ kind: 'block', of });
  return new Map<string, Variable>([
    // Who, and where.
    ['ci', address((line) => line.client)],
    ['cp', word((line) => line.connection.clientPort)],
    ['fi', address((line) => line.connection.address)],
    ['fp', word((line) => line.connection.port)],
    ['si', address((line) => line.pick?.endpoint.address ?? '')],
    ['sp', word((line) => line.pick?.endpoint.port ?? 0)],
    ['f', text((line) => line.connection.frontend)],
    ['ft', text(transportName)],
    ['b', text(backendName)],
    ['s', text((line) => line.pick?.endpoint.id ?? '<NOSRV>')],
    ['H', text(() => ownHost)],
    ['pid', number(() => process.pid)],

    // When.
    ['t', date((line) => localMoment(line.connection.acceptedAtMs))],
    ['T', date((line) => universalDate(line.connection.acceptedAtMs))],
    ['Tl', date((line) => zonedDate(line.connection.acceptedAtMs))],
    ['Ts', number((line) => line.connection.acceptedAtMs / 1000)],
    ['ms', date((line) => String(line.connection.acceptedAtMs % 1000).padStart(3, '0'))],
    ['tr', date((line) => localMoment(line.beganAtMs))],
    ['trg', date((line) => universalDate(line.beganAtMs))],
    ['trl', date((line) => zonedDate(line.beganAtMs))],

    // How long, in ms.
    ['Th', number((line) => line.handshakeMs)],
    ['Ti', number((line) => line.idleMs)],
    ['TR', number((line) => line.headMs ?? -1)],
    ['Tq', number((line) => (line.headMs === null ? -1 : line.handshakeMs + line.idleMs + line.headMs))],
    ['Tw', number((line) => line.queueMs ?? -1)],
    ['Tc', number((line) => line.connectMs ?? -1)],
    ['Tr', number((line) => line.firstByteMs ?? -1)],
    ['Td', number(dataMs)],
    ['Ta', number((line) => line.totalMs)],
    ['Tt', number((line) => line.handshakeMs + line.idleMs + line.totalMs)],
    ['Tu', number((line) => line.handshakeMs + line.totalMs)],

    // What.
    ['r', uri(requestLine)],
    ['HM', uri((line) => (isRead(line) ? line.method : badRequest))],
    ['HU', uri((line) => (isRead(line) ? requestUri(line) : badRequest))],
    ['HP', uri((line) => (isRead(line) ? withoutQuery(requestUri(line)) : badRequest))],
    ['HPO', uri((line) => (isRead(line) ? withoutQuery(line.target) : badRequest))],
    ['HQ', part((line) => (isRead(line) ? queryOf(line.target) : badRequest))],
    ['HV', uri((line) => (isRead(line) ? `HTTP/${line.httpVersion}` : badRequest))],
    ['ST', number((line) => (line.status === 0 && line.scheme !== 'tls' ? -1 : line.status))],
    ['B', number((line) => line.sentBytes)],
    ['U', number((line) => line.receivedBytes)],
    ['ts', text((line) => line.terminationState)],
    ['tsc', text((line) => line.terminationState + line.cookieState)],
    ['ID', text((line) => line.uniqueId)],
    ['sslv', text((line) => line.connection.tlsVersion)],
    ['sslc', text((line) => line.connection.tlsCipher)],

    // How many.
    ['ac', number(() => open(null))],
    ['fc', number((line) => open(line.connection.listener))],
    ['bc', number(() => 0)],
    ['sc', number((line) => line.endpointRequests)],
    ['rc', text((line) => (line.retries === 0 ? '0' : `+${line.retries}`))],
    ['sq', number(() => 0)],
    ['bq', number(() => 0)],
    ['rt', word((line) => line.serial)],

    // What was captured.
    ['CC', text((line) => line.request?.cookie ?? '')],
    ['CS', text((line) => line.response?.cookie ?? '')],
    ['hr', block((line, quoted) => braced(line.request, quoted))],
    ['hs', block((line, quoted) => braced(line.response, quoted))],
    ['hrl', block((line, quoted) => listed(line.request, quoted))],
    ['hsl', block((line, quoted) => listed(line.response, quoted))],
  ]);
}

/** `%[...]`: one captured field. */
export function captureVariable(side: 'request' | 'response', index: number): Variable {
  const of =
    side === 'request'
      ? (line: AccessLine) => line.request?.headers[index] ?? ''
      : (line: AccessLine) => line.response?.headers[index] ?? '';
  return { kind: 'text', escapes: 'control', of };
}

/**
 * A text without characters that could end a line, or be taken for the line's own: those are told as `#` and two hexadecimal
 * digits. `header`: what stands within `{a|b}`.
 */
export function encoded(text: string, escapes: 'control' | 'uri' | 'header'): string {
  let result = '';
  let copied = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!mustEscape(code, escapes)) continue;
    result += `${text.slice(copied, i)}#${(code & 0xff).toString(16).toUpperCase().padStart(2, '0')}`;
    copied = i + 1;
  }
  return copied === 0 ? text : result + text.slice(copied);
}

function mustEscape(code: number, escapes: 'control' | 'uri' | 'header'): boolean {
  if (code < 0x20 || code >= 0x7f) return true;
  if (escapes === 'control') return false;
  // " and #
  if (code === 0x22 || code === 0x23) return true;
  // { | }
  return escapes === 'header' && code >= 0x7b && code <= 0x7d;
}

function isRead(line: AccessLine): boolean {
  return line.target !== '';
}

function transportName(line: AccessLine): string {
  const { frontend } = line.connection;
  return line.connection.tlsVersion === '' ? frontend : `${frontend}~`;
}

function backendName(line: AccessLine): string {
  const { end, route, termination } = line;
  if (end === 'no-route') return 'openshift_default';
  if (route === null || termination === null || frontendAnswers.has(end)) return line.connection.frontend;
  const slash = route.indexOf('/');
  return `${backendPrefixes[termination]}:${route.slice(0, slash)}:${route.slice(slash + 1)}`;
}

function dataMs(line: AccessLine): number {
  const { headMs, queueMs, connectMs, firstByteMs } = line;
  if (firstByteMs === null) return -1;
  return line.totalMs - (headMs ?? 0) - (queueMs ?? 0) - (connectMs ?? 0) - firstByteMs;
}

function requestLine(line: AccessLine): string {
  return isRead(line) ? `${line.method} ${requestUri(line)} HTTP/${line.httpVersion}` : badRequest;
}

/** HTTP/2 has no request line: HAProxy tells it as a whole URI. */
function requestUri(line: AccessLine): string {
  return line.httpVersion === '2.0' && line.target !== '*'
    ? `${line.scheme}://${line.host}${line.target}`
    : line.target;
}

function withoutQuery(uri: string): string {
  const query = uri.indexOf('?');
  return query < 0 ? uri : uri.slice(0, query);
}

function queryOf(uri: string): string {
  const query = uri.indexOf('?');
  return query < 0 ? '' : uri.slice(query);
}

function braced(captured: Captured | null, quoted: boolean): string {
  if (captured === null || captured.headers.length === 0) return '';
  let text = quoted ? '"{' : '{';
  for (let i = 0; i < captured.headers.length; i++) {
    if (i > 0) text += '|';
    text += encoded(captured.headers[i] ?? '', 'header');
  }
  return quoted ? `${text}}"` : `${text}}`;
}

function listed(captured: Captured | null, quoted: boolean): string {
  if (captured === null) return '';
  let text = '';
  for (let i = 0; i < captured.headers.length; i++) {
    const value = encoded(captured.headers[i] ?? '', 'header');
    if (i > 0) text += ' ';
    if (quoted) text += `"${value}"`;
    else text += value === '' ? '-' : value;
  }
  return text;
}
