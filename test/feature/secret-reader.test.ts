import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ApiClient } from '../../src/source/kube/api-client.ts';
import { Cluster } from '../../src/source/kube/cluster.ts';
import { SecretReader, type SecretReaderOptions } from '../../src/source/kube/secret-reader.ts';
import type { Manifest, SecretFault, SecretManifest } from '../../src/source/manifests.ts';
import { type Access, ApiServer, type LoggedRequest } from '../support/api-server/api-server.ts';
import { untilSo } from '../support/until.ts';

const router = 'system:serviceaccount:headgate:router';

/** A SecretReader of `shop/s`, on an API server of its own, with all that it told. */
class Reading implements AsyncDisposable {
  readonly server: ApiServer;
  readonly client: ApiClient;
  readonly reader: SecretReader;
  readonly told: (Manifest | undefined)[] = [];
  readonly problems: string[] = [];
  readonly #directory: string;
  readonly #looks: Set<() => void> = new Set();

  private constructor(server: ApiServer, directory: string, options: Partial<SecretReaderOptions>) {
    this.server = server;
    this.#directory = directory;
    this.client = new ApiClient({ kubeconfig: join(directory, 'kubeconfig'), apiServer: '' });
    this.reader = new SecretReader({
      client: this.client,
      namespace: 'shop',
      name: 's',
      serviceAccount: '',
      inactivityMs: 60_000,
      gate: (request) => request(),
      onEvent: ({ key, manifest }) => {
        expect(key).toBe('Secret/shop/s');
        this.told.push(manifest);
        this.#look();
      },
      onProblem: (reason) => {
        this.problems.push(reason);
        this.#look();
      },
      ...options,
    });
  }

