// A cluster as a source of objects: one Informer a kind, one SecretReader for each Secret that a Route names.

import type { FieldRequirement, LabelRequirement } from '../../config/selectors.ts';
import type { ManifestEvent } from '../manifests.ts';
import type { ApiClient } from './api-client.ts';
import { Informer, type Resource } from './informer.ts';
import { SecretReader } from './secret-reader.ts';
import { fieldSelectorText, labelSelectorText } from './selector-text.ts';
import { Turns } from './turns.ts';

/** The part of the settings that says what is read. */
export type ClusterScope = {
  readonly namespace: string;
  readonly routeLabels: readonly LabelRequirement[];
  readonly routeFields: readonly FieldRequirement[];
  readonly namespaceLabels: readonly LabelRequirement[];
  readonly projectLabels: readonly LabelRequirement[] | null;
  readonly serviceAccount: string;
  readonly watchInactivityMs: number;
};

/** Whom a Cluster tells. */
export type ClusterListener = {
  readonly onEvents: (events: readonly ManifestEvent[]) => void;
  readonly onProblem: (reason: string) => void;
};

/** How old the view of one kind is. */
export type ViewAge = { readonly kind: string; readonly synced: boolean; readonly ageMs: number };

const projectPollMs = 30_000;
/** Requests for Secrets and for the right to read them, at a time. */
const secretRequestsAtOnce = 16;

export class Cluster {
  readonly #client: ApiClient;
  readonly #scope: ClusterScope;
  readonly #listener: ClusterListener;
  readonly #informers: Map<string, Informer> = new Map();
  readonly #secrets: Map<string, SecretReader> = new Map();
  readonly #secretTurns: Turns = new Turns(secretRequestsAtOnce);
  #onSynced: () => void = () => {};

  constructor(client: ApiClient, scope: ClusterScope, listener: ClusterListener) {
    this.#client = client;
    this.#scope = scope;
    this.#listener = listener;
  }

  /** Resolves when every kind has had its first full list, however long that takes. */
  start(): Promise<void> {
    const { namespace, routeLabels, routeFields, namespaceLabels, projectLabels } = this.#scope;
    const within = namespace === '' ? '' : `/namespaces/${namespace}`;
    if (namespaceLabels.length > 0) this.#addInformer('Namespace', namespaces, labelSelectorText(namespaceLabels));
    if (projectLabels !== null) this.#addProjects(labelSelectorText(projectLabels));
    this.#addInformer('Service', { apiVersion: 'v1', kind: 'Service', path: `/api/v1${within}/services` });
    const discovery = 'discovery.k8s.io/v1';
    this.#addInformer('EndpointSlice', {
      apiVersion: discovery,
      kind: 'EndpointSlice',
      path: `/apis/${discovery}${within}/endpointslices`,
    });
    const route = 'route.openshift.io/v1';
    this.#addInformer(
      'Route',
      { apiVersion: route, kind: 'Route', path: `/apis/${route}${within}/routes` },
      labelSelectorText(routeLabels),
      fieldSelectorText(routeFields),
    );
    return new Promise((resolve) => {
      this.#onSynced = () => {
        if (this.synced) resolve();
      };
      for (const informer of this.#informers.values()) informer.start();
    });
  }

  async close(): Promise<void> {
    for (const reader of this.#secrets.values()) reader.close();
    await Promise.all([...this.#informers.values()].map((informer) => informer.close()));
  }

  /** Whether every kind has had its first full list. */
  get synced(): boolean {
    return this.views().every(({ synced }) => synced);
  }

  /** How old the view of each kind is; Secrets are not among them. */
  views(): ViewAge[] {
    return [...this.#informers].map(([kind, { synced, silentMs }]) => ({ kind, synced, ageMs: silentMs }));
  }

  /** Reads and watches a Secret from now on, or no longer. An answer follows for each that is wanted, if only a fault. */
  want(namespace: string, name: string, wanted: boolean): void {
    const key = `${namespace}/${name}`;
    const known = this.#secrets.get(key);
    if (!wanted) {
      known?.close();
      this.#secrets.delete(key);
      return;
    }
    if (known !== undefined) return;
    const reader = new SecretReader({
      client: this.#client,
      namespace,
      name,
      serviceAccount: this.#scope.serviceAccount,
      inactivityMs: this.#scope.watchInactivityMs,
      gate: (request) => this.#secretTurns.take(request),
      onEvent: (event) => this.#listener.onEvents([event]),
      onProblem: this.#listener.onProblem,
    });
    this.#secrets.set(key, reader);
    reader.start();
  }

  #addInformer(
    name: string,
    resource: Resource,
    labelSelector: string = '',
    fieldSelector: string = '',
    pollMs: number | null = null,
    onMissing: (() => void) | null = null,
  ): Informer {
    const informer = new Informer({
      client: this.#client,
      resource,
      labelSelector,
      fieldSelector,
      inactivityMs: this.#scope.watchInactivityMs,
      pollMs,
      onEvents: this.#listener.onEvents,
      onSynced: () => this.#onSynced(),
      onProblem: this.#listener.onProblem,
      onMissing,
    });
    this.#informers.set(name, informer);
    return informer;
  }

  /** Projects show what an account may see, and cannot be watched by label. A cluster without them has namespaces instead. */
  #addProjects(labelSelector: string): void {
    const resource = {
      apiVersion: 'project.openshift.io/v1',
      kind: 'Project',
      path: '/apis/project.openshift.io/v1/projects',
    };
    this.#addInformer('Project', resource, labelSelector, '', projectPollMs, () => {
      this.#informers.delete('Project');
      this.#addInformer('Namespace', namespaces, labelSelector).start();
    });
  }
}

const namespaces: Resource = { apiVersion: 'v1', kind: 'Namespace', path: '/api/v1/namespaces' };
