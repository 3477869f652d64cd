// The process behind idle-connections.ts: opens its connections, says so in a line, and holds them until SIGTERM.

import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect, createSecureContext } from 'node:tls';
import type { IdleLoad } from './idle-connections.ts';

/** How many are being opened at a time. */
const AT_ONCE = 32;
/** One address has not enough ports for everything that may come from it; all of 127.0.0.0/8 is this machine. */
const SOURCES = 8;

const load: IdleLoad = JSON.parse(process.argv[2] ?? '');
const request = `GET ${load.path} HTTP/1.1\r\nHost: ${load.host}\r\n\r\n`;
// As in new-connections-client.ts.
const secureContext = createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });

let asked = 0;
let open = 0;
await Promise.all(Array.from({ length: AT_ONCE }, openUntilEnough));
process.stdout.write('open\n');
await once(process, 'SIGTERM');
if (open < load.connections) process.stdout.write(`${load.connections - open} were closed\n`);
process.exit(open < load.connections ? 1 : 0);

async function openUntilEnough(): Promise<void> {
  while (asked < load.connections) {
    const source = `127.0.1.${1 + (asked++ % SOURCES)}`;
    const socket = connect({
      socket: connectTcp({ host: '127.0.0.1', port: load.port, localAddress: source }),
      servername: load.host,
      secureContext,
      rejectUnauthorized: false,
    });
    socket.on('secureConnect', () => socket.write(request));
    const [answer]: Buffer[] = await once(socket, 'data');
    if (answer?.toString('latin1', 0, 13) !== 'HTTP/1.1 200 ') throw new Error('a request was not answered with 200');
    open++;
    socket.on('close', () => open--);
    // Its errors are told by its end.
    socket.on('error', () => {});
  }
}
