// All that is known of one request, tunnel or connection when it is over, and the JSON line that is made of it.

import type { RouteKey, Termination } from '../../table/entries.ts';
import type { LogFields } from '../../telemetry/log.ts';
import type { Pick } from '../upstream/balancer.ts';
import type { Captured, Captures } from './captures.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import type { End } from './termination-state.ts';

export type AccessLine = {
  readonly connection: ConnectionFacts;
  readonly client: string;
  /** `tls`: no HTTP was seen, the connection was handed through or ended before. */
  readonly scheme: 'http' | 'https' | 'tls';
  /** Empty where the head could not be read, or there is none. */
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly httpVersion: '1.0' | '1.1' | '2.0';
  /** 0: none was sent. */
  readonly status: number;
  readonly route: RouteKey | null;
  readonly termination: Termination | null;
  /** The Endpoint that was asked last. */
  readonly pick: Pick | null;
  /** When it began, since the epoch: the first byte of a request, the acceptance of a connection. */
  readonly beganAtMs: number;
  /** Of the connection, told with its first request: before it, for its PROXY header and TLS handshake. */
  readonly handshakeMs: number;
  /** Between the end of the last request, or of the handshake, and the first byte of this one. */
  readonly idleMs: number;
  /** Phases, one after the other; null where it did not come to that. The head of the request, ... */
  readonly headMs: number | null;
  /** ... waiting for a slot of a pod, ... */
  readonly queueMs: number | null;
  /** ... for a connection to it, ... */
  readonly connectMs: number | null;
  /** ... for the first byte of its answer. */
  readonly firstByteMs: number | null;
  /** From the first byte of the request to the last one of the answer. */
  readonly totalMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly retries: number;
  /** Requests that the Endpoint has from this worker besides. */
  readonly endpointRequests: number;
  readonly uniqueId: string;
  /** Of the line, in its worker. */
  readonly serial: number;
  readonly end: End;
  /** Two letters; see termination-state.ts. */
  readonly terminationState: string;
  /** What became of a sticky cookie, in HAProxy's two letters. */
  readonly cookieState: string;
  readonly request: Captured | null;
  readonly response: Captured | null;
};

/** What one line says as JSON. */
export function jsonFields(line: AccessLine, captures: Captures | null): LogFields {
  const { connection, route, pick } = line;
  const fields: Record<string, unknown> = {
    client: line.client,
    clientPort: connection.clientPort,
    scheme: line.scheme,
    httpVersion: line.scheme === 'tls' ? null : line.httpVersion,
    tlsVersion: connection.tlsVersion === '' ? null : connection.tlsVersion,
    tlsCipher: connection.tlsCipher === '' ? null : connection.tlsCipher,
    method: line.method === '' ? null : line.method,
    host: line.host,
    target: line.target === '' ? null : line.target,
    status: line.status === 0 ? null : line.status,
    route,
    namespace: route === null ? null : route.slice(0, route.indexOf('/')),
    service: pick === null ? null : pick.backend.service,
    pod: pick === null ? null : podName(pick.endpoint.id),
    endpoint: pick === null ? null : pick.endpoint.authority,
    handshakeMs: line.handshakeMs === 0 ? null : rounded(line.handshakeMs),
    headMs: rounded(line.headMs),
    queueMs: rounded(line.queueMs),
    connectMs: rounded(line.connectMs),
    firstByteMs: rounded(line.firstByteMs),
    totalMs: rounded(line.totalMs),
    receivedBytes: line.receivedBytes,
    sentBytes: line.sentBytes,
    retries: line.retries,
    end: line.end,
    terminationState: line.scheme === 'tls' ? line.terminationState : line.terminationState + line.cookieState,
  };
  if (line.uniqueId !== '') fields['uniqueId'] = line.uniqueId;
  if (captures !== null) addCaptures(fields, line, captures);
  return fields;
}

function addCaptures(fields: Record<string, unknown>, line: AccessLine, captures: Captures): void {
  const named = (names: readonly { readonly name: string }[], captured: Captured | null): Record<string, unknown> =>
    Object.fromEntries(names.map(({ name }, i) => [name, captured?.headers[i] ?? null]));
  if (captures.requestHeaders.length > 0) fields['requestHeaders'] = named(captures.requestHeaders, line.request);
  if (captures.responseHeaders.length > 0) fields['responseHeaders'] = named(captures.responseHeaders, line.response);
  if (captures.cookie === null) return;
  fields['requestCookie'] = line.request?.cookie ?? null;
  fields['responseCookie'] = line.response?.cookie ?? null;
}

/** Of `pod:<pod>:<service>:...`; null for Endpoints without a pod. */
function podName(id: string): string | null {
  return id.startsWith('pod:') ? id.slice(4, id.indexOf(':', 4)) : null;
}

/** To the microsecond. */
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000;
}
