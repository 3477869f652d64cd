import { describe, expect, test } from 'vitest';
import type { RouteTreatment } from '../../src/controller/admission.ts';
import { backendSubjectsOf, compileHost, type ServedRoute } from '../../src/controller/compile-host.ts';
import type { Certificate, CertificateId, RouteOptions, UpstreamTls } from '../../src/table/entries.ts';
import type { Host } from '../../src/table/host.ts';
import { aRoute, type RouteBuilder } from '../support/manifests.ts';
import { plainOptions } from '../support/rules.ts';

const host = 'a.test' as Host;
const pem = (id: string): Certificate => ({ id: id as CertificateId, chain: id, key: '' });

/** A Route as admission lets it through; the certificate by its id. */
function served(
  route: RouteBuilder,
  {
    certificate,
    options = {},
    ...rest
  }: {
    certificate?: string;
    upstreamTls?: UpstreamTls;
    options?: Partial<RouteOptions>;
  } = {},
): ServedRoute {
  const built = route.host(host).build();
  const treatment: RouteTreatment & { kind: 'served' } = {
    kind: 'served',
    termination: (built.tls?.termination ?? 'none') as 'none' | 'edge' | 'reencrypt' | 'passthrough',
    insecurePolicy: (built.tls?.insecurePolicy || 'None') as 'None' | 'Allow' | 'Redirect',
    options: { ...plainOptions, ...options },
    serving: certificate === undefined ? null : pem(certificate),
    notAfterMs: null,
    upstreamTls: null,
    destination: null,
    clientAuth: null,
    clientAuthority: null,
    warnings: [],
    ...rest,
  };
  return { route: built, treatment };
}

const compile = (...routes: readonly ServedRoute[]): ReturnType<typeof compileHost> => compileHost(host, routes);
const edge = aRoute('n/r').edge();

