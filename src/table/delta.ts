// How one state of the table becomes the next.

import type { Backend, BackendId, Certificate, CertificateId, ErrorPage, HostRule } from './entries.ts';
import type { Host } from './host.ts';

/** A point in the table's history: which controller made it, and its how-manieth change. */
export type Revision = { readonly epoch: number; readonly counter: number };

/** The empty table, before any Delta. */
export const NO_REVISION: Revision = { epoch: 0, counter: 0 };

/** A key and its new entry; null removes it. */
export type Change =
  | {
      readonly kind: 'host';
      readonly key: Host;
      readonly entry: HostRule | null;
    }
  | {
      readonly kind: 'backend';
      readonly key: BackendId;
      readonly entry: Backend | null;
    }
  | {
      readonly kind: 'certificate';
      readonly key: CertificateId;
      readonly entry: Certificate | null;
    }
  | {
      readonly kind: 'page';
      /** A reason or a status. */
      readonly key: string;
      readonly entry: ErrorPage | null;
    };

/** All Changes that lead from one Revision to the next. From NO_REVISION it is a snapshot: the whole table. */
export type Delta = {
  readonly from: Revision;
  readonly to: Revision;
  readonly changes: readonly Change[];
};

export function sameRevision(a: Revision, b: Revision): boolean {
  return a.epoch === b.epoch && a.counter === b.counter;
}

/** As people read it: `epoch.counter`. */
export function formatRevision(revision: Revision): string {
  return `${revision.epoch}.${revision.counter}`;
}
