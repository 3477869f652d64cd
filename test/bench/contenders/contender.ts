// A router that is measured.

import type { BenchRoute } from '../routes.ts';
import type { Workspace } from '../workspace.ts';

export type Contender = {
  readonly name: string;
  /**
   * `routed`: what clients and pods see is what an OpenShift router shows them, header by header. `answer`: only status and
   * body are.
   */
  readonly fidelity: 'routed' | 'answer';
  /** The scenarios that it cannot do: it is left out of them. */
  readonly lacks: readonly string[];
  /** File descriptors that an idle client connection takes, or that it keeps for one. */
  readonly filesPerConnection: number;
  /** Starts it on free ports of 127.0.0.1, on its cores. Resolves when it serves all Routes; throws when it does not start. */
  start(setup: ContenderSetup): Promise<RunningContender>;
};

export type ContenderSetup = {
  readonly workspace: Workspace;
  /** An empty folder of its own. */
  readonly folder: string;
  readonly routes: readonly BenchRoute[];
  /** On how many threads it serves, or in how many processes. */
  readonly threads: number;
  /** File with chain and key for hosts without a certificate of their own. */
  readonly defaultCertificate: string;
};

export type RunningContender = {
  readonly ports: Readonly<Record<Entrance, number>>;
  /** All its processes. */
  pids(): readonly number[];
  stop(): Promise<void>;
};

/** Where clients come in. A router has one port for both kinds of TLS; only the minimal ones need two. */
export type Entrance = 'http' | 'https' | 'passthrough';
