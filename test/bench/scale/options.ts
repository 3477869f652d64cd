// The command line of the scale bench.

import { parseArgs } from 'node:util';

export type Phase = 'start' | 'statuses' | 'idle' | 'changes' | 'hosts' | 'scrapes';

export const PHASES: readonly Phase[] = ['start', 'statuses', 'idle', 'changes', 'hosts', 'scrapes'];

export type Options = {
  readonly routes: number;
  readonly services: number;
  readonly endpointsPerService: number;
  readonly workers: number;
  /** How often the router is started. */
  readonly starts: number;
  /** Statuses that the router may write in a second. */
  readonly statusRate: number;
  readonly idleSeconds: number;
  /** Routes that are changed. */
  readonly changes: number;
  /** Changes of EndpointSlices in a second meanwhile. */
  readonly churn: number;
  /** How often each host is requested of all workers together. */
  readonly passes: number;
  readonly only: readonly Phase[];
  readonly jsonFile: string | null;
  /** Whether docs/performance.md gets the figures. */
  readonly write: boolean;
};

export const USAGE: string = `usage: npm run bench:scale -- [flags]
  --routes N        Routes, each with a host and a certificate of its own (default 10000)
  --services N      Services, each with one EndpointSlice; a multiple of 100 (default 2000)
  --endpoints N     endpoints of each Service (default 10)
  --workers N       workers of the router (default 2)
  --starts N        how often the router is started (default 3)
  --status-rate N   statuses written in a second (default 50, as the router's own)
  --idle-seconds N  how long the idle cluster is watched (default 60)
  --changes N       Routes that are changed (default 1000)
  --churn N         changes of EndpointSlices in a second meanwhile (default 200)
  --passes N        how often each host is requested after the first time (default 3)
  --only NAMES      of ${PHASES.join(', ')}, separated by commas (default: all)
  --json FILE       write everything measured to FILE
  --write           put the figures into docs/performance.md
  --help            this text
`;

/** Reads the arguments. `help` when they ask for it; throws a TypeError that says what is wrong with them. */
export function parseOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      routes: { type: 'string', default: '10000' },
      services: { type: 'string', default: '2000' },
      endpoints: { type: 'string', default: '10' },
      workers: { type: 'string', default: '2' },
      starts: { type: 'string', default: '3' },
      'status-rate': { type: 'string', default: '50' },
      'idle-seconds': { type: 'string', default: '60' },
      changes: { type: 'string', default: '1000' },
      churn: { type: 'string', default: '200' },
      passes: { type: 'string', default: '3' },
      only: { type: 'string', default: PHASES.join() },
      json: { type: 'string' },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    routes: positive('routes', values.routes),
    services: hundreds(values.services),
    endpointsPerService: positive('endpoints', values.endpoints),
    workers: positive('workers', values.workers),
    starts: positive('starts', values.starts),
    statusRate: positive('status-rate', values['status-rate']),
    idleSeconds: positive('idle-seconds', values['idle-seconds']),
    changes: positive('changes', values.changes),
    churn: positive('churn', values.churn),
    passes: positive('passes', values.passes),
    only: values.only.split(',').map(phase),
    jsonFile: values.json ?? null,
    write: values.write,
  };
}

function phase(name: string): Phase {
  const known = PHASES.find((candidate) => candidate === name);
  if (known === undefined) throw new TypeError(`--only ${name}: known are ${PHASES.join(', ')}`);
  return known;
}

/** The Services are spread over a hundred namespaces, and a Route finds its own in each. */
function hundreds(text: string): number {
  const value = positive('services', text);
  if (value % 100 !== 0) throw new TypeError(`--services ${text}: a multiple of 100 is expected`);
  return value;
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new TypeError(`--${flag} ${text}: a whole number from 1 is expected`);
  }
  return value;
}
