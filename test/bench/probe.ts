// Single requests on connections of their own, as a client would notice a change.

import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

export type ProbeTarget = {
  readonly port: number;
  readonly host: string;
  readonly path: string;
};

export type ProbeAnswer = { readonly status: number; readonly body: string };

const PROBE_TIMEOUT_MS = 10_000;

/** The answer, or null when there was none: connection refused or cut, or no answer in 10 s. */
export function probe(target: ProbeTarget): Promise<ProbeAnswer | null> {
  const { port, host, path } = target;
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path, headers: { host }, agent: false, timeout: PROBE_TIMEOUT_MS };
    const sent = request(options, (response) => {
      response.toArray().then(
        (chunks) => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        () => resolve(null),
      );
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(null));
    sent.end();
  });
}

/** Asks every `everyMs` until `isDone` says so of the answer. Throws after `deadlineMs`. */
export async function probeUntil(
  target: ProbeTarget,
  isDone: (answer: ProbeAnswer) => boolean,
  everyMs: number,
  deadlineMs: number,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await probe(target);
    if (answer !== null && isDone(answer)) return;
    if (performance.now() > deadline) {
      throw new Error(`${target.host}${target.path} did not give the expected answer in ${deadlineMs} ms`);
    }
    await pause(everyMs);
  }
}
