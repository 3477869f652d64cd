import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFaultyRoute, decodeManifest } from '../../src/source/decode-manifest.ts';
import { type Manifest, manifestKey, type RouteManifest } from '../../src/source/manifests.ts';

const to = { kind: 'Service', name: 'foo' };

function routeObject(spec: object, metadata: object = {}): object {
  return {
    apiVersion: 'route.openshift.io/v1',
    kind: 'Route',
    metadata: { name: 'r', namespace: 'shop', ...metadata },
    spec: { to, ...spec },
  };
}

function manifestOf(object: unknown): Manifest {
  const decoded = decodeManifest(object);
  if (decoded.kind !== 'manifest') throw new Error(JSON.stringify(decoded));
  return decoded.manifest;
}

function routeOf(spec: object, metadata: object = {}): RouteManifest {
  const manifest = manifestOf(routeObject(spec, metadata));
  if (manifest.kind !== 'Route') throw new Error(manifest.kind);
  return manifest;
}

function reasonOf(object: unknown): string {
  const decoded = decodeManifest(object);
  return decoded.kind === 'invalid' ? decoded.reason : decoded.kind;
}

describe('a Route', () => {
  test('gets the defaults of the API', () => {
    expect(
      manifestOf({ apiVersion: 'route.openshift.io/v1', kind: 'Route', metadata: { name: 'r' }, spec: { to } }),
    ).toEqual({
      kind: 'Route',
      namespace: 'default',
      name: 'r',
      uid: '',
      createdMs: 0,
      generation: 0,
      labels: {},
      annotations: {},
      host: '',
      subdomain: '',
      path: '',
      to: { name: 'foo', weight: 100 },
      alternateBackends: [],
      targetPort: '',
      wildcardPolicy: 'None',
      tls: null,
      headerActions: { request: [], response: [] },
      fault: '',
      status: { resourceVersion: '', ingress: [] },
    } satisfies RouteManifest);
  });

  test('keeps all that it says', () => {
    const route = routeOf(
      {
        host: 'Shop.example.com',
        subdomain: 'shop',
        path: '/a',
        to: { kind: 'Service', name: 'a', weight: 7 },
        alternateBackends: [{ kind: 'Service', name: 'b', weight: 0 }],
        port: { targetPort: 8080 },
        wildcardPolicy: 'Subdomain',
        tls: {
          termination: 'Edge',
          certificate: 'C',
          key: 'K',
          caCertificate: 'CA',
          destinationCACertificate: 'D',
          insecureEdgeTerminationPolicy: 'Redirect',
          externalCertificate: { name: '' },
        },
      },
      {
        uid: 'u-1',
        generation: 3,
        creationTimestamp: '2024-01-02T03:04:05Z',
        labels: { app: 'shop', gone: null },
        annotations: { 'headgate.io/x': 'y' },
      },
    );
    expect(route).toEqual({
      kind: 'Route',
      namespace: 'shop',
      name: 'r',
      uid: 'u-1',
      createdMs: Date.UTC(2024, 0, 2, 3, 4, 5),
      generation: 3,
      labels: { app: 'shop' },
      annotations: { 'headgate.io/x': 'y' },
      host: 'Shop.example.com',
      subdomain: 'shop',
      path: '/a',
      to: { name: 'a', weight: 7 },
      alternateBackends: [{ name: 'b', weight: 0 }],
      targetPort: '8080',
      wildcardPolicy: 'Subdomain',
      tls: {
        termination: 'edge',
        certificate: 'C',
        key: 'K',
        caCertificate: 'CA',
        destinationCaCertificate: 'D',
        insecurePolicy: 'Redirect',
        externalCertificate: '',
      },
      headerActions: { request: [], response: [] },
      fault: '',
      status: { resourceVersion: '', ingress: [] },
    } satisfies RouteManifest);
  });

  test('null is as absent, and unknown fields are passed over', () => {
    const nulls = {
      host: null,
      path: null,
      alternateBackends: null,
      port: null,
      wildcardPolicy: null,
      tls: null,
      httpHeaders: { actions: null },
      someday: [1],
    };
    expect(routeOf(nulls, { labels: null, uid: null, creationTimestamp: null, managedFields: [{}] })).toEqual(
      routeOf({}),
    );
    expect(routeOf({ tls: { termination: null, certificate: null, externalCertificate: null } }).tls).toEqual(
      routeOf({ tls: {} }).tls,
    );
  });

  const collapsed: readonly (readonly [name: string, spec: object, to: number, alternates: object[]])[] = [
    [
      'the last of two alternates counts',
      {
        alternateBackends: [
          { name: 'a', weight: 1 },
          { name: 'a', weight: 2 },
        ],
      },
      100,
      [{ name: 'a', weight: 2 }],
    ],
    [
      'an alternate of the same name gives `to` its weight',
      { alternateBackends: [{ name: 'foo', weight: 5 }, { name: 'b' }] },
      5,
      [{ name: 'b', weight: 100 }],
    ],
    ['A40: three identical alternates', { alternateBackends: [to, to, to] }, 100, []],
  ];
  test.each(collapsed)('%s', (_name, spec, weight, alternates) => {
    expect(routeOf(spec)).toMatchObject({ to: { name: 'foo', weight }, alternateBackends: alternates });
  });

  const action = (name: string, value: string | null): object => ({
    name,
    action: value === null ? { type: 'Delete' } : { type: 'Set', set: { value } },
  });
  const requestActions = (...request: readonly object[]): object => ({ httpHeaders: { actions: { request } } });
  const responseActions = (...response: readonly object[]): object => ({ httpHeaders: { actions: { response } } });
  const badValue = 'Either the header value provided is not in correct format';

  // Route semantics 8.1; what is admission's to refuse is taken here.
  const taken: readonly (readonly [id: string, spec: object])[] = [
    ['A1', {}],
    ['A3', { host: 'a.test', tls: { termination: 'passthrough', insecureEdgeTerminationPolicy: 'Redirect' } }],
    ['A4', { host: 'a.test', tls: { termination: 'passthrough', insecureEdgeTerminationPolicy: 'None' } }],
    [
      'A5',
      {
        httpHeaders: {
          actions: {
            request: [action('X-SSL-Client-Cert', '%{+Q}[ssl_c_der,base64]'), action('Content-Language', null)],
            response: [action('X-Cache-Info', 'not cacheable; meta data too large'), action('X-XSS-Protection', null)],
          },
        },
      },
    ],
    ['one name in two spellings', requestActions(action('X-A', '1'), action('x-a', '2'))],
    ['a value of 16384 characters', requestActions(action('X-A', 'x'.repeat(16_384)))],
    ['A24', { path: '/' }],
    ['A25', { path: '/', tls: { termination: 'edge' } }],
    ['A30', { port: { targetPort: '0' } }],
    ['A31', { port: { targetPort: 1 } }],
    ['A32', { port: { targetPort: 'x' } }],
    ['A37', { to: { ...to, weight: 100 } }],
    ['A41', { tls: { termination: 'passthrough', certificate: 'x' } }],
    ['A42', { tls: { termination: 'passthrough', key: 'x' } }],
    ['A43', { tls: { termination: 'passthrough', caCertificate: 'x' } }],
    ['A44', { tls: { termination: 'passthrough', destinationCACertificate: 'x' } }],
    ['A45', { tls: { termination: 'edge', destinationCACertificate: 'x' } }],
    ['a termination that nobody knows', { tls: { termination: 'nonsense' } }],
    ['an empty kind', { to: { kind: '', name: 'foo' } }],
    ['weights at both ends', { to: { ...to, weight: 0 }, alternateBackends: [{ name: 'b', weight: 256 }] }],
    ['Subdomain with a host', { host: 'w.a.test', wildcardPolicy: 'Subdomain' }],
    ['a wildcard policy that nobody knows', { wildcardPolicy: 'bad-wolf' }],
    [
      'a certificate and an external one without a name',
      { tls: { certificate: 'x', externalCertificate: { name: '' } } },
    ],
  ];
  test.each(taken)('%s is taken', (_id, spec) => {
    expect(reasonOf(routeObject(spec))).toBe('manifest');
  });

  const refused: readonly (readonly [id: string, spec: object, reason: string])[] = [
    [
      'A2',
      { tls: { termination: 'passthrough', insecureEdgeTerminationPolicy: 'Allow' } },
      'cannot have both spec.tls.termination: passthrough and spec.tls.insecureEdgeTerminationPolicy: Allow',
    ],
    [
      'A6',
      { tls: { termination: 'passthrough' }, ...responseActions(action('X-A', '1')) },
      'header actions are not permitted when tls termination is passthrough.',
    ],
    ['A7, not even an empty list', { tls: { termination: 'passthrough' }, httpHeaders: {} }, 'header actions are not'],
    [
      'A8',
      responseActions(action('Strict-Transport-Security', null)),
      'strict-transport-security header may not be modified via header actions',
    ],
    ['A9', requestActions(action('Proxy', 'x')), 'proxy header may not be modified via header actions'],
    ['A10', requestActions(action('Cookie', 'x')), 'cookie header may not be modified via header actions'],
    ['A11', responseActions(action('Set-Cookie', 'x')), 'set-cookie header may not be modified via header actions'],
    ['A12', requestActions(action('X-A', '%[req.hdr(host),lower')), badValue],
    ['A13', responseActions(action('X-A', '%{+Q}[ssl_c_der1,base64]')), badValue],
    ['A14', responseActions(action('X-A', '%{+Q}[ssl_c_der,bogus]')), badValue],
    ['a field of the other message', responseActions(action('X-A', '%[req.hdr(host)]')), badValue],
    [
      'B52',
      responseActions(action('X-Frame-Options', 'a'), action('X-B', 'b'), action('X-Frame-Options', 'c')),
      'spec.httpHeaders.actions.response[2]: Duplicate value: {"name":"X-Frame-Options"}',
    ],
    ['B54', requestActions(action('X-A', 'x'.repeat(16_385))), 'may not be more than 16384 bytes'],
    ['B55', requestActions(action('X-A', '')), 'spec.httpHeaders.actions.request[0].action.set.value: Required value'],
    ['B55, name', requestActions(action('', 'x')), 'spec.httpHeaders.actions.request[0].name: Required value'],
    ['B56', requestActions(action('x'.repeat(256), 'x')), 'may not be more than 255 bytes'],
    ['B57', requestActions(action('foo bar', 'x')), 'must be a valid HTTP header name'],
    ['B58', requestActions({ name: 'X-A', action: { type: 'Set' } }), 'set is required when type is Set'],
    [
      'B58, Delete',
      requestActions({ name: 'X-A', action: { type: 'Delete', set: { value: 'x' } } }),
      'set is required when type is Set, and forbidden otherwise',
    ],
    ['B59', requestActions({ name: 'X-A', action: { type: 'Replace' } }), 'supported values: "Set", "Delete"'],
    [
      'more than 20',
      requestActions(...Array.from({ length: 21 }, (_, i) => action(`X-${i}`, 'x'))),
      'spec.httpHeaders.actions.request: Too many: must have at most 20 items',
    ],
    [
      'A22',
      { tls: { termination: 'edge', certificate: 'c', key: 'k', externalCertificate: { name: 's' } } },
      'cannot have both spec.tls.certificate and spec.tls.externalCertificate',
    ],
    [
      'A23',
      { path: '/', tls: { termination: 'Passthrough' } },
      'spec.path: Invalid value: "/": passthrough termination does not support paths',
    ],
    [
      'A26',
      { path: 'x', tls: { termination: 'edge' } },
      `spec.path: Invalid value: "x": spec.path in body should match '^/'`,
    ],
    ['A27', { wildcardPolicy: 'Subdomain' }, 'host name not specified for wildcard policy'],
    ['A28', { port: { targetPort: '' } }, 'spec.port.targetPort: Required value'],
    ['A29', { port: { targetPort: 0 } }, 'spec.port.targetPort: Required value'],
    ['a port without a number', { port: {} }, 'spec.port.targetPort: Required value'],
    [
      'A33',
      { to: { kind: 'Nonsense', name: 'foo' } },
      'spec.to.kind: Unsupported value: "Nonsense": supported values: "Service", ""',
    ],
    ['A34', { to: { kind: 'Service', name: '' } }, 'spec.to.name: Required value'],
    ['no name', { to: {} }, 'spec.to.name: Required value'],
    ['no Service', { to: null }, 'spec.to: Required value'],
    [
      'A35',
      { to: { ...to, weight: -1 } },
      'spec.to.weight: Invalid value: -1: spec.to.weight in body should be greater than or equal to 0',
    ],
    [
      'A36',
      { to: { ...to, weight: 300 } },
      'spec.to.weight: Invalid value: 300: spec.to.weight in body should be less than or equal to 256',
    ],
    ['a weight in words', { to: { ...to, weight: '3' } }, 'spec.to.weight in body must be of type integer: "string"'],
    ['half a weight', { to: { ...to, weight: 1.5 } }, 'spec.to.weight in body must be of type integer: "number"'],
    ['A38', { alternateBackends: [to, to, to, to] }, 'spec.alternateBackends: Too many: must have at most 3 items'],
    [
      'A39',
      { alternateBackends: [to, { kind: 'Service', name: '' }] },
      'spec.alternateBackends[1].name: Required value',
    ],
    [
      'A46',
      { tls: { termination: 'edge', insecureEdgeTerminationPolicy: 'nonsense' } },
      'spec.tls.insecureEdgeTerminationPolicy: Unsupported value: "nonsense"',
    ],
    ['a host that is a number', { host: 5 }, 'spec.host in body must be of type string: "number"'],
    ['a target port that is a list', { port: { targetPort: [] } }, 'must be of type integer or string: "array"'],
  ];
  test.each(refused)('%s is refused', (_id, spec, reason) => {
    const decoded = decodeManifest(routeObject(spec));
    expect(decoded).toMatchObject({ kind: 'invalid', key: 'Route/shop/r' });
    expect(reasonOf(routeObject(spec))).toContain(reason);
  });

  test('no spec', () => {
    expect(reasonOf({ apiVersion: 'route.openshift.io/v1', kind: 'Route', metadata: { name: 'r' } })).toBe(
      'spec: Required value',
    );
  });
});

