// One connection with both of its ends in the test's hands, as Node's own streams.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { makeCertificate } from './certificates.ts';

/** The client's end and the server's. */
export async function socketPair(isTls: boolean): Promise<[Socket, Socket]> {
  const { certificate, key } = makeCertificate({ names: ['localhost'] });
  const server = isTls ? createTlsServer({ cert: certificate, key }) : createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false };
  const client = isTls ? connectTls(options) : connect(options);
  const [accepted] = (await once(server, isTls ? 'secureConnection' : 'connection')) as [Socket];
  server.close();
  return [client, accepted];
}
