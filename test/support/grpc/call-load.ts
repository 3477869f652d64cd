// Unary calls without end, with every failure kept: what the users of a service would notice while its pods come and go.

import { status } from '@grpc/grpc-js';
import type { GrpcClient } from './grpc-client.ts';

export class CallLoad {
  answered = 0;
  /** Codes and messages of the calls that failed. */
  readonly failures: string[] = [];
  readonly #running: Promise<void>[];
  #stopped = false;
  #waiting: { readonly count: number; readonly done: () => void }[] = [];

  /** So many callers share each of the clients; each makes one call after the other. */
  constructor(clients: readonly GrpcClient[], callers: number, message: Buffer) {
    this.#running = clients.flatMap((client) => Array.from({ length: callers }, () => this.#run(client, message)));
  }

  /** Resolves when so many more calls have been answered, or one has failed. */
  more(count: number): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ count: this.answered + count, done });
      this.#look();
    });
  }

  /** No new calls; resolves with what failed when those under way have ended. */
  async stop(): Promise<readonly string[]> {
    this.#stopped = true;
    await Promise.all(this.#running);
    return this.failures;
  }

  async #run(client: GrpcClient, message: Buffer): Promise<void> {
    while (!this.#stopped) {
      const { code, details, messages } = await client.unary(message);
      if (code !== status.OK) this.failures.push(`${code} ${details}`);
      else if (messages[0]?.equals(message) !== true) this.failures.push('another message came back');
      else this.answered++;
      this.#look();
    }
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ count, done }) => {
      if (this.answered < count && this.failures.length === 0) return true;
      done();
      return false;
    });
  }
}
