// Lists: which objects, in how many pages, as of when. The rules are those of the table "resourceVersion parameter" in the API
// concepts of Kubernetes, and of the storage layer where the table is silent.

import { type Collection, type KubeObject, keyOf, type StoredObject } from './object-store.ts';
import { apiVersionOf, type ResourceType } from './resources.ts';
import {
  type FieldRequirement,
  fieldText,
  type LabelSelector,
  parseFieldSelector,
  parseLabelSelector,
} from './selectors.ts';
import { badRequest, expired, type FieldFault, invalid, tooLargeResourceVersion } from './status.ts';

/** Which objects are asked for. */
export type Selection = {
  /** In the part of the store that is read at all: one namespace, or everything. */
  readonly isInScope: (object: KubeObject) => boolean;
  /** In scope, and selected. */
  readonly matches: (object: KubeObject) => boolean;
  /** There is a label or a field selector. */
  readonly isPartial: boolean;
};

/** Reads the selectors of a list or a watch. */
export function parseSelection(
  type: ResourceType,
  namespace: string,
  query: URLSearchParams,
  fields: readonly string[],
): Selection {
  const labels = query.get('labelSelector') ?? '';
  const labelSelector: LabelSelector = parseLabelSelector(labels);
  const requirements = parseFieldSelector(query.get('fieldSelector') ?? '');
  for (const { field } of requirements) if (!fields.includes(field)) throw unselectable(type, field);
  const isInScope = (object: KubeObject): boolean => namespace === '' || object.metadata.namespace === namespace;
  return {
    isInScope,
    matches: (object) =>
      isInScope(object) &&
      labelSelector(object.metadata.labels ?? {}) &&
      requirements.every((requirement) => holds(requirement, object)),
    isPartial: labels !== '' || requirements.length > 0,
  };
}

function holds({ field, value, isEqual }: FieldRequirement, object: KubeObject): boolean {
  return (fieldText(object, field) === value) === isEqual;
}

function unselectable(type: ResourceType, field: string): Error {
  // Only types without a conversion of their own fall to the general one, which words it in its own way.
  return type.kind === 'EndpointSlice'
    ? badRequest(`"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`)
    : badRequest(`field label not supported: ${field}`);
}

/** One answer to a list. */
export type Page = {
  readonly objects: readonly StoredObject[];
  readonly resourceVersion: number;
  readonly continue: string | null;
  readonly remaining: number | null;
};

/** `-1` in the place of the resourceVersion: go on with whatever there is now. */
type Continuation = { readonly resourceVersion: number; readonly start: string };

export function listPage(collection: Collection, current: number, selection: Selection, query: URLSearchParams): Page {
  const token = query.get('continue') ?? '';
  const asked = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  checkListOptions(asked, match, token, query.has('sendInitialEvents'));
  const limit = parseLimit(query);
  if (token !== '') {
    if (asked !== '' && asked !== '0') {
      throw badRequest('specifying resource version is not allowed when using continue');
    }
    return continuedPage(collection, current, selection, decodeContinue(token), limit);
  }
  const requested = parseResourceVersion(asked);
  if (requested > current) throw tooLargeResourceVersion(requested, current);
  // An exact version is also meant, since long ago, where a limit comes with a version and no word on how to match it.
  if (match === 'Exact' || (match === '' && limit > 0 && requested > 0)) {
    const objects = collection.sortedAt(requested);
    if (objects === null) throw expired('The resourceVersion for the provided list is too old.');
    return cut(objects, selection, requested, limit, '');
  }
  // The watch cache, which answers "any version", knows no limit.
  return cut(collection.sorted, selection, current, asked === '0' ? 0 : limit, '');
}

