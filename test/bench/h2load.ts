// HTTP/2 load by h2load.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GRPC_MESSAGE } from './grpc-pod.ts';
import type { LoadReport } from './load-report.ts';
import { BODY_BYTES } from './pods.ts';
import { quantile } from './statistics.ts';
import { LOAD_CPU, type Workspace } from './workspace.ts';

/** `grpc`: a POST with one message and the headers of gRPC. `upload`: a POST with 64 KB. */
export type Http2Call = 'get' | 'grpc' | 'upload';

/** What goes with each call. */
export const HTTP2_BODIES: Readonly<Record<Http2Call, Buffer | null>> = {
  get: null,
  grpc: GRPC_MESSAGE,
  upload: Buffer.alloc(BODY_BYTES['64k'], 'x'),
};

export type Http2Load = {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  /** How many requests are under way at a time on each connection. */
  readonly streams: number;
  readonly call: Http2Call;
  readonly seconds: number;
};

/** What a client of gRPC sends beside the pseudo-headers. */
export const GRPC_HEADERS: Readonly<Record<string, string>> = { 'content-type': 'application/grpc', te: 'trailers' };

/** Requests over kept HTTP/2 connections on TLS 1.3, each stream's answer followed at once by the next request. */
export async function runH2load(workspace: Workspace, load: Http2Load): Promise<LoadReport> {
  const folder = workspace.folder('h2load');
  const [logFile, bodyFile] = [join(folder, 'log'), join(folder, 'body')];
  const body = HTTP2_BODIES[load.call];
  // It appends.
  rmSync(logFile, { force: true });
  if (body !== null) writeFileSync(bodyFile, body);
  const headers = Object.entries(GRPC_HEADERS).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  const output = await workspace.run(LOAD_CPU, 'h2load', [
    ...['--clients', String(load.connections), '--max-concurrent-streams', String(load.streams)],
    ...['--duration', String(load.seconds), '--log-file', logFile],
    // As for the other scenarios. It shall not matter whose order of preference a router goes by.
    ...['--npn-list', 'h2', '--tls13-ciphers', 'TLS_AES_128_GCM_SHA256', '--groups', 'X25519'],
    ...(body === null ? [] : ['--data', bodyFile]),
    ...(load.call === 'grpc' ? headers : []),
    // The host of the URL is the SNI and the authority, without a port as on 443.
    ...['--connect-to', `127.0.0.1:${load.port}`, `https://${load.host}${load.path}`],
  ]);
  return parseH2loadReport(output, readFileSync(logFile, 'latin1'), load.seconds);
}

/**
 * Reads what h2load prints and its log, which has a line of start, status and microseconds for each request that ended. Throws
 * when it is no report, nothing was asked, or the router did not speak HTTP/2.
 */
export function parseH2loadReport(output: string, log: string, seconds: number): LoadReport {
  const read = (pattern: RegExp): number => {
    const found = pattern.exec(output)?.[1];
    if (found === undefined) throw new Error(`h2load printed no report: ${output.trim()}`);
    return Number(found);
  };
  const requests = read(/^requests: .* (\d+) done, /m);
  // Those with a bad status (4xx, 5xx) and those that ended otherwise are failed.
  const failed = read(/^requests: .* (\d+) failed, /m) + read(/^status codes: .* (\d+) 3xx, /m);
  const bytes = read(/^traffic: \S+ \((\d+)\) total, /m);
  if (requests === 0) throw new Error(`h2load was given no answer: ${output.trim()}`);
  if (!/^Application protocol: h2$/m.test(output)) throw new Error(`h2load did not speak HTTP/2: ${output.trim()}`);
  const latenciesUs = log
    .trimEnd()
    .split('\n')
    .map((line) => Number(line.split('\t')[2]));
  return {
    requests,
    bytes,
    durationUs: seconds * 1_000_000,
    p50Us: quantile(latenciesUs, 0.5),
    p99Us: quantile(latenciesUs, 0.99),
    errors: failed,
  };
}
