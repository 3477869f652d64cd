// manifests/crd.yaml against the cases of Route semantics 8.1, and against our own decoder: what an API server takes, the router
// must be able to read.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { decodeManifest } from '../../src/source/decode-manifest.ts';
import { admit, type Definition, type Schema, schemaAt, schemaFaults } from '../support/crd.ts';

const definition = load(readFileSync(new URL('../../manifests/crd.yaml', import.meta.url), 'utf8')) as Definition;
const [version] = definition.spec.versions;
const schema: Schema = version?.schema.openAPIV3Schema ?? {};

type Spec = Readonly<Record<string, unknown>>;
/** Identification, spec, and a piece of what must be among the faults; without one the Route must be taken. */
type Case = readonly [id: string, spec: Spec, fault?: string];

const to = { kind: 'Service', name: 'foo' };
const passthrough = { termination: 'passthrough' };

function set(name: string, value: unknown): Spec {
  return { name, action: { type: 'Set', set: { value } } };
}

function deletion(name: string): Spec {
  return { name, action: { type: 'Delete' } };
}

function headers(list: 'request' | 'response', ...actions: readonly Spec[]): Spec {
  return { to, host: 'a.test', tls: { termination: 'edge' }, httpHeaders: { actions: { [list]: actions } } };
}

function route(spec: Spec): object {
  return {
    apiVersion: 'route.openshift.io/v1',
    kind: 'Route',
    metadata: { name: 'a', namespace: 'ns', labels: { any: 'label' } },
    spec,
  };
}

const noCertificates = 'passthrough termination does not support certificates';
const noDestination = 'edge termination does not support destination certificates';
const noActions = '.spec: header actions are not permitted when tls termination is passthrough.';
const badFormat = 'value: Either the header value provided is not in correct format';
const externalToo = '.spec.tls: cannot have both spec.tls.certificate and spec.tls.externalCertificate';
const allowToo =
  '.spec.tls: cannot have both spec.tls.termination: passthrough and spec.tls.insecureEdgeTerminationPolicy: Allow';

const a5: Spec = {
  to: { ...to, weight: 100 },
  wildcardPolicy: 'None',
  subdomain: 'shop',
  tls: { termination: 'edge' },
  httpHeaders: {
    actions: {
      response: [
        set('X-Frame-Options', 'DENY'),
        set('X-Cache-Info', 'not cacheable; meta data too large'),
        deletion('X-XSS-Protection'),
        set('X-Source', '%[res.hdr(X-Value),lower]'),
      ],
      request: [
        set('Content-Location', '/my-first-blog-post'),
        set('X-SSL-Client-Cert', '%{+Q}[ssl_c_der,base64]'),
        deletion('Content-Language'),
        set('X-Target', '%[req.hdr(host),lower]'),
        set('X-Conditional', '%[req.hdr(Host)] if foo'),
        set('X-Condition', '%[req.hdr(Host)]\\ if\\ foo'),
      ],
    },
  },
};

