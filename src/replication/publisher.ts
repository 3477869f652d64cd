// The controller's end of the channel: gives every worker a snapshot, then each Delta, encoded once; knows who serves what.

import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { type Change, type Delta, NO_REVISION, type Revision } from '../table/delta.ts';
import type { RouteTable } from '../table/route-table.ts';
import type { Log } from '../telemetry/log.ts';
import { encodeFrame, FrameReader, type WorkerMessage } from './frame.ts';
import type { JsonValue } from './peers.ts';

/** Beyond this much unsent, a worker's queue is worth less than a snapshot. */
const maxUnsentBytes = 16 << 20;
/** Entries of a snapshot that are encoded in one turn of the event loop: a few milliseconds' worth. */
const entriesPerPart = 250;
/** Text of the certificates and pages of one part: how long a certificate is, is for whoever writes the Route to say. */
const textLengthPerPart = 1 << 20;

/** With this much unsent, what another worker tells is not added: it would be old when it is read. */
const maxUnsentBeforeTold = 1 << 20;

/** How far one worker is. */
export type WorkerState = { readonly worker: number; readonly revision: Revision };

type Peer = {
  readonly socket: Socket;
  readonly joinedMs: number;
  worker: number;
  acked: Revision;
  /** Deltas are skipped while a snapshot is owed, and join it while it is being sent. */
  state: 'new' | 'snapshot-owed' | 'snapshot-sending' | 'following';
  /** What is left of the snapshot that is being sent; null in the other states. */
  unsent: Generator<Change> | null;
  /** Deltas, as parts, that came while a snapshot was being sent. */
  late: Buffer[];
  lateBytes: number;
};

export class Publisher {
  readonly #table: RouteTable;
  readonly #log: Log;
  readonly #server: Server;
  readonly #peers: Set<Peer> = new Set();
  readonly #onAck: () => void;
  #open = false;

  /** `onAck`: some worker's state has changed. */
  constructor(table: RouteTable, log: Log, onAck: () => void) {
    this.#table = table;
    this.#log = log;
    this.#onAck = onAck;
    this.#server = createServer((socket) => this.#join(socket));
  }

