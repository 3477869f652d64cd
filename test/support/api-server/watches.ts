// Open watches: what each is sent and when, and how each can be made to fail.

import { parseResourceVersion, type Selection } from './lists.ts';
import type { Change, Collection, KubeObject, ObjectStore, StoredObject } from './object-store.ts';
import { apiVersionOf, type Kind, type ResourceType } from './resources.ts';
import { expired, type FieldFault, invalid, type Status } from './status.ts';

/** Where the lines go: the body of an answer and the connection below it. */
export type Outlet = {
  /** `written` is called when the bytes have left this process. */
  readonly write: (text: string, written?: () => void) => void;
  /** The end of the body, in order. */
  readonly end: () => void;
  /** The end of the connection, out of order: RST, or FIN in the middle of the body. */
  readonly destroy: (how: 'rst' | 'fin') => void;
};

export type WatchOptions = {
  /** Events after this; null: begin with all that there is. */
  readonly after: number | null;
  /** Tell where the objects that there were at the beginning end. */
  readonly marksInitialEnd: boolean;
  readonly allowsBookmarks: boolean;
  readonly timeoutMs: number;
};

// The server chooses between this and its double where the client names no end (--min-request-timeout).
const defaultTimeoutMs = 1_800_000;

/** Reads what a watch asks for. */
export function parseWatchOptions(query: URLSearchParams, current: number): WatchOptions {
  const asked = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  const initial = query.get('sendInitialEvents');
  checkWatchOptions(match, initial !== null, query.has('continue'));
  const after = parseResourceVersion(asked);
  const timeoutSeconds = Number(query.get('timeoutSeconds') ?? 0);
  const sendsInitialEvents = initial === null ? after === 0 : isTrue(initial);
  return {
    // No version, and what there is not wanted either: from now on.
    after: sendsInitialEvents ? null : after === 0 ? current : after,
    marksInitialEnd: initial !== null && sendsInitialEvents,
    allowsBookmarks: isTrue(query.get('allowWatchBookmarks')),
    timeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1000 : defaultTimeoutMs * (1 + Math.random()),
  };
}

/** As the query of a URL says yes. */
export function isTrue(text: string | null): boolean {
  return text !== null && text !== '0' && text.toLowerCase() !== 'false';
}

function checkWatchOptions(match: string, saysInitialEvents: boolean, saysContinue: boolean): void {
  const faults: FieldFault[] = [];
  const fault = (reason: string, detail: string): void => {
    faults.push({ field: 'resourceVersionMatch', reason, detail });
  };
  if (saysInitialEvents && match !== 'NotOlderThan') {
    const why = 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
    fault('FieldValueForbidden', `Forbidden: ${why}`);
  }
  if (match !== '') {
    if (!saysInitialEvents) {
      const why = 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided';
      fault('FieldValueForbidden', `Forbidden: ${why}`);
    }
    if (match !== 'NotOlderThan') {
      fault('FieldValueNotSupported', `Unsupported value: "${match}": supported values: "NotOlderThan"`);
    }
    if (saysContinue) {
      fault('FieldValueForbidden', 'Forbidden: resourceVersionMatch is forbidden when continue is provided');
    }
  }
  if (faults.length > 0) throw invalid('ListOptions.meta.k8s.io', '', faults);
}

/** The Status of a watch whose beginning is no longer known; null where it is. */
export function tooOldToWatch(collection: Collection, options: WatchOptions): Status | null {
  if (options.after === null || options.after >= collection.floor) return null;
  return expired(`too old resource version: ${options.after} (${collection.floor})`).status;
}

export class Watch {
  readonly type: ResourceType;
  readonly #selection: Selection;
  readonly #options: WatchOptions;
  readonly #outlet: Outlet;
  readonly #store: ObjectStore;
  readonly #timers: NodeJS.Timeout[] = [];
  /** What waits while nothing may be sent; null while everything may. */
  #held: (() => void)[] | null = null;
  #cutsNextLine = false;
  #isOver = false;
  #sent: number;

  constructor(type: ResourceType, selection: Selection, options: WatchOptions, store: ObjectStore, outlet: Outlet) {
    this.type = type;
    this.#selection = selection;
    this.#options = options;
    this.#outlet = outlet;
    this.#store = store;
    this.#sent = options.after ?? 0;
  }