/** Route semantics 8.1, by the names that it gives. */
const reference: readonly Case[] = [
  ['A1', { to }],
  ['A2', { to, tls: { ...passthrough, insecureEdgeTerminationPolicy: 'Allow' } }, allowToo],
  ['A3', { to, host: 'a.test', tls: { ...passthrough, insecureEdgeTerminationPolicy: 'Redirect' } }],
  ['A4', { to, host: 'a.test', tls: { ...passthrough, insecureEdgeTerminationPolicy: 'None' } }],
  ['A5', a5],
  ['A6', { ...headers('response', deletion('X-A')), tls: passthrough }, noActions],
  ['A7', { ...headers('request', deletion('X-A')), tls: passthrough }, noActions],
  [
    'A8',
    headers('response', deletion('Strict-Transport-Security')),
    'strict-transport-security header may not be modified via header actions',
  ],
  ['A9', headers('request', set('Proxy', 'x')), 'proxy header may not be modified via header actions'],
  ['A10', headers('request', set('Cookie', 'x')), 'cookie header may not be modified via header actions'],
  ['A11', headers('response', set('Set-Cookie', 'x')), 'set-cookie header may not be modified via header actions'],
  ['A12', headers('request', set('X-A', '%[req.hdr(host),lower')), badFormat],
  ['A13', headers('response', set('X-A', '%{+Q}[ssl_c_der1,base64]')), badFormat],
  ['A14', headers('response', set('X-A', '%{+Q}[ssl_c_der,bogus]')), badFormat],
  ['A15', headers('response', set('X-A', '%[req.hdr(host),lower]')), badFormat],
  ['A16', headers('request', set('X-A', '%[res.hdr(X-Value),lower]')), badFormat],
  ['A17', headers('request', set('X-A', '%{+Q}[ssl_c_der,bogus]')), badFormat],
  ['A18', headers('request', set('X-A', '%{+Q}[ssl_c_der1122,base64]')), badFormat],
  ['A19, request', headers('request', set('X-A', null)), 'request[0].action.set.value: Required value'],
  ['A19, response', headers('response', set('X-A', null)), 'response[0].action.set.value: Required value'],
  [
    'A20',
    headers('request', { name: 'X-A', action: { type: 'Set' } }),
    'action: set is required when type is Set, and forbidden otherwise',
  ],
  [
    'A21',
    headers('request', { name: 'X-A', action: { set: { value: 'x' } } }),
    'request[0].action.type: Required value',
  ],
  [
    'A22',
    { to, tls: { termination: 'edge', certificate: 'x', key: 'x', externalCertificate: { name: 's' } } },
    externalToo,
  ],
  ['A23', { to, path: '/', tls: passthrough }, '.spec.path: passthrough termination does not support paths'],
  ['A24', { to, path: '/' }],
  ['A25', { to, path: '/', tls: { termination: 'edge' } }],
  ['A26', { to, path: 'x', tls: { termination: 'edge' } }, ".spec.path: should match '^/'"],
  ['A27', { to, wildcardPolicy: 'Subdomain' }, '.spec.wildcardPolicy: host name not specified for wildcard policy'],
  ['A28', { to, port: { targetPort: '' } }, '.spec.port.targetPort: must not validate the schema (not)'],
  ['A29', { to, port: { targetPort: 0 } }, '.spec.port.targetPort: must not validate the schema (not)'],
  ['A30', { to, port: { targetPort: '0' } }],
  ['A31', { to, port: { targetPort: 1 } }],
  ['A32', { to, port: { targetPort: 'x' } }],
  ['A33', { to: { ...to, kind: 'Nonsense' } }, '.spec.to.kind: Unsupported value'],
  ['A34', { to: { ...to, name: '' } }, '.spec.to.name: should be at least 1 chars long'],
  ['A35', { to: { ...to, weight: -1 } }, '.spec.to.weight: should be greater than or equal to 0'],
  ['A36', { to: { ...to, weight: 300 } }, '.spec.to.weight: should be less than or equal to 256'],
  ['A37', { to: { ...to, weight: 100 } }],
  [
    'A38',
    { to, alternateBackends: ['a', 'b', 'c', 'd'].map((name) => ({ name })) },
    '.spec.alternateBackends: must have at most 3 items',
  ],
  [
    'A39',
    { to, alternateBackends: [{ name: '' }] },
    '.spec.alternateBackends[0].name: should be at least 1 chars long',
  ],
  ['A40', { to, alternateBackends: [to, to, to] }, '.spec.alternateBackends[1]: Duplicate value: ["foo","Service"]'],
  ['A41', { to, tls: { ...passthrough, certificate: 'x' } }, `.spec.tls.certificate: ${noCertificates}`],
  ['A42', { to, tls: { ...passthrough, key: 'x' } }, `.spec.tls.key: ${noCertificates}`],
  ['A43', { to, tls: { ...passthrough, caCertificate: 'x' } }, `.spec.tls.caCertificate: ${noCertificates}`],
  [
    'A44',
    { to, tls: { ...passthrough, destinationCACertificate: 'x' } },
    `.spec.tls.destinationCACertificate: ${noCertificates}`,
  ],
  [
    'A45',
    { to, tls: { termination: 'edge', destinationCACertificate: 'x' } },
    `.spec.tls.destinationCACertificate: ${noDestination}`,
  ],
  [
    'A46',
    { to, tls: { termination: 'edge', insecureEdgeTerminationPolicy: 'nonsense' } },
    '.spec.tls.insecureEdgeTerminationPolicy: Unsupported value',
  ],
];

const label63 = 'a'.repeat(63);
const host253 = `${label63}.${label63}.${label63}.${'a'.repeat(61)}`;
const notAHost = ': should match';

