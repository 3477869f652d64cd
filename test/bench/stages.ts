// What a load scenario is played on: the Routes that the contenders have, and on how many threads they serve them. Every contender
// is started once for each stage that is needed, and all of them stand ready at the same time, so that rounds can compare stages, too.

import type { BenchRoute } from './routes.ts';
import { HOSTS, otherRoutes } from './routes.ts';

export type Stage = {
  readonly name: string;
  /** Routes in all, for scenarios of plain and edge alone. Null: those of every scenario, and --other-routes beside. */
  readonly routes: number | null;
  /** Threads of a contender, or processes that serve. */
  readonly threads: number;
  /** Names of contenders; null: all. */
  readonly contenders: readonly string[] | null;
};

/** A small cluster, and a router with one core. */
export const SMALL_CLUSTER: Stage = { name: 'small-cluster', routes: null, threads: 1, contenders: null };

/** The same with two threads, for those that are to be compared with themselves. */
export const TWO_THREADS: Stage = {
  name: 'two-threads',
  routes: null,
  threads: 2,
  contenders: ['haproxy-openshift', 'headgate'],
};

/** A stage with so many Routes, for those that are to be compared with themselves. */
export function countedStage(routes: number): Stage {
  return { name: `routes-${routes}`, routes, threads: 1, contenders: ['haproxy-openshift', 'headgate'] };
}

/** The Routes of a stage, of which `measured` are those that all the scenarios ask for. `others` is --other-routes. */
export function routesOn(
  stage: Stage,
  measured: readonly BenchRoute[],
  others: number,
  podPort: number,
): readonly BenchRoute[] {
  if (stage.routes === null) return [...measured, ...otherRoutes(others, podPort)];
  const asked = measured.filter(({ host }) => host === HOSTS.plain || host === HOSTS.edge);
  return [...asked, ...otherRoutes(stage.routes - asked.length, podPort)];
}
