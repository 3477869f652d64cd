// Publisher and Subscriber over real unix sockets, with peers that die, lag and talk nonsense.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ControllerMessage, encodeFrame, FrameReader, type WorkerMessage } from '../../src/replication/frame.ts';
import { maxToldLength } from '../../src/replication/peers.ts';
import { Publisher } from '../../src/replication/publisher.ts';
import { Subscriber } from '../../src/replication/subscriber.ts';
import {
  type Change,
  type Delta,
  formatRevision,
  NO_REVISION,
  type Revision,
  sameRevision,
} from '../../src/table/delta.ts';
import type { BackendId, CertificateId } from '../../src/table/entries.ts';
import type { Host } from '../../src/table/host.ts';
import { RouteTable } from '../../src/table/route-table.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';

const log = createLog('silent', {}, () => {});

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

/** Bytes of buffers that are still in use. Their memory is given back some turns after they were collected. */
async function heldBytes(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await nextTurn();
  }
  return process.memoryUsage().arrayBuffers;
}

/** A directory for a socket, and whatever is to be closed with it. */
class Channel implements Disposable {
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'headgate-replication-'));
  readonly #closers: (() => void)[] = [];

  get path(): string {
    return join(this.#directory, 'table.sock');
  }

  closing<T extends { close(): unknown }>(closable: T): T {
    this.#closers.push(() => closable.close());
    return closable;
  }

  [Symbol.dispose](): void {
    for (const close of this.#closers.reverse()) close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Resolves the wait for a condition whenever something has happened. */
class Signal {
  #waiting: { holds: () => boolean; resolve: () => void }[] = [];

  notify(): void {
    const met = this.#waiting.filter(({ holds }) => holds());
    this.#waiting = this.#waiting.filter((each) => !met.includes(each));
    for (const { resolve } of met) resolve();
  }

  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ holds, resolve }));
  }
}

/** A controller's table and what publishes it. */
class Source {
  readonly table: RouteTable = new RouteTable();
  readonly publisher: Publisher;
  readonly acks: Signal = new Signal();
  readonly #epoch: number;

  constructor(epoch = 1) {
    this.#epoch = epoch;
    this.publisher = new Publisher(this.table, log, () => this.acks.notify());
  }

  /** Listens, with a table that holds these entries. */
  static async listening(channel: Channel, changes: readonly Change[], epoch = 1): Promise<Source> {
    const source = new Source(epoch);
    if (changes.length > 0) source.#take(changes);
    await source.publisher.listen(channel.path);
    channel.closing(source.publisher);
    source.publisher.open();
    return source;
  }

  /** A change that everybody hears of. */
  publish(...changes: readonly Change[]): void {
    this.publisher.publish(this.#take(changes));
  }

  /** A change that nobody hears of. */
  lose(...changes: readonly Change[]): void {
    this.#take(changes);
  }

  acknowledged(): Promise<void> {
    return this.acks.until(() => this.publisher.acknowledged(this.table.revision));
  }

  #take(changes: readonly Change[]): Delta {
    const to: Revision = { epoch: this.#epoch, counter: this.table.revision.counter + 1 };
    const delta: Delta = { from: this.table.revision, to, changes };
    this.table.apply(delta);
    return delta;
  }
}

/** A worker's end. */
class Replica {
  readonly subscriber: Subscriber;
  readonly changes: Signal = new Signal();
  readonly firsts: boolean[] = [];
  readonly #metrics: Metrics = new Metrics();

  constructor(channel: Channel, worker = 1) {
    this.subscriber = channel.closing(
      new Subscriber(channel.path, worker, log, this.#metrics, (first) => {
        this.firsts.push(first);
        this.changes.notify();
      }),
    );
  }

  get table(): RouteTable {
    return this.subscriber.table;
  }

  reaches(revision: Revision): Promise<void> {
    return this.changes.until(() => sameRevision(this.table.revision, revision));
  }

  /** How many came into force. */
  count(kind: 'delta' | 'snapshot'): number {
    return this.#metrics.series('headgate_deltas_applied_total', kind).value;
  }
}

