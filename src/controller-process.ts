// The controller role: wires source, reconciler, publisher and admin port together, and lives until it is told to end.

import type { RouteReport } from './admin/server.ts';
import { AdminPort } from './admin-port.ts';
import type { Config } from './config/schema.ts';
import { Controller } from './controller/controller.ts';
import { pageNames } from './proxy/answers.ts';
import { type ControllerStart, notify, onOrders, type ProcessState, startHeartbeat } from './replication/control.ts';
import { formatRevision } from './table/delta.ts';
import { createLog } from './telemetry/log.ts';
import { Metrics, type SeriesSnapshot } from './telemetry/metrics.ts';
import { observeProcess } from './telemetry/process-metrics.ts';
import { type RowsByKey, type TallyRows, takeRows } from './telemetry/tally-row.ts';

/** The supervisor gives up on silent workers after 500 ms; what is silent for longer is the supervisor. */
const collectTimeoutMs = 2_000;

/** Takes what the supervisor has collected. */
type Collection = {
  readonly onRows: (rows: TallyRows) => void;
  readonly onEnd: (series: readonly SeriesSnapshot[]) => void;
};

/** Runs this process as the controller until the supervisor ends it. */
export function runController(): void {
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  const metrics = new Metrics();
  const collecting = new Map<number, Collection>();
  let controller: Controller | null = null;
  let processes: ProcessState = {
    supervisor: process.ppid,
    controller: process.pid,
    workers: [],
    wanted: 1,
    draining: false,
  };
  onOrders<Config>(
    (order) => {
      switch (order.kind) {
        case 'start':
          if ('epoch' in order) controller = start(order, metrics, () => processes, collecting);
          break;
        case 'processes':
          processes = order.processes;
          if (processes.draining) controller?.endStatus();
          break;
        case 'metrics':
          collecting.get(order.request)?.onEnd(order.series);
          break;
        case 'rows':
          collecting.get(order.request)?.onRows(order.rows);
          break;
        case 'drain':
          process.exit(0);
      }
    },
    // Nobody is left who could use a table of ours.
    () => process.exit(0),
  );
}

/** Wires the parts and starts them; null where they cannot even be made. */
function start(
  order: ControllerStart<Config>,
  metrics: Metrics,
  processes: () => ProcessState,
  collecting: Map<number, Collection>,
): Controller | null {
  const log = createLog(order.config.logLevel, { process: 'controller' }, () => {
    metrics.series('headgate_log_lines_dropped_total', 'process').value++;
  });
  observeProcess(metrics, 'controller');
  startHeartbeat(() => metrics.snapshot());
  try {
    const onStuck = (worker: number): void => notify({ kind: 'stuck', worker });
    const { config, epoch, fallbackCertificate } = order;
    const controller = new Controller(config, epoch, fallbackCertificate, pageNames, log, metrics, onStuck);
    const admin = new AdminPort(
      order,
      {
        settings: {
          publicHttpsPort: config.publicHttpsPort,
          noRouteStatus: config.errorPage404Path === '' ? 503 : 404,
        },
        table: () => controller.table,
        routes: () => reports(controller),
        warningsOf: (route) => {
          const manifest = controller.routes.get(route);
          return manifest === undefined ? [] : controller.warningsOf(manifest);
        },
        processes,
        synced: () => controller.synced,
        acknowledged: () => controller.acknowledged,
        servingWorkers: () => controller.servingWorkers,
        views: () => controller.views(),
        collect: () => {
          controller.observeViews();
          return collect(collecting, metrics);
        },
        expiries: () => controller.expiries(),
        forget: (keys) => notify({ kind: 'forget', keys }),
      },
      () => controller.accessReviews,
      log,
    );
    admin
      .start()
      .then(() => controller.start(order.channelPath))
      .then(() => notify({ kind: 'serving' }), fail);
    return controller;
  } catch (error) {
    fail(error);
    return null;
  }
}

function fail(error: unknown): void {
  notify({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}

let requests = 0;

/** The metrics of all processes, this one's as they are now. */
function collect(
  collecting: Map<number, Collection>,
  metrics: Metrics,
): Promise<{ readonly series: readonly SeriesSnapshot[]; readonly rows: RowsByKey }> {
  const request = ++requests;
  const rows: RowsByKey = new Map();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      collecting.delete(request);
      reject(new Error('the supervisor does not answer'));
    }, collectTimeoutMs);
    collecting.set(request, {
      onRows: (some) => {
        timer.refresh();
        takeRows(rows, some);
      },
      onEnd: (series) => {
        clearTimeout(timer);
        collecting.delete(request);
        resolve({ series, rows });
      },
    });
    notify({ kind: 'heartbeat', series: metrics.snapshot() });
    notify({ kind: 'collect', request });
  });
}

function* reports(controller: Controller): Generator<RouteReport> {
  for (const [route, manifest] of controller.routes) {
    const known = controller.verdicts.get(route);
    const verdict = known?.verdict;
    yield {
      route,
      host: manifest.host,
      path: manifest.path,
      verdict: verdict?.kind ?? 'pending',
      reason: verdict?.kind === 'rejected' ? verdict.reason : '',
      message: verdict?.kind === 'rejected' ? verdict.message : '',
      warnings: controller.warningsOf(manifest),
      idled: controller.idledServices(manifest),
      revision: known === undefined ? null : formatRevision(known.revision),
    };
  }
}
