// Writes by request: create, replace, patch and delete, with what the API server checks and fills in for each.

import { randomInt } from 'node:crypto';
import { type KubeObject, keyOf, type NewObject, type ObjectStore, type StoredObject } from './object-store.ts';
import { isObject, type JsonObject, jsonPatch, mergePatch } from './patches.ts';
import { apiVersionOf, qualifiedResource, type ResourceType, type Target } from './resources.ts';
import {
  ApiError,
  alreadyExists,
  badRequest,
  conflict,
  invalid,
  methodNotAllowed,
  notFound,
  type Status,
  type Subject,
  unsupportedMediaType,
} from './status.ts';

/** A write as it came. */
export type WriteRequest = {
  readonly type: ResourceType;
  readonly target: Target;
  readonly contentType: string;
  readonly body: string;
};

export type WriteAnswer = { readonly code: number; readonly body: string };

export type Write = (store: ObjectStore, request: WriteRequest) => WriteAnswer;

/** POST to a collection. */
export function createObject(store: ObjectStore, request: WriteRequest): WriteAnswer {
  const { type, target } = request;
  const object = decodedObject(request);
  const { namespace, name, generateName, resourceVersion } = object.metadata as Partial<NamedMetadata>;
  if (namespace !== undefined && namespace !== target.namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if (resourceVersion !== undefined && resourceVersion !== '') {
    throw new ApiError(500, '', 'resourceVersion should not be set on objects to be created');
  }
  const chosen = name ?? (generateName === undefined ? '' : generateName + randomSuffix());
  if (chosen === '') {
    const detail = 'Required value: name or generateName is required';
    throw invalid(titleOf(type), '', [{ field: 'metadata.name', reason: 'FieldValueRequired', detail }]);
  }
  if (type.kind === 'Event') checkEvent(object, target.namespace, chosen);
  // The server's own fields are the server's to fill in, whatever the client says of them.
  const { uid: _uid, creationTimestamp: _created, generation: _generation, ...metadata } = object.metadata;
  const scope = type.namespaced ? { namespace: target.namespace } : {};
  const draft = {
    ...object,
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    metadata: { ...metadata, name: chosen, ...scope },
  };
  if (type.statusSubresource) delete (draft as JsonObject)['status'];
  const created = store.create(draft as NewObject);
  if (created === null) throw alreadyExists(subjectOf(type), chosen);
  return { code: 201, body: `${created.json}\n` };
}

/** PUT of an object or of its status. */
export function replaceObject(store: ObjectStore, request: WriteRequest): WriteAnswer {
  const { type, target } = request;
  const object = decodedObject(request);
  const { name, namespace, uid, resourceVersion } = object.metadata as Partial<NamedMetadata>;
  if (name !== target.name) {
    throw badRequest(`the name of the object (${name ?? ''}) does not match the name on the URL (${target.name})`);
  }
  if (namespace !== undefined && namespace !== target.namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  const previous = existing(store, request);
  const subject = subjectOf(type);
  if (uid !== undefined && uid !== '') checkUid(type, previous, uid);
  if (resourceVersion === undefined || resourceVersion === '') {
    if (type.custom) {
      const detail = 'Invalid value: 0: must be specified for an update';
      const faults = [{ field: 'metadata.resourceVersion', reason: 'FieldValueInvalid', detail }];
      throw invalid(qualifiedResource(type.group, type.plural), target.name, faults);
    }
  } else if (resourceVersion !== String(previous.resourceVersion)) {
    throw conflict(subject, target.name);
  }
  return { code: 200, body: `${written(store, request, previous, object).json}\n` };
}

const patchTypes = ['application/json-patch+json', 'application/merge-patch+json'] as const;

/** PATCH of an object or of its status. */
export function patchObject(store: ObjectStore, request: WriteRequest): WriteAnswer {
  const { type, target, contentType } = request;
  // A CRD has no strategic merge; for other kinds it is left out here.
  const patchType = patchTypes.find((candidate) => candidate === contentType);
  if (patchType === undefined) throw unsupportedMediaType([...patchTypes, 'application/apply-patch+yaml']);
  const patch = parsedBody(request.body);
  const previous = existing(store, request);
  if (patchType === 'application/merge-patch+json' && !isObject(patch)) {
    throw badRequest('error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}');
  }
  const before = previous.value;
  const patched = patchType === 'application/merge-patch+json' ? mergePatch(before, patch) : jsonPatch(before, patch);
  const object = checkedObject(type, patched, request.body);
  const { name, namespace, uid, resourceVersion } = object.metadata;
  if (name !== target.name) {
    throw badRequest(`the name of the object (${name ?? ''}) does not match the name on the URL (${target.name})`);
  }
  if (namespace !== before.metadata.namespace) {
    throw badRequest('the namespace of the object does not match the namespace on the URL');
  }
  if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion) {
    throw conflict(subjectOf(type), target.name);
  }
  if (target.subresource === '' && uid !== undefined && uid !== before.metadata.uid) {
    const detail = `Invalid value: "${uid}": field is immutable`;
    throw invalid(titleOf(type), target.name, [{ field: 'metadata.uid', reason: 'FieldValueInvalid', detail }]);
  }
  return { code: 200, body: `${written(store, request, previous, object).json}\n` };
}

/** DELETE of one object. */
export function deleteObject(store: ObjectStore, request: WriteRequest): WriteAnswer {
  const { type, target, body } = request;
  if (target.subresource !== '') throw methodNotAllowed();
  const previous = existing(store, request);
  const options = body === '' ? {} : parsedBody(body);
  const preconditions = isObject(options) && isObject(options['preconditions']) ? options['preconditions'] : {};
  const { uid, resourceVersion } = preconditions;
  if (typeof uid === 'string') checkUid(type, previous, uid);
  if (typeof resourceVersion === 'string' && resourceVersion !== String(previous.resourceVersion)) {
    const had = previous.resourceVersion;
    const why = `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${had}`;
    throw conflict(subjectOf(type), target.name, storageError(type, previous, why));
  }
  store.delete(type, previous);
  const details = {
    name: target.name,
    ...(type.group === '' ? {} : { group: type.group }),
    kind: type.plural,
    ...(previous.value.metadata.uid === undefined ? {} : { uid: previous.value.metadata.uid }),
  };
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  return { code: 200, body: `${JSON.stringify(status)}\n` };
}

type NamedMetadata = KubeObject['metadata'] & { readonly generateName: string };

/** Keeps what the request has no say in, and stores the rest. */
function written(
  store: ObjectStore,
  { type, target }: WriteRequest,
  previous: StoredObject,
  object: KubeObject,
): StoredObject {
  const before = previous.value;
  if (target.subresource === 'status') {
    const { status: _status, ...rest } = before;
    return store.replace(type, previous, object.status === undefined ? rest : { ...rest, status: object.status });
  }
  const { uid, creationTimestamp } = before.metadata;
  const metadata = {
    ...object.metadata,
    ...(type.namespaced ? { namespace: target.namespace } : {}),
    ...(uid === undefined ? {} : { uid }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
  };
  const next: KubeObject = { ...object, apiVersion: before.apiVersion, kind: before.kind, metadata };
  if (type.statusSubresource) {
    delete next.status;
    if (before.status !== undefined) next.status = before.status;
  }
  return store.replace(type, previous, next);
}

function existing(store: ObjectStore, { type, target }: WriteRequest): StoredObject {
  const previous = store.get(type.kind, type.namespaced ? target.namespace : '', target.name);
  if (previous === null) throw notFound(subjectOf(type), target.name);
  return previous;
}

function decodedObject({ type, contentType, body }: WriteRequest): KubeObject {
  if (contentType !== '' && contentType !== 'application/json') {
    throw unsupportedMediaType(['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']);
  }
  return checkedObject(type, parsedBody(body), body);
}

/** As far as the server looks before it stores: it is an object of the kind, and has metadata. */
function checkedObject(type: ResourceType, value: unknown, body: string): KubeObject {
  if (!isObject(value)) throw badRequest("couldn't get version/kind; json parse error: not an object");
  const { apiVersion, kind } = value;
  // The decoder of built-in kinds takes the kind from the path where the body says none; that of a CRD does not.
  if (type.custom && (kind === undefined || kind === '')) throw badRequest(`Object 'Kind' is missing in '${body}'`);
  if (apiVersion !== undefined && apiVersion !== '' && apiVersion !== apiVersionOf(type)) {
    const expected = `the expected API version (${apiVersionOf(type)})`;
    throw badRequest(`the API version in the data (${String(apiVersion)}) does not match ${expected}`);
  }
  if (kind !== undefined && kind !== '' && kind !== type.kind) {
    throw badRequest(`${String(kind)} in version "${type.version}" cannot be handled as a ${type.kind}`);
  }
  const metadata = isObject(value['metadata']) ? value['metadata'] : {};
  return { ...value, metadata } as unknown as KubeObject;
}

function parsedBody(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw badRequest(`error decoding: ${(error as Error).message}`);
  }
}

function checkUid(type: ResourceType, previous: StoredObject, uid: string): void {
  const { uid: had, name } = previous.value.metadata;
  if (uid === had) return;
  const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${had}`;
  throw conflict(subjectOf(type), name, storageError(type, previous, why));
}

function storageError(type: ResourceType, previous: StoredObject, why: string): string {
  const { namespace, name } = previous.value.metadata;
  const prefix = type.group === '' || !type.custom ? type.plural : `${type.group}/${type.plural}`;
  const key = `/registry/${prefix}/${keyOf(namespace ?? '', name)}`;
  return `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${why}`;
}

/** An Event is where its object is; that of an object without a namespace is in `default`. */
function checkEvent(event: KubeObject, namespace: string, name: string): void {
  const involved = isObject(event['involvedObject']) ? event['involvedObject'] : {};
  const where = typeof involved['namespace'] === 'string' ? involved['namespace'] : '';
  if (where === namespace || (where === '' && namespace === 'default')) return;
  const detail = `Invalid value: "${where}": does not match event.namespace`;
  throw invalid('Event', name, [{ field: 'involvedObject.namespace', reason: 'FieldValueInvalid', detail }]);
}

/** `Route.route.openshift.io`: how messages name a kind. */
function titleOf(type: ResourceType): string {
  return type.group === '' ? type.kind : `${type.kind}.${type.group}`;
}

export function subjectOf(type: ResourceType): Subject {
  return { group: type.group, plural: type.plural };
}

// Without vowels and the digits that look like letters: no words (apimachinery, pkg/util/rand).
const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

function randomSuffix(): string {
  return Array.from({ length: 5 }, () => suffixAlphabet[randomInt(suffixAlphabet.length)]).join('');
}
