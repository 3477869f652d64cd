// Who may read the protected paths of the admin port (Route semantics 6.2): by user name and password, or as the API server
// decides.

import { createHash } from 'node:crypto';
import { type Credentials, sameCredentials, shownBy } from './credentials.ts';
import { ReviewCache } from './review-cache.ts';

/** Somebody as the API server knows him. */
export type Identity = {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
};

/** What is done to the router: `verb` on `routers/<subresource>`. */
export type RouterAccess = { readonly verb: string; readonly subresource: Subresource };

export type Subresource = 'metrics' | 'debug';

/** Who decides on tokens and on rights. Both reject where the question cannot be answered. */
export type AccessReviewer = {
  /** Whose token it is; null where it is nobody's. */
  userOf(token: string): Promise<Identity | null>;
  allows(identity: Identity, access: RouterAccess): Promise<boolean>;
};

/** By what access is decided. */
export type AccessRules = {
  /** The user name and password that are good; null where none are set. */
  readonly credentials: () => Credentials | null;
  /** Whether a reviewer decides where credentials do not. */
  readonly isReviewed: boolean;
  /** Null until the way to the API server is known. */
  readonly reviewer: () => AccessReviewer | null;
  /** A question to the reviewer failed; called once until one is answered again. */
  readonly onFailure: (reason: string) => void;
  /** The clock by which answers are kept. */
  readonly nowMs: () => number;
};

/** A request as far as access goes. */
export type Asking = {
  readonly method: string;
  readonly subresource: Subresource;
  readonly authorization: string | undefined;
  /** Whether it comes from this machine, and not by a web page of somebody else's. */
  readonly isLocal: boolean;
};

/** What becomes of a request. `challenges`: values for `WWW-Authenticate`. */
export type Access =
  | { readonly kind: 'granted' }
  | {
      readonly kind: 'refused';
      readonly status: 401 | 403 | 500;
      readonly reason: string;
      readonly challenges: readonly string[];
    };

const granted: Access = { kind: 'granted' };

const anonymous: Identity = {
  username: 'system:anonymous',
  uid: '',
  groups: ['system:unauthenticated'],
  extra: {},
};

const verbs: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** As long as the OpenShift router keeps them (Route semantics 6.2). */
const keepIdentityMs = 10_000;
const keepAllowedMs = 120_000;
const keepDeniedMs = 5_000;
/** Whoever tries tokens can push out the answers to others, which are then asked for again. */
const maxKept = 1_000;

export class AccessControl {
  readonly #rules: AccessRules;
  readonly #identities: ReviewCache<Identity | null>;
  readonly #decisions: ReviewCache<boolean>;
  #isFailing = false;

  constructor(rules: AccessRules) {
    this.#rules = rules;
    this.#identities = new ReviewCache(maxKept, rules.nowMs);
    this.#decisions = new ReviewCache(maxKept, rules.nowMs);
  }

  /** Whether a request may be answered. Never rejects. */
  async admit(asking: Asking): Promise<Access> {
    const { isReviewed } = this.#rules;
    const { subresource, isLocal } = asking;
    const credentials = this.#rules.credentials();
    if (credentials === null && !isReviewed) {
      if (subresource === 'metrics' || isLocal) return granted;
      return this.#refuse(403, '/debug is answered on loopback only');
    }
    // `headgate explain` comes from this machine and has nothing to show.
    if (subresource === 'debug' && isLocal && asking.authorization === undefined) return granted;
    const shown = shownBy(asking.authorization);
    if (credentials !== null && shown.kind === 'basic') {
      if (sameCredentials(credentials, shown.credentials)) return granted;
      return this.#refuse(401, 'wrong user name or password');
    }
    if (!isReviewed) return this.#refuse(401, 'a user name and a password are needed');
    try {
      const access = await this.#review(asking, shown.kind === 'bearer' ? shown.token : null);
      this.#isFailing = false;
      return access;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#isFailing) this.#rules.onFailure(reason);
      this.#isFailing = true;
      return this.#refuse(500, 'the API server cannot be asked who may read this; the log says why');
    }
  }

  async #review({ method, subresource }: Asking, token: string | null): Promise<Access> {
    const reviewer = this.#rules.reviewer();
    if (reviewer === null) throw new Error('the way to the API server is not known yet');
    const identity = token === null ? anonymous : await this.#identify(reviewer, token);
    if (identity === null) return this.#refuse(401, 'the token is not good');
    const verb = verbs[method];
    if (verb === undefined) return this.#refuse(403, `nobody may ${method} this`);
    const isAllowed = await this.#decisions.get(
      hashOf(JSON.stringify([identity, verb, subresource])),
      () => reviewer.allows(identity, { verb, subresource }),
      (answer) => (answer ? keepAllowedMs : keepDeniedMs),
    );
    if (isAllowed) return granted;
    return this.#refuse(403, `${JSON.stringify(identity.username)} may not ${verb} routers/${subresource}`);
  }

  #identify(reviewer: AccessReviewer, token: string): Promise<Identity | null> {
    // The token itself is not kept.
    return this.#identities.get(
      hashOf(token),
      () => reviewer.userOf(token),
      () => keepIdentityMs,
    );
  }

  #refuse(status: 401 | 403 | 500, reason: string): Access {
    const challenges: string[] = [];
    if (status === 401) {
      if (this.#rules.credentials() !== null) challenges.push('Basic realm="headgate", charset="UTF-8"');
      if (this.#rules.isReviewed) challenges.push('Bearer realm="headgate"');
    }
    return { kind: 'refused', status, reason, challenges };
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}