  /** Listens on a unix socket inside a directory that only this user can enter. */
  listen(path: string): Promise<void> {
    // A controller that was killed has left its socket behind; there is never more than one controller.
    rmSync(path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
  }

  /** Lets snapshots out: the table is complete for the first time. */
  open(): void {
    this.#open = true;
    for (const peer of this.#peers) this.#payWhenDrained(peer);
  }

  /** Tells all workers of a Delta that the table has just taken. */
  publish(delta: Delta): void {
    let frame: Buffer | null = null;
    let part: Buffer | null = null;
    for (const peer of this.#peers) {
      if (peer.state === 'following') {
        if (peer.socket.writableLength > maxUnsentBytes) {
          this.#oweSnapshot(peer);
          continue;
        }
        frame ??= encodeFrame({ kind: 'delta', delta });
        peer.socket.write(frame);
      } else if (peer.state === 'snapshot-sending') {
        part ??= encodeFrame({ kind: 'snapshot-part', changes: delta.changes });
        peer.late.push(part);
        peer.lateBytes += part.length;
        if (peer.lateBytes > maxUnsentBytes) this.#oweSnapshot(peer);
      }
    }
  }

  /** Every worker on the channel and the Revision that it serves. */
  workers(): WorkerState[] {
    const states: WorkerState[] = [];
    for (const peer of this.#peers) {
      if (peer.worker >= 0) states.push({ worker: peer.worker, revision: peer.acked });
    }
    return states;
  }

  /** Whether all workers on the channel (at least one) serve this Revision. */
  acknowledged(revision: Revision): boolean {
    let count = 0;
    for (const peer of this.#peers) {
      if (peer.worker < 0) continue;
      if (!servesAtLeast(peer.acked, revision)) return false;
      count++;
    }
    return count > 0;
  }

  /** The workers that have been on the channel since a time and do not serve a Revision yet. */
  behind(revision: Revision, sinceMs: number): number[] {
    const behind: number[] = [];
    for (const { worker, joinedMs, acked } of this.#peers) {
      if (worker >= 0 && joinedMs < sinceMs && !servesAtLeast(acked, revision)) behind.push(worker);
    }
    return behind;
  }

  close(): void {
    this.#server.close();
    for (const peer of this.#peers) peer.socket.destroy();
    this.#peers.clear();
  }

  #join(socket: Socket): void {
    const peer: Peer = {
      socket,
      joinedMs: performance.now(),
      worker: -1,
      acked: NO_REVISION,
      state: 'new',
      unsent: null,
      late: [],
      lateBytes: 0,
    };
    const reader = new FrameReader();
    this.#peers.add(peer);
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.read(chunk)) this.#heard(peer, message as WorkerMessage);
      } catch (error) {
        this.#log.error({ worker: peer.worker, reason: String(error) }, 'channel broken');
        socket.destroy();
      }
    });
    socket.on('drain', () => {
      if (peer.state === 'snapshot-sending') this.#sendPart(peer);
      else this.#payWhenDrained(peer);
    });
    socket.on('error', () => {
      // 'close' follows.
    });
    socket.on('close', () => {
      this.#peers.delete(peer);
      this.#tellPeers();
      this.#onAck();
    });
  }

  #heard(peer: Peer, message: WorkerMessage): void {
    switch (message.kind) {
      case 'hello':
        peer.worker = message.worker;
        peer.acked = message.revision;
        // A table of an earlier controller cannot be followed up: epochs never share a Revision.
        peer.state = 'snapshot-owed';
        this.#tellPeers();
        this.#payWhenDrained(peer);
        break;
      case 'ack':
        peer.acked = message.revision;
        this.#onAck();
        break;
      case 'gap':
        // Otherwise the snapshot that it asks for is owed or on its way already: Deltas behind the gap were, too.
        if (peer.state !== 'following') break;
        peer.state = 'snapshot-owed';
        this.#payWhenDrained(peer);
        break;
      case 'tell':
        this.#passOn(peer, message.topic, message.value);
        break;
      default:
        message satisfies never;
    }
  }

  /** Tells every worker who is there. */
  #tellPeers(): void {
    const workers = new Set<number>();
    for (const { worker } of this.#peers) if (worker >= 0) workers.add(worker);
    const frame = encodeFrame({ kind: 'peers', workers: [...workers].sort((a, b) => a - b) });
    for (const { worker, socket } of this.#peers) if (worker >= 0) socket.write(frame);
  }

  /** What one worker tells goes to all others, encoded once. */
  #passOn(from: Peer, topic: string, value: JsonValue): void {
    const frame = encodeFrame({ kind: 'told', from: from.worker, topic, value });
    for (const peer of this.#peers) {
      if (peer === from || peer.worker < 0 || peer.socket.writableLength > maxUnsentBeforeTold) continue;
      peer.socket.write(frame);
    }
  }

  /** Gives up on what a worker has not read: the table of the time when it reads again is worth more. */
  #oweSnapshot(peer: Peer): void {
    this.#log.warn({ worker: peer.worker }, 'worker does not keep up, it will get a snapshot');
    peer.state = 'snapshot-owed';
    peer.unsent = null;
    this.#payWhenDrained(peer);
  }

  #payWhenDrained(peer: Peer): void {
    // What stands in the socket is sent first; then comes 'drain', and with it this is asked again.
    if (peer.state !== 'snapshot-owed' || !this.#open || peer.socket.writableNeedDrain) return;
    peer.state = 'snapshot-sending';
    peer.unsent = this.#table.entries();
    peer.late = [];
    peer.lateBytes = 0;
    peer.socket.write(encodeFrame({ kind: 'snapshot-begin' }));
    this.#sendPart(peer);
  }

  /**
   * Sends the next part of a snapshot, and goes on with the next turn of the event loop, or when the worker has read so far.
   * The table may change meanwhile; entries are replaced whole, so the Deltas of that time, sent as last parts, make the copy
   * what the table is at the end, whatever the earlier parts had seen of them.
   */
  #sendPart(peer: Peer): void {
    const { socket, unsent } = peer;
    if (socket.destroyed || unsent === null) return;
    const changes: Change[] = [];
    let textLength = 0;
    let done = false;
    while (!done && changes.length < entriesPerPart && textLength < textLengthPerPart) {
      const entry = unsent.next();
      if (entry.done === true) {
        done = true;
      } else {
        changes.push(entry.value);
        textLength += textLengthOf(entry.value);
      }
    }
    const taken = socket.write(encodeFrame({ kind: 'snapshot-part', changes }));
    if (!done) {
      if (taken) {
        setImmediate(() => {
          // Not if this snapshot was given up meanwhile, and perhaps another one begun.
          if (peer.unsent === unsent) this.#sendPart(peer);
        });
      }
      return;
    }
    for (const part of peer.late) socket.write(part);
    socket.write(encodeFrame({ kind: 'snapshot-end', revision: this.#table.revision }));
    peer.state = 'following';
    peer.unsent = null;
    peer.late = [];
    peer.lateBytes = 0;
  }
}

function textLengthOf({ kind, entry }: Change): number {
  if (kind === 'page' && entry !== null) return entry.body.length;
  return kind === 'certificate' && entry !== null ? entry.chain.length + (entry.key?.length ?? 0) : 0;
}

/** Whether a worker at `acked` serves what was decided at `revision`, within one controller's life. */
function servesAtLeast(acked: Revision, revision: Revision): boolean {
  return acked.epoch === revision.epoch && acked.counter >= revision.counter;
}
