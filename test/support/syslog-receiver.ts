// A syslog server for tests: what it gets, line by line, over UDP, TCP or a UNIX socket.

import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How a receiver listens. `unread`: TCP, and nothing is ever read. */
export type ReceiverKind = 'udp' | 'tcp' | 'unix' | 'unread';

export class SyslogReceiver implements AsyncDisposable {
  /** Whole lines with their header, in order. */
  readonly lines: string[] = [];
  /** As ROUTER_SYSLOG_ADDRESS names it. */
  address = '';
  readonly #watchers: Set<() => void> = new Set();
  readonly #sockets: Set<Socket> = new Set();
  #close: () => Promise<void> = async () => {};

  static async start(kind: ReceiverKind, path = ''): Promise<SyslogReceiver> {
    const receiver = new SyslogReceiver();
    if (kind === 'udp') await receiver.#listenUdp();
    else await receiver.#listenStream(kind, path);
    return receiver;
  }

  /** Waits until so many lines have come, and answers the messages of all, without their headers. */
  async messages(count: number): Promise<string[]> {
    while (this.lines.length < count) await new Promise<void>((came) => this.#watchers.add(came));
    return this.lines.map((line) => line.replace(/^.*? headgate\[\d+\]: /, ''));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#close();
  }

  async #listenUdp(): Promise<void> {
    const socket: DatagramSocket = createSocket('udp4');
    socket.on('message', (message) => this.#took(message.toString('latin1')));
    await new Promise<void>((listening) => {
      socket.bind(0, '127.0.0.1', listening);
    });
    this.address = `127.0.0.1:${socket.address().port}`;
    this.#close = () => new Promise((closed) => socket.close(() => closed()));
  }

  async #listenStream(kind: 'tcp' | 'unix' | 'unread', path: string): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'headgate-syslog-'));
    const server: Server = createServer({ pauseOnConnect: kind === 'unread' }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      let rest = '';
      if (kind === 'unread') return;
      socket.on('data', (chunk: Buffer) => {
        const texts = (rest + chunk.toString('latin1')).split('\n');
        rest = texts.pop() ?? '';
        for (const text of texts) this.#took(`${text}\n`);
      });
    });
    const named = path === '' ? join(folder, 'log') : path;
    await new Promise<void>((listening) => {
      if (kind === 'unix') server.listen(named, listening);
      else server.listen(0, '127.0.0.1', listening);
    });
    this.address = kind === 'unix' ? named : `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#close = async () => {
      await new Promise((closed) => server.close(closed));
      rmSync(folder, { recursive: true });
    };
  }

  #took(line: string): void {
    this.lines.push(line);
    for (const came of this.#watchers) came();
    this.#watchers.clear();
  }
}
