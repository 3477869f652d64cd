// A real router with honest users, to be attacked: what an attack cost is told afterwards, in answers, memory and workers.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { expect } from 'vitest';
import { memoryOf } from '../../bench/memory.ts';
import { serviceYaml } from '../pods.ts';
import { eventually, type RunningRouter } from '../router.ts';
import { AttackedRouter, edgeRouteYaml } from './attacked-router.ts';
import { type HonestReport, HonestSide } from './honest-side.ts';
import { RawClient, requestFields } from './raw-client.ts';

/** Longest that an honest request may take while the router is attacked, unless an attack has a bound of its own. */
const usualAnswerMs = 1_000;
/** Honest requests that must have been answered before and after an attack for it to be judged. */
const warmRequests = 2_000;
/** In this time the connections of attackers who have left must be gone; counts are a second old. */
const leaveMs = 3_000;
const honestHost = 'honest.test';
/** A fresh HTTP/1.1 connection each 50 ms, of which some may be ending, and two that are kept. */
const honestConnections = 6;
const megabyte = 1_048_576;

/** What an attack cost. */
export type Toll = {
  readonly honest: HonestReport;
  /** For how long the worker had work and no core, as others of this machine had it, in ms. */
  readonly coreLessMs: number;
  /** How much the worker's memory (RSS) grew at most while it lasted, in MB. */
  readonly grownMb: number;
  /** Whether it is still the same worker. */
  readonly sameWorker: boolean;
  /** Connections of attackers that were still held some seconds after they had been closed. */
  readonly connectionsLeft: number;
};

export class BesiegedRouter implements AsyncDisposable {
  readonly router: RunningRouter;
  readonly #attacked: AttackedRouter;
  readonly #honest: HonestSide;
  readonly #workerPid: number;
  #warmBytes = 0;

  private constructor(attacked: AttackedRouter, honest: HonestSide, workerPid: number) {
    this.router = attacked.router;
    this.#attacked = attacked;
    this.#honest = honest;
    this.#workerPid = workerPid;
  }

  /** One worker that has been used and has honest users. `yaml`: the Routes and Services of the attack. */
  static async start(yaml: string, args: readonly string[] = []): Promise<BesiegedRouter> {
    const honest = await HonestSide.start();
    const honestYaml = edgeRouteYaml('honest', honestHost, 'honest') + serviceYaml('honest', [honest.podPort]);
    const attacked = await AttackedRouter.start(honestYaml + yaml, args);
    const { router } = attacked;
    const { workers } = await router.processes();
    const besieged = new BesiegedRouter(attacked, honest, workers[0]?.pid ?? 0);
    honest.begin(honestHost, router.httpPort, router.httpsPort);
    await besieged.#warmUp();
    return besieged;
  }

  /** How much the worker's memory has grown since it was warm, over all attacks, in MB. */
  get grownMb(): number {
    return (rssOf(this.#workerPid) - this.#warmBytes) / megabyte;
  }

  get httpPort(): number {
    return this.router.httpPort;
  }

  get httpsPort(): number {
    return this.router.httpsPort;
  }

  /** Runs an attack, waits until the attackers' connections are gone and some more honest requests are answered. */
  async withstand(attack: () => Promise<void>): Promise<Toll> {
    await this.#honest.report();
    const beforeBytes = rssOf(this.#workerPid);
    const beforeMs = coreLessMs(this.#workerPid);
    const before = Math.max(honestConnections, await this.#connections());
    let peakBytes = beforeBytes;
    const look = (): void => {
      peakBytes = Math.max(peakBytes, rssOf(this.#workerPid));
    };
    const looking = setInterval(look, 20);
    await attack();
    const connectionsLeft = await this.#connectionsLeft(before);
    look();
    clearInterval(looking);
    const honest = await this.#honest.report();
    const { workers } = await this.router.processes();
    const sameWorker = workers.length === 1 && workers[0]?.pid === this.#workerPid;
    return {
      honest,
      coreLessMs: coreLessMs(this.#workerPid) - beforeMs,
      grownMb: (peakBytes - beforeBytes) / megabyte,
      sameWorker,
      connectionsLeft,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#honest[Symbol.asyncDispose]();
    await this.#attacked[Symbol.asyncDispose]();
  }

  #connections(): Promise<number> {
    return this.router.metric('headgate_connections');
  }

  /** Waits until there are no more connections than before, or has waited long enough. How many more there are. */
  async #connectionsLeft(before: number): Promise<number> {
    const lateMs = performance.now() + leaveMs;
    const open = await eventually(
      () => this.#connections(),
      (connections) => connections <= before || performance.now() > lateMs,
    );
    return Math.max(0, open - before);
  }

  /** What a worker takes that has been used: code compiled, pools filled, the young heap at its size. */
  async #warmUp(): Promise<void> {
    const clients = [
      await RawClient.connect(this.httpPort),
      await RawClient.connect(this.httpsPort, { servername: honestHost }),
    ];
    for (const client of clients) {
      for (let asked = 0; asked < warmRequests / clients.length; asked += 50) {
        const streams = Array.from({ length: 50 }, () => client.request(requestFields(honestHost)));
        expect(await Promise.all(streams.map((stream) => client.outcome(stream)))).toEqual(
          streams.map(() => 'status 200'),
        );
      }
      client[Symbol.dispose]();
    }
    this.#warmBytes = rssOf(this.#workerPid);
  }
}

/** What must hold whatever the attack was. */
export function expectHeld(
  { honest, coreLessMs, grownMb, sameWorker, connectionsLeft }: Toll,
  maxGrowthMb: number = 64,
  maxAnswerMs: number = usualAnswerMs,
): void {
  expect(honest.failures).toEqual([]);
  expect(honest.answered).toBeGreaterThan(0);
  expect(
    honest.slowestMs,
    `slowest: ${honest.slowest}; the clients themselves were ${honest.lateMs} ms late, the worker had no core for ${coreLessMs} ms`,
    // How late the clients' own event loop was says how busy the machine is with others.
  ).toBeLessThan(maxAnswerMs + 10 * honest.lateMs + coreLessMs);
  expect(grownMb).toBeLessThan(maxGrowthMb);
  expect(sameWorker).toBe(true);
  expect(connectionsLeft, 'connections that outlived the attackers').toBe(0);
}

/** A toll in one line. */
export function tellToll({ honest, coreLessMs, grownMb }: Toll): string {
  const { answered, slowestMs, slowest, failures, lateMs } = honest;
  return (
    `${answered} honest answers, slowest ${slowestMs.toFixed(0)} ms (${slowest}; clients up to ${lateMs.toFixed(0)} ms late, worker ` +
    `${coreLessMs.toFixed(0)} ms without a core), ${failures.length} failures, memory +${grownMb.toFixed(0)} MB`
  );
}

/**
 * For how long a process has waited for a core (the second figure of `/proc/PID/schedstat`), and what other machines took of one
 * of ours (`steal` of `/proc/stat`, in hundredths of a second), in ms; 0 where it is gone.
 */
function coreLessMs(pid: number): number {
  try {
    const waitedNs = Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[1]);
    const stolen = Number(readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]?.trim().split(/\s+/)[8]);
    return waitedNs / 1e6 + (stolen * 10) / availableParallelism();
  } catch {
    return 0;
  }
}

/** The memory of a process, in bytes; 0 where it is gone. */
function rssOf(pid: number): number {
  try {
    return memoryOf(pid).residentMb * 1e6;
  } catch {
    return 0;
  }
}
