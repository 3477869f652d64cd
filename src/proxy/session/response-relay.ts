// The answer of a pod on its way to the client: its head read strictly, its body passed on in the framing that the client's
// protocol has. Between two HTTP/1.1 connections bytes go on as they came; else content does. Used again for the next answer.

import { codedLines, forbidsChange, notModifiedLines, varyLine } from '../../protocol/content-coding.ts';
import type { Framing, HeadLimits } from '../../protocol/field-lines.ts';
import { GatheredBytes } from '../../protocol/gathered-bytes.ts';
import { chunkedEnd, inChunk, keptTrailer } from '../../protocol/http-body.ts';
import { headEnd } from '../../protocol/http-head.ts';
import type { ResponseFields } from '../../protocol/http2-head.ts';
import type { ResponseHead } from '../../protocol/response-head.ts';
import type { Compression } from '../compression.ts';
import { maxDirectBytes, outgoingRoom } from '../direct-write.ts';
import { CodedAnswer, type CodedAnswerUser } from './coded-answer.ts';
import type { Downstream } from './downstream.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import { FramedBody } from './framed-body.ts';

/** Interim responses of one exchange; more is a pod gone wild. */
const maxInterims = 32;

const empty: Buffer = Buffer.alloc(0);

/** Whose answer it is. */
export interface RelayUser {
  /** Whether the client's connection may serve another request after this one. */
  mayStay(): boolean;
  /** Whether a final response of this status may be passed on. */
  mayPass(status: number): boolean;
  /** Lines that the router adds to the final response, each with CRLF, ... */
  addedLines(): string;
  /** ... and fields (bits of Field) in whose place they stand. */
  replacedFields(): number;
  /** The values of a field of the request, comma-joined. `name`: in lower case. */
  requestValues(name: string): string;
  /** Whether the head of the final response may go on as its own bytes, if nothing is to be added to it. */
  keepsBytes(): boolean;
  /** Whether it is changed further, ... */
  editsHead(): boolean;
  /** ... and the head then, with those lines in it, from its first line to the empty one. */
  editedHead(text: string): string;
  /** Something has been passed on, and more is to come. */
  onRelayed(): void;
  /** More has come than can be held, or less again. */
  onRelayFull(): void;
  onRelayReady(): void;
  /** The pod switches protocols; `rest` came behind its head. */
  onSwitch(head: ResponseHead, rest: Buffer): void;
  /** All of the answer has been passed on. */
  onRelayOver(): void;
  /** Nothing of an answer has been passed on, and what came is none. */
  onBadResponse(detail: string): void;
  /** An answer has been passed on in part, and cannot be brought to an end. */
  onTruncated(): void;
}

export class ResponseRelay implements CodedAnswerUser {
  /** Whether the head of the final response has been passed on. */
  started = false;
  /** Of the final response; 0 before it. */
  status = 0;
  /** Whether the client's connection is to be closed behind the answer. */
  closes = false;
  /** Whether it is the end of the client's connection alone that tells of the end of the answer. */
  untilClose = false;
  /** Whether the pod keeps its HTTP/1.1 connection, and for how long if it says so. */
  upstreamKeeps = false;
  keepAliveMs = 0;
  readonly #downstream: Downstream;
  readonly #user: RelayUser;
  readonly #record: ExchangeRecord;
  readonly #head: ResponseHead;
  readonly #limits: HeadLimits;
  readonly #input: GatheredBytes = new GatheredBytes();
  readonly #body: FramedBody;
  /** Null where answers go on as they come. */
  readonly #compression: Compression | null;
  /** An answer that is being compressed. */
  #coded: CodedAnswer | null = null;
  /** Where the head ends that was read in a glance at the bytes that come next; 0: none was. */
  #glancedEnd = 0;
  #interims = 0;
  #minorVersion = 1;
  /** Bare content goes to an HTTP/1.1 client in chunks of our making. */
  #chunks = false;

  constructor(
    downstream: Downstream,
    user: RelayUser,
    record: ExchangeRecord,
    head: ResponseHead,
    limits: HeadLimits,
    compression: Compression | null,
  ) {
    this.#downstream = downstream;
    this.#user = user;
    this.#record = record;
    this.#head = head;
    this.#limits = limits;
    this.#compression = compression;
    this.#body = new FramedBody(limits.maxHeadBytes);
  }

