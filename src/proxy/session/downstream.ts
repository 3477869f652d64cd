// What an exchange knows of its client, whichever protocol it speaks: an HTTP/1.1 connection, or a stream of HTTP/2.

import type { Lent } from '../direct-write.ts';
import type { EndReason } from '../end-reason.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** The client's side of an exchange. */
export interface Downstream {
  /** Whether bodies go in HTTP/1.1's framing. Else their bare content does, and its end is told. */
  readonly framed: boolean;
  /** Whether more was sent than the client has taken. */
  readonly blocked: boolean;
  /** Sends an answer of the router's own: a whole HTTP/1.1 message. */
  sendAnswer(text: string): void;
  sendInterim(text: string): void;
  /** Sends a head, and what of the body goes with it: in HTTP/1.1's framing, a copy. `last`: nothing follows. */
  sendHead(text: string, body: Buffer, last: boolean): void;
  sendBody(bytes: Buffer, last: boolean): void;
  /** Ends a bare body, with trailers as lines. */
  sendEnd(trailers: string): void;
  /** Writes bytes that the caller would have back at once. */
  lend(bytes: Buffer): Lent;
  /** Writes a copy of bytes. False: they were not written. */
  lendCopy(bytes: Buffer): boolean;
  /** Writes the first bytes of `outgoingRoom`. False: they were not written. */
  lendOutgoing(bytes: number): boolean;
  /** Stops and resumes reading from the client. */
  pause(): void;
  resume(): void;
  /** Moves the deadline of the exchange to `ms` from now. */
  setDeadline(ms: number): void;
  /** The exchange is over and answered; with a reason, so is an HTTP/1.1 connection, and it is told to one of HTTP/2. */
  exchangeOver(closeFor: EndReason | null): void;
  /** The exchange cannot be brought to an end: it is cut, and an HTTP/1.1 connection with it. */
  destroy(reason: EndReason): void;
  /**
   * The pod has switched protocols, as `head` says (a 101); `rest` has been read from it already. `idleMs`: how long nothing
   * may move.
   */
  startTunnel(head: string, upstream: Upstream, rest: Buffer, idleMs: number): void;
}
