import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClusterState } from '../../src/controller/cluster-state.ts';
import { compileBackend } from '../../src/controller/compile-backend.ts';
import type { EndpointSliceManifest, ServiceManifest, SliceEndpoint } from '../../src/source/manifests.ts';
import { backendId } from '../../src/table/entries.ts';
import { anIdledService, aSlice, type SliceBuilder } from '../support/manifests.ts';

/** The Endpoints of the Service n/svc at the port that a Route names. */
function authorities(port: string, ...slices: readonly SliceBuilder[]): string[] {
  return compile(
    port,
    slices.map((slice) => slice.build()),
  ).map(({ authority }) => authority);
}

function compile(port: string, slices: readonly EndpointSliceManifest[]): readonly { id: string; authority: string }[] {
  return compileBackend({ id: backendId('n', 'svc', port), namespace: 'n', service: 'svc', port }, slices, null, false)
    .endpoints;
}

const slice = aSlice('n/s1').of('svc');
const notReady = { ready: false };

describe('slices (Route semantics 8.9)', () => {
  test.each<[string, SliceBuilder[], string[]]>([
    ['K20 ready', [slice.port(80).endpoint('10.0.0.1')], ['10.0.0.1:80']],
    ['K21 not ready', [slice.port(80).endpoint('10.0.0.1', notReady)], []],
    ['K22 FQDN', [slice.addressType('FQDN').port(80).endpoint('10.0.0.1')], []],
    ['K22 unknown type', [slice.addressType('Unknown').port(80).endpoint('10.0.0.1')], []],
    ['K22 no type', [slice.addressType('').port(80).endpoint('10.0.0.1')], []],
    ['K23 IPv6', [slice.addressType('IPv6').port(443).endpoint('2001:db8::1')], ['[2001:db8::1]:443']],
    ['K24 a host name among addresses', [slice.port(80).endpoint('evil.example.com 10.0.0.1')], ['10.0.0.1:80']],
    [
      'K25 mixed types',
      [
        aSlice('n/a').of('svc').addressType('FQDN').port(80).endpoint('a.example.com'),
        aSlice('n/b').of('svc').addressType('Unknown').port(80).endpoint('10.0.0.9'),
        aSlice('n/c').of('svc').addressType('').port(80).endpoint('10.0.0.8'),
        aSlice('n/d').of('svc').port(80).endpoint('10.0.0.1'),
        aSlice('n/e').of('svc').addressType('IPv6').port(443).endpoint('2001:db8::1'),
      ],
      ['10.0.0.1:80', '[2001:db8::1]:443'],
    ],
    // The reference sorts addresses, which changes nothing but where the turn begins.
    [
      'K26 addresses as they stand, ports by number',
      [slice.port(8080).port(443, 'https').port(80, 'http').endpoint('192.168.0.1').endpoint('10.0.0.1')],
      ['192.168.0.1:80', '192.168.0.1:443', '192.168.0.1:8080', '10.0.0.1:80', '10.0.0.1:443', '10.0.0.1:8080'],
    ],
    [
      'K27 two slices, by name',
      [
        aSlice('n/slice-2').of('svc').port(101).endpoint('172.16.10.2').endpoint('172.16.10.1'),
        aSlice('n/slice-1').of('svc').port(80).endpoint('10.0.0.1'),
      ],
      ['10.0.0.1:80', '172.16.10.2:101', '172.16.10.1:101'],
    ],
    ['K28 no endpoints', [slice.port(80)], []],
    ['no ports', [slice.endpoint('10.0.0.1')], []],
    ['no slice', [], []],
    [
      'K10 a loopback address among good ones',
      [slice.port(80).endpoint('10.0.0.1').endpoint('127.0.0.1').endpoint('10.0.0.2')],
      ['10.0.0.1:80', '10.0.0.2:80'],
    ],
    ['K11 not ready and link-local', [slice.port(80).endpoint('169.254.169.254', notReady)], []],
    ['two addresses in one endpoint', [slice.port(80).endpoint('10.0.0.1 10.0.0.2')], ['10.0.0.1:80', '10.0.0.2:80']],
    ['UDP alone', [slice.port(53, 'dns', 'UDP').endpoint('10.0.0.1')], []],
    ['SCTP alone', [slice.port(53, '', 'SCTP').endpoint('10.0.0.1')], []],
    ['TCP beside UDP of one number', [slice.port(53, 'u', 'UDP').port(53, 't').endpoint('10.0.0.1')], ['10.0.0.1:53']],
    [
      'a duplicate in two slices',
      [
        slice.port(80).endpoint('10.0.0.1'),
        aSlice('n/s2').of('svc').port(80).endpoint('10.0.0.1').endpoint('10.0.0.2'),
      ],
      ['10.0.0.1:80', '10.0.0.2:80'],
    ],
  ])('%s', (_, slices, expected) => expect(authorities('', ...slices)).toEqual(expected));

  test('K30: ports by number, then name', () => {
    const [ids] = [compile('', [slice.port(3, 'b').port(3, 'a').port(2, 'a').endpoint('10.0.0.1').build()])];
    expect(ids.map(({ id }) => id)).toEqual(['ept:svc:a:10.0.0.1:2', 'ept:svc:a:10.0.0.1:3', 'ept:svc:b:10.0.0.1:3']);
  });

  test('ids name the pod, where there is one', () => {
    const endpoints = compile('', [
      slice.port(8080, 'port').endpoint('2.2.2.2', { pod: 'pod-1' }).endpoint('1.1.1.1').build(),
    ]);
    expect(endpoints.map(({ id }) => id)).toEqual(['pod:pod-1:svc:port:2.2.2.2:8080', 'ept:svc:port:1.1.1.1:8080']);
  });

  test('slices are left as they were', () => {
    const slices = [
      aSlice('n/b').of('svc').port(2).port(1).endpoint('127.0.0.1 10.0.0.1').build(),
      slice.port(1).build(),
    ];
    const before = structuredClone(slices);
    compile('', slices);
    expect(slices).toEqual(before);
  });

  test('the order in which slices became known does not matter', () => {
    const slices = ['a', 'b', 'c', 'd'].map((name, i) =>
      aSlice(`n/${name}`)
        .of('svc')
        .port(80 + (i % 2))
        .endpoint(`10.0.0.${i}`)
        .endpoint('10.0.1.1')
        .build(),
    );
    fc.assert(
      fc.property(fc.shuffledSubarray(slices, { minLength: slices.length }), (shuffled) => {
        expect(compile('', shuffled)).toEqual(compile('', slices));
      }),
    );
  });
});