  static async open(
    prepare: (server: ApiServer) => void,
    options: Partial<SecretReaderOptions> = {},
  ): Promise<Reading> {
    const server = await ApiServer.start();
    const directory = await mkdtemp(join(tmpdir(), 'secret-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    prepare(server);
    return new Reading(server, directory, options);
  }

  /** The same, started. */
  static async started(...given: Parameters<typeof Reading.open>): Promise<Reading> {
    const reading = await Reading.open(...given);
    reading.reader.start();
    return reading;
  }

  /** Resolves when something is so, which is asked again with all that is told and all that the server sees. */
  until(isSo: () => boolean, ms: number = 10_000): Promise<void> {
    return untilSo(this.server, this.#looks, isSo, ms);
  }

  /** The last answer, once there are so many. */
  async answer(count = 1): Promise<SecretManifest | SecretFault> {
    await this.until(() => this.told.length >= count);
    return this.told.at(-1) as SecretManifest | SecretFault;
  }

  /** The last answer, once it holds this text. */
  async holding(text: string): Promise<void> {
    await this.until(() => {
      const last = this.told.at(-1);
      return last?.kind === 'Secret' && last.data['text'] === text;
    });
  }

  /** Resolves when the Secret is watched. */
  watching(): Promise<void> {
    return this.until(() => this.server.watchers('Secret') === 1);
  }

  requests(resource: string): LoggedRequest[] {
    return this.server.requests.filter((request) => request.resource === resource);
  }

  #look(): void {
    for (const look of this.#looks) look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reader.close();
    this.client.close();
    await this.server[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

function addSecret(server: ApiServer, text = 'first', name = 's', type = 'kubernetes.io/tls'): void {
  const data = { text: Buffer.from(text).toString('base64') };
  server.create({ kind: 'Secret', metadata: { name, namespace: 'shop' }, type, data });
}

/** A Secret that nobody can make sense of. */
function addGarbage(server: ApiServer): void {
  server.create({ kind: 'Secret', metadata: { name: 's', namespace: 'shop' }, data: { text: '%' } });
}

const fault = (denied: readonly string[], read: SecretFault['read'], message: unknown = ''): object => ({
  kind: 'SecretFault',
  namespace: 'shop',
  name: 's',
  denied,
  read,
  message,
});

describe.concurrent('may the router read it? (Route semantics 7.1)', () => {
  test('asked for the account that is configured', async () => {
    const asked: (readonly [string, Access])[] = [];
    const prepare = (server: ApiServer): void => {
      addSecret(server);
      server.sarAllows((user, access) => {
        asked.push([user, access]);
        return true;
      });
    };
    await using reading = await Reading.started(prepare, { serviceAccount: 'openshift-ingress/router-a' });
    await reading.holding('first');
    expect(reading.requests('subjectaccessreviews').map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(reading.requests('selfsubjectaccessreviews')).toEqual([]);
    expect(asked.map(([user, { verb }]) => `${user} ${verb}`).sort()).toEqual([
      'system:serviceaccount:openshift-ingress:router-a get',
      'system:serviceaccount:openshift-ingress:router-a list',
      'system:serviceaccount:openshift-ingress:router-a watch',
    ]);
    const wanted = { group: '', resource: 'secrets', subresource: '', namespace: 'shop', name: 's' };
    for (const [, access] of asked) expect(access).toMatchObject(wanted);
  });

  test('asked for itself', async () => {
    const users = new Set<string>();
    const prepare = (server: ApiServer): void => {
      addSecret(server);
      server.sarAllows((user) => users.add(user).size > 0);
    };
    await using reading = await Reading.started(prepare);
    await reading.holding('first');
    expect(reading.requests('selfsubjectaccessreviews')).toHaveLength(3);
    expect(reading.requests('subjectaccessreviews')).toEqual([]);
    expect(users).toEqual(new Set([router]));
  });

  const forbidden = `secrets "s" is forbidden: User "${router}" cannot get resource "secrets" in API group "" in the namespace "shop"`;
  const denials: readonly (readonly [
    name: string,
    allowed: readonly string[],
    canRead: boolean,
    isThere: boolean,
    expected: object,
  ])[] = [
    ['all, and it cannot be read', [], false, true, fault(['get', 'watch', 'list'], 'unreadable', forbidden)],
    ['all, and there is none to read', [], false, false, fault(['get', 'watch', 'list'], 'unreadable', forbidden)],
    ['all, though it can be read', [], true, true, fault(['get', 'watch', 'list'], 'not-tried')],
    ['all, and there is none', [], true, false, fault(['get', 'watch', 'list'], 'absent')],
    ['get', ['list', 'watch'], true, true, fault(['get'], 'not-tried')],
    ['watch', ['get', 'list'], true, true, fault(['watch'], 'not-tried')],
    ['list', ['watch', 'get'], true, false, fault(['list'], 'absent')],
    ['list and watch', ['get'], true, true, fault(['watch', 'list'], 'not-tried')],
  ];
  test.each(denials)('denied: %s (observed 28)', async (_name, allowed, canRead, isThere, expected) => {
    const prepare = (server: ApiServer): void => {
      if (isThere) addSecret(server);
      server.sarAllows((_, { verb }) => allowed.includes(verb));
      server.allow(({ resource }) => canRead || resource !== 'secrets');
    };
    await using reading = await Reading.started(prepare);
    expect(await reading.answer()).toEqual(expected);
    // One that is denied is neither listed nor watched.
    expect(reading.requests('secrets').map(({ verb, name }) => `${verb} ${name}`)).toEqual(['get s']);
  });

  test('granted later', async () => {
    let isAllowed = false;
    const prepare = (server: ApiServer): void => {
      addSecret(server);
      server.sarAllows(() => isAllowed);
    };
    await using reading = await Reading.started(prepare);
    expect(await reading.answer()).toMatchObject({ kind: 'SecretFault', denied: ['get', 'watch', 'list'] });
    isAllowed = true;
    await reading.holding('first');
  });

  test('one verb after the other', async () => {
    const allowed = new Set<string>();
    const prepare = (server: ApiServer): void => {
      addSecret(server);
      server.sarAllows((_, { verb }) => allowed.has(verb));
    };
    await using reading = await Reading.started(prepare);
    await reading.answer();
    allowed.add('get');
    await reading.until(() => (reading.told.at(-1) as SecretFault).denied.join() === 'watch,list');
    for (const verb of ['list', 'watch']) allowed.add(verb);
    await reading.holding('first');
  });

  test('it cannot be asked: the owner is told after a while, and it is read when it can be', async () => {
    let takeBack: () => void = () => {};
    const prepare = (server: ApiServer): void => {
      addSecret(server);
      takeBack = server.fault({
        kind: 'status',
        code: 500,
        times: 1000,
        match: { resource: 'selfsubjectaccessreviews' },
      });
    };
    await using reading = await Reading.started(prepare);
    const message = expect.stringContaining('etcdserver: leader changed');
    expect(await reading.answer()).toEqual(fault([], 'unreadable', message));
    expect(reading.requests('selfsubjectaccessreviews').length).toBeGreaterThanOrEqual(9);
    takeBack();
    await reading.holding('first');
    expect(reading.told).toHaveLength(2);
  });

  test('one failure to ask is told to nobody', async () => {
    const prepare = (server: ApiServer): void => {
      addSecret(server);
      server.fault({ kind: 'drop', times: 1, match: { resource: 'selfsubjectaccessreviews' } });
    };
    await using reading = await Reading.started(prepare);
    await reading.holding('first');
    expect(reading.told).toHaveLength(1);
  });
});

describe.concurrent('what it holds', () => {
  test('renewed, deleted, created again', async () => {
    await using reading = await Reading.started((server) => addSecret(server));
    const { server } = reading;
    await reading.holding('first');
    server.update('Secret', 'shop', 's', { data: { text: Buffer.from('second').toString('base64') } });
    await reading.holding('second');
    server.delete('Secret', 'shop', 's');
    expect(await reading.answer(3)).toEqual(fault([], 'absent'));
    addSecret(server, 'third');
    await reading.holding('third');
    expect(reading.told).toHaveLength(4);
    expect(reading.problems).toEqual([]);
  });

  test('not there, and created', async () => {
    await using reading = await Reading.started(() => {});
    expect(await reading.answer()).toEqual(fault([], 'absent'));
    await reading.watching();
    addSecret(reading.server);
    await reading.holding('first');
  });

  test('deleted and created again while nobody saw it', async () => {
    await using reading = await Reading.started((server) => addSecret(server));
    const { server } = reading;
    await reading.holding('first');
    await reading.watching();
    server.stallWatches();
    server.delete('Secret', 'shop', 's');
    addSecret(server, 'second');
    server.dropWatches();
    server.expireHistory();
    await reading.holding('second');
  });

  test('deleted while nobody saw it', async () => {
    await using reading = await Reading.started((server) => addSecret(server));
    await reading.holding('first');
    await reading.watching();
    await reading.server.stop();
    reading.server.delete('Secret', 'shop', 's');
    await reading.server.restart({ keepHistory: false });
    expect(await reading.answer(2)).toEqual(fault([], 'absent'));
  });

  test('nobody could make sense of it, and it was deleted while nobody saw it', async () => {
    await using reading = await Reading.started((server) => addGarbage(server));
    expect(await reading.answer()).toEqual(fault([], 'unreadable', expect.stringContaining('illegal base64 data')));
    await reading.watching();
    await reading.server.stop();
    reading.server.delete('Secret', 'shop', 's');
    await reading.server.restart({ keepHistory: false });
    expect(await reading.answer(2)).toEqual(fault([], 'absent'));
  });

  test('of another type: told as it is', async () => {
    await using reading = await Reading.started((server) => addSecret(server, 'first', 's', 'Opaque'));
    expect(await reading.answer()).toMatchObject({ kind: 'Secret', type: 'Opaque', data: { text: 'first' } });
  });

  test('no other Secret is asked for, or told of', async () => {
    const prepare = (server: ApiServer): void => {
      for (const name of ['r', 's', 't']) addSecret(server, name, name);
      server.allow(({ resource, name }) => resource !== 'secrets' || name === 's');
    };
    await using reading = await Reading.started(prepare);
    await reading.holding('s');
    await reading.watching();
    reading.server.update('Secret', 'shop', 't', { type: 'Opaque' });
    reading.server.update('Secret', 'shop', 's', { data: { text: Buffer.from('new').toString('base64') } });
    await reading.holding('new');
    expect(new Set(reading.requests('secrets').map(({ query }) => query['fieldSelector']))).toEqual(
      new Set(['metadata.name=s']),
    );
    expect(reading.told).toHaveLength(2);
  });

  test('allowed, and yet it cannot be read: an answer comes all the same', async () => {
    // The account that is asked for is not the one that the router runs as.
    const prepare = (server: ApiServer): void => {
      addSecret(server);
      server.sarAllows(() => true);
      server.allow(({ resource }) => resource !== 'secrets');
    };
    await using reading = await Reading.started(prepare, { serviceAccount: 'openshift-ingress/router' });
    await reading.until(() => reading.told.length > 0, 5_000);
    expect(reading.told[0]).toEqual(fault([], 'unreadable', expect.stringContaining('secrets "s" is forbidden')));
    expect(reading.problems.length).toBeGreaterThan(0);
  });

  test('there, and nobody can make sense of it: that is not the same as absent', async () => {
    await using reading = await Reading.started((server) => addGarbage(server));
    expect(await reading.answer()).toEqual(fault([], 'unreadable', expect.stringContaining('illegal base64 data')));
    await reading.watching();
    reading.server.delete('Secret', 'shop', 's');
    await reading.until(() => reading.told.length === 2);
    expect(reading.told[1]).toEqual(fault([], 'absent'));
    addGarbage(reading.server);
    expect(await reading.answer(3)).toEqual(fault([], 'unreadable', expect.stringContaining('illegal base64 data')));
  });

  test('known to be absent: a watch that fails says nothing about it', async () => {
    const prepare = (server: ApiServer): void => {
      server.fault({ kind: 'status', code: 504, match: { resource: 'secrets', verb: 'watch' } });
    };
    await using reading = await Reading.started(prepare);
    expect(await reading.answer()).toEqual(fault([], 'absent'));
    await reading.watching();
    expect(reading.problems).toEqual([expect.stringMatching(/^shop\/s: Secret: /)]);
    addSecret(reading.server);
    await reading.holding('first');
    expect(reading.told).toHaveLength(2);
  });

  test('what is known stays while the API server is away', async () => {
    await using reading = await Reading.started((server) => addSecret(server));
    await reading.holding('first');
    await reading.watching();
    await reading.server.stop();
    await reading.until(() => reading.problems.length > 0);
    await reading.server.start();
    await reading.watching();
    expect(reading.told).toHaveLength(1);
    expect(reading.problems[0]).toMatch(/^shop\/s: Secret: /);
  });
});

describe.concurrent('the end', () => {
  test('nothing is watched or told any more', async () => {
    await using reading = await Reading.started((server) => addSecret(server));
    await reading.holding('first');
    await reading.watching();
    reading.reader.close();
    await reading.until(() => reading.server.watchers('Secret') === 0);
    reading.server.delete('Secret', 'shop', 's');
    await turn();
    expect(reading.told).toHaveLength(1);
  });

  test('while it waits for the right', async () => {
    await using reading = await Reading.started((server) => server.sarAllows(() => false));
    await reading.answer();
    reading.reader.close();
    const asked = reading.server.requests.length;
    await reading.client.get('/api/v1/services');
    expect(reading.server.requests.length).toBe(asked + 1);
  });

  test('an answer that was under way is not told', async () => {
    await using reading = await Reading.started((server) => {
      addSecret(server);
      server.slowList(50, 'Secret');
    });
    await reading.until(() => reading.requests('secrets').length === 1);
    reading.reader.close();
    await reading.until(() => reading.requests('secrets')[0]?.status === 200);
    for (let i = 0; i < 3; i++) await reading.client.get('/api/v1/services');
    expect(reading.told).toEqual([]);
  });
});

describe.concurrent('many Secrets', () => {
  test('so many questions at a time, each Secret read once, each let go of', async () => {
    const server = await ApiServer.start();
    await using _ = server;
    const directory = await mkdtemp(join(tmpdir(), 'secrets-'));
    await writeFile(join(directory, 'kubeconfig'), server.kubeconfig());
    const names = Array.from({ length: 60 }, (_, i) => `s${i}`);
    for (const name of names) addSecret(server, name, name);
    const client = new ApiClient({ kubeconfig: join(directory, 'kubeconfig'), apiServer: '' });
    const scope = {
      namespace: '',
      routeLabels: [],
      routeFields: [],
      namespaceLabels: [],
      projectLabels: null,
      serviceAccount: '',
      watchInactivityMs: 60_000,
    };
    const told: string[] = [];
    const cluster = new Cluster(client, scope, {
      onEvents: (events) => told.push(...events.map(({ key }) => key)),
      onProblem: () => {},
    });
    let most = 0;
    for (const name of names) cluster.want('shop', name, true);
    cluster.want('shop', 's0', true);
    await server.until((requests) => {
      const open = requests.filter(({ status, resource }) => status === 0 && resource === 'selfsubjectaccessreviews');
      most = Math.max(most, open.length);
      return server.watchers('Secret') === names.length;
    });
    expect(told.sort()).toEqual(names.map((name) => `Secret/shop/${name}`).sort());
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(16);
    for (const name of names.slice(1)) cluster.want('shop', name, false);
    cluster.want('shop', 'unknown', false);
    await server.until(() => server.watchers('Secret') === 1);
    await cluster.close();
    await server.until(() => server.watchers('Secret') === 0);
    client.close();
    await rm(directory, { recursive: true });
  });
});