/** A worker made of a bare socket, that takes nothing but a stream in order. */
class BarePeer {
  readonly socket: Socket;
  readonly messages: ControllerMessage[] = [];
  readonly heard: Signal = new Signal();
  bytes = 0;
  table: RouteTable = new RouteTable();
  #next: RouteTable | null = null;
  readonly #reader: FrameReader = new FrameReader();

  constructor(channel: Channel, worker = 9) {
    this.socket = connect(channel.path);
    channel.closing({ close: () => this.socket.destroy() });
    this.say({ kind: 'hello', worker, revision: NO_REVISION });
    this.socket.on('error', () => {});
    this.socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      for (const message of this.#reader.read(chunk)) this.#take(message as ControllerMessage);
      this.heard.notify();
    });
  }

  say(...messages: readonly WorkerMessage[]): void {
    this.socket.write(Buffer.concat(messages.map(encodeFrame)));
  }

  reaches(revision: Revision): Promise<void> {
    return this.heard.until(() => sameRevision(this.table.revision, revision));
  }

  count(kind: ControllerMessage['kind']): number {
    return this.messages.filter((message) => message.kind === kind).length;
  }

  #take(message: ControllerMessage): void {
    this.messages.push(message);
    switch (message.kind) {
      case 'snapshot-begin':
        this.#next = new RouteTable();
        break;
      case 'snapshot-part':
        if (this.#next === null) throw new Error('a part of no snapshot');
        this.#next.load(message.changes);
        break;
      case 'snapshot-end':
        if (this.#next === null) throw new Error('the end of no snapshot');
        this.table = this.#next;
        this.table.sealAt(message.revision);
        this.#next = null;
        break;
      case 'delta':
        if (this.#next !== null) throw new Error('a Delta inside a snapshot');
        this.table.apply(message.delta);
    }
  }
}

function host(name: string, mark = ''): Change {
  const key = name as Host;
  return {
    kind: 'host',
    key,
    entry: { host: key, tls: 'none', certificate: (mark || null) as CertificateId | null, clientAuth: null, paths: [] },
  };
}

function certificate(id: string, length: number): Change {
  const key = id as CertificateId;
  return { kind: 'certificate', key, entry: { id: key, chain: id.padEnd(length, 'x'), key: null } };
}

function backend(id: string, port: number): Change {
  const key = id as BackendId;
  const endpoint = { id: `ept:${port}`, address: '10.0.0.1', port, authority: `10.0.0.1:${port}`, h2c: false };
  const entry = { id: key, namespace: 'n', service: 's', endpoints: [endpoint], leaving: [], idled: false };
  return { kind: 'backend', key, entry };
}

function gone(change: Change): Change {
  return { ...change, entry: null };
}

/** Enough entries for a snapshot of a dozen parts. */
function manyEntries(): Change[] {
  return Array.from({ length: 1_000 }, (_, i) => [
    certificate(`c${i}`, 100),
    backend(`b${i}`, i + 1),
    host(`h${i}`),
  ]).flat();
}

function expectSameTable(actual: RouteTable, expected: RouteTable): void {
  expect(formatRevision(actual.revision)).toBe(formatRevision(expected.revision));
  // Sets of keys first: a difference in thousands of entries is told in one line.
  for (const kind of ['hosts', 'backends', 'certificates'] as const) {
    const missing = [...expected[kind].keys()].filter((key) => !(actual[kind] as Map<string, unknown>).has(key));
    expect(missing.slice(0, 5), `missing ${kind}`).toEqual([]);
    expect(actual[kind].size, kind).toBe(expected[kind].size);
    expect(actual[kind]).toEqual(expected[kind]);
  }
}

describe('a worker', () => {
  test('gets a snapshot, then each Delta, and says so', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, manyEntries());
    const replica = new Replica(channel);
    await source.acknowledged();
    expectSameTable(replica.table, source.table);
    expect([replica.count('snapshot'), replica.count('delta')]).toEqual([1, 0]);

    source.publish(host('new'), gone(host('h1')));
    source.publish(backend('b7', 7_777), gone(certificate('c3', 0)));
    await source.acknowledged();
    expectSameTable(replica.table, source.table);
    expect([replica.count('snapshot'), replica.count('delta')]).toEqual([1, 2]);
    expect(replica.firsts).toEqual([true, false, false]);
    expect(source.publisher.workers()).toEqual([{ worker: 1, revision: source.table.revision }]);
  });

  test('hears of the others, and what they tell, past any Delta', async () => {
    using channel = new Channel();
    const source = new Source();
    await source.publisher.listen(channel.path);
    channel.closing(source.publisher);
    const peers = [0, 1, 2].map((worker) => new Replica(channel, worker).subscriber.peers);
    while (!peers.every(({ workers }) => workers.length === 3)) await nextTurn();
    const [teller, ...others] = peers;
    const heard: unknown[] = [];
    for (const each of peers) each.listen('sums', (from, value) => heard.push([from, value]));
    expect(teller?.tell('sums', 'x'.repeat(maxToldLength))).toBe(false);
    expect(teller?.tell('nobody listens', 1)).toBe(true);
    expect(teller?.tell('sums', { a: [1, null] })).toBe(true);
    while (heard.length < others.length) await nextTurn();
    expect(heard).toEqual(others.map(() => [0, { a: [1, null] }]));
    source.publisher.close();
    while (!peers.every(({ workers }) => workers.length === 0)) await nextTurn();
  });

  test('waits until the table is whole for the first time', async () => {
    using channel = new Channel();
    const source = new Source();
    await source.publisher.listen(channel.path);
    channel.closing(source.publisher);
    const early = new BarePeer(channel);
    const replica = new Replica(channel);
    while (source.publisher.workers().length < 2) await nextTurn();
    source.lose(...manyEntries());
    source.publish(host('last'));
    await nextTurn();
    expect(early.messages.length).toBe(early.count('peers'));
    expect(source.publisher.acknowledged(source.table.revision)).toBe(false);

    source.publisher.open();
    await Promise.all([early.reaches(source.table.revision), replica.reaches(source.table.revision)]);
    expect([early.count('snapshot-begin'), early.count('delta')]).toEqual([1, 0]);
    expectSameTable(early.table, source.table);
    expectSameTable(replica.table, source.table);
  });

  test('may join late: it gets the table of then, the others go on with Deltas', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, manyEntries());
    const first = new Replica(channel, 1);
    await source.acknowledged();
    for (let i = 0; i < 20; i++) source.publish(host(`later${i}`));
    const second = new Replica(channel, 2);
    await second.changes.until(() => second.firsts.length > 0);
    source.publish(gone(host('later3')));
    await Promise.all([first.reaches(source.table.revision), second.reaches(source.table.revision)]);
    await source.acknowledged();
    expectSameTable(first.table, source.table);
    expectSameTable(second.table, source.table);
    expect([first.count('snapshot'), first.count('delta')]).toEqual([1, 21]);
    expect([second.count('snapshot'), second.count('delta')]).toEqual([1, 1]);
  });

  test('gets the table as it is in the end, however it changes while the snapshot is on its way', async () => {
    const name = fc.integer({ min: 0, max: 1_200 });
    const change = fc
      .tuple(fc.constantFrom('host', 'backend', 'certificate', 'gone'), name)
      .map(([kind, i]): Change => {
        if (kind === 'host') return host(`h${i}`, `mark${i}`);
        if (kind === 'backend') return backend(`b${i}`, 9_000);
        if (kind === 'certificate') return certificate(`c${i}`, 300);
        return gone([host(`h${i}`), backend(`b${i}`, 0), certificate(`c${i}`, 0)][i % 3] ?? host(`h${i}`));
      });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(change, { minLength: 1, maxLength: 5 }), { minLength: 30, maxLength: 60 }),
        async (deltas) => {
          using channel = new Channel();
          const source = await Source.listening(channel, manyEntries());
          const bare = new BarePeer(channel);
          const replica = new Replica(channel);
          for (const changes of deltas) {
            source.publish(...changes);
            await nextTurn();
          }
          await Promise.all([bare.reaches(source.table.revision), replica.reaches(source.table.revision)]);
          expectSameTable(bare.table, source.table);
          expectSameTable(replica.table, source.table);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('that misses a Delta asks for a snapshot, though more Deltas are on their way', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, manyEntries());
    const replica = new Replica(channel);
    await source.acknowledged();
    source.lose(host('lost'), gone(host('h5')));
    // In the old table the first of these does not fit; nor do those behind it, which are read together with it.
    for (let i = 0; i < 5; i++) source.publish(host(`after${i}`));
    await replica.reaches(source.table.revision);
    expectSameTable(replica.table, source.table);
    source.publish(host('and-on'));
    await source.acknowledged();
    expectSameTable(replica.table, source.table);
    expect(replica.count('delta')).toBe(1);
  });

  test('that asks twice gets snapshots that are whole', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, manyEntries());
    const peer = new BarePeer(channel);
    await peer.reaches(source.table.revision);
    peer.say({ kind: 'gap', revision: NO_REVISION }, { kind: 'gap', revision: NO_REVISION });
    await peer.heard.until(() => peer.count('snapshot-begin') > 1);
    peer.say({ kind: 'gap', revision: NO_REVISION });
    source.publish(host('meanwhile'));
    await peer.reaches(source.table.revision);
    source.publish(host('afterwards'));
    await peer.reaches(source.table.revision);
    expectSameTable(peer.table, source.table);
    expect(peer.count('snapshot-begin')).toBe(peer.count('snapshot-end'));
  });

  test('that goes is no longer waited for', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, [host('a')]);
    const replica = new Replica(channel, 1);
    const silent = new BarePeer(channel, 2);
    await silent.reaches(source.table.revision);
    await replica.reaches(source.table.revision);
    await source.acks.until(() =>
      source.publisher.workers().some(({ worker, revision }) => worker === 1 && revision.counter > 0),
    );
    expect(source.publisher.acknowledged(source.table.revision)).toBe(false);
    silent.socket.destroy();
    await source.acknowledged();
    replica.subscriber.close();
    await source.acks.until(() => source.publisher.workers().length === 0);
    expect(source.publisher.acknowledged(source.table.revision)).toBe(false);
  });

  test('that goes in the middle of its snapshot harms nobody', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, manyEntries());
    const replica = new Replica(channel);
    const leaving = new BarePeer(channel);
    await leaving.heard.until(() => leaving.messages.length > 0);
    leaving.socket.destroy();
    source.publish(host('a'));
    await source.acknowledged();
    expectSameTable(replica.table, source.table);
  });

  test('that talks nonsense is cut off, and nobody else', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, [host('a')]);
    const replica = new Replica(channel);
    await source.acknowledged();
    const mad = new BarePeer(channel);
    mad.socket.write('GET / HTTP/1.1\r\n\r\n');
    await once(mad.socket, 'close');
    source.publish(host('b'));
    await source.acknowledged();
    expectSameTable(replica.table, source.table);
  });
});

