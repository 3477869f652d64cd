import { describe, expect, test } from 'vitest';
import { type AdmissionSettings, claimMessage, claimOf, treatmentOf } from '../../src/controller/admission.ts';
import { authorityFromPem } from '../../src/controller/certificates.ts';
import type { Claim } from '../../src/controller/host-claims.ts';
import { rejected } from '../../src/controller/verdict.ts';
import type { SecretFault } from '../../src/source/manifests.ts';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { aRoute, aSecret, type RouteBuilder } from '../support/manifests.ts';

const settings: AdmissionSettings = {
  allowWildcardRoutes: false,
  requireDestinationCa: false,
  deniedDomains: [],
  allowedDomains: [],
  extendedValidation: true,
  externalCertificates: true,
  clientCertificates: 'none',
  forwardedHeaders: 'append',
  balanceAlgorithm: '',
  tcpBalanceScheme: '',
  cookieName: '',
  requestHeaders: [],
  responseHeaders: [],
};
const wildcards: AdmissionSettings = { ...settings, allowWildcardRoutes: true };

const invalidHost = (host: string, ...rules: string[]): string =>
  `InvalidHost: host name validation errors: ${rules.map((rule) => `spec.host: Invalid value: "${host}": ${rule}`).join(', ')}`;
const subdomainRule = 'host must conform to DNS 952 subdomain conventions';
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const lengthRule = 'must be no more than 63 characters';

/** The Host that a Route claims, or why it claims none. */
function claimed(route: RouteBuilder, given: AdmissionSettings): string {
  const claim = claimOf(route.build(), given);
  if (!('kind' in claim)) return claim.host;
  return claim.kind === 'rejected' ? `${claim.reason}: ${claim.message}` : claim.kind;
}

describe('which Host a Route claims (Route semantics 2.2, 8.4; observed 23)', () => {
  const on = (host: string): RouteBuilder => aRoute('n/r').host(host);
  const labels = (...lengths: number[]): string => lengths.map((length) => 'b'.repeat(length)).join('.');

  test.each([
    ['ok', on('a-ok.adm.test'), 'a-ok.adm.test'],
    ['F1', on('www.example.test'), 'www.example.test'],
    ['nohost', on(''), 'NoHostValue: no host value was defined for the route'],
    ['upper', on('A-Upper.adm.test'), invalidHost('A-Upper.adm.test', subdomainRule, labelRule)],
    ['wild, not allowed', on('w.wild.test').wildcard(), 'RouteNotAdmitted: wildcard routes are not allowed'],
    ['wildnone', on('w.wildnone.test').wildcardPolicy('None'), 'w.wildnone.test'],
    ['unknown policy', on('w.wild.test').wildcardPolicy('Any'), 'RouteNotAdmitted: unknown wildcard policy Any'],
    ['single label', on('singlelabel'), 'singlelabel'],
    ['IP', on('10.1.2.3'), '10.1.2.3'],
    ['F2 a label of 104', on(`${labels(104)}.test`), invalidHost(`${labels(104)}.test`, lengthRule)],
    ['F3 a label of 63', on(`${labels(63)}.adm.test`), `${labels(63)}.adm.test`],
    ['F4 a label of 64', on(`${labels(64)}.test`), invalidHost(`${labels(64)}.test`, lengthRule)],
    ['F5 253 characters', on(labels(63, 63, 63, 61)), labels(63, 63, 63, 61)],
    ['254 characters', on(labels(63, 63, 63, 62)), invalidHost(labels(63, 63, 63, 62), subdomainRule)],
    ['F6 279 characters', on(labels(55, 55, 55, 55, 55)), invalidHost(labels(55, 55, 55, 55, 55), subdomainRule)],
    ['underscore', on('a_b.test'), invalidHost('a_b.test', subdomainRule, labelRule)],
    ['star', on('*.a.test'), invalidHost('*.a.test', subdomainRule, labelRule)],
    ['trailing dot', on('a.test.'), invalidHost('a.test.', subdomainRule, labelRule)],
    ['nothing but a dot', on('.'), invalidHost('.', subdomainRule, labelRule, labelRule)],
    ['hyphen in front', on('-a.test'), invalidHost('-a.test', subdomainRule, labelRule)],
    ['hyphen at the end', on('a-.test'), invalidHost('a-.test', subdomainRule, labelRule)],
    ['not ASCII', on('ü.test'), invalidHost('ü.test', subdomainRule, labelRule)],
    ['a line break', on('a.test\n'), invalidHost('a.test\n', subdomainRule, labelRule)],
  ])('%s', (_, route, expected) => expect(claimed(route, settings)).toBe(expected));

  test.each([
    ['one level', on('www.a.test').wildcard(), '*.a.test'],
    ['a single label', on('test').wildcard(), '*.'],
    ['I5 seven labels', on('a.b.c.d.e.f.test').wildcard(), '*.b.c.d.e.f.test'],
    ['policy None', on('www.a.test'), 'www.a.test'],
    [
      'unknown policy',
      on('w.wild.test').wildcardPolicy('subdomain'),
      'RouteNotAdmitted: unknown wildcard policy subdomain',
    ],
    ['no host', on('').wildcard(), 'NoHostValue: no host value was defined for the route'],
    ['a bad host', on('A.test').wildcard(), invalidHost('A.test', subdomainRule, labelRule)],
  ])('with wildcards allowed: %s', (_, route, expected) => expect(claimed(route, wildcards)).toBe(expected));

  test('a Claim carries what decides between Routes', () => {
    const route = aRoute('n/r').host('www.a.test').path('/p').createdAt(3).uid('u');
    const common = {
      route: 'n/r',
      namespace: 'n',
      name: 'r',
      uid: 'u',
      createdMs: 3000,
      specHost: 'www.a.test',
      path: '/p',
    };
    expect(claimOf(route.build(), wildcards)).toEqual({ ...common, host: 'www.a.test', tls: 'none' });
    expect(claimOf(route.edge().build(), wildcards)).toMatchObject({ tls: 'terminated' });
    expect(claimOf(route.reencrypt().build(), wildcards)).toMatchObject({ tls: 'terminated' });
    // Invalid, but it has TLS: it stands against passthrough Routes all the same.
    expect(claimOf(route.termination('').build(), wildcards)).toMatchObject({ tls: 'terminated' });
    expect(claimOf(route.passthrough().build(), wildcards)).toMatchObject({ tls: 'passthrough' });
    expect(claimOf(route.wildcard().build(), wildcards)).toMatchObject({ host: '*.a.test', specHost: 'www.a.test' });
  });
});

