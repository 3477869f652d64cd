// Who may read the protected paths: AccessControl with AccessReviews against an API server, by a clock that the test turns.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AccessControl, type Asking, type Access as Verdict } from '../../src/admin/access.ts';
import type { Credentials } from '../../src/admin/credentials.ts';
import { AccessReviews } from '../../src/source/kube/access-reviews.ts';
import { ApiClient } from '../../src/source/kube/api-client.ts';
import { type Access, ApiServer } from '../support/api-server/api-server.ts';

type Asked = { readonly user: string; readonly groups: readonly string[]; readonly access: Access };

const admin: Credentials = { username: 'admin', password: 'admin' };
const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
const scrape: Asking = { method: 'GET', subresource: 'metrics', authorization: undefined, isLocal: false };
const look: Asking = { ...scrape, subresource: 'debug' };

/** The access to a router called `shard-a`. Prometheus may get its metrics, and nobody may do anything else. */
class Guarded implements AsyncDisposable {
  readonly server: ApiServer;
  readonly asked: Asked[] = [];
  readonly failures: string[] = [];
  readonly access: AccessControl;
  nowMs = 0;
  readonly #client: ApiClient;
  readonly #directory: string;

  private constructor(server: ApiServer, directory: string, credentials: Credentials | null) {
    this.server = server;
    this.#directory = directory;
    server.tokens.add('of-prometheus');
    server.users.set('of-prometheus', 'system:serviceaccount:monitoring:prometheus');
    server.tokens.add('of-somebody');
    server.users.set('of-somebody', 'somebody');
    server.sarAllows((user, access, groups) => {
      this.asked.push({ user, groups, access });
      return user.endsWith(':prometheus') && access.verb === 'get' && access.subresource === 'metrics';
    });
    this.#client = new ApiClient({ kubeconfig: join(directory, 'kubeconfig'), apiServer: '' });
    const reviews = new AccessReviews(this.#client, 'shard-a');
    this.access = new AccessControl({
      credentials: () => credentials,
      isReviewed: true,
      reviewer: () => reviews,
      onFailure: (reason) => this.failures.push(reason),
      nowMs: () => this.nowMs,
    });
  }

  static async start(credentials: Credentials | null = null): Promise<Guarded> {
    const server = await ApiServer.start();
    const directory = await mkdtemp(join(tmpdir(), 'access-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    return new Guarded(server, directory, credentials);
  }

  /** The status of the answer: 200 where access is granted. */
  async status(asking: Partial<Asking>): Promise<number> {
    const verdict = await this.access.admit({ ...scrape, ...asking });
    return verdict.kind === 'granted' ? 200 : verdict.status;
  }

  /** How often each kind of review was asked for. */
  reviews(): readonly [tokens: number, access: number] {
    const count = (resource: string): number =>
      this.server.requests.filter((request) => request.resource === resource).length;
    return [count('tokenreviews'), count('subjectaccessreviews')];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.server[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

const prometheus = { authorization: 'Bearer of-prometheus' };

const answers: readonly (readonly [title: string, Credentials | null, Partial<Asking>, status: number])[] = [
  ['metrics without credentials', admin, {}, 403],
  ['metrics wrong password', admin, { authorization: basic('admin:wrong') }, 401],
  ['metrics with a bad bearer', admin, { authorization: 'Bearer bad' }, 401],
  ['metrics with basic auth', admin, { authorization: basic('admin:admin') }, 200],
  ['debug without credentials', admin, look, 403],
  ['debug with basic auth', admin, { ...look, authorization: basic('admin:admin') }, 200],
  ['metrics with a token that may', null, prometheus, 200],
  ['metrics with a token that may, beside basic auth', admin, prometheus, 200],
  ['metrics, HEAD', null, { ...prometheus, method: 'HEAD' }, 200],
  ['metrics, another verb', null, { ...prometheus, method: 'DELETE' }, 403],
  ['metrics, a method without a verb', null, { ...prometheus, method: 'OPTIONS' }, 403],
  ['debug with a token that may read metrics', null, { ...look, ...prometheus }, 403],
  ['metrics with a token that may not', null, { authorization: 'Bearer of-somebody' }, 403],
  ['basic auth where none is set', null, { authorization: basic('admin:admin') }, 403],
  ['metrics from this machine', null, { isLocal: true }, 403],
  ['debug from this machine', null, { ...look, isLocal: true }, 200],
  ['debug from this machine with a bad bearer', null, { ...look, isLocal: true, authorization: 'Bearer bad' }, 401],
];

test('as the OpenShift router answers, and where it has nothing to say', async () => {
  const got: [string, number][] = [];
  for (const [title, credentials, asking] of answers) {
    await using guarded = await Guarded.start(credentials);
    got.push([title, await guarded.status(asking)]);
  }
  expect(got).toEqual(answers.map(([title, , , status]) => [title, status]));
});

test('asks about its own name, by method, for the user with his groups', async () => {
  await using guarded = await Guarded.start();
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) await guarded.status({ ...prometheus, method });
  await guarded.status({});
  const user = 'system:serviceaccount:monitoring:prometheus';
  const groups = ['system:serviceaccounts', 'system:serviceaccounts:monitoring', 'system:authenticated'];
  const access = {
    group: 'route.openshift.io',
    resource: 'routers',
    name: 'shard-a',
    namespace: '',
    subresource: 'metrics',
  };
  expect(guarded.asked).toEqual([
    ...['get', 'create', 'update', 'patch', 'delete'].map((verb) => ({ user, groups, access: { ...access, verb } })),
    { user: 'system:anonymous', groups: ['system:unauthenticated'], access: { ...access, verb: 'get' } },
  ]);
});

const steps: readonly (readonly [atMs: number, asking: Partial<Asking>, reviews: readonly [number, number]])[] = [
  [0, prometheus, [1, 1]],
  [9_999, prometheus, [1, 1]],
  [10_000, prometheus, [2, 1]],
  [119_999, prometheus, [3, 1]],
  [120_000, prometheus, [3, 2]],
  [120_000, {}, [3, 3]],
  [124_999, {}, [3, 3]],
  [125_000, {}, [3, 4]],
  [125_000, { authorization: 'Bearer bad' }, [4, 4]],
  [134_999, { authorization: 'Bearer bad' }, [4, 4]],
  [135_000, { authorization: 'Bearer bad' }, [5, 4]],
];

test('keeps identities for 10 s, what is allowed for 2 min and what is denied for 5 s', async () => {
  await using guarded = await Guarded.start();
  const seen: unknown[] = [];
  for (const [atMs, asking] of steps) {
    guarded.nowMs = atMs;
    await guarded.status(asking);
    seen.push([atMs, asking, guarded.reviews()]);
  }
  expect(seen).toEqual(steps);
});

describe('an API server that cannot be asked', () => {
  const groups = ['authentication.k8s.io', 'authorization.k8s.io'] as const;
  const resources = ['tokenreviews', 'subjectaccessreviews'];

  test.each([403, 500, 401] as const)(
    '%i: 500, told once until it answers again, and asked again at once',
    async (code) => {
      for (const [i, group] of groups.entries()) {
        await using guarded = await Guarded.start();
        const repair = guarded.server.fault({
          kind: 'status',
          code,
          times: 100,
          match: { resource: resources[i] ?? '' },
        });
        expect([group, await guarded.status(prometheus), await guarded.status(prometheus)]).toEqual([group, 500, 500]);
        expect(guarded.failures).toHaveLength(1);
        repair();
        expect(await guarded.status(prometheus)).toBe(200);
        guarded.nowMs += 120_000;
        guarded.server.fault({ kind: 'status', code, times: 100, match: { resource: resources[i] ?? '' } });
        expect(await guarded.status(prometheus)).toBe(500);
        expect(guarded.failures).toHaveLength(2);
      }
    },
  );

  test('is not needed for a user name and a password', async () => {
    await using guarded = await Guarded.start(admin);
    await guarded.server.stop();
    expect(await guarded.status({ authorization: basic('admin:admin') })).toBe(200);
    expect(await guarded.status({})).toBe(500);
  });
});

test('tells one line of why, and how to do better', async () => {
  await using guarded = await Guarded.start(admin);
  const refusal = async (asking: Partial<Asking>): Promise<Verdict> =>
    await guarded.access.admit({ ...scrape, ...asking });
  const challenges = ['Basic realm="headgate", charset="UTF-8"', 'Bearer realm="headgate"'];
  expect(await refusal({ authorization: 'Bearer bad' })).toMatchObject({ reason: 'the token is not good', challenges });
  expect(await refusal({ authorization: basic('a:b') })).toMatchObject({
    reason: 'wrong user name or password',
    challenges,
  });
  expect(await refusal({})).toMatchObject({
    reason: '"system:anonymous" may not get routers/metrics',
    challenges: [],
  });
});

describe('without an API server', () => {
  const closed = (credentials: Credentials | null): AccessControl =>
    new AccessControl({
      credentials: () => credentials,
      isReviewed: false,
      reviewer: () => null,
      onFailure: () => {},
      nowMs: () => 0,
    });
  const cases: readonly (readonly [Credentials | null, Asking, number])[] = [
    [null, scrape, 200],
    [null, { ...scrape, authorization: 'Bearer bad' }, 200],
    [null, look, 403],
    [null, { ...look, isLocal: true }, 200],
    [null, { ...look, isLocal: true, authorization: 'Bearer x' }, 200],
    [admin, scrape, 401],
    [admin, { ...scrape, isLocal: true }, 401],
    [admin, { ...scrape, authorization: 'Bearer x' }, 401],
    [admin, { ...scrape, authorization: basic('admin:admin') }, 200],
    [admin, look, 401],
    [admin, { ...look, isLocal: true }, 200],
    [admin, { ...look, isLocal: true, authorization: basic('admin:no') }, 401],
  ];

  test.each(cases)('%j asks %j: %i', async (credentials, asking, status) => {
    const verdict = await closed(credentials).admit(asking);
    expect(verdict.kind === 'granted' ? 200 : verdict.status).toBe(status);
    if (status === 401) {
      expect(verdict).toMatchObject({ challenges: ['Basic realm="headgate", charset="UTF-8"'] });
    }
  });
});
