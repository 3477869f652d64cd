// The APIs that answer questions about access and identity, and store nothing.

import { isObject, type JsonObject } from './patches.ts';
import { badRequest, invalid } from './status.ts';

/** What somebody wants to do to a resource. Absent parts are empty. */
export type Access = {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
};

/** Who answers the questions. */
export type Oracle = {
  readonly user: string;
  /** `groups`: as the question names them; empty where somebody asks for himself. */
  readonly sarAllows: (user: string, access: Access, groups: readonly string[]) => boolean;
  /** Null where the token is nobody's. */
  readonly userOf: (token: string) => string | null;
};

type Review = { readonly kind: string; readonly answer: (spec: JsonObject, oracle: Oracle) => JsonObject };

const reviews: Readonly<Record<string, Review>> = {
  'authorization.k8s.io/subjectaccessreviews': {
    kind: 'SubjectAccessReview',
    answer: (spec, { sarAllows }) => {
      const user = textOf(spec, 'user');
      if (user === '' && !Array.isArray(spec['groups'])) {
        refuse(
          'SubjectAccessReview',
          'spec.user',
          'Invalid value: "": at least one of user or group must be specified',
        );
      }
      const groups = textsOf(spec, 'groups');
      return { allowed: allows('SubjectAccessReview', spec, (access) => sarAllows(user, access, groups)) };
    },
  },
  'authorization.k8s.io/selfsubjectaccessreviews': {
    kind: 'SelfSubjectAccessReview',
    answer: (spec, { user, sarAllows }) => ({
      allowed: allows('SelfSubjectAccessReview', spec, (access) => sarAllows(user, access, [])),
    }),
  },
  'authentication.k8s.io/tokenreviews': {
    kind: 'TokenReview',
    answer: (spec, { userOf }) => {
      const token = textOf(spec, 'token');
      if (token === '') throw badRequest('token is required for TokenReview in authentication');
      const user = userOf(token);
      return user === null
        ? { user: {}, error: '[invalid bearer token, token lookup failed]' }
        : { authenticated: true, user: identity(user) };
    },
  },
  'authentication.k8s.io/selfsubjectreviews': {
    kind: 'SelfSubjectReview',
    answer: (_spec, { user }) => ({ userInfo: identity(user) }),
  },
};

/** The review of a group and a resource, or null. */
export function reviewOf(group: string, resource: string): Review | null {
  return reviews[`${group}/${resource}`] ?? null;
}

/** The body of the answer to a review. */
export function reviewed(group: string, { kind, answer }: Review, body: string, oracle: Oracle): string {
  const request = parsedReview(body);
  const spec = isObject(request['spec']) ? request['spec'] : {};
  const asked = kind === 'SelfSubjectReview' ? {} : { spec };
  const status = answer(spec, oracle);
  return `${JSON.stringify({ kind, apiVersion: `${group}/v1`, metadata: {}, ...asked, status })}\n`;
}

function parsedReview(body: string): JsonObject {
  try {
    const value: unknown = JSON.parse(body);
    if (isObject(value)) return value;
  } catch {
    // Refused like everything else that is not an object.
  }
  throw badRequest("couldn't get version/kind; json parse error");
}

/** A question about a URL that is no resource is answered as if it were a resource of no group, named by the path. */
function allows(kind: string, spec: JsonObject, answer: (access: Access) => boolean): boolean {
  const resource = spec['resourceAttributes'];
  const path = spec['nonResourceAttributes'];
  if (isObject(resource) === isObject(path)) {
    const detail = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    refuse(kind, 'spec.resourceAttributes', `Invalid value: null: ${detail}`);
  }
  const attributes = isObject(resource) ? resource : isObject(path) ? { verb: path['verb'], name: path['path'] } : {};
  return answer({
    verb: textOf(attributes, 'verb'),
    group: textOf(attributes, 'group'),
    resource: textOf(attributes, 'resource'),
    subresource: textOf(attributes, 'subresource'),
    namespace: textOf(attributes, 'namespace'),
    name: textOf(attributes, 'name'),
  });
}

function identity(user: string): JsonObject {
  const [, , namespace] = user.split(':');
  const groups = user.startsWith('system:serviceaccount:')
    ? ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated']
    : ['system:authenticated'];
  return { username: user, uid: `uid-of-${user}`, groups };
}

function refuse(kind: string, field: string, detail: string): never {
  throw invalid(`${kind}.authorization.k8s.io`, '', [{ field, reason: 'FieldValueInvalid', detail }]);
}

function textOf(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === 'string' ? value : '';
}

function textsOf(object: JsonObject, name: string): string[] {
  const value = object[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