describe('what a Route is told that lost (Route semantics 2.2)', () => {
  const claimFor = (key: string, host: string, wildcard = false): Claim => {
    const route = aRoute(key).host(host);
    const claim = claimOf((wildcard ? route.wildcard() : route).build(), wildcards);
    if ('kind' in claim) throw new Error('no claim');
    return claim;
  };
  const loser = claimFor('n/l', 'h.x.test');
  const own = claimFor('n/o', 'h.x.test');
  const foreign = claimFor('m/o', 'h.x.test');
  const newcomer = { wasAdmitted: false, ownerIsNew: false };

  test.each([
    ['H2', own, false, newcomer, 'route o already exposes h.x.test and is older'],
    ['foreign', foreign, false, newcomer, 'a route in another namespace holds h.x.test and is older than l'],
    ['H4 displaced', own, false, { wasAdmitted: true, ownerIsNew: true }, 'replaced by older route o'],
    [
      'displaced by a foreign one',
      foreign,
      false,
      { wasAdmitted: true, ownerIsNew: true },
      'replaced by older route o',
    ],
    [
      'displaced by a deletion',
      foreign,
      false,
      { wasAdmitted: true, ownerIsNew: false },
      'namespace m owns hostname h.x.test',
    ],
    ['wildcards allowed', own, true, newcomer, 'route n/o has host h.x.test'],
    ['wildcards allowed, foreign', foreign, true, newcomer, 'a route in another namespace holds host h.x.test'],
    [
      'wildcards allowed, a wildcard',
      claimFor('n/o', 'w.x.test', true),
      true,
      newcomer,
      'wildcard route n/o has host *.x.test, blocking h.x.test',
    ],
  ])('%s', (_, owner, allowed, history, expected) => {
    expect(claimMessage({ claim: loser, to: owner }, owner, allowed, history)).toBe(expected);
  });
});

