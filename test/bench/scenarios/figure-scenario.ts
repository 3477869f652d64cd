// What is not a load: how a router starts, follows changes and survives, what it holds in memory. Each scenario starts its own routers
// and tells some figures of them.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender } from '../contenders/contender.ts';
import type { Ground } from '../ground.ts';
import { type HeadgateProcess, launchHeadgate, type ReadyLine } from '../headgate-process.ts';
import { manifestsOf } from '../manifests.ts';
import type { Options } from '../options.ts';
import type { BenchRoute } from '../routes.ts';
import { ALL_CPUS } from '../workspace.ts';

export type FigureScenario = {
  readonly name: string;
  run(bench: FigureBench): Promise<readonly Figure[]>;
};

export type FigureBench = Ground & {
  readonly options: Options;
  /** For the scenarios that do not measure Headgate alone. */
  readonly contenders: readonly Contender[];
  /** Tells the person who waits how far it is. */
  progress(text: string): void;
};

/** One measured quantity with all its values, in the order they were taken. */
export type Figure = {
  readonly name: string;
  readonly unit: 'ms' | 'count' | '%' | 'KB';
  readonly values: readonly number[];
  /** Null: for information. */
  readonly target: FigureTarget | null;
};

/** Met when this quantile of the values (0 to 1) is below. */
export type FigureTarget = { readonly quantile: number; readonly below: number };

/** Headgate on a folder whose `routes.yaml` holds many Routes, and that can be added to. */
export type LargeHeadgate = HeadgateProcess & {
  readonly manifests: string;
  readonly lines: ReadyLine;
};

/** Name of the file with all the Routes. */
export const LARGE_FILE = 'routes.yaml';

/** A plain Route with a Service of its own, `r-0` being the first. */
export function numberedRoute(index: number, podPort: number): BenchRoute {
  const name = `r-${index}`;
  return {
    name,
    host: `${name}.bench.test`,
    path: '',
    termination: 'none',
    podPort,
    appProtocol: '',
    certificate: null,
    destinationAuthority: null,
  };
}

/** The manifests of `count` such Routes. */
export function numberedManifests(count: number, podPort: number): string {
  return Array.from({ length: count }, (_, index) => manifestsOf(numberedRoute(index, podPort))).join('');
}

/** Starts Headgate on these files and waits until it is ready. `cpus` as in taskset -c. */
export async function startLarge(
  bench: FigureBench,
  name: string,
  files: Readonly<Record<string, string>>,
  cpus: string = ALL_CPUS,
  workers: number = 1,
): Promise<LargeHeadgate> {
  const manifests = bench.workspace.folder(join(name, 'manifests'));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(manifests, file), text);
  const { defaultCertificate } = bench;
  const headgate = launchHeadgate(bench.workspace, {
    manifests,
    defaultCertificate,
    httpPort: 0,
    httpsPort: 0,
    workers,
    cpus,
  });
  return { ...headgate, manifests, lines: await headgate.ready };
}
