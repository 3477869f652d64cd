// Every kind of client before every kind of pod, and bodies to send between them.

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { ServerOptions } from 'node:http2';
import { DataPlane, type DataPlaneOptions } from '../data-plane.ts';
import type { RouteWish } from '../rules.ts';
import { type ClientKind, clientKinds, WebClient } from './web-client.ts';
import { type Handler, type PodKind, podKinds, WebPod } from './web-pod.ts';

export type Pairing = { readonly client: ClientKind; readonly pod: PodKind };

export const pairings: readonly Pairing[] = clientKinds.flatMap((client) => podKinds.map((pod) => ({ client, pod })));

/** The host of all of them. */
export const host = 'a.test';

export type PairOptions = DataPlaneOptions & {
  readonly pod?: ServerOptions;
  readonly client?: Parameters<typeof WebClient.connect>[3];
  readonly wish?: Partial<RouteWish>;
};

/** A pod, a data plane before it, and one client. */
export class Pair implements AsyncDisposable {
  readonly pod: WebPod;
  readonly plane: DataPlane;
  readonly client: WebClient;

  private constructor(pod: WebPod, plane: DataPlane, client: WebClient) {
    this.pod = pod;
    this.plane = plane;
    this.client = client;
  }

  static async start(pairing: Pairing, handler: Handler, options: PairOptions = {}): Promise<Pair> {
    const pod = await WebPod.start(pairing.pod, handler, options.pod);
    const plane = await DataPlane.start(pod.changes(host, options.wish), options);
    return new Pair(pod, plane, await WebClient.connect(pairing.client, plane, host, options.client));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    try {
      await this.plane[Symbol.asyncDispose]();
    } finally {
      await this.pod[Symbol.asyncDispose]();
    }
  }
}

/** So many bytes, the same ones each time and different at every place. */
export function content(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = 0x2545_f491;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

export function hashOf(bytes: Buffer): string {
  return createHash('sha1').update(bytes).digest('hex');
}

export type Received = {
  readonly length: number;
  readonly hash: string;
  readonly text: string;
  readonly ended: boolean;
};

/** Reads a request's body to its end, or to where it was cut. */
export function receive(request: IncomingMessage): Promise<Received> {
  return new Promise((done) => {
    const hash = createHash('sha1');
    let length = 0;
    let text = '';
    request.on('data', (piece: Buffer) => {
      hash.update(piece);
      length += piece.length;
      if (length < 65_536) text += piece.toString('latin1');
    });
    let isOver = false;
    const over = (ended: boolean): void => {
      if (isOver) return;
      isOver = true;
      done({ length, hash: hash.digest('hex'), text, ended });
    };
    request.on('end', () => over(true));
    for (const event of ['aborted', 'error', 'close']) request.on(event, () => over(false));
  });
}

/** A promise, and who keeps it. */
export function promise<T = void>(): { readonly kept: Promise<T>; readonly keep: (value: T) => void } {
  let keep: (value: T) => void = () => {};
  const kept = new Promise<T>((done) => {
    keep = done;
  });
  return { kept, keep };
}
