// The PROXY header before what a pod is sent: read off a socket, which then stands as if it had begun behind it.

import type { Socket } from 'node:net';
import { type ProxyHeader, readProxyHeader } from '../../src/protocol/proxy-header.ts';

/** Calls back, once, with what a socket begins with; the socket is paused, and a header has been taken off. */
export function readHeaderOf(socket: Socket, then: (header: ProxyHeader) => void): void {
  let bytes = Buffer.alloc(0);
  const gather = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const header = readProxyHeader(bytes);
    if (header.kind === 'incomplete') return;
    socket.pause();
    socket.removeListener('data', gather);
    socket.unshift(header.kind === 'header' ? bytes.subarray(header.bytes) : bytes);
    then(header);
  };
  socket.on('data', gather);
}
