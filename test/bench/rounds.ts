// The rounds of the load scenarios.

import { BASELINE, type LoadResult } from './lines.ts';
import { castOf, type Started } from './proof.ts';
import { type LoadScenario, measure, type Sample, saturationOf } from './scenarios/load-scenario.ts';
import type { Workspace } from './workspace.ts';

export type Rounds = {
  readonly rounds: number;
  /** Of each run. */
  readonly seconds: number;
  /** Tells the person who waits how far it is. */
  progress(text: string): void;
  /** Told of each contender that fails in a scenario; it is left out of it from then on. */
  note(trouble: string): void;
};

const WARM_UP_SECONDS = 1;

/**
 * Every contender once in every scenario of every round, so that what changes on the machine over time hits all alike. Who
 * comes first rotates. A round before the first is not counted: code is compiled and pools are filled in it.
 */
export async function runRounds(
  workspace: Workspace,
  scenarios: readonly LoadScenario[],
  started: readonly Started[],
  { rounds, seconds, progress, note }: Rounds,
): Promise<readonly LoadResult[]> {
  const results = scenarios.map((scenario) => ({
    scenario,
    turns: castOf(scenario, started).map(({ contender, running }) => ({
      contender: contender.name,
      running,
      samples: [] as Sample[],
    })),
  }));
  /** Of those whose rounds do not pair any more. */
  const failed = new Set<readonly Sample[]>();
  const saturations = new Map<LoadScenario, number>();
  for (const { scenario, turns } of results) {
    const baseline = turns.find(({ contender }) => contender === BASELINE) ?? turns[0];
    if (scenario.load.kind !== 'fixed-rate' || baseline === undefined) continue;
    progress(`how much ${baseline.contender} bears: ${scenario.name}`);
    saturations.set(scenario, await saturationOf(workspace, scenario, baseline.running, seconds));
  }
  for (let round = 0; round <= rounds; round++) {
    for (const { scenario, turns } of results) {
      const saturation = saturations.get(scenario) ?? 0;
      const run = { seconds: round === 0 ? WARM_UP_SECONDS : seconds, saturation };
      const first = round % turns.length;
      for (const { contender, running, samples } of [...turns.slice(first), ...turns.slice(0, first)]) {
        if (failed.has(samples)) continue;
        progress(`round ${round} of ${rounds}: ${scenario.name}, ${contender}`);
        try {
          const sample = await measure(workspace, scenario, running, run);
          if (round > 0) samples.push(sample);
        } catch (error) {
          // The others have their rounds to themselves: what a long run has measured shall not be lost.
          failed.add(samples);
          note(`${scenario.name}: ${contender} is not measured: ${error instanceof Error ? error.message : error}`);
        }
      }
    }
  }
  return results.flatMap(({ scenario, turns }) =>
    turns
      .filter(({ samples }) => !failed.has(samples))
      .map(({ contender, samples }) => ({ scenario, contender, samples })),
  );
}
