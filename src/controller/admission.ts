// What keeps a Route from being served, besides others who were first: its host, its policy, its certificates. Pure; each
// answer is the same whenever it is asked.

import type { RouteManifest, SecretFault, SecretManifest } from '../source/manifests.ts';
import type {
  Certificate,
  ClientAuth,
  InsecurePolicy,
  RouteOptions,
  Termination,
  UpstreamTls,
} from '../table/entries.ts';
import { routeKey } from '../table/entries.ts';
import { parseHost, wildcardOf } from '../table/host.ts';
import { type CheckedTls, checkTls } from './certificates.ts';
import { clientAuthority } from './client-authority.ts';
import { clientCaAnnotation, clientSecretKeyOf } from './cluster-state.ts';
import type { Claim, Decision } from './host-claims.ts';
import { isInDomains } from './host-naming.ts';
import { type OptionSettings, routeOptions } from './route-options.ts';
import { rejected, type Verdict } from './verdict.ts';

/** The settings that admission reads. */
export type AdmissionSettings = OptionSettings & {
  readonly allowWildcardRoutes: boolean;
  readonly deniedDomains: readonly string[];
  readonly allowedDomains: readonly string[];
  readonly extendedValidation: boolean;
  readonly externalCertificates: boolean;
  readonly requireDestinationCa: boolean;
  /** What is demanded of the clients of all Routes: those that name a CA of their own may demand more, not less. */
  readonly clientCertificates: 'none' | 'optional' | 'required';
};

const maxHostLength = 253;
const maxLabelLength = 63;
const labelPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
  "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/** The Claim that a Route makes, or why it cannot make one (Route semantics 2.2, stages 1a and 2). */
export function claimOf(route: RouteManifest, settings: AdmissionSettings): Claim | Verdict {
  const policy = route.wildcardPolicy;
  if (route.fault !== '') return rejected('ExtendedValidationFailed', route.fault);
  if (route.host === '') return rejected('NoHostValue', 'no host value was defined for the route');
  if (isInDomains(route.host, settings.deniedDomains)) {
    return rejected('RouteNotAdmitted', 'host in list of denied domains');
  }
  if (settings.allowedDomains.length > 0 && !isInDomains(route.host, settings.allowedDomains)) {
    return rejected('RouteNotAdmitted', 'host not in the allowed list of domains');
  }
  if (policy === 'Subdomain' && !settings.allowWildcardRoutes) {
    return rejected('RouteNotAdmitted', 'wildcard routes are not allowed');
  }
  if (policy !== 'None' && policy !== 'Subdomain') {
    return rejected('RouteNotAdmitted', `unknown wildcard policy ${policy}`);
  }
  const errors = hostErrors(route.host);
  const host = parseHost(route.host);
  if (errors.length > 0 || host === undefined) {
    return rejected('InvalidHost', `host name validation errors: ${errors.join(', ')}`);
  }
  const termination = route.tls === null ? '' : route.tls.termination;
  return {
    route: routeKey(route.namespace, route.name),
    namespace: route.namespace,
    name: route.name,
    uid: route.uid,
    createdMs: route.createdMs,
    host: policy === 'Subdomain' ? wildcardOf(host) : host,
    specHost: route.host,
    path: route.path,
    tls: route.tls === null ? 'none' : termination === 'passthrough' ? 'passthrough' : 'terminated',
  };
}

/** Go field errors, as Kubernetes words them. */
function hostErrors(host: string): string[] {
  const errors: string[] = [];
  const invalid = (rule: string): void => {
    errors.push(`spec.host: Invalid value: "${host}": ${rule}`);
  };
  const labels = host.split('.');
  if (host.length > maxHostLength || !labels.every((label) => labelPattern.test(label))) {
    invalid('host must conform to DNS 952 subdomain conventions');
  }
  for (const label of labels) {
    if (label.length > maxLabelLength) invalid(`must be no more than ${maxLabelLength} characters`);
    if (!labelPattern.test(label)) invalid(labelRule);
  }
  return errors;
}

