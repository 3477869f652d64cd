import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileBackend } from '../../src/controller/compile-backend.ts';
import type { EndpointSliceManifest, SliceEndpoint } from '../../src/source/manifests.ts';
import { backendId } from '../../src/table/entries.ts';
import { aSlice, type SliceBuilder } from '../support/manifests.ts';

/** The Endpoints of the Service n/svc at the port that a Route names. */
function authorities(port: string, ...slices: readonly SliceBuilder[]): string[] {
  return compile(
    port,
    slices.map((slice) => slice.build()),
  ).map(({ authority }) => authority);
}

function compile(port: string, slices: readonly EndpointSliceManifest[]): readonly { id: string; authority: string }[] {
  return compileBackend({ id: backendId('n', 'svc', port), namespace: 'n', service: 'svc', port }, slices, false)
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
