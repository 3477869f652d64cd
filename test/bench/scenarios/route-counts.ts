// Plain and edge once more beside few and many other Routes: what the size of the table costs a request.

import { countedStage, type Stage } from '../stages.ts';
import { edge } from './edge.ts';
import type { LoadScenario } from './load-scenario.ts';
import { plain } from './plain.ts';

const STAGES: readonly Stage[] = [10, 1_000, 10_000].map(countedStage);

export const routeCounts: readonly LoadScenario[] = [plain, edge].flatMap((scenario) =>
  STAGES.map((stage) => ({ ...scenario, name: `${scenario.name}-${stage.name}`, stage })),
);
