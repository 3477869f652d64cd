// `npm run bench`: measures Headgate beside HAProxy. README.md says how to run it and how to read what it prints.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { prepare, startOn } from './ground.ts';
import { type FigureResult, failures, figureLines, type LoadResult, loadLines, ownLines } from './lines.ts';
import { describeMachine, missingTools, warnings } from './machine.ts';
import { type Options, parseOptions, selected, USAGE } from './options.ts';
import { CONTENDERS, FIGURE_SCENARIOS, LOAD_SCENARIOS } from './programme.ts';
import { differences, type Started } from './proof.ts';
import { figureTable, loadTable, ownTable } from './report.ts';
import { runRounds } from './rounds.ts';
import type { FigureBench } from './scenarios/figure-scenario.ts';
import type { Stage } from './stages.ts';
import { LOAD_CPU, Workspace } from './workspace.ts';

process.exitCode = await main(process.argv.slice(2));
// The echo pod and nothing else may still hold the process.
process.exit();

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'number') return options;
  const missing = missingTools();
  if (missing.length > 0) {
    say(`the bench needs ${missing.join(', ')}: install the packages of these names`);
    return 1;
  }
  const machine = describeMachine();
  for (const warning of warnings(machine)) say(`warning: ${warning}`);
  // The bench polls and echoes, so it belongs to the load's side.
  spawnSync('taskset', ['-a', '-p', '-c', String(LOAD_CPU), String(process.pid)]);

  const workspace = new Workspace();
  const ground = await prepare(workspace);
  const troubles: string[] = [];
  const loadScenarios = selected(LOAD_SCENARIOS, options.only);
  let loadResults: readonly LoadResult[] = [];
  if (loadScenarios.length > 0) {
    const started: Started[] = [];
    const contenders = selected(CONTENDERS, options.contenders);
    for (const stage of new Set<Stage>(loadScenarios.map((scenario) => scenario.stage))) {
      for (const contender of selected(contenders, stage.contenders)) {
        try {
          progress(`starting ${contender.name} on ${stage.name}`);
          started.push({ stage, contender, running: await startOn(ground, stage, contender, options.otherRoutes) });
        } catch (error) {
          troubles.push(`${contender.name} is not measured on ${stage.name}, it did not start: ${messageOf(error)}`);
          say(troubles.at(-1) ?? '');
        }
      }
    }
    const differing = await differences(loadScenarios, started);
    for (const difference of differing) say(`difference: ${difference}`);
    if (differing.length > 0 && !options.allowDifferences) {
      say('the contenders do not do the same work, so nothing was timed (--allow-differences times them all the same)');
      return 1;
    }
    loadResults = await runRounds(workspace, loadScenarios, started, { ...options, progress });
    for (const { running } of started) await running.stop();
    const lines = loadLines(loadResults);
    const own = ownLines(loadResults);
    process.stdout.write(`\n${loadTable(lines)}${own.length === 0 ? '' : `\n${ownTable(own)}`}`);
    for (const failure of failures(lines)) {
      troubles.push(failure);
      say(failure);
    }
  }

  const figureResults: FigureResult[] = [];
  const contenders = selected(CONTENDERS, options.contenders);
  const bench: FigureBench = { ...ground, contenders, options, progress };
  for (const scenario of selected(FIGURE_SCENARIOS, options.only)) {
    try {
      figureResults.push({ scenario: scenario.name, figures: await scenario.run(bench) });
    } catch (error) {
      troubles.push(`${scenario.name} was not measured: ${messageOf(error)}`);
      say(troubles.at(-1) ?? '');
    }
  }
  if (figureResults.length > 0) process.stdout.write(`\n${figureTable(figureLines(figureResults))}`);

  if (options.jsonFile !== null) {
    const record = { machine, options, load: loadResults, figures: figureResults, troubles };
    writeFileSync(options.jsonFile, `${JSON.stringify(record, null, 2)}\n`);
  }
  return troubles.length === 0 ? 0 : 1;
}

/** The options, or the exit code when there is nothing to run. */
function readOptions(args: readonly string[]): Options | number {
  try {
    const options = parseOptions(args);
    if (options === 'help') {
      process.stdout.write(USAGE);
      return 0;
    }
    refuseUnknown('--only', options.only, [...LOAD_SCENARIOS, ...FIGURE_SCENARIOS]);
    refuseUnknown('--contenders', options.contenders, CONTENDERS);
    return options;
  } catch (error) {
    say(`${messageOf(error)}\n${USAGE}`);
    return 2;
  }
}

function refuseUnknown(
  flag: string,
  names: readonly string[] | null,
  known: readonly { readonly name: string }[],
): void {
  const unknown = names?.filter((name) => !known.some((one) => one.name === name)) ?? [];
  if (unknown.length > 0) {
    throw new TypeError(`${flag} ${unknown.join()}: known are ${known.map(({ name }) => name).join(', ')}`);
  }
}

function progress(text: string): void {
  // One line that is written over, where somebody is watching.
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function say(text: string): void {
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${text}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
