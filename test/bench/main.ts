// `npm run bench`: measures Headgate beside HAProxy. README.md says how to run it and how to read what it prints.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeKeyPair, writePem } from './certificates.ts';
import type { Contender } from './contenders/contender.ts';
import { haproxyMinimal } from './contenders/haproxy-minimal.ts';
import { haproxyOpenshift } from './contenders/haproxy-openshift.ts';
import { headgate } from './contenders/headgate.ts';
import { nginx } from './contenders/nginx.ts';
import { describeMachine, missingTools, warnings } from './machine.ts';
import { type Options, parseOptions, selected, USAGE } from './options.ts';
import { POD_NAME, startPods } from './pods.ts';
import { differences, type Started } from './proof.ts';
import { failures, type HeadgateResult, headgateTable, type LoadResult, loadTable } from './report.ts';
import { HOSTS, loadRoutes, otherRoutes } from './routes.ts';
import { bodies } from './scenarios/bodies.ts';
import { change } from './scenarios/change.ts';
import { edge } from './scenarios/edge.ts';
import { edgeHttp2 } from './scenarios/edge-h2.ts';
import { edgeNewEcdsa, edgeNewResumed, edgeNewRsa } from './scenarios/edge-new.ts';
import { grpc } from './scenarios/grpc.ts';
import type { HeadgateBench, HeadgateScenario } from './scenarios/headgate-scenario.ts';
import { kill } from './scenarios/kill.ts';
import { type LoadScenario, measure, type Sample } from './scenarios/load-scenario.ts';
import { passthrough } from './scenarios/passthrough.ts';
import { passthroughBulk, passthroughBulkUp } from './scenarios/passthrough-bulk.ts';
import { plain } from './scenarios/plain.ts';
import { reencrypt } from './scenarios/reencrypt.ts';
import { reencryptHttp2 } from './scenarios/reencrypt-h2.ts';
import { start } from './scenarios/start.ts';
import { webSocket } from './scenarios/websocket.ts';
import { LOAD_CPU, Workspace } from './workspace.ts';

const CONTENDERS: readonly Contender[] = [haproxyOpenshift, haproxyMinimal, nginx, headgate];
const LOAD_SCENARIOS: readonly LoadScenario[] = [
  plain,
  edge,
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
];
const HEADGATE_SCENARIOS: readonly HeadgateScenario[] = [start, change, kill];
const WARM_UP_SECONDS = 1;

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
  const podCertificate = await makeKeyPair(workspace, POD_NAME);
  const pods = await startPods(workspace, podCertificate);
  const presented = {
    edge: await makeKeyPair(workspace, HOSTS.edge),
    edgeEcdsa: await makeKeyPair(workspace, HOSTS.edgeEcdsa, 'ec'),
    edgeHttp2: await makeKeyPair(workspace, HOSTS.edgeHttp2),
    edgeGrpc: await makeKeyPair(workspace, HOSTS.edgeGrpc),
    edgeUpload: await makeKeyPair(workspace, HOSTS.edgeUpload),
    edgeWebSocket: await makeKeyPair(workspace, HOSTS.edgeWebSocket),
    reencrypt: await makeKeyPair(workspace, HOSTS.reencrypt),
    reencryptHttp2: await makeKeyPair(workspace, HOSTS.reencryptHttp2),
  };
  const defaultCertificate = writePem(
    join(workspace.directory, 'default.pem'),
    await makeKeyPair(workspace, 'default.bench.test'),
  );

  const troubles: string[] = [];
  const loadScenarios = selected(LOAD_SCENARIOS, options.only);
  let loadResults: readonly LoadResult[] = [];
  if (loadScenarios.length > 0) {
    const routes = [...loadRoutes(pods, presented, podCertificate), ...otherRoutes(options.otherRoutes, pods)];
    const started: Started[] = [];
    for (const contender of selected(CONTENDERS, options.contenders)) {
      try {
        const folder = workspace.folder(contender.name);
        started.push({ contender, running: await contender.start({ workspace, folder, routes, defaultCertificate }) });
      } catch (error) {
        troubles.push(`${contender.name} is not measured, it did not start: ${messageOf(error)}`);
        say(troubles.at(-1) ?? '');
      }
    }
    const differing = await differences(loadScenarios, started);
    for (const difference of differing) say(`difference: ${difference}`);
    if (differing.length > 0 && !options.allowDifferences) {
      say('the contenders do not do the same work, so nothing was timed (--allow-differences times them all the same)');
      return 1;
    }
    loadResults = await runRounds(workspace, loadScenarios, started, options);
    for (const { running } of started) await running.stop();
    process.stdout.write(`\n${loadTable(loadResults)}`);
    for (const failure of failures(loadResults)) {
      troubles.push(failure);
      say(failure);
    }
  }

  const headgateResults: HeadgateResult[] = [];
  const bench: HeadgateBench = { workspace, pods, defaultCertificate, options, progress };
  for (const scenario of selected(HEADGATE_SCENARIOS, options.only)) {
    try {
      headgateResults.push({ scenario: scenario.name, figures: await scenario.run(bench) });
    } catch (error) {
      troubles.push(`${scenario.name} was not measured: ${messageOf(error)}`);
      say(troubles.at(-1) ?? '');
    }
  }
  if (headgateResults.length > 0) process.stdout.write(`\n${headgateTable(headgateResults)}`);

  if (options.jsonFile !== null) {
    const record = { machine, options, load: loadResults, headgate: headgateResults, troubles };
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
    refuseUnknown('--only', options.only, [...LOAD_SCENARIOS, ...HEADGATE_SCENARIOS]);
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

/**
 * Every contender once in every scenario of every round, so that what changes on the machine over time hits all alike. Who
 * comes first rotates. A round before the first is not counted: code is compiled and pools are filled in it.
 */
async function runRounds(
  workspace: Workspace,
  scenarios: readonly LoadScenario[],
  started: readonly Started[],
  { rounds, seconds }: Options,
): Promise<readonly LoadResult[]> {
  const results = scenarios.flatMap((scenario) =>
    started
      .filter(({ contender }) => !contender.lacks.includes(scenario.name))
      .map(({ contender, running }) => ({ scenario, contender: contender.name, running, samples: [] as Sample[] })),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const scenario of scenarios) {
      const turns = results.filter((result) => result.scenario === scenario);
      const first = round % turns.length;
      for (const turn of [...turns.slice(first), ...turns.slice(0, first)]) {
        progress(`round ${round} of ${rounds}: ${scenario.name}, ${turn.contender}`);
        const sample = await measure(workspace, scenario, turn.running, round === 0 ? WARM_UP_SECONDS : seconds);
        if (round > 0) turn.samples.push(sample);
      }
    }
  }
  return results.map(({ scenario, contender, samples }) => ({ scenario, contender, samples }));
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
