// What every contender stands on: the pods, the Routes to them and the certificates.

import { join } from 'node:path';
import { makeKeyPair, writePem } from './certificates.ts';
import type { Contender, RunningContender } from './contenders/contender.ts';
import { POD_NAME, type Pods, startPods } from './pods.ts';
import { type BenchRoute, HOSTS, loadRoutes } from './routes.ts';
import { routesOn, type Stage } from './stages.ts';
import type { Workspace } from './workspace.ts';

export type Ground = {
  readonly workspace: Workspace;
  readonly pods: Pods;
  /** Those that all the load scenarios ask for. */
  readonly measured: readonly BenchRoute[];
  /** File with chain and key for hosts without a certificate of their own. */
  readonly defaultCertificate: string;
};

/** Starts the pods and makes the certificates. */
export async function prepare(workspace: Workspace): Promise<Ground> {
  const podCertificate = await makeKeyPair(workspace, POD_NAME);
  const pods = await startPods(workspace, podCertificate);
  const presented = {
    edge: await makeKeyPair(workspace, HOSTS.edge),
    edgeEcdsa: await makeKeyPair(workspace, HOSTS.edgeEcdsa, 'ec'),
    edgeHttp2: await makeKeyPair(workspace, HOSTS.edgeHttp2),
    edgeHttp2Upload: await makeKeyPair(workspace, HOSTS.edgeHttp2Upload),
    edgeGrpc: await makeKeyPair(workspace, HOSTS.edgeGrpc),
    edgeUpload: await makeKeyPair(workspace, HOSTS.edgeUpload),
    edgeWebSocket: await makeKeyPair(workspace, HOSTS.edgeWebSocket),
    reencrypt: await makeKeyPair(workspace, HOSTS.reencrypt),
    reencryptHttp2: await makeKeyPair(workspace, HOSTS.reencryptHttp2),
  };
  const fallback = await makeKeyPair(workspace, 'default.bench.test');
  return {
    workspace,
    pods,
    measured: loadRoutes(pods, presented, podCertificate),
    defaultCertificate: writePem(join(workspace.directory, 'default.pem'), fallback),
  };
}

/** Starts a contender on a stage, on which it was not yet. `others` is --other-routes. Throws when it does not start. */
export function startOn(
  { workspace, pods, measured, defaultCertificate }: Ground,
  stage: Stage,
  contender: Contender,
  others: number,
): Promise<RunningContender> {
  return contender.start({
    workspace,
    folder: workspace.folder(join(stage.name, contender.name)),
    routes: routesOn(stage, measured, others, pods.plainPort),
    threads: stage.threads,
    defaultCertificate,
  });
}
