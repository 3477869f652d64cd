// One HTTP/2 connection, in either role: frames in and out, its settings and windows, its streams, and the limits that hold
// against floods (RFC 9113; RFC 8441). Bodies pass through it without a queue of its own unless a window is shut.
//
// It is ours, and not node:http2, because a worker must outlive its peers: the native session aborts the process over states
// that its authors thought impossible, and that peers have found more than once. And because frames of many streams can so
// leave in one write: a request to an edge Route costs 21 us of CPU (four at once on a connection), over HTTP/1.1 it is 30.

import type { Socket } from 'node:net';
import { GatheredBytes } from '../../protocol/gathered-bytes.ts';
import { HpackDecoder } from '../../protocol/hpack-decoder.ts';
import {
  clientPreface,
  defaultFrameBytes,
  defaultWindow,
  ErrorCode,
  Flag,
  FrameReader,
  FrameType,
  frameHeadBytes,
  maxFrameBytes,
  maxWindow,
  readUint32,
  Setting,
  settingsFrame,
  writeFrameHead,
  writeUint32,
} from '../../protocol/http2-frames.ts';
import { RequestFields, ResponseFields, TrailerFields } from '../../protocol/http2-head.ts';
import { Cost, dataEarning, FrameBudget } from './frame-budget.ts';
import { HeadWriter } from './head-writer.ts';
import { Output } from './output.ts';
import { Http2Stream, type StreamUser } from './stream.ts';

/** Window of a stream: what a peer may send of a body that nobody takes. */
const streamWindow = 131_072;
/** Window of a connection, for all its streams. It is opened again as content comes, so that streams do not wait for others... */
const connectionWindow = 1_048_576;
/** ... until so much of a client's content waits for pods. What pods send waits for clients of its own, each with its limit. */
const maxUntaken = 4_194_304;
/**
 * Frames besides heads and content that wait for a peer who does not read, as nghttp2 has it. Each that leaves in a write of its
 * own takes 2 kB.
 */
const maxUnreadFrames = 1_000;
/** Content of a connection's streams that waits for windows; with more, no further request is taken. */
const maxHeldBytes = 8_388_608;
/** The same where all connections of the worker together hold more than their share. */
const fewHeldBytes = 524_288;
const maxHeldByAll = 134_217_728;
/**
 * What waits for a peer who does not read, heads of answers above all; with more, no further request is taken. Content stops
 * at a quarter of it, and as many heads as a peer may have asked for at once have room besides.
 */
const maxUnreadBytes = 1_048_576;
/** A head that fits into the limit fits into these frames, unless it was cut up to keep us busy. */
const maxContinuations = 8;
const tableBytes = 4_096;
/**
 * Work that is done for a connection before others have their turn, in frames of content; what has come besides waits. The event
 * loop reads 2 MB at a time, 200,000 frames of a byte or 160,000 requests, and others waited for up to a second.
 */
const maxWork = 4_096;
/** What a head counts for, with all that a request or an answer brings with it. */
const headWork = 40;
/** Streams that we have reset, and for which the peer's frames may still be on their way. */
const maxRecentResets = 1_000;

/** Fields of messages as they are read. All connections of a worker share them: they are used up within one call. */
export type FieldReaders = {
  readonly request: RequestFields;
  readonly response: ResponseFields;
  readonly trailer: TrailerFields;
};

/** Makes the ones that all connections of a worker share. `maxBytes`: as SETTINGS_MAX_HEADER_LIST_SIZE counts. */
export function createFieldReaders(maxBytes: number): FieldReaders {
  return {
    request: new RequestFields(maxBytes),
    response: new ResponseFields(maxBytes),
    trailer: new TrailerFields(maxBytes),
  };
}

/** What a connection is told about its limits. */
export type LinkLimits = {
  /** Of one message's fields. */
  readonly maxHeadBytes: number;
  /** Streams that the peer may have open at once. */
  readonly maxStreams: number;
};