describe('the rule of a host', () => {
  test('nobody served: no rule', () => expect(compile()).toBeNull());

  test('one Route', () => {
    expect(compile(served(aRoute('n/r').path('/x').edge().insecure('Redirect').to('s', 7).targetPort('http')))).toEqual(
      {
        clientAuth: null,
        host,
        tls: 'terminate',
        certificate: null,
        paths: [
          {
            route: 'n/r',
            path: '/x',
            termination: 'edge',
            clientAuth: null,
            insecurePolicy: 'Redirect',
            backends: [{ backend: 'n/s:http', weight: 7 }],
            upstreamTls: null,
            ...plainOptions,
          },
        ],
      },
    );
  });

  test.each<[string, ServedRoute[], string]>([
    ['none', [served(aRoute('n/a'))], 'none'],
    ['edge', [served(edge)], 'terminate'],
    ['reencrypt', [served(aRoute('n/a').reencrypt())], 'terminate'],
    ['passthrough', [served(aRoute('n/a').passthrough())], 'passthrough'],
    ['none beside edge', [served(aRoute('n/a')), served(edge.path('/x'))], 'terminate'],
    ['none beside passthrough', [served(aRoute('n/a').path('/x')), served(aRoute('n/b').passthrough())], 'passthrough'],
  ])('TLS: %s', (_, routes, expected) => expect(compile(...routes)?.tls).toBe(expected));

  test('what its annotations ask for', () => {
    expect(compile(served(edge, { options: { forwarded: 'never' } }))?.paths[0]?.forwarded).toBe('never');
    expect(compile(served(edge))?.paths[0]?.forwarded).toBe('append');
  });

  test('the version of the PROXY protocol', () => {
    const versions = (['none', 'v1', 'v2'] as const).map(
      (proxyProtocol) => compile(served(edge, { options: { proxyProtocol } }))?.paths[0]?.proxyProtocol,
    );
    expect(versions).toEqual(['none', 'v1', 'v2']);
  });

  test('longest path first', () => {
    const paths = ['', '/a', '/a/b', '/foo/', '/foo', '/foo/!x', '/b'];
    const routes = paths.map((path, i) => served(aRoute(`n/r${i}`).path(path)));
    const expected = ['/foo/!x', '/foo/', '/foo', '/a/b', '/b', '/a', ''];
    expect(compile(...routes)?.paths.map(({ path }) => path)).toEqual(expected);
    expect(compile(...routes.toReversed())?.paths.map(({ path }) => path)).toEqual(expected);
  });

  test.each([
    ['path and no path', ['', '/'], ['n/b', 'n/a']],
    ['nothing but slashes', ['//', '/', ''], ['n/c', 'n/b', 'n/a']],
  ])('%s mean the same; the larger namespace:name answers', (_, paths, expected) => {
    const routes = paths.map((path, i) => served(aRoute(`n/${'abc'[i]}`).path(path)));
    expect(compile(...routes)?.paths.map(({ route }) => route)).toEqual(expected);
    expect(compile(...routes.toReversed())?.paths.map(({ route }) => route)).toEqual(expected);
  });

  test('names are compared as namespace:name, as in the reference', () => {
    // '0' stands between '/' and ':': by namespace/name the order would be the other one.
    const routes = [served(aRoute('foo0/x').path('/')), served(aRoute('foo/x'))];
    expect(compile(...routes)?.paths.map(({ route }) => route)).toEqual(['foo/x', 'foo0/x']);
  });

  test('of several certificates that of the larger namespace:name', () => {
    const routes = [
      served(aRoute('n/a').edge().path('/1'), { certificate: 'a' }),
      served(aRoute('n/c').edge().path('/2')),
      served(aRoute('n/b').edge().path('/3'), { certificate: 'b' }),
    ];
    expect(compile(...routes)?.certificate).toBe('b');
    expect(compile(...routes.toReversed())?.certificate).toBe('b');
  });

  test('the treatment of the pods goes along', () => {
    const upstreamTls: UpstreamTls = { verify: 'chain', authority: 'ca' as CertificateId };
    expect(compile(served(aRoute('n/a').reencrypt(), { upstreamTls }))?.paths[0]?.upstreamTls).toEqual(upstreamTls);
  });
});

describe('weights (Route semantics 5.7)', () => {
  test.each([
    [
      'as given',
      aRoute('n/r').to('a', 90).alternate('b', 10),
      [
        ['n/a:', 90],
        ['n/b:', 10],
      ],
    ],
    [
      'absent: as the decoder has it',
      aRoute('n/r').to('a').alternate('b'),
      [
        ['n/a:', 100],
        ['n/b:', 100],
      ],
    ],
    [
      'zero stays zero',
      aRoute('n/r').to('a', 0).alternate('b', 5),
      [
        ['n/a:', 0],
        ['n/b:', 5],
      ],
    ],
    [
      'all zero',
      aRoute('n/r').to('a', 0).alternate('b', 0),
      [
        ['n/a:', 0],
        ['n/b:', 0],
      ],
    ],
    ['a single Service at zero', aRoute('n/r').to('a', 0), [['n/a:', 0]]],
    ['the most there is', aRoute('n/r').to('a', 256), [['n/a:', 256]]],
    [
      'four Services, one port for all',
      aRoute('n/r').to('a', 1).alternate('b', 2).alternate('c', 3).alternate('d', 4).targetPort('8080'),
      [
        ['n/a:8080', 1],
        ['n/b:8080', 2],
        ['n/c:8080', 3],
        ['n/d:8080', 4],
      ],
    ],
  ])('%s', (_, route, expected) => {
    const refs = compile(served(route))?.paths[0]?.backends;
    expect(refs?.map(({ backend, weight }) => [backend, weight])).toEqual(expected);
    // Whatever its weight, a Service that is named has its Backend.
    expect(backendSubjectsOf(route.build()).map(({ id }) => id)).toEqual(refs?.map(({ backend }) => backend));
  });
});
