// A load of plain HTTP requests with every outcome counted: what users would notice of a restart or a drain.

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export type LoadCounts = {
  answered: number;
  /** Answers other than 200. */
  odd: number;
  /** Connections that were reset, or closed in the middle of a request. */
  broken: number;
  /** Connections that the kernel refused. */
  refused: number;
};

export type LoadOptions = {
  readonly port: number;
  readonly host: string;
  readonly connections: number;
  /** A new connection for every request, or one kept. */
  readonly keepAlive: boolean;
  /** Rest after each answer, for a load that leaves the machine to others. Default: none. */
  readonly pauseMs?: number;
};

/** Sends one request after the other over each connection until it is stopped or refused. */
export class Load {
  readonly counts: LoadCounts = { answered: 0, odd: 0, broken: 0, refused: 0 };
  readonly #options: LoadOptions;
  readonly #running: Promise<void>[];
  #stopped = false;
  #waiting: { readonly count: number; readonly done: () => void }[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#running = Array.from({ length: options.connections }, () => this.#run());
  }

  /** Resolves when so many more requests have been answered. */
  answered(more: number): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ count: this.counts.answered + more, done });
    });
  }

  /** No new requests; resolves when those under way have ended. */
  async stop(): Promise<LoadCounts> {
    this.#stopped = true;
    await Promise.all(this.#running);
    return this.counts;
  }

  /** Resolves when every connection has come to its end by itself: the port refuses. */
  async ended(): Promise<LoadCounts> {
    await Promise.all(this.#running);
    return this.counts;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const socket = connect({ port: this.#options.port, host: '127.0.0.1' });
      if (!(await opened(socket))) {
        this.counts.refused++;
        return;
      }
      await this.#use(socket);
      socket.destroy();
    }
  }

  /** Requests over one connection, until it is to be closed. */
  async #use(socket: Socket): Promise<void> {
    const close = this.#options.keepAlive ? '' : 'Connection: close\r\n';
    const reader = new AnswerReader(socket);
    for (let first = true; !this.#stopped; first = false) {
      // A connection that was closed in order while nothing was under way is no failure: a client opens the next.
      if (reader.ended) {
        if (first || reader.reset) this.counts.broken++;
        return;
      }
      socket.write(`GET / HTTP/1.1\r\nHost: ${this.#options.host}\r\n${close}\r\n`);
      const answer = await reader.next();
      if (answer === null) {
        this.counts.broken++;
        return;
      }
      this.#count(answer);
      if (this.#options.pauseMs !== undefined) await delay(this.#options.pauseMs);
      if (!this.#options.keepAlive || /\r\nconnection: close\r\n/i.test(answer)) return;
    }
  }

  #count(answer: string): void {
    this.counts.answered++;
    if (!answer.startsWith('HTTP/1.1 200 ')) this.counts.odd++;
    this.#waiting = this.#waiting.filter(({ count, done }) => {
      if (this.counts.answered < count) return true;
      done();
      return false;
    });
  }
}

/** Whole answers with a Content-Length, one at a time. */
class AnswerReader {
  ended = false;
  reset = false;
  #text = '';
  #wake: (() => void) | null = null;

  constructor(socket: Socket) {
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#text += text;
      this.#wake?.();
    });
    socket.on('end', () => this.#over(false));
    socket.on('error', () => this.#over(true));
    socket.on('close', () => this.#over(false));
  }

  async next(): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n');
      const head = this.#text.slice(0, end + 2);
      const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]);
      if (end >= 0 && this.#text.length >= end + 4 + length) {
        this.#text = this.#text.slice(end + 4 + length);
        return head;
      }
      if (this.ended) return null;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  #over(reset: boolean): void {
    this.ended = true;
    this.reset ||= reset;
    this.#wake?.();
  }
}

function opened(socket: Socket): Promise<boolean> {
  return new Promise((done) => {
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
