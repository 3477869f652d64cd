// The real command with its real processes, for tests: a folder of manifests, free ports, everything gone at the end.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { statFields } from '../bench/cpu-time.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string };

/** How a process ended. */
export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** What is started, and how. */
export type Program = {
  readonly command: string;
  readonly args: readonly string[];
  readonly options: Pick<SpawnOptions, 'cwd' | 'env' | 'uid' | 'gid'>;
};

const fromSource: Program = { command: process.execPath, args: [main], options: { env: process.env } };

/** Runs a command of ours to its end. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  { command, args: first, options }: Program = fromSource,
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const child = spawn(command, [...first, ...args], { ...options, env: { ...options.env, ...env }, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done) => {
    child.once('close', (...end) => done(end));
  });
  return { code, signal, stdout, stderr };
}

/** Where a router gets its objects from, as arguments. */
export type RouterSource = { readonly sourceArgs: readonly string[] };

/** A folder of manifests that goes with the test. */
export class ManifestFolder implements Disposable, RouterSource {
  readonly path: string = mkdtempSync(join(tmpdir(), 'headgate-test-'));

  get sourceArgs(): readonly string[] {
    return ['--source', 'files', '--manifests', this.path];
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.path, name), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class RunningRouter implements AsyncDisposable {
  readonly lines: LogLine[] = [];
  /** All that it wrote to either stream. */
  output = '';
  httpPort = 0;
  httpsPort = 0;
  adminPort = 0;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #listeners: Set<(line: LogLine) => void> = new Set();

  private constructor(
    source: RouterSource,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    { command, args: first, options }: Program,
  ) {
    const base = ['serve', ...source.sourceArgs, '--bind', '127.0.0.1'];
    const ports = ['--http-port', '0', '--https-port', '0', '--admin-port', '0'];
    const tests = ['--allow-loopback-endpoints', '--shutdown-delay', '0'];
    const child = spawn(command, [...first, ...base, ...ports, ...tests, ...args], {
      ...options,
      env: { ...options.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.exited = new Promise((done) => {
      child.once('close', (code, signal) => done({ code, signal }));
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    createInterface({ input: child.stdout }).on('line', (text) => {
      this.output += `${text}\n`;
      const line: LogLine = text.startsWith('{') ? JSON.parse(text) : { msg: text };
      this.lines.push(line);
      for (const listener of [...this.#listeners]) listener(line);
    });
  }

  /** Starts a router and waits until it says that it is ready. */
  static async start(
    source: RouterSource,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    program: Program = fromSource,
  ): Promise<RunningRouter> {
    const router = new RunningRouter(source, args, env, program);
    const ready = await Promise.race([
      router.line((line) => line.msg === 'ready'),
      router.exited.then((exit) => {
        throw new Error(`the router ended at its start: ${JSON.stringify(exit)}\n${router.output}`);
      }),
    ]);
    router.httpPort = Number(ready['httpPort']);
    router.httpsPort = Number(ready['httpsPort']);
    router.adminPort = Number(ready['adminPort']);
    return router;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The first log line, past or future, that fits. */
  line(fits: (line: LogLine) => boolean): Promise<LogLine> {
    const past = this.lines.find(fits);
    if (past !== undefined) return Promise.resolve(past);
    return this.nextLine(fits);
  }

  /** The first line from now on that fits. */
  nextLine(fits: (line: LogLine) => boolean): Promise<LogLine> {
    return new Promise((done) => {
      const listener = (line: LogLine): void => {
        if (!fits(line)) return;
        this.#listeners.delete(listener);
        done(line);
      };
      this.#listeners.add(listener);
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** What the admin port answers. */
  async admin(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}${path}`);
    return { status: response.status, text: await response.text() };
  }

  async adminJson<T>(path: string): Promise<T> {
    return JSON.parse((await this.admin(path)).text);
  }

  /** The processes as the admin port tells them. */
  async processes(): Promise<{
    readonly supervisor: number;
    readonly controller: number;
    readonly workers: readonly { readonly pid: number; readonly serving: boolean }[];
  }> {
    return await this.adminJson('/debug/processes');
  }

  /** Sum of one metric's series whose text contains `having`. */
  async metric(name: string, having = ''): Promise<number> {
    let sum = 0;
    for (const line of (await this.admin('/metrics')).text.split('\n')) {
      if (line.startsWith(name) && /^[{ ]/.test(line.slice(name.length)) && line.includes(having)) {
        sum += Number(line.slice(line.lastIndexOf(' ')));
      }
    }
    return sum;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGTERM');
    const late = setTimeout(() => this.kill('SIGKILL'), 15_000);
    await this.exited;
    clearTimeout(late);
  }
}

/** Asks again until the answer fits, a turn of the clock apart; the test's own time limit ends it. */
export async function eventually<T>(ask: () => Promise<T>, fits: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (fits(answer)) return answer;
    await new Promise((done) => setTimeout(done, 5));
  }
}

/** Whether a process is alive. One that has ended is not, though its parent has not heard of it yet. */
export function isAlive(pid: number): boolean {
  try {
    return statFields(readFileSync(`/proc/${pid}/stat`, 'latin1'))[0] !== 'Z';
  } catch {
    return false;
  }
}
