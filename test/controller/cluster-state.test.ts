import { describe, expect, test } from 'vitest';
import { ClusterState, type Concern } from '../../src/controller/cluster-state.ts';
import {
  type IngressEntry,
  type Manifest,
  manifestKey,
  type RouteManifest,
  type SecretFault,
} from '../../src/source/manifests.ts';
import { routeKey } from '../../src/table/entries.ts';
import { anIdledService, aRoute, aSecret, aService, aSlice } from '../support/manifests.ts';

const pair = { certificate: 'c', key: 'k' };
const fault: SecretFault = { kind: 'SecretFault', namespace: 'n', name: 's', denied: [], read: 'absent', message: '' };

/** What a change may concern, in few letters: `r:n/a` a Route, `s:n/svc` a Service. */
function shown(concerns: readonly Concern[]): string[] {
  return concerns
    .map((concern) => {
      if (concern.kind === 'route') return `r:${concern.route}`;
      return concern.kind === 'service' ? `s:${concern.service}` : 'none';
    })
    .sort();
}

function withStatus(
  route: RouteManifest,
  resourceVersion: string,
  ingress: readonly IngressEntry[] = [],
): RouteManifest {
  return { ...route, status: { resourceVersion, ingress } };
}

describe('what a change of an object may concern', () => {
  /** `-` in front of an object: it goes. */
  type Step = readonly [object: Manifest | readonly ['-', Manifest], ...concerns: string[]];
  const plain = aRoute('n/a').host('a.test').build();
  const external = aRoute('n/a').host('a.test').edge().externalCertificate('s').build();
  const other = aRoute('n/b').host('b.test').edge().externalCertificate('s').build();
  const slice = aSlice('n/x').of('svc').endpoint('10.0.0.1').port(80).build();
  const cases: readonly (readonly [name: string, steps: readonly Step[]])[] = [
    [
      'a Route',
      [
        [plain, 'r:n/a'],
        [{ ...plain, path: '/p' }, 'r:n/a'],
        [['-', plain], 'r:n/a'],
      ],
    ],
    ['the same Route again', [[plain, 'r:n/a'], [structuredClone(plain)]]],
    [
      'only its status is another: nothing',
      [
        [withStatus(plain, '1'), 'r:n/a'],
        [withStatus(plain, '2', [{ routerName: 'default' }])],
        [withStatus({ ...plain, generation: 2 }, '3'), 'r:n/a'],
      ],
    ],
    [
      'labels and annotations are more than status',
      [
        [plain, 'r:n/a'],
        [{ ...plain, labels: { a: '' } }, 'r:n/a'],
      ],
    ],
    [
      'another Route of the same name',
      [
        [plain, 'r:n/a'],
        [{ ...plain, uid: 'new' }, 'r:n/a'],
      ],
    ],
    [
      'a Secret concerns the Routes that name it',
      [
        [aSecret('n/s', pair)],
        [external, 'r:n/a'],
        [other, 'r:n/b'],
        [aSecret('m/s', pair)],
        [aSecret('n/s', { ...pair, key: 'new' }), 'r:n/a', 'r:n/b'],
        [fault, 'r:n/a', 'r:n/b'],
        [plain, 'r:n/a'],
        [aSecret('n/s', pair), 'r:n/b'],
        [['-', other], 'r:n/b'],
        [['-', aSecret('n/s', pair)]],
      ],
    ],
    ['a slice concerns its Service', [[slice, 's:n/svc'], [['-', slice], 's:n/svc'], [['-', slice]]]],
    [
      'a slice that moves concerns both Services',
      [
        [slice, 's:n/svc'],
        [{ ...slice, service: 'new' }, 's:n/new', 's:n/svc'],
        [{ ...slice, service: '' }, 's:n/new'],
      ],
    ],
    ['a Service alone concerns nothing', [[aService('n/svc')], [['-', aService('n/svc')]]]],
    [
      'unless it is idled',
      [
        [plain, 'r:n/a'],
        [anIdledService('n/svc', ['http:80']), 's:n/svc'],
        [anIdledService('n/svc', ['http:80'])],
        [{ ...anIdledService('n/svc', ['http:80']), type: 'LoadBalancer' }],
        [anIdledService('n/svc', ['http:81']), 's:n/svc'],
        [anIdledService('n/svc', ['http:81'], '10.96.0.2'), 's:n/svc'],
        [aService('n/svc'), 's:n/svc'],
        [anIdledService('n/svc'), 's:n/svc'],
        [['-', aService('n/svc')], 's:n/svc'],
      ],
    ],
    [
      'and cannot be woken: that concerns the Routes that name it',
      [
        [aRoute('n/a').to('svc').alternate('svc').build(), 'r:n/a'],
        [aRoute('n/b').alternate('headless').build(), 'r:n/b'],
        [aRoute('m/c').to('headless').build(), 'r:m/c'],
        [anIdledService('n/headless', ['http:80'], 'None'), 'r:n/b', 's:n/headless'],
        [anIdledService('n/headless', ['http:81'], 'None'), 's:n/headless'],
        [anIdledService('n/headless', ['http:81']), 'r:n/b', 's:n/headless'],
        [anIdledService('n/headless', ['http:81'], ''), 'r:n/b', 's:n/headless'],
        [aRoute('n/b').build(), 'r:n/b'],
        [['-', aService('n/headless')], 's:n/headless'],
        [['-', aService('n/headless')]],
      ],
    ],
  ];
  test.each(cases)('%s', (_name, steps) => {
    const state = new ClusterState();
    for (const [i, [object, ...expected]] of steps.entries()) {
      const [manifest, isGone] = 'kind' in object ? [object, false] : [object[1], true];
      const concerns = state.put(manifestKey(manifest), isGone ? undefined : manifest);
      expect(shown(concerns), `step ${i}`).toEqual(expected);
    }
  });
});

