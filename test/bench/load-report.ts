// What a load generator tells of one run. Both generators (wrk by its script, the one for new connections) end their output
// with the same line of JSON.

export type LoadReport = {
  readonly requests: number;
  readonly bytes: number;
  readonly durationUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Connections refused or cut, answers other than 2xx and 3xx, timeouts. */
  readonly errors: number;
};

const FIELDS = ['requests', 'bytes', 'durationUs', 'p50Us', 'p99Us', 'errors'] as const;

/** Reads the last line of a generator's output. Throws when it is not a report: the generator failed or was cut off. */
export function parseLoadReport(output: string): LoadReport {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`the load generator printed no report: ${output.trim()}`);
  const fields: Record<string, unknown> = JSON.parse(line);
  const read = (name: (typeof FIELDS)[number]): number => {
    const value = fields[name];
    if (typeof value !== 'number') throw new Error(`the load generator's report has no ${name}: ${line}`);
    return value;
  };
  return {
    requests: read('requests'),
    bytes: read('bytes'),
    durationUs: read('durationUs'),
    p50Us: read('p50Us'),
    p99Us: read('p99Us'),
    errors: read('errors'),
  };
}
