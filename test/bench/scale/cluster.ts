// The bench's end of the process with the cluster.

import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RouterSource } from '../../support/router.ts';
import type { Answer, ChangePlan, ChangeTimes, ClusterOrders, ClusterSize } from './cluster-messages.ts';

export class BenchCluster implements AsyncDisposable, RouterSource {
  /** PEM of the authority behind the certificates of all Routes. */
  authority = '';
  readonly #process: ChildProcess;
  readonly #folder: string = mkdtempSync(join(tmpdir(), 'headgate-scale-'));
  readonly #waiting: Map<number, (answer: Answer) => void> = new Map();
  #orders = 0;

  private constructor() {
    this.#process = fork(join(import.meta.dirname, 'cluster-process.ts'), [], {
      execArgv: [],
      // Options for the router's processes are not for this one.
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.#process.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
    this.#process.on('exit', (code) => {
      for (const [id, done] of this.#waiting) {
        done({ id, value: null, problem: `the process with the cluster ended with ${code}` });
      }
    });
  }

  static async open(size: ClusterSize): Promise<BenchCluster> {
    const cluster = new BenchCluster();
    const { kubeconfig, authority } = await cluster.#order('open', size);
    writeFileSync(cluster.#kubeconfig, kubeconfig, { mode: 0o600 });
    cluster.authority = authority;
    return cluster;
  }

  get sourceArgs(): readonly string[] {
    return ['--config', this.#kubeconfig];
  }

  /** How many Routes have a status. */
  statuses(): Promise<number> {
    return this.#order('statuses', null);
  }

  change(plan: ChangePlan): Promise<ChangeTimes> {
    return this.#order('change', plan);
  }

  [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
    if (this.#process.exitCode !== null) return Promise.resolve();
    return new Promise((gone) => {
      this.#process.once('exit', () => gone());
      this.#process.disconnect();
    });
  }

  get #kubeconfig(): string {
    return join(this.#folder, 'kubeconfig');
  }

  #order<Kind extends keyof ClusterOrders>(
    kind: Kind,
    asked: ClusterOrders[Kind]['asked'],
  ): Promise<ClusterOrders[Kind]['answer']> {
    const id = ++this.#orders;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ value, problem }) => {
        this.#waiting.delete(id);
        if (problem === null) resolve(value as ClusterOrders[Kind]['answer']);
        else reject(new Error(problem));
      });
      this.#process.send({ id, kind, asked });
    });
  }
}
