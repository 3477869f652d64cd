// PID 1. Owns what must outlive its children: the bound sockets, the key of session tickets, the self-signed certificate,
// the counters of the dead. Keeps one controller and N workers alive. Knows nothing of Routes.

import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BoundSockets } from './bound-sockets.ts';
import type { Config } from './config/schema.ts';
import { MetricsCollection, ToldCounts } from './metrics-collection.ts';
import {
  heartbeatMs,
  type KeptCertificate,
  type Notice,
  type Order,
  type ProcessState,
} from './replication/control.ts';
import type { Log } from './telemetry/log.ts';
import { Metrics } from './telemetry/metrics.ts';
import { observeProcess } from './telemetry/process-metrics.ts';
import { version } from './version.ts';

/** Silence after which a child is taken for hung and killed. */
const silenceMs = 10_000;
/** The same before its first word: with a tenth of a core it takes fifteen seconds to load its code. */
const loadingMs = 120_000;
/** Wait before a child that keeps dying is started again: doubled from the first to the last. */
const firstBackoffMs = 50;
const lastBackoffMs = 5_000;
/** A child that lived so long has earned a fresh start. */
const steadyMs = 10_000;
/**
 * A young generation of 4 MB in place of 32: its three halves are resident for good in a process that has once been busy, and
 * what outlives it is collected sooner.
 */
const childFlags: readonly string[] = ['--max-semi-space-size=4'];
/**
 * Bodies come and go outside of the heap, of which V8 counts what is there at a time. With a heap of 10 MB it would collect it
 * for each 8 MB of them, thirty times a second: bodies of 64 kB over HTTP/2 take 100 us of CPU in place of 180. It keeps 14 to 25 MB more.
 */
const workerFlags: readonly string[] = [...childFlags, '--initial-old-space-size=64'];
/** First descriptor that a child inherits behind the standard streams and the fork's channel. */
const firstInheritedFd = 4;

type Child = {
  /** `controller`, or `worker-N`. */
  readonly name: string;
  readonly worker: number | null;
  process: ChildProcess | null;
  /** 0: not yet. */
  startedMs: number;
  heardMs: number;
  /** Whether it has said anything yet. */
  spoke: boolean;
  serving: boolean;
  backoffMs: number;
  restart: NodeJS.Timeout | null;
  readonly counts: ToldCounts;
};

/** Thrown where there is no place for the channel's socket: the start ends before anything has been started. */
export class RunDirectoryError extends Error {
  override name = 'RunDirectoryError';
}

export class Supervisor {
  readonly #config: Config;
  readonly #sockets: BoundSockets;
  readonly #fallback: KeptCertificate;
  readonly #log: Log;
  readonly #metrics: Metrics = new Metrics();
  readonly #collection: MetricsCollection = new MetricsCollection();
  #ticketKeys: string = newTicketKeys();
  readonly #runDirectory: string;
  readonly #controller: Child = newChild('controller', null);
  readonly #workers: readonly Child[];
  readonly #watch: NodeJS.Timeout;
  readonly #rotation: NodeJS.Timeout;
  readonly #onFailed: (reason: string) => void;
  #onReady: (() => void) | null;
  #epoch = 0;
  #lookedMs: number = performance.now();
  #draining = false;
  /** Whether the processes are being ended: who goes stays gone. */
  #ending = false;
  #ended: Promise<void> | null = null;

