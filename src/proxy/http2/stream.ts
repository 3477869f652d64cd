// One stream of an HTTP/2 connection, whichever side opened it: its states, its windows, and content that waits for them.

import { addPiece } from '../../protocol/gathered-bytes.ts';
import { defaultFrameBytes, ErrorCode, FrameType, lastingBytes } from '../../protocol/http2-frames.ts';
import type { ResponseFields } from '../../protocol/http2-head.ts';
import type { Http2Link } from './link.ts';

/** What a stream is lost with when its connection is: beside the ErrorCodes, which peers may send. */
export const connectionLost = -1;

/** Who uses a stream. Calls come one at a time. */
export interface StreamUser {
  /** The head of an interim or final response; on streams that we opened. `end`: nothing follows. */
  onStreamHead(fields: ResponseFields, end: boolean): void;
  /** `content` stays what it is during the call only. */
  onStreamContent(content: Buffer, end: boolean): void;
  /** Trailers, as lines; nothing follows. */
  onStreamTrailers(lines: string): void;
  /** Some of what waited has been sent. */
  onStreamMoved(): void;
  /** All that was sent has gone; more may be. */
  onStreamWritable(): void;
  /** The stream is gone before it was done, by an ErrorCode or `connectionLost`. */
  onStreamReset(code: number): void;
  /** The stream is closed, whatever closed it. The last call. */
  onStreamOver(): void;
}

/** Pieces of content below this gather. With its padding such a payload lasts as long as the read that it came in. */
const smallBytes = lastingBytes / 4;

const nothing: Buffer = Buffer.alloc(0);

export class Http2Stream {
  readonly id: number;
  user: StreamUser;
  /** What the peer will take. Below 0 when it has shrunk its window (RFC 9113 6.9.2). */
  sendWindow: number;
  /** What the peer may still send. */
  receiveWindow: number;
  /** END_STREAM has been sent, or received. */
  localDone = false;
  remoteDone = false;
  /** The peer does not know of it yet: a stream of ours on which nothing has been sent. */
  idle = false;
  /** The final head has come; on streams that we opened. */
  headCame = false;
  readonly #link: Http2Link;
  readonly #windowBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #heldEnd = false;
  #heldTrailers = '';
  /** Content that has come and for which no window has been given back yet. */
  #uncredited = 0;
  #gathered: Buffer[] = [];
  #paused = false;
  #closed = false;

