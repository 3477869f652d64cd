// `npm run bench`: measures Headgate beside HAProxy and nginx. README.md says how to run it and how to read what it prints.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type Ground, prepare, startOn } from './ground.ts';
import { type FigureResult, failures, figureLines, type LoadResult, loadLines, ownLines } from './lines.ts';
import { circumstances, describeMachine, missingTools, warnings } from './machine.ts';
import { type Options, parseOptions, selected, USAGE } from './options.ts';
import { CONTENDERS, FIGURE_SCENARIOS, GROUPS, LOAD_SCENARIOS } from './programme.ts';
import { differences, type Started } from './proof.ts';
import { publish } from './publish.ts';
import { figureTable, loadTable, ownTable } from './report.ts';
import { runRounds } from './rounds.ts';
import type { FigureBench } from './scenarios/figure-scenario.ts';
import type { LoadScenario } from './scenarios/load-scenario.ts';
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

  const ground = await prepare(new Workspace());
  const troubles: string[] = [];
  const note = (trouble: string): void => {
    troubles.push(trouble);
    say(trouble);
  };
  const loadScenarios = selected(LOAD_SCENARIOS, options.only);
  const loadResults = loadScenarios.length === 0 ? [] : await measureLoads(ground, loadScenarios, options, note);
  if (loadResults === null) return 1;
  const figureResults = await measureFigures(ground, options, note);

  const lines = { load: loadLines(loadResults), own: ownLines(loadResults), figures: figureLines(figureResults) };
  for (const failure of failures(lines.load)) note(failure);
  const tables = [
    ...(lines.load.length === 0 ? [] : [loadTable(lines.load)]),
    ...(lines.own.length === 0 ? [] : [ownTable(lines.own)]),
    ...(lines.figures.length === 0 ? [] : [figureTable(lines.figures)]),
  ];
  process.stdout.write(tables.map((table) => `\n${table}`).join(''));
  if (options.jsonFile !== null) {
    const record = { machine, options, load: loadResults, figures: figureResults, troubles };
    writeFileSync(options.jsonFile, `${JSON.stringify(record, null, 2)}\n`);
  }
  if (options.write) {
    const measured = `${circumstances(machine)}; ${options.rounds} rounds of ${options.seconds} s`;
    publish(
      lines,
      measured,
      [...LOAD_SCENARIOS, ...FIGURE_SCENARIOS].map(({ name }) => name),
    );
  }
  return troubles.length === 0 ? 0 : 1;
}

/** Null when the contenders do not do the same work, so that nothing was timed. */
async function measureLoads(
  ground: Ground,
  scenarios: readonly LoadScenario[],
  options: Options,
  note: (trouble: string) => void,
): Promise<readonly LoadResult[] | null> {
  const started: Started[] = [];
  const contenders = selected(CONTENDERS, options.contenders);
  for (const stage of new Set<Stage>(scenarios.map((scenario) => scenario.stage))) {
    for (const contender of selected(contenders, stage.contenders)) {
      try {
        progress(`starting ${contender.name} on ${stage.name}`);
        started.push({ stage, contender, running: await startOn(ground, stage, contender, options.otherRoutes) });
      } catch (error) {
        note(`${contender.name} is not measured on ${stage.name}, it did not start: ${messageOf(error)}`);
      }
    }
  }
  const differing = await differences(scenarios, started);
  for (const difference of differing) say(`difference: ${difference}`);
  if (differing.length > 0 && !options.allowDifferences) {
    say('the contenders do not do the same work, so nothing was timed (--allow-differences times them all the same)');
    return null;
  }
  const results = await runRounds(ground.workspace, scenarios, started, { ...options, progress, note });
  for (const { running } of started) await running.stop();
  return results;
}

async function measureFigures(
  ground: Ground,
  options: Options,
  note: (trouble: string) => void,
): Promise<readonly FigureResult[]> {
  const results: FigureResult[] = [];
  const bench: FigureBench = { ...ground, contenders: selected(CONTENDERS, options.contenders), options, progress };
  for (const scenario of selected(FIGURE_SCENARIOS, options.only)) {
    try {
      results.push({ scenario: scenario.name, figures: await scenario.run(bench) });
    } catch (error) {
      note(`${scenario.name} was not measured: ${messageOf(error)}`);
    }
  }
  return results;
}

/** The options, or the exit code when there is nothing to run. */
function readOptions(args: readonly string[]): Options | number {
  try {
    const options = parseOptions(args);
    if (options === 'help') {
      process.stdout.write(USAGE);
      return 0;
    }
    const only = options.only?.flatMap((name) => GROUPS[name]?.map((scenario) => scenario.name) ?? name) ?? null;
    refuseUnknown('--only', only, [...LOAD_SCENARIOS, ...FIGURE_SCENARIOS]);
    refuseUnknown('--contenders', options.contenders, CONTENDERS);
    return { ...options, only };
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