/** What the owner had heard before: whether the Route was served, and to whom it had lost. */
export type ClaimHistory = { readonly wasAdmitted: boolean; readonly ownerIsNew: boolean };

/**
 * The message for a Route that lost its Host (Route semantics 2.2). The reference words it by how it came about: with
 * wildcard Routes allowed it is stage 1b that refuses, else stage 2, and there it matters who was first to be served.
 */
export function claimMessage(
  decision: Decision,
  owner: Claim,
  wildcardsAllowed: boolean,
  history: ClaimHistory,
): string {
  const loser = decision.claim;
  const foreign = owner.namespace !== loser.namespace;
  if (wildcardsAllowed) {
    if (foreign) return `a route in another namespace holds host ${loser.specHost}`;
    const { route, host } = owner;
    return owner.host === owner.specHost
      ? `route ${route} has host ${owner.specHost}`
      : `wildcard route ${route} has host ${host}, blocking ${loser.specHost}`;
  }
  if (history.wasAdmitted) {
    return history.ownerIsNew
      ? `replaced by older route ${owner.name}`
      : `namespace ${owner.namespace} owns hostname ${loser.specHost}`;
  }
  return foreign
    ? `a route in another namespace holds ${loser.specHost} and is older than ${loser.name}`
    : `route ${owner.name} already exposes ${loser.specHost} and is older`;
}

/** Every message that `claimMessage` may have for this loss, whatever the owner had heard before. */
export function claimWordings(decision: Decision, owner: Claim, wildcardsAllowed: boolean): string[] {
  return [true, false].flatMap((wasAdmitted) =>
    [true, false].map((ownerIsNew) => claimMessage(decision, owner, wildcardsAllowed, { wasAdmitted, ownerIsNew })),
  );
}

/** What a Route that owns its Host is served with, or why it is not. */
export type RouteTreatment =
  | {
      readonly kind: 'served';
      readonly termination: Termination;
      readonly insecurePolicy: InsecurePolicy;
      readonly options: RouteOptions;
      readonly serving: Certificate | null;
      /** When that expires, in ms since 1970; null without. */
      readonly notAfterMs: number | null;
      readonly upstreamTls: UpstreamTls | null;
      readonly destination: Certificate | null;
      readonly clientAuth: ClientAuth | null;
      /** What `clientAuth` names. */
      readonly clientAuthority: Certificate | null;
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'refused'; readonly verdict: Verdict };

type Secret = SecretManifest | SecretFault | undefined;

/**
 * Checks the TLS part of a Route (Route semantics 2.3, 5.15, 7.1). `secret`: what `externalCertificate` names;
 * `clientSecret`: what `headgate.io/client-ca-secret` names.
 */
