// `headgate clear-status`: takes what a router has written out of the status of all Routes, for when it is uninstalled.

import { loadConfig, type SettingCheck } from '../config/load.ts';
import { entryOf, withoutEntry } from '../controller/ingress-entry.ts';
import { ApiClient } from '../source/kube/api-client.ts';
import { RouteApi } from '../source/kube/route-api.ts';
import type { RouteManifest } from '../source/manifests.ts';

const usage = `usage: headgate clear-status --name NAME [--config KUBECONFIG] [--namespace NAMESPACE]

Removes the entries of a router from the status of all Routes. The router must not run any more: it would write
them again. Takes the settings of \`headgate serve\` that say where the cluster is and what the router is called.
`;

/** A Route that others write to at the same time is read again so often. */
const maxTries = 5;

/** Routes in files have no status. */
const onlyOfClusters: SettingCheck = ({ source }) =>
  source === 'files' ? [{ key: 'source', because: 'files have no status that could be cleared' }] : [];

/** Runs the command. Answers the exit code: 1 where entries are left, 2 for a wrong configuration. */
export async function clearStatus(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage);
    return 0;
  }
  const loaded = loadConfig(args, process.env, [onlyOfClusters]);
  if (loaded.kind === 'problems') {
    for (const problem of loaded.problems) process.stderr.write(`headgate clear-status: ${problem}\n`);
    process.stderr.write(usage);
    return 2;
  }
  const { config } = loaded;
  const client = new ApiClient(config);
  const api = new RouteApi(client, config.routerName);
  let cleared = 0;
  try {
    client.open();
    for await (const page of api.everyRoute(config.namespace)) {
      for (const route of page) {
        if (entryOf(route.status.ingress, config.routerName) === undefined) continue;
        await clear(api, route, config.routerName);
        cleared++;
      }
    }
    process.stdout.write(`cleared the status of ${cleared} routes of the router ${config.routerName}\n`);
    return 0;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`headgate clear-status: ${reason} (${cleared} routes cleared before)\n`);
    return 1;
  } finally {
    client.close();
  }
}

async function clear(api: RouteApi, first: RouteManifest, routerName: string): Promise<void> {
  let route: RouteManifest | null = first;
  for (let tries = 0; tries < maxTries && route !== null; tries++) {
    const result = await api.writeIngress(route, withoutEntry(route.status.ingress, routerName));
    if (result !== 'conflict') return;
    route = await api.read(route.namespace, route.name);
  }
  if (route !== null)
    throw new Error(`${route.namespace}/${route.name} changes all the time; is the router still running?`);
}
