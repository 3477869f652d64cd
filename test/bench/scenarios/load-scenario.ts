// Requests or messages of one kind against one contender, and the CPU time that each cost it.

import type { Entrance, RunningContender } from '../contenders/contender.ts';
import { cpuTimeUs } from '../cpu-time.ts';
import { runFixedRate } from '../fixed-rate.ts';
import { type Http2Call, runH2load } from '../h2load.ts';
import type { LoadReport } from '../load-report.ts';
import { runNewConnections } from '../new-connections.ts';
import type { Stage } from '../stages.ts';
import { runUploads } from '../uploads.ts';
import { runWebSocketEchoes } from '../websocket-echoes.ts';
import type { Workspace } from '../workspace.ts';
import { runWrk } from '../wrk.ts';

export type LoadScenario = {
  readonly name: string;
  readonly stage: Stage;
  readonly entrance: Entrance;
  readonly host: string;
  readonly path: string;
  readonly load:
    | { readonly kind: 'keep-alive'; readonly connections: number; readonly paths: 'one' | 'many' }
    | { readonly kind: 'fixed-rate'; readonly connections: number; readonly share: number }
    | { readonly kind: 'new-connections'; readonly concurrency: number; readonly handshake: 'full' | 'resumed' }
    | { readonly kind: 'http2'; readonly connections: number; readonly streams: number; readonly call: Http2Call }
    | { readonly kind: 'uploads'; readonly connections: number; readonly bodyBytes: number }
    | { readonly kind: 'websocket'; readonly connections: number };
  /** What the CPU time is divided by. */
  readonly unit: 'request' | 'message' | '100 MB';
};

const CONNECTIONS_AT_SATURATION = 64;

/** What one run gave. */
export type Sample = {
  /** CPU time of all the contender's processes, per unit of the scenario. */
  readonly cpuUsPerUnit: number;
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly errors: number;
};

/** How a load scenario is run. */
export type Run = {
  readonly seconds: number;
  /** What the baseline answers in a second when it always has the next request; for scenarios at a share of that. */
  readonly saturation: number;
};

/** How many requests of the scenario the contender answers in a second when it always has the next one. */
export async function saturationOf(
  workspace: Workspace,
  scenario: LoadScenario,
  contender: RunningContender,
  seconds: number,
): Promise<number> {
  const load = { kind: 'keep-alive', connections: CONNECTIONS_AT_SATURATION, paths: 'one' } as const;
  const run = { seconds, saturation: 0 };
  return (await measure(workspace, { ...scenario, load }, contender, run)).requestsPerSecond;
}

/** Loads the contender for some seconds. Throws when it lost or gained a process meanwhile: the sum would be wrong. */
export async function measure(
  workspace: Workspace,
  scenario: LoadScenario,
  contender: RunningContender,
  run: Run,
): Promise<Sample> {
  const pids = contender.pids();
  const before = cpuTimeUs(pids);
  const report = await runLoad(workspace, scenario, contender.ports[scenario.entrance], run);
  if (contender.pids().join() !== pids.join()) throw new Error('the set of processes changed during the run');
  const cpuUs = cpuTimeUs(pids) - before;
  const durationS = report.durationUs / 1_000_000;
  return {
    cpuUsPerUnit: cpuUs / (scenario.unit === '100 MB' ? report.bytes / 100_000_000 : report.requests),
    requestsPerSecond: report.requests / durationS,
    bytesPerSecond: report.bytes / durationS,
    p50Us: report.p50Us,
    p99Us: report.p99Us,
    errors: report.errors,
  };
}

function runLoad(
  workspace: Workspace,
  scenario: LoadScenario,
  port: number,
  { seconds, saturation }: Run,
): Promise<LoadReport> {
  const { host, path, load } = scenario;
  const scheme = scenario.entrance === 'http' ? 'http' : 'https';
  switch (load.kind) {
    case 'keep-alive':
      return runWrk(workspace, { scheme, host, port, path, ...load, seconds });
    case 'fixed-rate': {
      const perSecond = Math.floor(saturation * load.share);
      return runFixedRate(workspace, { scheme, host, port, path, connections: load.connections, perSecond, seconds });
    }
    case 'new-connections':
      return runNewConnections(workspace, { host, port, path, ...load, seconds });
    case 'http2': {
      const { connections, streams, call } = load;
      return runH2load(workspace, { host, port, path, connections, streams, call, seconds });
    }
    case 'uploads':
      return runUploads(workspace, { host, port, path, ...load, seconds });
    case 'websocket':
      return runWebSocketEchoes(workspace, { host, port, path, connections: load.connections, seconds });
  }
}
