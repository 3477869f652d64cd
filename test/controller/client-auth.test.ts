// What a Route's annotations demand of clients, from the Secret to the table.

import { describe, expect, test } from 'vitest';
import { type AdmissionSettings, treatmentOf } from '../../src/controller/admission.ts';
import { clientAuthority } from '../../src/controller/client-authority.ts';
import { ClusterState } from '../../src/controller/cluster-state.ts';
import { Reconciler, type ReconcilerSettings } from '../../src/controller/reconciler.ts';
import { readRevocationLists } from '../../src/controller/revocation-lists.ts';
import type { Manifest, SecretFault, SecretManifest } from '../../src/source/manifests.ts';
import type { CertificateId } from '../../src/table/entries.ts';
import { ANY_HOST, type Host } from '../../src/table/host.ts';
import { makeAuthority, makeCertificate, makeRevocationList, pemBytes } from '../support/certificates.ts';
import { aRoute, putAll, type RouteBuilder } from '../support/manifests.ts';

const settings: ReconcilerSettings = {
  allowWildcardRoutes: false,
  requireDestinationCa: false,
  deniedDomains: [],
  allowedDomains: [],
  extendedValidation: true,
  externalCertificates: true,
  disableNamespaceOwnershipCheck: false,
  allowLoopbackEndpoints: false,
  endpointOrder: '',
  forwardedHeaders: 'append',
  balanceAlgorithm: '',
  tcpBalanceScheme: '',
  cookieName: '',
  requestHeaders: [],
  responseHeaders: [],
  clientCertificates: 'none',
};
const ca = makeAuthority({ name: 'clients' });
const otherCa = makeAuthority({ name: 'other clients' });
const list = makeRevocationList({ issuer: ca, revoked: [makeCertificate({ names: ['x'], issuer: ca })] });
const pair = makeCertificate({ names: ['a.test'] });

function aCaSecret(name: string, data: Readonly<Record<string, string>>): SecretManifest {
  return { kind: 'Secret', namespace: 'n', name, type: 'Opaque', data };
}
const good = aCaSecret('s', { 'ca.crt': ca.certificate });
const fault = (rest: Partial<SecretFault>): SecretFault => ({
  ...{ kind: 'SecretFault', namespace: 'n', name: 's', denied: [], read: 'absent', message: '' },
  ...rest,
});
const route = aRoute('n/r').host('a.test');
const withCa = (builder: RouteBuilder, word?: string): RouteBuilder => {
  const named = builder.annotation('headgate.io/client-ca-secret', 's');
  return word === undefined ? named : named.annotation('headgate.io/client-auth', word);
};
const field = 'metadata.annotations[headgate.io/client-ca-secret]: ';

/** What a Route is served with, in a line. */
function treated(
  builder: RouteBuilder,
  secret: SecretManifest | SecretFault | undefined = good,
  given: AdmissionSettings = settings,
): string {
  const treatment = treatmentOf(builder.build(), undefined, null, given, secret);
  if (treatment.kind === 'refused') {
    const { verdict } = treatment;
    return verdict.kind === 'rejected' ? `${verdict.reason}: ${verdict.message}` : verdict.kind;
  }
  const { clientAuth, clientAuthority: authority, warnings } = treatment;
  expect(clientAuth?.authority).toBe(authority?.id);
  return [clientAuth?.demand ?? 'nothing', ...warnings].join('; ');
}