describe('what a Route is served with (Route semantics 2.3, 5.15, 7.1)', () => {
  const authority = makeAuthority({ name: 'pods' });
  const pair = makeCertificate({ names: ['a.test'] });
  const other = makeCertificate({ names: ['b.test'] });
  const defaultAuthority = authorityFromPem(makeAuthority({ name: 'cluster' }).certificate);
  const route = aRoute('n/r').host('a.test');
  const treat = (
    built: RouteBuilder,
    secret = aSecret('n/s', pair),
    given: AdmissionSettings = settings,
    byDefault: typeof defaultAuthority = null,
  ): ReturnType<typeof treatmentOf> => treatmentOf(built.build(), secret, byDefault, given);

  test('without TLS', () => {
    expect(treat(route)).toEqual({
      kind: 'served',
      notAfterMs: null,
      termination: 'none',
      insecurePolicy: 'None',
      options: expect.objectContaining({ forwarded: 'append', proxyProtocol: 'none' }),
      serving: null,
      upstreamTls: null,
      destination: null,
      clientAuth: null,
      clientAuthority: null,
      warnings: [],
    });
  });

  test.each([
    ['edge', route.edge(), { termination: 'edge', insecurePolicy: 'None', serving: null, upstreamTls: null }],
    ['edge, Redirect', route.edge().insecure('Redirect'), { termination: 'edge', insecurePolicy: 'Redirect' }],
    ['edge, Allow', route.edge().insecure('Allow'), { termination: 'edge', insecurePolicy: 'Allow' }],
    ['passthrough', route.passthrough(), { termination: 'passthrough', insecurePolicy: 'None', upstreamTls: null }],
    ['a certificate', route.edge(pair), { serving: { chain: pair.certificate } }],
  ])('%s', (_, built, expected) => {
    expect(treat(built)).toMatchObject({ kind: 'served', warnings: [], destination: null, ...expected });
  });

  test('re-encrypt: the Route’s CA, else the default one, else none and a warning', () => {
    const own = treat(route.reencrypt(authority.certificate), undefined, settings, defaultAuthority);
    expect(own).toMatchObject({
      upstreamTls: { verify: 'chain' },
      destination: { chain: authority.certificate },
      warnings: [],
    });
    const byDefault = treat(route.reencrypt(), undefined, settings, defaultAuthority);
    expect(byDefault).toMatchObject({
      upstreamTls: { verify: 'service', authority: defaultAuthority?.id },
      destination: defaultAuthority,
      warnings: [],
    });
    const unverified = treat(route.reencrypt());
    expect(unverified).toMatchObject({ upstreamTls: { verify: 'none', authority: null }, destination: null });
    expect(unverified.kind === 'served' && unverified.warnings).toHaveLength(1);
    const demanded = treat(route.reencrypt(), undefined, { ...settings, requireDestinationCa: true });
    expect(demanded).toMatchObject({ kind: 'refused', verdict: { reason: 'ExtendedValidationFailed' } });
    expect(
      treat(route.reencrypt(authority.certificate), undefined, { ...settings, requireDestinationCa: true }).kind,
    ).toBe('served');
  });

  test.each([
    [
      'no secret',
      undefined,
      'ExternalCertificateValidationFailed: spec.tls.externalCertificate: Not found: "secrets \\"s\\" not found"',
    ],
    [
      'another type',
      aSecret('n/s', pair, 'Opaque'),
      'ExternalCertificateValidationFailed: spec.tls.externalCertificate: Invalid value: "s": secret of type "kubernetes.io/tls" required',
    ],
    [
      'the key of another certificate',
      aSecret('n/s', { certificate: pair.certificate, key: other.key }),
      'ExtendedValidationFailed: spec.tls.key: Invalid value: "redacted key data": tls: private key does not match public key',
    ],
  ])('externalCertificate: %s (observed 27)', (_, secret, expected) => {
    const treated = treatmentOf(route.edge().externalCertificate('s').build(), secret, null, settings);
    if (treated.kind !== 'refused' || treated.verdict.kind !== 'rejected') throw new Error('not refused');
    expect(`${treated.verdict.reason}: ${treated.verdict.message}`).toBe(expected);
  });

  test('externalCertificate: a good secret', () => {
    expect(treat(route.edge().externalCertificate('s'))).toMatchObject({
      kind: 'served',
      serving: { chain: pair.certificate },
    });
    const empty = treat(route.edge().externalCertificate('s'), { ...aSecret('n/s', pair), data: {} });
    // Without a certificate in it there is nothing to serve, but nothing to find fault with either.
    expect(empty).toMatchObject({ kind: 'served', serving: null });
  });

  test.each(['', 'Edge', 'tls', 'none'])('termination %o is refused', (termination) => {
    expect(treat(route.termination(termination))).toMatchObject({
      kind: 'refused',
      verdict: { reason: 'ExtendedValidationFailed' },
    });
  });
});

