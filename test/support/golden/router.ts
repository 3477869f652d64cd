// What the tables of golden cases are asked of: a router in this process with its pods behind it, and the outcome of each
// request in a few words.

import type { Manifest } from '../../../src/source/manifests.ts';
import { WebClient } from '../http2-peers/web-client.ts';
import { LocalRouter, type LocalRouterOptions } from '../local-router.ts';
import { type Message, valuesOf } from '../messages.ts';
import { Peer, PeerGone } from '../peers.ts';
import { GoldenPods, type SeenRequest, type ServiceWish } from './pods.ts';

/** A request. Without anything said otherwise: `GET / HTTP/1.1` on the plain port, on a connection of its own. */
export type Ask = {
  readonly host?: string;
  readonly over?: 'http' | 'https' | 'h2c' | 'h2';
  readonly method?: string;
  readonly target?: string;
  readonly version?: string;
  /** Further field lines, each with its line end. */
  readonly lines?: string;
  readonly body?: string;
  /** All bytes of it, in place of what stands above. */
  readonly text?: string;
  /** The name in the handshake; null for none. Default: the host. */
  readonly sni?: string | null;
  /** The address that it comes from. */
  readonly from?: string;
};

/** What came of a request. */
export type Told = {
  /**
   * `200 s1 GET /x`: the status, the pod that answered and what it was asked. `302 https://...`, `503 no-route`: an answer of
   * the router's own, with the place or the reason. `cut`: the connection ended without an answer, or never stood.
   */
  readonly words: string;
  /** Field lines of the answer, as they came. */
  readonly fields: readonly string[];
  readonly seen: SeenRequest | undefined;
  /** Common name of the certificate that was served; empty without TLS, and over HTTP/2. */
  readonly certificate: string;
};

const nothing: Told = { words: 'cut', fields: [], seen: undefined, certificate: '' };

export class GoldenRouter implements AsyncDisposable {
  readonly router: LocalRouter;
  readonly pods: GoldenPods;

  private constructor(router: LocalRouter, pods: GoldenPods) {
    this.router = router;
    this.pods = pods;
  }

  /** Starts the pods of these Services and a router that knows these objects. */
  static async start(
    services: readonly ServiceWish[],
    objects: readonly Manifest[],
    options: LocalRouterOptions = {},
  ): Promise<GoldenRouter> {
    const pods = await GoldenPods.start(...services);
    return new GoldenRouter(await LocalRouter.start([...pods.slices, ...objects], options), pods);
  }

  /** Asks once, and waits for the answer or the end. */
  async ask(ask: Ask): Promise<Told> {
    this.pods.take();
    try {
      return ask.over === 'h2' || ask.over === 'h2c' ? await this.#askHttp2(ask, ask.over) : await this.#askHttp1(ask);
    } catch (error) {
      if (error instanceof PeerGone || isTlsFailure(error)) return nothing;
      throw error;
    }
  }

  /** A client's connection, for what takes more than one request. */
  async connect(ask: Ask = {}): Promise<Peer> {
    const { plane } = this.router;
    const from = ask.from === undefined ? {} : { localAddress: ask.from };
    if (ask.over !== 'https') return await Peer.connect(plane.httpPort, from);
    const name = ask.sni === undefined ? ask.host : ask.sni;
    const servername = name === null || name === undefined ? {} : { servername: name };
    return await Peer.connectTls(plane.httpsPort, { ...servername, ALPNProtocols: ['http/1.1'], ...from });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.router[Symbol.asyncDispose]();
    } finally {
      await this.pods[Symbol.asyncDispose]();
    }
  }

  async #askHttp1(ask: Ask): Promise<Told> {
    using client = await this.connect(ask);
    await client.write(ask.text ?? textOf(ask));
    let message = await client.message({ head: ask.method === 'HEAD' });
    while (message.status > 101 && message.status < 200) message = await client.message();
    const cn = ask.over === 'https' ? client.tls.getPeerCertificate().subject.CN : '';
    const seen = this.pods.take();
    return { words: wordsOf(message, seen), fields: message.fields, seen, certificate: String(cn) };
  }

  async #askHttp2(ask: Ask, over: 'h2' | 'h2c'): Promise<Told> {
    const { host = '', sni } = ask;
    const client = await WebClient.connect(over, this.router.plane, typeof sni === 'string' ? sni : host);
    await using _closing = client;
    const { method = 'GET', target = '/', body = '' } = ask;
    const fields = { ...fieldsOf(ask.lines ?? ''), host };
    const answer = await client.get({ method, path: target, body, fields });
    const lines: string[] = [];
    for (let i = 0; i < answer.raw.length; i += 2) lines.push(`${answer.raw[i]}: ${answer.raw[i + 1]}`);
    const seen = this.pods.take();
    const told = { status: answer.status, fields: lines, body: Buffer.from(answer.text, 'latin1') };
    return { words: wordsOf(told, seen), fields: lines, seen, certificate: '' };
  }
}

/** Values of a field of an answer, in order. */
export function toldValues(told: Told, name: string): string[] {
  return valuesOf(messageWith(told.fields), name);
}

/** Fields of an answer; names in lower case. Without what describes the pod's body, the cookie, and those of the router's own page. */
export function toldLines({ fields }: Told): string[] {
  const usual = /^(x-be|content-length|content-type|set-cookie|:status|pragma):|^cache-control: private, max-age=0/;
  return fields.map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase())).filter((line) => !usual.test(line));
}

/** What a pod was told, line by line; names in lower case, as the golden cases have them. Without those of `except`. */
export function seenLines(told: Told, except: RegExp = /^$/): string[] {
  const lines = told.seen?.request.fields ?? [];
  return lines
    .map((line) =>
      line
        .replace(/^[^:]*/, (name) => name.toLowerCase())
        .replace(/: */, ': ')
        .trimEnd(),
    )
    .filter((line) => !except.test(line));
}

/** Fields by which a router says who the client is. */
export const forwardingFields: RegExp = /^(x-forwarded-\w+|x-forwarded-proto-version|forwarded):/;

function messageWith(fields: readonly string[]): Message {
  return { startLine: '', status: 0, fields, body: Buffer.alloc(0), trailers: [], text: '' };
}

function textOf({ host = '', method = 'GET', target = '/', version = '1.1', lines = '', body = '' }: Ask): string {
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  return `${method} ${target} HTTP/${version}\r\nHost: ${host}\r\n${lines}${length}\r\n${body}`;
}

function wordsOf(
  { status, fields, body }: Pick<Message, 'status' | 'fields' | 'body'>,
  seen: SeenRequest | undefined,
): string {
  const message = messageWith(fields);
  const [pod] = valuesOf(message, 'x-be');
  if (pod !== undefined && seen !== undefined) {
    return `${status} ${pod} ${seen.request.startLine.replace(/ HTTP\/1\.1$/, '')}`;
  }
  const [location] = valuesOf(message, 'location');
  if (location !== undefined) return `${status} ${location}`;
  const reason = /<code>([^<]*)<\/code>/.exec(body.toString('latin1'))?.[1];
  return reason === undefined ? String(status) : `${status} ${reason}`;
}

function fieldsOf(lines: string): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const line of lines.split('\r\n').filter((each) => each !== '')) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    fields[name] = [...(fields[name] ?? []), line.slice(colon + 1).trim()];
  }
  return fields;
}

function isTlsFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(ERR_SSL|ECONNRESET|EPROTO)/.test(String(error.code));
}
