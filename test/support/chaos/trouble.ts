// What goes wrong between changes: faults of the API server, one at a time, in an order that the seed chooses. Every kind comes
// once before any comes again.

import type { ApiServer, Fault, Kind, LoggedRequest } from '../api-server/api-server.ts';
import type { Random } from './random.ts';

const kinds: readonly (Kind | null)[] = ['Route', 'EndpointSlice', 'Secret', 'Namespace', 'Service', null];

/** So long at most the next strike waits for the last one to have its effect. */
const maxWaitMs = 1_000;

const strikes = [
  'dropWatches',
  'closeWatches',
  'stallWatches',
  'stallAndResume',
  'halfLine',
  'garbage',
  'malformed',
  'goneEvent',
  'goneStatus',
  'hungWatch',
  'failedReads',
  'droppedReads',
  'tooManyWrites',
  'failedWrites',
  'lostAnswers',
  'slowList',
  'emptyList',
  'restart',
  'forgetfulRestart',
  'outage',
] as const;

type Strike = (typeof strikes)[number];

export class Trouble {
  readonly #random: Random;
  readonly #server: ApiServer;
  #left: Strike[] = [];
  #waiting: (() => void)[] = [];
  #down: Promise<void> = Promise.resolve();
  #met: Promise<unknown> = Promise.resolve();

  constructor(random: Random, server: ApiServer) {
    this.#random = random;
    this.#server = server;
  }

  /** Something goes wrong: at once, or with the next request that fits. */
  strike(): void {
    if (this.#left.length === 0) this.#left = [...strikes];
    const [name] = this.#left.splice(this.#random.below(this.#left.length), 1);
    if (name !== undefined) this.#strike(name);
  }

  /** What a controller asks for first goes wrong. Not that there is nothing: who knows nothing else must believe it. */
  spoilStart(): void {
    this.#arm({ kind: 'drop', match: { kind: 'Route', verb: 'list' } });
    this.#arm({ kind: 'status', code: 500, match: { kind: 'EndpointSlice', verb: 'list' } });
    this.#arm({ kind: 'status', code: 410, match: { kind: 'Namespace', verb: 'watch' } });
    this.#arm({ kind: 'status', code: 503, match: { resource: 'subjectaccessreviews' } });
  }

  /** Resolves when what waits for requests has met them. */
  async struck(): Promise<void> {
    await this.#down;
    await this.#met;
  }

  /** Nothing more goes wrong. Resolves when the API server is up. */
  async calm(): Promise<void> {
    for (const takeBack of this.#waiting) takeBack();
    this.#waiting = [];
    await this.#down;
    this.#server.resume();
  }

  #strike(name: Strike): void {
    const random = this.#random;
    const server = this.#server;
    const kind = random.pick(kinds);
    const of = kind === null ? {} : { kind };
    const refused = { kind: 'status', isText: random.chance(0.3) } as const;
    switch (name) {
      case 'dropWatches':
        server.dropWatches(kind);
        break;
      case 'closeWatches':
        server.closeWatches(kind);
        break;
      case 'stallWatches':
        server.stallWatches(kind);
        break;
      case 'stallAndResume':
        server.stallWatches(kind);
        setTimeout(() => server.resume(kind), 200);
        break;
      case 'halfLine':
        server.halfLine(kind);
        break;
      case 'garbage':
        server.garbageLine(kind);
        break;
      case 'malformed':
        server.malformedObject(kind);
        break;
      case 'goneEvent':
        server.expireHistory();
        break;
      case 'goneStatus':
        this.#arm({ kind: 'status', code: 410, match: { ...of, verb: 'watch' } });
        server.closeWatches(kind);
        break;
      case 'hungWatch':
        this.#arm({ kind: 'hang', match: { ...of, verb: 'watch' } });
        server.closeWatches(kind);
        break;
      case 'failedReads':
        this.#arm({ ...refused, code: random.pick([403, 500, 503]), match: { ...of, verb: 'list' } });
        this.#arm({ ...refused, code: random.pick([401, 429, 504]), match: { ...of, verb: 'watch' } });
        server.expireHistory();
        break;
      case 'droppedReads':
        this.#arm({ kind: 'drop', match: { ...of, verb: 'list' } });
        this.#arm({ kind: 'dropAnswer', match: { ...of, verb: 'list' } });
        server.expireHistory();
        break;
      case 'tooManyWrites': {
        const match = { kind: 'Route', verb: 'patch' } as const;
        this.#arm({ ...refused, code: 429, retryAfterSeconds: 1, match });
        break;
      }
      case 'failedWrites':
        this.#arm({ kind: 'drop', match: { kind: 'Route', verb: 'patch' } });
        this.#arm({ ...refused, code: 500, match: { kind: 'Event', verb: 'create' } });
        this.#arm({ ...refused, code: 503, match: { resource: 'subjectaccessreviews' } });
        break;
      case 'lostAnswers':
        this.#arm({ kind: 'dropAnswer', times: 3, match: { kind: 'Route', verb: 'patch' } });
        break;
      case 'slowList':
        this.#arm({ kind: 'slow', delayMs: random.pick([50, 300]), match: { ...of, verb: 'list' } });
        server.expireHistory();
        break;
      case 'emptyList': {
        // Where there is much. Of a few objects it is believed that they are gone.
        const plenty = random.pick(['Route', 'EndpointSlice', 'Namespace'] as const);
        this.#arm({ kind: 'emptyList', match: { kind: plenty, verb: 'list' } });
        server.expireHistory();
        break;
      }
      case 'restart':
        this.#takeDown(async () => server.restart({ keepHistory: true }));
        break;
      case 'forgetfulRestart':
        this.#takeDown(async () => server.restart({ keepHistory: false }));
        break;
      case 'outage': {
        const durationMs = random.pick([50, 150, 400]);
        this.#takeDown(async () => {
          await server.stop();
          await new Promise((done) => setTimeout(done, durationMs));
          await server.start();
        });
        break;
      }
    }
  }

  #arm(fault: Fault): void {
    this.#waiting.push(this.#server.fault(fault));
    const { kind, verb } = fault.match ?? {};
    // Whether a Secret is asked for, or an Event told, is chance.
    if (verb === undefined || kind === 'Secret' || kind === 'Event') return;
    const sinceMs = Date.now();
    const resource = kind === undefined ? '' : `${kind.toLowerCase()}s`;
    const isMet = (requests: readonly LoggedRequest[]): boolean => {
      for (let i = requests.length - 1; i >= 0; i--) {
        const request = requests[i];
        if (request === undefined || request.atMs < sinceMs) return false;
        if (request.verb === verb && (resource === '' || request.resource === resource)) return true;
      }
      return false;
    };
    const met = this.#server.until(isMet, maxWaitMs).catch(() => {
      // Nobody had a reason to ask.
    });
    this.#met = Promise.all([this.#met, met]);
  }

  /** One after the other: a server that is down cannot be taken down. */
  #takeDown(how: () => Promise<void>): void {
    this.#down = this.#down.then(how);
  }
}
