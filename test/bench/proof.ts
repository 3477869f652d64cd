// Before anything is timed: every contender must do the same work. Each is asked the same questions, and what client and pod
// see is compared with the first contender of the same fidelity.

import { createHash } from 'node:crypto';
import { type Answer, headerLines, type Question } from './answer.ts';
import { askHttp1 } from './ask-http1.ts';
import { askHttp2 } from './ask-http2.ts';
import { askWebSocket } from './ask-websocket.ts';
import type { Contender, RunningContender } from './contenders/contender.ts';
import { GRPC_HEADERS, HTTP2_BODIES } from './h2load.ts';
import { ECHO_PATH } from './routes.ts';
import type { LoadScenario } from './scenarios/load-scenario.ts';
import type { Stage } from './stages.ts';

export type Started = { readonly stage: Stage; readonly contender: Contender; readonly running: RunningContender };

/** What was seen, as lines of text that can be compared and shown. */
type Observation = readonly string[];

type Named = { readonly name: string; readonly seen: Observation };

/** Sent to the echo pod: what a router must clean, add to or leave alone (Route semantics 5.4 and 5.5). */
const HOSTILE_HEADERS: Readonly<Record<string, string>> = {
  proxy: 'http://evil.test',
  'x-ssl-client-cn': 'evil',
  'x-forwarded-for': '192.0.2.1',
  forwarded: 'for=192.0.2.1',
  cookie: 'theme=dark',
  'x-kept': 'as it is',
};

/** One sentence for each wrong answer and each difference between a contender and its reference; empty when all is well. */
export async function differences(
  scenarios: readonly LoadScenario[],
  started: readonly Started[],
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const scenario of scenarios) {
    for (const fidelity of ['answer', 'routed'] as const) {
      let reference: Named | null = null;
      for (const { contender, running } of castOf(scenario, started)) {
        if (fidelity === 'routed' && contender.fidelity !== 'routed') continue;
        const outcome = await observe(scenario, running, fidelity);
        if (typeof outcome === 'string') {
          found.push(`${scenario.name}: ${contender.name}: ${outcome}`);
          continue;
        }
        const seen = { name: contender.name, seen: outcome };
        if (reference === null) reference = seen;
        else found.push(...compare(scenario.name, reference, seen));
      }
    }
  }
  return found;
}

/** Those of the contenders that stand on the scenario's stage and can do it. */
export function castOf(scenario: LoadScenario, started: readonly Started[]): readonly Started[] {
  return started.filter(
    ({ stage, contender }) => stage.name === scenario.stage.name && !contender.lacks.includes(scenario.name),
  );
}

/** What client and pod see, or what went wrong. */
async function observe(
  scenario: LoadScenario,
  running: RunningContender,
  fidelity: Contender['fidelity'],
): Promise<Observation | string> {
  const port = running.ports[scenario.entrance];
  const { entrance, host: servername, path } = scenario;
  const question = {
    isTls: entrance !== 'http',
    port,
    servername,
    host: servername,
    path,
    headers: {},
    body: bodyOf(scenario),
  };
  const answer = await ask(scenario, question);
  if (typeof answer === 'string') return answer;
  if (fidelity === 'answer') return [`body ${digest(answer.body)}`, ...answer.trailers, ...answer.tls];
  // The router does not look into passthrough connections.
  if (entrance === 'passthrough') return answer.headers;

  // The host in capitals: the pod gets to see it in lower case.
  const echo = await ask(scenario, {
    ...question,
    host: servername.toUpperCase(),
    path: `${ECHO_PATH}/a%20b?q=1`,
    headers: HOSTILE_HEADERS,
  });
  if (typeof echo === 'string') return `the echo pod: ${echo}`;
  const echoHeaders = [...echo.headers, ...echo.trailers].filter((line) => !line.startsWith('content-length'));
  return [...answer.headers, ...echoHeaders.map((line) => `echo: ${line}`), ...seenByPod(echo, port)];
}

/** The answer in the scenario's protocol, or what came instead of a good one. */
async function ask(scenario: LoadScenario, question: Question): Promise<Answer | string> {
  const { load } = scenario;
  if (load.kind === 'websocket') return askWebSocket(question);
  if (load.kind !== 'http2') return askHttp1(question);
  if (load.call !== 'grpc') return askHttp2(question);
  const answer = await askHttp2({ ...question, headers: { ...question.headers, ...GRPC_HEADERS } });
  if (typeof answer === 'string' || answer.trailers.includes('trailer grpc-status: 0')) return answer;
  return `no grpc-status of 0 but ${answer.trailers.join() || 'no trailers'}`;
}

function bodyOf({ load }: LoadScenario): Buffer | null {
  if (load.kind === 'uploads') return Buffer.alloc(load.bodyBytes, 'x');
  return load.kind === 'http2' ? HTTP2_BODIES[load.call] : null;
}

function seenByPod(echo: Answer, port: number): readonly string[] {
  const seen: { method: string; url: string; rawHeaders: string[]; body: string } = JSON.parse(echo.body.toString());
  const lines = headerLines(seen.rawHeaders)
    // Each contender has its own.
    .map((line) => line.replace(`x-forwarded-port: ${port}`, 'x-forwarded-port: <port>'));
  const body = digest(Buffer.from(seen.body, 'base64'));
  return [`pod: ${seen.method} ${seen.url}`, ...lines.map((line) => `pod: ${line}`), `pod: body ${body}`];
}

function digest(body: Buffer): string {
  return `${body.length} bytes, sha256 ${createHash('sha256').update(body).digest('hex').slice(0, 12)}`;
}

function compare(scenario: string, reference: Named, other: Named): readonly string[] {
  const only = (a: Named, b: Named): readonly string[] =>
    a.seen.filter((line) => !b.seen.includes(line)).map((line) => `${scenario}: only ${a.name} has "${line}"`);
  const lines = [...only(reference, other), ...only(other, reference)];
  if (lines.length > 0 || reference.seen.join('\n') === other.seen.join('\n')) return lines;
  return [`${scenario}: ${reference.name} and ${other.name} differ in the order or number of equal lines`];
}