/** A controller made of a bare socket: what a worker says, and one connection at a time to answer on. */
class BareController {
  readonly said: WorkerMessage[] = [];
  readonly heard: Signal = new Signal();
  socket: Socket | null = null;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((socket) => {
      const reader = new FrameReader();
      this.socket = socket;
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        for (const message of reader.read(chunk)) this.said.push(message as WorkerMessage);
        this.heard.notify();
      });
    });
  }

  static async listening(channel: Channel): Promise<BareController> {
    const controller = new BareController();
    controller.#server.listen(channel.path);
    await once(controller.#server, 'listening');
    channel.closing({
      close: () => {
        controller.socket?.destroy();
        controller.#server.close();
      },
    });
    return controller;
  }

  /** The next hello of a worker, from its next connection. */
  async greeted(): Promise<WorkerMessage & { kind: 'hello' }> {
    const find = (): WorkerMessage | undefined => this.said.find(({ kind }) => kind === 'hello');
    await this.heard.until(() => find() !== undefined);
    const hello = find();
    if (hello?.kind !== 'hello') throw new Error('no hello');
    this.said.length = 0;
    return hello;
  }

  write(bytes: Buffer): void {
    this.socket?.write(bytes);
  }

  /** Writes these bytes, and is gone. */
  async die(bytes: Buffer): Promise<void> {
    const { socket } = this;
    if (socket === null) throw new Error('nobody there');
    await new Promise((resolve) => socket.end(bytes, () => resolve(undefined)));
    socket.destroy();
  }
}

