// Changes to JSON values: merge patches (RFC 7386), JSON patches (RFC 6902), and whether two values say the same.

import { isDeepStrictEqual } from 'node:util';
import { ApiError, badRequest } from './status.ts';

export type JsonObject = { [name: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isSame(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b);
}

/** RFC 7386 section 2. Neither argument is changed. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: JsonObject = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

/** RFC 6902 on a copy. An operation that cannot be done is refused with 422, as the API server does. */
export function jsonPatch(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations))
    throw badRequest('error decoding patch: json: cannot unmarshal into Go value of type []handlers.jsonPatchOp');
  // One level above, so that the whole document can be replaced like any member.
  const holder: JsonObject = { '': structuredClone(target) };
  for (const operation of operations) applyOperation(holder, operation);
  return holder[''];
}

function applyOperation(holder: JsonObject, operation: unknown): void {
  if (!isObject(operation)) throw unprocessable('the operation is not an object');
  const path = String(operation['path'] ?? '');
  const from = String(operation['from'] ?? '');
  switch (operation['op']) {
    case 'add':
      put(holder, path, operation['value'], true);
      break;
    case 'replace':
      take(holder, path, false);
      put(holder, path, operation['value'], false);
      break;
    case 'remove':
      take(holder, path, true);
      break;
    case 'copy':
      put(holder, path, structuredClone(take(holder, from, false)), true);
      break;
    case 'move':
      put(holder, path, take(holder, from, true), true);
      break;
    case 'test':
      if (!isSame(take(holder, path, false), operation['value'])) {
        throw unprocessable(`testing value ${path} failed: test failed`);
      }
      break;
    default:
      throw unprocessable(`Unexpected kind: ${String(operation['op'])}`);
  }
}

/** The container of what an RFC 6901 pointer names, and its last token. */
function locate(holder: JsonObject, pointer: string): readonly [JsonObject | unknown[], string] {
  const tokens = pointer.split('/').map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = tokens.pop() ?? '';
  let at: unknown = holder;
  for (const token of tokens) at = Array.isArray(at) ? at[Number(token)] : isObject(at) ? at[token] : undefined;
  if (!Array.isArray(at) && !isObject(at)) throw missing(pointer);
  return [at, last];
}

function put(holder: JsonObject, pointer: string, value: unknown, isInsert: boolean): void {
  const [container, token] = locate(holder, pointer);
  if (!Array.isArray(container)) {
    container[token] = value;
    return;
  }
  const index = token === '-' ? container.length : Number(token);
  if (!Number.isInteger(index) || index < 0 || index > container.length) throw missing(pointer);
  container.splice(index, isInsert ? 0 : 1, value);
}

/** The value there, which is also removed where `isRemoval` says so. */
function take(holder: JsonObject, pointer: string, isRemoval: boolean): unknown {
  const [container, token] = locate(holder, pointer);
  if (!Object.hasOwn(container, token)) throw missing(pointer);
  const value = Array.isArray(container) ? container[Number(token)] : container[token];
  if (isRemoval && Array.isArray(container)) container.splice(Number(token), 1);
  else if (isRemoval && !Array.isArray(container)) delete container[token];
  return value;
}

function missing(pointer: string): Error {
  return unprocessable(`doc is missing path: ${pointer}: missing value`);
}

/** The server keeps to itself what was wrong with the patch. */
function unprocessable(why: string): Error {
  const error = new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request', {
    details: {},
  });
  error.cause = why;
  return error;
}
