// The letters of HAProxy for every way in which a request, a tunnel or a connection can end here.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type End, type Stage, terminationState } from '../../../src/proxy/access-log/termination-state.ts';
import { endReasons } from '../../../src/proxy/end-reason.ts';

const src = join(import.meta.dirname, '../../../src');

/** The words of a union or the keys of a table, as the source has them. */
function wordsOf(file: string, from: string, to: string): string[] {
  const [, text = ''] = readFileSync(join(src, file), 'utf8').split(from);
  return [...(text.split(to)[0] ?? '').matchAll(/'([\w-]+)'/g)].map(([, word = '']) => word);
}

const ends = [
  'forwarded',
  ...Object.keys(endReasons),
  ...wordsOf('proxy/answers.ts', 'export type AnswerReason =', ';'),
  ...wordsOf('protocol/refusals.ts', 'const statusOfRefusal = {', '}'),
] as End[];
const stages: readonly Stage[] = ['request', 'queue', 'connect', 'headers', 'data'];

test('every end has its letters at every stage', () => {
  expect(ends.length).toBeGreaterThan(60);
  for (const end of ends) {
    for (const stage of stages) expect(terminationState(end, stage, null), end).toMatch(/^(--|[CScsPLRK][RQCHD])$/);
  }
});

const cases: readonly (readonly [end: End, stage: Stage, detail: string | null, state: string])[] = [
  ['forwarded', 'data', null, '--'],
  ['tunnel-closed', 'data', null, '--'],
  ['redirect', 'request', null, 'LR'],
  ['health', 'data', null, 'LR'],
  ['no-route', 'request', null, 'SC'],
  ['no-endpoint', 'request', null, 'SC'],
  ['connect-failed', 'connect', 'refused', 'SC'],
  ['connect-failed', 'connect', 'timeout', 'sC'],
  ['upstream-closed', 'headers', 'reset', 'SH'],
  ['upstream-timeout', 'headers', null, 'sH'],
  ['upstream-timeout', 'data', null, 'sD'],
  ['upstream-truncated', 'data', null, 'SD'],
  ['bad-response', 'headers', 'bad-status-line', 'PH'],
  ['bad-request-line', 'request', null, 'PR'],
  ['head-timeout', 'request', null, 'cR'],
  ['body-timeout', 'headers', null, 'cH'],
  ['client-timeout', 'data', null, 'cD'],
  ['client-aborted', 'request', null, 'CR'],
  ['client-aborted', 'queue', null, 'CQ'],
  ['client-aborted', 'connect', null, 'CC'],
  ['client-aborted', 'headers', null, 'CH'],
  ['client-aborted', 'data', null, 'CD'],
  ['client-closed', 'request', null, 'CR'],
  ['client-idle', 'request', null, 'cR'],
  ['tunnel-idle', 'data', null, 'cD'],
  ['source-not-allowed', 'request', null, 'PR'],
  ['rate-limited', 'request', null, 'PR'],
  ['pods-busy', 'request', null, 'sQ'],
  ['handshake-limit', 'request', null, 'RR'],
  ['draining', 'data', null, 'KD'],
];

describe('the letters', () => {
  test.each(cases)('%s in %s (%s): %s', (end, stage, detail, state) => {
    expect(terminationState(end, stage, detail)).toBe(state);
  });
});
