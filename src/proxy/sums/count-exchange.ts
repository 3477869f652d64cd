// What the workers count together although they share no memory: each tells the others its own counts, ten times a second as
// far as they have changed, and adds up what it is told.

import type { JsonValue, Peers } from '../../replication/peers.ts';
import { type Counts, HeardCounts } from './heard-counts.ts';

/** Time between two exchanges: how old the sums may be. */
export const exchangeMs = 100;
/** What has not changed is told again after so many exchanges, and believed for three times as many: 1 s and 3 s. */
const repeatAfter = 10;
const believedFor = 3 * repeatAfter;
/** Keys that all workers may tell of at a time, so that no worker has more to read in an exchange, however many they are. */
const keysInAll = 4_000;
/** A key with its counts, in one message. Its length in JSON is estimated: keys are made of what needs no escaping. */
const maxMessageLength = 32 << 10;
const maxKeyLength = 512;
const lengthOfCount = 12;

/** Takes what this worker counts under a key. False: too many keys are told of, and nobody will hear of it. */
export type Tell = (key: string, counts: Counts) => boolean;

/** Who counts. */
export interface Counter {
  /** Tells all that the others are to know of what is counted here now. What was told and is not any more counts as nothing. */
  tellCounts(tell: Tell, nowMs: number): void;
  /** Another worker has told of a key. */
  onHeard(key: string): void;
  /** What is known of the others may be something else: before each telling, and when workers have come or gone. */
  onSums(): void;
}

/** What was told, when last, and in which exchange it was still counted. */
type Told = { counts: Counts; toldAt: number; countedAt: number };

export class CountExchange {
  readonly #topic: string;
  readonly #width: number;
  readonly #peers: Peers;
  readonly #counter: Counter;
  readonly #heard: HeardCounts = new HeardCounts();
  readonly #told: Map<string, Told> = new Map();
  /** How many exchanges there were: the time by which things are forgotten. */
  #turn = 0;
  /** Runs only while something is counted that others know of, or the other way round. */
  #timer: NodeJS.Timeout | null = null;

  /** `width`: how many numbers there are for each key. */
  constructor(topic: string, width: number, peers: Peers, counter: Counter) {
    this.#topic = topic;
    this.#width = width;
    this.#peers = peers;
    this.#counter = counter;
    peers.listen(topic, (from, value) => this.#hear(from, value));
    peers.onChange(() => this.#peersChanged());
  }

  /** Whether there are others who hear what is told. Where not, `of` knows of nothing. */
  get together(): boolean {
    return this.#peers.workers.length > 1;
  }

  /** The workers on the channel, this one among them. */
  get workers(): number {
    return this.#peers.workers.length;
  }

  /** Keys that this worker may tell of at a time. */
  get maxKeys(): number {
    return Math.floor(keysInAll / Math.max(1, this.workers));
  }

  /** What the others count under a key, as they told it last; null for nothing. */
  of(key: string): Counts | null {
    return this.#heard.of(key);
  }

  /** There is something to be told from now on. */
  wake(): void {
    if (this.#timer !== null || !this.together) return;
    this.#timer = setInterval(() => this.exchange(performance.now()), exchangeMs);
    this.#timer.unref();
  }

  /** Tells what has changed, and forgets what was not repeated. Called by the clock once it was woken. */
  exchange(nowMs: number): void {
    this.#turn++;
    this.#heard.forgetBefore(this.#turn - believedFor);
    this.#counter.onSums();
    if (this.together) this.#tellChanges(nowMs);
    if (!this.together || (this.#told.size === 0 && this.#heard.size === 0)) this.#sleep();
  }

  #tellChanges(nowMs: number): void {
    const turn = this.#turn;
    const changes: [string, ...number[]][] = [];
    const { maxKeys } = this;
    this.#counter.tellCounts((key, counts) => {
      const known = this.#told.get(key);
      if (known === undefined) {
        if (this.#told.size >= maxKeys || key.length > maxKeyLength) return false;
        this.#told.set(key, { counts, toldAt: turn, countedAt: turn });
        changes.push([key, ...counts]);
        return true;
      }
      known.countedAt = turn;
      if (turn - known.toldAt < repeatAfter && counts.every((count, i) => count === known.counts[i])) return true;
      known.counts = counts;
      known.toldAt = turn;
      changes.push([key, ...counts]);
      return true;
    }, nowMs);
    const nothing = new Array<number>(this.#width).fill(0);
    for (const [key, told] of this.#told) {
      if (told.countedAt === turn) continue;
      this.#told.delete(key);
      changes.push([key, ...nothing]);
    }
    this.#send(changes);
  }

  #send(changes: readonly [string, ...number[]][]): void {
    let message: [string, ...number[]][] = [];
    let length = 0;
    for (const change of changes) {
      const more = change[0].length + lengthOfCount * (this.#width + 1);
      if (length + more > maxMessageLength) {
        this.#peers.tell(this.#topic, message);
        message = [];
        length = 0;
      }
      message.push(change);
      length += more;
    }
    if (message.length > 0) this.#peers.tell(this.#topic, message);
  }

  #hear(from: number, value: JsonValue): void {
    if (!Array.isArray(value) || !this.#peers.workers.includes(from)) return;
    for (const entry of value) {
      const change = changeIn(entry, this.#width);
      if (change === null) continue;
      this.#heard.hear(from, change.key, change.counts, this.#turn);
      this.#counter.onHeard(change.key);
    }
    if (this.#heard.size > 0) this.wake();
  }

  #peersChanged(): void {
    this.#heard.keepOnly(this.#peers.workers);
    // Whoever has just come knows nothing yet.
    for (const told of this.#told.values()) told.toldAt = Number.NEGATIVE_INFINITY;
    this.#counter.onSums();
    this.wake();
  }

  #sleep(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}

/** A key with its counts as another worker has told them, or null for what is none of the kind. */
function changeIn(entry: unknown, width: number): { readonly key: string; readonly counts: Counts } | null {
  if (!Array.isArray(entry) || entry.length !== width + 1) return null;
  const key = entry[0];
  if (typeof key !== 'string' || key.length > maxKeyLength) return null;
  const counts: number[] = [];
  for (let i = 1; i <= width; i++) {
    const count = entry[i];
    if (!Number.isSafeInteger(count) || count < 0) return null;
    counts.push(count);
  }
  return { key, counts };
}
