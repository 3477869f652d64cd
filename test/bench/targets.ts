// What Headgate is to reach. A target of ratios is met when the upper quartile of the rounds is below it.

import type { FigureTarget } from './scenarios/figure-scenario.ts';

/** Headgate's figure divided by the baseline's in the same round, by scenario. Those without one are for information. */
export const RATIO_TARGETS: Readonly<Record<string, number>> = {
  plain: 0.9,
  edge: 0.85,
  'edge-h2': 1.0,
  reencrypt: 0.85,
  passthrough: 0.8,
  'passthrough-bulk': 1.3,
  'passthrough-bulk-up': 1.3,
  'edge-new-rsa': 1.0,
  'edge-new-ecdsa': 1.0,
  'edge-new-resumed': 1.1,
  websocket: 1.0,
  'plain-latency': 1.3,
  'edge-latency': 1.3,
};

/** A contender's CPU time in one scenario against its own in another. */
export type OwnComparison = { readonly scenario: string; readonly against: string; readonly below: number };

export const OWN_COMPARISONS: readonly OwnComparison[] = [
  { scenario: 'plain-routes-10000', against: 'plain-routes-10', below: 1.03 },
  { scenario: 'edge-routes-10000', against: 'edge-routes-10', below: 1.03 },
  { scenario: 'plain-two-threads', against: 'plain', below: 1.05 },
  { scenario: 'edge-two-threads', against: 'edge', below: 1.05 },
];

/** From a changed Route in place to the first request that is answered by it, in ms. */
export const CHANGE_IN_FORCE: FigureTarget = { quantile: 0.99, below: 20 };

/** The share of the connections that the busier of two workers has, in %. */
export const BUSIER_WORKER: FigureTarget = { quantile: 0.75, below: 60 };

/** Memory that a connection takes, in KB. */
export const IDLE_CONNECTION: FigureTarget = { quantile: 0.75, below: 60 };

/** How late the event loop of a worker is while it takes many Routes in, in ms. */
export const LOADING_DELAY: FigureTarget = { quantile: 0.75, below: 5 };