describe('the annotations', () => {
  const needs =
    'ExtendedValidationFailed: metadata.annotations[headgate.io/client-ca-secret]: Required value: headgate.io/client-auth demands client certificates';
  test.each<[string, string, string]>([
    ['none', treated(route.edge()), 'nothing'],
    ['a CA', treated(withCa(route.edge())), 'required'],
    ['on re-encrypt', treated(withCa(route.reencrypt(ca.certificate))), 'required'],
    ['required', treated(withCa(route.edge(), 'required')), 'required'],
    ['optional', treated(withCa(route.edge(), 'optional')), 'optional'],
    [
      'another word',
      treated(withCa(route.edge(), 'Optional')),
      'required; headgate.io/client-auth is neither required nor optional: required is in force',
    ],
    [
      'optional where the router demands more',
      treated(withCa(route.edge(), 'optional'), good, { ...settings, clientCertificates: 'required' }),
      'required; headgate.io/client-auth is less than this router demands: required is in force',
    ],
    [
      'required where the router demands less',
      treated(withCa(route.edge(), 'required'), good, { ...settings, clientCertificates: 'optional' }),
      'required',
    ],
    ['required without a CA', treated(route.edge().annotation('headgate.io/client-auth', 'required')), needs],
    ['another word without a CA', treated(route.edge().annotation('headgate.io/client-auth', 'none')), needs],
    [
      'optional without a CA',
      treated(route.edge().annotation('headgate.io/client-auth', 'optional')),
      'nothing; headgate.io/client-auth needs headgate.io/client-ca-secret',
    ],
    [
      'on a Route without TLS',
      treated(withCa(route, 'required')),
      'nothing; headgate.io/client-ca-secret does nothing on a Route without TLS; headgate.io/client-auth does nothing on a Route without TLS',
    ],
    [
      'on passthrough',
      treated(withCa(route.passthrough())),
      'nothing; headgate.io/client-ca-secret does nothing on a Route of passthrough',
    ],
  ])('%s', (_name, got, expected) => expect(got).toBe(expected));

  test.each(['', 'a/b', 'A', '..', 'a,metadata.namespace=kube-system', 'x'.repeat(254)])(
    'a name that is none: %j',
    (name) => {
      const builder = route.edge().annotation('headgate.io/client-ca-secret', name);
      expect(treated(builder)).toMatch(
        /^ExtendedValidationFailed: metadata\.annotations\[headgate\.io\/client-ca-secret\]: Invalid value: ".*": not the name of a secret$/,
      );
      expect(new ClusterState().clientSecretOf(builder.build())).toBeUndefined();
    },
  );
});

describe('whatever is wrong with the Secret, the Route is refused', () => {
  const failed = `ExternalCertificateValidationFailed: ${field}`;
  const malformed = ca.certificate.replace(/\n.{10}/, '\nAAAAAAAAAA');
  test.each<[string, SecretManifest | SecretFault | undefined, string]>([
    ['there is none', undefined, `${failed}Not found: "secrets \\"s\\" not found"`],
    ['there is none, as told', fault({}), `${failed}Not found: "secrets \\"s\\" not found"`],
    [
      'not allowed',
      fault({ denied: ['get'], read: 'not-tried' }),
      `${failed}Forbidden: router serviceaccount does not have permission to get this secret`,
    ],
    ['unreadable', fault({ read: 'unreadable', message: 'boom' }), `${failed}Internal error: boom`],
    ['no ca.crt', aCaSecret('s', {}), `${failed}Invalid value: "s": secret has no ca.crt`],
    [
      'no certificate in it',
      aCaSecret('s', { 'ca.crt': 'x' }),
      `${failed}Invalid value: "s": failed to parse ca.crt: data does not contain any valid RSA or ECDSA certificates`,
    ],
    [
      'one of two is broken',
      aCaSecret('s', { 'ca.crt': ca.certificate + malformed }),
      `${failed}Invalid value: "s": failed to parse ca.crt: x509: malformed certificate`,
    ],
    [
      'no list in ca.crl',
      aCaSecret('s', { 'ca.crt': ca.certificate, 'ca.crl': 'x' }),
      `${failed}Invalid value: "s": failed to parse ca.crl: data does not contain any revocation list`,
    ],
    [
      'a broken list',
      aCaSecret('s', { 'ca.crt': ca.certificate, 'ca.crl': list.replace(/\n.{10}/, '\nAAAAAAAAAA') }),
      `${failed}Invalid value: "s": failed to parse ca.crl: malformed revocation list`,
    ],
  ])('%s', (_name, secret, expected) => {
    // Not by way of a default parameter: undefined is what is meant.
    const treatment = treatmentOf(withCa(route.edge()).build(), undefined, null, settings, secret);
    expect(
      treatment.kind === 'refused' && treatment.verdict.kind === 'rejected' ? treatment.verdict : null,
    ).toMatchObject({
      reason: expected.split(': ')[0],
      message: expected.slice(expected.indexOf(': ') + 2),
    });
    const lax = { ...settings, extendedValidation: false };
    expect(treatmentOf(withCa(route.edge()).build(), undefined, null, lax, secret).kind).toBe('refused');
  });

  test('the router reads no Secrets', () => {
    expect(treated(withCa(route.edge()), good, { ...settings, externalCertificates: false })).toBe(
      `${failed}Forbidden: this router reads no secrets that routes name`,
    );
  });
});

