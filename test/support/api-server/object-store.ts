// Objects with one resourceVersion for all of them, and for each kind the changes that a watch can still be given: the etcd and
// the watch caches of an API server. It knows nothing of requests.

import { randomUUID } from 'node:crypto';
import { isSame } from './patches.ts';
import { apiVersionOf, type Kind, type ResourceType, resourceTypes, typeOf } from './resources.ts';

export type Metadata = {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  creationTimestamp?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  [field: string]: unknown;
};

/** An object of the cluster, whatever it holds. Those that the store answers are shared: never change one in place. */
export type KubeObject = {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  [field: string]: unknown;
};

/** One version of an object. Its texts are made once, however many lists and watches send them. */
export class StoredObject {
  readonly value: KubeObject;
  readonly resourceVersion: number;
  readonly #type: ResourceType;
  #json: string | null = null;
  #itemJson: string | null = null;

  constructor(type: ResourceType, value: KubeObject, resourceVersion: number) {
    this.#type = type;
    this.value = { ...value, metadata: { ...value.metadata, resourceVersion: String(resourceVersion) } };
    this.resourceVersion = resourceVersion;
  }

  get json(): string {
    this.#json ??= JSON.stringify(this.value);
    return this.#json;
  }

  /** As an item of a list. The typed encoder of built-in kinds leaves out what the list has said. */
  get itemJson(): string {
    if (this.#type.custom) return this.json;
    this.#itemJson ??= JSON.stringify({ ...this.value, kind: undefined, apiVersion: undefined });
    return this.#itemJson;
  }

  /** The same content under a later resourceVersion. */
  at(resourceVersion: number): StoredObject {
    return new StoredObject(this.#type, this.value, resourceVersion);
  }
}

/** One write. `object` is null for a deletion, `previous` for a creation. */
export class Change {
  readonly key: string;
  readonly resourceVersion: number;
  readonly object: StoredObject | null;
  readonly previous: StoredObject | null;
  #departed: StoredObject | null = null;

  constructor(key: string, resourceVersion: number, object: StoredObject | null, previous: StoredObject | null) {
    this.key = key;
    this.resourceVersion = resourceVersion;
    this.object = object;
    this.previous = previous;
  }

  /** What a DELETED event carries: the content from before the change, under the change's own resourceVersion. */
  get departed(): StoredObject | null {
    this.#departed ??= this.previous?.at(this.resourceVersion) ?? null;
    return this.#departed;
  }
}

/** The objects of one kind. */
export class Collection {
  readonly type: ResourceType;
  readonly objects: Map<string, StoredObject> = new Map();
  /** Oldest first. */
  readonly history: Change[] = [];
  /** What came after this resourceVersion is all known. */
  floor: number;
  #sorted: StoredObject[] | null = null;

  constructor(type: ResourceType, floor: number) {
    this.type = type;
    this.floor = floor;
  }

  /** All objects in the order of their keys, as etcd has them. */
  get sorted(): readonly StoredObject[] {
    this.#sorted ??= inOrder(this.objects);
    return this.#sorted;
  }

  /** The same as it was at a resourceVersion; null where that is no longer known. */
  sortedAt(resourceVersion: number): readonly StoredObject[] | null {
    if (resourceVersion < this.floor) return null;
    const later = this.changesAfter(resourceVersion);
    if (later.length === 0) return this.sorted;
    const objects = new Map(this.objects);
    for (const { key, previous } of later.reverse()) {
      if (previous === null) objects.delete(key);
      else objects.set(key, previous);
    }
    return inOrder(objects);
  }

  changesAfter(resourceVersion: number): Change[] {
    let low = 0;
    let high = this.history.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.history[middle]?.resourceVersion ?? 0) > resourceVersion) high = middle;
      else low = middle + 1;
    }
    return this.history.slice(low);
  }

  apply(change: Change, historyLimit: number): void {
    if (change.object === null) this.objects.delete(change.key);
    else this.objects.set(change.key, change.object);
    this.#sorted = null;
    this.history.push(change);
    // Cut in strides: one shift a write would move the whole array each time.
    if (this.history.length >= historyLimit + Math.max(1, historyLimit >>> 3)) {
      const dropped = this.history.splice(0, this.history.length - historyLimit);
      this.floor = dropped.at(-1)?.resourceVersion ?? this.floor;
    }
  }

  forget(floor: number): void {
    this.history.length = 0;
    this.floor = floor;
  }
}

