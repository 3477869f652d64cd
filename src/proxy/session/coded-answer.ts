// An answer that is compressed on its way to the client. Its head waits for the first content, so that both leave in one
// write, and its trailers for the last.

import type { Coding } from '../../protocol/content-coding.ts';
import { chunkedEnd, inChunk } from '../../protocol/http-body.ts';
import type { Series } from '../../telemetry/metrics.ts';
import { type CoderUser, ContentCoder } from './content-coder.ts';
import type { Downstream } from './downstream.ts';
import type { ExchangeRecord } from './exchange-record.ts';

const empty: Buffer = Buffer.alloc(0);

/** Whose answer it is. */
export interface CodedAnswerUser {
  /** Something has been passed on, and more is to come. */
  onCodedMoved(): void;
  /** It was full, and is no more. */
  onCodedReady(): void;
  /** It cannot be brought to an end. */
  onCodedFailed(): void;
  /** All of it has been passed on. */
  onCodedOver(): void;
}

export class CodedAnswer implements CoderUser {
  readonly #downstream: Downstream;
  readonly #record: ExchangeRecord;
  readonly #user: CodedAnswerUser;
  readonly #coder: ContentCoder;
  #head = '';
  #trailers = '';

  /** `open`: counts the answers under way that hold memory outside of JavaScript. */
  constructor(coding: Coding, open: Series, downstream: Downstream, record: ExchangeRecord, user: CodedAnswerUser) {
    this.#downstream = downstream;
    this.#record = record;
    this.#user = user;
    this.#coder = new ContentCoder(coding, open, this);
  }

  /** Whether so much waits that the pod should. */
  get full(): boolean {
    return this.#coder.full;
  }

  /** The client has taken everything. */
  resume(): void {
    this.#coder.resume();
  }

  /** Ends it at once; its user hears no more. */
  destroy(): void {
    this.#coder.destroy();
  }

  /** Keeps the head for the first content. */
  begin(head: string): void {
    this.#head = head;
  }

  /** Sends the head without any. */
  sendHead(): void {
    const head = this.#head;
    this.#head = '';
    this.#record.sentBytes += head.length;
    this.#downstream.sendHead(head, empty, false);
  }

  /** Takes content as the pod sent it. `last`: nothing follows but these trailers, as lines. */
  take(content: Buffer, last: boolean, trailers: string): void {
    this.#trailers = trailers;
    if (content.length === 0 && !last && this.#head !== '') this.sendHead();
    this.#coder.take(content, last);
  }

  onCoded(bytes: Buffer, last: boolean): void {
    const downstream = this.#downstream;
    const trailers = last ? this.#trailers : '';
    const isEnd = last && trailers === '';
    let piece = bytes;
    if (downstream.framed) {
      piece = inChunk(bytes, isEnd ? 'last' : 'more');
      if (trailers !== '') piece = Buffer.concat([piece, chunkedEnd(trailers)]);
    }
    const head = this.#head;
    this.#head = '';
    this.#record.sentBytes += head.length + piece.length;
    if (head === '') downstream.sendBody(piece, isEnd);
    else downstream.sendHead(head, piece, isEnd);
    if (!last) {
      if (downstream.blocked) this.#coder.pause();
      this.#user.onCodedMoved();
      return;
    }
    if (trailers !== '') downstream.sendEnd(trailers);
    this.#user.onCodedOver();
  }

  onCoderReady(): void {
    if (!this.#downstream.blocked) this.#user.onCodedReady();
  }

  onCoderFailed(): void {
    this.#user.onCodedFailed();
  }
}
