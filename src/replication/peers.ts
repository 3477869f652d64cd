// What workers tell one another, past the table: topics and values that the controller passes on and does not look into. Nothing
// is promised: a message may be lost, so what is told has to be told again, or be good for a while only.

/** A value as JSON carries it. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** Length of a value in JSON, in UTF-16 units; a longer one is not sent: it is for the sender to tell in parts. */
export const maxToldLength: number = 64 << 10;

/** Calls back with what another worker has told. */
export type PeerListener = (from: number, value: JsonValue) => void;

export class Peers {
  readonly #send: (topic: string, json: string) => void;
  readonly #listeners: Map<string, PeerListener> = new Map();
  readonly #onChange: (() => void)[] = [];
  #workers: readonly number[] = [];

  /** `send` takes what is to go to all others: a topic, and a value as JSON. */
  constructor(send: (topic: string, json: string) => void) {
    this.#send = send;
  }

  /** Numbers of the workers on the channel, this one among them; empty while there is no controller to say it. */
  get workers(): readonly number[] {
    return this.#workers;
  }

  /** Calls back whenever workers have come or gone, or the controller has: nothing that was told before is sure to have arrived. */
  onChange(listener: () => void): void {
    this.#onChange.push(listener);
  }

  /** Takes what the others tell under a topic. */
  listen(topic: string, listener: PeerListener): void {
    this.#listeners.set(topic, listener);
  }

  /** Tells all others something; lost where nobody listens. False, and nothing sent, if it is too long for them. */
  tell(topic: string, value: JsonValue): boolean {
    if (this.#workers.length < 2) return true;
    const json = JSON.stringify(value);
    if (json.length > maxToldLength) return false;
    this.#send(topic, json);
    return true;
  }

  /** The channel says who is there. */
  became(workers: readonly number[]): void {
    this.#workers = workers;
    for (const listener of this.#onChange) listener();
  }

  /** The channel has brought something. */
  heard(from: number, topic: string, value: JsonValue): void {
    this.#listeners.get(topic)?.(from, value);
  }
}
