// The API server that other tests run clients against, held to what kube-apiserver does. All over real HTTPS.

import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type RequestOptions, request } from 'node:https';
import { gunzipSync } from 'node:zlib';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { ApiServer, type Fault, type Kind } from '../support/api-server/api-server.ts';

const routes = '/apis/route.openshift.io/v1/routes';
const shopRoutes = '/apis/route.openshift.io/v1/namespaces/shop/routes';
const json = 'application/json';
const mergePatch = 'application/merge-patch+json';
const jsonPatch = 'application/json-patch+json';

/** What a body holds: members to look at, and to hand to `expect`. */
interface Json {
  readonly [name: string]: Json;
}

type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly body: Json;
};

type Ask = { readonly body?: unknown; readonly type?: string; readonly token?: string | null; readonly gzip?: boolean };

/** One request on a connection of its own. */
function ask(server: ApiServer, method: string, path: string, options: Ask = {}): Promise<Answer> {
  return new Promise((done, failed) => {
    const outgoing = request(`${server.url}${path}`, requestOptions(server, method, options), (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', failed);
      response.on('end', () => {
        const bytes = Buffer.concat(pieces);
        const text = (response.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString();
        const body = text.startsWith('{') ? JSON.parse(text) : null;
        done({ status: response.statusCode ?? 0, headers: response.headers, text, body });
      });
    });
    outgoing.on('error', failed);
    outgoing.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });
}

function requestOptions(server: ApiServer, method: string, options: Ask): RequestOptions {
  const { token = 'token', type = json } = options;
  // Node sends the body of a DELETE without a length of its own accord, which no server can read.
  const length = Buffer.byteLength(JSON.stringify(options.body) ?? '');
  const headers = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(options.body === undefined ? {} : { 'content-type': type, 'content-length': length }),
    ...(options.gzip === true ? { 'accept-encoding': 'gzip' } : {}),
  };
  return { method, ca: server.ca, agent: false, headers };
}

function get(server: ApiServer, path: string): Promise<Answer> {
  return ask(server, 'GET', path);
}

type WatchEvent = { readonly type: string; readonly object: Json };

/** The lines of a watch as they come. */
class WatchReader {
  status = 0;
  text = '';
  /** How the body ended: all of it came, or the connection broke. */
  readonly ended: Promise<'end' | 'broken'>;
  #taken = 0;
  #wake: () => void = () => {};
  #isOver = false;

  constructor(server: ApiServer, path: string, opened: (reader: WatchReader) => void) {
    this.ended = new Promise((done) => {
      const over = (how: 'end' | 'broken'): void => {
        this.#isOver = true;
        done(how);
        this.#wake();
      };
      const outgoing = request(`${server.url}${path}`, requestOptions(server, 'GET', {}), (response) => {
        this.status = response.statusCode ?? 0;
        response.setEncoding('utf8').on('data', (piece: string) => {
          this.text += piece;
          this.#wake();
        });
        response.on('end', () => over('end'));
        response.on('error', () => over('broken'));
        opened(this);
      });
      outgoing.on('error', () => over('broken'));
      outgoing.end();
    });
  }

