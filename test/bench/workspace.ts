// What the bench leaves on the machine while it runs: one temporary directory and the processes that it started. Both are
// gone when the bench ends, however it ends, because `dispose` is synchronous and hangs on the process's own exit.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

/** The core of everything else: load generators, pods, the bench itself. */
export const LOAD_CPU = 1;
/** Both: for what Headgate is measured alone by, since its three processes are not one thread. */
export const ALL_CPUS = '0,1';

/** The cores of a router with so many threads: one for each where there are enough beside the load's. */
export function contenderCpus(threads: number): string {
  if (threads > 1 && cpus().length < 2 * threads) return ALL_CPUS;
  return Array.from({ length: threads }, (_, thread) => 2 * thread).join();
}

/** A process that the bench started. Its standard output and error are kept, up to a bound, for messages. */
export type Launched = {
  readonly pid: number;
  /** Settles when the process has ended, with its exit code or the signal's name. */
  readonly ended: Promise<number | string>;
  /** What it wrote so far. */
  output(): string;
  /** Calls back with each line of standard output from now on. */
  onLine(listener: (line: string) => void): void;
  /** SIGTERM, and SIGKILL to the whole group when it has not ended by then. */
  stop(): Promise<void>;
};

const KEPT_OUTPUT_CHARS = 64 * 1024;
const STOP_GRACE_MS = 5_000;

export class Workspace {
  readonly directory: string;
  readonly #groups = new Set<number>();

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'headgate-bench-'));
    process.on('exit', () => this.dispose());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  }

  /** A new empty folder. */
  folder(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /**
   * Starts `command` on one core, in a process group of its own, so that Ctrl-C reaches the bench alone and the whole group
   * can be ended at once.
   */
  launch(cpu: number | string, command: string, args: readonly string[]): Launched {
    const child = spawn('taskset', ['-c', String(cpu), command, ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const pid = child.pid;
    if (pid === undefined) throw new Error(`${command} cannot be started: is taskset installed?`);
    this.#groups.add(pid);
    let kept = '';
    const keep = (text: string): void => {
      kept = (kept + text).slice(-KEPT_OUTPUT_CHARS);
    };
    collect(child.stdout, keep);
    collect(child.stderr, keep);
    // 'close', not 'exit': what the process wrote last has been read by then.
    const ended = new Promise<number | string>((resolve) => {
      child.on('close', (code, signal) => {
        this.#groups.delete(pid);
        resolve(code ?? signal ?? 'unknown');
      });
    });
    return {
      pid,
      ended,
      output: () => kept,
      onLine: (listener) => eachLine(child.stdout, listener),
      stop: () => this.#stop(child, pid, ended),
    };
  }

  /** Runs `command` to its end and gives its standard output and error. Throws unless it exits with 0. */
  async run(cpu: number, command: string, args: readonly string[]): Promise<string> {
    const launched = this.launch(cpu, command, args);
    const outcome = await launched.ended;
    if (outcome !== 0) throw new Error(`${command} ended with ${outcome}: ${launched.output().trim()}`);
    return launched.output();
  }

  /** Ends every process at once and removes the directory. May be called again. */
  dispose(): void {
    for (const group of this.#groups) killGroup(group);
    this.#groups.clear();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  async #stop(child: ChildProcess, pid: number, ended: Promise<unknown>): Promise<void> {
    if (!this.#groups.has(pid)) return;
    child.kill('SIGTERM');
    const deadline = setTimeout(() => killGroup(pid), STOP_GRACE_MS);
    await ended;
    clearTimeout(deadline);
  }
}

function collect(stream: Readable | null, keep: (text: string) => void): void {
  stream?.setEncoding('utf8').on('data', keep);
}

function eachLine(stream: Readable | null, listener: (line: string) => void): void {
  let rest = '';
  stream?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) listener(line);
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Gone already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