  constructor(id: number, link: Http2Link, user: StreamUser, sendWindow: number, windowBytes: number) {
    this.id = id;
    this.#link = link;
    this.user = user;
    this.sendWindow = sendWindow;
    this.receiveWindow = windowBytes;
    this.#windowBytes = windowBytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether content waits for a window, or for the socket. */
  get blocked(): boolean {
    return this.#heldBytes > 0;
  }

  /** Sends the head of a response, given as an HTTP/1.1 head with its empty line. `end`: nothing follows. */
  sendResponse(text: string, end: boolean): void {
    if (this.#closed || this.localDone) return;
    this.#link.heads.response(this.id, text, end);
    if (end) this.#endLocal();
  }

  /** Sends the head of a request, given likewise. */
  sendRequest(text: string, scheme: 'http' | 'https', end: boolean): void {
    if (this.#closed || this.localDone) return;
    this.idle = false;
    this.#link.heads.request(this.id, text, scheme, end);
    if (end) this.#endLocal();
  }

  /** Sends content. False: some of it has to wait, and `onStreamWritable` will come. */
  sendContent(content: Buffer, end: boolean): boolean {
    if (this.#closed || this.localDone) return true;
    if (this.#heldBytes === 0) {
      const sent = this.#sendNow(content, end);
      if (sent === content.length) return true;
      content = sent === 0 ? content : content.subarray(sent);
    }
    this.#heldEnd = end;
    if (content.length > 0) {
      addPiece(this.#held, content);
      this.#heldBytes += content.length;
      this.#link.hold(this, content.length);
    }
    return false;
  }

  /** Ends our half with trailers: lines, each with its CRLF; none are none. */
  sendEnd(trailers: string): void {
    if (this.#closed || this.localDone) return;
    if (this.#heldBytes > 0) {
      this.#heldEnd = true;
      this.#heldTrailers = trailers;
    } else {
      this.#sendEnd(trailers);
    }
  }

  /** Ends the stream at once. */
  reset(code: number): void {
    if (this.#closed) return;
    if (!this.idle && !(this.localDone && this.remoteDone)) this.#link.sendReset(this, code);
    this.#close();
  }

  /** Content that came is not what its head announced, which is the peer's fault (RFC 9113 8.1.1): ends the stream. */
  malformed(): void {
    if (!this.#closed) this.#link.streamFault(this, ErrorCode.protocol);
  }

  /** The user takes no more content for now: the peer may fill the window, but gets no new one. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#credit();
  }

  // What the link tells.

  /**
   * Content has come. `length`: what it took of the windows, padding included. Small pieces of one read gather: passing each
   * on would make a write of a few bytes, and a peer who cuts small would have us work a hundred times as hard as itself.
   */
  contentCame(content: Buffer, length: number, end: boolean): void {
    this.receiveWindow -= length;
    this.#uncredited += length;
    if (end) this.remoteDone = true;
    if (content.length < smallBytes && !end) {
      if (this.#gathered.length === 0) this.#link.gathers(this);
      this.#gathered.push(content);
      return;
    }
    this.#passContent(content, end);
  }

  /** Passes on what has gathered. */
  passGathered(): void {
    if (this.#gathered.length > 0 && !this.#closed) this.#passContent(nothing, false);
  }

  #passContent(content: Buffer, end: boolean): void {
    let whole = content;
    if (this.#gathered.length > 0) {
      whole = Buffer.concat([...this.#gathered, content]);
      this.#gathered = [];
    }
    this.user.onStreamContent(whole, end);
    // An ended half needs no window, but the connection gets back what the content took of its own.
    if (!this.#paused) this.#credit();
    this.#closeIfDone();
  }

  trailersCame(lines: string): void {
    this.passGathered();
    if (this.#closed) return;
    this.remoteDone = true;
    this.user.onStreamTrailers(lines);
    this.#closeIfDone();
  }

  headCameWith(fields: ResponseFields, end: boolean): void {
    if (end) this.remoteDone = true;
    this.user.onStreamHead(fields, end);
    this.#closeIfDone();
  }

  /** The stream is gone. */
  lost(code: number): void {
    if (this.#closed) return;
    this.#gathered = [];
    this.#settle();
    this.user.onStreamReset(code);
    this.#link.forget(this);
  }

  /** Sends one frame of what is held, if the windows let it. Whether it did. */
  sendHeld(): boolean {
    const [first] = this.#held;
    if (first === undefined) return false;
    const isLast = this.#held.length === 1;
    const size = this.#frameSize(first.length);
    if (size <= 0) return false;
    const whole = size === first.length;
    const end = whole && isLast && this.#heldEnd && this.#heldTrailers === '';
    this.#link.sendData(this, whole ? first : first.subarray(0, size), end);
    this.#heldBytes -= size;
    this.#link.released(size);
    if (whole) this.#held.shift();
    else this.#held[0] = first.subarray(size);
    if (end) this.#endLocal();
    else if (whole && isLast && this.#heldEnd) this.#sendEnd(this.#heldTrailers);
    return true;
  }

  /** How much of `length` bytes one frame may carry now. */
  #frameSize(length: number): number {
    return Math.min(length, this.sendWindow, this.#link.sendable, defaultFrameBytes);
  }

  /** Sends as much as goes now; answers how much. */
  #sendNow(content: Buffer, end: boolean): number {
    let at = 0;
    while (at < content.length || (end && content.length === 0)) {
      const left = content.length - at;
      const size = this.#frameSize(left);
      if (size <= 0 && left > 0) break;
      const isEnd = end && size === left;
      const frame = size === content.length ? content : content.subarray(at, at + size);
      this.#link.sendData(this, frame, isEnd);
      at += size;
      if (isEnd) {
        this.#endLocal();
        break;
      }
    }
    return at;
  }

  #sendEnd(trailers: string): void {
    if (trailers === '') this.#link.sendData(this, nothing, true);
    else this.#link.heads.trailers(this.id, trailers);
    this.#endLocal();
  }

  #credit(): void {
    const bytes = this.#uncredited;
    if (bytes === 0) return;
    this.#uncredited = 0;
    this.#link.taken(bytes);
    if (this.remoteDone || this.#closed) return;
    // Half a window at a time: a frame for every frame would double their number.
    if (this.receiveWindow > this.#windowBytes / 2) return;
    this.#link.output.small(FrameType.windowUpdate, 0, this.id, this.#windowBytes - this.receiveWindow);
    this.receiveWindow = this.#windowBytes;
  }

  #endLocal(): void {
    this.localDone = true;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.localDone && this.remoteDone && !this.#closed) this.#close();
  }

  #close(): void {
    this.#settle();
    this.#link.forget(this);
  }

  #settle(): void {
    this.#closed = true;
    this.#link.released(this.#heldBytes);
    this.#held = [];
    this.#heldBytes = 0;
    this.#credit();
  }
}