describe('what is known', () => {
  const key = routeKey('n', 'a');
  const plain = aRoute('n/a').host('a.test').build();

  test('the newest status, though the Route is the version that last changed more', () => {
    const state = new ClusterState();
    expect(state.statusOf(key)).toBeUndefined();
    const first = withStatus(plain, '1');
    state.put('Route/n/a', first);
    state.put('Route/n/a', withStatus(plain, '2', [{ routerName: 'x' }]));
    expect(state.statusOf(key)).toEqual({ resourceVersion: '2', ingress: [{ routerName: 'x' }] });
    expect(state.routes.get(key)).toBe(first);
    state.put('Route/n/a', undefined);
    expect([state.statusOf(key), state.routes.get(key)]).toEqual([undefined, undefined]);
  });

  test('the Secret that a Route names, or why it cannot be had', () => {
    const state = new ClusterState();
    const external = aRoute('n/a').edge().externalCertificate('s').build();
    expect(state.secretOf(external)).toBeUndefined();
    for (const object of [aSecret('n/s', pair), fault]) {
      state.put('Secret/n/s', object);
      expect(state.secretOf(external)).toBe(object);
    }
    expect(state.secretOf(plain)).toBeUndefined();
    expect(state.secretOf({ ...external, namespace: 'm' })).toBeUndefined();
    state.put('Secret/n/s', undefined);
    expect(state.secretOf(external)).toBeUndefined();
  });

  test('which of the Services of a Route nothing can wake', () => {
    const state = new ClusterState();
    const route = aRoute('n/a').to('one').alternate('two').alternate('three').build();
    state.put('Service/n/one', anIdledService('n/one', ['http:80'], 'None'));
    state.put('Service/n/two', anIdledService('n/two', ['http:80']));
    state.put('Service/n/three', { ...aService('n/three'), clusterIp: 'None' });
    state.put('Service/m/two', anIdledService('m/two', ['http:80'], 'None'));
    expect(state.unwakeableServices(route)).toEqual(['one']);
  });

  test('which of the Services of a Route there are not', () => {
    const state = new ClusterState();
    const route = aRoute('n/a').to('one').alternate('two').alternate('three').build();
    state.put('Service/n/two', aService('n/two'));
    state.put('Service/m/one', aService('m/one'));
    expect(state.missingServices(route)).toEqual(['one', 'three']);
    state.put('Service/n/one', aService('n/one'));
    state.put('Service/n/two', undefined);
    expect(state.missingServices(route)).toEqual(['two', 'three']);
    // A Route that cannot be read names none.
    expect(state.missingServices({ ...route, to: { name: '', weight: 0 }, alternateBackends: [] })).toEqual([]);
  });
});
