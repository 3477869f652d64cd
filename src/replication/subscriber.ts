// A worker's end of the channel: keeps a replica of the table, through any number of controllers. What has been served
// goes on being served while nobody is at the other end.

import { connect, type Socket } from 'node:net';
import { formatRevision } from '../table/delta.ts';
import { RevisionGap, RouteTable } from '../table/route-table.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics, Series } from '../telemetry/metrics.ts';
import { type ControllerMessage, encodeFrame, encodeTell, FrameReader, type WorkerMessage } from './frame.ts';
import { Peers } from './peers.ts';

const retryMs = 50;
/** With this much unsent, what is told to other workers is not added: it would be old when it is read. */
const maxUnsentBeforeTold = 1 << 20;

export class Subscriber {
  /** The other workers, by way of the controller. */
  readonly peers: Peers = new Peers((topic, json) => {
    const socket = this.#socket;
    if (socket === null || socket.connecting || socket.writableLength > maxUnsentBeforeTold) return;
    socket.write(encodeTell(topic, json));
  });
  readonly #path: string;
  readonly #worker: number;
  readonly #log: Log;
  readonly #onChange: (first: boolean) => void;
  readonly #deltas: Series;
  readonly #snapshots: Series;
  #table: RouteTable = new RouteTable();
  /** The table that a snapshot is building up beside the one in force. */
  #next: RouteTable | null = null;
  #socket: Socket | null = null;
  /** Whether a snapshot has been asked for: the Deltas before it are of no use. */
  #awaitsSnapshot = false;
  #synced = false;
  #closed = false;
  #retry: NodeJS.Timeout | null = null;

  /** `onChange`: another table or Revision is in force; `first` when it is the first one ever. */
  constructor(path: string, worker: number, log: Log, metrics: Metrics, onChange: (first: boolean) => void) {
    this.#path = path;
    this.#worker = worker;
    this.#log = log;
    this.#onChange = onChange;
    this.#deltas = metrics.series('headgate_deltas_applied_total', 'delta');
    this.#snapshots = metrics.series('headgate_deltas_applied_total', 'snapshot');
    this.#connect();
  }

  /** The table in force. Another object after a snapshot: ask anew for each decision. */
  get table(): RouteTable {
    return this.#table;
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#socket?.destroy();
  }

  #connect(): void {
    const socket = connect(this.#path);
    const reader = new FrameReader();
    this.#socket = socket;
    socket.on('connect', () => this.#say({ kind: 'hello', worker: this.#worker, revision: this.#table.revision }));
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.read(chunk)) this.#heard(message as ControllerMessage);
      } catch (error) {
        this.#log.error({ reason: String(error) }, 'channel broken');
        socket.destroy();
      }
    });
    socket.on('error', () => {
      // 'close' follows and tries again.
    });
    socket.on('close', () => {
      this.#next = null;
      if (this.peers.workers.length > 0) this.peers.became([]);
      if (!this.#closed) this.#retry = setTimeout(() => this.#connect(), retryMs);
    });
  }

  #heard(message: ControllerMessage): void {
    switch (message.kind) {
      case 'delta':
        if (this.#awaitsSnapshot) return;
        try {
          this.#table.apply(message.delta);
        } catch (error) {
          if (!(error instanceof RevisionGap)) throw error;
          this.#log.warn({ reason: error.message }, 'asking for a snapshot');
          this.#awaitsSnapshot = true;
          this.#say({ kind: 'gap', revision: this.#table.revision });
          return;
        }
        this.#deltas.value++;
        this.#inForce();
        break;
      case 'snapshot-begin':
        this.#next = new RouteTable();
        break;
      case 'snapshot-part':
        this.#next?.load(message.changes);
        break;
      case 'snapshot-end':
        if (this.#next === null) return;
        this.#next.sealAt(message.revision);
        this.#table = this.#next;
        this.#next = null;
        this.#awaitsSnapshot = false;
        this.#snapshots.value++;
        this.#log.debug({ revision: formatRevision(message.revision) }, 'snapshot in force');
        this.#inForce();
        break;
      case 'peers':
        this.peers.became(message.workers);
        break;
      case 'told':
        this.peers.heard(message.from, message.topic, message.value);
        break;
      default:
        message satisfies never;
    }
  }

  #inForce(): void {
    const first = !this.#synced;
    this.#synced = true;
    this.#onChange(first);
    this.#say({ kind: 'ack', revision: this.#table.revision });
  }

  #say(message: WorkerMessage): void {
    this.#socket?.write(encodeFrame(message));
  }
}
