// All that the bench can measure, in the order of its tables.

import type { Contender } from './contenders/contender.ts';
import { haproxyMinimal } from './contenders/haproxy-minimal.ts';
import { haproxyOpenshift } from './contenders/haproxy-openshift.ts';
import { headgate } from './contenders/headgate.ts';
import { nginx } from './contenders/nginx.ts';
import { bodies } from './scenarios/bodies.ts';
import { change } from './scenarios/change.ts';
import { churn } from './scenarios/churn.ts';
import { edge } from './scenarios/edge.ts';
import { edgeHttp2 } from './scenarios/edge-h2.ts';
import { edgeNewEcdsa, edgeNewResumed, edgeNewRsa } from './scenarios/edge-new.ts';
import type { FigureScenario } from './scenarios/figure-scenario.ts';
import { grpc } from './scenarios/grpc.ts';
import { idle } from './scenarios/idle.ts';
import { kill } from './scenarios/kill.ts';
import { latencies } from './scenarios/latency.ts';
import type { LoadScenario } from './scenarios/load-scenario.ts';
import { loading } from './scenarios/loading.ts';
import { passthrough } from './scenarios/passthrough.ts';
import { passthroughBulk, passthroughBulkUp } from './scenarios/passthrough-bulk.ts';
import { plain } from './scenarios/plain.ts';
import { reencrypt } from './scenarios/reencrypt.ts';
import { reencryptHttp2 } from './scenarios/reencrypt-h2.ts';
import { routeCounts } from './scenarios/route-counts.ts';
import { spread } from './scenarios/spread.ts';
import { start } from './scenarios/start.ts';
import { twoThreads } from './scenarios/two-threads.ts';
import { webSocket } from './scenarios/websocket.ts';

export const CONTENDERS: readonly Contender[] = [haproxyOpenshift, haproxyMinimal, nginx, headgate];

export const LOAD_SCENARIOS: readonly LoadScenario[] = [
  plain,
  edge,
  // Beside what they are compared with: the machine changes over a round.
  ...twoThreads,
  edgeNewRsa,
  edgeNewEcdsa,
  edgeNewResumed,
  edgeHttp2,
  reencrypt,
  reencryptHttp2,
  grpc,
  webSocket,
  passthrough,
  passthroughBulk,
  passthroughBulkUp,
  ...bodies,
  ...routeCounts,
  ...latencies,
];

export const FIGURE_SCENARIOS: readonly FigureScenario[] = [start, change, kill, churn, loading, spread, idle];

/** What --only calls several scenarios by. */
export const GROUPS: Readonly<Record<string, readonly { readonly name: string }[]>> = {
  load: LOAD_SCENARIOS,
  figures: FIGURE_SCENARIOS,
};
