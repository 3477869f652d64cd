// WebSocket handshakes of every kind, both ends: by Upgrade in HTTP/1.1, by extended CONNECT in HTTP/2 (RFC 8441).

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerResponse, ServerOptions } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { WebClient } from './web-client.ts';
import { type Handler, isHttp2, type PodKind, WebPod } from './web-pod.ts';

/** What a pod does with a request for a tunnel. */
export type TunnelRequest = {
  readonly path: string;
  readonly fields: NodeJS.Dict<string | string[]>;
  /** Says yes. */
  accept(): Duplex;
  /** Answers otherwise. */
  answer(status: number, body: string): void;
};

/** A pod that takes tunnels. Other requests are answered by `handler`. */
export async function tunnelPod(
  kind: PodKind,
  onTunnel: (request: TunnelRequest) => void,
  handler: Handler = (_request, response) => response.end('no tunnel'),
  options: ServerOptions = { settings: { enableConnectProtocol: true } },
): Promise<WebPod> {
  const pod = await WebPod.start(kind, handler, options);
  if (isHttp2(kind)) {
    pod.server.on('connect', (request: IncomingMessage, response: Http2ServerResponse) => {
      const { stream } = response;
      stream.on('error', () => {});
      onTunnel({
        path: request.url ?? '',
        fields: request.headers,
        accept: () => {
          stream.respond({ ':status': 200 });
          return stream;
        },
        answer: (status, body) => {
          stream.respond({ ':status': status });
          stream.end(body);
        },
      });
    });
  } else {
    pod.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => {});
      onTunnel({
        path: request.url ?? '',
        fields: request.headers,
        accept: () => {
          const key = String(request.headers['sec-websocket-key']);
          socket.write(
            'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
              `Sec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`,
          );
          if (head.length > 0) socket.unshift(head);
          return socket;
        },
        answer: (status, body) => {
          socket.end(`HTTP/1.1 ${status} X\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
        },
      });
    });
  }
  return pod;
}

const key = 'dGhlIHNhbXBsZSBub25jZQ==';

/** The answer to a key (RFC 6455 section 4.2.2). */
function acceptOf(sent: string): string {
  return createHash('sha1').update(`${sent}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

export type Tunnel = { readonly status: number; readonly text: string; readonly through: Duplex | null };

/** Asks for a tunnel. `early` goes right behind the request. Where it is refused, `text` is what was said. */
export async function openTunnel(client: WebClient, path: string = '/chat', early: string = ''): Promise<Tunnel> {
  if (client.isHttp2) {
    const fields = { ':protocol': 'websocket', ':scheme': client.kind === 'h2' ? 'https' : 'http' };
    const asked = client.ask({
      method: 'CONNECT',
      path,
      body: 'open',
      fields: { ...fields, 'sec-websocket-version': '13' },
    });
    if (early !== '') asked.out.write(early);
    const answer = await asked.answer;
    if (answer.status === 200) return { status: 200, text: '', through: asked.out as Duplex };
    const { text } = await answer.whole();
    return { status: answer.status, text, through: null };
  }
  const fields = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': key,
    'sec-websocket-version': '13',
  };
  const asked = client.ask({ path, body: 'open', fields });
  asked.out.end();
  const switched = new Promise<Tunnel>((done, failed) => {
    asked.out.once('upgrade', (response: IncomingMessage, through: Duplex, head: Buffer) => {
      through.on('error', () => {});
      if (response.headers['sec-websocket-accept'] !== acceptOf(key)) failed(new Error('the key was not answered'));
      if (head.length > 0) through.unshift(head);
      if (early !== '') through.write(early);
      done({ status: 200, text: '', through });
    });
  });
  const refused = asked.answer.then(async (answer): Promise<Tunnel> => {
    const { text } = await answer.whole();
    return { status: answer.status, text, through: null };
  });
  return await Promise.race([switched, refused]);
}