/** What Route semantics 1.1 to 1.4 say beyond those cases. */
const further: readonly Case[] = [
  ['no spec.to', {}, '.spec.to: Required value'],
  ['to without a name', { to: { kind: 'Service' } }, '.spec.to.name: Required value'],
  ['an empty kind', { to: { kind: '', name: 'foo' } }],
  ['a fraction as weight', { to: { ...to, weight: 1.5 } }, '.spec.to.weight: must be of type integer'],
  ['alternates of several names', { to, alternateBackends: [{ name: 'a' }, { name: 'b', weight: 0 }] }],
  ['null counts as absent', { to, host: null, tls: null, port: null, alternateBackends: null, httpHeaders: null }],
  ['an unknown field', { to, futureField: { of: ['any', 'form'] } }],

  ['a host in capitals', { to, host: 'A.Example.TEST' }],
  ['a host of one label', { to, host: 'localhost' }],
  ['a host of 253 characters', { to, host: host253 }],
  ['a host of 254 characters', { to, host: `${host253}a` }, '.spec.host: may not be longer than 253'],
  ['a label of 64 characters', { to, host: `${label63}a.test` }, `.spec.host${notAHost}`],
  ...[
    '',
    '.',
    'a..test',
    'a.test.',
    '-a.test',
    'a-.test',
    'a_b.test',
    '*.a.test',
    'a.test\n',
    'é.test',
    'a.test:80',
  ].flatMap((name): Case[] => [
    [`host ${JSON.stringify(name)}`, { to, host: name }, `.spec.host${notAHost}`],
    [`subdomain ${JSON.stringify(name)}`, { to, subdomain: name }, `.spec.subdomain${notAHost}`],
  ]),
  ['host and subdomain', { to, host: 'a.test', subdomain: 'b.c' }],
  ['an empty path', { to, path: '' }, ".spec.path: should match '^/'"],

  ['a port of no target', { to, port: {} }, '.spec.port.targetPort: Required value'],
  ['a fraction as target', { to, port: { targetPort: 1.5 } }, '.spec.port.targetPort: must validate'],
  ['a truth value as target', { to, port: { targetPort: true } }, '.spec.port.targetPort: must validate'],

  ['wildcard with a host', { to, host: 'www.a.test', wildcardPolicy: 'Subdomain' }],
  ['an empty policy', { to, wildcardPolicy: '' }],
  ['another policy', { to, wildcardPolicy: 'All' }, '.spec.wildcardPolicy: Unsupported value'],

  ['tls without a termination', { to, tls: { key: 'x' } }, '.spec.tls.termination: Required value'],
  ['an empty termination', { to, tls: { termination: '' } }, '.spec.tls.termination: Unsupported value'],
  ['a termination in capitals', { to, tls: { termination: 'Edge' } }, '.spec.tls.termination: Unsupported value'],
  [
    'everything for re-encrypt',
    {
      to,
      path: '/x',
      tls: {
        termination: 'reencrypt',
        certificate: 'x',
        key: 'x',
        caCertificate: 'x',
        destinationCACertificate: 'x',
        insecureEdgeTerminationPolicy: 'Allow',
      },
    },
  ],
  [
    'certificates that are empty texts',
    { to, tls: { ...passthrough, certificate: '', key: '', caCertificate: '', destinationCACertificate: '' } },
  ],
  ['edge with an empty authority', { to, tls: { termination: 'edge', destinationCACertificate: '' } }],
  ['a certificate in a Secret', { to, tls: { termination: 'edge', externalCertificate: { name: 's' } } }],
  [
    'a certificate, and a Secret of no name',
    { to, tls: { termination: 'edge', certificate: 'x', externalCertificate: {} } },
    externalToo,
  ],
  ['passthrough with headers of no action', { to, tls: passthrough, httpHeaders: {} }, noActions],

  ['20 actions', headers('request', ...Array.from({ length: 20 }, (_, i) => deletion(`X-${i}`)))],
  [
    '21 actions',
    headers('response', ...Array.from({ length: 21 }, (_, i) => deletion(`X-${i}`))),
    'response: must have at most 20 items',
  ],
  ['a name in two spellings', headers('request', deletion('X-A'), deletion('x-a'))],
  ['a name twice', headers('request', deletion('X-A'), set('X-A', 'x')), 'request[1]: Duplicate value: ["X-A"]'],
  ['Host', headers('request', set('Host', 'b.test'))],
  ['every sign that a name may have', headers('request', deletion("aZ09!#$%&'*+-.^_`|~"))],
  ...['', 'a b', 'a:', 'a"', 'é', 'a\n'].map(
    (name): Case => [
      `header name ${JSON.stringify(name)}`,
      headers('response', deletion(name)),
      'response[0].name: should',
    ],
  ),
  ['a name of 255 characters', headers('request', deletion('a'.repeat(255)))],
  ['a name of 256 characters', headers('request', deletion('a'.repeat(256))), 'name: may not be longer than 255'],
  ['a forbidden name in capitals', headers('request', deletion('COOKIE')), 'cookie header may not be modified'],
  [
    'Delete with a value',
    headers('request', { name: 'X-A', action: { type: 'Delete', set: { value: 'x' } } }),
    'set is required when type is Set, and forbidden otherwise',
  ],
  ['another type of action', headers('request', { name: 'X-A', action: { type: 'Append' } }), 'Unsupported value'],
  ['no action', headers('request', { name: 'X-A' }), 'request[0].action: Required value'],
  ['an empty value', headers('request', set('X-A', '')), 'value: should be at least 1 chars long'],
  ['a value of 16384 characters', headers('request', set('X-A', 'x'.repeat(16_384)))],
  ['a value of 16385 characters', headers('request', set('X-A', 'x'.repeat(16_385))), 'may not be longer than 16384'],
  ...['100%%', 'é', '\x24{HOME}', '%{+Q,-X}[ssl_c_der]', '%{E}[req.hdr(a)]x%[ssl_c_der,lower,base64]'].map(
    (value): Case => [`value ${JSON.stringify(value)}`, headers('request', set('X-A', value))],
  ),
  ...[
    '100%',
    '%x',
    'a\tb',
    'a\r\nb',
    '\x7f',
    '%[req.hdr()]',
    '%[req.hdr(a b)]',
    '%{}[ssl_c_der]',
    '%[ssl_c_der()]',
  ].map((value): Case => [`value ${JSON.stringify(value)}`, headers('request', set('X-A', value)), badFormat]),
];

