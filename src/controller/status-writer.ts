// Tells the owners of Routes: writes the Verdicts into status, once they are in force, and takes our entry out of Routes that
// have left. Compares before it writes; several replicas agree because each of them finds the entry right that another wrote.

import { isDeepStrictEqual } from 'node:util';
import { apiTime } from '../source/kube/api-time.ts';
import type { RouteApi } from '../source/kube/route-api.ts';
import type { IngressEntry, RouteManifest, RouteStatus } from '../source/manifests.ts';
import type { RouteKey } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import {
  type DesiredEntry,
  desiredEntry,
  entryOf,
  type RouterIdentity,
  says,
  withEntry,
  withoutEntry,
} from './ingress-entry.ts';
import type { KnownVerdict } from './reconciler.ts';
import { TokenBucket } from './token-bucket.ts';
import { sameVerdict } from './verdict.ts';

/** The settings that the writer reads. */
export type StatusSettings = RouterIdentity & { readonly statusRate: number };

/** What the writer asks of the rest, always as it is now. */
export type StatusSubject = {
  readonly routeOf: (key: RouteKey) => RouteManifest | undefined;
  readonly statusOf: (key: RouteKey) => RouteStatus | undefined;
  readonly verdictOf: (key: RouteKey) => KnownVerdict | undefined;
};

/** What is left to do for one Route, and not before when. */
type Task = { readonly kind: 'write' | 'leave'; readonly dueMs: number; readonly failures: number };

type Written = {
  readonly atMs: number;
  readonly entry: DesiredEntry;
  readonly before: string;
};

const writesAtOnce = 8;
/** An entry of ours that another changes so soon after we wrote it is left alone for as long. */
const contentionMs = 60_000;
/** With more Routes in dispute than this, nothing is written for twice that time. */
const maxContended = 5;
/** How long a replica waits for another that was faster before: from the first to the last time. */
const firstPatienceMs = 50;
const lastPatienceMs = 5_000;
/** Writes of one Route that may still come back. */
const maxSent = 4;
const firstRetryMs = 1_000;
const lastRetryMs = 60_000;
/** Events beyond this rate are dropped: status says the same. */
const eventsPerSecond = 5;
const eventBurst = 50;

export class StatusWriter {
  readonly #api: RouteApi;
  readonly #settings: StatusSettings;
  readonly #subject: StatusSubject;
  readonly #log: Log;
  readonly #metrics: Metrics;
  /** Verdicts that are in force, and may be told. */
  readonly #inForce: Map<RouteKey, KnownVerdict> = new Map();
  /** What concerns a change goes first, then what has left; what was found at start comes when there is time. */
  readonly #urgent: Map<RouteKey, Task> = new Map();
  readonly #leaving: Map<RouteKey, Task> = new Map();
  readonly #backlog: Map<RouteKey, Task> = new Map();
  readonly #running: Set<RouteKey> = new Set();
  /** What was written last, and on which version of the Route. */
  readonly #wrote: Map<RouteKey, Written> = new Map();
  /** What was sent and has not come back through the watch, oldest first. A write that failed may have had its effect. */
  readonly #sent: Map<RouteKey, readonly DesiredEntry[]> = new Map();
  /** Routes that had changed when we wrote: another replica may have been there. */
  readonly #conflicted: Set<RouteKey> = new Set();
  readonly #contendedUntilMs: Map<RouteKey, number> = new Map();
  readonly #writes: TokenBucket;
  readonly #events: TokenBucket = new TokenBucket(eventsPerSecond, eventBurst);
  #suspendedUntilMs = 0;
  #patienceMs = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer is due, in ms; never where there is none. */
  #wakeMs = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(api: RouteApi, settings: StatusSettings, subject: StatusSubject, log: Log, metrics: Metrics) {
    this.#api = api;
    this.#settings = settings;
    this.#subject = subject;
    this.#log = log;
    this.#metrics = metrics;
    this.#writes = new TokenBucket(settings.statusRate, settings.statusRate);
    const queues = [this.#urgent, this.#leaving, this.#backlog, this.#running];
    metrics.observe('headgate_status_pending', () => queues.reduce((sum, { size }) => sum + size, 0));
  }

