// The pods of the golden cases: each keeps the requests that it gets, says who it is, and does what a request asks of it by `_do`.

import type { TlsOptions } from 'node:tls';
import type { EndpointSliceManifest } from '../../../src/source/manifests.ts';
import { aSlice } from '../manifests.ts';
import type { Message } from '../messages.ts';
import { type Peer, Pod } from '../peers.ts';

/** The namespace of the Services. */
export const namespace = 'diff-a';

/** A request as a pod got it. */
export type SeenRequest = { readonly pod: string; readonly request: Message };

/** A Service with one pod or several; `tls`: what they present. */
export type ServiceWish = { readonly service: string; readonly pods: readonly string[]; readonly tls?: TlsOptions };

/** `s0`, `s1`, ...: as many Services with a pod each, named like them. */
export function numberedServices(count: number): ServiceWish[] {
  return Array.from({ length: count }, (_, i) => ({ service: `s${i}`, pods: [`s${i}`] }));
}

export class GoldenPods implements AsyncDisposable {
  /** The requests that came, to whichever pod, since they were last taken. */
  seen: SeenRequest[] = [];
  /** One slice for each pod, with the port `http`. */
  readonly slices: EndpointSliceManifest[] = [];
  readonly #pods: Map<string, Pod> = new Map();

  static async start(...services: readonly ServiceWish[]): Promise<GoldenPods> {
    const all = new GoldenPods();
    for (const { service, pods, tls } of services) {
      for (const name of pods) {
        const pod = await Pod.start((peer) => all.#answer(name, peer), tls ?? null);
        all.#pods.set(name, pod);
        const slice = aSlice(`${namespace}/${service}-${name}`).of(service).port(pod.port, 'http');
        all.slices.push(slice.endpoint('127.0.0.1').build());
      }
    }
    return all;
  }

  /** The port of a pod. */
  portOf(name: string): number {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new Error(`there is no pod ${name}`);
    return pod.port;
  }

  /** The last request that came, if any did; all are forgotten. */
  take(): SeenRequest | undefined {
    const last = this.seen.at(-1);
    this.seen = [];
    return last;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#pods.values()) await pod[Symbol.asyncDispose]();
  }

  async #answer(pod: string, peer: Peer): Promise<void> {
    await peer.untilBytes(1);
    // A hello, and this pod speaks no TLS.
    if (peer.bytes[0] === 0x16) return peer.finish();
    for (;;) {
      const request = await peer.message();
      this.seen.push({ pod, request });
      const wish = wishOf(request);
      if (wish.close) return peer.finish();
      if (wish.delayMs > 0) await new Promise((later) => setTimeout(later, wish.delayMs));
      await peer.write(wish.answer.replace('POD', pod));
      if (/^HTTP\/1\.1 101 /.test(wish.answer)) return;
    }
  }
}

type PodWish = { readonly close: boolean; readonly delayMs: number; readonly answer: string };

/** What `_do=close`, `_do=garbage`, `_do=delay=MS`, `_do=status=N`, `_do=h=NAME:VALUE`, `_do=big=N` in a query come to. */
function wishOf(request: Message): PodWish {
  const target = request.startLine.split(' ')[1] ?? '';
  const orders = [...target.matchAll(/[?&]_do=([^&]*)/g)].map(([, order = '']) => decodeURIComponent(order));
  const valuesOf = (name: string): string[] =>
    orders.filter((order) => order.startsWith(`${name}=`)).map((order) => order.slice(name.length + 1));
  const delayMs = Number(valuesOf('delay')[0] ?? 0);
  const close = orders.includes('close');
  if (orders.includes('garbage')) return { close, delayMs, answer: 'garbage\r\n\r\n' };
  if (request.fields.some((line) => /^upgrade: *websocket$/i.test(line))) return { close, delayMs, answer: webSocket };
  const status = Number(valuesOf('status')[0] ?? 200);
  const body =
    status === 204 || status === 304 || request.startLine.startsWith('HEAD ') ? '' : 'a body of some letters';
  const lines = valuesOf('h').map((text) => `${text.replace(':', ': ')}\r\n`);
  lines.push(...valuesOf('big').map((length) => `X-Big: ${'b'.repeat(Number(length))}\r\n`));
  const length = status === 204 || status === 304 ? '' : `Content-Length: ${body.length}\r\n`;
  return { close, delayMs, answer: `HTTP/1.1 ${status} Word\r\nX-Be: POD\r\n${lines.join('')}${length}\r\n${body}` };
}

const webSocket =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Be: POD\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
