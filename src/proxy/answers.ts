// Answers that the router makes itself: pages that say their reason, redirects, the health path. Counted and logged here,
// so that "why did I get a 503?" has one place to look.

import { type RefusalReason, refusalReasons } from '../protocol/refusals.ts';
import type { RouteKey } from '../table/entries.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** Why a request was answered by the router and not by a pod. */
export type AnswerReason =
  | RefusalReason
  | 'no-route'
  | 'no-endpoint'
  | 'endpoints-down'
  | 'source-not-allowed'
  | 'rate-limited'
  | 'pods-busy'
  | 'no-client-certificate'
  | 'client-certificate-filtered'
  | 'other-client-policy'
  | 'connect-failed'
  | 'upstream-closed'
  | 'upstream-timeout'
  | 'bad-response'
  | 'misdirected'
  | 'redirect'
  | 'health';

/** Log lines of one reason and Route in one second; the rest is counted. */
const maxLinesPerSecond = 10;
const maxGates = 10_000;

const phrases: Readonly<Record<number, string>> = {
  200: 'OK',
  302: 'Found',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** Reasons that have a page and are none of the readers'. */
type OwnReason = Exclude<AnswerReason, RefusalReason | 'redirect' | 'health'>;

const ownExplanations: Readonly<Record<OwnReason, string>> = {
  'no-route': 'No Route of this router has this host and path on this port.',
  'no-endpoint':
    'There is a Route for this address, but none of its Services has a ready pod on the port that it names.',
  'endpoints-down': 'There is a Route for this address and it has pods, but none of them takes connections at present.',
  'source-not-allowed': 'This address lets in certain clients only, and the one that you come from is not among them.',
  'rate-limited': 'More requests or connections came from your address than this Route lets through. Wait a little.',
  'pods-busy': 'All pods have as many requests as they take at a time, and none became free in time.',
  'no-client-certificate': 'A client certificate is needed here, over TLS, and none was given.',
  'client-certificate-filtered': 'The client certificate is valid, but its subject is not one that is let in.',
  'other-client-policy':
    'Another connection is needed for this host: client certificates were asked for in another way when this one began.',
  'connect-failed': 'There is a Route for this address and it has pods, but none of them accepted a connection.',
  'upstream-closed': 'The pod closed the connection before it had answered.',
  'upstream-timeout': 'The pod did not answer in time.',
  'bad-response': 'What the pod answered is not a valid HTTP response.',
  misdirected:
    'This address has other TLS settings than the one that the connection was opened for. Ask again on a new connection.',
};

const explanations: Readonly<Partial<Record<AnswerReason, string>>> = {
  ...ownExplanations,
  'head-timeout': 'The request did not arrive in time.',
};

/** What a page may be for: the reasons of answers that have one, and their statuses. */
export const pageNames: readonly string[] = [
  ...Object.keys(ownExplanations),
  ...refusalReasons,
  ...Object.keys(phrases).filter((status) => Number(status) >= 400),
];

/** The phrase that goes with a status of the router's own. */
export function phraseOf(status: number): string {
  return phrases[status] ?? 'Error';
}

/** What a reason means, in words for whoever reads the page. */
export function explanationOf(reason: AnswerReason): string {
  return explanations[reason] ?? 'The request was refused: it is malformed or beyond a limit.';
}

/**
 * One answer, ready to be written. `closes`: it tells the client that the connection ends. `lines`: what its head says besides,
 * each line with its end.
 */
export function renderAnswer(
  status: number,
  reason: AnswerReason,
  head: boolean,
  closes: boolean,
  lines: string = '',
): string {
  const phrase = phraseOf(status);
  const explanation = explanationOf(reason);
  const body = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${status} ${phrase}</title></head>
<body>
<h1>${status} ${phrase}</h1>
<p>${explanation}</p>
<p>Reason: <code>${reason}</code></p>
</body>
</html>
`;
  return (
    `HTTP/1.1 ${status} ${phrase}\r\nPragma: no-cache\r\n` +
    'Cache-Control: private, max-age=0, no-cache, no-store\r\nContent-Type: text/html\r\n' +
    `Content-Length: ${body.length}\r\n${lines}${closes ? 'Connection: close\r\n' : ''}\r\n${head ? '' : body}`
  );
}

/** How gRPC names what a status of HTTP says (the mapping of its own HTTP/2 specification; what it leaves out is UNKNOWN). */
const grpcStatus: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  408: 4,
  413: 8,
  429: 14,
  431: 8,
  502: 14,
  503: 14,
  504: 14,
};

/** One answer for a client that speaks gRPC: a response of trailers alone, whose status such clients look at. */
export function renderGrpcAnswer(status: number, reason: AnswerReason): string {
  const explanation = explanationOf(reason);
  return (
    'HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n' +
    `Grpc-Status: ${grpcStatus[status] ?? 2}\r\nGrpc-Message: ${reason}: ${explanation}\r\n\r\n`
  );
}

/** 302 to the same target over TLS (Route semantics 5.3). The port is named only where clients cannot guess it. */
export function renderRedirect(hostName: string, target: string, publicHttpsPort: number, closes: boolean): string {
  const authority = publicHttpsPort === 443 ? hostName : `${hostName}:${publicHttpsPort}`;
  return (
    `HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: https://${authority}${target === '*' ? '/' : target}\r\n` +
    `Cache-Control: no-cache\r\n${closes ? 'Connection: close\r\n' : ''}\r\n`
  );
}

/** The router's own health path on the plain port (Route semantics 6.1). */
export function renderHealth(head: boolean, closes: boolean): string {
  const body = 'ok\n';
  return (
    `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-cache\r\nContent-Length: ${body.length}\r\n` +
    `${closes ? 'Connection: close\r\n' : ''}\r\n${head ? '' : body}`
  );
}

/** What the log tells of an answer of our own. */
export type AnswerDetails = {
  readonly route: RouteKey | null;
  readonly host: string;
  readonly path: string;
  readonly client: string;
  readonly endpoint: string | null;
  readonly detail: string | null;
};

/** Counts and logs the router's own answers. */
export class AnswerBook {
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #gates: Map<string, { second: number; lines: number }> = new Map();

  constructor(metrics: Metrics, log: Log) {
    this.#metrics = metrics;
    this.#log = log;
  }

  record(status: number, reason: AnswerReason, details: AnswerDetails): void {
    this.#metrics.series('headgate_answers_total', reason, String(status)).value++;
    if (reason === 'redirect' || reason === 'health') return;
    if (!this.#mayLog(`${reason} ${details.route ?? ''}`)) {
      this.#metrics.series('headgate_log_lines_dropped_total', 'answers').value++;
      return;
    }
    this.#log.info({ status, reason, ...details }, 'answered by the router');
  }

  #mayLog(key: string): boolean {
    const second = Math.floor(performance.now() / 1000);
    const gate = this.#gates.get(key);
    if (gate === undefined || gate.second !== second) {
      if (this.#gates.size >= maxGates) this.#gates.clear();
      this.#gates.set(key, { second, lines: 1 });
      return true;
    }
    return ++gate.lines <= maxLinesPerSecond;
  }
}
