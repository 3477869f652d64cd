// A kube-apiserver for tests: real HTTPS, the list and watch semantics of 1.36, and faults on demand. It checks no schema and fills
// in no default of one, knows no finalizers, and no write fails for want of its Namespace.

import type { TestAuthority } from '../certificates.ts';
import { Connections } from './connections.ts';
import { type Fault, Faults } from './faults.ts';
import { type KubeObject, type NewObject, ObjectStore, type StoredObject } from './object-store.ts';
import { mergePatch } from './patches.ts';
import { RequestHandler, type Settings } from './request-handler.ts';
import { type LoggedRequest, RequestLog } from './request-log.ts';
import { type Kind, typeOf } from './resources.ts';
import type { Access } from './reviews.ts';
import { expired } from './status.ts';
import { malformed, OpenWatches, type Watch } from './watches.ts';

export type { Fault, FaultMatch } from './faults.ts';
export type { KubeObject, NewObject } from './object-store.ts';
export type { LoggedRequest } from './request-log.ts';
export type { Kind } from './resources.ts';
export type { Access } from './reviews.ts';

export type ApiServerOptions = {
  /** Default 60 000, about what the real one does. */
  readonly bookmarkMs?: number;
  /** Changes kept of each kind for watches to resume from. Default 10 000. */
  readonly historyLimit?: number;
  /** True: a Route can be selected by host, path and Service, as with OpenShift's own API server. */
  readonly selectableRouteFields?: boolean;
  /** True: there are projects, as on OpenShift. */
  readonly projects?: boolean;
  /** The token that is known from the start. Default `token`. */
  readonly token?: string;
  /** Who the tokens are that `users` does not name. */
  readonly user?: string;
};

export class ApiServer implements AsyncDisposable {
  /** The tokens that are good. */
  readonly tokens: Set<string>;
  /** Whose token it is, where it is not the user of all. */
  readonly users: Map<string, string> = new Map();
  /** Kinds that the cluster does not know: their paths are 404. */
  readonly absent: Set<Kind | 'Project'>;
  readonly #store: ObjectStore;
  readonly #watches: OpenWatches = new OpenWatches();
  readonly #faults: Faults = new Faults();
  readonly #log: RequestLog = new RequestLog();
  readonly #settings: Settings;
  readonly #connections: Connections;

  private constructor(options: ApiServerOptions) {
    this.tokens = new Set([options.token ?? 'token']);
    this.absent = new Set(options.projects === true ? [] : ['Project']);
    this.#store = new ObjectStore(options.historyLimit ?? 10_000);
    const user = options.user ?? 'system:serviceaccount:headgate:router';
    const settings: Settings = {
      bookmarkMs: options.bookmarkMs ?? 60_000,
      selectableRouteFields: options.selectableRouteFields ?? false,
      absent: this.absent,
      userOf: (token) => (this.tokens.has(token) ? (this.users.get(token) ?? user) : null),
      allow: () => true,
      sarAllows: (who, access) => settings.allow({ ...access, user: who }),
    };
    this.#settings = settings;
    this.#connections = new Connections((call, reply) => void handler.handle(call, reply));
    const cluster = { store: this.#store, watches: this.#watches, faults: this.#faults, log: this.#log, settings };
    const handler = new RequestHandler(cluster, this.#connections);
    this.#store.onChange.add((type, change) => {
      this.#watches.offer(type, change);
      this.#log.changed();
    });
  }

  static async start(options: ApiServerOptions = {}): Promise<ApiServer> {
    const server = new ApiServer(options);
    await server.#connections.listen();
    return server;
  }

  get port(): number {
    return this.#connections.port;
  }

