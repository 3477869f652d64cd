// The health paths (Route semantics 6.1): whether the router is alive, whether it is ready, and which check says otherwise.

import type { ProcessState } from '../replication/control.ts';
import type { SelfAnswer } from './self-request.ts';

/** What health is told by. */
export type HealthSubject = {
  readonly processes: () => ProcessState;
  /** Whether everything has been read once. */
  readonly synced: () => boolean;
  readonly servingWorkers: () => number;
  /** How old the view of each kind of object is; empty where objects do not come from an API server. */
  readonly views: () => readonly { readonly kind: string; readonly synced: boolean; readonly ageMs: number }[];
  /** Asks the router on its own plain port; `name`: how the check is called. */
  readonly selfRequest: { readonly name: string; ask(): Promise<SelfAnswer> };
};

/** What a health path says. */
export type HealthAnswer = { readonly ok: boolean; readonly text: string };

type Check = { readonly name: string; readonly ask: () => SelfAnswer | Promise<SelfAnswer> };

/** Longer ones first: what is ready lies below what is alive. */
const paths: readonly (readonly [prefix: string, about: 'ready' | 'alive'])[] = [
  ['/healthz/ready', 'ready'],
  ['/readyz', 'ready'],
  ['/healthz', 'alive'],
  ['/livez', 'alive'],
];

/**
 * A restart of the pod would help neither the API server nor a worker, so neither is asked. The second check is that of
 * HAProxy's admin socket: here the controller, which answers, is all that is behind it.
 */
const aliveChecks: readonly Check[] = [
  { name: 'controller', ask: () => ({ ok: true, detail: 'it answers' }) },
  { name: 'admin-socket', ask: () => ({ ok: true, detail: 'part of the controller' }) },
];

export class Health {
  readonly #subject: HealthSubject;
  /** Once all workers have served, one is enough: readiness must not flap while a worker is restarted. */
  #servedByAll = false;

  constructor(subject: HealthSubject) {
    this.#subject = subject;
  }

  /** What a path says; null where it is none of health's. `verbosity`: `verbose` names the checks that are ok too. */
  async ask(path: string, verbosity: 'brief' | 'verbose'): Promise<HealthAnswer | null> {
    const [prefix, about] = paths.find(([start]) => path === start || path.startsWith(`${start}/`)) ?? [];
    if (prefix === undefined) return null;
    const all = about === 'ready' ? this.#readyChecks() : aliveChecks;
    const name = path.slice(prefix.length + 1);
    const checks = path === prefix ? all : all.filter((check) => check.name === name);
    if (checks.length === 0) return null;
    const answers = await Promise.all(checks.map(async (check) => ({ name: check.name, ...(await check.ask()) })));
    const ok = answers.every((answer) => answer.ok);
    const lines = answers.map(
      (answer) => `${answer.ok ? '[+]' : '[-]'}${answer.name} ${answer.ok ? 'ok' : 'failed'}: ${answer.detail}\n`,
    );
    return { ok, text: ok && verbosity === 'brief' ? 'ok\n' : lines.join('') };
  }

  #readyChecks(): Check[] {
    const { processes, synced, servingWorkers, views, selfRequest } = this.#subject;
    const { draining, wanted } = processes();
    const serving = servingWorkers();
    if (serving >= wanted) this.#servedByAll = true;
    const checks: Check[] = [
      { name: selfRequest.name, ask: () => selfRequest.ask() },
      checkOf('has-synced', synced(), 'everything has been read once', 'not everything has been read yet'),
      checkOf('process-running', !draining, 'not shutting down', 'shutting down'),
      {
        name: 'workers-serving',
        ask: () => ({
          ok: this.#servedByAll ? serving > 0 : serving >= wanted,
          detail: `${serving} of ${wanted} workers serve the table`,
        }),
      },
    ];
    // How old a view is never makes the router unready: what it has it serves, and serves better than nobody.
    for (const { kind, synced: isSynced, ageMs } of views()) {
      const seconds = Math.round(ageMs / 1000);
      const heard = `the API server was last heard ${seconds} s ago`;
      const unheard = `the first list is not complete; nothing was heard for ${seconds} s`;
      const detail = isSynced ? heard : unheard;
      checks.push(checkOf(`view-${kind}`, isSynced || synced(), detail, detail));
    }
    return checks;
  }
}

function checkOf(name: string, ok: boolean, good: string, bad: string): Check {
  return { name, ask: () => ({ ok, detail: ok ? good : bad }) };
}
