// Why messages are not taken: one word a reason, and the status that a client gets to see. What is wrong with a message is
// found by its readers; what an answer looks like is not said here.

/** Why a message is not taken, and the status of the answer to a request like that. */
export type Refusal = { readonly status: number; readonly reason: RefusalReason };

export type RefusalReason = keyof typeof statusOfRefusal;

/** One entry a reason; a reason never changes its meaning, people grep for them. */
const statusOfRefusal = {
  'bad-request-line': 400,
  'bad-target': 400,
  'bad-version': 505,
  'bad-field-name': 400,
  'bad-field-value': 400,
  'bare-line-feed': 400,
  'folded-field': 400,
  'missing-host': 400,
  'several-hosts': 400,
  'bad-host': 400,
  'host-differs-from-target': 400,
  'bad-content-length': 400,
  'content-too-large': 413,
  'length-and-transfer-encoding': 400,
  'bad-transfer-encoding': 400,
  'unknown-transfer-encoding': 501,
  'bad-chunk': 400,
  'bad-trailer': 400,
  'trailer-too-large': 431,
  'method-not-allowed': 405,
  'method-too-long': 501,
  'target-too-long': 414,
  'head-too-large': 431,
  'too-many-fields': 431,
  'head-timeout': 408,
  'body-timeout': 408,
  'bad-status-line': 502,
  'bad-pseudo-header': 400,
  'connection-specific-field': 400,
  'unknown-protocol': 501,
} as const;

/** All of them. */
export const refusalReasons: readonly string[] = Object.keys(statusOfRefusal);

/** The refusal for this reason, with its status. */
export function refusal(reason: RefusalReason): Refusal {
  return { status: statusOfRefusal[reason], reason };
}
