// How a thousand connections are spread over two workers of Headgate.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { workerPids } from '../headgate-admin.ts';
import { connectionsOf } from '../sockets.ts';
import { BUSIER_WORKER } from '../targets.ts';
import { ALL_CPUS } from '../workspace.ts';
import {
  type Figure,
  type FigureBench,
  type FigureScenario,
  numberedManifests,
  numberedRoute,
  startLarge,
} from './figure-scenario.ts';

const CONNECTIONS = 1_000;
/** How many are being opened at a time. */
const AT_ONCE = 16;
const REPEATS = 5;

export const spread: FigureScenario = {
  name: 'spread',
  run: async (bench: FigureBench): Promise<readonly Figure[]> => {
    const { plainPort } = bench.pods;
    const files = { 'routes.yaml': numberedManifests(1, plainPort) };
    const headgate = await startLarge(bench, 'spread', files, ALL_CPUS, 2);
    const { httpPort, adminPort } = headgate.lines;
    const workers = (await workerPids(adminPort)) ?? [];
    const shares: number[] = [];
    for (let repeat = 1; repeat <= REPEATS; repeat++) {
      bench.progress(`spread ${repeat} of ${REPEATS}`);
      const clients = await openAll(httpPort, numberedRoute(0, plainPort).host);
      shares.push((Math.max(...connectionsOf(workers, httpPort)) / CONNECTIONS) * 100);
      const closed = clients.map((client) => once(client.destroy(), 'close'));
      await Promise.all(closed);
    }
    await headgate.stop();
    return [
      {
        name: `share of the busier of two workers in ${CONNECTIONS} connections`,
        unit: '%',
        values: shares,
        target: BUSIER_WORKER,
      },
    ];
  },
};

/** Kept connections, each of which was answered once: a worker has it, and it does not wait in a queue. */
async function openAll(port: number, host: string): Promise<readonly Socket[]> {
  const clients: Socket[] = [];
  const open = async (): Promise<void> => {
    while (clients.length < CONNECTIONS) {
      const client = connect(port, '127.0.0.1');
      clients.push(client);
      client.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const [answer]: Buffer[] = await once(client, 'data');
      if (answer?.toString('latin1', 0, 13) !== 'HTTP/1.1 200 ')
        throw new Error('a connection was not answered with 200');
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, open));
  return clients;
}
