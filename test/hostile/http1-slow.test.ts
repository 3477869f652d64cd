// HTTP/1.1 as slowly as it goes, by the tool that is made for it: heads, bodies and answers in drops over many connections.

import { spawn, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { edgeRouteYaml } from '../support/http2/attacked-router.ts';
import { BesiegedRouter, expectHeld, tellToll } from '../support/http2/besieged-router.ts';
import { serviceYaml } from '../support/pods.ts';
import { FloodPod } from './flood-pod.ts';

const host = 'drops.test';
const hasTool = spawnSync('slowhttptest', ['-h']).error === undefined;

const attacks = [
  // A header line each second, and no end.
  { name: 'heads (slowloris)', args: ['-H', '-i', '1', '-x', '10'], path: '/' },
  { name: 'bodies (R-U-Dead-Yet)', args: ['-B', '-i', '1', '-x', '10', '-s', '8192'], path: '/' },
  // Small receive windows, five bytes a second, several requests in a row.
  { name: 'answers (slow read)', args: ['-X', '-n', '1', '-w', '10', '-y', '20', '-z', '5', '-k', '3'], path: '/big' },
] as const;

describe.skipIf(!hasTool)('slowhttptest, skipped where it is not installed', () => {
  let pod: FloodPod;
  let besieged: BesiegedRouter;

  beforeAll(async () => {
    pod = await FloodPod.start();
    const limits = ['--head-timeout', '--client-timeout'].flatMap((limit) => [limit, '2s']);
    besieged = await BesiegedRouter.start(
      edgeRouteYaml('drops', host, 'drops') + serviceYaml('drops', [pod.port]),
      limits,
    );
  });

  afterAll(async () => {
    await besieged[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  test.for(attacks)('$name', async ({ args, path }, { annotate }) => {
    let said = '';
    const toll = await besieged.withstand(async () => {
      // As a proxy the router is found by its address, and the Route by the name in the URL.
      const where = ['-d', `127.0.0.1:${besieged.httpPort}`, '-u', `http://${host}${path}`];
      const tool = spawn('slowhttptest', [...args, '-c', '150', '-r', '75', '-l', '3', '-p', '1', ...where]);
      for (const stream of [tool.stdout, tool.stderr])
        stream.on('data', (piece: Buffer) => {
          said += piece.toString('latin1');
        });
      await new Promise((ended) => tool.once('close', ended));
    });
    await annotate(tellToll(toll));
    expect(said).toContain('Exit status');
    expectHeld(toll);
  });
});
