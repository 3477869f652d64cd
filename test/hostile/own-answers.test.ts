// Requests that the router answers by itself, as fast as it takes them: no pod slows them down, and one read of a connection
// holds thousands. Others must have their turn in between.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { BesiegedRouter, expectHeld, tellToll } from '../support/http2/besieged-router.ts';
import { flags, headers } from '../support/http2/frames.ts';
import { indexed, keptLiteral } from '../support/http2/hpack.ts';
import { RawClient } from '../support/http2/raw-client.ts';
import { getRequest, Peer } from '../support/peers.ts';
import { routeYaml, serviceYaml } from '../support/pods.ts';

const connections = 4;
const floodMs = 1_200;
/** Answers that wait for their readers, of all attackers together. */
const maxGrowthMb = 128;
/** Ten times what the slowest took, and half of what it took while all that had been read was answered at once. */
const maxAnswerMs = 300;
const redirected = 'redirected.test';
const podless = 'podless.test';

let besieged: BesiegedRouter;

beforeAll(async () => {
  besieged = await BesiegedRouter.start(
    routeYaml(
      'redirected',
      redirected,
      'podless',
      'tls: { termination: edge, insecureEdgeTerminationPolicy: Redirect }',
    ) +
      routeYaml('podless', podless, 'podless', 'tls: { termination: edge }') +
      serviceYaml('podless', []),
  );
});

afterAll(() => besieged[Symbol.asyncDispose]());

/** Sends requests without waiting for answers until the time has come; how many bytes of answers came. */
async function pipeline(client: Peer, host: string, endMs: number): Promise<number> {
  using _ = client;
  const requests = getRequest(host).repeat(5_000);
  while (performance.now() < endMs) await client.write(requests);
  return client.receivedBytes;
}

async function http1(host: string, endMs: number): Promise<number> {
  return await pipeline(await Peer.connect(besieged.httpPort), host, endMs);
}

async function http1OverTls(host: string, endMs: number): Promise<number> {
  return await pipeline(await Peer.connectTls(besieged.httpsPort, { servername: host }), host, endMs);
}

/** Requests of 13 bytes each, once the table of the connection knows the Host. */
async function http2(host: string, endMs: number): Promise<number> {
  using client = await RawClient.connect(besieged.httpPort, { keep: 'counts' });
  const method = indexed(2);
  const scheme = indexed(6);
  const path = indexed(4);
  const bothEnds = flags.endHeaders | flags.endStream;
  const first = Buffer.concat([method, scheme, path, keptLiteral(':authority', host)]);
  client.write(headers(client.newStream(), first, bothEnds));
  const again = Buffer.concat([method, scheme, path, indexed(62)]);
  await client.flood(endMs, () =>
    Buffer.concat(Array.from({ length: 1_000 }, () => headers(client.newStream(), again, bothEnds))),
  );
  expect(client.end).toBe(null);
  return client.socket.bytesRead;
}

test.for([
  { title: 'pipelined requests that are led to HTTPS', flood: http1, host: redirected },
  { title: 'pipelined requests for a Route without pods, over TLS', flood: http1OverTls, host: podless },
  { title: 'requests over HTTP/2 that are led to HTTPS', flood: http2, host: redirected },
])('$title', async ({ flood, host }, { annotate }) => {
  const toll = await besieged.withstand(async () => {
    const endMs = performance.now() + floodMs;
    const received = await Promise.all(Array.from({ length: connections }, () => flood(host, endMs)));
    for (const bytes of received) expect(bytes).toBeGreaterThan(10_000);
  });
  await annotate(tellToll(toll));
  expectHeld(toll, maxGrowthMb, maxAnswerMs);
});
