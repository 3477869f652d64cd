import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FieldRequirement, type LabelRequirement, parseLabelSelector } from '../../src/config/selectors.ts';
import { named } from '../../src/controller/host-naming.ts';
import { matchesLabels, Shard, type ShardSettings, shardOf } from '../../src/controller/shard.ts';
import { type ManifestEvent, type ManifestKey, manifestKey, type RouteManifest } from '../../src/source/manifests.ts';
import { aRoute, aService } from '../support/manifests.ts';

const everything: ShardSettings = {
  namespace: '',
  routeLabels: [],
  routeFields: [],
  namespaceLabels: [],
  projectLabels: null,
  allowWildcardRoutes: false,
  shardCount: 1,
  shardIndex: 0,
  routerDomain: '',
  hostTemplate: '',
  overrideHosts: false,
  overrideDomains: [],
};

function selector(text: string): readonly LabelRequirement[] {
  const parsed = parseLabelSelector(text);
  if (parsed.kind === 'problem') throw new Error(parsed.because);
  return parsed.requirements;
}

type Labels = Readonly<Record<string, string>>;

function route(key: string, host: string, labels: Labels = {}): RouteManifest {
  return { ...aRoute(key).host(host).build(), labels };
}

const put = (manifest: RouteManifest): ManifestEvent => ({ key: manifestKey(manifest), manifest });
const gone = (key: string): ManifestEvent => ({ key: key as ManifestKey, manifest: undefined });
const namespace = (name: string, labels: Labels): ManifestEvent => ({
  key: `Namespace/${name}` as ManifestKey,
  manifest: { kind: 'Namespace', name, labels },
});

/** What events come to, as `+key` and `-key`. */
function told(events: readonly ManifestEvent[]): string[] {
  return events.map(({ key, manifest }) => `${manifest === undefined ? '-' : '+'}${key.slice('Route/'.length)}`);
}

describe('which Routes are ours (Route semantics 3.1)', () => {
  const field = (name: FieldRequirement['field'], equal: boolean, value: string): FieldRequirement => ({
    field: name,
    equal,
    value,
  });
  const shop = { ...aRoute('shop/web').host('a.test').path('/p').to('svc').build(), labels: { tier: 'gold' } };
  const cases: readonly (readonly [about: string, settings: Partial<ShardSettings>, expected: boolean])[] = [
    ['no selector', {}, true],
    ['its namespace', { namespace: 'shop' }, true],
    ['another namespace', { namespace: 'sho' }, false],
    ['a label', { routeLabels: selector('tier=gold') }, true],
    ['a label that it lacks', { routeLabels: selector('tier=gold,zone') }, false],
    ['a label that it must not have', { routeLabels: selector('!tier') }, false],
    ['the name', { routeFields: [field('metadata.name', true, 'web')] }, true],
    ['another name', { routeFields: [field('metadata.name', true, 'we')] }, false],
    ['not this name', { routeFields: [field('metadata.name', false, 'web')] }, false],
    ['the namespace as a field', { routeFields: [field('metadata.namespace', true, 'shop')] }, true],
    ['not this namespace', { routeFields: [field('metadata.namespace', false, 'shop')] }, false],
    ['the host', { routeFields: [field('spec.host', true, 'a.test')] }, true],
    ['no host', { routeFields: [field('spec.host', true, '')] }, false],
    ['the path', { routeFields: [field('spec.path', true, '/p')] }, true],
    ['not this path', { routeFields: [field('spec.path', false, '/p')] }, false],
    ['the Service', { routeFields: [field('spec.to.name', true, 'svc')] }, true],
    [
      'two fields of which one is wrong',
      { routeFields: [field('spec.to.name', true, 'svc'), field('spec.path', true, '')] },
      false,
    ],
    [
      'the host that it says, not the one that it is given',
      {
        routeFields: [field('spec.host', true, 'a.test')],
        hostTemplate: '${name}.t.test',
        overrideHosts: true,
      },
      true,
    ],
    ['its namespace is not known yet', { namespaceLabels: selector('env=a') }, false],
    ['its project is not known yet', { projectLabels: [] }, false],
  ];
  test.each(cases)('%s', (_about, settings, expected) => {
    const shard = new Shard({ ...everything, ...settings });
    expect(shard.selects(shop)).toBe(expected);
    expect(told(shard.put(put(shop)))).toEqual(expected ? ['+shop/web'] : []);
    expect(told(shard.put(gone('Route/shop/web')))).toEqual(expected ? ['-shop/web'] : []);
    expect(told(shard.put(gone('Route/shop/web')))).toEqual([]);
  });

  test('a Route comes with the host that this router gives it', () => {
    const shard = new Shard({ ...everything, routerDomain: 'apps.test' });
    const given = { ...route('shop/web', ''), subdomain: 'www' };
    expect(shard.put(put(given))).toEqual([{ key: 'Route/shop/web', manifest: { ...given, host: 'www.apps.test' } }]);
  });

  test('other objects pass as they are, and Namespaces end here', () => {
    const service = { key: 'Service/shop/svc' as ManifestKey, manifest: aService('shop/svc') };
    const secret = gone('Secret/shop/s');
    for (const settings of [{}, { namespaceLabels: selector('a') }, { namespace: 'other' }]) {
      const shard = new Shard({ ...everything, ...settings });
      expect(shard.put(service)).toEqual([service]);
      expect(shard.put(secret)).toEqual([secret]);
      expect(shard.put(namespace('shop', { a: '' }))).toEqual([]);
      expect(shard.put(gone('Namespace/shop'))).toEqual([]);
    }
  });

  const whole: readonly (readonly [settings: Partial<ShardSettings>, expected: boolean])[] = [
    [{}, true],
    [{ namespace: 'a' }, true],
    [{ routeLabels: selector('a') }, false],
    [{ routeFields: [field('spec.host', false, '')] }, false],
    [{ namespaceLabels: selector('a') }, false],
    [{ projectLabels: [] }, false],
    [{ shardCount: 2 }, false],
    [{ allowWildcardRoutes: true, routerDomain: 'a.test' }, true],
  ];
  test.each(whole)('%j is the whole: %s', (settings, expected) => {
    expect(new Shard({ ...everything, ...settings }).isWhole).toBe(expected);
  });
});

