// A bound socket being accepted on. The descriptor belongs to the supervisor, which keeps it open when this process dies:
// what waits in the accept queue is then served by the next one.

import { createServer, type Server, type Socket } from 'node:net';
import type { Metrics, Series } from '../../telemetry/metrics.ts';
import type { EndReason } from '../end-reason.ts';
import type { ListenerName, Session } from '../session/session.ts';
import { acceptSharedReads } from '../shared-read.ts';

/** Connections that the kernel completes ahead of us; it cuts this down to net.core.somaxconn. */
const backlog = 4096;
/** Event loop turns without a new connection after which the accept queue counts as empty. */
const quietTurns = 3;
const maxFinalAcceptMs = 250;

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
  #acceptedNow = 0;

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
   * closing would reset them.
   */
  async close(): Promise<void> {
    const deadline = performance.now() + maxFinalAcceptMs;
    for (let quiet = 0; quiet < quietTurns && performance.now() < deadline; quiet++) {
      const before = this.#acceptedNow;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#acceptedNow !== before) quiet = -1;
    }
    this.#server.close();
  }

  #accept(socket: Socket): void {
    this.#acceptedNow++;
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