const first: Revision = { epoch: 1, counter: 1 };
const second: Revision = { epoch: 1, counter: 2 };

function snapshotOf(revision: Revision, ...changes: readonly Change[]): Buffer {
  const parts: ControllerMessage[] = [
    { kind: 'snapshot-begin' },
    ...changes.map((change): ControllerMessage => ({ kind: 'snapshot-part', changes: [change] })),
    { kind: 'snapshot-end', revision },
  ];
  return Buffer.concat(parts.map(encodeFrame));
}

const deltaFrame = encodeFrame({ kind: 'delta', delta: { from: first, to: second, changes: [host('b')] } });

describe('a controller that dies', () => {
  test('in the middle of a Delta: it is neither applied nor acknowledged', async () => {
    using channel = new Channel();
    const controller = await BareController.listening(channel);
    const replica = new Replica(channel);
    await controller.greeted();
    controller.write(snapshotOf(first, host('a')));
    await replica.reaches(first);
    for (const cut of [1, 4, 5, 6, Math.floor(deltaFrame.length / 2), deltaFrame.length - 1]) {
      await controller.die(deltaFrame.subarray(0, cut));
      const hello = await controller.greeted();
      expect(hello.revision, `cut at ${cut}`).toEqual(first);
      expect([...replica.table.hosts.keys()]).toEqual(['a']);
    }
    // The rest of it, on the next connection, is the beginning of nothing.
    controller.write(deltaFrame);
    await replica.reaches(second);
    await controller.heard.until(() => controller.said.length > 0);
    expect(controller.said).toEqual([{ kind: 'ack', revision: second }]);
  });

  test('in the middle of a snapshot: the old table stays in force', async () => {
    using channel = new Channel();
    const controller = await BareController.listening(channel);
    const replica = new Replica(channel);
    await controller.greeted();
    controller.write(snapshotOf(first, host('a')));
    await replica.reaches(first);
    const snapshot = snapshotOf({ epoch: 2, counter: 1 }, host('x'), host('y'));
    const tail = encodeFrame({ kind: 'snapshot-end', revision: { epoch: 2, counter: 1 } });
    for (const cut of [20, snapshot.length - tail.length, snapshot.length - 1]) {
      await controller.die(snapshot.subarray(0, cut));
      expect((await controller.greeted()).revision).toEqual(first);
      expect([...replica.table.hosts.keys()]).toEqual(['a']);
      // What was built up goes with the connection: an end alone ends nothing.
      controller.write(tail);
    }
    controller.write(snapshot);
    await replica.reaches({ epoch: 2, counter: 1 });
    expect([...replica.table.hosts.keys()]).toEqual(['x', 'y']);
  });

  test('leaves its table in force until the next one’s is whole', async () => {
    using channel = new Channel();
    const old = await Source.listening(channel, [host('old'), host('both')], 1);
    const replica = new Replica(channel);
    await old.acknowledged();
    const before = replica.table;
    old.publisher.close();

    const next = await Source.listening(channel, [host('both'), host('new')], 2);
    expect(next.publisher.acknowledged(next.table.revision)).toBe(false);
    expect(replica.table).toBe(before);
    await next.acknowledged();
    expect(replica.table).not.toBe(before);
    expectSameTable(replica.table, next.table);
    next.publish(host('more'));
    await next.acknowledged();
    expectSameTable(replica.table, next.table);
    // Sessions that began with the old table may go on asking it.
    expect([...before.hosts.keys()]).toEqual(['old', 'both']);
  });

  test('may come back with fewer changes behind it than the one before', async () => {
    using channel = new Channel();
    const old = await Source.listening(channel, [host('a')], 7);
    for (let i = 0; i < 5; i++) old.publish(host(`h${i}`));
    const replica = new Replica(channel);
    await old.acknowledged();
    old.publisher.close();
    const next = await Source.listening(channel, [host('z')], 8);
    await next.acknowledged();
    expectSameTable(replica.table, next.table);
  });

  test('that talks nonsense is left, and its table stays in force', async () => {
    using channel = new Channel();
    const controller = await BareController.listening(channel);
    const replica = new Replica(channel);
    await controller.greeted();
    controller.write(snapshotOf(first, host('a')));
    await replica.reaches(first);
    controller.write(Buffer.from('what is this?'));
    expect((await controller.greeted()).revision).toEqual(first);
    expect([...replica.table.hosts.keys()]).toEqual(['a']);
  });
});

