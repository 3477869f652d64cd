// Keeps the RouteTable true to the ClusterState: changed objects make keys dirty, dirty keys are compiled, and what came out
// differently becomes a Delta and Verdicts. Events may be folded, repeated or out of order; only the state counts.

import { isDeepStrictEqual } from 'node:util';
import type { Manifest, RouteManifest, SecretFault, SecretManifest } from '../source/manifests.ts';
import type { Change, Delta, Revision } from '../table/delta.ts';
import type {
  Backend,
  BackendId,
  Certificate,
  CertificateId,
  ClientAuth,
  ErrorPage,
  HostRule,
  RouteKey,
} from '../table/entries.ts';
import { ANY_HOST, type Host } from '../table/host.ts';
import { RouteTable } from '../table/route-table.ts';
import {
  type AdmissionSettings,
  claimMessage,
  claimOf,
  claimWordings,
  type RouteTreatment,
  treatmentOf,
} from './admission.ts';
import { type ClusterState, keyOfRoute, type ObjectKey } from './cluster-state.ts';
import { type BackendSubject, compileBackend } from './compile-backend.ts';
import { backendSubjectsOf, compileHost, isOutvoted, type ServedRoute } from './compile-host.ts';
import { EndpointLottery } from './endpoint-order.ts';
import { type Claim, type Decision, HostClaims } from './host-claims.ts';
import { rejected, sameVerdict, type Verdict } from './verdict.ts';

const outvotedWarning =
  'requests are answered with 421: clients of this host are asked for certificates of another authority, that of another Route';

/** Time that compiling may take of one turn of the event loop. */
const sliceMs = 8;

export type ReconcilerSettings = AdmissionSettings & {
  readonly disableNamespaceOwnershipCheck: boolean;
  readonly allowLoopbackEndpoints: boolean;
  readonly endpointOrder: '' | 'shuffle';
};

/** A Verdict as it is kept: what it is, since which Revision, and on which Route in which generation. */
export type KnownVerdict = {
  readonly verdict: Verdict;
  readonly revision: Revision;
  readonly generation: number;
  readonly uid: string;
};

/** A Verdict that is new, or (`isNew` false) the old one on a new generation, or on another Route of that name. */
export type VerdictChange = { readonly route: RouteManifest; readonly verdict: Verdict; readonly isNew: boolean };

/** What one step of reconciling brought about. */
export type Outcome = { readonly delta: Delta | null; readonly verdicts: readonly VerdictChange[] };

export class Reconciler {
  readonly table: RouteTable = new RouteTable();
  readonly verdicts: Map<RouteKey, KnownVerdict> = new Map();
  readonly #state: ClusterState;
  readonly #settings: ReconcilerSettings;
  readonly #claims: HostClaims;
  /** Null: Endpoints stand as their slices list them. */
  readonly #lottery: EndpointLottery | null;
  readonly #epoch: number;
  readonly #dirtyHosts: Set<Host> = new Set();
  readonly #dirtyServices: Set<ObjectKey> = new Set();
  readonly #lostTo: Map<RouteKey, Claim> = new Map();
  /** Whose present Claim on a Host has been decided before: tells newcomers from those who were there, in messages. */
  readonly #seenOn: Map<Host, Set<RouteKey>> = new Map();
  /** How many HostRules name a Backend or a Certificate; with the last one the entry goes. */
  readonly #backendUses: Map<BackendId, { subject: BackendSubject; count: number }> = new Map();
  readonly #certificateUses: Map<CertificateId, number> = new Map();
  readonly #backendsByService: Map<ObjectKey, Set<BackendId>> = new Map();
  #defaultCertificate: Certificate | null = null;
  #defaultAuthority: Certificate | null = null;
  #clientAuthority: Certificate | null = null;
  #errorPages: ReadonlyMap<string, ErrorPage> = new Map();
  #pagesDirty = false;
  readonly #pendingVerdicts: Map<RouteKey, VerdictChange> = new Map();
  /** The Host that a Route has left: it is served there until that has been compiled. */
  readonly #left: Map<RouteKey, Host> = new Map();
  /** What each version of a Route came to, with the Secrets that it was judged by. */
  readonly #treatments: WeakMap<
    RouteManifest,
    {
      secret: SecretManifest | SecretFault | undefined;
      clientSecret: SecretManifest | SecretFault | undefined;
      treatment: RouteTreatment;
    }
  > = new WeakMap();
  #counter = 0;

