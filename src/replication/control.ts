// What the supervisor and its children say to one another over the fork's own channel: orders and signs of life. The table
// travels elsewhere (publisher, subscriber).

import type { SeriesSnapshot } from '../telemetry/metrics.ts';
import type { TallyRows } from '../telemetry/tally-row.ts';

/** A certificate with its key, as the supervisor keeps it over the lives of its controllers. */
export type KeptCertificate = { readonly chain: string; readonly key: string };

export type WorkerStart<Config> = {
  readonly kind: 'start';
  readonly config: Config;
  /** 0 to workers - 1. */
  readonly worker: number;
  readonly workers: number;
  readonly channelPath: string;
  /** Base64 of 48 bytes. Never in argv or the environment, which others can read. */
  readonly ticketKeys: string;
  readonly httpFd: number;
  readonly httpsFd: number;
};

export type ControllerStart<Config> = {
  readonly kind: 'start';
  readonly config: Config;
  readonly epoch: number;
  readonly channelPath: string;
  readonly adminFd: number;
  /** The port on which the workers accept plain HTTP. */
  readonly httpPort: number;
  readonly fallbackCertificate: KeptCertificate;
};

/** The processes as the supervisor sees them. */
export type ProcessState = {
  readonly supervisor: number;
  readonly controller: number | null;
  readonly workers: readonly { readonly worker: number; readonly pid: number; readonly serving: boolean }[];
  /** How many workers there should be. */
  readonly wanted: number;
  readonly draining: boolean;
};

/** Orders to a child. */
export type Order<Config> =
  | WorkerStart<Config>
  | ControllerStart<Config>
  | { readonly kind: 'drain'; readonly timeoutMs: number }
  | { readonly kind: 'report'; readonly request: number }
  /** To a controller that collects: some of the rows, summed over the workers. */
  | { readonly kind: 'rows'; readonly request: number; readonly rows: TallyRows }
  /** To workers: these are not counted any more. */
  | { readonly kind: 'forget'; readonly keys: readonly string[] }
  /** Other keys for session tickets, for every worker at once; as in the start. */
  | { readonly kind: 'ticket-keys'; readonly ticketKeys: string }
  | { readonly kind: 'processes'; readonly processes: ProcessState }
  | { readonly kind: 'metrics'; readonly request: number; readonly series: readonly SeriesSnapshot[] };

/** What a child says. */
export type Notice =
  | { readonly kind: 'heartbeat'; readonly series: readonly SeriesSnapshot[] }
  | { readonly kind: 'report'; readonly request: number; readonly series: readonly SeriesSnapshot[] }
  /** Rows of a worker that have changed; they go before its report, a part at a time. */
  | { readonly kind: 'rows'; readonly request: number; readonly rows: TallyRows }
  /** A controller: these are rows of what is not in the table any more. */
  | { readonly kind: 'forget'; readonly keys: readonly string[] }
  /** A worker has loaded its code, and left it in the compile cache for others. */
  | { readonly kind: 'loaded' }
  /** A worker accepts connections; a controller has published its first table. */
  | { readonly kind: 'serving' }
  /** The child cannot do its work, and says why before it ends. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** A worker does not take over what the controller has published: it is to be killed. */
  | { readonly kind: 'stuck'; readonly worker: number }
  /** A controller asks for the metrics of everybody else. */
  | { readonly kind: 'collect'; readonly request: number };

export const heartbeatMs = 1_000;

/** Says something to the supervisor; nothing if it is gone. */
export function notify(notice: Notice): void {
  if (process.connected) process.send?.(notice);
}

/** The same, but resolves when it is on its way: who has much to say then takes its time. */
export function notifyInTurn(notice: Notice): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(notice, undefined, undefined, () => setImmediate(resolve));
    else resolve();
  });
}

/** Calls back with every order of the supervisor, and once when the supervisor is gone. */
export function onOrders<Config>(onOrder: (order: Order<Config>) => void, onGone: () => void): void {
  process.on('message', (message) => onOrder(message as Order<Config>));
  process.once('disconnect', onGone);
}

/** Sends a sign of life with the process's metrics every second, and answers when asked for them. */
export function startHeartbeat(snapshot: () => SeriesSnapshot[]): void {
  const timer = setInterval(() => notify({ kind: 'heartbeat', series: snapshot() }), heartbeatMs);
  timer.unref();
}
