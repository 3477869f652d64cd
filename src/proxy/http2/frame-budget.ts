// What a peer may have an HTTP/2 connection do without getting anything done: an account that fills with time and with content
// that is sent, and that resets, pings, settings, empty frames and the like draw on. Floods of any of them (rapid reset and its
// kin) overdraw it within a second; browsers and gRPC clients, with their cancelled requests and their pings, do not.

/** Full account: what a peer may do at once. */
const capacity = 4_000;
/** What comes in by the second. nghttp2 lets 33 resets a second go on, at five each. */
const perSecond = 200;

/** What things cost. One: a frame that costs us about as much as it costs the peer. */
export const Cost = {
  /** PING, WINDOW_UPDATE, PRIORITY, empty DATA, unknown frames. */
  frame: 1,
  settings: 4,
  /** A stream that the peer opens and resets before it is done: we may have dialled for it. */
  reset: 5,
  /** A stream that we have to reset for what the peer did: as dear as a reset of its own. */
  streamError: 10,
} as const;

/** What a DATA frame that we send brings in: for windows are opened, and round trips are pinged, as content comes. */
export const dataEarning = 4;

export class FrameBudget {
  #left = capacity;
  #filledMs: number;

  constructor(nowMs: number) {
    this.#filledMs = nowMs;
  }

  earn(amount: number): void {
    if (this.#left < capacity) this.#left += amount;
  }

  /** Draws on the account. False: it is overdrawn. */
  spend(cost: number, nowMs: number): boolean {
    if (nowMs > this.#filledMs) {
      this.#left = Math.min(capacity, this.#left + ((nowMs - this.#filledMs) / 1000) * perSecond);
      this.#filledMs = nowMs;
    }
    this.#left -= cost;
    return this.#left >= 0;
  }
}
