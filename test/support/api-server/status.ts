// The refusals of kube-apiserver: `Status` objects in its words (apimachinery, pkg/api/errors).

import { qualifiedResource } from './resources.ts';

export type Status = {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: { readonly continue?: string };
  readonly status: 'Failure' | 'Success';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
};

export type StatusDetails = {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  readonly retryAfterSeconds?: number;
};

/** The resource that a refusal is about. */
export type Subject = { readonly group: string; readonly plural: string };

/** A refusal. `text` is the body of those that the real server writes before it comes to Status objects. */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly code: number;
  readonly status: Status;
  readonly text: string | null;

  constructor(code: number, reason: string, message: string, more: Partial<Status> = {}, text: string | null = null) {
    super(message);
    this.code = code;
    this.status = failure(code, reason, message, more);
    this.text = text;
  }
}

function failure(code: number, reason: string, message: string, more: Partial<Status>): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    ...(reason === '' ? {} : { reason }),
    ...more,
    code,
  };
}

function about(subject: Subject, name: string): { readonly details: StatusDetails } {
  return {
    details: {
      ...(name === '' ? {} : { name }),
      ...(subject.group === '' ? {} : { group: subject.group }),
      kind: subject.plural,
    },
  };
}

function titled(subject: Subject, name: string): string {
  return `${qualifiedResource(subject.group, subject.plural)} "${name}"`;
}

export function notFound(subject: Subject, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${titled(subject, name)} not found`, about(subject, name));
}

/** For a path that no handler is registered for. */
export function pageNotFound(): ApiError {
  return new ApiError(404, 'NotFound', '404 page not found', {}, '404 page not found\n');
}

/** For a resource that a served group does not have. */
export function noSuchResource(): ApiError {
  const message = 'the server could not find the requested resource';
  return new ApiError(404, 'NotFound', message, { details: {} });
}

export function alreadyExists(subject: Subject, name: string): ApiError {
  return new ApiError(409, 'AlreadyExists', `${titled(subject, name)} already exists`, about(subject, name));
}

const modified = 'the object has been modified; please apply your changes to the latest version and try again';

export function conflict(subject: Subject, name: string, why: string = modified): ApiError {
  const message = `Operation cannot be fulfilled on ${titled(subject, name)}: ${why}`;
  return new ApiError(409, 'Conflict', message, about(subject, name));
}

export function unauthorized(): ApiError {
  return new ApiError(401, 'Unauthorized', 'Unauthorized');
}

export type RefusedAccess = {
  readonly user: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
};

export function forbidden(access: RefusedAccess): ApiError {
  const { user, verb, group, resource, subresource, namespace, name } = access;
  const subject = { group, plural: resource };
  const title = name === '' ? qualifiedResource(group, resource) : titled(subject, name);
  const wanted = subresource === '' ? resource : `${resource}/${subresource}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const message = `${title} is forbidden: User "${user}" cannot ${verb} resource "${wanted}" in API group "${group}" ${scope}`;
  return new ApiError(403, 'Forbidden', message, about(subject, name));
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

/** One field that is wrong, as `field.Error` names it. */
export type FieldFault = { readonly field: string; readonly reason: string; readonly detail: string };

/** `title` is the kind as messages name it, `Route.route.openshift.io`. */
export function invalid(title: string, name: string, faults: readonly FieldFault[]): ApiError {
  const [kind = '', ...group] = title.split('.');
  const words = faults.map(({ field, detail }) => `${field}: ${detail}`);
  const message = `${title} "${name}" is invalid: ${words.length === 1 ? words[0] : `[${words.join(', ')}]`}`;
  const details = {
    ...(name === '' ? {} : { name }),
    ...(group.length === 0 ? {} : { group: group.join('.') }),
    kind,
    causes: faults.map(({ field, reason, detail }) => ({ reason, message: detail, field })),
  };
  return new ApiError(422, 'Invalid', message, { details });
}

/** The history that was asked for is gone; `token` lets a list go on without it. */
export function expired(message: string, token: string | null = null): ApiError {
  return new ApiError(410, 'Expired', message, token === null ? {} : { metadata: { continue: token } });
}

/** The client has seen a resourceVersion that this server has not come to. */
export function tooLargeResourceVersion(requested: number, current: number): ApiError {
  const message = `Timeout: Too large resource version: ${requested}, current: ${current}`;
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  return new ApiError(504, 'Timeout', message, { details: { causes, retryAfterSeconds: 1 } });
}

export function methodNotAllowed(): ApiError {
  const message = 'the server does not allow this method on the requested resource';
  return new ApiError(405, 'MethodNotAllowed', message, { details: {} });
}

export function unsupportedMediaType(accepted: readonly string[]): ApiError {
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`;
  return new ApiError(415, 'UnsupportedMediaType', message);
}

export function tooLargeBody(maxBytes: number): ApiError {
  const message = `Request entity too large: limit is ${maxBytes}`;
  return new ApiError(413, 'RequestEntityTooLarge', message);
}

/** The codes that a fault can answer with, in the words that the real server has for each. */
export type FaultCode = 401 | 403 | 410 | 429 | 500 | 503 | 504;

const faultWords: Readonly<Record<FaultCode, readonly [reason: string, message: string, text: string]>> = {
  401: ['Unauthorized', 'Unauthorized', 'Unauthorized'],
  403: ['Forbidden', 'forbidden', 'Forbidden'],
  410: ['Expired', 'The resourceVersion for the provided list is too old.', 'Gone'],
  429: [
    'TooManyRequests',
    'the server has received too many requests and has asked us to try again later',
    'Too many requests, please try again later.',
  ],
  500: [
    'InternalError',
    'Internal error occurred: etcdserver: leader changed',
    'This request caused apiserver to panic.',
  ],
  503: ['ServiceUnavailable', 'the server is currently unable to handle the request', 'service unavailable'],
  504: ['Timeout', 'Timeout: request did not complete within the allotted timeout', 'gateway timeout'],
};

/** `isText`: as a gate in front of the API says it, without a Status. */
export function faultStatus(code: FaultCode, retryAfterSeconds: number | null, isText: boolean): ApiError {
  const [reason, message, text] = faultWords[code];
  const more = retryAfterSeconds === null ? {} : { details: { retryAfterSeconds } };
  return new ApiError(code, reason, message, more, isText ? `${text}\n` : null);
}
