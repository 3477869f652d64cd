// One check: a connection that is closed as soon as it stands, with TLS as soon as the handshake is through. Whether the pod's
// certificate is to be trusted is each Route's question and not asked here: a pod that shows one is there.

import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectFailure } from '../upstream/upstream.ts';
import { failureOf } from '../upstream/upstream-connection.ts';
import type { Check } from './check-list.ts';

/** No check takes longer, however long the interval (Route semantics 5.16). */
const longestMs = 5_000;

/**
 * Starts a check; `onResult` is called once, later, with null if the Endpoint was reached. `protocols`: to offer by ALPN.
 * Answers what ends it without a result.
 */
export function probe(
  { endpoint, security, intervalMs, serverName }: Check,
  protocols: readonly string[],
  onResult: (failure: ConnectFailure | null) => void,
): () => void {
  const target = { host: endpoint.address, port: endpoint.port };
  let over = false;
  let socket: Socket;
  const end = (failure: ConnectFailure | null): void => {
    if (over) return;
    stop();
    onResult(failure);
  };
  const timer = setTimeout(() => end('timeout'), Math.min(intervalMs, longestMs));
  const stop = (): void => {
    over = true;
    clearTimeout(timer);
    // A reset leaves no closing state behind, which at hundreds of checks a second would add up. TLS is closed in order.
    if (security === 'plain' && !socket.connecting) socket.resetAndDestroy();
    else socket.destroy();
  };
  if (security === 'plain') {
    socket = connectTcp(target);
    socket.once('connect', () => end(null));
  } else {
    socket = connectTls({
      ...target,
      ALPNProtocols: [...protocols],
      rejectUnauthorized: false,
      ...(serverName === '' || isIP(serverName) !== 0 ? {} : { servername: serverName }),
    });
    socket.once('secureConnect', () => end(null));
  }
  socket.on('error', (error: NodeJS.ErrnoException) => end(failureOf(error)));
  socket.once('close', () => end('unreachable'));
  return stop;
}