function inOrder(objects: ReadonlyMap<string, StoredObject>): StoredObject[] {
  const compare = ([a]: [string, StoredObject], [b]: [string, StoredObject]): number => (a < b ? -1 : 1);
  return [...objects].sort(compare).map(([, object]) => object);
}

/** What a test gives to be created. Namespace `default` and the group of the kind where none is said. */
export type NewObject = {
  readonly kind: Kind;
  readonly apiVersion?: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
};

// The first writes cross from three digits to four, where a client that compares resourceVersions as texts goes wrong.
const initialResourceVersion = 990;

export class ObjectStore {
  resourceVersion: number = initialResourceVersion;
  readonly onChange: Set<(type: ResourceType, change: Change) => void> = new Set();
  readonly #collections: ReadonlyMap<Kind, Collection>;
  readonly #historyLimit: number;

  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit;
    this.#collections = new Map(resourceTypes.map((type) => [type.kind, new Collection(type, this.resourceVersion)]));
  }

  collection(kind: Kind): Collection {
    const collection = this.#collections.get(kind);
    if (collection === undefined) throw new Error(`the API server does not know the kind ${kind}`);
    return collection;
  }

  get(kind: Kind, namespace: string, name: string): StoredObject | null {
    return this.collection(kind).objects.get(keyOf(namespace, name)) ?? null;
  }

  /** Null where the name is taken. */
  create(object: NewObject): StoredObject | null {
    const type = typeOf(object.kind);
    const namespace = type.namespaced ? (object.metadata.namespace ?? 'default') : '';
    const key = keyOf(namespace, object.metadata.name);
    const apiVersion = apiVersionOf(type);
    if ((object.apiVersion ?? apiVersion) !== apiVersion) throw new Error(`a ${type.kind} is of ${apiVersion}`);
    if (this.collection(type.kind).objects.has(key)) return null;
    const metadata: Metadata = {
      ...object.metadata,
      ...(type.namespaced ? { namespace } : {}),
      uid: (object.metadata['uid'] as string | undefined) ?? randomUUID(),
      creationTimestamp:
        (object.metadata['creationTimestamp'] as string | undefined) ?? `${new Date().toISOString().slice(0, 19)}Z`,
      ...(type.counted ? { generation: (object.metadata['generation'] as number | undefined) ?? 1 } : {}),
    };
    const created: KubeObject = { apiVersion, ...object, metadata };
    return this.#commit(type, key, created, null);
  }

  /** Puts content in the place of a version. A write that changes nothing makes no new version. */
  replace(type: ResourceType, previous: StoredObject, content: KubeObject): StoredObject {
    const before = previous.value;
    const metadata: Metadata = { ...content.metadata, resourceVersion: before.metadata.resourceVersion ?? '' };
    if (type.counted) {
      const isSameSpec = isSame(desired(before), desired(content));
      metadata.generation = (before.metadata.generation ?? 1) + (isSameSpec ? 0 : 1);
    }
    const next = { ...content, metadata };
    if (isSame(next, before)) return previous;
    return this.#commit(type, keyOf(before.metadata.namespace ?? '', before.metadata.name), next, previous);
  }

  delete(type: ResourceType, previous: StoredObject): void {
    const { namespace, name } = previous.value.metadata;
    this.#commit(type, keyOf(namespace ?? '', name), null, previous);
  }

  /** Forgets every change up to now. */
  forget(): void {
    for (const collection of this.#collections.values()) collection.forget(this.resourceVersion);
  }

  /** Makes every version up to now one that nothing can be resumed from. */
  expire(): void {
    // A client may hold the latest version, which only a later one makes old.
    this.resourceVersion++;
    this.forget();
  }

  #commit(type: ResourceType, key: string, content: KubeObject, previous: StoredObject | null): StoredObject;
  #commit(type: ResourceType, key: string, content: null, previous: StoredObject | null): null;
  #commit(
    type: ResourceType,
    key: string,
    content: KubeObject | null,
    previous: StoredObject | null,
  ): StoredObject | null {
    const resourceVersion = ++this.resourceVersion;
    const object = content === null ? null : new StoredObject(type, content, resourceVersion);
    const change = new Change(key, resourceVersion, object, previous);
    this.collection(type.kind).apply(change, this.#historyLimit);
    for (const listener of this.onChange) listener(type, change);
    return object;
  }
}

/** The order of keys is the order of lists. */
export function keyOf(namespace: string, name: string): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}

/** What generations count the changes of. */
function desired(object: KubeObject): unknown {
  return { ...object, metadata: undefined, status: undefined };
}
