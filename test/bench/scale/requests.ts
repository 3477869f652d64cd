// One request of every host over TLS, on a connection of its own, with the certificate verified: proof that the table is right,
// and the load that makes workers hold what they hold of a certificate.

import { connect } from 'node:tls';
import { hostOf } from './scale-certificates.ts';

const atOnce = 16;
const timeoutMs = 20_000;

/** Asks every host once. Answers what went wrong, by host. */
export async function requestAll(
  port: number,
  routes: number,
  authority: string,
): Promise<ReadonlyMap<string, string>> {
  const failures = new Map<string, string>();
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < routes) {
      const host = hostOf(next++);
      const failure = await requestOnce(port, host, authority);
      if (failure !== null) failures.set(host, failure);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return failures;
}

/** Null when the pod answered behind the host's own certificate; else what happened. */
function requestOnce(port: number, host: string, ca: string): Promise<string | null> {
  return new Promise((resolve) => {
    let answer = '';
    let failure: string | null = null;
    const socket = connect({ host: '127.0.0.1', port, servername: host, ca, ALPNProtocols: ['http/1.1'] }, () => {
      socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    });
    socket.setEncoding('latin1').setTimeout(timeoutMs, () => socket.destroy(new Error('no answer')));
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', ({ message }) => {
      failure = message;
    });
    socket.on('close', () => {
      const isRight = answer.startsWith('HTTP/1.1 200 ') && answer.includes('here');
      resolve(failure ?? (isRight ? null : `answered ${JSON.stringify(answer.slice(0, 80))}`));
    });
  });
}
