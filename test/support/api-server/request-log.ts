// What was asked of the API server, and waiting until it was.

/** One request. `status` is 0 until it is answered. */
export type LoggedRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly verb: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly contentType: string;
  readonly atMs: number;
  status: number;
  /** Empty until the token is known to be somebody's. */
  user: string;
  /** A watch that has begun and not ended. */
  isOpen: boolean;
};

const maxRequests = 10_000;

/** The wait of `until` took too long. */
export class NotInTime extends Error {
  override name = 'NotInTime';
}

export class RequestLog {
  readonly requests: LoggedRequest[] = [];
  readonly #looks: Set<() => void> = new Set();

  add(request: LoggedRequest): void {
    if (this.requests.length >= maxRequests) this.requests.splice(0, maxRequests >>> 1);
    this.requests.push(request);
    this.changed();
  }

  /** Something that a predicate may ask about is different now. */
  changed(): void {
    for (const look of this.#looks) look();
  }

  /** Resolves as soon as the predicate holds, which is asked again with every request, answer, end of a watch and write. */
  until(holds: (requests: readonly LoggedRequest[]) => boolean, timeoutMs: number): Promise<void> {
    if (holds(this.requests)) return Promise.resolve();
    return new Promise((done, failed) => {
      const settle = (how: () => void): void => {
        clearTimeout(timer);
        this.#looks.delete(look);
        how();
      };
      const look = (): void => {
        try {
          if (holds(this.requests)) settle(done);
        } catch (error) {
          settle(() => failed(error));
        }
      };
      const timer = setTimeout(() => {
        const last = this.requests.slice(-20).map(({ method, path, status }) => `${method} ${path} ${status}`);
        const words = `not within ${timeoutMs} ms: ${holds}\nthe last requests:\n${last.join('\n')}`;
        settle(() => failed(new NotInTime(words)));
      }, timeoutMs);
      this.#looks.add(look);
    });
  }
}