  constructor(state: ClusterState, settings: ReconcilerSettings, epoch: number) {
    this.#state = state;
    this.#settings = settings;
    this.#lottery = settings.endpointOrder === 'shuffle' ? new EndpointLottery() : null;
    this.#claims = new HostClaims(settings.disableNamespaceOwnershipCheck ? 'shared' : 'strict');
    this.#epoch = epoch;
  }

  /** Takes a new version of an object, or its end. */
  put(key: string, manifest: Manifest | undefined): void {
    for (const concern of this.#state.put(key, manifest)) {
      if (concern.kind === 'route') this.#routeChanged(concern.route);
      else if (concern.kind === 'service') this.#dirtyServices.add(concern.service);
    }
  }

  /** When the certificates of admitted Routes expire, in ms since 1970. */
  *expiries(): Generator<{ readonly route: RouteManifest; readonly notAfterMs: number }> {
    for (const [key, route] of this.#state.routes) {
      const treatment = this.#treatments.get(route)?.treatment;
      if (treatment?.kind !== 'served' || treatment.notAfterMs === null) continue;
      if (this.verdicts.get(key)?.verdict.kind === 'admitted') yield { route, notAfterMs: treatment.notAfterMs };
    }
  }

  /** The certificate that is served where no Route has one. */
  setDefaultCertificate(certificate: Certificate): void {
    this.#defaultCertificate = certificate;
    this.#dirtyHosts.add(ANY_HOST);
  }

  /** The authority for pods of re-encrypt Routes without one. Set before the first object. */
  setDefaultAuthority(authority: Certificate | null): void {
    this.#defaultAuthority = authority;
  }

  /** By whom the certificates of all clients must be issued, where the router asks for them. */
  setClientAuthority(authority: Certificate): void {
    this.#clientAuthority = authority;
    this.#dirtyHosts.add(ANY_HOST);
  }

  /** All pages that take the place of the router's own, by reason or status. */
  setErrorPages(pages: ReadonlyMap<string, ErrorPage>): void {
    this.#errorPages = pages;
    this.#pagesDirty = true;
  }

  get dirty(): boolean {
    return (
      this.#pagesDirty || this.#dirtyHosts.size > 0 || this.#dirtyServices.size > 0 || this.#pendingVerdicts.size > 0
    );
  }

  get revision(): Revision {
    return this.table.revision;
  }

