// The PROXY header that comes before everything else on a connection from a load balancer, on either port.

import type { Socket } from 'node:net';
import { GatheredBytes } from '../../protocol/gathered-bytes.ts';
import { type ProxyHeader, readProxyHeader } from '../../protocol/proxy-header.ts';
import type { ProxyContext } from '../context.ts';
import type { DeadlineOwner, DeadlineSlot } from '../deadlines.ts';
import type { EndReason } from '../end-reason.ts';
import { takeFrom } from '../shared-read.ts';

/** A whole header. */
export type ReadHeader = ProxyHeader & { kind: 'header' };

export class ProxyPrelude implements DeadlineOwner {
  readonly #context: ProxyContext;
  readonly #socket: Socket;
  readonly #onHeader: (header: ReadHeader, rest: Buffer) => void;
  readonly #onEnd: (reason: EndReason) => void;
  readonly #slot: DeadlineSlot;
  readonly #gathered: GatheredBytes = new GatheredBytes();
  readonly #onData = (chunk: Buffer): boolean => this.#received(chunk);
  readonly #onFinish = (): void =>
    this.destroy(this.#gathered.length === 0 ? 'client-closed' : 'proxy-header-malformed');
  readonly #onClose = (): void => this.destroy('client-closed');
  #needBytes = 1;
  #over = false;

  /**
   * Takes over an accepted socket. Exactly one of the two is called, once: `onHeader` with what was read behind the header,
   * within the event that brought it, so that whoever reads on misses nothing; or `onEnd`, when the socket is destroyed.
   */
  constructor(
    context: ProxyContext,
    socket: Socket,
    onHeader: (header: ReadHeader, rest: Buffer) => void,
    onEnd: (reason: EndReason) => void,
  ) {
    this.#context = context;
    this.#socket = socket;
    this.#onHeader = onHeader;
    this.#onEnd = onEnd;
    this.#slot = context.deadlines.claim(this);
    context.deadlines.set(this.#slot, context.settings.inspectDelayMs);
    takeFrom(socket, this.#onData);
    socket.on('end', this.#onFinish);
    socket.on('close', this.#onClose);
    socket.on('error', ignoreError);
  }

  onDeadline(): void {
    this.destroy('proxy-header-timeout');
  }

  /** Ends at once. */
  destroy(reason: EndReason): void {
    if (this.#over) return;
    this.#leave();
    this.#socket.destroy();
    this.#onEnd(reason);
  }

  /** Never done with the bytes: what comes behind the header is handed on. */
  #received(chunk: Buffer): boolean {
    // A socket that has been destroyed may still hand out what it had read.
    if (this.#over) return false;
    const bytes = this.#gathered.append(chunk);
    if (bytes.length < this.#needBytes) return false;
    const header = readProxyHeader(bytes);
    switch (header.kind) {
      case 'incomplete':
        this.#needBytes = header.needBytes;
        break;
      case 'absent':
        this.destroy('proxy-header-missing');
        break;
      case 'malformed':
        this.destroy('proxy-header-malformed');
        break;
      case 'too-long':
        this.destroy('proxy-header-too-long');
        break;
      case 'header':
        this.#leave();
        this.#onHeader(header, bytes.subarray(header.bytes));
        break;
    }
    return false;
  }

  #leave(): void {
    this.#over = true;
    this.#context.deadlines.release(this.#slot);
    this.#socket.removeListener('data', this.#onData);
    this.#socket.removeListener('end', this.#onFinish);
    this.#socket.removeListener('close', this.#onClose);
  }
}

function ignoreError(): void {
  // 'close' follows.
}
