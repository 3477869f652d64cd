// One HTTP/1.1 request on a connection of its own.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';
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
export function askHttp1({ isTls, port, servername, host, path, headers, body }: Question): Promise<Answer | string> {
  const options = {
    host: '127.0.0.1',
    port,
    path,
    agent: false as const,
    timeout: ASK_TIMEOUT_MS,
    method: body === null ? 'GET' : 'POST',
    headers: { ...headers, ...(body === null ? {} : { 'content-length': String(body.length) }), host },
  };
  return new Promise((resolve) => {
    const answered = (response: IncomingMessage): void => {
      // Read now: the socket may be gone when the body has been read.
      const tls = isTls ? tlsLines(response.socket as TLSSocket) : [];
      response.toArray().then(
        (chunks) => {
          if (response.statusCode !== 200) resolve(`status ${response.statusCode} instead of 200`);
          else {
            resolve({
              headers: headerLines(response.rawHeaders),
              body: Buffer.concat(chunks),
              trailers: trailerLines(response.rawTrailers),
              tls,
            });
          }
        },
        (error: Error) => resolve(error.message),
      );
    };
    const request = isTls
      ? httpsRequest({ ...options, ...TLS_CLIENT, servername }, answered)
      : httpRequest(options, answered);
    request.on('timeout', () => request.destroy(new Error('no answer for 30 s')));
    request.on('error', (error) => resolve(error.message));
    request.end(body ?? undefined);
  });
}