export function treatmentOf(
  route: RouteManifest,
  secret: Secret,
  defaultAuthority: Certificate | null,
  settings: AdmissionSettings,
  clientSecret?: Secret,
): RouteTreatment {
  const warnings: string[] = [];
  const options = routeOptions(route, settings, warnings);
  const tls = route.tls;
  if (tls === null) {
    return {
      kind: 'served',
      termination: 'none',
      insecurePolicy: 'None',
      options,
      serving: null,
      notAfterMs: null,
      upstreamTls: null,
      destination: null,
      clientAuth: null,
      clientAuthority: null,
      warnings: [...warnings, ...idleAnnotations(route, 'without TLS')],
    };
  }
  let certificate = tls.certificate;
  let key = tls.key;
  if (tls.externalCertificate !== '' && settings.externalCertificates) {
    const external = externalPair(tls.externalCertificate, secret);
    if ('verdict' in external) return { kind: 'refused', verdict: external.verdict };
    ({ certificate, key } = external);
    if (certificate === '') {
      warnings.push(`secret "${tls.externalCertificate}" has no tls.crt: the default certificate is served`);
    }
  }
  let checked = checkTls({ ...tls, certificate, key });
  if (checked.kind === 'invalid') {
    const { message } = checked;
    // What else may be wrong, a CA for the pods above all, cannot be left out without serving less safely than asked for.
    if (!settings.extendedValidation) checked = checkTls({ ...tls, certificate: '', key: '', caCertificate: '' });
    if (checked.kind === 'invalid') {
      return { kind: 'refused', verdict: rejected('ExtendedValidationFailed', message) };
    }
    warnings.push(`the default certificate is served, as extended validation is off: ${message}`);
  }
  const clients = clientDemand(route, clientSecret, settings);
  if ('verdict' in clients) return { kind: 'refused', verdict: clients.verdict };
  warnings.push(...clients.warnings);
  const termination = tls.termination as Termination;
  const insecurePolicy = tls.insecurePolicy === '' ? 'None' : (tls.insecurePolicy as InsecurePolicy);
  const towardsPods = termination === 'reencrypt' ? podVerification(checked, defaultAuthority, settings) : null;
  if (towardsPods !== null && 'verdict' in towardsPods) return { kind: 'refused', verdict: towardsPods.verdict };
  return {
    kind: 'served',
    termination,
    insecurePolicy,
    options,
    serving: checked.serving,
    notAfterMs: checked.notAfterMs,
    upstreamTls: towardsPods === null ? null : towardsPods.upstreamTls,
    destination: towardsPods === null ? null : towardsPods.destination,
    clientAuth: clients.clientAuth,
    clientAuthority: clients.authority,
    warnings: [...warnings, ...(towardsPods === null ? [] : towardsPods.warnings)],
  };
}

type PodVerification =
  | {
      readonly upstreamTls: UpstreamTls;
      readonly destination: Certificate | null;
      readonly warnings: readonly string[];
    }
  | { readonly verdict: Verdict };

function podVerification(
  checked: CheckedTls & { kind: 'valid' },
  defaultAuthority: Certificate | null,
  settings: AdmissionSettings,
): PodVerification {
  const own = checked.destination;
  if (own !== null) return { upstreamTls: { verify: 'chain', authority: own.id }, destination: own, warnings: [] };
  if (defaultAuthority !== null) {
    const upstreamTls: UpstreamTls = { verify: 'service', authority: defaultAuthority.id };
    return { upstreamTls, destination: defaultAuthority, warnings: [] };
  }
  if (settings.requireDestinationCa) {
    const message =
      'spec.tls.destinationCACertificate: Required value: this router does not connect to pods whose certificate it ' +
      'cannot verify, and no default destination CA is configured';
    return { verdict: rejected('ExtendedValidationFailed', message) };
  }
  return {
    upstreamTls: { verify: 'none', authority: null },
    destination: null,
    warnings: ['no destination CA on the Route or by default: the certificates of its pods are not verified'],
  };
}

type ClientDemand =
  | {
      readonly clientAuth: ClientAuth | null;
      readonly authority: Certificate | null;
      readonly warnings: readonly string[];
    }
  | { readonly verdict: Verdict };

const clientAuthAnnotation = 'headgate.io/client-auth';