  /** Sends what is due at once, and from then on keeps the time of bookmarks and of the end. */
  begin(collection: Collection, bookmarkMs: number): void {
    const { after, marksInitialEnd, allowsBookmarks, timeoutMs } = this.#options;
    if (after === null) {
      for (const object of collection.sorted) if (this.#selection.matches(object.value)) this.#event('ADDED', object);
      this.#sent = this.#store.resourceVersion;
      if (marksInitialEnd && allowsBookmarks) this.bookmark({ 'k8s.io/initial-events-end': 'true' });
    } else {
      for (const change of collection.changesAfter(after)) this.offer(change);
    }
    if (allowsBookmarks) {
      this.#timers.push(setInterval(() => this.bookmark(), bookmarkMs));
      // One more just before the end, so that the client resumes from as late as can be.
      if (timeoutMs > 2000) this.#timers.push(setTimeout(() => this.bookmark(), timeoutMs - 2000));
    }
    this.#timers.push(setTimeout(() => this.end(), timeoutMs));
    for (const timer of this.#timers) timer.unref();
  }

  /** A change counts by what it does to the set of objects that the watch selects. */
  offer(change: Change): void {
    // A watch from a version yet to come is told nothing until then.
    if (change.resourceVersion <= this.#sent) return;
    const { object, previous, departed } = this.#seen(change);
    if (object !== null) this.#event(previous === null ? 'ADDED' : 'MODIFIED', object);
    else if (departed !== null) this.#event('DELETED', departed);
  }

  #seen(change: Change): Pick<Change, 'object' | 'previous' | 'departed'> {
    const selected = (stored: StoredObject | null): StoredObject | null =>
      stored !== null && this.#selection.matches(stored.value) ? stored : null;
    const object = selected(change.object);
    const previous = selected(change.previous);
    return { object, previous, departed: previous === null || object !== null ? null : change.departed };
  }

  bookmark(annotations: Readonly<Record<string, string>> | null = null): void {
    const resourceVersion = String(this.#store.resourceVersion);
    const metadata = { resourceVersion, ...(annotations === null ? {} : { annotations }) };
    const { kind, blank } = this.type;
    const object = { kind, apiVersion: apiVersionOf(this.type), metadata, ...blank };
    this.#send(() => this.#line('BOOKMARK', JSON.stringify(object)));
  }

  /** An ERROR event, and the end. */
  fail(status: Status): void {
    this.#send(() => this.#line('ERROR', JSON.stringify(status)));
    this.end();
  }

  /** In order. Waits while the watch is stalled, as everything does that would be sent. */
  end(): void {
    this.#send(() => {
      this.over();
      this.#outlet.end();
    });
  }

  /** In the middle of whatever it was. */
  destroy(how: 'rst' | 'fin'): void {
    if (this.#isOver) return;
    this.over();
    this.#outlet.destroy(how);
  }

  /** Nothing is sent any more until `resume`, and the connection stays. */
  stall(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const send of held) this.#send(send);
  }

  /** The next event is cut in the middle, and the connection after it. */
  cutNextLine(): void {
    this.#cutsNextLine = true;
  }

  /** Text as it is, in the place of an event. */
  inject(text: string): void {
    this.#send(() => this.#outlet.write(text));
  }

  /** The watch has ended, whoever ended it. */
  over(): void {
    this.#isOver = true;
    this.#held = null;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #event(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: StoredObject): void {
    this.#send(() => this.#line(type, object.json));
  }

  #line(type: string, json: string): void {
    const line = `{"type":"${type}","object":${json}}\n`;
    if (!this.#cutsNextLine) {
      this.#outlet.write(line);
      return;
    }
    this.over();
    // Only when the half has left, or the cut would fall in front of it.
    this.#outlet.write(line.slice(0, line.length >>> 1), () => this.#outlet.destroy('fin'));
  }

  #send(send: () => void): void {
    if (this.#isOver) return;
    if (this.#held === null) send();
    else this.#held.push(send);
  }
}

/** All watches that are open. */
export class OpenWatches {
  readonly #watches: Map<Kind, Set<Watch>> = new Map();

  add(watch: Watch): void {
    this.#of(watch.type.kind).add(watch);
  }

  remove(watch: Watch): void {
    this.#of(watch.type.kind).delete(watch);
  }

  offer(type: ResourceType, change: Change): void {
    for (const watch of this.#of(type.kind)) watch.offer(change);
  }

  /** Of one kind, or of all. */
  of(kind: Kind | null): Watch[] {
    return kind === null ? [...this.#watches.values()].flatMap((watches) => [...watches]) : [...this.#of(kind)];
  }

  #of(kind: Kind): Set<Watch> {
    const watches = this.#watches.get(kind) ?? new Set();
    this.#watches.set(kind, watches);
    return watches;
  }
}

/** An object with the name of its kind and next to nothing that the schema of the kind asks for. */
export function malformed(type: ResourceType, resourceVersion: number): KubeObject {
  const metadata = {
    name: 'malformed',
    ...(type.namespaced ? { namespace: 'default' } : {}),
    uid: 'malformed',
    resourceVersion: String(resourceVersion),
    labels: 7 as unknown as Record<string, string>,
  };
  return { apiVersion: apiVersionOf(type), kind: type.kind, metadata, spec: 42 as unknown as Record<string, unknown> };
}
