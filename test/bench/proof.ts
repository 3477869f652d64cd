// Before anything is timed: every contender must do the same work. Each is asked the same questions, and what client and pod
// see is compared with the first contender of the same fidelity.

import { createHash } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { Contender, RunningContender } from './contenders/contender.ts';
import { ECHO_PATH } from './routes.ts';
import type { LoadScenario } from './scenarios/load-scenario.ts';

export type Started = { readonly contender: Contender; readonly running: RunningContender };

/** What was seen, as lines of text that can be compared and shown. */
type Observation = readonly string[];

type Named = { readonly name: string; readonly seen: Observation };

type Answer = {
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly tls: readonly string[];
};

/** They say nothing of the router's work: the clock, and the connection's own. */
const UNCOMPARED_HEADERS = new Set(['date', 'connection', 'keep-alive']);

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
      for (const { contender, running } of started) {
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

/** What client and pod see, or what went wrong. */
async function observe(
  scenario: LoadScenario,
  running: RunningContender,
  fidelity: Contender['fidelity'],
): Promise<Observation | string> {
  const port = running.ports[scenario.entrance];
  const answer = await ask(scenario, port, scenario.host, scenario.path, {});
  if (typeof answer === 'string') return answer;
  if (fidelity === 'answer') return [`body ${digest(answer.body)}`, ...answer.tls];
  // The router does not look into passthrough connections.
  if (scenario.entrance === 'passthrough') return answer.headers;

  // The host in capitals: the pod gets to see it in lower case.
  const echo = await ask(scenario, port, scenario.host.toUpperCase(), `${ECHO_PATH}/a%20b?q=1`, HOSTILE_HEADERS);
  if (typeof echo === 'string') return `the echo pod: ${echo}`;
  const echoHeaders = echo.headers.filter((line) => !line.startsWith('content-length'));
  return [...answer.headers, ...echoHeaders.map((line) => `echo: ${line}`), ...seenByPod(echo, port)];
}

function seenByPod(echo: Answer, port: number): readonly string[] {
  const seen: { method: string; url: string; rawHeaders: string[] } = JSON.parse(echo.body.toString());
  const lines = headerLines(seen.rawHeaders).map((line) =>
    // Each contender has its own.
    line.replace(`x-forwarded-port: ${port}`, 'x-forwarded-port: <port>'),
  );
  return [`pod: ${seen.method} ${seen.url}`, ...lines.map((line) => `pod: ${line}`)];
}

/** The answer with status 200, or what came instead. */
function ask(
  scenario: LoadScenario,
  port: number,
  host: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Answer | string> {
  const options = {
    host: '127.0.0.1',
    port,
    path,
    agent: false as const,
    timeout: 30_000,
    headers: { ...headers, host },
  };
  return new Promise((resolve) => {
    const answered = (response: IncomingMessage): void => {
      // Read now: the socket may be gone when the body has been read.
      const tls = scenario.entrance === 'http' ? [] : tlsLines(response.socket as TLSSocket);
      response.toArray().then(
        (chunks) => {
          if (response.statusCode !== 200) resolve(`status ${response.statusCode} instead of 200`);
          else resolve({ headers: headerLines(response.rawHeaders), body: Buffer.concat(chunks), tls });
        },
        (error: Error) => resolve(error.message),
      );
    };
    const request =
      scenario.entrance === 'http'
        ? httpRequest(options, answered)
        : httpsRequest(
            { ...options, servername: scenario.host, rejectUnauthorized: false, ecdhCurve: 'X25519' },
            answered,
          );
    request.on('timeout', () => request.destroy(new Error('no answer for 30 s')));
    request.on('error', (error) => resolve(error.message));
    request.end();
  });
}

function tlsLines(socket: TLSSocket): readonly string[] {
  return [
    `TLS ${socket.getProtocol()} ${socket.getCipher().standardName}`,
    `certificate ${socket.getPeerCertificate().subject.CN} ${socket.getPeerCertificate().fingerprint256}`,
  ];
}

function headerLines(rawHeaders: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = String(rawHeaders[at]).toLowerCase();
    if (!UNCOMPARED_HEADERS.has(name)) lines.push(`${name}: ${rawHeaders[at + 1]}`);
  }
  // The order of lines with different names means nothing; a stable sort keeps that of lines with the same name.
  return lines.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)));
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':'));
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