describe('the definition', () => {
  test('is of the API that the router reads', () => {
    const { group, names, scope } = definition.spec;
    expect(definition.metadata.name).toBe(`${names['plural']}.${group}`);
    expect({ group, scope, ...names }).toMatchObject({
      group: 'route.openshift.io',
      scope: 'Namespaced',
      kind: 'Route',
      listKind: 'RouteList',
      plural: 'routes',
      singular: 'route',
    });
    expect(version).toMatchObject({ name: 'v1', served: true, storage: true, subresources: { status: {} } });
  });

  test('is one that an API server takes, and every rule of it is of boolean type', () => {
    expect(schemaFaults(schema)).toEqual([]);
  });

  test.each([
    ['Host', '.status.ingress[0].host'],
    ['Admitted', '.status.ingress[0].conditions[?(@.type=="Admitted")].status'],
    ['Service', '.spec.to.name'],
    ['TLS', '.spec.tls.termination'],
    ['Age', '.metadata.creationTimestamp'],
  ])('prints the column %s', (name, jsonPath) => {
    expect(version?.additionalPrinterColumns).toContainEqual(expect.objectContaining({ name, jsonPath }));
  });

  test.each([
    ['.spec.to', '.spec.alternateBackends[0]'],
    ['.spec.host', '.spec.subdomain'],
    ['.spec.httpHeaders.actions.request', '.spec.httpHeaders.actions.response'],
  ])('has the same rules for %s and %s', (one, other) => {
    const rulesAt = (path: string): string =>
      JSON.stringify(schemaAt(schema, path), (key, value) => (key === 'description' ? undefined : value));
    expect(rulesAt(other).replaceAll(/res(?=[.\\]+hdr)/g, 'req')).toBe(rulesAt(one));
  });

  test('has columns and selectable fields of fields that exist', () => {
    const columns = version?.additionalPrinterColumns ?? [];
    const selectable = version?.selectableFields ?? [];
    expect([...columns, ...selectable].filter(({ jsonPath }) => schemaAt(schema, jsonPath) === null)).toEqual([]);
    expect(selectable.map(({ jsonPath }) => schemaAt(schema, jsonPath)?.type)).toEqual(['string', 'string', 'string']);
  });
});

