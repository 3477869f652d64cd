// Plain and edge once more at a rate that the baseline bears easily: how long a request takes when nothing queues.

import { edge } from './edge.ts';
import type { LoadScenario } from './load-scenario.ts';
import { plain } from './plain.ts';

const CONNECTIONS = 64;
/** Of what the baseline answers in a second when it is never left without a request. */
const SHARE = 0.6;

export const latencies: readonly LoadScenario[] = [plain, edge].map((scenario) => ({
  ...scenario,
  name: `${scenario.name}-latency`,
  load: { kind: 'fixed-rate', connections: CONNECTIONS, share: SHARE },
}));