describe('targetPort (observed 21, Route semantics 7.3)', () => {
  // The Service's own ports are 8081 and 9090.
  const twoPorts = slice.port(28_600, 'http').port(28_607, 'metrics').endpoint('10.0.0.1');
  const both = ['10.0.0.1:28600', '10.0.0.1:28607'];

  test.each([
    ['name', 'http', ['10.0.0.1:28600']],
    ['pod port number', '28600', ['10.0.0.1:28600']],
    ['= service port number', '8081', []],
    ['unknown name', 'web', []],
    ['none: all ports', '', both],
    ['name in upper case', 'HTTP', []],
    ["'0'", '0', []],
    ['number with a zero in front', '028600', []],
    ['number with a blank', ' 28600', []],
  ])('%s', (_, port, expected) => expect(authorities(port, twoPorts)).toEqual(expected));

  test('a port whose name is another one’s number fits both', () => {
    expect(authorities('80', slice.port(80, 'a').port(81, '80').endpoint('10.0.0.1'))).toEqual([
      '10.0.0.1:80',
      '10.0.0.1:81',
    ]);
  });

  test('K: PreferPort foo out of foo, foo, bar', () => {
    const slices = [slice.port(80, 'foo').port(81, 'foo').port(82, 'bar').endpoint('10.0.0.1')];
    expect(authorities('foo', ...slices)).toEqual(['10.0.0.1:80', '10.0.0.1:81']);
  });
});

describe('who may be asked', () => {
  type Conditions = Partial<Omit<SliceEndpoint, 'addresses'>>;
  const ready = {};
  const leaving = { ready: false, serving: true, terminating: true };
  const gone = { ready: false, serving: false, terminating: true };
  const unready = { ready: false, serving: true, terminating: false };
  const readyThoughLeaving = { ready: true, serving: true, terminating: true };

  test.each<[string, Conditions[], string[]]>([
    ['not ready beside ready', [unready, ready], ['10.0.0.2:80']],
    ['terminating beside ready', [leaving, ready], ['10.0.0.2:80']],
    ['terminating alone, and it serves', [leaving], ['10.0.0.1:80']],
    ['all terminating, one still serves', [gone, leaving], ['10.0.0.2:80']],
    ['terminating and no longer serving', [gone], []],
    ['serving but not ready, and not leaving', [unready], []],
    ['not ready beside terminating', [unready, leaving], ['10.0.0.2:80']],
    ['ready though terminating: publishNotReadyAddresses', [readyThoughLeaving, ready], ['10.0.0.1:80', '10.0.0.2:80']],
  ])('%s', (_, conditions, expected) => {
    const built = conditions.reduce<SliceBuilder>(
      (each, condition, i) => each.endpoint(`10.0.0.${i + 1}`, condition),
      slice.port(80),
    );
    expect(authorities('', built)).toEqual(expected);
  });

  test('the leaving ones of one slice step in only when no slice has a ready one', () => {
    const old = slice.port(80).endpoint('10.0.0.1', leaving);
    const fresh = aSlice('n/s2').of('svc').port(80).endpoint('10.0.0.2');
    expect(authorities('', old, fresh)).toEqual(['10.0.0.2:80']);
    expect(authorities('', old, aSlice('n/s2').of('svc').port(80))).toEqual(['10.0.0.1:80']);
  });

  test('a ready one that cannot be dialled does not keep the leaving ones out', () => {
    expect(authorities('', slice.port(80).endpoint('127.0.0.1').endpoint('10.0.0.1', leaving))).toEqual([
      '10.0.0.1:80',
    ]);
  });

  test('a ready one at another port does not keep the leaving ones out', () => {
    const other = aSlice('n/s2').of('svc').port(81, 'other').endpoint('10.0.0.2');
    expect(authorities('80', slice.port(80).endpoint('10.0.0.1', leaving), other)).toEqual(['10.0.0.1:80']);
  });
});