describe.each<{ where: string; cases: readonly Case[] }>([
  { where: 'Route semantics 8.1', cases: reference },
  { where: 'Route semantics 1.1 to 1.4', cases: further },
])('$where', ({ cases }) => {
  test.each(cases.map(([id, spec, fault]) => ({ id, spec, fault })))('$id', ({ spec, fault }) => {
    const { stored, faults } = admit(schema, route(spec));
    if (fault === undefined) {
      expect(faults).toEqual([]);
      expect(decodeManifest(stored)).toMatchObject({ kind: 'manifest', manifest: { kind: 'Route', name: 'a' } });
      expect(decodeManifest(route(spec))).toEqual(decodeManifest(stored));
    } else {
      expect(faults.join('\n')).toContain(fault);
    }
  });
});

test('a Route without a spec is refused', () => {
  expect(admit(schema, { ...route({}), spec: null }).faults).toEqual(['.spec: Required value']);
});

test('defaults are those of the OpenShift API', () => {
  expect(admit(schema, route({ to: { name: 'foo' }, alternateBackends: [{ name: 'b' }] })).stored).toEqual(
    route({
      to: { kind: 'Service', name: 'foo', weight: 100 },
      alternateBackends: [{ kind: 'Service', name: 'b', weight: 100 }],
      wildcardPolicy: 'None',
    }),
  );
});

test('nothing is changed that is whole', () => {
  expect(admit(schema, route(a5)).stored).toEqual(route(a5));
});

const condition = { type: 'Admitted', status: 'True', lastTransitionTime: '2026-01-02T03:04:05Z' };

test.each([
  ['two routers', [{ host: 'a.test', routerName: 'one', conditions: [condition] }, { routerName: 'two' }], ''],
  ['two entries of one router', [{ routerName: 'one' }, { routerName: 'one' }], ''],
  ['a condition of no status', [{ conditions: [{ type: 'Admitted' }] }], '.status.ingress[0].conditions[0].status'],
  ['a condition twice', [{ conditions: [condition, condition] }], 'conditions[1]: Duplicate value: ["Admitted"]'],
])('status: %s', (_, ingress, fault) => {
  const { faults } = admit(schema, { ...route({ to }), status: { ingress } });
  if (fault === '') expect(faults).toEqual([]);
  else expect(faults.join('\n')).toContain(fault);
});

/** Specs around the edges of every rule, most of them wrong somewhere. */
function anySpec(): fc.Arbitrary<Spec> {
  const optional = <T>(...values: readonly T[]): fc.Arbitrary<T | undefined> => fc.constantFrom(undefined, ...values);
  const service = fc.record({
    kind: optional('Service', '', 'Pod'),
    name: fc.constantFrom('a', 'b', 'c', ''),
    weight: optional(0, 1, 256, 257, null),
  });
  return fc.record({
    host: optional('a.test', 'A.TEST', '', 'a_b', null),
    subdomain: optional('sub', '', null),
    path: optional('/', '/x', 'x', '', null),
    to: service,
    alternateBackends: fc.option(fc.array(service, { maxLength: 4 })),
    port: fc.option(fc.record({ targetPort: optional<unknown>(0, 1, -1, 70_000, '', '0', 'http', null) })),
    wildcardPolicy: optional('None', 'Subdomain', '', 'All', null),
    tls: fc.option(
      fc.record({
        termination: optional('edge', 'reencrypt', 'passthrough', 'Edge', '', null),
        certificate: optional('x', '', null),
        destinationCACertificate: optional('x', ''),
        insecureEdgeTerminationPolicy: optional('None', 'Allow', 'Redirect', '', 'allow', null),
        externalCertificate: optional({ name: 's' }, { name: '' }, {}, null),
      }),
    ),
    httpHeaders: optional({}, { actions: { request: [set('X-A', 'x')] } }, { actions: null }),
  });
}

test('whatever the definition takes, the router reads', () => {
  fc.assert(
    fc.property(anySpec(), (spec) => {
      const { stored, faults } = admit(schema, route(spec));
      fc.pre(faults.length === 0);
      expect(decodeManifest(stored).kind).toBe('manifest');
      expect(decodeManifest(route(spec)).kind).toBe('manifest');
    }),
    { numRuns: 200, maxSkipsPerRun: 1000 },
  );
});
