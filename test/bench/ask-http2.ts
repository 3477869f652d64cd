// One HTTP/2 request over TLS on a connection of its own.

import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type TLSSocket } from 'node:tls';
import {
  type Answer,
  ASK_TIMEOUT_MS,
  headerLines,
  type Question,
  TLS_CLIENT,
  tlsLines,
  trailerLines,
} from './answer.ts';

/** The answer with status 200, or what came instead. */
export async function askHttp2(question: Question): Promise<Answer | string> {
  const { port, servername } = question;
  const socket = connect({ host: '127.0.0.1', port, servername, ALPNProtocols: ['h2'], ...TLS_CLIENT });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
    if (socket.alpnProtocol !== 'h2') return `ALPN chose ${socket.alpnProtocol} instead of h2`;
    return await answerOn(socket, question);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    socket.destroy();
  }
}

function answerOn(socket: TLSSocket, question: Question): Promise<Answer | string> {
  const { host, path, headers, body } = question;
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://${host}`, { createConnection: () => socket });
    session.on('error', reject);
    const stream = session.request({
      ':method': body === null ? 'GET' : 'POST',
      ':authority': host,
      ':path': path,
      // As load generators say it; the sink pod knows no chunks.
      ...(body === null ? {} : { 'content-length': body.length }),
      ...headers,
    });
    let status: number | undefined;
    let lines: readonly string[] = [];
    let trailers: readonly string[] = [];
    stream.on('response', (fields, _flags, raw) => {
      status = fields[':status'];
      lines = headerLines(raw);
    });
    stream.on('trailers', (_fields, _flags, raw) => {
      trailers = trailerLines(raw);
    });
    stream.setTimeout(ASK_TIMEOUT_MS, () => reject(new Error('no answer for 30 s')));
    stream.end(body ?? undefined);
    stream.toArray().then((chunks) => {
      if (status !== 200) resolve(`status ${status} instead of 200`);
      else resolve({ headers: lines, body: Buffer.concat(chunks), trailers, tls: tlsLines(socket) });
    }, reject);
  });
}
