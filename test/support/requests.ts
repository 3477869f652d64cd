// One plain request over node:http, for tests that ask what is served rather than how.

import { request } from 'node:http';
import { connect } from 'node:tls';

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
};

/** GET on a fresh connection to a port of this machine. */
export function get(port: number, host: string, path = '/'): Promise<Answer> {
  return new Promise((done, failed) => {
    request({ port, host: '127.0.0.1', path, headers: { host }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () => done({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on('error', failed);
    })
      .on('error', failed)
      .end();
  });
}

/** The common name of the certificate that is served for a name. */
export function servedName(port: number, servername: string): Promise<string> {
  return new Promise((done, failed) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      done(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', failed);
  });
}
