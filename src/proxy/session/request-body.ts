// The body of a request on its way to a pod: held until there is a way, kept while the pod may still refuse the request, and
// passed on in the framing that the pod's protocol has. Used again for the next request.

import type { Framing } from '../../protocol/field-lines.ts';
import { addPiece, inOneBuffer } from '../../protocol/gathered-bytes.ts';
import { chunkedEnd, inChunk, keptTrailer } from '../../protocol/http-body.ts';
import type { Refusal } from '../../protocol/refusals.ts';
import type { Scheme } from '../../table/entries.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Downstream } from './downstream.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import { FramedBody } from './framed-body.ts';

/** Body bytes that wait for an upstream before the client is told to wait, or are kept for another one. */
const maxHeldBytes = 65_536;

const empty: Buffer = Buffer.alloc(0);

export class RequestBody {
  /** More was written to the upstream than it has taken, so the client has been told to wait. */
  blocked = false;
  /** Whether the bytes that were taken last may be overwritten: all that counts of them has been sent. */
  returned = true;
  /** The body is bare content: the client speaks HTTP/2, or the first pod that it was sent to does. */
  bare = false;
  readonly #downstream: Downstream;
  readonly #record: ExchangeRecord;
  readonly #body: FramedBody;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #trailers = '';
  /** What was sent to a pod that may still refuse the request, for another one; -1 bytes: it was too much. */
  #sent: Buffer[] = [];
  #sentBytes = 0;
  /** Bare content goes to an HTTP/1.1 pod in chunks of our making. */
  #chunks = false;

  constructor(downstream: Downstream, record: ExchangeRecord, maxTrailerBytes: number) {
    this.#downstream = downstream;
    this.#record = record;
    this.#body = new FramedBody(maxTrailerBytes);
  }

  /** `length`: of a body so framed. */
  begin(framing: Framing, length: number): void {
    this.blocked = false;
    this.returned = true;
    this.bare = !this.#downstream.framed;
    this.#trailers = '';
    this.#body.begin(framing, length, false);
  }

  /** Whether all of it has come. */
  get done(): boolean {
    return this.#body.done;
  }

  /** Why it is malformed, or null. */
  get problem(): Refusal | null {
    return this.#body.problem;
  }

  /** Takes what belongs to it, for the upstream if there is one; answers what comes after it. */
  take(chunk: Buffer, upstream: Upstream | null): Buffer {
    const body = this.#body;
    this.returned = false;
    const content = body.take(chunk);
    if (body.problem !== null) return empty;
    this.#record.receivedBytes += content.length;
    // In its own framing a body brings its end and its trailers along.
    const last = body.done && (!this.bare || body.trailers === '');
    if (content.length > 0 || (last && this.bare)) this.#pass(content, last, upstream);
    if (body.done && !last) this.#passTrailers(body.trailers, upstream);
    return body.consumed === chunk.length ? empty : chunk.subarray(body.consumed);
  }

