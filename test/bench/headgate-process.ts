// Headgate's own command, started on a folder of manifests.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { processTree } from './cpu-time.ts';
import type { Launched, Workspace } from './workspace.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export type HeadgateSetup = {
  /** The folder of YAML files. */
  readonly manifests: string;
  readonly defaultCertificate: string;
  /** 0: any free port; the ready line tells which. */
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly workers: number;
  /** Which cores it may run on; as in taskset -c. */
  readonly cpus: number | string;
};

/** The line that Headgate logs once it serves. */
export type ReadyLine = {
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly adminPort: number;
};

export type HeadgateProcess = {
  /** Settles with the ready line; rejects with Headgate's last words when it ends before. */
  readonly ready: Promise<ReadyLine>;
  pids(): readonly number[];
  stop(): Promise<void>;
};

/** Starts Headgate. */
export function launchHeadgate(workspace: Workspace, setup: HeadgateSetup): HeadgateProcess {
  if (!existsSync(MAIN)) throw new Error('src/main.ts does not exist');
  const launched = workspace.launch(setup.cpus, process.execPath, [
    ...[MAIN, 'serve', '--source', 'files', '--manifests', setup.manifests],
    ...['--http-port', String(setup.httpPort), '--https-port', String(setup.httpsPort)],
    // Clients come to these ports directly, and HAProxy tells pods the port that a connection came to.
    ...(setup.httpPort === 0 ? [] : ['--public-http-port', String(setup.httpPort)]),
    ...(setup.httpsPort === 0 ? [] : ['--public-https-port', String(setup.httpsPort)]),
    ...['--admin-port', '0', '--bind', '127.0.0.1'],
    ...[
      '--workers',
      String(setup.workers),
      '--allow-loopback-endpoints',
      '--default-certificate',
      setup.defaultCertificate,
    ],
    ...['--shutdown-delay', '0'],
  ]);
  return { ready: readyLine(launched), pids: () => processTree(launched.pid), stop: () => launched.stop() };
}

function readyLine(launched: Launched): Promise<ReadyLine> {
  return new Promise((resolve, reject) => {
    launched.onLine((line) => {
      const entry = logEntry(line);
      if (entry?.msg === 'ready') {
        resolve({
          httpPort: Number(entry.httpPort),
          httpsPort: Number(entry.httpsPort),
          adminPort: Number(entry.adminPort),
        });
      }
    });
    void launched.ended.then((outcome) => {
      reject(
        new Error(`Headgate ended with ${outcome} before it was ready: ${launched.output().trim().slice(-2_000)}`),
      );
    });
  });
}

type LogEntry = {
  readonly msg?: unknown;
  readonly httpPort?: unknown;
  readonly httpsPort?: unknown;
  readonly adminPort?: unknown;
};

/** The line as a log entry; null when it is something else. */
function logEntry(line: string): LogEntry | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
