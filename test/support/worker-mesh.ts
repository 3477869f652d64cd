// Workers that tell one another things without processes or sockets: what is told waits until the test delivers it.

import { type JsonValue, Peers } from '../../src/replication/peers.ts';

type Letter = {
  readonly from: number;
  readonly to: number;
  readonly topic: string;
  readonly value: JsonValue;
  readonly length: number;
};

export class WorkerMesh {
  /** One for each worker, by its number. */
  readonly peers: readonly Peers[];
  /** What was told and is not delivered yet. */
  readonly letters: Letter[] = [];
  #members: readonly number[] = [];

  constructor(workers: number) {
    this.peers = Array.from(
      { length: workers },
      (_, from) =>
        new Peers((topic, json) => {
          for (const to of this.#members) {
            if (to !== from) this.letters.push({ from, to, topic, value: JSON.parse(json), length: json.length });
          }
        }),
    );
  }

  /** A mesh whose workers all know of one another; `make` makes what each has, once they can be told something. */
  static of<T>(workers: number, make: (peers: Peers, worker: number) => T): { mesh: WorkerMesh; each: readonly T[] } {
    const mesh = new WorkerMesh(workers);
    const each = mesh.peers.map(make);
    mesh.join(mesh.peers.map((_, worker) => worker));
    return { mesh, each };
  }

  /** These workers, and no others, are on the channel; nobody is where it is gone. */
  join(members: readonly number[]): void {
    this.#members = members;
    for (const [worker, peers] of this.peers.entries()) peers.became(members.includes(worker) ? members : []);
  }

  /** Delivers what fits; all of it where nothing is said. */
  deliver(fits: (letter: Letter) => boolean = () => true): void {
    for (const letter of this.letters.splice(0)) {
      if (fits(letter)) this.peers[letter.to]?.heard(letter.from, letter.topic, letter.value);
      else this.letters.push(letter);
    }
  }

  /** Loses what is not delivered yet. */
  lose(): void {
    this.letters.length = 0;
  }
}