describe('texts of an authority', () => {
  const idOf = (...texts: [string, string]): string => {
    const made = clientAuthority(...texts);
    return made.kind === 'valid' ? made.authority.id : made.problem;
  };

  test('another list is another authority, however it is written down', () => {
    expect(idOf(ca.certificate, '')).not.toBe(idOf(ca.certificate, list));
    expect(idOf(`# mine\n${ca.certificate}`, `\n${list}`)).toBe(idOf(ca.certificate, list));
    expect(idOf(ca.certificate + list, '')).toBe(idOf(ca.certificate, list));
    expect(idOf(ca.certificate, list)).not.toBe(idOf(ca.certificate, makeRevocationList({ issuer: ca, revoked: [] })));
  });

  test('every prefix of a list is none', () => {
    const der = pemBytes(list);
    for (let length = 1; length < der.length; length++) {
      const text = `-----BEGIN X509 CRL-----\n${der.subarray(0, length).toString('base64')}\n-----END X509 CRL-----\n`;
      expect(readRevocationLists(text).kind).toBe('invalid');
    }
    expect(readRevocationLists(list.slice(0, -30)).kind).toBe('invalid');
  });

  test('the earliest date counts', () => {
    const at = (date: string): string => makeRevocationList({ issuer: ca, revoked: [], nextUpdate: new Date(date) });
    const read = readRevocationLists(at('2060-01-02T03:04:05Z') + at('2031-02-03T04:05:06Z') + ca.certificate);
    expect(read).toMatchObject({ kind: 'valid', nextUpdateMs: Date.parse('2031-02-03T04:05:06Z') });
    expect(read.pems).toHaveLength(2);
  });
});

