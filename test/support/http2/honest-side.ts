// Honest users beside an attack: a pod of their own, and a request each 50 ms over fresh HTTP/1.1, kept h2c and kept h2
// connections. What they notice is what an attack costs.

import { Worker } from 'node:worker_threads';

/** What honest users have noticed since the last report. */
export type HonestReport = {
  readonly answered: number;
  /** The longest that a request took, in ms, answered or not, and which kind it was. */
  readonly slowestMs: number;
  readonly slowest: string;
  /** Everything that was not a right answer, and connections that should have lasted and did not. */
  readonly failures: readonly string[];
  /** How much later than it was to be the thread itself has run, in ms: where this is large the machine was short, not the router. */
  readonly lateMs: number;
};

export type HonestOrder =
  | { readonly kind: 'begin'; readonly host: string; readonly httpPort: number; readonly httpsPort: number }
  | { readonly kind: 'report' }
  | { readonly kind: 'end' };

export type HonestWord =
  | { readonly kind: 'pod'; readonly port: number }
  | { readonly kind: 'report'; readonly report: HonestReport };

export class HonestSide implements AsyncDisposable {
  readonly podPort: number;
  readonly #thread: Worker;

  private constructor(thread: Worker, podPort: number) {
    this.#thread = thread;
    this.podPort = podPort;
  }

  /** Starts the pod. */
  static async start(): Promise<HonestSide> {
    const thread = new Worker(new URL('./honest-thread.ts', import.meta.url), { execArgv: [] });
    return new HonestSide(thread, (await heard(thread, 'pod')).port);
  }

  /** From now on there are requests for a Host. */
  begin(host: string, httpPort: number, httpsPort: number): void {
    this.#order({ kind: 'begin', host, httpPort, httpsPort });
  }

  /** What was noticed since the last report; waits for the requests that are under way. */
  async report(): Promise<HonestReport> {
    const word = heard(this.#thread, 'report');
    this.#order({ kind: 'report' });
    return (await word).report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.terminate();
  }

  #order(order: HonestOrder): void {
    this.#thread.postMessage(order);
  }
}

function heard<Kind extends HonestWord['kind']>(
  thread: Worker,
  kind: Kind,
): Promise<Extract<HonestWord, { readonly kind: Kind }>> {
  return new Promise((done, failed) => {
    const listener = (word: HonestWord): void => {
      if (word.kind !== kind) return;
      thread.removeListener('message', listener);
      thread.removeListener('error', failed);
      done(word as Extract<HonestWord, { readonly kind: Kind }>);
    };
    thread.on('message', listener);
    thread.on('error', failed);
  });
}