function continuedPage(
  collection: Collection,
  current: number,
  selection: Selection,
  continuation: Continuation,
  limit: number,
): Page {
  const { resourceVersion, start } = continuation;
  if (resourceVersion < 0) return cut(collection.sorted, selection, current, limit, start);
  const objects = collection.sortedAt(resourceVersion);
  if (objects !== null) return cut(objects, selection, resourceVersion, limit, start);
  throw expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without ' +
      'the continue parameter, or use the continue token in this response to retrieve the remainder of the results. ' +
      'Continuing with the provided token results in an inconsistent list - objects that were created, modified, or ' +
      'deleted between the time the first chunk was returned and now may show up in the list.',
    encodeContinue({ resourceVersion: -1, start }),
  );
}

/**
 * The objects from `start` on, as many as the limit has room for; 0 is no limit. Whether there is more is a question of what is
 * stored, not of what is selected: the page after a full one may be empty.
 */
function cut(
  all: readonly StoredObject[],
  selection: Selection,
  resourceVersion: number,
  limit: number,
  start: string,
): Page {
  const candidates = all.filter((object) => selection.isInScope(object.value) && positionOf(object) >= start);
  const objects: StoredObject[] = [];
  for (const [i, object] of candidates.entries()) {
    if (selection.matches(object.value)) objects.push(object);
    if (limit === 0 || objects.length < limit) continue;
    const remaining = candidates.length - i - 1;
    if (remaining === 0) break;
    return {
      objects,
      resourceVersion,
      continue: encodeContinue({ resourceVersion, start: `${positionOf(object)}\0` }),
      remaining: selection.isPartial ? null : remaining,
    };
  }
  return { objects, resourceVersion, continue: null, remaining: null };
}

function positionOf(object: StoredObject): string {
  const { namespace, name } = object.value.metadata;
  return keyOf(namespace ?? '', name);
}

function encodeContinue({ resourceVersion, start }: Continuation): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: resourceVersion, start })).toString('base64url');
}

function decodeContinue(token: string): Continuation {
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (v === 'meta.k8s.io/v1' && Number.isInteger(rv) && typeof start === 'string')
      return { resourceVersion: rv, start };
  } catch {
    // Not a token of ours, like one that decodes to something else.
  }
  throw badRequest('invalid continue token: continue key is not valid');
}

function checkListOptions(asked: string, match: string, token: string, sendsInitialEvents: boolean): void {
  const faults: FieldFault[] = [];
  const forbid = (field: string, why: string): void => {
    faults.push({ field, reason: 'FieldValueForbidden', detail: `Forbidden: ${why}` });
  };
  if (match !== '') {
    if (asked === '')
      forbid('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided');
    if (token !== '') forbid('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided');
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      const detail = `Unsupported value: "${match}": supported values: "Exact", "NotOlderThan", ""`;
      faults.push({ field: 'resourceVersionMatch', reason: 'FieldValueNotSupported', detail });
    }
    if (match === 'Exact' && asked === '0') {
      forbid('resourceVersionMatch', 'resourceVersionMatch "Exact" is forbidden for resourceVersion "0"');
    }
  }
  if (sendsInitialEvents) forbid('sendInitialEvents', 'sendInitialEvents is forbidden for list');
  if (faults.length > 0) throw invalid('ListOptions.meta.k8s.io', '', faults);
}

function parseLimit(query: URLSearchParams): number {
  const text = query.get('limit') ?? '';
  if (text !== '' && !/^\d+$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  }
  return Number(text);
}

/** Empty is 0, as for the API. */
export function parseResourceVersion(text: string): number {
  if (text !== '' && !/^\d+$/.test(text)) {
    const why = `resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`;
    throw badRequest(`invalid resource version: ${why}`);
  }
  return Number(text);
}

/** The body of a list, from texts that the objects already have. */
export function listBody(type: ResourceType, page: Page): string {
  const metadata = {
    resourceVersion: String(page.resourceVersion),
    ...(page.continue === null ? {} : { continue: page.continue }),
    ...(page.remaining === null ? {} : { remainingItemCount: page.remaining }),
  };
  const head = JSON.stringify({ kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata });
  return `${head.slice(0, -1)},"items":[${page.objects.map(({ itemJson }) => itemJson).join(',')}]}\n`;
}