/** Who owns a connection. */
export interface LinkUser {
  /** The peer asks something; the fields are good during the call only. On a server's connections. */
  onRequest(stream: Http2Stream, fields: RequestFields, end: boolean): void;
  /** The peer's settings have come, or changed. */
  onPeerSettings(): void;
  /** The last stream is gone. */
  onStreamsOver(): void;
  /** The peer takes no more streams. */
  onGoAway(): void;
  /** The peer answers our ping. */
  onPong(): void;
  /** Bytes that came have been dealt with. */
  onTaken(): void;
  /** The connection is over by a fault of the peer's, an ErrorCode; what is left to say has been written. */
  onLinkFailed(code: number): void;
}

/** A stream whose user has not been named yet, or has left. */
const nobody: StreamUser = {
  onStreamHead: ignore,
  onStreamContent: ignore,
  onStreamTrailers: ignore,
  onStreamMoved: ignore,
  onStreamWritable: ignore,
  onStreamReset: ignore,
  onStreamOver: ignore,
};

function ignore(): void {
  // Nobody is interested.
}

/** Content that waits for windows, of all connections of this worker. */
let heldByAll = 0;

export class Http2Link {
  readonly output: Output;
  readonly heads: HeadWriter;
  readonly streams: Map<number, Http2Stream> = new Map();
  /** What the peer lets us do. */
  peerMaxStreams: number;
  peerConnectProtocol = false;
  /** Streams that we have reset. */
  resetsSent = 0;
  readonly #isServer: boolean;
  readonly #socket: Socket;
  readonly #user: LinkUser;
  readonly #readers: FieldReaders;
  readonly #limits: LinkLimits;
  readonly #nowMs: () => number;
  readonly #budget: FrameBudget;
  readonly #decoder: HpackDecoder = new HpackDecoder(tableBytes);
  readonly #frames: FrameReader = new FrameReader(defaultFrameBytes);
  /** What came behind too much work; its length is 0 while nothing waits. */
  readonly #postponed: GatheredBytes = new GatheredBytes();
  #prefaceBytes = 0;
  #settingsCame = false;
  #over = false;
  #peerWindow = defaultWindow;
  #sendWindow = defaultWindow;
  #receiveWindow = connectionWindow;
  /** Content that has come and nobody has taken yet. */
  #untaken = 0;
  #heldBytes = 0;
  readonly #waiting: Set<Http2Stream> = new Set();
  #gathering: Http2Stream[] = [];
  #waking = false;
  /** The newest stream of the peer's, and of ours. */
  #peerStream = 0;
  #ownStream: number;
  /** Streams of the peer's above this one are refused: it has been told so. */
  #lastTaken = maxWindow;
  readonly #recentResets: Set<number> = new Set();
  /** A head that goes on in CONTINUATION frames. */
  #blockStream = 0;
  #blockEnd = false;
  #block: Buffer[] = [];
  #blockBytes = 0;