describe('a Service', () => {
  test('with the defaults of the API', () => {
    const object = { apiVersion: 'v1', kind: 'Service', metadata: { name: 's', annotations: { a: 'b' } } };
    const spec = {
      clusterIP: '10.0.0.1',
      ports: [{ port: 80 }, { name: 'web', port: 443, targetPort: 'https', protocol: 'UDP', appProtocol: 'h2c' }],
    };
    expect(manifestOf({ ...object, spec })).toEqual({
      kind: 'Service',
      namespace: 'default',
      name: 's',
      annotations: { a: 'b' },
      type: 'ClusterIP',
      clusterIp: '10.0.0.1',
      ports: [
        { name: '', port: 80, targetPort: '80', protocol: 'TCP', appProtocol: '' },
        { name: 'web', port: 443, targetPort: 'https', protocol: 'UDP', appProtocol: 'h2c' },
      ],
    });
    expect(manifestOf(object)).toMatchObject({ type: 'ClusterIP', clusterIp: '', ports: [] });
    expect(reasonOf({ ...object, spec: { ports: [{ name: 'web' }] } })).toBe('spec.ports[0].port: Required value');
  });
});

describe('an EndpointSlice', () => {
  const object = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 's-x', namespace: 'shop', labels: { 'kubernetes.io/service-name': 's' } },
    addressType: 'IPv4',
  };

  const conditions: readonly (readonly [
    given: object | null,
    ready: boolean,
    serving: boolean,
    terminating: boolean,
  ])[] = [
    [null, true, true, false],
    [{}, true, true, false],
    [{ ready: null }, true, true, false],
    [{ ready: false }, false, false, false],
    [{ ready: false, serving: true, terminating: true }, false, true, true],
  ];
  test.each(conditions)('conditions %o', (given, ready, serving, terminating) => {
    const endpoint = { addresses: ['10.0.0.1'], conditions: given, targetRef: { kind: 'Pod', name: 'p' } };
    expect(manifestOf({ ...object, endpoints: [endpoint] })).toMatchObject({
      endpoints: [{ addresses: ['10.0.0.1'], ready, serving, terminating, pod: 'p' }],
    });
  });

  test('its Service, ports and targets', () => {
    const slice = {
      ...object,
      endpoints: [{ addresses: ['10.0.0.2'], targetRef: { kind: 'Node', name: 'n' } }, { addresses: null }],
      ports: [
        { name: 'http', port: 8080, appProtocol: 'h2c' },
        { name: 'none' },
        { name: 'null', port: null },
        { port: 0 },
      ],
    };
    expect(manifestOf(slice)).toMatchObject({
      service: 's',
      addressType: 'IPv4',
      endpoints: [{ pod: '' }, { addresses: [] }],
      ports: [{ name: 'http', port: 8080, protocol: 'TCP', appProtocol: 'h2c' }],
    });
    expect(manifestOf({ ...object, metadata: { name: 'x' }, endpoints: null, ports: null })).toMatchObject({
      service: '',
      endpoints: [],
      ports: [],
    });
  });
});