describe('domains that are denied or allowed (Route semantics 2.2, stage 1a)', () => {
  const on = (host: string): RouteBuilder => aRoute('n/r').host(host);
  const isDenied = 'RouteNotAdmitted: host in list of denied domains';
  const isNotAllowed = 'RouteNotAdmitted: host not in the allowed list of domains';
  const cases: readonly (readonly [
    name: string,
    route: RouteBuilder,
    denied: readonly string[],
    allowed: readonly string[],
    expected: string,
  ])[] = [
    ['neither list', on('a.test'), [], [], 'a.test'],
    ['denied by its domain', on('www.blocked.test'), ['blocked.test'], [], isDenied],
    ['denied itself', on('blocked.test'), ['blocked.test'], [], isDenied],
    ['only the end of the name is the same', on('unblocked.test'), ['blocked.test'], [], 'unblocked.test'],
    ['the domain above is not denied', on('test'), ['blocked.test'], [], 'test'],
    ['allowed by its domain', on('www.good.test'), [], ['other.test', 'good.test'], 'www.good.test'],
    ['not allowed', on('www.bad.test'), [], ['good.test'], isNotAllowed],
    ['denied beats allowed', on('www.good.test'), ['www.good.test'], ['good.test'], isDenied],
    ['denied above, allowed below', on('www.good.test'), ['test'], ['www.good.test'], isDenied],
    ['I3 a wildcard', on('www.domain.blocked.test').wildcard(), ['blocked.test'], [], isDenied],
    ['I3 an empty policy is None', on('www.domain.blocked.test'), ['domain.blocked.test'], [], isDenied],
    ['a wildcard that is allowed', on('www.good.test').wildcard(), [], ['good.test'], '*.good.test'],
    ['the domain goes before the policy', on('w.bad.test').wildcardPolicy('Any'), [], ['good.test'], isNotAllowed],
    [
      'no host passes the lists',
      on(''),
      ['test'],
      ['good.test'],
      'NoHostValue: no host value was defined for the route',
    ],
    [
      'letter for letter: capitals pass the denied list, and are no host',
      on('www.Blocked.test'),
      ['blocked.test'],
      [],
      invalidHost('www.Blocked.test', subdomainRule, labelRule),
    ],
    ['capitals are not in the allowed list', on('www.Good.test'), [], ['good.test'], isNotAllowed],
    ['the domain goes before the form of the host', on('a_b.bad.test'), [], ['good.test'], isNotAllowed],
  ];
  test.each(cases)('%s', (_name, route, deniedDomains, allowedDomains, expected) => {
    expect(claimed(route, { ...wildcards, deniedDomains, allowedDomains })).toBe(expected);
  });
});

describe('a Route that cannot be read', () => {
  const fault = `spec.path: Invalid value: "x": spec.path in body should match '^/'`;
  test.each([
    ['with a host', 'a.test', settings],
    ['without', '', settings],
    ['under a denied domain', 'a.test', { ...settings, deniedDomains: ['test'] }],
    ['without extended validation', 'a.test', { ...settings, extendedValidation: false }],
  ])('claims nothing, and says why: %s', (_name, host, given) => {
    const claim = claimOf({ ...aRoute('n/r').host(host).build(), fault }, given);
    expect(claim).toEqual(rejected('ExtendedValidationFailed', fault));
  });
});