  /** Every worker serves what the verdict on this Route says. `isFirst`: it was there at start, and can wait. */
  inForce(key: RouteKey, isFirst: boolean): void {
    const known = this.#subject.verdictOf(key);
    if (known === undefined) return;
    const before = this.#inForce.get(key);
    this.#inForce.set(key, known);
    this.#check(key, isFirst);
    const route = this.#subject.routeOf(key);
    const isWaiting = this.#urgent.has(key) || this.#backlog.has(key) || this.#running.has(key);
    // Else it is told with the write. Annotations have no generation: what they are warned of changes nothing in status.
    if (before === undefined || isFirst || isWaiting || route === undefined) return;
    if (known.verdict.kind === 'admitted' && !sameVerdict(before.verdict, known.verdict)) void this.#tell(route, known);
  }

  /** The Route was seen anew: its status may have changed. `before` is what its status held until now. */
  seen(key: RouteKey, before: RouteStatus | undefined): void {
    const { routerName } = this.#settings;
    const entry = entryOf(this.#subject.statusOf(key)?.ingress ?? [], routerName);
    // What we wrote ourselves may come back when the Verdict is the one of before again, before the write is answered, without
    // an answer ever, or in a version that somebody else has made since.
    const isEcho = this.#cameBack(key, entry);
    const desired = this.#desired(key);
    if (desired === undefined) return;
    const isRight = says(entry, desired);
    const wasRight = before !== undefined && says(entryOf(before.ingress, routerName), desired);
    if (wasRight && !isEcho && entry !== undefined && !isRight) this.#contested(key);
    const wasWanted = this.#conflicted.delete(key) || this.#urgent.has(key) || this.#backlog.has(key);
    // Another replica was faster; it will be the next time, too.
    if (isRight && !isEcho && wasWanted && !this.#running.has(key)) this.#bePatient();
    this.#check(key, false);
  }

  /** Whether an entry is what we sent. What was sent before it has come back with it, or never will. */
  #cameBack(key: RouteKey, entry: IngressEntry | undefined): boolean {
    const sent = this.#sent.get(key) ?? [];
    const at = sent.findIndex((each) => says(entry, each));
    if (at < 0) return false;
    this.#keepSent(key, sent.slice(at + 1));
    return true;
  }

  #keepSent(key: RouteKey, sent: readonly DesiredEntry[]): void {
    if (sent.length === 0) this.#sent.delete(key);
    else this.#sent.set(key, sent);
  }

  /** The Route is not ours any more, or gone: our entry must not stay behind. */
  left(key: RouteKey): void {
    this.#inForce.delete(key);
    this.#wrote.delete(key);
    this.#sent.delete(key);
    this.#conflicted.delete(key);
    this.#contendedUntilMs.delete(key);
    this.#urgent.delete(key);
    this.#backlog.delete(key);
    this.#plan(this.#leaving, key, { kind: 'leave', dueMs: 0, failures: 0 });
  }

  /** Writes nothing more: who stays has the last word. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #desired(key: RouteKey): DesiredEntry | undefined {
    const known = this.#inForce.get(key);
    const route = this.#subject.routeOf(key);
    if (known === undefined || route === undefined) return undefined;
    // A newer generation, or another Route of that name, has its own verdict coming.
    if (known.generation !== route.generation || known.uid !== route.uid) return undefined;
    return desiredEntry(route, known.verdict, known.generation, this.#settings);
  }

  /** Plans a write if the entry is not right, and drops the plan if it is. */
  #check(key: RouteKey, isFirst: boolean): void {
    const desired = this.#desired(key);
    if (desired === undefined) return;
    if (this.#isRight(key, desired)) {
      this.#urgent.delete(key);
      this.#backlog.delete(key);
      return;
    }
    const dueMs = Math.max(performance.now() + this.#patienceMs * Math.random(), this.#silentUntilMs(key));
    const planned = this.#urgent.get(key);
    if (planned !== undefined && (planned.failures > 0 || planned.dueMs <= dueMs)) return;
    this.#plan(isFirst ? this.#backlog : this.#urgent, key, { kind: 'write', dueMs, failures: 0 });
  }