describe('Routes and Namespaces that come and go (Route semantics 3.3)', () => {
  type Step = readonly [event: ManifestEvent, ...told: string[]];
  const [web, api, other] = [route('shop/web', 'a.test'), route('shop/api', 'b.test'), route('bank/web', 'c.test')];
  const cases: readonly (readonly [name: string, settings: Partial<ShardSettings>, steps: readonly Step[]])[] = [
    [
      'a Route is relabelled out and in',
      { routeLabels: selector('tier=gold') },
      [
        [put(web)],
        [put({ ...web, labels: { tier: 'gold' } }), '+shop/web'],
        [put({ ...web, labels: { tier: 'gold', more: '1' } }), '+shop/web'],
        [put(web), '-shop/web'],
        [put(web)],
        [put({ ...web, labels: { tier: 'gold' } }), '+shop/web'],
        [gone('Route/shop/web'), '-shop/web'],
      ],
    ],
    [
      'a Namespace joins before its Routes',
      { namespaceLabels: selector('env=a') },
      [[namespace('shop', { env: 'a' })], [put(web), '+shop/web'], [put(api), '+shop/api'], [put(other)]],
    ],
    [
      'a Namespace joins after its Routes',
      { namespaceLabels: selector('env=a') },
      [[put(web)], [put(other)], [put(api)], [namespace('shop', { env: 'a' }), '+shop/web', '+shop/api']],
    ],
    [
      'H11-H13: a Namespace is relabelled out and in',
      { namespaceLabels: selector('env=a') },
      [
        [namespace('shop', { env: 'a' })],
        [put(web), '+shop/web'],
        [namespace('shop', { env: 'b' }), '-shop/web'],
        [put({ ...web, path: '/new' })],
        [put(api)],
        [namespace('shop', { env: 'c' })],
        [gone('Route/shop/web')],
        [namespace('shop', { env: 'a', more: '' }), '+shop/api'],
        [namespace('shop', { env: 'a' })],
        [gone('Namespace/shop'), '-shop/api'],
        [gone('Namespace/shop')],
        [namespace('shop', { env: 'a' }), '+shop/api'],
      ],
    ],
    [
      'Namespace and Route are both selected by their labels',
      { namespaceLabels: selector('env=a'), routeLabels: selector('tier') },
      [
        [namespace('shop', { env: 'a' })],
        [put(web)],
        [put({ ...web, labels: { tier: '' } }), '+shop/web'],
        [namespace('shop', {}), '-shop/web'],
        [put(web)],
        [namespace('shop', { env: 'a' })],
      ],
    ],
    [
      'every project that can be seen',
      { projectLabels: [] },
      [[put(web)], [namespace('shop', {}), '+shop/web'], [gone('Namespace/shop'), '-shop/web']],
    ],
    [
      'projects by their labels',
      { projectLabels: selector('env=a') },
      [[put(web)], [namespace('shop', {})], [namespace('shop', { env: 'a' }), '+shop/web']],
    ],
    [
      'a Namespace that is no longer what it says goes',
      { namespaceLabels: selector('!env') },
      [[put(web)], [namespace('shop', {}), '+shop/web'], [namespace('shop', { env: '' }), '-shop/web']],
    ],
    [
      'namespaces of which one is the beginning of the other',
      { namespaceLabels: selector('env=a') },
      [[put(route('sh/op', 'a.test'))], [put(web)], [namespace('sh', { env: 'a' }), '+sh/op']],
    ],
  ];
  test.each(cases)('%s', (_name, settings, steps) => {
    const shard = new Shard({ ...everything, ...settings });
    for (const [i, [event, ...expected]] of steps.entries()) {
      expect(told(shard.put(event)), `step ${i}`).toEqual(expected);
    }
  });

  test('any order of events leaves the Routes that the last of them alone would have brought', () => {
    const keys = fc.constantFrom('a/r', 'a/s', 'b/r', 'b/s');
    const labels = fc.constantFrom<Labels>({}, { tier: 'gold' }, { tier: 'iron' });
    const hosts = fc.constantFrom('', 'x.test', 'y.test', 'old.test', 'w.x.test');
    const event: fc.Arbitrary<ManifestEvent> = fc.oneof(
      fc.tuple(keys, hosts, labels).map(([key, host, some]) => put(route(key, host, some))),
      keys.map((key) => gone(`Route/${key}`)),
      fc.tuple(fc.constantFrom('a', 'b'), labels).map(([name, some]) => namespace(name, some)),
      fc.constantFrom('a', 'b').map((name) => gone(`Namespace/${name}`)),
    );
    const settings = fc.record({
      namespace: fc.constantFrom('', '', 'a'),
      routeLabels: fc.constantFrom([], selector('tier=gold'), selector('tier!=gold')),
      namespaceLabels: fc.constantFrom([], selector('tier=gold')),
      projectLabels: fc.constantFrom(null, [], selector('tier')),
      routeFields: fc.constantFrom<FieldRequirement[]>([], [{ field: 'spec.host', equal: false, value: 'x.test' }]),
      allowWildcardRoutes: fc.boolean(),
      shardCount: fc.constantFrom(1, 2, 3),
      hostTemplate: fc.constantFrom('', '${name}.t.test'),
      overrideDomains: fc.constantFrom<string[]>([], ['old.test']),
    });
    fc.assert(
      fc.property(
        settings,
        fc.array(event, { maxLength: 25 }),
        fc.infiniteStream(fc.nat(1000)),
        (some, events, picks) => {
          const given = { ...everything, ...some };
          const shard = new Shard(given);
          const view = new Map<ManifestKey, ManifestEvent['manifest']>();
          for (const each of events.flatMap((one) => shard.put(one))) {
            // Nothing ends that had not come.
            if (each.manifest === undefined) expect(view.delete(each.key)).toBe(true);
            else view.set(each.key, each.manifest);
          }
          const last = new Map(events.map((each) => [each.key, each]));
          // The same from nothing, in another order.
          const fresh = new Shard(given);
          const freshView = new Map<ManifestKey, ManifestEvent['manifest']>();
          const shuffled = [...last.values()]
            .map((each) => [picks.next().value ?? 0, each] as const)
            .sort(([a], [b]) => a - b);
          for (const [, each] of shuffled) {
            for (const { key, manifest } of fresh.put(each)) {
              if (manifest === undefined) freshView.delete(key);
              else freshView.set(key, manifest);
            }
          }
          expect(view).toEqual(freshView);
          // And what a plain reading of the settings says.
          const needed = given.namespaceLabels.length > 0 ? given.namespaceLabels : given.projectLabels;
          for (const { key, manifest } of last.values()) {
            if (manifest?.kind !== 'Route') continue;
            const home = last.get(`Namespace/${manifest.namespace}` as ManifestKey)?.manifest;
            const isOurs =
              ['', manifest.namespace].includes(given.namespace) &&
              matchesLabels(given.routeLabels, manifest.labels) &&
              (given.routeFields.length === 0 || manifest.host !== 'x.test') &&
              (needed === null || (home?.kind === 'Namespace' && matchesLabels(needed, home.labels)));
            if (!isOurs) expect(view.has(key)).toBe(false);
            else if (given.shardCount === 1) expect(view.get(key)).toEqual(named(manifest, given));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a shard of several', () => {
  /** The shards in which a Route is. */
  function shardsOf(given: RouteManifest, shardCount: number, more: Partial<ShardSettings> = {}): number[] {
    const indices = Array.from({ length: shardCount }, (_, i) => i);
    return indices.filter((shardIndex) => new Shard({ ...everything, ...more, shardCount, shardIndex }).selects(given));
  }
  const hostText = fc
    .array(fc.constantFrom('a', 'b', 'www', 'shop', 'test'), { minLength: 1, maxLength: 4 })
    .map((labels) => labels.join('.'));

  test('every Route is in exactly one, together with all of its host', () => {
    const keys = fc.constantFrom('a/r', 'b/r', 'b/s');
    fc.assert(
      fc.property(hostText, keys, keys, fc.integer({ min: 1, max: 7 }), fc.boolean(), (host, one, two, count, wild) => {
        const settings = { allowWildcardRoutes: wild };
        const first = shardsOf(route(one, host), count, settings);
        expect(first).toHaveLength(1);
        expect(shardsOf(route(two, host.toUpperCase()), count, settings)).toEqual(first);
        expect(shardsOf({ ...route(two, host), path: '/p', wildcardPolicy: 'Subdomain' }, count, settings)).toEqual(
          first,
        );
      }),
    );
  });

  test('with wildcards, all that a wildcard may concern is together with it', () => {
    fc.assert(
      fc.property(hostText, hostText, fc.integer({ min: 2, max: 7 }), (one, two, count) => {
        const parentOf = (host: string): string => host.split('.').slice(1).join('.');
        fc.pre(parentOf(one) === parentOf(two) && parentOf(one) !== '');
        const settings = { allowWildcardRoutes: true };
        expect(shardsOf(route('a/r', one), count, settings)).toEqual(shardsOf(route('b/r', two), count, settings));
      }),
    );
  });

  test('I43: the wildcard of a single label concerns every other single label', () => {
    for (let count = 2; count <= 16; count++) {
      const settings = { allowWildcardRoutes: true };
      expect(shardsOf(route('a/r', 'net'), count, settings)).toEqual(shardsOf(route('b/r', 'com'), count, settings));
    }
  });

  test('it goes by the host that the router gives', () => {
    for (let count = 2; count <= 9; count++) {
      const naming = { hostTemplate: 'all.test', overrideHosts: true };
      expect(shardsOf(route('a/r', 'x.test'), count, naming)).toEqual(shardsOf(route('b/s', 'y.test'), count, naming));
    }
  });

  test('Routes without a host are shared out, too', () => {
    const shards = new Set(Array.from({ length: 100 }, (_, i) => shardsOf(route(`n/r${i}`, ''), 4)[0]));
    expect(shards).toEqual(new Set([0, 1, 2, 3]));
  });

  const places = Array.from({ length: 4000 }, (_, i) => `h${i}.example.test`);

  test.each([1, 2, 3, 5, 8, 15])('from %d to one more: only to the new one, and no more than its share', (count) => {
    let moved = 0;
    for (const place of places) {
      const [before, after] = [shardOf(place, count), shardOf(place, count + 1)];
      if (before === after) continue;
      expect(after).toBe(count);
      moved++;
    }
    const share = places.length / (count + 1);
    // Five standard deviations: the hash is fixed, so it holds always or never.
    const deviation = Math.sqrt(share * (1 - 1 / (count + 1)));
    expect(Math.abs(moved - share)).toBeLessThan(5 * deviation);
  });

  test.each([2, 3, 7])('%d shards have about the same', (count) => {
    const sizes = new Array<number>(count).fill(0);
    for (const place of places) sizes[shardOf(place, count)] = (sizes[shardOf(place, count)] ?? 0) + 1;
    const share = places.length / count;
    for (const size of sizes) expect(Math.abs(size - share)).toBeLessThan(5 * Math.sqrt(share));
  });

  // Two replicas of different versions must not both serve a Route, or neither.
  const golden: readonly (readonly [place: string, ofTwo: number, ofThree: number, ofTen: number])[] = [
    ['a.test', 1, 1, 1],
    ['b.test', 0, 0, 0],
    ['shop.example.com', 1, 1, 6],
    ['example.com', 0, 2, 2],
    ['n/r', 0, 0, 0],
  ];
  test.each(golden)('where %s is does not change from release to release', (place, ...expected) => {
    expect([2, 3, 10].map((count) => shardOf(place, count))).toEqual(expected);
  });
});
