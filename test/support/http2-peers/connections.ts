// The router's ends of HTTP/2 connections, for tests that tell them what a worker tells them when it ends.

import { type DeadlineOwner, type DeadlineSlot, Deadlines } from '../../../src/proxy/deadlines.ts';
import { Http2Connection } from '../../../src/proxy/session/http2-connection.ts';

/** Gathers every connection of a client that begins to speak HTTP/2, as long as it is in use. Each claims its deadline first. */
export class SeenConnections implements Disposable {
  readonly all: Http2Connection[] = [];
  readonly #claim: typeof Deadlines.prototype.claim;

  constructor() {
    const { all } = this;
    const { claim } = Deadlines.prototype;
    this.#claim = claim;
    Deadlines.prototype.claim = function (this: Deadlines, owner: DeadlineOwner): DeadlineSlot {
      if (owner instanceof Http2Connection) all.push(owner);
      return claim.call(this, owner);
    };
  }

  [Symbol.dispose](): void {
    Deadlines.prototype.claim = this.#claim;
  }
}
