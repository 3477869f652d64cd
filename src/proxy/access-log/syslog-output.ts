// Lines on their way to a syslog server: a bounded queue before a transport that never waits. What does not fit is dropped
// and counted, and a server that is not there is asked for again, less and less often.

import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { lookup } from 'node:dns';
import { connect, type Socket } from 'node:net';
import type { Log } from '../../telemetry/log.ts';
import type { SyslogTarget } from './syslog-address.ts';
import { UnixDatagram } from './unix-datagram.ts';

/** What waits for the server, at most. */
const maxWaitingBytes = 1 << 20;
/** What waits in the sockets' own queues, at most. */
const maxSocketBytes = 1 << 18;
/** Lines for a stream are written in larger pieces, but not later than this. */
const streamFlushMs = 50;
/** A reader of datagrams that is full is asked again after so long. */
const fullMs = 5;
/** Wait before a server that is not there is asked for again: doubled from the first to the last. */
const firstBackoffMs = 100;
const lastBackoffMs = 10_000;
/** What is left at the end of the process has so long to leave. */
const closingMs = 500;

/** A way to the server, once there is one. Answers how many of the lines it took, from the first. */
type Transport = {
  readonly kind: 'datagrams' | 'stream';
  send(lines: readonly Buffer[]): number;
  close(): void;
};

export class SyslogOutput {
  readonly #target: SyslogTarget;
  readonly #log: Log;
  readonly #onDrop: (lines: number) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #transport: Transport | null = null;
  #flush: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #retry: NodeJS.Timeout | null = null;
  #backoffMs = firstBackoffMs;
  #told = false;
  #closed = false;
  #onEmpty: (() => void) | null = null;

  /** Looks for the server at once. `onDrop`: so many lines are lost. */
  constructor(target: SyslogTarget, log: Log, onDrop: (lines: number) => void) {
    this.#target = target;
    this.#log = log;
    this.#onDrop = onDrop;
    this.#open();
  }

  /** Sends a line, header and end of line included, or drops it. */
  write(line: Buffer): void {
    if (this.#closed || this.#waitingBytes + line.length > maxWaitingBytes) {
      this.#onDrop(1);
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#flush === null && this.#transport !== null) this.#schedule(this.#transport);
  }

  /** Ends it, when what waits has left or at the latest after half a second. */
  async close(): Promise<void> {
    if (this.#waiting.length > 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, closingMs);
        this.#onEmpty = () => {
          clearTimeout(limit);
          resolve();
        };
      });
    }
    this.#closed = true;
    this.#onDrop(this.#waiting.length);
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#transport?.close();
    this.#transport = null;
  }

  /** Datagrams leave when the requests at hand have been dealt with; each costs a system call however they are sent. */
  #schedule(transport: Transport): void {
    const flush = (): void => this.#flushNow();
    this.#flush = transport.kind === 'stream' ? setTimeout(flush, streamFlushMs) : setImmediate(flush);
  }

  #flushNow(): void {
    this.#flush = null;
    const transport = this.#transport;
    if (transport === null || this.#waiting.length === 0) return;
    const taken = transport.send(this.#waiting);
    if (taken === this.#waiting.length) {
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#onEmpty?.();
      return;
    }
    for (const line of this.#waiting.splice(0, taken)) this.#waitingBytes -= line.length;
    if (this.#transport !== null) this.#flush = setTimeout(() => this.#flushNow(), fullMs);
  }

  #open(): void {
    this.#retry = null;
    switch (this.#target.kind) {
      case 'udp':
        this.#openUdp(this.#target.host, this.#target.port);
        break;
      case 'tcp':
        this.#openStream(connect({ host: this.#target.host, port: this.#target.port }));
        break;
      case 'unix':
        this.#openUnix(this.#target.path);
        break;
    }
  }

  /** The name is looked up once, not for each datagram. */
  #openUdp(host: string, port: number): void {
    lookup(host, (error, address, family) => {
      if (this.#closed) return;
      if (error !== null) {
        this.#lost(error.message);
        return;
      }
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
      // A server that is not there is told of after the fact, by the datagram after the one that is lost.
      socket.on('error', () => this.#onDrop(1));
      socket.unref();
      socket.connect(port, address, () => this.#found(udpTransport(socket)));
    });
  }

  #openUnix(path: string): void {
    const opened = UnixDatagram.open(path);
    if (opened instanceof UnixDatagram) {
      this.#found(this.#unixTransport(opened));
    } else if (opened === 'absent') {
      this.#lost('nobody listens on the socket');
    } else {
      this.#openStream(connect({ path }));
    }
  }

  #openStream(socket: Socket): void {
    let reason = 'closed';
    socket.unref();
    socket.once('connect', () => this.#found(streamTransport(socket)));
    // What a server says is of no interest, but it must not fill a buffer.
    socket.resume();
    socket.on('error', (error: NodeJS.ErrnoException) => {
      reason =
        error.code === 'EPROTOTYPE' ? 'a datagram socket, which this build of Node cannot write to' : error.message;
    });
    socket.on('close', () => this.#lost(reason));
  }

  #unixTransport(socket: UnixDatagram): Transport {
    return {
      kind: 'datagrams',
      send: (lines) => {
        for (let i = 0; i < lines.length; i++) {
          const line = lines[i];
          const result = line === undefined ? 'sent' : socket.send(line);
          if (result === 'refused') this.#onDrop(1);
          if (result === 'full') return i;
          if (result === 'gone') {
            this.#lost('nobody listens on the socket any more');
            return i;
          }
        }
        return lines.length;
      },
      close: () => socket.close(),
    };
  }

  #found(transport: Transport): void {
    if (this.#closed) {
      transport.close();
      return;
    }
    this.#transport = transport;
    this.#backoffMs = firstBackoffMs;
    if (this.#told) this.#log.info({}, 'syslog server reached');
    this.#told = false;
    if (this.#flush === null) this.#flushNow();
  }

  #lost(reason: string): void {
    this.#transport?.close();
    this.#transport = null;
    if (this.#closed) return;
    if (!this.#told) this.#log.warn({ reason }, 'syslog server cannot be reached, trying again');
    this.#told = true;
    this.#retry = setTimeout(() => this.#open(), this.#backoffMs);
    this.#retry.unref();
    this.#backoffMs = Math.min(this.#backoffMs * 2, lastBackoffMs);
  }
}

function udpTransport(socket: DatagramSocket): Transport {
  return {
    kind: 'datagrams',
    send: (lines) => {
      for (let i = 0; i < lines.length; i++) {
        const line = lines[i];
        if (socket.getSendQueueSize() > maxSocketBytes) return i;
        if (line !== undefined) socket.send(line);
      }
      return lines.length;
    },
    close: () => socket.close(),
  };
}

function streamTransport(socket: Socket): Transport {
  return {
    kind: 'stream',
    send: (lines) => {
      if (socket.writableLength > maxSocketBytes) return 0;
      socket.write(Buffer.concat(lines));
      return lines.length;
    },
    close: () => socket.destroySoon(),
  };
}