  /** Makes ready for the next answer. `minorVersion`: of the request. */
  begin(minorVersion: number): void {
    this.started = false;
    this.status = 0;
    this.untilClose = false;
    this.#interims = 0;
    this.#minorVersion = minorVersion;
    this.#glancedEnd = 0;
  }

  /** Whether anything of an answer has come. */
  get silent(): boolean {
    return this.#input.length === 0 && this.#interims === 0 && !this.started;
  }

  /** How the body is delimited, once started. */
  get framing(): Framing {
    return this.#body.framing;
  }

  /** Whether so much waits that the pod should. */
  get full(): boolean {
    return this.#coded?.full === true;
  }

  /** The client has taken everything. */
  drained(): void {
    this.#coded?.resume();
  }

  /** Lets go of what has come and was of no use. */
  forget(): void {
    if (this.#input.length > 0) this.#input.take();
    this.#coded?.destroy();
    this.#coded = null;
  }

  // What HTTP/1.1 pods send.

  /** Answers whether it is done with the bytes. */
  take(chunk: Buffer): boolean {
    return this.started ? this.#passBytes(chunk) : this.#readBytes(chunk);
  }

  /**
   * Passes an answer on that came as a whole and needs nothing added, as most do, without a buffer of its own: it is copied
   * to where it is written from, without the lines that stay here.
   */
  glance(view: Buffer): boolean {
    if (this.started || this.#input.length > 0 || !this.#downstream.framed) return false;
    if (view.length > maxDirectBytes || this.#minorVersion === 0 || !this.#user.mayStay()) return false;
    if (!this.#user.keepsBytes()) return false;
    const end = headEnd(view, 0);
    if (end < 0 || end > this.#limits.maxHeadBytes) return false;
    const head = this.#head;
    if (head.readBytes(view, 0, end - 2) !== null) return false;
    this.#glancedEnd = end;
    // Interim responses, and those whose framing has to go, take the longer way.
    if (head.status < 200 || head.status === 204 || !head.passable) return false;
    if (this.#compression?.concerns(head) === true) return false;
    return this.#passWhole(head, view, end);
  }

  #passWhole(head: ResponseHead, view: Buffer, end: number): boolean {
    const framing = head.framingFor(this.#record.method);
    const bodyBytes = framing === 'length' ? head.contentLength : 0;
    if ((framing !== 'none' && framing !== 'length') || view.length - end !== bodyBytes) return false;
    const added = this.#user.addedLines();
    if (view.length + added.length > maxDirectBytes) return false;
    head.dropFields(this.#user.replacedFields());
    const length = head.copyMessage(view, outgoingRoom(), added);
    if (!this.#downstream.lendOutgoing(length)) return false;
    this.#glancedEnd = 0;
    this.#record.cameWhole();
    this.#record.sentBytes += length;
    this.#keep(head);
    this.closes = false;
    this.#body.begin('none', 0, false);
    this.#user.onRelayOver();
    return true;
  }

  #readBytes(chunk: Buffer): boolean {
    this.#record.firstByte();
    const bytes = this.#input.append(chunk);
    const head = this.#head;
    const { maxHeadBytes } = this.#limits;
    const glancedEnd = this.#glancedEnd;
    this.#glancedEnd = 0;
    for (let at = 0; ; ) {
      const isRead = at === 0 && glancedEnd > 0;
      const end = isRead ? glancedEnd : headEnd(bytes, at);
      if (end < 0 || end - at > maxHeadBytes) {
        if (end >= 0 || bytes.length - at > maxHeadBytes) this.#user.onBadResponse('head-too-large');
        else if (at > 0) this.#keepInput(bytes.subarray(at));
        return false;
      }
      const problem = isRead ? null : head.readBytes(bytes, at, end - 2);
      if (problem !== null) {
        this.#user.onBadResponse(problem);
        return false;
      }
      if (head.status >= 200) {
        this.#input.take();
        return this.#startBytes(head, bytes, at, end);
      }
      if (head.status === 101) {
        this.#input.take();
        this.#user.onSwitch(head, bytes.subarray(end));
        return false;
      }
      if (!this.#passInterim(head)) return false;
      at = end;
    }
  }

  #keepInput(rest: Buffer): void {
    this.#input.take();
    if (rest.length > 0) this.#input.append(rest);
  }

  /** Answers whether it is done with the bytes. */
  #startBytes(head: ResponseHead, bytes: Buffer, at: number, end: number): boolean {
    if (!this.#user.mayPass(head.status)) {
      this.#user.onBadResponse('no-switch');
      return false;
    }
    const downstream = this.#downstream;
    this.#keep(head);
    const body = this.#body;
    const addedLines = this.#addedTo(head);
    if (addedLines === null) return false;
    const framing = head.framingFor(this.#record.method);
    const codingLines = this.#compression === null ? '' : this.#chooseCoding(this.#compression, head, framing);
    const coded = this.#coded;
    const decode = head.chunked && (this.#minorVersion === 0 || !downstream.framed || coded !== null);
    body.begin(framing, head.contentLength, decode);
    if (decode || head.status === 204) head.dropFraming();
    const rest = end === bytes.length ? empty : bytes.subarray(end);
    const content = body.take(rest);
    if (body.problem !== null) {
      this.#user.onBadResponse('bad-chunk');
      return false;
    }
    this.started = true;
    let ownLines = addedLines + codingLines;
    if (coded !== null) {
      this.#startCoded(coded, head, ownLines);
      this.#code(coded, content, rest, body.trailers);
      return false;
    }
    let isDone = false;
    if (!downstream.framed) {
      this.closes = false;
      this.#sendHead(head.render(ownLines), content);
    } else {
      this.untilClose = decode || body.framing === 'until-close';
      this.closes = this.untilClose || !this.#user.mayStay();
      if (this.closes) ownLines += 'Connection: close\r\n';
      else if (this.#minorVersion === 0) ownLines += 'Connection: keep-alive\r\n';
      // What needs no change leaves as it came: head and body in one write, without a copy.
      if (ownLines === '' && this.#user.keepsBytes() && head.passable && sameBytes(content, rest)) {
        const start = at + head.compact(bytes, at);
        const message = start === 0 ? bytes : bytes.subarray(start);
        this.#record.sentBytes += message.length;
        const lent = downstream.lend(message);
        if (lent === 'refused') downstream.sendBody(message, false);
        isDone = lent === 'returned';
      } else {
        this.#sendHead(head.render(ownLines), content);
        isDone = true;
      }
    }
    this.#passed(rest);
    return isDone;
  }

  /**
   * The lines that the router adds to a head, after what they replace has been taken out of it; none where they are in it
   * already, as the Route's actions have changed it: these come before compression (Route semantics 5.6, 5.22). Null: it has
   * become no head, and the exchange is over.
   */
  #addedTo(head: ResponseHead): string | null {
    const user = this.#user;
    head.dropFields(user.replacedFields());
    const lines = user.addedLines();
    if (!user.editsHead()) return lines;
    const problem = head.readAgain(user.editedHead(head.render(lines)));
    if (problem === null) return '';
    user.onBadResponse(problem);
    return null;
  }

  #passBytes(chunk: Buffer): boolean {
    const content = this.#body.take(chunk);
    if (this.#body.problem !== null) {
      this.#user.onTruncated();
      return false;
    }
    if (this.#coded !== null) {
      this.#code(this.#coded, content, chunk, this.#body.trailers);
      return false;
    }
    const lent = content.length > 0 ? this.#downstream.lend(content) : 'refused';
    if (lent === 'refused') {
      const last = this.#isLast();
      if (content.length > 0 || last) this.#sendBody(content, last);
    } else {
      this.#record.sentBytes += content.length;
    }
    this.#passed(chunk);
    return lent === 'returned';
  }

  /** Goes on after bytes of the body have been passed on. */
  #passed(taken: Buffer): void {
    // More than was announced: the connection cannot be trusted with another request.
    if (this.#body.consumed < taken.length) this.upstreamKeeps = false;
    if (!this.#body.done) {
      this.#user.onRelayed();
      return;
    }
    if (!this.#downstream.framed && this.#body.trailers !== '') this.#downstream.sendEnd(this.#body.trailers);
    this.#user.onRelayOver();
  }

  /** The pod has closed its connection, in order or not. Whether all of the answer had come. */
  closed(how: 'closed' | 'broken' | 'cut'): boolean {
    const coded = this.#coded;
    if (coded !== null && this.#body.done) {
      this.upstreamKeeps = false;
      return true;
    }
    if (how !== 'closed' || !this.started || this.#body.framing !== 'until-close') return false;
    if (coded !== null) {
      this.#body.done = true;
      this.#code(coded, empty, empty, '');
      return true;
    }
    if (!this.#downstream.framed) this.#downstream.sendEnd('');
    this.#user.onRelayOver();
    return true;
  }

  // What HTTP/2 pods send.

  takeHead(fields: ResponseFields, last: boolean): void {
    this.#record.firstByte();
    const head = this.#head;
    const translated = fields.head();
    const problem = typeof translated === 'string' ? translated : head.read(translated.text);
    if (problem !== null) {
      this.#user.onBadResponse(problem);
      return;
    }
    if (head.status < 200) {
      if (head.status === 101 || last) this.#user.onBadResponse('bad-interim-response');
      else if (this.#passInterim(head)) this.#user.onRelayed();
      return;
    }
    this.#startBare(head, last);
  }

  #startBare(head: ResponseHead, last: boolean): void {
    if (!this.#user.mayPass(head.status)) {
      this.#user.onBadResponse('no-switch');
      return;
    }
    const framing = head.framingFor(this.#record.method);
    if (last && framing === 'length') {
      this.#user.onBadResponse('bad-content-length');
      return;
    }
    this.#keep(head);
    const addedLines = this.#addedTo(head);
    if (addedLines === null) return;
    const bodyFraming = last ? 'none' : framing;
    const codingLines = this.#compression === null ? '' : this.#chooseCoding(this.#compression, head, bodyFraming);
    this.#body.begin(framing, head.contentLength, false);
    this.#body.done = last;
    this.started = true;
    this.#chunks = false;
    let ownLines = addedLines + codingLines;
    const coded = this.#coded;
    if (coded !== null) {
      this.#startCoded(coded, head, ownLines);
      coded.sendHead();
      this.#user.onRelayed();
      return;
    }
    if (this.#downstream.framed) {
      if (head.status === 204) head.dropFraming();
      if (framing === 'until-close') {
        this.#chunks = !last && this.#minorVersion === 1;
        if (last) ownLines += 'Content-Length: 0\r\n';
        else if (this.#chunks) ownLines += 'Transfer-Encoding: chunked\r\n';
      }
      this.untilClose = framing === 'until-close' && !last && !this.#chunks;
      this.closes = this.untilClose || !this.#user.mayStay();
      if (this.closes) ownLines += 'Connection: close\r\n';
      else if (this.#minorVersion === 0) ownLines += 'Connection: keep-alive\r\n';
    }
    this.#sendHead(head.render(ownLines), empty);
    if (last) this.#user.onRelayOver();
    else this.#user.onRelayed();
  }

  /** `content` stays what it is during the call only. */
  takeContent(content: Buffer, last: boolean): void {
    if (!this.started || !this.#body.takeBare(content, last)) {
      this.#user.onTruncated();
      return;
    }
    if (this.#coded !== null) {
      this.#code(this.#coded, Buffer.from(content), empty, '');
      return;
    }
    if (this.#chunks) {
      const chunk = inChunk(content, last ? 'last' : 'more');
      if (chunk.length > 0) this.#sendBody(chunk, last);
    } else if (content.length > 0 && this.#downstream.lendCopy(content)) {
      this.#record.sentBytes += content.length;
    } else if (content.length > 0 || last) {
      this.#sendBody(Buffer.from(content), last);
    }
    if (last) this.#user.onRelayOver();
    else this.#user.onRelayed();
  }

  takeTrailers(lines: string): void {
    if (!this.started || !this.#body.takeBare(empty, true)) {
      this.#user.onTruncated();
      return;
    }
    const kept = keptTrailer(lines);
    if (this.#coded !== null) {
      this.#code(this.#coded, empty, empty, kept);
      return;
    }
    if (!this.#downstream.framed) this.#downstream.sendEnd(kept);
    else if (this.#chunks) this.#sendBody(chunkedEnd(kept), true);
    this.#user.onRelayOver();
  }

  // What is compressed on its way.

  /**
   * Chooses whether the answer is compressed: it is a coded one then. Answers the lines that its head has to have because it
   * is, or because it would have been for another client.
   */
  #chooseCoding(compression: Compression, head: ResponseHead, framing: Framing): string {
    if (!compression.concerns(head)) return '';
    const user = this.#user;
    if (head.status === 304) return notModifiedLines(head, user.requestValues('if-none-match'));
    // HTTP/1.0 has no way to send content of unknown length and keep its end.
    const isWanted =
      framing !== 'none' && this.#minorVersion === 1 && !forbidsChange(user.requestValues('cache-control'));
    const coding = isWanted ? compression.choose(user.requestValues('accept-encoding')) : null;
    if (coding === null) return varyLine(head);
    this.#coded = new CodedAnswer(coding, compression.open, this.#downstream, this.#record, this);
    return codedLines(head, coding);
  }

  #startCoded(coded: CodedAnswer, head: ResponseHead, codingLines: string): void {
    let ownLines = codingLines;
    this.closes = false;
    if (this.#downstream.framed) {
      this.closes = !this.#user.mayStay();
      ownLines += 'Transfer-Encoding: chunked\r\n';
      if (this.closes) ownLines += 'Connection: close\r\n';
    }
    coded.begin(head.render(ownLines));
  }

  /** Compresses content. `taken`: the bytes that it came in, if it had a framing. `trailers`: behind the last of it. */
  #code(coded: CodedAnswer, content: Buffer, taken: Buffer, trailers: string): void {
    if (this.#body.consumed < taken.length) this.upstreamKeeps = false;
    coded.take(content, this.#body.done, trailers);
    // With the end of the answer it is gone, and perhaps the exchange.
    if (this.#coded !== coded) return;
    if (coded.full) this.#user.onRelayFull();
    this.#user.onRelayed();
  }

  onCodedMoved(): void {
    this.#user.onRelayed();
  }

  onCodedReady(): void {
    this.#user.onRelayReady();
  }

  onCodedFailed(): void {
    this.#user.onTruncated();
  }

  onCodedOver(): void {
    this.#coded = null;
    this.#user.onRelayOver();
  }

  // Both.

  /** Whether the exchange may go on. */
  #passInterim(head: ResponseHead): boolean {
    if (++this.#interims > maxInterims) {
      this.#user.onBadResponse('too-many-interim-responses');
      return false;
    }
    // RFC 9110 15.2: HTTP/1.0 knows no interim responses.
    if (this.#minorVersion === 1) {
      head.dropFraming();
      const text = head.render('');
      this.#record.sentBytes += text.length;
      this.#downstream.sendInterim(text);
    }
    this.#user.onRelayed();
    return true;
  }

  #keep(head: ResponseHead): void {
    this.#record.responded(head);
    this.status = head.status;
    this.upstreamKeeps = head.keepAlive;
    this.keepAliveMs = head.keepAliveMs;
  }

  /** Whether a bare client has had all content, and no trailers are to come. */
  #isLast(): boolean {
    return this.#body.done && this.#body.trailers === '' && !this.#downstream.framed;
  }

  #sendHead(text: string, content: Buffer): void {
    this.#record.sentBytes += text.length + content.length;
    this.#downstream.sendHead(text, content, this.#isLast());
  }

  #sendBody(bytes: Buffer, last: boolean): void {
    this.#record.sentBytes += bytes.length;
    this.#downstream.sendBody(bytes, last);
  }
}

/** Whether two buffers are the same place in memory, not just alike. */
function sameBytes(a: Buffer, b: Buffer): boolean {
  return a === b || (a.length === b.length && a.buffer === b.buffer && a.byteOffset === b.byteOffset);
}
