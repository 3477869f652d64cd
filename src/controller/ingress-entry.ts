// This router's entry in `status.ingress` of a Route (Route semantics 1.5, 2.5): what it should say, whether it does, and the
// list with it in place. Pure. What other routers wrote is passed on as it is.

import type { IngressEntry, RouteManifest } from '../source/manifests.ts';
import type { Verdict } from './verdict.ts';

/** Under which name entries are written. */
export type RouterIdentity = { readonly routerName: string; readonly canonicalHostname: string };

/** A condition of an entry. Absent texts are empty. */
type Condition = { readonly type: string; readonly status: string; readonly reason: string; readonly message: string };

/** What an entry should say. */
export type DesiredEntry = {
  readonly host: string;
  readonly routerName: string;
  readonly canonicalHostname: string;
  readonly wildcardPolicy: string;
  readonly conditions: readonly Condition[];
  /** Messages of `Admitted` that are as good as its own: replicas with other memories must not correct one another for ever. */
  readonly wordings: readonly string[];
};

/** What this router's entry should say of a Route. `generation`: the one that the verdict was passed on. */
export function desiredEntry(
  route: RouteManifest,
  verdict: Verdict,
  generation: number,
  { routerName, canonicalHostname }: RouterIdentity,
): DesiredEntry {
  const status = verdict.kind === 'admitted' ? 'True' : 'False';
  const { reason, message } = verdict.kind === 'admitted' ? { reason: '', message: '' } : verdict;
  return {
    host: route.host,
    routerName,
    canonicalHostname,
    wildcardPolicy: route.wildcardPolicy,
    conditions: [
      { type: 'Admitted', status, reason, message },
      // `kubectl wait` can tell by it whether the version that was just applied is the one that is served.
      { type: 'Ready', status, reason: '', message: `generation ${generation}` },
    ],
    wordings: verdict.kind === 'admitted' ? [] : verdict.wordings,
  };
}

/** The entry of a router in a list; undefined where it has none. */
export function entryOf(ingress: readonly IngressEntry[], routerName: string): IngressEntry | undefined {
  return ingress.find((entry) => entry['routerName'] === routerName);
}

/** A list without the entries of a router. */
export function withoutEntry(ingress: readonly IngressEntry[], routerName: string): IngressEntry[] {
  return ingress.filter((entry) => entry['routerName'] !== routerName);
}

/** Whether an entry says what it should; when a condition came about does not count (Route semantics 2.5). */
export function says(entry: IngressEntry | undefined, desired: DesiredEntry): boolean {
  if (entry === undefined) return false;
  const conditions = conditionsOf(entry);
  return (
    textOf(entry['host']) === desired.host &&
    textOf(entry['routerCanonicalHostname']) === desired.canonicalHostname &&
    (textOf(entry['wildcardPolicy']) || 'None') === desired.wildcardPolicy &&
    conditions.length === desired.conditions.length &&
    desired.conditions.every((wanted) => {
      const found = conditions.find(({ type }) => type === wanted.type);
      if (found === undefined) return false;
      const isReworded = wanted.type === 'Admitted' && desired.wordings.includes(found.message);
      return isSame(isReworded ? { ...found, message: wanted.message } : found, wanted);
    })
  );
}

/** A list with this router's entry saying what it should. `now` is the time of conditions that change: RFC 3339, whole seconds. */
export function withEntry(ingress: readonly IngressEntry[], desired: DesiredEntry, now: string): IngressEntry[] {
  const before = entryOf(ingress, desired.routerName);
  const known = before === undefined ? [] : conditionsOf(before);
  const entry: IngressEntry = {
    host: desired.host,
    routerName: desired.routerName,
    conditions: desired.conditions.map((condition) => {
      const same = known.find((other) => other.type === condition.type && isSame(other, condition));
      const { type, status, reason, message } = condition;
      return {
        type,
        status,
        ...(reason === '' ? {} : { reason }),
        ...(message === '' ? {} : { message }),
        lastTransitionTime: same?.lastTransitionTime || now,
      };
    }),
    wildcardPolicy: desired.wildcardPolicy,
    ...(desired.canonicalHostname === '' ? {} : { routerCanonicalHostname: desired.canonicalHostname }),
  };
  // The order is that of the first write; a second entry of the same name can only be a mistake.
  if (before === undefined) return [...ingress, entry];
  return ingress
    .filter((other) => other === before || other['routerName'] !== desired.routerName)
    .map((other) => (other === before ? entry : other));
}

function conditionsOf(entry: IngressEntry): (Condition & { readonly lastTransitionTime: string })[] {
  const conditions = entry['conditions'];
  return (Array.isArray(conditions) ? conditions : []).map((condition: unknown) => {
    const { type, status, reason, message, lastTransitionTime } = (condition ?? {}) as Readonly<
      Record<string, unknown>
    >;
    return {
      type: textOf(type),
      status: textOf(status),
      reason: textOf(reason),
      message: textOf(message),
      lastTransitionTime: textOf(lastTransitionTime),
    };
  });
}

function isSame(a: Condition, b: Condition): boolean {
  return a.status === b.status && a.reason === b.reason && a.message === b.message;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
