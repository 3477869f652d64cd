// A bound socket being accepted on. The descriptor belongs to the supervisor, which keeps it open when this process dies:
// what waits in the accept queue is then served by the next one.

import { createServer, type Server, type Socket } from 'node:net';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import type { EndReason } from '../end-reason.ts';
import type { ListenerName, Session } from '../session/session.ts';
import { acceptSharedReads } from '../shared-read.ts';

/** Connections that the kernel completes ahead of us; it cuts this down to net.core.somaxconn. */
const backlog = 4096;
/** After so long without a new connection nobody is about to come whom the last answers have set free. */
const quietMs = 25;
/** The other workers may close so much later, and whoever has his answer from this one comes again to them. */
const otherWorkersMs = 50;
/** Under a load that never rests the port is closed all the same. */
const maxFinalAcceptMs = 250;
/** Event loop turns in which nothing came, one after the other: the accept queue is empty. */
const emptyTurns = 3;
/** Such a turn is short: it is in the time behind its look at the queue that somebody can still come and be reset. */
const shortTurnMs = 0.2;

export type NewSession = (
  listener: ListenerName,
  socket: Socket,
  onEnd: (session: Session, reason: EndReason) => void,
) => Session;

export class Listener {
  readonly name: ListenerName;
  readonly sessions: Set<Session> = new Set();
  readonly #server: Server;
  readonly #newSession: NewSession;
  readonly #mayAccept: () => boolean;
  readonly #accepted: Series;
  readonly #refused: Series;
  /** Connections that were taken while the port is being closed; null before and after. */
  #held: Socket[] | null = null;

  /** `mayAccept`: whether the worker has room for one more. */
  constructor(name: ListenerName, newSession: NewSession, mayAccept: () => boolean, metrics: Metrics) {
    this.name = name;
    this.#newSession = newSession;
    this.#mayAccept = mayAccept;
    this.#accepted = metrics.series('headgate_connections_total', name);
    this.#refused = metrics.series('headgate_connections_refused_total', name, 'connections');
    metrics.observe('headgate_connections', () => this.sessions.size, name);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Accepts on an inherited descriptor. Rejects if that is no socket to listen on. */
  listen(fd: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ fd, backlog }, () => {
        this.#server.removeListener('error', reject);
        this.#server.on('error', () => {
          // A failed accept (descriptors used up) concerns one connection; the next one is tried again.
        });
        acceptSharedReads(this.#server, (socket) => this.#accept(socket));
        resolve();
      });
    });
  }

  /**
   * Stops accepting. First what waits in the accept queue is taken: those clients believe that they are connected, and
   * closing would reset them. They are served once the port is closed: whoever has his answer comes again, and the queue
   * would never be empty.
   */
  async close(): Promise<void> {
    const held: Socket[] = [];
    this.#held = held;
    const deadlineMs = performance.now() + maxFinalAcceptMs;
    await this.#untilQuiet(held, deadlineMs);
    await untilEmpty(held, deadlineMs + maxFinalAcceptMs);
    this.#server.close();
    this.#held = null;
    if (held.length > 0) await new Promise((resolve) => setTimeout(resolve, otherWorkersMs));
    for (const socket of held) {
      this.#serve(socket);
      socket.resume();
    }
  }

  /** Waits until nobody has come for a while, or nobody is left who may come again; no longer than until `deadlineMs`. */
  async #untilQuiet(held: readonly Socket[], deadlineMs: number): Promise<void> {
    let count = 0;
    let quietByMs = performance.now() + quietMs;
    while (this.sessions.size > 0 && performance.now() < Math.min(quietByMs, deadlineMs)) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (held.length !== count) quietByMs = performance.now() + quietMs;
      count = held.length;
    }
  }

  #accept(socket: Socket): void {
    if (this.#held === null) {
      this.#serve(socket);
      return;
    }
    socket.pause();
    this.#held.push(socket);
  }

  #serve(socket: Socket): void {
    if (!this.#mayAccept()) {
      this.#refused.value++;
      socket.destroy();
      return;
    }
    this.#accepted.value++;
    const session = this.#newSession(this.name, socket, (ended) => this.sessions.delete(ended));
    // One whose source holds enough already is over before it has begun.
    if (!session.over) this.sessions.add(session);
  }
}

/** Waits for a moment in which nobody is in the accept queue; no longer than until `deadlineMs`. */
async function untilEmpty(held: readonly Socket[], deadlineMs: number): Promise<void> {
  let before = performance.now();
  for (let empty = 0, count = held.length; empty < emptyTurns && before < deadlineMs; count = held.length) {
    await new Promise((resolve) => setImmediate(resolve));
    const nowMs = performance.now();
    empty = held.length === count && nowMs - before < shortTurnMs ? empty + 1 : 0;
    before = nowMs;
  }
}