  /** The next whole line, null at the end. */
  async line(): Promise<string | null> {
    for (;;) {
      const end = this.text.indexOf('\n', this.#taken);
      if (end >= 0) {
        const line = this.text.slice(this.#taken, end);
        this.#taken = end + 1;
        return line;
      }
      if (this.#isOver) return null;
      await new Promise<void>((woken) => {
        this.#wake = woken;
      });
    }
  }

  async next(): Promise<WatchEvent | null> {
    const line = await this.line();
    return line === null ? null : JSON.parse(line);
  }

  /** `ADDED a 991`, so many times. */
  async brief(count: number): Promise<string[]> {
    const events: string[] = [];
    for (let i = 0; i < count; i++) {
      const event = await this.next();
      if (event === null) return [...events, 'the end'];
      const { name, resourceVersion } = event.object['metadata'] ?? {};
      events.push([event.type, name, resourceVersion].filter((part) => part !== undefined).join(' '));
    }
    return events;
  }
}

function watch(server: ApiServer, path: string): Promise<WatchReader> {
  return new Promise((opened) => new WatchReader(server, path, opened));
}

function itemsOf(list: Answer): readonly Json[] {
  return list.body['items'] as unknown as readonly Json[];
}

function namesOf(list: Answer): string[] {
  return itemsOf(list).map((item) => String(item['metadata']?.['name']));
}

function add(server: ApiServer, name: string, labels: Record<string, string> = {}, namespace = 'shop'): void {
  server.create({ kind: 'Route', metadata: { name, namespace, labels }, spec: { host: `${name}.test` } });
}

/** With Routes a, b, c ... in the namespace shop, from resourceVersion 991 on. */
async function serverWith(count: number, options: Parameters<typeof ApiServer.start>[0] = {}): Promise<ApiServer> {
  const server = await ApiServer.start(options);
  for (const name of 'abcdefgh'.slice(0, count)) add(server, name);
  return server;
}

describe('lists', () => {
  const kinds: [Kind, string, string, boolean][] = [
    ['Route', routes, 'route.openshift.io/v1', true],
    ['Namespace', '/api/v1/namespaces', 'v1', false],
    ['Service', '/api/v1/services', 'v1', false],
    ['Secret', '/api/v1/namespaces/default/secrets', 'v1', false],
    ['Event', '/api/v1/events', 'v1', false],
    ['EndpointSlice', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', 'discovery.k8s.io/v1', false],
  ];
  test.each(kinds)(
    'of %s: items say their kind only where a CRD serves them',
    async (kind, path, apiVersion, isNamed) => {
      await using server = await ApiServer.start();
      server.create({ kind, metadata: { name: 'a' } });
      const list = await get(server, path);
      expect(list.body).toMatchObject({ kind: `${kind}List`, apiVersion, metadata: { resourceVersion: '991' } });
      const [item] = itemsOf(list);
      expect(item?.['metadata']).toMatchObject({ name: 'a', resourceVersion: '991' });
      expect([item?.['kind'], item?.['apiVersion']]).toEqual(isNamed ? [kind, apiVersion] : [undefined, undefined]);
    },
  );

  test('one object says its kind, of whatever kind it is', async () => {
    await using server = await ApiServer.start();
    server.create({ kind: 'Service', metadata: { name: 'a' } });
    expect((await get(server, '/api/v1/namespaces/default/services/a')).body).toMatchObject({
      ...{ kind: 'Service', apiVersion: 'v1' },
      metadata: { name: 'a', namespace: 'default', uid: expect.any(String), creationTimestamp: expect.any(String) },
    });
  });

  test('come in the order of namespace and name', async () => {
    await using server = await ApiServer.start();
    for (const [namespace, name] of [
      ['b', 'a'],
      ['a', 'z'],
      ['a', 'b'],
    ] as const)
      add(server, name, {}, namespace);
    expect(namesOf(await get(server, routes))).toEqual(['b', 'z', 'a']);
    expect(namesOf(await get(server, '/apis/route.openshift.io/v1/namespaces/a/routes'))).toEqual(['b', 'z']);
  });

  test('in pages are of the version that the first page was of', async () => {
    await using server = await serverWith(5);
    const first = await get(server, `${routes}?limit=2`);
    expect(namesOf(first)).toEqual(['a', 'b']);
    expect(first.body['metadata']).toMatchObject({ resourceVersion: '995', remainingItemCount: 3 });
    server.delete('Route', 'shop', 'c');
    add(server, 'bb');
    server.update('Route', 'shop', 'd', { spec: { host: 'new.test' } });
    const token = encodeURIComponent(String(first.body['metadata']?.['continue']));
    const second = await get(server, `${routes}?limit=2&continue=${token}`);
    expect(namesOf(second)).toEqual(['c', 'd']);
    expect(itemsOf(second)[1]?.['spec']).toEqual({ host: 'd.test' });
    expect(second.body['metadata']).toMatchObject({ resourceVersion: '995', remainingItemCount: 1 });
    const third = await get(server, `${routes}?limit=2&continue=${second.body['metadata']?.['continue']}`);
    expect(namesOf(third)).toEqual(['e']);
    expect(third.body['metadata']).toEqual({ resourceVersion: '995' });
  });

  test('with a selector count nothing that remains, and may end on an empty page', async () => {
    await using server = await ApiServer.start();
    for (const name of ['a', 'b']) add(server, name, { in: 'yes' });
    add(server, 'c');
    const first = await get(server, `${routes}?limit=2&labelSelector=in%3Dyes`);
    expect(namesOf(first)).toEqual(['a', 'b']);
    expect(first.body['metadata']).toEqual({ resourceVersion: '993', continue: expect.any(String) });
    const token = first.body['metadata']?.['continue'];
    const second = await get(server, `${routes}?limit=2&labelSelector=in%3Dyes&continue=${token}`);
    expect(second.body).toMatchObject({ metadata: { resourceVersion: '993' }, items: [] });
  });

  test('whose history is gone go on only from what there is now', async () => {
    await using server = await serverWith(4);
    const first = await get(server, `${routes}?limit=2`);
    server.expireHistory();
    server.delete('Route', 'shop', 'c');
    const gone = await get(server, `${routes}?limit=2&continue=${first.body['metadata']?.['continue']}`);
    expect(gone).toMatchObject({ status: 410, body: { kind: 'Status', reason: 'Expired', code: 410 } });
    const rest = await get(server, `${routes}?limit=2&continue=${gone.body['metadata']?.['continue']}`);
    expect(namesOf(rest)).toEqual(['d']);
    expect(rest.body['metadata']).toEqual({ resourceVersion: '996' });
  });

  test.each<[query: string, names: string[], resourceVersion: string]>([
    ['', ['a', 'b', 'c'], '993'],
    ['?resourceVersion=0', ['a', 'b', 'c'], '993'],
    // The watch cache knows no limit.
    ['?resourceVersion=0&limit=1', ['a', 'b', 'c'], '993'],
    ['?resourceVersion=991', ['a', 'b', 'c'], '993'],
    ['?resourceVersion=991&resourceVersionMatch=NotOlderThan', ['a', 'b', 'c'], '993'],
    ['?resourceVersion=992&resourceVersionMatch=Exact', ['a', 'b'], '992'],
    ['?resourceVersion=992&limit=9', ['a', 'b'], '992'],
  ])('%s', async (query, names, resourceVersion) => {
    await using server = await serverWith(3);
    const list = await get(server, routes + query);
    expect(namesOf(list)).toEqual(names);
    expect(list.body['metadata']?.['resourceVersion']).toBe(resourceVersion);
  });

  test.each<[query: string, status: number, reason: string, message: string]>([
    ['?resourceVersion=5000', 504, 'Timeout', 'Timeout: Too large resource version: 5000, current: 991'],
    [
      '?resourceVersion=5&resourceVersionMatch=Exact',
      410,
      'Expired',
      'The resourceVersion for the provided list is too old.',
    ],
    ['?resourceVersion=x', 400, 'BadRequest', 'invalid resource version'],
    ['?continue=x', 400, 'BadRequest', 'continue key is not valid'],
    [
      '?continue=x&resourceVersion=5',
      400,
      'BadRequest',
      'specifying resource version is not allowed when using continue',
    ],
    ['?limit=x', 400, 'BadRequest', 'invalid syntax'],
    [
      '?resourceVersionMatch=Exact',
      422,
      'Invalid',
      'resourceVersionMatch is forbidden unless resourceVersion is provided',
    ],
    ['?resourceVersion=0&resourceVersionMatch=Exact', 422, 'Invalid', 'is forbidden for resourceVersion "0"'],
    ['?resourceVersion=1&resourceVersionMatch=x', 422, 'Invalid', 'Unsupported value: "x"'],
    ['?sendInitialEvents=true', 422, 'Invalid', 'sendInitialEvents is forbidden for list'],
  ])('%s is refused with %d', async (query, status, reason, message) => {
    await using server = await serverWith(1);
    const refusal = await get(server, routes + query);
    expect(refusal.body).toMatchObject({ kind: 'Status', status: 'Failure', code: status, reason });
    expect(refusal.status).toBe(status);
    expect(refusal.body['message']).toContain(message);
  });

  test('are compressed where they are large and the client takes it', async () => {
    await using server = await ApiServer.start();
    for (let i = 0; i < 1000; i++) add(server, `r${i}`);
    const plain = await get(server, routes);
    const packed = await ask(server, 'GET', routes, { gzip: true });
    expect([plain.headers['content-encoding'], packed.headers['content-encoding']]).toEqual([undefined, 'gzip']);
    expect(packed.body).toEqual(plain.body);
  });
});

describe('selectors', () => {
  test.each<[selector: string, names: string]>([
    ['', 'abcd'],
    ['tier=front', 'a'],
    ['tier==front', 'a'],
    ['tier!=front', 'bcd'],
    ['tier in (front, back)', 'ab'],
    ['tier notin (front,back)', 'cd'],
    ['tier', 'abc'],
    ['!tier', 'd'],
    ['tier=', 'c'],
    ['tier in (,front)', 'ac'],
    ['tier,size>1', 'b'],
    ['size<2', 'a'],
    ['example.com/x=1,tier=front', 'a'],
    ['in=out', 'd'],
    [' tier = front , size = 1 ', 'a'],
  ])('labels: %s', async (selector, names) => {
    await using server = await ApiServer.start();
    add(server, 'a', { tier: 'front', size: '1', 'example.com/x': '1' });
    add(server, 'b', { tier: 'back', size: '2' });
    add(server, 'c', { tier: '' });
    add(server, 'd', { in: 'out' });
    expect(namesOf(await get(server, `${routes}?labelSelector=${encodeURIComponent(selector)}`)).join('')).toBe(names);
  });

  test.each([
    'a=b,',
    ',a',
    'a=b=c',
    'a in b',
    'a in (b',
    'a b',
    '!',
    'a>b',
    '-a=b',
    'a=-b',
    'a in (b c)',
    '(a)',
    `a=${'x'.repeat(64)}`,
  ])('labels: %s is refused', async (selector) => {
    await using server = await ApiServer.start();
    const refusal = await get(server, `${routes}?labelSelector=${encodeURIComponent(selector)}`);
    expect(refusal).toMatchObject({ status: 400, body: { reason: 'BadRequest' } });
    expect(refusal.body['message']).toContain('unable to parse requirement');
  });

  test.each<[selector: string, names: string]>([
    ['metadata.name=a', 'aa'],
    ['metadata.name==a,metadata.namespace=shop', 'a'],
    ['metadata.namespace!=shop', 'a'],
    ['spec.host=b.test', 'b'],
  ])('fields: %s', async (selector, names) => {
    await using server = await serverWith(2, { selectableRouteFields: true });
    add(server, 'a', {}, 'other');
    expect(namesOf(await get(server, `${routes}?fieldSelector=${encodeURIComponent(selector)}`)).join('')).toBe(names);
  });

  test.each<[path: string, selector: string, message: string]>([
    [routes, 'spec.host=a', 'field label not supported: spec.host'],
    ['/api/v1/namespaces', 'metadata.namespace=a', 'field label not supported: metadata.namespace'],
    [
      '/apis/discovery.k8s.io/v1/endpointslices',
      'x=a',
      '"x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ],
    [routes, 'metadata.name', "invalid selector: 'metadata.name'; can't understand 'metadata.name'"],
  ])('fields of %s: %s is refused', async (path, selector, message) => {
    await using server = await ApiServer.start();
    const refusal = await get(server, `${path}?fieldSelector=${encodeURIComponent(selector)}`);
    expect(refusal).toMatchObject({ status: 400, body: { reason: 'BadRequest', message } });
  });
});

describe('watches', () => {
  test('tell what came after a resourceVersion', async () => {
    await using server = await serverWith(2);
    const events = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    expect(await events.brief(1)).toEqual(['ADDED b 992']);
    server.update('Route', 'shop', 'a', { spec: { host: 'new.test' } });
    server.delete('Route', 'shop', 'a');
    const modified = await events.next();
    expect(modified).toMatchObject({
      type: 'MODIFIED',
      object: { kind: 'Route', apiVersion: 'route.openshift.io/v1', spec: { host: 'new.test' } },
    });
    expect(modified?.object['metadata']).toMatchObject({ name: 'a', resourceVersion: '993', generation: 2 });
    expect(await events.brief(1)).toEqual(['DELETED a 994']);
    expect(server.watchers('Route')).toBe(1);
  });

  test.each(['', '&resourceVersion=0'])('without one (%s) begin with all that there is', async (version) => {
    await using server = await serverWith(2);
    const events = await watch(server, `${shopRoutes}?watch=true${version}`);
    add(server, 'c');
    expect(await events.brief(3)).toEqual(['ADDED a 991', 'ADDED b 992', 'ADDED c 993']);
  });

  test('from a version to come tell nothing until then', async () => {
    await using server = await serverWith(1);
    const events = await watch(server, `${routes}?watch=1&resourceVersion=993`);
    for (const name of 'bcd') add(server, name);
    expect(await events.brief(1)).toEqual(['ADDED d 994']);
  });

  test('see what enters and leaves their selection', async () => {
    await using server = await ApiServer.start();
    const events = await watch(server, `${shopRoutes}?watch=1&labelSelector=shard%3Da`);
    add(server, 'x', { shard: 'b' });
    server.patchMeta('Route', 'shop', 'x', { labels: { shard: 'a' } });
    server.patchMeta('Route', 'shop', 'x', { annotations: { seen: 'yes' } });
    server.patchMeta('Route', 'shop', 'x', { labels: { shard: 'b' } });
    server.delete('Route', 'shop', 'x');
    add(server, 'y', { shard: 'a' }, 'other');
    add(server, 'z', { shard: 'a' });
    expect(await events.brief(2)).toEqual(['ADDED x 992', 'MODIFIED x 993']);
    const left = await events.next();
    // The content is from before the change, the resourceVersion is the change's own.
    expect(left).toMatchObject({
      type: 'DELETED',
      object: { metadata: { labels: { shard: 'a' }, resourceVersion: '994' } },
    });
    expect(await events.brief(1)).toEqual(['ADDED z 997']);
  });

  test('of one object by name', async () => {
    await using server = await ApiServer.start();
    const field = encodeURIComponent('metadata.name=b');
    const events = await watch(server, `/api/v1/namespaces/shop/secrets?watch=1&fieldSelector=${field}`);
    for (const name of ['a', 'b']) server.create({ kind: 'Secret', metadata: { name, namespace: 'shop' } });
    expect(await events.brief(1)).toEqual(['ADDED b 992']);
    expect(server.requests.at(-1)).toMatchObject({ verb: 'watch', resource: 'secrets', namespace: 'shop', name: 'b' });
  });

  test('are sent bookmarks where they allow them', async () => {
    await using server = await serverWith(1, { bookmarkMs: 5 });
    const plain = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    const marked = await watch(server, `${routes}?watch=1&resourceVersion=991&allowWatchBookmarks=true`);
    expect(await marked.next()).toEqual({
      type: 'BOOKMARK',
      object: { kind: 'Route', apiVersion: 'route.openshift.io/v1', metadata: { resourceVersion: '991' } },
    });
    // A bookmark may be later than anything of its kind.
    server.create({ kind: 'Secret', metadata: { name: 's' } });
    for (let event = ''; !event.endsWith(' 992'); ) [event = ''] = await marked.brief(1);
    add(server, 'b');
    expect(await plain.brief(1)).toEqual(['ADDED b 993']);
  });

  test('of built-in kinds have the zero value of the type in a bookmark', async () => {
    await using server = await ApiServer.start({ bookmarkMs: 5 });
    const marked = await watch(server, '/api/v1/services?watch=1&allowWatchBookmarks=true');
    expect((await marked.next())?.object).toEqual({
      ...{ kind: 'Service', apiVersion: 'v1', metadata: { resourceVersion: '990' } },
      ...{ spec: {}, status: { loadBalancer: {} } },
    });
  });

  test('can mark where the initial objects end', async () => {
    await using server = await serverWith(1);
    const initial = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const events = await watch(server, `${routes}?watch=1&${initial}`);
    expect(await events.brief(1)).toEqual(['ADDED a 991']);
    expect((await events.next())?.object['metadata']).toEqual({
      resourceVersion: '991',
      annotations: { 'k8s.io/initial-events-end': 'true' },
    });
    const fromNow = await watch(server, `${routes}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`);
    add(server, 'b');
    expect(await fromNow.brief(1)).toEqual(['ADDED b 992']);
  });

  test.each([
    'resourceVersionMatch=NotOlderThan',
    'sendInitialEvents=true',
    'sendInitialEvents=true&resourceVersionMatch=Exact',
  ])('with %s alone are refused', async (query) => {
    await using server = await ApiServer.start();
    const refusal = await get(server, `${routes}?watch=1&${query}`);
    expect(refusal).toMatchObject({ status: 422, body: { reason: 'Invalid', details: { kind: 'ListOptions' } } });
  });

  test('end in order after timeoutSeconds', async () => {
    await using server = await serverWith(1);
    const events = await watch(server, `${routes}?watch=1&resourceVersion=991&timeoutSeconds=1`);
    expect(await events.brief(1)).toEqual(['the end']);
    expect(await events.ended).toBe('end');
    await server.until(() => server.watchers('Route') === 0);
  });

  test('from before the history are told so by an event', async () => {
    await using server = await serverWith(6, { historyLimit: 3 });
    const old = await watch(server, `${routes}?watch=1&resourceVersion=992`);
    expect(old.status).toBe(200);
    expect(await old.next()).toEqual({
      type: 'ERROR',
      object: {
        ...{ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' },
        ...{ message: 'too old resource version: 992 (993)', reason: 'Expired', code: 410 },
      },
    });
    expect(await old.ended).toBe('end');
    const known = await watch(server, `${routes}?watch=1&resourceVersion=993`);
    expect(await known.brief(3)).toEqual(['ADDED d 994', 'ADDED e 995', 'ADDED f 996']);
    // Each kind has a history of its own.
    const other = await watch(server, '/api/v1/secrets?watch=1&resourceVersion=990');
    server.create({ kind: 'Secret', metadata: { name: 's' } });
    expect(await other.brief(1)).toEqual(['ADDED s 997']);
  });
});

describe('writes', () => {
  const route = {
    apiVersion: 'route.openshift.io/v1',
    kind: 'Route',
    metadata: { name: 'x' },
    spec: { host: 'x.test' },
  };

  test('POST: the server fills in what is its own', async () => {
    await using server = await ApiServer.start();
    const body = { ...route, metadata: { name: 'x', uid: 'mine', generation: 7 }, status: { ingress: [] } };
    const created = await ask(server, 'POST', shopRoutes, { body });
    expect(created.status).toBe(201);
    expect(created.body).toEqual({
      ...route,
      metadata: {
        ...{ name: 'x', namespace: 'shop', generation: 1, resourceVersion: '991' },
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
    });
    const again = await ask(server, 'POST', shopRoutes, { body });
    expect(again).toMatchObject({
      status: 409,
      body: { reason: 'AlreadyExists', message: 'routes.route.openshift.io "x" already exists' },
    });
    expect(server.get('Route', 'shop', 'x')).toEqual(created.body);
  });

  test('POST of an Event under a generated name', async () => {
    await using server = await ApiServer.start();
    const event = { metadata: { generateName: 'x.' }, involvedObject: { namespace: 'shop' }, reason: 'Admitted' };
    const created = await ask(server, 'POST', '/api/v1/namespaces/shop/events', { body: event });
    expect(created.status).toBe(201);
    expect(created.body['metadata']?.['name']).toMatch(/^x\.[a-z0-9]{5}$/);
    expect(server.list('Event')).toMatchObject([{ kind: 'Event', reason: 'Admitted' }]);
    const stray = await ask(server, 'POST', '/api/v1/namespaces/other/events', { body: event });
    expect(stray).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
  });

  test.each<[what: string, method: string, path: string, body: unknown, status: number, message: string]>([
    ['no name', 'POST', '', { ...route, metadata: {} }, 422, 'name or generateName is required'],
    ['no kind', 'POST', '', { metadata: { name: 'y' } }, 400, "Object 'Kind' is missing"],
    ['another kind', 'POST', '', { ...route, kind: 'Service' }, 400, 'cannot be handled as a Route'],
    ['another group', 'POST', '', { ...route, apiVersion: 'v1' }, 400, 'does not match the expected API version'],
    [
      'another namespace',
      'POST',
      '',
      { ...route, metadata: { name: 'y', namespace: 'z' } },
      400,
      'does not match the namespace',
    ],
    [
      'a version',
      'POST',
      '',
      { ...route, metadata: { name: 'y', resourceVersion: '1' } },
      500,
      'should not be set on objects',
    ],
    ['no JSON object', 'POST', '', 7, 400, 'json parse error'],
    [
      'no version',
      'PUT',
      '/x',
      route,
      422,
      'metadata.resourceVersion: Invalid value: 0: must be specified for an update',
    ],
    ['another name', 'PUT', '/x', { ...route, metadata: { name: 'y' } }, 400, 'does not match the name on the URL'],
    ['another uid', 'PUT', '/x', { ...route, metadata: { name: 'x', uid: 'y' } }, 409, 'UID in precondition: y'],
    [
      'no such object',
      'PUT',
      '/y',
      { ...route, metadata: { name: 'y' } },
      404,
      'routes.route.openshift.io "y" not found',
    ],
    ['no such object', 'DELETE', '/y', undefined, 404, 'routes.route.openshift.io "y" not found'],
    ['another uid', 'DELETE', '/x', { preconditions: { uid: 'y' } }, 409, 'UID in precondition: y'],
    [
      'another version',
      'DELETE',
      '/x',
      { preconditions: { resourceVersion: '1' } },
      409,
      'ResourceVersion in precondition: 1',
    ],
    ['the collection', 'PUT', '', route, 405, 'the server does not allow this method on the requested resource'],
    ['an object', 'POST', '/x', route, 405, 'the server does not allow this method on the requested resource'],
    ['only to see', 'DELETE', '/x?dryRun=All', undefined, 400, 'dryRun is not served'],
  ])('%s: %s %s is refused', async (_what, method, path, body, status, message) => {
    await using server = await ApiServer.start();
    add(server, 'x');
    const refusal = await ask(server, method, shopRoutes + path, { body });
    expect(refusal.body).toMatchObject({ kind: 'Status', status: 'Failure', code: status });
    expect(refusal.status).toBe(status);
    expect(refusal.body['message']).toContain(message);
    expect(server.resourceVersion).toBe('991');
  });

  test('PUT replaces all but the status, and only the version that it names', async () => {
    await using server = await ApiServer.start();
    const created = server.create({
      ...route,
      kind: 'Route',
      metadata: { name: 'x', namespace: 'shop' },
      status: { a: 1 },
    });
    const body = { ...created, spec: { host: 'new.test' }, status: { a: 2 } };
    const put = await ask(server, 'PUT', `${shopRoutes}/x`, { body });
    expect(put).toMatchObject({ status: 200, body: { spec: { host: 'new.test' }, status: { a: 1 } } });
    expect(put.body['metadata']).toMatchObject({ generation: 2, resourceVersion: '992', uid: created.metadata.uid });
    const stale = await ask(server, 'PUT', `${shopRoutes}/x`, { body });
    const message =
      'Operation cannot be fulfilled on routes.route.openshift.io "x": the object has been modified; ' +
      'please apply your changes to the latest version and try again';
    expect(stale).toMatchObject({ status: 409, body: { reason: 'Conflict', message } });
  });

  test('PUT of a built-in kind need not name a version', async () => {
    await using server = await ApiServer.start();
    server.create({ kind: 'Service', metadata: { name: 's' }, spec: { type: 'ClusterIP' } });
    const path = '/api/v1/namespaces/default/services/s';
    const put = await ask(server, 'PUT', path, { body: { metadata: { name: 's' }, spec: { type: 'ExternalName' } } });
    expect(put).toMatchObject({ status: 200, body: { kind: 'Service', spec: { type: 'ExternalName' } } });
    expect(put.body['metadata']?.['generation']).toBeUndefined();
  });

  const patched: [what: string, path: string, type: string, patch: unknown, expected: object][] = [
    [
      'merges the spec',
      '/x',
      mergePatch,
      { spec: { path: '/p' } },
      { generation: 2, spec: { host: 'x.test', path: '/p' } },
    ],
    ['removes what is null', '/x', mergePatch, { spec: { host: null } }, { generation: 2, spec: {} }],
    ['merges metadata', '/x', mergePatch, { metadata: { labels: { b: '2' } } }, { labels: { a: '1', b: '2' } }],
    ['leaves the status', '/x', mergePatch, { status: { b: 2 } }, { resourceVersion: '991' }],
    ['takes the version', '/x', mergePatch, { metadata: { resourceVersion: '991' }, spec: null }, { spec: undefined }],
    ['sets the status', '/x/status', mergePatch, { status: { b: 2 } }, { generation: 1, status: { a: 1, b: 2 } }],
    ['replaces lists', '/x/status', mergePatch, { status: { list: [3] } }, { status: { a: 1, list: [3] } }],
    [
      'leaves all but status',
      '/x/status',
      mergePatch,
      { spec: null, metadata: { uid: 'y' } },
      { resourceVersion: '991' },
    ],
    ['changes nothing', '/x/status', mergePatch, { status: { a: 1 } }, { resourceVersion: '991', status: { a: 1 } }],
    ['by operations', '/x', jsonPatch, [{ op: 'replace', path: '/spec/host', value: 'y' }], { spec: { host: 'y' } }],
    ['by a test', '/x', jsonPatch, [{ op: 'test', path: '/spec/host', value: 'x.test' }], { resourceVersion: '991' }],
    ['by adding', '/x/status', jsonPatch, [{ op: 'add', path: '/status/l', value: [1] }], { status: { a: 1, l: [1] } }],
  ];
  test.each(patched)('PATCH %s: %s', async (_what, path, type, body, expected) => {
    await using server = await ApiServer.start();
    const metadata = { name: 'x', namespace: 'shop', labels: { a: '1' } };
    server.create({ ...route, kind: 'Route', metadata, status: { a: 1 } });
    const answer = await ask(server, 'PATCH', shopRoutes + path, { body, type });
    expect(answer.status).toBe(200);
    const now = server.get('Route', 'shop', 'x');
    expect(answer.body).toEqual(now);
    expect({ ...now?.metadata, spec: now?.spec, status: now?.status }).toMatchObject(expected);
  });

  test.each<[what: string, path: string, type: string, patch: unknown, status: number, reason: string]>([
    ['of another version', '/x/status', mergePatch, { metadata: { resourceVersion: '7' } }, 409, 'Conflict'],
    ['of another uid', '/x', mergePatch, { metadata: { uid: 'y' } }, 422, 'Invalid'],
    ['of another name', '/x', mergePatch, { metadata: { name: 'y' } }, 400, 'BadRequest'],
    ['that is strategic', '/x', 'application/strategic-merge-patch+json', {}, 415, 'UnsupportedMediaType'],
    ['that is no object', '/x', mergePatch, [], 400, 'BadRequest'],
    ['that is no list', '/x', jsonPatch, {}, 400, 'BadRequest'],
    ['of what is not there', '/x', jsonPatch, [{ op: 'remove', path: '/spec/none' }], 422, 'Invalid'],
    ['of nobody', '/y/status', mergePatch, {}, 404, 'NotFound'],
    ['of no subresource', '/x/scale', mergePatch, {}, 404, 'NotFound'],
  ])('PATCH %s is refused', async (_what, path, type, body, status, reason) => {
    await using server = await ApiServer.start();
    add(server, 'x');
    const refusal = await ask(server, 'PATCH', shopRoutes + path, { body, type });
    expect(refusal).toMatchObject({ status, body: { kind: 'Status', reason, code: status } });
    expect(server.resourceVersion).toBe('991');
  });

  test('PUT of a status sets nothing else', async () => {
    await using server = await ApiServer.start();
    const metadata = { name: 'x', namespace: 'shop', resourceVersion: '991', labels: { a: 'b' } };
    add(server, 'x');
    const body = { ...route, metadata, spec: {}, status: { a: 1 } };
    expect(await ask(server, 'PUT', `${shopRoutes}/x/status`, { body })).toMatchObject({
      status: 200,
      body: {
        metadata: { resourceVersion: '992', generation: 1, labels: {} },
        spec: { host: 'x.test' },
        status: { a: 1 },
      },
    });
  });

  test('DELETE', async () => {
    await using server = await ApiServer.start();
    add(server, 'x');
    const uid = server.get('Route', 'shop', 'x')?.metadata.uid;
    expect((await ask(server, 'DELETE', `${shopRoutes}/x`)).body).toEqual({
      ...{ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' },
      details: { name: 'x', group: 'route.openshift.io', kind: 'routes', uid },
    });
    expect(server.get('Route', 'shop', 'x')).toBeNull();
  });

  test('by the test itself', async () => {
    await using server = await serverWith(1);
    const same = server.update('Route', 'shop', 'a', {});
    const changed = server.update('Route', 'shop', 'a', (draft) => {
      draft.spec = { ...draft.spec, path: '/p' };
    });
    expect([same.metadata.resourceVersion, changed.metadata.resourceVersion]).toEqual(['991', '992']);
    expect(changed).toMatchObject({ metadata: { generation: 2 }, spec: { host: 'a.test', path: '/p' } });
    expect(server.update('Route', 'shop', 'a', { status: { a: 1 } }).metadata.generation).toBe(2);
    expect(() => server.create({ kind: 'Route', metadata: { name: 'a', namespace: 'shop' } })).toThrow('already');
    expect(() => server.delete('Route', 'shop', 'b')).toThrow('there is no Route shop/b');
  });
});

describe('access', () => {
  test('tokens come and go', async () => {
    await using server = await ApiServer.start({ token: 'one' });
    const statusWith = async (token: string | null): Promise<number> =>
      (await ask(server, 'GET', routes, { token })).status;
    expect([await statusWith('one'), await statusWith('two'), await statusWith(null)]).toEqual([200, 401, 401]);
    server.tokens.add('two');
    server.tokens.delete('one');
    server.users.set('two', 'alice');
    expect([await statusWith('one'), await statusWith('two')]).toEqual([401, 200]);
    expect(server.requests.map(({ user, status }) => `${user} ${status}`)).toEqual([
      ...['system:serviceaccount:headgate:router 200', ' 401', ' 401', ' 401', 'alice 200'],
    ]);
    expect((await ask(server, 'GET', routes, { token: 'one' })).body).toEqual({
      ...{ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' },
      ...{ message: 'Unauthorized', reason: 'Unauthorized', code: 401 },
    });
  });

  const cluster = 'at the cluster scope';
  const shop = 'in the namespace "shop"';
  test.each<[method: string, path: string, title: string, what: string, where: string]>([
    ['GET', routes, 'routes.route.openshift.io', 'list resource "routes" in API group "route.openshift.io"', cluster],
    [
      'GET',
      `${shopRoutes}?watch=1`,
      'routes.route.openshift.io',
      'watch resource "routes" in API group "route.openshift.io"',
      shop,
    ],
    [
      'GET',
      `${shopRoutes}/a`,
      'routes.route.openshift.io "a"',
      'get resource "routes" in API group "route.openshift.io"',
      shop,
    ],
    [
      'PATCH',
      `${shopRoutes}/a/status`,
      'routes.route.openshift.io "a"',
      'patch resource "routes/status" in API group "route.openshift.io"',
      shop,
    ],
    ['GET', '/api/v1/services', 'services', 'list resource "services" in API group ""', cluster],
    ['GET', '/api/v1/namespaces/shop', 'namespaces "shop"', 'get resource "namespaces" in API group ""', shop],
    [
      'GET',
      '/api/v1/namespaces/shop/secrets?fieldSelector=metadata.name%3Ds',
      'secrets "s"',
      'list resource "secrets" in API group ""',
      shop,
    ],
    ['POST', '/api/v1/namespaces/shop/events', 'events', 'create resource "events" in API group ""', shop],
    [
      'DELETE',
      shopRoutes,
      'routes.route.openshift.io',
      'deletecollection resource "routes" in API group "route.openshift.io"',
      shop,
    ],
  ])('%s %s is refused in the words of RBAC', async (method, path, title, what, where) => {
    await using server = await ApiServer.start();
    server.allow(() => false);
    const refusal = await ask(server, method, path);
    const message = `${title} is forbidden: User "system:serviceaccount:headgate:router" cannot ${what} ${where}`;
    expect(refusal).toMatchObject({ status: 403, body: { reason: 'Forbidden', message } });
  });

  test('is asked about by what a request is', async () => {
    await using server = await ApiServer.start();
    server.allow(({ verb, resource, subresource }) => `${verb} ${resource}/${subresource}` === 'patch routes/status');
    add(server, 'a');
    expect((await get(server, routes)).status).toBe(403);
    const patch = { body: { status: {} }, type: mergePatch };
    expect((await ask(server, 'PATCH', `${shopRoutes}/a/status`, patch)).status).toBe(200);
  });

  const access = { verb: 'get', group: '', resource: 'secrets', namespace: 'shop', name: 's' };
  test.each<[resource: string, kind: string, spec: object]>([
    ['subjectaccessreviews', 'SubjectAccessReview', { user: 'alice', resourceAttributes: access }],
    ['selfsubjectaccessreviews', 'SelfSubjectAccessReview', { resourceAttributes: access }],
  ])('%s', async (resource, kind, spec) => {
    await using server = await ApiServer.start({ user: 'alice' });
    const path = `/apis/authorization.k8s.io/v1/${resource}`;
    const review = { apiVersion: 'authorization.k8s.io/v1', kind, spec };
    server.sarAllows((user, asked) => user === 'alice' && asked.verb === 'get' && asked.resource === 'secrets');
    expect(await ask(server, 'POST', path, { body: review })).toMatchObject({
      status: 201,
      body: { ...review, status: { allowed: true } },
    });
    server.sarAllows(() => false);
    expect((await ask(server, 'POST', path, { body: review })).body['status']).toEqual({ allowed: false });
    const empty = await ask(server, 'POST', path, { body: { spec: { user: 'alice' } } });
    expect(empty).toMatchObject({ status: 422, body: { reason: 'Invalid' } });
  });

  test('reviews answer as requests would be answered, where nothing else is said', async () => {
    await using server = await ApiServer.start();
    server.allow(({ user, resource }) => user !== 'bob' || resource !== 'secrets');
    const allowed = async (user: string): Promise<unknown> => {
      const body = { spec: { user, resourceAttributes: access } };
      const answer = await ask(server, 'POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', { body });
      return answer.body['status']?.['allowed'];
    };
    expect([await allowed('alice'), await allowed('bob')]).toEqual([true, false]);
  });

  test('tokens are reviewed', async () => {
    await using server = await ApiServer.start();
    const path = '/apis/authentication.k8s.io/v1/tokenreviews';
    const good = await ask(server, 'POST', path, { body: { spec: { token: 'token' } } });
    expect(good.body['status']).toMatchObject({
      authenticated: true,
      user: {
        username: 'system:serviceaccount:headgate:router',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:headgate', 'system:authenticated'],
      },
    });
    const bad = await ask(server, 'POST', path, { body: { spec: { token: 'x' } } });
    expect(bad.body['status']).toEqual({ user: {}, error: '[invalid bearer token, token lookup failed]' });
    const self = await ask(server, 'POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', { body: {} });
    expect(self.body).toMatchObject({
      kind: 'SelfSubjectReview',
      status: { userInfo: { username: 'system:serviceaccount:headgate:router' } },
    });
    expect((await get(server, path)).status).toBe(405);
  });
});

describe('what is served', () => {
  test.each<[path: string, status: number, text: string]>([
    ['/version', 200, '"gitVersion": "v1.36.0"'],
    ['/readyz', 200, 'ok'],
    ['/nothing', 404, '404 page not found'],
    ['/api/v1/services/%', 404, '404 page not found'],
    ['//', 404, '404 page not found'],
    ['/apis/none.test/v1/things', 404, '404 page not found'],
    ['/apis/route.openshift.io/v2/routes', 404, '404 page not found'],
    ['/apis/project.openshift.io/v1/projects', 404, '404 page not found'],
    ['/apis/route.openshift.io/v1/things', 404, 'the server could not find the requested resource'],
    ['/api/v1/namespaces/shop/services/x', 404, 'services \\"x\\" not found'],
  ])('%s: %d', async (path, status, text) => {
    await using server = await ApiServer.start();
    const answer = await get(server, path);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(text);
  });

  test('a kind that is not installed is no page of the server', async () => {
    await using server = await serverWith(1);
    server.absent.add('Route');
    expect(await get(server, routes)).toMatchObject({ status: 404, text: '404 page not found\n' });
    server.absent.delete('Route');
    expect((await get(server, routes)).status).toBe(200);
  });

  test('projects are the namespaces that one may see', async () => {
    await using server = await ApiServer.start({ projects: true });
    for (const name of ['a', 'b', 'c']) server.create({ kind: 'Namespace', metadata: { name, labels: { in: name } } });
    server.allow(({ verb, name }) => verb !== 'get' || name !== 'c');
    const projects = '/apis/project.openshift.io/v1/projects';
    expect((await get(server, projects)).body).toMatchObject({
      ...{ kind: 'ProjectList', apiVersion: 'project.openshift.io/v1' },
      items: [{ metadata: { name: 'a' }, status: { phase: 'Active' } }, { metadata: { name: 'b' } }],
    });
    expect(namesOf(await get(server, `${projects}?labelSelector=in+in+(b,c)`))).toEqual(['b']);
    expect((await get(server, `${projects}?watch=1`)).status).toBe(405);
  });

  test('HTTP/2, where the client speaks it', async () => {
    await using server = await serverWith(1);
    const session = connectHttp2(server.url, { ca: server.ca });
    const stream = session.request({ ':path': `${routes}?watch=1`, authorization: 'Bearer token' }).setEncoding('utf8');
    const [line] = await once(stream, 'data');
    expect(JSON.parse(line)).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'a' } } });
    expect(server.watchers('Route')).toBe(1);
    session.destroy();
    await server.until(() => server.watchers() === 0);
  });

  test('a client that does not wait for its answer', async () => {
    await using server = await serverWith(1);
    server.fault({ kind: 'slow', delayMs: 20, times: 2 });
    const session = connectHttp2(server.url, { ca: server.ca });
    for (const query of ['', '?watch=1']) {
      session.request({ ':path': routes + query, authorization: 'Bearer token' }).on('error', () => {});
    }
    await server.until((requests) => requests.length === 2);
    session.destroy();
    server.fault({ kind: 'slow', delayMs: 40 });
    expect((await get(server, routes)).status).toBe(200);
    expect(server.watchers()).toBe(0);
  });

  test('the kubeconfig leads a client here', async () => {
    await using server = await ApiServer.start({ token: 'se"cret' });
    server.create({ kind: 'Namespace', metadata: { name: 'shop' } });
    const config = new KubeConfig();
    config.loadFromString(server.kubeconfig({ namespace: 'shop' }));
    expect(config.getContextObject(config.getCurrentContext())?.namespace).toBe('shop');
    const { items } = await config.makeApiClient(CoreV1Api).listNamespace();
    expect(items.map((item) => item.metadata?.name)).toEqual(['shop']);
  });

  test('requests are on record', async () => {
    await using server = await serverWith(1);
    const events = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    await ask(server, 'PATCH', `${shopRoutes}/a/status`, { body: { status: {} }, type: mergePatch });
    expect(server.requests).toMatchObject([
      {
        method: 'GET',
        path: routes,
        query: { watch: '1', resourceVersion: '991' },
        verb: 'watch',
        status: 200,
        isOpen: true,
      },
      {
        verb: 'patch',
        resource: 'routes',
        subresource: 'status',
        namespace: 'shop',
        name: 'a',
        contentType: mergePatch,
      },
    ]);
    server.closeWatches();
    await events.ended;
    await server.until(([first]) => first?.isOpen === false);
    await expect(server.until(() => false, 1)).rejects.toThrow(`PATCH ${shopRoutes}/a/status 200`);
  });
});

describe('faults', () => {
  test.each<[fault: Fault, status: number, retryAfter: string | undefined, text: string]>([
    [{ kind: 'status', code: 429, retryAfterSeconds: 3 }, 429, '3', '"reason":"TooManyRequests"'],
    [{ kind: 'status', code: 429, isText: true }, 429, undefined, 'Too many requests, please try again later.\n'],
    [{ kind: 'status', code: 500 }, 500, undefined, '"reason":"InternalError"'],
    [{ kind: 'status', code: 503 }, 503, undefined, '"reason":"ServiceUnavailable"'],
    [{ kind: 'status', code: 410 }, 410, undefined, '"reason":"Expired"'],
    [{ kind: 'status', code: 401 }, 401, undefined, '"reason":"Unauthorized"'],
    [{ kind: 'status', code: 403 }, 403, undefined, 'cannot list resource \\"routes\\"'],
  ])('%j', async (fault, status, retryAfter, text) => {
    await using server = await ApiServer.start();
    server.fault(fault);
    const answer = await get(server, routes);
    expect([answer.status, answer.headers['retry-after']]).toEqual([status, retryAfter]);
    expect(answer.text).toContain(text);
    expect((await get(server, routes)).status).toBe(200);
  });

  test('strike only the requests that they are meant for, as often as said', async () => {
    await using server = await serverWith(1);
    server.fault({ kind: 'status', code: 500, match: { kind: 'Route', verb: 'list', namespace: 'shop' }, times: 2 });
    const spared = [routes, `${shopRoutes}/a`, '/api/v1/namespaces/shop/services'];
    for (const path of spared) expect((await get(server, path)).status).toBe(200);
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await get(server, shopRoutes)).status);
    expect(statuses).toEqual([500, 500, 200]);
    const takeBack = server.fault({ kind: 'status', code: 503, times: 9 });
    expect((await get(server, routes)).status).toBe(503);
    takeBack();
    expect((await get(server, routes)).status).toBe(200);
  });

  test('a watch can be refused by HTTP', async () => {
    await using server = await ApiServer.start();
    server.fault({ kind: 'status', code: 410, match: { verb: 'watch' } });
    expect(await get(server, `${routes}?watch=1`)).toMatchObject({ status: 410, body: { reason: 'Expired' } });
  });

  test.each<[kind: 'drop' | 'dropAnswer', resourceVersion: string]>([
    ['drop', '991'],
    ['dropAnswer', '992'],
  ])('%s: the connection goes in the place of an answer', async (kind, resourceVersion) => {
    await using server = await serverWith(1);
    server.fault({ kind });
    const patch = ask(server, 'PATCH', `${shopRoutes}/a`, { body: { spec: { path: '/p' } }, type: mergePatch });
    await expect(patch).rejects.toThrow(/ECONNRESET|socket hang up/);
    expect(server.resourceVersion).toBe(resourceVersion);
  });

  test('hang: no answer', async () => {
    await using server = await ApiServer.start();
    server.fault({ kind: 'hang' });
    const hanging = get(server, routes);
    expect((await get(server, routes)).status).toBe(200);
    expect(server.requests.map(({ status }) => status)).toEqual([0, 200]);
    await server.stop();
    await expect(hanging).rejects.toThrow();
    await server.start();
  });

  test('a list can come empty, or late and as of its beginning', async () => {
    await using server = await serverWith(2);
    server.emptyList(1, 'Route');
    expect((await get(server, routes)).body).toMatchObject({ metadata: { resourceVersion: '992' }, items: [] });
    server.slowList(50, 'Route');
    const slow = get(server, routes);
    await server.until((requests) => requests.length === 2);
    await get(server, '/api/v1/services');
    add(server, 'c');
    expect(namesOf(await slow)).toEqual(['a', 'b']);
  });

  const strikes: [what: string, strike: (server: ApiServer) => number, ended: 'end' | 'broken'][] = [
    ['drop', (server) => server.dropWatches('Route'), 'broken'],
    ['close', (server) => server.closeWatches('Route'), 'end'],
  ];
  test.each(strikes)('%s the watches of a kind', async (_what, strike, ended) => {
    await using server = await ApiServer.start();
    const struck = await Promise.all([watch(server, `${routes}?watch=1`), watch(server, `${shopRoutes}?watch=1`)]);
    const spared = await watch(server, '/api/v1/services?watch=1');
    expect(strike(server)).toBe(2);
    expect(await Promise.all(struck.map((events) => events.ended))).toEqual([ended, ended]);
    server.create({ kind: 'Service', metadata: { name: 's' } });
    expect(await spared.brief(1)).toEqual(['ADDED s 991']);
    await server.until(() => server.watchers('Route') === 0);
    expect(server.watchers()).toBe(1);
  });

  test('stalled watches are sent nothing until they are resumed', async () => {
    await using server = await ApiServer.start({ bookmarkMs: 2 });
    const stalled = await watch(server, `${routes}?watch=1&allowWatchBookmarks=true`);
    server.stallWatches('Route');
    const other = await watch(server, `${routes}?watch=1&allowWatchBookmarks=true`);
    add(server, 'a');
    for (let event = ''; event !== 'BOOKMARK 991'; ) [event = ''] = await other.brief(1);
    // What was on its way before may have come since.
    expect(stalled.text).not.toContain('991');
    server.resume();
    for (let event = ''; event !== 'ADDED a 991'; ) [event = ''] = await stalled.brief(1);
  });

  test('half a line, and the event comes again where the watch is resumed', async () => {
    await using server = await serverWith(1);
    const events = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    server.halfLine('Route');
    add(server, 'b');
    expect(await events.ended).toBe('broken');
    expect(events.text).toMatch(/^\{"type":"ADDED","object":\{/);
    expect(events.text).not.toContain('\n');
    const resumed = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    expect(await resumed.brief(1)).toEqual(['ADDED b 992']);
  });

  test('lines that are no event, and events whose object is none', async () => {
    await using server = await serverWith(1);
    const events = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    server.garbageLine('Route');
    expect(() => JSON.parse('{"type":"MODIFIED","object":{"kind":"Rou')).toThrow();
    expect(await events.line()).toBe('{"type":"MODIFIED","object":{"kind":"Rou');
    server.malformedObject('Route');
    expect(await events.next()).toMatchObject({
      type: 'ADDED',
      object: { kind: 'Route', metadata: { labels: 7 }, spec: 42 },
    });
    server.malformedObject('Route', { metadata: 'none' });
    expect(await events.next()).toEqual({ type: 'ADDED', object: { metadata: 'none' } });
    add(server, 'b');
    expect(await events.brief(1)).toEqual(['ADDED b 992']);
  });

  test('expireHistory: nothing resumes from before', async () => {
    await using server = await serverWith(1);
    const events = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    server.expireHistory();
    expect(await events.next()).toMatchObject({
      type: 'ERROR',
      object: { kind: 'Status', code: 410, reason: 'Expired' },
    });
    expect(await events.ended).toBe('end');
    const resumed = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    expect(await resumed.next()).toMatchObject({ type: 'ERROR', object: { code: 410 } });
    const list = await get(server, routes);
    const fresh = await watch(
      server,
      `${routes}?watch=1&resourceVersion=${list.body['metadata']?.['resourceVersion']}`,
    );
    add(server, 'b');
    expect(await fresh.brief(1)).toEqual(['ADDED b 993']);
  });

  test.each([true, false])('restart, with the history kept: %s', async (keepHistory) => {
    await using server = await serverWith(2);
    const { port } = server;
    const events = await watch(server, `${routes}?watch=1&resourceVersion=992`);
    await server.restart({ keepHistory });
    expect(await events.ended).toBe('broken');
    expect([server.port, server.watchers()]).toEqual([port, 0]);
    const resumed = await watch(server, `${routes}?watch=1&resourceVersion=991`);
    expect(await resumed.brief(1)).toEqual([keepHistory ? 'ADDED b 992' : 'ERROR']);
    // The latest version is where a new cache begins.
    const latest = await watch(server, `${routes}?watch=1&resourceVersion=992`);
    add(server, 'c');
    expect(await latest.brief(1)).toEqual(['ADDED c 993']);
  });

  test('an outage', async () => {
    await using server = await serverWith(1);
    await server.stop();
    await expect(get(server, routes)).rejects.toThrow('ECONNREFUSED');
    add(server, 'b');
    await server.start();
    expect(namesOf(await get(server, routes))).toEqual(['a', 'b']);
    await server.stop();
  });
});
