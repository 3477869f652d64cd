// A pod that takes bodies of any size and answers how many bytes came. It reads heads only as far as it must: the pod shares its core
// with the load generator and must not be what limits the load.

import type { Socket } from 'node:net';

const HEAD_END = '\r\n\r\n';
const MAX_HEAD_BYTES = 16 * 1024;

/** The server's side of one HTTP/1.1 connection whose requests have a Content-Length, one request after the other. */
export class SinkPeer {
  #head: Buffer = Buffer.alloc(0);
  /** Of the body that is being read: its size, and what is to come. Null between a body and the next head. */
  #body: { readonly bytes: number; missing: number } | null = null;

  /** Reads what came and says what to answer. Null when it is nothing that this pod understands. */
  take(chunk: Buffer): string | null {
    let answers = '';
    let rest: Buffer = chunk;
    for (;;) {
      if (this.#body === null) {
        this.#head = this.#head.length === 0 ? rest : Buffer.concat([this.#head, rest]);
        const end = this.#head.indexOf(HEAD_END);
        if (end < 0) return this.#head.length > MAX_HEAD_BYTES ? null : answers;
        const bytes = contentLength(this.#head.toString('latin1', 0, end + 2));
        if (bytes === null) return null;
        this.#body = { bytes, missing: bytes };
        rest = this.#head.subarray(end + HEAD_END.length);
        this.#head = Buffer.alloc(0);
      }
      const taken = Math.min(rest.length, this.#body.missing);
      this.#body.missing -= taken;
      rest = rest.subarray(taken);
      if (this.#body.missing > 0) return answers;
      answers += answerTo(this.#body.bytes);
      this.#body = null;
      if (rest.length === 0) return answers;
    }
  }
}

/** The body of the answer to a request with so many bytes. */
export function sinkAnswer(bytes: number): string {
  return `${bytes} bytes\n`;
}

/** Serves a connection, with TLS or without. */
export function serveSink(socket: Socket): void {
  const peer = new SinkPeer();
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    const answers = peer.take(chunk);
    if (answers === null) socket.destroy();
    else if (answers.length > 0) socket.write(answers, 'latin1');
  });
}

function contentLength(head: string): number | null {
  const length = /\r\ncontent-length: *(\d+) *\r\n/i.exec(head)?.[1];
  return length === undefined ? null : Number(length);
}

function answerTo(bytes: number): string {
  const body = sinkAnswer(bytes);
  return `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
