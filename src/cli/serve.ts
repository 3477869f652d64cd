// `headgate serve`: the router.

import { credentialProblems } from '../admin/credentials.ts';
import { adminTlsProblems } from '../admin/tls-settings.ts';
import { BindError, type BoundPorts, BoundSockets } from '../bound-sockets.ts';
import { helpText } from '../config/describe.ts';
import { loadConfig, type SettingCheck } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { unusedNamesIn } from '../config/without-effect.ts';
import { accessLogProblems } from '../proxy/access-log/access-log-settings.ts';
import { tlsProblems } from '../proxy/tls-settings.ts';
import { RunDirectoryError, Supervisor } from '../supervisor.ts';
import { createLog } from '../telemetry/log.ts';
import { makeDefaultCertificate } from './make-certificate.ts';

/** Under npm a Ctrl-C arrives twice: from the terminal, and passed on by npm. That is one wish, not two. */
const sameSignalMs = 250;

/** What only OpenSSL and the files themselves can tell of the settings. */
export const settingChecks: readonly SettingCheck[] = [
  tlsProblems,
  accessLogProblems,
  adminTlsProblems,
  credentialProblems,
];

/** Runs the router until a signal ends it. Answers the exit code; 2 for a wrong configuration, 1 for a start that failed. */
export async function serve(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(helpText());
    return 0;
  }
  const loaded = loadConfig(args, process.env, settingChecks);
  if (loaded.kind === 'problems') {
    for (const problem of loaded.problems) process.stderr.write(`headgate serve: ${problem}\n`);
    process.stderr.write('See `headgate serve --help` for all settings.\n');
    return 2;
  }
  return await runRouter(loaded.config, unusedNamesIn(process.env), () => {});
}

/**
 * Starts the router and waits for its end. `unusedNames`: what is set and has no effect. `onReady` hears the ports when all
 * workers serve.
 */
export async function runRouter(
  config: Config,
  unusedNames: readonly string[],
  onReady: (ports: BoundPorts) => void,
): Promise<number> {
  let sockets: BoundSockets;
  try {
    sockets = new BoundSockets(config);
  } catch (error) {
    if (!(error instanceof BindError)) throw error;
    for (const line of error.message.split('\n')) process.stderr.write(`headgate: ${line}\n`);
    return 1;
  }
  let supervisor: Supervisor | null = null;
  const log = createLog(config.logLevel, { process: 'supervisor' }, () => supervisor?.countDroppedLine());
  if (unusedNames.length > 0) log.info({ names: unusedNames }, 'set, and without effect');
  const ports = sockets.ports;
  const fallback = makeDefaultCertificate(config.routerDomain);
  const ended = new Promise<number>((resolve) => {
    const running = new Supervisor(
      config,
      sockets,
      { chain: fallback.certificate, key: fallback.key },
      log,
      () => {
        log.info({ ...ports, pid: process.pid, workers: config.workers }, 'ready');
        onReady(ports);
      },
      (reason) => {
        process.stderr.write(`headgate: the start failed: ${reason}\n`);
        running.destroy();
        resolve(1);
      },
    );
    supervisor = running;
    let firstSignalMs: number | null = null;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (firstSignalMs !== null) {
        if (performance.now() - firstSignalMs < sameSignalMs) return;
        log.warn({ signal }, 'second signal, ending at once');
        running.destroy();
        resolve(1);
        return;
      }
      firstSignalMs = performance.now();
      running.drain().then(
        () => resolve(0),
        (error: unknown) => {
          log.error({ reason: String(error) }, 'shutdown failed');
          resolve(1);
        },
      );
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    running.start();
  });
  return await ended.catch((error: unknown) => {
    if (!(error instanceof RunDirectoryError)) throw error;
    process.stderr.write(`headgate: ${error.message}\n`);
    return 1;
  });
}