/** What a Route's annotations demand of clients. Whatever is wrong with them, the Route is never served with less than was meant. */
function clientDemand(route: RouteManifest, secret: Secret, settings: AdmissionSettings): ClientDemand {
  if (route.tls?.termination === 'passthrough') {
    return { clientAuth: null, authority: null, warnings: idleAnnotations(route, 'of passthrough') };
  }
  const name = route.annotations[clientCaAnnotation];
  const word = route.annotations[clientAuthAnnotation];
  if (name === undefined) {
    if (word === undefined) return { clientAuth: null, authority: null, warnings: [] };
    if (word === 'optional') {
      return { clientAuth: null, authority: null, warnings: [`${clientAuthAnnotation} needs ${clientCaAnnotation}`] };
    }
    const because = `Required value: ${clientAuthAnnotation} demands client certificates`;
    return { verdict: rejected('ExtendedValidationFailed', `${annotation(clientCaAnnotation)}: ${because}`) };
  }
  const field = annotation(clientCaAnnotation);
  if (clientSecretKeyOf(route) === null) {
    const message = `${field}: Invalid value: ${JSON.stringify(name.slice(0, 64))}: not the name of a secret`;
    return { verdict: rejected('ExtendedValidationFailed', message) };
  }
  if (!settings.externalCertificates) {
    const message = `${field}: Forbidden: this router reads no secrets that routes name`;
    return { verdict: rejected('ExternalCertificateValidationFailed', message) };
  }
  if (secret?.kind !== 'Secret') return { verdict: secretVerdict(field, faultErrors(name, secret)) };
  const ca = secret.data['ca.crt'] ?? '';
  const made = clientAuthority(ca, secret.data['ca.crl'] ?? '');
  if (made.kind === 'invalid') {
    const key = made.field === 'ca' ? 'ca.crt' : 'ca.crl';
    const problem = ca === '' ? 'secret has no ca.crt' : `failed to parse ${key}: ${made.problem}`;
    const message = `${field}: Invalid value: ${JSON.stringify(name)}: ${problem}`;
    return { verdict: rejected('ExternalCertificateValidationFailed', message) };
  }
  const isKnown = word === undefined || word === 'required' || word === 'optional';
  const warnings = isKnown ? [] : [`${clientAuthAnnotation} is neither required nor optional: required is in force`];
  const isRaised = word === 'optional' && settings.clientCertificates === 'required';
  if (isRaised) warnings.push(`${clientAuthAnnotation} is less than this router demands: required is in force`);
  const demand = word === 'optional' && !isRaised ? 'optional' : 'required';
  const clientAuth = { demand, authority: made.authority.id } as const;
  return { clientAuth, authority: made.authority, warnings };
}

function annotation(name: string): string {
  return `metadata.annotations[${name}]`;
}

/** Annotations that do nothing on a Route of this sort. */
function idleAnnotations(route: RouteManifest, sort: string): string[] {
  return [clientCaAnnotation, clientAuthAnnotation]
    .filter((name) => route.annotations[name] !== undefined)
    .map((name) => `${name} does nothing on a Route ${sort}`);
}

type ExternalPair = { readonly certificate: string; readonly key: string } | { readonly verdict: Verdict };

/** The certificate and key in the Secret that `externalCertificate` names (Route semantics 7.1). */
function externalPair(name: string, secret: SecretManifest | SecretFault | undefined): ExternalPair {
  const errors = secret?.kind === 'Secret' ? typeErrors(name, secret) : faultErrors(name, secret);
  if (errors.length > 0 || secret?.kind !== 'Secret') {
    return { verdict: secretVerdict('spec.tls.externalCertificate', errors) };
  }
  return { certificate: secret.data['tls.crt'] ?? '', key: secret.data['tls.key'] ?? '' };
}

function secretVerdict(field: string, errors: readonly string[]): Verdict {
  const lines = errors.map((error) => `${field}: ${error}`);
  const message = lines.length === 1 ? (lines[0] ?? '') : `[${lines.join(', ')}]`;
  return rejected('ExternalCertificateValidationFailed', message);
}

function typeErrors(name: string, { type }: SecretManifest): string[] {
  return type === 'kubernetes.io/tls' ? [] : [`Invalid value: "${name}": secret of type "kubernetes.io/tls" required`];
}

function faultErrors(name: string, fault: SecretFault | undefined): string[] {
  const absent = `Not found: "secrets \\"${name}\\" not found"`;
  if (fault === undefined) return [absent];
  const errors = fault.denied.map(
    (verb) => `Forbidden: router serviceaccount does not have permission to ${verb} this secret`,
  );
  if (fault.read === 'absent') errors.push(absent);
  if (fault.read === 'unreadable') errors.push(`Internal error: ${fault.message}`);
  return errors;
}

/** The Route's own policy, or null where it has none that is valid (Route semantics 4.6). */
