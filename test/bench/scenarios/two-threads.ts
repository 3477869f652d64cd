// Plain and edge once more on two threads: what sharing the work costs a request.

import { TWO_THREADS } from '../stages.ts';
import { edge } from './edge.ts';
import type { LoadScenario } from './load-scenario.ts';
import { plain } from './plain.ts';

export const twoThreads: readonly LoadScenario[] = [plain, edge].map((scenario) => ({
  ...scenario,
  name: `${scenario.name}-${TWO_THREADS.name}`,
  stage: TWO_THREADS,
}));
