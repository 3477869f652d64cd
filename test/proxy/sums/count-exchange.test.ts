import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CountExchange, type Counter, type Tell } from '../../../src/proxy/sums/count-exchange.ts';
import { maxToldLength } from '../../../src/replication/peers.ts';
import { WorkerMesh } from '../../support/worker-mesh.ts';

/** Counts what it is told to. */
class Tally implements Counter {
  readonly exchange: CountExchange;
  readonly counts: Map<string, number[]> = new Map();
  readonly refused: Set<string> = new Set();

  constructor(peers: ConstructorParameters<typeof CountExchange>[2]) {
    this.exchange = new CountExchange('tally', 2, peers, this);
  }

  tellCounts(tell: Tell): void {
    this.refused.clear();
    for (const [key, counts] of this.counts) if (!tell(key, [...counts])) this.refused.add(key);
  }

  onHeard(): void {}

  onSums(): void {}
}

function tallies(workers: number): { mesh: WorkerMesh; each: readonly Tally[] } {
  return WorkerMesh.of(workers, (peers) => new Tally(peers));
}

function exchange({ mesh, each }: ReturnType<typeof tallies>, times = 1): void {
  for (let i = 0; i < times; i++) {
    for (const tally of each) tally.exchange.exchange(0);
    mesh.deliver();
  }
}

describe('what the others count', () => {
  test('is known after an exchange, whatever has changed and whoever has come or gone', () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ worker: fc.nat(3), key: fc.nat(5), counts: fc.tuple(fc.nat(3), fc.nat(3)) }),
      },
      { weight: 1, arbitrary: fc.record({ members: fc.subarray([0, 1, 2, 3]) }) },
    );
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 12 }), (rounds) => {
        const all = tallies(4);
        let members = [0, 1, 2, 3];
        for (const round of rounds) {
          for (const action of round) {
            if ('members' in action) {
              members = action.members;
              all.mesh.join(members);
            } else {
              all.each[action.worker]?.counts.set(`k${action.key}`, action.counts);
            }
          }
          exchange(all);
          for (const [worker, { exchange: own }] of all.each.entries()) {
            for (let key = 0; key <= 5; key++) {
              const others = members.includes(worker) ? members.filter((other) => other !== worker) : [];
              const sums = [0, 1].map((i) =>
                others.reduce((sum, other) => sum + (all.each[other]?.counts.get(`k${key}`)?.[i] ?? 0), 0),
              );
              expect(own.of(`k${key}`) ?? [0, 0]).toEqual(sums);
            }
          }
        }
      }),
    );
  });

  test('is told once, and again after a second; believed for three', () => {
    const all = tallies(2);
    const [one, other] = all.each;
    one?.counts.set('k', [3, 0]);
    let told = 0;
    for (let i = 0; i < 11; i++) {
      one?.exchange.exchange(0);
      told += all.mesh.letters.length;
      all.mesh.deliver();
    }
    expect(told).toBe(2);
    for (let i = 0; i < 30; i++) {
      other?.exchange.exchange(0);
      expect(other?.exchange.of('k')).toEqual([3, 0]);
    }
    other?.exchange.exchange(0);
    expect(other?.exchange.of('k')).toBeNull();
  });

  test('a message that was lost is made good', () => {
    const all = tallies(2);
    all.each[0]?.counts.set('k', [1, 1]);
    all.each[0]?.exchange.exchange(0);
    all.mesh.lose();
    exchange(all, 10);
    expect(all.each[1]?.exchange.of('k')).toEqual([1, 1]);
    all.each[0]?.counts.delete('k');
    all.each[0]?.exchange.exchange(0);
    all.mesh.lose();
    exchange(all, 31);
    expect(all.each[1]?.exchange.of('k')).toBeNull();
  });

  test('nothing is told when nothing has changed, nor when nobody is there', () => {
    const all = tallies(2);
    exchange(all);
    all.each[0]?.counts.set('k', [1, 1]);
    all.mesh.join([0]);
    all.each[0]?.exchange.exchange(0);
    all.mesh.join([]);
    all.each[0]?.exchange.exchange(0);
    expect(all.mesh.letters).toEqual([]);
  });
});

describe('bounds', () => {
  test.each([2, 5])('with %i workers all together tell of so many keys, in messages that are carried', (workers) => {
    const all = tallies(workers);
    const [one, other] = all.each;
    const count = 4_000 / workers + 100;
    for (let i = 0; i < count; i++)
      one?.counts.set(`${'namespace'.repeat(20)}/route ${i}`, [Number.MAX_SAFE_INTEGER, i]);
    one?.exchange.exchange(0);
    expect(one?.refused.size).toBe(100);
    for (const { length } of all.mesh.letters) expect(length).toBeLessThanOrEqual(maxToldLength);
    all.mesh.deliver();
    expect(other?.exchange.of(`${'namespace'.repeat(20)}/route 7`)).toEqual([Number.MAX_SAFE_INTEGER, 7]);
    // Whoever goes makes room.
    for (const key of [...(one?.counts.keys() ?? [])].slice(0, 200)) one?.counts.delete(key);
    exchange(all, 2);
    expect(one?.refused.size).toBe(0);
  });

  test('what is no count is passed over', () => {
    const all = tallies(2);
    const entry = fc.oneof(
      fc.jsonValue(),
      fc.tuple(fc.string(), fc.jsonValue(), fc.jsonValue()),
      fc.tuple(fc.string(), fc.double(), fc.integer({ max: -1 })),
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.array(entry)), (told) => {
        const value = JSON.parse(JSON.stringify(told));
        all.mesh.peers[0]?.heard(1, 'tally', value);
        all.mesh.peers[0]?.heard(1, 'tally', [['good', 1, 2]]);
        all.mesh.peers[0]?.heard(7, 'tally', [['good', 5, 5]]);
        expect(all.each[0]?.exchange.of('good')).toEqual([1, 2]);
      }),
    );
    expect(all.each[0]?.exchange.of('__proto__')).toBeNull();
  });
});