  /** `role`: which side of the connection this is. `nowMs`: a clock that is right to 100 ms. */
  constructor(
    role: 'server' | 'client',
    socket: Socket,
    user: LinkUser,
    readers: FieldReaders,
    limits: LinkLimits,
    nowMs: () => number,
  ) {
    this.#isServer = role === 'server';
    this.#socket = socket;
    this.#user = user;
    this.#readers = readers;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#budget = new FrameBudget(nowMs());
    this.#ownStream = this.#isServer ? 0 : -1;
    // Before the peer has said how many it takes (6.5.2 lets us open as many as we like).
    this.peerMaxStreams = 100;
    this.output = new Output(socket, () => this.#wake());
    this.heads = new HeadWriter(this.output);
    if (!this.#isServer) this.output.copy(clientPreface, 0, clientPreface.length);
    const own: [number, number][] = [
      [Setting.initialWindowSize, streamWindow],
      [Setting.maxHeaderListSize, limits.maxHeadBytes],
    ];
    if (this.#isServer) own.push([Setting.maxConcurrentStreams, limits.maxStreams], [Setting.enableConnectProtocol, 1]);
    else own.push([Setting.enablePush, 0]);
    const settings = settingsFrame(own);
    this.output.copy(settings, 0, settings.length);
    this.output.small(FrameType.windowUpdate, 0, 0, connectionWindow - defaultWindow);
  }

  get over(): boolean {
    return this.#over;
  }

  /** Whether nothing of a head is under way. */
  get betweenFrames(): boolean {
    return this.#blockStream === 0 && this.#settingsCame;
  }

  /** Content that the connection's window and its socket take now, in bytes. */
  get sendable(): number {
    return this.output.full ? 0 : Math.max(0, this.#sendWindow);
  }

  /** Whether there is a number left for a stream of ours. */
  get mayOpen(): boolean {
    return !this.#over && this.#ownStream <= maxWindow - 2;
  }

  /** Opens a stream of ours. */
  open(user: StreamUser): Http2Stream {
    this.#ownStream += 2;
    const stream = new Http2Stream(this.#ownStream, this, user, this.#peerWindow, streamWindow);
    stream.idle = true;
    this.streams.set(stream.id, stream);
    return stream;
  }

  /** Takes bytes of the peer's, which may be overwritten then. */
  take(chunk: Buffer): void {
    if (this.#over) return;
    if (this.#postponed.length > 0) {
      // No more than TLS has decrypted already.
      this.#postponed.append(chunk);
      return;
    }
    const behind = this.#isServer && this.#prefaceBytes < clientPreface.length ? this.#takePreface(chunk) : chunk;
    if (behind !== null) this.#work(behind);
  }

  #work(bytes: Buffer): void {
    const frames = this.#frames;
    frames.push(bytes);
    let done = 0;
    while (!this.#over && done < maxWork && frames.next()) {
      done += frames.type === FrameType.headers ? headWork : 1;
      this.#frame(frames.type, frames.flags, frames.stream, frames.payload);
    }
    if (frames.oversized) this.fail(ErrorCode.frameSize);
    // A peer that has us answer and does not read must not fill our memory.
    if (this.output.unread > maxUnreadFrames) this.fail(ErrorCode.enhanceYourCalm);
    if (this.#gathering.length > 0) this.#passGathered();
    if (done >= maxWork && !this.#over) this.#postpone(frames.rest);
    this.#user.onTaken();
  }

  #passGathered(): void {
    const gathering = this.#gathering;
    this.#gathering = [];
    for (const stream of gathering) stream.passGathered();
  }

  /** Leaves bytes to the next turn of the event loop, and reads no more until they have been dealt with. */
  #postpone(rest: Buffer): void {
    if (rest.length === 0) return;
    this.#postponed.append(Buffer.from(rest));
    this.#socket.pause();
    setImmediate(() => {
      if (this.#over) return;
      this.#work(this.#postponed.take());
      if (this.#postponed.length === 0) this.#socket.resume();
    });
  }

  /** A stream has content that is to be passed on when all of this read has been looked at. */
  gathers(stream: Http2Stream): void {
    this.#gathering.push(stream);
  }

  /** The socket has taken all that was written. */
  drained(): void {
    this.output.blocked = false;
    this.#wake();
  }

  /** Tells the peer that no streams will be taken `soon`, or that from `now` on none above the newest is (6.8). */
  goAway(stage: 'soon' | 'now'): void {
    if (this.#over) return;
    if (stage === 'now') this.#lastTaken = this.#peerStream;
    this.#writeGoAway(stage === 'now' ? this.#peerStream : maxWindow, ErrorCode.none);
  }

  /** Asks the peer for a sign of life; `onPong` follows. */
  ping(): void {
    const frame = Buffer.alloc(frameHeadBytes + 8);
    writeFrameHead(frame, 0, 8, FrameType.ping, 0, 0);
    this.output.copy(frame, 0, frame.length);
  }

  /** Ends the connection over a fault of the peer's (5.4.1). */
  fail(code: number): void {
    if (this.#over) return;
    this.#writeGoAway(this.#peerStream, code);
    this.output.flush();
    this.lost(code);
    this.#user.onLinkFailed(code);
  }

  /** The connection is gone, and with it its streams. */
  lost(code: number): void {
    if (this.#over) return;
    this.#over = true;
    for (const stream of [...this.streams.values()]) stream.lost(code);
    this.#block = [];
  }

  // What the streams ask for.

  sendData(stream: Http2Stream, content: Buffer, end: boolean): void {
    this.output.data(stream.id, content, end ? Flag.endStream : 0);
    stream.sendWindow -= content.length;
    this.#sendWindow -= content.length;
    this.#budget.earn(dataEarning);
  }

  sendReset(stream: Http2Stream, code: number): void {
    if (this.#over) return;
    this.output.small(FrameType.resetStream, 0, stream.id, code);
    this.resetsSent++;
    if (stream.remoteDone) return;
    this.#recentResets.add(stream.id);
    if (this.#recentResets.size > maxRecentResets) {
      for (const oldest of this.#recentResets) {
        this.#recentResets.delete(oldest);
        break;
      }
    }
  }

  /** A fault of the peer's that concerns one stream (5.4.2). */
  streamFault(stream: Http2Stream, code: number): void {
    this.sendReset(stream, code);
    stream.lost(code);
    if (this.#isServer) this.#spend(Cost.streamError);
  }

  /** A stream has content that waits. */
  hold(stream: Http2Stream, bytes: number): void {
    this.#heldBytes += bytes;
    heldByAll += bytes;
    this.#waiting.add(stream);
  }

  released(bytes: number): void {
    this.#heldBytes -= bytes;
    heldByAll -= bytes;
  }

  /** Content that came has been taken, or dropped. */
  taken(bytes: number): void {
    this.#untaken -= bytes;
    this.#openWindow();
  }

  /** Opens the connection's window again when a good part of it is used up. */
  #openWindow(): void {
    const used = connectionWindow - this.#receiveWindow;
    if (used < connectionWindow / 4 || this.#over || (this.#isServer && this.#untaken > maxUntaken)) return;
    this.output.small(FrameType.windowUpdate, 0, 0, used);
    this.#receiveWindow = connectionWindow;
  }

  /** A stream is closed. */
  forget(stream: Http2Stream): void {
    this.streams.delete(stream.id);
    this.#waiting.delete(stream);
    const { user } = stream;
    stream.user = nobody;
    user.onStreamOver();
    if (this.streams.size === 0 && !this.#over) this.#user.onStreamsOver();
  }

  // Frames.

  #takePreface(chunk: Buffer): Buffer | null {
    const from = this.#prefaceBytes;
    const take = Math.min(chunk.length, clientPreface.length - from);
    if (chunk.compare(clientPreface, from, from + take, 0, take) !== 0) {
      this.fail(ErrorCode.protocol);
      return null;
    }
    this.#prefaceBytes = from + take;
    return take === chunk.length ? null : chunk.subarray(take);
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    // The first frame of a peer says its settings (3.4), and nothing comes between the frames of a head (6.10).
    if (!this.#settingsCame && (type !== FrameType.settings || (flags & Flag.ack) !== 0)) {
      this.fail(ErrorCode.protocol);
      return;
    }
    if (this.#blockStream !== 0 && (type !== FrameType.continuation || id !== this.#blockStream)) {
      this.fail(ErrorCode.protocol);
      return;
    }
    switch (type) {
      case FrameType.data:
        this.#data(flags, id, payload);
        break;
      case FrameType.headers:
        this.#headers(flags, id, payload);
        break;
      case FrameType.continuation:
        this.#continuation(flags, id, payload);
        break;
      case FrameType.windowUpdate:
        this.#windowUpdate(id, payload);
        break;
      case FrameType.settings:
        this.#settings(flags, id, payload);
        break;
      case FrameType.ping:
        this.#ping(flags, id, payload);
        break;
      case FrameType.resetStream:
        this.#resetStream(id, payload);
        break;
      case FrameType.goAway:
        this.#goAwayCame(id, payload);
        break;
      case FrameType.priority:
        if (id === 0) this.fail(ErrorCode.protocol);
        else if (payload.length !== 5) this.fail(ErrorCode.frameSize);
        else this.#spend(Cost.frame);
        break;
      case FrameType.pushPromise:
        // We allow none as a client, and a client may never (8.4).
        this.fail(ErrorCode.protocol);
        break;
      default:
        this.#spend(Cost.frame);
    }
  }

  #data(flags: number, id: number, payload: Buffer): void {
    const padding = (flags & Flag.padded) === 0 ? 0 : 1 + (payload[0] ?? 0);
    if (id === 0 || padding > payload.length || ((flags & Flag.padded) !== 0 && payload.length === 0)) {
      this.fail(ErrorCode.protocol);
      return;
    }
    const { length } = payload;
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) {
      this.fail(ErrorCode.flowControl);
      return;
    }
    this.#untaken += length;
    this.#openWindow();
    const end = (flags & Flag.endStream) !== 0;
    if (length === padding && !end && !this.#spend(Cost.frame)) return;
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.#frameOfClosed(id)) this.taken(length);
    } else if (stream.remoteDone) {
      this.taken(length);
      this.streamFault(stream, ErrorCode.streamClosed);
    } else if (!this.#isServer && !stream.headCame) {
      // A response begins with its head (8.1).
      this.taken(length);
      this.streamFault(stream, ErrorCode.protocol);
    } else if (length > stream.receiveWindow) {
      this.taken(length);
      this.streamFault(stream, ErrorCode.flowControl);
    } else {
      stream.contentCame(padding === 0 ? payload : payload.subarray(1, length - padding + 1), length, end);
    }
  }

  #headers(flags: number, id: number, payload: Buffer): void {
    if (id === 0 || (this.#isServer && id % 2 === 0)) {
      this.fail(ErrorCode.protocol);
      return;
    }
    let start = 0;
    let { length: stop } = payload;
    if ((flags & Flag.padded) !== 0) {
      start = 1;
      stop -= payload[0] ?? 0;
    }
    const hasPriority = (flags & Flag.priority) !== 0;
    if (hasPriority) start += 5;
    if (start > stop) {
      this.fail(payload.length < start ? ErrorCode.frameSize : ErrorCode.protocol);
      return;
    }
    const block = start === 0 && stop === payload.length ? payload : payload.subarray(start, stop);
    const end = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) {
      this.#headBlock(id, end, block);
      return;
    }
    this.#blockStream = id;
    this.#blockEnd = end;
    this.#block = [Buffer.from(block)];
    this.#blockBytes = block.length;
  }

  #continuation(flags: number, id: number, payload: Buffer): void {
    if (this.#blockStream === 0) {
      this.fail(ErrorCode.protocol);
      return;
    }
    this.#blockBytes += payload.length;
    // What is dropped is not decoded, and after that no block could be.
    if (this.#block.length > maxContinuations || this.#blockBytes > 2 * this.#limits.maxHeadBytes) {
      this.fail(ErrorCode.enhanceYourCalm);
      return;
    }
    this.#block.push(Buffer.from(payload));
    if ((flags & Flag.endHeaders) === 0) return;
    const block = Buffer.concat(this.#block, this.#blockBytes);
    this.#block = [];
    this.#blockStream = 0;
    this.#headBlock(id, this.#blockEnd, block);
  }

  #headBlock(id: number, end: boolean, block: Buffer): void {
    const stream = this.streams.get(id);
    if (stream !== undefined) {
      if (!this.#isServer && !stream.headCame) this.#responseHead(stream, end, block);
      else this.#trailers(stream, end, block);
      return;
    }
    if (this.#isServer && id > this.#peerStream) {
      this.#newStream(id, end, block);
      return;
    }
    this.#readers.trailer.begin();
    if (!this.#decoder.decode(block, this.#readers.trailer)) this.fail(ErrorCode.compression);
    else this.#frameOfClosed(id);
  }

  #newStream(id: number, end: boolean, block: Buffer): void {
    this.#peerStream = id;
    const { request } = this.#readers;
    request.begin();
    if (!this.#decoder.decode(block, request)) {
      this.fail(ErrorCode.compression);
      return;
    }
    const stream = new Http2Stream(id, this, nobody, this.#peerWindow, streamWindow);
    stream.remoteDone = end;
    // A stream that is refused has not been looked at: the peer may ask again (8.7).
    if (id > this.#lastTaken) {
      this.sendReset(stream, ErrorCode.refusedStream);
      this.#spend(Cost.frame);
      return;
    }
    const mayHold = heldByAll > maxHeldByAll ? fewHeldBytes : maxHeldBytes;
    const isFull = this.#heldBytes > mayHold || this.#socket.writableLength > maxUnreadBytes;
    if (this.streams.size >= this.#limits.maxStreams || isFull) {
      this.sendReset(stream, ErrorCode.refusedStream);
      this.#spend(Cost.streamError);
      return;
    }
    this.streams.set(id, stream);
    this.#user.onRequest(stream, request, end);
  }

  #responseHead(stream: Http2Stream, end: boolean, block: Buffer): void {
    const { response } = this.#readers;
    response.begin();
    if (!this.#decoder.decode(block, response)) this.fail(ErrorCode.compression);
    else stream.headCameWith(response, end);
  }

  #trailers(stream: Http2Stream, end: boolean, block: Buffer): void {
    const { trailer } = this.#readers;
    trailer.begin();
    if (!this.#decoder.decode(block, trailer)) this.fail(ErrorCode.compression);
    else if (stream.remoteDone) this.streamFault(stream, ErrorCode.streamClosed);
    else if (!end || trailer.problem !== null) this.streamFault(stream, ErrorCode.protocol);
    else stream.trailersCame(trailer.text);
  }

  #windowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) {
      this.fail(ErrorCode.frameSize);
      return;
    }
    if (!this.#spend(Cost.frame)) return;
    const increment = readUint32(payload, 0) & maxWindow;
    if (id === 0) {
      this.#sendWindow += increment;
      if (increment === 0) this.fail(ErrorCode.protocol);
      else if (this.#sendWindow > maxWindow) this.fail(ErrorCode.flowControl);
      else this.#wake();
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (this.#isIdle(id)) this.fail(ErrorCode.protocol);
      return;
    }
    stream.sendWindow += increment;
    if (increment === 0) this.streamFault(stream, ErrorCode.protocol);
    else if (stream.sendWindow > maxWindow) this.streamFault(stream, ErrorCode.flowControl);
    else if (stream.blocked) this.#wake();
  }

  #settings(flags: number, id: number, payload: Buffer): void {
    const isAck = (flags & Flag.ack) !== 0;
    if (id !== 0) {
      this.fail(ErrorCode.protocol);
      return;
    }
    if (payload.length % 6 !== 0 || (isAck && payload.length > 0)) {
      this.fail(ErrorCode.frameSize);
      return;
    }
    if (isAck) {
      this.#spend(Cost.frame);
      return;
    }
    this.#settingsCame = true;
    // A window that changes has every stream looked at.
    if (!this.#spend(Cost.settings + (this.streams.size >>> 3))) return;
    for (let at = 0; at < payload.length; at += 6) {
      const setting = ((payload[at] ?? 0) << 8) | (payload[at + 1] ?? 0);
      const problem = this.#setting(setting, readUint32(payload, at + 2));
      if (problem !== ErrorCode.none) {
        this.fail(problem);
        return;
      }
    }
    this.output.small(FrameType.settings, Flag.ack, 0, null);
    this.#user.onPeerSettings();
    this.#wake();
  }

  #setting(setting: number, value: number): number {
    switch (setting) {
      case Setting.enablePush:
        return value > 1 || (value === 1 && !this.#isServer) ? ErrorCode.protocol : ErrorCode.none;
      case Setting.headerTableSize:
        this.heads.tableChanged();
        break;
      case Setting.maxConcurrentStreams:
        this.peerMaxStreams = value;
        break;
      case Setting.initialWindowSize: {
        if (value > maxWindow) return ErrorCode.flowControl;
        const change = value - this.#peerWindow;
        this.#peerWindow = value;
        for (const stream of this.streams.values()) {
          stream.sendWindow += change;
          if (stream.sendWindow > maxWindow) return ErrorCode.flowControl;
        }
        break;
      }
      case Setting.maxFrameSize:
        return value < defaultFrameBytes || value > maxFrameBytes ? ErrorCode.protocol : ErrorCode.none;
      case Setting.enableConnectProtocol:
        if (value > 1) return ErrorCode.protocol;
        this.peerConnectProtocol = value === 1;
        break;
    }
    return ErrorCode.none;
  }

  #ping(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) {
      this.fail(ErrorCode.protocol);
    } else if (payload.length !== 8) {
      this.fail(ErrorCode.frameSize);
    } else if ((flags & Flag.ack) !== 0) {
      if (this.#spend(Cost.frame)) this.#user.onPong();
    } else if (this.#spend(Cost.frame)) {
      this.output.pong(payload);
    }
  }

  #resetStream(id: number, payload: Buffer): void {
    if (payload.length !== 4) {
      this.fail(ErrorCode.frameSize);
      return;
    }
    const stream = this.streams.get(id);
    if (stream === undefined) {
      if (id === 0 || this.#isIdle(id)) this.fail(ErrorCode.protocol);
      else this.#spend(Cost.frame);
      return;
    }
    stream.lost(readUint32(payload, 0));
    // A pod that refuses or cuts streams harms itself alone, and its other streams are other people's.
    if (this.#isServer) this.#spend(Cost.reset);
  }

  #goAwayCame(id: number, payload: Buffer): void {
    if (id !== 0) {
      this.fail(ErrorCode.protocol);
      return;
    }
    if (payload.length < 8) {
      this.fail(ErrorCode.frameSize);
      return;
    }
    if (!this.#spend(Cost.settings)) return;
    const last = readUint32(payload, 0) & maxWindow;
    this.#user.onGoAway();
    if (this.#isServer) return;
    for (const stream of [...this.streams.values()]) if (stream.id > last) stream.lost(ErrorCode.refusedStream);
  }

  // The rest.

  /** Sends what waits, a frame of each stream in turn, until the windows are shut or the socket is full. */
  #wake(): void {
    if (this.#waking || this.#waiting.size === 0) return;
    this.#waking = true;
    let moved = true;
    while (moved && this.sendable > 0) {
      moved = false;
      for (const stream of this.#waiting) {
        if (!stream.sendHeld()) continue;
        moved = true;
        stream.user.onStreamMoved();
        if (stream.blocked) continue;
        this.#waiting.delete(stream);
        if (!stream.closed && !stream.localDone) stream.user.onStreamWritable();
      }
    }
    this.#waking = false;
  }

  /** A frame on a stream that is not open: whether that is the peer's good right, as it may cross our reset. */
  #frameOfClosed(id: number): boolean {
    if (this.#recentResets.has(id)) return this.#spend(Cost.frame);
    this.fail(this.#isIdle(id) ? ErrorCode.protocol : ErrorCode.streamClosed);
    return false;
  }

  /** Whether no stream of this number has been opened yet. */
  #isIdle(id: number): boolean {
    const isPeers = id % 2 === (this.#isServer ? 1 : 0);
    return id > (isPeers ? this.#peerStream : this.#ownStream);
  }

  /** Draws on the peer's account; false when that was the end of the connection. */
  #spend(cost: number): boolean {
    if (this.#budget.spend(cost, this.#nowMs())) return true;
    this.fail(ErrorCode.enhanceYourCalm);
    return false;
  }

  #writeGoAway(last: number, code: number): void {
    const frame = Buffer.alloc(frameHeadBytes + 8);
    writeFrameHead(frame, 0, 8, FrameType.goAway, 0, 0);
    writeUint32(frame, frameHeadBytes, last);
    writeUint32(frame, frameHeadBytes + 4, code);
    this.output.copy(frame, 0, frame.length);
  }
}