  /**
   * Takes content that came bare, and stays what it is during the call only. False: there is more of it, or less, than the
   * head announced.
   */
  takeContent(content: Buffer, last: boolean, upstream: Upstream | null): boolean {
    if (!this.#body.takeBare(content, last)) return false;
    this.#record.receivedBytes += content.length;
    const isSent = content.length > 0 && upstream !== null && !this.#chunks && upstream.lendCopy(content);
    if (isSent) this.#keep(content, upstream);
    else if (content.length > 0 || last) this.#pass(Buffer.from(content), last, upstream);
    return true;
  }

  /** Takes the trailers that end bare content. False: there is less of it than the head announced. */
  takeTrailers(lines: string, upstream: Upstream | null): boolean {
    if (!this.#body.takeBare(empty, true)) return false;
    this.#passTrailers(keptTrailer(lines), upstream);
    return true;
  }

  /** Sends the head, and what of the body has come. `tunnels`: the request asks for a tunnel, which has no end. */
  send(upstream: Upstream, head: string, scheme: Scheme, tunnels: boolean): void {
    const body = this.#body;
    if (!upstream.framed && !this.bare && body.framing === 'chunked') this.#unframe();
    this.#chunks = this.bare && upstream.framed && body.framing === 'chunked';
    const last = body.done && this.#trailers === '' && !tunnels;
    if (this.#sent.length > 0) this.#sent = [];
    this.#sentBytes = 0;
    for (const piece of this.#held) this.#keep(piece, upstream);
    let taken: boolean;
    if (this.#heldBytes === 0 && !(last && this.#chunks)) {
      taken = upstream.sendHead(head, scheme, empty, last);
    } else {
      const held = inOneBuffer(this.#held);
      const bytes = this.#chunks ? inChunk(held, last ? 'last' : 'more') : held;
      taken = upstream.sendHead(head, scheme, bytes, last);
      this.#held = [];
      this.#heldBytes = 0;
      // Behind a head of HTTP/1.1 they have been copied.
      this.returned = upstream.framed;
    }
    if (this.#trailers !== '') this.#passTrailers(this.#trailers, upstream);
    if (body.done) return;
    this.blocked = !taken;
    if (taken) this.#downstream.resume();
    else this.#downstream.pause();
  }

  /** The upstream has taken what was written to it. */
  drained(): void {
    this.blocked = false;
    this.#downstream.resume();
  }

  /** Whether all that was sent is still here. */
  get whole(): boolean {
    return this.#sentBytes >= 0;
  }

  /** What was sent, all of it, is to be sent again, to another pod. */
  rewind(): void {
    this.#held = this.#sent;
    this.#heldBytes = this.#sentBytes;
    // Else what is sent from now on would be held, too, and go out with the next request.
    this.#sent = [];
  }

  /** The pod answers: it cannot refuse any more. */
  answered(): void {
    if (this.#sentBytes > 0) this.#sent = [];
    this.#sentBytes = -1;
  }

  /** Lets go of what is of no use any more. */
  forget(): void {
    if (this.#sentBytes > 0) this.#sent = [];
    if (this.#heldBytes === 0) return;
    this.#held = [];
    this.#heldBytes = 0;
  }

  /** Takes the chunks off a body of which nothing has been sent: the pod wants bare content. */
  #unframe(): void {
    const body = this.#body;
    this.bare = true;
    body.begin('chunked', 0, true);
    const content = body.take(inOneBuffer(this.#held));
    this.#held = content.length > 0 ? [content] : [];
    this.#heldBytes = content.length;
    this.#trailers = body.trailers;
  }

  #pass(content: Buffer, last: boolean, upstream: Upstream | null): void {
    if (upstream !== null) {
      this.#keep(content, upstream);
      const lent = this.#chunks || content.length === 0 ? 'refused' : upstream.lend(content);
      this.returned = lent === 'returned';
      if (lent !== 'refused') return;
      const bytes = this.#chunks ? inChunk(content, last ? 'last' : 'more') : content;
      if (upstream.sendBody(bytes, last)) return;
      this.blocked = true;
      this.#downstream.pause();
      return;
    }
    if (content.length === 0) return;
    addPiece(this.#held, content);
    this.#heldBytes += content.length;
    if (this.#heldBytes > maxHeldBytes) this.#downstream.pause();
  }

  #passTrailers(trailers: string, upstream: Upstream | null): void {
    this.#trailers = trailers;
    if (upstream === null) return;
    if (this.#chunks) upstream.sendBody(chunkedEnd(trailers), true);
    // A body of a known length has no place for trailers in HTTP/1.1.
    else if (!upstream.framed) upstream.sendEnd(trailers);
  }

  /** A pod that leaves refuses streams that it has not looked at, bodies and all: calls of gRPC have one each. */
  #keep(content: Buffer, upstream: Upstream): void {
    if (this.#sentBytes < 0 || content.length === 0) return;
    if (!upstream.framed && this.#sentBytes + content.length <= maxHeldBytes) {
      addPiece(this.#sent, content);
      this.#sentBytes += content.length;
    } else {
      this.#sent = [];
      this.#sentBytes = -1;
    }
  }
}
