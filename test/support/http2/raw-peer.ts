// One end of an HTTP/2 connection that does what it is told: it writes any bytes, reads or does not, acknowledges and opens
// windows or does not, and keeps what came. The base of the raw client and the raw pod.

import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type PeerEnd, PeerGone } from '../peers.ts';
import {
  errorName,
  type Frame,
  FrameCutter,
  flags,
  frame,
  frameTypes,
  preface,
  type SettingPair,
  settingIds,
  settings,
  settingsAck,
  windowUpdate,
} from './frames.ts';
import { type Field, HpackDecoder } from './hpack.ts';

export type PeerOptions = {
  /** What the first SETTINGS frame says; null: there is none. Default: an empty one. */
  readonly settings?: readonly SettingPair[] | null;
  /** Whether SETTINGS and PING are answered. Default `automatic`. */
  readonly acks?: 'automatic' | 'never';
  /** Whether windows are opened again as DATA comes. Default `automatic`. */
  readonly windows?: 'automatic' | 'never';
  /** Whether frames and bodies are kept, or counted only: what comes back in a flood would fill the memory. Default `frames`. */
  readonly keep?: 'frames' | 'counts';
};

/** What has come on one stream. */
export type RawStream = {
  /** Each header block, in order: informational ones, the head, trailers. */
  readonly heads: Field[][];
  body: string;
  bodyBytes: number;
  /** Whether the other side has ended it. */
  ended: boolean;
  /** The error that the other side reset it with; null: it has not. */
  reset: string | null;
};

/** GOAWAY as it came. */
export type RawGoaway = { readonly lastStream: number; readonly error: string };

/** How long a wait may take unless it says so itself. */
const patienceMs = 10_000;

export class RawPeer implements Disposable {
  readonly socket: Socket;
  /** Frames that came, in order. */
  readonly frames: Frame[] = [];
  readonly streams: Map<number, RawStream> = new Map();
  readonly goaways: RawGoaway[] = [];
  /** How the other side ended, null while it has not. A peer that does not read does not hear of it. */
  end: PeerEnd | null = null;
  /** The same, to wait for. */
  readonly ended: Promise<PeerEnd>;
  /** What went wrong in reading: bytes that no peer may send. */
  problem: unknown = null;
  /** Answers to PING that came. */
  pongs = 0;
  readonly #counts: number[] = [];
  readonly #options: PeerOptions;
  readonly #cutter: FrameCutter = new FrameCutter();
  readonly #decoder: HpackDecoder = new HpackDecoder();
  /** A size of the header table that the other side has been told, and has not acknowledged. */
  #awaitedTable: number | null;
  readonly #watchers: Set<() => void> = new Set();
  readonly #theirSettings: Map<number, number> = new Map();
  readonly #granted: Map<number, number> = new Map();
  #spentOnConnection = 0;
  readonly #spent: Map<number, number> = new Map();
  #awaitedPreface: Buffer | null;
  #block: { readonly stream: number; readonly pieces: Buffer[]; readonly endsStream: boolean } | null = null;
  #cursor = 0;

