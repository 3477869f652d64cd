// How an exchange or a connection ended, in the letters that people who know HAProxy read: who ended it, and what was under
// way. The words of ours are in every JSON line besides; letters are for syslog, and for habits.

import type { AnswerReason } from '../answers.ts';
import type { EndReason } from '../end-reason.ts';

/** How a line says that something ended: as it should, by an answer of the router's own, or broken off. */
export type End = 'forwarded' | AnswerReason | EndReason;

/** How far it had come: what was waited for, or passed on, when it ended. */
export type Stage = 'request' | 'queue' | 'connect' | 'headers' | 'data';

/** HAProxy's letter of each stage. */
const stageLetters: Readonly<Record<Stage, string>> = {
  request: 'R',
  queue: 'Q',
  connect: 'C',
  headers: 'H',
  data: 'D',
};

/**
 * Both letters, or the first alone where the stage says the second. `C` `c`: the client, cut off or out of time; `S` `s`:
 * the pod; `P`: refused by the router; `L`: answered by it; `R`: a resource of it was used up; `K`: cut by it on its way out.
 */
const states: Readonly<Record<End, string>> = {
  forwarded: '--',

  // Answers of our own.
  health: 'LR',
  redirect: 'LR',
  'no-route': 'SC',
  'no-endpoint': 'SC',
  'endpoints-down': 'SC',
  'connect-failed': 'SC',
  'upstream-closed': 'SH',
  'upstream-timeout': 's',
  'bad-response': 'PH',
  misdirected: 'PR',
  'no-client-certificate': 'PR',
  'client-certificate-filtered': 'PR',
  'other-client-policy': 'PR',
  'source-not-allowed': 'PR',
  'rate-limited': 'PR',
  'pods-busy': 'sQ',

  // Requests that are not taken.
  'bad-request-line': 'PR',
  'bad-target': 'PR',
  'bad-version': 'PR',
  'bad-field-name': 'PR',
  'bad-field-value': 'PR',
  'bare-line-feed': 'PR',
  'folded-field': 'PR',
  'missing-host': 'PR',
  'several-hosts': 'PR',
  'bad-host': 'PR',
  'host-differs-from-target': 'PR',
  'bad-content-length': 'PR',
  'content-too-large': 'PR',
  'length-and-transfer-encoding': 'PR',
  'bad-transfer-encoding': 'PR',
  'unknown-transfer-encoding': 'PR',
  'bad-chunk': 'P',
  'bad-trailer': 'P',
  'trailer-too-large': 'P',
  'method-not-allowed': 'PR',
  'method-too-long': 'PR',
  'target-too-long': 'PR',
  'head-too-large': 'PR',
  'too-many-fields': 'PR',
  'head-timeout': 'cR',
  'body-timeout': 'c',
  'bad-status-line': 'PH',
  'bad-pseudo-header': 'PR',
  'connection-specific-field': 'PR',
  'unknown-protocol': 'PR',

  // Exchanges, tunnels and connections that broke off, or ended.
  'client-closed': 'C',
  'client-aborted': 'C',
  'client-idle': 'c',
  'client-timeout': 'c',
  'request-refused': 'P',
  'proxy-header-missing': 'PR',
  'proxy-header-malformed': 'PR',
  'proxy-header-too-long': 'PR',
  'proxy-header-timeout': 'cR',
  'not-tls': 'PR',
  'hello-timeout': 'cR',
  'handshake-failed': 'PR',
  'handshake-timeout': 'cR',
  'answered-and-closed': '--',
  'source-limit': 'PR',
  'handshake-limit': 'RR',
  draining: 'K',
  'unrecognized-name': 'PR',
  'no-certificate': 'PR',
  'no-client-authority': 'PR',
  'upstream-truncated': 'SD',
  'tunnel-closed': '--',
  // HAProxy lays the silence of a tunnel to the client's charge.
  'tunnel-idle': 'cD',
};

/** What the connection to a pod failed of in time, and not by refusal. */
const connectTimedOut = 'sC';

/** The two letters. `detail`: the ConnectFailure of an answer `connect-failed`, where it is known. */
export function terminationState(end: End, stage: Stage, detail: string | null): string {
  if (end === 'connect-failed' && detail === 'timeout') return connectTimedOut;
  const state = states[end];
  return state.length === 2 ? state : state + stageLetters[stage];
}