  /**
   * Compiles dirty keys for a few milliseconds, at least one of each kind: Endpoints do not wait until all hosts are done,
   * nor the other way round. The table has taken the Delta when this returns. Verdicts belong to the table's Revision then.
   */
  step(): Outcome {
    const started = performance.now();
    const changes = new Changes();
    for (const service of this.#dirtyServices) {
      this.#dirtyServices.delete(service);
      for (const id of this.#backendsByService.get(service) ?? []) this.#reconcileBackend(id, changes);
      if (performance.now() - started > sliceMs) break;
    }
    for (const host of this.#dirtyHosts) {
      this.#dirtyHosts.delete(host);
      this.#reconcileHost(host, changes);
      if (performance.now() - started > sliceMs) break;
    }
    const delta = this.#takeDelta([...changes.against(this.table), ...this.#pageChanges()]);
    const verdicts: VerdictChange[] = [];
    for (const [key, change] of this.#pendingVerdicts) {
      const left = this.#left.get(key);
      if (left !== undefined && this.#dirtyHosts.has(left)) continue;
      this.#left.delete(key);
      this.#pendingVerdicts.delete(key);
      if (!this.#state.routes.has(key)) continue;
      const { verdict, route } = change;
      this.verdicts.set(key, { verdict, revision: this.table.revision, generation: route.generation, uid: route.uid });
      verdicts.push(change);
    }
    return { delta, verdicts };
  }

  #pageChanges(): Change[] {
    if (!this.#pagesDirty) return [];
    this.#pagesDirty = false;
    const names = new Set([...this.table.pages.keys(), ...this.#errorPages.keys()]);
    return [...names].flatMap((key): Change[] => {
      const entry = this.#errorPages.get(key) ?? null;
      return isDeepStrictEqual(this.table.pages.get(key) ?? null, entry) ? [] : [{ kind: 'page', key, entry }];
    });
  }

  #takeDelta(changes: readonly Change[]): Delta | null {
    if (changes.length === 0) return null;
    this.#counter++;
    const delta = { from: this.table.revision, to: { epoch: this.#epoch, counter: this.#counter }, changes };
    this.table.apply(delta);
    return delta;
  }

  #routeChanged(key: RouteKey): void {
    const route = this.#state.routes.get(key);
    const claim = route === undefined ? null : claimOf(route, this.#settings);
    const before = this.#claims.claimOf(key);
    const made = claim !== null && !('kind' in claim) ? claim : null;
    // What an earlier version came to and nobody was told yet is not true any more.
    this.#pendingVerdicts.delete(key);
    // A Claim that says the same keeps its place; the Host is compiled anew all the same, for the rest of the Route.
    if (before !== undefined && made !== null && isDeepStrictEqual(before, made)) {
      this.#dirtyHosts.add(before.host);
    } else {
      for (const host of this.#claims.set(key, made)) this.#dirtyHosts.add(host);
      if (before !== undefined) {
        this.#forget(key, before.host);
        const left = this.#left.get(key);
        if (left === undefined || !this.#dirtyHosts.has(left)) this.#left.set(key, before.host);
      }
      this.#lostTo.delete(key);
    }
    if (route === undefined) {
      this.verdicts.delete(key);
      this.#left.delete(key);
    } else if (claim !== null && 'kind' in claim) this.#judge(route, claim);
  }

  #forget(route: RouteKey, host: Host): void {
    const seen = this.#seenOn.get(host);
    if (seen?.delete(route) === true && seen.size === 0) this.#seenOn.delete(host);
  }

  #reconcileHost(host: Host, changes: Changes): void {
    if (host === ANY_HOST) {
      const known = [this.#defaultCertificate, this.#clientAuthority].filter((one) => one !== null);
      this.#replaceHost(host, this.#defaultRule(), known, changes);
      return;
    }
    const served: ServedRoute[] = [];
    const decisions = this.#claims.decide(host);
    for (const decision of decisions) {
      const { claim, to } = decision;
      const route = this.#state.routes.get(claim.route);
      if (route === undefined) continue;
      if (to !== null) {
        const wordings = claimWordings(decision, to, this.#settings.allowWildcardRoutes);
        this.#judge(route, rejected('HostAlreadyClaimed', this.#messageFor(decision, to), wordings));
        this.#lostTo.set(claim.route, to);
        continue;
      }
      this.#lostTo.delete(claim.route);
      const treatment = this.#treatmentOf(route);
      if (treatment.kind === 'refused') {
        this.#judge(route, treatment.verdict);
        continue;
      }
      served.push({ route, treatment });
    }
    for (const each of served) {
      const warnings = [...each.treatment.warnings];
      if (isOutvoted(each, served, this.#settings.clientCertificates)) warnings.push(outvotedWarning);
      for (const name of this.#state.unwakeableServices(each.route)) {
        warnings.push(`Service ${each.route.namespace}/${name} is idled and has no cluster IP: no request can wake it`);
      }
      this.#judge(each.route, { kind: 'admitted', warnings });
    }
    if (decisions.length > 0) this.#seenOn.set(host, new Set(decisions.map(({ claim }) => claim.route)));
    const rule = compileHost(host, served);
    this.#replaceHost(host, rule, [], changes, served);
  }

  #defaultRule(): HostRule | null {
    if (this.#defaultCertificate === null) return null;
    const clientAuth = this.#routerWideClientAuth();
    // Without the rule nobody is served over TLS: better than everybody.
    if (clientAuth === null && this.#settings.clientCertificates !== 'none') return null;
    return { host: ANY_HOST, tls: 'none', certificate: this.#defaultCertificate.id, clientAuth, paths: [] };
  }

  #routerWideClientAuth(): ClientAuth | null {
    const demand = this.#settings.clientCertificates;
    return demand === 'none' || this.#clientAuthority === null ? null : { demand, authority: this.#clientAuthority.id };
  }

  #messageFor(decision: Decision, owner: Claim): string {
    const key = decision.claim.route;
    const known = this.verdicts.get(key)?.verdict;
    // Still losing to the same Claim: what was said stands, whatever has happened since.
    const standing = this.#lostTo.get(key) === owner && known?.kind === 'rejected';
    if (standing && known.reason === 'HostAlreadyClaimed') return known.message;
    const seen = this.#seenOn.get(decision.claim.host);
    return claimMessage(decision, owner, this.#settings.allowWildcardRoutes, {
      wasAdmitted: known?.kind === 'admitted' && seen?.has(key) === true,
      ownerIsNew: seen?.has(owner.route) !== true,
    });
  }

  #judge(route: RouteManifest, verdict: Verdict): void {
    const key = keyOfRoute(route);
    const known = this.verdicts.get(key);
    const isNew = !sameVerdict(known?.verdict, verdict);
    const isSameRoute = known?.generation === route.generation && known.uid === route.uid;
    if (isNew || !isSameRoute) this.#pendingVerdicts.set(key, { route, verdict, isNew });
    else this.#pendingVerdicts.delete(key);
  }

  #treatmentOf(route: RouteManifest): RouteTreatment {
    const secret = this.#state.secretOf(route);
    const known = this.#treatments.get(route);
    const clientSecret = this.#state.clientSecretOf(route);
    if (known !== undefined && known.secret === secret && known.clientSecret === clientSecret) return known.treatment;
    const treatment = treatmentOf(route, secret, this.#defaultAuthority, this.#settings, clientSecret);
    this.#treatments.set(route, { secret, clientSecret, treatment });
    return treatment;
  }

  /** Puts a HostRule in place, and with it what it newly names; takes out what nobody names any more. */
  #replaceHost(
    host: Host,
    rule: HostRule | null,
    routerWide: readonly Certificate[],
    changes: Changes,
    served: readonly ServedRoute[] = [],
  ): void {
    const before = this.table.hosts.get(host) ?? null;
    if (isDeepStrictEqual(before, rule)) return;
    const certificates = certificatesOf(served, routerWide);
    for (const { route } of served) {
      for (const subject of backendSubjectsOf(route)) this.#useBackend(subject, changes);
    }
    for (const id of certificateIdsOf(rule)) this.#useCertificate(id, certificates, changes);
    changes.host(host, rule);
    for (const path of before?.paths ?? []) {
      for (const { backend } of path.backends) this.#releaseBackend(backend, changes);
    }
    for (const id of certificateIdsOf(before)) this.#releaseCertificate(id, changes);
  }

  #useBackend(subject: BackendSubject, changes: Changes): void {
    const use = this.#backendUses.get(subject.id);
    if (use !== undefined) {
      use.count++;
      return;
    }
    this.#backendUses.set(subject.id, { subject, count: 1 });
    const key = `${subject.namespace}/${subject.service}`;
    const ids = this.#backendsByService.get(key) ?? new Set<BackendId>();
    this.#backendsByService.set(key, ids.add(subject.id));
    this.#reconcileBackend(subject.id, changes);
  }

  #releaseBackend(id: BackendId, changes: Changes): void {
    const use = this.#backendUses.get(id);
    if (use === undefined || --use.count > 0) return;
    this.#backendUses.delete(id);
    const key = `${use.subject.namespace}/${use.subject.service}`;
    const ids = this.#backendsByService.get(key);
    if (ids?.delete(id) === true && ids.size === 0) this.#backendsByService.delete(key);
    changes.backend(id, null);
  }

  #reconcileBackend(id: BackendId, changes: Changes): void {
    const use = this.#backendUses.get(id);
    if (use === undefined) return;
    const { namespace, service } = use.subject;
    const key = `${namespace}/${service}`;
    const slices = this.#state.slicesOf(key);
    const idled = this.#state.idledService(key);
    const backend = compileBackend(use.subject, slices, idled, this.#settings.allowLoopbackEndpoints);
    changes.backend(id, this.#lottery?.shuffled(backend) ?? backend);
  }

  #useCertificate(id: CertificateId, known: ReadonlyMap<CertificateId, Certificate>, changes: Changes): void {
    const count = this.#certificateUses.get(id) ?? 0;
    this.#certificateUses.set(id, count + 1);
    const certificate = known.get(id);
    if (count === 0 && certificate !== undefined) changes.certificate(id, certificate);
  }

  #releaseCertificate(id: CertificateId, changes: Changes): void {
    const count = (this.#certificateUses.get(id) ?? 0) - 1;
    if (count > 0) {
      this.#certificateUses.set(id, count);
    } else {
      this.#certificateUses.delete(id);
      changes.certificate(id, null);
    }
  }
}

/** The Changes of one step: of several for one key only the last counts. */
class Changes {
  readonly #hosts: Map<Host, HostRule | null> = new Map();
  readonly #backends: Map<BackendId, Backend | null> = new Map();
  readonly #certificates: Map<CertificateId, Certificate | null> = new Map();

  host(key: Host, entry: HostRule | null): void {
    this.#hosts.set(key, entry);
  }

  backend(key: BackendId, entry: Backend | null): void {
    this.#backends.set(key, entry);
  }

  certificate(key: CertificateId, entry: Certificate | null): void {
    this.#certificates.set(key, entry);
  }

  /** Those that make a difference: what is released and taken up again in one step does not. */
  against(table: RouteTable): Change[] {
    const all: Change[] = [];
    for (const [key, entry] of this.#certificates) {
      if (table.certificates.has(key) !== (entry !== null)) all.push({ kind: 'certificate', key, entry });
    }
    for (const [key, entry] of this.#backends) {
      if (!isDeepStrictEqual(table.backends.get(key) ?? null, entry)) all.push({ kind: 'backend', key, entry });
    }
    for (const [key, entry] of this.#hosts) all.push({ kind: 'host', key, entry });
    return all;
  }
}

function certificatesOf(
  served: readonly ServedRoute[],
  routerWide: readonly Certificate[],
): Map<CertificateId, Certificate> {
  const certificates = new Map<CertificateId, Certificate>();
  for (const { treatment } of served) {
    for (const certificate of [treatment.serving, treatment.destination, treatment.clientAuthority]) {
      if (certificate !== null) certificates.set(certificate.id, certificate);
    }
  }
  for (const certificate of routerWide) certificates.set(certificate.id, certificate);
  return certificates;
}

function certificateIdsOf(rule: HostRule | null): Set<CertificateId> {
  const ids = new Set<CertificateId>();
  if (rule === null) return ids;
  if (rule.certificate !== null) ids.add(rule.certificate);
  if (rule.clientAuth !== null) ids.add(rule.clientAuth.authority);
  for (const { upstreamTls, clientAuth } of rule.paths) {
    if (upstreamTls?.authority != null) ids.add(upstreamTls.authority);
    if (clientAuth !== null) ids.add(clientAuth.authority);
  }
  return ids;
}