  /** Who signed the server's certificate, PEM. */
  get ca(): string {
    return this.#connections.ca;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** The text of a kubeconfig. Default: the token that is known from the start, no namespace. */
  kubeconfig(options: { readonly token?: string; readonly namespace?: string } = {}): string {
    const token = options.token ?? [...this.tokens][0] ?? '';
    const namespace = options.namespace === undefined ? '' : `, namespace: ${options.namespace}`;
    return `apiVersion: v1
kind: Config
current-context: test
clusters:
  - name: test
    cluster:
      server: ${this.url}
      certificate-authority-data: ${Buffer.from(this.ca).toString('base64')}
contexts:
  - name: test
    context: { cluster: test, user: test${namespace} }
users:
  - name: test
    user:
      token: ${JSON.stringify(token)}
`;
  }

  // Objects, without a request.

  /** The resourceVersion of the latest write. */
  get resourceVersion(): string {
    return String(this.#store.resourceVersion);
  }

  create(object: NewObject): KubeObject {
    const created = this.#store.create(object);
    if (created === null) throw new Error(`there is already a ${object.kind} ${object.metadata.name}`);
    return created.value;
  }

  /** Changes an object by a merge patch (RFC 7386), or by a function that is given a copy to change. Its status too. */
  update(
    kind: Kind,
    namespace: string,
    name: string,
    how: Readonly<Record<string, unknown>> | ((draft: KubeObject) => void),
  ): KubeObject {
    const previous = this.#existing(kind, namespace, name);
    let next = structuredClone(previous.value);
    if (typeof how === 'function') how(next);
    else next = mergePatch(next, how) as KubeObject;
    return this.#store.replace(typeOf(kind), previous, next).value;
  }

  /** Merges into the metadata: `{ labels: { a: 'b', gone: null } }`. */
  patchMeta(kind: Kind, namespace: string, name: string, metadata: Readonly<Record<string, unknown>>): KubeObject {
    return this.update(kind, namespace, name, { metadata });
  }

  delete(kind: Kind, namespace: string, name: string): void {
    this.#store.delete(typeOf(kind), this.#existing(kind, namespace, name));
  }

  /** The namespace of what has none is empty. */
  get(kind: Kind, namespace: string, name: string): KubeObject | null {
    return this.#store.get(kind, namespace, name)?.value ?? null;
  }

  list(kind: Kind): KubeObject[] {
    return this.#store.collection(kind).sorted.map(({ value }) => value);
  }

  #existing(kind: Kind, namespace: string, name: string): StoredObject {
    const object = this.#store.get(kind, namespace, name);
    if (object === null) throw new Error(`there is no ${kind} ${namespace}/${name}`);
    return object;
  }

  // Who may do what.

  /** Decides on every request from now on. */
  allow(allows: (request: Access & { readonly user: string }) => boolean): void {
    this.#settings.allow = allows;
  }

  /** Decides on what access reviews ask. Default: as requests would be decided on. */
  sarAllows(allows: (user: string, access: Access, groups: readonly string[]) => boolean): void {
    this.#settings.sarAllows = allows;
  }

  // What has been asked.

  /** The latest 10 000 at most, oldest first. */
  get requests(): readonly LoggedRequest[] {
    return this.#log.requests;
  }

  /** How many watches of a kind are open; of all kinds where none is named. */
  watchers(kind: Kind | null = null): number {
    return this.#watches.of(kind).length;
  }

  /** Resolves when the predicate holds. It is asked again with every request, answer, write and end of a watch. */
  until(holds: (requests: readonly LoggedRequest[]) => boolean, timeoutMs = 10_000): Promise<void> {
    return this.#log.until(holds, timeoutMs);
  }

  // Faults. Those of watches strike the watches that are open now, of one kind or of all, and answer how many they are.

  /** For requests to come. Answers how to take it back. */
  fault(fault: Fault): () => void {
    return this.#faults.add(fault);
  }

  /** The next lists say that there is nothing. */
  emptyList(times = 1, kind: Kind | null = null): () => void {
    return this.fault({ kind: 'emptyList', times, match: { verb: 'list', ...(kind === null ? {} : { kind }) } });
  }

  /** The next list is made at once and sent later. */
  slowList(delayMs: number, kind: Kind | null = null): () => void {
    return this.fault({ kind: 'slow', delayMs, match: { verb: 'list', ...(kind === null ? {} : { kind }) } });
  }

  /** RST on the connection below. */
  dropWatches(kind: Kind | null = null): number {
    return this.#strike(kind, (watch) => watch.destroy('rst'));
  }

  /** The end, in order. */
  closeWatches(kind: Kind | null = null): number {
    return this.#strike(kind, (watch) => watch.end());
  }

  /** The connections stay and nothing comes over them. */
  stallWatches(kind: Kind | null = null): number {
    return this.#strike(kind, (watch) => watch.stall());
  }

  /** What was held back by a stall comes now. */
  resume(kind: Kind | null = null): number {
    return this.#strike(kind, (watch) => watch.resume());
  }

  /** The next event breaks off in the middle, and the connection with it. */
  halfLine(kind: Kind | null = null): number {
    return this.#strike(kind, (watch) => watch.cutNextLine());
  }

  /** A line that is no JSON. */
  garbageLine(kind: Kind | null = null, line = '{"type":"MODIFIED","object":{"kind":"Rou'): number {
    return this.#strike(kind, (watch) => watch.inject(`${line}\n`));
  }

  /** An event with an object that is against the schema of its kind. Default: labels and spec are numbers. */
  malformedObject(kind: Kind | null = null, object: unknown = null): number {
    return this.#strike(kind, (watch) => {
      const wrong = object ?? malformed(watch.type, this.#store.resourceVersion);
      watch.inject(`${JSON.stringify({ type: 'ADDED', object: wrong })}\n`);
    });
  }

  /** Every resourceVersion up to now is too old: for watches that are open, for those to come, and for the pages of lists. */
  expireHistory(): void {
    const asked = this.#store.resourceVersion;
    this.#store.expire();
    const status = expired(`too old resource version: ${asked} (${this.#store.resourceVersion})`).status;
    this.#strike(null, (watch) => watch.fail(status));
  }

  #strike(kind: Kind | null, how: (watch: Watch) => void): number {
    const watches = this.#watches.of(kind);
    for (const watch of watches) how(watch);
    return watches.length;
  }

  // The process.

  /** Down and up again on the same port. Without the history, watches resume only from the latest resourceVersion. */
  async restart(options: { readonly keepHistory: boolean }): Promise<void> {
    await this.stop();
    if (!options.keepHistory) this.#store.forget();
    await this.start();
  }

  /** Another authority signs from now on; connections are cut. */
  replaceAuthority(issuer: TestAuthority): void {
    this.#connections.replaceAuthority(issuer);
    this.#connections.cutAll();
  }

  /** Connections are cut, and refused until `start`. */
  stop(): Promise<void> {
    return this.#connections.close();
  }

  start(): Promise<void> {
    return this.#connections.listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