describe('an idled Service (Route semantics 7.4, observed 21)', () => {
  const service = anIdledService('n/svc', ['http:8081', 'grpc:9090', 'dns:53/UDP']);
  const own = ['10.96.0.1:8081', '10.96.0.1:9090'];
  const leaving = { ready: false, serving: true, terminating: true };
  const gone = { ready: false, serving: false, terminating: true };
  const empty = slice.port(80, 'http');

  /** `idled` or not, and the Endpoints. */
  function shown(of: ServiceManifest, port: string, slices: readonly SliceBuilder[], loopback = false): string[] {
    const state = new ClusterState();
    state.put('Service/n/svc', of);
    const subject = { id: backendId('n', 'svc', port), namespace: 'n', service: 'svc', port };
    const built = slices.map((each) => each.build());
    const { idled, endpoints } = compileBackend(subject, built, state.idledService('n/svc'), loopback);
    return [idled ? 'idled' : 'awake', ...endpoints.map(({ authority, h2c }) => `${authority}${h2c ? ' h2c' : ''}`)];
  }

  test.each<[string, SliceBuilder[], string[]]>([
    ['no slice at all', [], ['awake']],
    ['an empty slice', [empty], ['idled', ...own]],
    ['a slice without ports', [slice], ['idled', ...own]],
    ['a slice of host names', [slice.addressType('FQDN').port(80).endpoint('pod.test')], ['idled', ...own]],
    ['a pod that is not ready', [empty.endpoint('10.0.0.1', notReady)], ['idled', ...own]],
    ['a pod that has ended', [empty.endpoint('10.0.0.1', gone)], ['idled', ...own]],
    ['a pod that is ready', [empty.endpoint('10.0.0.1')], ['awake', '10.0.0.1:80']],
    ['one in another slice', [empty, aSlice('n/s2').port(81).endpoint('10.0.0.1')], ['awake', '10.0.0.1:81']],
    ['a pod that serves while it terminates', [empty.endpoint('10.0.0.1', leaving)], ['awake', '10.0.0.1:80']],
    ['a ready pod without a port', [slice.endpoint('10.0.0.1')], ['awake']],
    // The cluster would lead from the Service's address to where we must not go.
    ['a ready address that may not be dialled', [empty.endpoint('168.63.129.16')], ['awake']],
    ['one that leaves and may not be dialled', [empty.endpoint('168.63.129.16', leaving)], ['awake']],
  ])('%s', (_, slices, expected) => {
    expect(shown(service, '', slices).map((each) => each.replace(' h2c', ''))).toEqual(expected);
  });

  test.each([
    ['', ['10.96.0.1:8081', '10.96.0.1:9090 h2c']],
    ['http', ['10.96.0.1:8081']],
    ['8081', ['10.96.0.1:8081']],
    ['grpc', ['10.96.0.1:9090 h2c']],
    ['80', []],
    ['1', []],
    ['HTTP', []],
    ['dns', []],
    ['53', []],
  ])('targetPort "%s" is the name or number of a port of the Service', (port, expected) => {
    expect(shown(service, port, [empty])).toEqual(['idled', ...expected]);
  });

  test.each([
    ['None', []],
    ['', []],
    ['svc.test', []],
    ['127.0.0.1', []],
    ['169.254.169.254', []],
    ['fd00::10', ['[fd00::10]:80']],
  ])('cluster IP "%s"', (clusterIp, expected) => {
    expect(shown(anIdledService('n/svc', [':80'], clusterIp), '', [empty])).toEqual(['idled', ...expected]);
  });

  test('on loopback where that is allowed', () => {
    expect(shown(anIdledService('n/svc', [':80'], '127.0.0.1'), '', [empty], true)).toEqual(['idled', '127.0.0.1:80']);
  });

  test.each([
    ['empty', { 'idling.alpha.openshift.io/idled-at': '' }],
    ['absent', {}],
  ])('not with an annotation that is %s', (_, annotations) => {
    expect(shown({ ...service, annotations }, '', [empty])).toEqual(['awake']);
  });

  test('the Endpoint is named like one without a pod', () => {
    const state = new ClusterState();
    state.put('Service/n/svc', service);
    const subject = { id: backendId('n', 'svc', 'http'), namespace: 'n', service: 'svc', port: 'http' };
    const compiled = compileBackend(subject, [empty.build()], state.idledService('n/svc'), false);
    expect(compiled.endpoints.map(({ id }) => id)).toEqual(['ept:svc:http:10.96.0.1:8081']);
    expect(compiled.leaving).toEqual([]);
  });
});