describe('a Secret that cannot be had (Route semantics 7.1, 8.18; observed 28)', () => {
  const field = 'spec.tls.externalCertificate: ';
  const may = (verb: string): string =>
    `${field}Forbidden: router serviceaccount does not have permission to ${verb} this secret`;
  const absent = `${field}Not found: "secrets \\"x-good\\" not found"`;
  const refusal =
    'secrets "x-good" is forbidden: User "system:serviceaccount:openshift-ingress:router" cannot get resource "secrets" ' +
    'in API group "" in the namespace "diff-a"';
  const cases: readonly (readonly [
    name: string,
    denied: readonly string[],
    read: SecretFault['read'],
    message: string,
    expected: string,
  ])[] = [
    [
      'every verb is denied, and it cannot be read',
      ['get', 'watch', 'list'],
      'unreadable',
      refusal,
      `[${may('get')}, ${may('watch')}, ${may('list')}, ${field}Internal error: ${refusal}]`,
    ],
    [
      'denied, though it can be read',
      ['get', 'watch', 'list'],
      'not-tried',
      '',
      `[${may('get')}, ${may('watch')}, ${may('list')}]`,
    ],
    ['one verb is denied', ['watch'], 'not-tried', '', may('watch')],
    ['one verb is denied, and there is none', ['list'], 'absent', '', `[${may('list')}, ${absent}]`],
    ['there is none', [], 'absent', '', absent],
    [
      'it cannot be read',
      [],
      'unreadable',
      'etcdserver: leader changed',
      `${field}Internal error: etcdserver: leader changed`,
    ],
  ];
  const route = aRoute('diff-a/r').host('a.test').edge().externalCertificate('x-good').build();
  test.each(cases)('%s', (_name, denied, read, message, expected) => {
    const fault: SecretFault = { kind: 'SecretFault', namespace: 'diff-a', name: 'x-good', denied, read, message };
    expect(treatmentOf(route, fault, null, settings)).toEqual({
      kind: 'refused',
      verdict: rejected('ExternalCertificateValidationFailed', expected),
    });
    // Whether certificates are looked at is another matter.
    expect(treatmentOf(route, fault, null, { ...settings, extendedValidation: false }).kind).toBe('refused');
  });

  test('with external certificates switched off the field says nothing (D22)', () => {
    const off = { ...settings, externalCertificates: false };
    const fault: SecretFault = {
      kind: 'SecretFault',
      namespace: 'n',
      name: 's',
      denied: [],
      read: 'absent',
      message: '',
    };
    const pair = makeCertificate({ names: ['a.test'] });
    for (const secret of [undefined, fault, aSecret('diff-a/x-good', pair), aSecret('diff-a/x-good', pair, 'Opaque')]) {
      expect(treatmentOf(route, secret, null, off)).toMatchObject({ kind: 'served', serving: null, warnings: [] });
    }
  });
});

describe('without extended validation', () => {
  const off = { ...settings, extendedValidation: false };
  const pair = makeCertificate({ names: ['a.test'] });
  const other = makeCertificate({ names: ['b.test'] });
  const route = aRoute('n/r').host('a.test');
  const mismatch = route.edge({ certificate: pair.certificate, key: other.key });

  test('a certificate that is no good is not served, and the owner is told', () => {
    expect(treatmentOf(mismatch.build(), undefined, null, settings).kind).toBe('refused');
    const treated = treatmentOf(mismatch.build(), undefined, null, off);
    expect(treated).toMatchObject({ kind: 'served', termination: 'edge', serving: null });
    const message = 'spec.tls.key: Invalid value: "redacted key data": tls: private key does not match public key';
    expect(treated.kind === 'served' && treated.warnings).toEqual([
      `the default certificate is served, as extended validation is off: ${message}`,
    ]);
  });

  test('nor is one in a Secret', () => {
    const built = route.edge().externalCertificate('s').build();
    const wrong = aSecret('n/s', { certificate: pair.certificate, key: other.key });
    expect(treatmentOf(built, wrong, null, off)).toMatchObject({ kind: 'served', serving: null });
    expect(treatmentOf(built, aSecret('n/s', pair), null, off)).toMatchObject({
      kind: 'served',
      serving: { chain: pair.certificate },
      warnings: [],
    });
  });

  test.each([
    ['a CA that is none', route.edge(pair).tls({ caCertificate: 'x' })],
    ['a certificate that is none', route.edge({ certificate: 'x', key: 'y' })],
    ['a certificate without a key', route.edge().tls({ certificate: pair.certificate })],
  ])('%s: the default certificate, and a warning', (_name, built) => {
    const treated = treatmentOf(built.build(), undefined, null, off);
    expect(treated).toMatchObject({ kind: 'served', serving: null });
    expect(treated.kind === 'served' && treated.warnings).toHaveLength(1);
  });

  test.each([
    ['an unknown termination', route.termination('nonsense')],
    ['no termination', route.termination('')],
    ['a CA for the pods that is none', route.reencrypt('x', pair)],
    ['a CA for the pods that is none, and a wrong certificate', route.reencrypt('x', { ...pair, key: other.key })],
  ])('%s is refused all the same', (_name, built) => {
    const strict = treatmentOf(built.build(), undefined, null, settings);
    expect(strict).toMatchObject({ kind: 'refused', verdict: { reason: 'ExtendedValidationFailed' } });
    expect(treatmentOf(built.build(), undefined, null, off)).toEqual(strict);
  });

  test('what is good is served as ever', () => {
    for (const built of [route, route.edge(pair), route.passthrough(), route.reencrypt('', pair)]) {
      expect(treatmentOf(built.build(), undefined, null, off)).toEqual(
        treatmentOf(built.build(), undefined, null, settings),
      );
    }
  });
});
