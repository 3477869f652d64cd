// Plain and edge once more beside few and many other Routes: what the size of the table costs a request. Each asks for a path of its
// own: HAProxy remembers the last 10,000 answers of its maps by host and path, and a table that is never looked into costs nothing.

import { countedStage, type Stage } from '../stages.ts';
import { edge } from './edge.ts';
import type { LoadScenario } from './load-scenario.ts';
import { plain } from './plain.ts';

const STAGES: readonly Stage[] = [10, 1_000, 10_000].map(countedStage);

const CONNECTIONS = 64;

export const routeCounts: readonly LoadScenario[] = [plain, edge].flatMap((scenario) =>
  STAGES.map((stage) => ({
    ...scenario,
    name: `${scenario.name}-${stage.name}`,
    stage,
    load: { kind: 'keep-alive', connections: CONNECTIONS, paths: 'many' },
  })),
);