describe('a Secret', () => {
  const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } };
  test('its data as text, stringData over it', () => {
    const data = { 'tls.crt': Buffer.from('grüße\n').toString('base64'), 'tls.key': 'b25l\nb25l\n' };
    expect(manifestOf({ ...object, type: 'kubernetes.io/tls', data, stringData: { 'tls.key': 'two' } })).toEqual({
      kind: 'Secret',
      namespace: 'default',
      name: 's',
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': 'grüße\n', 'tls.key': 'two' },
    });
    expect(manifestOf({ ...object, data: { a: 'b25l\nb25l\n' } })).toMatchObject({
      type: 'Opaque',
      data: { a: 'oneone' },
    });
  });
  test('what is not base64 is refused without being shown', () => {
    expect(reasonOf({ ...object, data: { 'tls.key': '-----BEGIN' } })).toBe(
      'data[tls.key]: Invalid value: illegal base64 data',
    );
  });
});

test('a Namespace', () => {
  const namespace = manifestOf({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { a: 'b' } } });
  expect(namespace).toEqual({ kind: 'Namespace', name: 'shop', labels: { a: 'b' } });
  expect(manifestKey(namespace)).toBe('Namespace/shop');
});

describe('any object', () => {
  const ignored = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } },
    { apiVersion: 'apps/v1', kind: 'Deployment' },
    { apiVersion: 'serving.knative.dev/v1', kind: 'Route' },
    { apiVersion: 'v1', kind: 'Route', metadata: { name: 'r' } },
  ];
  test.each(ignored)('a kind that is not read: %o', (object) => {
    expect(decodeManifest(object)).toEqual({ kind: 'ignored' });
  });

  const faulty: readonly (readonly [object: unknown, key: string | null, reason: string])[] = [
    [null, null, 'must be an object, not null'],
    [[], null, 'must be an object, not array'],
    ['text', null, 'must be an object, not string'],
    [{}, null, 'apiVersion: Required value'],
    [{ apiVersion: 'v1' }, null, 'kind: Required value'],
    [{ apiVersion: 'v1', kind: 'Service' }, null, 'metadata: Required value'],
    [{ apiVersion: 'v1', kind: 'Service', metadata: {} }, null, 'metadata.name: Required value'],
    [{ apiVersion: 'v1', kind: 'Service', metadata: { name: '' } }, null, 'metadata.name: Required value'],
    [
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a/b' } },
      null,
      "metadata.name: Invalid value: may not contain '/'",
    ],
    [
      routeObject({}, { labels: { app: 5 } }),
      'Route/shop/r',
      'metadata.labels.app: Invalid value: "number": metadata.labels.app in body must be of type string: "number"',
    ],
    [
      routeObject({}, { annotations: { 'a.b/c': true } }),
      'Route/shop/r',
      'metadata.annotations[a.b/c]: Invalid value: "boolean": metadata.annotations[a.b/c] in body must be of type string: "boolean"',
    ],
    [
      routeObject({}, { creationTimestamp: 'soon' }),
      'Route/shop/r',
      'metadata.creationTimestamp: Invalid value: must be an RFC 3339 time',
    ],
  ];
  test.each(faulty)('%o', (object, key, reason) => {
    expect(decodeManifest(object)).toEqual({ kind: 'invalid', key, reason });
  });

  test('is read without a throw, and a reason is one line', () => {
    const kinds = fc.constantFrom(
      ['route.openshift.io/v1', 'Route'],
      ['v1', 'Service'],
      ['v1', 'Secret'],
      ['v1', 'Namespace'],
      ['discovery.k8s.io/v1', 'EndpointSlice'],
    );
    const fields = fc.constantFrom(
      'name',
      'namespace',
      'labels',
      'to',
      'weight',
      'tls',
      'port',
      'ports',
      'addresses',
      'conditions',
      'a\nb',
      '__proto__',
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.string(),
        fc.integer(),
        fc.constant(null),
        fc.boolean(),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fields, tie('value')),
      ),
    }));
    fc.assert(
      fc.property(
        kinds,
        fc.dictionary(fc.constantFrom('metadata', 'spec', 'data', 'ports', 'endpoints', 'type'), value),
        ([apiVersion, kind], rest) => {
          const decoded = decodeManifest({ ...rest, apiVersion, kind });
          if (decoded.kind === 'invalid') expect(decoded.reason).toMatch(/^[^\n\r]+$/);
          if (decoded.kind === 'manifest') expect(manifestKey(decoded.manifest)).toMatch(new RegExp(`^${kind}/`));
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a reason never carries a key, a certificate or a Secret', () => {
    const secret = 'hunter2hunter2';
    const values = fc.constantFrom<unknown>(secret, [secret], { a: secret }, { name: secret, x: [secret] });
    const tls = fc.record({
      termination: fc.constantFrom('edge', 'passthrough', 7),
      certificate: values,
      key: values,
      caCertificate: values,
      destinationCACertificate: values,
      externalCertificate: fc.constantFrom({ name: 's' }, [secret], null),
    });
    const objects = fc.oneof(
      fc.record({ tls, path: fc.constantFrom('/', 'x') }).map((spec) => routeObject(spec)),
      fc
        .record({
          data: fc.constantFrom<unknown>({ k: `!${secret}` }, { k: [secret] }, [secret], secret),
          stringData: fc.constantFrom<unknown>(null, secret, { k: [secret] }),
        })
        .map((rest) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, ...rest })),
    );
    fc.assert(fc.property(objects, (object) => !reasonOf(object).includes(secret)));
  });
});

