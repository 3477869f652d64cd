// Whose token it is and who may do what to this router, as the API server says (Route semantics 6.2).

import { type ApiClient, ApiError } from './api-client.ts';
import { Turns } from './turns.ts';

/** Somebody as the API server knows him. */
export type ReviewedUser = {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
};

/** Whoever can reach the admin port can have questions asked. */
const reviewsAtOnce = 16;
/** As long as a scrape waits, as a rule. */
const reviewTimeoutMs = 10_000;

export class AccessReviews {
  readonly #client: ApiClient;
  readonly #routerName: string;
  readonly #turns: Turns = new Turns(reviewsAtOnce);

  /** `routerName`: the name of this router in the status of Routes. */
  constructor(client: ApiClient, routerName: string) {
    this.#client = client;
    this.#routerName = routerName;
  }

  /** Whose token it is; null where it is nobody's. Throws ApiError where that cannot be told. */
  async userOf(token: string): Promise<ReviewedUser | null> {
    const status = await this.#review('authentication.k8s.io', 'TokenReview', { token });
    if (status['authenticated'] !== true) return null;
    const { username, uid, groups, extra } = objectOf(status['user']);
    if (typeof username !== 'string' || username === '') throw new ApiError(0, '', 'a TokenReview names no user');
    return {
      username,
      uid: typeof uid === 'string' ? uid : '',
      groups: textsOf(groups),
      extra: Object.fromEntries(Object.entries(objectOf(extra)).map(([key, values]) => [key, textsOf(values)])),
    };
  }

  /** Whether somebody may do `verb` to `routers/<subresource>` under this router's name. Throws ApiError. */
  async allows(
    { username, uid, groups, extra }: ReviewedUser,
    { verb, subresource }: { readonly verb: string; readonly subresource: string },
  ): Promise<boolean> {
    const resource = { group: 'route.openshift.io', resource: 'routers', name: this.#routerName };
    const status = await this.#review('authorization.k8s.io', 'SubjectAccessReview', {
      resourceAttributes: { ...resource, verb, subresource },
      user: username,
      groups,
      ...(uid === '' ? {} : { uid }),
      ...(Object.keys(extra).length === 0 ? {} : { extra }),
    });
    return status['allowed'] === true && status['denied'] !== true;
  }

  async #review(group: string, kind: string, spec: unknown): Promise<Readonly<Record<string, unknown>>> {
    const path = `/apis/${group}/v1/${kind.toLowerCase()}s`;
    const body = { apiVersion: `${group}/v1`, kind, spec };
    const answer = await this.#turns.take(() => this.#client.post(path, body, AbortSignal.timeout(reviewTimeoutMs)));
    return objectOf(objectOf(answer)['status']);
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
