// One Secret that a Route names: may the router read it, and what does it hold? Its owner answers the first question with
// RBAC, for this Secret alone; the router can see no others (Route semantics 7.1).

import type { ManifestEvent, ManifestKey, SecretFault } from '../manifests.ts';
import { type ApiClient, asApiError } from './api-client.ts';
import { Informer } from './informer.ts';
import { Backoff, pause } from './retry.ts';

/** What a SecretReader reads and whom it tells. */
export type SecretReaderOptions = {
  readonly client: ApiClient;
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name` of the account that must be allowed; empty for the one that the router runs as. */
  readonly serviceAccount: string;
  readonly inactivityMs: number;
  /** Lets some requests through at a time: thousands of Secrets are asked for at start. */
  readonly gate: <T>(request: () => Promise<T>) => Promise<T>;
  /** The Secret, or a SecretFault. */
  readonly onEvent: (event: ManifestEvent) => void;
  readonly onProblem: (reason: string) => void;
};

const verbs = ['get', 'watch', 'list'] as const;
/** Rights are granted and taken back without a notice. */
const reviewMs = 300_000;
/** So many failures to ask at all, and the Route's owner is told. */
const failuresToTell = 3;

export class SecretReader {
  readonly #options: SecretReaderOptions;
  readonly #ended: AbortController = new AbortController();
  readonly #path: string;
  #informer: Informer | null = null;

  constructor(options: SecretReaderOptions) {
    this.#options = options;
    this.#path = `/api/v1/namespaces/${options.namespace}/secrets`;
  }

  start(): void {
    void this.#run();
  }

  close(): void {
    this.#ended.abort();
    void this.#informer?.close();
  }

  /** Asks for the rights again and again; reads the Secret while they are there. */
  async #run(): Promise<void> {
    const { signal } = this.#ended;
    const backoff = new Backoff();
    let failures = 0;
    while (!signal.aborted) {
      try {
        const denied = await this.#denied();
        failures = 0;
        if (signal.aborted) return;
        if (denied.length === 0) {
          this.#read();
          backoff.reset();
          await pause(reviewMs * (0.9 + Math.random() / 10), signal);
        } else {
          await this.#refused(denied);
          await backoff.wait(null, signal);
        }
      } catch (error) {
        // What is known stays in force: it is the question that failed, not the answer.
        if (++failures === failuresToTell && this.#informer === null) {
          this.#tell({ denied: [], read: 'unreadable', message: asApiError(error, 'it cannot be asked for').message });
        }
        await backoff.wait(error, signal);
      }
    }
  }

  /** The verbs that the account is denied, in the order in which they are told. */
  async #denied(): Promise<string[]> {
    const { gate } = this.#options;
    const allowed = await Promise.all(verbs.map((verb) => gate(() => this.#isAllowed(verb))));
    return verbs.filter((_, i) => allowed[i] === false);
  }

  async #isAllowed(verb: string): Promise<boolean> {
    const { client, namespace, name, serviceAccount } = this.#options;
    const resourceAttributes = { namespace, verb, resource: 'secrets', name };
    const kind = serviceAccount === '' ? 'SelfSubjectAccessReview' : 'SubjectAccessReview';
    const answer = await client.post(`/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`, {
      apiVersion: 'authorization.k8s.io/v1',
      kind,
      spec: { resourceAttributes, ...(serviceAccount === '' ? {} : identityOf(serviceAccount)) },
    });
    return (answer as { status?: { allowed?: unknown } } | null)?.status?.allowed === true;
  }

  #read(): void {
    if (this.#informer !== null) return;
    const { client, namespace, name, inactivityMs, onEvent, onProblem } = this.#options;
    let known: 'nothing' | 'absent' | 'unreadable' | 'manifest' = 'nothing';
    const informer = new Informer({
      client,
      resource: { apiVersion: 'v1', kind: 'Secret', path: this.#path },
      labelSelector: '',
      fieldSelector: `metadata.name=${name}`,
      inactivityMs,
      pollMs: null,
      onMissing: null,
      onEvents: (events) => {
        for (const event of events) {
          known = event.manifest === undefined ? 'absent' : 'manifest';
          if (event.manifest !== undefined) onEvent(event);
          else this.#tell({ denied: [], read: 'absent', message: '' });
        }
      },
      onSynced: () => {
        if (known !== 'nothing') return;
        known = 'absent';
        this.#tell({ denied: [], read: 'absent', message: '' });
      },
      onProblem: (reason, key) => {
        onProblem(`${namespace}/${name}: ${reason}`);
        // What is known stays in force, as everywhere, that there is none included; but a Route that waits for its first
        // answer must get one. Of an object that makes no sense the last version that did stays in force.
        const isNews = key === null ? known === 'nothing' : known !== 'manifest';
        if (!isNews) return;
        if (key !== null) known = 'unreadable';
        this.#tell({ denied: [], read: 'unreadable', message: reason });
      },
    });
    this.#informer = informer;
    informer.start();
  }

  async #refused(denied: readonly string[]): Promise<void> {
    const { client, name, gate } = this.#options;
    await this.#informer?.close();
    this.#informer = null;
    try {
      await gate(() => client.get(`${this.#path}/${name}`));
      this.#tell({ denied, read: 'not-tried', message: '' });
    } catch (error) {
      const { code, message } = asApiError(error, 'it cannot be read');
      this.#tell(code === 404 ? { denied, read: 'absent', message: '' } : { denied, read: 'unreadable', message });
    }
  }

  #tell(fault: Pick<SecretFault, 'denied' | 'read' | 'message'>): void {
    if (this.#ended.signal.aborted) return;
    const { namespace, name, onEvent } = this.#options;
    const key = `Secret/${namespace}/${name}` as ManifestKey;
    onEvent({ key, manifest: { kind: 'SecretFault', namespace, name, ...fault } });
  }
}

/** A service account as the API server sees it when it asks with its token. */
function identityOf(serviceAccount: string): { user: string; groups: string[] } {
  const [namespace = '', name = ''] = serviceAccount.split('/');
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  return { user: `system:serviceaccount:${namespace}:${name}`, groups };
}