describe('the status of a Route (Route semantics 1.5)', () => {
  const entry = {
    routerName: 'default',
    host: 7,
    conditions: [{ type: 'Admitted', 'x-more': [null, { a: 1 }] }, null],
    later: { unknown: true },
    none: null,
  };
  const statusOf = (status: unknown, metadata: object = {}): RouteManifest['status'] => {
    const manifest = manifestOf({ ...routeObject({}, metadata), status });
    if (manifest.kind !== 'Route') throw new Error(manifest.kind);
    return manifest.status;
  };

  test('goes as it came: unknown fields, nulls, and the order of all', () => {
    const list = [entry, { host: 'a' }, {}, { ...entry, routerName: 'b' }];
    const { resourceVersion, ingress } = statusOf({ ingress: list, more: 1 }, { resourceVersion: '17' });
    expect(resourceVersion).toBe('17');
    expect(JSON.stringify(ingress)).toBe(JSON.stringify(list));
  });

  // Others write here, too: what cannot be read of it must not cost the Route.
  const odd: readonly (readonly [name: string, status: unknown])[] = [
    ['absent', undefined],
    ['null', null],
    ['empty', {}],
    ['without a list', { ingress: null }],
    ['a text', 'x'],
    ['a list', []],
    ['with a text for a list', { ingress: 'x' }],
    ['with an entry that is a text', { ingress: [entry, 'x'] }],
    ['with an entry that is null', { ingress: [null] }],
  ];
  test.each(odd)('%s is no entry', (_name, status) => {
    expect(statusOf(status)).toEqual({ resourceVersion: '', ingress: [] });
  });

  test('a version that is no text costs the Route', () => {
    expect(reasonOf(routeObject({}, { resourceVersion: 7 }))).toContain('metadata.resourceVersion');
  });
});