  /** `side`: a server is greeted with the preface, a client is not. */
  constructor(socket: Socket, side: 'client' | 'server', options: PeerOptions) {
    this.socket = socket;
    this.#options = options;
    this.#awaitedPreface = side === 'server' ? Buffer.alloc(0) : null;
    this.#awaitedTable = options.settings?.find(([id]) => id === settingIds.headerTableSize)?.[1] ?? null;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.ended = new Promise((done) => {
      const end = (how: PeerEnd): void => {
        this.end ??= how;
        done(this.end);
        this.#look();
      };
      socket.once('end', () => end('fin'));
      socket.on('error', () => end('rst'));
      socket.once('close', () => end('rst'));
    });
  }

  /** How many frames of a type have come. */
  count(type: number): number {
    return this.#counts[type] ?? 0;
  }

  /** What the other side set, or the default of RFC 9113 section 6.5.2; Infinity where there is no limit. */
  theirSetting(id: number): number {
    return this.#theirSettings.get(id) ?? defaultSettings.get(id) ?? 0;
  }

  /** How many bytes of DATA the other side takes now on a stream. */
  window(stream: number): number {
    const onConnection = 65_535 + (this.#granted.get(0) ?? 0) - this.#spentOnConnection;
    const initial = this.theirSetting(settingIds.initialWindowSize);
    return Math.min(onConnection, initial + (this.#granted.get(stream) ?? 0) - (this.#spent.get(stream) ?? 0));
  }

  /** Writes frames, or anything, as one piece. False: the other side takes no more for now. */
  write(...pieces: readonly (Buffer | string)[]): boolean {
    const buffers = pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece));
    if (this.socket.destroyed) return false;
    return this.socket.write(buffers.length === 1 && buffers[0] !== undefined ? buffers[0] : Buffer.concat(buffers));
  }

  /** Tells the other side how large the header table is that it may use; it has to say so in its next block. */
  limitTable(bytes: number): void {
    this.#awaitedTable = bytes;
    this.write(settings([settingIds.headerTableSize, bytes]));
  }

  /** Writes DATA and keeps to account what of the windows it takes; `padding` bytes and their length count too. */
  writeData(stream: number, body: Buffer, flagBits: number = 0, padding: number | null = null): boolean {
    const payload = padding === null ? body : Buffer.concat([Buffer.from([padding]), body, Buffer.alloc(padding)]);
    this.#spentOnConnection += payload.length;
    this.#spent.set(stream, (this.#spent.get(stream) ?? 0) + payload.length);
    return this.write(frame(frameTypes.data, flagBits | (padding === null ? 0 : flags.padded), stream, payload));
  }

  /** Writes what `chunk` makes, as fast as the other side takes it, until it ends or the time has come (of performance.now). */
  async flood(endMs: number, chunk: () => Buffer): Promise<void> {
    while (this.end === null && performance.now() < endMs) {
      if (this.write(chunk()) || this.socket.destroyed) await new Promise((turned) => setImmediate(turned));
      else await this.drained(endMs);
    }
  }

  /** Waits until the other side has taken what was written, the connection is gone, or the time has come (of performance.now). */
  async drained(endMs: number): Promise<void> {
    const over = new AbortController();
    const timer = delay(Math.max(0, endMs - performance.now()), undefined, { signal: over.signal }).catch(() => {});
    const { socket } = this;
    const drain = new Promise<void>((done) => {
      socket.once('drain', done);
      socket.once('close', done);
      over.signal.addEventListener('abort', () => {
        socket.removeListener('drain', done);
        socket.removeListener('close', done);
      });
    });
    await Promise.race([drain, timer]);
    over.abort();
  }

  stopReading(): void {
    this.socket.pause();
  }

  readOn(): void {
    this.socket.resume();
  }

  /** The stream as far as it has come. */
  stream(id: number): RawStream {
    let stream = this.streams.get(id);
    if (stream === undefined) {
      stream = { heads: [], body: '', bodyBytes: 0, ended: false, reset: null };
      this.streams.set(id, stream);
    }
    return stream;
  }

  /** Waits until something is so, which is asked again whenever a frame comes or the other side ends. */
  until(fits: () => boolean, withinMs: number = patienceMs): Promise<void> {
    if (fits()) return Promise.resolve();
    return new Promise((done, failed) => {
      const over = (): void => {
        clearTimeout(late);
        this.#watchers.delete(watcher);
      };
      const watcher = (): void => {
        if (fits()) {
          over();
          done();
        } else if (this.end !== null) {
          over();
          failed(new PeerGone(`the other side ended (${this.end}) after ${this.story}`));
        }
      };
      const late = setTimeout(() => {
        over();
        failed(new Error(`nothing that fits came within ${withinMs} ms, but ${this.story}`));
      }, withinMs);
      this.#watchers.add(watcher);
      watcher();
    });
  }

  /** The next frame that fits, behind the one that was answered last. */
  async next(fits: (frame: Frame) => boolean, withinMs: number = patienceMs): Promise<Frame> {
    let found: Frame | undefined;
    await this.until(() => {
      for (; this.#cursor < this.frames.length && found === undefined; this.#cursor++) {
        const candidate = this.frames[this.#cursor];
        if (candidate !== undefined && fits(candidate)) found = candidate;
      }
      return found !== undefined;
    }, withinMs);
    if (found === undefined) throw new Error('a frame that was there is gone');
    return found;
  }

  /**
   * What became of a stream, in words: `status 200`, `status 200 cut` where its body was cut off, `stream CANCEL`,
   * `connection PROTOCOL_ERROR`, `connection closed` where no GOAWAY told why, `nothing` where the time was up.
   */
  async outcome(id: number, withinMs: number = patienceMs): Promise<string> {
    const stream = this.stream(id);
    try {
      await this.until(() => stream.ended || stream.reset !== null || this.end !== null, withinMs);
    } catch {
      return 'nothing';
    }
    const status = statusOf(stream);
    if (stream.ended) return `status ${status}`;
    if (status >= 400 && stream.reset !== null) return `status ${status}`;
    if (status > 0) return `status ${status} cut`;
    if (stream.reset !== null) return `stream ${stream.reset}`;
    return this.ending;
  }

  /** How the connection ended, in the words of `outcome`. */
  get ending(): string {
    const error = this.goaways.findLast((told) => told.error !== 'NO_ERROR') ?? this.goaways.at(-1);
    return error === undefined ? 'connection closed' : `connection ${error.error}`;
  }

  /** The last frames that came, for messages of failed waits. */
  get story(): string {
    const last = this.frames.slice(-20).map(({ type, flags: bits, stream, payload }) => {
      const name = Object.entries(frameTypes).find(([, number]) => number === type)?.[0] ?? `type ${type}`;
      return `${name}(flags ${bits}, stream ${stream}, ${payload.length} bytes)`;
    });
    const problem = this.problem === null ? '' : `; ${String(this.problem)}`;
    return `${last.length === 0 ? 'no frame' : last.join(', ')}${problem}`;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #read(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#awaitedPreface !== null) {
      const greeting = Buffer.concat([this.#awaitedPreface, chunk]);
      if (greeting.length < preface.length) {
        this.#awaitedPreface = greeting;
        return;
      }
      this.#awaitedPreface = null;
      if (!greeting.subarray(0, preface.length).equals(preface)) {
        this.#fail(new Error(`no preface but ${JSON.stringify(greeting.toString('latin1', 0, 100))}`));
        return;
      }
      bytes = greeting.subarray(preface.length);
    }
    if (this.problem !== null) return;
    try {
      this.#cutter.push(bytes, (came) => this.#take(came));
    } catch (problem) {
      this.#fail(problem);
    }
    this.#look();
  }

  #take(came: Frame): void {
    const { type, flags: bits, stream, payload } = came;
    this.#counts[type] = this.count(type) + 1;
    if (this.#options.keep !== 'counts') this.frames.push(came);
    switch (type) {
      case frameTypes.headers:
      case frameTypes.pushPromise: {
        const skipped = type === frameTypes.pushPromise ? 4 : (bits & flags.priority) !== 0 ? 5 : 0;
        const endsStream = type === frameTypes.headers && (bits & flags.endStream) !== 0;
        this.#block = { stream, pieces: [unpadded(came).subarray(skipped)], endsStream };
        if ((bits & flags.endHeaders) !== 0) this.#blockEnd();
        break;
      }
      case frameTypes.continuation:
        this.#block?.pieces.push(payload);
        if ((bits & flags.endHeaders) !== 0) this.#blockEnd();
        break;
      case frameTypes.data:
        this.#takeData(came);
        break;
      case frameTypes.rstStream:
        this.stream(stream).reset = errorName(payload.readUInt32BE());
        break;
      case frameTypes.settings:
        if ((bits & flags.ack) !== 0) {
          if (this.#awaitedTable !== null) this.#decoder.limit(this.#awaitedTable);
          this.#awaitedTable = null;
          break;
        }
        for (let at = 0; at + 6 <= payload.length; at += 6) {
          this.#theirSettings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
        }
        if (this.#options.acks !== 'never') this.write(settingsAck);
        break;
      case frameTypes.ping:
        if ((bits & flags.ack) !== 0) this.pongs++;
        else if (this.#options.acks !== 'never') {
          this.write(frame(frameTypes.ping, flags.ack, 0, payload));
        }
        break;
      case frameTypes.goaway:
        this.goaways.push({ lastStream: payload.readUInt32BE(), error: errorName(payload.readUInt32BE(4)) });
        break;
      case frameTypes.windowUpdate:
        this.#granted.set(stream, (this.#granted.get(stream) ?? 0) + payload.readUInt32BE());
        break;
      default:
    }
  }

  #takeData(came: Frame): void {
    const stream = this.stream(came.stream);
    const body = unpadded(came);
    stream.bodyBytes += body.length;
    if (this.#options.keep !== 'counts') stream.body += body.toString('latin1');
    if ((came.flags & flags.endStream) !== 0) stream.ended = true;
    if (this.#options.windows === 'never' || came.payload.length === 0) return;
    this.write(windowUpdate(0, came.payload.length));
    if (!stream.ended) this.write(windowUpdate(came.stream, came.payload.length));
  }

  #blockEnd(): void {
    const block = this.#block;
    if (block === null) return;
    this.#block = null;
    const fields = this.#decoder.decode(Buffer.concat(block.pieces));
    const stream = this.stream(block.stream);
    stream.heads.push(fields);
    if (block.endsStream) stream.ended = true;
  }

  #fail(problem: unknown): void {
    this.problem = problem;
    this.socket.destroy();
  }

  #look(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** The status of the last head, an informational one only where the stream has ended with it; 0 where there is none. */
export function statusOf(stream: RawStream): number {
  let status = 0;
  for (const head of stream.heads) {
    const value = Number(head.find(([name]) => name === ':status')?.[1] ?? 0);
    if (value > 0) status = value;
  }
  return status >= 100 && status < 200 && !stream.ended ? 0 : status;
}

/** Values of a field in a head, in order. */
export function valuesIn(head: readonly Field[] | undefined, name: string): string[] {
  return (head ?? []).filter(([each]) => each === name).map(([, value]) => value);
}

const defaultSettings: ReadonlyMap<number, number> = new Map([
  [settingIds.headerTableSize, 4096],
  [settingIds.enablePush, 1],
  [settingIds.maxConcurrentStreams, Number.POSITIVE_INFINITY],
  [settingIds.initialWindowSize, 65_535],
  [settingIds.maxFrameSize, 16_384],
  [settingIds.maxHeaderListSize, Number.POSITIVE_INFINITY],
]);

/** The payload of a frame without its padding (RFC 9113 section 6.1). */
function unpadded({ flags: bits, payload }: Frame): Buffer {
  if ((bits & flags.padded) === 0) return payload;
  return payload.subarray(1, payload.length - (payload[0] ?? 0));
}

/** The first SETTINGS frame of a peer, or nothing. */
export function firstSettings(options: PeerOptions): Buffer {
  return options.settings === null ? Buffer.alloc(0) : settings(...(options.settings ?? []));
}