  /** `onReady`: every worker serves, for the first time. `onFailed`: the start cannot succeed. */
  constructor(
    config: Config,
    sockets: BoundSockets,
    fallback: KeptCertificate,
    log: Log,
    onReady: () => void,
    onFailed: (reason: string) => void,
  ) {
    this.#config = config;
    this.#sockets = sockets;
    this.#fallback = fallback;
    this.#log = log;
    this.#onReady = onReady;
    this.#onFailed = onFailed;
    this.#runDirectory = runDirectory(config.runDirectory);
    this.#workers = Array.from({ length: config.workers }, (_, i) => newChild(`worker-${i}`, i));
    observeProcess(this.#metrics, 'supervisor');
    this.#metrics.series('headgate_build_info', version(), process.version).value = 1;
    this.#metrics.observe(
      'headgate_workers',
      () => this.#workers.filter((child) => child.process !== null).length,
      'running',
    );
    this.#watch = setInterval(() => this.#killSilent(), heartbeatMs);
    this.#rotation = setInterval(() => this.#rotateTicketKeys(), config.ticketRotationMs);
  }

  /** Counts a log line of this process that could not be written. */
  countDroppedLine(): void {
    this.#metrics.series('headgate_log_lines_dropped_total', 'process').value++;
  }

  /**
   * Starts the controller and one worker. The others follow when they can load what it has compiled, as whoever comes after one
   * that died: a worker then takes 75 MB in place of 105, and is back in 0.3 s in place of 0.65.
   */
  start(): void {
    this.#startChild(this.#controller);
    for (const worker of this.#workers.slice(0, 1)) this.#startChild(worker);
  }

  #startOthers(): void {
    if (this.#ending) return;
    for (const worker of this.#workers) if (worker.startedMs === 0) this.#startChild(worker);
  }

  /**
   * Ends everything in order (Route semantics 6.4): readiness off and the delay, in which load balancers learn of it while
   * everything is still served; then no more connections, and a time for the open ones. Resolves when all children are gone.
   */
  drain(): Promise<void> {
    this.#ended ??= this.#drain();
    return this.#ended;
  }

  /** Ends everything at once. */
  destroy(): void {
    this.#draining = true;
    this.#ending = true;
    for (const child of [this.#controller, ...this.#workers]) child.process?.kill('SIGKILL');
    this.#cleanUp();
  }

  async #drain(): Promise<void> {
    const { shutdownDelayMs, shutdownTimeoutMs } = this.#config;
    this.#draining = true;
    this.#tellProcesses();
    this.#log.info({ delayMs: shutdownDelayMs, timeoutMs: shutdownTimeoutMs }, 'shutting down');
    await new Promise((resolve) => setTimeout(resolve, shutdownDelayMs));
    this.#ending = true;
    // Our own copies of the descriptors would keep the ports open after the last worker has stopped accepting.
    this.#sockets.closeTraffic();
    await Promise.all(this.#workers.map((child) => this.#end(child, shutdownTimeoutMs)));
    await this.#end(this.#controller, 1_000);
    this.#sockets.closeAdmin();
    this.#cleanUp();
  }

  /** Tells a child to end and waits until it is gone; a second beyond its time it is killed. */
  #end(child: Child, timeoutMs: number): Promise<void> {
    if (child.restart !== null) clearTimeout(child.restart);
    const running = child.process;
    if (running === null) return Promise.resolve();
    return new Promise((resolve) => {
      const kill = setTimeout(() => running.kill('SIGKILL'), timeoutMs + 1_000);
      running.once('exit', () => {
        clearTimeout(kill);
        resolve();
      });
      this.#order(child, { kind: 'drain', timeoutMs });
    });
  }

  #cleanUp(): void {
    clearInterval(this.#watch);
    clearInterval(this.#rotation);
    rmSync(this.#runDirectory, { recursive: true, force: true });
  }

  #startChild(child: Child): void {
    child.restart = null;
    const isController = child.worker === null;
    const fds = isController ? this.#sockets.controllerFds : this.#sockets.workerFds;
    const running = fork(join(import.meta.dirname, 'main.ts'), [isController ? 'controller' : 'worker'], {
      // Nothing of the parent's own flags: a debugger's port cannot be shared.
      execArgv: [...(isController ? childFlags : workerFlags)],
      // What these may hold reaches the controller over the channel; nobody else needs it, and environments are read.
      env: {
        ...(isController ? {} : { NODE_COMPILE_CACHE: join(this.#runDirectory, 'code') }),
        ...process.env,
        DEFAULT_CERTIFICATE: undefined,
        STATS_PASSWORD: undefined,
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
    });
    child.process = running;
    child.startedMs = performance.now();
    child.heardMs = child.startedMs;
    child.spoke = false;
    child.serving = false;
    this.#metrics.series('headgate_process_starts_total', child.name).value++;
    running.on('message', (notice) => this.#heard(child, notice as Notice));
    running.on('error', (error) => {
      this.#log.error({ process: child.name, reason: error.message }, 'process error');
      // One that could not even be started has no exit to wait for.
      if (running.pid === undefined) this.#exited(child, null, null);
    });
    running.on('exit', (code, signal) => this.#exited(child, code, signal));
    this.#order(child, isController ? this.#controllerStart() : this.#workerStart(child.worker));
    this.#tellProcesses();
  }

  #controllerStart(): Order<Config> {
    this.#epoch++;
    return {
      kind: 'start',
      config: this.#config,
      epoch: this.#epoch,
      channelPath: this.#channelPath,
      adminFd: firstInheritedFd,
      httpPort: this.#sockets.ports.httpPort,
      fallbackCertificate: this.#fallback,
    };
  }

  #workerStart(worker: number): Order<Config> {
    return {
      kind: 'start',
      config: this.#config,
      worker,
      workers: this.#config.workers,
      channelPath: this.#channelPath,
      ticketKeys: this.#ticketKeys,
      httpFd: firstInheritedFd,
      httpsFd: firstInheritedFd + 1,
    };
  }

  get #channelPath(): string {
    return join(this.#runDirectory, 'table.sock');
  }

  #heard(child: Child, notice: Notice): void {
    child.heardMs = performance.now();
    child.spoke = true;
    switch (notice.kind) {
      case 'heartbeat':
        child.counts.series = notice.series;
        break;
      case 'report':
        this.#collection.report(child.counts, notice.request, notice.series);
        break;
      case 'rows':
        this.#collection.rows(child.counts, notice.request, notice.rows);
        break;
      case 'forget':
        this.#forget(notice.keys);
        break;
      case 'loaded':
        this.#startOthers();
        break;
      case 'serving':
        child.serving = true;
        this.#tellProcesses();
        this.#checkReady();
        break;
      case 'failed':
        this.#log.error({ process: child.name, reason: notice.reason }, 'process cannot do its work');
        if (this.#onReady !== null) this.#onFailed(notice.reason);
        break;
      case 'stuck':
        this.#log.error({ process: `worker-${notice.worker}` }, 'worker does not follow the table, killing it');
        this.#workers[notice.worker]?.process?.kill('SIGKILL');
        break;
      case 'collect':
        void this.#collect(notice.request);
        break;
      default:
        notice satisfies never;
    }
  }

  #checkReady(): void {
    if (this.#onReady === null || !this.#controller.serving || !this.#workers.every((child) => child.serving)) return;
    const onReady = this.#onReady;
    this.#onReady = null;
    onReady();
  }

  #exited(child: Child, code: number | null, signal: NodeJS.Signals | null): void {
    child.process = null;
    child.serving = false;
    this.#collection.retire(child.counts);
    if (this.#ending) return;
    const livedMs = performance.now() - child.startedMs;
    child.backoffMs = livedMs > steadyMs ? firstBackoffMs : Math.min(lastBackoffMs, child.backoffMs * 2);
    this.#log.error({ process: child.name, code, signal, livedMs, restartInMs: child.backoffMs }, 'process ended');
    child.restart = setTimeout(() => this.#startChild(child), child.backoffMs);
    this.#tellProcesses();
  }

  #killSilent(): void {
    const nowMs = performance.now();
    // While this process itself was stopped (a frozen pod, a paused machine) it could hear nobody, and what was said is read
    // only behind this timer.
    const deafMs = Math.max(0, nowMs - this.#lookedMs - heartbeatMs);
    this.#lookedMs = nowMs;
    for (const child of [this.#controller, ...this.#workers]) {
      child.heardMs = Math.min(nowMs, child.heardMs + deafMs);
      if (child.process === null || nowMs - child.heardMs < (child.spoke ? silenceMs : loadingMs)) continue;
      this.#log.error({ process: child.name, silentMs: nowMs - child.heardMs }, 'process is silent, killing it');
      child.process.kill('SIGKILL');
    }
  }

  /** Asks every worker for its metrics and answers the controller with the sum of all that ever lived. */
  async #collect(request: number): Promise<void> {
    const running = this.#workers.filter((child) => child.process !== null);
    await Promise.all(
      running.map((child) =>
        this.#collection.reported((report) => this.#order(child, { kind: 'report', request: report })),
      ),
    );
    const told = [this.#controller, ...this.#workers].map(({ counts }) => counts);
    const series = this.#collection.sumOf(told, this.#metrics);
    for (const rows of this.#collection.rowsOf(told)) {
      await this.#orderInTurn(this.#controller, { kind: 'rows', request, rows });
    }
    this.#order(this.#controller, { kind: 'metrics', request, series });
  }

  #forget(keys: readonly string[]): void {
    this.#collection.forget(
      this.#workers.map(({ counts }) => counts),
      keys,
    );
    for (const worker of this.#workers) this.#order(worker, { kind: 'forget', keys });
  }

  /** Who gets hold of a key reads what was recorded under it: the fewer connections the better (RFC 5077 5.5). */
  #rotateTicketKeys(): void {
    this.#ticketKeys = newTicketKeys();
    const ticketKeys = this.#ticketKeys;
    for (const worker of this.#workers) this.#order(worker, { kind: 'ticket-keys', ticketKeys });
    this.#log.info({}, 'ticket keys rotated');
  }

  #tellProcesses(): void {
    if (this.#controller.process === null) return;
    const workers: ProcessState['workers'][number][] = [];
    for (const { worker, process: running, serving } of this.#workers) {
      if (worker !== null && running?.pid !== undefined) workers.push({ worker, pid: running.pid, serving });
    }
    const processes: ProcessState = {
      supervisor: process.pid,
      controller: this.#controller.process.pid ?? null,
      workers,
      wanted: this.#workers.length,
      draining: this.#draining,
    };
    this.#order(this.#controller, { kind: 'processes', processes });
  }

  /** Resolves when the order is on its way, or will never be. */
  #orderInTurn(child: Child, order: Order<Config>): Promise<void> {
    return new Promise((resolve) => {
      if (child.process?.connected === true) child.process.send(order, () => setImmediate(resolve));
      else resolve();
    });
  }

  #order(child: Child, order: Order<Config>): void {
    // A child that is just dying does not hear; its exit is handled where exits are.
    if (child.process?.connected === true) child.process.send(order, () => {});
  }
}

/** Base64 of 48 bytes, as OpenSSL wants them: name, HMAC key, AES key. */
function newTicketKeys(): string {
  return randomBytes(48).toString('base64');
}

function newChild(name: string, worker: number | null): Child {
  return {
    name,
    worker,
    process: null,
    startedMs: 0,
    heardMs: 0,
    spoke: false,
    serving: false,
    backoffMs: firstBackoffMs / 2,
    restart: null,
    counts: new ToldCounts(),
  };
}

/** A directory of our own that nobody else can enter, for the channel's socket and the compile cache. */
function runDirectory(configured: string): string {
  try {
    if (configured === '') return mkdtempSync(join(tmpdir(), 'headgate-'));
    mkdirSync(configured, { recursive: true });
    return mkdtempSync(join(configured, 'run-'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new RunDirectoryError(`--run-dir: cannot make a folder in ${configured || tmpdir()}: ${code ?? message}`);
  }
}