describe('from Routes to the table', () => {
  function reconciled(manifests: readonly Manifest[], given: Partial<ReconcilerSettings> = {}): Reconciler {
    const reconciler = new Reconciler(new ClusterState(), { ...settings, ...given }, 1);
    putAll(reconciler, ...manifests);
    while (reconciler.dirty) reconciler.step();
    return reconciler;
  }
  const secretA = aCaSecret('ca-a', { 'ca.crt': ca.certificate });
  const secretB = aCaSecret('ca-b', { 'ca.crt': otherCa.certificate });
  const of = (name: string, path: string, secret: string, word = 'required'): Manifest => {
    const builder = aRoute(`n/${name}`).host('a.test').path(path).edge();
    if (secret === '') return builder.build();
    return builder
      .annotation('headgate.io/client-ca-secret', secret)
      .annotation('headgate.io/client-auth', word)
      .build();
  };
  const idOf = (authority: { certificate: string }): CertificateId => {
    const made = clientAuthority(authority.certificate, '');
    if (made.kind === 'invalid') throw new Error(made.problem);
    return made.authority.id;
  };
  const a = idOf(ca);
  const b = idOf(otherCa);

  test.each<[string, Manifest[], string, string[]]>([
    ['nobody', [of('r', '', '')], 'none', []],
    ['one Route', [of('r', '', 'ca-a')], `required ${a}`, []],
    ['two that agree', [of('r', '', 'ca-a'), of('s', '/s', 'ca-a')], `required ${a}`, []],
    ['two that only ask', [of('r', '', 'ca-a', 'optional'), of('s', '/s', 'ca-a', 'optional')], `optional ${a}`, []],
    ['one asks, one insists', [of('r', '', 'ca-a'), of('s', '/s', 'ca-a', 'optional')], `optional ${a}`, []],
    ['one insists, one says nothing', [of('r', '', 'ca-a'), of('s', '/s', '')], `optional ${a}`, []],
    [
      'one without TLS has no say',
      [of('r', '', 'ca-a'), aRoute('n/p').host('a.test').path('/p').build()],
      `required ${a}`,
      [],
    ],
    ['two authorities: the larger name', [of('r', '', 'ca-a'), of('s', '/s', 'ca-b')], `optional ${b}`, ['n/r']],
    ['in the other order', [of('s', '/s', 'ca-b'), of('r', '', 'ca-a')], `optional ${b}`, ['n/r']],
  ])('%s', (_name, routes, expected, warned) => {
    const reconciler = reconciled([secretA, secretB, ...routes]);
    const asked = reconciler.table.hosts.get('a.test' as Host)?.clientAuth ?? null;
    expect(asked === null ? 'none' : `${asked.demand} ${asked.authority}`).toBe(expected);
    const warnings = [...reconciler.verdicts].flatMap(([key, { verdict }]) =>
      verdict.kind === 'admitted' && verdict.warnings.some((text) => text.startsWith('requests are answered with 421'))
        ? [key as string]
        : [],
    );
    expect(warnings).toEqual(warned);
  });

  test('a Secret that changes, goes and comes', () => {
    const reconciler = reconciled([of('r', '', 'ca-a'), secretA]);
    const clientAuth = (): unknown => reconciler.table.hosts.get('a.test' as Host)?.paths[0]?.clientAuth;
    const settle = (): void => {
      while (reconciler.dirty) reconciler.step();
    };
    expect(clientAuth()).toEqual({ demand: 'required', authority: a });
    expect([...reconciler.table.certificates.keys()]).toEqual([a]);
    reconciler.put('Secret/n/ca-a', { ...secretA, data: secretB.data });
    settle();
    expect(clientAuth()).toEqual({ demand: 'required', authority: b });
    expect([...reconciler.table.certificates.keys()]).toEqual([b]);
    reconciler.put('Secret/n/ca-a', undefined);
    settle();
    expect(reconciler.table.hosts.get('a.test' as Host)).toBeUndefined();
    expect(reconciler.table.certificates.size).toBe(0);
    reconciler.put('Secret/n/ca-a', secretA);
    settle();
    expect(clientAuth()).toEqual({ demand: 'required', authority: a });
  });

  test('one Secret for both, and two Secrets', () => {
    const state = new ClusterState();
    const both = aRoute('n/r')
      .host('a.test')
      .edge()
      .externalCertificate('x')
      .annotation('headgate.io/client-ca-secret', 'x');
    putAll(state, both.build());
    expect(state.put('Secret/n/x', secretA)).toHaveLength(1);
    putAll(state, both.annotation('headgate.io/client-ca-secret', 'y').build());
    expect(state.put('Secret/n/x', secretA)).toHaveLength(1);
    expect(state.put('Secret/n/y', secretA)).toHaveLength(1);
    putAll(state, both.annotation('headgate.io/client-ca-secret', 'z').build());
    expect(state.put('Secret/n/y', secretA)).toHaveLength(0);
    state.put('Route/n/r', undefined);
    expect(state.put('Secret/n/x', secretA)).toHaveLength(0);
  });

  test('the router’s own demand; without its authority nobody is served over TLS', () => {
    const reconciler = reconciled([of('r', '', ''), of('s', '/s', 'ca-a'), secretA], {
      clientCertificates: 'required',
    });
    const settle = (): void => {
      while (reconciler.dirty) reconciler.step();
    };
    const serving = { id: 'c' as CertificateId, chain: pair.certificate, key: pair.key };
    reconciler.setDefaultCertificate(serving);
    settle();
    expect(reconciler.table.matchTls(undefined)).toMatchObject({ certificate: null });
    for (const authority of [ca, otherCa]) {
      const made = clientAuthority(authority.certificate, '');
      if (made.kind === 'invalid') throw new Error(made.problem);
      reconciler.setClientAuthority(made.authority);
      settle();
      expect(reconciler.table.clientAuth).toEqual({ demand: 'required', authority: made.authority.id });
      expect(reconciler.table.certificates.get(made.authority.id)).toEqual(made.authority);
    }
    expect(reconciler.table.hosts.get(ANY_HOST)?.certificate).toBe('c');
    // The Route that says nothing cannot be asked for on a host that asks for another authority.
    expect(reconciler.verdicts.get('n/r' as never)?.verdict).toMatchObject({
      warnings: [expect.stringContaining('421')],
    });
  });
});