  /** Whether the entry is right, or will be once the watch has brought back what we wrote. */
  #isRight(key: RouteKey, desired: DesiredEntry): boolean {
    const status = this.#subject.statusOf(key);
    const wrote = this.#wrote.get(key);
    if (wrote !== undefined && wrote.before === status?.resourceVersion) return isDeepStrictEqual(wrote.entry, desired);
    return says(entryOf(status?.ingress ?? [], desired.routerName), desired);
  }

  #bePatient(): void {
    this.#patienceMs = Math.min(lastPatienceMs, Math.max(firstPatienceMs, this.#patienceMs * 2));
  }

  /** Somebody else changed our entry. Once it is put right; again, soon after, means that we would go on for ever. */
  #contested(key: RouteKey): void {
    const nowMs = performance.now();
    if (nowMs - (this.#wrote.get(key)?.atMs ?? Number.NEGATIVE_INFINITY) > contentionMs) return;
    this.#contendedUntilMs.set(key, nowMs + contentionMs);
    let contended = 0;
    for (const [other, untilMs] of this.#contendedUntilMs) {
      if (untilMs > nowMs) contended++;
      else this.#contendedUntilMs.delete(other);
    }
    this.#log.warn(
      { route: key, routerName: this.#settings.routerName },
      'another router writes status under the same name and disagrees; leaving this route alone for a while',
    );
    if (contended <= maxContended || this.#suspendedUntilMs > nowMs) return;
    this.#suspendedUntilMs = nowMs + 2 * contentionMs;
    this.#log.error(
      { routes: contended, routerName: this.#settings.routerName },
      'another router with the same name and other settings is running; give each its own ROUTER_SERVICE_NAME. No status is written for a while',
    );
  }

  /** Until when nothing may be written for a Route. An entry that is not there yet may always be written. */
  #silentUntilMs(key: RouteKey): number {
    if (entryOf(this.#subject.statusOf(key)?.ingress ?? [], this.#settings.routerName) === undefined) return 0;
    return Math.max(this.#suspendedUntilMs, this.#contendedUntilMs.get(key) ?? 0);
  }

  #plan(queue: Map<RouteKey, Task>, key: RouteKey, task: Task): void {
    queue.set(key, task);
    this.#wake(0);
  }

  #wake(inMs: number): void {
    const atMs = performance.now() + inMs;
    if (this.#isClosed || this.#wakeMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#wakeMs = atMs;
    this.#timer = setTimeout(() => {
      this.#wakeMs = Number.POSITIVE_INFINITY;
      this.#pump();
    }, inMs);
  }

  /** Starts what is due, as far as rate and concurrency allow. */
  #pump(): void {
    if (this.#isClosed) return;
    const nowMs = performance.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const queue of [this.#urgent, this.#leaving, this.#backlog]) {
      for (const [key, task] of queue) {
        if (this.#running.size >= writesAtOnce) return;
        if (this.#running.has(key)) continue;
        if (task.dueMs > nowMs) {
          nextMs = Math.min(nextMs, task.dueMs);
          continue;
        }
        const waitMs = this.#writes.take(nowMs);
        if (waitMs > 0) {
          this.#wake(waitMs);
          return;
        }
        queue.delete(key);
        this.#running.add(key);
        void this.#carryOut(key, task).finally(() => {
          this.#running.delete(key);
          this.#wake(0);
        });
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#wake(Math.ceil(nextMs - nowMs));
  }

  async #carryOut(key: RouteKey, task: Task): Promise<void> {
    try {
      if (task.kind === 'write') await this.#write(key);
      else await this.#leave(key);
    } catch (error) {
      this.#count('failed');
      const reason = error instanceof Error ? error.message : String(error);
      const retryAfterMs = error instanceof Error && 'retryAfterMs' in error ? Number(error.retryAfterMs) : 0;
      const stepMs = Math.min(lastRetryMs, firstRetryMs * 2 ** task.failures) * (0.5 + Math.random() / 2);
      const dueMs = performance.now() + Math.max(stepMs, retryAfterMs);
      if (task.failures === 0) this.#log.warn({ route: key, reason }, 'status cannot be written, trying again');
      // Nobody is asked while it does not want to be.
      if (retryAfterMs > 0) this.#writes.pause(dueMs);
      const queue = task.kind === 'write' ? this.#urgent : this.#leaving;
      if (!queue.has(key)) this.#plan(queue, key, { ...task, dueMs, failures: task.failures + 1 });
    }
  }

  async #write(key: RouteKey): Promise<void> {
    const desired = this.#desired(key);
    const route = this.#subject.routeOf(key);
    const status = this.#subject.statusOf(key);
    const known = this.#inForce.get(key);
    if (desired === undefined || route === undefined || status === undefined || known === undefined) return;
    if (this.#isRight(key, desired) || this.#silentUntilMs(key) > performance.now()) return this.#check(key, false);
    const ingress = withEntry(status.ingress, desired, apiTime());
    const before = this.#wrote.get(key);
    const written = { atMs: performance.now(), entry: desired, before: status.resourceVersion };
    this.#wrote.set(key, written);
    this.#keepSent(key, [...(this.#sent.get(key) ?? []), desired].slice(-maxSent));
    const result = await this.#api.writeIngress({ ...route, status }, ingress).catch((error: unknown) => {
      restore(this.#wrote, key, written, before);
      throw error;
    });
    this.#count(result);
    if (result !== 'written') {
      restore(this.#wrote, key, written, before);
      this.#keepSent(
        key,
        (this.#sent.get(key) ?? []).filter((each) => each !== desired),
      );
      // The watch will bring the newer version, and with it the question anew; unless it has done so by now.
      const isBehind = this.#subject.statusOf(key)?.resourceVersion === status.resourceVersion;
      if (result === 'conflict' && isBehind) this.#conflicted.add(key);
      return;
    }
    this.#patienceMs = 0;
    // What came to be in force while this was on its way has left its telling to us, unless it needs a write of its own.
    const latest = isDeepStrictEqual(this.#desired(key), desired) ? this.#inForce.get(key) : undefined;
    void this.#tell({ ...route, status }, latest ?? known);
  }

  async #leave(key: RouteKey): Promise<void> {
    const { routerName } = this.#settings;
    const slash = key.indexOf('/');
    const route = await this.#api.read(key.slice(0, slash), key.slice(slash + 1));
    // Gone, or back again, or never told of.
    if (route === null || this.#subject.routeOf(key) !== undefined) return;
    const others = withoutEntry(route.status.ingress, routerName);
    if (others.length === route.status.ingress.length) return;
    const result = await this.#api.writeIngress(route, others);
    this.#count(result === 'written' ? 'removed' : result);
    if (result === 'conflict') throw new Error('the route changed meanwhile');
  }

  /** Tells what the owner should look at as an event, too: those are seen by who does not look at status. */
  async #tell(route: RouteManifest, { verdict }: KnownVerdict): Promise<void> {
    const event =
      verdict.kind === 'rejected'
        ? { type: 'Warning' as const, reason: verdict.reason, message: verdict.message }
        : { type: 'Warning' as const, reason: 'RouteWarning', message: verdict.warnings.join('; ') };
    if (event.message === '') return;
    const count = (result: string): void => {
      this.#metrics.series('headgate_route_events_total', result).value++;
    };
    if (this.#events.take(performance.now()) > 0) return count('dropped');
    await this.#api.tell(route, event).then(
      () => count('written'),
      () => count('failed'),
    );
  }

  #count(result: string): void {
    this.#metrics.series('headgate_status_writes_total', result).value++;
  }
}

/** Takes a value back for the one before it; one that is not there any more has gone with its Route. */
function restore<K, V>(map: Map<K, V>, key: K, value: V, before: V | undefined): void {
  if (map.get(key) !== value) return;
  if (before === undefined) map.delete(key);
  else map.set(key, before);
}
