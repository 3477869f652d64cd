// What admission says of a Route. The reasons are OpenShift's own: people and scripts search for them.

export type RejectionReason =
  | 'NoHostValue'
  | 'InvalidHost'
  | 'RouteNotAdmitted'
  | 'HostAlreadyClaimed'
  | 'ExtendedValidationFailed'
  | 'ExternalCertificateValidationFailed';

/**
 * `warnings`: what the owner should know of an admitted Route. `wordings`: messages that would tell the same fact; a replica
 * that has seen it come about otherwise has chosen another of them.
 */
export type Verdict =
  | { readonly kind: 'admitted'; readonly warnings: readonly string[] }
  | {
      readonly kind: 'rejected';
      readonly reason: RejectionReason;
      readonly message: string;
      readonly wordings: readonly string[];
    };

export function rejected(reason: RejectionReason, message: string, wordings: readonly string[] = []): Verdict {
  return { kind: 'rejected', reason, message, wordings };
}

/** Whether two verdicts tell the owner the same. */
export function sameVerdict(a: Verdict | undefined, b: Verdict): boolean {
  if (a === undefined || a.kind !== b.kind) return false;
  if (a.kind === 'rejected' && b.kind === 'rejected') return a.reason === b.reason && a.message === b.message;
  if (a.kind === 'admitted' && b.kind === 'admitted') return a.warnings.join('\n') === b.warnings.join('\n');
  return false;
}