test('a stream byte by byte', async () => {
  using channel = new Channel();
  const controller = await BareController.listening(channel);
  const replica = new Replica(channel);
  await controller.greeted();
  for (const byte of Buffer.concat([snapshotOf(first, host('a')), deltaFrame])) {
    controller.write(Buffer.from([byte]));
    await nextTurn();
  }
  await replica.reaches(second);
  expect([...replica.table.hosts.keys()]).toEqual(['a', 'b']);
});

describe('a worker that does not read', () => {
  const MiB = 1 << 20;

  test('is given up on Deltas, and gets a snapshot when it reads again', async () => {
    using channel = new Channel();
    const source = await Source.listening(channel, [host('a')]);
    const healthy = new Replica(channel, 1);
    const lazy = new BarePeer(channel, 2);
    await Promise.all([lazy.reaches(source.table.revision), healthy.reaches(source.table.revision)]);
    lazy.socket.pause();
    const heldBefore = await heldBytes();
    // Sixty-four times the same megabyte: the table stays small, the Deltas do not.
    for (let i = 0; i < 64; i++) {
      source.publish(certificate(`c`, MiB), host(`h${i}`));
      await healthy.reaches(source.table.revision);
    }
    expectSameTable(healthy.table, source.table);
    expect(healthy.count('snapshot')).toBe(1);
    expect(((await heldBytes()) - heldBefore) / MiB).toBeLessThan(16 + 4);

    lazy.socket.resume();
    await lazy.reaches(source.table.revision);
    expectSameTable(lazy.table, source.table);
    expect(lazy.bytes / MiB).toBeLessThan(16 + 4);
    expect(lazy.count('snapshot-begin')).toBe(2);
    // From here on it follows like everybody.
    source.publish(host('next'));
    await lazy.reaches(source.table.revision);
    expect(lazy.messages.at(-1)?.kind).toBe('delta');
  });

  test('while it gets its snapshot is sent no more than it takes', async () => {
    using channel = new Channel();
    const large = Array.from({ length: 64 }, (_, i) => certificate(`c${i}`, MiB));
    const source = await Source.listening(channel, large);
    const heldBefore = await heldBytes();
    const lazy = new BarePeer(channel);
    await lazy.heard.until(() => lazy.messages.length > 0);
    lazy.socket.pause();
    for (let i = 0; i < 200; i++) await nextTurn();
    expect(((await heldBytes()) - heldBefore) / MiB).toBeLessThan(4);

    // Changes of that time are kept for it, but not without end.
    for (let i = 0; i < 40; i++) {
      source.publish(certificate('c', MiB), host(`h${i}`));
      await nextTurn();
    }
    expect(((await heldBytes()) - heldBefore) / MiB).toBeLessThan(16 + 6);
    lazy.socket.resume();
    await lazy.reaches(source.table.revision);
    expectSameTable(lazy.table, source.table);
  });

  test('a large table does not keep a worker from ever following', async () => {
    using channel = new Channel();
    const source = await Source.listening(
      channel,
      Array.from({ length: 40 }, (_, i) => certificate(`c${i}`, MiB)),
    );
    const replica = new Replica(channel);
    for (let i = 0; replica.firsts.length < 50; i++) {
      source.publish(host(`h${i % 100}`, `mark${i}`));
      await nextTurn();
    }
    await replica.reaches(source.table.revision);
    expectSameTable(replica.table, source.table);
    expect(replica.count('snapshot')).toBe(1);
  });
});