describe('a Route that cannot be read', () => {
  const known = {
    namespace: 'shop',
    name: 'r',
    uid: 'u-1',
    resourceVersion: '9',
    creationTimestamp: '2024-01-02T03:04:05Z',
    generation: 3,
    labels: { app: 'shop' },
    annotations: { a: 'b' },
  };
  const ingress = [{ routerName: 'default', x: [1] }];

  test('keeps what tells its owner of it: its identity, its host and its status', () => {
    const object = {
      ...routeObject({ host: 'a.test', path: 'x', to: 7, tls: { termination: 'edge' } }, known),
      status: { ingress },
    };
    expect(decodeFaultyRoute(object, 'why')).toEqual({
      kind: 'Route',
      namespace: 'shop',
      name: 'r',
      uid: 'u-1',
      createdMs: Date.UTC(2024, 0, 2, 3, 4, 5),
      generation: 3,
      labels: { app: 'shop' },
      annotations: { a: 'b' },
      host: 'a.test',
      subdomain: '',
      path: '',
      to: { name: '', weight: 0 },
      alternateBackends: [],
      targetPort: '',
      wildcardPolicy: 'None',
      tls: null,
      headerActions: { request: [], response: [] },
      fault: 'why',
      status: { resourceVersion: '9', ingress },
    } satisfies RouteManifest);
  });

  const hosts: readonly (readonly [name: string, spec: unknown, host: string])[] = [
    ['no spec', undefined, ''],
    ['a spec that is null', null, ''],
    ['a spec that is a number', 42, ''],
    ['a spec that is a list', [], ''],
    ['a host that is a number', { host: 7 }, ''],
    ['a host that is null', { host: null }, ''],
    ['a host', { host: 'A.test', to: [] }, 'A.test'],
  ];
  test.each(hosts)('%s', (_name, spec, host) => {
    expect(decodeFaultyRoute({ metadata: { name: 'r' }, spec }, 'why')).toMatchObject({
      name: 'r',
      namespace: 'default',
      host,
      headerActions: { request: [], response: [] },
      fault: 'why',
    });
  });

  const nobody: readonly (readonly [name: string, value: unknown])[] = [
    ['nothing', null],
    ['a text', 'x'],
    ['no metadata', {}],
    ['no name', { metadata: {} }],
    ['an empty name', { metadata: { name: '' } }],
    ['a name with a slash', { metadata: { name: 'a/b' } }],
    ['a name that is a number', { metadata: { name: 7 } }],
    ['labels that are none', { metadata: { name: 'r', labels: 7 } }],
    ['a creation time that is none', { metadata: { name: 'r', creationTimestamp: 'x' } }],
  ];
  test.each(nobody)('it is not even known which one it is: %s', (_name, value) => {
    expect(decodeFaultyRoute(value, 'why')).toBeNull();
  });

  test('every object that is refused and has a name of its own can be told of', () => {
    const specs = fc.oneof(
      fc.anything(),
      fc.record({ host: fc.anything(), to: fc.anything(), path: fc.anything(), tls: fc.anything() }),
    );
    fc.assert(
      fc.property(specs, fc.anything(), (spec, status) => {
        const object = { ...routeObject({}, known), spec, status };
        const decoded = decodeManifest(object);
        if (decoded.kind !== 'invalid') return;
        const route = decodeFaultyRoute(object, decoded.reason);
        expect(route).toMatchObject({ name: 'r', namespace: 'shop', uid: 'u-1', fault: decoded.reason });
        expect(manifestKey(route as RouteManifest)).toBe(decoded.key);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a Namespace', () => {
  test.each([
    ['v1', 'Namespace'],
    ['project.openshift.io/v1', 'Project'],
  ])('%s %s', (apiVersion, kind) => {
    const metadata = { name: 'shop', labels: { env: 'a', gone: null }, annotations: { x: 'y' } };
    const manifest = manifestOf({ apiVersion, kind, metadata, status: { phase: 'Active' } });
    expect(manifest).toEqual({ kind: 'Namespace', name: 'shop', labels: { env: 'a' } });
    expect(manifestKey(manifest)).toBe('Namespace/shop');
    expect(decodeManifest({ apiVersion, kind, metadata: { name: 'shop', labels: 7 } })).toMatchObject({
      kind: 'invalid',
      key: 'Namespace/shop',
    });
  });
});

test('10,000 Routes and 20,000 others take well under a second', () => {
  const objects = Array.from({ length: 10_000 }, (_, i) => [
    routeObject({ host: `h${i}.test`, tls: { termination: 'edge', certificate: 'c', key: 'k' } }, { name: `r${i}` }),
    { apiVersion: 'v1', kind: 'Service', metadata: { name: `s${i}` }, spec: { ports: [{ port: 80 }] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `s${i}` },
      endpoints: [{ addresses: ['10.0.0.1'] }],
      ports: [{ port: 80 }],
    },
  ]).flat();
  const startMs = performance.now();
  expect(objects.every((object) => decodeManifest(object).kind === 'manifest')).toBe(true);
  expect(performance.now() - startMs).toBeLessThan(1000);
});
