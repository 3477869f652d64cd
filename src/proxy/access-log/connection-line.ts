// The line of a connection that no HTTP was seen on: it was handed through, or ended before.

import type { EndReason } from '../end-reason.ts';
import type { AccessLine } from './access-line.ts';
import type { ConnectionFacts } from './connection-facts.ts';
import { terminationState } from './termination-state.ts';

/** What a line tells of a connection that ends now, before anything came of it. `serial`: of the line. */
export function connectionLine(
  connection: ConnectionFacts,
  client: string,
  end: EndReason,
  serial: number,
): AccessLine {
  return {
    connection,
    client,
    scheme: connection.listener === 'http' ? 'http' : 'tls',
    method: '',
    target: '',
    host: '',
    httpVersion: '1.1',
    status: 0,
    route: null,
    termination: null,
    pick: null,
    beganAtMs: connection.acceptedAtMs,
    handshakeMs: 0,
    idleMs: 0,
    headMs: null,
    queueMs: null,
    connectMs: null,
    firstByteMs: null,
    totalMs: performance.now() - connection.acceptedMs,
    receivedBytes: 0,
    sentBytes: 0,
    retries: 0,
    endpointRequests: 0,
    uniqueId: '',
    serial,
    end,
    terminationState: terminationState(end, 'request', null),
    cookieState: '--',
    request: null,
    response: null,
  };
}
