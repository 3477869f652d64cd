// What an exchange knows of its way to a pod, whichever protocol it is: a connection of its own, or a stream of one that is
// shared.

import type { ResponseFields } from '../../protocol/http2-head.ts';
import type { Scheme } from '../../table/entries.ts';
import type { Lent } from '../direct-write.ts';

export type ConnectFailure = 'refused' | 'timeout' | 'unreachable' | 'tls-failed' | 'limit';

/** A way for one request to a pod. */
export interface Upstream {
  /** Whether bodies go in HTTP/1.1's framing. Else their bare content does, and its end is told. */
  readonly framed: boolean;
  /**
   * Sends a head and what goes with it. `scheme`: by which the client asked. `last`: nothing follows. False:
   * `onUpstreamDrain` will come.
   */
  sendHead(text: string, scheme: Scheme, body: Buffer, last: boolean): boolean;
  sendBody(bytes: Buffer, last: boolean): boolean;
  /** Writes bytes of a body that the caller would have back at once. */
  lend(bytes: Buffer): Lent;
  /** Writes a copy of such bytes. False: they were not written. */
  lendCopy(bytes: Buffer): boolean;
  /** Ends a bare body, with trailers as lines. */
  sendEnd(trailers: string): void;
  /** Stops and resumes the answer. */
  pause(): void;
  resume(): void;
  /** Hands the way, from now on a tunnel's, to its next user. */
  use(user: UpstreamUser): void;
  /** Ends it at once; its user hears no more of it. */
  destroy(): void;
  /** The same, because what came is no answer. */
  reject(): void;
}

/** Who uses a way to a pod. Calls come one at a time and never from within a method of the Upstream. */
export interface UpstreamUser {
  onUpstreamConnected(): void;
  onUpstreamConnectFailed(failure: ConnectFailure): void;
  /**
   * The pod has not looked at the request, and will not: it may be sent again, to the same pod too. `full`: because there
   * are others under way, on a connection that takes some.
   */
  onUpstreamRefused(why: 'refused' | 'full'): void;
  /** Bytes of a framed upstream, or of a tunnel. Answers whether the user is done with them: then they may be overwritten. */
  onUpstreamData(chunk: Buffer): boolean;
  /** Looks at bytes that stay what they are during the call only; answers whether that was all, or `onUpstreamData` is to have them. */
  onUpstreamGlance(view: Buffer): boolean;
  /** The head of an answer, of an upstream that is not framed; good during the call only. `last`: nothing follows. */
  onUpstreamHead(fields: ResponseFields, last: boolean): void;
  /** `content` stays what it is during the call only. */
  onUpstreamContent(content: Buffer, last: boolean): void;
  /** Trailers, as lines; nothing follows. */
  onUpstreamTrailers(lines: string): void;
  /** Some of what waited has been sent. */
  onUpstreamMoved(): void;
  /** What was written has left; more may be. */
  onUpstreamDrain(): void;
  /** The pod sends no more. */
  onUpstreamEnd(): void;
  /** The way is gone. `broken`: not closed in order. `cut`: by the pod, for this request alone. */
  onUpstreamClose(how: 'closed' | 'broken' | 'cut'): void;
}
