// What every process says of itself: CPU time, memory, how late its event loop is.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

const resolutionMs = 50;

/** Registers the metrics of this process under its name (`supervisor`, `controller`, `worker-0`, ...). */
export function observeProcess(metrics: Metrics, name: string): void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  // The histogram holds the time between two ticks of its timer; what exceeds the interval is delay.
  const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1e3);
  metrics.observe('headgate_eventloop_delay_max_seconds', () => seconds(delay.max), name);
  metrics.observe('headgate_eventloop_delay_p99_seconds', () => seconds(delay.percentile(99)), name);
  metrics.observe('headgate_process_resident_memory_bytes', () => process.memoryUsage.rss(), name);
  metrics.observe(
    'headgate_process_cpu_seconds_total',
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    name,
  );
}
